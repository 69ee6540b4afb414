#include "infer/ends.h"
#include <jansson.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define CONFIG_MAX ((size_t)1 << 20)

static void add(struct ends *ends, const json_t *id)
{
    if (json_is_integer(id) && ends->n < (int)(sizeof ends->id / sizeof *ends->id))
        ends->id[ends->n++] = (int)json_integer_value(id);
}

/* eos_token_id of generation_config.json: a number or a list of them. */
int ends_load(struct ends *ends, const char *path, struct err *err)
{
    json_t *config = NULL, *item;
    size_t i;
    *ends = (struct ends){ 0 };
    char *file = path && file_is_dir(path) ? file_join(path, "generation_config.json") : NULL;
    int rc = 0;
    if (file && file_exists(file) && !(rc = tree_load(&config, file, CONFIG_MAX, err))) {
        const json_t *eos = json_object_get(config, "eos_token_id");
        add(ends, eos);
        json_array_foreach((json_t *)(uintptr_t)eos, i, item)
            add(ends, item);
        json_decref(config);
    }
    mem_free(file);
    return rc;
}

bool ends_at(const struct ends *ends, const struct engine *e, int32_t id)
{
    const struct config *c = engine_config(e);
    for (int i = 0; i < c->n_eos; i++)
        if (id == c->eos_id[i])
            return true;
    for (int i = 0; i < ends->n; i++)
        if (id == ends->id[i])
            return true;
    return engine_tok(e) && tok_is_eog(engine_tok(e), id);
}
