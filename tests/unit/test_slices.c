/* test_slices.c - the tree of sums over slices: the same for any share of it, and with no more buffers than planned. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/slices.h"

static struct err err;

#define N_FLOAT 40000

/* A graph with nothing but a gradient. */
static struct graph *make_graph(struct pool *pool)
{
    struct graph *g = graph_new();
    assert_non_null(g);
    assert_true(graph_tensor(g, TENSOR_GRAD, DT_F32, VEC(N_FLOAT), &err, "grad") >= 0);
    OK(graph_plan(g, 1, 1, pool_n_thread(pool), NULL, &err));
    OK(graph_bind(g, cpu_kernels(), pool, NULL, &err));
    return g;
}

static float leaf(int64_t v, int64_t i) { return (float)(rng_normal((uint64_t)v + 11, (uint64_t)i) * exp(3 * rng_normal(5, (uint64_t)i))); }

/* The definition, from the top: of slices v .. v + n - 1. */
static float tree(int64_t v, int64_t n, int64_t i)
{
    if (n == 1)
        return leaf(v, i);
    const float left = tree(v, n / 2, i), right = tree(v + n / 2, n / 2, i);
    return left + right;
}

static void sums_in_order_are_the_tree_from_the_top(void **state)
{
    (void)state;
    struct pool *pool;
    OK(pool_new(&pool, 2, &err));
    for (int64_t n = 1; n <= 16; n *= 2) {
        struct graph *g = make_graph(pool);
        struct slice_sums s;
        OK(slice_sums_init(&s, g, n, &err));
        for (int step = 0; step < 2; step++) {
            for (int64_t v = 0; v < n; v++) {
                slice_sums_begin(&s);
                float *x = g->tensor[0].data;
                for (int64_t i = 0; i < N_FLOAT; i++)
                    x[i] = leaf(v + step, i);
                slice_sums_end(&s);
            }
            const float *x = g->tensor[0].data;
            int n_chain = 0;
            for (int64_t i = 0; i < N_FLOAT; i++) {
                const float want = tree(step, n, i);
                if (x[i] != want)
                    fail_msg("%d slices, element %d: %.9g, expected %.9g", (int)n, (int)i, (double)x[i], (double)want);
                float chain = 0;
                for (int64_t v = 0; v < n; v++)
                    chain += leaf(v + step, i);
                n_chain += chain != want;
            }
            assert_true(n < 4 || n_chain > N_FLOAT / 10);      /* a chain is something else: this test can fail */
            assert_ptr_equal(x, g->block[TENSOR_GRAD]);
        }
        slice_sums_release(&s);
        graph_free(g);
    }
    pool_free(pool);
}

static void buffers_are_as_many_as_planned(void **state)
{
    (void)state;
    struct pool *pool;
    OK(pool_new(&pool, 1, &err));
    struct graph *g = make_graph(pool);
    const size_t one = mem_map_size(g->plan.bytes[TENSOR_GRAD]);
    for (int64_t n = 1, level = 0; n <= SLICES_MAX; n *= 2, level++) {
        struct mem_stats before, after;
        struct slice_sums s;
        mem_stats_get(&before);
        OK(slice_sums_init(&s, g, n, &err));
        mem_stats_get(&after);
        assert_int_equal(after.bytes_mapped - before.bytes_mapped, slice_sums_bytes(g, n));
        assert_true(slice_sums_bytes(g, n) >= (size_t)level * one && slice_sums_bytes(g, n) <= (size_t)(level + 1) * one);
        slice_sums_release(&s);
    }
    graph_free(g);
    pool_free(pool);
}

static void rows_are_summed_by_the_same_tree(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 16; n *= 2) {
        double rows[16 * 3];
        for (int64_t i = 0; i < 3 * n; i++)
            rows[i] = (double)leaf(i / 3, i % 3);
        slice_sums_rows(rows, n, 3);
        for (int64_t k = 0; k < 3; k++)
            assert_true(fabs(rows[k] - (double)tree(0, n, k)) <= 1e-5 * fabs(rows[k]) + 1e-6);
    }
    double order[4] = { 1e16, 1, -1e16, 1 };
    slice_sums_rows(order, 4, 1);
    assert_true(order[0] == (1e16 + 1) + (-1e16 + 1));
}

static void slices_and_micro_batches_follow_from_the_windows(void **state)
{
    (void)state;
    static const struct { int64_t batch, accumulate, slices, micro; } cases[] = {
        { 1, 1, 1, 1 }, { 12, 1, 4, 3 }, { 16, 1, 8, 2 }, { 4, 6, 8, 1 }, { 8, 8, 8, 8 }, { 5, 3, 1, 5 }, { 2, 12, 8, 1 }, { 1, 24, 8, 1 }, { 32, 4, 8, 16 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t windows = cases[i].batch * cases[i].accumulate, n = slices_default(windows, SLICES_DEFAULT_MAX);
        assert_int_equal(n, cases[i].slices);
        assert_int_equal(slices_micro(cases[i].batch, windows / n), cases[i].micro);
        assert_int_equal(windows / n % cases[i].micro, 0);
    }
}

static void as_many_slices_are_run_at_once_as_a_batch_holds_whole(void **state)
{
    (void)state;
    static const struct { int64_t batch, slice, n; int joined; } cases[] = { { 1, 1, 1, 1 }, { 12, 3, 4, 4 }, { 12, 3, 2, 2 }, { 8, 1, 8, 8 }, { 7, 1, 8, 4 }, { 4, 8, 8, 1 }, { 6, 3, 8, 2 }, { 256, 1, 256, 16 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(slices_joined(cases[i].batch, cases[i].slice, cases[i].n), cases[i].joined);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_in_order_are_the_tree_from_the_top),
        cmocka_unit_test(buffers_are_as_many_as_planned),
        cmocka_unit_test(rows_are_summed_by_the_same_tree),
        cmocka_unit_test(slices_and_micro_batches_follow_from_the_windows),
        cmocka_unit_test(as_many_slices_are_run_at_once_as_a_batch_holds_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
