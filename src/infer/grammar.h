/* grammar.h - what a text may be: a context-free grammar over bytes, followed as the text grows, and for a model's vocabulary the
 * tokens that may come next.
 *
 * Written as GBNF (llama.cpp's grammars/README.md): rules `name ::= ...` of "literals", [classes] and . of characters, names, groups,
 * | * + ? {m} {m,} {m,n}; `root` is the text.  A schema is made into one by schema.h.  Characters are those of UTF-8: a text that is
 * not UTF-8 follows no grammar.
 *
 * A grammar is kept as a network of nodes for each rule: read a byte of some ranges, go one of two ways, follow a rule and return, end
 * of the rule.  Where a text is, is a set of (node, frames to return to); a rule's last call leaves no frame, so that lists of any
 * length take no room.  Which tokens a node allows does not depend on the frames, but for tokens that go on behind the end of the
 * rule: the former are found once for each node and kept with the grammar, the latter are tried each time.
 *
 * Nothing fails open: what cannot be compiled is an error with its place, and where no token can follow, none is allowed. */
#ifndef INFER_GRAMMAR_H
#define INFER_GRAMMAR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "model/tok.h"

#define GRAMMAR_TEXT_MAX ((size_t)1 << 20)
#define GRAMMAR_NODES_MAX 400000
#define GRAMMAR_REPEAT_MAX 10000

/* ---- a grammar ---- */

struct grammar;
/* ERR_FORMAT with line and column; ERR_RANGE when it is too large.  Rules that nobody names, that never end, or that follow themselves
 * before they have read anything are errors. */
int grammar_parse(struct grammar **out, const char *text, size_t n, struct err *err);
void grammar_free(struct grammar *g);            /* when no text follows it any more */
size_t grammar_bytes(const struct grammar *g);   /* that it takes, with what it has found out so far; any thread */

/* ---- a vocabulary, in the order of its bytes; any threads may use it ---- */

struct vocab;
/* ids below V that are text; special tokens are none, but for those marks (<think>, [TOOL_CALLS], ...), which stand for their letters.
 * eog: tokens that end a text, which are allowed where the grammar is at an end. */
#define VOCAB_MARKS_MAX 16
int vocab_new(struct vocab **out, const struct tok *t, int V, const int32_t *eog, int n_eog, const int32_t *mark, int n_mark, struct err *err);
void vocab_free(struct vocab *v);
int vocab_longest(const struct vocab *v);        /* bytes of its longest token */

/* ---- a text ---- */

struct follower;
/* The beginning of a text of g, for the tokens of v (may be NULL: no tokens will be asked for).  Both are borrowed. */
int follower_new(struct follower **out, struct grammar *g, const struct vocab *v, struct err *err);
void follower_free(struct follower *f);
/* The text goes on with these bytes.  ERR_FORMAT: it must not, and is as it was; ERR_RANGE: too many ways to read it. */
int follower_add(struct follower *f, const char *bytes, size_t n, struct err *err);
/* The same by a token's id; one that ends texts ends it. */
int follower_add_token(struct follower *f, int32_t id, struct err *err);
bool follower_may_end(const struct follower *f);
bool follower_must_end(const struct follower *f);        /* nothing can follow */
/* -INFINITY for each of V logits whose token may not come next; returns how many may.  ERR_RANGE, ERR_NOMEM as above. */
int follower_forbid(struct follower *f, float *logits, int V, struct err *err);

#endif
