/* Products of training by wgmma, both operands by rows: see gemm_sm90.c. */
#define PRODUCT_ROWS
#include "gpu/kern/gemm_sm90.c"
