#include "store/oci.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/models.h"

enum { LAYERS_MAX = 100000 };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a manifest"); }

/* ---- names ---- */

bool oci_is_ref(const char *text) { return !strncmp(text, "oci://", 6); }

bool oci_tag_ok(const char *tag)
{
    const size_t n = strlen(tag);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)tag[i]) && tag[i] != '_' && (!i || (tag[i] != '.' && tag[i] != '-')))
            return false;
    return n && n < OCI_TAG;
}

const char *oci_digest(const char *text) { return !strncmp(text, "sha256:", 7) && blob_id_ok(text + 7) ? text + 7 : NULL; }

/* A name, IPv4, or IPv6 in brackets, and perhaps a port. */
static bool host_ok(const char *host)
{
    const char *end = host;
    if (*host == '[') {
        end = host + 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        if (end == host + 1 || *end++ != ']')
            return false;
    } else {
        while (isalnum((unsigned char)*end) || *end == '.' || *end == '-' || *end == '_')
            end++;
    }
    const size_t digits = *end == ':' ? strspn(end + 1, "0123456789") : 0;
    return end > host && (!*end || (*end == ':' && digits && digits < 6 && !end[1 + digits] && atoi(end + 1) < 65536));
}

/* Parts of letters, digits, '.', '_' and '-'; OCI's have no capitals, ours may. */
static bool repository_ok(const char *s)
{
    for (bool begins = true;; s++) {
        if ((begins || !*s) && !isalnum((unsigned char)(begins ? *s : s[-1])))
            return false;
        if (!*s)
            return true;
        if (!isalnum((unsigned char)*s) && !strchr("._-/", *s))
            return false;
        begins = *s == '/';
    }
}

static bool cut(char *out, size_t size, const char *from, size_t n)
{
    if (n >= size)
        return false;
    memcpy(out, from, n);
    out[n] = 0;
    return true;
}

int oci_ref_parse(struct oci_ref *out, const char *text, struct err *err)
{
    *out = (struct oci_ref){ .by_digest = false };
    const char *host = oci_is_ref(text) ? text + 6 : text, *slash = strchr(host, '/');
    const char *at = slash ? strchr(slash, '@') : NULL, *colon = slash && !at ? strrchr(slash, ':') : NULL, *mark = at ? at : colon;
    out->by_digest = at != NULL;
    const bool ok = oci_is_ref(text) && mark && cut(out->host, sizeof out->host, host, (size_t)(slash - host)) &&
                    cut(out->repository, sizeof out->repository, slash + 1, (size_t)(mark - slash - 1)) && cut(out->reference, sizeof out->reference, mark + 1, strlen(mark + 1)) &&
                    host_ok(out->host) && repository_ok(out->repository) && (at ? oci_digest(out->reference) != NULL : oci_tag_ok(out->reference));
    return ok ? 0 : ERR(err, USAGE, "found '%.300s', expected oci://HOST[:PORT]/REPOSITORY:TAG or oci://HOST[:PORT]/REPOSITORY@sha256:DIGEST", text);
}

bool oci_ref_is_local(const struct oci_ref *ref)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        const size_t n = strlen(hosts[i]);
        if (!strncasecmp(ref->host, hosts[i], n) && (!ref->host[n] || ref->host[n] == ':'))
            return true;
    }
    return false;
}

/* ---- reading ---- */

static bool has_nul(const json_t *text) { return json_is_string(text) && strlen(json_string_value(text)) != json_string_length(text); }

/* A name that ends at a NUL for one program, and after it for another. */
static bool has_two_titles(const json_t *o)
{
    const json_t *a = json_object_get(o, "annotations");
    return has_nul(json_object_get(a, "org.opencontainers.image.title")) || has_nul(json_object_get(a, "org.cncf.model.filepath"));
}

static const char *title_of(const json_t *o)
{
    const json_t *a = json_object_get(o, "annotations");
    const char *title = tree_text_at(a, "org.opencontainers.image.title");
    return *title ? title : tree_text_at(a, "org.cncf.model.filepath");
}

/* Folders that ORAS packed (its client in Python tells by the type alone), and ModelPack's archives.  A layer ...tar, as that client calls any file, is what its title says. */
static bool is_packed(const json_t *o, const char *type, const char *title)
{
    if (!strcmp(type, "application/vnd.oci.image.layer.v1.tar+gzip") && *title)
        return !file_name_ends(title, ".gz") && !file_name_ends(title, ".tgz");
    return !strcmp(tree_text_at(json_object_get(o, "annotations"), "io.deis.oras.content.unpack"), "true") ||
           (!strncmp(type, "application/vnd.cncf.model.", 27) && strstr(type, ".v1.tar"));
}

static int parse_blob(struct oci_blob *out, const json_t *o, const char *what, struct err *err)
{
    const char *digest = tree_text_at(o, "digest"), *sha256 = oci_digest(digest);
    const json_t *size = json_object_get(o, "size");
    *out = (struct oci_blob){ .type = tree_text_at(o, "mediaType"), .title = title_of(o) };
    if (!json_is_object(o) || !*out->type || !json_is_integer(size) || json_integer_value(size) < 0)
        return ERR(err, FORMAT, "%s of the manifest: expected mediaType, digest and size", what);
    if (has_two_titles(o))
        return ERR(err, FORMAT, "%s of the manifest has a NUL in its name", what);
    if (!sha256)
        return ERR(err, FORMAT, "%s of the manifest has the digest '%.100s', expected sha256: and 64 hexadecimal digits", what, digest);
    out->packed = is_packed(o, out->type, out->title);
    out->bytes = (uint64_t)json_integer_value(size);
    memcpy(out->sha256, sha256, SHA256_HEX);
    return 0;
}

static int parse_layers(struct oci_manifest *m, struct err *err)
{
    const json_t *layers = json_object_get(m->tree, "layers"), *o;
    const size_t n = json_array_size(layers);
    char what[40];
    size_t i;
    if (!json_is_array(layers) || n > LAYERS_MAX)
        return ERR(err, FORMAT, "the manifest has no list of layers, or more than %d", LAYERS_MAX);
    if (!(m->layer = mem_alloc_array(n + 1, sizeof *m->layer)))
        return no_memory(err);
    json_array_foreach(layers, i, o) {
        snprintf(what, sizeof what, "layer %zu", i);
        TRY(parse_blob(&m->layer[i], o, what, err));
        m->n_layer++;
    }
    return 0;
}

static int parse(struct oci_manifest *m, struct err *err)
{
    const char *type = tree_text_at(m->tree, "mediaType");
    const json_t *subject = json_object_get(m->tree, "subject");
    if (json_is_array(json_object_get(m->tree, "manifests")) || !strcmp(type, OCI_INDEX))
        return ERR(err, UNSUPPORTED, "the manifest is an index of others, expected that of one artifact");
    if (!json_is_object(m->tree) || json_integer_value(json_object_get(m->tree, "schemaVersion")) != 2)
        return ERR(err, FORMAT, "the manifest has no schemaVersion of 2");
    m->type = *type ? type : OCI_MANIFEST;
    TRY(parse_blob(&m->config, json_object_get(m->tree, "config"), "the config", err));
    TRY(parse_layers(m, err));
    if (subject && !json_is_null(subject))
        TRY(parse_blob(&m->subject, subject, "the subject", err));
    m->artifact_type = tree_text_at(m->tree, "artifactType");
    m->artifact_type = *m->artifact_type ? m->artifact_type : m->config.type;
    return 0;
}

int oci_manifest_parse(struct oci_manifest *out, const char *text, size_t n, struct err *err)
{
    *out = (struct oci_manifest){ .n_layer = 0 };
    if (n > OCI_MANIFEST_MAX || tree_json_bytes(text, n) > (size_t)OCI_MANIFEST_MAX * 16)
        return ERR(err, RANGE, "the manifest has %zu bytes or too many values, expected at most %d", n, OCI_MANIFEST_MAX);
    TRY(tree_parse_json(&out->tree, text, n, "the manifest", err));
    const int rc = parse(out, err);
    if (rc)
        oci_manifest_release(out);
    return rc;
}

void oci_manifest_release(struct oci_manifest *m)
{
    json_decref(m->tree);
    mem_free(m->layer);
    *m = (struct oci_manifest){ .n_layer = 0 };
}

/* ---- its files ---- */

static int keep(json_t *kept, const struct oci_blob *b, const char *file, struct err *err)
{
    json_t *o = json_pack("{s:s, s:I, s:s, s:s}", "blob", b->sha256, "bytes", (json_int_t)b->bytes, "file", file, "kind", "oci_part");
    return json_array_append_new(kept, o) ? no_memory(err) : 0;
}

static int add_layer(const struct oci_blob *b, struct manifest *files, json_t *kept, struct err *err)
{
    char name[80];
    snprintf(name, sizeof name, "sha256-%s", b->sha256);
    const char *title = *b->title ? b->title : name;
    if (!strcmp(b->type, OCI_EMPTY) && !*b->title)
        return keep(kept, b, "empty", err);
    if (!model_path_ok(title))
        return ERR(err, FORMAT, "the manifest has a file '%.200s', expected a path below the folder", title);
    if (b->packed)
        return ERR(err, UNSUPPORTED, "'%.200s' is an archive (%.80s): push the files in it, each as a layer", title, b->type);
    return manifest_leaves_out(title) ? keep(kept, b, title, err) : manifest_add(files, title, b->sha256, b->bytes, err);
}

/* No two of one name, and no file where another needs a folder. */
static int check_names(const struct manifest *files, struct err *err)
{
    for (int i = 1; i < files->n; i++) {
        const char *a = files->file[i - 1].name, *b = files->file[i].name;
        const size_t n = strlen(a);
        if (!strncmp(a, b, n) && (!b[n] || b[n] == '/'))
            return ERR(err, FORMAT, b[n] ? "the manifest has the file '%.200s', and others below it" : "the manifest has two files '%.200s'", a);
    }
    return 0;
}

int oci_manifest_files(const struct oci_manifest *m, struct manifest *files, json_t *kept, struct err *err)
{
    *files = (struct manifest){ .n = 0 };
    int rc = keep(kept, &m->config, "config", err);
    for (int i = 0; i < m->n_layer && !rc; i++)
        rc = add_layer(&m->layer[i], files, kept, err);
    manifest_sort(files);
    if (!rc)
        rc = files->n ? check_names(files, err) : ERR(err, NOTFOUND, "the manifest has no files");
    if (rc)
        manifest_release(files);
    return rc;
}

/* ---- making ---- */

/* ModelPack's media types of files as they are. */
static const char *type_of(const char *name, bool data)
{
    static const struct { const char *end, *what; } ends[] = {
        { ".safetensors", "weight" }, { ".gguf", "weight" }, { ".bin", "weight" }, { ".pt", "weight" }, { ".pth", "weight" }, { ".onnx", "weight" }, { ".npz", "weight" },
        { ".md", "doc" }, { ".txt", "doc" }, { ".pdf", "doc" }, { "LICENSE", "doc" }, { "NOTICE", "doc" }, { ".py", "code" }, { ".sh", "code" },
    };
    const char *what = data ? "dataset" : "weight.config";
    for (size_t i = 0; i < sizeof ends / sizeof *ends && !data; i++)
        if (file_name_ends(name, ends[i].end))
            what = ends[i].what;
    if (!strcmp(name, "vocab.txt") || !strcmp(name, "merges.txt"))
        what = "weight.config";
    static const struct { const char *what, *type; } types[] = {
#define TYPE(x) { x, "application/vnd.cncf.model." x ".v1.raw" }
        TYPE("weight"), TYPE("weight.config"), TYPE("doc"), TYPE("code"), TYPE("dataset"),
#undef TYPE
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].what, what))
            return types[i].type;
    return NULL;
}

static json_t *digest_json(const char *sha256)
{
    char text[SHA256_HEX + 8];
    snprintf(text, sizeof text, "sha256:%s", sha256);
    return json_string(text);
}

static json_t *blob_json(const char *type, const char *sha256, uint64_t bytes) { return json_pack("{s:s, s:o, s:I}", "mediaType", type, "digest", digest_json(sha256), "size", (json_int_t)bytes); }

static int append(struct buf *out, json_t *o, struct err *err)
{
    char *text = o ? tree_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const int rc = text ? buf_add_str(out, text, err) : no_memory(err);
    mem_free(text);
    return rc;
}

static const char *format_of(const struct manifest *files)
{
    for (int i = 0; i < files->n; i++) {
        if (file_name_ends(files->file[i].name, ".safetensors"))
            return "safetensors";
        if (file_name_ends(files->file[i].name, ".gguf"))
            return "gguf";
    }
    return NULL;
}

static int set_text(json_t *o, const char *key, const char *value) { return value && *value ? json_object_set_new(o, key, json_string(value)) : 0; }

/* What the facts (cmd's) tell in ModelPack's words: the type that most tensors have is the precision, or, where it is no float, the quantization. */
static json_t *describe(const json_t *facts, const struct manifest *files)
{
    char size[40];
    const char *type, *most = NULL;
    json_t *n, *o = json_object();
    double largest = 0;
    const double parameters = tree_number_at(facts, "parameters");
    json_object_foreach(json_object_get(json_object_get((json_t *)(uintptr_t)facts, "file"), "types"), type, n)
        if (json_number_value(n) > largest)
            largest = json_number_value(n), most = type;
    const bool is_float = most && (!strncasecmp(most, "f", 1) || !strncasecmp(most, "bf", 2));
    snprintf(size, sizeof size, parameters >= 1e9 ? "%.3gB" : parameters >= 1e6 ? "%.3gM" : "%.0f", parameters >= 1e9 ? parameters / 1e9 : parameters >= 1e6 ? parameters / 1e6 : parameters);
    if (!o || set_text(o, "architecture", tree_text_at(facts, "family")) || set_text(o, "format", format_of(files)) || set_text(o, "paramSize", parameters > 0 ? size : NULL) ||
        set_text(o, is_float ? "precision" : "quantization", most)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static int add_config(const struct registry_version *v, const struct manifest *files, const json_t *facts, struct buf *out, struct err *err)
{
    char number[24];
    const char *license = tree_text_at(facts, "license");
    snprintf(number, sizeof number, "%lld", (long long)v->number);
    json_t *ids = json_array();
    int rc = ids ? 0 : no_memory(err);
    for (int i = 0; i < files->n && !rc; i++)
        rc = json_array_append_new(ids, digest_json(files->file[i].sha256)) ? no_memory(err) : 0;
    json_t *o = rc ? NULL : json_pack("{s:{s:s, s:s, s:s}, s:o, s:{s:s, s:O}}", "descriptor", "createdAt", v->t, "name", v->name, "version", number, "config", describe(facts, files),
                                      "modelfs", "type", "layers", "diffIds", ids);
    if (o && *license && json_object_set_new(json_object_get(o, "descriptor"), "licenses", json_pack("[s]", license)))
        rc = no_memory(err);
    if (!rc)
        rc = append(out, o, err);
    json_decref(o);
    json_decref(ids);
    return rc;
}

static json_t *layers_json(const struct manifest *files, bool data)
{
    json_t *list = json_array();
    for (int i = 0; i < files->n && list; i++) {
        const struct manifest_file *f = &files->file[i];
        json_t *o = blob_json(type_of(f->name, data), f->sha256, f->bytes);
        if (!o || json_object_set_new(o, "annotations", json_pack("{s:s, s:s}", "org.opencontainers.image.title", f->name, "org.cncf.model.filepath", f->name)) || json_array_append(list, o)) {
            json_decref(list);
            list = NULL;
        }
        json_decref(o);
    }
    return list;
}

int oci_version(const struct registry_version *v, const struct manifest *files, const json_t *facts, struct buf *manifest, struct buf *config, struct err *err)
{
    char sha256[SHA256_HEX], number[24];
    const bool data = !strcmp(v->kind, "data");
    const size_t before = config->len;
    TRY(data ? buf_add_str(config, "{}", err) : add_config(v, files, facts, config, err));
    TRY(sha256_of(config->data + before, config->len - before, sha256, err));
    snprintf(number, sizeof number, "%lld", (long long)v->number);
    json_t *o = json_pack("{s:i, s:s, s:s, s:o, s:o, s:{s:s, s:s, s:s}}", "schemaVersion", 2, "mediaType", OCI_MANIFEST, "artifactType", data ? OCI_DATA : OCI_MODEL, "config",
                          blob_json(data ? OCI_EMPTY : "application/vnd.cncf.model.config.v1+json", sha256, config->len - before), "layers", layers_json(files, data), "annotations",
                          "org.opencontainers.image.created", v->t, "org.opencontainers.image.title", v->name, "org.opencontainers.image.version", number);
    const int rc = append(manifest, o, err);
    json_decref(o);
    return rc;
}

int oci_signature(const struct oci_blob *subject, const char *sha256, uint64_t bytes, struct buf *manifest, struct err *err)
{
    json_t *layer = blob_json(OCI_SIGNATURE, sha256, bytes), *o = NULL;
    if (layer && !json_object_set_new(layer, "annotations", json_pack("{s:s}", "org.opencontainers.image.title", "model.sig")))
        o = json_pack("{s:i, s:s, s:s, s:o, s:[O], s:o}", "schemaVersion", 2, "mediaType", OCI_MANIFEST, "artifactType", OCI_SIGNATURE, "config", blob_json(OCI_EMPTY, OCI_EMPTY_SHA256, 2),
                      "layers", layer, "subject", blob_json(subject->type, subject->sha256, subject->bytes));
    const int rc = append(manifest, o, err);
    json_decref(o);
    json_decref(layer);
    return rc;
}

json_t *oci_referrer(const struct oci_manifest *m, const char *sha256, size_t bytes)
{
    const json_t *annotations = json_object_get(m->tree, "annotations");
    json_t *o = blob_json(m->type, sha256, bytes);
    if (!o || json_object_set_new(o, "artifactType", json_string(m->artifact_type)) || (json_is_object(annotations) && json_object_set(o, "annotations", (json_t *)(uintptr_t)annotations))) {
        json_decref(o);
        return NULL;
    }
    return o;
}
