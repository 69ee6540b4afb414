#include "serve/workshop_bases.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "serve/workshop.h"
#include "store/registry.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for the models that one may go on from"); }

static int put(json_t *list, const char *name, const char *of, const char *said, struct err *err)
{
    return json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", name, "of", of, "said", said)) ? no_memory(err) : 0;
}

/* Production's version, else the last. */
static int put_version(json_t *list, const json_t *of, struct err *err)
{
    char name[REGISTRY_NAME + 24], said[REGISTRY_NAME + 60];
    const json_t *production = json_object_get(json_object_get(of, "aliases"), "production");
    const long long number = (long long)json_integer_value(production ? production : json_object_get(of, "last"));
    if (strcmp(tree_text_at(of, "kind"), "model") || number < 1)
        return 0;
    snprintf(name, sizeof name, "%s@%lld", tree_text_at(of, "name"), number);
    snprintf(said, sizeof said, "%s, version %lld%s", tree_text_at(of, "name"), number, production ? ", production" : "");
    return put(list, name, "registry", said, err);
}

static int put_registry(const struct workshop_opts *o, json_t *list, struct err *err)
{
    struct registry *g;
    struct err none;
    json_t *names = NULL, *of;
    size_t i;
    if (!o->registry || registry_open(&g, o->registry, false, &none))
        return 0;
    int rc = 0;
    if (!registry_list(g, &names, &none))
        json_array_foreach(names, i, of)
            rc = rc ? rc : put_version(list, of, err);
    json_decref(names);
    registry_close(g);
    return rc;
}

int workshop_bases(const struct workshop_opts *o, json_t **out, struct err *err)
{
    int rc = (*out = json_array()) ? 0 : no_memory(err);
    for (int i = 0; i < o->n_base && !rc; i++)
        rc = put(*out, o->base[i].name, "server", o->base[i].name, err);
    rc = rc ? rc : put_registry(o, *out, err);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int workshop_base_path(const struct workshop_opts *o, const char *name, char **out, struct err *err)
{
    struct registry *g;
    struct registry_ref ref;
    struct registry_version v;
    *out = NULL;
    for (int i = 0; i < o->n_base; i++)
        if (!strcmp(o->base[i].name, name))
            return (*out = mem_strdup(o->base[i].path)) ? 0 : no_memory(err);
    if (!o->registry || registry_ref_parse(&ref, name, err) || !ref.number)
        return ERR(err, NOTFOUND, "there is no model '%.100s' here that one may go on from", name);
    TRY(registry_open(&g, o->registry, false, err));
    int rc = registry_find(g, &ref, &v, err);
    if (!rc && strcmp(v.kind, "model"))
        rc = ERR(err, NOTFOUND, "%.100s is no model", name);
    rc = rc ? rc : registry_path(g, &v, out, err);
    registry_close(g);
    return rc;
}
