#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t PIECES[SIZES] = {8, 4, 2, 1}; /* 4 images cost as much as 8, each */

static const ov_element_type_e ELEMENTS[] = {
    [TRITON_BOOL] = BOOLEAN, [TRITON_UINT8] = U8,  [TRITON_UINT16] = U16, [TRITON_UINT32] = U32, [TRITON_UINT64] = U64,
    [TRITON_INT8] = I8,      [TRITON_INT16] = I16, [TRITON_INT32] = I32,  [TRITON_INT64] = I64,  [TRITON_FP16] = F16,
    [TRITON_FP32] = F32,     [TRITON_FP64] = F64,  [TRITON_BF16] = BF16,
};

struct engine {
  config_t config;
  ov_core_t *core;
  ov_partial_shape_t shapes[MAX_TENSORS]; /* of the inputs, as the file has them; the batch is free */
  int sizes;                              /* how many of them: one where the model has no batch */
  ov_compiled_model_t *compiled[SIZES];
};

/* Notes what OpenVINO says of a call, and returns whether it went well. */
static bool well(ov_status_e status, const char *what, reason_t *reason) {
  if (status == OK) return true;
  const char *last = ov_get_last_err_msg();
  const char *told = last && *last ? last : ov_get_error_info(status);
  failed(reason, "OpenVINO cannot %s: %.900s", what, told ? told : "no reason is given");
  if (last) ov_free(last);
  return false;
}

static bool check_port(ov_output_const_port_t *port, const tensor_t *tensor, reason_t *reason) {
  ov_element_type_e type;
  if (!well(ov_port_get_element_type(port, &type), "tell a tensor's type", reason)) return false;
  if (type == ELEMENTS[tensor->type]) return true;
  return failed(reason, "'%s' has another data_type in config.pbtxt than in the model", tensor->name);
}

static bool check_inputs(engine_t *engine, const ov_model_t *model, reason_t *reason) {
  const config_t *config = &engine->config;
  size_t count = 0;
  if (!well(ov_model_inputs_size(model, &count), "count the inputs", reason)) return false;
  if ((int)count != config->inputs) {
    return failed(reason, "the model has %zu inputs, config.pbtxt %d", count, config->inputs);
  }
  for (int i = 0; i < config->inputs; i++) {
    ov_output_const_port_t *port = NULL;
    if (ov_model_const_input_by_name(model, config->input[i].name, &port) != OK) {
      return failed(reason, "the model has no input '%s'", config->input[i].name);
    }
    bool fits = check_port(port, &config->input[i], reason) &&
                well(ov_port_get_partial_shape(port, &engine->shapes[i]), "tell a shape", reason);
    ov_output_const_port_free(port);
    if (!fits) return false;
    if (!config->max_rows) continue;
    if (engine->shapes[i].rank.max < 1) return failed(reason, "input '%s' has no batch", config->input[i].name);
    engine->shapes[i].dims[0] = (ov_dimension_t){-1, -1};
  }
  return true;
}

static bool check_outputs(const config_t *config, const ov_model_t *model, reason_t *reason) {
  for (int i = 0; i < config->outputs; i++) {
    ov_output_const_port_t *port = NULL;
    if (ov_model_const_output_by_name(model, config->output[i].name, &port) != OK) {
      return failed(reason, "the model has no output '%s'", config->output[i].name);
    }
    bool fits = check_port(port, &config->output[i], reason);
    ov_output_const_port_free(port);
    if (!fits) return false;
  }
  return true;
}

/* Gives every input of the model this many rows. */
static bool set_rows(const engine_t *engine, const ov_model_t *model, int64_t rows, reason_t *reason) {
  const char *names[MAX_TENSORS];
  for (int i = 0; i < engine->config.inputs; i++) {
    names[i] = engine->config.input[i].name;
    engine->shapes[i].dims[0] = (ov_dimension_t){rows, rows};
  }
  ov_status_e status = ov_model_reshape(model, names, engine->shapes, (size_t)engine->config.inputs);
  for (int i = 0; i < engine->config.inputs; i++) {
    engine->shapes[i].dims[0] = (ov_dimension_t){-1, -1};
  }
  return well(status, "give the model a batch", reason);
}

/* Says whether every output has as many rows as the inputs: the rows of different requests must not mix. */
static bool check_rows(const config_t *config, const ov_model_t *model, int64_t rows, reason_t *reason) {
  for (int i = 0; i < config->outputs; i++) {
    ov_output_const_port_t *port = NULL;
    ov_partial_shape_t shape = {0};
    const char *name = config->output[i].name;
    bool told = well(ov_model_const_output_by_name(model, name, &port), "find an output", reason) &&
                well(ov_port_get_partial_shape(port, &shape), "tell a shape", reason);
    bool fits =
        told && (shape.rank.max < 0 || (shape.rank.max > 0 && (shape.dims[0].max < 0 || shape.dims[0].max == rows)));
    if (shape.dims) ov_partial_shape_free(&shape);
    if (port) ov_output_const_port_free(port);
    if (!told) return false;
    if (!fits) return failed(reason, "output '%s' has not one row for each row of the inputs", name);
  }
  return true;
}

/* Locks a folder of compiled models, which OpenVINO writes and reads in place, against every other thread and process.
 * Returns what unlocks it when it is closed, or -1 where the folder cannot be used. */
static int lock(const char *cache) {
  char path[sizeof((config_t *)0)->cache + sizeof "/lock"];
  if (!*cache || (mkdir(cache, 0755) && errno != EEXIST)) return -1;
  snprintf(path, sizeof path, "%s/lock", cache);
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file >= 0 && flock(file, LOCK_EX)) {
    close(file);
    return -1;
  }
  return file;
}

static ov_status_e compile_as(const engine_t *engine, const ov_model_t *model, bool cached,
                              ov_compiled_model_t **compiled) {
  const config_t *config = &engine->config;
  char threads[24], streams[24];
  snprintf(threads, sizeof threads, "%ld", config->threads * config->instances);
  snprintf(streams, sizeof streams, "%ld", config->streams * config->instances);
  ov_property_t properties[4] = {
      {"INFERENCE_NUM_THREADS", threads},
      {"NUM_STREAMS", streams},
      {"ENABLE_CPU_PINNING", "NO"}, /* pinned, every such process on a machine computes on core 0 */
      {"CACHE_DIR", config->cache},
  };
  return ov_core_compile_model_props(engine->core, model, "CPU", cached ? 4 : 3, properties, compiled);
}

/* Compiles the model for one size. The cache saves time where it can be used, and is done without where it cannot. */
static bool compile(engine_t *engine, const ov_model_t *model, int size, reason_t *reason) {
  const config_t *config = &engine->config;
  int64_t rows = (int64_t)PIECES[size];
  if (config->max_rows && !set_rows(engine, model, rows, reason)) return false;
  if (config->max_rows && !check_rows(config, model, rows, reason)) return false;
  int locked = lock(config->cache);
  ov_status_e status = GENERAL_ERROR;
  if (locked >= 0) {
    status = compile_as(engine, model, true, &engine->compiled[size]);
    close(locked);
  }
  if (status != OK) status = compile_as(engine, model, false, &engine->compiled[size]);
  return well(status, "compile the model", reason);
}

engine_t *engine_open(const char *path, const config_t *config, reason_t *reason) {
  engine_t *engine = calloc(1, sizeof *engine);
  if (!engine) return failed(reason, "out of memory"), NULL;
  engine->config = *config;
  engine->sizes = config->max_rows ? SIZES : 1;
  ov_model_t *model = NULL;
  bool good = well(ov_core_create(&engine->core), "start", reason) &&
              well(ov_core_read_model(engine->core, path, NULL, &model), "read the model", reason) &&
              check_inputs(engine, model, reason) && check_outputs(config, model, reason);
  for (int size = 0; good && size < engine->sizes; size++) good = compile(engine, model, size, reason);
  if (model) ov_model_free(model);
  if (good) return engine;
  engine_close(engine);
  return NULL;
}

void engine_close(engine_t *engine) {
  if (!engine) return;
  for (int size = 0; size < SIZES; size++) {
    if (engine->compiled[size]) ov_compiled_model_free(engine->compiled[size]);
  }
  for (int i = 0; i < MAX_TENSORS; i++) {
    if (engine->shapes[i].dims) ov_partial_shape_free(&engine->shapes[i]);
  }
  if (engine->core) ov_core_free(engine->core);
  free(engine);
}

const config_t *engine_config(const engine_t *engine) { return &engine->config; }

static bool shape_fits(const ov_partial_shape_t *wanted, const shape_t *shape) {
  if (wanted->rank.max < 0) return true;
  if (wanted->rank.max != (int64_t)shape->rank) return false;
  for (uint32_t i = 0; i < shape->rank; i++) {
    ov_dimension_t dimension = wanted->dims[i];
    if (shape->dims[i] < dimension.min || (dimension.max >= 0 && shape->dims[i] > dimension.max)) return false;
  }
  return true;
}

static void print_shape(const shape_t *shape, char *text, size_t size) {
  size_t used = 0;
  for (uint32_t i = 0; i < shape->rank && used < size; i++) {
    used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "", shape->dims[i]);
  }
}

bool engine_takes(const engine_t *engine, int input, const shape_t *shape, reason_t *reason) {
  const ov_partial_shape_t *wanted = &engine->shapes[input];
  if (shape_fits(wanted, shape)) return true;
  char text[256] = "";
  print_shape(shape, text, sizeof text);
  const char *told = ov_partial_shape_to_string(*wanted);
  failed(reason, "input '%s' has shape [%s]; the model wants %s", engine->config.input[input].name, text,
         told ? told : "another");
  if (told) ov_free(told);
  return false;
}

static bool open_jobs(worker_t *worker, int size, reason_t *reason) {
  long streams = worker->engine->config.streams;
  worker->jobs[size] = calloc((size_t)streams, sizeof(job_t));
  if (!worker->jobs[size]) return failed(reason, "out of memory");
  for (long i = 0; i < streams; i++) {
    ov_infer_request_t **request = &worker->jobs[size][i].request;
    ov_status_e status = ov_compiled_model_create_infer_request(worker->engine->compiled[size], request);
    if (!well(status, "make an inference", reason)) return false;
  }
  return true;
}

worker_t *worker_open(const engine_t *engine, reason_t *reason) {
  worker_t *worker = calloc(1, sizeof *worker);
  if (!worker) return failed(reason, "out of memory"), NULL;
  worker->engine = engine;
  bool good = true;
  for (int size = 0; good && size < engine->sizes; size++) good = open_jobs(worker, size, reason);
  if (good) return worker;
  worker_close(worker);
  return NULL;
}

static void close_job(job_t *job) {
  for (int i = 0; i < MAX_TENSORS; i++) {
    if (job->input[i]) ov_tensor_free(job->input[i]);
  }
  if (job->request) ov_infer_request_free(job->request);
}

void worker_close(worker_t *worker) {
  if (!worker) return;
  for (int size = 0; size < SIZES; size++) {
    for (long i = 0; worker->jobs[size] && i < worker->engine->config.streams; i++) close_job(&worker->jobs[size][i]);
    free(worker->jobs[size]);
  }
  free(worker);
}

int worker_plan(const worker_t *worker, uint64_t left, uint64_t *size, job_t **jobs) {
  const engine_t *engine = worker->engine;
  *jobs = worker->jobs[0];
  *size = 0;
  if (!engine->config.max_rows) return 1;
  uint64_t streams = (uint64_t)engine->config.streams;
  uint64_t share = (left + streams - 1) / streams;
  int chosen = 0;
  while (PIECES[chosen] > share) chosen++;
  *jobs = worker->jobs[chosen];
  *size = PIECES[chosen];
  uint64_t pieces = left / *size;
  return (int)(pieces < streams ? pieces : streams);
}

/* Gives a job an input of another shape; without one it is left with none, so that the next one is made anew. */
static bool renew_input(job_t *job, int input, const tensor_t *tensor, const shape_t *shape, reason_t *reason) {
  int64_t dims[MAX_RANK];
  memcpy(dims, shape->dims, sizeof dims);
  if (job->input[input]) ov_tensor_free(job->input[input]);
  job->input[input] = NULL;
  ov_tensor_t *made = NULL;
  ov_status_e status = ov_tensor_create(ELEMENTS[tensor->type], (ov_shape_t){shape->rank, dims}, &made);
  if (!well(status, "make a tensor", reason)) return false;
  if (!well(ov_infer_request_set_tensor(job->request, tensor->name, made), "take a tensor", reason)) {
    ov_tensor_free(made);
    return false;
  }
  job->input[input] = made;
  job->shape[input] = *shape;
  return true;
}

bool job_input(const engine_t *engine, job_t *job, int input, const shape_t *shape, void **data, size_t *size,
               reason_t *reason) {
  bool same = job->input[input] && !memcmp(&job->shape[input], shape, sizeof *shape);
  if (!same && !renew_input(job, input, &engine->config.input[input], shape, reason)) return false;
  return well(ov_tensor_data(job->input[input], data), "lend a tensor's memory", reason) &&
         well(ov_tensor_get_byte_size(job->input[input], size), "measure a tensor", reason);
}

bool jobs_run(job_t *jobs, int count, reason_t *reason) {
  if (count == 1) { /* in this thread, which spares handing it to another and back */
    return well(ov_infer_request_infer(jobs->request), "infer", reason);
  }
  int started = 0;
  bool good = true;
  for (; good && started < count; started++) {
    good = well(ov_infer_request_start_async(jobs[started].request), "start an inference", reason);
    if (!good) break;
  }
  /* One that failed leaves the others reading their inputs: none may be busy when the next batch comes. */
  for (int i = 0; i < started; i++) {
    ov_status_e status = ov_infer_request_wait(jobs[i].request);
    good = good && well(status, "infer", reason);
  }
  return good;
}

bool job_output(const engine_t *engine, job_t *job, int output, shape_t *shape, const void **data, size_t *size,
                reason_t *reason) {
  ov_tensor_t *tensor = NULL;
  ov_shape_t found = {0, NULL};
  void *memory = NULL;
  const char *name = engine->config.output[output].name;
  bool good = well(ov_infer_request_get_tensor(job->request, name, &tensor), "lend an output", reason) &&
              well(ov_tensor_get_shape(tensor, &found), "tell an output's shape", reason) &&
              well(ov_tensor_data(tensor, &memory), "lend an output's memory", reason) &&
              well(ov_tensor_get_byte_size(tensor, size), "measure an output", reason);
  if (good && found.rank > MAX_RANK) good = failed(reason, "output '%s' has more than %d dimensions", name, MAX_RANK);
  if (good) {
    *shape = (shape_t){.rank = (uint32_t)found.rank};
    memcpy(shape->dims, found.dims, sizeof *found.dims * (size_t)found.rank);
    *data = memory;
  }
  if (found.dims) ov_shape_free(&found);
  if (tensor) ov_tensor_free(tensor); /* the handle: the memory belongs to the job */
  return good;
}
