/* mock.h - devices that are the host: the calls of gpu/api.h over plain memory, kernels run by an emulator.  Included by one test.
 *
 * Work is done when it is given (streams are in order).  Of several devices (mock.n_device) each call is for the one that was chosen last: streams, events and kernels of another are refused.  Blocks of device memory are allocated to the byte, so that AddressSanitizer sees
 * reads and writes beyond them, filled with 0xa5, and listed in mock.block for emulators that check addresses themselves. */
#ifndef TESTS_EMU_MOCK_H
#define TESTS_EMU_MOCK_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "gpu/dev.h"

#define MOCK_BLOCKS 256
#define MOCK_RECORDED 8192
#define MOCK_DEVICES 16
struct mock_launch { enum gpu_kernel kernel; int device; unsigned gx, gy, gz; _Alignas(16) char args[256]; };      /* N_GPU_KERNEL: a copy or a fill, struct mock_move */
struct mock_move { void *to; const void *from; size_t n; unsigned char value; };
static struct {
    struct { char *p; size_t n; int device; } block[MOCK_BLOCKS];
    int n_device, current;                                      /* 0: one; the one that calls are for */
    bool apart, peer[MOCK_DEVICES][MOCK_DEVICES];               /* apart: they do not reach each other; peer: they were told to */
    int n_block, n_module, n_event, n_stream, fail_launch;      /* fail_launch: the n-th launch from now fails */
    size_t bytes, bytes_max;                                    /* taken; how many there are, 0: any */
    struct mock_graph { int n; struct mock_launch launch[MOCK_RECORDED]; } *recording;
    int n_graph;
    int (*run)(const struct mock_launch *l);                    /* 0, or the driver's error */
    int wave;
} mock;

static int mock_count(int *n) { return *n = mock.n_device ? mock.n_device : 1, 0; }
static int mock_name(char *name, int size, int device) { return (void)device, snprintf(name, (size_t)size, "emulated"), 0; }
static int mock_total(size_t *n, int device) { return (void)device, *n = mock.bytes_max ? mock.bytes_max : (size_t)1 << 40, 0; }
static int mock_version(int *v) { return *v = 1, 0; }
static int mock_info(size_t *left, size_t *total)
{
    mock_total(total, 0), *left = *total;
    for (int i = 0; i < mock.n_block; i++)
        *left -= mock.block[i].device == mock.current ? mock.block[i].n : 0;
    return 0;
}
static int mock_alloc(void **p, size_t n)
{
    size_t left, total;
    mock_info(&left, &total);
    if (mock.n_block == MOCK_BLOCKS || n > left || posix_memalign(p, 256, n))
        return 2;
    memset(*p, 0xa5, n);
    mock.block[mock.n_block].p = *p;
    mock.block[mock.n_block].device = mock.current;
    mock.block[mock.n_block++].n = n;
    mock.bytes += n;
    return 0;
}
static int mock_free(void *p)
{
    for (int i = 0; i < mock.n_block; i++)
        if (mock.block[i].p == p) {
            mock.bytes -= mock.block[i].n;
            mock.block[i] = mock.block[--mock.n_block];
            free(p);
            return 0;
        }
    return 1;
}
static int mock_do(const struct mock_launch *l)
{
    const struct mock_move *m = (const struct mock_move *)(const void *)l->args;
    if (l->kernel != N_GPU_KERNEL)
        return mock.run(l);
    if (m->from)
        memcpy(m->to, m->from, m->n);
    else
        memset(m->to, m->value, m->n);
    return 0;
}
static int mock_give(const struct mock_launch *l)
{
    if (!mock.recording)
        return mock_do(l);
    if (mock.recording->n == MOCK_RECORDED)
        return 2;
    mock.recording->launch[mock.recording->n++] = *l;
    return 0;
}
static int mock_others(const void *of) { return of && *(const int *)of != mock.current; }      /* a stream or an event: of another device */
static int mock_move(void *to, const void *from, unsigned char value, size_t n, void *stream)
{
    struct mock_launch l = { .kernel = N_GPU_KERNEL, .device = mock.current };
    const struct mock_move m = { to, from, n, value };
    memcpy(l.args, &m, sizeof m);
    return mock_others(stream) ? 1 : mock_give(&l);
}
static int mock_put(void *to, const void *from, size_t n, void *stream) { return mock_move(to, from, 0, n, stream); }
static int mock_fill(void *p, unsigned char v, size_t n, void *stream) { return mock_move(p, NULL, v, n, stream); }
static int mock_copy_peer(void *to, int device, const void *from, int peer, size_t n, void *stream) { return (void)peer, device != mock.current ? 1 : mock_move(to, from, 0, n, stream); }
static int mock_peer_can(int *can, int device, int peer) { return (void)device, (void)peer, *can = !mock.apart, 0; }
static int mock_peer_open(int device, int peer) { return device != mock.current || mock.apart ? 217 : (mock.peer[device][peer] = true, 0); }
static int mock_of_device(void **p, size_t n)
{
    if ((*p = calloc(1, n)))
        *(int *)*p = mock.current;
    return *p ? 0 : 2;
}
static int mock_stream_new(void **s, unsigned flags) { return (void)flags, mock.n_stream++, mock_of_device(s, sizeof(int)); }
static int mock_stream_free(void *s) { return mock.n_stream--, free(s), 0; }
static int mock_wait(void *s) { return (void)s, 0; }
struct mock_event { int device; struct timespec at; };
static int mock_event_new(void **e, unsigned flags) { return (void)flags, mock.n_event++, mock_of_device(e, sizeof(struct mock_event)); }
static int mock_event_free(void *e) { return mock.n_event--, free(e), 0; }
static int mock_event_record(void *e, void *s) { return mock_others(e) || mock_others(s) ? 1 : clock_gettime(CLOCK_MONOTONIC, &((struct mock_event *)e)->at); }
static int mock_event_ms(float *ms, void *from, void *to)
{
    const struct timespec *a = &((struct mock_event *)from)->at, *b = &((struct mock_event *)to)->at;
    return *ms = (float)((double)(b->tv_sec - a->tv_sec) * 1e3 + (double)(b->tv_nsec - a->tv_nsec) * 1e-6), 0;
}
static int mock_stream_wait_event(void *s, void *e, unsigned f) { return (void)e, (void)f, mock_others(s); }
static int mock_module_load(void **m, const void *image) { return mock.n_module++, *m = (void *)(uintptr_t)image, 0; }
static int mock_module_free(void *m) { return (void)m, mock.n_module--, 0; }
static int mock_module_kernel(void **k, void *m, const char *name)
{
    (void)m;
    for (int i = 0; i < N_GPU_KERNEL; i++)
        if (!strcmp(gpu_kernel_name((enum gpu_kernel)i), name))
            return *k = (void *)(uintptr_t)(i + 1), 0;
    return 500;
}
static int mock_launch(void *k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *s, void **params, void **extra)
{
    struct mock_launch l = { .kernel = (enum gpu_kernel)((uintptr_t)k - 1), .device = mock.current, .gx = gx, .gy = gy, .gz = gz };
    const size_t n = *(const size_t *)extra[3];
    if (mock.fail_launch && --mock.fail_launch == 0)
        return 719;
    if (params || shared > 227 * 1024 || s == NULL || mock_others(s) || by != 1 || bz != 1 || (int)bx != gpu_kernel_threads(l.kernel) || n != gpu_kernel_args(l.kernel))
        return 1;
    memcpy(l.args, extra[1], n);
    return mock_give(&l);
}
static int mock_kernel_attribute(void *k, int attribute, int value) { return !k || attribute != 8 || value <= 0; }
static int mock_capture_begin(void *s, int mode) { return (void)s, (void)mode, (mock.recording = calloc(1, sizeof *mock.recording)) ? mock.n_graph++, 0 : 2; }
static int mock_capture_end(void *s, void **graph) { return (void)s, *graph = mock.recording, mock.recording = NULL, 0; }
static int mock_graph_new(void **run, void *graph, unsigned long long flags) { return (void)flags, *run = graph, 0; }
static int mock_graph_launch(void *run, void *s)
{
    const struct mock_graph *g = run;
    (void)s;
    for (int i = 0; i < g->n; i++) {
        const int rc = mock_do(&g->launch[i]);
        if (rc)
            return rc;
    }
    return 0;
}
static int mock_nothing(void *p) { return (void)p, 0; }
static int mock_graph_free(void *p) { return free(p), mock.n_graph--, 0; }
static int mock_host_alloc(void **p, size_t n) { return (*p = malloc(n)) ? 0 : 2; }
static int mock_host_free(void *p) { return free(p), 0; }
static int mock_begin(int device) { return mock.current = device, 0; }
static void mock_end(int device) { (void)device; }
static const char *mock_text(int rc) { return rc == 2 ? "out of memory" : rc == 719 ? "launch failed" : "an error of the emulator"; }
static int mock_facts(int device, char arch[32], int *n_unit, int *clock) { return (void)device, strcpy(arch, mock.wave == 64 ? "gfx942" : "sm_90"), *n_unit = 1, *clock = 1, 0; }

static const struct gpu_api mock_api = {
    .device_count = mock_count, .device_name = mock_name, .device_bytes = mock_total, .driver_version = mock_version, .mem_info = mock_info, .alloc = mock_alloc,
    .free = mock_free, .put = mock_put, .get = mock_put, .copy = mock_put, .fill = mock_fill, .stream_new = mock_stream_new, .stream_free = mock_stream_free,
    .stream_wait = mock_wait, .event_new = mock_event_new, .event_free = mock_event_free, .event_record = mock_event_record, .event_wait = mock_wait,
    .event_ms = mock_event_ms, .stream_wait_event = mock_stream_wait_event, .module_load = mock_module_load, .module_free = mock_module_free,
    .module_kernel = mock_module_kernel, .launch = mock_launch, .kernel_attribute = mock_kernel_attribute, .capture_begin = mock_capture_begin, .capture_end = mock_capture_end, .graph_new = mock_graph_new,
    .graph_launch = mock_graph_launch, .graph_free = mock_graph_free, .graph_run_free = mock_nothing, .host_free = mock_host_free, .host_alloc = mock_host_alloc,
    .device_begin = mock_begin, .device_use = mock_begin, .device_end = mock_end, .peer_can = mock_peer_can, .peer_open = mock_peer_open, .copy_peer = mock_copy_peer, .error_text = mock_text, .facts = mock_facts, .word = "mock",
};
#endif
