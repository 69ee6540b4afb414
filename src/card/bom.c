#include "card/bom.h"
#include <stdio.h>

void bom_urn(const char h[65], char out[46])
{
    snprintf(out, 46, "urn:uuid:%.8s-%.4s-8%.3s-%c%.3s-%.12s", h, h + 8, h + 13, "89ab"[h[16] & 3], h + 17, h + 20);
}

json_t *bom_component(struct doc *d, const char *ref, const char *type, const char *name)
{
    json_t *o = doc_object(d);
    doc_str(d, o, "bom-ref", ref);
    doc_str(d, o, "type", type);
    doc_str(d, o, "name", name);
    return o;
}

void bom_hash(struct doc *d, json_t *o, const char *sha256)
{
    if (!sha256)
        return;
    json_t *h = doc_add(d, doc_put(d, o, "hashes", doc_list(d)), doc_object(d));
    doc_str(d, h, "alg", "SHA-256");
    doc_str(d, h, "content", sha256);
}

void bom_property(struct doc *d, json_t *list, const char *name, const char *value)
{
    if (!value)
        return;
    json_t *p = doc_add(d, list, doc_object(d));
    doc_str(d, p, "name", name);
    doc_str(d, p, "value", value);
}

json_t *bom_begin(struct doc *d, const char *urn, const char *timestamp, const char *lathe, json_t **metadata)
{
    json_t *root = doc_object(d);
    doc_str(d, root, "$schema", "http://cyclonedx.org/schema/bom-1.7.schema.json");
    doc_str(d, root, "bomFormat", "CycloneDX");
    doc_str(d, root, "specVersion", "1.7");
    doc_str(d, root, "serialNumber", urn);
    doc_int(d, root, "version", 1);
    *metadata = doc_put(d, root, "metadata", doc_object(d));
    doc_str(d, *metadata, "timestamp", timestamp);
    json_t *tool = doc_add(d, doc_put(d, doc_put(d, *metadata, "tools", doc_object(d)), "components", doc_list(d)), bom_component(d, NULL, "application", "lathe"));
    doc_str(d, tool, "version", lathe);
    return root;
}
