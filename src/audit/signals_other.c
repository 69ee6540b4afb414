/* signals_other.c - what Dolma's gopher tagger and NeMo Curator's heuristic filters count. */
#include <stdlib.h>
#include <string.h>
#include "audit/chars.h"
#include "audit/signals_impl.h"
#include "base/mem.h"

#define COUNT(list) (sizeof list / sizeof *list)

enum { LENGTHS = 1024 };

/* ---- words ---- */

static const char *word_at(const struct signals_maker *m, size_t i, const char **end)
{
    const struct span w = m->spaced.at[i];
    *end = m->text + w.at + w.n;
    return m->text + w.at;
}

static bool is_stop_word(const char *s, const char *end)
{
    static const char *const words[] = { "the", "be", "to", "of", "and", "that", "have", "with" };
    for (size_t i = 0; i < COUNT(words); i++)
        if ((size_t)(end - s) == strlen(words[i]) && signals_has(s, end, words[i]))
            return true;
    return false;
}

static bool is_symbol(const struct signals_maker *m, const char *s, const char *end)
{
    static const char *const ellipses[] = { "...", "[...]", "\342\200\246", "(...)", "[\342\200\246]", "-\302\273" };
    for (size_t i = 0; i < COUNT(ellipses); i++)
        if ((size_t)(end - s) == strlen(ellipses[i]) && signals_has(s, end, ellipses[i]))
            return true;
    uint32_t runs = 0;
    for (const char *p = s; p < end; p++)
        runs += *p == '#' && (p == s || p[-1] != '#');
    return runs > 0 && (double)runs / signals_chars(m, s, end) > 0.5;
}

static void count_word(struct signals_maker *m, const char *s, const char *end)
{
    struct signals *o = m->out;
    uint32_t cp, class, all = 0;
    bool symbol = false;
    for (const char *p = s; p < end;) {
        p += chars_at(p, end, &cp, &class);
        all |= class;
        symbol = symbol || cp == '#' || cp == 0x2026;
    }
    if (m->groups & SIGNALS_DOLMA) {
        o->dolma_alpha_words += (all & CHAR_ALPHA) != 0;
        o->dolma_symbol_words += symbol;
    }
    if (m->groups & SIGNALS_NEMO) {
        o->nemo_alpha_words += (all & CHAR_REGEX_ALPHA) != 0;
        o->nemo_symbol_words += is_symbol(m, s, end);
    }
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

static int count_words(struct signals_maker *m, struct err *err)
{
    struct signals *o = m->out;
    uint32_t length[LENGTHS] = { 0 };
    const size_t n = m->spaced.n;
    uint64_t chars = 0;
    m->line_words.n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *end, *s = word_at(m, i, &end);
        const uint32_t k = signals_chars(m, s, end);
        chars += k;
        o->spaced_longest = k > o->spaced_longest ? k : o->spaced_longest;
        o->spaced_stop_words += k < 5 && is_stop_word(s, end);
        if (k < LENGTHS)
            length[k]++;
        else
            TRY(spans_add(&m->line_words, 0, k, err));
        count_word(m, s, end);
    }
    o->spaced_words = signals_cap(n);
    o->spaced_chars = signals_cap(chars);
    if (n && (m->groups & SIGNALS_DOLMA))
        o->dolma_twice_median = length_at(m, length, n / 2) + length_at(m, length, (n - 1) / 2);
    return 0;
}

/* ---- n-grams ---- */

struct top { uint32_t at, times; int n; };

static void dolma_runs(const struct runs *g, int n, uint32_t *dup, uint32_t *all)
{
    uint64_t d = 0, a = 0;
    for (size_t i = 0; i + (size_t)n <= g->n_word; i++) {
        const uint32_t k = run_chars(g, i, n);
        a += k;
        d += g->gram[i] != RUN_ONCE ? k : 0;
    }
    *dup = signals_cap(d);
    *all = signals_cap(a);
}

/* Of a run that stood before, the words that none before it had counted; a space before each but a first. */
static uint32_t nemo_runs(const struct runs *g, int n)
{
    uint64_t chars = 0;
    int over = 0;
    for (size_t i = 0; i + (size_t)n <= g->n_word; i++) {
        if (g->gram[i] != RUN_ONCE && g->first[g->gram[i]] != i) {
            chars += run_chars(g, i + (size_t)over, n - over) + (uint64_t)(n - over < n - 1 ? n - over : n - 1);
            over = n;
        }
        over = over > 0 ? over - 1 : 0;
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
    for (const char *s = m->text; (s = memmem(s, (size_t)(m->end - s), m->line.data, m->line.len)); s += m->line.len)
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
    TRY(runs_of(g, m->text, &m->spaced, m->ascii, err));
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
    const char *at = m->text, *s, *end;
    while (signals_line(&at, m->end, &s, &end)) {
        o->dolma_bullet_lines += s < end && (*s == '*' || *s == '-');
        o->dolma_ellipsis_lines += signals_has(s, end, "\342\200\246");
    }
}

/* ---- NeMo's characters ---- */

static bool in_url(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= '$' && c <= '_') || c == '!'; }

static void nemo_urls(struct signals_maker *m)
{
    for (const char *s = m->text; (s = memmem(s, (size_t)(m->end - s), "http", 4));) {
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
    uint32_t plain = 0, cp, class;
    for (const char *s = m->text; s < m->end;) {
        s += chars_at(s, m->end, &cp, &class);
        plain += (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || (cp >= '0' && cp <= '9') || cp == '\n' || cp == '?' || cp == '!' || cp == ',' || cp == '.';
        o->nemo_digits += cp >= '0' && cp <= '9';
        o->nemo_white_chars += (cp >= 8 && cp <= 10) || cp == 13 || cp == ' ';
        o->nemo_paren_chars += cp == '(' || cp == ')' || cp == '[' || cp == ']' || cp == '{' || cp == '}' || cp == 0x27e8 || cp == 0x27e9;
    }
    o->nemo_other_chars = o->chars - plain;
}

/* ---- NeMo's lines and paragraphs ---- */

static bool begins(const char *s, const char *end, const char *with) { return (size_t)(end - s) >= strlen(with) && !memcmp(s, with, strlen(with)); }

static bool has_bullet(const char *s, const char *end)
{
    static const char *const bullets[] = { "\342\200\242", "\342\200\243", "\342\201\203", "\342\201\214", "\342\201\215", "\342\210\231", "\342\227\213", "\342\227\217", "\342\227\230", "\342\227\246",
                                           "\342\246\276", "\342\246\277" };
    for (size_t i = 0; i < COUNT(bullets); i++)
        if (begins(s, end, bullets[i]))
            return true;
    return false;
}

static bool has_ellipsis(const char *s, const char *end)
{
    static const char *const marks[] = { "...", "[...]", "\342\200\246", "(...)", "[\342\200\246]", "-\302\273" };
    static const char *const more[] = { "read more..", "read more" };
    for (size_t i = 0; i < COUNT(marks); i++)
        if (signals_has(s, end, marks[i]))
            return true;
    for (size_t i = 0; i < COUNT(more); i++) {
        const size_t n = strlen(more[i]);
        if ((size_t)(end - s) >= n && !strncasecmp(end - n, more[i], n))
            return true;
    }
    return false;
}

static void nemo_lines(struct signals_maker *m)
{
    struct signals *o = m->out;
    const char *at = m->text, *line, *stop;
    while (signals_line(&at, m->end, &line, &stop)) {
        const char *s = signals_lstrip(line, stop), *end = signals_rstrip(s, stop);
        if (s == end)
            continue;
        o->nemo_open_lines += !memchr(".?!\"'", end[-1], 5);
        o->nemo_bullet_lines += has_bullet(s, end);
        o->nemo_ellipsis_lines += has_ellipsis(s, end);
    }
}

static int boilerplate(struct signals_maker *m, const char *s, const char *end, bool *lorem, bool *policy, struct err *err)
{
    static const char *const words[] = {
        "terms of use", "privacy policy", "cookie policy", "uses cookies", "privacy overview", "use of cookies", "use cookies", "privacy & cookies policy", "privacy and cookies policy",
        "necessary cookies are absolutely essential for the website to function properly. this category only includes cookies that ensures basic functionalities and security features of "
        "the website. these cookies do not store any personal information.",
        "any cookies that may not be particularly necessary for the website to function and is used specifically to collect user personal data via analytics, ads, other embedded contents "
        "are termed as non-necessary cookies. it is mandatory to procure user consent prior to running these cookies on your website.",
        "if you continue to browse this site without changing your cookie settings, you agree to this use. acceptread more",
    };
    TRY(signals_low(&m->low, s, end, err));
    *lorem = memmem(m->low.data, m->low.len, "lorem ipsum", 11);
    *policy = false;
    for (size_t i = 0; i < COUNT(words) && !*policy; i++)
        *policy = memmem(m->low.data, m->low.len, words[i], strlen(words[i]));
    return 0;
}

static int nemo_paragraphs(struct signals_maker *m, struct err *err)
{
    struct signals *o = m->out;
    bool lorem, policy, any_lorem = false, more = true, any;
    TRY(boilerplate(m, m->text, m->end, &lorem, &any, err));
    any = any || lorem;
    TRY(repeats_clear(&m->repeats, (size_t)o->newlines / 2 + 1, err));
    for (const char *s = m->text, *end; more; s = end + 2) {
        end = memmem(s, (size_t)(m->end - s), "\n\n", 2);
        more = end;
        end = more ? end : m->end;
        const uint32_t chars = signals_chars(m, s, end);
        o->nemo_paragraphs++;
        o->nemo_paragraph_chars += chars;
        if (repeats_add(&m->repeats, m->text, signals_span(m, s, end))) {
            o->nemo_dup_paragraphs++;
            o->nemo_dup_paragraph_chars += chars;
        }
        if (any) {
            TRY(boilerplate(m, s, end, &lorem, &policy, err));
            o->nemo_boilerplate += policy;
            any_lorem = any_lorem || lorem;
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
