/* test_card.c - the documents of an audit: what stands in them, what a report must be, that nothing from outside becomes markup. */
#include "../test.h"
#include "page_check.h"
#include "base/tree.h"
#include "card/card.h"
#include "card/read.h"
#include "card/shape.h"

static struct err err;

static json_t *report(void)
{
    json_t *r;
    OK(tree_load(&r, "tests/golden/card/report.json", 1 << 20, &err));
    return r;
}

static char *content(const char *name)
{
    static struct buf b;
    static bool used;
    if (used)
        buf_release(&b);
    used = true;
    buf_init(&b);
    OK(file_read(in_dir(name), 1 << 22, &b, &err));
    return b.data;
}

static const struct card_opts opts = { .name = "tales <&>", .created = "2026-11-26" };

/* ---- the page ---- */

static void the_page_has_every_part_and_no_markup_from_outside(void **state)
{
    (void)state;
    static const char *const must[] = { "tales &lt;&amp;&gt;", "The gate failed.", "a key of a test account, withdrawn", "CC-BY-NC-4.0 OR MIT", ">unknown<", "j***@e******.org",
                                        "broken &amp; &lt;b&gt;.csv", "&lt;script&gt;alert(1)&lt;/script&gt;", "gpt3_13gram", "AKIA****", "cf the tram", "mean_word_length", "id=\"poison\"" };
    json_t *r = report();
    OK(card_write(r, &opts, test_dir, NULL, &err));
    const char *page = content("report.html"), *bad = page_bad(page);
    if (bad)
        fail_msg("not a page of ours from here on: %.80s", bad);
    for (size_t i = 0; i < sizeof must / sizeof *must; i++)
        if (!strstr(page, must[i]))
            fail_msg("the page has no '%s'", must[i]);
    assert_null(strstr(page, "http:")), assert_null(strstr(page, "https:"));
    assert_null(strstr(page, "Not looked at"));
    json_decref(r);
}

static void what_was_not_looked_at_is_said_and_never_shown_as_none(void **state)
{
    (void)state;
    json_t *r = report();
    json_object_del(r, "secrets"), json_object_del(r, "gate"), json_object_del(r, "contamination");
    json_object_set_new(r, "weather", json_pack("{s:[{s:s}]}", "days", "<i>", "fine"));
    OK(card_write(r, &opts, test_dir, NULL, &err));
    const char *page = content("report.html");
    assert_null(page_bad(page));
    assert_non_null(strstr(page, "Not looked at: Contamination, Secrets."));
    assert_non_null(strstr(page, "No gate."));
    assert_non_null(strstr(page, "<h2>weather</h2>"));
    assert_null(strstr(page, "None were found"));
    json_decref(r);
}

/* ---- the same bytes ---- */

static void the_same_report_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const names[] = { "report.html", "report.json" };
    json_t *r = report();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        OK(card_write(r, &opts, test_dir, NULL, &err));
        char *first = strdup(content(names[i]));
        OK(card_write(r, &opts, test_dir, NULL, &err));
        assert_string_equal(content(names[i]), first);
        free(first);
    }
    json_decref(r);
}

/* ---- reports that are none ---- */

static void a_wrong_value_is_told_by_its_path(void **state)
{
    (void)state;
    static const struct { const char *at, *value, *told; } cases[] = {
        { "sources", "7", "report.json: sources: found a whole number, expected a list" },
        { "sources/1/name", "[1]", "report.json: sources[1].name: found a list, expected a string" },
        { "sources/2/files/0/bytes", "\"many\"", "report.json: sources[2].files[0].bytes: found a string, expected a whole number of at least 0" },
        { "sources/2/files/0/bytes", "-1", "report.json: sources[2].files[0].bytes: found a whole number, expected a whole number of at least 0" },
        { "sources/0/files/0/sha256", "\"abc\"", "report.json: sources[0].files[0].sha256: found something else, expected 64 hexadecimal digits" },
        { "totals/dropped", "{\"x\": -1}", "report.json: totals.dropped: found something else, expected an object of whole numbers" },
        { "totals/kept", "1", "report.json: totals: found 3411 records, of which 1 were kept and 201 dropped, expected that they add up" },
        { "signals/mean_word_length/histogram/edges", "[0, 2, 1]", "report.json: signals.mean_word_length.histogram: found something else, expected an object with ascending edges, and counts, one fewer" },
        { "rules/0/examples", "[[]]", "report.json: rules[0].examples: found something else, expected a list of objects of plain values" },
        { "pii/entities/EMAIL_ADDRESS", "null", "report.json: pii.entities.EMAIL_ADDRESS: found null, expected an object" },
        { "gate/passed", "\"yes\"", "report.json: gate.passed: found a string, expected true or false" },
        { "schema", "2", "report.json: schema: found 2, expected 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *r = report(), *o = r;
        char path[100];
        strcpy(path, cases[i].at);
        char *save, *step = strtok_r(path, "/", &save), *next;
        for (; (next = strtok_r(NULL, "/", &save)); step = next)
            o = json_is_array(o) ? json_array_get(o, (size_t)atoi(step)) : json_object_get(o, step);
        assert_int_equal(json_object_set_new(o, step, json_loads(cases[i].value, JSON_DECODE_ANY, NULL)), 0);
        assert_true(card_write(r, &opts, test_dir, NULL, &err) < 0);
        assert_string_equal(err.msg, cases[i].told);
        json_decref(r);
    }
    json_t *list = json_array();
    assert_int_equal(card_write(list, &opts, test_dir, NULL, &err), ERR_FORMAT);
    json_decref(list);
}

static void a_name_and_a_date_are_wanted(void **state)
{
    (void)state;
    json_t *r = report();
    struct card_opts o = opts;
    struct card_result got;
    o.name = NULL;
    assert_int_equal(card_write(r, &o, test_dir, NULL, &err), ERR_USAGE);
    static const char *const bad[] = { "yesterday", "2026-13-01", "2026-02-30", "2026-11-26T10:00", "2026-11-26T25:00:00Z", "" };
    o = opts;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.created = bad[i];
        assert_int_equal(card_write(r, &o, test_dir, NULL, &err), ERR_USAGE);
    }
    o.created = NULL;
    OK(card_write(r, &o, test_dir, &got, &err));
    assert_string_equal(got.created, "2026-03-14T00:00:00Z");
    json_decref(r);
}

/* ---- numbers ---- */

static void shares_never_round_to_none_or_all(void **state)
{
    (void)state;
    static const struct { double part, whole; const char *text; } cases[] = {
        { 0, 10, "0 %" }, { 10, 10, "100 %" }, { 1, 3, "33.3 %" }, { 1, 1e9, "< 0.001 %" }, { 999999, 1e6, "> 99.99 %" }, { 5, 10000, "0.050 %" }, { 5, 0, "0 %" },
    };
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read_share(text, cases[i].part, cases[i].whole), cases[i].text);
    assert_string_equal(read_thousands(text, 1234567), "1,234,567");
    assert_string_equal(read_thousands(text, -123), "-123");
    assert_string_equal(read_thousands(text, INT64_MIN), "-9,223,372,036,854,775,808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_every_part_and_no_markup_from_outside),
        cmocka_unit_test(what_was_not_looked_at_is_said_and_never_shown_as_none),
        cmocka_unit_test(the_same_report_gives_the_same_bytes),
        cmocka_unit_test(a_wrong_value_is_told_by_its_path),
        cmocka_unit_test(a_name_and_a_date_are_wanted),
        cmocka_unit_test(shares_never_round_to_none_or_all),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
