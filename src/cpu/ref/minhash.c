/* minhash.c - XXH64 of each run, and the least value of each permutation, one after the other. */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "cpu/kernels.h"

static void xxh64(size_t n, const char *const *at, const uint32_t *len, uint64_t *hash)
{
    for (size_t i = 0; i < n; i++)
        hash[i] = XXH64(at[i], len[i], 0);
}

static void minhash(const struct minhash_perms *p, size_t n, const uint64_t *x, uint64_t *least)
{
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < p->n; j++) {
            const uint64_t v = (x[i] * p->a[j] + p->b[j]) % MERSENNE_61;
            if (v < least[j])
                least[j] = v;
        }
}

void cpu_ref_fill_minhash(struct cpu_kernels *k) { k->xxh64 = xxh64, k->minhash = minhash; }
