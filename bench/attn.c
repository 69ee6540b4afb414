/* attn.c - attention over pages beside this machine's limits, all threads of a pool.
 *
 * Usage: build/bench/attn [threads] [level] [prefill, decode, verify, a case's number, or all] [pages side by side; 0: all of a sequence]   Prefill: operations of the visible half only, GFLOP/s and their share of
 * the level's peak in the cache's type.  Decode: bytes of the cache that must be read (from memory: layers are walked), GB/s and
 * their share of what read_bytes reaches on the same memory.  Each sample stands beside a sample of its limit; medians of
 * the pairs: rates per second of the threads' own time, then the share by the wall's time and by the threads' own (which
 * leaves out what other programs took and what a thread slept). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arg.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"
#include "cpu/attn_step.h"

#define PAIRS 21
#define CACHE_BYTES ((size_t)192 << 20)      /* more than the last-level cache that one may get */

struct bench { const char *name; int n_seq, n_q, ctx, n_kv_head, n_group, dk, dv, window; enum kv_type type; };
static const struct bench benches[] = {
    { "prefill", 1, 512, 512, 3, 3, 64, 64, 0, KV_BF16 },   { "prefill", 1, 2048, 2048, 3, 3, 64, 64, 0, KV_BF16 },  { "prefill", 1, 512, 512, 4, 8, 128, 128, 0, KV_BF16 },
    { "prefill", 1, 2048, 2048, 4, 8, 128, 128, 0, KV_BF16 }, { "prefill", 1, 512, 512, 12, 1, 64, 64, 0, KV_BF16 }, { "prefill", 1, 512, 512, 4, 4, 80, 80, 0, KV_BF16 },
    { "prefill", 1, 512, 512, 8, 8, 64, 64, 128, KV_BF16 }, { "prefill", 1, 512, 512, 2, 1, 192, 128, 0, KV_BF16 },  { "prefill", 1, 512, 512, 3, 3, 64, 64, 0, KV_REAL },
    { "decode", 1, 1, 2000, 3, 3, 64, 64, 0, KV_BF16 },     { "decode", 1, 1, 2000, 4, 8, 128, 128, 0, KV_BF16 },    { "decode", 1, 1, 2000, 1, 8, 128, 128, 0, KV_BF16 },
    { "decode", 1, 1, 500, 3, 3, 64, 64, 0, KV_BF16 },      { "decode", 16, 1, 300, 3, 3, 64, 64, 0, KV_BF16 },      { "decode", 16, 1, 2000, 3, 3, 64, 64, 0, KV_BF16 },
    { "decode", 1, 1, 2000, 16, 1, 128, 128, 0, KV_BF16 },  { "decode", 1, 1, 2000, 4, 4, 128, 128, 0, KV_BF16 },    { "decode", 1, 1, 2000, 1, 16, 576, 512, 0, KV_BF16 },
    { "decode", 1, 1, 2000, 3, 3, 64, 64, 0, KV_REAL },    { "verify", 1, 5, 2000, 3, 3, 64, 64, 0, KV_BF16 },
    { "prefill", 1, 512, 512, 3, 3, 64, 64, 0, KV_I8 },    { "prefill", 1, 2048, 2048, 3, 3, 64, 64, 0, KV_I8 },    { "decode", 1, 1, 2000, 3, 3, 64, 64, 0, KV_I8 },
    { "decode", 1, 1, 2000, 4, 8, 128, 128, 0, KV_I8 },    { "decode", 16, 1, 2000, 3, 3, 64, 64, 0, KV_I8 },
};

static int run_pages;                        /* pages that lie one after the other; the runs are scattered; 0: all of a sequence */
static struct pool *pool;
static const struct cpu_kernels *kernels;

struct read_job { char *p; size_t n; };
static void read_item(void *ctx, int i, int thread)
{
    const struct read_job *j = ctx;
    static volatile uint64_t sink[64];
    sink[thread % 64] += kernels->read_bytes(j->n, j->p + (size_t)i * j->n);
}
/* Seconds by the wall and, on a shared machine, as the threads' own time says. */
struct times { double wall, cpu; };
static struct times times_since(struct times t) { return (struct times){ clock_wall() - t.wall, clock_cpu() / pool_n_thread(pool) - t.cpu }; }
static struct times times_now(void) { return times_since((struct times){ 0, 0 }); }

static double read_work(char *p, size_t n)
{
    struct read_job j = { p, 1 << 16 };
    const int items = (int)(n / j.n);
    pool_for(pool, items, read_item, &j);
    return (double)items * (double)j.n;
}

static bool peak_b16;
static void peak_item(void *ctx, int i, int thread)
{
    (void)i, (void)thread;
    *(double *)ctx = peak_b16 ? kernels->peak_bf16(4000) : kernels->peak_f32(4000);      /* the same from all */
}
static double peak_work(void)
{
    double work = 0;
    pool_for(pool, 100, peak_item, &work);
    return 100 * work;
}

struct bed { struct attn_step s; struct attn_seq seq[16]; int n_layer, n_page; size_t layer_bytes; char *cache, *memory; int32_t *page; float *x; size_t memory_bytes; };

static void setup(struct bed *b, const struct bench *c)
{
    const size_t page = cpu_kv_page_bytes(c->type, c->dk, c->dv);
    const int pages = (c->ctx + KV_TOKENS - 1) / KV_TOKENS, n_thread = pool_n_thread(pool), H = c->n_kv_head * c->n_group;
    b->n_page = pages * c->n_seq;
    b->layer_bytes = page * (size_t)(b->n_page * c->n_kv_head);
    b->n_layer = c->n_q == 1 ? (int)(CACHE_BYTES / b->layer_bytes) : 1;
    b->n_layer = b->n_layer < 1 ? 1 : b->n_layer;
    b->cache = mem_map((size_t)b->n_layer * b->layer_bytes);
    b->page = mem_alloc_array((size_t)b->n_page, sizeof *b->page);
    const int rows = c->n_seq * c->n_q, C = H * (c->dk + c->dv) + c->n_kv_head * (c->dk + c->dv);
    b->x = mem_map((size_t)(rows * C) * sizeof *b->x);
    const size_t scratch = attn_step_scratch(c->n_group, c->dk, c->dv);
    b->memory_bytes = scratch * (size_t)n_thread + attn_step_work(c->n_seq, c->ctx, c->n_kv_head, c->n_group, c->dv, n_thread);
    b->memory = mem_map(b->memory_bytes);
    if (!b->cache || !b->page || !b->x || !b->memory)
        exit(1);
    const int length = run_pages ? run_pages : pages, runs = b->n_page / length;
    for (int i = 0; i < b->n_page; i++)
        b->page[i] = i < runs * length ? (int32_t)rng_permute(1, (uint64_t)(i / length), (uint64_t)runs) * length + i % length : i;
    for (int i = 0; i < rows * C; i++)
        b->x[i] = (float)rng_uniform(2, (uint64_t)i) * 4 - 2;
    for (int i = 0; i < c->n_seq; i++)
        b->seq[i] = (struct attn_seq){ i * c->n_q, c->n_q, c->ctx - c->n_q, b->page + i * pages };
    float *q = b->x, *k = q + rows * H * c->dk, *v = k + rows * c->n_kv_head * c->dk, *o = v + rows * c->n_kv_head * c->dv;
    b->s = (struct attn_step){ .kernels = kernels, .pool = pool, .n_seq = c->n_seq, .seq = b->seq, .n_kv_head = c->n_kv_head, .n_group = c->n_group, .dk = c->dk, .dv = c->dv,
                               .page_stride = page, .head_stride = page * (size_t)b->n_page, .type = c->type, .q = q, .k = k, .v = v, .ld_q = H * c->dk, .ld_k = c->n_kv_head * c->dk,
                               .ld_v = c->n_kv_head * c->dv, .window = c->window, .scale = 1 / sqrtf((float)c->dk), .o = o, .ld_o = H * c->dv, .o_bf16 = c->type != KV_REAL,
                               .scratch = b->memory, .scratch_step = scratch, .work = b->memory + scratch * (size_t)n_thread };
    const size_t n = (size_t)b->n_layer * b->layer_bytes;
    if (c->type == KV_I8)
        for (size_t i = 0; i < n / page; i++) {
            char *at = b->cache + i * page;
            float *scale = (float *)(void *)(at + cpu_kv_page(c->dk, c->dv));
            for (size_t j = 0; j < cpu_kv_page(c->dk, c->dv); j++)
                at[j] = (char)(j * 2654435761u >> 24);
            for (int j = 0; j < 2 * KV_TOKENS; j++)
                scale[j] = 0.01f;
        }
    else if (c->type == KV_BF16)
        for (size_t i = 0; i < n / 2; i++)
            ((bf16 *)(void *)b->cache)[i] = (bf16)(0x3c00 + (i * 2654435761u >> 9 & 0x80ff));
    else
        for (size_t i = 0; i < n / 4; i++)
            ((float *)(void *)b->cache)[i] = (float)(i % 19) * 0.1f - 0.9f;
}

/* One pass over all layers; operations or bytes. */
static double run(struct bed *b, const struct bench *c)
{
    for (int i = 0; i < b->n_layer; i++) {
        b->s.cache = b->cache + (size_t)i * b->layer_bytes;
        attn_step(&b->s);
    }
    double pairs = 0;
    for (int i = c->ctx - c->n_q; i < c->ctx; i++)
        pairs += c->window && i >= c->window ? c->window : i + 1;
    pairs *= (double)c->n_seq * b->n_layer * c->n_kv_head;
    return c->n_q > 16 ? pairs * c->n_group * 2 * (c->dk + c->dv) : pairs / c->n_q * (double)cpu_kv_page_bytes(c->type, c->dk, c->dv) / KV_TOKENS;
}

static void measure(const struct bench *c)
{
    struct bed b = { .n_layer = 0 };
    setup(&b, c);
    run(&b, c);
    double rate[PAIRS], share[PAIRS], share_cpu[PAIRS], limits[PAIRS];
    peak_b16 = c->type == KV_BF16;
    for (int i = 0; i < PAIRS; i++) {
        struct times t = times_now();
        const double limit = c->n_q > 16 ? peak_work() : read_work(b.cache, (size_t)b.n_layer * b.layer_bytes);
        const struct times of_limit = times_since(t);
        double work = 0;
        t = times_now();
        do
            work += run(&b, c);
        while (times_since(t).cpu < 0.004);
        const struct times of_work = times_since(t);
        rate[i] = work / of_work.cpu, limits[i] = limit / of_limit.cpu;
        share[i] = work / of_work.wall / (limit / of_limit.wall), share_cpu[i] = rate[i] / limits[i];
    }
    printf("%-10s %-8s %2d x %4d of %4d, %2d x %2d heads of %3d/%3d window %3d %s %7.1f of %7.1f %s %6.1f %% %6.1f %%\n", kernels->level, c->name, c->n_seq, c->n_q, c->ctx, c->n_kv_head, c->n_group,
           c->dk, c->dv, c->window, c->type == KV_I8 ? "int8" : c->type == KV_BF16 ? "bf16" : "f32 ", stat_median(rate, PAIRS) / 1e9, stat_median(limits, PAIRS) / 1e9, c->n_q > 16 ? "GFLOP/s" : "GB/s   ", 100 * stat_median(share, PAIRS), 100 * stat_median(share_cpu, PAIRS));
    fflush(stdout);
    mem_unmap(b.cache, (size_t)b.n_layer * b.layer_bytes);
    mem_unmap(b.x, (size_t)(c->n_seq * c->n_q * (c->n_kv_head * c->n_group + c->n_kv_head) * (c->dk + c->dv)) * sizeof *b.x);
    mem_unmap(b.memory, b.memory_bytes);
    mem_free(b.page);
}

int main(int argc, char **argv)
{
    struct err err;
    if (pool_new(&pool, arg_number(argc, argv, 1, pool_cpu_count(), 1, 4096), &err))
        return 1;
    run_pages = arg_number(argc, argv, 4, 0, 0, 1 << 20);
    arg_level(argc, argv, 2);
    for (const struct cpu_kernels *const *l = cpu_levels() + 1; (kernels = *l); l++)
        if (argc > 2 ? !strcmp(argv[2], kernels->level) : kernels == cpu_kernels())
            for (size_t i = 0; i < sizeof benches / sizeof *benches; i++)
                if (argc <= 3 || !strcmp(argv[3], "all") || !strcmp(benches[i].name, argv[3]) || (argv[3][0] <= '9' && (size_t)atoi(argv[3]) == i))
                    measure(&benches[i]);
    pool_free(pool);
    return 0;
}
