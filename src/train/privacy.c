#include "train/privacy.h"
#include <math.h>
#include <string.h>
#include "base/tree.h"
#include "train/prv.h"
#include "train/rdp.h"

#define EPS_ERROR 0.01        /* of the composed losses, and of smaller epsilons this share */
#define CLOSE 0.002           /* the noise found spends at least this close to the target, as a share of it */

const char privacy_text[] =
    "With a section privacy training is DP-SGD: each record (of a text, each window of ctx tokens; a pair of answers; a text or\n"
    "image with its class) is taken into a step by itself with probability batch * accumulate / records, its gradient is clipped\n"
    "to max_grad_norm, and noise is added to the sum, so that the weights hardly tell whether a record was there: (epsilon,\n"
    "delta)-differential privacy towards one record that is added or removed.  noise_multiplier gives the noise, or\n"
    "target_epsilon lets it be found.  What is spent, the smaller of two upper bounds (Renyi divergences, and privacy losses\n"
    "composed by Fourier transforms), is shown at each step, and stands in OUT/privacy.json at the end.  Not covered are a\n"
    "tokenizer learned from the same text, the names of classes, means and deviations of images' channels, held-out evaluation,\n"
    "and metrics (loss, records taken and clipped): publish the model's files only, as OUT/data holds the records themselves.\n"
    "train.seed must be given: who knows it can take the noise out again.  Epsilons of runs over the same records add up.  Router\n"
    "losses are those of each record by itself.  batch * accumulate should be large, hundreds or more; train.clip is 0 unless\n"
    "given, and train.slices 1: several processes need as many.  train.mixup is refused, as a record's gradient would be\n"
    "another's too.\n";

void privacy_defaults(struct privacy *p)
{
    *p = (struct privacy){ .max_grad_norm = 1, .sampling = "poisson", .clipping = "auto" };
}

void privacy_keys(struct privacy *p, struct opt keys[])
{
    const struct opt k[] = {
        { OPT_FLOAT, "noise_multiplier", &p->noise_multiplier, "<float>", "standard deviation of the noise on the sum of gradients, in units of max_grad_norm", 0, 1e6 },
        { OPT_FLOAT, "target_epsilon", &p->target_epsilon, "<float>", "the noise is chosen so that the whole run spends at most this; instead of noise_multiplier", 1e-6, 1e6 },
        { OPT_FLOAT, "delta", &p->delta, "<float>", "what epsilon is spent at: well below 1 / number of records; must be given", 1e-30, 0.5 },
        { OPT_FLOAT, "max_grad_norm", &p->max_grad_norm, "<float>", "a record's gradient is clipped to this norm", 1e-30, 1e30 },
        { OPT_CHOICE, "clipping", &p->clipping, "auto|ghost|records", "ghost: records of up to 256 tokens share a batch, their norms are found first; records: each by itself; auto: ghost up to 32 tokens", 0, 0 },
        { OPT_CHOICE, "sampling", &p->sampling, "poisson", "each record is taken or not by itself; the accounting holds for nothing else", 0, 0 },
        { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
    };
    memcpy(keys, k, sizeof k);
}

int privacy_read(struct privacy *p, json_t *section, const char *where, struct err *err)
{
    struct opt keys[16];
    privacy_keys(p, keys);
    p->noise_given = json_object_get(section, "noise_multiplier") != NULL;
    const bool target_given = json_object_get(section, "target_epsilon") != NULL;
    if (p->noise_given == target_given)
        return ERR(err, USAGE, "%s: %s, expected one of them", where, target_given ? "noise_multiplier and target_epsilon are both given" : "neither noise_multiplier nor target_epsilon is given");
    if (!json_object_get(section, "delta"))
        return ERR(err, USAGE, "%s: delta is missing: a probability well below 1 / number of records", where);
    TRY(tree_read(section, keys, where, err));
    p->on = true;
    return 0;
}

int privacy_curve(double rate, double noise, double steps, double delta, int n, double epsilon[], struct err *err)
{
    struct rdp r;
    struct prv *p;
    rdp_init(&r, rate, noise);
    for (int i = 0; i < n; i++)
        epsilon[i] = rdp_epsilon(&r, ceil(steps * (i + 1) / n), delta);
    if (!(epsilon[n - 1] > 0) || isinf(epsilon[n - 1]))
        return 0;
    const int rc = prv_new(&p, rate, noise, steps, delta, EPS_ERROR * fmin(1, epsilon[n - 1]), err);
    if (rc == ERR_RANGE)      /* the divergences are a bound as well */
        return 0;
    TRY(rc);
    for (int i = 0; i < n; i++)
        epsilon[i] = fmin(epsilon[i], prv_epsilon(p, ceil(steps * (i + 1) / n), NULL));
    prv_free(p);
    return 0;
}

int privacy_epsilon(double rate, double noise, double steps, double delta, double *epsilon, struct err *err)
{
    return privacy_curve(rate, noise, steps, delta, 1, epsilon, err);
}

/* By divergences alone, which cost little: enough noise, to begin from. */
static double enough_noise(double rate, double epsilon, double steps, double delta)
{
    struct rdp r;
    double low = 0, high = 0.5;
    for (;;) {
        rdp_init(&r, rate, high);
        if (rdp_epsilon(&r, steps, delta) <= epsilon || high >= PRIVACY_NOISE_MAX)
            break;
        low = high;
        high *= 2;
    }
    for (int i = 0; i < 12; i++) {
        const double mid = (low + high) / 2;
        rdp_init(&r, rate, mid);
        if (rdp_epsilon(&r, steps, delta) <= epsilon)
            high = mid;
        else
            low = mid;
    }
    return high;
}

int privacy_noise(double rate, double epsilon, double steps, double delta, double *noise, struct err *err)
{
    double low = 0, high = enough_noise(rate, epsilon, steps, delta), spent;
    TRY(privacy_epsilon(rate, high, steps, delta, &spent, err));
    if (!(spent <= epsilon))
        return ERR(err, USAGE, "epsilon %g over %.0f steps that take %.3g of the records each needs a noise_multiplier over %g; expected fewer steps, a smaller batch, more records, or a larger epsilon or delta",
                   epsilon, steps, rate, PRIVACY_NOISE_MAX);
    /* Epsilon falls about as a power of the noise, which the last two tries tell: a secant that aims inside what is close enough, kept
     * between the bounds that are known. */
    double power = 1.5, at = high, at_spent = spent;
    while (spent < epsilon * (1 - CLOSE) && high - low > 1e-6 * high) {
        double next = at * pow(at_spent / (epsilon * (1 - CLOSE / 2)), 1 / power), e;
        if (!(next > low && next < high))
            next = (low + high) / 2;
        TRY(privacy_epsilon(rate, next, steps, delta, &e, err));
        power = fmin(8, fmax(0.5, log(e / at_spent) / log(at / next)));
        at = next, at_spent = e;
        if (e <= epsilon)
            high = next, spent = e;
        else
            low = next;
    }
    *noise = high;
    return 0;
}
