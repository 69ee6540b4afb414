/* pool.c - fork and join.  Thread 0 is the caller.
 *
 * Items are handed out in chunks: at most 2^20 per loop, so that a thread's range of chunks fits one 64-bit word with the
 * loop's number: epoch 24 bits, first 20, last 20.  A claim is one compare-and-swap on that word: an owner takes from the
 * front, a thief from the back.  The epoch in the word keeps a thread that comes late from touching the next loop. */
#include "base/pool.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

#define SPIN_S 100e-6          /* a waiter spins so long before it sleeps: waking takes 30 us or more */
#define SPIN_CHECK 64          /* pauses (10 to 50 ns each) between looks at the clock */
#define MAX_CHUNKS (1 << 20)

struct range { _Alignas(128) _Atomic uint64_t word; };

struct worker { struct pool *pool; int self; pthread_t thread; };

struct pool {
    _Atomic(pool_fn) fn;
    void *_Atomic ctx;
    _Atomic int chunk, n_item, n_chunk, n_range;      /* ranges: one for each thread, or for each chunk if those are fewer */
    int n_thread, n_started;
    _Atomic bool stop;
    struct range *range;
    struct worker *worker;
    _Alignas(128) _Atomic uint32_t epoch;
    _Alignas(128) _Atomic uint32_t done;
    _Alignas(128) _Atomic uint32_t sleepers, caller_sleeps;
};

static inline void relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0); }
static void futex_wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0); }

/* Spins while *word is what was seen, for SPIN_S at most. */
static void spin(_Atomic uint32_t *word, uint32_t seen)
{
    for (int i = 0; i < SPIN_CHECK; i++, relax())             /* most waits end here, without a clock */
        if (atomic_load_explicit(word, memory_order_acquire) != seen)
            return;
    const double end = clock_wall() + SPIN_S;
    do
        for (int i = 0; i < SPIN_CHECK; i++, relax())
            if (atomic_load_explicit(word, memory_order_acquire) != seen)
                return;
    while (clock_wall() < end);
}

/* One chunk of a range of this epoch, or -1. */
static int claim(struct range *r, uint32_t epoch, bool front)
{
    uint64_t w = atomic_load_explicit(&r->word, memory_order_acquire);
    for (;;) {
        const int lo = (int)(w >> 20 & 0xfffff), hi = (int)(w & 0xfffff);
        if (w >> 40 != (epoch & 0xffffff) || lo >= hi)
            return -1;
        const uint64_t next = front ? w + (1u << 20) : w - 1;
        if (atomic_compare_exchange_weak_explicit(&r->word, &w, next, memory_order_acq_rel, memory_order_acquire))
            return front ? lo : hi - 1;
    }
}

static void work(struct pool *p, int self, uint32_t epoch)
{
    const int n_range = atomic_load_explicit(&p->n_range, memory_order_relaxed);
    for (int i = 0; i < n_range; i++) {
        struct range *r = &p->range[(self + i) % n_range];
        for (int c; (c = claim(r, epoch, i == 0)) >= 0;) {     /* a claimed chunk keeps fn and ctx valid */
            const pool_fn fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
            void *ctx = atomic_load_explicit(&p->ctx, memory_order_relaxed);
            const int chunk = atomic_load_explicit(&p->chunk, memory_order_relaxed), n_item = atomic_load_explicit(&p->n_item, memory_order_relaxed);
            const int64_t first = (int64_t)c * chunk, last = first + chunk < n_item ? first + chunk : n_item;
            const uint32_t n_chunk = (uint32_t)atomic_load_explicit(&p->n_chunk, memory_order_relaxed);
            for (int64_t k = first; k < last; k++)
                fn(ctx, (int)k, self);
            const uint32_t done = atomic_fetch_add(&p->done, 1) + 1;
            if (self && done == n_chunk && atomic_load(&p->caller_sleeps))
                futex_wake(&p->done);
        }
    }
}

static void *worker_main(void *arg)
{
    const struct worker *w = arg;
    struct pool *p = w->pool;
    uint32_t seen = 0;
    for (;;) {
        spin(&p->epoch, seen);
        while (atomic_load_explicit(&p->epoch, memory_order_acquire) == seen) {
            atomic_fetch_add(&p->sleepers, 1);
            futex_wait(&p->epoch, seen);
            atomic_fetch_sub(&p->sleepers, 1);
        }
        seen = atomic_load(&p->epoch);
        if (atomic_load(&p->stop))
            return NULL;
        work(p, w->self, seen);
    }
}

void pool_for(struct pool *p, int n_item, pool_fn fn, void *ctx)
{
    if (p->n_thread == 1 || n_item <= 1) {
        for (int i = 0; i < n_item; i++)
            fn(ctx, i, 0);
        return;
    }
    const int chunk = n_item <= MAX_CHUNKS - 1 ? 1 : n_item / (MAX_CHUNKS / 2) + 1;
    const int n_chunk = (int)(((int64_t)n_item + chunk - 1) / chunk);
    const int n_range = n_chunk < p->n_thread ? n_chunk : p->n_thread;
    const uint32_t epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed) + 1;
    atomic_store_explicit(&p->n_range, n_range, memory_order_relaxed);
    atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&p->ctx, ctx, memory_order_relaxed);
    atomic_store_explicit(&p->chunk, chunk, memory_order_relaxed);
    atomic_store_explicit(&p->n_item, n_item, memory_order_relaxed);
    atomic_store_explicit(&p->n_chunk, n_chunk, memory_order_relaxed);
    atomic_store(&p->done, 0);
    for (int i = 0; i < n_range; i++)
        atomic_store_explicit(&p->range[i].word, (uint64_t)(epoch & 0xffffff) << 40 | (uint64_t)((int64_t)n_chunk * i / n_range) << 20
                              | (uint64_t)((int64_t)n_chunk * (i + 1) / n_range), memory_order_release);
    atomic_store(&p->epoch, epoch);
    if (atomic_load(&p->sleepers))
        futex_wake(&p->epoch);
    work(p, 0, epoch);
    for (uint32_t done; (done = atomic_load_explicit(&p->done, memory_order_acquire)) != (uint32_t)n_chunk;) {
        spin(&p->done, done);                                 /* others hold the last chunks; each that ends is a sign of life */
        if (atomic_load_explicit(&p->done, memory_order_acquire) != done)
            continue;
        atomic_store(&p->caller_sleeps, 1);
        if ((done = atomic_load(&p->done)) != (uint32_t)n_chunk)
            futex_wait(&p->done, done);
        atomic_store(&p->caller_sleeps, 0);
    }
}

int pool_n_thread(const struct pool *p) { return p->n_thread; }

int pool_new(struct pool **out, int n_thread, struct err *err)
{
    *out = NULL;
    if (n_thread < 1 || n_thread > 4096)
        return ERR(err, RANGE, "%d threads asked for, expected 1 to 4096", n_thread);
    /* Over-aligned members: take the block by hand. */
    struct pool *p = NULL;
    char *block = mem_alloc_array(1, sizeof *p + 256), *ranges = mem_alloc_array((size_t)n_thread + 2, sizeof(struct range));
    struct worker *workers = mem_alloc_array((size_t)n_thread, sizeof *workers);
    if (!block || !ranges || !workers) {
        mem_free(block);
        mem_free(ranges);
        mem_free(workers);
        return ERR(err, NOMEM, "no memory for %d threads", n_thread);
    }
    p = (struct pool *)(void *)(block + sizeof(void *) * 2 + (128 - ((uintptr_t)block + 2 * sizeof(void *)) % 128) % 128);
    ((void **)(void *)p)[-1] = block, ((void **)(void *)p)[-2] = ranges;
    p->range = (struct range *)(void *)(ranges + (128 - (uintptr_t)ranges % 128) % 128);
    p->worker = workers;
    p->n_thread = n_thread;
    for (int i = 1; i < n_thread; i++) {
        p->worker[i] = (struct worker){ .pool = p, .self = i };
        if (pthread_create(&p->worker[i].thread, NULL, worker_main, &p->worker[i])) {
            pool_free(p);
            return ERR(err, NOMEM, "the system refuses thread %d of %d", i + 1, n_thread);
        }
        p->n_started = i;
    }
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->epoch, 1);
    futex_wake(&p->epoch);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->worker[i].thread, NULL);
    mem_free(p->worker);
    void *block = ((void **)(void *)p)[-1], *ranges = ((void **)(void *)p)[-2];
    mem_free(ranges);
    mem_free(block);
}

int pool_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    long quota, period;
    if (f && fscanf(f, "%ld %ld", &quota, &period) == 2 && period > 0 && quota > 0 && (quota + period - 1) / period < n)
        n = (int)((quota + period - 1) / period);
    if (f)
        fclose(f);
    return n < 1 ? 1 : n;
}

static double clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_cpu(void) { return clock_of(CLOCK_PROCESS_CPUTIME_ID); }
double clock_wall(void) { return clock_of(CLOCK_MONOTONIC); }

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct timespec clock_in(double seconds)
{
    const double at = clock_wall() + seconds;
    return (struct timespec){ (time_t)at, (long)((at - (double)(time_t)at) * 1e9) };
}
