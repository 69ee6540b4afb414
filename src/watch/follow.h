/* follow.h - the answers of one version against its reference, as far as they have come: what lathe watch does with them (monitor.h, window.h), kept for
 * those who look at it again and again.
 *
 * The reference is the version's own (answers_registered()), else that of the newest version of the name before it that has one: what was normal for
 * the version that it is to take the place of.  Watched is every answer of the version that was written after its own reference was registered.
 * Where the reference has the signal ANSWER_FEEDBACK, what is said of an answer is an event of its own, when it comes: the report's events are then both.
 * The claim is monitor.h's, for this version and this reference, from its first answer on.  Reading what the events' database has forgotten is not possible: who
 * begins later begins with the oldest answer that is still there.
 *
 *   { name, version, alpha, answers, behind: there are more that were not read yet, since,
 *     reference: { version, file, blob, t, events }, effect_of: answers that the window has,
 *     report: drift_report() (report.h), whose signals also have
 *       path:    [evidence, at each of `at`]; the alarm line is every_event.threshold
 *       picture: picture_make(), window being the last FOLLOW_WINDOW answers
 *       effect:  rule_effect(), null where it cannot be told
 *     at: [[events, moment in ns / 1e9] ..] at most FOLLOW_POINTS, the last one being now }
 * One thread. */
#ifndef WATCH_FOLLOW_H
#define WATCH_FOLLOW_H
#include "base/pool.h"
#include "store/events.h"
#include "store/registry.h"

enum { FOLLOW_POINTS = 240, FOLLOW_WINDOW = 200, FOLLOW_MOST = 20000 };

struct follow;
/* ERR_NOTFOUND: no version up to this one has a reference. */
int follow_new(struct follow **out, struct registry *g, const struct registry_version *v, double alpha, uint64_t seed, struct err *err);
void follow_free(struct follow *f);              /* NULL is fine */
/* Is it still of the reference that follow_new() would find? */
int follow_is_current(bool *is, struct follow *f, struct registry *g, struct err *err);
/* What was written since, up to FOLLOW_MOST answers; now: when_now(), or in a test another moment. */
int follow_read(struct follow *f, struct events *e, int64_t now, struct err *err);
int follow_json(json_t **out, struct follow *f, struct events *e, struct pool *pool, struct err *err);
#endif
