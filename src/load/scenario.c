#include "load/scenario.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "load/schedule.h"

static const struct scenario scenarios[] = {
#define SCENARIO(id, option, mlperf, percentile, n_least, n_sample, random) { SCENARIO_##id, option, mlperf, percentile, n_least, n_sample, random },
#define LIMITS(model, ttft, tpot, ttft_interactive, tpot_interactive)
#include "load/scenario.def"
#undef SCENARIO
#undef LIMITS
};
static const struct { const char *model; double ttft[2], tpot[2]; } limits[] = {
#define SCENARIO(id, option, mlperf, percentile, n_least, n_sample, random)
#define LIMITS(model, ttft, tpot, ttft_interactive, tpot_interactive) { model, { ttft, ttft_interactive }, { tpot, tpot_interactive } },
#include "load/scenario.def"
#undef SCENARIO
#undef LIMITS
};
enum { N_SCENARIO = sizeof scenarios / sizeof *scenarios, N_LIMITS = sizeof limits / sizeof *limits };

const struct scenario *scenario_find(const char *name)
{
    for (int i = 0; i < N_SCENARIO; i++)
        if (!strcmp(scenarios[i].name, name))
            return &scenarios[i];
    return NULL;
}

int scenario_limits(struct load_limits *out, const char *text, bool interactive, struct err *err)
{
    *out = (struct load_limits){ 0 };
    if (strchr(text, ':'))
        return load_limits_parse(out, text, err);
    char names[200] = "";
    for (int i = 0; i < N_LIMITS; i++) {
        if (!(limits[i].ttft[interactive] > 0))
            continue;
        if (!strcmp(limits[i].model, text)) {
            out->ttft = limits[i].ttft[interactive] / 1000, out->tpot = limits[i].tpot[interactive] / 1000;
            return 0;
        }
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "", limits[i].model);
    }
    return ERR(err, USAGE, "--slo '%.100s', expected ttft:MS,tpot:MS,e2el:MS or some of these, or MLPerf's limits%s of %s", text,
               interactive ? " (interactive)" : "", names);
}

int scenario_arrivals(double **at, int *n, double rate, double seconds, int n_least, int n_most, uint64_t seed, struct err *err)
{
    const double expected = rate * seconds;
    /* 10 standard deviations: more are all but impossible, and then too few are told as such. */
    double room = fmax(expected + 10 * sqrt(expected) + 100, n_least);
    if (room > n_most)
        room = n_most;
    if (!(*at = mem_alloc_array((size_t)room, sizeof **at)))
        return ERR(err, NOMEM, "no memory for %.0f requests", room);
    schedule_make(*at, (int)room, ARRIVAL_POISSON, rate, 0, seed);
    *n = 0;
    while (*n < (int)room && (*n < n_least || (*at)[*n - 1] < seconds))
        ++*n;
    return 0;
}
