/* test_licence_fault.c - licences are read, looked for in a folder and judged by a policy and its gate, and training asks for that, with each allocation failing in turn, and each system call. */
#include "each_allocation.h"
#include "audit/licence.h"
#include "audit/licence_found.h"
#include "audit/gate.h"
#include "audit/licences.h"
#include "base/tree.h"
#include "train/gate.h"

static struct err err;

static int parse(void *ctx)
{
    struct licence *l;
    size_t at;
    (void)ctx;
    TRY(licence_parse(&l, "MIT OR (GPL-2.0+ AND ISC)", 25, &at, &err));
    struct buf b;
    buf_init(&b);
    const int rc = licence_text(l, &b, &err);
    if (!rc)
        assert_string_equal(b.data, "MIT OR (GPL-2.0-or-later AND ISC)");
    buf_release(&b);
    licence_free(l);
    return rc;
}

static int n_told;

static void told(void *ctx, const char *path, const struct err *why)
{
    (void)ctx, (void)path, (void)why;
    n_told++;
}

static int find(void *ctx)
{
    struct licence_finds f;
    const char *file = in_dir("set/a.txt");
    (void)ctx;
    n_told = 0;
    TRY(licence_find(&f, in_dir("set"), &file, 1, told, NULL, &err));
    if (!n_told) {
        assert_int_equal(f.n, 3);
        assert_string_equal(f.item[0].expression, "MIT OR Zlib");
        assert_string_equal(f.item[1].expression, "CC-BY-4.0 AND LicenseRef-mine");
        assert_string_equal(f.item[2].expression, "ISC AND (LicenseRef-Odd-one OR MIT)");
    }
    licence_finds_release(&f);
    return 0;
}

static const char part[] = "{\"licences\": {\"sources\": [{\"source\": \"a\", \"stated\": \"MIT\", \"found\": [{\"path\": \"x\", \"id\": \"ISC\"}]}, "
                           "{\"source\": \"b\", \"stated\": null, \"found\": [{\"path\": \"x\", \"id\": \"CC-BY-NC-4.0\"}]}]}}";

/* A report and a policy to a verdict. */
static int judge(void *ctx)
{
    static const char text[] = "use: [train, commercial]\nlicences: {LicenseRef-x: {allows: [train]}}\ngate: {licences: 0, licence_conflicts: 0, secrets: 0}\n";
    struct policy p;
    json_t *report = NULL, *gate = NULL;
    (void)ctx;
    int rc = policy_parse(&p, text, sizeof text - 1, "p", &err);
    rc = rc ? rc : tree_parse_json(&report, part, sizeof part - 1, "r", &err);
    rc = rc ? rc : licences_judge(json_object_get(report, "licences"), NULL, &p, &err);
    rc = rc ? rc : gate_of(report, &p, "a reason", &gate, &err);
    if (!rc) {
        char *told = tree_dumps(gate, JSON_COMPACT | JSON_SORT_KEYS);
        if (told) {
            assert_non_null(strstr(told, "CC-BY-NC-4.0 does not allow commercial use"));
            assert_non_null(strstr(told, "the file says ISC, stated is MIT"));
            assert_non_null(strstr(told, "\"override\":{\"reason\":\"a reason\"}"));
        }
        mem_free(told);
    }
    json_decref(gate);
    json_decref(report);
    policy_release(&p);
    return rc;
}

/* A training asks for the verdict of its data, and keeps it. */
static int train(void *ctx)
{
    json_t *told = NULL, *paths = ctx;
    const struct train_config c = { .train_paths = paths, .override = "a test" }, strict = { .train_paths = paths };
    int rc = train_check_gates(&strict, "c", false, &err);
    if (rc == ERR_GATE)
        rc = train_check_gates(&c, "c", false, &err);
    else
        assert_true(rc < 0);                                       /* data whose gate said no never pass */
    rc = rc ? rc : train_gates_told(&c, &told, &err);
    if (!rc) {
        const json_t *o = json_array_get(told, 0);
        assert_true(json_is_false(json_object_get(o, "passed")));
        assert_string_equal(json_string_value(json_array_get(json_object_get(o, "failed"), 0)), "licences");
        assert_string_equal(json_string_value(json_object_get(o, "override")), "a test");
    }
    json_decref(told);
    return rc;
}

static int set_up(void **state)
{
    static const char *const files[][2] = {
        { "build/build.json", "{\"gate\": {\"policy\": \"p\", \"passed\": false, \"checks\": [{\"check\": \"licences\", \"passed\": false}]}}" },
        { "set/LICENSE", "SPDX-License-Identifier: MIT OR Zlib\n" },
        { "set/README.md", "---\nlicense: [cc-by-4.0, other]\nlicense_name: mine\n---\n" },
        { "set/debian/copyright", "Format: copyright-format/1.0\n\nFiles: *\nLicense: Expat or Odd one, and ISC\n" },
    };
    if (make_dir(state) || file_mkdirs(in_dir("set/debian"), &err) || file_mkdirs(in_dir("build/train"), &err))
        return -1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (file_write_all(in_dir(files[i][0]), files[i][1], strlen(files[i][1]), &err))
            return -1;
    return 0;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_allocation(parse, NULL, false) > 1);
    assert_true(each_allocation(find, NULL, true) > 40);          /* jansson does without some */
    assert_true(each_allocation(judge, NULL, true) > 80);
    json_t *paths = json_pack("[s]", in_dir("build/train"));
    assert_true(each_allocation(train, paths, true) > 20);
    assert_true(each_failure(CALLS, 1, train, paths, false) > 3);
    json_decref(paths);
}

/* A file that cannot be read is told and the others are there; the folder itself is an error. */
static void files_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    int n_error = 0, n_seen = 0;
    for (int64_t n = 0;; n++) {
        file_fail_at(n, EIO);
        const int rc = find(NULL);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        if (!reached)
            break;
        n_error += rc < 0, n_seen += n_told;
    }
    assert_true(n_seen >= 3);
    assert_int_equal(n_error + n_seen > 3, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(files_that_cannot_be_read_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
