/* comm_watch.h - who of the ranks is still there: a thread in each, a TCP connection from each to rank 0, a byte each second.
 * Internal to train/.
 *
 * A process that ends lets go of its connection at once; one that stands still, or whose machine or network is gone, is missed
 * after 6 s.  Rank 0 says so on standard error and tells the others; where rank 0 is lost, each says so.  Messages: h (here), b (bye:
 * its end is no loss), and, with a length and a sentence, e (this rank failed, to rank 0) and l (the run is over, from rank 0).
 * Who still runs half a second after the run is over is ended by its watcher: it may be computing, or waiting for a disk. */
#ifndef TRAIN_COMM_WATCH_H
#define TRAIN_COMM_WATCH_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define WATCH_ADDRESSES 16
#define WATCH_TEXT 400
#define WATCH_NAME 160
#define WATCH_GOES_ON "; the run goes on from its last checkpoint when it is started again"

struct watch;
/* Where rank 0 listens. */
struct watch_place { uint64_t token; int n; struct sockaddr_in address[WATCH_ADDRESSES]; };

/* names: of the ranks, kept by the caller.  Rank 0 listens and fills place; the others are given it, and connect. */
int watch_new(struct watch **out, int rank, int size, const char (*names)[WATCH_NAME], struct watch_place *place, struct err *err);
void watch_free(struct watch *w);                /* says bye */
/* The run is over for a reason that lies elsewhere: text says which, and it has been said. */
bool watch_over(struct watch *w, char text[WATCH_TEXT]);
/* This rank failed: the others are told.  True when rank 0 has said it. */
bool watch_fail(struct watch *w, const char *text);

#endif
