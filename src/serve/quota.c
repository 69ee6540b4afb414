#include "serve/quota.h"
#include <math.h>

#define MINUTE 60.
#define DAY 86400
#define GRAIN_S 1e-6             /* who waits as long as was said is not refused for a rounding */
#define SET_BACK_S 1             /* threads look at the clock in one order and come here in another; more than that is a clock that was set */

static int64_t day_of(double now) { return (int64_t)floor(now / DAY); }

static double run_down(double level, int64_t limit, double dt)
{
    const double left = limit ? level - dt * (double)limit / MINUTE : 0;
    return left > 0 ? left : 0;
}

static void come_to(struct quota_use *u, const struct quota *q, double now)
{
    if (now > u->at) {
        u->requests_minute = run_down(u->requests_minute, q->requests_minute, now - u->at);
        u->tokens_minute = run_down(u->tokens_minute, q->tokens_minute, now - u->at);
        u->at = now;
    }
    if (now < u->at - SET_BACK_S)
        u->at = now, u->day = day_of(now);
    if (day_of(now) > u->day)
        u->day = day_of(now), u->requests_day = u->tokens_day = 0;
}

/* Keeps the limit that has the longest wait, or can never be met. */
static void say(struct quota_no *no, enum quota_limit which, int64_t limit, int64_t asked, double wait_s)
{
    if (asked > limit)
        wait_s = -1;
    if (no->which == QUOTA_NONE || (no->wait_s >= 0 && (wait_s < 0 || wait_s > no->wait_s)))
        *no = (struct quota_no){ which, limit, asked, wait_s };
}

static void look_minute(struct quota_no *no, enum quota_limit which, double level, int64_t limit, int64_t asked)
{
    const double wait_s = limit ? (level + (double)asked - (double)limit) * MINUTE / (double)limit : 0;
    if (asked && wait_s > GRAIN_S)
        say(no, which, limit, asked, wait_s);
}

static void look_day(struct quota_no *no, enum quota_limit which, int64_t used, int64_t limit, int64_t asked, double now)
{
    if (limit && asked && used + asked > limit)
        say(no, which, limit, asked, (double)(day_of(now) + 1) * DAY - now);
}

bool quota_take(struct quota_use *u, const struct quota *q, double now, struct quota_ask ask, struct quota_grant *g, struct quota_no *no)
{
    *no = (struct quota_no){ 0 };
    come_to(u, q, now);
    look_minute(no, QUOTA_REQUESTS_MINUTE, u->requests_minute, q->requests_minute, ask.requests);
    look_minute(no, QUOTA_TOKENS_MINUTE, u->tokens_minute, q->tokens_minute, ask.tokens);
    look_day(no, QUOTA_REQUESTS_DAY, u->requests_day, q->requests_day, ask.requests, now);
    look_day(no, QUOTA_TOKENS_DAY, u->tokens_day, q->tokens_day, ask.tokens, now);
    if (q->texts && ask.texts && u->texts + ask.texts > q->texts)
        say(no, QUOTA_TEXTS, q->texts, ask.texts, 1);
    if (no->which != QUOTA_NONE)
        return false;
    u->requests_minute += (double)ask.requests, u->requests_day += ask.requests;
    u->tokens_minute += (double)ask.tokens, u->tokens_day += ask.tokens, u->texts += ask.texts;
    g->day = u->day;
    g->ask.requests += ask.requests, g->ask.tokens += ask.tokens, g->ask.texts += ask.texts;
    return true;
}

void quota_add_day(struct quota_use *u, const struct quota *q, double now, int64_t requests, int64_t tokens)
{
    come_to(u, q, now);
    u->requests_day += requests, u->tokens_day += tokens;
}

void quota_settle(struct quota_use *u, const struct quota *q, double now, const struct quota_grant *g, int64_t tokens, bool counts)
{
    const int64_t unused = g->ask.tokens - tokens, requests = counts ? 0 : g->ask.requests;
    come_to(u, q, now);
    u->texts -= g->ask.texts;
    u->tokens_minute = fmax(0, u->tokens_minute - (double)unused);
    u->requests_minute = fmax(0, u->requests_minute - (double)requests);
    if (g->day == u->day)                    /* a day that is over is not looked at any more */
        u->tokens_day -= unused, u->requests_day -= requests;
}

/* The one of which less is left. */
static struct quota_left less_of(double level, int64_t minute, int64_t used, int64_t day, double now)
{
    const double free = (double)minute * (1 + GRAIN_S / MINUTE) - level;
    const struct quota_left m = { minute, free > 0 ? (int64_t)free : 0, minute ? level * MINUTE / (double)minute : 0 };
    const struct quota_left d = { day, used < day ? day - used : 0, (double)(day_of(now) + 1) * DAY - now };
    return !day || (minute && m.left <= d.left) ? m : d;
}

void quota_left(struct quota_use *u, const struct quota *q, double now, struct quota_left *requests, struct quota_left *tokens)
{
    come_to(u, q, now);
    *requests = less_of(u->requests_minute, q->requests_minute, u->requests_day, q->requests_day, now);
    *tokens = less_of(u->tokens_minute, q->tokens_minute, u->tokens_day, q->tokens_day, now);
}
