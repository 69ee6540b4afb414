/* test_text_rows.c - what a model makes of texts: as other readers of it have it, whatever else is in the set, with any number of threads. */
#include <math.h>
#include "eval_model.h"
#include "base/mem.h"
#include "base/pool.h"
#include "eval/encode.h"
#include "eval/text_rows.h"
#include "infer/embed.h"

static struct pool *pools[2];

static int set_up(void **state)
{
    return make_dir(state) || pool_new(&pools[0], 1, &err) || pool_new(&pools[1], 2, &err) ? -1 : 0;
}

static int tear_down(void **state)
{
    pool_free(pools[0]), pool_free(pools[1]);
    return remove_dir(state);
}

/* step_tokens: small ones make pieces of a text. */
static struct engine *engine(const char *model, int step_tokens, struct pool *pool)
{
    struct engine *e;
    const struct engine_opts o = { .n_slot = TEXT_SLOTS, .ctx = 64, .step_tokens = step_tokens, .n_logits = TEXT_LOGITS };
    OK(engine_new(&e, model, &o, pool, &err));
    return e;
}

/* A path that stays. */
static const char *the_model(void)
{
    static char path[200];
    snprintf(path, sizeof path, "%s", model_with("tokenizer"));
    return path;
}

static struct text_lines lines(const char *text)
{
    struct text_lines s;
    OK(file_write_all(in_dir("texts"), text, strlen(text), &err));
    OK(text_lines_read(&s, in_dir("texts"), 0, &err));
    return s;
}

static struct text_rows read_all(const char *model, const char *text, int step_tokens, struct pool *pool)
{
    struct text_rows r;
    int32_t prefix;
    struct engine *e = engine(model, step_tokens, pool);
    struct text_lines s = lines(text);
    OK(encoder_prefix(&prefix, model, engine_tok(e), &err));
    OK(text_rows_model(&r, e, prefix, &s, &(struct text_rows_opts){ .pool = pool }, &err));
    text_lines_release(&s);
    engine_free(e);
    return r;
}

#define SENTENCES "the cat sat on the mat\na dog\nthe man ran to the mill and sat\nto\non the mat the old dog sat\n"

static void likelihoods_and_states_are_those_of_other_readers(void **state)
{
    (void)state;
    const char *model = the_model();
    struct text_rows r = read_all(model, SENTENCES, 64, pools[0]);
    struct engine *e = engine(model, 64, pools[0]);
    struct embedder *m;
    struct text_lines s = lines(SENTENCES);
    int32_t prefix;
    struct tok_ids ids = { 0 };
    OK(encoder_prefix(&prefix, model, engine_tok(e), &err));
    OK(embedder_new(&m, model, &(struct embed_opts){ 0 }, pools[0], &err));
    if (r.n != 5)
        fail_msg("%s", r.why.msg);
    for (int64_t i = 0; i < r.n; i++) {
        size_t n;
        const char *text = text_lines_get(&s, i, &n);
        ids.n = 0;
        OK(tok_ids_add(&ids, prefix, &err));
        OK(tok_encode(engine_tok(e), text, n, 0, &ids, &err));
        const int T = (int)ids.n;
        assert_int_equal(r.n_token[i], T - 1);
        OK(engine_run(e, &(struct engine_part){ .slot = 0, .n = T, .ids = ids.id }, 1, &err));
        float nll[64], state_[512];
        int32_t row[64];
        double sum = 0;
        for (int k = 0; k < T; k++)
            row[k] = k;
        OK(engine_nll(e, row, ids.id + 1, T - 1, nll, &err));
        for (int k = 0; k + 1 < T; k++)
            sum -= (double)nll[k];
        assert_true(fabs(sum / (T - 1) - r.stat[TEXT_STAT_NLL][i]) < 1e-5);
        assert_true(r.d <= 512);
        OK(embedder_run(m, ids.id, T, POOL_LAST, false, state_, &err));
        for (int j = 0; j < r.d; j++)
            assert_true(fabs((double)state_[j] - (double)r.feature[1][i * r.d + j]) < 1e-3 * (1 + fabs((double)state_[j])));
        assert_true(r.stat[TEXT_STAT_MSP][i] > 0 && r.stat[TEXT_STAT_MSP][i] < 1 && r.stat[TEXT_STAT_ENTROPY][i] < 0 && isfinite(r.stat[TEXT_STAT_ENERGY][i]));
        if (T == 2)                                      /* one token: its mean is it */
            assert_memory_equal(r.feature[0] + i * r.d, r.feature[1] + i * r.d, (size_t)r.d * sizeof(float));
    }
    tok_ids_release(&ids);
    text_lines_release(&s);
    embedder_free(m);
    engine_free(e);
    text_rows_release(&r);
}

static void same_row(const struct text_rows *a, int64_t i, const struct text_rows *b, int64_t j)
{
    for (int s = 0; s < N_TEXT_STAT; s++)
        assert_memory_equal(&a->stat[s][i], &b->stat[s][j], sizeof(double));
    for (int k = 0; k < TEXT_FEATURES; k++)
        assert_memory_equal(a->feature[k] + i * a->d, b->feature[k] + j * b->d, (size_t)a->d * sizeof(float));
}

static void a_text_has_the_same_bits_in_any_company(void **state)
{
    (void)state;
    const char *model = the_model();
    struct text_rows one = read_all(model, SENTENCES, 64, pools[0]), two = read_all(model, SENTENCES, 64, pools[1]), pieces = read_all(model, SENTENCES, 3, pools[1]),
                     alone = read_all(model, "the man ran to the mill and sat\n", 5, pools[0]);
    struct text_rows many = read_all(model, SENTENCES SENTENCES SENTENCES SENTENCES SENTENCES, 16, pools[1]);
    assert_int_equal(many.n, 25);
    for (int64_t i = 0; i < one.n; i++) {
        same_row(&one, i, &two, i), same_row(&one, i, &pieces, i);
        same_row(&one, i, &many, i), same_row(&one, i, &many, 20 + i);
    }
    same_row(&one, 2, &alone, 0);
    text_rows_release(&one), text_rows_release(&two), text_rows_release(&pieces), text_rows_release(&alone), text_rows_release(&many);
}

#define LONG "the cat sat on the mat "
static void a_text_that_is_too_long_is_left_out_and_counted(void **state)
{
    (void)state;
    struct text_rows r = read_all(the_model(), "the cat\n" LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG "\na dog\n", 64, pools[0]);
    assert_true(r.n == 2 && r.n_failed == 1 && r.item[0] == 0 && r.item[1] == 2);
    assert_non_null(strstr(r.why.msg, "text 2 has"));
    assert_non_null(strstr(r.why.msg, "expected at most 64"));
    text_rows_release(&r);
}

static int stop(void *ctx, const char *what, int64_t done, int64_t all)
{
    (void)ctx, (void)what, (void)all;
    return done >= 2;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    const char *model = the_model();
    struct engine *e = engine(model, 64, pools[0]);
    struct text_lines s = lines(SENTENCES);
    struct text_rows r;
    assert_int_equal(text_rows_model(&r, e, -1, &s, &(struct text_rows_opts){ .pool = pools[0], .progress = stop }, &err), ERR_STOPPED);
    assert_null(r.item);
    text_lines_release(&s);
    engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(likelihoods_and_states_are_those_of_other_readers),
        cmocka_unit_test(a_text_has_the_same_bits_in_any_company),
        cmocka_unit_test(a_text_that_is_too_long_is_left_out_and_counted),
        cmocka_unit_test(it_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
