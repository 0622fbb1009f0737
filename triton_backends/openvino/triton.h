/* The part of Triton's C API (backend API 1.x, 1.10 and newer) that this backend calls. Triton's wheel ships no header;
 * the symbols come from the server that loads the backend. Every handle is opaque. */

#ifndef TRITON_H
#define TRITON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRITON_API_MAJOR 1
#define TRITON_API_MINOR 10
#define TRITON_CONFIG_VERSION 1
#define TRITON_RELEASE_ALL 1
#define TRITON_RESPONSE_FINAL 1

typedef struct TRITONSERVER_Error TRITONSERVER_Error;
typedef struct TRITONSERVER_Message TRITONSERVER_Message;
typedef struct TRITONBACKEND_Backend TRITONBACKEND_Backend;
typedef struct TRITONBACKEND_Model TRITONBACKEND_Model;
typedef struct TRITONBACKEND_ModelInstance TRITONBACKEND_ModelInstance;
typedef struct TRITONBACKEND_Request TRITONBACKEND_Request;
typedef struct TRITONBACKEND_Input TRITONBACKEND_Input;
typedef struct TRITONBACKEND_Response TRITONBACKEND_Response;
typedef struct TRITONBACKEND_Output TRITONBACKEND_Output;

typedef enum {
  TRITON_ERROR_UNKNOWN,
  TRITON_ERROR_INTERNAL,
  TRITON_ERROR_NOT_FOUND,
  TRITON_ERROR_INVALID_ARG,
  TRITON_ERROR_UNAVAILABLE,
  TRITON_ERROR_UNSUPPORTED,
} triton_error_code_t;

typedef enum {
  TRITON_INVALID,
  TRITON_BOOL,
  TRITON_UINT8,
  TRITON_UINT16,
  TRITON_UINT32,
  TRITON_UINT64,
  TRITON_INT8,
  TRITON_INT16,
  TRITON_INT32,
  TRITON_INT64,
  TRITON_FP16,
  TRITON_FP32,
  TRITON_FP64,
  TRITON_BYTES,
  TRITON_BF16,
} triton_type_t;

typedef enum { TRITON_MEMORY_CPU, TRITON_MEMORY_CPU_PINNED, TRITON_MEMORY_GPU } triton_memory_t;
typedef enum { TRITON_ARTIFACT_FILESYSTEM } triton_artifact_t;
typedef enum { TRITON_LOG_INFO, TRITON_LOG_WARN, TRITON_LOG_ERROR } triton_log_t;

/* Calls return NULL, or an error that the caller deletes. */
TRITONSERVER_Error *TRITONSERVER_ErrorNew(triton_error_code_t code, const char *message);
void TRITONSERVER_ErrorDelete(TRITONSERVER_Error *error);
const char *TRITONSERVER_ErrorMessage(TRITONSERVER_Error *error);
TRITONSERVER_Error *TRITONSERVER_LogMessage(triton_log_t level, const char *file, int line, const char *message);
TRITONSERVER_Error *TRITONSERVER_MessageSerializeToJson(TRITONSERVER_Message *message, const char **base, size_t *size);
TRITONSERVER_Error *TRITONSERVER_MessageDelete(TRITONSERVER_Message *message);

TRITONSERVER_Error *TRITONBACKEND_ApiVersion(uint32_t *major, uint32_t *minor);

TRITONSERVER_Error *TRITONBACKEND_ModelName(TRITONBACKEND_Model *model, const char **name);
TRITONSERVER_Error *TRITONBACKEND_ModelVersion(TRITONBACKEND_Model *model, uint64_t *version);
TRITONSERVER_Error *TRITONBACKEND_ModelRepository(TRITONBACKEND_Model *model, triton_artifact_t *type,
                                                  const char **path);
TRITONSERVER_Error *TRITONBACKEND_ModelConfig(TRITONBACKEND_Model *model, uint32_t version,
                                              TRITONSERVER_Message **config);
TRITONSERVER_Error *TRITONBACKEND_ModelState(TRITONBACKEND_Model *model, void **state);
TRITONSERVER_Error *TRITONBACKEND_ModelSetState(TRITONBACKEND_Model *model, void *state);

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance *instance,
                                                     TRITONBACKEND_Model **model);
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceState(TRITONBACKEND_ModelInstance *instance, void **state);
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceSetState(TRITONBACKEND_ModelInstance *instance, void *state);
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceReportStatistics(TRITONBACKEND_ModelInstance *instance,
                                                                TRITONBACKEND_Request *request, bool success,
                                                                uint64_t begin_ns, uint64_t compute_begin_ns,
                                                                uint64_t compute_end_ns, uint64_t end_ns);
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceReportBatchStatistics(TRITONBACKEND_ModelInstance *instance,
                                                                     uint64_t rows, uint64_t begin_ns,
                                                                     uint64_t compute_begin_ns, uint64_t compute_end_ns,
                                                                     uint64_t end_ns);

TRITONSERVER_Error *TRITONBACKEND_RequestInput(TRITONBACKEND_Request *request, const char *name,
                                               TRITONBACKEND_Input **input);
TRITONSERVER_Error *TRITONBACKEND_RequestOutputCount(TRITONBACKEND_Request *request, uint32_t *count);
TRITONSERVER_Error *TRITONBACKEND_RequestOutputName(TRITONBACKEND_Request *request, uint32_t index, const char **name);
TRITONSERVER_Error *TRITONBACKEND_RequestRelease(TRITONBACKEND_Request *request, uint32_t flags);
TRITONSERVER_Error *TRITONBACKEND_InputProperties(TRITONBACKEND_Input *input, const char **name, triton_type_t *type,
                                                  const int64_t **shape, uint32_t *rank, uint64_t *size,
                                                  uint32_t *buffers);
TRITONSERVER_Error *TRITONBACKEND_InputBuffer(TRITONBACKEND_Input *input, uint32_t index, const void **buffer,
                                              uint64_t *size, triton_memory_t *memory, int64_t *memory_id);

TRITONSERVER_Error *TRITONBACKEND_ResponseNew(TRITONBACKEND_Response **response, TRITONBACKEND_Request *request);
TRITONSERVER_Error *TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response *response, TRITONBACKEND_Output **output,
                                                 const char *name, triton_type_t type, const int64_t *shape,
                                                 uint32_t rank);
TRITONSERVER_Error *TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output *output, void **buffer, uint64_t size,
                                               triton_memory_t *memory, int64_t *memory_id);
TRITONSERVER_Error *TRITONBACKEND_ResponseSend(TRITONBACKEND_Response *response, uint32_t flags,
                                               TRITONSERVER_Error *error);

#endif
