/* robust.h - tasks put to a model as they are and in other forms: texts as people write them, prompts as others build them.
 *
 *   texts    the families of perturb.def, in strengths: only bytes of a question that come from the document may change, and no option's label at
 *            the beginning of a line; not the task's words, choices, examples or targets
 *   forms    robust.def: what the task's own words look like, in questions and examples alike
 *   paraphrase  texts of a list that the user has, in place of theirs
 *
 * Each is a variant: the task with the same items, which pair.  What happens to an item is a function of (seed, item, family): not of batch or
 * threads.  A variant that asks an item what another one asks it too is answered once.  The report (robust_report) is of pairs: an item counts where
 * both its answers do.  One thread. */
#ifndef EVAL_ROBUST_H
#define EVAL_ROBUST_H
#include <jansson.h>
#include "base/pool.h"
#include "eval/evaluate.h"
#include "eval/perturb.h"

struct paraphrases;
/* JSON lines {"text", "paraphrase"}; several of one text: its first, its second, .. form.  ERR_FORMAT names the line. */
int  paraphrases_open(struct paraphrases **out, const char *path, struct err *err);
int  paraphrases_parse(struct paraphrases **out, const char *text, size_t n, const char *name, struct err *err);
void paraphrases_free(struct paraphrases *p);
int  paraphrases_n_form(const struct paraphrases *p);        /* of the text that has most, at most PARAPHRASE_FORMS */
const char *paraphrase_of(const struct paraphrases *p, const char *text, size_t n, int form, size_t *len);      /* NULL: there is none; form from 0 */
enum { PARAPHRASE_FORMS = 5 };

enum robust_form {
#define FORM(name, word, forms, what) FORM_##name,
#include "eval/robust.def"
#undef FORM
    N_ROBUST_FORM
};

struct robust_opts {
    bool family[N_PERTURB_FAMILY], form[N_ROBUST_FORM], strength[PERTURB_STRENGTHS];
    const struct paraphrases *paraphrases;       /* NULL: none */
    uint64_t seed;
};
/* "all", "text", "format" or names with commas between them; "1,3,5".  ERR_USAGE: found, and what there is. */
int robust_families_read(struct robust_opts *o, const char *names, struct err *err);
int robust_strengths_read(struct robust_opts *o, const char *list, struct err *err);

struct robust_variant {
    int of, i_task;                              /* indices of tasks: the one that it is a variant of, and itself */
    const char *family, *what; char form[24];    /* "keyboard", "3" */
    int strength;                                /* 0: it has none */
    int64_t n_same;                              /* items that are asked as they are: there is no place to change */
    int32_t *twin;                               /* [items]: the task that asks the item the same, i_task: none before it */
};
struct robust_absent { int of; const char *family; struct err why; };      /* a family that does not apply to a task */
struct robust {
    struct task_list list;                       /* the tasks as they are, then their variants: of evaluation_init() */
    int n_base;
    struct robust_variant *variant; int n_variant;
    struct robust_absent *absent; int n_absent;
    uint64_t seed;
};
/* l's tasks are borrowed, and opened with o.  With misspellings: those compiled in. */
int  robust_open(struct robust *r, const struct task_list *l, const struct robust_opts *how, const struct task_opts *o, struct err *err);
void robust_release(struct robust *r);           /* a zeroed one too */

/* Like evaluation_ask(), of e over r->list, item by item with its variants: what they begin with in common is computed once. */
int robust_ask(struct robust *r, struct evaluation *e, struct run *run, struct err *err);
/* After evaluation_take() of what was asked: the same for those that ask the same. */
int robust_took(const struct robust *r, struct evaluation *e, int i_task, int64_t item, struct err *err);

/* Adds figures, "tasks" and "examples" to evidence (doc/robustness.md).  Intervals are of 95 %. */
int robust_report(json_t *evidence, const struct robust *r, const struct evaluation *e, struct pool *pool, struct err *err);
#endif
