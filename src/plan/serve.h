/* serve.h - what a model on so many devices can serve: which layout fits, how many requests a second keep the targets, and what users then see.
 *
 * Steps are priced by plan/price.h and played by plan/simulate.h, so answers are those of this program's scheduler on a device's kernels.  A layout
 * makes replicas of tp * pp devices; each gets an equal share of the requests, at random.  Of pp stages one batch is under way: its steps take all stages.
 *
 * Any thread.  SI units. */
#ifndef PLAN_SERVE_H
#define PLAN_SERVE_H
#include "plan/price.h"
#include "plan/simulate.h"

#define SERVE_RUNTIME 1.5e9      /* bytes of a device that its driver, kernels and collectives take: 0.5 to 1 GB of a context, 0.5 GB of exchange buffers */
#define SERVE_SPARE 0.05         /* share of its memory that is left free: what engines call 0.95 of utilisation */
#define SERVE_SLOTS 1024         /* texts under way at most of a replica, where nothing else is said */
#define SERVE_STEP 8192          /* rows of a step at most (vLLM's max_num_batched_tokens on such devices) */
#define SERVE_REPLICAS 16384     /* at most */
#define SERVE_ROWS 96            /* kinds of kernels of a model at most */
#define SERVE_GOOD 0.99          /* share of requests that keep the targets, for a load that is kept */

struct serve_opts {
    enum number weights, compute, cache;
    double weight_bits;          /* as price_opts' */
    struct layout layout;        /* tp, pp, ep 0: chosen; dp is what is left */
    int n;                       /* devices; 0: as many as w's rate takes, or one replica of those that serve most each where w has none */
    int n_slot, step_tokens;     /* of a replica; 0: as above */
    double spare, runtime;       /* < 0: as above */
    double host;                 /* seconds of a step beside the device's */
    double stretch, step_s;      /* how much prompts may slow down others, as batch_opts'; 0: not limited, so that the target per token alone says */
    int n_simulated;             /* requests of a simulation; 0: 2,000, and of a trace all */
    double cache_tokens;         /* of a replica's pages; 0: what memory holds */
    const struct priced *priced; /* of one device, as a replica (here.h): no other layout is tried; NULL: made for each layout */
};
struct serve_memory { double weights, work, runtime, spare, cache, all; };       /* of the fullest device; all: what it has */

struct serve_plan {
    struct layout layout;        /* with dp */
    struct serve_memory memory;
    double cache_tokens;         /* of a replica */
    int n_slot;                  /* of a replica */
    double capacity;             /* requests a second of all replicas that keep the targets, with those that are refused; where there are no targets: as fast as it can */
    double rate;                 /* that the simulation is of, of all replicas; of a closed loop what came about, and so where no load keeps the targets: of one user of each */
    double served;               /* of that, a second; less where it is more than capacity */
    double prompt, output;       /* tokens of a request that has room, on average */
    double fits;                 /* share of all that these are; the others are refused */
    struct sim_result sim;       /* of one replica */
    struct step_load step;       /* of the texts that are under way on average, each half way through its answer */
    double step_seconds, bound;  /* of that; and of its roofline */
    struct price_row row[SERVE_ROWS]; int n_row;     /* what it is made of */
};

/* The layout of o->n devices that serves most within w's targets; among equals the one of fewest devices a replica.  w's rate: the load that is simulated; 0: the
 * capacity.  ERR_USAGE: an impossible layout.  ERR_RANGE: o->n makes more than SERVE_REPLICAS.  ERR_NOFIT: no layout fits, with how much the best misses; or
 * so many replicas are not enough for the rate.
 * ERR_NOMEM: none to plan with. */
int serve_plan(struct serve_plan *out, const struct config *c, const struct device *d, const struct workload *w, const struct serve_opts *o, struct err *err);
/* One layout (o->layout, all of it), as above. */
int serve_plan_layout(struct serve_plan *out, const struct config *c, const struct device *d, const struct workload *w, const struct serve_opts *o, struct err *err);

/* Do SERVE_GOOD of the requests keep all targets?  Without those that are longer than the model or its memory allows. */
bool serve_keeps(const struct sim_result *r);
/* The same search over any engine: of a replica with these limits and costs, the most requests a second of w that keep its targets. */
int serve_capacity(double *rate, const struct workload *w, const struct sim_limits *l, const struct sim_cost *cost, struct err *err);

#endif
