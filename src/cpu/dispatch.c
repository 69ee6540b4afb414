/* dispatch.c - which level of kernels this machine runs.
 *
 * Each level starts as a copy of the one below and overrides what it does better.  avx512bf16 (vdpbf16ps) is chosen only
 * where that instruction is at least as fast as float multiply-adds: AMD since Zen 4.  On Intel's Sapphire and Emerald
 * Rapids it runs at half the rate of float (measured: 90 against 184 GFLOP/s a core), so avx512 expands bf16 instead. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include "cpu/kernels.h"

enum { REF, AVX2, AVX512, AVX512BF16, N_LEVEL };
static struct cpu_kernels table[N_LEVEL];
static const struct cpu_kernels *levels[N_LEVEL + 1];
static const struct cpu_kernels *chosen;
static char complaint[160];

#ifndef LATHE_REAL_DOUBLE
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}
static bool has_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1;
}
static bool bf16_is_fast(void) { return __builtin_cpu_is("amd"); }
#endif

static void fill_levels(void)
{
    int n = 0, best = REF;
    table[REF].level = "ref";
    cpu_ref_fill_gemm(&table[REF]);
    cpu_ref_fill_rows(&table[REF]);
    cpu_ref_fill_panel(&table[REF]);
    cpu_ref_fill_attn(&table[REF]);
    cpu_ref_fill_minhash(&table[REF]);
    cpu_ref_fill_words(&table[REF]);
    cpu_ref_fill_text(&table[REF]);
    levels[n++] = &table[REF];
#ifndef LATHE_REAL_DOUBLE
    __builtin_cpu_init();
    if (has_avx2()) {
        table[best = AVX2] = table[REF];
        table[AVX2].level = "avx2";
        cpu_avx2_fill_gemm(&table[AVX2]);
        cpu_avx2_fill_rows(&table[AVX2]);
        cpu_avx2_fill_panel(&table[AVX2]);
        cpu_avx2_fill_attn(&table[AVX2]);
        cpu_avx2_fill_minhash(&table[AVX2]);
        cpu_avx2_fill_words(&table[AVX2]);
        cpu_avx2_fill_text(&table[AVX2]);
        levels[n++] = &table[AVX2];
    }
    if (best == AVX2 && has_avx512()) {
        table[best = AVX512] = table[AVX2];
        table[AVX512].level = "avx512";
        cpu_avx512_fill_gemm(&table[AVX512]);
        cpu_avx512_fill_rows(&table[AVX512]);
        cpu_avx512_fill_attn(&table[AVX512]);
        cpu_avx512_fill_minhash(&table[AVX512]);
        cpu_avx512_fill_text(&table[AVX512]);
        cpu_avx512_fill_panel(&table[AVX512]);
        levels[n++] = &table[AVX512];
    }
    if (best == AVX512 && has_bf16()) {
        table[AVX512BF16] = table[AVX512];
        table[AVX512BF16].level = "avx512bf16";
        cpu_avx512bf16_fill_gemm(&table[AVX512BF16]);
        cpu_avx512bf16_fill_attn(&table[AVX512BF16]);
        cpu_avx512bf16_fill_attn_train(&table[AVX512BF16]);
        levels[n++] = &table[AVX512BF16];
        if (bf16_is_fast())
            best = AVX512BF16;
    }
#endif
    chosen = &table[best];
    const char *asked = getenv("LATHE_CPU");
    if (!asked || !*asked)
        return;
    for (int i = 0; i < n; i++)
        if (!strcmp(levels[i]->level, asked)) {
            chosen = levels[i];
            return;
        }
    snprintf(complaint, sizeof complaint, "LATHE_CPU is '%.40s', expected one of:", asked);
    for (int i = 0; i < n; i++)
        snprintf(complaint + strlen(complaint), sizeof complaint - strlen(complaint), " %s", levels[i]->level);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const struct cpu_kernels *cpu_kernels(void)
{
    pthread_once(&once, fill_levels);
    return chosen;
}

const char *cpu_level_error(void)
{
    pthread_once(&once, fill_levels);
    return complaint[0] ? complaint : NULL;
}

const struct cpu_kernels *const *cpu_levels(void)
{
    pthread_once(&once, fill_levels);
    return levels;
}
