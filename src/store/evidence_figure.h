/* evidence_figure.h - what a file of evidence says: which model it is of, and a figure by its name.
 *
 * Of an evaluation (eval/evidence.h) or results of tasks in lm-evaluation-harness's layout.  No state; any thread. */
#ifndef STORE_EVIDENCE_FIGURE_H
#define STORE_EVIDENCE_FIGURE_H
#include <jansson.h>
#include <stdbool.h>

/* The digest of the model that it is of; of one with an adapter, the adapter's, as it is not the base's; "": it does not say. */
const char *evidence_model(const json_t *tree);
/* Of one with an adapter, its base's; "": it has none, or does not say. */
const char *evidence_base(const json_t *tree);
/* Does a version with these facts go by that digest: as facts' "sha256" or "adapter_sha256", or among its "digests"? */
bool evidence_is_of(const json_t *facts, const char *sha256);
/* Was it stopped before its end, so that its figures are of a part alone?  "complete" is false at the top, in a part of it (results have theirs in
 * "lathe") or in an item of one. */
bool evidence_was_stopped(const json_t *tree);
/* Is it of the first items alone (--limit)?  "limit" is a number at the top or, of results, in "config"; where these say how many documents there were
 * ("n-samples"), it is a share below 1, or some task has more. */
bool evidence_was_limited(const json_t *tree);
/* FIGURE, FIGURE/OF, or TASK/METRIC (of the first filter); NAN where there is none. */
double evidence_figure_value(const json_t *tree, const char *key);

#endif
