/* trial_lm.c - token_trial.h of models that continue texts: choices of tasks, and targets. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "eval/token_tally.h"
#include "eval/token_trial.h"
#include "eval/token_victim.h"

/* ---- one item of a task ---- */

struct choice { const struct task *t; int64_t item; int acc; const struct request *q; int n_q, gold; struct token_text text; };

static int find_acc(const struct task *t)
{
    const struct task_metric *m;
    int n;
    task_metrics(t, &m, &n);
    for (int i = 0; i < n; i++)
        if (!strcmp(m[i].name, "acc"))
            return i;
    return -1;
}

static int is_wrong(void *user, const struct reply *replies, int n, bool *yes, struct err *err)
{
    const struct choice *c = user;
    const struct task_metric *m;
    int n_metric;
    task_metrics(c->t, &m, &n_metric);
    struct task_value *value = mem_alloc_array((size_t)n_metric, sizeof *value);
    if (!value)
        return ERR(err, NOMEM, "no memory for an item's values");
    const int rc = task_score(c->t, c->item, replies, n, value, err);
    *yes = !rc && value[c->acc].v < 0.5;
    mem_free(value);
    return rc == ERR_NOMEM ? rc : 0;
}

/* Bytes [*from, *to) of the context where the longest text of the document stands last; false: none does. */
static bool find_text(const json_t *doc, const char *context, size_t n, size_t *from, size_t *to)
{
    const char *key;
    json_t *v;
    size_t most = 0;
    json_object_foreach((json_t *)doc, key, v) {
        const size_t len = json_string_length(v);
        if (!json_is_string(v) || len <= most || len > n)
            continue;
        for (size_t at = n - len + 1; at-- > 0;)
            if (!memcmp(context + at, json_string_value(v), len)) {
                *from = at, *to = at + len, most = len;
                break;
            }
    }
    return most > 0;
}

/* Negative: it cannot be attacked, and why; ERR_NOMEM ends the run. */
static int choice_init(struct choice *c, const struct task *t, int64_t item, int acc, const struct tok *tok, struct err *err)
{
    size_t from = 0, to = 0;
    *c = (struct choice){ .t = t, .item = item, .acc = acc };
    TRY(c->n_q = task_requests(t, item, &c->q, err));
    c->gold = task_gold(t, item);
    const int n_choice = task_n_choice(t, item);
    if (n_choice < 2 || c->gold < 0 || c->gold >= n_choice)
        return ERR(err, UNSUPPORTED, "it is no choice with one right answer");
    c->n_q = c->n_q < n_choice ? c->n_q : n_choice;
    for (int i = 1; i < c->n_q; i++)
        if (c->q[i].n_context != c->q[0].n_context || memcmp(c->q[i].context, c->q[0].context, c->q[0].n_context))
            return ERR(err, UNSUPPORTED, "its choices stand behind different texts");
    if (!find_text(task_doc(t, item), c->q->context, c->q->n_context, &from, &to))
        return ERR(err, UNSUPPORTED, "no text of its document stands in the prompt as it is");
    return token_text_init(&c->text, tok, TOK_SPECIALS, c->q->context, c->q->n_context, from, to, err);
}

/* ---- what all need ---- */

struct lm { struct run *r; const struct token_trial *o; struct slopes *slopes; bool *allowed; int V, all, longest, texts; const char *what; int64_t done, n; };

static bool goes_on(void *user)
{
    const struct lm *m = user;
    return !m->o->goes_on || m->o->goes_on(m->o->ctx, m->what, m->done, m->n);
}

static bool alike(void *user, int32_t from, int32_t to)
{
    const struct lm *m = user;
    return m->o->similarity <= 0 || slopes_cosine(m->slopes, from, to) >= m->o->similarity;
}

/* Opens what an attack needs, with room for the largest item that was seen. */
static int lm_open(struct lm *m, struct err *err)
{
    enum { MORE = 8 };                   /* a variant's continuation may have other tokens */
    const struct slopes_opts so = { .tokens = m->all + MORE * m->texts, .texts = m->texts, .rope_scaling = m->o->rope_scaling };
    const int most = run_encoder(m->r)->max_length;
    m->V = run_encoder(m->r)->config->vocab_size;
    m->allowed = mem_alloc_array((size_t)m->V, sizeof *m->allowed);
    if (!m->allowed)
        return ERR(err, NOMEM, "no memory for a vocabulary");
    token_text_allowed(run_encoder(m->r)->tok, m->V, m->allowed);
    run_again(m->r, m->longest + MORE < most ? m->longest + MORE : most);
    return slopes_new(&m->slopes, m->o->model, &so, m->o->pool, err);
}

static void lm_close(struct lm *m)
{
    slopes_free(m->slopes);
    mem_free(m->allowed);
}

/* Room for one more item. */
static int lm_measure(struct lm *m, struct lm_victim *v, struct err *err)
{
    int all, longest;
    int rc = lm_victim_init(v, err);
    if (!rc)
        rc = lm_victim_tokens(v, &all, &longest, err);
    if (!rc && longest > run_encoder(m->r)->max_length)
        rc = ERR(err, RANGE, "%d tokens, and the model may look at %d", longest, run_encoder(m->r)->max_length);
    lm_victim_release(v);
    if (rc < 0)
        return rc;
    m->all = all > m->all ? all : m->all, m->longest = longest > m->longest ? longest : m->longest;
    m->texts = v->n_q > m->texts ? v->n_q : m->texts;
    return 0;
}

typedef int attack(const struct token_victim *v, const struct token_search *o, int32_t *ids, int n, const int *place, int n_place, struct token_found *out,
                   struct err *err);

/* Attacks one item and counts what came of it. */
static int lm_attack(struct lm *m, struct lm_victim *v, attack *search, const struct token_search *how, struct token_tally *tally, int64_t item,
                     struct err *err)
{
    struct token_found found = { 0 };
    struct token_text *x = v->text;
    const char *text;
    size_t n;
    char *before = NULL;
    int all, longest;
    int32_t *ids = mem_alloc_array(x->ids.n, sizeof *ids);
    int rc = lm_victim_init(v, err);
    v->victim.allowed = m->allowed;
    if (!rc)
        rc = lm_victim_tokens(v, &all, &longest, err);
    if (!rc && longest > run_encoder(m->r)->max_length)
        rc = ERR(err, RANGE, "it is longer than the model may look at");
    if (!rc)
        rc = token_text_write(x, x->ids.id, &text, &n, err);
    if (!rc)
        before = mem_printf("%.*s", (int)n, text);
    if (!rc && (!ids || !before))
        rc = ERR(err, NOMEM, "no memory for an item of %zu tokens", x->ids.n);
    if (!rc) {
        memcpy(ids, x->ids.id, x->ids.n * sizeof *ids);
        rc = search(&v->victim, how, ids, (int)x->ids.n, x->place, x->n_place, &found, err);
    }
    if (!rc)
        rc = token_text_write(x, ids, &text, &n, err);
    if (!rc)
        rc = token_tally_add(tally, item, &found, &(struct token_texts){ before, text, strlen(before), n }, err);
    else if (rc == ERR_STOPPED && found.n_step && token_text_write(x, ids, &text, &n, NULL) >= 0)
        (void)token_tally_stopped(tally, item, &found, &(struct token_texts){ before, text, strlen(before), n }, NULL);
    lm_victim_release(v);
    mem_free(before);
    mem_free(ids);
    return rc;
}

/* ---- tasks ---- */

static struct lm_victim choice_victim(const struct lm *m, struct choice *c)
{
    return (struct lm_victim){ .run = m->r, .pool = m->o->pool, .slopes = m->slopes, .q = c->q, .n_q = c->n_q, .gold = c->gold, .fooled = is_wrong,
                               .user = c, .text = &c->text };
}

/* The first look at each item: how much room they need. */
static int measure_tasks(struct lm *m, const struct task_list *l, struct err *err)
{
    for (int k = 0; k < l->n_task; k++) {
        const int acc = find_acc(l->task[k]);
        if (acc < 0)
            return ERR(err, UNSUPPORTED, "%s has no metric acc, expected multiple-choice tasks to attack", task_name(l->task[k]));
        for (int64_t i = 0; i < task_n_item(l->task[k]); i++) {
            struct choice c;
            struct err own = { 0 };
            int rc = choice_init(&c, l->task[k], i, acc, run_encoder(m->r)->tok, &own);
            if (!rc) {
                struct lm_victim v = choice_victim(m, &c);
                rc = lm_measure(m, &v, &own);
            }
            token_text_release(&c.text);
            if (rc == ERR_NOMEM)
                return ERR(err, NOMEM, "%s", own.msg);
        }
    }
    return 0;
}

static int attack_task(struct lm *m, const struct task *t, struct token_tally *tally, struct err *err)
{
    const struct token_search how = { .steps = m->o->flips, .batch = m->o->batch, .may_become = alike, .goes_on = goes_on, .ctx = m };
    const int acc = find_acc(t);
    m->what = task_name(t), m->n = task_n_item(t);
    for (m->done = 0; m->done < m->n; m->done++) {
        struct choice c;
        struct err own = { 0 };
        int rc = goes_on(m) ? choice_init(&c, t, m->done, acc, run_encoder(m->r)->tok, &own) : ERR(&own, STOPPED, "stopped");
        if (rc == ERR_STOPPED)
            c = (struct choice){ 0 };
        if (!rc) {
            struct lm_victim v = choice_victim(m, &c);
            rc = lm_attack(m, &v, hotflip, &how, tally, m->done, &own);
        }
        token_text_release(&c.text);
        TRY(token_tally_failed(tally, m->done, rc, &own, err));
    }
    return 0;
}

static json_t *flip_budget(const struct token_trial *o)
{
    return json_pack("{s:i, s:i, s:f}", "tokens", o->flips, "variants_per_step", o->batch, "similarity", o->similarity);
}

int token_trial_tasks(json_t *evidence, struct run *r, const struct task_list *l, const struct token_trial *o, struct err *err)
{
    struct lm m = { .r = r, .o = o };
    int rc = measure_tasks(&m, l, err);
    if (!rc && !m.texts)
        rc = ERR(err, UNSUPPORTED, "no item of these tasks can be attacked: expected choices behind a text of the document");
    if (!rc)
        rc = lm_open(&m, err);
    for (int k = 0; k < l->n_task && !rc; k++) {
        struct token_tally tally;
        rc = token_tally_init(&tally, "hotflip", task_name(l->task[k]), "accuracy", err);
        if (!rc)
            rc = attack_task(&m, l->task[k], &tally, err);
        struct err own = { 0 };
        const int told = rc && rc != ERR_STOPPED ? 0 : token_tally_end(&tally, evidence, flip_budget(o), m.n, &own);
        if (told < 0 && !rc) {
            *err = own;
            rc = told;
        }
        token_tally_release(&tally);
    }
    lm_close(&m);
    return rc;
}

/* ---- targets ---- */

struct targets { const struct chat *chat; const char *system; const struct prompts *p; int64_t n; };
struct target { char *context; size_t n, from; struct request q; struct token_text text; char *continuation; };

static void target_release(struct target *t)
{
    mem_free(t->context);
    mem_free(t->continuation);
    token_text_release(&t->text);
}

static int put_message(json_t *messages, const char *role, const char *text, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s}", "role", role, "content", text);
    return !o || json_array_append_new(messages, o) ? ERR(err, NOMEM, "no memory for a message") : 0;
}

/* What the model is given, by its chat template or as it is; *from: where `text`, a part of it, begins. */
static int context_of(struct target *t, const struct chat *chat, const char *system, const char *text, struct err *err)
{
    struct jinja_text out;
    if (!chat) {
        t->context = mem_strdup(text), t->n = strlen(text), t->from = 0;
        return t->context ? 0 : ERR(err, NOMEM, "no memory for a prompt");
    }
    json_t *messages = json_array();
    jinja_text_init(&out);
    int rc = messages ? 0 : ERR(err, NOMEM, "no memory for messages");
    if (!rc && system)
        rc = put_message(messages, "system", system, err);
    if (!rc)
        rc = put_message(messages, "user", text, err);
    if (!rc)
        rc = chat_render(chat, &(struct chat_request){ .messages = messages }, &out, err);
    const char *at = rc ? NULL : strstr(out.text.data, text);
    if (!rc && !at)
        rc = ERR(err, FORMAT, "the chat template does not write the prompt as it is");
    if (!rc) {
        t->context = mem_strdup(out.text.data), t->n = out.text.len, t->from = (size_t)(at - out.text.data);
        rc = t->context && strlen(t->context) == t->n ? 0 : ERR(err, NOMEM, "no memory for a prompt");
    }
    jinja_text_release(&out);
    json_decref(messages);
    return rc;
}

/* The prompt with " ! ! !" behind it, of which the first `suffix` tokens may change. */
static int target_init(struct target *t, const struct targets *x, int64_t item, int suffix, const struct tok *tok, struct err *err)
{
    const struct prompt *p = &x->p->p[item];
    const struct chat *chat = x->chat;
    const char *filler = token_text_filler(tok);
    struct buf b;
    *t = (struct target){ 0 };
    if (!p->target)
        return ERR(err, FORMAT, "%s:%lld: found no \"target\" beside the prompt", x->p->name, (long long)p->line);
    if (!filler)
        return ERR(err, UNSUPPORTED, "the tokenizer has no token that a suffix could begin from");
    buf_init(&b);
    int rc = buf_add_str(&b, p->prompt, err);
    for (int i = 0; i < suffix && !rc; i++)
        rc = buf_add_str(&b, filler, err);
    if (!rc)
        rc = context_of(t, chat, p->system ? p->system : x->system, b.data, err);
    const size_t from = t->from + strlen(p->prompt), to = t->from + b.len;
    buf_release(&b);
    TRY(rc);
    /* behind a template's opening of an answer the target stands at once, else behind a space */
    t->continuation = mem_printf("%s%s", chat || *p->target == ' ' ? "" : " ", p->target);
    if (!t->continuation)
        return ERR(err, NOMEM, "no memory for a target");
    t->q = (struct request){ .kind = REQUEST_LOGLIKELIHOOD, .context = t->context, .n_context = t->n, .continuation = t->continuation,
                             .n_continuation = strlen(t->continuation), .as_is = true };
    TRY(token_text_init(&t->text, tok, TOK_SPECIALS, t->context, t->n, from, to, err));
    t->text.n_place = t->text.n_place < suffix ? t->text.n_place : suffix;
    return 0;
}

static struct lm_victim target_victim(const struct lm *m, struct target *t)
{
    return (struct lm_victim){ .run = m->r, .pool = m->o->pool, .slopes = m->slopes, .q = &t->q, .n_q = 1, .gold = -1, .text = &t->text };
}

static int measure_targets(struct lm *m, const struct targets *x, struct err *err)
{
    for (int64_t i = 0; i < x->n; i++) {
        struct target t;
        struct err own = { 0 };
        int rc = target_init(&t, x, i, m->o->suffix, run_encoder(m->r)->tok, &own);
        if (!rc) {
            struct lm_victim v = target_victim(m, &t);
            rc = lm_measure(m, &v, &own);
        }
        target_release(&t);
        if (rc == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", own.msg);
        if (rc < 0 && !m->texts && i + 1 == x->n)
            return ERR(err, UNSUPPORTED, "no prompt can be attacked; the last one: %.300s", own.msg);
    }
    return 0;
}

static int attack_targets(struct lm *m, const struct targets *x, struct token_tally *tally, struct err *err)
{
    struct token_search how = { .steps = m->o->steps, .batch = m->o->batch, .top_k = m->o->top_k, .goes_on = goes_on, .ctx = m };
    m->what = "gcg", m->n = x->n;
    for (m->done = 0; m->done < m->n; m->done++) {
        struct target t = { 0 };
        struct err own = { 0 };
        how.seed = m->o->seed + (uint64_t)m->done;
        int rc = goes_on(m) ? 0 : ERR(&own, STOPPED, "stopped");
        if (!rc)
            rc = target_init(&t, x, m->done, m->o->suffix, run_encoder(m->r)->tok, &own);
        if (!rc) {
            struct lm_victim v = target_victim(m, &t);
            rc = lm_attack(m, &v, gcg, &how, tally, m->done, &own);
        }
        target_release(&t);
        TRY(token_tally_failed(tally, m->done, rc, &own, err));
    }
    return 0;
}

int token_trial_targets(json_t *evidence, struct run *r, const struct chat *chat, const char *system, const struct prompts *p, const struct token_trial *o,
                        struct err *err)
{
    struct lm m = { .r = r, .o = o };
    const struct targets x = { chat, system, p, o->limit && o->limit < p->n ? o->limit : p->n };
    struct token_tally tally;
    int rc = token_tally_init(&tally, "gcg", "targets", NULL, err);
    if (!rc)
        rc = measure_targets(&m, &x, err);
    if (!rc)
        rc = lm_open(&m, err);
    if (!rc)
        rc = attack_targets(&m, &x, &tally, err);
    if (!rc || rc == ERR_STOPPED) {
        struct err own = { 0 };
        const int told = token_tally_end(&tally, evidence, json_pack("{s:i, s:i, s:i, s:i}", "suffix_tokens", o->suffix, "steps", o->steps,
                                                                     "variants_per_step", o->batch, "top_k", o->top_k), x.n, &own);
        if (told < 0 && !rc) {
            *err = own;
            rc = told;
        }
    }
    token_tally_release(&tally);
    lm_close(&m);
    return rc;
}
