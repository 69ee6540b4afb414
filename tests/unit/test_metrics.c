/* test_metrics.c - what is counted: rates and quantiles of the last minutes, labels, and the counts of requests. */
#include "../test.h"
#include "serve/metrics.h"

static struct err err;
static struct metrics *m;
static const struct batch_watch *w;

static int set_up(void **state)
{
    (void)state;
    OK(metrics_new(&m, 1024, &err));
    w = metrics_watch(m);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_free(m);
    return 0;
}

/* A text whose first token comes ttft after `at`, and n - 1 more, each after tpot. */
static double text(double at, double ttft, double tpot, int n, int n_kept, enum text_end end)
{
    struct text_times t = { .submitted = at, .admitted = at, .n_prompt = 100, .n_kept = n_kept };
    for (int i = 0; i < n; i++) {
        const double now = at + ttft + i * tpot;
        w->token(w->ctx, &t, now);
        t.first = t.n_token ? t.first : now;
        t.last = now, t.n_token++;
    }
    t.ended = n ? t.last : at, t.end = end;
    w->ended(w->ctx, &t);
    return t.ended;
}

static void expect_near(double v, double want)
{
    if (v < want / 1.05 || v > want * 1.05)
        fail_msg("%g, expected %g within 5 %%", v, want);
}

static void quantiles_are_those_of_the_last_five_minutes(void **state)
{
    struct live l;
    (void)state;
    metrics_live(m, 5000, 0, &l);
    assert_true(l.ttft.n == 0 && l.ttft.p99 == 0 && l.tokens_per_s == 0 && l.prefix_hits == 0);
    for (int i = 1; i <= 1000; i++)              /* first tokens after 1 ms .. 1 s, the others after 10 ms each */
        text(5000 + i * 0.01, i * 0.001, 0.01, 5, i % 2 ? 40 : 0, TEXT_LENGTH);
    metrics_live(m, 5012, 0, &l);
    assert_int_equal(l.ttft.n, 1000);
    assert_int_equal(l.itl.n, 4000);
    expect_near(l.ttft.p50, 0.5);
    expect_near(l.ttft.p95, 0.95);
    expect_near(l.ttft.p99, 0.99);
    expect_near(l.tpot.p50, 0.01);
    expect_near(l.itl.p99, 0.01);
    expect_near(l.e2e.p50, 0.54);
    expect_near(l.prefix_hits, 0.2);
    metrics_live(m, 5285, 0, &l);                /* some are too old */
    assert_int_equal(l.ttft.n, 1000);
    metrics_live(m, 5321, 0, &l);
    assert_int_equal(l.ttft.n, 0);
    for (int i = 0; i < 100; i++)                /* alike: no quantile leads away from the one time there is */
        text(6000, 1, 0, 1, 0, TEXT_STOP);
    metrics_live(m, 6002, 0, &l);
    expect_near(l.ttft.p50, 1), expect_near(l.ttft.p95, 1), expect_near(l.ttft.p99, 1);
    text(6400, 3, 1, 2, 0, TEXT_STOP);           /* the same places are used again */
    metrics_live(m, 6404, 0, &l);
    assert_int_equal(l.ttft.n, 1);
    expect_near(l.ttft.p50, 3);
}

static void rates_are_those_of_the_last_ten_seconds(void **state)
{
    struct live l;
    (void)state;
    for (int i = 0; i < 20; i++)                 /* 4 tokens a second */
        text(100 + i, 0.1, 0.2, 4, 0, TEXT_LENGTH);
    metrics_live(m, 120.5, 50, &l);
    expect_near(l.tokens_per_s, 4);
    expect_near(l.prompt_tokens_per_s, 100);
    metrics_live(m, 125.5, 50, &l);
    expect_near(l.tokens_per_s, 2);
    metrics_live(m, 150, 50, &l);
    assert_true(l.tokens_per_s == 0);
    text(200, 0.1, 0.1, 5, 0, TEXT_LENGTH);      /* a server that has run for 2 s only */
    metrics_live(m, 201.5, 199.5, &l);
    expect_near(l.tokens_per_s, 2.5);
}

static void texts_that_fail_have_no_times_and_guessed_tokens_one(void **state)
{
    struct live l;
    (void)state;
    text(100, 0.1, 0.2, 4, 0, TEXT_CANCELLED);
    text(100, 0.1, 0.2, 0, 0, TEXT_FAILED);
    text(100, 0.1, 0, 4, 0, TEXT_STOP);          /* all at once */
    text(100, 0, 0, 0, 0, TEXT_LENGTH);          /* the prompt alone */
    metrics_live(m, 101, 0, &l);
    assert_int_equal(l.e2e.n, 2);
    assert_int_equal(l.tpot.n, 1);
    assert_int_equal(l.itl.n, 3);
    assert_int_equal(l.ttft.n, 2);
}

static void labels_are_escaped_and_requests_counted(void **state)
{
    static struct http_counts c;
    static const struct http_route routes[] = { { "GET", "/a\"b" }, { "POST", "/c" } };
    struct buf b;
    (void)state;
    buf_init(&b);
    metrics_label(&b, "x", "a\\b\"c\nd\xc3\xa4");
    assert_string_equal(b.data, "x=\"a\\\\b\\\"c\\nd\xc3\xa4\"");
    buf_clear(&b);
    metrics_http(&c, 0, 200), metrics_http(&c, 0, 204), metrics_http(&c, 1, 503), metrics_http(&c, 1, 0), metrics_http(&c, -1, 404), metrics_http(&c, 64, 999);
    metrics_write_http(&b, &c, routes, 2);
    const char *at = strchr(strchr(b.data, '\n') + 1, '\n') + 1;
    assert_string_equal(at, "http_requests_total{handler=\"/a\\\"b\",method=\"GET\",status=\"2xx\"} 2\n"
                            "http_requests_total{handler=\"/c\",method=\"POST\",status=\"0xx\"} 1\nhttp_requests_total{handler=\"/c\",method=\"POST\",status=\"5xx\"} 1\n"
                            "http_requests_total{handler=\"none\",method=\"any\",status=\"0xx\"} 1\nhttp_requests_total{handler=\"none\",method=\"any\",status=\"4xx\"} 1\n");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(quantiles_are_those_of_the_last_five_minutes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rates_are_those_of_the_last_ten_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_that_fail_have_no_times_and_guessed_tokens_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_are_escaped_and_requests_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
