/* signature.h - may a model be loaded?  Only one whose signature holds, where the command line says so. */
#ifndef CMD_SIGNATURE_H
#define CMD_SIGNATURE_H
#include "base/err.h"
#include "base/opt.h"

extern const char *cmd_signature, *cmd_signature_key, *cmd_signature_ca, *cmd_signature_identity;
#define OPT_SIGNATURE \
    { OPT_CHOICE, "signature", &cmd_signature, "off|warn|enforce", "of models that are loaded (lathe sign): not looked at, a warning or an end where it does not hold; enforce where a key or CA is named, else off", 0, 0 }, \
    { OPT_STR, "signature-key", &cmd_signature_key, "<file>", "public key (PEM) that must have signed", 0, 0 }, \
    { OPT_STR, "signature-ca", &cmd_signature_ca, "<file>", "certificates (PEM) that the signing one must lead to", 0, 0 }, \
    { OPT_STR, "signature-identity", &cmd_signature_identity, "<text>", "who must have signed: a name in the certificate, or sha256:.. of the key", 0, 0 }

/* For what is at this path; 0 where nothing is.  By any thread. */
int cmd_check_signature(const char *path, struct err *err);
#endif
