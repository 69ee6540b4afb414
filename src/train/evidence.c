#include "train/evidence.h"
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "train/ranks.h"
#include "train/watch.h"

#define RATIO_ODD 4.0                    /* of a node's largest or mean number to what it usually is */
#define RATIO_KERNEL 1.1
#define RATIO_LEVELS 1.5                 /* levels round otherwise, which gradients that nearly cancel show */
#define RATIO_LEVELS_BF16 4.0            /* and more so where some round the operands of attention */
#define REF_FLOPS 2e10                   /* a step that the plain loops of level ref can do in a while */

#define PIECE_BYTES ((size_t)4 << 20)    /* of memory that is guarded, a hash each */

struct piece { int tensor; size_t at, n; uint64_t was, now; };
struct said { bool yes; char what[200], where[120]; };
struct run_prints {
    uint64_t *print[2];                  /* of each tensor */
    struct piece *piece;                 /* with train.verify_every: of what an update leaves, then of what it never touches */
    int n_changing, n_piece;
    int64_t guarded;                     /* the step before which `was` was taken, or -1 */
    bool frozen_known;
    struct said *said;                   /* [ranks] */
};

/* What nothing but an update may change, and what nothing may. */
static bool changes(const struct tensor *t) { return saver_copies(t) || (t->kind == TENSOR_PACKED && !t->panels.n_segment); }
static bool is_frozen(const struct tensor *t) { return !changes(t) && (t->kind == TENSOR_FROZEN || t->kind == TENSOR_WEIGHT || t->kind == TENSOR_PACKED); }

static void add_pieces(const struct graph *g, bool (*which)(const struct tensor *), struct piece *list, int *n)
{
    for (int i = 0; i < g->n_tensor; i++)
        for (size_t at = 0; which(&g->tensor[i]) && g->tensor[i].data && at < g->tensor[i].bytes; at += PIECE_BYTES, ++*n)
            if (list)
                list[*n] = (struct piece){ i, at, g->tensor[i].bytes - at < PIECE_BYTES ? g->tensor[i].bytes - at : PIECE_BYTES, 0, 0 };
}

static int open_guard(struct run *r, struct err *err)
{
    struct run_prints *p = r->prints;
    const struct graph *g = r->model.g;
    int n = 0;
    if (!r->c.verify_every)
        return 0;
    add_pieces(g, changes, NULL, &n);
    add_pieces(g, is_frozen, NULL, &n);
    if (!(p->piece = mem_alloc_array((size_t)n, sizeof *p->piece)))
        return ERR(err, NOMEM, "no memory to watch the steps");
    add_pieces(g, changes, p->piece, &p->n_piece);
    p->n_changing = p->n_piece;
    add_pieces(g, is_frozen, p->piece, &p->n_piece);
    return 0;
}

int evidence_open(struct run *r, struct err *err)
{
    const size_t n = (size_t)r->model.g->n_tensor;
    struct run_prints *p = r->prints = mem_alloc_array(1, sizeof *p);
    if (!p || !(p->print[0] = mem_alloc_array(n, sizeof(uint64_t))) || !(p->print[1] = mem_alloc_array(n, sizeof(uint64_t))) ||
        !(p->said = mem_alloc_array((size_t)comm_size(r->comm), sizeof *p->said)))
        return ERR(err, NOMEM, "no memory to watch the steps");
    p->guarded = -1;
    return open_guard(r, err);
}

void evidence_close(struct run *r)
{
    if (r->prints) {
        mem_free(r->prints->print[0]);
        mem_free(r->prints->print[1]);
        mem_free(r->prints->piece);
        mem_free(r->prints->said);
    }
    mem_free(r->prints);
}

/* ---- of all ranks ---- */

static const char *machine(const struct run *r) { return comm_size(r->comm) > 1 ? "one of the machines" : "this machine"; }

/* *yes: what any rank found.  All have the text of the first that did and knows where then; named: with its name, if it is the only one, since what
 * several have may come from any of them. */
static int tell_all(struct run *r, bool *yes, bool named, struct finding *f, struct err *err)
{
    struct said *all = r->prints->said, *mine = &all[comm_rank(r->comm)];
    const int size = comm_size(r->comm);
    int first = -1, n = 0;
    if (size == 1)
        return 0;
    *mine = (struct said){ .yes = *yes };
    snprintf(mine->what, sizeof mine->what, "%s", f->what);
    snprintf(mine->where, sizeof mine->where, "%.119s", f->where);
    TRY(comm_all_gather_equal(r->comm, all, sizeof *all, err));
    for (int i = 0; i < size; i++)
        if (all[i].yes && (!n++ || (all[i].where[0] && !all[first].where[0])))
            first = i;
    if (!(*yes = n > 0))
        return 0;
    snprintf(f->what, sizeof f->what, "%s", all[first].what);
    if (named && n == 1)
        snprintf(f->where, sizeof f->where, "%.100s%s%s", comm_name(r->comm, first), all[first].where[0] ? ": " : "", all[first].where);
    else
        snprintf(f->where, sizeof f->where, "%s", all[first].where);
    return 0;
}

/* ---- is it the same again? ---- */

/* Of gradients that are on a device: their sums of squares, block by block. */
static void print_gradients(struct run *r, int which)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_node && g->device; i++)
        if (g->node[i].op == OP_sum_squares)
            r->prints->print[which][g->node[i].in[0]] = hash64(g->tensor[g->node[i].out[0]].data, g->tensor[g->node[i].out[0]].bytes, 0);
    for (int i = 0; i < g->n_tensor && !g->device; i++)
        if (g->tensor[i].kind == TENSOR_GRAD)
            r->prints->print[which][i] = hash64(g->tensor[i].data, g->tensor[i].bytes, 0);
}

static bool same_bits(double a, double b) { return !memcmp(&a, &b, sizeof a); }

/* How many gradients differ between the two prints; *first: of those the one that the backward pass comes to first. */
static int n_differ(const struct run *r, int *first)
{
    const struct graph *g = r->model.g;
    int n = 0;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_GRAD && r->prints->print[0][i] != r->prints->print[1][i] && !n++)
            *first = i;
    return n;
}

/* Computes the step again by `compute`, into print 1: *same when it was the same. */
static int compute_again(struct run *r, struct finding *f, int (*compute)(struct run *r, struct err *err), bool *same, struct err *err)
{
    const double loss = r->loss, norm = r->norm;
    int first = -1;
    TRY(compute(r, err));
    print_gradients(r, 1);
    const int n = n_differ(r, &first);
    const bool loss_differs = !same_bits(loss, r->loss) && !(isnan(loss) && isnan(r->loss));
    bool differs = n || loss_differs || !(same_bits(norm, r->norm) || (isnan(norm) && isnan(r->norm)));
    if (loss_differs)
        snprintf(f->where, sizeof f->where, "forward pass: the loss was %g and is %g", loss, r->loss);
    else if (n)
        snprintf(f->where, sizeof f->where, "backward pass: %d gradients, first %.60s", n, r->model.g->tensor[first].name);
    else if (differs)
        snprintf(f->where, sizeof f->where, "the norm of the gradients");
    TRY(tell_all(r, &differs, false, f, err));           /* gradients are sums over the ranks, whose was wrong they do not tell */
    *same = !differs;
    return 0;
}

/* The step was computed twice with other results.  The third time decides. */
static int settle(struct run *r, struct finding *f, struct err *err)
{
    struct finding unused = { .cause = CAUSE_NONE };
    bool same;
    memcpy(r->prints->print[0], r->prints->print[1], (size_t)r->model.g->n_tensor * sizeof(uint64_t));
    f->cause = CAUSE_HARDWARE;
    snprintf(f->what, sizeof f->what, "computed again the step gave other numbers: a fault of %s; those that came twice are taken", machine(r));
    TRY(compute_again(r, &unused, run_gradients, &same, err));
    if (same)
        return 0;
    return ERR(err, NUMERIC, "step %lld gave three results when it was computed three times (%s): %s does not compute reliably; the last checkpoint is of step %lld",
               (long long)r->state.step + 1, f->where, machine(r), (long long)r->saved);
}

static int watched(struct run *r, struct err *err) { return watch_gradients(r, 0, err); }

int evidence_again(struct run *r, struct finding *f, bool *same, struct err *err)
{
    print_gradients(r, 0);
    TRY(compute_again(r, f, watched, same, err));
    return *same ? 0 : settle(r, f, err);
}

/* ---- is memory what it was? ---- */

bool evidence_is_due(const struct run *r) { return r->c.verify_every && r->state.step % r->c.verify_every == 0; }

struct guard_job { const struct graph *g; struct piece *piece; bool was; };

static void hash_piece(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct guard_job *j = ctx;
    struct piece *p = &j->piece[i];
    *(j->was ? &p->was : &p->now) = hash64((const char *)j->g->tensor[p->tensor].data + p->at, p->n, 0);
}

void evidence_guard(struct run *r)
{
    struct run_prints *p = r->prints;
    struct guard_job j = { r->model.g, p->piece, true };
    if (!p->piece)
        return;
    pool_for(r->pool, p->frozen_known ? p->n_changing : p->n_piece, hash_piece, &j);
    p->guarded = r->state.step;
    p->frozen_known = true;
}

static const char *guarded_word(const struct tensor *t)
{
    return t->kind == TENSOR_MOMENT ? "the optimiser's state" : t->kind == TENSOR_PACKED ? "a packed weight" : is_frozen(t) ? "a frozen weight" : "a weight";
}

/* The first piece that is not what it was, weights and moments before their panels; NULL: all are. */
static const struct piece *find_altered(const struct run *r, int n)
{
    const struct piece *first = NULL;
    for (int i = 0; i < n; i++) {
        const struct piece *p = &r->prints->piece[i];
        const bool panels = r->model.g->tensor[p->tensor].kind == TENSOR_PACKED;
        if (p->was != p->now && (!first || (!panels && r->model.g->tensor[first->tensor].kind == TENSOR_PACKED)))
            first = p;
    }
    return first;
}

int evidence_guarded(struct run *r, struct finding *f, bool *panels, bool *weight, struct err *err)
{
    struct run_prints *p = r->prints;
    struct guard_job j = { r->model.g, p->piece, false };
    *panels = *weight = false;
    if (p->guarded != r->state.step)
        return 0;
    const int n = evidence_is_due(r) ? p->n_piece : p->n_changing;
    pool_for(r->pool, n, hash_piece, &j);
    const struct piece *altered = find_altered(r, n);
    bool frozen = false;
    if (altered) {
        const struct tensor *t = &j.g->tensor[altered->tensor];
        snprintf(f->what, sizeof f->what, "%s was altered in memory since the last update", guarded_word(t));
        snprintf(f->where, sizeof f->where, "%.60s", t->name);
        frozen = is_frozen(t);
        *weight = !frozen && t->kind != TENSOR_PACKED;
        *panels = !frozen && !*weight;
    }
    TRY(tell_all(r, &frozen, true, f, err));
    if (frozen)
        return ERR(err, NUMERIC, "step %lld: %s (%s), which no checkpoint has; started again, the run goes on from step %lld", (long long)r->state.step + 1, f->what, f->where, (long long)r->saved);
    TRY(tell_all(r, weight, true, f, err));
    if (!*weight)
        TRY(tell_all(r, panels, true, f, err));
    f->cause = *panels || *weight ? CAUSE_HARDWARE : f->cause;
    return 0;
}

static void print_panels(struct run *r, int which)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_PACKED)
            r->prints->print[which][i] = hash64(g->tensor[i].data, g->tensor[i].bytes, 0);
}

int evidence_memory(struct run *r, struct finding *f, bool *panels, bool *weight, struct err *err)
{
    const struct graph *g = r->model.g;
    const struct step s = run_step_of(r, 0);
    *panels = *weight = false;
    if (g->device)                               /* nothing is packed there */
        return 0;
    print_panels(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &s);
    print_panels(r, 1);
    int n = 0;
    for (int w = 0; w < g->n_tensor; w++) {
        int other = 0, forms = 0;
        for (int j = 0; j < 2 && g->tensor[w].kind == TENSOR_WEIGHT; j++) {
            const int p = g->tensor[w].packed[j];
            forms += p >= 0, other += p >= 0 && r->prints->print[0][p] != r->prints->print[1][p];
        }
        if (other && !n++)
            snprintf(f->where, sizeof f->where, "%.60s", g->tensor[w].name);
        *weight = *weight || (other && other == forms);
    }
    *panels = n > 0;
    TRY(tell_all(r, weight, true, f, err));
    if (!*weight)
        TRY(tell_all(r, panels, true, f, err));
    if (!*weight && !*panels)
        return 0;
    snprintf(f->what, sizeof f->what, *weight ? "a weight was altered in memory since it was packed" : "a packed weight was altered in memory; it is packed again");
    f->cause = CAUSE_HARDWARE;
    return 0;
}

/* ---- kernels ---- */

static const struct cpu_kernels *level_below(const struct run *r)
{
    const struct cpu_kernels *const *l = cpu_levels(), *below = NULL;
    for (int i = 0; l[i] && strcmp(l[i]->level, r->model.g->k->level); i++)
        below = l[i];
    return below;
}

/* NULL: none, or one that would take too long. */
static int choose_below(struct run *r, const struct cpu_kernels **below, struct err *err)
{
    *below = level_below(r);
    bool may = *below && (strcmp((*below)->level, "ref") || run_step_flops(r) < REF_FLOPS);
    TRY(comm_broadcast(r->comm, &may, sizeof may, err));         /* parts of a model differ a little in their operations */
    *below = may ? *below : NULL;
    return 0;
}

/* Says so; mended: the numbers of the level below are there now. */
static void blame_kernels(const struct run *r, struct finding *f, const char *wrong, const struct cpu_kernels *below, bool mended)
{
    f->cause = CAUSE_KERNEL;
    if (mended)
        snprintf(f->what, sizeof f->what, "kernels of level %s %s; those of level %s are taken (LATHE_CPU=%s keeps to them)", r->model.g->k->level, wrong, below->level, below->level);
    else
        snprintf(f->what, sizeof f->what, "kernels of level %s %s%s%s", r->model.g->k->level, wrong, below ? ", and so do those of level " : "", below ? below->level : "");
}

/* The step by the kernels of another level, as watched run 1. */
static int by_level(struct run *r, const struct cpu_kernels *k, struct err *err)
{
    struct graph *g = r->model.g;
    const struct cpu_kernels *now = g->k;
    g->k = k;
    const int rc = watch_gradients(r, 1, err);
    g->k = now;
    return rc;
}

/* Does the last watched run, of any rank, have a product that is wrong?  f: where; or NULL. */
static int wrong_product(struct run *r, bool *wrong, struct finding *f, struct err *err)
{
    *wrong = watch_wrong_product(r)[0];
    if (!f)
        return ranks_any(r, wrong, err);
    if (*wrong)
        snprintf(f->where, sizeof f->where, "%s", watch_wrong_product(r));
    return tell_all(r, wrong, true, f, err);
}

int evidence_kernel(struct run *r, struct finding *f, bool compare, bool *wrong, bool *mended, struct err *err)
{
    const struct cpu_kernels *below;
    const double loss = r->loss, norm = r->norm;
    bool also = false;
    *wrong = *mended = false;
    if (r->o->device)                            /* it has no other kernels */
        return 0;
    TRY(choose_below(r, &below, err));
    TRY(wrong_product(r, wrong, f, err));
    if (below) {
        TRY(by_level(r, below, err));
        TRY(wrong_product(r, &also, NULL, err));
    }
    if (*wrong) {
        *mended = below && !also;
        f->no_level = also || !level_below(r);
        blame_kernels(r, f, "multiply wrongly: a product is not what its operands give", below, *mended);
        return 0;
    }
    if (!below)
        return 0;
    struct doctor_step seen = r->seen;
    const struct doctor_opinion o = doctor_judge(&r->state.doctor, r->loss, r->norm, &seen);
    watch_compare(r, !compare ? RATIO_KERNEL : train_compute(&r->c) == DT_BF16 ? RATIO_LEVELS_BF16 : RATIO_LEVELS, f->where);
    const bool other = watch_ratio(loss, r->loss) > 1.01 || watch_ratio(norm, r->norm) > RATIO_KERNEL || !isfinite(loss) || !isfinite(norm) ||
                       (f->o.n_high && watch_ratio(f->seen.high[0].loss, r->seen.high[0].loss) > 1.01);
    *wrong = compare ? f->where[0] : f->o.odd & ~o.odd && other;
    TRY(tell_all(r, wrong, true, f, err));
    if (!*wrong) {
        f->where[0] = 0;
        return 0;
    }
    *mended = true;
    blame_kernels(r, f, "give clearly other numbers", below, true);
    return 0;
}

/* ---- the state ---- */

/* A weight that is not finite or a thousand times all others of its kind. */
static bool find_extreme_weight(const struct run *r, char where[120])
{
    for (int i = 0; i < r->weights->n_weight; i++) {
        const struct tensor *t = &r->model.g->tensor[i];
        const real *w = t->data;
        double first = 0, second = 0;
        int64_t at = 0;
        const int64_t n = t->dtype == DT_F32 && w && t->grad >= 0 ? tensor_count(t, 1, 1) : 0;
        for (int64_t k = 0; k < n; k++) {
            const double x = isnan(w[k]) ? INFINITY : fabs((double)w[k]);
            if (x > first)
                second = first, first = x, at = k;
            else if (x > second)
                second = x;
        }
        if (n > 8 && (isinf(first) || first > 1000 * second)) {
            snprintf(where, 120, "%.60s[%lld] is %g, the largest of the others %g", t->name, (long long)at, (double)w[at], second);
            return true;
        }
    }
    return false;
}

int evidence_state(struct run *r, struct finding *f, bool *bad, struct err *err)
{
    *bad = false;
    if (r->state.doctor.last_good < 0)
        return 0;
    const int64_t now = r->state.step;
    r->state.step = r->state.doctor.last_good;
    const int rc = watch_gradients(r, 1, err);           /* what nodes are like with data that is */
    const struct doctor_opinion o = doctor_judge(&r->state.doctor, r->loss, r->norm, &r->seen);
    r->state.step = now;
    TRY(rc);
    *bad = o.odd & (ODD_BAD | ODD_LOSS | ODD_NORM);
    if (!*bad)
        return 0;
    TRY(run_fetch_state(r, false, err));
    bool extreme = find_extreme_weight(r, f->where);
    TRY(tell_all(r, &extreme, true, f, err));
    if (extreme) {
        f->cause = CAUSE_HARDWARE;
        snprintf(f->what, sizeof f->what, "a weight was altered in memory");
    } else {
        f->cause = CAUSE_STATE;
        snprintf(f->what, sizeof f->what, "data that was like others at step %lld is odd now: the weights went astray", (long long)r->state.doctor.last_good + 1);
    }
    return 0;
}

int evidence_node(struct run *r, struct finding *f, struct err *err)
{
    if (r->state.doctor.last_good < 0)           /* nothing to hold it against */
        return 0;
    TRY(watch_gradients(r, 0, err));
    watch_compare(r, RATIO_ODD, f->where);
    return 0;
}
