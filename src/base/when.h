/* when.h - moments: nanoseconds since 1970 in UTC, and their text by RFC 3339. */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H
#include <stdint.h>
#include "base/err.h"

#define WHEN_TEXT 32                     /* "2026-11-27T01:25:13.123456789Z" and a NUL; the order of such texts is that of the moments */
#define WHEN_LAST 253402300799           /* seconds: the last one of the year 9999 */
int64_t when_now(void);                  /* of the system's clock, which may be set back */
void when_text(char out[WHEN_TEXT], int64_t ns);      /* 1970 to 2262 */
void when_seconds(char out[WHEN_TEXT], int64_t s);    /* of seconds, "2026-11-27T01:25:13Z"; a moment that no calendar has is the year 1900 */
/* A day, or a day, 'T' or a space and hh:mm[:ss[.fraction]], and Z, an offset as +01:00, or nothing, which is Z.  A day alone is its beginning. */
int when_parse(int64_t *ns, const char *text, struct err *err);
/* A length of time: a number and s, m, h, d or w, in seconds; without a letter it is seconds.  ERR_USAGE. */
int when_span(double *s, const char *text, struct err *err);
/* For tests: the clock stands there; < 0: it goes again. */
void when_set(int64_t ns);
#endif
