/* calib_file.h - logits or probabilities with their labels, out of an .npz file of another program.
 *
 * scores: the array of that name, or where it is NULL the only one of floats [n,K].  labels: likewise, the only other one of whole numbers [n] or
 * [n,1], or one-hot [n,K].  Where several fit, or none, the error lists the arrays that there are.
 * kind: "logits", "probs", or NULL: probabilities where each row has numbers within 0 .. 1 and the sum 1 within 1e-4. */
#ifndef EVAL_CALIB_FILE_H
#define EVAL_CALIB_FILE_H
#include "eval/calib.h"

struct calib_file {
    struct calib_items items;            /* borrowed from what follows */
    double *value; int32_t *label;
    char *scores, *labels;               /* the names of the arrays */
};
int calib_file_read(struct calib_file *out, const char *path, const char *scores, const char *labels, const char *kind, struct err *err);
void calib_file_release(struct calib_file *f);

#endif
