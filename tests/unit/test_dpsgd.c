/* test_dpsgd.c - training that hides records: two steps against opacus (tools/golden/dpsgd.py), noise and sampling by their
 * distributions, the same bits after a stop and with any number of threads, what bad settings lead to. */
#include <math.h>
#include "golden.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/loader.h"
#include "model/decoder.h"
#include "model/tok.h"
#include "train/dpsgd.h"
#include "train/loop.h"

#define GOLDEN "tests/golden/dpsgd"
#define TINY "model: {hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 48, norm: rmsnorm, act: swiglu, pos: rope, tie_word_embeddings: true}\n"
#define MOE "model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: layernorm, act: gelu, pos: learned, " \
            "router_aux_loss_coef: 0.01, router_z_loss_coef: 0.001, norm_topk_prob: true}\n"

#define N_TEXT 20
static struct err err;

static void write_text(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

/* The golden's model with its tokenizer, in a folder of this test. */
static void put_model(void)
{
    static const char *const files[] = { "config.json", "model.safetensors", "text.txt" };
    struct buf b;
    struct tok *t;
    buf_init(&b);
    OK(file_mkdirs(in_dir("base"), &err));
    for (int i = 0; i < 3; i++) {
        buf_clear(&b);
        OK(file_read(path_in(GOLDEN, files[i]), 1 << 20, &b, &err));
        OK(file_write_all(path_in(in_dir("base"), files[i]), b.data, b.len, &err));
    }
    OK(tok_from_bytes(&t, &(struct tok_text){ b.data, b.len }, 1, &err));
    buf_clear(&b);
    OK(tok_write(t, &b, &err));
    OK(file_write_all(path_in(in_dir("base"), "tokenizer.json"), b.data, b.len, &err));
    tok_free(t);
    buf_release(&b);
}

/* Bars on noise, as idx files. */
static void write_images(void)
{
    struct buf images, labels;
    buf_init(&images), buf_init(&labels);
    OK(buf_add(&images, "\0\0\x08\x03\0\0\0\x18\0\0\0\x08\0\0\0\x08", 16, &err));
    OK(buf_add(&labels, "\0\0\x08\x01\0\0\0\x18", 8, &err));
    for (int i = 0; i < 24; i++) {
        OK(buf_add_char(&labels, (char)(i % 3), &err));
        for (int k = 0; k < 64; k++)
            OK(buf_add_char(&images, (char)((k * k + i * 7) % 50 + (k / 16 == i % 3 ? 150 : 0)), &err));
    }
    OK(file_write_all(in_dir("images"), images.data, images.len, &err));
    OK(file_write_all(in_dir("labels"), labels.data, labels.len, &err));
    buf_release(&images), buf_release(&labels);
}

static int set_up(void **state)
{
    if (make_dir(state))
        return -1;
    cache_of_tests();
    log_level_set(LOG_QUIET);
    put_model();
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 700; i++)
        OK(buf_printf(&b, &err, "%s%s", &"the\0cat\0sat\0ran\0dog\0eye"[4 * ((i * i + i / 7) % 6)], i % 11 == 10 ? ".\n" : " "));
    OK(file_write_all(in_dir("corpus.txt"), b.data, b.len, &err));
    buf_clear(&b);
    for (int i = 0; i < 40; i++)
        OK(buf_printf(&b, &err, "{\"prompt\": \"count to %d:\", \"completion\": \" %.*s\"}\n", i, 3 + i % 13, "one two three four"));
    OK(file_write_all(in_dir("records.jsonl"), b.data, b.len, &err));
    buf_clear(&b);
    for (int i = 0; i < N_TEXT; i++)
        OK(buf_printf(&b, &err, "{\"text\": \"%.*s%c %s\", \"label\": \"%c\"}\n", 4 + i % 9, "one two three", 'a' + i, i % 3 == 0 ? "cat" : "dog", 'a' + i % 3));
    OK(file_write_all(in_dir("texts.jsonl"), b.data, b.len, &err));
    buf_clear(&b);
    for (int i = 0; i < 8; i++)
        OK(buf_printf(&b, &err, "{\"prompt\": \"the %.3s\", \"chosen\": \" sat\", \"rejected\": \" ran on\"}\n", &"catdogeye"[i % 7]));
    OK(file_write_all(in_dir("pairs.jsonl"), b.data, b.len, &err));
    write_images();
    buf_release(&b);
    return 0;
}

static int train(const char *config, const char *out, int n_thread, volatile sig_atomic_t *stop, struct train_result *r)
{
    const struct train_opts o = { .config = in_dir(config), .out = in_dir(out), .n_thread = n_thread, .stop = stop, .fail_step = -1 };
    return train_run(&o, r, &err);
}

/* From the golden's model on its text. */
static void on_golden(const char *name, const char *privacy, const char *more)
{
    char text[1200];
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0}\nprivacy: {%s}\n"
             "train: {ctx: 12, optimizer: sgd, momentum: 0, weight_decay: 0, schedule: constant, warmup: 0, precision: fp32, seed: 12345, eval_every: 0, save_every: 0, %s}\n",
             in_dir("base"), in_dir("base/text.txt"), privacy, more);
    write_text(name, text);
}

static const char *digest(const char *out, const char *file)
{
    static char hex[4][SHA256_HEX];
    static int i;
    i = (i + 1) % 4;
    OK(sha256_of_file(path_in(in_dir(out), file), hex[i], &err));
    return hex[i];
}

/* Value of a key in line i of OUT/metrics.jsonl. */
static double metric(const char *out, int i, const char *key)
{
    struct buf b;
    json_t *o;
    buf_init(&b);
    OK(file_read(path_in(in_dir(out), "metrics.jsonl"), 1 << 24, &b, &err));
    char *at = b.data;
    for (; i > 0; i--)
        at = strchr(at, '\n') + 1;
    OK(tree_parse_json(&o, at, strcspn(at, "\n"), "metrics", &err));
    assert_true(json_is_number(json_object_get(o, key)));
    const double x = json_number_value(json_object_get(o, key));
    json_decref(o);
    buf_release(&b);
    return x;
}

/* ---- against opacus ---- */

/* Largest relative difference of a tensor between OUT and the golden's after.*, or another run's where `other` is given.  A bias of keys
 * alone, whose gradient is 0 but for rounding, is left out. */
static double farthest(const char *out, const char *other, const char *tensors)
{
    struct safetensors *want, *have;
    double most = 0;
    OK(safetensors_open(&want, other ? path_in(in_dir(other), tensors) : GOLDEN "/golden.safetensors", &err));
    OK(safetensors_open(&have, path_in(in_dir(out), tensors), &err));
    for (int i = 0; i < have->n_tensor; i++) {
        char name[200];
        double off = 0, all = 0;
        const float *a = have->tensor[i].data;
        if (strstr(have->tensor[i].name, "key.bias"))
            continue;
        snprintf(name, sizeof name, "%s%s", other ? "" : "after.", have->tensor[i].name);
        const struct st_tensor *t = find(want, name);
        assert_int_equal(t->n, have->tensor[i].n);
        for (int64_t k = 0; k < t->n; k++) {
            const double b = other ? (double)((const float *)t->data)[k] : ((const double *)t->data)[k];
            off += (a[k] - b) * (a[k] - b), all += b * b;
        }
        most = fmax(most, sqrt(off / all));
    }
    safetensors_free(have);
    safetensors_free(want);
    return most;
}

static void two_steps_are_those_of_opacus(const char *out, const char *clipping, double margin)
{
    struct safetensors *want;
    struct train_result r;
    char privacy[120];
    OK(safetensors_open(&want, GOLDEN "/golden.safetensors", &err));
    const double clip = *(const double *)find(want, "clip")->data, *norms = find(want, "norms")->data, *losses = find(want, "losses")->data;
    snprintf(privacy, sizeof privacy, "noise_multiplier: 0, delta: 1e-3, max_grad_norm: %.9g, clipping: %s", clip / (1 - margin), clipping);
    on_golden("opacus.yaml", privacy, "steps: 2, batch: 3, accumulate: 2, lr: 0.5");
    OK(train("opacus.yaml", out, 2, NULL, &r));
    int n_clipped = 0;
    for (int i = 0; i < 6; i++)
        n_clipped += norms[i] > clip;
    assert_true(metric(out, 0, "records") == 6 && metric(out, 0, "records_clipped") == n_clipped && n_clipped == 3);
    for (int i = 0; i < 2; i++)
        assert_true(fabs(metric(out, i, "loss") - losses[i]) < 1e-5 * losses[i]);
    assert_true(farthest(out, NULL, "model.safetensors") < 1e-5);
    safetensors_free(want);
}

static void two_steps_without_noise_are_those_of_opacus(void **state)
{
    (void)state;
    two_steps_are_those_of_opacus("opacus", "records", 0);
}

/* The bound is lower by a margin there, which is given on top. */
static void so_are_those_by_ghost_norms(void **state)
{
    (void)state;
    two_steps_are_those_of_opacus("opacus-ghost", "ghost", GHOST_MARGIN_F32);
}

/* ---- ghost norms against records one by one ---- */

#define SGD "{accumulate: 3, steps: 3, precision: fp32, optimizer: sgd, momentum: 0, warmup: 1, seed: 424242, eval_every: 0, save_every: 0"

/* head: the sections model, lora and data. */
static void both_ways(const char *head, const char *more, double bound, const char *tensors)
{
    static const char *const way[] = { "records", "ghost" };
    struct train_result r;
    for (int i = 0; i < 2; i++) {
        char text[1600];
        snprintf(text, sizeof text, "%sprivacy: {noise_multiplier: 0, delta: 1e-3, max_grad_norm: %.9g, clipping: %s}\ntrain: " SGD "%s}\n", head,
                 bound / (i ? 1 - GHOST_MARGIN_F32 : 1), way[i], more);
        write_text("way.yaml", text);
        file_remove_tree(in_dir(way[i]), NULL);
        OK(train("way.yaml", way[i], 1 + i, NULL, &r));
    }
    double clipped = 0, taken = 0;
    for (int i = 0; i < r.steps; i++) {
        assert_true(metric("records", i, "records") == metric("ghost", i, "records"));
        assert_true(metric("records", i, "records_clipped") == metric("ghost", i, "records_clipped"));
        assert_true(fabs(metric("records", i, "loss") - metric("ghost", i, "loss")) < 1e-5);
        clipped += metric("ghost", i, "records_clipped"), taken += metric("ghost", i, "records");
    }
    if (!(clipped > 0 && clipped < taken))
        fail_msg("%s: %g of %g records were clipped", head, clipped, taken);
    const double off = farthest("ghost", "records", tensors);
    if (!(off < 1e-5))
        fail_msg("%s: ghost norms give weights that differ by %g", head, off);
}

static void ghost_norms_clip_as_records_one_by_one_do(void **state)
{
    (void)state;
    char head[900];
    snprintf(head, sizeof head, TINY "data: {train: %s, tokenizer: bytes, valid_share: 0.2}\n", in_dir("corpus.txt"));
    both_ways(head, ", ctx: 12, batch: 4, lr: 0.1", 2, "model.safetensors");
    snprintf(head, sizeof head, TINY "data: {train: %s, tokenizer: bytes, valid_share: 0.2}\n", in_dir("records.jsonl"));
    both_ways(head, ", ctx: 48, batch: 4, lr: 0.1, recompute: block", 3, "model.safetensors");
    snprintf(head, sizeof head, "model: {from: %s}\nlora: {rank: 3, rslora: true}\ndata: {train: %s, valid_share: 0}\n", in_dir("base"), in_dir("base/text.txt"));
    both_ways(head, ", ctx: 12, batch: 2, lr: 1", 3.0, "adapter_model.safetensors");
}

/* ---- classes ---- */

#define ENCODER "model: {model_type: bert, hidden_size: 24, num_hidden_layers: 2, num_attention_heads: 3, intermediate_size: 40, max_position_embeddings: 32, type_vocab_size: 2, hidden_dropout_prob: 0, initializer_range: 0.2}\n"
#define VIT "model: {model_type: vit, hidden_size: 24, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 40, patch_size: 4, initializer_range: 0.2%s}\n"

/* The model that was saved in a folder, with its gradients; records of its data one at a time. */
struct plain { struct config c; struct weights_list *l; struct decoder d; struct shard s; struct pool *pool; };

static void open_plain(struct plain *p, const char *folder)
{
    struct safetensors *st;
    OK(config_load(&p->c, in_dir(folder), NULL, &err));
    OK(weights_list_new(&p->l, &p->c, &err));
    OK(pool_new(&p->pool, 1, &err));
    OK(decoder_record(&p->d, &p->c, &(struct decoder_opts){ .use = DECODER_TRAIN }, &err));
    OK(decoder_plan(&p->d, 64, 1, 1, NULL, &err));
    OK(decoder_bind(&p->d, p->pool, NULL, &err));
    OK(safetensors_open(&st, in_dir(folder), &err));
    OK(weights_load(p->l, st, decoder_weight, &p->d, &err));
    safetensors_free(st);
    OK(shard_open(&p->s, path_in(in_dir(folder), "data/train.tok"), &err));
    graph_run(p->d.g, PASS_PREPARE, &(struct step){ .T = 1, .S = 1, .seq_start = (const int32_t[]){ 0, 1 } });
}

static void close_plain(struct plain *p)
{
    shard_close(&p->s);
    decoder_release(&p->d);
    weights_list_free(p->l);
    pool_free(p->pool);
}

/* Norm of the gradient of text i, whose class is i % 3. */
static double norm_of_text(struct plain *p, int i)
{
    struct graph *g = p->d.g;
    const int n = (int)(p->s.start[i + 1] - p->s.start[i]);
    const int32_t start[2] = { 0, n };
    for (int t = 0; t < n; t++)
        ((int32_t *)g->tensor[p->d.ids].data)[t] = shard_id(&p->s, (int64_t)p->s.start[i] + t), ((int32_t *)g->tensor[p->d.pos].data)[t] = t;
    for (int c = 0; c < 3; c++)
        ((float *)g->tensor[p->d.label].data)[c] = c == i % 3;
    const struct step s = { .T = n, .S = 1, .seq_start = start, .loss_scale = 1 };
    graph_run(g, PASS_FORWARD, &s);
    graph_run(g, PASS_BACKWARD, &s);
    graph_run(g, PASS_NORM, &s);
    return sqrt(graph_grad_square(g));
}

static int ascends(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b; }

/* What of all weights a step of plain SGD with lr 1 leaves: the mean of the clipped gradients taken off. */
static void texts_with_classes_are_clipped_as_by_a_plain_loop(void **state)
{
    (void)state;
    static const char *const way[] = { "records", "ghost" };
    struct plain p, after;
    struct train_result r;
    char text[1600];
    snprintf(text, sizeof text, TINY "data: {train: %s, valid_share: 0, tokenizer: bytes, form: label}\ntrain: {steps: 0, warmup: 0, batch: 4, ctx: 32}\n", in_dir("texts.jsonl"));
    write_text("start.yaml", text);
    OK(train("start.yaml", "start", 1, NULL, &r));
    open_plain(&p, "start");
    double norm[N_TEXT], sorted[N_TEXT];
    for (int i = 0; i < N_TEXT; i++)
        norm[i] = sorted[i] = norm_of_text(&p, i);
    qsort(sorted, N_TEXT, sizeof *sorted, ascends);
    const double clip = (sorted[N_TEXT / 2 - 1] + sorted[N_TEXT / 2]) / 2;
    for (int w = 0; w < 2; w++) {
        snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0, form: label}\nprivacy: {noise_multiplier: 0, delta: 1e-3, max_grad_norm: %.9g, clipping: %s}\n"
                 "train: {steps: 1, batch: 10, accumulate: 2, ctx: 32, lr: 1, optimizer: sgd, momentum: 0, weight_decay: 0, schedule: constant, warmup: 0, precision: fp32, seed: 7, slices: %d}\n",
                 in_dir("start"), in_dir("texts.jsonl"), clip / (w ? 1 - GHOST_MARGIN_F32 : 1), way[w], 1 + w);
        write_text("loop.yaml", text);
        char out[20];
        snprintf(out, sizeof out, "loop-%d", w);
        OK(train("loop.yaml", out, 2, NULL, &r));
        assert_true(metric(out, 0, "records") == N_TEXT && metric(out, 0, "records_clipped") == N_TEXT / 2);
        open_plain(&after, out);
        double off = 0, all = 0;
        for (int k = 0; k < p.l->n_weight; k++) {
            const int64_t n = p.l->weight[k].n;
            double *sum = mem_alloc_array((size_t)n, sizeof *sum);
            for (int i = 0; i < N_TEXT; i++) {
                norm_of_text(&p, i);
                for (int64_t e = 0; e < n; e++)
                    sum[e] += (double)((const float *)p.d.g->tensor[p.d.g->tensor[k].grad].data)[e] * fmin(1, clip / norm[i]);
            }
            for (int64_t e = 0; e < n; e++) {
                const double step = (double)decoder_weight(&p.d, k)[e] - (double)decoder_weight(&after.d, k)[e], want = sum[e] / N_TEXT;
                off += (step - want) * (step - want), all += want * want;
            }
            mem_free(sum);
        }
        if (!(sqrt(off / all) < 1e-5))
            fail_msg("%s: the step differs by %g of its length", way[w], sqrt(off / all));
        close_plain(&after);
    }
    close_plain(&p);
}

static void ghost_norms_of_classes_clip_as_records_one_by_one_do(void **state)
{
    (void)state;
    char head[900];
    snprintf(head, sizeof head, ENCODER "data: {train: %s, tokenizer: bytes, valid_share: 0.2, form: label}\n", in_dir("texts.jsonl"));
    both_ways(head, ", ctx: 32, batch: 4, lr: 0.1, label_smoothing: 0.1", 6, "model.safetensors");
    snprintf(head, sizeof head, "model: {from: %s}\nlora: {rank: 3}\ndata: {train: %s, valid_share: 0.2, form: label}\n", in_dir("start"), in_dir("texts.jsonl"));
    both_ways(head, ", ctx: 32, batch: 4, lr: 0.1", 5.5, "adapter_model.safetensors");
    for (int mean = 0; mean < 2; mean++) {
        snprintf(head, sizeof head, VIT "data: {train: [%s, %s], valid_share: 0.2, shift: 1, flip: true}\n", mean ? ", classifier_pooling: mean" : "", in_dir("images"), in_dir("labels"));
        both_ways(head, ", batch: 4, lr: 0.1, recompute: cheap", 8, "model.safetensors");
    }
}

/* ---- pairs of answers ---- */

static void write_pairs_config(const char *privacy, const char *more)
{
    char text[1600];
    snprintf(text, sizeof text, "model: {from: %s}\ndata: {train: %s, valid_share: 0}\n%strain: {batch: 8, ctx: 48, lr: 0.3, optimizer: sgd, momentum: 0, weight_decay: 0, schedule: constant, warmup: 0, "
             "clip: 0, precision: fp32, seed: 7, slices: 1, objective: dpo, beta: 0.5%s}\n", in_dir("words"), in_dir("pairs.jsonl"), privacy, more);
    write_text("pairs.yaml", text);
}

/* All taken, none clipped: the same as without privacy.  A lower bound is what none moves the weights by more than. */
static void a_pair_is_a_record(void **state)
{
    (void)state;
    struct train_result r;
    char text[1600];
    snprintf(text, sizeof text, TINY "data: {train: %s, valid_share: 0, tokenizer: bytes}\ntrain: {steps: 0, warmup: 0, batch: 1, ctx: 48}\n", in_dir("corpus.txt"));
    write_text("words.yaml", text);
    OK(train("words.yaml", "words", 1, NULL, &r));
    write_pairs_config("", ", steps: 2");
    OK(train("pairs.yaml", "pairs", 1, NULL, &r));
    write_pairs_config("privacy: {noise_multiplier: 0, delta: 1e-3, max_grad_norm: 1e6}\n", ", steps: 2");
    OK(train("pairs.yaml", "pairs-private", 2, NULL, &r));
    assert_true(metric("pairs-private", 1, "records") == 8 && metric("pairs-private", 1, "records_clipped") == 0);
    assert_true(fabs(metric("pairs-private", 1, "loss") - metric("pairs", 1, "loss")) < 1e-6);
    const double margin = metric("pairs", 1, "rewards/margins");
    assert_true(margin > 0 && fabs(metric("pairs-private", 1, "rewards/margins") / margin - 1) < 1e-5);
    assert_true(farthest("pairs-private", "pairs", "model.safetensors") < 1e-6);
    write_pairs_config("privacy: {noise_multiplier: 0, delta: 1e-3, max_grad_norm: 0.01}\n", ", steps: 1");
    OK(train("pairs.yaml", "pairs-clipped", 1, NULL, &r));
    assert_true(metric("pairs-clipped", 0, "records_clipped") == 8);
    const double step = farthest("pairs-clipped", "words", "model.safetensors");
    assert_true(step > 0 && step < 0.01);
    write_pairs_config("privacy: {noise_multiplier: 0, delta: 1e-3, clipping: ghost}\n", ", steps: 1");
    assert_int_equal(train("pairs.yaml", "bad", 1, NULL, &r), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "expected records"));
}

/* ---- chance ---- */

/* Elements of all weights: after - before. */
static double *moved(const char *out, size_t *n)
{
    struct safetensors *a, *b;
    OK(safetensors_open(&a, path_in(in_dir(out), "model.safetensors"), &err));
    OK(safetensors_open(&b, GOLDEN "/model.safetensors", &err));
    double *x = mem_alloc_array(1 << 16, sizeof *x);
    *n = 0;
    for (int i = 0; i < b->n_tensor; i++) {
        const float *before = b->tensor[i].data, *after = find(a, b->tensor[i].name)->data;
        for (int64_t k = 0; k < b->tensor[i].n; k++)
            x[(*n)++] = (double)after[k] - (double)before[k];
    }
    safetensors_free(a);
    safetensors_free(b);
    return x;
}

static void noise_is_normal_and_of_the_size_that_is_accounted(void **state)
{
    (void)state;
    struct train_result r;
    size_t n;
    /* records count next to nothing: 1e-6 of the noise, whose deviation is 2 / 3 in a step's gradient */
    on_golden("noise.yaml", "noise_multiplier: 1e6, delta: 1e-3, max_grad_norm: 2e-6", "steps: 1, batch: 3, lr: 1");
    on_golden("noise2.yaml", "noise_multiplier: 1e6, delta: 1e-3, max_grad_norm: 2e-6", "steps: 2, batch: 3, lr: 1");
    OK(train("noise.yaml", "noise", 1, NULL, &r));
    OK(train("noise2.yaml", "noise2", 1, NULL, &r));
    double *x = moved("noise", &n), *y = moved("noise2", &n);
    double sum = 0, square = 0, fourth = 0, next = 0, step = 0;
    const double sigma = 2.0 / 3;
    assert_true(n > 7000);
    for (size_t i = 0; i < n; i++) {
        const double z = x[i] / sigma;
        sum += z, square += z * z, fourth += z * z * z * z;
        next += i ? z * x[i - 1] / sigma : 0;
        step += z * (y[i] - x[i]) / sigma;
    }
    const double m = (double)n, five = 5 / sqrt(m);      /* five deviations */
    assert_true(fabs(sum / m) < five);
    assert_true(fabs(square / m - 1) < five * sqrt(2));
    assert_true(fabs(fourth / m - 3) < five * sqrt(96));
    assert_true(fabs(next / m) < five);                  /* not the same for neighbours, nor in the next step */
    assert_true(fabs(step / m) < five);
    mem_free(x);
    mem_free(y);
}

/* With one record that is always taken, all that moves is its clipped gradient: never longer than the bound, in bf16 too, where the second
 * pass of ghost norms rounds otherwise than the first. */
static void one_record_moves_the_weights_by_the_bound_at_most(void **state)
{
    (void)state;
    static const char *const way[] = { "records", "ghost" };
    static const char text[] = "a tale of a tub and of two old seals";      /* a window of 12, and its target */
    struct train_result r;
    for (int i = 0; i < 12; i++) {
        char config[1000], out[24];
        size_t n;
        OK(file_write_all(in_dir("single.txt"), text + i / 2 * 4, 13, &err));
        snprintf(config, sizeof config, "model: {from: %s}\ndata: {train: %s, valid_share: 0}\nprivacy: {noise_multiplier: 0, delta: 1e-3, max_grad_norm: 0.5, clipping: %s}\n"
                 "train: {steps: 1, batch: 1, ctx: 12, optimizer: sgd, momentum: 0, weight_decay: 0, lr: 1, schedule: constant, warmup: 0, seed: 5, eval_every: 0}\n",
                 in_dir("base"), in_dir("single.txt"), way[i % 2]);
        write_text("single.yaml", config);
        snprintf(out, sizeof out, "single-%d", i);
        OK(train("single.yaml", out, 1, NULL, &r));
        double *x = moved(out, &n), square = 0;
        for (size_t k = 0; k < n; k++)
            square += x[k] * x[k];
        mem_free(x);
        if (!(sqrt(square) < 0.5 * (1 + 1e-6) && sqrt(square) > 0.48))
            fail_msg("'%.13s' by %s moved the weights by %.9g, expected at most 0.5", text + i / 2 * 4, way[i % 2], sqrt(square));
    }
}

/* Whether a step counts must not depend on the records beyond what is accounted for. */
static void a_step_whose_records_are_all_not_finite_is_noise_alone(void **state)
{
    (void)state;
    static const char *const way[] = { "records", "ghost" }, *const out[] = { "endless-0", "endless-1" }, *const files[] = { "config.json", "tokenizer.json" };
    struct train_result r;
    struct buf b;
    buf_init(&b);
    OK(file_mkdirs(in_dir("endless"), &err));
    for (int i = 0; i < 2; i++) {
        buf_clear(&b);
        OK(file_read(path_in(in_dir("base"), files[i]), 1 << 20, &b, &err));
        OK(file_write_all(path_in(in_dir("endless"), files[i]), b.data, b.len, &err));
    }
    buf_clear(&b);
    OK(file_read(in_dir("base/model.safetensors"), 1 << 20, &b, &err));
    for (size_t i = 1; i <= 64; i++)                         /* finite, and logits are not */
        memcpy(b.data + b.len - i * sizeof(float), &(float){ 3e38f }, sizeof(float));
    OK(file_write_all(in_dir("endless/model.safetensors"), b.data, b.len, &err));
    buf_release(&b);
    OK(file_write_all(in_dir("single.txt"), "a tale of a tub", 13, &err));
    for (int i = 0; i < 2; i++) {
        char config[1000];
        snprintf(config, sizeof config, "model: {from: %s}\ndata: {train: %s, valid_share: 0}\nprivacy: {noise_multiplier: 1, delta: 1e-3, clipping: %s}\n"
                 "train: {steps: 1, batch: 1, ctx: 12, optimizer: sgd, momentum: 0, weight_decay: 0, lr: 1, schedule: constant, warmup: 0, precision: fp32, seed: 5, eval_every: 0}\n",
                 in_dir("endless"), in_dir("single.txt"), way[i]);
        write_text("endless.yaml", config);
        OK(train("endless.yaml", out[i], 1, NULL, &r));
        assert_true(metric(out[i], 0, "records") == 1 && metric(out[i], 0, "records_not_finite") == 1);
        assert_true(metric(out[i], 0, "loss") == 0);
        assert_true(farthest(out[i], "endless", "model.safetensors") > 0.1);
    }
}

static void records_are_taken_by_themselves(void **state)
{
    (void)state;
    struct train_result r;
    double sum = 0, square = 0;
    const int steps = 100;
    on_golden("poisson.yaml", "noise_multiplier: 1, delta: 1e-3", "steps: 100, batch: 2, lr: 0");
    OK(train("poisson.yaml", "poisson", 1, NULL, &r));
    int none = 0;
    for (int i = 0; i < steps; i++) {
        const double n = metric("poisson", i, "records");
        sum += n, square += n * n;
        none += n == 0;
    }
    /* binomial, 6 windows at 1/3: mean 2, variance 4/3, none with 0.0878 */
    assert_true(fabs(sum / steps - 2) < 5 * sqrt(4.0 / 3 / steps));
    assert_true(fabs(square / steps - sum / steps * sum / steps - 4.0 / 3) < 0.8);
    assert_true(fabs(none / 100.0 - 0.0878) < 0.12);
}

static void windows_of_a_text_share_no_token(void **state)
{
    (void)state;
    struct tok *t;
    struct shard s;
    struct loader l;
    int32_t block[4][40];
    struct batch b = { block[0], block[1], block[2], block[3], 0, 0 };
    struct train_result r;
    on_golden("dry.yaml", "noise_multiplier: 1, delta: 1e-3", "steps: 0, batch: 1");
    OK(train("dry.yaml", "dry", 1, NULL, &r));
    OK(tok_load(&t, in_dir("base"), &err));
    OK(shard_open(&s, in_dir("dry/data/train.tok"), &err));
    OK(loader_init(&l, &s, 1, 12, 1, false, &err));
    assert_int_equal(loader_n_record(&l), 6);
    int64_t at = 0;
    for (int64_t i = 0; i < 6; i++) {
        loader_records(&l, &i, 1, &b);
        assert_int_equal(b.n, loader_record_tokens(&l, i));
        for (int k = 0; k < b.n; k++, at++) {
            assert_int_equal(b.ids[k], shard_id(&s, at));
            assert_int_equal(b.target[k], k == b.n - 1 ? -1 : shard_id(&s, at + 1));
        }
    }
    assert_int_equal(at, s.n);
    loader_release(&l);
    shard_close(&s);
    tok_free(t);
}

/* ---- the same bits ---- */

static void write_config(const char *name, const char *model, const char *data, const char *privacy, const char *more)
{
    char text[1600];
    snprintf(text, sizeof text, "%sdata: {train: %s, tokenizer: bytes, valid_share: 0.2}\nprivacy: {%s}\ntrain: {batch: 4, ctx: 48, lr: 3e-3, warmup: 1, seed: 424242, save_every: 3, eval_every: 0%s}\n", model,
             in_dir(data), privacy, more);
    write_text(name, text);
}

static void a_stopped_run_goes_on_to_the_same_weights(void **state)
{
    (void)state;
    struct train_result r;
    write_config("a.yaml", TINY, "corpus.txt", "noise_multiplier: 0.7, delta: 1e-3, max_grad_norm: 0.5", ", steps: 5, precision: fp32");
    write_config("b.yaml", MOE, "records.jsonl", "target_epsilon: 6, delta: 1e-3", ", steps: 5");
    for (int c = 0; c < 2; c++) {
        char config[8], whole[16], stopped[16];
        snprintf(config, sizeof config, "%c.yaml", 'a' + c), snprintf(whole, sizeof whole, "whole-%d", c), snprintf(stopped, sizeof stopped, "stopped-%d", c);
        OK(train(config, whole, 1, NULL, &r));
        const double spent = r.epsilon;
        volatile sig_atomic_t stop = 1;
        int n = 0;
        while (train(config, stopped, 2 + n % 2, &stop, &r) == ERR_STOPPED)
            assert_true(++n < 9);
        assert_int_equal(r.steps, 5);
        assert_string_equal(digest(whole, "model.safetensors"), digest(stopped, "model.safetensors"));
        assert_string_equal(digest(whole, "privacy.json"), digest(stopped, "privacy.json"));
        assert_true(spent > 0 && r.epsilon == spent && (c == 0 || (spent <= 6 && spent > 5.9)));
    }
    assert_true(metric("whole-1", 0, "epsilon") < metric("whole-1", 4, "epsilon"));
    static const char *const told[] = { "whole-1/run.json", "whole-1/report.html" };
    for (int i = 0; i < 2; i++) {                        /* the seed would take the noise out */
        struct buf b;
        buf_init(&b);
        OK(file_read(in_dir(told[i]), 1 << 24, &b, &err));
        assert_non_null(strstr(b.data, "withheld"));
        assert_null(strstr(b.data, "424242"));
        buf_release(&b);
    }
}

/* Another seed is another noise, and changes the run's identity. */
static void the_seed_decides_the_noise(void **state)
{
    (void)state;
    struct train_result r;
    on_golden("one.yaml", "noise_multiplier: 1, delta: 1e-3", "steps: 1, batch: 1, lr: 1");
    OK(train("one.yaml", "one", 1, NULL, &r));
    OK(train("one.yaml", "one-again", 2, NULL, &r));
    assert_string_equal(digest("one", "model.safetensors"), digest("one-again", "model.safetensors"));
    on_golden("one.yaml", "noise_multiplier: 1, delta: 1e-3, max_grad_norm: 2", "steps: 1, batch: 1, lr: 1");
    assert_int_equal(train("one.yaml", "one", 1, NULL, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "other settings"));
}

/* ---- what is wrong ---- */

static void bad_settings_are_told(void **state)
{
    (void)state;
    static const struct { const char *privacy, *train, *says; } bad[] = {
        { "noise_multiplier: 1, target_epsilon: 2, delta: 1e-3", "steps: 1", "both given" },
        { "delta: 1e-3", "steps: 1", "neither noise_multiplier nor target_epsilon" },
        { "noise_multiplier: 1", "steps: 1", "delta is missing" },
        { "noise_multiplier: 1, delta: 0.9", "steps: 1", "delta" },
        { "noise_multiplier: 1, delta: 1e-3, max_grad_norm: 0", "steps: 1", "max_grad_norm" },
        { "noise_multiplier: 1, delta: 1e-3, sampling: shuffle", "steps: 1", "sampling" },
        { "noise_multiplier: 1, delta: 1e-3, epsilon: 1", "steps: 1", "epsilon" },
        { "noise_multiplier: 1, delta: 1e-3", "steps: 1, batch: 7", "there are 6" },
        { "noise_multiplier: 1, delta: 1e-3", "steps: 1, batch: 3, slices: 2", "slices" },
        { "noise_multiplier: 1, delta: 1e-3", "steps: 1, mixup: 0.2", "would not be its own" },
        { "target_epsilon: 1e-5, delta: 1e-12", "steps: 1000000, batch: 6", "needs a noise_multiplier over" },
    };
    struct train_result r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        on_golden("bad.yaml", bad[i].privacy, bad[i].train);
        assert_true(train("bad.yaml", "bad", 1, NULL, &r) < 0);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("%s / %s gave '%s', expected '%s'", bad[i].privacy, bad[i].train, err.msg, bad[i].says);
    }
    write_text("seedless.yaml", TINY "data: {train: corpus.txt, tokenizer: bytes}\nprivacy: {noise_multiplier: 1, delta: 1e-3}\ntrain: {steps: 1}\n");
    assert_int_equal(train("seedless.yaml", "bad", 1, NULL, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "train.seed is missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_steps_without_noise_are_those_of_opacus),
        cmocka_unit_test(so_are_those_by_ghost_norms),
        cmocka_unit_test(ghost_norms_clip_as_records_one_by_one_do),
        cmocka_unit_test(texts_with_classes_are_clipped_as_by_a_plain_loop),
        cmocka_unit_test(ghost_norms_of_classes_clip_as_records_one_by_one_do),
        cmocka_unit_test(a_pair_is_a_record),
        cmocka_unit_test(noise_is_normal_and_of_the_size_that_is_accounted),
        cmocka_unit_test(one_record_moves_the_weights_by_the_bound_at_most),
        cmocka_unit_test(a_step_whose_records_are_all_not_finite_is_noise_alone),
        cmocka_unit_test(records_are_taken_by_themselves),
        cmocka_unit_test(windows_of_a_text_share_no_token),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_weights),
        cmocka_unit_test(the_seed_decides_the_noise),
        cmocka_unit_test(bad_settings_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
