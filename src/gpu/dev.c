/* dev.c - one GPU through a table of driver calls. */
#include "gpu/dev.h"
#include "base/log.h"
#include "base/mem.h"
#include "gpu/args.h"
#include "gpu/images.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kernel { const char *name, *file, *what; int n_thread, n_shared; size_t args; } kernels[] = {
#define K(name, file, n_thread, n_block, args, what) { #name, #file, what, n_thread, 0, sizeof(struct args##_args) },
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what) { #name, #file, what, n_thread, n_shared, sizeof(struct args##_args) },
#include "gpu/kernels.def"
#undef K
};
const char *gpu_kernel_name(enum gpu_kernel k) { return kernels[k].name; }
const char *gpu_kernel_what(enum gpu_kernel k) { return kernels[k].what; }
int gpu_kernel_threads(enum gpu_kernel k) { return kernels[k].n_thread; }
size_t gpu_kernel_args(enum gpu_kernel k) { return kernels[k].args; }

#define MODULES_MAX 64
struct traced { const char *kernel, *what; void *event; };
struct gpu {
    const struct gpu_api *api;
    struct gpu_facts facts;
    void *module[MODULES_MAX], *kernel[N_GPU_KERNEL];
    int n_module;
    bool begun, refused[N_GPU_KERNEL];
    struct { struct traced *at; int n, most; const char *what; void *stream; } trace;
};

static int failed(const struct gpu *g, int rc, const char *doing, struct err *err)
{
    return rc == 0 ? 0 : ERR(err, IO, "%s:%d: %s: %s (%d)", g->api->word, g->facts.device, doing, g->api->error_text(rc), rc);
}

/* Kernel k is in the module that was loaded last.  8: CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, HIP's alike. */
static int found(struct gpu *g, int k, struct err *err)
{
    TRY(failed(g, g->api->module_kernel(&g->kernel[k], g->module[g->n_module], kernels[k].name), kernels[k].name, err));
    return kernels[k].n_shared ? failed(g, g->api->kernel_attribute(g->kernel[k], 8, kernels[k].n_shared), kernels[k].name, err) : 0;
}

/* The images of the target, and which kernels they have. */
static int load(struct gpu *g, const char *target, struct err *err)
{
    if (!gpu_image(0))
        return ERR(err, UNSUPPORTED, "this lathe has no device code: it was built where clang-19 or lld-19 was missing");
    bool some = false;
    for (int i = 0; gpu_image(i); i++) {
        const struct gpu_image *image = gpu_image(i);
        if (strncmp(image->target, target, strlen(target)) != 0)             /* sm_90a too for sm_90 */
            continue;
        if (g->n_module == MODULES_MAX)
            return ERR(err, RANGE, "more than %d images for %s", MODULES_MAX, target);
        const int rc = g->api->module_load(&g->module[g->n_module], image->data);
        if (rc == 222 && strcmp(image->target, target) != 0) {               /* PTX too new for the driver: done without */
            log_warn("%s:%d: the driver is too old for '%s' of %s (CUDA 12.3, driver 545): its kernels are not there", g->api->word, g->facts.device, image->file, image->target);
            continue;
        }
        if (rc != 0)
            return ERR(err, UNSUPPORTED, "%s:%d: the driver refuses '%s' for %s: %s (%d)%s", g->api->word, g->facts.device, image->file, image->target,
                       g->api->error_text(rc), rc, rc == 222 ? "; PTX this new needs CUDA 12.0 (driver 525) or later" : "");
        for (int k = 0; k < N_GPU_KERNEL; k++)
            if (!strcmp(kernels[k].file, image->file))
                TRY(found(g, k, err));
        g->n_module++;
        some = true;
    }
    return some ? 0 : ERR(err, UNSUPPORTED, "%s:%d is %s (%s): lathe has device code for sm_90 and gfx942", g->api->word, g->facts.device, g->facts.name, target);
}

int gpu_open_api(struct gpu **out, const struct gpu_api *api, int device, const char *target, struct err *err)
{
    *out = NULL;
    struct gpu *g = mem_alloc_zero(sizeof *g);
    if (!g)
        return ERR(err, NOMEM, "a device needs %zu bytes", sizeof *g);
    g->api = api;
    struct gpu_facts *f = &g->facts;
    f->device = device, f->driver = api->word;
    int n = 0, rc = failed(g, api->device_count(&n), "counting devices", err);
    if (rc == 0 && (device < 0 || device >= n))
        rc = ERR(err, NOTFOUND, "%s:%d: there are %d devices", api->word, device, n);
    rc = rc ? rc : failed(g, api->device_begin(device), "opening the device", err);
    g->begun = rc == 0;
    rc = rc ? rc : failed(g, api->device_name(f->name, sizeof f->name - 1, device), "its name", err);
    rc = rc ? rc : failed(g, api->device_bytes(&f->bytes, device), "its memory", err);
    size_t total;
    rc = rc ? rc : failed(g, api->mem_info(&f->bytes_free, &total), "its free memory", err);
    rc = rc ? rc : failed(g, api->driver_version(&f->driver_version), "the driver's version", err);
    rc = rc ? rc : failed(g, api->facts(device, f->arch, &f->n_unit, &f->clock_mhz), "its attributes", err);
    if (rc == 0 && !target && !*f->arch)
        rc = ERR(err, UNSUPPORTED, "%s:%d is %s; what architecture it has is not said in /sys/class/kfd/kfd/topology/nodes", api->word, device, f->name);
    f->wave = !strncmp(target ? target : f->arch, "gfx", 3) ? 64 : 32;
    rc = rc ? rc : load(g, target ? target : f->arch, err);
    if (rc) {
        gpu_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

int gpu_open(struct gpu **out, const char *device, struct err *err)
{
    *out = NULL;
    const struct gpu_api *api;
    const char *colon = strchr(device, ':');
    char *end;
    const long n = colon ? strtol(colon + 1, &end, 10) : 0;
    const size_t len = colon ? (size_t)(colon - device) : strlen(device);
    const bool cuda = len == 4 && !strncmp(device, "cuda", 4), hip = len == 3 && !strncmp(device, "hip", 3);
    if ((!cuda && !hip) || (colon && (end == colon + 1 || *end || n < 0 || n > 1023)))
        return ERR(err, USAGE, "device '%s': expected cuda:N or hip:N", device);
    TRY(cuda ? gpu_api_cuda(&api, err) : gpu_api_hip(&api, err));
    return gpu_open_api(out, api, (int)n, NULL, err);
}

int gpu_use(struct gpu *g, struct err *err)
{
    return g->api->device_use ? failed(g, g->api->device_use(g->facts.device), "using the device", err) : 0;
}

static void trace_forget(struct gpu *g)
{
    for (int i = 0; i < g->trace.n; i++)
        gpu_event_free(g, g->trace.at[i].event);
    mem_free(g->trace.at);
    memset(&g->trace, 0, sizeof g->trace);
}

void gpu_close(struct gpu *g)
{
    if (!g)
        return;
    trace_forget(g);
    for (int i = 0; i < g->n_module; i++)
        g->api->module_free(g->module[i]);
    if (g->begun)
        g->api->device_end(g->facts.device);
    mem_free(g);
}

const struct gpu_facts *gpu_facts(const struct gpu *g) { return &g->facts; }
const struct gpu_api *gpu_calls(const struct gpu *g) { return g->api; }

/* ---- memory ---- */

int gpu_room(struct gpu *g, size_t *bytes, struct err *err)
{
    size_t total;
    return failed(g, g->api->mem_info(bytes, &total), "its free memory", err);
}
int gpu_alloc(struct gpu *g, void **p, size_t n, struct err *err)
{
    *p = NULL;
    const int rc = g->api->alloc(p, n ? n : 1);
    if (rc == 0)
        return 0;
    size_t left = 0, total = 0;
    g->api->mem_info(&left, &total);
    *p = NULL;
    return ERR(err, NOMEM, "%s:%d: %zu bytes were asked for, %zu of %zu are free: %s", g->api->word, g->facts.device, n, left, total, g->api->error_text(rc));
}
void gpu_free(struct gpu *g, void *p)
{
    if (p)
        g->api->free(p);
}
int gpu_host_alloc(struct gpu *g, void **p, size_t n, struct err *err)
{
    *p = NULL;
    const int rc = g->api->host_alloc(p, n ? n : 1);
    return rc == 0 ? 0 : ERR(err, NOMEM, "%s:%d: %zu bytes of pinned memory: %s", g->api->word, g->facts.device, n, g->api->error_text(rc));
}
void gpu_host_free(struct gpu *g, void *p)
{
    if (p)
        g->api->host_free(p);
}
int gpu_put(struct gpu *g, void *stream, void *to, const void *from, size_t n, struct err *err)
{
    return n == 0 ? 0 : failed(g, g->api->put(to, from, n, stream), "copying to the device", err);
}
int gpu_get(struct gpu *g, void *stream, void *to, const void *from, size_t n, struct err *err)
{
    return n == 0 ? 0 : failed(g, g->api->get(to, from, n, stream), "copying from the device", err);
}
int gpu_copy(struct gpu *g, void *stream, void *to, const void *from, size_t n, struct err *err)
{
    return n == 0 ? 0 : failed(g, g->api->copy(to, from, n, stream), "copying on the device", err);
}
int gpu_peer(struct gpu *g, const struct gpu *peer, bool *reaches, struct err *err)
{
    int can = g->facts.device == peer->facts.device;
    *reaches = can;
    if (can || !g->api->peer_can)
        return 0;
    TRY(failed(g, g->api->peer_can(&can, g->facts.device, peer->facts.device), "asking for its peers", err));
    *reaches = can && !g->api->peer_open(g->facts.device, peer->facts.device);         /* it may have too many peers already */
    return 0;
}
int gpu_copy_peer(struct gpu *g, void *stream, void *to, const struct gpu *peer, const void *from, size_t n, struct err *err)
{
    return n == 0 ? 0 : failed(g, g->api->copy_peer(to, g->facts.device, from, peer->facts.device, n, stream), "copying from a peer", err);
}
int gpu_fill(struct gpu *g, void *stream, void *p, unsigned char value, size_t n, struct err *err)
{
    return n == 0 ? 0 : failed(g, g->api->fill(p, value, n, stream), "filling memory", err);
}

/* ---- streams, events, graphs ---- */

int gpu_stream_new(struct gpu *g, void **stream, struct err *err) { return failed(g, g->api->stream_new(stream, 1 /* no order with the default stream */), "a stream", err); }
void gpu_stream_free(struct gpu *g, void *stream)
{
    if (stream)
        g->api->stream_free(stream);
}
int gpu_wait(struct gpu *g, void *stream, struct err *err) { return failed(g, g->api->stream_wait(stream), "running", err); }
int gpu_event_new(struct gpu *g, void **event, struct err *err) { return failed(g, g->api->event_new(event, 0), "an event", err); }
void gpu_event_free(struct gpu *g, void *event)
{
    if (event)
        g->api->event_free(event);
}
int gpu_event_record(struct gpu *g, void *event, void *stream, struct err *err) { return failed(g, g->api->event_record(event, stream), "recording an event", err); }
int gpu_stream_after(struct gpu *g, void *stream, void *event, struct err *err) { return failed(g, g->api->stream_wait_event(stream, event, 0), "waiting for an event", err); }
int gpu_event_wait(struct gpu *g, void *event, struct err *err) { return failed(g, g->api->event_wait(event), "running", err); }
int gpu_event_ms(struct gpu *g, void *from, void *to, double *ms, struct err *err)
{
    float t = 0;
    TRY(failed(g, g->api->event_wait(to), "running", err));
    TRY(failed(g, g->api->event_ms(&t, from, to), "the time between events", err));
    *ms = (double)t;
    return 0;
}

int gpu_graph_begin(struct gpu *g, void *stream, struct err *err) { return failed(g, g->api->capture_begin(stream, 1 /* this thread's calls */), "recording a graph", err); }
int gpu_graph_end(struct gpu *g, void *stream, struct gpu_graph *out, struct err *err)
{
    *out = (struct gpu_graph){ 0 };
    TRY(failed(g, g->api->capture_end(stream, &out->graph), "recording a graph", err));
    return failed(g, g->api->graph_new(&out->run, out->graph, 0), "making a graph", err);
}
int gpu_graph_launch(struct gpu *g, void *stream, const struct gpu_graph *graph, struct err *err)
{
    return failed(g, g->api->graph_launch(graph->run, stream), "launching a graph", err);
}
void gpu_graph_free(struct gpu *g, struct gpu_graph *graph)
{
    if (graph->run)
        g->api->graph_run_free(graph->run);
    if (graph->graph)
        g->api->graph_free(graph->graph);
    *graph = (struct gpu_graph){ 0 };
}

/* ---- launch ---- */

bool gpu_has(const struct gpu *g, enum gpu_kernel k) { return g->kernel[k] && !g->refused[k]; }
void gpu_refuse(struct gpu *g, enum gpu_kernel k) { g->refused[k] = true; }

/* The arguments go as one block of bytes: CU_LAUNCH_PARAM_BUFFER_POINTER, _SIZE and _END, and HIP's of the same values but the end (3). */
int gpu_launch(struct gpu *g, void *stream, enum gpu_kernel k, long gx, long gy, long gz, const void *args, struct err *err)
{
    if (!g->kernel[k])
        return ERR(err, UNSUPPORTED, "%s:%d: no kernel %s for %s", g->api->word, g->facts.device, kernels[k].name, g->facts.arch);
    if (g->refused[k])
        return ERR(err, UNSUPPORTED, "%s:%d: the kernel %s failed the self test of this device (lathe selftest) and is not used", g->api->word, g->facts.device, kernels[k].name);
    if (gx <= 0 || gy <= 0 || gz <= 0)
        return 0;
    if (gx > 0x7fffffff || gy > 65535 || gz > 65535)
        return ERR(err, RANGE, "%s: a grid of %ld x %ld x %ld blocks is too large", kernels[k].name, gx, gy, gz);
    char block[256];
    size_t n = kernels[k].args;
    memcpy(block, args, n);
    void *extra[] = { (void *)1, block, (void *)2, &n, !strcmp(g->api->word, "hip") ? (void *)3 : (void *)0 };
    TRY(failed(g, g->api->launch(g->kernel[k], (unsigned)gx, (unsigned)gy, (unsigned)gz, (unsigned)kernels[k].n_thread, 1, 1,
                                 (unsigned)kernels[k].n_shared, stream, NULL, extra), kernels[k].name, err));
    return g->trace.at ? gpu_trace_mark(g, kernels[k].name, err) : 0;
}

/* ---- where time goes ---- */

int gpu_trace_begin(struct gpu *g, void *stream, int most, struct err *err)
{
    trace_forget(g);
    g->trace.at = mem_alloc_array((size_t)most + 1, sizeof *g->trace.at);
    if (!g->trace.at)
        return ERR(err, NOMEM, "no memory for the times of %d launches", most);
    g->trace.most = most + 1, g->trace.stream = stream;
    return gpu_trace_mark(g, "", err);
}
void gpu_trace_what(struct gpu *g, const char *what) { g->trace.what = what; }
int gpu_trace_mark(struct gpu *g, const char *kernel, struct err *err)
{
    if (g->trace.n >= g->trace.most)
        return 0;
    struct traced *t = &g->trace.at[g->trace.n];
    *t = (struct traced){ .kernel = kernel, .what = g->trace.what };
    TRY(gpu_event_new(g, &t->event, err));
    g->trace.n++;
    return gpu_event_record(g, t->event, g->trace.stream, err);
}
int gpu_trace_end(struct gpu *g, gpu_trace_fn *fn, void *to, struct err *err)
{
    int rc = 0;
    for (int i = 1; i < g->trace.n && !rc; i++) {
        double ms = 0;
        rc = gpu_event_ms(g, g->trace.at[i - 1].event, g->trace.at[i].event, &ms, err);
        if (!rc)
            fn(to, g->trace.at[i].kernel, g->trace.at[i].what, ms);
    }
    trace_forget(g);
    return rc;
}
