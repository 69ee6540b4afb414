/* visit.h - a request from the side of who asks: what they may, what it takes of their limits, and how that is told.
 *
 * Each request has one, in http_user(), all zero until visit_begin().  Where a server has no keys everybody may ask for everything but
 * urgency, and nothing is counted. */
#ifndef SERVE_VISIT_H
#define SERVE_VISIT_H
#include "infer/pages.h"
#include "serve/clients.h"
#include "serve/http.h"
#include "serve/json_in.h"

struct visit {
    struct client *client;                   /* NULL: there are no keys, or nobody's was shown */
    struct client_rights rights;
    struct quota_grant grant;                /* taken and not yet settled */
};
double visit_now(void);                      /* seconds since 1970 */

/* Whose the request is.  What a client's key may not is told in e, with how long to wait. */
void visit_begin(struct http_request *q, struct client *c);
void visit_take_request(struct http_request *q, struct refusal *e);
/* Texts at once, and tokens of prompts and answers; unbounded: they may be fewer, as nobody said how many, and fill what the limits allow
 * at most.  On a refusal the request does not count. */
void visit_take_texts(struct http_request *q, int64_t texts, int64_t prompt_tokens, int64_t answer_tokens, bool unbounded, struct refusal *e);
bool visit_may_use(struct http_request *q, const char *model);
void visit_model(struct http_request *q, const char *model, struct refusal *e);
/* said: the request says which priority.  Both are what its texts are to have (batch.h). */
void visit_rank(struct http_request *q, bool said, int *priority, int *tenant, struct refusal *e);
/* The root of what its texts may find in the cache: another for each tenant. */
void visit_root(struct http_request *q, struct block_key *root, struct refusal *e);
/* The texts have ended: so many tokens were used. */
void visit_settle(struct http_request *q, int64_t tokens);
#endif
