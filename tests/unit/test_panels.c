/* test_panels.c - packed weights in the types of files: exact packing, int8 activations, products at every level. */
#include <float.h>
#include <math.h>
#include "levels.h"

#define FOR_TYPES for (enum cpu_type t = 0; t < N_CPU_TYPE; t++)

/* ---- rows of blocks of a type: any bits for quants, scales of a sensible size ---- */

static void put_half(uint8_t *p, double x)
{
    const uint16_t h = float_to_half((float)x);
    memcpy(p, &h, sizeof h);
}

static void fill_block(enum cpu_type t, uint8_t *b, uint64_t key)
{
    const size_t bytes = type_block_bytes(t);
    const double x = 0.01 * rng_normal(key, 1000), y = 0.01 * rng_normal(key, 1001);
    const float fx = (float)x, fy = (float)y;
    for (size_t i = 0; i < bytes; i++)
        b[i] = (uint8_t)(rng_uniform(key, i) * 256);
    switch (t) {
    case TYPE_F32: memcpy(b, &fx, sizeof fx); break;
    case TYPE_F16: put_half(b, x); break;
    case TYPE_BF16: b[1] = (uint8_t)(0x3c | (b[1] & 0x80)); break;
    case TYPE_F8_E4M3: case TYPE_F8_E5M2: b[0] &= 0xbf; break;
    case TYPE_Q4_1: case TYPE_Q5_1: put_half(b, x), put_half(b + 2, y); break;
    case TYPE_Q4_G: memcpy(b, &fx, sizeof fx), memcpy(b + 4, &fy, sizeof fy); break;
    case TYPE_MXFP4: b[0] = (uint8_t)(110 + b[0] % 12); break;
    case TYPE_Q2_K: put_half(b + 80, x), put_half(b + 82, y); break;
    case TYPE_Q3_K: put_half(b + 108, x); break;
    case TYPE_Q4_K: case TYPE_Q5_K: put_half(b, x), put_half(b + 2, y); break;
    case TYPE_Q6_K: put_half(b + 208, x); break;
    default: put_half(b, x);
    }
}

struct weight { enum cpu_type type; int K, N; uint8_t *rows; size_t stride; void *panels; size_t bytes; };

static struct weight weight_new(enum cpu_type t, int K, int N)
{
    struct weight w = { t, K, N, NULL, type_bytes(t, K) + 3, NULL, panel_bytes(panel_of(t), K, N) + 64 };
    w.rows = mem_alloc_array((size_t)N, w.stride);
    w.panels = mem_map(w.bytes);
    assert_true(w.rows && w.panels);
    for (int n = 0; n < N; n++)
        for (int i = 0; i < K / type_block(t); i++)
            fill_block(t, w.rows + (size_t)n * w.stride + (size_t)i * type_block_bytes(t), ++stream);
    memset(w.panels, 0xa5, w.bytes);
    return w;
}

static void weight_pack(const struct cpu_kernels *k, const struct weight *w, void *out)
{
    const struct panel_pack p = { .type = w->type, .K = w->K, .N = w->N, .src = w->rows, .stride = w->stride, .out = out };
    k->pack_panels(&p);
}

static void weight_release(struct weight *w)
{
    mem_free(w->rows);
    mem_unmap(w->panels, w->bytes);
}

/* c = start + a * w^T at a level.  a: A8 rows, or floats or bf16 for plain panels; rows: a list for those. */
struct operands { const void *a; size_t a_stride; const int32_t *rows; const float *bias, *add; ptrdiff_t ld; bool pairs; };

static void product(const struct cpu_kernels *k, const struct weight *w, const struct operands *o, int M, float *c)
{
    const enum panel_type t = panel_of(w->type);
    if (PANEL_IS_A8(t)) {
        const struct gemm_q g = { .type = t, .M = M, .N = w->N, .K = w->K, .a = o->a, .a_stride = o->a_stride, .pairs = o->pairs, .b = w->panels,
                                  .bias = o->bias, .add = o->add, .ld_add = o->ld, .c = c, .ldc = o->ld };
        k->gemm_q(&g);
        return;
    }
    const size_t size = t == PANEL_F32 ? 4 : 2;
    const struct gemm g = { .M = M, .N = w->N, .K = w->K, .a = o->a, .a_row = (ptrdiff_t)(o->a_stride / (t == PANEL_BF16 ? 2 : 4)),
                            .a_col = t == PANEL_BF16 ? 2 : 1, .rows = o->rows, .b = w->panels, .b_panel = (ptrdiff_t)(panel_stride(t, w->K) / size),
                            .bias = o->bias, .add = o->add, .ld_add = o->ld, .c = c, .ldc = o->ld };
    (t == PANEL_F32 ? k->gemm : t == PANEL_F16 ? k->gemm_f16 : k->gemm_bf16)(&g);
}

/* M rows of K numbers as a level of kernels and a type of panels want them. */
struct rows { void *data; size_t stride, bytes; };

static struct rows rows_new(const struct cpu_kernels *k, enum panel_type t, int M, int K, const float *x)
{
    struct rows r = { .stride = PANEL_IS_A8(t) ? a8_row_bytes(K) : t == PANEL_BF16 ? (size_t)(K + 1) / 2 * 4 : (size_t)K * 4 };
    r.bytes = r.stride * (size_t)M + 64;
    r.data = mem_map(r.bytes);
    assert_non_null(r.data);
    if (PANEL_IS_A8(t)) {
        const struct a8 p = { .M = M, .K = K, .x = x, .ld_x = K, .out = r.data, .stride = r.stride };
        k->quantize_a8(&p);
    }
    for (int m = 0; m < M && !PANEL_IS_A8(t); m++)
        if (t == PANEL_BF16)
            k->to_bf16((size_t)K, x + (size_t)m * (size_t)K, (bf16 *)(void *)((char *)r.data + (size_t)m * r.stride));
        else
            memcpy((char *)r.data + (size_t)m * r.stride, x + (size_t)m * (size_t)K, (size_t)K * 4);
    return r;
}

/* ---- the tests ---- */

static double distance(const float *a, const float *b, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(diff) / (sqrt(norm) + 1e-30);
}

static void packed_weights_are_the_weights_of_the_file(void **state)
{
    (void)state;
    now = ref;
    FOR_TYPES {
        const int K = type_block(t) > 32 ? 512 : type_block(t) > 1 ? 96 : 33, N = 19;
        struct weight w = weight_new(t, K, N);
        weight_pack(ref, &w, w.panels);
        float *unit = mem_alloc_array((size_t)(K * K), sizeof *unit), *c = mem_alloc_array((size_t)(K * N), sizeof *c), *want = mem_alloc_array((size_t)(K * N), sizeof *want);
        float *row = mem_alloc_array((size_t)K, sizeof *row);
        for (int k = 0; k < K; k++)
            unit[k * K + k] = 1;
        struct rows a = rows_new(ref, panel_of(t), K, K, unit);
        const struct operands o = { .a = a.data, .a_stride = a.stride, .ld = N };
        product(ref, &w, &o, K, c);
        for (int n = 0; n < N; n++) {
            type_dequantize(t, K, w.rows + (size_t)n * w.stride, row);
            for (int k = 0; k < K; k++) {
                want[k * N + n] = row[k];
                if (!(fabsf(c[k * N + n] - row[k]) <= 3e-7f * (fabsf(row[k]) + 0.1f)))
                    fail_msg("%s: element (%d, %d) is %.9g, expected %.9g", type_name(t), n, k, c[k * N + n], row[k]);
            }
        }
        assert_true(distance(c, want, (size_t)(K * N)) < 1e-6);
        mem_free(unit), mem_free(c), mem_free(want), mem_free(row);
        mem_unmap(a.data, a.bytes);
        weight_release(&w);
    }
}

static void packing_in_pieces_and_at_every_level_gives_the_same_bytes(void **state)
{
    (void)state;
    FOR_LEVELS FOR_TYPES {
        const int K = type_block(t) > 32 ? 768 : type_block(t) > 1 ? 160 : 37, N = 45;
        struct weight w = weight_new(t, K, N);
        const size_t panel = panel_stride(panel_of(t), K), n = panel * 3;
        uint8_t *o = mem_map(n);
        weight_pack(ref, &w, w.panels);
        for (int n0 = 0; n0 < N; n0 += 32) {
            const struct panel_pack p = { .type = t, .K = K, .N = N - n0 < 32 ? N - n0 : 32, .src = w.rows + (size_t)n0 * w.stride, .stride = w.stride, .out = o + (size_t)(n0 / 16) * panel };
            now->pack_panels(&p);
        }
        if (memcmp(o, w.panels, n))
            fail_msg("%s at %s: bytes differ", type_name(t), now->level);
        for (int i = 0; i < 64; i++)
            assert_true(((uint8_t *)w.panels)[n + (size_t)i] == 0xa5);
        mem_unmap(o, n);
        weight_release(&w);
    }
}

static void activations_have_the_same_bits_at_every_level(void **state)
{
    (void)state;
    static const int widths[] = { 1, 31, 32, 33, 63, 64, 65, 96, 576, 2048 };
    FOR_LEVELS for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const int K = widths[i], M = 7;
        float *x = numbers((size_t)(M * K), 2);
        x[0] = NAN, x[2 * K] = -INFINITY, x[3 * K] = 1e-38f, x[4 * K] = FLT_MAX, x[K] = 1e6f;
        memset(x + 5 * K, 0, (size_t)K * sizeof *x);
        struct rows a = rows_new(ref, PANEL_Q8, M, K, x), b = rows_new(now, PANEL_Q8, M, K, x);
        if (memcmp(a.data, b.data, a.bytes))
            fail_msg("%s: K = %d: bits differ", now->level, K);
        for (int k = 64; k < K; k += 64) {            /* the same in two pieces */
            memset(b.data, 0, b.bytes);
            const struct a8 p = { .M = M, .K = k, .x = x, .ld_x = K, .out = b.data, .stride = b.stride };
            const struct a8 q = { .M = M, .K = K - k, .x = x + k, .ld_x = K, .out = (char *)b.data + a8_at(k), .stride = b.stride };
            now->quantize_a8(&p);
            now->quantize_a8(&q);
            assert_memory_equal(a.data, b.data, a.bytes);
        }
        mem_free(x);
        mem_unmap(a.data, a.bytes), mem_unmap(b.data, b.bytes);
    }
}

/* d * q is within half a step of x, and what is not finite reaches the result. */
static void activations_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    FOR_LEVELS {
        const int K = 576;
        float *x = numbers((size_t)K, 3);
        struct rows a = rows_new(now, PANEL_Q8, 1, K, x);
        for (int k = 0; k < K; k++) {
            const uint8_t *b = (uint8_t *)a.data + k / 32 * A8_BLOCK_BYTES;
            float d;
            memcpy(&d, b + 32, sizeof d);
            assert_true(fabsf(d * (float)(int8_t)b[k % 32] - x[k]) <= 0.5001f * d);
        }
        mem_free(x);
        mem_unmap(a.data, a.bytes);
    }
}

static void values_that_are_not_finite_show(void **state)
{
    (void)state;
    FOR_LEVELS FOR_TYPES {
        const int K = type_block(t) > 32 ? 256 : 64, N = 16;
        struct weight w = weight_new(t, K, N);
        weight_pack(ref, &w, w.panels);
        float *x = numbers((size_t)(2 * K), 1), c[32];
        x[5] = NAN;
        struct rows a = rows_new(now, panel_of(t), 2, K, x);
        const struct operands o = { .a = a.data, .a_stride = a.stride, .ld = N };
        product(now, &w, &o, 2, c);
        for (int n = 0; n < N; n++)
            assert_true(isnan(c[n]) && !isnan(c[N + n]));
        mem_free(x);
        mem_unmap(a.data, a.bytes);
        weight_release(&w);
    }
}

static const struct { int M, N, K; } shapes[] = { { 0, 16, 64 }, { 1, 1, 32 }, { 1, 16, 64 }, { 2, 17, 96 }, { 3, 48, 160 }, { 5, 33, 576 }, { 17, 31, 256 },
                                                  { 24, 64, 320 }, { 35, 20, 288 }, { 50, 100, 1056 } };

static void check_level(const struct weight *w, const struct operands *o, int M, const float *want, const float *before)
{
    const size_t n = (size_t)M * (size_t)o->ld;
    float *c = mem_alloc_array(n + 1, sizeof *c);
    memcpy(c, before, n * sizeof *c);
    product(now, w, o, M, c);
    const double d = distance(c, want, n);
    if (!(d <= 2e-6))
        fail_msg("%s at %s, M = %d, N = %d, K = %d: ||a-b|| / ||b|| = %.3g", type_name(w->type), now->level, M, w->N, w->K, d);
    for (int m = 0; m < M; m++)
        assert_memory_equal(c + m * o->ld + w->N, before + m * o->ld + w->N, (size_t)(o->ld - w->N) * sizeof *c);
    if (o->add) {                                  /* add may be c */
        float *in_place = mem_alloc_array(n + 1, sizeof *c);
        memcpy(in_place, o->add, n * sizeof *c);
        struct operands p = *o;
        p.add = in_place;
        product(now, w, &p, M, in_place);
        for (int m = 0; m < M; m++)
            assert_memory_equal(in_place + m * o->ld, c + m * o->ld, (size_t)w->N * sizeof *c);
        mem_free(in_place);
    }
    mem_free(c);
}

static void products_equal_ref(void **state)
{
    (void)state;
    FOR_TYPES for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int form = 0; form < 4; form++) {
            const int block = type_block(t), M = shapes[i].M, N = shapes[i].N, K = (shapes[i].K + block - 1) / block * block, ld = N + 3;
            const size_t nc = (size_t)(M * ld);
            struct weight w = weight_new(t, K, N);
            weight_pack(ref, &w, w.panels);
            float *x = numbers((size_t)((M + 1) * K), 1), *bias = numbers((size_t)N, 1), *add = numbers(nc, 1), *before = numbers(nc, 1), *want = numbers(nc, 1);
            int32_t rows[64];
            for (int m = 0; m < M; m++)
                rows[m] = (m * 7 + 1) % (M + 1);
            struct rows a = rows_new(ref, panel_of(t), M + 1, K, x);
            const struct operands o = { a.data, a.stride, form & 1 && !PANEL_IS_A8(panel_of(t)) ? rows : NULL, form & 1 ? bias : NULL, form & 2 ? add : NULL, ld, false };
            memcpy(want, before, nc * sizeof *want);
            product(ref, &w, &o, M, want);
            FOR_LEVELS check_level(&w, &o, M, want, before);
            mem_free(x), mem_free(bias), mem_free(add), mem_free(before), mem_free(want);
            mem_unmap(a.data, a.bytes);
            weight_release(&w);
        }
}

/* M = 1 .. 40 from any place, and single panels, against M = 512. */
static void a_row_has_the_same_bits_in_any_product(void **state)
{
    (void)state;
    FOR_LEVELS FOR_TYPES {
        if (now == ref)
            continue;
        const int K = type_block(t) > 32 ? 512 : 288, N = 48, M = 512;
        struct weight w = weight_new(t, K, N);
        weight_pack(ref, &w, w.panels);
        float *x = numbers((size_t)(M * K), 1), *whole = numbers((size_t)(M * N), 1), *part = numbers((size_t)(M * N), 1);
        struct rows a = rows_new(now, panel_of(t), M, K, x);
        struct operands o = { .a = a.data, .a_stride = a.stride, .ld = N };
        product(now, &w, &o, M, whole);
        int m0 = 0;
        for (int m = 1; m <= 40 && m0 + m <= M; m0 += m / 2, m++) {
            o.a = (char *)a.data + (size_t)m0 * a.stride;
            product(now, &w, &o, m, part);
            if (memcmp(part, whole + m0 * N, (size_t)(m * N) * sizeof *part))
                fail_msg("%s at %s: %d rows from row %d differ from themselves in %d rows", type_name(t), now->level, m, m0, M);
        }
        struct weight one = w;
        one.panels = (char *)w.panels + panel_stride(panel_of(t), K), one.N = 16;
        for (int m = 1; m <= 40; m += 13) {
            o.a = a.data;
            product(now, &one, &o, m, part);
            for (int i = 0; i < m; i++)
                assert_memory_equal(part + i * N, whole + i * N + 16, 16 * sizeof *part);
        }
        mem_free(x), mem_free(whole), mem_free(part);
        mem_unmap(a.data, a.bytes);
        weight_release(&w);
    }
}

/* M rows in two parts each. */
static struct rows pairs_new(const struct cpu_kernels *k, int M, int K, const float *x)
{
    struct rows r = { .stride = a8_row_bytes(K) };
    r.bytes = 2 * r.stride * (size_t)M;
    r.data = mem_map(r.bytes);
    assert_non_null(r.data);
    k->quantize_a8(&(struct a8){ .M = M, .K = K, .x = x, .ld_x = K, .out = r.data, .stride = 2 * r.stride });
    for (int m = 0; m < M; m++)
        a8_rest(K, x + m * K, (char *)r.data + (size_t)(2 * m) * r.stride, (char *)r.data + (size_t)(2 * m + 1) * r.stride);
    return r;
}

static void two_parts_hold_a_row_to_15_bits(void **state)
{
    (void)state;
    const int K = 81;
    float *x = numbers((size_t)K, 3), part[2][96];
    x[40] = 0, x[64] = NAN;
    struct rows a = pairs_new(ref, 1, K, x);
    for (int i = 0; i < 2; i++)
        a8_read((char *)a.data + (size_t)i * a.stride, 0, 96, part[i]);
    for (int k = 0; k < 64; k++) {
        float d;
        memcpy(&d, (char *)a.data + k / 32 * A8_BLOCK_BYTES + 32, sizeof d);
        assert_true(fabsf(part[0][k] + part[1][k] - x[k]) <= d / 256 * 1.001f);
    }
    for (int k = 64; k < 96; k++)
        assert_true(isnan(part[0][k]) && isnan(part[1][k]));
    mem_free(x);
    mem_unmap(a.data, a.bytes);
}

static void pairs_of_rows_are_added(void **state)
{
    (void)state;
    static const int sizes[] = { 1, 2, 3, 5, 7, 8, 13, 40 };
    FOR_TYPES for (int form = 0; form < 2 && PANEL_IS_A8(panel_of(t)); form++) {
        const int K = type_block(t) > 32 ? 512 : 288, N = 150, M = 40, ld = N + 3;
        struct weight w = weight_new(t, K, N);
        weight_pack(ref, &w, w.panels);
        float *x = numbers((size_t)(M * K), 1), *bias = numbers((size_t)N, 1), *add = numbers((size_t)(M * ld), 1);
        float *want = numbers((size_t)(M * ld), 1), *before = numbers((size_t)(M * ld), 1), *whole = numbers((size_t)(M * ld), 1);
        struct rows a = pairs_new(ref, M, K, x);
        struct operands o = { .a = a.data, .a_stride = a.stride, .bias = form ? bias : NULL, .add = form ? add : NULL, .ld = ld, .pairs = true };
        memcpy(want, before, (size_t)(M * ld) * sizeof *want);
        product(ref, &w, &o, M, want);
        FOR_LEVELS {
            o.a = a.data, o.add = form ? add : NULL;
            check_level(&w, &o, M, want, before);
            product(now, &w, &o, M, whole);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                float *part = numbers((size_t)(M * ld), 1);
                const int m0 = M - sizes[i];
                o.a = (char *)a.data + (size_t)(2 * m0) * a.stride, o.add = form ? add + m0 * ld : NULL;
                product(now, &w, &o, sizes[i], part);
                for (int m = 0; m < sizes[i]; m++)
                    if (memcmp(part + m * ld, whole + (m0 + m) * ld, (size_t)N * sizeof *part))
                        fail_msg("%s at %s: row %d of %d is not that of %d", type_name(t), now->level, m, sizes[i], M);
                mem_free(part);
            }
        }
        mem_free(x), mem_free(bias), mem_free(add), mem_free(want), mem_free(before), mem_free(whole);
        mem_unmap(a.data, a.bytes);
        weight_release(&w);
    }
}

static void sizes_are_whole_cache_lines_and_follow_the_types(void **state)
{
    (void)state;
    for (enum panel_type t = PANEL_Q8; t < N_PANEL_TYPE; t++)
        assert_true(panel_record_bytes(t) % 64 == 0);
    assert_int_equal(panel_stride(PANEL_F16, 33), 33 * 32);
    assert_int_equal(panel_stride(PANEL_Q8, 96), 2 * 1088);
    assert_int_equal(panel_bytes(PANEL_Q4_K, 512, 17), 2 * 2 * 16 * 144);
    assert_int_equal(panel_bytes(PANEL_Q8, 0, 0), 0);
    assert_int_equal(a8_row_bytes(33), 3 * 64);
    assert_int_equal(a8_row_bytes(2048), 49 * 64);
}

int main(void)
{
    ref = cpu_levels()[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_whole_cache_lines_and_follow_the_types),
        cmocka_unit_test(packed_weights_are_the_weights_of_the_file),
        cmocka_unit_test(packing_in_pieces_and_at_every_level_gives_the_same_bytes),
        cmocka_unit_test(activations_have_the_same_bits_at_every_level),
        cmocka_unit_test(activations_are_rounded_to_the_nearest),
        cmocka_unit_test(values_that_are_not_finite_show),
        cmocka_unit_test(products_equal_ref),
        cmocka_unit_test(a_row_has_the_same_bits_in_any_product),
        cmocka_unit_test(two_parts_hold_a_row_to_15_bits),
        cmocka_unit_test(pairs_of_rows_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
