/* oms.h - OpenSSF Model Signing (github.com/ossf/model-signing-spec v1.0): a model's folder or file signed and verified, as model_signing does it.
 *
 * The statement (in-toto v1) has the model's name and root, and in its predicate https://model_signing/signature/v1.0 how the files were
 * listed and the digest of each (manifest.h); its bundle (dsse.h) is FOLDER/model.sig or FILE.sig.  model_signing 0.2 wrote the files as the
 * statement's subjects (https://model_signing/Digests/v0.1), which is read too.  Only SHA-256 is. */
#ifndef STORE_OMS_H
#define STORE_OMS_H
#include "store/dsse.h"
#include "store/manifest.h"

struct pool;

/* ---- what was signed ---- */

struct oms_statement {
    char *name;                          /* of the model, for people */
    char root[SHA256_HEX];               /* computed where the statement had none, before 1.0 */
    struct manifest files;               /* sorted; sizes are known of shards alone */
    uint64_t shard_bytes;                /* 0: whole files */
    bool follow_links;
    char **ignore;                       /* NULL-terminated: paths that are no part of it, with all below them */
};
int oms_statement_read(struct oms_statement *s, const char *text, size_t n, const char *name, struct err *err);
int oms_statement_write(const struct oms_statement *s, struct buf *out, struct err *err);
void oms_statement_release(struct oms_statement *s);

/* ---- signing ---- */

struct oms_sign {
    const char *key, *password;          /* path of a private key; NULL: it is not encrypted */
    const char *cert, *chain;            /* paths of its certificate and of those between it and an anchor; NULL */
    const char *out;                     /* where the bundle will be; NULL: oms_place() */
    const char *const *ignore;           /* NULL-terminated, or NULL */
    uint64_t shard_bytes;
    bool follow_links;
};
/* Lists, reads and signs what is at path, and writes the bundle.  ERR_CORRUPT where a file changed, came or went meanwhile. */
int oms_sign(const char *path, const struct oms_sign *how, struct pool *pool, char root[SHA256_HEX], struct err *err);
/* The key and certificates alone: signs any statement and writes the bundle to out. */
int oms_sign_statement(const char *text, size_t n, const struct oms_sign *how, const char *out, struct err *err);
/* The root that a signature of path would have: files that change meanwhile are an error, too.  bundle (NULL: none): no part of it, where it lies below. */
int oms_root(const char *path, const struct oms_sign *how, const char *bundle, struct pool *pool, char root[SHA256_HEX], struct err *err);
/* Where a signature of path is looked for: FOLDER/model.sig, FILE.sig or, where that is not there and model.sig beside the file is, that.
 * ERR_NOTFOUND with `must_exist`.  Free with mem_free. */
int oms_place(char **out, const char *path, bool must_exist, struct err *err);

/* ---- verifying ---- */

enum oms_what { OMS_CHANGED, OMS_MISSING, OMS_UNSIGNED, OMS_IGNORED };
extern const char *const oms_what_word[];                      /* "changed", .. */
struct oms_finding { enum oms_what what; char *name; };
struct oms_verdict {
    enum dsse_by by;
    struct pki_holder holder;
    char root[SHA256_HEX];               /* of what was signed */
    char name[256];
    int n_file;                          /* that were read and are as they were signed; shards count each */
    struct oms_finding *finding;
    int n_finding;
    bool listed;                         /* who signed is trusted, and the files were looked at */
};
struct oms_check {
    const struct dsse_trust *trust;
    const char *const *ignore;           /* paths that the user leaves out, besides those of the signature; NULL-terminated, or NULL */
    bool take_unsigned;                  /* files that are not signed are no fault */
    bool refuse_ignored;                 /* files that the signature leaves out are one: for who is to load them */
};
/* Whether what is at path is what was signed.  0: it is; ERR_GATE: not, and the verdict says why.  With a bundle of a folder and a path of
 * one file in it that file alone is looked at.  ERR_CORRUPT where a file changed, came or went meanwhile. */
int oms_verify(struct oms_verdict *v, const char *path, const char *bundle, const struct oms_check *how, struct pool *pool, struct err *err);
void oms_verdict_release(struct oms_verdict *v);
#endif
