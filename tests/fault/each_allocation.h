/* each_allocation.h - something is run again and again, with its first, its second, .. allocation (or system call) failing, until it reaches
 * none that fails: each time it must be an error and leave nothing behind. */
#ifndef TESTS_EACH_ALLOCATION_H
#define TESTS_EACH_ALLOCATION_H
#include <errno.h>
#include "../test.h"
#include "base/mem.h"

enum failing { ALLOCATIONS, CALLS };

/* Returns how many runs failed: without memory by ERR_NOMEM.  may_pass: they may do without some of it, and must give the same then, which
 * they look at themselves.  by: of so many in a row one fails. */
static inline int each_failure(enum failing what, int by, int (*run)(void *ctx), void *ctx, bool may_pass)
{
    struct mem_stats before, after;
    int n_failed = 0;
    mem_stats_get(&before);
    for (int64_t n = 0;; n += by) {
        what == CALLS ? file_fail_at(n, EIO) : mem_fail_at(n);
        const int rc = run(ctx);
        const bool reached = (what == CALLS ? file_fail_count() : mem_fail_count()) > n;
        mem_fail_at(-1), file_fail_at(-1, 0);
        mem_stats_get(&after);
        assert_int_equal(before.n_live, after.n_live);
        assert_int_equal(before.bytes_mapped, after.bytes_mapped);
        if (!reached) {
            assert_int_equal(rc, 0);
            return n_failed;
        }
        if (rc >= 0 ? !may_pass : what == ALLOCATIONS && rc != ERR_NOMEM)
            fail_msg("%s %lld failed: %d", what == CALLS ? "system call" : "allocation", (long long)n, rc);
        n_failed += rc < 0;
    }
}

static inline int each_allocation(int (*run)(void *ctx), void *ctx, bool may_pass) { return each_failure(ALLOCATIONS, 1, run, ctx, may_pass); }

#endif
