/* weights_copy.c - weights copied out of and into safetensors files.  What lies otherwise in the file passes through CHUNK elements in
 * the file's order. */
#include "model/weights.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "cpu/quant.h"

/* ---- where elements lie ---- */

#define CHUNK ((int64_t)1 << 16)

static bool is_plain(const struct weight_part *p) { return !p->transposed && p->fold < 2 && !p->plus_one; }

int64_t weight_part_place(const struct weight_part *p, int64_t k)
{
    int64_t r = p->transposed ? k % p->n_row : k / p->n_col;
    const int64_t c = p->transposed ? k / p->n_row : k % p->n_col;
    if (p->fold > 1) {
        const int64_t period = p->period ? p->period : p->n_row, block = r / period, in = r % period;
        const int64_t group = in / (p->fold * p->inner), run = in / p->inner % p->fold;
        r = block * period + run * (period / p->fold) + group * p->inner + in % p->inner;
    }
    return (p->row + r) * p->n_col + c;
}

int64_t weight_part_file_row(const struct weight_part *p, int64_t r)
{
    if (p->fold < 2)
        return r;
    const int64_t period = p->period ? p->period : p->n_row, in_block = r % period;
    const int64_t run = in_block / (period / p->fold), in = in_block % (period / p->fold), group = in / p->inner;
    return r - in_block + (group * p->fold + run) * p->inner + in % p->inner;
}

/* Elements first .. first+n-1 of the part in the file's order, to or from our weight. */
static void scatter(float *out, const struct weight_part *p, int64_t first, int64_t n, const float *chunk)
{
    for (int64_t i = 0; i < n; i++)
        out[weight_part_place(p, first + i)] = chunk[i] + (p->plus_one ? 1 : 0);
}

static void gather(const float *in, const struct weight_part *p, int64_t first, int64_t n, float *chunk)
{
    for (int64_t i = 0; i < n; i++)
        chunk[i] = in[weight_part_place(p, first + i)] - (p->plus_one ? 1 : 0);
}

static int load_part(const struct st_tensor *t, const struct weight_part *p, float *out, float *chunk, struct err *err)
{
    const int64_t n_all = p->n_row * p->n_col;
    if (is_plain(p))
        return st_read_f32(t, p->at, n_all, out + p->row * p->n_col, err);
    for (int64_t i = 0; i < n_all; i += CHUNK) {
        const int64_t n = n_all - i < CHUNK ? n_all - i : CHUNK;
        TRY(st_read_f32(t, p->at + i, n, chunk, err));
        scatter(out, p, i, n, chunk);
    }
    return 0;
}

struct load { const struct weights_list *l; struct weights_names names; float *chunk; };

static int begin_load(struct load *d, const struct weights_list *l, const struct safetensors *st, struct err *err)
{
    TRY(weights_check(l, st, err));
    d->l = l;
    weights_names_of_st(&d->names, l, st);
    d->chunk = mem_alloc_array((size_t)CHUNK, sizeof *d->chunk);
    return d->chunk ? 0 : ERR(err, NOMEM, "no memory to read weights");
}

static int load_weight(const struct load *d, int i, float *out, struct err *err)
{
    const struct weight *w = &d->l->weight[i];
    for (int j = 0; out && j < w->n_part; j++) {
        struct weight_part p;
        const struct st_tensor *t = weights_names_find(&d->names, w, j, &p);
        TRY(load_part(t, &p, out, d->chunk, err));
    }
    return 0;
}

int weights_load(const struct weights_list *l, const struct safetensors *st, float *(*place)(void *ctx, int i), void *ctx,
                 struct err *err)
{
    struct load d;
    TRY(begin_load(&d, l, st, err));
    int rc = 0;
    for (int i = 0; i < l->n_weight && !rc; i++)
        rc = load_weight(&d, i, place(ctx, i), err);
    mem_free(d.chunk);
    return rc;
}

int weights_load_each(const struct weights_list *l, const struct safetensors *st, float *room, int (*take)(void *ctx, int i, struct err *err),
                      void *ctx, struct err *err)
{
    struct load d;
    TRY(begin_load(&d, l, st, err));
    int rc = 0;
    for (int i = 0; i < l->n_weight && !rc; i++)
        if (!(rc = load_weight(&d, i, room, err)))
            rc = take(ctx, i, err);
    mem_free(d.chunk);
    return rc;
}

/* ---- saving ---- */

/* Parts of one tensor follow each other. */
static bool begins_tensor(const struct weight_part *p) { return !p->at; }

static int n_tensors(const struct weights_list *l)
{
    int n = 0;
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            n += begins_tensor(&p);
        }
    return n;
}

static int save_part(struct st_writer *w, int i_tensor, const struct weight_part *p, enum st_dtype dtype, const float *in,
                     float *chunk, struct err *err)
{
    const int64_t n_all = p->n_row * p->n_col;
    for (int64_t i = 0; i < n_all; i += CHUNK) {
        const int64_t n = n_all - i < CHUNK ? n_all - i : CHUNK;
        const float *v = in + p->row * p->n_col + i;
        if (!is_plain(p)) {
            gather(in, p, i, n, chunk);
            v = chunk;
        }
        if (dtype == ST_F32) {
            TRY(st_writer_add(w, i_tensor, v, (size_t)n * sizeof *v, err));
            continue;
        }
        uint16_t *half = (uint16_t *)(chunk + CHUNK);
        for (int64_t k = 0; k < n; k++) {
            half[k] = dtype == ST_BF16 ? st_bf16(v[k]) : float_to_half(v[k]);
            const uint16_t exponent = dtype == ST_BF16 ? 0x7f80 : 0x7c00;
            if ((half[k] & exponent) == exponent && isfinite(v[k]))
                return ERR(err, NUMERIC, "tensor '%s': a number is %g, which would be infinite in %s; nothing was written", p->name, (double)v[k], st_dtype_name(dtype));
        }
        TRY(st_writer_add(w, i_tensor, half, (size_t)n * sizeof *half, err));
    }
    return 0;
}

static int save_all(const struct weights_list *l, struct st_writer *w, enum st_dtype dtype, const float *(*source)(void *ctx, int i),
                    void *ctx, bool prove, struct err *err)
{
    float *chunk = mem_alloc_array((size_t)(2 * CHUNK), sizeof *chunk);
    if (!chunk)
        return ERR(err, NOMEM, "no memory to write weights");
    int rc = 0, i_tensor = -1;
    for (int i = 0; i < l->n_weight && !rc; i++) {
        const float *in = source(ctx, i);
        if (!in)
            rc = ERR(err, IO, "there are no numbers for weight '%s'", l->weight[i].name);
        for (int j = 0; j < l->weight[i].n_part && !rc; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            i_tensor += begins_tensor(&p);
            rc = save_part(w, i_tensor, &p, dtype, in, chunk, err);
        }
    }
    mem_free(chunk);
    if (!rc && prove)
        rc = st_writer_prove(w, err);
    return rc ? rc : st_writer_commit(w, err);
}

/* names: of all tensors, in the order of the file. */
static void declare(const struct weights_list *l, enum st_dtype dtype, struct weight_digest *names, struct st_decl *decl)
{
    for (int i = 0, k = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            if (!begins_tensor(&p))
                continue;
            memcpy(names[k].name, p.name, sizeof p.name);
            decl[k] = (struct st_decl){ names[k].name, dtype, p.rank, { p.shape[0], p.shape[1], p.shape[2], p.shape[3] } };
            k++;
        }
}

int weights_save(const struct weights_list *l, const char *path, enum st_dtype dtype, const float *(*source)(void *ctx, int i),
                 void *ctx, const struct st_pair *metadata, int n_metadata, struct weight_digest **digest, int *n_digest,
                 struct err *err)
{
    if (digest)
        *digest = NULL, *n_digest = 0;
    if (dtype != ST_F32 && dtype != ST_BF16 && dtype != ST_F16)
        return ERR(err, UNSUPPORTED, "%s: dtype %s, expected F32, BF16 or F16", path, st_dtype_name(dtype));
    const int n = n_tensors(l);
    struct st_writer *w = NULL;
    struct st_decl *decl = mem_alloc_array((size_t)n, sizeof *decl);
    struct weight_digest *names = mem_alloc_array((size_t)n, sizeof *names);
    struct st_pair *pair = mem_alloc_array((size_t)n_metadata + 1, sizeof *pair);
    int rc;
    if (!decl || !names || !pair) {
        rc = ERR(err, NOMEM, "no memory to write %d tensors", n);
        goto out;
    }
    pair[0] = (struct st_pair){ "format", "pt" };
    for (int i = 0; i < n_metadata; i++)
        pair[i + 1] = metadata[i];
    declare(l, dtype, names, decl);
    if ((rc = st_writer_new(&w, path, decl, n, pair, n_metadata + 1, err)) || (rc = save_all(l, w, dtype, source, ctx, digest != NULL, err)))
        goto out;
    for (int i = 0; i < n; i++)
        memcpy(names[i].sha256, st_writer_sha256(w, i), SHA256_HEX);
    if (digest) {
        *digest = names, *n_digest = n;
        names = NULL;
    }
out:
    st_writer_free(w);
    mem_free(pair);
    mem_free(names);
    mem_free(decl);
    return rc;
}
