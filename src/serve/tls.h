/* tls.h - the certificate that connections get, which may be replaced while they go on.
 *
 * libmicrohttpd asks for it at each handshake.  A handshake that has begun goes on with what it got, so replaced ones are kept until
 * the end: a few KB each. */
#ifndef SERVE_TLS_H
#define SERVE_TLS_H
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include "base/err.h"

struct tls;
/* PEM texts: a key, and its certificate with those that lead to the root.  ERR_FORMAT, also where they do not belong together. */
int tls_new(struct tls **out, const char *key_pem, const char *cert_pem, struct err *err);
/* The same of two files. */
int tls_load(struct tls **out, const char *key_path, const char *cert_path, struct err *err);
void tls_free(struct tls *t);
void tls_replace(struct tls *t, struct tls *by);     /* any thread; by, just made, is taken */
/* For a handshake: stays as it is until tls_free(). */
void tls_get(struct tls *t, gnutls_pcert_st **cert, unsigned *n_cert, gnutls_privkey_t *key);

#endif
