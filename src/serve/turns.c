#include "serve/turns.h"
#include <pthread.h>
#include "base/mem.h"
#include "serve/machine.h"

struct turns {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct turn *first, *last;
    int n, n_max;
    bool halts, has_thread;
    pthread_t thread;
    struct machine *machine;
    void (*after)(void *ctx);
    void *ctx;
};

static void put_last(struct turns *t, struct turn *w)
{
    w->next = NULL;
    if (t->first)
        t->last->next = w;
    else
        t->first = w;
    t->last = w;
}

/* The first one's piece; then it is the last in line.  Called and returns with the lock held. */
static void one_piece(struct turns *t)
{
    struct turn *w = t->first;
    const bool stop = t->halts;
    t->first = w->next;
    pthread_mutex_unlock(&t->lock);
    machine_take(t->machine);
    const bool more = w->piece(w->ctx, stop) && !stop;      /* w may be gone */
    machine_give(t->machine);
    if (t->after)
        t->after(t->ctx);
    pthread_mutex_lock(&t->lock);
    if (more)
        put_last(t, w);
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
    const int n = t->n;
    const bool halts = t->halts, may = !halts && n < t->n_max;
    if (may) {
        put_last(t, w);
        t->n++;
        pthread_cond_signal(&t->wake);
    }
    pthread_mutex_unlock(&t->lock);
    return may ? 0 : halts ? ERR(err, STOPPED, "nothing more is taken on") : ERR(err, BUSY, "%d requests are waiting already", n);
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
