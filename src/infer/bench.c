#include "infer/bench.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/stat.h"

void bench_needs(const struct bench_test *t, int n_test, int *n_slot, int *ctx)
{
    *n_slot = 1, *ctx = 1;
    for (int i = 0; i < n_test; i++) {
        const int n = t[i].n_depth + t[i].n_prompt + t[i].n_gen;
        *n_slot = t[i].batch > *n_slot ? t[i].batch : *n_slot;
        *ctx = n > *ctx ? n : *ctx;
    }
}

struct run_of { struct engine *e; const struct bench_test *t; int32_t *ids, *slot, *pos; };

/* The same ids every time: what is timed does not depend on them. */
static int feed(const struct run_of *r, int slot, int pos, int n, struct err *err)
{
    const float *logits;
    for (int i = 0; i < n; i++)
        r->ids[i] = (int32_t)(rng_u64(42, (uint64_t)(pos + i)) % (uint64_t)engine_config(r->e)->vocab_size);
    return n ? engine_feed(r->e, slot, pos, r->ids, n, &logits, err) : 0;
}

static int timed(const struct run_of *r, double *seconds, struct err *err)
{
    const struct bench_test *t = r->t;
    const double begin = clock_wall();
    const float *logits;
    if (t->n_prompt)
        TRY(feed(r, 0, t->n_depth, t->n_prompt, err));
    for (int i = 0; i < t->n_gen; i++) {
        for (int b = 0; b < t->batch; b++)
            r->slot[b] = b, r->pos[b] = t->n_depth + i, r->ids[b] = (int32_t)(rng_u64(7 + (uint64_t)b, (uint64_t)i) % (uint64_t)engine_config(r->e)->vocab_size);
        TRY(engine_step(r->e, t->batch, r->slot, r->pos, r->ids, &logits, err));
    }
    *seconds = clock_wall() - begin;
    return 0;
}

static double at_peak(double work, double peak) { return work > 0 ? peak > 0 ? work / peak : (double)NAN : 0; }

/* Seconds that the limits allow for one repetition, and by what; NAN where what it needs is not known. */
static double best_seconds(const struct bench_result *b, const struct cost_sum *c, const struct limits *l, const char **kind)
{
    const struct { const char *kind; double s; } part[] = { { "int8 peak", at_peak(c->flops_int8, l->int8) }, { "bf16 peak", at_peak(c->flops_bf16, l->bf16) },
                                                            { "fp32 peak", at_peak(c->flops_f32, l->f32) } };
    double compute = 0, most = -1;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        compute += part[i].s;
        if (part[i].s > most)
            most = part[i].s, *kind = part[i].kind;
    }
    const double memory = at_peak(b->bytes, l->read);
    if (isnan(compute) || isnan(memory))
        return *kind = "not known", (double)NAN;
    if (memory > compute)
        *kind = "read bandwidth";
    return fmax(compute, memory);
}

/* Operations of products and attention, and bytes of weights and cache, of one repetition. */
static void price(struct engine *e, const struct bench_test *t, struct cost_sum *c, double *bytes)
{
    *c = (struct cost_sum){ 0 };
    *bytes = 0;
    const int step = engine_step_tokens(e);
    if (t->n_prompt) {
        for (int at = 0; at < t->n_prompt; at += step) {
            const int n = t->n_prompt - at < step ? t->n_prompt - at : step;
            engine_price(e, n, 1, at + n == t->n_prompt, t->n_depth + at + (n + 1) / 2.0, t->n_depth + at + n, c, bytes);
        }
        return;
    }
    for (int i = 0; i < t->n_gen; i++)
        engine_price(e, t->batch, t->batch, t->batch, t->n_depth + i + 1, t->n_depth + i, c, bytes);
}

int bench_run(struct engine *e, const struct bench_test *t, int repeat, const struct limits *device, struct pool *pool, struct bench_result *out, struct err *err)
{
    *out = (struct bench_result){ .test = *t, .n = repeat, .tokens = t->n_prompt ? t->n_prompt : (double)t->n_gen * t->batch };
    struct cost_sum c;
    price(e, t, &c, &out->bytes);
    out->flops = c.flops_int8 + c.flops_bf16 + c.flops_f32;
    const size_t n = (size_t)(t->n_prompt + t->n_depth > t->batch ? t->n_prompt + t->n_depth : t->batch);
    struct limits_room room = { NULL };
    struct run_of r = { e, t, mem_alloc_array(n + 2 * (size_t)t->batch, sizeof *r.ids), NULL, NULL };
    if (!r.ids)
        return ERR(err, NOMEM, "no memory for %zu tokens", n);
    r.slot = r.ids + n, r.pos = r.slot + t->batch;
    double seconds, limit[BENCH_REPEAT_MAX];
    double sample[4][BENCH_REPEAT_MAX + 1];
    int rc = device ? 0 : limits_room_take(&room, err);
    for (int b = 0; b < t->batch && !rc; b++)
        rc = feed(&r, b, 0, t->n_depth, err);
    if (!rc)
        rc = timed(&r, &seconds, err);
    for (int i = 0; i <= repeat && !rc; i++) {
        struct limits l = device ? *device : (struct limits){ 0 };
        if (!device && (rc = limits_sample(&l, &room, pool, err)))
            break;
        sample[0][i] = l.int8, sample[1][i] = l.bf16, sample[2][i] = l.f32, sample[3][i] = l.read;
        if (i < repeat)
            rc = timed(&r, &out->seconds[i], err);
    }
    if (!device)
        limits_room_release(&room);
    mem_free(r.ids);
    TRY(rc);
    for (int i = 0; i < repeat; i++) {
        const struct limits beside = { .int8 = (sample[0][i] + sample[0][i + 1]) / 2, .bf16 = (sample[1][i] + sample[1][i + 1]) / 2,
                                       .f32 = (sample[2][i] + sample[2][i + 1]) / 2, .read = (sample[3][i] + sample[3][i + 1]) / 2 };
        const double best = best_seconds(out, &c, &beside, &out->limit_kind);
        limit[i] = out->tokens / best;
        out->share_of_each[i] = best / out->seconds[i];
    }
    out->limit = stat_median(limit, repeat);
    out->share = stat_median(out->share_of_each, repeat);
    out->limits = (struct limits){ .int8 = stat_median(sample[0], repeat + 1), .bf16 = stat_median(sample[1], repeat + 1),
                                   .f32 = stat_median(sample[2], repeat + 1), .read = stat_median(sample[3], repeat + 1) };
    return 0;
}
