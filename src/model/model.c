#include "model/model.h"
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
