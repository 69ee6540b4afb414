/* eval_membership.h - lathe eval --membership: was a text among what the model has learned from? (eval/membership.h) */
#ifndef CMD_EVAL_MEMBERSHIP_H
#define CMD_EVAL_MEMBERSHIP_H
#include "base/opt.h"
#include "eval/run.h"

struct eval_membership {
    const char *members, *others;        /* paths of records, read as lathe data audit reads them */
    struct opt_list reference;           /* other models, as the user named them */
    bool lines, show_texts, items;       /* lines of text files are records; examples with their texts; the items' file beside the result */
    int64_t limit, seed;                 /* limit: of each side, 0: all */
    const char *out;                     /* folder, or NULL */
};
/* run: the model and how it is run. */
int eval_membership(const struct run_opts *run, const struct eval_membership *o, struct err *err);
#endif
