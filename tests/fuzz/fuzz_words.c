/* fuzz_words.c - any bytes as a text: words, phrases and signals are those of the definitions (words_simple.h); sentences are the whole text; simplified
 * text and the words of other dialects are made without reading beyond it. */
#include <stdint.h>
#include <stdio.h>
#include "../words_simple.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct simple simple;
static struct words *words;
static struct spans spans, sentences;
static struct buf simplified;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!words) {
        buf_init(&simplified);
        if (simple_new(&simple) || words_new(&words, NULL))
            abort();
    }
    if (size > 2000)
        return 0;
    char *text = malloc(size ? size : 1);      /* exactly as long: what is read behind it is seen */
    if (!text)
        abort();
    memcpy(text, data, size);
    const char *what = simple_differs(&simple, text, size);
    if (what) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
    size_t at = 0;
    if (words_of(words, WORDS_ENGLISH, text, size, &spans, NULL) || words_sentences(text, size, &spans, &sentences, NULL))
        abort();
    for (size_t i = 0; i < sentences.n; at += sentences.at[i++].n)
        if (sentences.at[i].at != at)
            abort();
    if (at != size || words_n_sentences(text, 0, (uint32_t)size, spans.at, spans.n) != sentences.n)
        abort();
    if (words_of(words, WORDS_NEMO, text, size, &spans, NULL) || words_simplify(words, text, size, &simplified, NULL))
        abort();
    free(text);
    return 0;
}
