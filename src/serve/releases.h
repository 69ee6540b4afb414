/* releases.h - the releases of a registry over HTTP: what the page shows of them, and the two things that people change there.
 *
 *   GET  /lathe/registry                    { names: registry_list(), admin, records }
 *   GET  /lathe/registry/NAME               releases_view()
 *   GET  /lathe/registry/NAME/history       { records: the journal's of the name, the newest first, at most ?n= (50) }
 *   GET  /lathe/registry/NAME/lineage       of ?version=N, else of its last: releases_view_lineage()
 *   GET  /lathe/registry/NAME/events        of the last ?window=1h: releases_view_events(); 404 where nothing is recorded, here and in the next two
 *   GET  /lathe/registry/NAME/traffic       of the last ?window=1h: releases_view_traffic()
 *   GET  /lathe/registry/NAME/drift         of ?version=N, else of its last: what releases_more.drift tells
 *   GET  /lathe/registry/NAME/open          of ?version=N, ?what=BLOB (one of its evidence's), evaluations or training: { url }, an address that shows it in a
 *                                           browser for RELEASES_OPEN_S seconds to whoever has it
 *   GET  /lathe/report                      that address: releases_more.report, sandboxed, without a script, or text
 *   POST /lathe/registry/NAME/promote       { version, alias, mode, share, reason, seq }: the release as it is then; where this server follows the alias and does
 *                                           not have the version ready, it is its candidate of mode green (registry_move_when_ready())
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
#include "store/events.h"
#include "store/registry.h"

/* What serve/ knows nothing of, from whoever starts the server; called by the thread of releases.  A function may be NULL: 404; loads: nothing is asked. */
struct releases_more {
    /* How a version's answers compare with its reference (watch/follow.h), and what the rules say: { ..follow_json(), rules: [..] }.  The caller's. */
    int (*drift)(void *ctx, struct registry *g, struct events *e, const struct registry_version *v, json_t **out, struct err *err);
    /* A piece of evidence, all evaluations or the training, for people; html: it is a page, else text. */
    int (*report)(void *ctx, struct registry *g, const struct registry_version *v, const char *what, struct buf *out, bool *html, struct err *err);
    /* Would a version load?  Asked before a promotion. */
    int (*loads)(void *ctx, struct registry *g, const struct registry_version *v, struct err *err);
    void *ctx;
};
#define RELEASES_OPEN_S 600

struct releases;
/* registry, events: places as registry_open() and events_open() take them; events NULL: nothing is recorded;
 * server: what it calls itself where it says what it does with versions (serve_release.h); more NULL: nothing.  All of them are kept.  wake: a reply was given. */
int releases_open(struct releases **out, const char *registry, const char *events, const char *server, const struct releases_more *more, void (*wake)(void *ctx), void *ctx, struct err *err);
void releases_halt(struct releases *r);          /* what waits is refused, before the connections end; NULL is fine, here and below */
void releases_close(struct releases *r);
/* r NULL: there is no registry here, which is said.  The request has its visit. */
void releases_answer(struct releases *r, struct http_request *q, const struct dialect *d);
/* /lathe/report, which shows a ticket instead of a key: the request has no visit. */
void releases_report(struct releases *r, struct http_request *q, const struct dialect *d);

#endif
