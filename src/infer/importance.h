/* importance.h - how much each input of each matrix matters: the mean square of what a model puts into it on a text.
 *
 * An error in a column of a weight comes out multiplied by its input, so quantising weighs errors by it. */
#ifndef INFER_IMPORTANCE_H
#define INFER_IMPORTANCE_H
#include "infer/engine.h"

struct importance;
/* Runs n tokens in windows of ctx that begin with bos where bos >= 0.  The names of matrices are those of the engine's file. */
int importance_measure(struct importance **out, struct engine *e, const int32_t *ids, int n, int ctx, int32_t bos, struct err *err);
/* As llama.cpp's llama-imatrix measured it: a GGUF file with a tensor NAME.in_sum2 [experts, columns] for each matrix NAME. */
int importance_open(struct importance **out, const char *path, struct err *err);
void importance_free(struct importance *m);
/* [columns] for a tensor of the file and one of its experts; NULL when nothing went into it. */
const float *importance_of(const struct importance *m, const char *name, int64_t expert, int64_t columns);
#endif
