/* workshop_labels.h - the labels of a table that a reader is to tell: lines that nothing can be learned from are left out.
 *
 * Of the build's lines {"text", LABEL} those stay whose label is a word or a whole number that LABELS_LEAST lines or more have.  Where all of them stay the build itself is learned from, else FOLDER/texts/train.jsonl
 * and valid.jsonl; lines whose label only what is held out has go to what is learned from. */
#ifndef SERVE_WORKSHOP_LABELS_H
#define SERVE_WORKSHOP_LABELS_H
#include <jansson.h>
#include "base/err.h"

#define LABELS_LEAST 5
/* Sets in p: train, valid, classes, unlabelled and rare (lines that are left out), chosen: whether the files are those of texts/.  ERR_FORMAT: there are no two classes, or none is held out. */
int workshop_labels(const char *folder, json_t *p, struct err *err);

#endif
