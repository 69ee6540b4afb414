/* watch_act.h - what lathe watch does when a rule fires: tells it, stops a canary, rolls back.  Internal to cmd/. */
#ifndef CMD_WATCH_ACT_H
#define CMD_WATCH_ACT_H
#include <jansson.h>
#include "base/err.h"
#include "store/release.h"
#include "watch/rules.h"

#define WATCH_ALIAS "production"         /* where none is named */
/* seen: {t, name, signal, do, alarmed, answers, p, effect, ...} as it is printed and sent; because: the same in words, for people and the journal.
 * release: whose answers these are; NULL: not known. */
struct watch_act { const char *name, *alias; const json_t *seen; const char *because; const struct registry_release *release; };       /* name "": none of a registry; alias "": production */
/* Webhook and mail.  What cannot be done is logged. */
void watch_tell(const struct rule *rule, const struct watch_act *a);
/* The moves that the rule asks for, by "lathe watch (ACTOR)", because of what was seen, which is kept with the version that goes as evidence of kind "watch" (figures p, effect, answers).
 * One at most: where a canary was stopped nothing is rolled back.  Where other versions than a->release's are there by now nothing moves.  A version that is stable by a rollback is not taken back again.  What cannot be done is logged.  True: something moved. */
bool watch_move(const struct rule *rule, const struct watch_act *a);
#endif
