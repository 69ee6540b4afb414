/* utf8.h - one character of UTF-8 (RFC 3629): no overlong form, no surrogate, at most U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H
#include <stdint.h>

/* Bytes of the character at p < end, 0 if there is none.  NUL is a character of one byte. */
int utf8_length(const char *p, const char *end);
int utf8_put(uint32_t c, char out[4]);         /* the bytes of a character; their number */
#endif
