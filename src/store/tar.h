/* tar.h - an archive of regular files as POSIX has it (pax, by libarchive), written to a file or to standard output and read from a file or standard input.
 *
 * Written files have their sizes told before their bytes; a file that is written is there whole or not at all (file_writer).  Of what is read nothing is unpacked here: names are
 * what the archive says, for the caller to know by, and whatever is no regular file, or has holes, is ERR_FORMAT. */
#ifndef STORE_TAR_H
#define STORE_TAR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define TAR_STANDARD "-"                 /* in the place of a path: standard output, or input */

struct tar_out;
/* is_private: for its owner alone.  ERR_USAGE: standard output is a terminal. */
int tar_out_open(struct tar_out **out, const char *path, bool is_private, struct err *err);
/* A file begins: of so many bytes, which tar_out_add() brings, in pieces. */
int tar_out_file(struct tar_out *t, const char *name, uint64_t bytes, bool is_private, struct err *err);
int tar_out_add(void *t, const char *p, size_t n, struct err *err);      /* t: a struct tar_out.  ERR_CORRUPT: more bytes than were told */
int tar_out_end(struct tar_out *t, int rc, struct err *err);             /* frees it.  rc 0: the archive is there; else it is not, and rc again */

struct tar_in;
int tar_in_open(struct tar_in **out, const char *path, struct err *err);
void tar_in_close(struct tar_in *t);                                     /* NULL is fine */
/* 1: the next file, folders passed over; 0: there are no more.  The name is good until the next call.  ERR_FORMAT, ERR_CORRUPT (cut off). */
int tar_in_next(struct tar_in *t, const char **name, struct err *err);
/* Up to n > 0 bytes of that file; 0 at its end. */
int64_t tar_in_read(struct tar_in *t, void *p, size_t n, struct err *err);
#endif
