#include "model/adapter.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define PREFIX "base_model.model."
#define BASE_KEY "lathe.base"
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

/* The end of a module's name that tells it from every other kind of module: experts' names end like those of shared ones. */
static const char *kind_of(const struct lora_part *p, bool experts)
{
    const char *last = strrchr(p->module, '.'), *layer = strstr(p->module, "layers.");
    const char *rest = layer ? strchr(layer + strlen("layers."), '.') : NULL;
    return experts && rest ? rest + 1 : last ? last + 1 : p->module;
}

static json_t *kinds(const struct decoder *d)
{
    json_t *list = json_array();
    for (int i = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part; j++) {
            const char *kind = kind_of(&d->site[i].part[j], d->config.n_expert > 0);
            size_t k = 0;
            while (k < json_array_size(list) && strcmp(json_string_value(json_array_get(list, k)), kind))
                k++;
            if (k == json_array_size(list) && json_array_append_new(list, json_string(kind))) {
                json_decref(list);
                return NULL;
            }
        }
    return list;
}

static int write_config(const char *folder, const struct decoder *d, struct err *err)
{
    const struct lora *o = &d->lora;
    json_t *c = json_pack("{s:s, s:s, s:s, s:b, s:i, s:f, s:f, s:b, s:s, s:b, s:o}", "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", o->base_name ? o->base_name : "",
                          "inference_mode", 1, "r", o->rank, "lora_alpha", o->alpha, "lora_dropout", o->dropout, "use_rslora", o->rslora, "bias", "none",
                          "fan_in_fan_out", d->config.family == FAMILY_GPT2, "target_modules", kinds(d));
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

static int write_all(const char *path, const struct decoder *d, const struct weights_list *l, struct st_decl *decl, struct weight_digest *digest, struct err *err)
{
    const struct st_pair metadata[] = { { "format", "pt" }, { BASE_KEY, d->lora.base } };
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
    TRY(st_writer_new(&w, path, decl, n, metadata, *d->lora.base ? 2 : 1, err));
    int rc = 0;
    for (int i = 0, k = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part && !rc; j++, k += 2)
            rc = write_part(w, k, d, l, &d->site[i], j, err);
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
    const int n = 2 * count_parts(d->site, d->n_site);
    char *path = file_join(folder, "adapter_model.safetensors");
    struct st_decl *decl = mem_alloc_array((size_t)n, sizeof *decl);
    struct weight_digest *names = mem_alloc_array((size_t)n, sizeof *names);
    int rc = path && decl && names ? write_config(folder, d, err) : ERR(err, NOMEM, "no memory to write %d adapters", n);
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

struct adapter { struct lora lora; struct safetensors *st; char *path; };

/* Forms of adapters whose tensors would be misread as plain ones. */
static int refuse_others(const json_t *c, const char *path, struct err *err)
{
    static const char *const off[] = { "use_dora", "lora_bias", "use_qalora" };
    static const char *const empty[] = { "rank_pattern", "alpha_pattern", "modules_to_save", "trainable_token_indices" };
    const char *bias;
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (json_is_true(json_object_get(c, off[i])))
            return ERR(err, UNSUPPORTED, "%s: %s is true, expected plain LoRA", path, off[i]);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const json_t *v = json_object_get(c, empty[i]);
        if (v && !json_is_null(v) && !((json_is_object(v) && !json_object_size(v)) || (json_is_array(v) && !json_array_size(v))))
            return ERR(err, UNSUPPORTED, "%s: %s is not empty, expected plain LoRA", path, empty[i]);
    }
    TRY(tree_str(c, "bias", "none", &bias, path, err));
    return strcmp(bias, "none") ? ERR(err, UNSUPPORTED, "%s: bias is '%.20s', expected none", path, bias) : 0;
}

static int read_config(struct lora *o, const char *path, struct err *err)
{
    json_t *c;
    const char *type;
    int64_t rank;
    TRY(tree_load(&c, path, CONFIG_MAX, err));
    *o = (struct lora){ .targets = LORA_ALL, .all = true };
    int rc = json_is_object(c) ? refuse_others(c, path, err) : ERR(err, FORMAT, "%s: expected an object", path);
    if (!rc)
        rc = tree_str(c, "peft_type", "LORA", &type, path, err);
    if (rc >= 0 && strcmp(type, "LORA"))
        rc = ERR(err, UNSUPPORTED, "%s: peft_type is '%.20s', expected LORA", path, type);
    if (rc >= 0)
        rc = tree_int(c, "r", 0, 1, LORA_RANK_MAX, &rank, path, err);
    if (rc >= 0 && !json_object_get(c, "r"))
        rc = ERR(err, FORMAT, "%s: r is missing", path);
    if (rc >= 0)
        rc = tree_num(c, "lora_alpha", 8, &o->alpha, path, err);
    if (rc >= 0)
        rc = tree_num(c, "lora_dropout", 0, &o->dropout, path, err);
    if (rc >= 0)
        rc = tree_bool(c, "use_rslora", false, &o->rslora, path, err);
    o->rank = rc < 0 ? 0 : (int)rank;
    json_decref(c);
    return rc < 0 ? rc : 0;
}

int adapter_open(struct adapter **out, const char *folder, struct err *err)
{
    char *config = file_join(folder, "adapter_config.json");
    struct adapter *a = *out = mem_alloc_array(1, sizeof *a);
    if (a)
        a->path = file_join(folder, "adapter_model.safetensors");
    int rc = config && a && a->path ? read_config(&a->lora, config, err) : ERR(err, NOMEM, "no memory to open %s", folder);
    if (!rc)
        rc = safetensors_open(&a->st, a->path, err);
    mem_free(config);
    if (rc < 0) {
        adapter_free(a);
        *out = NULL;
    }
    return rc;
}

void adapter_free(struct adapter *a)
{
    if (!a)
        return;
    safetensors_free(a->st);
    mem_free(a->path);
    mem_free(a);
}

const struct lora *adapter_lora(const struct adapter *a) { return &a->lora; }

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

int adapter_check(const struct adapter *a, const struct weights_list *l, const struct lora_site *site, int n_site, struct err *err)
{
    int n = 0;
    for (int i = 0; i < n_site; i++)
        for (int j = 0; j < site[i].n_part; j++) {
            const struct st_tensor *found[2];
            int there;
            TRY(there = find_part(a, l, &site[i], j, found, err));
            n += 2 * there;
        }
    if (!n)
        return ERR(err, USAGE, "%s: none of its tensors belongs to a matrix of this model; the first is '%s'", a->path, a->st->n_tensor ? a->st->tensor[0].name : "");
    return n == a->st->n_tensor ? 0 : ERR(err, UNSUPPORTED, "%s: %d tensors, of which only %d belong to matrices of this model that an adapter can be on", a->path, a->st->n_tensor, n);
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
    return 0;
}

static void add_product(float *w, const float *a, const float *b, int64_t n_row, int64_t K, int rank, double scale, double *row)
{
    for (int64_t r = 0; r < n_row; r++) {
        for (int64_t k = 0; k < K; k++)
            row[k] = 0;
        for (int q = 0; q < rank; q++) {
            const double f = scale * (double)b[r * rank + q];
            for (int64_t k = 0; k < K; k++)
                row[k] += f * (double)a[q * K + k];
        }
        for (int64_t k = 0; k < K; k++)
            w[r * K + k] = (float)((double)w[r * K + k] + row[k]);
    }
}

int adapter_merge(const struct adapter *a, const struct weights_list *l, const struct lora_site *s, float *w, struct err *err)
{
    const int64_t K = l->weight[s->weight].shape[1], N = l->weight[s->weight].shape[0], rank = a->lora.rank;
    float *fa = mem_alloc_array((size_t)(rank * K), sizeof *fa), *fb = mem_alloc_array((size_t)(N * rank), sizeof *fb);
    double *row = mem_alloc_array((size_t)K, sizeof *row);
    int rc = fa && fb && row ? 0 : ERR(err, NOMEM, "no memory to merge an adapter of %lld x %lld", (long long)N, (long long)K);
    for (int j = 0; j < s->n_part && !rc; j++) {
        rc = read_part(a, l, s, j, fa, fb, err);
        if (!rc)
            add_product(w + s->part[j].row * K, fa, fb, s->part[j].n_row, K, (int)rank, lora_scale(&a->lora), row);
        rc = rc == ERR_NOTFOUND ? 0 : rc;
    }
    mem_free(fa);
    mem_free(fb);
    mem_free(row);
    return rc;
}
