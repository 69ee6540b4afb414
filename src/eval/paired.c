#include "eval/paired.h"
#include <math.h>
#include "eval/dist.h"

int64_t paired_n(const struct paired_counts *k) { return k->both + k->b + k->c + k->neither; }

struct paired_counts paired_count(const uint8_t *old, const uint8_t *new, int64_t n)
{
    int64_t count[2][2] = { 0 };
    for (int64_t i = 0; i < n; i++)
        count[old[i] != 0][new[i] != 0]++;
    return (struct paired_counts){ count[1][1], count[1][0], count[0][1], count[0][0] };
}

int paired_mcnemar(int64_t b, int64_t c, struct paired_test *out, struct err *err)
{
    const int64_t limit = (int64_t)1 << 52;
    if (b < 0 || c < 0 || b > limit || c > limit)
        return ERR(err, RANGE, "discordant counts %lld and %lld, expected 0 to 2^52", (long long)b, (long long)c);
    const int64_t m = b + c, least = b < c ? b : c;
    const double tail = dist_binom_cdf(least, m, 0.5);
    out->exact = (b > c ? b - c : c - b) <= 1 ? 1 : fmin(1, 2 * tail);
    out->mid_p = fmin(1, 2 * tail - dist_binom_pmf(least, m, 0.5));
    out->worse = dist_binom_sf(b - 1, m, 0.5);
    return 0;
}
