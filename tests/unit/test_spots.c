/* test_spots.c - personal data and secrets in an audit: counted, masked, dropped; the same bytes whatever the threads and stops. */
#include <jansson.h>
#include "../test.h"
#include "audit/build.h"
#include "base/mem.h"
#include "base/pool.h"

static struct err err;
static struct pii *pii;
static struct secrets *secrets;

static const char rules[] = "[[rules]]\nid = 'vault'\nregex = '''vault=([a-z0-9]{8})'''\n";

static int set_up(void **state)
{
    struct buf b;
    if (make_dir(state))
        return -1;
    buf_init(&b);
    OK(pii_new(&pii, &err));
    OK(secrets_parse(&secrets, rules, strlen(rules), "rules", &err));
    /* Every 10th record has an address, every 25th a key, some both; the last is broken. */
    for (int i = 0; i < 5000; i++)
        OK(buf_printf(&b, &err, "{\"text\": \"Record %d says nothing of %s%s anyone.\"}\n", i, i % 10 ? "" : "someone@example.org and ", i % 25 ? "" : "vault=abcd1234,"));
    OK(buf_add_str(&b, "{\"text\": 1}\n", &err));
    OK(file_write_all(in_dir("r.jsonl"), b.data, b.len, &err));
    buf_release(&b);
    return 0;
}

static int tear_down(void **state)
{
    pii_free(pii);
    secrets_free(secrets);
    return remove_dir(state);
}

static int stop_at, n_call;
static const char *input = "r.jsonl";

static int progress(void *ctx, uint64_t bytes, const char *stage, struct err *e)
{
    (void)ctx, (void)bytes, (void)stage;
    return n_call++ == stop_at ? ERR(e, STOPPED, "stopped") : 0;
}

static int audit(const char *dir, int n_thread, struct audit_opts o, json_t **report)
{
    struct sources s = { .n = 0 };
    OK(pool_new(&o.pool, n_thread, &err));
    OK(sources_add(&s, in_dir(input), &err));
    o.dir = in_dir(dir), o.pii = pii, o.secrets = secrets, o.segment_bytes = 1 << 16, o.progress = progress, o.keep_duplicates = true;
    n_call = 0;
    const int rc = audit_run(&s, &o, report, &err);
    sources_release(&s);
    pool_free(o.pool);
    return rc;
}

static int64_t at(json_t *o, const char *a, const char *b, const char *c)
{
    o = json_object_get(o, a);
    o = b ? json_object_get(o, b) : o;
    o = c ? json_object_get(o, c) : o;
    assert_true(json_is_integer(o));
    return json_integer_value(o);
}

static void spots_are_counted_and_masked(void **state)
{
    (void)state;
    json_t *r;
    stop_at = -1;
    OK(audit("one", 1, (struct audit_opts){ .records = false }, &r));
    const json_t *entities = json_object_get(json_object_get(r, "pii"), "entities");
    assert_int_equal(json_object_size(entities), 1);
    json_t *mail = json_object_get(entities, "EMAIL_ADDRESS");
    assert_int_equal(at(mail, "n", NULL, NULL), 500);
    assert_int_equal(at(mail, "records", NULL, NULL), 500);
    assert_int_equal(json_array_size(json_object_get(mail, "examples")), 5);
    const json_t *example = json_array_get(json_object_get(mail, "examples"), 1);
    assert_int_equal(json_integer_value(json_object_get(example, "record")), 10);
    assert_string_equal(json_string_value(json_object_get(example, "masked")), "so********rg");
    assert_int_equal(at(r, "secrets", "n", NULL), 200);
    const json_t *vault = json_object_get(json_object_get(json_object_get(r, "secrets"), "rules"), "vault");
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(vault, "examples"), 0), "masked")), "********");
    /* "Record N says nothing of  anyone." has 6 words, an address 2 more, a key 1. */
    assert_int_equal(at(r, "pii", "tokens", NULL), 5000 * 6 + 500 * 2 + 200);
    assert_int_equal(at(r, "totals", "kept", NULL), 5000);
    char *text = json_dumps(r, 0);
    assert_null(strstr(text, "someone@"));
    assert_null(strstr(text, "abcd1234"));
    mem_free(text);
    json_decref(r);
}

/* An expression with repetitions in repetitions, which PCRE2 gives up: how often, where, and nothing else changes. */
static void places_that_were_given_up_are_told(void **state)
{
    (void)state;
    static const char slow[] = "[[rules]]\nid = 'slow'\nregex = '''k(?:a|aa|aaa)+z'''\n[[rules]]\nid = 'vault'\nregex = '''vault=([a-z0-9]{8})'''\n";
    char many[120];
    struct secrets *ours = secrets;
    json_t *r;
    stop_at = -1;
    memset(many, 'a', sizeof many);
    char *text = mem_printf("{\"text\": \"kaz vault=abcd1234\"}\n{\"text\": \"k%.120s k%.120s kaz vault=abcd1234\"}\n", many, many);
    OK(file_write_all(in_dir("slow.jsonl"), text, strlen(text), &err));
    mem_free(text);
    OK(secrets_parse(&secrets, slow, strlen(slow), "rules", &err));
    for (int again = 0; again < 2; again++) {                  /* the second time from what is stored */
        input = "slow.jsonl";
        OK(audit("slow", 1, (struct audit_opts){ .records = true }, &r));
        const json_t *found = json_object_get(json_object_get(r, "secrets"), "rules"), *given_up = json_object_get(json_object_get(r, "secrets"), "given_up");
        assert_int_equal(json_integer_value(json_object_get(json_object_get(found, "vault"), "n")), 2);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(found, "slow"), "n")), 1);
        assert_true(json_integer_value(json_object_get(given_up, "n")) > 0);
        assert_int_equal(json_integer_value(json_object_get(given_up, "records")), 1);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(given_up, "examples"), 0), "line")), 2);
        assert_null(json_object_get(json_object_get(r, "pii"), "given_up"));
        json_decref(r);
    }
    input = "r.jsonl";
    secrets_free(secrets);
    secrets = ours;
}

static void records_with_spots_are_dropped_where_that_is_asked_for(void **state)
{
    (void)state;
    static const char yaml[] = "pii: {default: keep, EMAIL_ADDRESS: drop}\nsecrets: drop\n", other[] = "pii: {EMAIL_ADDRES: drop}\n";
    struct policy policy;
    json_t *r;
    stop_at = -1;
    OK(policy_parse(&policy, yaml, strlen(yaml), "policy", &err));
    OK(audit("one", 1, (struct audit_opts){ .policy = &policy }, &r));      /* verdicts only: nothing is read anew */
    assert_int_equal(at(r, "totals", "dropped", "pii"), 500);
    assert_int_equal(at(r, "totals", "dropped", "secret"), 100);                                  /* the other 100 are counted above */
    assert_int_equal(at(r, "totals", "kept", NULL), 4400);
    json_decref(r);
    OK(audit("one", 1, (struct audit_opts){ .pii_score = 100, .policy = &policy }, &r));
    assert_int_equal(at(r, "totals", "dropped", "pii"), 500);
    json_decref(r);
    policy_release(&policy);
    OK(policy_parse(&policy, other, strlen(other), "policy", &err));
    assert_int_equal(audit("one", 1, (struct audit_opts){ .policy = &policy }, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "'EMAIL_ADDRES'"));
    policy_release(&policy);
}

static void threads_and_stops_change_no_byte(void **state)
{
    (void)state;
    json_t *a, *b;
    stop_at = 1;
    assert_int_equal(audit("two", 2, (struct audit_opts){ .records = false }, &b), ERR_STOPPED);
    stop_at = -1;
    OK(audit("two", 3, (struct audit_opts){ .records = false }, &b));
    OK(audit("three", 1, (struct audit_opts){ .records = false }, &a));
    assert_true(json_equal(a, b));
    char **names;
    int n;
    OK(file_list(in_dir("two/segments"), &names, &n, &err));
    assert_true(n > 1);
    for (int i = 0; i < n; i++) {
        struct buf x, y;
        buf_init(&x);
        buf_init(&y);
        OK(file_read(path_in(in_dir("two/segments"), names[i]), 1 << 24, &x, &err));
        OK(file_read(path_in(in_dir("three/segments"), names[i]), 1 << 24, &y, &err));
        assert_int_equal(x.len, y.len);
        assert_memory_equal(x.data, y.data, x.len);
        buf_release(&x);
        buf_release(&y);
    }
    file_list_free(names, n);
    json_decref(a);
    json_decref(b);
}

/* Built from the audit that an earlier test left. */
static void a_build_has_none_of_them(void **state)
{
    (void)state;
    struct opened x;
    struct pool *pool;
    struct buf b;
    json_t *m;
    stop_at = -1;
    OK(audit("one", 1, (struct audit_opts){ .records = false }, &m));
    json_decref(m);
    struct build_opts o = { .dir = in_dir("built"), .seed = 1, .shard_bytes = 1 << 20 };
    OK(build_splits(&o, "train=1", &err));
    OK(pool_new(&pool, 2, &err));
    OK(opened_open(&x, in_dir("one"), pool, &err));
    OK(build_run(&x, &o, &m, &err));
    opened_close(&x);
    pool_free(pool);
    assert_int_equal(at(m, "redacted", "pii", NULL), 500);
    assert_int_equal(at(m, "redacted", "secrets", NULL), 200);
    assert_int_equal(at(m, "redacted", "records", NULL), 600);
    json_decref(m);
    buf_init(&b);
    OK(file_read(in_dir("built/train/00000.jsonl"), 1 << 24, &b, &err));
    assert_null(strstr(b.data, "someone@"));
    assert_null(strstr(b.data, "abcd1234"));
    assert_non_null(strstr(b.data, "\"Record 50 says nothing of <EMAIL_ADDRESS> and vault=<vault>, anyone.\""));
    assert_non_null(strstr(b.data, "\"Record 51 says nothing of  anyone.\""));
    buf_release(&b);
}

static void what_is_looked_for_is_part_of_the_plan(void **state)
{
    (void)state;
    struct secrets *others, *ours = secrets;
    json_t *r;
    OK(secrets_parse(&others, "[[rules]]\nid = 'vault'\nregex = 'x'\n", 35, "rules", &err));
    secrets = others;
    assert_int_equal(audit("three", 1, (struct audit_opts){ .records = false }, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "'secrets'"));
    secrets = ours;
    secrets_free(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spots_are_counted_and_masked),
        cmocka_unit_test(places_that_were_given_up_are_told),
        cmocka_unit_test(records_with_spots_are_dropped_where_that_is_asked_for),
        cmocka_unit_test(threads_and_stops_change_no_byte),
        cmocka_unit_test(a_build_has_none_of_them),
        cmocka_unit_test(what_is_looked_for_is_part_of_the_plan),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
