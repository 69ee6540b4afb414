#include "model/adapter.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define PREFIX "base_model.model."
#define BASE_KEY "lathe.base"
#define LABELS_KEY "lathe.labels"
#define CONFIG_MAX ((size_t)1 << 20)
#define KEY_MAX (PART_NAME_MAX + 40)

int adapter_base(char hex[SHA256_HEX], const struct weights_list *l, const float *(*source)(void *ctx, int i), void *ctx, struct err *err)
{
    struct sha256 h;
    TRY(sha256_init(&h, err));
    for (int i = 0; i < l->n_weight; i++) {
        const struct weight *w = &l->weight[i];
        sha256_add(&h, w->name, strlen(w->name) + 1);
        sha256_add(&h, w->shape, (size_t)w->rank * sizeof *w->shape);
        if (w->rank == 1)
            sha256_add(&h, source(ctx, i), (size_t)w->n * sizeof(float));
    }
    sha256_end(&h, hex);
    return 0;
}

static void key_of(char out[KEY_MAX], const struct lora_part *p, bool b) { snprintf(out, KEY_MAX, PREFIX "%s.lora_%c.weight", p->module, b ? 'B' : 'A'); }

/* The name in the file of a weight of the head for classes: it has one part, in our order. */
static void key_of_whole(char out[KEY_MAX], const struct weights_list *l, const struct weight *w)
{
    const struct weight_part p = weight_part(l, w, 0);
    assert(w->n_part == 1 && !p.transposed && !p.plus_one);
    snprintf(out, KEY_MAX, PREFIX "%s", p.name);
}

static int count_whole(const struct weights_list *l)
{
    int n = 0;
    for (int i = 0; i < l->n_weight; i++)
        n += weight_of_head(&l->weight[i]);
    return n;
}

static int count_parts(const struct lora_site *site, int n_site)
{
    int n = 0;
    for (int i = 0; i < n_site; i++)
        n += site[i].n_part;
    return n;
}

/* Where row r of an adapter's B, in our order of the matrix, is in the file's. */
static int64_t file_row(const struct weights_list *l, const struct lora_site *s, int j, int64_t r)
{
    const struct weight_part p = weight_part(l, &l->weight[s->weight], s->part[j].i_part);
    return weight_part_file_row(&p, r);
}

/* ---- writing ---- */

/* The end of a module's name that tells it from every other kind of module: experts' names end like those of shared ones, and encoders
 * call most of theirs dense, also of the head. */
static const char *kind_of(const struct lora_part *p, const struct config *c)
{
    const char *last = strrchr(p->module, '.'), *layer = strstr(p->module, "layers.");
    const char *rest = layer ? strchr(layer + strlen("layers."), '.') : NULL;
    return c->encoder ? p->module : c->n_expert && rest ? rest + 1 : last ? last + 1 : p->module;
}

/* Once each; n bytes of name.  Without memory *list becomes NULL. */
static void add_once(json_t **list, const char *name, size_t n)
{
    size_t k = 0;
    while (k < json_array_size(*list) && (json_string_length(json_array_get(*list, k)) != n || memcmp(json_string_value(json_array_get(*list, k)), name, n)))
        k++;
    if (*list && k == json_array_size(*list) && json_array_append_new(*list, json_stringn(name, n))) {
        json_decref(*list);
        *list = NULL;
    }
}

static json_t *kinds(const struct decoder *d)
{
    json_t *list = json_array();
    for (int i = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part; j++) {
            const char *kind = kind_of(&d->site[i].part[j], &d->config);
            add_once(&list, kind, strlen(kind));
        }
    return list;
}

/* Of the head: score, classifier, pooler. */
static json_t *whole_modules(const struct weights_list *l)
{
    json_t *list = json_array();
    for (int i = 0; i < l->n_weight; i++)
        if (weight_of_head(&l->weight[i])) {
            const struct weight_part p = weight_part(l, &l->weight[i], 0);
            const char *pooler = strstr(p.name, "pooler."), *name = pooler ? pooler : p.name;
            add_once(&list, name, strcspn(name, "."));
        }
    return list;
}

static int write_config(const char *folder, const struct decoder *d, const struct weights_list *l, struct err *err)
{
    const struct lora *o = &d->lora;
    const char *task = !d->config.n_label ? "CAUSAL_LM" : config_vision(&d->config) ? NULL : "SEQ_CLS";
    json_t *c = json_pack("{s:s, s:s?, s:s, s:b, s:i, s:f, s:f, s:b, s:s, s:b, s:o}", "peft_type", "LORA", "task_type", task, "base_model_name_or_path", o->base_name ? o->base_name : "",
                          "inference_mode", 1, "r", o->rank, "lora_alpha", o->alpha, "lora_dropout", o->dropout, "use_rslora", o->rslora, "bias", "none",
                          "fan_in_fan_out", d->config.family == FAMILY_GPT2, "target_modules", kinds(d));
    if (c && d->config.n_label && json_object_set_new(c, "modules_to_save", whole_modules(l))) {
        json_decref(c);
        c = NULL;
    }
    char *text = c ? json_dumps(c, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL, *path = file_join(folder, "adapter_config.json");
    const int rc = text && path ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory to write adapter_config.json");
    mem_free(text);
    mem_free(path);
    json_decref(c);
    return rc;
}

static int write_part(struct st_writer *w, int i, const struct decoder *d, const struct weights_list *l, const struct lora_site *s, int j, struct err *err)
{
    const int64_t rank = d->lora.rank, n = d->g->tensor[s->a].shape[1].n * rank, rows = s->part[j].n_row;
    const float *a = d->g->tensor[s->a].data, *b = d->g->tensor[s->b[j]].data;
    TRY(st_writer_add(w, i, a + j * n, (size_t)n * sizeof *a, err));
    float *in_file = mem_alloc_array((size_t)(rows * rank), sizeof *in_file);
    if (!in_file)
        return ERR(err, NOMEM, "no memory to write an adapter");
    for (int64_t r = 0; r < rows; r++)
        memcpy(in_file + file_row(l, s, j, r) * rank, b + r * rank, (size_t)rank * sizeof *b);
    const int rc = st_writer_add(w, i + 1, in_file, (size_t)(rows * rank) * sizeof *in_file, err);
    mem_free(in_file);
    return rc;
}

/* The names of the classes as a JSON array, to be freed; NULL: there are none, or no memory. */
static char *labels_text(const struct config *c)
{
    json_t *list = c->n_label && c->label ? json_array() : NULL;
    bool ok = list;
    for (int i = 0; ok && i < c->n_label; i++)
        ok = !json_array_append_new(list, json_string(c->label[i]));
    char *text = ok ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

static int new_writer(struct st_writer **w, const char *path, const struct decoder *d, const struct st_decl *decl, int n, struct err *err)
{
    char *labels = labels_text(&d->config);
    struct st_pair metadata[3] = { { "format", "pt" } };
    int n_pair = 1;
    if (d->config.n_label && d->config.label && !labels)
        return ERR(err, NOMEM, "no memory for the names of %d classes", d->config.n_label);
    if (*d->lora.base)
        metadata[n_pair++] = (struct st_pair){ BASE_KEY, d->lora.base };
    if (labels)
        metadata[n_pair++] = (struct st_pair){ LABELS_KEY, labels };
    const int rc = st_writer_new(w, path, decl, n, metadata, n_pair, err);
    mem_free(labels);
    return rc;
}

static int write_head(struct st_writer *w, int k, const struct decoder *d, const struct weights_list *l, struct err *err)
{
    for (int i = 0; i < l->n_weight; i++)
        if (weight_of_head(&l->weight[i]))
            TRY(st_writer_add(w, k++, d->g->tensor[i].data, (size_t)l->weight[i].n * sizeof(float), err));
    return 0;
}

static int write_all(const char *path, const struct decoder *d, const struct weights_list *l, struct st_decl *decl, struct weight_digest *digest, struct err *err)
{
    struct st_writer *w;
    int n = 0;
    for (int i = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part; j++)
            for (int b = 0; b < 2; b++, n++) {
                const struct lora_part *p = &d->site[i].part[j];
                char key[KEY_MAX];
                key_of(key, p, b);
                if (strlen(key) >= sizeof digest[n].name)
                    return ERR(err, RANGE, "the name '%s' is too long", key);
                strcpy(digest[n].name, key);
                decl[n] = (struct st_decl){ digest[n].name, ST_F32, 2, { b ? p->n_row : d->lora.rank, b ? d->lora.rank : d->g->tensor[d->site[i].a].shape[1].n } };
            }
    for (int i = 0; i < l->n_weight; i++)
        if (weight_of_head(&l->weight[i])) {
            char key[KEY_MAX];
            key_of_whole(key, l, &l->weight[i]);
            if (strlen(key) >= sizeof digest[n].name)
                return ERR(err, RANGE, "the name '%s' is too long", key);
            strcpy(digest[n].name, key);
            decl[n] = (struct st_decl){ digest[n].name, ST_F32, l->weight[i].rank, { l->weight[i].shape[0], l->weight[i].shape[1] } };
            n++;
        }
    TRY(new_writer(&w, path, d, decl, n, err));
    int rc = 0;
    for (int i = 0, k = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part && !rc; j++, k += 2)
            rc = write_part(w, k, d, l, &d->site[i], j, err);
    if (!rc)
        rc = write_head(w, 2 * count_parts(d->site, d->n_site), d, l, err);
    if (!rc)
        rc = st_writer_prove(w, err);
    if (!rc)
        rc = st_writer_commit(w, err);
    for (int i = 0; i < n && !rc; i++)
        memcpy(digest[i].sha256, st_writer_sha256(w, i), SHA256_HEX);
    st_writer_free(w);
    return rc;
}

int adapter_save(const char *folder, const struct decoder *d, const struct weights_list *l, struct weight_digest **digest, int *n_digest, struct err *err)
{
    const int n = 2 * count_parts(d->site, d->n_site) + count_whole(l);
    char *path = file_join(folder, "adapter_model.safetensors");
    struct st_decl *decl = mem_alloc_array((size_t)n, sizeof *decl);
    struct weight_digest *names = mem_alloc_array((size_t)n, sizeof *names);
    int rc = path && decl && names ? write_config(folder, d, l, err) : ERR(err, NOMEM, "no memory to write %d adapters", n);
    if (!rc)
        rc = write_all(path, d, l, decl, names, err);
    if (digest)
        *digest = rc ? NULL : names, *n_digest = rc ? 0 : n;
    if (rc || !digest)
        mem_free(names);
    mem_free(decl);
    mem_free(path);
    return rc;
}

/* ---- reading ---- */

struct bound { int64_t K; int n_part; struct adapter_part part[3]; float *whole; };
struct adapter {
    struct lora lora;
    struct safetensors *st;
    char *path;
    struct bound *bound; int n_bound;            /* for each weight of the list, after adapter_bind() */
};

/* Forms of adapters whose tensors would be misread as plain ones. */
static int refuse_others(const json_t *c, const char *path, struct err *err)
{
    static const char *const off[] = { "use_dora", "lora_bias", "use_qalora" };
    static const char *const empty[] = { "rank_pattern", "alpha_pattern", "trainable_token_indices", "alora_invocation_tokens" };
    static const char *const starts[] = { "gaussian", "eva", "orthogonal" };      /* the others (pissa, olora, corda, loftq) take what they begin with from the base's weights */
    const json_t *start = json_object_get(c, "init_lora_weights");
    const char *bias;
    bool plain = !start || json_is_null(start) || json_is_boolean(start);
    for (size_t i = 0; json_is_string(start) && i < sizeof starts / sizeof *starts; i++)
        plain = plain || !strcmp(json_string_value(start), starts[i]);
    if (!plain)
        return ERR(err, UNSUPPORTED, "%s: init_lora_weights is '%.40s', with which peft changes the base's weights, expected an adapter of the weights as they are (save_pretrained with path_initial_model_for_weight_conversion makes one)",
                   path, json_is_string(start) ? json_string_value(start) : "no word");
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (json_is_true(json_object_get(c, off[i])))
            return ERR(err, UNSUPPORTED, "%s: %s is true, expected plain LoRA", path, off[i]);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const json_t *v = json_object_get(c, empty[i]);
        if (v && !json_is_null(v) && !((json_is_object(v) && !json_object_size(v)) || (json_is_array(v) && !json_array_size(v))))
            return ERR(err, UNSUPPORTED, "%s: %s is not empty, expected plain LoRA", path, empty[i]);
    }
    size_t i;
    const json_t *v;
    json_array_foreach(json_object_get(c, "modules_to_save"), i, v)
        if (!json_is_string(v) || (strcmp(json_string_value(v), "score") && strcmp(json_string_value(v), "classifier") && strcmp(json_string_value(v), "pooler")))
            return ERR(err, UNSUPPORTED, "%s: modules_to_save has other modules than a head for classes (score, classifier, pooler)", path);
    TRY(tree_str(c, "bias", "none", &bias, path, err));
    return strcmp(bias, "none") ? ERR(err, UNSUPPORTED, "%s: bias is '%.20s', expected none", path, bias) : 0;
}

static int read_config(struct lora *o, const json_t *c, const char *path, struct err *err)
{
    const char *type;
    int64_t rank;
    *o = (struct lora){ .targets = LORA_ALL, .all = true };
    if (!json_is_object(c))
        return ERR(err, FORMAT, "%s: expected an object", path);
    TRY(refuse_others(c, path, err));
    TRY(tree_str(c, "peft_type", "LORA", &type, path, err));
    if (strcmp(type, "LORA"))
        return ERR(err, UNSUPPORTED, "%s: peft_type is '%.20s', expected LORA", path, type);
    if (!json_object_get(c, "r"))
        return ERR(err, FORMAT, "%s: r is missing", path);
    TRY(tree_int(c, "r", 0, 1, LORA_RANK_MAX, &rank, path, err));
    TRY(tree_num(c, "lora_alpha", 8, &o->alpha, path, err));
    TRY(tree_num(c, "lora_dropout", 0, &o->dropout, path, err));
    o->rank = (int)rank;
    return tree_bool(c, "use_rslora", false, &o->rslora, path, err);
}

/* path: of the tensors, for messages; kept.  Takes the configuration. */
static int new_adapter(struct adapter **out, json_t *config, const char *name, char *path, struct err *err)
{
    struct adapter *a = *out = mem_alloc_array(1, sizeof *a);
    const int rc = a && path ? read_config(&a->lora, config, name, err) : ERR(err, NOMEM, "no memory to open %s", name);
    json_decref(config);
    if (a)
        a->path = path;
    else
        mem_free(path);
    return rc;
}

static int add_file(struct sha256 *h, const char *folder, const char *name, struct err *err)
{
    struct file_map m;
    char *path = file_join(folder, name);
    int rc = path ? file_map_open(&m, path, err) : ERR(err, NOMEM, "no memory to open %s", folder);
    if (!rc) {
        sha256_add(h, m.data, m.size);
        file_map_close(&m);
    }
    mem_free(path);
    return rc;
}

bool adapter_is_folder(const char *path)
{
    char *own = file_join(path, "adapter_config.json"), *model = file_join(path, "config.json");
    const bool is = own && model && file_exists(own) && !file_exists(model);
    mem_free(own);
    mem_free(model);
    return is;
}

int adapter_digest(char hex[SHA256_HEX], const char *folder, struct err *err)
{
    struct sha256 h;
    TRY(sha256_init(&h, err));
    int rc = add_file(&h, folder, "adapter_config.json", err);
    if (!rc)
        rc = add_file(&h, folder, "adapter_model.safetensors", err);
    sha256_end(&h, hex);
    return rc;
}

static int opened(struct adapter **out, int rc)
{
    if (rc < 0) {
        adapter_free(*out);
        *out = NULL;
    }
    return rc < 0 ? rc : 0;
}

int adapter_open(struct adapter **out, const char *folder, struct err *err)
{
    char *name = file_join(folder, "adapter_config.json");
    json_t *config = NULL;
    *out = NULL;
    int rc = name ? tree_load(&config, name, CONFIG_MAX, err) : ERR(err, NOMEM, "no memory to open %s", folder);
    if (rc >= 0)
        rc = new_adapter(out, config, name, file_join(folder, "adapter_model.safetensors"), err);
    if (rc >= 0)
        rc = safetensors_open(&(*out)->st, (*out)->path, err);
    mem_free(name);
    return opened(out, rc);
}

int adapter_parse(struct adapter **out, const char *text, size_t n, const void *data, size_t n_data, struct err *err)
{
    json_t *config;
    *out = NULL;
    TRY(tree_parse_json(&config, text, n, "adapter_config.json", err));
    int rc = new_adapter(out, config, "adapter_config.json", mem_printf("adapter_model.safetensors"), err);
    if (rc >= 0)
        rc = safetensors_parse(&(*out)->st, data, n_data, (*out)->path, err);
    return opened(out, rc);
}

void adapter_free(struct adapter *a)
{
    if (!a)
        return;
    for (int i = 0; a->bound && i < a->n_bound; i++)
        for (int j = 0; j < a->bound[i].n_part; j++) {
            mem_free(a->bound[i].part[j].a);
            mem_free(a->bound[i].part[j].b);
        }
    for (int i = 0; a->bound && i < a->n_bound; i++)
        mem_free(a->bound[i].whole);
    mem_free(a->bound);
    safetensors_free(a->st);
    mem_free(a->path);
    mem_free(a);
}

const struct lora *adapter_lora(const struct adapter *a) { return &a->lora; }

/* By its tensors: those of no adapter. */
bool adapter_has_head(const struct adapter *a)
{
    for (int i = 0; i < a->st->n_tensor; i++)
        if (!strstr(a->st->tensor[i].name, ".lora_"))
            return true;
    return false;
}

int adapter_labels(const struct adapter *a, struct labels *out, struct err *err)
{
    const char *text = safetensors_metadata(a->st, LABELS_KEY);
    json_t *list = NULL;
    *out = (struct labels){ 0 };
    if (!text)
        return 0;
    TRY(tree_parse_json(&list, text, strlen(text), LABELS_KEY, err));
    int rc = json_is_array(list) && json_array_size(list) <= 1 << 20 ? 0 : ERR(err, FORMAT, "%s: " LABELS_KEY " is no array of names", a->path);
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        rc = name ? labels_add(out, name, err) : ERR(err, FORMAT, "%s: " LABELS_KEY ": entry %zu is no name", a->path, i + 1);
    }
    json_decref(list);
    if (rc)
        labels_release(out);
    return rc;
}

int adapter_check_base(const struct adapter *a, const char *base, struct err *err)
{
    const char *own = safetensors_metadata(a->st, BASE_KEY);
    return own && strcmp(own, base) ? ERR(err, USAGE, "%s was trained on another model: that one's norms and shapes have the digest %.12s..., this one's %.12s...", a->path, own, base) : 0;
}

/* Both tensors of a part, or neither (*n = 0): a site need not be covered. */
static int find_part(const struct adapter *a, const struct weights_list *l, const struct lora_site *s, int j, const struct st_tensor *found[2], struct err *err)
{
    const int64_t rank = a->lora.rank, want[2][2] = { { rank, l->weight[s->weight].shape[1] }, { s->part[j].n_row, rank } };
    char key[2][KEY_MAX];
    for (int b = 0; b < 2; b++) {
        key_of(key[b], &s->part[j], b);
        found[b] = safetensors_find(a->st, key[b]);
        const struct st_tensor *t = found[b];
        if (t && (t->rank != 2 || t->shape[0] != want[b][0] || t->shape[1] != want[b][1]))
            return ERR(err, FORMAT, "%s: '%s' is [%lld, %lld], expected [%lld, %lld] for this model", a->path, key[b], (long long)(t->rank > 0 ? t->shape[0] : 0),
                       (long long)(t->rank > 1 ? t->shape[1] : 0), (long long)want[b][0], (long long)want[b][1]);
    }
    if (!found[0] != !found[1])
        return ERR(err, FORMAT, "%s: '%s' is there without '%s'", a->path, key[!found[0]], key[!found[1]]);
    return found[0] != NULL;
}

/* A weight of the head for classes in the file, or NULL. */
static int find_whole(const struct adapter *a, const struct weights_list *l, int i, const struct st_tensor **found, struct err *err)
{
    const struct weight *w = &l->weight[i];
    char key[KEY_MAX];
    *found = NULL;
    if (!weight_of_head(w))
        return 0;
    key_of_whole(key, l, w);
    const struct st_tensor *t = *found = safetensors_find(a->st, key);
    if (t && (t->rank != w->rank || t->shape[0] != w->shape[0] || (w->rank > 1 && t->shape[1] != w->shape[1])))
        return ERR(err, FORMAT, "%s: '%s' has rank %d and %lld rows, expected rank %d and %lld rows for this model", a->path, key, t->rank, (long long)(t->rank > 0 ? t->shape[0] : 0), w->rank,
                   (long long)w->shape[0]);
    return 0;
}

int adapter_check(const struct adapter *a, const struct weights_list *l, const struct lora_site *site, int n_site, struct err *err)
{
    int n = 0;
    for (int i = 0; i < l->n_weight; i++) {
        const struct st_tensor *whole;
        TRY(find_whole(a, l, i, &whole, err));
        n += whole != NULL;
    }
    for (int i = 0; i < n_site; i++)
        for (int j = 0; j < site[i].n_part; j++) {
            const struct st_tensor *found[2];
            int there;
            TRY(there = find_part(a, l, &site[i], j, found, err));
            n += 2 * there;
        }
    if (!n)
        return ERR(err, USAGE, "%s: none of its tensors belongs to a matrix of this model; the first is '%s'", a->path, a->st->n_tensor ? a->st->tensor[0].name : "");
    return n == a->st->n_tensor ? 0 : ERR(err, UNSUPPORTED, "%s: %d tensors, of which only %d belong to matrices of this model that an adapter can be on, or to its head for classes", a->path, a->st->n_tensor, n);
}

/* A and B of a part as floats, B's rows in our order; ERR_NOTFOUND when it has none. */
static int read_part(const struct adapter *a, const struct weights_list *l, const struct lora_site *s, int j, float *to_a, float *to_b, struct err *err)
{
    const struct st_tensor *found[2];
    int there;
    TRY(there = find_part(a, l, s, j, found, err));
    if (!there)
        return ERR(err, NOTFOUND, "%s: no adapter for '%s'", a->path, s->part[j].module);
    TRY(st_read_f32(found[0], 0, found[0]->n, to_a, err));
    for (int64_t r = 0; r < s->part[j].n_row; r++)
        TRY(st_read_f32(found[1], file_row(l, s, j, r) * a->lora.rank, a->lora.rank, to_b + r * a->lora.rank, err));
    return 0;
}

int adapter_load(const struct adapter *a, struct decoder *d, const struct weights_list *l, struct err *err)
{
    if (a->lora.rank != d->lora.rank)
        return ERR(err, FORMAT, "%s: rank %d, expected %d", a->path, a->lora.rank, d->lora.rank);
    TRY(adapter_check(a, l, d->site, d->n_site, err));
    for (int i = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part; j++) {
            const struct tensor *t = &d->g->tensor[d->site[i].a];
            TRY(read_part(a, l, &d->site[i], j, (float *)t->data + j * a->lora.rank * t->shape[1].n, d->g->tensor[d->site[i].b[j]].data, err));
        }
    for (int i = 0; i < l->n_weight; i++) {
        const struct st_tensor *whole;
        TRY(find_whole(a, l, i, &whole, err));
        if (whole)
            TRY(st_read_f32(whole, 0, whole->n, decoder_weight(d, i), err));
        else if (weight_of_head(&l->weight[i]))
            return ERR(err, NOTFOUND, "%s: the head for classes is not there", a->path);
    }
    return 0;
}

/* ---- merging ---- */

static int bind_site(struct adapter *a, const struct weights_list *l, const struct lora_site *s, struct bound *b, struct err *err)
{
    const int64_t K = l->weight[s->weight].shape[1], rank = a->lora.rank;
    *b = (struct bound){ .K = K };
    for (int j = 0; j < s->n_part; j++) {
        const struct st_tensor *found[2];
        int there;
        TRY(there = find_part(a, l, s, j, found, err));
        if (!there)
            continue;
        struct adapter_part *p = &b->part[b->n_part++];
        *p = (struct adapter_part){ s->part[j].row, s->part[j].n_row, mem_alloc_array((size_t)(rank * K), sizeof(float)), mem_alloc_array((size_t)(s->part[j].n_row * rank), sizeof(float)) };
        if (!p->a || !p->b)
            return ERR(err, NOMEM, "no memory for an adapter of '%s'", s->part[j].module);
        TRY(read_part(a, l, s, j, p->a, p->b, err));
    }
    return 0;
}

static int bind_whole(struct adapter *a, const struct weights_list *l, int i, struct err *err)
{
    const struct st_tensor *t;
    TRY(find_whole(a, l, i, &t, err));
    if (!t)
        return 0;
    if (!(a->bound[i].whole = mem_alloc_array((size_t)t->n, sizeof(float))))
        return ERR(err, NOMEM, "no memory for '%s'", t->name);
    return st_read_f32(t, 0, t->n, a->bound[i].whole, err);
}

int adapter_bind(struct adapter *a, const struct weights_list *l, struct err *err)
{
    struct lora_site *site;
    int n;
    TRY(lora_sites(&site, &n, l, &a->lora, err));
    int rc = adapter_check(a, l, site, n, err);
    a->n_bound = l->n_weight;
    if (!rc && !(a->bound = mem_alloc_array((size_t)l->n_weight, sizeof *a->bound)))
        rc = ERR(err, NOMEM, "no memory for adapters of %d weights", l->n_weight);
    for (int i = 0; i < n && !rc; i++)
        rc = bind_site(a, l, &site[i], &a->bound[site[i].weight], err);
    for (int i = 0; i < l->n_weight && !rc; i++)
        rc = bind_whole(a, l, i, err);
    mem_free(site);
    return rc;
}

const float *adapter_whole(const struct adapter *a, int i_weight) { return a->bound[i_weight].whole; }
bool adapter_changes(const struct adapter *a, int i_weight) { return a->bound[i_weight].n_part > 0; }

const struct adapter_part *adapter_parts(const struct adapter *a, int i_weight, int *n)
{
    *n = a->bound[i_weight].n_part;
    return a->bound[i_weight].part;
}

void adapter_add_row(const struct adapter *a, int i_weight, int64_t row, float *x)
{
    const struct bound *b = &a->bound[i_weight];
    const int rank = a->lora.rank;
    const double scale = lora_scale(&a->lora);
    for (int j = 0; j < b->n_part; j++) {
        const struct adapter_part *p = &b->part[j];
        if (row < p->row || row >= p->row + p->n_row)
            continue;
        const float *f = p->b + (row - p->row) * rank;
        for (int64_t k = 0; k < b->K; k++) {
            double sum = 0;
            for (int q = 0; q < rank; q++)
                sum += (double)f[q] * (double)p->a[q * b->K + k];
            x[k] = (float)((double)x[k] + scale * sum);
        }
    }
}
