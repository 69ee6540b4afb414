/* spdx.json: SPDX 3.0.1 (JSON-LD): the data set as a package of the dataset profile, which contains a package for each source, which
 * contains its files.
 *
 * The profile is claimed only where all that it wants is known; its properties stand there either way.  Ids are made from the digest of
 * what the card is made from. */
#include <stdio.h>
#include <string.h>
#include "card/doc.h"
#include "card/evidence.h"
#include "card/files.h"
#include "card/licences.h"
#include "card/questions.h"
#include "card/read.h"

struct spdx { const struct card *c; struct doc d; json_t *graph; char base[46]; int n_link, n_licence; struct err *err; };

enum { ID = 400 };
static const char no_licence[] = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense";

static void id_of(const struct spdx *s, char out[ID], const char *what, size_t i) { snprintf(out, ID, "%s#%s-%zu", s->base, what, i); }

static json_t *element(struct spdx *s, const char *type, const char *id, const char *name)
{
    json_t *o = doc_add(&s->d, s->graph, doc_object(&s->d));
    doc_str(&s->d, o, "type", type);
    doc_str(&s->d, o, "spdxId", id);
    doc_str(&s->d, o, "creationInfo", "_:creationInfo");
    doc_str(&s->d, o, "name", name);
    return o;
}

static json_t *link_from(struct spdx *s, const char *type, const char *from)
{
    char id[ID];
    id_of(s, id, "relationship", (size_t)s->n_link++);
    json_t *o = element(s, "Relationship", id, NULL);
    doc_str(&s->d, o, "relationshipType", type);
    doc_str(&s->d, o, "from", from);
    return doc_put(&s->d, o, "to", doc_list(&s->d));
}

static void licence_link(struct spdx *s, const char *type, const char *from, const char *expression)
{
    char id[ID];
    if (expression) {
        id_of(s, id, "licence", (size_t)s->n_licence++);
        doc_str(&s->d, element(s, "simplelicensing_LicenseExpression", id, NULL), "simplelicensing_licenseExpression", expression);
    }
    doc_add_str(&s->d, link_from(s, type, from), expression ? id : no_licence);
}

/* ---- who and when ---- */

static void creation(struct spdx *s, const char *agent)
{
    char name[80];
    json_t *o = doc_add(&s->d, s->graph, doc_object(&s->d));
    doc_str(&s->d, o, "type", "CreationInfo");
    doc_str(&s->d, o, "@id", "_:creationInfo");
    doc_str(&s->d, o, "specVersion", "3.0.1");
    doc_str(&s->d, o, "created", s->c->created);
    snprintf(name, sizeof name, "The date is %s.", s->c->created_by);
    doc_str(&s->d, o, "comment", name);
    doc_add_str(&s->d, doc_put(&s->d, o, "createdBy", doc_list(&s->d)), agent);
    snprintf(name, sizeof name, "lathe %.60s", read_str(s->c->report, "lathe"));
    element(s, "SoftwareAgent", agent, name);
}

static void originator(struct spdx *s, json_t *package, const char *said)
{
    char id[ID];
    if (!said)
        return;
    const bool person = !strncmp(said, "Person: ", 8);
    id_of(s, id, "creator", 0);
    element(s, person ? "Person" : "Organization", id, said + (person ? 8 : 14));
    doc_add_str(&s->d, doc_put(&s->d, package, "originatedBy", doc_list(&s->d)), id);
}

/* ---- the data set ---- */

typedef int (*evidence)(const struct card *c, struct buf *out, struct err *err);

/* What is known and what was said, as one text, or a list of one. */
static int told(struct spdx *s, json_t *o, const char *key, bool list, evidence known, const char *id)
{
    struct buf b;
    buf_init(&b);
    int rc = known ? known(s->c, &b, s->err) : 0;
    const char *said = card_answer(s->c, id);
    if (!rc && said && b.len && b.data[b.len - 1] != '\n')
        rc = buf_add_char(&b, '\n', s->err);
    if (!rc && said)
        rc = buf_add_str(&b, said, s->err);
    if (!rc && b.len && list)
        doc_add(&s->d, doc_put(&s->d, o, key, doc_list(&s->d)), json_stringn(b.data, b.len - (b.data[b.len - 1] == '\n')));
    else if (!rc)
        doc_text(&s->d, o, key, &b);
    buf_release(&b);
    return rc;
}

/* Found is yes; that patterns found nothing is no proof of none. */
static const char *sensitive(const struct card *c)
{
    const char *key;
    json_t *v;
    bool found = false;
    read_each(read_at(c->report, "pii.entities"), key, v)
        found = found || read_count(v, "n");
    return found ? "yes" : "noAssertion";
}

static void midnight(struct spdx *s, json_t *o, const char *key, const char *day)
{
    char time[40];
    snprintf(time, sizeof time, "%.10sT00:00:00Z", day ? day : "");
    doc_str(&s->d, o, key, day ? time : NULL);
}

static int dataset(struct spdx *s, const char *id)
{
    const struct card *c = s->c;
    char version[80];
    json_t *o = element(s, "dataset_DatasetPackage", id, c->name);
    doc_str(&s->d, o, "description", card_answer(c, "about.description"));
    doc_str(&s->d, o, "builtTime", c->created);
    midnight(s, o, "releaseTime", card_answer(c, "about.published"));
    originator(s, o, card_answer(c, "about.creator"));
    snprintf(version, sizeof version, "sha256:%s", c->digest);
    doc_str(&s->d, o, "software_packageVersion", card_answer(c, "about.version") ? card_answer(c, "about.version") : version);
    doc_str(&s->d, o, "software_downloadLocation", card_answer(c, "about.download"));
    doc_str(&s->d, o, "software_homePage", card_answer(c, "about.url"));
    doc_str(&s->d, o, "software_primaryPurpose", "data");
    doc_add_str(&s->d, doc_put(&s->d, o, "dataset_datasetType", doc_list(&s->d)), "text");
    int64_t bytes = c->files ? 0 : read_count(c->report, "totals.bytes");
    for (size_t i = 0; i < json_array_size(c->files); i++)
        bytes += read_count(json_array_get(c->files, i), "bytes");
    doc_int(&s->d, o, "dataset_datasetSize", bytes);
    doc_str(&s->d, o, "dataset_hasSensitivePersonalInformation", sensitive(c));
    TRY(told(s, o, "dataset_dataCollectionProcess", false, evidence_origins, "collection.mechanism"));
    TRY(told(s, o, "dataset_dataPreprocessing", true, evidence_cleaning, "preprocessing.done"));
    TRY(told(s, o, "dataset_datasetNoise", false, evidence_errors, "composition.errors"));
    TRY(told(s, o, "dataset_intendedUse", false, evidence_purposes, "motivation.purpose"));
    TRY(told(s, o, "dataset_knownBias", true, evidence_groups, "composition.subpopulations"));
    return told(s, o, "dataset_datasetUpdateMechanism", false, NULL, "maintenance.updates");
}

static int licence_of_whole(struct spdx *s, const char *id)
{
    struct buf b;
    buf_init(&b);
    const int rc = licence_of_card(s->c, &b, s->err);
    if (!rc)
        licence_link(s, card_answer(s->c, "about.licence") ? "hasDeclaredLicense" : "hasConcludedLicense", id, b.len ? b.data : NULL);
    buf_release(&b);
    return rc;
}

/* ---- sources and files ---- */

static void file(struct spdx *s, const struct card_file *f, const char *id)
{
    char type[64];
    json_t *o = element(s, "software_File", id, f->path);
    file_type(type, f->path, read_str(f->source, "format"));
    doc_str(&s->d, o, "contentType", type);
    doc_str(&s->d, o, "software_primaryPurpose", "data");
    if (!f->sha256)
        return;
    json_t *hash = doc_add(&s->d, doc_put(&s->d, o, "verifiedUsing", doc_list(&s->d)), doc_object(&s->d));
    doc_str(&s->d, hash, "type", "Hash");
    doc_str(&s->d, hash, "algorithm", "sha256");
    doc_str(&s->d, hash, "hashValue", f->sha256);
}

/* Files go into the list of who contains them: of their source, or of the data set where a build has written them. */
struct within { struct spdx *s; json_t *to; size_t i_source, n; const char *dataset; };

static int contain(void *ctx, const struct card_file *f)
{
    struct within *w = ctx;
    char id[ID], from[ID];
    if (!w->to || (f->source && f->i_source != w->i_source)) {
        id_of(w->s, from, "source", f->i_source);
        w->to = link_from(w->s, "contains", f->source ? from : w->dataset);
        w->i_source = f->i_source;
    }
    id_of(w->s, id, "file", w->n++);
    file(w->s, f, id);
    doc_add_str(&w->s->d, w->to, id);
    return 0;
}

/* What the data set is made of: it contains its sources, or a build has made it from them. */
static void sources(struct spdx *s, const char *whole)
{
    const json_t *list = json_object_get(s->c->report, "sources");
    json_t *to = json_array_size(list) && !s->c->files ? link_from(s, "contains", whole) : NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        char id[ID];
        id_of(s, id, "source", i);
        json_t *o = element(s, "software_Package", id, read_str(one, "name"));
        doc_str(&s->d, o, "comment", read_str(one, "origin"));
        doc_str(&s->d, o, "software_primaryPurpose", "data");
        licence_link(s, read_str(one, "licence") ? "hasDeclaredLicense" : "hasConcludedLicense", id, licence_of_source(s->c, one));
        if (to)
            doc_add_str(&s->d, to, id);
        else
            doc_add_str(&s->d, link_from(s, "ancestorOf", id), whole);
    }
}

/* ---- the document ---- */

/* What the dataset profile wants and only a person knows. */
static bool is_whole(const struct card *c)
{
    return card_answer(c, "about.creator") && card_answer(c, "about.published") && card_answer(c, "about.download");
}

static void document(struct spdx *s, const char *whole)
{
    char id[ID];
    id_of(s, id, "document", 0);
    json_t *o = element(s, "SpdxDocument", id, s->c->name);
    json_t *profiles = doc_put(&s->d, o, "profileConformance", doc_list(&s->d));
    static const char *const names[] = { "core", "software", "simpleLicensing", "dataset" };
    for (size_t i = 0; i < 3u + is_whole(s->c); i++)
        doc_add_str(&s->d, profiles, names[i]);
    if (!is_whole(s->c))
        doc_str(&s->d, o, "comment", "The dataset profile is not claimed: it wants originatedBy, releaseTime and software_downloadLocation, which are open questions (about.creator, about.published, about.download).");
    doc_add_str(&s->d, doc_put(&s->d, o, "rootElement", doc_list(&s->d)), whole);
}

int spdx_of_card(const struct card *c, struct buf *out, struct err *err)
{
    struct spdx s = { .c = c, .err = err };
    char agent[ID], whole[ID];
    card_urn(c, s.base);
    json_t *root = doc_object(&s.d);
    doc_str(&s.d, root, "@context", "https://spdx.org/rdf/3.0.1/spdx-context.jsonld");
    s.graph = doc_put(&s.d, root, "@graph", doc_list(&s.d));
    id_of(&s, agent, "lathe", 0);
    id_of(&s, whole, "dataset", 0);
    creation(&s, agent);
    document(&s, whole);
    int rc = dataset(&s, whole);
    if (!rc)
        rc = licence_of_whole(&s, whole);
    if (!rc) {
        sources(&s, whole);
        struct within w = { .s = &s, .dataset = whole };
        rc = files_each(c, contain, &w);
    }
    if (rc) {
        json_decref(root);
        return rc;
    }
    return doc_end(&s.d, root, out, err);
}
