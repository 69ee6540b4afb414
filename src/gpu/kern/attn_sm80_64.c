/* attn_sm80.c for heads of 64. */
#define D 64
#include "gpu/kern/attn_sm80.c"
