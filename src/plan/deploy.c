#include "plan/deploy.h"
#include <math.h>
#include <stdbool.h>

static const char *const names[] = {
#define X(name, word) word,
    DEPLOY_ASSUMPTIONS(X)
#undef X
};

const char *deploy_assumption_name(enum deploy_assumption a) { return names[a]; }

struct deploy_cost deploy_cost(const struct deployment *d, const struct deploy_work *w, double rate)
{
    struct deploy_cost c = { .wh_output_mtok = NAN };
    if (!(d->capacity > 0)) {
        c.units = c.rent = c.capital = c.energy = c.tokens = c.usd_hour = c.usd_request = c.usd_output_mtok = INFINITY;
        return c;
    }
    const double hour = 3600 * rate;
    c.units = isfinite(d->capacity) ? fmax(1, ceil(rate / d->capacity * (1 - 1e-12))) : 0;
    c.used = c.units > 0 ? rate / (c.units * d->capacity) : 0;
    c.rent = c.units * d->usd_hour;
    c.capital = d->usd_unit > 0 ? c.units * d->usd_unit / d->life_hours : 0;
    const double watts = c.units * (d->watts_idle + (d->watts_busy - d->watts_idle) * c.used);
    c.energy = watts / 1000 * d->usd_kwh;
    c.tokens = hour * (w->input * d->usd_input + w->output * d->usd_output) / 1e6;
    c.usd_hour = c.rent + c.capital + c.energy + c.tokens;
    c.usd_request = c.usd_hour / hour;
    c.usd_output_mtok = c.usd_request / w->output * 1e6;
    if (d->watts_busy > 0)
        c.wh_output_mtok = watts / (hour * w->output) * 1e6;
    return c;
}

static bool cheaper(const struct deployment *a, const struct deployment *b, const struct deploy_work *w, double rate)
{
    return deploy_cost(b, w, rate).usd_hour < deploy_cost(a, w, rate).usd_hour;
}

enum { STEPS = 4096 };

static double step_rate(double from, double to, int i) { return i == STEPS ? to : from * pow(to / from, (double)i / STEPS); }

/* Between low and high, where b is cheaper or not as `at_low` says of low, and is the other at high: the least rate above the change, to 1e-9. */
static double change_between(const struct deployment *a, const struct deployment *b, const struct deploy_work *w, double low, double high, bool at_low)
{
    while (high / low > 1 + 1e-9) {
        const double middle = sqrt(low * high);
        *(cheaper(a, b, w, middle) == at_low ? &low : &high) = middle;
    }
    return high;
}

int deploy_crossings(const struct deployment *a, const struct deployment *b, const struct deploy_work *w, double from, double to, double *rate, int most)
{
    int n = 0;
    bool before = cheaper(a, b, w, from);
    for (int i = 1; i <= STEPS; i++) {
        const double low = step_rate(from, to, i - 1), high = step_rate(from, to, i);
        const bool now = cheaper(a, b, w, high);
        if (now == before)
            continue;
        if (n < most)
            rate[n] = change_between(a, b, w, low, high, before);
        n++, before = now;
    }
    return n;
}

double deploy_break_even(const struct deployment *a, const struct deployment *b, const struct deploy_work *w, double from, double to)
{
    if (!cheaper(a, b, w, to))
        return NAN;
    for (int i = STEPS - 1; i >= 0; i--) {
        const double low = step_rate(from, to, i);
        if (!cheaper(a, b, w, low))
            return change_between(a, b, w, low, step_rate(from, to, i + 1), false);
    }
    return from;
}

static void lengthen(struct deployment *d, struct deploy_work *w, double *tokens, double factor)
{
    const double before = w->input + w->output;
    *tokens *= factor;
    d->capacity *= before / (w->input + w->output);
}

void deploy_assume(struct deployment *d, struct deploy_work *w, enum deploy_assumption a, double factor)
{
    switch (a) {
    case DEPLOY_CAPACITY: d->capacity *= factor; break;
    case DEPLOY_RENT: d->usd_hour *= factor; break;
    case DEPLOY_MACHINE_PRICE: d->usd_unit *= factor; break;
    case DEPLOY_LIFE: d->life_hours *= factor; break;
    case DEPLOY_POWER: d->watts_idle *= factor, d->watts_busy *= factor; break;
    case DEPLOY_ENERGY_PRICE: d->usd_kwh *= factor; break;
    case DEPLOY_API_PRICE: d->usd_input *= factor, d->usd_output *= factor; break;
    case DEPLOY_OUTPUT: lengthen(d, w, &w->output, factor); break;
    case DEPLOY_INPUT: lengthen(d, w, &w->input, factor); break;
    case N_DEPLOY_ASSUMPTION: break;
    }
}
