/* registry_wait.h - what the servers that follow an alias make of its change: waited for, and told as it comes.
 *
 * A server that hears of a change says anew what each version does (serve/arms.h); one that says nothing for REGISTRY_WAIT_HEARD_S is taken to
 * be gone without having said so, and that is written, so that the next change does not wait for it. */
#ifndef CMD_REGISTRY_WAIT_H
#define CMD_REGISTRY_WAIT_H
#include <jansson.h>
#include "store/release.h"

#define REGISTRY_WAIT_HEARD_S 5.0

/* Before a change: what they said until now ([], where nobody follows); the caller's. */
int registry_wait_begin(struct registry *g, const char *name, const char *alias, json_t **before, struct err *err);
struct registry_wait {
    const json_t *before;
    double seconds;                      /* at most */
    bool settles;                        /* a candidate of mode green becomes the alias's version here, where no server is heard */
};
/* After it: until each has the version that the release came for (number) loaded, and answering where its mode has it answer, or says that it failed.  r: as it was moved; where a candidate of mode green has become the alias's version meanwhile, as it is then.  *servers: [{ server, state, message }],
 * of those that were heard.  ERR_UNSUPPORTED: one failed, with its message; the alias is where it was, unless another server has the version.
 * ERR_BUSY: the time is over, or the user stops waiting. */
int registry_wait(struct registry *g, struct registry_release *r, int64_t number, const struct registry_wait *o, json_t **servers, struct err *err);
#endif
