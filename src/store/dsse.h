/* dsse.h - signed statements: a DSSE envelope (github.com/secure-systems-lab/dsse) in a Sigstore bundle v0.3, as OpenSSF Model Signing has it:
 *
 *   { mediaType, verificationMaterial: { publicKey: { hint } | x509CertificateChain: { certificates: [{ rawBytes }] } | certificate, tlogEntries },
 *     dsseEnvelope: { payloadType, payload: base64, signatures: [{ sig: base64, keyid: "" }] } }
 *
 * Reading is strict, so that no field can be changed without an error here or a signature that does not hold: no unknown field, no field
 * twice, canonical base64, one signature, no key id, no entries of a log beside a key.  model_signing before 1.1 wrote the public key itself
 * (rawBytes, keyDetails) in place of the hint.  A bundle has at most 64 MiB and 16 certificates. */
#ifndef STORE_DSSE_H
#define STORE_DSSE_H
#include "base/buf.h"
#include "base/err.h"
#include "store/pki.h"

#define DSSE_IN_TOTO "application/vnd.in-toto+json"
enum { DSSE_BYTES_MAX = 64 << 20, DSSE_CERTS_MAX = 16 };

enum dsse_by { DSSE_BY_KEY, DSSE_BY_CERTIFICATE, DSSE_KEYLESS };
struct dsse {
    enum dsse_by by;
    struct buf payload, sig;
    char hint[SHA256_HEX];               /* "": there is none */
    struct buf public_pem;               /* of older bundles; or empty */
    char details[64];                    /* its keyDetails; "" */
    struct pki_certs chain;              /* the signing one first; of a keyless bundle that alone */
};

void dsse_init(struct dsse *d);
void dsse_release(struct dsse *d);
/* name leads the messages.  d is initialised by it, and released again on error. */
int dsse_parse(struct dsse *d, const char *text, size_t n, const char *name, struct err *err);
int dsse_read(struct dsse *d, const char *path, struct err *err);
/* Signs d->payload by a private key: d->sig, and the hint or, where d->chain is filled, by certificates. */
int dsse_sign(struct dsse *d, struct evp_pkey_st *key, struct err *err);
/* The bundle's text is appended. */
int dsse_write(const struct dsse *d, struct buf *out, struct err *err);

/* What is trusted. */
struct dsse_trust {
    struct evp_pkey_st *key;             /* NULL: certificates */
    struct pki_certs anchors;
    const char *identity;                /* that must have signed; NULL: anyone who is trusted.  Of a key: sha256:HINT */
    int64_t now;                         /* seconds since 1970 */
    bool may_be_expired;
};
/* Reads a public key or certificates (one of both paths, the other NULL) and the time. */
int dsse_trust_read(struct dsse_trust *t, const char *key, const char *ca, struct err *err);
void dsse_trust_release(struct dsse_trust *t);
/* Whether d was signed by who is trusted.  compat: model_signing's form before 1.0 is taken, too, whose bytes ("DSSEV1", and Python's repr of
 * the payload) were a mistake.  ERR_GATE where not, ERR_UNSUPPORTED of keyless ones.  holder (of a key: its identity alone) is filled as far as it was read. */
int dsse_verify(const struct dsse *d, const struct dsse_trust *t, bool compat, struct pki_holder *holder, struct err *err);

/* The bytes that are signed, appended. */
int dsse_pae(struct buf *out, const char *type, const void *payload, size_t n, struct err *err);
int dsse_pae_before_1(struct buf *out, const char *type, const void *payload, size_t n, struct err *err);
#endif
