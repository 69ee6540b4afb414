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
#define REF_FLOPS 2e10                   /* a step that the plain loops of level ref can do in a while */

struct run_prints {
    uint64_t *print[2], *guard;          /* of each tensor; guard: of weights and moments as the last update left them */
    int64_t guarded;                     /* the step before which guard was taken, or -1 */
};

int evidence_open(struct run *r, struct err *err)
{
    const size_t n = (size_t)r->model.g->n_tensor;
    struct run_prints *p = r->prints = mem_alloc_array(1, sizeof *p);
    if (!p || !(p->print[0] = mem_alloc_array(n, sizeof(uint64_t))) || !(p->print[1] = mem_alloc_array(n, sizeof(uint64_t))) ||
        !(p->guard = mem_alloc_array(n, sizeof(uint64_t))))
        return ERR(err, NOMEM, "no memory to watch the steps");
    p->guarded = -1;
    return 0;
}

void evidence_close(struct run *r)
{
    if (r->prints) {
        mem_free(r->prints->print[0]);
        mem_free(r->prints->print[1]);
        mem_free(r->prints->guard);
    }
    mem_free(r->prints);
}

/* ---- is it the same again? ---- */

static void print_gradients(struct run *r, int which)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_tensor; i++)
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

/* Computes the step again, into print 1: *same when it was the same. */
static int compute_again(struct run *r, struct finding *f, bool *same, struct err *err)
{
    const double loss = r->loss, norm = r->norm;
    int first = -1;
    TRY(run_gradients(r, err));
    print_gradients(r, 1);
    const int n = n_differ(r, &first);
    const bool loss_differs = !same_bits(loss, r->loss) && !(isnan(loss) && isnan(r->loss));
    bool differs = n || loss_differs || !(same_bits(norm, r->norm) || (isnan(norm) && isnan(r->norm)));
    TRY(ranks_any(r, &differs, err));
    *same = !differs;
    if (!differs)
        return 0;
    if (loss_differs)
        snprintf(f->where, sizeof f->where, "forward pass: the loss was %g and is %g", loss, r->loss);
    else
        snprintf(f->where, sizeof f->where, "backward pass: %d gradients, first %.60s", n, first >= 0 ? r->model.g->tensor[first].name : "the norm");
    return 0;
}

/* The step was computed twice with other results.  The third time decides. */
static int settle(struct run *r, struct finding *f, struct err *err)
{
    struct finding unused;
    bool same;
    memcpy(r->prints->print[0], r->prints->print[1], (size_t)r->model.g->n_tensor * sizeof(uint64_t));
    f->cause = CAUSE_HARDWARE;
    snprintf(f->what, sizeof f->what, "computed again the step gave other numbers: a fault of this machine; those that came twice are taken");
    TRY(compute_again(r, &unused, &same, err));
    if (same)
        return 0;
    return ERR(err, NUMERIC, "step %lld gave three results when it was computed three times (%s): this machine does not compute reliably; the last checkpoint is of step %lld",
               (long long)r->state.step + 1, f->where, (long long)r->saved);
}

int evidence_again(struct run *r, struct finding *f, bool *same, struct err *err)
{
    print_gradients(r, 0);
    TRY(compute_again(r, f, same, err));
    return *same ? 0 : settle(r, f, err);
}

/* ---- is memory what it was? ---- */

bool evidence_is_due(const struct run *r) { return r->c.verify_every && r->state.step % r->c.verify_every == 0; }

static bool is_guarded(const struct tensor *t) { return (t->kind == TENSOR_WEIGHT && t->grad >= 0) || t->kind == TENSOR_MOMENT || t->steered; }

void evidence_guard(struct run *r)
{
    const struct graph *g = r->model.g;
    r->prints->guarded = evidence_is_due(r) ? r->state.step : -1;
    for (int i = 0; i < g->n_tensor && r->prints->guarded >= 0; i++)
        if (is_guarded(&g->tensor[i]))
            r->prints->guard[i] = hash64(g->tensor[i].data, g->tensor[i].bytes, 0);
}

int evidence_guarded(struct run *r, struct finding *f, bool *altered, struct err *err)
{
    const struct graph *g = r->model.g;
    *altered = false;
    for (int i = 0; i < g->n_tensor && r->prints->guarded == r->state.step; i++)
        if (is_guarded(&g->tensor[i]) && r->prints->guard[i] != hash64(g->tensor[i].data, g->tensor[i].bytes, 0)) {
            f->cause = CAUSE_HARDWARE;
            snprintf(f->what, sizeof f->what, "%s was altered in memory since its last update", g->tensor[i].kind == TENSOR_MOMENT ? "the optimiser's state" : "a weight");
            snprintf(f->where, sizeof f->where, "%.60s", g->tensor[i].name);
            *altered = true;
            break;
        }
    TRY(ranks_any(r, altered, err));
    f->cause = *altered ? CAUSE_HARDWARE : f->cause;
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
    print_panels(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &s);
    print_panels(r, 1);
    int n = 0;
    *weight = false;
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
    TRY(ranks_any(r, panels, err));
    TRY(ranks_any(r, weight, err));
    if (!*panels)
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

int evidence_kernel(struct run *r, struct finding *f, bool compare, bool *wrong, struct err *err)
{
    struct graph *g = r->model.g;
    const struct cpu_kernels *now = g->k, *below = level_below(r);
    *wrong = false;
    bool may = below && (strcmp(below->level, "ref") || run_step_flops(r) < REF_FLOPS);
    TRY(comm_broadcast(r->comm, &may, sizeof may, err));         /* parts of a model differ a little in their operations */
    if (!may)
        return 0;
    TRY(watch_gradients(r, 0, err));
    const double loss = r->loss, norm = r->norm;
    g->k = below;
    const int rc = watch_gradients(r, 1, err);
    g->k = now;
    TRY(rc);
    struct doctor_step seen = r->seen;
    const struct doctor_opinion o = doctor_judge(&r->state.doctor, r->loss, r->norm, &seen);
    watch_compare(r, compare ? RATIO_LEVELS : RATIO_KERNEL, f->where);
    const bool other = watch_ratio(loss, r->loss) > 1.01 || watch_ratio(norm, r->norm) > RATIO_KERNEL || !isfinite(loss) || !isfinite(norm) ||
                       (f->o.n_high && watch_ratio(f->seen.high[0].loss, r->seen.high[0].loss) > 1.01);
    *wrong = compare ? f->where[0] : f->o.odd & ~o.odd && other;
    TRY(ranks_any(r, wrong, err));
    if (!*wrong) {
        f->where[0] = 0;
        return 0;
    }
    f->cause = CAUSE_KERNEL;
    snprintf(f->what, sizeof f->what, "kernels of level %s give clearly other numbers than those of level %s, which are taken (LATHE_CPU=%s keeps to them)", now->level,
             below->level, below->level);
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
    bool extreme = find_extreme_weight(r, f->where);
    TRY(ranks_any(r, &extreme, err));
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
