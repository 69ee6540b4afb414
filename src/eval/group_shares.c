#include "eval/group_shares.h"
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#define BYTES_MAX ((size_t)256 << 20)

int group_shares_load(json_t **out, const char *path, struct err *err)
{
    char *file = file_is_dir(path) ? file_join(path, "report.json") : mem_strdup(path);
    *out = NULL;
    if (!file)
        return ERR(err, NOMEM, "no memory for the path of an audit");
    int rc = tree_load(out, file, BYTES_MAX, err);
    const json_t *totals = json_object_get(*out, "totals");
    if (!rc && (!json_is_array(json_object_get(*out, "sources")) || !json_is_integer(json_object_get(totals, "records"))))
        rc = ERR(err, FORMAT, "%s: found no \"sources\" and \"totals\", expected the report of lathe data audit", file);
    mem_free(file);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int64_t number_of(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

static bool of_language(const json_t *audit, const char *value, struct group_share *out)
{
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(audit, "languages"), key, v) {
        out->n_all += json_integer_value(v);
        out->n += strcasecmp(key, value) ? 0 : json_integer_value(v);
    }
    out->by = "records in that language";
    return out->n_all > 0;
}

static bool of_source(const json_t *audit, const char *value, struct group_share *out)
{
    bool found = false;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(audit, "sources"), i, s) {
        const bool is = !strcasecmp(text_of(s, "name"), value);
        out->n_all += number_of(s, "kept"), out->n += is ? number_of(s, "kept") : 0;
        found |= is;
    }
    out->by = "kept records of that source";
    return found && out->n_all > 0;
}

static bool of_label(const json_t *audit, const char *value, struct group_share *out)
{
    size_t i, k;
    json_t *s, *c;
    json_array_foreach(json_object_get(json_object_get(audit, "labels"), "sources"), i, s) {
        json_array_foreach(json_object_get(s, "classes"), k, c) {
            const json_t *label = json_object_get(c, "label");
            char number[32] = "";
            if (json_is_integer(label))
                snprintf(number, sizeof number, "%lld", (long long)json_integer_value(label));
            out->n_all += number_of(c, "n");
            out->n += !strcasecmp(json_is_string(label) ? json_string_value(label) : number, value) ? number_of(c, "n") : 0;
        }
    }
    out->by = "records with that label";
    return out->n_all > 0;
}

/* The audit's groups are called AXIS/NAME, or NAME. */
static bool of_terms(const json_t *audit, const char *field, const char *value, struct group_share *out)
{
    const json_t *groups = json_object_get(audit, "groups");
    const size_t n = strlen(field);
    size_t i;
    json_t *g;
    json_array_foreach(json_object_get(groups, "groups"), i, g) {
        const char *name = text_of(g, "group");
        if (strcasecmp(name, value) && (strncasecmp(name, field, n) || name[n] != '/' || strcasecmp(name + n + 1, value)))
            continue;
        out->n = number_of(g, "records"), out->n_all = number_of(groups, "records");
        out->by = "records with one of its terms";
        return out->n_all > 0;
    }
    return false;
}

bool group_share_of(const json_t *audit, const char *field, const char *value, struct group_share *out)
{
    const char *point = strrchr(field, '.');
    const char *last = point ? point + 1 : field;
    *out = (struct group_share){ 0 };
    if (!strcasecmp(last, "language") || !strcasecmp(last, "lang"))
        return of_language(audit, value, out);
    if (!strcasecmp(last, "source") || !strcasecmp(last, "dataset"))
        return of_source(audit, value, out);
    if (!strcasecmp(last, "label") || !strcasecmp(last, "class"))
        return of_label(audit, value, out);
    return of_terms(audit, last, value, out);
}
