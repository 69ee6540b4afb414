#include "train/base.h"
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "model/adapter.h"
#include "model/finite.h"
#include "model/folder_from_gguf.h"
#include "model/weights_read.h"

static int open_base(struct model *m, const char *path, bool warn, struct err *err)
{
    struct buf warnings;
    buf_init(&warnings);
    const int rc = model_open(m, path, &warnings, err);
    if (warn && warnings.len)
        log_warn("%.*s", (int)(warnings.len - 1), warnings.data);
    buf_release(&warnings);
    return rc;
}

int base_config(struct config *c, const char *path, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, true, err));
    *c = m.config;
    model_release(&m);
    return 0;
}

int base_tokenizer(struct tok **out, const char *path, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, false, err));
    const int rc = tok_load(out, model_tok_path(&m, path), err);
    model_release(&m);
    return rc;
}

/* The weight of that name, or the matrix of a dense MLP that each expert is a copy of (upcycle.h), or -1. */
static int find_weight(const struct weights_list *l, const struct weight *w)
{
    static const char experts[] = "experts.";
    char name[WEIGHT_NAME_MAX];
    const int same = weights_find(l, w->name, w->n);
    const char *at = strstr(w->name, experts);
    if (same >= 0 || !at)
        return same;
    snprintf(name, sizeof name, "%.*s%s", (int)(at - w->name), w->name, at + sizeof experts - 1);
    return weights_find(l, name, w->n / w->shape[0]);
}

/* What a base may lack: a head for classes; for a mixture that begins from it, what upcycle_weights() fills. */
static bool may_lack(const struct config *base, const struct config *c, const struct weight *w)
{
    const bool begins = c->n_expert && !base->n_expert;
    return weight_of_head(w) || (begins && (strstr(w->name, ".router.") || w->balances || strstr(w->name, ".o.b") || strstr(w->name, ".qkv.b")));
}

static int copy_weights(struct decoder *d, const struct weights_list *l, const struct model *m, struct err *err)
{
    struct weights_reader *r;
    TRY(weights_reader_new(&r, m, err));
    for (int i = 0; i < l->n_weight; i++) {
        const int from = find_weight(m->list, &l->weight[i]);
        if (d->g->tensor[i].kind == TENSOR_MAPPED || from < 0)
            continue;
        const struct weight_held held = weight_held(l, &l->weight[i], &d->division);
        const int64_t n = m->list->weight[from].n;
        const float *x = weights_reader_floats(r, from);
        if (n == l->weight[i].n)
            weight_take(&held, x, decoder_weight(d, i), sizeof(float));
        for (int64_t k = 0; n < l->weight[i].n && k < held.n; k += n)
            memcpy(decoder_weight(d, i) + k, x, (size_t)n * sizeof(float));
    }
    const int rc = weights_reader_error(r, err);
    weights_reader_free(r);
    return rc;
}

static void keep_first(void *ctx, const struct finite_row *row)
{
    struct finite_row *first = ctx;
    if (!first->tensor)
        *first = *row;
}

/* Else the first step would not be finite, and its data blamed. */
static int check_finite(const struct model *m, struct pool *pool, const char *path, struct err *err)
{
    struct finite_row first = { .tensor = NULL };
    const int n = finite_check(m->source, pool, keep_first, &first, err);
    TRY(n);
    return n ? ERR(err, NUMERIC, "%s: tensor '%s' has %lld numbers that are not finite, the first is element %lld (%d such tensors): nothing can be learned from there", path, first.tensor->name,
                   (long long)first.n_bad, (long long)first.first, n) : 0;
}

int base_weights(struct decoder *d, const struct weights_list *l, const char *path, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, false, err));
    int missing = 0;
    for (int i = 0; i < l->n_weight; i++)
        missing += find_weight(m.list, &l->weight[i]) < 0 && !may_lack(&m.config, &l->config, &l->weight[i]);
    int rc = !missing ? check_finite(&m, d->g->pool, path, err) : ERR(err, FORMAT, "%s was altered while it was in use", path);
    if (!rc)
        rc = copy_weights(d, l, &m, err);
    model_release(&m);
    return rc;
}

int base_digest(char hex[SHA256_HEX], const char *path, struct err *err)
{
    struct model m;
    struct weights_reader *r = NULL;
    TRY(open_base(&m, path, false, err));
    int rc = weights_reader_new(&r, &m, err);
    if (!rc)
        rc = adapter_base(hex, m.list, weights_reader_floats, r, err);
    if (!rc)
        rc = weights_reader_error(r, err);
    weights_reader_free(r);
    model_release(&m);
    return rc;
}

/* ---- rows in the file ---- */

struct base_rows {
    struct model m;
    const struct weights_list *l;        /* of the decoders; what of it the base has is found by name */
    bool *in_file;                       /* [n_weight] of l */
    int64_t n_row;                       /* of all of them */
    uint64_t file_bytes;
    struct mapped_row *row;              /* [n_row], weight after weight */
};

/* The tensor of a part whose rows are rows of the weight, in the file as it is; NULL when it is none. */
static const struct source_tensor *row_by_row(const struct weights_names *names, const struct weight *w, int j, struct weight_part *p)
{
    const struct source_tensor *t = weights_names_find(names, w, j, p);
    const bool whole = t && t->data && t->rank > 1 && t->type != N_CPU_TYPE && t->shape[t->rank - 1] == p->n_col && p->at % p->n_col == 0 &&
                       p->n_col % type_block(t->type) == 0;
    return whole && !p->transposed && !p->plus_one ? t : NULL;
}

/* Weight i of the decoders as the base has it, or NULL. */
static const struct weight *in_base(const struct base_rows *b, int i)
{
    const int from = weights_find(b->m.list, b->l->weight[i].name, b->l->weight[i].n);
    return from < 0 ? NULL : &b->m.list->weight[from];
}

static void choose_rows(struct base_rows *b)
{
    struct weights_names names;
    weights_names_of_source(&names, b->m.list, b->m.source);
    for (int i = 0; i < b->l->n_weight; i++) {
        const struct weight *w = in_base(b, i);
        uint64_t bytes = 0;
        b->in_file[i] = w && w->rank > 1 && !w->bias && !weight_of_head(w);
        if (!b->in_file[i])
            continue;
        for (int j = 0; j < w->n_part && b->in_file[i]; j++) {
            struct weight_part p;
            const struct source_tensor *t = row_by_row(&names, w, j, &p);
            b->in_file[i] = t != NULL;
            bytes += t ? type_bytes(t->type, p.n_col) * (uint64_t)p.n_row : 0;
        }
        if (b->in_file[i])
            b->n_row += w->n / w->shape[w->rank - 1], b->file_bytes += bytes;
    }
}

int base_rows_new(struct base_rows **out, const char *path, const struct weights_list *l, struct err *err)
{
    struct base_rows *b = *out = mem_alloc_array(1, sizeof *b);
    struct weights_reader *r = NULL;
    int rc = b ? open_base(&b->m, path, false, err) : ERR(err, NOMEM, "no memory to open %s", path);
    if (!rc)
        rc = weights_reader_new(&r, &b->m, err);         /* checks that every part is there, with its shape */
    weights_reader_free(r);
    if (!rc && !(b->in_file = mem_alloc_array((size_t)l->n_weight, sizeof *b->in_file)))
        rc = ERR(err, NOMEM, "no memory to open %s", path);
    if (!rc) {
        b->l = l;
        choose_rows(b);
        return 0;
    }
    base_rows_free(b);
    *out = NULL;
    return rc;
}

void base_rows_free(struct base_rows *b)
{
    if (!b)
        return;
    mem_unmap(b->row, b->row ? (size_t)b->n_row * sizeof *b->row : 0);
    mem_free(b->in_file);
    model_release(&b->m);
    mem_free(b);
}

const bool *base_rows_in_file(const struct base_rows *b) { return b->in_file; }
size_t base_rows_bytes(const struct base_rows *b) { return mem_map_size((size_t)b->n_row * sizeof *b->row); }
uint64_t base_rows_file_bytes(const struct base_rows *b) { return b->file_bytes; }

int base_rows_take(struct base_rows *b, struct err *err)
{
    struct weights_names names;
    weights_names_of_source(&names, b->m.list, b->m.source);
    if (b->n_row && !(b->row = mem_map((size_t)b->n_row * sizeof *b->row)))
        return ERR(err, NOMEM, "no memory for the places of %lld rows", (long long)b->n_row);
    struct mapped_row *row = b->row;
    for (int i = 0; i < b->l->n_weight; i++) {
        const struct weight *w = in_base(b, i);
        for (int j = 0; b->in_file[i] && j < w->n_part; j++) {
            struct weight_part p;
            const struct source_tensor *t = row_by_row(&names, w, j, &p);
            const size_t bytes = type_bytes(t->type, p.n_col);
            for (int64_t r = 0; r < p.n_row; r++)
                row[p.row + r] = (struct mapped_row){ (const char *)t->data + (size_t)(p.at / p.n_col + weight_part_file_row(&p, r)) * bytes, t->type };
        }
        row += b->in_file[i] ? w->n / w->shape[w->rank - 1] : 0;
    }
    return 0;
}

void base_rows_bind(const struct base_rows *b, struct decoder *d)
{
    const struct mapped_row *row = b->row;
    for (int i = 0; i < b->l->n_weight; i++) {
        const struct weight *w = &b->l->weight[i];
        if (!b->in_file[i])
            continue;
        d->g->tensor[i].row = row;
        row += w->n / w->shape[w->rank - 1];
    }
}

int base_put_chat(const char *path, const char *folder, struct err *err)
{
    struct model m;
    TRY(open_base(&m, path, false, err));
    const int rc = folder_put_chat(&m, model_tok_path(&m, path), folder, err);
    model_release(&m);
    return rc;
}
