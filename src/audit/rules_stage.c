/* rules_stage.c - verdicts of rules over all records, from the signals that were stored: how many each rule hits, and how what it
 * compares is spread.  Quantiles and pictures are of 64 classes to a doubling, so that they are within 1.6 % without keeping all values. */
#include <math.h>
#include <string.h>
#include "audit/rules.h"
#include "audit/stage.h"
#include "base/mem.h"

#define EXAMPLES 3

enum { PER_DOUBLING = 64, LOW = -24, HIGH = 33, CLASSES = (HIGH - LOW) * PER_DOUBLING + 1, BINS = 20 };

/* Values from 0 on, those below 2^-24 taken for 0. */
struct spread { uint64_t n, count[CLASSES]; double sum, min, max; };

struct ruled { int64_t n_record; json_t *examples; };

struct ruling {
    struct audit *a;
    struct rules_policy all, drop;
    struct ruled rule[N_RULE];
    struct spread *spread;                       /* of N_TOLD signals, then of each rule */
};

/* Signals that are told as they are: those before the first of a filter, and the words. */
enum { N_TOLD = offsetof(struct signals, words) / sizeof(uint32_t) + 1 };

/* ---- what was stored ---- */

size_t signals_pack(int groups, const struct signals *s, uint32_t *out)
{
    size_t n = 0;
    for (int i = 0; i < N_SIGNAL; i++)
        if (signal_info(i)->group & groups)
            out[n++] = ((const uint32_t *)s)[i];
    return n;
}

static void unpack(int groups, const uint32_t *in, size_t n, struct signals *s)
{
    size_t k = 0;
    *s = (struct signals){ 0 };
    for (int i = 0; i < N_SIGNAL && k < n; i++)
        if (signal_info(i)->group & groups)
            ((uint32_t *)s)[i] = in[k++];
}

/* ---- spreads ---- */

static int class_of(double v)
{
    int e;
    const double m = frexp(v, &e);               /* v = m 2^e, m in [1/2, 1) */
    if (!(v > 0) || e - 1 < LOW)
        return 0;
    return e - 1 >= HIGH ? CLASSES - 1 : 1 + (e - 1 - LOW) * PER_DOUBLING + (int)((2 * m - 1) * PER_DOUBLING);
}

static double class_begin(int k) { return k ? ldexp(1 + (k - 1) % PER_DOUBLING / (double)PER_DOUBLING, (k - 1) / PER_DOUBLING + LOW) : 0; }

static void spread_add(struct spread *s, double v)
{
    if (isnan(v))
        return;
    s->min = s->n && s->min < v ? s->min : v;
    s->max = s->n && s->max > v ? s->max : v;
    s->n++;
    s->sum += v;
    s->count[class_of(v)]++;
}

static double quantile(const struct spread *s, double q)
{
    const uint64_t want = (uint64_t)ceil(q * (double)s->n);
    uint64_t n = 0;
    for (int k = 0; k < CLASSES; k++)
        if ((n += s->count[k]) >= want && n)
            return fmin(fmax(class_begin(k), s->min), s->max);
    return s->max;
}

/* Equal bins up to what 99 % are below; the last one goes to the largest.  Where all are the same, one bin from it on. */
static json_t *picture(const struct spread *s)
{
    const double high = quantile(s, 0.99), width = (high - s->min) / BINS;
    json_t *edges = json_array(), *counts = json_array();
    uint64_t bin[BINS] = { 0 };
    const int bins = width > 0 ? BINS : 1;
    for (int k = 0; k < CLASSES; k++) {
        const double at = (fmax(class_begin(k), s->min) - s->min) / (width > 0 ? width : 1);
        bin[at < bins ? (int)at : bins - 1] += s->count[k];
    }
    for (int i = 0; i < bins; i++) {
        json_array_append_new(edges, json_real(s->min + width * i));
        json_array_append_new(counts, json_integer((json_int_t)bin[i]));
    }
    json_array_append_new(edges, json_real(s->max > s->min ? s->max : s->min + 1));
    return json_pack("{s:o, s:o}", "edges", edges, "counts", counts);
}

static json_t *told(const struct spread *s)
{
    static const struct { const char *key; double q; } at[] = { { "0.01", 0.01 }, { "0.05", 0.05 }, { "0.25", 0.25 }, { "0.5", 0.5 }, { "0.75", 0.75 }, { "0.95", 0.95 }, { "0.99", 0.99 } };
    json_t *q = json_object();
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        json_object_set_new(q, at[i].key, json_real(quantile(s, at[i].q)));
    return json_pack("{s:f, s:f, s:f, s:o, s:o}", "mean", s->sum / (double)s->n, "min", s->min, "max", s->max, "quantiles", q, "histogram", picture(s));
}

/* ---- verdicts ---- */

static int add_example(struct ruling *x, int rule, int64_t record, struct err *err)
{
    json_t *o = json_object();
    if (!o || json_array_append_new(x->rule[rule].examples, o))
        return ERR(err, NOMEM, "no memory for an example");
    return audit_example(x->a, o, record, 0, 0, err);
}

static int judge(struct ruling *x, int64_t record, const struct signals *s, struct err *err)
{
    struct verdict v;
    rules_verdict(&x->drop, s, &v);
    if (v.first >= 0)
        audit_drop(x->a, record, DROP_RULE + v.first);
    rules_verdict(&x->all, s, &v);
    for (int i = 0; i < N_TOLD; i++)
        spread_add(&x->spread[i], ((const uint32_t *)s)[i]);
    for (int i = 0; i < N_RULE; i++) {
        if (!x->all.on[i])
            continue;
        spread_add(&x->spread[N_TOLD + i], rule_value(i, s));
        if (verdict_has(&v, i) && x->rule[i].n_record++ < EXAMPLES)
            TRY(add_example(x, i, record, err));
    }
    return 0;
}

static int judge_all(struct ruling *x, struct err *err)
{
    for (int i = 0; i < x->a->store.n_segment; i++) {
        struct segment g;
        TRY(store_segment(&x->a->store, i, &g, err));
        int rc = 0;
        for (int k = 0; !rc && k < g.n; k++) {
            size_t n;
            const uint32_t *stored = SEGMENT_ROW(&g, signals, uint32_t, k, &n);
            struct signals s;
            unpack(x->a->o->signals, stored, n, &s);
            rc = n ? judge(x, g.first + k, &s, err) : 0;
        }
        segment_release(&g);
        TRY(rc);
    }
    return 0;
}

/* ---- the report ---- */

static int report_rules(struct ruling *x, struct err *err)
{
    json_t *list = json_array();
    for (int i = 0; i < N_RULE; i++) {
        const struct rule_info *r = rule_info(i);
        if (x->all.on[i])
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:b, s:I, s:O}", "id", r->id, "of", r->of, "compare", r->compare == RULE_LESS ? "<" : ">", "limit", x->all.limit[i], "drops",
                                                  x->drop.on[i], "records", (json_int_t)x->rule[i].n_record, "examples", x->rule[i].examples));
    }
    return audit_report(x->a, "rules", list, err);
}

static int report_spreads(struct ruling *x, struct err *err)
{
    json_t *o = json_object();
    for (int i = 0; i < N_TOLD + N_RULE; i++)
        if (x->spread[i].n && (i < N_TOLD || x->spread[i].max > 0))
            json_object_set_new(o, i < N_TOLD ? signal_info(i)->name : rule_info(i - N_TOLD)->id, told(&x->spread[i]));
    return audit_report(x->a, "signals", o, err);
}

/* What a policy says of rules, above what was asked for besides. */
static int take_policy(struct rules_policy *p, const struct policy *policy, struct err *err)
{
    const char *ids[N_RULE];
    double limit;
    for (int i = 0; i < N_RULE; i++)
        ids[i] = rule_info(i)->id;
    TRY(policy_check_rules(policy, ids, N_RULE, err));
    for (int i = 0; i < N_RULE; i++) {
        const int said = policy_rule(policy, ids[i], &limit);
        p->on[i] = said ? said > 0 : p->on[i];
        p->limit[i] = said > 0 ? limit : p->limit[i];
    }
    return 0;
}

static int begin(struct ruling *x, struct err *err)
{
    const struct rules_policy *p = x->a->o->rules;
    rules_policy_init(&x->all);
    x->drop = p ? *p : x->all;
    TRY(x->a->o->policy ? take_policy(&x->drop, x->a->o->policy, err) : 0);
    for (int i = 0; i < N_RULE; i++) {
        const int groups = rule_groups(rule_info(i)->dialect);
        x->all.limit[i] = x->drop.limit[i];
        x->all.on[i] = (groups & x->a->o->signals) == groups;
        if (x->drop.on[i] && !x->all.on[i])
            return ERR(err, USAGE, "the rule '%s' needs the signals of %s, which are not kept here", rule_info(i)->id, rule_info(i)->dialect);
        if (!(x->rule[i].examples = json_array()))
            return ERR(err, NOMEM, "no memory for examples");
    }
    x->spread = mem_alloc_array(N_TOLD + N_RULE, sizeof *x->spread);
    return x->spread ? 0 : ERR(err, NOMEM, "no memory for what signals are like");
}

int stage_rules(struct audit *a, struct err *err)
{
    if (!a->o->signals)
        return 0;
    struct ruling *x = mem_alloc_zero(sizeof *x);
    if (!x)
        return ERR(err, NOMEM, "no memory for rules");
    x->a = a;
    int rc = begin(x, err);
    rc = rc ? rc : judge_all(x, err);
    rc = rc ? rc : report_rules(x, err);
    rc = rc ? rc : report_spreads(x, err);
    for (int i = 0; i < N_RULE; i++)
        json_decref(x->rule[i].examples);
    mem_free(x->spread);
    mem_free(x);
    return rc;
}
