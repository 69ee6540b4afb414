/* base.h - the model that a run goes on from: any file or folder that model/model.h opens.
 *
 * Quantised and half-precision weights become floats, exactly; what they were is not kept.  Each call opens the files anew
 * (they are mapped) and closes them. */
#ifndef TRAIN_BASE_H
#define TRAIN_BASE_H
#include "model/decoder.h"
#include "model/tok.h"

/* What the files warn of goes to the log. */
int base_config(struct config *c, const char *path, struct err *err);
int base_tokenizer(struct tok **out, const char *path, struct err *err);
/* The floats of every weight of a bound decoder.  l: the list that d was recorded from. */
int base_weights(struct decoder *d, const struct weights_list *l, const char *path, struct err *err);
/* adapter_base() of it. */
int base_digest(char hex[SHA256_HEX], const char *path, struct err *err);
/* Special tokens and chat templates, for the folder that the trained model goes to. */
int base_put_chat(const char *path, const char *folder, struct err *err);
#endif
