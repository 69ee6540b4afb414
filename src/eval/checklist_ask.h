/* checklist_ask.h - the texts of a suite (checklist.h) put to a model: a classifier of texts, or one that continues them with the words for the classes. */
#ifndef EVAL_CHECKLIST_ASK_H
#define EVAL_CHECKLIST_ASK_H
#include "eval/checklist.h"
#include "eval/run.h"
#include "infer/classify.h"

/* The suite's classes, in order.  ask[k] false: no class, or word, of the model stands for it.  That may be the middle one of three: a model of two classes says it where the
 * last one's probability p is within 1/3 and 2/3, to 1 - 3 |p - 1/2|, and the rest of it goes to the likelier of the two (as CheckList's notebook has it). */
enum { CHECKLIST_LABELS = 64 };
struct checklist_labels { char *memory; const char *name[CHECKLIST_LABELS]; bool ask[CHECKLIST_LABELS]; int n; };
/* "negative,neutral,positive"; "negative,(neutral),positive": the one in brackets is not asked for.  ERR_USAGE: fewer than two, or than the suite has; one name twice. */
int  checklist_labels_read(struct checklist_labels *l, const char *list, int n_at_least, struct err *err);
void checklist_labels_release(struct checklist_labels *l);
/* What the model said of those that are asked for, in order, as probabilities of all; p has room for l->n. */
void checklist_spread(const struct checklist_labels *l, double *p);

/* Between texts; non-zero: ERR_STOPPED, and answers holds what there is.  May be NULL. */
struct checklist_hooks { int (*goes_on)(void *ctx, int64_t done, int64_t all); void *ctx; };
/* A class that the classifier lacks by name is no longer asked for; ERR_USAGE where that is not the middle one of three. */
int checklist_classify(const struct checklist *c, struct checklist_answers *a, struct classifier *model, struct checklist_labels *l,
                       const struct checklist_hooks *h, struct err *err);
/* prompt: a template with {{text}}; each class is a blank and its name behind it, by its whole log-likelihood. */
int checklist_ask(const struct checklist *c, struct checklist_answers *a, struct run *run, const char *prompt, const struct checklist_labels *l,
                  const struct checklist_hooks *h,
                  struct pool *pool, struct err *err);
#endif
