/* run_ptx.h - launches of kernels as the PTX that ships, by emuptx.c, and faults planted in it.  Included by one test. */
#ifndef TESTS_EMU_RUN_PTX_H
#define TESTS_EMU_RUN_PTX_H
#include "kernels.h"
#include "emuptx.c"
#include "mutate.h"

static const char *ptx_mutant, *ptx_mutant_file;              /* text in place of that file's image, or NULL */
static const char *ptx_alone;                                 /* the one file whose kernels are run, or NULL: all */
SHARED_BY_TESTS int run_ptx(const struct mock_launch *l)
{
    const char *file = kernel_file(l->kernel);
    if (ptx_alone && strcmp(file, ptx_alone) != 0)
        return 0;
    ptx.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        ptx_block(mock.block[i].p, mock.block[i].n);
    if (ptx_load(ptx_mutant && !strcmp(file, ptx_mutant_file) ? ptx_mutant : gpu_image_of(file, "sm_90")->data, gpu_kernel_name(l->kernel)))
        return 500;
    if ((size_t)ptx.param_bytes != gpu_kernel_args(l->kernel))
        return 1;
    return ptx_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args) ? 719 : 0;
}

/* What was found is counted anew. */
SHARED_BY_TESTS struct gpu *open_ptx(void)
{
    ptx_bad = 0;
    return open_emulated(run_ptx, 32, "sm_90");
}

/* How the cases of these parts find a fault: the kernel's n-th `from` (from 0) is `to`. */
SHARED_BY_TESTS int ptx_planted(int parts, const char *file, const char *kernel, const char *from, const char *to, int n)
{
    struct gpu *g = open_ptx();
    char *text = mutated(gpu_image_of(file, "sm_90")->data, kernel, from, to, n);
    if (!text) {
        print_message("%s has no '%s' at place %d\n", kernel, from, n);
        gpu_close(g);
        return NOT_THERE;
    }
    ptx_mutant = text, ptx_mutant_file = file, ptx_loud = 0;
    check_quietly(g, parts);
    ptx_mutant = NULL, ptx_loud = 4;
    free(text);
    return (ptx_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0);
}
#endif
