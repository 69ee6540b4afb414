/* tok.h - tokenizers: text to token ids and back.
 *
 * Now byte-level BPE (GPT-2's kind), which reads and writes Hugging Face's tokenizer.json.  A loaded tokenizer never
 * changes: any number of threads may use it.  Text is bytes: invalid UTF-8 is encoded like any other bytes, and decoding
 * what was encoded gives the same bytes. */
#ifndef MODEL_TOK_H
#define MODEL_TOK_H
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

struct tok;
struct tok_ids { int32_t *id; size_t n, cap; };       /* zeroed by the caller before the first use */
void tok_ids_release(struct tok_ids *ids);

int tok_load(struct tok **out, const char *path, struct err *err);                        /* tokenizer.json, or its folder */
int tok_parse(struct tok **out, const char *text, size_t n, const char *name, struct err *err);
int tok_write(const struct tok *t, struct buf *out, struct err *err);                     /* tokenizer.json; the same bytes for the same tokenizer */
void tok_free(struct tok *t);

/* Appends the ids of the text.  TOK_SPECIALS: special tokens written in the text become their ids; without it they are
 * plain text, as anything that a user typed must be.  A byte that the vocabulary lacks is ERR_FORMAT with its place. */
enum { TOK_PLAIN = 0, TOK_SPECIALS = 1 };
int tok_encode(const struct tok *t, const char *text, size_t n, unsigned flags, struct tok_ids *out, struct err *err);
/* Appends the bytes of the ids; an id outside the vocabulary is ERR_RANGE. */
int tok_decode(const struct tok *t, const int32_t *ids, size_t n, struct buf *out, struct err *err);

int tok_vocab_size(const struct tok *t);              /* one more than the largest id */
const char *tok_bytes(const struct tok *t, int id, size_t *n);        /* NULL for an id that is not used */
int tok_special(const struct tok *t, const char *text);               /* id of a special token, -1 if there is none */
int tok_eot(const struct tok *t);                     /* id of the token that ends a text (<|endoftext|>), or -1 */

/* ---- making one ---- */
struct tok_text { const char *data; size_t n; };
/* The 256 bytes and merges up to vocab_size.  The most frequent pair is merged first; among equals the one of smaller ids
 * (as Hugging Face's trainer).  A pair that occurs once is never merged, so the result can be smaller than asked. */
int tok_train_bpe(struct tok **out, const struct tok_text *text, int n_text, int vocab_size, struct err *err);
/* One token for each byte value that occurs in the text, in ascending order; no merges, no special tokens. */
int tok_from_bytes(struct tok **out, const struct tok_text *text, int n_text, struct err *err);

/* ---- streaming out: whole UTF-8 characters only ---- */
/* Number of bytes at the end of s[0..n-1] that begin a character which is not complete; 0 to 3. */
size_t tok_utf8_tail(const char *s, size_t n);

#endif
