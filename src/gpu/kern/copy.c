/* Copy: 256 threads, four pieces of 16 bytes each in flight; the yardstick of every kernel that memory bounds. */
#include "gpu/dk.h"
#include "gpu/args.h"

DK_BOUNDS(256) DK_KERNEL void copy16(struct copy_args a)
{
    const DK_GLOBAL u32x4 *x = (const DK_GLOBAL u32x4 *)a.x;
    DK_GLOBAL u32x4 *y = (DK_GLOBAL u32x4 *)a.y;
    const long first = (long)dk_bx() * 1024 + dk_tid();
    if (first + 768 < a.n16) {
        u32x4 v[4];
        DK_UNROLL
        for (int i = 0; i < 4; i++)
            v[i] = dk_read_once(x + first + i * 256);
        DK_UNROLL
        for (int i = 0; i < 4; i++)
            y[first + i * 256] = v[i];
    } else {
        for (long i = first; i < a.n16; i += 256)
            y[i] = x[i];
    }
}
