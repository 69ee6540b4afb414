/* words.c - see words.h.
 *
 * English.  A text is cut at white space into chunks, which are cut by themselves: prefixes and suffixes are taken off until none is
 * left or the rest is a special case; the rest is a special case, a URL, or cut at infixes.  Most chunks are a few ASCII letters: one
 * look into the table of special cases is all they need.  At last spaCy looks for the special cases once more, among the tokens of the
 * whole text.  A token may only be joined with its neighbours in the same chunk, so that such a case is noticed when its chunk is cut
 * (is_hidden_special()), and the faithful search (special_pass()) is only made for texts that have one. */
#include "audit/words.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "audit/chars.h"
#define CHARS_TABLES_SPECIALS
#undef AUDIT_CHARS_TABLES_H
#include "audit/chars_tables.h"
#include "base/mem.h"
#include "base/utf8.h"

struct words {
    struct spans suffix;                 /* of a chunk, the last of the text first */
    struct spans tokens, matches, taken; /* special_pass() */
    uint8_t ascii[128];                  /* enum ascii_kind */
    char simple[128];                    /* what simplify makes of one: lower case, ' ' for white space and punctuation, '0' for a digit */
    bool has_hidden;
};

enum ascii_kind { A_SPACE = 1, A_LETTER = 2, A_DIGIT = 4, A_DOT = 8, A_INFIX = 16, A_OTHER = 32, A_HIGH = 64 };

/* ---- spans ---- */

void spans_release(struct spans *s)
{
    mem_free(s->at);
    *s = (struct spans){ 0 };
}

int spans_reserve(struct spans *s, size_t n, struct err *err)
{
    if (n <= s->cap)
        return 0;
    const size_t cap = n < 512 ? 1024 : 2 * n;
    struct span *at = mem_realloc_array(s->at, cap, sizeof *at);
    if (!at)
        return ERR(err, NOMEM, "no memory for %zu parts of a text", cap);
    s->at = at;
    s->cap = cap;
    return 0;
}

int spans_add(struct spans *s, uint32_t at, uint32_t n, struct err *err)
{
    if (s->n == s->cap)
        TRY(spans_reserve(s, s->n + 1, err));
    s->at[s->n++] = (struct span){ at, n };
    return 0;
}

int words_new(struct words **out, struct err *err)
{
    struct words *w = *out = mem_alloc_zero(sizeof *w);
    if (!w)
        return ERR(err, NOMEM, "no memory to cut texts into words");
    for (uint32_t c = 0; c < 128; c++) {
        const uint32_t class = chars_class(c);
        w->ascii[c] = class & CHAR_SPACE ? A_SPACE : c >= '0' && c <= '9' ? A_DIGIT : class & CHAR_ALPHA ? A_LETTER : c == '.' ? A_DOT | A_INFIX
                    : class & CHAR_INFIX ? A_INFIX : A_OTHER;
        w->simple[c] = class & (CHAR_SPACE | CHAR_PUNCTUATION) ? ' ' : class & CHAR_ND ? '0' : (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return 0;
}

void words_free(struct words *w)
{
    if (!w)
        return;
    spans_release(&w->suffix);
    spans_release(&w->tokens);
    spans_release(&w->matches);
    spans_release(&w->taken);
    mem_free(w);
}

/* ---- classes of the characters beside a place ---- */

static uint32_t class_at(const char *s, const char *end)
{
    uint32_t cp, class = 0;
    if (s < end)
        chars_at(s, end, &cp, &class);
    return class;
}

static uint32_t class_before(const char *begin, const char *s)
{
    uint32_t cp, class = 0;
    if (s > begin)
        chars_before(begin, s, &cp, &class);
    return class;
}

static bool is_digit(const char *s, const char *end) { return s < end && *s >= '0' && *s <= '9'; }
static bool is_digit_before(const char *begin, const char *s) { return s > begin && s[-1] >= '0' && s[-1] <= '9'; }
static bool starts(const char *s, const char *end, const char *with, size_t n) { return (size_t)(end - s) >= n && !memcmp(s, with, n); }
static bool ends(const char *begin, const char *s, const char *with, size_t n) { return (size_t)(s - begin) >= n && !memcmp(s - n, with, n); }
#define STARTS(s, end, with) starts(s, end, with, sizeof with - 1)
#define ENDS(begin, s, with) ends(begin, s, with, sizeof with - 1)

/* Bytes of white space at s < end, 0 for none. */
static int space_at(const char *s, const char *end)
{
    uint32_t cp, class;
    const int n = chars_at(s, end, &cp, &class);
    return class & CHAR_SPACE ? n : 0;
}

/* ---- special cases ---- */

/* The same in tools/chars_tables.py. */
static uint64_t special_hash(const char *s, size_t n)
{
    uint64_t first = 0, last = 0;
    memcpy(&first, s, n < 8 ? n : 8);
    memcpy(&last, s + (n < 8 ? 0 : n - 8), n < 8 ? n : 8);
    const uint64_t h = first * 0x9e3779b97f4a7c15u ^ (last + n) * 0xc2b2ae3d27d4eb4fu;
    return (h ^ h >> 32) * 0xd6e8feb86659fd93u;
}

static const struct special *special_find(const char *s, size_t n)
{
    if (n > SPECIAL_BYTES || !n || !(special_first[(unsigned char)s[0]] & special_last[(unsigned char)s[n - 1]] & 1u << n))
        return NULL;             /* nearly always */
    for (size_t slot = special_hash(s, n) >> 52; special_slot[slot]; slot = (slot + 1) % SPECIAL_SLOTS) {
        const struct special *c = &special_cases[special_slot[slot] - 1];
        if (c->n == n && !memcmp(c->text, s, n))
            return c;
    }
    return NULL;
}

static int add_special(struct spans *out, const struct special *c, uint32_t at, struct err *err)
{
    for (int i = 0; i < c->n_cut; at += (uint8_t)c->cut[i++])
        TRY(spans_add(out, at, (uint8_t)c->cut[i], err));
    return 0;
}

/* ---- prefixes, suffixes, infixes ---- */

static size_t dots_after(const char *s, const char *end)
{
    size_t n = 0;
    while (s + n < end && s[n] == '.')
        n++;
    return n;
}

static size_t dots_before(const char *begin, const char *s)
{
    size_t n = 0;
    while (s - n > begin && s[-(ptrdiff_t)n - 1] == '.')
        n++;
    return n;
}

static size_t prefix(const char *s, const char *end)
{
    uint32_t cp, class;
    const int n = chars_at(s, end, &cp, &class);
    if (class & CHAR_PREFIX)
        return (size_t)n;
    switch (cp) {
    case '.': {
        const size_t dots = dots_after(s, end);
        return dots > 1 ? dots : 0;
    }
    case '+': return !is_digit(s + 1, end);
    case 'U': return STARTS(s, end, "US$") ? 3 : 0;
    case 'A': case 'C': return s + 1 < end && s[1] == '$' ? 2 : 0;
    default: return 0;
    }
}

/* A unit or currency after a digit.  None has a digit itself: what follows the last one is it, or there is none. */
static size_t unit(const char *begin, const char *end)
{
    for (size_t n = 1; n <= UNIT_BYTES && n < (size_t)(end - begin); n++)
        if (is_digit_before(begin, end - n)) {
            for (size_t i = 0; i < sizeof unit_suffix / sizeof *unit_suffix; i++)
                if (strlen(unit_suffix[i]) == n && !memcmp(unit_suffix[i], end - n, n))
                    return n;
            return 0;
        }
    return 0;
}

static size_t dot_suffix(const char *begin, const char *end)
{
    const size_t dots = dots_before(begin, end);
    if (dots > 1)
        return dots;
    uint32_t cp, class;
    const char *s = end - 1;
    if (s == begin)
        return 0;
    const int n = chars_before(begin, s, &cp, &class);
    if (class & CHAR_BEFORE_DOT)
        return 1;
    if ((class & CHAR_SPACY_UPPER) && (class_before(begin, s - n) & CHAR_SPACY_UPPER))
        return 1;
    return memchr("FfCcKk", s[-1], 6) && ENDS(begin, s - 1, "\302\260");          /* the degree sign */
}

/* The longest: spaCy's expression is searched from the left. */
static size_t suffix(const char *begin, const char *end, bool has_digit)
{
    if (begin == end)
        return 0;
    uint32_t cp, class;
    size_t best = (size_t)chars_before(begin, end, &cp, &class);
    if (cp == '.')
        return dot_suffix(begin, end);
    if (!(class & CHAR_SUFFIX))
        best = 0;
    if (cp == 's' || cp == 'S')
        best = ENDS(begin, end - 1, "'") ? 2 : ENDS(begin, end - 1, "\342\200\231") ? 4 : 0;      /* U+2019 */
    else if (cp == '+')
        best = is_digit_before(begin, end - 1);
    else if (cp == 0x2026 && ENDS(begin, end - 3, "\342\200\246"))
        best = 6;
    if (has_digit) {
        const size_t n = unit(begin, end);
        best = n > best ? n : best;
    }
    return best;
}

static bool alpha_at(const char *s, const char *end) { return class_at(s, end) & CHAR_SPACY_ALPHA; }

/* Between letters, or a digit and a letter: one of - -- --- and the longer dashes. */
static size_t hyphen(const char *s, const char *end)
{
    static const char *const hyphens[] = { "-", "\342\200\223", "\342\200\224", "--", "---", "\342\200\224\342\200\224", "~" };
    for (size_t i = 0; i < sizeof hyphens / sizeof *hyphens; i++) {
        const size_t n = strlen(hyphens[i]);
        if (starts(s, end, hyphens[i], n) && alpha_at(s + n, end))
            return n;
    }
    return 0;
}

/* Bytes of the infix at s, a character of CHAR_INFIX of [begin, end); 0 for none. */
static size_t infix(const char *begin, const char *s, const char *end, uint32_t cp, int n, uint32_t class)
{
    if (class & CHAR_ICON)
        return (size_t)n;
    const uint32_t before = class_before(begin, s);
    const bool after_alnum = (before & CHAR_SPACY_ALPHA) || is_digit_before(begin, s);
    switch (cp) {
    case 0x2026: return (size_t)n;
    case '.': {
        const size_t dots = dots_after(s, end);
        if (dots > 1)
            return dots;
        return (before & (CHAR_SPACY_LOWER | CHAR_QUOTE)) && (class_at(s + 1, end) & (CHAR_SPACY_UPPER | CHAR_QUOTE));
    }
    case ',': return (before & CHAR_SPACY_ALPHA) && alpha_at(s + 1, end);
    case ':': case '<': case '>': case '=': case '/': return after_alnum && alpha_at(s + 1, end);
    case '+': case '*': case '^': case '-':
        if (is_digit_before(begin, s) && s + 1 < end && (is_digit(s + 1, end) || s[1] == '-'))
            return 1;
        return cp == '-' && after_alnum ? hyphen(s, end) : 0;
    default: return after_alnum ? hyphen(s, end) : 0;
    }
}

static int cut_at_infixes(struct spans *out, const char *text, const char *begin, const char *end, struct err *err)
{
    const char *start = begin;
    for (const char *s = begin; s < end;) {
        uint32_t cp, class;
        const int n = chars_at(s, end, &cp, &class);
        const size_t cut = class & CHAR_INFIX ? infix(begin, s, end, cp, n, class) : 0;
        if (cut && s > begin) {
            if (s > start)
                TRY(spans_add(out, (uint32_t)(start - text), (uint32_t)(s - start), err));
            TRY(spans_add(out, (uint32_t)(s - text), (uint32_t)cut, err));
            start = s + cut;
        }
        s += cut ? cut : (size_t)n;
    }
    return start < end ? spans_add(out, (uint32_t)(start - text), (uint32_t)(end - start), err) : 0;
}

/* ---- URLs: spaCy's expression, anchored at both ends ---- */

static size_t digits_at(const char *s, const char *end, int *n)
{
    const char *p = s;
    uint32_t cp, class;
    for (*n = 0; p < end; ++*n) {
        const int len = chars_at(p, end, &cp, &class);
        if (!(class & CHAR_DIGIT) || *n > 5)
            break;
        p += len;
    }
    return (size_t)(p - s);
}

/* (:\d{2,5})? ([/?#]\S*)? end */
static bool url_tail(const char *s, const char *end)
{
    if (s < end && *s == ':') {
        int n;
        s += 1 + digits_at(s + 1, end, &n);
        if (n < 2 || n > 5)
            return false;
    }
    return s == end || *s == '/' || *s == '?' || *s == '#';
}

/* One of four numbers: `wide` is the first of an ASCII number of three digits that may go up to 2 top d; others: at most two digits. */
static bool octet(const char *s, size_t bytes, int n, int i)
{
    const bool ascii1 = s[0] >= '0' && s[0] <= '9';
    if (i == 1 || i == 2) {
        if (n <= 2)
            return true;
        return s[0] == '1' || (s[0] == '2' && ((s[1] >= '0' && s[1] <= '4') || (s[1] == '5' && bytes == 3 && s[2] >= '0' && s[2] <= '5')));
    }
    if (n <= 2)
        return ascii1 && s[0] != '0';
    if (s[0] == '1')
        return true;
    if (i == 0)
        return s[0] == '2' && ((s[1] >= '0' && s[1] <= '1') || (s[1] == '2' && bytes == 3 && s[2] >= '0' && s[2] <= '3'));
    return s[0] == '2' && ((s[1] >= '0' && s[1] <= '4') || (s[1] == '5' && bytes == 3 && s[2] >= '0' && s[2] <= '4'));
}

static bool is_private(const char *s, const char *end)
{
    if (STARTS(s, end, "10.") || STARTS(s, end, "127.") || STARTS(s, end, "169.254.") || STARTS(s, end, "192.168."))
        return true;
    if (!STARTS(s, end, "172.") || end - s < 7)
        return false;
    if (s[4] == '1')
        return s[5] >= '6' && s[5] <= '9' && s[6] == '.';
    if (s[4] == '3')
        return (s[5] == '0' || s[5] == '1') && s[6] == '.';
    int n;
    const size_t bytes = digits_at(s + 4, end, &n);
    return s[4] == '2' && n == 2 && s + 4 + bytes < end && s[4 + bytes] == '.';
}

static bool is_address(const char *s, const char *end)
{
    const char *p = s;
    for (int i = 0; i < 4; i++) {
        int n;
        const size_t bytes = p < end ? digits_at(p, end, &n) : (n = 0, (size_t)0);
        if (n < 1 || n > 3 || !octet(p, bytes, n, i))
            return false;
        p += bytes;
        if (i < 3 && (p == end || *p++ != '.'))
            return false;
    }
    return url_tail(p, end) && !is_private(s, end);
}

/* Characters of the top-level domain at s, and where it ends. */
static bool is_top_level(const char *s, const char *end)
{
    uint32_t cp, class;
    for (int n = 0;; n++) {
        const int len = s < end ? chars_at(s, end, &cp, &class) : 0;
        if (!len || !(class & CHAR_SPACY_LOWER))
            return n >= 2 && url_tail(s, end);
        if (n == 63)
            return false;
        s += len;
    }
}

/* (label.)+ top-level domain; a label has 1 to 64 characters and neither begins nor ends with - or _. */
static bool is_host(const char *s, const char *end)
{
    while (s < end) {
        int n = 0;
        uint32_t cp, class = 0, last = 0;
        for (; s < end; n++, last = class) {
            const int len = chars_at(s, end, &cp, &class);
            if (!(class & CHAR_HOST) && (n == 0 || (cp != '-' && cp != '_')))
                break;
            s += len;
        }
        if (n < 1 || n > 64 || !(last & CHAR_HOST) || s == end || *s != '.')
            return false;
        if (is_top_level(++s, end))
            return true;
    }
    return false;
}

static bool is_url(const char *s, const char *end)
{
    if (is_address(s, end) || is_host(s, end))
        return true;
    uint32_t cp, class;
    const char *p = s;
    for (int n, len = 0; p < end; p += n, len++) {            /* the scheme */
        n = chars_at(p, end, &cp, &class);
        if (cp == ':') {
            if (len >= 2 && STARTS(p, end, "://") && (is_address(p + 3, end) || is_host(p + 3, end)))
                return true;
            break;
        }
        if (!(class & CHAR_WORD) && cp != '+' && cp != '-' && cp != '.')
            break;
    }
    for (p = s + 1; p < end && (p = memchr(p, '@', (size_t)(end - p))); p++)
        if (is_address(p + 1, end) || is_host(p + 1, end))
            return true;
    return false;
}

/* ---- a chunk ---- */

/* Whether spaCy's second look for special cases would change tokens [first, n) of a chunk. */
static bool is_hidden_special(const struct spans *out, size_t first, const char *text)
{
    for (size_t i = first; i + 1 < out->n; i++)
        for (size_t j = i + 1; j < out->n && j < i + SPECIAL_PATTERN; j++) {
            const uint32_t at = out->at[i].at, n = out->at[j].at + out->at[j].n - at;
            if (n > SPECIAL_BYTES)
                break;
            const struct special *c = special_find(text + at, n);
            if (!c || c->n_pattern != j - i + 1)
                continue;
            bool same = true, done = c->n_cut == c->n_pattern;
            for (size_t k = i; same && k <= j; k++) {
                same = out->at[k].n == (uint8_t)c->pattern[k - i];
                done = done && out->at[k].n == (uint8_t)c->cut[k - i];
            }
            if (same && !done)
                return true;
        }
    return false;
}

static int cut_rest(struct spans *out, const char *text, const char *s, const char *end, int kinds, struct err *err)
{
    const struct special *c = special_find(s, (size_t)(end - s));
    if (c)
        return add_special(out, c, (uint32_t)(s - text), err);
    if (!(kinds & (A_INFIX | A_HIGH)) || ((kinds & (A_DOT | A_HIGH)) && is_url(s, end)))
        return spans_add(out, (uint32_t)(s - text), (uint32_t)(end - s), err);
    return cut_at_infixes(out, text, s, end, err);
}

/* kinds: all that are in it. */
static int cut_chunk(struct words *w, struct spans *out, const char *text, const char *s, const char *end, int kinds, struct err *err)
{
    const size_t first = out->n;
    w->suffix.n = 0;
    while (s < end) {
        if (special_find(s, (size_t)(end - s)))
            break;
        const size_t pre = prefix(s, end);
        if (pre) {
            TRY(spans_add(out, (uint32_t)(s - text), (uint32_t)pre, err));
            if (special_find(s + pre, (size_t)(end - s) - pre)) {
                s += pre;
                break;
            }
        }
        const size_t suf = suffix(s + pre, end, kinds & A_DIGIT);
        if (suf) {
            const uint32_t at = (uint32_t)(end - suf - text);
            if (special_find(s, (size_t)(end - s) - suf)) {
                out->n -= pre > 0;
                TRY(spans_add(&w->suffix, at, (uint32_t)suf, err));
                end -= suf;
                break;
            }
            TRY(spans_add(&w->suffix, at, (uint32_t)suf, err));
        }
        s += pre;
        end -= suf;
        if (!pre && !suf)
            break;
    }
    if (s < end)
        TRY(cut_rest(out, text, s, end, kinds, err));
    for (size_t i = w->suffix.n; i-- > 0;)
        TRY(spans_add(out, w->suffix.at[i].at, w->suffix.at[i].n, err));
    if (out->n - first > 2 && !w->has_hidden)
        w->has_hidden = is_hidden_special(out, first, text);
    return 0;
}

/* ---- special cases among the tokens of a whole text ---- */

/* With the tokens that are white space: all of a run of it but for a U+0020 that follows a word. */
static int all_tokens(struct spans *out, const struct spans *words, const char *text, size_t n, struct err *err)
{
    uint32_t at = 0;
    out->n = 0;
    for (size_t i = 0; i <= words->n; i++) {
        const uint32_t next = i < words->n ? words->at[i].at : (uint32_t)n;
        if (i && at < next && text[at] == ' ')
            at++;
        if (at < next)
            TRY(spans_add(out, at, next - at, err));
        if (i < words->n) {
            TRY(spans_add(out, next, words->at[i].n, err));
            at = next + words->at[i].n;
        }
    }
    return 0;
}

/* Tokens [i, i + k) have the bytes and the cuts of a special case's pattern, whatever lies between them. */
static const struct special *pattern_at(const struct spans *t, size_t i, size_t k, const char *text)
{
    char all[SPECIAL_BYTES];
    size_t n = 0;
    for (size_t j = i; j < i + k; j++) {
        if (n + t->at[j].n > SPECIAL_BYTES)
            return NULL;
        memcpy(all + n, text + t->at[j].at, t->at[j].n);
        n += t->at[j].n;
    }
    const struct special *c = special_find(all, n);
    if (!c || c->n_pattern != k)
        return NULL;
    for (size_t j = 0; j < k; j++)
        if (t->at[i + j].n != (uint8_t)c->pattern[j])
            return NULL;
    return c;
}

static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Into w->matches, tokens [at, at + n): the longest win, the first of those of one length; one that begins or ends inside one that was looked
 * at before is none.  w->taken: n is whether a token is in one. */
static int choose_matches(struct words *w, const char *text, struct err *err)
{
    w->matches.n = w->taken.n = 0;
    for (size_t i = 0; i < w->tokens.n; i++)
        TRY(spans_add(&w->taken, 0, false, err));
    for (size_t k = SPECIAL_PATTERN; k > 1; k--)
        for (size_t i = 0; i + k <= w->tokens.n; i++) {
            struct span *taken = w->taken.at + i;
            if (!pattern_at(&w->tokens, i, k, text))
                continue;
            if (!taken[0].n && !taken[k - 1].n)
                TRY(spans_add(&w->matches, (uint32_t)i, (uint32_t)k, err));
            for (size_t j = 0; j < k; j++)
                taken[j].n = true;
        }
    if (w->matches.n)
        qsort(w->matches.at, w->matches.n, sizeof *w->matches.at, by_place);
    return 0;
}

static int special_pass(struct words *w, struct spans *words, const char *text, size_t n, struct err *err)
{
    TRY(all_tokens(&w->tokens, words, text, n, err));
    TRY(choose_matches(w, text, err));
    const struct span *match = w->matches.at, *match_end = match + w->matches.n;
    words->n = 0;
    for (size_t i = 0; i < w->tokens.n; i++) {
        const struct span t = w->tokens.at[i];
        if (match < match_end && match->at == i) {
            const struct special *c = pattern_at(&w->tokens, i, match->n, text);
            const struct span *last = &w->tokens.at[i + match++->n - 1];
            if (last->at + last->n - t.at == c->n) {           /* nothing lies between them */
                TRY(add_special(words, c, t.at, err));
                i += c->n_pattern - 1u;
                continue;
            }
        }
        if (!space_at(text + t.at, text + t.at + t.n))
            TRY(spans_add(words, t.at, t.n, err));
    }
    return 0;
}

/* ---- texts ---- */

static int words_english(struct words *w, const char *text, size_t n, struct spans *out, struct err *err)
{
    const char *end = text + n;
    w->has_hidden = false;
    for (const char *s = text; s < end;) {
        const char *begin = s;
        int kinds = 0, kind, space = 0;
        for (; s < end; s++) {
            const unsigned char c = (unsigned char)*s;
            if (c < 128) {
                kind = w->ascii[c];
                if (kind == A_SPACE) {
                    space = 1;
                    break;
                }
            } else {
                kind = A_HIGH;
                if ((c == 0xc2 || (c >= 0xe1 && c <= 0xe3)) && (space = space_at(s, end)))
                    break;
            }
            kinds |= kind;
        }
        if (kinds == A_LETTER && !special_find(begin, (size_t)(s - begin)))
            TRY(spans_add(out, (uint32_t)(begin - text), (uint32_t)(s - begin), err));
        else if (kinds)
            TRY(cut_chunk(w, out, text, begin, s, kinds, err));
        s += space;
    }
    out->joined = w->has_hidden;
    return w->has_hidden ? special_pass(w, out, text, n, err) : 0;
}

static int words_spaced(const char *text, size_t n, struct spans *out, struct err *err)
{
    const char *end = text + n;
    for (const char *s = text; s < end;) {
        uint32_t cp, class;
        const char *begin = s;
        int len = 0;
        for (; s < end; s += len) {
            len = chars_at(s, end, &cp, &class);
            if (class & CHAR_SPACE)
                break;
        }
        if (s > begin)
            TRY(spans_add(out, (uint32_t)(begin - text), (uint32_t)(s - begin), err));
        s += s < end ? len : 0;
    }
    return 0;
}

static bool is_ascii_punctuation(unsigned char c) { return (c >= 33 && c < 48) || (c >= 58 && c < 65) || (c >= 91 && c < 97) || (c >= 123 && c < 127); }

/* The part from begin to end without white space and punctuation around it. */
static int add_nemo(struct spans *out, const char *text, const char *begin, const char *end, struct err *err)
{
    uint32_t cp, class;
    int n;
    while (begin < end && (n = chars_at(begin, end, &cp, &class), (class & CHAR_SPACE) || (cp < 128 && is_ascii_punctuation((unsigned char)cp))))
        begin += n;
    while (begin < end && (n = chars_before(begin, end, &cp, &class), (class & CHAR_SPACE) || (cp < 128 && is_ascii_punctuation((unsigned char)cp))))
        end -= n;
    return spans_add(out, (uint32_t)(begin - text), (uint32_t)(end - begin), err);
}

/* A word begins at what is neither punctuation nor U+0020, where only punctuation lies between it and the last U+0020, or the text's
 * beginning.  The first is dropped where it has no characters, and so is what lies before it. */
static int words_nemo(const char *text, size_t n, struct spans *out, struct err *err)
{
    const char *begin = NULL;
    bool first = true, from_start = false, after_space = true;
    for (const char *s = text; s < text + n; s++) {
        if (is_ascii_punctuation((unsigned char)*s))
            continue;
        if (*s != ' ' && after_space) {
            if (begin)
                TRY(add_nemo(out, text, begin, s, err));
            begin = s;
        }
        from_start = from_start || (first && *s != ' ');
        first = false;
        after_space = *s == ' ';
    }
    TRY(begin ? add_nemo(out, text, begin, text + n, err) : 0);
    if (from_start && !out->at[0].n)
        memmove(out->at, out->at + 1, --out->n * sizeof *out->at);
    return 0;
}

int words_nemo_next(const char *text, size_t n, size_t end, size_t *at, char out[8])
{
    while (*at < end && is_ascii_punctuation((unsigned char)text[*at]))
        ++*at;
    if (*at >= end)
        return 0;
    const char *s = text + *at;
    const unsigned char c = (unsigned char)*s;
    if (c < 128) {
        ++*at;
        out[0] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        return 1;
    }
    uint32_t cp, class, to[4];
    int bytes = 0;
    const int len = chars_at(s, text + n, &cp, &class), n_to = chars_lower(cp == 0x3a3 && chars_is_last_sigma(text, s, text + n) ? 0x3c2 : cp, to);
    *at += (size_t)len;
    if (cp == UINT32_MAX)
        return out[0] = *s, 1;
    for (int i = 0; i < n_to; i++)
        bytes += utf8_put(to[i], out + bytes);
    return bytes;
}

int words_of(struct words *w, enum words_dialect dialect, const char *text, size_t n, struct spans *out, struct err *err)
{
    assert(n <= UINT32_MAX);
    out->n = 0;
    out->joined = false;
    switch (dialect) {
    case WORDS_ENGLISH: return words_english(w, text, n, out, err);
    case WORDS_SPACED: return words_spaced(text, n, out, err);
    default: return words_nemo(text, n, out, err);
    }
}

/* ---- sentences ---- */

/* Whether a run of white space between two words, or before or after all, has a token of its own. */
static bool has_space_token(const char *text, uint32_t at, uint32_t next, bool after_word)
{
    return next > at + (after_word && at < next && text[at] == ' ');
}

/* What a word is to the sentencizer: 1 an end of sentence, 2 other punctuation, 0 neither. */
static int sentence_part(const char *s, const char *end)
{
    uint32_t cp, class;
    const int n = chars_at(s, end, &cp, &class);
    if ((class & CHAR_SENTENCE_END) && s + n == end)
        return 1;
    for (const char *p = s; p < end;) {
        p += chars_at(p, end, &cp, &class);
        if (!(class & CHAR_P))
            return 0;
    }
    return 2;
}

/* Of bytes [from, to) with n_words words there: how many; out: each, unless NULL. */
static int each_sentence(const char *text, uint32_t from, uint32_t to, const struct span *word, size_t n_words, struct spans *out, size_t *count, struct err *err)
{
    bool seen = false;
    uint32_t at = from, begin = from;
    *count = 1;
    for (size_t i = 0; i <= n_words; i++) {
        const uint32_t next = i < n_words ? word[i].at : to;
        const char *s = text + next;
        bool new = seen && has_space_token(text, at, next, i > 0);
        seen = seen && !new;
        if (i < n_words) {
            const unsigned char c = (unsigned char)*s;
            const int part = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? 0 : sentence_part(s, s + word[i].n);
            new = new || (seen && part == 0);
            seen = part == 1 || (seen && part == 2);
        }
        if (new) {
            ++*count;
            if (out)
                TRY(spans_add(out, begin, at - begin, err));
            begin = at;
        }
        at = i < n_words ? next + word[i].n : at;
    }
    return out ? spans_add(out, begin, to - begin, err) : 0;
}

int words_sentences(const char *text, size_t n, const struct spans *words, struct spans *out, struct err *err)
{
    size_t count;
    out->n = 0;
    return each_sentence(text, 0, (uint32_t)n, words->at, words->n, out, &count, err);
}

size_t words_n_sentences(const char *text, uint32_t from, uint32_t to, const struct span *words, size_t n_words)
{
    size_t count;
    each_sentence(text, from, to, words, n_words, NULL, &count, NULL);
    return count;
}

/* ---- simplified text ---- */

struct simplify { struct buf *out; const char *text, *end; size_t run; bool space, disordered; struct err *err; };

/* The separators that a number may have once. */
static bool is_separator(uint32_t cp) { return cp == '.' || cp == ',' || cp == 0x60c || cp == 0x66b || (cp >= 0x2396 && cp <= 0x2398); }

/* Bytes of the number at s, which begins with a digit. */
static const char *number_end(const char *s, const char *end)
{
    uint32_t cp, class;
    bool separated = false;
    const char *good = s;
    while (s < end) {
        const int n = chars_at(s, end, &cp, &class);
        if (class & CHAR_ND)
            good = s + n;
        else if (separated || !is_separator(cp))
            break;
        else
            separated = true;
        s += n;
    }
    return good;
}

/* Combining marks that stay are put in the order of their class, which is stable: only such characters may stand in the run. */
static int reorder(struct simplify *f)
{
    char *s = f->out->data + f->run;
    const size_t n = f->out->len - f->run;
    if (!f->disordered)
        return 0;
    f->disordered = false;
    char *sorted = mem_alloc(n);
    if (!sorted)
        return ERR(f->err, NOMEM, "no memory for %zu bytes of combining marks", n);
    size_t k = 0;
    for (int ccc = 1; k < n && ccc < 256; ccc++)
        for (size_t i = 0; i < n;) {
            uint32_t cp, class;
            const size_t len = (size_t)chars_at(s + i, s + n, &cp, &class);
            if (chars_combining(cp) == ccc) {
                memcpy(sorted + k, s + i, len);
                k += len;
            }
            i += len;
        }
    assert(k == n);
    memcpy(s, sorted, n);
    mem_free(sorted);
    return 0;
}

static int put_char(struct simplify *f, uint32_t cp)
{
    char b[4];
    const uint32_t class = chars_class(cp);
    if (class & CHAR_NONSTARTER) {
        uint32_t before, c;
        if (f->out->len > f->run) {
            chars_before(f->out->data + f->run, f->out->data + f->out->len, &before, &c);
            f->disordered = f->disordered || chars_combining(before) > chars_combining(cp);
        }
        return buf_add(f->out, b, (size_t)utf8_put(cp, b), f->err);
    }
    TRY(reorder(f));
    TRY(buf_add(f->out, b, (size_t)utf8_put(cp, b), f->err));
    f->run = f->out->len;
    return 0;
}

/* The space that is due, unless nothing stands before it. */
static int put_space(struct simplify *f)
{
    if (f->space && f->out->len) {
        TRY(reorder(f));
        TRY(buf_add_char(f->out, ' ', f->err));
        f->run = f->out->len;
    }
    f->space = false;
    return 0;
}

/* A run of ASCII from s on, to its end. */
static int simplify_ascii(const char simple[128], struct simplify *f, const char **at)
{
    const char *s = *at, *end = f->end;
    TRY(reorder(f));
    TRY(buf_reserve(f->out, (size_t)(end - s) + 1, f->err));
    char *d = f->out->data + f->out->len, *first = f->out->data;
    bool space = f->space;
    while (s < end && (unsigned char)*s < 128) {
        const char c = simple[(unsigned char)*s];
        if (c == ' ') {
            space = true;
            s++;
            continue;
        }
        if (space && d > first)
            *d++ = ' ';
        space = false;
        *d++ = c;
        s = c == '0' ? number_end(s, end) : s + 1;
    }
    f->space = space;
    f->out->len = f->run = (size_t)(d - first);
    *at = s;
    return 0;
}

static int simplify_other(struct simplify *f, const char **at)
{
    uint32_t cp, class, to[4];
    const char *s = *at;
    const int n = chars_at(s, f->end, &cp, &class);
    *at = s + n;
    if (class & (CHAR_SPACE | CHAR_PUNCTUATION)) {
        f->space = true;
        return 0;
    }
    TRY(put_space(f));
    if (class & CHAR_ND) {
        *at = number_end(s, f->end);
        return put_char(f, '0');
    }
    if (cp == UINT32_MAX) {                       /* no character: itself */
        TRY(reorder(f));
        TRY(buf_add_char(f->out, *s, f->err));
        f->run = f->out->len;
        return 0;
    }
    if (cp == 0x3a3 && chars_is_last_sigma(f->text, s, f->end))
        return put_char(f, 0x3c2);
    if (!(class & CHAR_MAPPED))
        return put_char(f, cp);
    const int n_to = chars_simplified(cp, to);
    for (int i = 0; i < n_to; i++)
        TRY(put_char(f, to[i]));
    if (n_to == 0 && !(class & CHAR_NONSTARTER)) {
        TRY(reorder(f));
        f->run = f->out->len;
    }
    return 0;
}

int words_simplify(struct words *w, const char *text, size_t n, struct buf *out, struct err *err)
{
    struct simplify f = { .out = out, .text = text, .end = text + n, .err = err };
    buf_clear(out);
    for (const char *s = text; s < f.end;)
        TRY((unsigned char)*s < 128 ? simplify_ascii(w->simple, &f, &s) : simplify_other(&f, &s));
    TRY(reorder(&f));
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--;
    if (out->cap)
        out->data[out->len] = 0;         /* one that was never used has a byte that all threads share */
    return 0;
}
