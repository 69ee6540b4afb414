#include "serve/json_out.h"
#include <string.h>
#include "base/utf8.h"

int out_string(struct buf *b, const char *s, size_t n, struct err *err)
{
    static const char hex[] = "0123456789abcdef";
    const char *const end = s + n;
    TRY(buf_reserve(b, n + 2, err));
    TRY(buf_add_char(b, '"', err));
    while (s < end) {
        size_t plain = 0;                        /* bytes that stand for themselves */
        while (s + plain < end && (unsigned char)s[plain] >= 0x20 && (unsigned char)s[plain] < 0x80 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        TRY(buf_add(b, s, plain, err));
        if ((s += plain) == end)
            break;
        const unsigned char c = (unsigned char)*s;
        const int len = c >= 0x80 ? utf8_length(s, end) : 1;
        static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
        const char *at = c && c < 0x80 ? strchr(named, c) : NULL;
        if (c >= 0x80)
            TRY(len ? buf_add(b, s, (size_t)len, err) : buf_add_str(b, "\xef\xbf\xbd", err));
        else if (at)
            TRY(buf_add(b, (const char[]){ '\\', names[at - named] }, 2, err));
        else
            TRY(buf_add(b, (const char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6, err));
        s += len ? len : 1;
    }
    return buf_add_char(b, '"', err);
}

/* jansson passes over what fails in the middle of a key. */
struct to_buf { struct buf *b; struct err *err; bool failed; };

static int put(const char *s, size_t n, void *ctx)
{
    struct to_buf *t = ctx;
    t->failed = t->failed || buf_add(t->b, s, n, t->err) < 0;
    return t->failed ? -1 : 0;
}

int out_json(struct buf *b, const json_t *v, struct err *err)
{
    struct to_buf t = { b, err, false };
    return json_dump_callback(v, put, &t, JSON_COMPACT | JSON_ENCODE_ANY) || t.failed ? ERR(err, NOMEM, "no memory for a reply") : 0;
}

static const char *type_of(int status)
{
    return status == 401 ? "authentication_error" : status == 403 ? "permission_error" : status == 404 ? "not_found_error" : status == 429 ? "rate_limit_error" : status < 500 ? "invalid_request_error" : "server_error";
}

int out_refusal(struct buf *b, const struct refusal *e, struct err *err)
{
    TRY(buf_add_str(b, "{\"error\":{\"message\":", err));
    TRY(out_string(b, e->message, strlen(e->message), err));
    TRY(buf_printf(b, err, ",\"type\":\"%s\",\"param\":", e->type ? e->type : type_of(e->status)));
    TRY(*e->param ? out_string(b, e->param, strlen(e->param), err) : buf_add_str(b, "null", err));
    return e->code ? buf_printf(b, err, ",\"code\":\"%s\"}}", e->code) : buf_add_str(b, ",\"code\":null}}", err);
}
