/* each_allocation.h - something is run again and again, with its first, its second, .. allocation (or system call) failing, until it reaches
 * none that fails: each time it must be an error and leave nothing behind.
 *
 * Loops ask for memory thousands of times in one place, and the hundredth failure there finds what the first ones did.  So a place, which is what calls what
 * down to it, fails for its first, second, fourth, eighth .. time, and is passed over between. */
#ifndef TESTS_EACH_ALLOCATION_H
#define TESTS_EACH_ALLOCATION_H
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include "../test.h"
#include "base/fail.h"
#include "base/mem.h"

enum failing { ALLOCATIONS, CALLS };
enum { PLACES = 1 << 16, PLACE_DEPTH = 32, PICK_FRAMES = 2 };      /* by the hash of its stack; the frames of the pick itself, and of who asks it, are no part */

struct failing_place { uint64_t hash; uint32_t n; bool failed; };
static struct failing_place failing_places[PLACES];
static struct { pthread_mutex_t lock; int64_t n; struct failing_place *place; int n_passed; } picked = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline struct failing_place *place_of_caller(void)
{
    void *frame[PLACE_DEPTH + PICK_FRAMES];
    const int n = backtrace(frame, PLACE_DEPTH + PICK_FRAMES);
    uint64_t hash = 1;
    for (int i = PICK_FRAMES; i < n; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frame[i]) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
    for (size_t i = hash % PLACES, k = 0; k < PLACES; k++, i = (i + 1) % PLACES)
        if (!failing_places[i].n || failing_places[i].hash == hash) {
            failing_places[i].hash = hash;
            return &failing_places[i];
        }
    return NULL;                                 /* there are more: all the others fail */
}

/* The first from where a run begins whose place's turn it is. */
static bool pick_failing(int64_t n)
{
    bool fails = false;
    pthread_mutex_lock(&picked.lock);
    if (picked.n < 0) {
        struct failing_place *place = place_of_caller();
        fails = !place || !(place->n & (place->n + 1));
        if (place)
            place->n++, picked.n_passed += !fails && place->failed;
        if (fails)
            picked.n = n, picked.place = place;
    }
    pthread_mutex_unlock(&picked.lock);
    return fails;
}

/* Returns how many runs failed, those counted that were passed over because the place's last one did: without memory by ERR_NOMEM.  may_pass: they may do
 * without some of it, and must give the same then, which they look at themselves.  by: of so many in a row one fails. */
static inline int each_failure(enum failing what, int by, int (*run)(void *ctx), void *ctx, bool may_pass)
{
    struct mem_stats before, after;
    int n_failed = 0;
    memset(failing_places, 0, sizeof failing_places);
    picked.n_passed = 0;
    mem_stats_get(&before);
    for (int64_t n = 0;; n = picked.n + by) {
        picked.n = -1, picked.place = NULL;
        what == CALLS ? file_fail_pick(pick_failing) : mem_fail_pick(pick_failing);
        what == CALLS ? file_fail_at(n, EIO) : mem_fail_at(n);
        const int rc = run(ctx);
        mem_fail_at(-1), file_fail_at(-1, 0);
        mem_fail_pick(NULL), file_fail_pick(NULL);
        mem_stats_get(&after);
        assert_int_equal(before.n_live, after.n_live);
        assert_int_equal(before.bytes_mapped, after.bytes_mapped);
        if (picked.n < 0) {
            assert_int_equal(rc, 0);
            return n_failed + picked.n_passed;
        }
        if (rc >= 0 ? !may_pass : what == ALLOCATIONS && rc != ERR_NOMEM)
            fail_msg("%s %lld failed: %d", what == CALLS ? "system call" : "allocation", (long long)picked.n, rc);
        n_failed += rc < 0;
        if (picked.place)
            picked.place->failed = rc < 0;
    }
}

static inline int each_allocation(int (*run)(void *ctx), void *ctx, bool may_pass) { return each_failure(ALLOCATIONS, 1, run, ctx, may_pass); }

#endif
