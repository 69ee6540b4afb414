/* test_data_build_fault.c - a build and an erasure with each allocation failing in turn, and each system call: an error, nothing half made, and what
 * was there before stays to the bit. */
#include <errno.h>
#include "../test.h"
#include "audit/build.h"
#include "audit/erase.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "each_allocation.h"

static struct err err;
static struct build_tokens tokens;       /* of the chats and texts, too */
static const struct redact_key key = { "0123456789abcdef", 16 };

/* ---- what is there before ---- */

#define MAIL "write to ann.lee@example.org, or to bob@example.net"

static int make_audit(void)
{
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    struct pii *pii = NULL;
    json_t *report = NULL;
    int rc = sources_add(&s, in_dir("data.yaml"), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    rc = rc ? rc : pii_new(&pii, &err);
    const struct audit_opts o = { .dir = in_dir("audit"), .pool = pool, .pii = pii };
    rc = rc ? rc : audit_run(&s, &o, &report, &err);
    json_decref(report);
    pii_free(pii);
    pool_free(pool);
    sources_release(&s);
    return rc;
}

static int build(const char *to)
{
    struct opened x;
    struct pool *pool = NULL;
    struct policy policy = { .name = NULL };
    struct build_opts o = { .dir = in_dir(to), .seed = 1, .shard_bytes = 100, .key = &key, .tokens = &tokens };
    json_t *m = NULL;
    TRY(pool_new(&pool, 1, &err));
    int rc = opened_open(&x, in_dir("audit"), pool, &err);
    rc = rc ? rc : build_splits(&o, "train=0.5,valid=0.5", &err);
    rc = rc ? rc : build_weights(&o, "a=1.5", &x.s, &err);
    rc = rc ? rc : build_without(&o, in_dir("gone.jsonl"), &err);
    rc = rc ? rc : policy_load(&policy, in_dir("policy.yaml"), &err);
    o.policy = &policy;
    rc = rc ? rc : build_run(&x, &o, &m, &err);
    if (!rc)
        assert_int_equal(json_integer_value(json_object_get(m, "records")), 6);
    json_decref(m);
    policy_release(&policy);
    opened_close(&x);
    mem_free(o.weight);
    mem_free(o.without);
    pool_free(pool);
    return rc;
}

static int erase(const char *to)
{
    const struct erase_opts o = { .from = in_dir("old"), .to = in_dir(to), .where = { { "kind=y\n", "text=quebec" }, 2 }, .reason = "asked for", .runs = { { in_dir("runs") }, 1 } };
    json_t *told = NULL;
    const int rc = erase_run(&o, &told, &err);
    if (!rc)
        assert_int_equal(json_array_size(json_object_get(told, "runs")), 1);
    assert_true(rc ? !told : json_integer_value(json_object_get(told, "texts")) == 2);
    json_decref(told);
    return rc;
}

/* ---- runs ---- */

/* All that lies below a folder: names and bytes. */
static void hash_tree(const char *path, struct sha256 *h)
{
    char **names;
    int n;
    struct buf b;
    if (!file_is_dir(path)) {
        buf_init(&b);
        OK(file_read(path, 1 << 20, &b, &err));
        sha256_add(h, b.data, b.len);
        buf_release(&b);
        return;
    }
    OK(file_list(path, &names, &n, &err));
    for (int i = 0; i < n; i++) {
        char *below = file_join(path, names[i]);
        sha256_add(h, names[i], strlen(names[i]) + 1);
        hash_tree(below, h);
        mem_free(below);
    }
    file_list_free(names, n);
}

static void tree_sum(const char *name, char sum[SHA256_HEX])
{
    struct sha256 h;
    OK(sha256_init(&h, &err));
    hash_tree(in_dir(name), &h);
    sha256_end(&h, sum);
    sha256_release(&h);
}

/* What a run makes of nothing, what it reads, and the sums of both. */
struct made { int (*run)(const char *to); const char *reads; char whole[SHA256_HEX], before[SHA256_HEX]; };

static void take_sums(struct made *m)
{
    OK(m->run("new"));
    tree_sum("new", m->whole);
    tree_sum(m->reads, m->before);
    OK(file_remove_tree(in_dir("new"), &err));
}

/* A failure leaves nothing; what is made in spite of one is whole; what was there is there. */
static void check(const struct made *m, int rc)
{
    char sum[SHA256_HEX];
    assert_false(file_exists(in_dir("new.part")));
    assert_int_equal(rc == 0, file_exists(in_dir("new")));
    if (!rc) {
        tree_sum("new", sum);
        assert_string_equal(sum, m->whole);
        OK(file_remove_tree(in_dir("new"), &err));
    }
    tree_sum(m->reads, sum);
    assert_string_equal(sum, m->before);
}

static int each_one(enum failing what, struct made *m)
{
    struct mem_stats before, after;
    int n_failed = 0, rc;
    bool reached = true;
    take_sums(m);
    mem_stats_get(&before);
    for (int64_t n = 0; reached; n++) {
        what == CALLS ? file_fail_at(n, EIO) : mem_fail_at(n);
        rc = m->run("new");
        reached = (what == CALLS ? file_fail_count() : mem_fail_count()) > n;
        mem_fail_at(-1), file_fail_at(-1, 0);
        if (rc && rc != (what == CALLS ? ERR_IO : ERR_NOMEM))
            fail_msg("%s %lld failed: %d, %s", what == CALLS ? "system call" : "allocation", (long long)n, rc, err.msg);
        check(m, rc);
        mem_stats_get(&after);
        if (before.n_live != after.n_live || before.bytes_mapped != after.bytes_mapped)
            fail_msg("%s %lld: %lld more live", what == CALLS ? "system call" : "allocation", (long long)n, (long long)(after.n_live - before.n_live));
        n_failed += rc < 0;
    }
    assert_int_equal(rc, 0);
    return n_failed;
}

static void a_build_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_one(ALLOCATIONS, &(struct made){ .run = build, .reads = "audit" }) > 100);
}

static void a_build_of_which_a_call_fails_leaves_nothing(void **state)
{
    (void)state;
    assert_true(each_one(CALLS, &(struct made){ .run = build, .reads = "audit" }) > 30);
}

static void an_erasure_without_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(each_one(ALLOCATIONS, &(struct made){ .run = erase, .reads = "old" }) > 50);
}

static void an_erasure_of_which_a_call_fails_keeps_the_old_version(void **state)
{
    (void)state;
    assert_true(each_one(CALLS, &(struct made){ .run = erase, .reads = "old" }) > 30);
}

/* ---- files ---- */

static int write_text(const char *name, const char *text) { return file_write_all(in_dir(name), text, strlen(text), &err); }

/* A run that read the old version, and one that read another. */
static int make_runs(void)
{
    json_t *m = NULL;
    TRY(tree_load(&m, in_dir("old/build.json"), 1 << 20, &err));
    char *run = mem_printf("{\"steps\": 10, \"data\": [{\"version\": \"%s\"}]}", json_string_value(json_object_get(m, "version")));
    int rc = file_mkdirs(in_dir("runs/a"), &err);
    rc = rc ? rc : file_mkdirs(in_dir("runs/b"), &err);
    rc = rc ? rc : write_text("runs/a/run.json", run);
    rc = rc ? rc : write_text("runs/b/run.json", "{\"steps\": 10, \"data\": [{\"version\": \"another\"}]}");
    mem_free(run);
    json_decref(m);
    return rc;
}

#define LONG "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec"

/* A token for each byte. */
static int make_tokens(void)
{
    static const char template[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
    char all[256];
    struct tok *tok = NULL;
    struct chat *chat = NULL;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    TRY(tok_from_bytes(&tok, &(struct tok_text){ all, sizeof all }, 1, &err));
    const int rc = chat_new(&chat, &(struct chat_source){ "default", template, sizeof template - 1 }, 1, NULL, &err);
    tokens = (struct build_tokens){ tok, chat };
    return rc;
}

static int clean_up(void **state)
{
    chat_free((struct chat *)(uintptr_t)tokens.chat);
    tok_free((struct tok *)(uintptr_t)tokens.tok);
    return remove_dir(state);
}

static int make_files(void **state)
{
    static const char yaml[] = "sources:\n  - {name: a, path: a.jsonl, field: body, label: kind, group: who}\n  - {name: b, path: b.csv, split: test}\n  - {name: c, path: c.jsonl, split: chats, field: talk}\n";
    static const char lines[] = "{\"body\": \"one\", \"kind\": \"x\", \"who\": 1}\n{\"body\": \"two \\u00e9\", \"kind\": \"y\\n\"}\n{\"body\": 3}\n"
                                "{\"body\": \"" MAIL "\", \"kind\": \"x\", \"who\": 2}\n{\"body\": \"" LONG "\"}\n{\"body\": \"no longer wanted\"}\n";
    static const char policy[] = "pii: {EMAIL_ADDRESS: pseudonym}\n";
    char sum[SHA256_HEX], gone[100];
    if (make_dir(state))
        return -1;
    int rc = sha256_of("no longer wanted", 16, sum, &err);
    snprintf(gone, sizeof gone, "{\"sha256\": \"%s\"}\n", sum);
    rc = rc ? rc : write_text("data.yaml", yaml);
    rc = rc ? rc : write_text("a.jsonl", lines);
    rc = rc ? rc : write_text("b.csv", "id,text\n1,\"a \"\"b\"\"\"\n2\n");
    rc = rc ? rc : write_text("c.jsonl", "{\"talk\": [{\"role\": \"user\", \"content\": \"who has the address cy@example.com these days?\"}, {\"role\": \"assistant\", \"content\": \"done\"}], \"id\": 1}\n");
    rc = rc ? rc : write_text("policy.yaml", policy);
    rc = rc ? rc : write_text("gone.jsonl", gone);
    rc = rc ? rc : make_tokens();
    rc = rc ? rc : make_audit();
    rc = rc ? rc : build("old");
    rc = rc ? rc : make_runs();
    return rc ? (print_error("%s\n", err.msg), rc) : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_without_memory_is_an_error),
        cmocka_unit_test(a_build_of_which_a_call_fails_leaves_nothing),
        cmocka_unit_test(an_erasure_without_memory_is_an_error),
        cmocka_unit_test(an_erasure_of_which_a_call_fails_keeps_the_old_version),
    };
    return cmocka_run_group_tests(tests, make_files, clean_up);
}
