/* token_text.h - a text as tokens of which some may change, and back: for attacks on tokens (token_attack.h).
 *
 * Tokens are those of the text alone, without what a tokenizer puts around it.  Variants have as many.  One thread for each. */
#ifndef EVAL_TOKEN_TEXT_H
#define EVAL_TOKEN_TEXT_H
#include "model/tok.h"

struct token_text {
    const struct tok *tok;
    unsigned flags;                      /* of tok_encode: TOK_PLAIN or TOK_SPECIALS */
    size_t lead;                         /* bytes that decoding puts in front and the text has not (SentencePiece's space) */
    struct tok_ids ids, work;
    struct buf buf;
    int *place, n_place;                 /* what may change: no special tokens, and with bytes `from` to `to` none that reaches out of these */
};

/* from, to: bytes of the text, or 0, SIZE_MAX: all of it.  ERR_RANGE: its tokens, written as text and read again, are others; or there is
 * none that may change.  After an error, too, token_text_release() is due. */
int  token_text_init(struct token_text *t, const struct tok *tok, unsigned flags, const char *text, size_t n, size_t from, size_t to, struct err *err);
void token_text_release(struct token_text *t);
/* The text of a variant of t's tokens, valid until the next call. */
int  token_text_write(struct token_text *t, const int32_t *ids, const char **text, size_t *n, struct err *err);
/* 1: it is the same tokens when its text is read; 0: it is not. */
int  token_text_survives(struct token_text *t, const int32_t *ids, struct err *err);

/* What a search begins from, n of them one behind the other: the first of " !", " the", " a", " ." that the tokenizer has bytes for; NULL: none. */
const char *token_text_filler(const struct tok *t);
/* What tokens may become: allowed[V], printable ASCII with something to see, and no special token: what anyone can type. */
void token_text_allowed(const struct tok *t, int V, bool *allowed);
#endif
