/* versus.h - is what people say of a candidate worse than what they say of the stable version beside it?  Bets after each score, with a stated rate.
 *
 * Scores from -1 to 1 come in their order, each of one of both.  They are cut into blocks: one ends as soon as it has scores of both, and counts by
 *     d = (mean of the stable version's - mean of the candidate's) / 2                                                within -1..1
 * Where the candidate is not worse, the mean of d given all before is 0 at most, also where both go up and down with the time of day.  A bet L within 0..1
 * multiplies its stake by 1 + L d: nobody expects to gain, so the chance that the capital, spread over VERSUS_BETS bets, ever reaches 1/alpha is at most
 * alpha, with a look after every score (Ville; Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024).  Nothing is
 * assumed of the distribution but its bounds.
 *
 * The means have intervals that hold at all times together with 95 %, by the same bets: a mean m is within while the average of the capitals of
 *     prod (1 + L (x - m) / (1 + m))    and    prod (1 - L (x - m) / (1 - m))
 * has never reached 20 (the hedged capital of the same paper), for m at VERSUS_GRID points; ends are a point wider.
 *
 * What it takes for granted: scores do not depend on each other.  Those of one user do, so of each user the first counts, of both versions together; who is given
 * as nobody always counts.  Users were divided by chance (serve/sticky.h), and a version does not make people rate or keep silent in another way: that is not
 * seen here.  One thread.  A function of the scores alone. */
#ifndef WATCH_VERSUS_H
#define WATCH_VERSUS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum { VERSUS_BETS = 8, VERSUS_GRID = 200 };
enum versus_side { VERSUS_STABLE, VERSUS_CANDIDATE };
struct versus;
/* ERR_RANGE: alpha is not within 0..1. */
int versus_new(struct versus **out, double alpha, struct err *err);
void versus_free(struct versus *v);
/* score: beyond -1..1 counts as the end.  who: a hash of the user, 0: nobody.  Returns 1: it counted, 0: of this user there was one. */
int versus_add(struct versus *v, enum versus_side side, double score, uint64_t who, struct err *err);
void versus_clear(struct versus *v);                     /* as new: for another candidate */

struct versus_mean { int64_t n; double mean, low, high; };            /* n 0: mean is NAN, -1 to 1 */
struct versus_state {
    struct versus_mean of[2];            /* by side */
    int64_t n_block;
    double e, p;                         /* capital; min(1, 1 / the most there was): holds at any time */
    bool worse; int64_t worse_at;        /* blocks when it was found first */
};
void versus_state(const struct versus *v, struct versus_state *out);
#endif
