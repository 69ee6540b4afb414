/* comm.h - how the processes of one training run, its ranks, talk.
 *
 * A program that Open MPI's mpirun (or Slurm's srun --mpi=pmix) started several times is one of comm_size() ranks.  libmpi is opened
 * at run time and only then: a program that was started by itself has one rank, needs no MPI, and every call returns at once.
 *
 * All ranks make the same calls in the same order.  Everything is made of one step, an exchange of messages by two ranks, so sums are
 * taken here, in the order of slices.h's tree, and not in whatever order a library likes; the number of ranks is a power of two.
 * A link (comm_link.h) that carries messages between devices can take the place of MPI's.
 *
 * A rank that fails tells the others, and each rank hears of every other once a second (comm_watch.h): when one is gone, calls
 * that wait return ERR_STOPPED with its name, and a rank that still computes half a second later is ended.
 * Threads: the one that runs the job, and comm_parts.h's.  No call allocates; comm_bytes() are taken by comm_open(). */
#ifndef TRAIN_COMM_H
#define TRAIN_COMM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct comm;

int comm_open(struct comm **out, struct err *err);
/* rc, err: how the run ended; ERR_STOPPED: all ranks have agreed to stop.  When it failed the others are told.  Where rank 0 will say
 * why, the message is taken out of err. */
void comm_close(struct comm *c, int rc, struct err *err);
/* Ranks first, first + stride, .. of c, `size` of them, a power of two, this one among them: a comm of their own, over the same link, for
 * calls that only they make.  Its ranks are numbered from 0.  c outlives it. */
int comm_group_new(struct comm **out, struct comm *c, int first, int stride, int size, struct err *err);
void comm_group_free(struct comm *group);
int comm_rank(const struct comm *c);             /* c may be NULL: rank 0 of 1 */
int comm_size(const struct comm *c);
const char *comm_name(const struct comm *c, int rank);      /* "rank 1 of 4 (host, process 4711)"; of several ranks only */
bool comm_is_here(const struct comm *c, int rank);          /* on this machine, by the host in its name; of several ranks only */
size_t comm_bytes(const struct comm *c);         /* memory that it has taken */

/* n_send bytes to peer and n_recv bytes from it, at the same time. */
int comm_exchange(struct comm *c, int peer, const void *send, size_t n_send, void *recv, size_t n_recv, struct err *err);
int comm_barrier(struct comm *c, struct err *err);
/* Rank 0's bytes to all. */
int comm_broadcast(struct comm *c, void *data, size_t n, struct err *err);
/* Piece i of base, bytes bound[i] .. bound[i + 1] - 1, is rank i's to give: all get all pieces.  bound[comm_size() + 1] ascends. */
int comm_all_gather(struct comm *c, void *base, const size_t *bound, struct err *err);
/* The same with pieces of `each` bytes. */
int comm_all_gather_equal(struct comm *c, void *base, size_t each, struct err *err);
/* Each rank has floats for all of base; afterwards its own piece is the sum over the ranks, ((0+1)+(2+3))+.., and the rest is void.
 * Bounds are multiples of 4. */
int comm_reduce_scatter(struct comm *c, void *base, const size_t *bound, struct err *err);

/* x[n] of each becomes the sum over the ranks, added in the same order and the same bits on all. */
int comm_all_reduce(struct comm *c, float *x, size_t n, struct err *err);
/* Bytes send_at[i] .. send_at[i + 1] - 1 of send go to rank i, and what each has for this one comes to recv_at[i] .. of recv: every two ranks agree
 * on how many. */
int comm_all_to_all(struct comm *c, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *err);

/* The same in parts, by another thread, while the caller computes: bytes from .. to - 1 of base are given as soon as they are what is to be
 * summed, in an order that is the same on all ranks, COMM_PARTS_MAX times at most; parts end at multiples of 4, and what is not given is left alone.
 * From begin to end there is no other call of c.  Only where comm_overlaps(): another thread may use the network. */
#define COMM_PARTS_MAX 256
bool comm_overlaps(const struct comm *c);
void comm_reduce_begin(struct comm *c, void *base, const size_t *bound);
void comm_reduce_part(struct comm *c, size_t from, size_t to);
int comm_reduce_end(struct comm *c, struct err *err);

/* Bytes that this rank has sent, in its groups too. */
struct comm_volume { uint64_t reduce_scatter, all_gather, all_reduce, all_to_all, other, n_message; double seconds; };
void comm_volume(const struct comm *c, struct comm_volume *out);

#endif
