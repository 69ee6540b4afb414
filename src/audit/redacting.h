/* redacting.h - what a build makes of the personal data and secrets that an audit found in the records that it kept.
 *
 * A policy says of each kind (policy.h): keep, redact (<KIND>), or pseudonym (redact.h), which needs a key; what it would drop and the
 * audit did not is redacted.  Without a policy all are redacted.  What the audit did not look for stays: a policy that says otherwise is
 * ERR_USAGE, without one a warning tells. */
#ifndef AUDIT_REDACTING_H
#define AUDIT_REDACTING_H
#include "audit/opened.h"
#include "audit/redact.h"

struct redacting;
/* All is borrowed.  policy, key: may be NULL. */
int redacting_new(struct redacting **out, const struct opened *x, const struct policy *policy, const struct redact_key *key, struct err *err);
void redacting_free(struct redacting *r);
/* Any thread, of a record's text: 1 when something was replaced in its bytes from .. to - 1, and these appended to out; 0 when they stay as
 * they are.  Of what lies only partly in them that part is replaced. */
int redacting_part(const struct redacting *r, int64_t record, const char *text, size_t n, size_t from, size_t to, struct buf *out, struct err *err);
/* {"records", "pii", "secrets"}: how many are replaced; null: not looked for. */
json_t *redacting_told(const struct redacting *r);

#endif
