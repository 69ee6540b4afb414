#include "load/response.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES ((size_t)16 << 10)
#define HEAD_MAX ((size_t)64 << 10)

enum { STATUS, HEADER, BODY, UNTIL_CLOSED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, DONE };

void response_init(struct response *r)
{
    *r = (struct response){ 0 };
    buf_init(&r->line);
}

void response_clear(struct response *r)
{
    struct buf line = r->line;
    buf_clear(&line);
    *r = (struct response){ .line = line };
}

void response_release(struct response *r) { buf_release(&r->line); }

static void end(struct response *r) { r->state = DONE, r->done = true; }

static int take_status(struct response *r, const char *line, struct err *err)
{
    if (strncmp(line, "HTTP/1.", 7) || (line[7] != '0' && line[7] != '1') || line[8] != ' ' || line[9] < '1' || line[9] > '5')
        return ERR(err, FORMAT, "'%.40s', expected HTTP/1.1 and a status", line);
    r->status = (int)strtol(line + 9, NULL, 10);
    if (r->status < 100 || r->status > 599)
        return ERR(err, FORMAT, "'%.40s', expected a status of 100 to 599", line);
    r->keeps = line[7] == '1';
    r->state = HEADER;
    return 0;
}

static const char *value_of(const char *line, const char *name)
{
    const size_t n = strlen(name);
    return strncasecmp(line, name, n) || line[n] != ':' ? NULL : line + n + 1 + strspn(line + n + 1, " \t");
}

static int take_header(struct response *r, const char *line, struct err *err)
{
    const char *v;
    if ((v = value_of(line, "Content-Length"))) {
        char *rest;
        const unsigned long long n = strtoull(v, &rest, 10);
        if (*v < '0' || *v > '9' || rest[strspn(rest, " \t")] || (r->has_length && n != r->left))
            return ERR(err, FORMAT, "Content-Length: %.40s, expected one number", v);
        r->has_length = true, r->left = n;
    } else if ((v = value_of(line, "Transfer-Encoding"))) {
        if (strncasecmp(v, "chunked", 7) || v[7 + strspn(v + 7, " \t")])
            return ERR(err, FORMAT, "Transfer-Encoding: %.40s, expected chunked", v);
        r->chunked = true;
    } else if ((v = value_of(line, "Content-Type"))) {
        r->events = !strncasecmp(v, "text/event-stream", 17);
    } else if ((v = value_of(line, "Connection"))) {
        r->keeps = !strcasestr(v, "close") && (r->keeps || strcasestr(v, "keep-alive"));
    }
    return 0;
}

/* The empty line after the headers. */
static void end_headers(struct response *r)
{
    if (r->status < 200) {
        response_clear(r);
    } else if (r->status == 204 || r->status == 304 || (!r->chunked && r->has_length && !r->left)) {
        end(r);
    } else if (r->chunked) {
        r->state = CHUNK_SIZE;
    } else if (r->has_length) {
        r->state = BODY;
    } else {
        r->state = UNTIL_CLOSED, r->keeps = false;
    }
}

static int take_size(struct response *r, const char *line, struct err *err)
{
    char *rest;
    const unsigned long long n = strtoull(line, &rest, 16);
    if (!strchr("0123456789abcdefABCDEF", *line) || !*line || rest - line > 15 || (*rest && !strchr("; \t", *rest)))
        return ERR(err, FORMAT, "a chunk's size is '%.40s', expected a hexadecimal number", line);
    r->left = n;
    r->state = n ? CHUNK_DATA : TRAILER;
    return 0;
}

static int take_line(struct response *r, struct err *err)
{
    char *line = r->line.data;
    size_t n = r->line.len;
    if (n && line[n - 1] == '\r')
        line[--n] = 0;
    if (strlen(line) != n)
        return ERR(err, FORMAT, "a line of the response has a NUL");
    switch (r->state) {
    case STATUS: return take_status(r, line, err);
    case HEADER: return n ? take_header(r, line, err) : (end_headers(r), 0);
    case CHUNK_SIZE: return take_size(r, line, err);
    case CHUNK_END: return n ? ERR(err, FORMAT, "a chunk is longer than its size") : (r->state = CHUNK_SIZE, 0);
    default: return n ? 0 : (end(r), 0);         /* trailers are passed over */
    }
}

/* A line's part of p; bytes used. */
static int read_line(struct response *r, const char *p, size_t n, size_t *used, struct err *err)
{
    const char *lf = memchr(p, '\n', n);
    *used = lf ? (size_t)(lf - p) + 1 : n;
    const bool head = r->state == STATUS || r->state == HEADER || r->state == TRAILER;
    r->n_head += head ? *used : 0;
    if (*used > LINE_MAX_BYTES - r->line.len || r->n_head > HEAD_MAX)
        return ERR(err, FORMAT, "the response's headers are too long");
    TRY(buf_add(&r->line, p, lf ? *used - 1 : *used, err));
    if (!lf)
        return 0;
    const int rc = take_line(r, err);
    buf_clear(&r->line);
    return rc;
}

static int read_body(struct response *r, const char *p, size_t n, size_t *used, response_fn body, void *ctx, struct err *err)
{
    *used = r->state == UNTIL_CLOSED || n < r->left ? n : (size_t)r->left;
    TRY(body(ctx, p, *used, err));
    if (r->state == UNTIL_CLOSED)
        return 0;
    r->left -= *used;
    if (!r->left && r->state == BODY)
        end(r);
    else if (!r->left)
        r->state = CHUNK_END;
    return 0;
}

int response_feed(struct response *r, const char *p, size_t n, response_fn body, void *ctx, struct err *err)
{
    for (size_t used; n; p += used, n -= used) {
        if (r->done)
            return ERR(err, FORMAT, "%zu bytes after the end of the response", n);
        if (r->state == BODY || r->state == UNTIL_CLOSED || r->state == CHUNK_DATA)
            TRY(read_body(r, p, n, &used, body, ctx, err));
        else
            TRY(read_line(r, p, n, &used, err));
    }
    return 0;
}

int response_eof(struct response *r, struct err *err)
{
    if (r->state == UNTIL_CLOSED)
        end(r);
    return r->done ? 0 : ERR(err, CORRUPT, r->status ? "the connection was closed within the response" : "the connection was closed without a response");
}
