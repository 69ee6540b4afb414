#include "infer/importance.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* Of one weight: sums of squares by expert and column, and how many rows went in. */
struct matrix { const char *weight; int64_t n_expert, columns; double *sum; int64_t *n_row; float *mean; };
struct name { char name[PART_NAME_MAX]; int i_matrix; int64_t expert; };      /* expert: the first that the tensor has */
struct importance { struct matrix *matrix; int n_matrix; struct name *name; int n_name; struct source *file; };      /* file: or from there */

/* ---- what there is to measure ---- */

static int by_name(const void *a, const void *b) { return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name); }

static int add_matrix(struct importance *m, const char *weight, int64_t n_expert, int64_t columns)
{
    struct matrix *x = &m->matrix[m->n_matrix++];
    *x = (struct matrix){ weight, n_expert, columns, mem_alloc_array((size_t)(n_expert * columns), sizeof *x->sum),
                          mem_alloc_array((size_t)n_expert, sizeof *x->n_row), mem_alloc_array((size_t)(n_expert * columns), sizeof *x->mean) };
    return x->sum && x->n_row && x->mean ? 0 : -1;
}

/* Each weight with rows, and the tied head under the embedding's name. */
static int list_matrices(struct importance *m, const struct weights_list *l)
{
    for (int i = 0; i < l->n_weight; i++) {
        const struct weight *w = &l->weight[i];
        const bool head = l->config.tie_embeddings && !strcmp(w->name, "embed");
        if (w->rank < 2)
            continue;
        if (add_matrix(m, head ? "head.tied" : w->name, w->rank == 3 ? w->shape[0] : 1, w->shape[w->rank - 1]) < 0)
            return -1;
        for (int j = 0; j < w->n_part; j++) {
            const struct weight_part p = weight_part(l, w, j);
            struct name *last = m->n_name ? &m->name[m->n_name - 1] : NULL;
            if (last && !strcmp(last->name, p.name))
                continue;
            m->name[m->n_name].i_matrix = m->n_matrix - 1;
            m->name[m->n_name].expert = w->rank == 3 ? p.row / w->shape[1] : 0;
            memcpy(m->name[m->n_name++].name, p.name, sizeof p.name);
        }
    }
    qsort(m->name, (size_t)m->n_name, sizeof *m->name, by_name);
    return 0;
}

static struct importance *new_importance(const struct weights_list *l)
{
    size_t n_part = 0;
    for (int i = 0; i < l->n_weight; i++)
        n_part += (size_t)l->weight[i].n_part;
    struct importance *m = mem_alloc_array(1, sizeof *m);
    if (!m)
        return NULL;
    m->matrix = mem_alloc_array((size_t)l->n_weight, sizeof *m->matrix);
    m->name = mem_alloc_array(n_part, sizeof *m->name);
    if (m->matrix && m->name && !list_matrices(m, l))
        return m;
    importance_free(m);
    return NULL;
}

void importance_free(struct importance *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->n_matrix; i++) {
        mem_free(m->matrix[i].sum);
        mem_free(m->matrix[i].n_row);
        mem_free(m->matrix[i].mean);
    }
    source_free(m->file);
    mem_free(m->matrix);
    mem_free(m->name);
    mem_free(m);
}

/* ---- from a file ---- */

#define SOURCE_NAME_MAX 300
#define SUMS ".in_sum2"

static int check_sums(const struct source *s, const char *path, struct err *err)
{
    int n = 0;
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, i);
        const size_t len = strlen(t->name), m = sizeof SUMS - 1;
        if (len <= m || strcmp(t->name + len - m, SUMS))
            continue;
        n++;
        if (t->type != TYPE_F32 || !t->rank || !t->n || (uintptr_t)t->data % sizeof(float))
            return ERR(err, FORMAT, "%s: tensor '%s' is %s of rank %d, expected f32 of 1 or more, aligned to 4 bytes", path, t->name, type_name(t->type), t->rank);
        for (int64_t k = 0; k < t->n; k++) {
            float v;
            memcpy(&v, (const char *)t->data + 4 * k, sizeof v);
            if (!isfinite(v) || v < 0)
                return ERR(err, FORMAT, "%s: tensor '%s': element %lld is %g, expected a sum of squares", path, t->name, (long long)k, (double)v);
        }
    }
    return n ? 0 : ERR(err, FORMAT, "%s has no tensor named ..." SUMS ", expected one for each matrix, as llama-imatrix writes them", path);
}

int importance_open(struct importance **out, const char *path, struct err *err)
{
    struct importance *m = mem_alloc_array(1, sizeof *m);
    *out = NULL;
    if (!m)
        return ERR(err, NOMEM, "no memory to open %s", path);
    int rc = source_open(&m->file, path, err);
    if (!rc)
        rc = check_sums(m->file, path, err);
    if (rc < 0) {
        importance_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

/* Sums serve as well as means: only their ratios within a row matter. */
static const float *of_file(const struct importance *m, const char *name, int64_t expert, int64_t columns)
{
    char full[SOURCE_NAME_MAX];
    if (snprintf(full, sizeof full, "%s" SUMS, name) >= (int)sizeof full)
        return NULL;
    const struct source_tensor *t = source_find(m->file, full);
    if (!t || t->shape[t->rank - 1] != columns || expert >= t->n / columns)
        return NULL;
    return (const float *)t->data + expert * columns;
}

/* ---- watching the model run ---- */

static void add_row(struct matrix *x, int64_t expert, const struct tensor *t, int64_t row)
{
    const enum cpu_type type = t->dtype == DT_BF16 ? TYPE_BF16 : TYPE_F32;
    const bool a8 = t->dtype == DT_A8;
    const char *from = (const char *)t->data + (a8 ? (size_t)row * a8_row_bytes(x->columns) : type_bytes(type, row * x->columns));
    double *sum = x->sum + expert * x->columns;
    for (int64_t k = 0; k < x->columns; k += 64) {
        const int64_t n = x->columns - k < 64 ? x->columns - k : 64;
        float v[64];
        if (a8)
            a8_read(from, k, (int)n, v);
        else
            type_dequantize(type, n, from + type_bytes(type, k), v);
        for (int64_t i = 0; i < n; i++)
            sum[k + i] += (double)v[i] * (double)v[i];
    }
    x->n_row[expert]++;
}

static void watch(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct importance *m = ctx;
    if (n->op != OP_linear && n->op != OP_expert_linear && n->op != OP_linear_act)
        return;
    const struct tensor *in = &g->tensor[n->in[0]], *w = &g->tensor[n->in[1]];
    struct matrix *x = NULL;
    for (int i = 0; i < m->n_matrix && !x; i++)
        x = strcmp(m->matrix[i].weight, w->name) ? NULL : &m->matrix[i];
    if (!x || tensor_cols(in) != x->columns)
        return;
    if (w->rank == 2) {
        for (int64_t i = 0; i < tensor_rows(in, step->T, step->S); i++)
            add_row(x, 0, in, i);
        return;
    }
    const int32_t *row = g->tensor[n->in[2]].data, *start = g->tensor[n->in[3]].data;
    for (int64_t e = 0; e < x->n_expert; e++)
        for (int32_t i = start[e]; i < start[e + 1]; i++)
            add_row(x, e, in, n->attr.gather ? row[i] : i);
}

/* One window, in steps; the head sees every row too. */
static int run_window(struct engine *e, const int32_t *ids, int n, struct err *err)
{
    const int step = engine_step_tokens(e);
    for (int at = 0; at < n; at += step) {
        const int k = n - at < step ? n - at : step;
        TRY(engine_run(e, &(struct engine_part){ 0, at, k, ids + at, NULL, 0 }, 1, err));
        for (int32_t i = 0; i < k; i++) {
            const float *logits;
            TRY(engine_head(e, &i, 1, &logits, err));
        }
    }
    return 0;
}

static int run_text(struct engine *e, const int32_t *ids, int n, int ctx, int32_t bos, int32_t *window, struct err *err)
{
    const int lead = bos >= 0;
    for (int at = 0; at < n; at += ctx - lead) {
        const int k = n - at < ctx - lead ? n - at : ctx - lead;
        window[0] = bos;
        memcpy(window + lead, ids + at, (size_t)k * sizeof *ids);
        TRY(run_window(e, window, k + lead, err));
    }
    return 0;
}

int importance_measure(struct importance **out, struct engine *e, const int32_t *ids, int n, int ctx, int32_t bos, struct err *err)
{
    *out = NULL;
    if (n < 1 || ctx < 2 || ctx > engine_ctx(e))
        return ERR(err, RANGE, "%d tokens in windows of %d to weigh columns by, expected 1 or more, within the model's %d positions", n, ctx, engine_ctx(e));
    struct importance *m = new_importance(engine_model(e)->list);
    int32_t *window = mem_alloc_array((size_t)ctx, sizeof *window);
    int rc = m && window ? 0 : ERR(err, NOMEM, "no memory for the columns' weights");
    if (!rc) {
        engine_watch(e, watch, m);
        rc = run_text(e, ids, n, ctx, bos, window, err);
        engine_watch(e, NULL, NULL);
    }
    mem_free(window);
    if (rc < 0) {
        importance_free(m);
        return rc;
    }
    for (int i = 0; i < m->n_matrix; i++)
        for (int64_t k = 0; k < m->matrix[i].n_expert * m->matrix[i].columns; k++)
            m->matrix[i].mean[k] = (float)(m->matrix[i].sum[k] / (double)(m->matrix[i].n_row[k / m->matrix[i].columns] + 1));
    *out = m;
    return 0;
}

const float *importance_of(const struct importance *m, const char *name, int64_t expert, int64_t columns)
{
    struct name key;
    if (m->file)
        return of_file(m, name, expert, columns);
    if (strlen(name) >= sizeof key.name)
        return NULL;
    strcpy(key.name, name);
    const struct name *at = m->n_name ? bsearch(&key, m->name, (size_t)m->n_name, sizeof *at, by_name) : NULL;
    if (!at)
        return NULL;
    const struct matrix *x = &m->matrix[at->i_matrix];
    const int64_t e = x->n_expert > 1 ? at->expert + expert : 0;
    return x->columns == columns && e >= 0 && e < x->n_expert && x->n_row[e] ? x->mean + e * columns : NULL;
}
