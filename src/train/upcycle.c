#include "train/upcycle.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"

const char upcycle_text[] =
    "With a section upcycle (it may be empty: {}) the dense model of model.from becomes a mixture of experts (arXiv:2212.05055): each\n"
    "expert of a layer begins as a copy of the layer's MLP, the router as small random numbers.  With norm_topk_prob the mixture\n"
    "begins as the same function.  OUT has Mixtral's, Qwen3-MoE's or OLMoE's form, which other programs load, where one of them can\n"
    "say it, else our own.\n";

void upcycle_defaults(struct upcycle *u)
{
    *u = (struct upcycle){ .n_expert = 8, .top_k = 2, .norm_topk = true, .router_std = 0.02, .aux_loss = 0.01 };
}

void upcycle_keys(struct upcycle *u, struct opt keys[])
{
    const struct opt k[] = {
        { OPT_INT, "num_experts", &u->n_expert, "<int>", "experts of each layer, each a copy of its MLP", 2, 1 << 12 },
        { OPT_INT, "num_experts_per_tok", &u->top_k, "<int>", "experts that a token goes through", 1, 1 << 12 },
        { OPT_FLAG, "norm_topk_prob", &u->norm_topk, NULL, "their gates sum to 1: the first step is the dense model's; false: they are a softmax over all experts", 0, 0 },
        { OPT_FLOAT, "router_std", &u->router_std, "<float>", "standard deviation of the router's first weights", 0, 100 },
        { OPT_FLOAT, "redraw", &u->redraw, "<share>", "share of each expert's hidden units whose weights are drawn anew, with mean and deviation of those of the MLP, arXiv:2502.19261; 0: copies", 0, 1 },
        { OPT_FLOAT, "router_aux_loss_coef", &u->aux_loss, "<float>", "of the load-balancing loss", 0, 1e6 },
        { OPT_FLOAT, "router_z_loss_coef", &u->z_loss, "<float>", "of the loss that keeps the router's logits small", 0, 1e6 },
        { OPT_FLAG, "e_score_correction_bias", &u->corrected, NULL, "the experts are balanced by a bias too (train.router_bias_rate)", 0, 0 },
        { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
    };
    memcpy(keys, k, sizeof k);
}

/* ---- the configuration ---- */

/* Our reader takes more of Mixtral and its like than other programs do: those have a window in all layers or in none, and turn whole heads
 * by any scaling but longrope. */
static bool is_plain(const struct config *c)
{
    if (c->rope_share != 1 || c->rope.kind == ROPE_LONG)
        return false;
    for (int i = 1; i < c->n_layer; i++)
        if ((c->layer[i] ^ c->layer[0]) & LAYER_WINDOW)
            return false;
    return true;
}

/* Our own has biases in both matrices of attention or in none: what is missing begins as zeros. */
static void complete_biases(struct upcycle *u, struct config *c)
{
    u->adds_bias = c->qkv_bias == c->o_bias ? NULL : c->qkv_bias ? ".o.b" : ".qkv.b";
    c->expert_bias = c->mlp_bias;
    c->qkv_bias = c->o_bias = c->mlp_bias = c->qkv_bias || c->o_bias;
}

static int become_mixture(struct upcycle *u, struct config *c, const char *where, struct err *err)
{
    static const enum family order[] = { FAMILY_MIXTRAL, FAMILY_QWEN3_MOE, FAMILY_OLMOE, FAMILY_LATHE_GPT };
    struct config mixture = *c;
    mixture.n_expert = (int)u->n_expert, mixture.top_k = (int)u->top_k, mixture.d_ff_expert = c->d_ff;
    mixture.norm_topk = u->norm_topk, mixture.router_correction = u->corrected, mixture.aux_loss = u->aux_loss, mixture.z_loss = u->z_loss;
    mixture.norm_plus_one = false;                    /* how the file keeps them, not what they are */
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        mixture.family = order[i];
        mixture.d_ff = order[i] == FAMILY_QWEN3_MOE ? c->d_ff : 0;
        if (order[i] == FAMILY_LATHE_GPT)
            complete_biases(u, &mixture);
        else if (!is_plain(c))
            continue;
        if (!config_validate(&mixture, where, err)) {
            *c = mixture;
            return 0;
        }
    }
    return err_context(err, "no family of mixtures can say it");
}

int upcycle_read(struct upcycle *u, json_t *section, struct config *c, const char *where, struct err *err)
{
    struct opt keys[16];
    upcycle_keys(u, keys);
    TRY(tree_read(section, keys, where, err));
    if (u->top_k > u->n_expert)
        return ERR(err, USAGE, "%s: num_experts_per_tok is %lld, expected at most num_experts, %lld", where, (long long)u->top_k, (long long)u->n_expert);
    if (c->n_expert)
        return ERR(err, USAGE, "%s: the model has %d experts already, expected a dense one", where, c->n_expert);
    if (c->encoder || c->n_label)
        return ERR(err, UNSUPPORTED, "%s: %s is no model that writes text, expected one", where, family_name(c->family));
    u->on = true;
    return become_mixture(u, c, where, err);
}

/* ---- weights ---- */

static void draw_router(const struct upcycle *u, const struct weight *w, float *x, uint64_t seed)
{
    const uint64_t key = rng_key(seed, w->name);
    for (int64_t k = 0; k < w->n; k++)
        x[k] = (float)(u->router_std * rng_normal(key, (uint64_t)k));
}

/* A weight of experts: gate and up, one above the other, whose rows are hidden units, or down, whose columns are. */
struct redraw {
    int64_t first;               /* expert that this process holds */
    int64_t rows, cols, F;       /* of an expert; hidden units */
    bool by_cols;
    uint64_t key;
    const bool *unit;            /* [n_expert][F] is to be drawn anew */
    double mean[2], std[2];      /* of gate and up, or of the whole */
    float *x;
};

static void redraw_expert(void *ctx, int e, int i_thread)
{
    (void)i_thread;
    const struct redraw *j = ctx;
    const int64_t at = j->first + e;
    const bool *unit = j->unit + at * j->F;
    float *x = j->x + e * j->rows * j->cols;
    for (int64_t r = 0; r < j->rows; r++)
        for (int64_t k = 0; k < j->cols; k++) {
            const int64_t part = j->by_cols ? 0 : r / j->F;
            if (unit[j->by_cols ? k : r % j->F])
                x[r * j->cols + k] = (float)(j->mean[part] + j->std[part] * rng_normal(j->key, (uint64_t)((at * j->rows + r) * j->cols + k)));
        }
}

static void moments(const float *x, int64_t n, double *mean, double *std)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    *std = sqrt(square / (double)n);
}

/* unit: room for a bool for each hidden unit of all experts; the same ones in gate, up and down of a layer. */
static void redraw(const struct upcycle *u, struct decoder *d, const struct weights_list *l, const struct weight *w, float *x, uint64_t seed, bool *unit)
{
    const int64_t E = w->shape[0], F = d->config.d_ff_expert;
    const struct weight_held held = weight_held(l, w, &d->division);
    struct redraw j = { .first = held.expert.from, .rows = w->shape[1], .cols = w->shape[2], .F = F, .by_cols = strstr(w->name, ".down") != NULL, .key = rng_key(seed, w->name), .unit = unit, .x = x };
    char name[40];
    snprintf(name, sizeof name, "%d.redraw", w->layer);
    const uint64_t key = rng_key(seed, name);
    for (int64_t i = 0; i < E * F; i++)
        unit[i] = rng_uniform(key, (uint64_t)i) < u->redraw;
    const int64_t n_part = j.by_cols ? 1 : j.rows / F, each = j.rows * j.cols / n_part;
    for (int64_t p = 0; p < n_part; p++)
        moments(x + p * each, each, &j.mean[p], &j.std[p]);
    pool_for(d->g->pool, (int)held.expert.n, redraw_expert, &j);
}

int upcycle_weights(const struct upcycle *u, struct decoder *d, const struct weights_list *l, uint64_t seed, struct err *err)
{
    bool *unit = mem_alloc_array((size_t)d->config.n_expert, (size_t)d->config.d_ff_expert * sizeof *unit);
    if (!unit)
        return ERR(err, NOMEM, "no memory to draw hidden units");
    for (int i = 0; i < l->n_weight; i++) {
        const struct weight *w = &l->weight[i];
        if (strstr(w->name, ".router."))
            draw_router(u, w, decoder_weight(d, i), seed);
        else if (w->balances || (u->adds_bias && strstr(w->name, u->adds_bias)))
            memset(decoder_weight(d, i), 0, (size_t)w->n * sizeof(float));
        else if (u->redraw > 0 && w->rank == 3)
            redraw(u, d, l, w, decoder_weight(d, i), seed, unit);
    }
    mem_free(unit);
    return 0;
}
