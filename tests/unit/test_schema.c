/* test_schema.c - schemas as grammars: texts of tests/golden/schema.json (tools/golden/schema.py), judged there by Python's jsonschema,
 * and cases of the JSON Schema Test Suite; what cannot be said is refused by name, and bombs by the limit they meet.
 *
 * test_schema --walk FILE writes, for each schema, texts that random tokens have made, for that script to look at. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "base/pool.h"
#include "base/tree.h"
#include "infer/schema.h"
#include "vocab.h"

static struct err err;
static json_t *golden;

static bool reads(struct grammar *g, const char *text, size_t n)
{
    struct follower *f;
    OK(follower_new(&f, g, NULL, &err));
    const int rc = follower_add(f, text, n, &err);
    assert_true(!rc || rc == ERR_FORMAT);
    const bool whole = !rc && follower_may_end(f);
    follower_free(f);
    return whole;
}

static json_t *parse(const char *text)
{
    json_t *x;
    OK(tree_parse_json(&x, text, strlen(text), "schema", &err));
    return x;
}

/* Texts that are written, that the schema refuses, and that it allows but are not written. */
static void texts_are_read_as_jsonschema_judges_them(void **state)
{
    (void)state;
    size_t i, k;
    json_t *c, *t;
    int n = 0;
    json_array_foreach(json_object_get(golden, "schemas"), i, c) {
        struct grammar *g;
        char *schema = json_dumps(json_object_get(c, "schema"), JSON_COMPACT | JSON_ENCODE_ANY);
        if (schema_grammar(&g, json_object_get(c, "schema"), "#", &err) < 0)
            fail_msg("%s: %s", schema, err.msg);
        static const char *const lists[] = { "good", "bad", "narrow" };
        for (int l = 0; l < 3; l++)
            json_array_foreach(json_object_get(c, lists[l]), k, t) {
                if (reads(g, json_string_value(t), json_string_length(t)) != (l == 0))
                    fail_msg("%s: '%s' of the %s ones is %s", schema, json_string_value(t), lists[l], l ? "read" : "refused");
                n++;
            }
        grammar_free(g);
        free(schema);
    }
    assert_true(n > 300);
}

static void what_is_written_is_valid_by_the_test_suite(void **state)
{
    (void)state;
    size_t i, k;
    json_t *c, *t;
    int n_schema = 0, n_refused = 0, n_valid = 0, n_written = 0, n = 0;
    json_array_foreach(json_object_get(golden, "suite"), i, c) {
        struct grammar *g;
        const int rc = schema_grammar(&g, json_object_get(c, "schema"), "#", &err);
        n_schema++;
        if (rc < 0) {
            assert_true(rc == ERR_UNSUPPORTED || rc == ERR_FORMAT || rc == ERR_RANGE);
            n_refused++;
            continue;
        }
        json_array_foreach(json_object_get(c, "tests"), k, t) {
            const json_t *text = json_array_get(t, 0);
            const bool valid = json_is_true(json_array_get(t, 1)), read = reads(g, json_string_value(text), json_string_length(text));
            if (read && !valid) {
                char *schema = json_dumps(json_object_get(c, "schema"), JSON_COMPACT | JSON_ENCODE_ANY);
                fail_msg("%s: '%s' is read", schema, json_string_value(text));
            }
            n++, n_valid += valid, n_written += read;
        }
        grammar_free(g);
    }
    fprintf(stderr, "test suite: %d schemas, %d refused; of the others' %d texts %d are valid, %d of these written\n", n_schema, n_refused, n, n_valid, n_written);
    assert_true(n_schema > 200 && n > 500);
}

static void what_cannot_be_said_is_refused_by_name(void **state)
{
    (void)state;
    static const struct { const char *schema; int rc; const char *says; } cases[] = {
        { "{\"not\":{}}", ERR_UNSUPPORTED, "#/not: this keyword" },
        { "{\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"if\":{}}}}}", ERR_UNSUPPORTED, "#/properties/a/items/if: this keyword" },
        { "{\"$defs\":{\"x\":{\"contains\":{}}},\"$ref\":\"#/$defs/x\"}", ERR_UNSUPPORTED, "#/$defs/x/contains: this keyword" },
        { "{\"type\":\"array\",\"uniqueItems\":true}", ERR_UNSUPPORTED, "#/uniqueItems" }, { "{\"multipleOf\":3}", ERR_UNSUPPORTED, "#/multipleOf" },
        { "{\"format\":\"iri\"}", ERR_UNSUPPORTED, "#/format: 'iri'" }, { "{\"pattern\":\"^(?=a)\"}", ERR_UNSUPPORTED, "#/pattern, character 3: looking around" },
        { "{\"pattern\":\"(\"}", ERR_FORMAT, "#/pattern, character 2: expected )" }, { "{\"pattern\":\"a\\\\1\"}", ERR_UNSUPPORTED, "back reference" }, { "{\"pattern\":\"a^b\"}", ERR_UNSUPPORTED, "in the middle" },
        { "{\"pattern\":\"a\",\"maxLength\":3}", ERR_UNSUPPORTED, "#/maxLength: beside a pattern" },
        { "{\"pattern\":\"^a*$\",\"minLength\":1}", ERR_UNSUPPORTED, "#/minLength: beside a pattern" }, { "{\"pattern\":\"^(ab|c{2,5})$\",\"maxLength\":4}", ERR_UNSUPPORTED, "#/maxLength" }, { "{\"format\":\"uri\",\"maxLength\":2000}", ERR_UNSUPPORTED, "#/maxLength: beside a format" },
        { "{\"format\":\"date\",\"pattern\":\"a\"}", ERR_UNSUPPORTED, "#/pattern: pattern and format" }, { "{\"oneOf\":[{\"type\":\"string\"},{\"minLength\":3}]}", ERR_UNSUPPORTED, "#/oneOf: options 0 and 1" },
        { "{\"$ref\":\"http://x/y\"}", ERR_UNSUPPORTED, "#/$ref: 'http://x/y' leads out" }, { "{\"$ref\":\"#/$defs/y\"}", ERR_FORMAT, "is not there" }, { "{\"type\":\"text\"}", ERR_FORMAT, "#/type: 'text'" },
        { "{\"enum\":[]}", ERR_FORMAT, "#/enum" }, { "{\"type\":\"string\",\"enum\":[1]}", ERR_FORMAT, "none of the values" }, { "{\"minimum\":3,\"maximum\":2}", ERR_FORMAT, "no number is between" },
        { "{\"type\":\"integer\",\"exclusiveMinimum\":2,\"exclusiveMaximum\":3}", ERR_FORMAT, "no number is between" }, { "false", ERR_FORMAT, "nothing follows" }, { "[]", ERR_FORMAT, "expected a schema" },
        { "{\"properties\":{\"a\":3}}", ERR_FORMAT, "#/properties/a: expected a schema" }, { "{\"type\":\"object\",\"required\":[\"a\"],\"additionalProperties\":false}", ERR_FORMAT, "'a' is not among" },
        { "{\"$ref\":\"#\"}", ERR_FORMAT, "" }, { "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", ERR_FORMAT, "never ends" }, { "{\"minLength\":5,\"maxLength\":4}", ERR_FORMAT, "#/maxLength: 4" },
        { "{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", ERR_UNSUPPORTED, "#/pattern: two of them" }, { "{\"minLength\":-1}", ERR_FORMAT, "#/minLength" }, { "{\"minItems\":1.5}", ERR_FORMAT, "#/minItems" },
        { "{\"required\":[\"a\\u0000b\"]}", ERR_FORMAT, "#/required: expected a list of names, and no NUL" }, { "{\"properties\":{\"a\":{}},\"required\":[\"a\\u0000b\"]}", ERR_FORMAT, "#/required" },
        { "{\"allOf\":[{\"required\":[\"a\\u0000b\"]},{\"required\":[\"a\"]}]}", ERR_FORMAT, "#/required" }, { "{\"type\":\"string\\u0000\"}", ERR_FORMAT, "#/type" },
        { "{\"$ref\":\"#\\u0000x\"}", ERR_FORMAT, "#/$ref: expected" }, { "{\"format\":\"date\\u0000\"}", ERR_FORMAT, "#/format: expected" },
        { "{\"type\":\"object\",\"minProperties\":2}", ERR_UNSUPPORTED, "#/minProperties" },
        { "{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"required\":[\"a\",\"b\",\"a\"],\"minProperties\":3}", ERR_UNSUPPORTED, "#/minProperties: 3, of which `required` has 2" }, { "{\"dependentRequired\":{}}", ERR_UNSUPPORTED, "#/dependentRequired" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grammar *g;
        json_t *x = parse(cases[i].schema);
        const int rc = schema_grammar(&g, x, "#", &err);
        if (rc != cases[i].rc || g || !strstr(err.msg, cases[i].says))
            fail_msg("%s: %d, %s", cases[i].schema, rc, rc ? err.msg : "");
        json_decref(x);
    }
}

static void names_that_are_required_twice_are_written_once(void **state)
{
    (void)state;
    static const char *const schemas[] = { "{\"type\":\"object\",\"allOf\":[{\"required\":[\"a\",\"b\"]},{\"required\":[\"a\"]}]}", "{\"type\":\"object\",\"required\":[\"a\",\"b\",\"b\",\"a\"]}",
                                           "{\"properties\":{\"a\":{}},\"additionalProperties\":{},\"required\":[\"a\",\"b\",\"b\",\"a\"],\"minProperties\":2}" };
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        static const char once[] = "{\"a\": 1, \"b\": 2}", twice[] = "{\"a\": 1, \"b\": 2, \"a\": 3}", doubled[] = "{\"a\": 1, \"b\": 2, \"b\": 3, \"a\": 4}";
        struct grammar *g;
        json_t *x = parse(schemas[i]);
        OK(schema_grammar(&g, x, "#", &err));
        if (!reads(g, once, sizeof once - 1) || reads(g, twice, sizeof twice - 1) || reads(g, doubled, sizeof doubled - 1))
            fail_msg("%s", schemas[i]);
        grammar_free(g);
        json_decref(x);
    }
}

/* Each is refused by a limit, or is a small grammar after all. */
static void bombs_are_refused_by_their_limit(void **state)
{
    (void)state;
    const size_t room = 1 << 20;
    char *text = malloc(room);
    struct { const char *says; } want[12];
    for (int kind = 0; kind < 12; kind++) {
        size_t n = 0;
        want[kind].says = NULL;
        if (kind == 0) {
            snprintf(text, room, "{\"minLength\":1000000000}");
            want[kind].says = "#/minLength: 1000000000, expected at most 10000";
        } else if (kind == 1) {
            snprintf(text, room, "{\"items\":{\"items\":{\"items\":{\"type\":\"integer\",\"minimum\":5,\"maximum\":77},\"minItems\":9999,\"maxItems\":10000},\"minItems\":9999,\"maxItems\":10000},\"minItems\":9999,\"maxItems\":10000}");
        } else if (kind == 2) {                  /* each $ref is followed twice: a rule for each, not a copy */
            n = (size_t)snprintf(text, room, "{\"$defs\":{\"d0\":{\"type\":\"null\"}");
            for (int i = 1; i < 60; i++)
                n += (size_t)snprintf(text + n, room - n, ",\"d%d\":{\"properties\":{\"a\":{\"$ref\":\"#/$defs/d%d\"},\"b\":{\"$ref\":\"#/$defs/d%d\"}}}", i, i - 1, i - 1);
            snprintf(text + n, room - n, "},\"$ref\":\"#/$defs/d59\"}");
        } else if (kind == 3) {                  /* the same with something beside them, which makes copies */
            n = (size_t)snprintf(text, room, "{\"$defs\":{\"d0\":{\"properties\":{\"c\":{\"type\":\"null\"}}}");
            for (int i = 1; i < 60; i++)
                n += (size_t)snprintf(text + n, room - n, ",\"d%d\":{\"properties\":{\"a\":{\"$ref\":\"#/$defs/d%d\",\"properties\":{\"c\":true}},\"b\":{\"$ref\":\"#/$defs/d%d\",\"properties\":{\"c\":true}}}}", i, i - 1, i - 1);
            snprintf(text + n, room - n, "},\"$ref\":\"#/$defs/d59\"}");
            want[kind].says = "more than 20000 schemas";
        } else if (kind == 4) {
            n = (size_t)snprintf(text, room, "{\"enum\":[");
            for (int i = 0; n + 40 < room && i < 60000; i++)
                n += (size_t)snprintf(text + n, room - n, "%s\"w%d%d\"", i ? "," : "", i * 7919 % 60000, i);
            snprintf(text + n, room - n, "]}");
            want[kind].says = "more than 400000 places";
        } else if (kind == 5) {                  /* anyOf of anyOf of ..., each with the others */
            n = (size_t)snprintf(text, room, "{\"allOf\":[");
            for (int i = 0; i < 30; i++)
                n += (size_t)snprintf(text + n, room - n, "%s{\"anyOf\":[{\"properties\":{\"a%d\":{\"type\":\"string\"}}},{\"properties\":{\"b%d\":{\"type\":\"string\"}}}]}", i ? "," : "", i, i);
            snprintf(text + n, room - n, "]}");
            want[kind].says = "more than 400000 places";
        } else if (kind == 6) {
            snprintf(text, room, "{\"pattern\":\"^((((a{9999}){9999}){9999}){9999})$\"}");
            want[kind].says = "more than 400000 places";
        } else if (kind == 7 || kind == 8) {     /* each value against each */
            n = (size_t)snprintf(text, room, "{\"%s\":[{\"enum\":[0", kind == 7 ? "allOf" : "oneOf");
            for (int i = 1; i < 40000; i++)
                n += (size_t)snprintf(text + n, room - n, i == 20000 ? "]},{\"enum\":[%d" : ",%d", i);
            snprintf(text + n, room - n, "]}]}");
            want[kind].says = "more than 1048576 names and values";
        } else if (kind == 9) {                  /* each name against each */
            n = (size_t)snprintf(text, room, "{\"properties\":{\"p\":{}");
            for (int i = 0; i < 5000; i++)
                n += (size_t)snprintf(text + n, room - n, ",\"p%d\":{}", i);
            n += (size_t)snprintf(text + n, room - n, "},\"required\":[\"x\"");
            for (int i = 0; i < 200000; i++)
                n += (size_t)snprintf(text + n, room - n, ",\"x\"");
            snprintf(text + n, room - n, "]}");
            want[kind].says = "more than 1048576 names and values";
        } else if (kind == 10) {                 /* few values, of which it takes long to see that they differ */
            n = (size_t)snprintf(text, room, "{\"allOf\":[{\"enum\":[0");
            for (int i = 1; i < 400; i++) {
                n += (size_t)snprintf(text + n, room - n, i == 200 ? "]},{\"enum\":[[1" : ",[1");
                for (int k = 0; k < 500; k++)
                    n += (size_t)snprintf(text + n, room - n, ",1");
                n += (size_t)snprintf(text + n, room - n, ",%d]", i);
            }
            snprintf(text + n, room - n, "]}]}");
            want[kind].says = "more than 1048576 names and values";
        } else {
            snprintf(text, room, "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\",\"minLength\":1},\"b\":{\"$ref\":\"#/$defs/a\",\"minLength\":1}},\"$ref\":\"#/$defs/a\"}");
            want[kind].says = "inside each other";
        }
        json_t *x = parse(text);
        struct grammar *g;
        const double begun = clock_wall();
        const int rc = schema_grammar(&g, x, "#", &err);
        fprintf(stderr, "bomb %d: %.0f ms, %s\n", kind, 1e3 * (clock_wall() - begun), rc ? err.msg : "a grammar");
        if (want[kind].says ? !rc || !strstr(err.msg, want[kind].says) : rc < 0)
            fail_msg("bomb %d: %d, %s", kind, rc, rc ? err.msg : "");
        grammar_free(g);
        json_decref(x);
    }
    free(text);
}

static void regular_expressions_and_choices_are_whole_texts(void **state)
{
    (void)state;
    static const struct { const char *regex, *text; bool reads; } cases[] = {
        { "[a-c]+\\d{2}", "abc12", true }, { "[a-c]+\\d{2}", "abc123", false }, { "^a|b$", "a", true }, { "^a|b$", "ab", false }, { "a\\.b|\\$", "$", true }, { "\"\\n", "\"\n", true },
        { "(?:ab)*?c", "ababc", true }, { "[^x]", "\u00e4", true }, { "[^x]", "x", false }, { ".", "\n", false }, { "\\u00e4\\x41", "\u00e4" "A", true }, { "\\W", "-", true }, { "\\W", "a", false },
        { "a{2}{", "aa{", true }, { "(?<name>x)y", "xy", true }, { "[\\d_-]+", "1_-", true }, { "[]a]", "]", false }, { "a{,3}", "a{,3}", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grammar *g;
        const int rc = regex_grammar(&g, cases[i].regex, strlen(cases[i].regex), "regex", &err);
        if (rc == 0 ? reads(g, cases[i].text, strlen(cases[i].text)) != cases[i].reads : cases[i].reads)
            fail_msg("%s: '%s', %s", cases[i].regex, cases[i].text, rc ? err.msg : "otherwise than expected");
        grammar_free(g);
    }
    struct grammar *g;
    OK(regex_grammar(&g, "a\\\0[\\\0]", 7, "regex", &err));             /* a NUL behind \ is itself */
    assert_true(reads(g, "a\0\0", 3) && !reads(g, "a0", 2));
    grammar_free(g);
    json_t *list = parse("[\"yes\",\"yes, but\",\"no\",\"\u00e4\",\"\u00e5\"]");
    OK(choice_grammar(&g, list, "choice", &err));
    size_t i;
    json_t *t;
    json_array_foreach(list, i, t)
        assert_true(reads(g, json_string_value(t), json_string_length(t)));
    assert_false(reads(g, "yes,", 4) || reads(g, "", 0) || reads(g, "\xc3", 1) || reads(g, "now", 3));
    grammar_free(g);
    json_decref(list);
    list = parse("[\"a\",3]");
    assert_int_equal(choice_grammar(&g, list, "choice", &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "choice[1]"));
    json_decref(list);
}

/* ---- random texts ---- */

/* Tokens at random, with a liking for what ends something. */
static bool walk(struct grammar *g, uint64_t seed, char *text, size_t room)
{
    static const char *const ends[] = { "\"", "}", "]", "\"}", "}}", "]}", "\",", "," };
    struct follower *f;
    float *logits = calloc((size_t)V, sizeof *logits);
    size_t n = 0;
    bool whole = false;
    OK(follower_new(&f, g, vocab, &err));
    for (int step = 0; step < 4000 && !whole; step++) {
        memset(logits, 0, (size_t)V * sizeof *logits);
        int n_may = 0, chosen = -1, n_end = 0, end = -1;
        OK(follower_forbid(f, logits, V, &err));
        for (int id = 0; id < V; id++) {
            size_t len = 0;
            const char *bytes = logits[id] == 0 ? tok_bytes(tok, id, &len) : NULL;
            if (logits[id] != 0)
                continue;
            if (rng_u64(seed, (uint64_t)(step * V + id)) % (uint64_t)++n_may == 0)
                chosen = id;
            bool is_end = tok_is_eog(tok, id);
            for (size_t k = 0; k < sizeof ends / sizeof *ends; k++)
                is_end = is_end || (bytes && len == strlen(ends[k]) && !memcmp(bytes, ends[k], len));
            if (is_end && rng_u64(seed + 1, (uint64_t)(step * V + id)) % (uint64_t)++n_end == 0)
                end = id;
        }
        assert_true(n_may > 0);
        if (end >= 0 && (rng_u64(seed + 2, (uint64_t)step) % 3 == 0 || n > 300))
            chosen = end;
        whole = tok_is_eog(tok, chosen);
        size_t len = 0;
        const char *bytes = tok_bytes(tok, chosen, &len);
        OK(follower_add_token(f, chosen, &err));
        if (!whole && n + len < room)
            memcpy(text + n, bytes, len), n += len;
        whole = whole || follower_must_end(f);
        if (n + 100 > room)
            break;
    }
    text[n] = 0;
    follower_free(f);
    free(logits);
    return whole;
}

/* Whatever tokens are drawn, what comes out is JSON. */
static void random_tokens_make_json(void **state)
{
    (void)state;
    char *text = malloc(1 << 16);
    size_t i;
    json_t *c;
    int n_whole = 0, n = 0;
    json_array_foreach(json_object_get(golden, "schemas"), i, c) {
        struct grammar *g;
        if (i % 8)                               /* all of them: --walk */
            continue;
        OK(schema_grammar(&g, json_object_get(c, "schema"), "#", &err));
        n++;
        if (walk(g, i, text, 1 << 16)) {
            json_t *x = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            if (!x)
                fail_msg("no JSON: %s", text);
            json_decref(x);
            n_whole++;
        }
        grammar_free(g);
    }
    assert_true(2 * n_whole > n);
    free(text);
}

static int write_walks(const char *path)
{
    char *text = malloc(1 << 16);
    FILE *out = fopen(path, "w");
    size_t i;
    json_t *c;
    if (!out)
        return 1;
    json_array_foreach(json_object_get(golden, "schemas"), i, c)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct grammar *g;
            OK(schema_grammar(&g, json_object_get(c, "schema"), "#", &err));
            if (walk(g, seed, text, 1 << 16)) {
                json_t *line = json_pack("{s:O, s:s}", "schema", json_object_get(c, "schema"), "text", text);
                json_dumpf(line, out, JSON_COMPACT);
                fputc('\n', out);
                json_decref(line);
            }
            grammar_free(g);
        }
    free(text);
    return fclose(out);
}

/* What a tool of some thirty lines costs. */
static void a_tool_is_compiled_quickly(void **state)
{
    (void)state;
    const json_t *schema = json_object_get(golden, "tool");
    struct grammar *g;
    double best = 1;
    for (int i = 0; i < 50; i++) {
        const double begun = clock_wall();
        OK(schema_grammar(&g, schema, "#", &err));
        const double took = clock_wall() - begun;
        best = took < best ? took : best;
        if (i == 49)
            fprintf(stderr, "a tool's schema: %.3f ms, %zu bytes\n", 1e3 * best, grammar_bytes(g));
        grammar_free(g);
    }
}

static int set_up(void **state)
{
    (void)state;
    return tree_load(&golden, "tests/golden/schema.json", 16 << 20, &err) || open_vocab(3, &err);
}

static int tear_down(void **state)
{
    json_decref(golden);
    return close_vocab(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_as_jsonschema_judges_them), cmocka_unit_test(what_is_written_is_valid_by_the_test_suite),
        cmocka_unit_test(what_cannot_be_said_is_refused_by_name),   cmocka_unit_test(names_that_are_required_twice_are_written_once), cmocka_unit_test(bombs_are_refused_by_their_limit),
        cmocka_unit_test(regular_expressions_and_choices_are_whole_texts), cmocka_unit_test(random_tokens_make_json),
        cmocka_unit_test(a_tool_is_compiled_quickly),
    };
    if (argc == 3 && !strcmp(argv[1], "--walk"))
        return set_up(NULL) || write_walks(argv[2]);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
