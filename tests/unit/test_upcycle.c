/* test_upcycle.c - mixtures of experts that begin from dense models: the family that they are written as, and that they are the same
 * function at first. */
#include <math.h>
#include "../same_config.h"
#include "../test.h"
#include "base/mem.h"
#include "base/pool.h"
#include "train/base.h"
#include "train/upcycle.h"

static struct err err;
static struct pool *pool;

#define GOLDEN "tests/golden/families/"
enum { T = 24 };

struct model { struct config c; struct weights_list *l; struct decoder d; };

static int mixture_of(struct config *c, const char *path, const char *section, struct upcycle *u)
{
    json_t *o = json_loads(section, 0, NULL);
    OK(base_config(c, path, &err));
    upcycle_defaults(u);
    const int rc = upcycle_read(u, o, c, "recipe: upcycle", &err);
    json_decref(o);
    return rc;
}

/* The model at path, as it is or, with u, as a mixture of the configuration that is in m->c. */
static void open_model(struct model *m, const char *path, const struct upcycle *u, enum dtype compute)
{
    if (!u)
        OK(base_config(&m->c, path, &err));
    OK(weights_list_new(&m->l, &m->c, &err));
    OK(decoder_record(&m->d, &m->c, &(struct decoder_opts){ .use = DECODER_LOGITS, .compute = compute }, &err));
    OK(decoder_plan(&m->d, T, 2, 2, NULL, &err));
    OK(decoder_bind(&m->d, pool, NULL, &err));
    OK(base_weights(&m->d, m->l, path, &err));
    if (u)
        OK(upcycle_weights(u, &m->d, m->l, 3, &err));
}

static void close_model(struct model *m)
{
    decoder_release(&m->d);
    weights_list_free(m->l);
}

/* Logits of two sequences. */
static const float *logits_of(struct model *m)
{
    static const int32_t start[] = { 0, 15, T };
    const struct step s = { .T = T, .S = 2, .seq_start = start };
    for (int i = 0; i < T; i++) {
        ((int32_t *)m->d.g->tensor[m->d.ids].data)[i] = (int32_t)(i * i * 7 % m->c.vocab_size);
        ((int32_t *)m->d.g->tensor[m->d.pos].data)[i] = i < 15 ? i : i - 15;
    }
    graph_run(m->d.g, PASS_PREPARE, &s);
    graph_run(m->d.g, PASS_FORWARD, &s);
    return m->d.g->tensor[m->d.logits].data;
}

static double difference(const float *a, const float *b, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++)
        diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]), norm += (double)b[i] * (double)b[i];
    return sqrt(diff / norm);
}

/* Relative distance of the mixture's logits from the dense model's; *used: experts with tokens in the first layer. */
static double distance(const char *path, const char *section, enum dtype compute, enum family family, int *used)
{
    struct model dense, mixture;
    struct upcycle u;
    OK(mixture_of(&mixture.c, path, section, &u));
    if (mixture.c.family != family)
        fail_msg("%s became %s, expected %s", path, family_name(mixture.c.family), family_name(family));
    open_model(&dense, path, NULL, compute);
    open_model(&mixture, path, &u, compute);
    const int64_t n = (int64_t)T * dense.c.vocab_size;
    const double d = difference(logits_of(&mixture), logits_of(&dense), n);
    const double *load = mixture.d.g->tensor[mixture.d.stats[0]].data;
    *used = 0;
    for (int e = 0; e < mixture.c.n_expert; e++)
        *used += load[e] > 0;
    assert_int_equal(mixture.d.n_stats, dense.c.n_layer);
    close_model(&mixture);
    close_model(&dense);
    return d;
}

static const struct { const char *path; enum family family; bool norm_after; } bases[] = {
    { GOLDEN "llama_llama3", FAMILY_MIXTRAL, false }, { GOLDEN "llama_yarn_tied", FAMILY_MIXTRAL, false }, { GOLDEN "mistral_window", FAMILY_MIXTRAL, false }, { "tests/golden/llama", FAMILY_MIXTRAL, false },
    { GOLDEN "qwen3_yarn_tied", FAMILY_QWEN3_MOE, false }, { GOLDEN "qwen3_window", FAMILY_LATHE_GPT, false }, { GOLDEN "gemma", FAMILY_LATHE_GPT, false }, { GOLDEN "gemma2", FAMILY_LATHE_GPT, true },
    { GOLDEN "gemma3_text", FAMILY_LATHE_GPT, true }, { GOLDEN "olmo2", FAMILY_LATHE_GPT, true }, { GOLDEN "olmo_clip", FAMILY_LATHE_GPT, false }, { GOLDEN "smollm3_tied", FAMILY_LATHE_GPT, false },
    { GOLDEN "phi3_longrope", FAMILY_LATHE_GPT, false }, { GOLDEN "qwen2_window", FAMILY_LATHE_GPT, false }, { "tests/golden/lathe_gpt", FAMILY_LATHE_GPT, false },
    { GOLDEN "gpt2", FAMILY_LATHE_GPT, false }, { GOLDEN "gpt_neox", FAMILY_LATHE_GPT, false }, { GOLDEN "gpt_neox_serial_tied", FAMILY_LATHE_GPT, false },
    { GOLDEN "llama_tied_biases", FAMILY_LATHE_GPT, false },
};
#define N_BASE (sizeof bases / sizeof *bases)

static void a_mixture_of_any_family_begins_as_the_same_function(void **state)
{
    (void)state;
    int used;
    for (size_t i = 0; i < N_BASE; i++) {
        const double d = distance(bases[i].path, "{\"num_experts\": 5, \"num_experts_per_tok\": 3, \"router_std\": 0.5}", DT_F32, bases[i].family, &used);
        if (!(d <= 1e-6) || used < 4)
            fail_msg("%s: logits differ by %.3g, %d experts are used", bases[i].path, d, used);
    }
}

/* One expert's gate is 1, two that are chosen alike have a half each: where the stream is added after a norm, not even rounding differs
 * then.  Elsewhere a dense MLP's last sum begins with the stream, and a mixture's ends with it. */
static void gates_that_sum_to_one_exactly_give_the_same_bits(void **state)
{
    (void)state;
    static const char *const exact[] = { "{\"num_experts_per_tok\": 1, \"router_std\": 0.5}", "{\"num_experts_per_tok\": 2, \"router_std\": 0}" };
    int used;
    for (size_t i = 0; i < N_BASE; i++)
        for (int k = 0; k < 2; k++)
            for (int b16 = 0; b16 < 2 && bases[i].norm_after; b16++) {
                const double d = distance(bases[i].path, exact[k], b16 ? DT_BF16 : DT_F32, bases[i].family, &used);
                if (d != 0)
                    fail_msg("%s, %s, %s: logits differ by %.3g", bases[i].path, exact[k], b16 ? "bf16" : "fp32", d);
            }
}

/* What is written is read again as the same mixture. */
static void the_configuration_survives_its_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_BASE; i++) {
        struct config c, again;
        struct upcycle u;
        struct buf text, warnings;
        OK(mixture_of(&c, bases[i].path, "{\"num_experts\": 4}", &u));
        buf_init(&text);
        buf_init(&warnings);
        OK(config_write(&c, &text, &err));
        OK(config_parse(&again, text.data, text.len, "again", &warnings, &err));
        if (warnings.len || !same_config(&c, &again))
            fail_msg("%s: %s\n%s", bases[i].path, warnings.data, text.data);
        buf_release(&text);
        buf_release(&warnings);
    }
}

static void hidden_units_are_drawn_anew_as_asked(void **state)
{
    (void)state;
    struct model m[2];
    struct upcycle u;
    for (int i = 0; i < 2; i++) {
        OK(mixture_of(&m[i].c, "tests/golden/llama", i ? "{\"num_experts\": 6, \"redraw\": 0.5}" : "{\"num_experts\": 6}", &u));
        open_model(&m[i], "tests/golden/llama", &u, DT_F32);
    }
    const int64_t E = 6, F = m[0].c.d_ff_expert, C = m[0].c.d_model;
    int n_seen = 0;
    for (int i = 0; i < m[0].l->n_weight; i++) {
        const struct weight *w = &m[0].l->weight[i];
        const float *a = decoder_weight(&m[0].d, i), *b = decoder_weight(&m[1].d, i);
        if (!strstr(w->name, "0.experts.down")) {
            if (!strstr(w->name, ".experts."))
                assert_memory_equal(a, b, (size_t)w->n * sizeof *a);
            continue;
        }
        n_seen++;
        int n_new = 0;
        double square[2] = { 0, 0 };
        const float *up_a = decoder_weight(&m[0].d, i - 1), *up_b = decoder_weight(&m[1].d, i - 1);
        for (int64_t e = 0; e < E; e++)
            for (int64_t f = 0; f < F; f++) {
                int n = 0;
                for (int64_t r = 0; r < C; r++)
                    n += a[(e * C + r) * F + f] != b[(e * C + r) * F + f];
                assert_true(n == 0 || n == C);
                for (int part = 0; part < 2; part++) {
                    const size_t row = (size_t)((e * 2 + part) * F + f) * (size_t)C;
                    assert_int_equal(memcmp(up_a + row, up_b + row, (size_t)C * sizeof *a) != 0, n > 0);
                }
                n_new += n > 0;
            }
        for (int64_t k = 0; k < w->n; k++)
            square[0] += (double)(a[k] * a[k]), square[1] += (double)(b[k] * b[k]);
        assert_true(n_new > E * F * 0.4 && n_new < E * F * 0.6);
        assert_true(fabs(square[1] / square[0] - 1) < 0.1);
    }
    assert_int_equal(n_seen, 1);
    close_model(&m[0]);
    close_model(&m[1]);
}

static void what_cannot_become_a_mixture_says_why(void **state)
{
    (void)state;
    static const struct { const char *path, *section; int code; const char *says; } cases[] = {
        { "tests/golden/mixtral", "{}", ERR_USAGE, "the model has 4 experts already" },
        { GOLDEN "bert", "{}", ERR_UNSUPPORTED, "bert is no model that writes text" },
        { "tests/golden/vit", "{}", ERR_UNSUPPORTED, "vit is no model that writes text" },
        { "tests/golden/llama", "{\"num_experts_per_tok\": 9}", ERR_USAGE, "num_experts_per_tok is 9, expected at most num_experts, 8" },
        { "tests/golden/llama", "{\"num_experts\": 1}", ERR_USAGE, "num_experts" },
        { "tests/golden/llama", "{\"redraw\": 2}", ERR_USAGE, "redraw" },
        { "tests/golden/llama", "{\"experts\": 8}", ERR_USAGE, "unknown key" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        struct upcycle u;
        const int rc = mixture_of(&c, cases[i].path, cases[i].section, &u);
        if (rc != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave %s '%s'", i, err_word(rc), err.msg);
    }
}

int main(void)
{
    if (pool_new(&pool, 2, &err) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mixture_of_any_family_begins_as_the_same_function),
        cmocka_unit_test(gates_that_sum_to_one_exactly_give_the_same_bits),
        cmocka_unit_test(the_configuration_survives_its_file),
        cmocka_unit_test(hidden_units_are_drawn_anew_as_asked),
        cmocka_unit_test(what_cannot_become_a_mixture_says_why),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return failed;
}
