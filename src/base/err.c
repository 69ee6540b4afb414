#include "base/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"

void err_tidy(char *text)
{
    const char *end = text + strlen(text);
    for (char *s = text; *s;) {
        const unsigned char *u = (const unsigned char *)s;
        const bool control = *u < 0x20 || *u == 0x7F || (*u == 0xC2 && u[1] < 0xA0);      /* C0, DEL, C1 */
        const int n = control ? 0 : utf8_length(s, end);
        if (!n)
            *s = '?';
        s += n ? n : 1;
    }
}

static void set_va(struct err *err, int code, const char *file, int line, const char *fmt, va_list ap)
{
    if (!err)
        return;
    err->code = code, err->file = file, err->line = line;
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    err_tidy(err->msg);
}

int err_set(struct err *err, int code, const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, file, line, fmt, ap);
    va_end(ap);
    return code;
}

int err_errno(struct err *err, const char *file, int line, const char *fmt, ...)
{
    const int number = errno;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, ERR_IO, file, line, fmt, ap);
    va_end(ap);
    const int code = number == ENOENT ? ERR_NOTFOUND : number == ENOMEM ? ERR_NOMEM : ERR_IO;
    if (err) {
        const size_t n = strlen(err->msg);
        char text[128];
        snprintf(err->msg + n, sizeof err->msg - n, ": %s", strerror_r(number, text, sizeof text));
        err->code = code;
    }
    return code;
}

int err_context(struct err *err, const char *fmt, ...)
{
    if (!err)
        return ERR_IO;
    char text[sizeof err->msg], old[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const size_t n = strlen(text) < sizeof err->msg / 2 ? strlen(text) : sizeof err->msg / 2;
    snprintf(err->msg, sizeof err->msg, "%.*s: %.*s", (int)n, text, (int)(sizeof err->msg - n - 3), old);
    err_tidy(err->msg);
    return err->code;
}

const char *err_word(int code)
{
    switch (code) {
    case 0: return "ok";
#define X(name, word, meaning) case ERR_##name: return word;
    ERR_CODES(X)
#undef X
    default: return "unknown";
    }
}

void err_clear(struct err *err)
{
    if (err)
        err->code = 0, err->msg[0] = 0, err->file = NULL, err->line = 0;
}
