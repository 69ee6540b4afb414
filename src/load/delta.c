#include "load/delta.h"
#include <string.h>

/* A string's inside begins at p; its end, or NULL. */
static const char *string_end(const char *p, const char *end)
{
    for (;; p += 2) {
        const char *q = memchr(p, '"', (size_t)(end - p)), *b = q ? memchr(p, '\\', (size_t)(q - p)) : NULL;
        if (!b)
            return q;
        p = b;
        if (end - p < 2)
            return NULL;
    }
}

static const char *skip(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* One of more than 9 digits is none: no answer has so many tokens. */
static bool number(const char *p, const char *end, long *out)
{
    long v = 0;
    const char *from = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        v = p - from < 9 ? v * 10 + (*p - '0') : v;
    const bool fits = p > from && p - from <= 9;
    *out = fits ? v : *out;
    return fits;
}

static bool is(const char *key, size_t n, const char *name) { return n == strlen(name) && !memcmp(key, name, n); }

/* key: value, which begins at v. */
static void take(struct delta *d, const char *key, size_t n, const char *v, const char *end)
{
    const char *s = v < end && *v == '"' ? string_end(v + 1, end) : NULL;
    const size_t len = s ? (size_t)(s - v) - 1 : 0;
    if (is(key, n, "content") || is(key, n, "text")) {
        d->said = d->said || len;
        if (len)
            d->text = v + 1, d->n_text = len;
    } else if (is(key, n, "reasoning_content") || is(key, n, "reasoning") || is(key, n, "arguments")) {
        d->said = d->said || len;
    } else if (is(key, n, "completion_tokens")) {
        d->usage = number(v, end, &d->n_token) || d->usage;
    } else if (is(key, n, "prompt_tokens")) {
        number(v, end, &d->n_prompt);
    } else if (is(key, n, "cached_tokens")) {
        number(v, end, &d->n_kept);
    } else if (is(key, n, "error") && v < end && (*v == '{' || s)) {
        d->error = s ? v + 1 : v, d->n_error = s ? len : (size_t)(end - v);
    } else if (is(key, n, "message") && d->error && s) {
        d->error = v + 1, d->n_error = len;
    }
}

int delta_read(struct delta *out, const char *data, size_t n, struct err *err)
{
    const char *p = data, *end = data + n;
    *out = (struct delta){ .done = n == 6 && !memcmp(data, "[DONE]", 6) };
    if (out->done)
        return 0;
    if ((p = skip(p, end)) == end || *p != '{')
        return ERR(err, FORMAT, "the event '%.*s', expected an object of JSON", (int)(n < 60 ? n : 60), data);
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        const char *key = ++p;
        if (!(p = string_end(p, end)))
            return ERR(err, FORMAT, "an event whose string does not end");
        const char *after = skip(p + 1, end);
        if (after < end && *after == ':')
            take(out, key, (size_t)(p - key), skip(after + 1, end), end);
        p++;
    }
    return 0;
}
