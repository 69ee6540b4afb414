/* pool.h - the threads of one job, and loops over them.
 *
 * The thread that calls pool_for() is thread 0 and works too.  Items are split into one range per thread; who has finished
 * its own takes from the back of another's.  pool_for() returns when all items are done, not when all threads have
 * reported: a thread that the system has put aside and that holds no item delays nobody.  Idle threads spin for
 * 100 us and then sleep in the kernel (waking costs 30 us or more).  One pool_for() at a time per pool. */
#ifndef BASE_POOL_H
#define BASE_POOL_H
#include <pthread.h>
#include <time.h>
#include "base/err.h"

struct pool;
typedef void (*pool_fn)(void *ctx, int i_item, int i_thread);

int pool_new(struct pool **out, int n_thread, struct err *err);    /* n_thread >= 1; 1 starts no thread */
void pool_free(struct pool *p);
int pool_n_thread(const struct pool *p);
void pool_for(struct pool *p, int n_item, pool_fn fn, void *ctx);
int pool_cpu_count(void);                                           /* cores this process may use (affinity, cgroup quota) */
/* Seconds of CPU time of all threads of this process, and a steady clock in seconds. */
double clock_cpu(void);
double clock_wall(void);
void clock_cond_init(pthread_cond_t *cond);                         /* whose timed waits are of that clock (CLOCK_MONOTONIC) */
struct timespec clock_in(double seconds);                           /* until when such a wait lasts from now on; seconds >= 0 */
#endif
