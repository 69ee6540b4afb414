#include "serve/machine.h"
#include <pthread.h>
#include <stdint.h>
#include "base/mem.h"

/* A ticket each: a mutex alone may be taken again and again by who has just given it back. */
struct machine { pthread_mutex_t lock; pthread_cond_t turn; uint64_t n_given, now; };

int machine_new(struct machine **out, struct err *err)
{
    struct machine *m = *out = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory to share the machine");
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->turn, NULL);
    return 0;
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    pthread_cond_destroy(&m->turn);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

void machine_take(struct machine *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    for (const uint64_t mine = m->n_given++; m->now != mine;)
        pthread_cond_wait(&m->turn, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

void machine_give(struct machine *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->now++;
    pthread_cond_broadcast(&m->turn);
    pthread_mutex_unlock(&m->lock);
}
