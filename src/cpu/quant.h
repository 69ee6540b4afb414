/* quant.h - element types of weights: sizes, and the exact meaning of every quantised block.
 *
 * Layouts (little-endian; d, m: IEEE half unless said; from ggml's ggml-common.h, MXFP4 from the OCP MX specification):
 *   Q4_0 d, q[16]: x = d*(q-8)            element j < 16 is the low nibble of q[j], j+16 the high one
 *   Q4_1 d, m, q[16]: x = d*q + m         Q5_0, Q5_1: the same with u32 of fifth bits before q (Q5_0: q-16)
 *   Q8_0 d, i8 q[32]                      IQ4_NL: as Q4_0 with a table of 16 values
 *   MXFP4 u8 e, q[16]: x = table[q] * 2^(e-127), table 0 .5 1 1.5 2 3 4 6 and negatives; nibbles as Q4_0
 *   Q2_K .. Q6_K: blocks of 256 with scales of their own for 16 or 32
 *   Q4_G float d, float m, q[16]: x = d*q + m
 * Any thread may call; nothing is allocated. */
#ifndef CPU_QUANT_H
#define CPU_QUANT_H
#include <stddef.h>
#include <stdint.h>

enum cpu_type {
#define TYPE(name, word, id, block, bytes) TYPE_##name,
#include "cpu/types.def"
#undef TYPE
    N_CPU_TYPE
};
const char *type_name(enum cpu_type t);
int type_block(enum cpu_type t);                    /* elements */
size_t type_block_bytes(enum cpu_type t);
enum cpu_type type_of_ggml(uint32_t id);            /* N_CPU_TYPE when it is not ours */
int type_ggml_id(enum cpu_type t);                  /* -1 when GGUF has none */
enum cpu_type type_of_name(const char *word);       /* N_CPU_TYPE when unknown; any case */
/* Bytes of n elements, n a multiple of the block. */
size_t type_bytes(enum cpu_type t, int64_t n);

/* y[n] = the values of n elements (a multiple of the block) at src, which need not be aligned.  Exact up to the rounding of
 * the products to float. */
void type_dequantize(enum cpu_type t, int64_t n, const void *src, float *y);
/* dst = blocks for x[n] of small error, weighted by importance[n] >= 0 (of the element's column, say; NULL: large numbers
 * count a little more).  Without importance Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are ggml's reference bytes; Q8_0 and the types
 * without blocks ignore it.  fp8 saturates.  Any numbers are taken, but those that are not finite give values of no use. */
void type_quantize(enum cpu_type t, int64_t n, const float *x, const float *importance, void *dst);

float half_to_float(uint16_t h);
uint16_t float_to_half(float f);                    /* to nearest even */
#endif
