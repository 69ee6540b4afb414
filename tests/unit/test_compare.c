/* test_compare.c - verdicts on paired items: what they say on made-up counts, how often they are wrong, how soon a loss is called. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/compare.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/paired.h"

static struct err err;
static const struct compare_opts opts = COMPARE_OPTS;

/* b items that the old model alone has right, c that the new one alone has, the rest half and half. */
static struct compare_result counted(int64_t n, int64_t b, int64_t c, const struct compare_opts *o)
{
    double *old = calloc((size_t)n, sizeof *old), *new = calloc((size_t)n, sizeof *new);
    struct compare_result r;
    int decides;
    for (int64_t i = 0; i < n; i++)
        old[i] = i < b || (i >= b + c && i % 2), new[i] = (i >= b && i < b + c) || (i >= b + c && i % 2);
    OK(compare_measure(&r, &(struct compare_items){ .old = old, .new = new, .n = n, .higher_is_better = true }, o, &err));
    OK(compare_decide(&r, 1, o, &decides, &err));
    free(old);
    free(new);
    return r;
}

static void counts_are_judged_as_paired_judge_does(void **state)
{
    (void)state;
    static const struct { int64_t n, b, c; double margin; enum compare_verdict verdict; } of[] = {
        { 1000, 60, 20, 0.01, COMPARE_WORSE }, { 1000, 20, 60, 0.01, COMPARE_BETTER }, { 1000, 25, 25, 0.01, COMPARE_UNDERPOWERED },
        { 1000, 25, 25, 0.03, COMPARE_NOT_WORSE }, { 1000, 60, 20, 0.06, COMPARE_NOT_WORSE }, { 100000, 200, 100, 0.01, COMPARE_NOT_WORSE },
        { 100000, 200, 100, 0.0005, COMPARE_WORSE }, { 50, 0, 0, 0.01, COMPARE_UNDERPOWERED }, { 50, 0, 0, 0.1, COMPARE_NOT_WORSE }, { 1, 1, 0, 0.01, COMPARE_UNDERPOWERED },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct compare_opts o = opts;
        struct paired_judgement j;
        o.margin = of[i].margin;
        const struct compare_result r = counted(of[i].n, of[i].b, of[i].c, &o);
        const struct paired_counts k = { r.both, of[i].b, of[i].c, r.neither };
        if (r.verdict != of[i].verdict)
            fail_msg("case %zu: %s, expected %s", i, compare_word(r.verdict), compare_word(of[i].verdict));
        OK(paired_judge(&k, o.margin, o.alpha, &j, &err));
        assert_true(r.counts && r.b == of[i].b && r.c == of[i].c && r.n == r.both + r.b + r.c + r.neither);
        assert_true(r.p == j.test.exact && r.mid_p == j.test.mid_p && r.adjusted == r.p && r.effect == -j.loss && r.ci[0] == -j.tango[1] && r.ci[1] == -j.tango[0] && r.upper == j.upper);
        assert_true(r.mde == j.mde || (isnan(r.mde) && isnan(j.mde)));
        assert_true((r.verdict == COMPARE_WORSE) == (j.verdict == PAIRED_WORSE));
    }
}

static void less_may_be_better(void **state)
{
    (void)state;
    double old[40], new[40];
    struct compare_result up, down;
    for (int i = 0; i < 40; i++)
        old[i] = i < 20, new[i] = i < 5;
    OK(compare_measure(&up, &(struct compare_items){ .old = old, .new = new, .n = 40, .higher_is_better = true }, &opts, &err));
    OK(compare_measure(&down, &(struct compare_items){ .old = old, .new = new, .n = 40 }, &opts, &err));
    assert_true(up.effect == -0.375 && down.effect == 0.375 && up.p == down.p && up.b == 15 && down.c == 15 && up.old == 0.5 && down.old == 0.5 && down.new == 0.125);
    assert_true(up.upper > 0.375 && down.upper < -0.2);
}

/* Ratios of sums with clusters: the interval is that of interval_mean(), and a bootstrap agrees with it about. */
static void other_values_are_compared_over_clusters(void **state)
{
    (void)state;
    enum { M = 300 };
    double old[M], new[M], w[M], d[M];
    int64_t cluster[M];
    struct compare_result r;
    struct interval_mean m;
    for (int i = 0; i < M; i++) {
        w[i] = 1 + i % 7, cluster[i] = i / 5;
        old[i] = w[i] * (-3 + rng_normal(1, (uint64_t)i)), d[i] = w[i] * (-0.05 + 0.1 * rng_normal(2, (uint64_t)i) + 0.1 * rng_normal(3, (uint64_t)cluster[i])), new[i] = old[i] + d[i];
    }
    OK(compare_measure(&r, &(struct compare_items){ .old = old, .new = new, .weight = w, .cluster = cluster, .n = M, .higher_is_better = true }, &opts, &err));
    OK(interval_mean(d, w, cluster, M, 0.95, &m, &err));
    assert_true(!r.counts && r.n_cluster == M / 5 && fabs(r.effect - m.mean) < 1e-12 && fabs(r.se - m.se) < 1e-12 && fabs(r.ci[0] - m.ci[0]) < 1e-12);
    assert_true(fabs(r.effect - (r.new - r.old)) < 1e-12);
    assert_true(fabs(r.p - 2 * dist_t_sf(fabs(m.mean / m.se), M / 5 - 1)) < 1e-12);
    assert_true(r.upper > -r.effect && r.upper < -r.ci[0] && r.mde > r.se * 2.8 && r.mde < r.se * 3);
    assert_true(fabs(r.bootstrap[0] - r.ci[0]) < 0.3 * r.se && fabs(r.bootstrap[1] - r.ci[1]) < 0.3 * r.se);
    for (int i = 0; i < M; i++)
        cluster[i] = 7;
    OK(compare_measure(&r, &(struct compare_items){ .old = old, .new = new, .cluster = cluster, .n = M, .higher_is_better = true }, &opts, &err));
    int decides;
    OK(compare_decide(&r, 1, &opts, &decides, &err));
    assert_true(r.p == 1 && isnan(r.ci[0]) && isnan(r.bootstrap[0]) && r.verdict == COMPARE_UNDERPOWERED);
    assert_int_equal(compare_measure(&r, &(struct compare_items){ .old = old, .new = new }, &opts, &err), ERR_RANGE);
}

static void the_gravest_of_several_decides(void **state)
{
    (void)state;
    struct compare_opts o = opts;
    struct compare_result r[4] = { counted(1000, 20, 60, &o), counted(100000, 25, 25, &o), counted(1000, 45, 25, &o), counted(100, 5, 5, &o) };
    int decides;
    OK(compare_decide(r, 2, &o, &decides, &err));
    assert_true(decides == 1 && r[0].verdict == COMPARE_BETTER && r[1].verdict == COMPARE_NOT_WORSE);
    assert_true(r[2].p > 0.0125 && r[2].p < 0.05);
    OK(compare_decide(r + 2, 1, &o, &decides, &err));
    assert_int_equal(r[2].verdict, COMPARE_WORSE);
    OK(compare_decide(r + 1, 3, &o, &decides, &err));              /* of three tests its p is three times as large */
    assert_true(r[2].adjusted == 3 * r[2].p && r[2].verdict == COMPARE_UNDERPOWERED && decides == 1);
    const struct compare_result more[4] = { r[2], counted(1000, 60, 25, &o), r[3], r[0] };
    memcpy(r, more, sizeof r);
    o.bh = true;
    OK(compare_decide(r, 4, &o, &decides, &err));
    assert_true(r[1].verdict == COMPARE_WORSE && decides == 1 && r[0].adjusted <= 4. / 3 * r[0].p + 1e-15 && r[0].verdict == COMPARE_WORSE);
}

/* ---- how often, how soon ---- */

enum { ITEMS = 10042, RUNS = FEWER(1000, 20) };

/* An item's outcome at `discordant` with a net loss: broken, mended or the same. */
static void outcome(uint64_t key, int64_t item, double discordant, double loss, int8_t *old, int8_t *new)
{
    const double u = rng_uniform(key, (uint64_t)item);
    const bool broken = u < (discordant + loss) / 2, mended = !broken && u < discordant;
    *old = broken || (!mended && u < 0.5), *new = mended || (!broken && u < 0.5);
}

/* Mean number of items until a loss is called, and the share of runs in which it is. */
static void simulate(double discordant, double loss, double *items, double *called)
{
    *items = *called = 0;
    for (int k = 0; k < RUNS; k++) {
        struct compare_stream s;
        const uint64_t key = rng_key((uint64_t)k, "simulated items");
        bool done = false;
        OK(compare_stream_init(&s, "task", ITEMS, (uint64_t)k, 0.05, 1, &err));
        for (int64_t turn = 0; turn < ITEMS && !done; turn++) {
            int8_t old, new;
            outcome(key, compare_stream_item(&s, turn), discordant, loss, &old, &new);
            compare_stream_put(&s, 0, turn, old);
            done = compare_stream_put(&s, 1, turn, new);
        }
        *items += (double)s.next / RUNS, *called += (double)done / RUNS;
        compare_stream_release(&s);
    }
}

static void a_loss_of_two_points_is_called_after_a_tenth_of_the_items(void **state)
{
    (void)state;
    double items, called;
    simulate(0.05, 0.02, &items, &called);
    print_message("a loss of 2 points at 5 %% discordance: called in %.1f %% of %d runs, after %.0f of %d items on average\n", 100 * called, RUNS, items, ITEMS);
    assert_true(called > 0.999 && items <= 1000);
    simulate(0.05, 0, &items, &called);
    print_message("no loss: called in %.1f %%\n", 100 * called);
    assert_true(called <= 0.05);
    simulate(0.10, 0, &items, &called);
    assert_true(called <= 0.05);
}

/* Fixed numbers of items: the share of runs that the whole of measure and decide calls worse. */
static double share_worse(int64_t n, double discordant, double loss, const char *what)
{
    double *old = malloc(2 * (size_t)n * sizeof *old), *new = old + n;
    struct compare_opts o = opts;
    int worse = 0;
    o.margin = 1e-9;
    for (int k = 0; k < RUNS; k++) {
        const uint64_t key = rng_key((uint64_t)k, what);
        struct paired_counts c = { 0 };
        struct paired_judgement j;
        for (int64_t i = 0; i < n; i++) {
            int8_t a, b;
            outcome(key, i, discordant, loss, &a, &b);
            old[i] = a, new[i] = b;
            *(a ? b ? &c.both : &c.b : b ? &c.c : &c.neither) += 1;
        }
        OK(paired_judge(&c, o.margin, o.alpha, &j, &err));
        worse += j.verdict == PAIRED_WORSE;
        if (k < FEWER(20, 3)) {                                              /* the same by all of compare, which bootstraps besides */
            struct compare_result r;
            int decides;
            OK(compare_measure(&r, &(struct compare_items){ .old = old, .new = new, .n = n, .higher_is_better = true }, &o, &err));
            OK(compare_decide(&r, 1, &o, &decides, &err));
            assert_true((r.verdict == COMPARE_WORSE) == (j.verdict == PAIRED_WORSE));
        }
    }
    free(old);
    return (double)worse / RUNS;
}

static void power_is_what_is_promised_and_false_alarms_are_few(void **state)
{
    (void)state;
    static const struct { int64_t n; double discordant, loss; } of[] = { { 1000, 0.05, 0.02 }, { 1319, 0.06, 0.02 }, { 2000, 0.05, 0.01 } };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        const struct paired_plan plan = { .n = of[i].n, .discordant = of[i].discordant, .alpha = 0.05 };
        double power;
        OK(paired_power(&plan, of[i].loss, &power, &err));
        const double got = share_worse(of[i].n, of[i].discordant, of[i].loss, "loss"), noise = 3 * sqrt(power * (1 - power) / RUNS);
        print_message("%lld items, %.0f %% discordant, a loss of %.0f points: called in %.1f %%, McNemar's power is %.1f %%\n", (long long)of[i].n, 100 * of[i].discordant,
                      100 * of[i].loss, 100 * got, 100 * power);
        assert_true(fabs(got - power) < 0.02 + noise);
        assert_true(share_worse(of[i].n, of[i].discordant, 0, "none") <= 0.025 + 3 * sqrt(0.025 * 0.975 / RUNS));
    }
}

static void items_count_when_all_before_them_have(void **state)
{
    (void)state;
    struct compare_stream s;
    bool seen[50] = { false };
    OK(compare_stream_init(&s, "t", 50, 7, 0.05, 2, &err));
    assert_true(s.e.alpha == 0.025);
    for (int64_t i = 0; i < 50; i++)
        seen[compare_stream_item(&s, i)] = true;
    for (int i = 0; i < 50; i++)
        assert_true(seen[i]);
    for (int64_t i = 49; i > 0; i--)
        for (int k = 0; k < 2; k++)
            assert_false(compare_stream_put(&s, k, i, i == 3 ? 2 : !k));
    assert_int_equal(s.next, 0);
    assert_false(compare_stream_put(&s, 0, 0, 1));
    assert_true(compare_stream_put(&s, 1, 0, 0));
    assert_true(s.e.stopped_at > 0 && s.e.stopped_at < 12 && s.next == s.e.stopped_at + 1 && s.e.c == 0);
    compare_stream_release(&s);
    OK(compare_stream_init(&s, "t", 0, 7, 0.05, 1, &err));
    compare_stream_release(&s);
    assert_int_equal(compare_stream_init(&s, "t", 5, 7, 1.5, 1, &err), ERR_RANGE);
    compare_stream_release(&s);
}

/* Clusters of four items that all broke, or were all mended, say as much as as many single items: t has no width. */
static void clusters_that_change_alike_are_so_many_items(void **state)
{
    (void)state;
    const struct compare_opts o = COMPARE_OPTS;
    for (int n = 2; n <= 12; n += 5)
        for (int way = 0; way < 2; way++) {
            double value[2][48];
            int64_t cluster[48];
            struct compare_result whole, single;
            for (int i = 0; i < 4 * n; i++)
                value[0][i] = way, value[1][i] = !way, cluster[i] = i / 4;
            const struct compare_items four = { .old = value[0], .new = value[1], .cluster = cluster, .n = 4 * n, .higher_is_better = true },
                                       one = { .old = value[0], .new = value[1], .n = n, .higher_is_better = true };
            OK(compare_measure(&whole, &four, &o, &err));
            OK(compare_measure(&single, &one, &o, &err));
            assert_false(whole.counts);
            assert_int_equal(whole.n_cluster, n);
            assert_true(fabs(whole.p / single.p - 1) < 1e-12 && whole.effect == single.effect && whole.upper == single.upper);
            assert_true(isnan(whole.mde) ? isnan(single.mde) : whole.mde == single.mde);
            assert_true(whole.ci[0] == single.ci[0] && whole.ci[1] == single.ci[1] && whole.ci[0] < whole.ci[1]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_judged_as_paired_judge_does),
        cmocka_unit_test(less_may_be_better),
        cmocka_unit_test(other_values_are_compared_over_clusters),
        cmocka_unit_test(the_gravest_of_several_decides),
        cmocka_unit_test(a_loss_of_two_points_is_called_after_a_tenth_of_the_items),
        cmocka_unit_test(power_is_what_is_promised_and_false_alarms_are_few),
        cmocka_unit_test(items_count_when_all_before_them_have),
        cmocka_unit_test(clusters_that_change_alike_are_so_many_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
