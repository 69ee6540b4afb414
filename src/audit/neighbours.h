/* neighbours.h - what the images that look most like one say of its label.
 *
 * An image is its mean greys (of each channel) in a grid of 8 by 8; p(x, j) is the share of label j among the NEIGHBOURS others with the least
 * squared distance, copies of x not among them: k nearest neighbours, as Bahri, Jiang and Gupta, "Deep k-NN for noisy labels", ICML 2020, use them,
 * but on pixels.  Looked for among at most NEIGHBOURS_SEEN images, every so-many-th, by all threads; the same set gives the same numbers. */
#ifndef AUDIT_NEIGHBOURS_H
#define AUDIT_NEIGHBOURS_H
#include "audit/labels.h"
#include "base/pool.h"

#define NEIGHBOURS 16
#define NEIGHBOURS_SEEN 8192

/* s: the text of an item is its cells (image_cells); borrowed. */
struct neighbours { const struct label_set *s; int32_t *label; };       /* label[n][NEIGHBOURS], -1: there are no more */
int neighbours_find(struct neighbours *x, const struct label_set *s, struct pool *pool, struct err *err);
void neighbours_release(struct neighbours *x);
label_model_fn label_by_neighbours;      /* of a struct neighbours */

#endif
