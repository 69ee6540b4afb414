/* test_grammar.c - what a grammar allows: texts, and for each place in them every token of a vocabulary, against tries one by one. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "vocab.h"

static struct err err;

static const char json_grammar[] =
    "root ::= value\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws ( pair (\",\" ws pair)* )? \"}\" ws\n"
    "pair ::= string \":\" ws value\n"
    "array ::= \"[\" ws ( value (\",\" ws value)* )? \"]\" ws\n"
    "string ::= \"\\\"\" ( [^\"\\\\\\x00-\\x1F] | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4} ) )* \"\\\"\" ws\n"
    "number ::= \"-\"? ( \"0\" | [1-9] [0-9]* ) ( \".\" [0-9]+ )? ( [eE] [-+]? [0-9]{1,2} )? ws\n"
    "ws ::= [ \\n]{0,2}\n";

static const struct { const char *name, *text; } grammars[] = {
    { "json", json_grammar },
    { "list", "root ::= (item \"\\n\")+\nitem ::= \"- \" [a-z ]{1,8}\n" },
    { "arithmetic", "root ::= sum\nsum ::= product ( [-+] product )*\nproduct ::= atom ([*/] atom)*\natom ::= [0-9]+ | \"(\" sum \")\" # ends" },
    { "palindrome", "root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"c\"" },
    { "ambiguous", "root ::= a* (a | b)* b?\na ::= \"x\" | \"xx\"\nb ::= \"y\"? \"x\"" },
    { "characters", "root ::= [\u00e4-\u00ff\u4e00-\u9fff\U0001F600-\U0001F64F]+ [^a-z]* .?" },
    { "counted", "root ::= [a-z ]{30,50} \"!\" | ([0-9]{1,3} \"-\"){22,40} \".\" | \"<\" (\"x\"? [A-Z]{0,30} \"/\"){0,30} \">\"" },
    { "empty", "root ::= \"\"" },
};
#define N_GRAMMAR (sizeof grammars / sizeof *grammars)

static struct grammar *parse(const char *text)
{
    struct grammar *g;
    OK(grammar_parse(&g, text, strlen(text), &err));
    return g;
}

static bool reads(struct grammar *g, const char *text, size_t n, bool *may_end)
{
    struct follower *f;
    OK(follower_new(&f, g, NULL, &err));
    const int rc = follower_add(f, text, n, &err);
    assert_true(!rc || rc == ERR_FORMAT);
    *may_end = !rc && follower_may_end(f);
    follower_free(f);
    return !rc;
}

static void texts_are_read_or_refused(void **state)
{
    (void)state;
    static const struct { int grammar; const char *text; bool reads, ends; } cases[] = {
        { 0, "{\"a\": [1, -2.5e+10, \"\\u00e4\xc3\xa4\"], \"b\":{}}", true, true }, { 0, "[[[[[[]]]]]]", true, true }, { 0, "[1,]", false, false }, { 0, "{\"a\"", true, false },
        { 0, "01", false, false }, { 0, "\"\n\"", false, false }, { 0, "\"\xff\"", false, false }, { 0, "\"\xc3", true, false }, { 0, "12", true, true }, { 0, "tru", true, false },
        { 1, "- abc\n", true, true }, { 1, "- abc\n- ", true, false }, { 1, "- abcdefghi", false, false }, { 1, "", true, false },
        { 2, "1+(2*3)-4", true, true }, { 2, "1+(2*3", true, false }, { 2, "1+*", false, false },
        { 3, "abcba", true, true }, { 3, "abcab", false, false }, { 3, "abab", true, false }, { 3, "c", true, true }, { 3, "cc", false, false },
        { 4, "xxxxyx", true, true }, { 4, "xyxy", true, false }, { 4, "yy", false, false }, { 4, "", true, true },
        { 5, "\u00e4\u4e2dA\U0001F600z", true, true }, { 5, "\u00e3", false, false }, { 5, "\u00e4zz", false, false }, { 5, "\u00e4\xf0\x9f\x98", true, false }, { 5, "\u00e4\xed\xa0\x80", false, false },
        { 7, "", true, true }, { 7, "a", false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grammar *g = parse(grammars[cases[i].grammar].text);
        bool ends;
        const bool ok = reads(g, cases[i].text, strlen(cases[i].text), &ends);
        if (ok != cases[i].reads || ends != cases[i].ends)
            fail_msg("%s: '%s' is %s, %s", grammars[cases[i].grammar].name, cases[i].text, ok ? "read" : "refused", ends ? "may end" : "may not end");
        grammar_free(g);
    }
}

/* Random walks over allowed tokens; at each place every token is tried by its bytes. */
static void walk(struct grammar *g, const char *name, uint64_t seed, int n_step, char *text, size_t *n_text)
{
    struct follower *f, *plain;
    float *logits = calloc((size_t)V, sizeof *logits);
    OK(follower_new(&f, g, vocab, &err));
    OK(follower_new(&plain, g, NULL, &err));
    *n_text = 0;
    for (int step = 0; step < n_step; step++) {
        memset(logits, 0, (size_t)V * sizeof *logits);
        int n, n_tried = 0, chosen = -1;
        OK(n = follower_forbid(f, logits, V, &err));
        for (int id = 0; id < V; id++) {
            size_t len = 0;
            const char *bytes = tok_bytes(tok, id, &len);
            bool may = tok_is_eog(tok, id) ? follower_may_end(f) : false;
            if (!tok_is_eog(tok, id) && !tok_is_special(tok, id) && bytes && len) {
                struct follower *copy;
                OK(follower_new(&copy, g, NULL, &err));
                OK(follower_add(copy, text, *n_text, &err));
                may = follower_add(copy, bytes, len, &err) == 0;
                follower_free(copy);
            }
            n_tried += may;
            if (may != (logits[id] == 0))
                fail_msg("%s: after '%.*s' token %d '%.*s' is %s, by its bytes %s", name, (int)*n_text, text, id, (int)len, bytes ? bytes : "", logits[id] == 0 ? "allowed" : "forbidden", may ? "allowed" : "forbidden");
            if (may && !tok_is_eog(tok, id) && (chosen < 0 || rng_u64(seed, (uint64_t)(step * V + id)) % (uint64_t)n_tried == 0))
                chosen = id;
        }
        assert_int_equal(n, n_tried);
        if (chosen < 0)
            break;
        size_t len;
        const char *bytes = tok_bytes(tok, chosen, &len);
        OK(follower_add_token(f, chosen, &err));
        OK(follower_add(plain, bytes, len, &err));
        assert_int_equal(follower_may_end(plain), follower_may_end(f));
        memcpy(text + *n_text, bytes, len);
        *n_text += len;
        const int before = follower_may_end(f);
        assert_int_equal(follower_add(f, "\xff", 1, &err), ERR_FORMAT);      /* refused, and nothing has happened */
        assert_int_equal(follower_may_end(f), before);
    }
    follower_free(f);
    follower_free(plain);
    free(logits);
}

static void every_token_is_judged_as_its_bytes(void **state)
{
    (void)state;
    char *text = calloc(1, 1 << 16);
    size_t n;
    for (size_t i = 0; i < N_GRAMMAR; i++) {
        struct grammar *g = parse(grammars[i].text);
        for (uint64_t seed = 0; seed < 3; seed++)
            walk(g, grammars[i].name, seed, strcmp(grammars[i].name, "counted") ? 12 : 80, text, &n);
        grammar_free(g);
    }
    free(text);
}

/* Tokens longer than ALIKE_BYTES, which places of counted texts do not know of each other. */
static void long_tokens_of_counted_texts_are_judged_as_their_bytes(void **state)
{
    (void)state;
    struct tok *const tok_before = tok;
    struct vocab *const vocab_before = vocab;
    const int V_before = V;
    char *text = calloc(1, 1 << 16), said[2000];
    size_t n = 0;
    for (int i = 0; i < 200; i++)
        n += (size_t)sprintf(text + n, "abcdefghijklmnopqrstuvwxyzabcdefghijkl%c!", 'a' + i % 26);
    OK(tok_train_bpe(&tok, &(struct tok_text){ text, n }, 1, 330, &err));
    V = tok_vocab_size(tok);
    OK(vocab_new(&vocab, tok, V, &(int32_t){ tok_eot(tok) }, 1, NULL, 0, &err));
    assert_true(vocab_longest(vocab) > 30);
    struct grammar *g = parse("root ::= [a-z]{40,60} \"!\"");
    for (uint64_t seed = 0; seed < 8; seed++)
        walk(g, "long tokens", seed, 40, said, &n);
    grammar_free(g);
    vocab_free(vocab);
    tok_free(tok);
    tok = tok_before, vocab = vocab_before, V = V_before;
    free(text);
}

/* Texts made by the grammar of JSON are JSON, by a reader that is not ours; what that reader refuses, the grammar refuses. */
static void json_is_what_jansson_reads(void **state)
{
    (void)state;
    static const char *const values[] = { "{\"a\":[1,2,{\"b\":null}],\"c\":\"x\\ty\"}", "[true,false,-0.5e10,\"\\u1234\"]", "\"abc\"", "[{},[],{\"\":0}]" };
    struct grammar *g = parse(json_grammar);
    int n_ok = 0, n_bad = 0;
    for (uint64_t i = 0; i < 20000; i++) {               /* one byte of a valid text changed, taken away or put in */
        char text[64];
        const char *v = values[i % 4];
        size_t n = strlen(v);
        const size_t at = (size_t)(rng_u64(1, i) % n);
        memcpy(text, v, n + 1);
        static const char put[] = "{}[]\",:0123e.-+\\ tu\n";
        const char c = put[rng_u64(2, i) % (sizeof put - 1)];
        const int how = (int)(rng_u64(3, i) % 3);
        if (how == 0)
            text[at] = c;
        else if (how == 1)
            memmove(text + at, text + at + 1, n-- - at);
        else
            memmove(text + at + 1, text + at, ++n - at), text[at] = c;
        json_t *j = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        bool ends;
        reads(g, text, n, &ends);
        if (ends && !j)
            fail_msg("'%.*s' is no JSON", (int)n, text);
        n_ok += ends, n_bad += !j;
        json_decref(j);
    }
    assert_true(n_ok > 1000 && n_bad > 1000);
    grammar_free(g);
}

static void what_is_no_grammar_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct { const char *text; int rc; const char *says; } cases[] = {
        { "", ERR_FORMAT, "no rule 'root'" }, { "root ::= a", ERR_FORMAT, "rule 'a' is named but not there" }, { "root = \"a\"", ERR_FORMAT, "line 1, column 6: found '=', expected ::=" },
        { "root ::= \"a", ERR_FORMAT, "line 1, column 12: found the end, expected \"" }, { "root ::= (\"a\"", ERR_FORMAT, "expected )" }, { "root ::= [z-a]", ERR_FORMAT, "ascends" },
        { "root ::= []", ERR_FORMAT, "empty" }, { "root ::= \"a\"{3,2}", ERR_RANGE, "{3,2}" }, { "root ::= \"a\"{1,99999}", ERR_RANGE, "10000" }, { "root ::= root \"a\" | \"b\"", ERR_FORMAT, "'root' can begin with itself" },
        { "root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= a", ERR_FORMAT, "never ends" }, { "root ::= a \"z\" | \"q\"\na ::= b? c | \"k\"\nb ::= \"x\"\nc ::= a", ERR_FORMAT, "can begin with itself" },
        { "root ::= \"a\" root", ERR_FORMAT, "'root' never ends" }, { "root ::= \"a\"\nroot ::= \"b\"", ERR_FORMAT, "line 2, column 1" }, { "root ::= \"\\q\"", ERR_FORMAT, "after \\" },
        { "root ::= \"\\xZZ\"", ERR_FORMAT, "hexadecimal" }, { "root ::= \"\\ud800\"", ERR_FORMAT, "surrogate" }, { "root ::= \"\xff\"", ERR_FORMAT, "byte 0xff" }, { "root ::= \"a\"**", ERR_FORMAT, "one of" },
        { "root ::= \"a\" )", ERR_FORMAT, "found ')'" }, { "root ::= x{1000}\nx ::= y{1000}\ny ::= \"a\"", 0, NULL }, { "root ::= ((((\"a\"{9999}){9999}){9999}){9999})", ERR_RANGE, "places" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grammar *g;
        const int rc = grammar_parse(&g, cases[i].text, strlen(cases[i].text), &err);
        if (rc != cases[i].rc || (rc && (g || !strstr(err.msg, cases[i].says))))
            fail_msg("'%s': %d, %s", cases[i].text, rc, rc ? err.msg : "");
        grammar_free(g);
    }
}

static void bombs_are_bounded(void **state)
{
    (void)state;
    struct grammar *g = parse("root ::= a* a* a* a* a* a* a* a* a* a* b\na ::= \"x\" | \"xx\" | \"xxx\"\nb ::= \"y\"");
    bool ends;
    char x[3000];
    memset(x, 'x', sizeof x);
    assert_true(reads(g, x, sizeof x, &ends));
    grammar_free(g);
    const size_t room = 1 << 16;                 /* every token could be read in hundreds of ways */
    char *text = calloc(1, room);
    size_t n = (size_t)snprintf(text, room, "root ::= (");
    for (int i = 0; i < 300; i++)
        n += (size_t)snprintf(text + n, room - n, "%s[a-z]", i ? "|" : "");
    snprintf(text + n, room - n, ")*");
    g = parse(text);
    struct follower *f;
    float *logits = calloc((size_t)V, sizeof *logits);
    OK(follower_new(&f, g, vocab, &err));
    assert_int_equal(follower_forbid(f, logits, V, &err), ERR_RANGE);
    assert_int_equal(follower_forbid(f, logits, V, &err), ERR_RANGE);      /* also when much of it is known already */
    follower_free(f);
    grammar_free(g);
    n = (size_t)snprintf(text, room, "root ::= ");       /* a long chain of nothing */
    while (n + 3 < room)
        n += (size_t)snprintf(text + n, room - n, "\"\"");
    g = parse(text);
    grammar_free(g);
    free(text);
    free(logits);
    g = parse("root ::= \"(\" root \")\" | \"[\" root \"]\" | \"\"");
    memset(x, '(', sizeof x);
    assert_true(reads(g, x, sizeof x, &ends));
    assert_false(ends);
    grammar_free(g);
}

static int set_up(void **state)
{
    (void)state;
    return open_vocab(3, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_or_refused),         cmocka_unit_test(every_token_is_judged_as_its_bytes),
        cmocka_unit_test(long_tokens_of_counted_texts_are_judged_as_their_bytes), cmocka_unit_test(json_is_what_jansson_reads),        cmocka_unit_test(what_is_no_grammar_is_told_with_its_place),
        cmocka_unit_test(bombs_are_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, close_vocab);
}
