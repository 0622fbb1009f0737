/* Requests in, responses out: stacks what came together, and answers each by itself. */

#ifndef BATCH_H
#define BATCH_H

#include "engine.h"

/* Answers, reports and releases every request; what is wrong with one never touches another. */
void batch_execute(worker_t *worker, TRITONBACKEND_ModelInstance *instance, TRITONBACKEND_Request **requests,
                   uint32_t count);

#endif
