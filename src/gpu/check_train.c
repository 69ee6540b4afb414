/* check_train.c - the kernels of training beside cpu/ref, and beside what nn/op_moe.c defines. */
#include "gpu/check_job.h"
#include "cpu/kernels.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct cpu_kernels *ref(void) { return cpu_levels()[0]; }
static long ceil_div(long a, long b) { return (a + b - 1) / b; }
static int waves(const struct job *j) { return 256 / gpu_facts(j->g)->wave; }
static size_t count(int a, int b) { return (size_t)a * (size_t)b; }

static float from_bf16(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
/* x, or the nearest bf16 to it. */
static float rounded(float x, bool to16)
{
    uint16_t h;
    ref()->to_bf16(1, &x, &h);
    return to16 ? from_bf16(h) : x;
}
static float *rounded_copy(struct job *j, const float *x, size_t n)
{
    float *y = job_host(j, n * 4);
    for (size_t i = 0; y && x && i < n; i++)
        y[i] = rounded(x[i], true);
    return y;
}
/* n numbers that the device left as floats or bf16. */
static float *got(struct job *j, const void *device, size_t n, bool is16)
{
    float *y = job_host(j, n * 4);
    uint16_t *h = is16 ? job_host(j, n * 2) : NULL;
    job_download(j, is16 ? (void *)h : y, device, n * (is16 ? 2 : 4));
    for (size_t i = 0; is16 && !j->rc && i < n; i++)
        y[i] = from_bf16(h[i]);
    return y;
}
/* Half of a last place of bf16 is granted to a result that is one. */
static double tolerance(const char *kernel, bool is16) { return is16 ? 0x1p-8 / sqrt(3) : job_tolerance(kernel); }

/* ---- norms ---- */

static void norm(struct job *j, int n_row, int n_part, int C, bool layer, bool y16, bool add)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d, %d of %d%s%s", layer ? "layer" : "rms", n_row, n_part, C, y16 ? ", to bf16" : "", add ? ", added" : "");
    const int width = n_part * C, n_chunk = (int)ceil_div(n_row, GPU_CHUNK), all = n_row * n_part;
    const size_t n = count(n_row, width);
    float *x = job_floats(j, n), *w = job_floats(j, (size_t)C), *b = job_floats(j, (size_t)C), *dy = job_floats(j, n), *dx = job_floats(j, n);
    float *mean = job_host(j, (size_t)all * 4), *rstd = job_host(j, (size_t)all * 4), *dw = job_floats(j, (size_t)C), *db = job_host(j, (size_t)C * 4), *y = job_host(j, n * 4);
    for (size_t i = 0; x && i < n; i++)
        x[i] += layer ? 3 : 0;
    struct norm_train_args a = { .x = job_upload(j, x, n * 4), .w = job_upload(j, w, (size_t)C * 4), .b = layer ? job_upload(j, b, (size_t)C * 4) : NULL, .y = job_device(j, n * 4),
                           .mean = job_device(j, (size_t)all * 4), .rstd = job_device(j, (size_t)all * 4), .dy = job_upload(j, dy, n * 4), .dx = job_upload(j, dx, n * 4),
                           .partial = job_device(j, count(n_chunk, 2 * C) * 4), .ld_x = width, .ld_y = width, .ld_dy = width, .ld_dx = width, .ld_stat = n_part, .n_row = n_row,
                           .n_part = n_part, .C = C, .layer = layer, .y16 = y16, .add = add, .eps = 1e-5f };
    struct chunk_sum_args s = { .y = job_upload(j, dw, (size_t)C * 4), .partial = a.partial, .ld = 2 * C, .n_chunk = n_chunk, .C = C, .add = add };
    struct chunk_sum_args sb = { .y = job_device(j, (size_t)C * 4), .partial = a.partial + C, .ld = 2 * C, .n_chunk = n_chunk, .C = C };
    job_launch(j, GPU_norm_train, all, 1, 1, &a);
    job_launch(j, GPU_norm_dx, all, 1, 1, &a);
    job_launch(j, GPU_norm_dw, ceil_div(C, 256), n_chunk, 1, &a);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &s);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &sb);
    if (!j->rc) {
        struct norm p = { .n_row = all, .C = C, .x = x, .ld_x = C, .w = w, .b = layer ? b : NULL, .eps = 1e-5f, .y = y, .ld_y = C, .mean = mean, .rstd = rstd, .dy = dy, .ld_dy = C,
                          .dx = dx, .ld_dx = C, .add_dx = add, .dw = dw, .db = db };
        if (!add)
            memset(dw, 0, (size_t)C * 4);
        (layer ? ref()->layernorm_fwd : ref()->rmsnorm_fwd)(&p);
        (layer ? ref()->layernorm_bwd : ref()->rmsnorm_bwd)(&p);
    }
    job_compare(j, "norm_train", got(j, a.y, n, y16), y, n, tolerance(layer ? "layernorm_fwd" : "rmsnorm_fwd", y16));
    job_compare(j, "norm_train rstd", got(j, a.rstd, (size_t)all, false), rstd, (size_t)all, 1e-6);
    if (layer)
        job_compare(j, "norm_train mean", got(j, a.mean, (size_t)all, false), mean, (size_t)all, 1e-6);
    job_compare(j, "norm_dx", got(j, a.dx, n, false), dx, n, job_tolerance("rmsnorm_bwd"));
    job_compare(j, "norm_dw", got(j, s.y, (size_t)C, false), dw, (size_t)C, job_tolerance("rmsnorm_bwd"));
    job_compare(j, "norm_dw, b", got(j, sb.y, (size_t)C, false), db, (size_t)C, job_tolerance("rmsnorm_bwd"));
    job_end(j, "norm_train");
}

/* The same by a wave a row; dy as floats, which dx may be added to, or bf16. */
static void norm_wave(struct job *j, int n_row, int C, bool layer, bool y16, bool dy16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d of %d%s%s", layer ? "layer" : "rms", n_row, C, y16 ? ", to bf16" : "", dy16 ? ", dy bf16" : "");
    const int n_chunk = (int)ceil_div(n_row, GPU_CHUNK);
    const size_t n = count(n_row, C);
    float *x = job_floats(j, n), *w = job_floats(j, (size_t)C), *b = job_floats(j, (size_t)C), *dy = job_floats(j, n), *dx = job_floats(j, n), *y = job_host(j, n * 4);
    float *mean = job_host(j, (size_t)n_row * 4), *rstd = job_host(j, (size_t)n_row * 4), *dw = job_host(j, (size_t)C * 4), *db = job_host(j, (size_t)C * 4);
    uint16_t *dy_half = job_host(j, n * 2);
    for (size_t i = 0; x && i < n; i++)
        x[i] += layer ? 3 : 0;
    if (!j->rc && dy16) {
        ref()->to_bf16(n, dy, dy_half);
        dy = rounded_copy(j, dy, n);
    }
    struct norm_train_args a = { .x = job_upload(j, x, n * 4), .w = job_upload(j, w, (size_t)C * 4), .b = layer ? job_upload(j, b, (size_t)C * 4) : NULL, .y = job_device(j, n * 4),
                                 .mean = job_device(j, (size_t)n_row * 4), .rstd = job_device(j, (size_t)n_row * 4), .dy = dy16 ? job_upload(j, dy_half, n * 2) : job_upload(j, dy, n * 4),
                                 .dx = job_upload(j, dx, n * 4), .partial = job_device(j, count(n_chunk, 2 * C) * 4), .ld_x = C, .ld_y = C, .ld_dy = C, .ld_dx = C, .ld_stat = 1,
                                 .n_row = n_row, .n_part = 1, .C = C, .layer = layer, .y16 = y16, .add = dy16, .eps = 1e-5f, .dy16 = dy16 };
    const struct chunk_sum_args s[2] = { { .y = job_device(j, (size_t)C * 4), .partial = a.partial, .ld = 2 * C, .n_chunk = n_chunk, .C = C },
                                         { .y = job_device(j, (size_t)C * 4), .partial = a.partial + C, .ld = 2 * C, .n_chunk = n_chunk, .C = C } };
    job_launch(j, GPU_norm_wave, ceil_div(n_row, waves(j)), 1, 1, &a);
    job_launch(j, GPU_norm_wave_back, n_chunk, 1, 1, &a);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &s[0]);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &s[1]);
    if (!j->rc) {
        struct norm p = { .n_row = n_row, .C = C, .x = x, .ld_x = C, .w = w, .b = layer ? b : NULL, .eps = 1e-5f, .y = y, .ld_y = C, .mean = mean, .rstd = rstd, .dy = dy, .ld_dy = C,
                          .dx = dx, .ld_dx = C, .add_dx = dy16, .dw = dw, .db = db };
        (layer ? ref()->layernorm_fwd : ref()->rmsnorm_fwd)(&p);
        (layer ? ref()->layernorm_bwd : ref()->rmsnorm_bwd)(&p);
    }
    job_compare(j, "norm_wave", got(j, a.y, n, y16), y, n, tolerance(layer ? "layernorm_fwd" : "rmsnorm_fwd", y16));
    job_compare(j, "norm_wave rstd", got(j, a.rstd, (size_t)n_row, false), rstd, (size_t)n_row, 1e-6);
    if (layer)
        job_compare(j, "norm_wave mean", got(j, a.mean, (size_t)n_row, false), mean, (size_t)n_row, 1e-6);
    job_compare(j, "norm_wave_back", got(j, a.dx, n, false), dx, n, job_tolerance("rmsnorm_bwd"));
    job_compare(j, "norm_wave_back w", got(j, s[0].y, (size_t)C, false), dw, (size_t)C, job_tolerance("rmsnorm_bwd"));
    job_compare(j, "norm_wave_back b", got(j, s[1].y, (size_t)C, false), db, (size_t)C, job_tolerance("rmsnorm_bwd"));
    job_end(j, "norm_wave");
}

static void columns(struct job *j, int n_row, int C)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d of %d", n_row, C);
    const int n_chunk = (int)ceil_div(n_row, GPU_CHUNK);
    float *x = job_floats(j, count(n_row, C)), *want = job_host(j, (size_t)C * 4);
    struct col_sum_args a = { .x = job_upload(j, x, count(n_row, C) * 4), .partial = job_device(j, count(n_chunk, C) * 4), .ld_x = C, .n_row = n_row, .C = C };
    struct chunk_sum_args s = { .y = job_device(j, (size_t)C * 4), .partial = a.partial, .ld = C, .n_chunk = n_chunk, .C = C };
    job_launch(j, GPU_col_sum, ceil_div(C, 256), n_chunk, 1, &a);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &s);
    if (!j->rc)
        ref()->col_sum(n_row, C, x, C, want);
    job_compare(j, "col_sum", got(j, s.y, (size_t)C, false), want, (size_t)C, job_tolerance("col_sum"));
    job_end(j, "col_sum");
}

static void packed(struct job *j, int n_row, int C)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d of %d", n_row, C);
    const int n_chunk = (int)ceil_div(n_row, GPU_CHUNK);
    const size_t n = count(n_row, C);
    float *x = job_floats(j, n), *y = rounded_copy(j, x, n), *want = job_host(j, (size_t)C * 4);
    struct train_pack_args a = { .x = job_upload(j, x, n * 4), .y = job_device(j, n * 2), .partial = job_device(j, count(n_chunk, C) * 4), .ld_x = C, .n_row = n_row, .C = C };
    struct chunk_sum_args s = { .y = job_device(j, (size_t)C * 4), .partial = a.partial, .ld = C, .n_chunk = n_chunk, .C = C };
    job_launch(j, GPU_train_pack, ceil_div(C, 1024), n_chunk, 1, &a);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &s);
    if (!j->rc)
        ref()->col_sum(n_row, C, x, C, want);
    struct col_sum16_args h = { .x = a.y, .partial = job_device(j, count(n_chunk, C) * 4), .ld_x = C, .n_row = n_row, .C = C };
    struct chunk_sum_args sh = { .y = job_device(j, (size_t)C * 4), .partial = h.partial, .ld = C, .n_chunk = n_chunk, .C = C };
    float *want16 = job_host(j, (size_t)C * 4);
    job_launch(j, GPU_col_sum16, ceil_div(C, 1024), n_chunk, 1, &h);
    job_launch(j, GPU_chunk_sum, ceil_div(C, 256), 1, 1, &sh);
    if (!j->rc)
        ref()->col_sum(n_row, C, y, C, want16);
    job_compare(j, "col_sum16", got(j, sh.y, (size_t)C, false), want16, (size_t)C, job_tolerance("col_sum"));
    job_compare(j, "train_pack", got(j, a.y, n, true), y, n, 0);
    job_compare(j, "train_pack sums", got(j, s.y, (size_t)C, false), want, (size_t)C, job_tolerance("col_sum"));
    job_end(j, "train_pack");
}
static void runs(struct job *j, int M, int N, int n_split)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d runs of %d x %d", n_split, M, N);
    const size_t n = count(M, N);
    float *part = job_floats(j, n * (size_t)n_split), *c = job_floats(j, n), *bias = job_floats(j, (size_t)N);
    struct split_sum_args a = { .c = job_upload(j, c, n * 4), .part = job_upload(j, part, n * (size_t)n_split * 4), .bias = job_upload(j, bias, (size_t)N * 4), .n = (long)n, .N = N,
                                .n_split = n_split };
    a.add = a.c;
    job_launch(j, GPU_split_sum, ceil_div((long)n, 1024), 1, 1, &a);
    for (size_t i = 0; i < n && !j->rc; i++) {
        float s = part[i];
        for (size_t k = 1; k < (size_t)n_split; k++)
            s += part[k * n + i];
        c[i] = s + bias[i % (size_t)N] + c[i];
    }
    job_compare(j, "split_sum", got(j, a.c, n, false), c, n, 1e-7);
    job_end(j, "split_sum");
}

/* ---- activations, rotation, embedding, loss ---- */

static void activation(struct job *j, int kind, int n_row, int F, bool scaled, bool y16)
{
    static const char *const names[] = { "gelu_fwd", "gelu_tanh_fwd", "swiglu_fwd", "geglu_fwd", "geglu_tanh_fwd", "swiglu_clamped_fwd" };
    void (*const forward[])(const struct act *) = { ref()->gelu_fwd, ref()->gelu_tanh_fwd, ref()->swiglu_fwd, ref()->geglu_fwd, ref()->geglu_tanh_fwd, ref()->swiglu_clamped_fwd };
    void (*const backward[])(const struct act *) = { ref()->gelu_bwd, ref()->gelu_tanh_bwd, ref()->swiglu_bwd, ref()->geglu_bwd, ref()->geglu_tanh_bwd, ref()->swiglu_clamped_bwd };
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d, F %d%s%s", names[kind], n_row, F, scaled ? ", scaled" : "", y16 ? ", to bf16" : "");
    const int H = kind >= GPU_ACT_SWIGLU ? 2 * F : F;
    const size_t n = count(n_row, F), n_h = count(n_row, H);
    float *h = job_floats(j, n_h), *scale = job_floats(j, (size_t)n_row), *dy = job_floats(j, n), *y = job_host(j, n * 4), *dh = job_host(j, n_h * 4), *dscale = job_host(j, (size_t)n_row * 4);
    for (size_t i = 0; h && i < n_h; i++)
        h[i] *= 9;
    struct act_train_args a = { .y = job_device(j, n * 4), .h = job_upload(j, h, n_h * 4), .scale = scaled ? job_upload(j, scale, (size_t)n_row * 4) : NULL, .dy = job_upload(j, dy, n * 4),
                          .dh = job_device(j, n_h * 4), .dscale = scaled ? job_device(j, (size_t)n_row * 4) : NULL, .ld_y = F, .ld_h = H, .ld_dy = F, .ld_dh = H, .n_row = n_row, .F = F,
                          .kind = kind, .y16 = y16 };
    job_launch(j, GPU_act_train, n_row, 1, 1, &a);
    job_launch(j, GPU_act_back, n_row, 1, 1, &a);
    if (!j->rc) {
        const struct act p = { .n_row = n_row, .F = F, .h = h, .ld_h = H, .scale = scaled ? scale : NULL, .y = y, .ld_y = F, .dy = dy, .ld_dy = F, .dh = dh, .ld_dh = H,
                               .dscale = scaled ? dscale : NULL };
        forward[kind](&p);
        backward[kind](&p);
    }
    job_compare(j, "act_train", got(j, a.y, n, y16), y, n, tolerance(names[kind], y16));
    job_compare(j, "act_back", got(j, a.dh, n_h, false), dh, n_h, job_tolerance(names[kind]));
    if (scaled)
        job_compare(j, "act_back scale", got(j, a.dscale, (size_t)n_row, false), dscale, (size_t)n_row, job_tolerance(names[kind]));
    job_end(j, "act_train");
}
/* Four columns a thread; h, dy and dh bf16, or none of them. */
static void activation_four(struct job *j, int kind, int n_row, int F, bool half)
{
    static const char *const names[] = { "gelu_fwd", "gelu_tanh_fwd", "swiglu_fwd", "geglu_fwd", "geglu_tanh_fwd", "swiglu_clamped_fwd" };
    void (*const forward[])(const struct act *) = { ref()->gelu_fwd, ref()->gelu_tanh_fwd, ref()->swiglu_fwd, ref()->geglu_fwd, ref()->geglu_tanh_fwd, ref()->swiglu_clamped_fwd };
    void (*const backward[])(const struct act *) = { ref()->gelu_bwd, ref()->gelu_tanh_bwd, ref()->swiglu_bwd, ref()->geglu_bwd, ref()->geglu_tanh_bwd, ref()->swiglu_clamped_bwd };
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%s, rows %d, F %d%s", names[kind], n_row, F, half ? ", bf16" : "");
    const int H = kind >= GPU_ACT_SWIGLU ? 2 * F : F;
    const size_t n = count(n_row, F), n_h = count(n_row, H);
    float *h = job_floats(j, n_h), *dy = job_floats(j, n), *y = job_host(j, n * 4), *dh = job_host(j, n_h * 4);
    uint16_t *h16 = job_host(j, n_h * 2), *dy16 = job_host(j, n * 2);
    for (size_t i = 0; h && i < n_h; i++)
        h[i] *= 9;
    if (!j->rc && half) {
        ref()->to_bf16(n_h, h, h16), ref()->to_bf16(n, dy, dy16);
        h = rounded_copy(j, h, n_h), dy = rounded_copy(j, dy, n);
    }
    struct act_train_args a = { .y = job_device(j, n * 4), .h = half ? job_upload(j, h16, n_h * 2) : job_upload(j, h, n_h * 4), .dy = half ? job_upload(j, dy16, n * 2) : job_upload(j, dy, n * 4),
                                .dh = job_device(j, n_h * 4), .ld_y = F, .ld_h = H, .ld_dy = F, .ld_dh = H, .n_row = n_row, .F = F, .kind = kind, .y16 = half, .h16 = half, .dy16 = half, .dh16 = half };
    job_launch(j, GPU_act_four, ceil_div((long)n, 1024), 1, 1, &a);
    job_launch(j, GPU_act_four_back, ceil_div((long)n, 1024), 1, 1, &a);
    if (!j->rc) {
        const struct act p = { .n_row = n_row, .F = F, .h = h, .ld_h = H, .y = y, .ld_y = F, .dy = dy, .ld_dy = F, .dh = dh, .ld_dh = H };
        forward[kind](&p);
        backward[kind](&p);
    }
    job_compare(j, "act_four", got(j, a.y, n, half), y, n, tolerance(names[kind], half));
    job_compare(j, "act_four_back", got(j, a.dh, n_h, half), dh, n_h, tolerance(names[kind], half));
    job_end(j, "act_four");
}

static void rotation(struct job *j, int n_row, int n_head, int d_head, int d_rot, bool pairs, bool inverse)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d, heads %d of %d, %d turn, %s%s", n_row, n_head, d_head, d_rot, pairs ? "pairs" : "halves", inverse ? ", back" : "");
    const int C = (n_head + 1) * d_head, n_pos = 9;
    const size_t n = count(n_row, C), n_table = count(n_pos, d_rot);
    float *x = job_floats(j, n), *table = job_host(j, n_table * 4);
    int *pos = job_host(j, (size_t)n_row * 4);
    for (size_t i = 0; table && i < n_table / 2; i++)
        table[2 * i] = cosf((float)i), table[2 * i + 1] = sinf((float)i);
    for (int i = 0; pos && i < n_row; i++)
        pos[i] = (i * 5 + 2) % n_pos;
    struct rope_turn_args a = { .x = job_upload(j, x, n * 4), .cos_sin = job_upload(j, table, n_table * 4), .pos = job_upload(j, pos, (size_t)n_row * 4), .ld_x = C, .n_row = n_row,
                                .n_head = n_head, .d_head = d_head, .d_rot = d_rot, .pairs = pairs, .inverse = inverse };
    job_launch(j, GPU_rope_turn, ceil_div((long)n_row * n_head * d_rot / 2, 256), 1, 1, &a);
    for (int i = 0; i < n_row && !j->rc; i++) {
        const struct rope r = { .n_head = n_head, .d_head = d_head, .d_rot = d_rot, .x = x + (size_t)i * (size_t)C, .cos_sin = table + count(pos[i], d_rot), .inverse = inverse };
        (pairs ? ref()->rope_pairs : ref()->rope_half)(&r);
    }
    job_compare(j, "rope_turn", got(j, a.x, n, false), x, n, job_tolerance("rope_half"));
    job_end(j, "rope_turn");
}

static void embedding(struct job *j, int n_row, int V, int C, int n_id, float scale)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "tokens %d of %d, C %d", n_row, n_id, C);
    const int first = V - n_id;
    const size_t n = count(V, C);
    float *dw = job_floats(j, n), *dy = job_floats(j, count(n_row, C));
    int *id = job_host(j, (size_t)n_row * 4);
    for (int i = 0; id && i < n_row; i++)
        id[i] = (int)((unsigned)i * 2654435761u >> 7) % n_id;
    struct embed_back_args a = { .dw = job_upload(j, dw, n * 4), .dy = job_upload(j, dy, count(n_row, C) * 4), .id = job_upload(j, id, (size_t)n_row * 4), .n_row = n_row, .C = C,
                                 .first = first, .scale = scale };
    job_launch(j, GPU_embed_back, n_row, 1, 1, &a);
    for (int t = 0; t < n_row && !j->rc; t++)
        for (int c = 0; c < C; c++)
            dw[count(first + id[t], C) + (size_t)c] += scale * dy[count(t, C) + (size_t)c];
    job_compare(j, "embed_back", got(j, a.dw, n, false), dw, n, scale == 1 ? 0 : 1e-7);
    float *sum = got(j, a.dw, n, false);
    job_launch(j, GPU_add_train, ceil_div((long)n, 256), 1, 1, &(struct add_args){ a.dw, a.dw, a.dw, (long)n });
    for (size_t i = 0; sum && !j->rc && i < n; i++)
        sum[i] += sum[i];
    job_compare(j, "add_train", got(j, a.dw, n, false), sum, n, 0);
    job_end(j, "embed_back");
}

/* to16: slopes go elsewhere as bf16, in rows that are longer. */
static void loss(struct job *j, int n_row, int V, float cap, bool each, bool grad, bool to16)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "rows %d of %d%s%s%s", n_row, V, cap > 0 ? ", capped" : "", each ? ", scales" : "", grad ? to16 ? ", to bf16" : "" : ", loss alone");
    const int ld = to16 ? (V + 8) / 8 * 8 : V;
    const size_t n = count(n_row, V), n_long = count(n_row, ld);
    float *x = job_floats(j, n), *wide = job_host(j, n_long * 4), *scale = job_floats(j, (size_t)n_row), *nll = job_host(j, (size_t)n_row * 4), *slope = job_host(j, n * 4);
    int *target = job_host(j, (size_t)n_row * 4);
    for (int i = 0; target && i < n_row; i++)
        target[i] = i % 3 == 1 ? -1 : i * 7 % V;
    for (size_t i = 0; x && i < n; i++)
        x[i] *= 12;
    for (int i = 0; wide && x && i < n_row; i++)
        memcpy(wide + count(i, ld), x + count(i, V), (size_t)V * 4);
    struct ce_args a = { .x = job_upload(j, wide, n_long * 4), .y = to16 ? job_upload(j, wide, n_long * 2) : NULL, .target = job_upload(j, target, (size_t)n_row * 4), .nll = job_device(j, (size_t)n_row * 4),
                         .token_scale = each ? job_upload(j, scale, (size_t)n_row * 4) : NULL, .ld = ld, .V = V, .grad = grad, .scale = 0.25f, .cap = cap };
    job_launch(j, GPU_ce_train, n_row, 1, 1, &a);
    for (int i = 0; i < n_row && !j->rc; i++) {
        float *row = x + count(i, V);
        if (cap > 0 && target[i] >= 0 && grad)
            ref()->softcap((size_t)V, cap, row, row, slope + count(i, V));
        ref()->cross_entropy(&(struct ce){ .n_row = 1, .V = V, .x = row, .ld = V, .target = target + i, .nll = nll + i, .grad = grad, .scale = each ? scale[i] : 0.25f });
        for (int c = 0; c < V && cap > 0 && grad; c++)
            row[c] *= slope[count(i, V) + (size_t)c];
    }
    for (int i = 0; wide && x && i < n_row; i++)
        for (int c = 0; c < ld; c++)
            wide[count(i, ld) + (size_t)c] = c < V ? x[count(i, V) + (size_t)c] : 0;
    job_compare(j, "ce_train", to16 ? got(j, a.y, n_long, true) : got(j, a.x, n, false), to16 ? wide : x, to16 ? n_long : n, tolerance("cross_entropy", to16));
    job_compare(j, "ce_train nll", got(j, a.nll, (size_t)n_row, false), nll, (size_t)n_row, job_tolerance("cross_entropy"));
    job_end(j, "ce_train");
}

/* ---- products ---- */

struct product { int M, N, K, E; bool a16, b16, a_cols, b_cols, k_ragged, gather, bias, add, c16, f32; };

/* Number (m, k) of an operand. */
static double number(const float *x, bool cols, long ld, const int *row, int m, int k)
{
    const long r = cols ? k : m, c = cols ? m : k;
    return (double)x[(row ? row[r] : r) * ld + c];
}

static void product(struct job *j, struct product p)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d x %d x %d, a %s %s, b %s %s%s%s%s%s%s", p.M, p.N, p.K, p.a16 ? "bf16" : "f32", p.a_cols ? "cols" : "rows", p.b16 ? "bf16" : "f32", p.b_cols ? "cols" : "rows",
             p.E ? ", experts" : "", p.k_ragged ? " of k" : "", p.gather ? ", listed" : "", p.bias ? ", bias" : "", p.add ? ", added" : "");
    /* Rows of c (or of the sum) are split among E experts, the second has none; a list takes rows of an operand of half as many. */
    const int E = p.E ? p.E : 1, rows = p.k_ragged ? p.K : p.M, from = p.gather ? (rows + 1) / 2 : rows;
    const int a_lines = p.a_cols ? p.K : p.gather ? from : p.M, b_lines = p.b_cols ? (p.k_ragged && p.gather ? from : p.K) : p.N;
    const long ld_a = p.a_cols ? p.M : p.K, ld_b = p.b_cols ? p.N : p.K, ld_c = p.N, each = p.E && !p.k_ragged ? (long)b_lines * ld_b : 0;
    const size_t n_a = (size_t)(a_lines * ld_a), n_b = (size_t)(b_lines * ld_b) * (each ? (size_t)E : 1), n_c = count(p.M, p.N) * (p.k_ragged ? (size_t)E : 1);
    float *a = job_floats(j, n_a), *b = job_floats(j, n_b), *c = job_floats(j, n_c), *bias = job_floats(j, count(E, p.N)), *want = job_host(j, n_c * 4);
    float *a_round = p.f32 && !p.a16 ? a : rounded_copy(j, a, n_a), *b_round = p.f32 && !p.b16 ? b : rounded_copy(j, b, n_b);
    uint16_t *a_half = job_host(j, n_a * 2), *b_half = job_host(j, n_b * 2);
    int *start = job_host(j, (size_t)(E + 1) * 4), *row = job_host(j, (size_t)rows * 4);
    if (j->rc) {
        job_end(j, "product");
        return;
    }
    ref()->to_bf16(n_a, a, a_half);
    ref()->to_bf16(n_b, b, b_half);
    for (int e = 1; e <= E; e++)
        start[e] = e == E ? rows : e == 1 ? rows / 3 : e == 2 ? rows / 3 : start[e - 1] + rows / 5;
    for (int i = 0; i < rows; i++)
        row[i] = i * 3 % from;
    struct product_args g = { .a = p.a16 ? job_upload(j, a_half, n_a * 2) : job_upload(j, a, n_a * 4), .b = p.b16 ? job_upload(j, b_half, n_b * 2) : job_upload(j, b, n_b * 4),
                              .bias = p.bias ? job_upload(j, bias, count(E, p.N) * 4) : NULL, .start = p.E ? job_upload(j, start, (size_t)(E + 1) * 4) : NULL,
                              .row = p.gather ? job_upload(j, row, (size_t)rows * 4) : NULL, .ld_c = ld_c, .ld_a = ld_a, .ld_b = ld_b, .c_group = p.k_ragged ? (long)p.M * p.N : 0, .b_group = each,
                              .bias_group = p.bias && p.E ? p.N : 0, .M = p.M, .N = p.N, .K = p.K, .a16 = p.a16, .b16 = p.b16, .a_cols = p.a_cols, .b_cols = p.b_cols, .k_ragged = p.k_ragged };
    float *device = job_upload(j, c, n_c * 4);
    g.add = p.add ? device : NULL;
    g.c = p.c16 ? NULL : device;
    g.c16 = p.c16 ? job_device(j, n_c * 2) : NULL;
    const long tile = p.f32 ? 64 : 128;
    job_launch(j, p.f32 ? GPU_product_f32 : GPU_product, ceil_div(p.N, tile), ceil_div(p.M, tile), E, &g);
    double terms = 0;
    for (int e = 0; e < E; e++) {
        const int m0 = p.E && !p.k_ragged ? start[e] : 0, m1 = p.E && !p.k_ragged ? start[e + 1] : p.M, k0 = p.k_ragged && p.E ? start[e] : 0, k1 = p.k_ragged && p.E ? start[e + 1] : p.K;
        for (int m = m0; m < m1; m++)
            for (int n = 0; n < p.N; n++) {
                const size_t at = count(m, p.N) + (size_t)n + (p.k_ragged ? count(e, p.N) * (size_t)p.M : 0);
                double s = (p.add ? (double)c[at] : 0) + (p.bias ? (double)bias[(p.E ? count(e, p.N) : 0) + (size_t)n] : 0);
                for (int k = k0; k < k1; k++)
                    s += number(a_round, p.a_cols, ld_a, p.k_ragged ? NULL : g.row ? row : NULL, m, k) * number(b_round + e * each, p.b_cols, ld_b, p.k_ragged && g.row ? row : NULL, n, k);
                want[at] = (float)s, terms += (k1 - k0) / 9.0;         /* a product of two such numbers has a mean square of 1/9 */
            }
    }
    double squares = 0;
    for (size_t i = 0; i < n_c; i++)
        squares += (double)want[i] * (double)want[i];
    const double cancelled = squares > 0 && squares < terms ? sqrt(terms / squares) : 1;      /* kernels.def: ||b|| is what sums of so many random terms have */
    job_compare(j, p.f32 ? "product_f32" : "product", got(j, p.c16 ? (void *)g.c16 : (void *)g.c, n_c, p.c16), want, n_c,
                p.c16 ? 0x1p-8 / sqrt(3) : cancelled * fmax(job_tolerance("gemm_bf16"), p.K * 0x1p-24 / 32));
    job_end(j, "product");
}

/* ---- attention ---- */

static void attention(struct job *j, int d, int n_head, int n_kv_head, int n_seq, const int *len, int window, bool all, bool o16)
{
    job_begin(j);
    int T = 0, longest = 0;
    for (int s = 0; s < n_seq; s++)
        T += len[s], longest = len[s] > longest ? len[s] : longest;
    snprintf(j->shape, sizeof j->shape, "d %d, heads %d / %d, %d sequences, up to %d, window %d%s", d, n_head, n_kv_head, n_seq, longest, window, all ? ", all" : "");
    const int C = (n_head + 2 * n_kv_head) * d, O = n_head * d, group = n_head / n_kv_head;
    const size_t n = count(T, C), n_o = count(T, O), n_lse = count(T, n_head);
    float *qkv = job_floats(j, n), *d_o = job_floats(j, n_o), *o = job_host(j, n_o * 4), *lse = job_host(j, n_lse * 4), *dqkv = job_host(j, n * 4);
    int *start = job_host(j, (size_t)(n_seq + 1) * 4);
    for (size_t i = 0; qkv && i < n; i++)
        qkv[i] *= 2;
    for (int s = 0; start && s < n_seq; s++)
        start[s + 1] = start[s] + len[s];
    float *in = rounded_copy(j, qkv, n), *d_in = rounded_copy(j, d_o, n_o);
    struct attn_train_args a = { .qkv = job_upload(j, qkv, n * 4), .o = job_device(j, n_o * 4), .lse = job_device(j, n_lse * 4), .d_o = job_upload(j, d_o, n_o * 4), .delta = job_device(j, n_lse * 4),
                                 .dqkv = job_device(j, n * 4), .start = job_upload(j, start, (size_t)(n_seq + 1) * 4), .n_row = T, .n_head = n_head, .n_kv_head = n_kv_head, .d = d, .window = window,
                                 .all = all, .o16 = o16, .scale = 1 / sqrtf((float)d) };
    const bool wide = d > 64;
    const long blocks = ceil_div(longest, ATTN_TRAIN_ROWS);
    job_launch(j, wide ? GPU_attn_train_128 : GPU_attn_train_64, blocks, n_head, n_seq, &a);
    job_launch(j, GPU_attn_train_delta, ceil_div((long)n_lse, waves(j)), 1, 1, &a);
    job_launch(j, wide ? GPU_attn_train_dq_128 : GPU_attn_train_dq_64, blocks, n_head, n_seq, &a);
    job_launch(j, wide ? GPU_attn_train_dkv_128 : GPU_attn_train_dkv_64, blocks, n_kv_head, n_seq, &a);
    for (int s = 0; s < n_seq && !j->rc; s++)
        for (int g = 0; g < n_kv_head; g++) {
            const size_t row = (size_t)start[s];
            const ptrdiff_t q = g * group * d, k = (n_head + g) * d, v = (n_head + n_kv_head + g) * d;
            struct attn p = { .n_q = len[s], .n_group = group, .d = d, .window = window, .all = all, .q = in + row * (size_t)C + q, .k = in + row * (size_t)C + k, .v = in + row * (size_t)C + v, .ld_q = C,
                              .ld_k = C, .ld_v = C, .scale = a.scale, .o = o + row * (size_t)O + q, .ld_o = O, .lse = lse + row * (size_t)n_head + g * group, .ld_lse = n_head,
                              .d_o = d_in + row * (size_t)O + q, .ld_do = O, .dq = dqkv + row * (size_t)C + q, .dk = dqkv + row * (size_t)C + k, .dv = dqkv + row * (size_t)C + v, .ld_dq = C, .ld_dk = C,
                              .ld_dv = C };
            ref()->attn_fwd(&p);
            ref()->attn_bwd(&p);
        }
    job_compare(j, "attn_train", got(j, a.o, n_o, o16), o, n_o, job_tolerance("attn_fwd_bf16"));
    job_compare(j, "attn_train lse", got(j, a.lse, n_lse, false), lse, n_lse, 1e-5);
    const float *slopes = got(j, a.dqkv, n, false);
    float *part[2] = { job_host(j, n * 4), job_host(j, n * 4) };
    static const char *const names[] = { "attn_train_dq", "attn_train_dk", "attn_train_dv" };
    for (int i = 0; i < 3 && !j->rc; i++) {
        const int from = i == 0 ? 0 : (n_head + (i - 1) * n_kv_head) * d, width = (i == 0 ? n_head : n_kv_head) * d;
        for (int t = 0; t < T; t++)
            for (int s = 0; s < 2; s++)
                memcpy(part[s] + count(t, width), (s ? dqkv : slopes) + count(t, C) + from, (size_t)width * 4);
        job_compare(j, names[i], part[0], part[1], count(T, width), job_tolerance("attn_bwd_bf16"));
    }
    job_end(j, "attn_train");
}

/* ---- experts ---- */

/* As nn/op_moe.c has them: counts, sums of scores, of lse^2, of entropies, tokens. */
static void router_stats(float *out, const float *probs, const float *lse, const int *start, int T, int E, bool sigmoid)
{
    double square = 0, entropy = 0;
    for (int e = 0; e < E; e++)
        out[e] = (float)(start[e + 1] - start[e]), out[E + e] = 0;
    for (int t = 0; t < T; t++) {
        double all = 0;
        for (int e = 0; e < E; e++)
            all += (double)probs[t * E + e];
        for (int e = 0; e < E; e++) {
            const double p = (double)probs[t * E + e] / (sigmoid ? all : 1);
            out[E + e] += (float)p, entropy -= p > 0 ? p * log(p) : 0;
        }
        square += (double)lse[t] * (double)lse[t];
    }
    out[2 * E] = (float)square, out[2 * E + 1] = (float)entropy, out[2 * E + 2] = (float)T;
}

static void experts(struct job *j, int T, int E, int k, int C, bool sigmoid, bool norm_topk, float scale)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d of %d experts, %d tokens of %d, %s%s", k, E, T, C, sigmoid ? "sigmoids" : "softmax", norm_topk ? ", to sum 1" : "");
    const int R = T * k;
    const size_t n = count(T, C), n_r = count(R, C), n_p = count(T, E);
    float *dy = job_floats(j, n), *x = job_floats(j, n_r), *gate = job_host(j, (size_t)R * 4), *probs = job_floats(j, n_p), *lse = job_floats(j, (size_t)T * 4), *dgate = job_host(j, (size_t)R * 4);
    float *dx = job_host(j, n_r * 4), *sum = job_floats(j, n), *want = job_host(j, n_p * 4);
    int *start = job_host(j, (size_t)(E + 1) * 4), *row = job_host(j, (size_t)R * 4), *slot = job_host(j, (size_t)R * 4);
    if (j->rc) {
        job_end(j, "combine_back");
        return;
    }
    /* Token t has experts (t + i * i) % E in order; expert E - 1 mostly none. */
    for (int e = 0, at = 0; e < E; e++, start[e] = at)
        for (int t = 0; t < T; t++)
            for (int i = 0, n_in = 0; i < k; i++) {
                const int first = t % (E - k + 1), own = first + i;
                n_in += own < e;
                if (own == e)
                    row[at] = t, slot[t * k + n_in] = at++;
            }
    for (int t = 0; t < T; t++) {
        double all = 0, chosen = 0;
        for (int e = 0; e < E; e++)
            all += exp(3 * (double)probs[t * E + e]);
        for (int e = 0; e < E; e++)
            probs[t * E + e] = (float)(exp(3 * (double)probs[t * E + e]) / (sigmoid ? 21 : all));
        for (int i = 0; i < k; i++)
            chosen += (double)probs[t * E + t % (E - k + 1) + i];
        for (int i = 0; i < k; i++)
            gate[slot[t * k + i]] = (float)((double)probs[t * E + t % (E - k + 1) + i] / (norm_topk ? chosen : 1) * (double)scale);
    }
    struct combine_back_args c = { .dx = job_device(j, n_r * 4), .dgate = job_device(j, (size_t)R * 4), .dy = job_upload(j, dy, n * 4), .x = job_upload(j, x, n_r * 4),
                                   .gate = job_upload(j, gate, (size_t)R * 4), .row = job_upload(j, row, (size_t)R * 4), .n_row = R, .C = C };
    struct sum_listed_args s = { .y = job_upload(j, sum, n * 4), .x = c.x, .weight = norm_topk ? c.gate : NULL, .index = job_upload(j, slot, (size_t)R * 4), .n_row = T, .k = k, .C = C };
    s.add = sigmoid ? NULL : s.y;
    struct route_back_args r = { .dx = job_device(j, n_p * 4), .probs = job_upload(j, probs, n_p * 4), .gate = c.gate, .dgate = c.dgate, .lse = job_upload(j, lse, (size_t)T * 4),
                                 .start = job_upload(j, start, (size_t)(E + 1) * 4), .slot = s.index, .n_row = T, .E = E, .k = k, .norm_topk = norm_topk, .sigmoid = sigmoid, .aux = 0.5f, .z = 0.25f,
                                 .scale = scale };
    job_launch(j, GPU_combine_back, ceil_div(R, waves(j)), 1, 1, &c);
    job_launch(j, GPU_sum_listed, T, ceil_div(C, 256), 1, &s);
    job_launch(j, GPU_route_back, ceil_div(T, waves(j)), 1, 1, &r);
    const size_t n_stat = 2 * (size_t)E + 3;
    const int n_chunk = ceil_div(T, GPU_CHUNK);
    float stats[2 * (2 * 64 + 3)], stats_are[2 * 64 + 3], stats_want[2 * 64 + 3];
    const struct route_stats_args stat = { .out = job_device(j, 2 * n_stat * 4), .partial = job_device(j, count(n_chunk, E + 2) * 4), .probs = r.probs, .lse = r.lse, .start = r.start, .n_row = T, .E = E,
                                        .sigmoid = sigmoid };
    job_launch(j, GPU_route_chunk, n_chunk, 1, 1, &stat);
    job_launch(j, GPU_route_stats, 1, 1, 1, &stat);
    job_download(j, stats, stat.out, 2 * n_stat * 4);
    for (size_t i = 0; i < n_stat && !j->rc; i++)
        stats_are[i] = (float)((double)stats[2 * i] + (double)stats[2 * i + 1]);
    router_stats(stats_want, probs, lse, start, T, E, sigmoid);
    for (int i = 0; i < R && !j->rc; i++) {
        double dot = 0;
        for (int q = 0; q < C; q++) {
            const float d = dy[count(row[i], C) + (size_t)q];
            dot += (double)d * (double)x[count(i, C) + (size_t)q], dx[count(i, C) + (size_t)q] = gate[i] * d;
        }
        dgate[i] = (float)dot;
    }
    if (!j->rc)
        ref()->sum_rows(&(struct sum_rows){ .n_row = T, .k = k, .C = C, .src = x, .ld_src = C, .index = slot, .weight = norm_topk ? gate : NULL, .add = sigmoid ? NULL : sum, .ld_add = C, .y = sum, .ld_y = C });
    /* The definition by central differences: L = sum gate * dgate + aux * E * sum f_i P_i + z * mean lse^2, of logits whose scores these are. */
    for (int t = 0; t < T && !j->rc; t++)
        for (int e = 0; e < E; e++) {
            double L[2];
            for (int side = 0; side < 2; side++) {
                double p[64], all = 0, chosen = 0, l = 0, balance = 0;
                const double step = side ? -1e-5 : 1e-5;
                for (int i = 0; i < E; i++) {
                    const double q = (double)probs[t * E + i];
                    const double logit = (sigmoid ? log(q / (1 - q)) : log(q) + (double)lse[t]) + (i == e ? step : 0);
                    p[i] = sigmoid ? 1 / (1 + exp(-logit)) : exp(logit - (double)lse[t]);
                    all += p[i];
                }
                const double more = sigmoid ? 0 : (double)lse[t] + log(all);
                for (int i = 0; i < E && !sigmoid; i++)
                    p[i] /= all;
                for (int i = 0; i < k; i++)
                    chosen += p[t % (E - k + 1) + i];
                for (int i = 0; i < k; i++)
                    l += p[t % (E - k + 1) + i] / (norm_topk ? chosen : 1) * (double)scale * (double)dgate[slot[t * k + i]];
                for (int i = 0; i < E; i++)
                    balance += (double)(start[i + 1] - start[i]) / R * p[i] / (sigmoid ? all : 1) / T;
                L[side] = l + 0.5 * E * balance + 0.25 * more * more / T;
            }
            want[t * E + e] = (float)((L[0] - L[1]) / 2e-5);
        }
    job_compare(j, "combine_back", got(j, c.dx, n_r, false), dx, n_r, 0);
    job_compare(j, "combine_back gate", got(j, c.dgate, (size_t)R, false), dgate, (size_t)R, 1e-6);
    job_compare(j, "sum_listed", got(j, s.y, n, false), sum, n, job_tolerance("sum_rows"));
    job_compare(j, "route_back", got(j, r.dx, n_p, false), want, n_p, 1e-5);
    job_compare(j, "route_stats", stats_are, stats_want, n_stat, 1e-6);
    job_end(j, "combine_back");
}

/* Of more tokens than a grid's y holds. */
static void many_tokens(struct job *j)
{
    enum { T = 65536 + 1, C = 4 };
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "1 row of each of %d tokens of %d", T, C);
    const size_t n = count(T, C);
    float *x = job_floats(j, n), *want = job_host(j, n * 4);
    int *index = job_host(j, (size_t)T * 4);
    for (int t = 0; t < T && !j->rc; t++) {
        index[t] = T - 1 - t;
        memcpy(want + (size_t)t * C, x + (size_t)(T - 1 - t) * C, C * sizeof *x);
    }
    const struct sum_listed_args s = { .y = job_device(j, n * 4), .x = job_upload(j, x, n * 4), .index = job_upload(j, index, (size_t)T * 4), .n_row = T, .k = 1, .C = C };
    job_launch(j, GPU_sum_listed, T, ceil_div(C, 256), 1, &s);
    job_compare(j, "sum_listed", got(j, s.y, n, false), want, n, job_tolerance("sum_rows"));
    job_end(j, "sum_listed");
}

/* ---- weights ---- */

static void optimiser(struct job *j, int E, int N, int K, bool f32)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d of %d x %d%s", E, N, K, f32 ? ", floats" : "");
    const size_t each = count(N, K), n = (size_t)E * each;
    float *w = job_floats(j, n), *g = job_floats(j, n), *m = job_floats(j, n), *v = job_floats(j, n), *want = job_host(j, n * 4), *turned = job_host(j, n * 4);
    for (size_t i = 0; v && i < n; i++)
        v[i] = i % 5 ? v[i] * v[i] : 0, g[i] = i % 7 ? g[i] : 0;
    const struct adamw p = { .lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .wd = 0.1f, .correction1 = 0.19f, .correction2 = 0.0975f, .grad_scale = 0.7f };
    struct adamw_args a = { .w = job_upload(j, w, n * 4), .g = job_upload(j, g, n * 4), .m = job_upload(j, m, n * 4), .v = job_upload(j, v, n * 4), .by_rows = job_device(j, n * 4),
                            .by_cols = job_device(j, n * 4), .N = N, .K = K, .f32 = f32, .lr = p.lr, .beta1 = p.beta1, .beta2 = p.beta2, .eps = p.eps, .wd = p.wd, .correction1 = p.correction1,
                            .correction2 = p.correction2, .grad_scale = p.grad_scale };
    const int per_expert = (int)ceil_div((long)each, GPU_SQUARES), n_block = E * per_expert;
    struct squares_args s = { .out = job_device(j, (size_t)n_block * 8), .x = a.g, .each = (long)each, .per_expert = per_expert };
    job_launch(j, GPU_squares, n_block, 1, 1, &s);
    job_launch(j, GPU_adamw, ceil_div(K, 64), ceil_div(N, 32), E, &a);
    float *sums = got(j, s.out, (size_t)n_block * 2, false), *square = job_host(j, (size_t)n_block * 4), *have = job_host(j, (size_t)n_block * 4);
    double worst = 0;
    for (int i = 0; i < n_block && !j->rc; i++) {
        const size_t at = (size_t)(i % per_expert) * GPU_SQUARES, left = each - at;
        const double exact = ref()->sum_squares(left < GPU_SQUARES ? left : GPU_SQUARES, g + (size_t)(i / per_expert) * each + at), sum = (double)sums[2 * i] + (double)sums[2 * i + 1];
        worst = fmax(worst, fabs(sum - exact) / (exact > 0 ? exact : 1));
        have[i] = (float)(1 + worst), square[i] = 1;
    }
    job_compare(j, "squares", have, square, (size_t)n_block, job_tolerance("sum_squares"));
    const float *new_w = got(j, a.w, n, false);
    float *rows = got(j, a.by_rows, n, !f32), *cols = got(j, a.by_cols, n, !f32);
    for (size_t i = 0; i < n && !j->rc; i++) {
        const size_t e = i / each, r = i % each / (size_t)K, c = i % each % (size_t)K;
        want[i] = rounded(new_w[i], !f32);
        turned[e * each + c * (size_t)N + r] = want[i];
    }
    job_compare(j, "adamw, rows", rows, want, n, 0);
    job_compare(j, "adamw, columns", cols, turned, n, 0);
    if (!j->rc)
        ref()->adamw(n, w, g, m, v, &p);
    job_compare(j, "adamw", new_w, w, n, job_tolerance("adamw"));
    job_compare(j, "adamw, m", got(j, a.m, n, false), m, n, job_tolerance("adamw"));
    job_compare(j, "adamw, v", got(j, a.v, n, false), v, n, job_tolerance("adamw"));
    job_end(j, "adamw");
}

void check_train(struct job *j, bool large)
{
    norm(j, 1, 1, 4, false, false, false);
    norm(j, 65, 1, 300, false, true, true);
    norm(j, 3, 2, 48, false, false, true);
    norm(j, 66, 1, 257, true, false, false);
    columns(j, 130, 257);
    packed(j, 130, 260);
    for (int layer = 0; layer < 2; layer++) {
        norm_wave(j, 1, 4, layer, false, false);
        norm_wave(j, 67, 260, layer, true, true);
        norm_wave(j, 3, 1024, layer, true, false);
    }
    for (int kind = 0; kind <= GPU_ACT_SWIGLU_CLAMPED; kind++)
        activation_four(j, kind, 3, 348, kind % 2);
    packed(j, 3, 1028);
    runs(j, 9, 132, 3);
    for (int kind = 0; kind <= GPU_ACT_SWIGLU_CLAMPED; kind++)
        activation(j, kind, 3, kind % 2 ? 258 : 40, kind % 3 > 0, kind % 2);
    rotation(j, 3, 2, 80, 32, false, true);
    rotation(j, 5, 3, 64, 64, true, false);
    embedding(j, 300, 21, 8, 20, 1);
    embedding(j, 5, 4, 300, 4, 2.5f);
    loss(j, 4, 1, 0, false, true, false);
    loss(j, 4, 301, 5, true, true, true);
    loss(j, 5, 777, 0, true, true, false);
    loss(j, 4, 300, 5, false, true, false);
    loss(j, 3, 40, 0, false, false, false);
    product(j, (struct product){ .M = 1, .N = 1, .K = 1 });
    product(j, (struct product){ .M = 130, .N = 129, .K = 72, .a16 = true, .b16 = true, .bias = true, .add = true });
    product(j, (struct product){ .M = 33, .N = 136, .K = 65, .a_cols = true, .b16 = true, .b_cols = true, .add = true });
    product(j, (struct product){ .M = 24, .N = 40, .K = 136, .b16 = true, .c16 = true });
    product(j, (struct product){ .M = 16, .N = 24, .K = 130, .a_cols = true, .b_cols = true });
    product(j, (struct product){ .M = 150, .N = 20, .K = 24, .E = 4, .b16 = true, .a16 = true, .gather = true, .bias = true });
    product(j, (struct product){ .M = 24, .N = 20, .K = 77, .E = 4, .a_cols = true, .b_cols = true, .b16 = true, .k_ragged = true, .gather = true, .add = true });
    product(j, (struct product){ .M = 65, .N = 66, .K = 530, .f32 = true, .bias = true });
    product(j, (struct product){ .M = 20, .N = 7, .K = 33, .E = 3, .f32 = true, .a_cols = true, .b_cols = true, .b16 = true, .k_ragged = true, .add = true });
    product(j, (struct product){ .M = 70, .N = 5, .K = 12, .E = 3, .f32 = true, .gather = true });
    attention(j, 8, 1, 1, 1, (int[]){ 2 }, 0, false, false);
    attention(j, 64, 2, 1, 3, (int[]){ 33, 0, 130 }, 0, false, true);
    attention(j, 20, 2, 2, 1, (int[]){ 70 }, 0, true, false);
    attention(j, 16, 1, 1, 1, (int[]){ 140 }, 37, false, false);
    attention(j, 128, 1, 1, 1, (int[]){ 65 }, 0, false, false);
    attention(j, 72, 2, 1, 1, (int[]){ 40 }, 9, true, true);
    experts(j, 1, 1, 1, 3, false, false, 1);
    experts(j, 37, 6, 2, 70, false, true, 1);
    experts(j, 9, 6, 3, 20, false, false, 2.5f);
    experts(j, 9, 5, 2, 20, true, true, 2.5f);
    experts(j, 9, 5, 2, 20, true, false, 1);
    experts(j, 2 * GPU_CHUNK + 3, 3, 1, 8, true, true, 1);
    many_tokens(j);
    optimiser(j, 1, 1, 1, false);
    optimiser(j, 2, 33, 70, false);
    optimiser(j, 1, 130, 129, true);
    if (!large)
        return;
    norm(j, 1000, 1, 4096, false, true, false);
    product(j, (struct product){ .M = 512, .N = 300, .K = 1032, .b16 = true });
    attention(j, 128, 4, 2, 2, (int[]){ 300, 200 }, 0, false, true);
    optimiser(j, 2, 300, 1024, false);
}
