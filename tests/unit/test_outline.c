/* test_outline.c - documents about a version: what is evidence stands in its section, what is not is open, and any JSON is taken. */
#include "../test.h"
#include "base/tree.h"
#include "card/read.h"
#include "report/outline.h"

static struct err err;

static json_t *parsed(const char *text)
{
    json_t *o;
    OK(tree_parse_json(&o, text, strlen(text), "test", &err));
    return o;
}

#define ROOT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const char version[] = "{\"name\": \"m\", \"number\": 3, \"root\": \"" ROOT "\", \"t\": \"2026-11-27T00:00:00Z\", \"actor\": \"ann\", \"reason\": \"why\", \"bytes\": 12,"
                              "\"files\": [{\"name\": \"run.json\", \"sha256\": \"" ROOT "\", \"bytes\": 5}, {\"name\": \"m.gguf\", \"sha256\": \"" ROOT "\", \"bytes\": 7}],"
                              "\"facts\": {\"family\": \"llama\", \"parameters\": 7, \"license\": \"MIT\"}, \"parents\": [{\"parent\": \"texts@1\", \"role\": \"data\"}, {\"parent\": \"b@2\", \"role\": \"base\"}],"
                              "\"evidence\": [{\"blob\": \"" ROOT "\", \"file\": \"model.sig\", \"kind\": \"signature\", \"t\": \"then\"}]}";
static const char history[] = "[{\"seq\": 2, \"t\": \"then\", \"action\": \"promote\", \"actor\": \"bob\", \"number\": 3, \"alias\": \"production\", \"reason\": \"<b>go</b>\", \"hash\": \"" ROOT "\"},"
                              "{\"seq\": 1, \"t\": \"then\", \"action\": \"add\", \"actor\": \"ann\", \"number\": 3, \"hash\": \"" ROOT "\"}]";
static const char report[] = "{\"models\": [], \"files\": [{\"file\": \"bias_1.json\", \"sha256\": \"" ROOT "\", \"kind\": \"bias\", \"date\": 1764201600.5}, {\"file\": \"ood_1.json\", \"error\": \"it ends too soon\"}],"
                             "\"figures\": [{\"kind\": \"bias\", \"file\": 0, \"name\": \"gap\", \"of\": \"women\", \"value\": 0.25, \"low\": 0.1, \"high\": 0.4, \"n\": 9}]}";
static const char audits[] = "[{\"file\": \"audit-1.json\", \"sha256\": \"" ROOT "\", \"report\": {\"totals\": {\"records\": 10, \"kept\": 8}, \"gate\": {\"passed\": false},"
                             "\"pii\": {\"entities\": {\"EMAIL_ADDRESS\": {\"n\": 4}}}, \"licences\": {\"sources\": [{\"source\": \"s\", \"expression\": \"MIT\", \"allowed\": true}]}}}]";

static struct outline_of all_of_it(void) { return (struct outline_of){ .version = parsed(version), .history = parsed(history), .report = parsed(report), .audits = parsed(audits) }; }

static void let_go(struct outline_of *of)
{
    json_decref(read_open(of->version)), json_decref(read_open(of->history)), json_decref(read_open(of->report)), json_decref(read_open(of->audits));
}

/* The evidence of a section, one line after the other. */
static const char *evidence(const json_t *outline, const char *id)
{
    static char text[4000];
    size_t i, j;
    json_t *s, *e;
    *text = 0;
    json_array_foreach(json_object_get(outline, "sections"), i, s)
        if (!strcmp(read_str(s, "id"), id)) {
            json_array_foreach(json_object_get(s, "evidence"), j, e)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", read_str(e, "what"));
            assert_string_equal(read_str(s, "status"), *text ? "evidence" : "open");
            assert_non_null(read_str(s, "open"));
            return text;
        }
    fail_msg("there is no section %s", id);
    return NULL;
}

static void each_section_has_its_evidence(void **state)
{
    (void)state;
    struct outline_of of = all_of_it();
    json_t *o;
    OK(outline_make(&o, OUTLINE_ANNEX_IV, &of, &err));
    assert_string_equal(read_str(o, "version"), "m@3");
    assert_non_null(strstr(evidence(o, "1(a)"), "m@3, root " ROOT ", added 2026-11-27T00:00:00Z by ann; reason: why"));
    assert_non_null(strstr(evidence(o, "1(a)"), "record 2, then: promote of version 3 for production by bob, because: <b>go</b>"));
    assert_string_equal(evidence(o, "1(b)"), "");
    assert_non_null(strstr(evidence(o, "2(a)"), "made from texts@1 (data)"));
    assert_non_null(strstr(evidence(o, "2(b)"), "family llama, parameters 7, license MIT"));
    assert_string_equal(evidence(o, "2(d)"), "made from texts@1 (data)\nmade from b@2 (base)\nan audit of 10 records, of which 8 were kept; its gate said no\nsource s: licence MIT\n");
    assert_non_null(strstr(evidence(o, "2(h)"), "a signature of its files, kept since then"));
    assert_string_equal(evidence(o, "3"), "bias: gap, women: 0.2500 (0.1000 to 0.4000)\n");
    json_decref(o);
    OK(outline_make(&o, OUTLINE_GDPR, &of, &err));
    assert_string_equal(evidence(o, "30(1)(c)"), "personal data that the audit's patterns found: EMAIL_ADDRESS 4;\n");
    assert_string_equal(evidence(o, "30(1)(e)"), "");
    json_decref(o);
    OK(outline_make(&o, OUTLINE_RMF, &of, &err));
    assert_string_equal(evidence(o, "GOVERN 2"), "bob made 1 of the journal's records\nann made 1 of the journal's records\n");
    json_decref(o);
    let_go(&of);
}

static void tests_have_their_date_and_what_was_not_read_is_said(void **state)
{
    (void)state;
    struct outline_of of = all_of_it();
    json_t *o;
    OK(outline_make(&o, OUTLINE_ANNEX_IV, &of, &err));
    assert_non_null(strstr(evidence(o, "2(g)"), "bias of 2025-11-27 00:00 UTC\nnot read: it ends too soon\n"));
    json_decref(o);
    let_go(&of);
}

static void what_is_too_much_for_a_section_is_counted(void **state)
{
    (void)state;
    struct outline_of of = all_of_it();
    json_t *sources = json_array(), *o;
    for (int i = 0; i < 30; i++)
        json_array_append_new(sources, json_pack("{s:s, s:s}", "source", "s", "expression", "MIT"));
    json_object_set_new(json_object_get(json_object_get(json_array_get(of.audits, 0), "report"), "licences"), "sources", sources);
    OK(outline_make(&o, OUTLINE_ANNEX_IV, &of, &err));
    assert_non_null(strstr(evidence(o, "2(d)"), "source s: licence MIT\nand 18 more\n"));
    json_decref(o);
    let_go(&of);
}

/* As long as the journal takes it, and of letters of two bytes: whole, wherever a buffer would have ended. */
static void a_long_reason_stands_there_whole(void **state)
{
    (void)state;
    struct outline_of of = all_of_it();
    char reason[1001] = "";
    for (int i = 0; i < 500; i++)
        strcat(reason, "ж");
    json_object_set_new(json_array_get(of.history, 0), "reason", json_string(reason));
    json_object_set_new(read_open(of.version), "reason", json_string(reason));
    json_t *o;
    OK(outline_make(&o, OUTLINE_ANNEX_IV, &of, &err));
    const char *at = strstr(evidence(o, "1(a)"), reason);
    assert_non_null(at);
    assert_non_null(strstr(at + 1, reason));
    json_decref(o);
    let_go(&of);
}

static void a_page_has_no_markup_of_others(void **state)
{
    (void)state;
    struct outline_of of = all_of_it();
    json_t *o;
    struct buf b;
    buf_init(&b);
    OK(outline_make(&o, OUTLINE_RMF, &of, &err));
    OK(outline_page(o, &b, &err));
    assert_null(strstr(b.data, "<b>go"));
    assert_non_null(strstr(b.data, "&lt;b&gt;go"));
    buf_clear(&b);
    OK(outline_text(o, &b, &err));
    assert_non_null(strstr(b.data, "## MANAGE 2"));
    assert_null(strstr(b.data, "<b>go"));
    json_decref(o);
    buf_release(&b);
    let_go(&of);
}

static void a_bill_has_the_model_its_files_and_figures(void **state)
{
    (void)state;
    struct outline_of of = all_of_it();
    struct buf b;
    buf_init(&b);
    OK(outline_bom(&of, &b, &err));
    json_t *o = parsed(b.data);
    assert_string_equal(read_str(o, "serialNumber"), "urn:uuid:01234567-89ab-8def-8123-456789abcdef");
    const json_t *m = read_at(o, "metadata.component");
    assert_string_equal(read_str(m, "type"), "machine-learning-model");
    assert_string_equal(read_str(m, "version"), "3");
    assert_int_equal(json_array_size(json_object_get(m, "components")), 2);
    assert_non_null(strstr(b.data, "\"lathe:license\",\n"));
    const json_t *metric = json_array_get(read_at(m, "modelCard.quantitativeAnalysis.performanceMetrics"), 0);
    assert_string_equal(read_str(metric, "value"), "0.25");
    assert_string_equal(read_str(metric, "confidenceInterval.upperBound"), "0.4");
    assert_string_equal(read_str(json_array_get(read_at(m, "modelCard.modelParameters.datasets"), 0), "name"), "texts@1");
    assert_int_equal(json_array_size(json_object_get(json_array_get(json_object_get(o, "dependencies"), 0), "dependsOn")), 2);
    json_decref(o);
    buf_release(&b);
    let_go(&of);
}

/* Each value of a tree in turn is something else. */
static void anything_may_be_missing_or_wrong(void **state)
{
    (void)state;
    static const char *const odd[] = { "null", "[]", "{}", "\"x\"", "7", "[null, 3, \"y\", {\"n\": []}]", "{\"files\": 3, \"facts\": [], \"parents\": {\"a\": 1}, \"evidence\": [[]]}" };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (int k = 0; k < N_OUTLINE; k++) {
            json_t *v = json_loads(odd[i], JSON_DECODE_ANY, NULL), *o;
            const struct outline_of of = { .version = v, .history = v, .report = v, .audits = v };
            struct buf b;
            buf_init(&b);
            OK(outline_make(&o, (enum outline_kind)k, &of, &err));
            OK(outline_text(o, &b, &err));
            OK(outline_page(o, &b, &err));
            assert_int_equal(outline_bom(&of, &b, &err), ERR_FORMAT);
            json_decref(o), json_decref(v);
            buf_release(&b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_section_has_its_evidence),
        cmocka_unit_test(tests_have_their_date_and_what_was_not_read_is_said),
        cmocka_unit_test(what_is_too_much_for_a_section_is_counted),
        cmocka_unit_test(a_long_reason_stands_there_whole),
        cmocka_unit_test(a_page_has_no_markup_of_others),
        cmocka_unit_test(a_bill_has_the_model_its_files_and_figures),
        cmocka_unit_test(anything_may_be_missing_or_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
