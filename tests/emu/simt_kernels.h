/* simt_kernels.h - every device kernel that the host can run, compiled for it, and a launch of it by simt.c.  Included by one test, which may choose SIMT_WAVE. */
#ifndef TESTS_EMU_SIMT_KERNELS_H
#define TESTS_EMU_SIMT_KERNELS_H
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wunused-function"
#ifndef SIMT_WAVE
#define SIMT_WAVE 64
#endif
#include "kernels.h"
#include "simt.c"
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/copy.c"
#include "gpu/kern/rows.c"
#undef N_THREAD
#include "gpu/kern/gemv.c"
#undef N_THREAD
#include "gpu/kern/attn.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/layer.c"
#undef N_THREAD
#include "gpu/kern/peers.c"
#undef N_THREAD
#include "gpu/kern/paged.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/gemm.c"
#undef N_THREAD
#include "gpu/kern/moe.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/moe_gemv.c"
#undef N_THREAD
#include "gpu/kern/moe_gemm.c"
#undef N_THREAD
#include "gpu/kern/gemv_quant.c"
#include "gpu/kern/gemv_float.c"
#include "gpu/kern/dequant.c"
#include "gpu/kern/gemm_quant.c"
#include "gpu/kern/few.c"
#include "gpu/kern/many.c"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)
#include "gpu/kern/attn_wide.c"
#include "gpu/kern/attn_i8.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/sample.c"
#undef N_THREAD
#undef N_WAVE
#undef ROWS
#undef COLS
#undef WAVES_M
#undef WAVES_N
#undef FM
#undef FN
#undef BM
#undef BN
#undef BK
#undef LD
#include "gpu/kern/train_rows.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/train_moe.c"
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/train_optim.c"
#undef N_THREAD
#undef ROWS
#include "gpu/kern/train_product.c"
#undef N_THREAD
#undef BM
#undef BK
#undef LD
#include "gpu/kern/train_attn.c"
#undef D
#undef N_THREAD
#undef N_WAVE
#include "gpu/kern/train_attn_64.c"
#undef D
#undef N_THREAD
#undef N_WAVE
#undef LD

#define K(name, file, n_thread, n_block, args, what) static void simt_run_##name(const void *p) { name(*(const struct args##_args *)p); }
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what)
#define K_HIP(name, file, n_thread, args, what)
#include "gpu/kernels.def"
#undef K
SHARED_BY_TESTS int simt_run(const struct mock_launch *l)
{
    static void (*const fn[])(const void *) = {
#define K(name, file, n_thread, n_block, args, what) simt_run_##name,
#define K_CUDA(name, file, n_thread, n_block, args, n_shared, what)
#define K_HIP(name, file, n_thread, args, what)
#include "gpu/kernels.def"
#undef K
    };
    return simt_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), fn[l->kernel], l->args) ? 719 : 0;
}

SHARED_BY_TESTS struct gpu *open_host(void)
{
#if UNDER_THREAD
    print_message("skipped: the thread sanitizer does not know fibers\n");
    skip();
#endif
    return open_emulated(simt_run, SIMT_WAVE, "gfx942");
}
#endif
