/* group_shares.h - what a data audit (report.json of `lathe data audit --out`) counted of the groups that a model is scored by.
 *
 * A share is told only where the audit counted that very thing:
 *   field language or lang            the language found in each record
 *   field source or dataset           records of the source of that name
 *   field label or class              records of that class, where a source names the field of its label
 *   a group that the audit looks for  records in which one of its terms stands: field religion and value Muslim, or value religion/muslim alone
 * The last part of a field's path counts; case does not.  Everything else was not counted, and that is what is then said. */
#ifndef EVAL_GROUP_SHARES_H
#define EVAL_GROUP_SHARES_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* *out is the report, the caller's.  path: the folder of an audit, or its report.json.  ERR_FORMAT: it is none. */
int group_shares_load(json_t **out, const char *path, struct err *err);
/* by: what was counted, a phrase.  False: it was not. */
struct group_share { int64_t n, n_all; const char *by; };
bool group_share_of(const json_t *audit, const char *field, const char *value, struct group_share *out);
#endif
