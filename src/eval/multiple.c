#include "eval/multiple.h"
#include <math.h>
#include "base/mem.h"
#include "eval/order.h"

static int sorted_places(const double *p, int64_t n, int64_t **index, struct err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!(p[i] >= 0 && p[i] <= 1))
            return ERR(err, NUMERIC, "p-value %lld is %g, expected 0 to 1", (long long)i, p[i]);
    if (n < 0)
        return ERR(err, RANGE, "%lld p-values", (long long)n);
    if (!(*index = mem_alloc_array((size_t)n, sizeof **index)))
        return ERR(err, NOMEM, "%lld p-values do not fit into memory", (long long)n);
    const int rc = order_index(p, n, *index, err);
    if (rc < 0)
        mem_free(*index);
    return rc;
}

int multiple_holm(const double *p, int64_t n, double *adjusted, struct err *err)
{
    int64_t *index;
    TRY(sorted_places(p, n, &index, err));
    double so_far = 0;
    for (int64_t i = 0; i < n; i++)
        adjusted[index[i]] = so_far = fmax(so_far, fmin(1, (double)(n - i) * p[index[i]]));
    mem_free(index);
    return 0;
}

int multiple_bh(const double *p, int64_t n, double *adjusted, struct err *err)
{
    int64_t *index;
    TRY(sorted_places(p, n, &index, err));
    double so_far = 1;
    for (int64_t i = n; i-- > 0;)
        adjusted[index[i]] = so_far = fmin(so_far, (double)n * p[index[i]] / (double)(i + 1));
    mem_free(index);
    return 0;
}
