/* source.c - opens what a path holds, by its first bytes and not by its name, and lists its tensors in one form. */
#include "model/source.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/safetensors.h"

struct source {
    struct gguf *gguf;                         /* one of the two */
    struct safetensors *st;
    struct source_tensor *tensor; int n;       /* of safetensors; a GGUF file has its own list */
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

static int list_tensors(struct source *s, struct err *err)
{
    static_assert(ST_RANK_MAX <= SOURCE_RANK_MAX, "every shape has room");
    const size_t n = (size_t)s->st->n_tensor;
    s->tensor = mem_alloc_array(n, sizeof *s->tensor);
    s->by_name = mem_alloc_array(n, sizeof *s->by_name);
    if (!s->tensor || !s->by_name)
        return ERR(err, NOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        const struct st_tensor *from = &s->st->tensor[i];
        struct source_tensor *t = &s->tensor[i];
        *t = (struct source_tensor){ .name = from->name, .type = type_of_dtype(from->dtype), .rank = from->rank, .n = from->n,
                                     .data = from->data, .bytes = (size_t)(from->end - from->begin) };
        memcpy(t->shape, from->shape, sizeof from->shape);
        s->by_name[i] = t;
    }
    s->n = (int)n;
    qsort(s->by_name, n, sizeof *s->by_name, by_name);
    return 0;
}

/* ---- opening ---- */

static bool ends_with(const char *s, const char *suffix)
{
    const size_t n = strlen(s), m = strlen(suffix);
    return n >= m && !strcmp(s + n - m, suffix);
}

/* A zip file (torch.save), or a raw pickle of protocol 2 and later: one byte 0x80, then the protocol. */
static bool is_pickle(const char *path, const unsigned char *head, size_t n)
{
    static const char *const suffix[] = { ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle" };
    if (n >= 4 && !memcmp(head, "PK\3\4", 4))
        return true;
    if (n >= 2 && head[0] == 0x80 && head[1] >= 1 && head[1] <= 5 && !ends_with(path, ".safetensors"))
        return true;
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++)
        if (ends_with(path, suffix[i]))
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
    if (gguf || ends_with(path, ".gguf"))
        return gguf_open(&s->gguf, path, err);
    TRY(safetensors_open(&s->st, path, err));
    return list_tensors(s, err);
}

/* The .gguf file of a folder that has one model, or its first shard. */
static int find_in_folder(const char *const *name, int n, const char *path, const char **out, struct err *err)
{
    const char *pickle = NULL;
    *out = NULL;
    for (int i = 0; i < n; i++) {
        const char *of = strstr(name[i], "-of-");
        const bool later_shard = of && ends_with(name[i], ".gguf") && !(of - name[i] >= 6 && !memcmp(of - 6, "-00001", 6));
        if (ends_with(name[i], ".bin") || ends_with(name[i], ".pt") || ends_with(name[i], ".pth"))
            pickle = name[i];
        if (!ends_with(name[i], ".gguf") || later_shard)
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
    int rc = st ? safetensors_open(&s->st, path, err) : find_in_folder((const char *const *)names, n, path, &found, err);
    if (!rc && st)
        rc = list_tensors(s, err);
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
    else if (ends_with(path, ".index.json"))
        rc = (rc = safetensors_open(&s->st, path, err)) ? rc : list_tensors(s, err);
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
    mem_free(s->tensor);
    mem_free(s->by_name);
    mem_free(s);
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
    if (n)
        memcpy(out, (const char *)t->data + (size_t)first * bytes, (size_t)n * bytes);
    return 0;
}
