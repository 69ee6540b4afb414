/* loader.h - batches of windows from a shard, in an order that is a pure function of (seed, step).
 *
 * An epoch is a permutation of the shard's windows of ctx tokens, laid from an offset that differs from epoch to epoch.
 * Sample number s of the run (s = step * batch + row) is window permute(seed, epoch, s mod n) of epoch s / n: nothing has to
 * be stored to go on after a restart.  A window that holds several documents becomes several sequences, each with its own
 * positions: attention never crosses from one document to another. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H
#include "data/shard.h"

struct loader { const struct shard *shard; int batch, ctx; uint64_t seed; int64_t n_window; };

/* One batch of T = batch * ctx tokens.  The arrays are the caller's: ids, target, pos [T], seq_start [T + 1]. */
struct batch { int32_t *ids, *target, *pos, *seq_start; int n_seq; };

/* ERR_USAGE when the shard is shorter than one window and a target. */
int loader_init(struct loader *l, const struct shard *s, int batch, int ctx, uint64_t seed, struct err *err);
/* First token of sample s in the shard. */
int64_t loader_offset(const struct loader *l, uint64_t sample);
void loader_batch(const struct loader *l, uint64_t step, struct batch *out);
/* n <= ctx tokens from `at` on as row `row` (rows ascending from 0); the rest of the row is not counted. */
void loader_row(const struct shard *s, int64_t at, int n, int ctx, int row, struct batch *out);

#endif
