/* spot.c - lists of spots, and which of several that overlap counts. */
#include "audit/spot.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void spots_release(struct spots *s)
{
    mem_free(s->spot);
    mem_free(s->taken);
    *s = (struct spots){ .n = 0 };
}

void spots_clear(struct spots *s) { s->n = 0; }

int spots_add(struct spots *s, struct spot x, struct err *err)
{
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 64;
        struct spot *p = mem_realloc_array(s->spot, cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %zu spots of a text", cap);
        s->spot = p;
        s->cap = cap;
    }
    s->spot[s->n++] = x;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : x->n != y->n ? (x->n > y->n ? -1 : 1) : (int)x->kind - y->kind;
}

static int by_rank(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    return x->score != y->score ? y->score - x->score : x->n != y->n ? (x->n > y->n ? -1 : 1) : x->at != y->at ? (x->at < y->at ? -1 : 1) : (int)x->kind - y->kind;
}

/* n spots that overlap in a chain and cover bytes from..to: the best first, each taking its bytes.  Returns how many stay, in front. */
static size_t choose(struct spot *x, size_t n, size_t from, size_t to, unsigned char *taken)
{
    size_t kept = 0;
    memset(taken, 0, to - from);
    qsort(x, n, sizeof *x, by_rank);
    for (size_t i = 0; i < n; i++)
        if (!memchr(taken + (x[i].at - from), 1, x[i].n)) {
            memset(taken + (x[i].at - from), 1, x[i].n);
            x[kept++] = x[i];
        }
    qsort(x, kept, sizeof *x, by_place);
    return kept;
}

static int make_room(struct spots *s, size_t n, struct err *err)
{
    if (n <= s->cap_taken)
        return 0;
    unsigned char *p = mem_realloc_array(s->taken, n, 1);
    if (!p)
        return ERR(err, NOMEM, "no memory for spots of %zu bytes", n);
    s->taken = p;
    s->cap_taken = n;
    return 0;
}

int spots_resolve(struct spots *s, struct err *err)
{
    size_t kept = 0;
    if (s->n < 2)
        return 0;
    qsort(s->spot, s->n, sizeof *s->spot, by_place);
    for (size_t i = 0, k; i < s->n; i = k) {
        const size_t from = s->spot[i].at;
        size_t to = from + s->spot[i].n;
        for (k = i + 1; k < s->n && s->spot[k].at < to; k++)
            to = s->spot[k].at + s->spot[k].n > to ? s->spot[k].at + s->spot[k].n : to;
        TRY(make_room(s, to - from, err));
        const size_t n = k - i > 1 ? choose(s->spot + i, k - i, from, to, s->taken) : 1;
        memmove(s->spot + kept, s->spot + i, n * sizeof *s->spot);
        kept += n;
    }
    s->n = kept;
    return 0;
}

static char shown(char c) { return c > ' ' && c < 0x7f ? c : '*'; }

void spot_mask(const char *p, size_t n, char out[SPOT_MASK])
{
    const size_t show = n >= 12 ? 2 : 0, stars = n - 2 * show < 8 ? n - 2 * show : 8;
    char *o = out;
    for (size_t i = 0; i < show; i++)
        *o++ = shown(p[i]);
    memset(o, '*', stars);
    o += stars;
    for (size_t i = n - show; i < n; i++)
        *o++ = shown(p[i]);
    *o = 0;
}
