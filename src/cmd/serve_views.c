#include "cmd/serve_views.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/registry_loads.h"
#include "watch/follow.h"
#include "watch/rules.h"

#define ALPHA 0.01                       /* lathe watch's */

struct followed { char name[REGISTRY_NAME]; int64_t number; struct follow *f; uint64_t used; };
struct serve_views { struct rules rules; struct followed of[SERVE_FOLLOWED]; uint64_t n_asked; };

/* ---- which versions are followed ---- */

/* Its own place, else a free one, else that of the version that nobody asked for the longest. */
static struct followed *place_of(struct serve_views *s, const struct registry_version *v)
{
    struct followed *oldest = &s->of[0];
    for (int i = 0; i < SERVE_FOLLOWED; i++) {
        if (s->of[i].f && s->of[i].number == v->number && !strcmp(s->of[i].name, v->name))
            return &s->of[i];
        if (s->of[i].used < oldest->used)
            oldest = &s->of[i];
    }
    follow_free(oldest->f);
    *oldest = (struct followed){ .number = v->number };
    memcpy(oldest->name, v->name, sizeof oldest->name);
    return oldest;
}

static int followed(struct serve_views *s, struct registry *g, const struct registry_version *v, struct follow **out, struct err *err)
{
    struct followed *p = place_of(s, v);
    bool current = false;
    if (p->f)
        TRY(follow_is_current(&current, p->f, g, err));
    if (!current) {
        follow_free(p->f);
        p->f = NULL;
        TRY(follow_new(&p->f, g, v, ALPHA, 0, err));
    }
    p->used = ++s->n_asked;              /* one that has no reference does not stay */
    *out = p->f;
    return 0;
}

/* ---- what the rules say ---- */

static bool is_met(const struct rule *rule, const json_t *signal)
{
    const json_t *effect = json_object_get(signal, "effect");
    if (rule->worse || (*rule->signal && strcmp(rule->signal, tree_text_at(signal, "name"))))
        return false;                    /* worse: of two versions, and this is about one */
    return rule->alarm ? json_is_true(json_object_get(signal, "drift")) : json_is_number(effect) && json_number_value(effect) > rule->effect;
}

static json_t *rule_json(const struct rule *rule, const json_t *report)
{
    char what[160];
    json_t *met = json_array();
    const json_t *signal;
    size_t i;
    int rc = met ? 0 : -1;
    json_array_foreach(json_object_get(report, "signals"), i, signal)
        if (is_met(rule, signal))
            rc = json_array_append(met, json_object_get(signal, "name")) || rc;
    rule_describe(rule, what);
    if (rc) {
        json_decref(met);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:o, s:i, s:s, s:o}", "signal", *rule->signal ? rule->signal : "any", "when", rule->alarm ? "alarm" : rule->worse ? "worse" : "effect", "effect",
                     rule->alarm || rule->worse ? json_null() : json_real(rule->effect), "looks", rule->looks, "do", what, "met", met);
}

static int add_rules(const struct serve_views *s, json_t *o, struct err *err)
{
    json_t *rules = json_array();
    int rc = rules ? 0 : -1;
    for (int i = 0; i < s->rules.n && !rc; i++)
        rc = json_array_append_new(rules, rule_json(&s->rules.rule[i], json_object_get(o, "report")));
    if (!rc)
        return json_object_set_new(o, "rules", rules) ? ERR(err, NOMEM, "no memory for rules") : 0;
    json_decref(rules);
    return ERR(err, NOMEM, "no memory for rules");
}

static int drift(void *ctx, struct registry *g, struct events *e, const struct registry_version *v, json_t **out, struct err *err)
{
    struct serve_views *s = ctx;
    struct follow *f;
    *out = NULL;
    TRY(followed(s, g, v, &f, err));
    TRY(follow_read(f, e, when_now(), err));
    TRY(follow_json(out, f, e, NULL, err));
    const int rc = add_rules(s, *out, err);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- begin and end ---- */

int serve_views_open(struct serve_views **out, const char *rules, struct err *err)
{
    struct serve_views *s = *out = mem_alloc_zero(sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory for what the page shows");
    const int rc = rules ? rules_load(&s->rules, rules, NULL, err) : 0;
    if (rc) {
        serve_views_close(s);
        *out = NULL;
    }
    return rc;
}

void serve_views_close(struct serve_views *s)
{
    if (!s)
        return;
    for (int i = 0; i < SERVE_FOLLOWED; i++)
        follow_free(s->of[i].f);
    rules_release(&s->rules);
    mem_free(s);
}

static int loads(void *ctx, struct registry *g, const struct registry_version *v, struct err *err) { return (void)ctx, registry_loads(g, v, err); }

struct releases_more serve_views_more(struct serve_views *s) { return (struct releases_more){ drift, serve_report, loads, s }; }
