/* record.h - one record: from its members to texts whose bytes know who wrote them and whether they are learned.  Internal to data/. */
#ifndef DATA_RECORD_H
#define DATA_RECORD_H
#include "data/fields.h"
#include "data/records.h"

/* The members that a record may have, by the names they have in the files. */
enum record_field { FIELD_TEXT, FIELD_MESSAGES, FIELD_TOOLS, FIELD_PROMPT, FIELD_COMPLETION, FIELD_CHOSEN, FIELD_REJECTED, N_FIELD };
struct record_fields { char name[N_FIELD][FIELD_NAME_MAX]; };
int record_fields_parse(struct record_fields *f, const char *text, struct err *err);      /* text may be NULL */

/* Bit i for field i, which the object has.  A list `conversations` stands for messages too. */
unsigned record_members(const struct record_fields *f, const json_t *o);
#define RECORD_CONVERSATIONS "conversations"
/* The form that a record with these members has, AUTO when none.  has: bit i for field i. */
enum data_form record_form(unsigned has);

struct record_side {
    struct jinja_text text;
    struct buf learn;              /* CHAT_LEARN, CHAT_LEARN_END or 0 for each byte */
    bool chat;                     /* rendered by a template: special tokens are made of its bytes */
};
struct record { struct record_side side[2]; int n_side; };
void record_init(struct record *r);
void record_release(struct record *r);
/* o: the object with the members; what is wrong with it is ERR_FORMAT or a template's error, without a place. */
int record_make(struct record *r, enum data_form form, const json_t *o, const struct record_fields *f, const struct chat *chat, struct err *err);

/* The ids of a side, and for each whether it is learned; n_open is raised by turns without an end, n_text by learned bytes.
 * ERR_UNSUPPORTED when the tokenizer changes the text, so that it cannot be told. */
struct record_ids { struct tok_ids ids; uint8_t *learn; size_t cap; int64_t n_open; uint64_t n_text; };
int record_encode(struct record_ids *out, const struct record_side *s, enum data_form form, const struct tok *tok, struct err *err);
void record_ids_release(struct record_ids *ids);
/* A copy whose strings are as the tokenizer gives them back. */
int record_rewrite(const json_t *o, const struct tok *tok, json_t **out, struct err *err);

#endif
