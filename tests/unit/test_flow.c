/* test_flow.c - stages of a file: what is refused, their order, their command lines, and when one has to be run again. */
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include "../test.h"
#include "base/mem.h"
#include "flow/record.h"

static struct err err;

static bool flag;
static const char *text_value = "";
static int64_t number;
static struct opt_list list;
static const struct opt make_opts[] = {
    { OPT_STR, "out", &text_value, "<folder>", "where", 0, 0 },
    { OPT_STR, "o", &text_value, "<text>", "a letter", 0, 0 },
    { OPT_INT, "steps", &number, "<int>", "how many", 0, 0 },
    { OPT_FLAG, "json", &flag, NULL, "as JSON", 0, 0 },
    { OPT_FLAG, "quiet", &flag, NULL, "silence", 0, 0 },
    { OPT_LIST, "each", &list, "<text>", "again and again", 0, 0 },
    { OPT_STR, "file", &text_value, "<file>", "a file", 0, 0 },
    { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
};
static const struct opt serve_opts[] = { { OPT_STR, "port-file", &text_value, "<path>", "the port", 0, 0 }, { OPT_END, NULL, NULL, NULL, NULL, 0, 0 } };

/* `make`, `make well`, `serve`, and two that write into what they are given, one of them unless it is told another place. */
static bool find(struct flow_command *out, const char *const *word, int n)
{
    if (!strcmp(word[0], "serve"))
        *out = (struct flow_command){ .name = "serve", .n_word = 1, .opts = serve_opts };
    else if (!strcmp(word[0], "page") || !strcmp(word[0], "stamp"))
        *out = (struct flow_command){ .name = *word[0] == 'p' ? "page" : "stamp", .n_word = 1, .opts = *word[0] == 'p' ? make_opts : serve_opts, .into_argument = true };
    else if (!strcmp(word[0], "make"))
        *out = (struct flow_command){ .name = "make", .n_word = n > 1 && !strcmp(word[1], "well") ? 2 : 1, .opts = make_opts };
    else
        return false;
    return true;
}

static int read_text(struct flow *f, const char *text)
{
    put_in_dir("flow.yaml", text);
    return flow_read(f, in_dir("flow.yaml"), find, &err);
}

static void refused(const char *text, const char *words)
{
    struct flow f;
    const int rc = read_text(&f, text);
    if (rc >= 0)
        fail_msg("taken: %s", text);
    assert_int_equal(rc, err.code);
    if (!strstr(err.msg, words))
        fail_msg("found '%s', expected '%s' in it", err.msg, words);
}

static void what_is_wrong_with_a_file_is_named(void **state)
{
    (void)state;
    refused("[]", "expected a mapping with stages");
    refused("stages: {}", "at least one name");
    refused("stage: {a: {run: make}}", "unknown key 'stage'; did you mean 'stages'?");
    refused("stages: {a: {run: make, need: [b]}}", "stage 'a': unknown key 'need'; did you mean 'needs'?");
    refused("stages: {a: {run: bake}}", "lathe has no command 'bake'");
    refused("stages: {a: {}}", "stage 'a': expected run");
    refused("stages: {a: {run: ''}}", "no command ''");
    refused("stages: {a: {run: [make, 3]}}", "found something else at 2");
    refused("stages: {a: {run: make --out x}}", "found the option '--out', expected it under options");
    refused("stages: {a: {run: make, options: {step: 3}}}", "no option --step; did you mean --steps?");
    refused("stages: {a: {run: make, options: {json: 3}}}", "expected true or false");
    refused("stages: {a: {run: make, options: {steps: true}}}", "not true or false");
    refused("stages: {a: {run: make, options: {steps: {b: 1}}}}", "expected a text, a number");
    refused("stages: {this: {run: make}}", "not 'this'");
    refused("stages: {a b: {run: make}}", "expected a name of letters");
    refused("stages: {../a: {run: make}}", "expected a name of letters");
    refused("stages: {a: {run: make, needs: [b]}}", "there is no stage 'b'");
    refused("stages: {a: {run: 'make $(b)'}}", "there is no stage 'b'");
    refused("stages: {a: {run: 'make $(a'}}", "a $( without its )");
    refused("stages: {a: {run: make, gate: no}}", "gate: expected");
    refused("stages: {a: {run: make, gate: maybe}}", "gate: expected stop or warn, found 'maybe'");
    refused("stages: {a: {run: make, inputs: x}}", "inputs: expected a list");
    refused("stages: {a: {run: make, inputs: [x, 3]}}", "stage 'a': inputs: expected paths, found something else at 2");
    refused("stages: {a: {run: make, stays: 3}}", "stage 'a': stays is a whole number");
    refused("name: ../x\nstages: {a: {run: make}}", "name: found '../x', expected letters");
    refused("stages: {a: {run: make, needs: [a]}}", "need each other, or one that does: 'a'");
    refused("stages: {a: {run: 'make $(b)'}, c: {run: make}, b: {run: make, needs: [a]}}", "need each other, or one that does: 'a', 'b'");
    refused("stages: {a: {run: make}, a: {run: make}}", "a");
    refused("out: o\nstages: {a: {run: make, options: {out: '$(b)/x'}}, b: {run: make}}", "stage 'a': out: o/b/out/x is within the folder of stage 'b'");
    refused("out: o\nstages: {a: {run: make, options: {out: o/b}}, b: {run: make}}", "stage 'a': out: o/b is within the folder of stage 'b'");
}

/* It would be run again for that, and what it made removed first. */
static void what_a_stage_made_is_not_written_into_by_another(void **state)
{
    (void)state;
    struct flow f;
    refused("out: o\nstages: {a: {run: make}, b: {run: page $(a)}}", "stage 'b': lathe page writes into o/a/out, within the folder of stage 'a', which that one alone writes; expected options: {out: $(this)/FILE}");
    refused("out: o\nstages: {a: {run: make}, b: {run: page o/a/out/x}}", "stage 'b': lathe page writes into o/a/out/x");
    refused("out: o\nstages: {a: {run: make}, b: {run: stamp $(a)}}", "stage 'b': lathe stamp writes into o/a/out, within the folder of stage 'a', which that one alone writes; expected what that stage can be told itself");
    OK(read_text(&f, "out: o\nstages: {a: {run: make}, b: {run: page $(a), options: {out: $(this)/x}}, c: {run: page elsewhere}, d: {run: make $(a)}}"));
    flow_release(&f);
}

static int count_texts(void *ctx, const char *text, struct err *e) { return (void)text, (void)e, ++*(int *)ctx, 0; }

/* It would never be what it was before the stage ran. */
static void what_a_stage_writes_is_no_input(void **state)
{
    (void)state;
    static const struct { const char *command, *options; int n; } of[] = {
        { "data audit", "{\"index\": \"x\"}", 2 }, { "data audit", "{\"index\": \"x\", \"index-add\": \"n\"}", 2 }, { "registry backup", "{\"registry\": \"r\", \"events\": \"e\"}", 1 },
        { "data exposure", "{}", 1 }, { "data exposure", "{\"make\": 3}", 0 }, { "eval", "{\"index\": \"x\", \"index-add\": \"n\"}", 3 },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct flow_stage s = { .command = { .name = of[i].command, .n_word = 2 }, .word = { "data", "audit", "a" }, .n_word = 3, .options = json_loads(of[i].options, 0, NULL) };
        int n = 0;
        OK(flow_texts(&s, true, count_texts, &n, &err));
        if (n != of[i].n)
            fail_msg("%s %s: found %d, expected %d", of[i].command, of[i].options, n, of[i].n);
        json_decref(s.options);
    }
}

static void folders_are_found_from_the_root_too(void **state)
{
    (void)state;
    struct flow f;
    char *was = getcwd(NULL, 0);
    assert_int_equal(chdir("/"), 0);
    const int rc = read_text(&f, "out: o\nstages: {a: {run: make}}");
    const int owner = rc ? -2 : flow_owner(&f, "/o/a/out"), other = rc ? -2 : flow_owner(&f, "o/a/out/x");
    assert_int_equal(chdir(was), 0);
    free(was);
    OK(rc);
    assert_int_equal(owner, 0);
    assert_int_equal(other, 0);
    flow_release(&f);
}

static void stages_come_after_those_they_need(void **state)
{
    (void)state;
    struct flow f;
    OK(read_text(&f, "name: n\nout: o\nstages:\n  last: {run: 'make $(middle.x)'}\n  free: {run: make}\n  middle: {run: make, options: {file: o/first/out/x}}\n  first: {run: make well}\n"));
    const char *const order[] = { "free", "first", "middle", "last" };
    assert_int_equal(f.n, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(f.stage[i].name, order[i]);
    assert_true(f.stage[3].need[2] && !f.stage[3].need[1] && f.stage[2].need[1] && !f.stage[2].need[0]);
    assert_string_equal(f.stage[1].command.name, "make");
    assert_int_equal(f.stage[1].command.n_word, 2);
    assert_int_equal(flow_owner(&f, "o/first"), 1);
    assert_int_equal(flow_owner(&f, "./o/first/out"), 1);
    assert_int_equal(flow_owner(&f, "o/firs"), -1);
    assert_int_equal(flow_owner(&f, "o/firsts"), -1);
    assert_int_equal(flow_owner(&f, "o//middle/../first/./x"), 1);
    char *whole = realpath(".", NULL), *absolute = mem_printf("%s/o/first/out/x", whole);
    assert_int_equal(flow_owner(&f, absolute), 1);
    free(whole), mem_free(absolute);
    flow_release(&f);
}

/* A recipe that mentions another stage's folder. */
static void a_file_that_is_named_makes_its_stages_needed(void **state)
{
    (void)state;
    struct flow f;
    put_in_dir("recipe.yaml", "data: {train: [o/b/out/train]}\n");
    char *text = mem_printf("out: o\nstages:\n  a: {run: 'make %s'}\n  b: {run: make}\n", in_dir("recipe.yaml"));
    OK(read_text(&f, text));
    assert_string_equal(f.stage[0].name, "b");
    assert_true(f.stage[1].need[0]);
    flow_release(&f);
    mem_free(text);
}

/* By way of a file that is named in a file. */
static void a_stage_is_needed_however_deep_it_is_named(void **state)
{
    (void)state;
    struct flow f;
    char *outer = mem_printf("{data: %s}\n", in_dir("inner.yaml")), *text = mem_printf("out: o\nstages:\n  a: {run: 'make %s'}\n  b: {run: make}\n", in_dir("outer.yaml"));
    put_in_dir("outer.yaml", outer);
    char *inner = mem_printf("{back: %s, train: o/b/out/train}\n", in_dir("outer.yaml"));
    put_in_dir("inner.yaml", inner);
    OK(read_text(&f, text));
    assert_string_equal(f.stage[0].name, "b");
    assert_true(f.stage[1].need[0]);
    flow_release(&f);
    mem_free(outer), mem_free(inner), mem_free(text);
}

static void same_words(const struct words *w, const char *expected)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < w->n; i++)
        OK(buf_printf(&b, &err, "%s%s", i ? " " : "", w->at[i]));
    assert_string_equal(b.data, expected);
    buf_release(&b);
}

static void command_lines_are_filled_in(void **state)
{
    (void)state;
    struct flow f;
    struct words w;
    char *text = mem_printf("out: %s\nstages:\n"
                            "  a: {run: make one, options: {steps: 3, quiet: false, o: 1.5, each: [x, y], file: [p, q]}}\n"
                            "  b: {run: [make, 'two words', '$(a.n)$(a.list.1.k)$(a.yes)'], options: {file: '$(this)/f'}}\n"
                            "  c: {run: serve, stays: true}\n", in_dir("o"));
    OK(read_text(&f, text));
    OK(flow_argv(&w, &f, &f.stage[0], &err));
    char *expected = mem_printf("lathe make one --steps 3 --no-quiet -o 1.5 --each x --each y --file p,q --out %s/a/out --json", in_dir("o"));
    same_words(&w, expected);
    words_release(&w);
    mem_free(expected);

    assert_int_equal(flow_argv(&w, &f, &f.stage[1], &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "stage 'a' has not printed anything yet"));
    OK(file_mkdirs(in_dir("o/a"), &err));
    put_in_dir("o/a/result.json", "{\"n\": 7, \"list\": [0, {\"k\": \"v\"}], \"yes\": true, \"o\": {}}");
    OK(flow_argv(&w, &f, &f.stage[1], &err));
    assert_string_equal(w.at[2], "two words");
    assert_string_equal(w.at[3], "7vtrue");
    assert_int_equal(w.n, 7);                            /* it names its own folder: no --out */
    words_release(&w);

    struct buf b;
    buf_init(&b);
    assert_int_equal(flow_expand(&b, &f, &f.stage[1], "$(a.began)", &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "stage 'a' has not run yet"));
    put_in_dir("o/a/stage.json", "{\"began\": \"2026-11-27T01:00:00Z\", \"ended\": \"2026-11-27T02:00:00Z\"}");
    OK(flow_expand(&b, &f, &f.stage[1], "$(a.began)/$(a.ended)", &err));
    assert_string_equal(b.data, "2026-11-27T01:00:00Z/2026-11-27T02:00:00Z");

    OK(flow_argv(&w, &f, &f.stage[2], &err));
    expected = mem_printf("lathe serve --port-file %s/c/port", in_dir("o"));
    same_words(&w, expected);
    words_release(&w);
    mem_free(expected);

    assert_int_equal(flow_expand(&b, &f, &f.stage[1], "$(a.gone)", &err), ERR_NOTFOUND);
    assert_int_equal(flow_expand(&b, &f, &f.stage[1], "$(a.o)", &err), ERR_FORMAT);
    buf_release(&b);
    flow_release(&f);
    mem_free(text);
}

/* ---- when a stage has to be run again ---- */

struct looking { struct flow f; struct digests d; };

static void look_begin(struct looking *l)
{
    char *text = mem_printf("out: %s\nstages:\n  a: {run: 'make %s', inputs: ['%s']}\n  b: {run: 'make $(a)'}\n", in_dir("o"), in_dir("r.yaml"), in_dir("in"));
    OK(file_mkdirs(in_dir("o/a/out"), &err));
    OK(file_mkdirs(in_dir("in/deep"), &err));
    put_in_dir("in/deep/x", "1");
    put_in_dir("named", "2");
    char *recipe = mem_printf("{a: [{b: '%s'}]}", in_dir("named"));
    put_in_dir("r.yaml", recipe);
    OK(read_text(&l->f, text));
    assert_true(flow_is_written("make", "out") && flow_is_written("make", "features-out") && flow_is_written("make", "registry") && !flow_is_written("make", "file") && !flow_is_written("make", "-out"));
    assert_true(flow_is_written("plan", "html") && flow_is_written("serve", "audit") && !flow_is_written("eval", "audit"));
    OK(digests_open(&l->d, l->f.out, &err));
    mem_free(text), mem_free(recipe);
}

static void look_end(struct looking *l)
{
    digests_close(&l->d);
    flow_release(&l->f);
}

static enum record_why why_of(struct looking *l, const char *words)
{
    json_t *wanted, *before;
    enum record_why why;
    struct buf b;
    buf_init(&b);
    OK(record_wanted(&wanted, &l->f, &l->f.stage[0], &l->d, &err));
    OK(record_load(&before, &l->f.stage[0], &err));
    OK(record_compare(&why, &b, before, wanted, &l->f.stage[0], &l->d, &err));
    if (words && !strstr(b.data, words))
        fail_msg("found '%s', expected '%s' in it", b.data, words);
    json_decref(wanted), json_decref(before);
    buf_release(&b);
    return why;
}

static void ran(struct looking *l, const char *how)
{
    json_t *record;
    char hex[SHA256_HEX];
    OK(record_wanted(&record, &l->f, &l->f.stage[0], &l->d, &err));
    OK(record_output(&l->f.stage[0], &l->d, hex, &err));
    assert_int_equal(json_object_set_new(record, "state", json_string(how)) | json_object_set_new(record, "output", json_string(hex)), 0);
    OK(record_save(record, &l->f.stage[0], &err));
    json_decref(record);
}

static void a_stage_runs_again_when_what_it_read_or_made_changed(void **state)
{
    (void)state;
    struct looking l;
    look_begin(&l);
    put_in_dir("o/a/out/made", "m");
    assert_int_equal(why_of(&l, "never ran"), RECORD_NEW);
    ran(&l, "done");
    assert_int_equal(why_of(&l, NULL), RECORD_SAME);
    put_in_dir("in/deep/x", "1");                        /* the same again */
    assert_int_equal(why_of(&l, NULL), RECORD_SAME);
    put_in_dir("in/deep/x", "!");
    assert_int_equal(why_of(&l, "/in changed"), RECORD_INPUT);
    ran(&l, "done");
    put_in_dir("in/y", "");                              /* an empty file more */
    assert_int_equal(why_of(&l, "/in changed"), RECORD_INPUT);
    ran(&l, "done");
    put_in_dir("named", "3");                            /* by way of the recipe */
    assert_int_equal(why_of(&l, "/named changed"), RECORD_INPUT);
    ran(&l, "done");
    put_in_dir("o/a/out/made", "n");
    assert_int_equal(why_of(&l, "what it made was changed"), RECORD_OUTPUT);
    for (int i = 0; i < 3; i++) {
        static const char *const how[] = { "running", "failed", "stopped" };
        ran(&l, how[i]);
        assert_int_equal(why_of(&l, NULL), RECORD_UNFINISHED);
    }
    ran(&l, "refused");
    assert_int_equal(why_of(&l, "refused"), RECORD_UNFINISHED);
    l.f.stage[0].gate_warns = true;
    assert_int_equal(why_of(&l, NULL), RECORD_SAME);
    put_in_dir("o/a/stage.json", "{");                   /* a record that cannot be read */
    assert_int_equal(why_of(&l, "never ran"), RECORD_NEW);
    OK(file_remove_tree(in_dir("in"), &err));
    json_t *wanted;
    assert_int_equal(record_wanted(&wanted, &l.f, &l.f.stage[0], &l.d, &err), ERR_NOTFOUND);
    look_end(&l);
}

/* A digest is kept for a file that is older than a moment, and not for one that has other times or another size. */
static void digests_are_kept_while_a_file_is_as_it_was(void **state)
{
    (void)state;
    struct digests d;
    char first[SHA256_HEX], again[SHA256_HEX];
    OK(file_mkdirs(in_dir("k"), &err));
    put_in_dir("k/x", "old");
    OK(digests_open(&d, in_dir("k"), &err));
    OK(digests_of(&d, in_dir("k/x"), first, &err));
    assert_int_equal(json_object_size(d.known), 0);      /* it changed just now */
    nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 100000000 }, NULL);
    OK(digests_of(&d, in_dir("k/x"), again, &err));
    assert_string_equal(first, again);
    assert_int_equal(json_object_size(d.known), 1);
    OK(digests_save(&d, &err));
    digests_close(&d);
    OK(digests_open(&d, in_dir("k"), &err));
    assert_int_equal(json_object_size(d.known), 1);
    put_in_dir("k/x", "new");
    OK(digests_of(&d, in_dir("k/x"), again, &err));
    assert_string_not_equal(first, again);
    digests_close(&d);
    put_in_dir("k/digests.json", "[");
    OK(digests_open(&d, in_dir("k"), &err));
    assert_int_equal(json_object_size(d.known), 0);
    digests_close(&d);
}

static void what_a_stage_before_made_is_an_input(void **state)
{
    (void)state;
    struct looking l;
    json_t *wanted;
    look_begin(&l);
    OK(record_wanted(&wanted, &l.f, &l.f.stage[1], &l.d, &err));
    assert_string_equal(json_string_value(json_object_get(json_object_get(wanted, "inputs"), "$(a)")), "");
    json_decref(wanted);
    ran(&l, "done");
    OK(record_wanted(&wanted, &l.f, &l.f.stage[1], &l.d, &err));
    assert_int_equal(json_object_size(json_object_get(wanted, "inputs")), 1);
    assert_int_equal(strlen(json_string_value(json_object_get(json_object_get(wanted, "inputs"), "$(a)"))), SHA256_HEX - 1);
    json_decref(wanted);
    look_end(&l);
}

/* What its option had it write beside the stages' folders. */
static void a_stage_runs_again_when_what_it_wrote_elsewhere_is_gone(void **state)
{
    (void)state;
    struct looking l = { .d = { .known = NULL } };
    char *text = mem_printf("out: %s\nstages:\n  a: {run: make, options: {o: x, out: %s}}\n", in_dir("o"), in_dir("model.gguf"));
    OK(file_mkdirs(in_dir("o/a"), &err));
    OK(read_text(&l.f, text));
    OK(digests_open(&l.d, l.f.out, &err));
    for (int there = 0; there < 2; there++) {            /* an option need not have it written */
        json_t *record, *made;
        char hex[SHA256_HEX];
        if (there)
            put_in_dir("model.gguf", "m");
        OK(record_wanted(&record, &l.f, &l.f.stage[0], &l.d, &err));
        OK(record_output(&l.f.stage[0], &l.d, hex, &err));
        OK(record_made(&made, &l.f, &l.f.stage[0], &err));
        assert_int_equal(json_array_size(made), there);
        assert_int_equal(json_object_set_new(record, "state", json_string("done")) | json_object_set_new(record, "output", json_string(hex)) | json_object_set_new(record, "made", made), 0);
        OK(record_save(record, &l.f.stage[0], &err));
        json_decref(record);
        assert_int_equal(why_of(&l, NULL), RECORD_SAME);
    }
    put_in_dir("model.gguf", "another's");
    assert_int_equal(why_of(&l, NULL), RECORD_SAME);
    OK(file_remove_tree(in_dir("model.gguf"), &err));
    assert_int_equal(why_of(&l, "model.gguf, which it made, is not there any more"), RECORD_OUTPUT);
    look_end(&l);
    mem_free(text);
}

static void of_folder(const char *path, char hex[SHA256_HEX])
{
    struct digests d;
    OK(digests_open(&d, in_dir("k/own"), &err));
    OK(digests_of(&d, path, hex, &err));
    OK(digests_save(&d, &err));
    digests_close(&d);
}

/* Data are anybody's: names of any bytes, links, pipes; and the stages' own folder within them changes with each run. */
static void any_folder_has_a_digest(void **state)
{
    (void)state;
    char before[SHA256_HEX], after[SHA256_HEX], *copy = mem_strdup(in_dir("k"));
    OK(file_mkdirs(in_dir("k/own/a/out"), &err));
    OK(file_mkdirs(in_dir("k/deep"), &err));
    put_in_dir("k/deep/x", "1");
    put_in_dir("k/a\nb\\", "2");
    put_in_dir("k/\xff", "3");
    assert_int_equal(mkfifo(in_dir("k/pipe"), 0600) | symlink("..", in_dir("k/deep/up")) | symlink("nowhere", in_dir("k/to")) | symlink("deep", in_dir("k/link")), 0);
    of_folder(copy, before);
    put_in_dir("k/own/a/out/made", "m");
    put_in_dir("k/model.sig", "a signature is no part of what it signs");
    of_folder(copy, after);
    assert_string_equal(before, after);
    static const char *const changes[] = { "k/deep/x", "k/a\nb\\", "k/\xff", "k/new", "k/nowhere" };
    for (int i = 0; i < 5; i++) {
        put_in_dir(changes[i], "!");
        of_folder(copy, after);
        assert_string_not_equal(before, after);
        strcpy(before, after);
    }
    OK(file_rename(in_dir("k/deep/x"), in_dir("k/deep/y"), &err));
    of_folder(copy, after);
    assert_string_not_equal(before, after);
    of_folder(in_dir("k/own"), before);
    put_in_dir("k/own/more", "m");
    of_folder(in_dir("k/own"), after);
    assert_string_equal(before, after);
    mem_free(copy);
}

static int count_path(void *ctx, const char *path, struct err *none)
{
    (void)path, (void)none;
    ++*(int *)ctx;
    return 1;
}

/* A tokenizer's merges have "." and "/", which are no folders that anybody meant. */
static void words_of_points_in_json_are_no_paths(void **state)
{
    (void)state;
    int n = 0;
    put_in_dir("t.json", "{\"merges\": [[\".\", \".\"], [\"/\", \"../..\"]], \"a\": \"x\"}");
    OK(flow_paths(in_dir("t.json"), "s", count_path, &n, &err));
    assert_int_equal(n, 2);
    put_in_dir("t.yaml", "[., /, ./x]");
    n = 0;
    OK(flow_paths(in_dir("t.yaml"), "s", count_path, &n, &err));
    assert_int_equal(n, 3);
    n = 0;
    OK(flow_paths("/", "s", count_path, &n, &err));
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_wrong_with_a_file_is_named, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(what_a_stage_made_is_not_written_into_by_another, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(what_a_stage_writes_is_no_input, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(folders_are_found_from_the_root_too, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(stages_come_after_those_they_need, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_file_that_is_named_makes_its_stages_needed, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_stage_is_needed_however_deep_it_is_named, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_stage_runs_again_when_what_it_wrote_elsewhere_is_gone, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(any_folder_has_a_digest, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(words_of_points_in_json_are_no_paths, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(command_lines_are_filled_in, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_stage_runs_again_when_what_it_read_or_made_changed, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(digests_are_kept_while_a_file_is_as_it_was, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(what_a_stage_before_made_is_an_input, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
