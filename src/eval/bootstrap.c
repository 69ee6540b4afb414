#include "eval/bootstrap.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "eval/dist.h"
#include "eval/interval.h"
#include "eval/order.h"

#define WORDS 512            /* random numbers made at once: with the draws they give they stay in the first-level cache */
#define PER_WORD 8          /* draws of one, at most */
#define PER_ITEM 16         /* replicates that a thread takes at a time */

/* ---- draws ---- */

/* How 0 .. n-1 come out of 64 bits r: the high word of r n is a draw, the low word is the fraction that is left for the next.  After k draws
 * the low word is r n^k; where it is below 2^64 mod n^k, r is one of those that favour some results, and another is taken. */
struct dice { uint64_t key, n, product, reject; int per_word; };

static struct dice dice_of(uint64_t seed, int64_t n)
{
    struct dice d = { rng_key(seed, "bootstrap"), (uint64_t)n, (uint64_t)n, 0, 1 };
    while (d.per_word < PER_WORD && d.product <= (((uint64_t)1 << 56) / d.n))
        d.product *= d.n, d.per_word++;
    d.reject = -d.product % d.product;
    return d;
}

__extension__ typedef unsigned __int128 wide;

/* Word w of replicate r, which was refused: the same of another stream. */
static uint64_t word_again(const struct dice *d, uint64_t r, uint64_t w)
{
    for (uint64_t again = 1;; again++) {
        const struct rng_u32x4 x = rng_philox(d->key, r | again << 48, w / 2);
        const int half = (int)(w % 2) * 2;
        const uint64_t word = (uint64_t)x.v[half + 1] << 32 | x.v[half];
        if (word * d->product >= d->reject)
            return word;
    }
}

static inline __attribute__((always_inline)) void roll(const struct dice *d, uint64_t r, int64_t first, const uint64_t *word, int64_t n_word,
                                                     int per_word, int32_t *unit)
{
    for (int64_t w = 0; w < n_word; w++) {
        uint64_t x = word[w];
        if (__builtin_expect(x * d->product < d->reject, 0))
            x = word_again(d, r, (uint64_t)(first + w));
        for (int j = 0; j < per_word; j++) {
            const wide p = (wide)x * d->n;
            unit[w * per_word + j] = (int32_t)(p >> 64);
            x = (uint64_t)p;
        }
    }
}

/* Words first .. first + WORDS - 1 of replicate r, first even, or those that n draws need; returns how many of the draws are wanted. */
static int64_t draw(const struct dice *d, uint64_t r, int64_t first, int64_t n, int32_t unit[WORDS * PER_WORD])
{
    uint64_t word[WORDS];
    const int64_t left = (n - first * d->per_word + d->per_word - 1) / d->per_word, n_word = left < WORDS ? left : WORDS;
    rng_fill(d->key, r, (uint64_t)first / 2, word, (n_word + 1) / 2);
    if (d->per_word == 4)       /* a loop whose length is known is twice as fast; 4 is for 128 to 16,384 units */
        roll(d, r, first, word, n_word, 4, unit);
    else
        roll(d, r, first, word, n_word, d->per_word, unit);
    const int64_t wanted = n - first * d->per_word;
    return wanted < n_word * d->per_word ? wanted : n_word * d->per_word;
}

void bootstrap_draw(uint64_t seed, uint64_t r, int64_t n, int32_t *unit)
{
    const struct dice d = dice_of(seed, n > 0 ? n : 1);
    int32_t some[WORDS * PER_WORD];
    for (int64_t first = 0, done = 0; done < n; first += WORDS) {
        const int64_t got = draw(&d, r, first, n, some);
        memcpy(unit + done, some, (size_t)got * sizeof *some);
        done += got;
    }
}

/* ---- replicates ---- */

struct job {
    struct dice dice;
    int64_t n_unit, n_replicate;
    double *replicate;
    const double *values; int m;            /* sums: [n_unit][m] */
    bootstrap_of_sums of_sums; const void *sums_ctx;
    bootstrap_of_units of_units; void *units_ctx;
    int32_t *units;                         /* [n_thread][n_unit] */
};

/* sum[j] += values[unit][j].  Four chains for the single column: one would wait for each addition. */
static inline __attribute__((always_inline)) void add_rows(const double *values, int m, const int32_t *unit, int64_t n, double *sum)
{
    if (m == 1) {
        double part[4] = { 0 };
        int64_t i = 0;
        for (; i + 4 <= n; i += 4)
            for (int j = 0; j < 4; j++)
                part[j] += values[unit[i + j]];
        for (; i < n; i++)
            part[0] += values[unit[i]];
        sum[0] += part[0] + part[1] + (part[2] + part[3]);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            sum[j] += values[unit[i] * (int64_t)m + j];
}

static double replicate_of_sums(const struct job *job, uint64_t r)
{
    int32_t unit[WORDS * PER_WORD];
    double sum[BOOTSTRAP_COLUMNS] = { 0 };
    for (int64_t first = 0, done = 0; done < job->n_unit; first += WORDS) {
        const int64_t n = draw(&job->dice, r, first, job->n_unit, unit);
        switch (job->m) {
        case 1: add_rows(job->values, 1, unit, n, sum); break;
        case 2: add_rows(job->values, 2, unit, n, sum); break;
        case 3: add_rows(job->values, 3, unit, n, sum); break;
        default: add_rows(job->values, BOOTSTRAP_COLUMNS, unit, n, sum);
        }
        done += n;
    }
    return job->of_sums(sum, job->n_unit, job->sums_ctx);
}

static double replicate_of_units(const struct job *job, uint64_t r, int i_thread)
{
    int32_t *unit = job->units + (int64_t)i_thread * job->n_unit, some[WORDS * PER_WORD];
    for (int64_t first = 0, done = 0; done < job->n_unit; first += WORDS) {
        const int64_t n = draw(&job->dice, r, first, job->n_unit, some);
        memcpy(unit + done, some, (size_t)n * sizeof *some);
        done += n;
    }
    return job->of_units(unit, job->n_unit, i_thread, job->units_ctx);
}

static void replicates(void *ctx, int i_item, int i_thread)
{
    const struct job *job = ctx;
    const int64_t first = (int64_t)i_item * PER_ITEM, end = first + PER_ITEM < job->n_replicate ? first + PER_ITEM : job->n_replicate;
    for (int64_t r = first; r < end; r++)
        job->replicate[r] = job->of_sums ? replicate_of_sums(job, (uint64_t)r) : replicate_of_units(job, (uint64_t)r, i_thread);
}

/* ---- in parts, where somebody watches ---- */

enum { GROUPS_MAX = 1000 };
static int64_t n_group_of(int64_t n_unit) { return n_unit < GROUPS_MAX ? n_unit : GROUPS_MAX; }
/* Of the work of a job the share that leaving out is, before the replicates; sums are nothing. */
static double share_left_out(const struct job *job) { return job->of_sums ? 0 : (double)n_group_of(job->n_unit) / (double)(n_group_of(job->n_unit) + job->n_replicate); }

#define PARTS 100

struct work { pool_fn fn; void *ctx; int first; };

static void work_on(void *ctx, int i_item, int i_thread)
{
    const struct work *w = ctx;
    w->fn(w->ctx, w->first + i_item, i_thread);
}

/* fn of 0 .. n-1, which is the work from one share of all of it to another. */
static int in_parts(pool_fn fn, void *ctx, int n, double from, double to, const struct bootstrap_opts *o, struct err *err)
{
    const int n_thread = o->pool ? pool_n_thread(o->pool) : 1, part = !o->goes_on ? n : n / PARTS > n_thread ? n / PARTS : n_thread;
    for (int at = 0; at < n; at += part) {
        struct work w = { fn, ctx, at };
        const int some = n - at < part ? n - at : part;
        if (o->goes_on && !o->goes_on(o->ctx, from + (to - from) * at / n))
            return ERR(err, STOPPED, "stopped");
        for (int i = 0; !o->pool && i < some; i++)
            work_on(&w, i, 0);
        if (o->pool)
            pool_for(o->pool, some, work_on, &w);
    }
    return 0;
}

/* ---- intervals ---- */

/* Phi^-1 of the share of sorted replicates below the estimate, ties half: what is nearer than `tie`, since sums in another order differ by rounding. */
static double bias_of(const double *sorted, int64_t n, double estimate, double tie)
{
    int64_t below = 0, same = 0;
    for (int64_t i = 0; i < n && sorted[i] <= estimate + tie; i++)
        *(sorted[i] < estimate - tie ? &below : &same) += 1;
    return dist_normal_quantile(((double)below + 0.5 * (double)same) / (double)n);
}

static double acceleration_of(const double *jackknife, int64_t n)
{
    double mean = 0, squares = 0, cubes = 0;
    for (int64_t i = 0; i < n; i++)
        mean += jackknife[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double d = mean - jackknife[i];
        squares += d * d, cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * squares * sqrt(squares)) : 0;
}

static double bca_share(double z0, double a, double z) { return dist_normal_cdf(z0 + (z0 + z) / (1 - a * (z0 + z))); }

static int summarise(double *replicate, int64_t n, const double *jackknife, int64_t n_unit, double level, struct bootstrap *out, struct err *err)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        const double delta = replicate[i] - mean;
        mean += delta / (double)(i + 1);
        squares += delta * (replicate[i] - mean);
    }
    TRY(order_sort(replicate, n, err));
    out->se = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
    out->bias = mean - out->estimate;
    const double tail = (1 - level) / 2, z = dist_normal_quantile(tail), z0 = bias_of(replicate, n, out->estimate, 1e-9 * out->se), a = acceleration_of(jackknife, n_unit);
    for (int i = 0; i < 2; i++) {
        out->percentile[i] = order_quantile(replicate, n, i ? 1 - tail : tail);
        out->bca[i] = isfinite(z0) ? order_quantile(replicate, n, bca_share(z0, a, i ? -z : z)) : replicate[z0 > 0 ? n - 1 : 0];
    }
    return 0;
}

/* ---- the two entries ---- */

static int check(int64_t n_unit, const struct bootstrap_opts *o, struct err *err)
{
    if (n_unit < 1 || n_unit > INT32_MAX)
        return ERR(err, RANGE, "a bootstrap of %lld units, expected 1 to 2^31 - 1", (long long)n_unit);
    if (o->n_replicate < 0 || o->n_replicate > 1000000000)
        return ERR(err, RANGE, "%lld replicates, expected up to 10^9", (long long)o->n_replicate);
    if (o->level != 0 && !(o->level > 0 && o->level < 1))
        return ERR(err, RANGE, "confidence level %g, expected more than 0 and less than 1", o->level);
    return 0;
}

static int check_finite(const double *v, int64_t n, const char *of, struct err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return ERR(err, NUMERIC, "the statistic %s %lld is %g, expected a finite number", of, (long long)i, v[i]);
    return 0;
}

/* Of a job with its statistic and out->estimate: `jackknife` fills n_left values, of what leaving out each unit, or group of units, gives. */
static int run(struct job *job, int (*jackknife)(const struct job *job, double *value, const struct bootstrap_opts *o, struct err *err), int64_t n_left, const struct bootstrap_opts *o, struct bootstrap *out, struct err *err)
{
    job->n_replicate = o->n_replicate ? o->n_replicate : 10000;
    out->n_unit = job->n_unit, out->n_replicate = job->n_replicate;
    if (!isfinite(out->estimate))
        return ERR(err, NUMERIC, "the statistic is %g, expected a finite number", out->estimate);
    if (job->n_unit == 1)
        return 0;
    job->dice = dice_of(o->seed, job->n_unit);
    double *left_out = mem_alloc_array((size_t)n_left, sizeof *left_out);
    job->replicate = mem_alloc_array((size_t)job->n_replicate, sizeof *job->replicate);
    int rc = !left_out || !job->replicate ? ERR(err, NOMEM, "%lld replicates of %lld units do not fit into memory", (long long)job->n_replicate, (long long)job->n_unit) : 0;
    if (rc == 0) {
        rc = jackknife(job, left_out, o, err);
        if (rc == 0)
            rc = in_parts(replicates, job, (int)((job->n_replicate + PER_ITEM - 1) / PER_ITEM), share_left_out(job), 1, o, err);
        if (rc == 0)
            rc = check_finite(left_out, n_left, "without unit", err);
    }
    if (rc == 0)
        rc = check_finite(job->replicate, job->n_replicate, "of replicate", err);
    if (rc == 0)
        rc = summarise(job->replicate, job->n_replicate, left_out, n_left, o->level != 0 ? o->level : 0.95, out, err);
    mem_free(left_out);
    mem_free(job->replicate);
    return rc;
}

static const struct bootstrap nothing = { NAN, NAN, NAN, { NAN, NAN }, { NAN, NAN }, 0, 0 };

static int jackknife_of_sums(const struct job *job, double *value, const struct bootstrap_opts *o, struct err *err)
{
    (void)o, (void)err;
    double all[BOOTSTRAP_COLUMNS] = { 0 }, sum[BOOTSTRAP_COLUMNS];
    for (int64_t i = 0; i < job->n_unit; i++)
        for (int j = 0; j < job->m; j++)
            all[j] += job->values[i * job->m + j];
    for (int64_t i = 0; i < job->n_unit; i++) {
        for (int j = 0; j < job->m; j++)
            sum[j] = all[j] - job->values[i * job->m + j];
        value[i] = job->of_sums(sum, job->n_unit - 1, job->sums_ctx);
    }
    return 0;
}

/* values[unit][column], the sums of each cluster; returns the number of units. */
static int64_t unit_sums(const double *const *columns, int m, const int64_t *cluster, const int64_t *index, int64_t n, double *values)
{
    int64_t u = 0;
    for (int64_t i = 0, end; i < n; i = end, u++) {
        end = index ? interval_cluster_end(cluster, index, n, i) : i + 1;
        for (int j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = i; k < end; k++)
                sum += columns[j][index ? index[k] : k];
            values[u * m + j] = sum;
        }
    }
    return u;
}

int bootstrap_sums(const double *const *columns, int n_column, const int64_t *cluster, int64_t n, bootstrap_of_sums f, const void *ctx,
                   const struct bootstrap_opts *o, struct bootstrap *out, struct err *err)
{
    *out = nothing;
    if (n_column < 1 || n_column > BOOTSTRAP_COLUMNS)
        return ERR(err, RANGE, "a bootstrap of %d columns, expected 1 to %d", n_column, BOOTSTRAP_COLUMNS);
    TRY(check(n, o, err));
    for (int j = 0; j < n_column; j++)
        TRY(order_finite(columns[j], n, "scores", err));
    int64_t *index = NULL;
    if (cluster)
        TRY(interval_by_cluster(cluster, n, &index, err));
    double *values = mem_alloc_array((size_t)n, (size_t)n_column * sizeof *values);
    int rc = 0;
    if (values) {
        struct job job = { .values = values, .m = n_column, .of_sums = f, .sums_ctx = ctx };
        job.n_unit = unit_sums(columns, n_column, cluster, index, n, values);
        double all[BOOTSTRAP_COLUMNS] = { 0 };
        for (int64_t i = 0; i < job.n_unit; i++)
            for (int j = 0; j < n_column; j++)
                all[j] += values[i * n_column + j];
        out->estimate = f(all, job.n_unit, ctx);
        rc = run(&job, jackknife_of_sums, job.n_unit, o, out, err);
    } else {
        rc = ERR(err, NOMEM, "a bootstrap of %lld items does not fit into memory", (long long)n);
    }
    mem_free(values);
    mem_free(index);
    return rc;
}

double bootstrap_mean(const double *sum, int64_t n_unit, const void *ctx) { return (void)ctx, sum[0] / (double)n_unit; }
double bootstrap_ratio(const double *sum, int64_t n_unit, const void *ctx) { return (void)n_unit, (void)ctx, sum[0] / sum[1]; }
double bootstrap_perplexity(const double *sum, int64_t n_unit, const void *ctx) { return (void)n_unit, (void)ctx, exp(-sum[0] / sum[1]); }
double bootstrap_bits_per_byte(const double *sum, int64_t n_unit, const void *ctx) { return (void)n_unit, (void)ctx, -sum[0] / sum[1] / M_LN2; }
double bootstrap_difference(const double *sum, int64_t n_unit, const void *ctx) { return (void)n_unit, (void)ctx, (sum[0] - sum[1]) / sum[2]; }

/* The statistic looks at all units each time, so that one by one would be quadratic: of many, groups of them are left out, each n_group-th unit in one.  The
 * acceleration is the same: a group's sum is less skewed by the root of its size, and there are fewer groups by as much. */
struct leaving { const struct job *job; double *value; int64_t n_group; };

static void leave_out(void *ctx, int i_item, int i_thread)
{
    const struct leaving *l = ctx;
    int32_t *const unit = l->job->units + (size_t)i_thread * (size_t)l->job->n_unit;
    int64_t n = 0;
    for (int64_t u = 0; u < l->job->n_unit; u++)
        if (u % l->n_group != i_item)
            unit[n++] = (int32_t)u;
    l->value[i_item] = l->job->of_units(unit, n, i_thread, l->job->units_ctx);
}

static int jackknife_of_units(const struct job *job, double *value, const struct bootstrap_opts *o, struct err *err)
{
    struct leaving l = { job, value, n_group_of(job->n_unit) };
    return in_parts(leave_out, &l, (int)l.n_group, 0, share_left_out(job), o, err);
}

int bootstrap_units(int64_t n_unit, bootstrap_of_units f, void *ctx, const struct bootstrap_opts *o, struct bootstrap *out, struct err *err)
{
    *out = nothing;
    TRY(check(n_unit, o, err));
    struct job job = { .n_unit = n_unit, .of_units = f, .units_ctx = ctx };
    job.units = mem_alloc_array((size_t)(o->pool ? pool_n_thread(o->pool) : 1), (size_t)n_unit * sizeof *job.units);
    if (!job.units)
        return ERR(err, NOMEM, "a bootstrap of %lld units does not fit into memory", (long long)n_unit);
    for (int64_t i = 0; i < n_unit; i++)
        job.units[i] = (int32_t)i;
    out->estimate = f(job.units, n_unit, 0, ctx);
    const int rc = run(&job, jackknife_of_units, n_group_of(n_unit), o, out, err);
    mem_free(job.units);
    return rc;
}
