/* releases.h - the releases of a registry over HTTP: what the page shows of them, and the two things that people change there.
 *
 *   GET  /lathe/registry                    { names: registry_list(), admin, records }
 *   GET  /lathe/registry/NAME               releases_view()
 *   GET  /lathe/registry/NAME/history       { records: the journal's of the name, the newest first, at most ?n= (50) }
 *   GET  /lathe/registry/NAME/lineage       of ?version=N, else of its last: registry_lineage()
 *   GET  /lathe/registry/NAME/events        of the last ?window=1h: releases_view_events(); 404 where nothing is recorded
 *   POST /lathe/registry/NAME/promote       { version, alias, mode, share, reason, seq }: the release as it is then
 *   POST /lathe/registry/NAME/rollback      { alias, reason, seq }
 *
 * alias is production unless given, mode (release.h) none; share, of canary and ab, is 0.001 to 0.999.  reason is needed.  seq is what the caller saw of
 * the release, or absent: 409 where it has changed since, and where an alias's policy says no (overriding it is the command line's).
 *
 * Who may: to read an admin's key (keys.h), the one key of the command line, and, where there are no keys, everybody on this machine; to change an admin's key
 * alone, whose name is the actor in the journal.
 *
 * A database may be slow, so a thread of its own asks it, one request after the other; it is opened for each. */
#ifndef SERVE_RELEASES_H
#define SERVE_RELEASES_H
#include "serve/exchange.h"

struct releases;
/* registry, events: places as registry_open() and events_open() take them; events NULL: nothing is recorded, "registry": beside the default registry.
 * The strings are kept.  wake: a reply was given. */
int releases_open(struct releases **out, const char *registry, const char *events, void (*wake)(void *ctx), void *ctx, struct err *err);
void releases_halt(struct releases *r);          /* what waits is refused, before the connections end; NULL is fine, here and below */
void releases_close(struct releases *r);
/* r NULL: there is no registry here, which is said.  The request has its visit. */
void releases_answer(struct releases *r, struct http_request *q, const struct dialect *d);

#endif
