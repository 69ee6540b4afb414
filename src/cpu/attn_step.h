/* attn_step.h - attention of one layer for all sequences of a step, on all threads of a pool.
 *
 * In one or two joins: where a sequence has several new tokens, first all of them get their norm and rotation and go into
 * the pages; then every piece of work is on its own: a block of a prompt's rows, or one row of one key/value head with its
 * own norm, rotation and storing, or, when there are fewer of those than keep all threads busy, one range of keys of such a
 * row; who finishes a row's last range joins them.  Bits do not depend on any of it (attn_paged.h). */
#ifndef CPU_ATTN_STEP_H
#define CPU_ATTN_STEP_H
#include "base/pool.h"
#include "cpu/kernels.h"

/* n_q >= 1 new tokens from position pos0 on are rows row0 .. of q, k, v, o.  page as in struct kv_pages. */
struct attn_seq { int row0, n_q, pos0; const int32_t *page; };

struct attn_step {
    const struct cpu_kernels *kernels; struct pool *pool;
    int n_seq; const struct attn_seq *seq;
    int n_kv_head, n_group, dk, dv;
    /* The cache: key/value head h of page number i at cache + i*page_stride + h*head_stride bytes (multiples of 64). */
    void *cache; size_t page_stride, head_stride; enum kv_type type;
    /* Row r: n_kv_head*n_group heads of dk at q + r*ld_q; n_kv_head of dk and dv at k, v.  q and k are changed where rows are
     * prepared in place.  k NULL: the pages hold this step's tokens already. */
    real *q, *k, *v; ptrdiff_t ld_q, ld_k, ld_v;
    const real *q_norm, *k_norm; real eps;                      /* [dk] each or NULL: RMSNorm of every head */
    const real *cos_sin; int d_rot; bool rope_pairs;            /* [positions][d_rot/2][2] or NULL: no rotation */
    bool bidirectional;                                         /* a row sees all n_q tokens of its sequence; pos0 is 0 */
    int window; real scale, softcap; const real *sink;          /* as in struct attn_paged; sink [n_kv_head * n_group] */
    void *o; ptrdiff_t ld_o; bool o_bf16;                       /* row r: n_kv_head*n_group heads of dv */
    void *scratch; size_t scratch_step;                         /* thread i's at scratch + i*scratch_step, attn_step_scratch() bytes */
    void *work;                                                 /* attn_step_work() bytes; all 64-byte aligned */
};

size_t attn_step_scratch(int n_group, int dk, int dv);
/* Of up to n_seq sequences of up to ctx positions. */
size_t attn_step_work(int n_seq, int ctx, int n_kv_head, int n_group, int dv, int n_thread);
void attn_step(const struct attn_step *s);
#endif
