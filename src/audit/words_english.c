/* words_english.c - spaCy's English words.
 *
 * A text is cut at white space into chunks, which are cut by themselves: prefixes and suffixes are taken off until none is
 * left or the rest is a special case; the rest is a special case, a URL, or cut at infixes.  Most chunks are a few ASCII letters: one
 * look into the table of special cases is all they need.  At last spaCy looks for the special cases once more, among the tokens of the
 * whole text.  A token may only be joined with its neighbours in the same chunk, so that such a case is noticed when its chunk is cut
 * (is_hidden_special()), and the faithful search (special_pass()) is only made for texts that have one. */
#include <stdlib.h>
#include "audit/bytes.h"
#include "audit/words_impl.h"
#define CHARS_TABLES_SPECIALS
#undef AUDIT_CHARS_TABLES_H
#include "audit/chars_tables.h"
#include "cpu/kernels.h"

enum { BLOCK_WORDS = 128 };              /* at most two of each chunk that cut_block() adds itself */

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
static bool ends(const char *begin, const char *s, const char *with, size_t n) { return (size_t)(s - begin) >= n && !memcmp(s - n, with, n); }
#define ENDS(begin, s, with) ends(begin, s, with, sizeof with - 1)

/* ---- special cases ---- */

/* The same in tools/chars_tables.py. */
static uint64_t special_hash(const char *s, size_t n)
{
    const uint64_t first = bytes_some(s, n < 8 ? n : 8), last = n < 8 ? first : bytes_8(s + n - 8);
    const uint64_t h = first * 0x9e3779b97f4a7c15u ^ (last + n) * 0xc2b2ae3d27d4eb4fu;
    return (h ^ h >> 32) * 0xd6e8feb86659fd93u;
}

/* 15 bits of the length and three bytes: three of a hundred words share them with a special case. */
static inline uint32_t special_kind(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    return (p[0] | (uint32_t)p[n / 2] << 8 | (uint32_t)p[n - 1] << 16 | (uint32_t)n << 24) * 0x9e3779b1u >> 17;
}

static const struct special *special_look(const char *s, size_t n)
{
    for (size_t slot = special_hash(s, n) >> 52; special_slot[slot]; slot = (slot + 1) % SPECIAL_SLOTS) {
        const struct special *c = &special_cases[special_slot[slot] - 1];
        if (c->n == n && !memcmp(c->text, s, n))
            return c;
    }
    return NULL;
}

static inline const struct special *special_find(const char *s, size_t n)
{
    if (n > SPECIAL_BYTES || !n)
        return NULL;
    const uint32_t kind = special_kind(s, n);
    return special_seen[kind / 64] >> kind % 64 & 1 ? special_look(s, n) : NULL;
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
    if (is_digit_before(begin, end))
        return 0;
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
        if (words_starts(s, end, hyphens[i], n) && alpha_at(s + n, end))
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
    if (!(kinds & (A_INFIX | A_HIGH)) || ((kinds & A_DOT) && words_is_url(s, end)))
        return spans_add(out, (uint32_t)(s - text), (uint32_t)(end - s), err);
    return cut_at_infixes(out, text, s, end, err);
}

/* kinds: all that are in it. */
int words_cut_chunk(struct words *w, struct spans *out, const char *text, const char *s, const char *end, int kinds, struct err *err)
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

/* By the first two tokens of all patterns. */
void words_english_init(struct words *w)
{
    for (size_t i = 0; i < sizeof special_cases / sizeof *special_cases; i++) {
        const struct special *c = &special_cases[i];
        if (c->n_pattern < 2)
            continue;
        w->begins[0][(unsigned char)c->text[0]] |= 1u << c->pattern[0];
        w->begins[1][(unsigned char)c->text[(int)c->pattern[0]]] |= 1u << c->pattern[1];
    }
}

static bool may_begin(const struct words *w, const struct span *t, const char *text)
{
    for (int i = 0; i < 2; i++)
        if (t[i].n > SPECIAL_BYTES || !(w->begins[i][(unsigned char)text[t[i].at]] >> t[i].n & 1))
            return false;
    return true;
}

/* Into w->matches, tokens [at, at + n): the longest win, the first of those of one length; one that begins or ends inside one that was looked
 * at before is none.  w->taken: n is whether a token is in one. */
static int choose_matches(struct words *w, const char *text, struct err *err)
{
    struct spans *some = &w->suffix;                            /* places where one may begin */
    w->matches.n = w->taken.n = some->n = 0;
    for (size_t i = 0; i < w->tokens.n; i++)
        TRY(spans_add(&w->taken, 0, false, err));
    for (size_t i = 0; i + 1 < w->tokens.n; i++)
        if (may_begin(w, &w->tokens.at[i], text))
            TRY(spans_add(some, (uint32_t)i, 0, err));
    for (size_t k = SPECIAL_PATTERN; k > 1; k--)
        for (size_t j = 0; j < some->n && some->at[j].at + k <= w->tokens.n; j++) {
            const uint32_t i = some->at[j].at;
            struct span *taken = w->taken.at + i;
            if (!pattern_at(&w->tokens, i, k, text))
                continue;
            if (!taken[0].n && !taken[k - 1].n)
                TRY(spans_add(&w->matches, i, (uint32_t)k, err));
            for (size_t l = 0; l < k; l++)
                taken[l].n = true;
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
        if (!words_space_at(text + t.at, text + t.at + t.n))
            TRY(spans_add(words, t.at, t.n, err));
    }
    return 0;
}

/* ---- texts ---- */


/* Chunks of English are letters, or letters with one sign before or behind: these are cut here, as cut_chunk() would. */

static inline void put(struct spans *out, const char *text, const char *s, const char *end)
{
    out->at[out->n++] = (struct span){ (uint32_t)(s - text), (uint32_t)(end - s) };
}

/* Letters and then a sign that is a suffix. */
static bool put_sign_behind(struct spans *out, const char *text, const char *s, const char *end)
{
    const unsigned char c = (unsigned char)end[-1];
    if (c == '.' ? end[-2] < 'a' : c == '+' || !(chars_ascii[c] & CHAR_SUFFIX))
        return false;
    if (special_find(s, (size_t)(end - s)) || special_find(s, (size_t)(end - 1 - s)))
        return false;
    put(out, text, s, end - 1);
    put(out, text, end - 1, end);
    return true;
}

/* A sign that is a prefix, and then letters. */
static bool put_sign_before(struct spans *out, const char *text, const char *s, const char *end)
{
    if (!(chars_ascii[(unsigned char)*s] & CHAR_PREFIX) || special_find(s, (size_t)(end - s)) || special_find(s + 1, (size_t)(end - 1 - s)))
        return false;
    put(out, text, s, s + 1);
    put(out, text, s + 1, end);
    return true;
}

/* Bytes [s, end) without ASCII white space, some of which are no letters. */
static int cut_mixed(struct words *w, struct spans *out, const char *text, const char *s, const char *end, struct err *err)
{
    while (s < end) {
        const char *begin = s;
        int kinds = 0, space = 0;
        for (; s < end; s++) {
            const unsigned char c = (unsigned char)*s;
            if (c >= 0x80 && (c == 0xc2 || (c >= 0xe1 && c <= 0xe3)) && (space = words_space_at(s, end)))
                break;
            kinds |= c < 0x80 ? w->ascii[c] : A_HIGH;
        }
        if (kinds)
            TRY(words_cut_chunk(w, out, text, begin, s, kinds, err));
        s += space;
    }
    return 0;
}

/* other: what is no letter in bytes [base, base + 64) of it, from its beginning on; before: there is some before them. */
static int add_chunk(struct words *w, struct spans *out, const char *text, const char *base, const char *s, const char *end, uint64_t other, bool before,
                     struct err *err)
{
    if (!other && !before) {
        if (!special_find(s, (size_t)(end - s)))
            return put(out, text, s, end), 0;
    } else if (!before && !(other & (other - 1)) && end - s > 1) {
        const char *sign = base + __builtin_ctzll(other);
        if ((unsigned char)*sign < 0x80 && ((sign == end - 1 && put_sign_behind(out, text, s, end)) || (sign == s && put_sign_before(out, text, s, end))))
            return 0;
    }
    TRY(cut_mixed(w, out, text, s, end, err));
    return spans_reserve(out, out->n + BLOCK_WORDS, err);
}

/* The chunks that end in a block, and the beginning of one that does not. */
struct open { const char *begin; bool other; };

static int cut_block(struct words *w, struct spans *out, const char *text, const char *base, size_t n, const struct text_masks *m, struct open *open,
                     struct err *err)
{
    const uint64_t all = n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX, full = ~m->space & all, after = full << 1 | (open->begin != NULL);
    uint64_t other = full & ~m->letter, begins = full & ~after, ends = m->space & after;
    TRY(spans_reserve(out, out->n + BLOCK_WORDS, err));
    for (; ends; ends &= ends - 1) {
        const uint64_t below = (ends & -ends) - 1;
        if (!open->begin) {
            open->begin = base + __builtin_ctzll(begins);
            begins &= begins - 1;
        }
        TRY(add_chunk(w, out, text, base, open->begin, base + __builtin_ctzll(ends), other & below, open->other, err));
        other &= ~below;
        *open = (struct open){ NULL, false };
    }
    if (begins)
        open->begin = base + __builtin_ctzll(begins);
    open->other = open->other || other;
    return 0;
}

int words_english(struct words *w, const char *text, size_t n, struct spans *out, struct err *err)
{
    struct text_masks mask[64];
    struct open open = { NULL, false };
    const struct cpu_kernels *k = cpu_kernels();
    w->has_hidden = false;
    for (size_t at = 0; at < n; at += sizeof mask / sizeof *mask * 64) {
        const size_t some = n - at < sizeof mask / sizeof *mask * 64 ? n - at : sizeof mask / sizeof *mask * 64;
        k->text_masks(some, text + at, mask);
        for (size_t i = 0; i < some; i += 64)
            TRY(cut_block(w, out, text, text + at + i, some - i < 64 ? some - i : 64, &mask[i / 64], &open, err));
    }
    if (open.begin)
        TRY(cut_mixed(w, out, text, open.begin, text + n, err));
    out->joined = w->has_hidden;
    return w->has_hidden ? special_pass(w, out, text, n, err) : 0;
}
