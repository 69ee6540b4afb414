/* test_classes.c - training a classifier of images in small: it learns, to the same bits with any number of threads and after a stop;
 * the model can be loaded; what a sample is depends on its number alone; what bad settings and data lead to. */
#include <math.h>
#include "../test.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/classify.h"
#include "model/merge.h"
#include "train/classes.h"
#include "train/loop.h"

static struct err err;

#define SIDE 8

/* Bars at one of three places on noise: a class each.  name.images, name.labels. */
static void write_data(const char *name, int n, int n_class, uint64_t seed)
{
    struct buf images, labels;
    buf_init(&images), buf_init(&labels);
    char file[40];
    OK(buf_add(&images, "\0\0\x08\x03\0\0", 6, &err));
    OK(buf_printf(&images, &err, "%c%c", n / 256, n % 256));
    OK(buf_add(&images, "\0\0\0\x08\0\0\0\x08", 8, &err));
    OK(buf_add(&labels, "\0\0\x08\x01\0\0", 6, &err));
    OK(buf_printf(&labels, &err, "%c%c", n / 256, n % 256));
    for (int i = 0; i < n; i++) {
        const int class = (int)rng_below(seed, (uint64_t)i, (uint64_t)n_class);
        OK(buf_add_char(&labels, (char)class, &err));
        for (int k = 0; k < SIDE * SIDE; k++) {
            const int noise = (int)rng_below(seed + 1, (uint64_t)(i * SIDE * SIDE + k), 60);
            OK(buf_add_char(&images, (char)(noise + (k / SIDE / 2 == class ? 180 : 0)), &err));
        }
    }
    snprintf(file, sizeof file, "%s.images", name);
    OK(file_write_all(in_dir(file), images.data, images.len, &err));
    snprintf(file, sizeof file, "%s.labels", name);
    OK(file_write_all(in_dir(file), labels.data, labels.len, &err));
    buf_release(&images), buf_release(&labels);
}

#define MODEL "model: {model_type: vit, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48, patch_size: 2, layer_norm_eps: 1e-6"
#define STEPS 40
#define TRAIN "train: {steps: %d, batch: 16, lr: 3e-3, warmup: 5, save_every: 10, eval_every: 20"

static void write_steps(const char *name, int steps, const char *model, const char *data, const char *train)
{
    char text[2000];
    snprintf(text, sizeof text, MODEL "%s}\ndata: {%s}\n" TRAIN "%s}\n", model, data, steps, train);
    OK(file_write_all(in_dir(name), text, strlen(text), &err));
}

static void write_config(const char *name, const char *model, const char *data, const char *train) { write_steps(name, STEPS, model, data, train); }

static const char *paths(const char *train, const char *valid, const char *more)
{
    static char text[1200];
    size_t n = (size_t)snprintf(text, sizeof text, "train: [%s/%s.images, %s/%s.labels]", test_dir, train, test_dir, train);
    if (valid)
        n += (size_t)snprintf(text + n, sizeof text - n, ", valid: [%s/%s.images, %s/%s.labels]", test_dir, valid, test_dir, valid);
    snprintf(text + n, sizeof text - n, "%s", more);
    return text;
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
    char path[240];
    snprintf(path, sizeof path, "%s/model.safetensors", in_dir(out));
    OK(sha256_of_file(path, hex[i], &err));
    return hex[i];
}

static void write_configs(int steps)
{
    write_steps("plain.yaml", steps, ", initializer_range: 0.1", paths("train", "valid", ""), ", precision: fp32");
    write_steps("rich.yaml", steps, ", classifier_pooling: mean, hidden_dropout_prob: 0.1", paths("train", NULL, ", valid_share: 0.2, shift: 1, flip: true, labels: [top, middle, low]"),
                ", precision: bf16, label_smoothing: 0.1, mixup: 0.3, accumulate: 2");
    write_steps("robust.yaml", steps, ", initializer_range: 0.1", paths("train", "valid", ""), ", precision: fp32, accumulate: 2, adversarial_eps: 0.3, adversarial_steps: 3");
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    write_data("train", 240, 3, 1);
    write_data("valid", 60, 3, 5);
    write_data("other", 90, 3, 9);
    write_configs(STEPS);
    return 0;
}

static void a_classifier_learns_and_can_be_used(void **state)
{
    (void)state;
    struct train_result r;
    OK(train("plain.yaml", "plain", 2, NULL, &r));
    assert_true(r.valid_accuracy >= 0.95 && r.samples_per_s > 0 && r.valid_loss < 0.5);
    struct pool *pool;
    struct classifier *c;
    struct image_set set;
    OK(pool_new(&pool, 2, &err));
    OK(classifier_new(&c, in_dir("plain"), &(struct classify_opts){ 0 }, pool, &err));
    OK(image_set_open(&set, in_dir("plain/data/valid.img"), &err));
    int right = 0;
    for (int64_t i = 0; i < set.n; i++) {
        float probs[3];
        classifier_images(c, image_set_pixels(&set, i), 1, probs);
        right += probs[set.label[i]] > 0.5f;
    }
    assert_true(fabs((double)right / (double)set.n - r.valid_accuracy) < 0.02);      /* as the trainer found it, but for ties below a half */
    assert_string_equal(classifier_labels(c)->name[2], "2");
    image_set_close(&set);
    classifier_free(c);
    pool_free(pool);
}

static const char *digest_of(const char *path)
{
    static char hex[2][SHA256_HEX];
    static int i;
    i = (i + 1) % 2;
    OK(sha256_of_file(in_dir(path), hex[i], &err));
    return hex[i];
}

static void adapters_of_a_classifier_are_learned_and_merged(void **state)
{
    (void)state;
    struct train_result tuned, before, r;
    struct model m;
    struct adapter *a;
    char text[2000];
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "model: {from: %s}\n%sdata: {%s}\ntrain: {steps: %d, batch: 16, lr: 3e-3, warmup: 0, precision: fp32}\n", in_dir("plain"), i < 2 ? "lora: {rank: 4}\n" : "",
                 paths("other", "valid", ""), i < 2 ? 6 : 0);
        OK(file_write_all(in_dir("tuned.yaml"), text, strlen(text), &err));
        OK(train("tuned.yaml", i == 0 ? "tuned" : i == 1 ? "tuned-2" : "untuned", 1 + i % 2, NULL, i == 2 ? &before : &tuned));
    }
    assert_true(tuned.adapters && tuned.valid_loss < before.valid_loss);
    assert_string_equal(digest_of("tuned/adapter_model.safetensors"), digest_of("tuned-2/adapter_model.safetensors"));
    OK(model_open(&m, in_dir("plain"), NULL, &err));
    OK(adapter_open(&a, in_dir("tuned"), &err));
    OK(merge_check(&m, a, &err));
    OK(merge_folder(&m, in_dir("plain"), a, in_dir("merged"), ST_F32, &err));
    adapter_free(a);
    model_release(&m);
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {%s}\ntrain: {steps: 0, batch: 16, warmup: 0, precision: fp32}\n", in_dir("merged"), paths("other", "valid", ""));
    OK(file_write_all(in_dir("merged.yaml"), text, strlen(text), &err));
    OK(train("merged.yaml", "merged-scored", 1, NULL, &r));
    assert_true(fabs(r.valid_loss - tuned.valid_loss) < 1e-6 && r.valid_accuracy == tuned.valid_accuracy);
}

static void final_weights_are_the_same_with_any_number_of_threads_and_after_stops(void **state)
{
    (void)state;
    static const char *const configs[] = { "plain.yaml", "rich.yaml", "robust.yaml" };
    enum { N = FEWER(STEPS, 12) };
    write_configs(N);
    for (int c = 0; c < 3; c++) {
        struct train_result r;
        char out[40], first[SHA256_HEX];
        for (int n = 1; n <= 3; n++) {
            snprintf(out, sizeof out, "threads-%d-%d", c, n);
            OK(train(configs[c], out, n, NULL, &r));
            if (n == 1)
                memcpy(first, digest(out), sizeof first);
            else if (strcmp(first, digest(out)))
                fail_msg("%s: %d threads gave other weights than 1", configs[c], n);
        }
        volatile sig_atomic_t stop = 1;                /* after every single step */
        int n = 0;
        snprintf(out, sizeof out, "stopped-%d", c);
        while (train(configs[c], out, 1 + n % 2, &stop, &r) == ERR_STOPPED)
            assert_true(++n < 60);
        assert_int_equal(r.steps, N);
        assert_string_equal(first, digest(out));
    }
    write_configs(STEPS);
}

static void training_goes_on_from_a_model_folder(void **state)
{
    (void)state;
    struct train_result r;
    char text[2600];
    OK(train("rich.yaml", "base", 2, NULL, &r));
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {%s}\ntrain: {steps: 0, batch: 16, precision: bf16, warmup: 0}\n", in_dir("base"), paths("train", "valid", ""));
    OK(file_write_all(in_dir("on.yaml"), text, strlen(text), &err));
    OK(train("on.yaml", "on", 2, NULL, &r));
    assert_string_equal(digest("on"), digest("base"));
    struct buf a, b;
    buf_init(&a), buf_init(&b);
    OK(file_read(in_dir("base/preprocessor_config.json"), 10000, &a, &err));
    OK(file_read(in_dir("on/preprocessor_config.json"), 10000, &b, &err));
    assert_string_equal(a.data, b.data);
    buf_clear(&b);
    OK(file_read(in_dir("on/config.json"), 10000, &b, &err));
    assert_non_null(strstr(b.data, "\"2\": \"low\""));
    buf_release(&a), buf_release(&b);
    write_data("more", 20, 4, 9);                  /* a class that the model does not have */
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {%s}\n", in_dir("base"), paths("more", NULL, ""));
    OK(file_write_all(in_dir("on.yaml"), text, strlen(text), &err));
    assert_int_equal(train("on.yaml", "more", 2, NULL, &r), ERR_RANGE);
    assert_non_null(strstr(err.msg, "label 3, expected 0 to 2"));
}

/* The same samples whatever the micro-batches: the images and targets of samples 0 .. 31 in batches of 4 and of 16. */
static void a_sample_is_a_function_of_its_number(void **state)
{
    (void)state;
    struct train_config c;
    struct classes k = { 0 };
    struct prepared p = { 0 };
    struct decoder d;
    struct pool *pool;
    OK(train_config_load(&c, in_dir("rich.yaml"), &err));
    OK(file_mkdirs(in_dir("samples"), &err));
    OK(classes_prepare(&k, &p, &c, "rich.yaml", in_dir("samples"), &err));
    assert_true(k.n_train == 192 && k.n_valid == 48);
    OK(pool_new(&pool, 2, &err));
    OK(decoder_record(&d, &c.model, &(struct decoder_opts){ .use = DECODER_TRAIN }, &err));
    OK(decoder_plan(&d, 16 * (int)c.ctx, 16, 2, NULL, &err));
    OK(decoder_bind(&d, pool, NULL, &err));
    int32_t start[17];
    struct batch b = { .seq_start = start };
    float *pixels = d.g->tensor[d.pixels].data, *label = d.g->tensor[d.label].data, all[32][SIDE * SIDE], want[32][3];
    for (int i = 0; i < 2; i++) {
        classes_batch(&k, &c, pool, i, 16, &d, &b);
        assert_true(b.n_seq == 16 && b.n == 16 * c.ctx && start[16] == b.n);
        memcpy(all[16 * i], pixels, 16 * sizeof *all), memcpy(want[16 * i], label, 16 * sizeof *want);
    }
    for (int i = 0; i < 8; i++) {
        classes_batch(&k, &c, pool, i, 4, &d, &b);
        assert_memory_equal(all[4 * i], pixels, 4 * sizeof *all);
        assert_memory_equal(want[4 * i], label, 4 * sizeof *want);
    }
    int mixed = 0;
    for (int i = 0; i < 32; i++) {
        const double sum = (double)want[i][0] + (double)want[i][1] + (double)want[i][2], most = fmax((double)want[i][0], fmax((double)want[i][1], (double)want[i][2]));
        assert_true(fabs(sum - 1) < 1e-6 && most <= 0.9 + 0.1 / 3 + 1e-6);
        mixed += most < 0.9;
    }
    assert_true(mixed > 0 && mixed < 32);
    bool seen[192] = { false };
    for (uint64_t s = 0; s < 192; s++) {           /* an epoch has every image that is not held out, once */
        const int64_t i = classes_place(&k, s);
        int n = 0;
        for (uint64_t t = 0; t < 192; t++)
            n += classes_place(&k, t) == i;
        assert_int_equal(n, 1);
        seen[s] = classes_place(&k, s + 192) != i;
    }
    int moved = 0;
    for (int s = 0; s < 192; s++)
        moved += seen[s];
    assert_true(moved > 96);                       /* and the next another order */
    decoder_release(&d);
    classes_release(&k);
    train_config_release(&c);
    pool_free(pool);
}

static void mistakes_in_settings_and_data_are_named(void **state)
{
    (void)state;
    write_data("one", 30, 1, 3);
    static const struct { const char *model, *data, *train; const char *says; } bad[] = {
        { "", ", tokenizer: bpe", "", "data.tokenizer does not fit" }, { "", "", ", ctx: 10", "train.ctx does not fit" }, { "", "", ", eval_tokens: 5", "eval_tokens does not fit" },
        { "", ", shift: 8", "", "data.shift is 8" }, { "", ", labels: [a, b]", "", "label 2, expected 0 to 1" }, { "", ", labels: [a, a, b]", "", "'a' is there twice" },
        { ", image_size: 10", "", "", "8 by 8 pixels, expected 10 by 10" }, { ", image_size: 9", "", "", "whole patches" }, { ", num_labels: 4", "", "", "num_labels 4, the data 3" },
        { "", ", fit: shrink", "", "refuse|stretch|crop" }, { "", "", ", mixup: 2", "mixup" }, { "", "", ", label_smoothing: 1", "label_smoothing" },
        { "", "", ", adversarial_eps: 2", "adversarial_eps" }, { "", "", ", adversarial_steps: 3", "adversarial_steps would do nothing" },
    };
    struct train_result r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_config("bad.yaml", bad[i].model, paths("train", NULL, bad[i].data), bad[i].train);
        assert_true(train("bad.yaml", "bad", 1, NULL, &r) < 0);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("'%s', expected '%s' in it", err.msg, bad[i].says);
    }
    write_config("bad.yaml", "", paths("one", NULL, ""), "");
    assert_int_equal(train("bad.yaml", "bad", 1, NULL, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "of one class"));
    static const char text[] = "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}\ndata: {train: x}\ntrain: {mixup: 0.2}\n";
    OK(file_write_all(in_dir("bad.yaml"), text, sizeof text - 1, &err));
    assert_int_equal(train("bad.yaml", "bad", 1, NULL, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "train.mixup does not fit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_classifier_learns_and_can_be_used),
        cmocka_unit_test(adapters_of_a_classifier_are_learned_and_merged),
        cmocka_unit_test(final_weights_are_the_same_with_any_number_of_threads_and_after_stops),
        cmocka_unit_test(training_goes_on_from_a_model_folder),
        cmocka_unit_test(a_sample_is_a_function_of_its_number),
        cmocka_unit_test(mistakes_in_settings_and_data_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
