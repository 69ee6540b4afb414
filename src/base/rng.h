/* rng.h - random numbers as a function of a key and a counter, so that any thread, rank or device makes its own piece.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; check values from Random123).
 * There is no state: element i of the stream with key k is always the same number. */
#ifndef BASE_RNG_H
#define BASE_RNG_H
#include <stdint.h>

struct rng_u32x4 { uint32_t v[4]; };
struct rng_u32x4 rng_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo);

/* Key of a named stream: hash of the name under the run's seed (e.g. the name of a weight). */
uint64_t rng_key(uint64_t seed, const char *name);

uint64_t rng_u64(uint64_t key, uint64_t i);
/* out[2 i], out[2 i + 1]: the two halves of rng_philox(key, counter_hi, first + i), for i < n; several times as fast as n calls. */
void rng_fill(uint64_t key, uint64_t counter_hi, uint64_t first, uint64_t *out, int64_t n);
double rng_uniform(uint64_t key, uint64_t i);            /* [0, 1), 53 bits */
uint64_t rng_below(uint64_t key, uint64_t i, uint64_t n);/* 0 .. n-1, exact by multiply-and-reject, n > 0 */
double rng_normal(uint64_t key, uint64_t i);             /* mean 0, variance 1, Box-Muller */
void rng_normal_pair(uint64_t key, uint64_t i, double z[2]);      /* two of them at once; the first is rng_normal(key, i) */

/* Permutation of 0 .. n-1 as a function: a Feistel network with cycle walking; image of i under the key. */
uint64_t rng_permute(uint64_t key, uint64_t i, uint64_t n);
#endif
