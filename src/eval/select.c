#include "eval/select.h"
#include <math.h>

static bool beats(const double *a, const double *b, int k, const bool *higher, const bool *used)
{
    bool better = false;
    for (int c = 0; c < k; c++) {
        if (!used[c])
            continue;
        const double gain = higher[c] ? a[c] - b[c] : b[c] - a[c];
        if (gain < 0)
            return false;
        better = better || gain > 0;
    }
    return better;
}

void select_front(const double *value, int n, int k, const bool *higher, bool *used, bool *front)
{
    for (int c = 0; c < k; c++) {
        used[c] = true;
        for (int i = 0; i < n; i++)
            used[c] = used[c] && !isnan(value[i * k + c]);
    }
    for (int i = 0; i < n; i++) {
        front[i] = true;
        for (int j = 0; j < n; j++)
            front[i] = front[i] && !beats(value + j * k, value + i * k, k, higher, used);
    }
}

int select_loss(const struct compare_result *task, int n_task, double margin, struct select_loss *out, struct err *err)
{
    double low = 0, high = 0, upper = 0;
    *out = (struct select_loss){ 0 };
    if (n_task < 1)
        return ERR(err, RANGE, "found no task that both models have answered");
    for (int i = 0; i < n_task; i++) {
        const double loss = -task[i].effect;
        out->loss += loss;
        low += pow(loss + task[i].ci[1], 2);
        high += pow(-task[i].ci[0] - loss, 2);
        upper += pow(task[i].upper - loss, 2);
    }
    out->loss /= n_task;
    out->low = out->loss - sqrt(low) / n_task, out->high = out->loss + sqrt(high) / n_task, out->upper = out->loss + sqrt(upper) / n_task;
    out->verdict = out->high < 0             ? COMPARE_BETTER
                   : out->upper < margin     ? COMPARE_NOT_WORSE
                   : out->low > 0            ? COMPARE_WORSE
                                             : COMPARE_UNDERPOWERED;
    return 0;
}

int select_best(const struct select_candidate *c, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (c[i].quality > c[best].quality)
            best = i;
    return best;
}

int select_take(const struct select_candidate *c, int n, const double *prefer, bool higher)
{
    int taken = select_best(c, n);
    for (int i = 0; prefer && i < n; i++) {
        const bool good = c[i].against_best.verdict == COMPARE_NOT_WORSE || c[i].against_best.verdict == COMPARE_BETTER;
        if (good && !isnan(prefer[i]) && (isnan(prefer[taken]) || (higher ? prefer[i] > prefer[taken] : prefer[i] < prefer[taken])))
            taken = i;
    }
    return taken;
}
