#include "json.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* Leads behind a string, from its opening quote. */
static const char *skip_string(const char *at) {
  for (at++; *at && *at != '"'; at++) {
    if (*at == '\\' && at[1]) at++;
  }
  return *at ? at + 1 : at;
}

static const char *skip_value(const char *at) {
  int depth = 0;
  do {
    if (*at == '"') {
      at = skip_string(at);
      continue;
    }
    if (*at == '{' || *at == '[') depth++;
    if (*at == '}' || *at == ']') depth--;
    at++;
  } while (*at && (depth > 0 || !strchr(",}]", *at)));
  return at;
}

/* Leads behind the key where one stands, to its value. */
static const char *skip_key(const char *at) {
  if (*at != '"') return at;
  const char *after = skip_space(skip_string(at));
  return *after == ':' ? skip_space(after + 1) : at;
}

const char *json_first(const char *container) {
  if (!container || (*container != '{' && *container != '[')) return NULL;
  const char *at = skip_space(container + 1);
  return *at == '}' || *at == ']' || !*at ? NULL : skip_key(at);
}

const char *json_next(const char *value) {
  const char *at = skip_space(skip_value(value));
  return *at == ',' ? skip_key(skip_space(at + 1)) : NULL;
}

const char *json_member(const char *object, const char *key) {
  if (!object || *object != '{') return NULL;
  size_t length = strlen(key);
  const char *at = skip_space(object + 1);
  while (*at == '"') {
    const char *value = skip_key(at);
    if (!strncmp(at + 1, key, length) && at[1 + length] == '"') return value;
    at = skip_space(skip_value(value));
    if (*at != ',') return NULL;
    at = skip_space(at + 1);
  }
  return NULL;
}

bool json_string(const char *value, char *text, size_t size) {
  *text = '\0';
  if (!value || *value != '"') return false;
  size_t length = (size_t)(skip_string(value) - value) - 2;
  if (length >= size) length = size - 1;
  memcpy(text, value + 1, length);
  text[length] = '\0';
  return true;
}

long json_integer(const char *value, long otherwise) {
  if (!value) return otherwise;
  if (*value == '"') value++;
  char *end;
  long number = strtol(value, &end, 10);
  return end == value ? otherwise : number;
}
