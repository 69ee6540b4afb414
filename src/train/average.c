/* average.c - a running average of the weights (train.ema): what is evaluated and what the run ends with.
 *
 * After update t (from 1 on): average += (1 - d) (weight - average), d = min(ema, t / (t + 9)), so that the first weights are soon
 * forgotten.  Where the average is to be used it changes places with the weights, and back. */
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
    for (int i = 0; i < g->n_tensor; i++)
        if (g->tensor[i].average >= 0) {
            struct job j = { g->tensor[i].data, g->tensor[g->tensor[i].average].data, (size_t)tensor_count(&g->tensor[i], 1, 1), share };
            pool_for(r->pool, (int)((j.n + BLOCK - 1) / BLOCK), fn, &j);
        }
}

int run_begin_average(struct run *r, struct err *err)
{
    if (r->c.ema > 0 && comm_size(r->comm) > 1)
        return ERR(err, UNSUPPORTED, "train.ema is kept by one process, there are %d", comm_size(r->comm));
    if (r->c.ema > 0 && !r->state.n_update)
        for_weights(r, follow_block, 1);             /* from zeros: the weights themselves */
    return 0;
}

void run_follow(struct run *r)
{
    const double t = (double)r->state.n_update, warm = t / (t + 9);
    if (r->c.ema > 0)
        for_weights(r, follow_block, (float)(1 - (r->c.ema < warm ? r->c.ema : warm)));
}

void run_swap_average(struct run *r)
{
    if (r->c.ema <= 0)
        return;
    for_weights(r, swap_block, 0);
    const struct step s = run_step_of(r, 0);
    graph_run(r->model.g, PASS_PREPARE, &s);
}
