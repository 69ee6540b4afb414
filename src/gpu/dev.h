/* dev.h - one GPU: its memory, streams, events, graphs, and the launch of the kernels of gpu/kernels.def.
 *
 * LATHE_CUDA_LIB and LATHE_HIP_LIB name another library, LATHE_KFD another folder for what the kernel says of AMD's devices.  gpu_open() takes "cuda:N" or "hip:N", opens the driver's library, and loads the built-in code for the device's architecture;
 * what is missing (library, device, architecture, code) is said.  Device pointers are plain pointers that the host may not follow.
 * A struct gpu is used by one thread at a time.  Work on a stream runs in order; stream NULL is the device's own default one.
 * Every call that returns int gives 0 or an ERR_ code with the driver's words; after ERR_IO the device may be lost: close it. */
#ifndef GPU_DEV_H
#define GPU_DEV_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "gpu/api.h"

enum gpu_kernel {
#define K(name, file, n_thread, n_block, args, what) GPU_##name,
#include "gpu/kernels.def"
#undef K
    N_GPU_KERNEL
};
const char *gpu_kernel_name(enum gpu_kernel k);
const char *gpu_kernel_what(enum gpu_kernel k);
int gpu_kernel_threads(enum gpu_kernel k);
/* Of the arguments' struct. */
size_t gpu_kernel_args(enum gpu_kernel k);

struct gpu_facts { char name[128], arch[32]; const char *driver; int driver_version, device, n_unit, clock_mhz, wave; size_t bytes, bytes_free; };

struct gpu;
int gpu_open(struct gpu **out, const char *device, struct err *err);
/* The same with a table of calls that the caller has (a mock); target: which of the built-in images to load. */
int gpu_open_api(struct gpu **out, const struct gpu_api *api, int device, const char *target, struct err *err);
int gpu_use(struct gpu *g, struct err *err);            /* from now on this thread, and no other, calls for it */
void gpu_close(struct gpu *g);                          /* NULL is fine */
const struct gpu_facts *gpu_facts(const struct gpu *g);
const struct gpu_api *gpu_calls(const struct gpu *g);   /* for what this header has not */

int gpu_room(struct gpu *g, size_t *bytes, struct err *err);              /* free now */
int gpu_alloc(struct gpu *g, void **p, size_t n, struct err *err);      /* ERR_NOMEM says how much was asked and is free */
void gpu_free(struct gpu *g, void *p);
int gpu_host_alloc(struct gpu *g, void **p, size_t n, struct err *err); /* pinned: copies from and to it do not hold up the host */
void gpu_host_free(struct gpu *g, void *p);
int gpu_put(struct gpu *g, void *stream, void *to, const void *from, size_t n, struct err *err);
int gpu_get(struct gpu *g, void *stream, void *to, const void *from, size_t n, struct err *err);
int gpu_copy(struct gpu *g, void *stream, void *to, const void *from, size_t n, struct err *err);
/* Several devices of one driver, each opened by itself.  gpu_peer: kernels of g read and write what the peer has from now on, if *reaches.  gpu_copy_peer: from
 * the peer's memory, whether it is reached or not. */
int gpu_peer(struct gpu *g, const struct gpu *peer, bool *reaches, struct err *err);
int gpu_copy_peer(struct gpu *g, void *stream, void *to, const struct gpu *peer, const void *from, size_t n, struct err *err);
int gpu_fill(struct gpu *g, void *stream, void *p, unsigned char value, size_t n, struct err *err);

int gpu_stream_new(struct gpu *g, void **stream, struct err *err);
void gpu_stream_free(struct gpu *g, void *stream);
int gpu_wait(struct gpu *g, void *stream, struct err *err);             /* until all work of the stream is done */
int gpu_event_new(struct gpu *g, void **event, struct err *err);
void gpu_event_free(struct gpu *g, void *event);
int gpu_event_record(struct gpu *g, void *event, void *stream, struct err *err);
int gpu_stream_after(struct gpu *g, void *stream, void *event, struct err *err);        /* what is given to the stream from now on waits for it; also for another device's event */
int gpu_event_wait(struct gpu *g, void *event, struct err *err);        /* until what was given before it is done */
int gpu_event_ms(struct gpu *g, void *from, void *to, double *ms, struct err *err);      /* waits for both */

/* A kernel that the image does not have is ERR_UNSUPPORTED.  args: gpu_kernel_args() bytes.  A grid of 0 blocks does nothing. */
int gpu_launch(struct gpu *g, void *stream, enum gpu_kernel k, long gx, long gy, long gz, const void *args, struct err *err);
bool gpu_has(const struct gpu *g, enum gpu_kernel k);
void gpu_refuse(struct gpu *g, enum gpu_kernel k);      /* as if the image did not have it: launches of it say that it failed its self test */

/* Where time goes: from begin on an event is recorded behind each launch of the stream, up to `most` of them; end() tells for each, in order, the milliseconds since the one
 * before it, so with what the stream waited for, and forgets them.  what: the last that gpu_trace_what() was given, which must still be there; nothing where there is no trace. */
typedef void gpu_trace_fn(void *to, const char *kernel, const char *what, double ms);
int gpu_trace_begin(struct gpu *g, void *stream, int most, struct err *err);
void gpu_trace_what(struct gpu *g, const char *what);
int gpu_trace_mark(struct gpu *g, const char *kernel, struct err *err);         /* behind work that is no launch of ours */
int gpu_trace_end(struct gpu *g, gpu_trace_fn *fn, void *to, struct err *err);

/* Launches between begin and end are recorded, not run; the graph then runs them with one call. */
struct gpu_graph { void *graph, *run; };
int gpu_graph_begin(struct gpu *g, void *stream, struct err *err);
int gpu_graph_end(struct gpu *g, void *stream, struct gpu_graph *out, struct err *err);
int gpu_graph_launch(struct gpu *g, void *stream, const struct gpu_graph *graph, struct err *err);
void gpu_graph_free(struct gpu *g, struct gpu_graph *graph);
#endif
