/* plan_simulate.c - how fast `plan` simulates a bursty serving trace, and how far its series of steps are from step by step.
 *
 * Usage: build/bench/plan_simulate [REQUESTS [CHECK [PERCENT [CV [WORKLOAD]]]]]      1000000 100000 75 3 chat; so many of CHECK requests are simulated both ways
 *
 * The costs are those of an 8-billion-parameter model in bf16 on a device of 5.3 TB/s and 1,307 TFLOP/s (MI300X by its data sheet, reached by two thirds):
 * numbers to simulate with, not a prediction.  PERCENT: of the requests a
 * second that the device could bear with all slots in use; CV: of the gaps between them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "arg.h"
#include "base/mem.h"
#include "base/pool.h"
#include "plan/simulate.h"

#define WEIGHTS 16e9                     /* bytes */
#define OPS 16e9                         /* operations of a row */
#define KEY 131072.0                     /* bytes of a key and its value, all layers */
#define READ (5.3e12 * 2 / 3)
#define RATE (1307e12 * 2 / 3)
#define LAUNCH 2e-3

static double busy(double rows, double keys) { return LAUNCH + fmax(WEIGHTS / READ, rows * OPS / RATE) + keys * KEY / READ; }

static void decode(void *ctx, int n, double *a, double *b)
{
    (void)ctx;
    *a = busy(n, 0), *b = KEY / READ;
}

static double mixed(void *ctx, const struct sim_step *s)
{
    (void)ctx;
    return busy(s->n + s->rows, s->keys + s->past_keys);
}

static double timed(struct sim_result *r, const struct workload *w, const struct sim_limits *l)
{
    const struct sim_cost c = { NULL, decode, mixed };
    struct err err;
    const double from = clock_cpu();
    if (simulate(r, w, l, &c, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return clock_cpu() - from;
}

static double worst;
static void compare(const char *what, double fast, double slow)
{
    const double off = slow != 0 ? fabs(fast / slow - 1) : fabs(fast);
    worst = fmax(worst, off);
    printf("%-18s %14.6g %14.6g   %.4f %%\n", what, fast, slow, 100 * off);
}

static void compare_spread(const char *what, const struct spread *fast, const struct spread *slow)
{
    const double f[] = { fast->mean, fast->p50, fast->p95, fast->p99 }, s[] = { slow->mean, slow->p50, slow->p95, slow->p99 };
    static const char *const name[] = { "mean", "p50", "p95", "p99" };
    for (int i = 0; i < 4; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s %s", what, name[i]);
        compare(text, f[i], s[i]);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc > 5 ? argv[5] : "chat";
    const int n = arg_number(argc, argv, 1, 1000000, 1, 1000000000), check = arg_number(argc, argv, 2, 100000, 0, 10000000);
    const double share = arg_number(argc, argv, 3, 75, 1, 1000) / 100.;
    struct workload w;
    struct err err;
    if (workload_find(&w, name, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    struct sim_limits l = { .n_slot = 256, .cache_tokens = 1e6, .step_tokens = 2048, .n_queue = -1 };
    double prompt, output;
    workload_means(&w, &prompt, &output);
    /* A request's own time: its rows at the rate of products, and its part of full steps. */
    const double own = prompt * OPS / RATE + output * busy(l.n_slot, l.n_slot * (prompt + output / 2)) / l.n_slot;
    w.rate = share / own, w.cv = arg_number(argc, argv, 4, 3, 0, 100), w.seed = 1, w.n = n;
    struct sim_result r, slow;
    double t = timed(&r, &w, &l);
    printf("%s, %d requests at %.1f a second (CV %g): %.2f s, %.2f us a request, %.0f MB\n", name, n, w.rate, w.cv, t, 1e6 * t / n, (double)mem_resident_peak() / 1048576);
    printf("simulated %.0f s, busy %.3f, %.1f texts under way, %.0f tokens/s, ", r.seconds, r.busy_s / r.seconds, r.mean_running, r.output_s);
    printf("%lld steps of which %.1f %% with prompts, %lld events, %lld put aside, ", (long long)r.n_step, 100 * (double)r.n_mixed / (double)r.n_step, (long long)r.n_event,
           (long long)r.n_put_aside);
    printf("ttft p50 %.3f p99 %.3f s, tpot p50 %.4f p99 %.4f s\n", r.ttft.p50, r.ttft.p99, r.tpot.p50, r.tpot.p99);
    if (check < 1)
        return 0;
    w.n = check;
    t = timed(&r, &w, &l);
    l.every_step = true;
    const double t_slow = timed(&slow, &w, &l);
    printf("\n%d requests: series of steps %.2f s, step by step %.2f s\n%-18s %14s %14s   differ by\n", check, t, t_slow, "", "series", "step by step");
    compare_spread("ttft", &r.ttft, &slow.ttft), compare_spread("tpot", &r.tpot, &slow.tpot), compare_spread("e2e", &r.e2e, &slow.e2e), compare_spread("gap", &r.gap, &slow.gap);
    compare("seconds", r.seconds, slow.seconds), compare("busy_s", r.busy_s, slow.busy_s), compare("rows", r.rows, slow.rows), compare("tokens/s", r.output_s, slow.output_s);
    compare("mean_running", r.mean_running, slow.mean_running), compare("most_cache", r.most_cache, slow.most_cache), compare("n_step", (double)r.n_step, (double)slow.n_step);
    printf("at most %.4f %%\n", 100 * worst);
    return worst < 0.01 ? 0 : 1;
}
