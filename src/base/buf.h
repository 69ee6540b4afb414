/* buf.h - a growable run of bytes, always followed by a NUL that is not counted. */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include <stdarg.h>
#include <stddef.h>
#include "base/err.h"

struct buf { char *data; size_t len, cap; };       /* data is never NULL after buf_init, also when len is 0 */

void buf_init(struct buf *b);
void buf_release(struct buf *b);
void buf_clear(struct buf *b);                     /* len = 0, keeps the memory */
int buf_reserve(struct buf *b, size_t more, struct err *err);
int buf_add(struct buf *b, const void *p, size_t n, struct err *err);
int buf_add_str(struct buf *b, const char *s, struct err *err);
int buf_add_char(struct buf *b, char c, struct err *err);
/* The shortest form that reads back as the same number, marked as not an integer. */
int buf_add_number(struct buf *b, double v, struct err *err);
int buf_printf(struct buf *b, struct err *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int buf_vprintf(struct buf *b, struct err *err, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
#endif
