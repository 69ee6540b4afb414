/* oci_transfer.h - a version brought to a registry of the OCI's, and a manifest from there made a version here.
 *
 * Blobs that are there already are passed over.  What was cut off goes on where it was, by the same call again: downloads lie in FOLDER/oci/part, and where an upload is to go on in FOLDER/oci/push, for as
 * long as the other registry keeps it.  Signatures come and go as referrers; a registry without that API gets them by the specification's tag.  One thread. */
#ifndef STORE_OCI_TRANSFER_H
#define STORE_OCI_TRANSFER_H
#include "store/oci_registry.h"
#include "store/oci_remote.h"

struct oci_result {
    char sha256[SHA256_HEX];             /* the manifest's */
    int n_blob, n_moved, n_signature;    /* blobs of the manifest; those that had to be moved; signatures beside it */
    uint64_t bytes, bytes_moved;
    double seconds;
};
/* ref: with a tag. */
int oci_push_version(struct registry *g, const struct registry_version *v, struct oci_remote *r, struct oci_result *out, struct err *err);

struct oci_pull {
    const char *name;                    /* NULL: the last part of the repository */
    int n_job;
    struct journal_by by;
    int (*add)(struct registry *g, struct registry_addition *a, const struct journal_by *by, struct registry_version *out, struct err *err);
};
int oci_pull_version(struct registry *g, struct oci_remote *r, const struct oci_pull *p, struct registry_version *v, struct oci_result *out, struct err *err);

#endif
