/* gate_policy.h - what must be known of a version before an alias may move to it: a policy that is kept with the alias.
 *
 *   id: p7                                 its name, for people
 *   evaluation:                            figures of evidence: FIGURE or FIGURE/OF as eval/evidence.h has them, or TASK/METRIC of results of tasks
 *     mmlu/acc: {min: 0.7}
 *     injection_success_rate: {max: 0.05}
 *   compare: not worse                     the least verdict of lathe compare --json, whose new model this is: better, not worse, underpowered
 *   calibration: {ece: 0.05}               at most
 *   contamination: 0.01                    at most; share of an evaluation set's items, the worst set's, in audits of the version and of all that it comes from; data without one fails
 *   pii_per_million: 50                    at most, in those audits
 *   secrets: 0                             at most, in those audits
 *   licences: [Apache-2.0, MIT]            the only ones of the version, where its files say one, and of the sources in those audits
 *   signature: enforce                     off, warn or enforce: OpenSSF Model Signing's, of all the version's files, by one of
 *   signers: [PEM, ...]                    public keys, or certificates that the signing one must lead to
 * A key without which nothing is asked.  Unknown keys are refused. */
#ifndef STORE_GATE_POLICY_H
#define STORE_GATE_POLICY_H
#include "store/registry.h"

/* ERR_FORMAT with what is wrong and where. */
int gate_policy_check(const json_t *policy, const char *where, struct err *err);
/* Keeps it for the alias; policy NULL: none from now on. */
int registry_policy_set(struct registry *g, const char *name, const char *alias, const json_t *policy, const struct journal_by *by, struct err *err);
/* The one that is kept, with its blob's digest; NULL and "": none is. */
int registry_policy_get(struct registry *g, const char *name, const char *alias, json_t **policy, char id[BLOB_ID], struct err *err);
#endif
