#include "infer/probs.h"
#include <math.h>

int probs_largest(const float *x, int V, double *log_sum)
{
    int best = 0;
    double sum = 0;
    for (int i = 1; i < V; i++)
        best = x[i] > x[best] ? i : best;
    for (int i = 0; i < V; i++)
        sum += exp((double)x[i] - (double)x[best]);
    *log_sum = log(sum);
    return best;
}

void token_probs(const float *x, int V, int32_t id, int n, struct token_prob *prob)
{
    double lse;
    const int best = probs_largest(x, V, &lse);
    int have = 0;
    lse += (double)x[best];
    prob[0] = (struct token_prob){ id, (float)((double)x[id] - lse) };
    for (int i = 0; i < V && n; i++) {
        if (have == n && x[i] <= prob[n].logprob)
            continue;
        int k = have < n ? ++have : n;           /* by logits until the end */
        for (; k > 1 && prob[k - 1].logprob < x[i]; k--)
            prob[k] = prob[k - 1];
        prob[k] = (struct token_prob){ i, x[i] };
    }
    for (int k = 1; k <= n; k++)
        prob[k].logprob = (float)((double)prob[k].logprob - lse);
}
