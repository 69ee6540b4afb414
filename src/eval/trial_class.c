/* trial_class.c - token_trial.h of models with classes: flips, and triggers. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/evidence.h"
#include "eval/interval.h"
#include "eval/token_tally.h"
#include "eval/token_trial.h"
#include "eval/token_victim.h"

/* ---- what both need ---- */

struct trial {
    const struct token_trial *o;
    const struct labelled *l; int64_t n;
    struct slopes *slopes; struct tok *tok;
    struct class_victim probe;           /* asks for texts as they are */
    struct token_text none;              /* its text: the tokenizer alone is looked at */
    bool *allowed;
    const char *what; int64_t done, all;
};

static bool goes_on(void *user)
{
    const struct trial *t = user;
    return !t->o->goes_on || t->o->goes_on(t->o->ctx, t->what, t->done, t->all);
}

static bool alike(void *user, int32_t from, int32_t to)
{
    const struct trial *t = user;
    return t->o->similarity <= 0 || slopes_cosine(t->slopes, from, to) >= t->o->similarity;
}

/* Tokens of the longest text, with what the tokenizer puts around it; those that are too long for the model are unfit later. */
static int longest(const struct trial *t, int ctx, int *out, struct err *err)
{
    struct tok_ids ids = { 0 };
    int rc = 0;
    *out = 1;
    for (int64_t i = 0; i < t->n && !rc; i++) {
        size_t n;
        const char *text = labelled_text(t->l, i, &n);
        ids.n = 0;
        rc = tok_encode(t->tok, text, n, TOK_ADD, &ids, err);
        if (!rc && (int)ids.n > *out && ids.n <= (size_t)ctx)
            *out = (int)ids.n;
    }
    tok_ids_release(&ids);
    return rc;
}

/* Texts of a call: so many tokens that a step is worth its while. */
enum { TEXTS = 64, TOKENS = 1024 };

static int trial_open(struct trial *t, int more, struct err *err)
{
    struct model m;
    int most = 0;
    TRY(model_open(&m, t->o->model, NULL, err));
    int rc = m.config.n_label ? tok_load(&t->tok, model_tok_path(&m, t->o->model), err) :
                                ERR(err, UNSUPPORTED, "%s has no classes, expected a classifier of texts", t->o->model);
    if (!rc)
        rc = longest(t, m.config.ctx, &most, err);
    most = most + more < m.config.ctx ? most + more : m.config.ctx;
    const int tokens = most > TOKENS ? most : TOKENS, V = m.config.vocab_size;
    model_release(&m);
    TRY(rc);
    TRY(slopes_new(&t->slopes, t->o->model, &(struct slopes_opts){ .tokens = tokens, .texts = TEXTS, .rope_scaling = t->o->rope_scaling }, t->o->pool, err));
    t->allowed = mem_alloc_array((size_t)V, sizeof *t->allowed);
    if (!t->allowed)
        return ERR(err, NOMEM, "no memory for a vocabulary");
    token_text_allowed(t->tok, V, t->allowed);
    t->none.tok = t->tok;
    t->probe = (struct class_victim){ .slopes = t->slopes, .text = &t->none, .tokens = tokens, .texts = TEXTS };
    return class_victim_init(&t->probe, err);
}

static void trial_close(struct trial *t)
{
    class_victim_release(&t->probe);
    slopes_free(t->slopes);
    tok_free(t->tok);
    mem_free(t->allowed);
}

/* ---- flips ---- */

static int flip_one(struct trial *t, int64_t item, const struct token_search *how, struct token_tally *tally, struct err *err)
{
    size_t n, n_after;
    const char *text = labelled_text(t->l, item, &n), *after;
    struct token_text x;
    struct token_found found;
    struct class_victim v = t->probe;        /* its memory is the probe's */
    int rc = token_text_init(&x, t->tok, TOK_PLAIN, text, n, 0, SIZE_MAX, err);
    int32_t *ids = rc ? NULL : mem_alloc_array(x.ids.n, sizeof *ids);
    if (!rc && !ids)
        rc = ERR(err, NOMEM, "no memory for an item of %zu tokens", x.ids.n);
    v.text = &x, v.label = t->l->label[item], v.victim.ctx = &v, v.victim.allowed = t->allowed;
    if (!rc) {
        memcpy(ids, x.ids.id, x.ids.n * sizeof *ids);
        rc = hotflip(&v.victim, how, ids, (int)x.ids.n, x.place, x.n_place, &found, err);
    }
    if (!rc)
        rc = token_text_write(&x, ids, &after, &n_after, err);
    if (!rc)
        rc = token_tally_add(tally, item, &found, &(struct token_texts){ text, after, n, n_after }, err);
    t->probe.ids = v.ids;
    mem_free(ids);
    token_text_release(&x);
    return rc;
}

static int flip_all(struct trial *t, struct token_tally *tally, struct err *err)
{
    const struct token_search how = { .steps = t->o->flips, .batch = t->o->batch, .may_become = alike, .goes_on = goes_on, .ctx = t };
    t->what = "hotflip", t->all = t->n;
    for (t->done = 0; t->done < t->n; t->done++) {
        struct err own = { 0 };
        const int rc = goes_on(t) ? flip_one(t, t->done, &how, tally, &own) : ERR(&own, STOPPED, "stopped");
        TRY(token_tally_failed(tally, t->done, rc, &own, err));
    }
    return 0;
}

static struct trial trial_of(const struct labelled *l, const struct token_trial *o)
{
    return (struct trial){ .o = o, .l = l, .n = o->limit && o->limit < l->n ? o->limit : l->n };
}

int token_trial_flips(json_t *evidence, const struct labelled *texts, const struct token_trial *o, struct err *err)
{
    struct trial t = trial_of(texts, o);
    struct token_tally tally;
    int rc = token_tally_init(&tally, "hotflip", "texts", "accuracy", err);
    if (!rc)
        rc = trial_open(&t, 0, err);
    if (!rc)
        rc = flip_all(&t, &tally, err);
    if (!rc || rc == ERR_STOPPED) {
        struct err own = { 0 };
        const int told = token_tally_end(&tally, evidence, json_pack("{s:i, s:i, s:f}", "tokens", o->flips, "variants_per_step", o->batch, "similarity",
                                                                     o->similarity), t.n, &own);
        if (told < 0 && !rc) {
            *err = own;
            rc = told;
        }
    }
    trial_close(&t);
    token_tally_release(&tally);
    return rc;
}

/* ---- triggers ---- */

/* Texts that one search is over, at most: as many again, and all others, are what it is measured on. */
enum { SEARCHED = 32 };

struct items { struct class_item *item; int64_t n; };

/* Texts of other classes than `target`, rightly answered, in an order that the seed gives. */
static int other_items(struct trial *t, int target, const unsigned char *right, struct items *out, struct err *err)
{
    const uint64_t key = rng_key(t->o->seed, "trigger texts");
    out->item = mem_alloc_array((size_t)t->n, sizeof *out->item), out->n = 0;
    if (!out->item)
        return ERR(err, NOMEM, "no memory for %lld texts", (long long)t->n);
    for (int64_t k = 0; k < t->n; k++) {
        const int64_t i = (int64_t)rng_permute(key, (uint64_t)k, (uint64_t)t->n);
        if (t->l->label[i] != target && right[i])
            out->item[out->n].text = labelled_text(t->l, i, &out->item[out->n].n), out->n++;
    }
    return 0;
}

/* right[i]: is text i answered rightly as it is? */
static int find_right(struct trial *t, unsigned char *right, struct err *err)
{
    const int L = slopes_config(t->slopes)->n_label;
    double *probs = mem_alloc_array((size_t)L, sizeof *probs);
    int rc = probs ? 0 : ERR(err, NOMEM, "no memory for %d classes", L);
    t->what = "answers", t->all = t->n;
    for (t->done = 0; t->done < t->n && !rc; t->done++) {
        size_t n;
        const char *text = labelled_text(t->l, t->done, &n);
        int best = 0;
        rc = goes_on(t) ? class_victim_probs(&t->probe, text, n, probs, err) : ERR(err, STOPPED, "stopped before a search");
        for (int k = 0; !rc && k < L; k++)
            best = probs[k] > probs[best] ? k : best;
        right[t->done] = !rc && best == t->l->label[t->done];
        rc = rc == ERR_RANGE ? 0 : rc;       /* too long: as if it were wrong */
    }
    mem_free(probs);
    return rc;
}

/* How many of the items are taken for the target with the text in front. */
static int measure(struct class_victim *v, const char *trigger, size_t n_trigger, const struct class_item *item, int64_t n, int64_t *fooled, int64_t *asked,
                   struct err *err)
{
    const int L = slopes_config(v->slopes)->n_label;
    double *probs = mem_alloc_array((size_t)L, sizeof *probs);
    struct buf b;
    int rc = probs ? 0 : ERR(err, NOMEM, "no memory for %d classes", L);
    buf_init(&b);
    *fooled = *asked = 0;
    for (int64_t i = 0; i < n && !rc; i++) {
        buf_clear(&b);
        rc = buf_add(&b, trigger, n_trigger, err);
        if (!rc)
            rc = buf_add_char(&b, ' ', err);
        if (!rc)
            rc = buf_add(&b, item[i].text, item[i].n, err);
        if (!rc)
            rc = class_victim_probs(v, b.data, b.len, probs, err);
        int best = 0;
        for (int k = 0; !rc && k < L; k++)
            best = probs[k] > probs[best] ? k : best;
        *asked += !rc, *fooled += !rc && best == v->target;
        rc = rc == ERR_RANGE ? 0 : rc;
    }
    buf_release(&b);
    mem_free(probs);
    return rc;
}

/* Random tokens of the trigger's number, several times: what any text in front does.  On some of the texts, as they all get it. */
enum { CONTROLS = 16, CONTROL_TEXTS = 200 };

/* Random tokens that may be: ids[n]; false: the vocabulary has none. */
static bool draw(const struct trial *t, int V, uint64_t key, uint64_t *at, int32_t *ids, size_t n)
{
    int n_allowed = 0;
    for (int w = 0; w < V; w++)
        n_allowed += t->allowed[w];
    for (size_t i = 0; n_allowed && i < n; i++) {
        int64_t left = (int64_t)rng_below(key, (*at)++, (uint64_t)n_allowed);
        int w = 0;
        while (!t->allowed[w] || left--)
            w++;
        ids[i] = w;
    }
    return n_allowed > 0;
}

/* rate[CONTROLS]: the share of the texts that each draw makes the target. */
static int control(struct trial *t, struct class_victim *v, const struct items *held, double *rate, struct err *err)
{
    struct token_text *x = v->text;
    const uint64_t key = rng_key(t->o->seed, "trigger control");
    const int64_t most = held->n < CONTROL_TEXTS ? held->n : CONTROL_TEXTS;
    int32_t *ids = mem_alloc_array(x->ids.n, sizeof *ids);
    int rc = ids ? 0 : ERR(err, NOMEM, "no memory for a trigger");
    uint64_t at = 0;
    for (int c = 0; c < CONTROLS && !rc; c++) {
        const char *text;
        size_t n;
        int64_t fooled = 0, asked = 0;
        if (!draw(t, v->victim.V, key, &at, ids, x->ids.n))
            rc = ERR(err, UNSUPPORTED, "no token of the vocabulary is printable ASCII");
        if (!rc)
            rc = token_text_write(x, ids, &text, &n, err);
        char *copy = rc ? NULL : mem_printf("%.*s", (int)n, text);
        if (!rc)
            rc = copy ? measure(v, copy, n, held->item, most, &fooled, &asked, err) : ERR(err, NOMEM, "no memory for a trigger");
        mem_free(copy);
        rate[c] = asked ? (double)fooled / (double)asked : 0;
    }
    mem_free(ids);
    return rc;
}

/* The mean over draws, which is what was drawn. */
static int put_control(json_t *o, json_t *evidence, const char *of, const double *rate, struct err *err)
{
    struct interval_mean m;
    TRY(interval_mean(rate, NULL, NULL, CONTROLS, 0.95, &m, err));
    const double low = m.ci[0] > 0 ? m.ci[0] : 0, high = m.ci[1] < 1 ? m.ci[1] : 1;
    if (json_object_set_new(o, "random_tokens_rate", json_pack("{s:i, s:f, s:f, s:f}", "draws", CONTROLS, "rate", m.mean, "low", low, "high", high)))
        return ERR(err, NOMEM, "no memory for a trigger");
    return evidence_figure(evidence, &(struct evidence_figure){ "random_tokens_rate", of, m.mean, low, high, CONTROLS, EVIDENCE_NEITHER,
                           "the same of random tokens of that number, the mean over so many draws" }, err);
}

static int put_rate(json_t *o, json_t *evidence, const char *key, const char *of, int64_t k, int64_t n, const char *what, struct err *err)
{
    double ci[2];
    TRY(interval_wilson(k, n, 0.95, ci, err));
    if (json_object_set_new(o, key, json_pack("{s:I, s:I, s:o, s:o, s:o}", "fooled", (json_int_t)k, "n", (json_int_t)n, "rate",
                                              tree_number(n ? (double)k / (double)n : NAN), "low",
                                              tree_number(ci[0]), "high", tree_number(ci[1]))))
        return ERR(err, NOMEM, "no memory for a trigger");
    return evidence_figure(evidence, &(struct evidence_figure){ key, of, n ? (double)k / (double)n : NAN, ci[0], ci[1], n, EVIDENCE_LOWER, what }, err);
}

static int add_trigger(json_t *evidence, json_t *o, struct err *err)
{
    json_t *list = json_object_get(evidence, "triggers");
    if (!list && o && !evidence_put(evidence, "triggers", json_array(), err))
        list = json_object_get(evidence, "triggers");
    if (!list || !o) {
        json_decref(o);
        return ERR(err, NOMEM, "no memory for a trigger");
    }
    return json_array_append_new(list, o) ? ERR(err, NOMEM, "no memory for a trigger") : 0;
}

static int tell(json_t *evidence, const char *class, const struct token_found *f, const char *text, size_t n, const int64_t found[2],
                const double *random, int n_searched, int n_token, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s%, s:i, s:i, s:i, s:I, s:I}", "target", class, "trigger", text, n, "tokens", n_token, "searched_texts", n_searched,
                          "steps", f->n_step, "queries",
                          (json_int_t)f->n_query, "gradients", (json_int_t)f->n_gradient);
    TRY(add_trigger(evidence, o, err));
    char *of = mem_printf("%d tokens to %s", n_token, class);
    int rc = of ? put_rate(o, evidence, "trigger_success_rate", of, found[0], found[1],
                           "other texts that the trigger makes this class, among those that it was not sought on", err)
           : ERR(err, NOMEM, "no memory for a trigger");
    rc = rc ? rc : put_control(o, evidence, of, random, err);
    mem_free(of);
    return rc;
}

/* What a search begins from: n tokens of " ! ! !". */
static int first_trigger(struct trial *t, struct token_text *x, int n, struct err *err)
{
    const char *filler = token_text_filler(t->tok);
    struct tok_ids ids = { 0 };
    struct buf b, text;
    buf_init(&b);
    buf_init(&text);
    int rc = filler ? 0 : ERR(err, UNSUPPORTED, "the tokenizer has no token that a trigger could begin from");
    for (int i = 0; i < n && !rc; i++)
        rc = buf_add_str(&b, i ? filler : filler + 1, err);
    if (!rc)
        rc = tok_encode(t->tok, b.data, b.len, TOK_PLAIN, &ids, err);
    if (!rc)
        rc = tok_decode(t->tok, ids.id, ids.n < (size_t)n ? ids.n : (size_t)n, &text, err);
    const size_t lead = text.len && text.data[0] == ' ';
    if (!rc)
        rc = token_text_init(x, t->tok, TOK_PLAIN, text.data + lead, text.len - lead, 0, SIZE_MAX, err);
    tok_ids_release(&ids);
    buf_release(&text);
    buf_release(&b);
    return rc;
}

static int one_class(json_t *evidence, struct trial *t, int target, const char *class, const unsigned char *right, struct err *err)
{
    struct items all = { 0 };
    struct token_text x = { 0 };
    struct token_found found = { 0 };
    struct class_victim v = t->probe;
    const struct token_search how = { .steps = t->o->steps, .batch = t->o->batch, .top_k = t->o->top_k, .seed = t->o->seed + (uint64_t)target,
                                      .goes_on = goes_on, .ctx = t };
    int64_t fooled[2];
    double random[CONTROLS];
    const char *text;
    size_t n;
    char *copy = NULL;
    int rc = other_items(t, target, right, &all, err);
    if (!rc && all.n < 4)
        rc = ERR(err, RANGE, "class %s: only %lld texts of other classes are answered rightly, expected at least 4", class, (long long)all.n);
    const char *given = t->o->trigger;
    const int n_searched = given ? 0 : all.n / 2 < SEARCHED ? (int)(all.n / 2) : SEARCHED;
    if (!rc)
        rc = given ? token_text_init(&x, t->tok, TOK_PLAIN, given, strlen(given), 0, SIZE_MAX, err) : first_trigger(t, &x, t->o->suffix, err);
    v.text = &x, v.target = target, v.item = all.item, v.n_item = n_searched, v.victim.ctx = &v, v.victim.allowed = t->allowed;
    if (!rc && !given)
        rc = gcg(&v.victim, &how, x.ids.id, (int)x.ids.n, x.place, x.n_place, &found, err);
    const struct items held = { all.item ? all.item + n_searched : NULL, all.n - n_searched };
    if (!rc)
        rc = token_text_write(&x, x.ids.id, &text, &n, err);
    if (!rc && given)
        text = given, n = strlen(given);
    if (!rc && !(copy = mem_printf("%.*s", (int)n, text)))
        rc = ERR(err, NOMEM, "no memory for a trigger");
    if (!rc)
        rc = measure(&v, copy, n, held.item, held.n, &fooled[0], &fooled[1], err);
    if (!rc)
        rc = control(t, &v, &held, random, err);
    if (!rc)
        rc = tell(evidence, class, &found, copy, n, fooled, random, n_searched, (int)x.ids.n, err);
    t->probe.ids = v.ids;
    mem_free(copy);
    mem_free(all.item);
    token_text_release(&x);
    return rc;
}

/* A class that none can be sought for is told, and stops no other. */
static int class_or_why(json_t *evidence, struct trial *t, int target, const char *class, const unsigned char *right, struct err *err)
{
    struct err own = { 0 };
    const int rc = one_class(evidence, t, target, class, right, &own);
    if (rc == ERR_RANGE || rc == ERR_UNSUPPORTED || rc == ERR_FORMAT)
        return add_trigger(evidence, json_pack("{s:s, s:s}", "target", class, "skipped", own.msg), err);
    if (rc < 0 && err)
        *err = own;
    return rc;
}

int token_trial_triggers(json_t *evidence, const struct labelled *texts, const struct labels *names, const struct token_trial *o, struct err *err)
{
    struct trial t = trial_of(texts, o);
    int rc = trial_open(&t, o->suffix + 8, err);
    unsigned char *right = rc ? NULL : mem_alloc_array((size_t)t.n, sizeof *right);
    if (!rc)
        rc = right ? find_right(&t, right, err) : ERR(err, NOMEM, "no memory for %lld texts", (long long)t.n);
    t.what = "triggers, classes", t.all = names->n;
    for (t.done = 0; t.done < names->n && !rc; t.done++)
        rc = class_or_why(evidence, &t, (int)t.done, names->name[t.done], right, err);
    mem_free(right);
    trial_close(&t);
    return rc;
}
