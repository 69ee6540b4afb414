#include "plan/kernel.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define LAUNCH (1 / 2.)                /* of device.kernel */
#define TRIP (1 / 6.)
#define RIDGE (128 * 256 / (128 + 256.))
#define CACHE_TRIP 0.42                /* of a trip: to the second-level cache; one row of softmax on an H200 */
#define SOFTMAX 13                     /* instructions of a lane for a score: an exponential is worth eight, as a unit makes 16 a clock of 128 */
#define RANGE 256.                     /* keys of a block of decode attention: GPU_RANGE */
#define SMALL 131072                   /* bytes that a copy reads and writes within its launch; more, up to CACHED, may never reach the memory when it is timed again and again */
#define CACHED 64e6

enum kind { COPY, GEMV, DECODE, ROWS, TILES, BATCH, PREFILL };
static const struct kernel { const char *name; enum kind kind; double trips, clocks, counted, share, bm, bn; const char *fitted; } table[] = {
#define K(...) { __VA_ARGS__ },
#include "plan/kernel.def"
};

const char *kernel_bound_name(enum kernel_bound b)
{
    static const char *const names[] = { "launch", "memory", "arithmetic", "matrix" };
    return names[b];
}

bool kernel_never_run(const struct device *d) { return !strcmp(d->target, "gfx942"); }

static const struct kernel *find(const char *name)
{
    const struct kernel *best = NULL;
    for (size_t i = 0; i < COUNT(table); i++)
        if (!strncmp(name, table[i].name, strlen(table[i].name)) && (!best || strlen(table[i].name) > strlen(best->name)))
            best = &table[i];
    return best;
}

/* ---- times ---- */

static bool amd(const struct device *d) { return !strcmp(d->vendor, "AMD"); }
/* Clocks of lanes a second: of NVIDIA's 128 lanes a unit, a multiplication and an addition each, the f32 peak counts two; of gfx942's 64 it counts four, as pairs. */
static double lanes_of(const struct device *d) { return d->peak[NUMBER_F32] / (amd(d) ? 4 : 2); }
static double launch_of(const struct device *d) { return d->kernel * LAUNCH; }
static double trips_of(const struct device *d, double n) { return d->kernel * TRIP * n; }
static double busy(const struct device *d, double blocks) { return d->units ? fmin(1, blocks / d->units) : 1; }

/* The longest of what a kernel has to do, behind its launch. */
static void take(struct kernel_time *t, const struct device *d, const struct kernel *k, double bytes, double flop, double blocks)
{
    const double begin = launch_of(d) + trips_of(d, k->trips), memory = bytes / (d->reach * d->bandwidth * busy(d, blocks));
    const double arithmetic = flop * (amd(d) ? k->counted : k->clocks) / (lanes_of(d) * busy(d, blocks)), most = fmax(memory, arithmetic);
    t->seconds = begin + most, t->flop = flop;
    t->bound = begin > most ? KERNEL_LAUNCH : memory >= arithmetic ? KERNEL_MEMORY : KERNEL_ARITHMETIC;
    t->fitted = t->bound == KERNEL_ARITHMETIC && !amd(d) ? k->fitted : NULL;
}

static bool copy(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    if (strcmp(r->kind, "copy") || (r->bytes > SMALL && r->bytes < CACHED))
        return false;
    take(t, d, k, r->bytes, 0, d->units);
    return true;
}

static bool gemv(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    int M, N, K;
    if (sscanf(r->shape, "M %d, N %d, K %d", &M, &N, &K) != 3)
        return false;
    take(t, d, k, r->bytes, r->flop, ceil(N / (8 * (M > 2 ? 4. : 2.))));
    t->replaced = t->bound == KERNEL_ARITHMETIC;
    return true;
}

/* The join of ranges, where it is of the row, is a kernel of its own: a block a head and sequence reads all its ranges. */
static bool decode(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    int d_head, n_head, n_kv, n_seq, n_key;
    if (sscanf(r->shape, "d %d, heads %d / %d, %d sequences of %d", &d_head, &n_head, &n_kv, &n_seq, &n_key) != 5)
        return false;
    const double ranges = ceil(n_key / RANGE), join = (double)n_seq * n_head * ranges * (d_head + 2) * 4;
    take(t, d, k, r->bytes, r->flop, n_seq * ranges * n_kv);
    if (strstr(r->name, " and join"))
        t->seconds += launch_of(d) + trips_of(d, 3) + join / (d->reach * d->bandwidth * busy(d, (double)n_seq * n_head));
    return true;
}

/* Softmax reads twice; a block walks along its row, of which a row that is read again and again is in the cache. */
static bool rows(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    int n_row, width;
    char what[8];
    if (sscanf(r->shape, "rows %d, %7s %d", &n_row, what, &width) != 3 && sscanf(r->shape, "rows %d of %d", &n_row, &width) != 2)
        return false;
    const bool softmax = !strcmp(k->name, "softmax");
    take(t, d, k, r->bytes * (softmax ? 1.5 : 1), r->flop, d->units);
    const double walk = launch_of(d) + trips_of(d, k->trips) + 2 * ceil(width / 1024.) * trips_of(d, CACHE_TRIP);
    if (softmax && walk > t->seconds)
        t->seconds = walk, t->bound = KERNEL_LAUNCH, t->fitted = k->fitted;
    return true;
}

/* Of a unit.  mma, not mma_of[]: in that the operands' quantisation is counted, which here is no part of the product. */
static double rate_of(const struct device *d, const struct kernel *k, enum number what)
{
    return (k->share > 0 && !amd(d) ? k->share : d->mma) * device_peak(d, what) / d->units;
}

static bool tiles(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    int M, N, K;
    if (sscanf(r->shape, "M %d, N %d, K %d", &M, &N, &K) != 3 || !d->units)
        return false;
    const bool fp8 = strstr(r->name, "e4m3") || strstr(r->name, "fp8");
    const double n = ceil(M / k->bm) * ceil(N / k->bn), bytes = ((double)M * K + (double)N * K) * (fp8 ? 1 : 2) + 2. * M * N;
    const double rate = fmin(1, k->bm * k->bn / (k->bm + k->bn) / RIDGE) * rate_of(d, k, fp8 ? NUMBER_FP8 : NUMBER_BF16);
    const double sums = ceil(n / d->units) * 2 * k->bm * k->bn * K / rate, memory = bytes / (d->reach * d->bandwidth * busy(d, n));
    t->seconds = launch_of(d) + trips_of(d, k->trips) + fmax(sums, memory), t->flop = 2. * M * N * K;
    t->bound = sums > memory ? KERNEL_MATRIX : KERNEL_MEMORY, t->fitted = sums > memory ? k->fitted : NULL;
    return true;
}

/* Products of some rows: a block has 64 of them and 128 columns, and rows that are not there, by 16, cost nothing.  Runs of K are joined by a kernel of its own. */
static bool batch(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    int M, N, K, runs;
    if (sscanf(r->shape, "M %d, N %d, K %d, %*[^,], runs %d", &M, &N, &K, &runs) != 4 || runs < 1 || !d->units)
        return false;
    const double n = ceil(N / k->bn) * runs * ceil(M / k->bm), rows = ceil(fmin(M, k->bm) / 16) * 16, memory = r->bytes / (d->reach * d->bandwidth * busy(d, n));
    const double sums = ceil(n / d->units) * 2 * rows * k->bn * K / runs / rate_of(d, k, NUMBER_BF16);
    t->seconds = launch_of(d) + trips_of(d, k->trips) + fmax(sums, memory), t->flop = 2. * M * N * K;
    t->bound = sums > memory ? KERNEL_MATRIX : KERNEL_MEMORY, t->fitted = sums > memory ? k->fitted : NULL;
    if (runs > 1)
        t->seconds += launch_of(d) + trips_of(d, k->trips) + (runs + 1.) * M * N * 4 / (d->reach * d->bandwidth);
    return true;
}

/* Keys that a block of queries sees are rounded up to blocks of keys; causal ones see half of them, and of the last block of keys half is too many.
 * No ridge: queries stay where they are. */
static bool prefill(struct kernel_time *t, const struct device *d, const struct kernel *k, const struct kernel_row *r)
{
    int n_seq, n, n_head, n_kv, d_head;
    if (sscanf(r->shape, "%d sequences of %d, heads %d / %d of %d", &n_seq, &n, &n_head, &n_kv, &d_head) != 5 || !d->units)
        return false;
    const bool causal = strstr(r->shape, "causal");
    const double blocks = ceil(n / k->bm) * n_head * n_seq, of_key = 4 * k->bm * d_head, rate = rate_of(d, k, NUMBER_BF16);
    const double keys = causal ? fmin(n, (n + k->bm + k->bn) / 2) : ceil(n / k->bn) * k->bn, softmax = k->bm * k->bn * SOFTMAX / (lanes_of(d) / d->units);
    const double each = (keys + k->bn) * of_key / rate + softmax + trips_of(d, 3);
    t->seconds = launch_of(d) + trips_of(d, k->trips) + (causal ? fmax(1, blocks / d->units) : ceil(blocks / d->units)) * each;
    t->flop = (causal ? 2. : 4.) * n * n * d_head * n_head * n_seq, t->bound = KERNEL_MATRIX, t->fitted = k->fitted, t->replaced = false;
    return true;
}

static bool launches(struct kernel_time *t, const struct device *d, const struct kernel_row *r)
{
    int n;
    if (strcmp(r->name, "kernel in a graph") || sscanf(r->shape, "graph of %d kernels", &n) != 1 || n < 100)
        return false;                  /* of few the graph's own launch, by the host, is most of it */
    *t = (struct kernel_time){ .seconds = launch_of(d), .bound = KERNEL_LAUNCH };
    return true;
}

bool kernel_foretell_as(struct kernel_time *out, const struct device *d, const struct kernel_row *r, const struct kernel_constants *c)
{
    static bool (*const fn[])(struct kernel_time *, const struct device *, const struct kernel *, const struct kernel_row *) = { copy, gemv, decode, rows, tiles, batch,
                                                                                                                                 prefill };
    *out = (struct kernel_time){ 0 };
    if (!(d->kernel > 0) || !(d->peak[NUMBER_F32] > 0))
        return false;
    if (!strcmp(r->kind, "launch"))
        return launches(out, d, r);
    const struct kernel *found = strcmp(r->kind, "copy") && strcmp(r->kind, "time") ? NULL : find(r->name);
    if (!found)
        return false;
    struct kernel k = *found;
    if (c)
        k.clocks = c->clocks, k.share = c->share;
    return fn[k.kind](out, d, &k, r);
}

bool kernel_foretell(struct kernel_time *out, const struct device *d, const struct kernel_row *r) { return kernel_foretell_as(out, d, r, NULL); }
