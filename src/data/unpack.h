/* unpack.h - the bytes that a file holds, as a stream: gzip (RFC 1952), Zstandard (RFC 8878) and bzip2 are recognised by their first bytes,
 * whatever the name, everything else is itself.  Several members or frames behind one another are one stream.
 *
 * Memory is bounded (128 MiB of window at most).  A file that holds more than `ratio` times its own bytes, looked at from 64 MiB on, is
 * refused: a decompression bomb would keep the machine busy for days. */
#ifndef DATA_UNPACK_H
#define DATA_UNPACK_H
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#define UNPACK_RATIO 500

enum unpack_kind { UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD, UNPACK_BZIP2 };
const char *unpack_name(enum unpack_kind kind);

struct unpack;
/* ratio 0: UNPACK_RATIO.  path is borrowed. */
int unpack_open(struct unpack **out, const char *path, double ratio, struct err *err);
void unpack_free(struct unpack *u);
enum unpack_kind unpack_kind(const struct unpack *u);
/* Up to n > 0 bytes; 0 at the end.  After an error (ERR_FORMAT: what is wrong, at which byte of the file, after how many bytes of what it
 * holds) there is no more. */
int64_t unpack_read(struct unpack *u, void *p, size_t n, struct err *err);
uint64_t unpack_packed(const struct unpack *u);      /* bytes of the file that were taken, for progress */
uint64_t unpack_size(const struct unpack *u);        /* of the file */
/* SHA-256 of the file itself, to its last byte, wherever reading stopped; "" where it cannot be read; once. */
void unpack_sha256(struct unpack *u, char hex[SHA256_HEX]);
void unpack_without_sha256(struct unpack *u);        /* for those who do not ask for it: half of the time that reading takes */
/* All that the file holds, at most max bytes or so (else ERR_RANGE), appended with a NUL behind it that does not count. */
int unpack_all(const char *path, size_t max, struct buf *out, struct err *err);

#endif
