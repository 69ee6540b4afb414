/* gemm_sm90.c in tiles of 128 x 128. */
#define N_TILE 128
#include "gpu/kern/gemm_sm90.c"
