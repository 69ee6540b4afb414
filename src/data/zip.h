/* zip.h - members of a zip file (PKWARE's APPNOTE 6.3): stored or deflated, without ZIP64 and encryption.
 *
 * The directory is read and checked when a file is opened; sizes come from it, and the CRC-32 of what is read is checked.  Memory grows with the
 * bytes that are there (unpacked: up to 1000 for each in the file), never with what a header claims.  Any thread may read. */
#ifndef DATA_ZIP_H
#define DATA_ZIP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

struct zip_member { char *name; uint32_t crc, packed, size, at; int method; };        /* at: of the local header */
struct zip { struct file_map map; const char *path; struct zip_member *member; int n_member; };      /* path: borrowed, leads the messages */
bool zip_begins(const void *data, size_t n);         /* do these bytes begin as a zip file does? */
bool zip_is(const char *path);                       /* the same of a file */
/* Neither leaves anything to close where it fails. */
int  zip_open(struct zip *z, const char *path, struct err *err);
int  zip_over(struct zip *z, const void *data, size_t n, const char *name, struct err *err);      /* bytes in memory, which stay the caller's */
void zip_close(struct zip *z);
/* The first member of that name, or whose name ends with a slash and it; not what Mac OS puts beside files.  -1: none. */
int  zip_find(const struct zip *z, const char *name);
/* Appends the bytes of member i, at most max. */
int  zip_read(const struct zip *z, int i, size_t max, struct buf *out, struct err *err);
#endif
