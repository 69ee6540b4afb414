#include "cpu/check.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define ROWS 512                         /* of a product that are computed and checked at a time: all that it is ever called with */
#define DEPTH 256                        /* of its sums */

static struct cpu_kernels checked;
static void (*plain)(const struct gemm *), (*plain_bf16)(const struct gemm *);
static _Atomic uint64_t n_row, n_wrong, worst;      /* worst: the bits of a double, which for positive ones sort like them */

static double of_bf16(bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* The sign of column n. */
static double sign(int n) { return ((uint64_t)n + 1) * 0x9e3779b97f4a7c15u >> 43 & 1 ? 1 : -1; }

/* Of one row: what its sum has to be, what it is, and squares of all that went into it. */
struct row { double want, got, square; };

static void add_start(const struct gemm *g, struct row *row)
{
    for (int m = 0; m < g->M && (g->bias || g->add); m++)
        for (int n = 0; n < g->N; n++) {
            const double x = (g->bias ? (double)g->bias[n] : 0) + (g->add ? (double)g->add[m * g->ld_add + n] : 0);
            row[m].want += sign(n) * x, row[m].square += x * x;
        }
}

/* s * b and the sums of squares of b for `depth` values of k. */
static void sum_columns(const struct gemm *g, bool b16, int k0, int depth, double *sum, double *square)
{
    memset(sum, 0, DEPTH * sizeof *sum);
    memset(square, 0, DEPTH * sizeof *square);
    for (int n0 = 0; n0 < g->N; n0 += PANEL) {
        const ptrdiff_t at = n0 / PANEL * g->b_panel;
        for (int k = 0; k < depth; k++)
            for (int j = 0; j < PANEL && n0 + j < g->N; j++) {
                const int kk = k0 + k;
                const double b = b16 ? of_bf16(((const bf16 *)g->b)[at + kk / 2 * 2 * PANEL + 2 * j + kk % 2]) : (double)((const real *)g->b)[at + kk * PANEL + j];
                sum[k] += sign(n0 + j) * b, square[k] += b * b;
            }
    }
}

static void add_product(const struct gemm *g, bool b16, struct row *row)
{
    double sum[DEPTH], square[DEPTH];
    for (int k0 = 0; k0 < g->K; k0 += DEPTH) {
        const int depth = g->K - k0 < DEPTH ? g->K - k0 : DEPTH;
        sum_columns(g, b16, k0, depth, sum, square);
        for (int m = 0; m < g->M; m++) {
            const ptrdiff_t at = (g->rows ? g->rows[m] : m) * g->a_row;
            for (int k = 0; k < depth; k++) {
                const int kk = k0 + k;
                const double a = b16 ? of_bf16(((const bf16 *)g->a)[at + kk / 2 * g->a_col + kk % 2]) : (double)((const real *)g->a)[at + kk * g->a_col];
                row[m].want += a * sum[k], row[m].square += a * a * square[k];
            }
        }
    }
}

static void add_result(const struct gemm *g, struct row *row)
{
    for (int m = 0; m < g->M; m++)
        for (int n = 0; n < g->N; n++) {
            const double c = (double)g->c[m * g->ldc + n];
            row[m].got += sign(n) * c, row[m].square += isfinite(c) ? c * c : 0;
        }
}

/* Numbers that are not finite, or beyond a float's range, say nothing about the kernel. */
static void judge(const struct row *r)
{
    atomic_fetch_add(&n_row, 1);
    if (!isfinite(r->want) || !isfinite(r->square) || r->square > 1e70 || r->square < 1e-60)
        return;
    const double apart = fabs(r->got - r->want) / sqrt(r->square);
    if (!(apart <= CPU_CHECK_LIMIT))
        atomic_fetch_add(&n_wrong, 1);
    uint64_t bits, now = atomic_load(&worst);
    memcpy(&bits, &apart, sizeof bits);
    while (isfinite(apart) && bits > now && !atomic_compare_exchange_weak(&worst, &now, bits))
        ;
}

static void check(const struct gemm *all, bool b16)
{
    for (int m0 = 0; m0 < all->M; m0 += ROWS) {
        struct gemm g = *all;
        struct row row[ROWS] = { { 0 } };
        g.M = all->M - m0 < ROWS ? all->M - m0 : ROWS;
        if (g.rows)
            g.rows += m0;
        else
            g.a = (const char *)g.a + m0 * g.a_row * (ptrdiff_t)(b16 ? sizeof(bf16) : sizeof(real));
        g.add = g.add ? g.add + m0 * g.ld_add : NULL;
        g.c += m0 * g.ldc;
        add_start(&g, row);
        add_product(&g, b16, row);
        (b16 ? plain_bf16 : plain)(&g);
        add_result(&g, row);
        for (int m = 0; m < g.M; m++)
            judge(&row[m]);
    }
}

static void check_gemm(const struct gemm *g) { check(g, false); }
static void check_gemm_bf16(const struct gemm *g) { check(g, true); }

const struct cpu_kernels *cpu_check_on(const struct cpu_kernels *k)
{
    checked = *k;
    plain = k->gemm, plain_bf16 = k->gemm_bf16;
    checked.gemm = check_gemm, checked.gemm_bf16 = check_gemm_bf16;
    atomic_store(&n_row, 0), atomic_store(&n_wrong, 0), atomic_store(&worst, 0);
    return &checked;
}

struct cpu_check cpu_check_result(void)
{
    struct cpu_check r = { atomic_load(&n_row), atomic_load(&n_wrong), 0 };
    const uint64_t bits = atomic_load(&worst);
    memcpy(&r.worst, &bits, sizeof r.worst);
    return r;
}
