#include "store/gate_policy.h"
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/gate_signature.h"
#include "store/registry_apply.h"
#include "store/registry_needs.h"

enum { POLICY_MAX = 1 << 20 };

struct key { const char *name, *expected; bool (*ok)(const json_t *v); };

static bool is_text(const json_t *v) { return json_is_string(v) && *json_string_value(v); }
static bool is_limit(const json_t *v) { return json_is_number(v) && json_number_value(v) >= 0; }
static bool is_word_of(const json_t *v, const char *words) { return is_text(v) && word_index(json_string_value(v), json_string_length(v), words) >= 0; }
static bool is_compare(const json_t *v) { return is_word_of(v, "better|not worse|underpowered"); }
static bool is_signature(const json_t *v) { return is_word_of(v, "off|warn|enforce"); }

static bool is_bounds(const json_t *v)
{
    const json_t *min = json_object_get(v, "min"), *max = json_object_get(v, "max");
    if (!json_is_object(v) || !(min || max) || json_object_size(v) != (size_t)(min != NULL) + (max != NULL))
        return false;
    if ((min && !json_is_number(min)) || (max && !json_is_number(max)))
        return false;
    return !min || !max || json_number_value(min) <= json_number_value(max);
}

static bool is_evaluation(const json_t *v)
{
    const char *figure;
    json_t *bounds;
    json_object_foreach((json_t *)(uintptr_t)v, figure, bounds)
        if (!*figure || !is_bounds(bounds))
            return false;
    return json_object_size(v) > 0;
}

static bool is_calibration(const json_t *v) { return json_object_size(v) == 1 && is_limit(json_object_get(v, "ece")); }

static bool is_list(const json_t *v)
{
    size_t i;
    json_t *item;
    json_array_foreach(v, i, item)
        if (!is_text(item))
            return false;
    return json_array_size(v) > 0;
}

static const struct key keys[] = {
    { "id", "a text", is_text },
    { "evaluation", "figures, each with {min: NUMBER}, {max: NUMBER} or both, min at most max", is_evaluation },
    { "compare", "better, not worse or underpowered", is_compare },
    { "calibration", "{ece: NUMBER}", is_calibration },
    { "contamination", "a number from 0 on", is_limit },
    { "pii_per_million", "a number from 0 on", is_limit },
    { "secrets", "a number from 0 on", is_limit },
    { "licences", "a list of licences", is_list },
    { "signature", "off, warn or enforce", is_signature },
    { "signers", "a list of public keys or certificates in PEM", is_list },
};
enum { N_KEY = sizeof keys / sizeof *keys };

static int check_key(const char *name, const json_t *value, const char *where, struct err *err)
{
    const char *names[N_KEY];
    for (int i = 0; i < N_KEY; i++) {
        names[i] = keys[i].name;
        if (!strcmp(name, keys[i].name))
            return keys[i].ok(value) ? 0 : ERR(err, FORMAT, "%s: %s is not right, expected %s", where, name, keys[i].expected);
    }
    const char *near = word_nearest(name, names, N_KEY);
    return ERR(err, FORMAT, "%s: unknown key '%.100s'%s%s%s", where, name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int gate_policy_check(const json_t *policy, const char *where, struct err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(policy))
        return ERR(err, FORMAT, "%s: found no object, expected the limits of a policy", where);
    json_object_foreach((json_t *)(uintptr_t)policy, name, value)
        TRY(check_key(name, value, where, err));
    TRY(gate_signers_check(json_object_get(policy, "signers"), where, err));
    const char *signature = tree_text_at(policy, "signature");
    if (*signature && strcmp(signature, "off") && !json_object_get(policy, "signers"))
        return ERR(err, FORMAT, "%s: signature is %s, expected signers beside it: who is trusted", where, signature);
    return 0;
}

/* ---- kept ---- */

static int write_policy(struct registry *g, const char *name, const char *alias, const char *id, const struct journal_by *by, struct err *err)
{
    struct journal_head head;
    int64_t there;
    TRY(db_query_int(&there, registry_db(g), 0, "SELECT count(*) FROM model WHERE name = $1", DB_ARGS(DB_T(name)), err));
    if (!there)
        return ERR(err, NOTFOUND, "the registry has no '%.96s'", name);
    json_t *record = json_pack("{s:s, s:s, s:s, s:s?}", "action", "policy", "name", name, "alias", alias, "policy", id);
    const int rc = record ? registry_write(registry_db(g), record, by, &head, err) : ERR(err, NOMEM, "no memory for a policy");
    json_decref(record);
    return rc;
}

int registry_policy_set(struct registry *g, const char *name, const char *alias, const json_t *policy, const struct journal_by *by, struct err *err)
{
    char id[BLOB_ID];
    if (!registry_name_ok(name) || !registry_alias_ok(alias))
        return ERR(err, USAGE, "found '%.96s@%.96s', expected a name and an alias", name, alias);
    TRY(journal_by_check(by, err));
    if (policy) {
        TRY(gate_policy_check(policy, "the policy", err));
        char *text = tree_dumps(policy, JSON_SORT_KEYS | JSON_COMPACT);
        const int rc = text ? blob_put(registry_folder(g), text, strlen(text), id, err) : ERR(err, NOMEM, "no memory for a policy");
        mem_free(text);
        TRY(rc);
    }
    TRY(db_begin(registry_db(g), err));
    int rc = policy ? blob_stat(registry_folder(g), id, BLOB_ANY_LENGTH, err) : 0;
    if (rc == ERR_NOTFOUND)
        rc = ERR(err, BUSY, "the policy was collected while it was set: again, please");
    if (!rc)
        rc = write_policy(g, name, alias, policy ? id : NULL, by, err);
    if (!rc)
        rc = registry_claim(g, err);
    return db_end(registry_db(g), rc, err);
}

int registry_policy_get(struct registry *g, const char *name, const char *alias, json_t **policy, char id[BLOB_ID], struct err *err)
{
    struct db_rows *r;
    struct buf text;
    *policy = NULL;
    id[0] = 0;
    TRY(db_query(&r, registry_db(g), "SELECT blob FROM policy WHERE name = $1 AND alias = $2", DB_ARGS(DB_T(name), DB_T(alias)), err));
    int rc = db_next(r, err);
    if (rc == 1)
        snprintf(id, BLOB_ID, "%s", db_text(r, 0));
    db_rows_free(r);
    if (rc != 1)
        return rc;
    buf_init(&text);
    rc = blob_get(registry_folder(g), id, POLICY_MAX, &text, err);
    if (!rc)
        rc = tree_parse_json(policy, text.data, text.len, "the policy", err);
    if (!rc)
        rc = gate_policy_check(*policy, "the policy", err);
    buf_release(&text);
    if (rc) {
        json_decref(*policy);
        *policy = NULL;
    }
    return rc;
}
