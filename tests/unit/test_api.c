/* test_api.c - include/lathe.h as another program uses it: the engine's own logits, text, chat, drawing, scores and vectors; what is
 * refused; two models in two threads; nothing printed, no signal handler, no locale changed. */
#include <dirent.h>
#include <fcntl.h>
#include <lathe.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include "../test.h"
#include "infer/engine.h"

#define LLAMA "tests/golden/llama"
#define BERT "tests/golden/families/bert"
enum { V = 71, CTX = 64, BOS = 1, EOS = 2, USER = 3, ANSWER = 4 };

static char dir[] = "/tmp/lathe-api-XXXXXX";      /* LLAMA with a tokenizer and a chat template */
static struct lathe_error e;
#undef OK                        /* here: what the library said, not err */
#define OK(expr)                                           \
    do {                                                   \
        if ((expr) != 0)                                   \
            fail_msg(#expr ": %d, %s", e.code, e.message); \
        assert_int_equal(e.code, 0);                       \
        assert_string_equal(e.message, "");                \
    } while (0)
#define FAILS(expected, said, expr)                                                      \
    do {                                                                                 \
        assert_int_equal(expr, expected);                                                \
        assert_int_equal(e.code, expected);                                              \
        if (!strstr(e.message, said))                                                    \
            fail_msg("'%s', expected something about '%s'", e.message, said);            \
    } while (0)

/* ---- a small model with everything ---- */

static void put(const char *name, const char *text, size_t n)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (file_write_all(path, text, n, NULL) < 0)
        fail_msg("cannot write %s", path);
}

static void copy(const char *name)
{
    struct buf b;
    char path[200];
    buf_init(&b);
    snprintf(path, sizeof path, LLAMA "/%s", name);
    if (file_read(path, (size_t)1 << 24, &b, NULL) < 0)
        fail_msg("cannot read %s", path);
    put(name, b.data, b.len);
    buf_release(&b);
}

/* A to F are 5 to 9 and 0, a to z 10 to 35; after them a space, a line's end and the characters of a special token. */
static void write_tokenizer(void)
{
    static char text[4000];
    int n = snprintf(text, sizeof text, "{\"added_tokens\":[");
    static const char *const special[] = { "<s>", "</s>", "<|user|>", "<|answer|>" };
    for (int i = 0; i < 4; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true,\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}",
                      i ? "," : "", BOS + i, special[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "],\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\"},"
                  "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                  "\"pair\":[],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]}}},\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (int c = 'A'; c <= 'F'; c++)
        n += snprintf(text + n, sizeof text - (size_t)n, "\"%c\":%d,", c, c == 'F' ? 0 : 5 + c - 'A');
    for (int c = 'a'; c <= 'z'; c++)
        n += snprintf(text + n, sizeof text - (size_t)n, "\"%c\":%d,", c, 10 + c - 'a');
    n += snprintf(text + n, sizeof text - (size_t)n, "\"\xc4\xa0\":36,\"\xc4\x8a\":37,\"<\":38,\">\":39,\"|\":40,\"/\":41,\"\xc3\x83\":42,\"\xc2\xa9\":43}}}");
    put("tokenizer.json", text, (size_t)n);
}

static int make_model(void **state)
{
    (void)state;
    static const char chat[] = "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
                               "{{ '<|' + m.role + '|>' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|answer|>' }}{% endif %}";
    static const char config[] = "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}", generation[] = "{\"eos_token_id\": [2, 3]}";
    assert_non_null(mkdtemp(dir));
    copy("config.json");
    copy("model.safetensors");
    write_tokenizer();
    put("chat_template.jinja", chat, sizeof chat - 1);
    put("tokenizer_config.json", config, sizeof config - 1);
    put("generation_config.json", generation, sizeof generation - 1);
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

static struct lathe_model *open_small(int n_sequence)
{
    struct lathe_model *m;
    const struct lathe_options o = { .n_thread = 2, .n_sequence = n_sequence, .step_tokens = 8 };
    OK(lathe_model_open(&m, dir, &o, &e));
    return m;
}

static void fill(int32_t *ids, int n, int seed)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((unsigned)(i * 37 + seed * 101 + i * i) % V);
}

/* ---- facts ---- */

static void the_version_and_the_facts_are_right(void **state)
{
    (void)state;
    struct lathe_info i;
    char text[32];
    size_t plan;
    snprintf(text, sizeof text, "%d.%d.%d", LATHE_VERSION_MAJOR, LATHE_VERSION_MINOR, LATHE_VERSION_PATCH);
    assert_string_equal(lathe_version(), text);
    assert_string_equal(lathe_version(), LATHE_VERSION);
    assert_string_equal(lathe_code_name(LATHE_FORMAT), "format");
    assert_string_equal(lathe_code_name(0), "ok");
    struct lathe_model *m = open_small(2);
    lathe_model_info(m, &i);
    assert_string_equal(i.family, "llama");
    assert_string_equal(i.warnings, "");
    assert_true(i.n_vocabulary == V && i.n_layer == 2 && i.d_model == 40 && i.context == CTX && i.context_model == CTX);
    assert_true(i.n_sequence == 2 && i.step_tokens == 8 && i.n_thread == 2 && i.begin_id == BOS && i.has_chat == 1);
    const struct lathe_options o = { .n_thread = 2, .n_sequence = 2, .step_tokens = 8 };
    OK(lathe_model_plan(&plan, dir, &o, &e));
    assert_true(plan == i.bytes && i.weight_bytes > 0 && i.weight_bytes < i.bytes);
    assert_true(lathe_is_end(m, EOS) && lathe_is_end(m, USER) && !lathe_is_end(m, 10) && !lathe_is_end(m, -1) && !lathe_is_end(m, 9999));
    lathe_model_free(m);
    lathe_model_free(NULL);
    lathe_embedder_free(NULL);
}

/* ---- logits ---- */

static void logits_are_the_engines(void **state)
{
    (void)state;
    enum { N = 40 };
    struct pool *pool;
    struct engine *engine;
    struct err err;
    const float *want, *got;
    float last[V];
    int32_t ids[N];
    fill(ids, N, 1);
    assert_int_equal(pool_new(&pool, 1, &err), 0);
    const struct engine_opts eo = { .n_slot = 1, .step_tokens = 64, .no_tok = true };
    assert_int_equal(engine_new(&engine, LLAMA, &eo, pool, &err), 0);
    assert_int_equal(engine_feed(engine, 0, 0, ids, N, &want, &err), 0);
    memcpy(last, want, sizeof last);
    struct lathe_model *m = open_small(3);
    OK(lathe_feed(m, 2, 0, ids, 17, &got, &e));
    assert_int_equal(lathe_length(m, 2), 17);
    OK(lathe_feed(m, 2, 17, ids + 17, N - 17, &got, &e));
    assert_memory_equal(got, last, sizeof last);
    OK(lathe_feed(m, 0, 0, ids, N - 1, &got, &e));                        /* the last one by a step of two sequences */
    OK(lathe_step(m, 2, (int[]){ 2, 0 }, (int[]){ 3, N - 1 }, (int32_t[]){ ids[3], ids[N - 1] }, &got, &e));
    assert_memory_equal(got + V, last, sizeof last);
    assert_true(lathe_length(m, 0) == N && lathe_length(m, 2) == 4 && lathe_length(m, 1) == 0 && lathe_length(m, 3) == 0 && lathe_length(m, -1) == 0);
    assert_int_equal(engine_feed(engine, 0, 0, ids, 4, &want, &err), 0);
    assert_memory_equal(got, want, sizeof last);
    lathe_model_free(m);
    engine_free(engine);
    pool_free(pool);
}

/* ---- text ---- */

static void text_becomes_tokens_and_text_again(void **state)
{
    (void)state;
    struct lathe_model *m = open_small(1);
    static const char text[] = "ab</s>";
    static const int32_t plain[] = { 10, 11, 38, 41, 28, 39 };
    int32_t ids[10] = { -7 };
    char back[20] = "?";
    size_t n = 0;
    OK(lathe_tokenize(m, text, 6, LATHE_PLAIN, NULL, 0, &n, &e));
    assert_int_equal(n, 6);
    FAILS(LATHE_RANGE, "6 tokens, and room for 5", lathe_tokenize(m, text, 6, LATHE_PLAIN, ids, 5, &n, &e));
    assert_true(n == 6 && ids[0] == -7);
    OK(lathe_tokenize(m, text, 6, LATHE_PLAIN, ids, 6, &n, &e));
    assert_memory_equal(ids, plain, sizeof plain);
    OK(lathe_detokenize(m, ids, 6, LATHE_PLAIN, back, 6, &n, &e));
    assert_true(n == 6 && !memcmp(back, text, 6));
    OK(lathe_tokenize(m, text, 6, LATHE_SPECIALS | LATHE_ADD, ids, 10, &n, &e));
    assert_true(n == 4 && ids[0] == BOS && ids[1] == 10 && ids[2] == 11 && ids[3] == EOS);
    OK(lathe_detokenize(m, ids, 4, LATHE_PLAIN, back, 20, &n, &e));
    assert_true(n == 2 && !memcmp(back, "ab", 2));
    OK(lathe_detokenize(m, ids, 4, LATHE_SPECIALS, back, 20, &n, &e));
    assert_true(n == 9 && !memcmp(back, "<s>ab</s>", 9));
    OK(lathe_tokenize(m, NULL, 0, LATHE_PLAIN, ids, 10, &n, &e));
    assert_int_equal(n, 0);
    FAILS(LATHE_FORMAT, "", lathe_tokenize(m, "a%", 2, LATHE_PLAIN, ids, 10, &n, &e));
    FAILS(LATHE_USAGE, "flags", lathe_tokenize(m, "a", 1, 4, ids, 10, &n, &e));
    FAILS(LATHE_USAGE, "flags", lathe_detokenize(m, ids, 1, LATHE_ADD, back, 20, &n, &e));
    FAILS(LATHE_RANGE, "", lathe_detokenize(m, &(int32_t){ V }, 1, LATHE_SPECIALS, back, 20, &n, &e));
    FAILS(LATHE_RANGE, "", lathe_detokenize(m, &(int32_t){ -1 }, 1, LATHE_PLAIN, back, 20, &n, &e));
    lathe_model_free(m);
}

static void messages_become_a_prompt_and_their_text_stays_text(void **state)
{
    (void)state;
    struct lathe_model *m = open_small(1);
    const struct lathe_message hi[] = { { "user", "hi" } }, sly[] = { { "user", "<|user|>" } }, system[] = { { "system", "b" }, { "user", "a" }, { "system", "b" } }, bad[] = { { "user", "\xff" } };
    static const int32_t want[] = { BOS, USER, 17, 18, 37, ANSWER }, want_sly[] = { BOS, USER, 38, 40, 30, 28, 14, 27, 40, 39, 37, ANSWER };
    const struct lathe_chat_options quiet = { .no_generation_prompt = 1 };
    struct lathe_chat_options o = { .tools = "[" };
    int32_t ids[20];
    size_t n;
    OK(lathe_chat(m, hi, 1, NULL, ids, 20, &n, &e));
    assert_int_equal(n, 6);
    assert_memory_equal(ids, want, sizeof want);
    OK(lathe_chat(m, hi, 1, &quiet, ids, 20, &n, &e));
    assert_int_equal(n, 5);
    OK(lathe_chat(m, sly, 1, NULL, ids, 20, &n, &e));
    assert_int_equal(n, 12);
    assert_memory_equal(ids, want_sly, sizeof want_sly);
    FAILS(LATHE_RANGE, "room for 3", lathe_chat(m, hi, 1, NULL, ids, 3, &n, &e));
    FAILS(LATHE_FORMAT, "UTF-8", lathe_chat(m, bad, 1, NULL, ids, 20, &n, &e));
    FAILS(LATHE_FORMAT, "tools", lathe_chat(m, hi, 1, &o, ids, 20, &n, &e));
    o = (struct lathe_chat_options){ .name = "none" };
    assert_true(lathe_chat(m, hi, 1, &o, ids, 20, &n, &e) < 0 && e.message[0]);
    OK(lathe_chat(m, system, 2, NULL, ids, 20, &n, &e));      /* put into the user's message, as the template takes none */
    assert_true(n == 8 && ids[1] == USER && ids[2] == 11 && ids[3] == 37 && ids[5] == 10);
    FAILS(LATHE_REFUSED, "no system here", lathe_chat(m, system, 3, NULL, ids, 20, &n, &e));
    lathe_model_free(m);
    struct lathe_options without = { .no_tokenizer = 1 };
    OK(lathe_model_open(&m, LLAMA, &without, &e));
    FAILS(LATHE_USAGE, "tokenizer", lathe_chat(m, hi, 1, NULL, ids, 20, &n, &e));
    FAILS(LATHE_USAGE, "tokenizer", lathe_tokenize(m, "a", 1, 0, ids, 20, &n, &e));
    FAILS(LATHE_USAGE, "tokenizer", lathe_generate(m, ids, 1, NULL, NULL, NULL, NULL, &e));
    FAILS(LATHE_USAGE, "tokenizer", lathe_score(m, "a", 1, LATHE_SCORE_ALL, 0, &(struct lathe_score){ 0 }, &e));
    lathe_model_free(m);
}

/* ---- drawing ---- */

static void draws_are_a_function_of_seed_and_position(void **state)
{
    (void)state;
    struct lathe_model *m = open_small(1);
    const float *logits;
    int32_t id, again, drawn[50];
    struct lathe_sampling s = { .temperature = 5, .seed = 3 };
    int best = 0, differ = 0;
    OK(lathe_feed(m, 0, 0, (int32_t[]){ BOS, 20 }, 2, &logits, &e));
    for (int i = 0; i < 44; i++)                              /* what the tokenizer has */
        best = logits[i] > logits[best] ? i : best;
    OK(lathe_sample(m, logits, &(struct lathe_sampling){ 0 }, 9, &id, &e));
    assert_int_equal(id, best);
    for (int i = 0; i < 50; i++)
        OK(lathe_sample(m, logits, &s, (uint64_t)i, &drawn[i], &e));
    for (int i = 49; i >= 0; i--) {
        OK(lathe_sample(m, logits, &s, (uint64_t)i, &again, &e));
        assert_int_equal(again, drawn[i]);
        differ += drawn[i] != drawn[0];
    }
    assert_true(differ > 10);
    s.top_k = 1;
    OK(lathe_sample(m, logits, &s, 0, &id, &e));
    assert_int_equal(id, best);
    FAILS(LATHE_USAGE, "top_k", lathe_sample(m, logits, &(struct lathe_sampling){ .top_k = -1 }, 0, &id, &e));
    FAILS(LATHE_USAGE, "top_p", lathe_sample(m, logits, &(struct lathe_sampling){ .top_p = 1.5 }, 0, &id, &e));
    FAILS(LATHE_USAGE, "temperature", lathe_sample(m, logits, &(struct lathe_sampling){ .temperature = (double)NAN }, 0, &id, &e));
    FAILS(LATHE_USAGE, "reserved", lathe_sample(m, logits, &(struct lathe_sampling){ .reserved = { 1 } }, 0, &id, &e));
    float nans[V];
    memcpy(nans, logits, sizeof nans);
    nans[5] = NAN;
    FAILS(LATHE_NUMERIC, "", lathe_sample(m, nans, &s, 0, &id, &e));
    lathe_model_free(m);
}

struct heard { char text[400]; size_t n; int calls, stop_after; };
static int hear(void *ctx, const char *text, size_t n)
{
    struct heard *h = ctx;
    memcpy(h->text + h->n, text, n);
    h->n += n;
    return ++h->calls == h->stop_after;
}

static void generating_is_feeding_and_drawing(void **state)
{
    (void)state;
    struct lathe_model *m = open_small(2);
    const struct lathe_generation o = { .sampling = { .temperature = 1.5, .seed = 11 }, .sequence = 1, .max_tokens = 12 };
    static const int32_t prompt[] = { BOS, 10, 20, 30, 14 };
    const float *logits;
    int32_t ids[12];
    struct heard h = { .n = 0 };
    struct lathe_generated g;
    int n = 0;
    OK(lathe_feed(m, 0, 0, prompt, 5, &logits, &e));
    for (int pos = 5;; pos++) {
        OK(lathe_sample(m, logits, &o.sampling, (uint64_t)pos, &ids[n], &e));
        n++;
        if (lathe_is_end(m, ids[n - 1]) || n == 12)
            break;
        OK(lathe_feed(m, 0, pos, &ids[n - 1], 1, &logits, &e));
    }
    char want[400];
    size_t n_want;
    const bool ended = lathe_is_end(m, ids[n - 1]);
    OK(lathe_detokenize(m, ids, (size_t)(ended ? n - 1 : n), 0, want, sizeof want, &n_want, &e));
    OK(lathe_generate(m, prompt, 5, &o, hear, &h, &g, &e));
    assert_true(g.n_prompt == 5 && g.n_kept == 0 && g.n_token == n && g.end == (ended ? LATHE_END_MODEL : LATHE_END_LENGTH) && h.n == n_want && n_want > 0);
    assert_memory_equal(h.text, want, n_want);
    struct heard again = { .n = 0 };                          /* the prompt is held already, all but the token that must be run */
    OK(lathe_generate(m, prompt, 5, &o, hear, &again, &g, &e));
    assert_true(g.n_kept == 4 && again.n == h.n && !memcmp(again.text, h.text, h.n));
    struct heard stops = { .stop_after = 1 };
    OK(lathe_generate(m, prompt, 5, &o, hear, &stops, &g, &e));
    assert_true(g.end == LATHE_END_CALLER && stops.calls == 1 && !memcmp(stops.text, h.text, stops.n));
    OK(lathe_generate(m, prompt, 5, &o, NULL, NULL, NULL, &e));
    lathe_model_free(m);
}

static void generation_ends_where_the_positions_do(void **state)
{
    (void)state;
    struct lathe_model *m;
    struct lathe_generated g = { 0 };
    const struct lathe_options o = { .context = 6, .n_thread = 1 };
    static const int32_t prompt[7] = { BOS, 10, 20, 30, 14, 15, 16 };
    bool full = false;
    OK(lathe_model_open(&m, dir, &o, &e));
    for (uint64_t seed = 0; seed < 20 && !full; seed++) {      /* some end before */
        OK(lathe_generate(m, prompt, 4, &(struct lathe_generation){ .sampling = { .temperature = 1, .seed = seed } }, NULL, NULL, &g, &e));
        assert_true(g.n_token <= 3);
        full = g.end == LATHE_END_CONTEXT && g.n_token == 3;
    }
    assert_true(full);
    OK(lathe_generate(m, prompt, 6, NULL, NULL, NULL, &g, &e));
    assert_int_equal(g.n_token, 1);
    FAILS(LATHE_RANGE, "7 tokens", lathe_generate(m, prompt, 7, NULL, NULL, NULL, &g, &e));
    FAILS(LATHE_RANGE, "empty", lathe_generate(m, prompt, 0, NULL, NULL, NULL, &g, &e));
    FAILS(LATHE_RANGE, "token id 71", lathe_generate(m, (int32_t[]){ 1, 71 }, 2, NULL, NULL, NULL, &g, &e));
    FAILS(LATHE_RANGE, "sequence 1", lathe_generate(m, prompt, 2, &(struct lathe_generation){ .sequence = 1 }, NULL, NULL, &g, &e));
    FAILS(LATHE_USAGE, "max_tokens", lathe_generate(m, prompt, 2, &(struct lathe_generation){ .max_tokens = -1 }, NULL, NULL, &g, &e));
    FAILS(LATHE_USAGE, "top_p", lathe_generate(m, prompt, 2, &(struct lathe_generation){ .sampling = { .top_p = -1 } }, NULL, NULL, &g, &e));
    OK(lathe_generate(m, prompt, 2, NULL, NULL, NULL, &g, &e));
    lathe_model_free(m);
}

/* ---- scores and vectors ---- */

static void a_score_is_the_sum_over_its_tokens(void **state)
{
    (void)state;
    enum { W = 6 };
    static const char text[] = "the quick fox jumps";
    struct lathe_model *m = open_small(1);
    int32_t ids[40];
    size_t n;
    double want = 0;
    int counted = 0;
    struct lathe_score s;
    OK(lathe_tokenize(m, text, sizeof text - 1, LATHE_ADD, ids, 40, &n, &e));
    for (size_t at = 0; at + W <= n; at += W)
        for (int t = 1; t < W; t++, counted++) {
            const float *logits;
            double sum = 0;
            OK(lathe_feed(m, 0, 0, ids + at, t, &logits, &e));
            for (int v = 0; v < V; v++)
                sum += exp((double)logits[v]);
            want += log(sum) - (double)logits[ids[at + (size_t)t]];
        }
    OK(lathe_score(m, text, sizeof text - 1, LATHE_SCORE_ALL, W, &s, &e));
    assert_true(s.n_text == n && s.n_token == (size_t)counted && fabs(s.nll - want) < 1e-4 * want);
    assert_true(fabs(s.perplexity - exp(want / counted)) < 1e-3 * s.perplexity && s.perplexity_stderr > 0);
    assert_int_equal(lathe_length(m, 0), 0);
    FAILS(LATHE_RANGE, "", lathe_score(m, "abc", 3, LATHE_SCORE_HALF, W, &s, &e));
    FAILS(LATHE_RANGE, "65", lathe_score(m, text, 10, LATHE_SCORE_ALL, 65, &s, &e));
    FAILS(LATHE_RANGE, "-1", lathe_score(m, text, 10, LATHE_SCORE_ALL, -1, &s, &e));
    FAILS(LATHE_USAGE, "convention 3", lathe_score(m, text, 10, (enum lathe_convention)3, W, &s, &e));
    lathe_model_free(m);
}

static void vectors_are_the_goldens(void **state)
{
    (void)state;
    struct safetensors *golden;
    struct lathe_embedder *b;
    const struct lathe_options o = { .n_thread = 2, .no_tokenizer = 1 }, wrong = { .n_sequence = 2 };
    float want[64], got[64], mean[64];
    assert_int_equal(safetensors_open(&golden, BERT "/golden.safetensors", NULL), 0);
    FAILS(LATHE_USAGE, "n_sequence", lathe_embedder_open(&b, BERT, &wrong, &e));
    assert_null(b);
    FAILS(LATHE_UNSUPPORTED, "encoder", lathe_model_open(&(struct lathe_model *){ NULL }, BERT, &o, &e));
    OK(lathe_embedder_open(&b, BERT, &o, &e));
    const int C = lathe_embedder_size(b);
    assert_true(C > 0 && C <= 64 && lathe_embedder_warnings(b));
    const struct st_tensor *ids = safetensors_find(golden, "ids.0"), *t = safetensors_find(golden, "mean.0");
    assert_true(ids && t && !st_read_f32(t, 0, C, want, NULL));
    OK(lathe_embed_ids(b, ids->data, (int)ids->n, LATHE_POOL_FILE, got, &e));
    OK(lathe_embed_ids(b, ids->data, (int)ids->n, LATHE_POOL_MEAN, mean, &e));
    double length = 0;
    for (int i = 0; i < C; i++)
        length += (double)want[i] * (double)want[i];
    for (int i = 0; i < C; i++)
        assert_true(fabs((double)got[i] - (double)want[i] / sqrt(length)) < 1e-5 && got[i] == mean[i]);
    OK(lathe_embed_ids(b, ids->data, (int)ids->n, LATHE_POOL_FIRST, got, &e));
    assert_true(memcmp(got, mean, (size_t)C * sizeof *got));
    FAILS(LATHE_USAGE, "pooling", lathe_embed_ids(b, ids->data, (int)ids->n, (enum lathe_pooling)4, got, &e));
    FAILS(LATHE_RANGE, "", lathe_embed_ids(b, ids->data, 0, LATHE_POOL_FILE, got, &e));
    FAILS(LATHE_USAGE, "tokenizer", lathe_embed(b, "a", 1, LATHE_POOL_FILE, got, &e));
    lathe_embedder_free(b);
    safetensors_free(golden);
    OK(lathe_embedder_open(&b, dir, NULL, &e));              /* a decoder, with its tokenizer */
    OK(lathe_embed(b, "abc", 3, LATHE_POOL_FILE, got, &e));
    OK(lathe_embed_ids(b, (int32_t[]){ BOS, 10, 11, 12 }, 4, LATHE_POOL_LAST, mean, &e));
    assert_memory_equal(got, mean, 40 * sizeof *got);
    lathe_embedder_free(b);
}

/* ---- what is refused ---- */

static void wrong_calls_are_errors_and_change_nothing(void **state)
{
    (void)state;
    struct lathe_model *m = (struct lathe_model *)state;
    FAILS(LATHE_NOTFOUND, "/nowhere/m.gguf", lathe_model_open(&m, "/nowhere/m.gguf", NULL, &e));
    assert_null(m);
    assert_int_equal(lathe_model_open(&m, "/nowhere/m.gguf", NULL, NULL), LATHE_NOTFOUND);
    assert_true(lathe_model_open(&m, "tests/unit/test_api.c", NULL, &e) < 0 && e.message[0]);
    assert_true(lathe_model_open(&m, "tests", NULL, &e) < 0 && e.message[0]);
    const struct lathe_options bad[] = { { .n_thread = -1 }, { .n_thread = 1 << 20 }, { .context = -1 }, { .n_sequence = -1 }, { .n_sequence = INT32_MAX }, { .step_tokens = -1 },
                                         { .step_tokens = INT32_MAX }, { .n_logits = -1 }, { .precision = (enum lathe_precision)9 }, { .reserved = { 0, 1 } } };
    size_t bytes = 3;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(LATHE_USAGE, "expected", lathe_model_open(&m, dir, &bad[i], &e));
        assert_int_equal(lathe_model_plan(&bytes, dir, &bad[i], &e), LATHE_USAGE);
    }
    assert_int_equal(bytes, 3);
    FAILS(LATHE_RANGE, "65 positions", lathe_model_open(&m, dir, &(struct lathe_options){ .context = 65 }, &e));
    OK(lathe_model_open(&m, dir, &(struct lathe_options){ .context = 65, .context_clip = 1, .n_thread = 1, .n_sequence = 2 }, &e));
    const float *logits, *before;
    int32_t ids[70];
    fill(ids, 70, 2);
    OK(lathe_feed(m, 0, 0, ids, 5, &before, &e));
    float want[V];
    memcpy(want, before, sizeof want);
    OK(lathe_feed(m, 0, 0, ids, 4, &before, &e));
    FAILS(LATHE_RANGE, "holds 4", lathe_feed(m, 0, 5, ids, 1, &logits, &e));
    FAILS(LATHE_RANGE, "holds 0", lathe_feed(m, 1, 1, ids, 1, &logits, &e));
    FAILS(LATHE_RANGE, "position -1", lathe_feed(m, 0, -1, ids, 1, &logits, &e));
    FAILS(LATHE_RANGE, "sequence 2", lathe_feed(m, 2, 0, ids, 1, &logits, &e));
    FAILS(LATHE_RANGE, "sequence -1", lathe_feed(m, -1, 0, ids, 1, &logits, &e));
    FAILS(LATHE_RANGE, "65 tokens", lathe_feed(m, 0, 0, ids, 65, &logits, &e));
    FAILS(LATHE_RANGE, "0 tokens", lathe_feed(m, 0, 0, ids, 0, &logits, &e));
    FAILS(LATHE_RANGE, "token id 71", lathe_feed(m, 0, 0, &(int32_t){ 71 }, 1, &logits, &e));
    FAILS(LATHE_RANGE, "token id -1", lathe_feed(m, 0, 0, &(int32_t){ -1 }, 1, &logits, &e));
    FAILS(LATHE_RANGE, "0 sequences", lathe_step(m, 0, NULL, NULL, NULL, &logits, &e));
    FAILS(LATHE_RANGE, "twice", lathe_step(m, 2, (int[]){ 0, 0 }, (int[]){ 4, 4 }, ids, &logits, &e));
    FAILS(LATHE_RANGE, "holds 0", lathe_step(m, 2, (int[]){ 0, 1 }, (int[]){ 4, 1 }, ids, &logits, &e));
    FAILS(LATHE_RANGE, "3 sequences", lathe_step(m, 3, (int[]){ 0, 1, 2 }, (int[]){ 4, 0, 0 }, ids, &logits, &e));
    assert_true(lathe_length(m, 0) == 4 && lathe_length(m, 1) == 0);
    OK(lathe_feed(m, 0, 4, ids + 4, 1, &logits, &e));
    assert_memory_equal(logits, want, sizeof want);
    lathe_model_free(m);
}

/* ---- beside other things in a process ---- */

struct worker { const char *path; const struct lathe_model *shared; float logits[V]; int32_t ids[12]; int rc; };

static void *work(void *p)
{
    struct worker *w = p;
    struct lathe_model *m = NULL;
    const struct lathe_options o = { .n_thread = 2, .step_tokens = 16 };
    const float *logits = NULL;
    size_t n;
    w->rc = lathe_model_open(&m, w->path, &o, NULL);
    for (int i = 0; i < 20 && !w->rc; i++) {
        w->rc |= lathe_tokenize(w->shared, "hello world", 11, LATHE_ADD, w->ids, 12, &n, NULL);
        w->rc |= lathe_feed(m, 0, 0, w->ids, 12, &logits, NULL);
        w->rc |= lathe_generate(m, w->ids, 12, &(struct lathe_generation){ .max_tokens = 4 }, NULL, NULL, NULL, NULL);
        w->rc |= lathe_feed(m, 0, 0, w->ids, 12, &logits, NULL);
        if (!w->rc)
            memcpy(w->logits, logits, sizeof w->logits);
    }
    lathe_model_free(m);
    return NULL;
}

static void models_in_two_threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct lathe_model *m = open_small(1);
    const float *logits;
    int32_t ids[12];
    size_t n;
    struct worker w[2] = { { .path = dir, .shared = m }, { .path = dir, .shared = m } };
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    OK(lathe_tokenize(m, "hello world", 11, LATHE_ADD, ids, 12, &n, &e));
    OK(lathe_feed(m, 0, 0, ids, 12, &logits, &e));            /* while they run */
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(w[i].rc, 0);
        assert_memory_equal(w[i].logits, logits, sizeof w[i].logits);
    }
    lathe_model_free(m);
}

/* Threads of this process, and how many of them would take SIGUSR1. */
static int count_threads(int *n_taking)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *d;
    int n = 0;
    *n_taking = 0;
    assert_non_null(tasks);
    while ((d = readdir(tasks))) {
        char path[300], line[200];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "r");
        for (; f && fgets(line, sizeof line, f);)
            if (!strncmp(line, "SigBlk:", 7))
                n++, *n_taking += !(strtoull(line + 7, NULL, 16) >> (SIGUSR1 - 1) & 1);
        if (f)
            fclose(f);
    }
    closedir(tasks);
    return n;
}

static void workers_take_no_signals(void **state)
{
    (void)state;
    int taking_before, taking;
    const int before = count_threads(&taking_before);
    struct lathe_model *m = open_small(1);
    usleep(50000);                                            /* pthread_create begins a thread with all signals blocked */
    assert_int_equal(count_threads(&taking), before + 1);
    assert_int_equal(taking, taking_before);
    lathe_model_free(m);
}

static void nothing_of_the_process_changes(void **state)
{
    (void)state;
    struct lathe_model *m;
    struct lathe_info info;
    struct buf config, out;
    int said[2];
    buf_init(&config);
    buf_init(&out);
    assert_int_equal(file_read(LLAMA "/config.json", 1 << 20, &config, NULL), 0);
    char *brace = strrchr(config.data, '}');
    assert_non_null(brace);
    config.len = (size_t)(brace - config.data);
    assert_int_equal(buf_add_str(&config, ", \"a_key_of_tomorrow\": 3.5}", NULL), 0);
    put("config.json", config.data, config.len);
    struct sigaction before[32], after;
    for (int s = 1; s < 32; s++)
        sigaction(s, NULL, &before[s]);
    const char *locale = setlocale(LC_ALL, NULL);
    const locale_t of_thread = uselocale((locale_t)0);
    char path[200];
    snprintf(path, sizeof path, "%s/said", dir);
    fflush(NULL);
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int fd = 1; fd <= 2; fd++)
        said[fd - 1] = dup(fd), dup2(file, fd);
    const int rc = lathe_model_open(&m, dir, NULL, &e), rc2 = rc ? rc : lathe_generate(m, (int32_t[]){ BOS, 10 }, 2, &(struct lathe_generation){ .max_tokens = 8 }, NULL, NULL, NULL, &e);
    fflush(NULL);
    for (int fd = 1; fd <= 2; fd++)
        dup2(said[fd - 1], fd), close(said[fd - 1]);
    close(file);
    assert_int_equal(rc2, 0);
    assert_int_equal(file_read(path, 1 << 20, &out, NULL), 0);
    assert_string_equal(out.data, "");
    lathe_model_info(m, &info);
    assert_non_null(strstr(info.warnings, "a_key_of_tomorrow"));
    assert_string_equal(locale, setlocale(LC_ALL, NULL));
    assert_true(of_thread == uselocale((locale_t)0));
    for (int s = 1; s < 32; s++) {
        sigaction(s, NULL, &after);
        assert_true(after.sa_handler == before[s].sa_handler && after.sa_flags == before[s].sa_flags);
    }
    lathe_model_free(m);
    copy("config.json");
    buf_release(&config);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_and_the_facts_are_right),
        cmocka_unit_test(logits_are_the_engines),
        cmocka_unit_test(text_becomes_tokens_and_text_again),
        cmocka_unit_test(messages_become_a_prompt_and_their_text_stays_text),
        cmocka_unit_test(draws_are_a_function_of_seed_and_position),
        cmocka_unit_test(generating_is_feeding_and_drawing),
        cmocka_unit_test(generation_ends_where_the_positions_do),
        cmocka_unit_test(a_score_is_the_sum_over_its_tokens),
        cmocka_unit_test(vectors_are_the_goldens),
        cmocka_unit_test(wrong_calls_are_errors_and_change_nothing),
        cmocka_unit_test(models_in_two_threads_do_not_disturb_each_other),
        cmocka_unit_test(workers_take_no_signals),
        cmocka_unit_test(nothing_of_the_process_changes),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
