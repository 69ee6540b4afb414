/* kernel.h - how long this program's own kernels take on a device: the rows that `lathe selftest` times (gpu/check_time.c, check_hopper.c), foretold.
 *
 * From plan/device alone, and a row of plan/kernel.def for each kernel:
 *     launch = kernel / 2, trip = kernel / 6       device.kernel is of a norm of a few rows, one of many in a graph: its launch, and three
 *                                                  trips to memory that wait for each other
 *     memory      launch + trips + bytes / (reach * bandwidth * min(1, blocks / units))
 *     arithmetic  launch + trips + clocks of lanes / (peak of f32 / 2, AMD / 4)      where that is longer
 *     products    launch + trips + rounds of tiles * 2 bm bn K / rate          rate = mma * peak / units * min(1, bm bn / (bm + bn) / RIDGE)
 *     prefill     launch + trips + rounds of blocks * (operations of a block / rate + three trips + products and softmax of one block of keys),
 *                 what comes after / rate hidden by nothing
 * RIDGE is that of a tile of 128 x 256: without multicast a tile of 128 x 128 brings 4/3 of the bytes a sum.
 *
 * A kernel that does not reach mma has a share of the peak of its own.
 *
 * Not foretold: what the host or the driver does, copies that a cache holds.  What is bound by arithmetic has a constant of clocks that was fitted on
 * another device than it is judged by (bench/gpu_predict).  gfx942: no kernel ran on hardware; where a time of one is shown, KERNEL_NEVER_RUN stands beside it.
 * Pure functions: any thread. */
#ifndef PLAN_KERNEL_H
#define PLAN_KERNEL_H
#include <stdbool.h>
#include "plan/device.h"

#define KERNEL_NEVER_RUN "predicted, never run on hardware"
/* Of such a device? */
bool kernel_never_run(const struct device *d);

/* A row of the self test: kind, name and shape in its words; bytes and operations as it counts them (products and prefill: 0, they follow from the shape). */
struct kernel_row { const char *kind, *name, *shape; double bytes, flop; };
enum kernel_bound { KERNEL_LAUNCH, KERNEL_MEMORY, KERNEL_ARITHMETIC, KERNEL_MATRIX };
struct kernel_time {
    double seconds, flop;              /* of a launch, operations of it */
    enum kernel_bound bound;           /* what takes most of it */
    const char *fitted;                /* of what device or size the kernel's own constant is that it was made with; NULL: of the device's constants alone */
    bool replaced;                     /* products of up to 8 rows by arithmetic, which matrix units are to take over */
};
/* False where nothing is foretold. */
bool kernel_foretell(struct kernel_time *out, const struct device *d, const struct kernel_row *r);
/* The same with the kernel's own constants in place of the table's (bench/gpu_predict fits them). */
struct kernel_constants { double clocks, share; };
bool kernel_foretell_as(struct kernel_time *out, const struct device *d, const struct kernel_row *r, const struct kernel_constants *c);
const char *kernel_bound_name(enum kernel_bound b);       /* "launch", "memory", "arithmetic", "matrix" */
#endif
