/* dup_index.h - rows (dup.h) of earlier data, so that new data is held against them without reading them again.
 *
 * A folder of snapshots, each a file NAME.dup that is written once and never changed; new data may be held against any of them.
 *
 *     0  8   "LATHEDUP"          8  4   version, 1: words and shingles as minhash.h and words.h make them
 *    12  4   words of a shingle  16 4   bands   20 4  values of a band   24 4  seed   28 4  0
 *    32  8   rows                40     the rows, as dup.h lays them out, little-endian
 *        64  SHA-256 of all before it, as hexadecimal digits
 *
 * A file that is cut or changed is an error that says so before anything is taken from it. */
#ifndef AUDIT_DUP_INDEX_H
#define AUDIT_DUP_INDEX_H
#include "audit/dup.h"
#include "base/file.h"

/* Names: letters, digits, . _ - and no point first, 100 characters at most.  ERR_USAGE for a name that is there, or is none; ERR_BUSY while
 * another process adds to the folder. */
int dup_index_add(const char *dir, const char *name, const struct minhash *m, const struct dup_rows *rows, int n_rows, struct err *err);
/* The names, in byte order; free with file_list_free.  Other files are not looked at. */
int dup_index_list(const char *dir, char ***names, int *n, struct err *err);

/* The rows lie in the file, which is mapped and must not be cut while they are used. */
struct dup_snapshot { struct file_map map; struct dup_rows rows; };
/* ERR_CORRUPT, ERR_FORMAT, ERR_NOTFOUND; dup_index_close in any case. */
int dup_index_open(struct dup_snapshot *s, const char *dir, const char *name, const struct minhash *m, struct err *err);
void dup_index_close(struct dup_snapshot *s);
/* The same of bytes in memory (aligned to 8), which errors name. */
int dup_index_read(struct dup_rows *rows, const char *data, size_t n, const char *path, const struct minhash *m, struct err *err);

#endif
