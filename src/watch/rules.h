/* rules.h - what is done when something has changed: a list in YAML or JSON.
 *
 *     - signal: prompt_nll          or any
 *       when: alarm                 the monitor's (a stated rate of false ones); effect > 0.5: how far, of the last window; of feedback also
 *                                   worse: what is said of the candidate is worse than what is said of the stable version (versus.h, a stated rate)
 *       for: 3                      so many looks in a row; 1 unless given
 *       do: alert                   alert, stop_canary, rollback, exit; or a list of them
 *       webhook: https://...        of alert: a POST of JSON
 *       mail: ops@example.org       of alert: by sendmail
 * Effects: numbers |shift of the mean| in standard deviations of the reference; categories total variation; vectors |2 AUC - 1|.  An effect alone has no stated rate: it is
 * what a size is asked for, beside an alarm.
 * A rule fires once, and again after its condition was not met in between.  An unknown key, signal or action is an error. */
#ifndef WATCH_RULES_H
#define WATCH_RULES_H
#include <stdbool.h>
#include "base/err.h"
#include "watch/monitor.h"
#include "watch/window.h"

enum rule_do { RULE_ALERT = 1, RULE_STOP_CANARY = 2, RULE_ROLLBACK = 4, RULE_EXIT = 8 };
struct rule {
    char signal[WATCH_NAME + 1];         /* "" : any */
    bool alarm, worse; double effect;    /* the monitor's, versus.h's, or else more than so much */
    int looks;
    unsigned todo;                       /* of rule_do */
    char *webhook, *mail;                /* or NULL */
    /* its state */
    int n_met; bool fired;
};
struct rules { struct rule *rule; int n; };

int rules_load(struct rules *out, const char *path, const struct reference *r, struct err *err);
/* yaml: else JSON; name leads errors.  r: whose signals there are; NULL: any name. */
int rules_parse(struct rules *out, const char *text, size_t n, bool yaml, const char *name, const struct reference *r, struct err *err);
void rules_release(struct rules *rules);
/* How far signal i of the window is from the reference; NAN: it cannot be told. */
double rule_effect(enum watch_kind kind, const struct window_signal *w);
bool rules_compare(const struct rules *rules);           /* has any `worse`? */
/* What one look sees.  alarmed, effect: [reference_count(r)]. */
struct rules_seen { const bool *alarmed; const double *effect; bool worse; };
/* Which rule fires now, from `from` on, and by which signal (-1: versions compared by feedback); -1: none more.  Call it from 0 on until it gives -1, for each look once: it
 * counts. */
int rules_look(struct rules *rules, int from, const struct reference *r, const struct rules_seen *seen, int *signal);
/* Something else is watched from here on: no condition was met yet. */
void rules_restart(struct rules *rules);
bool rules_move(const struct rules *rules);              /* has any `stop_canary` or `rollback`? */
/* "alert, rollback" */
void rule_describe(const struct rule *rule, char out[160]);
#endif
