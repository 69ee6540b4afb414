/* order.c - radix sort by bytes, least first: doubles are whole numbers of 64 bits whose order is that of the values, once the sign is seen to.
 * Bytes that all values share, as most exponents are, cost a look and no pass. */
#include "eval/order.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

struct keyed { uint64_t key; int64_t place; };

static uint64_t key_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static double value_of(uint64_t key)
{
    const uint64_t bits = key >> 63 ? key & ~((uint64_t)1 << 63) : ~key;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* *items, of n with n more behind them to work with: where the sorted ones then are. */
static struct keyed *radix_sort(struct keyed *items, int64_t n)
{
    struct keyed *from = items, *to = items + n;
    for (int shift = 0; shift < 64; shift += 8) {
        int64_t start[257] = { 0 };
        for (int64_t i = 0; i < n; i++)
            start[(from[i].key >> shift & 255) + 1]++;
        if (n == 0 || start[(from[0].key >> shift & 255) + 1] == n)
            continue;
        for (int b = 0; b < 256; b++)
            start[b + 1] += start[b];
        for (int64_t i = 0; i < n; i++)
            to[start[from[i].key >> shift & 255]++] = from[i];
        struct keyed *const other = from;
        from = to, to = other;
    }
    return from;
}

/* Sorted items; *room is to be freed. */
static int sort_keyed(const double *v, int64_t n, struct keyed **sorted, struct keyed **room, struct err *err)
{
    if (n < 0)
        return ERR(err, RANGE, "%lld values to sort", (long long)n);
    if (n > INT64_MAX / 64 || !(*room = mem_alloc_array((size_t)n * 2, sizeof **room)))
        return ERR(err, NOMEM, "%lld values to sort do not fit into memory", (long long)n);
    for (int64_t i = 0; i < n; i++)
        (*room)[i] = (struct keyed){ key_of(v[i]), i };
    *sorted = radix_sort(*room, n);
    return 0;
}

int order_sort(double *v, int64_t n, struct err *err)
{
    struct keyed *sorted, *room;
    TRY(sort_keyed(v, n, &sorted, &room, err));
    for (int64_t i = 0; i < n; i++)
        v[i] = value_of(sorted[i].key);
    mem_free(room);
    return 0;
}

int order_index(const double *v, int64_t n, int64_t *index, struct err *err)
{
    struct keyed *sorted, *room;
    TRY(sort_keyed(v, n, &sorted, &room, err));
    for (int64_t i = 0; i < n; i++)
        index[i] = sorted[i].place;
    mem_free(room);
    return 0;
}

int order_rank(const double *v, int64_t n, double *rank, double *ties, struct err *err)
{
    struct keyed *sorted, *room;
    TRY(sort_keyed(v, n, &sorted, &room, err));
    double sum = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && v[sorted[end].place] == v[sorted[i].place]; end++)
            ;
        for (int64_t j = i; j < end; j++)
            rank[sorted[j].place] = (double)(i + end + 1) / 2;
        const double t = (double)(end - i);
        sum += t * t * t - t;
    }
    if (ties)
        *ties = sum;
    mem_free(room);
    return 0;
}

int order_finite(const double *v, int64_t n, const char *what, struct err *err)
{
    if (n < 0)
        return ERR(err, RANGE, "%s: %lld values", what, (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return ERR(err, NUMERIC, "%s: value %lld is %g, expected a finite number", what, (long long)i, v[i]);
    return 0;
}

double order_quantile(const double *sorted, int64_t n, double q)
{
    const double at = q * (double)(n - 1);
    const int64_t i = (int64_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}
