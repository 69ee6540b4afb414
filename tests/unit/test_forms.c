/* test_forms.c - training runs on records: the same bits with other threads and after a stop, every token weighs the same whatever
 * batch it is in, epochs become steps, the folder is a model to chat with, and settings that do not fit are explained. */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/tree.h"
#include "model/chat.h"
#include "train/config.h"
#include "train/loop.h"

static struct err err;

#define MODEL "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 48, norm: rmsnorm, act: swiglu, pos: rope}\n"
#define MOE "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: rmsnorm, act: swiglu, pos: rope, " \
            "router_aux_loss_coef: 0.01}\n"

/* Conversations of very different lengths, of whose tokens very different shares are learned. */
static int set_up(void **state)
{
    struct buf b;
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    buf_init(&b);
    for (int i = 0; i < 60; i++) {
        OK(buf_add_str(&b, "{\"messages\": [", &err));
        for (int k = 0; k <= i % 3; k++) {
            OK(buf_printf(&b, &err, "%s{\"role\": \"user\", \"content\": \"say %d", k ? ", " : "", i * (k + 1)));
            for (int w = 0; w < i % 7; w++)
                OK(buf_add_str(&b, " please", &err));
            OK(buf_printf(&b, &err, "\"}, {\"role\": \"assistant\", \"content\": \"%d", i));
            for (int w = 0; w < i * 5 % 11; w++)
                OK(buf_printf(&b, &err, " and %d", w));
            OK(buf_add_str(&b, "\"}", &err));
        }
        OK(buf_add_str(&b, "]}\n", &err));
    }
    OK(file_write_all(in_dir("chat.jsonl"), b.data, b.len, &err));
    buf_release(&b);
    put_in_dir("template.jinja", "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.role == 'assistant' %}<|endoftext|>{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}");
    put_in_dir("pairs.jsonl", "{\"prompt\": \"a\", \"chosen\": \" b\", \"rejected\": \" c\"}\n{\"prompt\": \"c\", \"chosen\": \" d\", \"rejected\": \" e\"}\n");
    put_in_dir("one.jsonl", "{\"prompt\": \"the only\", \"completion\": \" record there is\"}\n");
    put_in_dir("docs.jsonl", "{\"text\": \"some words to learn, and some more words to learn\"}\n{\"text\": \"more words\"}\n{\"text\": \"and other words to learn at the end\"}\n");
    put_in_dir("plain.txt", "some plain text, long enough to be learned from, and some more plain text, long enough to be learned from\n");
    return 0;
}

static int run(const char *name, const char *config, int n_thread, volatile sig_atomic_t *stop, struct train_result *r)
{
    char text[2000], *at = text, file[60];
    for (const char *p = config; *p; p++)
        if (*p == '@')
            at += sprintf(at, "%s/", test_dir);
        else
            *at++ = *p;
    *at = 0;
    snprintf(file, sizeof file, "%s.yaml", name);
    put_in_dir(file, text);
    const struct train_opts o = { .config = in_dir(file), .out = in_dir(name), .n_thread = n_thread, .stop = stop, .fail_step = -1 };
    return train_run(&o, r, &err);
}

static const char *digest(const char *out)
{
    static char hex[4][SHA256_HEX];
    static int i;
    char name[100];
    i = (i + 1) % 4;
    snprintf(name, sizeof name, "%s/model.safetensors", out);
    OK(sha256_of_file(in_dir(name), hex[i], &err));
    return hex[i];
}

#define CHAT "data: {train: @chat.jsonl, template: @template.jinja, vocab_size: 300, valid_share: 0.1}\n"

static void a_run_on_chats_has_the_same_bits_with_other_threads_and_after_a_stop(void **state)
{
    (void)state;
    static const char *const models[] = { MODEL CHAT, MOE CHAT };
    for (int i = 0; i < 2; i++) {
        char config[1500];
        struct train_result r, again;
        snprintf(config, sizeof config, "%strain: {epochs: 2, batch: 2, ctx: 320, lr: 3e-3, eval_every: 3, save_every: 4, precision: %s}\n", models[i], i ? "bf16" : "fp32");
        OK(run("one", config, 1, NULL, &r));
        assert_true(r.steps > 4 && isfinite(r.valid_loss) && r.loss < 5.7 && r.tokens < r.steps * 640);
        OK(run("two", config, 2, NULL, &again));
        assert_string_equal(digest("one"), digest("two"));
        volatile sig_atomic_t stop = 1;
        int n = 0;
        while (run("stopped", config, 1, &stop, &again) == ERR_STOPPED)
            assert_true(++n < 100);
        assert_int_equal(n, r.steps - 1);
        assert_string_equal(digest("one"), digest("stopped"));
        struct chat *c;
        OK(chat_load(&c, in_dir("one"), NULL, &err));
        chat_free(c);
        for (int k = 0; k < 3; k++)
            OK(file_remove_tree(in_dir(k == 0 ? "one" : k == 1 ? "two" : "stopped"), &err));
    }
}

/* The first line of metrics that has a loss. */
static void first_step(const char *out, double *loss, double *norm)
{
    char name[100];
    struct buf b;
    json_t *o;
    buf_init(&b);
    snprintf(name, sizeof name, "%s/metrics.jsonl", out);
    OK(file_read(in_dir(name), 1 << 20, &b, &err));
    *strchr(b.data, '\n') = 0;
    OK(tree_parse_json(&o, b.data, strlen(b.data), name, &err));
    *loss = json_number_value(json_object_get(o, "loss")), *norm = json_number_value(json_object_get(o, "grad_norm"));
    json_decref(o);
    buf_release(&b);
}

static void every_token_weighs_the_same_whatever_batch_it_is_in(void **state)
{
    (void)state;
    static const char *const how[] = { "batch: 8, slices: 1", "batch: 1, accumulate: 8, slices: 1", "batch: 2, accumulate: 4, slices: 8", "batch: 4, accumulate: 2, slices: 2" };
    double loss[4], norm[4];
    for (int i = 0; i < 4; i++) {
        char config[1500], name[20];
        struct train_result r;
        snprintf(config, sizeof config, "%sdata: {train: @chat.jsonl, template: @template.jinja, vocab_size: 300, valid_share: 0, pack: false}\ntrain: {steps: 1, warmup: 0, ctx: 320, precision: fp32, %s}\n",
                 MODEL, how[i]);
        snprintf(name, sizeof name, "weigh-%d", i);
        OK(run(name, config, 2, NULL, &r));
        first_step(name, &loss[i], &norm[i]);
        assert_true(loss[i] > 1 && norm[i] > 0);
        assert_true(fabs(loss[i] / loss[0] - 1) < 1e-7 && fabs(norm[i] / norm[0] - 1) < 1e-5);
    }
}

static void epochs_become_steps(void **state)
{
    (void)state;
    struct train_result r;
    OK(run("epochs", MODEL "data: {train: @one.jsonl, vocab_size: 300}\ntrain: {epochs: 3, batch: 1, ctx: 64, precision: fp32}\n", 1, NULL, &r));
    assert_int_equal(r.steps, 3);
    assert_true(isnan(r.valid_loss));                /* of one record none is held out */
    OK(run("half", MODEL "data: {train: @chat.jsonl, template: @template.jinja, vocab_size: 300, pack: false, valid_share: 0}\ntrain: {epochs: 0.5, batch: 4, ctx: 320, precision: fp32}\n", 1, NULL, &r));
    assert_int_equal(r.steps, 8);                    /* 60 windows / 4 / 2, rounded up */
    OK(run("text", MODEL "data: {train: @docs.jsonl, tokenizer: bytes, valid_share: 0}\ntrain: {epochs: 2, batch: 1, ctx: 16, precision: fp32}\n", 1, NULL, &r));
    assert_true(r.steps >= 8 && isfinite(r.loss));
}

static void the_first_batch_of_every_form_is_shown(void **state)
{
    (void)state;
    static const char *const configs[] = {
        MODEL CHAT "train: {batch: 2, ctx: 320}\n",
        MODEL "data: {train: @pairs.jsonl, vocab_size: 300}\ntrain: {batch: 1, ctx: 64}\n",
        MODEL "data: {train: @docs.jsonl, vocab_size: 300}\ntrain: {batch: 1, ctx: 8}\n",
        MODEL "data: {train: @plain.txt, tokenizer: bytes, valid_share: 0}\ntrain: {batch: 1, ctx: 8}\n",
    };
    for (int i = 0; i < 4; i++) {
        char text[2000], *at = text;
        for (const char *p = configs[i]; *p; p++)
            at += *p == '@' ? sprintf(at, "%s/", test_dir) : (*at = *p, 1);
        *at = 0;
        put_in_dir("dry.yaml", text);
        struct train_result r;
        const struct train_opts o = { .config = in_dir("dry.yaml"), .out = in_dir("dry"), .n_thread = 1, .fail_step = -1, .dry_run = true };
        if (i == 1)                              /* shown, and then told what the run would say */
            assert_int_equal(train_run(&o, &r, &err), ERR_USAGE);
        else
            OK(train_run(&o, &r, &err));
    }
}

/* Every recipe has only keys that there are, also with a model to go on from. */
static void recipes_are_understood(void **state)
{
    (void)state;
    char **names;
    int n, n_recipe = 0;
    struct train_result r;
    OK(run("base", "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 48, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 512}\n"
           "data: {train: @plain.txt, tokenizer: bytes, valid_share: 0}\ntrain: {steps: 1, warmup: 0, batch: 1, ctx: 16}\n", 1, NULL, &r));
    OK(file_list("recipes", &names, &n, &err));
    for (int i = 0; i < n; i++) {
        struct train_config c;
        struct buf text, own;
        buf_init(&text), buf_init(&own);
        OK(file_read(path_in("recipes", names[i]), 1 << 20, &text, &err));
        const char *from = strstr(text.data, "from: base ");
        if (from)
            OK(buf_printf(&own, &err, "%.*sfrom: %s%s", (int)(from - text.data), text.data, in_dir("base"), from + 10));
        put_in_dir("recipe.yaml", from ? own.data : text.data);
        if (train_config_load(&c, in_dir("recipe.yaml"), &err) < 0)
            fail_msg("recipes/%s: %s", names[i], err.msg);
        train_config_release(&c);
        buf_release(&text), buf_release(&own);
        n_recipe++;
    }
    file_list_free(names, n);
    assert_true(n_recipe >= 4);
}

static void settings_that_do_not_fit_the_data_are_explained(void **state)
{
    (void)state;
    static const struct { const char *config; int code; const char *says; } cases[] = {
        { "data: {train: @plain.txt, too_long: skip}\n", ERR_USAGE, "data.too_long says nothing about data of the form plain" },
        { "data: {train: @plain.txt, pack: true}\n", ERR_USAGE, "data.pack says nothing" },
        { "data: {train: @docs.jsonl, template: @template.jinja}\n", ERR_USAGE, "data.template says nothing about data of the form text" },
        { "data: {train: @pairs.jsonl, too_long: cut}\n", ERR_USAGE, "does not go with the form preference" },
        { "data: {train: @pairs.jsonl, vocab_size: 300}\ntrain: {batch: 1}\n", ERR_USAGE, "pairs of answers" },
        { "data: {train: @chat.jsonl, vocab_size: 300}\n", ERR_USAGE, "chat.jsonl:1: messages need a chat template" },
        { "data: {train: @chat.jsonl, form: charts}\n", ERR_USAGE, "expected one of auto|plain|text|chat|completion|preference" },
        { "data: {train: [@chat.jsonl, @docs.jsonl]}\n", ERR_FORMAT, "expected one form for all files" },
        { "data: {train: @one.jsonl, valid: @docs.jsonl}\n", ERR_FORMAT, "data.valid of the form text" },
        { "data: {train: @chat.jsonl, template: @nowhere.jinja}\n", ERR_NOTFOUND, "nowhere.jinja" },
        { "data: {train: @chat.jsonl, template: @template.jinja, vocab_size: 300}\ntrain: {ctx: 16, batch: 1}\n", ERR_RANGE, "are longer than a window of 16 tokens" },
        { "data: {train: @one.jsonl, vocab_size: 300, fields: completion=answer}\n", ERR_FORMAT, "no record's members" },
        { "data: {train: @chat.jsonl}\ntrain: {steps: 5, epochs: 1}\n", ERR_USAGE, "steps and epochs" },
        { "data: {train: @one.jsonl, vocab_size: 300}\ntrain: {epochs: 1, warmup: 9, batch: 1, ctx: 64}\n", ERR_USAGE, "train.warmup is 9, more than the 1 steps" },
        { "data: {train: @chat.jsonl, template: @template.jinja, vocab_size: 300, too_long: skip}\ntrain: {ctx: 4, batch: 1}\n", ERR_FORMAT, "no record to learn from" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char config[1500];
        struct train_result r;
        snprintf(config, sizeof config, "%s%s", MODEL, cases[i].config);
        err_clear(&err);
        const int rc = run("bad", config, 1, NULL, &r);
        if (rc != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave %s '%s', expected %s with '%s'", i, err_word(rc), err.msg, err_word(cases[i].code), cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_on_chats_has_the_same_bits_with_other_threads_and_after_a_stop),
        cmocka_unit_test(every_token_weighs_the_same_whatever_batch_it_is_in),
        cmocka_unit_test(epochs_become_steps),
        cmocka_unit_test(the_first_batch_of_every_form_is_shown),
        cmocka_unit_test(recipes_are_understood),
        cmocka_unit_test(settings_that_do_not_fit_the_data_are_explained),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
