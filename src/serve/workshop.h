/* workshop.h - from files that somebody brings to a version in the registry, over HTTP, for people who do not program.
 *
 *   GET  /lathe/workshop                    { admin, piece: bytes of a request, limits, used, registry, projects: [{ id, name, step, state, .. }], recipes, bases }
 *   POST /lathe/workshop                    { name }: a project
 *   GET  /lathe/workshop/ID                 the project (workshop_view.h)
 *   GET  /lathe/workshop/ID/state           the part of it that changes while something runs
 *   GET  /lathe/workshop/ID/metrics         ?from=BYTE of the training's metrics: { from, next, lines }
 *   GET  /lathe/workshop/ID/file            ?path=: an image, or what can be taken away: life.yaml, data.yaml, recipes/NAME.yaml, audit.html, train.html, log
 *   POST /lathe/workshop/ID/piece           ?path=&from=&size= with bytes of a file: { have }, and of a .zip that is whole { have, unpacked } (workshop_zip.h); 409 with { have } where others were expected (workshop_files.h)
 *   POST /lathe/workshop/ID/look            { goal, text, label, licence, base }: the audit, and what each recipe would take
 *   POST /lathe/workshop/ID/train           { recipe }
 *   POST /lathe/workshop/ID/stop
 *   POST /lathe/workshop/ID/register        { name, reason }
 *   POST /lathe/workshop/ID/remove          {} all of it, or { path } one of its files
 *
 * All of it is an admin's key's alone (keys.h): a page of elsewhere has none, and cannot have a browser send one.  Bytes and files of all projects together are limited.
 *
 * A project is a folder ID of the workshop: project.json, files/ as they were brought, and data.yaml, recipes/ and life.yaml, which `lathe run life.yaml` in that folder does again without
 * a server.  What the server runs is just that, one program at a time, of the lowest priority.  What is there is what is known: a server that begins again shows what ran as stopped,
 * and it goes on from where it was.
 *
 * Two threads: one reads and writes for requests, in their order; one runs programs, one project after the other.  A project that is being worked on is changed by the latter alone. */
#ifndef SERVE_WORKSHOP_H
#define SERVE_WORKSHOP_H
#include <stdatomic.h>
#include "serve/exchange.h"
#include "serve/program.h"

#define WORKSHOP_PIECE ((size_t)4 << 20)
struct workshop_opts {
    const char *folder;                  /* made where it is not there; one server at a time */
    const char *registry;                /* where versions go, as registry_open() takes it; NULL: nowhere */
    uint64_t bytes_max; int64_t files_max;
    const struct workshop_base *base; int n_base;        /* that people may go on from, beside the registry's (workshop_bases.h) */
    size_t piece;                        /* of a request's body */
    server_program_run *run; void *run_ctx;
    void (*wake)(void *ctx); void *ctx;  /* a reply was given */
};
struct workshop;
int workshop_open(struct workshop **out, const struct workshop_opts *o, struct err *err);       /* the strings are kept */
void workshop_halt(struct workshop *w);          /* ends what runs; what waits is refused; NULL is fine, here and below */
void workshop_close(struct workshop *w);
/* w NULL: there is no workshop here, which is said.  The request has its visit. */
void workshop_answer(struct workshop *w, struct http_request *q, const struct dialect *d);
#endif
