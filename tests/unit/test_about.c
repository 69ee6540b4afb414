/* test_about.c - names without a version, and what is said of names and versions, on SQLite and on PostgreSQL. */
#include "../registries.h"
#include "base/tree.h"
#include "store/about.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;

static void add(const char *name, const char *text, const char *run)
{
    struct registry_version v;
    const struct registry_parent parent = { run, "run" };
    OK(file_mkdirs(in_dir("new"), &err));
    OK(file_write_all(in_dir("new/weights"), text, strlen(text), &err));
    OK(registry_add(g, &(struct registry_addition){ .name = name, .kind = "model", .path = in_dir("new"), .parent = &parent, .n_parent = run != NULL }, &by, &v, &err));
}

static int say(const char *name, int64_t number, const char *key, const char *value) { return registry_say(g, &(struct registry_said){ name, number, key, value }, &by, &err); }

static int64_t n_record(void)
{
    struct journal_head head;
    OK(journal_head(&head, registry_db(g), &err));
    return head.seq;
}

static void is_valid(void)
{
    json_t *out;
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out, &err));
    if (!json_is_true(json_object_get(out, "valid")))
        fail_msg("%s", json_dumps(out, 0));
    json_decref(out);
}

static void a_name_may_be_there_before_its_first_version(void **state)
{
    (void)state;
    json_t *out;
    registry_here();
    OK(registry_create(g, "m", "model", &by, &err));
    assert_int_equal(registry_create(g, "m", "model", &by, &err), ERR_BUSY);
    assert_int_equal(registry_create(g, "a/b", "model", &by, &err), ERR_USAGE);
    assert_int_equal(registry_create(g, "n", "cat", &by, &err), ERR_USAGE);
    assert_int_equal(n_record(), 1);
    OK(registry_names(g, NULL, &out, &err));
    assert_int_equal(json_array_size(out), 1);
    assert_string_equal(tree_text_at(json_array_get(out, 0), "name"), "m");
    assert_int_equal(tree_number_at(json_array_get(out, 0), "last"), 0);
    json_decref(out);
    OK(registry_list(g, &out, &err));
    assert_int_equal(tree_number_at(json_array_get(out, 0), "versions"), 0);
    json_decref(out);
    add("m", "one", NULL);
    OK(registry_names(g, "m", &out, &err));
    assert_int_equal(tree_number_at(json_array_get(out, 0), "last"), 1);
    json_decref(out);
    is_valid();
}

static void what_is_said_may_be_said_otherwise_and_taken_back(void **state)
{
    (void)state;
    json_t *out;
    registry_here();
    add("m", "one", "run-7");
    OK(say("m", 0, "", "of tickets\nand mails"));
    OK(say("m", 0, "team", "a"));
    OK(say("m", 1, "team", "b"));
    OK(say("m", 1, "team", "c"));
    const int64_t n = n_record();
    OK(say("m", 1, "team", "c"));
    assert_int_equal(n_record(), n);                         /* no change, no record */
    OK(registry_names(g, "m", &out, &err));
    assert_string_equal(tree_text_at(json_array_get(out, 0), "description"), "of tickets\nand mails");
    assert_string_equal(tree_text_at(json_object_get(json_array_get(out, 0), "tags"), "team"), "a");
    json_decref(out);
    OK(registry_versions(g, "m", &out, &err));
    const json_t *v = json_array_get(out, 0);
    assert_string_equal(tree_text_at(json_object_get(v, "tags"), "team"), "c");
    assert_string_equal(tree_text_at(v, "run"), "run-7");
    assert_true(strcmp(tree_text_at(v, "updated"), tree_text_at(v, "t")) > 0);
    json_decref(out);
    OK(say("m", 1, "team", NULL));
    assert_int_equal(say("m", 1, "team", NULL), ERR_NOTFOUND);
    is_valid();
    OK(db_run(registry_db(g), "UPDATE said SET value = 'z'", NULL, 0, NULL, &err));
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out, &err));
    assert_true(json_is_false(json_object_get(out, "valid")));      /* said by nobody */
    json_decref(out);
}

static void what_cannot_be_said_is_told(void **state)
{
    (void)state;
    char much[SAID_VALUE_MAX + 2];
    registry_here();
    OK(registry_create(g, "m", "model", &by, &err));
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = 0;
    assert_int_equal(say("m", 0, "k", much), ERR_USAGE);
    much[SAID_VALUE_MAX] = 0;
    OK(say("m", 0, "k", much));
    much[SAID_KEY_MAX + 1] = 0;
    assert_int_equal(say("m", 0, much, "v"), ERR_USAGE);
    assert_int_equal(say("m", 0, "k\n", "v"), ERR_USAGE);
    assert_int_equal(say("m", 0, "k", "\x1f"), ERR_USAGE);
    assert_int_equal(say("m", 0, "k", "\xff"), ERR_USAGE);
    assert_int_equal(say("m", 1, "k", "v"), ERR_NOTFOUND);
    assert_int_equal(say("n", 0, "k", "v"), ERR_NOTFOUND);
    assert_int_equal(n_record(), 2);
}

static void aliases_are_told_of_names_and_of_versions(void **state)
{
    (void)state;
    json_t *out;
    struct registry_release r;
    registry_here();
    add("m", "one", NULL);
    add("m", "two", NULL);
    add("n", "one", NULL);
    OK(registry_alias(g, &(struct release_move){ .name = "m", .alias = "best", .number = 2, .expect = -1 }, &by, &r, NULL, &err));
    OK(registry_names(g, NULL, &out, &err));
    assert_int_equal(json_array_size(out), 2);
    assert_int_equal(tree_number_at(json_object_get(json_array_get(out, 0), "aliases"), "best"), 2);
    assert_int_equal(json_object_size(json_object_get(json_array_get(out, 1), "aliases")), 0);
    json_decref(out);
    OK(registry_versions(g, NULL, &out, &err));
    assert_int_equal(json_array_size(out), 3);
    assert_int_equal(json_array_size(json_object_get(json_array_get(out, 0), "aliases")), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json_array_get(out, 1), "aliases"), 0)), "best");
    json_decref(out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
    const struct CMUnitTest tests[] = {
        T(a_name_may_be_there_before_its_first_version),
        T(what_is_said_may_be_said_otherwise_and_taken_back),
        T(what_cannot_be_said_is_told),
        T(aliases_are_told_of_names_and_of_versions),
    };
    return ON_BOTH_DATABASES(tests);
}
