/* run_ptx.h - launches of kernels as the PTX that ships, by emuptx.c, and faults planted in it.  Included by one test. */
#ifndef TESTS_EMU_RUN_PTX_H
#define TESTS_EMU_RUN_PTX_H
#include "kernels.h"
#include "emuptx.c"
#include "mutate.h"
#include "gpu/args.h"

static const char *ptx_mutant, *ptx_mutant_file;              /* text in place of that file's image, or NULL */
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
SHARED_BY_TESTS int run_ptx(const struct mock_launch *l)
{
    const char *file = kernel_file(l->kernel);
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    if (ptx_load(ptx_mutant && !strcmp(file, ptx_mutant_file) ? ptx_mutant : gpu_image_of(file, target_of(file))->data, gpu_kernel_name(l->kernel)))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    ptx.dynamic_bytes = dynamic_bytes(l->kernel);
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
}

/* What was found is counted anew. */
SHARED_BY_TESTS struct gpu *open_ptx(void)
{
    ptx_bad = 0;
    return open_emulated(run_ptx, 32, "sm_90");
}

/* How the cases of these parts find a fault: the kernel's n-th `from` (from 0) is `to`. */
enum { BY_HANG = 8 };
SHARED_BY_TESTS int ptx_planted_on(struct gpu *g, int parts, const char *file, const char *kernel, const char *from, const char *to, int n)
{
    char *text = mutated(gpu_image_of(file, target_of(file))->data, kernel, from, to, n);
    if (!text) {
        print_message("%s has no '%s' at place %d\n", kernel, from, n);
        gpu_close(g);
        return NOT_THERE;
    }
    ptx_mutant = text, ptx_mutant_file = file, ptx_loud = 0;
    check_quietly(g, parts, kernel);
    ptx_mutant = NULL, ptx_loud = 4;
    free(text);
    return (ptx_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0) | (rows_failed ? BY_HANG : 0);
}
SHARED_BY_TESTS int ptx_planted(int parts, const char *file, const char *kernel, const char *from, const char *to, int n)
{
    return ptx_planted_on(open_ptx(), parts, file, kernel, from, to, n);
}
#endif
