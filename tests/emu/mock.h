/* mock.h - a device that is the host: the calls of gpu/api.h over plain memory, kernels run by an emulator.  Included by one test.
 *
 * Work is done when it is given (streams are in order).  Blocks of device memory are allocated to the byte, so that AddressSanitizer sees
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
#define MOCK_RECORDED 2048
struct mock_launch { enum gpu_kernel kernel; unsigned gx, gy, gz; _Alignas(16) char args[256]; };
static struct {
    struct { char *p; size_t n; } block[MOCK_BLOCKS];
    int n_block, n_module, n_event, n_stream, fail_launch;      /* fail_launch: the n-th launch from now fails */
    size_t bytes, bytes_max;                                    /* taken; how many there are, 0: any */
    struct mock_graph { int n; struct mock_launch launch[MOCK_RECORDED]; } *recording;
    int n_graph;
    int (*run)(const struct mock_launch *l);                    /* 0, or the driver's error */
    int wave;
} mock;

static int mock_count(int *n) { return *n = 1, 0; }
static int mock_name(char *name, int size, int device) { return (void)device, snprintf(name, (size_t)size, "emulated"), 0; }
static int mock_total(size_t *n, int device) { return (void)device, *n = mock.bytes_max ? mock.bytes_max : (size_t)1 << 40, 0; }
static int mock_version(int *v) { return *v = 1, 0; }
static int mock_info(size_t *left, size_t *total) { return mock_total(total, 0), *left = *total - mock.bytes, 0; }
static int mock_alloc(void **p, size_t n)
{
    if (mock.n_block == MOCK_BLOCKS || (mock.bytes_max && mock.bytes + n > mock.bytes_max) || posix_memalign(p, 256, n))
        return 2;
    memset(*p, 0xa5, n);
    mock.block[mock.n_block].p = *p;
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
static int mock_put(void *to, const void *from, size_t n, void *stream) { return (void)stream, memcpy(to, from, n), 0; }
static int mock_fill(void *p, unsigned char v, size_t n, void *stream) { return (void)stream, memset(p, v, n), 0; }
static int mock_stream_new(void **s, unsigned flags) { return (void)flags, mock.n_stream++, *s = malloc(1), 0; }
static int mock_stream_free(void *s) { return mock.n_stream--, free(s), 0; }
static int mock_wait(void *s) { return (void)s, 0; }
static int mock_event_new(void **e, unsigned flags) { return (void)flags, mock.n_event++, *e = calloc(1, sizeof(struct timespec)), 0; }
static int mock_event_free(void *e) { return mock.n_event--, free(e), 0; }
static int mock_event_record(void *e, void *s) { return (void)s, clock_gettime(CLOCK_MONOTONIC, e); }
static int mock_event_ms(float *ms, void *from, void *to)
{
    const struct timespec *a = from, *b = to;
    return *ms = (float)((double)(b->tv_sec - a->tv_sec) * 1e3 + (double)(b->tv_nsec - a->tv_nsec) * 1e-6), 0;
}
static int mock_stream_wait_event(void *s, void *e, unsigned f) { return (void)s, (void)e, (void)f, 0; }
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
    struct mock_launch l = { .kernel = (enum gpu_kernel)((uintptr_t)k - 1), .gx = gx, .gy = gy, .gz = gz };
    const size_t n = *(const size_t *)extra[3];
    if (mock.fail_launch && --mock.fail_launch == 0)
        return 719;
    if (params || shared > 227 * 1024 || s == NULL || by != 1 || bz != 1 || (int)bx != gpu_kernel_threads(l.kernel) || n != gpu_kernel_args(l.kernel))
        return 1;
    memcpy(l.args, extra[1], n);
    if (mock.recording) {
        if (mock.recording->n == MOCK_RECORDED)
            return 2;
        mock.recording->launch[mock.recording->n++] = l;
        return 0;
    }
    return mock.run(&l);
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
        const int rc = mock.run(&g->launch[i]);
        if (rc)
            return rc;
    }
    return 0;
}
static int mock_nothing(void *p) { return (void)p, 0; }
static int mock_graph_free(void *p) { return free(p), mock.n_graph--, 0; }
static int mock_host_alloc(void **p, size_t n) { return (*p = malloc(n)) ? 0 : 2; }
static int mock_host_free(void *p) { return free(p), 0; }
static int mock_begin(int device) { return (void)device, 0; }
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
    .device_begin = mock_begin, .device_end = mock_end, .error_text = mock_text, .facts = mock_facts, .word = "mock",
};
#endif
