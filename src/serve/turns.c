#include "serve/turns.h"
#include <pthread.h>
#include "base/mem.h"
#include "serve/machine.h"

struct turns {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct turn *first;                  /* by rounds */
    uint64_t round; int tenant;          /* of the last piece that was begun */
    int n, n_max;
    bool halts, has_thread;
    pthread_t thread;
    struct machine *machine;
    void (*after)(void *ctx);
    void *ctx;
};

/* A tenant has one piece in each round: behind all of its own, and of others' before that round. */
static void put(struct turns *t, struct turn *w)
{
    struct turn **at = &t->first;
    w->round = t->round + (w->tenant == t->tenant);
    for (const struct turn *i = t->first; i; i = i->next)
        if (i->tenant == w->tenant && i->round >= w->round)
            w->round = i->round + 1;
    while (*at && (*at)->round <= w->round)
        at = &(*at)->next;
    w->next = *at, *at = w;
}

/* With the lock held, as batch.c has it: some places are left for others. */
static int check(const struct turns *t, const struct turn *w, struct err *err)
{
    int mine = 0;
    if (t->halts)
        return ERR(err, STOPPED, "nothing more is taken on");
    if (t->n >= t->n_max)
        return ERR(err, BUSY, "%d requests are waiting already", t->n);
    for (const struct turn *i = t->first; i && w->tenant; i = i->next)
        mine += i->tenant == w->tenant;
    return mine < t->n_max - t->n ? 0 : ERR(err, BUSY, "%d requests of yours are waiting already, and %d places are left for all", mine, t->n_max - t->n);
}

/* The first one's piece; then it waits again.  Called and returns with the lock held. */
static void one_piece(struct turns *t)
{
    struct turn *w = t->first;
    const bool stop = t->halts;
    t->first = w->next, t->round = w->round, t->tenant = w->tenant;
    pthread_mutex_unlock(&t->lock);
    machine_take(t->machine);
    const bool more = w->piece(w->ctx, stop) && !stop;      /* w may be gone */
    machine_give(t->machine, 0);
    if (t->after)
        t->after(t->ctx);
    pthread_mutex_lock(&t->lock);
    if (more)
        put(t, w);
    else
        t->n--;
}

static void *work(void *ctx)
{
    struct turns *t = ctx;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->first && !t->halts)
            pthread_cond_wait(&t->wake, &t->lock);
        if (!t->first)
            break;
        one_piece(t);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int turns_new(struct turns **out, int n_max, struct machine *machine, void (*after)(void *ctx), void *ctx, struct err *err)
{
    struct turns *t = *out = mem_alloc_zero(sizeof *t);
    if (!t)
        return ERR(err, NOMEM, "no memory for a queue");
    t->n_max = n_max, t->machine = machine, t->after = after, t->ctx = ctx;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->has_thread = !pthread_create(&t->thread, NULL, work, t);
    if (t->has_thread)
        return 0;
    turns_free(t);
    *out = NULL;
    return ERR(err, NOMEM, "cannot start a thread");
}

void turns_free(struct turns *t)
{
    if (!t)
        return;
    turns_halt(t);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

int turns_add(struct turns *t, struct turn *w, struct err *err)
{
    pthread_mutex_lock(&t->lock);
    const int rc = check(t, w, err);
    if (!rc) {
        put(t, w);
        t->n++;
        pthread_cond_signal(&t->wake);
    }
    pthread_mutex_unlock(&t->lock);
    return rc;
}

int turns_count(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    const int n = t->n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void turns_halt(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    const bool join = t->has_thread;
    t->halts = true, t->has_thread = false;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (join)
        pthread_join(t->thread, NULL);
}
