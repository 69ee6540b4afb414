/* check_sample.c - tokens drawn on the device beside what infer/sample.h says of a draw, written out; penalties beside infer/answer.h's. */
#include "base/rng.h"
#include "gpu/check_job.h"
#include "gpu/sampling.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings { double temperature; int top_k; double top_p, min_p; };
static const struct settings settings[] = {
    { 0, 0, 1, 0 },        { 1, 0, 1, 0 },      { 0.7, 0, 1, 0 },    { 2.5, 1, 1, 0 },      { 1, 2, 1, 0 },        { 0.8, 40, 1, 0 },     { 1, 0, 0.9, 0 },
    { 0.3, 0, 0.3, 0 },    { 1, 0, 0, 0 },      { 1.5, 0, 1, 0.05 }, { 1, 0, 1, 1 },        { 0.9, 50, 0.95, 0 },  { 1.2, 7, 0.6, 0.02 }, { 40, 100000, 0.999, 1e-4 },
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

struct ranked { float x; int32_t id; };
static int by_logit(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->x != y->x ? (x->x > y->x ? -1 : 1) : x->id - y->id;
}

static int drawn(const struct settings *s, const float *logits, const uint32_t *allowed, int n, uint64_t seed, uint64_t position, struct ranked *r)
{
    int last = 0, end = 0, listed;
    double total = 0, kept = 0;
    for (int i = 0; i < n; i++) {
        if (allowed && !(allowed[i / 32] >> i % 32 & 1))
            continue;
        if (isnan(logits[i]))
            return -1;
        r[last++] = (struct ranked){ logits[i], i };
    }
    if (!last)
        return -1;
    qsort(r, (size_t)last, sizeof *r, by_logit);
    if (s->temperature <= 0 || s->top_k == 1)
        return r[0].id;
    listed = last;
    while (s->min_p > 0 && (double)r[listed - 1].x < (double)r[0].x + s->temperature * log(s->min_p))
        listed--;
    listed = s->top_k && s->top_k < listed ? s->top_k : listed;
    for (int i = 0; i < listed; i++)
        total += (double)(float)exp(((double)r[i].x - (double)r[0].x) * (1 / s->temperature));
    for (; end < listed && (end == 0 || kept < s->top_p * total); end++)
        kept += (double)(float)exp(((double)r[end].x - (double)r[0].x) * (1 / s->temperature));
    double at = rng_uniform(rng_key(seed, "sample"), position) * kept;
    for (int i = 0; i < end; i++)
        if ((at -= (double)(float)exp(((double)r[i].x - (double)r[0].x) * (1 / s->temperature))) < 0)
            return r[i].id;
    return r[end - 1].id;
}

/* A row for each of the settings, `draws` times: with equal logits, and a bitmap where ids are forbidden; the last row has a NaN. */
static void draw(struct job *j, int n, int draws, float spread, bool forbids)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d ids%s, logits up to %g apart", n, forbids ? ", some forbidden" : "", (double)(2 * spread));
    const size_t rows = N_SETTINGS + 1, words = (size_t)(n + 31) / 32, ld = (size_t)(n + 3) / 4 * 4;
    float *x = job_floats(j, rows * ld);
    uint32_t *allowed = job_host(j, words * 4), *met = job_host(j, rows * ld * 4), *want_met = job_host(j, rows * ld * 4);
    uint64_t *position = job_host(j, rows * 8), *want_position = job_host(j, rows * 8);
    int32_t *id = job_host(j, rows * 4), *want = job_host(j, rows * 4);
    struct gpu_sampling *s = job_host(j, rows * sizeof *s);
    struct ranked *r = job_host(j, (size_t)n * sizeof *r);
    if (!j->rc) {
        for (size_t i = 0; i < rows * ld; i++)
            x[i] = i % 3 ? spread * x[i] : spread / 4 * (float)(int)(x[i] * 4);
        x[(rows - 1) * ld + (size_t)(n - 1)] = NAN;
        for (int i = 0; i < n; i++)
            allowed[i / 32] |= (uint32_t)(n == 1 || i % 5 != 2) << i % 32;
        for (size_t i = 0; i < rows; i++) {
            const struct settings *t = &settings[i % N_SETTINGS];
            s[i] = gpu_sampling_of(t->temperature, t->top_k, t->top_p, t->min_p, 100 + i);
            position[i] = want_position[i] = i << 33 | 5;
        }
    }
    struct sample_args a = { .id = job_device(j, rows * 4), .position = job_upload(j, position, rows * 8), .met = job_upload(j, met, rows * ld * 4), .logits = job_upload(j, x, rows * ld * 4),
                             .allowed = forbids ? job_upload(j, allowed, words * 4) : NULL, .sampling = job_upload(j, s, rows * sizeof *s), .ld_logits = (long)ld, .ld_met = (long)ld, .n = n };
    for (int k = 0; k < draws && !j->rc; k++) {
        job_launch(j, GPU_sample_draw, (long)rows, 1, 1, &a);
        job_download(j, id, a.id, rows * 4);
        for (size_t i = 0; i < rows; i++) {
            want[i] = drawn(&settings[i % N_SETTINGS], x + i * ld, forbids ? allowed : NULL, n, 100 + i, want_position[i]++, r);
            if (want[i] >= 0)
                want_met[i * ld + (size_t)want[i]]++;
        }
        job_compare_bits(j, "sample_draw", id, want, rows * 4);
    }
    job_download(j, position, a.position, rows * 8);
    job_download(j, met, a.met, rows * ld * 4);
    job_compare_bits(j, "sample_draw positions", position, want_position, rows * 8);
    job_compare_bits(j, "sample_draw met", met, want_met, rows * ld * 4);
    job_end(j, "sample_draw");
}

static void penalise(struct job *j, int n)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "3 rows of %d ids", n);
    const size_t all = 3 * (size_t)n;
    float *x = job_floats(j, all), *got = job_host(j, all * 4);
    uint32_t *met = job_host(j, all * 4);
    static const struct gpu_penalties penalties[3] = { { 1.1, 0, 0 }, { 1, 0.5, 0.25 }, { 0.7, -1, 2 } };
    for (size_t i = 0; !j->rc && i < all; i++)
        met[i] = i % 4 == 1 ? 0x80000000u : i % 4 == 2 ? (uint32_t)(i % 7) : i % 4 == 3 ? 0x80000003u : 0;
    const struct penalise_args a = { .logits = job_upload(j, x, all * 4), .met = job_upload(j, met, all * 4), .penalties = job_upload(j, penalties, sizeof penalties), .ld_logits = n, .ld_met = n, .n = n };
    job_launch(j, GPU_sample_penalise, (n + 255) / 256, 3, 1, &a);
    job_download(j, got, a.logits, all * 4);
    for (size_t i = 0; !j->rc && i < all; i++) {
        const struct gpu_penalties *p = &penalties[i / (size_t)n];
        const uint32_t count = met[i] & 0x7fffffff;
        double l = (double)x[i];
        if (p->repetition != 1 && met[i])
            l = l > 0 ? l / p->repetition : l * p->repetition;
        if (count)
            l -= p->presence + (double)count * p->frequency;
        x[i] = (float)l;
    }
    job_compare_bits(j, "sample_penalise", got, x, all * 4);
    job_end(j, "sample_penalise");
}

void check_sample(struct job *j, bool large)
{
    if (large) {
        draw(j, 32000, 4, 8, false);
        draw(j, 128256, 4, 12, true);
        penalise(j, 128256);
    }
    draw(j, 1, 1, 1, false);
    draw(j, 2, 3, 2, false);
    draw(j, 63, 2, 3, true);
    draw(j, 300, 3, 6, true);
    draw(j, 1030, 2, 20, false);
    penalise(j, 1);
    penalise(j, 300);
}
