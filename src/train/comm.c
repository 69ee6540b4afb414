#include "train/comm.h"
#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/pool.h"
#include "train/comm_link.h"
#include "train/comm_parts.h"
#include "train/comm_watch.h"

#define CHUNK_BYTES ((size_t)1 << 20)            /* of a sum: what is received is added while it is in the cache */
#define RANKS_MAX 1024

struct comm {
    struct comm *all;                            /* of a group: what it is a group of, which counts what is sent; else itself */
    int first, stride;                           /* of the group's ranks among all */
    struct comm_link *link;                      /* NULL: this process is alone */
    struct watch *watch;
    struct comm_parts *parts;                    /* NULL: the network is the main thread's */
    int rank, size;
    char (*names)[WATCH_NAME];
    char *chunk;
    struct comm_volume volume;
    uint64_t sent;                               /* by all calls */
};

int comm_rank(const struct comm *c) { return c ? c->rank : 0; }
int comm_size(const struct comm *c) { return c ? c->size : 1; }
static int in_all(const struct comm *c, int rank) { return c->first + rank * c->stride; }
const char *comm_name(const struct comm *c, int rank) { return c->names[in_all(c, rank)]; }

/* "(host," of a name; hosts may hold anything but a bracket or a comma. */
bool comm_is_here(const struct comm *c, int rank)
{
    const char *mine = strchr(comm_name(c, c->rank), '('), *theirs = strchr(comm_name(c, rank), '(');
    const size_t n = strcspn(mine, ",");
    return n == strcspn(theirs, ",") && !memcmp(mine, theirs, n);
}

size_t comm_bytes(const struct comm *c) { return c && c->chunk ? mem_map_size(CHUNK_BYTES) : 0; }
void comm_volume(const struct comm *c, struct comm_volume *out) { *out = c->volume; }

/* ---- one exchange ---- */

static int over(struct comm *c, struct err *err)
{
    char text[WATCH_TEXT];
    return watch_over(c->watch, text) ? ERR(err, STOPPED, "%s" WATCH_GOES_ON, text) : 0;
}

/* A wait gives its core away: more ranks than cores are common where this is tried out. */
static void pause_after(int n)
{
    if (n > 4000)
        nanosleep(&(struct timespec){ 0, 50000 }, NULL);
    else if (n > 100)
        sched_yield();
}

static int wait_both(struct comm *c, bool send, bool recv, struct err *err)
{
    bool open[LINK_SLOTS] = { [LINK_SEND] = send, [LINK_RECV] = recv };
    for (int n = 0; open[LINK_SEND] || open[LINK_RECV]; n++) {
        for (int slot = 0; slot < LINK_SLOTS; slot++) {
            struct err said = { 0 };
            const int rc = open[slot] ? c->link->poll(c->link, slot, &said) : 0;
            if (rc < 0) {                        /* perhaps because a rank is gone, which the watcher names in a moment */
                nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
                TRY(over(c, err));
                return ERR(err, IO, "%s", said.msg);
            }
            open[slot] = open[slot] && !rc;
        }
        if (n % 64 == 63)
            TRY(over(c, err));
        pause_after(n);
    }
    return 0;
}

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* One message each way at most. */
static int exchange_once(struct comm *c, int peer, const void *send, size_t n_send, void *recv, size_t n_recv, struct err *err)
{
    if (n_recv)
        TRY(c->link->post(c->link, LINK_RECV, in_all(c, peer), recv, n_recv, err));
    if (n_send)
        TRY(c->link->post(c->link, LINK_SEND, in_all(c, peer), (void *)(uintptr_t)send, n_send, err));
    TRY(wait_both(c, n_send > 0, n_recv > 0, err));
    c->all->sent += n_send;
    c->all->volume.n_message += n_send > 0;
    return 0;
}

static int exchange(struct comm *c, int peer, const void *send, size_t n_send, void *recv, size_t n_recv, struct err *err)
{
    for (size_t at = 0; at < n_send || at < n_recv; at += LINK_MESSAGE_MAX) {
        const bool sends = at < n_send, receives = at < n_recv;
        TRY(exchange_once(c, peer, sends ? (const char *)send + at : NULL, sends ? min_size(n_send - at, LINK_MESSAGE_MAX) : 0, receives ? (char *)recv + at : NULL,
                          receives ? min_size(n_recv - at, LINK_MESSAGE_MAX) : 0, err));
    }
    return 0;
}

/* Around a call: what it sent and how long it took. */
struct mark { uint64_t sent; double begin; };
static struct mark mark(const struct comm *c) { return (struct mark){ c->all->sent, clock_wall() }; }
static void count(struct comm *c, struct mark m, uint64_t *kind)
{
    *kind += c->all->sent - m.sent;
    c->all->volume.seconds += clock_wall() - m.begin;
}

int comm_exchange(struct comm *c, int peer, const void *send, size_t n_send, void *recv, size_t n_recv, struct err *err)
{
    assert(peer != c->rank && peer >= 0 && peer < c->size);
    const struct mark m = mark(c);
    TRY(exchange(c, peer, send, n_send, recv, n_recv, err));
    count(c, m, &c->all->volume.other);
    return 0;
}

/* ---- all ranks ---- */

int comm_barrier(struct comm *c, struct err *err)
{
    if (comm_size(c) == 1)
        return 0;
    const struct mark m = mark(c);
    char mine = 0, theirs;
    for (int bit = 1; bit < c->size; bit *= 2)
        TRY(exchange(c, c->rank ^ bit, &mine, 1, &theirs, 1, err));
    count(c, m, &c->all->volume.other);
    return 0;
}

/* Who has the data gives it on: ranks below bit have it. */
int comm_broadcast(struct comm *c, void *data, size_t n, struct err *err)
{
    if (comm_size(c) == 1)
        return 0;
    const struct mark m = mark(c);
    for (int bit = 1; bit < c->size; bit *= 2) {
        if (c->rank < bit)
            TRY(exchange(c, c->rank | bit, data, n, NULL, 0, err));
        else if (c->rank < 2 * bit)
            TRY(exchange(c, c->rank ^ bit, NULL, 0, data, n, err));
    }
    count(c, m, &c->all->volume.other);
    return 0;
}

/* Before the step with `bit`, a rank has the pieces of all ranks that are equal to it in the bits below 2 * bit; after it, of those
 * equal in the bits below bit. */
static int gather(struct comm *c, void *base, const size_t *bound, struct err *err)
{
    char *p = base;
    for (int bit = c->size / 2; bit >= 1; bit /= 2)
        for (int i = 0; i < c->size; i += 2 * bit) {
            const int mine = (c->rank & (2 * bit - 1)) + i, theirs = mine ^ bit;
            TRY(exchange(c, c->rank ^ bit, p + bound[mine], bound[mine + 1] - bound[mine], p + bound[theirs], bound[theirs + 1] - bound[theirs], err));
        }
    return 0;
}

int comm_all_gather(struct comm *c, void *base, const size_t *bound, struct err *err)
{
    if (comm_size(c) == 1)
        return 0;
    const struct mark m = mark(c);
    TRY(gather(c, base, bound, err));
    count(c, m, &c->all->volume.all_gather);
    return 0;
}

static int gather_equal(struct comm *c, void *base, size_t each, struct err *err)
{
    size_t bound[RANKS_MAX + 1];
    for (int i = 0; i <= c->size; i++)
        bound[i] = (size_t)i * each;
    return gather(c, base, bound, err);
}

int comm_all_gather_equal(struct comm *c, void *base, size_t each, struct err *err)
{
    if (comm_size(c) == 1)
        return 0;
    const struct mark m = mark(c);
    TRY(gather_equal(c, base, each, err));
    count(c, m, &c->all->volume.other);
    return 0;
}

static void add(float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

/* Gives away piece `send` and adds what comes to piece `keep`, by chunks. */
static int exchange_and_add(struct comm *c, int peer, char *send, size_t n_send, char *keep, size_t n_keep, struct err *err)
{
    for (size_t at = 0; at < n_send || at < n_keep; at += CHUNK_BYTES) {
        const size_t n = at < n_keep ? min_size(n_keep - at, CHUNK_BYTES) : 0;
        TRY(exchange_once(c, peer, send + at, at < n_send ? min_size(n_send - at, CHUNK_BYTES) : 0, c->chunk, n, err));
        add((float *)(void *)(keep + at), (const float *)(const void *)c->chunk, n / sizeof(float));
    }
    return 0;
}

/* The all-gather backwards.  Neighbours first, so that sums grow like the tree's; a + b is b + a, so both sides may add alike. */
static int reduce(struct comm *c, void *base, const size_t *bound, struct err *err)
{
    char *p = base;
    for (int bit = 1; bit < c->size; bit *= 2)
        for (int i = 0; i < c->size; i += 2 * bit) {
            const int mine = (c->rank & (2 * bit - 1)) + i, theirs = mine ^ bit;
            TRY(exchange_and_add(c, c->rank ^ bit, p + bound[theirs], bound[theirs + 1] - bound[theirs], p + bound[mine], bound[mine + 1] - bound[mine], err));
        }
    return 0;
}

int comm_reduce_scatter(struct comm *c, void *base, const size_t *bound, struct err *err)
{
    if (comm_size(c) == 1)
        return 0;
    const struct mark m = mark(c);
    TRY(reduce(c, base, bound, err));
    count(c, m, &c->all->volume.reduce_scatter);
    return 0;
}

int comm_all_reduce(struct comm *c, float *x, size_t n, struct err *err)
{
    size_t bound[RANKS_MAX + 1];
    if (comm_size(c) == 1)
        return 0;
    const struct mark m = mark(c);
    for (int i = 0; i <= c->size; i++)
        bound[i] = n * (size_t)i / (size_t)c->size * sizeof *x;
    TRY(reduce(c, x, bound, err));
    TRY(gather(c, x, bound, err));
    count(c, m, &c->all->volume.all_reduce);
    return 0;
}

/* Round i pairs each rank with the one whose number differs in the bits of i. */
int comm_all_to_all(struct comm *c, const void *send, const size_t *send_at, void *recv, const size_t *recv_at, struct err *err)
{
    const int rank = comm_rank(c), size = comm_size(c);
    const char *from = send;
    char *to = recv;
    assert(send_at[rank + 1] - send_at[rank] == recv_at[rank + 1] - recv_at[rank]);
    memcpy(to + recv_at[rank], from + send_at[rank], send_at[rank + 1] - send_at[rank]);
    if (size == 1)
        return 0;
    const struct mark m = mark(c);
    for (int i = 1; i < size; i++) {
        const int peer = rank ^ i;
        TRY(exchange(c, peer, from + send_at[peer], send_at[peer + 1] - send_at[peer], to + recv_at[peer], recv_at[peer + 1] - recv_at[peer], err));
    }
    count(c, m, &c->all->volume.all_to_all);
    return 0;
}

/* ---- in parts ---- */

static int parts_over(void *c, struct err *err) { return over(c, err); }

bool comm_overlaps(const struct comm *c) { return c && c->parts; }
void comm_reduce_begin(struct comm *c, void *base, const size_t *bound) { comm_parts_begin(c->parts, base, bound); }
void comm_reduce_part(struct comm *c, size_t from, size_t to) { comm_parts_give(c->parts, from, to); }

int comm_reduce_end(struct comm *c, struct err *err)
{
    const struct mark m = mark(c);
    const int rc = comm_parts_end(c->parts, &c->sent, &c->volume.n_message, err);
    count(c, m, &c->volume.reduce_scatter);
    return rc;
}

/* ---- begin and end ---- */

static int name_all(struct comm *c, struct err *err)
{
    char host[64] = "?";
    gethostname(host, sizeof host - 1);
    if (!(c->names = mem_alloc_array((size_t)c->size, sizeof *c->names)))
        return ERR(err, NOMEM, "no memory for the names of %d processes", c->size);
    snprintf(c->names[c->rank], sizeof *c->names, "rank %d of %d (%s, process %ld)", c->rank, c->size, host, (long)getpid());
    return gather_equal(c, c->names, sizeof *c->names, err);
}

/* Whether sums are exchanged in parts is the same everywhere, whatever MPI a machine has. */
static int any_thread_of_all(struct comm *c, bool *all, struct err *err)
{
    char any[RANKS_MAX];
    any[c->rank] = c->link->any_thread;
    TRY(gather_equal(c, any, 1, err));
    *all = !memchr(any, 0, (size_t)c->size);
    return 0;
}

static int join(struct comm *c, struct err *err)
{
    bool any_thread;
    TRY(mpi_open(&c->link, err));
    c->rank = c->link->rank, c->size = c->link->size;
    if (c->size < 1 || c->size > RANKS_MAX || c->size & (c->size - 1))
        return ERR(err, USAGE, "there are %d processes, expected a power of two up to %d", c->size, RANKS_MAX);
    if (c->size == 1)
        return 0;
    if (!(c->chunk = mem_map(CHUNK_BYTES)))
        return ERR(err, NOMEM, "no memory to exchange gradients");
    TRY(name_all(c, err));
    struct watch_place place = { 0 };
    if (c->rank == 0)
        TRY(watch_new(&c->watch, c->rank, c->size, (const char (*)[WATCH_NAME])c->names, &place, err));
    TRY(comm_broadcast(c, &place, sizeof place, err));
    if (c->rank)
        TRY(watch_new(&c->watch, c->rank, c->size, (const char (*)[WATCH_NAME])c->names, &place, err));
    TRY(any_thread_of_all(c, &any_thread, err));
    if (any_thread)
        TRY(comm_parts_new(&c->parts, c->link, c->chunk, CHUNK_BYTES, parts_over, c, err));
    TRY(comm_barrier(c, err));
    c->volume = (struct comm_volume){ 0 };
    return 0;
}

int comm_open(struct comm **out, struct err *err)
{
    struct comm *c = mem_alloc_zero(sizeof *c);
    if (!c)
        return ERR(err, NOMEM, "no memory to begin");
    c->size = 1, c->all = c, c->stride = 1;
    const int rc = mpi_env_size() > 1 ? join(c, err) : 0;
    if (rc)
        comm_close(c, rc, err);
    else
        *out = c;
    return rc;
}

int comm_group_new(struct comm **out, struct comm *c, int first, int stride, int size, struct err *err)
{
    const int rank = (c->rank - first) / stride;
    assert(size >= 1 && !(size & (size - 1)) && rank >= 0 && rank < size && first + rank * stride == c->rank && first + (size - 1) * stride < c->size);
    struct comm *g = *out = mem_alloc_zero(sizeof *g);
    if (!g)
        return ERR(err, NOMEM, "no memory for a group of %d processes", size);
    *g = *c;
    g->rank = rank, g->size = size, g->first = in_all(c, first), g->stride = c->stride * stride;
    return 0;
}

void comm_group_free(struct comm *group) { mem_free(group); }

/* Tells the others why this rank ends.  What was said need not be said again. */
static void tell(struct comm *c, struct err *err)
{
    char ignored[WATCH_TEXT];
    if (watch_over(c->watch, ignored) || watch_fail(c->watch, err->msg))
        err->msg[0] = 0;
}

/* mpirun drops what a process wrote just before it ended, when it is ending all of them. */
static void linger(void) { nanosleep(&(struct timespec){ 0, 300000000 }, NULL); }

void comm_close(struct comm *c, int rc, struct err *err)
{
    if (!c)
        return;
    struct err ignored = { 0 };
    const bool agreed = !rc || (rc == ERR_STOPPED && c->watch && !over(c, &ignored));      /* all end alike */
    if (!agreed && c->watch && err)
        tell(c, err);
    if (rc && c->watch)                          /* also of a stop: rank 0 has to say it before mpirun ends it with the first that is gone */
        atexit(linger);
    const bool orderly = agreed && comm_barrier(c, &ignored) >= 0;
    if (agreed && c->rank && err)
        err->msg[0] = 0;
    comm_parts_free(c->parts);
    watch_free(c->watch);
    if (c->link)
        c->link->close(c->link, orderly);
    mem_unmap(c->chunk, CHUNK_BYTES);
    mem_free(c->names);
    mem_free(c);
}
