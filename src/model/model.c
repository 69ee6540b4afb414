#include "model/model.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/gguf_config.h"
#include "model/weights_gguf.h"

static int open_gguf(struct model *m, const struct gguf *g, struct buf *warnings, struct err *err)
{
    TRY(gguf_config(&m->config, g, warnings, err));
    TRY(weights_list_new(&m->list, &m->config, err));
    TRY(weights_gguf_parts(m->list, g, err));
    return weights_gguf_check(m->list, g, err);
}

static int open_folder(struct model *m, const char *path, struct buf *warnings, struct err *err)
{
    TRY(config_load(&m->config, path, warnings, err));
    return weights_list_new(&m->list, &m->config, err);
}

int model_open(struct model *m, const char *path, struct buf *warnings, struct err *err)
{
    *m = (struct model){ 0 };
    TRY(source_open(&m->source, path, err));
    const struct gguf *g = source_gguf(m->source);
    const int rc = g ? open_gguf(m, g, warnings, err) : open_folder(m, path, warnings, err);
    if (rc < 0)
        model_release(m);
    return rc;
}

void model_release(struct model *m)
{
    weights_list_free(m->list);
    source_free(m->source);
    *m = (struct model){ 0 };
}

const char *model_tok_path(const struct model *m, const char *path)
{
    const struct gguf *g = source_gguf(m->source);
    return g ? gguf_file_name(g, 0) : path;
}

static int add_file(struct sha256 *h, const char *name, const char *path, struct err *err)
{
    struct file_map m;
    TRY(file_map_open(&m, path, err));
    sha256_add(h, name, strlen(name) + 1);
    sha256_add(h, m.data, m.size);
    file_map_close(&m);
    return 0;
}

int model_digest(const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 h;
    char **names = NULL;
    int n = 0;
    if (!file_is_dir(path))
        return sha256_of_file(path, hex, err);
    TRY(sha256_init(&h, err));
    int rc = file_list(path, &names, &n, err);
    for (int i = 0; i < n && !rc; i++) {
        if (!strcmp(names[i], "model.sig"))
            continue;
        char *file = file_join(path, names[i]);
        rc = !file ? ERR(err, NOMEM, "no memory for the name of a file") : file_is_dir(file) ? 0 : add_file(&h, names[i], file, err);
        mem_free(file);
    }
    if (names)
        file_list_free(names, n);
    sha256_end(&h, hex);
    return rc;
}
