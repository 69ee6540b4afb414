/* card.h - what an audit found, as documents: a page for people, a datasheet, a dataset card for the Hugging Face Hub, Croissant, SPDX and
 * CycloneDX for programs.
 *
 * All of them say what the report knows (shape.def), and what a person has answered; nothing else.  A question that neither answers is
 * open: it stands in each document as such, and in questions.yaml, to be filled in there.  The same report, answers and date give the
 * same bytes. */
#ifndef CARD_CARD_H
#define CARD_CARD_H
#include <jansson.h>
#include "base/buf.h"

struct card_opts {
    const char *name;           /* of the data set; NULL: as answered, else the only source's */
    const char *created;        /* YYYY-MM-DD, or with THH:MM:SSZ; NULL: of the last collection that a source names, else of the newest file */
    const json_t *answers;      /* questions.yaml: an object of strings, or NULL */
    const json_t *files;        /* what a build has written: [{"path", "bytes", "sha256", "records", "split", "fields": ["text"]}]; NULL: the sources' files */
};
struct card_result { int n_question, n_open; char created[21]; const char *created_by; };      /* created_by: where the date comes from, in words */

/* Writes report.html, report.json, datasheet.md, README.md, croissant.json, spdx.json, cyclonedx.json and questions.yaml into dir, which is
 * made; each is whole or as it was.  Nothing is written when the report, the answers or a document is wrong.  out may be NULL. */
int card_write(const json_t *report, const struct card_opts *o, const char *dir, struct card_result *out, struct err *err);
/* The same into buffers of the caller, who has initialised them; the page is the first. */
#define CARD_DOCUMENTS 8
int card_make(const json_t *report, const struct card_opts *o, struct buf text[CARD_DOCUMENTS], struct card_result *out, struct err *err);

#endif
