/* embeddings.h - requests for vectors of texts.
 *
 * A decoder makes them in the steps of its batch: each input is a prompt that nothing follows, so a long one is computed in pieces
 * between the tokens of others, and weights and memory are those that are there already.  Where the last token's state is the vector,
 * what the cache knows of an input's beginning (an instruction before each) is not computed again.  Of the inputs of one request no more than
 * EMBED_LANES, nor than the client may ask for at once, are in the batch; as one is done the next follows, and those that ask meanwhile are not kept waiting behind
 * thousands.  An encoder has no steps: requests take turns, input by input (serve/turns.h).
 *
 * A vector is written into the reply as soon as all before it are, by the thread that computed it: a few tens of microseconds each.  What
 * an input gets does not depend on the others. */
#ifndef SERVE_EMBEDDINGS_H
#define SERVE_EMBEDDINGS_H
#include "serve/exchange.h"

#define EMBED_LANES 8
#define EMBED_INPUTS 2048        /* of a request */

struct embed_words;
struct embed_wish {
    struct served_as as;         /* the model, or with one of its adapters; name NULL: the model */
    struct tok_ids *input; int n_input;
    int n_out;                   /* numbers of a vector: the model's, or fewer */
    bool base64;                 /* of the floats, instead of a list of them */
    bool prioritised; int priority, tenant;          /* the request says which priority; batch.h */
    int n_lane;                                      /* embed_start() sets it: inputs in the batch at once, by the client's limits */
    const char *param;           /* the field of the inputs, for what is wrong with them */
    const struct embed_words *words;
    const struct dialect *dialect;                   /* that refusals are told in */
    double begun;                /* embed_start() sets it: clock_wall() */
};
/* How clients of one kind of API are told; each adds to b. */
struct embed_words {
    int (*begin)(struct buf *b, const struct embed_wish *w, const struct served_model *s, struct err *err);
    int (*vector)(struct buf *b, const struct embed_wish *w, int i, const float *x, struct err *err);
    int (*end)(struct buf *b, const struct embed_wish *w, const struct served_model *s, int64_t n_token, struct err *err);
};
/* For words: a list of numbers, each in as many digits as it takes to read it back. */
int embed_write_floats(struct buf *b, const float *x, int n, struct err *err);
void embed_wish_release(struct embed_wish *w);
/* A text, a list of texts, the ids of one, or a list of those.  add: as TOK_ADD. */
void embed_read_inputs(struct embed_wish *w, const struct served_model *s, const json_t *input, bool add, struct refusal *e);
/* n: as asked for; refused unless the model's vectors may be cut to it. */
void embed_check_size(const struct served_model *s, int64_t n, const char *param, struct refusal *e);
/* Takes the wish and replies to q, now or later; what is wrong is told there, too. */
void embed_start(struct http_request *q, struct served_model *s, struct embed_wish *w);

/* POST /v1/embeddings; the request's JSON is taken. */
void openai_embeddings(struct http_request *q, struct served_model *s, json_t *request);

#endif
