/* collective.h - how long devices take to exchange: sums, gathers and messages, by the links of a node and the network between nodes.
 *
 * Of n devices of a node, each reaches bw(n) = link_share * { link_pair for 2; min(link, (n - 1) link_pair) for more }: a full mesh (xGMI) has few links to
 * few devices, a switch has all to any.  The library is taken to choose what is fastest, as with products:
 *
 *     all-reduce of S bytes   l + (n - 1) S / d        one shot: each reads all of the others'              l = link_latency (1 + (n - 1) / link_peers)
 *                             1.3 l + 2 (n-1)/n S / d  two shots: a part of the sum each, then all parts    d = DIRECT bw
 *                             f + 2 (n-1)/n S / bw     a ring, filled: long messages                        f = FILL link_latency
 *                             f + (n+1)/n S / r        the switch adds (NVLink SHARP)                       r = link * reduce_share
 *     all-gather, reduce-scatter, all-to-all           (n-1)/n S at d with a first step, or at bw, filled
 *
 * Across nodes all network cards of a node work at once, and a ring crosses each node's border once: (n-1)/n S (twice for a sum) by node cards,
 * at NETWORK_SHARE of their speed, beside the links within, and a tree's 2 log2(nodes) steps of NETWORK_STEP.  That is what NCCL reaches
 * on 4 x 8 B200 (47.7 of 50 GB/s a card) and RCCL on 2 x 8 (45), better than the sum of a hierarchy's parts.
 *
 * bench/device_fit fits link_share, link_latency and reduce_share of a device to measured exchanges and prints the error.
 * Pure functions: any thread. */
#ifndef PLAN_COLLECTIVE_H
#define PLAN_COLLECTIVE_H
#include "plan/device.h"

enum collective { ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, SEND, N_COLLECTIVE };
const char *collective_name(enum collective what);      /* "all-reduce" ... */

/* Seconds for n devices, a node's or, where there are more than those, nodes full of them.  bytes: of the whole array, which each device has before
 * (ALL_REDUCE, REDUCE_SCATTER, ALL_TO_ALL) or after (ALL_GATHER).  SEND: of the message, to a device of the same node if n is at most a node's, else to
 * another node.  0 for n = 1 (and not SEND) or no bytes; infinite where there is neither link nor network. */
double collective_seconds(const struct device *d, enum collective what, double bytes, int n);

#endif
