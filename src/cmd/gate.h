/* gate.h - what commands of an audit share of policies, licences and gates. */
#ifndef CMD_GATE_H
#define CMD_GATE_H
#include <jansson.h>
#include "audit/policy.h"
#include "audit/source.h"

/* What --policy and --override name; without a policy p stays empty. */
int cmd_policy(struct policy *p, const char *name, const char *override, struct err *err);
/* Warns of expressions of sources that are not read, with a caret. */
int cmd_show_licences(const struct sources *s, struct err *err);
/* Prints the report where JSON is wanted, else the checks of its gate with the evidence of those that failed; takes the report.  ERR_GATE for a
 * gate that said no and was not overridden; 0 also where there is none. */
int cmd_tell_gate(json_t *report, struct err *err);
#endif
