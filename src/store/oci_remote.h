/* oci_remote.h - a repository of a registry that speaks the OCI's distribution-spec, asked over HTTP: one request after the other (libcurl), with what it wants to see of who asks.
 *
 * Who asks is told by $LATHE_OCI_USER and $LATHE_OCI_PASSWORD, or by what `docker login` and its like have written for the host ($DOCKER_CONFIG or ~/.docker, config.json: auths).  A registry that wants a
 * bearer token is asked for one where it says, and gets no more than that; user and password go to the registry's own host and to the token's place that it names, by https unless all of it is
 * plain.  One thread. */
#ifndef STORE_OCI_REMOTE_H
#define STORE_OCI_REMOTE_H
#include <signal.h>
#include "store/oci.h"

struct oci_remote_opts {
    bool plain_http;                     /* also where the host is another machine; this machine is asked without TLS anyway */
    bool pushes;                         /* a token is to be for that too */
    int n_try;                           /* tries in a row that bring nothing */
    volatile sig_atomic_t *stop;         /* may be NULL */
};
struct oci_remote { struct oci_ref ref; struct oci_remote_opts o; char base[600]; char *user, *password, *authorization; };
int oci_remote_open(struct oci_remote *r, const struct oci_ref *ref, const struct oci_remote_opts *o, struct err *err);
void oci_remote_close(struct oci_remote *r);

/* One request and its answer.  What goes wrong on the way, and 429 and 5xx, is tried again unless file is given. */
struct oci_call {
    const char *method, *url;
    const char *accept, *type, *range;   /* headers Accept, Content-Type, Content-Range; or NULL */
    const char *body; size_t n_body;
    struct file_stream *file;            /* instead of body: all that is left of it */
    struct buf *out; size_t out_max;     /* the answer's body; of errors what is shown of it; NULL: none */
    void (*progress)(void *ctx, uint64_t sent); void *ctx;
    bool to_realm;                       /* who asks is shown to whoever the url names */
    /* of the answer */
    int status;
    char location[2048], sent_range[64], digest[140], subject[140], challenge[1024], link[2048];
};
/* 0 whatever the status; ERR_IO where none came, ERR_STOPPED. */
int oci_call(struct oci_remote *r, struct oci_call *c, struct err *err);
/* An address that an answer named (what: whose, for the message), in full; free with mem_free.  ERR_FORMAT: it is none, or leaves TLS. */
int oci_absolute(char **url, const struct oci_remote *r, const char *place, const char *what, struct err *err);
/* As an error: ERR_NOTFOUND of 404, ERR_BUSY of 429, else ERR_IO, with the registry's own words. */
int oci_call_error(const struct oci_remote *r, const struct oci_call *c, const char *what, struct err *err);

#endif
