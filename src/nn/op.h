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
static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Sums of rows, one for each of the T tokens (op_moe.c). */
void op_sum_rows(struct run *r, const struct sum_rows *p);
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
/* Packs on all threads, in pieces of panels. */
void product_pack_cols(struct run *r, const struct pack *p, enum dtype compute);
void product_pack_rows(struct run *r, const struct pack *p, enum dtype compute);
/* Sums of squares of a weight's gradient: of blocks of SQUARE_BLOCK elements, the last of each expert may have less. */
struct squares { int64_t each, per_expert, n; };      /* elements and blocks of an expert (or the weight), blocks in all */
static inline struct squares op_squares(const struct tensor *w)
{
    struct squares s = { .each = tensor_count(w, 1, 1), .n = w->rank == 3 ? w->shape[0].n : 1 };
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
/* The panels of a weight, anew, unless others have a part in it (op_optim.c). */
void op_repack(struct run *r, const struct tensor *w);
/* The panels over rows (cols: over columns) of a product's weight in[1]: those that are kept, in[4] and in[5], or made in `room` of
 * rows that lie in a file.  room: op_panels_room() bytes, 0 where they are kept; op_panels_scratch() bytes for each thread. */
size_t op_panels_room(const struct graph *g, const struct node *n, bool cols);
size_t op_panels_scratch(const struct graph *g, const struct node *n);
const void *op_panels(struct run *r, const struct node *n, bool cols, void *room);
/* What the backward pass makes of a gradient dy[M,N] that bf16 products read: its rows (for dx) and its pairs (for dw), in one
 * pass; NULL: not wanted. */
void product_dy_bf16(struct run *r, int64_t M, int64_t N, const real *dy, bf16 *rows, bf16 *pairs);
/* n elements to the other type, on all threads. */
void product_to_bf16(struct run *r, size_t n, const real *x, bf16 *y);
void product_from_bf16(struct run *r, size_t n, const bf16 *x, real *y);
/* y[C] (+)= column sums of x[n_row, C], by chunks; work: col_sum_size(n_row, C) bytes. */
size_t col_sum_size(int64_t n_row, int64_t C);
void col_sum(struct run *r, int64_t n_row, int64_t C, const real *x, ptrdiff_t ld, real *y, bool add, char *work);
/* y[C] (+)= sum of the n_chunk rows of partial sums. */
void chunks_sum(struct run *r, int64_t n_chunk, int64_t C, const real *partial, real *y, bool add);

#endif
