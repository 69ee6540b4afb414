/* test_registry.c - versions, aliases, releases and the journal, on SQLite and on PostgreSQL. */
#include "../registries.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/gate_policy.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;

static struct registry_version added(const char *name, const char *text)
{
    struct registry_version v;
    put_in_dir("new/weights", text);
    put_in_dir("new/sub/config", "{}");
    OK(registry_add(g, &(struct registry_addition){ .name = name, .kind = "model", .path = in_dir("new") }, &by, &v, &err));
    return v;
}

static struct release_move to(const char *alias, int64_t number, enum release_mode mode)
{
    return (struct release_move){ .name = "m", .alias = alias, .number = number, .mode = mode, .share = mode == RELEASE_CANARY ? 100 : 0, .expect = -1 };
}

static int promote(const char *alias, int64_t number, enum release_mode mode)
{
    const struct release_move m = to(alias, number, mode);
    return registry_promote(g, &m, &by, NULL, NULL, &err);
}

static struct registry_release release(const char *alias)
{
    struct registry_release r;
    OK(registry_release_get(g, "m", alias, &r, &err));
    return r;
}

static int64_t records(void)
{
    struct journal_head h;
    OK(journal_head(&h, registry_db(g), &err));
    return h.seq;
}

/* ---- records ---- */

static int no_record(void *ctx, json_t *record, struct err *e) { return (void)ctx, (void)record, (void)e, 0; }

static int count_bad(void *ctx, int64_t seq, const char *what, struct err *e)
{
    (void)seq, (void)e;
    print_message("%s\n", what);
    ++*(int *)ctx;
    return 0;
}

static int bad_records(void)
{
    int n = 0;
    struct journal_head h;
    OK(journal_walk(registry_db(g), no_record, count_bad, &n, &h, &err));
    return n;
}

/* RFC 8785, appendix B, but for whole numbers from 1e18 on.  Those that were written with 17 digits, or by a library that writes fewer, are canonical, too; what is no number is compared as it is. */
static void numbers_of_records_are_as_rfc_8785_has_them(void **state)
{
    (void)state;
    registry_here();
    static const char expected[] = "\"n\":[0,5e-324,-5e-324,1.7976931348623157e+308,9007199254740992,2.9514790517935283e+20,9.999999999999997e+22,1e+23,1.0000000000000001e+23,9.999999999999997e+20,1e+21,"
                                   "9.999999999999997e-7,0.000001,333333333.3333332,333333333.33333325,-0.0000033333333333333333,1424953923781206.2,0.7,50,1e-7,123.5,7]";
    const double of[] = { -0.0, 5e-324, -5e-324, 1.7976931348623157e+308, 9007199254740992, 295147905179352830000., 9.999999999999997e+22, 1e+23, 1.0000000000000001e+23, 999999999999999700000., 1e21,
                          9.999999999999997e-7, 1e-6, 333333333.3333332, 333333333.33333325, -0.0000033333333333333333, 1424953923781206.2, 0.7, 50, 1e-7, 123.5 };
    static const struct { const char *from, *to; int bad; } changes[] = {
        { ",0.7,50,", ",0.69999999999999996,50.0,", 0 }, { "7]", "8.0]", 0 }, { ":[0", ": [0", 1 }, { "\"m\"", "\"\\u006d\"", 1 }, { ",7]", ",07]", 1 },
    };
    json_t *record = json_pack("{s:s, s:s, s:[]}", "action", "collect", "name", "m", "n"), *n = json_object_get(record, "n");
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        json_array_append_new(n, json_real(of[i]));
    json_array_append_new(n, json_integer(7));
    struct journal_head h;
    struct db_rows *r;
    OK(db_begin(registry_db(g), &err));
    OK(journal_append(&h, registry_db(g), record, &by, &err));
    OK(db_commit(registry_db(g), &err));
    json_decref(record);
    OK(db_query(&r, registry_db(g), "SELECT record FROM journal", NULL, 0, &err));
    assert_int_equal(db_next(r, &err), 1);
    char *text = mem_strdup(db_text(r, 0));
    db_rows_free(r);
    if (!strstr(text, expected))
        fail_msg("found %s", text);
    assert_int_equal(bad_records(), 0);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *at = strstr(text, changes[i].from);
        char hash[SHA256_HEX], *other = mem_printf("%.*s%s%s", (int)(at - text), text, changes[i].to, at + strlen(changes[i].from));
        OK(sha256_of(other, strlen(other), hash, &err));
        OK(db_run(registry_db(g), "UPDATE journal SET record = $1, hash = $2", DB_ARGS(DB_T(other), DB_T(hash)), NULL, &err));
        if (bad_records() != changes[i].bad)
            fail_msg("found %d, expected %d of %s", !changes[i].bad, changes[i].bad, other);
        mem_free(other);
    }
    mem_free(text);
}

/* ---- names and places ---- */

static void names_versions_and_aliases_are_told_apart(void **state)
{
    (void)state;
    static const struct { const char *text, *name, *alias; int64_t number; } good[] = {
        { "m", "m", "", 0 }, { "m@1", "m", "", 1 }, { "a.b-c_D@production", "a.b-c_D", "production", 0 }, { "m@1a", "m", "1a", 0 }, { "7@7", "7", "", 7 }, { "m@999999999999999", "m", "", 999999999999999 },
    };
    static const char *const bad[] = { "", "@1", "m@", "m@0", "m@01", "m@-1", "m@1@2", "a/b", ".m", "-m", "m n", "m@a/b", "m@..", "\xc3\xa4", "m@9999999999999999" };
    struct registry_ref ref;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(registry_ref_parse(&ref, good[i].text, &err));
        assert_string_equal(ref.name, good[i].name);
        assert_string_equal(ref.alias, good[i].alias);
        assert_true(ref.number == good[i].number);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (registry_ref_parse(&ref, bad[i], &err) != ERR_USAGE)
            fail_msg("'%s' was taken", bad[i]);
    char text[120];
    memset(text, 'a', sizeof text);
    text[97] = 0;
    assert_int_equal(registry_ref_parse(&ref, text, &err), ERR_USAGE);
    text[96] = 0;
    OK(registry_ref_parse(&ref, text, &err));
}

static void a_registry_that_is_not_there_is_said(void **state)
{
    (void)state;
    assert_int_equal(registry_open(&g, in_dir("none"), false, &err), ERR_NOTFOUND);
    assert_false(file_exists(in_dir("none")));
    char *where;
    setenv("LATHE_REGISTRY", "/somewhere", 1);
    OK(registry_where(&where, &err));
    assert_string_equal(where, "/somewhere");
    mem_free(where);
    unsetenv("LATHE_REGISTRY");
    OK(registry_where(&where, &err));
    assert_string_equal(where, in_dir("registry"));
    mem_free(where);
}

static void a_registry_of_a_newer_program_is_left_alone(void **state)
{
    (void)state;
    registry_here();
    OK(db_run(registry_db(g), "UPDATE lathe_schema SET version = 99", NULL, 0, NULL, &err));
    registry_close(g);
    g = NULL;
    assert_int_equal(registry_open(&g, on_postgres ? database_where : in_dir("registry"), true, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "needs a newer lathe"));
}

/* ---- tables of before ---- */

static void copy_tree(const char *from, const char *to)
{
    char **names, a[600], b[600];
    int n;
    OK(file_mkdirs(to, &err));
    OK(file_list(from, &names, &n, &err));
    for (int i = 0; i < n; i++) {
        struct buf text;
        snprintf(a, sizeof a, "%.400s/%.150s", from, names[i]), snprintf(b, sizeof b, "%.400s/%.150s", to, names[i]);
        if (file_is_dir(a)) {
            copy_tree(a, b);
            continue;
        }
        buf_init(&text);
        OK(file_read(a, 1 << 20, &text, &err));
        OK(file_write_all(b, text.data, text.len, &err));
        buf_release(&text);
    }
    file_list_free(names, n);
}

static const char *where_it_is(void) { return on_postgres ? database() : in_dir("registry"); }

/* A registry of version 2 of the tables, as a program of then wrote it. */
static void put_old_registry(void)
{
    struct buf sql;
    struct db *db;
    database();
    OK(file_remove_tree(in_dir("registry"), &err));
    copy_tree("tests/golden/registry_2/blobs", in_dir("registry/blobs"));
    buf_init(&sql);
    OK(file_read("tests/golden/registry_2/registry.sql", 1 << 20, &sql, &err));
    OK(db_open(&db, where_it_is(), &err));
    if (on_postgres)
        OK(db_script(db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &err));
    OK(db_script(db, sql.data, &err));
    db_close(db);
    buf_release(&sql);
}

static void is_whole_and_new(void)
{
    int64_t version;
    json_t *o;
    OK(registry_open(&g, where_it_is(), false, &err));
    OK(db_version(registry_db(g), "the registry", &version, &err));
    assert_true(version >= 3);
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &o, &err));
    if (!json_is_true(json_object_get(o, "valid")))
        fail_msg("%s", json_dumps(o, 0));
    assert_int_equal(json_integer_value(json_object_get(o, "records")), records());
    json_decref(o);
    const struct registry_release r = release("production");
    assert_true(r.stable == 1 && r.candidate == 2 && r.share == 100);
}

static void a_registry_of_an_older_program_is_brought_up_and_goes_on(void **state)
{
    (void)state;
    put_old_registry();
    is_whole_and_new();
    const int64_t n = records();
    assert_true(added("m", "three").number == 3);
    assert_true(records() == n + 1);
}

static void killed_while_it_is_brought_up_it_is_old_or_new(void **state)
{
    (void)state;
    int n_old = 0;
    for (int i = 0; i < FEWER(30, 5); i++) {
        put_old_registry();
        const char *where = where_it_is();
        const pid_t pid = fork();
        if (!pid) {
            registry_open(&g, where, false, &err);
            _exit(0);
        }
        usleep((useconds_t)(i * 300));
        kill(pid, SIGKILL);
        assert_true(waitpid(pid, NULL, 0) == pid);
        struct db *db;
        int64_t version, dropped;
        OK(db_open(&db, where, &err));
        OK(db_version(db, "the registry", &version, &err));
        OK(db_query_int(&dropped, db, 0, on_postgres ? "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'dropped'"
                                                  : "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'dropped'", NULL, 0, &err));
        db_close(db);
        assert_true((version == 2 && dropped == 0) || (version >= 3 && dropped == 1));
        n_old += version == 2;
        is_whole_and_new();
        registry_close(g);
        g = NULL;
    }
    print_message("%d times it was still the old one\n", n_old);
}

/* ---- versions ---- */

static void versions_are_numbered_and_the_same_contents_are_the_same_version(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version a = added("m", "one"), b = added("m", "two"), again = added("m", "one"), other = added("other", "one");
    assert_true(a.number == 1 && b.number == 2 && again.number == 1 && other.number == 1);
    assert_true(a.is_new && b.is_new && !again.is_new && other.is_new);
    assert_string_equal(a.root, again.root);
    assert_string_equal(a.root, other.root);
    assert_string_not_equal(a.root, b.root);
    assert_int_equal(a.bytes, 5);
    assert_int_equal(records(), 3);
    struct registry_version v;
    OK(registry_find_text(g, "m", &v, &err));
    assert_true(v.number == 2);
    OK(registry_find_text(g, "m@1", &v, &err));
    assert_string_equal(v.root, a.root);
    OK(registry_find_root(g, a.root, &v, &err));
    assert_string_equal(v.name, "m");
    assert_int_equal(registry_find_text(g, "m@3", &v, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "its last is 2"));
    assert_int_equal(registry_find_text(g, "x", &v, &err), ERR_NOTFOUND);
    assert_int_equal(registry_find_text(g, "m@x", &v, &err), ERR_NOTFOUND);
}

static void what_was_added_is_a_copy_that_later_edits_do_not_reach(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    put_in_dir("new/weights", "edited");
    char *path;
    OK(registry_path(g, &v, &path, &err));
    struct buf text;
    buf_init(&text);
    OK(file_read(path_in(path, "weights"), 100, &text, &err));
    assert_string_equal(text.data, "one");
    buf_clear(&text);
    OK(file_read(path_in(path, "sub/config"), 100, &text, &err));
    assert_string_equal(text.data, "{}");
    buf_release(&text);
    struct file_usage usage;
    OK(file_usage(path, &usage, &err));
    assert_int_equal(usage.alone, 0);                      /* links, no copies */
    mem_free(path);
}

static void a_view_that_was_damaged_is_made_again(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    char *path;
    OK(registry_path(g, &v, &path, &err));
    assert_int_equal(unlink(path_in(path, "weights")), 0);
    OK(file_write_all(path_in(path, "weights"), "other", 5, &err));
    mem_free(path);
    OK(registry_path(g, &v, &path, &err));
    struct buf text;
    buf_init(&text);
    OK(file_read(path_in(path, "weights"), 100, &text, &err));
    assert_string_equal(text.data, "one");
    buf_release(&text);
    mem_free(path);
}

static void a_single_file_keeps_its_name_and_is_what_is_loaded(void **state)
{
    (void)state;
    registry_here();
    struct registry_version v, renamed;
    put_in_dir("x.gguf", "weights");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("x.gguf") }, &by, &v, &err));
    char *path;
    OK(registry_path(g, &v, &path, &err));
    assert_true(file_name_ends(path, "/x.gguf"));
    mem_free(path);
    put_in_dir("y.gguf", "weights");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("y.gguf") }, &by, &renamed, &err));
    assert_true(renamed.number == 1 && !renamed.is_new);
}

static void the_same_contents_under_other_names_are_refused(void **state)
{
    (void)state;
    registry_here();
    added("m", "one");
    struct registry_version v;
    put_in_dir("other/weights", "one"), put_in_dir("other/sub2/config", "{}");
    OK(file_rename(in_dir("other/sub2/config"), in_dir("other/config"), &err));
    OK(file_remove_tree(in_dir("other/sub2"), &err));
    assert_int_equal(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("other") }, &by, &v, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "m@1 has the same contents under other names"));
}

static void additions_that_are_not_right_are_refused(void **state)
{
    (void)state;
    registry_here();
    added("m", "one");
    struct registry_version v;
    struct registry_addition a = { .name = "a/b", .kind = "model", .path = in_dir("new") };
    assert_int_equal(registry_add(g, &a, &by, &v, &err), ERR_USAGE);
    a.name = "m", a.kind = "thing";
    assert_int_equal(registry_add(g, &a, &by, &v, &err), ERR_USAGE);
    a.kind = "data";
    assert_int_equal(registry_add(g, &a, &by, &v, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "is of kind model"));
    a.kind = "model", a.path = in_dir("nothing");
    assert_int_equal(registry_add(g, &a, &by, &v, &err), ERR_NOTFOUND);
    a.path = in_dir("new");
    assert_int_equal(registry_add(g, &a, &(struct journal_by){ .reason = "two\nlines" }, &v, &err), ERR_USAGE);
    assert_int_equal(registry_add(g, &a, &(struct journal_by){ .actor = "\xff" }, &v, &err), ERR_USAGE);
    assert_int_equal(records(), 1);
}

enum { WRITERS = 3, TURNS = 5 };
struct writer { pthread_t thread; char path[100], where[200]; int i, rc; struct err err; };

/* Versions and moves of one name, each by a connection of its own. */
static void *write_on(void *p)
{
    struct writer *w = p;
    struct registry *own;
    w->rc = registry_open(&own, w->where, true, &w->err);
    for (int i = 0; i < TURNS && !w->rc; i++) {
        char text[40], path[150];
        struct registry_version v;
        snprintf(text, sizeof text, "writer %d, turn %d", w->i, i);
        snprintf(path, sizeof path, "%s/weights", w->path);
        w->rc = file_write_all(path, text, strlen(text), &w->err);
        if (!w->rc)
            w->rc = registry_add(own, &(struct registry_addition){ .name = "m", .kind = "model", .path = w->path }, &by, &v, &w->err);
        const struct release_move m = { .name = "m", .alias = "production", .number = v.number, .expect = -1 };
        if (!w->rc)
            w->rc = registry_promote(own, &m, &by, NULL, NULL, &w->err);
    }
    registry_close(own);
    return NULL;
}

static void writers_at_once_get_numbers_of_their_own(void **state)
{
    (void)state;
    registry_here();
    struct writer w[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){ .i = i };
        snprintf(w[i].path, sizeof w[i].path, "%s/w%d", test_dir, i);
        snprintf(w[i].where, sizeof w[i].where, "%s", on_postgres ? database_where : in_dir("registry"));
        OK(file_mkdirs(w[i].path, &err));
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(w[i].thread, NULL);
        if (w[i].rc)
            fail_msg("%s", w[i].err.msg);
    }
    struct registry_version v;
    json_t *out;
    OK(registry_find_text(g, "m", &v, &err));
    assert_int_equal(v.number, WRITERS * TURNS);
    assert_int_equal(records(), 2 * WRITERS * TURNS);
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out, &err));
    assert_true(json_is_true(json_object_get(out, "valid")));
    json_decref(out);
}

/* ---- lineage and evidence ---- */

static void where_a_version_comes_from_is_known_both_ways(void **state)
{
    (void)state;
    registry_here();
    struct registry_version data, model, tuned, v;
    put_in_dir("d/x", "data");
    OK(registry_add(g, &(struct registry_addition){ .name = "d", .kind = "data", .path = in_dir("d") }, &by, &data, &err));
    const struct registry_parent parents[] = { { "d@1", "data" }, { "org/base@main", "base" } };
    put_in_dir("new/weights", "one");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .parent = parents, .n_parent = 2 }, &by, &model, &err));
    const struct registry_parent from_model = { "m@1", "base" }, from_tuned = { "m@2", "base" }, unknown = { "x@1", "base" }, self = { "m@2", "base" };
    put_in_dir("new/weights", "two");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .parent = &from_model, .n_parent = 1 }, &by, &tuned, &err));
    json_t *o;
    OK(registry_lineage(g, &tuned, &o, &err));
    assert_int_equal(json_array_size(json_object_get(o, "edges")), 3);
    json_decref(o);
    OK(registry_lineage(g, &data, &o, &err));
    assert_int_equal(json_array_size(json_object_get(o, "edges")), 2);
    json_decref(o);
    assert_int_equal(registry_attach(g, &model, &(struct registry_addition){ .parent = &from_tuned, .n_parent = 1 }, &by, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "m@1 cannot come from m@2, which comes from it"));
    assert_int_equal(registry_attach(g, &tuned, &(struct registry_addition){ .parent = &self, .n_parent = 1 }, &by, &err), ERR_USAGE);
    assert_int_equal(registry_attach(g, &tuned, &(struct registry_addition){ .parent = &unknown, .n_parent = 1 }, &by, &err), ERR_NOTFOUND);
    const int64_t n = records();
    OK(registry_attach(g, &tuned, &(struct registry_addition){ .parent = &from_model, .n_parent = 1 }, &by, &err));
    assert_true(records() == n);                            /* it is known already */
    OK(registry_find_text(g, "m@2", &v, &err));
}

static void evidence_is_kept_with_its_kind(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    put_in_dir("e1", "{\"kind\": \"calibration\", \"figures\": []}"), put_in_dir("e2", "{\"results\": {}, \"configs\": {}}"), put_in_dir("e3", "{\"verdict\": \"better\", \"effect\": 0.5}");
    put_in_dir("e4", "{\"totals\": {}, \"sources\": []}"), put_in_dir("e5", "{\"mediaType\": \"application/vnd.dev.sigstore.bundle.v0.3+json\"}"), put_in_dir("e6", "\x01\x02");
    char path[6][100];
    const char *evidence[6];
    for (int i = 0; i < 6; i++) {
        snprintf(path[i], sizeof path[i], "%s/e%d", test_dir, i + 1);
        evidence[i] = path[i];
    }
    OK(registry_attach(g, &v, &(struct registry_addition){ .evidence = evidence, .n_evidence = 6 }, &by, &err));
    const int64_t n = records();
    OK(registry_attach(g, &v, &(struct registry_addition){ .evidence = evidence, .n_evidence = 2 }, &by, &err));
    assert_true(records() == n);
    static const char *const kinds[] = { "calibration", "tasks", "compare", "audit", "signature", "file" };
    json_t *o;
    OK(registry_evidence(g, &v, &o, &err));
    assert_int_equal(json_array_size(o), 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(tree_text_at(json_array_get(o, i), "kind"), kinds[i]);
    json_decref(o);
}

static void a_signature_comes_with_the_folder_and_lies_beside_the_files(void **state)
{
    (void)state;
    registry_here();
    put_in_dir("new/model.sig", "{\"mediaType\": \"application/vnd.dev.sigstore.bundle.v0.3+json\"}");
    const struct registry_version v = added("m", "one");
    struct manifest m;
    OK(registry_manifest(g, &v, &m, &err));
    assert_int_equal(m.n, 2);
    manifest_release(&m);
    char *path;
    OK(registry_path(g, &v, &path, &err));
    assert_true(file_exists(path_in(path, "model.sig")));
    mem_free(path);
}

/* ---- releases ---- */

static void an_alias_moves_on_and_back(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("m", "2"), added("m", "3");
    struct registry_release r;
    assert_int_equal(registry_release_get(g, "m", "production", &r, &err), ERR_NOTFOUND);
    for (int i = 1; i <= 3; i++)
        OK(promote("production", i, RELEASE_NONE));
    r = release("production");
    assert_true(r.stable == 3 && r.previous == 2 && !r.candidate && r.mode == RELEASE_NONE);
    const struct release_move back = to("production", 0, RELEASE_NONE);
    OK(registry_rollback(g, &back, &by, &r, &err));
    assert_true(r.stable == 2 && r.previous == 1);
    OK(registry_rollback(g, &back, &by, &r, &err));
    assert_true(r.stable == 1 && r.previous == 0);
    assert_string_equal(r.previous_root, "");
    assert_int_equal(registry_rollback(g, &back, &by, &r, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "m@production is version 1, and none was before it"));
    const struct release_move missing = to("nothing", 0, RELEASE_NONE);
    assert_int_equal(registry_rollback(g, &missing, &by, &r, &err), ERR_NOTFOUND);
}

static void a_candidate_stands_beside_and_settles_or_goes(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("m", "2"), added("m", "3");
    assert_int_equal(promote("production", 1, RELEASE_CANARY), ERR_USAGE);
    OK(promote("production", 1, RELEASE_NONE));
    OK(promote("production", 2, RELEASE_CANARY));
    const struct registry_release canary = release("production");
    assert_true(canary.stable == 1 && canary.candidate == 2 && canary.mode == RELEASE_CANARY && canary.share == 100 && canary.salt);
    struct release_move wider = to("production", 2, RELEASE_CANARY);
    wider.share = 500;
    struct registry_release r;
    OK(registry_promote(g, &wider, &by, &r, NULL, &err));
    assert_true(r.share == 500 && r.salt == canary.salt && r.seq > canary.seq);
    OK(promote("production", 3, RELEASE_SHADOW));
    r = release("production");
    assert_true(r.candidate == 3 && r.mode == RELEASE_SHADOW && !r.share && r.salt != canary.salt);
    const struct release_move m = to("production", 0, RELEASE_NONE);
    assert_int_equal(registry_settle(g, &m, &by, NULL, &err), ERR_USAGE);
    OK(registry_rollback(g, &m, &by, &r, &err));
    assert_true(r.stable == 1 && !r.candidate && !r.previous);
    OK(promote("production", 2, RELEASE_GREEN));
    OK(registry_settle(g, &m, &by, &r, &err));
    assert_true(r.stable == 2 && r.previous == 1 && !r.candidate && r.mode == RELEASE_NONE);
    assert_int_equal(registry_settle(g, &m, &by, NULL, &err), ERR_NOTFOUND);
    OK(promote("production", 3, RELEASE_CANARY));
    OK(registry_withdraw(g, &m, &by, &r, &err));
    assert_true(r.stable == 2 && !r.candidate);
    assert_int_equal(registry_withdraw(g, &m, &by, NULL, &err), ERR_NOTFOUND);
    OK(promote("production", 3, RELEASE_CANARY));
    OK(promote("production", 3, RELEASE_NONE));
    r = release("production");
    assert_true(r.stable == 3 && r.previous == 2 && !r.candidate);
}

static void moves_that_are_not_right_change_nothing(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("m", "2");
    OK(promote("production", 1, RELEASE_NONE));
    const int64_t n = records();
    struct release_move m = to("production", 9, RELEASE_NONE);
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "'m' has no version 9"));
    m.number = 0;
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_USAGE);
    m = to("7", 1, RELEASE_NONE);
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_USAGE);
    m = to("production", 1, RELEASE_SHADOW);
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_USAGE);
    m = to("production", 2, RELEASE_CANARY);
    m.share = 1000;
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_USAGE);
    m = to("production", 2, RELEASE_NONE);
    m.override = "";
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_USAGE);
    assert_true(records() == n && release("production").stable == 1);
}

static void of_two_moves_from_one_state_the_second_is_refused(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("m", "2");
    OK(promote("production", 1, RELEASE_NONE));
    struct release_move m = to("production", 2, RELEASE_NONE);
    m.expect = release("production").seq;
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_BUSY);
    m = to("new", 1, RELEASE_NONE);
    m.expect = 5;
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_BUSY);
    m.expect = 0;                                           /* there is none yet */
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
}

static void an_alias_can_go(void **state)
{
    (void)state;
    registry_here();
    added("m", "1");
    struct release_move m = to("candidate", 1, RELEASE_NONE);
    OK(registry_alias(g, &m, &by, NULL, NULL, &err));
    struct registry_version v;
    OK(registry_find_text(g, "m@candidate", &v, &err));
    assert_true(v.number == 1);
    m.number = 0;
    OK(registry_alias(g, &m, &by, NULL, NULL, &err));
    assert_int_equal(registry_find_text(g, "m@candidate", &v, &err), ERR_NOTFOUND);
    assert_int_equal(registry_alias(g, &m, &by, NULL, NULL, &err), ERR_NOTFOUND);
}

static void far_back_a_history_of_stable_versions_is_forgotten_not_broken(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("m", "2");
    for (int i = 0; i < 250; i++)
        OK(promote("production", 1 + i % 2, RELEASE_NONE));
    const struct registry_release r = release("production");
    assert_true(r.stable == 2 && r.previous == 1);
}

static void a_version_that_is_stable_is_not_promoted_over_a_candidate(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("m", "2");
    OK(promote("production", 1, RELEASE_NONE));
    OK(promote("production", 1, RELEASE_NONE));
    OK(promote("production", 2, RELEASE_CANARY));
    assert_int_equal(promote("production", 1, RELEASE_NONE), ERR_USAGE);
    assert_non_null(strstr(err.msg, "is version 1 already, with version 2 beside it"));
    const struct release_move m = to("production", 1, RELEASE_NONE);
    assert_int_equal(registry_alias(g, &m, &by, NULL, NULL, &err), ERR_USAGE);
    assert_int_equal(release("production").candidate, 2);
}

static bool is_found(const char *what)
{
    json_t *o;
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &o, &err));
    char *text = json_dumps(o, 0);
    const bool found = strstr(text, what) != NULL && !json_is_true(json_object_get(o, "valid"));
    free(text);
    json_decref(o);
    return found;
}

static void what_lies_beside_the_files_of_versions_is_found_by_name(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    char *path, name[300];
    OK(registry_path(g, &v, &path, &err));
    mem_free(path);
    static const char *const extra[] = { ".git/config", ".gitattributes", "sub/more.bin", "tokenizer.json" };
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
        snprintf(name, sizeof name, "registry/versions/%s/%s", v.manifest, extra[i]);
        put_in_dir(name, "x");
        assert_true(is_found(extra[i]));
        assert_int_equal(unlink(in_dir(name)), 0);
    }
    put_in_dir("registry/versions/mine/x", "x");
    assert_true(is_found("versions/mine"));
    OK(file_remove_tree(in_dir("registry/versions/mine"), &err));
    snprintf(name, sizeof name, "registry/versions/%064d/x", 1);
    put_in_dir(name, "x");
    assert_true(is_found("is no folder of a version"));
}

/* As someone who may not write there, with a write-ahead log that is not there. */
static void a_registry_that_cannot_be_written_can_be_read(void **state)
{
    (void)state;
    if (on_postgres)
        return;
    registry_here();
    added("m", "one");
    OK(promote("production", 1, RELEASE_NONE));
    registry_close(g);
    g = NULL;
    assert_int_equal(chmod(test_dir, 0755), 0);
    assert_int_equal(chmod(in_dir("registry"), 0555), 0);
    assert_int_equal(chmod(in_dir("registry/registry.db"), 0444), 0);
    const pid_t pid = fork();
    if (!pid) {
        struct registry_version v;
        json_t *o;
        if (!geteuid() && setuid(65534))
            _exit(9);
        int rc = registry_open(&g, in_dir("registry"), false, &err);
        rc = rc ? rc : registry_find_text(g, "m@production", &v, &err);
        rc = rc ? rc : registry_show(g, &v, &o, &err);
        rc = rc ? rc : registry_history(g, NULL, 0, &o, &err);
        rc = rc ? rc : registry_served_at(g, INT64_MAX, NULL, NULL, &o, &err);
        rc = rc ? rc : registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &o, &err);
        if (rc)
            fprintf(stderr, "%s\n", err.msg);
        if (rc || !json_is_true(json_object_get(o, "valid")))
            _exit(1);
        _exit(promote("other", 1, RELEASE_NONE) == ERR_IO ? 0 : 2);
    }
    int status;
    assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(in_dir("registry"), 0755), 0);
}

/* ---- time ---- */

static void what_was_served_when(void **state)
{
    (void)state;
    registry_here();
    const int64_t day = INT64_C(86400000000000), t = INT64_C(2000000000000000000);
    when_set(t);
    added("m", "1"), added("m", "2");
    for (int i = 0; i < 2; i++) {
        when_set(t + (i + 1) * day);
        OK(promote("production", i + 1, RELEASE_NONE));
    }
    json_t *o;
    OK(registry_served_at(g, t + day - 1, NULL, NULL, &o, &err));
    assert_int_equal(json_array_size(o), 0);
    json_decref(o);
    for (int i = 0; i < 2; i++) {
        OK(registry_served_at(g, t + (i + 1) * day + 5, "m", "production", &o, &err));
        assert_int_equal(json_array_size(o), 1);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(o, 0), "number")), i + 1);
        json_decref(o);
    }
    OK(registry_served_at(g, t + 4 * day, "other", NULL, &o, &err));
    assert_int_equal(json_array_size(o), 0);
    json_decref(o);
    when_set(t - 9 * day);                                   /* a clock that is set back hides nothing of what is so now */
    OK(promote("production", 1, RELEASE_NONE));
    OK(registry_served_at(g, INT64_MAX, "m", NULL, &o, &err));
    assert_int_equal(json_array_size(o), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(o, 0), "number")), 1);
    json_decref(o);
}

/* The path of m@1's file of this text; its permissions let it be changed. */
static void blob_of(const char *text, char path[500])
{
    char sha[SHA256_HEX];
    OK(sha256_of(text, strlen(text), sha, &err));
    char *at = blob_path(registry_folder(g), sha);
    snprintf(path, 500, "%s", at);
    mem_free(at);
}

static void a_version_that_is_not_whole_is_not_promoted(void **state)
{
    (void)state;
    char path[500], manifest[500];
    registry_here();
    added("m", "one");
    const struct registry_version v = added("m", "two");
    OK(promote("production", 1, RELEASE_NONE));
    blob_of("two", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(promote("production", 2, RELEASE_NONE), ERR_NOTFOUND);
    assert_memory_equal(err.msg, "m@2 is not whole: weights: blob ", 32);
    assert_int_equal(promote("production", 2, RELEASE_CANARY), ERR_NOTFOUND);
    const struct release_move m = to("named", 2, RELEASE_NONE);
    assert_int_equal(registry_alias(g, &m, &by, NULL, NULL, &err), ERR_NOTFOUND);
    OK(file_write_all(path, "tw", 2, &err));
    assert_int_equal(promote("production", 2, RELEASE_NONE), ERR_CORRUPT);
    OK(file_write_all(path, "two", 3, &err));
    char *at = blob_path(registry_folder(g), v.manifest);
    snprintf(manifest, sizeof manifest, "%s", at);
    mem_free(at);
    assert_int_equal(rename(manifest, in_dir("aside")), 0);
    assert_int_equal(promote("production", 2, RELEASE_NONE), ERR_NOTFOUND);
    assert_int_equal(release("production").stable, 1);
    assert_int_equal(rename(in_dir("aside"), manifest), 0);
    OK(promote("production", 2, RELEASE_NONE));
}

static void with_the_clock_set_back_times_still_go_up_and_the_clock_is_told(void **state)
{
    (void)state;
    registry_here();
    const int64_t t = INT64_C(1800000000) * 1000000000;
    when_set(t);
    added("m", "1");
    when_set(t - 3600 * INT64_C(1000000000));
    added("m", "2");
    when_set(t + 5);
    added("m", "3");
    json_t *o, *late;
    OK(registry_history(g, "m", 0, &o, &err));
    assert_int_equal(json_array_size(o), 3);
    late = json_array_get(o, 1);
    assert_string_equal(tree_text_at(late, "t"), "2027-01-15T08:00:00.000000001Z");
    assert_string_equal(tree_text_at(late, "clock"), "2027-01-15T07:00:00.000000000Z");
    assert_string_equal(tree_text_at(json_array_get(o, 0), "t"), "2027-01-15T08:00:00.000000005Z");
    assert_null(json_object_get(json_array_get(o, 0), "clock"));
    json_decref(o);
}

/* ---- reading ---- */

static void lists_and_pages_tell_what_there_is(void **state)
{
    (void)state;
    registry_here();
    added("m", "1"), added("b", "1");
    OK(promote("production", 1, RELEASE_NONE));
    json_t *o;
    struct registry_version v;
    OK(registry_list(g, &o, &err));
    assert_int_equal(json_array_size(o), 2);
    assert_string_equal(tree_text_at(json_array_get(o, 0), "name"), "b");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json_array_get(o, 1), "aliases"), "production")), 1);
    json_decref(o);
    OK(registry_find_text(g, "m@production", &v, &err));
    OK(registry_show(g, &v, &o, &err));
    assert_string_equal(tree_text_at(o, "actor"), "tester");
    assert_string_equal(tree_text_at(o, "reason"), "because");
    assert_int_equal(json_array_size(json_object_get(o, "files")), 2);
    assert_int_equal(json_array_size(json_object_get(o, "aliases")), 1);
    json_decref(o);
    OK(registry_history(g, NULL, 2, &o, &err));
    assert_int_equal(json_array_size(o), 2);
    assert_string_equal(tree_text_at(json_array_get(o, 0), "action"), "promote");
    json_decref(o);
}

static void what_servers_say_is_kept_as_their_last_word(void **state)
{
    (void)state;
    registry_here();
    added("m", "1");
    const int64_t n = records();
    OK(registry_server_state(g, "host:1", "m", "production", 1, "loading", NULL, &err));
    OK(registry_server_state(g, "host:1", "m", "production", 1, "failed", "no room", &err));
    OK(registry_server_state(g, "host:2", "m", "production", 1, "serving", "", &err));
    json_t *o;
    OK(registry_server_states(g, "m", "production", &o, &err));
    assert_int_equal(json_array_size(o), 2);
    assert_string_equal(tree_text_at(json_array_get(o, 0), "state"), "failed");
    assert_string_equal(tree_text_at(json_array_get(o, 0), "message"), "no room");
    json_decref(o);
    OK(registry_server_state(g, "host:3", "m", "production", 1, "gone", "", &err));
    OK(registry_server_state(g, "host:3", "m", "beta", 1, "ready", "", &err));
    struct registry_version v;
    OK(registry_find_text(g, "m@1", &v, &err));
    OK(registry_show(g, &v, &o, &err));
    const json_t *servers = json_object_get(o, "servers");
    assert_int_equal(json_array_size(servers), 3);
    assert_string_equal(tree_text_at(json_array_get(servers, 2), "server"), "host:3");
    assert_string_equal(tree_text_at(json_array_get(servers, 2), "alias"), "beta");
    json_decref(o);
    assert_true(records() == n);
}

#define R(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
static const struct CMUnitTest registry[] = {
    R(names_versions_and_aliases_are_told_apart),
    R(a_registry_that_is_not_there_is_said),
    R(a_registry_of_a_newer_program_is_left_alone),
    R(a_registry_of_an_older_program_is_brought_up_and_goes_on),
    R(killed_while_it_is_brought_up_it_is_old_or_new),
    R(versions_are_numbered_and_the_same_contents_are_the_same_version),
    R(what_was_added_is_a_copy_that_later_edits_do_not_reach),
    R(a_view_that_was_damaged_is_made_again),
    R(a_single_file_keeps_its_name_and_is_what_is_loaded),
    R(the_same_contents_under_other_names_are_refused),
    R(additions_that_are_not_right_are_refused),
    R(writers_at_once_get_numbers_of_their_own),
    R(where_a_version_comes_from_is_known_both_ways),
    R(evidence_is_kept_with_its_kind),
    R(a_signature_comes_with_the_folder_and_lies_beside_the_files),
    R(an_alias_moves_on_and_back),
    R(a_candidate_stands_beside_and_settles_or_goes),
    R(numbers_of_records_are_as_rfc_8785_has_them),
    R(moves_that_are_not_right_change_nothing),
    R(of_two_moves_from_one_state_the_second_is_refused),
    R(an_alias_can_go),
    R(far_back_a_history_of_stable_versions_is_forgotten_not_broken),
    R(a_version_that_is_stable_is_not_promoted_over_a_candidate),
    R(what_lies_beside_the_files_of_versions_is_found_by_name),
    R(a_registry_that_cannot_be_written_can_be_read),
    R(what_was_served_when),
    R(a_version_that_is_not_whole_is_not_promoted),
    R(with_the_clock_set_back_times_still_go_up_and_the_clock_is_told),
    R(lists_and_pages_tell_what_there_is),
    R(what_servers_say_is_kept_as_their_last_word),
};

int main(void) { return ON_BOTH_DATABASES(registry); }
