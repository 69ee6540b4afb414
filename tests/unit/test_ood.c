/* test_ood.c - scores of logits and features against scipy and scikit-learn (tests/golden/calib.json), and the decompositions below them. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/linalg.h"
#include "eval/ood.h"

static struct err err;
static struct pool *one, *two;
static json_t *golden, *g;      /* g: the case */
static int n, m, d, k;
static float *train, *x, *w, *bias, *train_logits, *logits;
static int32_t *label;

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static float *floats(const char *key)
{
    const json_t *a = json_object_get(g, key);
    float *v = mem_alloc_array(json_array_size(a), sizeof *v);
    for (size_t i = 0; i < json_array_size(a); i++)
        v[i] = (float)json_number_value(json_array_get(a, i));
    return v;
}

static int set_up(void **state)
{
    (void)state;
    if (pool_new(&one, 1, &err) || pool_new(&two, 2, &err) || tree_load(&golden, "tests/golden/calib.json", 1 << 20, &err) < 0)
        return -1;
    g = json_array_get(json_object_get(golden, "ood"), 0);
    n = (int)num(g, "n"), m = (int)num(g, "m"), d = (int)num(g, "d"), k = (int)num(g, "k");
    train = floats("train"), x = floats("x"), w = floats("w"), bias = floats("bias"), train_logits = floats("train_logits"), logits = floats("logits");
    label = mem_alloc_array((size_t)n, sizeof *label);
    for (int i = 0; i < n; i++)
        label[i] = (int32_t)json_integer_value(json_array_get(json_object_get(g, "label"), (size_t)i));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mem_free(label), mem_free(logits), mem_free(train_logits), mem_free(bias), mem_free(w), mem_free(x), mem_free(train);
    json_decref(golden);
    pool_free(two), pool_free(one);
    return 0;
}

static void near(double got, double want, double by)
{
    if (!(fabs(got - want) <= by * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

static void scores_are(const double *score, const json_t *o, const char *key)
{
    const json_t *a = json_object_get(o, key);
    assert_int_equal(json_array_size(a), m);
    for (int i = 0; i < m; i++)
        near(score[i], json_number_value(json_array_get(a, (size_t)i)), 1e-9);
}

/* ---- logits ---- */

static void scores_of_logits_are_scipys(void **state)
{
    double s[20];
    (void)state;
    for (int which = 0; which < OOD_N_LOGIT_SCORE; which++) {
        OK(ood_from_logits((enum ood_logit_score)which, logits, m, k, 1, s, two, &err));
        scores_are(s, g, ood_logit_score_name((enum ood_logit_score)which));
    }
    OK(ood_from_logits(OOD_ENERGY, logits, m, k, 2, s, two, &err));
    scores_are(s, g, "energy_T2");
}

static void logits_far_apart_score_without_overflow(void **state)
{
    static const float z[] = { 3e38f, -3e38f, 0, 0, 0, 0 };
    double s[2];
    (void)state;
    OK(ood_from_logits(OOD_MSP, z, 2, 3, 1, s, one, &err));
    near(s[0], 1, 0), near(s[1], 1. / 3, 1e-15);
    OK(ood_from_logits(OOD_ENTROPY, z, 2, 3, 1, s, one, &err));
    near(s[0], 0, 0), near(s[1], -log(3), 1e-15);
    OK(ood_from_logits(OOD_ENERGY, z, 2, 3, 1, s, one, &err));
    near(s[0], 3e38, 1e-7), near(s[1], log(3), 1e-15);
}

static void values_that_are_not_finite_are_named(void **state)
{
    static const float z[] = { 0, 1, 2, 3, NAN, 5 }, zeros[] = { 1, 2, 0, 0 };
    double s[3];
    struct ood_mahalanobis *mds;
    struct ood_vim *vim;
    const struct ood_mahalanobis_opts o = { false, false };
    static const int32_t y[] = { 0, 1, 0 }, high[] = { 0, 2, 0 };
    (void)state;
    assert_int_equal(ood_from_logits(OOD_MSP, z, 2, 3, 1, s, one, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "logits: row 1, column 1"));
    assert_int_equal(ood_from_logits(OOD_ENERGY, z, 1, 3, 0, s, one, &err), ERR_RANGE);
    assert_int_equal(ood_from_logits(OOD_MSP, z, 1, 0, 1, s, one, &err), ERR_RANGE);
    assert_int_equal(ood_mahalanobis_fit(&mds, z, y, 3, 2, 2, &o, one, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "features: row 2, column 0"));
    assert_int_equal(ood_mahalanobis_fit(&mds, x, high, 3, 2, 2, &o, one, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "item 1: label 2"));
    assert_int_equal(ood_mahalanobis_fit(&mds, x, y, 0, 2, 2, &o, one, &err), ERR_RANGE);
    assert_int_equal(ood_knn(z, 3, z, 3, 2, 1, s, one, &err), ERR_NUMERIC);
    assert_int_equal(ood_knn(zeros, 2, zeros, 1, 2, 1, s, one, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "bank: row 1 is all zeros"));
    assert_int_equal(ood_knn(zeros, 1, zeros, 1, 2, 2, s, one, &err), ERR_RANGE);
    assert_int_equal(ood_vim_fit(&vim, z, z, 3, 2, 2, NULL, NULL, 1, one, &err), ERR_NUMERIC);
    assert_int_equal(ood_vim_fit(&vim, x, x, 3, 2, 2, NULL, NULL, 2, one, &err), ERR_RANGE);
}

/* ---- features ---- */

static void mahalanobis(const char *key, bool ledoit_wolf)
{
    const json_t *o = json_object_get(g, key);
    const struct ood_mahalanobis_opts plain = { false, ledoit_wolf }, relative = { true, ledoit_wolf };
    struct ood_mahalanobis *mds;
    double s[20];
    OK(ood_mahalanobis_fit(&mds, train, label, n, d, k, &plain, two, &err));
    OK(ood_mahalanobis_score(mds, x, m, s, two, &err));
    scores_are(s, o, "mds");
    near(ood_mahalanobis_shrinkage(mds, false), num(o, "shrinkage"), 1e-9);
    ood_mahalanobis_free(mds);
    OK(ood_mahalanobis_fit(&mds, train, label, n, d, k, &relative, one, &err));
    OK(ood_mahalanobis_score(mds, x, m, s, one, &err));
    scores_are(s, o, "rmds");
    near(ood_mahalanobis_shrinkage(mds, true), num(o, "shrinkage_whole"), 1e-9);
    ood_mahalanobis_free(mds);
}

static void mahalanobis_distances_are_scikit_learns(void **state)
{
    (void)state;
    mahalanobis("empirical", false);
    mahalanobis("ledoit_wolf", true);
}

static void a_feature_that_never_changes_is_named_and_shrinkage_helps(void **state)
{
    float *still = mem_alloc_array((size_t)(n * d), sizeof *still);
    struct ood_mahalanobis *mds;
    double s[20];
    (void)state;
    memcpy(still, train, (size_t)(n * d) * sizeof *still);
    for (int i = 0; i < n; i++)
        still[i * d + 4] = .1f;
    assert_int_equal(ood_mahalanobis_fit(&mds, still, label, n, d, k, &(struct ood_mahalanobis_opts){ true, false }, two, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "feature 4"));
    for (int i = 0; i < n; i++)
        still[i * d + 4] = 2 * still[i * d];
    assert_int_equal(ood_mahalanobis_fit(&mds, still, label, n, d, k, &(struct ood_mahalanobis_opts){ true, false }, two, &err), ERR_NUMERIC);
    OK(ood_mahalanobis_fit(&mds, still, label, n, d, k, &(struct ood_mahalanobis_opts){ true, true }, two, &err));
    OK(ood_mahalanobis_score(mds, x, m, s, two, &err));
    assert_true(isfinite(s[0]));
    ood_mahalanobis_free(mds);
    assert_int_equal(ood_mahalanobis_fit(&mds, train, label, 1, d, k, &(struct ood_mahalanobis_opts){ false, true }, two, &err), ERR_NUMERIC);
    mem_free(still);
}

static void classes_without_items_do_not_count(void **state)
{
    struct ood_mahalanobis *a, *b;
    double s[20], t[20];
    const struct ood_mahalanobis_opts o = { false, false };
    (void)state;
    OK(ood_mahalanobis_fit(&a, train, label, n, d, k, &o, two, &err));
    OK(ood_mahalanobis_fit(&b, train, label, n, d, k + 2, &o, two, &err));
    OK(ood_mahalanobis_score(a, x, m, s, two, &err));
    OK(ood_mahalanobis_score(b, x, m, t, two, &err));
    assert_memory_equal(s, t, sizeof s);
    ood_mahalanobis_free(a), ood_mahalanobis_free(b);
}

static void neighbours_are_where_numpy_finds_them(void **state)
{
    double s[20];
    (void)state;
    OK(ood_knn(train, n, x, m, d, 1, s, two, &err));
    scores_are(s, g, "knn1");
    OK(ood_knn(train, n, x, m, d, 10, s, two, &err));
    scores_are(s, g, "knn10");
    OK(ood_knn(train, n, train, m, d, 1, s, two, &err));
    for (int i = 0; i < m; i++)
        assert_true(s[i] == 0);
}

/* Far more rows than a block, of a width that no vector divides: each distance is the k-th of all that are measured one by one. */
static void neighbours_among_many_are_exact(void **state)
{
    enum { BANK = 700, ROWS = 21, D = 13 };
    float *a = mem_alloc_array(BANK * D, sizeof *a), *b = mem_alloc_array(ROWS * D, sizeof *b);
    double s[ROWS], t[ROWS], *all = mem_alloc_array(BANK, sizeof *all);
    (void)state;
    for (int i = 0; i < BANK * D; i++)
        a[i] = (float)rng_normal(1, (uint64_t)i) * 1e-20f;
    for (int i = 0; i < ROWS * D; i++)
        b[i] = (float)rng_normal(2, (uint64_t)i) * 1e18f;
    memcpy(a + 5 * D, a + 9 * D, D * sizeof *a);
    OK(ood_knn(a, BANK, b, ROWS, D, 50, s, two, &err));
    OK(ood_knn(a, BANK, b, ROWS, D, 50, t, one, &err));
    assert_memory_equal(s, t, sizeof s);
    for (int r = 0; r < ROWS; r++) {
        int n_below = 0, n_equal = 0;
        for (int i = 0; i < BANK; i++) {
            double na = 0, nb = 0, sum = 0;
            for (int j = 0; j < D; j++)
                na += (double)a[i * D + j] * (double)a[i * D + j], nb += (double)b[r * D + j] * (double)b[r * D + j];
            for (int j = 0; j < D; j++)
                sum += pow((double)a[i * D + j] / sqrt(na) - (double)b[r * D + j] / sqrt(nb), 2);
            n_below += sqrt(sum) < -s[r] - 1e-12, n_equal += fabs(sqrt(sum) + s[r]) < 1e-12;
        }
        assert_true(n_below < 50 && n_below + n_equal >= 50);
    }
    mem_free(all), mem_free(b), mem_free(a);
}

static void virtual_logits_are_those_of_numpy(void **state)
{
    const json_t *o = json_object_get(g, "vim");
    struct ood_vim *v;
    double s[20], t[20];
    (void)state;
    OK(ood_vim_fit(&v, train, train_logits, n, d, k, w, bias, 0, two, &err));
    near(ood_vim_alpha(v), num(o, "alpha"), 1e-9);
    OK(ood_vim_score(v, x, logits, m, s, two, &err));
    scores_are(s, o, "score");
    OK(ood_vim_score(v, x, logits, m, t, one, &err));
    assert_memory_equal(s, t, sizeof s);
    ood_vim_free(v);
}

/* More classes than features: the origin is where the bias is undone best. */
static void an_origin_without_a_solution_is_the_nearest(void **state)
{
    static const float head[] = { 1, 0, 0, 1, 1, 1 }, b[] = { -1, -2, -3.5f }, feature[] = { 1, 2, 2, 2, 1, 4, 3, 1 }, z[12] = { 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0 },
                       flat[] = { 1, 1, 1, 1, 1, 1 };
    struct ood_vim *v;
    (void)state;
    /* w' w = [2 1; 1 2], -w' b = (4.5, 5.5): u = (7/6, 13/6) */
    OK(ood_vim_fit(&v, feature, z, 4, 2, 3, head, b, 1, one, &err));
    const double u[2] = { 7. / 6, 13. / 6 };
    double s00 = 0, s01 = 0, s11 = 0, length = 0;
    for (int i = 0; i < 4; i++) {
        const double p = (double)feature[2 * i] - u[0], q = (double)feature[2 * i + 1] - u[1];
        s00 += p * p, s01 += p * q, s11 += q * q;
    }
    const double least = (s00 + s11) / 2 - sqrt((s00 - s11) * (s00 - s11) / 4 + s01 * s01), norm = hypot(s01, least - s00);
    for (int i = 0; i < 4; i++)
        length += fabs(((double)feature[2 * i] - u[0]) * s01 + ((double)feature[2 * i + 1] - u[1]) * (least - s00)) / norm;
    near(ood_vim_alpha(v), 4 / length, 1e-9);
    ood_vim_free(v);
    assert_int_equal(ood_vim_fit(&v, feature, z, 4, 2, 3, flat, b, 1, one, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.msg, "full rank"));
}

/* ---- decompositions ---- */

static void eigenvectors_make_the_matrix_again(void **state)
{
    (void)state;
    for (int size = 1; size <= 40; size += size < 5 ? 1 : 7) {
        const size_t bytes = (size_t)(size * size) * sizeof(double);
        double *a = mem_alloc(bytes), *left = mem_alloc(bytes), *z = mem_alloc(bytes), *values = mem_alloc_array((size_t)size, sizeof *values);
        for (int i = 0; i < size; i++)
            for (int j = 0; j <= i; j++)
                a[i * size + j] = a[j * size + i] = (i + j) % 3 ? rng_normal(9, (uint64_t)(i * 50 + j)) : 0;
        memcpy(left, a, bytes);
        OK(lin_eigen(left, size, values, z, &err));
        for (int i = 0; i < size; i++) {
            assert_true(i == 0 || values[i] >= values[i - 1]);
            for (int j = 0; j < size; j++) {
                double sum = 0;
                for (int l = 0; l < size; l++)
                    sum += z[l * size + i] * values[l] * z[l * size + j];
                assert_true(fabs(sum - a[i * size + j]) < 1e-12 * size);
                assert_true(fabs(lin_dot(z + i * size, z + j * size, size) - (i == j)) < 1e-12);
            }
        }
        mem_free(values), mem_free(z), mem_free(left), mem_free(a);
    }
    double bad = NAN, value, vector;
    assert_int_equal(lin_eigen(&bad, 1, &value, &vector, &err), ERR_NUMERIC);
}

static void whitening_undoes_cholesky(void **state)
{
    double a[] = { 4, 0, 0, 2, 5, 0, -2, 1, 6 }, t[9], y[3], b[] = { 1, 2, 3 }, singular[] = { 1, 0, 2, 4 };
    const double before[] = { 4, 2, -2, 2, 5, 1, -2, 1, 6 }, v[] = { 1, -1, .5 };
    (void)state;
    assert_int_equal(lin_cholesky(a, 3), -1);
    lin_whitening(a, 3, t);
    lin_times_upper(v, t, y, 1, 3);
    double back = 0;
    for (int i = 0; i < 3; i++) {
        double row = 0;
        for (int j = 0; j <= i; j++)
            row += a[3 * i + j] * y[j];
        back += fabs(row - v[i]);
    }
    assert_true(back < 1e-14);
    lin_cholesky_solve(a, 3, b);
    for (int i = 0; i < 3; i++)
        near(lin_dot(before + 3 * i, b, 3), i + 1, 1e-14);
    assert_int_equal(lin_cholesky(singular, 2), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_of_logits_are_scipys),
        cmocka_unit_test(logits_far_apart_score_without_overflow),
        cmocka_unit_test(values_that_are_not_finite_are_named),
        cmocka_unit_test(mahalanobis_distances_are_scikit_learns),
        cmocka_unit_test(a_feature_that_never_changes_is_named_and_shrinkage_helps),
        cmocka_unit_test(classes_without_items_do_not_count),
        cmocka_unit_test(neighbours_are_where_numpy_finds_them),
        cmocka_unit_test(neighbours_among_many_are_exact),
        cmocka_unit_test(virtual_logits_are_those_of_numpy),
        cmocka_unit_test(an_origin_without_a_solution_is_the_nearest),
        cmocka_unit_test(eigenvectors_make_the_matrix_again),
        cmocka_unit_test(whitening_undoes_cholesky),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
