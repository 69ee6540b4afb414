#include "load/sse.h"
#include <string.h>

void sse_init(struct sse *s)
{
    *s = (struct sse){ 0 };
    buf_init(&s->line);
    buf_init(&s->data);
}

void sse_clear(struct sse *s)
{
    buf_clear(&s->line);
    buf_clear(&s->data);
    s->cr = s->begun = false;
}

void sse_release(struct sse *s)
{
    buf_release(&s->line);
    buf_release(&s->data);
}

static int add(struct buf *b, const char *p, size_t n, struct err *err)
{
    if (n > SSE_MAX - b->len)
        return ERR(err, FORMAT, "an event of more than %zu bytes", SSE_MAX);
    return buf_add(b, p, n, err);
}

static int dispatch(struct sse *s, sse_fn event, void *ctx, struct err *err)
{
    if (!s->data.len)
        return 0;
    const int rc = event(ctx, s->data.data, s->data.len - 1, err);
    buf_clear(&s->data);
    return rc < 0 ? rc : 0;
}

static int take_line(struct sse *s, const char *p, size_t n, sse_fn event, void *ctx, struct err *err)
{
    if (!s->begun && n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3, n -= 3;
    s->begun = true;
    if (!n)
        return dispatch(s, event, ctx, err);
    if (n < 4 || memcmp(p, "data", 4) || (n > 4 && p[4] != ':'))
        return 0;
    const size_t from = n > 5 && p[5] == ' ' ? 6 : n > 4 ? 5 : 4;
    TRY(add(&s->data, p + from, n - from, err));
    return add(&s->data, "\n", 1, err);
}

/* Where the line ends, or n. */
static size_t line_end(const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);
    const size_t to = lf ? (size_t)(lf - p) : n;
    const char *cr = memchr(p, '\r', to);
    return cr ? (size_t)(cr - p) : to;
}

int sse_feed(struct sse *s, const char *p, size_t n, sse_fn event, void *ctx, struct err *err)
{
    while (n) {
        if (s->cr && *p == '\n') {               /* of a line that has ended already */
            s->cr = false, p++, n--;
            continue;
        }
        s->cr = false;
        const size_t len = line_end(p, n);
        if (len == n)
            return add(&s->line, p, n, err);
        if (s->line.len) {
            TRY(add(&s->line, p, len, err));
            TRY(take_line(s, s->line.data, s->line.len, event, ctx, err));
            buf_clear(&s->line);
        } else {
            TRY(take_line(s, p, len, event, ctx, err));
        }
        s->cr = p[len] == '\r';
        p += len + 1, n -= len + 1;
    }
    return 0;
}
