/* gemm_bf16.c - bf16 products by vdpbf16ps, for machines where it is fast: tiles of 14 rows by 2 panels, two k a step.
 * Sums of a pair are rounded once by the instruction, so bits differ from the avx512 level within the tolerance. */
#include "cpu/avx512/vec.h"

#define MR 14
#define KC 512
#define MR_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

struct tile_c { const float *add; ptrdiff_t ld_add; const float *bias; float *c; ptrdiff_t ldc; };

INLINE void tile(const int mr, const int np, int K2, const uint32_t *a, ptrdiff_t a_step, const bf16 *b, ptrdiff_t b_panel, const struct tile_c *t)
{
    __m512 sum[MR][2];
    for (int i = 0; i < mr; i++)
        for (int v = 0; v < np; v++) {
            sum[i][v] = t->add ? vec_load(t->add + i * t->ld_add + v * PANEL) : vec_zero();
            if (t->bias)
                sum[i][v] = vec_add(sum[i][v], vec_load(t->bias + v * PANEL));
        }
    for (int k = 0; k < K2; k++, a += a_step, b += 2 * PANEL) {
        __m512i w[2];
        for (int v = 0; v < np; v++)
            w[v] = _mm512_loadu_si512(b + v * b_panel);
        for (int i = 0; i < mr; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i]);
            for (int v = 0; v < np; v++)
                sum[i][v] = _mm512_dpbf16_ps(sum[i][v], x, (__m512bh)w[v]);
        }
    }
    for (int i = 0; i < mr; i++)
        for (int v = 0; v < np; v++)
            vec_store(t->c + i * t->ldc + v * PANEL, sum[i][v]);
}

typedef void (*tile_fn)(int K2, const uint32_t *a, ptrdiff_t a_step, const bf16 *b, ptrdiff_t b_panel, const struct tile_c *t);
#define TILE_FN(mr)                                                                                                                       \
    static __attribute__((noinline)) void one_##mr(int K, const uint32_t *a, ptrdiff_t s, const bf16 *b, ptrdiff_t p, const struct tile_c *t) { tile(mr, 1, K, a, s, b, p, t); } \
    static __attribute__((noinline)) void two_##mr(int K, const uint32_t *a, ptrdiff_t s, const bf16 *b, ptrdiff_t p, const struct tile_c *t) { tile(mr, 2, K, a, s, b, p, t); }
MR_LIST(TILE_FN)
#define ONE(mr) one_##mr,
#define TWO(mr) two_##mr,
static const tile_fn tiles[2][MR] = { { MR_LIST(ONE) }, { MR_LIST(TWO) } };

static void gemm_bf16(const struct gemm *g)
{
    if (g->M <= 0 || g->N <= 0)
        return;
    const int K = (g->K + 1) / 2 * 2, n_tile = (g->M + MR - 1) / MR;
    _Alignas(64) uint32_t block[KC / 2 * MR];
    _Alignas(64) float square[MR * PANEL];
    for (int k0 = 0; k0 == 0 || k0 < K; k0 += KC) {
        const int kc = K - k0 < KC ? K - k0 : KC;
        for (int i_tile = 0; i_tile < n_tile; i_tile++) {
            const int m0 = (int)((int64_t)g->M * i_tile / n_tile), mr = (int)((int64_t)g->M * (i_tile + 1) / n_tile) - m0;
            const uint32_t *a = block;
            ptrdiff_t step = mr;
            if (g->a_row == 2 && !g->rows)                        /* pairs that lie side by side already */
                a = (const uint32_t *)g->a + m0 + k0 / 2 * (g->a_col / 2), step = g->a_col / 2;
            else
                for (int i = 0; i < mr; i++) {
                    const bf16 *row = (const bf16 *)g->a + (g->rows ? g->rows[m0 + i] : m0 + i) * g->a_row + k0 / 2 * g->a_col;
                    for (int k = 0; k < kc / 2; k++)
                        memcpy(&block[k * mr + i], row + k * g->a_col, 4);
                    if (k0 + kc > g->K)
                        block[(kc / 2 - 1) * mr + i] &= 0xffff;      /* the unused half of the last pair */
                }
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
                    tiles[0][mr - 1](kc / 2, a, step, b, g->b_panel, &edge);
                    for (int i = 0; i < mr; i++)
                        memcpy(t.c + i * t.ldc, square + i * PANEL, (size_t)cols * sizeof(float));
                } else {
                    tiles[np - 1][mr - 1](kc / 2, a, step, b, g->b_panel, &t);
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
