/* test_tok_files.c - tokenizers of other makers against the ids that their own programs give: llama.cpp's vectors, tiktoken's
 * test plans, Mistral's chat samples, SentencePiece's golden lines; and what bad files lead to. */
#include <jansson.h>
#include "../test.h"
#include "base/mem.h"
#include "model/tok_files.h"

static struct err err;

static struct tok *load(const char *name)
{
    struct tok *t = NULL;
    OK(tok_load(&t, shared(name), &err));
    return t;
}

static void read_text(struct buf *b, const char *name)
{
    buf_init(b);
    OK(file_read(shared(name), 1 << 26, b, &err));
}

static void same_ids(const struct tok *t, const char *what, int n_case, const char *text, size_t n, unsigned flags, const int32_t *want, size_t n_want)
{
    struct tok_ids ids = { 0 };
    OK(tok_encode(t, text, n, flags, &ids, &err));
    size_t i = 0;
    while (i < ids.n && i < n_want && ids.id[i] == want[i])
        i++;
    if (i < ids.n || i < n_want)
        fail_msg("%s, case %d, '%.*s': id %zu is %d, expected %d (%zu ids, expected %zu)", what, n_case, (int)(n < 100 ? n : 100), text, i, i < ids.n ? ids.id[i] : -1,
                 i < n_want ? want[i] : -1, ids.n, n_want);
    tok_ids_release(&ids);
}

/* Numbers of s up to a character of `end`; where they end. */
static const char *read_ids(const char *s, const char *end, struct tok_ids *ids)
{
    ids->n = 0;
    while (*s && !strchr(end, *s)) {
        char *after;
        const long v = strtol(s, &after, 10);
        if (after == s) {
            s++;
            continue;
        }
        if (ids->n == ids->cap) {
            ids->cap = ids->cap ? 2 * ids->cap : 64;
            ids->id = mem_realloc_array(ids->id, ids->cap, sizeof *ids->id);
            assert_non_null(ids->id);
        }
        ids->id[ids->n++] = (int32_t)v;
        s = after;
    }
    return s;
}

static int vectors(const char *name)
{
    static const char cut[] = "\n__ggml_vocab_test__\n";
    char file[100];
    snprintf(file, sizeof file, "llama-cpp-vocab/%s.gguf", name);
    struct tok *t = load(file);
    struct buf in, out;
    snprintf(file, sizeof file, "llama-cpp-vocab/%s.gguf.inp", name);
    read_text(&in, file);
    snprintf(file, sizeof file, "llama-cpp-vocab/%s.gguf.out", name);
    read_text(&out, file);
    int n = 0;
    const char *want = out.data;
    struct tok_ids ids = { 0 };
    for (const char *at = in.data; at; n++) {
        const char *end = strstr(at, cut);
        want = read_ids(want, "\n", &ids) + 1;
        same_ids(t, name, n, at, end ? (size_t)(end - at) : strlen(at), TOK_PLAIN, ids.id, ids.n);
        at = end ? end + strlen(cut) : NULL;
    }
    tok_ids_release(&ids);
    buf_release(&in);
    buf_release(&out);
    tok_free(t);
    return n;
}

static void llama_cpps_vectors_are_met(void **state)
{
    (void)state;
    static const char *const names[] = { "ggml-vocab-gpt-2", "ggml-vocab-phi-3", "ggml-vocab-bert-bge" };
    for (int i = 0; i < 3; i++)
        assert_true(vectors(names[i]) >= 46);
}

static void tiktokens_plans_are_met(void **state)
{
    (void)state;
    static const char *const names[] = { "r50k_base", "cl100k_base", "o200k_base" };
    struct tok *t[3];
    char file[100];
    int n[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "tiktoken-ranks/%s.tiktoken", names[i]);
        t[i] = load(file);
    }
    struct buf plan;
    struct tok_ids ids = { 0 };
    read_text(&plan, "tiktoken-ranks/TestPlans.txt");
    for (const char *at = strstr(plan.data, "EncodingName: "), *next; at; at = next) {
        const char *name = at + 14, *text = strstr(name, "\nSample: ") + 9, *encoded = strstr(text, "\nEncoded: [");
        next = strstr(encoded, "EncodingName: ");
        read_ids(encoded + 11, "]", &ids);
        for (int i = 0; i < 3; i++)
            if (!strncmp(name, names[i], strlen(names[i])))
                same_ids(t[i], names[i], n[i]++, text, (size_t)(encoded - text), TOK_PLAIN, ids.id, ids.n);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(n[i] > 50);
        tok_free(t[i]);
    }
    tok_ids_release(&ids);
    buf_release(&plan);
}

/* text_vN.txt is SentencePiece's view: U+2581 for spaces, and one before each text, which encoding adds by itself. */
static int chat_sample(const struct tok *t, const char *sample, int version)
{
    static const char *const marks[] = { "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]" };
    char file[200];
    struct buf text, tokens, plain;
    snprintf(file, sizeof file, "%s/text_v%d.txt", sample, version);
    if (!file_exists(path_in(shared("mistral-tokenizers/samples"), file)))       /* not every sample has both */
        return 0;
    snprintf(file, sizeof file, "mistral-tokenizers/samples/%s/text_v%d.txt", sample, version);
    read_text(&text, file);
    snprintf(file, sizeof file, "mistral-tokenizers/samples/%s/tokens_v%d.json", sample, version);
    read_text(&tokens, file);
    buf_init(&plain);
    bool after_mark = true;
    for (const char *s = text.data; *s;) {
        size_t len = 0;
        for (size_t i = 0; i < sizeof marks / sizeof *marks && !len; i++)
            if (!strncmp(s, marks[i], strlen(marks[i])) && (i < 2 || version > 1))
                len = strlen(marks[i]);
        const bool space = !strncmp(s, "\xe2\x96\x81", 3), line = !strncmp(s, "<0x0A>", 6);
        if (len)
            OK(buf_add(&plain, s, len, &err));
        else if (line)
            OK(buf_add_char(&plain, '\n', &err));
        else if (!space)
            OK(buf_add_char(&plain, *s, &err));
        else if (!after_mark)
            OK(buf_add_char(&plain, ' ', &err));
        after_mark = len > 0;
        s += len ? len : line ? 6 : space ? 3 : 1;
    }
    struct tok_ids ids = { 0 };
    read_ids(strchr(tokens.data, '['), "]", &ids);
    same_ids(t, file, version, plain.data, plain.len, TOK_SPECIALS, ids.id, ids.n);
    same_ids(t, file, version, plain.data + 3, plain.len - 3, TOK_SPECIALS | TOK_ADD, ids.id, ids.n);      /* without <s>, which is added */
    tok_ids_release(&ids);
    buf_release(&text);
    buf_release(&tokens);
    buf_release(&plain);
    return 1;
}

static void mistrals_chat_samples_are_met(void **state)
{
    (void)state;
    static const char *const samples[] = { "get_weather_full", "get_weather_no_history", "get_weather_no_system_prompt", "no_tools", "parallel_calls", "several_calls" };
    struct tok *v1 = load("mistral-tokenizers/tokenizer.model.v1"), *v3 = load("mistral-tokenizers/mistral_instruct_tokenizer_240323.model.v3");
    int n = 0;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        n += chat_sample(v1, samples[i], 1) + chat_sample(v3, samples[i], 3);
    assert_int_equal(n, 7);
    tok_free(v1);
    tok_free(v3);
}

static void golden_lines(const char *model, const char *golden, int n_least)
{
    struct tok *t = load(model);
    struct buf b, back;
    struct tok_ids ids = { 0 };
    int n = 0;
    buf_init(&back);
    read_text(&b, golden);
    for (char *at = b.data, *end; (end = strchr(at, '\n')); at = end + 1, n++) {
        json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
        const json_t *text = json_object_get(o, "text"), *list = json_object_get(o, "ids");
        const char *numbers = strstr(at, "\"ids\": [");
        assert_true(json_is_string(text) && json_is_array(list) && numbers);
        read_ids(numbers + 8, "]", &ids);
        assert_int_equal(ids.n, json_array_size(list));
        same_ids(t, golden, n, json_string_value(text), json_string_length(text), TOK_PLAIN, ids.id, ids.n);
        buf_clear(&back);
        OK(tok_decode(t, ids.id, ids.n, &back, &err));
        if (strcmp(golden, "sentencepiece/golden_unigram.jsonl"))      /* which joins spaces */
            assert_string_equal(back.data, json_string_value(text));
        json_decref(o);
    }
    assert_true(n >= n_least);
    tok_ids_release(&ids);
    buf_release(&b);
    buf_release(&back);
    tok_free(t);
}

static void sentencepieces_golden_lines_are_met(void **state)
{
    (void)state;
    golden_lines("sentencepiece/test_model.model", "sentencepiece/golden_unigram.jsonl", 100);
    golden_lines("mistral-tokenizers/tokenizer.model.v1", "mistral-tokenizers/golden_v1.jsonl", 50);
}

/* ---- bad files ---- */

static void ranks_that_are_wrong_are_explained(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } cases[] = {
        { "", "the vocabulary is empty" }, { "IQ== 0\nIg== 0\n", "t:2: token id 0 is given twice" }, { "IQ==\n", "t:1: expected base64, a space and a rank" },
        { "IQ== 99999999\n", "expected base64, a space and a rank below" }, { "I!== 0\n", "t:1: '!' is not a character of base64" }, { "IQ==x 0\n", "base64 goes on" },
        { " 0\n", "a token without bytes" }, { "IQ== 0\nIQ== 1\n", "tokens 0 and 1 are the same text" }, { "IQ== 50256\n", "token id 50256 is given twice" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tok *t;
        assert_true(tok_parse_tiktoken(&t, cases[i].text, strlen(cases[i].text), "r50k", "t", &err) < 0);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s gave '%s', expected '%s'", cases[i].text, err.msg, cases[i].says);
    }
}

static void sentencepiece_models_that_are_wrong_are_explained(void **state)
{
    (void)state;
#define PIECE(text, type) "\x0a\x0a\x0a\x01" text "\x15\x00\x00\x80\xbf\x18" type
    static const struct { const char *data; size_t n; const char *says; } cases[] = {
#define CASE(bytes, says) { bytes, sizeof bytes - 1, says }
        CASE("", "the vocabulary is empty"), CASE("\x0a", "its protobuf breaks off"), CASE("\x0a\x7f", "its protobuf breaks off"), CASE("\x0b", "its protobuf breaks off"),
        CASE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "its protobuf breaks off"), CASE("\x08\x01", "the model has the wrong wire type"),
        CASE(PIECE("a", "\x01") PIECE("a", "\x01"), "tokens 0 and 1 are the same text"), CASE(PIECE("a", "\x09"), "a type that is not 1 to 6"),
        CASE(PIECE("a", "\x01") "\x12\x02\x18\x03", "model type 3"), CASE(PIECE("a", "\x01") "\x12\x03\xc0\x02\x09", "the unknown token has id 9"),
        CASE(PIECE("a", "\x01") "\x1a\x03\x12\x01x", "precompiled charsmap"), CASE(PIECE("a", "\x05"), "no normal pieces"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tok *t;
        assert_true(tok_parse_spm(&t, cases[i].data, cases[i].n, "m", &err) < 0);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave '%s', expected '%s'", i, err.msg, cases[i].says);
    }
}

static void a_vocabulary_of_pieces_must_be_whole(void **state)
{
    (void)state;
    const struct tok_piece pieces[] = { { "a", 1, 0, TOK_PIECE_NORMAL }, { "b", 1, 0, TOK_PIECE_NORMAL }, { "ab", 2, 0, TOK_PIECE_NORMAL } };
    const char *merges[] = { "a b" };
    const size_t lengths[] = { 3 };
    struct tok_vocab v = { .name = "v", .kind = TOK_VOCAB_BYTES, .pre = "gpt-2", .piece = pieces, .n_piece = 3, .merge = merges, .merge_n = lengths, .n_merge = 1,
                           .bos = -1, .eos = -1, .unk = -1, .sep = -1, .cls = -1 };
    struct tok *t;
    OK(tok_from_vocab(&t, &v, &err));
    same_ids(t, "v", 0, "aab", 3, TOK_PLAIN, (int32_t[]){ 0, 2 }, 2);
    tok_free(t);
    v.pre = "martian";
    assert_int_equal(tok_from_vocab(&t, &v, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.msg, "v: the pre-tokenizer 'martian' is not known");
    v.pre = "gpt-2", v.eos = 3;
    assert_int_equal(tok_from_vocab(&t, &v, &err), ERR_FORMAT);
    assert_string_equal(err.msg, "v: the eos token has id 3, expected one of the 3 of the vocabulary");
    v.eos = -1, merges[0] = "a c";
    assert_int_equal(tok_from_vocab(&t, &v, &err), ERR_FORMAT);
    assert_string_equal(err.msg, "v: merge 0 ('ac') names a token that the vocabulary lacks");
    merges[0] = "abc";
    assert_int_equal(tok_from_vocab(&t, &v, &err), ERR_FORMAT);
    assert_string_equal(err.msg, "v: merge 0 is not two tokens");
}

static void control_pieces_are_never_made_of_text(void **state)
{
    (void)state;
    const struct tok_piece pieces[] = {
        { "<unk>", 5, 0, TOK_PIECE_UNKNOWN }, { "<s>", 3, 0, TOK_PIECE_CONTROL }, { "<", 1, -1, TOK_PIECE_NORMAL }, { "s", 1, -2, TOK_PIECE_NORMAL },
        { ">", 1, -3, TOK_PIECE_NORMAL }, { "<s", 2, -2.5f, TOK_PIECE_NORMAL }, { "!!", 2, 0, TOK_PIECE_USER }, { "!", 1, -5, TOK_PIECE_NORMAL },
        { "<0xC3>", 6, 0, TOK_PIECE_BYTE }, { "<0xA9>", 6, 0, TOK_PIECE_BYTE },
    };
    for (unsigned kind = TOK_VOCAB_SPM; kind <= TOK_VOCAB_UNIGRAM; kind++) {
        struct tok_vocab v = { .name = "v", .piece = pieces, .n_piece = 10, .bos = 1, .eos = -1, .unk = 0, .sep = -1, .cls = -1, .byte_fallback = true, .add_bos = true };
        v.kind = kind;
        struct tok *t;
        OK(tok_from_vocab(&t, &v, &err));
        same_ids(t, "plain", (int)kind, "<s>", 3, TOK_PLAIN, (int32_t[]){ 5, 4 }, 2);
        same_ids(t, "special", (int)kind, "<s>", 3, TOK_SPECIALS, (int32_t[]){ 1 }, 1);
        same_ids(t, "added", (int)kind, "s", 1, TOK_ADD, (int32_t[]){ 1, 3 }, 2);
        same_ids(t, "user-defined", (int)kind, "!!s", 3, TOK_PLAIN, (int32_t[]){ 6, 3 }, 2);
        same_ids(t, "bytes", (int)kind, "s\xc3\xa9", 3, TOK_PLAIN, (int32_t[]){ 3, 8, 9 }, 3);
        same_ids(t, "unknown", (int)kind, "sxx", 3, TOK_PLAIN, (int32_t[]){ 3, 0 }, 2);
        tok_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_cpps_vectors_are_met),
        cmocka_unit_test(tiktokens_plans_are_met),
        cmocka_unit_test(mistrals_chat_samples_are_met),
        cmocka_unit_test(sentencepieces_golden_lines_are_met),
        cmocka_unit_test(ranks_that_are_wrong_are_explained),
        cmocka_unit_test(sentencepiece_models_that_are_wrong_are_explained),
        cmocka_unit_test(a_vocabulary_of_pieces_must_be_whole),
        cmocka_unit_test(control_pieces_are_never_made_of_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
