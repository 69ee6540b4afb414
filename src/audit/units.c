#include "audit/units.h"
#include <stdbool.h>
#include <string.h>
#include "base/mem.h"
#include "model/unicode.h"

#define SEED 0x243f6a8885a308d3u
#define TIMES 0x9fb21c651e98df25u

void units_init(struct units *u)
{
    *u = (struct units){ 0 };
    buf_init(&u->clean);
    buf_init(&u->words);
}

void units_release(struct units *u)
{
    mem_free(u->h);
    mem_free(u->at);
    mem_free(u->end);
    buf_release(&u->clean);
    buf_release(&u->words);
    tok_ids_release(&u->ids);
    words_free(u->dialect);
    spans_release(&u->spans);
    *u = (struct units){ 0 };
}

static int more_room(struct units *u, struct err *err)
{
    const size_t cap = u->cap ? 2 * u->cap : 1024;
    uint64_t *h = mem_realloc_array(u->h, cap, sizeof *h);
    u->h = h ? h : u->h;
    uint32_t *at = mem_realloc_array(u->at, cap, sizeof *at);
    u->at = at ? at : u->at;
    uint32_t *end = mem_realloc_array(u->end, cap, sizeof *end);
    u->end = end ? end : u->end;
    if (!h || !at || !end)
        return ERR(err, NOMEM, "no memory for %zu words of a text", cap);
    u->cap = cap;
    return 0;
}

static inline uint64_t finish(uint64_t h)
{
    h = (h ^ h >> 31) * TIMES;
    return h ^ h >> 28;
}

static inline int add(struct units *u, uint64_t h, size_t at, size_t end, struct err *err)
{
    if (u->n == u->cap)
        TRY(more_room(u, err));
    u->h[u->n] = finish(h), u->at[u->n] = (uint32_t)at, u->end[u->n] = (uint32_t)end;
    u->n++;
    return 0;
}

/* ---- words ---- */

/* What a byte is: left out, a divider, the first of a character that must be looked at; else what it counts as. */
enum { DROP, SPACE, LONG };

struct scan {
    uint8_t map[256];
    bool decon;
    const char *s;
    size_t i, n;
    struct buf as;               /* a character beyond ASCII as it counts */
    struct buf *clean;           /* NULL, or where the clean words go, a space before each */
};

static void fill_map(uint8_t map[256], bool decon)
{
    for (int c = 0; c < 256; c++)
        map[c] = (uint8_t)(c >= 0x80 ? LONG : c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c == ' ' || (c >= 9 && c <= 13) || (!decon && c >= 28 && c <= 31) ? SPACE : c > LONG ? c : LONG + 1);
    for (const char *p = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"; *p; p++)
        map[(unsigned char)*p] = decon ? SPACE : DROP;
}

static bool divides(uint32_t c, bool decon)
{
    if (c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000)
        return true;
    return decon && (c == 0x201c || c == 0x201d || c == 0x2018 || c == 0x2019 || c == 0x2014);
}

/* The character beyond ASCII at x->i: its bytes, and true where it divides words; else x->as. */
static int look(struct scan *x, size_t *len, bool *is_space, struct err *err)
{
    const char *p = x->s + x->i;
    const uint32_t c = unicode_at((const unsigned char *)p, x->n - x->i, len);
    *is_space = c != UNICODE_INVALID && divides(c, x->decon);
    buf_clear(&x->as);
    return *is_space ? 0 : x->decon ? unicode_lower(p, *len, &x->as, err) : buf_add(&x->as, p, *len, err);
}

static int keep_clean(struct scan *x, const char *p, size_t n, bool mapped, struct err *err)
{
    TRY(buf_add(x->clean, p, n, err));
    for (char *q = x->clean->data + x->clean->len - n; mapped && n; n--, q++)
        *q = (char)x->map[(unsigned char)*q];
    return 0;
}

/* 1 and the next word: its hash and bytes; 0 at the end. */
static inline int next_word(struct scan *x, uint64_t *hash, size_t *first, size_t *end, struct err *err)
{
    const unsigned char *s = (const unsigned char *)x->s;
    uint64_t h = SEED;
    *first = SIZE_MAX, *end = 0;
    for (size_t i = x->i; i < x->n;) {
        const size_t from = i;
        uint8_t c = 0;
        for (; i < x->n && (c = x->map[s[i]]) > LONG; i++)
            h = (h ^ c) * TIMES;
        if (i > from) {
            *first = *first < from ? *first : from, *end = i;
            if (x->clean)
                TRY(keep_clean(x, x->s + from, i - from, true, err));
        }
        x->i = i;
        if (i == x->n)
            break;
        size_t len = 1;
        bool is_space = c == SPACE;
        if (c == LONG) {
            TRY(look(x, &len, &is_space, err));
            for (size_t k = 0; k < x->as.len; k++)
                h = (h ^ (uint8_t)x->as.data[k]) * TIMES;
            if (!is_space) {
                *first = *first < i ? *first : i, *end = i + len;
                if (x->clean)
                    TRY(keep_clean(x, x->as.data, x->as.len, false, err));
            }
        }
        x->i = i += len;
        if (is_space && *first != SIZE_MAX)
            break;
    }
    *hash = h;
    return *first != SIZE_MAX;
}

static int scan_words(struct units *u, struct scan *x, struct err *err)
{
    uint64_t h;
    size_t first, end;
    int rc;
    while ((rc = next_word(x, &h, &first, &end, err)) > 0)
        TRY(add(u, h, first, end, err));
    return rc;
}

/* ---- tokens ---- */

struct clean_word { uint32_t clean, at, end; };       /* where it begins in the clean text, and its bytes in the text */

static int clean_words(struct units *u, struct scan *x, struct err *err)
{
    uint64_t h;
    size_t first, end;
    int rc;
    x->clean = &u->clean;
    buf_clear(&u->clean);
    buf_clear(&u->words);
    for (;;) {
        TRY(buf_add_char(&u->clean, ' ', err));
        struct clean_word w = { .clean = (uint32_t)u->clean.len };
        TRY(rc = next_word(x, &h, &first, &end, err));
        if (!rc)
            break;
        w.at = (uint32_t)first, w.end = (uint32_t)end;
        TRY(buf_add(&u->words, &w, sizeof w, err));
    }
    u->clean.len--;                                  /* the space behind the last word */
    return 0;
}

static bool is_blank(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && strchr(" \t\n\v\f\r", s[i]) && s[i])
        i++;
    return i == n;
}

static int tokens_of(struct units *u, const struct tok *tok, struct err *err)
{
    const struct clean_word *w = (const struct clean_word *)(const void *)u->words.data;
    const size_t n_word = u->words.len / sizeof *w;
    u->ids.n = 0;
    if (!n_word)
        return 0;
    TRY(tok_encode(tok, u->clean.data, u->clean.len, TOK_PLAIN, &u->ids, err));
    for (size_t i = 0, k = 0, at = 0; i < u->ids.n; i++) {
        size_t len = 0;
        const char *bytes = tok_bytes(tok, u->ids.id[i], &len);
        u->n_blank += bytes && is_blank(bytes, len);
        while (k + 1 < n_word && w[k + 1].clean <= at + (bytes && *bytes == ' '))
            k++;
        TRY(add(u, SEED + (uint32_t)u->ids.id[i] * TIMES, w[k].at, w[k].end, err));
        at += len;
    }
    return 0;
}

/* ---- datatrove's ---- */

static int simple_of(struct units *u, const char *text, size_t n, struct err *err)
{
    if (!u->dialect)
        TRY(words_new(&u->dialect, err));
    buf_clear(&u->clean);
    TRY(words_simplify(u->dialect, text, n, &u->clean, err));
    TRY(words_of(u->dialect, WORDS_ENGLISH, u->clean.data, u->clean.len, &u->spans, err));
    const double scale = u->clean.len ? (double)n / (double)u->clean.len : 0;
    for (size_t i = 0; i < u->spans.n; i++) {
        const struct span w = u->spans.at[i];
        uint64_t h = SEED;
        for (uint32_t k = 0; k < w.n; k++)
            h = (h ^ (uint8_t)u->clean.data[w.at + k]) * TIMES;
        TRY(add(u, h, (size_t)(w.at * scale), (size_t)((w.at + w.n) * scale), err));
    }
    return 0;
}

int units_of(struct units *u, enum units_kind kind, const struct tok *tok, const char *text, size_t n, struct err *err)
{
    if (kind == UNITS_SIMPLE) {
        u->n = u->n_blank = 0;
        return simple_of(u, text, n, err);
    }
    struct scan x = { .decon = kind != UNITS_JANITOR, .s = text, .n = n };
    fill_map(x.map, x.decon);
    buf_init(&x.as);
    u->n = u->n_blank = 0;
    int rc = kind == UNITS_TOKENS ? clean_words(u, &x, err) : scan_words(u, &x, err);
    if (rc >= 0 && kind == UNITS_TOKENS)
        rc = tokens_of(u, tok, err);
    buf_release(&x.as);
    return rc < 0 ? rc : 0;
}

/* ---- n-grams ---- */

void rolling_begin(struct rolling *r, const uint64_t *h, int n)
{
    *r = (struct rolling){ .out = 1 };
    for (int i = 0; i < n; i++) {
        r->sum = r->sum * ROLLING_BASE + h[i];
        r->out *= i ? ROLLING_BASE : 1;
    }
}
