#include "train/prefer.h"
#include <math.h>
#include "base/log.h"
#include "base/tree.h"
#include "train/ranks.h"

/* Log-probability of the counted tokens of sequence i by the model, over that by the reference. */
static double log_ratio(const struct batch *b, int i, const float *nll, const float *reference)
{
    double sum = 0;
    for (int t = b->seq_start[i]; t < b->seq_start[i + 1]; t++)
        sum += b->target[t] >= 0 ? (double)reference[t] - (double)nll[t] : 0;
    return sum;
}

static void set_scale(const struct batch *b, int i, double value, float *scale)
{
    for (int t = b->seq_start[i]; t < b->seq_start[i + 1]; t++)
        scale[t] = (float)value;
}

void preference_of(const struct batch *b, const float *nll, const float *reference, double beta, double share, float *scale, struct preference *sum)
{
    for (int i = 0; i + 1 < b->n_seq; i += 2) {
        const double chosen = beta * log_ratio(b, i, nll, reference), rejected = beta * log_ratio(b, i + 1, nll, reference), margin = chosen - rejected;
        sum->loss += margin > 0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
        sum->chosen += chosen, sum->rejected += rejected, sum->right += margin > 0;
        if (!scale)
            continue;
        const double slope = share * beta / (1 + exp(margin));
        set_scale(b, i, slope, scale);
        set_scale(b, i + 1, -slope, scale);
    }
}

static const float *nll_of(struct run *r, struct decoder *d, const struct step *s)
{
    run_load_inputs(r, d);
    graph_run(d->g, PASS_FORWARD, s);
    return d->g->tensor[d->nll].data;
}

void run_prefer(struct run *r, struct step *s, struct preference *sum)
{
    const float *reference = nll_of(r, &r->reference, s), *nll = nll_of(r, &r->model, s);
    graph_run(r->model.g, PASS_LOSS, s);
    preference_of(&r->batch, nll, reference, r->c.beta, s->loss_scale, r->token_scale, sum);
    s->token_scale = r->token_scale;
    graph_run(r->model.g, PASS_BACKWARD, s);
}

static void score_pairs(struct run *r, int64_t i, struct scored *s)
{
    struct preference p = { .loss = 0 };
    if (!loader_pass(&r->held_out, i, INT64_MAX, &r->batch))
        return;
    const struct step step = run_step_of(r, 0);
    const float *reference = nll_of(r, &r->reference, &step), *nll = nll_of(r, &r->scorer, &step);
    preference_of(&r->batch, nll, reference, r->c.beta, 0, NULL, &p);
    *s = (struct scored){ .has = true, .counted = r->batch.n_seq / 2, .loss = p.loss, .right = p.right, .chosen = p.chosen, .rejected = p.rejected };
}

int run_evaluate_pairs(struct run *r, double *loss, struct err *err)
{
    struct scored sum;
    TRY(ranks_score(r, score_pairs, &sum, err));
    const int64_t n = sum.counted;
    const double N = n ? (double)n : NAN;
    *loss = sum.loss / N;
    log_info("step %lld: held-out loss %.4f over %lld pairs, %.1f %% of them preferred rightly, margin %.4f", (long long)r->state.step, *loss, (long long)n,
             100 * sum.right / N, (sum.chosen - sum.rejected) / N);
    return run_write_metric(r, json_pack("{s:I, s:o, s:o, s:o, s:I}", "step", (json_int_t)r->state.step, "valid_loss", tree_number(*loss), "valid_rewards/accuracies",
                                     tree_number(sum.right / N), "valid_rewards/margins", tree_number((sum.chosen - sum.rejected) / N), "valid_pairs", (json_int_t)n), err);
}
