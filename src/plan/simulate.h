/* simulate.h - what users of a server will see: a discrete-event simulation of its steps, decided by infer/sched.h, timed by whoever knows.
 *
 * Steps are those of infer/batch.h: who is admitted and when, how many rows of prompts a step has (infer/pace.h, which sees the simulated times),
 * and who is put aside when pages run out, is the server's own code.  Pages are counted, and shared beginnings found, by sim_cache.h.  Guessed tokens, cancelled
 * requests and what a network adds are not simulated.
 *
 * A step that only continues texts takes a + b * (keys seen by all of them), and each step sees as many keys more as it has texts: so all steps up
 * to the next event - a request comes, a text ends, pages run out - are one arithmetic series, and are not computed one by one.  All else goes
 * step by step.  An event takes the time of a heap (of texts under way), and of a look at texts under way where a prompt has a part in it.  With every_step there
 * are no series: the slow twin, for tests.
 *
 * Memory: what is under way and what may wait (where any number may, 64 of those who wait; the others have not been drawn yet), and counts of fixed size for
 * the percentiles (spread.h: within 0.1 %); it does not grow with the number of requests.  Any thread, each with a sim_cost of its own. */
#ifndef PLAN_SIMULATE_H
#define PLAN_SIMULATE_H
#include "plan/spread.h"
#include "plan/workload.h"

/* Of a step, or of so many alike in a row: */
struct sim_step {
    int64_t steps;                           /* 1, but to watch() */
    int n; double keys;                      /* texts that are continued, a row each; keys that they see, all together (of the first step) */
    int rows; double row_keys;               /* rows of prompts; keys that they see, all together */
    int n_prompt; double past_keys;          /* prompts that these are of; their keys that were there before, which are read once for each */
};
struct sim_cost {
    void *ctx;
    void (*decode)(void *ctx, int n, double *a, double *b);              /* a step of n >= 1 texts that are continued takes a + b * keys seconds; asked once for each n */
    double (*mixed)(void *ctx, const struct sim_step *s);                /* seconds of one that has rows of prompts, too, or only these */
};
struct sim_limits {
    int n_slot;                              /* texts under way at most */
    double cache_tokens;                     /* of all pages */
    int page;                                /* tokens of one; 0: 64 */
    int step_tokens;                         /* rows of a step at most */
    double stretch, step_s;                  /* as batch_opts */
    int n_queue;                             /* texts that may wait; 0: 1024; < 0: any number */
    int ctx;                                 /* positions of a text; 0: no limit */
    bool no_share;                           /* shared beginnings are not found */
    bool every_step;
    void (*watch)(void *ctx, const struct sim_step *s, double begin, double seconds); void *watch_ctx;       /* or NULL: each step, or series of steps */
};

struct sim_result {
    int64_t n_request, n_done;
    int64_t n_busy, n_too_long;              /* refused: the queue was full; longer than the positions, or than all pages have */
    int64_t n_cut;                           /* of those done: ended by the last position */
    int64_t n_good; double goodput;          /* of those done, as many kept all targets (all, where there are none); a second */
    int64_t n_put_aside, n_step, n_mixed, n_event;       /* texts put aside; steps, those with rows of prompts; what was computed one by one */
    double seconds, busy_s;                  /* from the first request to the last answer; of all steps */
    double prompt_tokens, kept_tokens, output_tokens, rows;      /* of texts that were admitted, of these found in the cache; made; computed, with those done again */
    double output_s, request_s;              /* tokens made, requests done a second */
    double mean_running, mean_waiting;       /* texts, over time */
    double most_cache;                       /* share of the pages that were held at once */
    double least_tpot, least_ttft;           /* of any text that is alone on the machine: of a step with one key, of a prompt of one token */
    /* Seconds: to the first token; (last - first) / (n - 1), of answers of 2 tokens or more; to the end; until admitted; between any two tokens. */
    struct spread ttft, tpot, e2e, wait, gap;
};
/* ERR_USAGE, ERR_RANGE: what cannot be (workload_check); ERR_NUMERIC: a step's time is not above 0 and finite; ERR_NOMEM. */
int simulate(struct sim_result *out, const struct workload *w, const struct sim_limits *l, const struct sim_cost *c, struct err *err);

#endif
