#define _GNU_SOURCE
#include "cores.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads the numbers of a control group's file; false where there are not as many. "max" is no number. */
static int numbers(const char *path, const char *format, long *first, long *second) {
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  int found = fscanf(file, format, first, second);
  fclose(file);
  return found > 0 ? found : 0;
}

/* Returns the cores that a quota is worth, rounded up, or 0 where there is none. */
static long quota(void) {
  long used_us = 0, period_us = 0;
  if (numbers("/sys/fs/cgroup/cpu.max", "%ld %ld", &used_us, &period_us) != 2) {
    if (numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "%ld", &used_us, NULL) != 1) return 0;
    if (numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "%ld", &period_us, NULL) != 1) return 0;
  }
  return used_us > 0 && period_us > 0 ? (used_us + period_us - 1) / period_us : 0;
}

long usable_cores(void) {
  cpu_set_t *set = CPU_ALLOC(CPU_SETSIZE * 8);
  size_t size = CPU_ALLOC_SIZE(CPU_SETSIZE * 8);
  long cores = set && !sched_getaffinity(0, size, set) ? CPU_COUNT_S(size, set) : 1;
  if (set) CPU_FREE(set);
  long allowed = quota();
  return allowed > 0 && allowed < cores ? allowed : cores;
}
