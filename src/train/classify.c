/* classify.c - steps and evaluation of a run that trains a head for classes, where they differ from those over texts. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "train/ranks.h"

/* nll of a sequence, and whether its label has the highest logit. */
static double judge(const float *logits, int n, int label, bool *right)
{
    double max = -INFINITY, sum = 0;
    int best = 0;
    for (int i = 0; i < n; i++) {
        if ((double)logits[i] > max)
            best = i;
        max = fmax(max, (double)logits[i]);
    }
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    *right = best == label;
    return max + log(sum) - (double)logits[label];
}

static void score_classes(struct run *r, int64_t i, struct scored *s)
{
    int32_t *label = r->batch.ids;               /* not used by classes */
    const int L = r->c.model.n_label, got = classes_pass(&r->classes, &r->c, r->pool, i, r->micro, &r->scorer, &r->batch, label);
    if (!got)
        return;
    const struct step step = run_step_of(r, 0);
    graph_run(r->scorer.g, PASS_FORWARD, &step);
    s->has = true, s->counted = got;
    for (int k = 0; k < got; k++) {
        bool yes;
        s->loss += judge((const float *)r->scorer.g->tensor[r->scorer.logits].data + (int64_t)k * L, L, label[k], &yes);
        s->right += yes;
    }
}

int run_evaluate_classes(struct run *r, double *loss, struct err *err)
{
    *loss = r->accuracy = NAN;
    const int64_t n = r->classes.n_valid;
    struct scored sum;
    TRY(ranks_score(r, score_classes, &sum, err));
    if (!n)
        return 0;
    *loss = sum.loss / (double)n, r->accuracy = sum.right / (double)n;
    log_info("step %lld: held-out accuracy %.2f %%, loss %.4f, over %lld %s", (long long)r->state.step, 100 * r->accuracy, *loss, (long long)n,
             config_vision(&r->c.model) ? "images" : "texts");
    return run_write_metric(r, json_pack("{s:I, s:o, s:o, s:I}", "step", (json_int_t)r->state.step, "valid_loss", tree_number(*loss), "valid_accuracy",
                                     tree_number(r->accuracy), config_vision(&r->c.model) ? "valid_images" : "valid_texts", (json_int_t)n), err);
}
