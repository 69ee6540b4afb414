#include "base/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length of the UTF-8 character at s, 0 if there is none or it is a control character (C0, DEL, C1). */
static size_t printable(const unsigned char *s)
{
    if (*s < 0x80)
        return *s >= 0x20 && *s != 0x7F;
    const size_t n = *s >= 0xC2 && *s < 0xE0 ? 2 : *s >= 0xE0 && *s < 0xF0 ? 3 : *s >= 0xF0 && *s < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((*s == 0xE0 && s[1] < 0xA0) || (*s == 0xED && s[1] > 0x9F) || (*s == 0xF0 && s[1] < 0x90) || (*s == 0xF4 && s[1] > 0x8F))
        return 0;
    return *s == 0xC2 && s[1] < 0xA0 ? 0 : n;
}

void err_tidy(char *text)
{
    for (unsigned char *s = (unsigned char *)text; *s;) {
        const size_t n = printable(s);
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
