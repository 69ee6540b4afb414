#include "base/buf.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static char empty[1];      /* what an unused buf points to; never written: cap is 0 */

void buf_init(struct buf *b) { *b = (struct buf){ empty, 0, 0 }; }

void buf_release(struct buf *b)
{
    if (b->cap)
        mem_free(b->data);
    buf_init(b);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->cap)
        b->data[0] = 0;
}

int buf_reserve(struct buf *b, size_t more, struct err *err)
{
    if (more > SIZE_MAX / 2 - b->len - 1)
        return ERR(err, RANGE, "a buffer of %zu bytes cannot grow by %zu", b->len, more);
    const size_t need = b->len + more + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap += cap / 2;
    char *p = mem_realloc_array(b->cap ? b->data : NULL, cap, 1);
    if (!p)
        return ERR(err, NOMEM, "no memory for a buffer of %zu bytes", cap);
    p[b->len] = 0;
    b->data = p, b->cap = cap;
    return 0;
}

int buf_add(struct buf *b, const void *p, size_t n, struct err *err)
{
    TRY(buf_reserve(b, n, err));
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
    return 0;
}

int buf_add_str(struct buf *b, const char *s, struct err *err) { return buf_add(b, s, strlen(s), err); }
int buf_add_char(struct buf *b, char c, struct err *err) { return buf_add(b, &c, 1, err); }

int buf_vprintf(struct buf *b, struct err *err, const char *fmt, va_list ap)
{
    const size_t room = b->cap ? b->cap - b->len : 0;
    va_list again;
    va_copy(again, ap);
    const int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    int rc = n < 0 ? ERR(err, FORMAT, "text that cannot be formatted") : 0;
    if (!rc && (size_t)n >= room) {          /* what was written is a part */
        if (room)
            b->data[b->len] = 0;
        rc = buf_reserve(b, (size_t)n, err);
        if (!rc)
            vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    b->len += rc ? 0 : (size_t)n;
    return rc;
}

int buf_printf(struct buf *b, struct err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int rc = buf_vprintf(b, err, fmt, ap);
    va_end(ap);
    return rc;
}

int buf_add_number(struct buf *b, double v, struct err *err)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return buf_printf(b, err, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}
