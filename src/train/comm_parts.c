#include "train/comm_parts.h"
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "train/comm.h"

/* Where sending, or receiving, is: byte `at` of piece i of the ranks `bit` apart, of a part. */
struct cursor { int part, bit, i; size_t at, under_way; };

struct part { size_t from, to; };

struct comm_parts {
    struct comm_link *link;
    char *buffer; size_t size;
    int (*over)(void *ctx, struct err *err); void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;                        /* of all below that is not the thread's own */
    pthread_cond_t wake, done;
    bool quit, closed, idle;                     /* closed: no more parts come; idle: all that was given is through, or failed */
    atomic_int n_part;
    struct part part[COMM_PARTS_MAX];
    /* From the first part to the end the thread's own. */
    char *base; const size_t *bound;
    struct cursor cursor[LINK_SLOTS];
    uint64_t sent, n_message;
    int rc; struct err err;
};

/* ---- the order of messages ---- */

static struct part piece_of(const struct comm_parts *p, int slot, const struct cursor *c)
{
    const int mine = (p->link->rank & (2 * c->bit - 1)) + c->i, piece = slot == LINK_SEND ? mine ^ c->bit : mine;
    const struct part *all = &p->part[c->part];
    const size_t from = p->bound[piece] > all->from ? p->bound[piece] : all->from, to = p->bound[piece + 1] < all->to ? p->bound[piece + 1] : all->to;
    return (struct part){ from, to > from ? to : from };
}

/* To the next byte that is to be sent, or received; false: there is none yet. */
static bool seek(const struct comm_parts *p, int slot, struct cursor *c, int n_part)
{
    while (c->part < n_part) {
        const struct part piece = piece_of(p, slot, c);
        if (piece.from + c->at < piece.to)
            return true;
        c->at = 0;
        if ((c->i += 2 * c->bit) < p->link->size)
            continue;
        c->i = 0;
        if ((c->bit *= 2) < p->link->size)
            continue;
        c->bit = 1, c->part++;
    }
    return false;
}

/* What is sent to ranks `bit` apart has first got what nearer ones have. */
static bool may_send(const struct comm_parts *p)
{
    const struct cursor *s = &p->cursor[LINK_SEND], *r = &p->cursor[LINK_RECV];
    return r->part > s->part || (r->part == s->part && r->bit >= s->bit);
}

static int begin_message(struct comm_parts *p, int slot, int n_part, struct err *err)
{
    struct cursor *c = &p->cursor[slot];
    if (c->under_way || !seek(p, slot, c, n_part) || (slot == LINK_SEND && !may_send(p)))
        return 0;
    const struct part piece = piece_of(p, slot, c);
    const size_t left = piece.to - piece.from - c->at, n = left < p->size ? left : p->size;
    TRY(p->link->post(p->link, slot, p->link->rank ^ c->bit, slot == LINK_SEND ? p->base + piece.from + c->at : p->buffer, n, err));
    c->under_way = n;
    return 0;
}

static void add(float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

static int end_message(struct comm_parts *p, int slot, struct err *err)
{
    struct cursor *c = &p->cursor[slot];
    if (!c->under_way)
        return 0;
    const int done = p->link->poll(p->link, slot, err);
    if (done <= 0)
        return done;
    if (slot == LINK_RECV)
        add((float *)(void *)(p->base + piece_of(p, slot, c).from + c->at), (const float *)(const void *)p->buffer, c->under_way / sizeof(float));
    else
        p->sent += c->under_way, p->n_message++;
    c->at += c->under_way, c->under_way = 0;
    return 0;
}

/* ---- the thread ---- */

/* Leaves the cores to those that compute. */
static void pause_after(int n)
{
    if (n > 100)
        nanosleep(&(struct timespec){ 0, 50000 }, NULL);
    else
        sched_yield();
}

/* Until all parts that were given are through. */
static int exchange_parts(struct comm_parts *p, struct err *err)
{
    for (int n = 0;; n++) {
        const int n_part = atomic_load(&p->n_part);
        const uint64_t at = p->cursor[LINK_SEND].at + p->cursor[LINK_RECV].at;
        for (int slot = LINK_SLOTS - 1; slot >= 0; slot--) {       /* receiving may let sending go on */
            struct err said = { 0 };
            int rc = begin_message(p, slot, n_part, &said);
            if (!rc)
                rc = end_message(p, slot, &said);
            if (rc < 0) {                        /* perhaps because a rank is gone, which the watcher names in a moment */
                nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
                TRY(p->over(p->ctx, err));
                return ERR(err, IO, "%s", said.msg);
            }
        }
        const bool receives = seek(p, LINK_RECV, &p->cursor[LINK_RECV], n_part), sends = seek(p, LINK_SEND, &p->cursor[LINK_SEND], n_part);
        if (!receives && !sends)
            return 0;
        n = p->cursor[LINK_SEND].at + p->cursor[LINK_RECV].at != at ? 0 : n;
        if (n % 64 == 63)
            TRY(p->over(p->ctx, err));
        pause_after(n);
    }
}

static void *parts_thread(void *ctx)
{
    struct comm_parts *p = ctx;
    pthread_mutex_lock(&p->lock);
    while (!p->quit) {
        const int n_part = atomic_load(&p->n_part);
        if (!p->rc && (p->cursor[LINK_SEND].part < n_part || p->cursor[LINK_RECV].part < n_part)) {
            pthread_mutex_unlock(&p->lock);
            const int rc = exchange_parts(p, &p->err);
            pthread_mutex_lock(&p->lock);
            p->rc = rc;
            continue;
        }
        p->idle = p->closed;
        if (p->idle)
            pthread_cond_signal(&p->done);
        pthread_cond_wait(&p->wake, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- for the others ---- */

int comm_parts_new(struct comm_parts **out, struct comm_link *link, char *buffer, size_t size, int (*over)(void *ctx, struct err *err), void *ctx, struct err *err)
{
    assert(link->any_thread && link->size > 1);
    struct comm_parts *p = mem_alloc_zero(sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory to exchange gradients");
    p->link = link, p->buffer = buffer, p->size = size, p->over = over, p->ctx = ctx;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);        /* signals are the main thread's */
    const int rc = pthread_create(&p->thread, NULL, parts_thread, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        mem_free(p);
        return ERR(err, IO, "no thread to exchange gradients: %s", strerror(rc));
    }
    *out = p;
    return 0;
}

void comm_parts_free(struct comm_parts *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

void comm_parts_begin(struct comm_parts *p, char *base, const size_t *bound)
{
    pthread_mutex_lock(&p->lock);
    p->base = base, p->bound = bound, p->closed = p->idle = false;
    p->sent = p->n_message = 0;
    atomic_store(&p->n_part, 0);
    for (int i = 0; i < LINK_SLOTS; i++)
        p->cursor[i] = (struct cursor){ .bit = 1 };
    pthread_mutex_unlock(&p->lock);
}

void comm_parts_give(struct comm_parts *p, size_t from, size_t to)
{
    pthread_mutex_lock(&p->lock);
    const int n = atomic_load(&p->n_part);
    assert(n < COMM_PARTS_MAX && !p->closed);
    p->part[n] = (struct part){ from, to };
    atomic_store(&p->n_part, n + 1);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

int comm_parts_end(struct comm_parts *p, uint64_t *bytes, uint64_t *n_message, struct err *err)
{
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    pthread_cond_signal(&p->wake);
    while (!p->idle)
        pthread_cond_wait(&p->done, &p->lock);
    const int rc = p->rc;
    *bytes += p->sent, *n_message += p->n_message;
    if (rc)
        *err = p->err;
    pthread_mutex_unlock(&p->lock);
    return rc;
}
