#include "plan/workload.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"

static const double shares[LENGTHS_POINTS] = { 0, .01, .05, .1, .15, .2, .25, .3, .35, .4, .45, .5, .55, .6, .65, .7, .75, .8, .85, .9, .95, .98, .99, .995, .999, 1 };

#define PRESET(id, name, arrival, cv, groups, prefix, source)
#define PROMPT(id, ...) static const int32_t prompt_##id[] = { __VA_ARGS__ };
#define OUTPUT(id, ...) static const int32_t output_##id[] = { __VA_ARGS__ };
#include "plan/workload.def"
#undef PRESET
#undef PROMPT
#undef OUTPUT
#define LENGTHS_OF(v) { .kind = LENGTHS_EMPIRICAL, .value = v, .n = sizeof v / sizeof *v }
static const struct workload presets[] = {
#define PRESET(id, name_, arrival_, cv_, groups, tokens_, source_)                                                                   \
    { .name = name_, .source = source_, .arrival = arrival_, .cv = cv_, .burst = 1, .at_once = (arrival_) == ARRIVAL_BURST,          \
      .prompt = LENGTHS_OF(prompt_##id), .output = LENGTHS_OF(output_##id), .prefix = { .n = groups, .tokens = tokens_ } },
#define PROMPT(id, ...)
#define OUTPUT(id, ...)
#include "plan/workload.def"
#undef PRESET
#undef PROMPT
#undef OUTPUT
};
enum { N_PRESET = sizeof presets / sizeof *presets };

const struct workload *workload_preset(int i) { return i >= 0 && i < N_PRESET ? &presets[i] : NULL; }

int workload_find(struct workload *out, const char *name, struct err *err)
{
    char names[200] = "";
    for (int i = 0; i < N_PRESET; i++) {
        if (!strcmp(presets[i].name, name)) {
            *out = presets[i];
            return 0;
        }
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", presets[i].name);
    }
    return ERR(err, NOTFOUND, "there is no workload '%.60s', expected one of %s", name, names);
}

/* ---- lengths ---- */

static bool is_length(double x) { return x >= 1 && x <= LENGTH_MOST; }

int lengths_parse(struct lengths *out, const char *text, struct err *err)
{
    double a = 0, b = 0;
    int end = 0;
    const bool log = sscanf(text, "lognormal:%lf,%lf%n", &a, &b, &end) == 2 && !text[end];
    end = log ? end : 0;
    const bool range = !log && sscanf(text, "%lf-%lf%n", &a, &b, &end) == 2 && !text[end];
    end = log || range ? end : 0;
    const bool one = !log && !range && sscanf(text, "%lf%n", &a, &end) == 1 && !text[end];
    *out = (struct lengths){ log ? LENGTHS_LOGNORMAL : range ? LENGTHS_UNIFORM : LENGTHS_FIXED, .a = a, .b = one ? 0 : b };
    if (!(log || range || one) || !is_length(a) || (range && !(b >= a && is_length(b))) || (log && !(b >= 0 && b <= 5)))
        return ERR(err, USAGE, "lengths '%.60s', expected tokens as 1000, a range as 200-400, or lognormal:MEDIAN,DEVIATION (of the logarithm, 0 to 5)", text);
    return 0;
}

static double share_at(const struct lengths *l, int i) { return l->n == LENGTHS_POINTS ? shares[i] : (double)i / (l->n - 1); }

static double empirical(const struct lengths *l, double u)
{
    int i = 0;
    if (l->n == 1)
        return l->value[0];
    if (l->n != LENGTHS_POINTS)
        i = (int)(u * (l->n - 1));
    else
        while (i + 2 < l->n && shares[i + 1] <= u)
            i++;
    const double from = share_at(l, i), width = share_at(l, i + 1) - from;
    return l->value[i] + (l->value[i + 1] - l->value[i]) * (u - from) / width;
}

static int clipped(const struct lengths *l, double x)
{
    const int most = l->most > 0 ? l->most : LENGTH_MOST;
    return x < 1 ? 1 : x < most ? (int)lround(x) : most;
}

static int draw(const struct lengths *l, uint64_t key, uint64_t i)
{
    switch (l->kind) {
    case LENGTHS_FIXED: return clipped(l, l->a);
    case LENGTHS_UNIFORM: return clipped(l, floor(l->a + rng_uniform(key, i) * (l->b - l->a + 1)));
    case LENGTHS_LOGNORMAL: return clipped(l, l->a * exp(l->b * rng_normal(key, i)));
    default: return clipped(l, empirical(l, rng_uniform(key, i)));
    }
}

/* Without rounding and clipping, but for the empirical ones exactly that of their line. */
double lengths_mean(const struct lengths *l)
{
    if (l->kind == LENGTHS_FIXED)
        return clipped(l, l->a);
    if (l->kind != LENGTHS_EMPIRICAL)
        return l->kind == LENGTHS_UNIFORM ? (l->a + l->b) / 2 : l->a * exp(l->b * l->b / 2);
    double sum = l->n == 1 ? l->value[0] : 0;
    for (int i = 0; i + 1 < l->n; i++)
        sum += (share_at(l, i + 1) - share_at(l, i)) * (clipped(l, l->value[i]) + clipped(l, l->value[i + 1])) / 2;
    return sum;
}

void workload_means(const struct workload *w, double *prompt, double *output)
{
    *prompt = lengths_mean(&w->prompt), *output = lengths_mean(&w->output);
    if (!w->trace)
        return;
    *prompt = *output = 0;
    for (int i = 0; i < w->n_trace; i++)
        *prompt += (double)w->trace[i].input / w->n_trace, *output += (double)w->trace[i].output / w->n_trace;
}

/* ---- requests ---- */

int64_t workload_n(const struct workload *w) { return w->n ? w->n : w->n_trace; }

/* The row of request i of a trace, counted on over its rounds. */
static int64_t place(const struct workload *w, int64_t i) { return i * (w->every > 0 ? w->every : 1); }

struct request workload_request(const struct workload *w, int64_t i)
{
    struct request r = { .group = -1 };
    const uint64_t k = (uint64_t)i;
    if (w->trace) {
        const uint64_t row = w->trace_times ? (uint64_t)place(w, i) % (uint64_t)w->n_trace : rng_below(w->seed ^ 0x7ace, k, (uint64_t)w->n_trace);
        r.prompt = w->trace[row].input, r.output = w->trace[row].output;
    } else
        r.prompt = draw(&w->prompt, w->seed ^ 0x9a3e, k), r.output = draw(&w->output, w->seed ^ 0x0a75, k);
    const double share = w->prefix.share > 0 ? w->prefix.share : 1;
    if (w->prefix.n > 0 && (share >= 1 || rng_uniform(w->seed ^ 0x5a7e, k) < share)) {
        r.group = w->prefix.n == 1 ? 0 : (int)rng_below(w->seed ^ 0x6a0b, k, (uint64_t)w->prefix.n);
        r.prefix = w->prefix.tokens < r.prompt ? w->prefix.tokens : r.prompt - 1;
    }
    return r;
}

double workload_means_within(const struct workload *w, int ctx, double tokens, double *prompt, double *output)
{
    const int64_t n = w->trace ? w->n_trace : WORKLOAD_LOOKED;
    int64_t within = 0, whole = 0;
    double in = 0, out = 0;
    for (int64_t i = 0; i < n; i++) {
        const struct request r = w->trace ? (struct request){ .prompt = w->trace[i].input, .output = w->trace[i].output } : workload_request(w, i);
        const int64_t all = r.prompt + (int64_t)r.output, room = all < ctx ? all : ctx, answer = r.output < ctx - r.prompt + 1 ? r.output : ctx - r.prompt + 1;
        if (r.prompt > ctx || (double)room > tokens)
            continue;
        within++, whole += answer == r.output, in += r.prompt, out += (double)answer;
    }
    if (whole == n)
        workload_means(w, prompt, output);
    else
        *prompt = within ? in / (double)within : 0, *output = within ? out / (double)within : 0;
    return (double)within / (double)n;
}

void workload_times_init(struct workload_times *t, const struct workload *w)
{
    *t = (struct workload_times){ .w = w };
    arrivals_init(&t->a, w->arrival, w->rate, w->burst > 0 ? w->burst : 1, w->cv, w->seed);
}

double workload_next(struct workload_times *t)
{
    const struct workload *w = t->w;
    const int64_t i = t->i++;
    if (w->at_once)
        return 0;
    if (!w->trace_times)
        return arrivals_next(&t->a);
    /* Again and again: a gap as the mean one lies between two rounds. */
    const double whole = w->trace[w->n_trace - 1].at * (w->n_trace > 1 ? (double)w->n_trace / (w->n_trace - 1) : 1);
    const int64_t j = place(w, i);
    return (w->trace[j % w->n_trace].at + (double)(j / w->n_trace) * whole) / (w->speed > 0 ? w->speed : 1);
}

/* ---- what cannot be ---- */

static int check_lengths(const struct lengths *l, const char *what, struct err *err)
{
    bool ok = l->most >= 0 && (l->kind == LENGTHS_EMPIRICAL ? l->n >= 1 && l->value : is_length(l->a));
    ok = ok && (l->kind != LENGTHS_UNIFORM || (l->b >= l->a && is_length(l->b))) && (l->kind != LENGTHS_LOGNORMAL || (l->b >= 0 && l->b <= 5));
    for (int i = 0; ok && l->kind == LENGTHS_EMPIRICAL && i < l->n; i++)
        ok = is_length(l->value[i]) && (!i || l->value[i] >= l->value[i - 1]);
    return ok ? 0 : ERR(err, RANGE, "the lengths of %s: expected 1 to %d tokens, ascending", what, LENGTH_MOST);
}

static int check_targets(const struct targets *t, struct err *err)
{
    if (!(t->ttft >= 0 && t->tpot >= 0 && t->e2e >= 0))
        return ERR(err, RANGE, "targets of %g s to the first token, %g s for each one after it, %g s in all, expected positive ones, or 0 for none", t->ttft, t->tpot, t->e2e);
    if (t->e2e > 0 && t->ttft > t->e2e)
        return ERR(err, USAGE, "targets that contradict each other: the first token may take %g s, the whole answer %g s", t->ttft, t->e2e);
    return 0;
}

static int check_arrivals(const struct workload *w, struct err *err)
{
    if (w->users > 0)
        return w->ramp >= 0 && w->ramp <= 1e9 && w->think >= 0 && w->think <= 1e9 && w->way >= 0 && w->way <= 1e9 ? 0 :
               ERR(err, RANGE, "%g s in which users begin, %g s between an answer and the next request, %g s on its way, expected 0 or more", w->ramp, w->think, w->way);
    if (w->trace_times)
        return w->speed >= 0 && w->speed <= 1e9 ? 0 : ERR(err, RANGE, "a trace %g times as fast, expected more than 0", w->speed);
    if (!w->at_once && !(w->rate > 0 && w->rate <= 1e9))
        return ERR(err, RANGE, "%g requests a second, expected more than 0", w->rate);
    if (!(w->cv >= 0 && w->cv <= 100))
        return ERR(err, RANGE, "a coefficient of variation of %g, expected 0 (even) to 100; 1 is Poisson", w->cv);
    return 0;
}

int workload_check(const struct workload *w, struct err *err)
{
    if (w->n < 0 || w->users < 0 || w->every < 0 || (w->trace && w->n_trace < 1) || (w->trace_times && !w->trace))
        return ERR(err, RANGE, "%lld requests, %d users, %d rows of a trace", (long long)w->n, w->users, w->n_trace);
    if (w->prefix.n < 0 || w->prefix.tokens < 0 || !(w->prefix.share >= 0 && w->prefix.share <= 1))
        return ERR(err, RANGE, "%d shared beginnings of %d tokens, for a share of %g, expected 0 or more, and a share of 0 to 1", w->prefix.n, w->prefix.tokens, w->prefix.share);
    if (!w->trace)
        TRY(check_lengths(&w->prompt, "prompts", err));
    if (!w->trace)
        TRY(check_lengths(&w->output, "answers", err));
    TRY(check_arrivals(w, err));
    return check_targets(&w->targets, err);
}
