/* loader.h - batches of windows from a shard, in an order that is a pure function of (seed, step).
 *
 * Text: an epoch is a permutation of the shard's windows of ctx tokens, laid from an offset that differs from epoch to epoch.
 * A window that holds several documents becomes several sequences.
 *
 * Records and pairs: a record of n tokens takes n - 1 places of a window (its last token is only a target).  Records are packed
 * into windows of at most ctx places by best fit, longest first: which lengths share a window depends on the lengths alone,
 * which records of these lengths they are on (seed, epoch), and so does the order of the windows; the number of windows is the
 * same in every epoch.  What stays free in a window is not computed: a batch has batch.n tokens, at most batch * ctx.
 *
 * In both, sample number s of the run (s = step * batch + row) is window permute(seed, epoch, s mod n) of epoch s / n: nothing
 * has to be stored to go on after a restart.  Each sequence has its own positions, and attention never crosses from one to
 * another.  A target is -1 where the token is not learned. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H
#include "data/shard.h"

struct loader {
    const struct shard *shard;
    int batch, ctx;
    uint64_t seed;
    int64_t n_window;
    int64_t n_unit;            /* records or pairs; 0: a text */
    uint32_t *by_length;       /* [n_unit] units, longest first */
    uint32_t *slot;            /* [n_unit] places in by_length, window after window */
    uint32_t *first;           /* [n_window + 1] first slot of each window */
    int64_t n_place;           /* places that the units take in an epoch; of a text n_window * ctx */
    double n_key;              /* keys that a token sees on average */
};

/* One batch of n tokens in n_seq sequences.  The arrays are the caller's: ids, target, pos [batch * ctx], seq_start [batch * ctx + 1].
 * Of pairs, sequence 2i is a chosen and 2i + 1 the rejected answer. */
struct batch { int32_t *ids, *target, *pos, *seq_start; int n, n_seq; };

/* pack: records share windows; else each has its own.  ERR_USAGE when a text is shorter than one window and a target; a unit that is
 * longer than a window must not be in the shard. */
int loader_init(struct loader *l, const struct shard *s, int batch, int ctx, uint64_t seed, bool pack, struct err *err);
/* The same for a pass over all (loader_pass): a text may be as short as two tokens. */
int loader_init_pass(struct loader *l, const struct shard *s, int batch, int ctx, bool pack, struct err *err);
void loader_release(struct loader *l);
void loader_batch(const struct loader *l, uint64_t step, struct batch *out);
/* First token of sample s in the shard; of packed records the first record's. */
int64_t loader_offset(const struct loader *l, uint64_t sample);
/* Batch number i of one pass over the shard in its own order, up to about limit tokens; false when there is none left. */
bool loader_pass(const struct loader *l, int64_t i, int64_t limit, struct batch *out);

/* Records one by one, in the shard's order, whatever the loader's seed.  Of a text a record is ctx of its tokens, which stand in no
 * other: the last of them has no target. */
int64_t loader_n_record(const struct loader *l);
int loader_record_tokens(const struct loader *l, int64_t i);
/* The batch becomes these records, whose tokens it has room for. */
void loader_records(const struct loader *l, const int64_t *which, int n, struct batch *out);

#endif
