/* average.c - a running average of the weights (train.ema): what is evaluated and what the run ends with.
 *
 * After update t (from 1 on): average += (1 - d) (weight - average), d = min(ema, t / (t + 9)), so that the first weights are soon
 * forgotten.  Where the average is to be used it changes places with the weights, and back.  Each rank keeps its share of it. */
#include <string.h>
#include "train/ranks.h"

#define BLOCK 16384                      /* floats that a thread takes at a time */

struct job { float *w, *average; size_t n; float share; };

static void follow_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const size_t from = (size_t)i * BLOCK, to = j->n - from < BLOCK ? j->n : from + BLOCK;
    for (size_t k = from; k < to; k++)
        j->average[k] += j->share * (j->w[k] - j->average[k]);
}

static void swap_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct job *j = ctx;
    const size_t from = (size_t)i * BLOCK, to = j->n - from < BLOCK ? j->n : from + BLOCK;
    for (size_t k = from; k < to; k++) {
        const float w = j->w[k];
        j->w[k] = j->average[k], j->average[k] = w;
    }
}

static void for_weights(struct run *r, pool_fn fn, float share)
{
    const struct graph *g = r->model.g;
    for (int i = 0; i < g->n_tensor; i++) {
        const struct tensor *w = &g->tensor[i];
        if (w->average < 0)
            continue;
        size_t n;
        const size_t at = ranks_part(r, &g->tensor[w->grad], comm_rank(r->copies), &n) / sizeof(float);
        struct job j = { (float *)w->data + at, (float *)g->tensor[w->average].data + at, n / sizeof(float), share };
        pool_for(r->pool, (int)((j.n + BLOCK - 1) / BLOCK), fn, &j);
    }
}

void run_begin_average(struct run *r)
{
    if (r->c.ema > 0 && !r->state.n_update)
        for_weights(r, follow_block, 1);             /* from zeros: the weights themselves */
}

void run_follow(struct run *r)
{
    const double t = (double)r->state.n_update, warm = t / (t + 9);
    if (r->c.ema > 0)
        for_weights(r, follow_block, (float)(1 - (r->c.ema < warm ? r->c.ema : warm)));
}

int run_swap_average(struct run *r, struct err *err)
{
    if (r->c.ema <= 0)
        return 0;
    for_weights(r, swap_block, 0);
    if (comm_size(r->copies) > 1)
        return ranks_gather_weights(r, err);
    const struct step s = run_step_of(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &s);
    return 0;
}
