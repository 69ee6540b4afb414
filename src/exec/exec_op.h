/* exec_op.h - what operations on a device share: how one is called, where its operands are, and how kernels are launched.
 *
 * An operation that is new to devices: a struct exec_op in a file exec_*.c, its name in the list below and in exec.c's table. */
#ifndef EXEC_EXEC_OP_H
#define EXEC_EXEC_OP_H
#include "exec/exec.h"
#include "gpu/args.h"
#include "gpu/blaslt.h"
#include "gpu/hopper.h"
#include "nn/op.h"

#define EXEC_NOWHERE SIZE_MAX
/* A segment of a weight in the device's form: of all experts first the quants [E][n_row], then the scales [E][n_row].  w, scale: places in the arena. */
struct exec_segment { size_t w, scale, w_expert, scale_expert; };
struct exec_weight { struct exec_segment segment[SEGMENT_MAX]; };

/* What goes up for a step, in one block; places in it, and bytes. */
struct exec_tables {
    size_t seq_start;          /* I32 [S+1] */
    size_t seq, pos, len;      /* I32 [T]: a row's sequence, its position, and how many keys it sees without a window */
    size_t page;               /* I32 [S][page_stride] */
    int page_stride;
    size_t sampling, draw_position, drawn, allowed;      /* struct gpu_sampling, U64, I32 [S]; a bit an id */
    size_t bytes;
};
struct exec_input { int tensor; unsigned passes; };         /* which passes read it, a bit each */
struct exec_rows { int node, w; size_t at; };              /* rows of an embedding in a file: of which node, in the block of a step */

#define EXEC_GRAPHS 32
/* A pass of these sizes, recorded when it comes the second time in a row: its launches then are one. */
struct exec_shape { enum pass pass; int T, S, n_range, from; };   /* from: the first node; of a pass in several parts the last alone is recorded */
struct exec_graph { struct exec_shape shape; struct gpu_graph graph; uint64_t used; };

/* A call of training that was made before: its tensor maps lie in the arena.  key: all that it is made of. */
struct exec_key { const void *p[8]; long n[8]; };
struct exec_call { struct exec_key key; struct gpu_call call[2]; };

struct exec_team;
struct exec {
    struct graph_device base;
    struct exec_team *team; int rank;                            /* of several devices that share the model (exec_team.c), the how manieth; NULL: alone */
    bool one_by_one;                                             /* passes are not recorded */
    struct gpu *gpu;
    void *stream;
    size_t kind_at[N_TENSOR_KIND], work_at, a8_at, step_at, bytes; /* in the arena */
    int a8_of;                                                   /* the tensor whose rows lie at a8_at as int8, in this pass; -1: none */
    struct exec_weight *weight;                                  /* [n_tensor], of those with panels */
    size_t *place;                                               /* [n_tensor], of the others, or EXEC_NOWHERE */
    int n_tensor;
    int logits, n_vocab;                                         /* what PASS_HEAD gives, -1: nothing; its columns */
    int n_id; bool has_gaps;                                     /* that may be drawn */
    struct exec_tables tables;
    struct exec_rows *rows; int n_rows;
    struct exec_input *input; int n_input;
    char *arena, *step;                                          /* step: pinned, what goes up */
    void *sent;                                                  /* event: it is up */
    bool sending;
    struct exec_graph graph[EXEC_GRAPHS]; int n_graph; uint64_t n_run;
    struct exec_shape last[N_PASS]; bool ran[N_PASS];
    enum exec_by by;
    struct gpu_blas *blas;                                       /* EXEC_VENDOR */
    struct exec_call *call; int n_call, most_call, next_call;    /* next_call: which comes next if the step is like the last */
    size_t maps_at;
    bool *half;                                                  /* [n_tensor]: floats of the graph that lie in bf16 here, in the first half of their room; NULL: none */
};

struct exec_run {
    struct exec *x;
    const struct graph *g;
    const struct step *step;
    char *work;                                                  /* on the device, as many bytes as the operation's work() said */
    int n_range;                                                 /* of GPU_RANGE positions, at least those of the longest sequence: a power of two, or all there are */
};

struct exec_op {
    /* Can it be done here?  Says what cannot.  NULL: always. */
    int (*check)(const struct exec *x, const struct graph *g, const struct node *n, struct err *err);
    size_t (*work)(const struct exec *x, const struct graph *g, const struct node *n, int T, int S);      /* bytes; NULL: none */
    /* Gives its launches to the stream, and waits for nothing.  Launches of an inference graph's passes are recorded and used again for other steps of
     * the same T, S and n_range, where S is 1 or each sequence has one row: nothing else of the step may be in their arguments. */
    int (*forward)(struct exec_run *r, const struct node *n, struct err *err);
    int (*backward)(struct exec_run *r, const struct node *n, struct err *err);                           /* NULL: none yet */
};
#define EXEC_OPS(X) \
    X(embed) X(linear) X(linear_act) X(rmsnorm) X(layernorm) X(qk_norm) X(attention_paged) X(gelu) X(gelu_tanh) X(swiglu) X(geglu) X(geglu_tanh) \
    X(swiglu_clamped) X(sigmoid) X(tanh) X(softcap) X(clip) X(add) X(take_rows) \
    X(route) X(expert_linear) X(combine) X(join_peers) X(gather_peers)
#define X(name) extern const struct exec_op exec_op_##name;
EXEC_OPS(X)
#undef X
/* Of a weight: does its graph have products by bf16 rows of it, made once a step (exec_train.c)?  They lie where its packed[0] is, exec_rows16() of them, those beyond its own zeros. */
bool exec_packs16(const struct exec *x, const struct graph *g, const struct tensor *w);
static inline int64_t exec_rows16(const struct tensor *w) { return (w->shape[0].n + 63) / 64 * 64; }
/* May this activation lie in bf16, by all that make and read it? */
bool exec_may_be_half(const struct exec *x, const struct graph *g, int id);
/* Of a graph that was differentiated (exec_train.c); NULL: none. */
const struct exec_op *exec_train_op(enum op op);

/* What exec.c does for each device of a team, and the other way round (exec_team.c).  exec_nodes: nodes from .. end - 1 of the pass; exec_team_place: where its
 * members meet, from `at` on, gives the end of it. */
int exec_send(struct exec *x, const struct graph *g, enum pass pass, const struct step *step, struct err *err);
int exec_nodes(struct exec_run *r, enum pass pass, int from, int end, struct err *err);
size_t exec_team_place(struct exec *x, const struct graph *g, size_t at);
int exec_team_send(struct exec *x, const struct graph *g, enum pass pass, const struct step *step, struct err *err);
int exec_team_nodes(struct exec_run *r, enum pass pass, int from, int end, struct err *err);
int exec_team_launch(struct exec *x, const struct gpu_graph *graph, struct err *err);
extern size_t exec_team_whole;                                   /* bytes of a sum up to which each member takes all of it; tests make it less */

/* A tensor on the device; NULL for -1 and for what only the host has. */
static inline void *exec_data(const struct exec_run *r, int id)
{
    return id < 0 || r->x->place[id] == EXEC_NOWHERE ? NULL : r->x->arena + r->x->place[id];
}
static inline int64_t exec_count_rows(const struct exec_run *r, int id) { return tensor_rows(&r->g->tensor[id], r->step->T, r->step->S); }
static inline void *exec_table(const struct exec_run *r, size_t at) { return r->x->arena + r->x->step_at + at; }
static inline size_t exec_round(size_t n) { return (n + 255) / 256 * 256; }
/* Has the device as much memory free as plan() found? */
int exec_check_room(struct exec *x, const struct graph *g, struct err *err);
/* Keys of the longest sequence, those before the step too. */
static inline int64_t exec_longest(const struct step *s)
{
    int64_t most = 0;
    for (int i = 0; i < s->S && s->seq_start; i++) {
        const int64_t n = (s->pos0 ? s->pos0[i] : 0) + s->seq_start[i + 1] - s->seq_start[i];
        most = n > most ? n : most;
    }
    return most;
}
static inline int exec_launch(struct exec_run *r, enum gpu_kernel k, int64_t gx, int64_t gy, int64_t gz, const void *args, struct err *err)
{
    return gpu_launch(r->x->gpu, r->x->stream, k, (long)gx, (long)gy, (long)gz, args, err);
}
/* The words of a refusal: "cuda:0 cannot do attention_paged '3.attn': " and what. */
#define EXEC_REFUSE(err, x, g, n, fmt, ...) \
    ERR(err, UNSUPPORTED, "%s cannot do %s '%s': " fmt, (x)->base.name, op_name((n)->op), (g)->tensor[(n)->out[0]].name, __VA_ARGS__)
/* ... is there, and not refused: what an operation will launch is asked for before a weight is read. */
int exec_check_kernel(const struct exec *x, const struct graph *g, const struct node *n, enum gpu_kernel k, struct err *err);
int exec_check_f32(const struct exec *x, const struct graph *g, const struct node *n, int id, struct err *err);      /* ... is F32, or -1 */

/* Rows as int8 (gpu/args.h, quantize_args), q[M][K] and ds[M][K / 32][2], of one tensor at a time: products with quantised weights read them.  What makes the tensor writes
 * them too where exec_a8_wanted() is not NULLs; exec_a8() makes them where that was not so, or others have taken the place since. */
struct exec_a8 { i8 *q; float *ds; };
struct exec_a8 exec_a8_wanted(struct exec_run *r, int id);
int exec_a8(struct exec_run *r, int id, int64_t M, int64_t K, struct exec_a8 *out, struct err *err);
size_t exec_a8_bytes(const struct graph *g, const struct node *n, int T, int S);      /* of what the node reads so; 0: nothing */

/* y[M][N] = add + bias + x[M][K] * w^T, x the tensor's rows: a matrix; add like y, or NULL.  work: exec_product_work() bytes. */
struct exec_product { int w, x; int64_t M; float *y; const float *add, *bias; };
/* The type in which rows of K of a file's type are kept: its own where there is a kernel; else floats, of those that floats hold exactly; else N_CPU_TYPE. */
enum cpu_type exec_form(enum cpu_type t, int64_t K);
int exec_product_check(const struct exec *x, const struct graph *g, const struct node *n, int w, struct err *err);
size_t exec_product_work(const struct graph *g, int w, int64_t M);
int exec_product(struct exec_run *r, const struct exec_product *p, char *work, struct err *err);
/* The product of a node's sorted rows (in: x, w, row, start) with their experts' weights: y[rows][N], or with act SwiGLU of it, times gate[rows] (NULL: 1),
 * which exec_experts_fuses() allows.  bias[E][N] or NULL; work: exec_experts_work() bytes.  (exec_moe.c) */
int exec_experts_check(const struct exec *x, const struct graph *g, const struct node *n, struct err *err);
size_t exec_experts_work(const struct node *n, int T);
bool exec_experts_fuses(const struct graph *g, const struct node *n);
int exec_experts(struct exec_run *r, const struct node *n, bool act, const float *gate, const float *bias, float *y, char *work, struct err *err);
/* y[rows][C] = a + b, b like a or one row for all (ld_b 0); y may be a. */
int exec_add(struct exec_run *r, int64_t rows, int64_t C, const float *a, const float *b, int64_t ld_b, float *y, struct err *err);
/* y[rows][F], a tensor, = act of h, times scale[rows] (NULL: 1); exec_act_check: has it the kernel? */
int exec_act_check(const struct exec *x, const struct graph *g, const struct node *n, enum op act, bool scaled, struct err *err);
int exec_act(struct exec_run *r, enum op act, int64_t rows, int64_t F, const float *h, const float *scale, int y, struct err *err);
#endif
