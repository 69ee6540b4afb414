/* api.h - the calls of a GPU's driver that lathe uses, as one table: filled from the CUDA driver, from HIP, or by a test's mock.
 *
 * Both drivers have the same functions under other names (cuX, hipX), with device pointers, streams, events and modules as words
 * of 64 bits, so that one set of types serves both.  0 is success. */
#ifndef GPU_API_H
#define GPU_API_H
#include <stddef.h>
#include <stdint.h>

/* GPU_CALL(field, CUDA's name, HIP's name, parameters) */
#define GPU_CALLS(X)                                                                                        \
    X(device_count, cuDeviceGetCount, hipGetDeviceCount, (int *n))                                           \
    X(device_name, cuDeviceGetName, hipDeviceGetName, (char *name, int size, int device))                    \
    X(device_bytes, cuDeviceTotalMem_v2, hipDeviceTotalMem, (size_t *n, int device))                         \
    X(driver_version, cuDriverGetVersion, hipDriverGetVersion, (int *version))                               \
    X(mem_info, cuMemGetInfo_v2, hipMemGetInfo, (size_t *free, size_t *total))                               \
    X(alloc, cuMemAlloc_v2, hipMalloc, (void **p, size_t n))                                                 \
    X(free, cuMemFree_v2, hipFree, (void *p))                                                                \
    X(put, cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync, (void *to, const void *from, size_t n, void *stream))   \
    X(get, cuMemcpyDtoHAsync_v2, hipMemcpyDtoHAsync, (void *to, const void *from, size_t n, void *stream))   \
    X(copy, cuMemcpyDtoDAsync_v2, hipMemcpyDtoDAsync, (void *to, const void *from, size_t n, void *stream))  \
    X(fill, cuMemsetD8Async, hipMemsetD8Async, (void *p, unsigned char value, size_t n, void *stream))       \
    X(stream_new, cuStreamCreate, hipStreamCreateWithFlags, (void **stream, unsigned flags))                 \
    X(stream_free, cuStreamDestroy_v2, hipStreamDestroy, (void *stream))                                     \
    X(stream_wait, cuStreamSynchronize, hipStreamSynchronize, (void *stream))                                \
    X(event_new, cuEventCreate, hipEventCreateWithFlags, (void **event, unsigned flags))                     \
    X(event_free, cuEventDestroy_v2, hipEventDestroy, (void *event))                                         \
    X(event_record, cuEventRecord, hipEventRecord, (void *event, void *stream))                              \
    X(event_wait, cuEventSynchronize, hipEventSynchronize, (void *event))                                    \
    X(event_ms, cuEventElapsedTime, hipEventElapsedTime, (float *ms, void *from, void *to))                  \
    X(stream_wait_event, cuStreamWaitEvent, hipStreamWaitEvent, (void *stream, void *event, unsigned flags)) \
    X(module_load, cuModuleLoadData, hipModuleLoadData, (void **module, const void *image))                  \
    X(module_free, cuModuleUnload, hipModuleUnload, (void *module))                                          \
    X(module_kernel, cuModuleGetFunction, hipModuleGetFunction, (void **kernel, void *module, const char *name)) \
    X(launch, cuLaunchKernel, hipModuleLaunchKernel,                                                         \
      (void *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra)) \
    X(kernel_attribute, cuFuncSetAttribute, hipFuncSetAttribute, (void *kernel, int attribute, int value))   \
    X(capture_begin, cuStreamBeginCapture_v2, hipStreamBeginCapture, (void *stream, int mode))               \
    X(capture_end, cuStreamEndCapture, hipStreamEndCapture, (void *stream, void **graph))                    \
    X(graph_new, cuGraphInstantiateWithFlags, hipGraphInstantiateWithFlags, (void **run, void *graph, unsigned long long flags)) \
    X(graph_launch, cuGraphLaunch, hipGraphLaunch, (void *run, void *stream))                                \
    X(graph_free, cuGraphDestroy, hipGraphDestroy, (void *graph))                                            \
    X(graph_run_free, cuGraphExecDestroy, hipGraphExecDestroy, (void *run))                                  \
    X(host_free, cuMemFreeHost, hipHostFree, (void *p))

struct gpu_api {
#define X(field, cuda, hip, params) int (*field) params;
    GPU_CALLS(X)
#undef X
    /* Where the drivers differ. */
    int (*host_alloc)(void **p, size_t n);                     /* pinned */
    int (*device_begin)(int device);                           /* this thread's calls are for that device */
    void (*device_end)(int device);
    int (*device_use)(int device);                             /* the same for another thread, after device_begin */
    const char *(*error_text)(int rc);
    int (*facts)(int device, char arch[32], int *n_unit, int *clock_mhz);      /* "sm_90", "gfx942"; 0 where not known */
    /* cuTensorMapEncodeTiled; NULL where there is no copy engine of tensors. */
    int (*tensor_map)(void *map, int type, unsigned rank, void *p, const uint64_t *size, const uint64_t *stride, const unsigned *box, const unsigned *step, int interleave,
                      int swizzle, int promotion, int fill);
    /* Several devices.  peer_open: this thread's calls are for `device`, which from now on reaches what `peer` has; fine when it did already. */
    int (*peer_can)(int *can, int device, int peer);
    int (*peer_open)(int device, int peer);
    int (*copy_peer)(void *to, int device, const void *from, int peer, size_t n, void *stream);
    const char *word;                                          /* "cuda", "hip", "mock" */
};
struct err;
/* Opens the library (LATHE_CUDA_LIB, LATHE_HIP_LIB name another) and finds every call; which is missing is said. */
int gpu_api_cuda(const struct gpu_api **out, struct err *err);
int gpu_api_hip(const struct gpu_api **out, struct err *err);
#endif
