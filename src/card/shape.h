/* shape.h - is a tree the report that an audit leaves (shape.def)?  What passes can be read without a look at its types. */
#ifndef CARD_SHAPE_H
#define CARD_SHAPE_H
#include <jansson.h>
#include "base/err.h"

#define SHAPE_SCHEMA 1

/* The error names the place: "report.json: sources[3].files[0].bytes: found a string, expected a whole number of at least 0".
 * Beyond types: records = kept + what was dropped, histograms have one edge more than counts, and the edges ascend. */
int shape_check(const json_t *report, const char *where, struct err *err);
/* The list of a build's files (card.h). */
int shape_check_files(const json_t *files, const char *where, struct err *err);

#endif
