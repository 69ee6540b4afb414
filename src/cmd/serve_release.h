/* serve_release.h - a name of the registry as what a server follows (serve/arms.h).
 *
 * NAME@ALIAS is the alias's release, whenever it changes; NAME@N that version, for good.  What the server does with a version is written to
 * the registry (registry_server_state), for those who promote and look; a candidate of mode green is settled when it is ready, and one of any mode
 * that does not load is withdrawn.  A registry that cannot be read is opened again at most once a second; what was
 * to be written meanwhile is kept, and written then: of each version the last word. */
#ifndef CMD_SERVE_RELEASE_H
#define CMD_SERVE_RELEASE_H
#include "serve/arms.h"

struct serve_release;
/* Is it such a name, and nothing that lies under this path? */
bool serve_release_is(const char *text);
int serve_release_open(struct serve_release **out, const char *text, const char *server, struct err *err);
void serve_release_close(struct serve_release *r);        /* NULL is fine */
const char *serve_release_name(const struct serve_release *r);
struct arms_source serve_release_source(struct serve_release *r);
#endif
