#include "train/saver.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/pool.h"

enum phase { IDLE, WRITING, ENDED, QUIT };

struct saver {
    struct saver_job job;
    struct decoder copied;               /* job.d with weights and moments in `copy` */
    struct graph graph;
    char *copy;                          /* of all that training changes, one after the other */
    struct train_state state;
    struct save_report report;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;                /* of phase; the rest belongs to the writer while it is WRITING, else to the loop */
    pthread_cond_t changed;
    enum phase phase;
};

bool saver_copies(const struct tensor *t) { return (t->kind == TENSOR_WEIGHT && t->grad >= 0) || t->kind == TENSOR_MOMENT || t->steered; }

static bool copies(const struct graph *g, const struct tensor *t) { return g->device ? t->steered : saver_copies(t); }

static size_t copied_bytes(const struct graph *g)
{
    size_t n = 0;
    for (int i = 0; i < g->n_tensor; i++)
        n += copies(g, &g->tensor[i]) ? (g->tensor[i].bytes + 63) / 64 * 64 : 0;
    return n;
}

size_t saver_bytes(const struct graph *g) { return mem_map_size(copied_bytes(g)); }

static void set_phase(struct saver *s, enum phase phase)
{
    pthread_mutex_lock(&s->lock);
    s->phase = phase;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Waits while the phase is `phase`; what it is then. */
static enum phase wait_while(struct saver *s, enum phase phase)
{
    pthread_mutex_lock(&s->lock);
    while (s->phase == phase)
        pthread_cond_wait(&s->changed, &s->lock);
    const enum phase now = s->phase;
    pthread_mutex_unlock(&s->lock);
    return now;
}

static enum phase phase_now(const struct saver *s)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->lock;
    pthread_mutex_lock(lock);
    const enum phase now = s->phase;
    pthread_mutex_unlock(lock);
    return now;
}

static void write_out(struct saver *s, struct decoder *d)
{
    const double begin = clock_wall();
    s->report.step = s->state.step;
    err_clear(&s->report.err);
    s->report.rc = checkpoint_save(s->job.dir, d, s->job.l, s->job.tok, &s->state, s->job.keep, s->job.every, &s->report.err);
    s->report.seconds = s->report.waited + clock_wall() - begin;
}

static void *writer(void *ctx)
{
    struct saver *s = ctx;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 10);       /* hashing may wait; the steps' threads may not */
    for (;;) {
        enum phase phase = phase_now(s);
        while (phase == IDLE || phase == ENDED)
            phase = wait_while(s, phase);
        if (phase == QUIT)
            return NULL;
        write_out(s, &s->copied);
        set_phase(s, ENDED);
    }
}

/* A decoder like job.d whose weights and moments lie in the copy; what never changes stays where it is. */
static int make_copied(struct saver *s, struct err *err)
{
    const struct graph *g = s->job.d->g;
    s->graph = *g;
    s->copied = *s->job.d;
    s->copied.g = &s->graph;
    s->graph.tensor = mem_alloc_array((size_t)g->n_tensor, sizeof *g->tensor);
    const size_t bytes = copied_bytes(g);
    s->copy = bytes ? mem_map(bytes) : NULL;
    if (!s->graph.tensor || (bytes && !s->copy))
        return ERR(err, NOMEM, "no memory for the copy that checkpoints are written from");
    memcpy(s->graph.tensor, g->tensor, (size_t)g->n_tensor * sizeof *g->tensor);
    size_t at = 0;
    for (int i = 0; i < g->n_tensor; i++)
        if (copies(g, &g->tensor[i])) {
            s->graph.tensor[i].data = s->copy + at;
            at += (g->tensor[i].bytes + 63) / 64 * 64;
        }
    return 0;
}

int saver_new(struct saver **out, const struct saver_job *job, bool copy, struct err *err)
{
    struct saver *s = *out = mem_alloc_array(1, sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory to save checkpoints");
    s->job = *job;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    int rc = copy ? make_copied(s, err) : 0;
    if (!rc && copy && pthread_create(&s->thread, NULL, writer, s))
        rc = ERR(err, NOMEM, "the system refuses a thread that writes checkpoints");
    s->started = !rc && copy;
    return rc;
}

void saver_free(struct saver *s)
{
    if (!s)
        return;
    if (s->started) {
        wait_while(s, WRITING);
        set_phase(s, QUIT);
        pthread_join(s->thread, NULL);
    }
    mem_unmap(s->copy, s->copy ? copied_bytes(&s->graph) : 0);
    mem_free(s->graph.tensor);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

#define COPY_BLOCK ((size_t)1 << 20)
struct copy_job { const char *from; char *to; size_t n; };

static void copy_block(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    const struct copy_job *j = ctx;
    const size_t at = (size_t)i * COPY_BLOCK;
    memcpy(j->to + at, j->from + at, j->n - at < COPY_BLOCK ? j->n - at : COPY_BLOCK);
}

void saver_begin(struct saver *s, const struct train_state *state)
{
    assert(s->started && phase_now(s) == IDLE);
    const double begin = clock_wall();
    const struct graph *g = s->job.d->g;
    for (int i = 0; i < g->n_tensor; i++)
        if (copies(g, &g->tensor[i])) {
            struct copy_job j = { g->tensor[i].data, s->graph.tensor[i].data, g->tensor[i].bytes };
            pool_for(g->pool, (int)((j.n + COPY_BLOCK - 1) / COPY_BLOCK), copy_block, &j);
        }
    s->state = *state;
    s->report.waited = clock_wall() - begin;
    set_phase(s, WRITING);
}

bool saver_busy(const struct saver *s) { return phase_now(s) != IDLE; }

bool saver_poll(struct saver *s, bool wait, struct save_report *r)
{
    if ((wait ? wait_while(s, WRITING) : phase_now(s)) != ENDED)
        return false;
    *r = s->report;
    set_phase(s, IDLE);
    return true;
}

struct save_report saver_now(struct saver *s, const struct train_state *state)
{
    assert(phase_now(s) == IDLE);
    s->state = *state;
    s->report.waited = 0;
    write_out(s, s->job.d);
    s->report.waited = s->report.seconds;
    return s->report;
}
