/* test_operate_fault.c - the n-th allocation or system call fails where a certificate is read, where metrics are made and told, and where it is
 * found out how much fits: an error, no crash, no leak. */
#include "each_allocation.h"
#include "../pem.h"
#include "../served.h"
#include "serve/fit.h"
#include "serve/tls.h"

static struct err err;
static char dir[] = "/tmp/lathe-operate-fault-XXXXXX";
static struct served_model *model;

/* An error has a message. */
static int told(int rc)
{
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

static int load_certificate(void *unused)
{
    (void)unused;
    struct tls *t;
    const int rc = told(tls_load(&t, in_dir("key.pem"), in_dir("cert.pem"), &err));
    assert_true((rc == 0) == (t != NULL));
    tls_free(t);
    return rc;
}

static void a_certificate_is_read_or_is_an_error(void **state)
{
    (void)state;
    static struct pem p;
    make_pem(&p, "x");
    OK(file_write_all(in_dir("key.pem"), p.key, strlen(p.key), &err));
    OK(file_write_all(in_dir("cert.pem"), p.cert, strlen(p.cert), &err));
    assert_int_equal(load_certificate(NULL), 0);
    assert_true(each_allocation(load_certificate, NULL, false) > 2);
    assert_true(each_failure(CALLS, 1, load_certificate, NULL, true) > 3);
}

static int make_metrics(void *unused)
{
    (void)unused;
    struct metrics *m;
    const int rc = told(metrics_new(&m, 100, &err));
    assert_true((rc == 0) == (m != NULL));
    metrics_free(m);
    return rc;
}

static int tell_stats(void *unused)
{
    (void)unused;
    struct buf b;
    buf_init(&b);
    const int rc = told(metrics_live_json(&b, &model, 1, "lathe", 0, &err));
    buf_release(&b);
    return rc;
}

/* What there is no memory for is missing. */
static int tell_metrics(void *unused)
{
    (void)unused;
    static const struct http_counts counts = { 0 };
    struct buf b;
    buf_init(&b);
    metrics_write(&b, &model, 1);
    metrics_write_http(&b, &counts, NULL, 0);
    metrics_write_process(&b, 0);
    buf_release(&b);
    return 0;
}

static void metrics_are_made_and_told_or_are_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(make_metrics, NULL, false) > 0);
    assert_int_equal(tell_stats(NULL), 0);
    assert_true(each_allocation(tell_stats, NULL, false) > 1);
    assert_int_equal(each_allocation(tell_metrics, NULL, true), 0);
}

static int fit(void *unused)
{
    (void)unused;
    const struct served_model_opts o = { .path = "tests/golden/llama", .n_thread = 1, .share = (size_t)64 << 20 };
    struct engine_opts e = { 0 };
    struct buf why;
    buf_init(&why);
    const int rc = told(fit_all(&o, 64, &e, &why, &err));
    assert_true(rc < 0 || (e.n_page > 1 && e.n_slot > 0 && strstr(why.data, "positions a text")));
    buf_release(&why);
    return rc;
}

static void what_fits_is_found_out_or_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(fit(NULL), 0);
    assert_true(each_failure(ALLOCATIONS, 3, fit, NULL, true) > 20);
    assert_true(each_failure(CALLS, 1, fit, NULL, true) > 5);
}

static int set_up(void **state) { return make_dir(state) || served_open(&model, dir, &err); }

static int tear_down(void **state)
{
    served_model_close(model);
    return file_remove_tree(dir, &err) || remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_read_or_is_an_error),
        cmocka_unit_test(metrics_are_made_and_told_or_are_an_error),
        cmocka_unit_test(what_fits_is_found_out_or_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
