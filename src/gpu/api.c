/* api.c - the drivers' libraries, opened at run time: lathe is built and runs where neither is. */
#include "gpu/api.h"
#include "base/err.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct symbol { const char *name; size_t at; };

static int open_library(void **lib, const char *variable, const char *const *names, struct err *err)
{
    const char *own = getenv(variable);
    if (own && *own) {
        *lib = dlopen(own, RTLD_NOW | RTLD_LOCAL);
        return *lib ? 0 : ERR(err, NOTFOUND, "%s=%s: %s", variable, own, dlerror());
    }
    for (int i = 0; names[i]; i++)
        if ((*lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL)))
            return 0;
    return ERR(err, NOTFOUND, "no %s on this machine: the driver is not installed", names[0]);
}

static int find(void *lib, const char *name, void *to, const char *library, struct err *err)
{
    void *p = dlsym(lib, name);
    if (!p)
        return ERR(err, UNSUPPORTED, "%s has no %s: the driver is too old", library, name);
    memcpy(to, &p, sizeof p);
    return 0;
}

static int find_all(void *lib, const struct symbol *s, int n, struct gpu_api *api, const char *library, struct err *err)
{
    for (int i = 0; i < n; i++)
        TRY(find(lib, s[i].name, (char *)api + s[i].at, library, err));
    return 0;
}

/* ---- CUDA ---- */

static struct {
    int (*init)(unsigned);
    int (*device_get)(int *, int);
    int (*attribute)(int *, int, int);
    int (*retain)(void **, int);
    int (*release)(int);
    int (*set_current)(void *);
    int (*host_alloc)(void **, size_t, unsigned);
    int (*peer_can)(int *, int, int);
    int (*peer_open)(void *, unsigned);
    int (*copy_peer)(void *, void *, const void *, void *, size_t, void *);
    int (*error_name)(int, const char **);
    int (*error_string)(int, const char **);
} cu;

static void *cu_context[1024];                                 /* of each device (gpu_open() knows no more), as long as somebody has it */
static int cuda_begin(int device)
{
    const int rc = cu.retain(&cu_context[device], device);
    return rc ? rc : cu.set_current(cu_context[device]);
}
static void cuda_end(int device) { cu.release(device); }
static int cuda_use(int device) { return cu.set_current(cu_context[device]); }
enum { OPEN_ALREADY = 704 };                                    /* peer access, of both drivers */
static int cuda_peer_can(int *can, int device, int peer) { return cu.peer_can(can, device, peer); }
static int cuda_peer_open(int device, int peer)
{
    (void)device;
    const int rc = cu.peer_open(cu_context[peer], 0);
    return rc == OPEN_ALREADY ? 0 : rc;
}
static int cuda_copy_peer(void *to, int device, const void *from, int peer, size_t n, void *stream) { return cu.copy_peer(to, cu_context[device], from, cu_context[peer], n, stream); }
static int cuda_host_alloc(void **p, size_t n) { return cu.host_alloc(p, n, 0); }
static const char *cuda_text(int rc)
{
    const char *s = NULL;
    return cu.error_string(rc, &s) == 0 && s ? s : "an unknown error";
}
/* CUdevice_attribute of cuda.h: 75, 76 compute capability, 16 multiprocessors, 13 clock in kHz. */
static int cuda_facts(int device, char arch[32], int *n_unit, int *clock_mhz)
{
    int major = 0, minor = 0, khz = 0;
    int rc = cu.attribute(&major, 75, device);
    rc = rc ? rc : cu.attribute(&minor, 76, device);
    rc = rc ? rc : cu.attribute(n_unit, 16, device);
    rc = rc ? rc : cu.attribute(&khz, 13, device);
    snprintf(arch, 32, "sm_%d%d", major, minor);
    *clock_mhz = khz / 1000;
    return rc;
}

int gpu_api_cuda(const struct gpu_api **out, struct err *err)
{
    static const char *const names[] = { "libcuda.so.1", "libcuda.so", NULL };
#define X(field, cuda, hip, params) { #cuda, offsetof(struct gpu_api, field) },
    static const struct symbol symbols[] = { GPU_CALLS(X) };
#undef X
    static struct gpu_api api = { .host_alloc = cuda_host_alloc, .device_begin = cuda_begin, .device_end = cuda_end, .device_use = cuda_use, .error_text = cuda_text,
                                  .facts = cuda_facts, .peer_can = cuda_peer_can, .peer_open = cuda_peer_open, .copy_peer = cuda_copy_peer, .word = "cuda" };
    static const struct { const char *name; void *to; } own[] = {
        { "cuInit", &cu.init }, { "cuDeviceGet", &cu.device_get }, { "cuDeviceGetAttribute", &cu.attribute }, { "cuDevicePrimaryCtxRetain", &cu.retain },
        { "cuDevicePrimaryCtxRelease_v2", &cu.release }, { "cuCtxSetCurrent", &cu.set_current }, { "cuMemHostAlloc", &cu.host_alloc },
        { "cuDeviceCanAccessPeer", &cu.peer_can }, { "cuCtxEnablePeerAccess", &cu.peer_open }, { "cuMemcpyPeerAsync", &cu.copy_peer }, { "cuGetErrorName", &cu.error_name }, { "cuGetErrorString", &cu.error_string }, { "cuTensorMapEncodeTiled", &api.tensor_map },
    };
    static bool ready;
    int rc = 0;
    pthread_mutex_lock(&lock);
    void *lib = NULL;
    if (!ready && (rc = open_library(&lib, "LATHE_CUDA_LIB", names, err)) == 0) {
        for (size_t i = 0; i < sizeof own / sizeof *own && rc == 0; i++)
            rc = find(lib, own[i].name, own[i].to, names[0], err);
        rc = rc ? rc : find_all(lib, symbols, (int)(sizeof symbols / sizeof *symbols), &api, names[0], err);
        const int failed = rc ? 0 : cu.init(0);
        if (failed)
            rc = ERR(err, UNSUPPORTED, "CUDA: %s (cuInit gives %d)", cuda_text(failed), failed);
        ready = rc == 0;
    }
    pthread_mutex_unlock(&lock);
    *out = rc ? NULL : &api;
    return rc;
}

/* ---- HIP ---- */

static struct {
    int (*init)(unsigned);
    int (*set_device)(int);
    int (*host_malloc)(void **, size_t, unsigned);
    int (*peer_can)(int *, int, int);
    int (*peer_open)(int, unsigned);
    int (*copy_peer)(void *, int, const void *, int, size_t, void *);
    const char *(*error_string)(int);
} hip;

static int hip_begin(int device) { return hip.set_device(device); }
static void hip_end(int device) { (void)device; }
static int hip_peer_can(int *can, int device, int peer) { return hip.peer_can(can, device, peer); }
static int hip_peer_open(int device, int peer)
{
    (void)device;
    const int rc = hip.peer_open(peer, 0);
    return rc == OPEN_ALREADY ? 0 : rc;
}
static int hip_copy_peer(void *to, int device, const void *from, int peer, size_t n, void *stream) { return hip.copy_peer(to, device, from, peer, n, stream); }
static int hip_host_alloc(void **p, size_t n) { return hip.host_malloc(p, n, 0); }
static const char *hip_text(int rc)
{
    const char *s = hip.error_string(rc);
    return s ? s : "an unknown error";
}
/* The kernel's own tables (LATHE_KFD: a folder in their place) name the architecture (hipDeviceProp_t changed its layout in HIP 6).  Nodes without compute units are CPUs; a machine may have more than 64 (8 devices in 8 parts each). */
static int hip_facts(int device, char arch[32], int *n_unit, int *clock_mhz)
{
    *arch = 0, *n_unit = 0, *clock_mhz = 0;
    for (int node = 0, gpu = 0; node < 1100; node++) {
        const char *own = getenv("LATHE_KFD");
        char path[512], key[64];
        unsigned long value, version = 0, simd = 0, per_unit = 0, clock = 0;
        snprintf(path, sizeof path, "%.400s/%d/properties", own && *own ? own : "/sys/class/kfd/kfd/topology/nodes", node);
        FILE *f = fopen(path, "r");
        if (!f)
            break;
        while (fscanf(f, "%63s %lu", key, &value) == 2) {
            version = !strcmp(key, "gfx_target_version") ? value : version;
            simd = !strcmp(key, "simd_count") ? value : simd;
            per_unit = !strcmp(key, "simd_per_cu") ? value : per_unit;
            clock = !strcmp(key, "max_engine_clk_fcompute") ? value : clock;
        }
        fclose(f);
        if (simd == 0 || version == 0 || gpu++ != device)
            continue;
        snprintf(arch, 32, "gfx%lu%lx%lx", version / 10000, version / 100 % 100, version % 100);
        *n_unit = per_unit ? (int)(simd / per_unit) : 0;
        *clock_mhz = (int)clock;
        break;
    }
    return 0;
}

int gpu_api_hip(const struct gpu_api **out, struct err *err)
{
    static const char *const names[] = { "libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", NULL };
#define X(field, cuda, hip, params) { #hip, offsetof(struct gpu_api, field) },
    static const struct symbol symbols[] = { GPU_CALLS(X) };
#undef X
    static struct gpu_api api = { .host_alloc = hip_host_alloc, .device_begin = hip_begin, .device_end = hip_end, .device_use = hip_begin, .error_text = hip_text,
                                  .facts = hip_facts, .peer_can = hip_peer_can, .peer_open = hip_peer_open, .copy_peer = hip_copy_peer, .word = "hip" };
    static const struct { const char *name; void *to; } own[] = {
        { "hipInit", &hip.init }, { "hipSetDevice", &hip.set_device }, { "hipHostMalloc", &hip.host_malloc }, { "hipGetErrorString", &hip.error_string },
        { "hipDeviceCanAccessPeer", &hip.peer_can }, { "hipDeviceEnablePeerAccess", &hip.peer_open }, { "hipMemcpyPeerAsync", &hip.copy_peer },
    };
    static bool ready;
    int rc = 0;
    pthread_mutex_lock(&lock);
    void *lib = NULL;
    if (!ready && (rc = open_library(&lib, "LATHE_HIP_LIB", names, err)) == 0) {
        for (size_t i = 0; i < sizeof own / sizeof *own && rc == 0; i++)
            rc = find(lib, own[i].name, own[i].to, names[0], err);
        rc = rc ? rc : find_all(lib, symbols, (int)(sizeof symbols / sizeof *symbols), &api, names[0], err);
        const int failed = rc ? 0 : hip.init(0);
        if (failed)
            rc = ERR(err, UNSUPPORTED, "HIP: %s (hipInit gives %d)", hip_text(failed), failed);
        ready = rc == 0;
    }
    pthread_mutex_unlock(&lock);
    *out = rc ? NULL : &api;
    return rc;
}
