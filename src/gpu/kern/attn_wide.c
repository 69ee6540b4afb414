/* Decode attention over pages for heads of any multiple of 8 up to 128 (80, 96, 112 ..) and of up to 256. */
#include "gpu/kern/attn_decode.h"

ATTN_DECODE(attn_decode_to128_1, 128, 1, a.d, BF16)
ATTN_DECODE(attn_decode_to128_2, 128, 2, a.d, BF16)
ATTN_DECODE(attn_decode_to128_4, 128, 4, a.d, BF16)
ATTN_DECODE(attn_decode_to128_8, 128, 8, a.d, BF16)
ATTN_DECODE(attn_decode_to256_1, 256, 1, a.d, BF16)
ATTN_DECODE(attn_decode_to256_2, 256, 2, a.d, BF16)
ATTN_DECODE(attn_decode_to256_4, 256, 4, a.d, BF16)
ATTN_DECODE(attn_decode_to256_8, 256, 8, a.d, BF16)
