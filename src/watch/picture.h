/* picture.h - a signal of the reference beside the same signal of a window, as shares: what a person is shown.  No test is made of it (window.h).
 *
 *   number     {"cuts": [c1 .. ck], "reference": [k + 1 shares], "window": [k + 1 shares]}: below c1, from c1 to below c2, .., from ck on.  The cuts divide what
 *              is between the reference's 1 % and 99 % quantiles into PICTURE_BINS equal parts; where that is one value v, they are v and the next number
 *   vector     the same, of the distance from the reference's mean in whitened coordinates
 *   category   {"names": [..], "reference": [..], "window": [..]}: the PICTURE_NAMES most frequent of both, null what is missing; "others": [2 shares]
 * Shares are of all that have the signal, missing numbers and vectors too, which are in no bin. */
#ifndef WATCH_PICTURE_H
#define WATCH_PICTURE_H
#include "watch/reference.h"

enum { PICTURE_BINS = 12, PICTURE_NAMES = 8 };
/* Signal i; window: open, with the same signals. */
int picture_make(json_t **out, const struct reference *r, const struct reference *window, int i, struct err *err);
#endif
