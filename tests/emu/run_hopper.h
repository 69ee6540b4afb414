/* run_hopper.h - launches of kernels as the PTX that ships for Hopper, its copy engine and products of warpgroups too, by emuptx.c.  Included by one test. */
#ifndef TESTS_EMU_RUN_HOPPER_H
#define TESTS_EMU_RUN_HOPPER_H
#include "kernels.h"
#include "emuptx.c"
#include "mutate.h"
#include "gpu/args.h"

static const char *mutant, *mutant_kernel;                    /* text in place of that kernel's image; the others are then not run */
SHARED_BY_TESTS const char *target_of(const char *file) { return gpu_image_of(file, "sm_90a") ? "sm_90a" : "sm_90"; }
SHARED_BY_TESTS int64_t dynamic_bytes(enum gpu_kernel k)
{
    static const int64_t bytes[] = {
#define K(name, file, n_thread, n_block, args, what) 0,
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what) n_shared,
#include "gpu/kernels.def"
#undef K
    };
    return bytes[k];
}
SHARED_BY_TESTS int run_hopper(const struct mock_launch *l)
{
    const char *name = gpu_kernel_name(l->kernel), *file = kernel_file(l->kernel);
    if (mutant && strcmp(mutant_kernel, name) != 0)
        return 0;
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    if (ptx_load(mutant ? mutant : gpu_image_of(file, target_of(file))->data, name))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    ptx.dynamic_bytes = dynamic_bytes(l->kernel);
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
}

/* cuTensorMapEncodeTiled, for the emulator. */
SHARED_BY_TESTS int encode(void *map, int type, unsigned rank, void *p, const uint64_t *size, const uint64_t *stride, const unsigned *box, const unsigned *step, int interleave, int swizzle, int promotion,
                  int fill)
{
    struct ptx_map m = { .bytes = type == 9 ? 2 : 1, .rank = rank, .p = p };
    (void)promotion;
    if (rank < 2 || rank > 3 || interleave || swizzle != 3 || fill || *step != 1)
        return 1;
    for (unsigned i = 0; i < rank; i++) {
        m.size[i] = size[i], m.box[i] = box[i];
        if (i + 1 < rank)
            m.stride[i] = stride[i];
    }
    memset(map, 0, 128);
    memcpy(map, &m, sizeof m);
    return 0;
}
static struct gpu_api api;
SHARED_BY_TESTS struct gpu *open_hopper(void)
{
    struct err err;
    struct gpu *g;
    ptx_bad = 0;
    gpu_close(open_emulated(run_hopper, 32, "sm_90"));
    api = mock_api, api.tensor_map = encode;
    assert_int_equal(gpu_open_api(&g, &api, 0, "sm_90", &err), 0);
    return g;
}
#endif
