/* view.h - a run on the terminal while it lasts: a few lines that fit its width, made anew after each step.
 *
 *   step 120/2000  6 %  ━━━━────────────────────────────────  12 min 30 s left
 *   loss 2.3456  held out 2.5100  ▇▆▅▅▄▄▃▃▂▂▂▁▁
 *   lr 1.0e-03  norm 0.52  12345 tokens/s  62 % of peak  memory 1.20 GB/1.31 GB
 *   experts  busiest ▂▃▂▅ 1.62 (layer 3)  least ▆▅▆▂ 0.35 (layer 3)  entropy 1.97
 * Memory is the peak and the plan.  A picture of experts has a character a layer: of the busiest expert from an equal share to twice
 * as much, of the least busy one from none to an equal share.  Where a line does not fit, its last parts are left out. */
#ifndef TRAIN_VIEW_H
#define TRAIN_VIEW_H
#include <stdbool.h>
#include "train/history.h"

struct view_layer { double low, high, entropy; };    /* shares of tokens, 1: an equal one */
struct view {
    long long step, steps, n_skipped;
    double seconds_left, loss, valid_loss, lr, norm, per_second, share, peak_bytes, planned_bytes;     /* valid_loss: NAN before there is one */
    const char *unit;                                /* of per_second: "tokens" */
    const char *more;                                /* "epsilon 3.1", or "" */
    const struct series *history;                    /* of the loss */
    const struct view_layer *layer; int n_layer;
};

/* Lines of fewer than `columns` characters, the last one without a newline; utf8: with pictures of blocks, else of letters. */
int view_text(const struct view *v, int columns, bool utf8, struct buf *out, struct err *err);

#endif
