/* test_simulate.c - a simulated server: by hand, against queues that are known in closed form, step by step, against the server's own pages and steps. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "infer/batch.h"
#include "load/users.h"
#include "plan/sim_cache.h"
#include "plan/simulate.h"

static struct err err;

/* A step of n texts takes base + row n + key keys. */
struct machine { double base, row, key; };
static void decode(void *ctx, int n, double *a, double *b)
{
    const struct machine *m = ctx;
    *a = m->base + m->row * n, *b = m->key;
}
static double mixed(void *ctx, const struct sim_step *s)
{
    const struct machine *m = ctx;
    return m->base + m->row * (s->n + s->rows) + m->key * (s->keys + s->past_keys);
}

static void go(struct sim_result *r, const struct workload *w, const struct sim_limits *l, struct machine m)
{
    const struct sim_cost c = { &m, decode, mixed };
    OK(simulate(r, w, l, &c, &err));
}

static struct workload fixed(int64_t n, int prompt, int output) { return (struct workload){ .n = n, .at_once = true, .prompt = { .a = prompt }, .output = { .a = output } }; }

/* ---- by hand ---- */

static void no_request_gives_nothing(void **state)
{
    (void)state;
    struct sim_result r;
    const struct sim_limits l = { .n_slot = 4, .cache_tokens = 1000, .step_tokens = 16 };
    const struct workload w = fixed(0, 10, 10);
    go(&r, &w, &l, (struct machine){ 1, 0.5, 0.25 });
    assert_true(r.n_request == 0 && r.n_done == 0 && r.seconds == 0 && r.n_step == 0 && r.goodput == 0 && isnan(r.ttft.p50) && r.ttft.n == 0);
    assert_float_equal(r.least_tpot, 1.75, 1e-12);
    assert_float_equal(r.least_ttft, 1.5, 1e-12);
}

/* Prompt of 10 in steps of 4, 4 and 2 rows; then tokens at 11 and 12 keys. */
static void one_request_takes_its_steps(void **state)
{
    (void)state;
    struct sim_result r;
    struct sim_limits l = { .n_slot = 1, .cache_tokens = 64, .step_tokens = 4 };
    struct workload w = fixed(1, 10, 3);
    w.at_once = false, w.arrival = ARRIVAL_CONSTANT, w.rate = 1;
    for (int slow = 0; slow < 2; slow++) {
        l.every_step = slow;
        go(&r, &w, &l, (struct machine){ 1, 0.1, 0.01 });
        const double ttft = (1 + 0.4) + (1 + 0.4 + 0.04) + (1 + 0.2 + 0.08), after = (1.1 + 0.11) + (1.1 + 0.12);
        assert_float_equal(r.ttft.mean, ttft, 1e-12);
        assert_float_equal(r.e2e.mean, ttft + after, 1e-12);
        assert_float_equal(r.tpot.mean, after / 2, 1e-12);
        assert_float_equal(r.gap.mean, after / 2, 1e-12);
        assert_true(r.n_done == 1 && r.n_good == 1 && r.n_step == 5 && r.n_mixed == 3 && r.output_tokens == 3 && r.prompt_tokens == 10 && r.rows == 12 && r.wait.most == 0 && r.most_cache == 1);
        assert_float_equal(r.busy_s, ttft + after, 1e-12);
        assert_float_equal(r.mean_running, 1, 1e-12);
        assert_float_equal(r.output_s, 3 / (ttft + after), 1e-12);
        assert_int_equal(r.n_event, slow ? 5 : 4);
    }
    w.output.a = 1;
    go(&r, &w, &l, (struct machine){ 1, 0.1, 0.01 });
    assert_true(r.n_done == 1 && r.tpot.n == 0 && isnan(r.tpot.mean) && r.gap.n == 0 && r.n_step == 3);
}

/* One of 65 tokens needs two pages; one of 65 rows of which the last is never computed does not. */
static void what_never_fits_is_refused(void **state)
{
    (void)state;
    struct sim_result r;
    struct sim_limits l = { .n_slot = 2, .cache_tokens = 64, .step_tokens = 100 };
    const struct machine m = { 1, 0.1, 0 };
    struct workload w = fixed(3, 60, 5);
    go(&r, &w, &l, m);
    assert_true(r.n_request == 3 && r.n_too_long == 3 && r.n_done == 0 && r.seconds == 0);
    w.output.a = 4;
    go(&r, &w, &l, m);
    assert_true(r.n_done == 3 && r.n_too_long == 0);
    l.ctx = 61, l.cache_tokens = 1000, w.output.a = 9;               /* tokens at positions 60 and 61, as the server has it: the last one needs none */
    go(&r, &w, &l, m);
    assert_true(r.n_done == 3 && r.n_cut == 3 && r.output_tokens == 6);
    l.ctx = 59;
    go(&r, &w, &l, m);
    assert_true(r.n_too_long == 3);
    w.users = 1;                                                     /* who is refused asks again */
    go(&r, &w, &l, m);
    assert_true(r.n_request == 3 && r.n_too_long == 3);
}

static void limits_and_costs_that_cannot_be_are_errors(void **state)
{
    (void)state;
    struct sim_result r;
    const struct workload w = fixed(3, 60, 5);
    static const struct sim_limits bad[] = {
#define LIMITS(slots, tokens, page_, step) { .n_slot = slots, .cache_tokens = tokens, .page = page_, .step_tokens = step }
        LIMITS(0, 100, 64, 16), LIMITS(1, 10, 64, 16), LIMITS(1, (double)NAN, 64, 16), LIMITS(1, 100, -1, 16), LIMITS(1, 100, 64, 0), LIMITS(17, 100, 64, 16),
    };
    struct machine m = { 1, 0, 0 };
    const struct sim_cost c = { &m, decode, mixed };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(simulate(&r, &w, &bad[i], &c, &err), ERR_RANGE);
    const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 100 };
    static const struct machine wrong[] = { { 0, 0, 0 }, { (double)NAN, 0, 0 }, { -1, 0, 0 }, { (double)INFINITY, 0, 0 }, { 10, 0, -0.01 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        m = wrong[i];
        assert_int_equal(simulate(&r, &w, &l, &c, &err), ERR_NUMERIC);
    }
    struct workload contradicts = w;
    contradicts.targets = (struct targets){ 3, 0, 1 };
    assert_int_equal(simulate(&r, &contradicts, &l, &c, &err), ERR_USAGE);
}

/* Two at once in steps that take 1: first tokens after 1 step and after 3, and the slot is another's after its third token. */
static void targets_are_kept_by_those_that_come_in_time(void **state)
{
    (void)state;
    struct sim_result r;
    struct workload w = fixed(4, 1, 3);
    const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 10 };
    const struct machine m = { 1, 0, 0 };
    go(&r, &w, &l, m);                                               /* ttft 1, 4, 7, 10; e2e 3, 6, 9, 12 */
    assert_true(r.n_good == 4 && fabs(r.seconds - 12) < 1e-9 && fabs(r.goodput - 4 / 12.) < 1e-12 && fabs(r.mean_waiting - (3 + 6 + 9) / 12.) < 1e-12);
    w.targets = (struct targets){ .ttft = 4.5 };
    go(&r, &w, &l, m);
    assert_int_equal(r.n_good, 2);
    w.targets = (struct targets){ .ttft = 4.5, .e2e = 5 };
    go(&r, &w, &l, m);
    assert_int_equal(r.n_good, 1);
    w.targets = (struct targets){ .tpot = 0.99 };                    /* no step is as short */
    go(&r, &w, &l, m);
    assert_true(r.n_good == 0 && r.goodput == 0 && r.least_tpot > w.targets.tpot);
}

/* A user asks 2 s, on average, after the last answer, which takes 4 steps; two begin when load/users.h says. */
static void users_ask_when_they_have_their_answer(void **state)
{
    (void)state;
    struct sim_result r;
    struct workload w = fixed(10, 1, 4);
    const struct sim_limits l = { .n_slot = 8, .cache_tokens = 1000, .step_tokens = 10 };
    struct users u;
    double thought = 0;
    w.users = 1, w.think = 2, w.seed = 3;
    for (uint64_t i = 1; i < 10; i++)
        thought -= 2 * log1p(-rng_uniform(rng_key(3, "think"), i));
    go(&r, &w, &l, (struct machine){ 1, 0, 0 });
    assert_true(r.n_done == 10 && fabs(r.seconds - (10 * 4 + thought)) < 1e-9 && fabs(r.busy_s - 40) < 1e-9 && fabs(r.e2e.mean - 4) < 1e-9);
    w.n = w.users = 2, w.ramp = 1000, w.think = 1e8;
    OK(users_init(&u, &(struct users_opts){ 2, 1000, 0, 0, 3 }, &err));
    const double first = users_next(&u);
    users_ask(&u);
    assert_true(users_next(&u) > first + 4);
    go(&r, &w, &l, (struct machine){ 1, 0, 0 });
    assert_true(fabs(r.seconds - (users_next(&u) - first + 4)) < 1e-9 && fabs(r.e2e.mean - 4) < 1e-9);
    users_release(&u);
    w.ramp = -1;
    assert_int_equal(workload_check(&w, &err), ERR_RANGE);
}

/* ---- queues that are known ---- */

/* A slot, a step each of the same time: M/D/1. */
static void waiting_times_are_those_of_a_queue(void **state)
{
    (void)state;
    json_t *golden;
    size_t i;
    json_t *o;
    OK(tree_load(&golden, "tests/golden/queue.json", 1 << 20, &err));
    json_array_foreach(json_object_get(golden, "wait"), i, o) {
        struct sim_result r;
        struct workload w = fixed(4000000, 5, 1);
        const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 10, .n_queue = -1 };
        w.at_once = false, w.arrival = ARRIVAL_POISSON, w.rate = tree_number_at(o, "rho"), w.seed = 4;
        go(&r, &w, &l, (struct machine){ 1, 0, 0 });
        assert_int_equal(r.n_done, w.n);
        assert_float_equal(r.wait.mean / tree_number_at(o, "mean"), 1, 0.02);
        assert_float_equal(r.wait.p50, tree_number_at(o, "p50"), 0.02);
        assert_float_equal(r.wait.p90 / tree_number_at(o, "p90"), 1, 0.02);
        assert_float_equal(r.wait.p99 / tree_number_at(o, "p99"), 1, 0.02);
        assert_float_equal(r.busy_s / r.seconds, w.rate, 0.005);
        assert_float_equal(r.ttft.mean, r.wait.mean + 1, 1e-6);
        assert_float_equal(r.mean_waiting, w.rate * r.wait.mean, 0.005);             /* Little's law */
    }
    json_array_foreach(json_object_get(golden, "lost"), i, o) {
        struct sim_result r;
        struct workload w = fixed(1000000, 5, 1);
        const struct sim_limits l = { .n_slot = 1, .cache_tokens = 1000, .step_tokens = 10, .n_queue = (int)tree_number_at(o, "places") };
        w.at_once = false, w.arrival = ARRIVAL_POISSON, w.rate = tree_number_at(o, "rho"), w.seed = 5;
        go(&r, &w, &l, (struct machine){ 1, 0, 0 });
        assert_int_equal(r.n_done + r.n_busy, w.n);
        assert_float_equal((double)r.n_busy / (double)w.n, tree_number_at(o, "lost"), 0.003);
    }
    json_decref(golden);
}

/* ---- the slow twin ---- */

static struct workload any_workload(uint64_t key, bool long_ones)
{
    const uint64_t dice = rng_u64(key, 0);
    struct workload w = { .n = 3000, .prompt = { LENGTHS_LOGNORMAL, 60, 0.8, NULL, 0, 200 }, .output = { LENGTHS_UNIFORM, 1, 120, NULL, 0, 0 }, .seed = key };
    if (dice & 1)
        w.arrival = ARRIVAL_GAMMA, w.cv = (double)(1 + (dice >> 1 & 7)), w.rate = 0.02 * (double)(1 + (dice >> 4 & 15));
    else
        w.users = 1 + (int)(dice >> 4 & 63), w.think = (double)(dice >> 10 & 3) * 7.3;
    if (dice >> 12 & 1)
        w.prefix.n = 1 + (int)(dice >> 13 & 7), w.prefix.tokens = 16 * (int)(dice >> 16 & 7), w.prefix.share = dice >> 19 & 1 ? 0 : 0.6;
    if (long_ones)
        w.prompt.a = 100, w.prompt.most = 300;
    return w;
}

static void alike(const char *what, int k, double fast, double slow, double within)
{
    if (!(fabs(fast - slow) <= within * fabs(slow) + 1e-9) && !(isnan(fast) && isnan(slow)))
        fail_msg("%d: %s is %.9g, step by step %.9g", k, what, fast, slow);
}

static void series_of_steps_are_as_step_by_step(void **state)
{
    (void)state;
    int64_t aside = 0, busy = 0, kept = 0, step = 0, event = 0;
    for (int k = 0; k < 60; k++) {
        struct sim_result r[2];
        const uint64_t dice = rng_u64(9, (uint64_t)k);
        struct workload w = any_workload((uint64_t)k, dice >> 20 & 1);
        struct sim_limits l = { .n_slot = 1 + (int)(dice & 31), .cache_tokens = 64. * (double)(10 + (dice >> 5 & 63)), .step_tokens = 32 + (int)(dice >> 11 & 255), .n_queue = dice >> 21 & 1 ? -1 : 1 + (int)(dice >> 22 & 15),
                                .page = dice >> 26 & 1 ? 64 : 16, .stretch = dice >> 27 & 1 ? 0 : -1, .no_share = (dice >> 28 & 3) == 0 };
        w.targets = (struct targets){ 30, 0.5, 80 };
        for (int slow = 0; slow < 2; slow++) {
            l.every_step = slow;
            go(&r[slow], &w, &l, (struct machine){ 0.1, 1e-3, 1e-5 });
            assert_int_equal(r[slow].n_done + r[slow].n_busy + r[slow].n_too_long, w.n);
            assert_int_equal(r[slow].n_request, w.n);
            assert_int_equal(r[slow].ttft.n, r[slow].n_done);
            assert_true(r[slow].output_tokens == (double)(r[slow].gap.n + r[slow].n_done));              /* all tokens are out */
            assert_true(r[slow].rows >= r[slow].output_tokens - (double)r[slow].n_done + r[slow].prompt_tokens - r[slow].kept_tokens);
            assert_true(r[slow].busy_s <= r[slow].seconds * (1 + 1e-9) && r[slow].most_cache <= 1);
        }
        assert_int_equal(r[0].n_put_aside > 0, r[1].n_put_aside > 0);
        alike("n_done", k, (double)r[0].n_done, (double)r[1].n_done, 0.01), alike("n_good", k, (double)r[0].n_good, (double)r[1].n_good, 0.01);
        alike("tokens", k, r[0].output_tokens, r[1].output_tokens, 0.01), alike("kept", k, r[0].kept_tokens, r[1].kept_tokens, 0.01), alike("rows", k, r[0].rows, r[1].rows, 0.01);
        alike("seconds", k, r[0].seconds, r[1].seconds, 0.01), alike("busy_s", k, r[0].busy_s, r[1].busy_s, 0.01), alike("steps", k, (double)r[0].n_step, (double)r[1].n_step, 0.01);
        alike("running", k, r[0].mean_running, r[1].mean_running, 0.01), alike("waiting", k, r[0].mean_waiting, r[1].mean_waiting, 0.01), alike("cache", k, r[0].most_cache, r[1].most_cache, 0.01);
        alike("ttft", k, r[0].ttft.mean, r[1].ttft.mean, 0.01), alike("ttft p99", k, r[0].ttft.p99, r[1].ttft.p99, 0.01), alike("tpot", k, r[0].tpot.mean, r[1].tpot.mean, 0.01), alike("tpot p99", k, r[0].tpot.p99, r[1].tpot.p99, 0.01);
        alike("gap", k, r[0].gap.mean, r[1].gap.mean, 0.01), alike("gap p99", k, r[0].gap.p99, r[1].gap.p99, 0.01), alike("e2e p95", k, r[0].e2e.p95, r[1].e2e.p95, 0.01);
        aside += r[0].n_put_aside, busy += r[0].n_busy, kept += (int64_t)r[0].kept_tokens, step += r[0].n_step, event += r[0].n_event;
        assert_int_equal(r[1].n_event, r[1].n_step);
    }
    if (aside < 100 || busy < 100 || kept < 1000 || event * 4 > step * 3)
        fail_msg("%lld put aside, %lld refused, %lld tokens found, %lld events for %lld steps: the test has not seen it all", (long long)aside, (long long)busy, (long long)kept, (long long)event, (long long)step);
}

static void it_is_the_same_every_time_and_takes_no_more_memory_for_more(void **state)
{
    (void)state;
    struct workload w = any_workload(7, false);
    const struct sim_limits l = { .n_slot = 16, .cache_tokens = 4000, .step_tokens = 64, .n_queue = -1 };
    struct sim_result a, b;
    struct mem_stats before, after;
    w.users = 0, w.arrival = ARRIVAL_POISSON, w.rate = 1e3;          /* nearly all of them wait */
    mem_stats_get(&before);
    go(&a, &w, &l, (struct machine){ 0.1, 1e-3, 1e-5 });
    mem_stats_get(&after);
    const uint64_t n = after.n_alloc - before.n_alloc;
    go(&b, &w, &l, (struct machine){ 0.1, 1e-3, 1e-5 });
    assert_memory_equal(&a, &b, sizeof a);
    w.n *= 10;
    mem_stats_get(&before);
    go(&a, &w, &l, (struct machine){ 0.1, 1e-3, 1e-5 });
    mem_stats_get(&after);
    assert_int_equal(after.n_alloc - before.n_alloc, n);
    assert_int_equal(after.n_live, before.n_live);
}

/* ---- the server's own pages ---- */

enum { CTX = 512, N_HOLD = 24 };
struct mirror { struct held held; struct sim_hold hold; int32_t ids[CTX]; int n, n_done, step; int64_t pages; bool runs, was; };

static void new_text(struct mirror *m, uint64_t i, int prefix)
{
    const struct block_key root = { { 1 } };
    const uint64_t dice = rng_u64(21, i);
    held_release(&m->held);
    *m = (struct mirror){ .n = 1 + (int)(dice % 300) };
    m->hold = (struct sim_hold){ .group = (dice >> 20 & 3) && m->n > prefix ? (int)(dice >> 22 & 3) : -1 };
    m->hold.prefix = m->hold.group < 0 ? 0 : prefix;
    for (int k = 0; k < CTX; k++)
        m->ids[k] = (int32_t)(k < m->hold.prefix ? rng_u64(1000 + (uint64_t)m->hold.group, (uint64_t)k) : rng_u64(i + 5000, (uint64_t)k)) & 0xffff;
    OK(held_init(&m->held, &root, CTX, &err));
}

/* Texts begin, grow, are put aside and end at random: the model finds the same tokens, holds the same pages and knows as many, where all that is begun again
 * begins with whole pages (sim_cache.h). */
static void the_cache_is_that_of_the_server(void **state)
{
    (void)state;
    int64_t found = 0, waited = 0, none = 0, evicted = 0, found_again = 0;
    for (int round = 0; round < 12; round++) {
        static struct mirror m[N_HOLD];
        struct pages *p;
        struct sim_cache c;
        const int n_page = 12 + 10 * round, prefix = 64 * (round % 4);               /* whole pages: then it is exact */
        OK(pages_new(&p, n_page, &err));
        OK(sim_cache_init(&c, n_page, 64, 4, true, &err));
        for (int i = 0; i < N_HOLD; i++)
            new_text(&m[i], (uint64_t)(round * 1000 + i), prefix);
        for (uint64_t s = 0; s < 6000; s++) {
            const uint64_t dice = rng_u64(31 + (uint64_t)round, s);
            struct mirror *t = &m[dice % N_HOLD];
            const int what = (int)(dice >> 8 & 7), spare = (int)(dice >> 12 & 3);
            if (!t->runs && t->was && t->hold.group >= 0 && c.group[t->hold.group].seg.n_page < prefix / 64 && !c.group[t->hold.group].n_ref)
                sim_forget(&c, &t->hold), new_text(t, 200000 + s + (uint64_t)round * 10000, prefix);      /* its own pages are there, but not their beginning */
            if (!t->runs) {
                int kept, from, mine;
                const struct pages_wish wish = { true, true, spare };
                const enum pages_fate fate = pages_begin(p, &t->held, t->ids, t->n, wish, &kept, &from), model = sim_begin(&c, &t->hold, t->n, spare, &mine);
                if (fate != model || (fate == PAGES_OK && kept != mine))
                    fail_msg("round %d, %llu: %d tokens of group %d (%d shared) begin: %d, %d kept; the model %d, %d", round, (unsigned long long)s, t->n, t->hold.group, t->hold.prefix, (int)fate, kept, (int)model, mine);
                waited += fate == PAGES_WAIT, none += fate == PAGES_NONE;
                if (fate == PAGES_OK)
                    t->runs = true, t->n_done = kept, t->pages = sim_pages(&c, t->n), found += kept, found_again += t->was ? kept : 0;
            } else if (t->n_done < t->n) {
                const int left = t->n - t->n_done, n = t->hold.writes || dice >> 27 & 1 ? 64 - t->n_done % 64 : 1 + (int)(dice >> 20 & 127);
                t->n_done += n < left ? n : left;
                pages_publish(p, &t->held, t->ids, t->n_done);
                sim_publish(&c, &t->hold, t->n_done);
            } else if (what < 5 && t->n < CTX) {
                const int64_t more = sim_pages(&c, t->n + 1) - t->pages;
                const bool got = pages_extend(p, &t->held, t->n + 1);
                assert_int_equal(got, sim_take(&c, more));
                t->n += got, t->n_done += got, t->pages += got ? more : 0;
                pages_publish(p, &t->held, t->ids, t->n_done);
            }
            if (t->runs && (what == 7 || (what == 6 && !t->was && t->n_done % 64 == 0 && t->n_done < t->n))) {
                pages_release(p, &t->held);
                sim_give(&c, &t->hold, t->pages, t->n_done, what == 6);
                t->runs = false, t->was = true;
                if (what == 7)
                    new_text(t, 100000 + s + (uint64_t)round * 10000, prefix);
            }
            const struct pages_count count = pages_count(p);
            assert_int_equal(count.n_held, c.n_held);
            assert_int_equal(count.n_known, sim_free(&c) - c.blank);
        }
        evicted += (int64_t)pages_count(p).n_evicted;
        for (int i = 0; i < N_HOLD; i++)
            held_release(&m[i].held);
        memset(m, 0, sizeof m);
        pages_free(p);
        sim_cache_release(&c);
    }
    if (found < 10000 || waited < 50 || none < 50 || evicted < 1000 || found_again < 5000)
        fail_msg("%lld found, %lld of them again, %lld waited, %lld without room, %lld evicted: the test has not seen it all", (long long)found, (long long)found_again, (long long)waited, (long long)none, (long long)evicted);
}

/* ---- the server's own steps ---- */

enum { MOST_STEPS = 20000 };
struct steps { int rows[MOST_STEPS], n; };

static void real_step(void *ctx, int n_row, double now)
{
    struct steps *s = ctx;
    (void)now;
    assert_true(s->n < MOST_STEPS);
    s->rows[s->n++] = n_row;
}
static void no_token(void *ctx, const struct text_times *t, double now) { (void)ctx, (void)t, (void)now; }
static void no_end(void *ctx, const struct text_times *t) { (void)ctx, (void)t; }
static void simulated_step(void *ctx, const struct sim_step *x, double begin, double seconds)
{
    for (int64_t i = 0; i < x->steps; i++)
        real_step(ctx, x->n + x->rows, begin + seconds);
}

/* All are there at the beginning, and steps have no limit but their rows: then times decide nothing, and the engine's steps are the simulated ones. */
static void steps_are_those_of_the_server(void **state)
{
    (void)state;
    static const struct { int n_slot, n_page, step, prefix; } of[] = { { 6, 40, 40, 0 }, { 12, 80, 500, 64 }, { 5, 5, 30, 0 }, { 8, 9, 64, 64 }, { 10, 9, 64, 0 }, { 7, 5, 512, 0 }, { 1, 6, 16, 128 } };
    static struct steps served, simulated;
    struct pool *pool;
    OK(pool_new(&pool, 1, &err));
    int64_t aside = 0, kept = 0;
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
        struct engine *e;
        struct batch *b;
        const struct batch_watch watch = { real_step, no_token, no_end, NULL, &served };
        const struct engine_opts eo = { .n_slot = of[k].n_slot, .n_page = of[k].n_page, .ctx = 256, .step_tokens = of[k].step, .n_logits = 20, .no_tok = true, .rope_scaling = "linear:4" };
        OK(engine_new(&e, "tests/golden/llama", &eo, pool, &err));
        const struct batch_opts bo = { .e = e, .pool = pool, .stretch = -1, .n_queue = 100, .watch = &watch };
        OK(batch_new(&b, &bo, &err));
        const struct workload w = { .n = 60, .at_once = true, .prompt = { LENGTHS_UNIFORM, of[k].prefix + 1, 180, NULL, 0, 0 }, .output = { LENGTHS_UNIFORM, 1, 70, NULL, 0, 0 }, .prefix = { of[k].prefix ? 3 : 0, of[k].prefix, 0.7 }, .seed = k };
        const int V = engine_config(e)->vocab_size;
        for (int64_t i = 0; i < w.n; i++) {
            const struct request q = workload_request(&w, i);
            int32_t ids[256];
            uint64_t id;
            for (int j = 0; j < q.prompt; j++)
                ids[j] = (int32_t)((j < q.prefix ? rng_u64(100 + (uint64_t)q.group, (uint64_t)j) : rng_u64(1000 + (uint64_t)i, (uint64_t)j)) % (uint64_t)V);
            const struct text_request r = { .ids = ids, .n = q.prompt, .most = q.output, .n_logprob = -1, .sampling = { .temperature = 1, .top_p = 1, .seed = (uint64_t)i }, .share = true };
            OK(batch_submit(b, &r, &id, &err));
        }
        served.n = simulated.n = 0;
        while (batch_step(b))
            ;
        struct batch_counts n;
        batch_counts(b, &n);
        struct sim_result r;
        struct sim_limits l = { .n_slot = of[k].n_slot, .cache_tokens = 64. * of[k].n_page, .step_tokens = of[k].step, .stretch = -1, .ctx = 256, .watch = simulated_step, .watch_ctx = &simulated };
        for (int slow = 0; slow < 2; slow++) {
            simulated.n = 0, l.every_step = slow;
            go(&r, &w, &l, (struct machine){ 1, 1e-3, 1e-6 });
            assert_int_equal(r.n_done, w.n);
            if ((uint64_t)r.n_put_aside != n.n_put_aside || (uint64_t)r.output_tokens != n.n_token || (uint64_t)r.rows != n.n_row || simulated.n != served.n)
                fail_msg("%d: %d put aside, %.0f tokens, %.0f rows, %d steps; the server %d, %d, %d, %d", (int)k, (int)r.n_put_aside, r.output_tokens, r.rows, simulated.n, (int)n.n_put_aside, (int)n.n_token, (int)n.n_row, served.n);
            assert_memory_equal(simulated.rows, served.rows, (size_t)served.n * sizeof *served.rows);
        }
        aside += r.n_put_aside, kept += (int64_t)r.kept_tokens;
        batch_free(b);
        engine_free(e);
    }
    if (aside < 5 || kept < 2000)
        fail_msg("%lld put aside, %lld tokens found: the test has not seen it all", (long long)aside, (long long)kept);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_request_gives_nothing), cmocka_unit_test(one_request_takes_its_steps), cmocka_unit_test(what_never_fits_is_refused), cmocka_unit_test(limits_and_costs_that_cannot_be_are_errors),
        cmocka_unit_test(targets_are_kept_by_those_that_come_in_time), cmocka_unit_test(users_ask_when_they_have_their_answer), cmocka_unit_test(waiting_times_are_those_of_a_queue),
        cmocka_unit_test(series_of_steps_are_as_step_by_step), cmocka_unit_test(it_is_the_same_every_time_and_takes_no_more_memory_for_more), cmocka_unit_test(the_cache_is_that_of_the_server),
        cmocka_unit_test(steps_are_those_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
