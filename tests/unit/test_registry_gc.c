/* test_registry_gc.c - what nothing needs goes, what something needs stays, on SQLite and on PostgreSQL. */
#include "../registries.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/gate_policy.h"
#include "store/registry_gc.h"
#include "store/registry_verify.h"
#include "store/release.h"

static struct err err;
#define DAY INT64_C(86400000000000)

/* The next version of a name: a file of its own of `bytes` bytes, and one that all have. */
static struct registry_version added_of(struct registry *at, const char *folder, const char *name, const char *text, size_t bytes)
{
    struct registry_version v;
    char path[300], *large = calloc(1, bytes + 1);
    memset(large, '.', bytes);
    memcpy(large, text, strlen(text) < bytes ? strlen(text) : bytes);
    snprintf(path, sizeof path, "%s/%s", test_dir, folder);
    OK(file_mkdirs(path, &err));
    OK(file_write_all(path_in(path, "weights"), large, bytes, &err));
    OK(file_write_all(path_in(path, "config"), "{ }", 3, &err));
    free(large);
    OK(registry_add(at, &(struct registry_addition){ .name = name, .kind = "model", .path = path }, &by, &v, &err));
    return v;
}

static struct registry_version added(const char *name, const char *text) { return added_of(g, "new", name, text, 10000); }

static json_t *collected(struct registry_gc_opts o)
{
    json_t *out;
    OK(registry_gc(g, &o, &by, &out, &err));
    return out;
}

static int64_t number_of(json_t *o, const char *key)
{
    const int64_t n = json_integer_value(json_object_get(o, key));
    json_decref(o);
    return n;
}

static void promoted(const char *alias, int64_t number, enum release_mode mode)
{
    const struct release_move m = { .name = "m", .alias = alias, .number = number, .mode = mode, .share = mode == RELEASE_CANARY ? 100 : 0, .expect = -1 };
    OK(registry_promote(g, &m, &by, NULL, NULL, &err));
}

static void valid(void)
{
    json_t *o;
    OK(registry_verify(g, &(struct registry_verify_opts){ .no_blobs = false }, &o, &err));
    if (!json_is_true(json_object_get(o, "valid")))
        fail_msg("%s", json_dumps(o, 0));
    json_decref(o);
}

static bool has(int64_t number)
{
    struct registry_version v;
    char *path = NULL;
    OK(registry_find(g, &(struct registry_ref){ .name = "m", .number = number }, &v, &err));
    const int rc = registry_path(g, &v, &path, &err);
    mem_free(path);
    assert_true(!rc || (rc == ERR_NOTFOUND && strstr(err.msg, "adding the same files again brings them back")));
    return !rc;
}

static int64_t records(void)
{
    struct journal_head h;
    OK(journal_head(&h, registry_db(g), &err));
    return h.seq;
}

/* ---- what nothing names ---- */

static void made_old(const char *path) { assert_int_equal(utimensat(AT_FDCWD, in_dir(path), (struct timespec[]){ { .tv_sec = 1 }, { .tv_sec = 1 } }, 0), 0); }

static void what_nothing_names_goes_and_what_is_young_stays(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    char id[BLOB_ID], *path, view[200];
    OK(blob_put(registry_folder(g), "nobody's", 8, id, &err));
    OK(registry_path(g, &v, &path, &err));
    mem_free(path);
    snprintf(view, sizeof view, "registry/versions/%064d/x", 7);
    put_in_dir(view, "left");
    snprintf(view, sizeof view, "registry/blobs/sha256/00/%064d.new-0123", 0);
    put_in_dir(view, "left by one that was killed");
    put_in_dir("registry/blobs/sha256/00/0000000000000000000000000000000000000000000000000000000000000000.new-4567", "by one at work");
    put_in_dir("registry/blobs/sha256/00/of a user", "is not ours");
    const int64_t n = records();
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .grace_s = 3600 }), "blobs"), 0);
    assert_true(records() == n);                            /* nothing was done: no record */
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .dry_run = true }), "blobs"), 1);
    assert_true(records() == n && blob_exists(registry_folder(g), id));
    made_old(view);
    json_t *o = collected((struct registry_gc_opts){ .grace_s = 0 }), *record;
    assert_int_equal(json_integer_value(json_object_get(o, "blobs")), 1);
    assert_int_equal(json_integer_value(json_object_get(o, "views")), 1);
    assert_int_equal(json_integer_value(json_object_get(o, "other")), 1);
    json_decref(o);
    assert_false(blob_exists(registry_folder(g), id));
    assert_false(file_exists(in_dir(view)));
    assert_true(file_exists(in_dir("registry/blobs/sha256/00/of a user")));
    OK(journal_get(&record, registry_db(g), records(), &err));
    assert_string_equal(tree_text_at(record, "action"), "collect");
    assert_string_equal(tree_text_at(record, "actor"), "tester");
    assert_string_equal(json_string_value(json_array_get(json_object_get(record, "blobs"), 0)), id);
    assert_int_equal(json_array_size(json_object_get(record, "other")), 2);
    json_decref(record);
    assert_true(has(1));
    valid();
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .grace_s = 0 }), "bytes"), 0);
}

static void what_pulls_and_uploads_left_goes_unless_one_is_at_work(void **state)
{
    (void)state;
    registry_here();
    added("m", "one");
    int held;
    char old[200], young[200], dead[200], live[200], push[200], path[300];
    snprintf(old, sizeof old, "registry/oci/part/%064d.whole", 1);
    snprintf(young, sizeof young, "registry/oci/part/%064d", 2);
    snprintf(dead, sizeof dead, "registry/oci/uploads/%032d", 3);
    snprintf(live, sizeof live, "registry/oci/uploads/%032d", 4);
    snprintf(push, sizeof push, "registry/oci/push/%064d", 5);
    put_in_dir(old, "12345"), put_in_dir(young, "1"), put_in_dir(push, "where an upload goes on");
    put_in_dir("registry/oci/part/of a user", "is not ours");
    snprintf(path, sizeof path, "%s/upload", dead), put_in_dir(path, "1234567");
    snprintf(path, sizeof path, "%s/upload", live), put_in_dir(path, "1");
    made_old(old), made_old(dead), made_old(live), made_old(push), made_old("registry/oci/part/of a user");
    snprintf(path, sizeof path, "%s", in_dir(live));
    OK(file_lock(path, &held, &err));
    json_t *o = collected((struct registry_gc_opts){ .grace_s = 0 });
    assert_int_equal(json_integer_value(json_object_get(o, "other")), 3);
    assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 35);
    json_decref(o);
    assert_true(!file_exists(in_dir(old)) && !file_exists(in_dir(push)) && !file_exists(in_dir(dead)));
    assert_true(file_exists(in_dir(young)) && file_exists(in_dir(live)) && file_exists(in_dir("registry/oci/part/of a user")));
    made_old(young);
    file_unlock(&held);
    OK(file_lock(in_dir("registry/oci/part"), &held, &err));             /* by a pull */
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .grace_s = 0 }), "bytes"), 1);
    assert_true(file_exists(in_dir(young)) && !file_exists(in_dir(live)));
    file_unlock(&held);
    valid();
}

static void evidence_policies_and_views_that_are_used_stay(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    put_in_dir("e1", "{\"kind\": \"speed\", \"figures\": []}");
    const char *evidence = in_dir("e1");
    OK(registry_attach(g, &v, &(struct registry_addition){ .evidence = &evidence, .n_evidence = 1 }, &by, &err));
    json_t *policy = json_pack("{s:i}", "secrets", 0), *got;
    char id[BLOB_ID], *path;
    OK(registry_policy_set(g, "m", "production", policy, &by, &err));
    OK(registry_path(g, &v, &path, &err));
    json_t *o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0 });
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 1);       /* nothing holds it */
    json_decref(o);
    OK(registry_policy_get(g, "m", "production", &got, id, &err));
    assert_true(json_equal(got, policy));
    json_decref(got);
    json_decref(policy);
    assert_false(file_exists(path));
    mem_free(path);
    valid();
}

static void a_blob_that_a_killed_run_had_taken_is_given_back(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    char *blob = blob_path(registry_folder(g), v.facts), taken[500];
    snprintf(taken, sizeof taken, "%s.gone-0123456789abcdef", blob);
    OK(file_rename(blob, taken, &err));
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .dry_run = true }), "blobs"), 0);
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .grace_s = 3600 }), "blobs"), 0);
    assert_true(file_exists(blob) && !file_exists(taken));
    OK(file_write_all(taken, "{}", 2, &err));                   /* taken, and put again by another */
    assert_int_equal(number_of(collected((struct registry_gc_opts){ .grace_s = 3600 }), "blobs"), 1);
    assert_true(file_exists(blob) && !file_exists(taken));
    mem_free(blob);
    valid();
}

/* ---- a quota ---- */

static void the_oldest_versions_that_nothing_holds_lose_their_bytes(void **state)
{
    (void)state;
    registry_here();
    char text[20];
    for (int i = 1; i <= 9; i++) {
        snprintf(text, sizeof text, "version %d", i);
        added("m", text);
    }
    for (int i = 2; i <= 4; i++)
        promoted("production", i, RELEASE_NONE);               /* 4; a rollback goes to 3 */
    promoted("production", 5, RELEASE_CANARY);
    promoted("other", 1, RELEASE_NONE);
    OK(registry_server_state(g, "host:1", "m", "production", 6, "serving", "", &err));
    OK(registry_server_state(g, "host:1", "m", "production", 7, "gone", "", &err));
    json_t *o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0, .keep = 1, .dry_run = true }), *would = json_incref(json_object_get(o, "dropped"));
    const json_int_t would_bytes = json_integer_value(json_object_get(o, "bytes"));
    json_decref(o);
    for (int i = 1; i <= 9; i++)
        assert_true(has(i));
    o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0, .keep = 1 });
    assert_true(json_equal(json_object_get(o, "dropped"), would));
    assert_int_equal(json_integer_value(json_object_get(o, "bytes")), would_bytes);
    assert_false(json_is_true(json_object_get(o, "fits")));
    static const bool expected[] = { true, false, true, true, true, true, false, false, true };       /* 2, 7 and 8 have nobody */
    for (int i = 1; i <= 9; i++)
        if (has(i) != expected[i - 1])
            fail_msg("version %d", i);
    const json_t *kept = json_object_get(o, "kept");
    assert_string_equal(tree_text_at(kept, "m@4"), "production");
    assert_string_equal(tree_text_at(kept, "m@3"), "what a rollback of production goes to");
    assert_string_equal(tree_text_at(kept, "m@5"), "candidate of production");
    assert_string_equal(tree_text_at(kept, "m@6"), "serving at host:1");
    assert_string_equal(tree_text_at(kept, "m@9"), "one of its newest 1");
    json_decref(o);
    json_decref(would);
    valid();
    /* a second run has nothing to do, and says the same of what stays */
    o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0, .keep = 1 });
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 0);
    json_decref(o);
}

static int64_t bytes_of_blobs(void)
{
    struct file_usage use = { 0 };
    OK(file_usage(in_dir("registry/blobs"), &use, &err));
    return (int64_t)use.bytes;
}

static void no_more_is_dropped_than_the_quota_asks_for(void **state)
{
    (void)state;
    registry_here();
    for (int i = 0; i < 6; i++)
        added("m", (char[]){ (char)('a' + i), 0 });
    const int64_t used = number_of(collected((struct registry_gc_opts){ .grace_s = 0 }), "used");
    assert_int_equal(used, bytes_of_blobs());                  /* with what lies beside blobs */
    json_t *o = collected((struct registry_gc_opts){ .has_quota = true, .quota = (uint64_t)used - 15000 });
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 2);
    assert_true(json_is_true(json_object_get(o, "fits")));
    assert_int_equal(json_integer_value(json_object_get(o, "used")), bytes_of_blobs());
    assert_in_range(used - bytes_of_blobs(), 20000, 23000);
    json_decref(o);
    for (int i = 1; i <= 6; i++)
        assert_true(has(i) == (i > 2));
    o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0, .grace_s = 3600 });
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 0);       /* all are young */
    json_decref(o);
}

static void what_a_released_version_comes_from_keeps_its_bytes(void **state)
{
    (void)state;
    registry_here();
    struct registry_version v;
    added("base", "base");
    added("m", "one");
    const struct registry_parent parents[] = { { "base@1", "base" }, { "org/other@main", "base" } }, parent = { "m@1", "base" };
    put_in_dir("new/weights", "two");
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = in_dir("new"), .parent = &parent, .n_parent = 1 }, &by, &v, &err));
    OK(registry_find_text(g, "m@1", &v, &err));
    OK(registry_attach(g, &v, &(struct registry_addition){ .parent = parents, .n_parent = 2 }, &by, &err));
    added("base", "base 2");
    promoted("production", 2, RELEASE_NONE);
    json_t *o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0 });
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 1);
    assert_string_equal(tree_text_at(json_array_get(json_object_get(o, "dropped"), 0), "name"), "base");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(o, "dropped"), 0), "number")), 2);
    assert_string_equal(tree_text_at(json_object_get(o, "kept"), "base@1"), "what m@2 comes from");
    json_decref(o);
    assert_true(has(1) && has(2));
}

static void what_versions_share_goes_with_the_last_of_them(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version a = added("m", "same"), b = added("other", "same");
    assert_string_equal(a.root, b.root);
    json_t *o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0, .keep = 0 }), *drop = json_object_get(o, "dropped");
    assert_int_equal(json_array_size(drop), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(drop, 0), "bytes")), 0);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(drop, 1), "bytes")), 10003 + 8 * (2 + 157));      /* with the sums of its pieces of 64 bytes */
    json_decref(o);
    added("m", "same");                                        /* for one of them they are back */
    OK(registry_find_text(g, "other@1", &(struct registry_version){ .number = 0 }, &err));
    assert_true(has(1));
    promoted("production", 1, RELEASE_NONE);
    added("other", "same");
    o = collected((struct registry_gc_opts){ .has_quota = true, .quota = 0, .keep = 0 });
    assert_int_equal(json_array_size(json_object_get(o, "dropped")), 0);       /* it would free nothing */
    json_decref(o);
    valid();
}

static void a_version_without_its_bytes_says_so_until_they_are_added_again(void **state)
{
    (void)state;
    registry_here();
    struct registry_release r;
    struct registry_version v;
    added("m", "one"), added("m", "two"), added("m", "three");
    for (int i = 1; i <= 3; i++)
        promoted("production", i, RELEASE_NONE);
    json_decref(collected((struct registry_gc_opts){ .has_quota = true, .quota = 0 }));
    assert_false(has(1));
    const struct release_move m = { .name = "m", .alias = "production", .number = 1, .expect = -1 };
    assert_int_equal(registry_promote(g, &m, &by, NULL, NULL, &err), ERR_NOTFOUND);
    assert_memory_equal(err.msg, "the bytes of m@1 were removed on ", 33);
    OK(registry_rollback(g, &m, &by, &r, &err));
    assert_true(r.stable == 2);
    assert_int_equal(registry_rollback(g, &m, &by, &r, &err), ERR_NOTFOUND);   /* and the alias stays where it is */
    OK(registry_release_get(g, "m", "production", &r, &err));
    assert_true(r.stable == 2);
    json_t *o;
    OK(registry_find_text(g, "m@1", &v, &err));
    OK(registry_show(g, &v, &o, &err));
    assert_int_equal(json_array_size(json_object_get(o, "files")), 2);
    assert_string_equal(tree_text_at(json_object_get(o, "removed"), "reason"), "because");
    json_decref(o);
    valid();
    const struct registry_version again = added("m", "one");
    assert_true(again.number == 1 && !again.is_new);
    assert_true(has(1));
    OK(registry_show(g, &v, &o, &err));
    assert_null(json_object_get(o, "removed"));
    json_decref(o);
    OK(registry_rollback(g, &m, &by, &r, &err));
    assert_true(r.stable == 1);
    valid();
}

/* ---- refusals ---- */

static void tables_that_are_not_the_journals_are_no_ground_for_removing(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    json_t *o;
    OK(db_run(registry_db(g), "DELETE FROM version", NULL, 0, NULL, &err));
    assert_int_equal(registry_gc(g, &(struct registry_gc_opts){ .grace_s = 0 }, &by, &o, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "nothing is removed"));
    assert_true(blob_exists(registry_folder(g), v.manifest));
}

static void a_manifest_that_cannot_be_read_is_no_ground_either(void **state)
{
    (void)state;
    registry_here();
    const struct registry_version v = added("m", "one");
    json_t *o;
    char *path = blob_path(registry_folder(g), v.manifest);
    OK(file_write_all(path, "[]", 2, &err));
    mem_free(path);
    assert_int_equal(registry_gc(g, &(struct registry_gc_opts){ .grace_s = 0 }, &by, &o, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "m@1"));
}

static void a_folder_of_two_registries_is_left_alone(void **state)
{
    (void)state;
    registry_here();
    added("m", "one");
    json_t *o;
    struct file_log log;
    char other[SHA256_HEX];
    memset(other, 'a', 64), other[64] = 0;
    OK(file_log_open(&log, in_dir("registry/registries"), &err));
    OK(file_log_line(&log, other, 64, &err));
    file_log_close(&log);
    assert_int_equal(registry_gc(g, &(struct registry_gc_opts){ .grace_s = 0 }, &by, &o, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "is the folder of registry aaaaaaaaaaaa too"));
    assert_int_equal(registry_gc(g, &(struct registry_gc_opts){ .grace_s = 0 }, &(struct journal_by){ .reason = "two\nlines" }, &o, &err), ERR_USAGE);
}

/* ---- others at work ---- */

struct adder { pthread_t thread; char where[200], folder[20]; int n, rc; struct err err; };

static void *add_on(void *p)
{
    struct adder *a = p;
    struct registry *own;
    a->rc = registry_open(&own, a->where, true, &a->err);
    for (int i = 0; i < a->n && !a->rc; i++) {
        struct registry_version v;
        char path[300], text[60];
        snprintf(path, sizeof path, "%s/%s", test_dir, a->folder);
        snprintf(text, sizeof text, "%s %d", a->folder, i / 2);              /* each twice: the second finds it there, or dropped */
        a->rc = file_mkdirs(path, &a->err);
        snprintf(path, sizeof path, "%s/%s/weights", test_dir, a->folder);
        if (!a->rc)
            a->rc = file_write_all(path, text, strlen(text), &a->err);
        snprintf(path, sizeof path, "%s/%s", test_dir, a->folder);
        if (!a->rc)
            a->rc = registry_add(own, &(struct registry_addition){ .name = a->folder, .kind = "model", .path = path }, &by, &v, &a->err);
    }
    registry_close(own);
    return NULL;
}

/* With no grace at all a collector takes what adds have just put: they put it again. */
static void adds_at_work_lose_nothing(void **state)
{
    (void)state;
    registry_here();
    struct adder a[2];
    for (int i = 0; i < 2; i++) {
        a[i] = (struct adder){ .n = FEWER(40, 10) };
        snprintf(a[i].where, sizeof a[i].where, "%s", on_postgres ? database_where : in_dir("registry"));
        snprintf(a[i].folder, sizeof a[i].folder, "w%d", i);
        assert_int_equal(pthread_create(&a[i].thread, NULL, add_on, &a[i]), 0);
    }
    int64_t taken = 0;
    for (int i = 0; i < FEWER(60, 10); i++)
        taken += number_of(collected((struct registry_gc_opts){ .has_quota = i % 3 == 0, .keep = 1 }), "blobs");
    for (int i = 0; i < 2; i++) {
        pthread_join(a[i].thread, NULL);
        if (a[i].rc)
            fail_msg("%s", a[i].err.msg);
    }
    print_message("%lld blobs were collected meanwhile\n", (long long)taken);
    valid();
}

#define R(name) cmocka_unit_test_setup_teardown(name, registry_begin, registry_end)
static const struct CMUnitTest gc[] = {
    R(what_nothing_names_goes_and_what_is_young_stays), R(what_pulls_and_uploads_left_goes_unless_one_is_at_work),
    R(evidence_policies_and_views_that_are_used_stay),
    R(a_blob_that_a_killed_run_had_taken_is_given_back),
    R(the_oldest_versions_that_nothing_holds_lose_their_bytes),
    R(no_more_is_dropped_than_the_quota_asks_for),
    R(what_a_released_version_comes_from_keeps_its_bytes),
    R(what_versions_share_goes_with_the_last_of_them),
    R(a_version_without_its_bytes_says_so_until_they_are_added_again),
    R(tables_that_are_not_the_journals_are_no_ground_for_removing),
    R(a_manifest_that_cannot_be_read_is_no_ground_either),
    R(a_folder_of_two_registries_is_left_alone),
    R(adds_at_work_lose_nothing),
};

int main(void) { return ON_BOTH_DATABASES(gc); }
