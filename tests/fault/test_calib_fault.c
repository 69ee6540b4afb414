/* test_calib_fault.c - calibration, its report, files and diagram, rankings and out-of-distribution scores, with each allocation failing in turn. */
#include "each_allocation.h"
#include "base/pool.h"
#include "base/rng.h"
#include "eval/calib_file.h"
#include "eval/calib_report.h"
#include "base/diagram.h"
#include "eval/npy.h"
#include "eval/ood.h"
#include "eval/rank.h"

static struct err err;
static struct pool *pool;

static int set_up(void **state)
{
    (void)state;
    return pool_new(&pool, 1, &err);
}

static int tear_down(void **state)
{
    (void)state;
    pool_free(pool);
    return 0;
}

enum { N = 30, K = 3, D = 4 };
static float feature[N * D], logit[N * K], head[K * D], bias[K];
static double value[N * K];
static int32_t label[N];

static void fill(void)
{
    for (int i = 0; i < N * D; i++)
        feature[i] = (float)rng_normal(1, (uint64_t)i);
    for (int i = 0; i < N * K; i++)
        logit[i] = (float)(value[i] = rng_normal(2, (uint64_t)i));
    for (int i = 0; i < K * D; i++)
        head[i] = (float)rng_normal(3, (uint64_t)i);
    for (int i = 0; i < N; i++)
        label[i] = (int32_t)rng_below(4, (uint64_t)i, K);
}

static int report(void *ctx)
{
    const struct calib_items in = { N, K, NULL, value, label, false };
    const struct calib_report_opts o = { 5, 19, 3, 1, 0.2, 0.1, 1 };
    json_t *tree;
    (void)ctx;
    const int rc = calib_report(&tree, &in, &o, pool, &err);
    json_decref(tree);
    return rc;
}

static void a_report_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(report, NULL, false) > 200);
}

static int picture(void *ctx)
{
    const struct calib_items in = { N, K, NULL, value, label, false };
    struct calib *c;
    struct calib_bin bin[5];
    struct buf b;
    (void)ctx;
    buf_init(&b);
    int rc = calib_new(&c, &in, 5, &err);
    if (rc >= 0)
        rc = calib_reliability(c, bin, &err);
    if (rc >= 0)
        rc = diagram_reliability(&b, "title", "note", bin, 5, &err);
    calib_free(c);
    buf_release(&b);
    return rc;
}

static void a_diagram_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(picture, NULL, false) > 20);
}

static int scores(void *ctx)
{
    struct ood_mahalanobis *m = NULL;
    struct ood_vim *v = NULL;
    double s[N], t[N];
    struct rank_ood r;
    (void)ctx;
    int rc = ood_mahalanobis_fit(&m, feature, label, N, D, K, &(struct ood_mahalanobis_opts){ true, true }, pool, &err);
    if (rc >= 0)
        rc = ood_mahalanobis_score(m, feature, N, s, pool, &err);
    ood_mahalanobis_free(m);
    if (rc >= 0)
        rc = ood_vim_fit(&v, feature, logit, N, D, K, head, bias, 0, pool, &err);
    if (rc >= 0)
        rc = ood_vim_score(v, feature, logit, N, t, pool, &err);
    ood_vim_free(v);
    if (rc >= 0)
        rc = rank_ood(&r, s, N, t, N, &err);
    if (rc >= 0)
        rc = ood_knn(feature, N, feature, N, D, 2, s, pool, &err);
    return rc;
}

static void scores_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(scores, NULL, false) > 20);
}

static int archive(void *ctx)
{
    const struct buf *b = ctx;
    struct npz z;
    int rc = npz_open(&z, b->data, b->len, "it", &err);
    for (int i = 0; rc >= 0 && i < z.n_array; i++) {
        struct npy a;
        rc = npz_read(&z, i, &a, &err);
        if (rc >= 0)
            npy_release(&a);
    }
    npz_close(&z);
    return rc;
}

static int read_file(void *ctx)
{
    struct calib_file f;
    const int rc = calib_file_read(&f, ctx, NULL, NULL, NULL, &err);
    calib_file_release(&f);
    return rc;
}

/* The net's own file has 10,000 rows, so that calls fail in turn there too. */
static void archives_without_memory_are_an_error(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b);
    OK(file_read("tests/golden/npy/packed.npz", 1 << 20, &b, &err));
    assert_true(each_allocation(archive, &b, false) > 40);
    buf_release(&b);
    char path[1000];
    snprintf(path, sizeof path, "%s", shared("calibration-logits/lenet-5-cifar-10.npz"));
    assert_true(each_allocation(read_file, path, false) >= 10);
    assert_true(each_failure(CALLS, 1, read_file, path, false) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_without_memory_is_an_error),
        cmocka_unit_test(a_diagram_without_memory_is_an_error),
        cmocka_unit_test(scores_without_memory_are_an_error),
        cmocka_unit_test(archives_without_memory_are_an_error),
    };
    fill();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
