/* robust_impl.h - how the questions of a variant are changed (robust_question.c).  Internal to eval/robust*.c. */
#ifndef EVAL_ROBUST_IMPL_H
#define EVAL_ROBUST_IMPL_H
#include "eval/robust.h"

/* What a variant does to questions; one of three kinds. */
struct question_change {
    struct perturb text;                         /* kind TEXT */
    enum robust_form form; int i_form;           /* FORM: LABELS, SEPARATORS, LAYOUT */
    const struct paraphrases *paraphrases;       /* PARAPHRASE, with i_form */
    int n_letter; const char *const *label;      /* of the options: A, B, ..; what LABELS has in their place */
};
/* As struct task_form's question(). */
int question_perturb(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err);
int question_paraphrase(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err);
int question_form(void *ctx, int64_t item, const char *text, size_t n, const uint8_t *of_doc, struct buf *out, struct err *err);
#endif
