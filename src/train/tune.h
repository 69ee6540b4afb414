/* tune.h - the section `lora` of a run's settings: adapters are learned, and the model that it goes on from stays as it is. */
#ifndef TRAIN_TUNE_H
#define TRAIN_TUNE_H
#include <jansson.h>
#include "base/opt.h"
#include "model/lora.h"

struct tune {
    bool on;                     /* the section is there */
    struct lora lora;
    int64_t rank; const char *targets;
    const char *base;            /* "floats" or "file": where the model below is kept */
};

void tune_defaults(struct tune *t);
void tune_keys(struct tune *t, struct opt keys[]);      /* TRAIN_KEYS_MAX at most */
/* from: the base, which is opened for its digest.  targets may be a list of words too, which becomes one string. */
int tune_read(struct tune *t, json_t *section, const char *from, const char *where, struct err *err);
#endif
