/* Products of training by wgmma, both by columns: see gemm_sm90.c. */
#define PRODUCT_A_COLS
#include "gpu/kern/gemm_sm90.c"
