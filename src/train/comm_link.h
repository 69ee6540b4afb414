/* comm_link.h - what comm.h asks of a network: to post a message, and to look whether it is through.  Internal to train/. */
#ifndef TRAIN_COMM_LINK_H
#define TRAIN_COMM_LINK_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define LINK_MESSAGE_MAX ((size_t)1 << 26)       /* bytes of a message */
enum { LINK_SEND, LINK_RECV, LINK_SLOTS };       /* one of each may be under way */

struct comm_link {
    int rank, size;
    bool any_thread;                             /* calls may come from any thread, one at a time; else from that which opened it */
    int (*post)(struct comm_link *l, int slot, int peer, void *data, size_t n, struct err *err);
    int (*poll)(struct comm_link *l, int slot, struct err *err);      /* 1: done */
    void (*close)(struct comm_link *l, bool orderly);                 /* frees it; not orderly: others may be gone */
};

/* Processes that the environment says were started together; 1: none but this. */
int mpi_env_size(void);
/* Opens libmpi and joins the others. */
int mpi_open(struct comm_link **out, struct err *err);

#endif
