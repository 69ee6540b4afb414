#include "store/evidence_figure.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/tree.h"

const char *evidence_model(const json_t *tree)
{
    const json_t *config = json_object_get(tree, "config");
    const char *const digest[] = { tree_text_at(tree, "adapter_sha256"), tree_text_at(config, "peft_sha"), tree_text_at(tree, "model_sha256"), tree_text_at(config, "model_sha") };
    size_t i = 0;
    while (i < 3 && !*digest[i])
        i++;
    return digest[i];
}

const char *evidence_base(const json_t *tree)
{
    const json_t *config = json_object_get(tree, "config");
    return *tree_text_at(tree, "adapter_sha256") ? tree_text_at(tree, "model_sha256") : *tree_text_at(config, "peft_sha") ? tree_text_at(config, "model_sha") : "";
}

bool evidence_is_of(const json_t *facts, const char *sha256)
{
    size_t i;
    const json_t *digest;
    if (!strcmp(sha256, tree_text_at(facts, "sha256")) || !strcmp(sha256, tree_text_at(facts, "adapter_sha256")))
        return true;
    json_array_foreach(json_object_get(facts, "digests"), i, digest)
        if (json_is_string(digest) && !strcmp(sha256, json_string_value(digest)))
            return true;
    return false;
}

static bool is_open(const json_t *o) { return json_is_false(json_object_get(o, "complete")); }

bool evidence_was_stopped(const json_t *tree)
{
    const char *key;
    json_t *part, *item;
    size_t i;
    bool open = is_open(tree);
    json_object_foreach((json_t *)(uintptr_t)tree, key, part) {
        open = open || is_open(part);
        json_array_foreach(part, i, item)
            open = open || is_open(item);
    }
    return open;
}

bool evidence_was_limited(const json_t *tree)
{
    const double limit = json_number_value(json_object_get(json_object_get(tree, "config"), "limit"));
    const char *task;
    json_t *n, *samples = json_object_get(tree, "n-samples");
    bool cut = !json_object_size(samples) || limit < 1;
    json_object_foreach(samples, task, n)
        cut = cut || !(tree_number_at(n, "original") <= limit);
    return json_number_value(json_object_get(tree, "limit")) > 0 || (limit > 0 && cut);
}

/* The figures of an evaluation have `of` or null. */
static double of_evaluation(const json_t *tree, const char *key)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(tree, "figures"), i, f) {
        const char *name = tree_text_at(f, "name"), *of = tree_text_at(f, "of");
        const size_t n = strlen(name);
        if (!strncmp(key, name, n) && (*of ? key[n] == '/' && !strcmp(key + n + 1, of) : !key[n]))
            return tree_number_at(f, "value");
    }
    return NAN;
}

/* results.TASK["METRIC,FILTER"]; task names may have a slash, metrics have none. */
static double of_task(const json_t *tree, const char *key)
{
    const char *slash = strrchr(key, '/'), *metric;
    if (!slash)
        return NAN;
    char task[200];
    snprintf(task, sizeof task, "%.*s", (int)(slash - key), key);
    const size_t n = strlen(slash + 1);
    json_t *value;
    json_object_foreach(json_object_get(json_object_get(tree, "results"), task), metric, value)
        if (!strncmp(metric, slash + 1, n) && (metric[n] == ',' || !metric[n]) && json_is_number(value))
            return json_number_value(value);
    return NAN;
}

double evidence_figure_value(const json_t *tree, const char *key)
{
    const double v = of_evaluation(tree, key);
    return isnan(v) ? of_task(tree, key) : v;
}
