/* test_secret.c - secrets by rules: texts made from each rule's own expression, beside gitleaks' method written anew in Python; its file of rules. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "audit/secret.h"
#include "audit/toml.h"
#include "base/mem.h"

static struct err err;

/* ---- golden ---- */

static void reverse(char *s)
{
    for (size_t i = 0, n = strlen(s); i < n / 2; i++) {
        const char c = s[i];
        s[i] = s[n - 1 - i];
        s[n - 1 - i] = c;
    }
}

static void check_case(const struct secrets *s, struct secret_state *t, const json_t *c)
{
    char text[20000];
    const struct spot *spot;
    size_t n, i;
    json_t *want;
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(c, "text")));
    reverse(text);
    OK(secret_spots(s, t, json_string_value(json_object_get(c, "path")), text, strlen(text), &spot, &n, &err));
    const char *rule = json_string_value(json_object_get(c, "rule"));
    const json_t *all = json_object_get(c, "spans");
    if (n != json_array_size(all))
        fail_msg("%s: %zu spans, expected %zu", rule, n, json_array_size(all));
    json_array_foreach((json_t *)(uintptr_t)all, i, want) {
        assert_string_equal(secret_name(s, spot[i].kind), json_string_value(json_array_get(want, 0)));
        assert_int_equal(spot[i].at, json_integer_value(json_array_get(want, 1)));
        assert_int_equal(spot[i].n, json_integer_value(json_array_get(want, 2)));
    }
}

/* Returns how many cases there are of these rules: two of each. */
static int check_golden(const struct secrets *s, const char *which)
{
    struct secret_state *t;
    char line[60000];
    int n = 0;
    FILE *f = fopen("tests/golden/pii/secrets.jsonl", "r");
    assert_non_null(f);
    OK(secret_state_new(&t, s, &err));
    while (fgets(line, sizeof line, f)) {
        json_t *c = json_loads(line, 0, NULL);
        if (!strcmp(json_string_value(json_object_get(c, "rules")), which)) {
            check_case(s, t, c);
            n++;
        }
        json_decref(c);
    }
    secret_state_free(t);
    fclose(f);
    return n;
}

static void each_of_our_rules_finds_what_its_form_is_and_nothing_beside(void **state)
{
    (void)state;
    struct secrets *s;
    OK(secrets_new(&s, &err));
    assert_int_equal(check_golden(s, "lathe"), 2 * secrets_count(s));
    secrets_free(s);
}

static void each_rule_of_gitleaks_does(void **state)
{
    (void)state;
    struct secrets *s;
    OK(secrets_read(&s, shared("governance-secrets/gitleaks.toml"), &err));
    assert_int_equal(secrets_count(s), 221);
    assert_int_equal(secrets_unused(s), 1);
    assert_int_equal(check_golden(s, "gitleaks"), 2 * 221);
    secrets_free(s);
}

/* ---- rules of one's own ---- */

static int n_found(const char *toml, const char *path, const char *text)
{
    struct secrets *s;
    struct secret_state *t;
    const struct spot *spot;
    size_t n;
    OK(secrets_parse(&s, toml, strlen(toml), "rules.toml", &err));
    OK(secret_state_new(&t, s, &err));
    OK(secret_spots(s, t, path, text, strlen(text), &spot, &n, &err));
    secret_state_free(t);
    secrets_free(s);
    return (int)n;
}

#define RULE "[[rules]]\nid = \"a\"\nregex = '''k=([a-z0-9]{4,20})'''\n"

static void a_match_counts_by_words_entropy_and_what_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(n_found(RULE, NULL, "x k=abcd k=efgh"), 2);
    assert_int_equal(n_found(RULE "keywords = [\"vault\"]", NULL, "k=abcd"), 0);
    assert_int_equal(n_found(RULE "keywords = [\"vault\"]", NULL, "k=abcd of the VAULT"), 1);
    assert_int_equal(n_found(RULE "keywords = [\"VAULT\"]", NULL, "k=abcd of the Vault"), 1);      /* gitleaks makes both small */
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\nstopwords = [\"BC\"]", NULL, "k=abcd k=bacd"), 1);
    assert_int_equal(n_found(RULE "entropy = 2", NULL, "k=abcd"), 0);              /* of exactly 2 bits */
    assert_int_equal(n_found(RULE "entropy = 1.99", NULL, "k=abcd"), 1);
    assert_int_equal(n_found(RULE "path = '''\\.env$'''", "a/b.env", "k=abcd"), 1);
    assert_int_equal(n_found(RULE "path = '''\\.env$'''", "a/b.txt", "k=abcd"), 0);
    assert_int_equal(n_found(RULE "path = '''\\.env$'''", NULL, "k=abcd"), 0);
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\nregexes = ['^abc']", NULL, "k=abcd k=xabc"), 1);
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\nregexTarget = \"match\"\nregexes = ['^k=x']", NULL, "k=abcd k=xabc"), 1);
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\nregexTarget = \"line\"\nregexes = ['test']", NULL, "k=abcd # test\nk=abcd"), 1);
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\nstopwords = [\"bc\"]", NULL, "k=abcd k=bacd"), 1);
    assert_int_equal(n_found(RULE "[rules.allowlist]\nstopwords = [\"bc\"]", NULL, "k=abcd k=bacd"), 1);
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\ncondition = \"AND\"\nregexes = ['^a']\npaths = ['x$']", "a/x", "k=abcd k=bacd"), 1);
    assert_int_equal(n_found(RULE "[[rules.allowlists]]\ncondition = \"AND\"\nregexes = ['^a']\npaths = ['x$']", "a/y", "k=abcd k=bacd"), 2);
    assert_int_equal(n_found("[allowlist]\npaths = ['x$']\n" RULE, "a/x", "k=abcd"), 0);
    assert_int_equal(n_found("[[rules]]\nid = 'b'\nregex = '(k)=([a-z]+)'\nsecretGroup = 2", NULL, "k=abcd"), 1);
    assert_true(fabs(secret_entropy("abcd", 4) - 2) < 1e-12);
    assert_true(secret_entropy("", 0) == 0 && secret_entropy("aaaa", 4) == 0);
}

static void a_rule_of_a_form_wins_over_one_of_a_word(void **state)
{
    (void)state;
    struct secrets *s;
    struct secret_state *t;
    const struct spot *spot;
    size_t n;
    char text[100] = "api_key = \"Rk3nPq8xT1zbW5mY7cLd9vHf2gJs4aE6uQpX_phg\"";
    reverse(strchr(text, '"') + 1);
    memmove(strchr(text, '"') + 1, strchr(text, '"') + 2, 41);
    strcat(text, "\"");
    OK(secrets_new(&s, &err));
    OK(secret_state_new(&t, s, &err));
    OK(secret_spots(s, t, NULL, text, strlen(text), &spot, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(secret_name(s, spot->kind), "github-pat");
    assert_true(strlen(secret_description(s, spot->kind)) > 0);
    secret_state_free(t);
    secrets_free(s);
}

static void what_is_wrong_in_a_file_of_rules_is_told(void **state)
{
    (void)state;
    static const struct { const char *toml, *says; int code; } row[] = {
        { "", "found 0 rules", ERR_FORMAT },
        { "[[rules]]\nregex = 'a'", "rule 1 has no 'id'", ERR_FORMAT },
        { "[[rules]]\nid = 'a'", "neither 'regex' nor 'path'", ERR_FORMAT },
        { "[[rules]]\nid = 'a'\nregex = '('", "'a', at its byte 1", ERR_FORMAT },
        { "[[rules]]\nid = 'a'\nregex = 'b'\ncolour = 'red'", "found 'colour'", ERR_UNSUPPORTED },
        { "[extend]\nuseDefault = true\n[[rules]]\nid = 'a'\nregex = 'b'", "found 'extend'", ERR_UNSUPPORTED },
        { "[[rules]]\nid = 'a'\nregex = 'b'\nkeywords = 'x'", "'keywords' is no list", ERR_FORMAT },
        { "[[rules]]\nid = 'a'\nregex = 'b'\nkeywords = [1]", "no string", ERR_FORMAT },
        { "[[rules]]\nid = 'a'\nregex = 'b'\nsecretGroup = 9", "secretGroup", ERR_RANGE },
        { "[[rules]]\nid = 'a'\nregex = 'b'\n[[rules.allowlists]]\nregexTarget = 'word'", "regexTarget 'word'", ERR_FORMAT },
        { "[[rules]]\nid = 'a'\nregex = 'b'\n[[rules.allowlists]]\ncondition = 'XOR'", "condition 'XOR'", ERR_FORMAT },
        { "[[rules]]\nid = 'a'\nregex = 'b'\n[[rules.allowlists]]\nregexes = ['[']", "rule 'a'", ERR_FORMAT },
        { "rules = [1]", "rule 1 is no table", ERR_FORMAT },
    };
    struct secrets *s;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const int rc = secrets_parse(&s, row[i].toml, strlen(row[i].toml), "rules.toml", &err);
        if (rc >= 0 || !strstr(err.msg, row[i].says))
            fail_msg("'%s': %d '%s'", row[i].toml, rc, rc < 0 ? err.msg : "");
        if (row[i].code != ERR_RANGE)
            assert_int_equal(rc, row[i].code);
    }
    assert_int_equal(secrets_read(&s, "/nonexistent/rules.toml", &err), ERR_NOTFOUND);
}

/* ---- TOML ---- */

static void toml_is_read(void **state)
{
    (void)state;
    static const char text[] =
        "\xef\xbb\xbf# a comment\n"
        "title = \"a \\\"b\\\" \\u00e9 \\U0001F600 \\t\\\\\" # more\r\n"
        "raw = 'C:\\n'\n"
        "long = '''\nx\n'y' ''z'' '''\n"
        "fold = \"\"\"a \\\n   b\"\"\"\n"
        "n = 3\nneg = -1.5\nyes = true\nno = false\n\"a b\" = [ 1, 'x', # c\n [2], ]\nempty = []\n"
        "[t.u]\nk = 'v'\n[[l]]\ni = 1\n[[l]]\ni = 2\n[[l.m]]\ni = 3\n[l.o]\ni = 4\n";
    static const char want[] =
        "{\"title\":\"a \\\"b\\\" \xc3\xa9 \xf0\x9f\x98\x80 \\t\\\\\",\"raw\":\"C:\\\\n\",\"long\":\"x\\n'y' ''z'' \",\"fold\":\"a b\",\"n\":3,\"neg\":-1.5,"
        "\"yes\":true,\"no\":false,\"a b\":[1,\"x\",[2]],\"empty\":[],\"t\":{\"u\":{\"k\":\"v\"}},\"l\":[{\"i\":1},{\"i\":2,\"m\":[{\"i\":3}],\"o\":{\"i\":4}}]}";
    json_t *tree;
    OK(toml_parse(&tree, text, sizeof text - 1, "a.toml", &err));
    char *got = json_dumps(tree, JSON_COMPACT);
    assert_string_equal(got, want);
    mem_free(got);
    json_decref(tree);
}

static void toml_that_is_wrong_or_not_supported_is_told_with_its_line(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        { "a", "a.toml:1: key 'a' without '='" }, { "\n= 1", "a.toml:2: found no key" }, { "a = ", "a.toml:1: found 'no such thing'" }, { "a = 1 2", "found '2' behind a value" },
        { "a = 'x", "begins in line 1 has no end" }, { "a = '''x\n\n", "begins in line 1 has no end" }, { "a = \"\\x\"", "'\\x', which is no escape" },
        { "a = \"\\ud800\"", "no character" }, { "a = \"\\u12\"", "a character's code ends after 2" }, { "a = [1 2]", "neither ',' nor ']'" }, { "a = [1,", "found" },
        { "a = {b = 1}", "a table within a line" }, { "a.b = 1", "goes on with a point" }, { "a = 1\na = 2", "a.toml:2: key 'a' is there twice" },
        { "[a]\n[a]", "a.toml:2: table 'a' is there already" }, { "[a]\n[[a]]", "is a table" }, { "a = 1\n[a.b]", "is a value" }, { "[a", "ends without ]" },
        { "[[a]", "ends without ]]" }, { "a = 1979-05-27", "found '1979-05-27'" }, { "a = 1_000", "found '_' behind" }, { "a = '\x01'", "control character" },
        { "a = '\xff'", "not UTF-8" }, { "a = [[[[[[[[[[1]]]]]]]]]]", "more than 8 deep" }, { "a = inf", "found 'no such thing'" },
    };
    json_t *tree;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const int rc = toml_parse(&tree, row[i][0], strlen(row[i][0]), "a.toml", &err);
        if (rc != ERR_FORMAT || !strstr(err.msg, row[i][1]))
            fail_msg("'%s': %d '%s'", row[i][0], rc, rc < 0 ? err.msg : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_our_rules_finds_what_its_form_is_and_nothing_beside),
        cmocka_unit_test(each_rule_of_gitleaks_does),
        cmocka_unit_test(a_match_counts_by_words_entropy_and_what_is_allowed),
        cmocka_unit_test(a_rule_of_a_form_wins_over_one_of_a_word),
        cmocka_unit_test(what_is_wrong_in_a_file_of_rules_is_told),
        cmocka_unit_test(toml_is_read),
        cmocka_unit_test(toml_that_is_wrong_or_not_supported_is_told_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
