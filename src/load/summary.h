/* summary.h - what a run of requests comes to: rates, exact quantiles, what was within limits, what failed, whether the server kept up. */
#ifndef LOAD_SUMMARY_H
#define LOAD_SUMMARY_H
#include <jansson.h>
#include "load/client.h"

/* Times in seconds.  ttft: due to first text; tpot: first to last text, over the tokens after the first, missing where there is one only; itl:
 * between texts; e2el: due to the end of the stream; _sent: from when the request was really sent,
 * which hides that it waited.  Quantiles interpolate linearly over all values. */
struct load_times { int n; double mean, stddev, p50, p90, p95, p99, max; };
struct load_limits { double ttft, tpot, e2el; };                     /* that a good request stays within; 0: none */
bool load_is_good(const struct load_reply *r, const struct load_limits *l);      /* of one that was answered */
/* "ttft:200,tpot:50,e2el:5000" in milliseconds.  ERR_USAGE. */
int load_limits_parse(struct load_limits *out, const char *text, struct err *err);

/* Open loop: whether requests piled up while they came.  The time from the first to the last one is cut into 10 parts; a line is
 * laid through the numbers under way at the ends of the last 8.  It counts as too much when the line is sure (t > 4) and the server
 * answered less than 95 % of what came. */
struct load_growth {
    bool too_much;
    int n_came, n_over;                  /* in these parts */
    double open_before, open_after;      /* under way at their beginning and end, by the line */
};
struct load_growth load_growth_of(const double *from, const double *over, int n);       /* from: ascending */

#define LOAD_KINDS 16
struct load_summary {
    int n, n_ok, n_failed, n_unsent;
    double seconds;
    double n_prompt, n_kept, n_token, n_event;       /* of those that are ok */
    bool told_usage;                                 /* by the server, for all of them */
    struct load_times ttft, tpot, itl, e2el, ttft_sent, e2el_sent;
    int n_good;
    int open_max; double token_rate_max;             /* under way at once; tokens within a second */
    double late_max;                                 /* that this program itself was late in sending */
    double cpu_per_event;                            /* seconds of this program's CPU time for each text that came */
    struct load_growth growth;
    struct load_kind { enum load_end end; int status, n; const char *why; } kind[LOAD_KINDS];      /* of what failed, and the first reason */
    int n_kind;
};
int load_summarise(const struct load_run *r, const struct load_limits *limits, bool open_loop, struct load_summary *out, struct err *err);

/* vLLM's keys of `vllm bench serve`, and ours; with detail also those of each request. */
json_t *load_json(const struct load_summary *s, const struct load_run *r, bool goodput, bool detail);
#endif
