/* Products of training by wgmma, b by columns: see gemm_sm90.c. */
#define PRODUCT_B_COLS
#include "gpu/kern/gemm_sm90.c"
