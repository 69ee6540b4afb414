#include "cmd/bench_cost.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/tree.h"
#include "eval/evidence.h"

/* "280:0.6": watts, and the share of them that is taken to flow. */
static bool read_tdp(const char *text, double *watts, double *share)
{
    char *end;
    *watts = strtod(text, &end);
    if (end == text || *end != ':')
        return false;
    const char *p = end + 1;
    *share = strtod(p, &end);
    return end != p && !*end && *watts > 0 && *watts < 1e6 && *share > 0 && *share <= 1;
}

int bench_cost_check(const struct bench_cost_opts *o, struct err *err)
{
    double watts, share;
    if (o->watts > 0 && o->tdp)
        return ERR(err, USAGE, "expected one of --watts and --tdp");
    if (o->tdp && !read_tdp(o->tdp, &watts, &share))
        return ERR(err, USAGE, "--tdp '%.60s', expected WATTS:SHARE, such as 280:0.6", o->tdp);
    return o->currency && !(o->price > 0) ? ERR(err, USAGE, "--currency is of --price-per-hour, which is missing") : 0;
}

/* Few tokens a second are dear: the ends change places. */
static struct judge_rate money(double price, const struct judge_rate *tokens)
{
    struct judge_rate c = { NAN, { NAN, NAN } };
    const double hour = price * 1e6 / 3600;
    if (price > 0 && tokens->value > 0)
        c.value = hour / tokens->value, c.ci[0] = hour / tokens->ci[1], c.ci[1] = tokens->ci[0] > 0 ? hour / tokens->ci[0] : (double)INFINITY;
    return c;
}

static void find_joules(struct bench_cost *c, const struct energy *energy, bool here, double seconds)
{
    double tdp, share;
    char names[300];
    c->joules = here ? energy_joules(energy) : (double)NAN;
    if (isfinite(c->joules)) {
        energy_names(energy, names, sizeof names);
        snprintf(c->source, sizeof c->source, "measured: %s%s%s", names, *energy->why ? "; " : "", energy->why);
        return;
    }
    const char *why = here ? energy->why : "the server is on another machine";
    if (c->o->watts > 0) {
        c->watts = c->o->watts;
        snprintf(c->source, sizeof c->source, "an estimate: %g W as given (%s)", c->watts, why);
    } else if (c->o->tdp && read_tdp(c->o->tdp, &tdp, &share)) {
        c->watts = tdp * share;
        snprintf(c->source, sizeof c->source, "an estimate: %g of %g W of TDP as given (%s)", share, tdp, why);
    } else {
        snprintf(c->source, sizeof c->source, "not known: %s", why);
    }
    if (c->watts > 0)
        c->joules = c->watts * seconds;
}

static double over(double a, double b) { return b > 0 ? a / b : (double)NAN; }

void bench_cost_of(struct bench_cost *c, const struct bench_cost_opts *o, const struct bench_judged *j, const struct energy *energy, bool here, double seconds,
                   double n_output, double n_prompt)
{
    *c = (struct bench_cost){ .o = o };
    c->output = money(o->price, &j->good_tokens), c->total = money(o->price, &j->good_total_tokens);
    find_joules(c, energy, here, seconds);
    c->j_per_token = over(c->joules, n_output);
    c->wh_output = 1e6 * over(c->joules / 3600, n_output), c->wh_total = 1e6 * over(c->joules / 3600, n_output + n_prompt);
}

static const char *currency(const struct bench_cost *c) { return c->o->currency ? c->o->currency : "$"; }

void bench_cost_print(const struct bench_cost *c, bool limited)
{
    if (c->o->price > 0 && isfinite(c->output.value)) {
        printf("cost at %s%g an hour, of %s: %s%.4g per million output tokens", currency(c), c->o->price,
               limited ? "tokens within the limits" : "offline work, which has no limits", currency(c), c->output.value);
        if (isfinite(c->output.ci[0]))
            printf(isfinite(c->output.ci[1]) ? " (%.4g to %.4g)" : " (from %.4g)", c->output.ci[0], c->output.ci[1]);
        printf(", %s%.4g per million of all\n", currency(c), c->total.value);
    } else if (c->o->price > 0) {
        printf("cost: not to be had, as no token came within the limits\n");
    }
    if (isfinite(c->j_per_token))
        printf("energy: %.4g J per output token, %.4g Wh per million of them, %.4g per million of all; %s\n", c->j_per_token, c->wh_output, c->wh_total,
               c->source);
    else
        printf("energy: %s\n", c->source);
}

json_t *bench_cost_json(const struct bench_cost *c)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:s}", "price_per_hour", c->o->price > 0 ? json_real(c->o->price) : json_null(),
                     "currency", currency(c), "per_1m_output_tokens", tree_number(c->output.value), "per_1m_output_tokens_low",
                     tree_number(c->output.ci[0]), "per_1m_output_tokens_high", tree_number(c->output.ci[1]), "per_1m_total_tokens",
                     tree_number(c->total.value), "energy_j", tree_number(c->joules), "energy_j_per_output_token", tree_number(c->j_per_token),
                     "energy_wh_per_1m_output_tokens", tree_number(c->wh_output), "energy_wh_per_1m_total_tokens", tree_number(c->wh_total),
                     "energy_is_estimate", c->watts > 0, "energy_source", c->source);
}
