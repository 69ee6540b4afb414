/* a8.h - rows of floats to int8 in blocks of 32 (struct quantize_args): eight lanes a block, four numbers each.  All lanes of a wave call it; at: of the
 * lane's first number among all rows, a multiple of 4, eight lanes' one after the other. */
#ifndef GPU_KERN_A8_H
#define GPU_KERN_A8_H
DK_INLINE void a8_put(f32x4 x, int there, DK_GLOBAL i8 *q, DK_GLOBAL float *ds, long at)
{
    float most = 0, nan = 0;
    DK_UNROLL
    for (int j = 0; j < 4; j++) {
        x[j] = there ? x[j] : 0;
        most = dk_max(most, x[j] < 0 ? -x[j] : x[j]);
        nan += x[j] * 0.0f;                        /* NaN for NaN and infinities */
    }
    most = dk_lanes_max(most, 8);
    nan = dk_lanes_sum(nan, 8);
    const int none = !(nan == 0) || most < 1e-30f;
    const float d = none ? 0 : most / 127.0f, inverse = none ? 0 : 127.0f / most;
    u32 word = 0;
    float sum = 0;
    DK_UNROLL
    for (int j = 0; j < 4; j++) {
        const int n = none ? 0 : (int)dk_rint(x[j] * inverse);
        sum += (float)n;
        word |= ((u32)n & 255) << (8 * j);
    }
    sum = dk_lanes_sum(sum, 8);
    if (!there)
        return;
    *(DK_GLOBAL u32 *)(q + at) = word;
    if (at % 32 == 0) {
        ds[at / 32 * 2] = d + nan;
        ds[at / 32 * 2 + 1] = d * sum + nan;
    }
}
#endif
