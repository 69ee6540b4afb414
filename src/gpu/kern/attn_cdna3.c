/* Attention of many queries (prefill) for gfx942: O = softmax(scale Q K^T) V, heads of 128 or 64, grouped queries, bf16, sums in float.  After Dao,
 * FlashAttention-2 (2023), turned round: S^T = K Q^T and O^T = V^T P^T, so that a lane has one query's scores (16 keys of each four of its tile of 64), the softmax
 * is arithmetic in lanes and two exchanges, and P, rounded to bf16, is the second product's operand as it lies (gpu/kern/mfma.h).
 *
 * Four waves of 32 queries; 64 keys at a time through shared memory, once each: keys are written while values are multiplied, values while keys are; both come
 * to registers half a block ahead.  Two blocks a compute unit: one multiplies while the other has its softmax.
 *
 * Shared memory: rows of keys as they are, their pieces of 16 bytes turned by the row (piece ^ row % 8 of each eight).  Values turned round, a row of 128 bytes for
 * each d: keys 16 t + 4 g + e lie at piece 4 (t / 2) + g, half t % 2, so that 16 bytes are what lane group g multiplies by two tiles of P; d = 32 i + 8 g + 4 h + e
 * in row 32 i + 16 h + 4 g + e, so that a lane stores eight of d.  Neither reading nor writing meets a bank twice.
 *
 * Sequences and masks as in attn_sm90.c.  Grid: (n_head, ceil(longest queries / 128), sequences): where heads are a multiple of the 8 dies (XCDs), a die has
 * neighbouring heads, which share keys; the rows that see most come first. */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/mfma.h"
#define N_THREAD 256
#define N_QUERY 128
#define N_KEY 64
#define MINUS_INF (-__builtin_inff())

DK_INLINE u32 dk_least(u32 a, u32 b) { return a < b ? a : b; }
#define NAME attn_cdna3_128
#define D 128
#include "gpu/kern/attn_cdna3.h"
#define NAME attn_cdna3_64
#define D 64
#include "gpu/kern/attn_cdna3.h"
#undef N_THREAD
