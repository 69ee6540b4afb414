/* test_registry_fault.c - without memory, with a call of the system that fails, and on a full disk a registry stays what its journal says. */
#include "each_allocation.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "store/about.h"
#include "store/checkpoint.h"
#include "store/events.h"
#include "store/gate.h"
#include "store/gate_policy.h"
#include "store/oms.h"
#include "store/registry_backup.h"
#include "store/registry_gc.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;
static const struct journal_by by = { .actor = "tester", .reason = "because" };

static int begin(void **state)
{
    if (make_dir(state))
        return -1;
    return file_mkdirs(in_dir("new"), &err) || file_write_all(in_dir("new/weights"), "one", 3, &err) || file_write_all(in_dir("e.json"), "{\"kind\": \"speed\", \"figures\": []}", 32, &err) ? -1 : 0;
}

static const struct registry_backup_opts beside;

/* An answer that lies with the registry. */
static int record_one(void)
{
    struct events *e;
    const struct event ev = { .id = "a", .request = "r", .t = 1, .finish = "stop", .user = "anna", .prompt = "a prompt", .answer = "an answer" };
    TRY(events_open(&e, in_dir("registry"), true, &err));
    int rc = db_begin(events_db(e), &err);
    if (!rc)
        rc = db_end(events_db(e), events_write(e, &ev, INT64_MAX, &err), &err);
    events_close(e);
    return rc;
}

static int back_up(struct registry *g, json_t **out)
{
    char where[300];
    snprintf(where, sizeof where, "%s", in_dir("registry"));
    TRY(record_one());
    return registry_backup(g, in_dir("backup"), &(struct registry_backup_opts){ .events = where, .texts = true }, out, &err);
}

/* From nothing: opens, makes a name and says something of it, adds with evidence and a parent, sets a policy, releases, lists, shows, verifies, collects, is backed up with an answer that was recorded.  ctx: not NULL where calls of the system fail. */
static int everything(void *ctx)
{
    struct registry *g = NULL;
    struct registry_version v;
    struct registry_release r;
    json_t *out[9] = { NULL }, *policy = NULL;
    char *path = NULL, e[100];
    const char *evidence[] = { e };
    const struct registry_parent parent = { "org/base", "base" };
    snprintf(e, sizeof e, "%s/e.json", test_dir);
    const struct registry_addition a = { .name = "m", .kind = "model", .path = in_dir("new"), .evidence = evidence, .n_evidence = 1, .parent = &parent, .n_parent = 1 };
    const struct release_move m = { .name = "m", .alias = "production", .number = 1, .expect = -1, .override = "so be it" };
    int rc = file_remove_tree(in_dir("registry"), &err);
    if (!rc)
        rc = registry_open(&g, in_dir("registry"), true, &err);
    if (!rc)
        rc = registry_create(g, "m", "model", &by, &err);
    if (!rc)
        rc = registry_say(g, &(struct registry_said){ "m", 0, "team", "a" }, &by, &err);
    if (!rc)
        rc = registry_add(g, &a, &by, &v, &err);
    if (!rc && !(policy = json_pack("{s:i, s:{s:{s:f}}}", "secrets", 0, "evaluation", "a", "min", 0.5)))
        rc = ERR_NOMEM;
    if (!rc)
        rc = registry_policy_set(g, "m", "production", policy, &by, &err);
    if (!rc)
        rc = registry_promote(g, &m, &by, &r, &out[0], &err);
    if (!rc)
        rc = registry_path(g, &v, &path, &err);
    if (!rc)
        rc = registry_list(g, &out[1], &err);
    if (!rc)
        rc = registry_show(g, &v, &out[2], &err);
    if (!rc)
        rc = registry_names(g, NULL, &out[4], &err);
    if (!rc)
        rc = registry_versions(g, NULL, &out[5], &err);
    if (!rc)
        rc = registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out[3], &err);
    if (!rc && !json_is_true(json_object_get(out[3], "valid"))) {
        if (!ctx)
            fail_msg("%s", json_dumps(out[3], 0));
        rc = ERR_IO;                                         /* a blob that cannot be read is a finding */
    }
    if (!rc)
        rc = registry_gc(g, &(struct registry_gc_opts){ .has_quota = true }, &by, &out[6], &err);
    if (!rc)
        rc = file_remove_tree(in_dir("backup"), &err);
    if (!rc)
        rc = back_up(g, &out[7]);
    if (!rc)
        rc = registry_backup_check(in_dir("backup"), &out[8], &err);
    for (int i = 0; i < 9; i++)
        json_decref(out[i]);
    json_decref(policy);
    mem_free(path);
    registry_close(g);
    return rc;
}

/* What is there is valid, whatever failed. */
static void still_valid(void)
{
    struct registry *g;
    json_t *out;
    OK(registry_open(&g, in_dir("registry"), true, &err));
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out, &err));
    if (!json_is_true(json_object_get(out, "valid")))
        fail_msg("%s", json_dumps(out, 0));
    json_decref(out);
    registry_close(g);
}

static void without_memory_nothing_is_half_done(void **state)
{
    (void)state;
    OK(everything(NULL));                                    /* the library's own memory is there from now on */
    const int n = each_failure(ALLOCATIONS, 31, everything, NULL, true);
    print_message("%d times without memory\n", n);
    assert_true(n > 3);
    still_valid();
}

static void with_calls_that_fail_nothing_is_half_done(void **state)
{
    (void)state;
    static int by_calls;
    const int n = each_failure(CALLS, 1, everything, &by_calls, true);
    print_message("%d times a call failed\n", n);
    assert_true(n > 3);
    still_valid();
}

/* A process of its own, none of whose files may grow beyond so many bytes: as on a full disk a write fails, SQLite's too. */
static int with_little_room(rlim_t bytes)
{
    const pid_t pid = fork();
    if (!pid) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){ bytes, bytes });
        const int rc = everything(NULL);
        _exit(rc ? 1 : 0);
    }
    int status;
    assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void on_a_full_disk_nothing_is_half_done(void **state)
{
    (void)state;
    int n_full = 0;
    for (rlim_t bytes = 0; bytes < 2000000; bytes += bytes < 4096 ? 509 : 9973) {
        if (!with_little_room(bytes))
            break;
        n_full++;
        if (file_exists(in_dir("registry")))
            still_valid();
    }
    print_message("%d times the disk was full\n", n_full);
    assert_true(n_full > 3);
    still_valid();
}

static int judge(void *ctx)
{
    struct registry *g;
    struct registry_version v;
    json_t *verdict = NULL;
    (void)ctx;
    TRY(registry_open(&g, in_dir("registry"), false, &err));
    int rc = registry_find_text(g, "m@1", &v, &err);
    if (!rc)
        rc = gate_judge(g, &v, "production", &verdict, &err);
    json_decref(verdict);
    registry_close(g);
    return rc;
}

static void evidence_of(struct registry *g, const struct registry_version *v, const char *text)
{
    const char *path[] = { in_dir("evidence.json") };
    OK(file_write_all(path[0], text, strlen(text), &err));
    OK(registry_attach(g, v, &(struct registry_addition){ .evidence = path, .n_evidence = 1 }, &by, &err));
}

/* The newest of two signatures is another's, so that both are looked at. */
static void sign_twice(struct registry *g, const struct registry_version *v)
{
    char key[100], signature[100], root[SHA256_HEX];
    const char *evidence[] = { signature };
    snprintf(signature, sizeof signature, "%s/new/model.sig", test_dir);
    OK(pki_make(in_dir("ours"), "P-256", NULL, &err));
    OK(pki_make(in_dir("other"), "P-256", NULL, &err));
    for (int other = 0; other < 2; other++) {
        snprintf(key, sizeof key, "%s/%s.key", test_dir, other ? "other" : "ours");
        OK(oms_sign(in_dir("new"), &(struct oms_sign){ .key = key }, NULL, root, &err));
        OK(registry_attach(g, v, &(struct registry_addition){ .evidence = evidence, .n_evidence = 1 }, &by, &err));
    }
}

/* A version m@1 with evidence of every kind, made from data that has an audit, and a policy that asks for all of it. */
static void begin_gates(void)
{
    static const char audit[] = "{\"totals\": {}, \"sources\": [], \"secrets\": {\"n\": 0}, \"pii\": {\"per_million\": 1}, \"contamination\": [{\"items\": 10, \"items_hit\": 0}], "
                                "\"licences\": {\"sources\": [{\"expression\": \"MIT OR GPL-2.0-only\"}]}}";
    struct registry *g;
    struct registry_version v, data;
    struct buf pem;
    const struct registry_parent parent = { "d@1", "data" };
    json_t *facts = json_pack("{s:s, s:[s]}", "license", "MIT", "digests", "01");
    OK(registry_open(&g, in_dir("registry"), true, &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "d", .kind = "data", .path = in_dir("e.json") }, &by, &data, &err));
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .facts = facts, .parent = &parent, .n_parent = 1 }, &by, &v, &err));
    json_decref(facts);
    evidence_of(g, &data, audit), evidence_of(g, &v, audit);
    evidence_of(g, &v, "{\"kind\": \"calibration\", \"figures\": [{\"name\": \"ece\", \"of\": null, \"value\": 0.01}, {\"name\": \"accuracy\", \"of\": null, \"value\": 0.9}]}");
    evidence_of(g, &v, "{\"verdict\": \"better\", \"effect\": 0.1, \"model_sha256\": \"01\"}");
    sign_twice(g, &v);
    buf_init(&pem);
    OK(file_read(in_dir("ours.pub"), 10000, &pem, &err));
    json_t *policy = json_pack("{s:s, s:[s], s:i, s:i, s:f, s:[s], s:s, s:{s:f}, s:{s:{s:f}}}", "signature", "enforce", "signers", pem.data, "secrets", 0, "pii_per_million", 5, "contamination", 0.1, "licences", "MIT",
                               "compare", "not worse", "calibration", "ece", 0.05, "evaluation", "accuracy", "min", 0.5);
    OK(registry_policy_set(g, "m", "production", policy, &by, &err));
    json_decref(policy);
    buf_release(&pem);
    registry_close(g);
}

static void without_memory_a_gate_leaks_nothing(void **state)
{
    (void)state;
    begin_gates();
    OK(judge(NULL));
    assert_true(each_allocation(judge, NULL, true) > 100);
}

/* ctx: the version that it moves to. */
static int promote(void *ctx)
{
    struct registry *g;
    const struct release_move m = { .name = "m", .alias = "production", .number = *(const int64_t *)ctx, .expect = -1 };
    struct registry_release r;
    json_t *verdict = NULL;
    TRY(registry_open(&g, in_dir("registry"), false, &err));
    const int rc = registry_promote(g, &m, &by, &r, &verdict, &err);
    json_decref(verdict);
    registry_close(g);
    return rc;
}

/* A failed one moves nothing: the alias is where it was until the first that did not fail. */
static void without_memory_a_promotion_leaks_nothing(void **state)
{
    (void)state;
    begin_gates();
    int64_t number = 1;
    OK(promote(&number));
    const int n = each_allocation(promote, &number, true);
    print_message("%d times without memory\n", n);
    assert_true(n > 100);
    still_valid();
}

static int restore(void *ctx)
{
    json_t *out = NULL;
    (void)ctx;
    TRY(file_remove_tree(in_dir("again"), &err));
    const int rc = registry_restore(in_dir("backup"), in_dir("again"), &beside, &out, &err);
    json_decref(out);
    return rc;
}

/* In one file, made, looked at and restored. */
static int by_archive(void *ctx)
{
    json_t *out[3] = { NULL };
    struct registry *g;
    char where[300];
    (void)ctx;
    snprintf(where, sizeof where, "%s", in_dir("registry"));
    TRY(file_remove_tree(in_dir("again"), &err));
    TRY(registry_open(&g, in_dir("registry"), false, &err));
    int rc = registry_backup(g, in_dir("b.tar"), &(struct registry_backup_opts){ .events = where, .texts = true }, &out[0], &err);
    registry_close(g);
    if (!rc)
        rc = registry_backup_check(in_dir("b.tar"), &out[1], &err);
    if (!rc)
        rc = registry_restore(in_dir("b.tar"), in_dir("again"), &beside, &out[2], &err);
    for (int i = 0; i < 3; i++)
        json_decref(out[i]);
    return rc;
}

/* What is restored is whole: a place where one failed is empty, or not there. */
static void restored_or_not(int (*run)(void *ctx), enum failing what, int by_n)
{
    OK(everything(NULL));
    OK(run(NULL));
    const int n = each_failure(what, by_n, run, NULL, true);
    print_message("%d times it failed\n", n);
    assert_true(n > 3);
    struct registry *g;
    json_t *out;
    OK(registry_open(&g, in_dir("again"), false, &err));
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &out, &err));
    assert_true(json_is_true(json_object_get(out, "valid")));
    json_decref(out);
    registry_close(g);
}

static void without_memory_a_restore_is_whole_or_not_there(void **state) { (void)state, restored_or_not(restore, ALLOCATIONS, 41); }
static void with_calls_that_fail_a_restore_is_whole_or_not_there(void **state) { (void)state, restored_or_not(restore, CALLS, 1); }
static void without_memory_an_archive_is_whole_or_not_there(void **state) { (void)state, restored_or_not(by_archive, ALLOCATIONS, 101); }
static void with_calls_that_fail_an_archive_is_whole_or_not_there(void **state) { (void)state, restored_or_not(by_archive, CALLS, 1); }

struct keys { struct evp_pkey_st *private_key, *public_key; };

/* Made, read and verified. */
static int checkpoint(void *ctx)
{
    const struct keys *keys = ctx;
    struct registry *g;
    struct checkpoint made, read;
    struct buf note;
    TRY(registry_open(&g, in_dir("registry"), false, &err));
    buf_init(&note);
    int rc = checkpoint_make(g, keys->private_key, NULL, &note, &made, &err);
    if (!rc)
        rc = checkpoint_parse(&read, note.data, note.len, &err);
    if (!rc)
        assert_int_equal(read.seq, made.seq);
    if (!rc)
        rc = checkpoint_verify(note.data, note.len, keys->public_key, &err);
    buf_release(&note);
    registry_close(g);
    return rc;
}

static void without_memory_a_checkpoint_is_none(void **state)
{
    struct keys keys;
    (void)state;
    OK(everything(NULL));
    OK(pki_make(in_dir("ours"), "P-256", NULL, &err));
    OK(pki_private_read(&keys.private_key, in_dir("ours.key"), NULL, &err));
    OK(pki_public_read(&keys.public_key, in_dir("ours.pub"), &err));
    OK(checkpoint(&keys));
    const int n = each_allocation(checkpoint, &keys, true);
    print_message("%d times without memory\n", n);
    assert_true(n > 3);
    pki_free(keys.private_key), pki_free(keys.public_key);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, remove_dir)
    const struct CMUnitTest tests[] = { T(without_memory_nothing_is_half_done), T(with_calls_that_fail_nothing_is_half_done), T(on_a_full_disk_nothing_is_half_done),
                                        T(without_memory_a_gate_leaks_nothing), T(without_memory_a_promotion_leaks_nothing),
                                        T(without_memory_a_restore_is_whole_or_not_there), T(with_calls_that_fail_a_restore_is_whole_or_not_there),
                                        T(without_memory_an_archive_is_whole_or_not_there), T(with_calls_that_fail_an_archive_is_whole_or_not_there), T(without_memory_a_checkpoint_is_none) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
