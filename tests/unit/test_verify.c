/* test_verify.c - a registry that was changed behind its journal's back is found out, and where. */
#include "../registries.h"
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/about.h"
#include "store/gate_policy.h"
#include "store/registry_apply.h"
#include "store/registry_gc.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;

/* Two versions with all that can be said of them. */
static void fill(void)
{
    struct registry_version v;
    char path[200];
    const char *evidence[] = { path };
    const struct registry_parent parent = { "org/base", "base" };
    snprintf(path, sizeof path, "%s/evidence.json", test_dir);
    put_in_dir("evidence.json", "{\"kind\": \"speed\", \"figures\": []}");
    for (int i = 0; i < 2; i++) {
        put_in_dir("new/weights", i ? "two" : "one");
        OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .evidence = evidence, .n_evidence = 1, .parent = &parent, .n_parent = 1 }, &by, &v, &err));
    }
    json_t *policy = json_pack("{s:s}", "compare", "not worse");
    OK(registry_policy_set(g, "m", "strict", policy, &by, &err));
    json_decref(policy);
    struct release_move m = { .name = "m", .alias = "production", .number = 1, .expect = -1 };
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
    m.number = 2, m.mode = RELEASE_CANARY, m.share = 100;
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
}

static int begin(void **state)
{
    if (registry_begin(state))
        return -1;
    if (!*database_where)
        return 0;
    registry_here();
    fill();
    return 0;
}

/* How many findings; *first: a copy of the first one's text. */
static size_t findings(const struct registry_verify_opts *o, char first[1500])
{
    json_t *out;
    OK(registry_verify(g, o, &out, &err));
    const json_t *list = json_object_get(out, "findings"), *f = json_array_get(list, 0);
    const size_t n = json_array_size(list);
    assert_true(json_is_true(json_object_get(out, "valid")) == (n == 0));
    snprintf(first, 1500, "%s: %s: %s", tree_text_at(f, "part"), tree_text_at(f, "where"), tree_text_at(f, "what"));
    json_decref(out);
    return n;
}

static const struct registry_verify_opts all = { .no_blobs = false }, rows = { .no_blobs = true };

static void a_registry_that_nobody_touched_is_valid(void **state)
{
    (void)state;
    database();
    char first[1500], *path;
    struct registry_version v;
    OK(registry_find_text(g, "m@1", &v, &err));
    OK(registry_path(g, &v, &path, &err));
    mem_free(path);
    if (findings(&all, first))
        fail_msg("%s", first);
    json_t *out;
    OK(registry_verify(g, &all, &out, &err));
    assert_int_equal(json_integer_value(json_object_get(out, "records")), 9);
    assert_int_equal(json_integer_value(json_object_get(out, "blobs")), 7);         /* 2 weights, 2 manifests, facts, evidence, policy */
    json_decref(out);
}

static void every_byte_of_every_blob_counts(void **state)
{
    (void)state;
    database();
    char root[200];
    snprintf(root, sizeof root, "%s/registry/blobs/sha256", test_dir);
    char **dirs, **names;
    int n_dir, n, n_blob = 0;
    OK(file_list(root, &dirs, &n_dir, &err));
    for (int i = 0; i < n_dir; i++) {
        OK(file_list(path_in(root, dirs[i]), &names, &n, &err));
        for (int k = 0; k < n; k++, n_blob++) {
            char path[400], first[1500];
            snprintf(path, sizeof path, "%.190s/%.3s/%.70s", root, dirs[i], names[k]);
            assert_int_equal(chmod(path, 0644), 0);
            struct buf text;
            buf_init(&text);
            OK(file_read(path, 10000, &text, &err));
            for (size_t at = 0; at < text.len; at += FEWER(1, 7))
                for (int bit = 0; bit < 8; bit += 7) {
                    FILE *f = fopen(path, "r+");
                    fseek(f, (long)at, SEEK_SET);
                    fputc(text.data[at] ^ (1 << bit), f);
                    fclose(f);
                    assert_int_equal(findings(&all, first) > 0, 1);
                    assert_non_null(strstr(first, names[k]));
                    f = fopen(path, "r+");
                    fseek(f, (long)at, SEEK_SET);
                    fputc(text.data[at], f);
                    fclose(f);
                }
            assert_int_equal(truncate(path, (off_t)text.len - 1), 0);
            assert_true(findings(&all, first) > 0);
            assert_int_equal(unlink(path), 0);
            assert_true(findings(&rows, first) > 0);
            assert_non_null(strstr(first, names[k]));
            OK(file_write_all(path, text.data, text.len, &err));
            assert_int_equal(findings(&all, first), 0);
            buf_release(&text);
        }
        file_list_free(names, n);
    }
    file_list_free(dirs, n_dir);
    assert_int_equal(n_blob, 7);
}

static void where_a_large_blob_was_changed_is_told(void **state)
{
    (void)state;
    database();
    static char text[100000];
    static const size_t places[] = { 0, 63, 64, 50000, sizeof text - 1 };
    char id[BLOB_ID], folder[100];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 255);
    snprintf(folder, sizeof folder, "%s/registry", test_dir);
    OK(blob_put(folder, text, sizeof text, id, &err));
    OK(blob_check(folder, id, sizeof text, &err));
    char *path = blob_path(folder, id);
    assert_int_equal(chmod(path, 0644), 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        FILE *f = fopen(path, "r+");
        fseek(f, (long)places[i], SEEK_SET);
        fputc(text[places[i]] ^ 1, f);
        fclose(f);
        unsigned long long from = 1, to = 0;
        assert_int_equal(blob_check(folder, id, sizeof text, &err), ERR_CORRUPT);
        const char *told = strstr(err.msg, "it was changed between byte ");
        assert_non_null(told);
        assert_int_equal(sscanf(told, "it was changed between byte %llu and byte %llu", &from, &to), 2);
        assert_true(from <= places[i] && places[i] <= to && to - from < 64 && to < sizeof text);
        f = fopen(path, "r+");
        fseek(f, (long)places[i], SEEK_SET);
        fputc(text[places[i]], f);
        fclose(f);
    }
    OK(blob_check(folder, id, sizeof text, &err));
    assert_int_equal(truncate(path, 5000), 0);                /* another length: no place is told */
    assert_int_equal(blob_check(folder, id, BLOB_ANY_LENGTH, &err), ERR_CORRUPT);
    assert_null(strstr(err.msg, "between byte"));
    char pieces[300];
    snprintf(pieces, sizeof pieces, "%s.pieces", path);
    OK(file_write_all(pieces, "damaged", 7, &err));
    assert_int_equal(blob_check(folder, id, BLOB_ANY_LENGTH, &err), ERR_CORRUPT);
    assert_null(strstr(err.msg, "between byte"));
    OK(blob_put(folder, text, sizeof text, id, &err));         /* put again, it is whole */
    OK(blob_check(folder, id, sizeof text, &err));
    mem_free(path);
}

/* Changes a text column of the rows that match, one byte after the other. */
static void each_byte_of_the_journal(const char *column)
{
    int64_t n_record;
    OK(db_query_int(&n_record, registry_db(g), 0, "SELECT count(*) FROM journal", NULL, 0, &err));
    for (int64_t seq = 1; seq <= n_record; seq++) {
        char sql[100], change[100], text[3000], where[60], first[1500];
        struct db_rows *r;
        snprintf(sql, sizeof sql, "SELECT %s FROM journal WHERE seq = $1", column);
        snprintf(change, sizeof change, "UPDATE journal SET %s = $1 WHERE seq = $2", column);
        OK(db_query(&r, registry_db(g), sql, DB_ARGS(DB_I(seq)), &err));
        assert_int_equal(db_next(r, &err), 1);
        snprintf(text, sizeof text, "%s", db_text(r, 0));
        db_rows_free(r);
        for (size_t at = 0, n = strlen(text); at < n; at += FEWER(1, 7)) {
            text[at] ^= 1;
            OK(db_run(registry_db(g), change, DB_ARGS(DB_T(text), DB_I(seq)), NULL, &err));
            assert_true(findings(&rows, first) > 0);
            snprintf(where, sizeof where, "journal: record %lld: ", (long long)seq);
            if (!strstr(first, where))
                fail_msg("byte %zu of %s of record %lld: found '%s'", at, column, (long long)seq, first);
            text[at] ^= 1;
        }
        OK(db_run(registry_db(g), change, DB_ARGS(DB_T(text), DB_I(seq)), NULL, &err));
    }
}

static void every_byte_of_every_record_counts(void **state)
{
    (void)state;
    database();
    each_byte_of_the_journal("record");
    each_byte_of_the_journal("hash");
    each_byte_of_the_journal("t");
    each_byte_of_the_journal("name");
}

/* A version that nothing needs, and whose bytes went for a quota. */
static void drop_one(void)
{
    struct registry_version v;
    json_t *out;
    put_in_dir("old/weights", "of before");
    OK(registry_add(g, &(struct registry_addition){ .name = "old", .kind = "model", .path = in_dir("old") }, &by, &v, &err));
    OK(registry_gc(g, &(struct registry_gc_opts){ .has_quota = true }, &by, &out, &err));
    assert_int_equal(json_array_size(json_object_get(out, "dropped")), 1);
    json_decref(out);
}

static void every_value_of_every_table_counts(void **state)
{
    (void)state;
    database();
    drop_one();
    OK(registry_say(g, &(struct registry_said){ .name = "m", .number = 1, .key = "task", .value = "help desk" }, &by, &err));
    OK(db_script(registry_db(g), on_postgres ? "SET session_replication_role = replica" : "PRAGMA foreign_keys=OFF", &err));
    int n_changed = 0;
    for (const struct registry_table *t = registry_tables; t->name; t++) {
        char names[200], *rest = names, *column, sql[200], first[1500];
        snprintf(names, sizeof names, "%s", t->columns);
        while ((column = strsep(&rest, ", "))) {
            if (!*column)
                continue;
            const bool number = !strcmp(column, "number") || !strcmp(column, "seq") || !strcmp(column, "bytes") || !strcmp(column, "share") || !strcmp(column, "candidate");
            OK(db_begin(registry_db(g), &err));
            snprintf(sql, sizeof sql, number ? "UPDATE %s SET %s = %s + 7" : "UPDATE %s SET %s = %s || 'x'", t->name, column, column);
            OK(db_run(registry_db(g), sql, NULL, 0, NULL, &err));
            OK(db_commit(registry_db(g), &err));
            if (!findings(&rows, first) || strncmp(first, "tables: ", 8))
                fail_msg("%s.%s: found '%s'", t->name, column, first);
            snprintf(sql, sizeof sql, number ? "UPDATE %s SET %s = %s - 7" : "UPDATE %s SET %s = substr(%s, 1, length(%s) - 1)", t->name, column, column, column);
            OK(db_run(registry_db(g), sql, NULL, 0, NULL, &err));
            assert_int_equal(findings(&rows, first), 0);
            n_changed++;
        }
    }
    assert_int_equal(n_changed, 3 + 8 + 8 + 4 + 10 + 4 + 6 + 5);
}

static void rows_that_are_missing_or_too_many_are_named(void **state)
{
    (void)state;
    database();
    char first[1500];
    OK(db_run(registry_db(g), "INSERT INTO lineage (child, parent, role, seq) VALUES ('m@1', 'x', 'data', 3)", NULL, 0, NULL, &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_string_equal(first, "tables: lineage m@1 x data: is a row that the journal does not know");
    OK(db_run(registry_db(g), "DELETE FROM lineage WHERE parent = 'x' OR child = 'm@2'", NULL, 0, NULL, &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_string_equal(first, "tables: lineage m@2 org/base base: is a row of the journal that is missing");
    OK(db_run(registry_db(g), "UPDATE alias SET number = 2", NULL, 0, NULL, &err));
    assert_int_equal(findings(&rows, first), 2);
    OK(db_run(registry_db(g), "DELETE FROM journal WHERE seq = 4", NULL, 0, NULL, &err));
    assert_true(findings(&rows, first) > 2);
    assert_string_equal(first, "journal: record 5: does not follow on the one before: some are missing");
}

static void a_journal_that_was_cut_or_made_anew_is_found_by_its_head(void **state)
{
    (void)state;
    database();
    struct journal_head head;
    char first[1500];
    OK(journal_head(&head, registry_db(g), &err));
    const struct registry_verify_opts noted = { .no_blobs = true, .seq = head.seq, .hash = head.hash };
    assert_int_equal(findings(&noted, first), 0);
    const struct registry_verify_opts other = { .no_blobs = true, .seq = head.seq - 1, .hash = head.hash };
    assert_int_equal(findings(&other, first), 1);
    OK(db_run(registry_db(g), "DELETE FROM journal WHERE seq = $1", DB_ARGS(DB_I(head.seq)), NULL, &err));
    assert_true(findings(&noted, first) > 0);
    assert_string_equal(first, "journal: record 9: is noted, but the journal ends before it");
}

static void a_view_that_is_not_of_the_blobs_is_found(void **state)
{
    (void)state;
    database();
    char first[1500], *path;
    struct registry_version v;
    OK(registry_find_text(g, "m@1", &v, &err));
    OK(registry_path(g, &v, &path, &err));
    OK(file_write_all(path_in(path, "extra"), "x", 1, &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_non_null(strstr(first, "/extra: is no file of the version"));
    assert_int_equal(unlink(path_in(path, "extra")), 0);
    OK(file_write_all(path_in(path, "weights"), "one", 3, &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_non_null(strstr(first, "/weights: is not the version's blob"));
    mem_free(path);
}

static const struct CMUnitTest verify[] = {
#define R(name) cmocka_unit_test_setup_teardown(name, begin, registry_end)
    R(a_registry_that_nobody_touched_is_valid),
    R(every_byte_of_every_blob_counts),
    R(where_a_large_blob_was_changed_is_told),
    R(every_byte_of_every_record_counts),
    R(every_value_of_every_table_counts),
    R(rows_that_are_missing_or_too_many_are_named),
    R(a_journal_that_was_cut_or_made_anew_is_found_by_its_head),
    R(a_view_that_is_not_of_the_blobs_is_found),
};

/* ---- SQLite's file ---- */

/* Each byte of the file: either it is found, or nothing that can be read is another than before. */
static void bytes_of_the_file_are_found_or_hold_nothing(void **state)
{
    (void)state;
    char path[200], first[1500];
    snprintf(path, sizeof path, "%s/registry/registry.db", test_dir);
    registry_close(g);
    g = NULL;
    struct buf text;
    buf_init(&text);
    OK(file_read(path, 10 << 20, &text, &err));
    int n_found = 0, n_same = 0;
    for (size_t at = 0; at < text.len; at += FEWER(97, 1999)) {
        text.data[at] ^= 4;
        OK(file_write_all(path, text.data, text.len, &err));
        text.data[at] ^= 4;
        bool found = registry_open(&g, in_dir("registry"), true, &err) != 0;
        if (!found) {
            json_t *out = NULL;
            found = registry_verify(g, &rows, &out, &err) != 0 || !json_is_true(json_object_get(out, "valid"));
            json_decref(out);
        }
        n_found += found, n_same += !found;
        registry_close(g);
        g = NULL;
        unlink(in_dir("registry/registry.db-wal")), unlink(in_dir("registry/registry.db-shm"));
    }
    OK(file_write_all(path, text.data, text.len, &err));
    buf_release(&text);
    OK(registry_open(&g, in_dir("registry"), true, &err));
    assert_int_equal(findings(&all, first), 0);
    print_message("of %d bytes %d were found, %d hold nothing\n", n_found + n_same, n_found, n_same);
    assert_true(n_found > FEWER(50, 2));
}

static void what_follows_a_nul_is_found(void **state)
{
    (void)state;
    char first[1500];
    OK(db_script(registry_db(g), "UPDATE version SET t = t || char(0) || 'x' WHERE number = 1", &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_memory_equal(first, "tables: version m 1: t is '", 27);
    OK(db_script(registry_db(g), "UPDATE version SET t = substr(t, 1, 30) WHERE number = 1", &err));
    assert_int_equal(findings(&rows, first), 0);
    OK(db_script(registry_db(g), "UPDATE journal SET record = record || char(0) || 'x' WHERE seq = 2", &err));
    assert_true(findings(&rows, first) > 0);
    assert_string_equal(first, "journal: record 2: has a NUL in it: it was changed");
}

static void a_schema_that_was_changed_is_found(void **state)
{
    (void)state;
    char first[1500];
    OK(db_script(registry_db(g), "CREATE TRIGGER evil AFTER INSERT ON alias BEGIN UPDATE alias SET number = 1; END", &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_string_equal(first, "tables: sqlite_master trigger evil: is nothing that the schema has");
    OK(db_script(registry_db(g), "DROP TRIGGER evil; DROP INDEX journal_name", &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_string_equal(first, "tables: sqlite_master index journal_name: is a part of the schema that is missing");
    OK(db_script(registry_db(g), "CREATE INDEX journal_name ON journal (name)", &err));
    assert_int_equal(findings(&rows, first), 1);
    assert_string_equal(first, "tables: sqlite_master index journal_name: sql is 'CREATE INDEX journal_name ON journal (name)', the schema has 'CREATE INDEX journal_name ON journal (name, seq)'");
    OK(db_script(registry_db(g), "DROP INDEX journal_name; CREATE INDEX journal_name ON journal (name, seq); ANALYZE", &err));
    assert_int_equal(findings(&rows, first), 0);
}

/* Readers and writers alike: what blobs there are would else belong to a new, empty registry. */
static void a_database_that_was_cut_to_nothing_is_no_new_one(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s", in_dir("registry/registry.db"));
    for (int bytes = 0; bytes < 2; bytes++)
        for (int make = 0; make < 2; make++) {
            registry_close(g);
            g = NULL;
            unlink(in_dir("registry/registry.db-wal")), unlink(in_dir("registry/registry.db-shm"));
            OK(file_write_all(path, "S", (size_t)bytes, &err));
            assert_int_equal(registry_open(&g, in_dir("registry"), make, &err), ERR_CORRUPT);
            assert_non_null(strstr(err.msg, "registry.db has"));
            struct stat s;
            assert_true(!stat(path, &s) && s.st_size == bytes);
        }
    struct db *db;
    unlink(path);
    OK(db_open(&db, path, &err));                           /* a database, of something else */
    OK(db_script(db, "CREATE TABLE x (y TEXT)", &err));
    db_close(db);
    for (int make = 0; make < 2; make++)
        assert_int_equal(registry_open(&g, in_dir("registry"), make, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "registry.db has no tables of a registry"));
    unlink(path);
    assert_int_equal(registry_open(&g, in_dir("registry"), false, &err), ERR_NOTFOUND);
    OK(registry_open(&g, in_dir("registry"), true, &err));
}

static const struct CMUnitTest file[] = {
    R(bytes_of_the_file_are_found_or_hold_nothing), R(what_follows_a_nul_is_found), R(a_schema_that_was_changed_is_found), R(a_database_that_was_cut_to_nothing_is_no_new_one),
};

int main(void)
{
    const int rc = cmocka_run_group_tests(file, NULL, NULL);
    return rc | ON_BOTH_DATABASES(verify);
}
