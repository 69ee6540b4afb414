/* exec_open.c - a device by its name, without the kernels that failed their self test there. */
#include "exec/exec.h"
#include "gpu/verdict.h"

int exec_open(struct graph_device **out, const char *device, struct err *err)
{
    struct gpu *gpu;
    *out = NULL;
    TRY(gpu_open(&gpu, device, err));
    gpu_verdict_heed(gpu);
    return exec_open_gpu(out, gpu, err);
}
