#include "serve/catalog.h"
#include "serve/anthropic_reply.h"
#include "serve/openai_reply.h"
#include "serve/visit.h"

static bool speaks_anthropic(const struct http_request *q) { return http_header(q, "anthropic-version") != NULL; }

void catalog_models(const struct served_models *m, struct http_request *q, bool all, struct served_list *out)
{
    struct served_list l;
    served_models_hold(m, all, &l);
    out->n = 0;
    for (int i = 0; i < l.n; i++) {
        bool may = false;
        for (int which = 0; which <= l.model[i]->n_adapter && !may; which++)
            may = visit_may_use(q, served_model_as(l.model[i], which).name);
        if (may)
            out->model[out->n++] = l.model[i];
        else
            served_model_drop(l.model[i]);
    }
}

/* One that has versions says which there are. */
static json_t *told(const struct served_models *m, const struct http_request *q, const struct served_model *s, int which)
{
    int at;
    struct arms *a = served_models_find(m, s->name, &at);
    json_t *o = speaks_anthropic(q) ? anthropic_model(s, which) : openai_model(s, which), *release = a ? arms_json(a) : NULL;
    if (release)
        json_object_set_new(o, "release", release);
    return o;
}

json_t *catalog_list(const struct served_models *m, struct http_request *q)
{
    struct served_list l;
    json_t *list = json_array(), *first, *last;
    catalog_models(m, q, false, &l);
    for (int i = 0; i < l.n; i++)
        for (int which = 0; which <= l.model[i]->n_adapter; which++)
            if (visit_may_use(q, served_model_as(l.model[i], which).name))
                json_array_append_new(list, told(m, q, l.model[i], which));
    served_list_drop(&l);
    first = json_object_get(json_array_get(list, 0), "id"), last = json_object_get(json_array_get(list, json_array_size(list) - 1), "id");
    return speaks_anthropic(q) ? json_pack("{s:o, s:b, s:O?, s:O?}", "data", list, "has_more", 0, "first_id", first, "last_id", last) : json_pack("{s:s, s:o}", "object", "list", "data", list);
}

bool catalog_find(json_t **out, const struct served_models *m, struct http_request *q, const char *name)
{
    int which;
    struct arms *a = served_models_find(m, name, &which);
    struct served_model *s = a && visit_may_use(q, name) ? arms_stable(a) : NULL;
    if (!s)
        return false;
    *out = told(m, q, s, which);
    served_model_drop(s);
    return true;
}
