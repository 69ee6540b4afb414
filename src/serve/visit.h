/* visit.h - a request from the side of who asks: what they may, what it takes of their limits, and how that is told.
 *
 * Each request has one, in http_user(), all zero until visit_begin().  Where a server has no keys everybody may ask for everything but
 * urgency, and nothing is counted.  Where there is an audit log the visit also gathers what its line is to say.
 *
 * The thread of connections, then that of requests that take long to read, has a visit until texts are submitted, then whoever ends them, and at last whoever releases the request. */
#ifndef SERVE_VISIT_H
#define SERVE_VISIT_H
#include "infer/pages.h"
#include "serve/clients.h"
#include "serve/http.h"
#include "serve/json_in.h"
#include "serve/wish.h"

struct visit {
    struct client *client;                   /* NULL: there are no keys, or nobody's was shown */
    struct client_rights rights;
    struct quota_grant grant;                /* taken and not yet settled */
    int64_t requests, tokens;                /* what was charged in the end */
    struct served_model *held;               /* that answers it, until the request is released; NULL: none */
    struct served_model *shadow;             /* that its texts are compared with, held as well, or NULL */
    /* for the log */
    bool noted, keeps_text;                  /* it is to have a line; with its texts */
    double time, begun, first;               /* visit_now(), clock_wall() when it came in and when its first text was there; 0: not */
    char id[64];                             /* of its answers, as the client is told */
    struct served_as as;                     /* what was asked; name NULL: the model, as far as is known */
    const char *arm;                         /* stable or candidate, where its model has versions; NULL */
    char *asked, *request, *texts;           /* JSON: members that decide the bytes; one for what was sent; items of what was made */
    int64_t n_prompt, n_kept, n_made, n_end[ANSWER_FAILED + 1];
};
double visit_now(void);                      /* seconds since 1970 */

/* Whose the request is, by the key that it shows.  What that key may not is told in e, here and below, with how long to wait. */
void visit_begin(struct http_request *q, struct clients *c, struct refusal *e);
/* The same where the key may be the password of Basic, whatever the user's name. */
void visit_begin_basic(struct http_request *q, struct clients *c, struct refusal *e);
void visit_release(struct visit *v);
void visit_take_request(struct http_request *q, struct refusal *e);
/* Texts at once, and tokens of prompts and answers.  unbounded: nobody said how many there will be, so VISIT_TOKENS are taken for each text,
 * and no more than the limits allow at most; what is made beyond that is charged in the end.  On a refusal the request does not count. */
#define VISIT_TOKENS 256
void visit_take_texts(struct http_request *q, int64_t texts, int64_t prompt_tokens, int64_t answer_tokens, bool unbounded, struct refusal *e);
/* How many of n texts may be under way at once, where they need not be. */
int visit_texts_at_once(struct http_request *q, int n);
bool visit_may_use(struct http_request *q, const char *model);
void visit_model(struct http_request *q, const char *model, struct refusal *e);
/* said: the request says which priority.  Both are what its texts are to have (batch.h). */
void visit_rank(struct http_request *q, bool said, int *priority, int *tenant, struct refusal *e);
/* What others do not see is shown to an admin's key (keys.h), the one key of the command line, and, where there are no keys, to everybody on this machine.
 * what: "releases are". */
void visit_look(struct http_request *q, const char *what, struct refusal *e);
int visit_tenant(struct http_request *q);        /* the same, whatever it may; 0: nobody's */
/* The root of what its texts may find in the cache: another for each tenant. */
void visit_root(struct http_request *q, struct block_key *root, struct refusal *e);
/* The texts have ended: so many tokens were used. */
void visit_settle(struct http_request *q, int64_t tokens);

/* For the log; nothing happens without one. */
void visit_note(struct http_request *q, bool with_text);     /* it is to have a line, with its texts where the key allows that */
void visit_note_request(struct http_request *q, const struct buf *body);
void visit_note_model(struct http_request *q, const struct served_as *as);
/* It is answered by this version: the reply says so, in X-Lathe-Version, and the request holds it. */
void visit_hold(struct http_request *q, struct served_model *s, bool is_candidate);
void visit_note_wish(struct http_request *q, const struct wish *w);
void visit_note_first(struct http_request *q);
/* How one of the texts, or inputs, ended; text: NULL unless visit_keeps_text(). */
bool visit_keeps_text(struct http_request *q);
void visit_note_text(struct http_request *q, enum answer_why why, const struct buf *text);
void visit_note_counts(struct http_request *q, const char *id, int64_t n_prompt, int64_t n_kept, int64_t n_made);
/* The members of its line; s: the model, where it is known without the request, else NULL. */
int visit_line(struct buf *b, struct http_request *q, const struct served_model *s, int status, struct err *err);
#endif
