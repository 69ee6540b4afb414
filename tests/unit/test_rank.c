/* test_rank.c - areas under curves and FPR95 against scikit-learn (tests/golden/calib.json), published examples, and by hand. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/rank.h"
#include "eval/selective.h"

static struct err err;

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static struct rank ranks(const double *score, const unsigned char *positive, int64_t n)
{
    struct rank r;
    OK(rank_measure(&r, score, positive, n, &err));
    return r;
}

static void areas_are_those_of_scikit_learn(void **state)
{
    json_t *golden, *o, *v;
    size_t k, i;
    (void)state;
    OK(tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "rank"), k, o)
    {
        const size_t n = json_array_size(json_object_get(o, "score"));
        double *score = mem_alloc_array(n, sizeof *score), *in = mem_alloc_array(n, sizeof *in), *out = mem_alloc_array(n, sizeof *out);
        unsigned char *positive = mem_alloc_array(n, 1);
        int64_t n_in = 0, n_out = 0;
        struct rank_ood two;
        json_array_foreach(json_object_get(o, "score"), i, v)
        {
            positive[i] = json_integer_value(json_array_get(json_object_get(o, "positive"), i)) != 0;
            score[i] = json_number_value(v);
            *(positive[i] ? &in[n_in++] : &out[n_out++]) = score[i];
        }
        const struct rank r = ranks(score, positive, (int64_t)n);
        near(r.auroc, num(o, "auroc")), near(r.ap, num(o, "ap")), near(r.aupr, num(o, "aupr")), near(r.fpr95, num(o, "fpr95"));
        OK(rank_ood(&two, in, n_in, out, n_out, &err));
        near(two.auroc, r.auroc), near(two.fpr95_id_positive, r.fpr95), near(two.aupr_in, r.aupr);
        near(two.fpr95_ood_positive, num(o, "fpr95_other")), near(two.aupr_out, num(o, "aupr_other"));
        near(two.prevalence_id + two.prevalence_ood, 1);
        mem_free(positive), mem_free(out), mem_free(in), mem_free(score);
    }
    assert_int_equal(k, 3);
    json_decref(golden);
}

/* evaluation_golden.json: auroc, auroc_ties; scikit-learn 1.2.1. */
static void known_scores_give_known_areas(void **state)
{
    static const double a[] = { .1, .4, .35, .8, .65, .2, .9, .5 }, b[] = { .5, .5, .2, .5, .7, .7 };
    static const unsigned char is_a[] = { 0, 0, 1, 1, 1, 0, 1, 0 }, is_b[] = { 0, 1, 0, 1, 0, 1 };
    (void)state;
    const struct rank r = ranks(a, is_a, 8);
    near(r.auroc, 0.875), near(r.ap, 0.9166666666666666), near(r.fpr95, 0.5);
    near(ranks(b, is_b, 6).auroc, 0.6111111111111112);
}

/* The cases of torch-uncertainty's FPR95: 0, one half, 1, and not a number with one kind only. */
static void fpr95_of_torch_uncertaintys_cases(void **state)
{
    double score[200];
    unsigned char positive[200];
    (void)state;
    for (int i = 0; i < 100; i++)
        score[i] = i < 99 ? 1 : .99, positive[i] = i < 99;
    near(ranks(score, positive, 100).fpr95, 0);
    for (int i = 0; i < 200; i++)
        score[i] = i < 100 ? .9 : i < 150 ? .95 : .85, positive[i] = i < 100;
    near(ranks(score, positive, 200).fpr95, .5);
    for (int i = 0; i < 100; i++)
        score[i] = i < 99 ? .99 : 1, positive[i] = i < 99;
    near(ranks(score, positive, 100).fpr95, 1);
    for (int i = 0; i < 100; i++)
        score[i] = i < 50 ? .1 : .4, positive[i] = 0;
    const struct rank r = ranks(score, positive, 100);
    assert_true(isnan(r.fpr95) && isnan(r.auroc) && isnan(r.ap) && isnan(r.aupr) && r.n_negative == 100);
}

static void scores_without_use_rank_at_a_half_and_infinite_ones_are_ranked(void **state)
{
    static const double same[] = { 3, 3, 3, 3 }, wide[] = { -INFINITY, 1, INFINITY, INFINITY };
    static const unsigned char is[] = { 0, 1, 0, 1 };
    (void)state;
    const struct rank r = ranks(same, is, 4);
    near(r.auroc, .5), near(r.ap, .5), near(r.aupr, .75), near(r.fpr95, 1);      /* aupr: auc of precision_recall_curve, scikit-learn 1.9.1 */
    near(ranks(same, (const unsigned char[]){ 1, 0, 0, 0 }, 4).aupr, .625);
    near(ranks(wide, is, 4).auroc, (1 + 1 + 0 + .5) / 4);
    assert_true(isnan(ranks(NULL, NULL, 0).auroc));
}

static void a_score_that_is_no_number_is_named(void **state)
{
    static const double bad[] = { 1, 2, NAN };
    static const unsigned char is[] = { 0, 1, 1 };
    struct rank r;
    struct rank_ood two;
    (void)state;
    assert_int_equal(rank_measure(&r, bad, is, 3, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "score 2"));
    assert_int_equal(rank_ood(&two, bad, 2, bad, 3, &err), ERR_NUMERIC);
}

/* ---- risk and coverage ---- */

static void curve(const double *conf, const unsigned char *right, int64_t n, double *risk) { OK(selective_curve(conf, right, n, risk, &err)); }

/* torch-uncertainty's example: risks 0, 0, 0, .25, .4 at coverages .2 to 1. */
static void aurc_of_torch_uncertaintys_example(void **state)
{
    static const double conf[] = { .5, .9, .6, .8, .7 };
    static const unsigned char right[] = { 0, 1, 0, 1, 1 };
    double risk[5];
    (void)state;
    curve(conf, right, 5, risk);
    near(risk[3], .25), near(risk[4], .4);
    near(selective_aurc_trapezoid(risk, 5), (0 * .4 + .25 * .2 / 2 + .25 * .2 + .15 * .2 / 2) / .8);
    near(selective_aurc_mean(risk, 5), (.25 + .4) / 5);
    near(selective_aurc_best(risk, 5), (.25 + .4) / 5);
    near(selective_accuracy(risk, 5, .6), 1), near(selective_accuracy(risk, 5, .61), .75), near(selective_accuracy(risk, 5, .001), 1);
    near(selective_coverage(risk, 5, .3), .8), near(selective_coverage(risk, 5, .05), .6), near(selective_coverage(risk, 5, 1), 1);
}

static void items_as_sure_as_each_other_share_their_errors_whatever_their_order(void **state)
{
    static const double conf[] = { .5, .5, .5, .9 };
    static const unsigned char first[] = { 0, 1, 1, 1 }, last[] = { 1, 1, 0, 1 };
    double a[4], b[4];
    (void)state;
    curve(conf, first, 4, a), curve(conf, last, 4, b);
    assert_memory_equal(a, b, sizeof a);
    near(a[1], 1. / 6), near(a[2], 2. / 9), near(a[3], .25);
}

static void one_item_and_none_have_a_curve(void **state)
{
    static const double conf[] = { .5 };
    static const unsigned char right[] = { 0 };
    double risk[1];
    (void)state;
    curve(conf, right, 1, risk);
    near(risk[0], 1), near(selective_aurc_mean(risk, 1), 1), near(selective_coverage(risk, 1, .5), 0);
    assert_true(isnan(selective_aurc_trapezoid(risk, 1)));
    curve(conf, right, 0, risk);
    assert_true(isnan(selective_accuracy(risk, 0, .5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_are_those_of_scikit_learn),
        cmocka_unit_test(known_scores_give_known_areas),
        cmocka_unit_test(fpr95_of_torch_uncertaintys_cases),
        cmocka_unit_test(scores_without_use_rank_at_a_half_and_infinite_ones_are_ranked),
        cmocka_unit_test(a_score_that_is_no_number_is_named),
        cmocka_unit_test(aurc_of_torch_uncertaintys_example),
        cmocka_unit_test(items_as_sure_as_each_other_share_their_errors_whatever_their_order),
        cmocka_unit_test(one_item_and_none_have_a_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
