/* classify.c - steps and evaluation of a run that trains a head for classes, where they differ from those over texts. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "train/run.h"

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

int run_evaluate_classes(struct run *r, double *loss, struct err *err)
{
    *loss = r->accuracy = NAN;
    const int64_t n = r->classes.n_valid;
    int32_t *label = r->batch.ids;               /* not used by classes */
    double sum = 0;
    int64_t right = 0;
    for (int64_t i = 0, got; (got = classes_pass(&r->classes, &r->c, r->pool, i, r->micro, &r->scorer, &r->batch, label)); i++) {
        const struct step s = run_step_of(r, 0);
        graph_run(r->scorer.g, PASS_FORWARD, &s);
        for (int64_t k = 0; k < got; k++) {
            bool yes;
            sum += judge((const float *)r->scorer.g->tensor[r->scorer.logits].data + k * r->c.model.n_label, r->c.model.n_label, label[k], &yes);
            right += yes;
        }
    }
    if (!n)
        return 0;
    *loss = sum / (double)n, r->accuracy = (double)right / (double)n;
    log_info("step %lld: held-out accuracy %.2f %%, loss %.4f, over %lld %s", (long long)r->state.step, 100 * r->accuracy, *loss, (long long)n,
             config_vision(&r->c.model) ? "images" : "texts");
    return run_write_metric(r, json_pack("{s:I, s:o, s:o, s:I}", "step", (json_int_t)r->state.step, "valid_loss", run_metric_number(*loss), "valid_accuracy",
                                     run_metric_number(r->accuracy), config_vision(&r->c.model) ? "valid_images" : "valid_texts", (json_int_t)n), err);
}
