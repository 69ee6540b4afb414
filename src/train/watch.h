/* watch.h - a step computed while somebody looks at the numbers that each node makes: two such runs can be compared, and the first
 * node that is unlike says where a step went wrong.  Internal to train/. */
#ifndef TRAIN_WATCH_H
#define TRAIN_WATCH_H
#include "train/run.h"

int watch_open(struct run *r, struct err *err);          /* r->watch; the model is bound */
void watch_close(struct run *r);
/* run_gradients(), to the same bits; the numbers of its nodes are kept as run 0 or 1, and its products are held against algebra. */
int watch_gradients(struct run *r, int which, struct err *err);
/* Where the last watched run had a product that is not one, by its operation and result; "": nowhere. */
const char *watch_wrong_product(const struct run *r);
/* The first node whose largest or mean number is `limit` times that of the other run, by its operation and result; "" when there is none. */
void watch_compare(const struct run *r, double limit, char where[120]);
/* The larger of a / b and b / a. */
double watch_ratio(double a, double b);

#endif
