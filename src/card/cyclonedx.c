/* cyclonedx.json: CycloneDX 1.7, a bill of materials whose subject is the data set and whose components are its sources, with their files. */
#include <stdio.h>
#include <string.h>
#include "card/bom.h"
#include "card/evidence.h"
#include "card/files.h"
#include "card/licences.h"
#include "card/questions.h"
#include "card/read.h"

struct bom { const struct card *c; struct doc d; struct err *err; };

/* declared: by a person; else it was found in files. */
static void licence(struct bom *b, json_t *o, const char *expression, bool declared)
{
    if (!expression)
        return;
    json_t *l = doc_add(&b->d, doc_put(&b->d, o, "licenses", doc_list(&b->d)), doc_object(&b->d));
    doc_str(&b->d, l, "expression", expression);
    doc_str(&b->d, l, "acknowledgement", declared ? "declared" : "concluded");
}

static void count_property(struct bom *b, json_t *list, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    bom_property(&b->d, list, name, text);
}

/* ---- the data set ---- */

static void party(struct bom *b, json_t *list, const char *said)
{
    const bool person = !strncmp(said, "Person: ", 8);
    json_t *o = doc_add(&b->d, list, doc_object(&b->d));
    doc_str(&b->d, doc_put(&b->d, o, person ? "contact" : "organization", doc_object(&b->d)), "name", said + (person ? 8 : 14));
}

static void given_up(struct bom *b, json_t *list, const json_t *part, const char *what)
{
    char text[200];
    const int64_t n = read_count(part, "given_up.n");
    snprintf(text, sizeof text, "%s: in %lld places of %lld records patterns were given up, and what is there may be missing", what, (long long)n, (long long)read_count(part, "given_up.records"));
    if (n)
        doc_add_str(&b->d, list, text);
}

static void sensitive(struct bom *b, json_t *o)
{
    const json_t *kinds = read_at(b->c->report, "pii.entities"), *secrets = read_at(b->c->report, "secrets");
    const char *key;
    json_t *v;
    char text[200];
    if (!kinds && !secrets)
        return;
    json_t *list = doc_put(&b->d, o, "sensitiveData", doc_list(&b->d));
    read_each(kinds, key, v) {
        snprintf(text, sizeof text, "%.150s: %lld found", key, (long long)read_count(v, "n"));
        doc_add_str(&b->d, list, text);
    }
    if (secrets) {
        snprintf(text, sizeof text, "secrets: %lld found", (long long)read_count(secrets, "n"));
        doc_add_str(&b->d, list, text);
    }
    given_up(b, list, read_at(b->c->report, "pii"), "personal data");
    given_up(b, list, secrets, "secrets");
}

static json_t *references(struct bom *b, const struct card *c)
{
    static const struct { const char *type, *id; } kinds[] = { { "website", "about.url" }, { "distribution", "about.download" } };
    json_t *list = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (!card_answer(c, kinds[i].id))
            continue;
        list = list ? list : doc_list(&b->d);
        json_t *o = doc_add(&b->d, list, doc_object(&b->d));
        doc_str(&b->d, o, "type", kinds[i].type);
        doc_str(&b->d, o, "url", card_answer(c, kinds[i].id));
    }
    return list;
}

/* Of the data set as data: what it is like, what of it is sensitive, who answers for it. */
static void data(struct bom *b, json_t *o)
{
    const struct card *c = b->c;
    json_t *d = doc_add(&b->d, doc_put(&b->d, o, "data", doc_list(&b->d)), doc_object(&b->d));
    doc_str(&b->d, d, "type", "dataset");
    doc_str(&b->d, d, "name", c->name);
    doc_str(&b->d, d, "description", card_answer(c, "about.description"));
    sensitive(b, d);
    if (card_answer(c, "about.creator"))
        party(b, doc_put(&b->d, doc_put(&b->d, d, "governance", doc_object(&b->d)), "owners", doc_list(&b->d)), card_answer(c, "about.creator"));
    json_t *list = doc_put(&b->d, doc_put(&b->d, d, "contents", doc_object(&b->d)), "properties", doc_list(&b->d));
    count_property(b, list, "lathe:records", read_count(c->report, "totals.records"));
    count_property(b, list, "lathe:records_kept", read_count(c->report, "totals.kept"));
    count_property(b, list, "lathe:bytes", read_count(c->report, "totals.bytes"));
    if (read_at(c->report, "totals.words"))
        count_property(b, list, "lathe:words", read_count(c->report, "totals.words"));
    const json_t *passed = read_at(c->report, "gate.passed");
    bom_property(&b->d, list, "lathe:gate", passed ? json_is_true(passed) ? "passed" : "failed" : NULL);
}

static int subject(struct bom *b, json_t *metadata)
{
    const struct card *c = b->c;
    struct buf whole;
    char version[80];
    json_t *o = doc_put(&b->d, metadata, "component", bom_component(&b->d, "dataset", "data", c->name));
    snprintf(version, sizeof version, "sha256:%s", c->digest);
    doc_str(&b->d, o, "version", card_answer(c, "about.version") ? card_answer(c, "about.version") : version);
    doc_str(&b->d, o, "description", card_answer(c, "about.description"));
    buf_init(&whole);
    const int rc = licence_of_card(c, &whole, b->err);
    if (!rc && whole.len)
        licence(b, o, whole.data, card_answer(c, "about.licence"));
    buf_release(&whole);
    json_t *list = references(b, c);
    if (list)
        doc_put(&b->d, o, "externalReferences", list);
    data(b, o);
    return rc;
}

/* ---- sources and files ---- */

static void file(struct bom *b, json_t *list, const json_t *f, const char *format)
{
    char type[64];
    if (!read_str(f, "path"))
        return;
    json_t *o = doc_add(&b->d, list, bom_component(&b->d, NULL, "file", read_str(f, "path")));
    file_type(type, read_str(f, "path"), format);
    doc_str(&b->d, o, "mime-type", strchr(type, '+') ? NULL : type);        /* the schema knows no packed types */
    bom_hash(&b->d, o, read_str(f, "sha256"));
}

static void files(struct bom *b, json_t *o, const json_t *list, const char *format)
{
    if (!json_array_size(list))
        return;
    json_t *to = doc_put(&b->d, o, "components", doc_list(&b->d));
    for (size_t i = 0; i < json_array_size(list); i++)
        file(b, to, json_array_get(list, i), format);
}

static void source(struct bom *b, json_t *list, const json_t *s)
{
    char ref[400];
    snprintf(ref, sizeof ref, "source:%.350s", read_str(s, "name"));
    json_t *o = doc_add(&b->d, list, bom_component(&b->d, ref, "data", read_str(s, "name")));
    licence(b, o, licence_of_source(b->c, s), read_str(s, "licence"));
    json_t *d = doc_add(&b->d, doc_put(&b->d, o, "data", doc_list(&b->d)), doc_object(&b->d));
    doc_str(&b->d, d, "type", "dataset");
    doc_str(&b->d, d, "name", read_str(s, "name"));
    doc_str(&b->d, d, "description", read_str(s, "purpose"));
    json_t *p = doc_put(&b->d, o, "properties", doc_list(&b->d));
    bom_property(&b->d, p, "lathe:licence", licence_of_source(b->c, s) ? NULL : "unknown");
    bom_property(&b->d, p, "lathe:origin", read_str(s, "origin"));
    bom_property(&b->d, p, "lathe:collected", read_str(s, "collected"));
    count_property(b, p, "lathe:records", read_count(s, "records"));
    count_property(b, p, "lathe:records_kept", read_count(s, "kept"));
    files(b, o, json_object_get(s, "files"), read_str(s, "format"));
}

static void components(struct bom *b, json_t *root)
{
    const json_t *list = json_object_get(b->c->report, "sources");
    json_t *to = doc_put(&b->d, root, "components", doc_list(&b->d));
    for (size_t i = 0; i < json_array_size(list); i++)
        source(b, to, json_array_get(list, i));
}

static void dependencies(struct bom *b, json_t *root)
{
    const json_t *list = json_object_get(b->c->report, "sources");
    json_t *o = doc_add(&b->d, doc_put(&b->d, root, "dependencies", doc_list(&b->d)), doc_object(&b->d));
    doc_str(&b->d, o, "ref", "dataset");
    json_t *on = doc_put(&b->d, o, "dependsOn", doc_list(&b->d));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char ref[400];
        snprintf(ref, sizeof ref, "source:%.350s", read_str(json_array_get(list, i), "name"));
        doc_add_str(&b->d, on, ref);
    }
}

int cyclonedx_of_card(const struct card *c, struct buf *out, struct err *err)
{
    struct bom b = { .c = c, .err = err };
    char urn[46];
    json_t *metadata;
    card_urn(c, urn);
    json_t *root = bom_begin(&b.d, urn, c->created, read_str(c->report, "lathe"), &metadata);
    const int rc = subject(&b, metadata);
    if (rc) {
        json_decref(root);
        return rc;
    }
    if (c->files)
        files(&b, json_object_get(metadata, "component"), c->files, NULL);
    components(&b, root);
    dependencies(&b, root);
    return doc_end(&b.d, root, out, err);
}
