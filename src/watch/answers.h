/* answers.h - recorded answers (store/events.h) as events with signals.
 *
 *   numbers     prompt_tokens, cached_share, answer_tokens, prompt_nll, entropy, confidence, logprob (mean of a token), first_s, token_s (after the first), feedback (what was said of it),
 *              experts_effective (of a mixture: how many experts the layer with the fewest uses)
 *   categories  prompt_language, answer_language, finish, refused, schema_ok, tool_ok ("0", "1"), expert (of a mixture: the busiest)
 *   vector      sketch
 * What a row does not have is absent, not missing: a prompt that the cache had whole says nothing of how unlikely it was.  Cancelled answers have finish alone. */
#ifndef WATCH_ANSWERS_H
#define WATCH_ANSWERS_H
#include "store/events.h"
#include "store/registry.h"
#include "watch/reference.h"

#define ANSWER_SIGNALS 19
#define ANSWER_FEEDBACK "feedback"
#define ANSWER_ENOUGH 20                 /* events of a signal that a reference needs (reference_close) */
const char *answer_signal_name(int i);
enum watch_kind answer_signal_kind(int i);

/* All signals of a row: out[ANSWER_SIGNALS]; texts and vectors are the event's. */
struct answer_values { struct watch_value of[ANSWER_SIGNALS]; };
void answer_values(struct answer_values *out, const struct event *ev);
/* The same in the order of a reference's signals, out[reference_count(r)]; one that answers do not have is absent. */
void answer_values_for(struct watch_value *out, const struct reference *r, const struct event *ev);
/* What is said of an answer comes later than the answer, and is an event of its own: that signal alone, the others are absent. */
void answer_feedback_for(struct watch_value *out, const struct reference *r, const struct event *ev);

/* Of the answers that `where` names, closed: of those signals that at least ANSWER_ENOUGH of them have.  names: only these, by commas; NULL: all.  ERR_RANGE: there are too
 * few; ERR_USAGE: a name that is none. */
int answers_reference(struct reference **out, struct events *e, const struct events_where *where, const char *names, uint64_t seed, struct err *err);
/* As they are written by servers, one may be seen a little later than its moment of writing says. */
#define ANSWERS_SETTLE_NS ((int64_t)2000000000)
/* Of the answers that `where` names, a window: open, with the signals of r. */
int answers_window(struct reference **out, const struct reference *r, struct events *e, const struct events_where *where, uint64_t seed, struct err *err);

/* The reference that was registered with a version: the last of its evidence that is one.  *which (may be NULL): its entry of registry_evidence(), the caller's.
 * ERR_NOTFOUND: there is none. */
int answers_registered(struct reference **out, struct registry *g, const struct registry_version *v, json_t **which, struct err *err);
#endif
