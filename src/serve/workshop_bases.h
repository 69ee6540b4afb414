/* workshop_bases.h - models that somebody may go on from: those that the server was told (--workshop-base), and those of its registry that can be trained.
 *
 * What a page says is a name of this list, never a path.  A version of the registry is NAME@N: production's, or where there is none the last one.  One thread. */
#ifndef SERVE_WORKSHOP_BASES_H
#define SERVE_WORKSHOP_BASES_H
#include <jansson.h>
#include "base/err.h"

struct workshop_opts;
struct workshop_base { const char *name, *path; };       /* path: a GGUF file or a folder, absolute */
/* [{ name, of: "server" or "registry", said: what it is called in full }], the caller's.  A registry that cannot be read has none. */
int workshop_bases(const struct workshop_opts *o, json_t **out, struct err *err);
/* The path of one, to be freed.  ERR_NOTFOUND: there is none of that name. */
int workshop_base_path(const struct workshop_opts *o, const char *name, char **out, struct err *err);
#endif
