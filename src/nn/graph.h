/* graph.h - a model as a flat list of tensor operations: recorded once, differentiated, planned, run, priced.
 *
 *   struct graph *g = graph_new();
 *   x = graph_input(...), w = graph_weight(...), y = graph_linear(g, x, w, ...)      record (nn/record.c)
 *   graph_backward(g, ...)           appends the backward pass: the same list continued in reverse by the adjoints
 *   graph_update(g, ...)             appends gradient sums and the optimiser
 *   graph_plan(g, T_max, S_max, n_thread)     decides where every byte lies; graph_bytes() tells
 *   graph_bind(g, ...)               takes that memory, and nothing is taken after it
 *   graph_run(g, PASS_..., step)     any T <= T_max, S <= S_max, any number of times
 *
 * Shapes have two free sizes, T (tokens of this step) and S (sequences of this step).  Recording and planning fail by
 * struct err; running cannot fail, but where other processes have a part, or a device (graph_failed()).  A graph and its memory belong to one thread at a time; pool threads work inside runs.
 *
 * Bits: an operation's result for a token depends on nothing but that token's own sequence up to it - not on the batch, T,
 * or the number of threads (kernels.h's promise, kept by the operations).  Sums over tokens (gradients) are taken in token
 * order, or over fixed chunks of CHUNK tokens and then in chunk order. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/pool.h"
#include "cpu/kernels.h"
#include "cpu/panel.h"
#include "cpu/quant.h"

/* ---- element types ----
 * A8: rows of int8 activations (cpu/panel.h), for the products of quantised panels only; their size is that of whole rows.
 * I8: bytes of pages of keys and values (cpu/attn_paged.h). */
#define DTYPES(X) X(F32, "F32", sizeof(real)) X(BF16, "BF16", 2) X(I32, "I32", 4) X(F64, "F64", 8) X(A8, "A8", 0) X(I8, "I8", 1)
enum dtype {
#define X(name, word, size) DT_##name,
    DTYPES(X)
#undef X
    N_DTYPE
};
size_t dtype_size(enum dtype t);         /* of an element; not of A8 */
const char *dtype_name(enum dtype t);

/* ---- shapes: n, n*T or n*S ---- */
enum dim_of { DIM_ONE, DIM_T, DIM_S };
struct dim { int64_t n; enum dim_of of; };
#define MAX_RANK 3

/* ---- weights as a file holds them ----
 * A weight [N,K] (or [E,N,K]) whose rows are kept in panels of the file's own type instead of floats: n_row rows of one
 * type after the other, each segment in whole panels.  Expert e's panels follow those of expert e-1. */
#define SEGMENT_MAX 3
struct panel_segment { enum panel_type type; int64_t n_row, row; size_t offset; enum cpu_type of; };      /* row, offset (bytes): where it begins in an expert; of: what the file has, set by the caller where a device is to know */
struct panels { int n_segment; struct panel_segment segment[SEGMENT_MAX]; size_t expert_bytes; };

struct graph_device;

/* ---- tensors ---- */
enum tensor_kind {
    TENSOR_WEIGHT,     /* learned; filled by the caller after bind */
    TENSOR_FROZEN,     /* a weight that is not learned: no gradient, no optimiser state, and what leads only to such is not differentiated */
    TENSOR_PACKED,     /* a weight in panels, made by PASS_PREPARE and kept up to date by PASS_UPDATE, or of a file's types (panels.n_segment) filled by the caller */
    TENSOR_MAPPED,     /* rows of mapped_type that lie elsewhere (a mapped file), one after the other: the caller sets data after bind; or
                          each by itself, in a type of its own: the caller sets row, and products make their panels of them each time */
    TENSOR_CONST,      /* filled by the caller after bind, never changed (tables) */
    TENSOR_CACHE,      /* lives from step to step (keys and values) */
    TENSOR_INPUT,      /* filled by the caller before each run */
    TENSOR_OUTPUT,     /* valid after a run, until the next */
    TENSOR_ACT,        /* between operations; its place is shared with others */
    TENSOR_GRAD,       /* gradient of a weight */
    TENSOR_MOMENT,     /* optimiser state of a weight */
    N_TENSOR_KIND
};
const char *tensor_kind_name(enum tensor_kind kind);

struct mapped_row { const void *data; enum cpu_type type; };

struct tensor {
    char name[80];
    enum tensor_kind kind;
    enum dtype dtype;
    int rank;
    struct dim shape[MAX_RANK];
    int grad;                  /* its gradient's id, or -1 */
    int moment[2];             /* weights: m and (AdamW's) v, or -1 */
    int average;               /* weights: their running average, or -1 */
    int packed[2];             /* weights: panels over rows (x*w^T) and over columns (dy*w), or -1 */
    bool decay;                /* weights: weight decay applies */
    bool of_experts;           /* weights of rank 2: a row for each expert (biases) */
    bool steered;              /* frozen weights: the caller changes them between steps all the same */
    bool sought;               /* inputs, F32: set before graph_backward(), which then makes their gradient too, an output */
    int n_part;                /* weights of layers, and their gradients, of which so many processes have a part each; 0: this one has all */
    int64_t first_row;         /* of rows of a vocabulary that are divided: the first that is here */
    bool grad_in_parts;        /* weights that all have: the gradient is the sum of those of the processes, which whoever runs the graph takes */
    int n_matrix; int64_t matrix_rows[3];      /* weights: matrices that lie one above the other (of an expert), for Muon; 0: it is none of Muon's */
    int n_peer;                /* weights: this process's part of experts that so many have among them; 0: all have the whole weight.  Their gradients: one
                                  [E,N,K] for the tokens of each process after the other (0: one of all, graph.whole_step) */
    int live, live_mean;       /* activations that hold rows of other processes: as many as the last number of tensor `live` says, live_mean * T on average,
                                  of those that there is room for; -1: all rows are in use */
    bool keep;                 /* activations: kept when blocks are recomputed */
    int first, last;           /* activations: nodes of first and last use, -1 when unused */
    bool here, there;          /* after graph_plan(): a node that runs on the host uses it, one that runs on the device */
    struct panels panels;      /* packed weights of a file's types; n_segment 0: others */
    enum cpu_type mapped_type; /* TENSOR_MAPPED */
    const struct mapped_row *row;      /* the same, or NULL: of [N,K] or [E,N,K] seen as [.., K] */
    size_t bytes, offset;      /* at T_max, S_max; place inside its kind's block */
    void *data;                /* after bind */
};

/* ---- operations ---- */
enum op {
#define OP(name, ...) OP_##name,
#include "nn/ops.def"
#undef OP
    N_OP
};
/* PASS_HEAD: the end of a decoder that generates, from the stream of the last layer (kept after PASS_FORWARD) to the logits
 * of chosen rows; it may run any number of times after a forward pass.  There S counts the chosen rows.
 * PASS_HIDDEN: the same up to the last norm.
 * PASS_LOSS: the loss of a graph with loss_first after PASS_FORWARD, before what its gradient is to be is known.
 * PASS_NORM: the sums of squares of the gradients, once they are those of the whole step. */
enum pass { PASS_PREPARE, PASS_FORWARD, PASS_HEAD, PASS_HIDDEN, PASS_LOSS, PASS_BACKWARD, PASS_NORM, PASS_UPDATE, N_PASS };
const char *op_name(enum op op);

/* pool: which rows of a sequence make one. */
enum pool_rows { POOL_ROWS_FIRST, POOL_ROWS_LAST, POOL_ROWS_MEAN };
#define GRAPH_SLICES_MAX 16
#define NODE_IN 8
#define NODE_OUT 8
struct attr {
    enum dtype compute;        /* of products: F32 or BF16 */
    int n_head, n_kv_head, d_head, d_rot, d_v, window;      /* d_v 0: d_head; window 0: none */
    bool rope_pairs, norm_per_head, norm_topk, gather, by_cols, bidirectional, sigmoid;
    int n_expert, top_k;
    int n_peer;                /* dispatch, collect, expert_linear: processes that have the experts among them; 0: this one has all */
    int n_group, n_group_chosen, group_best;      /* route: group_best 0: no groups */
    enum op act;               /* linear_act */
    int first;                 /* embed: the row of id 0; pool: rows at the beginning that the mean leaves out; lora, lora_rows: the first column of y */
    int h_first;               /* lora: the first column of h */
    int adapter;               /* lora_rows: of which sequences (step.adapter) */
    enum pool_rows pool;
    int ctx;                   /* attention_paged: positions of a sequence at most */
    double eps, scale, aux_coef, z_coef, p;       /* scale of scores, of embeddings, of gates (0: 1) */
    double cap;                /* soft cap or clip, 0: none */
    uint64_t stream;           /* dropout: which of the model's random streams */
};
struct node {
    enum op op;
    enum pass pass;
    int in[NODE_IN], out[NODE_OUT];        /* tensor ids, -1: absent */
    int d_in[NODE_IN], d_out[NODE_OUT];    /* backward: gradients of the same places, -1: not wanted */
    bool add[NODE_IN];                     /* backward: d_in[i] += instead of = */
    bool again;                            /* a forward node run again in the backward pass: statistics are not counted */
    bool here;                             /* it runs on the host also where the graph has a device (graph.here) */
    struct attr attr;
};

/* One step's sizes and tables.  Sequence s owns rows seq_start[s] .. seq_start[s+1]-1 of the T rows; its first row has
 * position pos0[s], and its keys and values lie in cache slot slot[s] when the graph has a cache (else pos0 is 0). */
struct step {
    int T, S;
    const int32_t *seq_start;  /* [S+1] */
    const int32_t *pos0;       /* [S], or NULL: all 0 */
    const int32_t *slot;       /* [S], or NULL */
    const int32_t *page; int page_stride;      /* with a cache of pages: [S][page_stride] numbers of each sequence's pages */
    const int32_t *adapter;    /* [S]: which adapter each sequence has, from 1 on; 0: none.  NULL: all have none */
    bool accumulate;           /* weight gradients add to what is there */
    /* Backward: the sequences of slice v are slice[v] .. slice[v + 1] - 1.  What is summed over tokens for a weight, and what routers and
     * dropout do, is done for each slice as if it were alone; then gradients are summed by twos, ((0+1)+(2+3))+.., while they are in
     * the cache.  A power of two up to graph.n_slice; 0: one.  Not with accumulate. */
    int n_slice; const int32_t *slice;
    bool no_weights;           /* backward: products leave the gradients of weights as they are */
    double loss_scale;         /* of the gradient of each token's nll: 1 / number of counted tokens */
    const real *token_scale;   /* [T] instead, one for each token, or of a sequence's loss that of its first; NULL: the same for all */
    double aux_scale;          /* of the router losses: 1 / number of micro-batches */
    uint64_t seed, i_step;     /* dropout, rounding of moments */
    struct adamw adamw;        /* wd as given; 0 is used for weights that do not decay */
    struct momentum momentum;  /* of SGD (like adamw) or of Muon, whose other weights adamw updates */
};

struct graph_plan {
    int T, S, n_thread;
    size_t bytes[N_TENSOR_KIND], work, scratch;      /* scratch: per thread */
    size_t shared;             /* of the blocks of weights and gradients: what is learned and is no process's own part (tensor.n_peer) comes first */
    size_t here[N_TENSOR_KIND];      /* of a graph with a device: of the host, for nodes that run there; bytes[] is then of the device alone */
    size_t total;
};

/* The processes that share a model, in order: all run the same passes of the same graph at the same time.
 * sum: x[n] of each becomes their sum, the same bits in all.
 * exchange (experts): bytes send_at[p] .. send_at[p + 1] - 1 of send go to process p, this one too, and what p sends comes to recv_at[p] .. of recv. */
struct peers {
    int rank, size;
    int (*sum)(void *ctx, real *x, size_t n, struct err *err);
    int (*exchange)(void *ctx, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *err);
    void *ctx;
};

struct graph {
    struct tensor *tensor; int n_tensor, cap_tensor;
    struct node *node; int n_node, cap_node;
    int loss;                      /* the output of cross_entropy, -1 before it is recorded */
    int n_slice;                   /* set before recording: slices of a run at most (struct step), a power of two; 0: one */
    bool whole_step;               /* set before recording, where experts are divided: what the peers run at one time are the slices of a step, in their
                                    * order, n_peer * n_slice <= GRAPH_SLICES_MAX of them: gradients of experts are their sum */
    bool sought_only;              /* set before graph_backward(): weights get no gradients, only inputs that are sought; it may share them with a graph that learns them */
    bool loss_first;               /* set before graph_backward(): the loss has a pass of its own too, PASS_LOSS */
    bool backward;                 /* graph_backward was called */
    struct graph_plan plan;
    const struct cpu_kernels *k;
    struct pool *pool;
    char *block[N_TENSOR_KIND], *work, *scratch;     /* owned, or NULL when borrowed */
    /* Bytes of the gradients' block whose weights this process updates, where several share the work: PASS_NORM and PASS_UPDATE leave
     * the rest alone, and panels are then not kept up to date.  A range ends where a block of op_squares() of a weight
     * does, or a weight.  All, unless said otherwise. */
    size_t own_from, own_to;
    /* Called after each node of a run, whose operands are still as they were; NULL: nobody watches. */
    void (*watch)(void *ctx, const struct graph *g, const struct node *n, const struct step *step);
    void *watch_ctx;
    const struct peers *peers;     /* set before runs; NULL: this process is alone */
    int rc; struct err failed;     /* what was asked of the others, or of the device, failed: see graph_failed() */
    struct graph_device *device;   /* set before graph_plan(): where it runs (nn/device.h); borrowed.  NULL: here */
    bool here;                     /* nodes that are recorded from now on run on the host, whatever device the graph is given: of inference graphs */
};

struct graph *graph_new(void);     /* NULL without memory */
void graph_free(struct graph *g);  /* with the memory it bound */

/* ---- recording (record.c).  Each returns the id of the result, or a negative error ---- */
struct shape { int rank; struct dim dim[MAX_RANK]; };
int graph_tensor(struct graph *g, enum tensor_kind kind, enum dtype dtype, struct shape shape, struct err *err,
                 const char *name_fmt, ...) __attribute__((format(printf, 6, 7)));
#define ROWS_T(c)   ((struct shape){ 2, { { 1, DIM_T }, { (c), DIM_ONE } } })
#define ROWS_TN(n, c) ((struct shape){ 2, { { (n), DIM_T }, { (c), DIM_ONE } } })
#define ROWS_S(c)   ((struct shape){ 2, { { 1, DIM_S }, { (c), DIM_ONE } } })
#define VEC_T       ((struct shape){ 1, { { 1, DIM_T } } })
#define VEC_S       ((struct shape){ 1, { { 1, DIM_S } } })
#define VEC(n)      ((struct shape){ 1, { { (n), DIM_ONE } } })
#define MAT(r, c)   ((struct shape){ 2, { { (r), DIM_ONE }, { (c), DIM_ONE } } })
#define CUBE(e, r, c) ((struct shape){ 3, { { (e), DIM_ONE }, { (r), DIM_ONE }, { (c), DIM_ONE } } })

/* A weight in panels of a file's types.  shape: [N,K] or [E,N,K]; the rows of the segments add up to N. */
int graph_panels(struct graph *g, struct shape shape, int n_segment, const enum panel_type *type, const int64_t *n_row, const char *name, struct err *err);
/* w: a weight, or TENSOR_MAPPED.  scale: of the rows; first: the row of id 0.  Where processes have parts of w (n_part) the rows of others are zeros. */
int graph_embed(struct graph *g, int ids, int w, double scale, int first, struct err *err);
/* bias and add may be -1.  w: a weight, multiplied in `compute`, or panels of a file's types, which decide for themselves.  compute: F32 or BF16; the result is F32.  x may be of either type. */
int graph_linear(struct graph *g, int x, int w, int bias, int add, enum dtype compute, const char *name, struct err *err);
/* The type of x that the product with w, a weight in panels of a file's types, reads without another pass: A8, BF16 or F32. */
enum dtype graph_form(const struct graph *g, int w);
/* out: F32, BF16 or A8 */
int graph_norm(struct graph *g, enum op op, int x, int w, int b, double eps, enum dtype out, const char *name, struct err *err);
int graph_qk_norm(struct graph *g, int qkv, int wq, int wk, const struct attr *a, const char *name, struct err *err);
int graph_rope(struct graph *g, int qkv, int pos, int table, const struct attr *a, struct err *err);   /* in place; returns qkv */
/* qkv: [T, H*D + G*D + G*Dv].  kcache, vcache: -1, or [n_slot, ctx, G*D], [.., G*Dv].  sinks: -1, or [H] */
int graph_attention(struct graph *g, int qkv, int sinks, int kcache, int vcache, const struct attr *a, enum dtype out, const char *name, struct err *err);
/* For inference only: norm (q_norm, k_norm [D] or -1) and rotation (table or -1) of q and k, then attention over cache
 * [G, pages, graph_kv_page()], F32, BF16 or I8, where this step's keys and values are put first: a sequence whose pages have
 * ascending numbers is one stretch of memory for each head. */
int64_t graph_kv_page(enum dtype cache, int dk, int dv);
int graph_attention_paged(struct graph *g, int qkv, int cache, int q_norm, int k_norm, int sinks, int table, const struct attr *a, enum dtype out,
                          const char *name, struct err *err);
int graph_act(struct graph *g, enum op op, int h, int scale, enum dtype out, const char *name, struct err *err);
int graph_sigmoid(struct graph *g, int x, const char *name, struct err *err);
int graph_tanh(struct graph *g, int x, const char *name, struct err *err);
int graph_softcap(struct graph *g, int x, double cap, struct err *err);      /* in place; returns x */
int graph_clip(struct graph *g, int x, double limit, const char *name, struct err *err);
int graph_mla_join(struct graph *g, int q, int kv_a, int kv, const struct attr *a, const char *name, struct err *err);
/* From logits [T,E]; correction: -1, or [E], frozen, added to scores only to choose.  Everything the expert operations need; stats are outputs. */
struct routed {
    int probs;         /* [T,E]    F32, scores: softmax or sigmoid of the logits */
    int gate;          /* [T*k]    F32, gate of each sorted row */
    int row, start;    /* [T*k]    I32, token of each sorted row;  [E+1] I32, first row of each expert */
    int slot;          /* [T,k]    I32, the token's rows, experts ascending */
    int lse;           /* [T]      F32 */
    int stats;         /* [slices][2E+3]   F64 output: count[E], sum of probs[E] (sigmoids as shares of their sum), sum of lse^2 (sigmoids: 0), sum of entropy, T (graph_aux_losses) */
    int n_peer, rows;  /* of graph_dispatch(): the processes whose rows these are, and rows that there is room for, of a token; else 0 */
};
int graph_route(struct graph *g, int logits, int correction, const struct attr *a, struct routed *out, const char *name, struct err *err);
/* bias: -1, or [E,N] */
int graph_expert_linear(struct graph *g, int x, int w, int bias, const struct routed *r, bool gather, enum dtype compute, const char *name, struct err *err);
/* For inference: act over x * w^T + bias, as graph_linear() or, with r, graph_expert_linear(.., gather) and graph_act(), in one
 * pass; w: panels whose halves (of a gated activation) both begin at whole panels, graph_fuses() tells.  out: F32, BF16, A8. */
bool graph_fuses(const struct graph *g, enum op act, int w);
int graph_linear_act(struct graph *g, enum op act, int x, int w, int bias, const struct routed *r, int scale, enum dtype out, const char *name, struct err *err);
/* Experts that n_peer processes have among them, in order, E / n_peer each (struct peers): sends the rows of x, with their gates if
 * gated, to where their experts are.  Returns the rows that came here, by process and then by expert; expert operations of them take *there,
 * which has gate and start only, and weights with n_peer.  graph_collect() sends results y of such rows back; compute: the type in which
 * the product that made y reads its gradient, which travels so (a bias of it: F32). */
int graph_dispatch(struct graph *g, int x, const struct routed *r, bool gated, int n_peer, struct routed *there, const char *name, struct err *err);
int graph_collect(struct graph *g, int y, const struct routed *r, const struct routed *there, enum dtype compute, const char *name, struct err *err);
/* gated: rows are multiplied by their gates here */
int graph_combine(struct graph *g, int x, const struct routed *r, bool gated, int add, const char *name, struct err *err);
int graph_add(struct graph *g, int a, int b, const char *name, struct err *err);
/* x may be BF16 where add is -1. */
int graph_dropout(struct graph *g, int x, int add, double p, uint64_t stream, const char *name, struct err *err);
/* A low-rank adapter's second half, in place: columns first .. first+N-1 of y += scale * h[T,r] * b[N,r]^T, where h is columns
 * h_first .. h_first+r-1; returns y. */
int graph_lora(struct graph *g, int y, int first, int h, int h_first, int b, double scale, enum dtype compute, struct err *err);
/* For inference: what adapter number `adapter` adds to columns first .. first+N-1 of y, the product of x (F32, BF16 or A8) with a weight, in the rows of
 * the sequences that have it; a [r,K] and b [N,r] in panels of F32.  All in floats; returns y. */
int graph_lora_rows(struct graph *g, int y, int first, int x, int a, int b, double scale, int adapter, struct err *err);
/* Products of which each peer has some of the terms: x[T,C], in place, becomes the sum of the peers', plus bias (-1: none).  And what
 * such products begin with: x as it is, whose gradient becomes the sum.  Both return x. */
int graph_sum_peers(struct graph *g, int x, int bias, struct err *err);
int graph_sum_peers_grad(struct graph *g, int x, struct err *err);
/* The same for inference, on devices or by struct peers: out = add (-1: none) + (sum + bias); x is nobody's afterwards.  And V columns of which peer i has
 * V*i/n .. V*(i+1)/n - 1 as the first ones of its x[S, the most that one has]. */
int graph_join_peers(struct graph *g, int x, int bias, int add, const char *name, struct err *err);
int graph_gather_peers(struct graph *g, int x, int64_t V, const char *name, struct err *err);
int graph_take_rows(struct graph *g, int x, int index, const char *name, struct err *err);
/* x: [S*n,C], n rows of each sequence; cls: [1,C], the row before them; pos: [1+n,C].  Every sequence has 1+n tokens. */
int graph_image_tokens(struct graph *g, int x, int cls, int pos, struct err *err);
/* x: F32; first: of the mean. */
int graph_pool(struct graph *g, int x, enum pool_rows pool, int first, const char *name, struct err *err);
/* The loss of a classifier: logits and targets [S,V], targets F32 of any sum (0: the sequence is not counted).  loss_scale as for
 * cross_entropy, of each sequence. */
int graph_soft_cross_entropy(struct graph *g, int logits, int target, struct err *err);
/* Of a w in parts (n_part) each process has its columns of the logits; all get the same nll, and the gradient of x is each one's share. */
int graph_cross_entropy(struct graph *g, int x, int w, int target, double cap, enum dtype compute, struct err *err);

/* ---- differentiation (backward.c) ---- */
enum recompute { RECOMPUTE_NONE, RECOMPUTE_CHEAP, RECOMPUTE_BLOCK };
int graph_backward(struct graph *g, enum recompute recompute, struct err *err);
/* After it: is each weight's gradient of an operation that takes slices apart? */
bool graph_knows_slices(const struct graph *g);
/* sum_squares (PASS_NORM) for each weight, and its update: by AdamW, SGD, or Muon for the weights that consist of
 * matrices and AdamW for the others.  state: of its moments, F32 or BF16, which a step rounds at random (op.h). */
enum optimizer { OPTIMIZER_ADAMW, OPTIMIZER_MUON, OPTIMIZER_SGD };
int graph_update(struct graph *g, enum optimizer optimizer, enum dtype state, struct err *err);
/* Room for a running average of each learned weight, "average.<weight>", which the caller fills and keeps. */
int graph_averages(struct graph *g, struct err *err);

/* ---- memory (plan.c) ---- */
/* The blocks of weights and of gradients agree byte for byte as far as weights have gradients (they come first).
 * Weights, packed weights and constants that `share` (may be NULL) has under the same name, type and size take no memory
 * here: they are used in place after bind, so share must be bound by then and outlive g. */
int graph_plan(struct graph *g, int T, int S, int n_thread, const struct graph *share, struct err *err);
int graph_bind(struct graph *g, const struct cpu_kernels *k, struct pool *pool, const struct graph *share, struct err *err);
int graph_find(const struct graph *g, const char *name);   /* tensor id, or -1 */

/* ---- running (plan.c) ---- */
void graph_run(struct graph *g, enum pass pass, const struct step *step);
/* Has something that was asked of other processes or of the device failed in a run, and how?  That run and all later ones ended there, their results are void. */
int graph_failed(const struct graph *g, struct err *err);
/* Kernels like k, to the same bits, whose products are held against algebra (cpu/check.h; one such table at a time).  Was one wrong since? */
const struct cpu_kernels *graph_checked_kernels(const struct cpu_kernels *k);
bool graph_product_was_wrong(void);
/* Sum of squares of all weight gradients, after PASS_NORM; fixed order, double.  The second: of those in parts (n_part), which the first leaves out.
 * Divided experts (n_peer) have places for the sums of all processes, which whoever runs the graph fills. */
double graph_grad_square(const struct graph *g);
double graph_part_square(const struct graph *g);
/* Cuts what is learned, and all processes have, into n shares of nearly equal size: share i is bytes bound[i] .. bound[i + 1] - 1 of the block of gradients (and
 * of weights), for own_from and own_to, and the sums of squares of its gradients are bytes square[i] .. square[i + 1] - 1 of that of
 * outputs.  Of the graph as it is planned; both have n + 1 places. */
void graph_shares(const struct graph *g, int n, size_t *bound, size_t *square);
/* From now on the gradients of weights lie in `block` of plan.bytes[TENSOR_GRAD] bytes, which the caller keeps; g->block[TENSOR_GRAD]
 * is the graph's own.  On a device they stay where they are. */
void graph_set_grads(struct graph *g, char *block);

/* Of a loss whose backward pass has just run, over at most 256 tokens: [T,V], the derivative by each logit. */
const real *graph_loss_slope(const struct graph *g, const struct node *n, int T);

/* Router losses of one layer from its stats, as added to the training loss (already weighted by their coefficients):
 * lb = aux_coef * E * sum_i (count_i / (T*k)) * (prob_i / T), z = z_coef * mean lse^2. */
struct aux_losses { double lb, z, entropy; };
struct aux_losses graph_aux_losses(const double *stats, const struct attr *a);

/* Bound size of dimension i. */
static inline int64_t dim_size(struct dim d, int T, int S) { return d.n * (d.of == DIM_T ? T : d.of == DIM_S ? S : 1); }
/* Rows (all but the last dimension) and columns (the last; 1 for a vector over T or S) of a tensor. */
int64_t tensor_rows(const struct tensor *t, int T, int S);
int64_t tensor_cols(const struct tensor *t);
int64_t tensor_count(const struct tensor *t, int T, int S);
int64_t graph_rows(const struct graph *g, const struct tensor *t, const struct step *step);      /* those in use after a run (tensor.live) */
size_t tensor_bytes(const struct tensor *t, int T, int S);

/* ---- price (cost.c) ---- */
struct cost_vars { double M, N, K, P, R, L, E, G; };
struct op_info {
    const char *name, *formula;
    int gradient, recompute;                 /* OP_GRAD_*, OP_AGAIN_* */
    unsigned save_in, save_out;
    double (*flops)(const struct cost_vars *), (*flops_bwd)(const struct cost_vars *);
    double (*bytes)(const struct cost_vars *), (*bytes_bwd)(const struct cost_vars *);
};
enum { OP_GRAD_NO, OP_GRAD_YES, OP_GRAD_FUSED };
enum { OP_AGAIN_NEVER, OP_AGAIN_CHEAP };
extern const struct op_info op_table[N_OP];

bool op_is_product(enum op op);      /* its operations are multiply-adds of matrices */
struct cost { double flops, bytes; };
/* One node at T tokens, S sequences, L keys per query on average; by `table` (NULL: op_table). */
struct cost node_cost(const struct graph *g, const struct node *n, double T, double S, double L, const struct op_info *table);
/* Sum over the passes of the bit mask (1 << PASS_FORWARD | ...), by kind of work. */
struct cost_sum { double flops_f32, flops_bf16, flops_int8, flops_other, bytes; };
void cost_add(struct cost_sum *sum, const struct cost_sum *c);
struct cost_sum node_cost_sum(const struct graph *g, const struct node *n, double T, double S, double L, const struct op_info *table);
struct cost_sum graph_cost(const struct graph *g, unsigned passes, double T, double S, double L, const struct op_info *table);
/* Bytes of weights in panels that the products of the passes read, each once; of experts as many as T tokens choose on
 * average when they choose evenly.  Bytes of the cache for one position of one sequence. */
double graph_weight_bytes(const struct graph *g, unsigned passes, double T);
double graph_cache_bytes(const struct graph *g);
#endif
