/* outline.h - documents about a version of a model that people have to answer for: what is known of each of their sections, and what is open.
 *
 * Evidence is what a registry has: the version with its facts, the journal's records, evaluations, audits of data.  Nothing is made up, that a duty is
 * met is never said, and an outline is no legal advice: what no record can show is asked.
 *   {"document", "about", "version": NAME@N, "root", "sections": [{"id", "title", "status": "evidence" | "open", "evidence": [{"what", "file", "sha256"}], "open"}, ..]}
 * No state; any thread. */
#ifndef REPORT_OUTLINE_H
#define REPORT_OUTLINE_H
#include <jansson.h>
#include "base/buf.h"

enum outline_kind { OUTLINE_RMF, OUTLINE_ANNEX_IV, OUTLINE_GDPR, N_OUTLINE };
const char *outline_name(enum outline_kind kind);          /* of its files: "nist-ai-rmf", "annex-iv", "gdpr" */
const char *outline_title(enum outline_kind kind);

/* What is known.  version: as registry_show() gives it; history: the journal's records of its name, the newest first; report: of report_make() over its
 * evaluations; audits: [{"file", "sha256", "report": report.json of lathe data audit}].  All borrowed; report and audits may be NULL. */
struct outline_of { const json_t *version, *history, *report, *audits; };
int outline_make(json_t **out, enum outline_kind kind, const struct outline_of *of, struct err *err);
int outline_text(const json_t *outline, struct buf *out, struct err *err);      /* as Markdown */
int outline_page(const json_t *outline, struct buf *out, struct err *err);      /* as HTML */

/* The model as CycloneDX 1.7 has it: a bill of materials whose subject is the version, with its files, what it was made from, and what was measured. */
int outline_bom(const struct outline_of *of, struct buf *out, struct err *err);

#endif
