/* digests.h - digests of files and folders, kept while these are as they were: so that a look at everything costs a stat of each file.
 *
 * A file's digest is its SHA-256; a folder's, that of what is in it, by name: whether files, folders or others, and the files' digests.  Links are followed, but
 * not back to where one came from.  What a folder is not looked at for: the stages' own folder OUT, .git, and what is no part of a model (store/manifest.h), its signature.
 * Names may be any bytes.  Digests of files that have not changed (device, inode, size, times) are in OUT/digests.json.  One thread. */
#ifndef FLOW_DIGESTS_H
#define FLOW_DIGESTS_H
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/hash.h"

struct digests { json_t *known; char *path; bool changed, has_own; dev_t own_dev; ino_t own_inode; };
int digests_open(struct digests *d, const char *folder, struct err *err);      /* folder: OUT; a digests.json that cannot be read is begun anew */
int digests_save(struct digests *d, struct err *err);
void digests_close(struct digests *d);
/* Of a file or a folder; "" where nothing is. */
int digests_of(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err);

#endif
