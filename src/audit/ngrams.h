/* ngrams.h - the n-grams of many texts of units (units.h): which there are, and which texts have one. */
#ifndef AUDIT_NGRAMS_H
#define AUDIT_NGRAMS_H
#include <stdbool.h>
#include "audit/units.h"

/* Texts one behind the other: text i is h[begin[i]] .. h[begin[i + 1] - 1].  Zeroed before the first use. */
struct texts { uint64_t *h; size_t n_h, cap_h; uint32_t *begin; size_t n, cap; };
int texts_add(struct texts *t, const uint64_t *h, size_t n, struct err *err);
void texts_release(struct texts *t);
static inline size_t texts_length(const struct texts *t, size_t i) { return t->begin[i + 1] - t->begin[i]; }

#define NGRAM_NONE UINT32_MAX

/* Grams have numbers, in the order in which they are first met.  Once made nothing changes: any thread may look. */
struct ngrams {
    int n;
    uint32_t n_gram;
    uint64_t *filter;                    /* two bits a gram, within a word that its hash tells: most of what is not there is seen here */
    uint64_t *key;                       /* open addressing; 0: free */
    uint32_t *id;
    int shift;                           /* of a hash to its word of the filter */
    size_t mask;                         /* of the table */
    uint32_t *own, *own_begin;           /* of text i: own[own_begin[i]] ..., its distinct grams, ascending */
    uint32_t *text, *text_begin;         /* of gram g: text[text_begin[g]] ..., the texts that have it, ascending */
    uint32_t *at, *at_begin;             /* with places: of gram g the positions in t->h, ascending */
};
/* from: of each text the first position whose gram counts; NULL: all do. */
int ngrams_build(struct ngrams *g, int n, const struct texts *t, const uint32_t *from, bool places, struct err *err);
void ngrams_release(struct ngrams *g);

static inline uint32_t ngrams_find(const struct ngrams *g, uint64_t hash)
{
    const uint64_t bits = (uint64_t)1 << (hash & 63) | (uint64_t)1 << (hash >> 6 & 63);
    if ((g->filter[hash >> g->shift] & bits) != bits)
        return NGRAM_NONE;
    hash += !hash;
    for (size_t i = hash >> 12 & g->mask; g->key[i]; i = (i + 1) & g->mask)
        if (g->key[i] == hash)
            return g->id[i];
    return NGRAM_NONE;
}
/* That it will be looked for soon. */
static inline void ngrams_ask(const struct ngrams *g, uint64_t hash) { __builtin_prefetch(&g->filter[hash >> g->shift]); }
/* Place of gram id in the text's own grams, or NGRAM_NONE. */
uint32_t ngrams_own(const struct ngrams *g, size_t text, uint32_t id);
static inline uint32_t ngrams_n_own(const struct ngrams *g, size_t text) { return g->own_begin[text + 1] - g->own_begin[text]; }
static inline uint32_t ngrams_n_text(const struct ngrams *g, uint32_t id) { return g->text_begin[id + 1] - g->text_begin[id]; }

#endif
