/* What an evaluation found: written, read back, and the files that are none of it. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "eval/evidence.h"

static struct err err;

static json_t *made(const char *kind, double date)
{
    json_t *o;
    OK(evidence_new(&o, kind, "m.gguf", "00ff", 7, &err));
    json_object_set_new(o, "date", json_real(date));
    OK(evidence_figure(o, &(struct evidence_figure){ "accuracy", "sst2", 0.75, 0.5, NAN, 8, EVIDENCE_HIGHER, NULL }, &err));
    return o;
}

static void dates_are_pythons(void **state)
{
    (void)state;
    char d[40];
    evidence_date(0, d);
    assert_string_equal(d, "1970-01-01T00-00-00.000000");
    evidence_date(1764191667.25, d);                       /* datetime.fromtimestamp(1764191667.25, timezone.utc) */
    assert_string_equal(d, "2025-11-26T21-14-27.250000");
}

static void what_is_written_is_read_back_in_order(void **state)
{
    (void)state;
    const char *dir = in_dir("found");
    json_t *late = made("robustness", 2000.5), *early = made("bias", 1000), *all;
    char *path = NULL;
    OK(evidence_write(late, dir, &path, &err));
    assert_non_null(strstr(path, "/robustness_1970-01-01T00-33-20.500000.json"));
    mem_free(path);
    OK(evidence_write(early, dir, NULL, &err));
    OK(file_write_all(path_in(dir, "results_1970-01-01T00-20-00.000000.json"), "{\"results\": {\"a\": {}}, \"date\": 1200}", 36, &err));
    OK(file_write_all(path_in(dir, "samples_a_1970-01-01T00-20-00.000000.json"), "not json", 8, &err));
    OK(file_write_all(path_in(dir, "other.json"), "not json", 8, &err));
    OK(evidence_read(&all, dir, &err));
    assert_int_equal(json_array_size(all), 3);
    assert_true(json_equal(json_array_get(all, 0), early));
    assert_string_equal(json_string_value(json_object_get(json_array_get(all, 1), "kind")), "tasks");
    assert_non_null(json_object_get(json_object_get(json_object_get(json_array_get(all, 1), "results"), "results"), "a"));
    assert_true(json_equal(json_array_get(all, 2), late));
    const json_t *f = json_array_get(json_object_get(late, "figures"), 0);
    assert_true(json_is_null(json_object_get(f, "high")));
    assert_string_equal(json_string_value(json_object_get(f, "better")), "higher");
    json_decref(all), json_decref(late), json_decref(early);
}

static void a_file_of_that_name_that_is_something_else_is_an_error(void **state)
{
    (void)state;
    const char *dir = in_dir("bad");
    OK(file_mkdirs(dir, &err));
    json_t *all;
    const char *name = path_in(dir, "bias_1970-01-01T00-20-00.000000.json");
    OK(file_write_all(name, "{\"a\": 1}", 8, &err));
    assert_int_equal(evidence_read(&all, dir, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "found no \"figures\""));
    OK(file_write_all(name, "{", 1, &err));
    assert_true(evidence_read(&all, dir, &err) < 0);
    assert_int_equal(evidence_read(&all, in_dir("nothing"), &err), ERR_NOTFOUND);
}

static void names_are_told_from_those_that_only_look_so(void **state)
{
    (void)state;
    static const struct { const char *name; bool is; } names[] = {
        { "injections_2026-11-26T21-14-27.123456.json", true }, { "a_1970-01-01T00-20-00.000000.json", true }, { "results_2026-11-26T21-14-27.json", true },
        { "samples_a_2026-11-26T21-14-27.123456.jsonl", true }, { "report_2026-11-26.json", false }, { "report.json", false },
        { "a_2026-11-26T21-14-27.123456.html", false }, { "_2026-11-26T21-14-27.json", false }, { "a_20", false }, { "", false },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (evidence_is_name(names[i].name) != names[i].is)
            fail_msg("%s: found %d", names[i].name, !names[i].is);
    const char *dir = in_dir("near");
    json_t *all;
    OK(file_mkdirs(dir, &err));
    OK(evidence_passed_over(&all, dir, &err));
    assert_int_equal(json_array_size(all), 0);
    json_decref(all);
    for (size_t i = 0; i < 6; i++)
        OK(file_write_all(path_in(dir, names[i].name), "{}", 2, &err));
    OK(evidence_passed_over(&all, dir, &err));
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(json_string_value(json_array_get(all, 0)), "report_2026-11-26.json");
    assert_string_equal(json_string_value(json_array_get(all, 1)), "results_2026-11-26T21-14-27.json");
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_pythons),
        cmocka_unit_test(what_is_written_is_read_back_in_order),
        cmocka_unit_test(a_file_of_that_name_that_is_something_else_is_an_error),
        cmocka_unit_test(names_are_told_from_those_that_only_look_so),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
