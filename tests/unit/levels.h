/* levels.h - every level of kernels that this machine has against cpu/ref, on arrays of known numbers. */
#ifndef TESTS_LEVELS_H
#define TESTS_LEVELS_H
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/kernels.h"

static const struct cpu_kernels *ref, *now;      /* the yardstick, set by main; the level under test */
#define FOR_LEVELS for (const struct cpu_kernels *const *l = cpu_levels(); (now = *l); l++)

SHARED_BY_TESTS double tolerance_of(const char *name)
{
    static const struct { const char *name; double tolerance; } rows[] = {
#define K(name, ret, params, tol, what) { #name, tol },
#include "cpu/kernels.def"
#undef K
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].tolerance;
    fail_msg("no kernel %s", name);
    return 0;
}

/* Each has 64 elements of room behind it; free with mem_free. */
static uint64_t stream;
static float *numbers(size_t n, float spread)
{
    float *p = mem_alloc_array(n + 64, sizeof *p);
    assert_non_null(p);
    stream++;
    for (size_t i = 0; i < n; i++)
        p[i] = spread * (float)rng_normal(stream, i);
    return p;
}
SHARED_BY_TESTS float *zeros(size_t n) { return mem_alloc_array(n + 64, sizeof(float)); }
SHARED_BY_TESTS float *copy_of(const float *x, size_t n)
{
    float *p = zeros(n);
    assert_non_null(p);
    return memcpy(p, x, n * sizeof *p);
}
#endif
