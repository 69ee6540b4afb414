/* language.h - the language of a text, by Compact Language Detector 2 (libcld2): a naive Bayes classifier over groups of four letters for
 * alphabets, over characters for Chinese, Japanese and Korean, by script alone where a script has one language; 83 languages.
 *
 * Looked at are the text's first 512 bytes and as many from its middle on: a page tells no more.  Where half of both is English, surely and
 * nearly all of it, that is the answer.  Any number of threads. */
#ifndef DATA_LANGUAGE_H
#define DATA_LANGUAGE_H
#include <stddef.h>
#include <stdint.h>

#define LANGUAGE_LOOK 1024
/* code: ISO 639-1 where there is one ("en", "zh-Hant", "un" for unknown); share: percent of the letters that are of it; sure: the
 * classifier calls the whole reliable, which texts of a few words are seldom. */
struct language { char code[8]; uint8_t share, sure, zero[6]; };

/* room: LANGUAGE_LOOK + LANGUAGE_PAD bytes for the call. */
#define LANGUAGE_PAD 64
struct language language_of(const char *text, size_t n, char *room);

#endif
