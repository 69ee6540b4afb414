/* tok_split.c - GPT-2's pre-tokenizer, by hand:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * A byte that is not part of valid UTF-8 counts as a character that is neither letter, number nor space. */
#include <stdbool.h>
#include <string.h>
#include "model/tok.h"
#include "model/unicode_tables.h"

enum kind { OTHER, LETTER, NUMBER, SPACE };

static bool in_ranges(const struct unicode_range *r, int n, uint32_t cp)
{
    int lo = 0, hi = n;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (cp > r[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && cp >= r[lo].first;
}
#define IN(table, cp) in_ranges(table, (int)(sizeof table / sizeof *table), cp)

/* The character at s: its length, and its kind. */
static enum kind kind_at(const char *s, size_t n, size_t *len)
{
    const unsigned char c = (unsigned char)s[0];
    *len = 1;
    if (c < 0x80)
        return (c | 32) >= 'a' && (c | 32) <= 'z' ? LETTER : c >= '0' && c <= '9' ? NUMBER : c == ' ' || (c >= 9 && c <= 13) ? SPACE : OTHER;
    const size_t need = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    if (!need || need > n)
        return OTHER;
    uint32_t cp = c & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return OTHER;
        cp = cp << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (cp < (need == 4 ? 0x10000u : need == 3 ? 0x800u : 0x80u) || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return OTHER;
    *len = need;
    return IN(unicode_letters, cp) ? LETTER : IN(unicode_numbers, cp) ? NUMBER : IN(unicode_spaces, cp) ? SPACE : OTHER;
}

static size_t run_of(enum kind kind, const char *s, size_t n)
{
    size_t at = 0, len;
    while (at < n && kind_at(s + at, n - at, &len) == kind)
        at += len;
    return at;
}

static size_t contraction(const char *s, size_t n)
{
    static const char *const ends[] = { "s", "t", "re", "ve", "m", "ll", "d" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strlen(ends[i]) < n && !memcmp(s + 1, ends[i], strlen(ends[i])))
            return 1 + strlen(ends[i]);
    return 0;
}

size_t tok_split_gpt2(const char *s, size_t n)
{
    size_t len;
    if (s[0] == '\'' && (len = contraction(s, n)))
        return len;
    const size_t blank = s[0] == ' ' && n > 1;
    const enum kind kind = kind_at(s + blank, n - blank, &len);
    if (kind != SPACE)
        return blank + run_of(kind, s + blank, n - blank);
    const size_t spaces = run_of(SPACE, s, n);
    if (spaces == n)
        return n;
    size_t last = spaces - 1;                          /* the run's last character stays with what follows, unless it is alone */
    while (last && ((unsigned char)s[last] & 0xc0) == 0x80)
        last--;
    return last ? last : spaces;
}
