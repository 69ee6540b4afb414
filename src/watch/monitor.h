/* monitor.h - watches a stream of events against a reference and looks after every one: with a stated chance of ever alarming falsely.
 *
 * Each signal has one or more tracks, numbers whose ranks among the reference's a martingale bets on (cells.h, martingale.h):
 *   number     itself: one track
 *   category   the place of its name in the order that the reference gives, and within it by chance: one track, of cells without an order
 *   vector     its distance from the reference's mean (in whitened coordinates), its distance from the space that the principal directions span, whether it
 *              is missing (1) or not (0), and directions that are learned: after 32, 45, 64, 90 .. events where they lie on average, the latest
 *              counting most and none more than typical ones do, becomes a track for the events that follow.  It sees a shift of any
 *              direction, as a classifier of domains would.
 *
 * The claim.  If the events of the stream come from the distribution that the reference was drawn from, independently of each other (or are exchangeable with
 * it), then P(any alarm, ever) <= alpha over the whole monitor, reference and stream both being random, with a look after every event; alpha is divided
 * over signals evenly and within a vector's over its tracks (1/4 to the distance, 3/16 to that from the space, 1/16 to what is missing, the rest to
 * directions, 1/2, 1/6, 1/12, .. 1/(j (j + 1)) of it), so that it holds whatever their dependence (Bonferroni): a track alarms when its
 * capital reaches 1 / (its share of alpha).  An average of capitals would not do: each is a martingale among what its own track
 * has shown, and not always among what all have shown together.
 * By run length instead (`arl` > 0): P(any alarm within t events) <= t / arl for every t, so at least arl / 2 events pass on average.
 * The claim is about independent events.  A stream whose neighbours resemble each other (a conversation's turns, one user's burst) does not have the
 * reference's distribution in this sense, and may alarm: watch one event of each conversation, or a reference and windows of sessions.
 *
 * After an alarm a signal stays alarmed and its evidence goes on, until monitor_restart: capital, counts and learned directions begin anew, the same claim
 * for the time after it, given that the reference is not an unlucky one.
 *
 * Nothing here knows of files or clocks.  The reference must outlive the monitor.  One thread.  Everything is a function of reference, seed and events. */
#ifndef WATCH_MONITOR_H
#define WATCH_MONITOR_H
#include "watch/changepoint.h"
#include "watch/reference.h"

struct monitor;
struct monitor_opts {
    double alpha;            /* 0: 0.01 */
    double arl;              /* > 0: by run length, alpha is not used */
    uint64_t seed;           /* of what tells equal values apart */
};
/* ERR_RANGE: alpha not within 0..1, arl below 1, a reference that is open. */
int monitor_new(struct monitor **out, const struct reference *r, const struct monitor_opts *o, struct err *err);
void monitor_free(struct monitor *m);
/* value[n_signal] in the reference's order.  Returns how many signals alarmed for the first time with this event. */
int monitor_add(struct monitor *m, const struct watch_value *value, struct err *err);
/* i < 0: all signals. */
void monitor_restart(struct monitor *m, int i);

struct monitor_state {
    int64_t n;                       /* events since the (re)start that had the signal */
    double e, e_max;                 /* evidence: the largest of its tracks' capital times their part of the signal; now, and the most there was */
    double p;                        /* min(1, 1 / e_max): a p-value that holds at any time; NAN by run length */
    double threshold;                /* that e is compared with */
    bool alarmed;
    int64_t alarmed_at;              /* events of the monitor, from 1, when it first alarmed; 0: not yet */
    const char *track;               /* "value", "category", "distance", "residual", "missing", "direction": the one with the most evidence */
    struct change change;            /* of that track: when, and how far (of the track's number), in events of the signal since the restart,
                                      * which a vector's tracks but "missing" count without those that lack it */
    struct change at_alarm;          /* the same as it was when it alarmed; all 0 before */
};
void monitor_state(const struct monitor *m, int i, struct monitor_state *out);
int64_t monitor_events(const struct monitor *m);
bool monitor_alarmed(const struct monitor *m);                        /* any signal */
const struct reference *monitor_reference(const struct monitor *m);

#endif
