/* test_keys.c - files of keys, limits by a clock of the test's own, and who is known when files change under way. */
#include <math.h>
#include <pthread.h>
#include <sys/stat.h>
#include "../test.h"
#include "serve/clients.h"

static struct err err;

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define KEY(name, digit, more) "- name: " name "\n  sha256: \"" HEX digit "\"\n" more

/* ---- files ---- */

static int parse(struct key_file *f, const char *yaml) { return keys_parse(f, yaml, strlen(yaml), true, "keys.yaml", &err); }

static void a_file_says_who_may_what(void **state)
{
    (void)state;
    struct key_file f;
    OK(parse(&f, KEY("team-a", "0", "  requests_per_minute: 60\n  requests_per_day: 1000\n  tokens_per_minute: 6000\n  tokens_per_day: 100000\n  parallel: 4\n"
                                    "  priority: -5\n  models: [small, large]\n  expires: 2027-01-01\n  keep_texts: true\n  admin: true\n  tenant: shared\n")
                 KEY("b.1", "1", "  expires: 2024-02-29T23:59:59Z\n")));
    assert_int_equal(f.n, 2);
    const struct key *k = f.key;
    assert_string_equal(k->name, "team-a");
    assert_string_equal(k->tenant, "shared");
    assert_int_equal(k->sha256[0], 0x01);
    assert_int_equal(k->sha256[31], 0xe0);
    assert_true(k->quota.requests_minute == 60 && k->quota.requests_day == 1000 && k->quota.tokens_minute == 6000 && k->quota.tokens_day == 100000 && k->quota.texts == 4);
    assert_int_equal(k->priority, -5);
    assert_int_equal(k->n_model, 2);
    assert_string_equal(k->model[1], "large");
    assert_true(k->expires == 1798761600. && k->keep_text && k->admin);
    assert_string_equal(k[1].tenant, "b.1");
    assert_true(k[1].expires == 1709251199. && !k[1].model && !k[1].quota.texts && !k[1].priority && !k[1].keep_text && !k[1].admin);
    keys_release(&f);
    OK(parse(&f, "[]"));
    assert_int_equal(f.n, 0);
    keys_release(&f);
    const char *json = "[{\"name\": \"a\", \"sha256\": \"" HEX "0\"}]";
    OK(keys_parse(&f, json, strlen(json), false, "keys.json", &err));
    keys_release(&f);
}

static void a_bad_file_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } bad[] = {
        { "", "expected a list" },
        { "keys: 1", "expected a list" },
        { "- 1", "key 1: found a whole number" },
        { "- name: a\n", "sha256" },
        { "- sha256: \"" HEX "0\"\n", "the name is ''" },
        { "- name: a b\n  sha256: \"" HEX "0\"\n", "the name is 'a b'" },
        { "- name: a\n  sha256: \"" HEX "g\"\n", "sha256" },
        { "- name: a\n  sha256: \"g" HEX "\"\n", "sha256" },
        { "- name: a\n  sha256: \"" HEX "\"\n", "sha256" },
        { KEY("a", "0", "") KEY("a", "1", ""), "'a' is there twice" },
        { KEY("a", "0", "") KEY("b", "0", ""), "'a' and 'b' have the same key" },
        { KEY("shared", "0", ""), "shared" },
        { KEY("a", "0", "  requests_per_minut: 1\n"), "did you mean 'requests_per_minute'" },
        { KEY("a", "0", "  requests_per_minute: 0\n"), "found 0" },
        { KEY("a", "0", "  tokens_per_day: many\n"), "found a string" },
        { KEY("a", "0", "  models: []\n"), "models" },
        { KEY("a", "0", "  models: [1]\n"), "models" },
        { KEY("a", "0", "  models: small\n"), "models" },
        { KEY("a", "0", "  expires: tomorrow\n"), "'tomorrow'" },
        { KEY("a", "0", "  expires: 2027-02-29\n"), "'2027-02-29'" },
        { KEY("a", "0", "  expires: 2027-01-01T25:00:00Z\n"), "T25" },
        { KEY("a", "0", "  tenant: \"\"\n"), "tenant" },
        { KEY("a", "0", "  priority: 1.5\n"), "priority" },
    };
    struct key_file f;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(&f, bad[i].text) >= 0 || !strstr(err.msg, bad[i].says) || f.key)
            fail_msg("%s: '%s', expected '%s'", bad[i].text, err.msg, bad[i].says);
}

static void a_new_key_is_appended_and_found_by_its_secret_alone(void **state)
{
    (void)state;
    char *path = in_dir("keys.yaml"), secret[2][KEY_SECRET];
    struct key_file f;
    struct stat st;
    unsigned char digest[SHA256_BYTES];
    OK(keys_add(path, "first", secret[0], &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(path, 0640), 0);
    FILE *file = fopen(path, "a");
    fputs("  tokens_per_day: 5    # no line end", file);
    fclose(file);
    OK(keys_add(path, "second", secret[1], &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    OK(keys_load(&f, path, &err));
    assert_int_equal(f.n, 2);
    assert_true(f.key[0].quota.tokens_day == 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(strlen(secret[i]), KEY_SECRET - 1);
        keys_digest(digest, secret[i]);
        assert_memory_equal(digest, f.key[i].sha256, SHA256_BYTES);
    }
    keys_release(&f);
    assert_int_equal(keys_add(path, "second", secret[0], &err), ERR_USAGE);
    assert_int_equal(keys_add(path, "a b", secret[0], &err), ERR_USAGE);
    assert_int_equal(keys_add(in_dir("keys.json"), "a", secret[0], &err), ERR_USAGE);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(keys_load(&f, path, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "644"));
    assert_int_equal(keys_load(&f, in_dir("none.yaml"), &err), ERR_IO);
    assert_int_equal(remove(path), 0);
}

#define ADDERS 6
static char many[100];
static int added[ADDERS];

static void *add_one(void *ctx)
{
    char name[8], secret[KEY_SECRET];
    const int i = (int)((int *)ctx - added);
    snprintf(name, sizeof name, "n%d", i);
    struct err e;
    added[i] = keys_add(many, name, secret, &e);
    return NULL;
}

static void keys_that_are_made_at_once_are_all_kept(void **state)
{
    (void)state;
    pthread_t t[ADDERS];
    struct key_file f;
    strcpy(many, in_dir("many.yaml"));
    for (int i = 0; i < ADDERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, add_one, &added[i]), 0);
    for (int i = 0; i < ADDERS; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < ADDERS; i++)
        assert_int_equal(added[i], 0);
    OK(keys_load(&f, many, &err));
    assert_int_equal(f.n, ADDERS);
    keys_release(&f);
    assert_int_equal(remove(many), 0);
}

/* ---- limits ---- */

static const double noon = 20000. * 86400 + 43200;

static bool take(struct quota_use *u, const struct quota *q, double now, int64_t requests, int64_t tokens, int64_t texts, struct quota_grant *g, struct quota_no *no)
{
    *g = (struct quota_grant){ 0 };
    return quota_take(u, q, now, (struct quota_ask){ requests, tokens, texts }, g, no);
}

static void who_waits_as_long_as_was_said_is_let_in_and_not_before(void **state)
{
    (void)state;
    struct quota_use u = { 0 };
    const struct quota q = { .requests_minute = 6, .tokens_minute = 700 };
    struct quota_grant g;
    struct quota_no no;
    for (int i = 0; i < 6; i++)
        assert_true(take(&u, &q, noon, 1, 10, 1, &g, &no));
    assert_false(take(&u, &q, noon, 1, 10, 1, &g, &no));
    assert_true(no.which == QUOTA_REQUESTS_MINUTE && no.limit == 6 && no.wait_s == 10);
    assert_false(take(&u, &q, noon + 9.99, 1, 10, 1, &g, &no));
    assert_true(take(&u, &q, noon + 10, 1, 10, 1, &g, &no));
    assert_false(take(&u, &q, noon + 10, 1, 700, 1, &g, &no));         /* both are short: the longer wait is told */
    assert_true(no.which == QUOTA_REQUESTS_MINUTE || no.which == QUOTA_TOKENS_MINUTE);
    const double wait = no.wait_s;
    assert_false(take(&u, &q, noon + 10 + wait - 0.01, 1, 700, 1, &g, &no));
    assert_true(take(&u, &q, noon + 10 + wait, 1, 700, 1, &g, &no));
    assert_false(take(&u, &q, noon, 1, 701, 1, &g, &no));              /* never; a clock that goes back gives nothing */
    assert_true(no.which == QUOTA_TOKENS_MINUTE && no.wait_s < 0);
    for (double i = 1, limit = 7; i < 400; i++) {                      /* roundings keep nobody out */
        const struct quota odd = { .tokens_minute = (int64_t)(limit = limit * 1.03 + 1) };
        u = (struct quota_use){ 0 };
        const double later = noon + i / 7 + 30 / limit;                /* half a token less */
        assert_true(take(&u, &odd, noon + i / 7, 1, odd.tokens_minute, 1, &g, &no));
        assert_false(take(&u, &odd, later, 1, 1 + (int64_t)i % odd.tokens_minute, 1, &g, &no));
        assert_true(take(&u, &odd, later + no.wait_s, 1, 1 + (int64_t)i % odd.tokens_minute, 1, &g, &no));
    }
}

static void what_was_not_used_is_given_back_and_what_was_more_is_added(void **state)
{
    (void)state;
    struct quota_use u = { 0 };
    const struct quota q = { .tokens_minute = 600, .tokens_day = 1000, .texts = 2 };
    struct quota_grant a, b;
    struct quota_no no;
    struct quota_left r, t;
    assert_true(take(&u, &q, noon, 1, 500, 1, &a, &no));
    assert_false(take(&u, &q, noon, 1, 200, 1, &b, &no));
    assert_true(no.which == QUOTA_TOKENS_MINUTE && no.wait_s == 10);
    quota_settle(&u, &q, noon, &a, 100, true);
    assert_true(take(&u, &q, noon, 1, 200, 2, &b, &no));
    quota_left(&u, &q, noon, &r, &t);
    assert_true(r.limit == 0 && t.limit == 600 && t.left == 300 && t.reset_s == 30);
    assert_false(take(&u, &q, noon, 1, 1, 1, &a, &no));
    assert_true(no.which == QUOTA_TEXTS && no.wait_s == 1);
    assert_false(take(&u, &q, noon, 1, 1, 3, &a, &no));
    assert_true(no.which == QUOTA_TEXTS && no.wait_s < 0);
    quota_settle(&u, &q, noon, &b, 850, true);                         /* a request that did not say how much */
    quota_left(&u, &q, noon, &r, &t);
    assert_true(t.left == 0 && t.limit == 600 && u.tokens_day == 950 && u.texts == 0);
    assert_false(take(&u, &q, noon + 60, 1, 51, 1, &a, &no));
    assert_true(no.which == QUOTA_TOKENS_DAY && no.wait_s == 43200 - 60);
    assert_true(take(&u, &q, noon + 60, 1, 50, 1, &a, &no));
    quota_settle(&u, &q, noon + 43200, &a, 10, true);                  /* a day later it counts no more */
    assert_true(u.tokens_day == 0);
}

static void a_day_ends_at_midnight(void **state)
{
    (void)state;
    struct quota_use u = { 0 };
    const struct quota q = { .requests_day = 2, .requests_minute = 100 };
    struct quota_grant g;
    struct quota_no no;
    struct quota_left r, t;
    quota_add_day(&u, &q, noon, 1, 40);
    assert_true(take(&u, &q, noon + 1, 1, 0, 0, &g, &no));
    assert_false(take(&u, &q, noon + 2, 1, 0, 0, &g, &no));
    assert_true(no.which == QUOTA_REQUESTS_DAY && no.wait_s == 43198);
    quota_left(&u, &q, noon + 2, &r, &t);
    assert_true(r.limit == 2 && r.left == 0 && r.reset_s == 43198);
    assert_false(take(&u, &q, noon + 43199, 1, 0, 0, &g, &no));
    assert_true(take(&u, &q, noon + 43200, 1, 0, 0, &g, &no));
    quota_settle(&u, &q, noon + 43200, &g, 0, false);                  /* it does not count */
    quota_left(&u, &q, noon + 43200, &r, &t);
    assert_true(r.left == 2);
}

/* By hand, or by a time server when a machine has started with a wrong clock: an hour, a year. */
static void a_clock_that_is_set_back_keeps_nobody_waiting(void **state)
{
    (void)state;
    static const double back[] = { 2, 3600, 366 * 86400. };
    const struct quota q = { .tokens_minute = 60, .requests_day = 4 };
    for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
        struct quota_use u = { 0 };
        struct quota_grant g;
        struct quota_no no;
        const double now = noon - back[i];
        assert_true(take(&u, &q, noon, 1, 60, 1, &g, &no));
        quota_settle(&u, &q, now, &g, 60, true);
        assert_false(take(&u, &q, now, 1, 30, 0, &g, &no));            /* what was used counts on */
        assert_true(no.which == QUOTA_TOKENS_MINUTE && fabs(no.wait_s - 30) < 1e-3);
        assert_true(take(&u, &q, now + 30, 1, 30, 0, &g, &no));
        assert_true(take(&u, &q, now + 29.5, 2, 0, 0, &g, &no));       /* another thread's look at the clock sets nothing back */
        assert_false(take(&u, &q, now + 90, 1, 0, 0, &g, &no));
        assert_int_equal(no.which, QUOTA_REQUESTS_DAY);
        assert_true(no.wait_s <= 86400);
        assert_true(take(&u, &q, now + 90 + no.wait_s, 1, 60, 0, &g, &no));
    }
}

/* In any order of asking and ending, what was used stays within what the limit allows. */
static void no_order_of_requests_gets_more_than_the_limit(void **state)
{
    (void)state;
    struct quota_use u = { 0 };
    const struct quota q = { .tokens_minute = 1000 };
    struct quota_grant g[8] = { { { 0 }, 0 } };
    struct quota_no no;
    bool under_way[8] = { false };
    double now = noon, used = 0;
    unsigned dice = 1;
    for (int i = 0; i < 20000; i++) {
        dice = dice * 1664525 + 1013904223;
        const int k = (int)(dice >> 10) & 7;
        now += (dice >> 20 & 255) / 50.;
        if (under_way[k]) {
            const int64_t tokens = g[k].ask.tokens * (int64_t)(dice >> 8 & 3) / 3;
            quota_settle(&u, &q, now, &g[k], tokens, true);
            used += (double)tokens, under_way[k] = false;
        } else {
            under_way[k] = take(&u, &q, now, 1, 1 + (int64_t)(dice >> 12) % 1000, 1, &g[k], &no);
        }
        if (used > 1000 * (1 + (now - noon) / 60) + 1e-3)
            fail_msg("%g tokens in %g s", used, now - noon);
    }
    assert_true(used > 200 * (now - noon) / 60);
}

/* ---- clients ---- */

static void write_keys(const char *text)
{
    FILE *f = fopen(in_dir("keys.yaml"), "w");
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(in_dir("keys.yaml"), 0600), 0);
}

/* SHA-256 of "abc" and "", by FIPS 180-4. */
#define ABC "  sha256: \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n"
#define EMPTY "  sha256: \"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\"\n"

static void counts_outlive_a_new_file_and_names_that_are_gone_are_nobody(void **state)
{
    (void)state;
    struct clients *c;
    struct client_rights r;
    struct quota_grant g = { 0 };
    struct quota_no no;
    bool expired;
    write_keys("- name: a\n" ABC "  requests_per_day: 3\n  models: [small]\n  priority: 2\n- name: b\n" EMPTY "  expires: 2024-01-01\n");
    OK(clients_new(&c, "secret", in_dir("keys.yaml"), &err));
    assert_int_equal(clients_count(c), 3);
    assert_false(clients_open(c));
    assert_null(clients_find(c, "abcd", noon, &expired));
    assert_false(expired);
    assert_null(clients_find(c, "", noon, &expired));                  /* noon is in October 2024 */
    assert_true(expired);
    struct client *a = clients_find(c, "abc", noon, &expired), *key = clients_find(c, "secret", noon, &expired);
    assert_true(a && key);
    client_rights(key, &r);
    assert_string_equal(r.name, CLIENT_OF_KEY);
    assert_string_equal(r.tenant, "shared");
    client_rights(a, &r);
    assert_true(!strcmp(r.name, "a") && !strcmp(r.tenant, "a") && r.priority == 2 && !r.keep_text);
    assert_true(client_may_use(a, "small") && !client_may_use(a, "large") && client_may_use(key, "large"));
    clients_used(c, "a", noon, 1, 0);
    clients_used(c, "nobody", noon, 1, 0);
    assert_true(client_take(a, noon, (struct quota_ask){ 1, 5, 1 }, &g, &no));
    write_keys("- name: a\n" ABC "  requests_per_day: 1\n  requests_per_minute: nine\n");
    assert_int_equal(clients_reload(c, &err), ERR_USAGE);
    assert_true(clients_find(c, "abc", noon, &expired) == a && client_may_use(a, "small"));
    write_keys("- name: c\n" EMPTY "- name: a\n" ABC "  requests_per_day: 3\n  keep_texts: true\n");
    OK(clients_reload(c, &err));
    assert_true(clients_find(c, "abc", noon, &expired) == a && client_may_use(a, "large"));
    client_rights(a, &r);
    assert_true(r.keep_text && !r.priority);
    client_settle(a, noon, &g, 5, true);
    g = (struct quota_grant){ 0 };
    assert_true(client_take(a, noon, (struct quota_ask){ 1, 0, 0 }, &g, &no));
    assert_false(client_take(a, noon, (struct quota_ask){ 1, 0, 0 }, &g, &no));
    struct client *three = clients_find(c, "", noon, &expired);
    client_rights(three, &r);
    assert_string_equal(r.name, "c");
    write_keys("[]");
    OK(clients_reload(c, &err));
    assert_null(clients_find(c, "abc", noon, &expired));
    assert_non_null(clients_find(c, "secret", noon, &expired));
    assert_int_equal(clients_count(c), 1);
    clients_free(c);
    OK(clients_new(&c, NULL, in_dir("keys.yaml"), &err));
    assert_false(clients_open(c));
    clients_free(c);
    OK(clients_new(&c, "", in_dir("keys.yaml"), &err));                 /* a variable that is set to nothing is no key */
    assert_null(clients_find(c, "", noon, &expired));
    assert_int_equal(clients_count(c), 0);
    clients_free(c);
    OK(clients_new(&c, NULL, NULL, &err));
    assert_true(clients_open(c));
    OK(clients_reload(c, &err));
    clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_says_who_may_what),
        cmocka_unit_test(a_bad_file_is_refused_with_its_reason),
        cmocka_unit_test(a_new_key_is_appended_and_found_by_its_secret_alone),
        cmocka_unit_test(keys_that_are_made_at_once_are_all_kept),
        cmocka_unit_test(who_waits_as_long_as_was_said_is_let_in_and_not_before),
        cmocka_unit_test(what_was_not_used_is_given_back_and_what_was_more_is_added),
        cmocka_unit_test(a_day_ends_at_midnight),
        cmocka_unit_test(a_clock_that_is_set_back_keeps_nobody_waiting),
        cmocka_unit_test(no_order_of_requests_gets_more_than_the_limit),
        cmocka_unit_test(counts_outlive_a_new_file_and_names_that_are_gone_are_nobody),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
