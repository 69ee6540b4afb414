/* oci.h - the OCI's manifests (image-spec 1.1), read and made: how a version of a registry is told to programs that push and pull artifacts.
 *
 * A version is an image manifest of CNCF's ModelPack (model-spec): each file is a layer as it is, named by org.opencontainers.image.title, and the config tells what the model is.  A data
 * set has ORAS's empty config instead, and OCI_DATA as artifactType.
 * Read are manifests of any artifactType.  A layer's file is named by its title, by ModelPack's path, or, without both, by its digest. */
#ifndef STORE_OCI_H
#define STORE_OCI_H
#include <jansson.h>
#include "base/buf.h"
#include "store/registry.h"

#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_EMPTY "application/vnd.oci.empty.v1+json"
#define OCI_EMPTY_SHA256 "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"     /* of "{}" */
#define OCI_MODEL "application/vnd.cncf.model.manifest.v1+json"
#define OCI_DATA "application/vnd.lathe.data.v1"
#define OCI_SIGNATURE "application/vnd.dev.sigstore.bundle.v0.3+json"
enum { OCI_MANIFEST_MAX = 4 << 20, OCI_TAG = 129 };

/* ---- names ---- */

/* oci://HOST[:PORT]/REPOSITORY:TAG, or REPOSITORY@sha256:DIGEST.  reference: the tag, or sha256:DIGEST. */
struct oci_ref { char host[260], repository[256], reference[OCI_TAG]; bool by_digest; };
bool oci_is_ref(const char *text);                               /* begins with oci:// */
int oci_ref_parse(struct oci_ref *out, const char *text, struct err *err);      /* ERR_USAGE */
bool oci_ref_is_local(const struct oci_ref *ref);                /* its host is this machine's own address or localhost */
bool oci_tag_ok(const char *tag);
/* The 64 digits behind "sha256:", or NULL where the text is no such digest. */
const char *oci_digest(const char *text);

/* ---- manifests ---- */

/* type, title: the manifest's, "" where there is none. */
struct oci_blob { const char *type, *title; char sha256[SHA256_HEX]; uint64_t bytes; bool packed; };      /* packed: an archive of files */
struct oci_manifest {
    json_t *tree;
    const char *type, *artifact_type;        /* artifact_type: the config's where there is none */
    struct oci_blob config, subject;         /* subject.sha256 "": none */
    struct oci_blob *layer; int n_layer;
};
/* ERR_FORMAT, also for digests other than SHA-256; ERR_UNSUPPORTED: an index of manifests; ERR_RANGE. */
int oci_manifest_parse(struct oci_manifest *out, const char *text, size_t n, struct err *err);
void oci_manifest_release(struct oci_manifest *m);
/* The files of the version that it is, sorted.  What is no part of one (config, model.sig, .gitattributes: manifest.h) comes into kept as registry_addition.kept has it, its file being
 * "config" or the title.  Archives are ERR_UNSUPPORTED, two layers of one name ERR_FORMAT, none ERR_NOTFOUND. */
int oci_manifest_files(const struct oci_manifest *m, struct manifest *files, json_t *kept, struct err *err);

/* Manifest and config of a version: the same bytes for the same version.  Appended; config "{}" for a data set. */
int oci_version(const struct registry_version *v, const struct manifest *files, const json_t *facts, struct buf *manifest, struct buf *config, struct err *err);
/* What tells of a signature of a manifest, as an artifact of its own. */
int oci_signature(const struct oci_blob *subject, const char *sha256, uint64_t bytes, struct buf *manifest, struct err *err);
/* A descriptor as an index of referrers has it; the caller's. */
json_t *oci_referrer(const struct oci_manifest *m, const char *sha256, size_t bytes);

#endif
