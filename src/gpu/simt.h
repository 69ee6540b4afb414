/* simt.h - what dk.h needs where a kernel is compiled for the host: the threads of a block as fibers (tests/emu/simt.c).
 *
 * Barriers, exchanges and matrix instructions wait for all threads of the block or wave; a kernel in which they cannot all
 * come together ends the run with an error.  Shared memory is filled with 0xcd, ends at its last byte (AddressSanitizer sees
 * what goes beyond), and is checked for races by the tests that ask for it.  One launch at a time. */
#ifndef GPU_SIMT_H
#define GPU_SIMT_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "cpu/quant.h"
typedef uint8_t u8;
typedef int8_t i8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;
#ifndef SIMT_WAVE
#define SIMT_WAVE 64
#endif
typedef float simt_f32x16 __attribute__((vector_size(64)));
typedef short simt_s16x4 __attribute__((vector_size(8)));
int simt_tid(void);
int simt_block(int dim);
void simt_barrier(void);
float simt_shfl_xor(float v, int mask);
void *simt_shared(const char *name, size_t n);
void simt_mfma_f32_32x32x8_bf16(const simt_s16x4 *a, const simt_s16x4 *b, simt_f32x16 *c);      /* c += */
/* 8 bytes of a and of b, 16 of c: gpu/kern/mfma.h. */
void simt_mfma_f32_16x16x16_bf16(const void *a, const void *b, void *c);
void simt_mfma_f32_16x16x32_fp8(const void *a, const void *b, void *c);
void simt_mfma_i32_16x16x32_i8(const void *a, const void *b, void *c);
/* Runs fn(arg) for every thread of gx*gy*gz blocks of n_thread; 0, or -1 where threads wait for what never comes. */
int simt_launch(int gx, int gy, int gz, int n_thread, void (*fn)(const void *), const void *arg);
#endif
