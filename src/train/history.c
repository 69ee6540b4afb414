#include "train/history.h"
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/tree.h"

/* ---- series ---- */

static void halve(struct series *s)
{
    for (int i = 0; i < s->n / 2; i++) {
        const struct html_point *a = &s->at[2 * i], *b = a + 1;
        s->at[i] = (struct html_point){ a->x, (a->y + b->y) / 2, fmin(a->low, b->low), fmax(a->high, b->high) };
    }
    s->n /= 2, s->stride *= 2;
}

int series_add(struct series *s, double x, double v, struct err *err)
{
    if (!s->at && !(s->at = mem_alloc_array(HISTORY_POINTS, sizeof *s->at)))
        return ERR(err, NOMEM, "no memory for the points of a series");
    s->last = v;
    if (s->n && s->n_last < s->stride) {
        struct html_point *p = &s->at[s->n - 1];
        p->y += (v - p->y) / (double)++s->n_last;
        p->low = fmin(p->low, v), p->high = fmax(p->high, v);
        return 0;
    }
    s->stride = s->stride ? s->stride : 1;
    if (s->n == HISTORY_POINTS)
        halve(s);
    s->at[s->n++] = (struct html_point){ x, v, v, v };
    s->n_last = 1;
    return 0;
}

double series_median(const struct series *s)
{
    double v[HISTORY_POINTS];
    for (int i = 0; s && i < s->n; i++)
        v[i] = s->at[i].y;
    return s && s->n ? stat_median(v, s->n) : NAN;
}

double series_highest(const struct series *s)
{
    double v = NAN;
    for (int i = 0; s && i < s->n; i++)
        v = fmax(v, s->at[i].high);
    return v;
}

/* ---- lines ---- */

/* NULL when there are HISTORY_SERIES others. */
static struct named_series *series_of(struct history *h, const char *name, bool is_list)
{
    for (int i = 0; i < h->n; i++)
        if (!strcmp(h->of[i].name, name))
            return h->of[i].is_list == is_list ? &h->of[i] : NULL;
    if (h->n == HISTORY_SERIES || strlen(name) >= sizeof h->of[0].name)
        return NULL;
    struct named_series *s = &h->of[h->n++];
    *s = (struct named_series){ .is_list = is_list };
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static bool is_value(const json_t *v) { return json_is_number(v) && fabs(json_number_value(v)) < 1e300; }

static int add_list(struct history *h, const char *key, json_t *list, double step, struct err *err)
{
    size_t i;
    json_t *o, *v;
    const char *member;
    char name[200];
    json_array_foreach(list, i, o)
        json_object_foreach(o, member, v) {
            snprintf(name, sizeof name, "%.90s/%.90s", key, member);
            struct named_series *s = i < HISTORY_LAYERS && is_value(v) ? series_of(h, name, true) : NULL;
            if (!s)
                continue;
            if (!s->layer && !(s->layer = mem_alloc_array(HISTORY_LAYERS, sizeof *s->layer)))
                return ERR(err, NOMEM, "no memory for the series of %s", name);
            s->n_layer = s->n_layer > (int)i ? s->n_layer : (int)i + 1;
            TRY(series_add(&s->layer[i], step, json_number_value(v), err));
        }
    return 0;
}

static int add_line(struct history *h, json_t *line, struct err *err)
{
    const int64_t step = json_integer_value(json_object_get(line, "step")), ms = json_integer_value(json_object_get(line, "unix_ms"));
    const char *key;
    json_t *v;
    if (ms > 0)
        h->first_ms = h->first_ms ? h->first_ms : ms, h->last_ms = ms;
    if (json_object_get(line, "loss")) {
        h->first_step = h->first_step ? h->first_step : step;
        h->last_step = step;
    }
    if (json_is_string(json_object_get(line, "event")) && h->n_event++ < HISTORY_EVENTS && json_array_append(h->events, line))
        return ERR(err, NOMEM, "no memory for an event");
    json_object_foreach(line, key, v) {
        if (json_object_get(line, "event") || !strcmp(key, "step") || !strcmp(key, "unix_ms"))
            continue;
        struct named_series *s = is_value(v) ? series_of(h, key, false) : NULL;
        if (s)
            TRY(series_add(&s->one, (double)step, json_number_value(v), err));
        if (json_is_array(v))
            TRY(add_list(h, key, v, (double)step, err));
    }
    return 0;
}

#define LINE_MAX_BYTES ((size_t)1 << 20)
int history_add(struct history *h, const char *text, size_t n, struct err *err)
{
    for (const char *at = text, *end; at < text + n; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + n - at));
        if (!end)
            end = text + n;
        json_t *line = NULL;
        h->n_line++;
        const size_t len = (size_t)(end - at);
        const int read = len > LINE_MAX_BYTES ? ERR_RANGE : tree_parse_json(&line, at, len, "metrics.jsonl", err);
        if (read == ERR_NOMEM)
            return read;
        if (read < 0 || !json_is_integer(json_object_get(line, "step"))) {
            h->n_bad++;
            json_decref(line);
            continue;
        }
        const int rc = add_line(h, line, err);
        json_decref(line);
        TRY(rc);
    }
    return 0;
}

/* ---- of a folder ---- */

int history_init(struct history *h, struct err *err)
{
    *h = (struct history){ .events = json_array() };
    return h->events ? 0 : ERR(err, NOMEM, "no memory to read a run");
}

void history_release(struct history *h)
{
    for (int i = 0; i < h->n; i++) {
        mem_free(h->of[i].one.at);
        for (int j = 0; j < h->of[i].n_layer; j++)
            mem_free(h->of[i].layer[j].at);
        mem_free(h->of[i].layer);
    }
    json_decref(h->events);
    json_decref(h->facts);
    *h = (struct history){ 0 };
}

/* run.json is not needed: a run of an older version has none. */
static int load_facts(struct history *h, const char *folder, struct err *err)
{
    char *path = file_join(folder, "run.json");
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (!rc && file_exists(path))
        rc = tree_load(&h->facts, path, (size_t)4 << 20, err);
    mem_free(path);
    return rc;
}

int history_load(struct history *h, const char *folder, struct err *err)
{
    struct file_map m;
    char *path = file_join(folder, "metrics.jsonl");
    int rc = path ? file_map_open(&m, path, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc) {
        rc = history_add(h, m.data, m.size, err);
        file_map_close(&m);
    }
    mem_free(path);
    return rc ? rc : load_facts(h, folder, err);
}

const struct series *history_find(const struct history *h, const char *name)
{
    for (int i = 0; i < h->n; i++)
        if (!h->of[i].is_list && !strcmp(h->of[i].name, name))
            return &h->of[i].one;
    return NULL;
}
