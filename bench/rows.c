/* rows.c - speed of the row and array kernels and of attention beside this machine's limits, one thread.
 *
 * Usage: build/bench/rows [level] [kernel]      Row and array kernels: bytes that must move (inputs read once, outputs written
 * once), GB/s and their share of what read_bytes reaches on as many bytes (so: from the same cache).  Attention: operations
 * of the visible half only, GFLOP/s and their share of peak_f32.  Each sample stands beside a sample of its limit; medians. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "arg.h"
#include "base/mem.h"
#include "base/stat.h"
#include "cpu/kernels.h"

#define PAIRS 15
#define SAMPLE_S 0.004      /* length of a sample */

/* Memory that all cases share; each takes what it needs from the start. */
static struct { float *a, *b, *c, *d, *e; int32_t *index; bf16 *h; float *scratch; } mem;
#define FLOATS ((size_t)1 << 24)

struct shape { int n_row, n, group; };
struct bench { const char *name; struct shape s; double (*run)(const struct cpu_kernels *k, const struct shape *s); bool flops; };

static struct norm norm_of(const struct shape *s)
{
    return (struct norm){ .n_row = s->n_row, .C = s->n, .x = mem.a, .ld_x = s->n, .w = mem.d, .b = mem.d + s->n, .eps = 1e-5f, .y = mem.b, .ld_y = s->n,
                          .mean = mem.e, .rstd = mem.e + s->n_row, .dy = mem.b, .ld_dy = s->n, .dx = mem.c, .ld_dx = s->n,
                          .dw = mem.d + 2 * s->n, .db = mem.d + 3 * s->n, .add_dx = true };
}
static struct act act_of(const struct shape *s, int wide)
{
    return (struct act){ .n_row = s->n_row, .F = s->n, .h = mem.a, .ld_h = wide * s->n, .y = mem.b, .ld_y = s->n, .dy = mem.b, .ld_dy = s->n, .dh = mem.c, .ld_dh = wide * s->n };
}
static double bytes(const struct shape *s, double per_element) { return (double)s->n_row * s->n * per_element; }

#define ROW_KERNEL(name, make, per_element)                                                                   \
    static double run_##name(const struct cpu_kernels *k, const struct shape *s)                              \
    {                                                                                                         \
        make;                                                                                                 \
        k->name(&p);                                                                                          \
        return bytes(s, per_element);                                                                         \
    }
ROW_KERNEL(layernorm_fwd, const struct norm p = norm_of(s), 8)
ROW_KERNEL(layernorm_bwd, const struct norm p = norm_of(s), 16)
ROW_KERNEL(rmsnorm_fwd, struct norm p = norm_of(s); p.mean = NULL; p.b = NULL, 8)
ROW_KERNEL(rmsnorm_bwd, struct norm p = norm_of(s); p.db = NULL, 16)
ROW_KERNEL(gelu_fwd, const struct act p = act_of(s, 1), 8)
ROW_KERNEL(gelu_bwd, const struct act p = act_of(s, 1), 12)
ROW_KERNEL(gelu_tanh_fwd, const struct act p = act_of(s, 1), 8)
ROW_KERNEL(gelu_tanh_bwd, const struct act p = act_of(s, 1), 12)
ROW_KERNEL(swiglu_fwd, const struct act p = act_of(s, 2), 12)
ROW_KERNEL(swiglu_bwd, const struct act p = act_of(s, 2), 20)
ROW_KERNEL(cross_entropy, const struct ce p = ((struct ce){ .n_row = s->n_row, .V = s->n, .x = mem.a, .ld = s->n, .target = mem.index, .nll = mem.e, .grad = true, .scale = 1 }), 8)
ROW_KERNEL(sum_rows, const struct sum_rows p = ((struct sum_rows){ .n_row = s->n_row, .k = 2, .C = s->n, .src = mem.a, .ld_src = s->n, .index = mem.index, .add = mem.b, .ld_add = s->n, .y = mem.c, .ld_y = s->n }), 16)

static double run_softmax(const struct cpu_kernels *k, const struct shape *s)
{
    k->softmax(s->n_row, s->n, mem.a, s->n, mem.b, s->n, mem.e);
    return bytes(s, 8);
}
static double rope(void (*fn)(const struct rope *), const struct shape *s)
{
    for (int i = 0; i < s->n_row; i++)
        fn(&(struct rope){ .n_head = s->group, .d_head = s->n, .d_rot = s->n, .x = mem.a + i * s->group * s->n, .cos_sin = mem.b + i * s->n });
    return (double)s->n_row * s->n * (8 * s->group + 4);
}
static double run_rope_half(const struct cpu_kernels *k, const struct shape *s) { return rope(k->rope_half, s); }
static double run_rope_pairs(const struct cpu_kernels *k, const struct shape *s) { return rope(k->rope_pairs, s); }
static double run_col_sum(const struct cpu_kernels *k, const struct shape *s)
{
    k->col_sum(s->n_row, s->n, mem.a, s->n, mem.e);
    return bytes(s, 4);
}
static double run_add(const struct cpu_kernels *k, const struct shape *s)
{
    k->add((size_t)s->n, mem.a, mem.b, mem.c);
    return bytes(s, 12);
}
static double run_scale(const struct cpu_kernels *k, const struct shape *s)
{
    k->scale((size_t)s->n, 1.0f, mem.a);
    return bytes(s, 8);
}
static double run_dropout(const struct cpu_kernels *k, const struct shape *s)
{
    k->dropout((size_t)s->n, mem.a, mem.b, 1, 0, 0.2f, false);
    return bytes(s, 8);
}
static double run_sum_squares(const struct cpu_kernels *k, const struct shape *s)
{
    mem.e[0] = (float)k->sum_squares((size_t)s->n, mem.a);
    return bytes(s, 4);
}
static double run_adamw(const struct cpu_kernels *k, const struct shape *s)
{
    const struct adamw p = { .lr = 1e-9f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = 0.5f, .correction2 = 0.5f, .grad_scale = 1 };
    k->adamw((size_t)s->n, mem.a, mem.b, mem.c, mem.d, &p);
    return bytes(s, 28);
}
static double run_to_bf16(const struct cpu_kernels *k, const struct shape *s)
{
    k->to_bf16((size_t)s->n, mem.a, mem.h);
    return bytes(s, 6);
}
static double run_from_bf16(const struct cpu_kernels *k, const struct shape *s)
{
    k->from_bf16((size_t)s->n, mem.h, mem.b);
    return bytes(s, 6);
}

/* n_row: tokens, n: d, group: query heads.  Row pitch of a fused qkv of four key/value heads.  Four sequences, so that operands
 * are not always in the first level. */
static double attn(const struct cpu_kernels *k, const struct shape *s, bool backward, bool decode)
{
    const int T = s->n_row, d = s->n, G = s->group, ld = 4 * (G + 2) * d, ldo = 4 * G * d, n_seq = T <= 512 ? 4 : 1;
    for (int i = 0; i < n_seq; i++) {
        const ptrdiff_t at = (ptrdiff_t)i * T * ld, at_o = (ptrdiff_t)i * T * ldo;
        struct attn p = { .n_q = T, .n_group = G, .d = d, .q = mem.a + at, .k = mem.a + at + 4 * G * d, .v = mem.a + at + 4 * (G + 1) * d, .ld_q = ld, .ld_k = ld, .ld_v = ld,
                          .scale = 1 / sqrtf((float)d), .o = mem.b + at_o, .ld_o = ldo, .lse = mem.e + i * T * G, .ld_lse = G, .d_o = mem.c + at_o, .ld_do = ldo,
                          .dq = mem.d + at, .dk = mem.d + at + 4 * G * d, .dv = mem.d + at + 4 * (G + 1) * d, .ld_dq = ld, .ld_dk = ld, .ld_dv = ld, .scratch = mem.scratch };
        if (decode)
            p.n_q = 1, p.pos0 = T - 1;
        (backward ? k->attn_bwd : k->attn_fwd)(&p);
    }
    const double pairs = decode ? T : 0.5 * T * (T + 1);
    return decode ? n_seq * pairs * 8 * d : n_seq * pairs * G * d * (backward ? 10 : 4);
}
static double run_attn_fwd(const struct cpu_kernels *k, const struct shape *s) { return attn(k, s, false, false); }
static double run_attn_bwd(const struct cpu_kernels *k, const struct shape *s) { return attn(k, s, true, false); }
static double run_attn_decode(const struct cpu_kernels *k, const struct shape *s) { return attn(k, s, false, true); }

static const struct bench benches[] = {
#define B(name, n_row, n, group) { #name, { n_row, n, group }, run_##name, false },
#define F(name, n_row, n, group) { #name, { n_row, n, group }, run_##name, true },
    B(layernorm_fwd, 768, 128, 0) B(layernorm_fwd, 256, 768, 0) B(layernorm_bwd, 768, 128, 0) B(layernorm_bwd, 256, 768, 0)
    B(rmsnorm_fwd, 256, 2048, 0) B(rmsnorm_bwd, 256, 2048, 0) B(rmsnorm_fwd, 64, 65, 0) B(layernorm_bwd, 64, 65, 0)
    B(gelu_fwd, 768, 512, 0) B(gelu_bwd, 768, 512, 0) B(gelu_tanh_fwd, 768, 512, 0) B(gelu_tanh_bwd, 768, 512, 0)
    B(swiglu_fwd, 256, 2048, 0) B(swiglu_bwd, 256, 2048, 0) B(softmax, 768, 8, 0) B(softmax, 768, 65, 0) B(softmax, 16, 32000, 0)
    B(cross_entropy, 768, 65, 0) B(cross_entropy, 16, 50257, 0) B(rope_half, 256, 64, 12) B(rope_pairs, 256, 64, 12)
    B(sum_rows, 256, 768, 0) B(col_sum, 768, 512, 0) B(col_sum, 48, 50257, 0) B(add, 1, 98304, 0) B(scale, 1, 98304, 0) B(dropout, 1, 98304, 0)
    B(sum_squares, 1, 98304, 0) B(sum_squares, 1, 8000000, 0) B(adamw, 1, 50000, 0) B(adamw, 1, 800000, 0) B(adamw, 1, 16000000, 0)
    B(to_bf16, 1, 98304, 0) B(from_bf16, 1, 98304, 0)
    F(attn_fwd, 64, 32, 1) F(attn_fwd, 64, 64, 1) F(attn_fwd, 256, 64, 1) F(attn_fwd, 512, 64, 4) F(attn_fwd, 512, 128, 1) F(attn_fwd, 2048, 128, 2)
    F(attn_fwd, 48, 32, 1) F(attn_fwd, 100, 96, 1)
    F(attn_bwd, 64, 32, 1) F(attn_bwd, 64, 64, 1) F(attn_bwd, 256, 64, 1) F(attn_bwd, 512, 64, 4) F(attn_bwd, 512, 128, 1) F(attn_bwd, 2048, 128, 2)
    F(attn_bwd, 48, 32, 1) F(attn_bwd, 100, 96, 1)
    B(attn_decode, 64, 32, 1) B(attn_decode, 512, 64, 1) B(attn_decode, 512, 64, 4) B(attn_decode, 512, 128, 4) B(attn_decode, 2048, 128, 8)
#undef B
#undef F
};

/* This thread's own time: the machine may be shared. */
static double clock_thread(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double rate_of(const struct bench *b, const struct cpu_kernels *k, int n)
{
    const double t = clock_thread();
    double work = 0;
    for (int i = 0; i < n; i++)
        work += b->run(k, &b->s);
    return work / (clock_thread() - t);
}

static double limit_of(const struct bench *b, const struct cpu_kernels *k, size_t n_byte)
{
    const double t = clock_thread();
    double work = 0;
    static volatile uint64_t sink;
    do {
        work += b->flops ? k->peak_f32(20000) : (double)n_byte;
        sink = b->flops ? 0 : k->read_bytes(n_byte, mem.a);
    } while (clock_thread() - t < SAMPLE_S);
    (void)sink;
    return work / (clock_thread() - t);
}

static void fill(float *x, float spread)
{
    uint32_t u = 1;
    for (size_t i = 0; i < FLOATS; i++) {
        u = u * 1664525u + 1013904223u;
        x[i] = spread * ((float)(u >> 8) / 8388608.0f - 1);
    }
}

static void measure(const struct bench *b, const struct cpu_kernels *k)
{
    fill(mem.a, 3), fill(mem.b, 1), fill(mem.c, 1);
    for (size_t i = 0; i < FLOATS; i++)
        mem.d[i] = mem.e[i] = 0.5f;
    if (!strncmp(b->name, "rope", 4))        /* turns must not shrink: denormals are slow */
        for (size_t i = 0; i < FLOATS; i += 2)
            mem.b[i] = 0.6f, mem.b[i + 1] = 0.8f;
    const double work = b->run(k, &b->s);
    const double t = clock_thread();
    b->run(k, &b->s);
    const double once = clock_thread() - t;
    const int n = once < SAMPLE_S ? (int)(SAMPLE_S / once) + 1 : 1;
    const size_t n_byte = b->flops ? 0 : work > 6e7 ? (size_t)60000000 / 256 * 256 : ((size_t)work + 255) / 256 * 256;
    double rate[PAIRS], share[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        const double limit = limit_of(b, k, n_byte);
        rate[i] = rate_of(b, k, n);
        share[i] = rate[i] / limit;
    }
    printf("%-10s %-14s %5d x %-8d %2d %8.1f %s %6.1f %%  %10.2f us\n", k->level, b->name, b->s.n_row, b->s.n, b->s.group, stat_median(rate, PAIRS) / 1e9,
           b->flops ? "GFLOP/s" : "GB/s   ", 100 * stat_median(share, PAIRS), work / stat_median(rate, PAIRS) * 1e6);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    float **const all[] = { &mem.a, &mem.b, &mem.c, &mem.d, &mem.e };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(*all[i] = mem_map(FLOATS * sizeof(float))))
            return 1;
    mem.h = mem_map(FLOATS * sizeof *mem.h);
    mem.index = mem_map((size_t)4096 * sizeof *mem.index);
    mem.scratch = mem_map(cpu_attn_scratch(4096, 4096, 8, 128) * sizeof(float));
    if (!mem.h || !mem.index || !mem.scratch)
        return 1;
    for (int i = 0; i < 4096; i++)
        mem.index[i] = i * 7 % 60;
    arg_level(argc, argv, 1);
    for (const struct cpu_kernels *const *level = cpu_levels() + 1; *level; level++) {
        if ((argc > 1 && strcmp(argv[1], (*level)->level)) || (argc <= 1 && !strcmp((*level)->level, "avx512bf16")))
            continue;
        for (size_t i = 0; i < sizeof benches / sizeof *benches; i++)
            if (argc <= 2 || strstr(benches[i].name, argv[2]))
                measure(&benches[i], *level);
    }
    return 0;
}
