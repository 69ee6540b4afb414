/* panel.h - what the levels' panel.c have in common: kinds of panels, values of 4 bits, the end of a block of activations (cpu/panel.h).
 * After the level's vec.h. */
#ifndef CPU_SIMD_PANEL_H
#define CPU_SIMD_PANEL_H

INLINE bool has_min(enum panel_type t) { return t == PANEL_Q8_M || t == PANEL_Q4_M || t == PANEL_Q4_G || t == PANEL_Q2_K || t == PANEL_Q4_K || t == PANEL_Q5_K; }
INLINE bool is_k(enum panel_type t) { return t >= PANEL_Q2_K; }
INLINE bool by_16(enum panel_type t) { return t == PANEL_Q2_K || t == PANEL_Q3_K || t == PANEL_Q6_K; }

/* IQ4, MX4 */
static const int8_t tables[2][16] = { { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 },
                                      { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 } };

/* In a block of activations, after its 32 bytes. */
#define A8_D 32
#define A8_S 36
#define A8_START 40
#define A8_START_LOW 44

/* low, sum: of the first 16 of the bytes, and of all. */
INLINE void a8_end(uint8_t *out, float d, int low, int sum)
{
    const float s = d * (float)sum;
    const int32_t start = -128 * sum, start_low = -128 * low;
    memcpy(out + A8_D, &d, 4);
    memcpy(out + A8_S, &s, 4);
    memcpy(out + A8_START, &start, 4);
    memcpy(out + A8_START_LOW, &start_low, 4);
}

/* A product of pairs of rows by one of single rows. */
#define PAIR_ROWS 8
#define PAIR_COLUMNS 128
static inline void gemm_pairs(const struct gemm_q *g, void (*gemm)(const struct gemm_q *g))
{
    float c[2 * PAIR_ROWS][PAIR_COLUMNS];
    struct gemm_q p = { .type = g->type, .K = g->K, .a_stride = g->a_stride, .c = c[0], .ldc = PAIR_COLUMNS };
    for (int n = 0; n < g->N; n += PAIR_COLUMNS)
        for (int m = 0; m < g->M; m += PAIR_ROWS) {
            const int rows = g->M - m < PAIR_ROWS ? g->M - m : PAIR_ROWS;
            p.M = 2 * rows, p.N = g->N - n < PAIR_COLUMNS ? g->N - n : PAIR_COLUMNS;
            p.a = (const char *)g->a + (size_t)(2 * m) * g->a_stride;
            p.b = (const char *)g->b + (size_t)(n / PANEL) * panel_stride(g->type, g->K);
            gemm(&p);
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < p.N; j++) {
                    const float add = g->add ? g->add[(m + i) * g->ld_add + n + j] : 0;
                    g->c[(m + i) * g->ldc + n + j] = (g->bias ? add + g->bias[n + j] : add) + (c[2 * i][j] + c[2 * i + 1][j]);
                }
        }
}
#endif
