/* workshop_zip.h - a .zip that somebody brings: its files become the project's, in the folder that it came into, and it goes.
 *
 * Each name is one that a file brought by itself may have (workshop_files.h); a folder's files keep their folders, so that images have their classes.  What could not be brought by itself is
 * left out and counted, what systems put into archives for themselves (__MACOSX, names that begin with a point) is passed over.  A member is read into memory, at most ZIP_MEMBER bytes. */
#ifndef SERVE_WORKSHOP_ZIP_H
#define SERVE_WORKSHOP_ZIP_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define ZIP_MEMBER ((size_t)512 << 20)
#define ZIP_LEFT 5                       /* names of what was left out that are told */

bool workshop_is_zip(const char *name);
struct workshop_room { uint64_t bytes; int64_t files; };        /* that may be added */
/* FOLDER/name, a whole file.  { files, bytes, left: how many, names: of the first of those }, the caller's.  ERR_FORMAT, with what is wrong: it is no archive that is read here, is damaged
 * (files before that place are there), or has nothing that can be learned from; ERR_RANGE: there is no room, and nothing is unpacked.  The archive is gone in either case, but not where a
 * file cannot be written. */
int workshop_unzip(const char *folder, const char *name, const struct workshop_room *room, json_t **out, struct err *err);
#endif
