/* test_keys_fault.c - the n-th allocation or the n-th system call fails, for n = 0, 1, 2 ... until the work succeeds, where keys are read,
 * appended and read anew, and where the audit log is written: an error with a message, nothing leaked, what was there before is whole. */
#include <errno.h>
#include <sys/stat.h>
#include "../test.h"
#include "base/mem.h"
#include "serve/audit.h"
#include "serve/clients.h"

#define ABC "  sha256: \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n"
static const char keys[] = "- name: a\n" ABC "  models: [small, large]\n  requests_per_day: 3\n";
static char path[100], log_path[100];

static void put_keys(const char *text)
{
    assert_int_equal(file_write_all(path, text, strlen(text), NULL), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int open_clients(struct err *err)
{
    struct clients *c;
    TRY(clients_new(&c, "secret", path, err));
    clients_free(c);
    return 0;
}

static int append(struct err *err)
{
    char secret[KEY_SECRET];
    return keys_add(path, "b", secret, err);
}

static int write_log(struct err *err)
{
    struct audit *a;
    TRY(audit_open(&a, log_path, err));
    audit_add(a, "\"x\":1", 5);
    audit_reopen(a);
    audit_add(a, "\"x\":2", 5);
    audit_close(a);
    return 0;
}

static void nothing(void *ctx, const char *key, int64_t requests, int64_t tokens) { (void)ctx, (void)key, (void)requests, (void)tokens; }
static int read_log(struct err *err) { return audit_day(log_path, 0, nothing, NULL, err); }

/* last: what a failure there does not stop. */
static const struct { const char *name; int (*run)(struct err *err); bool lenient; } works[] = {
    { "open", open_clients, false }, { "append", append, false }, { "log", write_log, true }, { "read the log", read_log, true },
};

static uint64_t n_live(void)
{
    struct mem_stats s;
    mem_stats_get(&s);
    return s.n_live;
}

static void check_keys(const char *what)
{
    struct key_file f;
    struct err err;
    if (keys_load(&f, path, &err) < 0)
        fail_msg("%s: %s", what, err.msg);
    assert_true(f.n == 1 || f.n == 2);
    keys_release(&f);
    char **names;
    int n;
    assert_int_equal(file_list(test_dir, &names, &n, NULL), 0);
    for (int i = 0; i < n; i++)
        if (strstr(names[i], ".tmp"))
            fail_msg("%s: %s is left", what, names[i]);
    file_list_free(names, n);
}

static void fail_each(bool calls)
{
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        for (int64_t n = 0;; n++) {
            struct err err = { 0 };
            char what[100];
            snprintf(what, sizeof what, "%s, %s %lld", works[i].name, calls ? "system call" : "allocation", (long long)n);
            put_keys(keys);
            const uint64_t before = n_live();
            calls ? file_fail_at(n, EIO) : mem_fail_at(n);
            const int rc = works[i].run(&err);
            const int64_t asked = calls ? file_fail_count() : mem_fail_count();
            file_fail_at(-1, 0), mem_fail_at(-1);
            if (n_live() != before)
                fail_msg("%s: %lld blocks leaked", what, (long long)(n_live() - before));
            check_keys(what);
            if (rc < 0 && (rc != err.code || !*err.msg))
                fail_msg("%s: code %d, message '%s'", what, rc, err.msg);
            if (asked <= n) {
                if (rc < 0)
                    fail_msg("%s: %s", what, err.msg);
                break;
            }
            if (rc >= 0 && !works[i].lenient)
                fail_msg("%s: no error", what);
            assert_true(n < 10000);
        }
}

static void each_allocation_may_fail(void **state) { (void)state; fail_each(false); }
static void each_system_call_may_fail(void **state) { (void)state; fail_each(true); }

/* Of a file in which "a" may ask less: that is so where it worked, and not where it did not. */
static void a_failed_reload_changes_nothing(void **state)
{
    (void)state;
    struct err err;
    struct clients *c;
    bool expired;
    put_keys(keys);
    OK(clients_new(&c, NULL, path, &err));
    for (int kind = 0; kind < 2; kind++)
        for (int64_t n = 0, asked = n + 1; asked > n; n++) {
            put_keys("- name: a\n" ABC "  models: [small]\n- name: c\n  sha256: \"aa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n");
            kind ? file_fail_at(n, EIO) : mem_fail_at(n);
            const int rc = clients_reload(c, &err);
            asked = kind ? file_fail_count() : mem_fail_count();
            mem_fail_at(-1), file_fail_at(-1, 0);
            struct client *a = clients_find(c, "abc", 0, &expired);
            assert_true(a && client_may_use(a, "large") == (rc < 0) && (rc < 0) == (asked > n));
            put_keys(keys);
            OK(clients_reload(c, &err));
        }
    clients_free(c);
}

static int begin(void **state)
{
    if (make_dir(state))
        return -1;
    strcpy(path, in_dir("keys.yaml"));
    strcpy(log_path, in_dir("log"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(each_system_call_may_fail),
        cmocka_unit_test(a_failed_reload_changes_nothing),
    };
    return cmocka_run_group_tests(tests, begin, remove_dir);
}
