/* test_kernels.c - every kernel of every level that this machine has against cpu/ref, and the promise about bits. */
#include <math.h>
#include "cpu/check.h"
#include "levels.h"

static void check(const char *what, double tolerance, const float *got, const float *want, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    if (!(sqrt(diff) <= tolerance * sqrt(norm) + 1e-30))
        fail_msg("%s at %s: ||a-b|| / ||b|| = %.3g, expected at most %.3g", what, now->level, sqrt(diff) / sqrt(norm), tolerance);
}

#define CHECK(kernel, got, want, n) check(#kernel, tolerance_of(#kernel), got, want, n)

/* Sums of `terms` normal numbers of spread 1 each: against the size that such sums have.  Their own may be near nothing where there are few
 * of them, terms cancel, and then rounding is large beside it. */
static void check_sums(const char *what, double tolerance, const float *got, const float *want, size_t n, int n_sum, int terms)
{
    double diff = 0;
    for (size_t i = 0; i < n; i++)
        diff += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    const double apart = sqrt(diff / ((double)n_sum * terms));
    if (!(apart <= tolerance))
        fail_msg("%s at %s: ||a-b|| is %.3g of what sums of %d terms have, expected at most %.3g", what, now->level, apart, terms, tolerance);
}

static void same_bits(const char *what, const void *a, const void *b, size_t bytes)
{
    if (memcmp(a, b, bytes))
        fail_msg("%s at %s: bits differ", what, now->level);
}

/* ---- products ---- */

static const struct { int M, N, K; } shapes[] = {
    { 0, 5, 5 }, { 1, 1, 1 }, { 1, 16, 3 }, { 2, 17, 16 }, { 3, 15, 1 }, { 5, 33, 7 }, { 6, 32, 64 }, { 13, 48, 31 }, { 14, 31, 33 },
    { 15, 64, 255 }, { 16, 65, 256 }, { 29, 16, 257 }, { 57, 100, 515 }, { 4, 40, 1030 }, { 19, 81, 1022 }, { 3, 20, 2046 },
};

static void products_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int form = 0; form < 8; form++) {
            const int M = shapes[i].M, N = shapes[i].N, K = shapes[i].K, ldc = N + 3;
            const bool b16 = form & 1, transposed = form & 2, listed = !transposed && form & 4;
            const size_t aK = (size_t)(K + 1) / 2 * 2 + 2, an = ((size_t)M + 2) * aK, panel = cpu_panel_size((size_t)K, (size_t)N);
            float *a = numbers(an, 1), *b = numbers((size_t)N * (size_t)K, 1), *bias = numbers((size_t)N, 1), *add = numbers((size_t)(M * ldc), 1);
            float *c1 = zeros((size_t)(M * ldc)), *c2 = zeros((size_t)(M * ldc));
            bf16 *a16 = mem_alloc_array(2 * an + 64, sizeof *a16), *b16p = mem_map(panel * sizeof *b16p + 64);
            float *bp = mem_map(panel * sizeof *bp + 64);
            int32_t rows[64];
            for (int m = 0; m < M; m++)
                rows[m] = (m * 7 + 1) % (M + 1);
            const struct pack p = { .K = K, .N = N, .src = b, .ld = K, .out = b16 ? (void *)b16p : (void *)bp, .panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL) };
            (b16 ? ref->pack_rows_bf16 : ref->pack_rows)(&p);
            struct gemm g = { .M = M, .N = N, .K = K, .a = a, .a_row = (ptrdiff_t)aK, .a_col = 1, .rows = listed ? rows : NULL, .b = p.out,
                              .b_panel = p.panel, .bias = form & 2 ? bias : NULL, .add = form & 4 ? add : NULL, .ld_add = ldc, .ldc = ldc };
            if (transposed)
                g.a_row = 1, g.a_col = M + 1;
            if (b16) {
                ref->to_bf16(an, a, a16);
                for (int m = 0; m <= M && K % 2; m++)
                    a16[(size_t)m * aK + (size_t)K] = 0x7fc0;      /* NaN behind an odd row must not matter */
                g.a = a16, g.a_col = 2;
                if (transposed) {
                    const struct pack q = { .K = K, .N = M, .src = a, .ld = M, .out = a16 };
                    ref->pack_pairs_bf16(&q);
                    g.a_row = 2, g.a_col = 2 * M;
                }
            }
            g.c = c1;
            (b16 ? ref->gemm_bf16 : ref->gemm)(&g);
            g.c = c2;
            (b16 ? now->gemm_bf16 : now->gemm)(&g);
            if (M)
                check_sums("gemm", tolerance_of("gemm"), c2, c1, (size_t)(M * ldc), M * N, K + !!g.bias + !!g.add);
            for (int m = 0; m < M; m++)          /* a row alone has the same bits */
                for (int n = N; n < ldc; n++)
                    assert_true(c2[m * ldc + n] == 0);
            if (M > 2) {
                float *c3 = zeros((size_t)ldc);
                struct gemm one = g;
                one.M = 1, one.c = c3;
                one.add = g.add ? g.add + (M - 1) * ldc : NULL;
                if (listed)
                    one.rows = rows + M - 1;
                else
                    one.a = (const char *)g.a + (size_t)((M - 1) * g.a_row) * (b16 ? 2 : 4);
                (b16 ? now->gemm_bf16 : now->gemm)(&one);
                same_bits("gemm of one row", c3, c2 + (M - 1) * ldc, (size_t)N * sizeof *c3);
                mem_free(c3);
            }
            mem_free(a), mem_free(b), mem_free(bias), mem_free(add), mem_free(c1), mem_free(c2), mem_free(a16);
            mem_unmap(b16p, panel * sizeof *b16p + 64);
            mem_unmap(bp, panel * sizeof *bp + 64);
        }
}

/* Each chain from zero is added to a start of 3000, whose last place is 2^-12, and rounded there once.  One chain from the start: 20 times as much. */
static void products_of_floats_round_at_a_large_start_once_a_chain(void **state)
{
    (void)state;
    enum { M = 5, N = 40, K = 8 * GEMM_CHAIN + 7 };
    const double most = (K / GEMM_CHAIN + 2) * 0x1p-13 + 1e-6;
    float *a = numbers(M * K, 0.03f), *b = numbers(N * K, 0.03f), *add = zeros(M * N), *want = zeros(M * N), *got = zeros(M * N), *pieces = zeros(M * N);
    const size_t panel = cpu_panel_size(K, N);
    float *bp = mem_map(panel * sizeof *bp);
    const struct pack p = { .K = K, .N = N, .src = b, .ld = K, .out = bp, .panel = (ptrdiff_t)cpu_panel_size(K, PANEL) };
    for (int i = 0; i < M * N; i++)
        add[i] = 3000;
    FOR_LEVELS {
        now->pack_rows(&p);
        struct gemm g = { .M = M, .N = N, .K = K, .a = a, .a_row = K, .a_col = 1, .b = bp, .b_panel = p.panel, .add = add, .ld_add = N, .c = want, .ldc = N };
        ref->gemm(&g);
        g.c = got;
        now->gemm(&g);
        for (int i = 0; i < M * N; i++)
            if (!(fabs((double)got[i] - (double)want[i]) <= most))
                fail_msg("gemm at %s: %.9g, expected %.9g within %.2g", now->level, (double)got[i], (double)want[i], most);
        for (int k = 0; k < K; k += GEMM_CHAIN) {                /* cut between chains: the same bits */
            struct gemm piece = g;
            piece.K = K - k < GEMM_CHAIN ? K - k : GEMM_CHAIN;
            piece.a = a + k, piece.b = bp + (ptrdiff_t)k * PANEL, piece.add = k ? pieces : add, piece.c = pieces;
            now->gemm(&piece);
        }
        if (now != ref)
            same_bits("gemm in pieces", pieces, got, M * N * sizeof *got);
    }
    mem_free(a), mem_free(b), mem_free(add), mem_free(want), mem_free(got), mem_free(pieces);
    mem_unmap(bp, panel * sizeof *bp);
}

static void packing_equals_ref_to_the_bit(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 1; i < sizeof shapes / sizeof *shapes; i++)
        for (int form = 0; form < 20; form++) {
            const int N = shapes[i].N, K = shapes[i].K, kind = form % 5;
            const bool src_bf16 = form >= 10, listed = form / 5 % 2, by_rows = kind == 1 || kind == 3;
            const int n_row = by_rows ? N : K, n_col = by_rows ? K : N, ld = n_col + 3;
            const size_t n_src = (size_t)(n_row + 1) * (size_t)ld, out_bytes = (cpu_panel_size((size_t)K, (size_t)N) + (size_t)(K + 1) * (size_t)N * 2) * sizeof(float);
            float *src = numbers(n_src, 1), *o1 = mem_map(out_bytes), *o2 = mem_map(out_bytes);
            bf16 *src16 = mem_alloc_array(n_src, sizeof *src16);
            ref->to_bf16(n_src, src, src16);
            int32_t *rows = mem_alloc_array((size_t)n_row, sizeof *rows);
            for (int r = 0; r < n_row; r++)
                rows[r] = (r * 3 + 1) % (n_row + 1);
            struct pack p = { .K = K, .N = N, .src = src_bf16 ? (void *)src16 : (void *)src, .src_bf16 = src_bf16, .ld = ld, .rows = listed ? rows : NULL,
                              .out = o1, .panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL) };
            void (*const of_ref[])(const struct pack *) = { ref->pack_cols, ref->pack_rows, ref->pack_cols_bf16, ref->pack_rows_bf16, ref->pack_pairs_bf16 };
            void (*const of_now[])(const struct pack *) = { now->pack_cols, now->pack_rows, now->pack_cols_bf16, now->pack_rows_bf16, now->pack_pairs_bf16 };
            of_ref[kind](&p);
            p.out = o2;
            of_now[kind](&p);
            same_bits("pack", o1, o2, out_bytes);
            mem_free(src), mem_free(src16), mem_free(rows);
            mem_unmap(o1, out_bytes);
            mem_unmap(o2, out_bytes);
        }
}

/* ---- rows ---- */

static const int widths[] = { 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 100, 128, 577 };
#define N_WIDTH (sizeof widths / sizeof *widths)
#define ROWS 5
#define MANY 50     /* so that a few values near a zero of the function do not decide */

static void norms_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++)
        for (int form = 0; form < 8; form++) {
            const int C = widths[i], ld = C + 2;
            const size_t n = (size_t)(ROWS * ld);
            float *x = numbers(n, 2), *w = numbers((size_t)C, 1), *b = numbers((size_t)C, 1), *dy = numbers(n, 1), *dx = numbers(n, 1);
            float *y1 = zeros(n), *y2 = zeros(n), *d1 = copy_of(dx, n), *d2 = copy_of(dx, n), *w1 = zeros((size_t)C), *w2 = zeros((size_t)C), *b1 = zeros((size_t)C), *b2 = zeros((size_t)C);
            float mean[ROWS], rstd[ROWS], mean2[ROWS], rstd2[ROWS];
            const bool layer = form & 1;
            struct norm p = { .n_row = ROWS, .C = C, .x = x, .ld_x = ld, .w = form & 2 ? w : NULL, .b = form & 2 && layer ? b : NULL, .eps = 1e-5f, .y = y1, .ld_y = ld,
                              .mean = layer ? mean : NULL, .rstd = rstd, .dy = dy, .ld_dy = ld, .dx = d1, .ld_dx = ld, .add_dx = form & 4, .dw = w1, .db = layer ? b1 : NULL };
            (layer ? ref->layernorm_fwd : ref->rmsnorm_fwd)(&p);
            (layer ? ref->layernorm_bwd : ref->rmsnorm_bwd)(&p);
            p.y = y2, p.dx = d2, p.dw = w2, p.db = layer ? b2 : NULL;
            (layer ? now->layernorm_bwd : now->rmsnorm_bwd)(&p);
            p.rstd = rstd2, p.mean = layer ? mean2 : NULL;
            (layer ? now->layernorm_fwd : now->rmsnorm_fwd)(&p);
            if (layer && C == 1)                 /* the mean is the value: what is left is rounding alone */
                memset(y1, 0, n * sizeof *y1), memset(y2, 0, n * sizeof *y2);
            CHECK(layernorm_fwd, y2, y1, n);
            if (!(layer && C <= 3)) {
                CHECK(layernorm_bwd, d2, d1, n);
                CHECK(layernorm_bwd, w2, w1, (size_t)C);
            }
            CHECK(layernorm_bwd, b2, b1, (size_t)C);
            float *alone = zeros(n);
            struct norm one = p;
            one.n_row = 1, one.x = x + 3 * ld, one.y = alone + 1;
            (layer ? now->layernorm_fwd : now->rmsnorm_fwd)(&one);
            if (!(layer && C == 1))
                same_bits("norm of one row", alone + 1, y2 + 3 * ld, (size_t)C * sizeof *alone);
            mem_free(x), mem_free(w), mem_free(b), mem_free(dy), mem_free(dx), mem_free(y1), mem_free(y2), mem_free(d1), mem_free(d2);
            mem_free(w1), mem_free(w2), mem_free(b1), mem_free(b2), mem_free(alone);
        }
}

static void activations_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++)
        for (int form = 0; form < 12; form++) {
            const int F = widths[i], kind = form / 2, H = kind >= 2 ? 2 * F : F;
            const size_t nh = (size_t)(MANY * H), ny = (size_t)(MANY * F);
            float *h = numbers(nh, 3), *dy = numbers(ny, 1), *scale = numbers(MANY, 1), *y1 = zeros(ny), *y2 = zeros(ny), *d1 = zeros(nh), *d2 = zeros(nh), s1[MANY], s2[MANY];
            struct act p = { .n_row = MANY, .F = F, .h = h, .ld_h = H, .scale = form % 2 ? scale : NULL, .y = y1, .ld_y = F, .dy = dy, .ld_dy = F, .dh = d1, .ld_dh = H, .dscale = s1 };
            void (*const fwd[2][6])(const struct act *) = { { ref->gelu_fwd, ref->gelu_tanh_fwd, ref->swiglu_fwd, ref->geglu_tanh_fwd, ref->geglu_fwd, ref->swiglu_clamped_fwd },
                                                            { now->gelu_fwd, now->gelu_tanh_fwd, now->swiglu_fwd, now->geglu_tanh_fwd, now->geglu_fwd, now->swiglu_clamped_fwd } };
            void (*const bwd[2][6])(const struct act *) = { { ref->gelu_bwd, ref->gelu_tanh_bwd, ref->swiglu_bwd, ref->geglu_tanh_bwd, ref->geglu_bwd, ref->swiglu_clamped_bwd },
                                                            { now->gelu_bwd, now->gelu_tanh_bwd, now->swiglu_bwd, now->geglu_tanh_bwd, now->geglu_bwd, now->swiglu_clamped_bwd } };
            fwd[0][kind](&p), bwd[0][kind](&p);
            p.y = y2, p.dh = d2, p.dscale = s2;
            fwd[1][kind](&p), bwd[1][kind](&p);
            CHECK(gelu_fwd, y2, y1, ny);
            CHECK(gelu_bwd, d2, d1, nh);
            CHECK(gelu_bwd, s2, s1, MANY);
            mem_free(h), mem_free(dy), mem_free(scale), mem_free(y1), mem_free(y2), mem_free(d1), mem_free(d2);
        }
}

static void soft_caps_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++)
        for (int form = 0; form < 3; form++) {
            const size_t n = (size_t)widths[i];
            float *x = numbers(n, form == 0 ? 0.01f : form == 1 ? 3 : 300), *y1 = zeros(n), *y2 = copy_of(x, n), *s1 = zeros(n), *s2 = zeros(n);
            ref->softcap(n, 5, x, y1, s1);
            now->softcap(n, 5, y2, y2, s2);
            CHECK(softcap, y2, y1, n);
            if (form < 2)                                          /* a slope near 0 has no digits */
                CHECK(softcap, s2, s1, n);
            now->softcap(n, 5, x, s2, NULL);
            same_bits("softcap in place", s2, y2, n * sizeof *y2);
            mem_free(x), mem_free(y1), mem_free(y2), mem_free(s1), mem_free(s2);
        }
}

static void softmax_and_cross_entropy_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++)
        for (int form = 0; form < 3; form++) {
            const int V = widths[i];
            const size_t n = (size_t)(ROWS * V);
            float *x = numbers(n, form == 0 ? 1 : 30), *a = copy_of(x, n), *b = copy_of(x, n), l1[ROWS], l2[ROWS];
            int32_t target[ROWS];
            for (int r = 0; r < ROWS; r++)
                target[r] = r == 2 ? -1 : r * 7 % V;
            ref->softmax(ROWS, V, x, V, a, V, l1);
            now->softmax(ROWS, V, x, V, b, V, l2);
            CHECK(softmax, b, a, n);
            CHECK(softmax, l2, l1, ROWS);
            memcpy(a, x, n * sizeof *a), memcpy(b, x, n * sizeof *b);
            struct ce p = { .n_row = ROWS, .V = V, .x = a, .ld = V, .target = target, .nll = l1, .grad = form != 1, .scale = 0.25f };
            ref->cross_entropy(&p);
            p.x = b, p.nll = l2;
            now->cross_entropy(&p);
            if (V > 1) {
                CHECK(cross_entropy, b, a, n);
                CHECK(cross_entropy, l2, l1, ROWS);
            } else {
                for (int r = 0; r < ROWS; r++)
                    assert_true(fabsf(l2[r]) < 1e-6f);
            }
            mem_free(x), mem_free(a), mem_free(b);
        }
}

/* Sums that cancel are held against what they are sums of. */
static void divergences_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++)
        for (int form = 0; form < 4; form++) {
            const int V = widths[i];
            float *x = numbers((size_t)V, form == 0 ? 1 : 30), *y = form == 3 ? copy_of(x, (size_t)V) : numbers((size_t)V, form == 0 ? 1 : 30);
            struct divergence a, b;
            for (int j = 0; form == 2 && j < V; j++)
                x[j] *= 100, y[j] = x[j] + 0.01f * y[j];
            ref->divergence(V, x, y, &a);
            now->divergence(V, x, y, &b);
            for (int j = 0; j < 2; j++) {
                double size = 0;
                for (int c = 0; c < V; c++)
                    size += exp((double)(j ? y : x)[c] - (double)(j ? y : x)[a.best[j]]) * fabs((double)x[c] - (double)y[c]);
                assert_int_equal(a.best[j], b.best[j]);
                assert_true(fabs(a.sum[j] - b.sum[j]) <= tolerance_of("divergence") * a.sum[j]);
                assert_true(fabs(a.cross[j] - b.cross[j]) <= tolerance_of("divergence") * size);
                assert_true(form != 3 || (b.cross[j] == 0 && b.sum[0] == b.sum[1]));
            }
            mem_free(x), mem_free(y);
        }
    FOR_LEVELS {
        struct divergence d;
        now->divergence(5, (float[]){ 0, 3, 1, 3, -1e30f }, (float[]){ 7, 0, 7, 0, 7 }, &d);
        assert_true(d.best[0] == 1 && d.best[1] == 0);
        assert_true(fabs(d.sum[0] - (2 + exp(-3) + exp(-2))) < 1e-14);
        now->divergence(5, (float[]){ 0, 3, 1, NAN, 2 }, (float[]){ 7, 0, 7, 0, 7 }, &d);
        assert_true(isnan(d.cross[0]) && isnan(d.cross[1]));
        now->divergence(3, (float[]){ 0, 3, 1 }, (float[]){ INFINITY, 0, 7 }, &d);
        assert_false(isfinite(d.cross[1]));
    }
}

static void logit_moments_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++)
        for (int form = 0; form < 3; form++) {
            const int V = widths[i];
            float *x = numbers((size_t)V, form ? 30 : 1);
            struct logit_moments a, b;
            for (int j = 0; form == 2 && j < V; j += 2)
                x[j] = -INFINITY;
            if (form == 2)
                x[0] = 1;
            ref->logit_moments(V, x, &a);
            now->logit_moments(V, x, &b);
            assert_int_equal(a.best, b.best);
            assert_true(fabs(a.sum - b.sum) <= tolerance_of("logit_moments") * a.sum);
            assert_true(fabs(a.first - b.first) <= tolerance_of("logit_moments") * fabs(a.first));
            assert_true(fabs(a.second - b.second) <= tolerance_of("logit_moments") * a.second);
            mem_free(x);
        }
    FOR_LEVELS {
        struct logit_moments m;
        now->logit_moments(4, (float[]){ 0, 2, 2, -1e30f }, &m);
        assert_true(m.best == 1 && fabs(m.sum - (2 + exp(-2))) < 1e-14 && fabs(m.first + 2 * exp(-2)) < 1e-14 && fabs(m.second - 4 * exp(-2)) < 1e-14);
        now->logit_moments(3, (float[]){ 0, NAN, 1 }, &m);
        assert_true(isnan(m.sum) && isnan(m.first) && isnan(m.second));
    }
}

static void values_that_are_not_finite_show(void **state)
{
    (void)state;
    FOR_LEVELS {
        float x[40], y[40], nll[1];
        for (int i = 0; i < 40; i++)
            x[i] = (float)i;
        x[21] = NAN;
        now->softmax(1, 40, x, 40, y, 40, NULL);
        assert_true(isnan(y[0]) && isnan(y[39]));
        const int32_t target[1] = { 3 };
        struct ce p = { .n_row = 1, .V = 40, .x = x, .ld = 40, .target = target, .nll = nll };
        now->cross_entropy(&p);
        assert_true(isnan(nll[0]));
        for (int i = 0; i < 40; i++)
            x[i] = i < 20 ? -INFINITY : 1e30f;
        now->softmax(1, 40, x, 40, y, 40, NULL);
        assert_true(y[0] == 0 && fabsf(y[39] - 0.05f) < 1e-6f);
        struct act a = { .n_row = 1, .F = 3, .h = (float[]){ NAN, -200, 200 }, .ld_h = 3, .y = y, .ld_y = 3 };
        now->gelu_fwd(&a);
        assert_true(isnan(y[0]) && fabsf(y[1]) < 1e-20f && y[2] == 200);
        now->gelu_tanh_fwd(&a);
        assert_true(isnan(y[0]) && fabsf(y[1]) < 1e-20f && y[2] == 200);
    }
}

static void rope_turns_as_ref_and_back(void **state)
{
    (void)state;
    FOR_LEVELS for (int pairs = 0; pairs < 2; pairs++)
        for (int d = 2; d <= 66; d += 8) {
            const size_t n = (size_t)(3 * (d + 4));
            float *x = numbers(n, 1), *a = copy_of(x, n), *b = copy_of(x, n), *table = numbers((size_t)d, 1);
            for (int i = 0; i < d; i += 2)
                table[i] = cosf((float)i), table[i + 1] = sinf((float)i);
            struct rope p = { .n_head = 3, .d_head = d + 4, .d_rot = d, .x = a, .cos_sin = table };
            (pairs ? ref->rope_pairs : ref->rope_half)(&p);
            p.x = b;
            (pairs ? now->rope_pairs : now->rope_half)(&p);
            CHECK(rope_half, b, a, n);
            p.inverse = true;
            (pairs ? now->rope_pairs : now->rope_half)(&p);
            check("rope and back", 1e-6, b, x, n);
            mem_free(x), mem_free(a), mem_free(b), mem_free(table);
        }
}

/* ---- attention ---- */

static void attention_equals_ref_and_is_the_same_alone(void **state)
{
    (void)state;
    static const struct { int T, group, d, window; float cap; bool all; } cases[] = {
        { 1, 1, 16, 0, 0, false }, { 5, 2, 8, 0, 0, false }, { 16, 1, 32, 0, 0, false }, { 17, 3, 20, 0, 0, false }, { 64, 1, 32, 0, 0, false }, { 65, 2, 64, 0, 0, false }, { 130, 1, 48, 0, 0, false }, { 200, 4, 16, 0, 0, false },
        { 128, 1, 128, 0, 0, false }, { 5, 2, 8, 3, 0, false }, { 65, 2, 64, 1, 0, false }, { 130, 1, 48, 17, 0, false }, { 200, 4, 16, 64, 0, false }, { 200, 2, 16, 65, 0, false }, { 200, 1, 24, 100, 0, false }, { 200, 2, 16, 500, 0, false },
        { 17, 3, 20, 0, 2, false }, { 200, 4, 16, 0, 0.5f, false }, { 130, 2, 16, 33, 2, false },
        { 1, 1, 16, 0, 0, true }, { 5, 2, 8, 0, 0, true }, { 17, 3, 20, 0, 0, true }, { 64, 1, 32, 0, 0, true }, { 65, 2, 64, 0, 0, true }, { 200, 2, 16, 0, 2, true },
        { 17, 2, 16, 4, 0, true }, { 65, 1, 24, 2, 0, true }, { 130, 2, 16, 33, 0, true }, { 200, 1, 16, 64, 0, true }, { 200, 2, 16, 65, 2, true }, { 300, 1, 8, 100, 0, true }, { 200, 1, 8, 500, 0, true },
    };
    for (int b16 = 0; b16 < 2; b16++) FOR_LEVELS for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void (*const fwd)(const struct attn *) = b16 ? now->attn_fwd_bf16 : now->attn_fwd;
        const double tolerance = tolerance_of(b16 ? "attn_fwd_bf16" : "attn_fwd");
        const int T = cases[i].T, G = cases[i].group, d = cases[i].d, ldq = G * d + 2, ldk = d + 1;
        const size_t nq = (size_t)(T * ldq), nk = (size_t)(T * ldk), nl = (size_t)(T * G);
        float *q = numbers(nq, 1), *k = numbers(nk, 1), *v = numbers(nk, 1), *d_o = numbers(nq, 1);
        float *o1 = zeros(nq), *o2 = zeros(nq), *o3 = zeros(nq), *l1 = zeros(nl), *l2 = zeros(nl), *l3 = zeros(nl);
        float *g1[3], *g2[3];
        const size_t ng[3] = { nq, nk, nk };
        for (int j = 0; j < 3; j++)
            g1[j] = zeros(ng[j]), g2[j] = zeros(ng[j]);
        float *scratch = mem_map(cpu_attn_scratch(T, T, G, d) * sizeof *scratch);
        struct attn p = { .n_q = T, .n_group = G, .d = d, .q = q, .k = k, .v = v, .ld_q = ldq, .ld_k = ldk, .ld_v = ldk, .scale = 1 / sqrtf((float)d),
                          .window = cases[i].window, .all = cases[i].all, .cap = cases[i].cap, .o = o1, .ld_o = ldq,
                          .lse = l1, .ld_lse = G, .d_o = d_o, .ld_do = ldq, .dq = g1[0], .dk = g1[1], .dv = g1[2], .ld_dq = ldq, .ld_dk = ldk, .ld_dv = ldk, .scratch = scratch };
        ref->attn_fwd(&p);
        ref->attn_bwd(&p);
        p.dq = g2[0], p.dk = g2[1], p.dv = g2[2];
        (b16 ? now->attn_bwd_bf16 : now->attn_bwd)(&p);
        p.o = o2, p.lse = l2;
        fwd(&p);
        check("attention", tolerance, o2, o1, nq);
        if (T > 1 || !b16)                                      /* one key: lse is one score, a sum of rounded products that may come near 0 */
            check("attention's lse", tolerance, l2, l1, nl);
        for (int j = T == 1 || p.window == 1 ? 2 : 0; j < 3; j++)       /* one key: dq and dk are 0 but for rounding */
            check("gradient of attention", tolerance_of(b16 ? "attn_bwd_bf16" : "attn_bwd"), g2[j], g1[j], ng[j]);
        for (int chunk = 1; !p.all && chunk <= 70; chunk += 23) { /* 1, 24, 47, 70 rows at a time */
            for (int at = 0; at < T; at += chunk) {
                struct attn c = p;
                c.n_q = T - at < chunk ? T - at : chunk, c.pos0 = at;
                c.q = q + at * ldq, c.o = o3 + at * ldq, c.lse = l3 + at * G;
                fwd(&c);
            }
            same_bits("attention by chunks", o3, o2, nq * sizeof *o3);
            same_bits("lse by chunks", l3, l2, nl * sizeof *l3);
        }
        mem_free(q), mem_free(k), mem_free(v), mem_free(d_o), mem_free(o1), mem_free(o2), mem_free(o3), mem_free(l1), mem_free(l2), mem_free(l3);
        for (int j = 0; j < 3; j++)
            mem_free(g1[j]), mem_free(g2[j]);
        mem_unmap(scratch, cpu_attn_scratch(T, T, G, d) * sizeof *scratch);
    }
}

/* p: after the forward pass, without gradients. */
static void check_gradients_of_attention(const struct attn *forward, void (*bwd)(const struct attn *), double tolerance)
{
    struct attn p = *forward;
    const int dv = attn_dv(&p);
    const size_t size[4] = { (size_t)(p.n_q * p.ld_q), (size_t)(p.n_q * p.ld_k), (size_t)(p.n_q * p.ld_v), (size_t)p.n_group };
    float *d_o = numbers((size_t)(p.n_q * p.n_group * dv), 1), *g[2][4];
    p.d_o = d_o, p.ld_do = p.n_group * dv, p.ld_dq = p.ld_q, p.ld_dk = p.ld_k, p.ld_dv = p.ld_v;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 4; j++)
            g[i][j] = zeros(size[j]);
        p.dq = g[i][0], p.dk = g[i][1], p.dv = g[i][2], p.dsink = p.sink ? g[i][3] : NULL;
        (i ? bwd : ref->attn_bwd)(&p);
    }
    const bool one_key = (p.n_q == 1 || p.window == 1) && !p.sink;      /* dq and dk are 0 but for rounding */
    for (int j = one_key ? 2 : 0; j < 3 + (p.sink != NULL); j++)
        check(j < 3 ? "gradient of attention" : "gradient of sinks", tolerance, g[1][j], g[0][j], size[j]);
    for (int i = 0; i < 8; i++)
        mem_free(g[i / 4][i % 4]);
    mem_free(d_o);
}

/* Sinks, values narrower or wider than keys, every key for every row. */
static void attention_of_other_forms_equals_ref_and_is_the_same_alone(void **state)
{
    (void)state;
    static const struct { int T, group, d, d_v, window; bool sink, all; } cases[] = {
        { 1, 2, 16, 16, 0, true, false }, { 70, 3, 16, 16, 0, true, false }, { 130, 2, 16, 16, 40, true, false }, { 65, 1, 48, 20, 0, false, false },
        { 65, 2, 20, 48, 0, true, false }, { 1, 1, 24, 24, 0, false, true }, { 70, 1, 24, 24, 0, false, true }, { 200, 2, 8, 16, 0, false, true },
        { 3, 1, 24, 24, 2, false, true }, { 70, 2, 24, 24, 1, false, true }, { 200, 2, 16, 8, 9, true, true }, { 300, 1, 16, 16, 65, false, true },
        { 130, 1, 20, 20, 200, false, true },
    };
    for (int b16 = 0; b16 < 2; b16++) FOR_LEVELS for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void (*const fwd)(const struct attn *) = b16 ? now->attn_fwd_bf16 : now->attn_fwd;
        const double tolerance = tolerance_of(b16 ? "attn_fwd_bf16" : "attn_fwd");
        const int T = cases[i].T, G = cases[i].group, d = cases[i].d, dv = cases[i].d_v, most = d > dv ? d : dv;
        const size_t nq = (size_t)(T * G * d), no = (size_t)(T * G * dv), nl = (size_t)(T * G), n_scratch = cpu_attn_scratch(T, T, G, most);
        float *q = numbers(nq, 1), *k = numbers((size_t)(T * d), 1), *v = numbers((size_t)(T * dv), 1);
        /* Of one key the slope of its score is as small as the sink's share: a sink far below it would leave rounding errors. */
        float *sink = numbers((size_t)G, T == 1 ? 0.3f : 2);
        float *o1 = zeros(no), *o2 = zeros(no), *o3 = zeros(no), *l1 = zeros(nl), *l2 = zeros(nl), *scratch = mem_map(n_scratch * sizeof *scratch);
        struct attn p = { .n_q = T, .n_group = G, .d = d, .d_v = dv, .window = cases[i].window, .all = cases[i].all, .sink = cases[i].sink ? sink : NULL, .q = q, .k = k, .v = v,
                          .ld_q = G * d, .ld_k = d, .ld_v = dv, .scale = 1 / sqrtf((float)d), .o = o1, .ld_o = G * dv, .lse = l1, .ld_lse = G, .scratch = scratch };
        ref->attn_fwd(&p);
        check_gradients_of_attention(&p, b16 ? now->attn_bwd_bf16 : now->attn_bwd, tolerance_of(b16 ? "attn_bwd_bf16" : "attn_bwd"));
        p.o = o2, p.lse = l2;
        fwd(&p);
        check("attention", tolerance, o2, o1, no);
        check("attention's lse", tolerance, l2, l1, nl);
        for (int at = 0; at < T && !p.all; at++) {
            struct attn c = p;
            c.n_q = 1, c.pos0 = at, c.q = q + at * G * d, c.o = o3 + at * G * dv, c.lse = NULL;
            fwd(&c);
        }
        if (!p.all)
            same_bits("attention alone", o3, o2, no * sizeof *o3);
        mem_free(q), mem_free(k), mem_free(v), mem_free(sink), mem_free(o1), mem_free(o2), mem_free(o3), mem_free(l1), mem_free(l2);
        mem_unmap(scratch, n_scratch * sizeof *scratch);
    }
}

/* ---- arrays ---- */

static void arrays_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++) {
        const size_t n = (size_t)widths[i];
        float *a = numbers(n, 1), *b = numbers(n, 1), *y1 = numbers(n, 1), *y2 = copy_of(y1, n);
        ref->add(n, a, b, y1), now->add(n, a, b, y2);
        same_bits("add", y1, y2, n * sizeof *y1);
        ref->scale(n, 0.3f, y1), now->scale(n, 0.3f, y2);
        same_bits("scale", y1, y2, n * sizeof *y1);
        for (int adds = 0; adds < 2; adds++) {
            ref->dropout(n, a, y1, 0x123456789abcdefu, 4096, 0.3f, adds), now->dropout(n, a, y2, 0x123456789abcdefu, 4096, 0.3f, adds);
            same_bits("dropout", y1, y2, n * sizeof *y1);
        }
        const double s1 = ref->sum_squares(n, a), s2 = now->sum_squares(n, a);
        assert_true(fabs(s1 - s2) <= 1e-12 * s1);
        bf16 h1[600], h2[600];
        ref->to_bf16(n, a, h1), now->to_bf16(n, a, h2);
        same_bits("to_bf16", h1, h2, n * sizeof *h1);
        ref->from_bf16(n, h1, y1), now->from_bf16(n, h1, y2);
        same_bits("from_bf16", y1, y2, n * sizeof *y1);
        uint32_t draw[600];
        memcpy(draw, b, n * sizeof *draw);
        ref->to_bf16_random(n, a, h1, draw, 0x9e3779b9), now->to_bf16_random(n, a, h2, draw, 0x9e3779b9);
        same_bits("to_bf16_random", h1, h2, n * sizeof *h1);
        float *m1 = numbers(n, 0.1f), *m2 = copy_of(m1, n), *v1 = zeros(n), *v2 = zeros(n), *w1 = numbers(n, 1), *w2 = copy_of(w1, n);
        for (int t = 1; t < 5; t++) {
            const struct adamw p = { .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = 1 - powf(0.9f, (float)t), .correction2 = 1 - powf(0.95f, (float)t), .grad_scale = 0.5f };
            ref->adamw(n, w1, a, m1, v1, &p), now->adamw(n, w2, a, m2, v2, &p);
        }
        CHECK(adamw, w2, w1, n);
        CHECK(adamw, m2, m1, n);
        CHECK(adamw, v2, v1, n);
        const struct momentum p = { .lr = 0.01f, .momentum = 0.9f, .wd = 0.1f, .grad_scale = 0.5f };
        memcpy(m2, m1, n * sizeof *m2), memcpy(w2, w1, n * sizeof *w2);
        for (int t = 0; t < 4; t++)
            ref->sgd(n, w1, a, m1, &p), now->sgd(n, w2, a, m2, &p);
        CHECK(sgd, w2, w1, n);
        CHECK(sgd, m2, m1, n);
        memcpy(m2, m1, n * sizeof *m2), memcpy(w2, w1, n * sizeof *w2);
        for (int t = 0; t < 4; t++)
            ref->nesterov(n, a, m1, v1, &p), now->nesterov(n, a, m2, v2, &p);
        CHECK(nesterov, m2, m1, n);
        CHECK(nesterov, v2, v1, n);
        ref->descend(n, w1, a, 0.9f, 0.3f), now->descend(n, w2, a, 0.9f, 0.3f);
        CHECK(descend, w2, w1, n);
        mem_free(a), mem_free(b), mem_free(y1), mem_free(y2), mem_free(m1), mem_free(m2), mem_free(v1), mem_free(v2), mem_free(w1), mem_free(w2);
    }
}

/* Each byte at each place, among all kinds of others. */
static void kinds_of_bytes_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (int i = 0; i < 64; i++)
        for (int c = 0; c < 256; c++) {
            char text[64];
            struct word_masks m[2];
            for (int k = 0; k < 64; k++)
                text[k] = (char)(k == i ? c : k * 37 + c * 5);
            ref->word_masks(text, &m[0]);
            now->word_masks(text, &m[1]);
            same_bits("word_masks", &m[0], &m[1], sizeof *m);
        }
}

static void bf16_rounds_to_nearest_even_and_keeps_nan(void **state)
{
    (void)state;
    static const struct { uint32_t in; bf16 out; } cases[] = { { 0x3f800000, 0x3f80 }, { 0x3f808000, 0x3f80 }, { 0x3f818000, 0x3f82 }, { 0x3f808001, 0x3f81 }, { 0x7f7fffff, 0x7f80 },
                                                               { 0xff800000, 0xff80 }, { 0x7f800001, 0x7fc0 }, { 0xffc12345, 0xffc1 }, { 0x00000001, 0x0000 }, { 0x80000000, 0x8000 } };
    FOR_LEVELS for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x[20];
        bf16 y[20];
        for (int j = 0; j < 20; j++)
            memcpy(&x[j], &cases[i].in, 4);
        now->to_bf16(20, x, y);
        if (y[0] != cases[i].out || y[19] != cases[i].out)
            fail_msg("%s: %08x became %04x and %04x, expected %04x", now->level, cases[i].in, y[0], y[19], cases[i].out);
    }
}

/* Of all numbers that can be drawn, as many lead up as it is near; what bf16 holds, and infinities, stay what they are. */
static void random_rounding_is_right_on_average(void **state)
{
    (void)state;
    static const struct { uint32_t in; bf16 low; int n_up; } cases[] = { { 0x3f800000, 0x3f80, 0 }, { 0x3f800800, 0x3f80, 0x800 }, { 0x3f808000, 0x3f80, 0x8000 }, { 0xbf80c001, 0xbf80, 0xc001 },
                                                                         { 0x00000001, 0, 1 }, { 0x7f7fffff, 0x7f7f, 0xffff }, { 0x7f800000, 0x7f80, 0 }, { 0xff800000, 0xff80, 0 } };
    enum { N = 1 << 16 };
    float *x = zeros(N);
    bf16 *y = mem_alloc_array(N, sizeof *y);
    uint32_t *draw = mem_alloc_array(N, sizeof *draw);
    for (int i = 0; i < N; i++)
        draw[i] = (uint32_t)i << 16;
    FOR_LEVELS for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int n_up = 0;
        for (int i = 0; i < N; i++)
            memcpy(&x[i], &cases[c].in, sizeof *x);
        now->to_bf16_random(N, x, y, draw, 0x12345678);
        for (int i = 0; i < N; i++) {
            assert_true(y[i] == cases[c].low || y[i] == cases[c].low + 1);
            n_up += y[i] != cases[c].low;
        }
        if (n_up != cases[c].n_up)
            fail_msg("%s: %08x went up %d times of %d, expected %d", now->level, cases[c].in, n_up, N, cases[c].n_up);
    }
    mem_free(x), mem_free(y), mem_free(draw);
}

static void sums_equal_ref(void **state)
{
    (void)state;
    FOR_LEVELS for (size_t i = 0; i < N_WIDTH; i++) {
        const int C = widths[i];
        float *src = numbers((size_t)(9 * C), 1), *add = numbers((size_t)(ROWS * C), 1), *y1 = zeros((size_t)(ROWS * C)), *y2 = zeros((size_t)(ROWS * C));
        const int32_t index[ROWS * 2] = { 0, 8, 1, 7, 2, 6, 3, 5, 4, 4 };
        struct sum_rows p = { .n_row = ROWS, .k = 2, .C = C, .src = src, .ld_src = C, .index = index, .add = add, .ld_add = C, .y = y1, .ld_y = C };
        ref->sum_rows(&p);
        p.y = y2;
        now->sum_rows(&p);
        CHECK(sum_rows, y2, y1, (size_t)(ROWS * C));
        const float weight[9] = { 1, -2, 0.5f, 3, 0, 1.25f, 7, -1, 2 };
        p.weight = weight;
        now->sum_rows(&p);
        p.y = y1;
        ref->sum_rows(&p);
        CHECK(sum_rows, y2, y1, (size_t)(ROWS * C));
        ref->col_sum(9, C, src, C, y1), now->col_sum(9, C, src, C, y2);
        CHECK(col_sum, y2, y1, (size_t)C);
        mem_free(src), mem_free(add), mem_free(y1), mem_free(y2);
    }
}

static void every_slot_of_every_level_is_filled(void **state)
{
    (void)state;
    FOR_LEVELS {
#define K(name, ret, params, tol, what) assert_non_null(now->name);
#include "cpu/kernels.def"
#undef K
        assert_non_null(now->level);
    }
}

/* ---- products held against algebra ---- */

static void (*right)(const struct gemm *);
static int64_t spoilt;                   /* of which number of the next product; -1: none */
static float by;

static void spoiling_gemm(const struct gemm *g)
{
    right(g);
    if (spoilt >= 0)
        g->c[spoilt / g->N * g->ldc + spoilt % g->N] += by;
}

/* Rounding is far below the limit, one number that is off by a tenth of what such numbers usually are is above, and the bits stay what they are. */
static void a_wrong_product_does_not_pass_the_check(void **state)
{
    (void)state;
    enum { M = 37, N = 83, K = 301 };
    float *a = numbers((size_t)M * K, 1), *b = numbers((size_t)N * K, 1), *add = numbers((size_t)M * N, 1), *c1 = zeros((size_t)M * N), *c2 = zeros((size_t)M * N);
    float *bp = mem_map(cpu_panel_size(K, N) * sizeof *bp);
    bf16 *a16 = mem_alloc_array((size_t)M * K + 1, sizeof *a16), *bp16 = mem_map(cpu_panel_size(K, N) * sizeof *bp16);
    struct pack p = { .K = K, .N = N, .src = b, .ld = K, .out = bp, .panel = (ptrdiff_t)cpu_panel_size(K, PANEL) };
    FOR_LEVELS for (int form = 0; form < 4; form++) {
        const bool b16 = form & 1, accumulates = form & 2;
        p.out = b16 ? (void *)bp16 : (void *)bp;
        (b16 ? now->pack_rows_bf16 : now->pack_rows)(&p);
        now->to_bf16((size_t)M * K, a, a16);
        struct gemm g = { .M = M, .N = N, .K = K, .a = b16 ? (void *)a16 : (void *)a, .a_row = K, .a_col = b16 ? 2 : 1, .b = p.out, .b_panel = p.panel, .c = c1, .ldc = N };
        memcpy(c1, add, (size_t)M * N * sizeof *c1), memcpy(c2, add, (size_t)M * N * sizeof *c2);
        g.add = accumulates ? c1 : NULL, g.ld_add = N;
        (b16 ? now->gemm_bf16 : now->gemm)(&g);
        g.c = c2, g.add = accumulates ? c2 : NULL;
        const struct cpu_kernels *k = cpu_check_on(now);
        (b16 ? k->gemm_bf16 : k->gemm)(&g);
        same_bits("a checked product", c1, c2, (size_t)M * N * sizeof *c1);
        const struct cpu_check r = cpu_check_result();
        assert_int_equal(r.n_row, M);
        assert_int_equal(r.n_wrong, 0);
        if (!(r.worst < CPU_CHECK_LIMIT / 100))
            fail_msg("%s: rounding is %.3g, expected at most a hundredth of the limit %.3g", now->level, r.worst, CPU_CHECK_LIMIT);
        for (int i = 0; i < 20; i++) {
            struct cpu_kernels wrong = *now;
            right = b16 ? now->gemm_bf16 : now->gemm;
            wrong.gemm = wrong.gemm_bf16 = spoiling_gemm;
            spoilt = i * 151 + i % 7, by = i % 2 ? NAN : 0.1f * sqrtf(K) * (1 + accumulates);
            k = cpu_check_on(&wrong);
            (b16 ? k->gemm_bf16 : k->gemm)(&g);
            if (cpu_check_result().n_wrong != 1)
                fail_msg("%s, form %d: %d rows wrong of number %d", now->level, form, (int)cpu_check_result().n_wrong, (int)spoilt);
            memcpy(c2, add, (size_t)M * N * sizeof *c2);
        }
    }
    mem_unmap(bp, cpu_panel_size(K, N) * sizeof *bp), mem_unmap(bp16, cpu_panel_size(K, N) * sizeof *bp16);
    mem_free(a), mem_free(b), mem_free(add), mem_free(c1), mem_free(c2), mem_free(a16);
}

/* Of every length to beyond two blocks, and each from any place; what is read beyond it is seen by the address sanitizer. */
static void texts_equal_ref(void **state)
{
    enum { LONGEST = 300 };
    static const struct text_pair pair[] = { { 'k', 'i', 0x20, 1 }, { 'a', 'b', 0, 3 }, { 0, 0xff, 0, 0 }, { 'x', 'y', 0x20, 70 } };
    struct text_set set[5] = { 0 };
    (void)state;
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < 16; i++)
            set[k].has[i] = (uint8_t)rng_u64(3, (uint64_t)(16 * k + i));
    FOR_LEVELS for (size_t n = 0; n <= LONGEST; n++) {
        char *text = malloc(n + !n);
        assert_non_null(text);
        struct text_masks m1[6], m2[6];
        uint32_t c1[7], c2[7];
        uint64_t p1[6] = { 0 }, p2[6] = { 0 };
        for (size_t i = 0; i < n; i++) {
            const uint64_t r = rng_u64(n, i);
            text[i] = r >> 32 & 1 ? (char)r : "kKiIabxXyY "[r % 11];
        }
        ref->text_masks(n, text, m1), now->text_masks(n, text, m2);
        same_bits("text_masks", m1, m2, (n + 63) / 64 * sizeof *m1);
        for (int k = 0; k <= 5; k++) {
            ref->text_counts(n, text, k, set, c1), now->text_counts(n, text, k, set, c2);
            same_bits("text_counts", c1, c2, (size_t)(k + 2) * sizeof *c1);
        }
        for (int k = 0; k <= 4; k++) {
            ref->text_pairs(n, text, k, pair, p1), now->text_pairs(n, text, k, pair, p2);
            same_bits("text_pairs", p1, p2, (n + 63) / 64 * sizeof *p1);
        }
        free(text);
    }
}

int main(void)
{
    ref = cpu_levels()[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_of_every_level_is_filled),
        cmocka_unit_test(products_equal_ref),
        cmocka_unit_test(packing_equals_ref_to_the_bit),
        cmocka_unit_test(norms_equal_ref),
        cmocka_unit_test(activations_equal_ref),
        cmocka_unit_test(soft_caps_equal_ref),
        cmocka_unit_test(softmax_and_cross_entropy_equal_ref),
        cmocka_unit_test(divergences_equal_ref),
        cmocka_unit_test(logit_moments_equal_ref),
        cmocka_unit_test(values_that_are_not_finite_show),
        cmocka_unit_test(rope_turns_as_ref_and_back),
        cmocka_unit_test(attention_equals_ref_and_is_the_same_alone),
        cmocka_unit_test(attention_of_other_forms_equals_ref_and_is_the_same_alone),
        cmocka_unit_test(arrays_equal_ref),
        cmocka_unit_test(kinds_of_bytes_equal_ref),
        cmocka_unit_test(bf16_rounds_to_nearest_even_and_keeps_nan),
        cmocka_unit_test(random_rounding_is_right_on_average),
        cmocka_unit_test(sums_equal_ref),
        cmocka_unit_test(a_wrong_product_does_not_pass_the_check),
        cmocka_unit_test(texts_equal_ref),
        cmocka_unit_test(products_of_floats_round_at_a_large_start_once_a_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
