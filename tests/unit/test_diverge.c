/* test_diverge.c - two models compared give what their logits say, as torch and numpy have it, a model compared with itself gives nothing, and
 * a file of predictions what its 16 bits hold. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/diverge.h"
#include "infer/score.h"
#include "model/convert.h"

static struct pool *pool;
static struct err err;
static struct engine *f32, *half;
enum { N = 50, CTX = 16, BOS = 1 };
static int32_t ids[N];

static struct diverge_opts windows(int32_t bos) { return (struct diverge_opts){ .ctx = CTX, .bos = bos, .cluster = -1, .pool = pool }; }

static struct diverge_summary summary_of(const struct diverge *d)
{
    struct diverge_summary s;
    OK(diverge_summarize(&s, d, &err));
    return s;
}

static void a_model_is_equal_to_itself(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        struct diverge d = { 0 };
        struct diverge_opts o = windows(form == 1 ? BOS : -1);
        o.half = form == 2;
        OK(diverge_models(&d, f32, f32, ids, N, &o, &err));
        assert_int_equal(d.n, form == 0 ? N : form == 1 ? N + 4 : N / CTX * (CTX / 2 - 1));
        const struct diverge_summary s = summary_of(&d);
        assert_true(s.kl.mean == 0 && s.kl.max == 0 && s.kl_back.mean == 0 && s.kl_back.max == 0 && s.same_top == 1);
        assert_true(s.nll_old == s.nll_new && s.nll_old > 0 && s.log_ratio == 0 && s.dp == 0 && s.dp_rms == 0);
        diverge_release(&d);
    }
}

static void softmax(const float *logits, int V, double *p)
{
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += p[i] = exp((double)logits[i]);
    for (int i = 0; i < V; i++)
        p[i] /= sum;
}

static int best_of(const double *p, int V)
{
    int best = 0;
    for (int i = 1; i < V; i++)
        best = p[i] > p[best] ? i : best;
    return best;
}

/* Each row from logits of one token after the other, in windows that begin with bos. */
static void another_is_as_far_as_its_logits_say(void **state)
{
    (void)state;
    struct diverge d = { 0 };
    const struct diverge_opts o = windows(BOS);
    const int V = engine_config(f32)->vocab_size;
    double *p = malloc((size_t)V * sizeof *p), *r = malloc((size_t)V * sizeof *r), most = 0;
    size_t n = 0;
    OK(diverge_models(&d, f32, half, ids, N, &o, &err));
    for (int at = 0; at < N; at += CTX - 1)
        for (int i = 0; i < CTX && at + i <= N; i++, n++) {
            const struct diverge_row *row = &d.row[n];
            const int32_t id = i ? ids[at + i - 1] : BOS;
            const float *a, *b;
            double kl = 0, back = 0;
            OK(engine_feed(f32, 0, i, &id, 1, &a, &err));
            softmax(a, V, p);
            OK(engine_feed(half, 0, i, &id, 1, &b, &err));
            softmax(b, V, r);
            for (int k = 0; k < V; k++)
                kl += p[k] * log(p[k] / r[k]), back += r[k] * log(r[k] / p[k]);
            most = kl > most ? kl : most;
            assert_true(fabs(row->kl - kl) < 1e-12 && fabs(row->kl_back - back) < 1e-12);
            assert_int_equal(row->top_old, best_of(p, V));
            assert_int_equal(row->top_new, best_of(r, V));
            assert_int_equal(row->window, at / (CTX - 1));
            assert_int_equal(row->cluster, row->window);
            assert_int_equal(row->at, at + i - 1);
            assert_int_equal(row->id, i + 1 < CTX && at + i < N ? ids[at + i] : -1);
            assert_true(row->id < 0 ? isnan(row->logp_old) && isnan(row->logp_new) :
                        fabs(row->logp_old - log(p[row->id])) < 1e-12 && fabs(row->logp_new - log(r[row->id])) < 1e-12);
        }
    assert_int_equal(d.n, n);
    assert_true(most > 0);
    diverge_release(&d);
    free(p);
    free(r);
}

static void rows_do_not_depend_on_how_many_are_compared_at_once(void **state)
{
    (void)state;
    struct engine *one[2];
    const struct engine_opts eo = { .n_slot = 1, .step_tokens = 5, .n_logits = 1, .no_tok = true };
    struct diverge a = { 0 }, b = { 0 };
    const struct diverge_opts o = windows(-1);
    OK(engine_new(&one[0], "tests/golden/llama", &eo, pool, &err));
    OK(engine_new(&one[1], test_dir, &eo, pool, &err));
    OK(diverge_models(&a, f32, half, ids, N, &o, &err));
    OK(diverge_models(&b, one[0], one[1], ids, N, &o, &err));
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {                       /* field by field: what lies between them is anything */
        const struct diverge_row *x = &a.row[i], *y = &b.row[i];
        assert_memory_equal(&x->kl, &y->kl, offsetof(struct diverge_row, window) + sizeof x->window);
        assert_true(x->at == y->at && x->cluster == y->cluster);
    }
    diverge_release(&a);
    diverge_release(&b);
    engine_free(one[0]);
    engine_free(one[1]);
}

static void texts_are_appended_and_may_be_clusters(void **state)
{
    (void)state;
    struct diverge d = { 0 };
    struct diverge_opts o = windows(-1);
    OK(diverge_models(&d, f32, half, ids, 20, &o, &err));
    OK(diverge_models(&d, f32, half, ids, 20, &o, &err));
    assert_int_equal(d.row[39].cluster, 3);
    o.cluster = 9;
    OK(diverge_models(&d, f32, half, ids, 20, &o, &err));
    assert_true(d.n == 60 && d.row[40].cluster == 9 && d.row[59].cluster == 9 && d.row[59].window == 1);
    assert_int_equal(summary_of(&d).n_cluster, 5);
    diverge_release(&d);
}

static int stop_at_once(void *ctx, size_t n_read, size_t n_all)
{
    *(size_t *)ctx = n_read;
    return n_all == N;
}

static void what_cannot_be_compared_is_refused(void **state)
{
    (void)state;
    struct diverge d = { 0 };
    struct diverge_opts o = windows(-1);
    size_t n_read = 0;
    assert_int_equal(diverge_models(&d, f32, half, ids, 1, &o, &err), ERR_RANGE);
    o.half = true;
    assert_int_equal(diverge_models(&d, f32, half, ids, CTX - 1, &o, &err), ERR_RANGE);
    o.half = false, o.ctx = 1;
    assert_int_equal(diverge_models(&d, f32, half, ids, N, &o, &err), ERR_RANGE);
    o.ctx = 1 << 20;
    assert_int_equal(diverge_models(&d, f32, half, ids, N, &o, &err), ERR_RANGE);
    assert_int_equal(diverge_summarize(&(struct diverge_summary){ 0 }, &d, &err), ERR_RANGE);
    o = windows(-1), o.progress = stop_at_once, o.progress_ctx = &n_read;
    OK(diverge_models(&d, f32, half, ids, N, &o, &err));
    assert_true(n_read == CTX && d.n == CTX);
    diverge_release(&d);
}

/* ---- torch and numpy ---- */

static void near(const json_t *g, const char *key, double got)
{
    const double want = json_number_value(json_object_get(g, key));
    if (!(fabs(got - want) <= 1e-9 * fabs(want) + 1e-14))
        fail_msg("%s: %.17g, expected %.17g", key, got, want);
}

static void near_all(const json_t *g, const char *key, const double *got)
{
    const json_t *list = json_object_get(g, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const double want = json_number_value(json_array_get(list, i));
        if (!(fabs(got[i] - want) <= 1e-9 * fabs(want) + 1e-14))
            fail_msg("%s %zu: %.17g, expected %.17g", key, i, got[i], want);
    }
}

static void near_spread(const json_t *g, const char *key, const struct diverge_spread *s)
{
    const json_t *of = json_object_get(g, key);
    near(of, "mean", s->mean);
    near(of, "se", s->se);
    near(of, "max", s->max);
    near_all(of, "quantile", s->quantile);
}

static void divergences_are_those_of_torch_and_numpy(void **state)
{
    (void)state;
    json_t *g;
    OK(tree_load(&g, "tests/golden/diverge.json", 1 << 20, &err));
    const int V = (int)json_integer_value(json_object_get(g, "V"));
    const size_t n = json_array_size(json_object_get(g, "ids"));
    struct diverge d = { calloc(n, sizeof *d.row), n, n };
    float *x = malloc(2 * (size_t)V * sizeof *x), *y = x + V;
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < V; k++) {
            x[k] = (float)json_number_value(json_array_get(json_array_get(json_object_get(g, "old"), i), (size_t)k));
            y[k] = (float)json_number_value(json_array_get(json_array_get(json_object_get(g, "new"), i), (size_t)k));
        }
        d.row[i].id = (int32_t)json_integer_value(json_array_get(json_object_get(g, "ids"), i));
        d.row[i].cluster = (int32_t)json_integer_value(json_array_get(json_object_get(g, "cluster"), i));
        diverge_row(&d.row[i], x, false, y, V);
        for (size_t k = 0; k < 2; k++) {
            const double want = json_number_value(json_array_get(json_array_get(json_object_get(g, "each"), i), k)), got = k ? d.row[i].kl_back : d.row[i].kl;
            if (!(fabs(got - want) <= 1e-9 * want + 1e-14))
                fail_msg("row %zu, direction %zu: %.17g, expected %.17g", i, k, got, want);
        }
    }
    const struct diverge_summary s = summary_of(&d);
    near_spread(g, "kl", &s.kl);
    near_spread(g, "kl_back", &s.kl_back);
    near_all(g, "dp_quantile", s.dp_quantile);
    const struct { const char *key; double got; } of[] = {
        { "same_top", s.same_top }, { "same_top_se", s.same_top_se }, { "dp", s.dp }, { "dp_se", s.dp_se }, { "dp_rms", s.dp_rms },
        { "nll_old", s.nll_old }, { "nll_new", s.nll_new }, { "log_ratio", s.log_ratio }, { "log_ratio_se", s.log_ratio_se },
        { "log_ratio_se_tokens", s.log_ratio_se_tokens }, { "correlation", s.correlation },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        near(g, of[i].key, of[i].got);
    free(x);
    free(d.row);
    json_decref(g);
}

static void a_single_cluster_has_no_error(void **state)
{
    (void)state;
    struct diverge_row row[2] = { { .kl = 1, .kl_back = 2, .id = -1, .logp_old = NAN, .logp_new = NAN }, { .kl = 3, .kl_back = 2, .id = -1, .logp_old = NAN, .logp_new = NAN } };
    const struct diverge_summary s = summary_of(&(struct diverge){ row, 2, 2 });
    assert_true(s.kl.mean == 2 && isnan(s.kl.se) && s.n_target == 0 && s.kl.quantile[0] == 2);
}

/* ---- a file of predictions ---- */

static void save(struct engine *e, const char *path)
{
    struct logprobs l;
    struct score s;
    struct score_opts o = { .convention = SCORE_LLAMACPP, .ctx = CTX, .begin = BOS, .add_bos = true, .logits = logprobs_add, .logits_ctx = &l };
    OK(logprobs_begin(&l, path, CTX, engine_config(e)->vocab_size, ids, N / CTX, &err));
    OK(score_tokens(e, ids, N, &o, NULL, NULL, &s, &err));
    OK(logprobs_commit(&l, &err));
}

/* Rounded to 16 bits of 16 nats: half a step is 1.2e-4, of either sign, so that sums over the vocabulary are smaller. */
static void a_file_says_what_the_model_did(void **state)
{
    (void)state;
    struct logprobs_reader r;
    struct diverge a = { 0 }, b = { 0 };
    struct diverge_opts o = windows(BOS);
    save(f32, in_dir("f32.kld"));
    for (int other = 0; other < 2; other++) {
        struct engine *e = other ? half : f32;
        o.half = true;
        a.n = b.n = 0;
        OK(diverge_models(&a, f32, e, ids, N, &o, &err));
        OK(logprobs_open(&r, in_dir("f32.kld"), &err));
        assert_true(r.ctx == CTX && r.n_window == N / CTX && r.V == engine_config(f32)->vocab_size && !memcmp(r.ids, ids, sizeof *ids * (N / CTX * CTX)));
        OK(diverge_file(&b, &r, e, &o, &err));
        assert_int_equal(r.n_left, 0);
        assert_int_equal(a.n, b.n);
        for (size_t i = 0; i < a.n; i++) {
            assert_true(fabs(a.row[i].kl - b.row[i].kl) < 1e-5 && fabs(a.row[i].kl_back - b.row[i].kl_back) < 1e-5);
            assert_true(fabs(a.row[i].logp_old - b.row[i].logp_old) < 1.3e-4 && a.row[i].logp_new == b.row[i].logp_new);
            assert_true(a.row[i].id == b.row[i].id && a.row[i].at == b.row[i].at && a.row[i].window == b.row[i].window && a.row[i].top_new == b.row[i].top_new);
        }
        assert_true(fabs(summary_of(&a).kl.mean - summary_of(&b).kl.mean) < 3e-6);
        logprobs_close(&r);
    }
    diverge_release(&a);
    diverge_release(&b);
}

static int set_up(void **state)
{
    const struct engine_opts o = { .n_slot = 1, .step_tokens = 7, .n_logits = 3, .no_tok = true };
    struct convert c = { .mix = mix_find("f16") };
    struct source *s;
    struct buf b;
    buf_init(&b);
    if (make_dir(state) || pool_new(&pool, 2, &err) || source_open(&s, "tests/golden/llama", &err))
        return -1;
    c.pool = pool;
    int rc = convert_safetensors(s, in_dir("model.safetensors"), &c, &err);
    source_free(s);
    rc = rc || file_read("tests/golden/llama/config.json", 1 << 20, &b, &err) || file_write_all(in_dir("config.json"), b.data, b.len, &err) ||
         engine_new(&f32, "tests/golden/llama", &o, pool, &err) || engine_new(&half, test_dir, &o, pool, &err);
    buf_release(&b);
    for (int i = 0; i < N; i++)
        ids[i] = 3 + i * i * 7 % 41;
    if (rc)
        print_message("%s\n", err.msg);
    return rc;
}

static int tear_down(void **state)
{
    engine_free(f32);
    engine_free(half);
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_equal_to_itself),
        cmocka_unit_test(another_is_as_far_as_its_logits_say),
        cmocka_unit_test(rows_do_not_depend_on_how_many_are_compared_at_once),
        cmocka_unit_test(texts_are_appended_and_may_be_clusters),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(divergences_are_those_of_torch_and_numpy),
        cmocka_unit_test(a_single_cluster_has_no_error),
        cmocka_unit_test(a_file_says_what_the_model_did),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
