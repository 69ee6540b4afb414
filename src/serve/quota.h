/* quota.h - how much somebody may ask for: requests and tokens a minute and a day, texts at once.
 *
 * A minute's limit is a bucket of that size that runs empty at limit / 60 a second: what was not asked for in the last minute may be
 * asked for at once, and how long to wait is known exactly.  A day is one of UTC's, counted from midnight.
 *
 * A request takes all that it may come to need, or nothing, and settles when it has ended: what it did not need is given back, what
 * it needed beyond that is added, also over the limit.  So what was really used in t seconds is never more than limit * (1 + t / 60),
 * but for what ended after its last look at the limit.
 *
 * Time is the caller's, in seconds since 1970.  Where it was set back it goes on from there with what counts already, that of a day that
 * seemed to have begun too.  One thread at a time.  Zeroed use is unused. */
#ifndef SERVE_QUOTA_H
#define SERVE_QUOTA_H
#include <stdbool.h>
#include <stdint.h>

struct quota { int64_t requests_minute, requests_day, tokens_minute, tokens_day, texts; };       /* 0: without limit */
struct quota_use { double at, requests_minute, tokens_minute; int64_t day, requests_day, tokens_day, texts; };
struct quota_ask { int64_t requests, tokens, texts; };
struct quota_grant { struct quota_ask ask; int64_t day; };           /* what was taken, and when */

enum quota_limit { QUOTA_NONE, QUOTA_REQUESTS_MINUTE, QUOTA_REQUESTS_DAY, QUOTA_TOKENS_MINUTE, QUOTA_TOKENS_DAY, QUOTA_TEXTS };
struct quota_no { enum quota_limit which; int64_t limit, asked; double wait_s; };      /* wait_s < 0: it is more than the limit itself */

/* What is taken is added to g, which is zeroed for a new request.  false: no says which limit it would break (that with the longest
 * wait), and nothing is taken.  When a text will have ended is not known: wait_s is 1 then. */
bool quota_take(struct quota_use *u, const struct quota *q, double now, struct quota_ask ask, struct quota_grant *g, struct quota_no *no);
/* The request has ended and used so many tokens; requests: false when it does not count as one. */
void quota_settle(struct quota_use *u, const struct quota *q, double now, const struct quota_grant *g, int64_t tokens, bool counts);

/* Used earlier on the same day. */
void quota_add_day(struct quota_use *u, const struct quota *q, double now, int64_t requests, int64_t tokens);

struct quota_left { int64_t limit, left; double reset_s; };           /* limit 0: none; reset_s: until nothing counts against it any more */
void quota_left(struct quota_use *u, const struct quota *q, double now, struct quota_left *requests, struct quota_left *tokens);
#endif
