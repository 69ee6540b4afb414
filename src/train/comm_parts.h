/* comm_parts.h - a reduce-scatter in parts, by a thread of its own, while the thread that runs the job computes what comes next.
 * Internal to train/; comm.h says how it is used.
 *
 * The sums are those of comm_reduce_scatter(): of each part the pieces that belong to others are given away, neighbours first.  Sending and
 * receiving go on independently of each other, each in the order (part, distance, piece), which is the same on all ranks: of all messages
 * that are not through, the first in that order waits for none, so that the rest cannot wait for ever. */
#ifndef TRAIN_COMM_PARTS_H
#define TRAIN_COMM_PARTS_H
#include <stdint.h>
#include "train/comm_link.h"

struct comm_parts;

/* Borrowed: the link, whose any_thread is set, and a buffer of `size` bytes for what is received.  over: is the run over? */
int comm_parts_new(struct comm_parts **out, struct comm_link *link, char *buffer, size_t size, int (*over)(void *ctx, struct err *err), void *ctx, struct err *err);
void comm_parts_free(struct comm_parts *p);
void comm_parts_begin(struct comm_parts *p, char *base, const size_t *bound);
void comm_parts_give(struct comm_parts *p, size_t from, size_t to);
/* Waits for all that was given.  Adds what was sent. */
int comm_parts_end(struct comm_parts *p, uint64_t *bytes, uint64_t *n_message, struct err *err);

#endif
