/* quant.c - share of this machine's limits that products with packed weights reach, each sample beside a sample of the limit.
 *
 * Usage: build/bench/quant [types, as q8_0,q4_k or all] [rows, as 1,16,512] [threads] [level] [shapes: small or large]
 * Weights are cold: as many copies as fill 128 MB are taken in turn.  A product starts from quantised activations and is cut
 * over the threads by panels.  Columns: type, threads, M, N, K, GOP/s, share of the peak (int8; bf16 and f32 of plain types),
 * GB/s of weights, share of the bandwidth of reading; medians of pairs.  One thread is timed by its own CPU clock, so that
 * other programs disturb it less. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "arg.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/stat.h"
#include "cpu/kernels.h"

#define PAIRS 9
#define COLD ((size_t)128 << 20)
#define PEAK_ROUNDS 100000
#define M_MAX 512

static const struct { int N, K; } small[] = { { 576, 576 }, { 192, 576 }, { 1536, 576 }, { 576, 1536 }, { 49152, 576 } },
                                  large[] = { { 2048, 2048 }, { 5632, 2048 }, { 2048, 5632 }, { 32000, 2048 } };

static struct pool *pool;
static const struct cpu_kernels *k;
static void *other;                      /* what the read limit is sampled on */

static double now(void)
{
    struct timespec t;
    clock_gettime(pool_n_thread(pool) == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- limits ---- */

struct probe { double (*peak)(int64_t); double done[64]; size_t bytes; };

static void peak_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct probe *p = ctx;
    p->done[i] = p->peak(PEAK_ROUNDS);
}

static void read_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct probe *p = ctx;
    volatile uint64_t sink = k->read_bytes(p->bytes, (const char *)other + (size_t)i * p->bytes);
    (void)sink;
}

static double peak_rate(double (*peak)(int64_t))
{
    struct probe p = { .peak = peak };
    const int n = pool_n_thread(pool);
    const double t = now();
    pool_for(pool, n, peak_item, &p);
    const double s = now() - t;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += p.done[i];
    return sum / s;
}

static double read_rate(void)
{
    struct probe p = { .bytes = 1 << 20 };
    const double t = now();
    pool_for(pool, (int)(COLD >> 20), read_item, &p);
    return (double)COLD / (now() - t);
}

/* ---- products ---- */

struct job { struct gemm_q q; struct gemm g; bool is_q; size_t stride; int panels; };

static void item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const int n0 = i * j->panels * PANEL, N = j->is_q ? j->q.N : j->g.N, n = N - n0 < j->panels * PANEL ? N - n0 : j->panels * PANEL;
    if (j->is_q) {
        struct gemm_q q = j->q;
        q.b = (const char *)q.b + (size_t)(i * j->panels) * j->stride, q.c += n0, q.N = n;
        k->gemm_q(&q);
        return;
    }
    struct gemm g = j->g;
    g.b = (const char *)g.b + (size_t)(i * j->panels) * j->stride, g.c += n0, g.N = n;
    (j->stride == panel_stride(PANEL_F32, g.K) ? k->gemm : j->stride == panel_stride(PANEL_F16, g.K) && g.a_col == 1 ? k->gemm_f16 : k->gemm_bf16)(&g);
}

static void run(enum cpu_type type, int M, int N, int K)
{
    const enum panel_type t = panel_of(type);
    const size_t bytes = panel_bytes(t, K, N), copies = COLD / bytes + 1, a_stride = PANEL_IS_A8(t) ? a8_row_bytes(K) : t == PANEL_BF16 ? (size_t)K * 2 : (size_t)K * 4;
    char *w = mem_map(bytes * copies + 4096);
    void *a = mem_map(a_stride * (size_t)M + 64);
    float *c = mem_map((size_t)M * (size_t)N * sizeof *c);
    if (!w || !a || !c)
        exit(1);
    memset(w, 1, bytes * copies);
    if (PANEL_IS_A8(t)) {
        float *x = mem_map((size_t)M * (size_t)K * sizeof *x);
        for (size_t i = 0; i < (size_t)M * (size_t)K; i++)
            x[i] = (float)(i % 97) - 48;
        const struct a8 p = { .M = M, .K = K, .x = x, .ld_x = K, .out = a, .stride = a_stride };
        k->quantize_a8(&p);
        mem_unmap(x, (size_t)M * (size_t)K * sizeof *x);
    }
    struct job j = { .is_q = PANEL_IS_A8(t), .stride = panel_stride(t, K) };
    j.q = (struct gemm_q){ .type = t, .M = M, .N = N, .K = K, .a = a, .a_stride = a_stride, .c = c, .ldc = N };
    j.g = (struct gemm){ .M = M, .N = N, .K = K, .a = a, .a_row = K, .a_col = t == PANEL_BF16 ? 2 : 1, .b_panel = (ptrdiff_t)(j.stride / (t == PANEL_F32 ? 4 : 2)), .c = c, .ldc = N };
    const int n_panel = (N + PANEL - 1) / PANEL, n_thread = pool_n_thread(pool);
    j.panels = n_thread == 1 ? n_panel : n_panel / (n_thread * 8) < 1 ? 1 : n_panel / (n_thread * 8) > 8 ? 8 : n_panel / (n_thread * 8);
    const double op = 2.0 * M * N * K;
    const int repeat = (int)((op < 4e6 * M ? 4e9 : 8e9) / 20 / op) + 1 > (int)copies ? (int)copies : (int)((op < 4e6 * M ? 4e9 : 8e9) / 20 / op) + 1;
    double rate[PAIRS], gbps[PAIRS], of_peak[PAIRS], of_read[PAIRS];
    size_t copy = 0;
    for (int i = 0; i < PAIRS; i++) {
        const double peak = peak_rate(PANEL_IS_A8(t) ? k->peak_int8 : t == PANEL_BF16 ? k->peak_bf16 : k->peak_f32), read = read_rate(), begin = now();
        for (int r = 0; r < repeat; r++) {
            copy = (copy + 1) % copies;
            j.q.b = j.g.b = w + copy * bytes;
            pool_for(pool, (n_panel + j.panels - 1) / j.panels, item, &j);
        }
        const double s = (now() - begin) / repeat;
        rate[i] = op / s, gbps[i] = (double)bytes / s;
        of_peak[i] = rate[i] / peak, of_read[i] = gbps[i] / read;
    }
    printf("%-10s %-7s %d %4d %6d %6d %8.1f %6.1f %% %7.1f %6.1f %%\n", k->level, type_name(type), n_thread, M, N, K, stat_median(rate, PAIRS) / 1e9,
           100 * stat_median(of_peak, PAIRS), stat_median(gbps, PAIRS) / 1e9, 100 * stat_median(of_read, PAIRS));
    fflush(stdout);
    mem_unmap(w, bytes * copies + 4096);
    mem_unmap(a, a_stride * (size_t)M + 64);
    mem_unmap(c, (size_t)M * (size_t)N * sizeof *c);
}

static bool is_named(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at++)
        if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ','))
            return true;
    return !strcmp(list, "all");
}

int main(int argc, char **argv)
{
    const char *types = argc > 1 ? argv[1] : "q8_0,q4_0,q4_k,q6_k,bf16", *rows = argc > 2 ? argv[2] : "1,2,4,8,16,32,64,512";
    const int n_thread = arg_number(argc, argv, 3, 1, 1, 64);
    struct err err;
    if (pool_new(&pool, n_thread, &err) < 0 || !(other = mem_map(COLD)))
        return 1;
    memset(other, 1, COLD);
    k = argc > 4 ? arg_level(argc, argv, 4) : cpu_kernels();
    for (enum cpu_type t = 0; t < N_CPU_TYPE; t++)
        for (int set = 0; set < 2 && is_named(types, type_name(t)); set++)
            for (const char *at = rows; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
                const int M = atoi(at);
                for (size_t i = 0; i < (set ? sizeof large / sizeof *large : sizeof small / sizeof *small); i++) {
                    const int N = set ? large[i].N : small[i].N, K = set ? large[i].K : small[i].K;
                    if (M >= 1 && M <= M_MAX && K % type_block(t) == 0 && (argc <= 5 || !strcmp(argv[5], set ? "large" : "small")))
                        run(t, M, N, K);
                }
            }
    mem_unmap(other, COLD);
    pool_free(pool);
    return 0;
}
