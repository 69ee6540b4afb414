#include "model/finite.h"
#include <math.h>
#include "base/mem.h"

#define PIECE (1 << 20)            /* elements in memory at once, or one row */

struct piece { const struct source *s; const struct source_tensor *t; int64_t columns, row; char *raw; float *x; int64_t *n_bad, *first; };

static void look_at_row(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct piece *p = ctx;
    float *x = p->x + i * p->columns;
    type_dequantize(p->t->type, p->columns, p->raw + (size_t)i * type_bytes(p->t->type, p->columns), x);
    p->n_bad[i] = 0;
    for (int64_t k = p->columns - 1; k >= 0; k--)
        if (!isfinite(x[k]))
            p->n_bad[i]++, p->first[i] = k;
}

static int look_at_pieces(struct piece *p, struct pool *pool, int64_t rows, int64_t at_once, struct finite_row *out, struct err *err)
{
    for (p->row = 0; p->row < rows; p->row += at_once) {
        const int64_t n = rows - p->row < at_once ? rows - p->row : at_once;
        TRY(source_read_rows(p->s, p->t, p->row, n, p->raw, err));
        pool_for(pool, (int)n, look_at_row, p);
        for (int64_t i = 0; i < n; i++) {
            if (p->n_bad[i] && !out->n_bad)
                out->first = (p->row + i) * p->columns + p->first[i];
            out->n_bad += p->n_bad[i];
        }
    }
    return 0;
}

static int look_at_tensor(const struct source *s, const struct source_tensor *t, struct pool *pool, struct finite_row *out, struct err *err)
{
    const int64_t columns = t->rank ? t->shape[t->rank - 1] : 1, rows = columns ? t->n / columns : 0;
    *out = (struct finite_row){ .tensor = t };
    if (t->type == N_CPU_TYPE || !t->n)
        return 0;
    const int64_t fits = PIECE / columns, at_once = fits < 1 ? 1 : fits < rows ? fits : rows;
    const size_t n = (size_t)(at_once * columns);
    struct piece p = { s, t, columns, 0, mem_alloc(type_bytes(t->type, at_once * columns)), mem_realloc_array(NULL, n, sizeof(float)),
                       mem_alloc_array((size_t)at_once, sizeof(int64_t)), mem_alloc_array((size_t)at_once, sizeof(int64_t)) };
    int rc = p.raw && p.x && p.n_bad && p.first ? 0 : ERR(err, NOMEM, "no memory to look at %zu numbers at once", n);
    if (!rc)
        rc = look_at_pieces(&p, pool, rows, at_once, out, err);
    mem_free(p.raw), mem_free(p.x), mem_free(p.n_bad), mem_free(p.first);
    return rc;
}

int finite_check(const struct source *s, struct pool *pool, void (*report)(void *ctx, const struct finite_row *row), void *ctx, struct err *err)
{
    int n_bad = 0;
    for (int i = 0; i < source_count(s); i++) {
        struct finite_row row;
        TRY(look_at_tensor(s, source_at(s, i), pool, &row, err));
        if (row.n_bad) {
            report(ctx, &row);
            n_bad++;
        }
    }
    return n_bad;
}
