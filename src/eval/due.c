#include "eval/due.h"
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "eval/evidence.h"

/* ---- what is known of a task ---- */

static int wrong(const char *name, const char *key, const char *expected, struct err *err)
{
    return ERR(err, FORMAT, "%s: metadata.saturation.%s: expected %s", name, key, expected);
}

static bool is_date(const char *s)
{
    static const char form[] = "0000-00-00";
    if (strlen(s) != sizeof form - 1)
        return false;
    for (int i = 0; form[i]; i++)
        if (form[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
            return false;
    return true;
}

static int copy_share(json_t *out, const json_t *from, const char *key, const char *name, double *value, struct err *err)
{
    const json_t *v = json_object_get(from, key);
    *value = json_is_number(v) ? json_number_value(v) : NAN;
    if (v && !json_is_null(v) && !(*value >= 0 && *value <= 1))
        return wrong(name, key, "a share from 0 to 1", err);
    return evidence_put(out, key, tree_number(*value), err);
}

static int copy_text(json_t *out, const json_t *from, const char *key, const char *name, bool date, struct err *err)
{
    const json_t *v = json_object_get(from, key);
    const char *s = json_string_value(v);
    if (v && !json_is_null(v) && (!s || (date && !is_date(s))))
        return wrong(name, key, date ? "a date, YYYY-MM-DD" : "a text", err);
    return evidence_put(out, key, s ? json_string(s) : json_null(), err);
}

static int check_keys(const json_t *from, const char *name, struct err *err)
{
    static const char *const known[] = { "added", "chance", "human", "human_source", "best", "best_source", "best_date" };
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)from, key, v) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], key))
            i++;
        if (i == sizeof known / sizeof *known)
            return ERR(err, FORMAT, "%s: metadata.saturation has the unknown member '%s'", name, key);
    }
    return 0;
}

static int about(json_t *out, const char *name, const json_t *from, struct err *err)
{
    double chance, human, best;
    if (from && !json_is_object(from))
        return ERR(err, FORMAT, "%s: metadata.saturation: expected members with values", name);
    TRY(check_keys(from, name, err));
    TRY(copy_text(out, from, "added", name, true, err));
    TRY(copy_share(out, from, "chance", name, &chance, err));
    TRY(copy_share(out, from, "human", name, &human, err));
    TRY(copy_text(out, from, "human_source", name, false, err));
    TRY(copy_share(out, from, "best", name, &best, err));
    TRY(copy_text(out, from, "best_source", name, false, err));
    TRY(copy_text(out, from, "best_date", name, true, err));
    const char *state = isnan(best) ? "unknown" : best >= human || best >= DUE_CEILING ? "saturated" : "open";
    return evidence_put(out, "state", json_string(state), err);
}

int due_about(json_t **out, const char *name, const json_t *metadata, struct err *err)
{
    *out = json_object();
    const int rc = *out ? about(*out, name, json_object_get(metadata, "saturation"), err) : ERR(err, NOMEM, "no memory for what is known of a task");
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

/* ---- what was run ---- */

#define DATE_MAX 253402300800.0           /* the year 10000 */

static json_int_t count(const json_t *o, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(o, key));
    return n < 0 ? 0 : n;
}

/* The tasks of one results_DATE.json. */
static int add_results(json_t *ran, const json_t *results, struct err *err)
{
    const json_t *own = json_object_get(results, "lathe"), *versions = json_object_get(results, "versions");
    const char *name;
    json_t *t;
    json_object_foreach(json_object_get(own, "tasks"), name, t) {
        const json_t *was = json_object_get(ran, name);
        const json_int_t items = count(t, "items"), left = count(t, "not_answered");
        const bool same = json_equal(json_object_get(was, "version"), json_object_get(versions, name)) && json_equal(json_object_get(was, "data_sha256"), json_object_get(t, "data_sha256"));
        if (json_is_true(json_object_get(was, "complete")) && (left || (same && items < count(was, "items"))))
            continue;
        TRY(evidence_put(ran, name, json_pack("{s:O?, s:O?, s:I, s:I, s:b, s:O?}", "version", json_object_get(versions, name), "data_sha256", json_object_get(t, "data_sha256"), "items",
                                              items, "asked", items - left, "complete", !left, "date", json_object_get(results, "date")), err));
    }
    return 0;
}

static bool is_of(const json_t *results, const char *model_sha256, const char *adapter_sha256)
{
    const json_t *config = json_object_get(results, "config");
    const char *sha = json_string_value(json_object_get(config, "model_sha")), *adapter = json_string_value(json_object_get(config, "peft_sha"));
    return sha && !strcmp(sha, model_sha256) && !strcmp(adapter ? adapter : "", adapter_sha256);
}

int due_ran(json_t **out, const json_t *evidence, const char *model_sha256, const char *adapter_sha256, struct err *err)
{
    size_t i;
    json_t *e;
    *out = json_object();
    int rc = *out ? 0 : ERR(err, NOMEM, "no memory for what was run");
    json_array_foreach((json_t *)(uintptr_t)evidence, i, e) {
        const json_t *results = json_object_get(e, "results");
        const char *kind = json_string_value(json_object_get(e, "kind"));
        if (!rc && kind && !strcmp(kind, "tasks") && is_of(results, model_sha256, adapter_sha256))
            rc = add_results(*out, results, err);
    }
    if (rc)
        json_decref(*out), *out = NULL;
    return rc;
}

bool due_is(const json_t *ran, const struct task *t, char why[DUE_WHY])
{
    const json_t *was = json_object_get(ran, task_name(t));
    const char *version = json_string_value(json_object_get(was, "version")), *sha = json_string_value(json_object_get(was, "data_sha256"));
    const json_int_t items = json_integer_value(json_object_get(was, "items")), asked = json_integer_value(json_object_get(was, "asked"));
    const double when = json_number_value(json_object_get(was, "date"));
    char date[40] = "an unknown day", before[DUE_WHY / 4], now[DUE_WHY / 4];
    if (when > 0 && when < DATE_MAX)
        evidence_date(when, date), date[10] = 0;
    utf8_fit(before, sizeof before, version ? version : "not told", strlen(version ? version : "not told"));
    utf8_fit(now, sizeof now, task_version(t), strlen(task_version(t)));
    if (!was)
        return snprintf(why, DUE_WHY, "never run") > 0;
    if (!version || strcmp(version, task_version(t)))
        return snprintf(why, DUE_WHY, "its version is %s, and was %s on %s", now, before, date) > 0;
    if (!sha || strcmp(sha, task_data_sha256(t)))
        return snprintf(why, DUE_WHY, "its data have changed since %s", date) > 0;
    if (!json_is_true(json_object_get(was, "complete")))
        return snprintf(why, DUE_WHY, "%lld of %lld items were answered on %s", (long long)asked, (long long)items, date) > 0;
    if (items < task_n_item(t))
        return snprintf(why, DUE_WHY, "%lld of its %lld items were asked on %s", (long long)items, (long long)task_n_item(t), date) > 0;
    snprintf(why, DUE_WHY, "run on %s", date);
    return false;
}

/* ---- what the data hold ---- */

/* By what a set of an audit is the task's data; NULL: it is not. */
static const char *same_data(const char *path, const struct task *t)
{
    char hex[SHA256_HEX];
    if (strcmp(file_last_part(path), file_last_part(task_data_name(t))) && !file_exists(path))
        return NULL;
    if (!file_exists(path) || file_is_dir(path))
        return strcmp(file_last_part(path), file_last_part(task_data_name(t))) ? NULL : "name";
    return !sha256_of_file(path, hex, NULL) && task_data_has(t, hex) ? "bytes" : NULL;
}

int due_leaks(json_t **out, const json_t *report, const struct task *t, struct err *err)
{
    size_t i;
    json_t *set;
    *out = NULL;
    json_array_foreach(json_object_get(report, "contamination"), i, set) {
        const char *path = json_string_value(json_object_get(set, "path")), *by = path ? same_data(path, t) : NULL;
        const json_int_t items = json_integer_value(json_object_get(set, "items")), hit = json_integer_value(json_object_get(set, "items_hit"));
        if (!by || items < 1)
            continue;
        *out = json_pack("{s:O, s:I, s:I, s:f, s:s}", "set", json_object_get(set, "set"), "items", items, "items_hit", hit, "share", (double)hit / (double)items, "by", by);
        return *out ? 0 : ERR(err, NOMEM, "no memory for what the data hold");
    }
    return 0;
}
