/* serve_rate.h - tokens a second that well-tuned serving reaches on accelerators, in the steady state of continuous batching: in closed form, fitted to MLPerf.
 *
 * What plan/price.h prices from an engine's kernels is here a share of the data sheet that whole deployments reached, so that a device of which only the data
 * sheet is known can be planned with.  A step has one row of each of B texts that are being continued and, since as many prompts begin as texts
 * end, B * prompt / output rows of prompts.  With n rows in all it takes the sum of
 *
 *     products    max(2 W n / R, bytes of W / M)           W: numbers of the matrices that each token meets
 *     experts     max(2 W (n k + PAD E') / R, bytes / M)   E' = E (1 - (1 - k/E)^n) that have a row
 *     head        of the B rows, in bf16
 *     attention   max(keys and values / M, operations / (attention R')) for rows continued, the operations of prompts' rows
 *     passes      what goes through memory between products: 2 bytes of each number, / M
 *     exchanges   plan/collective.h: two sums a layer where it is divided (tp), experts' rows there and back (ep)
 *     fixed       `layer` seconds for each layer, `row` for each row continued
 *
 * R = min(matrix * peak, watts * operations a joule): large products are bound by the clock or by power, which is why a device of twice the peak and the same
 * watts is not twice as fast.  R' the same of the cache's numbers, of bf16 for prompts.  M = reach * bandwidth.
 * B is what memory holds, or less where 99 % of requests are to have their time for each token: during a text about B others begin (Poisson), of
 * lengths that are taken as exponential, so that the share of time that goes to prompts is (1 + Z / sqrt(B)) of its mean for one text of a hundred.
 *
 * plan/simulate.h, given the same steps, makes as many tokens within 5 %; under Poisson arrivals it keeps the promised time where a step with prompts may take
 * twice as long as one without, and is up to 40 % late for one text of a hundred where it may take any time.
 *
 * The constants are of serve_fitted, in one place; bench/plan_mlperf fits them, each system left out in turn, and prints the error.  SI units.
 * Pure functions: any thread. */
#ifndef PLAN_SERVE_RATE_H
#define PLAN_SERVE_RATE_H
#include "model/config.h"
#include "plan/device.h"

struct serve_constants {
    double matrix;           /* share of the data sheet's matrix peak that is reached at full clock */
    double joule8, joule4;   /* operations a joule of power, operands of 8 bits (half as many of 16) and of 4 */
    double cdna;             /* what software reaches of that on AMD's accelerators */
    double xe;               /* on Intel's */
    double processor;        /* and on processors */
    double attention;        /* rate of attention's products, of that of large products */
    double layer;            /* seconds of a layer beside all else: its launches */
    double row;              /* seconds of the host for a token: scheduling, sampling, text */
    double server;           /* load at which Poisson arrivals keep their time, of what the steady state carries */
};
#define SERVE_CONSTANTS 10
extern const struct serve_constants serve_fitted;
/* To be said with every answer made from them. */
#define SERVE_FITTED_ERROR "MLPerf and vendors' tables, each system left out: median 12 %, 90 % within 36 %"

/* A model in the numbers that count; serve_model_of() makes it, or it is written down where the model has no configuration here. */
struct serve_model {
    double dense;                    /* numbers of matrices that every token meets, without the head */
    double expert;                   /* of one expert, in one layer */
    int experts, chosen;             /* of a layer; 0: none */
    int expert_layers, layers, heads, kv_heads;      /* kv_heads: over how many devices keys and values divide; 1: they do not (MLA) */
    double head, stream;             /* numbers of the head; width between layers */
    double kv, kv_window, window;    /* numbers kept of a token: layers that see all, layers of a window */
    double key, key_prompt, key_window;      /* operations for each key that a row sees: rows continued, rows of prompts, either where there is a window */
    double passes;                   /* numbers of a token that pass through memory between products */
};
/* ERR_UNSUPPORTED: not a decoder. */
int serve_model_of(struct serve_model *m, const struct config *c, struct err *err);

struct serve_numbers {
    double bits;                     /* of a number of the matrices, scales included */
    enum number compute;             /* its products; bf16 where the device has no such */
    double cache;                    /* bytes of a number of keys and values */
};
struct serve_load {
    double prompt, output;           /* tokens, on average */
    int beams;                       /* 0: 1 */
    double drafts, kept;             /* tokens that are drafted for each text and step, and those of them that are kept; 0: none are drafted */
    double at_most;                  /* texts at once, of a replica; 0: what fits */
    bool alone;                      /* no prompts between: all were read before */
    double tpot;                     /* seconds for each token that 99 % keep under Poisson arrivals; 0: all is there at once and nothing is kept */
    double row;                      /* in place of the constant, for an engine of which it is known; 0: the constant */
};
/* Devices of a replica: tp * pp, or ep.  tp divides each layer, pp the layers, ep the experts with attention whole on each device. */
struct serve_layout { int tp, pp, ep; };

struct serve_time { double products, experts, head, attention, prompts, passes, exchanges, fixed; };
struct serve_rate {
    double tokens;                   /* a second, of all n devices; 0: does not fit, or cannot keep its time */
    struct serve_layout layout;
    double at_once;                  /* texts of a replica, or of a device where ep > 1 */
    double step, tpot;               /* seconds of a step; of a token for 99 % */
    struct serve_time time;          /* what the step is made of */
};
/* Of n devices (sockets of a processor count as one with all their cores), in `layout` or, NULL, in what is fastest.  ERR_USAGE: n < 1, a load of no tokens,
 * a layout that n devices or the model do not allow. */
int serve_rate(struct serve_rate *out, const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers,
               const struct serve_load *load, const struct serve_layout *layout, const struct serve_constants *k, struct err *err);
/* One step of a replica in an allowed layout (with pp stages: of a stage; with ep: of each device), as plan/simulate.h asks for it. */
struct serve_step {
    double texts, rows;              /* that are continued, and their rows: one each, and drafts */
    double keys;                     /* that the texts see, all together */
    double prompt_rows, prompt_keys; /* rows of prompts, and what they see, all together */
};
double serve_step_seconds(const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers, const struct serve_layout *layout,
                          const struct serve_constants *k, const struct serve_step *step);
/* What is often taken for it: the larger of operations at peak and bytes at bandwidth, all texts that all memory holds, nothing lost. */
double serve_roofline(const struct serve_model *m, const struct device *d, int n, const struct serve_numbers *numbers, const struct serve_load *load);

#endif
