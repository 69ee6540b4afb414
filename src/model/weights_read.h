/* weights_read.h - the floats of a model's weights, one weight at a time, from any of its files. */
#ifndef MODEL_WEIGHTS_READ_H
#define MODEL_WEIGHTS_READ_H
#include "model/model.h"

struct weights_reader;
/* m must outlive it.  Every part is there, with its shape. */
int weights_reader_new(struct weights_reader **out, const struct model *m, struct err *err);
void weights_reader_free(struct weights_reader *r);
/* Weight i of m->list, until the next call: the form that writers ask for (weights_save, gguf_export).  What fails is kept, later
 * calls do nothing, and weights_reader_error() tells at the end. */
const float *weights_reader_floats(void *reader, int i);
int weights_reader_error(const struct weights_reader *r, struct err *err);
#endif
