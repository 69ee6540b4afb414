/* test_train_settings.c - what bad settings, bad text and too large a plan lead to: one clear line each. */
#include "base/mem.h"
#include "tiny_run.h"

/* ---- bad input: one clear line each ---- */

static void bad_settings_and_texts_are_explained(void **state)
{
    (void)state;
    write_text("empty.txt", "");
    write_text("tiny.txt", "too short");
    write_text("latin.txt", "caf\xe9 au lait, and more text so that it is long enough\n");
    static const struct { const char *config; int code; const char *says; } cases[] = {
        { "model: {hidden_size: 32}\ndata: {trian: x.txt}\n", ERR_USAGE, "data.train is missing" },
        { DENSE "data: {train: @one.txt, vocab_sise: 300}\n", ERR_USAGE, "did you mean 'vocab_size'" },
        { DENSE "data: {train: @one.txt}\ntrain: {setps: 5}\n", ERR_USAGE, "did you mean 'steps'" },
        { DENSE "date: {train: @one.txt}\n", ERR_USAGE, "did you mean 'data'" },
        { DENSE "data: {train: @one.txt}\ntrain: {patience: 3, eval_every: 0}\n", ERR_USAGE, "patience counts evaluations" },
        { DENSE "data: {train: @one.txt, tokenizer: bytes}\ntrain: {ctx: 8, warmup: 0, sample_every: 1, sample_prompt: the cat sat on}\n", ERR_USAGE, "sample_prompt has 14 tokens, expected 1 to 7" },
        { DENSE "data: {train: @one.txt}\ntrain: {beta: 0.2}\n", ERR_USAGE, "train.beta would do nothing: it is for objective: dpo" },
        { DENSE "data: {train: @one.txt}\ntrain: {muon_lr: 0.02}\n", ERR_USAGE, "train.muon_lr would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {objective: dpo, eval_tokens: 100}\n", ERR_USAGE, "train.eval_tokens would do nothing: all held-out pairs" },
        { DENSE "data: {train: @one.txt}\nprivacy: {noise_multiplier: 1, delta: 1e-5}\ntrain: {seed: 7, on_spike: stop}\n", ERR_USAGE, "train.on_spike would do nothing: with a section privacy" },
        { DENSE "data: {train: @one.txt}\ntrain: {tensor_parallel: 2, overlap: true}\n", ERR_USAGE, "train.overlap would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {tensor_parallel: 2, save: background}\n", ERR_USAGE, "train.save would do nothing" },
        { MOE "data: {train: @one.txt}\ntrain: {expert_parallel: true, overlap: false}\n", ERR_USAGE, "train.overlap would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {expert_parallel: true}\n", ERR_USAGE, "train.expert_parallel does not fit this model: it has no experts" },
        { MOE "data: {train: @one.txt}\nprivacy: {noise_multiplier: 1, delta: 1e-5}\ntrain: {seed: 7, expert_parallel: true}\n", ERR_UNSUPPORTED, "train.expert_parallel with section privacy" },
        { MOE "data: {train: @one.txt}\ntrain: {router_bias_rate: 0.01}\n", ERR_USAGE, "train.router_bias_rate would do nothing: the model has no e_score_correction_bias" },
        { BALANCED "data: {train: @one.txt}\ntrain: {router_bias_rate: 2}\n", ERR_USAGE, "router_bias_rate" },
        { BALANCED "data: {train: @one.txt}\nprivacy: {noise_multiplier: 1, delta: 1e-5}\ntrain: {seed: 7}\n", ERR_UNSUPPORTED, "loads that have no noise" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 48, e_score_correction_bias: true}\ndata: {train: @one.txt}\n", ERR_FORMAT, "but there are no experts" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, scoring_func: sigmoid, router_z_loss_coef: 0.1}\n"
          "data: {train: @one.txt, tokenizer: bytes}\ntrain: {warmup: 0}\n", ERR_UNSUPPORTED, "a z-loss of a router of sigmoids" },
        { DENSE "data: {train: @one.txt}\ntrain: {recompute: all}\n", ERR_USAGE, "expected one of auto|none|cheap|block" },
        { DENSE "data: {train: @one.txt}\ntrain: {memory: -1}\n", ERR_USAGE, "memory" },
        { DENSE "data: {train: @one.txt}\ntrain: {momentum: 0.9}\n", ERR_USAGE, "train.momentum would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {optimizer: sgd, beta1: 0.9}\n", ERR_USAGE, "train.beta1 would do nothing" },
        { DENSE "data: {train: @one.txt}\ntrain: {optimizer_state: fp16}\n", ERR_USAGE, "expected one of fp32|bf16" },
        { DENSE "data: {train: @one.txt}\ntrain: {on_spike: panic}\n", ERR_USAGE, "expected one of skip|rollback|stop|none" },
        { DENSE "data: {train: @one.txt}\ntrain: {on_spike: rollback, save_every: 0}\n", ERR_USAGE, "there would be no checkpoint to go back to" },
        { DENSE "data: {train: @one.txt}\ntrain: {ema: 1}\n", ERR_USAGE, "ema" },
        { DENSE "data: {train: @one.txt}\ntrain: {save: later}\n", ERR_USAGE, "expected one of background|wait" },
        { DENSE "data: {train: @one.txt}\ntrain: {steps: many}\n", ERR_USAGE, "expected a whole number" },
        { DENSE "data: {train: @one.txt}\ntrain: {schedule: ramp}\n", ERR_USAGE, "expected one of constant|linear|cosine|wsd" },
        { DENSE "data: {train: @one.txt}\ntrain: {steps: 5, steps: 6}\n", ERR_FORMAT, "given twice" },
        { DENSE "data: {train: @one.txt}\ntrain: {batch: 6, accumulate: 2, slices: 8}\n", ERR_USAGE, "train.slices is 8, expected a power of two that divides batch * accumulate, 12" },
        { DENSE "data: {train: @one.txt}\ntrain: {steps: 5, warmup: 6}\n", ERR_USAGE, "train.warmup is 6, more than train.steps, 5" },
        { DENSE "data: {train: @one.txt}\ntrain: {batch: 6, slices: 3}\n", ERR_USAGE, "expected a power of two" },
        { DENSE "data: {train: @missing.txt}\n", ERR_NOTFOUND, "missing.txt" },
        { DENSE "data: {train: @empty.txt}\n", ERR_FORMAT, "is empty" },
        { DENSE "data: {train: @latin.txt}\n", ERR_FORMAT, "not UTF-8: byte 0xe9 at offset 3" },
        { DENSE "data: {train: @tiny.txt, tokenizer: bytes, valid_share: 0}\ntrain: {ctx: 64, warmup: 0}\n", ERR_USAGE, "expected at least one context" },
        { "model: {hidden_size: 30, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 8, norm: rmsnorm, act: gelu, pos: learned}\ndata: {train: @one.txt}\n", ERR_FORMAT, "num_attention_heads is 4, expected a divisor of hidden_size, 30" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, norm: rmsnorm, act: gelu, pos: learned, num_experts: 4, num_experts_per_tok: 5, moe_intermediate_size: 8}\n"
          "data: {train: @one.txt}\n", ERR_RANGE, "num_experts_per_tok is 5, expected 1 to num_experts, 4" },
        { "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 8, num_expert: 4}\ndata: {train: @one.txt}\n", ERR_USAGE,
          "did you mean 'num_experts'" },
        { "model: [1, 2]\ndata: {train: @one.txt}\n", ERR_USAGE, "section 'model'" },
        { "model: {from: /nowhere/at/all}\ndata: {train: @one.txt}\n", ERR_NOTFOUND, "/nowhere/at/all" },
        { "just text\n", ERR_USAGE, "expected the sections" },
        { "model: {a: [\n", ERR_FORMAT, "bad.yaml:" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900], *at = text;
        for (const char *p = cases[i].config; *p; p++)
            if (*p == '@')
                at += sprintf(at, "%s/", test_dir);
            else
                *at++ = *p;
        *at = 0;
        write_text("bad.yaml", text);
        struct train_result r;
        err_clear(&err);
        const int rc = train("bad.yaml", "bad", 1, NULL, &r);
        if (rc >= 0 || (cases[i].code && rc != cases[i].code) || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave %s '%s', expected %s with '%s'", i, err_word(rc), err.msg, err_word(cases[i].code), cases[i].says);
    }
}

static void a_plan_that_does_not_fit_is_refused_with_the_sizes(void **state)
{
    (void)state;
    struct train_result r;
    write_config("huge.yaml", "model: {hidden_size: 32768, num_hidden_layers: 60, num_attention_heads: 256, intermediate_size: 131072, norm: rmsnorm, act: swiglu, pos: rope}\n", "");
    assert_int_equal(train("huge.yaml", "huge", 1, NULL, &r), ERR_NOMEM);
    assert_non_null(strstr(err.msg, "the plan needs"));
    assert_non_null(strstr(err.msg, "is free"));
}

/* The batch that the refusal names is one that is not refused. */
static void the_advice_of_a_refusal_fits(void **state)
{
    (void)state;
    struct train_result r;
    write_config("wide.yaml", DENSE, ", slices: 1");
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("wide.yaml"), 1 << 20, &b, &err));
    char text[2000];
    const char *at = strstr(b.data, "batch: 4");
    snprintf(text, sizeof text, "%.*sbatch: 690000%s", (int)(at - b.data), b.data, at + 8);
    write_text("wide.yaml", text);
    const struct train_opts o = { .config = in_dir("wide.yaml"), .out = in_dir("wide"), .n_thread = 1, .fail_step = -1, .dry_run = true };
    const int rc = train_run(&o, &r, &err);
    if (rc >= 0) {
        buf_release(&b);
        skip();                                     /* a machine with hundreds of GB */
    }
    assert_int_equal(rc, ERR_NOMEM);
    const char *advice = strstr(err.msg, "train.batch: ");
    assert_non_null(advice);
    const long fits = strtol(advice + 13, NULL, 10);
    assert_true(fits > 1000 && fits < 690000);
    const size_t before = mem_available();
    int got[2];
    for (int more = 0; more < 2; more++) {          /* a fifth below fits, a fifth above does not: memory moves meanwhile */
        snprintf(text, sizeof text, "%.*sbatch: %ld%s", (int)(at - b.data), b.data, more ? fits + fits / 5 : fits - fits / 5, at + 8);
        write_text("wide.yaml", text);
        got[more] = train_run(&o, &r, &err);
    }
    buf_release(&b);
    const size_t after = mem_available();
    if (after > before + before / 20 || before > after + after / 20) {
        print_message("SKIPPED: others take and give back too much memory meanwhile\n");
        skip();
    }
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_settings_and_texts_are_explained),
        cmocka_unit_test(a_plan_that_does_not_fit_is_refused_with_the_sizes),
        cmocka_unit_test(the_advice_of_a_refusal_fits),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
