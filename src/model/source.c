/* source.c - opens what a path holds, by its first bytes and not by its name, and lists its tensors in one form. */
#include "model/source.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/composite.h"
#include "model/gguf.h"
#include "model/safetensors.h"

#define CONFIG_BYTES_MAX (16 << 20)

struct source {
    struct gguf *gguf;                         /* one of the two */
    struct safetensors *st;
    struct source_tensor *tensor; int n;       /* of safetensors; a GGUF file has its own list */
    struct composite *composite; int n_composite;
    const struct composite **of;               /* [n] the composite that tensor i is, or NULL */
    const struct source_tensor **by_name;
};

/* ---- safetensors ---- */

static enum cpu_type type_of_dtype(enum st_dtype t)
{
    switch (t) {
    case ST_F32: return TYPE_F32;
    case ST_F16: return TYPE_F16;
    case ST_BF16: return TYPE_BF16;
    case ST_F8_E4M3: return TYPE_F8_E4M3;
    case ST_F8_E5M2: return TYPE_F8_E5M2;
    default: return N_CPU_TYPE;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct source_tensor *const *)a)->name, (*(const struct source_tensor *const *)b)->name);
}

static struct source_tensor plain(const struct st_tensor *from)
{
    struct source_tensor t = { .name = from->name, .type = type_of_dtype(from->dtype), .rank = from->rank, .n = from->n, .data = from->data,
                               .bytes = (size_t)(from->end - from->begin) };
    static_assert(ST_RANK_MAX <= SOURCE_RANK_MAX, "every shape has room");
    memcpy(t.shape, from->shape, sizeof from->shape);
    return t;
}

/* Each tensor that is no part of another weight, and at the place of its main tensor each composite. */
static void list_tensors(struct source *s, const bool *used)
{
    for (int i = 0, k = 0; i < s->st->n_tensor; i++) {
        const struct composite *c = k < s->n_composite ? composite_at(s->composite, k) : NULL;
        if (c && composite_main(c) == i) {
            s->tensor[s->n] = composite_tensor(c);
            s->of[s->n++] = c;
            k++;
        } else if (!used[i]) {
            s->tensor[s->n++] = plain(&s->st->tensor[i]);
        }
    }
}

static int index_names(struct source *s, struct err *err)
{
    for (int i = 0; i < s->n; i++)
        s->by_name[i] = &s->tensor[i];
    qsort(s->by_name, (size_t)s->n, sizeof *s->by_name, by_name);
    for (int i = 1; i < s->n; i++)
        if (!strcmp(s->by_name[i]->name, s->by_name[i - 1]->name))
            return ERR(err, FORMAT, "tensor '%s' is there both whole and in parts", s->by_name[i]->name);
    return 0;
}

/* The config.json beside the weights; NULL when there is none. */
static int load_config(json_t **out, const char *config, struct err *err)
{
    *out = NULL;
    return file_exists(config) ? tree_load(out, config, CONFIG_BYTES_MAX, err) : 0;
}

/* path: of the model; its folder may have a config.json. */
static int list_safetensors(struct source *s, const char *path, struct err *err)
{
    const size_t n = (size_t)s->st->n_tensor;
    const char *slash = strrchr(path, '/');
    char *config = file_is_dir(path) ? file_join(path, "config.json") : mem_printf("%.*sconfig.json", slash ? (int)(slash + 1 - path) : 0, path);
    bool *used = mem_alloc_array(n, sizeof *used);
    json_t *root = NULL;
    s->tensor = mem_alloc_array(n, sizeof *s->tensor);
    s->of = mem_alloc_array(n, sizeof *s->of);
    s->by_name = mem_alloc_array(n, sizeof *s->by_name);
    int rc = 0;
    if (!config || !used || !s->tensor || !s->of || !s->by_name)
        rc = ERR(err, NOMEM, "no memory for %zu tensors", n);
    if (!rc)
        rc = load_config(&root, config, err);
    if (!rc)
        rc = composites_find(&s->composite, &s->n_composite, used, s->st, root, config, err);
    if (!rc) {
        list_tensors(s, used);
        rc = index_names(s, err);
    }
    json_decref(root);
    mem_free(config);
    mem_free(used);
    return rc;
}

static int open_safetensors(struct source *s, const char *path, struct err *err)
{
    TRY(safetensors_open(&s->st, path, err));
    return list_safetensors(s, path, err);
}

/* ---- opening ---- */

/* A zip file (torch.save), or a raw pickle of protocol 2 and later: one byte 0x80, then the protocol. */
static bool is_pickle(const char *path, const unsigned char *head, size_t n)
{
    static const char *const suffix[] = { ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle" };
    if (n >= 4 && !memcmp(head, "PK\3\4", 4))
        return true;
    if (n >= 2 && head[0] == 0x80 && head[1] >= 1 && head[1] <= 5 && !file_name_ends(path, ".safetensors"))
        return true;
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++)
        if (file_name_ends(path, suffix[i]))
            return true;
    return false;
}

static int refuse_pickle(const char *path, struct err *err)
{
    return ERR(err, UNSUPPORTED, "%s holds pickled Python objects, which can run any program when they are read, so it is not read at all; "
               "expected .safetensors or .gguf: take those of the same model, or convert the file with torch and safetensors where "
               "you trust its maker", path);
}

static int open_file(struct source *s, const char *path, struct err *err)
{
    struct file_map m;
    TRY(file_map_open(&m, path, err));
    const bool gguf = m.size >= 4 && !memcmp(m.data, "GGUF", 4), pickle = !gguf && is_pickle(path, (const unsigned char *)m.data, m.size);
    file_map_close(&m);
    if (pickle)
        return refuse_pickle(path, err);
    if (gguf || file_name_ends(path, ".gguf"))
        return gguf_open(&s->gguf, path, err);
    return open_safetensors(s, path, err);
}

/* The .gguf file of a folder that has one model, or its first shard. */
static int find_in_folder(const char *const *name, int n, const char *path, const char **out, struct err *err)
{
    const char *pickle = NULL;
    *out = NULL;
    for (int i = 0; i < n; i++) {
        const char *of = strstr(name[i], "-of-");
        const bool later_shard = of && file_name_ends(name[i], ".gguf") && !(of - name[i] >= 6 && !memcmp(of - 6, "-00001", 6));
        if (file_name_ends(name[i], ".bin") || file_name_ends(name[i], ".pt") || file_name_ends(name[i], ".pth"))
            pickle = name[i];
        if (!file_name_ends(name[i], ".gguf") || later_shard)
            continue;
        if (*out)
            return ERR(err, USAGE, "%s has more than one model (%s, %s): name the file", path, *out, name[i]);
        *out = name[i];
    }
    if (*out)
        return 0;
    if (pickle) {
        refuse_pickle(pickle, err);
        return err_context(err, "%s", path), ERR_UNSUPPORTED;
    }
    return ERR(err, NOTFOUND, "%s has no weights: expected model.safetensors, model.safetensors.index.json or a .gguf file", path);
}

static int open_folder(struct source *s, const char *path, struct err *err)
{
    char **names, *file = NULL;
    const char *found;
    int n;
    TRY(file_list(path, &names, &n, err));
    bool st = false;
    for (int i = 0; i < n; i++)
        st = st || !strcmp(names[i], "model.safetensors") || !strcmp(names[i], "model.safetensors.index.json");
    int rc = st ? open_safetensors(s, path, err) : find_in_folder((const char *const *)names, n, path, &found, err);
    if (!rc && !st && !(file = file_join(path, found)))
        rc = ERR(err, NOMEM, "no memory to open %s", found);
    if (!rc && !st)
        rc = open_file(s, file, err);
    mem_free(file);
    file_list_free(names, n);
    return rc;
}

int source_open(struct source **out, const char *path, struct err *err)
{
    *out = NULL;
    struct source *s = mem_alloc_array(1, sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory to open %s", path);
    int rc;
    if (file_is_dir(path))
        rc = open_folder(s, path, err);
    else if (file_name_ends(path, ".index.json"))
        rc = open_safetensors(s, path, err);
    else
        rc = open_file(s, path, err);
    if (rc < 0) {
        source_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    gguf_free(s->gguf);
    safetensors_free(s->st);
    composites_free(s->composite, s->n_composite);
    mem_free(s->tensor);
    mem_free(s->of);
    mem_free(s->by_name);
    mem_free(s);
}

void source_rest(const struct source *s)
{
    if (s->gguf)
        gguf_rest(s->gguf);
    if (s->st)
        safetensors_rest(s->st);
}

/* ---- what is there ---- */

enum source_kind source_kind(const struct source *s) { return s->gguf ? SOURCE_GGUF : SOURCE_SAFETENSORS; }
const struct gguf *source_gguf(const struct source *s) { return s->gguf; }
const struct safetensors *source_safetensors(const struct source *s) { return s->st; }
int source_count(const struct source *s) { return s->gguf ? gguf_n_tensor(s->gguf) : s->n; }
const struct source_tensor *source_at(const struct source *s, int i) { return s->gguf ? gguf_tensor(s->gguf, i) : &s->tensor[i]; }

const struct source_tensor *source_find(const struct source *s, const char *name)
{
    const struct source_tensor key = { .name = name }, *p = &key;
    if (s->gguf)
        return gguf_find_tensor(s->gguf, name);
    const struct source_tensor **at = s->n ? bsearch(&p, s->by_name, (size_t)s->n, sizeof *at, by_name) : NULL;
    return at ? *at : NULL;
}

int source_read_rows(const struct source *s, const struct source_tensor *t, int64_t first, int64_t n, void *out, struct err *err)
{
    const int64_t row = t->rank ? t->shape[t->rank - 1] : 1;
    assert(first >= 0 && n >= 0 && (!n || (row && first <= t->n / row && n <= t->n / row - first)));
    if (t->type == N_CPU_TYPE)
        return ERR(err, UNSUPPORTED, "tensor '%s': type %s, expected one of a weight", t->name,
                   s->gguf ? gguf_type_name(s->gguf, t) : "of integers");
    const size_t bytes = type_bytes(t->type, row);
    if (!t->data && n)
        composite_read_rows(s->of[t - s->tensor], first, n, out);
    else if (n)
        memcpy(out, (const char *)t->data + (size_t)first * bytes, (size_t)n * bytes);
    return 0;
}
