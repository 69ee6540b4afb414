/* workload.h - what a plan is asked to serve: when requests come, how long they are, what they have in common, and how fast they must be.
 *
 * Lengths are fixed, uniform, lognormal, empirical (shares of a published trace), or those of a trace's rows; the prompt's and the answer's are drawn
 * independently but for a trace, whose rows stay whole.  Requests come in an open loop (load/schedule.h, or at a trace's own times), or each of so many
 * users asks when the last answer is there (closed loop).  Request i is a function of (seed, i), so that two plans are asked the same.
 * The conversations' turns are not known: a prompt shares with others what `prefix` says.  Any thread. */
#ifndef PLAN_WORKLOAD_H
#define PLAN_WORKLOAD_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "load/schedule.h"
#include "load/trace.h"

#define LENGTH_MOST 10000000
enum lengths_kind { LENGTHS_FIXED, LENGTHS_UNIFORM, LENGTHS_LOGNORMAL, LENGTHS_EMPIRICAL };
/* a: of FIXED; from a to b; median a and deviation b of the logarithm; else value[n], at even shares or (n = LENGTHS_POINTS) those of the presets.  Rounded, and 1 to most. */
struct lengths { enum lengths_kind kind; double a, b; const int32_t *value; int n; int most; };
#define LENGTHS_POINTS 26

/* Seconds; 0: none. */
struct targets { double ttft, tpot, e2e; };
struct workload {
    const char *name, *source;               /* of a preset, else NULL */
    int64_t n;                               /* requests; 0: those of the trace */
    enum arrival arrival; double rate, cv; int burst;        /* open loop: a second */
    bool at_once;                            /* all are there at the beginning */
    int users;                               /* > 0: closed loop (load/users.h), seconds: */
    double ramp, think;                      /* in which users begin, at moments that are drawn; between an answer and the next request, on average (exponential) */
    double way;                              /* that a request is on its way, on average (exponential): users who were answered in one step would else ask in one step, for ever */
    struct lengths prompt, output;
    const struct trace_row *trace; int n_trace;      /* NULL, or lengths: borrowed */
    bool trace_times; double speed;          /* the trace's times, too, and rows in their order; so many times as fast (0: 1) */
    int every;                               /* with trace_times: one of so many rows, as one of so many replicas is sent (0: 1) */
    struct { int n, tokens; double share; } prefix;  /* so many groups, in which the first tokens are the same; of which share of all requests is a member, 0: all */
    struct targets targets;
    uint64_t seed;
};
/* A preset by name: chat, code, rag, batch; rate and n are to be set.  ERR_NOTFOUND says which there are. */
int workload_find(struct workload *out, const char *name, struct err *err);
const struct workload *workload_preset(int i);           /* NULL behind the last one */
/* "1000", "200-400", "lognormal:1020,0.9" (median, deviation of the logarithm).  ERR_USAGE. */
int lengths_parse(struct lengths *out, const char *text, struct err *err);
/* What cannot be: ERR_RANGE, or ERR_USAGE for targets that contradict each other. */
int workload_check(const struct workload *w, struct err *err);
int64_t workload_n(const struct workload *w);

struct request { int prompt, output, group, prefix; };   /* group -1: shares nothing */
struct request workload_request(const struct workload *w, int64_t i);
double lengths_mean(const struct lengths *l);
/* Of one request, on average: tokens of prompts and of answers. */
void workload_means(const struct workload *w, double *prompt, double *output);
/* The same of those that have room in ctx positions and so many tokens of cache (a prompt at least, answers up to the last position), and which share of all that is: exactly that of
 * workload_means() where all have, else of a trace's rows or of the first WORKLOAD_LOOKED requests.  0: none has, and both are 0. */
#define WORKLOAD_LOOKED 20000
double workload_means_within(const struct workload *w, int ctx, double tokens, double *prompt, double *output);

/* When they come, one after the other, in an open loop. */
struct workload_times { const struct workload *w; struct arrivals a; int64_t i; };
void workload_times_init(struct workload_times *t, const struct workload *w);
double workload_next(struct workload_times *t);

#endif
