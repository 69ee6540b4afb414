/* page.h - the page at /: a chat and what the server is doing.
 *
 * The files of page/ are compiled in as they are and put together (page.c): one document, with one style and one script.  It asks for nothing
 * from elsewhere, and the policy that it is sent with lets it run its own script, show its own style and ask its own server, nothing else: both
 * are named there by their SHA-256.  It holds no secret, so that anyone may have it; what it asks for needs the key.
 *
 * A view (releases, ...) is NAME.html with a section of that id, NAME.css and NAME.js, which begins with add_view() (page.js); each has its line
 * in page.c. */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H
#include "serve/http.h"

struct page { char policy[512], etag[20]; };
int page_init(struct page *p, struct err *err);
void page_reply(const struct page *p, struct http_request *q);
#endif
