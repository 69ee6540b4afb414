/* blob.h - files by the SHA-256 of their contents: FOLDER/blobs/sha256/ab/abcdef..., read-only.
 *
 * A blob has its name only when it is whole and on the disk; one that is there is not written again, but in the place of a damaged one.  What is put is copied: a link to a
 * file of the user's would change with it.  Any thread of any process on any machine may put at any time; what one that was killed leaves
 * has a name that begins as the blob's and goes on with a point.  One that is put again gets the present time as its mtime, unless a version's
 * folder has it too: a collector (registry_gc.h) leaves alone what is young.  Errors as of file.h. */
#ifndef STORE_BLOB_H
#define STORE_BLOB_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"

#define BLOB_ID SHA256_HEX
#define BLOB_ANY_LENGTH UINT64_MAX
bool blob_id_ok(const char *id);                                /* 64 lower-case hexadecimal digits */
char *blob_path(const char *folder, const char *id);            /* mem_free; NULL without memory */
/* path.new-RANDOM: where something is made that is then renamed to path.  Process ids do not do: containers share folders, but not those. */
int blob_temporary(char **out, const char *path, struct err *err);
bool blob_exists(const char *folder, const char *id);
/* Is it there, with so many bytes (BLOB_ANY_LENGTH: any)?  ERR_NOTFOUND, ERR_CORRUPT.  It is not read. */
int blob_stat(const char *folder, const char *id, uint64_t bytes, struct err *err);

int blob_length(const char *folder, const char *id, uint64_t expected, uint64_t *bytes, struct err *err);      /* the same, and how many it has */

/* Copies a file in, and adds its bytes to `also`, or NULL.  A large one is read once: it is copied under a name of zeros and then gets its own; a small one, and one that
 * may be there already, is read for its name first.  ERR_CORRUPT where it changed while it was read. */
int blob_put_file(const char *folder, const char *path, struct sha256 *also, char id[BLOB_ID], uint64_t *bytes, struct err *err);
int blob_put(const char *folder, const void *p, size_t n, char id[BLOB_ID], struct err *err);
/* A file beside the blobs, in the same folder's file system, whose bytes have this digest, becomes that blob; where it is here, whole, it is removed. */
int blob_put_part(const char *folder, struct file_part *part, const char *id, struct err *err);
/* Appends the contents, which are checked: ERR_CORRUPT. */
int blob_get(const char *folder, const char *id, size_t max, struct buf *out, struct err *err);
/* Reads all of it, and tells where it was changed as far as blob_pieces.h knows.  bytes: BLOB_ANY_LENGTH where it is not known.  ERR_CORRUPT, ERR_NOTFOUND: it is not there. */
int blob_check(const char *folder, const char *id, uint64_t bytes, struct err *err);
#endif
