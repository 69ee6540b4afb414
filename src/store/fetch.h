/* fetch.h - many GETs at a time (libcurl), each into memory or into a file that is verified while it comes.
 *
 * What goes wrong on the way (a dropped or silent connection, 408, 429, 5xx) is tried again after a pause, at the place where
 * it stopped; a server that does not send the asked range begins the file again.  Everything is bounded: tries, the size of
 * answers (a file has its size beforehand), redirects.  The token goes to the host of the URL and to no other.  One thread. */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H
#include <signal.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

/* A file to come: collected as `part`, named `path` when it has `size` bytes and the digest.  Caller's strings. */
struct fetch_file {
    const char *part, *path, *name;        /* name: for messages */
    uint64_t size;
    char digest[SHA256_HEX];               /* SHA-256, or git's SHA-1 of a blob when 40 digits long */
    char sha256[SHA256_HEX];               /* out */
    uint64_t here, came;                   /* out: bytes that are there so far; that came by this call, also those given up */
};
struct fetch {
    const char *url;
    struct fetch_file *file;               /* or, when NULL, */
    struct buf *body; size_t body_max;     /* the answer, in memory */
    /* out */
    int status;                            /* HTTP status; 0: none came */
    char error_code[64], error_message[200];    /* the hub's X-Error-Code and X-Error-Message, tidied */
    char next[1000];                       /* URL of Link: rel="next", or "" */
};
struct fetch_opts {
    const char *token;                     /* sent as bearer; NULL: none */
    const char *authorization;             /* or the whole value of the header; NULL: none */
    int n_job;                             /* transfers at a time */
    int n_try;                             /* tries in a row that bring nothing new */
    volatile sig_atomic_t *stop;           /* set: what is there is kept, ERR_STOPPED; may be NULL */
    void (*progress)(void *ctx);           /* a few times a second; may be NULL */
    void *ctx;
};
/* Ends at the first request that fails for good; what came of the others stays in their parts.  A status of 4xx is ERR_NOTFOUND
 * with `*failed` set to the index, for the caller to explain. */
int fetch_run(struct fetch *list, int n, const struct fetch_opts *o, int *failed, struct err *err);
/* The URL of rel="next" in the value of a Link header (RFC 8288), or an empty string. */
void fetch_link_next(const char *value, char *out, size_t size);
/* The value of a header line, n bytes behind its colon, without the white space around it; cut to size. */
void fetch_copy_value(char *out, size_t size, const char *s, size_t n);
#endif
