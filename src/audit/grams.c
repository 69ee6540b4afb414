/* grams.c - words by masks of 64 bytes, signs by one table of what a byte is; numbers of rows by multiplying and mixing. */
#include "audit/grams.h"
#include <stdbool.h>
#include <string.h>
#include "base/mem.h"
#include "cpu/kernels.h"

enum { SPACE, LETTER, QUOTE, MARK, SIGN };
/* What each byte is: see the header.  Capitals and bytes of characters beyond ASCII are letters. */
#define S SPACE
#define L LETTER
#define M MARK
#define X SIGN
static const unsigned char kind[128] = {
    S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S,
    S, M, M, X, X, X, X, QUOTE, M, M, X, X, M, M, M, X, L, L, L, L, L, L, L, L, L, L, M, M, X, X, X, M,
    X, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, X, X, X, X, X,
    X, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, X, X, X, X, S,
};
#undef S
#undef L
#undef M
#undef X

static int kind_of(char c) { return (unsigned char)c < 128 ? kind[(unsigned char)c] : LETTER; }
static bool is_word(char c) { return kind_of(c) == LETTER; }

int grams_room(void **p, size_t n, size_t size, struct err *err)
{
    if (n & (n - 1) || (n && n < 64))      /* room ends at powers of two from 64 on */
        return 0;
    void *more = mem_realloc_array(*p, n ? 2 * n : 64, size);
    if (!more)
        return ERR(err, NOMEM, "no memory for %zu counts of %zu bytes", n ? 2 * n : 64, size);
    *p = more;
    return 0;
}

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

/* Eight bytes at a time, of n and room: bytes that may be read.  fold: 0x20 in each ASCII byte, which makes small letters of capitals and leaves
 * digits and the apostrophe. */
static inline uint64_t number_of(const char *p, size_t n, size_t room, bool fold)
{
    uint64_t h = n * 0xff51afd7ed558ccdu;
    for (size_t done = 0; done < n; done += 8) {
        const size_t left = n - done;
        uint64_t v = 0;
        if (room - done >= 8) {
            memcpy(&v, p + done, 8);
            v &= left < 8 ? ((uint64_t)1 << 8 * left) - 1 : UINT64_MAX;
        } else
            for (size_t i = 0; i < left; i++)
                v |= (uint64_t)(unsigned char)p[done + i] << 8 * i;
        if (fold)
            v |= (~v & 0x8080808080808080u) >> 2;
        h = mix((h ^ v) * 0xc4ceb9fe1a85ec53u);
    }
    return h;
}

static int make_room(struct grams *g, struct err *err)
{
    const size_t cap = g->cap ? 2 * g->cap : 1024;
    void *word = mem_realloc_array(g->word, cap, sizeof *g->word);
    g->word = word ? word : g->word;
    void *from = mem_realloc_array(g->at, cap, sizeof *g->at);
    g->at = from ? from : g->at;
    void *to = mem_realloc_array(g->end, cap, sizeof *g->end);
    g->end = to ? to : g->end;
    if (!word || !from || !to)
        return ERR(err, NOMEM, "no memory for %zu words of a text", cap);
    g->cap = cap;
    return 0;
}

static size_t end_of_word(const char *text, size_t i, size_t n)
{
    while (i < n && (is_word(text[i]) || (text[i] == '\'' && i + 1 < n && is_word(text[i + 1]))))
        i++;
    return i;
}

static inline void put(struct grams *g, const char *text, size_t from, size_t to, size_t n, bool word)
{
    g->word[g->n] = number_of(text + from, to - from, n - from, word), g->at[g->n] = (uint32_t)from, g->end[g->n] = (uint32_t)to;
    g->n++;
}

/* The word, the signs or the space at i, byte by byte; where they end. */
static size_t one_by_one(struct grams *g, const char *text, size_t i, size_t n)
{
    const size_t from = i;
    int k = kind_of(text[i]);
    const bool word = k == LETTER;
    bool sign = false;
    if (k == SPACE)
        return i + 1;
    if (word)
        i = end_of_word(text, i, n);
    else
        for (; i < n && (k = kind_of(text[i])) >= QUOTE; i++)
            sign = sign || k == SIGN;
    if (word || sign)
        put(g, text, from, i, n, word);
    return i;
}

#define BLOCK ((size_t)64)
#define BLOCK_MORE 8         /* bytes behind a block that may be read */

/* Of the 64 bytes at i, where nothing goes on from before: the words that end there, up to signs.  Where it goes on; i: one_by_one() must. */
static size_t many(const struct cpu_kernels *k, struct grams *g, const char *text, size_t i, size_t n)
{
    struct word_masks m;
    k->word_masks(text + i, &m);
    const uint64_t next = (uint64_t)is_word(text[i + BLOCK]) << 63;
    const uint64_t word = m.letter | (m.quote & m.letter << 1 & (m.letter >> 1 | next));
    size_t end = m.sign ? (size_t)__builtin_ctzll(m.sign) : BLOCK;
    while (end && !(word >> (end - 1) & 1) && kind_of(text[i + end - 1]) != SPACE)
        end--;                                   /* they begin before, or may */
    uint64_t begins = word & ~(word << 1), ends = ~word & word << 1;
    const uint64_t seen = end < BLOCK ? ((uint64_t)1 << end) - 1 : UINT64_MAX;
    for (ends &= seen << 1 | 1; ends; ends &= ends - 1, begins &= begins - 1)
        put(g, text, i + (size_t)__builtin_ctzll(begins), i + (size_t)__builtin_ctzll(ends), n, true);
    begins &= seen;                              /* of a word that goes on */
    return i + (begins ? (size_t)__builtin_ctzll(begins) : end);
}

int grams_of(struct grams *g, const char *text, size_t n, struct err *err)
{
    const struct cpu_kernels *k = cpu_kernels();
    g->n = 0;
    for (size_t i = 0; i < n;) {
        if (g->cap - g->n < BLOCK)
            TRY(make_room(g, err));
        const size_t from = i;
        if (n - i >= BLOCK + BLOCK_MORE)
            i = many(k, g, text, i, n);
        if (i == from)
            i = one_by_one(g, text, i, n);
    }
    return 0;
}

void grams_release(struct grams *g)
{
    mem_free(g->word);
    mem_free(g->at);
    mem_free(g->end);
    *g = (struct grams){ 0 };
}

uint64_t gram_hash(const uint64_t *word, int n)
{
    uint64_t h = (uint64_t)n;
    for (int i = 0; i < n; i++)
        h = mix(h * 0xbf58476d1ce4e5b9u + word[i]);
    return h ? h : 1;
}

/* ---- map ---- */

static size_t slot_of(const struct gram_map *m, uint64_t key)
{
    size_t i = (size_t)mix(key) & (m->cap - 1);
    while (m->key[i] && m->key[i] != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static int map_grow(struct gram_map *m, struct err *err)
{
    struct gram_map more = { .n = m->n, .cap = m->cap ? 2 * m->cap : 1024 };
    more.key = mem_alloc_array(more.cap, sizeof *more.key);
    more.value = mem_alloc_array(more.cap, sizeof *more.value);
    if (!more.key || !more.value) {
        gram_map_release(&more);
        return ERR(err, NOMEM, "no memory for a table of %zu rows of words", 2 * m->cap);
    }
    for (size_t i = 0; i < m->cap; i++)
        if (m->key[i]) {
            const size_t at = slot_of(&more, m->key[i]);
            more.key[at] = m->key[i], more.value[at] = m->value[i];
        }
    gram_map_release(m);
    *m = more;
    return 0;
}

uint32_t gram_map_find(const struct gram_map *m, uint64_t key)
{
    if (!m->cap)
        return GRAM_NONE;
    const size_t i = slot_of(m, key ? key : 1);
    return m->key[i] ? m->value[i] : GRAM_NONE;
}

int gram_map_add(struct gram_map *m, uint64_t key, uint32_t *value, struct err *err)
{
    key = key ? key : 1;
    if (2 * (m->n + 1) > m->cap)
        TRY(map_grow(m, err));
    const size_t i = slot_of(m, key);
    const bool is_new = !m->key[i];
    if (is_new) {
        if (m->n >= GRAM_NONE - 1)
            return ERR(err, RANGE, "more than %u rows of words", GRAM_NONE - 1);
        m->key[i] = key, m->value[i] = (uint32_t)m->n++;
    }
    *value = m->value[i];
    return is_new;
}

void gram_map_release(struct gram_map *m)
{
    mem_free(m->key);
    mem_free(m->value);
    *m = (struct gram_map){ 0 };
}
