/* tok.h - tokenizers: text to token ids and back.
 *
 * Byte-level BPE (GPT-2's kind), BPE over characters (SentencePiece's), Unigram and WordPiece, from Hugging Face's
 * tokenizer.json, SentencePiece's .model, OpenAI's .tiktoken and GGUF.  Ids are those of the maker's own program; what a file
 * asks for and is not done here is an error that names it.  A loaded tokenizer never changes: any number of threads may use it.
 *
 * Text is bytes.  Invalid UTF-8 is encoded like any other bytes where the vocabulary has all bytes, and then decoding what was
 * encoded gives the same bytes back, unless the tokenizer changes text by design (normal forms, lower case, joined spaces);
 * elsewhere a byte that is no character counts as U+FFFD. */
#ifndef MODEL_TOK_H
#define MODEL_TOK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

struct tok;
struct tok_ids { int32_t *id; size_t n, cap; };       /* zeroed by the caller before the first use */
void tok_ids_release(struct tok_ids *ids);
int tok_ids_reserve(struct tok_ids *ids, size_t more, struct err *err);
int tok_ids_add(struct tok_ids *ids, int32_t id, struct err *err);

/* A folder (its tokenizer.json, tokenizer.model, ... in this order), or a file: what it is is seen in its content.  Ranks
 * (.tiktoken) do not say how text is split: the name tells (r50k, cl100k, o200k, p50k, qwen, llama3, llama4 in it). */
int tok_load(struct tok **out, const char *path, struct err *err);
/* A tokenizer.json in memory.  The readers of other files are in tok_files.h. */
int tok_parse(struct tok **out, const char *text, size_t n, const char *name, struct err *err);
/* tokenizer.json; the same bytes for the same tokenizer.  One that was loaded from a tokenizer.json is that file again; of others
 * byte-level BPE is written, else ERR_UNSUPPORTED. */
int tok_write(const struct tok *t, struct buf *out, struct err *err);
/* What a tokenizer is known by in files of tokens: the SHA-256 of its tokenizer.json; of one that cannot be written, where `any`, of what its
 * tokens stand for, else ERR_UNSUPPORTED. */
int tok_digest(const struct tok *t, bool any, char hex[SHA256_HEX], struct err *err);
void tok_free(struct tok *t);

/* Appends the ids of the text.
 * TOK_SPECIALS  special tokens written in the text become their ids; without it they are plain text, as anything that a user
 *               typed must be: no text can then give the id of a special token
 * TOK_ADD       what the tokenizer puts around every text: bos, eos, [CLS] ... [SEP]
 * A byte that the vocabulary lacks is ERR_FORMAT with its place; out is then as it was. */
enum { TOK_PLAIN = 0, TOK_SPECIALS = 1, TOK_ADD = 2 };
int tok_encode(const struct tok *t, const char *text, size_t n, unsigned flags, struct tok_ids *out, struct err *err);
/* For text of which a user typed some bytes, input[i] = 1 for those and 0 for the others: a special token is recognised only where
 * none of its bytes is a user's.  What lies between special tokens is encoded as one text, whoever wrote it. */
int tok_encode_marked(const struct tok *t, const char *text, const char *input, size_t n, unsigned flags, struct tok_ids *out, struct err *err);
/* Appends the text of the ids, special tokens as they are written; an id outside the vocabulary is ERR_RANGE. */
int tok_decode(const struct tok *t, const int32_t *ids, size_t n, struct buf *out, struct err *err);

int tok_vocab_size(const struct tok *t);              /* one more than the largest id that stands for something */
/* Ids below that stand for nothing, ascending: those that the file leaves out, and those that GGUF's converter filled up with
 * [PAD<id>].  A model must not say them. */
const int32_t *tok_gaps(const struct tok *t, int *n);
const char *tok_kind(const struct tok *t);            /* "byte-level BPE", "BPE", "Unigram", "WordPiece" */
const char *tok_bytes(const struct tok *t, int id, size_t *n);        /* what the token adds to a text; NULL for an id that is not used */
int tok_special(const struct tok *t, const char *text);               /* id of a special token, -1 if there is none */
bool tok_is_special(const struct tok *t, int id);
int tok_bos(const struct tok *t);                     /* the token before every text, or -1 */
int tok_eot(const struct tok *t);                     /* the token that ends a text (<|endoftext|>), or -1 */
bool tok_is_eog(const struct tok *t, int id);         /* generation stops here: end of text, of turn, of message (but not between those of one answer: gpt-oss) */

/* ---- streaming out: whole UTF-8 characters only ---- */
/* Text of ids that come one by one.  Bytes that begin a character are held until it is complete or can no longer be one. */
enum { TOK_SKIP_SPECIALS = 1 };
struct tok_stream { const struct tok *t; unsigned flags; bool begun; uint8_t n_held; char held[4]; };
void tok_stream_begin(struct tok_stream *s, const struct tok *t, unsigned flags);
int tok_stream_add(struct tok_stream *s, int32_t id, struct buf *out, struct err *err);
int tok_stream_end(struct tok_stream *s, struct buf *out, struct err *err);        /* the held bytes as they are */
/* Number of bytes at the end of s[0..n-1] that begin a character which is not complete; 0 to 3. */
size_t tok_utf8_tail(const char *s, size_t n);

/* ---- making one ---- */
struct tok_text { const char *data; size_t n; };
/* The 256 bytes and merges up to vocab_size.  The most frequent pair is merged first; among equals the one of smaller ids
 * (as Hugging Face's trainer).  A pair that occurs once is never merged, so the result can be smaller than asked. */
int tok_train_bpe(struct tok **out, const struct tok_text *text, int n_text, int vocab_size, struct err *err);
/* One token for each byte value that occurs in the text, in ascending order; no merges, no special tokens. */
int tok_from_bytes(struct tok **out, const struct tok_text *text, int n_text, struct err *err);

#endif
