#include "eval/token_tally.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/evidence.h"
#include "eval/interval.h"

int token_tally_init(struct token_tally *t, const char *attack, const char *of, const char *right, struct err *err)
{
    *t = (struct token_tally){ .attack = attack, .of = of, .right = right, .items = json_array(), .unfit = json_object(), .examples = json_array() };
    return t->items && t->unfit && t->examples ? 0 : ERR(err, NOMEM, "no memory for what came of an attack");
}

void token_tally_release(struct token_tally *t)
{
    json_decref(t->items);
    json_decref(t->unfit);
    json_decref(t->examples);
    mem_free(t->queries);
    mem_free(t->changed);
    *t = (struct token_tally){ 0 };
}

static int row(struct token_tally *t, int64_t item, const char *state, int64_t queries, int changed, struct err *err)
{
    json_t *o = json_pack("[I, s, I, i]", (json_int_t)item, state, (json_int_t)queries, changed);
    return !o || json_array_append_new(t->items, o) ? ERR(err, NOMEM, "no memory for what came of an attack") : 0;
}

int token_tally_unfit(struct token_tally *t, int64_t item, const char *why, struct err *err)
{
    const json_int_t before = json_integer_value(json_object_get(t->unfit, why));
    t->n_unfit++;
    if (json_object_set_new(t->unfit, why, json_integer(before + 1)))
        return ERR(err, NOMEM, "no memory for what came of an attack");
    return row(t, item, "unfit", 0, 0, err);
}

int token_tally_failed(struct token_tally *t, int64_t item, int rc, const struct err *why, struct err *err)
{
    if (rc >= 0)
        return 0;
    if (rc != ERR_NOMEM && rc != ERR_STOPPED)
        return token_tally_unfit(t, item, why->msg, err);
    if (err)
        *err = *why;
    return rc;
}

/* A text for JSON: bytes that are not UTF-8 as '?'. */
static json_t *text_of(const char *s, size_t n)
{
    json_t *o = json_stringn(s, n);
    if (o)
        return o;
    char *copy = mem_alloc(n + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = 0;
    for (size_t i = 0; i < n; i++)
        copy[i] = (unsigned char)copy[i] < 0x80 && copy[i] ? copy[i] : '?';
    o = json_stringn(copy, n);
    mem_free(copy);
    return o;
}

static int example(struct token_tally *t, int64_t item, const struct token_found *f, const struct token_texts *x, bool stopped, struct err *err)
{
    if (t->n_example[f->after.fooled] >= TOKEN_EXAMPLES / 2 && !stopped)
        return 0;
    t->n_example[f->after.fooled] += !stopped;
    json_t *o = json_pack("{s:s, s:s, s:I, s:b, s:i, s:I}", "attack", t->attack, "of", t->of, "item", (json_int_t)item, "fooled", f->after.fooled,
                          "tokens_changed", f->n_changed, "queries",
                          (json_int_t)f->n_query);
    if ((stopped && json_object_set_new(o, "stopped", json_true())) || json_object_set_new(o, "before", text_of(x->before, x->n_before)) || json_object_set_new(o, "after", text_of(x->after, x->n_after)) ||
        json_object_set_new(o, "score_before", tree_number(f->before.score)) || json_object_set_new(o, "score_after", tree_number(f->after.score))) {
        json_decref(o);
        return ERR(err, NOMEM, "no memory for an example");
    }
    return json_array_append_new(t->examples, o) ? ERR(err, NOMEM, "no memory for an example") : 0;
}

static int count(struct token_tally *t, const struct token_found *f, struct err *err)
{
    if (t->n == t->cap) {
        const int64_t cap = t->cap ? 2 * t->cap : 256;
        double *q = mem_realloc_array(t->queries, (size_t)cap, sizeof *q), *c = q ? mem_realloc_array(t->changed, (size_t)cap, sizeof *c) : NULL;
        t->queries = q ? q : t->queries, t->changed = c ? c : t->changed;
        if (!c)
            return ERR(err, NOMEM, "no memory for %lld items", (long long)cap);
        t->cap = cap;
    }
    t->queries[t->n++] = (double)f->n_query;
    if (f->after.fooled)
        t->changed[t->n_changed++] = f->n_changed;
    return 0;
}

int token_tally_add(struct token_tally *t, int64_t item, const struct token_found *f, const struct token_texts *x, struct err *err)
{
    t->n_gradient += f->n_gradient, t->n_lost += f->n_lost;
    if (!isfinite(f->before.score))
        return token_tally_unfit(t, item, "the model could not answer it", err);
    if (f->before.fooled) {
        t->n_already++;
        return row(t, item, "already", f->n_query, 0, err);
    }
    t->n_fooled += f->after.fooled, t->n_kept += !f->after.fooled;
    TRY(count(t, f, err));
    TRY(row(t, item, f->after.fooled ? "fooled" : "kept", f->n_query, f->n_changed, err));
    return example(t, item, f, x, false, err);
}

int token_tally_stopped(struct token_tally *t, int64_t item, const struct token_found *f, const struct token_texts *x, struct err *err)
{
    return example(t, item, f, x, true, err);
}

/* ---- telling ---- */

static int share(json_t *evidence, const char *name, const char *of, int64_t k, int64_t n, enum evidence_better better, const char *what, struct err *err)
{
    double ci[2];
    TRY(interval_wilson(k, n, 0.95, ci, err));
    return evidence_figure(evidence, &(struct evidence_figure){ name, of, n ? (double)k / (double)n : NAN, ci[0], ci[1], n, better, what }, err);
}

static int mean(json_t *evidence, const char *name, const char *of, const double *x, int64_t n, const char *what, struct err *err)
{
    struct interval_mean m = { .mean = NAN, .ci = { NAN, NAN } };
    if (n)
        TRY(interval_mean(x, NULL, NULL, n, 0.95, &m, err));
    return evidence_figure(evidence, &(struct evidence_figure){ name, of, m.mean, m.ci[0], m.ci[1], n, EVIDENCE_NEITHER, what }, err);
}

static int figures(const struct token_tally *t, json_t *evidence, struct err *err)
{
    char of[200];
    const int64_t tried = t->n_fooled + t->n_kept;
    snprintf(of, sizeof of, "%s %s", t->attack, t->of);
    if (t->right) {
        TRY(share(evidence, t->right, of, tried, tried + t->n_already, EVIDENCE_HIGHER, "items that are right before they are attacked", err));
        TRY(share(evidence, "accuracy_under_attack", of, t->n_kept, tried + t->n_already, EVIDENCE_HIGHER,
                  "items that are right and stay so: an upper bound", err));
    }
    TRY(share(evidence, "attack_success_rate", of, t->n_fooled, tried, EVIDENCE_LOWER, t->right ?
              "of the items that were right before" : "of the prompts that were not answered so before", err));
    TRY(mean(evidence, "queries", of, t->queries, t->n, "variants asked of the model, of each item that was attacked", err));
    return mean(evidence, "tokens_changed", of, t->changed, t->n_changed, "of each item that was fooled", err);
}

/* part is taken over. */
static int append(json_t *evidence, const char *key, json_t *part, struct err *err)
{
    json_t *list = json_object_get(evidence, key);
    if (!list && part) {
        list = json_array();
        if (evidence_put(evidence, key, list, err) < 0)
            list = NULL;
    }
    if (!list || !part) {
        json_decref(part);
        return ERR(err, NOMEM, "no memory for what came of an attack");
    }
    return json_array_append_new(list, part) ? ERR(err, NOMEM, "no memory for what came of an attack") : 0;
}

int token_tally_end(struct token_tally *t, json_t *evidence, json_t *budget, int64_t n_all, struct err *err)
{
    const int64_t tried = t->n_fooled + t->n_kept, seen = tried + t->n_already + t->n_unfit;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "attack", t->attack, "of", t->of, "n", (json_int_t)n_all, "seen",
                          (json_int_t)seen, "already",
                          (json_int_t)t->n_already, "fooled", (json_int_t)t->n_fooled, "kept", (json_int_t)t->n_kept, "n_unfit", (json_int_t)t->n_unfit,
                                  "gradients", (json_int_t)t->n_gradient,
                          "variants_lost", (json_int_t)t->n_lost, "complete", seen == n_all);
    const bool put = !json_object_set_new(o, "budget", budget) && !json_object_set(o, "unfit", t->unfit) && !json_object_set(o, "items", t->items);
    if (!put) {
        json_decref(o);
        return ERR(err, NOMEM, "no memory for what came of an attack");
    }
    TRY(append(evidence, "attacks", o, err));
    for (size_t i = 0; i < json_array_size(t->examples); i++)
        TRY(append(evidence, "examples", json_incref(json_array_get(t->examples, i)), err));
    return figures(t, evidence, err);
}

int token_tally_caveats(json_t *evidence, struct err *err)
{
    static const char *const said[] = {
        "that an attack fails is no proof of robustness: it is one search within one budget, and a stronger one may succeed",
        "success is over what was right before; rates of attacks with other budgets, or over other items, cannot be compared",
        "gradients are of the weights as floats; what a variant does is asked of the model as it is",
        "nobody has looked at whether a changed text still means the same",
    };
    if (json_object_get(evidence, "caveats"))
        return 0;
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        TRY(append(evidence, "caveats", json_string(said[i]), err));
    return 0;
}
