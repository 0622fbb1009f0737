/* What config.pbtxt and the environment say of a model. */

#ifndef CONFIG_H
#define CONFIG_H

#include "reason.h"
#include "triton.h"

#define MAX_TENSORS 16
#define MAX_NAME 256

typedef struct {
  char name[MAX_NAME];
  triton_type_t type;
} tensor_t;

typedef struct {
  char file[MAX_NAME]; /* of the model, in the folder of its version */
  long max_rows;       /* of a request whose tensors begin with a dimension for the batch; 0 where they do not */
  int inputs, outputs;
  tensor_t input[MAX_TENSORS], output[MAX_TENSORS];
  long instances;
  long threads;     /* of one instance */
  long streams;     /* of one instance: groups that share its threads, each inferring a piece of the batch */
  char cache[4096]; /* folder for compiled models; empty where nothing is kept */
} config_t;

/* Reads a model's configuration as JSON. False, with the reason, where something in it cannot be. */
bool config_read(const char *json, config_t *config, reason_t *reason);

#endif
