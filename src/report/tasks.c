/* Figures of tasks and groups: from the values and intervals under "lathe" where this program wrote the results, else from lm-evaluation-harness's values
 * and standard errors. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/parts.h"
#include "base/tree.h"

/* "acc,none" is acc; of a filter that is one, both names stay. */
static void name_of_metric(char out[200], const char *key)
{
    const size_t n = strcspn(key, ",");
    const bool none = !strcmp(key + n, ",none");
    snprintf(out, 200, "%.*s", none ? (int)n : 199, key);
}

static const char *better(const json_t *results, const char *task, const char *metric)
{
    char name[200];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(metric, ","), metric);
    const json_t *v = json_object_get(json_object_get(json_object_get(results, "higher_is_better"), task), name);
    return json_is_boolean(v) ? json_is_true(v) ? "higher" : "lower" : NULL;
}


static json_t *figure(struct doc *d, json_t *list, const json_t *results, const char *task, const char *metric, double value, double low, double high,
                      int64_t n)
{
    char name[200];
    name_of_metric(name, metric);
    json_t *o = doc_add(d, list, doc_object(d));
    doc_str(d, o, "name", name);
    doc_str(d, o, "of", task);
    doc_put(d, o, "value", tree_number(value));
    doc_put(d, o, "low", tree_number(low));
    doc_put(d, o, "high", tree_number(high));
    doc_int(d, o, "n", n);
    if (json_is_integer(json_object_get(json_object_get(results, "n-shot"), task)))
        doc_put(d, o, "shots", json_incref(json_object_get(json_object_get(results, "n-shot"), task)));
    doc_str(d, o, "better", better(results, task, metric));
    return o;
}

/* metrics: of a task, or of a group. */
static void own_figures(struct doc *d, json_t *list, const json_t *results, const char *task, const json_t *metrics, bool group)
{
    const char *metric;
    json_t *m;
    read_each(metrics, metric, m) {
        const json_t *ci = json_object_get(m, "interval");
        const double low = read_number_of(json_array_get(ci, 0)), high = read_number_of(json_array_get(ci, 1));
        json_t *o = figure(d, list, results, task, metric, read_number(m, "value"), low, high, read_count(m, "n"));
        doc_str(d, o, "interval_by", read_str(m, "interval_by"));
        if (group)
            doc_put(d, o, "group", json_true());
    }
}

static bool is_error(const char *key, size_t n) { return n > 7 && !memcmp(key + n - 7, "_stderr", 7); }

static int64_t items_of(const json_t *results, const char *task, const json_t *scores)
{
    const json_t *n = json_object_get(json_object_get(json_object_get(results, "n-samples"), task), "effective");
    return json_is_integer(n) ? (int64_t)json_integer_value(n) : read_count(scores, "sample_len");
}

/* "metric,filter" with "metric_stderr,filter". */
static void plain_figures(struct doc *d, json_t *list, const json_t *results, const char *task, const json_t *scores, bool group)
{
    const char *key;
    json_t *v;
    read_each(scores, key, v) {
        const size_t n = strcspn(key, ",");
        char error[300];
        if (!key[n] || is_error(key, n) || (!json_is_number(v) && !json_is_null(v)) || n > 199)
            continue;
        snprintf(error, sizeof error, "%.*s_stderr%.90s", (int)n, key, key + n);
        const double value = read_number_of(v), se = read_number_of(json_object_get(scores, error));
        json_t *o = figure(d, list, results, task, key, value, value - 1.96 * se, value + 1.96 * se, items_of(results, task, scores));
        if (isfinite(se))
            doc_str(d, o, "interval_by", "standard error");
        if (group)
            doc_put(d, o, "group", json_true());
    }
}

void figures_of_tasks(struct doc *d, json_t *list, const json_t *results)
{
    const char *task;
    json_t *scores;
    const json_t *own = read_at(results, "lathe.tasks"), *own_groups = read_at(results, "lathe.groups"), *groups = json_object_get(results, "groups");
    read_each(groups, task, scores)
        if (json_object_size(json_object_get(own_groups, task)))
            own_figures(d, list, results, task, json_object_get(own_groups, task), true);
        else
            plain_figures(d, list, results, task, scores, true);
    read_each(json_object_get(results, "results"), task, scores) {
        if (json_object_get(own, task))
            own_figures(d, list, results, task, json_object_get(json_object_get(own, task), "metrics"), false);
        else if (!json_object_get(groups, task))
            plain_figures(d, list, results, task, scores, false);
    }
}
