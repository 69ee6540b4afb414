/* calib.c - how long calibration and out-of-distribution scores take, at real sizes: seconds, and seconds of CPU time of all threads.
 *
 * Usage: build/bench/calib [THREADS]     10,000 items: 100 classes with 999 draws of the null; bank and items of 512 features, 50 classes. */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "eval/calib_report.h"
#include "eval/ood.h"

enum { N = 10000, D = 512, K = 50, CLASSES = 100 };

static struct err err;
static double wall, cpu;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static void begin(void) { wall = clock_wall(), cpu = clock_cpu(); }
static void end(const char *what) { printf("%-44s %6.2f s  %6.2f s CPU\n", what, clock_wall() - wall, clock_cpu() - cpu); }

static void *room(size_t n, size_t size)
{
    void *p = mem_alloc_array(n, size);
    if (!p)
        exit(1);
    return p;
}

static void calibration(struct pool *pool)
{
    double *z = room((size_t)N * CLASSES, sizeof *z);
    int32_t *y = room(N, sizeof *y);
    const struct calib_report_opts o = CALIB_REPORT_OPTS;
    const struct calib_items in = { N, CLASSES, NULL, z, y, false };
    json_t *report;
    for (uint64_t i = 0; i < (uint64_t)N * CLASSES; i++)
        z[i] = 3 * rng_normal(1, i);
    for (uint64_t i = 0; i < N; i++)
        y[i] = (int32_t)rng_below(2, i, CLASSES);
    begin();
    check(calib_report(&report, &in, &o, pool, &err));
    end("calibration report, 100 classes");
    json_decref(report);
    mem_free(y), mem_free(z);
}

static void scores(struct pool *pool)
{
    float *bank = room((size_t)N * D, sizeof *bank), *x = room((size_t)N * D, sizeof *x), *z = room((size_t)N * K, sizeof *z);
    int32_t *y = room(N, sizeof *y);
    double *s = room(N, sizeof *s);
    struct ood_mahalanobis *m;
    struct ood_vim *v;
    for (uint64_t i = 0; i < (uint64_t)N * D; i++)
        bank[i] = (float)rng_normal(3, i), x[i] = (float)rng_normal(4, i);
    for (uint64_t i = 0; i < (uint64_t)N * K; i++)
        z[i] = (float)rng_normal(5, i);
    for (int i = 0; i < N; i++)
        y[i] = i % K;
    begin();
    check(ood_from_logits(OOD_ENERGY, z, N, K, 1, s, pool, &err));
    end("energy");
    begin();
    check(ood_mahalanobis_fit(&m, bank, y, N, D, K, &(struct ood_mahalanobis_opts){ true, true }, pool, &err));
    end("Mahalanobis, relative, Ledoit-Wolf: fit");
    begin();
    check(ood_mahalanobis_score(m, x, N, s, pool, &err));
    end("Mahalanobis: score");
    begin();
    check(ood_knn(bank, N, x, N, D, 50, s, pool, &err));
    end("50th neighbour");
    begin();
    check(ood_vim_fit(&v, bank, z, N, D, K, NULL, NULL, 0, pool, &err));
    end("virtual logits: fit");
    begin();
    check(ood_vim_score(v, x, z, N, s, pool, &err));
    end("virtual logits: score");
    ood_vim_free(v), ood_mahalanobis_free(m);
    mem_free(s), mem_free(y), mem_free(z), mem_free(x), mem_free(bank);
}

int main(int argc, char **argv)
{
    struct pool *pool;
    check(pool_new(&pool, argc > 1 ? atoi(argv[1]) : 1, &err));
    calibration(pool);
    scores(pool);
    pool_free(pool);
    return 0;
}
