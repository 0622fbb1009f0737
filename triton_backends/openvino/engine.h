/* Runs one model file on OpenVINO. Compiled for a fixed batch, a model takes less time than compiled for any, 0.83 to
 * 0.93 of it (benchmarks/openvino_batches.py), so it is compiled for several sizes, and a batch of 13 runs as 8 + 4
 * + 1. */

#ifndef ENGINE_H
#define ENGINE_H

#include <openvino/c/openvino.h>

#include "config.h"

#define MAX_RANK 8
#define SIZES 4

typedef struct {
  uint32_t rank;
  int64_t dims[MAX_RANK];
} shape_t;

/* A model, compiled: shared by all its instances. */
typedef struct engine engine_t;

/* An inference that can be under way: whoever fills its inputs runs it and reads its outputs. */
typedef struct {
  ov_infer_request_t *request;
  ov_tensor_t *input[MAX_TENSORS];
  shape_t shape[MAX_TENSORS]; /* of the inputs, as they were last */
} job_t;

/* What an instance needs to infer: jobs for each size, one per stream. */
typedef struct {
  const engine_t *engine;
  job_t *jobs[SIZES];
} worker_t;

/* Reads and compiles a model. NULL, with the reason, where it cannot be or is not what the configuration says. */
engine_t *engine_open(const char *path, const config_t *config, reason_t *reason);
void engine_close(engine_t *engine);
const config_t *engine_config(const engine_t *engine);

/* Says whether the model takes an input of this shape; where not, why. */
bool engine_takes(const engine_t *engine, int input, const shape_t *shape, reason_t *reason);

worker_t *worker_open(const engine_t *engine, reason_t *reason);
void worker_close(worker_t *worker);

/* Plans the next wave of a batch: equal pieces, one per stream, that leave no stream without work for long. Returns how
 * many; `size` is the rows of each, 0 where the model has no batch; `jobs` are those that take them. */
int worker_plan(const worker_t *worker, uint64_t left, uint64_t *size, job_t **jobs);

/* Lends the memory of an input, to be filled with a tensor of this shape. */
bool job_input(const engine_t *engine, job_t *job, int input, const shape_t *shape, void **data, size_t *size,
               reason_t *reason);

/* Runs jobs at the same time, and waits for all of them whatever becomes of each. */
bool jobs_run(job_t *jobs, int count, reason_t *reason);

/* Lends an output, which stands until the job runs again. */
bool job_output(const engine_t *engine, job_t *job, int output, shape_t *shape, const void **data, size_t *size,
                reason_t *reason);

#endif
