#include "store/oci_registry.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/evidence_kind.h"
#include "store/models.h"
#include "store/release.h"


static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a manifest"); }

/* ---- what is made of a version ---- */

enum made { MADE_MANIFEST, MADE_CONFIG, MADE_SIGNATURE, N_MADE };

static int make_version(struct registry *g, const struct registry_version *v, struct buf *manifest, struct buf *config, struct err *err)
{
    struct manifest files;
    json_t *facts = NULL;
    TRY(registry_manifest(g, v, &files, err));
    int rc = registry_facts(g, v, &facts, err);
    if (!rc)
        rc = oci_version(v, &files, facts, manifest, config, err);
    json_decref(facts);
    manifest_release(&files);
    return rc;
}

/* Of the newest evidence of a kind; 1: there is one. */
static int newest(struct registry *g, const struct registry_version *v, const char *kind, char blob[BLOB_ID], uint64_t *bytes, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT blob, bytes FROM evidence WHERE name = $1 AND number = $2 AND kind = $3 ORDER BY seq DESC LIMIT 1",
                 DB_ARGS(DB_T(v->name), DB_I(v->number), DB_T(kind)), err));
    const int rc = db_next(r, err);
    if (rc == 1)
        snprintf(blob, BLOB_ID, "%s", db_text(r, 0)), *bytes = (uint64_t)db_int(r, 1);
    db_rows_free(r);
    return rc;
}

/* What a version is told by: what was pushed last, or what is made of it. */
static int told(struct registry *g, const struct registry_version *v, struct buf *text, struct err *err)
{
    char blob[BLOB_ID];
    uint64_t bytes = 0;
    struct buf config;
    const int pushed = newest(g, v, "oci_manifest", blob, &bytes, err);
    if (pushed)
        return pushed < 0 ? pushed : blob_get(registry_folder(g), blob, OCI_MANIFEST_MAX, text, err);
    buf_init(&config);
    const int rc = make_version(g, v, text, &config, err);
    buf_release(&config);
    return rc;
}

/* Appends nothing where there is no signature. */
static int make_signature(struct registry *g, const struct registry_version *v, struct buf *out, struct err *err)
{
    char blob[BLOB_ID];
    uint64_t bytes = 0;
    struct buf text;
    struct oci_blob subject = { .type = OCI_MANIFEST };
    const int there = newest(g, v, "signature", blob, &bytes, err);
    if (there <= 0)
        return there;
    buf_init(&text);
    int rc = told(g, v, &text, err);
    if (!rc)
        rc = sha256_of(text.data, text.len, subject.sha256, err);
    subject.bytes = text.len;
    if (!rc)
        rc = oci_signature(&subject, blob, bytes, out, err);
    buf_release(&text);
    return rc;
}

static int make(struct registry *g, const struct registry_version *v, enum made what, struct buf *out, struct err *err)
{
    struct buf other;
    if (what == MADE_SIGNATURE)
        return make_signature(g, v, out, err);
    buf_init(&other);
    const int rc = what == MADE_MANIFEST ? make_version(g, v, out, &other, err) : make_version(g, v, &other, out, err);
    buf_release(&other);
    return rc;
}

static int find_number(struct registry *g, const char *name, int64_t number, struct registry_version *out, struct err *err)
{
    struct registry_ref ref = { .number = number };
    snprintf(ref.name, sizeof ref.name, "%s", name);
    return registry_find(g, &ref, out, err);
}

/* Manifest and config of a version have the same digests for good: [of one, of the other] is made once and kept with the registry.  NULL: see err. */
static const json_t *digests_of(struct registry *g, const struct registry_version *v, struct err *err)
{
    struct buf text[2];
    char key[400], hex[2][SHA256_HEX];
    json_t *memo = registry_memo(g), *kept;
    snprintf(key, sizeof key, "oci/%s@%lld/%s/%s", v->name, (long long)v->number, v->manifest, v->facts);
    if ((kept = json_object_get(memo, key)))
        return kept;
    buf_init(&text[0]), buf_init(&text[1]);
    int rc = memo ? make_version(g, v, &text[0], &text[1], err) : no_memory(err);
    for (int i = 0; i < 2 && !rc; i++)
        rc = sha256_of(text[i].data, text[i].len, hex[i], err);
    if (!rc && json_object_set_new(memo, key, kept = json_pack("[s, s]", hex[0], hex[1])))
        rc = no_memory(err);
    buf_release(&text[0]), buf_release(&text[1]);
    return rc ? NULL : kept;
}

/* *may: what is made of the version may have that digest.  A signature may come later, or another. */
static int may_be(struct registry *g, const struct registry_version *v, enum made what, const char *sha256, bool *may, struct err *err)
{
    const json_t *of = what == MADE_SIGNATURE ? NULL : digests_of(g, v, err);
    *may = what == MADE_SIGNATURE || (of && !strcmp(json_string_value(json_array_get(of, what == MADE_CONFIG)), sha256));
    return of || what == MADE_SIGNATURE ? 0 : err->code;
}

/* Which of what can be made of this name's versions has the digest?  Appended to out.  1: found. */
static int find_made(struct registry *g, const char *name, const char *sha256, enum made from, enum made to, struct registry_version *v, struct buf *out, struct err *err)
{
    json_t *number = NULL;
    int rc = registry_numbers(g, name, &number, err), found = 0;
    for (size_t i = 0; i < json_array_size(number) && !rc && !found; i++)
        for (enum made what = from; what <= to && !rc && !found; what++) {
            char hex[SHA256_HEX];
            bool may = false;
            buf_clear(out);
            rc = find_number(g, name, json_integer_value(json_array_get(number, i)), v, err);
            if (!rc)
                rc = may_be(g, v, what, sha256, &may, err);
            if (rc || !may)
                continue;
            rc = make(g, v, what, out, err);
            if (!rc)
                rc = sha256_of(out->data, out->len, hex, err);
            found = !rc && out->len && !strcmp(hex, sha256);
        }
    json_decref(number);
    return rc ? rc : found;
}

int oci_find_config(struct registry *g, const char *name, const char *sha256, struct buf *out, struct err *err)
{
    struct registry_version v;
    if (!strcmp(sha256, OCI_EMPTY_SHA256))
        return buf_add_str(out, "{}", err);
    const int rc = registry_name_ok(name) ? find_made(g, name, sha256, MADE_CONFIG, MADE_CONFIG, &v, out, err) : 0;
    return rc < 0 ? rc : rc ? 0 : ERR(err, NOTFOUND, "blob sha256:%s is not here", sha256);
}

/* ---- finding manifests ---- */

static int finish(struct oci_found *f, struct err *err)
{
    struct oci_manifest m;
    TRY(sha256_of(f->text.data, f->text.len, f->sha256, err));
    TRY(oci_manifest_parse(&m, f->text.data, f->text.len, err));
    snprintf(f->type, sizeof f->type, "%s", m.type);
    oci_manifest_release(&m);
    return 0;
}

/* The version that a manifest was pushed to; 0: it was not. */
static int pushed_number(struct registry *g, const char *name, const char *sha256, int64_t *number, struct err *err)
{
    return db_query_int(number, registry_db(g), 0, "SELECT max(number) FROM evidence WHERE name = $1 AND blob = $2 AND kind IN ('oci_manifest', 'oci_referrer')", DB_ARGS(DB_T(name), DB_T(sha256)), err);
}

static int find_digest(struct registry *g, const char *name, const char *sha256, struct oci_found *out, struct err *err)
{
    struct registry_version v;
    TRY(pushed_number(g, name, sha256, &out->number, err));
    if (out->number)
        return blob_get(registry_folder(g), sha256, OCI_MANIFEST_MAX, &out->text, err);
    const int rc = find_made(g, name, sha256, MADE_MANIFEST, MADE_SIGNATURE, &v, &out->text, err);
    out->number = rc == 1 ? v.number : 0;
    return rc < 0 ? rc : rc ? 0 : ERR(err, NOTFOUND, "'%s' has no manifest sha256:%s", name, sha256);
}

/* The manifest that an alias was pushed with, where it is the one of its version; "": another. */
static int alias_pushed(struct registry *g, const struct registry_release *r, char sha256[SHA256_HEX], struct err *err)
{
    json_t *record;
    int64_t number = 0;
    TRY(journal_get(&record, registry_db(g), r->seq, err));
    const char *pushed = tree_text_at(record, "pushed");
    snprintf(sha256, SHA256_HEX, "%s", blob_id_ok(pushed) ? pushed : "");
    json_decref(record);
    if (*sha256)
        TRY(db_query_int(&number, registry_db(g), 0, "SELECT count(*) FROM evidence WHERE name = $1 AND number = $2 AND blob = $3 AND kind = 'oci_manifest'",
                         DB_ARGS(DB_T(r->name), DB_I(r->stable), DB_T(sha256)), err));
    if (!number)
        *sha256 = 0;
    return 0;
}

static bool is_number(const char *tag) { return *tag && strlen(tag) < 16 && strspn(tag, "0123456789") == strlen(tag); }

static int find_tag(struct registry *g, const char *name, const char *tag, struct oci_found *out, struct err *err)
{
    struct registry_version v;
    struct registry_release r = { .stable = 0 };
    char sha256[SHA256_HEX] = "";
    if (is_number(tag) && strtoll(tag, NULL, 10) < 1)
        return ERR(err, NOTFOUND, "'%s' has no version 0", name);
    if (!is_number(tag) && !registry_alias_ok(tag))
        return ERR(err, NOTFOUND, "'%s' has no alias '%.130s'", name, tag);
    if (!is_number(tag)) {
        TRY(registry_release_get(g, name, tag, &r, err));
        TRY(alias_pushed(g, &r, sha256, err));
    }
    TRY(find_number(g, name, is_number(tag) ? strtoll(tag, NULL, 10) : r.stable, &v, err));
    out->number = v.number;
    return *sha256 ? blob_get(registry_folder(g), sha256, OCI_MANIFEST_MAX, &out->text, err) : told(g, &v, &out->text, err);
}

int oci_find(struct registry *g, const char *name, const char *tag_or_digest, struct oci_found *out, struct err *err)
{
    *out = (struct oci_found){ .number = 0 };
    buf_init(&out->text);
    const char *sha256 = oci_digest(tag_or_digest);
    if (!registry_name_ok(name))
        return ERR(err, NOTFOUND, "there is no '%.200s' here", name);
    TRY(sha256 ? find_digest(g, name, sha256, out, err) : find_tag(g, name, tag_or_digest, out, err));
    return finish(out, err);
}

int oci_find_version(struct registry *g, const struct registry_version *v, struct oci_found *out, struct err *err)
{
    *out = (struct oci_found){ .number = v->number };
    buf_init(&out->text);
    TRY(told(g, v, &out->text, err));
    return finish(out, err);
}

static int by_text(const void *a, const void *b) { return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b)); }

static int sort_texts(json_t *list, json_t **out, struct err *err)
{
    const size_t n = json_array_size(list);
    json_t **at = mem_alloc_array(n + 1, sizeof *at);
    *out = json_array();
    int rc = at && *out ? 0 : no_memory(err);
    for (size_t i = 0; i < n && !rc; i++)
        at[i] = json_array_get(list, i);
    if (!rc && n)
        qsort(at, n, sizeof *at, by_text);
    for (size_t i = 0; i < n && !rc; i++)
        rc = json_array_append(*out, at[i]) ? no_memory(err) : 0;
    mem_free(at);
    return rc;
}

int oci_tags(struct registry *g, const char *name, json_t **out, struct err *err)
{
    struct db_rows *r;
    int64_t there;
    *out = NULL;
    TRY(db_query_int(&there, registry_db(g), 0, "SELECT count(*) FROM model WHERE name = $1", DB_ARGS(DB_T(name)), err));
    if (!there)
        return ERR(err, NOTFOUND, "there is no '%.200s' here", name);
    TRY(db_query(&r, registry_db(g), "SELECT CAST(number AS TEXT) FROM version WHERE name = $1 UNION ALL SELECT alias FROM alias WHERE name = $1", DB_ARGS(DB_T(name)), err));
    json_t *list = json_array();
    int rc = list ? 1 : no_memory(err);
    while (rc == 1 && (rc = db_next(r, err)) == 1)
        if (json_array_append_new(list, json_string(db_text(r, 0))))
            rc = no_memory(err);
    db_rows_free(r);
    if (!rc)
        rc = sort_texts(list, out, err);
    json_decref(list);
    return rc;
}

/* ---- referrers ---- */

static int add_referrer(json_t *list, const char *text, size_t n, const char *artifact_type, struct err *err)
{
    struct oci_manifest m;
    char sha256[SHA256_HEX];
    TRY(sha256_of(text, n, sha256, err));
    TRY(oci_manifest_parse(&m, text, n, err));
    int rc = 0;
    if (!*artifact_type || !strcmp(artifact_type, m.artifact_type))
        rc = json_array_append_new(list, oci_referrer(&m, sha256, n)) ? no_memory(err) : 0;
    oci_manifest_release(&m);
    return rc;
}

/* *is_signed: a signature is among those that there are, of whatever type is asked for. */
static int pushed_referrers(struct registry *g, const char *name, const char *sha256, const char *artifact_type, json_t *list, bool *is_signed, struct err *err)
{
    struct db_rows *r;
    char file[SHA256_HEX + 8];
    snprintf(file, sizeof file, "sha256-%s", sha256);
    TRY(db_query(&r, registry_db(g), "SELECT blob FROM evidence WHERE name = $1 AND kind = 'oci_referrer' AND file = $2 ORDER BY seq, blob", DB_ARGS(DB_T(name), DB_T(file)), err));
    struct buf text;
    buf_init(&text);
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        buf_clear(&text);
        rc = blob_get(registry_folder(g), db_text(r, 0), OCI_MANIFEST_MAX, &text, err);
        if (!rc)
            rc = add_referrer(list, text.data, text.len, artifact_type, err);
        if (rc)
            break;
        *is_signed = *is_signed || strstr(text.data, "sigstore.bundle");
    }
    buf_release(&text);
    db_rows_free(r);
    return rc;
}

/* The signature that nobody pushed of the version that this manifest tells. */
static int made_referrer(struct registry *g, const char *name, const char *sha256, const char *artifact_type, json_t *list, struct err *err)
{
    struct oci_found found, as_told = { .number = 0 };
    struct registry_version v;
    char reference[SHA256_HEX + 8];
    struct err none;
    snprintf(reference, sizeof reference, "sha256:%s", sha256);
    buf_init(&as_told.text);
    int rc = oci_find(g, name, reference, &found, &none);
    const bool here = !rc;
    if (here && !(rc = find_number(g, name, found.number, &v, err)))
        rc = oci_find_version(g, &v, &as_told, err);
    if (here && !rc && !strcmp(as_told.sha256, sha256)) {
        buf_clear(&as_told.text);
        rc = make_signature(g, &v, &as_told.text, err);
        if (!rc && as_told.text.len)
            rc = add_referrer(list, as_told.text.data, as_told.text.len, artifact_type, err);
    }
    buf_release(&as_told.text);
    buf_release(&found.text);
    return here ? rc : 0;
}

int oci_referrers(struct registry *g, const char *name, const char *sha256, const char *artifact_type, json_t **out, struct err *err)
{
    bool is_signed = false;
    json_t *list = json_array();
    int rc = list ? pushed_referrers(g, name, sha256, artifact_type, list, &is_signed, err) : no_memory(err);
    if (!rc && !is_signed)
        rc = made_referrer(g, name, sha256, artifact_type, list, err);
    *out = rc ? NULL : json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType", OCI_INDEX, "manifests", list);
    if (!rc && !*out)
        rc = no_memory(err);
    json_decref(list);
    return rc;
}

/* ---- taking ---- */

int oci_blobs_are_here(struct registry *g, const struct oci_manifest *m, struct err *err)
{
    char id[BLOB_ID];
    if (!strcmp(m->config.sha256, OCI_EMPTY_SHA256))                 /* nobody needs to send it */
        TRY(blob_put(registry_folder(g), "{}", 2, id, err));
    TRY(blob_stat(registry_folder(g), m->config.sha256, m->config.bytes, err));
    for (int i = 0; i < m->n_layer; i++) {
        if (!strcmp(m->layer[i].sha256, OCI_EMPTY_SHA256))
            TRY(blob_put(registry_folder(g), "{}", 2, id, err));
        TRY(blob_stat(registry_folder(g), m->layer[i].sha256, m->layer[i].bytes, err));
    }
    return 0;
}

static int keep(json_t *kept, const char *blob, uint64_t bytes, const char *file, const char *kind, struct err *err)
{
    return json_array_append_new(kept, json_pack("{s:s, s:I, s:s, s:s}", "blob", blob, "bytes", (json_int_t)bytes, "file", file, "kind", kind)) ? no_memory(err) : 0;
}

/* What a blob is evidence of, by its contents. */
static int kind_of(struct registry *g, const char *sha256, uint64_t bytes, char kind[EVIDENCE_KIND], struct err *err)
{
    struct buf text;
    strcpy(kind, "file");
    if (bytes > EVIDENCE_BYTES_MAX)
        return 0;
    buf_init(&text);
    const int rc = blob_get(registry_folder(g), sha256, EVIDENCE_BYTES_MAX, &text, err);
    if (!rc)
        evidence_kind(text.data, text.len, kind);
    buf_release(&text);
    return rc;
}

/* A signature that came as a layer is one. */
static int name_kinds(struct registry *g, json_t *kept, struct err *err)
{
    size_t i;
    json_t *o;
    json_array_foreach(kept, i, o) {
        char kind[EVIDENCE_KIND];
        if (strcmp(tree_text_at(o, "file"), "model.sig"))
            continue;
        TRY(kind_of(g, tree_text_at(o, "blob"), (uint64_t)json_integer_value(json_object_get(o, "bytes")), kind, err));
        if (json_object_set_new(o, "kind", json_string(kind)))
            return no_memory(err);
    }
    return 0;
}

static int kind_of_name(struct registry *g, const struct oci_push *p, const struct oci_manifest *m, const char **kind, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(g), "SELECT kind FROM model WHERE name = $1", DB_ARGS(DB_T(p->name)), err));
    const int rc = db_next(r, err);
    const bool data = rc == 1 ? !strcmp(db_text(r, 0), "data") : !strcmp(m->artifact_type, OCI_DATA);
    *kind = data ? "data" : "model";
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

/* A tag of digits must be the number that the version has, or gets. */
static int check_number(struct registry *g, const struct oci_push *p, const struct manifest *files, struct err *err)
{
    char root[SHA256_HEX];
    int64_t number, last;
    if (!p->tag || !is_number(p->tag))
        return !p->tag || registry_alias_ok(p->tag) ? 0 : ERR(err, USAGE, "found the tag '%.130s', expected the number of a version, or an alias: letters, digits, '.', '_' and '-', at most %d", p->tag, REGISTRY_NAME - 1);
    TRY(manifest_root(files, root, err));
    TRY(registry_number_of_root(g, p->name, root, &number, err));
    TRY(db_query_int(&last, registry_db(g), 0, "SELECT max(number) FROM version WHERE name = $1", DB_ARGS(DB_T(p->name)), err));
    number = number ? number : last + 1;
    return strtoll(p->tag, NULL, 10) == number ? 0 : ERR(err, USAGE, "'%s' would be version %lld of '%s', and numbers are not chosen: push to that tag, or to one that is no number", p->tag, (long long)number, p->name);
}

static int set_alias(struct registry *g, const struct oci_push *p, const struct registry_version *v, const char *sha256, const struct journal_by *by, struct err *err)
{
    struct registry_release r;
    struct err none;
    char pushed[SHA256_HEX];
    if (!p->tag || is_number(p->tag))
        return 0;
    if (!registry_release_get(g, p->name, p->tag, &r, &none) && r.stable == v->number && !r.candidate) {
        TRY(alias_pushed(g, &r, pushed, err));
        if (!strcmp(pushed, sha256))
            return 0;
    }
    const int rc = registry_alias(g, &(struct release_move){ .name = p->name, .alias = p->tag, .number = v->number, .expect = -1, .pushed = sha256 }, by, NULL, NULL, err);
    return rc ? err_context(err, "%s@%lld is here, but the alias was not moved", v->name, (long long)v->number) : 0;
}

static int add_version(struct registry *g, const struct oci_push *p, const struct oci_manifest *m, const struct manifest *files, const json_t *kept, const struct journal_by *by,
                       struct registry_version *out, struct err *err)
{
    char *path = NULL;
    struct registry_addition a = { .name = p->name, .files = files, .kept = kept };
    TRY(kind_of_name(g, p, m, &a.kind, err));
    TRY(check_number(g, p, files, err));
    TRY(registry_view(g, files, &path, err));
    a.path = path;
    const int rc = p->add(g, &a, by, out, err);
    if (rc)
        registry_view_drop(g, files, NULL);
    mem_free(path);
    return rc;
}

static int take_version(struct registry *g, const struct oci_push *p, const struct oci_manifest *m, const char *sha256, json_t *kept, const struct journal_by *by, struct registry_version *out,
                        struct err *err)
{
    struct manifest files;
    TRY(oci_manifest_files(m, &files, kept, err));
    int rc = name_kinds(g, kept, err);
    if (!rc)
        rc = keep(kept, sha256, p->n, "manifest.json", "oci_manifest", err);
    if (!rc)
        rc = add_version(g, p, m, &files, kept, by, out, err);
    if (!rc)
        rc = set_alias(g, p, out, sha256, by, err);
    manifest_release(&files);
    return rc;
}

static int keep_layers(struct registry *g, const struct oci_manifest *m, json_t *kept, struct err *err)
{
    char kind[EVIDENCE_KIND], name[80];
    TRY(keep(kept, m->config.sha256, m->config.bytes, "config", "oci_part", err));
    for (int i = 0; i < m->n_layer; i++) {
        const struct oci_blob *b = &m->layer[i];
        snprintf(name, sizeof name, "sha256-%s", b->sha256);
        const char *title = *b->title ? b->title : name;
        if (!model_path_ok(title))
            return ERR(err, FORMAT, "the manifest has a file '%.200s', expected a path below the folder", title);
        TRY(kind_of(g, b->sha256, b->bytes, kind, err));
        TRY(keep(kept, b->sha256, b->bytes, title, strcmp(b->type, OCI_EMPTY) ? kind : "oci_part", err));
    }
    return 0;
}

static int take_referrer(struct registry *g, const struct oci_push *p, const struct oci_manifest *m, const char *sha256, json_t *kept, const struct journal_by *by, struct registry_version *out,
                         struct err *err)
{
    char reference[SHA256_HEX + 8];
    struct oci_found found;
    snprintf(reference, sizeof reference, "sha256:%s", m->subject.sha256);
    int rc = oci_find(g, p->name, reference, &found, err);
    buf_release(&found.text);
    if (rc)
        return rc == ERR_NOTFOUND ? ERR(err, NOTFOUND, "the artifact's subject %s is not in '%.96s': push that first", reference, p->name) : rc;
    reference[6] = '-';
    rc = keep(kept, sha256, p->n, reference, "oci_referrer", err);
    if (!rc)
        rc = keep_layers(g, m, kept, err);
    if (!rc)
        rc = find_number(g, p->name, found.number, out, err);
    return rc ? rc : registry_attach(g, out, &(struct registry_addition){ .kept = kept }, by, err);
}

int oci_take(struct registry *g, const struct oci_push *p, const struct journal_by *by, struct registry_version *out, struct err *err)
{
    struct oci_manifest m;
    char sha256[BLOB_ID];
    *out = (struct registry_version){ .number = 0 };
    if (!registry_name_ok(p->name))
        return ERR(err, USAGE, "found the name '%.200s', expected letters, digits, '.', '_' and '-', at most %d", p->name, REGISTRY_NAME - 1);
    TRY(oci_manifest_parse(&m, p->text, p->n, err));
    json_t *kept = json_array();
    int rc = kept ? oci_blobs_are_here(g, &m, err) : no_memory(err);
    if (!rc)
        rc = blob_put(registry_folder(g), p->text, p->n, sha256, err);
    if (!rc)
        rc = *m.subject.sha256 && !p->tag && !p->is_version ? take_referrer(g, p, &m, sha256, kept, by, out, err) : take_version(g, p, &m, sha256, kept, by, out, err);
    json_decref(kept);
    oci_manifest_release(&m);
    return rc;
}
