/* op.h - what the operations share: how one is called, and where it finds its operands and its working memory.
 *
 * An operation never allocates.  What it needs besides its operands it lays out by one function that is called twice: by
 * the planner with base NULL, for the size, and in the run, for the addresses. */
#ifndef NN_OP_H
#define NN_OP_H
#include "nn/graph.h"

int graph_append(struct graph *g, const struct node *n, struct err *err);                              /* record.c */
int graph_pack_cols(struct graph *g, int w, enum dtype compute, struct err *err);

#define CHUNK 64               /* tokens in a partial sum of a gradient over tokens */
#define SQUARE_BLOCK 16384     /* elements in a partial sum of squares */

struct run {
    struct graph *g;
    const struct step *step;
    const struct cpu_kernels *k;
    struct pool *pool;
    int n_thread;
    char *work, *scratch;
    size_t scratch_size;
};

struct op_work { size_t work, scratch; int n_thread; };      /* bytes: shared by the threads, for each; n_thread is given */
struct op_code {
    void (*forward)(struct run *r, const struct node *n);
    void (*backward)(struct run *r, const struct node *n);
    void (*size)(const struct graph *g, const struct node *n, int T, int S, struct op_work *w);    /* NULL: needs none */
};
#define OP(name, ...) extern const struct op_code op_code_##name;
#include "nn/ops.def"
#undef OP

/* A piece of working memory: advances *at by n bytes rounded to 64; NULL base gives NULL. */
static inline void *work_take(char *base, size_t *at, size_t n)
{
    void *p = base ? base + *at : NULL;
    *at += (n + 63) / 64 * 64;
    return p;
}
static inline void *op_data(const struct run *r, int id) { return id < 0 ? NULL : r->g->tensor[id].data; }
static inline char *op_scratch(const struct run *r, int i_thread) { return r->scratch + (size_t)i_thread * r->scratch_size; }
static inline const struct tensor *op_tensor(const struct graph *g, int id) { return &g->tensor[id]; }
static inline int64_t op_rows(const struct run *r, int id) { return graph_rows(r->g, &r->g->tensor[id], r->step); }
static inline bool op_is(const struct graph *g, int id, enum dtype t) { return id >= 0 && g->tensor[id].dtype == t; }
/* Does a write to d_in[i] add?  Gradients of weights also add from one micro-batch to the next. */
static inline bool op_adds(const struct run *r, const struct node *n, int i)
{
    return n->add[i] || (r->step->accumulate && r->g->tensor[n->d_in[i]].kind == TENSOR_GRAD);
}
static inline enum kv_type op_kv_type(enum dtype cache) { return cache == DT_I8 ? KV_I8 : cache == DT_BF16 ? KV_BF16 : KV_REAL; }
static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Sums of rows, one for each of the T tokens (op_moe.c). */
void op_sum_rows(struct run *r, const struct sum_rows *p);

/* ---- slices of a run (struct step) ---- */

/* Rows row[v] .. row[v + 1] - 1 of a tensor are slice v's.  Operands that the sum of a product runs over are kept in pairs of rows, so
 * that each slice begins at an even place there, even[v]. */
struct slices { int n; int32_t row[GRAPH_SLICES_MAX + 1], even[GRAPH_SLICES_MAX + 1]; };
struct slices op_slices(const struct run *r, int id);
static inline struct slices op_one_slice(int64_t rows) { return (struct slices){ 1, { 0, (int32_t)rows }, { 0, (int32_t)((rows + 1) / 2 * 2) } }; }
static inline int op_slices_max(const struct graph *g) { return g->n_slice > 1 ? g->n_slice : 1; }
/* Rows and chunks of CHUNK rows, at most, when each slice begins anew. */
static inline int64_t op_even_rows(const struct graph *g, int64_t rows) { return rows + op_slices_max(g); }
static inline int64_t op_chunks(const struct graph *g, int64_t rows) { return div_up(rows, CHUNK) + op_slices_max(g) - 1; }
/* Loop over the rows of all slices in blocks, which begin anew with each slice. */
typedef void (*slice_rows_fn)(void *ctx, int i_slice, int first, int n, int i_block, int i_thread);
void op_for_slices(struct run *r, const struct slices *s, int block, slice_rows_fn fn, void *ctx);
/* y[C] (+)= the sum over slices of the sums of each one's chunks, which are void then.  partial: a row of C numbers, ld apart, for each chunk. */
void op_sum_chunks(struct run *r, const struct slices *s, int64_t C, real *partial, ptrdiff_t ld, real *y, bool add);

/* sum[0][C] = the sum by twos of sum[v][C] of n slices. */
void op_sum_slices(const struct run *r, int n, int64_t C, real *sum);

/* A gradient [.., N] of several slices, tile by tile: the product of each slice goes to where its tree of sums wants it.  All slices at
 * once, or v0 .. v1 - 1 of them; the first may go on a chain that is begun, the last may not be ended.  Sums that wait from one call
 * to the next lie in `block`: op_tree_blocks() matrices like base, `stride` elements apart; NULL: none do.
 * Leaf v has K rows, and its operands; the chain of slice v over row i of the gradient is put to kept[(slot[i] * n + v) * ldc]
 * too where slot[i] >= 0; slot may be NULL. */
struct leaf { const void *a, *b; ptrdiff_t b_panel; int K; };
struct tree {
    int n, v0, v1;
    bool begun, ended;
    real *base, *block; size_t stride;
    const int32_t *slot; real *kept;
};
#define TREE_ROWS 112
#define TREE_PANELS 8
static inline int op_tree_levels(int n) { int level = 0; while (1 << level < n) level++; return level; }
static inline size_t op_tree_scratch_of(int n) { return (size_t)op_tree_levels(n) * TREE_ROWS * TREE_PANELS * PANEL * sizeof(real); }
static inline size_t op_tree_scratch(const struct graph *g) { return op_tree_scratch_of(op_slices_max(g)); }
static inline int op_tree_blocks(int n, bool across) { return n > 1 ? op_tree_levels(n) - !across : 0; }      /* across: a slice may take several calls */
/* The tile that g says but for a, b, K, add; leaf[0] is of slice v0. */
void op_tree_tile(const struct run *r, const struct tree *t, const struct gemm *g, void (*kernel)(const struct gemm *), const struct leaf *leaf, int i_thread);

/* slot[i] of row i of a table: which of the n ids, each once, it is, or -1.  Returns how many there are; row: of each, or NULL. */
int op_slots(const int32_t *id, int n, int first, int n_row, int32_t *slot, int32_t *row);

/* Loop over rows in blocks; fn(ctx, first row, number of rows, thread). */
typedef void (*rows_fn)(void *ctx, int first, int n, int i_thread);
void op_for_rows(struct run *r, int64_t n_row, int block, rows_fn fn, void *ctx);

/* ---- activations (op_act.c) ---- */

void (*op_act_kernel(const struct cpu_kernels *k, enum op act))(const struct act *);
int op_act_parts(enum op act);      /* numbers of h for one of y: 2 when gated */

/* ---- products, shared by linear, expert_linear and cross_entropy (op_product.c) ---- */

/* c[M,N] (+)= a * b on all threads.  g as for the kernel, over the whole product. */
void product(struct run *r, const struct gemm *g, enum dtype compute);
/* c = add + bias + x * w^T, or y = act(bias + x * w^T) * scale, for a weight in panels of a file's types (op_panels.c), on all threads.  Rows start[e] ..
 * start[e+1]-1 of c are those of group e (expert e of w; one group for a matrix); row i of c takes row row[i] of x, or i. */
struct panels_product {
    const struct tensor *w;
    int n_group; const int32_t *start, *row;
    const void *x; enum dtype x_type; int64_t x_rows;
    const real *bias, *add;      /* [n_group, N], [rows, N] or NULL */
    real *c;                     /* [rows, N] */
    bool fine;                   /* x in two parts of A8, about 15 bits; without row, bias, add */
    enum op act;                 /* product_act: [rows, N / op_act_parts()] to y instead of c, by scale [rows] or NULL */
    void *y; enum dtype y_type; const real *scale;
};
/* Of work, in bytes, for a product whose x, row, fine are the given ones (`listed`: there is a row). */
size_t product_panels_size(const struct tensor *w, int64_t x_rows, int64_t rows, enum dtype x_type, bool listed, bool fine);
void product_panels(struct run *r, const struct panels_product *p, char *work);
bool product_act_fits(const struct tensor *w, enum op act);      /* panels that product_act can take side by side */
size_t product_act_scratch(enum op act);
void product_act(struct run *r, const struct panels_product *p, char *work);
/* c[M,N] (+)= a * b of several slices: slice v has rows row[v] .. of the sum, at even[v] in b and in a's pairs.  t: NULL: all slices of s at once. */
void product_slices(struct run *r, const struct gemm *g, const struct slices *s, const struct tree *t, enum dtype compute);
/* Packs on all threads, in pieces of panels; s: slices of the K rows, or NULL. */
void product_pack_cols(struct run *r, const struct pack *p, const struct slices *s, enum dtype compute);
void product_pack_rows(struct run *r, const struct pack *p, enum dtype compute);
/* Sums of squares of a weight's gradient: of blocks of SQUARE_BLOCK elements, the last of each expert may have less. */
struct squares { int64_t each, per_expert, n; };      /* elements and blocks of an expert (or the weight), blocks in all */
static inline struct squares op_squares(const struct tensor *w)
{
    struct squares s = { .each = tensor_count(w, 1, 1), .n = w->rank == 3 || w->of_experts ? w->shape[0].n : 1 };
    s.each /= s.n > 0 ? s.n : 1;
    s.per_expert = div_up(s.each, SQUARE_BLOCK);
    s.n *= s.per_expert;
    return s;
}
/* Does this process see to what lies `at` bytes into the gradients' block? */
static inline bool op_owns(const struct graph *g, size_t at) { return at >= g->plan.shared || (at >= g->own_from && at < g->own_to); }
/* The elements of a weight that this process sees to, by its gradient. */
struct owned { size_t from, to; };
static inline struct owned op_owned(const struct graph *g, int grad)
{
    const struct tensor *t = &g->tensor[grad];
    const size_t begin = t->offset, end = begin + t->bytes;
    if (begin >= g->plan.shared)
        return (struct owned){ 0, t->bytes / sizeof(real) };
    const size_t from = g->own_from < begin ? begin : g->own_from < end ? g->own_from : end, to = g->own_to < begin ? begin : g->own_to < end ? g->own_to : end;
    return (struct owned){ (from - begin) / sizeof(real), (to - begin) / sizeof(real) };
}
static inline bool op_owns_all(const struct graph *g) { return g->own_from == 0 && g->own_to == SIZE_MAX; }
/* Moments, F32 or BF16, as the optimisers read and write them: a chunk at a time becomes floats in the cache and bf16 again, so that it
 * is one pass over memory.  A moment moves by a small part of itself in a step (1 - beta2 = 0.001, say, where bf16 has 2^-8), which
 * rounding to nearest would lose each time: it is rounded at random, by (seed, step, name, element), to itself on average
 * (arXiv:1502.02551, arXiv:2010.06192).  What a step does to weights comes from the floats, before they are rounded.
 * The random number of an element is one of its place in a chunk plus one of the chunk, which makes any two elements independent. */
#define STATE_CHUNK 512
struct op_draws { uint32_t of[STATE_CHUNK]; };
struct op_state { void *data; bool b16; uint64_t key; const struct op_draws *draws; size_t first; };      /* first: of the whole weight's elements, of which this may be a part */
void op_draws(const struct run *r, const struct tensor *w, int id, struct op_draws *d);      /* for the moments of w, of which id is one */
struct op_state op_state(const struct run *r, const struct tensor *w, int id, const struct op_draws *d);
/* How many elements from `at` on, up to `to`, are taken at a time. */
size_t op_state_chunk(const struct op_state *s, size_t at, size_t to);
/* They lie where they lie, or in room. */
real *op_state_get(const struct cpu_kernels *k, const struct op_state *s, size_t at, size_t n, real room[STATE_CHUNK]);
void op_state_put(const struct cpu_kernels *k, const struct op_state *s, size_t at, size_t n, const real *x);
/* The panels of a weight, anew, unless others have a part in it (op_optim.c). */
void op_repack(struct run *r, const struct tensor *w);
/* The panels over rows (cols: over columns) of a product's weight in[1]: those that are kept, in[4] and in[5], or made in `room` of
 * rows that lie in a file.  room: op_panels_room() bytes, 0 where they are kept; op_panels_scratch() bytes for each thread. */
size_t op_panels_room(const struct graph *g, const struct node *n, bool cols);
size_t op_panels_scratch(const struct graph *g, const struct node *n);
const void *op_panels(struct run *r, const struct node *n, bool cols, void *room);
/* What the backward pass makes of a gradient dy[M,N] that bf16 products read: its rows (for dx) and its pairs (for dw), in one
 * pass; NULL: not wanted. */
void product_dy_bf16(struct run *r, const struct slices *s, int64_t N, const real *dy, bf16 *rows, bf16 *pairs);
/* n elements to the other type, on all threads. */
void product_to_bf16(struct run *r, size_t n, const real *x, bf16 *y);
void product_from_bf16(struct run *r, size_t n, const bf16 *x, real *y);
/* y[C] (+)= column sums of x[.., C], by chunks; work: col_sum_size(rows, C) bytes. */
size_t col_sum_size(const struct graph *g, int64_t n_row, int64_t C);
void col_sum(struct run *r, const struct slices *s, int64_t C, const real *x, ptrdiff_t ld, real *y, bool add, char *work);

#endif
