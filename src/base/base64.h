/* base64.h - RFC 4648's base64, with its first alphabet. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H
#include "base/buf.h"

int base64_write(struct buf *out, const void *p, size_t n, struct err *err);      /* appends, with padding */
/* Appends what the text holds; padding may be missing.  ERR_FORMAT for any other character, and for an end that is not as it would be written. */
int base64_read(struct buf *out, const char *s, size_t n, struct err *err);
#endif
