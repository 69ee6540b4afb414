/* eval_logits.h - lathe eval --logits: calibration of answers that another program has written down. */
#ifndef CMD_EVAL_LOGITS_H
#define CMD_EVAL_LOGITS_H
#include <jansson.h>
#include <stdint.h>
#include "base/err.h"

/* diagram: a file for the reliability diagram (SVG), or NULL; out: folder of evidence, or NULL. */
int eval_logits(const char *path, const char *diagram, const char *out, int64_t seed, struct err *err);
/* A calib_report() for people. */
void eval_print_calibration(const json_t *report);
#endif
