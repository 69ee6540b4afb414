/* provenance.h - what else is signed of a model, in the same envelope (dsse.h): how it was evaluated, and how it was made.
 *
 * Both are in-toto statements v1 whose subject is the model's root (manifest.h):
 *   https://in-toto.io/attestation/test-result/v0.1   { result, configuration: [files of evidence], passedTests, warnedTests, failedTests }; tests are
 *                                                     the requirements, as "arc_easy/acc>=0.4"
 *   https://slsa.dev/provenance/v1                    { buildDefinition: { buildType: urn:lathe:train:v1, externalParameters: the settings and the model's
 *                                                     configuration, resolvedDependencies: data, token files, this program }, runDetails }
 * Texts are appended to out.  Trees are the caller's; any thread. */
#ifndef STORE_PROVENANCE_H
#define STORE_PROVENANCE_H
#include <jansson.h>
#include "store/dsse.h"
#include "store/manifest.h"

/* A figure of evidence that a model must have: NAME as of evidence_figure_value(). */
struct provenance_need { char name[200]; char op[3]; double value; };
int provenance_need_parse(struct provenance_need *out, const char *text, struct err *err);       /* NAME>=0.4, also <=, >, <, ==; ERR_USAGE */

/* Evidence in files of JSON (those of lathe eval --out).  model_sha256: what they must be about, where they say it.  ERR_GATE: evidence of another
 * model, or of an evaluation that was stopped; ERR_NOTFOUND: a requirement of which no file has the figure.  *passed: the result is PASSED, and not FAILED. */
int provenance_evaluation(struct buf *out, bool *passed, const char *name, const char *root, const char *model_sha256, const char *const *file, int n_file,
                          const struct provenance_need *need, int n_need, struct err *err);
/* A run's folder (lathe train --out) and the version of this program.  Data that is not where the run found it any more is named without a digest;
 * data of another size is ERR_CORRUPT. */
int provenance_training(struct buf *out, const char *name, const char *root, const char *run, const char *version, struct err *err);

/* "evaluation" or "training" for a bundle of such a statement, NULL for others. */
const char *provenance_kind(const struct dsse *d);
/* The predicate of a statement about this root, to be freed.  ERR_GATE: it is about something else. */
int provenance_read(json_t **predicate, const struct dsse *d, const char *root, const char *where, struct err *err);
#endif
