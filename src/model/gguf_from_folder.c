#include "model/gguf_from_folder.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/gguf_export.h"
#include "model/gguf_tok.h"
#include "model/weights_pack.h"

struct folder {
    const struct model *m;
    const char *path;
    struct weights_names names;
    float *weight; int i_weight;       /* the floats of weight i_weight, -1: of none */
    float *rows; char *raw;            /* a piece of a tensor */
    struct err *err; int rc;           /* what went wrong while floats were asked for */
};
#define PIECE (1 << 20)                /* elements of a piece; or one row */

static const void *find_in_source(const void *s, const char *name) { return source_find(s, name); }

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

/* Rows first .. first+n-1 of t, which are elements from `at` on of the part. */
static int load_rows(struct folder *f, const struct source_tensor *t, const struct weight_part *p, int64_t first, int64_t n, int64_t at, struct err *err)
{
    const int64_t K = t->shape[t->rank - 1];
    TRY(source_read_rows(f->m->source, t, first, n, f->raw, err));
    type_dequantize(t->type, n * K, f->raw, f->rows);
    for (int64_t i = 0; i < n * K; i++)
        f->weight[weight_part_place(p, at + i)] = f->rows[i] + (p->plus_one ? 1 : 0);
    return 0;
}

static int load_part(struct folder *f, const struct weight *w, int j, struct err *err)
{
    struct weight_part p;
    const struct source_tensor *t = weights_names_find(&f->names, w, j, &p);
    const int64_t n_all = p.n_row * p.n_col, K = t && t->rank ? t->shape[t->rank - 1] : 1;
    if (!t)
        return ERR(err, NOTFOUND, "tensor '%s' is not there", p.name);
    if (K < 1 || n_all % K || p.at % K || p.at > t->n || n_all > t->n - p.at)
        return ERR(err, FORMAT, "tensor '%s': %lld elements in rows of %lld, expected %lld", t->name, (long long)t->n, (long long)K, (long long)(p.at + n_all));
    const int64_t at_once = PIECE / K > 0 ? PIECE / K : 1, rows = n_all / K;
    for (int64_t r = 0; r < rows; r += at_once)
        TRY(load_rows(f, t, &p, p.at / K + r, rows - r < at_once ? rows - r : at_once, r * K, err));
    return 0;
}

/* The export asks for each tensor of a weight; they stand together.  What fails is kept, and told at the end. */
static const float *floats_of(void *ctx, int i)
{
    struct folder *f = ctx;
    const struct weight *w = &f->m->list->weight[i];
    if (f->i_weight == i || f->rc < 0)
        return f->weight;
    f->i_weight = i;
    for (int j = 0; j < w->n_part && f->rc >= 0; j++)
        f->rc = load_part(f, w, j, f->err);
    return f->weight;
}

static int put_more(void *ctx, struct gguf_writer *w, struct err *err)
{
    const struct folder *f = ctx;
    return gguf_put_tokenizer(w, f->path, f->m->config.vocab_size, err);
}

/* The one type of all matrices where that is a half, else F32. */
static enum cpu_type common_type(const struct source *s)
{
    enum cpu_type type = N_CPU_TYPE;
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, i);
        if (t->rank < 2 || t->type == N_CPU_TYPE)
            continue;
        if (type != N_CPU_TYPE && t->type != type)
            return TYPE_F32;
        type = t->type;
    }
    return type == TYPE_F16 || type == TYPE_BF16 ? type : TYPE_F32;
}

int gguf_from_folder(const struct model *m, const char *folder, const char *path, struct err *err)
{
    const size_t n = (size_t)longest_row(m->source);
    struct folder f = { .m = m, .path = folder, .i_weight = -1, .err = err, .weight = mem_realloc_array(NULL, (size_t)largest_weight(m->list), sizeof(float)),
                        .rows = mem_realloc_array(NULL, n, sizeof(float)), .raw = mem_realloc_array(NULL, n, sizeof(float)) };
    const struct gguf_export x = { .config = &m->config, .type = common_type(m->source), .source = floats_of, .more = put_more, .ctx = &f };
    struct weight_type *types = NULL;
    struct err first;
    int rc = f.weight && f.rows && f.raw ? 0 : ERR(err, NOMEM, "no memory for the largest weight of %s", folder);
    if (!rc)
        rc = weights_types(&types, m->list, m->source, WEIGHTS_FILE, err);      /* every part is there, with its shape */
    mem_free(types);
    if (!rc) {
        weights_names_init(&f.names, m->list, m->source, find_in_source);
        f.err = &first;
        rc = gguf_export(&x, path, err);
    }
    if (!rc && f.rc < 0) {
        file_remove_tree(path, NULL);
        rc = f.rc;
        if (err)
            *err = first;
    }
    mem_free(f.weight);
    mem_free(f.rows);
    mem_free(f.raw);
    return rc;
}
