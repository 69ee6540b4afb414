/* parts.h - what the documents of a card share. */
#ifndef CARD_PARTS_H
#define CARD_PARTS_H
#include <jansson.h>
#include <stdbool.h>
#include "base/buf.h"
#include "base/hash.h"

/* What is written about: checked; borrowed but for licences. */
struct card {
    const json_t *report, *answers, *files;      /* answers, files: as in card.h */
    json_t *licences;                            /* of sources by their names (licences.h) */
    const char *name;
    char created[21];                            /* 2026-11-26T00:00:00Z */
    const char *created_by;                      /* where that comes from, in words */
    char digest[SHA256_HEX];                     /* of all that the documents are made from */
};

void card_urn(const struct card *c, char out[46]);      /* urn:uuid:.., made from the digest: version 8 of RFC 9562 */
bool card_is_date(const char *s);                /* YYYY-MM-DD, or with THH:MM:SSZ, of a day that there is */

/* report.html, datasheet.md, README.md as the Hugging Face Hub reads it. */
int page_of_card(const struct card *c, struct buf *out, struct err *err);
int datasheet_of_card(const struct card *c, struct buf *out, struct err *err);
int hub_of_card(const struct card *c, struct buf *out, struct err *err);
/* croissant.json, spdx.json, cyclonedx.json. */
int croissant_of_card(const struct card *c, struct buf *out, struct err *err);
int spdx_of_card(const struct card *c, struct buf *out, struct err *err);
int cyclonedx_of_card(const struct card *c, struct buf *out, struct err *err);

#endif
