/* bytes.h - a few bytes as a number, none read beyond them. */
#ifndef AUDIT_BYTES_H
#define AUDIT_BYTES_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t bytes_8(const char *s) { uint64_t x; return memcpy(&x, s, sizeof x), x; }

/* n <= 8 of them, zeros above. */
static inline uint64_t bytes_some(const char *s, size_t n)
{
    uint32_t a, b;
    const unsigned char *p = (const unsigned char *)s;
    if (n == 8)
        return bytes_8(s);
    if (n >= 4)
        return memcpy(&a, s, 4), memcpy(&b, s + n - 4, 4), a | (uint64_t)b << 8 * (n - 4);
    return n ? p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) | (uint64_t)p[n - 1] << 8 * (n - 1) : 0;
}

/* How many of 8 continue a character of UTF-8. */
static inline uint32_t bytes_continued(uint64_t x) { return (uint32_t)(((x >> 7 & ~(x >> 6) & 0x0101010101010101u) * 0x0101010101010101u) >> 56); }

/* Characters of n bytes. */
static inline uint32_t bytes_chars(const char *s, size_t n)
{
    size_t i = 0, more = 0;
    for (; n - i > 8; i += 8)
        more += bytes_continued(bytes_8(s + i));
    return (uint32_t)(n - more - bytes_continued(bytes_some(s + i, n - i)));
}

#endif
