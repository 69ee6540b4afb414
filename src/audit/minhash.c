/* minhash.c - permutations, shingles, signatures, bands. */
#include "audit/minhash.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
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

/* ---- of texts ---- */

#define BLOCK 512       /* shingles that are hashed before the permutations get them */

struct minhash_text {
    const struct minhash *m;
    struct words *words;
    struct buf simple, joined;
    struct spans span;
    uint64_t *set[2]; size_t n_set[2], cap_set[2];      /* shingles of two texts */
};

int minhash_text_new(struct minhash_text **out, const struct minhash *m, struct err *err)
{
    struct minhash_text *t = *out = mem_alloc_zero(sizeof *t);
    if (!t)
        return ERR(err, NOMEM, "no memory for signatures of texts");
    t->m = m;
    buf_init(&t->simple);
    buf_init(&t->joined);
    const int rc = words_new(&t->words, err);
    if (rc) {
        minhash_text_free(t);
        *out = NULL;
    }
    return rc;
}

void minhash_text_free(struct minhash_text *t)
{
    if (!t)
        return;
    words_free(t->words);
    buf_release(&t->simple);
    buf_release(&t->joined);
    spans_release(&t->span);
    mem_free(t->set[0]);
    mem_free(t->set[1]);
    mem_free(t);
}

static int simple_words(struct minhash_text *t, const char *text, size_t n, struct err *err)
{
    buf_clear(&t->simple);
    TRY(words_simplify(t->words, text, n, &t->simple, err));
    return words_of(t->words, WORDS_ENGLISH, t->simple.data, t->simple.len, &t->span, err);
}

/* The words with a space after each, as datatrove joins them, so that a shingle is one run of bytes: most of them stand so in the text. */
static int join(struct minhash_text *t, const char *simple, const struct spans *words, struct err *err)
{
    const struct span *w = words->at;
    size_t bytes = 0;
    for (size_t i = 0; i < words->n; i++)
        bytes += w[i].n + 1;
    buf_clear(&t->joined);
    TRY(buf_reserve(&t->joined, bytes, err));
    char *p = t->joined.data;
    for (size_t i = 0, end; i < words->n; i = end) {
        for (end = i + 1; end < words->n && w[end].at == w[end - 1].at + w[end - 1].n + 1 && simple[w[end].at - 1] == ' '; end++)
            ;
        const size_t n = w[end - 1].at + w[end - 1].n - w[i].at;
        memcpy(p, simple + w[i].at, n);
        p[n] = ' ';
        p += n + 1;
    }
    return 0;
}

typedef int (*take_fn)(struct minhash_text *t, size_t n, const uint64_t *x, void *ctx, struct err *err);

/* take() gets the hashes of the shingles, a block at a time. */
static int each_shingle(struct minhash_text *t, const char *simple, const struct spans *words, take_fn take, void *ctx, struct err *err)
{
    const size_t g = (size_t)t->m->o.n_gram;
    const struct cpu_kernels *k = cpu_kernels();
    const char *at[BLOCK];
    uint32_t len[BLOCK];
    uint64_t x[BLOCK];
    size_t begin = 0, end = 0, n = 0;
    TRY(join(t, simple, words, err));
    for (size_t i = 0; i < words->n; i++, end++) {
        end += words->at[i].n;
        if (i + 1 < g)
            continue;
        at[n] = t->joined.data + begin, len[n] = (uint32_t)(end - begin);
        begin += words->at[i + 1 - g].n + 1;
        if (++n == BLOCK) {
            k->xxh64(n, at, len, x);
            TRY(take(t, n, x, ctx, err));
            n = 0;
        }
    }
    k->xxh64(n, at, len, x);
    return n ? take(t, n, x, ctx, err) : 0;
}

static int add_shingles(struct minhash_text *t, size_t n, const uint64_t *x, void *sig, struct err *err)
{
    (void)err;
    minhash_add(t->m, n, x, sig);
    return 0;
}

int minhash_words(struct minhash_text *t, const char *simple, const struct spans *words, uint64_t *sig, struct err *err)
{
    minhash_clear(t->m, sig);
    return each_shingle(t, simple, words, add_shingles, sig, err);
}

int minhash_text(struct minhash_text *t, const char *text, size_t n, uint64_t *sig, struct err *err)
{
    TRY(simple_words(t, text, n, err));
    return minhash_words(t, t->simple.data, &t->span, sig, err);
}

static int keep_shingles(struct minhash_text *t, size_t n, const uint64_t *x, void *ctx, struct err *err)
{
    const int i = *(const int *)ctx;
    if (n > t->cap_set[i] - t->n_set[i]) {
        const size_t cap = 2 * t->cap_set[i] + BLOCK;
        uint64_t *more = mem_realloc_array(t->set[i], cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu shingles of a text", cap);
        t->set[i] = more, t->cap_set[i] = cap;
    }
    memcpy(t->set[i] + t->n_set[i], x, n * sizeof *x);
    t->n_set[i] += n;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Shingles of a text as a set, ascending. */
static int shingle_set(struct minhash_text *t, int i, const char *text, size_t n, struct err *err)
{
    TRY(simple_words(t, text, n, err));
    t->n_set[i] = 0;
    TRY(each_shingle(t, t->simple.data, &t->span, keep_shingles, &i, err));
    uint64_t *s = t->set[i];
    size_t kept = 0;
    if (t->n_set[i])
        qsort(s, t->n_set[i], sizeof *s, by_value);
    for (size_t k = 0; k < t->n_set[i]; k++)
        if (!kept || s[kept - 1] != s[k])
            s[kept++] = s[k];
    t->n_set[i] = kept;
    return 0;
}

int minhash_jaccard(struct minhash_text *t, const char *a, size_t n_a, const char *b, size_t n_b, double *out, struct err *err)
{
    TRY(shingle_set(t, 0, a, n_a, err));
    TRY(shingle_set(t, 1, b, n_b, err));
    size_t both = 0;
    for (size_t i = 0, k = 0; i < t->n_set[0] && k < t->n_set[1];) {
        const uint64_t x = t->set[0][i], y = t->set[1][k];
        both += x == y, i += x <= y, k += y <= x;
    }
    const size_t either = t->n_set[0] + t->n_set[1] - both;
    *out = either ? (double)both / (double)either : 0;
    return 0;
}

/* ---- what is kept of one ---- */

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
