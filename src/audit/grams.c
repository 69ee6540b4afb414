/* grams.c - words by one table of what a byte is; numbers of rows by multiplying and mixing. */
#include "audit/grams.h"
#include <stdbool.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

enum { SPACE, LETTER, CAPITAL, QUOTE, MARK, SIGN };
/* What each byte is: see the header.  Bytes of characters beyond ASCII are letters. */
static int kind_of(unsigned char c)
{
    if (c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return LETTER;
    if (c >= 'A' && c <= 'Z')
        return CAPITAL;
    if (c <= ' ' || c == 0x7f)
        return SPACE;
    return c == '\'' ? QUOTE : strchr(".,;:!?\"()-", c) ? MARK : SIGN;
}

static bool is_word(char c)
{
    const int k = kind_of((unsigned char)c);
    return k == LETTER || k == CAPITAL;
}

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

static int add_word(struct grams *g, const char *text, size_t at, size_t end, struct err *err)
{
    char fold[256];
    const size_t n = end - at;
    uint64_t h = 0;
    if (g->n == g->cap) {
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
    }
    for (size_t done = 0; done < n; done += sizeof fold) {      /* longer ones by pieces, each seeded by those before */
        const size_t m = n - done < sizeof fold ? n - done : sizeof fold;
        for (size_t i = 0; i < m; i++) {
            const char c = text[at + done + i];
            fold[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        h = hash64(fold, m, h);
    }
    g->word[g->n] = h, g->at[g->n] = (uint32_t)at, g->end[g->n] = (uint32_t)end;
    g->n++;
    return 0;
}

int grams_of(struct grams *g, const char *text, size_t n, struct err *err)
{
    g->n = 0;
    for (size_t i = 0; i < n;) {
        const size_t from = i;
        int k = kind_of((unsigned char)text[i]);
        if (is_word(text[i])) {
            while (i < n && (is_word(text[i]) || (text[i] == '\'' && i + 1 < n && is_word(text[i + 1]))))
                i++;
            TRY(add_word(g, text, from, i, err));
        } else if (k == SPACE)
            i++;
        else {
            bool sign = false;
            for (; i < n && (k = kind_of((unsigned char)text[i])) >= QUOTE; i++)
                sign = sign || k == SIGN;
            if (sign)
                TRY(add_word(g, text, from, i, err));
        }
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

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
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
