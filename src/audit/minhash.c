/* minhash.c - permutations, signatures, bands. */
#include "audit/minhash.h"
#include <assert.h>
#include "base/hash.h"
#include "base/mem.h"
#include "cpu/kernels.h"

static_assert(MINHASH_NONE == MERSENNE_61, "least values begin above all others");

struct minhash {
    struct minhash_opts o;
    struct minhash_perms perms;
    uint64_t ab[];      /* a, then b, each filled up with what does no harm */
};

/* ---- NumPy's draws: MT19937 (Matsumoto and Nishimura 1998), seeded by one number ---- */

#define MT_N 624
struct mt { uint32_t s[MT_N]; int i; };

static void mt_seed(struct mt *t, uint32_t seed)
{
    t->s[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++)
        t->s[i] = 1812433253u * (t->s[i - 1] ^ t->s[i - 1] >> 30) + i;
    t->i = MT_N;
}

static void mt_turn(struct mt *t)
{
    for (int i = 0; i < MT_N; i++) {
        const uint32_t y = (t->s[i] & 0x80000000u) | (t->s[(i + 1) % MT_N] & 0x7fffffffu);
        t->s[i] = t->s[(i + 397) % MT_N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    t->i = 0;
}

static uint32_t mt_next(struct mt *t)
{
    if (t->i == MT_N)
        mt_turn(t);
    uint32_t y = t->s[t->i++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* Evenly in [0, most], most >= 2^60: 64 bits at a time, cut to 61, until they fit (randint's masked rejection). */
static uint64_t mt_upto(struct mt *t, uint64_t most)
{
    for (;;) {
        const uint64_t high = mt_next(t), v = (high << 32 | mt_next(t)) & MERSENNE_61;
        if (v <= most)
            return v;
    }
}

/* ---- */

int minhash_new(struct minhash **out, const struct minhash_opts *o, struct err *err)
{
    *out = NULL;
    if (o->n_gram < 1 || o->n_gram > MINHASH_GRAM_MAX)
        return ERR(err, RANGE, "shingles of %d words, expected 1 to %d", o->n_gram, MINHASH_GRAM_MAX);
    if (o->n_band < 1 || o->n_row < 1 || o->n_row > MINHASH_VALUES_MAX / o->n_band)
        return ERR(err, RANGE, "%d bands of %d values, expected 1 or more of each and %d in all at most", o->n_band, o->n_row, MINHASH_VALUES_MAX);
    const int n = o->n_band * o->n_row, room = (n + MINHASH_LANES - 1) / MINHASH_LANES * MINHASH_LANES;
    struct minhash *m = mem_alloc_zero(sizeof *m + 2 * (size_t)room * sizeof *m->ab);
    if (!m)
        return ERR(err, NOMEM, "no memory for %d permutations", n);
    m->o = *o;
    uint64_t *a = m->ab, *b = m->ab + room;
    struct mt t;
    mt_seed(&t, o->seed);
    for (int j = 0; j < n; j++)
        a[j] = 1 + mt_upto(&t, MERSENNE_61 - 2);
    for (int j = 0; j < n; j++)
        b[j] = mt_upto(&t, MERSENNE_61 - 1);
    m->perms = (struct minhash_perms){ .n = room, .a = a, .b = b };
    *out = m;
    return 0;
}

void minhash_free(struct minhash *m) { mem_free(m); }
const struct minhash_opts *minhash_opts(const struct minhash *m) { return &m->o; }
int minhash_n_value(const struct minhash *m) { return m->o.n_band * m->o.n_row; }
size_t minhash_room(const struct minhash *m) { return (size_t)m->perms.n; }

void minhash_clear(const struct minhash *m, uint64_t *sig)
{
    for (int j = 0; j < m->perms.n; j++)
        sig[j] = MINHASH_NONE;
}

void minhash_add(const struct minhash *m, size_t n, const uint64_t *shingle, uint64_t *sig) { cpu_kernels()->minhash(&m->perms, n, shingle, sig); }

void minhash_bands(const struct minhash *m, const uint64_t *sig, uint64_t *band)
{
    for (int i = 0; i < m->o.n_band; i++) {
        const uint64_t h = hash64(sig + i * m->o.n_row, (size_t)m->o.n_row * sizeof *sig, 0);
        band[i] = sig[0] == MINHASH_NONE ? 0 : h ? h : 1;
    }
}

void minhash_bytes(const struct minhash *m, const uint64_t *sig, uint8_t *bytes)
{
    for (int j = 0; j < minhash_n_value(m); j++)
        bytes[j] = (uint8_t)sig[j];
}

double minhash_similarity(const struct minhash *m, const uint8_t *a, const uint8_t *b)
{
    const int n = minhash_n_value(m);
    int same = 0;
    for (int j = 0; j < n; j++)
        same += a[j] == b[j];
    /* Bytes of different values are equal once in 256. */
    const double s = ((double)same / n - 1.0 / 256) / (1 - 1.0 / 256);
    return s > 0 ? s : 0;
}
