/* panel.c - products with packed weights at avx2: a panel in two halves of 8 lanes, by up to 4 rows of a.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds pairs to 16 bits, with saturation.  Weights of 4, 5 and 6 bits stay
 * unsigned: 8, 4 and 2 such sums fit before they are widened, and the integer sum begins at their offset times the block's
 * sum.  Bytes and tables are signed: |w| times x with the sign of w, which never saturates. */
#include "cpu/avx2/vec.h"
#include "cpu/simd/panel.h"

#define MR 4
#define SIZES(X) X(1) X(2) X(3) X(4)

/* Where the results of a tile go: the first `cols` of 16. */
struct tile_c { const float *add; ptrdiff_t ld_add; const float *bias; float *c; ptrdiff_t ldc; int cols; };

INLINE bool is_signed(enum panel_type t) { return t == PANEL_Q8 || t == PANEL_IQ4 || t == PANEL_MX4; }
/* Products of 4 k that fit 16 bits together: 127 * 2 * the largest weight each. */
INLINE int fit(enum panel_type t) { return t == PANEL_Q8 || t == PANEL_IQ4 ? 1 : t == PANEL_Q6_K ? 2 : t == PANEL_Q8_M || t == PANEL_Q5_K ? 4 : 8; }
/* -128 over the offset of the weights, as a shift. */
INLINE int offset_shift(enum panel_type t) { return t == PANEL_Q6_K ? 2 : 4; }

INLINE __m256i load(const uint8_t *p) { return _mm256_load_si256((const void *)p); }
INLINE __m256i bytes(int x) { return _mm256_set1_epi8((char)x); }
INLINE __m256i int_at(const uint8_t *p) { return _mm256_set1_epi32(*(const int *)(const void *)p); }
INLINE __m256 float_at(const uint8_t *p) { return _mm256_set1_ps(*(const float *)(const void *)p); }

/* Step i of 32 k, 8 lanes: signed bytes or small unsigned ones.  q, high: the block's bits of this half. */
INLINE __m256i weights(const enum panel_type t, const uint8_t *q, const uint8_t *high, int i)
{
    if (t == PANEL_Q8)
        return _mm256_xor_si256(load(q + 64 * i), bytes(0x80));
    if (t == PANEL_Q8_M)
        return load(q + 64 * i);
    const __m256i v = load(q + 64 * (i % 4)), w = _mm256_and_si256(i < 4 ? v : _mm256_srli_epi16(v, 4), bytes(15));
    if (t == PANEL_IQ4 || t == PANEL_MX4)
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)tables[t == PANEL_MX4])), w);
    if (t == PANEL_Q5_K) {
        const __m256i h = load(high);
        return _mm256_or_si256(w, _mm256_and_si256(i < 4 ? _mm256_slli_epi32(h, 4 - i % 4) : _mm256_srli_epi32(h, i % 4), bytes(0x10)));
    }
    if (t == PANEL_Q6_K) {
        const __m256i h = load(high + i / 4 * 64);
        return _mm256_or_si256(w, _mm256_and_si256(i % 4 < 3 ? _mm256_slli_epi32(h, 4 - 2 * (i % 4)) : _mm256_srli_epi32(h, 2), bytes(0x30)));
    }
    return w;
}

/* dot[m] += steps i0 .. i1-1 of n rows. */
INLINE void dots(const enum panel_type t, const int n, __m256i dot[MR], const uint8_t *q, const uint8_t *high, int i0, int i1, const uint8_t *const *a, size_t at)
{
    __m256i pairs[MR];
    UNROLL for (int i = i0; i < i1; i++) {
        const __m256i w = weights(t, q, high, i), size = is_signed(t) ? _mm256_abs_epi8(w) : w;
        UNROLL for (int m = 0; m < n; m++) {
            const __m256i x = int_at(a[m] + at + i * 4), p = _mm256_maddubs_epi16(size, is_signed(t) ? _mm256_sign_epi8(x, w) : x);
            pairs[m] = (i - i0) % fit(t) ? _mm256_add_epi16(pairs[m], p) : p;
            if ((i - i0) % fit(t) == fit(t) - 1 || i == i1 - 1)
                dot[m] = _mm256_add_epi32(dot[m], _mm256_madd_epi16(pairs[m], _mm256_set1_epi16(1)));
        }
    }
}

INLINE __m256i start_of(const enum panel_type t, __m256i start)
{
    return has_min(t) || is_signed(t) ? _mm256_setzero_si256() : _mm256_srai_epi32(start, offset_shift(t));
}

INLINE void finish(const struct tile_c *t, int m, int half, __m256 sum)
{
    const int n = t->cols - half * VEC;
    if (n <= 0)
        return;
    __m256 start = vec_zero();
    if (t->add)
        start = n >= VEC ? vec_load(t->add + m * t->ld_add + half * VEC) : vec_load_part(t->add + m * t->ld_add + half * VEC, n);
    if (t->bias)
        start = vec_add(start, n >= VEC ? vec_load(t->bias + half * VEC) : vec_load_part(t->bias + half * VEC, n));
    float *c = t->c + m * t->ldc + half * VEC;
    n >= VEC ? vec_store(c, vec_add(start, sum)) : vec_store_part(c, vec_add(start, sum), n);
}

INLINE __m256 halves(const uint8_t *p) { return _mm256_cvtph_ps(_mm_load_si128((const void *)p)); }

INLINE __m256 scale_64(const enum panel_type t, const uint8_t *p, int h, int half)
{
    if (t == PANEL_Q4_G)
        return _mm256_load_ps((const float *)(const void *)p + h * 16 + half * VEC);
    if (t == PANEL_MX4)
        return vec_load_bf16((const bf16 *)(const void *)p + h * 16 + half * VEC);
    return halves(p + h * 32 + half * 16);
}

INLINE void tile_64(const enum panel_type t, const int mr, int n_record, const uint8_t *p, const uint8_t *const *a, const struct tile_c *c)
{
    const int record = t == PANEL_Q8 ? 1088 : t == PANEL_Q8_M ? 1152 : t == PANEL_Q4_M ? 640 : t == PANEL_Q4_G ? 768 : 576;
    const int head = t == PANEL_Q8_M || t == PANEL_Q4_M ? 128 : t == PANEL_Q4_G ? 256 : 64, block = (record - head) / 2;
    __m256 sum[2][MR];
    for (int m = 0; m < mr; m++)
        sum[0][m] = sum[1][m] = vec_zero();
    size_t at = 0;
    for (int r = 0; r < n_record; r++, p += record)
        for (int h = 0; h < 2; h++, at += A8_BLOCK_BYTES)
            UNROLL for (int half = 0; half < 2; half++) {
                __m256i dot[MR];
                UNROLL for (int m = 0; m < mr; m++)
                    dot[m] = start_of(t, int_at(a[m] + at + A8_START));
                dots(t, mr, dot, p + head + h * block + half * 32, NULL, 0, 8, a, at);
                const __m256 d = scale_64(t, p, h, half);
                UNROLL for (int m = 0; m < mr; m++)
                    sum[half][m] = vec_fma(_mm256_cvtepi32_ps(dot[m]), vec_mul(d, float_at(a[m] + at + A8_D)), sum[half][m]);
                if (has_min(t)) {
                    const __m256 min = scale_64(t, p + head / 2, h, half);
                    UNROLL for (int m = 0; m < mr; m++)
                        sum[half][m] = vec_fma(min, float_at(a[m] + at + A8_S), sum[half][m]);
                }
            }
    for (int m = 0; m < mr; m++)
        for (int half = 0; half < 2; half++)
            finish(c, m, half, sum[half][m]);
}

/* Scales and minimums of a record of 256, 16 of each, or 8 for each 32. */
struct scales { int32_t scale[16][PANEL]; float min[16][PANEL]; };

INLINE void read_scales(const enum panel_type t, const uint8_t *p, struct scales *s)
{
    for (int half = 0; half < 2; half++) {
        if (by_16(t)) {
            for (int i = 0; i < 16; i++) {
                const __m128i v = _mm_loadl_epi64((const void *)(p + i * 16 + half * VEC));
                const __m256i w = t == PANEL_Q2_K ? _mm256_cvtepu8_epi32(v) : _mm256_cvtepi8_epi32(v);
                _mm256_storeu_si256((void *)(s->scale[i] + half * VEC), t == PANEL_Q2_K ? _mm256_and_si256(w, _mm256_set1_epi32(15)) : w);
                if (t == PANEL_Q2_K)
                    vec_store(s->min[i] + half * VEC, _mm256_cvtepi32_ps(_mm256_srli_epi32(w, 4)));
            }
            continue;
        }
        const __m256i a = load(p + half * 32), b = load(p + 64 + half * 32), c = load(p + 128 + half * 32), six = bytes(63), high = bytes(0x30), low = bytes(15);
        const __m256i scale[2] = { _mm256_and_si256(a, six), _mm256_or_si256(_mm256_and_si256(c, low), _mm256_and_si256(_mm256_srli_epi32(a, 2), high)) };
        const __m256i min[2] = { _mm256_and_si256(b, six), _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(c, 4), low), _mm256_and_si256(_mm256_srli_epi32(b, 2), high)) };
        UNROLL for (int i = 0; i < 8; i++) {
            _mm256_storeu_si256((void *)(s->scale[i] + half * VEC), _mm256_and_si256(_mm256_srli_epi32(scale[i / 4], 8 * (i % 4)), _mm256_set1_epi32(255)));
            vec_store(s->min[i] + half * VEC, _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(min[i / 4], 8 * (i % 4)), _mm256_set1_epi32(255))));
        }
    }
}

/* Sum over the record of minimum times the activations' sum, for one row and half. */
INLINE __m256 min_sum(const enum panel_type t, const struct scales *s, const uint8_t *x, int half)
{
    __m256 sum = vec_zero();
    for (int i = 0; i < 8; i++, x += A8_BLOCK_BYTES) {
        if (t != PANEL_Q2_K) {
            sum = vec_fma(vec_load(s->min[i] + half * VEC), float_at(x + A8_S), sum);
            continue;
        }
        const __m256i low = _mm256_srai_epi32(int_at(x + A8_START_LOW), 7), rest = _mm256_sub_epi32(_mm256_srai_epi32(int_at(x + A8_START), 7), low);
        const __m256 both = vec_fma(vec_load(s->min[2 * i] + half * VEC), _mm256_cvtepi32_ps(low), vec_mul(vec_load(s->min[2 * i + 1] + half * VEC), _mm256_cvtepi32_ps(rest)));
        sum = vec_fnma(both, float_at(x + A8_D), sum);
    }
    return sum;
}

INLINE void tile_256(const enum panel_type t, const int mr, int n_record, const uint8_t *p, const uint8_t *const *a, const struct tile_c *c)
{
    const int record = t == PANEL_Q4_K ? 2304 : t == PANEL_Q5_K ? 2816 : t == PANEL_Q6_K ? 3392 : 2368;
    const int head = by_16(t) ? 320 : 256, high_block = t == PANEL_Q5_K ? 64 : 128;
    __m256 total[2][MR];
    struct scales scales;
    for (int m = 0; m < mr; m++)
        total[0][m] = total[1][m] = vec_zero();
    for (int r = 0; r < n_record; r++, p += record) {
        const size_t at0 = (size_t)r * 8 * A8_BLOCK_BYTES;
        read_scales(t, p + 64, &scales);
        for (int half = 0; half < 2; half++) {
            __m256 sum[MR];
            UNROLL for (int m = 0; m < mr; m++)
                sum[m] = vec_zero();
            for (int s = 0; s < 8; s++) {
                const size_t at = at0 + (size_t)s * A8_BLOCK_BYTES;
                const uint8_t *q = p + head + s * 256 + half * 32, *high = p + head + 2048 + s * high_block + half * 32;
                const __m256i s0 = _mm256_loadu_si256((const void *)(scales.scale[by_16(t) ? 2 * s : s] + half * VEC));
                __m256i dot[MR], low[MR];
                UNROLL for (int m = 0; m < mr; m++)
                    dot[m] = start_of(t, int_at(a[m] + at + (by_16(t) ? A8_START_LOW : A8_START)));
                dots(t, mr, dot, q, high, 0, by_16(t) ? 4 : 8, a, at);
                UNROLL for (int m = 0; m < mr; m++)
                    low[m] = _mm256_mullo_epi32(dot[m], s0);
                if (by_16(t)) {
                    const __m256i s1 = _mm256_loadu_si256((const void *)(scales.scale[2 * s + 1] + half * VEC));
                    UNROLL for (int m = 0; m < mr; m++)
                        dot[m] = start_of(t, _mm256_sub_epi32(int_at(a[m] + at + A8_START), int_at(a[m] + at + A8_START_LOW)));
                    dots(t, mr, dot, q, high, 4, 8, a, at);
                    UNROLL for (int m = 0; m < mr; m++)
                        low[m] = _mm256_add_epi32(low[m], _mm256_mullo_epi32(dot[m], s1));
                }
                UNROLL for (int m = 0; m < mr; m++)
                    sum[m] = vec_fma(_mm256_cvtepi32_ps(low[m]), float_at(a[m] + at + A8_D), sum[m]);
            }
            const __m256 d = t == PANEL_Q3_K || t == PANEL_Q6_K ? _mm256_load_ps((const float *)(const void *)p + half * VEC) : halves(p + half * 16);
            for (int m = 0; m < mr; m++) {
                total[half][m] = vec_fma(d, sum[m], total[half][m]);
                if (has_min(t))
                    total[half][m] = vec_fnma(halves(p + 32 + half * 16), min_sum(t, &scales, a[m] + at0, half), total[half][m]);
            }
        }
    }
    for (int m = 0; m < mr; m++)
        for (int half = 0; half < 2; half++)
            finish(c, m, half, total[half][m]);
}

typedef void (*tile_fn)(int n_record, const uint8_t *p, const uint8_t *const *a, const struct tile_c *c);
#define TILE(t, mr)                                                                                                                      \
    static __attribute__((noinline)) void t##_##mr(int n_record, const uint8_t *p, const uint8_t *const *a, const struct tile_c *c)      \
    {                                                                                                                                    \
        is_k(PANEL_##t) ? tile_256(PANEL_##t, mr, n_record, p, a, c) : tile_64(PANEL_##t, mr, n_record, p, a, c);                         \
    }
#define TILES(mr)                                                                                                                    \
    TILE(Q8, mr) TILE(Q8_M, mr) TILE(Q4, mr) TILE(Q4_M, mr) TILE(Q4_G, mr) TILE(IQ4, mr) TILE(MX4, mr) TILE(Q2_K, mr) TILE(Q3_K, mr) \
    TILE(Q4_K, mr) TILE(Q5_K, mr) TILE(Q6_K, mr)
SIZES(TILES)
#define ROW(t) [PANEL_##t] = { t##_1, t##_2, t##_3, t##_4 }
static const tile_fn tiles[N_PANEL_TYPE][MR] = { ROW(Q8), ROW(Q8_M), ROW(Q4), ROW(Q4_M), ROW(Q4_G), ROW(IQ4), ROW(MX4), ROW(Q2_K), ROW(Q3_K), ROW(Q4_K), ROW(Q5_K), ROW(Q6_K) };

/* ---- driver ---- */

/* Rows whose activations stay in the second-level cache while all panels pass. */
#define A_BYTES (128 << 10)

static void gemm_rows(const struct gemm_q *g, int m_first, int m_end)
{
    const int n_record = (g->K + panel_record(g->type) - 1) / panel_record(g->type);
    const size_t stride = panel_stride(g->type, g->K);
    for (int n = 0; n < g->N; n += PANEL)
        for (int m0 = m_first; m0 < m_end; m0 += MR) {
            const int mr = m_end - m0 < MR ? m_end - m0 : MR;
            const uint8_t *a[MR];
            for (int i = 0; i < mr; i++)
                a[i] = (const uint8_t *)g->a + (size_t)(m0 + i) * g->a_stride;
            const struct tile_c c = { g->add ? g->add + m0 * g->ld_add + n : NULL, g->ld_add, g->bias ? g->bias + n : NULL, g->c + m0 * g->ldc + n, g->ldc,
                                      g->N - n < PANEL ? g->N - n : PANEL };
            tiles[g->type][mr - 1](n_record, (const uint8_t *)g->b + (size_t)(n / PANEL) * stride, a, &c);
        }
}

static void gemm_q(const struct gemm_q *g)
{
    if (g->pairs) {
        gemm_pairs(g, gemm_q);
        return;
    }
    const size_t fit_rows = A_BYTES / (a8_row_bytes(g->K) + 1) / MR * MR;
    const int down = fit_rows < MR ? MR : fit_rows > 4096 ? 4096 : (int)fit_rows;
    for (int m = 0; m < g->M; m += down)
        gemm_rows(g, m, g->M - m < down ? g->M : m + down);
}

/* ---- activations ---- */

static void quantize_block(const float *x, uint8_t *out)
{
    __m256 v[4];
    __m256i max = _mm256_setzero_si256(), q[4];
    for (int i = 0; i < 4; i++) {
        v[i] = vec_load(x + i * VEC);
        max = _mm256_max_epu32(max, _mm256_and_si256(_mm256_castps_si256(v[i]), _mm256_set1_epi32(0x7fffffff)));
    }
    const __m128i m4 = _mm_max_epu32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1)), m2 = _mm_max_epu32(m4, _mm_shuffle_epi32(m4, 0x4e));
    const uint32_t bits = (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(m2, _mm_shuffle_epi32(m2, 0xb1)));
    float amax;
    memcpy(&amax, &bits, sizeof amax);
    const bool finite = bits < 0x7f800000, some = finite && amax >= 1e-30f;
    const __m256 inverse = vec_set(127.0f / amax);
    for (int i = 0; i < 4; i++)
        q[i] = some ? _mm256_cvtps_epi32(vec_mul(v[i], inverse)) : _mm256_setzero_si256();
    /* packs keep 128-bit lanes: dwords 0, 4, 1, 5, ... of the result are in order */
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    _mm256_storeu_si256((void *)out, _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    int sum[2];
    for (int i = 0; i < 2; i++) {
        const __m256i s8 = _mm256_add_epi32(q[2 * i], q[2 * i + 1]);
        const __m128i s4 = _mm_add_epi32(_mm256_castsi256_si128(s8), _mm256_extracti128_si256(s8, 1)), s2 = _mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
        sum[i] = _mm_cvtsi128_si32(_mm_add_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
    }
    a8_end(out, !finite ? NAN : some ? amax / 127.0f : 0, sum[0], sum[0] + sum[1]);
}

static void quantize_a8(const struct a8 *p)
{
    for (int m = 0; m < p->M; m++) {
        uint8_t *out = (uint8_t *)p->out + (size_t)m * p->stride;
        for (int k = 0; k < (p->K + 63) / 64 * 64; k += A8_BLOCK, out += A8_BLOCK_BYTES) {
            const float *x = p->x + m * p->ld_x + k;
            float part[A8_BLOCK] = { 0 };
            if (p->K - k < A8_BLOCK && p->K > k)
                memcpy(part, x, (size_t)(p->K - k) * sizeof *part);
            quantize_block(p->K - k < A8_BLOCK ? part : x, out);
        }
    }
}

void cpu_avx2_fill_panel(struct cpu_kernels *k)
{
    k->gemm_q = gemm_q;
    k->quantize_a8 = quantize_a8;
}
