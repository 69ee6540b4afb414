/* gate.h - does a report keep to a policy's limits?
 *
 * A pure function of the report and the policy: {"policy", "passed", "checks": [{"check", "limit", "found", "passed", "evidence"}]}, a check for
 * each limit.  One whose part the report has not, because it was not asked for, fails: its `found` is null and `why` says "not measured".
 * Evidence is the report's own first examples.  An override is a reason that someone gives: it does not make the gate pass, it is kept. */
#ifndef AUDIT_GATE_H
#define AUDIT_GATE_H
#include "audit/policy.h"

/* reason: NULL, or why the data are used all the same; ERR_USAGE for an empty one.  *gate is the caller's. */
int gate_of(const json_t *report, const struct policy *p, const char *reason, json_t **gate, struct err *err);
int gate_reason_check(const char *reason, struct err *err);          /* is there one? */
/* 0 when it passed or was overridden; else ERR_GATE, naming what was violated. */
int gate_verdict(const json_t *gate, struct err *err);
#endif
