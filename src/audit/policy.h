/* policy.h - what data are to be used for, what becomes of what is found in them, and what they must not exceed.
 *
 *   use: [train, commercial, weights]       licence.h: rights that every source must give; train without this line
 *   licences:                               terms that someone has read and answers for
 *     LicenseRef-ours: {allows: [train, weights], refuses: [commercial], duties: [attribution]}
 *   rules:                                  of quality (rules.def): drops a record, by this threshold; or off: drops none, also where --drop names it
 *     gopher/datatrove/1/short_doc: 40
 *     gopher_rep/datatrove/1/top_2_gram: off
 *   drops: [dup_exact, contaminated]        of the reasons of drops.def those that leave records out; all but licence without the line, and
 *                                           with [all] that one, too.  Personal data and secrets have actions instead
 *   pii: redact                             keep, redact, drop (the record) or pseudonym, for all or by kind:
 *   pii: {default: redact, EMAIL_ADDRESS: pseudonym}
 *   secrets: redact                         the same by rule
 *   gate:                                   limits (gate.def); shares are of 1
 *     licences: 0
 *     pii_per_million: 50
 *     languages: {en: 0.9}                  least share of the records
 * Unknown keys are refused with their line and the nearest that is known.  Two policies have names: `default` (no source whose licence
 * does not allow training, few faults) and `strict` (nothing that is not allowed or not measured). */
#ifndef AUDIT_POLICY_H
#define AUDIT_POLICY_H
#include <jansson.h>
#include <stdbool.h>
#include "audit/licence.h"

enum gate_check {
#define GATE(word, side, doc) GATE_##word,
#include "audit/gate.def"
#undef GATE
    N_GATE_CHECK
};

enum policy_drop {
#define DROP(word, doc) POLICY_DROP_##word,
#include "audit/drops.def"
#undef DROP
    N_POLICY_DROP
};

#define POLICY_ACTIONS(X) X(KEEP, "keep") X(REDACT, "redact") X(DROP, "drop") X(PSEUDONYM, "pseudonym")
enum policy_action {
#define X(name, word) ACTION_##name,
    POLICY_ACTIONS(X)
#undef X
    N_POLICY_ACTION
};
const char *policy_action_word(enum policy_action a);

struct policy {
    char *name;                          /* as it was given: a path, or default or strict */
    unsigned use;                        /* rights, bits */
    struct licence_terms *terms; int n_terms;
    bool drop[N_POLICY_DROP];            /* of those of actions: true */
    bool limited[N_GATE_CHECK]; double limit[N_GATE_CHECK];
    json_t *tree;                        /* all of it, as it stands in the file; {} where it says nothing */
};
int policy_load(struct policy *out, const char *path_or_name, struct err *err);
int policy_parse(struct policy *out, const char *text, size_t n, const char *name, struct err *err);     /* of YAML; policy_release in any case */
void policy_release(struct policy *p);

/* What a policy says of a rule: 1 with *limit, 0 nothing (the dialect's own), -1 off. */
int policy_rule(const struct policy *p, const char *id, double *limit);
/* Does every rule that the policy names exist?  ERR_USAGE with the nearest where not. */
int policy_check_rules(const struct policy *p, const char *const *ids, int n, struct err *err);
enum policy_action policy_pii(const struct policy *p, const char *entity);
enum policy_action policy_secret(const struct policy *p, const char *rule);

#endif
