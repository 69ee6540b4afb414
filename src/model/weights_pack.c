/* weights_pack.c - two ways for a weight.
 *
 * rows: every part lies in the file row by row (in any order of rows).  Blocks of our rows go straight from the file to their
 * panels, all threads at once; rows that do not follow each other in the file pass through a thread's scratch.
 * whole: vectors, and matrices that a file has transposed.  They become floats first (weight_part_place). */
#include "model/weights_pack.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cpu/panel.h"
#include "nn/device.h"

/* ---- where the parts of a weight lie ---- */

struct place { struct weight_part part; const struct source_tensor *t; };
struct placed { struct place *place; int n; bool rows; };      /* of one weight, by row */

static int by_row(const void *a, const void *b)
{
    const int64_t x = ((const struct place *)a)->part.row, y = ((const struct place *)b)->part.row;
    return (x > y) - (x < y);
}

static int check_shape(const struct place *p, const struct source *s, struct err *err)
{
    const struct source_tensor *t = p->t;
    if (t->type == N_CPU_TYPE) {
        const struct st_tensor *from = source_safetensors(s) ? safetensors_find(source_safetensors(s), t->name) : NULL;
        return ERR(err, UNSUPPORTED, "tensor '%s' is %s, expected F32, F16, BF16, F8_E4M3 or F8_E5M2", t->name, from ? st_dtype_name(from->dtype) : "of a type that is no weight's");
    }
    if (t->rank == p->part.rank && !memcmp(t->shape, p->part.shape, (size_t)t->rank * sizeof *t->shape))
        return 0;
    char found[WEIGHTS_SHAPE], expected[WEIGHTS_SHAPE];
    return ERR(err, FORMAT, "tensor '%s': shape %s, expected %s", t->name, weights_shape(found, t->rank, t->shape), weights_shape(expected, p->part.rank, p->part.shape));
}

static bool by_rows(const struct place *p)
{
    return !p->part.transposed && !p->part.plus_one && p->part.n_col > 1 && p->part.at % p->part.n_col == 0 && p->t->shape[p->t->rank - 1] == p->part.n_col;
}

/* The parts of all weights; freed by places_free. */
static void places_free(struct placed *all, int n)
{
    for (int i = 0; all && i < n; i++)
        mem_free(all[i].place);
    mem_free(all);
}

static int places_new(struct placed **out, const struct weights_list *l, const struct source *s, struct err *err)
{
    struct weights_names names;
    weights_names_of_source(&names, l, s);
    struct placed *all = *out = mem_alloc_array((size_t)l->n_weight, sizeof *all);
    if (!all)
        return ERR(err, NOMEM, "no memory to find %d weights", l->n_weight);
    int rc = 0;
    for (int i = 0; i < l->n_weight && !rc; i++) {
        const struct weight *w = &l->weight[i];
        all[i] = (struct placed){ mem_alloc_array((size_t)w->n_part, sizeof(struct place)), w->n_part, w->rank > 1 && !w->bias };
        if (!all[i].place)
            rc = ERR(err, NOMEM, "no memory to find weight '%s'", w->name);
        for (int j = 0; j < w->n_part && !rc; j++) {
            struct place *p = &all[i].place[j];
            p->t = weights_names_find(&names, w, j, &p->part);
            rc = p->t ? check_shape(p, s, err) : ERR(err, FORMAT, "tensor '%s' is missing, expected for this model's configuration", p->part.name);
            all[i].rows = all[i].rows && !rc && by_rows(p);
        }
        if (!rc)
            qsort(all[i].place, (size_t)w->n_part, sizeof *all[i].place, by_row);
    }
    if (rc) {
        places_free(all, l->n_weight);
        *out = NULL;
    }
    return rc;
}

/* ---- types ---- */

static enum cpu_type type_as(enum cpu_type file, enum weights_as as)
{
    return as == WEIGHTS_F32 ? TYPE_F32 : as == WEIGHTS_BF16 ? TYPE_BF16 : as == WEIGHTS_F16 ? TYPE_F16 : type_block_bytes(file) == 1 ? TYPE_BF16 : file;
}

static bool is_table(const struct weight *w) { return !strcmp(w->name, "embed") || !strcmp(w->name, "pos") || !strcmp(w->name, "type"); }
static bool is_router(const struct weight *w) { return strstr(w->name, "router") || strstr(w->name, "shared_gate.w"); }

/* What the weight becomes where its parts do not say it: floats of the type asked for. */
static enum cpu_type plain_type(enum cpu_type file, enum weights_as as)
{
    const enum cpu_type t = type_as(file, as);
    return type_block(t) == 1 ? t : TYPE_F32;
}

/* Rows of the same type become one segment; a weight of more segments than a tensor can have, or whose experts differ, becomes
 * floats. */
static void segments_of(struct weight_type *out, const struct weight *w, const struct placed *p, enum weights_as as)
{
    const int64_t N = w->shape[w->rank - 2];
    *out = (struct weight_type){ 0 };
    bool even = p->rows && !is_router(w);
    for (int i = 0; i < p->n && even; i++) {
        const struct weight_part *part = &p->place[i].part;
        const enum cpu_type type = type_as(p->place[i].t->type, as);
        int64_t row = part->row % N, left = part->n_row;
        for (; left > 0 && even; row = 0) {                   /* a part may hold several experts */
            const int64_t n = left < N - row ? left : N - row, expert = (part->row + part->n_row - left) / N;
            left -= n;
            int k = 0;
            int64_t at = 0;
            while (k < out->n_segment && at + out->n_row[k] <= row)
                at += out->n_row[k++];
            if (k < out->n_segment) {
                even = out->type[k] == type;
            } else if (expert) {
                even = false;
            } else if (k && out->type[k - 1] == type && row % PANEL == 0) {
                out->n_row[k - 1] += n;
            } else if (k < SEGMENT_MAX) {
                out->type[k] = type, out->n_row[k] = n, out->n_segment++;
            } else {
                even = false;
            }
        }
    }
    if (even)
        return;
    *out = (struct weight_type){ .n_segment = 1, .type = { is_router(w) ? TYPE_F32 : plain_type(p->place[0].t->type, as) }, .n_row = { N } };
}

static void type_of(struct weight_type *out, const struct weight *w, const struct placed *p, enum weights_as as)
{
    if (w->rank < 2 || w->bias) {
        *out = (struct weight_type){ 0 };
        return;
    }
    segments_of(out, w, p, as);
    if (!is_table(w))
        return;
    const struct place *first = &p->place[0];
    out->mapped = p->n == 1 && p->rows && first->t->data && first->part.fold < 2 && first->t->type == out->type[0];
    out->n_segment = 0;
}

int weights_types(struct weight_type **out, const struct weights_list *l, const struct source *s, enum weights_as as, struct err *err)
{
    *out = NULL;
    struct placed *placed;
    TRY(places_new(&placed, l, s, err));
    struct weight_type *types = mem_alloc_array((size_t)l->n_weight, sizeof *types);
    for (int i = 0; i < l->n_weight && types; i++)
        type_of(&types[i], &l->weight[i], &placed[i], as);
    places_free(placed, l->n_weight);
    return (*out = types) ? 0 : ERR(err, NOMEM, "no memory for the types of %d weights", l->n_weight);
}

/* ---- filling by rows: pieces shared by the threads ---- */

#define PIECE_ROWS (8 * PANEL)

/* Rows row .. row + n - 1 of the weight seen as [.., K], columns col of them, to rows at .. of the segment of expert `expert` of what device `part` holds. */
struct piece { const struct placed *placed; int i_tensor, i_segment; int64_t row, n; int part; int64_t expert, at; struct weight_run col; };
struct fill {
    struct decoder *d;
    const struct source *s;
    const struct piece *piece;
    char *scratch; size_t scratch_size, raw_size;      /* a thread's: raw rows, floats, converted rows */
    struct err *err;             /* [n_thread] */
    int *rc;                     /* [n_thread] */
    struct staging { char *slot; size_t slot_size; int n_slot; } staging;      /* of a graph on a device: pieces on their way, n_slot at a time */
};

static const struct place *place_of(const struct placed *p, int64_t row)
{
    int lo = 0, hi = p->n - 1;
    while (lo < hi) {
        const int mid = (lo + hi + 1) / 2;
        if (p->place[mid].part.row <= row)
            lo = mid;
        else
            hi = mid - 1;
    }
    return &p->place[lo];
}

/* Rows row .. row+n-1 of the weight, in the blocks of the file's type: where they lie, or gathered in raw.  All from one part
 * or of one type. */
static int rows_raw(const struct fill *f, const struct placed *p, int64_t row, int64_t n, char *raw, const void **out, struct err *err)
{
    const struct place *first = place_of(p, row);
    const int64_t K = first->part.n_col;
    const size_t bytes = type_bytes(first->t->type, K);
    *out = raw;
    if (first->part.fold < 2 && row + n <= first->part.row + first->part.n_row) {
        const int64_t at = first->part.at / K + row - first->part.row;
        if (!first->t->data)
            return source_read_rows(f->s, first->t, at, n, raw, err);
        *out = (const char *)first->t->data + (size_t)at * bytes;
        return 0;
    }
    for (int64_t i = 0; i < n; i++) {
        const struct place *q = place_of(p, row + i);
        const int64_t at = q->part.at / K + weight_part_file_row(&q->part, row + i - q->part.row);
        if (q->t->data)
            memcpy(raw + (size_t)i * bytes, (const char *)q->t->data + (size_t)at * bytes, bytes);
        else
            TRY(source_read_rows(f->s, q->t, at, 1, raw + (size_t)i * bytes, err));
    }
    return 0;
}

/* n floats to a type of single elements, in out; F32 stays where it is. */
static const void *converted(const struct cpu_kernels *k, enum cpu_type type, int64_t n, const float *x, uint16_t *out)
{
    assert(type == TYPE_F32 || type == TYPE_BF16 || type == TYPE_F16);
    if (type == TYPE_BF16)
        k->to_bf16((size_t)n, x, out);
    for (int64_t i = 0; type == TYPE_F16 && i < n; i++)
        out[i] = float_to_half(x[i]);
    return type == TYPE_F32 ? (const void *)x : out;
}

/* Columns of n rows, one after the other, in the types' blocks; zeros behind them up to the room. */
static const void *columns(enum cpu_type t, int64_t n, int64_t K, const struct weight_run *col, const void *src, void *to)
{
    const size_t from = type_bytes(t, K), row = type_bytes(t, col->room), first = type_bytes(t, col->from), some = type_bytes(t, col->n);
    memset(to, 0, (size_t)n * row);
    for (int64_t i = 0; i < n; i++)
        memcpy((char *)to + (size_t)i * row, (const char *)src + (size_t)i * from + first, some);
    return to;
}

/* Packs n rows that lie at src to rows at .. of the segment; for a device, to slot. */
static void pack_rows(const struct fill *f, const struct tensor *to, int i_segment, int64_t expert, int64_t at, int64_t n, enum cpu_type type, const void *src, char *slot)
{
    if (f->d->g->device && !to->here) {
        f->d->g->device->pack(type, to->shape[to->rank - 1].n, n, src, slot);
        return;
    }
    const struct panel_segment *s = &to->panels.segment[i_segment];
    const int64_t K = tensor_cols(to);
    assert(at >= 0 && at % PANEL == 0 && at + n <= s->n_row);
    const struct panel_pack p = { .type = type, .K = (int)K, .N = (int)n, .src = src, .stride = type_bytes(type, K),
                                  .out = (char *)to->data + (size_t)expert * to->panels.expert_bytes + s->offset + (size_t)(at / PANEL) * panel_stride(s->type, K) };
    f->d->g->k->pack_panels(&p);
}

/* A thread's scratch: rows as they are in the file, floats, rows as they are kept. */
static int fill_piece(const struct fill *f, const struct piece *q, enum cpu_type type, char *scratch, char *slot, struct err *err)
{
    const struct tensor *to = &f->d->g->tensor[q->i_tensor];
    const enum cpu_type file = place_of(q->placed, q->row)->t->type;
    const int64_t K = q->placed->place[0].part.n_col;
    const bool cut = q->col.n != K || q->col.room != K;
    char *floats = scratch + f->raw_size, *kept = scratch + 2 * f->raw_size;
    const void *src;
    TRY(rows_raw(f, q->placed, q->row, q->n, scratch, &src, err));
    if (to->panels.n_segment && file == type) {
        pack_rows(f, to, q->i_segment, q->expert, q->at, q->n, type, cut ? columns(type, q->n, K, &q->col, src, kept) : src, slot);
        return 0;
    }
    float *x = to->panels.n_segment ? (float *)(void *)floats : (float *)to->data + q->row * K;
    type_dequantize(file, q->n * K, src, x);
    if (cut)
        columns(TYPE_F32, q->n, K, &q->col, x, scratch), x = (float *)(void *)scratch;
    if (to->panels.n_segment)
        pack_rows(f, to, q->i_segment, q->expert, q->at, q->n, type, converted(f->d->g->k, type, q->n * q->col.room, x, (uint16_t *)(void *)kept), slot);
    return 0;
}

struct fill_job { struct fill *f; const struct weight_type *types; const int *i_weight; int first; };

static void fill_item(void *ctx, int i, int i_thread)
{
    const struct fill_job *j = ctx;
    struct fill *f = j->f;
    const int at = j->first + i;
    const struct piece *q = &f->piece[at];
    if (!f->rc[i_thread])
        f->rc[i_thread] = fill_piece(f, q, j->types[j->i_weight[at]].type[q->i_segment], f->scratch + (size_t)i_thread * f->scratch_size,
                                     f->staging.slot ? f->staging.slot + (size_t)i * f->staging.slot_size : NULL, &f->err[i_thread]);
}
static int fill_failed(const struct fill *f, int n_thread, struct err *err)
{
    for (int i = 0; i < n_thread; i++)
        if (f->rc[i]) {
            *err = f->err[i];
            return f->rc[i];
        }
    return 0;
}

/* ---- onto a device: pieces are packed by all threads, then sent ---- */

#define STAGING_BYTES ((size_t)64 << 20)

static int staging_new(struct fill *f, const struct piece *piece, int n, struct err *err)
{
    const struct graph *g = f->d->g;
    size_t most = 64;
    for (int i = 0; i < n; i++) {
        const struct tensor *t = &g->tensor[piece[i].i_tensor];
        if (!t->panels.n_segment || t->here)
            continue;
        const size_t bytes = g->device->packed(t->panels.segment[piece[i].i_segment].of, tensor_cols(t), piece[i].n);
        most = bytes > most ? bytes : most;
    }
    f->staging.slot_size = (most + 63) / 64 * 64;
    f->staging.n_slot = (int)(STAGING_BYTES / f->staging.slot_size) + 1;
    f->staging.n_slot = f->staging.n_slot < n ? f->staging.n_slot : n > 0 ? n : 1;
    return g->device->host_alloc(g->device, (void **)&f->staging.slot, (size_t)f->staging.n_slot * f->staging.slot_size, err);
}
static void staging_free(struct fill *f)
{
    if (f->staging.slot)
        f->d->g->device->host_free(f->d->g->device, f->staging.slot);
    f->staging.slot = NULL;
}

static int fill_device(struct fill *f, struct fill_job *j, int n, struct pool *pool, struct err *err)
{
    struct graph_device *d = f->d->g->device;
    int rc = staging_new(f, f->piece, n, err);
    for (; j->first < n && !rc; j->first += f->staging.n_slot) {
        const int batch = n - j->first < f->staging.n_slot ? n - j->first : f->staging.n_slot;
        pool_for(pool, batch, fill_item, j);
        rc = fill_failed(f, pool_n_thread(pool), err);
        for (int i = 0; i < batch && !rc; i++) {
            const struct piece *q = &f->piece[j->first + i];
            if (f->d->g->tensor[q->i_tensor].panels.n_segment && !f->d->g->tensor[q->i_tensor].here)
                rc = d->put(d, f->d->g, q->part, q->i_tensor, q->expert, q->i_segment, q->at, q->n, f->staging.slot + (size_t)i * f->staging.slot_size, err);
        }
        if (!rc)
            rc = d->wait(d, err);
        log_progress("weights to the device: %.0f %%", 100 * (double)(j->first + batch) / n);
    }
    log_progress_end();
    staging_free(f);
    return rc;
}

/* What device `part` has of weight i, or as its tied head. */
static int n_part(const struct decoder *d) { return d->g->device ? d->g->device->n_part : 1; }
static struct weight_held held_by(const struct decoder *d, const struct weights_list *l, int i_tensor, int weight, int part)
{
    struct division division = d->division;
    division.i = part;
    return i_tensor == d->tied_head ? weight_held_as_head(l, &l->weight[weight], &division) : weight_held(l, &l->weight[weight], &division);
}

struct list { struct piece *piece; int *i_weight; int n; };      /* piece NULL: they are only counted */
static void list_rows(struct list *q, const struct piece *first, int64_t n, int weight)
{
    for (int64_t at = 0; at < n; at += PIECE_ROWS, q->n++)
        if (q->piece) {
            q->piece[q->n] = *first, q->i_weight[q->n] = weight;
            q->piece[q->n].row += at, q->piece[q->n].at += at, q->piece[q->n].n = n - at < PIECE_ROWS ? n - at : PIECE_ROWS;
        }
}
/* Runs of rows that are held, cut where segments are; without panels each row's place is its own. */
static void list_part(struct list *q, const struct placed *p, const struct tensor *to, const struct weight_type *type, const struct weight_held *h, const struct piece *part, int weight)
{
    const int n_segment = to->panels.n_segment ? to->panels.n_segment : 1;
    for (int64_t e = 0; e < h->expert.n; e++)
        for (int64_t i = 0, local = 0; i < h->n_run; local += h->row[i++].room)
            for (int64_t s = 0, first = 0, end; s < n_segment; s++, first = end) {
                end = n_segment > 1 ? first + type->n_row[s] : h->n_row;
                const struct weight_run *run = &h->row[i];
                const int64_t from = run->from > first ? run->from : first, to_row = run->from + run->n < end ? run->from + run->n : end;
                struct piece piece = *part;
                piece.placed = p, piece.i_segment = (int)s, piece.expert = e, piece.col = h->col;
                piece.row = (h->expert.from + e) * h->n_row + from, piece.at = local + from - run->from - (to->panels.n_segment ? to->panels.segment[s].row : 0);
                if (from < to_row)
                    list_rows(q, &piece, to_row - from, weight);
            }
}
static void list_pieces(struct list *q, const struct decoder *d, const struct weights_list *l, const struct placed *p, const struct weight_type *type, int i_tensor, int weight)
{
    const struct tensor *to = &d->g->tensor[i_tensor];
    for (int part = 0; part < (to->panels.n_segment ? n_part(d) : 1); part++) {
        const struct weight_held h = held_by(d, l, i_tensor, weight, part);
        list_part(q, p, to, type, &h, &(struct piece){ .i_tensor = i_tensor, .part = part }, weight);
    }
}

static void list_all(struct list *q, const struct decoder *d, const struct weights_list *l, const struct weight_type *types, const struct placed *placed)
{
    q->n = 0;
    for (int i = 0; i < l->n_weight; i++)
        if (placed[i].rows && !types[i].mapped)
            list_pieces(q, d, l, &placed[i], &types[i], i, i);
    if (d->tied_head >= 0 && placed[0].rows)
        list_pieces(q, d, l, &placed[0], &types[0], d->tied_head, 0);
}

static int fill_rows(struct fill *f, const struct weights_list *l, const struct weight_type *types, const struct placed *placed, struct pool *pool,
                     struct err *err)
{
    struct list list = { 0 };
    int rc = 0;
    int64_t widest = 1;
    list_all(&list, f->d, l, types, placed);
    const int n = list.n;
    for (int i = 0; i < l->n_weight; i++)
        if (placed[i].rows && l->weight[i].shape[l->weight[i].rank - 1] > widest)
            widest = l->weight[i].shape[l->weight[i].rank - 1];
    widest += f->d->division.grain;                    /* what is behind the last share */
    const size_t n_thread = (size_t)pool_n_thread(pool);
    f->raw_size = (size_t)widest * PIECE_ROWS * sizeof(float);
    f->scratch_size = 3 * f->raw_size;
    struct piece *piece = mem_alloc_array((size_t)n + 1, sizeof *piece);
    int *i_weight = mem_alloc_array((size_t)n + 1, sizeof *i_weight);
    f->scratch = mem_alloc_array(n_thread, f->scratch_size);
    f->err = mem_alloc_array(n_thread, sizeof *f->err);
    f->rc = mem_alloc_array(n_thread, sizeof *f->rc);
    if (piece && i_weight && f->scratch && f->err && f->rc) {
        list.piece = piece, list.i_weight = i_weight;
        list_all(&list, f->d, l, types, placed);
        f->piece = piece;
        struct fill_job j = { f, types, i_weight, 0 };
        if (f->d->g->device) {
            rc = fill_device(f, &j, n, pool, err);
        } else {
            pool_for(pool, n, fill_item, &j);
            rc = fill_failed(f, pool_n_thread(pool), err);
        }
    } else {
        rc = ERR(err, NOMEM, "no memory to read weights of %lld columns", (long long)widest);
    }
    mem_free(piece);
    mem_free(i_weight);
    mem_free(f->scratch);
    mem_free(f->err);
    mem_free(f->rc);
    return rc;
}

/* ---- filling whole weights ---- */

#define CHUNK 4096

/* A part, element by element of the file's order, into the whole weight's floats. */
static int part_f32(const struct fill *f, const struct place *p, float *out, struct err *err)
{
    const struct source_tensor *t = p->t;
    float x[CHUNK];
    const int64_t n_all = p->part.n_row * p->part.n_col, block = type_block(t->type);
    if (p->part.at % block || !t->data)
        return ERR(err, UNSUPPORTED, "tensor '%s' is %s; expected floats, as this model's file has it in another order", t->name, type_name(t->type));
    (void)f;
    for (int64_t i = 0; i < n_all; i += CHUNK) {
        const int64_t n = n_all - i < CHUNK ? n_all - i : CHUNK;
        type_dequantize(t->type, (n + block - 1) / block * block, (const char *)t->data + type_bytes(t->type, p->part.at + i), x);
        for (int64_t k = 0; k < n; k++)
            out[weight_part_place(&p->part, i + k)] = x[k] + (p->part.plus_one ? 1 : 0);
    }
    return 0;
}

/* Floats of what device `part` holds of a weight into panels, an expert's segment at a time. */
static int pack_whole(const struct fill *f, int part, int i_tensor, const struct weight_type *type, const float *x, struct err *err)
{
    const struct tensor *to = &f->d->g->tensor[i_tensor];
    const int64_t N = to->shape[to->rank - 2].n, K = to->shape[to->rank - 1].n, E = to->rank == 3 ? to->shape[0].n : 1;
    struct graph_device *d = to->here ? NULL : f->d->g->device;
    uint16_t *half = mem_alloc_array((size_t)(N * K), sizeof *half);
    char *slot = NULL;
    int rc = half ? 0 : ERR(err, NOMEM, "no memory to pack weight '%s'", to->name);
    for (int64_t e = 0; e < E && !rc; e++)
        for (int s = 0; s < to->panels.n_segment && !rc; s++) {
            const struct panel_segment *g = &to->panels.segment[s];
            const enum cpu_type t = type->type[s];
            if (d && !(slot = mem_alloc_array(d->packed(t, K, g->n_row), 1)))
                rc = ERR(err, NOMEM, "no memory to pack weight '%s'", to->name);
            if (rc)
                break;
            pack_rows(f, to, s, e, 0, g->n_row, t, converted(f->d->g->k, t, g->n_row * K, x + (e * N + g->row) * K, half), slot);
            rc = d ? d->put(d, f->d->g, part, i_tensor, e, s, 0, g->n_row, slot, err) : 0;
            rc = d && !rc ? d->wait(d, err) : rc;
            mem_free(slot);
        }
    mem_free(half);
    return rc;
}

/* The whole weight's floats x to where they belong: panels, or floats that each device has a share of. */
static int hand_out(const struct fill *f, const struct weights_list *l, int i_tensor, int weight, const struct weight_type *type, const float *x, struct err *err)
{
    const struct tensor *to = &f->d->g->tensor[i_tensor];
    struct graph_device *d = f->d->g->device;
    int rc = 0;
    for (int part = 0; part < n_part(f->d) && !rc; part++) {
        const struct weight_held h = held_by(f->d, l, i_tensor, weight, part);
        float *share = h.part ? mem_alloc_array((size_t)h.n, sizeof *share) : NULL;
        if (h.part && !share)
            return ERR(err, NOMEM, "no memory for a share of weight '%s'", to->name);
        if (h.part)
            weight_take(&h, x, share, sizeof *share);
        rc = to->panels.n_segment ? pack_whole(f, part, i_tensor, type, share ? share : x, err) : d->floats(d, f->d->g, part, i_tensor, share, err);
        mem_free(share);
    }
    return rc;
}

static int fill_whole(const struct fill *f, const struct weights_list *l, const struct placed *p, int i_tensor, int weight, const struct weight_type *type, struct err *err)
{
    const struct tensor *to = &f->d->g->tensor[i_tensor];
    const bool elsewhere = to->panels.n_segment || to->n_part;
    float *x = elsewhere ? mem_alloc_array((size_t)l->weight[weight].n, sizeof *x) : to->data;
    if (!x)
        return ERR(err, NOMEM, "no memory for weight '%s' as floats", to->name);
    int rc = 0;
    for (int i = 0; i < p->n && !rc; i++)
        rc = part_f32(f, &p->place[i], x, err);
    if (!elsewhere)
        return rc;
    if (!rc)
        rc = hand_out(f, l, i_tensor, weight, type, x, err);
    mem_free(x);
    return rc;
}

int weights_fill(struct decoder *d, const struct weights_list *l, const struct weight_type *types, const struct source *s,
                 struct pool *pool, struct err *err)
{
    struct fill f = { .d = d, .s = s };
    struct placed *placed;
    TRY(places_new(&placed, l, s, err));
    int rc = fill_rows(&f, l, types, placed, pool, err);
    for (int i = 0; i < l->n_weight && !rc; i++) {
        const struct place *first = &placed[i].place[0];
        if (types[i].mapped)
            d->g->tensor[i].data = (char *)(uintptr_t)first->t->data + type_bytes(first->t->type, first->part.at);      /* read only */
        else if (!placed[i].rows)
            rc = fill_whole(&f, l, &placed[i], i, i, &types[i], err);
    }
    if (!rc && d->tied_head >= 0 && !placed[0].rows)
        rc = fill_whole(&f, l, &placed[0], d->tied_head, 0, &types[0], err);
    places_free(placed, l->n_weight);
    return rc;
}
