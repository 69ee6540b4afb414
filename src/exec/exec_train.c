/* exec_train.c - the operations of a graph that was differentiated, on a device: forward, backward, sums of squares, AdamW.
 *
 * Products of bf16 activations with weights of rows in multiples of 8 read bf16 copies of both, as they lie: the weights' are made once a step, that of dy before
 * its products, with the sums of its columns; c is made of floats.  All others (and all with EXEC_SIMPLE) read floats where they lie and round them on their way.
 * Sums over tokens are those of gpu/kern/train_*.c: chunks of 64 tokens, or one chain; losses go 256 tokens at a time, as on the host.
 * Not here: slices, divided experts, dropout, adapters, softcap and sinks of attention, moments in bf16, other optimisers. */
#include <string.h>
#include "exec/exec_op.h"

#define LOSS_ROWS 256
#define LOSS_ROWS_16 16384                   /* and at most 2^30 logits */
static int64_t blocks(int64_t n) { return div_up(n, 256); }
static bool is_half(const struct exec_run *r, int id) { return id >= 0 && r->x->half && r->x->half[id]; }
static bool is16(const struct exec_run *r, int id) { return id >= 0 && (r->g->tensor[id].dtype == DT_BF16 || is_half(r, id)); }
static int64_t cols(const struct exec_run *r, int id) { return tensor_cols(&r->g->tensor[id]); }
static bool adds(const struct exec_run *r, const struct node *n, int i)
{
    return n->add[i] || (r->step->accumulate && n->d_in[i] >= 0 && r->g->tensor[n->d_in[i]].kind == TENSOR_GRAD);
}
static size_t floats(int64_t n) { return exec_round((size_t)n * sizeof(float)); }
/* What a message names: an output, or what is made of it. */
static int refuse(const struct exec *x, const struct graph *g, const struct node *n, const char *what, struct err *err)
{
    const int id = n->out[0] >= 0 ? n->out[0] : n->in[1];
    return ERR(err, UNSUPPORTED, "%s cannot train %s '%s' with %s", x->base.name, op_name(n->op), id >= 0 ? g->tensor[id].name : "", what);
}

/* ---- pack: nothing reads panels, but rows of bf16 ---- */

bool exec_packs16(const struct exec *x, const struct graph *g, const struct tensor *w)
{
    return g->backward && (x->blas || (x->by == EXEC_OWN && gpu_product_can(x->gpu))) && (w->kind == TENSOR_WEIGHT || w->kind == TENSOR_FROZEN) && w->rank == 2 && !w->n_part && w->packed[0] >= 0 &&
           g->tensor[w->packed[0]].dtype == DT_BF16 && tensor_cols(w) % 8 == 0;
}
static int launch_adamw(struct exec_run *r, const struct tensor *w, const struct adamw_args *a, struct err *err)
{
    return exec_launch(r, GPU_adamw, div_up(a->K, 64), div_up(a->N, 32), w->rank == 3 ? w->shape[0].n : 1, a, err);
}
static int pack(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct tensor *w = &r->g->tensor[n->in[1]];
    const struct adamw_args a = { .w = exec_data(r, n->in[1]), .by_rows = exec_data(r, n->out[0]), .N = w->shape[0].n, .K = tensor_cols(w) };
    return a.by_rows ? launch_adamw(r, w, &a, err) : 0;
}
static const struct exec_op op_pack = { NULL, NULL, pack, NULL };

/* ---- embed ---- */

static int embed_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const struct tensor *w = &g->tensor[n->in[1]];
    if (w->kind == TENSOR_MAPPED || w->n_part)
        return refuse(x, g, n, "rows in a file or in parts", err);
    if (n->pass == PASS_FORWARD && (n->attr.scale != 1 || n->attr.first))
        return refuse(x, g, n, "a scale or a first row", err);
    return tensor_cols(w) % 8 ? refuse(x, g, n, "rows of no multiple of 8", err) : 0;
}
static int embed(struct exec_run *r, const struct node *n, struct err *err) { return exec_op_embed.forward(r, n, err); }
static int embed_back(struct exec_run *r, const struct node *n, struct err *err)
{
    float *dw = exec_data(r, n->d_in[1]);
    if (!adds(r, n, 1))
        TRY(gpu_fill(r->x->gpu, r->x->stream, dw, 0, r->g->tensor[n->d_in[1]].bytes, err));
    const int64_t rows = exec_count_rows(r, n->d_out[0]);
    const struct embed_back_args a = { .dw = dw, .dy = exec_data(r, n->d_out[0]), .id = exec_data(r, n->in[0]), .n_row = (int)rows, .C = (int)cols(r, n->d_out[0]), .first = n->attr.first,
                                       .scale = (float)n->attr.scale };
    return exec_launch(r, GPU_embed_back, rows, 1, 1, &a, err);
}

/* ---- linear ---- */

static int multiply(struct exec_run *r, enum dtype compute, const struct product_args *p, struct err *err)
{
    const bool f32 = compute == DT_F32;
    const int tile = f32 ? 64 : 128;
    return exec_launch(r, f32 ? GPU_product_f32 : GPU_product, div_up(p->N, tile), div_up(p->M, tile), 1, p, err);
}
/* y[M][N] = add + bias + x w^T;  dx[M][K] (+)= dy w;  dw[N][K] (+)= dy^T x. */
struct layer { enum dtype compute; int64_t M, N, K; const void *x; bool x16; const float *w; const void *w16; int64_t rows16; };
static bool by16(const struct layer *l) { return l->w16 && l->x16; }

/* The call of this key, whose tensor maps are at *maps; is_new: it is the caller's to be made.  Those of a step are those of the last one, in the same order, while T is the same. */
static int call_of(struct exec_run *r, const struct exec_key *key, struct exec_call **out, void **maps, bool *is_new, struct err *err)
{
    struct exec *x = r->x;
    int i = x->next_call < x->n_call ? x->next_call : 0, n = 0;
    while (n < x->n_call && memcmp(&x->call[i].key, key, sizeof *key) != 0)
        i = i + 1 < x->n_call ? i + 1 : 0, n++;
    *is_new = n == x->n_call;
    if (*is_new && x->n_call == x->most_call) {           /* the stream may still be at one of them */
        TRY(gpu_wait(x->gpu, x->stream, err));
        x->n_call = 0;
    }
    if (*is_new)
        i = x->n_call++, x->call[i].key = *key;
    x->next_call = i + 1;
    *out = &x->call[i], *maps = x->arena + x->maps_at + (size_t)i * GPU_MAPS_BYTES;
    return 0;
}
static void forget_call(struct exec *x) { x->n_call--; }      /* the newest, that could not be made */
static int multiply16(struct exec_run *r, const struct gpu_product *p, struct err *err)
{
    struct exec *x = r->x;
    if (x->blas && !(p->c16 && p->bias)) {                /* which libraries have only as bf16 */
        const struct gpu_blas_product b = { .a = p->a, .b = p->b, .c = p->c16 ? p->c16 : p->c, .add = p->add, .bias = p->bias, .M = p->M, .N = p->N, .K = p->K, .ld_a = p->ld_a, .c32 = !p->c16, .a_cols = p->a_cols,
                                            .b_cols = p->b_cols };
        TRY(gpu_blas_run(x->blas, x->stream, &b, err));
        return gpu_trace_mark(x->gpu, p->a_cols ? "vendor tn" : p->b_cols ? "vendor nn" : "vendor nt", err);
    }
    const struct exec_key key = { { p->a, p->b, p->c, p->c16, p->bias, p->add, p->work }, { p->M, p->N, p->K, p->ld_a, p->a_cols, p->b_cols } };
    struct exec_call *c;
    void *maps;
    bool is_new;
    TRY(call_of(r, &key, &c, &maps, &is_new, err));
    const int rc = is_new ? gpu_product_call(x->gpu, x->stream, maps, p, c->call, err) : 0;
    if (rc)
        forget_call(x);
    return rc ? rc : gpu_call_launch(x->gpu, x->stream, c->call, err);
}
static int layer_forward(struct exec_run *r, const struct layer *l, const float *bias, const float *add, float *y, bool y16, struct err *err)
{
    if (by16(l))
        return multiply16(r, &(struct gpu_product){ .a = l->x, .b = l->w16, .c = y16 ? NULL : y, .c16 = y16 ? y : NULL, .bias = bias, .add = add, .M = (int)l->M, .N = (int)l->N, .K = (int)l->K }, err);
    return multiply(r, l->compute, &(struct product_args){ .c = y, .a = l->x, .b = l->w, .bias = bias, .add = add, .ld_c = l->N, .ld_a = l->K, .ld_b = l->K, .M = (int)l->M, .N = (int)l->N,
                                                          .K = (int)l->K, .a16 = l->x16 }, err);
}
static int layer_dx(struct exec_run *r, const struct layer *l, const float *dy, float *dx, bool add, struct err *err)
{
    return multiply(r, l->compute, &(struct product_args){ .c = dx, .a = dy, .b = l->w, .add = add ? dx : NULL, .ld_c = l->K, .ld_a = l->N, .ld_b = l->K, .M = (int)l->M, .N = (int)l->K,
                                                          .K = (int)l->N, .b_cols = true }, err);
}
static int layer_dw(struct exec_run *r, const struct layer *l, const float *dy, float *dw, bool add, struct err *err)
{
    return multiply(r, l->compute, &(struct product_args){ .c = dw, .a = dy, .b = l->x, .add = add ? dw : NULL, .ld_c = l->K, .ld_a = l->N, .ld_b = l->K, .M = (int)l->N, .N = (int)l->K,
                                                          .K = (int)l->M, .a_cols = true, .b_cols = true, .b16 = l->x16 }, err);
}

/* The same from dy in bf16, dy[M][ld_dy]; work: of gpu_product_work(). */
static int layer_dx16(struct exec_run *r, const struct layer *l, const void *dy, int64_t ld_dy, float *dx, bool dx16, bool add, struct err *err)
{
    return multiply16(r, &(struct gpu_product){ .a = dy, .b = l->w16, .c = dx16 ? NULL : dx, .c16 = dx16 ? dx : NULL, .add = add ? dx : NULL, .M = (int)l->M, .N = (int)l->K, .K = (int)ld_dy, .b_cols = true }, err);
}
static int layer_dw16(struct exec_run *r, const struct layer *l, const void *dy, int64_t ld_dy, float *dw, bool add, char *work, struct err *err)
{
    return multiply16(r, &(struct gpu_product){ .a = dy, .b = l->x, .c = dw, .add = add ? dw : NULL, .work = (float *)(void *)work, .M = (int)l->N, .N = (int)l->K, .K = (int)l->M, .ld_a = (int)ld_dy,
                                                .a_cols = true, .b_cols = true }, err);
}

static int linear_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    return g->tensor[n->in[1]].kind == TENSOR_MAPPED || g->tensor[n->in[1]].n_part ? refuse(x, g, n, "a weight in a file or in parts", err) : 0;
}
static size_t linear_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    const struct tensor *w = &g->tensor[n->in[1]];
    const bool back = n->pass == PASS_BACKWARD && !n->again;
    const int64_t N = w->shape[0].n, M = back ? tensor_rows(&g->tensor[n->d_out[0]], T, S) : 0;
    const size_t sums = back && n->d_in[2] >= 0 ? floats(div_up(M, GPU_CHUNK) * N) : 0;
    return !back || !exec_packs16(x, g, w) ? sums : sums + exec_round((size_t)(M * N) * 2) + gpu_product_work((int)N, (int)w->shape[1].n, (int)M);
}
static struct layer layer_of(const struct exec_run *r, const struct node *n, int rows_of)
{
    const struct tensor *w = &r->g->tensor[n->in[1]];
    return (struct layer){ n->attr.compute, exec_count_rows(r, rows_of), w->shape[0].n, w->shape[1].n, exec_data(r, n->in[0]), is16(r, n->in[0]), exec_data(r, n->in[1]),
                           n->attr.compute == DT_BF16 ? exec_data(r, w->packed[0]) : NULL, exec_rows16(w) };
}
static struct layer linear_of(const struct exec_run *r, const struct node *n, int rows_of)
{
    struct layer l = layer_of(r, n, rows_of);
    l.w16 = l.N % 8 ? NULL : l.w16;
    return l;
}
static int linear(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct layer l = linear_of(r, n, n->out[0]);
    return layer_forward(r, &l, exec_data(r, n->in[2]), exec_data(r, n->in[3]), exec_data(r, n->out[0]), is_half(r, n->out[0]), err);
}
static int linear_back(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct layer l = linear_of(r, n, n->d_out[0]);
    const float *dy = exec_data(r, n->d_out[0]);
    const bool sums = n->d_in[2] >= 0, weights = n->d_in[1] >= 0 && !r->step->no_weights;
    const int n_chunk = (int)div_up(l.M, GPU_CHUNK);
    float *const partial = (float *)(void *)r->work;
    const struct col_sum_args c = { .partial = partial, .x = dy, .ld_x = l.N, .n_row = (int)l.M, .C = (int)l.N };
    const struct chunk_sum_args s = { .y = exec_data(r, n->d_in[2]), .partial = partial, .ld = l.N, .n_chunk = n_chunk, .C = (int)l.N, .add = adds(r, n, 2) };
    if (by16(&l)) {
        char *packed = r->work + (sums ? floats(n_chunk * l.N) : 0), *rest = packed + exec_round((size_t)(l.M * l.N) * 2);
        const struct train_pack_args p = { .y = (uint16_t *)(void *)packed, .partial = sums ? partial : NULL, .x = dy, .ld_x = l.N, .n_row = (int)l.M, .C = (int)l.N };
        const struct col_sum16_args c16 = { .partial = partial, .x = (const uint16_t *)(const void *)dy, .ld_x = l.N, .n_row = (int)l.M, .C = (int)l.N };
        const void *dy16 = is_half(r, n->d_out[0]) ? (const void *)dy : packed;
        if (dy16 == packed)
            TRY(exec_launch(r, GPU_train_pack, div_up(l.N, 1024), n_chunk, 1, &p, err));
        else if (sums)
            TRY(exec_launch(r, GPU_col_sum16, div_up(l.N, 1024), n_chunk, 1, &c16, err));
        if (n->d_in[0] >= 0)
            TRY(layer_dx16(r, &l, dy16, l.N, exec_data(r, n->d_in[0]), is_half(r, n->d_in[0]), adds(r, n, 0), err));
        if (weights)
            TRY(layer_dw16(r, &l, dy16, l.N, exec_data(r, n->d_in[1]), adds(r, n, 1), rest, err));
    } else {
        if (n->d_in[0] >= 0)
            TRY(layer_dx(r, &l, dy, exec_data(r, n->d_in[0]), adds(r, n, 0), err));
        if (weights)
            TRY(layer_dw(r, &l, dy, exec_data(r, n->d_in[1]), adds(r, n, 1), err));
        if (sums)
            TRY(exec_launch(r, GPU_col_sum, blocks(l.N), n_chunk, 1, &c, err));
    }
    return sums ? exec_launch(r, GPU_chunk_sum, blocks(l.N), 1, 1, &s, err) : 0;
}

/* ---- norms ---- */

static size_t norm_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)x;
    return n->pass != PASS_BACKWARD || n->again ? 0 : floats(div_up(tensor_rows(&g->tensor[n->in[0]], T, S), GPU_CHUNK) * 2 * tensor_cols(&g->tensor[n->d_out[0]]));
}
static struct norm_train_args norm_args(const struct exec_run *r, const struct node *n, int like)
{
    const int64_t C = cols(r, like), ld = cols(r, n->in[0]);
    return (struct norm_train_args){ .x = exec_data(r, n->in[0]), .w = exec_data(r, n->in[1]), .b = exec_data(r, n->in[2]), .mean = exec_data(r, n->out[1]), .rstd = exec_data(r, n->out[2]), .ld_x = ld,
                                     .ld_y = C, .ld_dy = C, .ld_dx = ld, .ld_stat = 1, .n_row = (int)exec_count_rows(r, n->in[0]), .n_part = 1, .C = (int)C, .layer = n->op == OP_layernorm,
                                     .eps = (float)n->attr.eps };
}
/* Rows of few columns: a wave a row. */
static bool norm_by_wave(const struct exec *x, const struct graph *g, const struct node *n)
{
    const int64_t C = tensor_cols(&g->tensor[n->in[0]]);
    return x->by != EXEC_SIMPLE && C % 4 == 0 && C <= GPU_NORM_WAVE;
}
static int norm(struct exec_run *r, const struct node *n, struct err *err)
{
    struct norm_train_args a = norm_args(r, n, n->out[0]);
    a.y = exec_data(r, n->out[0]), a.y16 = is16(r, n->out[0]);
    if (norm_by_wave(r->x, r->g, n))
        return exec_launch(r, GPU_norm_wave, div_up(a.n_row, 256 / gpu_facts(r->x->gpu)->wave), 1, 1, &a, err);
    return exec_launch(r, GPU_norm_train, a.n_row, 1, 1, &a, err);
}
static int norm_back(struct exec_run *r, const struct node *n, struct err *err)
{
    struct norm_train_args a = norm_args(r, n, n->d_out[0]);
    const int n_chunk = (int)div_up(a.n_row, GPU_CHUNK);
    a.dy = exec_data(r, n->d_out[0]), a.dx = exec_data(r, n->d_in[0]), a.partial = (float *)(void *)r->work, a.add = n->add[0];
    const bool wave = norm_by_wave(r->x, r->g, n), sums = n->d_in[1] >= 0 || n->d_in[2] >= 0;
    if (wave) {
        a.dy16 = is_half(r, n->d_out[0]), a.partial = sums ? a.partial : NULL;
        TRY(exec_launch(r, GPU_norm_wave_back, n_chunk, 1, 1, &a, err));
    } else if (sums)                                       /* before dx, which may be dy */
        TRY(exec_launch(r, GPU_norm_dw, blocks(a.C), n_chunk, 1, &a, err));
    for (int i = 0; i < 2; i++)
        if (n->d_in[1 + i] >= 0) {
            const struct chunk_sum_args s = { .y = exec_data(r, n->d_in[1 + i]), .partial = a.partial + i * a.C, .ld = 2 * a.C, .n_chunk = n_chunk, .C = a.C, .add = adds(r, n, 1 + i) };
            TRY(exec_launch(r, GPU_chunk_sum, blocks(a.C), 1, 1, &s, err));
        }
    return n->d_in[0] < 0 || wave ? 0 : exec_launch(r, GPU_norm_dx, a.n_row, 1, 1, &a, err);
}
static int norm_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const int like = n->pass == PASS_BACKWARD && !n->again ? n->d_out[0] : n->out[0];
    return tensor_cols(&g->tensor[like]) != tensor_cols(&g->tensor[n->in[0]]) ? refuse(x, g, n, "the first columns of rows", err) : 0;
}

/* ---- rope, attention ---- */

static int turn(struct exec_run *r, const struct node *n, int qkv, bool inverse, struct err *err)
{
    const struct attr *a = &n->attr;
    const int64_t rows = exec_count_rows(r, qkv), heads = a->n_head + a->n_kv_head;
    const struct rope_turn_args t = { .x = exec_data(r, qkv), .cos_sin = exec_data(r, n->in[2]), .pos = exec_data(r, n->in[1]), .ld_x = cols(r, qkv), .n_row = (int)rows, .n_head = (int)heads,
                                      .d_head = a->d_head, .d_rot = a->d_rot, .pairs = a->rope_pairs, .inverse = inverse };
    return exec_launch(r, GPU_rope_turn, blocks(rows * heads * (a->d_rot / 2)), 1, 1, &t, err);
}
static int rope(struct exec_run *r, const struct node *n, struct err *err) { return turn(r, n, n->out[0], false, err); }
static int rope_back(struct exec_run *r, const struct node *n, struct err *err) { return turn(r, n, n->d_in[0], true, err); }

static int attention_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    if (a->compute != DT_BF16)
        return refuse(x, g, n, "floats: it multiplies bf16", err);
    if (a->d_head % 4 || a->d_head > 128 || (a->d_v && a->d_v != a->d_head))
        return refuse(x, g, n, "heads that are no multiple of 4, above 128, or whose values have a width of their own", err);
    return a->cap > 0 || n->in[1] >= 0 || n->in[3] >= 0 ? refuse(x, g, n, "a softcap, sinks or a cache", err) : 0;
}
/* By Hopper's kernels: heads of 64, no window, o in bf16.  lse then lies by heads. */
static bool attention_fast(const struct exec *x, const struct graph *g, const struct node *n)
{
    return x->by != EXEC_SIMPLE && x->most_call && gpu_attn_back_can(x->gpu) && gpu_has(x->gpu, GPU_attn_sm90_64) && n->attr.d_head == 64 && !n->attr.window && g->tensor[n->out[0]].dtype == DT_BF16;
}
/* delta; of fast ones qkv and dO in bf16, too. */
static size_t attention_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)S;
    const struct attr *a = &n->attr;
    const size_t of_qkv = exec_round((size_t)T * (size_t)(a->n_head + 2 * a->n_kv_head) * (size_t)a->d_head * 2), of_o = exec_round((size_t)T * (size_t)a->n_head * (size_t)a->d_head * 2);
    return floats((int64_t)T * a->n_head) + (attention_fast(x, g, n) ? of_qkv + of_o : 0);
}
struct fast_attention { char *qkv, *d_o; float *delta; };
/* Places in work; qkv is put there, unless it lies in bf16 already. */
static int attention_begin(struct exec_run *r, const struct node *n, struct fast_attention *f, struct err *err)
{
    const struct attr *a = &n->attr;
    const int64_t C = (int64_t)(a->n_head + 2 * a->n_kv_head) * a->d_head, T = r->step->T;
    f->delta = (float *)(void *)r->work, f->qkv = r->work + floats(T * a->n_head), f->d_o = f->qkv + exec_round((size_t)(T * C) * 2);
    if (is_half(r, n->in[0])) {
        f->qkv = exec_data(r, n->in[0]);
        return 0;
    }
    const struct train_pack_args p = { .y = (uint16_t *)(void *)f->qkv, .x = exec_data(r, n->in[0]), .ld_x = C, .n_row = (int)T, .C = (int)C };
    return exec_launch(r, GPU_train_pack, div_up(C, 1024), div_up(T, GPU_CHUNK), 1, &p, err);
}
static struct exec_key attention_key(const struct exec_run *r, const struct node *n, const void *qkv, bool back)
{
    const float scale = (float)n->attr.scale;
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    return (struct exec_key){ { qkv, exec_data(r, n->out[0]), exec_data(r, n->out[1]), back ? exec_data(r, n->d_in[0]) : NULL, back ? exec_data(r, n->d_out[0]) : NULL },
                              { r->step->T, r->step->S, exec_longest(r->step), n->attr.n_head, n->attr.n_kv_head, n->attr.bidirectional, back, bits } };
}
static int attention_forward_fast(struct exec_run *r, const struct node *n, struct err *err)
{
    struct exec *x = r->x;
    const struct attr *a = &n->attr;
    struct fast_attention f;
    struct exec_call *c;
    void *maps;
    bool is_new;
    TRY(attention_begin(r, n, &f, err));
    const struct exec_key key = attention_key(r, n, f.qkv, false);
    TRY(call_of(r, &key, &c, &maps, &is_new, err));
    const int T = r->step->T, *start = exec_table(r, x->tables.seq_start);
    const long ld = (long)(a->n_head + 2 * a->n_kv_head) * 64;
    const struct gpu_prefill p = { .q = f.qkv, .k = f.qkv + (size_t)a->n_head * 128, .v = f.qkv + (size_t)(a->n_head + a->n_kv_head) * 128, .o = exec_data(r, n->out[0]),
                                   .lse = exec_data(r, n->out[1]), .q_start = start, .k_start = start, .n_seq = r->step->S, .longest = (int)exec_longest(r->step), .n_q = T, .n_k = T,
                                   .n_head = a->n_head, .n_kv_head = a->n_kv_head, .d = 64, .causal = !a->bidirectional, .scale = (float)a->scale, .ld_q = ld, .ld_kv = ld };
    const int rc = is_new ? gpu_prefill_call(x->gpu, x->stream, maps, &p, c->call, err) : 0;
    if (rc)
        forget_call(x);
    return rc ? rc : gpu_call_launch(x->gpu, x->stream, c->call, err);
}
static int attention_back_fast(struct exec_run *r, const struct node *n, struct err *err)
{
    struct exec *x = r->x;
    const struct attr *a = &n->attr;
    const int64_t T = r->step->T;
    struct fast_attention f;
    struct exec_call *c;
    void *maps;
    bool is_new;
    TRY(attention_begin(r, n, &f, err));
    const bool half_o = is_half(r, n->d_out[0]), half = is_half(r, n->d_in[0]);
    f.d_o = half_o ? exec_data(r, n->d_out[0]) : f.d_o;
    const struct attn_delta_args d = { .o = exec_data(r, n->out[0]), .d_o = half_o ? NULL : exec_data(r, n->d_out[0]), .d_o16 = (uint16_t *)(void *)f.d_o, .delta = f.delta, .n_row = (int)T, .n_head = a->n_head,
                                       .d = 64 };
    TRY(exec_launch(r, GPU_attn_delta, div_up(T * a->n_head, 256 / gpu_facts(x->gpu)->wave), 1, 1, &d, err));
    const struct exec_key key = attention_key(r, n, f.qkv, true);
    TRY(call_of(r, &key, &c, &maps, &is_new, err));
    const struct gpu_attn_back p = { .qkv = f.qkv, .d_o = f.d_o, .lse = exec_data(r, n->out[1]), .delta = f.delta, .dqkv = half ? NULL : exec_data(r, n->d_in[0]), .d16 = half ? exec_data(r, n->d_in[0]) : NULL, .start = exec_table(r, x->tables.seq_start),
                                     .n_seq = r->step->S, .longest = (int)exec_longest(r->step), .n_row = (int)T, .n_head = a->n_head, .n_kv_head = a->n_kv_head, .causal = !a->bidirectional,
                                     .scale = (float)a->scale };
    const int rc = is_new ? gpu_attn_back_call(x->gpu, x->stream, maps, &p, c->call, err) : 0;
    if (rc) {
        forget_call(x);
        return rc;
    }
    TRY(gpu_call_launch(x->gpu, x->stream, &c->call[0], err));
    return gpu_call_launch(x->gpu, x->stream, &c->call[1], err);
}
static struct attn_train_args attention_args(const struct exec_run *r, const struct node *n)
{
    const struct attr *a = &n->attr;
    return (struct attn_train_args){ .qkv = exec_data(r, n->in[0]), .o = exec_data(r, n->out[0]), .lse = exec_data(r, n->out[1]), .delta = (float *)(void *)r->work,
                                     .start = exec_table(r, r->x->tables.seq_start), .n_row = r->step->T, .n_head = a->n_head, .n_kv_head = a->n_kv_head, .d = a->d_head, .window = a->window,
                                     .all = a->bidirectional, .o16 = is16(r, n->out[0]), .scale = (float)a->scale };
}
static int attention(struct exec_run *r, const struct node *n, struct err *err)
{
    if (attention_fast(r->x, r->g, n))
        return attention_forward_fast(r, n, err);
    const struct attn_train_args a = attention_args(r, n);
    return exec_launch(r, a.d > 64 ? GPU_attn_train_128 : GPU_attn_train_64, div_up(exec_longest(r->step), ATTN_TRAIN_ROWS), a.n_head, r->step->S, &a, err);
}
static int attention_back(struct exec_run *r, const struct node *n, struct err *err)
{
    if (attention_fast(r->x, r->g, n))
        return attention_back_fast(r, n, err);
    struct attn_train_args a = attention_args(r, n);
    const int64_t n_block = div_up(exec_longest(r->step), ATTN_TRAIN_ROWS), n_wave = 256 / gpu_facts(r->x->gpu)->wave;
    a.d_o = exec_data(r, n->d_out[0]), a.dqkv = exec_data(r, n->d_in[0]);
    TRY(exec_launch(r, GPU_attn_train_delta, div_up((int64_t)a.n_row * a.n_head, n_wave), 1, 1, &a, err));
    TRY(exec_launch(r, a.d > 64 ? GPU_attn_train_dq_128 : GPU_attn_train_dq_64, n_block, a.n_head, r->step->S, &a, err));
    return exec_launch(r, a.d > 64 ? GPU_attn_train_dkv_128 : GPU_attn_train_dkv_64, n_block, a.n_kv_head, r->step->S, &a, err);
}

/* ---- activations, add ---- */

static struct act_train_args act_args(const struct exec_run *r, const struct node *n, int like)
{
    const int64_t F = cols(r, like), H = cols(r, n->in[0]);
    const int kind = n->op == OP_gelu ? GPU_ACT_GELU : n->op == OP_gelu_tanh ? GPU_ACT_GELU_TANH : n->op == OP_swiglu ? GPU_ACT_SWIGLU : n->op == OP_geglu ? GPU_ACT_GEGLU :
                     n->op == OP_geglu_tanh ? GPU_ACT_GEGLU_TANH : GPU_ACT_SWIGLU_CLAMPED;
    return (struct act_train_args){ .h = exec_data(r, n->in[0]), .scale = exec_data(r, n->in[1]), .ld_y = F, .ld_h = H, .ld_dy = F, .ld_dh = H, .n_row = (int)exec_count_rows(r, n->in[0]), .F = (int)F,
                                    .kind = kind };
}
static bool act_by_four(const struct exec *x, const struct graph *g, const struct node *n)
{
    return x->by != EXEC_SIMPLE && n->in[1] < 0 && tensor_cols(&g->tensor[n->in[0]]) % 8 == 0;
}
static int act(struct exec_run *r, const struct node *n, struct err *err)
{
    struct act_train_args a = act_args(r, n, n->out[0]);
    a.y = exec_data(r, n->out[0]), a.y16 = is16(r, n->out[0]), a.h16 = is_half(r, n->in[0]);
    if (act_by_four(r->x, r->g, n))
        return exec_launch(r, GPU_act_four, div_up((int64_t)a.n_row * a.F, 1024), 1, 1, &a, err);
    return exec_launch(r, GPU_act_train, a.n_row, 1, 1, &a, err);
}
static int act_back(struct exec_run *r, const struct node *n, struct err *err)
{
    struct act_train_args a = act_args(r, n, n->d_out[0]);
    a.dy = exec_data(r, n->d_out[0]), a.dh = exec_data(r, n->d_in[0]), a.dscale = exec_data(r, n->d_in[1]);
    a.h16 = is_half(r, n->in[0]), a.dy16 = is_half(r, n->d_out[0]), a.dh16 = is_half(r, n->d_in[0]);
    if (act_by_four(r->x, r->g, n))
        return exec_launch(r, GPU_act_four_back, div_up((int64_t)a.n_row * a.F, 1024), 1, 1, &a, err);
    return exec_launch(r, GPU_act_back, a.n_row, 1, 1, &a, err);
}
static int sum(struct exec_run *r, float *y, const float *a, const float *b, int like, struct err *err)
{
    const struct add_args s = { y, a, b, (long)(exec_count_rows(r, like) * cols(r, like)) };
    return exec_launch(r, GPU_add_train, blocks(s.n), 1, 1, &s, err);
}
static int add(struct exec_run *r, const struct node *n, struct err *err)
{
    return sum(r, exec_data(r, n->out[0]), exec_data(r, n->in[0]), exec_data(r, n->in[1]), n->out[0], err);
}
static int add_back(struct exec_run *r, const struct node *n, struct err *err) { return sum(r, exec_data(r, n->d_in[1]), exec_data(r, n->d_out[0]), NULL, n->d_out[0], err); }

/* ---- head and loss ---- */

static int64_t loss_rows16(int64_t V) { return min_i64(LOSS_ROWS_16, (((int64_t)1 << 30) / V + 255) / 256 * 256); }
/* Rows that work has room for: those of the largest step. */
static int64_t g_rows(const struct exec_run *r) { return r->g->plan.T; }
static size_t loss_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)S;
    const struct tensor *w = &g->tensor[n->in[1]];
    const int64_t V = exec_rows16(w), C = tensor_cols(w), rows = min_i64(T, loss_rows16(V));
    if (!exec_packs16(x, g, w))
        return floats(min_i64(T, LOSS_ROWS) * w->shape[0].n);
    return floats(rows * V) + exec_round((size_t)(rows * V) * 2) + gpu_product_work((int)w->shape[0].n, (int)C, (int)rows);
}
/* The same with logits of all rows of w16, those beyond V zeros, and their slopes in bf16. */
static int loss16(struct exec_run *r, const struct node *n, struct layer l, bool grad, struct err *err)
{
    const int64_t T = r->step->T, V = l.N, most = min_i64(g_rows(r), loss_rows16(l.rows16));
    float *logits = (float *)(void *)r->work;
    char *slope = r->work + floats(most * l.rows16), *rest = slope + exec_round((size_t)(most * l.rows16) * 2);
    const uint16_t *x = l.x;
    for (int64_t t = 0; t < T; t += l.M) {
        l.M = min_i64(T - t, most), l.x = x + t * l.K, l.N = l.rows16;
        const struct ce_args c = { .x = logits, .y = grad ? (uint16_t *)(void *)slope : NULL, .target = (const int *)exec_data(r, n->in[2]) + t, .nll = (float *)exec_data(r, n->out[0]) + t,
                                   .ld = l.rows16, .V = (int)V, .grad = grad, .scale = (float)r->step->loss_scale, .cap = (float)n->attr.cap };
        TRY(layer_forward(r, &l, NULL, NULL, logits, false, err));
        TRY(exec_launch(r, GPU_ce_train, l.M, 1, 1, &c, err));
        l.N = V;
        if (grad && n->d_in[0] >= 0)
            TRY(layer_dx16(r, &l, slope, l.rows16, (float *)exec_data(r, n->d_in[0]) + t * l.K, false, false, err));
        if (grad && n->d_in[1] >= 0 && !r->step->no_weights)
            TRY(layer_dw16(r, &l, slope, l.rows16, exec_data(r, n->d_in[1]), t || adds(r, n, 1), rest, err));
    }
    return 0;
}
static int loss(struct exec_run *r, const struct node *n, bool grad, struct err *err)
{
    if (r->step->token_scale)
        return ERR(err, UNSUPPORTED, "%s cannot weight each token by itself", r->x->base.name);
    struct layer l = layer_of(r, n, n->in[0]);
    if (by16(&l))
        return loss16(r, n, l, grad, err);
    float *logits = (float *)(void *)r->work;
    const int64_t T = r->step->T, size = l.x16 ? 2 : 4;
    const char *x = l.x;
    for (int64_t t = 0; t < T; t += l.M) {
        l.M = min_i64(T - t, LOSS_ROWS), l.x = x + t * l.K * size;
        const struct ce_args c = { .x = logits, .target = (const int *)exec_data(r, n->in[2]) + t, .nll = (float *)exec_data(r, n->out[0]) + t, .ld = l.N, .V = (int)l.N, .grad = grad,
                                   .scale = (float)r->step->loss_scale, .cap = (float)n->attr.cap };
        TRY(layer_forward(r, &l, NULL, NULL, logits, false, err));
        TRY(exec_launch(r, GPU_ce_train, l.M, 1, 1, &c, err));
        if (grad && n->d_in[0] >= 0)
            TRY(layer_dx(r, &l, logits, (float *)exec_data(r, n->d_in[0]) + t * l.K, false, err));
        if (grad && n->d_in[1] >= 0 && !r->step->no_weights)
            TRY(layer_dw(r, &l, logits, exec_data(r, n->d_in[1]), t || adds(r, n, 1), err));
    }
    return 0;
}
static int loss_forward(struct exec_run *r, const struct node *n, struct err *err) { return loss(r, n, false, err); }
static int loss_back(struct exec_run *r, const struct node *n, struct err *err) { return loss(r, n, true, err); }

/* ---- experts: sorted row i belongs to token row[i] (nn/op_moe.c) ---- */

static int64_t n_sorted(const struct node *n, int64_t T) { return T * n->attr.top_k; }

static int route_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    return n->pass == PASS_BACKWARD && !n->again ? 0 : exec_op_route.check(x, g, n, err);
}
/* Probabilities that only give the log of their sum, the router's own room, or sums of chunks. */
static size_t route_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    const size_t own = n->pass == PASS_BACKWARD && !n->again ? 0 : exec_op_route.work(x, g, n, T, S), probs = floats((int64_t)T * n->attr.n_expert),
                 stats = floats(div_up(T, GPU_CHUNK) * (n->attr.n_expert + 2)), more = probs > stats ? probs : stats;
    return own > more ? own : more;
}
static int route(struct exec_run *r, const struct node *n, struct err *err)
{
    const int E = n->attr.n_expert;
    float *lse = exec_data(r, n->out[5]);
    const struct softmax_args s = { .y = (float *)(void *)r->work, .x = exec_data(r, n->in[0]), .lse = lse, .ld_y = E, .ld_x = E, .n = E };
    if (n->attr.sigmoid)
        TRY(gpu_fill(r->x->gpu, r->x->stream, lse, 0, (size_t)r->step->T * sizeof *lse, err));
    else
        TRY(exec_launch(r, GPU_softmax, r->step->T, 1, 1, &s, err));
    TRY(exec_op_route.forward(r, n, err));
    if (n->out[6] < 0)
        return 0;
    const struct route_stats_args q = { .out = exec_data(r, n->out[6]), .partial = (float *)(void *)r->work, .probs = exec_data(r, n->out[0]), .lse = lse, .start = exec_data(r, n->out[3]),
                                        .n_row = r->step->T, .E = E, .sigmoid = n->attr.sigmoid };
    TRY(exec_launch(r, GPU_route_chunk, div_up(q.n_row, GPU_CHUNK), 1, 1, &q, err));
    return exec_launch(r, GPU_route_stats, 1, 1, 1, &q, err);
}
static int route_back(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    const struct route_back_args b = { .dx = exec_data(r, n->d_in[0]), .probs = exec_data(r, n->out[0]), .gate = exec_data(r, n->out[1]), .dgate = exec_data(r, n->d_out[1]),
                                       .lse = exec_data(r, n->out[5]), .start = exec_data(r, n->out[3]), .slot = exec_data(r, n->out[4]), .n_row = r->step->T, .E = a->n_expert, .k = a->top_k,
                                       .norm_topk = a->norm_topk, .sigmoid = a->sigmoid, .aux = (float)(a->aux_coef * r->step->aux_scale), .z = (float)(a->z_coef * r->step->aux_scale),
                                       .scale = a->scale > 0 ? (float)a->scale : 1 };
    return exec_launch(r, GPU_route_back, div_up(r->step->T, 256 / gpu_facts(r->x->gpu)->wave), 1, 1, &b, err);
}

static int experts_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    if (n->attr.n_peer)
        return refuse(x, g, n, "experts that are divided", err);
    return n->d_in[7] >= 0 ? refuse(x, g, n, "biases of experts that are learned", err) : linear_check(x, g, n, err);
}
/* dx of the sorted rows, before they are summed by token. */
static size_t experts_work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)x, (void)S;
    return n->pass == PASS_BACKWARD && !n->again && n->attr.gather ? floats(n_sorted(n, T) * g->tensor[n->in[1]].shape[2].n) : 0;
}
/* Groups of a product: what its rows or the terms of its sum are cut into. */
static struct product_args groups(const struct exec_run *r, const struct node *n, const struct layer *l)
{
    return (struct product_args){ .start = exec_data(r, n->in[3]), .row = n->attr.gather ? exec_data(r, n->in[2]) : NULL, .b_group = l->N * l->K, .c_group = l->N * l->K };
}
static struct layer experts_of(const struct exec_run *r, const struct node *n)
{
    const struct tensor *w = &r->g->tensor[n->in[1]];
    return (struct layer){ .compute = n->attr.compute, .M = n_sorted(n, r->step->T), .N = w->shape[1].n, .K = w->shape[2].n, .x = exec_data(r, n->in[0]), .x16 = is16(r, n->in[0]),
                           .w = exec_data(r, n->in[1]) };
}
static int multiply_groups(struct exec_run *r, const struct node *n, const struct product_args *p, struct err *err)
{
    const bool f32 = n->attr.compute == DT_F32;
    const int tile = f32 ? 64 : 128;
    return exec_launch(r, f32 ? GPU_product_f32 : GPU_product, div_up(p->N, tile), div_up(p->M, tile), n->attr.n_expert, p, err);
}
static int experts(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct layer l = experts_of(r, n);
    struct product_args p = groups(r, n, &l);
    p.c = exec_data(r, n->out[0]), p.a = l.x, p.a16 = l.x16, p.b = l.w, p.bias = exec_data(r, n->in[7]), p.bias_group = l.N;
    p.ld_c = l.N, p.ld_a = p.ld_b = l.K, p.M = (int)l.M, p.N = (int)l.N, p.K = (int)l.K;
    return multiply_groups(r, n, &p, err);
}
static int experts_back(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct layer l = experts_of(r, n);
    const float *dy = exec_data(r, n->d_out[0]);
    float *out = exec_data(r, n->d_in[0]), *dx = n->attr.gather ? (float *)(void *)r->work : out;
    if (n->d_in[0] >= 0) {
        struct product_args p = groups(r, n, &l);
        p.row = NULL, p.c = dx, p.a = dy, p.b = l.w, p.b_cols = true, p.add = !n->attr.gather && n->add[0] ? dx : NULL;
        p.ld_c = p.ld_b = l.K, p.ld_a = l.N, p.M = (int)l.M, p.N = (int)l.K, p.K = (int)l.N;
        TRY(multiply_groups(r, n, &p, err));
    }
    if (n->d_in[0] >= 0 && n->attr.gather) {
        const struct sum_listed_args s = { .y = out, .x = dx, .add = n->add[0] ? out : NULL, .index = exec_data(r, n->in[6]), .n_row = r->step->T, .k = n->attr.top_k, .C = (int)l.K };
        TRY(exec_launch(r, GPU_sum_listed, r->step->T, blocks(l.K), 1, &s, err));
    }
    if (n->d_in[1] < 0 || r->step->no_weights)
        return 0;
    struct product_args p = groups(r, n, &l);
    p.c = exec_data(r, n->d_in[1]), p.a = dy, p.b = l.x, p.b16 = l.x16, p.a_cols = p.b_cols = p.k_ragged = true, p.b_group = 0, p.add = adds(r, n, 1) ? p.c : NULL;
    p.ld_c = p.ld_b = l.K, p.ld_a = l.N, p.M = (int)l.N, p.N = (int)l.K, p.K = (int)l.M;
    return multiply_groups(r, n, &p, err);
}

static int combine(struct exec_run *r, const struct node *n, struct err *err)
{
    const int64_t C = cols(r, n->out[0]);
    const struct sum_listed_args s = { .y = exec_data(r, n->out[0]), .x = exec_data(r, n->in[0]), .add = exec_data(r, n->in[3]), .weight = exec_data(r, n->in[4]), .index = exec_data(r, n->in[1]),
                                       .n_row = r->step->T, .k = n->attr.top_k, .C = (int)C };
    return exec_launch(r, GPU_sum_listed, r->step->T, blocks(C), 1, &s, err);
}
static int combine_back(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct combine_back_args c = { .dx = exec_data(r, n->d_in[0]), .dgate = exec_data(r, n->d_in[4]), .dy = exec_data(r, n->d_out[0]), .x = exec_data(r, n->in[0]),
                                         .gate = exec_data(r, n->in[4]), .row = exec_data(r, n->in[2]), .n_row = (int)n_sorted(n, r->step->T), .C = (int)cols(r, n->d_in[0]) };
    return exec_launch(r, GPU_combine_back, div_up(c.n_row, 256 / gpu_facts(r->x->gpu)->wave), 1, 1, &c, err);
}

/* ---- activations that may lie in bf16: what products read and write, and who is between them ---- */

enum place { PLACE_IN, PLACE_OUT, PLACE_D_IN, PLACE_D_OUT };
static bool may_be_half(const struct exec *x, const struct graph *g, const struct node *n, enum place place, int i)
{
    const bool back = n->pass == PASS_BACKWARD && !n->again;
    if (back && place == PLACE_OUT && i == 0 && n->op != OP_attention)
        return true;                                                /* not read */
    if (i != 0)
        return false;
    switch (n->op) {
    case OP_linear: {
        const struct tensor *w = &g->tensor[n->in[1]];
        if (!exec_packs16(x, g, w) || w->shape[0].n % 8 || g->tensor[n->in[0]].dtype != DT_BF16 || n->attr.compute != DT_BF16)
            return false;
        return back ? place == PLACE_D_OUT || (place == PLACE_D_IN && !n->add[0]) : place == PLACE_OUT && n->in[3] < 0 && (n->in[2] < 0 || gpu_product_can(x->gpu));
    }
    case OP_attention: return attention_fast(x, g, n) && place != PLACE_OUT;
    case OP_rmsnorm: case OP_layernorm: return norm_by_wave(x, g, n) && place == PLACE_D_OUT;
    case OP_gelu: case OP_gelu_tanh: case OP_swiglu: case OP_geglu: case OP_geglu_tanh: case OP_swiglu_clamped: return act_by_four(x, g, n) && place != PLACE_OUT;
    default: return false;
    }
}
bool exec_may_be_half(const struct exec *x, const struct graph *g, int id)
{
    const struct tensor *t = &g->tensor[id];
    int n_place = 0;
    if (t->kind != TENSOR_ACT || t->dtype != DT_F32 || t->rank != 2)
        return false;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        const int *const ids[] = { n->in, n->out, n->d_in, n->d_out }, most[] = { NODE_IN, NODE_OUT, NODE_IN, NODE_OUT };
        for (int place = 0; place < 4; place++)
            for (int j = 0; j < most[place]; j++)
                if (ids[place][j] == id) {
                    if (!may_be_half(x, g, n, (enum place)place, j))
                        return false;
                    n_place++;
                }
    }
    return n_place > 0;
}

/* ---- weights ---- */

/* Doubles as two floats each: exec.c joins them on their way to the host. */
static int squares(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct squares s = op_squares(&r->g->tensor[n->in[1]]);
    const struct squares_args a = { .out = exec_data(r, n->out[0]), .x = exec_data(r, n->in[0]), .each = (long)s.each, .per_expert = (long)s.per_expert };
    return exec_launch(r, GPU_squares, s.n, 1, 1, &a, err);
}
static int adamw_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    return g->tensor[n->in[2]].dtype != DT_F32 ? refuse(x, g, n, "moments in bf16", err) : 0;
}
static int adamw(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct tensor *w = &r->g->tensor[n->in[1]];
    const struct adamw *p = &r->step->adamw;
    const int64_t N = w->rank > 1 ? w->shape[w->rank - 2].n : 1, K = tensor_cols(w);
    const int64_t k = w->rank == 1 ? w->shape[0].n : K;
    const struct adamw_args a = { .w = exec_data(r, n->in[1]), .g = exec_data(r, n->in[0]), .m = exec_data(r, n->in[2]), .v = exec_data(r, n->in[3]), .by_rows = exec_packs16(r->x, r->g, w) ? exec_data(r, w->packed[0]) : NULL, .N = N, .K = k, .lr = p->lr, .beta1 = p->beta1,
                                  .beta2 = p->beta2, .eps = p->eps, .wd = w->decay ? p->wd : 0, .correction1 = p->correction1, .correction2 = p->correction2, .grad_scale = p->grad_scale };
    return launch_adamw(r, w, &a, err);
}

const struct exec_op *exec_train_op(enum op op)
{
    static const struct exec_op op_embed = { embed_check, NULL, embed, embed_back }, op_linear = { linear_check, linear_work, linear, linear_back }, op_norm = { norm_check, norm_work, norm, norm_back },
                                op_rope = { NULL, NULL, rope, rope_back }, op_attention = { attention_check, attention_work, attention, attention_back }, op_act = { NULL, NULL, act, act_back },
                                op_add = { NULL, NULL, add, add_back }, op_loss = { linear_check, loss_work, loss_forward, loss_back }, op_squares_ = { NULL, NULL, squares, NULL },
                                op_adamw = { adamw_check, NULL, adamw, NULL }, op_route = { route_check, route_work, route, route_back },
                                op_experts = { experts_check, experts_work, experts, experts_back }, op_combine = { NULL, NULL, combine, combine_back };
    switch (op) {
    case OP_pack: return &op_pack;
    case OP_embed: return &op_embed;
    case OP_linear: return &op_linear;
    case OP_rmsnorm: case OP_layernorm: return &op_norm;
    case OP_rope: return &op_rope;
    case OP_attention: return &op_attention;
    case OP_gelu: case OP_gelu_tanh: case OP_swiglu: case OP_geglu: case OP_geglu_tanh: case OP_swiglu_clamped: return &op_act;
    case OP_add: return &op_add;
    case OP_route: return &op_route;
    case OP_expert_linear: return &op_experts;
    case OP_combine: return &op_combine;
    case OP_cross_entropy: return &op_loss;
    case OP_sum_squares: return &op_squares_;
    case OP_adamw: return &op_adamw;
    default: return NULL;
    }
}
