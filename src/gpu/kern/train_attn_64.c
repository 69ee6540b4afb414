/* train_attn.c for heads of up to 64. */
#define D 64
#include "gpu/kern/train_attn.c"
