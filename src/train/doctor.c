#include "train/doctor.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/stat.h"
#include "base/tree.h"

/* Tuned to nothing: ten robust standard deviations are never reached by batches of a text that is learned, and what one bad
 * sample, bit or kernel does is either far beyond or drowns in the noise. */
#define ODD_AT 10.0
#define LEAST_LOSS 0.01, 0.02            /* a deviation of losses: of the median, and in nats: a text learned by heart has next to none */
#define LEAST_SAMPLE 0.02, 0.04
#define LEAST_NORM 0, 0.2                /* of its logarithm: healthy steps have four times the usual norm now and then, most while the loss still falls fast */
#define WORSE 0.003                      /* of a loss: an update that goes too far */
#define PERIOD_MAX 13                    /* of a sample that repeats itself */
#define REPEAT_TOKENS 16
#define REPEAT_TIMES 8                   /* "he is dead, he is dead, he is dead" is none */
#define MIN_STEPS 32
#define MIN_NORMS 64                     /* those of the first steps are all alike, and unlike any later ones */
#define MIN_SAMPLES 128

void doctor_init(struct doctor *d)
{
    memset(d, 0, sizeof *d);
    d->first = d->best = NAN, d->last_good = -1, d->since_repeat = DOCTOR_STEPS;
}

/* ---- windows ---- */

static void add(struct doctor_window *w, int cap, double x)
{
    w->v[w->at] = x;
    w->at = (w->at + 1) % cap;
    w->n += w->n < cap;
}

static double median(double *v, int n)
{
    stat_sort(v, (size_t)n);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Of the last n values. */
static double recent_median(const struct doctor_window *w, int cap, int n)
{
    double v[DOCTOR_SAMPLES];
    for (int i = 0; i < n; i++)
        v[i] = w->v[(w->at - 1 - i + cap) % cap];
    return median(v, n);
}

struct spread { double middle, unit; };

/* unit: 1.4826 median absolute deviations, which of normal values is the standard deviation; at least `least`. */
static struct spread spread_of(const struct doctor_window *w, double least_share, double least)
{
    double v[DOCTOR_SAMPLES];
    memcpy(v, w->v, (size_t)w->n * sizeof *v);
    struct spread s = { median(v, w->n), 0 };
    for (int i = 0; i < w->n; i++)
        v[i] = fabs(v[i] - s.middle);
    s.unit = fmax(1.4826 * median(v, w->n), fmax(least, least_share * fabs(s.middle)));
    return s;
}

/* ---- samples ---- */

/* Keeps the DOCTOR_WORST by loss; sign 1: highest first, -1: lowest first. */
static void keep_worst(struct doctor_sample *list, int *n, struct doctor_sample s, double sign)
{
    int at = *n;
    while (at > 0 && sign * s.loss > sign * list[at - 1].loss)
        at--;
    if (at == DOCTOR_WORST)
        return;
    *n += *n < DOCTOR_WORST;
    memmove(list + at + 1, list + at, (size_t)(*n - at - 1) * sizeof *list);
    list[at] = s;
}

void doctor_sample(struct doctor_step *s, double loss, int64_t i_micro, int sequence, bool typical)
{
    const struct doctor_sample x = { isfinite(loss) ? loss : INFINITY, 0, i_micro, sequence };
    if (typical && s->n < DOCTOR_RECENT)
        s->first[s->n++] = loss;              /* the order of samples is random: the first ones are a fair draw */
    keep_worst(s->high, &s->n_high, x, 1);
    keep_worst(s->low, &s->n_low, x, -1);
}

void doctor_tokens(struct doctor_step *s, const int32_t *ids, int n, double loss, int64_t i_micro, int sequence)
{
    for (int period = 1; period <= PERIOD_MAX && n >= REPEAT_TOKENS + period && n >= REPEAT_TIMES * period; period++) {
        int same = 0;
        for (int i = period; i < n; i++)
            same += ids[i] == ids[i - period];
        if (10 * same < 9 * (n - period))
            continue;
        if (s->n_repeat < DOCTOR_WORST)
            s->repeat[s->n_repeat++] = (struct doctor_sample){ loss, 0, i_micro, sequence };
        return;
    }
}

void doctor_join(struct doctor_step *s, const struct doctor_step *b)
{
    for (int i = 0; i < b->n && s->n < DOCTOR_RECENT; i++)
        s->first[s->n++] = b->first[i];
    for (int i = 0; i < b->n_high; i++)
        keep_worst(s->high, &s->n_high, b->high[i], 1);
    for (int i = 0; i < b->n_low; i++)
        keep_worst(s->low, &s->n_low, b->low[i], -1);
    for (int i = 0; i < b->n_repeat && s->n_repeat < DOCTOR_WORST; i++)
        s->repeat[s->n_repeat++] = b->repeat[i];
}

static int judge_samples(struct doctor_sample *list, int n, struct spread s)
{
    int odd = 0;
    for (int i = 0; i < n; i++) {
        list[i].odd = (list[i].loss - s.middle) / s.unit;
        odd += fabs(list[i].odd) > ODD_AT;
    }
    return odd;
}

/* ---- judgement ---- */

struct doctor_opinion doctor_judge(const struct doctor *d, double loss, double norm, struct doctor_step *s)
{
    struct doctor_opinion o = { 0 };
    if (!isfinite(loss) || !isfinite(norm))
        o.odd |= ODD_BAD;
    if (d->loss.n >= MIN_STEPS) {
        const struct spread a = spread_of(&d->loss, LEAST_LOSS), b = spread_of(&d->norm, LEAST_NORM);
        o.loss = (loss - a.middle) / a.unit, o.norm = (log(norm) - b.middle) / b.unit;
        o.odd |= (o.loss > ODD_AT ? ODD_LOSS : 0) | (o.norm > ODD_AT && d->norm.n >= MIN_NORMS ? ODD_NORM : 0);
    }
    if (d->sample.n >= MIN_SAMPLES) {
        const struct spread a = spread_of(&d->sample, LEAST_SAMPLE);
        o.n_high = judge_samples(s->high, s->n_high, a);
        o.n_low = judge_samples(s->low, s->n_low, a);
        judge_samples(s->repeat, s->n_repeat, a);
    }
    while (o.n_high < s->n_high && isinf(s->high[o.n_high].loss))
        o.n_high++;
    o.odd |= (o.n_high || o.n_low ? ODD_SAMPLE : 0) | (s->n_repeat && d->since_repeat >= DOCTOR_STEPS ? ODD_REPEAT : 0);
    return o;
}

void doctor_take(struct doctor *d, double loss, double norm, const struct doctor_step *s)
{
    d->since_repeat = s->n_repeat ? 0 : d->since_repeat + (d->since_repeat < DOCTOR_STEPS);
    if (!isfinite(loss) || !isfinite(norm) || norm <= 0)
        return;
    add(&d->loss, DOCTOR_STEPS, loss);
    add(&d->norm, DOCTOR_STEPS, log(norm));
    for (int i = 0; i < s->n; i++)
        if (isfinite(s->first[i]))
            add(&d->sample, DOCTOR_SAMPLES, s->first[i]);
    if (d->loss.n < DOCTOR_RECENT)
        return;
    const double now = recent_median(&d->loss, DOCTOR_STEPS, DOCTOR_RECENT);
    if (isnan(d->first))
        d->first = d->best = now;
    d->best = fmin(d->best, now);
}

bool doctor_diverges(const struct doctor *d)
{
    if (d->loss.n < MIN_STEPS)
        return false;
    struct doctor_window last = { .n = DOCTOR_RECENT };
    for (int i = 0; i < last.n; i++)
        last.v[i] = d->loss.v[(d->loss.at - 1 - i + DOCTOR_STEPS) % DOCTOR_STEPS];
    const struct spread now = spread_of(&last, LEAST_LOSS);
    const double way = d->first - d->best;
    return now.middle > d->first + 0.25 + 3 * now.unit || (way > 0.5 && now.middle > d->best + way / 2 + now.unit);
}

bool doctor_rises(const struct doctor *d)
{
    if (d->loss.n < DOCTOR_STEPS)
        return false;
    const struct spread all = spread_of(&d->loss, LEAST_LOSS);
    return all.middle > d->best + 0.05 * (d->first - d->best) + 2 * all.unit;
}

bool doctor_overshoots(struct doctor *d, double before, double after)
{
    const bool worse = !(after <= before + WORSE * fabs(before));
    d->overshot = (d->overshot << 1 | worse) & ((1 << DOCTOR_TRIED) - 1);
    if (!worse || !(d->overshot & (d->overshot - 1)))
        return false;
    d->overshot = 0;
    return true;
}

/* ---- state ---- */

static json_t *write_window(const struct doctor_window *w, int cap)
{
    json_t *list = json_array();
    for (int i = 0; i < w->n; i++)                /* oldest first */
        json_array_append_new(list, json_real(w->v[(w->at - w->n + i + cap) % cap]));
    return list;
}

json_t *doctor_write(const struct doctor *d)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "loss", write_window(&d->loss, DOCTOR_STEPS), "norm", write_window(&d->norm, DOCTOR_STEPS), "sample",
                     write_window(&d->sample, DOCTOR_SAMPLES), "first", tree_number(d->first), "best",
                     tree_number(d->best), "last_good", (json_int_t)d->last_good, "overshot", (json_int_t)d->overshot,
                     "since_repeat", (json_int_t)d->since_repeat);
}

static int read_window(struct doctor_window *w, int cap, const json_t *o, const char *key, const char *where, struct err *err)
{
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list) || json_array_size(list) > (size_t)cap)
        return ERR(err, FORMAT, "%s: doctor.%s is not a list of at most %d numbers", where, key, cap);
    size_t i;
    json_t *x;
    json_array_foreach(list, i, x) {
        if (!json_is_number(x))
            return ERR(err, FORMAT, "%s: doctor.%s has a value that is no number", where, key);
        add(w, cap, json_number_value(x));
    }
    return 0;
}

static double number_or_nan(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

int doctor_read(struct doctor *d, const json_t *o, const char *where, struct err *err)
{
    doctor_init(d);
    if (!o)
        return 0;
    TRY(read_window(&d->loss, DOCTOR_STEPS, o, "loss", where, err));
    TRY(read_window(&d->norm, DOCTOR_STEPS, o, "norm", where, err));
    TRY(read_window(&d->sample, DOCTOR_SAMPLES, o, "sample", where, err));
    d->first = number_or_nan(o, "first"), d->best = number_or_nan(o, "best");
    TRY(tree_int(o, "last_good", -1, -1, INT64_MAX, &d->last_good, where, err));
    TRY(tree_int(o, "since_repeat", DOCTOR_STEPS, 0, DOCTOR_STEPS, &d->since_repeat, where, err));
    return tree_int(o, "overshot", 0, 0, (1 << DOCTOR_TRIED) - 1, &d->overshot, where, err);
}
