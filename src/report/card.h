/* card.h - a model card in the form of the Hugging Face Hub: README.md with YAML in front, filled from what was measured and from what a person said.
 *
 * Nothing is made up: a section for which there is neither says "Open" and what is asked.  model-index has the scores on tasks and of classifiers
 * of images, of runs that came to their end; all else that was measured stands in tables with intervals and items. */
#ifndef REPORT_CARD_H
#define REPORT_CARD_H
#include <jansson.h>
#include "base/buf.h"

/* What a person knows, by the keys of facts.def: texts, or lists of them.  Unknown keys and wrong types are errors; where: the file's name. */
int card_facts_check(const json_t *facts, const char *where, struct err *err);
/* report: of report_make(); i_model: of its models, -1 where it has none.  facts: checked, or NULL.  data_cards: of the data, [{"name", "license", "sha256"}],
 * or NULL.  name: where a person says none; NULL: that of the evaluated model. */
struct card_of_model { const json_t *report; int i_model; const json_t *facts, *data_cards; const char *name; };
int report_card(const struct card_of_model *c, struct buf *out, struct err *err);

#endif
