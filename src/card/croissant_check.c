/* Two passes: the first gathers the ids of all nodes, the second looks at each node and at what it refers to. */
#include "card/croissant_check.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "card/doc.h"
#include "card/read.h"

enum version { V0_8, V1_0, V1_1 };
static const char *const namespaces[] = { [V0_8] = "http://mlcommons.org/schema/", [V1_0] = "http://mlcommons.org/croissant/", [V1_1] = "http://mlcommons.org/croissant/" };
static const char schema_org[] = "https://schema.org/";

/* Where a property's name comes from: schema.org, Croissant, or either (containedIn moved from one to the other). */
enum from { SC, CR, EITHER };

enum { IRI = 300, PATH = 200, DEEP = 20 };
/* A node and the way to it. */
struct at { const json_t *o; char path[PATH]; };
/* no_id: the first node that has none, told when nothing else is wrong; its o is NULL where all have one. */
struct check { const json_t *context; enum version version; json_t *ids; struct at *no_id; bool live; const char *where; struct err *err; };

/* ---- terms ---- */

static void join(char out[IRI], const char *a, const char *b)
{
    /* http and https mean the same of schema.org. */
    snprintf(out, IRI, "%.130s%.160s", !strncmp(a, "http://schema.org/", 18) ? schema_org : a, b);
}

/* prefix:rest by the context; what has no prefix that is known stands as it is. */
static void expand_value(const struct check *c, const char *s, char out[IRI])
{
    char prefix[40];
    const char *colon = strchr(s, ':');
    const char *means = NULL;
    if (colon && (size_t)(colon - s) < sizeof prefix) {
        snprintf(prefix, sizeof prefix, "%.*s", (int)(colon - s), s);
        means = json_string_value(json_object_get(c->context, prefix));
    }
    if (means)
        join(out, means, colon + 1);
    else if (!strncmp(s, "http://schema.org/", 18))
        join(out, schema_org, s + 18);
    else
        join(out, "", s);
}

static void expand_term(const struct check *c, const char *key, char out[IRI])
{
    const json_t *means = json_object_get(c->context, key);
    const char *as = json_string_value(json_is_object(means) && json_object_get(means, "@id") ? json_object_get(means, "@id") : means);
    const char *vocab = json_string_value(json_object_get(c->context, "@vocab"));
    if (as)
        expand_value(c, as, out);
    else if (strchr(key, ':'))
        expand_value(c, key, out);
    else
        join(out, vocab ? vocab : schema_org, key);
}

static bool is_term(const struct check *c, const char *key, enum from from, const char *name)
{
    char iri[IRI], sc[IRI], cr[IRI];
    expand_term(c, key, iri);
    join(sc, schema_org, name);
    join(cr, namespaces[c->version], name);
    return (from != CR && !strcmp(iri, sc)) || (from != SC && !strcmp(iri, cr));
}

static const json_t *get(const struct check *c, const json_t *o, enum from from, const char *name)
{
    const char *key;
    json_t *v;
    read_each(o, key, v)
        if (is_term(c, key, from, name))
            return json_is_null(v) ? NULL : v;
    return NULL;
}

/* Where one is allowed, a list is too: the i-th, or the value itself for i = 0. */
static const json_t *nth(const json_t *v, size_t i) { return json_is_array(v) ? json_array_get(v, i) : i ? NULL : v; }

static const char *ref_of(const json_t *v) { return json_is_object(v) ? json_string_value(json_object_get(v, "@id")) : json_string_value(v); }

static bool has_type(const struct check *c, const json_t *o, enum from from, const char *name)
{
    const json_t *types = json_object_get(o, "@type"), *one;
    char iri[IRI], sc[IRI], cr[IRI];
    join(sc, schema_org, name);
    join(cr, namespaces[c->version], name);
    for (size_t i = 0; (one = nth(types, i)); i++) {
        if (!json_is_string(one))
            continue;
        strchr(json_string_value(one), ':') ? expand_value(c, json_string_value(one), iri) : expand_term(c, json_string_value(one), iri);
        if ((from != CR && !strcmp(iri, sc)) || (from != SC && !strcmp(iri, cr)))
            return true;
    }
    return false;
}

/* ---- errors and paths ---- */

static struct at into(const struct at *a, const json_t *o, const char *name, size_t i)
{
    struct at b = { .o = o };
    snprintf(b.path, PATH, "%.160s%s%.20s[%zu]", a->path, *a->path ? "." : "", name, i);
    return b;
}

static int wrong(const struct check *c, const struct at *a, const char *property, const char *found, const char *expected)
{
    return ERR(c->err, FORMAT, "%s: %s%s%s: found %.60s, expected %s", c->where, a->path, *a->path ? "." : "", property, found ? found : "nothing", expected);
}

/* Of an object's type, as it stands there. */
static const char *type_of(const json_t *o)
{
    const char *s = json_string_value(nth(json_object_get(o, "@type"), 0));
    return s ? s : "nothing";
}

/* ---- the first pass ---- */

/* 0.8 knows things by name, later versions by @id. */
static const char *id_of(const struct check *c, const json_t *o) { return json_string_value(c->version == V0_8 ? get(c, o, SC, "name") : json_object_get(o, "@id")); }

static int keep_id(const struct check *c, const struct at *a, const char *id, const char *what)
{
    if (!id || !*id) {
        *c->no_id = c->no_id->o ? *c->no_id : *a;
        return 0;
    }
    if (strpbrk(id, " \t\r\n"))
        return wrong(c, a, c->version == V0_8 ? "name" : "@id", id, "no white space");
    if (json_object_get(c->ids, id))
        return wrong(c, a, c->version == V0_8 ? "name" : "@id", id, "another than that of a node before");
    return json_object_set_new(c->ids, id, json_string(what)) < 0 ? ERR(c->err, NOMEM, "no memory for a document's ids") : 0;
}

static int keep_fields(const struct check *c, const struct at *set, const json_t *fields, const char *of, int depth)
{
    const json_t *o;
    for (size_t i = 0; (o = nth(fields, i)); i++) {
        const struct at a = into(set, o, depth ? "subField" : "field", i);
        const char *id = id_of(c, o);
        char long_id[IRI];
        if (!json_is_object(o))
            return wrong(c, &a, "@type", "no object", "a Field");
        if (depth > DEEP)
            return wrong(c, &a, "subField", "more", "at most 20 within each other");
        snprintf(long_id, sizeof long_id, "%.140s/%.140s", of ? of : "", id ? id : "");
        TRY(keep_id(c, &a, !id || !*id ? NULL : c->version == V0_8 ? long_id : id, "field"));
        TRY(keep_fields(c, &a, get(c, o, CR, "subField"), c->version == V0_8 ? long_id : id, depth + 1));
    }
    return 0;
}

static int keep_ids(const struct check *c, const struct at *root)
{
    const json_t *files = get(c, root->o, SC, "distribution"), *sets = get(c, root->o, CR, "recordSet"), *o;
    for (size_t i = 0; (o = nth(files, i)); i++) {
        const struct at a = into(root, o, "distribution", i);
        if (!json_is_object(o))
            return wrong(c, &a, "@type", "no object", "a FileObject or FileSet");
        TRY(keep_id(c, &a, id_of(c, o), "file"));
    }
    for (size_t i = 0; (o = nth(sets, i)); i++) {
        const struct at a = into(root, o, "recordSet", i);
        if (!json_is_object(o))
            return wrong(c, &a, "@type", "no object", "a RecordSet");
        TRY(keep_id(c, &a, id_of(c, o), "recordSet"));
        TRY(keep_fields(c, &a, get(c, o, CR, "field"), id_of(c, o), 0));
    }
    return 0;
}

/* ---- texts ---- */

/* A text, or from 1.1 on texts by language: {"en": ".."}, {"@language": "en", "@value": ".."}, or a list of these. */
static bool is_text(const struct check *c, const json_t *v, int depth)
{
    const char *key;
    json_t *one;
    size_t i;
    bool all = true;
    if (json_is_string(v))
        return true;
    if (c->version < V1_1 || depth > 2)
        return false;
    read_each(v, key, one)
        all = all && json_is_string(one);
    json_array_foreach(v, i, one)
        all = all && is_text(c, one, depth + 1);
    return all && (json_object_size(v) || json_array_size(v));
}

static int texts(const struct check *c, const struct at *a)
{
    static const char *const names[] = { "name", "description" };
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = get(c, a->o, SC, names[i]);
        if (v && !is_text(c, v, 0))
            return wrong(c, a, names[i], json_is_string(v) ? json_string_value(v) : "another type", c->version < V1_1 ? "a text" : "a text, or texts by language");
    }
    return 0;
}

static int must_have(const struct check *c, const struct at *a, enum from from, const char *name, const char *expected)
{
    const json_t *v = get(c, a->o, from, name);
    const bool empty = (json_is_string(v) && !json_string_length(v)) || (json_is_array(v) && !json_array_size(v));
    return v && !empty ? 0 : wrong(c, a, name, NULL, expected);
}

static int must_refer(const struct check *c, const struct at *a, const char *name, const json_t *v)
{
    const json_t *one;
    for (size_t i = 0; (one = nth(v, i)); i++) {
        const char *id = ref_of(one);
        if (!id)
            return wrong(c, a, name, "no id", "the id of a node");
        if (!json_object_get(c->ids, id))
            return wrong(c, a, name, id, "the id of a node that is there");
    }
    return 0;
}

/* ---- files ---- */

static int file(const struct check *c, const struct at *a)
{
    const bool object = has_type(c, a->o, EITHER, "FileObject"), set = has_type(c, a->o, EITHER, "FileSet");
    const json_t *within = get(c, a->o, EITHER, "containedIn");
    if (!object && !set)
        return wrong(c, a, "@type", type_of(a->o), "FileObject or FileSet");
    TRY(texts(c, a));
    TRY(must_have(c, a, SC, "encodingFormat", "a media type"));
    if (within)
        TRY(must_refer(c, a, "containedIn", json_is_object(within) && !json_object_get(within, "@id") ? NULL : within));
    if (set)
        return must_have(c, a, CR, "includes", "patterns of the files' names");
    if (!within)
        TRY(must_have(c, a, SC, "contentUrl", "where the file is"));
    if (!within && !c->live && !get(c, a->o, EITHER, "sha256") && !get(c, a->o, EITHER, "md5"))
        return wrong(c, a, "sha256", NULL, "the sum of the file, or md5");
    return 0;
}

/* ---- fields ---- */

/* A set's fields may come from one place; more want a join. */
struct origins { const char *first; bool several, joined; };

static const json_t *part_of_source(const struct check *c, const json_t *source, const char **name)
{
    static const struct { enum from from; const char *name; } parts[] = { { CR, "fileObject" }, { CR, "fileSet" }, { CR, "recordSet" }, { SC, "distribution" }, { CR, "field" } };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *v = get(c, source, parts[i].from, parts[i].name);
        *name = parts[i].name;
        if (v)
            return v;
    }
    return NULL;
}

static int source(const struct check *c, const struct at *a, const json_t *from, struct origins *origins)
{
    const char *name = "source";
    const json_t *part = json_is_object(from) ? part_of_source(c, from, &name) : from;
    if (!part)
        return wrong(c, a, "source", "none of them", "fileObject, fileSet or field");
    TRY(must_refer(c, a, name, part));
    const char *id = ref_of(nth(part, 0));
    if (!strcmp(name, "field"))
        return 0;
    if (!origins->first)
        origins->first = id;
    origins->several = origins->several || strcmp(origins->first, id);
    return 0;
}

static int shape(const struct check *c, const struct at *a)
{
    const json_t *form = get(c, a->o, CR, "arrayShape");
    const char *s = json_string_value(form);
    if (!form)
        return 0;
    if (!json_is_true(get(c, a->o, CR, "isArray")))
        return wrong(c, a, "arrayShape", s ? s : "one", "isArray with it");
    do {
        const size_t n = s ? strspn(s += *s == '-', "0123456789") : 0;
        if (!n || n > 9 || (s[n] && s[n] != ','))
            return wrong(c, a, "arrayShape", json_string_value(form), "whole numbers with commas");
        s += n;
    } while (*s++ == ',');
    return 0;
}

static int field(const struct check *c, const struct at *a, bool sourced, bool typed, struct origins *origins, int depth)
{
    const json_t *from = get(c, a->o, CR, "source"), *subs = get(c, a->o, CR, "subField"), *o;
    if (!has_type(c, a->o, CR, "Field"))
        return wrong(c, a, "@type", type_of(a->o), "Field");
    TRY(texts(c, a));
    TRY(shape(c, a));
    if (get(c, a->o, CR, "references"))
        origins->joined = true;
    if (from)
        TRY(source(c, a, from, origins));
    else if (!sourced && !subs && !get(c, a->o, CR, "value") && !get(c, a->o, CR, "parentField"))
        return wrong(c, a, "source", NULL, "source or value");
    /* A field that is taken from another has its type. */
    typed = typed || get(c, a->o, CR, "dataType") || (json_is_object(from) && get(c, from, CR, "field"));
    if (!typed && !subs)
        return wrong(c, a, "dataType", NULL, "a type of Croissant's vocabulary");
    for (size_t i = 0; (o = nth(subs, i)); i++) {
        const struct at b = into(a, o, "subField", i);
        TRY(field(c, &b, sourced || from, typed, origins, depth + 1));
    }
    return 0;
}

static int record_set(const struct check *c, const struct at *a)
{
    const json_t *fields = get(c, a->o, CR, "field"), *o;
    struct origins origins = { 0 };
    if (!has_type(c, a->o, CR, "RecordSet"))
        return wrong(c, a, "@type", type_of(a->o), "RecordSet");
    TRY(texts(c, a));
    const bool inside = get(c, a->o, CR, "data");
    for (size_t i = 0; (o = nth(fields, i)); i++) {
        const struct at b = into(a, o, "field", i);
        TRY(field(c, &b, inside, false, &origins, 0));
    }
    if (origins.several && !origins.joined)
        return wrong(c, a, "field", "several sources", "references that join them");
    return 0;
}

/* ---- the document ---- */

static int version_of(struct check *c, const struct at *root)
{
    static const char *const ids[] = { "http://mlcommons.org/croissant/0.8", "http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/1.1" };
    const char *key, *said = NULL;
    const json_t *one;
    json_t *v;
    char iri[IRI];
    read_each(root->o, key, v) {
        expand_term(c, key, iri);
        if (strcmp(iri, "http://purl.org/dc/terms/conformsTo"))
            continue;
        for (size_t i = 0; (one = nth(v, i)); i++) {
            said = ref_of(one) ? ref_of(one) : "another type";
            for (int k = V0_8; k <= V1_1; k++)
                if (!strcmp(ids[k], said)) {
                    c->version = (enum version)k;
                    return 0;
                }
        }
    }
    c->version = V0_8;
    return said ? wrong(c, root, "conformsTo", said, "http://mlcommons.org/croissant/1.1 or an earlier version") : 0;
}

static int nodes(const struct check *c, const struct at *root)
{
    const json_t *files = get(c, root->o, SC, "distribution"), *sets = get(c, root->o, CR, "recordSet"), *o;
    for (size_t i = 0; (o = nth(files, i)); i++) {
        const struct at a = into(root, o, "distribution", i);
        TRY(file(c, &a));
    }
    for (size_t i = 0; (o = nth(sets, i)); i++) {
        const struct at a = into(root, o, "recordSet", i);
        TRY(record_set(c, &a));
    }
    return 0;
}

int croissant_check(const json_t *doc, const char *where, struct err *err)
{
    struct at no_id = { 0 };
    struct check c = { .context = json_object_get(doc, "@context"), .no_id = &no_id, .where = where, .err = err };
    const struct at root = { .o = doc };
    if (!json_is_object(doc))
        return ERR(err, FORMAT, "%s: expected an object", where);
    if (!json_is_object(c.context))
        return wrong(&c, &root, "@context", json_is_string(c.context) ? json_string_value(c.context) : NULL, "an object of terms");
    TRY(version_of(&c, &root));
    if (!has_type(&c, doc, SC, "Dataset"))
        return wrong(&c, &root, "@type", type_of(doc), "schema.org's Dataset");
    TRY(must_have(&c, &root, SC, "name", "the name of the data set"));
    TRY(texts(&c, &root));
    c.live = json_is_true(get(&c, doc, CR, "isLiveDataset"));
    if (!(c.ids = json_object()))
        return ERR(err, NOMEM, "no memory for a document's ids");
    int rc = keep_ids(&c, &root);
    if (!rc)
        rc = nodes(&c, &root);
    if (!rc && no_id.o)
        rc = wrong(&c, &no_id, c.version == V0_8 ? "name" : "@id", NULL, "a name by which it is referred to");
    json_decref(c.ids);
    return rc;
}
