/* utf8.h - one character of UTF-8 (RFC 3629): no overlong form, no surrogate, at most U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

/* Bytes of the character at p < end, 0 if there is none.  NUL is a character of one byte. */
int utf8_length(const char *p, const char *end);
#endif
