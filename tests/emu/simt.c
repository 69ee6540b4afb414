/* simt.c - a block's threads as fibers (gpu/simt.h), for kernels that are compiled for the host.  Included by a test after test.h, which so chooses SIMT_WAVE.
 *
 * Threads run one after the other; each runs on until a barrier, an exchange or a matrix instruction, which complete when all threads of
 * the block, of the wave, have come.  Threads are taken in ascending order, or with simt_backwards in descending: what depends on the order
 * is a race, and shows as a difference. */
#include "gpu/simt.h"
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define SIMT_THREADS 1024
#define SIMT_STACK (64 * 1024)
/* From fiber to fiber by longjmp, which asks the kernel for nothing; sanitizers know swapcontext alone. */
#if UNDER_ADDRESS
typedef ucontext_t simt_place;
#define SIMT_SWITCH(from, to) swapcontext(&(from), &(to))
#define SIMT_START SIMT_SWITCH
#else
typedef jmp_buf simt_place;
#define SIMT_SWITCH(from, to) (void)(_setjmp(from) || (_longjmp(to, 1), 0))
#define SIMT_START(from, to) (void)(_setjmp(from) || setcontext(&(to)))
#endif
static struct {
    ucontext_t context[SIMT_THREADS];
    simt_place thread[SIMT_THREADS], scheduler;
    bool started[SIMT_THREADS];
    char *stack[SIMT_THREADS];
    int current, n_thread, block[3], n_barrier;
    bool done[SIMT_THREADS];
    int n_passed[SIMT_THREADS];                      /* barriers */
    unsigned barrier_round;
    struct { int n; unsigned round; } wave[SIMT_THREADS / SIMT_WAVE];
    union { float f; struct { simt_s16x4 a, b; } m; struct { uint8_t a[8], b[8]; } b; } slot[2][SIMT_THREADS];
    struct { const char *name; char *p; } shared[16];
    int n_shared;
    void (*fn)(const void *);
    const void *arg;
    long n_step;                                     /* of threads since the last launch: when none can go on, they hang */
} simt;
static bool simt_backwards;
static int simt_skip_barrier;                        /* planted: each thread's n-th barrier is not there; 0: none */
static int simt_lane_fault;                          /* planted: exchanges of lane 0 go to another one */

int simt_tid(void) { return simt.current; }
int simt_block(int dim) { return simt.block[dim]; }
static void simt_yield(void) { SIMT_SWITCH(simt.thread[simt.current], simt.scheduler); }

void simt_barrier(void)
{
    const unsigned round = simt.barrier_round;
    if (++simt.n_passed[simt.current] == simt_skip_barrier)
        return;
    simt.n_step++;
    if (++simt.n_barrier == simt.n_thread) {
        simt.n_barrier = 0;
        simt.barrier_round++;
    }
    while (simt.barrier_round == round)
        simt_yield();
    simt.n_step++;
}

/* All lanes of the wave have written their slot of this round. */
static void simt_meet(void)
{
    const int w = simt.current / SIMT_WAVE;
    const unsigned round = simt.wave[w].round;
    simt.n_step++;
    if (++simt.wave[w].n == SIMT_WAVE) {
        simt.wave[w].n = 0;
        simt.wave[w].round++;
    }
    while (simt.wave[w].round == round)
        simt_yield();
    simt.n_step++;
}

float simt_shfl_xor(float v, int mask)
{
    const int me = simt.current;
    const unsigned half = simt.wave[me / SIMT_WAVE].round & 1;
    simt.slot[half][me].f = v;
    simt_meet();
    return simt.slot[half][me % SIMT_WAVE == 0 ? me ^ mask ^ simt_lane_fault : me ^ mask].f;
}

/* Element i of a lane's accumulator is row 8(i/4) + 4(lane/32) + i%4, column lane%32; a lane has 4 k's of row or column lane%32, the upper lanes
 * k 4 .. 7 (AMD's matrix instruction calculator, v_mfma_f32_32x32x8_bf16_1k). */
void simt_mfma_f32_32x32x8_bf16(const simt_s16x4 *a, const simt_s16x4 *b, simt_f32x16 *c)
{
    const int me = simt.current, lane = me % 64, first = me - lane;
    const unsigned half = simt.wave[me / SIMT_WAVE].round & 1;
    simt.slot[half][me].m.a = *a;
    simt.slot[half][me].m.b = *b;
    simt_meet();
    for (int i = 0; i < 16; i++) {
        const int row = 8 * (i / 4) + 4 * (lane / 32) + i % 4;
        for (int k = 0; k < 8; k++) {
            const uint32_t x = (uint32_t)(uint16_t)simt.slot[half][first + row + 32 * (k / 4)].m.a[k % 4] << 16;
            const uint32_t y = (uint32_t)(uint16_t)simt.slot[half][first + lane % 32 + 32 * (k / 4)].m.b[k % 4] << 16;
            float fx, fy;
            memcpy(&fx, &x, 4);
            memcpy(&fy, &y, 4);
            (*c)[i] += fx * fy;
        }
    }
}

static float simt_bf16(const uint8_t *p)
{
    const uint32_t u = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static float simt_e4m3fnuz(const uint8_t *p)
{
    const int e = *p >> 3 & 15, m = *p & 7;
    const float f = e ? __builtin_ldexpf((float)(8 + m), e - 11) : __builtin_ldexpf((float)m, -10);
    return *p == 0x80 ? __builtin_nanf("") : *p & 0x80 ? -f : f;
}
static float simt_i8(const uint8_t *p) { return (float)(int8_t)*p; }
/* Accumulator i of a lane is row 4(lane/16) + i, column lane%16; a lane has 8 bytes of row lane%16 of a and of b, the (lane/16)-th. */
static void simt_mfma_16(const void *a, const void *b, float *c, int size, float (*value)(const uint8_t *))
{
    const int me = simt.current, lane = me % 64, first = me - lane;
    const unsigned half = simt.wave[me / SIMT_WAVE].round & 1;
    memcpy(simt.slot[half][me].b.a, a, 8);
    memcpy(simt.slot[half][me].b.b, b, 8);
    simt_meet();
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 32; k += size) {
            const int group = 16 * (k / 8);
            c[i] += value(&simt.slot[half][first + 4 * (lane / 16) + i + group].b.a[k % 8]) * value(&simt.slot[half][first + lane % 16 + group].b.b[k % 8]);
        }
}
void simt_mfma_f32_16x16x16_bf16(const void *a, const void *b, void *c) { simt_mfma_16(a, b, c, 2, simt_bf16); }
void simt_mfma_f32_16x16x32_fp8(const void *a, const void *b, void *c) { simt_mfma_16(a, b, c, 1, simt_e4m3fnuz); }
void simt_mfma_i32_16x16x32_i8(const void *a, const void *b, void *c)
{
    float sum[4] = { 0, 0, 0, 0 };                       /* 32 products: whole numbers that a float holds */
    simt_mfma_16(a, b, sum, 1, simt_i8);
    for (int i = 0; i < 4; i++)
        ((int32_t *)c)[i] += (int32_t)sum[i];
}

void *simt_shared(const char *name, size_t n)
{
    for (int i = 0; i < simt.n_shared; i++)
        if (!strcmp(simt.shared[i].name, name))
            return simt.shared[i].p;
    char *p = NULL;
    if (simt.n_shared == 16 || posix_memalign((void **)&p, 64, n))
        abort();
    memset(p, 0xcd, n);
    simt.shared[simt.n_shared].name = name;
    simt.shared[simt.n_shared++].p = p;
    return p;
}

/* A fiber runs its thread of one block after another. */
static void simt_enter(void)
{
    for (;;) {
        simt.fn(simt.arg);
        simt.done[simt.current] = true;
        simt.n_step++;
        simt_yield();
    }
}

static void simt_resume(int i)
{
    simt.current = i;
    if (simt.started[i]) {
        SIMT_SWITCH(simt.scheduler, simt.thread[i]);
        return;
    }
    ucontext_t *c = &simt.context[i];
    getcontext(c);
    c->uc_stack.ss_sp = simt.stack[i];
    c->uc_stack.ss_size = SIMT_STACK;
    c->uc_link = NULL;
    makecontext(c, simt_enter, 0);
    simt.started[i] = true;
    SIMT_START(simt.scheduler, *c);
}

static int simt_run_block(void)
{
    const int n = simt.n_thread;
    simt.n_barrier = 0;
    memset(simt.wave, 0, sizeof simt.wave);
    memset(simt.done, 0, (size_t)n * sizeof *simt.done);
    memset(simt.n_passed, 0, (size_t)n * sizeof *simt.n_passed);
    int live = n, rc = 0;
    while (live > 0 && rc == 0) {
        const long before = simt.n_step;
        live = 0;
        for (int k = 0; k < n; k++) {
            const int i = simt_backwards ? n - 1 - k : k;
            if (simt.done[i])
                continue;
            simt_resume(i);
            live += !simt.done[i];
        }
        if (live > 0 && simt.n_step == before) {
            fprintf(stderr, "simt: %d of %d threads wait for others that never come\n", live, n);
            memset(simt.started, 0, sizeof simt.started);             /* they are in the midst of it: new ones next time */
            rc = -1;
        }
    }
    for (int i = 0; i < simt.n_shared; i++)
        free(simt.shared[i].p);
    simt.n_shared = 0;
    return rc;
}

int simt_launch(int gx, int gy, int gz, int n_thread, void (*fn)(const void *), const void *arg)
{
    simt.n_thread = n_thread, simt.fn = fn, simt.arg = arg;
    for (int i = 0; i < n_thread; i++)
        if (!simt.stack[i] && !(simt.stack[i] = malloc(SIMT_STACK)))
            return -1;
    for (simt.block[2] = 0; simt.block[2] < gz; simt.block[2]++)
        for (simt.block[1] = 0; simt.block[1] < gy; simt.block[1]++)
            for (simt.block[0] = 0; simt.block[0] < gx; simt.block[0]++)
                if (simt_run_block())
                    return -1;
    return 0;
}
static void simt_release(void)
{
    for (int i = 0; i < SIMT_THREADS; i++) {
        free(simt.stack[i]);
        simt.stack[i] = NULL;
        simt.started[i] = false;
    }
}
