/* answer.h - one answer of a model: what a text of a batch (batch.h) becomes on its way to a client.
 *
 * Tokens become whole UTF-8 characters; stop texts are found wherever they begin, also in the middle of a token, and what may be the
 * beginning of one is held back; each token goes out with the last of its bytes.  On the way in, logits are changed by, in this order
 * (vLLM's): biases and the allowed ids, penalties, a grammar, the tokens that may not yet end the answer.
 *
 * An answer is made by one thread, lent to a batch by answer_request(), and freed after end() was called.  piece() and end() are
 * called by the thread of the batch's steps. */
#ifndef INFER_ANSWER_H
#define INFER_ANSWER_H
#include "infer/batch.h"
#include "infer/grammar.h"
#include "infer/stops.h"

/* Of a model, shared by its answers. */
struct answer_model {
    const struct tok *tok;
    int V;                                   /* rows of logits */
    const int32_t *end; int n_end;           /* tokens that end an answer (ends.h) */
    const struct vocab *vocab;               /* for grammars; may be NULL without */
    const int32_t *mark; int n_mark;         /* special tokens that are part of a reply's form: <think>, [TOOL_CALLS], ... (grammar.h) */
};

struct answer_token {
    int32_t id;
    const char *bytes; size_t n;             /* what it adds, which may be a part of a character; "" for special tokens */
    size_t at, at_char;                      /* where that begins in the answer's text, in bytes and in characters */
    float logprob; const struct token_prob *top; int n_top;      /* as of text_token */
};
struct answer_piece {
    const char *text; size_t n;              /* whole characters, as far as the model makes them */
    int n_made;                              /* tokens so far */
    const struct answer_token *token; int n_token;       /* those whose last byte this brings; without logprobs wanted: none */
};
enum answer_why { ANSWER_STOP, ANSWER_LENGTH, ANSWER_CANCELLED, ANSWER_FAILED };      /* ended by itself; as many tokens as wanted, or no position left */
struct answer_end {
    enum answer_why why;
    int stop_text;                           /* ANSWER_STOP: which, or -1 */
    int32_t stop_token;                      /* or which token, or -1: the grammar was at its end */
    int n_prompt, n_kept, n_token;           /* of the prompt; of these in the cache, -1: it was never begun; made */
    double logprob;                          /* sum over the tokens made */
    const struct err *err;                   /* ANSWER_FAILED */
};

struct token_bias { int32_t id; float bias; };
struct answer_wish {
    const int32_t *prompt; int n_prompt;     /* as of text_request; kept by the caller until end() */
    int adapter, place;                      /* as of text_request; the root tells of the adapter */
    int most, min;                           /* tokens at most; until `min` nothing ends the answer but a grammar */
    struct sampling sampling;
    double repetition;                       /* of tokens in prompt or answer, 0 or 1: off; Hugging Face's: l > 0 ? l / r : l * r */
    double presence, frequency;              /* of tokens in the answer, OpenAI's: l -= presence + count * frequency */
    const struct token_bias *bias; int n_bias;
    const int32_t *allowed; int n_allowed;   /* 0: all */
    const struct stops *stops;               /* or NULL; is borrowed */
    const int32_t *stop_token; int n_stop_token;
    bool keep_stop;                          /* the stop text is part of the answer */
    bool keep_specials, keep_marks;          /* special tokens are shown; those of the marks only, which a grammar shows too */
    bool ignore_end;                         /* goes on behind tokens that end an answer */
    bool goes_on;                            /* the text goes on with the prompt's: tokenizers that begin texts with a space keep it */
    struct grammar *grammar;                 /* or NULL; is borrowed */
    int n_logprob;                           /* as of text_request */
    bool echo;                               /* the text begins with the prompt's, and its tokens have probabilities, too, but for the first: NAN */
    bool show_end;                           /* the token that ends the answer goes out with its probability */
    struct text_signals *signals;            /* as of text_request */
    bool scored;                             /* answer_end.logprob is wanted, though n_logprob may be -1 */
    int priority, tenant; struct block_key root; bool share;
    void (*made)(void *ctx, int32_t id);     /* each token as it is made, the one that ends the answer too; or NULL */
    void (*piece)(void *ctx, const struct answer_piece *p);
    void (*end)(void *ctx, const struct answer_end *e);
    void *ctx;
};

struct answer;
/* Arrays of the wish other than the prompt are copied; sizes and ids are checked: ERR_RANGE, ERR_FORMAT. */
int answer_new(struct answer **out, const struct answer_model *m, const struct answer_wish *w, struct err *err);
void answer_free(struct answer *a);
/* What to give to batch_submit(). */
struct text_request answer_request(struct answer *a);

#endif
