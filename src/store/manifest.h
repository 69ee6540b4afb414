/* manifest.h - the files of a model or data set, and the one digest of all of them.
 *
 * The rule is OpenSSF Model Signing's (github.com/ossf/model-signing-spec, method "files"): every regular file below the folder by its path
 * there, in the order of the paths' parts ("a/b" before "a.txt": a part that is the beginning of another comes first); the root is the
 * SHA-256 over the files' binary SHA-256 digests in that order.  A single file has the path ".".  At the top, ".git", ".gitattributes",
 * ".github", ".gitignore" and "model.sig" are no part of it.  So the root of a version is the digest that its signature names.
 *
 * Method "shards" is the same over pieces of the files: each file is cut every so many bytes, PATH:START:END is its name in a signature, and
 * the pieces follow each other in their file's place.  A file without bytes has none.
 *
 * The root tells nothing of the names: what must be told apart by them takes the digest of manifest_json() too. */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/hash.h"

struct pool;

/* sha256 "": not read yet.  Of a shard: the bytes from start on, where the file is as long or longer. */
struct manifest_file { char *name; char sha256[SHA256_HEX]; uint64_t bytes, start; bool shard; };
struct manifest { struct manifest_file *file; int n, cap; };                        /* zeroed: empty */

/* Names and sizes of what is there, sorted; no contents are read.  skip (NULL, or NULL-terminated): paths that are left out as well, with
 * all that is below them.  Symbolic links are followed, to files only, or refused (ERR_UNSUPPORTED); pipes and devices are refused, and
 * names that are not UTF-8 or hold control characters.  ERR_NOTFOUND where no file is left. */
int manifest_list(struct manifest *out, const char *path, const char *const *skip, bool follow_links, struct err *err);
/* Is a path one of those that are no part of a model or data set, or below one? */
bool manifest_leaves_out(const char *path);
/* Cuts each file into shards of so many bytes, the last one of what is left; digests are forgotten. */
int manifest_split(struct manifest *m, uint64_t shard_bytes, struct err *err);
/* The digests of all files and shards that have none yet; a file that has become shorter or longer is ERR_CORRUPT. */
int manifest_hash(struct manifest *m, const char *path, struct err *err);
/* The same by all threads of a pool, a file or shard each: the same digests.  NULL: by this thread. */
int manifest_hash_by(struct manifest *m, const char *path, struct pool *pool, struct err *err);
/* What the file system says of all these files, as one digest: names, device, inode, size, mtime and ctime in ns.  Whose contents have
 * changed has another, but for one that changed within a tick of the clock after it was read: *newest_ns is the last mtime or ctime. */
int manifest_stamp(const struct manifest *m, const char *path, char stamp[SHA256_HEX], int64_t *newest_ns, struct err *err);
/* One file by hand: name is copied.  After the last one manifest_sort(). */
int manifest_add(struct manifest *m, const char *name, const char *sha256, uint64_t bytes, struct err *err);
void manifest_sort(struct manifest *m);
void manifest_release(struct manifest *m);

int manifest_root(const struct manifest *m, char root[SHA256_HEX], struct err *err);
uint64_t manifest_bytes(const struct manifest *m);
/* In a sorted one.  NULL: there is none; of a file in shards any of them, or the one with the same name and start. */
const struct manifest_file *manifest_find(const struct manifest *m, const char *name);
const struct manifest_file *manifest_find_shard(const struct manifest *m, const struct manifest_file *like);
/* The path of a file: path/name, or path itself for ".".  Free with mem_free. */
char *manifest_path(const char *path, const char *name);

/* [{"bytes": N, "name": PATH, "sha256": HEX}, ...], sorted; read back it is checked: digests, names that stay inside, order. */
json_t *manifest_json(const struct manifest *m);             /* NULL without memory */
int manifest_parse(struct manifest *out, const json_t *list, struct err *err);
#endif
