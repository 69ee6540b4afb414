/* minhash.h - a signature of a text by which near duplicates are found: the least values of many permutations of its shingles.
 *
 * Equal to the bit with datatrove 0.10.1 (pipeline/dedup/minhash.py; Broder 1997): a shingle is the XXH64 of n_gram consecutive words joined
 * by a space, permutation j makes ((a_j * x + b_j) mod 2^64) mod (2^61 - 1) of it (cpu/kernels.h), and a_j in [1, 2^61 - 2], b_j in
 * [0, 2^61 - 2] are what NumPy's RandomState(seed) draws.  Value j of two texts is equal with a probability of s, the share of shingles
 * that both have of those that one has (Jaccard).  n_row values in succession are a band; two texts are candidates when a band is equal,
 * which is so with 1 - (1 - s^n_row)^n_band.
 *
 * A text of fewer than n_gram words has no shingle and no signature, and is nobody's near duplicate, as in datatrove. */
#ifndef AUDIT_MINHASH_H
#define AUDIT_MINHASH_H
#include <stddef.h>
#include <stdint.h>
#include "audit/words.h"

struct minhash_opts { int n_gram, n_band, n_row; uint32_t seed; };
#define MINHASH_DATATROVE ((struct minhash_opts){ .n_gram = 5, .n_band = 14, .n_row = 8, .seed = 1 })
#define MINHASH_GRAM_MAX 64
#define MINHASH_VALUES_MAX 1024     /* n_band * n_row */
#define MINHASH_NONE (((uint64_t)1 << 61) - 1)      /* a value of no shingle: above all others */

/* Read-only once made; any thread may use it. */
struct minhash;
/* ERR_RANGE for numbers outside the limits. */
int minhash_new(struct minhash **out, const struct minhash_opts *o, struct err *err);
void minhash_free(struct minhash *m);
const struct minhash_opts *minhash_opts(const struct minhash *m);
int minhash_n_value(const struct minhash *m);       /* n_band * n_row */
size_t minhash_room(const struct minhash *m);       /* values that an array for a signature must have room for: some more */

/* A signature: of no shingle, then of those added, in any order. */
void minhash_clear(const struct minhash *m, uint64_t *sig);
void minhash_add(const struct minhash *m, size_t n, const uint64_t *shingle, uint64_t *sig);
/* ---- of texts ---- */

/* What one thread needs; it grows with the longest text and then takes no memory any more. */
struct minhash_text;
int minhash_text_new(struct minhash_text **out, const struct minhash *m, struct err *err);
void minhash_text_free(struct minhash_text *t);
/* The signature of a text (simplified, words of datatrove's English; words.h).  n < 4 GiB. */
int minhash_text(struct minhash_text *t, const char *text, size_t n, uint64_t *sig, struct err *err);
/* The same where words_simplify() and words_of(WORDS_ENGLISH) of what that gave are known. */
int minhash_words(struct minhash_text *t, const char *simple, const struct spans *words, uint64_t *sig, struct err *err);
/* The shingles of two texts that both have of those that one has: 0 to 1; 0 where there are none. */
int minhash_jaccard(struct minhash_text *t, const char *a, size_t n_a, const char *b, size_t n_b, double *out, struct err *err);

/* ---- what is kept of one ---- */

/* Hashes of the bands (XXH3 of a band's values, little-endian), never 0; all 0 for a signature of no shingle. */
void minhash_bands(const struct minhash *m, const uint64_t *sig, uint64_t *band);
/* The lowest byte of each value: an eighth of the memory, from which similarity is told nearly as well (b-bit minwise hashing, Li and Koenig 2010). */
void minhash_bytes(const struct minhash *m, const uint64_t *sig, uint8_t *bytes);
/* Estimated Jaccard similarity, 0 to 1; unbiased but for the cut at 0, with a variance of s(1 - s)/n_value and a little. */
double minhash_similarity(const struct minhash *m, const uint8_t *a, const uint8_t *b);

#endif
