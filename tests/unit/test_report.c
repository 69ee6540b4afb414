/* test_report.c - the page of a run: what stands on it, that nothing from outside becomes markup, that memory is bounded. */
#include <math.h>
#include "../test.h"
#include "page_check.h"
#include "base/log.h"
#include "train/loop.h"
#include "train/page.h"

static struct err err;

static void check_page(const char *page)
{
    const char *bad = page_bad(page);
    if (bad)
        fail_msg("not a page of ours from here on: %.80s", bad);
}

/* The page of these lines and facts, good until the next. */
static const char *page_of(const char *lines, const char *facts)
{
    static struct buf b;
    static bool used;
    struct history h;
    if (used)
        buf_release(&b);
    used = true;
    buf_init(&b);
    OK(history_init(&h, &err));
    OK(history_add(&h, lines, strlen(lines), &err));
    h.facts = facts ? json_loads(facts, 0, NULL) : NULL;
    OK(page_write(&h, "a <run> & \"more\"", &b, &err));
    history_release(&h);
    check_page(b.data);
    return b.data;
}

static void the_checker_of_pages_finds_what_is_foreign(void **state)
{
    (void)state;
    static const char *const bad[] = { "<script>", "<b onclick=\"x\">x</b>", "a < b", "a & b", "<b>", "</b>", "<b></p>", "<b class='x'></b>", "\x01", "&nbsp;", ">", "<text x=\"a>b\"></text>", "<a href=\"http://x\">x</a>" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char page[200];
        snprintf(page, sizeof page, "<!DOCTYPE html>\n%s", bad[i]);
        if (!page_bad(page))
            fail_msg("'%s' was let pass", bad[i]);
    }
    assert_null(page_bad("<!DOCTYPE html>\n<p class=\"x\">a &amp; b<line x1=\"1\"/></p>\n"));
}

static void text_from_outside_is_never_markup(void **state)
{
    (void)state;
    const char *p = page_of("{\"step\":1,\"loss\":2.5,\"<script>alert(1)</script>\":3}\n"
                            "{\"step\":2,\"event\":\"<img src=x onerror=alert(1)>\",\"sample\":\"</code></td>'\\\"&\\u0000\\u001b[31m\",\"<i>\":{\"<b>\":\"<u>\"}}\n"
                            "{\"step\":3,\"loss\":2,\"experts\":[{\"\\\"><svg onload=x>\":1}]}\n",
                            "{\"version\":\"<v>\",\"config\":\"</p><p>\",\"data\":[{\"role\":\"<r>\",\"path\":\"<script>.txt\",\"sha256\":\"<x>\"},7,{}],\"model\":{\"<k>\":\"<w>\"},"
                            "\"settings\":{\"train\":{\"a'b\":\"<>\"},\"data\":[],\"lora\":3},\"plan\":{\"bytes\":\"<n>\",\"parts\":{\"<\":1}},\"steps\":\"<s>\",\"limits\":{\"cpu\":\"<cpu>\"}}");
    assert_null(strstr(p, "<script"));
    assert_null(strstr(p, "<img"));
    assert_non_null(strstr(p, "&lt;script&gt;.txt"));
    assert_non_null(strstr(p, "&lt;img src=x onerror=alert(1)&gt;"));
    assert_non_null(strstr(p, "&#39;&quot;&amp;\xef\xbf\xbd\xef\xbf\xbd[31m"));
    assert_non_null(strstr(p, "a &lt;run&gt; &amp; &quot;more&quot;"));
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    OK(html_text(&b, "a\xff\xc3\xa9\xc3", 5, &err));
    assert_string_equal(b.data, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd");
    buf_release(&b);
}

static void lines_that_are_none_are_counted_and_passed_over(void **state)
{
    (void)state;
    struct history h;
    static const char text[] = "{\"step\":1,\"loss\":3}\nrubbish\n[1]\n{\"loss\":2}\n{\"step\":\"2\"}\n\n{\"step\":4,\"loss\":null,\"lr\":1e308}\n{\"step\":5,\"loss\":1";
    OK(history_init(&h, &err));
    OK(history_add(&h, text, strlen(text), &err));
    assert_int_equal(h.n_line, 8);
    assert_int_equal(h.n_bad, 6);
    assert_int_equal(history_find(&h, "loss")->n, 1);
    assert_null(history_find(&h, "lr"));
    assert_int_equal(h.last_step, 4);
    history_release(&h);
    assert_non_null(strstr(page_of(text, NULL), "6 of 8 lines of metrics.jsonl could not be read"));
    page_of("", NULL);
}

/* Means over neighbours, the range as a band, the last value as it was; as many points as there is room for. */
static void long_runs_keep_means_and_ranges(void **state)
{
    (void)state;
    struct history h;
    struct buf b;
    buf_init(&b);
    for (int i = 1; i <= 5000; i++)
        OK(buf_printf(&b, &err, "{\"step\":%d,\"loss\":%d}\n", i, i == 4321 ? 100000 : i % 2));
    OK(history_init(&h, &err));
    OK(history_add(&h, b.data, b.len, &err));
    const struct series *s = history_find(&h, "loss");
    assert_in_range(s->n, HISTORY_POINTS / 2, HISTORY_POINTS);
    assert_true(series_highest(s) == 100000);
    double sum = 0;
    for (int i = 0; i < s->n - 1; i++)
        sum += s->at[i].y, assert_true(s->at[i].low == 0 && s->at[i].high >= 1 && s->at[i].x < s->at[i + 1].x);
    const double steps = (double)s->stride * (s->n - 1);
    assert_true(fabs(sum * (double)s->stride - (steps / 2 + 100000 - 1)) <= 1);
    assert_true(series_median(s) == 0.5);
    assert_true(s->last == 0);
    history_release(&h);
    buf_release(&b);
}

static void memory_is_bounded_whatever_a_file_says(void **state)
{
    (void)state;
    struct history h;
    struct buf b;
    buf_init(&b);
    OK(buf_add_str(&b, "{\"step\":1", &err));
    for (int i = 0; i < 500; i++)
        OK(buf_printf(&b, &err, ",\"k%d\":%d", i, i));
    OK(buf_add_str(&b, ",\"experts\":[", &err));
    for (int i = 0; i < 2000; i++)
        OK(buf_printf(&b, &err, "%s{\"load\":1}", i ? "," : ""));
    OK(buf_add_str(&b, "]}\n", &err));
    for (int i = 0; i < 2000; i++)
        OK(buf_add_str(&b, "{\"step\":2,\"event\":\"e\"}\n", &err));
    OK(history_init(&h, &err));
    OK(history_add(&h, b.data, b.len, &err));
    assert_int_equal(h.n, HISTORY_SERIES);
    assert_int_equal(h.n_event, 2000);
    assert_int_equal(json_array_size(h.events), HISTORY_EVENTS);
    history_release(&h);
    assert_non_null(strstr(page_of(b.data, NULL), "and 1500 more in metrics.jsonl"));
    buf_release(&b);
}

static void charts_of_odd_values_are_pictures(void **state)
{
    (void)state;
    static const double values[][3] = { { 0, 0, 0 }, { 5, 5, 5 }, { -1e299, 1e299, 0 }, { 1e-300, 1e-300, 1e299 }, { 1, 1 + 1e-15, 1 }, { -3, -2, -1 }, { 0.001, 1000, 5 } };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (int n = 0; n <= 3; n++) {
            struct html_point at[3];
            struct buf b;
            buf_init(&b);
            for (int j = 0; j < 3; j++)
                at[j] = (struct html_point){ j * 1e18, values[i][j], values[i][j], values[i][j] };
            const struct html_line line[2] = { { "one", at, n }, { "two", at, 0 } };
            OK(html_begin(&b, NULL, &err));
            OK(html_chart(&b, "t", line, 2, &err));
            for (int j = 0; j < 3; j++)
                at[j].x = pow(10, 3 * j);
            OK(html_chart_of_orders(&b, "orders", line, 2, &err));
            OK(html_end(&b, &err));
            check_page(b.data);
            assert_true(!!strstr(b.data, "<svg") == (n > 0));
            assert_null(strstr(b.data, "nan"));
            assert_null(strstr(strstr(b.data, "<main>"), "inf"));
            buf_release(&b);
        }
}

static void orders_of_magnitude_are_equally_wide(void **state)
{
    (void)state;
    const struct html_point at[] = { { 0.01, 1, 1, 1 }, { 1, 2, 2, 2 }, { 100, 3, 3, 3 } };
    const struct html_line line = { "one", at, 3 };
    struct buf b;
    double x[3], y[3];
    buf_init(&b);
    OK(html_chart_of_orders(&b, "t", &line, 1, &err));
    assert_int_equal(sscanf(strstr(b.data, " points=\""), " points=\"%lf,%lf %lf,%lf %lf,%lf", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2]), 6);
    assert_true(fabs((x[2] - x[1]) - (x[1] - x[0])) <= 0.11 && x[1] - x[0] > 100);
    buf_release(&b);
}

/* ---- of a run ---- */

static void a_run_leaves_its_page_and_it_can_be_made_again(void **state)
{
    (void)state;
    struct buf b, again;
    buf_init(&b);
    buf_init(&again);
    for (int i = 0; i < 300; i++)
        OK(buf_add_str(&b, "the cat sat on a mat and the dog ran. ", &err));
    OK(file_write_all(in_dir("a&b.txt"), b.data, b.len, &err));
    buf_clear(&b);
    OK(buf_printf(&b, &err, "model: {hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 16, norm: rmsnorm,"
                  " act: swiglu, pos: rope}\ndata: {train: %s, tokenizer: bytes}\ntrain: {steps: 8, batch: 2, ctx: 16, warmup: 1, lr: 0.00125, save_every: 3, eval_every: 4}\n", in_dir("a&b.txt")));
    OK(file_write_all(in_dir("c.yaml"), b.data, b.len, &err));
    volatile sig_atomic_t stop = 1;
    struct train_result r;
    struct train_opts o = { .config = in_dir("c.yaml"), .out = in_dir("run"), .n_thread = 1, .stop = &stop, .fail_step = -1 };
    assert_int_equal(train_run(&o, &r, &err), ERR_STOPPED);
    buf_clear(&b);
    OK(file_read(in_dir("run/report.html"), 1 << 20, &b, &err));
    assert_non_null(strstr(b.data, "step 1 of 8 "));
    o.stop = NULL;
    OK(train_run(&o, &r, &err));
    buf_clear(&b);
    OK(file_read(in_dir("run/report.html"), 1 << 20, &b, &err));
    check_page(b.data);
    static const char *const there[] = { "step 8 of 8, done", "a&amp;b.txt", "held out", "Busiest expert of a layer", "Entropy of the router", "memory of the run", "at the machine&#39;s limits",
                                         "<td>lr</td><td>0.00125</td>", "None: no step was skipped", "<td>num_experts</td><td>4</td>", "prefers-color-scheme:dark" };
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (!strstr(b.data, there[i]))
            fail_msg("the page does not have '%s'", there[i]);
    OK(page_of_folder(in_dir("run"), in_dir("again.html"), &err));
    OK(file_read(in_dir("again.html"), 1 << 20, &again, &err));
    assert_string_equal(b.data, again.data);
    assert_int_equal(page_of_folder(in_dir("nothing"), in_dir("again.html"), &err), ERR_NOTFOUND);
    buf_release(&b);
    buf_release(&again);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checker_of_pages_finds_what_is_foreign),
        cmocka_unit_test(text_from_outside_is_never_markup),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(lines_that_are_none_are_counted_and_passed_over),
        cmocka_unit_test(long_runs_keep_means_and_ranges),
        cmocka_unit_test(memory_is_bounded_whatever_a_file_says),
        cmocka_unit_test(charts_of_odd_values_are_pictures),
        cmocka_unit_test(orders_of_magnitude_are_equally_wide),
        cmocka_unit_test(a_run_leaves_its_page_and_it_can_be_made_again),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
