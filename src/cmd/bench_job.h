/* bench_job.h - a run of `lathe bench serve`: what is asked, and how what came is told. */
#ifndef CMD_BENCH_JOB_H
#define CMD_BENCH_JOB_H
#include <jansson.h>
#include "cmd/bench_cost.h"
#include "cmd/bench_judge.h"
#include "load/energy.h"

struct bench_job {
    struct load_url url;
    char model[300], path[300];
    struct work_opts work;
    struct trace_row *trace;
    struct bench_rules rules;            /* the scenario, if there is one, and limits */
    int n, n_user, turns;                /* n_user: of an open loop the most under way, 0: any */
    double *at;
    double enough_s; int n_least;        /* of a closed loop (load/client.h) */
    struct energy energy;
    bool here;                           /* the server is on this machine */
    double server_bytes;                 /* memory that the server says it has; NAN: it does not say */
};
/* What came of it. */
struct bench_outcome {
    const struct bench_job *job;
    const struct load_run *run;
    struct load_summary sum;
    struct bench_judged judged;
    struct bench_cost cost;
};
void bench_outcome_print(const struct bench_outcome *o);                         /* bench_print.c */
json_t *bench_outcome_json(const struct bench_outcome *o);                       /* bench_found.c; NULL: no memory */
/* Into the folder of --out: MLPerf's logs where there was a scenario, and speed_DATE.json (eval/evidence.h).  result: bench_outcome_json's. */
int bench_outcome_write(const struct bench_outcome *o, json_t *result, const char *folder, struct err *err);
/* "server at 4/s", for the figures' "of" */
void bench_outcome_name(const struct bench_outcome *o, char *out, size_t n);
#endif
