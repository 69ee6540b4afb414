/* gemm_bf16.c - bf16 products by vdpbf16ps, for machines where it is fast: one panel by up to 16 rows, two k a step.
 *
 * A row's pair of a step is broadcast inside the instruction, so 4 steps of weights and 16 sums are all the registers that a
 * tile needs.  K is cut into blocks; a block of a tile's long rows is copied to where its lines do not compete for the same places of
 * the first-level cache (rows of 4 KiB would: 43 instead of 80 % of the peak) and stays there while the panels pass.  Partial
 * sums rest in c, which changes no bit.  Sums of a pair are rounded once by the instruction, so bits differ from the avx512
 * level within the tolerance. */
#include <assert.h>
#include "cpu/avx512/vec.h"
#include "cpu/avx512/tiles.h"

#define GROUP 8                /* rows whose sums grow together */
#define STEPS 4
#define ROW_POINTERS ((MR + 3) / 4)
#define AHEAD 8192             /* bytes of prefetch into the second-level cache, as in panel.c */
#define KC 512
#define COPY_STEP (KC * 2 + 64)
#define B_BYTES (256 << 10)    /* of panels that should stay in the second-level cache */

INLINE ptrdiff_t row_of(const struct gemm *g, int m) { return g->rows ? g->rows[m] : m; }

struct tile_c { const float *add; ptrdiff_t ld_add; const float *bias; float *c; ptrdiff_t ldc; int rows; __mmask16 mask; };

/* Pair k of row m: by_rows: at a + step*m + 4*k, else at a + 4*m + step*k.  A pointer per row would not fit the registers:
 * loading them again and again took 5 % of a tile's time. */
struct tile_a { const char *a; ptrdiff_t step; };

INLINE __m512 dot2(__m512 sum, __m512i w, const char *x)
{
    __asm__("vdpbf16ps %1%{1to16%}, %2, %0" : "+v"(sum) : "m"(*(const int *)(const void *)x), "v"(w));
    return sum;
}

/* Where the rows of a tile are read: every fourth one has a pointer, moved with asm in sight so that gcc keeps it out of the
 * vector registers; the three after it are one address away.  step3 = 3 * step. */
struct at { const char *row[ROW_POINTERS]; ptrdiff_t step, step3; };

INLINE __m512 dot2_row(__m512 sum, __m512i w, const struct at *at, int m)
{
    const char *p = at->row[m / 4];
    switch (m % 4) {
    case 0: __asm__("vdpbf16ps (%1)%{1to16%}, %2, %0" : "+v"(sum) : "r"(p), "v"(w)); break;
    case 1: __asm__("vdpbf16ps (%1,%3)%{1to16%}, %2, %0" : "+v"(sum) : "r"(p), "v"(w), "r"(at->step)); break;
    case 2: __asm__("vdpbf16ps (%1,%3,2)%{1to16%}, %2, %0" : "+v"(sum) : "r"(p), "v"(w), "r"(at->step)); break;
    default: __asm__("vdpbf16ps (%1,%3)%{1to16%}, %2, %0" : "+v"(sum) : "r"(p), "v"(w), "r"(at->step3)); break;
    }
    return sum;
}

INLINE void next_pair(const char **row)
{
    *row += 4;
    __asm__("" : "+r"(*row));
}

/* n steps of all rows. */
INLINE void steps(const int mr, const int n, const bool by_rows, __m512 sum[MR], struct at *at, const char *b)
{
    __m512i w[STEPS];
    UNROLL for (int i = 0; i < n; i++)
        w[i] = _mm512_load_si512(b + 64 * i);
    UNROLL for (int m0 = 0; m0 < mr; m0 += GROUP) {
        const int m1 = mr - m0 < GROUP ? mr : m0 + GROUP;
        UNROLL for (int i = 0; i < n; i++) {
            UNROLL for (int m = m0; m < m1; m++)
                sum[m] = by_rows ? dot2_row(sum[m], w[i], at, m) : dot2(sum[m], w[i], at->row[0] + i * at->step + 4 * m);
            if (by_rows)
                next_pair(&at->row[m0 / 4]);
            if (by_rows && m1 - m0 > 4)
                next_pair(&at->row[m0 / 4 + 1]);
        }
    }
    if (!by_rows)
        at->row[0] += n * at->step;
}

INLINE void tile(const int mr, const bool by_rows, int K2, const struct tile_a *a, const char *b, const struct tile_c *c, bool ahead)
{
    __m512 sum[MR];
    UNROLL for (int m = 0; m < mr; m++) {
        const int i = m < c->rows ? m : c->rows - 1;
        sum[m] = c->add ? _mm512_maskz_loadu_ps(c->mask, c->add + i * c->ld_add) : vec_zero();
        if (c->bias)
            sum[m] = vec_add(sum[m], _mm512_maskz_loadu_ps(c->mask, c->bias));
    }
    struct at at = { .step = a->step, .step3 = 3 * a->step };
    UNROLL for (int i = 0; i < ROW_POINTERS; i++)
        at.row[i] = by_rows && 4 * i < mr ? a->a + 4 * i * a->step : a->a;
    int k = 0;
    for (; k + STEPS <= K2; k += STEPS, b += 64 * STEPS) {
        for (int i = 0; ahead && i < STEPS; i++)
            _mm_prefetch(b + AHEAD + 64 * i, _MM_HINT_T1);
        steps(mr, STEPS, by_rows, sum, &at, b);
    }
    for (; k < K2; k++, b += 64)
        steps(mr, 1, by_rows, sum, &at, b);
    UNROLL for (int m = 0; m < mr; m++)
        if (m < c->rows)
            _mm512_mask_storeu_ps(c->c + m * c->ldc, c->mask, sum[m]);
}

typedef void (*tile_fn)(int K2, const struct tile_a *a, const char *b, const struct tile_c *c, bool ahead);
#define TILE(mr)                                                                                                                                                       \
    static __attribute__((noinline)) void rows_##mr(int K2, const struct tile_a *a, const char *b, const struct tile_c *c, bool f) { tile(mr, true, K2, a, b, c, f); }  \
    static __attribute__((noinline)) void pairs_##mr(int K2, const struct tile_a *a, const char *b, const struct tile_c *c, bool f) { tile(mr, false, K2, a, b, c, f); }
SIZES(TILE)
#define ROWS(mr) rows_##mr,
#define PAIRS(mr) pairs_##mr,
static const tile_fn tiles[2][N_SIZE] = { { SIZES(PAIRS) }, { SIZES(ROWS) } };

/* The last pair of an odd K by itself: its second half could be anything. */
static void last_pair(const struct gemm *g, int m0, bool by_rows, int size, const char *b, const struct tile_c *c)
{
    uint32_t pair[MR] = { 0 };
    for (int i = 0; i < heights[size] && i < c->rows; i++) {
        memcpy(&pair[i], (const bf16 *)g->a + row_of(g, m0 + i) * g->a_row + g->K / 2 * g->a_col, 4);
        pair[i] &= 0xffff;
    }
    const struct tile_a a = { (const char *)pair, 4 };
    tiles[by_rows][size](1, &a, b + (ptrdiff_t)(g->K / 2) * 64, c, false);
}

struct block { int n0, n1, k0, k1; };        /* panels, pairs */

/* Pairs k0 .. k1-1 of the rows from m0 on, where a tile of this height can read them: in place, or copied. */
static struct tile_a tile_rows(const struct gemm *g, int m0, int height, struct block d, bool by_rows, char copy[MR * COPY_STEP])
{
    const char *a = (const char *)g->a + d.k0 * g->a_col * 2;
    if (!by_rows)
        return (struct tile_a){ a + m0 * 4, g->a_col * 2 };
    const int rows = g->M - m0 < height ? g->M - m0 : height;
    const ptrdiff_t first = row_of(g, m0), step = rows > 1 ? row_of(g, m0 + 1) - first : 0;
    const bool even = !g->rows || rows <= 2;                                     /* as far from row to row */
    const bool compete = g->M > 4 && g->a_row % 512 == 0;                        /* elements: rows of 1 KiB */
    if (even && rows == height && !compete)
        return (struct tile_a){ a + first * g->a_row * 2, step * g->a_row * 2 };
    for (int i = 0; i < height; i++)
        memcpy(copy + i * COPY_STEP, a + row_of(g, m0 + (i < rows ? i : rows - 1)) * g->a_row * 2, (size_t)(d.k1 - d.k0) * 4);
    return (struct tile_a){ copy, COPY_STEP };
}

static void gemm_block(const struct gemm *g, struct block d)
{
    const bool by_rows = g->a_col == 2;
    assert(by_rows || (g->a_row == 2 && !g->rows));
    _Alignas(64) char copy[MR * COPY_STEP];
    for (int m0 = 0, size; m0 < g->M; m0 += heights[size]) {
        size = tile_size(g->M - m0);
        if (heights[size] > g->M - m0 && (!by_rows || d.k1 - d.k0 > KC / 2))       /* the repeated row is not in memory */
            size--;
        const struct tile_a a = tile_rows(g, m0, heights[size], d, by_rows, copy);
        for (int j = d.n0; j < d.n1; j++) {
            const int n = j * PANEL;
            struct tile_c c = { NULL, g->ld_add, NULL, g->c + m0 * g->ldc + n, g->ldc, g->M - m0, vec_mask(g->N - n < PANEL ? g->N - n : PANEL) };
            if (d.k0)
                c.add = c.c, c.ld_add = c.ldc;
            else
                c.add = g->add ? g->add + m0 * g->ld_add + n : NULL, c.bias = g->bias ? g->bias + n : NULL;
            const char *b = (const char *)g->b + (ptrdiff_t)j * g->b_panel * 2;
            tiles[by_rows][size](d.k1 - d.k0, &a, b + (ptrdiff_t)d.k0 * 64, &c, m0 == 0 && g->M > 2);
            if (g->K % 2 && d.k1 == g->K / 2) {
                c.add = c.c, c.ld_add = c.ldc, c.bias = NULL;
                last_pair(g, m0, by_rows, size, b, &c);
            }
        }
    }
}

static void gemm_bf16(const struct gemm *g)
{
    if (g->M <= 0 || g->N <= 0)
        return;
    const bool whole = g->M <= 2 || (g->M <= 4 && !g->rows);      /* so few rows are never copied */
    const int n_panel = (g->N + PANEL - 1) / PANEL, K2 = g->K / 2, kc = whole ? K2 + !K2 : KC / 2;
    const size_t piece = (size_t)(kc < K2 ? kc : K2) * 64 + 1;
    const int across = B_BYTES / piece < 1 ? 1 : B_BYTES / piece > (size_t)n_panel ? n_panel : (int)(B_BYTES / piece);
    for (int n = 0; n < n_panel; n += across)
        for (int k = 0; k == 0 || k < K2; k += kc) {
            const struct block d = { n, n_panel - n < across ? n_panel : n + across, k, K2 - k < kc ? K2 : k + kc };
            gemm_block(g, d);
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
