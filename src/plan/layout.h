/* layout.h - how a model may be divided between devices, to be served or to be trained.
 *
 * tp divides heads, MLPs and shared experts; heads of keys and values are copied where there are fewer than tp.  ep divides experts; pp layers.
 *   serving    tp * pp devices are a replica, of which there are dp.  ep lies within the tp group where it divides tp (each expert is then in tp / ep parts), else over
 *              ep = tp * m devices of m replicas that step together.
 *   training   experts lie whole on ep of the tp * dp devices of a stage; with ep 1 tp divides them as the rest.
 *
 * Pure functions, any thread. */
#ifndef PLAN_LAYOUT_H
#define PLAN_LAYOUT_H
#include "base/err.h"
#include "model/config.h"

struct layout { int tp, ep, pp, dp; };                   /* 0 counts as 1, but in layout_check_train() */
struct layout layout_ones(const struct layout *l);       /* 1 for each that is not above 0 */
/* Can it be?  ERR_USAGE with what is possible (without err: faster). */
int layout_check(const struct config *c, const struct layout *l, struct err *err);               /* served */
int layout_check_train(const struct config *c, const struct layout *l, struct err *err);         /* all of 1 or more, 2^30 devices at most */

#endif
