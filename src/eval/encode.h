/* encode.h - the tokens of an evaluation's requests, by the rules of lm-evaluation-harness (api/model.py, models/huggingface.py).
 *
 * context + continuation   White space at the end of the context goes to the continuation (but with as_is).  whole = tok(context + continuation), and the
 *                          continuation's tokens are those of `whole` behind as many as tok(context) has.  Special tokens that are written
 *                          in a text become their ids.  What the tokenizer puts around a text is put there, but not where the text
 *                          begins with the prefix already.
 * prefix                   The token before what has no context: bos, or where there is none the end of text.
 * too long                 Of more than max_length + 1 tokens the first ones are left out, and counted.
 * one token over the join  leaves no token for the continuation: it then has its own, tok(continuation), and the reply says so.
 *
 * Nothing here changes once it is made: any thread may encode, into a sequence of its own. */
#ifndef EVAL_ENCODE_H
#define EVAL_ENCODE_H
#include "eval/request.h"
#include "model/config.h"
#include "model/tok.h"

/* What begins a text: what the tokenizer's own files say (lm-eval's default), the prefix always, nothing.  lm-eval's add_bos_token. */
#define ENCODE_BEGINS(X) X(AUTO, "auto") X(PREFIX, "true") X(NOTHING, "false")
enum encode_begin {
#define X(name, word) ENCODE_##name,
    ENCODE_BEGINS(X)
#undef X
};

struct encoder {
    const struct tok *tok;
    const struct config *config;
    enum encode_begin begin;
    int max_length;              /* tokens that the model may look at at once */
    int32_t prefix;              /* by encoder_prefix(); -1: none */
};
/* bos_token of the model's files (tokenizer_config.json, GGUF), else the token that the tokenizer puts before texts, else eos_token of the
 * files, else the token that ends a text; *out -1: there is none of them. */
int encoder_prefix(int32_t *out, const char *model, const struct tok *t, struct err *err);
/* Does the tokenizer put something in front of a text by itself?  For telling. */
int encoder_adds(const struct encoder *e, bool *adds, struct err *err);

/* ids[0 .. n - 2] are fed, and the last n_scored of ids are scored. */
struct encoded {
    struct tok_ids ids;          /* zeroed before the first use, released by tok_ids_release(); used again by each call */
    struct tok_ids work;
    int n_scored, n_cut;
    bool joined;
};
void encoded_release(struct encoded *s);
/* Of REQUEST_LOGLIKELIHOOD.  ERR_RANGE: the continuation has no token, or more than fit; or nothing stands before it. */
int encode_pair(const struct encoder *e, const struct request *q, struct encoded *out, struct err *err);
/* Of REQUEST_GENERATE: all of ids is the prompt, at most max_length - max_tokens of it. */
int encode_prompt(const struct encoder *e, const struct request *q, struct encoded *out, struct err *err);
/* Of REQUEST_ROLLING: the tokens of the whole text, to be cut by encode_window(). */
int encode_text(const struct encoder *e, const struct request *q, struct tok_ids *ids, struct err *err);
/* Window i: its tokens are ids[*from ..*from + *n - 1], of which the last *n_scored are scored; *from -1: the prefix, then ids[0 ..].  Every
 * token is scored once.  The first window is full, each further one too, with one token of context, and the last one reaches back for as
 * much context as fits.  False behind the last. */
bool encode_window(const struct encoder *e, size_t n_ids, size_t i, int64_t *from, int *n, int *n_scored);
#endif
