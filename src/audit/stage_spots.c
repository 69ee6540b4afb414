/* stage_spots.c - how many personal data and secrets there are, of which kind, in how many records, with a few of them masked; records that have such are
 * dropped where the policy says so. */
#include <string.h>
#include "audit/pii.h"
#include "audit/stage.h"
#include "base/mem.h"

#define SHOWN 5

struct kind { int64_t n, records, last; json_t *examples; int n_shown; bool drops; };

/* last: the record that was counted last, so that each counts once. */
struct counting { struct audit *a; struct kind *kind, given_up; int n_kind; enum section section; int score_min; int64_t n, words; };

/* s NULL: where the record is, and nothing of it. */
static int show(struct counting *c, struct kind *k, int64_t record, const struct kept_spot *s, struct err *err)
{
    json_t *o = json_object();
    if (!k->examples)
        k->examples = json_array();
    if (!o || json_array_append_new(k->examples, o))          /* takes o, also where there is no list */
        return ERR(err, NOMEM, "no memory for an example");
    k->n_shown++;
    return s ? audit_example_masked(c->a, o, record, s->at, s->n, err) : audit_example(c->a, o, record, EXAMPLE_NO_TEXT, 0, err);
}

static int count_given_up(struct counting *c, int64_t record, uint32_t n, struct err *err)
{
    struct kind *k = &c->given_up;
    k->n += n;
    k->records++;
    return k->n_shown < SHOWN ? show(c, k, record, NULL, err) : 0;
}

static int count_spot(struct counting *c, int64_t record, const struct kept_spot *s, struct err *err)
{
    if (s->kind == KEPT_GIVEN_UP)
        return count_given_up(c, record, s->n, err);
    if (s->score < c->score_min)
        return 0;
    if (s->kind >= c->n_kind)
        return ERR(err, CORRUPT, "'%s': a kind %d of %d", c->a->store.dir, s->kind, c->n_kind);
    struct kind *k = &c->kind[s->kind];
    const bool again = k->last == record + 1;
    k->n++;
    c->n++;
    k->records += !again;
    k->last = record + 1;
    if (k->drops)
        audit_drop(c->a, record, c->section == SECTION_pii ? DROP_pii : DROP_secret);
    return k->n_shown < SHOWN && !again ? show(c, k, record, s, err) : 0;
}

static int count_segment(struct counting *c, const struct segment *g, struct err *err)
{
    for (int i = 0; i < g->n; i++) {
        size_t n, n_word;
        const struct kept_spot *s = segment_row(g, c->section, sizeof *s, i, &n);
        const uint32_t *words = SEGMENT_ROW(g, words, uint32_t, i, &n_word);
        c->words += n_word ? *words : 0;
        for (size_t k = 0; k < n; k++)
            TRY(count_spot(c, g->first + i, &s[k], err));
    }
    return 0;
}

static const char *kind_name(const struct counting *c, int i) { return c->section == SECTION_pii ? pii_name(i) : secret_name(c->a->o->secrets, i); }

/* The kinds that were found, by name; kind: their number in the store. */
static json_t *kinds_of(const struct counting *c)
{
    json_t *all = json_object();
    for (int i = 0; i < c->n_kind; i++)
        if (c->kind[i].n)
            json_object_set_new(all, kind_name(c, i), json_pack("{s:i, s:I, s:I, s:O}", "kind", i, "n", (json_int_t)c->kind[i].n, "records", (json_int_t)c->kind[i].records, "examples", c->kind[i].examples));
    return all;
}

/* What was not looked at to its end; NULL: nothing. */
static json_t *given_up(const struct counting *c)
{
    const struct kind *k = &c->given_up;
    return k->n ? json_pack("{s:I, s:I, s:O}", "n", (json_int_t)k->n, "records", (json_int_t)k->records, "examples", k->examples) : NULL;
}

static int find_kind(const struct counting *c, const char *name)
{
    int i = 0;
    while (i < c->n_kind && strcmp(kind_name(c, i), name))
        i++;
    return i;
}

/* What the policy does by kind; a kind that it names and that there is none of is an error. */
static int take_policy(struct counting *c, struct err *err)
{
    const struct policy *p = c->a->o->policy;
    const char *key = c->section == SECTION_pii ? "pii" : "secrets", *name;
    json_t *v;
    if (!p)
        return 0;
    json_object_foreach(json_object_get(p->tree, key), name, v)
        if (strcmp(name, "default") && find_kind(c, name) == c->n_kind)
            return ERR(err, USAGE, "%s: '%s' names '%.60s', and nothing of that name is looked for", p->name, key, name);
    for (int i = 0; i < c->n_kind; i++)
        c->kind[i].drops = (c->section == SECTION_pii ? policy_pii : policy_secret)(p, kind_name(c, i)) == ACTION_DROP;
    return 0;
}

static int count_all(struct counting *c, struct err *err)
{
    if (!(c->kind = mem_alloc_array((size_t)c->n_kind, sizeof *c->kind)))
        return ERR(err, NOMEM, "no memory for %d kinds", c->n_kind);
    TRY(take_policy(c, err));
    for (int i = 0; i < c->a->store.n_segment; i++) {
        struct segment g;
        TRY(store_segment(&c->a->store, i, &g, err));
        const int rc = count_segment(c, &g, err);
        segment_release(&g);
        TRY(rc);
    }
    return 0;
}

static void release(struct counting *c)
{
    for (int i = 0; c->kind && i < c->n_kind; i++)
        json_decref(c->kind[i].examples);
    json_decref(c->given_up.examples);
    mem_free(c->kind);
}

static int report_pii(struct audit *a, struct err *err)
{
    struct counting c = { .a = a, .n_kind = N_PII, .section = SECTION_pii, .score_min = a->o->pii_score ? a->o->pii_score : PII_SCORE_MIN };
    int rc = count_all(&c, err);
    rc = rc ? rc : audit_report(a, "pii", json_pack("{s:I, s:f, s:i, s:o, s:o*}", "tokens", (json_int_t)c.words, "per_million", c.words ? 1e6 * (double)c.n / (double)c.words : 0.0, "score", c.score_min,
                                                    "entities", kinds_of(&c), "given_up", given_up(&c)), err);
    release(&c);
    return rc;
}

static int report_secrets(struct audit *a, struct err *err)
{
    struct counting c = { .a = a, .n_kind = secrets_count(a->o->secrets), .section = SECTION_secret };
    int rc = count_all(&c, err);
    rc = rc ? rc : audit_report(a, "secrets", json_pack("{s:I, s:i, s:o, s:o*}", "n", (json_int_t)c.n, "rules_not_used", secrets_unused(a->o->secrets), "rules", kinds_of(&c), "given_up",
                                                        given_up(&c)), err);
    release(&c);
    return rc;
}

int stage_spots(struct audit *a, struct err *err)
{
    if (a->o->pii)
        TRY(report_pii(a, err));
    return a->o->secrets ? report_secrets(a, err) : 0;
}
