/* bom.h - what bills of materials in CycloneDX 1.7 share: the head, and components with their digests and properties.
 *
 * As with doc.h only memory can lack, which doc_end() says. */
#ifndef CARD_BOM_H
#define CARD_BOM_H
#include "card/doc.h"

/* The head: format, serial number, time, and lathe of a version as the tool that made it; *metadata is what the subject goes into, as "component". */
json_t *bom_begin(struct doc *d, const char *urn, const char *timestamp, const char *lathe, json_t **metadata);
/* A UUID made of a digest, so that the same thing has the same bill. */
void bom_urn(const char sha256[65], char out[46]);
json_t *bom_component(struct doc *d, const char *ref, const char *type, const char *name);      /* ref NULL: none */
void bom_hash(struct doc *d, json_t *component, const char *sha256);                            /* NULL: none */
void bom_property(struct doc *d, json_t *list, const char *name, const char *value);            /* NULL: none */

#endif
