/* test_token_attack.c - searches for changes of tokens: what they find where everything can be tried, what they keep to, what they count. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/token_attack.h"

static struct err err;

/* ---- a victim whose score is a sum over places, and of pairs of neighbours if `bent` ---- */

enum { V = 40, N = 9, MANY = 64 };
struct toy { double table[N][V]; double pair[N][V]; bool bent; double fooled_at; int forbidden, n_asked, n_most, stop_after; };
static bool allowed[V];

static double score_of(const struct toy *t, const int32_t *ids)
{
    double s = 0;
    for (int i = 0; i < N; i++)
        s += t->table[i][ids[i]] + (t->bent && i ? t->pair[i][(ids[i] + 3 * ids[i - 1]) % V] : 0);
    return s;
}

/* To first order: the pairs are not seen. */
static int toy_gains(void *ctx, const int32_t *ids, int n, const int *place, int n_place, float *gain, struct err *e)
{
    const struct toy *t = ctx;
    (void)e;
    assert_int_equal(n, N);
    for (int i = 0; i < n_place; i++)
        for (int w = 0; w < V; w++)
            gain[i * V + w] = (float)(t->table[place[i]][w] - t->table[place[i]][ids[place[i]]]);
    return 0;
}

static int toy_ask(void *ctx, const int32_t *variants, int n_variant, int n, struct token_outcome *out, struct err *e)
{
    struct toy *t = ctx;
    (void)e;
    for (int i = 0; i < n_variant; i++) {
        const double s = score_of(t, variants + i * n);
        out[i] = (struct token_outcome){ s, s >= t->fooled_at };
    }
    t->n_asked += n_variant;
    t->n_most = n_variant > t->n_most ? n_variant : t->n_most;
    return 0;
}

static int toy_survives(void *ctx, const int32_t *ids, int n, struct err *e)
{
    (void)e;
    for (int i = 0; i < n; i++)
        if (ids[i] == ((struct toy *)ctx)->forbidden)
            return 0;
    return 1;
}

static bool toy_goes_on(void *ctx) { return ((struct toy *)ctx)->stop_after-- > 0; }

static struct token_victim victim(struct toy *t, uint64_t seed, bool bent)
{
    *t = (struct toy){ .bent = bent, .fooled_at = INFINITY, .forbidden = -1, .stop_after = 1 << 20 };
    for (int i = 0; i < N; i++)
        for (int w = 0; w < V; w++) {
            t->table[i][w] = rng_normal(seed, (uint64_t)(i * V + w));
            t->pair[i][w] = rng_normal(seed + 1000, (uint64_t)(i * V + w));
        }
    for (int w = 0; w < V; w++)
        allowed[w] = w % 7 != 3;
    return (struct token_victim){ .ctx = t, .V = V, .allowed = allowed, .gains = toy_gains, .survives = toy_survives, .ask = toy_ask };
}

static void begin_ids(int32_t *ids)
{
    for (int i = 0; i < N; i++)
        ids[i] = (i * 5) % V;
}

static const int all_places[N] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };

/* ---- hotflip ---- */

static int by_size(const void *a, const void *b) { return (*(const double *)a < *(const double *)b) - (*(const double *)a > *(const double *)b); }

static void of_a_sum_hotflip_makes_the_changes_that_are_best_of_all(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++)
        for (int budget = 0; budget <= N + 1; budget++) {
            struct toy t;
            const struct token_victim v = victim(&t, seed, false);
            const struct token_search o = { .steps = budget, .batch = 5 };
            int32_t ids[N];
            struct token_found found;
            double best[N], want;
            begin_ids(ids);
            want = score_of(&t, ids);
            for (int i = 0; i < N; i++) {
                best[i] = 0;
                for (int w = 0; w < V; w++)
                    if (allowed[w])
                        best[i] = fmax(best[i], t.table[i][w] - t.table[i][ids[i]]);
            }
            qsort(best, N, sizeof *best, by_size);
            for (int i = 0; i < N && i < budget; i++)
                want += best[i];
            OK(hotflip(&v, &o, ids, N, all_places, N, &found, &err));
            assert_true(fabs(score_of(&t, ids) - want) < 1e-9 && found.after.score == score_of(&t, ids));
            assert_true(found.n_changed <= budget && !found.after.fooled);
            assert_int_equal(found.n_query, t.n_asked);
            assert_true(t.n_most <= 5);
        }
}

static void only_places_tokens_and_texts_that_may_be_are_asked(void **state)
{
    (void)state;
    for (int gradient = 0; gradient < 2; gradient++) {
        struct toy t;
        struct token_victim v = victim(&t, 3, true);
        const struct token_search o = { .steps = 4, .batch = 16, .top_k = 8 };
        const int place[] = { 2, 5, 6 };
        int32_t ids[N], first[N];
        struct token_found found;
        t.forbidden = 8;
        t.table[5][8] = 100, t.table[2][10] = 50;           /* 8 does not survive, 10 is not allowed */
        t.table[0][1] = 1000;                               /* a place that may not change */
        begin_ids(ids);
        memcpy(first, ids, sizeof ids);
        OK((gradient ? gcg : hotflip)(&v, &o, ids, N, place, 3, &found, &err));
        for (int i = 0; i < N; i++) {
            assert_true(ids[i] == first[i] || i == 2 || i == 5 || i == 6);
            assert_true(ids[i] == first[i] || (allowed[ids[i]] && ids[i] != 8));
        }
        assert_true(found.n_lost > 0);
    }
}

static void a_text_that_has_fooled_already_or_has_no_place_is_left_alone(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        struct toy t;
        const struct token_victim v = victim(&t, 3, false);
        const struct token_search o = { .steps = 4, .batch = 16, .top_k = 8 };
        int32_t ids[N], first[N];
        struct token_found found;
        begin_ids(ids);
        memcpy(first, ids, sizeof ids);
        t.fooled_at = which & 1 ? INFINITY : -1000;
        OK((which & 2 ? gcg : hotflip)(&v, &o, ids, N, all_places, which & 1 ? 0 : N, &found, &err));
        assert_memory_equal(ids, first, sizeof ids);
        assert_int_equal(found.n_query, 1);
        assert_int_equal(found.n_gradient, 0);
        assert_int_equal(found.before.fooled, !(which & 1));
    }
}

static void a_search_ends_with_the_first_change_that_fools(void **state)
{
    (void)state;
    struct toy t;
    const struct token_victim v = victim(&t, 5, false);
    const struct token_search o = { .steps = N, .batch = 32, .top_k = 8, .seed = 1 };
    int32_t ids[N];
    struct token_found found;
    begin_ids(ids);
    t.fooled_at = score_of(&t, ids) + 1.5;
    OK(hotflip(&v, &o, ids, N, all_places, N, &found, &err));
    assert_true(found.after.fooled && found.n_step == 1 && found.n_changed == 1 && found.after.score >= t.fooled_at);
    begin_ids(ids);
    OK(gcg(&v, &o, ids, N, all_places, N, &found, &err));
    assert_true(found.after.fooled && found.n_step < N && score_of(&t, ids) >= t.fooled_at);
}

/* ---- gcg ---- */

static void gcg_finds_the_best_text_of_a_sum_and_gains_where_it_is_bent(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++)
        for (int bent = 0; bent < 2; bent++) {
            struct toy t;
            const struct token_victim v = victim(&t, seed, bent);
            const struct token_search o = { .steps = 60, .batch = 64, .top_k = bent ? V : 4, .seed = seed };
            int32_t ids[N];
            struct token_found found;
            double want = 0;
            for (int i = 0; i < N; i++) {
                double most = -INFINITY;
                for (int w = 0; w < V; w++)
                    most = allowed[w] ? fmax(most, t.table[i][w]) : most;
                want += most;
            }
            begin_ids(ids);
            const double before = score_of(&t, ids);
            OK(gcg(&v, &o, ids, N, all_places, N, &found, &err));
            assert_true(found.after.score == score_of(&t, ids) && found.before.score == before);
            assert_true(bent ? found.after.score > before + 10 : fabs(found.after.score - want) < 1e-9);
            assert_int_equal(found.n_query, t.n_asked);
        }
}

static void draws_depend_on_the_seed_alone(void **state)
{
    (void)state;
    int32_t ids[3][N];
    for (int i = 0; i < 3; i++) {
        struct toy t;
        const struct token_victim v = victim(&t, 7, true);
        const struct token_search o = { .steps = 5, .batch = 8, .top_k = 8, .seed = i == 2 };
        struct token_found found;
        begin_ids(ids[i]);
        OK(gcg(&v, &o, ids[i], N, all_places, N, &found, &err));
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_not_equal(ids[0], ids[2], sizeof ids[0]);
}

static void a_search_that_is_stopped_keeps_the_best_so_far(void **state)
{
    (void)state;
    for (int gradient = 0; gradient < 2; gradient++) {
        struct toy t;
        const struct token_victim v = victim(&t, 11, true);
        const struct token_search o = { .steps = N, .batch = 32, .top_k = 8, .goes_on = toy_goes_on, .ctx = &t };
        int32_t ids[N];
        struct token_found found;
        begin_ids(ids);
        t.stop_after = 2;
        assert_int_equal((gradient ? gcg : hotflip)(&v, &o, ids, N, all_places, N, &found, &err), ERR_STOPPED);
        assert_true(found.n_step == 2 && found.after.score > found.before.score && found.after.score == score_of(&t, ids));
    }
}

/* ---- without memory ---- */

static void lack_of_memory_is_an_error_and_leaves_a_text(void **state)
{
    (void)state;
    for (int gradient = 0; gradient < 2; gradient++)
        for (int64_t n = 0, done = 0; !done; n++) {
            struct toy t;
            const struct token_victim v = victim(&t, 2, true);
            const struct token_search o = { .steps = 3, .batch = 8, .top_k = 8 };
            int32_t ids[N];
            struct token_found found;
            begin_ids(ids);
            mem_fail_at(n);
            const int rc = (gradient ? gcg : hotflip)(&v, &o, ids, N, all_places, N, &found, &err);
            done = mem_fail_count() <= n;
            mem_fail_at(-1);
            assert_int_equal(rc, done ? 0 : ERR_NOMEM);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_sum_hotflip_makes_the_changes_that_are_best_of_all),
        cmocka_unit_test(only_places_tokens_and_texts_that_may_be_are_asked),
        cmocka_unit_test(a_text_that_has_fooled_already_or_has_no_place_is_left_alone),
        cmocka_unit_test(a_search_ends_with_the_first_change_that_fools),
        cmocka_unit_test(gcg_finds_the_best_text_of_a_sum_and_gains_where_it_is_bent),
        cmocka_unit_test(draws_depend_on_the_seed_alone),
        cmocka_unit_test(a_search_that_is_stopped_keeps_the_best_so_far),
        cmocka_unit_test(lack_of_memory_is_an_error_and_leaves_a_text),
    };
    return cmocka_run_group_tests_name("token_attack", tests, NULL, NULL);
}
