/* rules.h - verdicts on texts by their signals (rules.def): a pure function of signals and limits, in the order and with the reasons of the
 * program that the rule comes from.
 *
 * A ratio is the quotient of two integers in double precision, compared with the limit as Python does it.  Where the original divides by
 * zero and stops with an error (a text without words, for which datatrove's limits were set to 0), no rule is hit here. */
#ifndef AUDIT_RULES_H
#define AUDIT_RULES_H
#include <stdbool.h>
#include "audit/signals.h"

enum rule_compare { RULE_LESS, RULE_MORE };                  /* hit where it is less than the limit, or more */

struct rule_info { const char *id, *family, *dialect, *name, *reason, *of; enum rule_compare compare; double limit; };

enum {
#define RULE_ENUM(family, dialect, version, name) RULE_##family##_##dialect##_##version##_##name,
#define RULE_EACH(family, dialect, version, name) RULE_ENUM(family, dialect, version, name)
#define RULE(family, dialect, version, name, reason, of, a, b, compare, limit) RULE_EACH(family, dialect, version, name)
#include "audit/rules.def"
#undef RULE
    N_RULE
};

const struct rule_info *rule_info(int rule);
int rule_find(const char *id);                                /* -1: there is none */
int rule_groups(const char *dialect);                         /* of signals: enum signal_group; 0 for no dialect */

/* What is asked of texts. */
struct rules_policy { double limit[N_RULE]; bool on[N_RULE]; };
void rules_policy_init(struct rules_policy *p);               /* no rule is on; limits as in rules.def */
/* Turns rules on: an id, or its beginning up to a /, such as gopher or gopher/dolma.  A family alone is datatrove's where that has it.
 * ERR_USAGE with what there is. */
int rules_policy_add(struct rules_policy *p, const char *what, struct err *err);
int rules_policy_limit(struct rules_policy *p, const char *id, double limit, struct err *err);

struct verdict { uint64_t hit[(N_RULE + 63) / 64]; int first; };   /* a bit for each rule that is hit; the first in order, or -1 */
double rule_value(int rule, const struct signals *s);          /* what is compared; NaN where there is nothing to divide by */
void rules_verdict(const struct rules_policy *p, const struct signals *s, struct verdict *out);
static inline bool verdict_has(const struct verdict *v, int rule) { return v->hit[rule / 64] >> rule % 64 & 1; }

#endif
