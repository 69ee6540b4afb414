/* blaslt.h - dense products by the vendor's library, cuBLASLt or hipBLASLt, which is opened at run time (LATHE_CUBLASLT_LIB, LATHE_HIPBLASLT_LIB name another).
 *
 * For --fast alone.  The library chooses an algorithm by all three sizes, so that a row's bits depend on how many rows there are, and on the library's version:
 * lathe's own kernels give the same bits in every batch.  Who uses this says so by gpu_blas_name().
 *
 * An algorithm is asked for once by the library's heuristics and then kept: in memory, and between runs in a file of choices, so that a run repeats what the last one did.
 * The file is of one library version and device.  One of another, or a damaged one, is left out with a word and replaced when choices are saved.
 *
 * Used by one thread at a time, on one stream at a time, as products share a workspace on the device. */
#ifndef GPU_BLASLT_H
#define GPU_BLASLT_H
#include <stdbool.h>
#include <stdint.h>
#include "gpu/dev.h"

struct gpu_blas;
/* choices: the file, or NULL: none is read or written.  ERR_NOTFOUND where the library is not there, ERR_UNSUPPORTED where it is too old or refuses the device. */
int gpu_blas_open(struct gpu_blas **out, struct gpu *g, const char *choices, struct err *err);
void gpu_blas_close(struct gpu_blas *b);                /* after the stream's work; NULL is fine */
const char *gpu_blas_name(const struct gpu_blas *b);    /* "cuBLASLt 130000", "hipBLASLt 1000" */

/* c[M][N] = add + bias + sum over k of a(m,k) b(n,k); bf16 operands, c bf16 or (c32) float.  By rows: a[m][k] and b[n][k]; by columns: a[k][m], rows ld_a apart
 * (0: M), and b[k][n].  Rows without other gaps, aligned to 16 bytes.  add (like c, may be c) and bias[N] (float) may be NULL, bias only with c32.
 * ERR_UNSUPPORTED: no algorithm takes these sizes. */
struct gpu_blas_product { const void *a, *b; void *c; const void *add; const float *bias; int M, N, K, ld_a; bool c32, a_cols, b_cols; };
int gpu_blas_run(struct gpu_blas *b, void *stream, const struct gpu_blas_product *p, struct err *err);
int gpu_blas_save(struct gpu_blas *b, struct err *err); /* nothing to do where no choice is new */

/* ---- the file of choices: text, its last line a hash of what is before ---- */
#define GPU_BLAS_ALGO 64                                /* bytes: cublasLtMatmulAlgo_t; hipblasLtMatmulAlgo_t has 24 */
enum { GPU_BLAS_C32 = 1, GPU_BLAS_A_COLS = 2, GPU_BLAS_B_COLS = 4, GPU_BLAS_ADD = 8, GPU_BLAS_BIAS = 16, GPU_BLAS_FORMS = 32 };
/* form: a sum of these; ld_a: as a product has it. */
struct gpu_blas_choice { int M, N, K, ld_a, form; uint64_t workspace; unsigned char algo[GPU_BLAS_ALGO]; };
/* Those of `owner` (one line: library and device), in ascending order of sizes; mem_free() *out.  ERR_NOTFOUND: of another owner; ERR_CORRUPT: not as it was written. */
int gpu_blas_read_choices(const char *text, size_t n, const char *owner, struct gpu_blas_choice **out, int *n_out, struct err *err);
#endif
