#include "eval/stream.h"
#include <math.h>

/* ---- ADWIN ---- */

int adwin_init(struct adwin *a, const struct adwin_opts *o, struct err *err)
{
    *a = (struct adwin){ .o = *o, .n_level = 1 };
    struct adwin_opts *p = &a->o;
    p->delta = p->delta != 0 ? p->delta : 0.002;
    p->clock = p->clock ? p->clock : 32;
    p->max_buckets = p->max_buckets ? p->max_buckets : 5;
    p->min_window = p->min_window ? p->min_window : 5;
    p->grace = p->grace ? p->grace : 10;
    if (!(p->delta > 0 && p->delta < 1))
        return ERR(err, RANGE, "delta %g, expected more than 0 and less than 1", p->delta);
    if (p->clock < 1 || p->max_buckets < 2 || p->max_buckets > ADWIN_BUCKETS || p->min_window < 1 || p->grace < 1)
        return ERR(err, RANGE, "clock %d, %d buckets, windows of %d, grace %d; expected 1 and more, 2 to %d, 1 and more, 1 and more", p->clock, p->max_buckets,
                   p->min_window, p->grace, ADWIN_BUCKETS);
    return 0;
}

/* What two groups of n and m values with these sums add to the deviations when they become one. */
static double between(double n, double total_n, double m, double total_m)
{
    const double d = total_n / n - total_m / m;
    return n * m * d * d / (n + m);
}

static void drop_oldest(struct adwin_level *l, int n)
{
    l->n -= n;
    for (int i = 0; i < l->n; i++)
        l->bucket[i] = l->bucket[i + n];
}

/* A size with one bucket too many gives its two oldest, as one, to the next. */
static void merge_buckets(struct adwin *a)
{
    for (int i = 0; i < ADWIN_LEVELS - 1 && a->level[i].n > a->o.max_buckets; i++) {
        struct adwin_level *l = &a->level[i], *next = &a->level[i + 1];
        const double n = ldexp(1, i);
        next->bucket[next->n].total = l->bucket[0].total + l->bucket[1].total;
        next->bucket[next->n].deviation = l->bucket[0].deviation + l->bucket[1].deviation + between(n, l->bucket[0].total, n, l->bucket[1].total);
        next->n++;
        drop_oldest(l, 2);
        a->n_level = a->n_level < i + 2 ? i + 2 : a->n_level;
    }
}

static void insert(struct adwin *a, double value)
{
    struct adwin_level *first = &a->level[0];
    if (a->width > 0)
        a->deviation += between(1, value, (double)a->width, a->total);
    a->width++;
    a->total += value;
    first->bucket[first->n].total = value, first->bucket[first->n].deviation = 0;
    first->n++;
    merge_buckets(a);
}

static void forget_oldest(struct adwin *a)
{
    struct adwin_level *l = &a->level[a->n_level - 1];
    const double n = ldexp(1, a->n_level - 1), total = l->bucket[0].total;
    a->width -= (int64_t)1 << (a->n_level - 1);
    a->total -= total;
    a->deviation -= l->bucket[0].deviation + between(n, total, (double)a->width, a->total);
    drop_oldest(l, 1);
    while (a->n_level > 1 && a->level[a->n_level - 1].n == 0)
        a->n_level--;
}

static bool differs(const struct adwin *a, double n0, double total0)
{
    const double n1 = (double)a->width - n0, least = a->o.min_window;
    if (n0 < least || n1 < least)
        return false;
    const double log_term = log(2 * log((double)a->width) / a->o.delta), m = 1 / (n0 - least + 1) + 1 / (n1 - least + 1);
    const double bound = sqrt(2 * m * fmax(a->deviation, 0) / (double)a->width * log_term) + 2.0 / 3 * log_term * m;
    return fabs(total0 / n0 - (a->total - total0) / n1) > bound;
}

/* Is there a cut, older | newer, whose sides differ? */
static bool has_cut(const struct adwin *a)
{
    double n0 = 0, total0 = 0;
    for (int i = a->n_level - 1; i >= 0; i--)
        for (int k = 0; k < a->level[i].n - a->o.skip_newest; k++) {
            n0 += ldexp(1, i);
            total0 += a->level[i].bucket[k].total;
            if (differs(a, n0, total0))
                return true;
        }
    return false;
}

int adwin_add(struct adwin *a, double value, bool *changed, struct err *err)
{
    *changed = false;
    if (!isfinite(value))
        return ERR(err, NUMERIC, "a value of the stream is %g, expected a finite number", value);
    if (a->detected) {
        const struct adwin_opts o = a->o;
        *a = (struct adwin){ .o = o, .n_level = 1 };
    }
    insert(a, value);
    if (++a->n_seen % a->o.clock == 0 && a->width > a->o.grace)
        for (; a->width > 1 && has_cut(a); *changed = true)
            forget_oldest(a);
    a->detected = *changed;
    return 0;
}

/* ---- Page-Hinkley ---- */

static void page_hinkley_begin(struct page_hinkley *p)
{
    const struct page_hinkley_opts o = p->o;
    *p = (struct page_hinkley){ .o = o };
}

int page_hinkley_init(struct page_hinkley *p, const struct page_hinkley_opts *o, struct err *err)
{
    p->o = *o;
    p->o.min_values = o->min_values ? o->min_values : 30;
    p->o.delta = o->delta != 0 ? o->delta : 0.005;
    p->o.threshold = o->threshold != 0 ? o->threshold : 50;
    p->o.forget = o->forget != 0 ? o->forget : 0.9999;
    page_hinkley_begin(p);
    if (p->o.min_values < 1 || !(p->o.delta >= 0) || !(p->o.threshold > 0) || !(p->o.forget > 0 && p->o.forget <= 1))
        return ERR(err, RANGE, "%d values, delta %g, threshold %g, forgetting %g; expected 1 and more, 0 and more, more than 0, up to 1", p->o.min_values,
                   p->o.delta, p->o.threshold, p->o.forget);
    return 0;
}

int page_hinkley_add(struct page_hinkley *p, double value, bool *changed, struct err *err)
{
    *changed = false;
    if (!isfinite(value))
        return ERR(err, NUMERIC, "a value of the stream is %g, expected a finite number", value);
    if (p->detected)
        page_hinkley_begin(p);
    p->n++;
    p->mean += (value - p->mean) / (double)p->n;
    const double d = value - p->mean;
    p->up = fmax(0, p->o.forget * p->up + d - p->o.delta);
    p->down = fmax(0, p->o.forget * p->down - d - p->o.delta);
    p->detected = *changed = p->n >= p->o.min_values && (p->up > p->o.threshold || (p->o.two_sided && p->down > p->o.threshold));
    return 0;
}
