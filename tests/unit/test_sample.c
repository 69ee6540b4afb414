/* test_sample.c - the drawn token against its definition written out: sort, cut, draw. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "cpu/kernels.h"
#include "infer/sample.h"

enum { N_MAX = 200 };
static const float *sorted_logits;

static int by_logit(const void *a, const void *b)
{
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return sorted_logits[i] != sorted_logits[j] ? (sorted_logits[i] > sorted_logits[j] ? -1 : 1) : i - j;
}

static int by_definition(const float *logits, int n, const struct sampling *s, uint64_t position)
{
    int32_t id[N_MAX];
    double p[N_MAX], total = 0, kept = 0;
    for (int i = 0; i < n; i++)
        id[i] = i;
    sorted_logits = logits;
    qsort(id, (size_t)n, sizeof *id, by_logit);
    if (s->temperature <= 0)
        return id[0];
    int last = s->top_k && s->top_k < n ? s->top_k : n;
    while (exp(((double)logits[id[last - 1]] - (double)logits[id[0]]) / s->temperature) < s->min_p)
        last--;
    for (int i = 0; i < last; i++)
        total += p[i] = exp(((double)logits[id[i]] - (double)logits[id[0]]) / s->temperature);
    int end = 0;
    while (end < last && (end == 0 || kept < s->top_p * total))
        kept += p[end++];
    double at = rng_uniform(rng_key(s->seed, "sample"), position) * kept;
    for (int i = 0; i < end; i++)
        if ((at -= p[i]) < 0)
            return id[i];
    return id[end - 1];
}

static void a_draw_is_what_the_definition_says(void **state)
{
    (void)state;
    static const int sizes[] = { 1, 2, 3, 17, 64, N_MAX };
    static const double temperatures[] = { 0, 0.3, 1, 2.5 }, top_ps[] = { 1, 0.9, 0.3, 0 }, min_ps[] = { 0, 0.05, 0.9 };
    static const int top_ks[] = { 0, 1, 2, 40, 1000 };
    float logits[N_MAX], p[N_MAX];
    int32_t id[2 * N_MAX];
    for (uint64_t draw = 0; draw < 3000; draw++) {
        const int n = sizes[draw % 6];
        const struct sampling s = { .temperature = temperatures[draw / 6 % 4], .top_k = top_ks[draw / 24 % 5], .top_p = top_ps[draw / 120 % 4], .min_p = min_ps[draw / 480 % 3], .seed = draw };
        for (int i = 0; i < n; i++)
            logits[i] = (float)(int)(rng_uniform(3, draw * N_MAX + (uint64_t)i) * 40) / 4;      /* some are equal */
        const int got = sample_token(logits, (struct sample_ids){ .n = n }, &s, draw, (struct sample_scratch){ id, p }), want = by_definition(logits, n, &s, draw);
        if (got != want)
            fail_msg("draw %d of %d: token %d, expected %d (temperature %g, top-k %d, top-p %g)", (int)draw, n, got, want, s.temperature, s.top_k, s.top_p);
    }
}

/* ---- vocabularies: the same token, to the last bit of every sum, as by the simplest sort ---- */

enum { V_MAX = 20000 };
static const float *p_of;                    /* by id, or NULL: as below */
static double the_max, the_temperature;
static double weight(int32_t id) { return p_of ? (double)p_of[id] : (double)(float)exp(((double)sorted_logits[id] - the_max) * (1 / the_temperature)); }

static int by_sort(const float *logits, int n, const struct sampling *s, uint64_t position)
{
    static int32_t id[V_MAX];
    static float p[V_MAX];
    const int k = s->top_k && s->top_k < n ? s->top_k : n;
    double total = 0, mass = 0;
    int limit = k, kept = 0, n_listed = n;
    for (int i = 0; i < n; i++)
        id[i] = i;
    sorted_logits = logits;
    qsort(id, (size_t)n, sizeof *id, by_logit);
    the_max = (double)logits[id[0]], the_temperature = s->temperature, p_of = NULL;
    if (k == n && s->min_p <= 0) {
        for (int i = 0; i < n; i++)
            p[i] = (logits[i] - (float)the_max) * (float)(1 / s->temperature);
        cpu_kernels()->softmax(1, n, p, n, p, n, NULL);
        p_of = p, total = 1;
    } else if (s->min_p > 0) {
        const double least = the_max + s->temperature * log(s->min_p);
        n_listed = 0;
        for (int i = 0; i < n; i++)
            n_listed += (double)logits[i] >= least;
        limit = k < n_listed ? k : n_listed;
        for (int i = 0; i < n && limit == n_listed; i++)
            total += (double)logits[i] >= least ? weight(i) : 0;
        for (int i = 0; i < limit && limit < n_listed; i++)
            total += weight(id[i]);
    } else {
        for (int i = 0; i < limit; i++)
            total += weight(id[i]);
    }
    const double u = rng_uniform(rng_key(s->seed, "sample"), position);
    const bool all = s->top_p >= 1 && limit == n_listed;
    while (kept < limit && (kept == 0 || all || mass < s->top_p * total))
        mass += weight(id[kept++]);
    double at = u * (all ? total : mass);
    for (int i = 0; i < kept; i++)
        if ((at -= weight(id[i])) < 0)
            return id[i];
    return id[kept - 1];
}

static void a_draw_of_many_is_that_of_a_sort_to_the_bit(void **state)
{
    (void)state;
    static const double spreads[] = { 0.01, 0.5, 3, 12 }, temperatures[] = { 1, 0.4, 1.7 }, top_ps[] = { 0.9, 1, 0.99, 0.2 }, min_ps[] = { 0, 0, 1e-3 };
    static const int top_ks[] = { 0, 0, 40, 5000 }, sizes[] = { 1024, 1025, 3000, V_MAX };
    static float logits[V_MAX], p[V_MAX];
    static int32_t id[2 * V_MAX];
    for (uint64_t draw = 0; draw < FEWER(400, 40); draw++) {
        const uint64_t dice = rng_u64(11, draw);
        const int n = sizes[dice % 4];
        const struct sampling s = { .temperature = temperatures[dice / 4 % 3], .top_k = top_ks[dice / 16 % 4], .top_p = top_ps[dice / 64 % 4], .min_p = min_ps[dice / 256 % 3], .seed = draw };
        const double spread = spreads[dice / 1024 % 4];
        for (int i = 0; i < n; i++) {
            const double x = rng_normal(12, draw * V_MAX + (uint64_t)i) * spread;
            logits[i] = dice / 4096 % 4 ? (float)x : (float)(int)(x * 4) / 4;       /* some are equal, 0 and -0 among them */
            if (dice / 16384 % 4 == 0 && i % 3 == 0)
                logits[i] = i % 2 ? -INFINITY : -1e30f;
            if (i % 1000 == 7)
                logits[i] = i % 2 ? 0.0f : -0.0f;
        }
        const int got = sample_token(logits, (struct sample_ids){ .n = n }, &s, draw, (struct sample_scratch){ id, p }), want = by_sort(logits, n, &s, draw);
        if (got != want)
            fail_msg("draw %d of %d: token %d, expected %d (spread %g, temperature %g, top-k %d, top-p %g, min-p %g)", (int)draw, n, got, want, spread, s.temperature, s.top_k, s.top_p, s.min_p);
    }
}

static void logits_that_are_not_numbers_give_none(void **state)
{
    (void)state;
    float logits[3] = { 1, NAN, 2 }, p[3];
    int32_t id[6];
    for (int i = 0; i < 3; i++)
        assert_int_equal(sample_token(logits, (struct sample_ids){ .n = 3 }, &(struct sampling){ .temperature = i, .top_p = 1 }, 0, (struct sample_scratch){ id, p }), -1);
}

/* The draws are those from the other ids alone. */
static void gaps_are_never_drawn(void **state)
{
    (void)state;
    static const double temperatures[] = { 0, 0.5, 4 }, top_ps[] = { 1, 0.7 };
    static const int top_ks[] = { 0, 1, 7 };
    float logits[N_MAX], without[N_MAX], p[N_MAX];
    int32_t id[2 * N_MAX], gap[N_MAX], kept[N_MAX];
    const struct sample_scratch scratch = { id, p };
    for (uint64_t draw = 0; draw < 2000; draw++) {
        const int n = 1 + (int)(draw % N_MAX);
        int n_gap = 0, n_kept = 0;
        for (int i = 0; i < n; i++) {
            const bool is_gap = rng_uniform(5, draw * N_MAX + (uint64_t)i) < (draw % 3 ? 0.3 : 0.9);
            logits[i] = is_gap ? draw % 2 ? NAN : 1000 : (float)rng_normal(6, draw * N_MAX + (uint64_t)i);
            if (is_gap)
                gap[n_gap++] = i;
            else
                without[n_kept] = logits[i], kept[n_kept++] = i;
        }
        const struct sampling s = { .temperature = temperatures[draw % 3], .top_k = top_ks[draw / 3 % 3], .top_p = top_ps[draw / 9 % 2], .seed = draw };
        const int got = sample_token(logits, (struct sample_ids){ n, gap, n_gap }, &s, draw, scratch), i = sample_token(without, (struct sample_ids){ .n = n_kept }, &s, draw, scratch);
        assert_int_equal(got, n_kept ? kept[i] : -1);
        gap[n_gap++] = n;                                  /* beyond the vocabulary: of no meaning */
        assert_int_equal(sample_token(logits, (struct sample_ids){ n, gap, n_gap }, &s, draw, scratch), got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draw_is_what_the_definition_says),
        cmocka_unit_test(a_draw_of_many_is_that_of_a_sort_to_the_bit),
        cmocka_unit_test(logits_that_are_not_numbers_give_none),
        cmocka_unit_test(gaps_are_never_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
