/* test_exposure.c - canaries: sentences that are as told, what ranks say, and a model that has learned some beside one that has not. */
#include <math.h>
#include "infer/exposure.h"
#include "tiny_run.h"

static void canaries_are_the_same_again_and_differ(void **state)
{
    (void)state;
    char a[CANARY_TEXT_MAX], b[CANARY_TEXT_MAX];
    canary_text(7, 3, 0, a);
    canary_text(7, 3, 0, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), strlen("The password of kolami terusa is dibaro sutame lokiba."));
    canary_text(7, 3, 1, b);
    const size_t own = strlen("The password of kolami terusa is ");
    assert_int_equal(strncmp(a, b, own), 0);                 /* a candidate is the same sentence with another secret */
    assert_string_not_equal(a + own, b + own);
    canary_text(7, 4, 0, b);
    assert_int_not_equal(strncmp(a, b, own), 0);
    canary_text(8, 3, 0, b);
    assert_string_not_equal(a, b);
}

static void ranks_are_put_together_as_fisher_has_it(void **state)
{
    (void)state;
    const struct exposure x[3] = { { .p = 0.1 }, { .p = 0.2 }, { .p = 1 } };
    assert_true(fabs(exposure_fisher(x, 1) - 0.1) < 1e-12);
    assert_true(fabs(exposure_fisher(x, 2) - 0.02 * (1 - log(0.02))) < 1e-12);
    assert_true(exposure_fisher(x, 3) > exposure_fisher(x, 2));
    assert_true(exposure_fisher(x, 0) == 1);
    assert_true(fabs(exposure_chance(1) - 0.5) < 1e-12);     /* ranks 1 and 2 of two: 1 and 0 bits */
    assert_true(fabs(exposure_chance(100000) - log2(exp(1))) < 1e-3);
}

#define N_CANARY 6
static void write_data(const char *name, int times)
{
    struct buf b;
    char text[CANARY_TEXT_MAX];
    buf_init(&b);
    for (int i = 0; i < 200; i++) {
        canary_text(99, i, i, text);                         /* others of the kind, each once */
        OK(buf_printf(&b, &err, "{\"text\": \"%s\"}\n", text));
    }
    for (int i = 0; i < times * N_CANARY; i++) {
        canary_text(5, i % N_CANARY, 0, text);
        OK(buf_printf(&b, &err, "{\"text\": \"%s\"}\n", text));
    }
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

static double ask(const char *run, struct exposure x[N_CANARY])
{
    struct engine *e;
    struct pool *pool;
    OK(pool_new(&pool, 1, &err));
    OK(engine_new(&e, in_dir(run), &(struct engine_opts){ .n_slot = 1, .ctx = 64, .step_tokens = 64, .n_logits = 64, .ctx_clip = true }, pool, &err));
    for (int i = 0; i < N_CANARY; i++)
        OK(exposure_of(e, 5, i, 63, NULL, &x[i], &err));
    engine_free(e);
    pool_free(pool);
    return exposure_fisher(x, N_CANARY);
}

static void a_model_that_learned_them_is_told_from_one_that_did_not(void **state)
{
    (void)state;
    struct exposure x[N_CANARY];
    for (int with = 0; with < 2; with++) {
        char text[1000];
        struct train_result r;
        write_data("data.jsonl", with ? 30 : 0);
        snprintf(text, sizeof text, "model: {hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 128}\n"
                 "data: {train: %s, valid_share: 0, tokenizer: bpe, vocab_size: 300}\ntrain: {steps: 200, batch: 8, ctx: 64, lr: 1e-2, warmup: 5, eval_every: 0, save_every: 0, precision: fp32, on_spike: none}\n", in_dir("data.jsonl"));
        write_text("run.yaml", text);
        OK(train("run.yaml", with ? "knows" : "clean", 2, NULL, &r));
        const double p = ask(with ? "knows" : "clean", x);
        print_message("%s: p = %.3g, ranks", with ? "with canaries" : "without", p);
        for (int i = 0; i < N_CANARY; i++) {
            print_message(" %d", x[i].rank);
            assert_true(x[i].rank >= 1 && x[i].rank <= 64 && fabs(x[i].p - x[i].rank / 64.0) < 1e-12 && fabs(x[i].bits + log2(x[i].p)) < 1e-12);
        }
        print_message("\n");
        assert_true(with ? p < 1e-4 : p > 0.01);
    }
}

static void a_stop_is_heeded(void **state)
{
    (void)state;
    struct exposure x;
    struct engine *e;
    struct pool *pool;
    const volatile sig_atomic_t stop = 1;
    OK(pool_new(&pool, 1, &err));
    OK(engine_new(&e, in_dir("clean"), &(struct engine_opts){ .n_slot = 1, .ctx = 64, .step_tokens = 64, .n_logits = 64, .ctx_clip = true }, pool, &err));
    assert_int_equal(exposure_of(e, 5, 0, 63, &stop, &x, &err), ERR_STOPPED);
    engine_free(e);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canaries_are_the_same_again_and_differ),
        cmocka_unit_test(ranks_are_put_together_as_fisher_has_it),
        cmocka_unit_test(a_model_that_learned_them_is_told_from_one_that_did_not),
        cmocka_unit_test(a_stop_is_heeded),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
