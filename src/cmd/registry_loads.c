#include "cmd/registry_loads.h"
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "model/adapter.h"
#include "model/model.h"
#include "model/tok.h"

static int check_files(struct registry *g, const struct registry_version *v, struct err *err)
{
    struct manifest m;
    TRY(registry_manifest(g, v, &m, err));
    int rc = 0;
    for (int i = 0; i < m.n && !rc; i++)
        if ((rc = blob_check(registry_folder(g), m.file[i].sha256, m.file[i].bytes, err)))
            rc = err_context(err, "%.200s", m.file[i].name);
    manifest_release(&m);
    return rc;
}

static int check_tokenizer(const struct model *m, const char *path, struct err *err)
{
    struct tok *t;
    TRY(tok_load(&t, model_tok_path(m, path), err));
    const int n = tok_vocab_size(t);
    tok_free(t);
    return n <= m->config.vocab_size ? 0 : ERR(err, FORMAT, "the tokenizer has %d tokens, the model %d", n, m->config.vocab_size);
}

static int check_model(const char *path, bool has_tokenizer, struct err *err)
{
    struct model m;
    struct buf dropped;                  /* who loads it warns */
    buf_init(&dropped);
    int rc = model_open(&m, path, &dropped, err);
    buf_release(&dropped);
    if (rc)
        return rc;
    if (has_tokenizer)
        rc = check_tokenizer(&m, path, err);
    model_release(&m);
    return rc;
}

static int check_adapter(const char *path, struct err *err)
{
    struct adapter *a;
    TRY(adapter_open(&a, path, err));
    adapter_free(a);
    return 0;
}

static int check(struct registry *g, const struct registry_version *v, struct err *err)
{
    json_t *facts = NULL;
    char *path = NULL;
    TRY(check_files(g, v, err));
    TRY(registry_facts(g, v, &facts, err));
    const bool is_adapter = json_object_get(facts, "adapter_sha256"), is_model = !strcmp(v->kind, "model") && (is_adapter || json_object_get(facts, "digests"));
    int rc = is_model ? registry_path(g, v, &path, err) : 0;
    if (path)
        rc = is_adapter ? check_adapter(path, err) : check_model(path, json_object_get(facts, "tokenizer_sha256") != NULL, err);
    json_decref(facts);
    mem_free(path);
    return rc;
}

int registry_loads(struct registry *g, const struct registry_version *v, struct err *err)
{
    TRY(registry_has_bytes(g, v, err));
    const int rc = check(g, v, err);
    return rc ? err_context(err, "%s@%lld would not load", v->name, (long long)v->number) : 0;
}
