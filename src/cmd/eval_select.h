/* eval_select.h - lathe eval A B C --select: several models put to the same questions, measured, and one recommended. */
#ifndef CMD_EVAL_SELECT_H
#define CMD_EVAL_SELECT_H
#include <stdbool.h>
#include "base/err.h"

struct eval_select {
    bool asked;                      /* --select */
    const char *prefer;              /* speed|memory|cost|quality */
    double margin;                   /* the loss of quality that does not matter */
    double price;                    /* of an hour of this machine; 0: not known */
};
/* spec: [NAME=]MODEL[@PRECISION][+ADAPTERS], or a folder that an evaluation left.  evaluate: asks a model all that the command line says, into a folder. */
int eval_select(const char *const *spec, int n, const struct eval_select *o, const char *out_dir, int (*evaluate)(const char *model, const char *folder, struct err *err),
                struct err *err);
#endif
