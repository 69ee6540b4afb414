/* runs.c - see runs.h. */
#define XXH_INLINE_ALL
#include "audit/runs.h"
#include <string.h>
#include <xxhash.h>
#include "base/mem.h"

enum { PREFIX = 16 };                    /* bytes that tell most places of a text apart */

/* ---- slots ---- */

int slots_clear(struct slots *s, size_t n, struct err *err)
{
    size_t size = 16;
    while (size < 2 * n)
        size *= 2;
    if (size > s->cap) {
        uint64_t *at = mem_realloc_array(s->at, size, sizeof *at);
        if (!at)
            return ERR(err, NOMEM, "no memory to find %zu parts of a text again", n);
        s->at = at;
        s->cap = size;
    }
    s->mask = size - 1;
    memset(s->at, 0, size * sizeof *s->at);
    return 0;
}

void slots_release(struct slots *s)
{
    mem_free(s->at);
    *s = (struct slots){ 0 };
}

static uint64_t slot_tag(uint64_t hash) { return hash & 0xffffffff00000000u; }
static uint64_t mix(uint64_t a, uint64_t b)
{
    const uint64_t h = (a ^ b >> 29) * 0x9e3779b97f4a7c15u ^ b * 0xc2b2ae3d27d4eb4fu;
    return (h ^ h >> 32) * 0xd6e8feb86659fd93u;
}

/* ---- parts ---- */

int repeats_clear(struct repeats *p, size_t n, struct err *err)
{
    p->span.n = 0;
    if (n > p->cap) {
        const size_t cap = 2 * n;
        uint32_t *count = mem_realloc_array(p->count, cap, sizeof *count);
        if (!count)
            return ERR(err, NOMEM, "no memory for %zu lines of a text", n);
        p->count = count;
        p->cap = cap;
    }
    TRY(spans_reserve(&p->span, n, err));
    return slots_clear(&p->slots, n, err);
}

uint32_t repeats_add(struct repeats *p, const char *text, struct span s)
{
    const uint64_t h = XXH3_64bits(text + s.at, s.n);
    size_t i = h & p->slots.mask;
    for (; p->slots.at[i]; i = (i + 1) & p->slots.mask) {
        const uint32_t k = (uint32_t)p->slots.at[i] - 1;
        if (slot_tag(p->slots.at[i] ^ h) == 0 && p->span.at[k].n == s.n && !memcmp(text + p->span.at[k].at, text + s.at, s.n))
            return p->count[k]++;
    }
    p->count[p->span.n] = 1;
    p->span.at[p->span.n++] = s;
    p->slots.at[i] = slot_tag(h) | (uint32_t)p->span.n;
    return 0;
}

void repeats_release(struct repeats *p)
{
    slots_release(&p->slots);
    spans_release(&p->span);
    mem_free(p->count);
    *p = (struct repeats){ 0 };
}

/* ---- words ---- */

void runs_release(struct runs *g)
{
    for (int i = 0; i < 7; i++)
        mem_free(g->store[i]);
    mem_free(g->joined);
    mem_free(g->again);
    slots_release(&g->slots);
    *g = (struct runs){ 0 };
}

static int reserve(struct runs *g, size_t n_word, size_t bytes, struct err *err)
{
    if (bytes + PREFIX > g->joined_cap) {
        const size_t cap = bytes + bytes / 2 + 4096;
        mem_free(g->joined);
        g->joined_cap = 0;
        if (!(g->joined = mem_alloc(cap)))
            return ERR(err, NOMEM, "no memory for a text of %zu bytes", bytes);
        g->joined_cap = cap;
    }
    if (n_word + 1 > g->cap) {
        const size_t cap = n_word + n_word / 2 + 1024;
        g->cap = 0;
        for (int i = 0; i < 7; i++) {
            uint32_t *p = mem_realloc_array(g->store[i], cap, sizeof *p);
            if (!p)
                return ERR(err, NOMEM, "no memory for a text of %zu words", n_word);
            g->store[i] = p;
        }
        uint8_t *again = mem_realloc_array(g->again, cap, 1);
        if (!again)
            return ERR(err, NOMEM, "no memory for a text of %zu words", n_word);
        g->again = again;
        g->cap = cap;
    }
    g->byte = g->store[0];
    g->character = g->ascii ? g->byte : g->store[1];
    g->word = g->store[2];
    g->gram = g->store[3];
    g->count = g->store[4];
    g->first = g->store[5];
    g->some = g->store[6];
    return 0;
}

static uint32_t count_chars(const char *s, size_t n)
{
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)s[i] & 0xc0) != 0x80;
    return k;
}

static uint64_t load(const char *s)
{
    uint64_t x;
    memcpy(&x, s, sizeof x);
    return x;
}

/* The first n <= 8 bytes at s, of 8 that may be read. */
static uint64_t load_some(const char *s, size_t n) { return n == 8 ? load(s) : load(s) & (((uint64_t)1 << 8 * n) - 1); }

static uint64_t hash_word(const char *s, size_t n)
{
    if (n <= 8)
        return mix(load_some(s, n), n);
    return n <= 16 ? mix(load(s), load(s + n - 8) + n) : XXH3_64bits(s, n);
}

static bool same_word(const char *a, const char *b, size_t n) { return n <= 8 ? load_some(a, n) == load_some(b, n) : !memcmp(a, b, n); }

static void join(struct runs *g, const struct spans *words)
{
    uint32_t at = 0, chars = 0;
    for (size_t i = 0; i < words->n; i++) {
        const struct span s = words->at[i];
        memcpy(g->joined + at, g->text + s.at, s.n);
        g->byte[i] = at;
        if (!g->ascii) {
            g->character[i] = chars;
            chars += count_chars(g->text + s.at, s.n);
        }
        at += s.n;
    }
    g->byte[words->n] = at;
    if (!g->ascii)
        g->character[words->n] = chars;
    memset(g->joined + at, 0, PREFIX);
}

/* Numbers that were given once are taken away: what is left is found again somewhere. */
static void drop_single(struct runs *g, uint32_t *id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (id[i] != RUN_ONCE && g->count[id[i]] == 1)
            id[i] = RUN_ONCE;
}

static int number_words(struct runs *g, struct err *err)
{
    TRY(slots_clear(&g->slots, g->n_word, err));
    uint64_t *slot = g->slots.at;
    const size_t mask = g->slots.mask;
    uint32_t n = 0;
    for (size_t w = 0; w < g->n_word; w++) {
        const char *s = g->joined + g->byte[w];
        const size_t bytes = g->byte[w + 1] - g->byte[w];
        const uint64_t h = hash_word(s, bytes);
        size_t i = h & mask;
        uint32_t id = n;
        for (; slot[i]; i = (i + 1) & mask) {
            const uint32_t k = (uint32_t)slot[i] - 1, f = g->first[k];
            if (slot_tag(slot[i] ^ h) == 0 && g->byte[f + 1] - g->byte[f] == bytes && same_word(g->joined + g->byte[f], s, bytes)) {
                id = k;
                break;
            }
        }
        g->word[w] = id;
        if (id < n) {
            g->count[id]++;
            continue;
        }
        g->first[n] = (uint32_t)w;
        g->count[n] = 1;
        slot[i] = slot_tag(h) | ++n;
    }
    drop_single(g, g->word, g->n_word);
    memcpy(g->gram, g->word, g->n_word * sizeof *g->gram);
    g->n_gram = n;
    g->n = 1;
    return 0;
}

int runs_of(struct runs *g, const char *text, const struct spans *words, bool ascii, struct err *err)
{
    const size_t bytes = words->n ? words->at[words->n - 1].at + (size_t)words->at[words->n - 1].n - words->at[0].at : 0;
    g->text = text;
    g->n_word = words->n;
    g->ascii = ascii;
    TRY(reserve(g, words->n, bytes, err));
    join(g, words);
    return number_words(g, err);
}

/* ---- n words in a row ---- */

int runs_next(struct runs *g, struct err *err)
{
    g->n++;
    g->n_gram = 0;
    const size_t n = (size_t)g->n, end = g->n_word >= n ? g->n_word - n + 1 : 0;
    size_t n_left = 0;
    uint32_t *gram = g->gram;
    for (size_t i = 0; i < end; i++)
        n_left += gram[i] != RUN_ONCE && gram[i + 1] != RUN_ONCE;
    if (!n_left) {
        memset(gram, 0xff, g->n_word * sizeof *gram);
        return 0;
    }
    TRY(slots_clear(&g->slots, n_left, err));
    uint64_t *slot = g->slots.at;
    const size_t mask = g->slots.mask;
    uint32_t made = 0;
    uint32_t *before = g->some;                  /* the number of n - 1 words where an n-gram is first */
    for (size_t w = 0; w < end; w++) {
        const uint32_t a = gram[w], b = g->word[w + n - 1];
        if (a == RUN_ONCE || gram[w + 1] == RUN_ONCE) {
            gram[w] = RUN_ONCE;
            continue;
        }
        const uint64_t h = mix((uint64_t)a << 32 | b, 1);
        size_t i = h & mask;
        uint32_t id = made;
        for (; slot[i]; i = (i + 1) & mask) {
            const uint32_t k = (uint32_t)slot[i] - 1;
            if (before[k] == a && g->word[g->first[k] + n - 1] == b) {
                id = k;
                break;
            }
        }
        gram[w] = id;
        if (id < made) {
            g->count[id]++;
            continue;
        }
        g->first[made] = (uint32_t)w;
        g->count[made] = 1;
        before[made] = a;
        slot[i] = slot_tag(h) | ++made;
    }
    for (size_t w = end; w < g->n_word; w++)
        gram[w] = RUN_ONCE;
    drop_single(g, gram, end);
    g->n_gram = made;
    return 0;
}

uint32_t runs_top(const struct runs *g, uint32_t *times)
{
    uint32_t best = RUN_ONCE;
    *times = 1;
    for (uint32_t i = 0; i < g->n_gram; i++)
        if (g->count[i] > *times) {
            *times = g->count[i];
            best = i;
        }
    return best == RUN_ONCE ? 0 : g->first[best];
}

/* ---- runs of words as bytes ---- */

/* Equal runs of at least 16 bytes begin with the same 16: only where those are found again a run may be, and where it is shorter. */
int runs_dup_begin(struct runs *g, struct err *err)
{
    TRY(slots_clear(&g->slots, g->n_word, err));
    uint64_t *slot = g->slots.at;
    const size_t mask = g->slots.mask;
    memset(g->again, 0, g->n_word);
    for (size_t w = 0; w + 5 <= g->n_word; w++) {
        const char *s = g->joined + g->byte[w];
        const uint64_t h = mix(load(s), load(s + 8));
        size_t i = h & mask;
        while (slot[i] && slot_tag(slot[i] ^ h))
            i = (i + 1) & mask;
        if (slot[i])
            g->again[w] = g->again[(uint32_t)slot[i] - 1] = 1;
        else
            slot[i] = slot_tag(h) | (uint32_t)(w + 1);
    }
    g->n_some = 0;
    for (size_t w = 0; w + 5 <= g->n_word; w++)
        if (g->again[w] || g->byte[w + 5] - g->byte[w] < PREFIX)
            g->some[g->n_some++] = (uint32_t)w;
    return 0;
}

int runs_dup_chars(struct runs *g, int n, uint32_t *chars, struct err *err)
{
    *chars = 0;
    if (!g->n_some)
        return 0;
    TRY(slots_clear(&g->slots, g->n_some, err));
    uint64_t *slot = g->slots.at;
    const size_t mask = g->slots.mask;
    size_t next = 0;
    for (size_t k = 0; k < g->n_some; k++) {
        const size_t w = g->some[k];
        if (w < next)
            continue;
        if (w + (size_t)n > g->n_word)
            break;
        const char *s = g->joined + g->byte[w];
        const size_t bytes = g->byte[w + (size_t)n] - g->byte[w];
        if (!g->again[w] && bytes >= PREFIX)
            continue;
        const uint64_t h = XXH3_64bits(s, bytes);
        size_t i = h & mask;
        for (; slot[i]; i = (i + 1) & mask) {
            const uint32_t f = (uint32_t)slot[i] - 1;
            if (slot_tag(slot[i] ^ h) == 0 && g->byte[f + (size_t)n] - g->byte[f] == bytes && !memcmp(g->joined + g->byte[f], s, bytes))
                break;
        }
        if (slot[i]) {
            *chars += run_chars(g, w, n);
            next = w + (size_t)n;
        } else {
            slot[i] = slot_tag(h) | (uint32_t)(w + 1);
        }
    }
    return 0;
}
