/* framing.h - can a request's head be read in two ways?  Two programs in a row that read it differently see different requests: that is
 * how requests are smuggled past a proxy (RFC 9112, 11.2).
 *
 * Refused are: two lengths, or a length in chunks and one in bytes; transfer codings other than chunked; fields named twice that may
 * stand once, a Host that is missing; names that are no tokens (a blank before the colon), control characters in values; and, as far as
 * libmicrohttpd can be asked, lines continued on the next one, lines that end with LF alone, and NUL bytes;
 * not seen are these at the end of the last line. */
#ifndef SERVE_FRAMING_H
#define SERVE_FRAMING_H
#include <stdbool.h>
#include <stddef.h>
struct MHD_Connection;

#define FRAMING_HEADERS 100              /* at most */
#define FRAMING_BYTES 16384              /* of their names and values */

/* Once the head has been read: 0, or the status for it, 400 or 431, and why.  version: as MHD gives it. */
int framing_check(struct MHD_Connection *c, const char *version, const char **why);
/* Of the request's target, before it is decoded. */
bool framing_target_ok(const char *target);
/* Of one in absolute form, as clients of proxies send it (RFC 9112, 3.2.2): where its authority begins and where that ends, as the decoded
 * target has them, too; false: it is of another form. */
bool framing_absolute(const char *target, size_t *from, size_t *to);

#endif
