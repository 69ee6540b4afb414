/* outline_bom.c - a version of a model as CycloneDX 1.7's machine-learning-model. */
#include <lathe.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "card/bom.h"
#include "report/outline.h"
#include "report/parts.h"

struct bom { struct doc d; const struct outline_of *of; };

static void number_property(struct bom *b, json_t *list, const char *name, const json_t *v)
{
    char text[32];
    if (!json_is_integer(v))
        return;
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    bom_property(&b->d, list, name, text);
}

/* What it is, and the data that it learned from. */
static void parameters(struct bom *b, json_t *card)
{
    const json_t *v = b->of->version;
    json_t *o = doc_put(&b->d, card, "modelParameters", doc_object(&b->d)), *p;
    size_t i;
    doc_str(&b->d, o, "architectureFamily", read_str(v, "facts.family"));
    json_t *data = NULL;
    json_array_foreach(read_at(v, "parents"), i, p)
        if (read_str(p, "role") && !strcmp(read_str(p, "role"), "data")) {
            data = data ? data : doc_put(&b->d, o, "datasets", doc_list(&b->d));
            json_t *set = doc_add(&b->d, data, doc_object(&b->d));
            doc_str(&b->d, set, "type", "dataset");
            doc_str(&b->d, set, "name", read_str(p, "parent"));
        }
}

/* CycloneDX's values are texts. */
static void metric(struct bom *b, json_t *list, const json_t *f)
{
    char *type = mem_printf("%s: %s", read_str(f, "kind") ? read_str(f, "kind") : "", read_str(f, "name") ? read_str(f, "name") : ""), value[32];
    json_t *o = doc_add(&b->d, list, doc_object(&b->d));
    snprintf(value, sizeof value, "%.6g", read_number(f, "value"));
    b->d.failed = b->d.failed || !type;
    doc_str(&b->d, o, "type", type);
    mem_free(type);
    doc_str(&b->d, o, "value", value);
    doc_str(&b->d, o, "slice", read_str(f, "of"));
    if (!figure_has_interval(f))
        return;
    json_t *interval = doc_put(&b->d, o, "confidenceInterval", doc_object(&b->d));
    snprintf(value, sizeof value, "%.6g", read_number(f, "low"));
    doc_str(&b->d, interval, "lowerBound", value);
    snprintf(value, sizeof value, "%.6g", read_number(f, "high"));
    doc_str(&b->d, interval, "upperBound", value);
}

static void metrics(struct bom *b, json_t *card)
{
    size_t i;
    json_t *f, *list = NULL;
    json_array_foreach(read_at(b->of->report, "figures"), i, f)
        if (isfinite(read_number(f, "value"))) {
            list = list ? list : doc_put(&b->d, doc_put(&b->d, card, "quantitativeAnalysis", doc_object(&b->d)), "performanceMetrics", doc_list(&b->d));
            metric(b, list, f);
        }
}

static json_t *model(struct bom *b)
{
    const json_t *v = b->of->version;
    char version[32];
    json_t *o = bom_component(&b->d, "model", "machine-learning-model", read_str(v, "name")), *f;
    size_t i;
    snprintf(version, sizeof version, "%lld", (long long)read_count(v, "number"));
    doc_str(&b->d, o, "version", version);
    bom_hash(&b->d, o, read_str(v, "root"));
    json_t *properties = doc_put(&b->d, o, "properties", doc_list(&b->d));
    bom_property(&b->d, properties, "lathe:digest", "the SHA-256 is the root of the files by OpenSSF Model Signing's rule");
    bom_property(&b->d, properties, "lathe:license", read_str(v, "facts.license"));
    number_property(b, properties, "lathe:parameters", read_at(v, "facts.parameters"));
    number_property(b, properties, "lathe:active_parameters", read_at(v, "facts.active_parameters"));
    json_t *files = doc_put(&b->d, o, "components", doc_list(&b->d));
    json_array_foreach(read_at(v, "files"), i, f) {
        json_t *file = doc_add(&b->d, files, bom_component(&b->d, NULL, "file", read_str(f, "name")));
        bom_hash(&b->d, file, read_str(f, "sha256"));
    }
    json_t *card = doc_put(&b->d, o, "modelCard", doc_object(&b->d));
    parameters(b, card);
    metrics(b, card);
    return o;
}

/* What it was made from, known by name. */
static void parents(struct bom *b, json_t *root)
{
    json_t *list = doc_put(&b->d, root, "components", doc_list(&b->d)), *on = doc_list(&b->d), *p;
    size_t i;
    char ref[300];
    json_array_foreach(read_at(b->of->version, "parents"), i, p) {
        if (!read_str(p, "parent"))
            continue;
        snprintf(ref, sizeof ref, "parent:%zu:%.250s", i, read_str(p, "parent"));
        const bool data = read_str(p, "role") && !strcmp(read_str(p, "role"), "data");
        doc_add(&b->d, list, bom_component(&b->d, ref, data ? "data" : "machine-learning-model", read_str(p, "parent")));
        doc_add_str(&b->d, on, ref);
    }
    json_t *o = doc_add(&b->d, doc_put(&b->d, root, "dependencies", doc_list(&b->d)), doc_object(&b->d));
    doc_str(&b->d, o, "ref", "model");
    doc_put(&b->d, o, "dependsOn", on);
}

int outline_bom(const struct outline_of *of, struct buf *out, struct err *err)
{
    struct bom b = { .of = of };
    const char *digest = read_str(of->version, "root");
    json_t *metadata;
    char urn[46];
    if (!digest || strlen(digest) != 64)
        return ERR(err, FORMAT, "the version has no root, expected 64 hexadecimal digits");
    bom_urn(digest, urn);
    json_t *root = bom_begin(&b.d, urn, read_str(of->version, "t"), LATHE_VERSION, &metadata);
    doc_put(&b.d, metadata, "component", model(&b));
    parents(&b, root);
    return doc_end(&b.d, root, out, err);
}
