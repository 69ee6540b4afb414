/* test_spec.c - drafts change no token: every text beside the one made step by step with engine_feed and sample_token. */
#include <limits.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/spec.h"

static const char *const models[] = { "tests/golden/llama", "tests/golden/olmoe", "tests/golden/gpt2", "tests/golden/mixtral", "tests/golden/families/mistral_window",
                                      "tests/golden/families/gemma2", "tests/golden/families/gpt_oss", "tests/golden/families/deepseek_v3", "tests/golden/gguf/qwen3_moe.gguf" };
#define N_MODEL (sizeof models / sizeof *models)
static const struct sampling samplings[] = {
    { .temperature = 0, .top_p = 1, .seed = 1 },   { .temperature = 0.7, .top_p = 1, .seed = 2 },   { .temperature = 1.5, .top_p = 1, .seed = 3 },
    { .temperature = 0.7, .top_k = 5, .top_p = 1, .seed = 4 }, { .temperature = 1.5, .top_p = 0.6, .seed = 5 }, { .temperature = 0.05, .top_k = 40, .top_p = 0.9, .seed = 6 },
};
#define N_SAMPLING (sizeof samplings / sizeof *samplings)
enum { CTX = 60, N_PROMPT = 13 };

static struct pool *pool;
static struct err err;

static void open_engine(struct engine **e, const char *path, int ctx, enum weights_as as)
{
    const struct engine_opts o = { .n_slot = 1, .ctx = ctx, .ctx_clip = true, .step_tokens = 32, .n_logits = SPEC_N_LOGITS, .no_tok = true, .as = as };
    OK(engine_new(e, path, &o, pool, &err));
}

/* A phrase of four tokens again and again. */
static void repetitive(const struct engine *e, int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)(rng_u64(7, (uint64_t)(i % 4)) % (uint64_t)engine_config(e)->vocab_size);
}

/* The text from ids[0..n-1] on until no position is left, one token a step; ids has room for ctx + 1. */
static void plain(struct engine *e, const struct sampling *s, int32_t *ids, int n)
{
    const int V = engine_config(e)->vocab_size, ctx = engine_ctx(e);
    const struct sample_scratch scratch = { mem_alloc_array((size_t)V, 2 * sizeof(int32_t)), mem_alloc_array((size_t)V, sizeof(float)) };
    const float *logits;
    OK(engine_feed(e, 0, 0, ids, n, &logits, &err));
    for (;;) {
        ids[n] = sample_token(logits, (struct sample_ids){ .n = V }, s, (uint64_t)n, scratch);
        assert_true(ids[n] >= 0);
        if (n == ctx)
            break;
        OK(engine_feed(e, 0, n, ids + n, 1, &logits, &err));
        n++;
    }
    mem_free(scratch.id);
    mem_free(scratch.p);
}

/* Goes on with want[0..from-1] up to want[to-1], and compares. */
static void expect(struct spec *s, const struct sampling *sampling, const int32_t *want, int from, int to, const char *what)
{
    const int at = spec_begin(s, want, from);
    assert_true(at < from);
    OK(spec_feed(s, want + at, from - at, &err));
    for (int i = from; i < to; i++) {
        int32_t id;
        OK(spec_next(s, sampling, to - i, &id, &err));
        assert_int_equal(spec_n_token(s), i + 1);
        if (id != want[i])
            fail_msg("%s, temperature %g: token %d is %d, expected %d", what, sampling->temperature, i, id, want[i]);
    }
}

static struct spec_stats both(struct engine *e, const struct spec_opts *o, const char *what)
{
    struct spec_stats sum = { 0 };
    int32_t want[CTX + 1], id;
    const int ctx = engine_ctx(e);
    struct spec *s;
    OK(spec_new(&s, o, &err));
    for (size_t i = 0; i < N_SAMPLING; i++) {
        repetitive(e, want, N_PROMPT);
        plain(e, &samplings[i], want, N_PROMPT);
        spec_begin(s, &(int32_t){ -1 }, 1);                     /* plain() has put its own tokens into the cache */
        expect(s, &samplings[i], want, N_PROMPT, ctx + 1, what);
        assert_true(spec_full(s));
        assert_int_equal(spec_next(s, &samplings[i], 1, &id, &err), ERR_RANGE);
        /* ended anywhere (by its end-of-text token), then gone on from there or from before */
        for (int end = N_PROMPT + 1; end < ctx; end += FEWER(5, 40)) {
            expect(s, &samplings[i], want, N_PROMPT, end, what);
            expect(s, &samplings[i], want, end, end + 2, what);
        }
    }
    sum = spec_stats(s);
    assert_true(sum.n_accepted <= sum.n_drafted);
    spec_free(s);
    return sum;
}

static void lookups_change_no_token(void **state)
{
    (void)state;
    struct spec_stats all = { 0 };
    for (size_t m = 0; m < N_MODEL; m++)
        for (int lookup = 1; lookup <= SPEC_MAX; lookup += 5)
            for (int always = 0; always < 2; always++) {
                struct engine *e;
                open_engine(&e, models[m], CTX, WEIGHTS_FILE);
                const struct spec_stats s = both(e, &(struct spec_opts){ .e = e, .lookup = lookup, .always = always }, models[m]);
                all.n_drafted += s.n_drafted, all.n_accepted += s.n_accepted;
                engine_free(e);
            }
    print_message("lookups: %lld tokens drafted, %lld accepted\n", (long long)all.n_drafted, (long long)all.n_accepted);
    assert_true(all.n_accepted > FEWER(1000, 100) && all.n_accepted < all.n_drafted);
}

static void a_draft_model_changes_no_token(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODEL; m++) {
        struct spec_stats s[3];
        for (int as = 0; as < 3; as++) {
            struct engine *e;
            static const enum weights_as kinds[] = { WEIGHTS_FILE, WEIGHTS_BF16, WEIGHTS_F16 };
            open_engine(&e, models[m], CTX, WEIGHTS_FILE);
            s[as] = both(e, &(struct spec_opts){ .e = e, .draft = models[m], .draft_as = kinds[as], .pool = pool, .lookup = as == 2 ? 3 : 0, .always = true }, models[m]);
            engine_free(e);
        }
        print_message("%s: drafted %lld, accepted %lld; of a rounded draft model %lld, %lld\n", models[m], (long long)s[0].n_drafted, (long long)s[0].n_accepted, (long long)s[1].n_drafted,
                      (long long)s[1].n_accepted);
        assert_true(s[0].n_drafted > 0);
        assert_int_equal(s[0].n_accepted, s[0].n_drafted);                    /* the same model draws the same */
        assert_true(s[1].n_accepted * 8 > s[1].n_drafted && s[2].n_accepted > 0);      /* by chance: 1 of 65 */
    }
}

static void another_draft_model_changes_no_token(void **state)
{
    (void)state;
    static const char *const drafts[] = { "tests/golden/families/olmoe", "tests/golden/families/gpt2" };      /* gpt2: of fewer positions */
    for (int i = 0; i < 4; i++) {
        struct engine *e;
        open_engine(&e, "tests/golden/llama", CTX, WEIGHTS_FILE);
        const struct spec_stats s = both(e, &(struct spec_opts){ .e = e, .draft = drafts[i / 2], .pool = pool, .always = i % 2 }, drafts[i / 2]);
        assert_true(i % 2 == 0 || (s.n_drafted > 0 && s.n_accepted < s.n_drafted));
        engine_free(e);
    }
}

static void no_draft_goes_beyond_what_is_asked_for(void **state)
{
    (void)state;
    struct engine *e;
    struct spec *s;
    int32_t ids[CTX + 1], id;
    open_engine(&e, models[0], CTX, WEIGHTS_FILE);
    OK(spec_new(&s, &(struct spec_opts){ .e = e, .lookup = SPEC_MAX, .draft = models[0], .pool = pool, .always = true }, &err));
    repetitive(e, ids, N_PROMPT);
    OK(spec_feed(s, ids, N_PROMPT, &err));
    for (int i = 0; i < 8; i++)
        OK(spec_next(s, &samplings[0], 1, &id, &err));
    assert_int_equal(spec_stats(s).n_drafted, 0);
    OK(spec_next(s, &samplings[0], 3, &id, &err));
    assert_int_equal(spec_stats(s).n_drafted, 2);
    spec_free(s);
    engine_free(e);
}

static void a_draft_model_of_another_vocabulary_is_refused(void **state)
{
    (void)state;
    struct engine *e;
    struct spec *s;
    open_engine(&e, "tests/golden/llama", CTX, WEIGHTS_FILE);
    assert_int_equal(spec_new(&s, &(struct spec_opts){ .e = e, .draft = "tests/golden/gpt2", .pool = pool }, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "expected the same vocabulary"));
    assert_int_equal(spec_new(&s, &(struct spec_opts){ .e = e, .draft = "tests/golden/none", .pool = pool }, &err), ERR_NOTFOUND);
    assert_null(s);
    engine_free(e);
}

static void a_text_longer_than_its_positions_is_refused(void **state)
{
    (void)state;
    struct engine *e;
    struct spec *s;
    int32_t ids[CTX + 2] = { 0 };
    open_engine(&e, models[0], CTX, WEIGHTS_FILE);
    OK(spec_new(&s, &(struct spec_opts){ .e = e }, &err));
    assert_int_equal(spec_feed(s, ids, CTX + 1, &err), ERR_RANGE);
    OK(spec_feed(s, ids, CTX, &err));
    assert_int_equal(spec_feed(s, ids, 1, &err), ERR_RANGE);
    assert_int_equal(spec_begin(s, ids, CTX), CTX - 1);
    spec_free(s);
    engine_free(e);
}

static void a_lookup_finds_the_longest_and_then_the_latest(void **state)
{
    (void)state;
    int32_t d[8];
    static const int32_t none[] = { 1, 2, 3, 4 }, one[] = { 4, 9, 4, 8, 7, 4 }, three[] = { 1, 2, 3, 50, 51, 2, 3, 60, 9, 3, 70, 1, 2, 3 }, same[] = { 5, 5 },
                         phrase[] = { 1, 2, 3, 1, 2, 3 };
    assert_int_equal(spec_lookup(none, 4, 8, d), 0);
    assert_int_equal(spec_lookup(none, 1, 8, d), 0);
    assert_int_equal(spec_lookup(none, 0, 8, d), 0);
    assert_int_equal(spec_lookup(one, 6, 3, d), 1);
    assert_memory_equal(d, ((int32_t[]){ 8, 7, 4 }), 3 * sizeof *d);
    assert_int_equal(spec_lookup(three, 14, 4, d), 3);
    assert_memory_equal(d, ((int32_t[]){ 50, 51, 2, 3 }), 4 * sizeof *d);
    assert_int_equal(spec_lookup(same, 2, 3, d), 1);
    assert_memory_equal(d, ((int32_t[]){ 5, 5, 5 }), 3 * sizeof *d);
    assert_int_equal(spec_lookup(phrase, 6, 8, d), 3);
    assert_memory_equal(d, ((int32_t[]){ 1, 2, 3, 1, 2, 3, 1, 2 }), 8 * sizeof *d);
}

static int setup(void **state) { return (void)state, pool_new(&pool, 2, &err); }
static int teardown(void **state) { return (void)state, pool_free(pool), 0; }

static void copy_file(const char *from, const char *dir, const char *name)
{
    char path[200];
    struct buf b;
    buf_init(&b);
    snprintf(path, sizeof path, "%s/%s", from, name);
    OK(file_read(path, 1 << 24, &b, &err));
    snprintf(path, sizeof path, "%s/%s", dir, name);
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
}

/* Models have more rows of logits than their tokenizers have tokens, and vocabularies have ids that nothing has. */
static void a_token_that_the_vocabulary_lacks_is_never_drawn(void **state)
{
    (void)state;
    static const char tokenizer[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":3,\"b\":4,\"c\":7,\"d\":20,\"e\":21},\"merges\":[]},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},"
                                    "\"added_tokens\":[{\"id\":12,\"content\":\"<x>\",\"special\":true}]}";
    static const char from[] = "tests/golden/families/llama_linear";
    char dir[] = "/tmp/lathe-spec-XXXXXX", path[100];
    assert_non_null(mkdtemp(dir));
    copy_file(from, dir, "config.json");
    copy_file(from, dir, "model.safetensors");
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    OK(file_write_all(path, tokenizer, sizeof tokenizer - 1, &err));
    struct engine *e;
    struct spec *s;
    const struct engine_opts o = { .n_slot = 1, .ctx = CTX, .step_tokens = 32, .n_logits = SPEC_N_LOGITS };
    OK(engine_new(&e, dir, &o, pool, &err));
    assert_int_equal(tok_vocab_size(engine_tok(e)), 22);
    const struct spec_opts drafts = { .e = e, .draft = dir, .pool = pool, .always = true };
    OK(spec_new(&s, &drafts, &err));
    bool seen[22] = { false };
    for (size_t i = 0; i < N_SAMPLING; i++) {
        OK(spec_feed(s, &(int32_t){ 3 }, 1, &err));
        while (!spec_full(s)) {
            int32_t id;
            size_t n;
            OK(spec_next(s, &samplings[i], INT_MAX, &id, &err));
            assert_non_null(tok_bytes(engine_tok(e), id, &n));
            seen[id] = true;
        }
        spec_begin(s, &(int32_t){ -1 }, 1);
    }
    assert_true(seen[3] && seen[4] && seen[7] && seen[12] && seen[20] && seen[21]);
    spec_free(s);
    engine_free(e);
    OK(file_remove_tree(dir, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lookup_finds_the_longest_and_then_the_latest),
        cmocka_unit_test(lookups_change_no_token),
        cmocka_unit_test(a_draft_model_changes_no_token),
        cmocka_unit_test(another_draft_model_changes_no_token),
        cmocka_unit_test(no_draft_goes_beyond_what_is_asked_for),
        cmocka_unit_test(a_draft_model_of_another_vocabulary_is_refused),
        cmocka_unit_test(a_text_longer_than_its_positions_is_refused),
        cmocka_unit_test(a_token_that_the_vocabulary_lacks_is_never_drawn),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
