/* hip_mock.c - libamdhip64.so for machines without a device: the calls of gpu/api.h over plain memory, kernels of the code objects that it is given run by
 * emu942.c.  LATHE_HIP_LIB names it; the architecture is told by files that LATHE_KFD names.  One device.
 *
 * Work is done when it is given, but what goes to a stream that is being captured is kept until the graph is launched.
 *   HIP_MOCK_BYTES=N    memory of the device (default 1 GiB)
 *   HIP_MOCK_NAME=NAME  of the device, in place of one that says that it is emulated
 *   HIP_MOCK_WRONG=KERNEL  that kernel does nothing
 *   HIP_MOCK_FAIL=N     the N-th launch, and all that come after it, fail with 719, as those of a lost device do
 *   HIP_MOCK_COUNT=F    at the end the file F has a line: launches, launches of graphs, and what the emulator found wrong */
#include "gpu/api.h"
#include "emu942.c"
#ifdef HAVE_LLVM_19
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
#define X(field, cuda, hip, params) EXPORT int hip params;
GPU_CALLS(X)
#undef X
EXPORT int hipInit(unsigned flags);
EXPORT int hipSetDevice(int device);
EXPORT int hipHostMalloc(void **p, size_t n, unsigned flags);
EXPORT const char *hipGetErrorString(int rc);

enum { OK_ = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, NOT_FOUND = 500, LOST = 719 };
#define BLOCKS 256
#define GRAPH_NODES 8192
struct kernel { const char *image; char name[64]; struct kernel *next; };
struct node { struct kernel *kernel; unsigned grid[3], n_thread; size_t n; void *to; const void *from; char args[256]; };
struct graph { int n; struct node node[GRAPH_NODES]; };
static struct {
    struct { char *p; size_t n; } block[BLOCKS];
    int n_block;
    size_t bytes;
    struct kernel *kernels;
    struct graph *capture;
    long n_launch, n_graph;
    int bad;
} hip;

static long number(const char *name, long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? atol(s) : otherwise;
}
static void report(void)
{
    FILE *f = getenv("HIP_MOCK_COUNT") ? fopen(getenv("HIP_MOCK_COUNT"), "w") : NULL;
    if (!f)
        return;
    fprintf(f, "%ld launches, %ld graphs, %d errors\n", hip.n_launch, hip.n_graph, hip.bad);
    fclose(f);
}

int hipInit(unsigned flags) { return (void)flags, atexit(report) ? INVALID : OK_; }
int hipGetDeviceCount(int *n) { return *n = 1, OK_; }
int hipSetDevice(int device) { return device == 0 ? OK_ : NO_DEVICE; }
int hipDeviceGetName(char *name, int size, int device) { return (void)device, snprintf(name, (size_t)size, "%s", getenv("HIP_MOCK_NAME") ? getenv("HIP_MOCK_NAME") : "AMD Instinct MI300X, emulated"), OK_; }
int hipDeviceTotalMem(size_t *n, int device) { return (void)device, *n = (size_t)number("HIP_MOCK_BYTES", 1 << 30), OK_; }
int hipDriverGetVersion(int *version) { return *version = 60443483, OK_; }
int hipMemGetInfo(size_t *left, size_t *total) { return hipDeviceTotalMem(total, 0), *left = *total - hip.bytes, OK_; }
const char *hipGetErrorString(int rc)
{
    return rc == OK_ ? "no error" : rc == OUT_OF_MEMORY ? "out of memory" : rc == NO_DEVICE ? "no ROCm-capable device is detected" : rc == NOT_FOUND ? "named symbol not found" :
           rc == LOST ? "unspecified launch failure" : "invalid argument";
}

/* ---- memory ---- */

int hipMalloc(void **p, size_t n)
{
    size_t left, total;
    hipMemGetInfo(&left, &total);
    if (hip.n_block == BLOCKS || n > left || posix_memalign(p, 256, n))
        return OUT_OF_MEMORY;
    memset(*p, 0xa5, n);
    hip.block[hip.n_block].p = *p, hip.block[hip.n_block++].n = n;
    hip.bytes += n;
    return OK_;
}
int hipFree(void *p)
{
    for (int i = 0; i < hip.n_block; i++)
        if (hip.block[i].p == p) {
            hip.bytes -= hip.block[i].n;
            hip.block[i] = hip.block[--hip.n_block];
            free(p);
            return OK_;
        }
    return INVALID;
}
int hipHostMalloc(void **p, size_t n, unsigned flags) { return (void)flags, (*p = malloc(n)) ? OK_ : OUT_OF_MEMORY; }
int hipHostFree(void *p) { return free(p), OK_; }

static bool on_device(const void *p, size_t n)
{
    for (int i = 0; i < hip.n_block; i++)
        if ((const char *)p >= hip.block[i].p && (const char *)p + n <= hip.block[i].p + hip.block[i].n)
            return true;
    return false;
}
static int copy(void *to, const void *from, size_t n)
{
    if (!hip.capture)
        return memcpy(to, from, n), OK_;
    if (hip.capture->n == GRAPH_NODES)
        return OUT_OF_MEMORY;
    hip.capture->node[hip.capture->n++] = (struct node){ .to = to, .from = from, .n = n };
    return OK_;
}
static bool lost(void) { return number("HIP_MOCK_FAIL", 0) && hip.n_launch >= number("HIP_MOCK_FAIL", 0); }
int hipMemcpyHtoDAsync(void *to, const void *from, size_t n, void *stream) { return (void)stream, lost() ? LOST : !on_device(to, n) ? INVALID : copy(to, from, n); }
int hipMemcpyDtoHAsync(void *to, const void *from, size_t n, void *stream) { return (void)stream, lost() ? LOST : !on_device(from, n) ? INVALID : copy(to, from, n); }
int hipMemcpyDtoDAsync(void *to, const void *from, size_t n, void *stream) { return (void)stream, !on_device(to, n) || !on_device(from, n) ? INVALID : copy(to, from, n); }
int hipMemsetD8Async(void *p, unsigned char value, size_t n, void *stream) { return (void)stream, hip.capture || !on_device(p, n) ? INVALID : (memset(p, value, n), OK_); }

/* ---- streams, events ---- */

int hipStreamCreateWithFlags(void **stream, unsigned flags) { return (void)flags, (*stream = malloc(1)) ? OK_ : OUT_OF_MEMORY; }
int hipStreamDestroy(void *stream) { return free(stream), OK_; }
int hipStreamSynchronize(void *stream) { return (void)stream, lost() ? LOST : OK_; }
int hipEventCreateWithFlags(void **event, unsigned flags) { return (void)flags, (*event = calloc(1, sizeof(struct timespec))) ? OK_ : OUT_OF_MEMORY; }
int hipEventDestroy(void *event) { return free(event), OK_; }
int hipEventRecord(void *event, void *stream) { return (void)stream, clock_gettime(CLOCK_MONOTONIC, event) ? INVALID : OK_; }
int hipEventSynchronize(void *event) { return (void)event, OK_; }
int hipEventElapsedTime(float *ms, void *from, void *to)
{
    const struct timespec *a = from, *b = to;
    return *ms = (float)((double)(b->tv_sec - a->tv_sec) * 1e3 + (double)(b->tv_nsec - a->tv_nsec) * 1e-6), OK_;
}
int hipStreamWaitEvent(void *stream, void *event, unsigned flags) { return (void)stream, (void)event, (void)flags, OK_; }

/* ---- modules, launches ---- */

int hipModuleLoadData(void **module, const void *image)
{
    return memcmp(image, "\177ELF", 4) ? INVALID : (*module = (void *)(uintptr_t)image, OK_);
}
int hipModuleUnload(void *module)
{
    for (struct kernel **k = &hip.kernels; *k;) {
        struct kernel *gone = *k;
        if (gone->image == module)
            *k = gone->next, free(gone);
        else
            k = &gone->next;
    }
    return OK_;
}
int hipModuleGetFunction(void **kernel, void *module, const char *name)
{
    struct kernel *k = calloc(1, sizeof *k);
    *kernel = k;
    if (!k)
        return OUT_OF_MEMORY;
    k->image = module, k->next = hip.kernels, hip.kernels = k;
    return snprintf(k->name, sizeof k->name, "%s", name) < (int)sizeof k->name ? OK_ : NOT_FOUND;
}
int hipFuncSetAttribute(void *kernel, int attribute, int value) { return !kernel || attribute != 8 || value <= 0 ? INVALID : OK_; }

static int run(const struct node *n)
{
    static const struct kernel *loaded;
    if (n->to)
        return memcpy(n->to, n->from, n->n), OK_;
    amd.n_block = 0;
    for (int i = 0; i < hip.n_block; i++)
        amd_block(hip.block[i].p, hip.block[i].n);
    if (n->kernel != loaded && amd_load(n->kernel->image, n->kernel->name))
        return loaded = NULL, NOT_FOUND;
    loaded = n->kernel;
    hip.n_launch++;
    if (lost())
        return LOST;
    if (getenv("HIP_MOCK_WRONG") && !strcmp(n->kernel->name, getenv("HIP_MOCK_WRONG")))
        return OK_;
    const int rc = amd_launch((int)n->grid[0], (int)n->grid[1], (int)n->grid[2], (int)n->n_thread, n->args, n->n);
    hip.bad = amd_bad;
    return rc ? LOST : OK_;
}
int hipModuleLaunchKernel(void *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra)
{
    struct node n = { .kernel = kernel, .grid = { gx, gy, gz }, .n_thread = bx };
    if (params || shared || !stream || by != 1 || bz != 1 || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4] != (void *)3)
        return INVALID;
    n.n = *(const size_t *)extra[3];
    if (n.n > sizeof n.args)
        return INVALID;
    memcpy(n.args, extra[1], n.n);
    if (!hip.capture)
        return run(&n);
    if (hip.capture->n == GRAPH_NODES)
        return OUT_OF_MEMORY;
    hip.capture->node[hip.capture->n++] = n;
    return OK_;
}

int hipStreamBeginCapture(void *stream, int mode) { return (void)stream, (void)mode, hip.capture ? INVALID : (hip.capture = calloc(1, sizeof *hip.capture)) ? OK_ : OUT_OF_MEMORY; }
int hipStreamEndCapture(void *stream, void **graph) { return (void)stream, *graph = hip.capture, hip.capture = NULL, *graph ? OK_ : INVALID; }
int hipGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) { return (void)flags, *exec = graph, OK_; }
int hipGraphLaunch(void *exec, void *stream)
{
    const struct graph *g = exec;
    (void)stream;
    hip.n_graph++;
    for (int i = 0; i < g->n; i++) {
        const int rc = run(&g->node[i]);
        if (rc)
            return rc;
    }
    return OK_;
}
int hipGraphDestroy(void *graph) { return free(graph), OK_; }
int hipGraphExecDestroy(void *exec) { return (void)exec, OK_; }
__attribute__((destructor)) static void end(void) { amd_release(); }
#endif
