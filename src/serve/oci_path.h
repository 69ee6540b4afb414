/* oci_path.h - what a path of the OCI's API names. */
#ifndef SERVE_OCI_PATH_H
#define SERVE_OCI_PATH_H
#include <stdbool.h>
#include "serve/json_in.h"
#include "store/oci.h"

enum oci_kind { OCI_AT_BASE, OCI_AT_BLOB, OCI_AT_UPLOADS, OCI_AT_UPLOAD, OCI_AT_MANIFEST, OCI_AT_TAGS, OCI_AT_REFERRERS };
/* what: a digest's 64 digits (blobs, referrers), an upload's id, a tag or sha256:... */
struct oci_path { enum oci_kind kind; char name[REGISTRY_NAME], what[OCI_TAG]; };
bool oci_is_path(const char *path);                          /* /v2 and below */
/* e: there is no such path, or a name, digest or tag is none. */
void oci_path_parse(struct oci_path *out, const char *path, struct refusal *e);
/* "A-B" of Content-Range, which may begin with "bytes "; false: it is none. */
bool oci_content_range(const char *value, uint64_t *from, uint64_t *to);
/* What Range asks of n bytes: 206 for one range (*from, *to inclusive), 416 where none of them is there, 200 for all. */
int oci_range(const char *value, uint64_t n, uint64_t *from, uint64_t *to);

#endif
