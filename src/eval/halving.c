#include "eval/halving.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

int halving_plan(struct halving_plan *p, int n, int64_t least, int64_t most, double eta, struct err *err)
{
    *p = (struct halving_plan){ 0 };
    if (n < 1 || n > HALVING_SETTINGS)
        return ERR(err, RANGE, "found %d settings, expected 1 to %d", n, HALVING_SETTINGS);
    if (least < 1 || most < least || !(eta > 1))
        return ERR(err, RANGE, "found %lld to %lld steps and eta %g, expected 1 or more, no fewer at the end, and eta over 1", (long long)least, (long long)most, eta);
    double steps = (double)least, left = n;
    while (p->n_rung < HALVING_RUNGS) {
        const bool last = steps >= (double)most || ceil(left) <= 1 || p->n_rung == HALVING_RUNGS - 1;
        p->rung[p->n_rung].n = (int)ceil(left - 1e-9);
        p->rung[p->n_rung++].steps = last ? most : (int64_t)(steps + 0.5);
        if (last)
            break;
        steps *= eta, left /= eta;
    }
    return 0;
}

/* ---- settings ---- */

struct dimension { const char *key; const json_t *list; double min, max; bool log, integer; };

static int read_range(struct dimension *d, const json_t *o, const char *where, struct err *err)
{
    const char *key;
    json_t *v;
    d->min = d->max = NAN;
    json_object_foreach((json_t *)o, key, v) {
        if (!strcmp(key, "min") && json_is_number(v))
            d->min = json_number_value(v);
        else if (!strcmp(key, "max") && json_is_number(v))
            d->max = json_number_value(v);
        else if (!strcmp(key, "scale") && json_is_string(v) && (!strcmp(json_string_value(v), "log") || !strcmp(json_string_value(v), "linear")))
            d->log = !strcmp(json_string_value(v), "log");
        else if (!strcmp(key, "integer") && json_is_boolean(v))
            d->integer = json_is_true(v);
        else
            return ERR(err, FORMAT, "%s: %s: found '%s', expected min and max (numbers), scale (linear or log) and integer", where, d->key, key);
    }
    if (!(d->min < d->max) || (d->log && d->min <= 0))
        return ERR(err, RANGE, "%s: %s: found a range of %g to %g, expected min under max%s", where, d->key, d->min, d->max, d->log ? ", and above 0 for a log scale" : "");
    return 0;
}

static int read_space(struct dimension *d, int *n, const json_t *space, const char *where, struct err *err)
{
    const char *key;
    json_t *v;
    *n = 0;
    json_object_foreach((json_t *)space, key, v) {
        const char *dot = strchr(key, '.');
        d[*n] = (struct dimension){ .key = key };
        if (!dot || dot == key || !dot[1])
            return ERR(err, FORMAT, "%s: found the key '%s', expected SECTION.KEY of a recipe, such as train.lr", where, key);
        if (json_is_array(v) && json_array_size(v)) {
            d[*n].list = v;
            for (size_t i = 0; i < json_array_size(v); i++)
                for (size_t j = 0; j < i; j++)
                    if (json_equal(json_array_get(v, i), json_array_get(v, j)))
                        return ERR(err, FORMAT, "%s: %s: values %d and %d are the same", where, key, (int)j + 1, (int)i + 1);
        }
        else if (json_is_object(v))
            TRY(read_range(&d[*n], v, where, err));
        else
            return ERR(err, FORMAT, "%s: %s: expected a list of values, or a range {min, max}", where, key);
        ++*n;
    }
    return *n ? 0 : ERR(err, FORMAT, "%s: found no keys to search over", where);
}

static json_t *drawn(const struct dimension *d, uint64_t key, uint64_t i)
{
    if (d->list)
        return json_incref(json_array_get(d->list, rng_below(key, i, json_array_size(d->list))));
    const double u = rng_uniform(key, i);
    const double v = d->log ? exp(log(d->min) + u * (log(d->max) - log(d->min))) : d->min + u * (d->max - d->min);
    return d->integer ? json_integer((json_int_t)floor(v + 0.5)) : json_real(v);
}

/* Combination i of the lists, the last key changing fastest. */
static json_t *combination(const struct dimension *d, int n, int64_t i)
{
    json_t *o = json_object();
    int64_t each = 1;                    /* combinations of the keys behind this one */
    for (int k = 1; k < n; k++)
        each *= (int64_t)json_array_size(d[k].list);
    for (int k = 0; o && k < n; k++) {
        const int64_t size = (int64_t)json_array_size(d[k].list);
        if (json_object_set(o, d[k].key, json_array_get(d[k].list, (size_t)(i / each % size)))) {
            json_decref(o);
            return NULL;
        }
        each /= k + 1 < n ? (int64_t)json_array_size(d[k + 1].list) : 1;
    }
    return o;
}

static json_t *random_one(const struct dimension *d, int n, uint64_t seed, uint64_t i)
{
    json_t *o = json_object();
    for (int k = 0; o && k < n; k++)
        if (json_object_set_new(o, d[k].key, drawn(&d[k], rng_key(seed, d[k].key), i))) {
            json_decref(o);
            return NULL;
        }
    return o;
}

/* How many combinations the lists have; 0: there is a range; at most `most` + 1. */
static int64_t combinations(const struct dimension *d, int n, int64_t most)
{
    int64_t all = 1;
    for (int k = 0; k < n; k++) {
        if (!d[k].list)
            return 0;
        all *= (int64_t)json_array_size(d[k].list);
        all = all > most ? most + 1 : all;
    }
    return all;
}

static bool add(json_t *all, json_t *one) { return one && !json_array_append_new(all, one); }

static bool has(const json_t *all, const json_t *one)
{
    for (size_t i = 0; i < json_array_size(all); i++)
        if (json_equal(json_array_get(all, i), one))
            return true;
    return false;
}

static int fill(json_t *all, const struct dimension *d, int n, int64_t draws, uint64_t seed, const char *where, struct err *err)
{
    const int64_t combined = combinations(d, n, HALVING_SETTINGS);
    if (!draws && !combined)
        return ERR(err, FORMAT, "%s: a range has no end of values; say how many to draw (draws)", where);
    if (!draws && combined > HALVING_SETTINGS)
        return ERR(err, RANGE, "%s: found more than %d combinations; say how many to draw (draws)", where, HALVING_SETTINGS);
    if (draws > HALVING_SETTINGS)
        return ERR(err, RANGE, "%s: found %lld draws, expected at most %d", where, (long long)draws, HALVING_SETTINGS);
    if (!draws || (combined && draws >= combined)) {
        for (int64_t i = 0; i < combined; i++)
            if (!add(all, combination(d, n, i)))
                return ERR(err, NOMEM, "no memory for the settings");
        return 0;
    }
    for (uint64_t i = 0; json_array_size(all) < (size_t)draws && i < 1000 * (uint64_t)draws; i++) {
        json_t *one = random_one(d, n, seed, i);
        if (one && has(all, one))
            json_decref(one);
        else if (!add(all, one))
            return ERR(err, NOMEM, "no memory for the settings");
    }
    return 0;
}

int halving_settings(json_t **out, const json_t *space, int64_t draws, uint64_t seed, const char *where, struct err *err)
{
    *out = NULL;
    if (!json_is_object(space))
        return ERR(err, FORMAT, "%s: expected \"space\", an object of keys of a recipe", where);
    struct dimension *d = mem_alloc_array(json_object_size(space) + 1, sizeof *d);
    int n, rc = d ? read_space(d, &n, space, where, err) : ERR(err, NOMEM, "no memory for a search");
    if (!rc)
        rc = (*out = json_array()) ? fill(*out, d, n, draws, seed, where, err) : ERR(err, NOMEM, "no memory for a search");
    mem_free(d);
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

int halving_recipe(json_t **out, const json_t *recipe, const json_t *setting, const char *where, struct err *err)
{
    const char *key;
    json_t *v;
    if (!(*out = json_deep_copy(recipe)))
        return ERR(err, NOMEM, "no memory for a recipe");
    int rc = 0;
    json_object_foreach((json_t *)setting, key, v) {
        char section[64];
        const size_t n = strcspn(key, ".");
        if (n >= sizeof section)
            rc = ERR(err, FORMAT, "%s: found the key '%.80s', expected SECTION.KEY of a recipe", where, key);
        if (rc)
            break;
        memcpy(section, key, n), section[n] = 0;
        json_t *at = json_object_get(*out, section);
        if (!at && !json_object_set_new(*out, section, json_object()))
            at = json_object_get(*out, section);
        if (!at)
            rc = ERR(err, NOMEM, "no memory for a recipe");
        else if (!json_is_object(at))
            rc = ERR(err, FORMAT, "%s: '%s' of the recipe is no section", where, section);
        else if (json_object_set(at, key + n + 1, v))
            rc = ERR(err, NOMEM, "no memory for a recipe");
    }
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

void halving_rank(const double *score, int n, int *order, int *n_ranked)
{
    *n_ranked = 0;
    for (int i = 0; i < n; i++) {
        int at = i;                      /* insertion: n is small */
        for (; at > 0 && (isnan(score[order[at - 1]]) ? !isnan(score[i]) : score[i] < score[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = i;
        *n_ranked += !isnan(score[i]);
    }
}
