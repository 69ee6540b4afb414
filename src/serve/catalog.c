#include "serve/catalog.h"
#include "serve/anthropic_reply.h"
#include "serve/openai_reply.h"
#include "serve/visit.h"

static bool speaks_anthropic(const struct http_request *q) { return http_header(q, "anthropic-version") != NULL; }

static json_t *told(const struct http_request *q, const struct served_model *m, int which) { return speaks_anthropic(q) ? anthropic_model(m, which) : openai_model(m, which); }

int catalog_models(const struct served_models *m, struct http_request *q, struct served_model *out[SERVED_MODELS_MAX])
{
    int n = 0;
    for (int i = 0; i < m->n; i++) {
        bool may = false;
        for (int which = 0; which <= m->model[i]->n_adapter && !may; which++)
            may = visit_may_use(q, served_model_as(m->model[i], which).name);
        if (may)
            out[n++] = m->model[i];
    }
    return n;
}

json_t *catalog_list(const struct served_models *m, struct http_request *q)
{
    const char *first = NULL, *last = NULL;
    json_t *list = json_array();
    for (int i = 0; i < m->n; i++)
        for (int which = 0; which <= m->model[i]->n_adapter; which++) {
            const char *name = served_model_as(m->model[i], which).name;
            if (!visit_may_use(q, name))
                continue;
            json_array_append_new(list, told(q, m->model[i], which));
            first = first ? first : name, last = name;
        }
    return speaks_anthropic(q) ? json_pack("{s:o, s:b, s:s?, s:s?}", "data", list, "has_more", 0, "first_id", first, "last_id", last) : json_pack("{s:s, s:o}", "object", "list", "data", list);
}

bool catalog_find(json_t **out, const struct served_models *m, struct http_request *q, const char *name)
{
    int which;
    const struct served_model *found = served_models_find(m, name, &which);
    if (!found || !visit_may_use(q, name))
        return false;
    *out = told(q, found, which);
    return true;
}
