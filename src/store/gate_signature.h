/* gate_signature.h - is a signature one of a version's files, by someone that a policy trusts?
 *
 * The files are not read: the statement's list must be the version's manifest, whose blobs are what their names say. */
#ifndef STORE_GATE_SIGNATURE_H
#define STORE_GATE_SIGNATURE_H
#include "store/registry.h"

struct gate_signature {
    bool holds;
    char by[256];                        /* who signed: a name of the certificate, or sha256:.. of the key; "" where that is not known */
    char why[500];                       /* it does not hold */
};
/* signers: PEM texts, checked.  A signature that does not hold is no error. */
int gate_signature(struct gate_signature *out, struct registry *g, const char *blob, const struct manifest *files, const json_t *signers, struct err *err);
/* Whether each is a public key or certificates: ERR_FORMAT, which tells of a private key that it is one.  NULL: nobody. */
int gate_signers_check(const json_t *signers, const char *where, struct err *err);
#endif
