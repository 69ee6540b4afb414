#include "model/convert.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/gguf.h"
#include "model/weights.h"

/* ---- one piece of one tensor ---- */

struct piece {
    const struct convert *c;
    const struct source_tensor *t;
    const char *name;
    enum cpu_type to;
    bool changed;
    int64_t row, columns, rows_of_expert;      /* row: the first of the piece */
    const char *in; size_t in_bytes;           /* of a row */
    char *out; size_t out_bytes;
    float *x, *y;                              /* [rows, columns]: the numbers, and what became of them */
    double *miss, *norm;                       /* [rows] sums of squares; norm is NaN when a number is not finite */
};

static void convert_one_row(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct piece *p = ctx;
    float *x = p->x + i * p->columns, *y = p->y + i * p->columns;
    char *out = p->out + (size_t)i * p->out_bytes;
    const struct convert *c = p->c;
    const float *importance = c->importance ? c->importance(c->ctx, p->name, (p->row + i) / p->rows_of_expert, p->columns) : NULL;
    double norm = 0, miss = 0;
    type_dequantize(p->t->type, p->columns, p->in + (size_t)i * p->in_bytes, x);
    if (p->changed)
        c->change(c->ctx, p->name, p->row + i, p->columns, x);
    for (int64_t k = 0; k < p->columns; k++)
        norm += (double)x[k] * (double)x[k];
    if (isfinite(norm)) {
        type_quantize(p->to, p->columns, x, importance, out);
        type_dequantize(p->to, p->columns, out, y);
        for (int64_t k = 0; k < p->columns; k++) {
            const double d = (double)y[k] - (double)x[k];
            miss += d * d;
        }
    }
    p->norm[i] = norm, p->miss[i] = miss;
}

static int not_finite(const struct piece *p, int64_t row, struct err *err)
{
    for (int64_t k = 0; k < p->columns; k++)
        if (!isfinite(p->x[row * p->columns + k]))
            return ERR(err, NUMERIC, "tensor '%s': element %lld of row %lld is %g, expected a finite number", p->t->name, (long long)k,
                       (long long)(p->row + row), (double)p->x[row * p->columns + k]);
    return ERR(err, NUMERIC, "tensor '%s': row %lld is too large", p->t->name, (long long)(p->row + row));
}

/* A number that was finite and is none in the type written. */
static int too_large(const struct piece *p, int64_t row, struct err *err)
{
    int64_t k = 0;
    while (k < p->columns - 1 && isfinite(p->y[row * p->columns + k]))
        k++;
    return ERR(err, NUMERIC, "tensor '%s': element %lld of row %lld is %g, which would be %g in %s, expected less", p->t->name, (long long)k, (long long)(p->row + row),
               (double)p->x[row * p->columns + k], (double)p->y[row * p->columns + k], type_name(p->to));
}

/* ---- a tensor, piece by piece ---- */

typedef int (*add_fn)(void *writer, int i, const void *p, size_t n, struct err *err);
struct sink { add_fn add; void *writer; };

struct room { char *in, *out; float *x, *y; double *miss, *norm; };

static void room_release(struct room *r)
{
    mem_free(r->in), mem_free(r->out), mem_free(r->x), mem_free(r->y), mem_free(r->miss), mem_free(r->norm);
}

static int room_take(struct room *r, int64_t rows, int64_t columns, size_t in_bytes, size_t out_bytes, struct err *err)
{
    const size_t n = (size_t)rows * (size_t)columns;
    *r = (struct room){ mem_alloc((size_t)rows * in_bytes), mem_alloc((size_t)rows * out_bytes), mem_realloc_array(NULL, n, sizeof(float)),
                        mem_realloc_array(NULL, n, sizeof(float)), mem_alloc_array((size_t)rows, sizeof(double)), mem_alloc_array((size_t)rows, sizeof(double)) };
    if (r->in && r->out && r->x && r->y && r->miss && r->norm)
        return 0;
    room_release(r);
    return ERR(err, NOMEM, "no memory to convert %lld numbers at once", (long long)n);
}

static int convert_pieces(const struct source *s, struct piece *p, struct room *r, int64_t rows, int64_t rows_at_once, int i, const struct sink *sink,
                          double *error, struct err *err)
{
    double miss = 0, norm = 0;
    for (p->row = 0; p->row < rows; p->row += rows_at_once) {
        const int64_t n = rows - p->row < rows_at_once ? rows - p->row : rows_at_once;
        TRY(source_read_rows(s, p->t, p->row, n, r->in, err));
        pool_for(p->c->pool, (int)n, convert_one_row, p);
        for (int64_t k = 0; k < n; k++) {
            if (!isfinite(p->norm[k]))
                return not_finite(p, k, err);
            if (!isfinite(p->miss[k]))
                return too_large(p, k, err);
            miss += p->miss[k], norm += p->norm[k];
        }
        TRY(sink->add(sink->writer, i, r->out, (size_t)n * p->out_bytes, err));
    }
    *error = norm > 0 ? sqrt(miss / norm) : 0;
    return 0;
}

static int convert_tensor(const struct source *s, const struct convert *c, const struct source_tensor *t, const char *name, enum cpu_type to, int i,
                          const struct sink *sink, double *error, struct err *err)
{
    const int64_t columns = t->rank ? t->shape[t->rank - 1] : 1, rows = columns ? t->n / columns : 0;
    const bool changed = c->changes && c->changes(c->ctx, name);
    *error = 0;
    if (!t->n || (to == t->type && t->data && !changed))
        return sink->add(sink->writer, i, t->data, t->bytes, err);
    const int64_t fits = CONVERT_PIECE / columns, at_once = fits < 1 ? 1 : fits < rows ? fits : rows;
    struct piece p = { .c = c, .t = t, .name = name, .to = to, .changed = changed, .columns = columns, .rows_of_expert = t->rank == 3 ? t->shape[1] : rows,
                       .in_bytes = type_bytes(t->type, columns), .out_bytes = type_bytes(to, columns) };
    struct room r;
    TRY(room_take(&r, at_once, columns, p.in_bytes, p.out_bytes, err));
    p.in = r.in, p.out = r.out, p.x = r.x, p.y = r.y, p.miss = r.miss, p.norm = r.norm;
    const int rc = convert_pieces(s, &p, &r, rows, at_once, i, sink, error, err);
    room_release(&r);
    return rc;
}

/* What each tensor will be, in the order of the new file.  of: which of the source it is. */
struct plan { enum cpu_type to; bool fell_back; int of; size_t width; };

static int convert_all(const struct source *s, const struct convert *c, const struct plan *plan, const struct sink *sink, struct err *err)
{
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, plan[i].of);
        struct convert_row row = { .name = t->name, .tensor = t, .to = plan[i].to, .fell_back = plan[i].fell_back };
        row.bytes = t->type == N_CPU_TYPE ? t->bytes : type_bytes(row.to, t->n);
        TRY(convert_tensor(s, c, t, t->name, row.to, i, sink, &row.error, err));
        if (c->report)
            c->report(c->ctx, &row);
    }
    return 0;
}

static struct plan *new_plan(const struct source *s, struct err *err)
{
    struct plan *p = mem_alloc_array((size_t)source_count(s), sizeof *p);
    if (!p)
        ERR(err, NOMEM, "no memory for %d tensors", source_count(s));
    for (int i = 0; p && i < source_count(s); i++)
        p[i].of = i;
    return p;
}

/* ---- to GGUF ---- */

static int64_t arch_int(const struct gguf *g, const char *what, int64_t fallback)
{
    const char *arch = "";
    char key[100];
    int64_t v = fallback;
    if (gguf_get_str(g, "general.architecture", &arch, NULL) == 1) {
        snprintf(key, sizeof key, "%.60s.%s", arch, what);
        gguf_get_int(g, key, 1, INT32_MAX, &v, NULL);      /* an array (a value for each layer) counts as absent */
    }
    return v;
}

static void plan_gguf(const struct source *s, const struct convert *c, struct plan *plan)
{
    const struct gguf *g = source_gguf(s);
    const int64_t heads = arch_int(g, "attention.head_count", 1);
    const struct mix_model m = { .n_layer = (int)arch_int(g, "block_count", 1), .n_expert = (int)arch_int(g, "expert_count", 0),
                                 .n_gqa = (int)(heads / arch_int(g, "attention.head_count_kv", heads)), .tied = !gguf_find_tensor(g, "output.weight"),
                                 .importance = c->importance != NULL, .pure = c->pure };
    for (int i = 0; i < source_count(s); i++)
        plan[i].to = !c->mix ? source_at(s, i)->type : mix_type(c->mix, &m, source_at(s, i)->name, source_at(s, i), &plan[i].fell_back);
}

static int put_metadata(struct gguf_writer *w, const struct gguf *g, const struct convert *c, struct err *err)
{
    bool typed = false;
    for (int i = 0; i < gguf_n_pair(g); i++) {
        const struct gguf_pair *p = gguf_pair(g, i);
        const bool type = !strcmp(p->key, "general.file_type");
        if (!strncmp(p->key, "split.", 6) || !strcmp(p->key, "general.alignment") || !strncmp(p->key, QUALITY_KEYS, strlen(QUALITY_KEYS)))
            continue;
        TRY(type && c->mix ? gguf_put_int(w, p->key, GGUF_U32, c->mix->file_type, err) : gguf_put_pair(w, p, err));
        typed = typed || type;
    }
    if (!typed && c->mix)
        TRY(gguf_put_int(w, "general.file_type", GGUF_U32, c->mix->file_type, err));
    return c->more ? c->more(c->ctx, w, err) : 0;
}

static int declare_all(struct gguf_writer *w, const struct source *s, const struct plan *plan, struct err *err)
{
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, i);
        const uint32_t type = t->type == N_CPU_TYPE ? gguf_type_id(source_gguf(s), t) : (uint32_t)type_ggml_id(plan[i].to);
        TRY(gguf_declare(w, t->name, type, t->rank, t->shape, err));
    }
    return 0;
}

static int add_gguf(void *w, int i, const void *p, size_t n, struct err *err) { return gguf_writer_add(w, i, p, n, err); }

int convert_gguf(const struct source *s, const char *path, const struct convert *c, struct err *err)
{
    if (!source_gguf(s))
        return ERR(err, UNSUPPORTED, "a GGUF file can be written from a GGUF file only");
    struct plan *plan = new_plan(s, err);
    struct gguf_writer *w = NULL;
    if (!plan)
        return ERR_NOMEM;
    plan_gguf(s, c, plan);
    int rc = gguf_writer_new(&w, path, err);
    const struct sink sink = { add_gguf, w };
    if (!rc)
        rc = put_metadata(w, source_gguf(s), c, err);
    if (!rc)
        rc = declare_all(w, s, plan, err);
    if (!rc)
        rc = convert_all(s, c, plan, &sink, err);
    if (!rc)
        rc = gguf_writer_commit(w, err);
    gguf_writer_free(w);
    mem_free(plan);
    return rc;
}

/* ---- to safetensors ---- */

static int add_st(void *w, int i, const void *p, size_t n, struct err *err) { return st_writer_add(w, i, p, n, err); }

static enum st_dtype dtype_of(enum cpu_type t) { return t == TYPE_F32 ? ST_F32 : t == TYPE_F16 ? ST_F16 : ST_BF16; }

/* The widest elements first, so that each tensor begins at a multiple of its own. */
static int by_width(const void *a, const void *b)
{
    const struct plan *x = a, *y = b;
    return x->width != y->width ? (x->width < y->width) - (x->width > y->width) : (x->of > y->of) - (x->of < y->of);
}

static bool stays(const struct source_tensor *t, const struct st_tensor *from) { return t->type == N_CPU_TYPE || (from && t->data && weights_is_constant(t->name)); }

static int declare_st(const struct source *s, const struct convert *c, struct plan *plan, struct st_decl *d, struct err *err)
{
    const int n = source_count(s);
    for (int i = 0; i < n; i++) {
        const struct source_tensor *t = source_at(s, i);
        const struct st_tensor *from = safetensors_find(source_safetensors(s), t->name);
        if (t->type == N_CPU_TYPE && !from)
            return ERR(err, UNSUPPORTED, "tensor '%s' has no type that can be written", t->name);
        plan[i].to = stays(t, from) ? t->type : c->mix->type;
        plan[i].width = st_dtype_size(stays(t, from) ? from->dtype : dtype_of(plan[i].to));
    }
    qsort(plan, (size_t)n, sizeof *plan, by_width);
    for (int i = 0; i < n; i++) {
        const struct source_tensor *t = source_at(s, plan[i].of);
        const struct st_tensor *from = safetensors_find(source_safetensors(s), t->name);
        d[i] = (struct st_decl){ .name = t->name, .dtype = stays(t, from) ? from->dtype : dtype_of(plan[i].to), .rank = t->rank };
        memcpy(d[i].shape, t->shape, sizeof t->shape);
    }
    return 0;
}

int convert_safetensors(const struct source *s, const char *path, const struct convert *c, struct err *err)
{
    if (!source_safetensors(s))
        return ERR(err, UNSUPPORTED, "a safetensors file can be written from safetensors only");
    if (type_block(c->mix->type) != 1)
        return ERR(err, USAGE, "safetensors files hold no %s, expected f32, f16 or bf16", c->mix->word);
    struct plan *plan = new_plan(s, err);
    struct st_decl *d = mem_alloc_array((size_t)source_count(s), sizeof *d);
    const struct st_pair form = { "format", "pt" };
    struct st_writer *w = NULL;
    int rc = plan && d ? 0 : ERR(err, NOMEM, "no memory for %d tensors", source_count(s));
    if (!rc)
        rc = declare_st(s, c, plan, d, err);
    if (!rc)
        rc = st_writer_new(&w, path, d, source_count(s), &form, 1, err);
    const struct sink sink = { add_st, w };
    if (!rc)
        rc = convert_all(s, c, plan, &sink, err);
    if (!rc)
        rc = st_writer_commit(w, err);
    st_writer_free(w);
    mem_free(plan);
    mem_free(d);
    return rc;
}
