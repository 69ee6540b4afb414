/* test_linear_act.c - a product and its activation as one operation: the bits of the two one after the other, in every form,
 * with any panels, cut in any way; norms that write int8 blocks: those of their floats. */
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/graph.h"

#define N_THREAD 3
#define T_MAX 300
#define E 4
static struct pool *pools[N_THREAD];
static struct err err;

static uint64_t stream;
static void fill(float *x, size_t n)
{
    stream++;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(stream, i);
}

/* Two types: one for each half. */
static const struct { const char *name; int n; enum cpu_type type[2]; int K; } weights[] = {
    { "q8_0", 1, { TYPE_Q8_0 }, 96 }, { "q4_k and q6_k", 2, { TYPE_Q4_K, TYPE_Q6_K }, 256 }, { "bf16", 1, { TYPE_BF16 }, 40 }, { "f32", 1, { TYPE_F32 }, 24 },
    { "f16 and q4_0", 2, { TYPE_F16, TYPE_Q4_0 }, 64 },
};
static const struct { enum op op; int parts; } acts[] = { { OP_swiglu, 2 }, { OP_gelu, 1 }, { OP_swiglu_clamped, 2 } };
static const int columns[] = { 16, 96, 208, 320 };

struct built { struct graph *g; struct routed route; int x, w, bias, scale, alone[3], fused[3]; };      /* outputs by dtype: F32, BF16; fused[2]: A8 */

/* Rows of random numbers in the file's type, packed: experts one after the other. */
static void fill_panels(const struct graph *g, int w, const enum cpu_type *type, int n_expert, int K)
{
    const struct tensor *t = &g->tensor[w];
    for (int e = 0; e < n_expert; e++)
        for (int s = 0; s < t->panels.n_segment; s++) {
            const struct panel_segment *q = &t->panels.segment[s];
            const size_t stride = type_bytes(type[s], K);
            float *x = mem_alloc_array((size_t)q->n_row * (size_t)K, sizeof *x);
            char *file = mem_alloc_array((size_t)q->n_row, stride);
            assert_true(x && file);
            fill(x, (size_t)q->n_row * (size_t)K);
            for (int64_t i = 0; i < q->n_row; i++)
                type_quantize(type[s], K, x + i * K, NULL, file + (size_t)i * stride);
            const struct panel_pack p = { type[s], K, (int)q->n_row, file, stride, (char *)t->data + (size_t)e * t->panels.expert_bytes + q->offset };
            g->k->pack_panels(&p);
            mem_free(x);
            mem_free(file);
        }
}

static int output(struct graph *g, int id)
{
    assert_true(id >= 0);
    g->tensor[id].kind = TENSOR_OUTPUT;
    return id;
}

static struct built build(int i_weight, int i_act, int F, bool experts, bool extras, struct pool *pool)
{
    struct built b = { .g = graph_new(), .bias = -1, .scale = -1 };
    struct graph *g = b.g;
    const int K = weights[i_weight].K, n = weights[i_weight].n, N = F * acts[i_act].parts, k = experts ? 2 : 1;
    enum panel_type type[2];
    int64_t rows[2];
    for (int i = 0; i < n; i++)
        type[i] = panel_of(weights[i_weight].type[i]), rows[i] = n == 1 ? N : i == 0 ? F : N - F;
    b.x = graph_tensor(g, TENSOR_INPUT, DT_F32, ROWS_T(K), &err, "x");
    b.w = graph_panels(g, experts ? CUBE(E, N, K) : MAT(N, K), n, type, rows, "w", &err);
    if (extras) {
        b.bias = graph_tensor(g, TENSOR_CONST, DT_F32, experts ? MAT(E, N) : VEC(N), &err, "bias");
        b.scale = graph_tensor(g, TENSOR_INPUT, DT_F32, (struct shape){ 1, { { k, DIM_T } } }, &err, "scale");
    }
    b.route = (struct routed){ .row = graph_tensor(g, TENSOR_INPUT, DT_I32, (struct shape){ 1, { { k, DIM_T } } }, &err, "row"),
                               .start = graph_tensor(g, TENSOR_INPUT, DT_I32, VEC(E + 1), &err, "start"),
                               .slot = graph_tensor(g, TENSOR_INPUT, DT_I32, ROWS_T(k), &err, "slot") };
    const int h = experts ? graph_expert_linear(g, b.x, b.w, b.bias, &b.route, true, DT_F32, "h", &err) : graph_linear(g, b.x, b.w, b.bias, -1, DT_F32, "h", &err);
    static const enum dtype types[] = { DT_F32, DT_BF16, DT_A8 };
    for (int i = 0; i < 3; i++) {
        if (i < 2)
            b.alone[i] = output(g, graph_act(g, acts[i_act].op, h, b.scale, types[i], "alone", &err));
        b.fused[i] = output(g, graph_linear_act(g, acts[i_act].op, b.x, b.w, b.bias, experts ? &b.route : NULL, b.scale, types[i], "fused", &err));
    }
    assert_int_equal(graph_plan(g, T_MAX, 1, pool_n_thread(pool), NULL, &err), 0);
    assert_int_equal(graph_bind(g, cpu_kernels(), pool, NULL, &err), 0);
    fill_panels(g, b.w, weights[i_weight].type, experts ? E : 1, K);
    if (extras)
        fill(g->tensor[b.bias].data, (size_t)N * (experts ? E : 1));
    return b;
}

/* Sorted rows: one expert has none, one nearly all. */
static void route_rows(const struct graph *g, const struct routed *r, int T)
{
    int32_t *row = g->tensor[r->row].data, *start = g->tensor[r->start].data;
    const int n = 2 * T;
    start[0] = start[1] = 0, start[2] = n / 8, start[3] = n / 8 + 1 < n ? n / 8 + 1 : n, start[4] = n;
    for (int i = 0; i < n; i++)
        row[i] = (int32_t)(rng_u64(77, (uint64_t)i) % (uint64_t)T);
}

static void check(int i_weight, int i_act, int F, bool experts, bool extras, struct pool *pool)
{
    struct built b = build(i_weight, i_act, F, experts, extras, pool);
    struct graph *g = b.g;
    static const int sizes[] = { 1, 5, 16, 129, T_MAX };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int T = sizes[s], rows = experts ? 2 * T : T;
        fill(g->tensor[b.x].data, (size_t)T * (size_t)weights[i_weight].K);
        if (extras)
            fill(g->tensor[b.scale].data, (size_t)rows);
        route_rows(g, &b.route, T);
        for (int i = 0; i < 3; i++)
            memset(g->tensor[b.fused[i]].data, 0xa5, g->tensor[b.fused[i]].bytes);
        graph_run(g, PASS_FORWARD, &(struct step){ .T = T, .S = 1 });
        const size_t stride = a8_row_bytes(F), whole = a8_at((F + 63) / 64 * 64);
        char *a8 = mem_alloc_array((size_t)rows, stride);
        assert_non_null(a8);
        g->k->quantize_a8(&(struct a8){ rows, F, g->tensor[b.alone[0]].data, F, a8, stride });
        bool same = true;
        for (int i = 0; i < 2; i++)
            same = same && !memcmp(g->tensor[b.alone[i]].data, g->tensor[b.fused[i]].data, (size_t)rows * (size_t)F * (i ? 2 : 4));
        for (int i = 0; i < rows && same; i++)
            same = !memcmp(a8 + (size_t)i * stride, (char *)g->tensor[b.fused[2]].data + (size_t)i * stride, whole);
        mem_free(a8);
        if (!same)
            fail_msg("%s, activation %d, %d columns, %d rows, experts %d, %d threads: other bits", weights[i_weight].name, i_act, F, T, experts, pool_n_thread(pool));
    }
    graph_free(g);
}

static void one_operation_has_the_bits_of_two(void **state)
{
    (void)state;
    int n = 0;
    for (size_t w = 0; w < sizeof weights / sizeof *weights; w++)
        for (size_t a = 0; a < sizeof acts / sizeof *acts; a++)
            for (size_t f = 0; f < sizeof columns / sizeof *columns; f++)
                for (int experts = 0; experts < 2; experts++, n++)
                    if (acts[a].parts >= weights[w].n)
                        check((int)w, (int)a, columns[f], experts, n % 2, pools[n / 2 % N_THREAD]);
}

static void panels_that_begin_amid_a_half_are_told(void **state)
{
    (void)state;
    struct graph *g = graph_new();
    const enum panel_type q8[2] = { PANEL_Q8, PANEL_Q4 };
    const int w = graph_panels(g, MAT(40, 32), 1, q8, &(int64_t){ 40 }, "w", &err), two = graph_panels(g, MAT(40, 32), 2, q8, (int64_t[]){ 20, 20 }, "two", &err);
    const int amid = graph_panels(g, MAT(64, 32), 2, q8, (int64_t[]){ 16, 48 }, "amid", &err), odd = graph_panels(g, MAT(33, 32), 1, q8, &(int64_t){ 33 }, "odd", &err);
    assert_false(graph_fuses(g, OP_swiglu, w));          /* the second half begins in the middle of a panel */
    assert_true(graph_fuses(g, OP_gelu, w));
    assert_true(graph_fuses(g, OP_swiglu, two));         /* a segment has panels of its own */
    assert_false(graph_fuses(g, OP_swiglu, amid));       /* a half of two types */
    assert_false(graph_fuses(g, OP_swiglu, odd));
    assert_false(graph_fuses(g, OP_gelu, graph_tensor(g, TENSOR_WEIGHT, DT_F32, MAT(32, 32), &err, "floats")));
    graph_free(g);
}

static void norms_write_int8_blocks_of_their_floats(void **state)
{
    (void)state;
    enum { C = 144, T = 37 };
    for (int layer = 0; layer < 2; layer++)
        for (int i = 0; i < N_THREAD; i++) {
            struct graph *g = graph_new();
            const int x = graph_tensor(g, TENSOR_INPUT, DT_F32, ROWS_T(C), &err, "x"), w = graph_tensor(g, TENSOR_CONST, DT_F32, VEC(C), &err, "w");
            const enum op op = layer ? OP_layernorm : OP_rmsnorm;
            const int y = output(g, graph_norm(g, op, x, w, -1, 1e-5, DT_F32, "y", &err)), y8 = output(g, graph_norm(g, op, x, w, -1, 1e-5, DT_A8, "y8", &err));
            assert_int_equal(graph_plan(g, T, 1, i + 1, NULL, &err), 0);
            assert_int_equal(graph_bind(g, cpu_kernels(), pools[i], NULL, &err), 0);
            fill(g->tensor[x].data, T * C);
            fill(g->tensor[w].data, C);
            graph_run(g, PASS_FORWARD, &(struct step){ .T = T, .S = 1 });
            const size_t stride = a8_row_bytes(C);
            char want[T * 512];
            assert_true(stride <= 512);
            g->k->quantize_a8(&(struct a8){ T, C, g->tensor[y].data, C, want, stride });
            for (int t = 0; t < T; t++) {
                const char *row = (const char *)g->tensor[y8].data + (size_t)t * stride;
                float back[C];
                assert_memory_equal(want + (size_t)t * stride, row, a8_at(192));
                a8_read(row, 0, C, back);
                for (int c = 0; c < C; c++) {                /* half a step of 1/127 of the block's largest, which is below 127 */
                    const float was = ((const float *)g->tensor[y].data)[t * C + c];
                    assert_true(back[c] - was < 0.5f && was - back[c] < 0.5f);
                }
            }
            graph_free(g);
        }
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N_THREAD; i++)
        if (pool_new(&pools[i], i + 1, &err) < 0)
            return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < N_THREAD; i++)
        pool_free(pools[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_operation_has_the_bits_of_two),
        cmocka_unit_test(panels_that_begin_amid_a_half_are_told),
        cmocka_unit_test(norms_write_int8_blocks_of_their_floats),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
