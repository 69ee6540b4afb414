/* chars.c - two-stage tables for classes, a sorted list for what becomes of characters. */
#include "audit/chars.h"
#include <string.h>
#define CHARS_TABLES_CLASSES
#undef AUDIT_CHARS_TABLES_H
#include "audit/chars_tables.h"
#include "base/utf8.h"

uint32_t chars_class(uint32_t cp) { return cp > 0x10ffff ? 0 : char_class[char_kind[char_page[cp >> 8]][cp & 0xff]]; }

static bool continues(unsigned char c) { return (c & 0xc0) == 0x80; }

int chars_beyond(const char *s, const char *end, uint32_t *cp, uint32_t *class)
{
    const unsigned char *p = (const unsigned char *)s;
    int n = 0;
    *cp = UINT32_MAX;
    if (p[0] >= 0xc2 && p[0] < 0xe0) {
        if (end - s >= 2 && continues(p[1]))
            n = 2, *cp = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    } else if (p[0] > 0xe0 && p[0] < 0xf0 && p[0] != 0xed) {      /* all of three bytes but those where some are too long or surrogates */
        if (end - s >= 3 && continues(p[1]) && continues(p[2]))
            n = 3, *cp = (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    } else if ((n = utf8_length(s, end)) == 3) {
        *cp = (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    } else if (n == 4) {
        *cp = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    }
    *class = chars_class(*cp);
    return n ? n : 1;
}

int chars_before(const char *begin, const char *s, uint32_t *cp, uint32_t *class)
{
    if ((unsigned char)s[-1] < 0x80)
        return chars_at(s - 1, s, cp, class);
    for (int n = 2; n <= 4 && n <= s - begin; n++)
        if (((unsigned char)s[-n] & 0xc0) == 0xc0) {
            if (chars_at(s - n, s, cp, class) == n)
                return n;
            break;
        }
    return chars_at(s - 1, s, cp, class);
}

static int of_hangul(uint32_t cp, uint32_t out[4])
{
    const uint32_t s = cp - 0xac00, t = s % 28;
    out[0] = 0x1100 + s / 588;
    out[1] = 0x1161 + s % 588 / 28;
    out[2] = 0x11a7 + t;
    return t ? 3 : 2;
}

static int mapped(const struct char_map *maps, size_t n, const uint32_t *pool, uint32_t cp, uint32_t out[4])
{
    size_t first = 0, end = n;
    while (first < end) {
        const size_t mid = (first + end) / 2;
        const struct char_map *m = &maps[mid];
        if (m->cp == cp) {
            memcpy(out, pool + m->at, m->n * sizeof *out);
            return m->n;
        }
        *(m->cp < cp ? &first : &end) = m->cp < cp ? mid + 1 : mid;
    }
    out[0] = cp;
    return 1;
}

#define MAPPED(table, cp, out) mapped(table, sizeof table / sizeof *table, table##_pool, cp, out)

int chars_simplified(uint32_t cp, uint32_t out[4]) { return cp >= 0xac00 && cp < 0xd7a4 ? of_hangul(cp, out) : MAPPED(char_simple, cp, out); }
int chars_lower(uint32_t cp, uint32_t out[4]) { return MAPPED(char_lower, cp, out); }

bool chars_is_last_sigma(const char *text, const char *s, const char *end)
{
    uint32_t cp, class = 0;
    const char *p = s;
    while (p > text) {
        p -= chars_before(text, p, &cp, &class);
        if (!(class & CHAR_IGNORABLE))
            break;
        class = 0;
    }
    if (!(class & CHAR_CASED))
        return false;
    for (class = 0, p = s + 2; p < end; class = 0) {
        p += chars_at(p, end, &cp, &class);
        if (!(class & CHAR_IGNORABLE))
            break;
    }
    return !(class & CHAR_CASED);
}

int chars_combining(uint32_t cp)
{
    for (size_t i = 0; i < sizeof char_kept / sizeof *char_kept; i++)
        if (char_kept[i].cp == cp)
            return char_kept[i].ccc;
    return 0;
}
