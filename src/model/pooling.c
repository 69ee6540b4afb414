#include "model/pooling.h"
#include <jansson.h>
#include <stdio.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define JSON_MAX ((size_t)1 << 20)

static const char *const pool_names[] = {
#define X(name, word) word,
    POOL_KINDS(X)
#undef X
};
const char *pool_kind_name(enum pool_kind k) { return pool_names[k]; }

static int of_folder(enum pool_kind *out, const char *folder, struct err *err)
{
    static const char *const keys[] = { [POOL_MEAN] = "pooling_mode_mean_tokens", [POOL_CLS] = "pooling_mode_cls_token", [POOL_LAST] = "pooling_mode_lasttoken" };
    char *path = file_is_dir(folder) ? file_join(folder, "1_Pooling/config.json") : NULL;
    json_t *o = NULL;
    const int rc = path && file_exists(path) ? tree_load(&o, path, JSON_MAX, err) : 0;
    mem_free(path);
    if (rc < 0 || !o)
        return rc;
    int found = 0;
    for (int k = 0; k < N_POOL_KIND; k++)
        if (json_is_true(json_object_get(o, keys[k])))
            *out = (enum pool_kind)k, found++;
    json_decref(o);
    return found == 1 ? 1 : ERR(err, UNSUPPORTED, "%s/1_Pooling/config.json: %d of cls, mean and last token pooling, expected one", folder, found);
}

/* llama.cpp's numbers: 0 says none, 1, 2, 3 ours, 4 a score by a head that is not here. */
static int of_gguf(enum pool_kind *out, const struct gguf *g, struct err *err)
{
    const char *architecture = "";
    char key[96];
    int64_t type = 0;
    TRY(gguf_get_str(g, "general.architecture", &architecture, err));
    snprintf(key, sizeof key, "%.60s.pooling_type", architecture);
    TRY(gguf_get_int(g, key, -1, INT32_MAX, &type, err));
    if (type <= 0)
        return 0;
    if (type > N_POOL_KIND)
        return ERR(err, UNSUPPORTED, "%s: %s is %lld, expected 0 to %d: none, mean, cls or last", gguf_file_name(g, 0), key, (long long)type, N_POOL_KIND);
    *out = (enum pool_kind)(type - 1);
    return 1;
}

int pooling_read(enum pool_kind *out, const char *path, const struct gguf *g, struct err *err) { return g ? of_gguf(out, g, err) : of_folder(out, path, err); }

int pooling_put(struct gguf_writer *w, enum pool_kind k, const char *architecture, struct err *err)
{
    char key[96];
    snprintf(key, sizeof key, "%.60s.pooling_type", architecture);
    return gguf_put_int(w, key, GGUF_U32, k + 1, err);
}
