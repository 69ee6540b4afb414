/* parts.h - whole tensors of a model that ranks hold in parts (model/weights.h), for rank 0, which alone has the folder OUT.  Internal to train/.
 *
 * While rank 0 writes or reads a checkpoint, r->model.parts collects one whole tensor after the other from the holders of its copy of the
 * model, or hands it out to them; these wait in parts_settle() and do as they are told.  So rank 0 needs room for the largest weight twice,
 * never for the model; and what it does may fail half-way, of a full disk, without harm to the others.
 * Where every rank has the whole model all of this is nothing. */
#ifndef TRAIN_PARTS_H
#define TRAIN_PARTS_H
#include "train/run.h"

size_t parts_bytes(const struct run *r);                 /* what parts_take() will take */
int parts_take(struct run *r, struct err *err);          /* the model is bound */
void parts_release(struct run *r);
/* Called by all once rank 0 is done with such work, by the others instead of it. */
int parts_settle(struct run *r, struct err *err);
#endif
