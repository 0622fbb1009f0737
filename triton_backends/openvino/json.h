/* Reads values out of JSON that is known to be well formed: Triton's own. */

#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a key in an object, or NULL. An object may be NULL: then so is the answer. */
const char *json_member(const char *object, const char *key);

/* The first value in an array or object, or NULL; and the one after a value. */
const char *json_first(const char *container);
const char *json_next(const char *value);

/* Copies a string, cut to fit, without resolving escapes. False, and an empty string, when it is none. */
bool json_string(const char *value, char *text, size_t size);

/* An integer, also one written as a string, or `otherwise`. */
long json_integer(const char *value, long otherwise);

#endif
