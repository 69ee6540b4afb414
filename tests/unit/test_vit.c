/* test_vit.c - vision transformers against tests/golden/vit and vit_mean (float64, tools/golden/vit.py): logits, losses, the gradient
 * of every weight, and the weights after 20 steps of AdamW and of Muon. */
#include <math.h>
#include "../same_config.h"
#include "golden.h"
#include "base/mem.h"
#include "infer/classify.h"
#include "model/decoder.h"
#include "model/vision.h"
#include "train/adversary.h"

static const char *const cases[] = { "vit", "vit_mean" };
#define N_CASE (sizeof cases / sizeof *cases)
#define N_BATCH 3
#define N_STEP 20

static struct pool *pool;
static struct err err;

struct golden { struct config c; struct weights_list *l; struct safetensors *model, *want; int B, T; int32_t *seq_start; };

static void open_case(struct golden *g, const char *name)
{
    char path[200];
    struct buf warnings;
    buf_init(&warnings);
    snprintf(path, sizeof path, "tests/golden/%s", name);
    OK(config_load(&g->c, path, &warnings, &err));
    assert_string_equal(warnings.data, "");
    buf_release(&warnings);
    OK(weights_list_new(&g->l, &g->c, &err));
    OK(safetensors_open(&g->model, path, &err));
    snprintf(path, sizeof path, "tests/golden/%s/golden.safetensors", name);
    OK(safetensors_open(&g->want, path, &err));
    g->B = (int)find(g->want, "pixels")->shape[1], g->T = g->B * g->c.ctx;
    g->seq_start = mem_alloc_array((size_t)g->B + 1, sizeof *g->seq_start);
    for (int b = 0; b <= g->B; b++)
        g->seq_start[b] = b * g->c.ctx;
}

static void close_case(struct golden *g)
{
    weights_list_free(g->l);
    safetensors_free(g->model);
    safetensors_free(g->want);
    mem_free(g->seq_start);
}

static void load(const struct golden *g, struct decoder *d, const struct decoder_opts *o)
{
    OK(decoder_record(d, &g->c, o, &err));
    OK(decoder_plan(d, g->T, g->B, 2, NULL, &err));
    OK(decoder_bind(d, pool, NULL, &err));
    OK(weights_load(g->l, g->model, decoder_weight, d, &err));
}

/* Batch i; returns how many images count. */
static int put_batch(const struct golden *g, struct decoder *d, int i)
{
    const struct config *c = &g->c;
    const int64_t n = (int64_t)c->n_channel * c->image_size * c->image_size, L = c->n_label;
    const float *pixels = (const float *)find(g->want, "pixels")->data + i * g->B * n;
    float *to = d->g->tensor[d->pixels].data;
    for (int b = 0; b < g->B; b++, to += n)
        for (int k = 0; k < c->n_channel; k++)
            for (int y = 0; y < c->image_size; y++)
                for (int x = 0; x < c->image_size; x++)
                    to[vision_place(c, k, y, x)] = *pixels++;
    int counted = 0;
    for (int b = 0; d->label >= 0 && b < g->B; b++) {
        double sum = 0, target[16];
        memcpy(target, (const double *)find(g->want, "target")->data + (i * g->B + b) * L, (size_t)L * sizeof *target);
        for (int k = 0; k < L; k++)
            ((float *)d->g->tensor[d->label].data)[b * L + k] = (float)target[k], sum += target[k];
        counted += sum > 0;
    }
    return counted;
}

static double difference(const float *got, const double *want, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++)
        diff += (got[i] - want[i]) * (got[i] - want[i]), norm += want[i] * want[i];
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

/* A bias of keys adds the same to all scores of a query: its gradient is 0 but for rounding, of which AdamW makes steps.  So the
 * gradient is held against 0 at the scale of that of the queries' bias, and the weight, which changes no result, is not compared. */
static bool is_key_bias(const char *name) { return strstr(name, ".key.bias") != NULL; }

static void check_key_bias(const float *grad, int64_t n, double tolerance)
{
    double key = 0, query = 0;
    for (int64_t i = 0; i < n; i++)
        key += grad[i] * grad[i], query += grad[i - n] * grad[i - n];
    assert_true(query > 0 && sqrt(key) <= tolerance * sqrt(query));
}

/* Every tensor of the file named KIND.NAME beside our weights or their gradients. */
static void check_all(const struct golden *g, const char *kind, struct decoder *d, bool grad, double tolerance, const char *what)
{
    for (int i = 0; i < g->l->n_weight; i++)
        for (int j = 0; j < g->l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(g->l, &g->l->weight[i], j);
            char key[PART_NAME_MAX + 8];
            snprintf(key, sizeof key, "%s.%s", kind, p.name);
            const struct st_tensor *want = find(g->want, key);
            assert_int_equal(want->n, p.n_row * p.n_col);
            const struct tensor *t = &d->g->tensor[grad ? d->g->tensor[i].grad : i];
            const float *got = (const float *)t->data + p.row * p.n_col;
            if (grad && is_key_bias(key))
                check_key_bias(got, want->n, tolerance);
            const double diff = is_key_bias(key) ? 0 : difference(got, want->data, want->n);
            if (!(diff <= tolerance))
                fail_msg("%s: %s differs by %.3g, expected at most %g", what, key, diff, tolerance);
        }
}

static void logits_equal_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        for (int b16 = 0; b16 < 2; b16++) {
            struct golden g;
            struct decoder d;
            open_case(&g, cases[i]);
            load(&g, &d, &(struct decoder_opts){ .use = DECODER_LOGITS, .compute = b16 ? DT_BF16 : DT_F32 });
            put_batch(&g, &d, 0);
            const struct step s = { .T = g.T, .S = g.B, .seq_start = g.seq_start };
            graph_run(d.g, PASS_PREPARE, &s);
            graph_run(d.g, PASS_FORWARD, &s);
            const double diff = difference(d.g->tensor[d.logits].data, find(g.want, "logits")->data, (int64_t)g.B * g.c.n_label);
            if (!(diff <= (b16 ? 2e-2 : 1e-5)))
                fail_msg("%s: logits differ by %.3g", cases[i], diff);
            decoder_release(&d);
            close_case(&g);
        }
}

static double run_step(const struct golden *g, struct decoder *d, int batch)
{
    const int counted = put_batch(g, d, batch);
    const struct step s = { .T = g->T, .S = g->B, .seq_start = g->seq_start, .loss_scale = 1.0 / counted, .aux_scale = 1 };
    graph_run(d->g, PASS_FORWARD, &s);
    graph_run(d->g, PASS_BACKWARD, &s);
    double loss = 0;
    for (int b = 0; b < g->B; b++)
        loss += (double)((const float *)d->g->tensor[d->nll].data)[b] / counted;
    return loss;
}

static void losses_and_all_gradients_equal_the_reference(void **state)
{
    (void)state;
    static const struct { enum dtype compute; enum recompute recompute; double tolerance; } forms[] = {
        { DT_F32, RECOMPUTE_NONE, 1e-5 }, { DT_F32, RECOMPUTE_CHEAP, 1e-5 }, { DT_F32, RECOMPUTE_BLOCK, 1e-5 }, { DT_BF16, RECOMPUTE_NONE, 3e-2 },
    };
    for (size_t i = 0; i < N_CASE; i++)
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            struct golden g;
            struct decoder d;
            open_case(&g, cases[i]);
            load(&g, &d, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = forms[f].compute, .recompute = forms[f].recompute });
            graph_run(d.g, PASS_PREPARE, &(struct step){ .T = g.T, .S = g.B, .seq_start = g.seq_start });
            const double loss = run_step(&g, &d, 0);
            double want[1];
            memcpy(want, find(g.want, "loss")->data, sizeof want);
            if (!(fabs(loss - *want) <= forms[f].tolerance * *want))
                fail_msg("%s: loss %.9g, expected %.9g", cases[i], loss, *want);
            check_all(&g, "grad", &d, true, forms[f].tolerance, cases[i]);
            decoder_release(&d);
            close_case(&g);
        }
}

/* The loss's slope by each number of the images, with weights that are learned and with frozen ones, of which no gradient is made. */
static void the_slope_by_the_image_equals_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        for (int f = 0; f < 4; f++) {
            struct golden g;
            struct decoder d;
            open_case(&g, cases[i]);
            const bool frozen = f & 1, b16 = f & 2;
            load(&g, &d, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = b16 ? DT_BF16 : DT_F32, .frozen = frozen, .pixels_sought = true, .recompute = frozen ? RECOMPUTE_NONE : RECOMPUTE_BLOCK });
            assert_int_equal(d.g->plan.bytes[TENSOR_GRAD] > 0, !frozen);
            graph_run(d.g, PASS_PREPARE, &(struct step){ .T = g.T, .S = g.B, .seq_start = g.seq_start });
            run_step(&g, &d, 0);
            if (!frozen)
                check_all(&g, "grad", &d, true, b16 ? 3e-2 : 1e-5, cases[i]);
            const struct st_tensor *want = find(g.want, "slope");
            const int64_t n = want->n / g.B;
            float *got = mem_alloc_array((size_t)want->n, sizeof *got), *at = got;
            for (int b = 0; b < g.B; b++)
                for (int k = 0; k < g.c.n_channel; k++)
                    for (int y = 0; y < g.c.image_size; y++)
                        for (int x = 0; x < g.c.image_size; x++)
                            *at++ = ((const float *)d.g->tensor[d.g->tensor[d.pixels].grad].data)[b * n + vision_place(&g.c, k, y, x)];
            const double diff = difference(got, want->data, want->n);
            if (!(diff <= (b16 ? 3e-2 : 1e-5)))
                fail_msg("%s: slopes differ by %.3g", cases[i], diff);
            assert_true(difference(d.g->tensor[d.logits].data, find(g.want, "logits")->data, (int64_t)g.B * g.c.n_label) <= (b16 ? 2e-2 : 1e-5));
            mem_free(got);
            decoder_release(&d);
            close_case(&g);
        }
}

/* Mean loss of batch 0 after so many steps of an adversary whose ball is eps; its weights are the trained model's, which change under it. */
static double loss_after(struct run *r, const struct golden *g, int64_t n_step)
{
    const struct config *c = &g->c;
    const int64_t n = (int64_t)c->n_channel * c->image_size * c->image_size;
    struct batch b = { .seq_start = g->seq_start, .n = g->T, .n_seq = g->B };
    const int counted = put_batch(g, &r->model, 0);
    const struct step s = { .T = g->T, .S = g->B, .seq_start = g->seq_start, .loss_scale = 1.0 / counted };
    float *was = mem_alloc_array((size_t)(g->B * n), sizeof *was), *x = r->model.g->tensor[r->model.pixels].data;
    for (int64_t i = 0; i < g->B * n; i++)
        was[i] = x[i] = fminf(fmaxf(x[i] / 4, -1), 1);     /* what an image can be */
    r->c.adversarial.n_step = n_step;
    if (n_step >= 0)
        adversary_change(r, 7, &b);
    for (int64_t i = 0; i < g->B * n; i++)                 /* std is 0.5: eps of numbers from 0 to 1 is twice that here */
        assert_true(fabs((double)(x[i] - was[i])) <= 2 * r->c.adversarial.eps + 1e-6 && fabs((double)x[i]) <= 1);
    mem_free(was);
    graph_run(r->model.g, PASS_FORWARD, &s);
    graph_run(r->model.g, PASS_BACKWARD, &s);
    double loss = 0;
    for (int i = 0; i < g->B; i++)
        loss += (double)((const float *)r->model.g->tensor[r->model.nll].data)[i] / counted;
    return loss;
}

static void an_adversary_moves_images_to_where_the_loss_is_higher(void **state)
{
    (void)state;
    struct golden g;
    struct run r = { .micro = 0 };
    open_case(&g, "vit");
    r.c.model = g.c, r.c.seed = 3, r.c.precision = "fp32", r.micro = g.B, r.pool = pool, r.c.adversarial.eps = 0.02;
    for (int i = 0; i < VISION_CHANNEL_MAX; i++)
        r.classes.vision.mean[i] = r.classes.vision.std[i] = 0.5;
    const struct decoder_opts attacker = run_attacker_opts(&r);
    load(&g, &r.model, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = DT_F32, .pixels_sought = true });
    OK(decoder_record(&r.attacker, &g.c, &attacker, &err));
    OK(decoder_plan(&r.attacker, g.T, g.B, 2, &r.model, &err));
    OK(adversary_take(&r, &err));
    graph_run(r.model.g, PASS_PREPARE, &(struct step){ .T = g.T, .S = g.B, .seq_start = g.seq_start });
    const double clean = loss_after(&r, &g, -1), random = loss_after(&r, &g, 0), attacked = loss_after(&r, &g, 5);
    print_message("loss %.4f, in a random place %.4f, attacked %.4f\n", clean, random, attacked);
    assert_true(fabs(random - clean) < 0.3 * (attacked - clean) && attacked > clean + 0.05);
    /* The weights are shared: what the model learns, the adversary sees. */
    memset(r.model.g->tensor[graph_find(r.model.g, "label.w")].data, 0, r.model.g->tensor[graph_find(r.model.g, "label.w")].bytes);
    graph_run(r.model.g, PASS_PREPARE, &(struct step){ .T = g.T, .S = g.B, .seq_start = g.seq_start });
    const double flat = loss_after(&r, &g, -1);
    assert_true(fabs(loss_after(&r, &g, 5) - flat) < 1e-5);
    adversary_release(&r);
    decoder_release(&r.model);
    close_case(&g);
}

static void weights_after_20_steps_equal_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        for (int muon = 0; muon < 2; muon++) {
            struct golden g;
            struct decoder d;
            open_case(&g, cases[i]);
            load(&g, &d, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = DT_F32, .optimizer = muon ? OPTIMIZER_MUON : OPTIMIZER_ADAMW });
            graph_run(d.g, PASS_PREPARE, &(struct step){ .T = g.T, .S = g.B, .seq_start = g.seq_start });
            for (int t = 0; t < N_STEP; t++) {
                run_step(&g, &d, t % N_BATCH);
                graph_run(d.g, PASS_NORM, &(struct step){ .T = g.T, .S = g.B, .seq_start = g.seq_start });
                const double norm = sqrt(graph_grad_square(d.g));
                const float scale = norm > 1 ? (float)(1 / (norm + 1e-6)) : 1;
                const struct step s = { .T = g.T, .S = g.B, .seq_start = g.seq_start,
                    .adamw = { .lr = 3e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = (float)(1 - pow(0.9, t + 1)), .correction2 = (float)(1 - pow(0.95, t + 1)), .grad_scale = scale },
                    .momentum = { .lr = 0.02f, .momentum = 0.95f, .wd = 0.01f, .grad_scale = scale } };
                graph_run(d.g, PASS_UPDATE, &s);
            }
            check_all(&g, muon ? "muon" : "adamw", &d, false, 1e-5, cases[i]);
            decoder_release(&d);
            close_case(&g);
        }
}

static void a_configuration_is_written_as_it_was_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++) {
        struct golden g;
        struct config again;
        struct buf text, warnings;
        buf_init(&text), buf_init(&warnings);
        open_case(&g, cases[i]);
        OK(config_write(&g.c, &text, &err));
        OK(config_parse(&again, text.data, text.len, "again", &warnings, &err));
        assert_string_equal(warnings.data, "");
        assert_true(same_config(&again, &g.c));
        assert_non_null(strstr(text.data, "\"ViTForImageClassification\""));
        int64_t total, sum = 0;
        config_params(&g.c, &total, NULL);
        for (int w = 0; w < g.l->n_weight; w++)
            sum += g.l->weight[w].n;
        assert_int_equal(total, sum);
        buf_release(&text), buf_release(&warnings);
        close_case(&g);
    }
}

static void images_are_cut_into_patches_channel_by_channel(void **state)
{
    (void)state;
    const struct config c = { .image_size = 4, .patch_size = 2, .n_channel = 2 };
    const struct vision v = { { 0, 1 }, { 1, 0.5 } };
    uint8_t pixels[32];
    float out[32];
    for (int i = 0; i < 32; i++)
        pixels[i] = (uint8_t)(5 * i);
    vision_patches(&v, &c, pixels, out);
    static const int want[32] = { 0, 1, 4, 5, 16, 17, 20, 21, 2, 3, 6, 7, 18, 19, 22, 23, 8, 9, 12, 13, 24, 25, 28, 29, 10, 11, 14, 15, 26, 27, 30, 31 };
    for (int i = 0; i < 32; i++) {
        const double x = 5 * want[i] / 255.0;
        assert_true(fabs((double)out[i] - (want[i] < 16 ? x : (x - 1) / 0.5)) < 1e-6);
    }
}

static int read_vision(struct vision *v, const struct config *c, const char *text)
{
    OK(file_write_all(in_dir("preprocessor_config.json"), text, strlen(text), &err));
    return vision_load(v, c, test_dir, &err);
}

static void a_preprocessor_file_is_read_back_or_refused(void **state)
{
    (void)state;
    const struct config c = { .image_size = 28, .patch_size = 4, .n_channel = 3 };
    struct vision v, again;
    OK(vision_load(&v, &c, "tests/golden/vit", &err));            /* no such file there */
    assert_true(v.mean[0] == 0.5 && v.std[2] == 0.5);
    v = (struct vision){ { 0.1, 0.2, 0.30000000000000004 }, { 0.25, 0.5, 1 } };
    struct buf text;
    buf_init(&text);
    OK(vision_write(&v, &c, &text, &err));
    OK(read_vision(&again, &c, text.data));
    assert_memory_equal(again.mean, v.mean, 3 * sizeof *v.mean);
    assert_memory_equal(again.std, v.std, 3 * sizeof *v.std);
    buf_release(&text);
    OK(read_vision(&again, &c, "{\"image_mean\": 0.4, \"image_std\": [0.2], \"size\": 28}"));
    assert_true(again.mean[2] == 0.4 && again.std[1] == 0.2);
    OK(read_vision(&again, &c, "{\"do_normalize\": false}"));
    assert_true(again.mean[0] == 0 && again.std[0] == 1);
    static const struct { const char *text; int code; const char *says; } bad[] = {
        { "[]", ERR_FORMAT, "no object" }, { "{\"size\": {\"height\": 28, \"width\": 32}}", ERR_FORMAT, "size is not 28 by 28" },
        { "{\"size\": {\"shortest_edge\": 28}}", ERR_FORMAT, "size is not" }, { "{\"do_rescale\": false}", ERR_UNSUPPORTED, "1/255" },
        { "{\"rescale_factor\": 1}", ERR_UNSUPPORTED, "1/255" }, { "{\"image_std\": [1, 0, 1]}", ERR_RANGE, "image_std is 0" },
        { "{\"image_mean\": [1, 2]}", ERR_FORMAT, "each of 3" }, { "{\"image_mean\": [1, 2, \"x\"]}", ERR_FORMAT, "entry 3" }, { "{", ERR_FORMAT, "preprocessor" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_vision(&again, &c, bad[i].text), bad[i].code);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%s: '%s', expected '%s' in it", bad[i].text, err.msg, bad[i].says);
    }
}

/* What the head reads gives its logits, and having it changes none of them. */
static void a_classifiers_features_are_what_its_head_reads(void **state)
{
    (void)state;
    struct classifier *c, *plain;
    float x[3 * 2 * 12 * 12], logits[3][7], without[3][7];
    for (int slopes = 0; slopes < 2; slopes++) {
        OK(classifier_new(&c, "tests/golden/vit", &(struct classify_opts){ .features = true, .slopes = slopes }, pool, &err));
        OK(classifier_new(&plain, "tests/golden/vit", &(struct classify_opts){ .slopes = slopes }, pool, &err));
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            x[i] = (float)(i * 37 % 251) / 255;
        classifier_logits(c, x, 3, logits[0]);
        classifier_logits(plain, x, 3, without[0]);
        assert_memory_equal(logits, without, sizeof logits);
        const int d = classifier_n_feature(c);
        const float *bias, *w = classifier_head(c, &bias);
        float f[3 * 64];
        assert_true(d == classifier_config(c)->d_model && d <= 64);
        assert_non_null(bias);
        classifier_features(c, 3, f);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 7; k++) {
                double sum = (double)bias[k];
                for (int j = 0; j < d; j++)
                    sum += (double)w[k * d + j] * (double)f[i * d + j];
                assert_true(fabs(sum - (double)logits[i][k]) < 1e-5 * (1 + fabs(sum)));
            }
        classifier_free(c);
        classifier_free(plain);
    }
    assert_int_equal(classifier_new(&c, "tests/golden/vit", &(struct classify_opts){ .features = true, .bf16 = true }, pool, &err), ERR_UNSUPPORTED);
}

/* The folder as it is, and what the files say of the classes. */
static void a_classifier_gives_the_probabilities_of_the_logits(void **state)
{
    (void)state;
    struct classifier *c;
    struct golden g;
    struct decoder d;
    open_case(&g, "vit");
    OK(classifier_new(&c, "tests/golden/vit", &(struct classify_opts){ 0 }, pool, &err));
    assert_string_equal(classifier_labels(c)->name[6], "class 6");
    size_t bytes;
    OK(classifier_plan_bytes(&bytes, "tests/golden/vit", &(struct classify_opts){ 0 }, 2, &err));
    assert_true(bytes > 0);
    uint8_t pixels[2 * 12 * 12];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37 % 251);
    float probs[7];
    double sum = 0, sum_exp = 0;
    classifier_images(c, pixels, 1, probs);
    uint8_t more[3 * sizeof pixels];
    float all[3][7];
    for (size_t i = 0; i < sizeof more; i++)
        more[i] = i / sizeof pixels == 1 ? pixels[i % sizeof pixels] : (uint8_t)(i * 91 % 241);
    classifier_images(c, more, 3, all[0]);
    assert_memory_equal(all[1], probs, sizeof probs);
    load(&g, &d, &(struct decoder_opts){ .use = DECODER_LOGITS, .compute = DT_F32 });
    const struct vision plain = { { 0.5, 0.5 }, { 0.5, 0.5 } };
    const struct step s = { .T = g.c.ctx, .S = 1, .seq_start = g.seq_start };
    vision_patches(&plain, &g.c, pixels, d.g->tensor[d.pixels].data);
    graph_run(d.g, PASS_PREPARE, &s);
    graph_run(d.g, PASS_FORWARD, &s);
    const float *logits = d.g->tensor[d.logits].data;
    for (int i = 0; i < 7; i++)
        sum += (double)probs[i], sum_exp += exp((double)logits[i]);
    for (int i = 0; i < 7; i++)
        assert_true(fabs((double)probs[i] - exp((double)logits[i]) / sum_exp) < 1e-6);
    assert_true(fabs(sum - 1) < 1e-6);
    decoder_release(&d);
    classifier_free(c);
    close_case(&g);
}

static void bad_configurations_are_named(void **state)
{
    (void)state;
    static const struct { const char *text; int code; const char *says; } bad[] = {
        { "{\"model_type\": \"vit\", \"image_size\": 30, \"patch_size\": 4}", ERR_RANGE, "whole patches" },
        { "{\"model_type\": \"vit\", \"patch_size\": 0}", ERR_RANGE, "image_size / patch_size is 0" },
        { "{\"model_type\": \"vit\", \"num_channels\": 17}", ERR_RANGE, "num_channels" },
        { "{\"model_type\": \"vit\", \"image_size\": 1000000}", ERR_RANGE, "image_size" },
        { "{\"model_type\": \"vit\", \"patch_size\": 512}", ERR_RANGE, "image_size / patch_size is 0" },
        { "{\"model_type\": \"vit\", \"id2label\": 3}", ERR_FORMAT, "id2label" },
        { "{\"model_type\": \"vit\", \"num_labels\": 3, \"id2label\": {\"0\": \"a\"}}", ERR_FORMAT, "id2label names 1" },
        { "{\"model_type\": \"vit\", \"architectures\": [\"ViTForImageClassification\"], \"num_labels\": 0}", ERR_RANGE, "no classes" },
        { "{\"model_type\": \"vit\", \"classifier_pooling\": \"max\"}", ERR_UNSUPPORTED, "cls, mean" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config c;
        assert_int_equal(config_parse(&c, bad[i].text, strlen(bad[i].text), "x", NULL, &err), bad[i].code);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%s: '%s', expected '%s' in it", bad[i].text, err.msg, bad[i].says);
    }
}

int main(void)
{
    if (pool_new(&pool, 2, &err) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations_are_named),
        cmocka_unit_test(images_are_cut_into_patches_channel_by_channel),
        cmocka_unit_test(a_preprocessor_file_is_read_back_or_refused),
        cmocka_unit_test(a_classifier_gives_the_probabilities_of_the_logits),
        cmocka_unit_test(a_classifiers_features_are_what_its_head_reads),
        cmocka_unit_test(a_configuration_is_written_as_it_was_read),
        cmocka_unit_test(logits_equal_the_reference),
        cmocka_unit_test(losses_and_all_gradients_equal_the_reference),
        cmocka_unit_test(the_slope_by_the_image_equals_the_reference),
        cmocka_unit_test(an_adversary_moves_images_to_where_the_loss_is_higher),
        cmocka_unit_test(weights_after_20_steps_equal_the_reference),
    };
    const int failed = cmocka_run_group_tests(tests, make_dir, remove_dir);
    pool_free(pool);
    return failed;
}
