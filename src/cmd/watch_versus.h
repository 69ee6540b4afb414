/* watch_versus.h - what is said of a canary's answers beside those of the stable version, out of the rows of feedback (watch/versus.h).  Internal to cmd/. */
#ifndef CMD_WATCH_VERSUS_H
#define CMD_WATCH_VERSUS_H
#include <jansson.h>
#include "store/events.h"
#include "watch/versus.h"

/* Either side is the latest version that answered anyone as such; another one, of either, begins a comparison of its own. */
struct watch_versus {
    struct versus *v;
    struct { char root[65]; int64_t version, latest; } of[2];         /* by versus_side; root "": not seen yet; latest: when the last of the answers that were rated came in, ns */
    int64_t from;                                        /* what came in before is of a candidate that has gone */
};
int watch_versus_open(struct watch_versus *w, double alpha, struct err *err);
void watch_versus_close(struct watch_versus *w);         /* a zeroed one too */
/* ev: an answer with a score.  Those of other versions are passed over. */
int watch_versus_add(struct watch_versus *w, const struct event *ev, struct err *err);
void watch_versus_stop(struct watch_versus *w, int64_t now);           /* the candidate goes */
/* { stable: { version, root, n, mean, low, high }, candidate: the same, p, worse, blocks }; NULL: no memory. */
json_t *watch_versus_json(const struct watch_versus *w);
void watch_versus_print(const struct watch_versus *w);   /* nothing where nobody said anything */
#endif
