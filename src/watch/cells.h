/* cells.h - where a new value stands among the values of a reference: in one of the cells between some of its order statistics.
 *
 * Of m values of a continuous distribution, whatever it is, and one more of the same, each of the m + 1 gaps between the sorted values is as likely
 * (1 / (m+1)) to hold the new one; and after t more, of which n fell into a cell of a gaps, the next does with chance
 *     (a + n) / (m + 1 + t)                                                                                                        (1)
 * which is Pólya's urn (the mass of a cell between two order statistics is Beta distributed, e.g. David & Nagaraja, Order Statistics, 2003, 2.3 and 2.4).
 * (1) is exact with the randomness of the reference counted in, provided that which order statistics are cuts is not chosen by looking at them.
 * Values that are equal are told apart by a number drawn from 0..1, the reference's and the new one's alike, so (1) holds for any distribution.
 *
 * Cells are not changed after they were made; any thread may read. */
#ifndef WATCH_CELLS_H
#define WATCH_CELLS_H
#include <stdint.h>
#include "base/err.h"

enum { CELLS_MAX = 300 };                  /* at most */
struct cells {
    int64_t m;                               /* values of the reference */
    int n_cell;
    double *value, *tie;                     /* [n_cell - 1]: the cuts, and their numbers that tell equal ones apart */
    int64_t *mass;                           /* [n_cell]: gaps of each cell, at least 1, m + 1 together */
};

/* sorted[m], ascending, m >= 1; infinite ones may be among them.  Cuts are at every 128th part and, towards both ends, at 1, 2, 4, .. values from it:
 * what is new about a distribution is often in its tails. */
int cells_new(struct cells *out, const double *sorted, int64_t m, uint64_t seed, struct err *err);
/* Cuts at the given shares of the reference, share[n] ascending within 0..1, and at each of the uppermost values (an eighth of them, up to 160: what is rare
 * or new).  The shares must come from other values than sorted. */
int cells_new_at(struct cells *out, const double *sorted, int64_t m, const double *share, int n, uint64_t seed, struct err *err);
void cells_release(struct cells *r);
/* The cell of x; tie: a number drawn from 0..1 for it alone.  x may be infinite, not NaN. */
int cells_find(const struct cells *r, double x, double tie);

#endif
