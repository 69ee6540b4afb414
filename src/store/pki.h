/* pki.h - keys and certificates that signatures are made and judged with: elliptic curves P-256, P-384 and P-521, by libcrypto.
 *
 * A signature is ECDSA in DER over SHA-256, SHA-384 or SHA-512, by the curve's size.  Keys and certificates are read from PEM.  What is no
 * PEM, or of another kind, is ERR_FORMAT or ERR_UNSUPPORTED; what does not hold is ERR_GATE.  Any thread may call. */
#ifndef STORE_PKI_H
#define STORE_PKI_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

struct evp_pkey_st;              /* libcrypto's EVP_PKEY and X509 */
struct x509_st;

/* ---- keys ---- */

/* password (NULL: none) opens an encrypted key; nobody is asked on a terminal. */
int pki_private_read(struct evp_pkey_st **out, const char *path, const char *password, struct err *err);
int pki_public_read(struct evp_pkey_st **out, const char *path, struct err *err);
int pki_public_text(struct evp_pkey_st **out, const char *text, const char *name, struct err *err);      /* of PEM that is no file; name leads the messages */
/* A new key of "P-256", "P-384" or "P-521": PREFIX.key (PKCS #8, mode 600, encrypted where there is a password) and PREFIX.pub.  ERR_USAGE
 * where one of them is there. */
int pki_make(const char *prefix, const char *curve, const char *password, struct err *err);
void pki_free(struct evp_pkey_st *key);
/* SHA-256 of the public key's PEM, by which a bundle hints at it. */
int pki_hint(const struct evp_pkey_st *key, char hint[SHA256_HEX], struct err *err);
/* The name that Sigstore has for keys of its curve ("PKIX_ECDSA_P384_SHA_384"). */
const char *pki_details(const struct evp_pkey_st *key);
int pki_sign(struct evp_pkey_st *key, const void *p, size_t n, struct buf *sig, struct err *err);
/* sha256: whatever the curve is, as model_signing 0.2 did with certificates. */
int pki_verify(struct evp_pkey_st *key, const void *p, size_t n, const void *sig, size_t n_sig, bool sha256, struct err *err);

/* ---- certificates ---- */

struct pki_certs { struct x509_st **cert; int n; };        /* zeroed: none */
void pki_certs_release(struct pki_certs *c);
int pki_certs_read(struct pki_certs *c, const char *path, struct err *err);       /* appends all that a PEM file has, one at least */
int pki_certs_text(struct pki_certs *c, const char *text, const char *name, struct err *err);
int pki_certs_add(struct pki_certs *c, const void *der, size_t n, struct err *err);
int pki_certs_der(const struct pki_certs *c, int i, struct buf *out, struct err *err);
int pki_certs_match(const struct pki_certs *c, const struct evp_pkey_st *private_key, struct err *err);    /* the first one's key */

/* identity: the first name of a person, page or host that it was made for (subjectAltName), or its subject (RFC 2253: CN=release,O=Acme). */
struct pki_holder { char identity[256], subject[256], sha256[SHA256_HEX]; int64_t begins, ends; };
/* Whether the first certificate of a chain may sign, by one of the anchors.  As model_signing judges it: every certificate is valid at the
 * moment that the signing one begins, whose key usage is digitalSignature or whose extended key usage is code signing.  Beyond that, since
 * nothing proves when a signature was made: now (seconds since 1970) must lie in the signing certificate's own time (unless may_be_expired),
 * all certificates of the chain must be links to the anchor, and none may be weaker than 112 bits (RSA of 2048, SHA-256).  identity (NULL: anyone): one of its names, or its subject.
 * *key is the signing certificate's, to be freed; holder is filled as far as it was read. */
int pki_judge(struct evp_pkey_st **key, const struct pki_certs *chain, const struct pki_certs *anchors, int64_t now, bool may_be_expired, const char *identity,
              struct pki_holder *holder, struct err *err);
#endif
