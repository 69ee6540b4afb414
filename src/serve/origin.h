/* origin.h - which pages in browsers may ask.
 *
 * A server on this machine's own address without a key is open to every page that a browser here shows, unless it looks at who asks: at
 * the page's origin (the header Origin), and at the name by which it was asked (Host), as a page's own name may be made to lead here
 * (DNS rebinding).  Programs that are no browsers send no Origin, and a Host of this machine.
 *
 * Pages of other origins may read replies where --cors names theirs (CORS, fetch.spec.whatwg.org); they are told their own origin, never
 * a list. */
#ifndef SERVE_ORIGIN_H
#define SERVE_ORIGIN_H
#include <stdbool.h>
#include "base/err.h"
#include "serve/http.h"
#include "serve/json_in.h"

struct origins {
    const char *cors;                    /* origins, parted by commas, or "*"; NULL: none */
    const char *hosts;                   /* further names of this server, parted by commas; NULL: none */
    bool guarded;                        /* only this machine's pages and those of cors and hosts may ask */
};
/* Before a server listens on an address: others than this machine ask with a key alone (ERR_USAGE); without one o is guarded. */
int origins_open(struct origins *o, const char *address, bool has_key, struct err *err);
/* ERR_USAGE: an origin that is none (scheme://host, maybe with a port), or "*" where everybody may ask. */
int origins_check(const struct origins *o, struct err *err);
bool origin_may_ask(const struct origins *o, const char *origin);        /* as "https://name:port" */
bool origin_host_ok(const struct origins *o, const char *host);          /* as Host says it */

/* Where o is guarded: 403 for pages of others. */
void origins_guard(const struct origins *o, const struct http_request *q, struct refusal *e);
/* What a page needs to know to be shown the reply, as headers. */
void origins_tell(const struct origins *o, struct http_request *q);
/* Does a page of cors ask what it may ask, with this method?  The headers that say so were added; what remains is 204. */
bool origins_preflight(const struct origins *o, struct http_request *q, const char *method);

#endif
