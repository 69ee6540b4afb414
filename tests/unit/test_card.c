/* test_card.c - the documents of an audit: what stands in them, what a report must be, that nothing from outside becomes markup. */
#include <sys/wait.h>
#include "../test.h"
#include "page_check.h"
#include "base/tree.h"
#include "card/card.h"
#include "card/croissant_check.h"
#include "card/mark.h"
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
                                        "broken &amp; &lt;b&gt;.csv", "&lt;script&gt;alert(1)&lt;/script&gt;", "gpt3_13gram", "AKIA****", "cf the tram", "she <span class=\"soft\">110</span>", "Not mentioned: gender/others", "likely", "Of 61 pairs that were compared as texts, 98.4 % have", "mean_word_length", "id=\"poison\"" };
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

static void what_was_given_up_is_said_wherever_none_was_found(void **state)
{
    (void)state;
    json_t *r = report();
    json_object_set_new(r, "secrets", json_pack("{s:i, s:{}, s:{s:i, s:i}}", "n", 0, "rules", "given_up", "n", 3, "records", 2));
    json_object_set_new(r, "pii", json_pack("{s:i, s:i, s:{}, s:{s:i, s:i}}", "tokens", 9, "per_million", 0, "entities", "given_up", "n", 1, "records", 1));
    OK(card_write(r, &opts, test_dir, NULL, &err));
    assert_null(page_bad(content("report.html")));
    static const char *const files[] = { "report.html", "README.md", "datasheet.md" };
    for (size_t i = 0; i < 3; i++)
        if (!strstr(content(files[i]), "Patterns came to their limits in 3 places of 2 records") || !strstr(content(files[i]), "Patterns came to their limits in 1 place of 1 records"))
            fail_msg("%s does not tell", files[i]);
    assert_non_null(strstr(content("cyclonedx.json"), "secrets: in 3 places of 2 records"));
    assert_non_null(strstr(content("cyclonedx.json"), "personal data: in 1 places of 1 records"));
    json_decref(r);
}

/* ---- the same bytes ---- */

static void the_same_report_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const names[] = { "report.html", "report.json", "datasheet.md", "README.md", "questions.yaml", "croissant.json", "spdx.json", "cyclonedx.json" };
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
        { "sources/1/name", "\"stories\"", "report.json: sources[1].name: found 'stories', expected a name that no other source has" },
        { "sources/1/name", "\"\"", "report.json: sources[1].name: found '', expected a name that no other source has" },
        { "sources/1/origin", "\"a\\u0000b\"", "report.json: sources[1].origin: found a string with a NUL, expected a string" },
        { "schema", "2", "report.json: schema: found 2, expected 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *r = report(), *o = r;
        char path[100];
        strcpy(path, cases[i].at);
        char *save, *step = strtok_r(path, "/", &save), *next;
        for (; (next = strtok_r(NULL, "/", &save)); step = next)
            o = json_is_array(o) ? json_array_get(o, (size_t)atoi(step)) : json_object_get(o, step);
        assert_int_equal(json_object_set_new(o, step, json_loads(cases[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)), 0);
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
    static const char *const names[] = { "a\xff", "a\nb", "" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        o.name = names[i];
        assert_int_equal(card_write(r, &o, test_dir, NULL, &err), ERR_USAGE);
    }
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

/* ---- questions ---- */

static json_t *about(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "about.description", "Tales & <facts> of \"three\" sources.", "about.creator", "Person: Ada", "about.url", "https://example.org/tales",
                     "about.download", "https://example.org/tales.zip", "about.version", "1.2.3", "about.published", "2026-11-30", "about.licence", "CC-BY-NC-4.0", "about.citation", "Ada: Tales.",
                     "motivation.funding", "* nobody *\n# at all", "maintenance.who", "");
}

static void what_nobody_knows_is_open_and_what_is_answered_is_told(void **state)
{
    (void)state;
    json_t *r = report(), *a = about();
    struct card_opts o = opts;
    struct card_result got, more;
    OK(card_write(r, &o, test_dir, &got, &err));
    assert_int_equal(got.n_question, 65);
    assert_non_null(strstr(content("datasheet.md"), "### 3. Who funded its creation? Which grant, by name and number?\n\n**Open**: `motivation.funding`\n"));
    assert_non_null(strstr(content("datasheet.md"), "### 57. "));
    assert_null(strstr(content("datasheet.md"), "### 58. "));
    assert_non_null(strstr(content("croissant.json"), "EMAIL_ADDRESS: 412"));
    assert_non_null(strstr(content("croissant.json"), "gender/women: 120 mentions in 100 records"));
    assert_non_null(strstr(content("datasheet.md"), "- stories: ham (900), spam (100)\n"));
    assert_null(strstr(content("croissant.json"), "\"license\""));
    assert_non_null(strstr(content("spdx.json"), "The dataset profile is not claimed"));
    o.answers = a;
    OK(card_write(r, &o, test_dir, &more, &err));
    assert_int_equal(more.n_open, got.n_open - 9);
    assert_non_null(strstr(content("datasheet.md"), "**Answer.** \\* nobody \\*\n\\# at all\n"));
    assert_non_null(strstr(content("README.md"), "license: cc-by-nc-4.0\n"));
    assert_non_null(strstr(content("README.md"), "Tales &amp; &lt;facts&gt; of \"three\" sources."));
    assert_non_null(strstr(content("croissant.json"), "https://spdx.org/licenses/CC-BY-NC-4.0.html"));
    assert_null(strstr(content("spdx.json"), "not claimed"));
    assert_non_null(strstr(content("cyclonedx.json"), "\"version\": \"1.2.3\""));
    json_decref(r), json_decref(a);
}

/* What is filled in is read back, and stays. */
static void questions_are_filled_in_where_they_stand(void **state)
{
    (void)state;
    json_t *r = report(), *a = about(), *back;
    struct card_opts o = opts;
    o.answers = a;
    OK(card_write(r, &o, test_dir, NULL, &err));
    OK(tree_load(&back, in_dir("questions.yaml"), 1 << 20, &err));
    const char *key;
    json_t *v;
    json_object_foreach(a, key, v)
        assert_string_equal(json_string_value(json_object_get(back, key)), json_string_value(v));
    assert_string_equal(json_string_value(json_object_get(back, "collection.ethics")), "");
    assert_null(json_object_get(back, "composition.count"));
    char *first = strdup(content("datasheet.md"));
    o.answers = back;
    OK(card_write(r, &o, test_dir, NULL, &err));
    assert_string_equal(content("datasheet.md"), first);
    free(first), json_decref(r), json_decref(a), json_decref(back);
}

static void a_wrong_answer_is_told(void **state)
{
    (void)state;
    static const struct { const char *id, *value, *told; } cases[] = {
        { "about.craetor", "x", "questions.yaml: found 'about.craetor', expected the name of a question, perhaps 'about.creator'" },
        { "about.creator", "Ada", "questions.yaml: about.creator: found 'Ada', expected 'Organization: NAME' or 'Person: NAME'" },
        { "about.version", "1.2", "questions.yaml: about.version: found '1.2', expected MAJOR.MINOR.PATCH" },
        { "about.version", "1.02.0", "questions.yaml: about.version: found '1.02.0', expected MAJOR.MINOR.PATCH" },
        { "about.url", "javascript:x", "questions.yaml: about.url: found 'javascript:x', expected a URL with http or https" },
        { "about.published", "2026-02-30", "questions.yaml: about.published: found '2026-02-30', expected YYYY-MM-DD" },
    };
    json_t *r = report();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct card_opts o = opts;
        json_t *a = json_pack("{s:s}", cases[i].id, cases[i].value);
        o.answers = a;
        assert_int_equal(card_write(r, &o, test_dir, NULL, &err), ERR_FORMAT);
        assert_string_equal(err.msg, cases[i].told);
        json_decref(a);
    }
    json_decref(r);
}

static void text_from_outside_is_no_markdown_and_no_yaml(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    OK(md_text(&b, "- <b>*x*</b>\n[a](b)|`c`", &err));
    assert_string_equal(b.data, "\\- &lt;b&gt;\\*x\\*&lt;/b&gt; \\[a\\](b)\\|\\`c\\`");
    buf_clear(&b);
    OK(md_text(&b, "12. x", &err));
    assert_string_equal(b.data, "12\\. x");
    buf_clear(&b);
    OK(md_lines(&b, "one:\n- a\n- b\nrest", &err));
    assert_string_equal(b.data, "one:\n\n- a\n- b\n\nrest\n");
    buf_clear(&b);
    OK(yaml_text(&b, "a\"\\\n\x7f\xc3\xa9\xef\xbb\xbf\xf0\x9f\x98\x80\xff", &err));
    assert_string_equal(b.data, "\"a\\\"\\\\\\u000a\\u007f\xc3\xa9\\ufeff\xf0\x9f\x98\x80\\ufffd\"");
    buf_release(&b);
}

/* A licence that no data.yaml states may stand in files beside the data. */
static void licences_that_were_found_count(void **state)
{
    (void)state;
    json_t *r = report();
    json_object_set_new(json_array_get(json_object_get(json_object_get(r, "licences"), "sources"), 2), "expression", json_string("CC-BY-4.0"));
    OK(card_write(r, &opts, test_dir, NULL, &err));
    assert_non_null(strstr(content("report.html"), "CC-BY-4.0 <span class=\"soft\">(found in files)</span>"));
    assert_non_null(strstr(content("README.md"), "license_name: \"CC-BY-4.0 AND (CC-BY-NC-4.0 OR MIT)\"\n"));
    assert_non_null(strstr(content("cyclonedx.json"), "\"acknowledgement\": \"concluded\""));
    json_decref(r);
}

/* ---- what other programs say ---- */

/* Runs tools/check_card.py; LATHE_PYTHON: the Python that has the programs.  0: yes; MISSING: the program is not here, which it says. */
enum { MISSING = 77 };
static int checked(const char *format, const char *schemas, char *said, size_t n)
{
    const char *python = getenv("LATHE_PYTHON");
    char command[2000];
    snprintf(command, sizeof command, "'%s' tools/check_card.py '%s' %s %s 2>&1", python ? python : "python3", test_dir, format, schemas ? schemas : "");
    FILE *f = popen(command, "r");
    assert_non_null(f);
    said[fread(said, 1, n - 1, f)] = 0;
    const int rc = pclose(f);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static void accepted(const char *format, const char *schemas)
{
    json_t *r = report(), *a = about(), *files = json_pack("[{s:s, s:i, s:s, s:s, s:[s, s]}, {s:s, s:i, s:s, s:s}]", "path", "train/part 0.jsonl", "bytes", 7, "sha256",
                                                           "00000000000000000000000000000000000000000000000000000000000000aa", "split", "train", "fields", "text", "it's", "path", "test/part-0.jsonl.zst", "bytes", 9,
                                                           "sha256", "00000000000000000000000000000000000000000000000000000000000000bb", "split", "test");
    assert_non_null(files);
    char said[4000] = "";
    int rc = 0;
    for (int i = 0; i < 3 && !rc; i++) {
        struct card_opts o = opts;
        o.answers = i ? a : NULL;
        o.files = i == 2 ? files : NULL;
        OK(card_write(r, &o, test_dir, NULL, &err));
        rc = checked(format, schemas, said, sizeof said);
    }
    json_decref(r), json_decref(a), json_decref(files);
    if (rc == MISSING) {
        print_message("%s", said);
        skip();
    }
    if (rc || strstr(said, "warning"))
        fail_msg("%s", said);
}

static void mlcroissant_accepts_croissant(void **state) { (void)state, accepted("croissant", NULL); }
static void the_schema_accepts_cyclonedx(void **state) { (void)state, accepted("cyclonedx", shared("governance-schemas")); }
static void the_model_accepts_spdx(void **state) { (void)state, accepted("spdx", NULL); }

/* ---- Croissant of others ---- */

static int check_of(const char *path)
{
    json_t *doc;
    OK(tree_load(&doc, path, 1 << 20, &err));
    const int rc = croissant_check(doc, "m", &err);
    json_decref(doc);
    return rc;
}

static void real_croissant_is_accepted(void **state)
{
    (void)state;
    const char *dir = shared("governance-croissant/examples");
    char **names, root[500];
    int n, n_seen = 0;
    snprintf(root, sizeof root, "%s", dir);
    OK(file_list(root, &names, &n, &err));
    for (int i = 0; i < n; i++)
        if (file_name_ends(names[i], ".json")) {
            n_seen++;
            OK(check_of(path_in(root, names[i])));
        }
    file_list_free(names, n);
    assert_int_equal(n_seen, 13);
}

/* The documents that mlcroissant's tests refuse, each for the property that their expected output speaks of. */
static void bad_croissant_is_refused_for_the_property_that_is_bad(void **state)
{
    (void)state;
    static const struct { const char *name, *property; } cases[] = {
        { "0.8/distribution_bad_contained_in", "distribution[0].containedIn" }, { "0.8/distribution_bad_type", "distribution[0].@type" },
        { "0.8/distribution_missing_encoding_format", "distribution[0].encodingFormat" }, { "0.8/distribution_missing_name", "distribution[0].name" },
        { "0.8/distribution_missing_property_content_url", "distribution[0].contentUrl" }, { "0.8/metadata_bad_type", "@type" }, { "0.8/metadata_missing_property_name", "name" },
        { "0.8/mlfield_bad_source", "recordSet[0].field[0].distribution" }, { "0.8/mlfield_bad_type", "recordSet[0].field[0].@type" },
        { "0.8/mlfield_missing_property_name", "recordSet[0].field[0].name" }, { "0.8/mlfield_missing_source", "recordSet[0].field[0].source" }, { "0.8/recordset_bad_type", "recordSet[0].@type" },
        { "0.8/recordset_missing_context_for_datatype", "recordSet[0].field[0].dataType" }, { "0.8/recordset_missing_property_name", "recordSet[0].name" }, { "0.8/recordset_wrong_join", "recordSet[0].field" },
        { "1.0/distribution_bad_contained_in", "distribution[0].containedIn" }, { "1.0/distribution_bad_id", "distribution[0].@id" }, { "1.0/distribution_bad_type", "distribution[0].@type" },
        { "1.0/distribution_missing_encoding_format", "distribution[0].encodingFormat" }, { "1.0/distribution_missing_property_content_url", "distribution[0].contentUrl" },
        { "1.0/metadata_bad_type", "@type" }, { "1.0/mlfield_bad_source", "recordSet[0].field[0].fileObject" }, { "1.0/mlfield_bad_type", "recordSet[0].field[0].@type" },
        { "1.0/mlfield_missing_source", "recordSet[0].field[0].source" }, { "1.0/recordset_bad_type", "recordSet[0].@type" },
        { "1.0/recordset_missing_context_for_datatype", "recordSet[0].field[0].dataType" }, { "1.0/recordset_wrong_join", "recordSet[0].field" },
        { "1.1/mlfield_bad_array_definition", "recordSet[0].field[0].arrayShape" }, { "1.1/mlfield_bad_array_shape", "recordSet[0].field[0].arrayShape" },
        { "1.1/multilingual_fields", "distribution[0].description" },
    };
    char root[500], name[200], told[300];
    snprintf(root, sizeof root, "%s", shared("governance-croissant/tests"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(name, sizeof name, "%s/metadata.json", cases[i].name);
        snprintf(told, sizeof told, "m: %s: ", cases[i].property);
        if (check_of(path_in(root, name)) != ERR_FORMAT || strncmp(err.msg, told, strlen(told)))
            fail_msg("%s: '%s', expected '%s..'", cases[i].name, err.msg, told);
    }
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
        cmocka_unit_test(what_was_given_up_is_said_wherever_none_was_found), cmocka_unit_test(the_same_report_gives_the_same_bytes),
        cmocka_unit_test(a_wrong_value_is_told_by_its_path),
        cmocka_unit_test(a_name_and_a_date_are_wanted),
        cmocka_unit_test(what_nobody_knows_is_open_and_what_is_answered_is_told),
        cmocka_unit_test(questions_are_filled_in_where_they_stand),
        cmocka_unit_test(a_wrong_answer_is_told),
        cmocka_unit_test(text_from_outside_is_no_markdown_and_no_yaml),
        cmocka_unit_test(licences_that_were_found_count),
        cmocka_unit_test(real_croissant_is_accepted),
        cmocka_unit_test(bad_croissant_is_refused_for_the_property_that_is_bad),
        cmocka_unit_test(mlcroissant_accepts_croissant),
        cmocka_unit_test(the_schema_accepts_cyclonedx),
        cmocka_unit_test(the_model_accepts_spdx),
        cmocka_unit_test(shares_never_round_to_none_or_all),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
