/* product.h - which kernel it is: to multiply rows of activations with a weight, by its type (a type of files or GPU_TYPE_F8_FNUZ) and the number of rows; for attention
 * over pages, by the size of heads and by how many share a key. */
#ifndef GPU_PRODUCT_H
#define GPU_PRODUCT_H
#include <stdbool.h>
#include "cpu/quant.h"
#include "gpu/args.h"
#include "gpu/dev.h"
/* Up to 8 rows. */
#define GPU_GEMV_MOST 8
enum gpu_kernel gpu_gemv_kernel(int type, int M);
/* What K must be a multiple of. */
int gpu_gemv_block(int type);
/* Rows must be in int8 first (quantize_a8), or are read as floats. */
bool gpu_gemv_takes_a8(int type);
/* Products by matrix instructions, whose bits are the same for any number of rows (gpu/kern/mat.h): is it a type that has them; and what takes M rows, or the first `rows` of them:
 * its grid, and whether it reads bf16 where the type is that (x16 of struct mat_args, not x). */
struct gpu_mat { enum gpu_kernel kernel; long gx, gy; int rows; bool x16; };
bool gpu_mat_has(int type);
struct gpu_mat gpu_mat_of(int type, int M, int N);
/* The i-th kernel for a few rows (many: for any number), each to the same bits; false: there is none. */
bool gpu_mat_variant(int type, bool many, int i, int M, int N, struct gpu_mat *out);
/* Runs of K that gemm_q is cut into, so that narrow weights fill a device too: a function of the weight alone. */
int gpu_gemm_q_splits(int N, int K);

/* Heads of d numbers, a multiple of 8 up to GPU_D_MOST. */
#define GPU_D_MOST 256
enum gpu_kernel gpu_decode_kernel(int d, int n_group, bool int8);
enum gpu_kernel gpu_join_kernel(int d);
/* Blocks of a range and sequence, the second size of the decode kernel's grid. */
int gpu_decode_blocks(int n_kv_head, int n_group);
/* Bytes of a page of all key/value heads. */
size_t gpu_kv_page_bytes(bool int8, int n_kv_head, int d);
#endif
