/* examine.c - what is wrong with a step that is unlike those before, and what is done about it.
 *
 *   computed again, other bits                  the machine: what two of three runs say is taken
 *   the packed weights differ from the weights  the machine's memory: they are packed again
 *   one level of kernels lower it is like others  a kernel: the lower level's numbers are taken
 *   the last good step's data is odd now too    the state: a weight beyond all others, or a learning rate too high
 *   else                                        the data: the samples are named, with their text
 *
 * A step is examined before its update, so the weights are still those it began with.  It costs a few steps' time, and only when
 * something is odd.  Ranks examine together: what one finds is found by all. */
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/ranks.h"

#define TEXT_TOKENS 64                   /* of a sample are shown */
#define ROLLBACKS_MAX 5
#define RATIO_ODD 4.0                    /* of a node's largest or mean number to what it usually is */
#define RATIO_KERNEL 1.1
#define RATIO_LEVELS 1.5                 /* levels round otherwise, which gradients that nearly cancel show */
#define REF_FLOPS 2e10                   /* a step that the plain loops of level ref can do in a while */

enum cause { CAUSE_NONE, CAUSE_DATA, CAUSE_HARDWARE, CAUSE_KERNEL, CAUSE_STATE };
static const char *const cause_word[] = { "none", "data", "hardware", "kernel", "state" };

struct finding {
    enum cause cause;
    struct doctor_opinion o;
    double loss, norm;                   /* as they were first computed */
    struct doctor_step seen;             /* the same of samples */
    char what[200], where[120];
};

/* ---- numbers of each node ---- */

struct node_stat { double largest, mean; int64_t n; bool bad; };
struct run_watch {
    struct node_stat *stat[2]; int which; bool on;      /* of each node */
    uint64_t *print[2], *guard;          /* of each tensor; guard: of weights and moments as the last update left them */
    int64_t guarded;                     /* the step before which guard was taken, or -1 */
};

static void add_number(struct node_stat *s, double x)
{
    s->bad = s->bad || !isfinite(x);
    s->largest = fmax(s->largest, fabs(x));
    s->mean += fabs(x), s->n++;
}

static void look(const struct graph *g, const struct node *n, const struct step *step, struct node_stat *s)
{
    const bool back = n->pass == PASS_BACKWARD && !n->again;
    for (int j = 0; j < NODE_OUT; j++) {
        const int id = back ? n->d_in[j] : n->out[j];
        if (id < 0 || (g->tensor[id].dtype != DT_F32 && g->tensor[id].dtype != DT_BF16))
            continue;
        const struct tensor *t = &g->tensor[id];
        const int64_t count = tensor_count(t, step->T, step->S);
        for (int64_t i = 0; i < count; i++) {
            uint32_t bits = t->dtype == DT_BF16 ? (uint32_t)((const bf16 *)t->data)[i] << 16 : 0;
            float x;
            memcpy(&x, &bits, sizeof x);
            add_number(s, t->dtype == DT_BF16 ? (double)x : (double)((const real *)t->data)[i]);
        }
    }
}

static void on_node(void *ctx, const struct graph *g, const struct node *n, const struct step *step)
{
    struct run *r = ctx;
    if (r->o->fault)
        fault_node(r->o->fault, g, n, step, r->state.step);
    if (r->watch->on)
        look(g, n, step, &r->watch->stat[r->watch->which][n - g->node]);
}

int run_open_doctor(struct run *r, struct err *err)
{
    const struct graph *g = r->model.g;
    struct run_watch *w = r->watch = mem_alloc_array(1, sizeof *w);
    bool ok = w;
    for (int i = 0; i < 2 && ok; i++) {
        w->stat[i] = mem_alloc_array((size_t)g->n_node, sizeof *w->stat[i]);
        w->print[i] = mem_alloc_array((size_t)g->n_tensor, sizeof *w->print[i]);
        ok = w->stat[i] && w->print[i];
    }
    if (!ok || !(w->guard = mem_alloc_array((size_t)g->n_tensor, sizeof *w->guard)))
        return ERR(err, NOMEM, "no memory to watch the steps");
    w->guarded = -1;
    r->model.g->watch_ctx = r;
    r->model.g->watch = r->o->fault ? on_node : NULL;
    return 0;
}

void run_close_doctor(struct run *r)
{
    for (int i = 0; i < 2 && r->watch; i++) {
        mem_free(r->watch->stat[i]);
        mem_free(r->watch->print[i]);
    }
    if (r->watch)
        mem_free(r->watch->guard);
    mem_free(r->watch);
}

/* Computes the step and looks at each node's numbers. */
static int watched(struct run *r, int which, struct err *err)
{
    struct run_watch *w = r->watch;
    memset(w->stat[which], 0, (size_t)r->model.g->n_node * sizeof *w->stat[which]);
    w->which = which, w->on = true;
    r->model.g->watch = on_node;
    const int rc = run_gradients(r, err);
    w->on = false;
    r->model.g->watch = r->o->fault ? on_node : NULL;
    return rc;
}

static double ratio(double a, double b) { return a > 0 && b > 0 ? fmax(a / b, b / a) : a == b ? 1 : INFINITY; }

/* The first node whose numbers are unlike those of the other run, by its operation and result. */
static void name_node(const struct run *r, double limit, char where[120])
{
    const struct graph *g = r->model.g;
    for (int pass = PASS_FORWARD; pass <= PASS_BACKWARD; pass++)
        for (int i = 0; i < g->n_node; i++) {
            const struct node_stat *a = &r->watch->stat[0][i], *b = &r->watch->stat[1][i];
            const struct node *n = &g->node[i];
            if ((int)n->pass != pass || !a->n || !b->n)
                continue;
            if (a->bad == b->bad && ratio(a->largest, b->largest) < limit && ratio(a->mean / (double)a->n, b->mean / (double)b->n) < limit)
                continue;
            const bool back = n->pass == PASS_BACKWARD && !n->again;
            int id = -1;
            for (int j = 0; j < NODE_OUT && id < 0; j++)
                id = back ? n->d_in[j] : n->out[j];
            snprintf(where, 120, "%s pass, %s, %.60s", pass == PASS_FORWARD ? "forward" : "backward", op_name(n->op), g->tensor[id].name);
            return;
        }
}

/* ---- is it the same again? ---- */

static void print_gradients(struct run *r, int which)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_GRAD)
            r->watch->print[which][i] = hash64(g->tensor[i].data, g->tensor[i].bytes, 0);
}

static bool same_bits(double a, double b) { return !memcmp(&a, &b, sizeof a); }

/* How many gradients differ between the two prints; *first: of those the one that the backward pass comes to first. */
static int n_differ(const struct run *r, int *first)
{
    const struct graph *g = r->model.g;
    int n = 0;
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].kind == TENSOR_GRAD && r->watch->print[0][i] != r->watch->print[1][i] && !n++)
            *first = i;
    return n;
}

/* Computes the step again, into print 1: *same when it was the same. */
static int again(struct run *r, struct finding *f, bool *same, struct err *err)
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
    memcpy(r->watch->print[0], r->watch->print[1], (size_t)r->model.g->n_tensor * sizeof(uint64_t));
    f->cause = CAUSE_HARDWARE;
    snprintf(f->what, sizeof f->what, "computed again the step gave other numbers: a fault of this machine; those that came twice are taken");
    TRY(again(r, &unused, &same, err));
    if (same)
        return 0;
    return ERR(err, NUMERIC, "step %lld gave three results when it was computed three times (%s): this machine does not compute reliably; the last checkpoint is of step %lld",
               (long long)r->state.step + 1, f->where, (long long)r->saved);
}

static bool is_verified(const struct run *r, int64_t step) { return r->c.verify_every && step % r->c.verify_every == 0; }

static bool is_guarded(const struct tensor *t) { return (t->kind == TENSOR_WEIGHT && t->grad >= 0) || t->kind == TENSOR_MOMENT; }

/* After the update: what weights and moments are, where the next step is verified. */
void run_guard(struct run *r)
{
    const struct graph *g = r->model.g;
    r->watch->guarded = is_verified(r, r->state.step) ? r->state.step : -1;
    for (int i = 0; i < g->n_tensor && r->watch->guarded >= 0; i++)
        if (is_guarded(&g->tensor[i]))
            r->watch->guard[i] = hash64(g->tensor[i].data, g->tensor[i].bytes, 0);
}

static int guarded_was_altered(struct run *r, struct finding *f, bool *altered, struct err *err)
{
    const struct graph *g = r->model.g;
    *altered = false;
    for (int i = 0; i < g->n_tensor && r->watch->guarded == r->state.step; i++)
        if (is_guarded(&g->tensor[i]) && r->watch->guard[i] != hash64(g->tensor[i].data, g->tensor[i].bytes, 0)) {
            f->cause = CAUSE_HARDWARE;
            snprintf(f->what, sizeof f->what, "%s was altered in memory since its last update", g->tensor[i].kind == TENSOR_WEIGHT ? "a weight" : "the optimiser's state");
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
            r->watch->print[which][i] = hash64(g->tensor[i].data, g->tensor[i].bytes, 0);
}

/* Packs the weights again: panels that come out otherwise were altered, or the weight was, when both its forms do. */
static int memory_was_altered(struct run *r, struct finding *f, bool *panels, bool *weight, struct err *err)
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
            forms += p >= 0, other += p >= 0 && r->watch->print[0][p] != r->watch->print[1][p];
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
    return below && (strcmp(below->level, "ref") || run_step_flops(r) < REF_FLOPS) ? below : NULL;
}

/* One level lower the step is like others, and clearly another, or (compare) some node's numbers are: the lower level's are then
 * left to be taken. */
static int kernel_is_wrong(struct run *r, struct finding *f, bool compare, bool *wrong, struct err *err)
{
    struct graph *g = r->model.g;
    const struct cpu_kernels *now = g->k, *below = level_below(r);
    *wrong = false;
    if (!below)
        return 0;
    TRY(watched(r, 0, err));
    const double loss = r->loss, norm = r->norm;
    g->k = below;
    const int rc = watched(r, 1, err);
    g->k = now;
    TRY(rc);
    struct doctor_step seen = r->seen;
    const struct doctor_opinion o = doctor_judge(&r->state.doctor, r->loss, r->norm, &seen);
    name_node(r, compare ? RATIO_LEVELS : RATIO_KERNEL, f->where);
    const bool other = ratio(loss, r->loss) > 1.01 || ratio(norm, r->norm) > RATIO_KERNEL || !isfinite(loss) || !isfinite(norm) ||
                       (f->o.n_high && ratio(f->seen.high[0].loss, r->seen.high[0].loss) > 1.01);
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

/* Data that was like others a while ago is odd now. */
static int state_is_bad(struct run *r, struct finding *f, bool *bad, struct err *err)
{
    *bad = false;
    if (r->state.doctor.last_good < 0)
        return 0;
    const int64_t now = r->state.step;
    r->state.step = r->state.doctor.last_good;
    const int rc = watched(r, 1, err);           /* what nodes are like with data that is */
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

/* ---- what is told ---- */

/* Where sample s of the run lies in its file: an image's number, or the first token of a window. */
static int64_t place_of(const struct run *r, uint64_t s) { return run_classifies(r) ? classes_place(&r->classes, s) : loader_offset(&r->loader, s); }

static int add_text(struct run *r, const struct doctor_sample *s, struct buf *out, struct err *err)
{
    if (run_classifies(r))
        return buf_printf(out, err, config_vision(&r->c.model) ? "image %lld of data/train.img" : "text %lld of data/train.tok", (long long)place_of(r, (uint64_t)(s->i_micro * r->micro + s->sequence)));
    run_load_micro(r, s->i_micro);
    const int from = r->batch.seq_start[s->sequence], to = r->batch.seq_start[s->sequence + 1], n = to - from < TEXT_TOKENS ? to - from : TEXT_TOKENS;
    TRY(tok_decode(r->data.tok, r->batch.ids + from, (size_t)n, out, err));
    err_tidy(out->data);
    return 0;
}

static int add_sample(struct run *r, json_t *list, const struct doctor_sample *s, bool show, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = buf_add_str(&text, "", err);
    if (!rc)
        rc = add_text(r, s, &text, err);
    const int window = run_classifies(r) ? s->sequence : (int)(r->batch.seq_start[s->sequence] / r->c.ctx);
    json_t *o = rc ? NULL : json_pack("{s:I, s:i, s:i, s:o, s:o, s:s}", "micro", (json_int_t)(s->i_micro % r->n_micro), "window", window,
                                      "sequence", s->sequence, "loss", run_metric_number(s->loss),
                                      "deviations", run_metric_number(s->odd), "text", text.data);
    if (!rc && (!o || json_array_append_new(list, o)))
        rc = ERR(err, NOMEM, "no memory to write metrics");
    if (!rc && show)
        log_warn("  sample %d of micro-batch %lld, loss %.3f (%+.1f deviations): \"%.120s\"", s->sequence + 1, (long long)(s->i_micro % r->n_micro) + 1, s->loss, s->odd, text.data);
    buf_release(&text);
    return rc;
}

static void odd_words(unsigned odd, char out[60])
{
    snprintf(out, 60, "%s%s%s%s", odd & ODD_BAD ? "not finite, " : "", odd & ODD_LOSS ? "loss, " : "", odd & ODD_NORM ? "gradient norm, " : "", odd & ODD_SAMPLE ? "sample, " : "");
    const size_t n = strlen(out);
    if (n)
        out[n - 2] = 0;
}

static int tell(struct run *r, const struct finding *f, const char *action, struct err *err)
{
    char odd[60];
    odd_words(f->o.odd, odd);
    log_warn("step %lld: %s (loss %.4g, %+.1f deviations; gradient norm %.4g, %+.1f): %s: %s%s%s; %s", (long long)r->state.step + 1, f->o.odd ? odd : "differs", f->loss, f->o.loss, f->norm,
             f->o.norm, cause_word[f->cause], f->what, f->where[0] ? "; " : "", f->where, action);
    json_t *samples = json_array();
    int rc = samples ? 0 : ERR(err, NOMEM, "no memory to write metrics");
    const int n_high = f->o.n_high || f->o.n_low ? f->o.n_high : f->seen.n_high;      /* none is odd by itself: those with the highest loss */
    for (int i = 0; i < n_high && !rc; i++)
        rc = add_sample(r, samples, &f->seen.high[i], f->cause == CAUSE_DATA, err);
    for (int i = 0; i < f->o.n_low && !rc; i++)
        rc = add_sample(r, samples, &f->seen.low[i], f->cause == CAUSE_DATA, err);
    if (rc) {
        json_decref(samples);
        return rc;
    }
    return run_write_metric(r, json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:o}", "step", (json_int_t)r->state.step + 1, "event", "spike", "cause",
                                         cause_word[f->cause], "odd", odd, "loss", run_metric_number(f->loss), "loss_deviations", run_metric_number(f->o.loss), "grad_norm",
                                         run_metric_number(f->norm), "norm_deviations", run_metric_number(f->o.norm), "what", f->what, "where", f->where, "action", action,
                                         "samples", samples), err);
}

/* ---- what is done ---- */

/* A step that is not applied; the third in a row that is not finite ends the run and names where its data is. */
static int skip(struct run *r, const struct finding *f, struct err *err)
{
    struct buf samples;
    buf_init(&samples);
    const int64_t n = r->c.accumulate * r->c.batch;
    int rc = r->c.privacy.on ? buf_add_str(&samples, "(drawn at random)", err) : 0;
    for (int64_t i = 0; i < n && i < 16 && !rc && !r->c.privacy.on; i++)
        rc = buf_printf(&samples, err, "%s%lld", i ? " " : "", (long long)place_of(r, (uint64_t)((r->state.step + r->state.shift) * n + i)));
    r->state.n_bad++, r->state.n_skipped++;
    if (!rc)
        rc = run_write_metric(r, json_pack("{s:I, s:s, s:s, s:s, s:I}", "step", (json_int_t)r->state.step + 1, "event", "skipped", "because",
                                           f->o.odd & ODD_BAD ? "loss or gradient not finite" : "loss or gradient unlike those before", "samples", samples.data, "skipped",
                                           (json_int_t)r->state.n_skipped), err);
    if (!rc && f->o.odd & ODD_BAD && r->state.n_bad >= BAD_STEPS_MAX)
        rc = ERR(err, NUMERIC, "%d steps in a row gave numbers that are not finite (%s); the last, step %lld, was made of the %s %s%s of data/train.%s; "
                 "where all data does it, train.lr %g is too high, or on_spike: rollback goes back", BAD_STEPS_MAX, cause_word[f->cause], (long long)r->state.step + 1,
                 config_vision(&r->c.model) ? "images" : run_classifies(r) ? "texts" : "windows at tokens", samples.data, n > 16 ? " ..." : "",
                 config_vision(&r->c.model) ? "img" : "tok", r->c.lr);
    buf_release(&samples);
    return rc;
}

/* Rank 0 reads the newest checkpoint; all have it then. */
static int load_last(struct run *r, struct err *err)
{
    if (!comm_rank(r->comm)) {
        struct train_state found;
        struct buf passed;
        buf_init(&passed);
        const int rc = checkpoint_load(r->dir_checkpoints, &r->model, r->weights, &found, &passed, err);
        buf_release(&passed);
        TRY(rc);
        if (strcmp(found.settings, r->state.settings))
            return ERR(err, CORRUPT, "%s changed while the run went on", r->dir_checkpoints);
        r->state = found;
    }
    TRY(ranks_begin(r, err));
    const struct step s = run_step_of(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &s);
    return 0;
}

/* Back to the newest checkpoint; with other_data on from there without the data up to this step. */
static int roll_back(struct run *r, bool other_data, struct err *err)
{
    const int64_t bad = r->state.step, n = r->state.n_rollback + 1;
    TRY(load_last(r, err));
    r->state.n_rollback = n;
    r->state.shift += other_data ? bad - r->state.step + 1 : 0;
    r->state.doctor.last_good = -1;
    log_warn("back to the checkpoint of step %lld%s", (long long)r->state.step, other_data ? ", on with other data" : "");
    TRY(run_write_metric(r, json_pack("{s:I, s:s, s:I, s:b}", "step", (json_int_t)r->state.step, "event", "rolled back", "from_step", (json_int_t)bad + 1, "other_data", other_data), err));
    if (n > ROLLBACKS_MAX)
        return ERR(err, NUMERIC, "went back %d times; the last time from step %lld: train.lr %g may be too high", ROLLBACKS_MAX, (long long)bad + 1, r->c.lr);
    return 0;
}

/* Lets the checkpoint under way end: is there one to go back to?  Rank 0 knows. */
static int may_roll_back(struct run *r, bool *may, struct err *err)
{
    TRY(run_settle_saves(r, err));
    *may = !comm_rank(r->comm) && r->saved >= 0;
    return ranks_any(r, may, err);
}

/* Two of three, packed again, or of the lower level: applied when it is like others now. */
static int take_other(struct run *r, struct finding *f, enum step_fate *fate, struct err *err)
{
    const struct doctor_opinion o = doctor_judge(&r->state.doctor, r->loss, r->norm, &r->seen);
    *fate = o.odd & ODD_BAD ? STEP_SKIP : STEP_APPLY;
    TRY(tell(r, f, *fate == STEP_APPLY ? "goes on" : "skipped", err));
    return *fate == STEP_SKIP ? skip(r, f, err) : 0;
}

static int apply(struct run *r, const struct finding *f, enum step_fate *fate, struct err *err)
{
    *fate = STEP_APPLY;
    TRY(tell(r, f, "goes on", err));
    return run_gradients(r, err);                /* others were computed meanwhile */
}

static int decide(struct run *r, struct finding *f, enum step_fate *fate, struct err *err)
{
    /* A large gradient alone is told, and clipped. */
    const bool hardware = f->cause == CAUSE_HARDWARE, severe = hardware || f->o.odd & (ODD_BAD | ODD_LOSS | (r->c.clip > 0 ? 0 : ODD_NORM));
    if (!severe)
        return apply(r, f, fate, err);
    if (!strcmp(r->c.on_spike, "stop")) {
        TRY(tell(r, f, "stops", err));
        return ERR(err, NUMERIC, "step %lld: %s: %s (train.on_spike: stop); the last checkpoint is of step %lld", (long long)r->state.step + 1, cause_word[f->cause], f->what, (long long)r->saved);
    }
    bool may = false;
    if (hardware || !strcmp(r->c.on_spike, "rollback"))
        TRY(may_roll_back(r, &may, err));
    if (may) {
        *fate = STEP_BACK;
        TRY(tell(r, f, "back to the last checkpoint", err));
        return roll_back(r, !hardware, err);
    }
    if (hardware)
        return ERR(err, NUMERIC, "step %lld: %s (%s), and there is no checkpoint to go back to", (long long)r->state.step + 1, f->what, f->where);
    /* To leave out data does not mend weights, and what many steps in a row are is how steps are now. */
    if (!(f->o.odd & ODD_BAD) && (f->cause == CAUSE_STATE || r->state.n_bad >= BAD_STEPS_MAX - 1))
        return apply(r, f, fate, err);
    *fate = STEP_SKIP;
    TRY(tell(r, f, "skipped", err));
    return skip(r, f, err);
}

/* With differential privacy nothing is chosen by what the data did. */
static bool is_off(const struct run *r) { return !strcmp(r->c.on_spike, "none") || r->c.privacy.on; }

int run_examine(struct run *r, enum step_fate *fate, struct err *err)
{
    struct finding f = { .loss = r->loss, .norm = r->norm };
    f.o = doctor_judge(&r->state.doctor, r->loss, r->norm, &r->seen);
    f.seen = r->seen;
    *fate = STEP_APPLY;
    const bool off = is_off(r), twice = is_verified(r, r->state.step);
    if (off && f.o.odd & ODD_BAD) {
        *fate = STEP_SKIP;
        return skip(r, &f, err);
    }
    if ((off || !f.o.odd) && !twice)
        return 0;
    bool altered = false, weight, same, wrong, bad;
    if (twice)
        TRY(guarded_was_altered(r, &f, &altered, err));
    if (altered)
        return decide(r, &f, fate, err);
    print_gradients(r, 0);
    TRY(again(r, &f, &same, err));
    if (!same) {
        TRY(settle(r, &f, err));
        return take_other(r, &f, fate, err);
    }
    TRY(memory_was_altered(r, &f, &altered, &weight, err));
    if (weight)
        return decide(r, &f, fate, err);
    if (altered) {
        TRY(run_gradients(r, err));
        return take_other(r, &f, fate, err);
    }
    TRY(kernel_is_wrong(r, &f, twice && !f.o.odd, &wrong, err));
    if (wrong)
        return take_other(r, &f, fate, err);
    if (off || !f.o.odd)
        return run_gradients(r, err);            /* the lower level's were computed last */
    TRY(state_is_bad(r, &f, &bad, err));
    if (!bad) {
        f.cause = CAUSE_DATA;
        snprintf(f.what, sizeof f.what, "the same numbers each time it is computed");
        if (r->state.doctor.last_good >= 0) {
            TRY(watched(r, 0, err));
            name_node(r, RATIO_ODD, f.where);
        }
    }
    return decide(r, &f, fate, err);
}

int run_take_step(struct run *r, struct err *err)
{
    struct doctor *d = &r->state.doctor;
    struct doctor_step seen = r->seen;
    if (!(doctor_judge(d, r->loss, r->norm, &seen).odd & (ODD_BAD | ODD_LOSS | ODD_NORM)))
        d->last_good = r->state.step;
    doctor_take(d, r->loss, r->norm, &r->seen);
    if (is_off(r))
        return 0;
    if ((r->state.step + 1) % DOCTOR_STEPS == 0 && doctor_rises(d)) {
        log_warn("the loss has been above its best, %.3f, for %d steps: train.lr %.2g may be too high", d->best, DOCTOR_STEPS, r->c.lr);
        TRY(run_write_metric(r, json_pack("{s:I, s:s, s:o}", "step", (json_int_t)r->state.step + 1, "event", "loss rises", "loss_at_best", run_metric_number(d->best)), err));
    }
    if (!doctor_diverges(d))
        return 0;
    TRY(run_write_metric(r, json_pack("{s:I, s:s, s:o, s:o}", "step", (json_int_t)r->state.step + 1, "event", "diverges", "loss_at_first", run_metric_number(d->first), "loss_at_best",
                                      run_metric_number(d->best)), err));
    return ERR(err, NUMERIC, "the loss diverges: it began at %.3f, had come down to %.3f, and is above both for %d steps: the learning rate is too high; try train.lr: %.2g instead of %.2g in another --out "
               "(on_spike: none does not stop)", d->first, d->best, DOCTOR_RECENT, r->c.lr / 3, r->c.lr);
}
