/* utf8.h - characters of UTF-8 (RFC 3629): no overlong form, no surrogate, at most U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* Bytes of the character at p < end, 0 if there is none.  NUL is a character of one byte. */
int utf8_length(const char *p, const char *end);
int utf8_put(uint32_t c, char out[4]);         /* the bytes of a character; their number */
int utf8_plain(const char *p, const char *end);        /* the same; 0 also where it is a control character (below space, or DEL) */
bool utf8_is_plain(const char *s, size_t n);           /* are all of them that? */
/* Of n bytes of UTF-8 the first, `most` at most, cut between characters: how many. */
size_t utf8_begin(const char *s, size_t n, size_t most);
/* Into `size` bytes, 1 at least, what fits of the n in whole characters, with NUL behind; '?' for control characters and each byte that is no UTF-8. */
void utf8_fit(char *out, size_t size, const char *s, size_t n);
/* Of a hexadecimal digit, in either case; -1: it is none. */
static inline int hex_value(int c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }
/* Appends n bytes, where what is no UTF-8 is U+FFFD, one for each byte of it. */
int utf8_add(struct buf *out, const char *s, size_t n, struct err *err);
#endif
