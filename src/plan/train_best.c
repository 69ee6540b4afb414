/* train_best.c - the layouts of n devices that fit, the fastest first: all of them are tried. */
#include <stdlib.h>
#include <string.h>
#include "plan/train_parts.h"

#define DEVICES_MAX 1024
#define MICRO_MAX 64                 /* sequences of a micro-batch */
#define INTERLEAVE_MAX 16

struct search {
    const struct train_model *m;
    const struct train_job *job;
    const struct device *d;
    struct train_plan *out;          /* the fastest first, one for each division of the devices */
    int most, found;
    struct train_plan nearest;       /* of what does not fit; bytes 0: nothing was possible at all */
};

static bool same_division(const struct train_layout *a, const struct train_layout *b) { return a->tp == b->tp && a->pp == b->pp && a->ep == b->ep; }

static void keep(struct search *s, const struct train_plan *p)
{
    int at = 0, last = s->found;
    while (at < s->found && s->out[at].seconds <= p->seconds)
        if (same_division(&s->out[at++].layout, &p->layout))
            return;
    for (int i = at; i < s->found; i++)
        if (same_division(&s->out[i].layout, &p->layout))
            last = i;
    if (at == s->most)
        return;
    if (last == s->found && s->found == s->most)
        last = s->most - 1;                      /* the slowest gives way */
    else if (last == s->found)
        s->found++;
    memmove(&s->out[at + 1], &s->out[at], (size_t)(last - at) * sizeof *s->out);
    s->out[at] = *p;
}

/* As few layers of a stage as have to be. */
static void least_again(const struct search *s, const struct train_case *c, struct train_layout *l, struct train_plan *p)
{
    int low = 1, high = (s->m->config.n_layer + l->pp - 1) / l->pp;
    while (low < high) {
        l->again = (low + high) / 2;
        train_memory(c, p);
        if (p->bytes <= s->d->memory)
            high = l->again;
        else
            low = l->again + 1;
    }
    l->again = high;
    train_memory(c, p);
}

/* The times of layers are those of any ZeRO and interleaving. */
static void try_layout(struct search *s, struct train_layout *l)
{
    struct train_case c = train_case(s->m, s->job, l, s->d);
    struct train_times t;
    bool timed = false;
    const int zeros = l->dp == 1 ? 0 : l->pp > 1 ? 1 : 3;
    for (l->zero = 0; l->zero <= zeros; l->zero++)
        for (l->interleave = 1; l->interleave <= (l->pp > 1 ? INTERLEAVE_MAX : 1); l->interleave++) {
            struct train_plan p = { .n = l->tp * l->pp * l->dp };
            l->again = 0;
            if (train_layout_check(&c, NULL) < 0)
                continue;
            train_memory(&c, &p);
            if (p.bytes <= s->d->memory && l->recompute == TRAIN_RECOMPUTE_FULL)
                least_again(s, &c, l, &p);
            p.layout = *l;
            if (p.bytes > s->d->memory) {
                if (!s->nearest.n || p.bytes < s->nearest.bytes)
                    s->nearest = p;
                continue;
            }
            if (!timed)
                train_times(&c, &t);
            timed = true;
            train_fill(&c, &t, &p);
            keep(s, &p);
        }
}

static void try_division(struct search *s, int tp, int pp, int dp, int ep)
{
    struct train_layout l = { .tp = tp, .pp = pp, .dp = dp, .ep = ep, .sequence = tp > 1 && s->job->ctx % tp == 0 };
    for (l.micro = 1; l.micro <= MICRO_MAX && (double)l.micro * dp <= s->job->batch; l.micro *= 2)
        for (int r = 0; r < N_TRAIN_RECOMPUTE; r++) {
            if (r == TRAIN_RECOMPUTE_ATTENTION && !s->job->separate)
                continue;            /* fused attention keeps no scores */
            l.recompute = (enum train_recompute)r;
            try_layout(s, &l);
        }
}

static void search(struct search *s, int n)
{
    for (int tp = 1; tp <= n && (tp == 1 || tp <= s->d->node); tp++)
        for (int pp = 1; n % tp == 0 && pp <= n / tp && pp <= s->m->config.n_layer; pp++)
            for (int ep = 1, dp = n / tp / pp; n / tp % pp == 0 && ep <= tp * dp; ep++)
                if (tp * dp % ep == 0 && (ep == 1 || (s->m->config.n_expert && s->m->config.n_expert % ep == 0)))
                    try_division(s, tp, pp, dp, ep);
}

/* The least number of devices, doubling, that one layout fits on; 0: none up to the most. */
static int enough(const struct search *s, int n)
{
    struct train_plan one;
    while ((n *= 2) <= DEVICES_MAX) {
        struct search more = { .m = s->m, .job = s->job, .d = s->d, .out = &one, .most = 1 };
        search(&more, n);
        if (more.found)
            return n;
    }
    return 0;
}

static int nothing_fits(const struct search *s, int n, struct err *err)
{
    const struct train_plan *p = &s->nearest;
    const double G = 1e9;
    if (!p->n)
        return ERR(err, USAGE, "no layout of %d devices is possible with a batch of %g sequences of %d tokens: fewer devices, or a larger batch", n,
                   s->job->batch, s->job->ctx);
    const int more = enough(s, n);
    char would[64];
    snprintf(would, sizeof would, more ? "%d devices would do" : "nor on as many as %d", more ? more : DEVICES_MAX);
    return ERR(err, NOFIT, "it fits on %d %s in no layout: tp %d, pp %d, dp %d, ep %d, ZeRO %d comes nearest with %.1f of %.1f GB in each device, "
               "%.1f too much (weights %.1f, gradients %.1f, optimiser %.1f, activations %.1f, workspace %.1f); %s",
               n, s->d->name, p->layout.tp, p->layout.pp, p->layout.dp, p->layout.ep, p->layout.zero, p->bytes / G, s->d->memory / G,
               (p->bytes - s->d->memory) / G, p->memory[TRAIN_MEMORY_WEIGHTS] / G, p->memory[TRAIN_MEMORY_GRADIENTS] / G,
               p->memory[TRAIN_MEMORY_OPTIMISER] / G, p->memory[TRAIN_MEMORY_ACTIVATIONS] / G, p->memory[TRAIN_MEMORY_WORKSPACE] / G, would);
}

int plan_train_best(struct train_plan *out, int most, const struct train_model *m, const struct train_job *job, const struct device *d, int n, struct err *err)
{
    const struct train_job j = train_job_defaults(m, job);
    struct search s = { .m = m, .job = &j, .d = d, .out = out, .most = most };
    if (n < 1 || n > DEVICES_MAX)
        return ERR(err, USAGE, "%d devices, expected 1 to %d", n, DEVICES_MAX);
    if (most < 1)
        return ERR(err, USAGE, "%d plans are wanted, expected 1 or more", most);
    TRY(train_job_check(&j, err));
    TRY(train_devices_check(d, n, err));
    search(&s, n);
    return s.found ? s.found : nothing_fits(&s, n, err);
}
