/* mlflow_search.c - MLflow's searches: filtered, sorted, page by page; and how it tells a model and a version. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"
#include "serve/mlflow_api.h"
#include "serve/mlflow_filter.h"
#include "store/about.h"

static void no_memory(struct mlflow_ask *a) { refuse_as(&a->e, 503, NULL, NULL, NULL, "no memory for the reply"); }

/* ---- how they are told ---- */

static json_int_t milliseconds(const json_t *o, const char *key)
{
    int64_t ns = 0;
    struct err none;
    return when_parse(&ns, tree_text_at(o, key), &none) < 0 ? 0 : ns / 1000000;
}

static json_t *tags_json(const json_t *o)
{
    const char *key;
    json_t *value, *list = json_array();
    json_object_foreach(json_object_get(o, "tags"), key, value)
        if (json_array_append_new(list, json_pack("{s:s, s:O}", "key", key, "value", value))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *aliases_json(const json_t *o)
{
    char version[24];
    const char *alias;
    json_t *number, *list = json_array();
    json_object_foreach(json_object_get(o, "aliases"), alias, number) {
        snprintf(version, sizeof version, "%lld", (long long)json_integer_value(number));
        if (json_array_append_new(list, json_pack("{s:s, s:s}", "alias", alias, "version", version))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *mlflow_version_json(struct mlflow_ask *a, const json_t *v)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)tree_number_at(v, "number"));
    char *root = realpath(registry_folder(a->g), NULL), *source = mem_printf("%s/versions/%s", root ? root : registry_folder(a->g), tree_text_at(v, "manifest"));
    json_t *tags = tags_json(v), *o = NULL;
    if (source && tags)
        o = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:O, s:O}", "name", tree_text_at(v, "name"), "version", number,
                      "creation_timestamp", milliseconds(v, "t"), "last_updated_timestamp", milliseconds(v, "updated"), "current_stage", "None",
                      "description", tree_text_at(v, "description"), "source", source, "run_id", tree_text_at(v, "run"), "status", "READY",
                      "tags", tags, "aliases", json_object_get(v, "aliases"));
    if (!o)
        no_memory(a);
    json_decref(tags);
    mem_free(source);
    free(root);
    return o;
}

static json_t *latest_json(struct mlflow_ask *a, const json_t *name, const json_t *versions)
{
    size_t i;
    const json_t *v;
    json_t *list = json_array();
    json_array_foreach(versions, i, v)
        if (tree_number_at(v, "number") == tree_number_at(name, "last") && !strcmp(tree_text_at(v, "name"), tree_text_at(name, "name")) &&
            json_array_append_new(list, mlflow_version_json(a, v)))
            no_memory(a);
    return list;
}

json_t *mlflow_model_json(struct mlflow_ask *a, const json_t *name, const json_t *versions)
{
    json_t *tags = tags_json(name), *aliases = aliases_json(name), *latest = latest_json(a, name, versions), *o = NULL;
    if (tags && aliases && latest && !a->e.status)
        o = json_pack("{s:s, s:I, s:I, s:s, s:O, s:O, s:O}", "name", tree_text_at(name, "name"), "creation_timestamp", milliseconds(name, "t"),
                      "last_updated_timestamp", milliseconds(name, "updated"), "description", tree_text_at(name, "description"), "tags", tags,
                      "aliases", aliases, "latest_versions", latest);
    if (!o)
        no_memory(a);
    json_decref(tags);
    json_decref(aliases);
    json_decref(latest);
    return o;
}

/* ---- searching ---- */

enum order { BY_NAME, BY_VERSION, BY_CREATED, BY_UPDATED };
struct search { struct mlflow_filter filter; enum order order; bool down; int64_t from, most; };

/* In a query numbers are texts. */
static int64_t number_in(struct mlflow_ask *a, struct in *f, const char *name, int64_t fallback, int64_t min, int64_t max)
{
    const json_t *v = NULL;
    int64_t n = min - 1;
    if (!in_any(f, name, &v))
        return fallback;
    const char *s = in_word(v);
    if (s && *s && strlen(s) < 16 && strspn(s, "0123456789") == strlen(s))
        n = strtoll(s, NULL, 10);
    else if (!s)
        in_whole(v, &n);
    else if (!*s)
        return fallback;
    if (n < min || n > max)
        refuse(&a->e, name, "%s is no number of %lld to %lld", name, (long long)min, (long long)max);
    return n;
}

static void read_order(struct mlflow_ask *a, struct in *f, bool versions, struct search *s)
{
    static const struct { const char *word; enum order order; } words[] = {
        { "name", BY_NAME }, { "version_number", BY_VERSION }, { "creation_timestamp", BY_CREATED }, { "last_updated_timestamp", BY_UPDATED }, { "timestamp", BY_UPDATED } };
    const json_t *v = NULL;
    s->order = versions ? BY_UPDATED : BY_NAME, s->down = versions;
    if (!in_any(f, "order_by", &v))
        return;
    const char *text = json_is_array(v) ? in_word(json_array_get(v, 0)) : in_word(v);
    if (!text || !*text)
        return;
    const size_t n = strcspn(text, " ");
    const char *way = text + n + strspn(text + n, " ");
    bool found = !*way || !strcasecmp(way, "ASC") || !strcasecmp(way, "DESC");
    s->down = !strcasecmp(way, "DESC");
    size_t i = 0;
    while (i < sizeof words / sizeof *words && (strncmp(text, words[i].word, n) || words[i].word[n]))
        i++;
    found = found && i < sizeof words / sizeof *words && (versions || words[i].order != BY_VERSION);
    if (found)
        s->order = words[i].order;
    else
        refuse(&a->e, "order_by", "order_by is '%.60s', expected name, %screation_timestamp or last_updated_timestamp, and ASC or DESC", text, versions ? "version_number, " : "");
}

static bool read_search(struct mlflow_ask *a, bool versions, struct search *s)
{
    struct in f;
    struct err err;
    const char *filter = "";
    in_begin(&f, a->request, &a->e, "%s", "");
    in_str(&f, "filter", &filter, NULL);
    s->most = number_in(a, &f, "max_results", versions ? 10000 : 100, 1, versions ? 200000 : 1000);
    s->from = number_in(a, &f, "page_token", 0, 0, INT32_MAX);
    read_order(a, &f, versions, s);
    in_end(&f, NULL);
    if (!a->e.status && mlflow_filter_parse(&s->filter, filter, versions ? "name|run_id|version_number" : "name", &err) < 0)
        refuse(&a->e, "filter", "%s", err.msg);
    return !a->e.status;
}

/* MLflow's client asks for tag.`mlflow.prompt.is_prompt` != 'true' of its own accord, and takes a model without that tag for none. */
static const char *tag_of(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(json_object_get(o, "tags"), key));
    return value || strcmp(key, "mlflow.prompt.is_prompt") ? value : "false";
}

static const char *value_of(const json_t *o, const struct mlflow_test *t, const char *number)
{
    if (t->tag)
        return tag_of(o, t->key);
    return !strcmp(t->key, "name") ? tree_text_at(o, "name") : !strcmp(t->key, "run_id") ? tree_text_at(o, "run") : number;
}

static bool matches(const struct search *s, const json_t *o)
{
    char number[24] = "";                                      /* a registered model has none */
    const double n = tree_number_at(o, "number");
    if (strcmp(tree_text_at(o, "kind"), "model"))
        return false;
    if (isfinite(n))
        snprintf(number, sizeof number, "%lld", (long long)n);
    for (int i = 0; i < s->filter.n; i++)
        if (!mlflow_test_is(&s->filter.test[i], value_of(o, &s->filter.test[i], number)))
            return false;
    return true;
}

static int compare(const void *pa, const void *pb, void *ctx)
{
    const struct search *s = ctx;
    const json_t *a = *(json_t *const *)pa, *b = *(json_t *const *)pb;
    const double na = tree_number_at(a, "number"), nb = tree_number_at(b, "number");
    const char *const time[] = { [BY_NAME] = "name", [BY_CREATED] = "t", [BY_UPDATED] = "updated" };
    int order = s->order == BY_VERSION ? (na > nb) - (na < nb) : strcmp(tree_text_at(a, time[s->order]), tree_text_at(b, time[s->order]));
    if (order)
        return s->down ? -order : order;
    order = strcmp(tree_text_at(a, "name"), tree_text_at(b, "name"));
    return order ? order : (nb > na) - (nb < na);
}

/* The page of a list; versions: of all models, for their latest ones, or NULL where the list has versions. */
static json_t *page(struct mlflow_ask *a, const struct search *s, const json_t *list, const json_t *versions)
{
    size_t i, n = 0;
    json_t *o, *out = json_array(), **found = mem_alloc_array(json_array_size(list) + 1, sizeof(json_t *));
    if (!out || !found)
        no_memory(a);
    json_array_foreach(list, i, o)
        if (found && matches(s, o))
            found[n++] = o;
    if (found)
        qsort_r(found, n, sizeof *found, compare, (void *)(uintptr_t)s);
    for (i = (size_t)s->from; i < n && i < (size_t)(s->from + s->most) && !a->e.status; i++)
        if (json_array_append_new(out, versions ? mlflow_model_json(a, found[i], versions) : mlflow_version_json(a, found[i])))
            no_memory(a);
    mem_free(found);
    char token[24] = "";
    if (n > (size_t)(s->from + s->most))
        snprintf(token, sizeof token, "%lld", (long long)(s->from + s->most));
    json_t *reply = a->e.status ? NULL : json_pack("{s:O, s:s}", versions ? "registered_models" : "model_versions", out, "next_page_token", token);
    if (!reply)
        no_memory(a);
    json_decref(out);
    return reply;
}

static json_t *search(struct mlflow_ask *a, bool of_versions)
{
    struct err err;
    json_t *names = NULL, *versions = NULL, *reply = NULL;
    struct search *s = mem_alloc_zero(sizeof *s);
    if (!s)
        no_memory(a);
    if (s && read_search(a, of_versions, s)) {
        if (registry_versions(a->g, NULL, &versions, &err) < 0 || (!of_versions && registry_names(a->g, NULL, &names, &err) < 0))
            mlflow_refuse_err(&a->e, &err);
        else
            reply = of_versions ? page(a, s, versions, NULL) : page(a, s, names, versions);
    }
    json_decref(names);
    json_decref(versions);
    mem_free(s);
    return reply;
}

json_t *mlflow_search_models(struct mlflow_ask *a) { return search(a, false); }
json_t *mlflow_search_versions(struct mlflow_ask *a) { return search(a, true); }
