/* block.h - sums and maxima over a block of 256 threads: the waves' in order, so that every thread gets the same bits.  red: BLOCK_WAVES floats of
 * shared memory; barriers before and after it is written. */
#ifndef GPU_KERN_BLOCK_H
#define GPU_KERN_BLOCK_H
#define BLOCK_WAVES (256 / DK_WAVE)
DK_INLINE float block_sum(float v, DK_LOCAL float *red)
{
    v = dk_wave_sum(v);
    dk_barrier();
    if (dk_lane() == 0)
        red[dk_wave()] = v;
    dk_barrier();
    float total = 0;
    for (int i = 0; i < BLOCK_WAVES; i++)
        total += red[i];
    return total;
}
DK_INLINE float block_max(float v, DK_LOCAL float *red)
{
    v = dk_wave_max(v);
    dk_barrier();
    if (dk_lane() == 0)
        red[dk_wave()] = v;
    dk_barrier();
    float most = red[0];
    for (int i = 1; i < BLOCK_WAVES; i++)
        most = dk_max(most, red[i]);
    return most;
}
#endif
