/* gemm.c - products and packing as they are defined.  Sums are taken in double. */
#include "cpu/kernels.h"
#include "cpu/ref/bf16.h"
#include <math.h>
#include <string.h>

static double start_of(const struct gemm *g, int m, int n)
{
    return (g->add ? (double)g->add[m * g->ld_add + n] : 0) + (g->bias ? (double)g->bias[n] : 0);
}

static void gemm(const struct gemm *g)
{
    for (int m = 0; m < g->M; m++)
        for (int n = 0; n < g->N; n++) {
            const real *a = (const real *)g->a + (g->rows ? g->rows[m] : m) * g->a_row;
            const real *b = (const real *)g->b + n / PANEL * g->b_panel + n % PANEL;
            double sum = start_of(g, m, n);
            for (int k = 0; k < g->K; k++)
                sum += (double)a[k * g->a_col] * (double)b[k * PANEL];
            g->c[m * g->ldc + n] = (real)sum;
        }
}

static void gemm_bf16(const struct gemm *g)
{
    for (int m = 0; m < g->M; m++)
        for (int n = 0; n < g->N; n++) {
            const bf16 *a = (const bf16 *)g->a + (g->rows ? g->rows[m] : m) * g->a_row;
            const bf16 *b = (const bf16 *)g->b + n / PANEL * g->b_panel + n % PANEL * 2;
            double sum = start_of(g, m, n);
            for (int k = 0; k < g->K; k++)
                sum += (double)bf16_to_real(a[k / 2 * g->a_col + k % 2]) * (double)bf16_to_real(b[k / 2 * PANEL * 2 + k % 2]);
            g->c[m * g->ldc + n] = (real)sum;
        }
}

/* Element i of source row r. */
static real source(const struct pack *p, int r, int i)
{
    const ptrdiff_t at = (p->rows ? p->rows[r] : r) * p->ld + i;
    return p->src_bf16 ? bf16_to_real(((const bf16 *)p->src)[at]) : ((const real *)p->src)[at];
}

static void pack(const struct pack *p, bool by_rows)
{
    for (int n = 0; n < (int)cpu_round_panel((size_t)p->N); n++)
        for (int k = 0; k < p->K; k++)
            ((real *)p->out)[n / PANEL * p->panel + k * PANEL + n % PANEL] = n >= p->N ? 0 : by_rows ? source(p, n, k) : source(p, k, n);
}

static void pack_bf16(const struct pack *p, bool by_rows)
{
    for (int n = 0; n < (int)cpu_round_panel((size_t)p->N); n++)
        for (int k = 0; k < (p->K + 1) / 2 * 2; k++)
            ((bf16 *)p->out)[n / PANEL * p->panel + k / 2 * PANEL * 2 + n % PANEL * 2 + k % 2] =
                n >= p->N || k >= p->K ? 0 : bf16_of(by_rows ? source(p, n, k) : source(p, k, n));
}

static void pack_cols(const struct pack *p) { pack(p, false); }
static void pack_rows(const struct pack *p) { pack(p, true); }
static void pack_cols_bf16(const struct pack *p) { pack_bf16(p, false); }
static void pack_rows_bf16(const struct pack *p) { pack_bf16(p, true); }

static void pack_pairs_bf16(const struct pack *p)
{
    for (int k = 0; k < (p->K + 1) / 2 * 2; k++)
        for (int n = 0; n < p->N; n++)
            ((bf16 *)p->out)[(k / 2 * p->N + n) * 2 + k % 2] = k < p->K ? bf16_of(source(p, k, n)) : 0;
}

static double peak_f32(int64_t n)
{
    volatile float sink;
    float a = 1, b = 1e-9f, sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a * b;
    sink = sum;
    (void)sink;
    return 2.0 * (double)n;
}

static uint64_t read_bytes(size_t n, const void *p)
{
    uint64_t sum = 0, v;
    for (size_t i = 0; i < n; i += sizeof v) {
        memcpy(&v, (const char *)p + i, sizeof v);
        sum += v;
    }
    return sum;
}

void cpu_ref_fill_gemm(struct cpu_kernels *k)
{
    k->gemm = gemm;
    k->gemm_bf16 = gemm_bf16;
    k->pack_cols = pack_cols;
    k->pack_rows = pack_rows;
    k->pack_cols_bf16 = pack_cols_bf16;
    k->pack_rows_bf16 = pack_rows_bf16;
    k->pack_pairs_bf16 = pack_pairs_bf16;
    k->peak_f32 = k->peak_bf16 = k->peak_int8 = peak_f32;
    k->read_bytes = read_bytes;
}
