/* nist.h - which subcategories of MEASURE of the NIST AI Risk Management Framework 1.0 (NIST AI 100-1, 2023) an evaluation is evidence for.
 *
 * Each of the 22 has the figures that were measured, with interval, file and SHA-256, and what stays open: what no measurement can show, or was not
 * measured.  A figure without a value is none.  That a subcategory is met is never said: this is for the people who decide it.
 *   {"framework", "models", "subcategories": [{"id": "MEASURE 2.3", "title", "status": "evidence" | "open", "evidence": [{"kind", "name", "of", "value", "low",
 *    "high", "n", "note", "file", "sha256"} | {"what", "file", "sha256"}], "open"}, ..]}
 * Evidence from a run that was stopped before its end has "stopped": true. */
#ifndef REPORT_NIST_H
#define REPORT_NIST_H
#include <jansson.h>
#include "base/buf.h"

int nist_make(json_t **out, const json_t *report, struct err *err);
int nist_text(const json_t *nist, struct buf *out, struct err *err);         /* the same as Markdown */

#endif
