/* licences.h - the licences of an audit's sources: what is stated, what stands beside the data, and whether they allow the use.
 *
 *   "licences": {"use": [..], "sources": [{"source", "stated", "expression", "chosen", "found": [{"path", "id", "how"}], "allowed", "why", "obligations",
 *                "error"}], "conflicts": [{"source", "with" or "path", "why"}]}
 * expression: the normal form of what is stated, or else of all that was found, AND of it; null where that is not known, and then nothing is
 * allowed.  A source conflicts with another when no licence can hold both, and with a file beside it that says another licence. */
#ifndef AUDIT_LICENCES_H
#define AUDIT_LICENCES_H
#include <jansson.h>
#include <stdbool.h>
#include "audit/policy.h"
#include "audit/source.h"

/* What stands beside each source, by its path, and what is stated: nothing is judged yet. */
int licences_find(const struct sources *s, json_t **part, struct err *err);
/* Judges, or judges anew, by the policy (NULL: training).  sources: of the report, or NULL where it is not known yet what was kept: a source of which nothing
 * is conflicts with none. */
int licences_judge(json_t *part, const json_t *sources, const struct policy *p, struct err *err);
/* Was nothing of a source kept?  Then its licence binds nobody. */
bool licences_bind_nobody(const json_t *sources, const json_t *name);

#endif
