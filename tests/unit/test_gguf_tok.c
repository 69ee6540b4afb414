/* test_gguf_tok.c - tokenizers of Hugging Face's files put into GGUF give the same ids from there, or are refused. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/tree.h"
#include "model/gguf_tok.h"
#include "model/tok.h"

static char dir[] = "/tmp/lathe-gguf-tok-XXXXXX";
static struct err err;
#define OK(expr)                              \
    do {                                      \
        if ((expr) < 0)                       \
            fail_msg(#expr ": %s", err.msg);  \
    } while (0)

static char *in_dir(const char *name)
{
    static char path[4][200];
    static int which;
    which = (which + 1) % 4;
    snprintf(path[which], sizeof path[which], "%s/%s", dir, name);
    return path[which];
}

/* nfc: GGUF leaves the normal form out, so only text that has but one is compared. */
static const struct { const char *name; bool written, nfc; } tokenizers[] = {
    { "gpt2", true, false }, { "llama3", true, false }, { "qwen2", true, true }, { "smollm2", true, false }, { "llama2", true, false }, { "deepseek-v3", true, false },
    { "gpt-4o", true, false }, { "tekken", true, false },
    { "falcon", false, false }, { "mistral", false, false }, { "roberta", false, false }, { "bert-cased", false, false }, { "t5", false, false }, { "xlm-r", false, false }, { "words", false, false }, { "bloom", false, false },
};

static int put(const char *name)
{
    char path[200];
    struct buf b;
    struct tok *t;
    struct gguf_writer *w;
    buf_init(&b);
    snprintf(path, sizeof path, "tests/golden/tokenizers/small/%s.json", name);
    OK(file_read(path, 1 << 24, &b, &err));
    OK(file_write_all(in_dir("tokenizer.json"), b.data, b.len, &err));
    OK(tok_load(&t, in_dir("tokenizer.json"), &err));
    OK(gguf_writer_new(&w, in_dir("t.gguf"), &err));
    int rc = gguf_put_tokenizer(w, dir, tok_vocab_size(t) + 3, &err);
    if (!rc)
        OK(gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    tok_free(t);
    buf_release(&b);
    return rc;
}

static bool has_high_bytes(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return true;
    return false;
}

static void same_ids(const char *name, const struct tok *a, const struct tok *b, const char *text, size_t n)
{
    struct tok_ids x = { 0 }, y = { 0 };
    OK(tok_encode(a, text, n, TOK_SPECIALS, &x, &err));
    OK(tok_encode(b, text, n, TOK_SPECIALS, &y, &err));
    if (x.n != y.n || (x.n && memcmp(x.id, y.id, x.n * sizeof *x.id)))
        fail_msg("%s: '%.*s' has %zu ids, from GGUF %zu", name, (int)n, text, x.n, y.n);
    tok_ids_release(&x);
    tok_ids_release(&y);
}

static void ids_from_gguf_are_those_of_the_tokenizer_json(void **state)
{
    (void)state;
    json_t *root;
    OK(tree_load(&root, "tests/golden/tokenizers/strings.json", 1 << 24, &err));
    const json_t *strings = json_is_array(root) ? root : json_object_get(root, "strings");
    assert_true(json_array_size(strings) > 500);
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
        struct tok *a, *b;
        const int rc = put(tokenizers[i].name);
        if (!tokenizers[i].written) {
            if (rc != ERR_UNSUPPORTED)
                fail_msg("%s: code %d", tokenizers[i].name, rc);
            assert_non_null(strstr(err.msg, "no name in GGUF"));
            continue;
        }
        OK(rc);
        OK(tok_load(&a, in_dir("tokenizer.json"), &err));
        OK(tok_load(&b, in_dir("t.gguf"), &err));
        size_t k;
        json_t *s;
        json_array_foreach(strings, k, s)
            if (json_is_string(s) && !(tokenizers[i].nfc && has_high_bytes(json_string_value(s))))
                same_ids(tokenizers[i].name, a, b, json_string_value(s), json_string_length(s));
        tok_free(a);
        tok_free(b);
    }
    json_decref(root);
}

static void what_the_model_has_no_room_for_is_refused(void **state)
{
    (void)state;
    static const struct { const char *json, *says; int n; } bad[] = {
        { "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":7},\"merges\":[]},\"normalizer\":{\"type\":\"Prepend\"}}", "token 'a' has id 7", 4 },
        { "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":\"x\"},\"merges\":[]},\"normalizer\":{\"type\":\"Prepend\"}}", "token 'a' has id -1", 4 },
        { "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]},\"normalizer\":{\"type\":\"Prepend\"}}", "merge 0 is not two tokens", 4 },
        { "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0},\"merges\":[\"a a\"]},\"normalizer\":{\"type\":\"Prepend\"}}", "merge 0 names a token", 4 },
        { "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"a\":0}},\"added_tokens\":[{}],\"normalizer\":{\"type\":\"Prepend\"}}", "no content", 4 },
        { "{\"model\":{\"type\":\"Unigram\"}}", "no name in GGUF", 4 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gguf_writer *w;
        OK(file_write_all(in_dir("tokenizer.json"), bad[i].json, strlen(bad[i].json), &err));
        OK(gguf_writer_new(&w, in_dir("never.gguf"), &err));
        assert_true(gguf_put_tokenizer(w, dir, bad[i].n, &err) < 0);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("says: %s\nlacks: %s", err.msg, bad[i].says);
        gguf_writer_free(w);
    }
}

static int make_dir(void **state) { (void)state; return mkdtemp(dir) ? 0 : -1; }
static int remove_dir(void **state) { (void)state; return file_remove_tree(dir, NULL); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_from_gguf_are_those_of_the_tokenizer_json),
        cmocka_unit_test(what_the_model_has_no_room_for_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
