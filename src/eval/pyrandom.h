/* pyrandom.h - random numbers as CPython's random.Random(seed) draws them, so that few-shot examples are those of other programs.
 *
 * MT19937 (Matsumoto and Nishimura 1998), seeded by an array of the seed's 32-bit words; the methods are those of CPython 3.11. */
#ifndef EVAL_PYRANDOM_H
#define EVAL_PYRANDOM_H
#include <stdbool.h>
#include <stdint.h>

struct pyrandom { uint32_t state[624]; int at; };
void     pyrandom_seed(struct pyrandom *r, uint64_t seed);
uint32_t pyrandom_u32(struct pyrandom *r);
double   pyrandom_random(struct pyrandom *r);                   /* [0, 1), 53 bits */
uint64_t pyrandom_below(struct pyrandom *r, uint64_t n);        /* randrange(n), n > 0 */
/* sample(range(n), k): k <= n indices in out; room for n entries is needed in pool. */
void     pyrandom_sample(struct pyrandom *r, int64_t n, int k, int64_t *out, int64_t *pool);
void     pyrandom_shuffle(struct pyrandom *r, int64_t *v, int64_t n);
#endif
