#include "base/rng.h"
#include <math.h>
#include <string.h>
#include "base/hash.h"

struct rng_u32x4 rng_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c[4] = { (uint32_t)counter_lo, (uint32_t)(counter_lo >> 32), (uint32_t)counter_hi, (uint32_t)(counter_hi >> 32) };
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53 * c[0], p1 = (uint64_t)0xCD9E8D57 * c[2];
        const uint32_t n[4] = { (uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0 };
        memcpy(c, n, sizeof c);
        k0 += 0x9E3779B9, k1 += 0xBB67AE85;
    }
    struct rng_u32x4 out;
    memcpy(out.v, c, sizeof c);
    return out;
}

uint64_t rng_key(uint64_t seed, const char *name) { return hash64(name, strlen(name), seed); }

uint64_t rng_u64(uint64_t key, uint64_t i)
{
    const struct rng_u32x4 r = rng_philox(key, 0, i);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

void rng_fill(uint64_t key, uint64_t counter_hi, uint64_t first, uint64_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const struct rng_u32x4 r = rng_philox(key, counter_hi, first + (uint64_t)i);
        out[2 * i] = (uint64_t)r.v[1] << 32 | r.v[0], out[2 * i + 1] = (uint64_t)r.v[3] << 32 | r.v[2];
    }
}

double rng_uniform(uint64_t key, uint64_t i) { return (double)(rng_u64(key, i) >> 11) * 0x1p-53; }

__extension__ typedef unsigned __int128 wide;

uint64_t rng_below(uint64_t key, uint64_t i, uint64_t n)
{
    const uint64_t reject = -n % n;        /* low halves below this would favour some results */
    for (uint64_t again = 0;; again++) {
        const struct rng_u32x4 r = rng_philox(key, again, i);
        const wide p = (wide)((uint64_t)r.v[1] << 32 | r.v[0]) * n;
        if ((uint64_t)p >= reject)
            return (uint64_t)(p >> 64);
    }
}

void rng_normal_pair(uint64_t key, uint64_t i, double z[2])
{
    const struct rng_u32x4 r = rng_philox(key, 0, i);
    const double u = ((double)(((uint64_t)r.v[1] << 32 | r.v[0]) >> 11) + 1) * 0x1p-53;      /* (0, 1] */
    const double v = (double)(((uint64_t)r.v[3] << 32 | r.v[2]) >> 11) * 0x1p-53;
    const double length = sqrt(-2 * log(u)), angle = 6.283185307179586477 * v;
    z[0] = length * cos(angle), z[1] = length * sin(angle);
}

double rng_normal(uint64_t key, uint64_t i)
{
    double z[2];
    rng_normal_pair(key, i, z);
    return z[0];
}

uint64_t rng_permute(uint64_t key, uint64_t i, uint64_t n)
{
    if (n < 2)
        return 0;
    int half = 1;                           /* bits of half a block; 2^(2 half) >= n */
    while (half < 32 && (uint64_t)1 << (2 * half) < n)
        half++;
    const uint64_t mask = half == 32 ? 0xffffffffu : ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < 6; round++) {
            const uint64_t f = rng_philox(key, round + 1, right).v[0] & mask, next = left ^ f;
            left = right, right = next;
        }
        i = left << half | right;
    } while (i >= n);                       /* walk the cycle until it is back inside; 4 steps on average at most */
    return i;
}
