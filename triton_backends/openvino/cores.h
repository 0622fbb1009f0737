#ifndef CORES_H
#define CORES_H

/* Cores that this process may keep busy: its affinity, or its container's quota where that is less. At least 1. */
long usable_cores(void);

#endif
