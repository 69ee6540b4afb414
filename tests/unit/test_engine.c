/* test_engine.c - a loaded model: the same bits alone, in any batch and any cut; scores against sums made by hand; adapters as peft's. */
#include <math.h>
#include <stdint.h>
#include "golden.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/engine.h"
#include "infer/score.h"
#include "model/merge.h"

static const char *const models[] = { "tests/golden/llama", "tests/golden/olmoe", "tests/golden/gpt2" };
#define N_MODEL (sizeof models / sizeof *models)
static const enum weights_as kinds[] = { WEIGHTS_FILE, WEIGHTS_BF16, WEIGHTS_F16 };

static struct pool *pools[3];      /* 1, 2, 3 threads */
static struct err err;

static int32_t token(const struct engine *e, uint64_t seed, int i) { return (int32_t)(rng_u64(seed, (uint64_t)i) % (uint64_t)engine_config(e)->vocab_size); }

static void open_engine(struct engine **e, const char *path, enum weights_as as, int n_slot, int step, int n_logits, struct pool *pool)
{
    const struct engine_opts o = { .n_slot = n_slot, .step_tokens = step, .n_logits = n_logits, .no_tok = true, .as = as };
    OK(engine_new(e, path, &o, pool, &err));
}

/* Logits of n tokens of sequence `seed`, all at once. */
static float *whole(struct engine *e, uint64_t seed, int n)
{
    const int V = engine_config(e)->vocab_size;
    int32_t ids[64], row[64];
    const float *logits;
    for (int i = 0; i < n; i++)
        ids[i] = token(e, seed, i), row[i] = i;
    OK(engine_run(e, &(struct engine_part){ 0, 0, n, ids, NULL, 0 }, 1, &err));
    OK(engine_head(e, row, n, &logits, &err));
    float *copy = mem_alloc_array((size_t)n * (size_t)V, sizeof *copy);
    memcpy(copy, logits, (size_t)n * (size_t)V * sizeof *copy);
    return copy;
}

static void logits_have_the_same_bits_at_any_cut_batch_and_thread_count(void **state)
{
    (void)state;
    enum { N = 24, SEQ = 3 };
    for (size_t m = 0; m < N_MODEL; m++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            struct engine *e;
            float *want[SEQ];
            open_engine(&e, models[m], kinds[k], 1, N, N, pools[0]);
            const size_t V = (size_t)engine_config(e)->vocab_size;
            for (int s = 0; s < SEQ; s++)
                want[s] = whole(e, (uint64_t)s + 1, N);
            engine_free(e);
            for (int threads = 1; threads <= 3; threads++) {
                open_engine(&e, models[m], kinds[k], SEQ, 16, 16, pools[threads - 1]);
                int pos[SEQ] = { 0 };
                for (int step = 0; pos[0] < N || pos[1] < N || pos[2] < N; step++) {      /* uneven pieces of all three */
                    struct engine_part part[SEQ];
                    int32_t ids[SEQ][8], row[SEQ], of[SEQ];
                    int n = 0, rows = 0;
                    for (int s = 0; s < SEQ; s++) {
                        int c = (int)(rng_u64(99 + (uint64_t)threads, (uint64_t)(step * SEQ + s)) % 6);
                        c = c < N - pos[s] ? c : N - pos[s];
                        if (!c)
                            continue;
                        for (int i = 0; i < c; i++)
                            ids[s][i] = token(e, (uint64_t)s + 1, pos[s] + i);
                        part[n] = (struct engine_part){ SEQ - 1 - s, pos[s], c, ids[s], NULL, 0 };
                        rows += c, pos[s] += c, row[n] = rows - 1, of[n++] = s;
                    }
                    if (!n)
                        continue;
                    const float *logits;
                    OK(engine_run(e, part, n, &err));
                    OK(engine_head(e, row, n, &logits, &err));
                    for (int i = 0; i < n; i++)
                        if (memcmp(logits + (size_t)i * V, want[of[i]] + (size_t)(pos[of[i]] - 1) * V, V * sizeof *logits))
                            fail_msg("%s, kind %zu, %d threads: sequence %d differs at token %d", models[m], k, threads, of[i], pos[of[i]] - 1);
                }
                engine_free(e);
            }
            for (int s = 0; s < SEQ; s++)
                mem_free(want[s]);
        }
}

static void a_step_that_cannot_be_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct engine *e;
    const float *logits;
    open_engine(&e, models[0], WEIGHTS_FILE, 2, 8, 2, pools[0]);
    const int V = engine_config(e)->vocab_size, ctx = engine_ctx(e);
    int32_t ids[16] = { 0 };
    OK(engine_run(e, &(struct engine_part){ 0, 0, 4, ids, NULL, 0 }, 1, &err));
    const struct engine_part bad[] = { { 2, 0, 1, ids, NULL, 0 }, { -1, 0, 1, ids, NULL, 0 }, { 0, -1, 1, ids, NULL, 0 }, { 0, ctx, 1, ids, NULL, 0 }, { 0, ctx - 3, 4, ids, NULL, 0 },
                                       { 0, 0, 0, ids, NULL, 0 }, { 0, 0, 9, ids, NULL, 0 }, { 0, 0, INT32_MAX, ids, NULL, 0 }, { 0, 0, 1, &V, NULL, 0 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(engine_run(e, &bad[i], 1, &err), ERR_RANGE);
    const struct engine_part twice[] = { { 0, 0, 1, ids, NULL, 0 }, { 0, 1, 1, ids, NULL, 0 } };
    assert_int_equal(engine_run(e, twice, 2, &err), ERR_RANGE);
    assert_int_equal(engine_head(e, (int32_t[]){ 4 }, 1, &logits, &err), ERR_RANGE);
    assert_int_equal(engine_head(e, (int32_t[]){ 0, 1, 2 }, 3, &logits, &err), ERR_RANGE);
    OK(engine_head(e, (int32_t[]){ 3, 0 }, 2, &logits, &err));
    engine_free(e);
}

/* ---- adapters: sequences may each have one ---- */

static const char *const adapters[] = { "tests/golden/lora", "tests/golden/peft" };      /* of the first model */
#define N_ADAPTER 2

static void open_adapted(struct engine **e, const char *path, enum weights_as as, int n_slot, int step, int n_logits, struct pool *pool)
{
    const struct engine_opts o = { .n_slot = n_slot, .step_tokens = step, .n_logits = n_logits, .no_tok = true, .as = as, .adapter = adapters, .n_adapter = N_ADAPTER };
    OK(engine_new(e, path, &o, pool, &err));
}

static void logits_with_adapters_are_those_of_peft(void **state)
{
    (void)state;
    static const char *const names[] = { "base", "lora", "all" };
    struct engine *e;
    struct safetensors *st;
    OK(safetensors_open(&st, "tests/golden/peft/golden.safetensors", &err));
    const struct st_tensor *ids = find(st, "ids");
    const int T = (int)ids->shape[1];
    open_adapted(&e, models[0], WEIGHTS_FILE, 6, 6 * T, 6 * T, pools[1]);
    const int V = engine_config(e)->vocab_size;
    struct engine_part part[6];
    int32_t row[6 * 64];
    for (int i = 0; i < 6; i++)              /* both texts, with each adapter, in one step */
        part[i] = (struct engine_part){ i, 0, T, (const int32_t *)ids->data + i % 2 * T, NULL, i / 2 };
    for (int i = 0; i < 6 * T; i++)
        row[i] = i;
    const float *logits;
    OK(engine_run(e, part, 6, &err));
    OK(engine_head(e, row, 6 * T, &logits, &err));
    for (int i = 0; i < 3; i++) {
        const struct st_tensor *want = find(st, names[i]);
        for (int64_t k = 0; k < want->n; k++) {
            const double a = (double)logits[i * want->n + k], b = (double)((const float *)want->data)[k];
            if (!(fabs(a - b) <= 2e-5))
                fail_msg("%s: logit %lld of token %lld is %.7g, expected %.7g", names[i], (long long)(k % V), (long long)(k / V), a, b);
        }
    }
    safetensors_free(st);
    engine_free(e);
}

/* Whoever else is in the step with whatever adapter; a model without adapters gives the bits of one with, where none is asked for. */
static void adapters_of_others_change_no_bit(void **state)
{
    (void)state;
    enum { N = 24, SEQ = 7 };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct engine *e;
        float *want[SEQ];
        int32_t ids[SEQ][N];
        for (int s = 0; s < SEQ; s++) {
            if (s % 3)
                open_adapted(&e, models[0], kinds[k], 1, N, N, pools[0]);
            else
                open_engine(&e, models[0], kinds[k], 1, N, N, pools[0]);
            int32_t row[N];
            const float *logits;
            for (int i = 0; i < N; i++)
                ids[s][i] = token(e, (uint64_t)s + 1, i), row[i] = i;
            const size_t bytes = (size_t)N * (size_t)engine_config(e)->vocab_size * sizeof **want;
            OK(engine_run(e, &(struct engine_part){ 0, 0, N, ids[s], NULL, s % 3 }, 1, &err));
            OK(engine_head(e, row, N, &logits, &err));
            memcpy(want[s] = mem_alloc(bytes), logits, bytes);
            engine_free(e);
        }
        for (int threads = 1; threads <= 3; threads++) {
            open_adapted(&e, models[0], kinds[k], SEQ, 20, 20, pools[threads - 1]);
            const size_t V = (size_t)engine_config(e)->vocab_size;
            int pos[SEQ] = { 0 }, left = SEQ * N;
            for (int step = 0; left; step++) {
                struct engine_part part[SEQ];
                int32_t row[SEQ], of[SEQ];
                int n = 0, rows = 0;
                for (int i = 0; i < SEQ; i++) {
                    const int s = (i + step) % SEQ, some = (int)(rng_u64((uint64_t)threads, (uint64_t)(step * SEQ + s)) % 5), c = some < N - pos[s] ? some : N - pos[s];
                    if (!c || rows + c > 20)
                        continue;
                    part[n] = (struct engine_part){ s, pos[s], c, ids[s] + pos[s], NULL, s % 3 };
                    rows += c, pos[s] += c, left -= c, row[n] = rows - 1, of[n++] = s;
                }
                const float *logits;
                if (!n)
                    continue;
                OK(engine_run(e, part, n, &err));
                OK(engine_head(e, row, n, &logits, &err));
                for (int i = 0; i < n; i++)
                    if (memcmp(logits + (size_t)i * V, want[of[i]] + (size_t)(pos[of[i]] - 1) * V, V * sizeof *logits))
                        fail_msg("kind %zu, %d threads: sequence %d differs at token %d", k, threads, of[i], pos[of[i]] - 1);
            }
            engine_free(e);
        }
        for (int s = 0; s < SEQ; s++)
            mem_free(want[s]);
    }
}

static void an_adapter_beside_a_model_is_as_one_merged_into_it(void **state)
{
    for (int a = 0; a < N_ADAPTER; a++) {
        enum { N = 40 };
        struct adapter *adapter;
        struct model m;
        struct engine *merged, *e;
        const float *x, *y;
        int32_t ids[N];
        make_dir(state);
        OK(adapter_open(&adapter, adapters[a], &err));
        OK(model_open(&m, models[0], NULL, &err));
        OK(merge_folder(&m, models[0], adapter, in_dir("merged"), ST_F32, &err));
        model_release(&m);
        adapter_free(adapter);
        const struct engine_opts o = { .n_slot = 1, .step_tokens = 16, .no_tok = true, .adapter = adapters + a, .n_adapter = 1, .adapted = true };
        OK(engine_new(&e, models[0], &o, pools[0], &err));
        open_engine(&merged, in_dir("merged"), WEIGHTS_FILE, 1, 16, 1, pools[0]);
        for (int i = 0; i < N; i++) {
            ids[i] = token(e, 3, i);
            OK(engine_feed(e, 0, i, &ids[i], 1, &x, &err));
            OK(engine_feed(merged, 0, i, &ids[i], 1, &y, &err));
            int best_x = 0, best_y = 0;
            for (int v = 0; v < engine_config(e)->vocab_size; v++) {
                assert_true(fabs((double)x[v] - (double)y[v]) <= 2e-5);
                best_x = x[v] > x[best_x] ? v : best_x, best_y = y[v] > y[best_y] ? v : best_y;
            }
            assert_int_equal(best_x, best_y);
        }
        engine_free(e);
        engine_free(merged);
        remove_dir(state);
    }
}

/* A copy of an adapter with other words in its configuration. */
static char *with_words(const char *name, const char *from, const char *to)
{
    struct buf text;
    char words[4000];
    buf_init(&text);
    OK(file_read("tests/golden/lora/adapter_config.json", 4000, &text, &err));
    const char *at = strstr(text.data, from);
    assert_non_null(at);
    snprintf(words, sizeof words, "%.*s%s%s", (int)(at - text.data), text.data, to, at + strlen(from));
    OK(file_mkdirs(in_dir(name), &err));
    OK(file_write_all(path_in(in_dir(name), "adapter_config.json"), words, strlen(words), &err));
    buf_clear(&text);
    OK(file_read("tests/golden/lora/adapter_model.safetensors", 1 << 20, &text, &err));
    OK(file_write_all(path_in(in_dir(name), "adapter_model.safetensors"), text.data, text.len, &err));
    buf_release(&text);
    return in_dir(name);
}

static void an_adapter_that_does_not_fit_is_refused(void **state)
{
    make_dir(state);
    const struct { const char *model, *adapter, *word; } cases[] = {
        { "tests/golden/olmoe", "tests/golden/lora", "expected" },                                          /* other shapes */
        { models[0], with_words("rank", "\"r\": 3", "\"r\": 4"), "[3, 40], expected [4, 40]" },
        { models[0], with_words("dora", "\"bias\"", "\"use_dora\": true, \"bias\""), "use_dora" },
        { models[0], "tests/golden/llama", "adapter_config.json" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine *e;
        const char *both[] = { "tests/golden/lora", cases[i].adapter };
        const struct engine_opts o = { .n_slot = 1, .step_tokens = 16, .no_tok = true, .adapter = i ? both : both + 1, .n_adapter = i ? 2 : 1 };
        assert_true(engine_new(&e, cases[i].model, &o, pools[0], &err) < 0);
        if (!strstr(err.msg, cases[i].word))
            fail_msg("'%s' does not tell of '%s'", err.msg, cases[i].word);
    }
    remove_dir(state);
    struct engine *e;
    int32_t id = 1;
    open_adapted(&e, models[0], WEIGHTS_FILE, 1, 16, 1, pools[0]);
    assert_int_equal(engine_run(e, &(struct engine_part){ 0, 0, 1, &id, NULL, 3 }, 1, &err), ERR_RANGE);
    assert_int_equal(engine_run(e, &(struct engine_part){ 0, 0, 1, &id, NULL, -1 }, 1, &err), ERR_RANGE);
    engine_free(e);
}

static double nll_of(struct engine *e, const int32_t *ids, int n_fed, int32_t target)
{
    const float *logits;
    const int V = engine_config(e)->vocab_size;
    OK(engine_feed(e, 0, 0, ids, n_fed, &logits, &err));
    double max = -INFINITY, sum = 0;
    for (int v = 0; v < V; v++)
        max = fmax(max, (double)logits[v]);
    for (int v = 0; v < V; v++)
        sum += exp((double)logits[v] - max);
    return max + log(sum) - (double)logits[target];
}

/* The same sum from the logits that scoring gives away. */
struct given { const int32_t *target; int n; double nll; };

static int take_logits(void *ctx, const float *logits, int n, int V, struct err *e)
{
    (void)e;
    struct given *g = ctx;
    for (int i = 0; i < n; i++, logits += V) {
        double sum = 0;
        for (int v = 0; v < V; v++)
            sum += exp((double)logits[v]);
        g->nll += log(sum) - (double)logits[g->target[g->n++]];
    }
    return 0;
}

/* The conventions written out as their definitions say, one prefix at a time; target [n]: what is predicted, in order. */
static double by_hand(struct engine *e, enum score_convention c, const int32_t *ids, int n, int ctx, int32_t begin, bool bos, int *count, int32_t *target)
{
    double sum = 0;
    int32_t w[64];
    *count = 0;
    if (c != SCORE_ROLLING) {
        for (int at = 0; at + ctx <= n; at += ctx) {
            memcpy(w, ids + at, (size_t)ctx * sizeof *w);
            if (c == SCORE_LLAMACPP && bos)
                w[0] = begin;
            for (int t = c == SCORE_LLAMACPP ? ctx / 2 + 1 : 1; t < ctx; t++, ++*count)
                sum += nll_of(e, w, t, target[*count] = w[t]);
        }
        return sum;
    }
    for (int predicted = 0; predicted < n;) {      /* lm-evaluation-harness' get_rolling_token_windows, context_len 1 */
        const int many = n - predicted < ctx ? n - predicted : ctx, end = predicted + many;
        int from = end - ctx - 1, len = 0;
        if (!predicted)
            w[len++] = begin, from = 0;
        for (int i = from; i < end - 1; i++)
            w[len++] = ids[i];
        for (int t = predicted; t < end; t++, ++*count)
            sum += nll_of(e, w, len - (end - 1 - t), target[*count] = ids[t]);
        predicted = end;
    }
    return sum;
}

static void scores_are_what_the_conventions_say(void **state)
{
    (void)state;
    enum { N = 53 };
    int32_t ids[N];
    for (int c = 0; c < N_SCORE_CONVENTION; c++)
        for (int ctx = 2; ctx <= 20; ctx += 6)
            for (int step = 5; step <= 64; step += 59)
                for (int bos = 0; bos < 2; bos++) {
                    struct engine *one, *e;
                    open_engine(&one, models[0], WEIGHTS_FILE, 1, 64, 1, pools[0]);
                    open_engine(&e, models[0], WEIGHTS_FILE, 3, step, 4, pools[1]);
                    for (int i = 0; i < N; i++)
                        ids[i] = token(e, 5, i);
                    int32_t target[N];
                    int count;
                    const double want = by_hand(one, (enum score_convention)c, ids, N, ctx, 3, bos, &count, target);
                    struct given given = { .target = target };
                    const struct score_opts o = { (enum score_convention)c, ctx, 3, bos, take_logits, &given };
                    struct score s;
                    OK(score_tokens(e, ids, N, &o, NULL, NULL, &s, &err));
                    assert_int_equal(s.n_token, count);
                    assert_int_equal(given.n, count);
                    assert_true(fabs(given.nll - want) <= 1e-5 * fabs(want));
                    if (!(fabs(s.nll - want) <= 1e-5 * fabs(want)))
                        fail_msg("%s, windows of %d, steps of %d: nll %.9g, expected %.9g", score_convention_name(o.convention), ctx, step, s.nll, want);
                    engine_free(e);
                    engine_free(one);
                }
}

static struct cost_sum price_with(int n_adapter, bool adapted)
{
    const struct engine_opts o = { .n_slot = 2, .step_tokens = 8, .no_tok = true, .adapter = adapters, .n_adapter = n_adapter, .adapted = adapted };
    struct engine *e;
    struct cost_sum c = { 0 };
    double bytes = 0;
    OK(engine_new(&e, models[0], &o, pools[0], &err));
    engine_price(e, 8, 2, 2, 10, 10, &c, &bytes);
    engine_free(e);
    return c;
}

static void adapters_cost_what_the_sequences_that_have_them_take(void **state)
{
    (void)state;
    const struct cost_sum without = price_with(0, false), unused = price_with(2, false), one = price_with(1, true), one_of_two = price_with(2, true);
    assert_true(unused.flops_f32 == without.flops_f32 && unused.flops_other == without.flops_other);         /* but not the bytes: some operations that are one without adapters are two */
    assert_true(one_of_two.flops_f32 == one.flops_f32 && one_of_two.flops_other == one.flops_other);
    assert_true(one.flops_f32 > without.flops_f32);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        if (pool_new(&pools[i], i + 1, &err) < 0)
            return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        pool_free(pools[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_have_the_same_bits_at_any_cut_batch_and_thread_count),
        cmocka_unit_test(a_step_that_cannot_be_is_refused_and_changes_nothing),
        cmocka_unit_test(scores_are_what_the_conventions_say),
        cmocka_unit_test(logits_with_adapters_are_those_of_peft),
        cmocka_unit_test(adapters_of_others_change_no_bit),
        cmocka_unit_test(an_adapter_beside_a_model_is_as_one_merged_into_it),
        cmocka_unit_test(an_adapter_that_does_not_fit_is_refused),
        cmocka_unit_test(adapters_cost_what_the_sequences_that_have_them_take),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
