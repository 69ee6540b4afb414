/* about.h - what people say of names and versions, and may say otherwise later: a description, and tags of a key and a value; names that have
 * no version yet; and lists with all that, for programs that show them.
 *
 * Each change is one record of the journal (registry_apply.h: "create", "say"), so that what was said before is not lost.  None of it is part of
 * a version's root or of what gates look at.  Errors and threads as of registry.h. */
#ifndef STORE_ABOUT_H
#define STORE_ABOUT_H
#include "store/registry.h"

#define SAID_KEY_MAX 250                 /* bytes */
#define SAID_VALUE_MAX 20000

/* ERR_BUSY: there is one of that name. */
int registry_create(struct registry *g, const char *name, const char *kind, const struct journal_by *by, struct err *err);

/* number 0: of the name itself.  key: of a tag, "": the description.  value NULL: not any more, ERR_NOTFOUND where there was none.  What is said
 * already is no change. */
struct registry_said { const char *name; int64_t number; const char *key, *value; };
int registry_said_check(const struct registry_said *s, struct err *err);         /* ERR_USAGE: too long, no UTF-8, with control characters but line breaks and tabs */
int registry_say(struct registry *g, const struct registry_said *s, const struct journal_by *by, struct err *err);

/* [{ name, kind, t, updated, last: N or 0, description, tags: { KEY: VALUE }, aliases: { ALIAS: N } }], sorted by name: of one, or, NULL, of all. */
int registry_names(struct registry *g, const char *name, json_t **out, struct err *err);
/* [{ name, kind, number, root, manifest, t, updated, run, description, tags, aliases: [ALIAS] }], by name and number.  run: the parent of role "run", or "". */
int registry_versions(struct registry *g, const char *name, json_t **out, struct err *err);
#endif
