/* pool.c - what a fork and join costs, alone and beside another program.
 *
 * Usage: build/bench/pool [threads]
 *   join: nanoseconds of a pool_for() with empty items: the least and the median of batches of 200.
 *   wake: the same after 1 ms of rest, when the others sleep.
 *   steps: loops of items of about 10 us, as layers of a small model have, as share of n threads' ideal; alone, then beside one
 *   busy thread on every core in turn (an even scheduler leaves n - 1/2 of n threads: the share of that is printed too). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <time.h>
#include "arg.h"
#include "base/pool.h"
#include "base/stat.h"

#define BATCHES 101
static struct pool *pool;

static void empty(void *ctx, int i, int thread) { (void)ctx, (void)i, (void)thread; }

static volatile int sink;
static void busy(void *ctx, int i, int thread)
{
    (void)i, (void)thread;
    for (int k = *(int *)ctx; k > 0; k--)
        sink = k;
}

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void joins(int n_item, long rest_ns)
{
    double ns[BATCHES];
    const int n = rest_ns ? 1 : 200;
    for (int b = 0; b < BATCHES; b++) {
        if (rest_ns)
            nanosleep(&(struct timespec){ .tv_nsec = rest_ns }, NULL);
        const double t = clock_wall();
        for (int i = 0; i < n; i++)
            pool_for(pool, n_item, empty, NULL);
        ns[b] = (clock_wall() - t) / n * 1e9;
    }
    qsort(ns, BATCHES, sizeof *ns, by_size);
    printf("%s of %3d items: %8.0f ns at least, %8.0f median\n", rest_ns ? "wake" : "join", n_item, ns[0], ns[BATCHES / 2]);
}

static _Atomic bool stop;
static void *other_program(void *arg)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(*(int *)arg, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        sink = 1;
    return NULL;
}

/* Seconds of loops of items, by the wall and by one thread's own time. */
static double steps(int loops, int items, int work)
{
    const double t = clock_wall();
    for (int i = 0; i < loops; i++)
        pool_for(pool, items, busy, &work);
    return clock_wall() - t;
}

int main(int argc, char **argv)
{
    struct err err;
    if (pool_new(&pool, arg_number(argc, argv, 1, pool_cpu_count(), 1, 4096), &err))
        return 1;
    const int n = pool_n_thread(pool);
    for (int items = n; items <= 64; items *= 4)
        joins(items, 0);
    joins(n, 1000000);
    int work = 100000;
    double t = clock_wall();
    busy(&work, 0, 0);
    const double one = (clock_wall() - t) / work;
    work = (int)(10e-6 / one);
    const double ideal = 2000 * 8 * work * one / n;
    double alone[9];
    for (int i = 0; i < 9; i++)
        alone[i] = ideal / steps(2000, 8, work);
    printf("steps alone: %.2f of the ideal\n", stat_median(alone, 9));
    for (int cpu = 0; cpu < n; cpu++) {
        pthread_t thread;
        atomic_store(&stop, false);
        if (pthread_create(&thread, NULL, other_program, &cpu))
            return 1;
        for (int i = 0; i < 9; i++)
            alone[i] = ideal / steps(2000, 8, work);
        printf("steps beside a busy thread on core %d: %.2f of the ideal, %.2f of what is left\n", cpu, stat_median(alone, 9), stat_median(alone, 9) * n / (n - 0.5));
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
    }
    pool_free(pool);
    return 0;
}
