/* oci.h - the paths of the OCI's distribution-spec 1.1 (/v2/): the part of a registry's server (registry_server.h) that pushes and pulls go to.
 *
 * Blobs go from the disk to sockets and back piece by piece, and an upload's digest is known when its last byte has come.  Uploads are known to the server that began them: they go on over
 * several connections, but not over its end.  One that nobody wrote to for an hour is gone.
 * The thread of connections calls all of this; what needs the registry's tables is handed to turns. */
#ifndef SERVE_OCI_H
#define SERVE_OCI_H
#include "serve/oci_upload.h"
#include "serve/registry_server.h"
#include "serve/turns.h"
#include "serve/visit.h"

/* http_user() of a request of the server. */
struct registry_visit {
    struct visit visit;
    struct upload *upload;               /* held for what comes with it */
};

struct oci;
/* g: used by turns alone. */
int oci_new(struct oci **out, const struct registry_server_opts *o, struct registry *g, struct turns *turns, struct err *err);
void oci_free(struct oci *o);            /* after turns; NULL is fine */
bool oci_is_path(const char *path);
/* Of requests that may be answered.  admit(): before a body comes. */
void oci_admit(struct oci *o, struct http_request *q, struct refusal *e);
void oci_handle(struct oci *o, struct http_request *q);
void oci_over(struct oci *o, struct http_request *q);
/* {"errors": [{"code", "message"}]} */
int oci_write_refusal(struct buf *b, const struct refusal *e);
void oci_refuse(struct http_request *q, const struct refusal *e);

#endif
