#include "store/gate.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/evidence_figure.h"
#include "store/evidence_kind.h"
#include "store/gate_policy.h"
#include "store/gate_signature.h"

/* All that is known of a version: its evidence, the newest first, and the audits of it and of what it comes from. */
struct judging {
    struct registry *g;
    const struct registry_version *v;
    const json_t *policy;
    json_t *checks;
    json_t *own, *audits;                   /* [{ blob, kind, seq, tree }] */
    json_t *bases;                          /* "digests" that the versions go by that it has as a base: evidence of adapters is of the two together */
    char unaudited[200];                    /* why audits do not say all: data that has none; "" */
    json_t *facts;
    struct manifest files;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a policy's checks"); }

/* ---- what is known ---- */

static int read_tree(const struct judging *j, const char *blob, json_t **out, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = blob_get(registry_folder(j->g), blob, EVIDENCE_BYTES_MAX, &text, err);
    if (!rc)
        rc = tree_parse_json(out, text.data, text.len, "evidence", err);
    buf_release(&text);
    return rc;
}

static double date_of(const json_t *e)
{
    const double date = tree_number_at(json_object_get(e, "tree"), "date");
    return isnan(date) ? -INFINITY : date;
}

/* Behind what came later, and is newer: what one record put beside the version goes by its own date, where it has one. */
static int insert(json_t *list, json_t *e)
{
    size_t i = json_array_size(list);
    for (; e && i; i--) {
        const json_t *before = json_array_get(list, i - 1);
        if (!json_equal(json_object_get(before, "seq"), json_object_get(e, "seq")) || date_of(before) >= date_of(e))
            break;
    }
    return json_array_insert_new(list, i, e);
}

static int read_rows(const struct judging *j, json_t *list, struct db_rows *r, struct err *err)
{
    int rc;
    while ((rc = db_next(r, err)) == 1) {
        json_t *tree = NULL;
        if (!strcmp(db_text(r, 1), "file"))
            continue;
        rc = read_tree(j, db_text(r, 0), &tree, err);
        if (!rc && insert(list, json_pack("{s:s, s:s, s:I, s:O}", "blob", db_text(r, 0), "kind", db_text(r, 1), "seq", (json_int_t)db_int(r, 2), "tree", tree)))
            rc = no_memory(err);
        json_decref(tree);
        if (rc)
            return rc;
    }
    return rc;
}

#define OWN "SELECT blob, kind, seq FROM evidence WHERE name = $1 AND number = $2 ORDER BY seq DESC, file DESC, blob"
#define AUDITS "WITH RECURSIVE up (id) AS (SELECT CAST($1 AS TEXT) UNION SELECT l.parent FROM lineage l JOIN up ON l.child = up.id)" \
               " SELECT e.blob, e.kind, e.seq FROM evidence e JOIN up ON e.name || '@' || CAST(e.number AS TEXT) = up.id WHERE e.kind = 'audit' AND e.seq =" \
               " (SELECT max(n.seq) FROM evidence n WHERE n.name = e.name AND n.number = e.number AND n.kind = 'audit') ORDER BY e.seq DESC, e.blob"

/* Data that was made from other data has an audit of its own, which is of what was left of that. */
#define UNAUDITED "WITH RECURSIVE up (id) AS (SELECT CAST($1 AS TEXT) UNION SELECT l.parent FROM lineage l JOIN up ON l.child = up.id)," \
                  " audited (id, kind) AS (SELECT e.name || '@' || CAST(e.number AS TEXT), m.kind FROM evidence e JOIN model m ON m.name = e.name WHERE e.kind = 'audit')" \
                  " SELECT l.parent FROM lineage l JOIN up ON l.child = up.id WHERE l.role = 'data' AND l.parent NOT IN (SELECT id FROM audited)" \
                  " AND l.child NOT IN (SELECT id FROM audited WHERE kind = 'data') ORDER BY l.seq, l.parent"

static int find_unaudited(struct judging *j, const char *id, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, registry_db(j->g), UNAUDITED, DB_ARGS(DB_T(id)), err));
    const int rc = db_next(r, err);
    if (rc == 1)
        snprintf(j->unaudited, sizeof j->unaudited, "%.160s has no audit", db_text(r, 0));
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

static int add_base(struct judging *j, const char *id, struct err *err)
{
    struct registry_version v;
    struct manifest files;
    json_t *facts = NULL, *list = json_object_get(j->bases, "digests");
    TRY(registry_find_text(j->g, id, &v, err));
    TRY(registry_manifest(j->g, &v, &files, err));
    int rc = registry_facts(j->g, &v, &facts, err);
    const bool known = json_object_get(facts, "digests");
    if (!rc && known && (json_array_append_new(list, json_string(tree_text_at(facts, "sha256"))) || json_array_extend(list, json_object_get(facts, "digests"))))
        rc = no_memory(err);
    for (int i = 0; i < files.n && known && !rc; i++)
        rc = json_array_append_new(list, json_string(files.file[i].sha256)) ? no_memory(err) : 0;
    json_decref(facts);
    manifest_release(&files);
    return rc;
}

#define BASES "SELECT l.parent FROM lineage l JOIN version v ON l.parent = v.name || '@' || CAST(v.number AS TEXT) WHERE l.child = $1 AND l.role = 'base'"

/* Those that are in the registry and were looked at; of others nothing is known. */
static int find_bases(struct judging *j, const char *id, struct err *err)
{
    struct db_rows *r;
    int rc;
    TRY(db_query(&r, registry_db(j->g), BASES, DB_ARGS(DB_T(id)), err));
    while ((rc = db_next(r, err)) == 1 && !(rc = add_base(j, db_text(r, 0), err)))
        ;
    db_rows_free(r);
    return rc;
}

static int gather(struct judging *j, struct err *err)
{
    char id[160];
    struct db_rows *r;
    snprintf(id, sizeof id, "%s@%lld", j->v->name, (long long)j->v->number);
    j->checks = json_array(), j->own = json_array(), j->audits = json_array(), j->bases = json_pack("{s:[]}", "digests");
    if (!j->checks || !j->own || !j->audits || !j->bases)
        return no_memory(err);
    TRY(registry_manifest(j->g, j->v, &j->files, err));
    TRY(registry_facts(j->g, j->v, &j->facts, err));
    TRY(find_bases(j, id, err));
    TRY(db_query(&r, registry_db(j->g), OWN, DB_ARGS(DB_T(j->v->name), DB_I(j->v->number)), err));
    int rc = read_rows(j, j->own, r, err);
    db_rows_free(r);
    TRY(rc);
    TRY(db_query(&r, registry_db(j->g), AUDITS, DB_ARGS(DB_T(id)), err));
    rc = read_rows(j, j->audits, r, err);
    db_rows_free(r);
    return rc ? rc : find_unaudited(j, id, err);
}

/* Does the evidence say that it is of other weights?  Of adapters: or of them with another base than is known? */
static bool is_of_another(const struct judging *j, const json_t *tree)
{
    const char *sha = evidence_model(tree), *base = evidence_base(tree);
    if (*base && json_array_size(json_object_get(j->bases, "digests")) && !evidence_is_of(j->bases, base))
        return true;
    if (!*sha || evidence_is_of(j->facts, sha))
        return false;
    for (int i = 0; i < j->files.n; i++)
        if (!strcmp(sha, j->files.file[i].sha256))
            return false;
    return true;
}

/* NULL: its figures count. */
static const char *why_not(const struct judging *j, const json_t *tree)
{
    return is_of_another(j, tree) ? "the evidence is of another model" : evidence_was_stopped(tree) ? "the evaluation was stopped before its end"
         : evidence_was_limited(tree) ? "the evaluation is of the first items alone (--limit)" : NULL;
}

/* ---- a check's outcome ---- */

struct outcome { json_t *found; bool passed; const char *evidence, *why; };      /* found: taken; NULL: not measured */

static int add(struct judging *j, const char *check, const char *limit, const struct outcome *o, struct err *err)
{
    const char *why = o->why ? o->why : o->found ? "" : "not measured";
    json_t *c = json_pack("{s:s, s:s, s:o, s:b, s:s?, s:s}", "check", check, "limit", limit, "found", o->found ? o->found : json_null(), "passed", o->passed,
                          "evidence",
                          o->evidence && *o->evidence ? o->evidence : NULL, "why", why);
    return json_array_append_new(j->checks, c) ? no_memory(err) : 0;
}

static int add_bounds(struct judging *j, const char *check, double min, double max, double found, const char *evidence, const char *why, struct err *err)
{
    char limit[80];
    const bool measured = isfinite(found);
    if (isnan(max))
        snprintf(limit, sizeof limit, "at least %.6g", min);
    else if (isnan(min))
        snprintf(limit, sizeof limit, "at most %.6g", max);
    else
        snprintf(limit, sizeof limit, "%.6g to %.6g", min, max);
    return add(j, check, limit, &(struct outcome){ measured ? json_real(found) : NULL, measured && !(found < min) && !(found > max), evidence, why }, err);
}

/* ---- figures of evaluations ---- */

/* The newest evidence that counts and has it; *why: there is only such as does not count. */
static double find_figure(const struct judging *j, const char *key, const char **blob, const char **why)
{
    size_t i;
    json_t *e;
    *blob = "", *why = NULL;
    json_array_foreach(j->own, i, e) {
        const json_t *tree = json_object_get(e, "tree");
        const double found = evidence_figure_value(tree, key);
        if (isnan(found))
            continue;
        *blob = tree_text_at(e, "blob");
        if (!(*why = why_not(j, tree)))
            return found;
    }
    return NAN;
}

static int check_evaluation(struct judging *j, struct err *err)
{
    const char *key, *blob, *why;
    json_t *bounds;
    json_object_foreach(json_object_get(j->policy, "evaluation"), key, bounds) {
        char check[300];
        const double found = find_figure(j, key, &blob, &why);
        snprintf(check, sizeof check, "evaluation %.200s", key);
        TRY(add_bounds(j, check, tree_number_at(bounds, "min"), tree_number_at(bounds, "max"), found, blob, why, err));
    }
    return 0;
}

/* The worst of all that are called ece: before or after scaling, as the evidence has them. */
static int check_calibration(struct judging *j, struct err *err)
{
    const json_t *limit = json_object_get(j->policy, "calibration");
    if (!limit)
        return 0;
    size_t i, k;
    json_t *e, *f;
    double worst = NAN;
    const char *blob = "", *why = NULL;
    json_array_foreach(j->own, i, e) {
        const json_t *tree = json_object_get(e, "tree");
        json_array_foreach(json_object_get(tree, "figures"), k, f)
            if (!strcmp(tree_text_at(f, "name"), "ece") && isfinite(tree_number_at(f, "value"))) {
                blob = tree_text_at(e, "blob");
                why = why_not(j, tree);
                if (!why)
                    worst = fmax(worst, tree_number_at(f, "value"));
            }
        if (isfinite(worst))
            break;                               /* the newest evidence that has it */
    }
    return add_bounds(j, "calibration ece", NAN, tree_number_at(limit, "ece"), worst, blob, why, err);
}

/* ---- a comparison's verdict ---- */

static int rank_of(const char *verdict)
{
    static const char *const words[] = { "worse", "underpowered", "not worse", "better" };
    for (int i = 0; i < 4; i++)
        if (!strcmp(verdict, words[i]))
            return i;
    return -1;
}

static int check_compare(struct judging *j, struct err *err)
{
    const char *least = tree_text_at(j->policy, "compare");
    if (!*least)
        return 0;
    struct outcome o = { .found = NULL };
    size_t i;
    json_t *e;
    json_array_foreach(j->own, i, e) {
        const json_t *tree = json_object_get(e, "tree");
        const char *verdict = tree_text_at(tree, "verdict");
        if (strcmp(tree_text_at(e, "kind"), "compare"))
            continue;
        const char *why = !*evidence_model(tree) ? "the comparison does not say which model is the new one"
                        : is_of_another(j, tree) ? "the comparison is of another new model" : evidence_was_stopped(tree) ? "the comparison was stopped before its end"
                        : evidence_was_limited(tree) ? "the comparison is of the first items alone (--limit)" : NULL;
        if (!why) {
            o = (struct outcome){ .found = json_string(verdict), .passed = rank_of(verdict) >= rank_of(least), .evidence = tree_text_at(e, "blob") };
            break;
        }
        if (!o.why)
            o.why = why, o.evidence = tree_text_at(e, "blob");
    }
    return add(j, "compare", least, &o, err);
}

/* ---- what audits say ---- */

/* A set without items says nothing; one whose numbers are not there was not measured. */
static double contamination_of(const json_t *report)
{
    size_t i;
    const json_t *set;
    double worst = NAN;
    json_array_foreach(json_object_get(report, "contamination"), i, set) {
        const double items = tree_number_at(set, "items"), hit = tree_number_at(set, "items_hit");
        if (!(items >= 0 && hit >= 0))
            return NAN;
        if (items > 0)
            worst = fmax(worst, hit / items);
    }
    return worst;
}

/* What an expression that was given up would have found is not known. */
static double whole_of(const json_t *part, const char *key) { return tree_number_at(json_object_get(part, "given_up"), "n") > 0 ? NAN : tree_number_at(part, key); }

static double pii_of(const json_t *report) { return whole_of(json_object_get(report, "pii"), "per_million"); }
static double secrets_of(const json_t *report) { return whole_of(json_object_get(report, "secrets"), "n"); }

/* All data must have an audit, every audit must have it, and the worst counts. */
static int check_audits(struct judging *j, const char *key, double (*of)(const json_t *report), struct err *err)
{
    const json_t *limit = json_object_get(j->policy, key);
    if (!limit)
        return 0;
    double worst = NAN;
    const char *blob = "", *why = NULL;
    size_t i;
    json_t *e;
    json_array_foreach(j->audits, i, e) {
        const double found = of(json_object_get(e, "tree"));
        if (isnan(found)) {
            worst = NAN, blob = tree_text_at(e, "blob"), why = "this audit did not measure it";
            break;
        }
        if (!(found <= worst))
            worst = found, blob = tree_text_at(e, "blob");
    }
    if (*j->unaudited)
        worst = NAN, blob = "", why = j->unaudited;
    return add_bounds(j, key, NAN, json_number_value(limit), worst, blob, why, err);
}

/* ---- licences ---- */

static bool is_listed(const json_t *list, const char *name, size_t n)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
        if (json_string_length(item) == n && !strncasecmp(json_string_value(item), name, n))
            return true;
    return false;
}

/* Where a word stands outside of parentheses; n: nowhere. */
static size_t joint_at(const char *text, size_t n, const char *word)
{
    const size_t length = strlen(word);
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        depth += (text[i] == '(') - (text[i] == ')');
        if (!depth && i + length <= n && !memcmp(text + i, word, length))
            return i;
    }
    return n;
}

/* Does the first parenthesis end at the last? */
static bool is_enclosed(const char *text, size_t n)
{
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        depth += (text[i] == '(') - (text[i] == ')');
        if (depth <= 0)
            return n > 2 && i == n - 1 && text[i] == ')';
    }
    return false;
}

enum { EXPRESSION_MAX = 2000 };

/* A licence, or several joined by OR (one must be allowed) or AND, which binds them closer (all must). */
static bool is_allowed(const json_t *list, const char *text, size_t n)
{
    if (is_listed(list, text, n))
        return true;
    if (n > EXPRESSION_MAX)
        return false;
    if (is_enclosed(text, n))
        return is_allowed(list, text + 1, n - 2);
    const bool any = joint_at(text, n, " OR ") < n;
    const char *joint = any ? " OR " : " AND ";
    const size_t first = joint_at(text, n, joint), rest = first + strlen(joint);
    if (first == n)
        return false;
    const bool allowed = is_allowed(list, text, first);
    return allowed == any ? allowed : is_allowed(list, text + rest, n - rest);
}

static int check_licences(struct judging *j, struct err *err)
{
    const json_t *list = json_object_get(j->policy, "licences");
    if (!list)
        return 0;
    const char *own = tree_text_at(j->facts, "license");
    struct outcome o = { .found = *own ? json_string(own) : NULL, .passed = *own && is_allowed(list, own, strlen(own)) };
    bool go_on = !*own || o.passed;
    size_t i, k;
    json_t *e, *source;
    json_array_foreach(j->audits, i, e)
        json_array_foreach(json_object_get(json_object_get(json_object_get(e, "tree"), "licences"), "sources"), k, source) {
            const char *expression = tree_text_at(source, "expression");
            if (!go_on)
                break;
            go_on = *expression && is_allowed(list, expression, strlen(expression));
            json_decref(o.found);
            o = (struct outcome){ .found = json_string(*expression ? expression : "unknown"), .passed = go_on, .evidence = tree_text_at(e, "blob") };
        }
    if (go_on && *j->unaudited)
        o.passed = false, o.why = j->unaudited;
    char *limit = tree_dumps(list, JSON_COMPACT);
    if (!limit)
        json_decref(o.found);
    const int rc = limit ? add(j, "licences", limit, &o, err) : no_memory(err);
    mem_free(limit);
    return rc;
}

/* ---- signature ---- */

static int check_signature(struct judging *j, struct err *err)
{
    const char *mode = tree_text_at(j->policy, "signature");
    if (!*mode || !strcmp(mode, "off"))
        return 0;
    struct outcome o = { .why = "no signature" };
    struct gate_signature s = { .why = "" };
    size_t i;
    json_t *e;
    json_array_foreach(j->own, i, e)
        if (!strcmp(tree_text_at(e, "kind"), "signature")) {
            const int rc = gate_signature(&s, j->g, tree_text_at(e, "blob"), &j->files, json_object_get(j->policy, "signers"), err);
            json_decref(o.found);
            if (rc)
                return rc;
            o = (struct outcome){ .found = json_string(s.by), .passed = s.holds, .evidence = tree_text_at(e, "blob"), .why = s.why };
            if (s.holds)
                break;
        }
    if (!strcmp(mode, "warn"))
        o.passed = true;
    return add(j, "signature", mode, &o, err);
}

/* ---- all ---- */

static int check_all(struct judging *j, struct err *err)
{
    TRY(check_evaluation(j, err));
    TRY(check_compare(j, err));
    TRY(check_calibration(j, err));
    TRY(check_audits(j, "contamination", contamination_of, err));
    TRY(check_audits(j, "pii_per_million", pii_of, err));
    TRY(check_audits(j, "secrets", secrets_of, err));
    TRY(check_licences(j, err));
    return check_signature(j, err);
}

static bool all_passed(const json_t *checks)
{
    size_t i;
    const json_t *c;
    json_array_foreach(checks, i, c)
        if (!json_is_true(json_object_get(c, "passed")))
            return false;
    return true;
}

int gate_judge(struct registry *g, const struct registry_version *v, const char *alias, json_t **verdict, struct err *err)
{
    char id[BLOB_ID];
    json_t *policy;
    *verdict = NULL;
    TRY(registry_policy_get(g, v->name, alias, &policy, id, err));
    if (!policy)
        return 0;
    struct judging j = { .g = g, .v = v, .policy = policy };
    int rc = gather(&j, err);
    if (!rc)
        rc = check_all(&j, err);
    if (!rc && !(*verdict = json_pack("{s:s, s:b, s:O}", "policy", id, "passed", all_passed(j.checks), "checks", j.checks)))
        rc = no_memory(err);
    manifest_release(&j.files);
    json_decref(j.facts);
    json_decref(j.audits);
    json_decref(j.bases);
    json_decref(j.own);
    json_decref(j.checks);
    json_decref(policy);
    return rc;
}

int gate_refusal(const json_t *verdict, struct err *err)
{
    struct buf text;
    size_t i;
    const json_t *c;
    int rc = 0;
    buf_init(&text);
    json_array_foreach(json_object_get(verdict, "checks"), i, c) {
        if (json_is_true(json_object_get(c, "passed")))
            continue;
        const json_t *value = json_object_get(c, "found");
        char *found = json_is_null(value) ? mem_strdup("nothing") : tree_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        rc = found ? buf_printf(&text, err, "%s%s: found %s, expected %s%s%s%s%.12s", text.len ? "; " : "", tree_text_at(c, "check"), found,
                                tree_text_at(c, "limit"),
                                *tree_text_at(c, "why") ? ", " : "", tree_text_at(c, "why"), *tree_text_at(c, "evidence") ? ", evidence " : "", tree_text_at(c, "evidence"))
                   : no_memory(err);
        mem_free(found);
        if (rc)
            break;
    }
    if (!rc)
        rc = ERR(err, GATE, "the policy says no: %s", text.data);
    buf_release(&text);
    return rc;
}
