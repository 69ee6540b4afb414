/* test_detect_fault.c - the n-th allocation or system call fails while texts are read, detectors are fitted and told, and rows are kept as an
 * archive: an error each time, nothing leaked, and no half file. */
#include "each_allocation.h"
#include "base/rng.h"
#include "eval/detect.h"
#include "eval/evidence.h"
#include "eval/npz_write.h"
#include "eval/text_ood.h"

static struct pool *pool;
enum { N = 40, D = 4, K = 2 };
static float feature[N * D], logit[N * K], w[K * D], bias[K];
static int32_t label[N], n_token[N];
static double stat[N];

static int set_up(void **state)
{
    struct err err;
    if (make_dir(state) || pool_new(&pool, 1, &err))
        return -1;
    for (int i = 0; i < N * D; i++)
        feature[i] = (float)rng_normal(1, (uint64_t)i);
    for (int i = 0; i < N * K; i++)
        logit[i] = (float)rng_normal(2, (uint64_t)i);
    for (int i = 0; i < K * D; i++)
        w[i] = (float)rng_normal(3, (uint64_t)i);
    for (int i = 0; i < N; i++)
        label[i] = i % K, n_token[i] = 1 + i % 7, stat[i] = rng_normal(4, (uint64_t)i);
    static const char texts[] = "{\"text\": \"one\", \"label\": \"a\"}\n{\"text\": 3}\n{\"text\": \"two\"}\n";
    return file_write_all(in_dir("texts"), texts, sizeof texts - 1, &err);
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

static int read_texts(void *ctx)
{
    struct err err;
    struct text_lines s;
    (void)ctx;
    const int rc = text_lines_read(&s, in_dir("texts"), 0, &err);
    if (!rc) {
        assert_true(s.n == 2 && s.n_bad == 1);
        text_lines_release(&s);
    }
    return rc;
}

static int tell(void *ctx)
{
    struct err err;
    struct text_rows r = { .n = N, .n_token = n_token, .label = label, .n_feature = 1, .feature_name = { "" }, .d = D, .K = K, .logit = logit, .has_stat = true };
    struct text_detectors d;
    json_t *o = NULL, *e = NULL;
    (void)ctx;
    r.feature[0] = feature;
    for (int s = 0; s < N_TEXT_STAT; s++)
        r.stat[s] = stat;
    int rc = text_detectors_fit(&d, &r, K, w, bias, pool, &err);
    if (!rc)
        rc = text_ood(&o, &d, &r, &r, 1, pool, &err);
    if (!rc)
        rc = evidence_new(&e, "ood", NULL, NULL, 1, &err);
    if (!rc)
        rc = detect_figures(e, "set", json_object_get(o, "scores"), N, &err);
    json_decref(o), json_decref(e);
    text_detectors_release(&d);
    return rc;
}

static int keep(void *ctx)
{
    struct err err;
    struct npz_writer z;
    struct file_map m;
    (void)ctx;
    int rc = npz_writer_open(&z, in_dir("rows.npz"), &err);
    if (!rc)
        rc = npz_writer_add(&z, "features", NPZ_F32, feature, N, D, &err);
    if (!rc)
        rc = npz_writer_add(&z, "label", NPZ_I32, label, N, 0, &err);
    if (!rc)
        rc = npz_writer_commit(&z, &err);
    npz_writer_abort(&z);
    if (rc)
        return rc;
    rc = file_map_open(&m, in_dir("rows.npz"), &err);
    if (!rc) {
        assert_true(m.size > sizeof feature);
        file_map_close(&m);
    }
    return rc;
}

static void texts_without_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(read_texts, NULL, false) > 3);
}

static void detectors_without_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(tell, NULL, false) > 20);
}

static void an_archive_without_memory_or_disk(void **state)
{
    (void)state;
    assert_true(each_allocation(keep, NULL, false) > 1);
    assert_true(each_failure(CALLS, 1, keep, NULL, false) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_without_memory), cmocka_unit_test(detectors_without_memory), cmocka_unit_test(an_archive_without_memory_or_disk) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
