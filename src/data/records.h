/* records.h - records of training data, from files of JSON lines or CSV to token sequences that know what is to be learned.
 *
 *   text         {"text"}                            a document; all of it is learned
 *   chat         {"messages", "tools"}               rendered by the model's chat template; what assistants write is learned.  A list
 *                                                    `conversations` of {"from", "value"}, ShareGPT's, is read as messages of user (human),
 *                                                    assistant (gpt), tool (observation)
 *   completion   {"prompt", "completion"}            the completion is learned.  Strings are put one behind the other, between the
 *                                                    tokenizer's bos and eot; lists of messages are rendered as a chat
 *   preference   {"prompt", "chosen", "rejected"}    two completions of one prompt; lists of messages may hold the prompt themselves,
 *                                                    which is then what both begin with
 * A file is JSON lines when it begins with an object on one line, and CSV when its name ends in .csv or .tsv (or the form is given
 * and it is no JSON).  The form is recognised by the members of the first record, respectively the columns; `fields` gives them
 * other names.  A file of none of these is a plain text.
 *
 * What a user wrote never becomes a special token.  An assistant's turn is what chat.h says; the token that ends it is learned too.
 * The date that some templates write is 26 July 2024, whatever the day, so that a run goes on tomorrow. */
#ifndef DATA_RECORDS_H
#define DATA_RECORDS_H
#include "data/shard.h"
#include "data/text.h"
#include "model/chat.h"

/* word in settings, kind of shard */
#define DATA_FORMS(X)                      \
    X(AUTO, "auto", SHARD_TEXT)            \
    X(PLAIN, "plain", SHARD_TEXT)          \
    X(TEXT, "text", SHARD_STREAM)          \
    X(CHAT, "chat", SHARD_RECORDS)         \
    X(COMPLETION, "completion", SHARD_RECORDS) \
    X(PREFERENCE, "preference", SHARD_PAIRS)
enum data_form {
#define X(name, word, kind) FORM_##name,
    DATA_FORMS(X)
#undef X
    N_FORM
};
const char *data_form_name(enum data_form form);
enum data_form data_form_find(const char *word);           /* N_FORM when there is none */
enum shard_kind data_form_kind(enum data_form form);

enum too_long { TOO_LONG_ERROR, TOO_LONG_SKIP, TOO_LONG_CUT };
struct records_opts {
    enum data_form form;
    const char *fields;            /* "prompt=question, completion=answer", or NULL */
    const struct chat *chat;       /* NULL: none; a record that needs one is then an error */
    const struct tok *tok;         /* for records_encode */
    int ctx;                       /* places of a window: a record has at most one token more (of a pair both count) */
    enum too_long too_long;
    bool skip_bad;                 /* a record that is wrong is left out and counted; else it is an error */
};

/* The form of all files, which must be one and the same; o->form decides where it is not AUTO. */
int records_form(const struct text_list *l, const struct records_opts *o, enum data_form *form, struct err *err);

/* Records as sequences; zeroed by the caller before the first use. */
struct records {
    struct sequences q;
    int64_t n_record;              /* that are in q */
    int64_t n_bad, n_long, n_cut;  /* left out as wrong; left out as too long; cut */
    int64_t n_open;                /* turns that end with no token that ends a turn */
    int64_t n_rewritten;           /* whose characters the tokenizer writes in another form */
    int longest;                   /* places of the longest, as it was */
};
/* Appends the records of all files; form is not AUTO or PLAIN.  An error names file and line. */
int records_encode(struct records *r, const struct text_list *l, const struct records_opts *o, struct err *err);
void records_release(struct records *r);

/* The texts that a tokenizer is to be made from: as rendered, one for each record (of a pair both). */
struct record_texts { struct buf text; size_t *end; int64_t n, cap; };
int records_texts(struct record_texts *t, const struct text_list *l, const struct records_opts *o, struct err *err);
void record_texts_release(struct record_texts *t);

#endif
