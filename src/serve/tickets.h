/* tickets.h - addresses that open one thing for a while without a key: what a page has a browser open in a tab of its own cannot show one.
 *
 * A ticket is HMAC-SHA-256 of the thing and the moment until which it is good, under a key that the process draws when it begins: nothing is kept, and a server that
 * begins again takes none of the old ones.  Whoever has the address has the thing until then.  Any thread. */
#ifndef SERVE_TICKETS_H
#define SERVE_TICKETS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define TICKET_TEXT 65
struct tickets { unsigned char key[32]; };
int tickets_init(struct tickets *t, struct err *err);
/* what: any text; until: ns since 1970. */
int ticket_make(const struct tickets *t, const char *what, int64_t until, char out[TICKET_TEXT], struct err *err);
/* Made by this process for this, and not over by now. */
bool ticket_is_good(const struct tickets *t, const char *what, int64_t until, int64_t now, const char *ticket);
#endif
