/* erase.h - `lathe data erase`: a new version of a build without some records, and which trainings read them.
 *
 * The new folder has the files, map.jsonl and build.json of a build (build.h), whose "erased" says of which version, how many, where (and
 * of each condition how many lines it holds for) and why, and erased.jsonl: the SHA-256 of each text that went, so that it can be kept out of later builds without being kept itself.
 * The old version is left as it is. */
#ifndef AUDIT_ERASE_H
#define AUDIT_ERASE_H
#include <jansson.h>
#include "base/opt.h"

struct erase_opts {
    const char *from, *to;               /* folders; to must not be there */
    /* A record goes when one of these holds:  text=PART  its text has these characters, or a string of a chat's line;  source=, path=, record=, sha256=  of map.jsonl,
     * or a mark of that name;  any other NAME=VALUE  a mark of its line, as a string, a number, true or false. */
    struct opt_list where;
    const char *reason;
    struct opt_list runs;                /* folders of trainings, or of such folders */
    int (*progress)(void *ctx, struct err *err);
    void *ctx;
};
/* told: build.json's "erased" with "runs" in it, the caller's.  ERR_NOTFOUND where no record matches, and ERR_USAGE where one of the conditions
 * names a field that no record has, with the nearest; nothing is written then. */
int erase_run(const struct erase_opts *o, json_t **told, struct err *err);

#endif
