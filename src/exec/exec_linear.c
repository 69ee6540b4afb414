/* exec_linear.c - products on a device, by kernels that read each weight in its own type (gpu/product.h): those of bf16, Q8_0 and Q4_0 by matrix instructions, as many rows as there
 * are; the other types eight rows at a time.  A row has the same bits whatever their number. */
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

static struct part part_of(const struct exec_run *r, int w, int s)
{
    const struct tensor *t = &r->g->tensor[w];
    const int64_t N = t->shape[t->rank - 2].n;
    struct part p = { .type = part_type(t, s), .n_row = N };
    if (!t->panels.n_segment) {
        p.w = exec_data(r, w);
        return p;
    }
    const struct exec_segment *q = &r->x->weight[w].segment[s];
    p.row = t->panels.segment[s].row, p.n_row = t->panels.segment[s].n_row;
    p.w = r->x->arena + q->w;
    p.scale = (const u16 *)(const void *)(r->x->arena + q->scale);
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
        const enum gpu_kernel first = gpu_mat_has((int)type) ? gpu_mat_of((int)type, 1, 1).kernel : gpu_gemv_kernel((int)type, 1);
        TRY(exec_check_kernel(x, g, n, first, err));
        if (gpu_gemv_takes_a8((int)type))
            TRY(exec_check_kernel(x, g, n, GPU_quantize_a8, err));
    }
    return 0;
}

/* ---- rows as int8 ---- */

static size_t quants(int64_t M, int64_t K) { return exec_round((size_t)(M * K)); }
/* Its in[0], where it is of those that multiply with quantised weights. */
static bool reads_a8(const struct graph *g, const struct node *n)
{
    return (n->op == OP_linear || n->op == OP_linear_act || n->op == OP_expert_linear) && needs_a8(&g->tensor[n->in[1]]);
}
size_t exec_a8_bytes(const struct graph *g, const struct node *n, int T, int S)
{
    if (!reads_a8(g, n))
        return 0;
    const int64_t M = tensor_rows(&g->tensor[n->in[0]], T, S), K = tensor_cols(&g->tensor[n->in[0]]);
    return exec_round(quants(M, K) + (size_t)(M * K / 16) * sizeof(float));
}
static struct exec_a8 place(const struct exec_run *r, int64_t M, int64_t K)
{
    char *at = r->x->arena + r->x->a8_at;
    return (struct exec_a8){ (i8 *)at, (float *)(void *)(at + quants(M, K)) };
}
struct exec_a8 exec_a8_wanted(struct exec_run *r, int id)
{
    const int64_t K = tensor_cols(&r->g->tensor[id]);
    for (int i = 0; i < r->g->n_node && K % 32 == 0; i++)
        if (r->g->node[i].in[0] == id && !r->g->node[i].here && reads_a8(r->g, &r->g->node[i])) {
            r->x->a8_of = id;
            return place(r, exec_count_rows(r, id), K);
        }
    return (struct exec_a8){ NULL, NULL };
}
int exec_a8(struct exec_run *r, int id, int64_t M, int64_t K, struct exec_a8 *out, struct err *err)
{
    *out = place(r, M, K);
    if (r->x->a8_of == id)
        return 0;
    r->x->a8_of = id;
    const struct quantize_args a = { .q = out->q, .ds = out->ds, .x = exec_data(r, id), .ld_x = K, .n_row = (int)M, .K = (int)K };
    return exec_launch(r, GPU_quantize_a8, div_up(M * K / 4, 256), 1, 1, &a, err);
}

/* ---- products ---- */

/* Do M rows go to bf16 first? */
static bool needs_x16(const struct tensor *t, int64_t M)
{
    for (int s = 0; s < n_parts(t); s++)
        if (gpu_mat_has((int)part_type(t, s)) && gpu_mat_of((int)part_type(t, s), (int)M, 1).x16)
            return true;
    return false;
}

/* They, x16[M][K]; 0: none. */
size_t exec_product_work(const struct graph *g, int w, int64_t M)
{
    return needs_x16(&g->tensor[w], M) * exec_round((size_t)(2 * M * tensor_cols(&g->tensor[w])));
}

/* Of a part of the weight all rows: as many a launch as its kernel takes.  Where that failed its self test the first takes its place, which has the same bits. */
static int by_matrix(struct exec_run *r, const struct part *w, struct mat_args a, struct err *err)
{
    const int64_t M = a.M, K = a.K;
    struct gpu_mat k = gpu_mat_of((int)w->type, (int)M, a.N);
    if (!gpu_has(r->x->gpu, k.kernel))
        gpu_mat_variant((int)w->type, false, 0, (int)M, a.N, &k);
    const bool a8 = gpu_gemv_takes_a8((int)w->type);
    for (int64_t m = 0; m < M; m += k.rows) {
        a.M = (int)min_i64(k.rows, M - m);
        TRY(exec_launch(r, k.kernel, k.gx, k.gy, 1, &a, err));
        a.y += k.rows * a.ld_y;
        a.add = a.add ? a.add + k.rows * a.ld_y : NULL;
        if (a8)
            a.xq += k.rows * K, a.xds += k.rows * (K / 16);
        else
            a.x += k.rows * K;
    }
    return 0;
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
    const float *x = exec_data(r, p->x);
    struct exec_a8 x8 = { NULL, NULL };
    if (needs_a8(t))
        TRY(exec_a8(r, p->x, p->M, K, &x8, err));
    u16 *x16 = (u16 *)(void *)work;
    if (needs_x16(t, p->M)) {
        const struct dequant_args a = { .y16 = x16, .w = x, .ld_y = K, .n_row = (int)p->M, .K = (int)K, .type = TYPE_F32, .mul = 1 };
        TRY(exec_launch(r, GPU_dequant, div_up(p->M * div_up(K, 32), 256), 1, 1, &a, err));
    }
    for (int s = 0; s < n_parts(t); s++) {
        const struct part w = part_of(r, p->w, s);
        const bool a8 = gpu_gemv_takes_a8((int)w.type);
        if (gpu_mat_has((int)w.type)) {
            const struct mat_args a = { .y = p->y + w.row, .x = x, .x16 = x16, .xq = x8.q, .xds = x8.ds, .w = w.w, .scale = w.scale, .add = p->add ? p->add + w.row : NULL, .ld_y = N, .ld_x = K,
                                        .M = (int)p->M, .N = (int)w.n_row, .K = (int)K };
            TRY(by_matrix(r, &w, a, err));
            continue;
        }
        for (int64_t m = 0, M; m < p->M; m += M) {
            M = rows_at_once(r->x, (int)w.type, p->M - m);
            const int64_t at = m * N + w.row;
            const struct gemv_args a = { .y = p->y + at, .x = a8 ? NULL : x + m * K, .xq = a8 ? x8.q + m * K : NULL, .xds = a8 ? x8.ds + m * (K / 16) : NULL, .w = w.w, .scale = w.scale,
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
    if (needs_x16(&g->tensor[n->in[1]], g->plan.T))
        TRY(exec_check_kernel(x, g, n, GPU_dequant, err));
    if (n->in[n->op == OP_linear_act ? 5 : 2] >= 0)
        TRY(exec_check_kernel(x, g, n, GPU_sum_rows, err));
    return exec_product_check(x, g, n, n->in[1], err);
}
static size_t linear_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)x;
    return exec_product_work(g, n->in[1], tensor_rows(&g->tensor[n->in[0]], T, S));
}
static int linear(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct exec_product p = { .w = n->in[1], .x = n->in[0], .M = exec_count_rows(r, n->in[0]), .y = exec_data(r, n->out[0]), .add = exec_data(r, n->in[3]),
                                    .bias = exec_data(r, n->in[2]) };
    return exec_product(r, &p, r->work, err);
}
const struct exec_op exec_op_linear = { linear_check, linear_work, linear, NULL };

/* ---- linear_act: h, then what the product needs ---- */

static size_t h_bytes(const struct graph *g, const struct node *n, int64_t M) { return exec_round((size_t)(M * op_act_parts(n->attr.act) * tensor_cols(&g->tensor[n->out[0]])) * sizeof(float)); }
static int linear_act_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    if (n->in[2] < 0 || !exec_experts_fuses(g, n))
        TRY(exec_act_check(x, g, n, n->attr.act, n->in[4] >= 0, err));
    if (n->in[2] >= 0)
        return exec_experts_check(x, g, n, err);
    TRY(exec_check_f32(x, g, n, n->out[0], err));
    return linear_check(x, g, n, err);
}
static size_t linear_act_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    const int64_t M = tensor_rows(&g->tensor[n->out[0]], T, S);
    return h_bytes(g, n, M) + (n->in[2] >= 0 ? exec_experts_work(n, T) : linear_work(x, g, n, T, S));
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
        return exec_act(r, n->attr.act, M, F, h, exec_data(r, n->in[4]), n->out[0], err);
    }
    const struct exec_product p = { .w = n->in[1], .x = n->in[0], .M = M, .y = h, .bias = exec_data(r, n->in[5]) };
    TRY(exec_product(r, &p, r->work + h_bytes(r->g, n, M), err));
    return exec_act(r, n->attr.act, M, F, h, exec_data(r, n->in[4]), n->out[0], err);
}
const struct exec_op exec_op_linear_act = { linear_act_check, linear_act_work, linear_act, NULL };
