/* croissant.json: Croissant 1.1 (JSON-LD), with the properties of RAI 1.0.
 *
 * Each file is a FileObject with its SHA-256, those of a source together a FileSet, and a source a RecordSet with one field, its text.
 * A file whose SHA-256 is not known cannot be named (the format wants it) and is left out.  Ids have no white space: mlcroissant refuses it.
 * schema.org is written with https, as mlcroissant wants it, where the text of 1.1 has http. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "card/croissant_check.h"
#include "card/doc.h"
#include "card/evidence.h"
#include "card/files.h"
#include "card/licences.h"
#include "card/questions.h"
#include "card/read.h"

/* The terms that documents of 1.1 use, and where they come from. */
static const struct { const char *term, *means; } terms[] = {
    { "@language", "en" }, { "@vocab", "https://schema.org/" }, { "arrayShape", "cr:arrayShape" }, { "citeAs", "cr:citeAs" }, { "column", "cr:column" }, { "conformsTo", "dct:conformsTo" },
    { "containedIn", "cr:containedIn" }, { "cr", "http://mlcommons.org/croissant/" }, { "dct", "http://purl.org/dc/terms/" }, { "equivalentProperty", "cr:equivalentProperty" },
    { "excludes", "cr:excludes" }, { "extract", "cr:extract" }, { "field", "cr:field" }, { "fileObject", "cr:fileObject" }, { "fileProperty", "cr:fileProperty" }, { "fileSet", "cr:fileSet" },
    { "format", "cr:format" }, { "includes", "cr:includes" }, { "isArray", "cr:isArray" }, { "isLiveDataset", "cr:isLiveDataset" }, { "jsonPath", "cr:jsonPath" }, { "key", "cr:key" },
    { "md5", "cr:md5" }, { "parentField", "cr:parentField" }, { "path", "cr:path" }, { "prov", "http://www.w3.org/ns/prov#" }, { "rai", "http://mlcommons.org/croissant/RAI/" },
    { "recordSet", "cr:recordSet" }, { "references", "cr:references" }, { "regex", "cr:regex" }, { "repeated", "cr:repeated" }, { "replace", "cr:replace" }, { "samplingRate", "cr:samplingRate" },
    { "sc", "https://schema.org/" }, { "separator", "cr:separator" }, { "source", "cr:source" }, { "subField", "cr:subField" }, { "transform", "cr:transform" },
};

static json_t *id_of(struct doc *d, const char *id)
{
    json_t *o = doc_object(d);
    doc_str(d, o, "@id", id);
    return o;
}

static json_t *node(struct doc *d, const char *type, const char *id, const char *name)
{
    json_t *o = doc_object(d);
    doc_str(d, o, "@type", type);
    doc_str(d, o, "@id", id);
    doc_str(d, o, "name", name);
    return o;
}

static void context(struct doc *d, json_t *root)
{
    json_t *c = doc_put(d, root, "@context", doc_object(d));
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        doc_str(d, c, terms[i].term, terms[i].means);
    json_t *type = doc_put(d, c, "dataType", doc_object(d));
    doc_str(d, type, "@id", "cr:dataType"), doc_str(d, type, "@type", "@vocab");
    static const char *const json[] = { "data", "examples" };
    for (size_t i = 0; i < 2; i++) {
        char means[20];
        snprintf(means, sizeof means, "cr:%s", json[i]);
        json_t *o = doc_put(d, c, json[i], doc_object(d));
        doc_str(d, o, "@id", means), doc_str(d, o, "@type", "@json");
    }
    static const char *const translated[] = { "description", "name" };
    for (size_t i = 0; i < 2; i++)
        doc_str(d, doc_put(d, c, translated[i], doc_object(d)), "@container", "@language");
}

/* ---- what it is ---- */

static void creator(struct doc *d, json_t *root, const char *said)
{
    if (!said)
        return;
    const bool person = !strncmp(said, "Person: ", 8);
    json_t *o = doc_put(d, root, "creator", doc_object(d));
    doc_str(d, o, "@type", person ? "sc:Person" : "sc:Organization");
    doc_str(d, o, "name", said + (person ? 8 : 14));
}

static void licence_value(struct doc *d, json_t *root, const char *expression)
{
    char url[160];
    const int n = snprintf(url, sizeof url, "https://spdx.org/licenses/%s.html", expression);
    doc_str(d, root, "license", licence_is_id(expression) && n < (int)sizeof url ? url : expression);
}

static int about(const struct card *c, struct doc *d, json_t *root, struct err *err)
{
    static const struct { const char *key, *id; } said[] = { { "description", "about.description" }, { "url", "about.url" }, { "datePublished", "about.published" }, { "version", "about.version" }, { "citeAs", "about.citation" } };
    json_t *conforms = doc_put(d, root, "conformsTo", doc_list(d));
    doc_add_str(d, conforms, "http://mlcommons.org/croissant/1.1");
    doc_add_str(d, conforms, "http://mlcommons.org/croissant/RAI/1.0");
    doc_str(d, root, "name", c->name);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        doc_str(d, root, said[i].key, card_answer(c, said[i].id));
    creator(d, root, card_answer(c, "about.creator"));
    struct buf licence;
    buf_init(&licence);
    const int rc = licence_of_card(c, &licence, err);
    if (!rc && licence.len)
        licence_value(d, root, licence.data);
    buf_release(&licence);
    return rc;
}

/* ---- responsible AI ---- */

static void add_lines(struct doc *d, json_t *list, const char *text)
{
    while (*text) {
        const size_t n = strcspn(text, "\n"), from = n > 2 && !strncmp(text, "- ", 2) ? 2 : 0;
        if (n > from)
            doc_add(d, list, json_stringn(text + from, n - from));
        text += n + (text[n] == '\n');
    }
}

/* What is known and what was said; one text, or a list of them. */
static int rai(const struct card *c, struct doc *d, json_t *root, const char *key, bool many, int (*evidence)(const struct card *c, struct buf *out, struct err *err), const char *id, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = evidence ? evidence(c, &b, err) : 0;
    const char *said = id ? card_answer(c, id) : NULL;
    if (!rc && said && b.len && b.data[b.len - 1] != '\n')
        rc = buf_add_char(&b, '\n', err);
    if (!rc && said)
        rc = buf_add_str(&b, said, err);
    if (!rc && b.len && many)
        add_lines(d, doc_put(d, root, key, doc_list(d)), b.data);
    else if (!rc)
        doc_text(d, root, key, &b);
    buf_release(&b);
    return rc;
}

static void timeframe(const struct card *c, struct doc *d, json_t *root)
{
    const char *first = NULL, *last = NULL;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(c->report, "sources"), i, s) {
        const char *day = read_str(s, "collected");
        if (!card_is_date(day))
            continue;
        first = !first || strcmp(day, first) < 0 ? day : first;
        last = !last || strcmp(day, last) > 0 ? day : last;
    }
    if (!first)
        return;
    json_t *list = doc_put(d, root, "rai:dataCollectionTimeframe", doc_list(d));
    doc_add_str(d, list, first);
    if (strcmp(first, last))
        doc_add_str(d, list, last);
}

static int responsible(const struct card *c, struct doc *d, json_t *root, struct err *err)
{
    TRY(rai(c, d, root, "rai:dataCollection", false, evidence_origins, "collection.acquired", err));
    TRY(rai(c, d, root, "rai:dataCollectionMissingData", false, evidence_missing, "composition.missing", err));
    TRY(rai(c, d, root, "rai:dataCollectionRawData", false, evidence_raw, "preprocessing.raw", err));
    timeframe(c, d, root);
    TRY(rai(c, d, root, "rai:dataPreprocessingProtocol", true, evidence_cleaning, "preprocessing.done", err));
    TRY(rai(c, d, root, "rai:dataUseCases", true, evidence_purposes, "motivation.purpose", err));
    TRY(rai(c, d, root, "rai:dataLimitations", true, evidence_limits, "uses.impact", err));
    TRY(rai(c, d, root, "rai:dataBiases", true, evidence_groups, "composition.subpopulations", err));
    TRY(rai(c, d, root, "rai:dataSocialImpact", false, NULL, "collection.impact", err));
    TRY(rai(c, d, root, "rai:personalSensitiveInformation", true, evidence_personal, "composition.sensitive", err));
    return rai(c, d, root, "rai:dataReleaseMaintenancePlan", false, NULL, "maintenance.updates", err);
}

/* ---- files ---- */

struct making { struct doc *d; json_t *list, *includes, *types; struct err *err; };

static void file_id(char out[400], const struct card_file *f)
{
    if (f->source)
        snprintf(out, 400, "file/%.300s/%zu", read_str(f->source, "name"), f->i_file);
    else
        snprintf(out, 400, "file/%zu", f->i_file);
}

static int file_object(void *ctx, const struct card_file *f)
{
    struct making *m = ctx;
    char id[400], size[40], type[64];
    if (!f->sha256)
        return 0;
    char *url = file_url(f->path);
    if (!url)
        return ERR(m->err, NOMEM, "no memory for a document");
    file_id(id, f);
    json_t *o = doc_add(m->d, m->list, node(m->d, "cr:FileObject", id, file_base(f->path)));
    doc_str(m->d, o, "contentUrl", url);
    snprintf(size, sizeof size, "%lld B", (long long)f->bytes);
    doc_str(m->d, o, "contentSize", size);
    file_type(type, f->path, read_str(f->source, "format"));
    doc_str(m->d, o, "encodingFormat", type);
    doc_str(m->d, o, "sha256", f->sha256);
    mem_free(url);
    return 0;
}

/* A pattern that only this path matches. */
static int pattern_of(struct buf *b, const char *path, struct err *err)
{
    for (; *path; path++)
        TRY(strchr("*?[", *path) ? buf_printf(b, err, "[%c]", *path) : buf_add_char(b, *path, err));
    return 0;
}

/* The files of a set by name, and their types, each once. */
static int in_set(struct making *m, const char *path, const char *format)
{
    char type[64];
    size_t i;
    json_t *v;
    struct buf b;
    buf_init(&b);
    const int rc = pattern_of(&b, path, m->err);
    doc_add(m->d, m->includes, json_stringn(b.data, b.len));
    buf_release(&b);
    file_type(type, path, format);
    json_array_foreach(m->types, i, v)
        if (!strcmp(json_string_value(v), type))
            return rc;
    doc_add_str(m->d, m->types, type);
    return rc;
}

static int file_set(struct making *m, const char *id, const char *name, const json_t *files, const char *format)
{
    json_t *o = doc_add(m->d, m->list, node(m->d, "cr:FileSet", id, name));
    m->includes = doc_put(m->d, o, "includes", doc_list(m->d));
    m->types = doc_put(m->d, o, "encodingFormat", doc_list(m->d));
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i);
        if (read_str(f, "path") && read_str(f, "sha256"))
            TRY(in_set(m, read_str(f, "path"), format));
    }
    return 0;
}

static size_t n_named(const json_t *files)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(files); i++)
        n += read_str(json_array_get(files, i), "path") && read_str(json_array_get(files, i), "sha256");
    return n;
}

static int distribution(const struct card *c, struct doc *d, json_t *root, struct err *err)
{
    struct making m = { d, doc_put(d, root, "distribution", doc_list(d)), NULL, NULL, err };
    TRY(files_each(c, file_object, &m));
    if (c->files)
        return n_named(c->files) ? file_set(&m, "files", "files", c->files, NULL) : 0;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(c->report, "sources"), i, s) {
        char id[400];
        snprintf(id, sizeof id, "files/%.300s", read_str(s, "name"));
        if (n_named(json_object_get(s, "files")))
            TRY(file_set(&m, id, read_str(s, "name"), json_object_get(s, "files"), read_str(s, "format")));
    }
    return 0;
}

/* ---- records ---- */

/* mlcroissant reads JSON lines by columns, as it does CSV, and a path of JSON in them not at all. */
static void extract(struct doc *d, json_t *from, const char *format, const char *field)
{
    const bool rows = !strcmp(format, "jsonl") || !strcmp(format, "csv") || !strcmp(format, "tsv");
    doc_str(d, doc_put(d, from, "extract", doc_object(d)), rows ? "column" : "fileProperty", rows ? field : "content");
}

static void add_field(struct doc *d, json_t *fields, const char *set, const char *files, int number, const char *format, const char *name)
{
    char id[400], word[40];
    snprintf(word, sizeof word, "%s", name);
    for (char *p = word; *p; p++)
        *p = strchr("/ \t", *p) || (unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e ? '_' : *p;
    /* Names that are not told apart by this are by their number. */
    snprintf(id, sizeof id, strcmp(word, name) ? "%.300s/%s-%d" : "%.300s/%s", set, word, number);
    json_t *field = doc_add(d, fields, node(d, "cr:Field", id, name));
    doc_str(d, field, "dataType", "sc:Text");
    json_t *from = doc_put(d, field, "source", doc_object(d));
    doc_put(d, from, "fileSet", id_of(d, files));
    extract(d, from, format, name);
}

static json_t *record_set(struct doc *d, json_t *list, const char *id, const char *name)
{
    return doc_put(d, doc_add(d, list, node(d, "cr:RecordSet", id, name)), "field", doc_list(d));
}

static void of_build(const struct card *c, struct doc *d, json_t *list)
{
    const json_t *names = read_at(json_array_get(c->files, 0), "fields");
    if (!n_named(c->files))
        return;
    json_t *fields = record_set(d, list, "records", "records");
    if (!json_array_size(names))
        add_field(d, fields, "records", "files", 0, "jsonl", "text");
    for (size_t i = 0; i < json_array_size(names); i++)
        add_field(d, fields, "records", "files", (int)i, "jsonl", json_string_value(json_array_get(names, i)));
}

static void records(const struct card *c, struct doc *d, json_t *root)
{
    json_t *list = doc_put(d, root, "recordSet", doc_list(d)), *s;
    size_t i;
    if (c->files) {
        of_build(c, d, list);
        return;
    }
    json_array_foreach(json_object_get(c->report, "sources"), i, s) {
        char set[400], files[400];
        snprintf(set, sizeof set, "records/%.300s", read_str(s, "name"));
        snprintf(files, sizeof files, "files/%.300s", read_str(s, "name"));
        if (n_named(json_object_get(s, "files")))
            add_field(d, record_set(d, list, set, read_str(s, "name")), set, files, 0, source_format(s), read_str(s, "field") ? read_str(s, "field") : "text");
    }
}

/* A build's data come from the sources' files. */
static void derived_from(const struct card *c, struct doc *d, json_t *root)
{
    const json_t *sources = json_object_get(c->report, "sources"), *files;
    if (!c->files)
        return;
    json_t *list = doc_put(d, root, "prov:wasDerivedFrom", doc_list(d));
    for (size_t i = 0; i < json_array_size(sources); i++) {
        files = json_object_get(json_array_get(sources, i), "files");
        for (size_t j = 0; j < json_array_size(files); j++) {
            char id[90];
            const char *sum = read_str(json_array_get(files, j), "sha256");
            snprintf(id, sizeof id, "urn:sha256:%s", sum ? sum : "");
            if (sum)
                doc_add(d, list, id_of(d, id));
        }
    }
}

int croissant_of_card(const struct card *c, struct buf *out, struct err *err)
{
    struct doc d = { false };
    json_t *root = doc_object(&d);
    context(&d, root);
    doc_str(&d, root, "@type", "sc:Dataset");
    int rc = about(c, &d, root, err);
    if (!rc)
        rc = distribution(c, &d, root, err);
    records(c, &d, root);
    if (!rc)
        rc = responsible(c, &d, root, err);
    derived_from(c, &d, root);
    if (!rc && !d.failed)
        rc = croissant_check(root, "croissant.json", err);
    if (rc) {
        json_decref(root);
        return rc;
    }
    return doc_end(&d, root, out, err);
}
