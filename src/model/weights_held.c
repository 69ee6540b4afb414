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

static struct weight_run share_of(const struct division *d, int64_t first, int64_t n)
{
    const int64_t from = n * d->i / d->n, end = n * (d->i + 1) / d->n;
    return (struct weight_run){ first + from, end - from };
}

/* Stretches of the whole's rows that follow each other, each of them divided by itself. */
static void divide_rows(struct weight_held *h, const struct division *d, int n, int64_t a, int64_t b, int64_t c)
{
    const int64_t rows[3] = { a, b, c };
    int64_t at = 0;
    for (int i = 0; i < n; at += rows[i++])
        h->row[i] = share_of(d, at, rows[i]);
    assert(at == h->n_row);
    h->n_run = n, h->part = true;
}

static void divide_layer(struct weight_held *h, const struct weight *w, const struct config *c, const struct division *d)
{
    const int64_t q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_kv_head * c->d_head, F = c->d_ff;
    if (is_named(w, "embed") || is_named(w, "head"))
        divide_rows(h, d, 1, h->n_row, 0, 0);
    else if (is_named(w, "qkv"))
        divide_rows(h, d, 3, q, kv, kv);
    else if (is_named(w, "sinks"))
        divide_rows(h, d, 1, c->n_head, 0, 0);
    else if (is_named(w, "gate_up"))
        divide_rows(h, d, 2, F, F, 0);
    else if (is_named(w, "up"))
        divide_rows(h, d, 1, F, 0, 0);
    else if ((is_named(w, "o") || is_named(w, "down")) && !w->bias)
        h->col = share_of(d, 0, h->n_col), h->part = true;
}

struct weight_held weight_held(const struct weights_list *l, const struct weight *w, const struct division *d)
{
    const bool experts = is_named(w, "experts."), columns = w->rank > 1 && !w->bias;
    const int64_t E = experts ? w->shape[0] : 1, K = columns ? w->shape[w->rank - 1] : 1;
    struct weight_held h = { .expert = { 0, E }, .n_run = 1, .col = { 0, K }, .n_col = K };
    assert(w->n > 0 && d->i >= 0 && (!d->by || d->i < d->n));
    h.row[0].n = h.n_row = w->n / E / K;
    if (d->by == DIVIDE_LAYERS)
        divide_layer(&h, w, &l->config, d);
    else if (d->by == DIVIDE_EXPERTS && experts)
        h.expert = share_of(d, 0, E), h.part = true;
    int64_t rows = 0;
    for (int i = 0; i < h.n_run; i++)
        rows += h.row[i].n;
    memcpy(h.shape, w->shape, sizeof h.shape);
    h.shape[0] = experts ? h.expert.n : h.shape[0];
    h.shape[experts] = rows;
    if (columns)
        h.shape[w->rank - 1] = h.col.n;
    h.n = h.expert.n * rows * h.col.n;
    return h;
}

int64_t weight_whole(const struct weight_held *h, int64_t k)
{
    const int64_t rows = h->n / h->expert.n / h->col.n, expert = k / h->col.n / rows;
    int64_t r = k / h->col.n % rows;
    int i = 0;
    for (; r >= h->row[i].n; i++)
        r -= h->row[i].n;
    return ((h->expert.from + expert) * h->n_row + h->row[i].from + r) * h->n_col + h->col.from + k % h->col.n;
}

/* Calls for the longest stretches that lie together in both: whole rows, or all where nothing is left out. */
static int64_t stretch(const struct weight_held *h) { return h->part ? h->col.n : h->n; }

void weight_take(const struct weight_held *h, const void *whole, void *held, size_t size)
{
    const size_t n = (size_t)stretch(h);
    for (int64_t k = 0; k < h->n; k += stretch(h))
        memcpy((char *)held + (size_t)k * size, (const char *)whole + (size_t)weight_whole(h, k) * size, n * size);
}

void weight_put(const struct weight_held *h, const void *held, void *whole, size_t size)
{
    const size_t n = (size_t)stretch(h);
    for (int64_t k = 0; k < h->n; k += stretch(h))
        memcpy((char *)whole + (size_t)weight_whole(h, k) * size, (const char *)held + (size_t)k * size, n * size);
}
