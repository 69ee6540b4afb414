/* page.h - the page at /: a chat and what the server is doing.
 *
 * page.html is one file, compiled in as it is.  It asks for nothing from elsewhere, and the policy that it is sent with lets it run its
 * own script, show its own style and ask its own server, nothing else: both are named there by their SHA-256.  It holds no secret, so
 * that anyone may have it; what it asks for needs the key. */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H
#include "serve/http.h"

struct page { char policy[512], etag[20]; };
int page_init(struct page *p, struct err *err);
void page_reply(const struct page *p, struct http_request *q);
#endif
