/* check.h - the self test of a device: every kernel against cpu/ref, and what it and its kernels can do, measured.
 *
 * Rows are given to the caller as they come.  Errors of the device end the part in which they happen, not the others: gpu_check()
 * returns the number of rows that are wrong or could not be run. */
#ifndef GPU_CHECK_H
#define GPU_CHECK_H
#include <stdbool.h>
#include "gpu/dev.h"

enum gpu_part {
    GPU_CHECK_SMALL = 1,      /* every kernel at edge sizes: seconds in an emulator */
    GPU_CHECK_LARGE = 2,      /* every kernel at sizes of real models */
    GPU_TIME_COPY = 4,        /* bandwidth by size: copies by kernel and by driver, from and to the host */
    GPU_TIME_LAUNCH = 8,      /* latency of a launch, of a kernel in a stream, in a graph */
    GPU_TIME_KERNELS = 16,    /* kernels at sizes of Llama-3-8B, beside the copy bandwidth of the same run */
    GPU_CHECK_HOPPER = 32,    /* large products and prefill attention of gpu/hopper.h, where the device has their kernels */
    GPU_TIME_HOPPER = 64,
    GPU_CHECK_SAMPLE = 256,   /* sampling, likewise */
    GPU_CHECK_MOE = 128,      /* mixtures of experts: at edge sizes and, with GPU_CHECK_LARGE, larger ones */
    GPU_CHECK_TRAIN = 1024,   /* training: at edge sizes and, with GPU_CHECK_LARGE, larger ones */
    GPU_TIME_PRODUCTS = 2048, /* products with the same bits for any number of rows, 1 to 512 of them */
    GPU_CHECK_QUANT = 512,    /* products and attention of the types and variants beyond the first part's, at edge sizes */
};

/* kind: "check", "copy", "launch", "time", or "failed" (message says why).  What a kind has not is 0. */
struct gpu_row {
    const char *kind, *name, *shape, *message;
    double error, tolerance;                  /* ||a-b||_2 / ||b||_2 beside cpu/ref; tolerance 0: bits */
    bool right;
    double us, us_least, bytes, flop;         /* median and least of a launch; bytes read and written, operations */
    double share;                             /* bytes / us as a share of the copy bandwidth */
    int rc;                                   /* of "failed": the ERR_ code */
};
typedef void gpu_row_fn(void *to, const struct gpu_row *row);
int gpu_check(struct gpu *g, int parts, gpu_row_fn *row, void *to);
/* Only the cases (numbered from 0, in an order that depends on parts and device alone) for which wanted() says so. */
typedef bool gpu_case_fn(void *to, int i);
int gpu_check_cases(struct gpu *g, int parts, gpu_case_fn *wanted, gpu_row_fn *row, void *to);
#endif
