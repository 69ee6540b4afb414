/* test_detect.c - all detectors at once against those that they are made of, the error of an AUROC against its definition, lengths that match,
 * files of texts, archives that NumPy reads. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/detect.h"
#include "eval/evidence.h"
#include "eval/npy.h"
#include "eval/npz_write.h"
#include "eval/rank.h"
#include "eval/text_ood.h"

static struct err err;
static struct pool *pool;

enum { N = 120, D = 6, K = 3 };
static float feature[N * D], logit[N * K], w[K * D], bias[K];
static int32_t label[N];
static const struct detect_rows rows = { N, logit, K, feature, D };

static int set_up(void **state)
{
    if (make_dir(state) || pool_new(&pool, 2, &err))
        return -1;
    for (int i = 0; i < K * D; i++)
        w[i] = (float)rng_normal(1, (uint64_t)i);
    for (int i = 0; i < N; i++) {
        label[i] = i % K;
        for (int j = 0; j < D; j++)
            feature[i * D + j] = (float)(rng_normal(2, (uint64_t)(i * D + j)) + (j == label[i] ? 3 : 0));
        for (int k = 0; k < K; k++) {
            logit[i * K + k] = bias[k];
            for (int j = 0; j < D; j++)
                logit[i * K + k] += w[k * D + j] * feature[i * D + j];
        }
    }
    return 0;
}

static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

static struct detectors *fitted(const struct detect_rows *r, const int32_t *labels)
{
    struct detectors *d;
    OK(detectors_fit(&d, r, labels, K, w, bias, pool, &err));
    return d;
}

/* ---- detectors ---- */

static void same(const double *a, const double *b) { assert_memory_equal(a, b, N * sizeof *a); }

static void each_detector_is_the_one_that_its_name_says(void **state)
{
    (void)state;
    struct detectors *d = fitted(&rows, label);
    double got[N], want[N];
    for (int i = 0; i < OOD_N_LOGIT_SCORE; i++) {
        assert_string_equal(detector_name((enum detector)i), ood_logit_score_name((enum ood_logit_score)i));
        OK(detectors_score(NULL, (enum detector)i, &rows, got, pool, &err));
        OK(ood_from_logits((enum ood_logit_score)i, logit, N, K, 1, want, pool, &err));
        same(got, want);
    }
    for (int i = 0; i < 4; i++) {
        struct ood_mahalanobis *m;
        const struct ood_mahalanobis_opts o = { .relative = i >= 2, .ledoit_wolf = i % 2 };
        OK(ood_mahalanobis_fit(&m, feature, label, N, D, K, &o, pool, &err));
        OK(ood_mahalanobis_score(m, feature, N, want, pool, &err));
        OK(detectors_score(d, (enum detector)(DETECT_MAHALANOBIS + i), &rows, got, pool, &err));
        same(got, want);
        ood_mahalanobis_free(m);
    }
    OK(ood_knn(feature, N, feature, N, D, DETECT_K, want, pool, &err));
    OK(detectors_score(d, DETECT_KNN, &rows, got, pool, &err));
    same(got, want);
    struct ood_vim *v;
    OK(ood_vim_fit(&v, feature, logit, N, D, K, w, bias, 0, pool, &err));
    OK(ood_vim_score(v, feature, logit, N, want, pool, &err));
    OK(detectors_score(d, DETECT_VIM, &rows, got, pool, &err));
    same(got, want);
    ood_vim_free(v);
    detectors_free(d);
}

static void what_cannot_be_fitted_is_told_and_stops_nothing(void **state)
{
    (void)state;
    double score[N];
    json_t *o;
    float flat[N * D];
    memcpy(flat, feature, sizeof flat);
    for (int i = 0; i < N; i++)
        flat[i * D + 4] = 1;                             /* a feature that never changes */
    const struct detect_rows r = { N, logit, K, flat, D };
    struct detectors *d = fitted(&r, label);
    assert_non_null(detectors_why_not(d, DETECT_MAHALANOBIS));
    assert_null(detectors_why_not(d, DETECT_MAHALANOBIS_LW));
    assert_int_equal(detectors_score(d, DETECT_MAHALANOBIS, &r, score, pool, &err), ERR_RANGE);
    OK(detect_all(&o, d, &r, &rows, pool, &err));
    assert_int_equal(json_object_size(o), N_DETECTOR);
    assert_true(json_is_string(json_object_get(json_object_get(o, "mahalanobis"), "why_not")));
    assert_true(json_is_real(json_object_get(json_object_get(o, "mahalanobis_lw"), "auroc")));
    json_decref(o);
    detectors_free(d);
    d = fitted(&rows, NULL);                             /* without classes nothing is relative to them */
    assert_non_null(strstr(detectors_why_not(d, DETECT_RMDS), "one class"));
    assert_null(detectors_why_not(d, DETECT_MAHALANOBIS));
    detectors_free(d);
    const struct detect_rows without = { N, NULL, 0, feature, D };
    d = fitted(&without, label);
    assert_non_null(detectors_why_not(d, DETECT_VIM));
    OK(detect_all(&o, d, &without, &without, pool, &err));
    assert_int_equal(json_object_size(o), N_DETECTOR - OOD_N_LOGIT_SCORE);
    json_decref(o);
    detectors_free(d);
    assert_string_equal(detectors_why_not(NULL, DETECT_KNN), "nothing was given to fit it to");
    assert_null(detectors_why_not(NULL, DETECT_MSP));
    struct detect_rows one = rows;
    one.n = 1;
    assert_int_equal(detectors_fit(&d, &one, label, K, w, bias, pool, &err), ERR_RANGE);
    flat[7] = NAN;
    assert_int_equal(detectors_fit(&d, &r, label, K, w, bias, pool, &err), ERR_NUMERIC);
}

static void figures_have_an_interval_and_none_where_there_is_no_score(void **state)
{
    (void)state;
    json_t *e, *s = json_pack("{s:{s:f, s:[f, f]}, s:{s:s}}", "msp", "auroc", 0.75, "auroc_ci95", 0.7, 0.8, "rmds", "why_not", "no classes");
    OK(evidence_new(&e, "ood", NULL, NULL, 1, &err));
    OK(detect_figures(e, "letters", s, 20, &err));
    const json_t *f = json_object_get(e, "figures");
    assert_int_equal(json_array_size(f), 1);
    f = json_array_get(f, 0);
    assert_string_equal(json_string_value(json_object_get(f, "of")), "letters msp");
    assert_true(json_real_value(json_object_get(f, "low")) == 0.7 && json_integer_value(json_object_get(f, "n")) == 20);
    json_decref(s);
    json_decref(e);
}

/* ---- DeLong ---- */

/* By the definition: each item's share of the others that it is on the right side of, and the variances of these shares. */
static double slow_se(const double *a, int m, const double *b, int n)
{
    double sum[2] = { 0 }, square[2] = { 0 };
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < (side ? n : m); i++) {
            double share = 0;
            for (int j = 0; j < (side ? m : n); j++) {
                const double x = side ? a[j] : a[i], y = side ? b[i] : b[j];
                share += x > y ? 1 : x == y ? 0.5 : 0;
            }
            share /= side ? m : n;
            sum[side] += share, square[side] += share * share;
        }
    return sqrt((square[0] - sum[0] * sum[0] / m) / (m - 1) / m + (square[1] - sum[1] * sum[1] / n) / (n - 1) / n);
}

static void the_error_of_an_auroc_is_delongs_with_and_without_ties(void **state)
{
    (void)state;
    for (int ties = 0; ties < 2; ties++) {
        double a[70], b[40];
        struct rank_ood r;
        for (int i = 0; i < 70; i++)
            a[i] = 0.7 + rng_normal(5, (uint64_t)i), a[i] = ties ? round(2 * a[i]) : a[i];
        for (int i = 0; i < 40; i++)
            b[i] = rng_normal(6, (uint64_t)i), b[i] = ties ? round(2 * b[i]) : b[i];
        OK(rank_ood(&r, a, 70, b, 40, &err));
        assert_true(fabs(r.auroc_se - slow_se(a, 70, b, 40)) < 1e-12);
    }
    struct rank_ood r;
    json_t *o;
    OK(rank_ood(&r, (double[]){ 2, 3 }, 2, (double[]){ 0, 1 }, 2, &err));
    assert_true(r.auroc == 1 && r.auroc_se == 0);
    OK(detect_measure(&o, (double[]){ 2 }, 1, (double[]){ 0, 1 }, 2, &err));
    assert_true(json_is_null(json_array_get(json_object_get(o, "auroc_ci95"), 0)));
    json_decref(o);
}

/* ---- lengths ---- */

static void as_many_of_each_length_are_taken_from_both(void **state)
{
    (void)state;
    int32_t a[60], b[50];
    int64_t x[50], y[50], n, again[50];
    for (int i = 0; i < 60; i++)
        a[i] = 1 + (int32_t)rng_below(3, (uint64_t)i, 9);
    for (int i = 0; i < 50; i++)
        b[i] = 5 + (int32_t)rng_below(4, (uint64_t)i, 9);
    OK(length_match(x, y, &n, a, 60, b, 50, 7, &err));
    int want = 0;
    for (int l = 0; l < 20; l++) {
        int of_a = 0, of_b = 0;
        for (int i = 0; i < 60; i++)
            of_a += a[i] == l;
        for (int i = 0; i < 50; i++)
            of_b += b[i] == l;
        want += of_a < of_b ? of_a : of_b;
    }
    assert_int_equal(n, want);
    for (int i = 0; i < n; i++) {
        assert_int_equal(a[x[i]], b[y[i]]);
        for (int j = 0; j < i; j++)
            assert_true(x[i] != x[j] && y[i] != y[j]);
    }
    OK(length_match(again, y, &n, a, 60, b, 50, 7, &err));
    assert_memory_equal(x, again, (size_t)n * sizeof *x);
    OK(length_match(x, y, &n, a, 0, b, 50, 7, &err));
    assert_int_equal(n, 0);
    OK(length_match(x, y, &n, (int32_t[]){ 1 }, 1, (int32_t[]){ 2 }, 1, 7, &err));
    assert_int_equal(n, 0);
}

static void length_alone_is_no_score_once_lengths_are_the_same(void **state)
{
    (void)state;
    int32_t short_ones[N], long_ones[N];
    double nll[2][N];
    for (int i = 0; i < N; i++) {
        short_ones[i] = 3 + i % 5, long_ones[i] = 5 + i % 5;
        nll[0][i] = short_ones[i], nll[1][i] = long_ones[i];        /* a detector that measures length alone */
    }
    struct text_rows a = { .n = N, .n_token = short_ones, .has_stat = true }, b = { .n = N, .n_token = long_ones, .has_stat = true };
    for (int s = 0; s < N_TEXT_STAT; s++)
        a.stat[s] = nll[0], b.stat[s] = nll[1];
    const struct text_detectors none = { { NULL } };
    json_t *o;
    OK(text_ood(&o, &none, &a, &b, 1, pool, &err));
    const json_t *same_lengths = json_object_get(o, "length_matched");
    assert_true(json_real_value(json_object_get(json_object_get(json_object_get(o, "scores"), "nll"), "auroc")) < 0.2);
    assert_true(json_real_value(json_object_get(json_object_get(json_object_get(same_lengths, "scores"), "nll"), "auroc")) == 0.5);
    assert_true(json_integer_value(json_object_get(same_lengths, "n")) == 3 * N / 5);
    json_decref(o);
    b.n = 0;
    assert_int_equal(text_ood(&o, &none, &a, &b, 1, pool, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "and 0 others"));
}

/* ---- files of texts ---- */

static int read_text(struct text_lines *s, const char *text, int64_t limit)
{
    OK(file_write_all(in_dir("texts"), text, strlen(text), &err));
    return text_lines_read(s, in_dir("texts"), limit, &err);
}

static void is(const struct text_lines *s, int64_t i, const char *want)
{
    size_t n;
    const char *text = text_lines_get(s, i, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(text, want, n);
}

static void lines_are_texts_and_so_are_members_of_objects(void **state)
{
    (void)state;
    struct text_lines s;
    OK(read_text(&s, "one\r\n\n  two {\n", 0));
    assert_true(s.n == 2 && !s.n_bad && !s.n_label);
    is(&s, 0, "one"), is(&s, 1, "  two {");
    text_lines_release(&s);
    OK(read_text(&s, "{\"text\": \"a\\nb\", \"label\": 3}\n{\"text\": \"c\"}\n{\"text\": \"d\", \"label\": \"x\"}", 2));
    assert_true(s.n == 2 && s.n_label == 1 && !strcmp(s.item[0].label, "3") && !s.item[1].label);
    is(&s, 0, "a\nb"), is(&s, 1, "c");
    text_lines_release(&s);
}

static void bad_lines_are_counted_and_stop_nothing(void **state)
{
    (void)state;
    struct text_lines s;
    OK(read_text(&s, "{\"text\": \"a\"}\nno object\n{\"text\": \" \"}\n{\"text\": 3}\n{\"text\": \"b\", \"label\": [1]}\n{\"text\": \"c\"}\n", 0));
    assert_true(s.n == 2 && s.n_bad == 4);
    assert_non_null(strstr(s.bad.msg, "texts"));
    text_lines_release(&s);
    OK(read_text(&s, "fine\n\xff\xfe\n", 0));
    assert_true(s.n == 1 && s.n_bad == 1 && strstr(s.bad.msg, ":2: byte 0 is not UTF-8"));
    text_lines_release(&s);
    assert_int_equal(read_text(&s, "\n \n", 0), ERR_FORMAT);
    assert_int_equal(read_text(&s, "{\"x\": 1}\n", 0), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "found no \"text\""));
    assert_int_equal(text_lines_read(&s, in_dir("nowhere"), 0, &err), ERR_NOTFOUND);
}

/* ---- archives ---- */

static void an_archive_is_read_back_as_it_was_written(void **state)
{
    (void)state;
    struct npz_writer z;
    struct npz r;
    struct npy a;
    struct buf b;
    const char *path = in_dir("rows.npz");
    OK(npz_writer_open(&z, path, &err));
    OK(npz_writer_add(&z, "features", NPZ_F32, feature, N, D, &err));
    OK(npz_writer_add(&z, "label", NPZ_I32, label, N, 0, &err));
    OK(npz_writer_add(&z, "none", NPZ_F64, feature, 0, 4, &err));
    OK(npz_writer_add(&z, "big", NPZ_I64, (int64_t[]){ INT64_MIN, 5 }, 2, 0, &err));
    OK(npz_writer_commit(&z, &err));
    buf_init(&b);
    OK(file_read(path, 1 << 20, &b, &err));
    OK(npz_open(&r, b.data, b.len, "rows", &err));
    static const char *const described[] = { "float32 [120, 6]", "int32 [120]", "float64 [0, 4]", "int64 [2]" };
    assert_int_equal(r.n_array, 4);
    for (int i = 0; i < 4; i++) {
        char text[200];
        OK(npz_read(&r, i, &a, &err));
        npy_describe(&a, text);
        assert_string_equal(text, described[i]);
        if (i == 0)
            assert_memory_equal(a.bytes.data, feature, sizeof feature);
        npy_release(&a);
    }
    assert_int_equal(npz_find(&r, "label"), 1);
    npz_close(&r);
    buf_release(&b);
}

static void an_archive_that_is_too_large_is_refused_and_one_left_open_is_gone(void **state)
{
    (void)state;
    struct npz_writer z;
    OK(npz_writer_open(&z, in_dir("left.npz"), &err));
    assert_int_equal(npz_writer_add(&z, "huge", NPZ_F32, feature, (int64_t)1 << 31, 1000, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "4 GiB"));
    npz_writer_abort(&z);
    struct file_map m;
    assert_int_equal(file_map_open(&m, in_dir("left.npz"), &err), ERR_NOTFOUND);
    assert_true(npz_writer_open(&z, in_dir("no/folder.npz"), &err) < 0);
    npz_writer_abort(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_detector_is_the_one_that_its_name_says),
        cmocka_unit_test(what_cannot_be_fitted_is_told_and_stops_nothing),
        cmocka_unit_test(figures_have_an_interval_and_none_where_there_is_no_score),
        cmocka_unit_test(the_error_of_an_auroc_is_delongs_with_and_without_ties),
        cmocka_unit_test(as_many_of_each_length_are_taken_from_both),
        cmocka_unit_test(length_alone_is_no_score_once_lengths_are_the_same),
        cmocka_unit_test(lines_are_texts_and_so_are_members_of_objects),
        cmocka_unit_test(bad_lines_are_counted_and_stop_nothing),
        cmocka_unit_test(an_archive_is_read_back_as_it_was_written),
        cmocka_unit_test(an_archive_that_is_too_large_is_refused_and_one_left_open_is_gone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
