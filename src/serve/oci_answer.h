/* oci_answer.h - what the OCI's paths do with a registry's tables; between oci.c, which has the sockets, and store/.  Internal to them. */
#ifndef SERVE_OCI_ANSWER_H
#define SERVE_OCI_ANSWER_H
#include "serve/http.h"
#include "serve/oci_path.h"
#include "serve/oci_upload.h"
#include "serve/registry_server.h"

struct oci_ask {
    struct registry *g;
    const struct registry_server_opts *opts;
    const char *folder, *actor;
    struct http_request *q;
    struct oci_path path;
    struct upload *upload;               /* that becomes the blob path.what; or NULL */
    const struct buf *body;
    struct refusal e;                    /* where there was no reply */
};
void oci_answer(struct oci_ask *a);

/* code: for what is missing, or not well-formed. */
void oci_refuse_err(struct refusal *e, const struct err *err, const char *code);
void oci_tell_digest(struct http_request *q, const char *sha256);
void oci_created(struct http_request *q, const char *name, const char *what, const char *sha256);       /* 201; what: "blobs" or "manifests" */

#endif
