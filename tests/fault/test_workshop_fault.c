/* test_workshop_fault.c - the n-th allocation or system call fails while files are brought, looked at and made ready: an error, no crash, no leak, no half of a file that counts. */
#include "each_allocation.h"
#include <unistd.h>
#include "../zips.h"
#include "base/tree.h"
#include "serve/workshop_files.h"
#include "serve/workshop_images.h"
#include "serve/workshop_labels.h"
#include "serve/workshop_life.h"
#include "serve/workshop_project.h"
#include "serve/workshop_table.h"
#include "serve/workshop_texts.h"
#include "serve/workshop_view.h"
#include "serve/workshop_zip.h"

static struct err err;

static int told(int rc)
{
    assert_true(rc >= 0 || (rc == err.code && *err.msg));
    return rc;
}

static int look_at(void *ctx)
{
    json_t *seen;
    const int rc = told(workshop_look(ctx, &seen, &err));
    if (!rc) {
        const char *kind = tree_text_at(seen, "kind");
        if (!strcmp(kind, "table")) {
            assert_int_equal(json_array_size(json_object_get(json_object_get(seen, "table"), "columns")), 2);
            assert_int_equal(json_array_size(json_object_get(json_object_get(seen, "table"), "first")), 2);
        } else {
            assert_int_equal(json_array_size(json_object_get(seen, "classes")), 2);
        }
    }
    json_decref(seen);
    return rc;
}

static void a_look_fails_as_a_whole(void **state)
{
    (void)state;
    put_in_dir("csv/a.csv", "text,label\na,b\nc,\"d\ne\"\n"), put_in_dir("lines/a.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 2}\n"), put_in_dir("images/x/1.png", "1"), put_in_dir("images/y/2.png", "2");
    static const char *const folders[] = { "csv", "lines", "images" };
    for (int i = 0; i < 3; i++)
        assert_true(each_allocation(look_at, in_dir(folders[i]), false) > 5);
}

/* The archive is kept aside, as a second name. */
static int unzip(void *ctx)
{
    json_t *o = NULL;
    (void)ctx;
    unlink(in_dir("files/a.zip"));
    assert_int_equal(link(in_dir("a.zip"), in_dir("files/a.zip")), 0);
    const int rc = told(workshop_unzip(in_dir("files"), "a.zip", &(struct workshop_room){ 100, 9 }, &o, &err));
    assert_true(rc || (file_exists(in_dir("files/a/1.txt")) && file_exists(in_dir("files/a/2.txt")) && json_integer_value(json_object_get(o, "left")) == 1));
    json_decref(o);
    return rc;
}

static void an_archive_that_cannot_be_unpacked_is_an_error(void **state)
{
    (void)state;
    static const char *const members[][2] = { { "a/1.txt", "one" }, { "a/2.txt", "two" }, { "a/3.pdf", "no" } };
    OK(file_mkdirs(in_dir("files"), &err));
    put_zip(in_dir("a.zip"), members, 3);
    assert_true(each_allocation(unzip, NULL, true) > 10);
    assert_true(each_failure(CALLS, 1, unzip, NULL, true) > 2);
}

static int bring(void *ctx)
{
    (void)ctx;
    uint64_t have = 0;
    const struct workshop_piece first = { "a/b.txt", 0, 6, "abc", 3 }, second = { "a/b.txt", 3, 6, "def", 3 };
    int rc = told(file_remove_tree(in_dir("files"), &err));
    rc = rc ? rc : told(file_mkdirs(in_dir("files"), &err));
    if (rc)
        return rc;
    rc = told(workshop_piece_add(in_dir("files"), &first, &have, &err));
    rc = rc ? rc : told(workshop_piece_add(in_dir("files"), &second, &have, &err));
    assert_true(!file_exists(in_dir("files/a/b.txt")) || have == 6);
    return rc;
}

static void a_file_is_whole_or_does_not_count(void **state)
{
    (void)state;
    each_allocation(bring, NULL, false);
    each_failure(CALLS, 1, bring, NULL, true);
}

static json_t *project;

static int write_all(void *ctx)
{
    (void)ctx;
    int rc = told(life_write_data(test_dir, project, &err));
    rc = rc ? rc : told(life_write_recipe(test_dir, project, workshop_recipe_find(project, *tree_text_at(project, "base") ? "adapt" : "quick"), &err));
    return rc ? rc : told(life_write(test_dir, project, LIFE_REGISTER, "registry", &err));
}

static void files_for_lathe_run_are_whole(void **state)
{
    (void)state;
    static const char *const goals[] = { "texts", "classes", "images", "texts" };
    for (int i = 0; i < 4; i++) {
        project = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "goal", goals[i], "name", "n", "file", i == 1 ? "a.csv" : "", "text", "t", "label", "l", "recipe", "quick", "reason", "r", "train", 5, "kept", 5);
        json_object_set_new(project, "version_name", json_string("v"));
        if (i == 3)
            json_object_set_new(project, "base", json_string("m@1")), json_object_set_new(project, "base_path", json_string("m.gguf")), json_object_set_new(project, "recipe", json_string("adapt"));
        each_allocation(write_all, NULL, false);
        each_failure(CALLS, 1, write_all, NULL, true);
        json_decref(project);
    }
}

static int make_ready(void *ctx)
{
    (void)ctx;
    json_t *p = json_pack("{s:i}", "text_bytes", 5000);
    if (!p)
        return ERR_NOMEM;
    int rc = told(workshop_images(in_dir("p"), p, &err));
    rc = rc ? rc : told(workshop_texts(in_dir("p"), p, &err));
    json_decref(p);
    return rc;
}

static void what_is_learned_is_made_ready_or_an_error(void **state)
{
    (void)state;
    char records[2000] = "";
    for (int i = 0; i < 12; i++) {
        char name[40];
        snprintf(name, sizeof name, "p/files/%c/%d.png", 'a' + i % 2, i);
        put_in_dir(name, "x");
        snprintf(records + strlen(records), sizeof records - strlen(records), "{\"file\": \"%s\", \"kept\": true}\n", name + 2);
    }
    put_in_dir("p/life.run/audit/out/records.jsonl", records);
    put_in_dir("p/life.run/build/out/train/00000.jsonl", "{\"text\": \"a b c d e f g h i j k l m n o p q r s t u v w x y z\"}\n");
    each_allocation(make_ready, NULL, false);
    each_failure(CALLS, 1, make_ready, NULL, true);
}

static int choose(void *ctx)
{
    (void)ctx;
    json_t *p = json_pack("{s:s, s:s}", "goal", "classes", "label", "l");
    if (!p)
        return ERR_NOMEM;
    const int rc = told(workshop_labels(in_dir("p"), p, &err));
    if (!rc)
        assert_int_equal(json_integer_value(json_object_get(p, "unlabelled")), 1);
    json_decref(p);
    return rc;
}

static void lines_are_chosen_by_their_labels_or_an_error(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("p/life.run/build/out/train"), &err));
    OK(file_mkdirs(in_dir("p/life.run/build/out/valid"), &err));
    static const char five[] = "{\"text\": \"t\", \"l\": \"a\"}\n{\"text\": \"t\", \"l\": 2}\n";
    char lines[6 * sizeof five] = "{\"text\": \"t\"}\n";
    for (int i = 0; i < 5; i++)
        strcat(lines, five);
    put_in_dir("p/life.run/build/out/train/0.jsonl", lines), put_in_dir("p/life.run/build/out/valid/0.jsonl", five);
    assert_true(each_allocation(choose, NULL, false) > 10);
    each_failure(CALLS, 1, choose, NULL, true);
}

static int show(void *ctx)
{
    (void)ctx;
    json_t *p, *view, *list;
    int rc = told(project_load(in_dir("w"), "p1", &p, &err));
    if (rc)
        return rc;
    rc = told(workshop_view(in_dir("w"), p, true, &view, &err));
    json_decref(p);
    if (rc)
        return rc;
    json_decref(view);
    rc = told(project_list(in_dir("w"), &list, &err));
    if (!rc)
        json_decref(list);
    return rc;
}

static void a_project_is_shown_or_an_error(void **state)
{
    (void)state;
    put_in_dir("w/p1/project.json", "{\"id\": \"p1\", \"name\": \"x\", \"goal\": \"texts\", \"step\": \"train\", \"state\": \"done\"}");
    put_in_dir("w/p1/files/a.txt", "a"), put_in_dir("w/p1/life.run/audit/stage.json", "{\"state\": \"done\", \"began\": \"2026-11-27T06:00:00Z\", \"seconds\": 2.0}"), put_in_dir("w/p1/life.run/audit/out/report.json", "{\"totals\": {\"kept\": 1}}");
    put_in_dir("w/p1/life.run/held-out/out/samples_x.jsonl", "{\"doc\": {\"text\": \"a\"}, \"bits_per_byte\": [-1.0, 2]}\n"), put_in_dir("w/p1/plans/quick.json", "{\"steps\": 1}"), put_in_dir("w/p1/plans/small.why", "no");
    each_allocation(show, NULL, true);               /* a part that cannot be read is left out */
}

#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
int main(void)
{
    const struct CMUnitTest tests[] = { IN_DIR(a_look_fails_as_a_whole), IN_DIR(an_archive_that_cannot_be_unpacked_is_an_error), IN_DIR(a_file_is_whole_or_does_not_count), IN_DIR(files_for_lathe_run_are_whole), IN_DIR(what_is_learned_is_made_ready_or_an_error), IN_DIR(lines_are_chosen_by_their_labels_or_an_error),
                                        IN_DIR(a_project_is_shown_or_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
