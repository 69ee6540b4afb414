/* zip.h - single members of a zip file (PKWARE's APPNOTE, without zip64 and encryption): stored or deflated. */
#ifndef DATA_ZIP_H
#define DATA_ZIP_H
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

struct zip { struct file_map map; const char *path; size_t at, n_member; };      /* path: borrowed */
bool zip_is(const char *path);                       /* by its first bytes */
int  zip_open(struct zip *z, const char *path, struct err *err);
int  zip_over(struct zip *z, const char *data, size_t n, const char *name, struct err *err);      /* bytes in memory, which stay the caller's */
void zip_close(struct zip *z);
/* The first member of that name, or whose name ends with a slash and it; 0 where there is none, else 1 with the bytes
 * appended, at most max.  Their CRC is checked. */
int  zip_read(const struct zip *z, const char *name, size_t max, struct buf *out, struct err *err);
#endif
