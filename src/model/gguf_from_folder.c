#include "model/gguf_from_folder.h"
#include "base/file.h"
#include "model/gguf_export.h"
#include "model/gguf_tok.h"
#include "model/pooling.h"
#include "model/weights_read.h"

struct folder { const struct model *m; const char *path; struct weights_reader *reader; };

static const float *floats_of(void *ctx, int i) { return weights_reader_floats(((const struct folder *)ctx)->reader, i); }

static int put_more(void *ctx, struct gguf_writer *w, struct err *err)
{
    const struct folder *f = ctx;
    enum pool_kind pooling;
    const int says = pooling_read(&pooling, f->path, NULL, err);
    TRY(says);
    if (says)
        TRY(pooling_put(w, pooling, gguf_architecture(&f->m->config), err));
    const struct config *c = &f->m->config;
    return gguf_put_tokenizer(w, f->path, c->vocab_size, c->bos_id, c->n_eos ? c->eos_id[0] : -1, err);
}

/* The one type of all matrices where that is a half, else F32. */
static enum cpu_type common_type(const struct source *s)
{
    enum cpu_type type = N_CPU_TYPE;
    for (int i = 0; i < source_count(s); i++) {
        const struct source_tensor *t = source_at(s, i);
        if (t->rank < 2 || t->type == N_CPU_TYPE)
            continue;
        if (type != N_CPU_TYPE && t->type != type)
            return TYPE_F32;
        type = t->type;
    }
    return type == TYPE_F16 || type == TYPE_BF16 ? type : TYPE_F32;
}

int gguf_from_folder(const struct model *m, const char *folder, const char *path, struct err *err)
{
    struct folder f = { .m = m, .path = folder };
    const struct gguf_export x = { .config = &m->config, .type = common_type(m->source), .source = floats_of, .more = put_more, .ctx = &f };
    TRY(weights_reader_new(&f.reader, m, err));
    int rc = gguf_export(&x, path, err);
    if (!rc && (rc = weights_reader_error(f.reader, err)) < 0)
        file_remove_tree(path, NULL);
    weights_reader_free(f.reader);
    return rc;
}
