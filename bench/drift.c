/* drift.c - how often watching alarms where nothing has changed, and how soon where something has.
 *
 *     build/bench/drift [runs, 1000] [events of a stream, 10000]
 *
 * Each run draws a reference of 2,000 events and a stream from one distribution, and looks after every event, at alpha 1 %; and after 50, 200 and 1,000 events
 * by the tests of a fixed size (window.h).  Then streams that change after 0 or 5,000 events.  All by random numbers of fixed seeds. */
#include <math.h>
#include "arg.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/order.h"
#include "watch/monitor.h"
#include "watch/window.h"

enum { REFERENCE = 2000, DIM = 16, N_SIZE = 3 };
static const int size_of[N_SIZE] = { 50, 200, 1000 };
static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "drift: %s\n", err.msg);
        exit(1);
    }
}

/* ---- distributions: an event is a function of (key, i, how far it has shifted) ---- */

struct event { char text[24]; float vector[DIM]; };
struct kind { const char *name; enum watch_kind kind; int what; };
enum { NORMAL, CAUCHY, GRADES, ZEROS, EQUAL, ZIPF, SPHERE, STUDENT };
static const struct kind kinds[] = {
    { "numbers, normal", WATCH_NUMBER, NORMAL }, { "numbers, Cauchy", WATCH_NUMBER, CAUCHY }, { "numbers, five grades", WATCH_NUMBER, GRADES },
    { "numbers, 70 % zeros, 5 % missing", WATCH_NUMBER, ZEROS }, { "categories, 6 equal", WATCH_CATEGORY, EQUAL },
    { "categories, 200 by Zipf", WATCH_CATEGORY, ZIPF },
    { "vectors of 16, normal", WATCH_VECTOR, SPHERE }, { "vectors of 16, Student's t3, correlated", WATCH_VECTOR, STUDENT },
};
enum { N_KIND = sizeof kinds / sizeof *kinds };

static int zipf(double u, int n)
{
    static double sum[201];
    if (sum[200] == 0)
        for (int k = 0; k < 200; k++)
            sum[k + 1] = sum[k] + 1.0 / (k + 1);
    int k = 0;
    while (k < n - 1 && sum[k + 1] < u * sum[n])
        k++;
    return k;
}

static void draw_vector(int what, uint64_t key, uint64_t i, double shift, float *v)
{
    double z[2], common = 0, chi2 = 0;
    if (what == STUDENT) {
        for (uint64_t j = 0; j < 3; j++)
            chi2 += pow(rng_normal(key ^ 77, 4 * i + j), 2);
        common = rng_normal(key ^ 78, i);
    }
    for (int j = 0; j < DIM; j += 2) {
        rng_normal_pair(key, (i * DIM + (uint64_t)j) / 2, z);
        for (int k = 0; k < 2; k++)
            v[j + k] = (float)((what == STUDENT ? (z[k] + 2 * common) / sqrt(chi2 / 3) : z[k]) + (j + k < 4 ? shift / 2 : 0));
    }
}

/* shift: standard deviations, or the share of categories (numbers that are grades or zeros) that is drawn otherwise. */
static struct watch_value draw(const struct kind *k, uint64_t key, int64_t at, double shift, struct event *e)
{
    const uint64_t i = (uint64_t)at;
    const double u = rng_uniform(key, i);
    switch (k->what) {
    case NORMAL: return WATCH_OF_NUMBER(rng_normal(key, i) + shift);
    case CAUCHY: return WATCH_OF_NUMBER(tan(3.14159265358979 * (u - 0.5)) + shift);
    case GRADES: return WATCH_OF_NUMBER(fmin(5, floor(1 + 5 * (u * (1 - shift) + shift * sqrt(u)))));
    case ZEROS: return u < 0.05 ? WATCH_LACKS : WATCH_OF_NUMBER(u < 0.75 - 0.5 * shift ? 0 : log(1 - u));
    case EQUAL: snprintf(e->text, sizeof e->text, "c%d", rng_uniform(key ^ 5, i) < shift ? 0 : (int)(6 * u)); break;
    case ZIPF: snprintf(e->text, sizeof e->text, rng_uniform(key ^ 5, i) < shift ? "new" : "c%d", zipf(u, 200)); break;
    default: draw_vector(k->what, key, i, shift, e->vector); return WATCH_OF_VECTOR(e->vector);
    }
    return WATCH_OF_TEXT(e->text, strlen(e->text));
}

static struct reference *collect(const struct kind *k, uint64_t key, int n, double shift)
{
    struct reference *r;
    struct event e;
    check(reference_new(&r, &(struct reference_opts){ .seed = key }, &err));
    check(reference_signal(r, "x", k->kind, DIM, &err));
    for (int i = 0; i < n; i++) {
        const struct watch_value v = draw(k, key, i, shift, &e);
        check(reference_add(r, &v, &err));
    }
    return r;
}

/* ---- watching ---- */

/* Events until the alarm; 0: none. */
static int64_t watch(const struct kind *k, const struct reference *r, uint64_t key, int64_t n, int64_t change, double shift)
{
    struct monitor *m;
    struct event e;
    int64_t at = 0;
    check(monitor_new(&m, r, &(struct monitor_opts){ .alpha = 0.01 }, &err));
    for (int64_t i = 0; i < n && !at; i++) {
        const struct watch_value v = draw(k, key, i, i >= change ? shift : 0, &e);
        const int alarms = monitor_add(m, &v, &err);
        check(alarms);
        at = alarms ? i + 1 : 0;
    }
    monitor_free(m);
    return at;
}

static double sure(int runs) { return 0.01 + 2.576 * sqrt(0.01 * 0.99 / runs); }

static void nothing_changes(int runs, int n)
{
    printf("Nothing changes: alarms at 1 %%, of %d runs (up to %.2f %% is chance, 99 %%)\n%-42s %10s %12s %8s %8s %8s\n", runs, 100 * sure(runs), "", "ever",
           "of events", "n = 50", "200", "1000");
    for (int i = 0; i < N_KIND; i++) {
        const struct kind *k = &kinds[i];
        int ever = 0, fixed[N_SIZE] = { 0 };
        const int fixed_runs = k->kind == WATCH_VECTOR ? (runs + 4) / 5 : runs;
        for (int run = 0; run < runs; run++) {
            const uint64_t key = (uint64_t)(i * 1000000 + run * 8);
            struct reference *r = collect(k, rng_key(key, "reference"), REFERENCE, 0);
            check(reference_close(r, &err));
            ever += watch(k, r, rng_key(key, "stream"), n, n, 0) > 0;
            for (int s = 0; s < N_SIZE && run < fixed_runs; s++) {
                struct window_signal w;
                struct reference *window = collect(k, rng_key(key, "window") + (uint64_t)s, size_of[s], 0);
                check(window_compare(&w, r, window, &(struct window_opts){ .alpha = 0.01, .seed = key }, &err));
                fixed[s] += w.drift;
                reference_free(window);
            }
            reference_free(r);
        }
        printf("%-42s %8.2f %% %12d", k->name, 100.0 * ever / runs, n);
        for (int s = 0; s < N_SIZE; s++)
            printf(" %6.2f %%", 100.0 * fixed[s] / fixed_runs);
        printf("%s\n", fixed_runs < runs ? "  (windows: a fifth of the runs)" : "");
        fflush(stdout);
    }
}

static void something_changes(int runs, int n)
{
    static const struct { int kind; double shift; const char *what; } cases[] = {
        { 0, 0.1, "0.1 sigma" }, { 0, 0.2, "0.2 sigma" }, { 0, 0.5, "0.5 sigma" }, { 0, 1, "1 sigma" }, { 1, 1, "1 quartile" }, { 2, 0.5, "grades up by 0.4" },
        { 3, 0.2, "60 % zeros" },
        { 4, 0.1, "10 % become one" }, { 5, 0.02, "2 % a new one" }, { 5, 0.1, "10 % a new one" }, { 6, 0.5, "0.5 sigma, 4 of 16" }, { 6, 1, "1 sigma, 4 of 16" },
        { 7, 2, "1 in 4 of 16" },
    };
    double *delay = mem_alloc_array((size_t)runs, sizeof *delay);
    printf("\nSomething changes: events from the change to the alarm, of %d runs\n%-42s %-20s %8s %8s %10s %8s\n", runs, "", "", "after", "alarms", "median",
           "90 %");
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int late = 0; late < 2; late++) {
            const struct kind *k = &kinds[cases[c].kind];
            const int64_t change = late ? n / 2 : 0;
            int found = 0, early = 0;
            for (int run = 0; run < runs; run++) {
                const uint64_t key = (uint64_t)(900000000 + (int)c * 100000 + run * 8);
                struct reference *r = collect(k, rng_key(key, "reference"), REFERENCE, 0);
                check(reference_close(r, &err));
                const int64_t at = watch(k, r, rng_key(key, "stream"), change + n, change, cases[c].shift);
                if (at > change)
                    delay[found++] = (double)(at - change);
                else
                    early += at > 0;
                reference_free(r);
            }
            check(order_sort(delay, found, &err));
            printf("%-42s %-20s %8lld %6.0f %% %10.0f %8.0f%s\n", k->name, cases[c].what, (long long)change, 100.0 * found / runs,
                   found ? delay[found / 2] : NAN,
                   found ? delay[found * 9 / 10] : NAN, early ? "  (one or more before the change)" : "");
            fflush(stdout);
        }
    mem_free(delay);
}

int main(int argc, char **argv)
{
    const int runs = arg_number(argc, argv, 1, 1000, 1, 100000), n = arg_number(argc, argv, 2, 10000, 100, 10000000);
    nothing_changes(runs, n);
    something_changes((runs + 9) / 10, n);
    return 0;
}
