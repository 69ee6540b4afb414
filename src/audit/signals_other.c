/* signals_other.c - what Dolma's gopher tagger and NeMo Curator's heuristic filters count. */
#include <stdlib.h>
#include <string.h>
#include "audit/chars.h"
#include "audit/phrases.h"
#include "audit/signals_impl.h"
#include "base/mem.h"

#define COUNT(list) (sizeof list / sizeof *list)

enum { LENGTHS = 1024 };

/* ---- a few bytes in a text: by the first and the last of them ---- */

enum { WINDOW = 64, GAP_MAX = 63 };      /* blocks that are looked at together */
struct search { const char *at, *end, *what; size_t n; struct text_pair pair; int block, n_block; uint64_t mask[WINDOW + 1]; };

static void search_begin(struct search *x, const char *text, const char *end, const char *what, size_t n)
{
    *x = (struct search){ .at = text, .end = end, .what = what, .n = n };
    const size_t gap = n - 1 < GAP_MAX ? n - 1 : GAP_MAX;
    x->pair = (struct text_pair){ (uint8_t)what[0], (uint8_t)what[gap], 0, (uint32_t)gap };
}

/* The first place from `from` on, which never goes back, or NULL. */
static const char *search_next(struct search *x, const char *from)
{
    for (;;) {
        for (; x->block < x->n_block; x->block++)
            while (x->mask[x->block]) {
                const char *s = x->at - 64 * (x->n_block - x->block) + __builtin_ctzll(x->mask[x->block]);
                x->mask[x->block] &= x->mask[x->block] - 1;
                if (s >= from && (size_t)(x->end - s) >= x->n && !memcmp(s, x->what, x->n))
                    return s;
            }
        if (x->at >= x->end)
            return NULL;
        const size_t rest = (size_t)(x->end - x->at), some = rest < 64 * (WINDOW + 1) ? rest : 64 * (WINDOW + 1);
        cpu_kernels()->text_pairs(some, x->at, 1, &x->pair, x->mask);
        x->block = 0;
        x->n_block = (int)((some + 63) / 64) < WINDOW ? (int)((some + 63) / 64) : WINDOW;
        x->at += 64 * x->n_block;
    }
}

/* ---- words ---- */

static const char *word_at(const struct signals_maker *m, size_t i, const char **end)
{
    const struct span w = m->spaced.at[i];
    *end = m->text + w.at + w.n;
    return m->text + w.at;
}

/* Where an ellipsis begins that is the end of [s, end), or NULL. */
static const char *ellipsis(const char *s, const char *end)
{
#define E(text) { text, sizeof text - 1 }
    static const struct { const char *text; size_t n; } marks[] = { E("..."), E("[...]"), E("\342\200\246"), E("(...)"), E("[\342\200\246]"), E("-\302\273") };
#undef E
    if (s < end && memchr(".])\246\273", end[-1], 5))                   /* the last bytes of all */
        for (size_t i = COUNT(marks); i-- > 0;)
            if ((size_t)(end - s) >= marks[i].n && !memcmp(end - marks[i].n, marks[i].text, marks[i].n))
                return end - marks[i].n;
    return NULL;
}

static bool is_symbol(const struct signals_maker *m, const char *s, const char *end)
{
    if (ellipsis(s, end) == s)
        return true;
    if (!m->out->hashes)
        return false;
    uint32_t runs = 0;
    for (const char *p = s; p < end; p++)
        runs += *p == '#' && (p == s || p[-1] != '#');
    return runs > 0 && (double)runs / signals_chars(m, s, end) > 0.5;
}

/* A word that does not begin with an ASCII letter. */
static void count_word(struct signals_maker *m, const char *s, const char *end)
{
    struct signals *o = m->out;
    uint32_t cp, class, all = 0;
    for (const char *p = s; p < end && (all & (CHAR_ALPHA | CHAR_REGEX_ALPHA)) != (CHAR_ALPHA | CHAR_REGEX_ALPHA);) {
        p += chars_at(p, end, &cp, &class);
        all |= class;
    }
    o->dolma_alpha_words += (all & CHAR_ALPHA) != 0;
    o->nemo_alpha_words += (all & CHAR_REGEX_ALPHA) != 0;
    o->nemo_symbol_words += is_symbol(m, s, end);
}

/* The next `what` from s on, or the end; *at is where one was found before, which is still it if that lies ahead. */
static const char *next_of(const char **at, const char *s, const char *end, const char *what)
{
    if (!*at || *at < s) {
        *at = memmem(s, (size_t)(end - s), what, strlen(what));
        *at = *at ? *at : end;
    }
    return *at;
}

/* Words with # or U+2026: none of these is white space. */
static uint32_t symbol_words(const struct signals_maker *m)
{
    const char *sign = NULL, *dots = NULL;
    uint32_t words = 0;
    size_t i = 0;
    for (const char *s = m->text; s < m->end; words++) {
        const char *a = next_of(&sign, s, m->end, "#"), *b = next_of(&dots, s, m->end, "\342\200\246");
        s = a < b ? a : b;
        if (s == m->end)
            break;
        while (m->text + m->spaced.at[i].at + m->spaced.at[i].n <= s)
            i++;
        s = m->text + m->spaced.at[i].at + m->spaced.at[i].n;
    }
    return words;
}

static int by_length(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->n < y->n ? -1 : x->n > y->n;
}

/* The k-th smallest length: of those below LENGTHS by their numbers, of the others by sorting them. */
static uint32_t length_at(struct signals_maker *m, const uint32_t *length, size_t k)
{
    for (uint32_t i = 0; i < LENGTHS; i++) {
        if (k < length[i])
            return i;
        k -= length[i];
    }
    qsort(m->line_words.at, m->line_words.n, sizeof *m->line_words.at, by_length);
    return m->line_words.at[k].n;
}

/* How long words are, and those that begin with no letter. */
static int count_lengths(struct signals_maker *m, uint32_t length[LENGTHS], uint64_t *chars, struct err *err)
{
    enum { SOME = 256 };
    const size_t n = m->spaced.n;
    uint32_t other[SOME], longest = 0, letters = 0;
    for (size_t from = 0; from < n; from += SOME) {
        const size_t to = n - from < SOME ? n : from + SOME;
        size_t n_other = 0;
        for (size_t i = from; i < to; i++) {
            const uint32_t k = run_chars(&m->runs, i, 1);
            longest = k > longest ? k : longest;
            if (k < LENGTHS)
                length[k]++;
            else
                TRY(spans_add(&m->line_words, 0, k, err));
            other[n_other] = (uint32_t)i;
            n_other += (unsigned char)((m->text[m->spaced.at[i].at] | 32) - 'a') >= 26;
        }
        letters += (uint32_t)(to - from - n_other);
        for (size_t k = 0; k < n_other; k++) {
            const char *end, *s = word_at(m, other[k], &end);
            count_word(m, s, end);
        }
    }
    *chars = m->runs.character[n];
    m->out->spaced_longest = longest;
    m->out->dolma_alpha_words += letters;
    m->out->nemo_alpha_words += letters;
    return 0;
}

static int count_words(struct signals_maker *m, struct err *err)
{
    struct signals *o = m->out;
    uint32_t length[LENGTHS] = { 0 }, which;
    const size_t n = m->spaced.n;
    uint64_t chars = 0;
    m->line_words.n = 0;
    signals_stop_words(&m->runs, &which, &o->spaced_stop_words);
    TRY(count_lengths(m, length, &chars, err));
    o->spaced_words = signals_cap(n);
    o->spaced_chars = signals_cap(chars);
    if (m->groups & SIGNALS_DOLMA) {
        o->dolma_symbol_words = o->hashes || o->ellipses ? symbol_words(m) : 0;
        o->dolma_twice_median = n ? length_at(m, length, n / 2) + length_at(m, length, (n - 1) / 2) : 0;
    } else {
        o->dolma_alpha_words = 0;
    }
    if (!(m->groups & SIGNALS_NEMO))
        o->nemo_alpha_words = o->nemo_symbol_words = 0;
    return 0;
}

/* ---- n-grams ---- */

struct top { uint32_t at, times; int n; };

static void dolma_runs(const struct runs *g, int n, uint32_t *dup, uint32_t *all)
{
    uint64_t d = 0, a = 0;
    for (size_t j = 0; j < g->n_left; j++)
        d += run_chars(g, g->left[j], n);
    /* The sum of character[i + n] - character[i]: all but the first n and the last n are added and taken away. */
    for (size_t i = 0; i < (size_t)n; i++)
        a += g->character[g->n_word - i] - (uint64_t)g->character[i];
    *dup = signals_cap(d);
    *all = signals_cap(a);
}

/* Of a run that stood before, the words that none before it had counted; a space before each but a first. */
static uint32_t nemo_runs(const struct runs *g, int n)
{
    uint64_t chars = 0;
    size_t end = 0;                                       /* of the last run that was counted */
    for (size_t j = 0; j < g->n_left; j++) {
        const size_t i = g->left[j];
        if (g->first[g->gram[i]] == i)
            continue;
        const int over = end > i ? (int)(end - i) : 0;
        chars += run_chars(g, i + (size_t)over, n - over) + (uint64_t)(n - over < n - 1 ? n - over : n - 1);
        end = i + (size_t)n;
    }
    return signals_cap(chars);
}

/* What the text loses when every place of an n-gram, with one space between words, is deleted. */
static int nemo_top(struct signals_maker *m, const struct top *t, uint32_t *chars, struct err *err)
{
    buf_clear(&m->line);
    for (int i = 0; i < t->n; i++) {
        const char *end, *s = word_at(m, t->at + (size_t)i, &end);
        TRY(buf_add(&m->line, " ", i > 0, err));
        TRY(buf_add(&m->line, s, (size_t)(end - s), err));
    }
    const uint32_t each = signals_chars(m, m->line.data, m->line.data + m->line.len);
    uint64_t n = 0;
    struct search x;
    search_begin(&x, m->text, m->end, m->line.data, m->line.len);
    for (const char *s = m->text; (s = search_next(&x, s)); s += m->line.len)
        n += each;
    *chars = signals_cap(n);
    return 0;
}

static int count_repeated(struct signals_maker *m, struct err *err)
{
    struct runs *g = &m->runs;
    struct signals *o = m->out;
    uint32_t *const dolma_top[] = { &o->dolma_top_2_gram_chars, &o->dolma_top_3_gram_chars, &o->dolma_top_4_gram_chars };
    uint32_t *const nemo_tops[] = { &o->nemo_top_2_gram_chars, &o->nemo_top_3_gram_chars, &o->nemo_top_4_gram_chars };
#define GRAM(n) { &o->dolma_dup_##n##_gram_chars, &o->dolma_all_##n##_gram_chars, &o->nemo_dup_##n##_gram_chars },
    uint32_t *const runs[][3] = { GRAM(5) GRAM(6) GRAM(7) GRAM(8) GRAM(9) GRAM(10) };
#undef GRAM
    for (int n = 2; n <= 10; n++) {
        const bool any = g->n_word >= (size_t)n;
        TRY(runs_next(g, err));
        if (n < 5) {
            struct top t = { .n = n };
            t.at = any ? runs_top(g, &t.times) : 0;
            if (any && (m->groups & SIGNALS_DOLMA))
                *dolma_top[n - 2] = signals_cap((uint64_t)t.times * run_chars(g, t.at, n));
            if (m->groups & SIGNALS_NEMO) {
                *nemo_tops[n - 2] = o->chars;
                TRY(any ? nemo_top(m, &t, nemo_tops[n - 2], err) : 0);
            }
            continue;
        }
        if (any && (m->groups & SIGNALS_DOLMA))
            dolma_runs(g, n, runs[n - 5][0], runs[n - 5][1]);
        if (m->groups & SIGNALS_NEMO)
            *runs[n - 5][2] = any ? nemo_runs(g, n) : o->chars;
    }
    return 0;
}

/* ---- Dolma's lines ---- */

static void dolma_lines(struct signals_maker *m)
{
    struct signals *o = m->out;
    for (size_t i = 0; i < m->lines.n; i++) {
        const char *s = m->text + m->lines.at[i].at, *end = s + m->lines.at[i].n;
        o->dolma_bullet_lines += s < end && (*s == '*' || *s == '-');
        o->dolma_ellipsis_lines += signals_has(s, end, "\342\200\246");
    }
}

/* ---- NeMo's characters ---- */

static bool in_url(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= '$' && c <= '_') || c == '!'; }

static void nemo_urls(struct signals_maker *m)
{
    struct search x;
    search_begin(&x, m->text, m->end, "http", 4);
    for (const char *s = m->text; (s = search_next(&x, s));) {
        const char *p = s + 4;
        p += p < m->end && *p == 's';
        if (m->end - p < 4 || memcmp(p, "://", 3) || !in_url((unsigned char)p[3])) {
            s++;
            continue;
        }
        for (p += 3; p < m->end && in_url((unsigned char)*p);)
            p++;
        m->out->nemo_url_chars += (uint32_t)(p - s);
        s = p;
    }
}

static void nemo_chars(struct signals_maker *m)
{
    struct signals *o = m->out;
    o->nemo_other_chars = o->chars - m->count[SET_PLAIN];
    o->nemo_digits = m->count[SET_DIGITS];
    o->nemo_white_chars = m->count[SET_WHITE];
    o->nemo_paren_chars += m->count[SET_BRACKETS];            /* to those that are no ASCII */
}

/* ---- NeMo's lines and paragraphs ---- */

static bool has_bullet(const char *s, const char *end)
{
    static const char bullets[][4] = { "\342\200\242", "\342\200\243", "\342\201\203", "\342\201\214", "\342\201\215", "\342\210\231", "\342\227\213", "\342\227\217", "\342\227\230", "\342\227\246",
                                       "\342\246\276", "\342\246\277" };
    for (size_t i = 0; i < COUNT(bullets) && (unsigned char)*s == 0xe2 && end - s >= 3; i++)
        if (!memcmp(s, bullets[i], 3))
            return true;
    return false;
}

static bool has_ellipsis(const char *s, const char *end)
{
    return ellipsis(s, end) || (end - s >= 9 && !strncasecmp(end - 9, "read more", 9)) || (end - s >= 11 && !strncasecmp(end - 11, "read more..", 11));
}

static void nemo_lines(struct signals_maker *m)
{
    struct signals *o = m->out;
    for (size_t i = 0; i < m->lines.n; i++) {
        const char *line = m->text + m->lines.at[i].at, *stop = line + m->lines.at[i].n, *s = signals_lstrip(line, stop), *end = signals_rstrip(s, stop);
        if (s == end)
            continue;
        o->nemo_open_lines += !memchr(".?!\"'", end[-1], 5);
        o->nemo_bullet_lines += has_bullet(s, end);
        o->nemo_ellipsis_lines += has_ellipsis(s, end);
    }
}

/* The next two line feeds, or NULL. */
static const char *two_feeds(const char *s, const char *end)
{
    for (; end - s >= 2 && (s = memchr(s, '\n', (size_t)(end - s) - 1)); s++)
        if (s[1] == '\n')
            return s;
    return NULL;
}

static int nemo_paragraphs(struct signals_maker *m, struct err *err)
{
    struct signals *o = m->out;
    bool any_lorem = false, more = true;
    int found;
    TRY(repeats_clear(&m->repeats, (size_t)o->newlines / 2 + 1, err));
    for (const char *s = m->text, *end; more; s = end + 2) {
        end = two_feeds(s, m->end);
        more = end;
        end = more ? end : m->end;
        const uint32_t chars = signals_chars(m, s, end);
        o->nemo_paragraphs++;
        o->nemo_paragraph_chars += chars;
        if (repeats_add(&m->repeats, m->text, signals_span(m, s, end))) {
            o->nemo_dup_paragraphs++;
            o->nemo_dup_paragraph_chars += chars;
        }
        if (m->phrases) {
            TRY(signals_phrases(m, s, end, &found, err));
            o->nemo_boilerplate += (found & PHRASE_NEMO_POLICY) != 0;
            any_lorem = any_lorem || (found & PHRASE_LOREM);
        }
        if (!more)
            break;
    }
    o->nemo_boilerplate = any_lorem ? o->nemo_paragraphs : o->nemo_boilerplate;
    return 0;
}

int signals_spaced(struct signals_maker *m, struct err *err)
{
    TRY(words_of(m->words, WORDS_SPACED, m->text, (size_t)(m->end - m->text), &m->spaced, err));
    TRY(runs_of(&m->runs, m->text, &m->spaced, m->ascii, err));
    TRY(count_words(m, err));
    TRY(count_repeated(m, err));
    if (m->groups & SIGNALS_DOLMA)
        dolma_lines(m);
    if (!(m->groups & SIGNALS_NEMO))
        return 0;
    nemo_chars(m);
    nemo_urls(m);
    nemo_lines(m);
    return nemo_paragraphs(m, err);
}
