/* test_registry_backup.c - backups of either database into either, whole or not at all. */
#include "../registries.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/registry_backup.h"
#include "store/registry_gc.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;

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
    OK(registry_backup(g, in_dir("backup"), &o, &err));
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
    OK(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err));
    json_decref(o);
    valid(in_dir("restored"), &head);
    assert_false(file_exists(in_dir("restored.restoring")));
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err), ERR_USAGE);
    if (!on_postgres)
        return;
    assert_int_equal(registry_restore(in_dir("backup"), database_where, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "already"));
    OK(db_script(registry_db(g), "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &err));
    registry_close(g);
    g = NULL;
    OK(file_remove_tree(in_dir("registry"), &err));
    OK(registry_open(&g, in_dir("restored"), false, &err));
    OK(registry_backup(g, in_dir("backup 2"), &o, &err));
    json_decref(o);
    OK(registry_restore(in_dir("backup 2"), database_where, &o, &err));
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
    OK(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err));
    json_decref(o);
    valid(in_dir("restored"), &head);
    assert_int_equal(registry_backup(g, in_dir("new"), &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "has 'weights' in it"));
    struct registry *other;
    struct registry_version v;
    OK(registry_open(&other, in_dir("other"), true, &err));
    OK(registry_add(other, &(struct registry_addition){ .name = "x", .kind = "model", .path = in_dir("new") }, &by, &v, &err));
    assert_int_equal(registry_backup(other, in_dir("backup"), &o, &err), ERR_USAGE);
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
        const int rc = registry_restore(in_dir("backup"), in_dir("restored"), &o, &err);
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
        assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, id));
        flip(blob, json_integer_value(bytes) / 2);
        mem_free(blob);
    }
    json_decref(list);
    assert_false(file_exists(in_dir("restored")));
    OK(registry_backup_check(in_dir("backup"), &o, &err));
    json_decref(o);
    put_in_dir("backup/backup.json", "{\"format\": \"another's\"}");
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err), ERR_FORMAT);
    put_in_dir("backup/backup.json", "{\"format\": \"lathe registry backup\", \"version\": 2}");
    assert_int_equal(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err), ERR_UNSUPPORTED);
    assert_int_equal(registry_restore(in_dir("nothing"), in_dir("restored"), &o, &err), ERR_FORMAT);
}

static void a_damaged_registry_is_not_backed_up(void **state)
{
    (void)state;
    registry_here();
    add("one");
    json_t *o;
    OK(db_run(registry_db(g), "UPDATE journal SET record = replace(record, 'tester', 'someone') WHERE seq = 2", NULL, 0, NULL, &err));
    assert_int_equal(registry_backup(g, in_dir("backup"), &o, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "record 2 of the journal"));
    assert_false(file_exists(in_dir("backup/backup.json")));
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
    registry_close(g);
    g = NULL;
    const char *where = on_postgres ? database_where : in_dir("registry");
    for (int i = 0; i < FEWER(40, 6); i++) {
        const pid_t pid = fork();
        if (!pid) {
            json_t *o;
            struct registry *own;
            if (i % 2 && !registry_open(&own, where, false, &err))
                registry_backup(own, in_dir("backup"), &o, &err);
            else if (i % 2 == 0)
                registry_restore(in_dir("backup"), in_dir("restored"), &o, &err);
            _exit(0);
        }
        usleep((useconds_t)(1 + i * 700));
        kill(pid, SIGKILL);
        int status;
        assert_true(waitpid(pid, &status, 0) == pid);
        n_killed += WIFSIGNALED(status);
        json_t *o;
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
    OK(registry_restore(in_dir("backup"), in_dir("restored"), &o, &err));
    json_decref(o);
}

#define R(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
static const struct CMUnitTest backup[] = {
    R(a_backup_of_either_database_becomes_either),
    R(only_what_is_new_is_copied_and_dropped_bytes_are_not_missed),
    R(what_was_changed_or_cut_is_refused_by_name),
    R(a_damaged_registry_is_not_backed_up),
    R(killed_at_any_moment_nothing_is_half_there),
};

int main(void) { return ON_BOTH_DATABASES(backup); }
