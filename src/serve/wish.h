/* wish.h - what a request asks of a model, whatever API it came by, and what the readers of these APIs share.
 *
 * A reader (openai.h, ...) begins a wish, fills it field by field by json_in.h, and gives it to exchange_start(). */
#ifndef SERVE_WISH_H
#define SERVE_WISH_H
#include "infer/reply.h"
#include "serve/grammars.h"
#include "serve/json_in.h"
#include "serve/served_model.h"

#define WISH_TOKEN_BYTES 256     /* of a token at most, where a vocabulary does not say: longer texts are not encoded to find out */

struct dialect;
struct wish {
    const struct dialect *dialect;       /* that replies are made in, exchange.h */
    struct served_as as;                 /* the model, or with one of its adapters */
    const char *param;                   /* the field that prompts come from, for what is wrong with them */
    bool stream, usage;                  /* usage: as a last event of its own */
    int n;                               /* answers to each prompt */
    int n_made;                          /* so many are made, of which the n with the likeliest tokens are told; not for streams.  0: n */
    struct tok_ids *prompt; int n_prompt;        /* completions may have several */
    struct answer_wish answer;           /* of all; most < 0: as many as there is room for */
    bool prioritised;                    /* the request says which priority */
    uint64_t seed;
    bool reads_reply;                    /* thoughts and calls are told apart from content, by this form */
    struct reply_form form;
    enum reply_thinking thinking;        /* what the prompt leaves an answer to do */
    /* owned, as answer's pointers lead into them */
    struct token_bias *bias;
    int32_t *allowed, *stop_token;
    struct stops *stops;
    struct grammar *grammar;
    struct block_key grammar_key;        /* of what it was made of */
    json_t *schema; const char *schema_where;    /* or NULL: what it is made of (constraint.h) */
    struct grammars *grammars;           /* who has it, once it is shared */
    json_t *request;                     /* strings live in it; it goes when the answers are made */
};
/* Takes the request.  One answer of any length, drawn at temperature 1 by another seed each time. */
void wish_begin(struct wish *w, const struct dialect *d, const char *param, json_t *request, const struct served_model *s);
void wish_release(struct wish *w);
/* All fields are read: what is not known is told, a schema is made into a grammar, and a wish with anything wrong is released. */
void wish_done(struct wish *w, struct in *f);

/* What is told to whoever still listens, 503: a request whose client has gone is cancelled in the same way as one over its time. */
#define WISH_LATE "the answer took longer than one may here"
#define WISH_ENDS "the server has ended before the answer was whole"
void wish_no_memory(struct refusal *e);
/* Why a queue did not take what was wished (batch_submit, turns_add). */
void wish_not_taken(struct refusal *e, const struct err *err);
/* The same, whatever else was found wrong, if jansson has been refused memory since mem_json_refused() gave `before`: what it makes may
 * lack parts then. */
void wish_lost(uint64_t before, struct refusal *e);
/* Room for n of what a wish owns, and one more; NULL: told in e. */
void *wish_room(size_t n, size_t size, struct refusal *e);
/* What a grammar is made of names it: a word for the kind, and a text, of GRAMMAR_TEXT_MAX bytes at most. */
void wish_name_grammar(struct wish *w, const char *kind, const char *text, size_t n, struct refusal *e);
/* The field "model" must be there and name this one or an adapter of it. */
void wish_find(struct in *f, const struct served_model *s, struct served_as *as);
/* The same for a wish.  Before its root is changed for a tenant. */
void wish_model(struct wish *w, struct in *f, const struct served_model *s);
/* Another root, of texts that have nothing in common with those of any other kind and text: kinds are words, so that who chooses a text
 * can never come upon what belongs to another kind. */
void wish_root(struct block_key *root, const char *kind, const char *text, size_t n, struct refusal *e);
/* The field "cache_salt" makes another root: nothing is shared with others, not even how long something takes. */
void wish_salt(struct in *f, struct block_key *root);
/* A field that is a text or a list of texts. */
void wish_stops(struct wish *w, struct in *f, const char *name);
/* n prompts, still empty. */
bool wish_prompts(struct wish *w, size_t n, struct refusal *e);
/* The i-th of them is this text, with what the model's tokenizer puts around texts. */
void wish_text(struct wish *w, const struct served_model *s, const char *text, size_t n, size_t i, struct refusal *e);
/* The only prompt: messages by the model's template, and what the answer is to go on from, NULL unless it is begun already. */
void wish_chat(struct wish *w, const struct served_model *s, const struct chat_request *c, const json_t *begun, struct refusal *e);

#endif
