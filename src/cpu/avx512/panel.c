/* panel.c - products with packed weights by vpdpbusd (AVX-512 VNNI): one panel, a row of it in each lane, by up to 16 rows of a.
 *
 * A block of 32 k: its 8 steps of weights are unpacked to registers and serve all rows; a row's 4 activations of a step
 * are broadcast inside the instruction.  Weights are unsigned, so the integer sum begins at -128 times the block's sum, which
 * A8 holds; 4-bit weights are unpacked 16 times too large (an and, no shift, for half of them), which moves their offset of 8
 * to 128 too, and the result is divided once.  Beside 8 vpdpbusd, the multiply and the multiply-add of the scales share two
 * pipes: 80 % of the peak is the most to be had.  Scales of K types are integers: their multiply has another pipe. */
#include "cpu/avx512/vec.h"
#include "cpu/avx512/tiles.h"
#include "cpu/simd/panel.h"

/* Rows whose sums grow together.  vpdpbusd takes 4 cycles, but with 4 chains in turn the two pipes idled 5 % of the time. */
#define GROUP 8
INLINE int group_of(int mr) { return mr == 12 ? 6 : GROUP; }

/* Where the results of a tile go; columns of the panel by mask. */
struct tile_c { const float *add; ptrdiff_t ld_add; const float *bias; float *c; ptrdiff_t ldc; int rows; __mmask16 mask; };

/* What the sums are too large by. */
INLINE float too_large(enum panel_type t) { return t == PANEL_Q4 || t == PANEL_Q3_K ? 16 : t == PANEL_Q6_K ? 4 : 1; }

/* ---- weights of 32 k to 8 vectors of unsigned bytes ---- */

INLINE __m512i load(const uint8_t *p) { return _mm512_load_si512((const void *)p); }
INLINE __m512i bytes(int x) { return _mm512_set1_epi8((char)x); }
INLINE __m512i and_or(__m512i a, __m512i mask, __m512i b) { return _mm512_ternarylogic_epi32(a, mask, b, 0xea); }      /* (a & mask) | b */

/* Steps 4*half .. 4*half+3.  high: the planes of further bits of Q5_K and Q6_K. */
INLINE void unpack(const enum panel_type t, const uint8_t *q, const uint8_t *high, const int half, __m512i w[4])
{
    UNROLL for (int i = 0; i < 4; i++) {
        if (t == PANEL_Q8 || t == PANEL_Q8_M) {
            w[i] = load(q + 64 * (4 * half + i));
            continue;
        }
        const __m512i v = load(q + 64 * i);
        if (t == PANEL_Q4 || t == PANEL_Q3_K)
            w[i] = _mm512_and_si512(half ? v : _mm512_slli_epi16(v, 4), bytes(0xf0));
        else if (t == PANEL_Q6_K)
            w[i] = _mm512_and_si512(half ? _mm512_srli_epi16(v, 2) : _mm512_slli_epi16(v, 2), bytes(0x3c));
        else
            w[i] = _mm512_and_si512(half ? _mm512_srli_epi16(v, 4) : v, bytes(15));
        if (t == PANEL_Q5_K) {
            const __m512i h = load(high);
            w[i] = and_or(half ? _mm512_srli_epi32(h, (unsigned)i) : _mm512_slli_epi32(h, 4 - (unsigned)i), bytes(0x10), w[i]);
        }
        if (t == PANEL_Q6_K)
            w[i] = and_or(_mm512_slli_epi32(load(high + half * 64), 6 - 2 * (unsigned)i), bytes(0xc0), w[i]);
        if (t == PANEL_IQ4 || t == PANEL_MX4) {
            const __m128i table = _mm_xor_si128(_mm_loadu_si128((const void *)tables[t == PANEL_MX4]), _mm_set1_epi8((char)0x80));
            w[i] = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), w[i]);
        }
    }
}

/* ---- activations ---- */

INLINE __m512 float_at(const uint8_t *p) { return _mm512_set1_ps(*(const float *)(const void *)p); }
INLINE __m512i int_at(const uint8_t *p) { return _mm512_set1_epi32(*(const int *)(const void *)p); }

/* The rows of a tile: row m at a + m * step.  rows: that there are; the last one of the tile's height may lack, and is then the one before it. */
struct tile_a { const uint8_t *a; ptrdiff_t step; int rows; };

/* Where a tile reads them: every fourth row has a pointer, moved with asm in sight so that gcc keeps it out of the vector registers; the three
 * after it are one address away, the tile's last one by `last`.  A pointer per row would not fit the registers. */
#define ROW_POINTERS ((MR + 3) / 4)
struct at { const uint8_t *row[ROW_POINTERS]; ptrdiff_t step, step3, last; };

INLINE struct at at_rows(const int mr, const struct tile_a *a)
{
    struct at at = { .step = a->step, .step3 = 3 * a->step, .last = ((mr - 1) % 4 - (a->rows < mr)) * a->step };
    UNROLL for (int i = 0; i < ROW_POINTERS; i++)
        at.row[i] = a->a + (4 * i < mr ? 4 * i : 0) * a->step;
    return at;
}

INLINE void next_block(const int mr, struct at *at)
{
    UNROLL for (int i = 0; 4 * i < mr; i++) {
        at->row[i] += A8_BLOCK_BYTES;
        __asm__("" : "+r"(at->row[i]));
    }
}

/* An instruction that reads 4 bytes of the block of row m of mr, `place` bytes from its begin.  gcc does not see the reading: nothing here
 * writes to rows. */
#define ROW_ASM(text, place, rest, at, mr, m, out, ...)                                                                                              \
    switch ((m) == (mr) - 1 && (m) % 4 ? 4 : (m) % 4) {                                                                                              \
    case 0: __asm__(text " " place "(%[p])" rest : out : [p] "r"((at)->row[(m) / 4]), __VA_ARGS__); break;                                            \
    case 1: __asm__(text " " place "(%[p],%[i])" rest : out : [p] "r"((at)->row[(m) / 4]), [i] "r"((at)->step), __VA_ARGS__); break;                  \
    case 2: __asm__(text " " place "(%[p],%[i],2)" rest : out : [p] "r"((at)->row[(m) / 4]), [i] "r"((at)->step), __VA_ARGS__); break;                \
    case 3: __asm__(text " " place "(%[p],%[i])" rest : out : [p] "r"((at)->row[(m) / 4]), [i] "r"((at)->step3), __VA_ARGS__); break;                 \
    default: __asm__(text " " place "(%[p],%[i])" rest : out : [p] "r"((at)->row[(m) / 4]), [i] "r"((at)->last), __VA_ARGS__); break;                 \
    }
#define BROADCAST "%{1to16%}, %[x], %[out]"

/* sum + w * the activations of step i */
INLINE __m512i dot4(__m512i sum, __m512i w, const struct at *at, const int mr, const int m, const int i)
{
#define STEP(i, place) case i: ROW_ASM("vpdpbusd", place, BROADCAST, at, mr, m, [out] "+v"(sum), [x] "v"(w)) break;
    switch (i) {
        STEP(0, "0") STEP(1, "4") STEP(2, "8") STEP(3, "12") STEP(4, "16") STEP(5, "20") STEP(6, "24") STEP(7, "28")
    }
#undef STEP
    return sum;
}

INLINE __m512 times_d(__m512 x, const struct at *at, const int mr, const int m)
{
    __m512 y;
    ROW_ASM("vmulps", "32", BROADCAST, at, mr, m, [out] "=v"(y), [x] "v"(x))
    return y;
}

INLINE __m512 add_times_d(__m512 sum, __m512 x, const struct at *at, const int mr, const int m)
{
    ROW_ASM("vfmadd231ps", "32", BROADCAST, at, mr, m, [out] "+v"(sum), [x] "v"(x))
    return sum;
}

INLINE __m512 add_times_s(__m512 sum, __m512 x, const struct at *at, const int mr, const int m)
{
    ROW_ASM("vfmadd231ps", "36", BROADCAST, at, mr, m, [out] "+v"(sum), [x] "v"(x))
    return sum;
}

INLINE __m512i start_of(const struct at *at, const int mr, const int m)
{
    __m512i y;
    ROW_ASM("vpbroadcastd", "40", ", %[out]", at, mr, m, [out] "=v"(y), "i"(0))
    return y;
}

INLINE __m512i start_low_of(const struct at *at, const int mr, const int m)
{
    __m512i y;
    ROW_ASM("vpbroadcastd", "44", ", %[out]", at, mr, m, [out] "=v"(y), "i"(0))
    return y;
}

/* Integer sums of half a block of n rows from m0 on, added to dot.  Weights that need no unpacking are loaded for each group of rows: gcc
 * must not keep all 8 vectors of them instead of sums. */
INLINE void dots(const enum panel_type t, const int mr, const int m0, const int n, __m512i dot[GROUP], const uint8_t *q, const uint8_t *high,
                 const int half, const struct at *at)
{
    __m512i w[4];
    if (t == PANEL_Q8 || t == PANEL_Q8_M)
        __asm__ volatile("" : "+r"(q), "+r"(high));
    unpack(t, q, high, half, w);
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int m = 0; m < GROUP; m++)
            if (m < n)
                dot[m] = dot4(dot[m], w[i], at, mr, m0 + m, 4 * half + i);
}

/* ---- tiles ---- */

/* Weights that come from memory are read by the hardware's prefetch alone where a tile of 1 or 2 rows runs through them fast
 * enough.  Slower tiles lose it: they prefetch AHEAD bytes into the second-level cache (into the first the same prefetch
 * waits for a free line buffer: 44 instead of 72 % of the peak at M = 8). */
#define AHEAD 8192

/* left: blocks from here to the rows' end; after it comes the next tile. */
INLINE void prefetch_panel(const uint8_t *p, int n)
{
    for (int i = 0; i < n; i += 64)
        _mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T1);
}

/* Row m's place in c, and what is added to it, for the end of the tile. */
INLINE void prefetch_result(const struct tile_c *t, int m)
{
    if (m >= t->rows)
        return;
    __builtin_prefetch(t->c + m * t->ldc, 1);
    if (t->add && t->add != t->c)
        __builtin_prefetch(t->add + m * t->ld_add);
}

INLINE void finish(const struct tile_c *t, int m, __m512 sum)
{
    if (m >= t->rows)
        return;
    __m512 start = _mm512_setzero_ps();
    if (t->add)
        start = _mm512_maskz_loadu_ps(t->mask, t->add + m * t->ld_add);
    if (t->bias)
        start = _mm512_add_ps(start, _mm512_maskz_loadu_ps(t->mask, t->bias));
    _mm512_mask_storeu_ps(t->c + m * t->ldc, t->mask, _mm512_add_ps(start, sum));
}

INLINE __m512 halves(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_load_si256((const void *)p)); }
INLINE __m512 scale_64(const enum panel_type t, const uint8_t *p, int h)
{
    if (t == PANEL_Q4_G)
        return _mm512_load_ps((const float *)(const void *)p + h * 16);
    if (t == PANEL_MX4)
        return vec_load_bf16((const bf16 *)(const void *)p + h * 16);
    return halves(p + h * 32);
}

/* Records of 64 k: a scale (and a minimum) for 32.  pairs: two rows of a are one of the result; the second one's d is the first's / 256. */
INLINE void tile_64(const enum panel_type t, const int mr, const bool pairs, int n_record, const uint8_t *p, const struct tile_a *a, const struct tile_c *c, bool ahead)
{
    const int record = t == PANEL_Q8 ? 1088 : t == PANEL_Q8_M ? 1152 : t == PANEL_Q4_M ? 640 : t == PANEL_Q4_G ? 768 : 576;
    const int head = t == PANEL_Q8_M || t == PANEL_Q4_M ? 128 : t == PANEL_Q4_G ? 256 : 64, block = (record - head) / 2;
    __m512 sum[MR];
    UNROLL for (int m = 0; m < mr; m++)
        sum[m] = _mm512_setzero_ps();
    struct at at = at_rows(mr, a);
    for (int r = 0; r < n_record; r++, p += record)
        for (int h = 0; h < 2; h++, next_block(mr, &at)) {
            if (ahead)
                prefetch_panel(p + h * (record / 2), record / 2);
            if (mr > 2)
                prefetch_result(c, 2 * r + h);
            const uint8_t *q = p + head + h * block;
            const __m512 d = scale_64(t, p, h);
            UNROLL for (int m0 = 0; m0 < mr; m0 += group_of(mr)) {
                const int n = mr - m0 < group_of(mr) ? mr - m0 : group_of(mr);
                __m512i dot[GROUP];
                UNROLL for (int m = 0; m < GROUP; m++)
                    if (m < n)
                        dot[m] = has_min(t) ? _mm512_setzero_si512() : start_of(&at, mr, m0 + m);
                UNROLL for (int half = 0; half < 2; half++)
                    dots(t, mr, m0, n, dot, q, q, half, &at);
                UNROLL for (int m = 0; m < GROUP; m++)
                    if (m < n && !pairs)
                        sum[m0 + m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[m]), times_d(d, &at, mr, m0 + m), sum[m0 + m]);
                UNROLL for (int m = 0; m < GROUP; m += 2)
                    if (m < n && pairs) {
                        const __m512i both = _mm512_add_epi32(_mm512_slli_epi32(dot[m], 8), dot[m + 1]);
                        sum[(m0 + m) / 2] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), times_d(d, &at, mr, m0 + m + 1), sum[(m0 + m) / 2]);
                    }
            }
            if (has_min(t)) {
                const __m512 min = scale_64(t, p + head / 2, h);
                UNROLL for (int m = 0; m < mr; m++)
                    sum[m] = add_times_s(sum[m], min, &at, mr, m);
            }
        }
    UNROLL for (int m = 0; m < mr; m++)
        if (!pairs || m < mr / 2)
            finish(c, m, too_large(t) == 1 ? sum[m] : _mm512_mul_ps(sum[m], _mm512_set1_ps(1 / too_large(t))));
}

/* 6-bit scales and minimums of Q4_K and Q5_K: byte s of a row's 8 scales, 8 minimums, to floats (minimums) and integers. */
INLINE void scales_k(const uint8_t *p, __m512i scale[8], __m512 min[8])
{
    const __m512i a = load(p), b = load(p + 64), c = load(p + 128), six = bytes(63), high = bytes(0x30), low = bytes(15);
    const __m512i scales[2] = { _mm512_and_si512(a, six), and_or(c, low, _mm512_and_si512(_mm512_srli_epi32(a, 2), high)) };
    const __m512i mins[2] = { _mm512_and_si512(b, six), and_or(_mm512_srli_epi32(c, 4), low, _mm512_and_si512(_mm512_srli_epi32(b, 2), high)) };
    UNROLL for (int s = 0; s < 8; s++) {
        scale[s] = _mm512_and_si512(_mm512_srli_epi32(scales[s / 4], 8 * (unsigned)(s % 4)), _mm512_set1_epi32(255));
        min[s] = _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(mins[s / 4], 8 * (unsigned)(s % 4)), _mm512_set1_epi32(255)));
    }
}

/* Scale i of Q2_K, Q3_K, Q6_K. */
INLINE __m512i scale_16(const enum panel_type t, const uint8_t *p, int i)
{
    const __m128i v = _mm_load_si128((const void *)(p + i * 16));
    return t == PANEL_Q2_K ? _mm512_and_si512(_mm512_cvtepu8_epi32(v), _mm512_set1_epi32(15)) : _mm512_cvtepi8_epi32(v);
}

/* Records of 256 k: integer scales for 32 or 16, times one float.  The record's sums stay in registers, the whole ones rest
 * in `total` from record to record. */
INLINE void tile_256(const enum panel_type t, const int mr, int n_record, const uint8_t *p, const struct tile_a *a, const struct tile_c *c, bool ahead)
{
    const int record = t == PANEL_Q4_K ? 2304 : t == PANEL_Q5_K ? 2816 : t == PANEL_Q6_K ? 3392 : 2368;
    const int head = by_16(t) ? 320 : 256, high_block = t == PANEL_Q5_K ? 64 : 128;
    __m512 total[MR], min[8];
    __m512i scale[8];
    UNROLL for (int m = 0; m < mr; m++)
        total[m] = _mm512_setzero_ps();
    struct at at = at_rows(mr, a);
    for (int r = 0; r < n_record; r++, p += record) {
        __m512 sum[MR];
        UNROLL for (int m = 0; m < mr; m++)
            sum[m] = _mm512_setzero_ps();
        if (!by_16(t))
            scales_k(p + 64, scale, min);
        for (int s = 0; s < 8; s++, next_block(mr, &at)) {
            if (ahead)
                prefetch_panel(p + s * (record / 8), record / 8);
            if (mr > 2)
                prefetch_result(c, 8 * r + s);
            const uint8_t *q = p + head + s * 256, *high = p + head + 2048 + s * high_block;
            const __m512i s0 = by_16(t) ? scale_16(t, p + 64, 2 * s) : scale[s], s1 = by_16(t) ? scale_16(t, p + 64, 2 * s + 1) : s0;
            const int group = by_16(t) && mr > 4 ? 4 : group_of(mr);
            UNROLL for (int m0 = 0; m0 < mr; m0 += group) {
                const int n = mr - m0 < group ? mr - m0 : group;
                __m512i dot[GROUP], low[GROUP];
                UNROLL for (int m = 0; m < GROUP; m++)
                    if (m < n)
                        dot[m] = has_min(t) ? _mm512_setzero_si512() : start_low_of(&at, mr, m0 + m);
                dots(t, mr, m0, n, dot, q, high, 0, &at);
                if (by_16(t)) {
                    UNROLL for (int m = 0; m < GROUP && m < n; m++) {
                        low[m] = _mm512_mullo_epi32(dot[m], s0);
                        dot[m] = has_min(t) ? _mm512_setzero_si512()
                                            : _mm512_sub_epi32(start_of(&at, mr, m0 + m), start_low_of(&at, mr, m0 + m));
                    }
                }
                dots(t, mr, m0, n, dot, q, high, 1, &at);
                UNROLL for (int m = 0; m < GROUP && m < n; m++) {
                    __m512i dot_s = _mm512_mullo_epi32(dot[m], s1);
                    if (by_16(t))
                        dot_s = _mm512_add_epi32(dot_s, low[m]);
                    sum[m0 + m] = add_times_d(sum[m0 + m], _mm512_cvtepi32_ps(dot_s), &at, mr, m0 + m);
                }
            }
        }
        const __m512 d = t == PANEL_Q3_K || t == PANEL_Q6_K ? _mm512_load_ps((const float *)(const void *)p) : halves(p);
        UNROLL for (int m = 0; m < mr; m++)
            total[m] = _mm512_fmadd_ps(d, sum[m], total[m]);
        if (has_min(t)) {
            const __m512 dmin = halves(p + 32);
            const uint8_t *mins = p + 64;
            for (int m = 0; m < mr; m++) {
                const uint8_t *x = a->a + (m < a->rows ? m : a->rows - 1) * a->step + r * 8 * A8_BLOCK_BYTES;
                __m512 acc = _mm512_setzero_ps();
                UNROLL for (int s = 0; s < 8; s++, x += A8_BLOCK_BYTES) {
                    if (t != PANEL_Q2_K) {
                        acc = _mm512_fmadd_ps(min[s], float_at(x + A8_S), acc);
                        continue;
                    }
                    const __m512i m0 = _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_load_si128((const void *)(mins + 32 * s))), 4);
                    const __m512i m1 = _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_load_si128((const void *)(mins + 32 * s + 16))), 4);
                    const __m512i low = int_at(x + A8_START_LOW), rest = _mm512_sub_epi32(int_at(x + A8_START), low);
                    const __m512i both = _mm512_add_epi32(_mm512_mullo_epi32(m0, low), _mm512_mullo_epi32(m1, rest));
                    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), float_at(x + A8_D), acc);
                }
                total[m] = t == PANEL_Q2_K ? _mm512_fmadd_ps(_mm512_mul_ps(dmin, _mm512_set1_ps(1.0f / 128)), acc, total[m])
                                           : _mm512_fnmadd_ps(dmin, acc, total[m]);
            }
        }
    }
    UNROLL for (int m = 0; m < mr; m++)
        finish(c, m, too_large(t) == 1 ? total[m] : _mm512_mul_ps(total[m], _mm512_set1_ps(1 / too_large(t))));
}

typedef void (*tile_fn)(int n_record, const uint8_t *p, const struct tile_a *a, const struct tile_c *c, bool ahead);
#define TILE(t, mr)                                                                                                                                  \
    static __attribute__((noinline)) void t##_##mr(int n_record, const uint8_t *p, const struct tile_a *a, const struct tile_c *c, bool ahead) \
    {                                                                                                                                                \
        is_k(PANEL_##t) ? tile_256(PANEL_##t, mr, n_record, p, a, c, ahead) : tile_64(PANEL_##t, mr, false, n_record, p, a, c, ahead);                       \
    }
#define TILES(mr)                                                                                                                   \
    TILE(Q8, mr) TILE(Q8_M, mr) TILE(Q4, mr) TILE(Q4_M, mr) TILE(Q4_G, mr) TILE(IQ4, mr) TILE(MX4, mr) TILE(Q2_K, mr) TILE(Q3_K, mr) \
    TILE(Q4_K, mr) TILE(Q5_K, mr) TILE(Q6_K, mr)
SIZES(TILES)
#define Q8(mr) Q8_##mr,
#define Q8_M(mr) Q8_M_##mr,
#define Q4(mr) Q4_##mr,
#define Q4_M(mr) Q4_M_##mr,
#define Q4_G(mr) Q4_G_##mr,
#define IQ4(mr) IQ4_##mr,
#define MX4(mr) MX4_##mr,
#define Q2_K(mr) Q2_K_##mr,
#define Q3_K(mr) Q3_K_##mr,
#define Q4_K(mr) Q4_K_##mr,
#define Q5_K(mr) Q5_K_##mr,
#define Q6_K(mr) Q6_K_##mr,
static const tile_fn tiles[N_PANEL_TYPE][N_SIZE] = {
    [PANEL_Q8] = { SIZES(Q8) }, [PANEL_Q8_M] = { SIZES(Q8_M) }, [PANEL_Q4] = { SIZES(Q4) }, [PANEL_Q4_M] = { SIZES(Q4_M) },
    [PANEL_Q4_G] = { SIZES(Q4_G) }, [PANEL_IQ4] = { SIZES(IQ4) }, [PANEL_MX4] = { SIZES(MX4) }, [PANEL_Q2_K] = { SIZES(Q2_K) },
    [PANEL_Q3_K] = { SIZES(Q3_K) }, [PANEL_Q4_K] = { SIZES(Q4_K) }, [PANEL_Q5_K] = { SIZES(Q5_K) }, [PANEL_Q6_K] = { SIZES(Q6_K) },
};

/* Of pairs, by rows of the result.  Of the types that heads have, this is the one whose sums of both parts fit 32 bits. */
#ifdef SMALL_TILES
#define PAIR_SIZES(X) X(1)
#else
#define PAIR_SIZES(X) X(1) X(2) X(3) X(4) X(6) X(8)
#endif
#define PAIR_TILE(mr)                                                                                                                                  \
    static __attribute__((noinline)) void pairs_##mr(int n_record, const uint8_t *p, const struct tile_a *a, const struct tile_c *c, bool ahead)       \
    {                                                                                                                                                  \
        tile_64(PANEL_Q8, 2 * mr, true, n_record, p, a, c, ahead);                                                                                     \
    }
PAIR_SIZES(PAIR_TILE)
#define PAIRS(mr) pairs_##mr,
static const tile_fn pair_tiles[] = { PAIR_SIZES(PAIRS) };

static int pair_size(int n)
{
    int i = 0;
    while (i + 1 < (int)(sizeof pair_tiles / sizeof *pair_tiles) && heights[i + 1] <= n)
        i++;
    return i;
}

/* ---- driver ---- */

#define A_BYTES (384 << 10)                  /* of a and of panels that should stay in the second-level cache together */
#define B_BYTES (256 << 10)

struct block { int n0, n1, m0, m1; };        /* panels and rows */

static void gemm_block(const struct gemm_q *g, struct block b, bool ahead)
{
    const int n_record = (g->K + panel_record(g->type) - 1) / panel_record(g->type);
    const size_t stride = panel_stride(g->type, g->K);
    const ptrdiff_t step = (ptrdiff_t)g->a_stride, each = g->pairs ? 2 : 1;
    for (int j = b.n0; j < b.n1; j++)
        for (int m0 = b.m0, n = j * PANEL, size; m0 < b.m1; m0 += heights[size]) {
            size = g->pairs ? pair_size(b.m1 - m0) : tile_size(b.m1 - m0);
            const struct tile_a a = { (const uint8_t *)g->a + m0 * each * step, step, (int)each * (b.m1 - m0) };
            const struct tile_c c = { g->add ? g->add + m0 * g->ld_add + n : NULL, g->ld_add, g->bias ? g->bias + n : NULL, g->c + m0 * g->ldc + n, g->ldc,
                                      b.m1 - m0, vec_mask(g->N - n < PANEL ? g->N - n : PANEL) };
            (g->pairs ? pair_tiles : tiles[g->type])[size](n_record, (const uint8_t *)g->b + (size_t)j * stride, &a, &c, ahead && m0 == b.m0);
        }
}

static int at_least_1(size_t n, int most) { return n < 1 ? 1 : n > (size_t)most ? most : (int)n; }

static void gemm_q(const struct gemm_q *g)
{
    if (g->M <= 0 || g->N <= 0)
        return;
    if (g->pairs && g->type != PANEL_Q8) {
        gemm_pairs(g, gemm_q);
        return;
    }
    const int each = g->pairs ? 2 : 1, n_panel = (g->N + PANEL - 1) / PANEL;
    const int across = at_least_1(B_BYTES / (panel_stride(g->type, g->K) + 1), n_panel);
    const int down = at_least_1(A_BYTES / ((size_t)each * a8_row_bytes(g->K) + 1) / MR, (g->M + MR - 1) / MR) * MR;
    for (int n = 0; n < n_panel; n += across)
        for (int m = 0; m < g->M; m += down) {
            const struct block b = { n, n + across < n_panel ? n + across : n_panel, m, m + down < g->M ? m + down : g->M };
            gemm_block(g, b, m == 0 && (g->M * each > 2 || by_16(g->type) || g->type == PANEL_Q5_K));
        }
}

/* ---- activations ---- */

INLINE void quantize_block(__m512 x0, __m512 x1, uint8_t *out)
{
    const __m512i sign = _mm512_set1_epi32(0x7fffffff);
    const __m512i max = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(x0), sign), _mm512_and_si512(_mm512_castps_si512(x1), sign));
    const uint32_t bits = _mm512_reduce_max_epu32(max);
    float amax;
    memcpy(&amax, &bits, sizeof amax);
    const bool finite = bits < 0x7f800000, some = finite && amax >= 1e-30f;
    const __mmask16 mask = some ? 0xffff : 0;
    const __m512 inverse = _mm512_set1_ps(127.0f / amax);
    const __m512i q0 = _mm512_maskz_cvtps_epi32(mask, _mm512_mul_ps(x0, inverse)), q1 = _mm512_maskz_cvtps_epi32(mask, _mm512_mul_ps(x1, inverse));
    const __m256i q = _mm256_set_m128i(_mm512_cvtepi32_epi8(q1), _mm512_cvtepi32_epi8(q0));
    const __m256i eights = _mm256_sad_epu8(_mm256_xor_si256(q, _mm256_set1_epi8((char)0x80)), _mm256_setzero_si256());      /* of q + 128 */
    const __m128i a = _mm256_castsi256_si128(eights), b = _mm256_extracti128_si256(eights, 1);
    const __m128i halves = _mm_add_epi32(_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b));
    const int low = _mm_cvtsi128_si32(halves) - 16 * 128, high = _mm_extract_epi32(halves, 2) - 16 * 128;
    _mm256_storeu_si256((void *)out, q);
    a8_end(out, !finite ? NAN : some ? amax / 127.0f : 0, low, low + high);
}

static void quantize_a8(const struct a8 *p)
{
    for (int m = 0; m < p->M; m++) {
        const float *x = p->x + m * p->ld_x;
        uint8_t *out = (uint8_t *)p->out + (size_t)m * p->stride;
        int k = 0;
        for (; k + 32 <= p->K; k += 32, out += A8_BLOCK_BYTES)
            quantize_block(_mm512_loadu_ps(x + k), _mm512_loadu_ps(x + k + 16), out);
        for (; k < (p->K + 63) / 64 * 64; k += 32, out += A8_BLOCK_BYTES) {
            const int n0 = p->K - k, n1 = n0 - 16;
            quantize_block(n0 <= 0 ? _mm512_setzero_ps() : vec_load_part(x + k, n0 < 16 ? n0 : 16), n1 <= 0 ? _mm512_setzero_ps() : vec_load_part(x + k + 16, n1), out);
        }
    }
}

void cpu_avx512_fill_panel(struct cpu_kernels *k)
{
    k->gemm_q = gemm_q;
    k->quantize_a8 = quantize_a8;
}
