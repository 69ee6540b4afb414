/* test_registry_backup.c - backups of either database into either, whole or not at all. */
#include "../registries.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/events.h"
#include "store/registry_backup.h"
#include "store/registry_gc.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;
static const struct registry_backup_opts plain;

static void add(const char *text)
{
    struct registry_version v;
    char large[9000];
    memset(large, '.', sizeof large);
    memcpy(large, text, strlen(text));
    put_in_dir("e.json", "{\"kind\": \"speed\", \"figures\": []}");
    const char *evidence = in_dir("e.json");
    OK(file_mkdirs(in_dir("new"), &err));
    OK(file_write_all(in_dir("new/weights"), large, sizeof large, &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .evidence = &evidence, .n_evidence = 1 }, &by, &v, &err));
    const struct release_move m = { .name = "m", .alias = "production", .number = v.number, .expect = -1 };
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
}

static int64_t backed_up(const char *key)
{
    json_t *o;
    OK(registry_backup(g, in_dir("backup"), &plain, &o, &err));
    const int64_t n = json_integer_value(json_object_get(o, key));
    json_decref(o);
    return n;
}

static void valid(const char *where, const struct journal_head *head)
{
    struct registry *at;
    struct journal_head now;
    json_t *o;
    OK(registry_open(&at, where, false, &err));
    OK(registry_verify(at, &(struct registry_verify_opts){ .seq = head->seq, .hash = head->hash }, &o, &err));
    if (!json_is_true(json_object_get(o, "valid")))
        fail_msg("%s", json_dumps(o, 0));
    json_decref(o);
    OK(journal_head(&now, registry_db(at), &err));
    assert_true(now.seq == head->seq);
    registry_close(at);
}

static struct journal_head head_of(void)
{
    struct journal_head h;
    OK(journal_head(&h, registry_db(g), &err));
    return h;
}

static void a_backup_of_either_database_becomes_either(void **state)
{
    (void)state;
    json_t *o;
    registry_here();
    add("one"), add("two");
    const struct journal_head head = head_of();
    assert_int_equal(backed_up("copied"), 6);               /* two files, two manifests, facts, evidence */
    OK(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err));
    json_decref(o);
    valid(in_dir("restored"), &head);
    assert_false(file_exists(in_dir("restored.restoring")));
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err), ERR_USAGE);
    if (!on_postgres)
        return;
    assert_int_equal(registry_restore(in_dir("backup"), database_where, &plain, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "already"));
    OK(db_script(registry_db(g), "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &err));
    registry_close(g);
    g = NULL;
    OK(file_remove_tree(in_dir("registry"), &err));
    OK(registry_open(&g, in_dir("restored"), false, &err));
    OK(registry_backup(g, in_dir("backup 2"), &plain, &o, &err));
    json_decref(o);
    OK(registry_restore(in_dir("backup 2"), database_where, &plain, &o, &err));
    json_decref(o);
    valid(database_where, &head);
}

static void only_what_is_new_is_copied_and_dropped_bytes_are_not_missed(void **state)
{
    (void)state;
    registry_here();
    json_t *o;
    add("one");
    backed_up("copied");
    assert_int_equal(backed_up("copied"), 0);
    add("two"), add("three");
    assert_int_equal(backed_up("copied"), 4);
    OK(registry_gc(g, &(struct registry_gc_opts){ .has_quota = true, .quota = 0 }, &by, &o, &err));
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 1);
    json_decref(o);
    assert_int_equal(backed_up("copied"), 0);
    const struct journal_head head = head_of();
    OK(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err));
    json_decref(o);
    valid(in_dir("restored"), &head);
    assert_int_equal(registry_backup(g, in_dir("new"), &plain, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "has 'weights' in it"));
    struct registry *other;
    struct registry_version v;
    OK(registry_open(&other, in_dir("other"), true, &err));
    OK(registry_add(other, &(struct registry_addition){ .name = "x", .kind = "model", .path = in_dir("new") }, &by, &v, &err));
    assert_int_equal(registry_backup(other, in_dir("backup"), &plain, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "is a backup of registry "));
    registry_close(other);
}

static void flip(const char *path, int64_t at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, (long)at, SEEK_SET);
    const int c = fgetc(f);
    fseek(f, (long)at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

/* Every byte of the journal, and some of each blob, changed; the journal cut. */
static void what_was_changed_or_cut_is_refused_by_name(void **state)
{
    (void)state;
    registry_here();
    add("one"), add("two");
    backed_up("copied");
    json_t *o;
    char path[300];
    snprintf(path, sizeof path, "%s/journal-%lld.jsonl", in_dir("backup"), (long long)head_of().seq);
    struct file_usage u;
    OK(file_usage(path, &u, &err));
    for (int64_t at = 0; at < (int64_t)u.bytes; at += FEWER(7, 401)) {
        flip(path, at);
        const int rc = registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err);
        if (rc != ERR_CORRUPT || err.code != rc || !strstr(err.msg, "record "))
            fail_msg("byte %lld: %d %s", (long long)at, rc, rc ? err.msg : "");
        flip(path, at);
    }
    assert_int_equal(truncate(path, (off_t)u.bytes - 5), 0);
    assert_int_equal(registry_backup_check(in_dir("backup"), &o, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "is cut off"));
    backed_up("copied");
    json_t *list;
    OK(tree_load(&list, in_dir("backup/backup.json"), 1 << 20, &err));
    const char *id;
    json_t *bytes;
    json_object_foreach(json_object_get(list, "blobs"), id, bytes) {
        char *blob = blob_path(in_dir("backup"), id);
        assert_int_equal(chmod(blob, 0644), 0);
        flip(blob, json_integer_value(bytes) / 2);
        assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, id));
        flip(blob, json_integer_value(bytes) / 2);
        mem_free(blob);
    }
    json_decref(list);
    assert_false(file_exists(in_dir("restored")));
    OK(registry_backup_check(in_dir("backup"), &o, &err));
    json_decref(o);
    put_in_dir("backup/backup.json", "{\"format\": \"another's\"}");
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err), ERR_FORMAT);
    put_in_dir("backup/backup.json", "{\"format\": \"lathe registry backup\", \"version\": 3}");
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err), ERR_UNSUPPORTED);
    assert_int_equal(registry_restore(in_dir("nothing"), in_dir("restored"), &plain, &o, &err), ERR_FORMAT);
}

static void a_damaged_registry_is_not_backed_up(void **state)
{
    (void)state;
    registry_here();
    add("one");
    json_t *o;
    OK(db_run(registry_db(g), "UPDATE journal SET record = replace(record, 'tester', 'someone') WHERE seq = 2", NULL, 0, NULL, &err));
    assert_int_equal(registry_backup(g, in_dir("backup"), &plain, &o, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "record 2 of the journal"));
    assert_false(file_exists(in_dir("backup/backup.json")));
}

/* It may be where a disk is mounted, so it is not put in another's place. */
static void a_folder_that_is_there_stays_and_is_filled(void **state)
{
    (void)state;
    json_t *o;
    char *was = getcwd(NULL, 0);
    struct stat before, after;
    registry_here();
    add("one"), add("two");
    const struct journal_head head = head_of();
    backed_up("copied");
    OK(file_mkdirs(in_dir("there/lost+found"), &err));
    assert_int_equal(stat(in_dir("there"), &before), 0);
    OK(registry_restore(in_dir("backup"), in_dir("there"), &plain, &o, &err));
    json_decref(o);
    assert_int_equal(stat(in_dir("there"), &after), 0);
    assert_true(before.st_ino == after.st_ino && !file_exists(in_dir("there/.restoring")));
    valid(in_dir("there"), &head);
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("there"), &plain, &o, &err), ERR_USAGE);
    put_in_dir("mine/blobs", "not a registry's");
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("mine"), &plain, &o, &err), ERR_USAGE);
    OK(file_mkdirs(in_dir("stand"), &err));
    assert_int_equal(chdir(in_dir("stand")), 0);
    OK(registry_restore("../backup", ".", &plain, &o, &err));
    json_decref(o);
    assert_int_equal(chdir(was), 0);
    free(was);
    valid(in_dir("stand"), &head);
}

static void killed_while_it_fills_a_folder_that_is_there_the_next_one_ends_it(void **state)
{
    (void)state;
    json_t *o;
    int n_killed = 0;
    char text[20];
    registry_here();
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof text, "version %d", i);
        add(text);
    }
    backed_up("copied");
    const struct journal_head head = head_of();
    registry_close(g);
    g = NULL;
    OK(file_mkdirs(in_dir("there"), &err));
    for (int i = 0; i < FEWER(40, 6) && !file_exists(in_dir("there/registry.db")); i++) {
        const pid_t pid = fork();
        if (!pid) {
            registry_restore(in_dir("backup"), in_dir("there"), &plain, &o, &err);
            _exit(0);
        }
        usleep((useconds_t)(1 + i * 2000));
        kill(pid, SIGKILL);
        int status;
        assert_true(waitpid(pid, &status, 0) == pid);
        n_killed += WIFSIGNALED(status);
    }
    print_message("%d were killed\n", n_killed);
    if (!file_exists(in_dir("there/registry.db"))) {
        if (file_exists(in_dir("there/.restoring/blobs")))
            OK(file_rename(in_dir("there/.restoring/blobs"), in_dir("there/blobs"), &err));      /* as if it had been killed between */
        OK(registry_restore(in_dir("backup"), in_dir("there"), &plain, &o, &err));
        json_decref(o);
    }
    valid(in_dir("there"), &head);
}

/* Backups and restores that are killed: the backup before is whole, the registry is there whole or not at all. */
static void killed_at_any_moment_nothing_is_half_there(void **state)
{
    (void)state;
    registry_here();
    char text[20];
    int n_killed = 0;
    for (int i = 0; i < 8; i++) {
        snprintf(text, sizeof text, "version %d", i);
        add(text);
        if (!i)
            backed_up("copied");
    }
    json_t *told;
    OK(registry_backup(g, in_dir("b.tar"), &plain, &told, &err));
    json_decref(told);
    registry_close(g);
    g = NULL;
    const char *where = on_postgres ? database_where : in_dir("registry");
    for (int i = 0; i < FEWER(40, 6); i++) {
        const pid_t pid = fork();
        if (!pid) {
            json_t *o;
            struct registry *own;
            if (i % 2 && !registry_open(&own, where, false, &err))
                registry_backup(own, in_dir(i % 4 == 1 ? "backup" : "b.tar"), &plain, &o, &err);
            else if (i % 2 == 0)
                registry_restore(in_dir(i % 4 == 0 ? "backup" : "b.tar"), in_dir("restored"), &plain, &o, &err);
            _exit(0);
        }
        usleep((useconds_t)(1 + i * 700));
        kill(pid, SIGKILL);
        int status;
        assert_true(waitpid(pid, &status, 0) == pid);
        n_killed += WIFSIGNALED(status);
        json_t *o;
        OK(registry_backup_check(in_dir("b.tar"), &o, &err));
        json_decref(o);
        OK(registry_backup_check(in_dir("backup"), &o, &err));
        const json_t *head = json_object_get(o, "head");
        struct journal_head h = { .seq = json_integer_value(json_object_get(head, "seq")) };
        snprintf(h.hash, sizeof h.hash, "%s", tree_text_at(head, "hash"));
        json_decref(o);
        if (!file_exists(in_dir("restored")))
            continue;
        struct registry *at;
        OK(registry_open(&at, in_dir("restored"), false, &err));
        OK(registry_verify(at, &(struct registry_verify_opts){ .no_blobs = false }, &o, &err));
        assert_true(json_is_true(json_object_get(o, "valid")) && json_integer_value(json_object_get(o, "records")) > 0);
        json_decref(o);
        registry_close(at);
        OK(file_remove_tree(in_dir("restored"), &err));
    }
    print_message("%d were killed\n", n_killed);
    json_t *o;
    OK(registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err));
    json_decref(o);
}

/* ---- recorded answers ---- */

#define HOUR ((int64_t)3600 * 1000000000)

/* Where answers lie with the registry. */
static const char *place(void)
{
    static char where[300];
    snprintf(where, sizeof where, "%s", on_postgres ? database_where : in_dir("registry"));
    return where;
}

static void record(const char *id, const char *user, int64_t gone)
{
    struct events *e;
    int64_t n;
    struct event ev = { .t = 5, .version = 1, .prompt_tokens = 7, .prompt_nll = 1.0 / 3, .prompt_nll_tokens = 2, .entropy = (double)NAN, .n_sketch = 2, .sketch = { 1, -0.5f }, .prompt = "what?", .answer = "that \"it\"\n" };
    snprintf(ev.id, sizeof ev.id, "%s", id);
    snprintf(ev.user, sizeof ev.user, "%s", user);
    strcpy(ev.model, "m"), strcpy(ev.finish, "stop");
    OK(events_open(&e, place(), true, &err));
    OK(db_begin(events_db(e), &err));
    OK(events_write(e, &ev, gone, &err));
    OK(db_commit(events_db(e), &err));
    OK(events_feedback(e, &(struct feedback){ .id = id, .choice = -1, .owner = "", .score = 0.25, .comment = "so so", .t = 6 }, gone, &n, &err));
    events_close(e);
}

static int64_t counted(json_t *o, const char *what)
{
    const int64_t n = json_integer_value(json_object_get(json_object_get(o, "events"), what));
    json_decref(o);
    return n;
}

struct found { int n; struct event ev; bool text; };

static int find(void *ctx, const struct event *ev, struct err *e)
{
    struct found *f = ctx;
    (void)e;
    f->n++, f->ev = *ev, f->text = ev->prompt && !strcmp(ev->prompt, "what?") && ev->answer && !strcmp(ev->answer, "that \"it\"\n");
    return 0;
}

/* As it was recorded, in the events at a place; its user is told by the same key. */
static void recorded_at(const char *at, const char *id, const char *user, bool text)
{
    struct events *e;
    struct found f = { 0 };
    char hash[EVENT_HMAC];
    OK(events_open(&e, at, false, &err));
    OK(events_find(e, id, find, &f, &err));
    OK(events_hash(e, user, hash, &err));
    assert_int_equal(f.n, 1);
    assert_true(f.ev.prompt_nll == 1.0 / 3 && isnan(f.ev.entropy) && f.ev.prompt_tokens == 7 && f.ev.n_sketch == 2 && f.ev.sketch[1] == -0.5f && f.ev.score == 0.25);
    assert_string_equal(f.ev.user, hash);
    assert_int_equal(f.text, text);
    events_close(e);
}

static void recorded_answers_come_back_by_the_same_key(void **state)
{
    (void)state;
    json_t *o;
    registry_here();
    add("one");
    OK(registry_backup(g, in_dir("backup"), &plain, &o, &err));
    assert_true(json_is_null(json_object_get(o, "events")) && json_is_false(json_object_get(o, "events_left")));
    json_decref(o);
    record("a", "anna", when_now() + HOUR), record("b", "ben", when_now() + HOUR);
    OK(registry_backup(g, in_dir("backup"), &plain, &o, &err));
    assert_true(json_is_true(json_object_get(o, "events_left")));
    json_decref(o);
    const struct registry_backup_opts numbers = { .events = place() }, texts = { .events = place(), .texts = true };
    OK(registry_backup(g, in_dir("numbers"), &numbers, &o, &err));
    assert_int_equal(counted(json_incref(o), "answers"), 2);
    assert_int_equal(counted(json_incref(o), "feedback"), 2);
    assert_int_equal(counted(o, "texts"), 0);
    OK(registry_backup(g, in_dir("backup"), &texts, &o, &err));
    assert_int_equal(counted(o, "texts"), 2);
    OK(registry_backup_check(in_dir("backup"), &o, &err));
    assert_int_equal(counted(o, "texts"), 2);
    OK(registry_restore(in_dir("numbers"), in_dir("r numbers"), &plain, &o, &err));
    json_decref(o);
    recorded_at(in_dir("r numbers"), "a", "anna", false);
    OK(registry_restore(in_dir("backup"), in_dir("r texts"), &plain, &o, &err));
    json_decref(o);
    recorded_at(in_dir("r texts"), "b", "ben", true);
    assert_false(file_exists(in_dir("r texts.restoring")));
    OK(registry_restore(in_dir("backup"), in_dir("r none"), &(struct registry_backup_opts){ .without_events = true }, &o, &err));
    json_decref(o);
    assert_false(file_exists(in_dir("r none/events.db")));
    OK(registry_restore(in_dir("numbers"), in_dir("r other"), &(struct registry_backup_opts){ .events = in_dir("away") }, &o, &err));      /* and again into what is there */
    json_decref(o);
    OK(registry_restore(in_dir("backup"), in_dir("r other 2"), &(struct registry_backup_opts){ .events = in_dir("away") }, &o, &err));
    json_decref(o);
    recorded_at(in_dir("away"), "a", "anna", true);
    assert_false(file_exists(in_dir("r other/events.db")));
    struct stat s;
    OK(stat(in_dir("away/events.db"), &s));
    assert_int_equal(s.st_mode & 077, 0);
    OK(stat(in_dir("away/events.db.key"), &s));
    assert_int_equal(s.st_mode & 077, 0);
}

static void a_backup_of_answers_follows_what_is_erased_and_what_is_over(void **state)
{
    (void)state;
    json_t *o;
    struct events *e;
    int64_t n;
    char **names;
    int n_name, n_event = 0;
    registry_here();
    add("one");
    const struct registry_backup_opts texts = { .events = place(), .texts = true };
    assert_int_equal(registry_backup(g, in_dir("backup"), &texts, &o, &err), ERR_NOTFOUND);       /* nothing was recorded */
    record("a", "anna", when_now() + HOUR), record("b", "ben", when_now() + 10 * HOUR);
    OK(registry_backup(g, in_dir("backup"), &texts, &o, &err));
    json_decref(o);
    assert_int_equal(registry_backup(g, in_dir("backup"), &plain, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "--events none"));
    OK(registry_backup_check(in_dir("backup"), &o, &err));
    assert_int_equal(counted(o, "answers"), 2);
    when_set(when_now() + 2 * HOUR);                         /* a's texts are over */
    OK(registry_restore(in_dir("backup"), in_dir("later"), &plain, &o, &err));
    json_decref(o);
    recorded_at(in_dir("later"), "a", "anna", false);
    recorded_at(in_dir("later"), "b", "ben", true);
    OK(events_open(&e, in_dir("later"), false, &err));
    OK(db_query_int(&n, events_db(e), -1, "SELECT count(*) FROM feedback WHERE comment IS NOT NULL", NULL, 0, &err));
    events_close(e);
    assert_int_equal(n, 1);
    OK(events_open(&e, place(), false, &err));
    OK(events_erase(e, "ben", &n, &err));
    events_close(e);
    OK(registry_backup(g, in_dir("backup"), &texts, &o, &err));
    assert_int_equal(counted(json_incref(o), "answers"), 1);
    assert_int_equal(counted(o, "texts"), 0);
    OK(file_list(in_dir("backup"), &names, &n_name, &err));
    for (int i = 0; i < n_name; i++)
        n_event += !strncmp(names[i], "events", 6);
    file_list_free(names, n_name);
    assert_int_equal(n_event, 1);
    OK(registry_backup(g, in_dir("backup"), &(struct registry_backup_opts){ .without_events = true }, &o, &err));
    json_decref(o);
    OK(registry_backup_check(in_dir("backup"), &o, &err));
    assert_true(json_is_null(json_object_get(o, "events")));
    json_decref(o);
}

static void changed_answers_are_refused_and_so_are_names_under_another_key(void **state)
{
    (void)state;
    json_t *o, *list;
    struct file_usage u;
    char path[300];
    registry_here();
    add("one");
    record("a", "anna", when_now() + HOUR), record("b", "ben", when_now() + HOUR);
    OK(registry_backup(g, in_dir("backup"), &(struct registry_backup_opts){ .events = place(), .texts = true }, &o, &err));
    json_decref(o);
    OK(tree_load(&list, in_dir("backup/backup.json"), 1 << 20, &err));
    snprintf(path, sizeof path, "%s/%s", in_dir("backup"), tree_text_at(json_object_get(list, "events"), "file"));
    json_decref(list);
    OK(file_usage(path, &u, &err));
    for (int64_t at = 0; at < (int64_t)u.bytes; at += FEWER(3, 101)) {
        flip(path, at);
        const int rc = registry_restore(in_dir("backup"), in_dir("restored"), &plain, &o, &err);
        if (rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED)
            fail_msg("byte %lld: %d %s", (long long)at, rc, rc ? err.msg : "");
        flip(path, at);
    }
    assert_false(file_exists(in_dir("restored")));
    struct events *e;
    OK(events_open(&e, in_dir("other"), true, &err));
    events_close(e);
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &(struct registry_backup_opts){ .events = in_dir("other") }, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "another key"));
    assert_false(file_exists(in_dir("restored")));
}

/* Of one database into the other, in a place that has nothing, with what was recorded. */
static void recorded_answers_change_their_database(void **state)
{
    (void)state;
    json_t *o;
    registry_here();
    if (!on_postgres)
        return;
    add("one");
    record("a", "anna", when_now() + HOUR);
    OK(registry_backup(g, in_dir("backup"), &(struct registry_backup_opts){ .events = place(), .texts = true }, &o, &err));
    json_decref(o);
    OK(db_script(registry_db(g), "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &err));
    registry_close(g);
    g = NULL;
    OK(file_remove_tree(in_dir("registry"), &err));
    OK(registry_restore(in_dir("backup"), in_dir("folder"), &plain, &o, &err));
    json_decref(o);
    recorded_at(in_dir("folder"), "a", "anna", true);
    OK(registry_open(&g, in_dir("folder"), false, &err));
    OK(registry_backup(g, in_dir("backup 2"), &(struct registry_backup_opts){ .events = in_dir("folder"), .texts = true }, &o, &err));
    json_decref(o);
    OK(registry_restore(in_dir("backup 2"), database_where, &plain, &o, &err));
    json_decref(o);
    recorded_at(database_where, "a", "anna", true);
}

/* ---- in one file ---- */

static void an_archive_is_the_folder_in_one_file(void **state)
{
    (void)state;
    json_t *o;
    registry_here();
    add("one"), add("two");
    record("a", "anna", when_now() + HOUR);
    const struct journal_head head = head_of();
    const struct registry_backup_opts texts = { .events = place(), .texts = true };
    OK(registry_backup(g, in_dir("b.tar"), &texts, &o, &err));
    assert_int_equal(json_integer_value(json_object_get(o, "blobs")), 6);
    assert_int_equal(counted(o, "texts"), 1);
    OK(registry_backup_check(in_dir("b.tar"), &o, &err));
    assert_int_equal(counted(o, "answers"), 1);
    OK(registry_restore(in_dir("b.tar"), in_dir("restored"), &plain, &o, &err));
    json_decref(o);
    valid(in_dir("restored"), &head);
    recorded_at(in_dir("restored"), "a", "anna", true);
    assert_false(file_exists(in_dir("restored/backup.json")) || file_exists(in_dir("restored.restoring")));
    struct stat s;
    OK(stat(in_dir("b.tar"), &s));
    assert_int_equal(s.st_mode & 077, 0);
    OK(file_mkdirs(in_dir("there"), &err));
    OK(registry_restore(in_dir("b.tar"), in_dir("there"), &plain, &o, &err));
    json_decref(o);
    valid(in_dir("there"), &head);
    assert_false(file_exists(in_dir("there/backup.json")) || file_exists(in_dir("there/.restoring")));
    /* What tar unpacks is a backup, and what tar makes of a backup's folder is an archive. */
    char command[900];
    OK(file_mkdirs(in_dir("unpacked"), &err));
    snprintf(command, sizeof command, "tar xf %s/b.tar -C %s/unpacked && tar cf %s/again.tar -C %s unpacked && tar cf %s/dot.tar -C %s/unpacked .", test_dir, test_dir, test_dir, test_dir, test_dir, test_dir);
    assert_int_equal(system(command), 0);
    OK(registry_backup_check(in_dir("unpacked"), &o, &err));
    json_decref(o);
    OK(registry_restore(in_dir("again.tar"), in_dir("restored 2"), &plain, &o, &err));
    json_decref(o);
    valid(in_dir("restored 2"), &head);
    OK(registry_backup_check(in_dir("dot.tar"), &o, &err));
    json_decref(o);
    if (!on_postgres)
        return;
    assert_int_equal(registry_restore(in_dir("b.tar"), database_where, &plain, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "already"));
    OK(db_script(registry_db(g), "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &err));
    registry_close(g);
    g = NULL;
    OK(file_remove_tree(in_dir("registry"), &err));
    OK(registry_restore(in_dir("b.tar"), database_where, &plain, &o, &err));
    json_decref(o);
    valid(database_where, &head);
    recorded_at(database_where, "a", "anna", true);
    assert_false(file_exists(in_dir("registry.restoring")));
}

static void cut(const char *from, const char *to, int64_t n)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(from, 1 << 24, &b, &err));
    OK(file_write_all(to, b.data, (size_t)n, &err));
    buf_release(&b);
}

/* A byte of padding may be changed and nothing said; all else is found, and then nothing is there. */
static void an_archive_that_was_changed_or_cut_restores_nothing(void **state)
{
    (void)state;
    json_t *o;
    registry_here();
    add("one");
    record("a", "anna", when_now() + HOUR);
    const struct journal_head head = head_of();
    OK(registry_backup(g, in_dir("b.tar"), &(struct registry_backup_opts){ .events = place(), .texts = true }, &o, &err));
    json_decref(o);
    struct file_usage u;
    OK(file_usage(in_dir("b.tar"), &u, &err));
    int n_found = 0;
    for (int64_t at = 0; at < (int64_t)u.bytes; at += FEWER(97, 4001)) {
        flip(in_dir("b.tar"), at);
        if (registry_restore(in_dir("b.tar"), in_dir("restored"), &plain, &o, &err)) {
            n_found++;
            assert_false(file_exists(in_dir("restored")) || file_exists(in_dir("restored.restoring")));
        } else {
            json_decref(o);
            valid(in_dir("restored"), &head);
            OK(file_remove_tree(in_dir("restored"), &err));
        }
        flip(in_dir("b.tar"), at);
    }
    print_message("%d changes were found\n", n_found);
    assert_true(n_found * 2 * FEWER(97, 4001) > (int)u.bytes);
    OK(registry_backup_check(in_dir("b.tar"), &o, &err));
    json_decref(o);
    for (int64_t n = 0; n < (int64_t)u.bytes - 10240; n += FEWER(512, 5120)) {
        char whole[300];
        snprintf(whole, sizeof whole, "%s", in_dir("b.tar"));
        cut(whole, in_dir("cut.tar"), n);
        const int rc = registry_restore(in_dir("cut.tar"), in_dir("restored"), &plain, &o, &err);
        if (rc != ERR_CORRUPT && rc != ERR_FORMAT)
            fail_msg("cut at %lld: %d", (long long)n, rc);
        assert_false(file_exists(in_dir("restored")) || file_exists(in_dir("restored.restoring")));
    }
}

/* A header of ustar, of a file of two bytes. */
static void put_tar(const char *name, char type, const char *target)
{
    char all[2048] = "";
    unsigned sum = 0;
    memset(all, 0, sizeof all);
    snprintf(all, 100, "%s", name);
    memcpy(all + 100, "0000644\0000000000\0000000000\000", 24);
    memcpy(all + 124, type == '0' ? "00000000002\00000000000000\000" : "00000000000\00000000000000\000", 24);
    memcpy(all + 148, "        ", 8);
    all[156] = type;
    snprintf(all + 157, 100, "%s", target);
    memcpy(all + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)all[i];
    snprintf(all + 148, 8, "%06o", sum);
    memcpy(all + 512, "{}", type == '0' ? 2 : 0);
    OK(file_write_all(in_dir("evil.tar"), all, sizeof all, &err));
}

static void an_archive_writes_nowhere_else(void **state)
{
    (void)state;
    json_t *o;
    static const char *const names[] = { "../backup.json", "/backup.json", "../../blobs/sha256/44/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "a/b/backup.json", "journal-1.jsonl/x",
                                         "journal-/../../x.jsonl", "blobs/sha256/45/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "blobs/sha256/44/x", "blobs/../backup.json", "registry.db", "events.db" };
    registry_here();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        put_tar(names[i], '0', "");
        const int rc = registry_restore(in_dir("evil.tar"), in_dir("restored"), &plain, &o, &err);
        if (rc != ERR_FORMAT)
            fail_msg("%s: %d %s", names[i], rc, rc ? err.msg : "");
        assert_false(file_exists(in_dir("restored")) || file_exists(in_dir("restored.restoring")) || file_exists(in_dir("backup.json")) || file_exists(in_dir("x.jsonl")));
    }
    for (const char *type = "123456"; *type; type++) {
        put_tar("backup.json", *type, "../../etc/passwd");
        assert_int_equal(registry_restore(in_dir("evil.tar"), in_dir("restored"), &plain, &o, &err), ERR_FORMAT);
        assert_false(file_exists(in_dir("restored")) || file_exists(in_dir("restored.restoring")));
    }
    put_tar("blobs/sha256/44/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", '0', "");       /* which it is, but of no backup */
    assert_int_equal(registry_restore(in_dir("evil.tar"), in_dir("restored"), &plain, &o, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "no backup.json"));
    put_tar("blobs/sha256/44/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8b", '0', "");
    assert_int_equal(registry_restore(in_dir("evil.tar"), in_dir("restored"), &plain, &o, &err), ERR_CORRUPT);
    assert_int_equal(registry_backup_check(in_dir("evil.tar"), &o, &err), ERR_FORMAT);
    assert_int_equal(registry_backup_check("-", &o, &err), ERR_USAGE);
}

#define R(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
static const struct CMUnitTest backup[] = {
    R(a_backup_of_either_database_becomes_either),
    R(only_what_is_new_is_copied_and_dropped_bytes_are_not_missed),
    R(what_was_changed_or_cut_is_refused_by_name),
    R(a_damaged_registry_is_not_backed_up),
    R(recorded_answers_come_back_by_the_same_key),
    R(a_backup_of_answers_follows_what_is_erased_and_what_is_over),
    R(changed_answers_are_refused_and_so_are_names_under_another_key),
    R(recorded_answers_change_their_database),
    R(an_archive_is_the_folder_in_one_file),
    R(an_archive_that_was_changed_or_cut_restores_nothing),
    R(an_archive_writes_nowhere_else),
    R(killed_at_any_moment_nothing_is_half_there),
    R(a_folder_that_is_there_stays_and_is_filled),
    R(killed_while_it_fills_a_folder_that_is_there_the_next_one_ends_it),
};

int main(void) { return ON_BOTH_DATABASES(backup); }
