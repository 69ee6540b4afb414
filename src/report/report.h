/* report.h - what evaluations left in a folder, put together: one tree, and from it a page, a model card, and what of NIST's framework it is evidence for.
 *
 * The tree, which is report.json:
 *   {"models": [{"name": short, "model": path or null, "sha256"}, ..], "from", "to": seconds since 1970,
 *    "files": [{"file", "sha256", "bytes", "kind", "date", "model": index of models or null, "replaced": by newer files, "evidence": as it is,
 *               "stopped": true where it ended before its end,
 *               "examples": of items answered wrong, where there are} | {"file", "error"}, ..],
 *    "figures": [{as eval/evidence.h has them, "kind", "file": index, "model"; of tasks "shots" (examples before each item), "interval_by" and
 *                 "group": true (of several); "stopped": true of a file that is}, ..]}
 * Figures of tasks are made from their results, lm-evaluation-harness's own files too, whose intervals are 1.96 standard errors.  Where several files have a
 * figure of the same kind, model, name, subject and shots the newest one's counts, of runs that were stopped only
 * where no other has it; a file of which none counts is "replaced".
 *
 * Input may be any JSON: what is of a wrong type is passed over.  No state; any thread. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H
#include <jansson.h>
#include "base/buf.h"

/* files: as evidence_files() gives them, the oldest first; "examples" beside "evidence" may have what wrong_answers() gives. */
int report_make(json_t **out, const json_t *files, struct err *err);
int report_page(const json_t *report, const char *name, struct buf *out, struct err *err);

#endif
