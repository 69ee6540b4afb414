/* test_gguf_tok.c - tokenizers of Hugging Face's files put into GGUF give the same ids from there, or are refused. */
#include <jansson.h>
#include "../test.h"
#include "base/tree.h"
#include "model/chat.h"
#include "model/folder_from_gguf.h"
#include "model/gguf_from_folder.h"
#include "model/gguf_tok.h"
#include "model/model.h"
#include "model/pooling.h"
#include "model/tok.h"

static struct err err;

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
    int rc = gguf_put_tokenizer(w, test_dir, tok_vocab_size(t) + 3, -1, -1, &err);
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
        struct tok *a, *b, *c;
        struct buf again;
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
        buf_init(&again);                                  /* from GGUF to a tokenizer.json again: byte-level ones */
        const int written = tok_write(b, &again, &err);
        assert_int_equal(written, strcmp(tokenizers[i].name, "llama2") ? 0 : ERR_UNSUPPORTED);
        c = NULL;
        if (!written)
            OK(tok_parse(&c, again.data, again.len, tokenizers[i].name, &err));
        buf_release(&again);
        size_t k;
        json_t *s;
        json_array_foreach(strings, k, s)
            if (json_is_string(s) && !(tokenizers[i].nfc && has_high_bytes(json_string_value(s))))
                same_ids(tokenizers[i].name, a, b, json_string_value(s), json_string_length(s));
        json_array_foreach(strings, k, s)
            if (c && json_is_string(s))
                same_ids(tokenizers[i].name, b, c, json_string_value(s), json_string_length(s));
        tok_free(c);
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
        assert_true(gguf_put_tokenizer(w, test_dir, bad[i].n, -1, -1, &err) < 0);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("says: %s\nlacks: %s", err.msg, bad[i].says);
        gguf_writer_free(w);
    }
}

/* A GGUF file names one token that begins texts: the tokenizer's, or it is refused. */
static void what_begins_a_text_is_the_tokenizers(void **state)
{
    (void)state;
    int32_t first[3];
    assert_int_equal(put("llama2"), 0);
    for (int i = 0; i < 3; i++) {
        struct gguf_writer *w;
        struct tok *t;
        OK(tok_load(&t, in_dir("tokenizer.json"), &err));
        struct tok_ids ids = { 0 };
        OK(tok_encode(t, "a", 1, TOK_ADD, &ids, &err));
        first[i] = ids.id[0];
        assert_true(tok_is_special(t, first[i]));
        tok_ids_release(&ids);
        tok_free(t);
        OK(gguf_writer_new(&w, in_dir("ends.gguf"), &err));
        const int rc = gguf_put_tokenizer(w, test_dir, 2000, i == 0 ? -1 : i == 1 ? first[0] : first[0] + 1, -1, &err);
        assert_int_equal(rc, i == 2 ? ERR_UNSUPPORTED : 0);
        if (i == 2)
            assert_non_null(strstr(err.msg, "bos_token_id"));
        if (i == 0) {
            OK(gguf_writer_commit(w, &err));
            OK(tok_load(&t, in_dir("ends.gguf"), &err));
            OK(tok_encode(t, "a", 1, TOK_ADD, &ids, &err));
            assert_true(ids.n > 1 && ids.id[0] == first[0]);
            tok_ids_release(&ids);
            tok_free(t);
        }
        gguf_writer_free(w);
    }
}

/* ---- a folder, its GGUF file, and a folder of that again ---- */

static void put_text(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static void copy_golden(const char *name)
{
    char from[100];
    struct buf b;
    buf_init(&b);
    snprintf(from, sizeof from, "tests/golden/llama/%s", name);
    OK(file_read(from, 1 << 24, &b, &err));
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

/* Every template gives the same text, special tokens in it. */
static void same_chat(const char *a, const char *b, int n)
{
    struct chat *x, *y;
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "hi");
    OK(chat_load(&x, a, NULL, &err));
    OK(chat_load(&y, b, NULL, &err));
    for (int i = 0; i < n; i++) {
        struct jinja_text t[2];
        jinja_text_init(&t[0]), jinja_text_init(&t[1]);
        assert_non_null(chat_name(x, i));
        const struct chat_request q = { .messages = messages, .name = chat_name(x, i) };
        OK(chat_render(x, &q, &t[0], &err));
        OK(chat_render(y, &q, &t[1], &err));
        assert_true(t[0].text.len > 3);
        assert_string_equal(t[0].text.data, t[1].text.data);
        jinja_text_release(&t[0]), jinja_text_release(&t[1]);
    }
    assert_true(!chat_name(x, n) && !chat_name(y, n));
    chat_free(x);
    chat_free(y);
    json_decref(messages);
}

static void there_and_back(int n_template)
{
    struct model m;
    struct tok *a, *b, *c;
    OK(model_open(&m, test_dir, NULL, &err));
    OK(gguf_from_folder(&m, test_dir, in_dir("all.gguf"), &err));
    model_release(&m);
    OK(file_remove_tree(in_dir("back"), &err));
    OK(model_open(&m, in_dir("all.gguf"), NULL, &err));
    OK(folder_from_gguf(&m, in_dir("back"), ST_F32, &err));
    OK(folder_put_tokenizer(&m, in_dir("all.gguf"), in_dir("back"), &err));
    OK(folder_put_chat(&m, in_dir("all.gguf"), in_dir("back"), &err));
    model_release(&m);
    same_chat(test_dir, in_dir("all.gguf"), n_template);
    same_chat(test_dir, in_dir("back"), n_template);
    OK(tok_load(&a, test_dir, &err));
    OK(tok_load(&b, in_dir("all.gguf"), &err));
    OK(tok_load(&c, in_dir("back"), &err));
    for (int flags = TOK_PLAIN; flags <= (TOK_SPECIALS | TOK_ADD); flags++) {
        struct tok_ids x = { 0 }, y = { 0 }, z = { 0 };
        OK(tok_encode(a, "aba<s>", 6, (unsigned)flags, &x, &err));
        OK(tok_encode(b, "aba<s>", 6, (unsigned)flags, &y, &err));
        OK(tok_encode(c, "aba<s>", 6, (unsigned)flags, &z, &err));
        assert_true(x.n == y.n && x.n == z.n && !memcmp(x.id, y.id, x.n * sizeof *x.id) && !memcmp(x.id, z.id, x.n * sizeof *x.id));
        tok_ids_release(&x), tok_ids_release(&y), tok_ids_release(&z);
    }
    tok_free(a), tok_free(b), tok_free(c);
}

static void chat_templates_and_pooling_go_there_and_back(void **state)
{
    (void)state;
    copy_golden("config.json");
    copy_golden("model.safetensors");
    put_text("tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"<\":2,\">\":3,\"s\":4,\"a\":5,\"b\":6,\"ab\":7},\"merges\":[\"a b\"]},"
                               "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                               "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}],"
                               "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                               "\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]}}}}");
    put_text("tokenizer_config.json", "{\"bos_token\": {\"content\": \"<s>\"}, \"chat_template\": \"one{{ bos_token }}{{ messages[0].content }}\"}");
    there_and_back(1);
    put_text("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"chat_template\": [{\"name\": \"default\", \"template\": \"two{{ bos_token }}\"}, {\"name\": \"tool_use\", \"template\": \"three{{ messages[0].content }}\"}]}");
    there_and_back(2);
    put_text("chat_template.jinja", "four {{ messages[0].role }}\n");
    there_and_back(1);
    OK(file_mkdirs(in_dir("additional_chat_templates"), &err));
    put_text("additional_chat_templates/rag.jinja", "five{{ bos_token }}");
    there_and_back(2);
    put_text("additional_chat_templates/n\xc3\xa4me.jinja", "six");      /* in GGUF's key n__me */
    OK(file_mkdirs(in_dir("1_Pooling"), &err));
    put_text("1_Pooling/config.json", "{\"pooling_mode_cls_token\": true}");
    struct model m;
    enum pool_kind kind = POOL_LAST;
    OK(model_open(&m, test_dir, NULL, &err));
    OK(gguf_from_folder(&m, test_dir, in_dir("all.gguf"), &err));
    model_release(&m);
    OK(model_open(&m, in_dir("all.gguf"), NULL, &err));
    assert_int_equal(pooling_read(&kind, in_dir("all.gguf"), source_gguf(m.source), &err), 1);
    assert_int_equal(kind, POOL_CLS);
    OK(folder_put_chat(&m, in_dir("all.gguf"), in_dir("back"), &err));
    assert_true(file_exists(in_dir("back/additional_chat_templates/n__me.jinja")));
    model_release(&m);
}

/* A name that would lead out of the folder. */
static void a_template_whose_name_is_no_files_is_refused(void **state)
{
    (void)state;
    static const char *const keys[] = { "tokenizer.chat_template.../x", "tokenizer.chat_template..x", "tokenizer.chat_template.a b" };
    struct model m;
    copy_golden("config.json");
    copy_golden("model.safetensors");
    OK(model_open(&m, test_dir, NULL, &err));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct gguf_writer *w;
        OK(gguf_writer_new(&w, in_dir("names.gguf"), &err));
        OK(gguf_put_str(w, keys[i], "six", &err));
        OK(gguf_writer_commit(w, &err));
        gguf_writer_free(w);
        assert_int_equal(folder_put_chat(&m, in_dir("names.gguf"), in_dir("back"), &err), ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, "no file's"));
    }
    model_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_from_gguf_are_those_of_the_tokenizer_json),
        cmocka_unit_test(what_begins_a_text_is_the_tokenizers),
        cmocka_unit_test(what_the_model_has_no_room_for_is_refused),
        cmocka_unit_test(chat_templates_and_pooling_go_there_and_back),
        cmocka_unit_test(a_template_whose_name_is_no_files_is_refused),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
