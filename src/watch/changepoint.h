/* changepoint.h - when did a stream change?  Counts of its cells by blocks of time, in memory that does not grow.
 *
 * Up to 128 blocks, each of the counts in up to 32 groups of cells; where there are 128 two become one and blocks are twice as long from then on.  The
 * estimate is the border of blocks with the largest likelihood ratio of "reference and stream up to there have one distribution, what follows another"
 * against "one for all", multinomial over 8 groups; low..high are the borders within 1.92 of it in log likelihood (a likelihood interval; for changes
 * it is no exact 95 %).  To within a block: 1/64 of the stream.  One thread. */
#ifndef WATCH_CHANGEPOINT_H
#define WATCH_CHANGEPOINT_H
#include <stdint.h>
#include "watch/cells.h"

enum { CHANGE_BLOCKS = 128, CHANGE_GROUPS = 32 };
struct changepoint {
    int n_group, n_block;
    int64_t length, n;                                    /* of a block; values seen */
    double mass[CHANGE_GROUPS];                          /* of the reference, in gaps of cells.h */
    uint32_t count[CHANGE_BLOCKS][CHANGE_GROUPS];
    uint16_t group[CELLS_MAX];                                /* of each cell */
};
void changepoint_init(struct changepoint *h, const int64_t *mass, int n_cell);
void changepoint_add(struct changepoint *h, int cell);
struct change {
    int64_t at, low, high;                                /* values before the change */
    double log_ratio;
    double auc, auc_low, auc_high;                        /* P(a value since the change > one of the reference), ties half, over groups; 95 % */
    double tv;                                            /* total variation between both, over groups */
};
/* Of a stream without any value: all 0, and auc 1/2. */
void changepoint_find(const struct changepoint *h, struct change *out);

#endif
