/* response.h - an HTTP/1.1 response (RFC 9112) from bytes that come in any pieces.
 *
 * The body is handed on as it comes, without its chunks.  Of the headers only those are kept that say how the body ends and what
 * it is.  Lines and headers are bounded; interim responses (1xx) are passed over. */
#ifndef LOAD_RESPONSE_H
#define LOAD_RESPONSE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"

struct response {
    int status;                          /* 0: not there yet */
    bool events;                         /* Content-Type: text/event-stream */
    bool keeps;                          /* the connection may be used again afterwards */
    bool done;                           /* all of it was there */
    /* own */
    int state;
    bool chunked, has_length;
    uint64_t left;                       /* bytes of the body, or of this chunk */
    size_t n_head;                       /* bytes of headers */
    struct buf line;
};
typedef int (*response_fn)(void *ctx, const char *p, size_t n, struct err *err);

void response_init(struct response *r);
void response_clear(struct response *r);         /* before another one */
void response_release(struct response *r);
/* ERR_FORMAT: this is no response; bytes after its end, too. */
int response_feed(struct response *r, const char *p, size_t n, response_fn body, void *ctx, struct err *err);
/* The connection was closed.  ERR_CORRUPT: before the response was whole. */
int response_eof(struct response *r, struct err *err);
#endif
