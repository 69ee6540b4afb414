/* unicode.c - two-stage tables for what is asked of every character, sorted lists for what is rare. */
#include "model/unicode.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/unicode_tables.h"

enum unicode_property { NOT_NFC = 1, NOT_NFKC = 2, NOT_NFD = 4, NOT_NFKD = 8, HAS_LOWER = 16, JOINS = 32, PREPENDS = 64 };

#define COUNT(table) (int)(sizeof table / sizeof *table)

uint32_t unicode_at(const unsigned char *s, size_t n, size_t *len)
{
    const unsigned char c = s[0];
    *len = 1;
    if (c < 0x80)
        return c;
    if (c < 0xe0) {
        if (c < 0xc2 || n < 2 || (s[1] & 0xc0) != 0x80)
            return UNICODE_INVALID;
        *len = 2;
        return (uint32_t)(c & 0x1f) << 6 | (s[1] & 0x3f);
    }
    if (c < 0xf0) {
        if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
            return UNICODE_INVALID;
        const uint32_t cp = (uint32_t)(c & 0xf) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
        if (cp < 0x800 || (cp >= 0xd800 && cp < 0xe000))
            return UNICODE_INVALID;
        *len = 3;
        return cp;
    }
    if (c > 0xf4 || n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
        return UNICODE_INVALID;
    const uint32_t cp = (uint32_t)(c & 7) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
    if (cp < 0x10000 || cp > 0x10ffff)
        return UNICODE_INVALID;
    *len = 4;
    return cp;
}

enum unicode_category unicode_category(uint32_t cp)
{
    return cp > 0x10ffff ? CAT_INVALID : (enum unicode_category)category_block[category_page[cp >> 8]][cp & 0xff];
}

uint32_t unicode_set_at(const unsigned char *s, size_t n, size_t *len)
{
    if (s[0] < 0x80) {
        *len = 1;
        return IS(category_block[0][s[0]]);
    }
    return IS(unicode_category(unicode_at(s, n, len)));
}

int unicode_old(uint32_t cp) { return cp > 0x10ffff ? 0 : old_block[old_page[cp >> 8]][cp & 0xff]; }

static int property(uint32_t cp) { return cp > 0x10ffff ? 0 : property_block[property_page[cp >> 8]][cp & 0xff]; }
bool unicode_joins(uint32_t cp) { return property(cp) & JOINS; }
bool unicode_prepends(uint32_t cp) { return property(cp) & PREPENDS; }

static int add(uint32_t cp, struct buf *out, struct err *err)
{
    char s[4];
    return buf_add(out, s, (size_t)utf8_put(cp, s), err);
}

/* Where bytes i .. n-1 may have other than ASCII: eight at a time are passed over. */
static size_t past_ascii(const unsigned char *u, size_t i, size_t n)
{
    for (uint64_t eight; i + 8 <= n && (memcpy(&eight, u + i, 8), !(eight & 0x8080808080808080u));)
        i += 8;
    return i;
}

bool unicode_is_utf8(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    for (size_t i = 0, len; (i = past_ascii(u, i, n)) < n; i += len)
        if (unicode_at(u + i, n - i, &len) == UNICODE_INVALID)
            return false;
    return true;
}

int unicode_repair(const char *s, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0, len; i < n; i += len) {
        const bool bad = unicode_at((const unsigned char *)s + i, n - i, &len) == UNICODE_INVALID;
        TRY(bad ? buf_add(out, "\xef\xbf\xbd", 3, err) : buf_add(out, s + i, len, err));
    }
    return 0;
}

static const struct unicode_map *map_find(const struct unicode_map *map, int n, uint32_t cp)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (map[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && map[lo].cp == cp ? &map[lo] : NULL;
}

int unicode_lower(const char *s, size_t n, struct buf *out, struct err *err)
{
    TRY(buf_reserve(out, n, err));
    for (size_t i = 0, len; i < n; i += len) {
        const uint32_t cp = unicode_at((const unsigned char *)s + i, n - i, &len);
        const struct unicode_map *m = property(cp) & HAS_LOWER ? map_find(unicode_lower_map, COUNT(unicode_lower_map), cp) : NULL;
        if (!m)
            TRY(buf_add(out, s + i, len, err));
        for (int k = 0; m && k < m->n; k++)
            TRY(add(unicode_lower_map_pool[m->at + k], out, err));
    }
    return 0;
}

/* ---- normal forms (UAX 15) ---- */

/* Hangul syllables are composed by arithmetic. */
#define S_BASE 0xac00u
#define L_BASE 0x1100u
#define V_BASE 0x1161u
#define T_BASE 0x11a7u
#define L_COUNT 19u
#define V_COUNT 21u
#define T_COUNT 28u

static uint8_t ccc_of(uint32_t cp)
{
    int lo = 0, hi = COUNT(unicode_classes);
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (unicode_classes[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < COUNT(unicode_classes) && cp >= unicode_classes[lo].first ? unicode_classes[lo].ccc : 0;
}

static uint32_t compose(uint32_t a, uint32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + L_COUNT * V_COUNT * T_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE && b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    int lo = 0, hi = COUNT(unicode_pairs);
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        const struct unicode_pair *p = &unicode_pairs[mid];
        if (p->first < a || (p->first == a && p->second < b))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < COUNT(unicode_pairs) && unicode_pairs[lo].first == a && unicode_pairs[lo].second == b ? unicode_pairs[lo].both : 0;
}

/* A stretch of characters on its way through decomposition, ordering and composition. */
struct point { uint32_t cp; uint8_t ccc; };
struct stretch { struct point *p; size_t n, cap; };

static int push(struct stretch *st, uint32_t cp, struct err *err)
{
    if (st->n == st->cap) {
        const size_t cap = st->cap ? 2 * st->cap : 64;
        struct point *p = mem_realloc_array(st->p, cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory to normalize a text");
        st->p = p, st->cap = cap;
    }
    st->p[st->n++] = (struct point){ cp, property(cp) ? ccc_of(cp) : 0 };
    return 0;
}

static int decompose(struct stretch *st, enum unicode_form form, uint32_t cp, struct err *err)
{
    const bool compatible = form == UNICODE_NFKC || form == UNICODE_NFKD;
    if (cp >= S_BASE && cp < S_BASE + L_COUNT * V_COUNT * T_COUNT) {
        const uint32_t i = cp - S_BASE;
        TRY(push(st, L_BASE + i / (V_COUNT * T_COUNT), err));
        TRY(push(st, V_BASE + i % (V_COUNT * T_COUNT) / T_COUNT, err));
        return i % T_COUNT ? push(st, T_BASE + i % T_COUNT, err) : 0;
    }
    const struct unicode_map *m = compatible ? map_find(unicode_compatible, COUNT(unicode_compatible), cp)
                                             : map_find(unicode_canonical, COUNT(unicode_canonical), cp);
    if (!m)
        return push(st, cp, err);
    for (int k = 0; k < m->n; k++)
        TRY(push(st, compatible ? unicode_compatible_pool[m->at + k] : unicode_canonical_pool[m->at + k], err));
    return 0;
}

static int by_class(const void *a, const void *b)
{
    const struct point *const x = a, *const y = b;      /* equal classes keep their order: cp holds it while sorting */
    return x->ccc != y->ccc ? x->ccc - y->ccc : (x->cp > y->cp) - (x->cp < y->cp);
}

/* Marks in ascending class.  Runs are short; a hostile long one is sorted by qsort, on places instead of characters. */
static int order(struct stretch *st, struct err *err)
{
    for (size_t i = 0; i < st->n;) {
        size_t end = i;
        while (end < st->n && st->p[end].ccc)
            end++;
        if (end - i > 32) {
            uint32_t *cp = mem_alloc_array(end - i, sizeof *cp);
            if (!cp)
                return ERR(err, NOMEM, "no memory to normalize a text");
            for (size_t k = i; k < end; k++)
                cp[k - i] = st->p[k].cp, st->p[k].cp = (uint32_t)(k - i);
            qsort(st->p + i, end - i, sizeof *st->p, by_class);
            for (size_t k = i; k < end; k++)
                st->p[k].cp = cp[st->p[k].cp];
            mem_free(cp);
        } else {
            for (size_t k = i + 1; k < end; k++)
                for (size_t j = k; j > i && st->p[j].ccc < st->p[j - 1].ccc; j--) {
                    const struct point swap = st->p[j];
                    st->p[j] = st->p[j - 1], st->p[j - 1] = swap;
                }
        }
        i = end > i ? end : i + 1;
    }
    return 0;
}

static void compose_all(struct stretch *st)
{
    size_t n = 0, starter = SIZE_MAX;
    int last = 0;                                       /* class of what was last kept after the starter */
    for (size_t i = 0; i < st->n; i++) {
        const struct point c = st->p[i];
        const bool blocked = starter == SIZE_MAX || (n > starter + 1 && (last >= c.ccc));
        const uint32_t both = blocked ? 0 : compose(st->p[starter].cp, c.cp);
        if (both) {
            st->p[starter].cp = both;
            continue;
        }
        if (!c.ccc)
            starter = n, last = 0;
        else
            last = c.ccc;
        st->p[n++] = c;
    }
    st->n = n;
}

static int flush(struct stretch *st, enum unicode_form form, struct buf *out, struct err *err)
{
    TRY(order(st, err));
    if (form == UNICODE_NFC || form == UNICODE_NFKC)
        compose_all(st);
    for (size_t i = 0; i < st->n; i++)
        TRY(add(st->p[i].cp, out, err));
    st->n = 0;
    return 0;
}

static const int not_normal[] = { NOT_NFC, NOT_NFKC, NOT_NFD, NOT_NFKD };

bool unicode_is_normal(enum unicode_form form, const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    for (size_t i = 0, len; (i = past_ascii(u, i, n)) < n; i += len)
        if (property(unicode_at(u + i, n - i, &len)) & not_normal[form])
            return false;
    return true;
}

/* Characters without the form's mark stand for themselves and nothing combines with what is before them: only the stretch
 * from the last of those to the next one is worked on, the rest is copied. */
int unicode_normalize(enum unicode_form form, const char *s, size_t n, struct buf *out, struct err *err)
{
    const unsigned char *u = (const unsigned char *)s;
    struct stretch st = { 0 };
    size_t from = 0, safe = 0;                          /* copied up to from; the last safe character */
    int rc = buf_reserve(out, n, err);
    for (size_t i = 0, len; i < n && !rc;) {
        uint32_t cp = unicode_at(u + i, n - i, &len);
        if (!(property(cp) & not_normal[form])) {
            safe = i, i += len;
            continue;
        }
        if (safe < from)
            safe = from;
        rc = buf_add(out, s + from, safe - from, err);
        for (size_t at = safe; at < i && !rc; at += len) {
            cp = unicode_at(u + at, n - at, &len);
            if (cp == UNICODE_INVALID)
                rc = buf_add(out, s + at, 1, err);      /* alone here: it is a safe character that nothing follows */
            else
                rc = decompose(&st, form, cp, err);
        }
        while (i < n && !rc) {
            cp = unicode_at(u + i, n - i, &len);
            if (!(property(cp) & not_normal[form]))
                break;
            rc = decompose(&st, form, cp, err);
            i += len;
        }
        if (!rc)
            rc = flush(&st, form, out, err);
        from = safe = i;
    }
    mem_free(st.p);
    return rc ? rc : buf_add(out, s + from, n - from, err);
}
