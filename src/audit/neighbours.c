#include "audit/neighbours.h"
#include <limits.h>
#include <string.h>
#include "base/mem.h"

#define ITEMS 64                 /* of one piece of a thread's work */

static int distance(const unsigned char *a, const unsigned char *b, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        const int d = a[i] - b[i];
        sum += d * d;
    }
    return sum;
}

static const unsigned char *cells(const struct label_set *s, size_t i, size_t *n) { return (const unsigned char *)label_set_text(s, i, n); }

/* The nearest so far, the least distance first; among equals the one that was seen first. */
struct nearest { int distance[NEIGHBOURS]; int32_t *label; int n; };

static void take(struct nearest *t, int d, int32_t label)
{
    int at = t->n < NEIGHBOURS ? t->n++ : NEIGHBOURS - 1;
    for (; at > 0 && t->distance[at - 1] > d; at--)
        t->distance[at] = t->distance[at - 1], t->label[at] = t->label[at - 1];
    t->distance[at] = d, t->label[at] = label;
}

static void find_of(struct neighbours *x, size_t i, size_t step)
{
    struct nearest t = { .label = x->label + i * NEIGHBOURS };
    size_t n, m;
    const unsigned char *own = cells(x->s, i, &n);
    for (size_t k = 0; k < x->s->n; k += step) {
        const unsigned char *other = cells(x->s, k, &m);
        if (k == i || m != n || x->s->cluster[k] == x->s->cluster[i])
            continue;
        const int d = distance(own, other, n);
        if (t.n < NEIGHBOURS || d < t.distance[NEIGHBOURS - 1])
            take(&t, d, x->s->label[k]);
    }
    for (int k = t.n; k < NEIGHBOURS; k++)
        t.label[k] = -1;
}

static void find_some(void *ctx, int i_item, int i_thread)
{
    struct neighbours *x = ctx;
    const size_t step = x->s->n / NEIGHBOURS_SEEN + 1, from = (size_t)i_item * ITEMS;
    (void)i_thread;
    for (size_t i = from; i < from + ITEMS && i < x->s->n; i++)
        find_of(x, i, step);
}

int neighbours_find(struct neighbours *x, const struct label_set *s, struct pool *pool, struct err *err)
{
    *x = (struct neighbours){ s, mem_alloc_array(s->n + 1, NEIGHBOURS * sizeof *x->label) };
    if (!x->label)
        return ERR(err, NOMEM, "no memory for the neighbours of %zu images", s->n);
    if (s->n > (size_t)INT_MAX)
        return ERR(err, RANGE, "%zu labelled images, expected at most %d", s->n, INT_MAX);
    pool_for(pool, (int)((s->n + ITEMS - 1) / ITEMS), find_some, x);
    return 0;
}

void neighbours_release(struct neighbours *x)
{
    mem_free(x->label);
    *x = (struct neighbours){ NULL, NULL };
}

void label_by_neighbours(void *model, const struct label_set *s, double *p, label_item_fn *item, struct label_noise *out)
{
    const struct neighbours *x = model;
    for (size_t i = 0; i < s->n; i++) {
        int n = 0;
        for (int c = 0; c < s->n_label; c++)
            p[c] = 0;
        for (; n < NEIGHBOURS && x->label[i * NEIGHBOURS + (size_t)n] >= 0; n++)
            p[x->label[i * NEIGHBOURS + (size_t)n]]++;
        for (int c = 0; c < s->n_label; c++)
            p[c] /= n ? n : 1;
        if (!n)
            p[s->label[i]] = 1;          /* nothing is said against it */
        item(s, i, p, out);
    }
}
