/* exec_linear.c - products on a device: rows eight at a time, by kernels that read each weight in its own type (gpu/product.h). */
#include "exec/exec_op.h"
#include "gpu/product.h"

enum cpu_type exec_form(enum cpu_type t, int64_t K)
{
    if (K % gpu_gemv_block((int)t) == 0)
        return t;
    return type_block(t) == 1 && K % 4 == 0 ? TYPE_F32 : N_CPU_TYPE;
}

/* What the kernels read of a weight: a segment of its panels, or floats. */
struct part { enum cpu_type type; const void *w; const u16 *scale; int64_t row, n_row; };
static int n_parts(const struct tensor *t) { return t->panels.n_segment ? t->panels.n_segment : 1; }
static enum cpu_type part_type(const struct tensor *t, int s) { return t->panels.n_segment ? exec_form(t->panels.segment[s].of, tensor_cols(t)) : TYPE_F32; }

static struct part part_of(const struct exec_run *r, int w, int64_t expert, int s)
{
    const struct tensor *t = &r->g->tensor[w];
    const int64_t N = t->shape[t->rank - 2].n;
    struct part p = { .type = part_type(t, s), .n_row = N };
    if (!t->panels.n_segment) {
        p.w = (const float *)exec_data(r, w) + expert * N * tensor_cols(t);
        return p;
    }
    const struct exec_segment *q = &r->x->weight[w].segment[s];
    p.row = t->panels.segment[s].row, p.n_row = t->panels.segment[s].n_row;
    p.w = r->x->arena + q->w + (size_t)expert * q->w_expert;
    p.scale = (const u16 *)(const void *)(r->x->arena + q->scale + (size_t)expert * q->scale_expert);
    return p;
}

static bool needs_a8(const struct tensor *t)
{
    for (int s = 0; s < n_parts(t); s++)
        if (gpu_gemv_takes_a8((int)part_type(t, s)))
            return true;
    return false;
}

int exec_product_check(const struct exec *x, const struct graph *g, const struct node *n, int w, struct err *err)
{
    const struct tensor *t = &g->tensor[w];
    if (t->kind == TENSOR_MAPPED || (!t->panels.n_segment && t->dtype != DT_F32))
        return EXEC_REFUSE(err, x, g, n, "%s lies in a file, or is %s", t->name, dtype_name(t->dtype));
    for (int s = 0; s < n_parts(t); s++) {
        const enum cpu_type type = part_type(t, s);
        if (type == N_CPU_TYPE || tensor_cols(t) % gpu_gemv_block((int)type))
            return EXEC_REFUSE(err, x, g, n, "it has no product with rows of %lld in %s (%s); --precision bf16 or fp32 keeps weights in another type", (long long)tensor_cols(t),
                               type_name(t->panels.n_segment ? t->panels.segment[s].of : TYPE_F32), t->name);
        const enum gpu_kernel first = gpu_gemv_kernel((int)type, 1);
        if (!gpu_has(x->gpu, first))
            return EXEC_REFUSE(err, x, g, n, "the device has no kernel %s", gpu_kernel_name(first));
    }
    return 0;
}

/* q[M][K], then ds[M][K / 32][2]. */
static size_t quants(int64_t M, int64_t K) { return exec_round((size_t)(M * K)); }
size_t exec_product_work(const struct graph *g, int w, int64_t M)
{
    const int64_t K = tensor_cols(&g->tensor[w]);
    return needs_a8(&g->tensor[w]) ? exec_round(quants(M, K) + (size_t)(M * K / 16) * sizeof(float)) : 0;
}

/* Of so many that are left: eight at a time, or fewer where the kernel for these failed its self test: a row has the same bits by each. */
static int rows_at_once(const struct exec *x, int type, int64_t left)
{
    int M = (int)min_i64(GPU_GEMV_MOST, left);
    while (M > 1 && !gpu_has(x->gpu, gpu_gemv_kernel(type, M)))
        M /= 2;
    return M;
}

int exec_product(struct exec_run *r, const struct exec_product *p, char *work, struct err *err)
{
    const struct tensor *t = &r->g->tensor[p->w];
    const int64_t N = t->shape[t->rank - 2].n, K = tensor_cols(t), n_wave = 256 / gpu_facts(r->x->gpu)->wave;
    i8 *q = (i8 *)(void *)work;
    float *ds = (float *)(void *)(work + quants(p->M, K));
    if (needs_a8(t)) {
        const struct quantize_args a = { .q = q, .ds = ds, .x = p->x, .ld_x = K, .n_row = (int)p->M, .K = (int)K };
        TRY(exec_launch(r, GPU_quantize_a8, div_up(p->M * K / 4, 256), 1, 1, &a, err));
    }
    for (int s = 0; s < n_parts(t); s++) {
        const struct part w = part_of(r, p->w, p->expert, s);
        const bool a8 = gpu_gemv_takes_a8((int)w.type);
        for (int64_t m = 0, M; m < p->M; m += M) {
            M = rows_at_once(r->x, (int)w.type, p->M - m);
            const int64_t at = m * N + w.row;
            const struct gemv_args a = { .y = p->y + at, .x = a8 ? NULL : p->x + m * K, .xq = a8 ? q + m * K : NULL, .xds = a8 ? ds + m * (K / 16) : NULL, .w = w.w, .scale = w.scale,
                                         .add = p->add ? p->add + at : NULL, .ld_y = N, .ld_x = K, .M = (int)M, .N = (int)w.n_row, .K = (int)K, .type = (int)w.type };
            TRY(exec_launch(r, gpu_gemv_kernel((int)w.type, (int)M), div_up(w.n_row, n_wave * GPU_GEMV_ROWS(M)), 1, 1, &a, err));
        }
    }
    return p->bias ? exec_add(r, p->M, N, p->y, p->bias, 0, p->y, err) : 0;
}

/* ---- linear ---- */

static int linear_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    return exec_product_check(x, g, n, n->in[1], err);
}
static size_t linear_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)x;
    return exec_product_work(g, n->in[1], tensor_rows(&g->tensor[n->in[0]], T, S));
}
static int linear(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct exec_product p = { .w = n->in[1], .x = exec_data(r, n->in[0]), .M = exec_count_rows(r, n->in[0]), .y = exec_data(r, n->out[0]), .add = exec_data(r, n->in[3]),
                                    .bias = exec_data(r, n->in[2]) };
    return exec_product(r, &p, r->work, err);
}
const struct exec_op exec_op_linear = { linear_check, linear_work, linear, NULL };

/* ---- linear_act: h, then what the product needs ---- */

static size_t h_bytes(const struct graph *g, const struct node *n, int64_t M) { return exec_round((size_t)(M * op_act_parts(n->attr.act) * tensor_cols(&g->tensor[n->out[0]])) * sizeof(float)); }
static int linear_act_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    if (n->in[2] >= 0)
        return exec_experts_check(x, g, n, err);
    TRY(exec_check_f32(x, g, n, n->out[0], err));
    return linear_check(x, g, n, err);
}
static size_t linear_act_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    const int64_t M = tensor_rows(&g->tensor[n->out[0]], T, S);
    return h_bytes(g, n, M) + (n->in[2] >= 0 ? exec_experts_work(g, n, T) : linear_work(x, g, n, T, S));
}
static int linear_act(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t M = exec_count_rows(r, n->out[0]), F = tensor_cols(&r->g->tensor[n->out[0]]);
    float *h = (float *)(void *)r->work;
    const bool experts = n->in[2] >= 0;
    if (experts && exec_experts_fuses(r->g, n))
        return exec_experts(r, n, true, exec_data(r, n->in[4]), exec_data(r, n->in[5]), exec_data(r, n->out[0]), r->work + h_bytes(r->g, n, M), err);
    if (experts) {
        TRY(exec_experts(r, n, false, NULL, exec_data(r, n->in[5]), h, r->work + h_bytes(r->g, n, M), err));
        return exec_act(r, n->attr.act, M, F, h, exec_data(r, n->in[4]), exec_data(r, n->out[0]), err);
    }
    const struct exec_product p = { .w = n->in[1], .x = exec_data(r, n->in[0]), .M = M, .y = h, .bias = exec_data(r, n->in[5]) };
    TRY(exec_product(r, &p, r->work + h_bytes(r->g, n, M), err));
    return exec_act(r, n->attr.act, M, F, h, exec_data(r, n->in[4]), exec_data(r, n->out[0]), err);
}
const struct exec_op exec_op_linear_act = { linear_act_check, linear_act_work, linear_act, NULL };
