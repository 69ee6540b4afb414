/* A simulation and what it is asked to serve, without memory and on disks that fail: an error, and nothing is left. */
#include "each_allocation.h"
#include "load/trace.h"
#include "plan/simulate.h"

static struct err err;

static void decode(void *ctx, int n, double *a, double *b)
{
    (void)ctx;
    *a = 0.1 + 1e-3 * n, *b = 1e-5;
}
static double mixed(void *ctx, const struct sim_step *s)
{
    (void)ctx;
    return 0.1 + 1e-3 * (s->n + s->rows);
}

static int run(void *ctx)
{
    struct trace_row *rows;
    int n;
    struct sim_result r;
    (void)ctx;
    TRY(trace_read(in_dir("trace.jsonl"), &rows, &n, &err));
    const struct workload w = { .n = 700, .trace = rows, .n_trace = n, .trace_times = true, .prefix = { 2, 64, 0 } };
    const struct sim_limits l = { .n_slot = 4, .cache_tokens = 1000, .step_tokens = 64 };
    const struct sim_cost c = { NULL, decode, mixed };
    const int rc = simulate(&r, &w, &l, &c, &err);
    mem_free(rows);
    return rc < 0 ? rc : r.n_done + r.n_busy == 700 && r.n_put_aside > 0 ? 0 : -1000;
}

static void a_trace_is_simulated_or_it_is_an_error(void **state)
{
    (void)state;
    put_in_dir("trace.jsonl", "{\"at\": 0, \"input\": 200, \"output\": 90}\n{\"at\": 0.001, \"input\": 120, \"output\": 200}\n");
    assert_true(each_allocation(run, NULL, false) > 15);
    assert_true(each_failure(CALLS, 1, run, NULL, false) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_trace_is_simulated_or_it_is_an_error) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
