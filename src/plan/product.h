/* product.h - how long a matrix product takes on an accelerator whose kernels are tuned, as cuBLASLt's, hipBLASLt's and AITER's are.
 *
 * A product c[M,N] = a[M,K] * b[N,K]^T is cut into tiles of bm x bn, each done by one multiprocessor (NVIDIA) or compute unit (AMD), in waves
 * of as many as there are; K may be split between `split` of them.  The library is taken to choose the tile that is fastest:
 *
 *     seconds = launch + min over (bm, bn, split) of max(waves * (max(2 bm bn ceil64(K / split) / rate, store) + tile), bytes / reach)
 *     rate    = mma * peak / units * min(1, bm bn / (bm + bn) / ridge)      a tile this small waits for its operands
 *     store   = bm bn * bytes of an element of c / (memory * bandwidth / units)
 *     reach   = memory * bandwidth * min(1, tiles / units)                  units without a tile do not read
 *
 * Experts: the same over rows of each expert, tokens * k / E on average and binomial, in two products (tokens to 2 F, F to C), whose weights
 * are read only for experts that have a token.
 *
 * The five constants are of a device and a library and have a meaning each; bench/plan_fit fits and cross-validates them over measured
 * products and prints the error, which belongs to every answer made from them.  Pure functions: any thread. */
#ifndef PLAN_PRODUCT_H
#define PLAN_PRODUCT_H

struct product_device {
    double peak;             /* operations a second of 2-byte operands, by the data sheet (1-byte ones: twice that) */
    double bandwidth;        /* bytes a second of its memory, by the data sheet */
    int units;               /* multiprocessors or compute units */
    double mma;              /* share of the peak that a large tile reaches */
    double memory;           /* share of the bandwidth that a long read reaches */
    double launch;           /* seconds before the first tile and after the last */
    double tile;             /* seconds of a tile beside its sums: first operands, last store */
    double ridge;            /* elements: bm bn / (bm + bn) from which on the units do not wait for operands */
};

/* Seconds of `batch` products at once of operands of `bytes` an element (2: bf16, fp16; 1: fp8, int8), c in elements of 2 bytes. */
double product_seconds(const struct product_device *d, double batch, double M, double N, double K, double bytes);
/* Seconds of the two products of a layer's experts with gate and up: C wide, F inside, k of E experts for each of `tokens` tokens. */
double experts_seconds(const struct product_device *d, double tokens, double C, double F, int E, int k, double bytes);
/* The larger of operations at peak and bytes at bandwidth: what cannot be beaten, and what is often taken for a prediction. */
double product_roofline(const struct product_device *d, double batch, double M, double N, double K, double bytes);

#endif
