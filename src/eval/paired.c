#include "eval/paired.h"
#include <math.h>
#include "eval/dist.h"
#include "eval/interval.h"

int64_t paired_n(const struct paired_counts *k) { return k->both + k->b + k->c + k->neither; }

struct paired_counts paired_count(const uint8_t *old, const uint8_t *new, int64_t n)
{
    int64_t count[2][2] = { 0 };
    for (int64_t i = 0; i < n; i++)
        count[old[i] != 0][new[i] != 0]++;
    return (struct paired_counts){ count[1][1], count[1][0], count[0][1], count[0][0] };
}

int paired_mcnemar(int64_t b, int64_t c, struct paired_test *out, struct err *err)
{
    const int64_t limit = DIST_MAX / 8;
    if (b < 0 || c < 0 || b > limit || c > limit)
        return ERR(err, RANGE, "discordant counts %lld and %lld, expected 0 to 10^13", (long long)b, (long long)c);
    const int64_t m = b + c, least = b < c ? b : c;
    const double tail = dist_binom_cdf(least, m, 0.5);
    out->exact = (b > c ? b - c : c - b) <= 1 ? 1 : fmin(1, 2 * tail);
    out->mid_p = fmin(1, 2 * tail - dist_binom_pmf(least, m, 0.5));
    out->worse = dist_binom_sf(b - 1, m, 0.5);
    return 0;
}

static int check_counts(const struct paired_counts *k, struct err *err)
{
    const int64_t limit = DIST_MAX / 8;
    if (k->both < 0 || k->b < 0 || k->c < 0 || k->neither < 0 || k->both > limit || k->b > limit || k->c > limit || k->neither > limit)
        return ERR(err, RANGE, "counts %lld, %lld, %lld, %lld of pairs, expected 0 to 10^13", (long long)k->both, (long long)k->b, (long long)k->c, (long long)k->neither);
    return 0;
}

static int check_level(double level, struct err *err)
{
    return level > 0 && level < 1 ? 0 : ERR(err, RANGE, "level %g, expected more than 0 and less than 1", level);
}

/* ---- intervals ---- */

/* Tango's statistic at a difference d >= 0; for d < 0 b and c change places, and so does the sign. */
static double score_at(double b, double c, double n, double d)
{
    if (d < 0)
        return -score_at(c, b, n, -d);
    const double A = 2 * n, B = (2 * n - b + c) * d - b - c, C = -c * d * (1 - d), root = sqrt(fmax(B * B - 4 * A * C, 0));
    const double q = B > 0 ? (B + root > 0 ? -2 * C / (B + root) : 0) : (root - B) / (2 * A);
    const double variance = n * (2 * q + d * (1 - d)), above = b - c - n * d;
    return variance > 0 ? above / sqrt(variance) : above > 0 ? INFINITY : above < 0 ? -INFINITY : 0;
}

/* Where the statistic, which falls with d, passes z, between low and high. */
static double score_root(const struct paired_counts *k, double z, double low, double high)
{
    for (int i = 0; i < 200; i++) {
        const double d = low + (high - low) / 2;
        if (d <= low || d >= high)
            break;
        *(score_at((double)k->b, (double)k->c, (double)paired_n(k), d) > z ? &low : &high) = d;
    }
    return low + (high - low) / 2;
}

int paired_tango(const struct paired_counts *k, double level, double ci[2], struct err *err)
{
    TRY(check_counts(k, err));
    TRY(check_level(level, err));
    ci[0] = -1, ci[1] = 1;
    const int64_t n = paired_n(k);
    if (n == 0)
        return 0;
    const double z = -dist_normal_quantile((1 - level) / 2), loss = (double)(k->b - k->c) / (double)n;
    if (k->c < n)
        ci[0] = score_root(k, z, -1, loss);
    if (k->b < n)
        ci[1] = score_root(k, -z, loss, 1);
    return 0;
}

/* Of the two outcomes; 0 where one model has all or none right. */
static double correlation(const struct paired_counts *k)
{
    const double n = (double)paired_n(k), both = (double)k->both, b = (double)k->b, c = (double)k->c, neither = (double)k->neither;
    const double sides = sqrt(both + b) * sqrt(c + neither) * sqrt(both + c) * sqrt(b + neither), cross = both * neither - b * c;
    return sides > 0 ? (cross > 0 ? fmax(cross - n / 2, 0) : cross) / sides : 0;
}

int paired_newcombe(const struct paired_counts *k, double level, double ci[2], struct err *err)
{
    TRY(check_counts(k, err));
    TRY(check_level(level, err));
    ci[0] = -1, ci[1] = 1;
    const int64_t n = paired_n(k);
    if (n == 0)
        return 0;
    const double N = (double)n, p_old = (double)(k->both + k->b) / N, p_new = (double)(k->both + k->c) / N, phi = correlation(k);
    double old[2], new[2];
    TRY(interval_wilson(k->both + k->b, n, level, old, err));
    TRY(interval_wilson(k->both + k->c, n, level, new, err));
    const double x = p_old - old[0], y = new[1] - p_new, v = old[1] - p_old, w = p_new - new[0], loss = (double)(k->b - k->c) / N;
    ci[0] = fmax(loss - sqrt(fmax(x * x - 2 * phi * x * y + y * y, 0)), -1);
    ci[1] = fmin(loss + sqrt(fmax(v * v - 2 * phi * v * w + w * w, 0)), 1);
    return 0;
}

/* ---- power ---- */

/* P(X <= k) and P(X = k) of m trials, taken along as m and k grow by one: a few operations each, and afresh after some, so that
 * rounding does not add up. */
struct along { int64_t m, k; double p, cdf, pmf; int steps; };
enum { AFRESH = 512 };

static void along_afresh(struct along *a)
{
    a->cdf = dist_binom_cdf(a->k, a->m, a->p), a->pmf = dist_binom_pmf(a->k, a->m, a->p);
    a->steps = 0;
}

static void along_m(struct along *a)
{
    a->cdf -= a->p * a->pmf;
    a->pmf *= (double)(a->m + 1) / (double)(a->m + 1 - a->k) * (1 - a->p);
    a->m++;
    if (++a->steps == AFRESH)
        along_afresh(a);
}

static void along_k(struct along *a)
{
    a->k++;
    if (a->k == 0 || a->p == 0 || a->p == 1) {
        along_afresh(a);
        return;
    }
    a->pmf *= (double)(a->m - a->k + 1) / (double)a->k * (a->p / (1 - a->p));
    a->cdf += a->pmf;
}

/* The p-value of k in m, k + 1 taken: may c be k + 1 and the test still reject? */
static bool rejects_next(const struct along *null, const struct paired_plan *plan)
{
    if (2 * (null->k + 1) >= null->m)
        return false;
    struct along next = *null;
    along_k(&next);
    return 2 * next.cdf - (plan->mid_p ? next.pmf : 0) <= plan->alpha * (1 + 1e-12);
}

static int check_plan(const struct paired_plan *p, struct err *err)
{
    if (p->n < 0 || p->n > 1000000000)
        return ERR(err, RANGE, "%lld items, expected 0 to 10^9", (long long)p->n);
    if (!(p->discordant >= 0 && p->discordant <= 1))
        return ERR(err, RANGE, "a share of discordant items of %g, expected 0 to 1", p->discordant);
    return check_level(p->alpha, err);
}

static double power_of(const struct paired_plan *plan, double loss)
{
    if (plan->discordant == 0)
        return 0;
    const double n = (double)plan->n, mean = n * plan->discordant, reach = 9.2 * sqrt(mean * (1 - plan->discordant)) + 30;
    const int64_t first = mean > reach ? (int64_t)(mean - reach) : 0, last = mean + reach < n ? (int64_t)(mean + reach) : plan->n;
    struct along null = { .m = first, .k = -1, .p = 0.5 }, true_c = { .m = first, .k = -1, .p = (1 - loss / plan->discordant) / 2 };
    const int64_t guess = dist_binom_quantile(plan->alpha / 2, first, 0.5);
    null.k = true_c.k = guess - 3 > -1 ? guess - 3 : -1;
    along_afresh(&null);
    along_afresh(&true_c);
    double sum = 0;
    for (int64_t m = first; m <= last; m++) {
        while (rejects_next(&null, plan))
            along_k(&null), along_k(&true_c);
        sum += dist_binom_pmf(m, plan->n, plan->discordant) * true_c.cdf;
        along_m(&null), along_m(&true_c);
    }
    return fmin(sum, 1);
}

int paired_power(const struct paired_plan *plan, double loss, double *power, struct err *err)
{
    TRY(check_plan(plan, err));
    if (!(fabs(loss) <= plan->discordant))
        return ERR(err, RANGE, "a loss of %g, expected at most the share of discordant items, %g", loss, plan->discordant);
    *power = power_of(plan, loss);
    return 0;
}

int paired_mde(const struct paired_plan *plan, double power, double *loss, struct err *err)
{
    TRY(check_plan(plan, err));
    TRY(check_level(power, err));
    *loss = NAN;
    if (!(power_of(plan, plan->discordant) >= power))
        return 0;
    double low = 0, high = plan->discordant;
    for (int i = 0; i < 40; i++) {
        const double d = (low + high) / 2;
        *(power_of(plan, d) < power ? &low : &high) = d;
    }
    *loss = high;
    return 0;
}

int paired_judge(const struct paired_counts *k, double margin, double alpha, struct paired_judgement *out, struct err *err)
{
    *out = (struct paired_judgement){ .verdict = PAIRED_UNDERPOWERED, .mde = NAN };
    if (!(margin >= 0 && margin <= 1))
        return ERR(err, RANGE, "a margin of %g, expected 0 to 1", margin);
    if (!(alpha > 0 && alpha < 0.5))
        return ERR(err, RANGE, "alpha %g, expected more than 0 and less than 0.5", alpha);
    double both_sides[2];
    TRY(paired_tango(k, 1 - alpha, out->tango, err));
    TRY(paired_newcombe(k, 1 - alpha, out->newcombe, err));
    TRY(paired_tango(k, 1 - 2 * alpha, both_sides, err));
    TRY(paired_mcnemar(k->b, k->c, &out->test, err));
    const int64_t n = paired_n(k);
    out->upper = both_sides[1];
    if (n == 0)
        return 0;
    out->loss = (double)(k->b - k->c) / (double)n;
    out->worse = out->test.exact <= alpha && k->b > k->c;
    out->not_worse = out->upper < margin;
    out->verdict = out->not_worse ? PAIRED_NOT_WORSE : out->worse ? PAIRED_WORSE : PAIRED_UNDERPOWERED;
    const struct paired_plan plan = { n, (double)(k->b + k->c) / (double)n, alpha, false };
    return n <= 1000000000 ? paired_mde(&plan, 0.8, &out->mde, err) : 0;
}
