/* parts.h - what the documents of a card share. */
#ifndef CARD_PARTS_H
#define CARD_PARTS_H
#include <jansson.h>
#include "base/buf.h"
#include "base/hash.h"

/* What is written about: checked, borrowed. */
struct card {
    const json_t *report, *answers, *files;      /* answers, files: as in card.h */
    const char *name;
    char created[21];                            /* 2026-11-26T00:00:00Z */
    char digest[SHA256_HEX];                     /* of all that the documents are made from */
};

/* report.html. */
int page_of_card(const struct card *c, struct buf *out, struct err *err);

#endif
