/* sticky.h - who asks, as a place of 0 to 999, so that whoever has got a version of a model gets it again.
 *
 * The place is SHA-256 of the salt (8 bytes, the highest first), a word for what it goes by, a NUL and the SHA-256 of that, its first 8 bytes
 * as a number, modulo 1000: the same on every server.  It goes by the first that is there:
 *
 *   user            the fields user, safety_identifier, or metadata.user_id of the request
 *   conversation    the fields conversation (a text, or an object with an id) or prompt_cache_key
 *   key             the name of the key, where a file of keys tells them apart
 *   prompt          what a conversation begins with, and goes on beginning with: system, and messages up to the first of the user; or
 *                   the first 256 bytes, or 64 tokens, of prompt or input */
#ifndef SERVE_STICKY_H
#define SERVE_STICKY_H
#include <jansson.h>
#include <stdint.h>
#include "serve/http.h"

/* Whom a request names as its user, a text that is not empty; NULL: nobody. */
const json_t *request_user(const json_t *request);
int sticky_place(uint64_t salt, const char *kind, const void *id, size_t n);
/* Of a request that visit_begin() has seen. */
int sticky_place_of(uint64_t salt, struct http_request *q, const json_t *request);
#endif
