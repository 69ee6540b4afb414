/* exec_attn.c - attention over pages on a device: norm and rotation of q and k, keys and values into their pages, then attention.
 *
 * Two ways, chosen by the model, not by the step, so that a row has the same bits in a prompt and alone: attn_decode and attn_join, which take a
 * row's keys by ranges (bf16 pages, heads of a multiple of 8 up to 256, values of the same size), each row of a prompt as if it were a sequence; and attn_paged for all others. */
#include "exec/exec_op.h"
#include "gpu/product.h"

#define HEAD_MAX 512           /* of attn_paged */
/* Rows whose ranges are kept at a time: as many as this holds, but at least 16. */
#define PART_BYTES ((size_t)64 << 20)
#define PART_ROWS_MOST 256

static int dv_of(const struct attr *a) { return a->d_v ? a->d_v : a->d_head; }

/* Are there kernels that take ranges of keys? */
static bool by_ranges(const struct graph *g, const struct node *n)
{
    const struct attr *a = &n->attr;
    return g->tensor[n->in[1]].dtype == DT_BF16 && a->d_head % 8 == 0 && a->d_head <= GPU_D_MOST && dv_of(a) == a->d_head;
}

static int check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    const struct tensor *cache = &g->tensor[n->in[1]];
    TRY(exec_check_f32(x, g, n, n->in[0], err));
    TRY(exec_check_f32(x, g, n, n->out[0], err));
    if (cache->dtype != DT_F32 && cache->dtype != DT_BF16)
        return EXEC_REFUSE(err, x, g, n, "keys and values in %s, expected fp32 or bf16 (--kv)", dtype_name(cache->dtype));
    if (a->bidirectional || a->d_head > HEAD_MAX || dv_of(a) > HEAD_MAX)
        return EXEC_REFUSE(err, x, g, n, "heads of %d and %d, expected at most %d, and causal", a->d_head, dv_of(a), HEAD_MAX);
    TRY(exec_check_kernel(x, g, n, GPU_qkv_put, err));
    if (!by_ranges(g, n))
        return exec_check_kernel(x, g, n, GPU_attn_paged, err);
    TRY(exec_check_kernel(x, g, n, gpu_decode_kernel(a->d_head, a->n_head / a->n_kv_head, false), err));
    return exec_check_kernel(x, g, n, gpu_join_kernel(a->d_head), err);
}

static int n_range_max(const struct attr *a) { return (int)div_up(a->ctx, GPU_RANGE); }
static size_t part_bytes(const struct attr *a) { return (size_t)a->n_head * (size_t)n_range_max(a) * (size_t)(a->d_head + 2) * sizeof(float); }
static int64_t part_rows(const struct attr *a)
{
    const int64_t n = min_i64(PART_ROWS_MOST, (int64_t)(PART_BYTES / part_bytes(a)));
    return n > 16 ? n : 16;
}
static size_t work(const struct exec *x, const struct graph *g, const struct node *n, int T, int S)
{
    (void)x, (void)S;
    return by_ranges(g, n) ? (size_t)min_i64(T, part_rows(&n->attr)) * part_bytes(&n->attr) : 0;
}

/* Rows row .. row + n - 1 of one sequence. */
static int ranges(struct exec_run *r, const struct node *n, const struct attn_decode_args *all, int seq, int64_t row, int64_t n_row, float *o, struct exec_a8 o8, int64_t ld_o, struct err *err)
{
    const struct exec_tables *t = &r->x->tables;
    struct attn_decode_args a = *all;
    a.q += row * a.ld_q;
    a.len = (const int *)exec_table(r, t->len) + row;
    a.pages = (const int *)exec_table(r, t->page) + (ptrdiff_t)seq * t->page_stride;
    TRY(exec_launch(r, gpu_decode_kernel(a.d, a.n_group, false), a.n_range, gpu_decode_blocks(a.n_kv_head, a.n_group), n_row, &a, err));
    const struct attn_join_args j = { .o = o + row * ld_o, .part = a.part, .len = a.len, .ld_o = ld_o, .n_head = n->attr.n_head, .n_range = a.n_range, .d = a.d, .window = a.window,
                                      .q = o8.q ? o8.q + row * ld_o : NULL, .ds = o8.q ? o8.ds + row * (ld_o / 16) : NULL, .sink = exec_data(r, n->in[4]) };
    return exec_launch(r, gpu_join_kernel(a.d), n->attr.n_head, n_row, 1, &j, err);
}

/* So many sequences from the s-th on have one row each: their rows are launched together, of any other each sequence's own. */
static int with_one_row(const struct step *step, int s)
{
    int n = 0;
    while (s + n < step->S && step->seq_start[s + n + 1] - step->seq_start[s + n] == 1)
        n++;
    return n;
}

static int forward(struct exec_run *r, const struct node *n, struct err *err)
{
    const struct attr *a = &n->attr;
    const struct tensor *cache = &r->g->tensor[n->in[1]];
    const struct exec_tables *t = &r->x->tables;
    const int H = a->n_head, G = a->n_kv_head, D = a->d_head, dv = dv_of(a), f32 = cache->dtype == DT_F32;
    const int64_t C = (int64_t)(H + G) * D + (int64_t)G * dv, T = r->step->T, slots = H + 2 * G, n_wave = 256 / gpu_facts(r->x->gpu)->wave;
    const long page = (long)(cache->bytes / (size_t)cache->shape[1].n / dtype_size(cache->dtype));
    float *qkv = exec_data(r, n->in[0]), *o = exec_data(r, n->out[0]);
    void *kv = exec_data(r, n->in[1]);
    const struct qkv_put_args put = { .qkv = qkv, .kv = kv, .q_norm = exec_data(r, n->in[2]), .k_norm = exec_data(r, n->in[3]), .cos_sin = exec_data(r, n->in[5]),
                                      .pages = exec_table(r, t->page), .seq = exec_table(r, t->seq), .pos = exec_table(r, t->pos), .page_size = page, .ld_pages = t->page_stride, .ld_qkv = C,
                                      .n_row = (int)T, .n_head = H, .n_kv_head = G, .dk = D, .dv = dv, .d_rot = a->d_rot, .pairs = a->rope_pairs, .f32 = f32, .eps = (float)a->eps };
    TRY(exec_launch(r, GPU_qkv_put, div_up(T * slots, n_wave), 1, 1, &put, err));
    if (!by_ranges(r->g, n)) {
        const struct attn_paged_args p = { .o = o, .q = qkv, .kv = kv, .pages = put.pages, .seq = put.seq, .pos = put.pos, .sink = exec_data(r, n->in[4]), .page_size = page,
                                           .ld_pages = t->page_stride, .ld_q = C, .ld_o = (long)H * dv, .n_head = H, .n_kv_head = G, .dk = D, .dv = dv, .window = a->window, .f32 = f32,
                                           .scale = (float)a->scale, .cap = (float)a->cap };
        return exec_launch(r, GPU_attn_paged, H, T, 1, &p, err);
    }
    struct attn_decode_args p = { .part = (float *)(void *)r->work, .q = qkv, .kv = kv, .page_size = page, .ld_q = C, .n_kv_head = G, .n_group = H / G, .n_range = r->n_range,
                                  .scale_log2e = (float)(a->scale * 1.4426950408889634), .d = D, .window = a->window, .cap_log2e = (float)(a->cap * 1.4426950408889634) };
    const int32_t *start = r->step->seq_start;
    const int64_t at_once = part_rows(a);
    const struct exec_a8 o8 = D % 32 == 0 ? exec_a8_wanted(r, n->out[0]) : (struct exec_a8){ NULL, NULL };
    for (int s = 0, n_seq; s < r->step->S; s += n_seq) {
        n_seq = with_one_row(r->step, s);
        p.ld_pages = n_seq ? t->page_stride : 0;
        n_seq = n_seq ? n_seq : 1;
        for (int64_t row = start[s]; row < start[s + n_seq]; row += at_once)
            TRY(ranges(r, n, &p, p.ld_pages ? s + (int)(row - start[s]) : s, row, min_i64(at_once, start[s + n_seq] - row), o, o8, (int64_t)H * dv, err));
    }
    return 0;
}
const struct exec_op exec_op_attention_paged = { check, work, forward, NULL };
