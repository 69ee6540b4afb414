#include "audit/ngrams.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

int texts_add(struct texts *t, const uint64_t *h, size_t n, struct err *err)
{
    if (t->n + 2 > t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 256;
        uint32_t *more = mem_realloc_array(t->begin, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu texts of evaluation sets", cap);
        more[0] = 0;
        t->begin = more, t->cap = cap;
    }
    if (!t->h || t->n_h + n > t->cap_h) {
        size_t cap = t->cap_h ? t->cap_h : 4096;
        while (cap < t->n_h + n)
            cap *= 2;
        uint64_t *more = cap > INT32_MAX ? NULL : mem_realloc_array(t->h, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu words of evaluation sets", cap);
        t->h = more, t->cap_h = cap;
    }
    if (n)
        memcpy(t->h + t->n_h, h, n * sizeof *h);
    t->n_h += n;
    t->begin[++t->n] = (uint32_t)t->n_h;
    return 0;
}

void texts_release(struct texts *t)
{
    mem_free(t->h);
    mem_free(t->begin);
    *t = (struct texts){ 0 };
}

void ngrams_release(struct ngrams *g)
{
    mem_free(g->filter);
    mem_free(g->key);
    mem_free(g->id);
    mem_free(g->own);
    mem_free(g->own_begin);
    mem_free(g->text);
    mem_free(g->text_begin);
    mem_free(g->at);
    mem_free(g->at_begin);
    *g = (struct ngrams){ 0 };
}

/* The number of a gram, a new one where it is new. */
static uint32_t number_of(struct ngrams *g, uint64_t hash)
{
    g->filter[hash >> g->shift] |= (uint64_t)1 << (hash & 63) | (uint64_t)1 << (hash >> 6 & 63);
    hash += !hash;
    size_t i = hash >> 12 & g->mask;
    while (g->key[i] && g->key[i] != hash)
        i = (i + 1) & g->mask;
    if (!g->key[i])
        g->key[i] = hash, g->id[i] = g->n_gram++;
    return g->id[i];
}

static size_t first_place(const struct texts *t, const uint32_t *from, size_t i) { return t->begin[i] + (from ? from[i] : 0); }

/* One past the last place of text i where a gram begins. */
static size_t end_place(const struct ngrams *g, const struct texts *t, size_t i)
{
    const size_t n = (size_t)g->n - 1, len = texts_length(t, i);
    return t->begin[i] + (len > n ? len - n : 0);
}

static int take_table(struct ngrams *g, size_t n, struct err *err)
{
    size_t slots = 1024, words = 1024;
    int log2 = 10;
    while (2 * slots < 3 * n)
        slots *= 2;
    for (; 4 * words < n; log2++)
        words *= 2;
    g->mask = slots - 1, g->shift = 64 - log2;
    g->filter = mem_alloc_array(words, sizeof *g->filter);
    g->key = mem_alloc_array(slots, sizeof *g->key);
    g->id = mem_alloc_array(slots, sizeof *g->id);
    return g->filter && g->key && g->id ? 0 : ERR(err, NOMEM, "no memory for %zu n-grams of evaluation sets", n);
}

/* Puts the places 0 .. n-1 of key[] into lists, one a key, ascending: *begin[k] .. of *list.  NGRAM_NONE is no key. */
static int lists_of(const uint32_t *key, size_t n, uint32_t n_key, uint32_t **begin, uint32_t **list, struct err *err)
{
    size_t n_in = 0;
    *begin = mem_alloc_array((size_t)n_key + 2, sizeof **begin);
    for (size_t i = 0; *begin && i < n; i++)
        if (key[i] != NGRAM_NONE)
            (*begin)[key[i] + 2]++, n_in++;
    *list = mem_alloc_array(n_in + 1, sizeof **list);
    if (!*begin || !*list)
        return ERR(err, NOMEM, "no memory for the places of %zu n-grams", n);
    for (size_t k = 2; k < (size_t)n_key + 2; k++)
        (*begin)[k] += (*begin)[k - 1];
    for (size_t i = 0; i < n; i++)
        if (key[i] != NGRAM_NONE)
            (*list)[(*begin)[key[i] + 1]++] = (uint32_t)i;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The distinct grams of each text, from those of all places. */
static void own_of(struct ngrams *g, const struct texts *t, const uint32_t *of, const uint32_t *from)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        size_t end = n;
        for (size_t p = first_place(t, from, i); p < end_place(g, t, i); p++)
            g->own[end++] = of[p];
        qsort(g->own + n, end - n, sizeof *g->own, ascending);
        g->own_begin[i] = (uint32_t)n;
        for (size_t k = n, first = n; k < end; k++)
            if (k == first || g->own[k] != g->own[n - 1])
                g->own[n++] = g->own[k];
    }
    g->own_begin[t->n] = (uint32_t)n;
}

/* From the grams of each text the texts of each gram. */
static int text_of(struct ngrams *g, size_t n_text, struct err *err)
{
    const uint32_t n = g->own_begin[n_text];
    TRY(lists_of(g->own, n, g->n_gram, &g->text_begin, &g->text, err));
    uint32_t *of = mem_alloc_array((size_t)n + 1, sizeof *of);
    if (!of)
        return ERR(err, NOMEM, "no memory for the places of %u n-grams", n);
    for (size_t i = 0; i < n_text; i++)
        for (uint32_t k = g->own_begin[i]; k < g->own_begin[i + 1]; k++)
            of[k] = (uint32_t)i;
    for (uint32_t k = 0; k < n; k++)
        g->text[k] = of[g->text[k]];
    mem_free(of);
    return 0;
}

int ngrams_build(struct ngrams *g, int n, const struct texts *t, const uint32_t *from, bool places, struct err *err)
{
    *g = (struct ngrams){ .n = n };
    uint32_t *of = mem_alloc_array(t->n_h + 1, sizeof *of);
    g->own = mem_alloc_array(t->n_h + 1, sizeof *g->own);
    g->own_begin = mem_alloc_array(t->n + 1, sizeof *g->own_begin);
    int rc = of && g->own && g->own_begin ? take_table(g, t->n_h, err) : ERR(err, NOMEM, "no memory for %zu n-grams of evaluation sets", t->n_h);
    if (of)
        memset(of, 0xff, t->n_h * sizeof *of);
    for (size_t i = 0; i < t->n && !rc; i++) {
        const size_t first = first_place(t, from, i), end = end_place(g, t, i);
        struct rolling r;
        if (first < end)
            rolling_begin(&r, t->h + first, n);
        for (size_t p = first; p < end; p++) {
            of[p] = number_of(g, rolling_hash(&r));
            if (p + 1 < end)
                rolling_move(&r, t->h[p], t->h[p + (size_t)n]);
        }
    }
    if (!rc)
        own_of(g, t, of, from);
    rc = rc ? rc : text_of(g, t->n, err);
    if (!rc && places)
        rc = lists_of(of, t->n_h, g->n_gram, &g->at_begin, &g->at, err);
    mem_free(of);
    return rc;
}

uint32_t ngrams_own(const struct ngrams *g, size_t text, uint32_t id)
{
    uint32_t lo = g->own_begin[text], hi = g->own_begin[text + 1];
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (g->own[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < g->own_begin[text + 1] && g->own[lo] == id ? lo - g->own_begin[text] : NGRAM_NONE;
}
