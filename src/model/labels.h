/* labels.h - the names of a model's classes, as config.json has them under id2label. */
#ifndef MODEL_LABELS_H
#define MODEL_LABELS_H
#include "model/config.h"

struct labels { char **name; int n; };

/* Those of FOLDER/config.json; LABEL_0 and so on for what has no name there.  c: the configuration read from it, with n_label > 0. */
int labels_load(struct labels *l, const struct config *c, const char *folder, struct err *err);
void labels_release(struct labels *l);
/* Adds a copy of the name at the end. */
int labels_add(struct labels *l, const char *name, struct err *err);
int labels_find(const struct labels *l, const char *name);      /* -1: none */
#endif
