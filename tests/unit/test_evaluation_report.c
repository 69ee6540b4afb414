/* test_evaluation_report.c - evaluations of a folder put together: which figures count, the page, the model card, the evidence for NIST's framework; files that
 * are something else, names that look like markup.  tests/golden/report is made by tools/golden/report.py. */
#include <math.h>
#include <sys/wait.h>
#include "../test.h"
#include "page_check.h"
#include "base/mem.h"
#include "base/tree.h"
#include "card/read.h"
#include "eval/evidence.h"
#include "report/card.h"
#include "report/nist.h"
#include "report/report.h"

static struct err err;

static json_t *report_of(const char *folder)
{
    json_t *files, *r;
    OK(evidence_files(&files, folder, &err));
    OK(report_make(&r, files, &err));
    json_decref(files);
    return r;
}

static json_t *golden(void) { return report_of("tests/golden/report"); }

/* Of files that are given as JSON. */
static json_t *report_from(const char *json)
{
    json_t *files, *r;
    OK(tree_parse_json(&files, json, strlen(json), "files", &err));
    OK(report_make(&r, files, &err));
    json_decref(files);
    return r;
}

static const json_t *figure(const json_t *r, const char *kind, const char *name, const char *of, int *n)
{
    const json_t *found = NULL, *f;
    size_t i;
    *n = 0;
    json_array_foreach(json_object_get(r, "figures"), i, f)
        if (!strcmp(read_str(f, "kind"), kind) && !strcmp(read_str(f, "name"), name) && (of ? read_str(f, "of") && !strcmp(read_str(f, "of"), of) :
                                                                                         !read_str(f, "of")))
            found = f, ++*n;
    return found;
}

static void page_of(const json_t *r, struct buf *b)
{
    buf_init(b);
    OK(report_page(r, "tiny <&>", b, &err));
    const char *bad = page_bad(b->data);
    if (bad)
        fail_msg("not a page of ours from here on: %.120s", bad);
}

static void card_of(const struct card_of_model *c, struct buf *b, json_t **front)
{
    buf_init(b);
    OK(report_card(c, b, &err));
    assert_int_equal(strncmp(b->data, "---\n", 4), 0);
    const char *end = strstr(b->data, "\n---\n");
    assert_non_null(end);
    OK(tree_parse_yaml(front, b->data + 4, (size_t)(end - b->data) - 3, "README.md", &err));
}

static void near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

/* ---- what counts ---- */

static void the_newest_figure_of_a_model_counts(void **state)
{
    (void)state;
    int n;
    json_t *r = golden();
    const json_t *f = figure(r, "tasks", "acc", "hellaswag", &n);
    assert_int_equal(n, 1);
    near(read_number(f, "value"), 0.45);
    near(read_number(f, "low"), 0.39);
    assert_int_equal(read_count(f, "n"), 100);
    assert_int_equal(read_count(f, "shots"), 10);
    assert_string_equal(read_str(f, "better"), "higher");
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(r, "files"), 0), "replaced")));
    assert_true(json_is_false(json_object_get(json_array_get(json_object_get(r, "files"), 1), "replaced")));
    assert_int_equal(json_array_size(json_object_get(r, "models")), 2);
    f = figure(r, "tasks", "acc", "mmlu", &n);
    assert_int_equal(n, 1);
    near(read_number(f, "high"), 0.34);
    json_decref(r);
}

static void figures_of_other_shots_or_models_stay(void **state)
{
    (void)state;
    static const char one[] = "{\"file\": \"a\", \"evidence\": {\"kind\": \"tasks\", \"date\": %d, \"results\": {\"model_name\": \"%s\", \"n-shot\": "
                            "{\"t\": %d}, \"results\": {\"t\": {\"acc,none\": 0.5}}}}}";
    char all[2000] = "[";
    const struct { const char *model; int shots; } run[] = { { "m", 0 }, { "m", 5 }, { "k", 0 }, { "m", 0 } };
    for (int i = 0; i < 4; i++) {
        char s[400];
        snprintf(s, sizeof s, one, i, run[i].model, run[i].shots);
        strcat(strcat(all, i ? "," : ""), s);
    }
    json_t *r = report_from(strcat(all, "]"));
    assert_int_equal(json_array_size(json_object_get(r, "figures")), 3);
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(r, "files"), 0), "replaced")));
    json_decref(r);
}

/* The same base: alone, with adapters, and with them as lm-evaluation-harness's layout says it. */
static void a_base_with_adapters_is_a_model_of_its_own(void **state)
{
    (void)state;
    static const char files[] =
        "[{\"file\": \"a\", \"evidence\": {\"kind\": \"injections\", \"model\": \"m/base\", \"model_sha256\": \"00\", \"date\": 1, \"figures\": [{\"name\": \"rate\", \"value\": 0.25, \"n\": 4}]}},"
        " {\"file\": \"b\", \"evidence\": {\"kind\": \"injections\", \"model\": \"m/base\", \"model_sha256\": \"00\", \"adapter\": \"m/mine\", \"adapter_sha256\": \"aa\", \"date\": 2, "
        "\"figures\": [{\"name\": \"rate\", \"value\": 0.75, \"n\": 4}]}},"
        " {\"file\": \"c\", \"evidence\": {\"kind\": \"tasks\", \"date\": 3, \"results\": {\"model_name\": \"m/base\", \"config\": {\"model_sha\": \"00\", \"peft_sha\": \"aa\"}, \"results\": {\"t\": {\"acc,none\": 0.5}}}}},"
        " {\"file\": \"d\", \"evidence\": {\"kind\": \"tasks\", \"date\": 4, \"results\": {\"model_name\": \"m/base\", \"config\": {\"model_sha\": \"00\"}, \"results\": {\"t\": {\"acc,none\": 0.25}}}}}]";
    static const int of[] = { 0, 1, 1, 0 };
    json_t *r = report_from(files), *file, *front;
    size_t i;
    struct buf b;
    assert_int_equal(json_array_size(json_object_get(r, "models")), 2);
    assert_int_equal(json_array_size(json_object_get(r, "figures")), 4);
    json_array_foreach(json_object_get(r, "files"), i, file)
        assert_int_equal(json_integer_value(json_object_get(file, "model")), of[i]);
    assert_string_equal(read_str(json_array_get(json_object_get(r, "models"), 1), "name"), "base with mine");
    page_of(r, &b);
    assert_non_null(strstr(b.data, "with the adapter aa"));
    buf_release(&b);
    for (int k = 0; k < 2; k++) {
        card_of(&(struct card_of_model){ r, k, NULL, NULL, NULL }, &b, &front);
        assert_true(!!strstr(b.data, "with the adapter m/mine, SHA-256 aa") == k);
        assert_true(!!strstr(b.data, "0.7500") == k && !!strstr(b.data, "0.2500") == !k);
        json_decref(front), buf_release(&b);
    }
    json_decref(r);
}

static void the_harness_own_results_have_intervals_of_their_standard_errors(void **state)
{
    (void)state;
    int n;
    json_t *r = report_from("[{\"file\": \"results_x.json\", \"sha256\": \"00\", \"evidence\": {\"kind\": \"tasks\", \"date\": 1, \"results\": {\"results\": "
                            "{\"piqa\": {\"alias\": \"piqa\", \"acc,none\": 0.7, "
                            "\"acc_stderr,none\": 0.01, \"exact,strict\": 0.5, \"exact_stderr,strict\": \"N/A\"}}, \"n-samples\": {\"piqa\": "
                            "{\"effective\": 1838}}, \"higher_is_better\": {\"piqa\": {\"acc\": true}}}}}]");
    const json_t *f = figure(r, "tasks", "acc", "piqa", &n);
    near(read_number(f, "low"), 0.7 - 1.96 * 0.01);
    assert_int_equal(read_count(f, "n"), 1838);
    f = figure(r, "tasks", "exact,strict", "piqa", &n);
    assert_int_equal(n, 1);
    assert_true(json_is_null(json_object_get(f, "low")));
    json_decref(r);
}

static void what_has_no_form_of_ours_is_passed_over_and_said(void **state)
{
    (void)state;
    struct buf b;
    json_t *r = golden();
    int n;
    page_of(r, &b);
    assert_non_null(strstr(b.data, "2 files could not be read"));
    assert_non_null(strstr(b.data, "found no &quot;figures&quot;"));
    assert_non_null(figure(r, "novel<i>kind", "wrong", "types", &n));
    assert_true(json_is_null(json_object_get(figure(r, "novel<i>kind", "wrong", "types", &n), "value")));
    buf_release(&b), json_decref(r);
    static const char *const odd[] = { "[]", "[3, \"a\", null, {}]", "[{\"evidence\": []}]",
                                      "[{\"file\": 1, \"evidence\": {\"kind\": [], \"figures\": {}}}]", "{}",
                                       "[{\"file\": \"a\", \"evidence\": {\"kind\": \"tasks\", \"results\": 3}}, {\"file\": \"b\", \"evidence\": {\"kind\": "
                            "\"images\", \"corruptions\": [1], \"ood\": 2}}]",
                                       "[{\"file\": \"a\", \"evidence\": {\"kind\": \"calibration\", \"date\": 1e308, \"metrics\": {\"a\": []}, "
                            "\"reliability\": [{\"n\": -1, \"low\": 2}], \"figures\": [null]}}]" };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        r = report_from(odd[i]);
        page_of(r, &b);
        buf_release(&b), json_decref(r);
    }
}

/* ---- the page ---- */

static void the_page_has_every_part_and_no_markup_from_outside(void **state)
{
    (void)state;
    static const char *const must[] = { "tiny &lt;&amp;&gt;", "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;", "The 2 below the groups", "Incomplete.", "stopped before its end",
                                       "2 items failed", "4 contexts were too long", "Miscalibrated.",
                                        "Reliability at temperature", "gaussian_noise", "color-mix", "Worst: <b class=\"bad\">religion</b>", "examples (1)",
                                        "acc by strength", "each item in the form that it does worst in: 0.2000", "no list was given",
                                        "nothing &lt;b&gt;found", "3000 bytes more",
                                            "wh_per_million_tokens", "replaced by newer",
                                        "lathe eval MODEL --membership", "Told apart from", "cut at the beginning" };
    struct buf b;
    json_t *r = golden();
    page_of(r, &b);
    for (size_t i = 0; i < sizeof must / sizeof *must; i++)
        if (!strstr(b.data, must[i]))
            fail_msg("the page has no '%s'", must[i]);
    for (const char *at = b.data; (at = strstr(at, "http")); at++)        /* of addresses the name of SVG alone, which nothing fetches */
        if (strncmp(at, "http-equiv", 10))
            assert_int_equal(strncmp(at - 7, "xmlns=\"http://www.w3.org/2000/svg\"", 34), 0);
    buf_release(&b), json_decref(r);
}

static void many_figures_and_long_texts_make_a_page_of_bounded_size(void **state)
{
    (void)state;
    struct buf b;
    json_t *figures = json_array(), *examples = json_array();
    char of[40], *text = mem_alloc(100001);
    memset(text, '<', 100000), text[100000] = 0;
    for (int i = 0; i < 20000; i++) {
        snprintf(of, sizeof of, "group %d", i);
        json_array_append_new(figures, json_pack("{s:s, s:s, s:f, s:i}", "name", i % 2 ? "accuracy" : of, "of", of, "value", i / 2e4, "n", i));
    }
    for (int i = 0; i < 100; i++)
        json_array_append_new(examples, json_pack("{s:i, s:s}", "item", i, "text", text));
    json_t *files = json_pack("[{s:s, s:{s:s, s:o, s:o}}]", "file", "a", "evidence", "kind", "bias", "figures", figures, "examples", examples), *r;
    assert_non_null(files);
    OK(report_make(&r, files, &err));
    page_of(r, &b);
    assert_true(b.len < 1 << 20);
    assert_non_null(strstr(b.data, "98000 bytes more in report.json"));
    buf_release(&b), json_decref(r), json_decref(files), mem_free(text);
}

/* ---- the model card ---- */

static void the_card_has_what_was_measured_and_names_what_is_open(void **state)
{
    (void)state;
    struct buf b;
    json_t *r = golden(), *front;
    card_of(&(struct card_of_model){ r, 0, NULL, NULL, NULL }, &b, &front);
    const json_t *index = json_array_get(json_object_get(front, "model-index"), 0), *results = json_object_get(index, "results");
    assert_int_equal(json_array_size(results), 5);          /* a group, four tasks; not the other model's */
    const json_t *first = json_array_get(results, 1);
    assert_string_equal(read_str(first, "dataset.type"), "Rowan/hellaswag");
    assert_string_equal(read_str(first, "dataset.split"), "validation");
    near(read_number(json_array_get(json_object_get(first, "metrics"), 0), "value"), 0.45);
    assert_null(json_object_get(front, "license"));
    assert_non_null(strstr(b.data, "**Open**: the licence of the weights"));
    assert_non_null(strstr(b.data, "**Open**: not measured were"));
    assert_null(strstr(b.data, "<script"));
    json_decref(front), buf_release(&b);
    card_of(&(struct card_of_model){ r, 1, NULL, NULL, NULL }, &b, &front);
    results = json_object_get(json_array_get(json_object_get(front, "model-index"), 0), "results");
    assert_int_equal(json_array_size(results), 1);
    assert_string_equal(read_str(json_array_get(results, 0), "task.type"), "image-classification");
    json_decref(front), buf_release(&b), json_decref(r);
}

static json_t *facts(const char *json)
{
    json_t *o;
    OK(tree_parse_json(&o, json, strlen(json), "facts", &err));
    return o;
}

static void what_a_person_said_stands_in_the_card(void **state)
{
    (void)state;
    struct buf b;
    json_t *r = golden(), *front, *f = facts("{\"license\": \"Apache-2.0\", \"base_model\": \"a/b\", \"datasets\": [\"x/y\"], \"intended_use\": \"For "
                                             "tests\\n- of <b>cards</b>\", \"name\": \"n: \\\"1\\\"\"}");
    json_t *data = facts("[{\"name\": \"my data\", \"license\": \"CC-BY-4.0\", \"sha256\": \"00\"}]");
    OK(card_facts_check(f, "facts", &err));
    card_of(&(struct card_of_model){ r, 0, f, data, NULL }, &b, &front);
    assert_string_equal(read_str(front, "license"), "apache-2.0");
    assert_string_equal(json_string_value(json_array_get(json_object_get(front, "base_model"), 0)), "a/b");
    assert_int_equal(json_array_size(json_object_get(front, "datasets")), 2);
    assert_string_equal(read_str(json_array_get(json_object_get(front, "model-index"), 0), "name"), "n: \"1\"");
    assert_non_null(strstr(b.data, "For tests\n\n- of &lt;b&gt;cards&lt;/b&gt;\n"));
    assert_null(strstr(b.data, "`intended_use`")), assert_null(strstr(b.data, "`license`"));
    json_decref(front), json_decref(f), json_decref(data), json_decref(r), buf_release(&b);
}

static void a_licence_that_the_hub_does_not_know_is_other(void **state)
{
    (void)state;
    static const struct { const char *said, *license, *name; } cases[] = { { "proprietary", "other", "proprietary" }, { "unknown-eula", "other", "unknown-eula" }, { "My licence", "other", "My licence" },
        { "llama3", "llama3", NULL }, { "openrail", "openrail", NULL }, { "GPL-3.0-only", "gpl-3.0", NULL }, { "unknown", "unknown", NULL } };
    json_t *r = golden();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        json_t *front, *f = json_pack("{s:s}", "license", cases[i].said);
        card_of(&(struct card_of_model){ r, 0, f, NULL, NULL }, &b, &front);
        assert_string_equal(read_str(front, "license"), cases[i].license);
        assert_true(cases[i].name ? !strcmp(read_str(front, "license_name"), cases[i].name) : !json_object_get(front, "license_name"));
        json_decref(front), json_decref(f), buf_release(&b);
    }
    json_decref(r);
}

static void facts_of_other_keys_or_types_are_errors(void **state)
{
    (void)state;
    static const struct { const char *json, *says; } bad[] = { { "{\"licence\": \"MIT\"}", "perhaps license" },
                                                              { "{\"license\": [\"MIT\"]}", "license: expected a text" },
                                                                  { "{\"tags\": " "[1]}", "tags: expected a text or a list" }, { "[]", "found no keys" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *f = facts(bad[i].json);
        assert_int_equal(card_facts_check(f, "facts", &err), ERR_FORMAT);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("found '%s', expected '%s' in it", err.msg, bad[i].says);
        json_decref(f);
    }
}

/* huggingface_hub reads it, and finds as many results.  LATHE_PYTHON: the Python that has it. */
static void the_hubs_own_reader_accepts_the_card(void **state)
{
    (void)state;
    enum { MISSING = 77 };
    const char *python = getenv("LATHE_PYTHON");
    struct buf b;
    json_t *r = golden(), *front, *f = facts("{\"license\": \"GPL-3.0-only\", \"base_model\": \"a/b\", \"datasets\": [\"x/y\"], \"language\": \"en\", "
                                             "\"tags\": [\"t: [\"]}");
    char command[2000], said[2000] = "";
    card_of(&(struct card_of_model){ r, 0, f, NULL, NULL }, &b, &front);
    OK(file_write_all(in_dir("README.md"), b.data, b.len, &err));
    snprintf(command, sizeof command, "'%s' tools/check_card.py '%s' hub 2>&1", python ? python : "python3", test_dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    said[fread(said, 1, sizeof said - 1, p)] = 0;
    const int rc = pclose(p);
    json_decref(front), json_decref(r), json_decref(f), buf_release(&b);
    if (WIFEXITED(rc) && WEXITSTATUS(rc) == MISSING) {
        print_message("%s", said);
        skip();
    }
    if (rc)
        fail_msg("%s", said);
}

/* ---- what was stopped ---- */

static const char *const ends[] = { "\"complete\": true", "\"complete\": false", "\"attacks\": [{\"complete\": true}, {\"complete\": false}]",
                                    "\"part\": {\"complete\": false}", "\"part\": {\"complete\": 0}, \"list\": [[], 1, null]" };
static const bool stopped[] = { false, true, true, true, false };

/* Images, as they would be in model-index; the same in the layout of tasks. */
static json_t *that_ended(const char *end, bool tasks)
{
    char s[600];
    static const char of_tasks[] = "[{\"file\": \"a\", \"sha256\": \"00\", \"evidence\": {\"kind\": \"tasks\", \"results\": {\"lathe\": {%s}, \"results\": "
                                   "{\"t\": {\"acc,none\": 0.6471}}, \"n-samples\": {\"t\": {\"effective\": 17}}}}}]";
    static const char of_images[] = "[{\"file\": \"a\", \"sha256\": \"00\", \"evidence\": {\"kind\": \"images\", %s, \"figures\": "
                                    "[{\"name\": \"accuracy\", \"value\": 0.6471, \"n\": 17}]}}]";
    snprintf(s, sizeof s, tasks ? of_tasks : of_images, end);
    return report_from(s);
}

static void is_said_to_be_stopped(const json_t *r, bool is)
{
    struct buf b;
    json_t *front, *nist;
    page_of(r, &b);
    assert_int_equal(strstr(b.data, "Incomplete.") != NULL, is);
    assert_int_equal(strstr(b.data, "</a> <b class=\"bad\">stopped before its end</b>") != NULL, is);
    buf_release(&b);
    card_of(&(struct card_of_model){ r, -1, NULL, NULL, NULL }, &b, &front);
    assert_int_equal(json_object_get(front, "model-index") == NULL, is);
    assert_int_equal(strstr(b.data, "| 17, stopped run |") != NULL, is);
    assert_int_equal(strstr(b.data, "**Incomplete**") != NULL, is);
    json_decref(front), buf_release(&b);
    OK(nist_make(&nist, r, &err));
    buf_init(&b);
    OK(nist_text(nist, &b, &err));
    assert_int_equal(strstr(b.data, "| 17, stopped run |") != NULL, is);
    buf_release(&b), json_decref(nist);
}

static void a_stopped_run_does_not_replace_a_whole_one(void **state)
{
    (void)state;
    static const char whole[] = "\"complete\": true", half[] = "\"complete\": false";
    for (int i = 0; i < 4; i++) {                            /* in which order, and which of them were stopped */
        char s[600];
        int n;
        snprintf(s, sizeof s, "[{\"file\": \"a\", \"evidence\": {\"kind\": \"images\", \"date\": 1, %s, \"figures\": [{\"name\": \"accuracy\", \"value\": 0.25}]}},"
                              "{\"file\": \"b\", \"evidence\": {\"kind\": \"images\", \"date\": 2, %s, \"figures\": [{\"name\": \"accuracy\", \"value\": 0.75}]}}]",
                 i & 1 ? half : whole, i & 2 ? half : whole);
        json_t *r = report_from(s);
        near(read_number(figure(r, "images", "accuracy", NULL, &n), "value"), i == 2 ? 0.25 : 0.75);
        assert_int_equal(n, 1);
        json_decref(r);
    }
}

static void what_was_stopped_is_said_everywhere_and_in_no_model_index(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        json_t *r = that_ended(ends[i], false);
        is_said_to_be_stopped(r, stopped[i]);
        json_decref(r);
    }
    for (size_t i = 0; i < 2; i++) {
        json_t *r = that_ended(ends[i], true);
        is_said_to_be_stopped(r, stopped[i]);
        json_decref(r);
    }
}

/* ---- NIST's framework ---- */

static const json_t *subcategory(const json_t *nist, const char *id)
{
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(nist, "subcategories"), i, s)
        if (!strcmp(read_str(s, "id"), id))
            return s;
    fail_msg("no %s", id);
    return NULL;
}

static void evidence_stands_where_it_was_measured_and_nothing_is_claimed(void **state)
{
    (void)state;
    static const struct { const char *id; size_t n; } must[] = { { "MEASURE 1.2", 0 }, { "MEASURE 2.2", 0 }, { "MEASURE 2.3", 6 }, { "MEASURE 2.6", 11 },
                                                                { "MEASURE 2.7", 12 }, { "MEASURE 2.9", 1 },
                                                                { "MEASURE 2.10", 0 }, { "MEASURE 2.11", 4 }, { "MEASURE 2.12", 1 }, { "MEASURE 4.3", 0 } };
    struct buf b;
    json_t *r = golden(), *nist, *s, *e;
    size_t i, j;
    OK(nist_make(&nist, r, &err));
    assert_int_equal(json_array_size(json_object_get(nist, "subcategories")), 22);
    for (i = 0; i < sizeof must / sizeof *must; i++) {
        const size_t n = json_array_size(json_object_get(subcategory(nist, must[i].id), "evidence"));
        if (n != must[i].n)
            fail_msg("%s: %zu pieces of evidence, expected %zu", must[i].id, n, must[i].n);
        assert_string_equal(read_str(subcategory(nist, must[i].id), "status"), n ? "evidence" : "open");
    }
    json_array_foreach(json_object_get(nist, "subcategories"), i, s) {
        assert_non_null(read_str(s, "open"));
        json_array_foreach(json_object_get(s, "evidence"), j, e)
            if (read_str(e, "name"))
                assert_int_equal(strlen(read_str(e, "sha256")), 64);
    }
    buf_init(&b);
    OK(nist_text(nist, &b, &err));
    assert_non_null(strstr(b.data, "bias: accuracy, religion - by group | 0.4100 (0.3100 to 0.5100) | 50, stopped run | bias\\_2026"));
    assert_null(strstr(b.data, "<script"));
    buf_release(&b), json_decref(nist), json_decref(r);
    r = report_from("[{\"file\": \"a\", \"evidence\": {\"kind\": \"speed\", \"figures\": "
                    "[{\"name\": \"energy_wh_per_1m_total_tokens\", \"value\": null, \"n\": 3}]}}]");
    OK(nist_make(&nist, r, &err));
    assert_string_equal(read_str(subcategory(nist, "MEASURE 2.12"), "status"), "open");
    json_decref(nist), json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_figure_of_a_model_counts),
        cmocka_unit_test(figures_of_other_shots_or_models_stay),
        cmocka_unit_test(a_base_with_adapters_is_a_model_of_its_own),
        cmocka_unit_test(the_harness_own_results_have_intervals_of_their_standard_errors),
        cmocka_unit_test(what_has_no_form_of_ours_is_passed_over_and_said),
        cmocka_unit_test(the_page_has_every_part_and_no_markup_from_outside),
        cmocka_unit_test(many_figures_and_long_texts_make_a_page_of_bounded_size),
        cmocka_unit_test(the_card_has_what_was_measured_and_names_what_is_open),
        cmocka_unit_test(what_a_person_said_stands_in_the_card),
        cmocka_unit_test(a_licence_that_the_hub_does_not_know_is_other),
        cmocka_unit_test(facts_of_other_keys_or_types_are_errors),
        cmocka_unit_test(the_hubs_own_reader_accepts_the_card),
        cmocka_unit_test(a_stopped_run_does_not_replace_a_whole_one),
        cmocka_unit_test(what_was_stopped_is_said_everywhere_and_in_no_model_index),
        cmocka_unit_test(evidence_stands_where_it_was_measured_and_nothing_is_claimed),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
