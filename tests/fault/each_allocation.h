/* each_allocation.h - something is run again and again, with its first, its second, .. allocation failing, until it reaches none that
 * fails: each time it must say ERR_NOMEM and leave nothing behind. */
#ifndef TESTS_EACH_ALLOCATION_H
#define TESTS_EACH_ALLOCATION_H
#include "../test.h"
#include "base/mem.h"

/* Returns how many failed.  may_pass: what runs may do without some of them, and must give the same then, which it looks at itself. */
static inline int each_allocation(int (*run)(void *ctx), void *ctx, bool may_pass)
{
    struct mem_stats before, after;
    int n_failed = 0;
    mem_stats_get(&before);
    for (int64_t n = 0;; n++) {
        mem_fail_at(n);
        const int rc = run(ctx);
        const bool reached = mem_fail_count() > n;
        mem_fail_at(-1);
        mem_stats_get(&after);
        assert_int_equal(before.n_live, after.n_live);
        if (!reached) {
            assert_int_equal(rc, 0);
            return n_failed;
        }
        assert_true((rc == 0 && may_pass) || rc == ERR_NOMEM);
        n_failed += rc != 0;
    }
}

#endif
