/* sample.c - microseconds that drawing a token takes, which depends on the draw: build/bench/sample [vocabulary] [spread of the logits]. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/stat.h"
#include "infer/sample.h"

int main(int argc, char **argv)
{
    enum { ROUNDS = 200 };
    const int V = argc > 1 ? atoi(argv[1]) : 49152;
    const double spread = argc > 2 ? atof(argv[2]) : 3;
    static const struct { const char *name; struct sampling s; } cases[] = {
        { "greedy", { .top_p = 1 } }, { "temperature 0.8", { .temperature = 0.8, .top_p = 1 } }, { "top-k 40", { .temperature = 0.8, .top_k = 40, .top_p = 1 } },
        { "top-p 0.95", { .temperature = 0.8, .top_p = 0.95 } }, { "top-k 40, top-p 0.95", { .temperature = 0.8, .top_k = 40, .top_p = 0.95 } }, { "min-p 0.05", { .temperature = 0.8, .top_p = 1, .min_p = 0.05 } },
    };
    float *x = mem_alloc_array((size_t)V, sizeof *x);
    struct sample_scratch scratch = { mem_alloc_array((size_t)V, 2 * sizeof *scratch.id), mem_alloc_array((size_t)V, sizeof *scratch.p) };
    for (int i = 0; i < V; i++)
        x[i] = (float)(spread * rng_normal(1, (uint64_t)i));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double took[ROUNDS], best = 1e9;
        int drawn = 0;
        for (int i = 0; i < ROUNDS; i++) {
            const double start = clock_wall();
            drawn += sample_token(x, sample_ids(NULL, V), &cases[c].s, (uint64_t)i, scratch);
            took[i] = clock_wall() - start;
            best = fmin(best, took[i]);
        }
        printf("%-22s %9.1f us at best, median %9.1f  (%d)\n", cases[c].name, best * 1e6, stat_median(took, ROUNDS) * 1e6, drawn);
    }
    return 0;
}
