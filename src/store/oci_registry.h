/* oci_registry.h - a registry's versions as OCI manifests, and manifests that become versions.
 *
 * A manifest that was pushed is evidence of the version that it became, of kind "oci_manifest"; its blobs that are no files are of kind "oci_part".  An artifact with a subject
 * is evidence of the version that the subject is: "oci_referrer", its file being "sha256-" and the subject's digest; its layers are evidence of the kind that they have (evidence_kind.h).  So what
 * was pushed is told again byte for byte.  Versions that nobody pushed are told by a manifest made of them (oci.h), and their signature by an artifact made of it.
 *
 * A tag is a version's number or an alias.  An alias that was pushed is told by that manifest as long as nobody moves it, any other version by the manifest that was pushed last. */
#ifndef STORE_OCI_REGISTRY_H
#define STORE_OCI_REGISTRY_H
#include "store/oci.h"

/* text: the manifest, released by the caller, also on an error. */
struct oci_found { int64_t number; char sha256[SHA256_HEX], type[128]; struct buf text; };
/* tag_or_digest: sha256:... or a tag.  ERR_NOTFOUND. */
int oci_find(struct registry *g, const char *name, const char *tag_or_digest, struct oci_found *out, struct err *err);
/* The manifest of a version, as its number tells it. */
int oci_find_version(struct registry *g, const struct registry_version *v, struct oci_found *out, struct err *err);
/* A config that is made, no blob: appended.  ERR_NOTFOUND. */
int oci_find_config(struct registry *g, const char *name, const char *sha256, struct buf *out, struct err *err);
/* The index of artifacts whose subject is the manifest with this digest; artifact_type "": of any.  The caller's. */
int oci_referrers(struct registry *g, const char *name, const char *sha256, const char *artifact_type, json_t **out, struct err *err);
/* Tags in ASCII order, an array of texts.  ERR_NOTFOUND: there is no such name. */
int oci_tags(struct registry *g, const char *name, json_t **out, struct err *err);

/* Are all blobs of it here, with their sizes?  ERR_NOTFOUND, ERR_CORRUPT. */
int oci_blobs_are_here(struct registry *g, const struct oci_manifest *m, struct err *err);
struct oci_push {
    const char *name;
    const char *tag;                         /* NULL: none */
    bool is_version;                         /* also with a subject and without a tag */
    const char *text; size_t n;              /* the manifest's bytes, whose blobs are here */
    /* registry_add() with the facts of what a->path is. */
    int (*add)(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err);
};
/* The manifest becomes a version, of which the tag is an alias or the number that it must have (ERR_USAGE); or, with a subject and without a tag, evidence of the subject's version
 * (ERR_NOTFOUND where that is not here).  ERR_GATE: the alias was not moved, but the version is here. */
int oci_take(struct registry *g, const struct oci_push *p, const struct journal_by *by, struct registry_version *out, struct err *err);

#endif
