/* words.h - the words and sentences of a text, as the programs that we are compared with cut them, and datatrove's simplified text.
 *
 *   WORDS_ENGLISH  datatrove 0.10's for English: the tokens of spaCy 3.8's blank English tokenizer (prefixes, suffixes, infixes, special
 *                  cases and contractions, URLs), without those that are white space
 *   WORDS_SPACED   Python's str.split(): Dolma's words, and those that most of NeMo Curator's filters count
 *   WORDS_NEMO     NeMo Curator's get_words(): cut at U+0020 alone, once ASCII punctuation is gone.  A word is lower case without
 *                  that punctuation (words_nemo_next()), its span the part of the text that it is made of; it may have no characters
 *
 * A word is a span of bytes; words of a text are in its order and never overlap.  Any UTF-8 will do; bytes that are none are
 * characters of no class.  tests/golden/words has what the originals give; known differences, all in what they get wrong:
 *   - "IS_ALPHA" and other names of spaCy's symbols, which spaCy fails on now and then (datatrove then deletes the first of them), are words here;
 *   - texts of more than 2^30 characters, which spaCy refuses, are cut like any other. */
#ifndef AUDIT_WORDS_H
#define AUDIT_WORDS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct span { uint32_t at, n; };                             /* bytes [at, at + n) of a text */
/* Kept by the caller from text to text: it grows to the longest and then takes no memory any more. */
struct spans { struct span *at; size_t n, cap; bool joined; };
void spans_release(struct spans *s);
int spans_reserve(struct spans *s, size_t n, struct err *err);
int spans_add(struct spans *s, uint32_t at, uint32_t n, struct err *err);

enum words_dialect { WORDS_ENGLISH, WORDS_SPACED, WORDS_NEMO };

struct words;                                                /* what one thread needs */
int words_new(struct words **out, struct err *err);
void words_free(struct words *w);

/* out: the words of the text, n < 4 GiB; what was in it is gone.  out->joined: WORDS_ENGLISH has special cases that were found among the words
 * of the whole text, so that its lines by themselves may have others.  ERR_NOMEM. */
int words_of(struct words *w, enum words_dialect dialect, const char *text, size_t n, struct spans *out, struct err *err);

/* datatrove's split_into_sentences() (spaCy's sentencizer): parts that follow each other and are the whole text, at least one.
 * words: WORDS_ENGLISH of the same text. */
int words_sentences(const char *text, size_t n, const struct spans *words, struct spans *out, struct err *err);
/* The same number for bytes [from, to) of a text, cut at white space, with the words there. */
size_t words_n_sentences(const char *text, uint32_t from, uint32_t to, const struct span *words, size_t n_words);

/* datatrove's simplify_text(): lower case, numbers "0", punctuation and white space one space, NFD without nonspacing marks. */
int words_simplify(struct words *w, const char *text, size_t n, struct buf *out, struct err *err);

/* The next character of a WORDS_NEMO word, which ends at `end` of a text of n bytes: its lower case as bytes, their number, 0 at the word's
 * end.  *at: the place in the text, at first where the word begins. */
int words_nemo_next(const char *text, size_t n, size_t end, size_t *at, char out[8]);

#endif
