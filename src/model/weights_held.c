/* weights_held.c - which part of each weight a process holds, where several hold one model together. */
#include "model/weights.h"
#include <assert.h>
#include <string.h>

/* "qkv" is "3.qkv.w" and its bias; "experts." is all that begin so. */
static bool is_named(const struct weight *w, const char *what)
{
    const char *name = w->layer < 0 ? w->name : strchr(w->name, '.') + 1;
    const size_t n = strlen(what);
    return !strncmp(name, what, n) && (what[n - 1] == '.' || !name[n] || !strcmp(name + n, ".w") || !strcmp(name + n, ".b"));
}

/* Of n in groups of `unit`. */
static struct weight_run share_in(const struct division *d, int64_t first, int64_t n, int64_t unit)
{
    const int64_t groups = (n + unit - 1) / unit, from = groups * d->i / d->n * unit, end = groups * (d->i + 1) / d->n * unit;
    struct weight_run r = { .from = first + (from < n ? from : n), .n = (end < n ? end : n) - (from < n ? from : n) };
    r.room = d->by == DIVIDE_DEVICES ? (groups + d->n - 1) / d->n * unit : r.n;
    return r;
}
static struct weight_run share_of(const struct division *d, int64_t first, int64_t n) { return share_in(d, first, n, 1); }
static struct weight_run all_of(int64_t n) { return (struct weight_run){ .n = n, .room = n }; }

static void hold_rows(struct weight_held *h, int n, struct weight_run a, struct weight_run b, struct weight_run c)
{
    h->row[0] = a, h->row[1] = b, h->row[2] = c;
    h->n_run = n, h->part = true;
}

/* Stretches of the whole's rows that follow each other, each of them divided by itself in groups of `unit`. */
static void divide_rows(struct weight_held *h, const struct division *d, int n, int64_t a, int64_t b, int64_t c, int64_t unit)
{
    assert(a + b + c == h->n_row);
    hold_rows(h, n, share_in(d, 0, a, unit), share_in(d, a, b, unit), share_in(d, a + b, c, unit));
}

/* Heads of keys or of values, D rows each from `first` on; one for several devices where there are fewer. */
static struct weight_run kv_heads(const struct division *d, int64_t first, int64_t n_head, int64_t D)
{
    if (d->by != DIVIDE_DEVICES || n_head >= d->n)
        return share_of(d, first, n_head * D);
    return (struct weight_run){ .from = first + n_head * d->i / d->n * D, .n = D, .room = D };
}

static void divide_layer(struct weight_held *h, const struct weight *w, const struct config *c, const struct division *d)
{
    const int64_t D = c->d_head, q = c->n_head * D, kv = c->n_kv_head * D, F = c->d_ff, shared = c->d_ff_shared, unit = d->grain ? d->grain : 1;
    const bool devices = d->by == DIVIDE_DEVICES;
    if ((is_named(w, "embed") && !devices) || is_named(w, "head"))
        divide_rows(h, d, 1, h->n_row, 0, 0, 1);
    else if (is_named(w, "qkv"))
        hold_rows(h, 3, share_of(d, 0, q), kv_heads(d, q, c->n_kv_head, D), kv_heads(d, q + kv, c->n_kv_head, D));
    else if (is_named(w, "sinks"))
        divide_rows(h, d, 1, c->n_head, 0, 0, 1);
    else if (is_named(w, "gate_up"))
        divide_rows(h, d, 2, F, F, 0, unit);
    else if (is_named(w, "up"))
        divide_rows(h, d, 1, F, 0, 0, unit);
    else if (is_named(w, "o") && !w->bias)
        h->col = share_of(d, 0, h->n_col), h->part = true;
    else if (is_named(w, "down") && !w->bias)
        h->col = share_in(d, 0, h->n_col, unit), h->part = true;
    else if (devices && is_named(w, "shared.gate_up"))
        divide_rows(h, d, 2, shared, shared, 0, unit);
    else if (devices && is_named(w, "shared.up"))
        divide_rows(h, d, 1, shared, 0, 0, unit);
    else if (devices && is_named(w, "shared.down") && !w->bias)
        h->col = share_in(d, 0, h->n_col, unit), h->part = true;
}

static struct weight_held whole_of(const struct weight *w, bool experts)
{
    const bool columns = w->rank > 1 && !w->bias;
    const int64_t E = experts ? w->shape[0] : 1, K = columns ? w->shape[w->rank - 1] : 1, N = w->n / E / K;
    return (struct weight_held){ .expert = all_of(E), .n_run = 1, .row = { all_of(N) }, .col = all_of(K), .n_row = N, .n_col = K };
}
static int64_t rows_of(const struct weight_held *h)
{
    int64_t rows = 0;
    for (int i = 0; i < h->n_run; i++)
        rows += h->row[i].room;
    return rows;
}
static void set_shape(struct weight_held *h, const struct weight *w, bool experts)
{
    memcpy(h->shape, w->shape, sizeof h->shape);
    h->shape[0] = experts ? h->expert.room : h->shape[0];
    h->shape[experts] = rows_of(h);
    if (w->rank > 1 && !w->bias)
        h->shape[w->rank - 1] = h->col.room;
    h->n = h->expert.room * rows_of(h) * h->col.room;
}

struct weight_held weight_held(const struct weights_list *l, const struct weight *w, const struct division *d)
{
    const bool experts = is_named(w, "experts.");
    struct weight_held h = whole_of(w, experts);
    assert(w->n > 0 && d->i >= 0 && (!d->by || d->i < d->n));
    if (d->by == DIVIDE_LAYERS || (d->by == DIVIDE_DEVICES && !experts))
        divide_layer(&h, w, &l->config, d);
    else if (d->by && experts)
        h.expert = share_of(d, 0, h.expert.n), h.part = true;
    set_shape(&h, w, experts);
    return h;
}

struct weight_held weight_held_as_head(const struct weights_list *l, const struct weight *w, const struct division *d)
{
    struct weight_held h = whole_of(w, false);
    assert(w == l->weight);
    if (d->by == DIVIDE_DEVICES)
        divide_rows(&h, d, 1, h.n_row, 0, 0, 1);
    set_shape(&h, w, false);
    return h;
}

/* Of a share that fills its room. */
int64_t weight_whole(const struct weight_held *h, int64_t k)
{
    const int64_t rows = h->n / h->expert.n / h->col.n, expert = k / h->col.n / rows;
    int64_t r = k / h->col.n % rows;
    int i = 0;
    for (; r >= h->row[i].n; i++)
        r -= h->row[i].n;
    return ((h->expert.from + expert) * h->n_row + h->row[i].from + r) * h->n_col + h->col.from + k % h->col.n;
}

/* Between the two, a row at a time, or whole runs of rows where all columns are held. */
static void copy(const struct weight_held *h, const char *from, char *to, size_t size, bool take)
{
    const int64_t rows = rows_of(h);
    const bool wide = h->col.n == h->n_col && h->col.room == h->n_col;
    for (int64_t e = 0; e < h->expert.n; e++)
        for (int64_t i = 0, at = 0; i < h->n_run; at += h->row[i++].room)
            for (int64_t r = 0; r < h->row[i].n; r += wide ? h->row[i].n : 1) {
                const int64_t whole = ((h->expert.from + e) * h->n_row + h->row[i].from + r) * h->n_col + h->col.from, held = (e * rows + at + r) * h->col.room;
                const size_t n = (size_t)(wide ? h->row[i].n * h->n_col : h->col.n) * size;
                memcpy(to + (size_t)(take ? held : whole) * size, from + (size_t)(take ? whole : held) * size, n);
            }
}
void weight_take(const struct weight_held *h, const void *whole, void *held, size_t size) { copy(h, whole, held, size, true); }
void weight_put(const struct weight_held *h, const void *held, void *whole, size_t size) { copy(h, held, whole, size, false); }
