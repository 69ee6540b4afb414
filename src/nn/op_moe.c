/* op_moe.c - mixture of experts without dropped tokens and without a permuted copy of the tokens.
 *
 * route sorts the T*k (token, expert) pairs by expert, tokens ascending: sorted row i belongs to token row[i]; expert e owns
 * rows start[e] .. start[e+1]-1; slot[t][j] are the sorted rows of token t, experts ascending.
 * expert_linear is one product per expert over its rows, read through the list; combine sums a token's rows in slot order,
 * so the result does not depend on who computed what. */
#include <math.h>
#include <string.h>
#include "nn/op.h"

/* ---- route ---- */

struct route_job { struct run *r; const struct node *n; double *partial; const struct slices *s; const int32_t *count; };      /* count: [slices][E] rows of each expert */

static int stat_width(int E) { return E + 2; }      /* partial sums of a chunk: prob[E], lse^2, entropy */

#define EXPERTS_MAX 4096       /* config.c's bound */

/* The k largest of p[E], lowest index first among equals, as expert numbers in ascending order. */
static void top_k(const real *p, int E, int k, int32_t *out)
{
    bool taken[EXPERTS_MAX];
    memset(taken, 0, (size_t)E * sizeof *taken);
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int e = 0; e < E; e++)
            if (!taken[e] && (best < 0 || p[e] > p[best]))
                best = e;
        taken[best] = true;
    }
    for (int e = 0, n = 0; n < k; e++)
        if (taken[e])
            out[n++] = e;
}

static void set_scores(struct run *r, const struct attr *a, int n_row, const real *x, real *y, real *lse)
{
    const int E = a->n_expert;
    if (!a->sigmoid) {
        r->k->softmax(n_row, E, x, E, y, E, lse);
        return;
    }
    for (int64_t i = 0; i < (int64_t)n_row * E; i++)
        y[i] = (real)(1 / (1 + exp(-(double)x[i])));
    for (int i = 0; i < n_row; i++)
        lse[i] = 0;
}

/* The sum of the group_best (1 or 2) largest of n. */
static real best_of(const real *p, int n, int best)
{
    real first = p[0], second = -INFINITY;
    for (int i = 1; i < n; i++) {
        second = p[i] > first ? first : p[i] > second ? p[i] : second;
        first = p[i] > first ? p[i] : first;
    }
    return best > 1 ? first + second : first;
}

/* Scores outside the best groups become -inf. */
static void keep_groups(const struct attr *a, real *score)
{
    real group[EXPERTS_MAX];
    int32_t chosen[EXPERTS_MAX];
    const int size = a->n_expert / a->n_group;
    group[0] = 0;
    for (int i = 0; i < a->n_group; i++)
        group[i] = best_of(score + i * size, size, a->group_best);
    top_k(group, a->n_group, a->n_group_chosen, chosen);
    for (int i = 0, next = 0; i < a->n_group; i++) {
        const bool in = next < a->n_group_chosen && chosen[next] == i;
        next += in;
        for (int e = i * size; !in && e < (i + 1) * size; e++)
            score[e] = -INFINITY;
    }
}

/* The chosen experts of a token from its scores: those corrected, and of the best groups only. */
static void choose(const struct attr *a, const real *p, const real *correction, int32_t *out)
{
    real score[EXPERTS_MAX];
    if (!correction && !a->group_best) {
        top_k(p, a->n_expert, a->top_k, out);
        return;
    }
    for (int e = 0; e < a->n_expert; e++)
        score[e] = p[e] + (correction ? correction[e] : 0);
    if (a->group_best)
        keep_groups(a, score);
    top_k(score, a->n_expert, a->top_k, out);
}

/* -sum p log p of a softmax, where log p is x - lse. */
static double entropy(int E, const real *p, const real *x, real lse)
{
    double sum = 0;
    for (int e = 0; e < E; e++)
        if (p[e] > 0)
            sum += (double)p[e] * ((double)lse - (double)x[e]);
    return sum;
}

static double sum_of(int E, const real *p)
{
    double sum = 0;
    for (int e = 0; e < E; e++)
        sum += (double)p[e];
    return sum;
}

/* What a token adds to the statistics.  Sigmoids count as shares of their sum (arXiv:2412.19437, as Megatron has it). */
static void add_stats(const struct attr *a, const real *p, const real *x, real lse, double *sum)
{
    const int E = a->n_expert;
    const double all = a->sigmoid ? sum_of(E, p) : 1;
    for (int e = 0; e < E && all > 0; e++)
        sum[e] += (double)p[e] / all;
    sum[E] += (double)lse * (double)lse;
    if (!a->sigmoid)
        sum[E + 1] += entropy(E, p, x, lse);
    for (int e = 0; e < E && a->sigmoid; e++)
        sum[E + 1] -= p[e] > 0 ? (double)p[e] / all * log((double)p[e] / all) : 0;
}

/* A chunk of tokens: probabilities, chosen experts (left in slot for now), partial statistics. */
static void route_chunk(void *ctx, int i_slice, int first, int n_row, int i_chunk, int i_thread)
{
    (void)i_slice, (void)i_thread;
    const struct route_job *j = ctx;
    const struct attr *a = &j->n->attr;
    const int E = a->n_expert;
    real *probs = (real *)op_data(j->r, j->n->out[0]) + (ptrdiff_t)first * E;
    real *lse = (real *)op_data(j->r, j->n->out[5]) + first;
    const real *logits = (const real *)op_data(j->r, j->n->in[0]) + (ptrdiff_t)first * E;
    set_scores(j->r, a, n_row, logits, probs, lse);
    const real *correction = op_data(j->r, j->n->in[1]);
    int32_t *slot = (int32_t *)op_data(j->r, j->n->out[4]) + (ptrdiff_t)first * a->top_k;
    double *sum = j->partial + i_chunk * stat_width(E);
    memset(sum, 0, (size_t)stat_width(E) * sizeof *sum);
    for (int i = 0; i < n_row; i++) {
        const real *p = probs + (ptrdiff_t)i * E;
        choose(a, p, correction, slot + i * a->top_k);
        add_stats(a, p, logits + (ptrdiff_t)i * E, lse[i], sum);
    }
}

/* Statistics of each slice; slot has experts still. */
static void set_stats(const struct route_job *j, const int32_t *slot, double *stats)
{
    const struct attr *a = &j->n->attr;
    const int E = a->n_expert, k = a->top_k;
    const double *partial = j->partial;
    memset(stats, 0, (size_t)j->s->n * (size_t)(2 * E + 3) * sizeof *stats);
    for (int v = 0; v < j->s->n; v++, stats += 2 * E + 3) {
        for (int c = 0; c < div_up(j->s->row[v + 1] - j->s->row[v], CHUNK); c++, partial += stat_width(E))
            for (int i = 0; i < stat_width(E); i++)
                stats[E + i] += partial[i];
        for (int i = j->s->row[v] * k; i < j->s->row[v + 1] * k; i++)
            stats[slot[i]]++;
        stats[2 * E + 2] = j->s->row[v + 1] - j->s->row[v];
    }
}

static void route_forward(struct run *r, const struct node *n)
{
    const struct attr *a = &n->attr;
    const int T = r->step->T, E = a->n_expert, k = a->top_k;
    const struct slices s = op_slices(r, n->out[0]);
    struct route_job j = { r, n, (double *)(void *)r->work, &s, NULL };
    op_for_slices(r, &s, CHUNK, route_chunk, &j);
    const real *probs = op_data(r, n->out[0]);
    real *gate = op_data(r, n->out[1]);
    int32_t *row = op_data(r, n->out[2]), *start = op_data(r, n->out[3]), *slot = op_data(r, n->out[4]);
    memset(start, 0, (size_t)(E + 1) * sizeof *start);
    for (int i = 0; i < T * k; i++)
        start[slot[i] + 1]++;
    for (int e = 0; e < E; e++)
        start[e + 1] += start[e];
    const real scale = a->scale > 0 ? (real)a->scale : 1;
    double *stats = op_data(r, n->out[6]);
    if (stats)
        set_stats(&j, slot, stats);
    for (int t = 0; t < T; t++) {                       /* counting sort; start[e] moves to the end of e */
        real sum = a->sigmoid ? (real)1e-20 : 0;          /* sigmoids may all be 0 */
        for (int i = 0; i < k; i++)
            sum += probs[(ptrdiff_t)t * E + slot[t * k + i]];
        for (int i = 0; i < k; i++) {
            const int e = slot[t * k + i], at = start[e]++;
            row[at] = t, slot[t * k + i] = at;
            gate[at] = probs[(ptrdiff_t)t * E + e] / (a->norm_topk ? sum : 1) * scale;
        }
    }
    memmove(start + 1, start, (size_t)E * sizeof *start);
    start[0] = 0;
}

struct aux_losses graph_aux_losses(const double *stats, const struct attr *a)
{
    const int E = a->n_expert;
    const double T = stats[2 * E + 2];
    struct aux_losses l = { 0 };
    if (T <= 0)
        return l;
    for (int e = 0; e < E; e++)
        l.lb += stats[e] / (T * a->top_k) * stats[E + e] / T;
    l.lb *= a->aux_coef * E;
    l.z = a->z_coef * stats[2 * E] / T;
    l.entropy = stats[2 * E + 1] / T;
    return l;
}

/* dlogits of token t from dgate and the balance loss, of sigmoids s: with q = s / sum s and N = sum of the chosen s,
 * dL/ds_e = (g_e - sum g q) / sum s, g_e = aux*E*f_e/T, and for a chosen e scale / N * (dgate_e - sum dgate s / N). */
static void sigmoid_backward(const struct route_job *j, int i_slice, int t)
{
    const struct node *n = j->n;
    const struct attr *a = &n->attr;
    const int E = a->n_expert, k = a->top_k, T = j->s->row[i_slice + 1] - j->s->row[i_slice];
    const int32_t *count = j->count + i_slice * E;
    const real *dgate = op_data(j->r, n->d_out[1]), *gate = op_data(j->r, n->out[1]), *p = (const real *)op_data(j->r, n->out[0]) + (ptrdiff_t)t * E;
    const int32_t *start = op_data(j->r, n->out[3]), *slot = (const int32_t *)op_data(j->r, n->out[4]) + (ptrdiff_t)t * k;
    real *d = (real *)op_data(j->r, n->d_in[0]) + (ptrdiff_t)t * E;
    const double aux = a->aux_coef * j->r->step->aux_scale * E / ((double)T * k) / T, all = sum_of(E, p), scale = a->scale > 0 ? a->scale : 1;
    double dot = 0, chosen = 0, N = 1e-20;
    for (int e = 0, i = 0; e < E; e++) {
        dot += aux * (double)count[e] * (double)p[e];
        if (i < k && slot[i] < start[e + 1]) {
            chosen += (double)gate[slot[i]] * (double)dgate[slot[i]] / scale;
            N += (double)p[e];
            i++;
        }
    }
    for (int e = 0, i = 0; e < E; e++) {
        double ds = all > 0 ? (aux * (double)count[e] - dot / all) / all : 0;
        if (i < k && slot[i] < start[e + 1]) {
            ds += a->norm_topk ? scale / N * ((double)dgate[slot[i]] - chosen) : scale * (double)dgate[slot[i]];
            i++;
        }
        d[e] = (real)(ds * (double)p[e] * (1 - (double)p[e]));
    }
}

/* dlogits from dgate and from the two losses (training.md 1.3: L = aux*E*sum f_i P_i with f constant; z*mean lse^2). */
static void route_backward_rows(void *ctx, int i_slice, int first, int n_row, int i_block, int i_thread)
{
    (void)i_block, (void)i_thread;
    const struct route_job *j = ctx;
    const struct node *n = j->n;
    const struct attr *a = &n->attr;
    const int E = a->n_expert, k = a->top_k, T = j->s->row[i_slice + 1] - j->s->row[i_slice];
    const real *dgate = op_data(j->r, n->d_out[1]), *gate = op_data(j->r, n->out[1]), *lse = op_data(j->r, n->out[5]);
    const int32_t *start = op_data(j->r, n->out[3]), *slot = op_data(j->r, n->out[4]);
    const double aux = a->aux_coef * j->r->step->aux_scale, z = a->z_coef * j->r->step->aux_scale;
    for (int t = first; t < first + n_row; t++) {
        if (a->sigmoid) {
            sigmoid_backward(j, i_slice, t);
            continue;
        }
        const real *p = (const real *)op_data(j->r, n->out[0]) + (ptrdiff_t)t * E;
        real *d = (real *)op_data(j->r, n->d_in[0]) + (ptrdiff_t)t * E;
        double dot = 0;                                   /* sum over experts of p * dLoss/dp */
        for (int e = 0; e < E; e++) {
            const double g = aux * E * (double)j->count[i_slice * E + e] / ((double)T * k) / T;
            dot += (double)p[e] * g;
            d[e] = (real)g;
        }
        double chosen = 0;                                /* sum over the chosen of gate * dgate */
        for (int i = 0; i < k; i++)
            chosen += (double)gate[slot[t * k + i]] * (double)dgate[slot[t * k + i]];
        if (!a->norm_topk)
            dot += chosen;
        else
            chosen /= a->scale > 0 ? a->scale : 1;
        for (int e = 0, i = 0; e < E; e++) {
            double direct = 0;                            /* through the gate of this expert, if it was chosen */
            if (i < k && slot[t * k + i] < start[e + 1]) {
                const int at = slot[t * k + i++];
                direct = (double)gate[at] * ((double)dgate[at] - (a->norm_topk ? chosen : 0));
            }
            d[e] = (real)((double)p[e] * ((double)d[e] - dot) + direct + 2 * z / T * (double)lse[t] * (double)p[e]);
        }
    }
}

static void route_backward(struct run *r, const struct node *n)
{
    const struct slices s = op_slices(r, n->out[0]);
    const int E = n->attr.n_expert;
    const int32_t *start = op_data(r, n->out[3]), *row = op_data(r, n->out[2]);
    int32_t *count = (int32_t *)(void *)r->work;
    for (int e = 0; e < E; e++)
        for (int v = 0, i = start[e]; v < s.n; v++) {
            const int from = i;
            while (i < start[e + 1] && row[i] < s.row[v + 1])
                i++;
            count[v * E + e] = i - from;
        }
    struct route_job j = { r, n, NULL, &s, count };
    op_for_slices(r, &s, CHUNK, route_backward_rows, &j);
}

static void route_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    (void)S;
    w->work = (size_t)((op_chunks(g, T) + op_slices_max(g)) * stat_width(n->attr.n_expert)) * sizeof(double);
}

const struct op_code op_code_route = { route_forward, route_backward, route_size };

/* ---- expert_linear ----
 * in: x, w[E,N,K], row, start, panels over rows, panels over columns, slot, bias[E,N]       out: y[T*k, N]
 * A group is the rows of one expert; with peers, of one expert from one process: group p*E + e, and start tells the rows of each slice.
 * Each group has its own gradient of w, or each expert one (graph.whole_step). */

#define EXPERT_ROWS 56
#define EXPERT_PANELS 8

struct piece { int32_t group, m0, p0; };
struct expert_layout {
    bf16 *x16; real *x32;      /* x in the type of the product */
    struct piece *piece;
    int32_t *start, *even;     /* [groups*slices+1] first row of each group's rows of each slice, and when each begins at an even row */
    void *x_panels, *w_panels; bf16 *dy16, *dy_pairs;      /* w_panels: of a weight in a file */
    real *dx_rows;             /* gather: dx of the sorted rows, before they are summed by token */
    size_t size;
};

static int n_group(const struct node *n) { return n->attr.n_expert * (n->attr.n_peer ? n->attr.n_peer : 1); }

/* Numbers of a group in start. */
static int n_start(const struct run *r, const struct node *n) { return n->attr.n_peer && r->step->n_slice > 1 ? r->step->n_slice : 1; }
/* Processes whose rows one gradient is over. */
static int n_source(const struct graph *g, const struct node *n) { return n->attr.n_peer && g->whole_step ? n->attr.n_peer : 1; }

static struct expert_layout expert_layout(const struct graph *g, const struct node *n, int64_t rows, char *base)
{
    const struct tensor *w = op_tensor(g, n->in[1]);
    const int64_t E = n_group(n), N = w->shape[1].n, K = w->shape[2].n, widest = N > K ? N : K;
    const bool b16 = n->attr.compute == DT_BF16, bwd = n->pass == PASS_BACKWARD && !n->again;
    const int64_t parts = E * op_slices_max(g);
    const size_t even_rows = (size_t)(rows + parts + 1), x_rows = (size_t)(n->attr.gather ? rows / n->attr.top_k : rows);
    struct expert_layout l = { 0 };
    const int64_t forward_pieces = (div_up(rows, EXPERT_ROWS) + E) * div_up(widest, EXPERT_PANELS * PANEL);
    const int64_t weight_pieces = E * div_up(N, EXPERT_ROWS) * div_up(K, EXPERT_PANELS * PANEL);
    l.piece = work_take(base, &l.size, (size_t)(forward_pieces > weight_pieces ? forward_pieces : weight_pieces) * sizeof *l.piece);
    if (!bwd && op_is(g, n->in[0], DT_BF16) != b16) {
        if (b16)
            l.x16 = work_take(base, &l.size, x_rows * (size_t)K * sizeof(bf16) + sizeof(bf16));
        else
            l.x32 = work_take(base, &l.size, x_rows * (size_t)K * sizeof(real));
    }
    if (bwd && (n->d_in[1] >= 0 || n->d_in[7] >= 0)) {
        l.start = work_take(base, &l.size, (size_t)(parts + 1) * sizeof *l.start);
        l.even = work_take(base, &l.size, (size_t)(parts + 1) * sizeof *l.even);
    }
    if (bwd && n->d_in[1] >= 0) {
        l.x_panels = work_take(base, &l.size, even_rows * cpu_round_panel((size_t)K) * (b16 ? sizeof(bf16) : sizeof(real)));
        if (b16)
            l.dy_pairs = work_take(base, &l.size, even_rows * (size_t)N * sizeof(bf16));
    }
    if (!bwd || n->d_in[0] >= 0)
        l.w_panels = work_take(base, &l.size, op_panels_room(g, n, bwd));
    if (bwd && n->d_in[0] >= 0) {
        if (b16)
            l.dy16 = work_take(base, &l.size, (size_t)(rows * N) * sizeof(bf16) + sizeof(bf16));
        if (n->attr.gather)
            l.dx_rows = work_take(base, &l.size, (size_t)(rows * K) * sizeof(real));
    }
    return l;
}

static void expert_size(const struct graph *g, const struct node *n, int T, int S, struct op_work *w)
{
    const struct tensor *weight = op_tensor(g, n->in[1]);
    const int64_t rows = (int64_t)T * n->attr.top_k;
    if (weight->panels.n_segment)
        w->work = product_panels_size(weight, tensor_rows(op_tensor(g, n->in[0]), T, S), rows, op_tensor(g, n->in[0])->dtype, n->attr.gather, false);
    else
        w->work = expert_layout(g, n, rows, NULL).size, w->scratch = op_panels_scratch(g, n);
    const int leaves = n_source(g, n) * op_slices_max(g);
    if (n->d_in[1] >= 0 && op_tree_scratch_of(leaves) > w->scratch)
        w->scratch = op_tree_scratch_of(leaves);
    const size_t biases = n->d_in[7] >= 0 ? (size_t)(leaves * weight->shape[1].n) * sizeof(real) : 0;
    w->scratch = biases > w->scratch ? biases : w->scratch;
}

struct expert_job {
    const real *bias;          /* [E,N] or NULL */
    struct gemm g;             /* of expert 0; M and K are set per expert */
    void (*kernel)(const struct gemm *);
    const struct piece *piece;
    const int32_t *start, *even, *row;
    size_t a_size, b_expert;   /* bytes of an element of a and b; elements from one expert's b to the next */
    bool weight;               /* dw: rows of the product are rows of w, its sum runs over the expert's tokens */
    bool pairs;                /* dw: a is dy in pairs, from even[e] on; else dy row by row, from start[e] on */
    int64_t N, K;
    int n_expert, n_start;     /* n_start: numbers of a group in start */
    const struct run *r; int n_slice, n_source;      /* dw: start and even are of slices, group by group; groups of an expert that are summed */
};

/* A piece of the dw of a group, or of the groups of an expert. */
static void weight_piece(const struct expert_job *j, struct piece q, int i_thread)
{
    struct gemm g = j->g;
    struct leaf leaf[GRAPH_SLICES_MAX];
    const int n0 = q.p0 * PANEL;
    g.N = (int)min_i64(EXPERT_PANELS * PANEL, g.N - n0);
    g.M = (int)min_i64(EXPERT_ROWS, j->N - q.m0);
    real *c = g.c += ((ptrdiff_t)q.group * j->N + q.m0) * g.ldc + n0;
    for (int v = 0; v < j->n_source * j->n_slice; v++) {
        const int part = (v / j->n_slice * j->n_expert + q.group) * j->n_slice + v % j->n_slice, first = j->start[part], rows = j->start[part + 1] - first;
        const ptrdiff_t at = j->even[part], panel = (ptrdiff_t)cpu_panel_size((size_t)rows, PANEL);
        leaf[v] = (struct leaf){ (const char *)g.a + (size_t)((j->pairs ? at : first) * j->N + (j->pairs ? 2 : 1) * q.m0) * j->a_size,
                                 (const char *)g.b + (size_t)(at * (ptrdiff_t)cpu_round_panel((size_t)j->K) + q.p0 * panel) * j->a_size, panel, rows };
    }
    if (g.add && !leaf[0].K)
        return;
    const struct tree t = { .n = j->n_source * j->n_slice, .v1 = j->n_source * j->n_slice, .begun = g.add != NULL, .ended = true, .base = c };
    op_tree_tile(j->r, &t, &g, j->kernel, leaf, i_thread);
}

static void expert_piece(void *ctx, int i, int i_thread)
{
    const struct expert_job *j = ctx;
    const struct piece q = j->piece[i];
    if (j->weight) {
        weight_piece(j, q, i_thread);
        return;
    }
    const int e = q.group % j->n_expert, first = j->start[q.group * j->n_start], rows = j->start[(q.group + 1) * j->n_start] - first, n0 = q.p0 * PANEL;
    struct gemm g = j->g;
    g.N = (int)min_i64(EXPERT_PANELS * PANEL, g.N - n0);
    g.M = (int)min_i64(EXPERT_ROWS, rows - q.m0);
    if (j->row)
        g.rows = j->row + first + q.m0;
    else
        g.a = (const char *)g.a + (size_t)((ptrdiff_t)(first + q.m0) * g.a_row) * j->a_size;
    g.bias = j->bias ? j->bias + (ptrdiff_t)e * g.ldc + n0 : NULL;
    g.b = (const char *)g.b + ((size_t)e * j->b_expert + (size_t)(q.p0 * g.b_panel)) * j->a_size;
    g.c += (ptrdiff_t)(first + q.m0) * g.ldc + n0;
    g.add = g.add ? g.c : NULL;
    j->kernel(&g);
}

/* Cuts the products of all groups into pieces and runs them. */
static void run_pieces(struct run *r, struct expert_job *j, struct piece *piece, int n_groups)
{
    int n = 0;
    const int across = (int)div_up(j->g.N, EXPERT_PANELS * PANEL);
    for (int e = 0; e < n_groups; e++) {
        const int rows = j->weight ? (int)j->N : j->start[(e + 1) * j->n_start] - j->start[e * j->n_start];
        for (int m = 0; m < rows; m += EXPERT_ROWS)
            for (int p = 0; p < across; p++)
                piece[n++] = (struct piece){ e, m, p * EXPERT_PANELS };
    }
    j->piece = piece;
    pool_for(r->pool, n, expert_piece, j);
}

static void expert_forward(struct run *r, const struct node *n)
{
    struct graph *g = r->g;
    const struct tensor *w = op_tensor(g, n->in[1]);
    const int64_t N = w->shape[1].n, K = w->shape[2].n, rows = op_rows(r, n->out[0]);
    if (w->panels.n_segment) {
        const struct panels_product p = { .w = w, .n_group = (int)w->shape[0].n, .start = op_data(r, n->in[3]), .row = n->attr.gather ? op_data(r, n->in[2]) : NULL,
                                          .x = op_data(r, n->in[0]), .x_type = op_tensor(g, n->in[0])->dtype,
                                          .x_rows = tensor_rows(op_tensor(g, n->in[0]), r->step->T, r->step->S), .c = op_data(r, n->out[0]),
                                          .bias = op_data(r, n->in[7]) };
        product_panels(r, &p, r->work);
        return;
    }
    const bool b16 = n->attr.compute == DT_BF16;
    const struct expert_layout l = expert_layout(g, n, rows, r->work);
    const size_t x_count = (size_t)(op_rows(r, n->in[0]) * K);
    const void *x = op_data(r, n->in[0]);
    if (l.x16)
        product_to_bf16(r, x_count, x, l.x16), x = l.x16;
    if (l.x32)
        product_from_bf16(r, x_count, x, l.x32), x = l.x32;
    struct expert_job j = { .kernel = b16 ? r->k->gemm_bf16 : r->k->gemm, .start = op_data(r, n->in[3]),
                            .row = n->attr.gather ? op_data(r, n->in[2]) : NULL, .a_size = b16 ? sizeof(bf16) : sizeof(real),
                            .b_expert = cpu_panel_size((size_t)K, (size_t)N), .bias = op_data(r, n->in[7]), .n_expert = n->attr.n_expert, .n_start = n_start(r, n) };
    j.g = (struct gemm){ .N = (int)N, .K = (int)K, .a = x, .a_row = K, .a_col = b16 ? 2 : 1, .b = op_panels(r, n, false, l.w_panels),
                         .b_panel = (ptrdiff_t)cpu_panel_size((size_t)K, PANEL), .c = op_data(r, n->out[0]), .ldc = N };
    run_pieces(r, &j, l.piece, n_group(n));
}

struct gather_job { struct run *r; const struct node *n; const struct expert_layout *l; int64_t N, K; bool b16; int n_slice, n_source; };

/* The x of one group's rows of a slice in panels and, for bf16, its dy in pairs. */
static void expert_pack(void *ctx, int e, int i_thread)
{
    (void)i_thread;
    const struct gather_job *j = ctx;
    const int32_t *start = j->l->start, *row = op_data(j->r, j->n->in[2]);
    const int rows = start[e + 1] - start[e];
    if (!rows)
        return;
    const bool x16 = op_is(j->r->g, j->n->in[0], DT_BF16);
    const size_t at = (size_t)j->l->even[e], size = j->b16 ? sizeof(bf16) : sizeof(real);
    struct pack p = { .K = rows, .N = (int)j->K, .src = op_data(j->r, j->n->in[0]), .ld = j->K, .src_bf16 = x16,
                      .out = (char *)j->l->x_panels + at * cpu_round_panel((size_t)j->K) * size,
                      .panel = (ptrdiff_t)cpu_panel_size((size_t)rows, PANEL) };
    if (j->n->attr.gather)
        p.rows = row + start[e];
    else
        p.src = (const char *)p.src + (size_t)(start[e] * j->K) * (x16 ? sizeof(bf16) : sizeof(real));
    (j->b16 ? j->r->k->pack_cols_bf16 : j->r->k->pack_cols)(&p);
    if (j->b16) {
        const real *dy = op_data(j->r, j->n->d_out[0]);
        const bf16 *dy16 = j->l->dy16;
        const struct pack d = { .K = rows, .N = (int)j->N, .src = dy16 ? (const void *)(dy16 + start[e] * j->N) : dy + start[e] * j->N, .src_bf16 = dy16 != NULL,
                                .ld = j->N, .out = j->l->dy_pairs + at * (size_t)j->N };
        j->r->k->pack_pairs_bf16(&d);
    }
}

struct sum_job { struct sum_rows p; const struct cpu_kernels *k; };

static void sum_block(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct sum_job *j = ctx;
    struct sum_rows p = j->p;
    p.n_row = n;
    p.index += first * p.k;
    p.add = p.add ? p.add + first * p.ld_add : NULL;
    p.y += first * p.ld_y;
    j->k->sum_rows(&p);
}

void op_sum_rows(struct run *r, const struct sum_rows *p)
{
    struct sum_job j = { *p, r->k };
    op_for_rows(r, r->step->T, 32, sum_block, &j);
}

/* The bias of a group, or of the groups of an expert: the sum of its rows of dy, slice by slice. */
static void expert_bias(void *ctx, int e, int i_thread)
{
    const struct gather_job *j = ctx;
    const int n = j->n_slice, leaves = j->n_source * n;
    real *db = (real *)op_data(j->r, j->n->d_in[7]) + e * j->N, *sum = leaves > 1 ? (real *)(void *)op_scratch(j->r, i_thread) : db;
    if (!op_adds(j->r, j->n, 7))
        memset(sum, 0, (size_t)(leaves * j->N) * sizeof *sum);
    for (int v = 0; v < leaves; v++) {
        const int32_t *start = j->l->start + (v / n * j->n->attr.n_expert + e) * n + v % n;
        j->r->k->col_sum(start[1] - start[0], (int)j->N, (const real *)op_data(j->r, j->n->d_out[0]) + start[0] * j->N, j->N, sum + v * j->N);
    }
    op_sum_slices(j->r, leaves, j->N, sum);
    if (sum != db)
        memcpy(db, sum, (size_t)j->N * sizeof *db);
}

/* Tokens of an expert ascend, and so do their slices.  row: NULL: start tells the slices. */
static void set_parts(const struct expert_layout *l, const struct slices *s, int E, const int32_t *start, const int32_t *row)
{
    int n = 0;
    l->start[0] = l->even[0] = 0;
    for (int e = 0, i = 0; e < E; e++)
        for (int v = 0; v < s->n; v++, n++) {
            while (row && i < start[e + 1] && row[i] < s->row[v + 1])
                i++;
            i = row ? i : start[n + 1];
            l->start[n + 1] = i;
            l->even[n + 1] = l->even[n] + (i - l->start[n] + 1) / 2 * 2;
        }
}

static void expert_backward(struct run *r, const struct node *n)
{
    struct graph *g = r->g;
    const struct tensor *w = op_tensor(g, n->in[1]);
    const int E = n_group(n);
    const int64_t N = w->shape[1].n, K = w->shape[2].n, rows = op_rows(r, n->d_out[0]);
    const bool b16 = n->attr.compute == DT_BF16;
    const struct expert_layout l = expert_layout(g, n, rows, r->work);
    const int32_t *start = op_data(r, n->in[3]);
    const real *dy = op_data(r, n->d_out[0]);
    struct expert_job j = { .kernel = b16 ? r->k->gemm_bf16 : r->k->gemm, .start = start, .a_size = b16 ? sizeof(bf16) : sizeof(real),
                            .N = N, .K = K, .n_expert = n->attr.n_expert, .n_start = n_start(r, n) };
    if (n->d_in[0] >= 0) {
        if (b16)
            product_to_bf16(r, (size_t)(rows * N), dy, l.dy16);
        real *dx = n->attr.gather ? l.dx_rows : op_data(r, n->d_in[0]);
        j.b_expert = cpu_panel_size((size_t)N, (size_t)K);
        j.g = (struct gemm){ .N = (int)K, .K = (int)N, .a = b16 ? (const void *)l.dy16 : dy, .a_row = N, .a_col = b16 ? 2 : 1,
                             .b = op_panels(r, n, true, l.w_panels), .b_panel = (ptrdiff_t)cpu_panel_size((size_t)N, PANEL),
                             .add = !n->attr.gather && n->add[0] ? dx : NULL, .ld_add = K, .c = dx, .ldc = K };
        run_pieces(r, &j, l.piece, E);
        if (n->attr.gather) {
            real *out = op_data(r, n->d_in[0]);
            op_sum_rows(r, &(struct sum_rows){ .k = n->attr.top_k, .C = (int)K, .src = l.dx_rows, .ld_src = K, .index = op_data(r, n->in[6]),
                                               .add = n->add[0] ? out : NULL, .ld_add = K, .y = out, .ld_y = K });
        }
    }
    if (n->d_in[1] < 0 && n->d_in[7] < 0)
        return;
    const struct slices s = op_slices(r, n->attr.n_peer ? n->d_out[0] : n->in[6]);
    set_parts(&l, &s, E, start, op_data(r, n->in[2]));
    struct gather_job pack = { r, n, &l, N, K, b16, s.n, n_source(g, n) };
    if (n->d_in[1] >= 0) {
        pool_for(r->pool, E * s.n, expert_pack, &pack);
        real *dw = op_data(r, n->d_in[1]);
        j.weight = true, j.pairs = b16;
        j.start = l.start, j.even = l.even, j.r = r, j.n_slice = s.n, j.n_source = pack.n_source;
        j.g = (struct gemm){ .N = (int)K, .a = b16 ? (const void *)l.dy_pairs : dy, .a_row = b16 ? 2 : 1, .a_col = b16 ? 2 * N : N,
                             .b = l.x_panels, .add = op_adds(r, n, 1) ? dw : NULL, .ld_add = K, .c = dw, .ldc = K };
        run_pieces(r, &j, l.piece, E / j.n_source);
    }
    if (n->d_in[7] >= 0)
        pool_for(r->pool, E / pack.n_source, expert_bias, &pack);
}

const struct op_code op_code_expert_linear = { expert_forward, expert_backward, expert_size };

/* ---- combine: in: x[T*k,C], slot, row, add, gate ---- */

static void combine_forward(struct run *r, const struct node *n)
{
    const struct tensor *y = op_tensor(r->g, n->out[0]);
    const ptrdiff_t C = tensor_cols(y);
    op_sum_rows(r, &(struct sum_rows){ .k = n->attr.top_k, .C = (int)C, .src = op_data(r, n->in[0]), .ld_src = C, .index = op_data(r, n->in[1]),
                                       .weight = op_data(r, n->in[4]), .add = op_data(r, n->in[3]), .ld_add = C, .y = y->data, .ld_y = C });
}

struct spread_job { const real *dy, *x, *gate; real *dx, *dgate; const int32_t *row; int64_t C; };

/* dy * gate to dx; returns dy * x.  Lanes in a fixed order, for the compiler to make vectors of. */
static real spread_gated(int64_t C, const real *dy, const real *x, real gate, real *dx)
{
    real lane[16] = { 0 }, sum = 0;
    int64_t c = 0;
    for (; c + 16 <= C; c += 16)
        for (int j = 0; j < 16; j++)
            lane[j] += dy[c + j] * x[c + j], dx[c + j] = gate * dy[c + j];
    for (; c < C; c++)
        sum += dy[c] * x[c], dx[c] = gate * dy[c];
    for (int j = 0; j < 16; j++)
        sum += lane[j];
    return sum;
}

static void spread_rows(void *ctx, int first, int n, int i_thread)
{
    (void)i_thread;
    const struct spread_job *j = ctx;
    for (int i = first; i < first + n; i++) {
        const real *dy = j->dy + j->row[i] * j->C;
        if (!j->gate) {
            memcpy(j->dx + i * j->C, dy, (size_t)j->C * sizeof(real));
            continue;
        }
        const real slope = spread_gated(j->C, dy, j->x + i * j->C, j->gate[i], j->dx + i * j->C);
        if (j->dgate)
            j->dgate[i] = slope;
    }
}

static void combine_backward(struct run *r, const struct node *n)
{
    const struct tensor *dx = op_tensor(r->g, n->d_in[0]);
    struct spread_job j = { op_data(r, n->d_out[0]), op_data(r, n->in[0]), op_data(r, n->in[4]), dx->data, op_data(r, n->d_in[4]), op_data(r, n->in[2]), tensor_cols(dx) };
    op_for_rows(r, (int64_t)r->step->T * n->attr.top_k, 64, spread_rows, &j);
}

const struct op_code op_code_combine = { combine_forward, combine_backward, NULL };
