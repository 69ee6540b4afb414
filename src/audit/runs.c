/* runs.c - see runs.h. */
#define XXH_INLINE_ALL
#include "audit/runs.h"
#include <assert.h>
#include <string.h>
#include <xxhash.h>
#include "audit/bytes.h"
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

static uint64_t hash_pair(uint32_t a, uint32_t b)
{
    const uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
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

/* ---- what is there once, told from the rest without a branch that nobody can guess ---- */

/* For n parts that each have a hash: places of a table, 8 or more for each, where two that are equal meet, and one in twenty that has none. */
static int seen_clear(struct runs *g, size_t n, struct err *err)
{
    size_t size = 64;
    while (size < 8 * n)
        size *= 2;
    if (size > g->seen_cap) {
        uint8_t *seen = mem_realloc_array(g->seen.at, size, 1);
        if (!seen)
            return ERR(err, NOMEM, "no memory to find %zu parts of a text again", n);
        g->seen.at = seen;
        g->seen_cap = size;
    }
    g->seen.mask = (uint32_t)(size - 1);
    memset(g->seen.at, 0, size);
    return 0;
}

/* By value, so that the compiler sees that what is written does not change where. */
static inline uint32_t seen_place(struct seen s, uint64_t hash) { return (uint32_t)(hash >> 32) & s.mask; }

static inline uint32_t seen_add(struct seen s, uint64_t hash)
{
    const uint32_t place = seen_place(s, hash);
    s.at[place] = (uint8_t)(s.at[place] + (s.at[place] < 2));
    return place;
}

static inline bool seen_twice(struct seen s, uint32_t place) { return s.at[place] == 2; }

/* ---- words ---- */

enum { N_STORE = sizeof ((struct runs *)0)->store / sizeof(uint32_t *) };

void runs_release(struct runs *g)
{
    for (int i = 0; i < N_STORE; i++)
        mem_free(g->store[i]);
    mem_free(g->joined);
    mem_free(g->hash);
    mem_free(g->seen.at);
    slots_release(&g->slots);
    *g = (struct runs){ 0 };
}

static int reserve(struct runs *g, struct err *err)
{
    if (g->n_word + 1 > g->cap) {
        const size_t cap = g->n_word + g->n_word / 2 + 1024;
        g->cap = 0;
        for (int i = 0; i < N_STORE; i++) {
            uint32_t *p = mem_realloc_array(g->store[i], cap, sizeof *p);
            if (!p)
                return ERR(err, NOMEM, "no memory for a text of %zu words", g->n_word);
            g->store[i] = p;
        }
        uint64_t *hash = mem_realloc_array(g->hash, cap, sizeof *hash);
        if (!hash)
            return ERR(err, NOMEM, "no memory for a text of %zu words", g->n_word);
        g->hash = hash;
        g->cap = cap;
    }
    uint32_t **const names[N_STORE] = { &g->character, &g->word, &g->gram, &g->left, &g->count, &g->first, &g->before, &g->some };
    for (int i = 0; i < N_STORE; i++)
        *names[i] = g->store[i];
    return 0;
}

/* Of a word; for two of the same length of up to 8 bytes only equal where the words are.  wide: 8 bytes may be read. */
static inline uint64_t hash_word(const char *s, size_t n, bool wide, uint64_t *low)
{
    static const uint64_t mask[9] = { 0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, UINT64_MAX };
    uint64_t high = 0;
    if (n > 16)
        high = XXH3_64bits(s, n), *low = 0;
    else if (!wide)
        *low = bytes_some(s, n < 8 ? n : 8), high = n > 8 ? bytes_8(s + n - 8) : 0;
    else           /* words of all lengths in the same way: which comes next cannot be guessed */
        *low = bytes_8(s) & mask[n < 8 ? n : 8], high = bytes_8(s + (n > 8 ? n - 8 : 0)) & (0 - (uint64_t)(n > 8));
    return mix(*low ^ (high ^ high >> 31) * 0x9fb21c651e98df25u, n);
}

static uint32_t chars_of(const char *s, size_t n, uint64_t low) { return n <= 8 ? (uint32_t)n - bytes_continued(low) : bytes_chars(s, n); }

/* Into `left`: the words that are seen twice. */
static void look_at_words(struct runs *g)
{
    const struct span *span = g->span;
    const size_t n_word = g->n_word;
    const char *text = g->text, *end = n_word ? text + span[n_word - 1].at + span[n_word - 1].n : NULL;
    const struct seen seen = g->seen;
    const bool ascii = g->ascii;
    uint32_t chars = 0, *left = g->left, *character = g->character;
    uint64_t *hash = g->hash, low;
    size_t n_left = 0;
    for (size_t w = 0; w < n_word; w++) {
        const size_t n = span[w].n;
        const char *s = text + span[w].at;
        hash[w] = hash_word(s, n, end - s >= 8, &low);
        character[w] = chars;
        chars += ascii ? (uint32_t)n : chars_of(s, n, low);
        seen_add(seen, hash[w]);
    }
    character[n_word] = chars;
    for (size_t w = 0; w < n_word; w++) {
        left[n_left] = (uint32_t)w;
        n_left += seen_twice(seen, seen_place(seen, hash[w]));
    }
    g->n_left = n_left;
}

/* The slot of a word that was seen twice, or an empty one.  Whether it is there cannot be guessed, so that nothing branches on that. */
static inline size_t find_word(const struct runs *g, const char *s, size_t n, uint64_t hash)
{
    const uint64_t *slot = g->slots.at;
    for (size_t i = hash & g->slots.mask;; i = (i + 1) & g->slots.mask) {
        const uint64_t e = slot[i];
        const uint32_t f = g->first[(uint32_t)e - (e != 0)];
        const bool same = (g->hash[f] == hash) & (g->span[f].n == n);
        if (!((e == 0) | same))
            continue;
        if (n <= 8 || !e || !memcmp(g->text + g->span[f].at, s, n))
            return i;
    }
}

/* Puts what is at place w into a slot, with the next number unless it has one: its number. */
static inline uint32_t number(struct runs *g, uint64_t *slot, uint64_t hash, uint32_t w, uint32_t *n)
{
    const bool is_new = !*slot;
    const uint32_t id = is_new ? *n : (uint32_t)*slot - 1;
    *n += is_new;
    *slot = slot_tag(hash) | (id + 1);
    g->first[id] = is_new ? w : g->first[id];
    g->count[id] = is_new ? 1 : g->count[id] + 1;
    return id;
}

/* Gives each word that is left a number, and counts them. */
static uint32_t number_words(struct runs *g)
{
    uint64_t *slot = g->slots.at;
    uint32_t n = 0;
    g->first[0] = 0;
    for (size_t j = 0; j < g->n_left; j++) {
        const uint32_t w = g->left[j];
        const size_t i = find_word(g, g->text + g->span[w].at, g->span[w].n, g->hash[w]);
        g->gram[w] = number(g, &slot[i], g->hash[w], w, &n);
    }
    return n;
}

/* All ones, which is RUN_ONCE, or zero. */
static inline uint32_t once_unless(bool b) { return (uint32_t)b - 1; }

/* Numbers that were given once are taken away: what is left is found again somewhere. */
static void drop_single(struct runs *g)
{
    uint32_t *left = g->left, *gram = g->gram;
    size_t n = 0;
    for (size_t j = 0; j < g->n_left; j++) {
        const uint32_t w = left[j];
        const bool again = g->count[gram[w]] > 1;
        gram[w] |= once_unless(again);
        left[n] = w;
        n += again;
    }
    g->n_left = n;
}

int runs_of(struct runs *g, const char *text, const struct spans *words, bool ascii, struct err *err)
{
    g->text = text;
    g->span = words->at;
    g->n_word = words->n;
    g->ascii = ascii;
    g->n = 1;
    TRY(reserve(g, err));
    TRY(seen_clear(g, g->n_word, err));
    look_at_words(g);
    TRY(slots_clear(&g->slots, g->n_left, err));
    memset(g->gram, 0xff, (g->n_word + 1) * sizeof *g->gram);
    g->n_gram = number_words(g);
    drop_single(g);
    memcpy(g->word, g->gram, g->n_word * sizeof *g->gram);
    return 0;
}

uint32_t runs_times(const struct runs *g, const char *word)
{
    const size_t n = strlen(word);
    assert(g->n == 1 && n <= 8);
    uint64_t low;
    const uint64_t hash = hash_word(word, n, false, &low);
    const int seen = g->seen.at[seen_place(g->seen, hash)];
    if (seen == 2) {
        const size_t i = find_word(g, word, n, hash);
        return g->slots.at[i] ? g->count[(uint32_t)g->slots.at[i] - 1] : 0;
    }
    uint32_t times = 0;
    for (size_t w = 0; seen && w < g->n_word; w++)
        times += (g->hash[w] == hash) & (g->span[w].n == n);
    return times;
}

/* ---- n words in a row ---- */

/* Keeps, of the places that are left, those where n - 1 words are found again here and one further, and the n words are seen twice. */
static int keep_followed(struct runs *g, size_t n, struct err *err)
{
    uint32_t *left = g->left, *gram = g->gram, *place = g->count;
    const uint32_t *word = g->word;
    size_t kept = 0, twice = 0;
    for (size_t j = 0; j < g->n_left; j++) {
        const uint32_t w = left[j];
        const bool followed = gram[w + 1] != RUN_ONCE;
        gram[w] |= once_unless(followed);
        left[kept] = w;
        kept += followed;
    }
    TRY(seen_clear(g, kept, err));
    const struct seen seen = g->seen;
    for (size_t j = 0; j < kept; j++)
        place[j] = seen_add(seen, hash_pair(gram[left[j]], word[left[j] + n - 1]));
    for (size_t j = 0; j < kept; j++) {
        const uint32_t w = left[j];
        const bool again = seen_twice(seen, place[j]);
        gram[w] |= once_unless(again);
        left[twice] = w;
        twice += again;
    }
    g->n_left = twice;
    return 0;
}

int runs_next(struct runs *g, struct err *err)
{
    const size_t n = (size_t)++g->n;
    g->n_gram = 0;
    TRY(keep_followed(g, n, err));
    if (!g->n_left)
        return 0;
    TRY(slots_clear(&g->slots, g->n_left, err));
    uint64_t *slot = g->slots.at;
    const size_t mask = g->slots.mask;
    uint32_t made = 0;
    uint64_t *pair = g->hash;                                        /* of each number; of words they have no use any more */
    for (size_t j = 0; j < g->n_left; j++) {
        const uint32_t w = g->left[j], a = g->gram[w], b = g->word[w + n - 1];
        const uint64_t h = hash_pair(a, b), both = (uint64_t)a << 32 | b;
        size_t i = h & mask;
        while (slot[i] && pair[(uint32_t)slot[i] - 1] != both)
            i = (i + 1) & mask;
        g->gram[w] = number(g, &slot[i], h, w, &made);
        pair[g->gram[w]] = both;
    }
    g->n_gram = made;
    drop_single(g);
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

static int join(struct runs *g, struct err *err)
{
    const struct span last = g->n_word ? g->span[g->n_word - 1] : (struct span){ 0 };
    const size_t end = (size_t)last.at + last.n, bytes = end - (g->n_word ? g->span[0].at : 0);
    if (bytes + 2 * PREFIX > g->joined_cap) {
        const size_t cap = bytes + bytes / 2 + 4096;
        mem_free(g->joined);
        g->joined_cap = 0;
        if (!(g->joined = mem_alloc(cap)))
            return ERR(err, NOMEM, "no memory for a text of %zu bytes", bytes);
        g->joined_cap = cap;
    }
    g->byte = g->ascii ? g->character : g->left;
    uint32_t at = 0;
    for (size_t w = 0; w < g->n_word; w++) {
        const struct span s = g->span[w];
        if (s.n <= PREFIX && s.at + (size_t)PREFIX <= end)
            memcpy(g->joined + at, g->text + s.at, PREFIX);          /* of known length: what is too much is written over */
        else
            memcpy(g->joined + at, g->text + s.at, s.n);
        g->byte[w] = at;
        at += s.n;
    }
    g->byte[g->n_word] = at;
    memset(g->joined + at, 0, PREFIX);
    return 0;
}

/* Equal runs of at least 16 bytes begin with the same 16: only where those are seen twice a run may be, and where it is shorter. */
int runs_dup_begin(struct runs *g, struct err *err)
{
    TRY(join(g, err));
    TRY(seen_clear(g, g->n_word, err));
    const size_t n = g->n_word >= 5 ? g->n_word - 4 : 0;
    const struct seen seen = g->seen;
    const char *joined = g->joined;
    const uint32_t *byte = g->byte;
    uint32_t *place = g->count, *some = g->some, *before = g->before;        /* two of which have no other use any more */
    size_t n_some = 0;
    for (size_t w = 0; w < n; w++) {
        const char *s = joined + byte[w];
        place[w] = seen_add(seen, bytes_8(s) * 0x9e3779b97f4a7c15u + (bytes_8(s + 8) ^ 0x9fb21c651e98df25u) * 0xc2b2ae3d27d4eb4fu);
    }
    for (size_t w = 0; w < n; w++) {
        const bool may = seen_twice(seen, place[w]);
        some[n_some] = (uint32_t)w;
        before[n_some] = may;
        n_some += may | (byte[w + 5] - byte[w] < PREFIX);
    }
    g->n_some = n_some;
    return 0;
}

static uint64_t hash_run(const char *s, size_t n)
{
    static const uint64_t mask[PREFIX + 1][2] = {
#define M(n) (((uint64_t)1 << 8 * (n)) - 1)
        { 0, 0 }, { M(1), 0 }, { M(2), 0 }, { M(3), 0 }, { M(4), 0 }, { M(5), 0 }, { M(6), 0 }, { M(7), 0 }, { UINT64_MAX, 0 },
        { UINT64_MAX, M(1) }, { UINT64_MAX, M(2) }, { UINT64_MAX, M(3) }, { UINT64_MAX, M(4) }, { UINT64_MAX, M(5) }, { UINT64_MAX, M(6) }, { UINT64_MAX, M(7) },
        { UINT64_MAX, UINT64_MAX }
#undef M
    };
    return n <= PREFIX ? mix(bytes_8(s) & mask[n][0], (bytes_8(s + 8) & mask[n][1]) + n) : XXH3_64bits(s, n);
}

/* Keeps the places that may have equal runs of n words; those that cannot now cannot with more words either. */
static void keep_some(struct runs *g, size_t n)
{
    const uint32_t *byte = g->byte;
    size_t kept = 0;
    for (size_t k = 0; k < g->n_some && g->some[k] + n <= g->n_word; k++) {
        const uint32_t w = g->some[k], may = g->before[k];
        g->some[kept] = w;
        g->before[kept] = may;
        kept += may | (byte[w + n] - byte[w] < PREFIX);
    }
    g->n_some = kept;
}

/* Those of them whose runs are seen twice, into `first` with their hashes in `hash`, which have no use any more: their number. */
static size_t runs_seen_twice(struct runs *g, size_t n)
{
    const struct seen seen = g->seen;
    const uint32_t *byte = g->byte, *some = g->some;
    uint32_t *place = g->count, *twice = g->first;
    uint64_t *hash = g->hash;
    const size_t n_some = g->n_some;
    size_t n_twice = 0;
    for (size_t k = 0; k < n_some; k++) {
        hash[k] = hash_run(g->joined + byte[some[k]], byte[some[k] + n] - byte[some[k]]);
        place[k] = seen_add(seen, hash[k]);
    }
    for (size_t k = 0; k < n_some; k++) {
        twice[n_twice] = some[k];
        hash[n_twice] = hash[k];
        n_twice += seen_twice(seen, place[k]);
    }
    return n_twice;
}

int runs_dup_chars(struct runs *g, int n, uint32_t *chars, struct err *err)
{
    *chars = 0;
    keep_some(g, (size_t)n);
    TRY(seen_clear(g, g->n_some, err));
    const size_t n_twice = runs_seen_twice(g, (size_t)n);
    if (!n_twice)
        return 0;
    TRY(slots_clear(&g->slots, n_twice, err));
    uint64_t *slot = g->slots.at;
    const size_t mask = g->slots.mask;
    size_t next = 0;
    for (size_t k = 0; k < n_twice; k++) {
        const size_t w = g->first[k];
        if (w < next)
            continue;
        const char *s = g->joined + g->byte[w];
        const size_t bytes = g->byte[w + (size_t)n] - g->byte[w];
        const uint64_t h = g->hash[k];
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
