#include "eval/pyrandom.h"
#include <math.h>

#define N 624
#define M 397

static void seed_word(struct pyrandom *r, uint32_t s)
{
    r->state[0] = s;
    for (int i = 1; i < N; i++)
        r->state[i] = 1812433253u * (r->state[i - 1] ^ (r->state[i - 1] >> 30)) + (uint32_t)i;
    r->at = N;
}

void pyrandom_seed(struct pyrandom *r, uint64_t seed)
{
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    const int n_key = key[1] ? 2 : 1;
    uint32_t *s = r->state;
    int i = 1, j = 0;
    seed_word(r, 19650218u);
    for (int k = N; k; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525u)) + key[j] + (uint32_t)j;
        if (++i == N)
            s[0] = s[N - 1], i = 1;
        j = (j + 1) % n_key;
    }
    for (int k = N - 1; k; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941u)) - (uint32_t)i;
        if (++i == N)
            s[0] = s[N - 1], i = 1;
    }
    s[0] = 0x80000000u;
}

uint32_t pyrandom_u32(struct pyrandom *r)
{
    uint32_t *s = r->state;
    if (r->at == N) {
        for (int i = 0; i < N; i++) {
            const uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % N] & 0x7fffffffu);
            s[i] = s[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        r->at = 0;
    }
    uint32_t y = s[r->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double pyrandom_random(struct pyrandom *r)
{
    const uint32_t a = pyrandom_u32(r) >> 5, b = pyrandom_u32(r) >> 6;
    return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

static uint64_t bits(struct pyrandom *r, int k)
{
    if (k <= 32)
        return pyrandom_u32(r) >> (32 - k);
    const uint64_t low = pyrandom_u32(r);
    return low | (uint64_t)(pyrandom_u32(r) >> (64 - k)) << 32;
}

uint64_t pyrandom_below(struct pyrandom *r, uint64_t n)
{
    const int k = 64 - __builtin_clzll(n);
    uint64_t x;
    while ((x = bits(r, k)) >= n)
        ;
    return x;
}

/* A few of many are drawn until they differ; else they are taken out of a list that shrinks.  Where the one becomes the other is CPython's. */
void pyrandom_sample(struct pyrandom *r, int64_t n, int k, int64_t *out, int64_t *pool)
{
    int64_t set_size = 21;
    if (k > 5)
        set_size += (int64_t)pow(4, ceil(log((double)k * 3) / log(4)));
    if (n > set_size) {
        for (int i = 0; i < k; i++) {
            int64_t j;
            bool again;
            do {
                j = (int64_t)pyrandom_below(r, (uint64_t)n);
                again = false;
                for (int h = 0; h < i; h++)
                    again |= out[h] == j;
            } while (again);
            out[i] = j;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++)
        pool[i] = i;
    for (int i = 0; i < k; i++) {
        const int64_t j = (int64_t)pyrandom_below(r, (uint64_t)(n - i));
        out[i] = pool[j];
        pool[j] = pool[n - i - 1];
    }
}

void pyrandom_shuffle(struct pyrandom *r, int64_t *v, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)pyrandom_below(r, (uint64_t)i + 1), x = v[i];
        v[i] = v[j], v[j] = x;
    }
}
