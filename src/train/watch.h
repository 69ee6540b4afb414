/* watch.h - a step computed while somebody looks at the numbers that each node makes: two such runs can be compared, and the first
 * node that is unlike says where a step went wrong.  Internal to train/. */
#ifndef TRAIN_WATCH_H
#define TRAIN_WATCH_H
#include "train/run.h"

int watch_open(struct run *r, struct err *err);          /* r->watch; the model is bound */
void watch_close(struct run *r);
/* run_gradients(); the numbers of its nodes are kept as run 0 or 1. */
int watch_gradients(struct run *r, int which, struct err *err);
/* The first node whose largest or mean number is `limit` times that of the other run, by its operation and result; "" when there is none. */
void watch_compare(const struct run *r, double limit, char where[120]);
/* The larger of a / b and b / a. */
double watch_ratio(double a, double b);

#endif
