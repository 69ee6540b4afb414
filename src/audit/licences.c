#include "audit/licences.h"
#include <string.h>
#include "audit/licence_found.h"
#include "audit/stage.h"
#include "base/mem.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for what licences say"); }

/* ---- what there is ---- */

/* Keys of a dataset card that documents want, as they stand there. */
static int add_card(json_t *o, const json_t *card, struct err *err)
{
    static const char *const keys[] = { "license",         "license_name", "license_link",  "language",  "pretty_name",  "size_categories", "annotations_creators",
                                        "language_creators", "multilinguality", "source_datasets", "task_categories", "task_ids", "tags" };
    json_t *told = card ? json_object() : NULL;
    for (size_t i = 0; told && i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(card, keys[i]) && json_object_set(told, keys[i], json_object_get(card, keys[i])))
            break;
    if (!card)
        return 0;
    return told && !json_object_set_new(o, "card", told) ? 0 : no_memory(err);
}

static void told_fault(void *ctx, const char *path, const struct err *why)
{
    json_array_append_new(ctx, json_pack("{s:s, s:n, s:s}", "path", path, "id", "error", why->msg));
}

static int find_source(const struct sources *s, int i, json_t *o, struct err *err)
{
    struct licence_finds f;
    json_t *found = json_object_get(o, "found");
    int n = 0;
    const char **files = mem_alloc_array((size_t)s->n_file + 1, sizeof *files);
    if (!files)
        return no_memory(err);
    for (int k = 0; k < s->n_file; k++)
        if (s->file[k].source == i && !s->file[k].why)
            files[n++] = s->file[k].path;
    int rc = licence_find(&f, s->source[i].path, files, n, told_fault, found, err);
    mem_free(files);
    TRY(rc);
    for (int k = 0; k < f.n && !rc; k++)
        if (json_array_append_new(found, json_pack("{s:s, s:s?, s:s}", "path", f.item[k].path, "id", f.item[k].expression, "how", licence_how_word(f.item[k].how))))
            rc = no_memory(err);
    rc = rc ? rc : add_card(o, f.card, err);
    licence_finds_release(&f);
    return rc;
}

int licences_find(const struct sources *s, json_t **part, struct err *err)
{
    json_t *list = json_array();
    int rc = list ? 0 : no_memory(err);
    for (int i = 0; i < s->n && !rc; i++) {
        json_t *o = json_pack("{s:s, s:s?, s:[]}", "source", s->source[i].name, "stated", s->source[i].licence, "found");
        rc = o ? find_source(s, i, o, err) : no_memory(err);
        if (json_array_append_new(list, o) && !rc)
            rc = no_memory(err);
    }
    *part = rc ? NULL : json_pack("{s:O}", "sources", list);
    json_decref(list);
    return rc || *part ? rc : no_memory(err);
}

/* ---- judging ---- */

struct judging { const struct policy *p; const json_t *kept; unsigned use; json_t *conflicts; struct licence_verdict *v; int *source; int n; };

static int set(json_t *o, const char *key, json_t *v, struct err *err) { return v && !json_object_set_new(o, key, v) ? 0 : no_memory(err); }

static int set_text(json_t *o, const char *key, const struct licence *l, int (*text)(const struct licence *l, struct buf *out, struct err *err), struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = text(l, &b, err);
    rc = rc ? rc : set(o, key, json_string(b.data), err);
    buf_release(&b);
    return rc;
}

/* What counts: what is stated, or AND of what was found.  1, or 0 with `why` in the object. */
static int effective(json_t *o, struct licence **out, struct err *err)
{
    const char *stated = json_string_value(json_object_get(o, "stated"));
    json_t *found = json_object_get(o, "found"), *f;
    struct buf all, error;
    struct err why = { 0 };
    size_t at, i;
    int rc = 0;
    *out = NULL;
    buf_init(&all), buf_init(&error);
    if (stated)
        rc = buf_add_str(&all, stated, err);
    json_array_foreach(found, i, f) {
        const char *id = json_string_value(json_object_get(f, "id")), *path = json_string_value(json_object_get(f, "path"));
        if (stated || rc || error.len)
            break;
        rc = id ? buf_printf(&all, err, "%s(%s)", all.len ? " AND " : "", id) : buf_printf(&error, err, "'%s' does not tell a licence that is known", path ? path : "?");
    }
    if (!rc && !all.len && !error.len)
        rc = buf_add_str(&error, "no licence is stated, and none stands beside the data", err);
    if (!rc && !error.len && licence_parse(out, all.data, all.len, &at, &why))
        rc = why.code == ERR_NOMEM ? ERR(err, NOMEM, "%s", why.msg) : (buf_printf(&error, err, "the licence '%.200s' is not read: %s", all.data, why.msg));
    if (!rc && error.len)
        rc = set(o, "why", json_string(error.data), err);
    if (!rc && error.len && stated)
        rc = set(o, "error", json_string(error.data), err);
    buf_release(&all), buf_release(&error);
    return rc ? rc : *out != NULL;
}

static int set_duties(json_t *o, unsigned duties, struct err *err)
{
    json_t *list = json_array();
    for (int d = 0; d < N_LICENCE_DUTY; d++)
        if (duties & (1u << d))
            json_array_append_new(list, json_sprintf("%s: %s", licence_duty_word((enum licence_duty)d), licence_duty_what((enum licence_duty)d)));
    return set(o, "obligations", list, err);
}

struct id_search { const char *id; bool found; };

static void same_id(void *ctx, const char *id)
{
    struct id_search *s = ctx;
    s->found = s->found || !strcasecmp(s->id, id);
}

struct id_check { const struct licence *in; const char *missing; };

static void check_id(void *ctx, const char *id)
{
    struct id_check *c = ctx;
    struct id_search s = { id, false };
    licence_each(c->in, same_id, &s);
    if (!s.found && !c->missing)
        c->missing = id;
}

bool licences_bind_nobody(const json_t *sources, const json_t *name)
{
    size_t i;
    json_t *s;
    json_array_foreach(sources, i, s)
        if (json_equal(json_object_get(s, "name"), name))
            return json_is_integer(json_object_get(s, "kept")) && !json_integer_value(json_object_get(s, "kept"));
    return false;
}

/* A file beside the data that names what is not stated. */
static int check_found(struct judging *j, const json_t *o, const struct licence *stated, struct err *err)
{
    size_t i, at;
    json_t *f;
    if (!json_string_value(json_object_get(o, "stated")))
        return 0;
    json_array_foreach(json_object_get(o, "found"), i, f) {
        const char *id = json_string_value(json_object_get(f, "id"));
        struct licence *l;
        struct id_check c = { stated, NULL };
        if (!id)
            continue;
        TRY(licence_parse(&l, id, strlen(id), &at, err));
        licence_each(l, check_id, &c);
        int rc = 0;
        if (c.missing)
            rc = json_array_append_new(j->conflicts, json_pack("{s:O, s:O, s:o}", "source", json_object_get(o, "source"), "path", json_object_get(f, "path"), "why",
                                                               json_sprintf("the file says %s, stated is %s", id, json_string_value(json_object_get(o, "stated")))))
                     ? no_memory(err) : 0;
        licence_free(l);
        TRY(rc);
    }
    return 0;
}

static int judge_source(struct judging *j, json_t *o, int i, struct err *err)
{
    static const char *const ours[] = { "expression", "chosen", "allowed", "why", "obligations", "error" };
    struct licence *l;
    for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
        json_object_del(o, ours[k]);
    const int known = effective(o, &l, err);
    if (known <= 0) {
        TRY(known);
        TRY(set(o, "expression", json_null(), err));
        return set(o, "allowed", json_false(), err);
    }
    struct licence_verdict v;
    licence_judge(l, j->use, j->p ? j->p->terms : NULL, j->p ? j->p->n_terms : 0, &v);
    int rc = set_text(o, "expression", l, licence_text, err);
    rc = rc ? rc : set_text(o, "chosen", l, licence_chosen, err);
    rc = rc ? rc : set(o, "allowed", json_boolean(v.allowed), err);
    rc = rc || v.allowed ? rc : set(o, "why", json_string(v.why), err);
    rc = rc ? rc : set_duties(o, v.duties, err);
    const bool binds = !licences_bind_nobody(j->kept, json_object_get(o, "source"));
    rc = rc || !binds ? rc : check_found(j, o, l, err);
    licence_free(l);
    if (!rc && v.allowed && binds)
        j->v[j->n] = v, j->source[j->n++] = i;
    return rc;
}

/* Only where something is passed on must one licence hold all. */
static int check_together(struct judging *j, const json_t *sources, struct err *err)
{
    const unsigned passed_on = 1u << LICENCE_DERIVATIVES | 1u << LICENCE_REDISTRIBUTION | 1u << LICENCE_WEIGHTS;
    int with, bad;
    if (!(j->use & passed_on) || !(bad = licence_together(j->v, j->n, &with)))
        return 0;
    const json_t *a = json_array_get(sources, (size_t)j->source[bad]), *b = with >= 0 ? json_array_get(sources, (size_t)j->source[with]) : NULL;
    const char *x = json_string_value(json_object_get(a, "expression")), *y = json_string_value(json_object_get(b, "expression"));
    json_t *why = json_sprintf("no licence can hold both %s and %s", x, y ? y : "those before it together");
    return json_array_append_new(j->conflicts, json_pack("{s:O, s:O*, s:o}", "source", json_object_get(a, "source"), "with", json_object_get(b, "source"), "why", why)) ? no_memory(err) : 0;
}

int licences_judge(json_t *part, const json_t *kept, const struct policy *p, struct err *err)
{
    json_t *sources = json_object_get(part, "sources"), *o, *use = json_array();
    const size_t n = json_array_size(sources);
    struct judging j = { p, kept, p ? p->use : 1u << LICENCE_TRAIN, json_array(), mem_alloc_array(n + 1, sizeof *j.v), mem_alloc_array(n + 1, sizeof *j.source), 0 };
    size_t i;
    int rc = use && j.conflicts && j.v && j.source ? 0 : no_memory(err);
    for (int r = 0; r < N_LICENCE_RIGHT && !rc; r++)
        if (j.use & (1u << r))
            rc = json_array_append_new(use, json_string(licence_right_word((enum licence_right)r))) ? no_memory(err) : 0;
    json_array_foreach(sources, i, o)
        rc = rc ? rc : judge_source(&j, o, (int)i, err);
    rc = rc ? rc : check_together(&j, sources, err);
    if (!rc && (json_object_set(part, "use", use) || json_object_set(part, "conflicts", j.conflicts)))
        rc = no_memory(err);
    json_decref(use);
    json_decref(j.conflicts);
    mem_free(j.v);
    mem_free(j.source);
    return rc;
}

/* ---- the stage ---- */

static void drop_refused(struct audit *a, const json_t *part)
{
    for (int i = 0; i < a->s->n_file; i++) {
        const json_t *o = json_array_get(json_object_get(part, "sources"), (size_t)a->s->file[i].source);
        for (int64_t r = a->first[i]; r < a->first[i + 1] && !json_is_true(json_object_get(o, "allowed")); r++)
            audit_drop(a, r, DROP_licence);
    }
}

int stage_licences(struct audit *a, struct err *err)
{
    json_t *part;
    TRY(licences_find(a->s, &part, err));
    const int rc = licences_judge(part, NULL, a->o->policy, err);
    if (rc) {
        json_decref(part);
        return rc;
    }
    if (a->o->policy)
        drop_refused(a, part);
    return audit_report(a, "licences", part, err);
}
