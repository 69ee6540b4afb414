#include "model/weights_read.h"
#include "base/mem.h"
#include "model/weights_pack.h"

#define PIECE (1 << 20)                /* elements of a piece; or one row */

struct weights_reader {
    const struct model *m;
    struct weights_names names;
    float *weight; int i_weight;       /* the floats of weight i_weight, -1: of none */
    float *rows; char *raw;            /* a piece of a tensor */
    int rc; struct err err;
};

static int64_t largest_weight(const struct weights_list *l)
{
    int64_t n = 1;
    for (int i = 0; i < l->n_weight; i++)
        n = l->weight[i].n > n ? l->weight[i].n : n;
    return n;
}

static int64_t longest_row(const struct source *s)
{
    int64_t n = PIECE;
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, i);
        if (t->rank && t->shape[t->rank - 1] > n)
            n = t->shape[t->rank - 1];
    }
    return n;
}

int weights_reader_new(struct weights_reader **out, const struct model *m, struct err *err)
{
    const size_t n = (size_t)longest_row(m->source);
    struct weight_type *types = NULL;
    *out = NULL;
    TRY(weights_types(&types, m->list, m->source, WEIGHTS_FILE, err));
    mem_free(types);
    struct weights_reader *r = mem_alloc_array(1, sizeof *r);
    if (r) {
        *r = (struct weights_reader){ .m = m, .i_weight = -1, .weight = mem_realloc_array(NULL, (size_t)largest_weight(m->list), sizeof(float)),
                                      .rows = mem_realloc_array(NULL, n, sizeof(float)), .raw = mem_realloc_array(NULL, n, sizeof(float)) };
        if (r->weight && r->rows && r->raw) {
            weights_names_of_source(&r->names, m->list, m->source);
            *out = r;
            return 0;
        }
    }
    weights_reader_free(r);
    return ERR(err, NOMEM, "no memory for the largest weight");
}

void weights_reader_free(struct weights_reader *r)
{
    if (!r)
        return;
    mem_free(r->weight);
    mem_free(r->rows);
    mem_free(r->raw);
    mem_free(r);
}

static void scatter(struct weights_reader *r, const struct weight_part *p, int64_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        r->weight[weight_part_place(p, at + i)] = r->rows[i] + (p->plus_one ? 1 : 0);
}

/* Elements of their own: a part may begin anywhere, as those of a fused bias do. */
static void read_elements(struct weights_reader *r, const struct source_tensor *t, const struct weight_part *p, int64_t n_all)
{
    for (int64_t i = 0; i < n_all; i += PIECE) {
        const int64_t n = n_all - i < PIECE ? n_all - i : PIECE;
        type_dequantize(t->type, n, (const char *)t->data + type_bytes(t->type, p->at + i), r->rows);
        scatter(r, p, i, n);
    }
}

/* Whole rows, of blocks or of weights in several tensors. */
static int read_rows(struct weights_reader *r, const struct source_tensor *t, const struct weight_part *p, int64_t n_all, struct err *err)
{
    const int64_t K = t->shape[t->rank - 1], at_once = PIECE / K > 0 ? PIECE / K : 1, rows = n_all / K;
    if (n_all % K || p->at % K)
        return ERR(err, FORMAT, "tensor '%s': rows of %lld, expected ones that %lld elements from %lld on fill", t->name, (long long)K, (long long)n_all, (long long)p->at);
    for (int64_t i = 0; i < rows; i += at_once) {
        const int64_t n = rows - i < at_once ? rows - i : at_once;
        TRY(source_read_rows(r->m->source, t, p->at / K + i, n, r->raw, err));
        type_dequantize(t->type, n * K, r->raw, r->rows);
        scatter(r, p, i * K, n * K);
    }
    return 0;
}

static int read_part(struct weights_reader *r, const struct weight *w, int j, struct err *err)
{
    struct weight_part p;
    const struct source_tensor *t = weights_names_find(&r->names, w, j, &p);
    const int64_t n_all = p.n_row * p.n_col;
    if (!t)
        return ERR(err, NOTFOUND, "tensor '%s' is not there", p.name);
    if (t->type == N_CPU_TYPE || !t->rank || t->n < 1 || p.at > t->n || n_all > t->n - p.at)
        return ERR(err, FORMAT, "tensor '%s': %lld elements, expected %lld from element %lld on", t->name, (long long)t->n, (long long)n_all, (long long)p.at);
    if (!t->data || type_block(t->type) > 1)
        return read_rows(r, t, &p, n_all, err);
    read_elements(r, t, &p, n_all);
    return 0;
}

const float *weights_reader_floats(void *reader, int i)
{
    struct weights_reader *r = reader;
    const struct weight *w = &r->m->list->weight[i];
    if (r->i_weight == i || r->rc < 0)
        return r->weight;
    r->i_weight = i;
    for (int j = 0; j < w->n_part && r->rc >= 0; j++)
        r->rc = read_part(r, w, j, &r->err);
    return r->weight;
}

int weights_reader_error(const struct weights_reader *r, struct err *err)
{
    if (r->rc < 0 && err)
        *err = r->err;
    return r->rc;
}
