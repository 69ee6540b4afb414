/* device_fit.c - the constants of plan/devices.def from measured products and exchanges, and how far off the plan then is.
 *
 *     build/bench/device_fit collectives FILE.csv     device, what, n, bytes, us: link_share, link_latency, reduce_share of each device
 *     build/bench/device_fit products FILE.csv        device, number, m, n, k, us: mma, reach, launch, tile, ridge of each device
 *
 * A row in five, by its digits (of products by n and k, so that whole weights are unseen), is not fitted to and tells the error; the constants printed are of
 * all rows.  Least mean of |log (predicted / measured)| by steps along each constant that are halved where none helps.  Beside it
 * a roofline: the link's or the device's data sheet alone. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "data/csv.h"
#include "plan/collective.h"

#define ROWS_MAX 65536
#define FREE_MAX 8
struct row { char device[32]; int what, n; double m, k, size, seconds; bool unseen; };
static struct row table[ROWS_MAX], *of_device[ROWS_MAX];
static int n_table, n_of;
static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "device_fit: %s\n", err.msg);
        exit(1);
    }
}

/* ---- reading ---- */

static const char *text_of(const struct csv *c, const char *name)
{
    size_t n;
    const int i = csv_find(c, name);
    if (i < 0) {
        fprintf(stderr, "device_fit: %s has no column '%s'\n", c->name, name);
        exit(1);
    }
    return csv_field(c, i, &n);
}
static double number_of(const struct csv *c, const char *name) { return strtod(text_of(c, name), NULL); }

static int index_of(const char *word, const char *(*name)(int), int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(word, name(i)))
            return i;
    fprintf(stderr, "device_fit: '%s' is none of those that are known, as '%s'\n", word, name(0));
    exit(1);
}
static const char *of_collective(int i) { return collective_name((enum collective)i); }
static const char *of_number(int i) { return number_name((enum number)i); }

/* One in five, by the digits of x and y. */
static bool held_out(uint64_t x, uint64_t y) { return ((x * 0x9e3779b97f4a7c15u ^ y * 0xc2b2ae3d27d4eb4fu) >> 40) % 5 == 0; }

static void read_rows(const char *path, bool products)
{
    struct buf text;
    struct csv c;
    buf_init(&text);
    check(file_read(path, (size_t)64 << 20, &text, &err));
    check(csv_open(&c, text.data, text.len, path, &err));
    for (int rc; (rc = csv_next(&c, &err)) != 0 && n_table < ROWS_MAX;) {
        check(rc);
        struct row *r = &table[n_table++];
        snprintf(r->device, sizeof r->device, "%s", text_of(&c, "device"));
        r->n = (int)number_of(&c, "n"), r->seconds = number_of(&c, "us") * 1e-6;
        if (products)
            r->what = index_of(text_of(&c, "number"), of_number, N_NUMBER), r->m = number_of(&c, "m"), r->k = number_of(&c, "k");
        else
            r->what = index_of(text_of(&c, "what"), of_collective, N_COLLECTIVE), r->size = number_of(&c, "bytes");
        r->unseen = products ? held_out((uint64_t)r->n, (uint64_t)r->k) : held_out((uint64_t)r->size, (uint64_t)(r->n * 8 + r->what));
    }
    csv_release(&c), buf_release(&text);
}

/* ---- what is predicted ---- */

struct constants { struct device d; double mma[N_NUMBER]; };
typedef double (*predict)(const struct constants *, const struct row *);

static double exchange(const struct constants *c, const struct row *r) { return collective_seconds(&c->d, (enum collective)r->what, r->size, r->n); }

static double exchange_bare(const struct constants *c, const struct row *r)
{
    const double bw = r->n == 2 ? c->d.link_pair : fmin(c->d.link, (r->n - 1) * c->d.link_pair);
    return (r->what == ALL_REDUCE ? 2 : 1) * (r->n - 1.0) / r->n * r->size / bw;
}

static double product(const struct constants *c, const struct row *r)
{
    struct product_device p = device_product(&c->d, (enum number)r->what);
    p.mma = c->mma[r->what];
    return product_seconds(&p, 1, r->m, r->n, r->k, number_bytes((enum number)r->what));
}

static double product_bare(const struct constants *c, const struct row *r)
{
    const struct product_device p = device_product(&c->d, (enum number)r->what);
    return product_roofline(&p, 1, r->m, r->n, r->k, number_bytes((enum number)r->what));
}

/* ---- fitting: x[] are logarithms ---- */

static int has[N_NUMBER];        /* rows of each number */

static void put_exchange(struct constants *c, const double *x)
{
    c->d.link_share = exp(x[0]), c->d.link_latency = exp(x[1]);
    if (c->d.reduce_share)
        c->d.reduce_share = exp(x[2]);
}

static void put_product(struct constants *c, const double *x)
{
    c->d.reach = exp(x[0]), c->d.launch = exp(x[1]), c->d.tile = exp(x[2]);
    for (int i = 0, j = 3; i < N_NUMBER; i++)
        if (has[i])
            c->mma[i] = fmin(exp(x[j++]), 1);
}

static double loss(const struct constants *c, predict of, bool all)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < n_of; i++)
        if (all || !of_device[i]->unseen)
            sum += fabs(log(of(c, of_device[i]) / of_device[i]->seconds)), n++;
    return sum / n;
}

static double fit(struct constants *c, double *x, int n, predict of, void (*put)(struct constants *, const double *), bool all)
{
    double step[FREE_MAX];
    for (int i = 0; i < n; i++)
        step[i] = 0.2;
    put(c, x);
    double best = loss(c, of, all);
    for (double widest = 0.2; widest > 0.004;) {
        bool better = false;
        for (int i = 0; i < n; i++)
            for (int sign = -1; sign <= 1; sign += 2) {
                const double keep = x[i];
                x[i] += sign * step[i];
                put(c, x);
                const double l = loss(c, of, all);
                if (l < best)
                    best = l, better = true;
                else
                    x[i] = keep;
            }
        for (int i = 0; i < n && !better; i++)
            step[i] /= 2;
        widest = better ? widest : widest / 2;
    }
    put(c, x);
    return best;
}

/* ---- telling ---- */

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void tell(const char *name, const struct constants *c, predict of, predict bare, int what)
{
    static double e[ROWS_MAX], b[ROWS_MAX];
    double sum = 0;
    int n = 0;
    for (int i = 0; i < n_of; i++) {
        const struct row *r = of_device[i];
        if (r->unseen && (what < 0 || r->what == what))
            e[n] = fabs(of(c, r) / r->seconds - 1), b[n] = fabs(bare(c, r) / r->seconds - 1), sum += e[n++];
    }
    if (!n)
        return;
    qsort(e, (size_t)n, sizeof *e, by_size), qsort(b, (size_t)n, sizeof *b, by_size);
    printf("  %-16s n %5d  median %4.1f %%  mean %4.1f %%  90 %% %4.1f %%   data sheet: median %4.1f %%\n", name, n, 100 * e[n / 2],
           100 * sum / n, 100 * e[n * 9 / 10], 100 * b[n / 2]);
}

static void fit_exchange(struct constants c)
{
    const int n = c.d.reduce_share ? 3 : 2;
    double x[FREE_MAX] = { log(0.75), log(3e-6), log(0.65) };
    fit(&c, x, n, exchange, put_exchange, false);
    const struct constants told = c;
    fit(&c, x, n, exchange, put_exchange, true);
    printf("%s: link_share %.3f of %.0f GB/s, link_latency %.2f us, reduce_share %.3f\n", c.d.name, c.d.link_share, c.d.link / 1e9,
           c.d.link_latency * 1e6, c.d.reduce_share);
    tell("all", &told, exchange, exchange_bare, -1);
    for (int i = 0; i < N_COLLECTIVE; i++)
        tell(of_collective(i), &told, exchange, exchange_bare, i);
}

static double fit_ridge(struct constants *c, bool all)
{
    static const double ridges[] = { 32, 43, 64, 85 };
    struct constants best = *c;
    double least = HUGE_VAL;
    int n = 3;
    for (int i = 0; i < N_NUMBER; i++)
        n += has[i] > 0;
    for (int i = 0; i < (int)(sizeof ridges / sizeof *ridges); i++) {
        double x[FREE_MAX] = { log(0.8), log(4e-6), log(0.5e-6), log(0.7), log(0.7), log(0.7) };
        c->d.ridge = ridges[i];
        const double l = fit(c, x, n, product, put_product, all);
        if (l < least)
            least = l, best = *c;
    }
    *c = best;
    return least;
}

static void fit_product(struct constants c)
{
    memset(has, 0, sizeof has);
    for (int i = 0; i < n_of; i++)
        has[of_device[i]->what]++;
    fit_ridge(&c, false);
    const struct constants told = c;
    fit_ridge(&c, true);
    printf("%s: reach %.3f of %.0f GB/s, launch %.1f us, tile %.2f us, ridge %.0f, mma", c.d.name, c.d.reach, c.d.bandwidth / 1e9,
           c.d.launch * 1e6, c.d.tile * 1e6, c.d.ridge);
    for (int i = 0; i < N_NUMBER; i++)
        if (has[i])
            printf(" %s %.3f of %.0f TFLOP/s", of_number(i), c.mma[i], device_peak(&c.d, (enum number)i) / 1e12);
    printf("\n");
    tell("all", &told, product, product_bare, -1);
    for (int i = 0; i < N_NUMBER; i++)
        tell(of_number(i), &told, product, product_bare, i);
}

int main(int argc, char **argv)
{
    const bool products = argc == 3 && !strcmp(argv[1], "products");
    if (argc != 3 || (!products && strcmp(argv[1], "collectives"))) {
        fprintf(stderr, "usage: device_fit collectives FILE.csv | products FILE.csv\n");
        return 2;
    }
    read_rows(argv[2], products);
    for (int i = 0; i < n_table; i++) {
        bool done = false;
        for (int j = 0; j < i; j++)
            done |= !strcmp(table[j].device, table[i].device);
        const struct device *d = done ? NULL : device_find(table[i].device, &err);
        if (done)
            continue;
        check(d ? 0 : err.code);
        n_of = 0;
        for (int j = i; j < n_table; j++)
            if (!strcmp(table[j].device, table[i].device))
                of_device[n_of++] = &table[j];
        (products ? fit_product : fit_exchange)((struct constants){ .d = *d });
    }
    return 0;
}
