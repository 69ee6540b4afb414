/* pieces.c - cutting, hashing, and a table with open addressing. */
#include "audit/pieces.h"
#include <stdbool.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int add(struct pieces *p, const char *at, const char *end, struct err *err)
{
    while (at < end && is_white(*at))
        at++;
    while (at < end && is_white(end[-1]))
        end--;
    if (at == end)
        return 0;
    if (p->n == p->cap) {
        const size_t cap = p->cap ? 2 * p->cap : 64;
        struct piece *more = mem_realloc_array(p->piece, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu lines of a text", cap);
        p->piece = more, p->cap = cap;
    }
    const uint64_t hash = hash_xxh64(at, (size_t)(end - at));
    p->piece[p->n++] = (struct piece){ (uint32_t)hash, (uint32_t)(hash >> 32), (uint32_t)(end - at) };
    return 0;
}

static const char *line_end(const char *at, const char *end)
{
    const char *p = memchr(at, '\n', (size_t)(end - at));
    return p ? p : end;
}

int pieces_lines(struct pieces *p, const char *text, size_t n, struct err *err)
{
    p->n = 0;
    for (const char *at = text, *end = text + n, *stop; at < end; at = stop + 1) {
        stop = line_end(at, end);
        TRY(add(p, at, stop, err));
    }
    return 0;
}

static bool is_blank(const char *at, const char *end)
{
    while (at < end && is_white(*at))
        at++;
    return at == end;
}

int pieces_paragraphs(struct pieces *p, const char *text, size_t n, struct err *err)
{
    p->n = 0;
    const char *begin = text, *end = text + n;
    for (const char *at = text, *stop; at < end; at = stop + 1) {
        stop = line_end(at, end);
        if (is_blank(at, stop)) {
            TRY(add(p, begin, at, err));
            begin = stop < end ? stop + 1 : end;
        }
    }
    return add(p, begin, end, err);
}

void pieces_release(struct pieces *p)
{
    mem_free(p->piece);
    *p = (struct pieces){ 0 };
}

/* ---- a set; 0 in the table is an empty place, the hash 0 stands beside it ---- */

struct seen { uint64_t *table; size_t n, cap; bool zero; };

int seen_new(struct seen **out, struct err *err)
{
    *out = mem_alloc_zero(sizeof **out);
    return *out ? 0 : ERR(err, NOMEM, "no memory for a set of hashes");
}

void seen_free(struct seen *s)
{
    if (s)
        mem_free(s->table);
    mem_free(s);
}

size_t seen_n(const struct seen *s) { return s->n + s->zero; }

/* Where it is, or would be. */
static uint64_t *place(uint64_t *table, size_t cap, uint64_t hash)
{
    /* Multiplied, for those whose lower bits somebody chose. */
    size_t i = hash * 0x9e3779b97f4a7c15u >> 20 & (cap - 1);
    while (table[i] && table[i] != hash)
        i = (i + 1) & (cap - 1);
    return table + i;
}

static int grow(struct seen *s, struct err *err)
{
    const size_t cap = s->cap ? 2 * s->cap : 1024;
    uint64_t *table = mem_alloc_array(cap, sizeof *table);
    if (!table)
        return ERR(err, NOMEM, "no memory for a set of %zu hashes", s->n);
    for (size_t i = 0; i < s->cap; i++)
        if (s->table[i])
            *place(table, cap, s->table[i]) = s->table[i];
    mem_free(s->table);
    s->table = table, s->cap = cap;
    return 0;
}

int seen_add(struct seen *s, uint64_t hash, struct err *err)
{
    if (!hash) {
        const int was = s->zero;
        s->zero = true;
        return was;
    }
    if (s->n >= s->cap / 4 * 3)
        TRY(grow(s, err));
    uint64_t *p = place(s->table, s->cap, hash);
    if (*p)
        return 1;
    *p = hash, s->n++;
    return 0;
}
