/* feedback.h - POST /v1/feedback: what is said of an answer, by who asked for it.
 *
 *     {"id": "chatcmpl-...", "score": 1, "label": "good", "comment": "..."}
 *
 * id: of an answer, or of a request (X-Request-Id); choice: which, of several; score: -1 to 1; label: a word of one's own, 64 bytes at most; comment: 4,096 bytes.  At least
 * one of them.  It takes the place of what was said of the answer before.  A key can rate its own answers only: another's are unknown to it, 404. */
#ifndef SERVE_FEEDBACK_H
#define SERVE_FEEDBACK_H
#include "serve/exchange.h"
#include "store/recorder.h"

/* r NULL: nothing is recorded here, which is told.  wake(ctx): the reply, which another thread gave, can go out. */
void feedback_take(struct http_request *q, struct recorder *r, const struct dialect *d, void (*wake)(void *ctx), void *ctx);
#endif
