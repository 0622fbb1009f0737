#define _GNU_SOURCE
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cores.h"
#include "json.h"

#define THREADS_PER_STREAM 4
#define MOST_THREADS 4096

static const char *const TYPES[] = {
    [TRITON_BOOL] = "TYPE_BOOL",     [TRITON_UINT8] = "TYPE_UINT8",   [TRITON_UINT16] = "TYPE_UINT16",
    [TRITON_UINT32] = "TYPE_UINT32", [TRITON_UINT64] = "TYPE_UINT64", [TRITON_INT8] = "TYPE_INT8",
    [TRITON_INT16] = "TYPE_INT16",   [TRITON_INT32] = "TYPE_INT32",   [TRITON_INT64] = "TYPE_INT64",
    [TRITON_FP16] = "TYPE_FP16",     [TRITON_FP32] = "TYPE_FP32",     [TRITON_FP64] = "TYPE_FP64",
    [TRITON_BF16] = "TYPE_BF16",
};

bool failed(reason_t *reason, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason->text, sizeof reason->text, format, arguments);
  va_end(arguments);
  return false;
}

static bool read_type(const char *name, triton_type_t *type) {
  for (size_t each = 0; each < sizeof TYPES / sizeof *TYPES; each++) {
    if (TYPES[each] && !strcmp(TYPES[each], name)) {
      *type = (triton_type_t)each;
      return true;
    }
  }
  return false;
}

static bool read_tensors(const char *list, tensor_t *tensors, int *count, reason_t *reason) {
  *count = 0;
  for (const char *each = json_first(list); each; each = json_next(each)) {
    if (*count == MAX_TENSORS) return failed(reason, "config.pbtxt has more than %d inputs or outputs", MAX_TENSORS);
    tensor_t *tensor = &tensors[(*count)++];
    char type[32];
    json_string(json_member(each, "name"), tensor->name, sizeof tensor->name);
    json_string(json_member(each, "data_type"), type, sizeof type);
    if (!read_type(type, &tensor->type)) {
      return failed(reason, "'%s' is %s in config.pbtxt, which this backend does not infer", tensor->name, type);
    }
  }
  return true;
}

/* Returns what parameters { key: ... } say, or the variable of the environment, or nothing. */
static void read_setting(const char *json, const char *key, const char *variable, char *text, size_t size) {
  const char *parameter = json_member(json_member(json, "parameters"), key);
  if (json_string(json_member(parameter, "string_value"), text, size)) return;
  const char *set = variable ? getenv(variable) : NULL;
  snprintf(text, size, "%s", set ? set : "");
}

static bool positive(const char *text, long *number) {
  char *end;
  *number = strtol(text, &end, 10);
  return end != text && !*end && *number > 0 && *number <= MOST_THREADS;
}

static long count_instances(const char *json) {
  long count = 0;
  for (const char *group = json_first(json_member(json, "instance_group")); group; group = json_next(group)) {
    count += json_integer(json_member(group, "count"), 1);
  }
  return count > 0 ? count : 1;
}

/* Threads of one inference wait for each other, the more so when there are more of them than cores. So instances, which
 * infer at the same time, share the cores instead of each taking all. */
static bool read_threads(const char *json, config_t *config, reason_t *reason) {
  char threads[32], streams[32];
  read_setting(json, "INFERENCE_NUM_THREADS", "OPENVINO_THREADS", threads, sizeof threads);
  read_setting(json, "NUM_STREAMS", NULL, streams, sizeof streams);
  config->threads = usable_cores() / config->instances;
  if (config->threads < 1) config->threads = 1;
  if (*threads && !positive(threads, &config->threads)) {
    return failed(reason, "INFERENCE_NUM_THREADS or OPENVINO_THREADS is '%s', not a number of threads", threads);
  }
  config->streams = config->threads / THREADS_PER_STREAM;
  if (config->streams < 1) config->streams = 1;
  if (*streams && strcasecmp(streams, "AUTO") && !positive(streams, &config->streams)) {
    return failed(reason, "NUM_STREAMS is '%s', neither AUTO nor a number of streams", streams);
  }
  return true;
}

bool config_read(const char *json, config_t *config, reason_t *reason) {
  if (!json_string(json_member(json, "default_model_filename"), config->file, sizeof config->file) || !*config->file) {
    strcpy(config->file, "model.xml");
  }
  config->max_rows = json_integer(json_member(json, "max_batch_size"), 0);
  config->instances = count_instances(json);
  read_setting(json, "CACHE_DIR", "OPENVINO_CACHE", config->cache, sizeof config->cache);
  return read_tensors(json_member(json, "input"), config->input, &config->inputs, reason) &&
         read_tensors(json_member(json, "output"), config->output, &config->outputs, reason) &&
         read_threads(json, config, reason);
}
