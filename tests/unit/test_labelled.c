/* test_labelled.c - texts with labels: read from JSON lines and CSV, trained on from scratch and from a base, to the same bits whatever
 * the threads and stops, and classified. */
#include <math.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/labelled.h"
#include "infer/classify.h"
#include "train/loop.h"

static struct err err;

/* ---- reading ---- */

static int read_one(struct labelled *l, const char *name, const char *fields, struct labels *names, bool fixed)
{
    struct text_list files = { 0 };
    OK(text_add(&files, in_dir(name), &err));
    const int rc = labelled_read(l, &files, fields, names, fixed, &err);
    text_release(&files);
    return rc;
}

static void expect_texts(const struct labelled *l, int n, const char *const *text, const int *label)
{
    assert_int_equal(l->n, n);
    for (int i = 0; i < n; i++) {
        size_t len;
        const char *s = labelled_text(l, i, &len);
        assert_true(len == strlen(text[i]) && !memcmp(s, text[i], len));
        assert_int_equal(l->label[i], label[i]);
    }
}

static void json_lines_and_columns_are_read(void **state)
{
    (void)state;
    struct labelled l;
    struct labels names = { 0 };
    put_in_dir("a.jsonl", "{\"text\": \"one\", \"label\": \"pear\"}\n\n  {\"label\": \"apple\", \"text\": \"two \\u00e9\"}\r\n{\"text\": \"three\", \"label\": \"pear\", \"more\": 1}");
    OK(read_one(&l, "a.jsonl", NULL, &names, false));
    expect_texts(&l, 3, (const char *[]){ "one", "two \xc3\xa9", "three" }, (int[]){ 1, 0, 1 });
    assert_string_equal(names.name[0], "apple");
    labelled_release(&l);
    put_in_dir("b.csv", "kind,id,body\npear,1,\"a, b\"\nplum,2,c\n");
    assert_int_equal(read_one(&l, "b.csv", "text=body, label=kind", &names, true), ERR_RANGE);
    assert_non_null(strstr(err.msg, "b.csv:3: the label is 'plum', expected one of the 2 classes"));
    labels_release(&names);
    OK(read_one(&l, "b.csv", "label=kind,text=body", &names, false));
    expect_texts(&l, 2, (const char *[]){ "a, b", "c" }, (int[]){ 0, 1 });
    labelled_release(&l);
    labels_release(&names);
    put_in_dir("marked.jsonl", "\xef\xbb\xbf{\"text\": \"one\", \"label\": \"pear\"}\n");
    OK(read_one(&l, "marked.jsonl", NULL, &names, false));
    expect_texts(&l, 1, (const char *[]){ "one" }, (int[]){ 0 });
    labelled_release(&l);
    labels_release(&names);
    put_in_dir("c.tsv", "text\tlabel\nx\t10\ny\t9\nz\t0\n");
    OK(read_one(&l, "c.tsv", NULL, &names, false));
    expect_texts(&l, 3, (const char *[]){ "x", "y", "z" }, (int[]){ 2, 1, 0 });      /* numbers in their order */
    labelled_release(&l);
    labels_release(&names);
}

static void records_that_are_wrong_are_named_by_their_line(void **state)
{
    (void)state;
    static const struct { const char *name, *text, *fields; int code; const char *says; } bad[] = {
        { "x.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n", NULL, ERR_FORMAT, "x.jsonl:2: 'label' is neither" },
        { "x.jsonl", "{\"text\": 1, \"label\": 1}\n", NULL, ERR_FORMAT, "x.jsonl:1: 'text' is no string" }, { "x.jsonl", "{\"text\": \"\", \"label\": 1}\n", NULL, ERR_FORMAT, "the text is empty" },
        { "x.jsonl", "{\"text\": \"a\", \"label\": \"\"}\n", NULL, ERR_FORMAT, "the label is empty" }, { "x.jsonl", "{\"text\": \"a\", \"label\": 1.5}\n", NULL, ERR_FORMAT, "neither" },
        { "x.jsonl", "{\"text\": \n", NULL, ERR_FORMAT, "x.jsonl:1" }, { "x.jsonl", "[]\n", NULL, ERR_FORMAT, "'text' is no string" }, { "x.jsonl", " \n", NULL, ERR_FORMAT, "no texts with labels" },
        { "x.csv", "text,kind\na,b\n", NULL, ERR_FORMAT, "no column 'label'" }, { "x.csv", "text,label\na\n", NULL, ERR_FORMAT, "x.csv:2" }, { "x.csv", "text,label\n\"a,b\n", NULL, ERR_FORMAT, "x.csv" },
        { "x.csv", "text,label\n,b\n", NULL, ERR_FORMAT, "x.csv:2: the text is empty" }, { "x.csv", "text,label\na,b\n", "txt=a", ERR_USAGE, "no record has 'txt', expected some of text, label" },
        { "x.csv", "text,label\na,b\n", "text=", ERR_USAGE, "'text' has no name" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct labelled l;
        struct labels names = { 0 };
        put_in_dir(bad[i].name, bad[i].text);
        assert_int_equal(read_one(&l, bad[i].name, bad[i].fields, &names, false), bad[i].code);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%zu: '%s', expected '%s' in it", i, err.msg, bad[i].says);
        labels_release(&names);
    }
}

/* ---- training ---- */

static const char *const words[] = { "red", "green", "blue", "sky", "lake", "tree", "good", "nice", "bad", "ugly", "so", "very" };

/* The class follows from one word among others: good, bad or neither. */
static void write_texts(const char *name, int n, uint64_t seed)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < n; i++) {
        const int kind = (int)rng_below(seed, (uint64_t)i, 3), length = 3 + (int)rng_below(seed + 1, (uint64_t)i, 9);
        const int at = (int)rng_below(seed + 2, (uint64_t)i, (uint64_t)length);
        OK(buf_add_str(&b, "{\"text\": \"", &err));
        for (int k = 0; k < length; k++) {
            const int other = (int)rng_below(seed + 3, (uint64_t)(i * 16 + k), 6);
            OK(buf_printf(&b, &err, "%s%s", k ? " " : "", kind < 2 && k == at ? words[6 + 2 * kind + (int)rng_below(seed + 4, (uint64_t)i, 2)] : words[other]));
        }
        OK(buf_printf(&b, &err, "\", \"label\": \"%s\"}\n", kind == 0 ? "praise" : kind == 1 ? "blame" : "neither"));
    }
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

#define GPT "{hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, norm: rmsnorm, act: swiglu, pos: rope, initializer_range: 0.1}"
#define BERT "{model_type: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, max_position_embeddings: 64, initializer_range: 0.1, hidden_act: gelu}"

static void write_config(const char *name, const char *model, const char *data, const char *train)
{
    char text[6000];
    snprintf(text, sizeof text, "model: %s\ndata: {train: %s/train.jsonl, form: label%s}\ntrain: {steps: 60, batch: 16, ctx: 64, lr: 5e-3, warmup: 5, save_every: 20, eval_every: 30%s}\n", model, test_dir,
             data, train);
    put_in_dir(name, text);
}

static int train(const char *config, const char *out, int n_thread, volatile sig_atomic_t *stop, struct train_result *r)
{
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = n_thread, .stop = stop, .fail_step = -1 };
    return train_run(&o, r, &err);
}

static const char *digest(const char *out)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    OK(sha256_of_file(path_in(in_dir(out), "model.safetensors"), hex[i], &err));
    return hex[i];
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    write_texts("train.jsonl", 400, 1);
    write_texts("valid.jsonl", 60, 77);
    write_config("gpt.yaml", GPT, ", valid_share: 0.2, vocab_size: 280", ", precision: bf16, label_smoothing: 0.05");
    write_config("bert.yaml", BERT, ", valid_share: 0.2, vocab_size: 280", ", precision: fp32, accumulate: 2");
    return 0;
}

static void texts_are_told_apart_to_the_same_bits_whatever_the_threads_and_stops(void **state)
{
    (void)state;
    static const char *const configs[] = { "gpt.yaml", "bert.yaml" };
    for (int c = 0; c < 2; c++) {
        struct train_result r;
        char out[40], first[SHA256_HEX];
        for (int n = 1; n <= 3; n++) {
            snprintf(out, sizeof out, "threads-%d-%d", c, n);
            OK(train(configs[c], out, n, NULL, &r));
            if (n == 1)
                memcpy(first, digest(out), sizeof first);
            assert_string_equal(first, digest(out));
        }
        if (!(r.valid_accuracy >= 0.9))
            fail_msg("%s: accuracy %g", configs[c], r.valid_accuracy);
        volatile sig_atomic_t stop = 1;
        int n = 0;
        snprintf(out, sizeof out, "stopped-%d", c);
        while (train(configs[c], out, 1 + n % 2, &stop, &r) == ERR_STOPPED)
            assert_true(++n < 90);
        assert_string_equal(first, digest(out));
    }
}

static void a_text_is_classified_as_the_trainer_does(void **state)
{
    (void)state;
    struct train_result r;
    struct classifier *c;
    struct pool *pool;
    OK(train("bert.yaml", "used", 2, NULL, &r));
    OK(pool_new(&pool, 2, &err));
    OK(classifier_new(&c, in_dir("used"), &(struct classify_opts){ .ctx = 20 }, pool, &err));
    float probs[3];
    OK(classifier_text(c, "red sky good lake", 17, probs, &err));
    assert_string_equal(classifier_labels(c)->name[2], "praise");
    assert_true(probs[2] > 0.5f && fabsf(probs[0] + probs[1] + probs[2] - 1) < 1e-5f);
    OK(classifier_text(c, "green bad tree", 14, probs, &err));
    assert_true(probs[0] > 0.5f);
    assert_int_equal(classifier_text(c, "", 0, probs, &err), ERR_FORMAT);
    char longer[200];
    memset(longer, 'Z', sizeof longer);
    assert_int_equal(classifier_text(c, longer, sizeof longer, probs, &err), ERR_RANGE);
    classifier_free(c);
    pool_free(pool);
}

/* A language model gets a head, and a classifier goes on with its own. */
static void training_goes_on_from_a_base_with_and_without_a_head(void **state)
{
    (void)state;
    struct train_result r;
    char text[2600];
    snprintf(text, sizeof text, "model: " GPT "\ndata: {train: %s/train.jsonl, form: text, vocab_size: 280}\ntrain: {steps: 5, batch: 4, ctx: 64, warmup: 0}\n", test_dir);
    put_in_dir("lm.yaml", text);
    OK(train("lm.yaml", "lm", 2, NULL, &r));
    snprintf(text, sizeof text, "{from: %s}", in_dir("lm"));
    write_config("on.yaml", text, ", valid_share: 0.2", ", precision: fp32");
    OK(train("on.yaml", "on", 2, NULL, &r));
    assert_true(r.valid_accuracy > 0.6);
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s/train.jsonl, valid: %s/valid.jsonl}\ntrain: {steps: 0, batch: 16, ctx: 64, warmup: 0, precision: fp32}\n", in_dir("on"), test_dir, test_dir);
    put_in_dir("again.yaml", text);
    OK(train("again.yaml", "again", 2, NULL, &r));
    assert_string_equal(digest("again"), digest("on"));
    assert_true(r.valid_accuracy > 0.6);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct { const char *data, *train, *says; } bad[] = {
        { ", shift: 1", "", "data.shift does not fit" }, { "", ", mixup: 0.2", "train.mixup does not fit" }, { ", template: x", "", "data.template does not fit" },
        { ", labels: [praise, blame]", "", "the label is 'neither'" }, { ", fields: \"text=body\"", "", "'body' is no string" }, { "", ", eval_tokens: 5", "eval_tokens does not fit" },
        { "", ", ctx: 3", "expected at most train.ctx, 3; data.too_long" }, { ", too_long: skip", ", ctx: 1", "every text is longer" },
    };
    struct train_result r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char more[100];
        snprintf(more, sizeof more, ", vocab_size: 280%s", bad[i].data);
        write_config("bad.yaml", GPT, more, bad[i].train);
        struct buf b;                              /* ctx given twice: the later one */
        buf_init(&b);
        OK(file_read(in_dir("bad.yaml"), 4000, &b, &err));
        char *first = strstr(b.data, "ctx: 64, ");
        if (strstr(bad[i].train, "ctx"))
            memset(first, ' ', 9);
        put_in_dir("bad.yaml", b.data);
        buf_release(&b);
        assert_true(train("bad.yaml", "bad", 1, NULL, &r) < 0);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("'%s', expected '%s' in it", err.msg, bad[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_and_columns_are_read),
        cmocka_unit_test(records_that_are_wrong_are_named_by_their_line),
        cmocka_unit_test(texts_are_told_apart_to_the_same_bits_whatever_the_threads_and_stops),
        cmocka_unit_test(a_text_is_classified_as_the_trainer_does),
        cmocka_unit_test(training_goes_on_from_a_base_with_and_without_a_head),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
