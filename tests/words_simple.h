/* words_simple.h - words and signals once more, as their definitions say, without haste: what the fast ways are held against by a unit test and a fuzz target.
 * No text of more than some thousand bytes: pairs of n-grams are compared one by one. */
#ifndef TESTS_WORDS_SIMPLE_H
#define TESTS_WORDS_SIMPLE_H
#include <stdlib.h>
#include <string.h>
#include "audit/chars.h"
#include "audit/phrases.h"
#include "audit/signals.h"
#include "audit/words_impl.h"

struct simple { struct words *words; struct signals_maker *maker; struct spans fast, slow; };

static inline int simple_new(struct simple *s)
{
    *s = (struct simple){ 0 };
    return words_new(&s->words, NULL) || signals_new(&s->maker, SIGNALS_BASE | SIGNALS_DOLMA | SIGNALS_NEMO, NULL);
}

static inline void simple_release(struct simple *s)
{
    words_free(s->words);
    signals_free(s->maker);
    spans_release(&s->fast);
    spans_release(&s->slow);
}

/* ---- words ---- */

/* Character by character; english: each chunk by the function that cuts any. */
static inline int simple_words(struct words *w, bool english, const char *text, size_t n, struct spans *out)
{
    const char *end = text + n, *begin = text;
    int kinds = 0;
    out->n = 0;
    w->has_hidden = false;
    for (const char *s = text; s <= end;) {
        uint32_t cp, class = CHAR_SPACE;
        const int len = s < end ? chars_at(s, end, &cp, &class) : 1;
        if (class & CHAR_SPACE) {
            if (s > begin && (english ? words_cut_chunk(w, out, text, begin, s, kinds, NULL) : spans_add(out, (uint32_t)(begin - text), (uint32_t)(s - begin), NULL)))
                return -1;
            begin = s + len;
            kinds = 0;
        } else {
            kinds |= (unsigned char)*s < 128 ? w->ascii[(unsigned char)*s] : A_HIGH;
        }
        s += len;
    }
    return 0;
}

static inline bool same_spans(const struct spans *a, const struct spans *b) { return a->n == b->n && (!a->n || !memcmp(a->at, b->at, a->n * sizeof *a->at)); }

/* ---- n-grams ---- */

static inline uint32_t simple_chars(const char *s, size_t n)
{
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)s[i] & 0xc0) != 0x80;
    return k;
}

/* Characters of n words from i on. */
static inline uint32_t gram_chars(const char *text, const struct spans *w, size_t i, size_t n)
{
    uint32_t k = 0;
    for (size_t j = i; j < i + n; j++)
        k += simple_chars(text + w->at[j].at, w->at[j].n);
    return k;
}

static inline bool same_gram(const char *text, const struct spans *w, size_t a, size_t b, size_t n)
{
    for (size_t j = 0; j < n; j++)
        if (w->at[a + j].n != w->at[b + j].n || memcmp(text + w->at[a + j].at, text + w->at[b + j].at, w->at[a + j].n))
            return false;
    return true;
}

static inline size_t joined(const char *text, const struct spans *w, size_t i, size_t n, char *out)
{
    size_t len = 0;
    for (size_t j = i; j < i + n; len += w->at[j++].n)
        memcpy(out + len, text + w->at[j].at, w->at[j].n);
    return len;
}

/* The most common n-gram: times its characters, `between` more for each. */
static inline uint32_t simple_top(const char *text, const struct spans *w, size_t n, uint32_t between)
{
    uint32_t best = 0, chars = 0;
    for (size_t i = 0; i + n <= w->n; i++) {
        uint32_t times = 0;
        for (size_t j = 0; j + n <= w->n; j++)
            times += same_gram(text, w, i, j, n);
        if (times > best)
            best = times, chars = times * (gram_chars(text, w, i, n) + between);
    }
    return chars;
}

static inline uint32_t simple_dup(const char *text, size_t n_text, const struct spans *w, size_t n)
{
    char *a = malloc(n_text + 1), *b = malloc(n_text + 1);
    bool *kept = calloc(w->n + 1, 1);
    uint32_t chars = 0;
    if (!a || !b || !kept)
        abort();
    for (size_t i = 0; i + n <= w->n;) {
        const size_t len = joined(text, w, i, n, a);
        bool found = false;
        for (size_t j = 0; j < i && !found; j++)
            found = kept[j] && joined(text, w, j, n, b) == len && !memcmp(a, b, len);
        chars += found ? gram_chars(text, w, i, n) : 0;
        kept[i] = !found;
        i += found ? n : 1;
    }
    free(a), free(b), free(kept);
    return chars;
}

struct simple_runs { uint32_t dolma_dup, dolma_all, nemo_dup; };

static inline struct simple_runs simple_runs(const char *text, const struct spans *w, size_t n)
{
    struct simple_runs r = { 0 };
    int over = 0;
    for (size_t i = 0; i + n <= w->n; i++) {
        bool before = false, behind = false;
        for (size_t j = 0; j + n <= w->n; j++) {
            const bool same = j != i && same_gram(text, w, i, j, n);
            before |= same && j < i, behind |= same && j > i;
        }
        r.dolma_all += gram_chars(text, w, i, n);
        r.dolma_dup += before || behind ? gram_chars(text, w, i, n) : 0;
        if (before) {
            const int more = (int)n - over;
            r.nemo_dup += gram_chars(text, w, i + (size_t)over, (size_t)more) + (uint32_t)(more < (int)n - 1 ? more : (int)n - 1);
            over = (int)n;
        }
        over -= over > 0;
    }
    return r;
}

/* ---- phrases ---- */

static inline int simple_phrases(const char *text, size_t n)
{
    static const struct { const char *what; int is; } rows[] = {
        { "lorem ipsum", PHRASE_LOREM }, { "javascript", PHRASE_SCRIPT }, { "terms of use", PHRASE_C4_POLICY | PHRASE_NEMO_POLICY },
        { "privacy policy", PHRASE_C4_POLICY | PHRASE_NEMO_POLICY }, { "cookie policy", PHRASE_C4_POLICY | PHRASE_NEMO_POLICY },
        { "uses cookies", PHRASE_C4_POLICY | PHRASE_NEMO_POLICY }, { "use of cookies", PHRASE_C4_POLICY | PHRASE_NEMO_POLICY },
        { "use cookies", PHRASE_C4_POLICY | PHRASE_NEMO_POLICY }, { "privacy overview", PHRASE_NEMO_POLICY }, { "privacy & cookies policy", PHRASE_NEMO_POLICY },
        { "privacy and cookies policy", PHRASE_NEMO_POLICY }, { "\342\204\252", PHRASE_KELVIN },
    };
    char *low = malloc(n + 1);
    int found = 0;
    if (!low)
        abort();
    for (size_t i = 0; i < n; i++)
        low[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        found |= memmem(low, n, rows[i].what, strlen(rows[i].what)) ? rows[i].is : 0;
    free(low);
    return found;
}

/* ---- all ---- */

static inline const char *differing_grams(const char *text, size_t n, const struct spans *english, const struct spans *spaced, const struct signals *s)
{
    const uint32_t top[] = { s->top_2_gram_chars, s->top_3_gram_chars, s->top_4_gram_chars };
    const uint32_t dolma_top[] = { s->dolma_top_2_gram_chars, s->dolma_top_3_gram_chars, s->dolma_top_4_gram_chars };
#define EACH(name) s->name##_5_gram_chars, s->name##_6_gram_chars, s->name##_7_gram_chars, s->name##_8_gram_chars, s->name##_9_gram_chars, s->name##_10_gram_chars
    const uint32_t dup[] = { EACH(dup) }, dolma_dup[] = { EACH(dolma_dup) }, dolma_all[] = { EACH(dolma_all) }, nemo_dup[] = { EACH(nemo_dup) };
#undef EACH
    for (size_t k = 2; k <= 4; k++)
        if (top[k - 2] != simple_top(text, english, k, (uint32_t)k - 1) || dolma_top[k - 2] != simple_top(text, spaced, k, 0))
            return "the most common n-gram";
    for (size_t k = 5; k <= 10; k++) {
        const struct simple_runs r = simple_runs(text, spaced, k);
        if (dup[k - 5] != simple_dup(text, n, english, k))
            return "n-grams that stood before (datatrove)";
        if (dolma_dup[k - 5] != r.dolma_dup || dolma_all[k - 5] != r.dolma_all)
            return "n-grams of which there is another (Dolma)";
        if (spaced->n >= k && nemo_dup[k - 5] != r.nemo_dup)
            return "n-grams that stood before (NeMo)";
    }
    return NULL;
}

static inline const char *differing_counts(const char *text, size_t n, const struct spans *english, const struct signals *s)
{
    struct signals o = { 0 };
    for (size_t i = 0; i < n; i++) {
        o.newlines += text[i] == '\n', o.hashes += text[i] == '#';
        o.nemo_digits += text[i] >= '0' && text[i] <= '9';
    }
    for (size_t i = 0; i < english->n; i++) {
        bool alpha = false, word = false;
        uint32_t cp, class;
        const char *p = text + english->at[i].at, *end = p + english->at[i].n;
        o.word_like_chars += simple_chars(p, english->at[i].n);
        while (p < end) {
            p += chars_at(p, end, &cp, &class);
            alpha |= (class & CHAR_ALPHA) != 0, word |= !(class & (CHAR_PUNCTUATION | CHAR_TERMINAL));
        }
        o.alpha_words += alpha, o.word_like += word;
        o.word_like_chars -= word ? 0 : simple_chars(text + english->at[i].at, english->at[i].n);
    }
    if (s->chars != simple_chars(text, n) || s->newlines != o.newlines || s->hashes != o.hashes || s->nemo_digits != o.nemo_digits)
        return "bytes";
    if (s->words != english->n || s->alpha_words != o.alpha_words || s->word_like != o.word_like || s->word_like_chars != o.word_like_chars)
        return "words that are counted";
    return NULL;
}

/* What is not the same both ways; NULL: everything is. */
static inline const char *simple_differs(struct simple *x, const char *text, size_t n)
{
    struct signals s;
    const char *what = NULL;
    if (words_of(x->words, WORDS_SPACED, text, n, &x->fast, NULL) || simple_words(x->words, false, text, n, &x->slow))
        abort();
    if (!same_spans(&x->fast, &x->slow))
        return "words between white space";
    if (phrases_in(text, n) != simple_phrases(text, n))
        return "phrases";
    struct spans english = { 0 };
    if (words_of(x->words, WORDS_ENGLISH, text, n, &english, NULL) || signals_of(x->maker, text, n, &english, &s, NULL))
        abort();
    what = differing_counts(text, n, &english, &s);
    if (!what && n < 4000)
        what = differing_grams(text, n, &english, &x->fast, &s);
    if (!what && (simple_words(x->words, true, text, n, &x->slow) || x->words->has_hidden != english.joined))
        what = "whether special cases are hidden";
    if (!what && !english.joined && !same_spans(&english, &x->slow))
        what = "English words";
    spans_release(&english);
    return what;
}

#endif
