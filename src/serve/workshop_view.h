/* workshop_view.h - a project as a page shows it, as JSON; the caller's.
 *
 * All of project.json, and with `all`
 *   seen       workshop_look()
 *   audit      of the audit's report: totals, duplicates, pii, secrets, licences, languages, labels, images, faults: what it has of them; absent before it ended
 *   plans      [{ name, title, sentence, plan: what lathe train --dry-run says, or why }]
 *   trained, errors, held_out, sample          what these stages printed, as far as they have
 *   hardest    [{ bits, text }] of what was held out, by the bits that the model needs for a byte
 * and always
 *   stages     [{ name, state, began, seconds }] of what lathe run has begun, by its stage.json
 *   now        the server's clock, in seconds since 1970
 * What is there of an earlier look is not shown.  One thread. */
#ifndef SERVE_WORKSHOP_VIEW_H
#define SERVE_WORKSHOP_VIEW_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

int workshop_view(const char *workshop, const json_t *p, bool all, json_t **out, struct err *err);
/* { from, next, lines: whole lines of metrics.jsonl, at most `most` bytes } */
int workshop_metrics(const char *workshop, const char *id, uint64_t from, size_t most, json_t **out, struct err *err);
/* A file that may be shown (workshop.h), and its type.  ERR_NOTFOUND: there is none, or it is none of those. */
int workshop_file(const char *workshop, const char *id, const char *path, size_t most, struct buf *out, const char **type, struct err *err);
int workshop_file_remove(const char *workshop, const char *id, const char *name, struct err *err);
/* Whether a table (workshop_table.h) has a usable column of that name. */
bool workshop_has_column(const json_t *table, const char *name);
#endif
