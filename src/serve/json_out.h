/* json_out.h - JSON written straight into a buffer, for what is written once for each token. */
#ifndef SERVE_JSON_OUT_H
#define SERVE_JSON_OUT_H
#include <jansson.h>
#include "base/buf.h"
#include "serve/json_in.h"

/* Quoted and escaped; bytes that are no UTF-8 become U+FFFD. */
int out_string(struct buf *b, const char *s, size_t n, struct err *err);
int out_json(struct buf *b, const json_t *v, struct err *err);           /* in one line; does not take v */
/* {"error": {"message", "type", "param", "code"}}, OpenAI's form. */
int out_refusal(struct buf *b, const struct refusal *e, struct err *err);
#endif
