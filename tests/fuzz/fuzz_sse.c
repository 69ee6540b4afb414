/* fuzz_sse.c - any bytes as the response of a server that streams events, whole and in pieces: refused or understood, alike in both. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "load/delta.h"
#include "load/response.h"
#include "load/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen { struct sse sse; size_t n_event, n_byte; long n_token; };

static int on_event(void *ctx, const char *data, size_t n, struct err *err)
{
    struct seen *s = ctx;
    struct delta d;
    s->n_event++, s->n_byte += n;
    TRY(delta_read(&d, data, n, err));
    if ((d.text && (d.text < data || d.text + d.n_text > data + n)) || (d.error && (d.error < data || d.error + d.n_error > data + n)) || d.n_token < 0)
        abort();
    s->n_token += d.n_token;
    return 0;
}

static int on_body(void *ctx, const char *p, size_t n, struct err *err)
{
    struct seen *s = ctx;
    return sse_feed(&s->sse, p, n, on_event, s, err);
}

/* The pieces' lengths are made from the bytes themselves; step 0: all at once. */
static int take(const char *p, size_t n, size_t step, struct seen *s)
{
    struct response r;
    struct err err = { 0 };
    int rc = 0;
    *s = (struct seen){ 0 };
    response_init(&r);
    sse_init(&s->sse);
    for (size_t at = 0, len; at < n && !rc; at += len) {
        len = step ? 1 + (unsigned char)p[at] % step : n;
        len = len < n - at ? len : n - at;
        rc = response_feed(&r, p + at, len, on_body, s, &err);
    }
    if (!rc)
        rc = response_eof(&r, &err);
    if (rc && (rc != err.code || !*err.msg))
        abort();
    sse_release(&s->sse);
    response_release(&r);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, torn;
    const int a = take((const char *)data, size, 0, &whole), b = take((const char *)data, size, 7, &torn);
    if (a != b || whole.n_event != torn.n_event || whole.n_byte != torn.n_byte || whole.n_token != torn.n_token)
        abort();
    return 0;
}
