/* load.c - from a model's file to its first token, and how much of that is packing weights.
 *
 * Usage: build/bench/load [threads] MODEL...
 *   plan: opening and checking the file, and laying out memory.   pack: the rest of opening the engine: new memory, and the weights
 *   from the mapped file into panels.   first: one token, which reads all weights once.
 *   copy: the same bytes copied by as many threads from memory to new memory, and to memory that is there: what packing could be at best.
 * The least of ROUNDS: what another program takes of the machine is not meant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "infer/engine.h"

#define ROUNDS 9
#define PIECE ((size_t)1 << 20)

static double least(const double *x)
{
    double best = x[0];
    for (int i = 1; i < ROUNDS; i++)
        best = x[i] < best ? x[i] : best;
    return best;
}

struct copy { const char *from; char *to; size_t n; };
static void copy_piece(void *ctx, int i, int thread)
{
    (void)thread;
    const struct copy *c = ctx;
    const size_t at = (size_t)i * PIECE, n = c->n - at < PIECE ? c->n - at : PIECE;
    memcpy(c->to + at, c->from + at, n);
}

static double copy_seconds(const struct copy *c, struct pool *pool)
{
    const double t = clock_wall();
    pool_for(pool, (int)((c->n + PIECE - 1) / PIECE), copy_piece, (void *)(uintptr_t)c);
    return clock_wall() - t;
}

static int one(const char *path, struct pool *pool, struct err *err)
{
    const struct engine_opts o = { .n_slot = 1, .ctx = 512, .ctx_clip = true, .step_tokens = 512, .no_tok = true };
    double plan[ROUNDS], pack[ROUNDS], first[ROUNDS], fresh[ROUNDS], again[ROUNDS];
    size_t bytes, weights = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct engine *e;
        const float *logits;
        double t = clock_wall();
        TRY(engine_plan_bytes(&bytes, path, &o, pool_n_thread(pool), err));
        plan[i] = clock_wall() - t, t = clock_wall();
        TRY(engine_new(&e, path, &o, pool, err));
        pack[i] = clock_wall() - t - plan[i], t = clock_wall();
        TRY(engine_feed(e, 0, 0, &(int32_t){ 1 }, 1, &logits, err));
        first[i] = clock_wall() - t;
        weights = engine_weight_bytes(e);
        engine_free(e);
        struct copy c = { mem_map(weights), mem_map(weights), weights };
        if (!c.from || !c.to)
            return ERR(err, NOMEM, "no memory to copy %zu bytes", weights);
        memset((char *)(uintptr_t)c.from, 1, weights);
        fresh[i] = copy_seconds(&c, pool);
        again[i] = copy_seconds(&c, pool);
        mem_unmap((char *)(uintptr_t)c.from, weights);
        mem_unmap(c.to, weights);
    }
    const double GB = (double)weights / 1e9;
    printf("%-28s %5.2f GB  plan %5.1f ms  pack %6.1f ms (%5.2f GB/s)  first %6.1f ms  copy %6.1f ms (%5.2f GB/s), again %6.1f ms\n", strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
           GB, 1e3 * least(plan), 1e3 * least(pack), GB / least(pack), 1e3 * least(first), 1e3 * least(fresh), GB / least(fresh), 1e3 * least(again));
    return 0;
}

int main(int argc, char **argv)
{
    struct err err;
    struct pool *pool;
    int i = argc > 1 && atoi(argv[1]) > 0 ? 1 : 0, rc = pool_new(&pool, i ? atoi(argv[1]) : 2, &err);
    while (!rc && ++i < argc)
        rc = one(argv[i], pool, &err);
    if (rc)
        fprintf(stderr, "%s\n", err.msg);
    pool_free(pool);
    return rc != 0;
}
