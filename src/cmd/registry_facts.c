/* registry_facts.c - what is kept with a version of what it is. */
#include <string.h>
#include "audit/licence_found.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "cmd/info_facts.h"
#include "model/adapter.h"
#include "model/gguf.h"
#include "model/model.h"

enum { FILE_MAX = 64 << 20 };

static int put(json_t *o, const char *key, json_t *value, struct err *err)
{
    return json_object_set_new(o, key, value) ? ERR(err, NOMEM, "no memory for what a version is") : 0;
}

static int put_digest(json_t *o, const char *key, const void *p, size_t n, struct err *err)
{
    char hex[SHA256_HEX];
    TRY(sha256_of(p, n, hex, err));
    return put(o, key, json_string(hex), err);
}

/* ---- a folder's files ---- */

/* 1: it is there; *out then is its text. */
static int read_one(struct buf *out, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    if (!path)
        return ERR(err, NOMEM, "no memory for the path of a file");
    buf_clear(out);
    const int rc = !file_exists(path) ? 0 : file_read(path, FILE_MAX, out, err) ? -1 : 1;
    mem_free(path);
    return rc < 0 ? err->code : rc;
}

static int template_of_config(json_t *o, const struct buf *text, struct err *err)
{
    json_t *config;
    TRY(tree_parse_json(&config, text->data, text->len, "tokenizer_config.json", err));
    const json_t *t = json_object_get(config, "chat_template");
    const int rc = json_is_string(t) ? put_digest(o, "chat_template_sha256", json_string_value(t), json_string_length(t), err) : 0;
    json_decref(config);
    return rc;
}

static int folder_facts(json_t *o, const char *folder, struct buf *text, struct err *err)
{
    static const char *const tokenizers[] = { "tokenizer.json", "tokenizer.model", "tekken.json", "vocab.txt" };
    int rc = 0;
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers && !rc; i++)
        if ((rc = read_one(text, folder, tokenizers[i], err)) == 1)
            TRY(put_digest(o, "tokenizer_sha256", text->data, text->len, err));
    TRY(rc);
    TRY(rc = read_one(text, folder, "chat_template.jinja", err));
    if (rc)
        TRY(put_digest(o, "chat_template_sha256", text->data, text->len, err));
    else if ((rc = read_one(text, folder, "tokenizer_config.json", err)) == 1)
        TRY(template_of_config(o, text, err));
    TRY(rc);
    TRY(rc = read_one(text, folder, "generation_config.json", err));
    json_t *config;
    if (!rc)
        return 0;
    TRY(tree_parse_json(&config, text->data, text->len, "generation_config.json", err));
    return put(o, "generation_config", config, err);
}

/* What its card, LICENSE and the like say, each once; a text that is of a licence, but not known of which, is NOASSERTION, which no list has. */
static int folder_licence(json_t *o, const char *folder, struct err *err)
{
    struct licence_finds found;
    struct buf all;
    TRY(licence_find(&found, folder, NULL, 0, NULL, NULL, err));
    buf_init(&all);
    int rc = 0;
    for (int i = 0; i < found.n && !rc; i++) {
        const char *one = found.item[i].expression ? found.item[i].expression : "NOASSERTION";
        bool again = false;
        for (int k = 0; k < i && !again; k++)
            again = !strcmp(one, found.item[k].expression ? found.item[k].expression : "NOASSERTION");
        if (!again)
            rc = buf_printf(&all, err, strstr(one, " OR ") && found.n > 1 ? "%s(%s)" : "%s%s", all.len ? " AND " : "", one);
    }
    if (!rc && all.len)
        rc = put(o, "license", json_string(all.data), err);
    buf_release(&all);
    licence_finds_release(&found);
    return rc;
}

/* ---- GGUF's metadata ---- */

static void add_pair(struct sha256 *h, const struct gguf_pair *p)
{
    sha256_add(h, p->key, strlen(p->key) + 1);
    for (int64_t i = 0; i < p->n; i++)
        if (p->kind == GGUF_STR) {
            const struct gguf_str s = gguf_str_at(p, i);
            sha256_add(h, &s.n, sizeof s.n);
            sha256_add(h, s.p, s.n);
        } else {
            const double v = gguf_num_at(p, i);
            sha256_add(h, &v, sizeof v);
        }
}

static int gguf_facts(json_t *o, const struct gguf *g, struct err *err)
{
    struct sha256 h;
    char hex[SHA256_HEX];
    const char *text = NULL;
    TRY(sha256_init(&h, err));
    for (int i = 0; i < gguf_n_pair(g); i++)
        if (!strncmp(gguf_pair(g, i)->key, "tokenizer.", 10) && strcmp(gguf_pair(g, i)->key, "tokenizer.chat_template"))
            add_pair(&h, gguf_pair(g, i));
    sha256_end(&h, hex);
    TRY(put(o, "tokenizer_sha256", json_string(hex), err));
    if (gguf_get_str(g, "tokenizer.chat_template", &text, NULL) == 1)
        TRY(put_digest(o, "chat_template_sha256", text, strlen(text), err));
    if (gguf_get_str(g, "general.license", &text, NULL) == 1)
        TRY(put(o, "license", json_string(text), err));
    return 0;
}

static int model_facts(json_t *o, const char *path, struct err *err)
{
    if (file_is_dir(path)) {
        struct buf text;
        buf_init(&text);
        const int rc = folder_facts(o, path, &text, err);
        buf_release(&text);
        return rc ? rc : folder_licence(o, path, err);
    }
    struct gguf *g;
    TRY(gguf_open(&g, path, err));
    const int rc = gguf_facts(o, g, err);
    gguf_free(g);
    return rc;
}

/* ---- adapters by themselves ---- */

/* That they can be read, and what model they say they are for. */
static int adapter_facts(json_t **out, const char *path, struct err *err)
{
    struct adapter *a;
    struct buf text;
    json_t *config = NULL;
    TRY(adapter_open(&a, path, err));
    adapter_free(a);
    if (!(*out = json_object()))
        return ERR(err, NOMEM, "no memory for what a version is");
    buf_init(&text);
    int rc = read_one(&text, path, "adapter_config.json", err);
    rc = rc < 0 ? rc : tree_parse_json(&config, text.data, text.len, "adapter_config.json", err);
    const json_t *base = json_object_get(config, "base_model_name_or_path");
    if (!rc && json_is_string(base))
        rc = put(*out, "base_model", json_incref((json_t *)(uintptr_t)base), err);
    json_decref(config);
    buf_release(&text);
    return rc ? rc : folder_licence(*out, path, err);
}

/* ---- by which evidence calls it: once all is copied ---- */

/* The digest of a file of weights that was copied; else it lies elsewhere, and is read. */
static int digest_of_weights(char out[SHA256_HEX], const struct registry_facts *r, const char *weights, const struct manifest *files, struct err *err)
{
    const size_t n = strlen(r->path);
    const char *name = strncmp(weights, r->path, n) ? "" : weights + n;
    const struct manifest_file *f = !*name && files->n == 1 && !strcmp(weights, r->path) ? &files->file[0] : manifest_find(files, name + strspn(name, "/"));
    if (!f)
        return sha256_of_file(weights, out, err);
    memcpy(out, f->sha256, SHA256_HEX);
    return 0;
}

static int put_weights(json_t *o, const struct registry_facts *r, const struct manifest *files, struct err *err)
{
    const size_t n = json_array_size(r->weights);
    char (*hex)[SHA256_HEX] = mem_alloc_array(n, sizeof *hex), all[SHA256_HEX];
    const char **each = mem_alloc_array(n, sizeof *each);
    int rc = hex && each ? 0 : ERR(err, NOMEM, "no memory for %zu digests", n);
    for (size_t i = 0; i < n && !rc; i++)
        each[i] = hex[i], rc = digest_of_weights(hex[i], r, json_string_value(json_array_get(r->weights, i)), files, err);
    if (!rc)
        rc = weights_digest(each, (int)n, all, err);
    mem_free(each);
    mem_free(hex);
    return rc ? rc : put(o, "sha256", json_string(all), err);
}

/* Is all that model_digest() reads at the top of the folder in the version, too?  (What is in the version is there.) */
static int is_whole(bool *whole, const char *path, const struct manifest *files, struct err *err)
{
    char **names;
    int n;
    *whole = true;
    TRY(file_list(path, &names, &n, err));
    int rc = 0;
    for (int i = 0; i < n && *whole && !rc; i++) {
        char *file = file_join(path, names[i]);
        rc = file ? 0 : ERR(err, NOMEM, "no memory for the path of a file");
        *whole = !rc && (!strcmp(names[i], "model.sig") || file_is_dir(file) || manifest_find(files, names[i]));
        mem_free(file);
    }
    file_list_free(names, n);
    return rc;
}

static int put_digests(json_t *o, const char *path, const struct manifest *files, const char *as_it_will_be, struct err *err)
{
    char as_it_is[SHA256_HEX];
    bool whole = true;
    if (file_is_dir(path))
        TRY(is_whole(&whole, path, files, err));
    if (whole && as_it_will_be)
        return put(o, "digests", json_pack("[s]", as_it_will_be), err);
    TRY(model_digest(path, as_it_is, err));
    if (whole)
        return put(o, "digests", json_pack("[s]", as_it_is), err);
    return put(o, "digests", json_pack("[s, s*]", as_it_is, as_it_will_be), err);
}

int registry_facts_complete(void *ctx, json_t *facts, const struct manifest *files, const char digest[SHA256_HEX], struct err *err)
{
    const struct registry_facts *r = ctx;
    char adapters[SHA256_HEX];
    if (adapter_is_folder(r->path)) {
        TRY(adapter_digest(adapters, r->path, err));
        return put(facts, "adapter_sha256", json_string(adapters), err);
    }
    TRY(put_weights(facts, r, files, err));
    return put_digests(facts, r->path, files, digest, err);
}

int registry_facts_read(struct registry_facts *r, const char *path, struct err *err)
{
    *r = (struct registry_facts){ .path = path };
    const bool is_adapter = adapter_is_folder(path);
    if (!is_adapter)
        TRY(info_facts(&r->facts, &r->weights, path, err));
    const int rc = is_adapter ? adapter_facts(&r->facts, path, err) : file_is_dir(path) || file_name_ends(path, ".gguf") ? model_facts(r->facts, path, err) : 0;
    if (rc)
        registry_facts_release(r);
    return rc;
}

void registry_facts_release(struct registry_facts *r)
{
    json_decref(r->facts);
    json_decref(r->weights);
    *r = (struct registry_facts){ .path = NULL };
}
