/* test_tok.c - byte-level BPE against Hugging Face's tokenizers (tests/golden/tok, tools/golden/tok.py): the trained
 * vocabulary, the ids of strings of many scripts, the file format; what bad files and bytes lead to; and what holds for every
 * kind of tokenizer: linear time, threads, streaming. */
#include <jansson.h>
#include "../test.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/tree.h"
#include "model/tok.h"
#include "model/tok_files.h"

static struct err err;

static struct tok *golden(void)
{
    struct tok *t;
    OK(tok_load(&t, "tests/golden/tok", &err));
    return t;
}

static void ids_are_those_of_hugging_face(void **state)
{
    (void)state;
    struct tok *t = golden();
    struct buf file;
    buf_init(&file);
    OK(file_read("tests/golden/tok/cases.jsonl", 1 << 24, &file, &err));
    int n = 0;
    for (char *at = file.data, *end; (end = strchr(at, '\n')); at = end + 1, n++) {
        json_t *o = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        const json_t *text = json_object_get(o, "text"), *want = json_object_get(o, "ids");
        struct tok_ids ids = { 0 };
        OK(tok_encode(t, json_string_value(text), json_string_length(text), TOK_SPECIALS, &ids, &err));
        bool same = ids.n == json_array_size(want);
        for (size_t i = 0; same && i < ids.n; i++)
            same = ids.id[i] == json_integer_value(json_array_get(want, i));
        if (!same)
            fail_msg("case %d, '%s': %zu ids, expected %zu", n, json_string_value(text), ids.n, json_array_size(want));
        struct buf back;
        buf_init(&back);
        OK(tok_decode(t, ids.id, ids.n, &back, &err));
        assert_int_equal(back.len, json_string_length(text));
        assert_memory_equal(back.data, json_string_value(text), back.len);
        buf_release(&back);
        tok_ids_release(&ids);
        json_decref(o);
    }
    assert_true(n > 400);
    buf_release(&file);
    tok_free(t);
}

static void the_trainer_learns_what_hugging_faces_does(void **state)
{
    (void)state;
    struct tok *want = golden(), *got;
    struct buf text;
    buf_init(&text);
    OK(file_read("tests/golden/tok/corpus.txt", 1 << 24, &text, &err));
    OK(tok_train_bpe(&got, &(struct tok_text){ text.data, text.len }, 1, 600, &err));
    assert_int_equal(tok_vocab_size(got), tok_vocab_size(want));
    for (int id = 0; id < tok_vocab_size(want); id++) {
        size_t n, m;
        const char *a = tok_bytes(want, id, &n), *b = tok_bytes(got, id, &m);
        if (n != m || memcmp(a, b, n))
            fail_msg("token %d is '%.*s', expected '%.*s'", id, (int)m, b, (int)n, a);
    }
    buf_release(&text);
    tok_free(want);
    tok_free(got);
}

static void a_written_file_reads_back_as_the_same_tokenizer(void **state)
{
    (void)state;
    struct tok *t = golden(), *again;
    struct buf one, two;
    buf_init(&one);
    buf_init(&two);
    OK(tok_write(t, &one, &err));
    OK(tok_parse(&again, one.data, one.len, "written", &err));
    OK(tok_write(again, &two, &err));
    assert_string_equal(one.data, two.data);
    buf_release(&one);
    buf_release(&two);
    tok_free(t);
    tok_free(again);
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    struct tok *t = golden();
    for (int n = 0; n < 3000; n = n * 2 + 1) {
        char *s = mem_alloc((size_t)n + 1);
        for (int i = 0; i < n; i++)
            s[i] = (char)rng_u64(11, (uint64_t)(n * 10000 + i));
        struct tok_ids ids = { 0 };
        struct buf back;
        buf_init(&back);
        OK(tok_encode(t, s, (size_t)n, TOK_PLAIN, &ids, &err));
        OK(tok_decode(t, ids.id, ids.n, &back, &err));
        assert_int_equal(back.len, n);
        assert_memory_equal(back.data, s, (size_t)n);
        buf_release(&back);
        tok_ids_release(&ids);
        mem_free(s);
    }
    tok_free(t);
}

/* The scan for short pieces and the heap for long ones agree, and the heap is not quadratic: a megabyte without a space. */
static void a_megabyte_without_a_space_is_encoded_like_its_parts(void **state)
{
    (void)state;
    struct tok *t = golden();
    const size_t n = 1 << 20;
    char *s = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        s[i] = "theofandt"[i % 9];
    struct tok_ids all = { 0 }, part = { 0 };
    const double begin = clock_cpu();
    OK(tok_encode(t, s, n, TOK_PLAIN, &all, &err));
    assert_true(clock_cpu() - begin < 60);             /* quadratic would be hours */
    OK(tok_encode(t, s, 45, TOK_PLAIN, &part, &err));
    for (size_t i = 0; i + 4 < part.n; i++)
        assert_int_equal(all.id[i], part.id[i]);
    tok_ids_release(&all);
    tok_ids_release(&part);
    mem_free(s);
    tok_free(t);
}

/* Every merge in its order over the whole word, from left to right: that is BPE where a merge never makes a pair of an earlier one, and
 * slow.  What is merged, as the file has it: letters stand for themselves. */
static size_t merge_slowly(const json_t *model, int64_t *id, size_t n)
{
    const json_t *vocab = json_object_get(model, "vocab"), *pair;
    size_t k;
    json_array_foreach(json_object_get(model, "merges"), k, pair) {
        char left[200], right[200], both[400];
        if (json_is_array(pair))
            snprintf(left, sizeof left, "%s", json_string_value(json_array_get(pair, 0))), snprintf(right, sizeof right, "%s", json_string_value(json_array_get(pair, 1)));
        else
            assert_int_equal(sscanf(json_string_value(pair), "%199s %199s", left, right), 2);
        snprintf(both, sizeof both, "%s%s", left, right);
        const int64_t a = json_integer_value(json_object_get(vocab, left)), b = json_integer_value(json_object_get(vocab, right)), into = json_integer_value(json_object_get(vocab, both));
        size_t to = 0;
        for (size_t i = 0; i < n; i++) {
            const bool merges = i + 1 < n && id[i] == a && id[i + 1] == b;
            id[to++] = merges ? into : id[i];
            i += merges;
        }
        n = to;
    }
    return n;
}

static void words_of_any_length_are_merged_as_the_ranks_say(void **state)
{
    (void)state;
    struct tok *t = golden();
    json_t *file;
    OK(tree_load(&file, "tests/golden/tok/tokenizer.json", 1 << 24, &err));
    const json_t *model = json_object_get(file, "model");
    static const int lengths[] = { 63, 64, 65, 1000, 4095, 4096, 4097, 4098, 20000 };
    static char word[20000];
    static int64_t want[20000];
    for (int k = 0; k < 3 * (int)(sizeof lengths / sizeof *lengths); k++) {
        const int n = lengths[k / 3];
        struct tok_ids ids = { 0 };
        for (int i = 0; i < n; i++) {            /* of one letter, of a few that merge often, of any */
            word[i] = k % 3 ? "etaoinshrdlcumwfgypbvkjxqz"[rng_u64(5, (uint64_t)(k * 100000 + i)) % (k % 3 == 1 ? 8 : 26)] : 'e';
            want[i] = json_integer_value(json_object_get(json_object_get(model, "vocab"), (char[2]){ word[i] }));
        }
        const size_t n_want = merge_slowly(model, want, (size_t)n);
        OK(tok_encode(t, word, (size_t)n, TOK_PLAIN, &ids, &err));
        assert_int_equal(ids.n, n_want);
        for (size_t i = 0; i < n_want; i++)
            assert_int_equal(ids.id[i], want[i]);
        tok_ids_release(&ids);
    }
    json_decref(file);
    tok_free(t);
}

static void special_tokens_in_plain_text_stay_text(void **state)
{
    (void)state;
    struct tok *t = golden();
    struct tok_ids plain = { 0 }, special = { 0 };
    OK(tok_encode(t, "a<|endoftext|>b", 15, TOK_PLAIN, &plain, &err));
    OK(tok_encode(t, "a<|endoftext|>b", 15, TOK_SPECIALS, &special, &err));
    assert_true(plain.n > 3);
    assert_int_equal(special.n, 3);
    assert_int_equal(special.id[1], tok_eot(t));
    for (size_t i = 0; i < plain.n; i++)
        assert_int_not_equal(plain.id[i], tok_eot(t));
    tok_ids_release(&plain);
    tok_ids_release(&special);
    tok_free(t);
}

static void a_vocabulary_of_bytes_knows_only_its_bytes(void **state)
{
    (void)state;
    struct tok *t;
    struct tok_ids ids = { 0 };
    OK(tok_from_bytes(&t, &(struct tok_text){ "banana", 6 }, 1, &err));
    assert_int_equal(tok_vocab_size(t), 3);
    OK(tok_encode(t, "nab", 3, TOK_PLAIN, &ids, &err));
    assert_true(ids.n == 3 && ids.id[0] == 2 && ids.id[1] == 0 && ids.id[2] == 1);
    assert_int_equal(tok_encode(t, "nabx", 4, TOK_PLAIN, &ids, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "byte 0x78 at offset 3"));
    assert_int_equal(ids.n, 3);
    struct buf b;
    buf_init(&b);
    assert_int_equal(tok_decode(t, &(int32_t){ 3 }, 1, &b, &err), ERR_RANGE);
    buf_release(&b);
    tok_ids_release(&ids);
    tok_free(t);
}

static void torn_characters_are_held_back(void **state)
{
    (void)state;
    static const struct { const char *s; size_t n, tail; } cases[] = {
        { "abc", 3, 0 }, { "a\xc3", 2, 1 }, { "\xc3\xa9", 2, 0 }, { "\xe4\xb8", 2, 2 }, { "\xf0\x9f\x99", 3, 3 }, { "\xf0\x9f\x99\x82", 4, 0 }, { "\x80\x80", 2, 0 }, { "\xff", 1, 0 }, { "", 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tok_utf8_tail(cases[i].s, cases[i].n), cases[i].tail);
}

static void bad_files_are_explained(void **state)
{
    (void)state;
#define AROUND(model) "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":" model "}"
    static const struct { const char *text, *says; } cases[] = {
        { "{", "t:1:" }, { "[]", "not a tokenizer.json" }, { "{\"model\":{\"type\":\"Unigram\"}}", "a Unigram model needs a vocab" }, { "{\"model\":{\"type\":\"Magic\"}}", "expected BPE, Unigram or WordPiece" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}"), "the vocabulary is empty" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}"), "id 0 is given twice" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}"), "must be a number from 0" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}"), "must be a number from 0" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}"), "names a token that the vocabulary lacks" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\",\"a b\"]}"), "is the same as merge" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}"), "is not two tokens" },
        { AROUND("{\"type\":\"BPE\",\"vocab\":{\"\\u4e16\":0},\"merges\":[]}"), "byte-level characters" },
        { AROUND("{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}"), "with dropout is not supported" },
        { AROUND("{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{\"a\":0},\"merges\":[]}"), "end_of_word_suffix is not supported" },
        { AROUND("{\"type\":\"BPE\",\"unk_token\":\"b\",\"vocab\":{\"a\":0},\"merges\":[]}"), "unk_token 'b' is not in the vocabulary" },
        { "{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "a pre_tokenizer of type 'UnicodeScripts' is not supported" },
        { "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFX\"}]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "a normalizer of type 'NFX' is not supported" },
        { "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "precompiled charsmap" },
        { "{\"decoder\":{\"type\":\"CTC\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "a decoder of type 'CTC' is not supported" },
        { "{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"b\",1],\"sep\":[\"a\",0]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "names 'b'" },
        { "{\"model\":{\"type\":\"Unigram\",\"unk_id\":7,\"vocab\":[[\"a\",-1.5]]}}", "unk_id is not one of the 1 tokens" },
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1.5],[\"a\",-2]]}}", "tokens 0 and 1 are the same text" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tok *t;
        assert_true(tok_parse(&t, cases[i].text, strlen(cases[i].text), "t", &err) < 0);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s gave '%s', expected '%s'", cases[i].text, err.msg, cases[i].says);
    }
}

static void all_texts_at_hand_come_back(void **state)
{
    (void)state;
    static const char *const files[] = { "text-tinyshakespeare/tinyshakespeare.txt", "text-gutenberg-moby/2701-0.txt", "text-wikitext2/test.txt", "sentencepiece/botchan.txt" };
    const char *path[4];
    for (size_t i = 0; i < 4; i++)
        path[i] = shared(files[i]);
    struct tok *t = golden();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct buf text, back;
        struct tok_ids ids = { 0 };
        buf_init(&text);
        buf_init(&back);
        OK(file_read(path[i], 1 << 28, &text, &err));
        OK(tok_encode(t, text.data, text.len, TOK_PLAIN, &ids, &err));
        OK(tok_decode(t, ids.id, ids.n, &back, &err));
        assert_int_equal(back.len, text.len);
        assert_memory_equal(back.data, text.data, text.len);
        buf_release(&text);
        buf_release(&back);
        tok_ids_release(&ids);
    }
    tok_free(t);
}

/* ---- every kind of tokenizer ---- */

#define SMALL "tests/golden/tokenizers/small/"
static const char *const kinds[] = { SMALL "gpt2.json", SMALL "gpt-neox.json", SMALL "deepseek-v3.json", SMALL "bloom.json", SMALL "llama2.json", SMALL "bert-uncased.json", SMALL "t5.json", SMALL "xlm-r.json" };
#define N_KINDS (sizeof kinds / sizeof *kinds)

/* Half a megabyte of one character, of a few, of nothing but marks: every stage is linear in it, or nearly. */
static void no_text_is_quadratic(void **state)
{
    (void)state;
    static const char *const units[] = { "a", "A", " ", "\n", "1", "\xe4\xb8\x96", "\xcc\x81", "\xe2\x96\x81", "<", "ab ", "'s", "\xff", ".\n" };
    const size_t n = 1 << 19;
    char *s = mem_alloc(n);
    const double begin = clock_cpu();
    for (size_t k = 0; k < N_KINDS; k++) {
        struct tok *t;
        OK(tok_load(&t, kinds[k], &err));
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            struct tok_ids ids = { 0 };
            const size_t len = strlen(units[u]);
            for (size_t i = 0; i < n; i++)
                s[i] = units[u][i % len];
            OK(tok_encode(t, s, n, TOK_SPECIALS, &ids, &err));
            tok_ids_release(&ids);
        }
        tok_free(t);
    }
    assert_true(clock_cpu() - begin < 300);              /* seconds; quadratic would be days */
    mem_free(s);
}

/* A list of the caller's own, with room for one, once never grew. */
static void ids_are_appended_to_a_list_of_any_size(void **state)
{
    (void)state;
    struct tok *t = golden();
    struct tok_ids ids = { .id = mem_alloc(sizeof(int32_t)), .n = 1, .cap = 1 };
    ids.id[0] = 7;
    OK(tok_encode(t, "the end", 7, TOK_PLAIN, &ids, &err));
    assert_true(ids.n > 1 && ids.id[0] == 7);
    tok_ids_release(&ids);
    tok_free(t);
}

struct work { const struct tok *t; const char *text; size_t n; struct tok_ids ids[64]; struct err err[64]; };
static void encode_item(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct work *w = ctx;
    if (tok_encode(w->t, w->text + i * 100, w->n - 6400, TOK_SPECIALS | TOK_ADD, &w->ids[i], &w->err[i]) < 0)
        w->ids[i].n = 0;
}

/* Four threads at once, and then one: the same ids (the cache goes from hand to hand). */
static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    struct pool *pool;
    struct buf text;
    buf_init(&text);
    OK(file_read("tests/golden/tok/corpus.txt", 1 << 24, &text, &err));
    OK(pool_new(&pool, 4, &err));
    static struct work many, one;
    for (size_t k = 0; k < N_KINDS; k++) {
        struct tok *t, *fresh;
        OK(tok_load(&t, kinds[k], &err));
        OK(tok_load(&fresh, kinds[k], &err));
        many = (struct work){ .t = t, .text = text.data, .n = 16000 }, one = many;
        one.t = fresh;
        pool_for(pool, 64, encode_item, &many);
        for (int i = 0; i < 64; i++) {
            encode_item(&one, i, 0);
            assert_true(one.ids[i].n > 0);
            assert_int_equal(many.ids[i].n, one.ids[i].n);
            assert_memory_equal(many.ids[i].id, one.ids[i].id, one.ids[i].n * sizeof(int32_t));
            tok_ids_release(&many.ids[i]);
            tok_ids_release(&one.ids[i]);
        }
        tok_free(t);
        tok_free(fresh);
    }
    pool_free(pool);
    buf_release(&text);
}

/* Short texts, each with words that the others lack: the cache is filled over and made larger, twice, between the first and the second time. */
static void short_texts_give_the_same_ids_from_a_cache_that_grew(void **state)
{
    (void)state;
    enum { N = 100, BYTES = 400 };
    struct buf text;
    buf_init(&text);
    OK(file_read("tests/golden/tok/corpus.txt", 1 << 24, &text, &err));
    assert_true(text.len >= N * BYTES);
    for (size_t k = 0; k < N_KINDS; k++) {
        struct tok *t;
        struct tok_ids first[N] = { 0 }, second = { 0 };
        OK(tok_load(&t, kinds[k], &err));
        for (int i = 0; i < 2 * N; i++) {
            struct tok_ids *ids = i < N ? &first[i] : &second;
            ids->n = 0;
            OK(tok_encode(t, text.data + i % N * BYTES, BYTES, TOK_PLAIN, ids, &err));
            assert_int_equal(ids->n, first[i % N].n);
            assert_memory_equal(ids->id, first[i % N].id, ids->n * sizeof *ids->id);
        }
        for (int i = 0; i < N; i++)
            tok_ids_release(&first[i]);
        tok_ids_release(&second);
        tok_free(t);
    }
    buf_release(&text);
}

/* Token by token gives the text of all at once, in whole characters. */
static void a_stream_gives_whole_characters(void **state)
{
    (void)state;
    static const char text[] = " Hello \xf0\x9f\x99\x82 caf\xc3\xa9 \xe4\xb8\x96\xe7\x95\x8c \xff\xe4\xb8 end\xf0\x9f";
    for (size_t k = 0; k < 5; k++) {                     /* those that can write any bytes */
        struct tok *t;
        struct tok_ids ids = { 0 };
        struct buf all, part, out;
        struct tok_stream s;
        buf_init(&all);
        buf_init(&part);
        buf_init(&out);
        OK(tok_load(&t, kinds[k], &err));
        OK(tok_encode(t, text, sizeof text - 1, TOK_PLAIN, &ids, &err));
        OK(tok_decode(t, ids.id, ids.n, &all, &err));
        tok_stream_begin(&s, t, TOK_SKIP_SPECIALS);
        for (size_t i = 0; i < ids.n; i++) {
            buf_clear(&part);
            OK(tok_stream_add(&s, ids.id[i], &part, &err));
            assert_int_equal(tok_utf8_tail(part.data, part.len), 0);
            OK(buf_add(&out, part.data, part.len, &err));
        }
        OK(tok_stream_end(&s, &out, &err));
        assert_int_equal(out.len, all.len);
        assert_memory_equal(out.data, all.data, all.len);
        assert_int_equal(all.len, sizeof text - 1);
        assert_memory_equal(all.data, text, all.len);
        const int special = tok_special(t, k == 4 ? "</s>" : "<|endoftext|>");
        assert_true(special >= 0 && tok_is_eog(t, special));
        buf_clear(&part);
        OK(tok_stream_add(&s, special, &part, &err));
        assert_int_equal(part.len, 0);
        assert_int_equal(tok_stream_add(&s, 1 << 20, &part, &err), ERR_RANGE);
        buf_release(&all);
        buf_release(&part);
        buf_release(&out);
        tok_ids_release(&ids);
        tok_free(t);
    }
}

/* Special tokens from id 1 on. */
static struct tok *with_specials(const char *const *special, int n)
{
    struct tok *t;
    struct buf b;
    buf_init(&b);
    OK(buf_add_str(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"added_tokens\":[", &err));
    for (int i = 0; i < n; i++)
        OK(buf_printf(&b, &err, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true}", i ? "," : "", i + 1, special[i]));
    OK(buf_add_str(&b, "]}", &err));
    OK(tok_parse(&t, b.data, b.len, "t", &err));
    buf_release(&b);
    return t;
}

/* gpt-oss: generation_config.json names <|return|>, <|endoftext|> and <|call|>.  Phi has <|end|> behind its answers. */
static void a_message_of_several_ends_no_answer(void **state)
{
    (void)state;
    static const char *const harmony[] = { "<|endoftext|>", "<|return|>", "<|call|>", "<|end|>", "<|start|>", "<|channel|>", "<|message|>" };
    struct tok *t = with_specials(harmony, 7);
    for (int id = 0; id < 8; id++)
        assert_int_equal(tok_is_eog(t, id), id >= 1 && id <= 3);
    tok_free(t);
    t = with_specials((const char *const[]){ "<|endoftext|>", "<|end|>", "<|call|>" }, 3);
    assert_true(tok_is_eog(t, 1) && tok_is_eog(t, 2) && tok_is_eog(t, 3));
    tok_free(t);
    struct tok_piece piece[8] = { { .text = "a", .n = 1, .type = TOK_PIECE_NORMAL } };     /* of a GGUF file that names it as the end of a turn */
    for (int i = 0; i < 7; i++)
        piece[i + 1] = (struct tok_piece){ .text = harmony[i], .n = strlen(harmony[i]), .type = TOK_PIECE_CONTROL };
    const int32_t eog[] = { 4, -1 };
    const struct tok_vocab v = { .name = "v", .pre = "gpt-2", .kind = TOK_VOCAB_BYTES, .piece = piece, .n_piece = 8, .bos = -1, .eos = 2, .unk = -1, .cls = -1, .sep = -1, .eog = eog, .n_eog = 2 };
    OK(tok_from_vocab(&t, &v, &err));
    for (int id = 0; id < 8; id++)
        assert_int_equal(tok_is_eog(t, id), id >= 1 && id <= 3);
    tok_free(t);
}

static void ranks_are_of_the_kind_that_the_nearest_name_tells(void **state)
{
    (void)state;
    static const struct { const char *path, *kind; } cases[] = {
        { "/home/qwen-tests/llama3/tokenizer.model", "llama3" }, { "llama3/cl100k_base.tiktoken", "cl100k" }, { "/r50k/x/tokenizer.model", "r50k" },
        { "Qwen/qwen.tiktoken", "qwen" }, { "tokenizer.model", NULL }, { "/", NULL }, { "", NULL }, { "Meta-Llama3//tokenizer.model", "llama3" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *kind = tok_tiktoken_kind(cases[i].path);
        if (!kind != !cases[i].kind || (kind && strcmp(kind, cases[i].kind)))
            fail_msg("%s is %s, expected %s", cases[i].path, kind ? kind : "nothing", cases[i].kind ? cases[i].kind : "nothing");
    }
}

/* What a small file could make large: ids far from each other, normalizers that multiply. */
static void a_file_cannot_ask_for_memory_without_bound(void **state)
{
    (void)state;
    struct tok *t;
    struct tok_ids ids = { 0 };
    static const char far[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000},\"merges\":[]}}";
    assert_int_equal(tok_parse(&t, far, sizeof far - 1, "t", &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "for as many tokens as there are"));
    struct buf b;
    buf_init(&b);
    OK(buf_add_str(&b, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[", &err));
    for (int i = 0; i < 20; i++)
        OK(buf_printf(&b, &err, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaa\"}", i ? "," : ""));
    OK(buf_add_str(&b, "]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", &err));
    OK(tok_parse(&t, b.data, b.len, "t", &err));
    assert_int_equal(tok_encode(t, "aaaa", 4, TOK_PLAIN, &ids, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "times as long"));
    tok_ids_release(&ids);
    tok_free(t);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_hugging_face),
        cmocka_unit_test(the_trainer_learns_what_hugging_faces_does),
        cmocka_unit_test(a_written_file_reads_back_as_the_same_tokenizer),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(a_megabyte_without_a_space_is_encoded_like_its_parts),
        cmocka_unit_test(words_of_any_length_are_merged_as_the_ranks_say),
        cmocka_unit_test(special_tokens_in_plain_text_stay_text),
        cmocka_unit_test(a_vocabulary_of_bytes_knows_only_its_bytes),
        cmocka_unit_test(torn_characters_are_held_back),
        cmocka_unit_test(bad_files_are_explained),
        cmocka_unit_test(all_texts_at_hand_come_back),
        cmocka_unit_test(no_text_is_quadratic),
        cmocka_unit_test(ids_are_appended_to_a_list_of_any_size),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(short_texts_give_the_same_ids_from_a_cache_that_grew),
        cmocka_unit_test(a_stream_gives_whole_characters),
        cmocka_unit_test(a_message_of_several_ends_no_answer),
        cmocka_unit_test(ranks_are_of_the_kind_that_the_nearest_name_tells),
        cmocka_unit_test(a_file_cannot_ask_for_memory_without_bound),
    };
    if (UNDER_THREAD)                  /* one thread runs the others */
        cmocka_set_test_filter("threads_*");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
