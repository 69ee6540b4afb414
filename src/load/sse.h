/* sse.h - server-sent events (HTML Living Standard, 9.2.6) from bytes that come in any pieces.
 *
 * Only data is looked at: the other fields and comments are passed over.  Lines end with CR, LF or both.  An event whose end has
 * not come is never told.  Memory is bounded by SSE_MAX. */
#ifndef LOAD_SSE_H
#define LOAD_SSE_H
#include <stdbool.h>
#include "base/buf.h"

#define SSE_MAX ((size_t)1 << 20)        /* bytes of a line, and of an event's data */

struct sse {
    struct buf line, data;               /* the beginning of a line; data of the event so far, each line with a line feed */
    bool cr, begun;                      /* the last byte was a CR; the first line was seen */
};
/* < 0 ends the reading: sse_feed() returns it. */
typedef int (*sse_fn)(void *ctx, const char *data, size_t n, struct err *err);

void sse_init(struct sse *s);
void sse_clear(struct sse *s);           /* before another stream */
void sse_release(struct sse *s);
/* ERR_FORMAT: a line or an event that is too long. */
int sse_feed(struct sse *s, const char *p, size_t n, sse_fn event, void *ctx, struct err *err);
#endif
