/* evidence.h - what one evaluation found, as a tree of JSON: printed by --json, kept in the folder of --out, and read back by the page,
 * the model card and the choice between models.
 *
 *   {"kind": "robustness", "lathe": "0.6.0", "model": PATH, "model_sha256": HEX, "date": 1764191234.5, "seed": 1234,
 *    "figures": [{"name": "accuracy", "of": "sst2 typo 3", "value": 0.81, "low": 0.78, "high": 0.84, "n": 872, "better": "higher", "what": "..."}, ...],
 *    ... the kind's own parts}
 *
 * A reader that does not know a kind still has its figures.  A kind's file is KIND_DATE.json; those of tasks are results_DATE.json, in
 * lm-evaluation-harness' layout (eval/results.h).  Trees are the caller's; no state; any thread. */
#ifndef EVAL_EVIDENCE_H
#define EVAL_EVIDENCE_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* model, model_sha256: NULL where no model was run (a file of logits); then null. */
int evidence_new(json_t **out, const char *kind, const char *model, const char *model_sha256, int64_t seed, struct err *err);
/* The model was run with adapters of that folder: "adapter", "adapter_sha256".  What reads evidence takes the two together for a model of its own. */
int evidence_adapter(json_t *evidence, const char *folder, const char *sha256, struct err *err);
/* It is of the first items alone, so many of each (--limit): "limit"; 0: of all, and nothing is said. */
int evidence_limit(json_t *evidence, int64_t limit, struct err *err);

enum evidence_better { EVIDENCE_NEITHER, EVIDENCE_HIGHER, EVIDENCE_LOWER };      /* "better": null, "higher", "lower" */
struct evidence_figure {
    const char *name;                    /* of the measure, the field's term: accuracy, ece, auroc */
    const char *of;                      /* what it is of: a task, a group, an attack; NULL: all of it */
    double value, low, high;             /* low, high: of a 95 % interval, NAN where there is none; value NAN: none could be had.  JSON has null there */
    int64_t n;                           /* items that it is of */
    enum evidence_better better;
    const char *what;                    /* a sentence for people, without a stop; NULL: none */
};
int evidence_figure(json_t *evidence, const struct evidence_figure *f, struct err *err);
/* part is taken over; NULL: there was no memory for it. */
int evidence_put(json_t *evidence, const char *key, json_t *part, struct err *err);

/* Writes folder/KIND_DATE.json, the folder made where it is not there; path (NULL: not wanted): where it lies, to be freed with mem_free. */
int evidence_write(const json_t *evidence, const char *folder, char **path, struct err *err);
/* Of a moment in seconds since 1970, as Python's datetime.isoformat() in UTC with '-' for ':'. */
void evidence_date(double t, char out[40]);
/* An array of all evidence of a folder, the oldest first, results_DATE.json of tasks among it (as {"kind": "tasks", "date", "results": the file}).
 * Other files are passed over; one of a name as above that cannot be read is an error. */
int evidence_read(json_t **out, const char *folder, struct err *err);
/* The same with where each comes from: { "file": its name, "sha256", "bytes", "evidence" } or, where that cannot be had, { "file", "error": why }.
 * Of more than 1 GiB together the rest is not read, which is an error of these files. */
int evidence_files(json_t **out, const char *folder, struct err *err);
/* Is it KIND_YYYY-MM-DDThh-mm-ss.ffffff.json, or samples_ with such a date, or one with a date of another form from its hour on?  name: without a folder. */
bool evidence_is_name(const char *name);
/* The names of a folder's files that begin as evidence, WORD_20.., and end in .json, but have no date as above: those are passed over.  Strings. */
int evidence_passed_over(json_t **out, const char *folder, struct err *err);
#endif
