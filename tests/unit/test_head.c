/* test_head.c - the head's product with quantised weights: nearly exact in its input, and the same bits for a row in any company. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "cpu/quant.h"
#include "nn/graph.h"

enum { K = 96, N = 200, ROWS = 19, BLOCK = 34 };
static struct err err;
static uint8_t file[N][K / 32 * BLOCK];      /* Q8_0: half scale, 32 numbers */
static float weight[N][K], x[ROWS][K];

/* Weights; rows with one number in each block that is 40 times as large as the rest. */
static void fill(void)
{
    const uint16_t d = float_to_half(0.01f);
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            const int8_t q = (int8_t)((int)(rng_u64(1, (uint64_t)(n * K + k)) % 255) - 127);
            uint8_t *b = file[n] + k / 32 * BLOCK;
            memcpy(b, &d, sizeof d);
            b[2 + k % 32] = (uint8_t)q;
            weight[n][k] = half_to_float(d) * (float)q;
        }
    for (int m = 0; m < ROWS; m++)
        for (int k = 0; k < K; k++)
            x[m][k] = (float)rng_normal(2, (uint64_t)(m * K + k)) * (k % 32 == (m * 7 + k / 32) % 32 ? 40 : 1);
}

/* x times the weight as PASS_HEAD, rows first .. first+n-1 at once. */
static void run(struct pool *pool, int first, int n, float *out)
{
    struct graph *g = graph_new();
    const enum panel_type type = PANEL_Q8;
    const int in = graph_tensor(g, TENSOR_INPUT, DT_F32, ROWS_S(K), &err, "x");
    const int w = graph_panels(g, MAT(N, K), 1, &type, &(int64_t){ N }, "w", &err);
    const int y = graph_linear(g, in, w, -1, -1, DT_F32, "y", &err);
    assert_true(in >= 0 && w >= 0 && y >= 0);
    g->tensor[y].kind = TENSOR_OUTPUT;
    g->node[0].pass = PASS_HEAD;
    OK(graph_plan(g, 1, ROWS, pool_n_thread(pool), NULL, &err));
    OK(graph_bind(g, cpu_kernels(), pool, NULL, &err));
    cpu_kernels()->pack_panels(&(struct panel_pack){ .type = TYPE_Q8_0, .K = K, .N = N, .src = file, .stride = sizeof file[0], .out = g->tensor[w].data });
    memcpy(g->tensor[in].data, x[first], (size_t)n * sizeof x[0]);
    graph_run(g, PASS_HEAD, &(struct step){ .S = n });
    memcpy(out, g->tensor[y].data, (size_t)(n * N) * sizeof *out);
    graph_free(g);
}

/* A number is off by at most half a step of the second part: its block's largest / 127 / 254 / 2, and no more than that. */
static void logits_are_exact_to_15_bits_of_the_input(void **state)
{
    (void)state;
    struct pool *pool;
    static float out[ROWS][N];
    OK(pool_new(&pool, 2, &err));
    run(pool, 0, ROWS, out[0]);
    for (int m = 0; m < ROWS; m++)
        for (int n = 0; n < N; n++) {
            double want = 0, bound = 0;
            for (int k = 0; k < K; k++) {
                double most = 0;
                for (int i = k / 32 * 32; i < k / 32 * 32 + 32; i++)
                    most = fmax(most, fabs((double)x[m][i]));
                want += (double)x[m][k] * (double)weight[n][k];
                bound += fabs((double)weight[n][k]) * (1.01 * most / 127 / 254 / 2 + 1e-6 * fabs((double)x[m][k]));
            }
            if (!(fabs((double)out[m][n] - want) <= bound))
                fail_msg("row %d, column %d: %.9g, expected %.9g +- %.2g", m, n, (double)out[m][n], want, bound);
        }
    pool_free(pool);
}

static void a_row_has_the_same_bits_in_any_company(void **state)
{
    (void)state;
    static float all[ROWS][N], some[ROWS][N];
    for (int threads = 1; threads <= 3; threads++) {
        struct pool *pool;
        OK(pool_new(&pool, threads, &err));
        if (threads == 1)
            run(pool, 0, ROWS, all[0]);
        for (int n = 1; n <= ROWS; n += n < 4 ? 1 : 5)
            for (int first = 0; first + n <= ROWS; first += n) {
                run(pool, first, n, some[0]);
                if (memcmp(some, all[first], (size_t)n * sizeof all[0]))
                    fail_msg("%d rows from %d on, %d threads: other bits", n, first, threads);
            }
        pool_free(pool);
    }
}

int main(void)
{
    fill();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_exact_to_15_bits_of_the_input),
        cmocka_unit_test(a_row_has_the_same_bits_in_any_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
