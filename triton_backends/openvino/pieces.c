#define _GNU_SOURCE
#include "pieces.h"

#include <string.h>
#include <time.h>

#define MOST_ROUNDS 6
#define FEWEST_ROUNDS 2
#define TIME_NS 1000000000u
#define MARGIN 1.05 /* what other work on the machine does to a measurement */

const uint64_t PIECES[SIZES] = {8, 4, 2, 1}; /* 4 images cost about as much as 8, each */

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Gives a job inputs of zeros; false where the model leaves a dimension open. */
static bool fill(const worker_t *worker, int size) {
  for (int i = 0; i < engine_config(worker->engine)->inputs; i++) {
    shape_t shape;
    void *data;
    size_t bytes;
    reason_t reason;
    if (!engine_shape(worker->engine, i, PIECES[size], &shape)) return false;
    if (!job_input(worker->engine, worker->jobs[size], i, &shape, &data, &bytes, &reason)) return false;
    memset(data, 0, bytes);
  }
  return true;
}

/* Notes what a row takes in nanoseconds, where that is less than before. */
static bool measure(const worker_t *worker, int size, double *least_ns) {
  reason_t reason;
  uint64_t begin = now_ns();
  if (!jobs_run(worker->jobs[size], 1, &reason)) return false;
  double row_ns = (double)(now_ns() - begin) / (double)PIECES[size];
  if (row_ns < *least_ns) *least_ns = row_ns;
  return true;
}

static bool measure_all(const worker_t *worker, double least_ns[SIZES]) {
  for (int size = 0; size < SIZES; size++) {
    if (!measure(worker, size, &least_ns[size])) return false;
  }
  return true;
}

void pieces_choose(worker_t *worker, bool pays[SIZES]) {
  uint64_t end = now_ns() + TIME_NS;
  double cold_ns[SIZES], least_ns[SIZES];
  for (int size = 0; size < SIZES; size++) {
    pays[size] = true;
    cold_ns[size] = least_ns[size] = 1e18;
  }
  for (int size = 0; size < SIZES; size++) {
    if (!fill(worker, size)) return;
  }
  if (!measure_all(worker, cold_ns) || now_ns() > end) return;
  for (int round = 0; round < MOST_ROUNDS && (round < FEWEST_ROUNDS || now_ns() < end); round++) {
    if (!measure_all(worker, least_ns)) return;
  }
  double smaller_ns = least_ns[SIZES - 1];
  for (int size = SIZES - 2; size >= 0; size--) {
    pays[size] = least_ns[size] <= MARGIN * smaller_ns;
    if (least_ns[size] < smaller_ns) smaller_ns = least_ns[size];
  }
}
