/* report.h - report.json: the totals of an audit, with what its stages have said, and the files that tell of every record. */
#ifndef AUDIT_REPORT_H
#define AUDIT_REPORT_H
#include "audit/stage.h"

/* Adds "lathe", "schema", "sources" and "totals", fetches the examples' texts, asks the policy's gate, and writes DIR/report.json and, if asked for, records.jsonl. */
int report_finish(struct audit *a, struct err *err);
/* Writes DIR/report.json. */
int report_write(const json_t *report, const char *dir, struct err *err);

#endif
