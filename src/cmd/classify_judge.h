/* classify_judge.h - lathe classify --judge: how often a classifier is right on what it has not learned, and where it errs, with examples.
 *
 * Of texts: JSON lines or CSV with classes, a file or a folder of them (data/labelled.h); of images: a folder with a folder for each class.  What comes out is evidence (eval/evidence.h) of kind "classes":
 *   n, right, cut: texts of which only the beginning fits, classes: names,
 *   confusions: [{ is, said, n }], the most frequent first,
 *   wrong: [{ is, said, p, p_is, text or file }], those with the largest p - p_is first: at most WRONG_EACH of a confusion and WRONG_MOST in all */
#ifndef CMD_CLASSIFY_JUDGE_H
#define CMD_CLASSIFY_JUDGE_H
#include <signal.h>
#include "data/image.h"
#include "infer/classify.h"

#define WRONG_EACH 6
#define WRONG_MOST 60
#define WRONG_TEXT 600                   /* bytes of a text that are shown */

struct judge_opts { const char *model, *path, *fields; enum image_fit fit; bool json; const volatile sig_atomic_t *stop; };
/* Prints it, as words or as JSON.  c: nobody else uses it meanwhile.  ERR_FORMAT: a file is not as above, or has a class that the model has not, or there is none; ERR_STOPPED: *stop was set. */
int classify_judge(struct classifier *c, const struct judge_opts *o, struct err *err);
#endif
