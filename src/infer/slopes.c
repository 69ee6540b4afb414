#include "infer/slopes.h"
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "model/decoder.h"
#include "model/model.h"
#include "model/weights_read.h"

struct slopes {
    struct model model;
    struct decoder d;
    struct slopes_opts o;
    struct pool *pool;
    int32_t *start;                      /* [texts + 1] */
    float *scale;                        /* [tokens]: of each token's loss */
    double factor;                       /* of the rows of the embedding */
};

static int open_model(struct slopes *s, const char *path, struct err *err)
{
    struct buf warnings;
    buf_init(&warnings);
    const int rc = model_open(&s->model, path, &warnings, err);
    if (warnings.len)
        log_warn("%.*s", (int)(warnings.len - 1), warnings.data);
    buf_release(&warnings);
    TRY(rc);
    if (config_vision(&s->model.config))
        return ERR(err, UNSUPPORTED, "%s takes images, expected a model of texts", path);
    return s->o.rope_scaling ? config_stretch(&s->model.config, s->o.rope_scaling, err) : 0;
}

static int plan(struct slopes *s, int n_thread, struct err *err)
{
    const struct decoder_opts o = { .use = DECODER_TRAIN, .compute = DT_F32, .recompute = RECOMPUTE_CHEAP, .frozen = true, .embeds_sought = true };
    TRY(decoder_record(&s->d, &s->model.config, &o, err));
    return decoder_plan(&s->d, s->o.tokens, s->o.texts, n_thread, NULL, err);
}

static int fill(struct slopes *s, const char *path, struct pool *pool, struct err *err)
{
    const size_t need = s->d.g->plan.total, free_bytes = mem_available();
    struct weights_reader *r;
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s with a way back needs %zu MB of memory for %d tokens, %zu MB are free", path, need >> 20, s->o.tokens, free_bytes >> 20);
    TRY(decoder_bind(&s->d, pool, NULL, err));
    TRY(weights_reader_new(&r, &s->model, err));
    const struct weights_list *l = s->model.list;
    for (int i = 0; i < l->n_weight; i++) {
        const float *x = weights_reader_floats(r, i);
        if (x)
            memcpy(decoder_weight(&s->d, i), x, (size_t)l->weight[i].n * sizeof *x);
    }
    const int rc = weights_reader_error(r, err);
    weights_reader_free(r);
    if (!rc)
        graph_run(s->d.g, PASS_PREPARE, &(struct step){ .T = 0, .S = 0 });
    return rc;
}

int slopes_new(struct slopes **out, const char *path, const struct slopes_opts *o, struct pool *pool, struct err *err)
{
    struct slopes *s = mem_alloc_zero(sizeof *s);
    *out = NULL;
    if (!s)
        return ERR(err, NOMEM, "no memory for %s", path);
    s->o = *o, s->pool = pool;
    int rc = open_model(s, path, err);
    if (!rc) {
        s->factor = decoder_embed_scale(&s->model.config);
        s->start = mem_alloc_array((size_t)o->texts + 1, sizeof *s->start);
        s->scale = mem_alloc_array((size_t)o->tokens, sizeof *s->scale);
        rc = s->start && s->scale ? plan(s, pool_n_thread(pool), err) : ERR(err, NOMEM, "no memory for %d tokens", o->tokens);
    }
    if (!rc)
        rc = fill(s, path, pool, err);
    if (rc < 0)
        slopes_free(s);
    else
        *out = s;
    return rc;
}

void slopes_free(struct slopes *s)
{
    if (!s)
        return;
    decoder_release(&s->d);
    model_release(&s->model);
    mem_free(s->start);
    mem_free(s->scale);
    mem_free(s);
}

const struct config *slopes_config(const struct slopes *s) { return &s->model.config; }
size_t slopes_bytes(const struct slopes *s) { return s->d.g->plan.total; }

static const float *embedding(const struct slopes *s) { return s->d.g->tensor[0].data; }      /* weight 0 of every list */

/* ---- a step ---- */

static int check(const struct slopes *s, const struct slopes_text *t, int n, struct err *err)
{
    const struct config *c = &s->model.config;
    int64_t all = 0;
    if (n < 1 || n > s->o.texts)
        return ERR(err, RANGE, "%d texts at once, expected 1 to %d", n, s->o.texts);
    for (int i = 0; i < n; i++) {
        all += t[i].n;
        if (t[i].n < 1 || t[i].n > s->d.n_pos || all > s->o.tokens)
            return ERR(err, RANGE, "a text of %d tokens, expected 1 to %d, and at most %d of all texts", t[i].n, s->d.n_pos, s->o.tokens);
        for (int k = 0; k < t[i].n; k++)
            if (t[i].ids[k] < 0 || t[i].ids[k] >= c->vocab_size)
                return ERR(err, RANGE, "token id %d, but the model has %d", t[i].ids[k], c->vocab_size);
    }
    return 0;
}

static struct step put(struct slopes *s, const struct slopes_text *t, int n)
{
    const struct graph *g = s->d.g;
    const struct config *c = &s->model.config;
    const size_t C = (size_t)c->d_model;
    float *x = g->tensor[s->d.embeds].data;
    int32_t *pos = g->tensor[s->d.pos].data, row = 0;
    s->start[0] = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < t[i].n; k++, row++) {
            const float *e = embedding(s) + (size_t)t[i].ids[k] * C;
            for (size_t j = 0; j < C; j++)
                x[(size_t)row * C + j] = (float)s->factor * e[j] + (t[i].shift ? t[i].shift[(size_t)k * C + j] : 0);
            pos[row] = k;
        }
        s->start[i + 1] = row;
    }
    return (struct step){ .T = row, .S = n, .seq_start = s->start, .token_scale = s->scale, .loss_scale = 1 };
}

static void put_losses(struct slopes *s, const struct slopes_text *t, int n)
{
    const struct graph *g = s->d.g;
    const int L = s->model.config.n_label;
    for (int i = 0; i < n; i++) {
        const int at = s->start[i];
        if (L) {
            memcpy((float *)g->tensor[s->d.label].data + (size_t)i * (size_t)L, t[i].label, (size_t)L * sizeof(float));
            s->scale[at] = t[i].weight[0];
            continue;
        }
        for (int k = 0; k < t[i].n; k++) {
            const bool counts = t[i].weight[k] != 0;
            ((int32_t *)g->tensor[s->d.target].data)[at + k] = counts ? t[i].target[k] : -1;
            s->scale[at + k] = t[i].weight[k];
        }
    }
}

int slopes_run(struct slopes *s, const struct slopes_text *t, int n, float *slope, float *out, struct err *err)
{
    const struct graph *g = s->d.g;
    TRY(check(s, t, n, err));
    const struct step step = put(s, t, n);
    put_losses(s, t, n);
    graph_run(s->d.g, PASS_FORWARD, &step);
    const int L = s->model.config.n_label;
    if (out && L)
        memcpy(out, g->tensor[s->d.logits].data, (size_t)n * (size_t)L * sizeof *out);
    graph_run(s->d.g, PASS_BACKWARD, &step);
    if (out && !L)
        memcpy(out, g->tensor[s->d.nll].data, (size_t)step.T * sizeof *out);
    memcpy(slope, g->tensor[g->tensor[s->d.embeds].grad].data, (size_t)step.T * (size_t)s->model.config.d_model * sizeof *slope);
    return 0;
}

int slopes_logits(struct slopes *s, const struct slopes_text *t, int n, float *logits, struct err *err)
{
    const int L = s->model.config.n_label;
    if (!L)
        return ERR(err, UNSUPPORTED, "this %s has no head for classes", family_name(s->model.config.family));
    TRY(check(s, t, n, err));
    const struct step step = put(s, t, n);
    graph_run(s->d.g, PASS_FORWARD, &step);
    memcpy(logits, s->d.g->tensor[s->d.logits].data, (size_t)n * (size_t)L * sizeof *logits);
    return 0;
}

/* ---- gains ---- */

/* Rows of the vocabulary in blocks; up to ACROSS positions side by side, so that no sum is cut and lanes are positions. */
enum { ROWS = 64, ACROSS = 32 };
struct gains_job { const float *embed, *slope; float *gain; int n; int64_t V, C; float factor; };

static void gains_rows(void *ctx, int block, int i_thread)
{
    (void)i_thread;
    const struct gains_job *j = ctx;
    const int64_t first = (int64_t)block * ROWS, last = first + ROWS < j->V ? first + ROWS : j->V;
    for (int64_t w = first; w < last; w++)
        for (int at = 0; at < j->n; at += ACROSS) {
            float sum[ACROSS] = { 0 };
            const int n = j->n - at < ACROSS ? j->n - at : ACROSS;
            for (int64_t c = 0; c < j->C; c++) {
                const float e = j->embed[w * j->C + c], *x = j->slope + ((int64_t)(at / ACROSS) * j->C + c) * ACROSS;
                for (int k = 0; k < ACROSS; k++)
                    sum[k] += e * x[k];
            }
            for (int k = 0; k < n; k++)
                j->gain[(int64_t)(at + k) * j->V + w] = j->factor * sum[k];
        }
}

int slopes_gains(const struct slopes *s, const int32_t *ids, int n, const float *slope, float *gain, struct err *err)
{
    const struct config *c = &s->model.config;
    const int64_t C = c->d_model, V = c->vocab_size;
    const size_t blocks = ((size_t)n + ACROSS - 1) / ACROSS;
    float *across = mem_alloc_array(blocks * ACROSS, (size_t)C * sizeof *across);      /* [block][C][ACROSS], zeros past n */
    if (!across)
        return ERR(err, NOMEM, "no memory for the slopes of %d tokens", n);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < C; k++)
            across[((int64_t)(i / ACROSS) * C + k) * ACROSS + i % ACROSS] = slope[i * C + k];
    struct gains_job j = { embedding(s), across, gain, n, V, C, (float)s->factor };
    pool_for(s->pool, (int)((V + ROWS - 1) / ROWS), gains_rows, &j);
    for (int i = 0; i < n; i++) {
        const float own = gain[i * V + ids[i]];
        for (int64_t w = 0; w < V; w++)
            gain[i * V + w] -= own;
    }
    mem_free(across);
    return 0;
}

double slopes_cosine(const struct slopes *s, int32_t a, int32_t b)
{
    const int C = s->model.config.d_model;
    const float *x = embedding(s) + (int64_t)a * C, *y = embedding(s) + (int64_t)b * C;
    double xx = 0, yy = 0, xy = 0;
    for (int k = 0; k < C; k++)
        xx += (double)x[k] * (double)x[k], yy += (double)y[k] * (double)y[k], xy += (double)x[k] * (double)y[k];
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}
