/* test_tok_golden.c - 2,000 strings through 31 tokenizers, against the ids of the makers' programs (tools/golden/tok_ids.py): families'
 * shapes of tokenizer.json, and the vocabularies at hand; and what was encoded comes back. */
#include <jansson.h>
#include "../test.h"
#include "base/mem.h"
#include "model/tok.h"

static struct err err;

#define FOLDER "tests/golden/tokenizers/"
#define N_STRING 2000
static struct buf strings[N_STRING];

static int read_strings(void **state)
{
    (void)state;
    json_t *root = json_load_file(FOLDER "strings.json", JSON_ALLOW_NUL, NULL), *v;
    size_t i;
    assert_int_equal(json_array_size(root), N_STRING);
    json_array_foreach(root, i, v) {
        const json_t *latin = json_object_get(v, "bytes");
        const json_t *s = latin ? latin : v;
        buf_init(&strings[i]);
        OK(buf_add(&strings[i], json_string_value(s), json_string_length(s), &err));
        size_t n = 0;
        char *p = strings[i].data;
        for (size_t k = 0; latin && k < strings[i].len; k++, n++)     /* U+0000 to U+00FF back to bytes */
            p[n] = (unsigned char)p[k] < 0x80 ? p[k] : (char)(((unsigned char)p[k] & 3) << 6 | ((unsigned char)p[k + 1] & 0x3f)), k += (unsigned char)p[k] >= 0x80;
        strings[i].len = latin ? n : strings[i].len;
    }
    json_decref(root);
    return 0;
}

static int free_strings(void **state)
{
    (void)state;
    for (int i = 0; i < N_STRING; i++)
        buf_release(&strings[i]);
    return 0;
}

static uint32_t fingerprint(const struct tok_ids *ids)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < ids->n; i++)
        for (int b = 0; b < 32; b += 8)
            h = (h ^ ((uint32_t)ids->id[i] >> b & 0xff)) * 0x100000001b3u;
    return (uint32_t)h;
}

enum { LOSSLESS = 1, PLAIN = 2, LOSSLESS_UTF8 = 4 };       /* LOSSLESS_UTF8: where the text has no U+2581 and is UTF-8 */

static void check(const char *name, const char *path, int kind)
{
    struct tok *t;
    struct tok_ids ids = { 0 };
    struct buf golden, back;
    char file[300];
    int n_checked = 0;
    OK(tok_load(&t, path, &err));
    buf_init(&golden);
    buf_init(&back);
    snprintf(file, sizeof file, FOLDER "%s.ids", name);
    OK(file_read(file, 1 << 20, &golden, &err));
    const char *want = golden.data;
    for (int i = 0; i < N_STRING; i++, want = strchr(want, '\n') + 1) {
        const struct buf *s = &strings[i];
        ids.n = 0;
        OK(tok_encode(t, s->data, s->len, kind & PLAIN ? TOK_PLAIN : TOK_SPECIALS | TOK_ADD, &ids, &err));
        n_checked += *want != '-';
        if (*want != '-' && fingerprint(&ids) != (uint32_t)strtoul(want, NULL, 16)) {
            buf_clear(&back);
            for (size_t k = 0; k < ids.n; k++)
                OK(buf_printf(&back, &err, " %d", ids.id[k]));
            fail_msg("%s, string %d, '%.*s': the ids%.400s have another fingerprint than the golden ones", name, i, (int)s->len, s->data, back.data);
        }
        if (!(kind & (LOSSLESS | LOSSLESS_UTF8)) || (kind & LOSSLESS_UTF8 && memmem(s->data, s->len, "\xe2\x96\x81", 3)))
            continue;
        ids.n = 0;
        buf_clear(&back);
        OK(tok_encode(t, s->data, s->len, TOK_PLAIN, &ids, &err));
        OK(tok_decode(t, ids.id, ids.n, &back, &err));
        if (back.len != s->len || memcmp(back.data, s->data, s->len))
            fail_msg("%s, string %d, '%.*s' came back as '%s'", name, i, (int)s->len, s->data, back.data);
        for (size_t k = 0; k < ids.n; k++)
            assert_false(tok_is_special(t, ids.id[k]));
    }
    assert_true(n_checked >= 1800);
    buf_release(&golden);
    buf_release(&back);
    tok_ids_release(&ids);
    tok_free(t);
}

static void the_families_shapes_give_the_ids_of_tokenizers(void **state)
{
    (void)state;
    static const struct { const char *name; int kind; } small[] = {
        { "gpt2", LOSSLESS }, { "roberta", 0 }, { "gpt-neox", 0 }, { "smollm2", LOSSLESS }, { "llama3", LOSSLESS }, { "qwen2", 0 }, { "gpt-4o", LOSSLESS }, { "tekken", LOSSLESS },
        { "deepseek-v3", LOSSLESS }, { "falcon", LOSSLESS }, { "bloom", LOSSLESS }, { "llama2", LOSSLESS_UTF8 }, { "mistral", 0 }, { "gemma", LOSSLESS_UTF8 }, { "bert-uncased", 0 },
        { "bert-cased", 0 }, { "t5", 0 }, { "xlm-r", 0 }, { "words", 0 },
    };
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        char name[100], path[200];
        snprintf(name, sizeof name, "small-%s", small[i].name);
        snprintf(path, sizeof path, FOLDER "small/%s.json", small[i].name);
        check(name, path, small[i].kind);
    }
}

static void vocabularies_at_hand_give_the_ids_of_their_makers(void **state)
{
    (void)state;
    static const struct { const char *name, *path; int kind; } files[] = {
        { "t5-small", "hf-tokenizers/t5-small.tokenizer.json", 0 }, { "phi-3-mini", "hf-tokenizers/phi-3-mini.tokenizer.json", 0 }, { "bert-bge", "llama-cpp-vocab/ggml-vocab-bert-bge.gguf", 0 },
        { "phi-3-gguf", "llama-cpp-vocab/ggml-vocab-phi-3.gguf", PLAIN | LOSSLESS_UTF8 }, { "stories260K", "stories260K-gguf/stories260K-f32.gguf", PLAIN | LOSSLESS_UTF8 },
        { "mistral-v1", "mistral-tokenizers/tokenizer.model.v1", PLAIN | LOSSLESS_UTF8 }, { "mistral-v3", "mistral-tokenizers/mistral_instruct_tokenizer_240323.model.v3", PLAIN | LOSSLESS_UTF8 },
        { "unigram", "sentencepiece/test_model.model", PLAIN }, { "r50k", "tiktoken-ranks/r50k_base.tiktoken", PLAIN | LOSSLESS }, { "r50k", "llama-cpp-vocab/ggml-vocab-gpt-2.gguf", PLAIN | LOSSLESS },
        { "cl100k", "tiktoken-ranks/cl100k_base.tiktoken", PLAIN | LOSSLESS }, { "o200k", "tiktoken-ranks/o200k_base.tiktoken", PLAIN | LOSSLESS },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        check(files[i].name, shared(files[i].path), files[i].kind);
}

/* ---- every text at hand ---- */

struct walk { struct tok *t[4]; int n_file; size_t n_byte; };

static void round_trip(struct walk *w, const char *path, const struct buf *text)
{
    struct tok_ids ids = { 0 };
    struct buf back;
    buf_init(&back);
    for (int i = 0; i < 4; i++) {
        if (i == 3 && memmem(text->data, text->len, "\xe2\x96\x81", 3))
            continue;                                    /* SentencePiece reads U+2581 as a space */
        ids.n = 0;
        buf_clear(&back);
        OK(tok_encode(w->t[i], text->data, text->len, TOK_PLAIN, &ids, &err));
        OK(tok_decode(w->t[i], ids.id, ids.n, &back, &err));
        if (back.len != text->len || memcmp(back.data, text->data, text->len))
            fail_msg("%s does not come back from tokenizer %d", path, i);
    }
    w->n_file++, w->n_byte += text->len;
    tok_ids_release(&ids);
    buf_release(&back);
}

static void walk(struct walk *w, const char *dir)
{
    char **names;
    int n;
    OK(file_list(dir, &names, &n, &err));
    for (int i = 0; i < n; i++) {
        char *path = file_join(dir, names[i]);
        struct buf b;
        buf_init(&b);
        if (file_is_dir(path)) {
            walk(w, path);
        } else {
            OK(file_read(path, 1 << 26, &b, &err));
            if (!memchr(b.data, 0, b.len))               /* a text, UTF-8 or not */
                round_trip(w, path, &b);
        }
        buf_release(&b);
        mem_free(path);
    }
    file_list_free(names, n);
}

static void every_text_file_at_hand_comes_back(void **state)
{
    (void)state;
    static const char *const files[] = { "tiktoken-ranks/r50k_base.tiktoken", "tiktoken-ranks/cl100k_base.tiktoken", "tiktoken-ranks/o200k_base.tiktoken",
                                         "mistral-tokenizers/mistral_instruct_tokenizer_240323.model.v3" };
    struct walk w = { 0 };
    for (int i = 0; i < 4; i++)
        OK(tok_load(&w.t[i], shared(files[i]), &err));
    walk(&w, shared("."));
    print_message("%d files, %.1f MB\n", w.n_file, (double)w.n_byte / 1e6);
    assert_true(w.n_file > 700);
    for (int i = 0; i < 4; i++)
        tok_free(w.t[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_families_shapes_give_the_ids_of_tokenizers),
        cmocka_unit_test(vocabularies_at_hand_give_the_ids_of_their_makers),
        cmocka_unit_test(every_text_file_at_hand_comes_back),
    };
    return cmocka_run_group_tests(tests, read_strings, free_strings);
}
