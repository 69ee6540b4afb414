#include "cpu/attn_step.h"
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#define PANEL_ROWS 16                    /* query rows that are computed together */
#define PIECE_ROWS 64                    /* query rows of a piece of a prompt: full panels; several times so many ... */
#define PIECES 8                         /* ... where there are more than PIECES pieces for each thread; one panel where there are few */
#define TAIL_ROWS 9                      /* rows beyond the last full panel that are read one token at a time instead, if ... */
#define TAIL_TOKENS 4                    /* ... they are of so few tokens: a panel of 16 costs 1.7 to 4.6 times one token's rows */
#define BUSY 4                           /* pieces per thread below which rows are cut by ranges */

struct job {
    const struct attn_step *s;
    int32_t *first;                      /* [n_seq + 1]: pieces of sequences before, for one head; of the current loop */
    _Atomic int32_t *left;               /* [sequence][head]: ranges not yet done */
    real *part;                          /* [sequence][head][range] parts */
    int piece_tokens;                    /* of a piece of a prompt */
    bool ranges;                         /* single rows are cut by ranges */
    int max_range;
};

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
static int max_ranges(int ctx) { return (ctx + ATTN_RANGE - 1) / ATTN_RANGE; }
static int least(int a, int b) { return a < b ? a : b; }
static size_t least_size(size_t a, size_t b) { return a < b ? a : b; }

size_t attn_step_scratch(int n_group, int dk, int dv)
{
    return round_up(cpu_attn_paged_scratch(dk, dv, n_group), 64) + round_up((size_t)(n_group + 1) * (size_t)dk * sizeof(real), 64);
}

/* Rows are cut only while n_seq * n_kv_head < BUSY * n_thread. */
size_t attn_step_work(int n_seq, int ctx, int n_kv_head, int n_group, int dv, int n_thread)
{
    const size_t cut = least_size((size_t)n_seq * (size_t)n_kv_head, (size_t)BUSY * (size_t)n_thread);
    return round_up(((size_t)n_seq + 1) * sizeof(int32_t), 64) + round_up(cut * sizeof(int32_t), 64) +
           cut * (size_t)max_ranges(ctx) * cpu_attn_part(dv, n_group) * sizeof(real);
}

/* ---- the kernels for the type of the pages ---- */

typedef void (*put_kernel)(const struct kv_put *);
typedef void (*attn_kernel)(const struct attn_paged *);
typedef void (*part_kernel)(const struct attn_paged *, int, real *);
static put_kernel kv_put_fn(const struct attn_step *s) { return s->type == KV_I8 ? s->kernels->kv_put_i8 : s->type == KV_BF16 ? s->kernels->kv_put_bf16 : s->kernels->kv_put; }
static attn_kernel attn_fn(const struct attn_step *s) { return s->type == KV_I8 ? s->kernels->attn_paged_i8 : s->type == KV_BF16 ? s->kernels->attn_paged_bf16 : s->kernels->attn_paged; }
static part_kernel part_fn(const struct attn_step *s) { return s->type == KV_I8 ? s->kernels->attn_paged_part_i8 : s->type == KV_BF16 ? s->kernels->attn_paged_part_bf16 : s->kernels->attn_paged_part; }

/* The sequence of piece i: the last with first[seq] <= i. */
static int sequence_of(const struct job *j, int i)
{
    int low = 0, high = j->s->n_seq;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        *(j->first[middle] <= i ? &low : &high) = middle;
    }
    return low;
}

static struct kv_pages pages_of(const struct attn_step *s, const struct attn_seq *q, int head)
{
    return (struct kv_pages){ .base = (char *)s->cache + (size_t)head * s->head_stride, .page = q->page, .stride = s->page_stride, .dk = s->dk, .dv = s->dv };
}

/* Norm and rotation of n heads side by side, in place. */
static void prepare(const struct attn_step *s, real *x, int n, const real *w, int pos)
{
    if (w)
        s->kernels->rmsnorm_fwd(&(struct norm){ .n_row = n, .C = s->dk, .x = x, .ld_x = s->dk, .w = w, .eps = s->eps, .y = x, .ld_y = s->dk });
    if (s->cos_sin)
        (s->rope_pairs ? s->kernels->rope_pairs : s->kernels->rope_half)(
            &(struct rope){ .n_head = n, .d_head = s->dk, .d_rot = s->d_rot, .x = x, .cos_sin = s->cos_sin + (ptrdiff_t)pos * s->d_rot });
}

static void put(const struct attn_step *s, const struct attn_seq *q, int head, int i, int n, const real *k, ptrdiff_t ld_k)
{
    const struct kv_put p = { .kv = pages_of(s, q, head), .pos0 = q->pos0 + i, .n = n, .k = k, .ld_k = ld_k,
                              .v = s->v + (q->row0 + i) * s->ld_v + head * s->dv, .ld_v = s->ld_v };
    kv_put_fn(s)(&p);
}

/* ---- first: tokens of prompts, KV_PART at a time ---- */

static int parts_touched(const struct attn_seq *q) { return (q->pos0 + q->n_q - 1) / KV_PART - q->pos0 / KV_PART + 1; }

static void store_item(void *ctx, int i_item, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const struct attn_step *s = j->s;
    const int i_seq = sequence_of(j, i_item);
    const struct attn_seq *q = s->seq + i_seq;
    const int part = q->pos0 / KV_PART + i_item - j->first[i_seq];
    const int from = part * KV_PART > q->pos0 ? part * KV_PART - q->pos0 : 0, to = least(q->n_q, (part + 1) * KV_PART - q->pos0);
    for (int i = from; i < to; i++) {
        const int row = q->row0 + i;
        prepare(s, s->q + row * s->ld_q, s->n_kv_head * s->n_group, s->q_norm, q->pos0 + i);
        if (s->k)
            prepare(s, s->k + row * s->ld_k, s->n_kv_head, s->k_norm, q->pos0 + i);
    }
    for (int h = 0; s->k && h < s->n_kv_head; h++)
        put(s, q, h, from, to - from, s->k + (q->row0 + from) * s->ld_k + h * s->dk, s->ld_k);
}

/* ---- then: attention ---- */

static int piece_tokens(const struct attn_step *s, int n_row)
{
    int times = n_row / (PIECE_ROWS * PIECES * pool_n_thread(s->pool));
    times = times < 1 ? 1 : times > 4 ? 4 : times;
    const int n_thread = pool_n_thread(s->pool), rows = n_thread > 1 && n_row < PIECE_ROWS * BUSY * n_thread ? PANEL_ROWS : PIECE_ROWS * times;
    return s->n_group < rows ? rows / s->n_group : 1;
}
static int row_ranges(const struct attn_step *s, const struct attn_seq *q) { return cpu_attn_ranges(q->pos0, s->window); }

static int pieces_of(const struct job *j, const struct attn_seq *q)
{
    if (q->n_q > 1)
        return (q->n_q + j->piece_tokens - 1) / j->piece_tokens;
    return j->ranges ? row_ranges(j->s, q) : 1;
}

static struct attn_paged attn_of(const struct attn_step *s, const struct attn_seq *q, int head, int i, int n, void *scratch)
{
    const ptrdiff_t row = q->row0 + i, at = head * s->n_group;
    return (struct attn_paged){ .kv = pages_of(s, q, head), .n_q = n, .pos0 = q->pos0 + i, .n_group = s->n_group, .n_k = s->bidirectional ? q->n_q : 0,
                                .window = s->window, .q = s->q + row * s->ld_q + at * s->dk, .ld_q = s->ld_q, .scale = s->scale, .softcap = s->softcap,
                                .sink = s->sink ? s->sink + at : NULL, .ld_o = s->ld_o, .o_bf16 = s->o_bf16, .scratch = scratch,
                                .o = (char *)s->o + (size_t)(row * s->ld_o + at * s->dv) * (s->o_bf16 ? sizeof(bf16) : sizeof(real)) };
}

/* A single row: piece is its range, when rows are cut. */
static void row_item(const struct job *j, int i_seq, int head, int piece, char *scratch)
{
    const struct attn_step *s = j->s;
    const struct attn_seq *q = s->seq + i_seq;
    const int G = s->n_group, dk = s->dk, n_range = row_ranges(s, q);
    struct attn_paged p = attn_of(s, q, head, 0, 1, scratch);
    real *copy = (real *)(void *)(scratch + round_up(cpu_attn_paged_scratch(dk, s->dv, G), 64));      /* others need the row as it was */
    memcpy(copy, p.q, (size_t)(G * dk) * sizeof *copy);
    prepare(s, copy, G, s->q_norm, q->pos0);
    p.q = copy;
    if (s->k && (!j->ranges || piece == n_range - 1)) {
        memcpy(copy + G * dk, s->k + q->row0 * s->ld_k + head * dk, (size_t)dk * sizeof *copy);
        prepare(s, copy + G * dk, 1, s->k_norm, q->pos0);
        put(s, q, head, 0, 1, copy + G * dk, 0);
    }
    if (!j->ranges || n_range == 1) {
        attn_fn(s)(&p);
        return;
    }
    const int i_row = i_seq * s->n_kv_head + head;
    real *parts = j->part + (size_t)i_row * (size_t)j->max_range * cpu_attn_part(s->dv, G);
    part_fn(s)(&p, cpu_attn_first_range(q->pos0, s->window) + piece, parts + (size_t)piece * cpu_attn_part(s->dv, G));
    if (atomic_fetch_sub(&j->left[i_row], 1) == 1)
        s->kernels->attn_paged_join(&p, n_range, parts);
}

/* Rows of a prompt, n tokens from its i-th on; those that would leave most of a panel empty token by token. */
static void prompt_item(const struct attn_step *s, const struct attn_seq *q, int head, int i, int n, void *scratch)
{
    const int G = s->n_group, full = n * G / PANEL_ROWS * PANEL_ROWS / G, tail = n - full;
    const int whole = !s->bidirectional && tail <= TAIL_TOKENS && tail * G <= TAIL_ROWS ? full : n;
    for (int at = 0, m; at < n; at += m) {
        m = at < whole ? whole : 1;
        const struct attn_paged p = attn_of(s, q, head, i + at, m, scratch);
        attn_fn(s)(&p);
    }
}

static void attend_item(void *ctx, int i_item, int i_thread)
{
    const struct job *j = ctx;
    const struct attn_step *s = j->s;
    const int n_piece = j->first[s->n_seq], head = i_item / n_piece, i_piece = i_item % n_piece, i_seq = sequence_of(j, i_piece), piece = i_piece - j->first[i_seq];
    const struct attn_seq *q = s->seq + i_seq;
    char *scratch = (char *)s->scratch + (size_t)i_thread * s->scratch_step;
    if (q->n_q == 1) {
        row_item(j, i_seq, head, piece, scratch);
        return;
    }
    const int n = j->piece_tokens, at = (j->first[i_seq + 1] - j->first[i_seq] - 1 - piece) * n;       /* the longest first */
    prompt_item(s, q, head, at, least(n, q->n_q - at), scratch);
}

void attn_step(const struct attn_step *s)
{
    char *at = s->work;
    struct job j = { .s = s, .first = s->work };
    int n_store = 0, n_whole = 0, deepest = 0, n_row = 0;
    for (int i = 0; i < s->n_seq; i++)
        n_row += s->seq[i].n_q * s->n_kv_head * s->n_group;
    j.piece_tokens = piece_tokens(s, n_row);
    for (int i = 0; i < s->n_seq; i++) {
        const struct attn_seq *q = s->seq + i;
        assert(q->n_q >= 1 && q->pos0 >= 0 && (!s->bidirectional || (q->pos0 == 0 && s->window <= 0)));
        j.first[i] = n_store;
        n_store += q->n_q > 1 ? parts_touched(q) : 0;
        n_whole += pieces_of(&j, q);
        deepest = deepest > q->pos0 + q->n_q ? deepest : q->pos0 + q->n_q;
    }
    j.first[s->n_seq] = n_store;
    if (n_store)
        pool_for(s->pool, n_store, store_item, &j);
    j.ranges = !s->bidirectional && pool_n_thread(s->pool) > 1 && n_whole * s->n_kv_head < BUSY * pool_n_thread(s->pool);
    j.max_range = max_ranges(deepest);
    at += round_up(((size_t)s->n_seq + 1) * sizeof(int32_t), 64);
    j.left = (_Atomic int32_t *)(void *)at;
    at += round_up((size_t)(s->n_seq * s->n_kv_head) * sizeof(int32_t), 64);
    j.part = (real *)(void *)at;
    int n = 0;
    for (int i = 0; i < s->n_seq; i++) {
        for (int h = 0; j.ranges && h < s->n_kv_head; h++)
            atomic_store_explicit(&j.left[i * s->n_kv_head + h], row_ranges(s, s->seq + i), memory_order_relaxed);
        j.first[i] = n;
        n += pieces_of(&j, s->seq + i);
    }
    j.first[s->n_seq] = n;
    pool_for(s->pool, n * s->n_kv_head, attend_item, &j);
}
