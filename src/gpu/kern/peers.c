/* Where several devices that share a layer meet: each reads what the others have, in their memory or in copies of it.  256 threads. */
#include "gpu/dk.h"
#include "gpu/args.h"
#define N_THREAD 256

/* A thread four numbers.  Sums are taken in the order of the devices, so that each device has the same bits, by itself or in shares. */
DK_BOUNDS(N_THREAD) DK_KERNEL void sum_peers(struct sum_peers_args a)
{
    const long i = ((long)dk_bx() * N_THREAD + dk_tid()) * 4, at = a.first + i;
    if (i >= a.n)
        return;
    f32x4 s = *(const DK_GLOBAL f32x4 *)(a.part[0] + at);
    DK_UNROLL
    for (int j = 1; j < GPU_PEERS_MAX; j++)
        if (j < a.n_peer)
            s = s + *(const DK_GLOBAL f32x4 *)(a.part[j] + at);
    if (a.bias)
        s = s + *(const DK_GLOBAL f32x4 *)(a.bias + at % a.C);
    if (a.add)
        s = *(const DK_GLOBAL f32x4 *)(a.add + at) + s;
    *(DK_GLOBAL f32x4 *)(a.y + at) = s;
}

/* A thread a number. */
DK_BOUNDS(N_THREAD) DK_KERNEL void gather_peers(struct gather_peers_args a)
{
    const long i = (long)dk_bx() * N_THREAD + dk_tid(), row = i / a.V, c = i % a.V;
    if (row >= a.n_row)
        return;
    const DK_GLOBAL float *part = a.part[0];
    long from = 0;
    DK_UNROLL
    for (int j = 1; j < GPU_PEERS_MAX; j++) {
        const long first = (long)a.V * j / a.n_peer;
        if (j < a.n_peer && c >= first) {
            part = a.part[j];
            from = first;
        }
    }
    a.y[i] = part[row * a.ld + c - from];
}
