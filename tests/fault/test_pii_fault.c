/* test_pii_fault.c - personal data, secrets and redaction with each allocation failing in turn. */
#include "each_allocation.h"
#include "audit/audit.h"
#include "audit/redact.h"

static struct err err;

static const char text[] = "mail a.b@example.com, call +1 212 555 0100, card 4111 1111 1111 1111; k=abcd1 and k=efgh2";
static const char rules[] = "[[rules]]\nid = 'a'\nregex = '''k=([a-z0-9]{4,20})'''\nkeywords = ['k']\nentropy = 1\n[[rules.allowlists]]\nregexes = ['^x']\nstopwords = ['y']\npaths = ['z$']\n";

static struct redact_kind kind(const void *ctx, int k) { (void)ctx, (void)k; return (struct redact_kind){ "X", VALUE_PLAIN, REDACT_PSEUDONYM }; }

static int look(struct pii *p, struct secrets *s)
{
    struct pii_state *ps = NULL;
    struct secret_state *ss = NULL;
    const struct spot *spot;
    struct redact_key key = { .byte = "0123456789abcdef", .n = 16 };
    struct buf out;
    size_t n;
    buf_init(&out);
    int rc = pii_state_new(&ps, p, &err);
    rc = rc ? rc : secret_state_new(&ss, s, &err);
    rc = rc ? rc : pii_spots(p, ps, text, strlen(text), PII_SCORE_MIN, &spot, &n, &err);
    if (!rc)
        assert_int_equal(n, 3);
    rc = rc ? rc : redact(text, strlen(text), spot, n, &key, kind, NULL, &out, &err);
    rc = rc ? rc : secret_spots(s, ss, "a/b", text, strlen(text), &spot, &n, &err);
    if (!rc)
        assert_int_equal(n, 2);
    pii_state_free(ps);
    secret_state_free(ss);
    buf_release(&out);
    return rc;
}

static struct pii *pii;
static struct secrets *secrets;

static int run_state(void *ctx) { (void)ctx; return look(pii, secrets); }

static int run_rules(void *ctx)
{
    struct secrets *s;
    (void)ctx;
    TRY(secrets_parse(&s, rules, strlen(rules), "rules.toml", &err));
    secrets_free(s);
    return 0;
}

static int run_pii(void *ctx)
{
    struct pii *p;
    (void)ctx;
    TRY(pii_new(&p, &err));
    pii_free(p);
    return 0;
}

static int run_ours(void *ctx)
{
    struct secrets *s;
    (void)ctx;
    TRY(secrets_new(&s, &err));
    secrets_free(s);
    return 0;
}

static void no_memory_is_an_error_while_a_text_is_looked_at(void **state)
{
    (void)state;
    OK(pii_new(&pii, &err));
    OK(secrets_parse(&secrets, rules, strlen(rules), "rules.toml", &err));
    assert_true(each_allocation(run_state, NULL, false) > 15);
    pii_free(pii);
    secrets_free(secrets);
}

static void no_memory_is_an_error_while_rules_are_read(void **state)
{
    (void)state;
    assert_true(each_allocation(run_rules, NULL, false) > 40);
}

/* Of several hundred allocations one in so many: each run compiles all expressions. */
static void no_memory_is_an_error_while_tables_are_compiled(void **state)
{
    (void)state;
    assert_true(each_failure(ALLOCATIONS, 43, run_pii, NULL, false) > 3);
    assert_true(each_failure(ALLOCATIONS, 331, run_ours, NULL, false) > 3);
}

static int run_audit(void *ctx)
{
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    json_t *report = NULL;
    (void)ctx;
    OK(file_remove_tree(in_dir("out"), &err));
    int rc = sources_add(&s, in_dir("r.jsonl"), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    static const char yaml[] = "secrets: drop\n";
    struct policy policy;
    const struct audit_opts o = { .dir = in_dir("out"), .pool = pool, .pii = pii, .secrets = secrets, .policy = &policy };
    rc = policy_parse(&policy, yaml, strlen(yaml), "policy", rc ? NULL : &err) < 0 && !rc ? err.code : rc;
    rc = rc ? rc : audit_run(&s, &o, &report, &err);
    pool_free(pool);
    sources_release(&s);
    policy_release(&policy);
    if (!rc) {
        assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "secrets"), "n")), 2);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(report, "totals"), "kept")), 1);
    }
    json_decref(report);
    return rc;
}

/* Vectorscan's tables are made once, with all the memory that they want. */
static void no_memory_is_an_error_in_an_audit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    OK(buf_printf(&b, &err, "{\"text\": \"%s\"}\n{\"text\": \"b@example.org\"}\n", text));
    OK(file_write_all(in_dir("r.jsonl"), b.data, b.len, &err));
    buf_release(&b);
    OK(pii_new(&pii, &err));
    OK(secrets_parse(&secrets, rules, strlen(rules), "rules.toml", &err));
    assert_true(each_allocation(run_audit, NULL, true) > 60);
    pii_free(pii);
    secrets_free(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error_while_a_text_is_looked_at),
        cmocka_unit_test(no_memory_is_an_error_while_rules_are_read),
        cmocka_unit_test(no_memory_is_an_error_while_tables_are_compiled),
        cmocka_unit_test(no_memory_is_an_error_in_an_audit),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
