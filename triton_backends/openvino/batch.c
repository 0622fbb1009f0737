#define _GNU_SOURCE
#include "batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A request on its way to its response. */
typedef struct {
  TRITONBACKEND_Request *request;
  TRITONBACKEND_Response *response;
  TRITONSERVER_Error *error;
  uint64_t rows;
  TRITONBACKEND_Input *input[MAX_TENSORS];
  uint32_t buffers[MAX_TENSORS];
  shape_t shape[MAX_TENSORS];   /* of the inputs, rows included */
  uint8_t *output[MAX_TENSORS]; /* NULL where it is not wanted */
} call_t;

/* Equal calls, one behind the other: each of their inputs and outputs is one run of bytes, in pieces of memory. */
typedef struct {
  call_t *calls;
  uint32_t count;
  size_t row[MAX_TENSORS]; /* bytes that each output has for a row, once the first piece has told */
} group_t;

typedef struct {
  uint32_t call, buffer;
  size_t offset;
} place_t;

typedef struct {
  uint64_t begin_ns, compute_begin_ns, compute_end_ns;
} times_t;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void drop(TRITONSERVER_Error *error) {
  if (error) TRITONSERVER_ErrorDelete(error);
}

static void refuse(call_t *call, triton_error_code_t code, const reason_t *reason) {
  if (!call->error) call->error = TRITONSERVER_ErrorNew(code, reason->text);
}

/* Looks at a request's inputs; one that the model does not take is refused. */
static void open_call(const engine_t *engine, call_t *call) {
  const config_t *config = engine_config(engine);
  reason_t reason;
  if ((call->error = TRITONBACKEND_ResponseNew(&call->response, call->request))) return;
  for (int i = 0; i < config->inputs; i++) {
    const char *name;
    triton_type_t type;
    const int64_t *dims;
    uint32_t rank;
    uint64_t size;
    if ((call->error = TRITONBACKEND_RequestInput(call->request, config->input[i].name, &call->input[i]))) return;
    call->error = TRITONBACKEND_InputProperties(call->input[i], &name, &type, &dims, &rank, &size, &call->buffers[i]);
    if (call->error) return;
    if (rank > MAX_RANK) {
      failed(&reason, "input '%s' has %u dimensions, at most %d are possible", name, rank, MAX_RANK);
      return refuse(call, TRITON_ERROR_INVALID_ARG, &reason);
    }
    call->shape[i].rank = rank;
    memcpy(call->shape[i].dims, dims, rank * sizeof *dims);
    if (!engine_takes(engine, i, &call->shape[i], &reason)) return refuse(call, TRITON_ERROR_INVALID_ARG, &reason);
  }
  call->rows = 1;
  if (!config->max_rows) return;
  int64_t rows = call->shape[0].dims[0];
  call->rows = (uint64_t)rows;
  if (rows >= 1 && rows <= config->max_rows) return;
  failed(&reason, "input '%s' has %" PRId64 " rows, not 1 to %ld", config->input[0].name, rows, config->max_rows);
  refuse(call, TRITON_ERROR_INVALID_ARG, &reason);
}

/* Says whether two calls can be stacked: but for their rows they have the same shapes. */
static bool alike(const config_t *config, const call_t *one, const call_t *other) {
  for (int i = 0; i < config->inputs; i++) {
    const shape_t *a = &one->shape[i], *b = &other->shape[i];
    if (a->rank != b->rank || a->rank < 1) return false;
    if (memcmp(a->dims + 1, b->dims + 1, (a->rank - 1) * sizeof *a->dims)) return false;
  }
  return true;
}

/* Copies the next bytes of an input of the group. */
static bool gather(const group_t *group, int input, place_t *place, uint8_t *to, size_t size, reason_t *reason) {
  while (size) {
    if (place->call == group->count) return failed(reason, "an input has fewer bytes than its shape says");
    call_t *call = &group->calls[place->call];
    if (place->buffer == call->buffers[input]) {
      *place = (place_t){.call = place->call + 1};
      continue;
    }
    const void *from;
    uint64_t length;
    triton_memory_t memory = TRITON_MEMORY_CPU;
    int64_t memory_id = 0;
    TRITONSERVER_Error *error =
        TRITONBACKEND_InputBuffer(call->input[input], place->buffer, &from, &length, &memory, &memory_id);
    if (error || memory == TRITON_MEMORY_GPU) {
      failed(reason, "an input cannot be read: %s", error ? TRITONSERVER_ErrorMessage(error) : "it is on a GPU");
      drop(error);
      return false;
    }
    size_t some = length - place->offset < size ? length - place->offset : size;
    memcpy(to, (const uint8_t *)from + place->offset, some);
    to += some;
    size -= some;
    place->offset += some;
    if (place->offset == length) *place = (place_t){.call = place->call, .buffer = place->buffer + 1};
  }
  return true;
}

/* Copies the next bytes of an output to the calls that they belong to. */
static void scatter(const group_t *group, int output, place_t *place, const uint8_t *from, size_t size) {
  while (size) {
    call_t *call = &group->calls[place->call];
    size_t length = call->rows * group->row[output];
    size_t some = length - place->offset < size ? length - place->offset : size;
    if (call->output[output]) memcpy(call->output[output] + place->offset, from, some);
    from += some;
    size -= some;
    place->offset += some;
    if (place->offset == length) *place = (place_t){.call = place->call + 1};
  }
}

static int find_output(const config_t *config, const char *name) {
  int i = 0;
  while (i < config->outputs && strcmp(config->output[i].name, name)) i++;
  return i;
}

/* Makes the outputs that a call asks for. `shapes` are those of a piece, `row` the bytes of each for a row. */
static void open_outputs(const config_t *config, call_t *call, const shape_t *shapes, const size_t *row) {
  uint32_t count = 0;
  if ((call->error = TRITONBACKEND_RequestOutputCount(call->request, &count))) return;
  for (uint32_t wanted = 0; wanted < count; wanted++) {
    const char *name;
    if ((call->error = TRITONBACKEND_RequestOutputName(call->request, wanted, &name))) return;
    int i = find_output(config, name);
    if (i == config->outputs) continue; /* Triton has checked the names */
    shape_t shape = shapes[i];
    if (config->max_rows) shape.dims[0] = (int64_t)call->rows;
    TRITONBACKEND_Output *output;
    call->error =
        TRITONBACKEND_ResponseOutput(call->response, &output, name, config->output[i].type, shape.dims, shape.rank);
    if (call->error) return;
    triton_memory_t memory = TRITON_MEMORY_CPU;
    int64_t memory_id = 0;
    void *buffer;
    call->error = TRITONBACKEND_OutputBuffer(output, &buffer, row[i] * call->rows, &memory, &memory_id);
    if (call->error) return;
    reason_t reason;
    if (memory == TRITON_MEMORY_GPU) {
      failed(&reason, "output '%s' is wanted on a GPU", name);
      return refuse(call, TRITON_ERROR_UNSUPPORTED, &reason);
    }
    call->output[i] = buffer;
  }
}

/* Reads the outputs of a piece of `rows` rows into the calls; the first piece of a group tells how large they are. */
static bool answer(const engine_t *engine, group_t *group, job_t *job, uint64_t rows, place_t *places, bool first,
                   reason_t *reason) {
  const config_t *config = engine_config(engine);
  shape_t shapes[MAX_TENSORS];
  size_t sizes[MAX_TENSORS];
  const void *data[MAX_TENSORS];
  for (int i = 0; i < config->outputs; i++) {
    if (!job_output(engine, job, i, &shapes[i], &data[i], &sizes[i], reason)) return false;
    bool stacked = shapes[i].rank > 0 && shapes[i].dims[0] == (int64_t)rows;
    if (config->max_rows && !stacked) return failed(reason, "output '%s' has no batch", config->output[i].name);
    if (first) group->row[i] = sizes[i] / rows;
    if (sizes[i] != group->row[i] * rows) {
      return failed(reason, "rows of output '%s' differ in size", config->output[i].name);
    }
  }
  for (uint32_t each = 0; first && each < group->count; each++) {
    open_outputs(config, &group->calls[each], shapes, group->row);
  }
  for (int i = 0; i < config->outputs; i++) scatter(group, i, &places[i], data[i], sizes[i]);
  return true;
}

static bool fill(const engine_t *engine, const group_t *group, job_t *job, uint64_t size, place_t *places,
                 reason_t *reason) {
  const config_t *config = engine_config(engine);
  for (int i = 0; i < config->inputs; i++) {
    shape_t shape = group->calls->shape[i];
    if (config->max_rows) shape.dims[0] = (int64_t)size;
    void *data;
    size_t bytes;
    if (!job_input(engine, job, i, &shape, &data, &bytes, reason)) return false;
    if (!gather(group, i, &places[i], data, bytes, reason)) return false;
  }
  return true;
}

static bool infer(worker_t *worker, group_t *group, reason_t *reason) {
  place_t inputs[MAX_TENSORS] = {0}, outputs[MAX_TENSORS] = {0};
  uint64_t rows = 0;
  for (uint32_t i = 0; i < group->count; i++) rows += group->calls[i].rows;
  for (uint64_t done = 0; done < rows;) {
    uint64_t size;
    job_t *jobs;
    int pieces = worker_plan(worker, rows - done, &size, &jobs);
    for (int i = 0; i < pieces; i++) {
      if (!fill(worker->engine, group, &jobs[i], size, inputs, reason)) return false;
    }
    if (!jobs_run(jobs, pieces, reason)) return false;
    for (int i = 0; i < pieces; i++) {
      uint64_t each = size ? size : 1;
      if (!answer(worker->engine, group, &jobs[i], each, outputs, done == 0 && i == 0, reason)) return false;
    }
    done += (uint64_t)pieces * (size ? size : 1);
  }
  return true;
}

/* Infers calls in groups of equal shapes, in their order. */
static void infer_all(worker_t *worker, call_t *calls, uint32_t count) {
  const config_t *config = engine_config(worker->engine);
  for (uint32_t first = 0, next; first < count; first = next) {
    for (next = first + 1; next < count; next++) {
      if (!config->max_rows || !alike(config, &calls[first], &calls[next])) break;
    }
    group_t group = {.calls = &calls[first], .count = next - first};
    reason_t reason;
    if (infer(worker, &group, &reason)) continue;
    for (uint32_t i = 0; i < group.count; i++) refuse(&group.calls[i], TRITON_ERROR_INTERNAL, &reason);
  }
}

static void close_call(call_t *call, TRITONBACKEND_ModelInstance *instance, const times_t *times) {
  bool good = !call->error;
  if (call->response) drop(TRITONBACKEND_ResponseSend(call->response, TRITON_RESPONSE_FINAL, call->error));
  drop(call->error);
  drop(TRITONBACKEND_ModelInstanceReportStatistics(instance, call->request, good, times->begin_ns,
                                                   times->compute_begin_ns, times->compute_end_ns, now_ns()));
  drop(TRITONBACKEND_RequestRelease(call->request, TRITON_RELEASE_ALL));
}

/* Moves the calls that were refused behind the others; returns how many others there are. */
static uint32_t set_refused_apart(call_t *calls, uint32_t count) {
  uint32_t good = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (calls[i].error) continue;
    call_t call = calls[i];
    calls[i] = calls[good];
    calls[good++] = call;
  }
  return good;
}

void batch_execute(worker_t *worker, TRITONBACKEND_ModelInstance *instance, TRITONBACKEND_Request **requests,
                   uint32_t count) {
  times_t times = {.begin_ns = now_ns()};
  uint64_t rows = 0;
  call_t *calls = calloc(count, sizeof *calls);
  if (!calls) abort(); /* Triton is started again; a request without an answer would wait for ever */
  for (uint32_t i = 0; i < count; i++) {
    calls[i].request = requests[i];
    open_call(worker->engine, &calls[i]);
  }
  uint32_t good = set_refused_apart(calls, count);
  for (uint32_t i = 0; i < good; i++) rows += calls[i].rows;
  times.compute_begin_ns = now_ns();
  infer_all(worker, calls, good);
  times.compute_end_ns = now_ns();
  for (uint32_t i = 0; i < count; i++) close_call(&calls[i], instance, &times);
  if (rows) {
    drop(TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, rows, times.begin_ns, times.compute_begin_ns,
                                                          times.compute_end_ns, now_ns()));
  }
  free(calls);
}
