#include "eval/groups.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for groups of items"); }

/* ---- a document's value ---- */

static const json_t *member(const json_t *doc, const char *path, size_t n)
{
    char name[200];
    if (n >= sizeof name)
        return NULL;
    snprintf(name, sizeof name, "%.*s", (int)n, path);
    const json_t *v = json_object_get(doc, name);
    for (char *rest, *p = strtok_r(name, ".", &rest); !v && p && json_is_object(doc); p = strtok_r(NULL, ".", &rest))
        if (!(doc = json_object_get(doc, p)) || !*rest)
            return doc;
    return v;
}

/* False: it is no value. */
static bool add_value(struct buf *b, const json_t *v, int *rc, struct err *err)
{
    if (json_is_string(v))
        *rc = buf_add(b, json_string_value(v), json_string_length(v), err);
    else if (json_is_integer(v))
        *rc = buf_printf(b, err, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        *rc = buf_add_str(b, json_is_true(v) ? "true" : "false", err);
    else
        return false;
    return true;
}

/* The same of one member or of a list of values. */
static bool add_member(struct buf *b, const json_t *v, int *rc, struct err *err)
{
    bool there = true;
    if (!json_is_array(v))
        return add_value(b, v, rc, err);
    for (size_t i = 0; i < json_array_size(v) && there && !*rc; i++) {
        *rc = i ? buf_add_char(b, '+', err) : 0;
        there = !*rc && add_value(b, json_array_get(v, i), rc, err);
    }
    return there && json_array_size(v);
}

int item_field(const json_t *doc, const char *field, char **out, struct err *err)
{
    struct buf b;
    int rc = 0;
    bool there = *field;
    *out = NULL;
    buf_init(&b);
    for (const char *p = field; *p && there && !rc; p += strcspn(p, "+"), p += *p == '+') {
        rc = p > field ? buf_add_str(&b, " & ", err) : 0;
        there = !rc && add_member(&b, member(doc, p, strcspn(p, "+")), &rc, err);
    }
    /* A NUL would end the name of the group. */
    if (!rc && there && strlen(b.data) == b.len && !(*out = mem_strdup(b.data)))
        rc = no_memory(err);
    buf_release(&b);
    return rc;
}

/* ---- all of them ---- */

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int find(const struct item_groups *g, const char *name)
{
    char **at = g->n ? bsearch(&name, g->name, (size_t)g->n, sizeof *g->name, by_name) : NULL;
    return at ? (int)(at - g->name) : -1;
}

/* Keeps the names in order; takes `name` over. */
static int add_name(struct item_groups *g, char *name, struct err *err)
{
    if (g->n == ITEM_GROUPS_MAX) {
        mem_free(name);
        return ERR(err, RANGE, "field '%s' has more than %d values, expected one that makes groups", g->field, ITEM_GROUPS_MAX);
    }
    char **names = mem_realloc_array(g->name, (size_t)g->n + 1, sizeof *names);
    if (!names) {
        mem_free(name);
        return no_memory(err);
    }
    int at = g->n++;
    for (g->name = names; at && strcmp(names[at - 1], name) > 0; at--)
        names[at] = names[at - 1];
    names[at] = name;
    return 0;
}

static int not_there(const struct item_groups *g, const struct task *t, struct err *err)
{
    char has[300] = "";
    size_t n = 0;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)task_doc(t, 0), key, v)
        if (n + strlen(key) + 3 < sizeof has)
            n += (size_t)snprintf(has + n, sizeof has - n, "%s%s", n ? ", " : "", key);
    return ERR(err, NOTFOUND, "%s: no document has a value of '%s'; the first has %s", task_name(t), g->field, n ? has : "no fields");
}

int item_groups_init(struct item_groups *g, const struct task *t, const char *field, struct err *err)
{
    const int64_t n = task_n_item(t);
    *g = (struct item_groups){ .field = mem_strdup(field), .of = mem_alloc_array((size_t)n, sizeof *g->of), .n_item = n };
    char **value = mem_alloc_array((size_t)n, sizeof *value);
    int rc = g->field && g->of && value ? 0 : no_memory(err);
    for (int64_t i = 0; !rc && i < n; i++) {
        char *copy;
        rc = item_field(task_doc(t, i), field, &value[i], err);
        if (rc || !value[i] || find(g, value[i]) >= 0)
            continue;
        rc = (copy = mem_strdup(value[i])) ? add_name(g, copy, err) : no_memory(err);
    }
    for (int64_t i = 0; !rc && i < n; i++) {
        g->of[i] = value[i] ? find(g, value[i]) : -1;
        g->n_without += !value[i];
    }
    for (int64_t i = 0; value && i < n; i++)
        mem_free(value[i]);
    mem_free(value);
    return rc ? rc : g->n ? 0 : not_there(g, t, err);
}

void item_groups_release(struct item_groups *g)
{
    for (int i = 0; i < g->n; i++)
        mem_free(g->name[i]);
    mem_free(g->name);
    mem_free(g->of);
    mem_free(g->field);
    *g = (struct item_groups){ 0 };
}
