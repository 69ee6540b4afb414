/* tok_bpe.h - inside a byte-level BPE tokenizer: shared by its encoder, its file format and its trainer. */
#ifndef MODEL_TOK_BPE_H
#define MODEL_TOK_BPE_H
#include <stdbool.h>
#include "model/tok.h"

#define TOK_VOCAB_MAX 4194304

struct tok_entry { size_t at, n; bool used, special; };           /* bytes[at .. at+n-1] */
struct tok_merge { int32_t left, right, into; };                  /* in order of rank */
struct tok_slot { int32_t left, right, rank, into; };             /* rank -1: empty */

struct tok {
    struct buf bytes;
    struct tok_entry *entry; int n_entry, cap_entry;
    struct tok_merge *merge; int n_merge, cap_merge;
    struct tok_slot *slot; uint32_t slot_mask;
    int32_t *by_bytes; uint64_t bytes_mask;                       /* tokens that are not special, by their bytes; -1: empty */
    int32_t byte_id[256];                                         /* -1: the vocabulary lacks the byte */
    size_t special_longest;
    int eot;
    bool ignore_merges;                                           /* a piece that is a token is that token */
};

int tok_new(struct tok **out, struct err *err);
int tok_set_entry(struct tok *t, int id, const char *bytes, size_t n, bool special, struct err *err);
int tok_add_merge(struct tok *t, int left, int right, int into, struct err *err);
/* After the last entry and merge: builds the tables.  name leads the messages. */
int tok_finish(struct tok *t, const char *name, struct err *err);
int tok_by_bytes(const struct tok *t, const char *s, size_t n);   /* after tok_finish; -1: none */

#endif
