/* evidence_kind.h - what a file that is put beside a version is evidence of, by its contents.
 *
 *   an evaluation's own word   eval/evidence.h: {"kind", "figures"}: robustness, calibration, speed ...
 *   tasks                      results of tasks in lm-evaluation-harness's layout
 *   compare                    what lathe compare --json prints
 *   audit                      report.json of lathe data audit
 *   reference                  what lathe watch --out keeps: how answers were
 *   signature                  a bundle of Sigstore's form, as model.sig
 *   file                       anything else */
#ifndef STORE_EVIDENCE_KIND_H
#define STORE_EVIDENCE_KIND_H
#include <stdbool.h>
#include <stddef.h>

#define EVIDENCE_KIND 40
#define EVIDENCE_BYTES_MAX (256 << 20)           /* of a file of evidence, report.json of an audit among them, wherever one is read */
void evidence_kind(const char *text, size_t n, char kind[EVIDENCE_KIND]);
/* Does it say how good this version is, by itself? */
bool evidence_is_evaluation(const char *kind);

#endif
