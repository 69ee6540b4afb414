/* test_workshop.c - what people bring to a server: names that stay in a folder, pieces, tables, what is made of them. */
#include "../zips.h"
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "serve/workshop_files.h"
#include "serve/workshop_images.h"
#include "serve/workshop_job.h"
#include "serve/workshop_labels.h"
#include "serve/workshop_life.h"
#include "serve/workshop_project.h"
#include "serve/workshop_table.h"
#include "serve/workshop_texts.h"
#include "serve/workshop_view.h"
#include "serve/workshop_zip.h"

static struct err err;

static void names_that_would_leave_the_folder_or_hide_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "/a.txt", "a//b.txt", "../a.txt", "a/../b.txt", ".a.txt", "a/.b/c.txt", "a\nb.txt", "a\\b.txt", "c:a.txt", "a/", "a", "a.exe", "a.txt.sh", "a\xff.txt", "a\x7f.txt",
                                       "1/2/3/4/5/6/7/8/9.txt" };
    static const char *const good[] = { "a.txt", "a b/c-d (1).PNG", "é/ü.csv", "x.jsonl", "1/2/3/4/5/6/7/8.txt" };
    char part[WORKSHOP_PART + 8], path[WORKSHOP_NAME + 8];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (workshop_name_check(bad[i], &err) != ERR_USAGE)
            fail_msg("'%s' is taken", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        OK(workshop_name_check(good[i], &err));
    memset(part, 'a', sizeof part);
    strcpy(part + WORKSHOP_PART - 4, ".txt");
    OK(workshop_name_check(part, &err));
    strcpy(part + WORKSHOP_PART - 3, ".txt");
    assert_int_equal(workshop_name_check(part, &err), ERR_USAGE);
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 100 == 99 ? '/' : 'a';
    strcpy(path + sizeof path - 5, ".txt");
    assert_int_equal(workshop_name_check(path, &err), ERR_USAGE);
}

static int piece(const char *name, uint64_t from, uint64_t size, const char *text, uint64_t *have)
{
    return workshop_piece_add(in_dir("files"), &(struct workshop_piece){ name, from, size, text, strlen(text) }, have, &err);
}

static void a_file_comes_in_pieces_and_counts_when_it_is_whole(void **state)
{
    (void)state;
    uint64_t have;
    json_t *seen;
    OK(file_mkdirs(in_dir("files"), &err));
    OK(piece("a/b.txt", 0, 6, "abc", &have));
    assert_int_equal(have, 3);
    assert_int_equal(workshop_have(in_dir("files"), "a/b.txt"), 3);
    assert_false(file_exists(in_dir("files/a/b.txt")));
    OK(workshop_look(in_dir("files"), &seen, &err));
    assert_string_equal(tree_text_at(seen, "kind"), "nothing");
    assert_int_equal(json_integer_value(json_object_get(seen, "parts")), 1);
    const json_t *listed = json_array_get(json_object_get(seen, "list"), 0);           /* it can be removed */
    assert_string_equal(tree_text_at(listed, "path"), "a/b.txt");
    assert_true(json_is_true(json_object_get(listed, "part")));
    json_decref(seen);
    assert_int_equal(piece("later.txt", 2, 6, "cdef", &have), ERR_BUSY);               /* of a file of which nothing is here: nothing is left of it */
    assert_false(file_exists(in_dir("files/.later.txt.part")));
    assert_int_equal(piece("a/b.txt", 2, 6, "cdef", &have), ERR_BUSY);             /* a piece that came twice */
    assert_int_equal(have, 3);
    assert_int_equal(piece("a/b.txt", 5, 6, "f", &have), ERR_BUSY);                /* one that is missing */
    assert_int_equal(piece("a/b.txt", 3, 6, "defg", &have), ERR_USAGE);
    assert_int_equal(piece("a/b.txt", UINT64_MAX, 6, "d", &have), ERR_USAGE);
    assert_int_equal(piece("a/e.txt", 0, 0, "", &have), ERR_USAGE);
    OK(piece("a/b.txt", 3, 6, "def", &have));
    assert_int_equal(have, 6);
    assert_true(file_exists(in_dir("files/a/b.txt")));
    OK(piece("a/b.txt", 0, 2, "xy", &have));                                        /* brought again: another one */
    assert_int_equal(workshop_have(in_dir("files"), "a/b.txt"), 2);
    assert_int_equal(piece("a/b.txt/c.txt", 0, 1, "x", &have), ERR_USAGE);
    OK(file_mkdirs(in_dir("files/d.txt"), &err));
    assert_int_equal(piece("d.txt", 0, 1, "x", &have), ERR_USAGE);
}

/* Told, and no error: they can be removed. */
static void images_in_too_many_folders_are_listed_all_the_same(void **state)
{
    (void)state;
    json_t *seen;
    for (int i = 0; i < WORKSHOP_CLASSES + 5; i++) {
        char name[40];
        snprintf(name, sizeof name, "files/c%d", i);
        OK(file_mkdirs(in_dir(name), &err));
        snprintf(name, sizeof name, "files/c%d/a.png", i);
        put_in_dir(name, "x");
        if (i < WORKSHOP_CLASSES - 1)
            continue;
        OK(workshop_look(in_dir("files"), &seen, &err));
        assert_int_equal(json_array_size(json_object_get(seen, "classes")), WORKSHOP_CLASSES);
        assert_int_equal(json_is_true(json_object_get(seen, "more_classes")), i >= WORKSHOP_CLASSES);
        json_decref(seen);
    }
}

static void links_are_not_followed(void **state)
{
    (void)state;
    uint64_t have;
    OK(file_mkdirs(in_dir("files"), &err));
    OK(file_mkdirs(in_dir("else"), &err));
    put_in_dir("else/kept.txt", "kept");
    assert_int_equal(symlink(in_dir("else"), in_dir("files/link")), 0);
    assert_int_equal(symlink(in_dir("else/kept.txt"), in_dir("files/.to.txt.part")), 0);
    assert_int_equal(piece("link/new.txt", 0, 1, "x", &have), ERR_USAGE);
    assert_true(piece("to.txt", 0, 1, "x", &have) < 0);
    assert_false(file_exists(in_dir("else/new.txt")));
    json_t *seen;
    OK(workshop_look(in_dir("files"), &seen, &err));
    assert_string_equal(tree_text_at(seen, "kind"), "nothing");
    json_decref(seen);
}

static void an_archive_gives_its_files_and_nothing_leaves_the_folder(void **state)
{
    (void)state;
    json_t *o;
    static const char *const members[][2] = {
        { "pets/", "" }, { "pets/cat/1.png", "one" }, { "pets\\dog\\2.png", "two" }, { "../evil.txt", "out" }, { "/etc/evil.txt", "out" }, { "a/../../evil.txt", "out" }, { "pets/notes.pdf", "no" }, { "empty.txt", "" },
        { "more.zip", "PK" }, { "__MACOSX/pets/cat/1.png", "x" }, { "pets/.DS_Store", "x" }, { "pets/Thumbs.db", "x" }, { "./plain.txt", "plain" },
    };
    const struct workshop_room room = { 1000, 100 };
    OK(file_mkdirs(in_dir("files/below"), &err));
    put_zip(in_dir("files/below/a.zip"), members, sizeof members / sizeof *members);
    OK(workshop_unzip(in_dir("files"), "below/a.zip", &room, &o, &err));
    assert_int_equal(json_integer_value(json_object_get(o, "files")), 3);
    assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 11);
    assert_int_equal(json_integer_value(json_object_get(o, "left")), 4);             /* what a point begins is passed over */
    assert_int_equal(json_array_size(json_object_get(o, "names")), 4);
    json_decref(o);
    assert_true(workshop_have(in_dir("files"), "below/pets/cat/1.png") == 3 && workshop_have(in_dir("files"), "below/pets/dog/2.png") == 3 && workshop_have(in_dir("files"), "below/plain.txt") == 5);
    assert_false(file_exists(in_dir("files/below/a.zip")) || file_exists(in_dir("files/evil.txt")) || file_exists(in_dir("evil.txt")) || file_exists(in_dir("files/below/etc")));
    put_zip(in_dir("files/a.zip"), members, sizeof members / sizeof *members);
    assert_int_equal(workshop_unzip(in_dir("files"), "a.zip", &(struct workshop_room){ 10, 100 }, &o, &err), ERR_RANGE);
    put_zip(in_dir("files/a.zip"), members, sizeof members / sizeof *members);
    assert_int_equal(workshop_unzip(in_dir("files"), "a.zip", &(struct workshop_room){ 1000, 2 }, &o, &err), ERR_RANGE);
    assert_false(file_exists(in_dir("files/pets")) || file_exists(in_dir("files/a.zip")));
    put_zip(in_dir("files/a.zip"), members + 6, 1);
    assert_int_equal(workshop_unzip(in_dir("files"), "a.zip", &room, &o, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "no file that can be learned from"));
    put_in_dir("files/a.zip", "PK\3\4 and nothing");
    assert_int_equal(workshop_unzip(in_dir("files"), "a.zip", &room, &o, &err), ERR_FORMAT);
    assert_null(strstr(err.msg, test_dir));
    assert_false(file_exists(in_dir("files/a.zip")));
    /* One that is there, cut off while it was unpacked, is a part. */
    put_zip(in_dir("files/a.zip"), members, 2);
    OK(workshop_look(in_dir("files"), &o, &err));
    assert_int_equal(json_integer_value(json_object_get(o, "parts")), 1);
    json_decref(o);
}

static void what_files_are_is_told_by_their_names(void **state)
{
    (void)state;
    static const struct { const char *names[4], *kind; } cases[] = {
        { { "a.txt", "b.md" }, "texts" }, { { "a.csv" }, "table" }, { { "a.jsonl" }, "table" }, { { "a.jsonl", "b.jsonl" }, "texts" }, { { "a.csv", "b.csv" }, "mixed" },
        { { "x/a.png", "y/b.JPG" }, "images" }, { { "x/a.png", "b.txt" }, "mixed" }, { { "a.png" }, "images" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *seen;
        char folder[20];
        snprintf(folder, sizeof folder, "case%zu", i);
        for (int k = 0; k < 4 && cases[i].names[k]; k++) {
            char name[60];
            snprintf(name, sizeof name, "%s/%s", folder, cases[i].names[k]);
            put_in_dir(name, "text,label\na,b\n");
        }
        OK(workshop_look(in_dir(folder), &seen, &err));
        assert_string_equal(tree_text_at(seen, "kind"), cases[i].kind);
        if (i == 5)
            assert_int_equal(json_array_size(json_object_get(seen, "classes")), 2);
        if (i == 7)
            assert_int_equal(json_integer_value(json_object_get(seen, "bare")), 1);
        json_decref(seen);
    }
}

static json_t *table(const char *text, size_t n, bool whole, const char *name)
{
    json_t *out;
    OK(workshop_table_of(text, n, whole, name, &out, &err));
    return out;
}

static void a_table_has_its_columns_told(void **state)
{
    (void)state;
    static const char text[] = "review;mood;n\n\"good; very\";glad;1\nbad;sad;2\nok;glad;3\n";
    json_t *t = table(text, sizeof text - 1, true, "a.csv");
    const json_t *columns = json_object_get(t, "columns");
    assert_int_equal(json_array_size(columns), 3);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(columns, 1), "values")), 2);
    assert_true(json_is_true(json_object_get(json_array_get(columns, 2), "numbers")));
    assert_string_equal(json_string_value(json_array_get(json_array_get(json_object_get(t, "first"), 0), 0)), "good; very");
    assert_string_equal(tree_text_at(t, "fault"), "");
    assert_true(workshop_has_column(t, "mood") && !workshop_has_column(t, "Mood"));
    json_decref(t);
    t = table(text, sizeof text - 4, false, "a.csv");              /* a beginning: the last row may be cut */
    assert_int_equal(json_integer_value(json_object_get(t, "rows")), 2);
    json_decref(t);
    static const char lines[] = "{\"text\": \"x\", \"label\": 3, \"list\": [1]}\n{\"text\": \"y\"}\n";
    t = table(lines, sizeof lines - 1, true, "a.jsonl");
    assert_int_equal(json_array_size(json_object_get(t, "columns")), 2);
    assert_int_equal(json_integer_value(json_object_get(t, "rows")), 2);
    json_decref(t);
}

static void what_is_wrong_with_a_table_is_told_in_words(void **state)
{
    (void)state;
    static const struct { const char *name, *text, *says; } cases[] = {
        { "a.csv", "", "it is empty" }, { "a.csv", "text,label\n", "no row below" }, { "a.csv", "text,label\na\n", "1 fields, expected 2" }, { "a.csv", "text,label\n\"a,b\n", "has no end" },
        { "a.csv", "text,label\nh\xe9,b\n", "save it again as 'CSV UTF-8'" }, { "a.csv", "t\xe9,label\nh,b\n", "save it again as 'CSV UTF-8'" },
        { "a.jsonl", "", "it is empty" }, { "a.jsonl", "[1]\n", "no JSON object" }, { "a.jsonl", "{\"text\"\n", "a.jsonl:1" },
        { "a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n", "chats" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *t = table(cases[i].text, strlen(cases[i].text), true, cases[i].name);
        if (!strstr(tree_text_at(t, "fault"), cases[i].says))
            fail_msg("'%s', expected '%s'", tree_text_at(t, "fault"), cases[i].says);
        json_decref(t);
    }
    json_t *t = table("a,b=c, d,\n1,2,3,4\n", 18, true, "a.csv");        /* names that settings could not carry */
    assert_true(workshop_has_column(t, "a") && !workshop_has_column(t, "b=c") && !workshop_has_column(t, " d") && !workshop_has_column(t, ""));
    json_decref(t);
}

static void steps_follow_what_there_is_within_limits(void **state)
{
    (void)state;
    json_t *p = json_pack("{s:s, s:i}", "goal", "classes", "train", 10);
    const struct workshop_recipe *r = workshop_recipe_find(p, "small");
    assert_int_equal(life_steps(p, r), r->least);
    json_object_set_new(p, "train", json_integer(1000));
    assert_int_equal(life_steps(p, r), 1000 * r->epochs / r->batch);
    json_object_set_new(p, "train", json_integer((json_int_t)1 << 40));
    assert_int_equal(life_steps(p, r), r->most);
    assert_null(workshop_recipe_find(p, "fine"));
    assert_null(workshop_recipe_find(p, "adapt"));               /* there is nothing to go on from */
    json_object_set_new(p, "base", json_string("m@1"));
    assert_true(workshop_recipe_find(p, "adapt") && !workshop_recipe_find(p, "small"));
    json_decref(p);
}

/* A folder, and a file of GGUF, whose merged model is a file too. */
static void a_model_that_goes_on_is_merged_and_comes_from_its_base(void **state)
{
    (void)state;
    put_in_dir("b \"$(x)\"/model.gguf", "");
    for (int i = 0; i < 4; i++) {
        char path[300];
        json_t *tree;
        snprintf(path, sizeof path, "%s", in_dir(i % 2 ? "b \"$(x)\"/model.gguf" : "b \"$(x)\""));
        json_t *p = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "goal", "texts", "name", "n", "base", "m@1", "base_path", path, "recipe", i < 2 ? "adapt" : "whole", "reason", "r", "version_name", "v", "label", "", "text_bytes", 100000,
                              "kept", 5);
        assert_true(life_base_is_file(p) == (i % 2));
        OK(life_write_recipe(test_dir, p, workshop_recipe_find(p, tree_text_at(p, "recipe")), &err));
        OK(tree_load(&tree, in_dir(i < 2 ? "recipes/adapt.yaml" : "recipes/whole.yaml"), 1 << 16, &err));
        assert_string_equal(tree_text_at(json_object_get(tree, "model"), "from"), path);
        assert_int_equal(json_object_size(json_object_get(tree, "model")), 1);
        assert_true((json_object_get(tree, "lora") != NULL) == (i < 2));
        json_decref(tree);
        OK(life_write(test_dir, p, LIFE_REGISTER, NULL, &err));
        OK(tree_load(&tree, in_dir("life.yaml"), 1 << 16, &err));
        const json_t *stages = json_object_get(tree, "stages"), *merge = json_object_get(stages, "merge"), *keep = json_object_get(stages, "register");
        assert_true((merge != NULL) == (i < 2));
        assert_string_equal(json_string_value(json_array_get(json_object_get(keep, "run"), 3)), i >= 2 ? "$(train)" : i ? "$(merge)/model.gguf" : "$(merge)");
        assert_string_equal(json_string_value(json_array_get(json_object_get(json_object_get(keep, "options"), "from"), 1)), "base=m@1");
        if (merge)
            assert_true(!strcmp(tree_text_at(json_object_get(merge, "options"), "out"), i ? "$(this)/model.gguf" : "$(this)") && strstr(json_string_value(json_array_get(json_object_get(merge, "run"), 1)), "$ (x)"));
        json_decref(tree), json_decref(p);
    }
}

static void what_people_wrote_is_quoted_in_the_files(void **state)
{
    (void)state;
    static const char name[] = "a\": {run: version}\n#$(x)'";
    json_t *tree, *p = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "goal", "classes", "name", name, "file", "f.csv", "text", "te: xt", "label", "la'bel", "licence", "{}", "recipe", "quick", "reason",
                                 name, "train", 100);
    json_object_set_new(p, "version_name", json_string("m"));
    OK(life_write_data(test_dir, p, &err));
    OK(tree_load(&tree, in_dir("data.yaml"), 1 << 16, &err));
    const json_t *source = json_array_get(json_object_get(tree, "sources"), 0);
    assert_string_equal(tree_text_at(source, "field"), "te: xt");
    assert_string_equal(tree_text_at(source, "label"), "la'bel");
    assert_string_equal(tree_text_at(source, "licence"), "{}");
    json_decref(tree);
    OK(life_write_recipe(test_dir, p, workshop_recipe_find(p, "quick"), &err));
    OK(tree_load(&tree, in_dir("recipes/quick.yaml"), 1 << 16, &err));
    assert_string_equal(tree_text_at(json_object_get(tree, "data"), "fields"), "label=la'bel");
    json_decref(tree);
    OK(life_write(test_dir, p, LIFE_REGISTER, "/r", &err));
    OK(tree_load(&tree, in_dir("life.yaml"), 1 << 16, &err));
    const json_t *stages = json_object_get(tree, "stages");
    assert_int_equal(json_object_size(stages), 7);
    assert_string_equal(tree_text_at(json_object_get(json_object_get(stages, "card"), "options"), "name"), "a\": {run: version}\n#$ (x)'");
    assert_string_equal(tree_text_at(json_object_get(json_object_get(stages, "register"), "options"), "reason"), "a\": {run: version}\n#$ (x)'");
    json_decref(tree), json_decref(p);
}

static void every_recipe_is_yaml(void **state)
{
    (void)state;
    for (int i = 0; i < workshop_n_recipe; i++) {
        char name[60];
        json_t *tree, *p = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "goal", workshop_recipes[i].goal, "label", "l", "name", "n", "train", 500, "kept", 500, "text_bytes", 100000);
        OK(life_write_recipe(test_dir, p, &workshop_recipes[i], &err));
        snprintf(name, sizeof name, "recipes/%s.yaml", workshop_recipes[i].name);
        OK(tree_load(&tree, in_dir(name), 1 << 16, &err));
        assert_int_equal(json_integer_value(json_object_get(json_object_get(tree, "train"), "steps")), life_steps(p, &workshop_recipes[i]));
        json_decref(tree), json_decref(p);
    }
}

static void put_records(const char *const *names)
{
    char text[4000] = "";
    for (; *names; names++) {
        char name[200];
        snprintf(name, sizeof name, "p/files/%s", *names + (**names == '-'));
        put_in_dir(name, "x");
        snprintf(text + strlen(text), sizeof text - strlen(text), "{\"file\": \"./%s\", \"kept\": %s}\n", name + 2, **names == '-' ? "false" : "true");
    }
    put_in_dir("p/life.run/audit/out/records.jsonl", text);
}

static void images_are_held_out_of_each_class_and_what_was_dropped_is_left_out(void **state)
{
    (void)state;
    static const char *const few[] = { "a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png", "b/1.png", NULL };
    static const char *const one[] = { "a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png", NULL };
    static const char *const all[] = { "a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png", "c/b/1.png", "d/b/1.png", "b/3.png", "b/4.png", "b/5.png", "-b/6.png", NULL };
    json_t *p = json_object();
    put_records(few);
    assert_int_equal(workshop_images(in_dir("p"), p, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "the class 'b' has 1 image"));
    put_records(one);
    assert_int_equal(workshop_images(in_dir("p"), p, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "one folder, 'a'"));
    put_records(all);
    for (int again = 0; again < 2; again++) {
        char **name;
        int n;
        OK(workshop_images(in_dir("p"), p, &err));
        assert_int_equal(json_integer_value(json_object_get(p, "train")), 8);
        assert_int_equal(json_integer_value(json_object_get(p, "valid")), 2);
        OK(file_list(in_dir("p/images/train/b"), &name, &n, &err));
        assert_int_equal(n, 4);
        file_list_free(name, n);
    }
    json_decref(p);
}

/* All that is held out is read, so that it counts for a policy, and so it is not more than that takes in good time. */
static void a_writer_is_judged_by_all_that_is_held_out(void **state)
{
    (void)state;
    static const struct { int kept; const char *splits; } cases[] = { { 59, "train=1" }, { 60, "train=0.9,valid=0.1" }, { 3000, "train=0.9,valid=0.1" }, { 30000, "train=0.99,valid=0.01" }, { 70000, "train=0.995714286,valid=0.004285714" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *tree, *p = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "goal", "texts", "name", "n", "recipe", "quick", "version_name", "m", "kept", cases[i].kept, "train", 100);
        OK(life_write(test_dir, p, LIFE_REGISTER, NULL, &err));
        OK(tree_load(&tree, in_dir("life.yaml"), 1 << 16, &err));
        const json_t *stages = json_object_get(tree, "stages");
        assert_string_equal(tree_text_at(json_object_get(json_object_get(stages, "build"), "options"), "splits"), cases[i].splits);
        assert_null(json_object_get(json_object_get(json_object_get(stages, "held-out"), "options"), "limit"));
        json_decref(tree), json_decref(p);
    }
}

static void the_end_of_a_text_is_held_out_in_passages(void **state)
{
    (void)state;
    enum { LINES = 1000 };
    static char text[LINES * 12 + 40];
    json_t *p = json_pack("{s:i}", "text_bytes", LINES * 10);
    strcpy(text, "{\"text\": \"");
    for (int i = 0; i < LINES; i++)
        sprintf(text + strlen(text), "line %04d\\n", i);
    strcat(text, "\"}\n");
    put_in_dir("p/life.run/build/out/train/00000.jsonl", text);
    OK(workshop_texts(in_dir("p"), p, &err));
    assert_int_equal(json_integer_value(json_object_get(p, "train")), 1);
    assert_int_equal(json_integer_value(json_object_get(p, "valid")), 1);
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("p/texts/valid.jsonl"), 1 << 20, &b, &err));
    assert_true(!strncmp(b.data, "{\"text\": \"line 090", 18) && strstr(b.data, "line 0999"));
    buf_clear(&b);
    OK(file_read(in_dir("p/texts/train.jsonl"), 1 << 20, &b, &err));
    assert_true(strstr(b.data, "line 0899") && !strstr(b.data, "line 0999"));
    buf_release(&b);
    json_object_set_new(p, "kept", json_integer(2 * TEXTS_HELD_OUT * TEXTS_PASSAGE / LINES));     /* no more of it than its part of what is held out at most: 500 bytes */
    OK(workshop_texts(in_dir("p"), p, &err));
    buf_init(&b);
    OK(file_read(in_dir("p/texts/valid.jsonl"), 1 << 20, &b, &err));
    assert_true(!strncmp(b.data, "{\"text\": \"line 095", 18) && strstr(b.data, "line 0999"));
    buf_release(&b);
    json_object_set_new(p, "text_bytes", json_integer(100));
    assert_int_equal(workshop_texts(in_dir("p"), p, &err), ERR_FORMAT);
    json_decref(p);
}

/* What a build has: split 0 train, 1 valid; lines of {"text", "mood"}. */
static void put_build(const char *train, const char *valid)
{
    OK(file_mkdirs(in_dir("life.run/build/out/train"), &err));
    OK(file_mkdirs(in_dir("life.run/build/out/valid"), &err));
    put_in_dir("life.run/build/out/train/00000.jsonl", train);
    put_in_dir("life.run/build/out/valid/00000.jsonl", valid);
}

static void lines_of(struct buf *b, int n, const char *label)
{
    for (int i = 0; i < n; i++)
        OK(buf_printf(b, &err, "{\"text\": \"t%d\", \"mood\": %s}\n", i, label));
}

static int64_t of(const json_t *p, const char *key) { return json_integer_value(json_object_get(p, key)); }

static void lines_that_no_label_can_be_learned_from_are_left_out(void **state)
{
    (void)state;
    struct buf train, valid;
    buf_init(&train), buf_init(&valid);
    json_t *p = json_pack("{s:s, s:s}", "goal", "classes", "label", "mood");
    lines_of(&train, 6, "\"a\""), lines_of(&train, 4, "7"), lines_of(&valid, 1, "7"), lines_of(&valid, 1, "\"a\"");
    put_build(train.data, valid.data);
    OK(workshop_labels(in_dir(""), p, &err));                    /* all of it: the build itself */
    assert_true(of(p, "train") == 10 && of(p, "valid") == 2 && of(p, "classes") == 2 && !of(p, "rare") && json_is_false(json_object_get(p, "chosen")));
    assert_false(file_exists(in_dir("texts")));
    lines_of(&train, 3, "\"\""), lines_of(&train, 1, "null"), lines_of(&train, 1, "1.5"), lines_of(&train, 2, "\"rare\""), lines_of(&valid, 2, "\"rare\""), lines_of(&valid, 5, "\"held\"");
    put_build(train.data, valid.data);
    OK(workshop_labels(in_dir(""), p, &err));
    assert_true(of(p, "train") == 15 && of(p, "valid") == 2 && of(p, "classes") == 3 && of(p, "rare") == 4 && of(p, "unlabelled") == 5 && json_is_true(json_object_get(p, "chosen")));
    buf_clear(&train);
    OK(file_read(in_dir("texts/train.jsonl"), 1 << 20, &train, &err));
    assert_true(strstr(train.data, "held") && strstr(train.data, "\"mood\": 7}") && !strstr(train.data, "rare") && !strstr(train.data, "null") && !strstr(train.data, "\"\""));
    static const struct { int a, b; const char *words; } bad[] = { { 9, 0, "all texts have the label 'a'" }, { 9, 4, "of the labels only one in the column 'mood' have 5 texts or more" },
                                                                  { 4, 4, "none of the labels in the column 'mood'" }, { 9, 9, "18 texts are left, too few to hold some out" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_clear(&train);
        lines_of(&train, bad[i].a, "\"a\""), lines_of(&train, bad[i].b, "\"b\"");
        put_build(train.data, "{\"text\": \"x\"}\n");
        assert_int_equal(workshop_labels(in_dir(""), p, &err), ERR_FORMAT);
        if (!strstr(err.msg, bad[i].words))
            fail_msg("found '%s', expected '%s' in it", err.msg, bad[i].words);
    }
    json_decref(p);
    buf_release(&train), buf_release(&valid);
}

static void a_number_is_one_projects_alone(void **state)
{
    (void)state;
    static const char *const ids[] = { "p1", "p2", "p3", "p8" };
    json_t *p;
    OK(file_mkdirs(in_dir("w"), &err));
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            OK(file_mkdirs(in_dir("w/p7"), &err));               /* somebody's copy */
        OK(project_new(in_dir("w"), "n", "me", &p, &err));
        assert_string_equal(tree_text_at(p, "id"), ids[i]);
        OK(project_remove(in_dir("w"), ids[i], &err));
        json_decref(p);
    }
}

static void what_ran_when_the_server_went_is_stopped(void **state)
{
    (void)state;
    json_t *p, *list;
    OK(file_mkdirs(in_dir("w"), &err));
    OK(project_new(in_dir("w"), "one", "ann", &p, &err));
    OK(project_state(p, "train", "running", "", &err));
    OK(project_save(in_dir("w"), p, &err));
    json_decref(p);
    OK(project_new(in_dir("w"), "two", "ann", &p, &err));
    assert_string_equal(tree_text_at(p, "id"), "p2");
    json_decref(p);
    put_in_dir("w/p3/project.json", "{");
    OK(project_settle(in_dir("w"), &err));
    OK(project_list(in_dir("w"), &list, &err));
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(tree_text_at(json_array_get(list, 0), "state"), "stopped");
    assert_string_equal(tree_text_at(json_array_get(list, 1), "state"), "idle");
    assert_string_equal(tree_text_at(json_array_get(list, 2), "state"), "failed");
    json_decref(list);
    OK(project_remove(in_dir("w"), "p1", &err));
    assert_int_equal(project_load(in_dir("w"), "p1", &p, &err), ERR_NOTFOUND);
    assert_true(project_id_ok("p1") && project_id_ok("p999999") && !project_id_ok("p0") && !project_id_ok("p") && !project_id_ok("p1/..") && !project_id_ok("..") && !project_id_ok("p1234567"));
}

/* A program that ends when it is told to. */
static int until_stopped(void *ctx, const struct server_program *p, int *code, struct err *e)
{
    (void)e;
    atomic_fetch_add((atomic_int *)ctx, 1);
    assert_string_equal(p->actor, "ann");
    while (!atomic_load(p->stop))
        usleep(1000);
    *code = 4;
    return 0;
}

static int fails(void *ctx, const struct server_program *p, int *code, struct err *e)
{
    (void)ctx;
    char *log = file_join(p->folder, p->log);
    static const char said[] = "first\nlathe: it is wrong\n";
    const int rc = file_write_all(log, said, sizeof said - 1, e);
    mem_free(log);
    *code = 1;
    return rc;
}

static json_t *begin(struct jobs *j, const char *name, int expected)
{
    json_t *p, *copy;
    OK(project_new(in_dir("w"), name, "ann", &p, &err));
    OK(project_set(p, "worker", json_string("ann"), &err));
    OK(project_set(p, "goal", json_string("texts"), &err));
    OK(project_state(p, "look", "running", "", &err));
    OK(project_save(in_dir("w"), p, &err));
    copy = json_deep_copy(p);
    assert_int_equal(jobs_start(j, p, &err), expected);
    if (expected)
        json_decref(p);
    return copy;
}

static void check_state(const char *id, const char *state, const char *message)
{
    json_t *p;
    OK(project_load(in_dir("w"), id, &p, &err));
    assert_string_equal(tree_text_at(p, "state"), state);
    assert_non_null(strstr(tree_text_at(p, "message"), message));
    json_decref(p);
}

static void one_project_is_worked_on_at_a_time_and_can_be_stopped(void **state)
{
    (void)state;
    struct jobs *j;
    atomic_int n_run = 0;
    OK(file_mkdirs(in_dir("w"), &err));
    char folder[1000];
    const struct workshop_opts o = { .folder = strcpy(folder, in_dir("w")), .run = until_stopped, .run_ctx = &n_run };
    OK(jobs_new(&j, &o, &err));
    json_t *one = begin(j, "one", 0), *two = begin(j, "two", ERR_BUSY);
    assert_non_null(strstr(err.msg, "'one' is being worked on"));
    assert_true(jobs_has(j, NULL) && jobs_has(j, tree_text_at(one, "id")) && !jobs_has(j, tree_text_at(two, "id")));
    assert_false(jobs_stop(j, tree_text_at(two, "id")));
    while (!atomic_load(&n_run))
        usleep(1000);
    assert_false(jobs_stops(j, "p1"));
    assert_true(jobs_stop(j, "p1"));
    while (jobs_has(j, NULL))
        usleep(1000);
    check_state("p1", "stopped", "goes on");
    json_decref(begin(j, "three", 0));
    jobs_free(j);                                    /* which may be before it was begun */
    OK(project_settle(folder, &err));
    check_state("p3", "stopped", "goes on from where it was");
    json_decref(one), json_decref(two);
}

static void what_a_program_said_last_is_why_it_failed(void **state)
{
    (void)state;
    struct jobs *j;
    OK(file_mkdirs(in_dir("w"), &err));
    char folder[1000];
    const struct workshop_opts o = { .folder = strcpy(folder, in_dir("w")), .run = fails };
    OK(jobs_new(&j, &o, &err));
    json_decref(begin(j, "one", 0));
    while (jobs_has(j, NULL))
        usleep(1000);
    jobs_free(j);
    check_state("p1", "failed", "it is wrong");
}

static void only_what_is_meant_to_be_seen_is_shown(void **state)
{
    (void)state;
    static const char *const no[] = { "project.json", "../p2/project.json", "files/../project.json", "files/a.txt", "life.run/train/out/model.safetensors", "/etc/passwd", "recipes/../project.json", "recipes/x.yaml", "" };
    struct buf b;
    const char *type = NULL;
    buf_init(&b);
    put_in_dir("w/p1/project.json", "{}"), put_in_dir("w/p1/files/a.txt", "secret"), put_in_dir("w/p1/files/x/a.png", "png"), put_in_dir("w/p1/life.yaml", "stages:"), put_in_dir("w/p1/recipes/quick.yaml", "model:");
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_int_equal(workshop_file(in_dir("w"), "p1", no[i], 1 << 20, &b, &type, &err), ERR_NOTFOUND);
    assert_null(type);
    OK(workshop_file(in_dir("w"), "p1", "files/x/a.png", 1 << 20, &b, &type, &err));
    assert_string_equal(type, "image/png");
    OK(workshop_file(in_dir("w"), "p1", "life.yaml", 1 << 20, &b, &type, &err));
    OK(workshop_file(in_dir("w"), "p1", "recipes/quick.yaml", 1 << 20, &b, &type, &err));
    assert_string_equal(b.data, "pngstages:model:");
    buf_release(&b);
}

static void stages_that_have_begun_are_shown(void **state)
{
    (void)state;
    json_t *out, *p = json_pack("{s:s, s:s, s:s}", "id", "p1", "step", "train", "state", "running");
    put_in_dir("v/p1/life.run/audit/stage.json", "{\"state\": \"done\", \"began\": \"2026-11-27T06:00:00Z\", \"seconds\": 1.5}");
    put_in_dir("v/p1/life.run/train/stage.json", "{\"state\": \"running\", \"began\": \"2026-11-27T06:00:02Z\"}");
    OK(workshop_view(in_dir("v"), p, false, &out, &err));
    const json_t *stages = json_object_get(out, "stages"), *audit = json_array_get(stages, 0), *train = json_array_get(stages, 1);
    assert_int_equal(json_array_size(stages), 2);
    assert_string_equal(tree_text_at(audit, "name"), "audit");
    assert_string_equal(tree_text_at(audit, "began"), "2026-11-27T06:00:00Z");
    assert_true(tree_number_at(audit, "seconds") == 1.5 && !json_object_get(train, "seconds"));
    assert_string_equal(tree_text_at(train, "state"), "running");
    json_decref(out), json_decref(p);
}

#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_would_leave_the_folder_or_hide_are_refused), IN_DIR(a_file_comes_in_pieces_and_counts_when_it_is_whole), IN_DIR(links_are_not_followed), IN_DIR(an_archive_gives_its_files_and_nothing_leaves_the_folder),
        IN_DIR(images_in_too_many_folders_are_listed_all_the_same), IN_DIR(what_files_are_is_told_by_their_names), cmocka_unit_test(a_table_has_its_columns_told), cmocka_unit_test(what_is_wrong_with_a_table_is_told_in_words),
        cmocka_unit_test(steps_follow_what_there_is_within_limits), IN_DIR(what_people_wrote_is_quoted_in_the_files), IN_DIR(every_recipe_is_yaml), IN_DIR(a_model_that_goes_on_is_merged_and_comes_from_its_base),
        IN_DIR(images_are_held_out_of_each_class_and_what_was_dropped_is_left_out), IN_DIR(a_writer_is_judged_by_all_that_is_held_out), IN_DIR(the_end_of_a_text_is_held_out_in_passages), IN_DIR(lines_that_no_label_can_be_learned_from_are_left_out),
        IN_DIR(a_number_is_one_projects_alone), IN_DIR(what_ran_when_the_server_went_is_stopped),
        IN_DIR(one_project_is_worked_on_at_a_time_and_can_be_stopped), IN_DIR(what_a_program_said_last_is_why_it_failed), IN_DIR(only_what_is_meant_to_be_seen_is_shown),
        IN_DIR(stages_that_have_begun_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
