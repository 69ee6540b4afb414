#include "eval/bisect.h"
#include <ctype.h>
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/stat.h"
#include "infer/probs.h"

enum { OLD, NEW };

/* A result that both graphs have: of node[OLD] and of node[NEW]. */
struct point {
    char name[80], weights[200], op[24];
    int node[2], stage;
    bool inner;                  /* a norm, a route or the like: looked at for its bits alone */
    int64_t n;                   /* numbers for all tokens */
    uint64_t bits;               /* hash of the older model's, as floats */
    float *value[2];             /* of those that are used: the older model's, and what the newer one makes of the older's inputs */
    double diff, size;           /* sums of squares: of the difference, of the older model's */
};

struct bisection {
    struct engine *e[2]; struct pool *pool;
    const int32_t *ids; int n, V, n_layer;
    struct point *point; int n_point, cap_point;
    int *of_node[2]; int n_node[2];            /* index of the point that the node ends, or -1 */
    float *room; size_t room_n;                /* one result as floats */
    float *base;                               /* [n, V]: the older model's logits */
    double *kl; const float *q; int at;        /* [n]; of compare_row */
    int32_t *row;
    int which; bool measure, force; int patch; /* what the watcher does */
    int first;                                 /* the first point whose bits differ, or -1 */
    struct err *err; int rc;                   /* of the watcher while points are listed */
};

/* ---- results as floats ---- */

static void read_result(const struct graph *g, const struct tensor *t, int64_t n, float *out)
{
    const int64_t C = tensor_cols(t);
    if (t->dtype == DT_F32)
        memcpy(out, t->data, (size_t)n * sizeof *out);
    else if (t->dtype == DT_BF16)
        g->k->from_bf16((size_t)n, t->data, out);
    else
        for (int64_t i = 0; i < n / C; i++)
            a8_read((const char *)t->data + (size_t)i * a8_row_bytes(C), 0, (int)C, out + i * C);
}

static void write_result(const struct graph *g, const struct tensor *t, int64_t n, const float *in)
{
    const int64_t C = tensor_cols(t);
    if (t->dtype == DT_F32)
        memcpy(t->data, in, (size_t)n * sizeof *in);
    else if (t->dtype == DT_BF16)
        g->k->to_bf16((size_t)n, in, t->data);
    else
        g->k->quantize_a8(&(struct a8){ .M = (int)(n / C), .K = (int)C, .x = in, .ld_x = C, .out = t->data, .stride = a8_row_bytes(C) });
}

static bool has_numbers(const struct tensor *t) { return t->dtype == DT_F32 || t->dtype == DT_BF16 || t->dtype == DT_A8; }

/* ---- what both graphs have ---- */

/* Of a tensor "3.down": 3 + 1; before the layers: 0. */
static int stage_of(const char *name) { return isdigit((unsigned char)*name) ? atoi(name) + 1 : 0; }

static bool is_inner(enum op op)
{
    return op != OP_linear && op != OP_linear_act && op != OP_expert_linear && op != OP_attention && op != OP_attention_paged && op != OP_combine && op != OP_add && op != OP_embed;
}

static bool is_weight(const struct tensor *t)
{
    return t->kind == TENSOR_WEIGHT || t->kind == TENSOR_FROZEN || t->kind == TENSOR_PACKED || t->kind == TENSOR_MAPPED;
}

/* "3.down.w q4_0, 3.down.b"; what does not fit is left out. */
static void name_weights(const struct graph *g, const struct node *n, char *out, size_t size)
{
    *out = 0;
    for (int i = 0; i < NODE_IN; i++) {
        const struct tensor *t = n->in[i] < 0 ? NULL : &g->tensor[n->in[i]];
        const size_t at = strlen(out);
        if (!t || !is_weight(t) || strstr(out, t->name) || at + sizeof t->name + 40 > size)
            continue;
        snprintf(out + at, size - at, "%s%s", at ? ", " : "", t->name);
        for (int s = 0; s < t->panels.n_segment; s++)
            snprintf(out + strlen(out), size - strlen(out), "%s%s", s ? "+" : " ", panel_name(t->panels.segment[s].type));
        if (t->kind == TENSOR_MAPPED && !t->row)
            snprintf(out + strlen(out), size - strlen(out), " %s", type_name(t->mapped_type));
    }
}

static int grow(struct bisection *b, struct err *err)
{
    const int cap = b->cap_point ? 2 * b->cap_point : 64;
    if (b->n_point < b->cap_point)
        return 0;
    struct point *p = mem_realloc_array(b->point, (size_t)cap, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory for the results of a graph");
    b->point = p, b->cap_point = cap;
    return 0;
}

/* The older graph's results become points, those of the newer one that have the same name and size join them. */
static int list_result(struct bisection *b, const struct graph *g, const struct node *n, const struct step *step, struct err *err)
{
    const struct tensor *t = &g->tensor[n->out[0]];
    const int64_t size = tensor_count(t, step->T, step->S);
    const int node = (int)(n - g->node);
    if (!has_numbers(t))
        return 0;
    if (b->which == OLD) {
        TRY(grow(b, err));
        struct point *p = &b->point[b->n_point++];
        *p = (struct point){ .node = { node, -1 }, .stage = stage_of(t->name), .inner = is_inner(n->op), .n = size };
        snprintf(p->name, sizeof p->name, "%s", t->name);
        snprintf(p->op, sizeof p->op, "%s", op_name(n->op));
        return 0;
    }
    for (int i = 0; i < b->n_point; i++) {
        struct point *p = &b->point[i];
        if (p->node[NEW] >= 0 || p->n != size || strcmp(p->name, t->name))
            continue;
        p->node[NEW] = node;
        name_weights(g, n, p->weights, sizeof p->weights);
        return 0;
    }
    return 0;
}

static void list_watch(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct bisection *b = ctx;
    b->n_node[b->which] = g->n_node;
    if (!b->rc && n->pass == PASS_FORWARD && n->out[0] >= 0)
        b->rc = list_result(b, g, n, step, b->err);
}

/* ---- a run that is watched ---- */

static void compare_values(struct point *p, const float *old, const float *new)
{
    p->diff = p->size = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const double d = (double)new[i] - (double)old[i];
        p->diff += d * d, p->size += (double)old[i] * (double)old[i];
    }
}

static void look(struct bisection *b, int i, const struct graph *g, const struct tensor *t)
{
    struct point *p = &b->point[i];
    read_result(g, t, p->n, b->room);
    const uint64_t bits = hash64(b->room, (size_t)p->n * sizeof *b->room, 0);
    if (b->which == OLD) {
        p->bits = bits;
        if (p->value[OLD])
            memcpy(p->value[OLD], b->room, (size_t)p->n * sizeof *b->room);
        return;
    }
    if (b->measure && bits != p->bits && b->first < 0)
        b->first = i;
    if (p->value[OLD])
        compare_values(p, p->value[OLD], b->room);
    if (p->value[NEW] && b->force) {
        memcpy(p->value[NEW], b->room, (size_t)p->n * sizeof *b->room);
        write_result(g, t, p->n, p->value[OLD]);
    }
}

static void watch(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    (void)step;
    struct bisection *b = ctx;
    const int i = n->pass == PASS_FORWARD ? b->of_node[b->which][n - g->node] : -1;
    if (i < 0)
        return;
    const struct tensor *t = &g->tensor[n->out[0]];
    if (b->patch == i)
        write_result(g, t, b->point[i].n, b->point[i].value[NEW]);
    else if (b->patch < 0 && (b->measure || b->point[i].value[OLD]))
        look(b, i, g, t);
}

static int run(struct bisection *b, int which, struct err *err)
{
    const struct engine_part part = { 0, 0, b->n, b->ids, NULL, 0 };
    b->which = which;
    engine_watch(b->e[which], watch, b);
    const int rc = engine_run(b->e[which], &part, 1, err);
    engine_watch(b->e[which], NULL, NULL);
    return rc;
}

/* ---- predictions ---- */

static void compare_row(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct bisection *b = ctx;
    struct probs_pair pair;
    probs_compare(&pair, b->base + (ptrdiff_t)(b->at + i) * b->V, false, b->q + (ptrdiff_t)i * b->V, b->V);
    b->kl[b->at + i] = pair.kl;
}

/* Of the last run of an engine.  kl NULL: its logits become the base. */
static int predictions(struct bisection *b, int which, double *kl, double *error, struct err *err)
{
    struct engine *e = b->e[which];
    double diff = 0, size = 0;
    const int step = engine_n_logits(e);
    for (b->at = 0; b->at < b->n; b->at += step) {
        const int k = b->n - b->at < step ? b->n - b->at : step;
        float *base = b->base + (ptrdiff_t)b->at * b->V;
        for (int i = 0; i < k; i++)
            b->row[i] = b->at + i;
        TRY(engine_head(e, b->row, k, &b->q, err));
        if (!kl) {
            memcpy(base, b->q, (size_t)k * (size_t)b->V * sizeof *base);
            continue;
        }
        pool_for(b->pool, k, compare_row, b);
        for (ptrdiff_t i = 0; error && i < (ptrdiff_t)k * b->V; i++) {
            const double d = (double)b->q[i] - (double)base[i];
            diff += d * d, size += (double)base[i] * (double)base[i];
        }
    }
    if (!kl)
        return 0;
    *kl = 0;
    for (int i = 0; i < b->n; i++)
        *kl += b->kl[i] / b->n;
    if (error)
        *error = sqrt(diff / size);
    return isfinite(*kl) ? 0 : ERR(err, NUMERIC, "a model gave values that are not finite");
}

static double error_of(const struct point *p) { return p->diff > 0 ? sqrt(p->diff / p->size) : 0; }

/* ---- the points that are used ---- */

static int use(struct bisection *b, int i, struct err *err)
{
    struct point *p = &b->point[i];
    for (int k = 0; k < 2; k++)
        if (!p->value[k] && !(p->value[k] = mem_alloc_array((size_t)p->n, sizeof **p->value)))
            return ERR(err, NOMEM, "no memory for the %lld numbers of %s", (long long)p->n, p->name);
    return 0;
}

static void use_none(struct bisection *b)
{
    for (int i = 0; i < b->n_point; i++)
        for (int k = 0; k < 2; k++) {
            mem_free(b->point[i].value[k]);
            b->point[i].value[k] = NULL;
        }
}

/* The point that ends a stage before the head; -1: none. */
static int end_of(const struct bisection *b, int stage)
{
    int end = -1;
    for (int i = 0; i < b->n_point; i++)
        end = b->point[i].stage == stage ? i : end;
    return end;
}

static int list_points(struct bisection *b, struct err *err)
{
    const struct engine_part part = { 0, 0, b->n, b->ids, NULL, 0 };
    for (b->which = OLD; b->which <= NEW; b->which++) {
        b->err = err, b->rc = 0;
        engine_watch(b->e[b->which], list_watch, b);
        const int rc = engine_run(b->e[b->which], &part, 1, err);
        engine_watch(b->e[b->which], NULL, NULL);
        TRY(rc ? rc : b->rc);
        if (!(b->of_node[b->which] = mem_alloc_array((size_t)b->n_node[b->which] + 1, sizeof **b->of_node)))
            return ERR(err, NOMEM, "no memory for the nodes of a graph");
    }
    int n = 0;                                 /* those that both have */
    for (int i = 0; i < b->n_point; i++)
        if (b->point[i].node[NEW] >= 0)
            b->point[n++] = b->point[i];
    b->n_point = n;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < b->n_node[k]; i++)
            b->of_node[k][i] = -1;
        for (int i = 0; i < n; i++) {
            b->of_node[k][b->point[i].node[k]] = i;
            b->room_n = (size_t)b->point[i].n > b->room_n ? (size_t)b->point[i].n : b->room_n;
        }
    }
    for (int s = 0; s <= b->n_layer; s++) {
        const int end = end_of(b, s);
        if (end < 0 || b->point[end].n != (int64_t)b->n * engine_config(b->e[OLD])->d_model)
            return ERR(err, UNSUPPORTED, "the graphs of the models have no common end of layer %d (-1: the embedding), expected models of one form", s - 1);
    }
    return 0;
}

/* ---- stages, and parts of some ---- */

static int whole_models(struct bisection *b, struct bisect *out, struct err *err)
{
    struct bisect_stage *head = &out->stage[b->n_layer + 1];
    b->measure = true, b->first = -1;
    TRY(run(b, OLD, err));
    TRY(predictions(b, OLD, NULL, NULL, err));
    TRY(run(b, NEW, err));
    TRY(predictions(b, NEW, &out->kl, &head->drift, err));
    b->measure = false;
    for (int s = 0; s <= b->n_layer; s++)
        out->stage[s].drift = error_of(&b->point[end_of(b, s)]);
    if (b->first >= 0) {
        memcpy(out->first, b->point[b->first].name, sizeof out->first);
        memcpy(out->first_op, b->point[b->first].op, sizeof out->first_op);
    } else if (head->drift > 0) {
        strcpy(out->first, "logits");
        strcpy(out->first_op, op_name(OP_linear));
    }
    return 0;
}

/* The older model, with point i as the newer one made it. */
static int patched(struct bisection *b, int i, double *kl, struct err *err)
{
    *kl = 0;
    if (!(b->point[i].diff > 0))
        return 0;
    b->patch = i;
    int rc = run(b, OLD, err);
    b->patch = -1;
    return rc ? rc : predictions(b, OLD, kl, NULL, err);
}

static int each_stage(struct bisection *b, struct bisect *out, struct err *err)
{
    struct bisect_stage *head = &out->stage[b->n_layer + 1];
    b->force = true;
    const int rc = run(b, NEW, err);
    b->force = false;
    TRY(rc);
    TRY(predictions(b, NEW, &head->kl, &head->error, err));        /* what its last layer gave was the older model's */
    for (int s = 0; s <= b->n_layer; s++) {
        const int end = end_of(b, s);
        out->stage[s].error = error_of(&b->point[end]);
        TRY(patched(b, end, &out->stage[s].kl, err));
    }
    return 0;
}

static int parts_of(struct bisection *b, struct bisect_stage *stage, int s, struct err *err)
{
    int n = 0;
    use_none(b);
    TRY(use(b, end_of(b, s - 1), err));
    for (int i = 0; i < b->n_point; i++)
        if (b->point[i].stage == s && !b->point[i].inner) {
            TRY(use(b, i, err));
            n++;
        }
    if (!(stage->part = mem_alloc_array((size_t)n + 1, sizeof *stage->part)))
        return ERR(err, NOMEM, "no memory for %d parts of a layer", n);
    TRY(run(b, OLD, err));
    b->force = true;
    const int rc = run(b, NEW, err);
    b->force = false;
    TRY(rc);
    for (int i = 0; i < b->n_point; i++) {
        const struct point *p = &b->point[i];
        if (p->stage != s || !p->value[NEW])
            continue;
        struct bisect_part *part = &stage->part[stage->n_part++];
        memcpy(part->name, p->name, sizeof part->name);
        memcpy(part->weights, p->weights, sizeof part->weights);
        part->error = error_of(p);
        TRY(patched(b, i, &part->kl, err));
    }
    return 0;
}

static void find_first_stage(struct bisection *b, struct bisect *out)
{
    for (int l = 0; l < b->n_layer; l++)
        b->kl[l] = out->stage[l + 1].error;
    stat_sort(b->kl, (size_t)b->n_layer);
    const double median = b->kl[(b->n_layer - 1) / 2];         /* of an even number the lower: of two layers one may differ */
    out->first_stage = -1;
    for (int s = 0; s < out->n_stage && out->first_stage < 0; s++)
        if (out->stage[s].error > 0 && out->stage[s].error >= BISECT_BEYOND * median)
            out->first_stage = s;
}

/* Of the layers that were not looked into: the one that differs most; -1: none differs. */
static int deepest(const struct bisection *b, const struct bisect *out)
{
    int best = -1;
    for (int s = 1; s <= b->n_layer; s++)
        if (!out->stage[s].part && out->stage[s].error > 0 && (best < 0 || out->stage[s].kl > out->stage[best].kl))
            best = s;
    return best;
}

static int bisect_all(struct bisection *b, struct bisect *out, int n_deep, struct err *err)
{
    TRY(list_points(b, err));
    b->room = mem_alloc_array(b->room_n, sizeof *b->room);
    b->base = mem_alloc_array((size_t)b->n * (size_t)b->V, sizeof *b->base);
    b->kl = mem_alloc_array((size_t)(b->n > b->n_layer ? b->n : b->n_layer), sizeof *b->kl);
    b->row = mem_alloc_array((size_t)b->n, sizeof *b->row);
    if (!b->room || !b->base || !b->kl || !b->row)
        return ERR(err, NOMEM, "no memory to compare the graphs of two models");
    for (int s = 0; s <= b->n_layer; s++) {
        out->stage[s].layer = s - 1;
        TRY(use(b, end_of(b, s), err));
    }
    out->stage[b->n_layer + 1].layer = b->n_layer;
    TRY(whole_models(b, out, err));
    TRY(each_stage(b, out, err));
    find_first_stage(b, out);
    for (int i = 0, s; i < n_deep && (s = deepest(b, out)) > 0; i++)
        TRY(parts_of(b, &out->stage[s], s, err));
    return 0;
}

static int check_forms(const struct engine *old, const struct engine *new, int n, struct err *err)
{
    const struct config *a = engine_config(old), *b = engine_config(new);
    const int most = engine_step_tokens(old) < engine_step_tokens(new) ? engine_step_tokens(old) : engine_step_tokens(new);
    if (n < 2 || n > most)
        return ERR(err, RANGE, "%d tokens to look for what differs, expected 2 to %d", n, most);
    if (a->n_layer != b->n_layer || a->d_model != b->d_model || a->vocab_size != b->vocab_size)
        return ERR(err, UNSUPPORTED, "the models have %d layers of %d over %d tokens and %d of %d over %d, expected one form", a->n_layer, a->d_model, a->vocab_size, b->n_layer,
                   b->d_model, b->vocab_size);
    return 0;
}

int bisect_models(struct bisect *out, struct engine *old, struct engine *new, const int32_t *ids, int n, int n_deep, struct pool *pool, struct err *err)
{
    *out = (struct bisect){ .first_stage = -1 };
    TRY(check_forms(old, new, n, err));
    struct bisection b = { .e = { old, new }, .pool = pool, .ids = ids, .n = n, .V = engine_config(old)->vocab_size, .n_layer = engine_config(old)->n_layer, .patch = -1 };
    *out = (struct bisect){ .n_token = n, .n_stage = b.n_layer + 2, .stage = mem_alloc_array((size_t)b.n_layer + 2, sizeof *out->stage), .first_stage = -1 };
    const int rc = out->stage ? bisect_all(&b, out, n_deep, err) : ERR(err, NOMEM, "no memory for %d stages of a model", out->n_stage);
    use_none(&b);
    mem_free(b.point);
    mem_free(b.of_node[OLD]);
    mem_free(b.of_node[NEW]);
    mem_free(b.room);
    mem_free(b.base);
    mem_free(b.kl);
    mem_free(b.row);
    if (rc < 0)
        bisect_release(out);
    return rc;
}

void bisect_release(struct bisect *b)
{
    for (int i = 0; b->stage && i < b->n_stage; i++)
        mem_free(b->stage[i].part);
    mem_free(b->stage);
    *b = (struct bisect){ .first_stage = -1 };
}
