/* capacity.h - how many requests a second a server bears within its targets: simulations (simulate.h) of one workload at one rate after another.
 *
 * A rate is borne where at least a share `good` of all requests keeps the targets, those that are refused counting as not kept; and in any case where the last
 * answer is there soon after the last request, within 5 % of the time in which they come and the time of the slowest answer at the lowest rate: else the queue grows.  Rates are
 * bisected to `within`; requests and gaps are the same at each rate but for their scale, so that more load is never luck.  Closed loops have no rate. */
#ifndef PLAN_CAPACITY_H
#define PLAN_CAPACITY_H
#include "plan/price.h"
#include "plan/simulate.h"

struct capacity_opts { double good, within; };           /* 0: 0.99, 0.01 */
/* rate 0: not even one request at a time keeps the targets (r: of that, 1,000 requests at most).  r: at `rate`; n: simulations.  w: n requests, rate is not used. */
struct capacity { double rate; struct sim_result r; int n; };
/* Of simulate(); ERR_USAGE: a closed loop, all at once, or no requests. */
int capacity_find(struct capacity *out, const struct workload *w, const struct sim_limits *l, const struct sim_cost *c, const struct capacity_opts *o, struct err *err);

/* Steps at the prices of price.h, which do not overlap: of one stage (pp 1).  Seconds of texts that are continued are linear in their keys once they fill the
 * device, but for windows, which close: the line goes through half and one and a half of `keys`, about those that a text sees.  s and p must outlive the cost; p may
 * be shared by threads. */
struct priced_steps { const struct priced *p; double keys; };
struct sim_cost priced_steps_cost(struct priced_steps *s);

#endif
