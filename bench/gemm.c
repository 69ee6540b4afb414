/* gemm.c - share of this machine's peak that the products reach, one thread, each sample beside a sample of the peak.
 *
 * Usage: build/bench/gemm [level]      Columns: level, type, product, M, N, K, GFLOP/s, share of the peak (median of pairs). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "arg.h"
#include "base/mem.h"
#include "base/stat.h"
#include "cpu/kernels.h"

static const struct { int M, N, K; } shapes[] = {
    { 768, 384, 128 }, { 768, 128, 128 }, { 768, 512, 128 }, { 768, 128, 512 }, { 256, 65, 128 }, { 192, 256, 128 }, { 192, 128, 256 },
    { 384, 128, 768 }, { 512, 128, 768 }, { 256, 2304, 768 }, { 256, 768, 3072 }, { 64, 2048, 2048 }, { 16, 2048, 2048 }, { 1, 2048, 2048 },
};
#define PAIRS 9

/* The thread's own time: other programs disturb it less. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds(void (*fn)(const struct gemm *), const struct gemm *g, int n)
{
    const double t = now();
    for (int i = 0; i < n; i++)
        fn(g);
    return (now() - t) / n;
}

static void run(const struct cpu_kernels *k, int i_shape, bool b16, bool transposed)
{
    const int M = shapes[i_shape].M, N = shapes[i_shape].N, K = shapes[i_shape].K;
    const size_t size = b16 ? sizeof(bf16) : sizeof(float), a_bytes = (size_t)M * (size_t)(K + 2) * size, b_bytes = cpu_panel_size((size_t)K, (size_t)N) * size;
    void *a = mem_map(a_bytes), *b = mem_map(b_bytes), *c = mem_map((size_t)M * (size_t)N * sizeof(float));
    if (!a || !b || !c)
        exit(1);
    for (size_t i = 0; i < a_bytes / size; i++)
        b16 ? (void)(((bf16 *)a)[i] = (bf16)(0x3f80 + i % 64)) : (void)(((float *)a)[i] = (float)(i % 64) * 0.01f);
    for (size_t i = 0; i < b_bytes / size; i++)
        b16 ? (void)(((bf16 *)b)[i] = (bf16)(0x3f80 + i % 64)) : (void)(((float *)b)[i] = (float)(i % 64) * 0.01f);
    struct gemm g = { .M = M, .N = N, .K = K, .a = a, .a_row = b16 ? 2 : 1, .a_col = b16 ? 2 * M : M, .b = b,
                      .b_panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL), .c = c, .ldc = N };
    if (!transposed)
        g.a_row = K, g.a_col = b16 ? 2 : 1;
    const double flop = 2.0 * M * N * K;
    const int n = (int)(2e9 / flop / 10) + 1;
    double share[PAIRS], rate[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        const double t0 = now(), peak_flop = (b16 ? k->peak_bf16 : k->peak_f32)(500000), peak = peak_flop / (now() - t0);
        rate[i] = flop / seconds(b16 ? k->gemm_bf16 : k->gemm, &g, n);
        share[i] = rate[i] / peak;
    }
    printf("%-10s %-4s %-6s %5d %5d %5d %8.1f %6.1f %%\n", k->level, b16 ? "bf16" : "f32", transposed ? "a^T*b" : "a*b", M, N, K,
           stat_median(rate, PAIRS) / 1e9, 100 * stat_median(share, PAIRS));
    fflush(stdout);
    mem_unmap(a, a_bytes);
    mem_unmap(b, b_bytes);
    mem_unmap(c, (size_t)M * (size_t)N * sizeof(float));
}

int main(int argc, char **argv)
{
    arg_level(argc, argv, 1);
    for (const struct cpu_kernels *const *level = cpu_levels() + 1; *level; level++) {
        if (argc > 1 && strcmp(argv[1], (*level)->level))
            continue;
        for (int b16 = 0; b16 < 2; b16++)
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
                for (int transposed = 0; transposed < 2; transposed++)
                    run(*level, (int)i, b16, transposed);
    }
    return 0;
}
