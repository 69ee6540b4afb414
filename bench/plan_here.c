/* plan_here.c - plan/here against the engine: a step foretold from the configuration and the types of the weights, and what `lathe bench` measures in the same minute.
 *
 *     build/bench/plan_here MODEL [THREADS [ROUNDS]]
 *
 * Each round measures this machine without the model's weights, then runs the tests of `lathe bench` (infer/bench.h).  Told are medians over the rounds: measured, foretold,
 * by how much that is off, and by how much the limits sampled beside the test are (operations at peak, bytes at the bandwidth). */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/stat.h"
#include "infer/bench.h"
#include "model/weights_pack.h"
#include "plan/here.h"

#define ROUND_MOST 50
static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "plan_here: %s\n", err.msg);
        exit(1);
    }
}

static const struct bench_test tests[] = { { 0, 32, 1, 0 }, { 0, 32, 4, 0 }, { 0, 32, 16, 0 }, { 0, 16, 1, 500 }, { 0, 16, 4, 500 }, { 0, 16, 16, 500 }, { 64, 0, 1, 0 }, { 200, 0, 1, 0 }, { 512, 0, 1, 0 } };
#define N_TEST (int)(sizeof tests / sizeof *tests)

static double foretold(const struct here *h, const struct bench_test *t)
{
    double sum = 0;
    if (t->n_prompt)
        return here_seconds(h, &(struct step_load){ .prompt_rows = t->n_prompt, .prompt_keys = t->n_depth + (t->n_prompt + 1) / 2.0 });
    for (int i = 0; i < t->n_gen; i++)
        sum += here_seconds(h, &(struct step_load){ .decode_rows = t->batch, .decode_keys = t->n_depth + i + 1 });
    return sum;
}

int main(int argc, char **argv)
{
    const int n_thread = argc > 2 ? atoi(argv[2]) : pool_cpu_count(), rounds = argc > 3 ? atoi(argv[3]) : 5;
    if (argc < 2 || n_thread < 1 || rounds < 1 || rounds > ROUND_MOST) {
        fprintf(stderr, "usage: plan_here MODEL [THREADS [ROUNDS, at most %d]]\n", ROUND_MOST);
        return 2;
    }
    struct pool *pool;
    struct engine *e;
    struct weight_type *types;
    static double measured[N_TEST][ROUND_MOST], said[N_TEST][ROUND_MOST], off[N_TEST][ROUND_MOST], limit[N_TEST][ROUND_MOST];
    int n_slot, ctx, n_layer = 0;
    double seconds = 0;
    check(pool_new(&pool, n_thread, &err));
    bench_needs(tests, N_TEST, &n_slot, &ctx);
    check(engine_new(&e, argv[1], &(struct engine_opts){ .n_slot = n_slot, .ctx = ctx, .step_tokens = 512, .no_tok = true }, pool, &err));
    const struct model *m = engine_model(e);
    check(weights_types(&types, m->list, m->source, WEIGHTS_FILE, &err));
    for (int r = 0; r < rounds; r++) {
        struct here *h;
        check(here_new(&h, engine_config(e), &(struct here_opts){ .types = types, .cache = DT_BF16 }, pool, &err));
        here_probe(h, &n_layer, &seconds);
        for (int i = 0; i < N_TEST; i++) {
            struct bench_result b;
            check(bench_run(e, &tests[i], 3, NULL, pool, &b, &err));
            measured[i][r] = stat_median(b.seconds, b.n), said[i][r] = foretold(h, &tests[i]);
            off[i][r] = said[i][r] / measured[i][r] - 1, limit[i][r] = b.tokens / b.limit / measured[i][r] - 1;
        }
        here_free(h);
    }
    printf("%s, %d threads, %d of %d layers run for %.1f s, medians of %d\n", argv[1], n_thread, n_layer, engine_config(e)->n_layer, seconds, rounds);
    for (int i = 0; i < N_TEST; i++) {
        const struct bench_test *t = &tests[i];
        const double steps = t->n_gen ? t->n_gen : 1;
        char name[60];
        if (t->n_prompt)
            snprintf(name, sizeof name, "prompt of %d", t->n_prompt);
        else
            snprintf(name, sizeof name, "a token of each of %d, after %d", t->batch, t->n_depth);
        printf("%-34s %9.3f ms   foretold %9.3f  %+6.1f %%   limits %+6.1f %%\n", name, 1e3 * stat_median(measured[i], rounds) / steps, 1e3 * stat_median(said[i], rounds) / steps,
               100 * stat_median(off[i], rounds), 100 * stat_median(limit[i], rounds));
    }
    mem_free(types);
    engine_free(e);
    pool_free(pool);
    return 0;
}
