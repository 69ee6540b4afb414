/* exec_rows.c - operations of rows on a device: embedding, norms, activations, functions of single numbers, sums. */
#include "exec/exec_op.h"

static int64_t blocks(int64_t n) { return div_up(n, 256); }

/* ---- embed, take_rows ---- */

static int embed_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const struct tensor *w = &g->tensor[n->in[1]];
    TRY(exec_check_kernel(x, g, n, w->kind == TENSOR_MAPPED ? GPU_copy16 : GPU_embed, err));
    if (w->kind == TENSOR_MAPPED)
        return tensor_cols(w) % 4 == 0 && !w->row ? 0 : EXEC_REFUSE(err, x, g, n, "rows of %lld numbers, expected a multiple of 4", (long long)tensor_cols(w));
    return w->n_part || w->first_row || n->attr.first || n->attr.scale != 1 ? EXEC_REFUSE(err, x, g, n, "%s is scaled, moved or in parts", w->name) : exec_check_f32(x, g, n, n->in[1], err);
}

static int embed(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct tensor *w = &r->g->tensor[n->in[1]];
    const int64_t rows = exec_count_rows(r, n->out[0]), C = tensor_cols(w);
    if (w->kind != TENSOR_MAPPED) {
        const struct embed_args a = { .y = exec_data(r, n->out[0]), .table = exec_data(r, n->in[1]), .id = exec_data(r, n->in[0]), .ld_y = C, .C = (int)C };
        return exec_launch(r, GPU_embed, rows, 1, 1, &a, err);
    }
    int i = 0;                                         /* the host has looked them up */
    while (r->x->rows[i].node != (int)(n - r->g->node))
        i++;
    const struct copy_args a = { .y = exec_data(r, n->out[0]), .x = exec_table(r, r->x->rows[i].at), .n16 = rows * C / 4 };
    return exec_launch(r, GPU_copy16, div_up(a.n16, 1024), 1, 1, &a, err);
}
const struct exec_op exec_op_embed = { embed_check, NULL, embed, NULL };

static int take_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    TRY(exec_check_kernel(x, g, n, GPU_embed, err));
    return exec_check_f32(x, g, n, n->in[0], err);
}
static int take_rows(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&r->g->tensor[n->in[0]]);
    const struct embed_args a = { .y = exec_data(r, n->out[0]), .table = exec_data(r, n->in[0]), .id = exec_data(r, n->in[1]), .ld_y = C, .C = (int)C };
    return exec_launch(r, GPU_embed, exec_count_rows(r, n->out[0]), 1, 1, &a, err);
}
const struct exec_op exec_op_take_rows = { take_check, NULL, take_rows, NULL };

/* ---- norms ---- */

/* By the kernel that takes four numbers at a time? */
static bool by_fours(const struct graph *g, const struct node *n)
{
    return n->op == OP_rmsnorm && tensor_cols(&g->tensor[n->out[0]]) % 4 == 0 && tensor_cols(&g->tensor[n->in[0]]) % 4 == 0 && n->in[1] >= 0;
}
static int norm_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    TRY(exec_check_kernel(x, g, n, by_fours(g, n) ? GPU_rmsnorm : GPU_norm_rows, err));
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    TRY(exec_check_f32(x, g, n, n->out[0], err));
    return 0;
}

static int norm_rows(struct exec_run *r, bool layer, int64_t rows, int64_t C, const float *x, int64_t ld_x, const float *w, const float *b, double eps, float *y, int64_t ld_y, float *mean,
                     float *rstd, struct err *err)
{
    const struct norm_args a = { .y = y, .x = x, .w = w, .b = b, .mean = mean, .rstd = rstd, .ld_y = ld_y, .ld_x = ld_x, .C = (int)C, .eps = (float)eps, .layer = layer };
    return exec_launch(r, GPU_norm_rows, rows, 1, 1, &a, err);
}

static int norm(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&r->g->tensor[n->out[0]]), ld_x = tensor_cols(&r->g->tensor[n->in[0]]), rows = exec_count_rows(r, n->in[0]);
    const float *x = exec_data(r, n->in[0]), *w = exec_data(r, n->in[1]);
    float *y = exec_data(r, n->out[0]);
    if (by_fours(r->g, n)) {
        const struct exec_a8 y8 = exec_a8_wanted(r, n->out[0]);
        const struct rmsnorm_args a = { .y = y, .x = x, .w = w, .q = y8.q, .ds = y8.ds, .rstd = exec_data(r, n->out[2]), .ld_y = C, .ld_x = ld_x, .C = (int)C, .eps = (float)n->attr.eps };
        return exec_launch(r, GPU_rmsnorm, rows, 1, 1, &a, err);
    }
    return norm_rows(r, n->op == OP_layernorm, rows, C, x, ld_x, w, exec_data(r, n->in[2]), n->attr.eps, y, C, exec_data(r, n->out[1]), exec_data(r, n->out[2]), err);
}
const struct exec_op exec_op_rmsnorm = { norm_check, NULL, norm, NULL }, exec_op_layernorm = { norm_check, NULL, norm, NULL };

/* Over all heads of q, of k; norms of each head are part of attention_paged. */
static int qk_norm_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    TRY(exec_check_kernel(x, g, n, GPU_norm_rows, err));
    TRY(exec_check_kernel(x, g, n, GPU_sum_rows, err));
    return n->attr.norm_per_head ? EXEC_REFUSE(err, x, g, n, "a norm of each head by itself, expected one of all (%d heads)", n->attr.n_head) : exec_check_f32(x, g, n, n->in[0], err);
}
static int qk_norm(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    const int64_t C = tensor_cols(&r->g->tensor[n->in[0]]), q = (int64_t)a->n_head * a->d_head, k = (int64_t)a->n_kv_head * a->d_head, rows = exec_count_rows(r, n->in[0]);
    const float *x = exec_data(r, n->in[0]);
    float *y = exec_data(r, n->out[0]);
    TRY(norm_rows(r, false, rows, q, x, C, exec_data(r, n->in[1]), NULL, a->eps, y, C, NULL, NULL, err));
    TRY(norm_rows(r, false, rows, k, x + q, C, exec_data(r, n->in[2]), NULL, a->eps, y + q, C, NULL, NULL, err));
    const struct sum_args v = { .y = y + q + k, .a = x + q + k, .ld_y = C, .ld_a = C, .n_row = (int)rows, .C = (int)(C - q - k) };
    return exec_launch(r, GPU_sum_rows, blocks(rows * v.C), 1, 1, &v, err);
}
const struct exec_op exec_op_qk_norm = { qk_norm_check, NULL, qk_norm, NULL };

/* ---- sums ---- */

int exec_add(struct exec_run *r, int64_t rows, int64_t C, const float *a, const float *b, int64_t ld_b, float *y, struct err *err)
{
    const struct sum_args s = { .y = y, .a = a, .b = b, .ld_y = C, .ld_a = C, .ld_b = ld_b, .n_row = (int)rows, .C = (int)C };
    return exec_launch(r, GPU_sum_rows, blocks(rows * C), 1, 1, &s, err);
}
static int add_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    TRY(exec_check_kernel(x, g, n, GPU_sum_rows, err));
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    return exec_check_f32(x, g, n, n->in[1], err);
}
static int add(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&r->g->tensor[n->out[0]]);
    return exec_add(r, exec_count_rows(r, n->out[0]), C, exec_data(r, n->in[0]), exec_data(r, n->in[1]), C, exec_data(r, n->out[0]), err);
}
const struct exec_op exec_op_add = { add_check, NULL, add, NULL };

/* ---- activations; functions of single numbers ---- */

static int kind_of(enum op op)
{
    static const struct { enum op op; int kind; } kinds[] = {
        { OP_gelu, GPU_ACT_GELU }, { OP_gelu_tanh, GPU_ACT_GELU_TANH }, { OP_swiglu, GPU_ACT_SWIGLU }, { OP_geglu, GPU_ACT_GEGLU }, { OP_geglu_tanh, GPU_ACT_GEGLU_TANH },
        { OP_swiglu_clamped, GPU_ACT_SWIGLU_CLAMPED }, { OP_sigmoid, GPU_ACT_SIGMOID }, { OP_tanh, GPU_ACT_TANH }, { OP_softcap, GPU_ACT_SOFTCAP }, { OP_clip, GPU_ACT_CLIP },
    };
    int i = 0;
    while (kinds[i].op != op)
        i++;
    return kinds[i].kind;
}

static bool act_by_fours(enum op act, int64_t F, bool scaled) { return act == OP_swiglu && F % 4 == 0 && !scaled; }
int exec_act_check(const struct exec *x, const struct graph *g, const struct node *n, enum op act, bool scaled, struct err *err)
{
    return exec_check_kernel(x, g, n, act_by_fours(act, tensor_cols(&g->tensor[n->out[0]]), scaled) ? GPU_swiglu : GPU_act_rows, err);
}
int exec_act(struct exec_run *r, enum op act, int64_t rows, int64_t F, const float *h, const float *scale, int to, struct err *err)
{
    const int parts = op_act_parts(act);
    float *y = exec_data(r, to);
    if (act_by_fours(act, F, scale)) {
        const struct exec_a8 y8 = exec_a8_wanted(r, to);
        const struct swiglu_args a = { .y = y, .h = h, .q = y8.q, .ds = y8.ds, .ld_y = F, .ld_h = 2 * F, .n_row = (int)rows, .F = (int)F };
        return exec_launch(r, GPU_swiglu, blocks(rows * F / 4), 1, 1, &a, err);
    }
    const struct act_args a = { .y = y, .h = h, .scale = scale, .ld_y = F, .ld_h = parts * F, .n_row = (int)rows, .F = (int)F, .kind = kind_of(act) };
    return exec_launch(r, GPU_act_rows, blocks(rows * F), 1, 1, &a, err);
}
static int act_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    TRY(exec_act_check(x, g, n, n->op, n->in[1] >= 0, err));
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    return exec_check_f32(x, g, n, n->out[0], err);
}
static int act(struct exec_run *r, const struct node *n, struct err *err)
{
    return exec_act(r, n->op, exec_count_rows(r, n->out[0]), tensor_cols(&r->g->tensor[n->out[0]]), exec_data(r, n->in[0]), exec_data(r, n->in[1]), n->out[0], err);
}
static int each(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t C = tensor_cols(&r->g->tensor[n->out[0]]), rows = exec_count_rows(r, n->out[0]);
    const struct act_args a = { .y = exec_data(r, n->out[0]), .h = exec_data(r, n->in[0]), .ld_y = C, .ld_h = C, .n_row = (int)rows, .F = (int)C, .kind = kind_of(n->op), .cap = (float)n->attr.cap };
    return exec_launch(r, GPU_act_rows, blocks(rows * C), 1, 1, &a, err);
}
const struct exec_op exec_op_gelu = { act_check, NULL, act, NULL }, exec_op_gelu_tanh = { act_check, NULL, act, NULL }, exec_op_swiglu = { act_check, NULL, act, NULL },
                     exec_op_geglu = { act_check, NULL, act, NULL }, exec_op_geglu_tanh = { act_check, NULL, act, NULL }, exec_op_swiglu_clamped = { act_check, NULL, act, NULL },
                     exec_op_sigmoid = { act_check, NULL, each, NULL }, exec_op_tanh = { act_check, NULL, each, NULL }, exec_op_softcap = { act_check, NULL, each, NULL },
                     exec_op_clip = { act_check, NULL, each, NULL };
