#include "plan/train_model.h"
#include <assert.h>
#include <string.h>
#include "model/weights.h"

/* What tensor parallelism does to a weight of that name; names that are not here are vectors. */
static const struct { const char *name; enum split split; bool expert; } roles[] = {
    { "qkv", SPLIT_ROWS, false }, { "q", SPLIT_ROWS, false }, { "q_a", SPLIT_NONE, false }, { "q_b", SPLIT_ROWS, false }, { "kv_a", SPLIT_NONE, false },
    { "kv_b", SPLIT_ROWS, false }, { "o", SPLIT_COLUMNS, false }, { "up", SPLIT_ROWS, false }, { "gate_up", SPLIT_ROWS, false },
        { "down", SPLIT_COLUMNS, false },
    { "router", SPLIT_NONE, false }, { "experts.up", SPLIT_ROWS, true }, { "experts.gate_up", SPLIT_ROWS, true }, { "experts.down", SPLIT_COLUMNS, true },
    { "shared.up", SPLIT_ROWS, false }, { "shared.gate_up", SPLIT_ROWS, false }, { "shared.down", SPLIT_COLUMNS, false }, { "shared_gate", SPLIT_NONE, false },
};

/* "3.qkv.w" is "qkv"; a weight of rank 1, or a bias, is none of them. */
static int role_of(const struct weight *w)
{
    const char *name = strchr(w->name, '.') + 1;
    const size_t n = strlen(name);
    if (w->rank < 2 || w->bias || n < 3 || strcmp(name + n - 2, ".w"))
        return -1;
    for (int i = 0; i < (int)(sizeof roles / sizeof *roles); i++)
        if (strlen(roles[i].name) == n - 2 && !strncmp(roles[i].name, name, n - 2))
            return i;
    return -1;
}

static void add_weight(struct train_layer *l, const struct weight *w)
{
    const int role = role_of(w);
    if (role >= 0) {
        assert(l->n_product < TRAIN_PRODUCTS_MAX);
        const double N = (double)w->shape[w->rank - 2], K = (double)w->shape[w->rank - 1];
        l->product[l->n_product++] = (struct train_product){ N, K, roles[role].split, roles[role].expert, false };
    } else if (w->bias && l->n_product && !strstr(w->name, "norm"))
        l->product[l->n_product - 1].bias = true;         /* a bias follows its product in the list */
    else
        l->vectors += (double)w->n;
}

static void add_layers(struct train_model *m, const struct weights_list *list)
{
    const struct config *c = &m->config;
    int of[TRAIN_KINDS_MAX] = { -1, -1, -1, -1 };        /* by dense and window */
    int first[TRAIN_KINDS_MAX];                          /* layer whose weights the kind's are */
    for (int i = 0; i < c->n_layer; i++) {
        const bool windowed = c->window && (c->layer[i] & LAYER_WINDOW);
        int *k = &of[config_dense(c, i) * 2 + windowed];
        if (*k < 0) {
            *k = m->n_kind++, first[*k] = i;
            m->kind[*k].experts = !config_dense(c, i);
            m->kind[*k].window = windowed ? c->window : 0;
        }
        m->kind[*k].n++, m->kind_of[i] = (uint8_t)*k;
    }
    for (int i = 0; i < list->n_weight; i++) {
        const struct weight *w = &list->weight[i];
        if (w->layer >= 0 && first[m->kind_of[w->layer]] == w->layer)
            add_weight(&m->kind[m->kind_of[w->layer]], w);
        else if (w->layer < 0)
            *(!strcmp(w->name, "embed") || !strcmp(w->name, "pos") ? &m->embed : !strcmp(w->name, "head.w") ? &m->head : &m->others) += (double)w->n;
    }
}

int train_model_init(struct train_model *m, const struct config *c, struct err *err)
{
    if (c->encoder || c->patch_size || c->n_label)
        return ERR(err, UNSUPPORTED, "%s with a head for %d classes: plans of training are for decoders of texts", family_name(c->family), c->n_label);
    struct weights_list *list;
    *m = (struct train_model){ .config = *c };
    TRY(model_facts(&m->facts, c, err));
    TRY(weights_list_new(&list, c, err));
    add_layers(m, list);
    weights_list_free(list);
    return 0;
}

struct train_numbers train_layer_numbers(const struct train_model *m, const struct train_layer *l)
{
    struct train_numbers n = { .whole = l->vectors };
    for (int i = 0; i < l->n_product; i++) {
        const struct train_product *p = &l->product[i];
        const double weights = p->N * p->K, bias = p->bias ? p->N : 0;
        if (p->expert)
            n.experts += m->config.n_expert * (weights + bias);
        else {
            *(p->split == SPLIT_NONE ? &n.whole : &n.divided) += weights;
            *(p->split == SPLIT_ROWS ? &n.divided : &n.whole) += bias;       /* of columns: added once, after the sum */
        }
    }
    return n;
}

/* MLA's heads each have keys and values of their own. */
static double kv_heads(const struct config *c) { return c->kv_rank ? c->n_head : c->n_kv_head; }
double train_width_qkv(const struct config *c) { return (double)c->n_head * c->d_head + kv_heads(c) * (c->d_head + c->d_v); }
double train_width_out(const struct config *c) { return (double)c->n_head * c->d_v; }
