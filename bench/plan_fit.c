/* plan_fit.c - the constants of plan/product.h for an accelerator, from measured products, and how far off the model then is.
 *
 *     build/bench/plan_fit vidur FIT.csv TEST.csv ...     linear layers by tokens (github.com/microsoft/vidur, data/profiling/compute): fitted to
 *                                                         the first file alone, a line for each; FIT begins with h100- or a100-
 *     build/bench/plan_fit aiter GEMM.csv                 tuned products of an MI300X (github.com/ROCm/aiter, aiter/configs)
 *     build/bench/plan_fit experts FMOE.csv               its fused experts
 *
 * aiter and experts: fitted to a random 80 %, told of the other 20 %, for several seeds; the median of those medians at the end.  Least mean of |log
 * (predicted / measured)| by Nelder and Mead's simplex, for each ridge of a few; the memory's share of experts and aiter is the measured copy's,
 * not fitted.  Beside it the bare roofline. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/csv.h"
#include "plan/product.h"

#define ROWS_MAX 8192
#define COPY_MI300X 0.76         /* 4.02 of 5.3 TB/s: a copy, SPX and NPS1 (ROCm blog on compute and memory modes, 2025) */
struct row { double batch, m, n, k, bytes, seconds; int experts, chosen; };          /* experts: m tokens, n wide, k inside */
struct rows { struct row *row; int n; };
static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "plan_fit: %s\n", err.msg);
        exit(1);
    }
}

/* ---- reading ---- */

struct table { struct buf text; struct csv csv; };
static void table_open(struct table *t, const char *path)
{
    buf_init(&t->text);
    check(file_read(path, (size_t)64 << 20, &t->text, &err));
    check(csv_open(&t->csv, t->text.data, t->text.len, path, &err));
}

static const char *text_of(const struct table *t, const char *name)
{
    const int i = csv_find(&t->csv, name);
    size_t n;
    if (i < 0) {
        fprintf(stderr, "plan_fit: %s has no column '%s'\n", t->csv.name, name);
        exit(1);
    }
    return csv_field(&t->csv, i, &n);
}
static double number_of(const struct table *t, const char *name) { return strtod(text_of(t, name), NULL); }

static bool next_row(struct table *t)
{
    const int rc = csv_next(&t->csv, &err);
    check(rc);
    return rc == 1;
}

static void table_close(struct table *t) { csv_release(&t->csv), buf_release(&t->text); }

static void add(struct rows *to, struct row r)
{
    if (!(r.seconds > 0))
        return;
    if (to->n == ROWS_MAX) {
        fprintf(stderr, "plan_fit: a table has more than %d measured products\n", ROWS_MAX);
        exit(1);
    }
    to->row[to->n++] = r;
}

/* Enough that each share of them has one. */
static void check_rows(const struct rows *r, const char *path)
{
    if (r->n < 10) {
        fprintf(stderr, "plan_fit: %s has %d measured products, expected 10 at least\n", path, r->n);
        exit(1);
    }
}

/* Queries, keys and values; output; gate and up, or up; down: split between tp devices. */
static void read_vidur(struct rows *to, const char *path)
{
    struct table t;
    table_open(&t, path);
    while (next_row(&t)) {
        const double tp = number_of(&t, "num_tensor_parallel_workers"), m = number_of(&t, "num_tokens"), c = number_of(&t, "n_embd");
        const double f = number_of(&t, "n_expanded_embd"), heads = number_of(&t, "n_head"), groups = fmax(floor(number_of(&t, "n_kv_head") / tp), 1);
        const double up = strcmp(text_of(&t, "use_gated_mlp"), "True") ? 1 : 2;
        const double shape[4][2] = { { (heads / tp + 2 * groups) * c / heads, c }, { c, c / tp }, { up * f / tp, c }, { c, f / tp } };
        const char *const what[4] = { "attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj" };
        for (int i = 0; i < 4; i++) {
            char column[64];
            snprintf(column, sizeof column, "time_stats.%s.median", what[i]);
            add(to, (struct row){ 1, m, shape[i][0], shape[i][1], 2, number_of(&t, column) * 1e-3, 0, 0 });
        }
    }
    table_close(&t);
}

static void read_aiter(struct rows *to, const char *path)
{
    struct table t;
    table_open(&t, path);
    while (next_row(&t))
        add(to, (struct row){ number_of(&t, "batch"), number_of(&t, "M"), number_of(&t, "N"), number_of(&t, "K"),
                              strncmp(text_of(&t, "table"), "bf16", 4) ? 1 : 2, number_of(&t, "us") * 1e-6, 0, 0 });
    table_close(&t);
}

static void read_experts(struct rows *to, const char *path)
{
    struct table t;
    table_open(&t, path);
    while (next_row(&t))
        add(to, (struct row){ 1, number_of(&t, "tokens"), number_of(&t, "model_dim"), number_of(&t, "inter_dim"), strcmp(text_of(&t, "q_type"), "QuantType.No") ? 1 : 2,
                              number_of(&t, "us") * 1e-6, (int)number_of(&t, "experts"), (int)number_of(&t, "topk") });
    table_close(&t);
}

/* ---- error ---- */

static double predicted(const struct product_device *d, const struct row *r)
{
    return r->experts ? experts_seconds(d, r->m, r->n, r->k, r->experts, r->chosen, r->bytes) : product_seconds(d, r->batch, r->m, r->n, r->k, r->bytes);
}

static double roofline(const struct product_device *d, const struct row *r)
{
    if (!r->experts)
        return product_roofline(d, r->batch, r->m, r->n, r->k, r->bytes);
    const double distinct = r->experts * (1 - pow(1 - (double)r->chosen / r->experts, r->m)), weights = 3 * r->n * r->k;
    return fmax(2 * r->m * r->chosen * weights / (d->peak * 2 / r->bytes), distinct * weights * r->bytes / d->bandwidth);
}

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

struct error { double median, mean, p90; };
static struct error error_of(const struct product_device *d, const struct rows *r, double (*time_of)(const struct product_device *, const struct row *))
{
    double *e = malloc((size_t)r->n * sizeof *e), sum = 0;
    for (int i = 0; i < r->n; i++)
        e[i] = fabs(time_of(d, &r->row[i]) / r->row[i].seconds - 1), sum += e[i];
    qsort(e, (size_t)r->n, sizeof *e, by_size);
    const struct error out = { e[r->n / 2], sum / r->n, e[r->n * 9 / 10] };
    free(e);
    return out;
}

/* ---- fitting: x[] are logarithms of mma, launch, tile and, where it is fitted, memory ---- */

struct problem { struct product_device d; const struct rows *rows; int n_free; };

static void put(struct product_device *d, const double *x, int n_free)
{
    d->mma = exp(x[0]), d->launch = exp(x[1]), d->tile = exp(x[2]);
    if (n_free > 3)
        d->memory = exp(x[3]);
}

static double loss(const struct problem *p, const double *x)
{
    struct product_device d = p->d;
    double sum = 0;
    put(&d, x, p->n_free);
    for (int i = 0; i < p->rows->n; i++)
        sum += fabs(log(predicted(&d, &p->rows->row[i]) / p->rows->row[i].seconds));
    return sum / p->rows->n;
}

static void mix(double *out, const double *middle, const double *worst, double by, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = middle[i] + by * (worst[i] - middle[i]);
}

/* Nelder and Mead 1965, with their coefficients. */
static double least(const struct problem *p, double *best)
{
    enum { MOST = 4 };
    const int n = p->n_free;
    double x[MOST + 1][MOST], f[MOST + 1];
    for (int i = 0; i <= n; i++) {
        memcpy(x[i], best, (size_t)n * sizeof *best);
        if (i)
            x[i][i - 1] += 0.2;
        f[i] = loss(p, x[i]);
    }
    for (int turn = 0; turn < 250; turn++) {
        int low = 0, high = 0, next = 0;
        for (int i = 1; i <= n; i++)
            low = f[i] < f[low] ? i : low, high = f[i] > f[high] ? i : high;
        for (int i = 1, any = 0; i <= n; i++)
            if (i != high && (!any || f[i] > f[next]))
                next = i, any = 1;
        if (f[high] - f[low] < 1e-6)
            break;
        double middle[MOST] = { 0 }, try[MOST], further[MOST];
        for (int i = 0; i <= n; i++)
            for (int j = 0; j < n && i != high; j++)
                middle[j] += x[i][j] / n;
        mix(try, middle, x[high], -1, n);
        const double at = loss(p, try);
        if (at < f[low]) {
            mix(further, middle, x[high], -2, n);
            const double at_further = loss(p, further);
            memcpy(x[high], at_further < at ? further : try, sizeof try), f[high] = fmin(at, at_further);
        } else if (at < f[next])
            memcpy(x[high], try, sizeof try), f[high] = at;
        else {
            mix(further, middle, at < f[high] ? try : x[high], 0.5, n);
            const double at_further = loss(p, further);
            if (at_further < fmin(at, f[high]))
                memcpy(x[high], further, sizeof further), f[high] = at_further;
            else
                for (int i = 0; i <= n; i++)
                    if (i != low)
                        mix(x[i], x[low], x[i], 0.5, n), f[i] = loss(p, x[i]);
        }
    }
    int low = 0;
    for (int i = 1; i <= n; i++)
        low = f[i] < f[low] ? i : low;
    memcpy(best, x[low], (size_t)n * sizeof *best);
    return f[low];
}

static struct product_device fit(struct product_device from, const struct rows *rows, int n_free)
{
    static const double ridges[] = { 32, 43, 64, 85, 128 };
    struct product_device best = from;
    double best_loss = HUGE_VAL;
    for (int i = 0; i < (int)(sizeof ridges / sizeof *ridges); i++) {
        struct problem p = { from, rows, n_free };
        double x[4] = { log(from.mma), log(from.launch), log(from.tile), log(from.memory) };
        p.d.ridge = ridges[i];
        const double l = least(&p, x);
        if (l < best_loss)
            best_loss = l, best = p.d, put(&best, x, n_free);
    }
    return best;
}

static void tell(const struct product_device *d)
{
    printf("mma %.3f of %.0f TFLOP/s, memory %.3f of %.0f GB/s, launch %.1f us, tile %.2f us, ridge %.0f, %d units\n", d->mma, d->peak / 1e12, d->memory,
           d->bandwidth / 1e9, d->launch * 1e6, d->tile * 1e6, d->ridge, d->units);
}

static void tell_error(const char *name, const struct product_device *d, const struct rows *r)
{
    const struct error e = error_of(d, r, predicted), bare = error_of(d, r, roofline);
    printf("%-34s n %5d  median %4.1f %%  mean %4.1f %%  90 %% %4.1f %%   roofline: median %4.1f %%\n", name, r->n, 100 * e.median, 100 * e.mean, 100 * e.p90, 100 * bare.median);
}

/* ---- the three ---- */

static int by_model(char **path, int n)
{
    const char *name = strrchr(path[0], '/') ? strrchr(path[0], '/') + 1 : path[0];
    const bool h100 = !strncmp(name, "h100", 4);
    const struct product_device from = h100 ? (struct product_device){ 989e12, 3350e9, 132, 0.75, 0.85, 6e-6, 1e-6, 64 }
                                            : (struct product_device){ 312e12, 2039e9, 108, 0.75, 0.75, 6e-6, 1e-6, 64 };      /* A100 SXM 80 GB */
    struct rows all = { malloc(ROWS_MAX * sizeof(struct row)), 0 };
    read_vidur(&all, path[0]);
    check_rows(&all, path[0]);
    const struct product_device d = fit(from, &all, 4);
    tell(&d);
    for (int i = 0; i < n; i++) {
        all.n = 0;
        read_vidur(&all, path[i]);
        check_rows(&all, path[i]);
        tell_error(strrchr(path[i], '/') ? strrchr(path[i], '/') + 1 : path[i], &d, &all);
    }
    free(all.row);
    return 0;
}

static int by_split(const char *path, bool experts)
{
    enum { SEEDS = 9 };
    const struct product_device from = { 1307.4e12, 5300e9, 304, 0.35, COPY_MI300X, 5e-6, 2e-6, 64 };
    struct rows all = { malloc(ROWS_MAX * sizeof(struct row)), 0 };
    double median[SEEDS];
    (experts ? read_experts : read_aiter)(&all, path);
    check_rows(&all, path);
    const int n_seed = experts ? SEEDS : 3, n_fit = all.n * 8 / 10;
    for (int seed = 0; seed < n_seed; seed++) {
        const uint64_t key = rng_key((uint64_t)seed, "split");
        for (int i = all.n - 1; i > 0; i--) {
            const int j = (int)rng_below(key, (uint64_t)i, (uint64_t)i + 1);
            const struct row keep = all.row[i];
            all.row[i] = all.row[j], all.row[j] = keep;
        }
        const struct rows known = { all.row, n_fit }, unseen = { all.row + n_fit, all.n - n_fit };
        const struct product_device d = fit(from, &known, 3);
        char name[40];
        snprintf(name, sizeof name, "seed %d, 20 %% not fitted to", seed);
        tell(&d), tell_error(name, &d, &unseen);
        median[seed] = error_of(&d, &unseen, predicted).median;
    }
    qsort(median, (size_t)n_seed, sizeof *median, by_size);
    printf("median over seeds %.1f %%\n", 100 * median[n_seed / 2]);
    free(all.row);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "vidur"))
        return by_model(argv + 2, argc - 2);
    if (argc == 3 && (!strcmp(argv[1], "aiter") || !strcmp(argv[1], "experts")))
        return by_split(argv[2], argv[1][0] == 'e');
    fprintf(stderr, "usage: plan_fit vidur FIT.csv TEST.csv ... | aiter GEMM.csv | experts FMOE.csv\n");
    return 2;
}
