/* registry_needs.h - the blobs that a registry's rows name: what must be there, and what no collector may take.  Internal to store/.
 *
 * Of a version whose bytes were removed (registry_gc.h) the manifest and the facts are named, its files are not. */
#ifndef STORE_REGISTRY_NEEDS_H
#define STORE_REGISTRY_NEEDS_H
#include <jansson.h>
#include "store/registry.h"

struct registry_needs {
    json_t *blobs;                       /* digest: { bytes (-1: not known), of: whose it is }, in the order of versions */
    json_t *views;                       /* digest of a manifest: its list, of versions that have their bytes */
    /* What is no digest, or a manifest that cannot be read: as the end of a sentence.  NULL: such a thing is ERR_CORRUPT. */
    int (*bad)(void *ctx, const char *of, const char *what, struct err *err);
    void *ctx;
};
/* tables: the registry's, or a replay of its journal; folder: where its blobs are.  Manifests are read. */
int registry_needs_read(struct registry_needs *n, struct db *tables, const char *folder, struct err *err);
void registry_needs_release(struct registry_needs *n);

/* Before the commit of a record that names blobs: the registry's id stands in the folder's file "registries". */
int registry_claim(struct registry *g, struct err *err);
/* ERR_UNSUPPORTED where other registries have their blobs in this folder too: what this one does not need they may. */
int registry_claimed_alone(struct registry *g, struct err *err);
#endif
