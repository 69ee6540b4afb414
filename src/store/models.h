/* models.h - the store of pulled models, which all commands share, and the names that models have in it.
 *
 * $LATHE_HOME, or $XDG_DATA_HOME/lathe, or ~/.local/share/lathe, holds
 *   models/ORG/NAME/COMMIT/...        a model's files, each under its name only when it is whole and verified
 *   models/ORG/NAME/refs/REVISION     the commit that REVISION was at its last pull; written when that pull was complete
 *   models/ORG/NAME/part/DIGEST       what is there of a file whose contents will have this digest
 * A revision is written there as in a URL (model_escape).  One pull at a time holds models/ORG/NAME (file_lock). */
#ifndef STORE_MODELS_H
#define STORE_MODELS_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"

/* ORG/NAME[@REVISION][:FILE], as on the hub; revision "main" and file "" where none is given. */
struct model_id { char org[97], name[97], revision[201], file[201]; };
/* ERR_USAGE when text does not have that form. */
int model_id_parse(struct model_id *out, const char *text, struct err *err);
/* Relative, without empty, "." or ".." parts, control characters and backslashes, UTF-8, at most 500 bytes: a name that
 * someone else chose and that may become a file's. */
bool model_path_ok(const char *path);
bool model_commit_ok(const char *commit);                  /* 40 to 64 hexadecimal digits */
/* Whether a path is what the user means: a shell pattern for the path or its last part or, without *, ? and [, a piece of it,
 * in capitals or not. */
bool model_file_matches(const char *pattern, const char *path);
/* Every byte but letters, digits and "-._~" (and "/" where keep_slash) as %XX. */
int model_escape(const char *text, bool keep_slash, struct buf *out, struct err *err);

/* A model in one or several GGUF files is named by its first: "x-00002-of-00003.gguf" is no model, nor is a part for images. */
bool model_is_gguf(const char *path);

/* $LATHE_HOME or what stands for it, models there, and models/ORG/NAME; free with mem_free. */
int models_home(char **out, struct err *err);
int models_root(char **out, struct err *err);
int models_dir(char **out, const struct model_id *id, struct err *err);
/* The folder of the commit that was pulled as id's revision or, where it is no folder of a model but of GGUF files, the one that
 * id->file names; without that, the only one.  ERR_NOTFOUND when it was not pulled.  Free with mem_free. */
int models_find(char **out, const struct model_id *id, struct err *err);
#endif
