#include "plan/spread.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

#define BITS 9                           /* of the mantissa */
#define LEAST (-34)                      /* octaves */
#define MOST 34
enum { N_CLASS = (MOST - LEAST) << BITS };

/* Class of x: the exponent and the first bits of the mantissa as one number. */
static int class_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int64_t i = (int64_t)(bits >> (52 - BITS)) - ((int64_t)(LEAST + 1023) << BITS);
    return !(x > 0) || i < 0 ? 0 : i >= N_CLASS ? N_CLASS - 1 : (int)i;
}

/* Its lower end. */
static double begin_of(int i) { return ldexp(1 + (double)(i & ((1 << BITS) - 1)) / (1 << BITS), LEAST + (i >> BITS)); }

int spread_init(struct spread_tally *s, struct err *err)
{
    *s = (struct spread_tally){ .least = INFINITY, .most = -INFINITY };
    s->count = mem_alloc_array(N_CLASS, sizeof *s->count);
    return s->count ? 0 : ERR(err, NOMEM, "no memory for %d counts", (int)N_CLASS);
}

void spread_release(struct spread_tally *s)
{
    mem_free(s->count);
    *s = (struct spread_tally){ 0 };
}

void spread_add(struct spread_tally *s, double x, int64_t n)
{
    s->n += n, s->sum += (double)n * x;
    s->least = fmin(s->least, x), s->most = fmax(s->most, x);
    s->count[class_of(x)] += n;
}

void spread_add_run(struct spread_tally *s, double x, double dx, int64_t k, int64_t n)
{
    if (k < 1)
        return;
    const double last = x + dx * (double)(k - 1);
    const int end = class_of(last);
    s->n += k * n, s->sum += (double)(k * n) * (x + last) / 2;
    s->least = fmin(s->least, fmin(x, last)), s->most = fmax(s->most, fmax(x, last));
    for (int64_t i = 0; i < k;) {
        const double at = x + dx * (double)i;
        const int c = class_of(at);
        const double edge = dx > 0 ? begin_of(c + 1) : begin_of(c);
        int64_t same = c == end || dx == 0 ? k - i : (int64_t)ceil((edge - at) / dx);
        same = same < 1 ? 1 : same < k - i ? same : k - i;
        s->count[c] += same * n;
        i += same;
    }
}

double spread_at(const struct spread_tally *s, double p)
{
    const int64_t rank = (int64_t)fmax(1, ceil((double)s->n * p * (1 - 1e-15)));
    int64_t n = 0;
    for (int i = 0; i < N_CLASS; i++)
        if ((n += s->count[i]) >= rank && s->n)
            return fmin(fmax((begin_of(i) + begin_of(i + 1)) / 2, s->least), s->most);
    return NAN;
}

struct spread spread_of(const struct spread_tally *s)
{
    if (!s->n)
        return (struct spread){ 0, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
    return (struct spread){ s->n, s->sum / (double)s->n, s->least, spread_at(s, 0.5), spread_at(s, 0.9), spread_at(s, 0.95), spread_at(s, 0.99), s->most };
}
