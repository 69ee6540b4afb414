/* workshop_files.h - files that people bring: names that stay within a folder, pieces that come one behind the other, and what is there.
 *
 * A name is a path below the folder: up to WORKSHOP_DEPTH parts by '/', each of 1 to WORKSHOP_PART bytes of UTF-8 without control characters, '\' and ':', none that begins with a point.
 * What it ends in says what it is (workshop_ending): others are not taken.  Until all of a file is there it stands beside its name, as .NAME.part, which readers of folders
 * pass over.  Symbolic links are never followed.  One thread at a time for a folder. */
#ifndef SERVE_WORKSHOP_FILES_H
#define SERVE_WORKSHOP_FILES_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define WORKSHOP_NAME 512                /* bytes of a name, with the NUL */
#define WORKSHOP_PART 120
#define WORKSHOP_CLASSES 1000
#define WORKSHOP_DEPTH 8
#define WORKSHOP_SHOWN 200               /* files that are listed */

enum workshop_ending { ENDS_OTHER, ENDS_TEXT, ENDS_TABLE, ENDS_LINES, ENDS_IMAGE, ENDS_ARCHIVE };     /* .txt .md .html; .csv .tsv; .jsonl; .png .jpg .jpeg; .zip, which is unpacked (workshop_zip.h) */
enum workshop_ending workshop_ending_of(const char *name);
int workshop_name_check(const char *name, struct err *err);          /* ERR_USAGE, with what is wrong with it */

/* n bytes behind the first `from` of the `size` that the file is to have.  Where others are there than `from`: ERR_BUSY.  *have: how many of it are there afterwards; size: it is whole. */
struct workshop_piece { const char *name; uint64_t from, size; const void *data; size_t n; };
int workshop_piece_add(const char *folder, const struct workshop_piece *p, uint64_t *have, struct err *err);
/* The same of a whole file, which is not on the disk yet when this returns: syncfs() is the caller's. */
int workshop_file_put(const char *folder, const struct workshop_piece *p, uint64_t *have, struct err *err);
/* How many bytes of a file are there; 0: none. */
uint64_t workshop_have(const char *folder, const char *name);

/* { kind, files, bytes, parts: files of which a part is missing (an archive that is still there is one), bare: images in no folder, list: [{ path, bytes, part: of which one is missing }], those first, classes: [{ name, files }], more_classes: than WORKSHOP_CLASSES, table: where there is one, as workshop_table.h says }
 * kind: nothing, texts (a language model can learn them), table (a file of records), images (in a folder for each class) or mixed. */
int workshop_look(const char *folder, json_t **out, struct err *err);

/* Calls `each` with the name of every whole file below the folder, in byte order; not 0 ends it and is returned. */
int workshop_each(const char *folder, int (*each)(void *ctx, const char *name, uint64_t bytes, bool whole, struct err *err), void *ctx, struct err *err);
/* The folder that an image lies in, by its name alone, is its class; false: it lies in none. */
bool workshop_class_of(const char *name, char out[WORKSHOP_PART + 1]);
#endif
