#include "plan/collective.h"
#include <math.h>

/* The same for all devices: the best of a few over seven with NVLink. */
#define DIRECT 0.7               /* of what a ring reaches, by kernels that read the others' memory */
#define SECOND 0.3               /* of a step, for the second of two shots: no kernel begins */
#define FILL 10                  /* steps before a ring or the switch runs full */
#define GATHER_STEPS 2           /* first steps of a gather, and a third of one for each other device; of all-to-all 3 */
#define NETWORK_SHARE 0.92
#define NETWORK_STEP 10e-6       /* seconds */

static const char *const names[N_COLLECTIVE] = { "all-reduce", "all-gather", "reduce-scatter", "all-to-all", "send" };
const char *collective_name(enum collective what) { return names[what]; }

static double reached(const struct device *d, int n) { return d->link_share * (n == 2 ? d->link_pair : fmin(d->link, (n - 1) * d->link_pair)); }

static double sum_within(const struct device *d, double S, int n)
{
    const double bw = reached(d, n), step = d->link_latency * (1 + (n - 1) / d->link_peers), fill = FILL * d->link_latency, part = (n - 1.0) / n;
    const double shots = fmin(step + (n - 1) * S / (DIRECT * bw), (1 + SECOND) * step + 2 * part * S / (DIRECT * bw)), ring = fill + 2 * part * S / bw;
    const double adding = d->reduce_share ? fill + (n + 1.0) / n * S / (d->link * d->reduce_share) : INFINITY;
    return fmin(shots, fmin(ring, adding));
}

static double exchange_within(const struct device *d, enum collective what, double S, int n)
{
    const double bw = reached(d, n), steps = what == ALL_TO_ALL ? 3 : GATHER_STEPS + (n - 1) / 3.0, part = (n - 1.0) / n;
    return fmin(steps * d->link_latency + part * S / (DIRECT * bw), FILL * d->link_latency + part * S / bw);
}

static double within(const struct device *d, enum collective what, double S, int n)
{
    if (n == 1)
        return 0;
    return what == ALL_REDUCE ? sum_within(d, S, n) : exchange_within(d, what, S, n);
}

/* What a card sends while n devices, `node` of each node, exchange S bytes. */
static double through_card(enum collective what, double S, int n, int node)
{
    if (what == ALL_TO_ALL)
        return S * (n - node) / n;
    return (what == ALL_REDUCE ? 2 : 1) * (n - 1.0) / n * S / node;
}

double collective_seconds(const struct device *d, enum collective what, double bytes, int n)
{
    const int node = d->node ? d->node : 1;
    if (bytes <= 0 || (n < 2 && what != SEND))
        return 0;
    if (what == SEND && n <= node && d->link_pair)
        return d->link_latency + bytes / (d->link_share * d->link_pair);
    if (what == SEND)
        return d->network ? NETWORK_STEP + bytes / (NETWORK_SHARE * d->network) : INFINITY;
    if (n <= node)
        return within(d, what, bytes, n);
    if (!d->network)
        return INFINITY;
    const double nodes = ceil((double)n / node), inside = what == ALL_TO_ALL ? bytes * node / n : bytes;
    return fmax(within(d, what, inside, node), through_card(what, bytes, n, node) / (NETWORK_SHARE * d->network)) + 2 * ceil(log2(nodes)) * NETWORK_STEP;
}
