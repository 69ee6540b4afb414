/* exchange.h - a request that a model answers, with one text or several, and how that is told in OpenAI's words.
 *
 * openai_*.c read requests into a wish; exchange_start() takes it, makes the answers, and replies: all at once when the last one has
 * ended, or as server-sent events.  A client that goes cancels its texts. */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H
#include "serve/json_in.h"
#include "serve/http.h"
#include "serve/served_model.h"

struct wish {
    bool chat;                           /* else a completion */
    bool stream, usage, echo;            /* usage: as a last event of its own */
    int n;                               /* answers to each prompt */
    struct tok_ids *prompt; int n_prompt;        /* completions may have several */
    struct answer_wish answer;           /* of all; most < 0: as many as there is room for */
    uint64_t seed;
    /* owned, as answer's arrays lead into them */
    struct token_bias *bias;
    int32_t *allowed, *stop_token;
    struct stops *stops;
    struct grammar *grammar;
    json_t *request;                     /* strings live in it */
};
void wish_release(struct wish *w);

/* Takes the wish and replies to q, now or later; what is wrong is told there, too. */
void exchange_start(struct http_request *q, struct served_model *s, struct wish *w);
/* A refusal as a reply. */
void exchange_refuse(struct http_request *q, const struct refusal *e);

#endif
