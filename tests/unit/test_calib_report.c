/* test_calib_report.c - the report on one set of answers, files with such answers, and the diagram: what is in them, and the same for any threads. */
#include <math.h>
#include <time.h>
#include "../test.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/calib_file.h"
#include "eval/calib_report.h"
#include "base/diagram.h"

static struct err err;
static struct pool *one, *two;
static const struct calib_report_opts opts = { 15, FEWER(999, 19), 5, 1, 0.1, 0.1, 1 };

static int set_up(void **state) { return pool_new(&one, 1, &err) || pool_new(&two, 2, &err) || make_dir(state) ? -1 : 0; }

static int tear_down(void **state)
{
    pool_free(two), pool_free(one);
    return remove_dir(state);
}

/* "conformal/thr/coverage" */
static const json_t *at(const json_t *o, const char *path)
{
    char key[60];
    for (const char *end; *path; path = *end ? end + 1 : end) {
        end = strchr(path, '/');
        end = end ? end : path + strlen(path);
        snprintf(key, sizeof key, "%.*s", (int)(end - path), path);
        if (!json_object_get(o, key))
            fail_msg("no '%s'", path);
        o = json_object_get(o, key);
    }
    return o;
}

static double num(const json_t *o, const char *path) { return json_number_value(at(o, path)); }

static json_t *report_on(const struct calib_items *in, struct pool *pool)
{
    json_t *o;
    OK(calib_report(&o, in, &opts, pool, &err));
    return o;
}

static void three_nets_are_reported_with_their_null_and_their_temperature(void **state)
{
    static const struct { const char *name; double ece, scaled, T; } nets[] = {      /* netcal's ECE with 15 bins; T by scipy */
        { "lenet-5-cifar-10.npz", 0.1078878824308515, 0.012963144584532177, 1 / 0.7159328778467617 },
        { "wideresnet-16-4-cifar-10.npz", 0.05371629542112352, 0.006152487086240631, 1 / 0.4871991349038449 },
        { "wideresnet-16-4-cifar-100.npz", 0.058060392411053194, 0.04183767467678993, 1 / 0.8999719278535803 },
    };
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct calib_file f;
        OK(calib_file_read(&f, shared(path_in("calibration-logits", nets[i].name)), NULL, NULL, NULL, &err));
        assert_string_equal(f.scores, "predictions");
        assert_string_equal(f.labels, "ground_truth");
        assert_true(f.items.probs && f.items.n == 10000);
        json_t *o = report_on(&f.items, two);
        const double after = num(o, "temperature/cross_fit/metrics/ece.equal_width.15/value");
        print_message("%s: accuracy %.4f, ECE %.5f (null 95 %% %.5f, p %.3f), T %.4f, ECE cross-fitted %.5f (null %.5f, p %.3f); sets by APS: coverage %.4f, size %.3f, "
                      "9 times in 10 %.4f to %.4f\n", nets[i].name, num(o, "accuracy/value"), num(o, "metrics/ece.equal_width.15/value"),
                      num(o, "metrics/ece.equal_width.15/null_q95"), num(o, "metrics/ece.equal_width.15/p"), num(o, "temperature/T"), after,
                      num(o, "temperature/cross_fit/metrics/ece.equal_width.15/null_q95"), num(o, "temperature/cross_fit/metrics/ece.equal_width.15/p"),
                      num(o, "conformal/aps/coverage"), num(o, "conformal/aps/size_mean"), json_number_value(json_array_get(at(o, "conformal/measured_range90"), 0)),
                      json_number_value(json_array_get(at(o, "conformal/measured_range90"), 1)));
        assert_true(fabs(num(o, "metrics/ece.equal_width.15/value") - nets[i].ece) < 1e-9);
        assert_true(fabs(num(o, "temperature/T") - nets[i].T) < 1e-9);
        assert_true(fabs(after - nets[i].scaled) < 0.003);
        assert_true(json_is_true(at(o, "miscalibrated")));
        assert_true(num(o, "conformal/thr/coverage") > .88 && num(o, "conformal/thr/coverage") < .92);
        assert_int_equal(json_array_size(at(o, "temperature/cross_fit/folds")), 5);
        json_decref(o);
        calib_file_release(&f);
    }
}

static struct calib_items made(int64_t n, bool same_k, double *z, int64_t *start, int32_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        const int k = same_k ? 3 : 1 + (int)rng_below(3, (uint64_t)i, 4);
        start[i + 1] = start[i] + k;
        for (int64_t j = start[i]; j < start[i + 1]; j++)
            z[j] = rng_normal(4, (uint64_t)j);
        y[i] = (int32_t)rng_below(5, (uint64_t)i, (uint64_t)k);
    }
    return (struct calib_items){ n, same_k ? 3 : 0, start, z, y, false };
}

static void a_report_is_the_same_with_any_number_of_threads(void **state)
{
    double z[800];
    int64_t start[201] = { 0 };
    int32_t y[200];
    (void)state;
    for (int same_k = 0; same_k < 2; same_k++) {
        const struct calib_items in = made(200, same_k != 0, z, start, y);
        json_t *a = report_on(&in, one), *b = report_on(&in, two);
        char *s = tree_dumps(a, JSON_SORT_KEYS), *t = tree_dumps(b, JSON_SORT_KEYS);
        assert_string_equal(s, t);
        assert_true(same_k ? json_is_integer(at(a, "classes")) : json_is_null(at(a, "classes")));
        assert_true(!json_object_get(at(a, "metrics"), "ece.classwise.equal_width.15") == !same_k);
        mem_free(t), mem_free(s);
        json_decref(b), json_decref(a);
    }
}

static void few_items_and_those_without_a_temperature_are_reported(void **state)
{
    static const double z[] = { 3, 1, 0, 2, 5, 1, 1, 1.5, 0, 9 };
    static const int32_t right[] = { 0, 1, 0, 1, 1 }, one_label[] = { 1 };
    const struct calib_items all = { 5, 2, NULL, z, right, false }, single = { 1, 2, NULL, z, one_label, false }, none = { 0, 2, NULL, z, right, false };
    json_t *o;
    (void)state;
    o = report_on(&all, two);
    assert_true(json_is_null(at(o, "temperature/beta")) && json_is_null(at(o, "temperature/T")) && json_is_null(at(o, "temperature/nll_after")));
    assert_null(json_object_get(at(o, "temperature/cross_fit"), "metrics"));
    assert_non_null(strstr(json_string_value(at(o, "temperature/status")), "right in every item"));
    assert_non_null(strstr(json_string_value(at(o, "temperature/cross_fit/status")), "right in every item"));
    assert_true(num(o, "selective/aurc.mean") == 0 && num(o, "accuracy/value") == 1);
    assert_true(json_is_null(at(o, "conformal/thr/q")) && num(o, "conformal/thr/coverage") == 1);
    json_decref(o);
    static const int32_t mostly_wrong[] = { 1, 0, 1, 1, 0 };
    const struct calib_items turned = { 5, 2, NULL, z, mostly_wrong, false };
    o = report_on(&turned, two);
    assert_true(json_is_null(at(o, "temperature/beta")) && json_is_null(at(o, "temperature/T")) && json_is_null(at(o, "temperature/nll_after")));
    assert_non_null(strstr(json_string_value(at(o, "temperature/status")), "right more often"));
    json_decref(o);
    o = report_on(&single, one);
    assert_true(json_is_null(at(o, "conformal")) && json_is_null(at(o, "selective/aurc.trapezoid")));
    assert_non_null(strstr(json_string_value(at(o, "temperature/status")), "least likely choice"));
    assert_non_null(strstr(json_string_value(at(o, "temperature/cross_fit/status")), "fewer than two folds"));
    json_decref(o);
    assert_int_equal(calib_report(&o, &none, &opts, one, &err), ERR_RANGE);
    assert_null(o);
}

/* ---- files ---- */

static void put_npy(struct buf *b, const char *descr, int64_t rows, int64_t columns, const void *data, size_t n)
{
    char header[130];
    const int len = columns ? snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld, %lld), }\n", descr, (long long)rows, (long long)columns)
                            : snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld,), }\n", descr, (long long)rows);
    const char head[10] = { '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)len, 0 };
    OK(buf_add(b, head, sizeof head, &err));
    OK(buf_add(b, header, (size_t)len, &err));
    OK(buf_add(b, data, n, &err));
}

static uint32_t crc_of(const void *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= ((const unsigned char *)p)[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

static void put32(char *p, uint32_t v) { memcpy(p, &v, 4); }

/* An archive of stored arrays; each is data behind an .npy header. */
struct archive { struct buf file, directory; int n; };

static void archive_add(struct archive *a, const char *name, const struct buf *npy)
{
    char local[30] = "PK\3\4", entry[46] = "PK\1\2";
    const uint16_t n_name = (uint16_t)strlen(name);
    put32(local + 14, crc_of(npy->data, npy->len)), put32(local + 18, (uint32_t)npy->len), put32(local + 22, (uint32_t)npy->len);
    memcpy(local + 26, &n_name, 2);
    memcpy(entry + 16, local + 14, 12), memcpy(entry + 28, &n_name, 2);
    put32(entry + 42, (uint32_t)a->file.len);
    OK(buf_add(&a->file, local, sizeof local, &err));
    OK(buf_add_str(&a->file, name, &err));
    OK(buf_add(&a->file, npy->data, npy->len, &err));
    OK(buf_add(&a->directory, entry, sizeof entry, &err));
    OK(buf_add_str(&a->directory, name, &err));
    a->n++;
}

static void archive_write(struct archive *a, const char *path)
{
    char end[22] = "PK\5\6";
    end[8] = end[10] = (char)a->n;
    put32(end + 12, (uint32_t)a->directory.len), put32(end + 16, (uint32_t)a->file.len);
    OK(buf_add(&a->file, a->directory.data, a->directory.len, &err));
    OK(buf_add(&a->file, end, sizeof end, &err));
    OK(file_write_all(path, a->file.data, a->file.len, &err));
    buf_release(&a->directory), buf_release(&a->file);
}

static const float logits[] = { 1, 2, -3, 4, 5, 6 };
static const int64_t labels[] = { 2, 0 }, far[] = { 2, 3 }, negative[] = { -1, 0 };
static const unsigned char hot[] = { 0, 0, 1, 1, 0, 0 }, cold[] = { 0, 0, 1, 0, 0, 0 }, hotter[] = { 0, 1, 1, 1, 0, 0 };

struct part { const char *name, *descr; int64_t rows, columns; const void *data; size_t n; };
static const struct part LOGITS = { "z.npy", "<f4", 2, 3, logits, sizeof logits }, LABELS = { "y.npy", "<i8", 2, 0, labels, sizeof labels },
                         MORE = { "more.npy", "<i8", 2, 1, labels, sizeof labels }, FAR = { "y.npy", "<i8", 2, 0, far, sizeof far },
                         NEGATIVE = { "y.npy", "<i8", 2, 0, negative, sizeof negative }, HOT = { "y.npy", "|u1", 2, 3, hot, sizeof hot },
                         COLD = { "y.npy", "|u1", 2, 3, cold, sizeof cold }, HOTTER = { "y.npy", "|u1", 2, 3, hotter, sizeof hotter };

static char *file_of(const struct part *const *part, int n)
{
    struct archive a = { .n = 0 };
    char *path = in_dir("it.npz");
    buf_init(&a.file), buf_init(&a.directory);
    for (int i = 0; i < n; i++) {
        struct buf b;
        buf_init(&b);
        put_npy(&b, part[i]->descr, part[i]->rows, part[i]->columns, part[i]->data, part[i]->n);
        archive_add(&a, part[i]->name, &b);
        buf_release(&b);
    }
    archive_write(&a, path);
    return path;
}

static void labels_are_numbers_or_one_hot(void **state)
{
    const struct part *const pairs[][2] = { { &LOGITS, &LABELS }, { &HOT, &LOGITS }, { &LOGITS, &MORE } };
    struct calib_file f;
    (void)state;
    for (int i = 0; i < 3; i++) {
        OK(calib_file_read(&f, file_of(pairs[i], 2), NULL, NULL, NULL, &err));
        assert_true(f.items.n == 2 && f.items.n_class == 3 && !f.items.probs && f.value[2] == -3 && f.label[0] == 2 && f.label[1] == 0);
        calib_file_release(&f);
    }
    OK(calib_file_read(&f, in_dir("it.npz"), "z", "more", "probs", &err));
    assert_true(f.items.probs);
    calib_file_release(&f);
}

static void refused(const struct part *const *part, int n, const char *scores, const char *wanted, const char *kind, int code, const char *says)
{
    struct calib_file f;
    assert_int_equal(calib_file_read(&f, file_of(part, n), scores, wanted, kind, &err), code);
    if (!strstr(err.msg, says))
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void files_that_do_not_tell_which_is_which_are_refused_with_what_they_have(void **state)
{
    (void)state;
    refused((const struct part *const[]){ &LOGITS, &LABELS, &MORE }, 3, NULL, NULL, NULL, ERR_NOTFOUND, "several arrays may be these: labels: whole numbers [n], or one-hot [n,K]; it has z float32 [2, 3], y int64 [2], more int64 [2, 1]");
    refused((const struct part *const[]){ &LABELS }, 1, NULL, NULL, NULL, ERR_NOTFOUND, "no array is this: logits");
    refused((const struct part *const[]){ &LOGITS }, 1, NULL, NULL, NULL, ERR_NOTFOUND, "no array is this: labels");
    refused((const struct part *const[]){ &LOGITS, &LABELS }, 2, "y", NULL, NULL, ERR_FORMAT, "'y' is int64 [2], expected logits");
    refused((const struct part *const[]){ &LOGITS, &LABELS }, 2, "x", NULL, NULL, ERR_NOTFOUND, "no array is this");
    refused((const struct part *const[]){ &LOGITS, &FAR }, 2, NULL, NULL, NULL, ERR_RANGE, "element 1 is 3, expected 0 to 2");
    refused((const struct part *const[]){ &LOGITS, &NEGATIVE }, 2, NULL, NULL, NULL, ERR_RANGE, "element 0 is -1");
    refused((const struct part *const[]){ &LOGITS, &COLD }, 2, NULL, NULL, NULL, ERR_FORMAT, "row 1 is not one-hot");
    refused((const struct part *const[]){ &LOGITS, &HOTTER }, 2, NULL, NULL, NULL, ERR_FORMAT, "row 0 is not one-hot");
    refused((const struct part *const[]){ &LOGITS, &LABELS }, 2, NULL, NULL, "odds", ERR_USAGE, "'odds', expected logits or probs");
}

/* ---- the diagram ---- */

static void a_diagram_stands_alone_and_has_a_bar_for_each_bin(void **state)
{
    struct calib_bin bin[3] = { { 0, 1. / 3, 0, 0, NAN, NAN, NAN, NAN }, { 1. / 3, 2. / 3, 4, 2, .5, .5, .15, .85 }, { 2. / 3, 1, 9, 9, .9, 1, .7, 1 } };
    struct buf b;
    int n_bar = 0;
    (void)state;
    buf_init(&b);
    OK(diagram_reliability(&b, "a <b> & c", "ECE \"x\"", bin, 3, &err));
    for (const char *p = b.data; (p = strstr(p, "<circle")); p++)
        n_bar++;
    assert_int_equal(n_bar, 2);
    assert_int_equal(strncmp(b.data, "<svg xmlns=\"http://www.w3.org/2000/svg\"", 39), 0);
    assert_non_null(strstr(b.data, "a &lt;b&gt; &amp; c"));
    assert_non_null(strstr(b.data, "2 of 4 right, 0.500 (0.150 to 0.850)"));
    assert_null(strstr(b.data, "nan"));
    buf_clear(&b);
    OK(diagram_reliability(&b, "none", NULL, bin, 1, &err));
    assert_null(strstr(b.data, "<circle"));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_nets_are_reported_with_their_null_and_their_temperature),
        cmocka_unit_test(a_report_is_the_same_with_any_number_of_threads),
        cmocka_unit_test(few_items_and_those_without_a_temperature_are_reported),
        cmocka_unit_test(labels_are_numbers_or_one_hot),
        cmocka_unit_test(files_that_do_not_tell_which_is_which_are_refused_with_what_they_have),
        cmocka_unit_test(a_diagram_stands_alone_and_has_a_bar_for_each_bin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
