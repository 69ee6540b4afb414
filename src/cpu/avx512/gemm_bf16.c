/* gemm_bf16.c - bf16 products by vdpbf16ps, for machines where it is fast: tiles of 14 rows by 2 panels, two k a step.
 * Pairs of a are read in place, by rows or by columns; rows of an index list are turned into columns first.
 * Sums of a pair are rounded once by the instruction, so bits differ from the avx512 level within the tolerance. */
#include "cpu/avx512/vec.h"

#define MR 14
#define KC 512
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

struct tile_c { const float *add; ptrdiff_t ld_add; const float *bias; float *c; ptrdiff_t ldc; };

/* Row i of a is reached from the nearest of the pointers to every third row, as in simd/gemm.inc. */
#define ROW_POINTERS ((MR + 2) / 3)

/* Pair k of row i of a at a[i*step + k] (by_rows) or at a[k*step + i]. */
INLINE void tile(const int mr, const int np, const bool by_rows, int K2, const uint32_t *a, ptrdiff_t step, const bf16 *b, ptrdiff_t b_panel,
                 const struct tile_c *t)
{
    __m512 sum[MR][2];
    const struct tile_c to = *t;        /* a store to c cannot change it */
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < np; v++) {
            sum[i][v] = to.add ? vec_load(to.add + i * to.ld_add + v * PANEL) : vec_zero();
            if (to.bias)
                sum[i][v] = vec_add(sum[i][v], vec_load(to.bias + v * PANEL));
        }
    const uint32_t *row[ROW_POINTERS];
    UNROLL
    for (int i = 0; i < ROW_POINTERS; i++)
        row[i] = by_rows ? a + 3 * i * step : a;
    for (int k = 0; k < K2; k++, b += 2 * PANEL) {
        __m512i w[2];
        UNROLL
        for (int v = 0; v < np; v++)
            w[v] = _mm512_loadu_si512(b + v * b_panel);
        UNROLL
        for (int i = 0; i < mr; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)(by_rows ? row[i / 3][i % 3 * step] : a[i]));
            UNROLL
            for (int v = 0; v < np; v++)
                sum[i][v] = _mm512_dpbf16_ps(sum[i][v], x, (__m512bh)w[v]);
        }
        a += step;
        UNROLL
        for (int i = 0; by_rows && i < ROW_POINTERS; i++)
            row[i]++;
    }
    UNROLL
    for (int i = 0; i < mr; i++)
        UNROLL
        for (int v = 0; v < np; v++)
            vec_store(to.c + i * to.ldc + v * PANEL, sum[i][v]);
}

/* tiles[by_rows][np - 1][mr - 1] */
typedef void (*tile_fn)(int K2, const uint32_t *a, ptrdiff_t step, const bf16 *b, ptrdiff_t b_panel, const struct tile_c *t);
#define TILE(name, mr, np, by_rows)                                                                                                            \
    static __attribute__((noinline)) void name##_##mr(int K, const uint32_t *a, ptrdiff_t s, const bf16 *b, ptrdiff_t p, const struct tile_c *t) \
    {                                                                                                                                          \
        tile(mr, np, by_rows, K, a, s, b, p, t);                                                                                               \
    }
#define TILES(mr) TILE(cols_one, mr, 1, false) TILE(cols_two, mr, 2, false) TILE(rows_one, mr, 1, true) TILE(rows_two, mr, 2, true)
MR_LIST(TILES)
#define COLS_ONE(mr) cols_one_##mr,
#define COLS_TWO(mr) cols_two_##mr,
#define ROWS_ONE(mr) rows_one_##mr,
#define ROWS_TWO(mr) rows_two_##mr,
static const tile_fn tiles[2][2][MR] = { { { MR_LIST(COLS_ONE) }, { MR_LIST(COLS_TWO) } }, { { MR_LIST(ROWS_ONE) }, { MR_LIST(ROWS_TWO) } } };

/* Pairs k0/2 .. of rows m0 .. m0+mr-1, where the tile can read them: in place, or as columns in block. */
struct tile_a { const uint32_t *a; ptrdiff_t step; bool by_rows; };

INLINE struct tile_a tile_pairs(const struct gemm *g, int m0, int mr, int k0, int kc, uint32_t *block)
{
    const bool whole = k0 + kc <= g->K;                          /* no last pair with an unused half */
    const bf16 *a = (const bf16 *)g->a + m0 * g->a_row + k0 / 2 * g->a_col;
    if (g->a_row == 2 && !g->rows)                               /* pairs that lie side by side */
        return (struct tile_a){ (const uint32_t *)(const void *)a, g->a_col / 2, false };
    if (g->a_col == 2 && g->a_row % 2 == 0 && !g->rows && whole && (uintptr_t)a % sizeof(uint32_t) == 0)
        return (struct tile_a){ (const uint32_t *)(const void *)a, g->a_row / 2, true };
    for (int k = 0; k < kc / 2; k += 16) {
        const int n = kc / 2 - k < 16 ? kc / 2 - k : 16;
        __m512i v[16];
        for (int i = 0; i < 16; i++) {
            const bf16 *row = (const bf16 *)g->a + (g->rows && i < mr ? g->rows[m0 + i] : m0 + i) * g->a_row + (k0 / 2 + k) * g->a_col;
            if (i >= mr) {
                v[i] = _mm512_setzero_si512();
            } else if (g->a_col == 2) {
                v[i] = _mm512_maskz_loadu_epi32(vec_mask(n), row);
            } else {
                _Alignas(64) uint32_t pair[16] = { 0 };
                for (int j = 0; j < n; j++)
                    memcpy(&pair[j], row + j * g->a_col, sizeof *pair);
                v[i] = _mm512_load_si512(pair);
            }
        }
        vec_transpose(v);
        for (int j = 0; j < n; j++)
            _mm512_store_si512(block + (k + j) * 16, v[j]);
    }
    for (int i = 0; i < 16 && !whole; i++)
        block[(kc / 2 - 1) * 16 + i] &= 0xffff;                   /* it could be anything */
    return (struct tile_a){ block, 16, false };
}

static void gemm_bf16(const struct gemm *g)
{
    if (g->M <= 0 || g->N <= 0)
        return;
    const int K = (g->K + 1) / 2 * 2, n_tile = (g->M + MR - 1) / MR;
    _Alignas(64) uint32_t block[KC / 2 * 16];
    _Alignas(64) float square[MR * PANEL];
    for (int k0 = 0; k0 == 0 || k0 < K; k0 += KC) {
        const int kc = K - k0 < KC ? K - k0 : KC;
        for (int i_tile = 0; i_tile < n_tile; i_tile++) {
            const int m0 = (int)((int64_t)g->M * i_tile / n_tile), mr = (int)((int64_t)g->M * (i_tile + 1) / n_tile) - m0;
            const struct tile_a a = tile_pairs(g, m0, mr, k0, kc, block);
            for (int n = 0; n < g->N;) {
                const int np = g->N - n >= 2 * PANEL ? 2 : 1, cols = g->N - n < np * PANEL ? g->N - n : np * PANEL;
                struct tile_c t = { .c = g->c + m0 * g->ldc + n, .ldc = g->ldc };
                if (k0)
                    t.add = t.c, t.ld_add = t.ldc;
                else
                    t.add = g->add ? g->add + m0 * g->ld_add + n : NULL, t.ld_add = g->ld_add, t.bias = g->bias ? g->bias + n : NULL;
                const bf16 *b = (const bf16 *)g->b + n / PANEL * g->b_panel + (ptrdiff_t)k0 * PANEL;
                if (cols % PANEL) {
                    memset(square, 0, sizeof square);
                    for (int i = 0; i < mr; i++)
                        for (int j = 0; j < cols; j++)
                            square[i * PANEL + j] = (t.add ? t.add[i * t.ld_add + j] : 0) + (t.bias ? t.bias[j] : 0);
                    const struct tile_c edge = { square, PANEL, NULL, square, PANEL };
                    tiles[a.by_rows][0][mr - 1](kc / 2, a.a, a.step, b, g->b_panel, &edge);
                    for (int i = 0; i < mr; i++)
                        memcpy(t.c + i * t.ldc, square + i * PANEL, (size_t)cols * sizeof(float));
                } else {
                    tiles[a.by_rows][np - 1][mr - 1](kc / 2, a.a, a.step, b, g->b_panel, &t);
                }
                n += cols;
            }
        }
    }
}

static double peak_bf16(int64_t n)
{
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define S(i) __m512 s##i = _mm512_setzero_ps();
    TWELVE(S)
#undef S
    const __m512 x = _mm512_set1_ps(1.0f);
    for (int64_t i = 0; i < n; i++) {
#define S(j) __asm__ volatile("vdpbf16ps %1, %1, %0" : "+v"(s##j) : "v"(x));
        TWELVE(S)
#undef S
    }
    return (double)n * 12 * 32 * 2;
}

void cpu_avx512bf16_fill_gemm(struct cpu_kernels *k)
{
    k->gemm_bf16 = gemm_bf16;
    k->peak_bf16 = peak_bf16;
}
