/* Why something failed, in a sentence. */

#ifndef REASON_H
#define REASON_H

#include <stdbool.h>

typedef struct {
  char text[1024];
} reason_t;

/* Notes a reason, and returns false: `return failed(reason, ...)`. */
bool failed(reason_t *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
