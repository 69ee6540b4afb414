/* grams.h - the words of a text as numbers, and numbers for what stands in a row: for those who count (poison.h, bayes.h, groups.h).
 *
 * A word is a run of ASCII letters, digits, apostrophes within it, and bytes of other characters; ASCII capitals are folded.  A run of
 * other visible signs is a word too, so that a trigger of signs is seen, but not one of . , ; : ! ? ' " ( ) - alone.  A word's number
 * is a mix of its folded bytes, the same everywhere; two words with one number do not happen at the sizes that are read here. */
#ifndef AUDIT_GRAMS_H
#define AUDIT_GRAMS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Word i is bytes at[i] .. end[i]-1 of the text. */
struct grams { uint64_t *word; uint32_t *at, *end; size_t n, cap; };
/* Replaces what g holds; g starts as { 0 }.  Texts of up to 4 GiB.  One thread each. */
int grams_of(struct grams *g, const char *text, size_t n, struct err *err);
void grams_release(struct grams *g);

/* Of n words in a row, never 0. */
uint64_t gram_hash(const uint64_t *word, int n);

/* From such numbers to 0, 1, 2 ... in the order in which they came.  Starts as { 0 }. */
struct gram_map { uint64_t *key; uint32_t *value; size_t n, cap; };
#define GRAM_NONE UINT32_MAX
uint32_t gram_map_find(const struct gram_map *m, uint64_t key);                   /* GRAM_NONE when it is not there */
int gram_map_add(struct gram_map *m, uint64_t key, uint32_t *value, struct err *err);  /* 1 when it is new, else 0 */
void gram_map_release(struct gram_map *m);

/* Words that rows may begin with, so that most of a text's need not be looked for: never no where it is yes.  Starts as { 0 }. */
struct gram_filter { uint64_t bit[1024]; };
static inline void gram_filter_add(struct gram_filter *f, uint64_t word) { f->bit[word >> 6 & 1023] |= (uint64_t)1 << (word & 63); }
static inline bool gram_filter_has(const struct gram_filter *f, uint64_t word) { return f->bit[word >> 6 & 1023] >> (word & 63) & 1; }

/* Room for n + 1 of what *p holds, as powers of two. */
int grams_room(void **p, size_t n, size_t size, struct err *err);

#endif
