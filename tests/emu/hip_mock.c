/* hip_mock.c - libamdhip64.so for machines without a device: the calls of gpu/api.h over plain memory, kernels of the code objects that it is given run by
 * emu942.c.  LATHE_HIP_LIB names it; the architecture is told by files that LATHE_KFD names.
 *
 * Work is done when it is given, but what goes to a stream that is being captured is kept until the graph is launched.  A device's kernels reach its own blocks of
 * memory and those of peers that it was told to reach; streams, events and kernels are used while their device is the chosen one, or the call fails.
 *   HIP_MOCK_DEVICES=N  how many (default 1)
 *   HIP_MOCK_APART=1    no device reaches another's memory
 *   HIP_MOCK_PEERS=N    a device reaches the memory of N others at most, and says so when it is to reach more
 *   HIP_MOCK_LATE=1     work is done when somebody waits for it, and only what it needs: who forgot to wait for an event sees old numbers
 *   HIP_MOCK_BYTES=N    memory of a device (default 1 GiB)
 *   HIP_MOCK_NAME=NAME  of the device, in place of one that says that it is emulated
 *   HIP_MOCK_WRONG=KERNEL  that kernel does nothing
 *   HIP_MOCK_FAIL=N     the N-th launch, and all that come after it, fail with 719, as those of a lost device do
 *   HIP_MOCK_NO_CAPTURE=1  no stream can be captured
 *   HIP_MOCK_NO_GRAPH=N the N-th graph, and all that come after it, cannot be made for want of memory
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
EXPORT int hipDeviceCanAccessPeer(int *can, int device, int peer);
EXPORT int hipDeviceEnablePeerAccess(int peer, unsigned flags);
EXPORT int hipMemcpyPeerAsync(void *to, int device, const void *from, int peer, size_t n, void *stream);
EXPORT const char *hipGetErrorString(int rc);

enum { OK_ = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, BAD_HANDLE = 400, NOT_FOUND = 500, OPEN_ALREADY = 704, TOO_MANY_PEERS = 711, LOST = 719, UNSUPPORTED = 801, UNJOINED = 904, ISOLATED = 905 };
#define BLOCKS 256
#define DEVICES 64
#define STREAMS 64
#define GRAPH_NODES 32768
struct stream;
struct event { int device; struct timespec at; struct stream *last; long given, done; long captured; int node; };      /* captured: in which capture, and there by which node; 0: none */
struct kernel { const char *image; int device; char name[64]; struct kernel *next; };
/* kernel: a launch; to: a copy, or without from a fill; record, wait: events, ticket: which record is waited for, in a graph the node; graph: its launch. */
struct node {
    struct kernel *kernel; unsigned grid[3], n_thread; size_t n; void *to; const void *from; unsigned char value;
    struct event *record, *wait; long ticket; struct graph *graph;
    int device; struct stream *stream; struct node *next;
    char args[256];
};
struct graph { int n; struct node node[GRAPH_NODES]; };
struct stream { int device, i; bool captured; struct node *first, *last; };
static struct {
    struct { char *p; size_t n; int device; } block[BLOCKS];
    int n_block, device;
    bool peer[DEVICES][DEVICES];
    struct kernel *kernels;
    struct stream *stream[STREAMS], *origin;
    struct graph *capture; long n_capture;
    long n_launch, n_graph, n_made;
    int bad, rc;                     /* rc: what failed among work that was done later */
} hip;

static long number(const char *name, long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? atol(s) : otherwise;
}
static int n_device(void) { return (int)number("HIP_MOCK_DEVICES", 1); }
static void report(void)
{
    FILE *f = getenv("HIP_MOCK_COUNT") ? fopen(getenv("HIP_MOCK_COUNT"), "w") : NULL;
    if (!f)
        return;
    fprintf(f, "%ld launches, %ld graphs, %d errors\n", hip.n_launch, hip.n_graph, hip.bad);
    fclose(f);
}

int hipInit(unsigned flags) { return (void)flags, atexit(report) ? INVALID : OK_; }
int hipGetDeviceCount(int *n) { return *n = n_device(), OK_; }
int hipSetDevice(int device) { return device >= 0 && device < n_device() && device < DEVICES ? hip.device = device, OK_ : NO_DEVICE; }
int hipDeviceGetName(char *name, int size, int device) { return (void)device, snprintf(name, (size_t)size, "%s", getenv("HIP_MOCK_NAME") ? getenv("HIP_MOCK_NAME") : "AMD Instinct MI300X, emulated"), OK_; }
int hipDeviceTotalMem(size_t *n, int device) { return (void)device, *n = (size_t)number("HIP_MOCK_BYTES", 1 << 30), OK_; }
int hipDriverGetVersion(int *version) { return *version = 60443483, OK_; }
int hipDeviceCanAccessPeer(int *can, int device, int peer) { return *can = device != peer && !number("HIP_MOCK_APART", 0), OK_; }
int hipDeviceEnablePeerAccess(int peer, unsigned flags)
{
    if (flags || peer < 0 || peer >= n_device() || peer == hip.device || number("HIP_MOCK_APART", 0))
        return INVALID;
    const bool before = hip.peer[hip.device][peer];
    long n = 0;
    for (int i = 0; i < DEVICES; i++)
        n += hip.peer[hip.device][i];
    if (!before && n >= number("HIP_MOCK_PEERS", DEVICES))
        return TOO_MANY_PEERS;
    hip.peer[hip.device][peer] = true;
    return before ? OPEN_ALREADY : OK_;
}
int hipMemGetInfo(size_t *left, size_t *total)
{
    hipDeviceTotalMem(total, 0), *left = *total;
    for (int i = 0; i < hip.n_block; i++)
        *left -= hip.block[i].device == hip.device ? hip.block[i].n : 0;
    return OK_;
}
const char *hipGetErrorString(int rc)
{
    return rc == OK_ ? "no error" : rc == OUT_OF_MEMORY ? "out of memory" : rc == NO_DEVICE ? "no ROCm-capable device is detected" : rc == NOT_FOUND ? "named symbol not found" :
           rc == LOST ? "unspecified launch failure" : rc == BAD_HANDLE ? "invalid resource handle" : rc == UNJOINED ? "capturing stream has unjoined work" :
           rc == UNSUPPORTED ? "operation not supported" : rc == ISOLATED ? "dependency created on uncaptured work in another stream" : "invalid argument";
}

/* ---- work ---- */

static bool lost(void) { return number("HIP_MOCK_FAIL", 0) && hip.n_launch >= number("HIP_MOCK_FAIL", 0); }
static int launch(const struct node *n)
{
    static const struct kernel *loaded;
    amd.n_block = 0;
    for (int i = 0; i < hip.n_block; i++)
        if (hip.block[i].device == n->device || hip.peer[n->device][hip.block[i].device])
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

/* The nodes of a stream up to node k, and before each that waits what it waits for. */
static int run_until(const struct graph *g, bool *done, const struct stream *s, int k)
{
    for (int i = 0; i <= k; i++) {
        const struct node *n = &g->node[i];
        if (n->stream != s || done[i])
            continue;
        int rc = n->wait ? run_until(g, done, g->node[n->ticket].stream, (int)n->ticket) : OK_;
        done[i] = true;
        if (!rc && n->kernel)
            rc = launch(n);
        else if (!rc && n->to)
            n->from ? memcpy(n->to, n->from, n->n) : memset(n->to, n->value, n->n);
        if (rc)
            return rc;
    }
    return OK_;
}
/* In the order that it was recorded in, or the last first. */
static int run_graph(const struct graph *g)
{
    bool *done = calloc((size_t)g->n + 1, 1);
    int rc = done ? OK_ : OUT_OF_MEMORY;
    const bool late = number("HIP_MOCK_LATE", 0);
    hip.n_graph++;
    for (int i = 0; i < g->n && !rc; i++) {
        const int k = late ? g->n - 1 - i : i;
        rc = done[k] ? OK_ : run_until(g, done, g->node[k].stream, k);
    }
    free(done);
    return rc;
}

static int run(struct node *n)
{
    if (n->graph)
        return run_graph(n->graph);
    if (n->kernel)
        return launch(n);
    if (n->to)
        n->from ? memcpy(n->to, n->from, n->n) : memset(n->to, n->value, n->n);
    if (n->record) {
        n->record->done++;
        return clock_gettime(CLOCK_MONOTONIC, &n->record->at) ? INVALID : OK_;
    }
    return OK_;
}

/* The stream's work, all or until the event has been recorded so often; what it waits for in other streams is done before. */
static void advance(struct stream *s, const struct event *until, long ticket)
{
    while (s->first && !(until && until->done >= ticket)) {
        struct node *n = s->first;
        if (n->wait && n->wait->done < n->ticket)
            advance(n->wait->last, n->wait, n->ticket);
        s->first = n->next;
        if (!hip.rc)
            hip.rc = run(n);
        else if (n->record)
            n->record->done++;
        free(n);
    }
}
static int all_done(void)
{
    for (int i = 0; i < STREAMS; i++)
        if (hip.stream[i])
            advance(hip.stream[i], NULL, 0);
    return hip.rc;
}

/* Gives the node to the stream, or to the graph that it is captured in. */
static int give(struct stream *s, const struct node *n)
{
    if (!s || (s->device != hip.device && !n->wait))
        return s ? BAD_HANDLE : INVALID;
    struct node *to;
    if (s->captured) {
        if (hip.capture->n == GRAPH_NODES)
            return OUT_OF_MEMORY;
        to = &hip.capture->node[hip.capture->n++];
    } else if (!(to = malloc(sizeof *to))) {
        return OUT_OF_MEMORY;
    }
    *to = *n, to->stream = s, to->device = s->device, to->next = NULL;
    if (s->captured)
        return OK_;
    if (s->first)
        s->last->next = to;
    else
        s->first = to;
    s->last = to;
    if (!number("HIP_MOCK_LATE", 0))
        advance(s, NULL, 0);
    return hip.rc;
}

/* ---- memory ---- */

int hipMalloc(void **p, size_t n)
{
    size_t left, total;
    hipMemGetInfo(&left, &total);
    if (hip.n_block == BLOCKS || n > left || posix_memalign(p, 256, n))
        return OUT_OF_MEMORY;
    memset(*p, 0xa5, n);
    hip.block[hip.n_block].p = *p, hip.block[hip.n_block].device = hip.device, hip.block[hip.n_block++].n = n;
    return OK_;
}
int hipFree(void *p)
{
    all_done();
    for (int i = 0; i < hip.n_block; i++)
        if (hip.block[i].p == p) {
            hip.block[i] = hip.block[--hip.n_block];
            free(p);
            return OK_;
        }
    return INVALID;
}
int hipHostMalloc(void **p, size_t n, unsigned flags) { return (void)flags, (*p = malloc(n)) ? OK_ : OUT_OF_MEMORY; }
int hipHostFree(void *p) { return all_done(), free(p), OK_; }

static bool on_device(const void *p, size_t n, int device)
{
    for (int i = 0; i < hip.n_block; i++)
        if ((const char *)p >= hip.block[i].p && (const char *)p + n <= hip.block[i].p + hip.block[i].n && hip.block[i].device == device)
            return true;
    return false;
}
static int copy(void *to, const void *from, size_t n, void *stream) { return lost() ? LOST : give(stream, &(struct node){ .to = to, .from = from, .n = n }); }
int hipMemcpyHtoDAsync(void *to, const void *from, size_t n, void *stream) { return !on_device(to, n, hip.device) ? INVALID : copy(to, from, n, stream); }
int hipMemcpyDtoHAsync(void *to, const void *from, size_t n, void *stream) { return !on_device(from, n, hip.device) ? INVALID : copy(to, from, n, stream); }
int hipMemcpyDtoDAsync(void *to, const void *from, size_t n, void *stream) { return !on_device(to, n, hip.device) || !on_device(from, n, hip.device) ? INVALID : copy(to, from, n, stream); }
int hipMemcpyPeerAsync(void *to, int device, const void *from, int peer, size_t n, void *stream)
{
    return !on_device(to, n, device) || !on_device(from, n, peer) ? INVALID : copy(to, from, n, stream);
}
int hipMemsetD8Async(void *p, unsigned char value, size_t n, void *stream) { return !on_device(p, n, hip.device) ? INVALID : give(stream, &(struct node){ .to = p, .value = value, .n = n }); }

/* ---- streams, events ---- */

int hipStreamCreateWithFlags(void **stream, unsigned flags)
{
    (void)flags;
    for (int i = 0; i < STREAMS; i++)
        if (!hip.stream[i]) {
            if (!(*stream = hip.stream[i] = calloc(1, sizeof **hip.stream)))
                return OUT_OF_MEMORY;
            hip.stream[i]->device = hip.device, hip.stream[i]->i = i;
            return OK_;
        }
    return OUT_OF_MEMORY;
}
int hipStreamDestroy(void *stream)
{
    struct stream *s = stream;
    all_done();
    return hip.stream[s->i] = NULL, free(s), OK_;
}
int hipStreamSynchronize(void *stream)
{
    struct stream *s = stream;
    if (s->captured)
        return INVALID;
    advance(s, NULL, 0);
    return lost() ? LOST : hip.rc;
}
int hipEventCreateWithFlags(void **event, unsigned flags)
{
    struct event *e = *event = calloc(1, sizeof *e);
    (void)flags;
    return e ? e->device = hip.device, OK_ : OUT_OF_MEMORY;
}
int hipEventDestroy(void *event) { return all_done(), free(event), OK_; }
int hipEventRecord(void *event, void *stream)
{
    struct event *e = event;
    struct stream *s = stream;
    if (!s || e->device != s->device)
        return s ? BAD_HANDLE : INVALID;
    e->captured = s->captured ? hip.n_capture : 0, e->node = s->captured ? hip.capture->n : 0;
    if (!s->captured)
        e->last = s, e->given++;
    return give(s, &(struct node){ .record = e });
}
int hipEventSynchronize(void *event)
{
    struct event *e = event;
    if (e->last)
        advance(e->last, e, e->given);
    return hip.rc;
}
int hipEventElapsedTime(float *ms, void *from, void *to)
{
    const struct timespec *a = &((struct event *)from)->at, *b = &((struct event *)to)->at;
    return *ms = (float)((double)(b->tv_sec - a->tv_sec) * 1e3 + (double)(b->tv_nsec - a->tv_nsec) * 1e-6), OK_;
}
/* A stream that waits for an event of a capture is captured too; what is captured waits for nothing else. */
int hipStreamWaitEvent(void *stream, void *event, unsigned flags)
{
    struct event *e = event;
    struct stream *s = stream;
    if (flags || !s || (e->captured && (!hip.capture || e->captured != hip.n_capture)))
        return INVALID;
    if (s->captured && !e->captured)
        return ISOLATED;
    s->captured = e->captured > 0;
    return e->captured || e->given ? give(s, &(struct node){ .wait = e, .ticket = e->captured ? e->node : e->given }) : OK_;
}

/* ---- modules, launches ---- */

int hipModuleLoadData(void **module, const void *image)
{
    return memcmp(image, "\177ELF", 4) ? INVALID : (*module = (void *)(uintptr_t)image, OK_);
}
int hipModuleUnload(void *module)
{
    all_done();
    for (struct kernel **k = &hip.kernels; *k;) {
        struct kernel *gone = *k;
        if (gone->image == module && gone->device == hip.device)
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
    k->image = module, k->device = hip.device, k->next = hip.kernels, hip.kernels = k;
    return snprintf(k->name, sizeof k->name, "%s", name) < (int)sizeof k->name ? OK_ : NOT_FOUND;
}
int hipFuncSetAttribute(void *kernel, int attribute, int value) { return !kernel || attribute != 8 || value <= 0 ? INVALID : OK_; }

int hipModuleLaunchKernel(void *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra)
{
    struct node n = { .kernel = kernel, .grid = { gx, gy, gz }, .n_thread = bx };
    if (params || shared || !stream || by != 1 || bz != 1 || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4] != (void *)3)
        return INVALID;
    n.n = *(const size_t *)extra[3];
    if (n.n > sizeof n.args)
        return INVALID;
    if (n.kernel->device != hip.device)
        return BAD_HANDLE;
    memcpy(n.args, extra[1], n.n);
    return give(stream, &n);
}

int hipStreamBeginCapture(void *stream, int mode)
{
    struct stream *s = stream;
    (void)mode;
    if (number("HIP_MOCK_NO_CAPTURE", 0))
        return UNSUPPORTED;
    if (hip.capture || !(hip.capture = calloc(1, sizeof *hip.capture)))
        return INVALID;
    hip.n_capture++, hip.origin = s;
    return s->captured = true, OK_;
}
/* Each stream that was captured must be waited for. */
int hipStreamEndCapture(void *stream, void **graph)
{
    struct graph *g = hip.capture;
    *graph = NULL;
    if (!g || stream != hip.origin)
        return INVALID;
    bool joined = true;
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = hip.stream[i];
        int last = -1;
        bool seen = false;
        for (int k = 0; s && s->captured && k < g->n; k++)
            last = g->node[k].stream == s ? k : last;
        for (int k = 0; last >= 0 && k < g->n; k++)
            seen = seen || (g->node[k].wait && g->node[k].ticket == last);
        joined = joined && (last < 0 || s == hip.origin || seen);
        if (s)
            s->captured = false;
    }
    hip.capture = NULL;
    if (!joined)
        return free(g), UNJOINED;
    return *graph = g, OK_;
}
int hipGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags)
{
    const long first = number("HIP_MOCK_NO_GRAPH", 0);
    const bool made = !first || ++hip.n_made < first;
    return (void)flags, *exec = made ? graph : NULL, made ? OK_ : OUT_OF_MEMORY;
}
int hipGraphLaunch(void *exec, void *stream) { return exec ? give(stream, &(struct node){ .graph = exec }) : INVALID; }
int hipGraphDestroy(void *graph) { return all_done(), free(graph), OK_; }
int hipGraphExecDestroy(void *exec) { return (void)exec, all_done(); }
__attribute__((destructor)) static void end(void) { amd_release(); }
#endif
