/* doc.h - a JSON document in the making.
 *
 * Only memory can lack, and jansson does nothing where it is given nothing: so each call may be made without a look at the others, what
 * did not work is noted, and doc_end() says so.  Values are owned by what they are put into. */
#ifndef CARD_DOC_H
#define CARD_DOC_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"

struct doc { bool failed; };

json_t *doc_object(struct doc *d);
json_t *doc_list(struct doc *d);
json_t *doc_put(struct doc *d, json_t *o, const char *key, json_t *v);     /* v */
json_t *doc_add(struct doc *d, json_t *list, json_t *v);                   /* v */
void doc_str(struct doc *d, json_t *o, const char *key, const char *s);    /* nothing is put where s is NULL */
void doc_int(struct doc *d, json_t *o, const char *key, int64_t n);
void doc_add_str(struct doc *d, json_t *list, const char *s);
/* A text of a buffer, without white space at its end; nothing where it is empty. */
void doc_text(struct doc *d, json_t *o, const char *key, struct buf *b);
/* Writes it, indented; root is released in any case. */
int doc_end(struct doc *d, json_t *root, struct buf *out, struct err *err);

#endif
