#include "infer/classify.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "model/decoder.h"
#include "model/tok.h"
#include "model/vision.h"

struct classifier {
    struct config config;
    struct weights_list *list;
    struct decoder d;
    struct labels labels;
    struct vision vision;        /* of images */
    struct tok *tok;             /* of texts */
    struct tok_ids ids;
    int ctx;
};

static int load_config(struct classifier *c, const char *path, const struct classify_opts *o, struct err *err)
{
    struct buf own;
    buf_init(&own);
    const int rc = config_load(&c->config, path, o->warnings ? o->warnings : &own, err);
    if (own.len)
        log_warn("%.*s", (int)(own.len - 1), own.data);
    buf_release(&own);
    return rc;
}

static int open_and_plan(struct classifier *c, const char *path, const struct classify_opts *o, int n_thread, struct err *err)
{
    TRY(load_config(c, path, o, err));
    if (!c->config.n_label)
        return ERR(err, UNSUPPORTED, "%s: this %s has no head for classes, expected ...ForImageClassification or ...ForSequenceClassification", path, family_name(c->config.family));
    if (o->features && o->bf16)
        return ERR(err, UNSUPPORTED, "%s: features are floats, expected products of floats", path);
    const bool images = config_vision(&c->config);
    TRY(labels_load(&c->labels, &c->config, path, err));
    if (images)
        TRY(vision_load(&c->vision, &c->config, path, err));
    else if (!o->no_tok)
        TRY(tok_load(&c->tok, path, err));
    if (c->tok && tok_vocab_size(c->tok) > c->config.vocab_size)
        return ERR(err, FORMAT, "%s: vocab_size is %d, expected at least the tokenizer's %d", path, c->config.vocab_size, tok_vocab_size(c->tok));
    if (o->ctx > c->config.ctx)
        return ERR(err, RANGE, "%d positions asked for; the model was made for %d", o->ctx, c->config.ctx);
    c->ctx = images ? c->config.ctx : o->ctx ? o->ctx : c->config.ctx < CLASSIFY_CTX ? c->config.ctx : CLASSIFY_CTX;
    TRY(weights_list_new(&c->list, &c->config, err));
    if (o->slopes && !images)
        return ERR(err, UNSUPPORTED, "%s: this %s reads texts, expected a model of images, by whose numbers slopes are", path, family_name(c->config.family));
    const struct decoder_opts d = { .use = o->slopes ? DECODER_TRAIN : DECODER_LOGITS, .compute = o->bf16 ? DT_BF16 : DT_F32, .frozen = true, .pixels_sought = o->slopes, .features = o->features };
    TRY(decoder_record(&c->d, &c->config, &d, err));
    const int n = images ? CLASSIFY_BATCH : 1;
    return decoder_plan(&c->d, n * c->ctx, n, n_thread, NULL, err);
}

static int fill(struct classifier *c, const char *path, struct pool *pool, struct err *err)
{
    const size_t need = c->d.g->plan.total, free_bytes = mem_available();
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s needs %zu MB of memory, %zu MB are free", path, need >> 20, free_bytes >> 20);
    TRY(decoder_bind(&c->d, pool, NULL, err));
    struct safetensors *st;
    TRY(safetensors_open(&st, path, err));
    const int rc = weights_load(c->list, st, decoder_weight, &c->d, err);
    safetensors_free(st);
    if (!rc)
        graph_run(c->d.g, PASS_PREPARE, &(struct step){ .T = 0, .S = 0 });
    return rc;
}

int classifier_new(struct classifier **out, const char *path, const struct classify_opts *o, struct pool *pool, struct err *err)
{
    struct classifier *c = mem_alloc_array(1, sizeof *c);
    *out = NULL;
    if (!c)
        return ERR(err, NOMEM, "no memory for %s", path);
    int rc = open_and_plan(c, path, o, pool_n_thread(pool), err);
    if (!rc)
        rc = fill(c, path, pool, err);
    if (rc < 0)
        classifier_free(c);
    else
        *out = c;
    return rc;
}

int classifier_plan_bytes(size_t *bytes, const char *path, const struct classify_opts *o, int n_thread, struct err *err)
{
    struct classifier *c = mem_alloc_array(1, sizeof *c);
    if (!c)
        return ERR(err, NOMEM, "no memory for %s", path);
    const int rc = open_and_plan(c, path, o, n_thread, err);
    *bytes = rc ? 0 : c->d.g->plan.total;
    classifier_free(c);
    return rc;
}

void classifier_free(struct classifier *c)
{
    if (!c)
        return;
    decoder_release(&c->d);
    weights_list_free(c->list);
    labels_release(&c->labels);
    tok_free(c->tok);
    tok_ids_release(&c->ids);
    mem_free(c);
}

const struct config *classifier_config(const struct classifier *c) { return &c->config; }
size_t classifier_weight_bytes(const struct classifier *c) { return c->d.g->plan.bytes[TENSOR_PACKED] + c->d.g->plan.bytes[TENSOR_WEIGHT]; }
int classifier_ctx(const struct classifier *c) { return c->ctx; }
int classifier_n_token(const struct classifier *c) { return (int)c->ids.n; }
const struct labels *classifier_labels(const struct classifier *c) { return &c->labels; }

static void softmax(const float *logits, int n, float *probs)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        max = fmax(max, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    for (int i = 0; i < n; i++)
        probs[i] = (float)(exp((double)logits[i] - max) / sum);
}

int classifier_text_logits(struct classifier *c, const char *text, size_t n, float *logits, struct err *err)
{
    assert(c->tok);
    struct graph *g = c->d.g;
    c->ids.n = 0;
    TRY(tok_encode(c->tok, text, n, TOK_ADD, &c->ids, err));
    if (!c->ids.n)
        return ERR(err, FORMAT, "the text has no tokens");
    if (c->ids.n > (size_t)c->ctx)
        return ERR(err, RANGE, "the text has %zu tokens, expected at most %d", c->ids.n, c->ctx);
    const int T = (int)c->ids.n;
    const int32_t start[2] = { 0, T };
    for (int i = 0; i < T; i++)
        ((int32_t *)g->tensor[c->d.ids].data)[i] = c->ids.id[i], ((int32_t *)g->tensor[c->d.pos].data)[i] = i;
    graph_run(g, PASS_FORWARD, &(struct step){ .T = T, .S = 1, .seq_start = start });
    memcpy(logits, g->tensor[c->d.logits].data, (size_t)c->config.n_label * sizeof *logits);
    return 0;
}

int classifier_text(struct classifier *c, const char *text, size_t n, float *probs, struct err *err)
{
    TRY(classifier_text_logits(c, text, n, probs, err));
    softmax(probs, c->config.n_label, probs);
    return 0;
}

int classifier_n_feature(const struct classifier *c)
{
    assert(c->d.features >= 0);
    return (int)tensor_cols(&c->d.g->tensor[c->d.features]);
}

void classifier_features(const struct classifier *c, int n, float *x)
{
    const int N = classifier_n_feature(c);
    const struct tensor *t = &c->d.g->tensor[c->d.features];
    assert(t->dtype == DT_F32);
    memcpy(x, t->data, (size_t)n * (size_t)N * sizeof *x);
}

const float *classifier_head(struct classifier *c, const float **bias)
{
    const int64_t n = c->config.n_label;
    const int w = weights_find(c->list, "label.w", n * tensor_cols(&c->d.g->tensor[c->d.features])), b = weights_find(c->list, "label.b", n);
    assert(w >= 0);
    *bias = b < 0 ? NULL : decoder_weight(&c->d, b);
    return decoder_weight(&c->d, w);
}

static int64_t numbers_of(const struct config *m) { return (int64_t)m->n_channel * m->image_size * m->image_size; }

/* The images are in d.pixels. */
static struct step image_step(const struct classifier *c, int n, int32_t start[CLASSIFY_BATCH + 1])
{
    assert(n >= 1 && n <= CLASSIFY_BATCH && config_vision(&c->config));
    for (int i = 0; i <= n; i++)
        start[i] = i * c->config.ctx;
    return (struct step){ .T = start[n], .S = n, .seq_start = start, .loss_scale = 1 };
}

void classifier_images(struct classifier *c, const uint8_t *pixels, int n, float *probs)
{
    struct graph *g = c->d.g;
    const struct config *m = &c->config;
    int32_t start[CLASSIFY_BATCH + 1];
    const struct step step = image_step(c, n, start);
    for (int i = 0; i < n; i++)
        vision_patches(&c->vision, m, pixels + i * numbers_of(m), (float *)g->tensor[c->d.pixels].data + i * numbers_of(m));
    graph_run(g, PASS_FORWARD, &step);
    for (int i = 0; i < n; i++)
        softmax((const float *)g->tensor[c->d.logits].data + (int64_t)i * m->n_label, m->n_label, probs + (int64_t)i * m->n_label);
}

/* Each number of images, [channels][size][size], with its place in the patches. */
static void each_number(const struct config *m, int n, float *patches, float *x, void (*fn)(float *patch, float *x, double mean, double std), const struct vision *v)
{
    for (int i = 0; i < n; i++)
        for (int channel = 0; channel < m->n_channel; channel++)
            for (int row = 0; row < m->image_size; row++)
                for (int column = 0; column < m->image_size; column++)
                    fn(patches + i * numbers_of(m) + vision_place(m, channel, row, column), x++, v->mean[channel], v->std[channel]);
}

static void to_patch(float *patch, float *x, double mean, double std) { *patch = (float)(((double)*x - mean) / std); }
static void slope_of(float *patch, float *x, double mean, double std) { (void)mean, *x = (float)((double)*patch / std); }

void classifier_logits(struct classifier *c, const float *x, int n, float *logits)
{
    struct graph *g = c->d.g;
    int32_t start[CLASSIFY_BATCH + 1];
    const struct step step = image_step(c, n, start);
    each_number(&c->config, n, g->tensor[c->d.pixels].data, (float *)x, to_patch, &c->vision);
    graph_run(g, PASS_FORWARD, &step);
    memcpy(logits, g->tensor[c->d.logits].data, (size_t)n * (size_t)c->config.n_label * sizeof *logits);
}

void classifier_slopes(struct classifier *c, const float *x, const float *target, int n, float *slope, float *logits)
{
    assert(c->d.label >= 0);
    struct graph *g = c->d.g;
    int32_t start[CLASSIFY_BATCH + 1];
    const struct step step = image_step(c, n, start);
    const size_t bytes = (size_t)n * (size_t)c->config.n_label * sizeof(float);
    each_number(&c->config, n, g->tensor[c->d.pixels].data, (float *)x, to_patch, &c->vision);
    memcpy(g->tensor[c->d.label].data, target, bytes);
    graph_run(g, PASS_FORWARD, &step);
    if (logits)
        memcpy(logits, g->tensor[c->d.logits].data, bytes);
    graph_run(g, PASS_BACKWARD, &step);
    each_number(&c->config, n, g->tensor[g->tensor[c->d.pixels].grad].data, slope, slope_of, &c->vision);
}
