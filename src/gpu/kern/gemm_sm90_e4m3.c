/* gemm_sm90.c for fp8 e4m3. */
#define GEMM_E4M3
#include "gpu/kern/gemm_sm90.c"
