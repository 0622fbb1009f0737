/* Triton's `openvino` backend: runs an ONNX (or OpenVINO IR) file on the CPU, inside the server's process.
 *
 * It carries the name of the backend in NVIDIA's container and reads the same parameters, so that one config.pbtxt
 * serves on a laptop and there.
 *
 * Parameters (config.pbtxt), all optional:
 *   INFERENCE_NUM_THREADS: threads of one instance; by default what the environment's OPENVINO_THREADS says, and
 *     without that the instances share the cores that this process may use.
 *   NUM_STREAMS: groups that share the threads of an instance, each inferring a piece of the batch; by default (`AUTO`)
 *     one for every four threads.
 *   CACHE_DIR: folder for compiled models; by default the environment's OPENVINO_CACHE, and without that nothing is
 *     kept.
 *
 * Threads follow the number of instances at the time when a version is loaded: where only `instance_group` changes,
 * Triton loads nothing anew. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

#define EXPORTED __attribute__((visibility("default"))) TRITONSERVER_Error *

static TRITONSERVER_Error *as_error(const reason_t *reason) {
  return TRITONSERVER_ErrorNew(TRITON_ERROR_INVALID_ARG, reason->text);
}

EXPORTED TRITONBACKEND_Initialize(TRITONBACKEND_Backend *backend) {
  (void)backend;
  uint32_t major, minor;
  TRITONSERVER_Error *error = TRITONBACKEND_ApiVersion(&major, &minor);
  if (error || (major == TRITON_API_MAJOR && minor >= TRITON_API_MINOR)) return error;
  reason_t reason;
  failed(&reason, "Triton's backend API is %u.%u, this backend needs %d.%d", major, minor, TRITON_API_MAJOR,
         TRITON_API_MINOR);
  return TRITONSERVER_ErrorNew(TRITON_ERROR_UNSUPPORTED, reason.text);
}

EXPORTED TRITONBACKEND_Finalize(TRITONBACKEND_Backend *backend) {
  (void)backend;
  return NULL;
}

static TRITONSERVER_Error *read_config(TRITONBACKEND_Model *model, config_t *config) {
  TRITONSERVER_Message *message;
  TRITONSERVER_Error *error = TRITONBACKEND_ModelConfig(model, TRITON_CONFIG_VERSION, &message);
  if (error) return error;
  const char *base;
  size_t size;
  reason_t reason;
  char *json = NULL;
  error = TRITONSERVER_MessageSerializeToJson(message, &base, &size);
  if (!error && !(json = strndup(base, size))) error = TRITONSERVER_ErrorNew(TRITON_ERROR_INTERNAL, "out of memory");
  if (!error && !config_read(json, config, &reason)) error = as_error(&reason);
  free(json);
  TRITONSERVER_Error *late = TRITONSERVER_MessageDelete(message);
  if (late) TRITONSERVER_ErrorDelete(late);
  return error;
}

static TRITONSERVER_Error *find_file(TRITONBACKEND_Model *model, const config_t *config, char *path, size_t size) {
  triton_artifact_t type;
  const char *folder;
  uint64_t version;
  TRITONSERVER_Error *error = TRITONBACKEND_ModelRepository(model, &type, &folder);
  if (!error) error = TRITONBACKEND_ModelVersion(model, &version);
  if (error) return error;
  if (type != TRITON_ARTIFACT_FILESYSTEM) {
    return TRITONSERVER_ErrorNew(TRITON_ERROR_UNSUPPORTED, "the model is in no folder");
  }
  snprintf(path, size, "%s/%llu/%s", folder, (unsigned long long)version, config->file);
  return NULL;
}

static void announce(TRITONBACKEND_Model *model, const char *path, const config_t *config) {
  const char *name = "";
  TRITONSERVER_Error *error = TRITONBACKEND_ModelName(model, &name);
  if (error) TRITONSERVER_ErrorDelete(error);
  char line[1024];
  snprintf(line, sizeof line, "openvino: %s: %.700s: %ld instances, each with %ld threads in %ld streams", name, path,
           config->instances, config->threads, config->streams);
  error = TRITONSERVER_LogMessage(TRITON_LOG_INFO, __FILE__, __LINE__, line);
  if (error) TRITONSERVER_ErrorDelete(error);
}

EXPORTED TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model *model) {
  config_t config;
  char path[4096];
  reason_t reason;
  TRITONSERVER_Error *error = read_config(model, &config);
  if (!error) error = find_file(model, &config, path, sizeof path);
  if (error) return error;
  engine_t *engine = engine_open(path, &config, &reason);
  if (!engine) return as_error(&reason);
  announce(model, path, &config);
  error = TRITONBACKEND_ModelSetState(model, engine);
  if (error) engine_close(engine);
  return error;
}

EXPORTED TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model *model) {
  void *engine;
  TRITONSERVER_Error *error = TRITONBACKEND_ModelState(model, &engine);
  if (!error) engine_close(engine);
  return error;
}

EXPORTED TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance *instance) {
  TRITONBACKEND_Model *model;
  void *engine;
  reason_t reason;
  TRITONSERVER_Error *error = TRITONBACKEND_ModelInstanceModel(instance, &model);
  if (!error) error = TRITONBACKEND_ModelState(model, &engine);
  if (error) return error;
  worker_t *worker = worker_open(engine, &reason);
  if (!worker) return as_error(&reason);
  error = TRITONBACKEND_ModelInstanceSetState(instance, worker);
  if (error) worker_close(worker);
  return error;
}

EXPORTED TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance *instance) {
  void *worker;
  TRITONSERVER_Error *error = TRITONBACKEND_ModelInstanceState(instance, &worker);
  if (!error) worker_close(worker);
  return error;
}

EXPORTED TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *instance, TRITONBACKEND_Request **requests,
                                            const uint32_t count) {
  void *worker;
  TRITONSERVER_Error *error = TRITONBACKEND_ModelInstanceState(instance, &worker);
  if (!error) batch_execute(worker, instance, requests, count);
  return error;
}
