/* gate.h - does what is known of a version keep to an alias's policy (gate_policy.h)?
 *
 * Evidence that has a figure decides by the newest that was put beside the version; of what was put there at once by the date that it has, then by the file's name.  Evidence of another model does not count: its digest must be
 * one of the version's files, or of its facts' "sha256" and "digests".  Neither does that of an evaluation or a comparison that was stopped.  A comparison must say so of its new
 * model.  What was not measured fails, and so does data (a parent of role "data", of the version or of what it comes from) that has no audit.  The verdict, which goes into the journal with the move:
 *   { "policy": blob, "passed", "checks": [{ "check", "limit", "found": a number, a text or null, "passed", "evidence": blob or null, "why" }] } */
#ifndef STORE_GATE_H
#define STORE_GATE_H
#include "store/registry.h"

/* *verdict: the caller's; NULL where the alias has no policy. */
int gate_judge(struct registry *g, const struct registry_version *v, const char *alias, json_t **verdict, struct err *err);
/* ERR_GATE, naming the checks that failed. */
int gate_refusal(const json_t *verdict, struct err *err);
#endif
