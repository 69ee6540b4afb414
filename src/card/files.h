/* files.h - the files that the documents name: those of a build, or the sources'. */
#ifndef CARD_FILES_H
#define CARD_FILES_H
#include <stdbool.h>
#include "card/parts.h"

/* source: its member of the report, NULL for files of a build; i_source: its number, 0 for those. */
struct card_file { const char *path, *sha256; int64_t bytes; const json_t *source, *entry; size_t i_source, i_file; };

/* Calls for each file in order, until one fails. */
int files_each(const struct card *c, int (*one)(void *ctx, const struct card_file *f), void *ctx);
/* The type of its bytes: "text/csv", "application/jsonlines+zstd".  format: a source's; NULL: by the name, and a name that tells nothing is
 * a text's, as it is for the audit's reader. */
void file_type(char out[64], const char *path, const char *format);
/* A source's format as data.yaml names it, else that of its first file by its name. */
const char *source_format(const json_t *source);
const char *file_base(const char *path);                    /* its last part */
/* A path as a relative URL: what may not stand in one as %XX.  mem_free() it; NULL without memory. */
char *file_url(const char *path);

#endif
