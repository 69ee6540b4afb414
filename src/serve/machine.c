#include "serve/machine.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/mem.h"
#include "base/pool.h"

/* A ticket each: a mutex alone may be taken again and again by who has just given it back. */
struct machine {
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t n_given, now;
    double given;                            /* when it was given back by who was no spare one */
    double continued;
    atomic_int n_load;
    double spare_from, spare_next;           /* when spare work took it, 0: it has not; when it may again while others work */
};

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

void machine_give(struct machine *m, double continued)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    const double now = clock_wall();
    if (m->spare_from > 0)
        m->spare_next = now + (now - m->spare_from) * (1 / MACHINE_SPARE - 1), m->spare_from = 0;
    else
        m->given = now;
    m->now++, m->continued += continued;
    pthread_cond_broadcast(&m->turn);
    pthread_mutex_unlock(&m->lock);
}

double machine_continued(struct machine *m)
{
    if (!m)
        return 0;
    pthread_mutex_lock(&m->lock);
    const double seconds = m->continued;
    pthread_mutex_unlock(&m->lock);
    return seconds;
}

void machine_load_begin(struct machine *m)
{
    if (m)
        atomic_fetch_add(&m->n_load, 1);
}

void machine_load_end(struct machine *m)
{
    if (m)
        atomic_fetch_sub(&m->n_load, 1);
}

bool machine_loads(const struct machine *m) { return m && atomic_load_explicit(&m->n_load, memory_order_relaxed) > 0; }

/* Nobody has it or waits for it, and it is long enough since somebody has. */
static bool try_spare(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    const double now = clock_wall();
    const bool may = m->n_given == m->now && (now >= m->spare_next || now - m->given > MACHINE_IDLE_S);
    if (may)
        m->n_given++, m->spare_from = now;
    pthread_mutex_unlock(&m->lock);
    return may;
}

void machine_take_spare(struct machine *m, const atomic_bool *quit)
{
    while (m && !try_spare(m)) {
        if (atomic_load(quit)) {
            machine_take(m);
            return;
        }
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    }
}
