/* run_amd.h - launches of kernels as the gfx942 code objects that ship, by emu942.c, and faults planted in them.  Included by one test. */
#ifndef TESTS_EMU_RUN_AMD_H
#define TESTS_EMU_RUN_AMD_H
#include "kernels.h"
#include "emu942.c"

SHARED_BY_TESTS int run_amd(const struct mock_launch *l)
{
    const char *name = gpu_kernel_name(l->kernel);
    amd.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        if (mock.block[i].device == l->device || mock.peer[l->device][mock.block[i].device])
            amd_block(mock.block[i].p, mock.block[i].n);
    if (amd_load(gpu_image_of(kernel_file(l->kernel), "gfx942")->data, name))
        return 500;
    return amd_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args, gpu_kernel_args(l->kernel)) ? 719 : 0;
}

/* What was found is counted anew. */
SHARED_BY_TESTS struct gpu *open_amd(void)
{
    amd_bad = 0;
    return open_emulated(run_amd, 64, "gfx942");
}

/* How the cases of these parts find a fault: the kernel's n-th instruction (from 1) that begins so, and has `from` in it, is left out, or has `by` in place of
 * `from`.  instruction NULL: the one that is set already in amd_fault. */
SHARED_BY_TESTS int amd_planted(int parts, const char *kernel, const char *instruction, const char *from, const char *by, int n)
{
    struct gpu *g = open_amd();
    amd_fault.kernel = kernel, amd_fault.instruction = instruction, amd_fault.from = from, amd_fault.by = by, amd_fault.n = n, amd_fault.found = false;
    amd_loud = 0;
    check_quietly(g, parts, kernel);
    const int how = instruction && !amd_fault.found ? NOT_THERE : (amd_bad ? BY_CHECK : 0) | (rows_wrong ? BY_RESULT : 0);
    memset(&amd_fault, 0, sizeof amd_fault);
    amd_loud = 4;
    return how;
}
#endif
