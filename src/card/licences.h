/* licences.h - the licence of the whole, as far as it is known, and its names elsewhere. */
#ifndef CARD_LICENCES_H
#define CARD_LICENCES_H
#include <stdbool.h>
#include "card/parts.h"

/* From names of sources to expressions, for struct card: json_decref() it in any case. */
int licences_of_sources(const json_t *report, json_t **out, struct err *err);
/* A source's: as its data.yaml states it, else as the audit has found it in files beside the data; NULL: neither. */
const char *licence_of_source(const struct card *c, const json_t *source);
/* Appends an SPDX expression: about.licence where a person has said it, else that of all sources together (each of them holds for its part,
 * so they are joined by AND); nothing when a source's is unknown. */
int licence_of_card(const struct card *c, struct buf *out, struct err *err);
bool licence_is_id(const char *expression);             /* one identifier of the SPDX list, no operator and no LicenseRef */
const char *licence_hub_id(const char *expression);     /* the Hub's name of it, NULL when it has none */

#endif
