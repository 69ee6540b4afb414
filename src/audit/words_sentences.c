/* words_sentences.c - see words.h: datatrove's sentences, by words. */
#include "audit/words_impl.h"

/* Whether a run of white space between two words, or before or after all, has a token of its own. */
static bool has_space_token(const char *text, uint32_t at, uint32_t next, bool after_word)
{
    return next > at + (after_word && at < next && text[at] == ' ');
}

static bool ends_sentence(const char *s, uint32_t n)
{
    uint32_t cp, class;
    const uint32_t len = (uint32_t)chars_at(s, s + n, &cp, &class);
    return (class & CHAR_SENTENCE_END) && len == n;
}

static bool is_punctuation(const char *s, const char *end)
{
    uint32_t cp, class = CHAR_P;
    while (s < end && (class & CHAR_P))
        s += chars_at(s, end, &cp, &class);
    return class & CHAR_P;
}

/* Of bytes [from, to) with n_words words there: how many; out: each, unless NULL. */
static int each_sentence(const char *text, uint32_t from, uint32_t to, const struct span *word, size_t n_words, struct spans *out, size_t *count, struct err *err)
{
    bool seen = false;
    uint32_t at = from, begin = from;
    *count = 1;
    for (size_t i = 0; i <= n_words; i++) {
        while (!seen && i < n_words && !ends_sentence(text + word[i].at, word[i].n))
            i++;                                    /* nothing begins before a sign that ends */
        at = i ? word[i - 1].at + word[i - 1].n : from;
        const uint32_t next = i < n_words ? word[i].at : to;
        const char *s = text + next;
        bool new = seen && has_space_token(text, at, next, i > 0);
        seen = seen && !new;
        if (i < n_words) {
            const bool end = ends_sentence(s, word[i].n), plain = !end && !is_punctuation(s, s + word[i].n);
            new = new || (seen && plain);
            seen = end || (seen && !plain);
        }
        if (new) {
            ++*count;
            if (out)
                TRY(spans_add(out, begin, at - begin, err));
            begin = at;
        }
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
