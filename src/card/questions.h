/* questions.h - what a card asks (questions.def), and who answers: the audit's evidence, a person, both, or no one. */
#ifndef CARD_QUESTIONS_H
#define CARD_QUESTIONS_H
#include <stdbool.h>
#include "card/parts.h"

enum question_state { QUESTION_OPEN, QUESTION_PART, QUESTION_ANSWERED };

int question_count(void);
const char *question_id(int i);
const char *question_section(int i);
const char *question_text(int i);

/* Appends what the audit knows, as plain text: sentences, and lines that begin with "- ". */
int question_evidence(const struct card *c, int i, struct buf *out, struct err *err);
/* What a person has said; NULL: nothing. */
const char *question_answer(const struct card *c, int i);
const char *card_answer(const struct card *c, const char *id);
int question_state(const struct card *c, int i, enum question_state *out, struct err *err);
/* How many a person still has something to say to. */
int questions_open(const struct card *c, int *n, struct err *err);

/* Are these answers: strings, by known ids, of the forms that some want? */
int questions_check(const json_t *answers, struct err *err);
/* questions.yaml: what a person has answered, and what is open, to be filled in. */
int questions_of_card(const struct card *c, struct buf *out, struct err *err);

#endif
