#include "eval/evaluate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/opt.h"

#define TAG_BITS 40

/* ---- --gen-kwargs ---- */

static int number(const char *name, const char *text, size_t n, double min, double max, double *out, struct err *err)
{
    char copy[64], *end;
    snprintf(copy, sizeof copy, "%.*s", (int)(n < 63 ? n : 63), text);
    *out = strtod(copy, &end);
    if (end == copy || *end || !(*out >= min && *out <= max))
        return ERR(err, USAGE, "%s: found '%s', expected a number from %g to %g", name, copy, min, max);
    return 0;
}

static int set_generation(struct eval_generation *g, const char *key, size_t n_key, const char *text, size_t n, struct err *err)
{
    double x = 0;
    switch (word_index(key, n_key, "temperature|top_p|top_k|max_gen_toks|do_sample")) {
    case 0:
        TRY(number("temperature", text, n, 0, 100, &g->temperature, err));
        g->has_temperature = true;
        return 0;
    case 1:
        TRY(number("top_p", text, n, 0, 1, &g->top_p, err));
        g->has_top_p = true;
        return 0;
    case 2:
        TRY(number("top_k", text, n, 0, 1e9, &x, err));
        g->has_top_k = true, g->top_k = (int)x;
        return 0;
    case 3:
        TRY(number("max_gen_toks", text, n, 1, 1e9, &x, err));
        g->has_max_tokens = true, g->max_tokens = (int)x;
        return 0;
    case 4:
        switch (word_index(text, n, "true|True|false|False")) {
        case 0:
        case 1:
            g->has_sample = g->sample = true;
            return 0;
        case 2:
        case 3:
            g->has_sample = true, g->sample = false;
            return 0;
        default:
            return ERR(err, USAGE, "do_sample: found '%.*s', expected true or false", (int)n, text);
        }
    default:
        return ERR(err, USAGE, "'%.*s' is not read, expected temperature, top_p, top_k, max_gen_toks or do_sample", (int)n_key, key);
    }
}

int eval_generation_read(struct eval_generation *g, const char *text, struct err *err)
{
    *g = (struct eval_generation){ 0 };
    for (const char *p = text; *p; p += *p == ',') {
        const size_t n = strcspn(p, ","), n_key = strcspn(p, "=,");
        if (n_key == n)
            return ERR(err, USAGE, "found '%.*s', expected KEY=VALUE", (int)n, p);
        TRY(set_generation(g, p, n_key, p + n_key + 1, n - n_key - 1, err));
        p += n;
    }
    return 0;
}

static bool changes(const struct eval_generation *g) { return g->has_max_tokens || g->has_temperature || g->has_top_p || g->has_top_k || g->has_sample; }

/* A task's own with the changes, made once. */
static int changed(struct evaluation *e, const struct request_generation *of, const struct request_generation **out, struct err *err)
{
    const struct eval_generation *g = &e->generation;
    for (int i = 0; i < e->n_own; i++)
        if (e->own_of[i] == of) {
            *out = e->own[i];
            return 0;
        }
    const size_t n = (size_t)e->n_own + 1;
    struct request_generation **own = mem_realloc_array(e->own, n, sizeof *own);
    e->own = own ? own : e->own;
    const struct request_generation **own_of = mem_realloc_array(e->own_of, n, sizeof *own_of);
    e->own_of = own_of ? own_of : e->own_of;
    struct request_generation *x = own && own_of ? mem_alloc(sizeof *x) : NULL;
    if (!x)
        return ERR(err, NOMEM, "no memory for how texts are made");
    *x = *of;
    x->max_tokens = g->has_max_tokens ? g->max_tokens : x->max_tokens;
    x->temperature = g->has_temperature ? g->temperature : x->temperature;
    if (g->has_sample)                   /* as in a task's file: its word counts, and texts that are drawn need a temperature */
        x->temperature = !g->sample ? 0 : x->temperature > 0 ? x->temperature : 1;
    x->top_p = g->has_top_p ? g->top_p : x->top_p;
    x->top_k = g->has_top_k ? g->top_k : x->top_k;
    e->own_of[e->n_own] = of;
    *out = e->own[e->n_own++] = x;
    return 0;
}

/* ---- items ---- */

int evaluation_init(struct evaluation *e, const struct task_list *l, struct err *err)
{
    *e = (struct evaluation){ .task = mem_alloc_array((size_t)l->n_task, sizeof *e->task) };
    if (!e->task)
        return ERR(err, NOMEM, "no memory for %d tasks", l->n_task);
    for (int i = 0; i < l->n_task; i++) {
        struct eval_task *x = &e->task[e->n_task++];
        x->t = l->task[i], x->n = task_n_item(x->t);
        task_metrics(x->t, &x->metric, &x->n_metric);
        x->item = mem_alloc_array((size_t)x->n, sizeof *x->item);
        x->value = mem_alloc_array((size_t)x->n * (size_t)x->n_metric, sizeof *x->value);
        if (!x->item || !x->value)
            return ERR(err, NOMEM, "no memory for %lld items", (long long)x->n);
        for (int64_t k = 0; k < x->n * x->n_metric; k++)
            x->value[k].v = NAN;
        x->counts.n_open = x->n;
    }
    return 0;
}

static void replies_free(struct reply *y, int n)
{
    for (int i = 0; y && i < n; i++) {
        mem_free(y[i].text);
        mem_free(y[i].error);
    }
    mem_free(y);
}

void evaluation_release(struct evaluation *e)
{
    for (int i = 0; i < e->n_task; i++) {
        struct eval_task *x = &e->task[i];
        for (int64_t k = 0; x->item && k < x->n; k++) {
            replies_free(x->item[k].reply, x->item[k].n_reply);
            mem_free(x->item[k].error);
        }
        mem_free(x->item);
        mem_free(x->value);
    }
    mem_free(e->task);
    for (int i = 0; i < e->n_own; i++)
        mem_free(e->own[i]);
    mem_free(e->own);
    mem_free(e->own_of);
    *e = (struct evaluation){ 0 };
}

int64_t evaluation_tag(int i_task, int64_t item) { return (int64_t)i_task << TAG_BITS | item; }

void evaluation_of_tag(int64_t tag, int *i_task, int64_t *item)
{
    *i_task = (int)(tag >> TAG_BITS);
    *item = tag & (((int64_t)1 << TAG_BITS) - 1);
}

int64_t evaluation_open(const struct evaluation *e)
{
    int64_t n = 0;
    for (int i = 0; i < e->n_task; i++)
        n += e->task[i].counts.n_open;
    return n;
}

/* ---- asking ---- */

int evaluation_requests(struct evaluation *e, int i_task, int64_t item, struct request **out, int *n, struct err *err)
{
    const struct request *q;
    const int k = task_requests(e->task[i_task].t, item, &q, err);
    *out = NULL, *n = 0;
    TRY(k);
    *out = mem_alloc_array((size_t)k, sizeof **out);
    if (!*out)
        return ERR(err, NOMEM, "no memory for %d requests", k);
    for (int i = 0; i < k; i++) {
        (*out)[i] = q[i];
        (*out)[i].index = i;
        const int rc = q[i].kind == REQUEST_GENERATE && changes(&e->generation) ? changed(e, q[i].generation, &(*out)[i].generation, err) : 0;
        if (rc < 0) {
            mem_free(*out);
            *out = NULL;
            return rc;
        }
    }
    *n = k;
    return 0;
}

static void add_text(struct sha256 *h, const char *text, size_t n)
{
    const uint64_t length = n;
    sha256_add(h, &length, sizeof length);
    sha256_add(h, text, n);
}

static void add_generation(struct sha256 *h, const struct request_generation *g)
{
    char text[200];
    const int n = snprintf(text, sizeof text, "%d %.17g %.17g %d", g->max_tokens, g->temperature, g->top_p, g->top_k);
    add_text(h, text, (size_t)n);
    for (int i = 0; i < g->n_until; i++)
        add_text(h, g->until[i], strlen(g->until[i]));
}

static int digest_item(struct evaluation *e, int i_task, int64_t item, struct sha256 *h, struct err *err)
{
    struct request *q;
    struct err own = { 0 };
    int n;
    const int rc = evaluation_requests(e, i_task, item, &q, &n, &own);
    if (rc == ERR_NOMEM)
        return ERR(err, NOMEM, "%s", own.msg);
    if (rc < 0)
        add_text(h, own.msg, strlen(own.msg));
    for (int i = 0; i < n; i++) {
        const unsigned char kind = (unsigned char)q[i].kind;
        sha256_add(h, &kind, 1);
        add_text(h, q[i].context, q[i].n_context);
        add_text(h, q[i].continuation, q[i].n_continuation);
        if (q[i].kind == REQUEST_GENERATE)
            add_generation(h, q[i].generation);
    }
    mem_free(q);
    return 0;
}

int evaluation_digest(struct evaluation *e, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 h;
    int rc = 0;
    TRY(sha256_init(&h, err));
    for (int i = 0; i < e->n_task && !rc; i++) {
        add_text(&h, task_name(e->task[i].t), strlen(task_name(e->task[i].t)));
        for (int64_t k = 0; k < e->task[i].n && !rc; k++)
            rc = digest_item(e, i, k, &h, err);
    }
    sha256_end(&h, hex);
    return rc;
}

static void close_item(struct eval_task *x, struct eval_item *it, enum eval_state state)
{
    it->state = state;
    x->counts.n_open--;
    *(state == EVAL_SCORED ? &x->counts.n_scored : &x->counts.n_failed) += 1;
}

static int fail(struct eval_task *x, int64_t item, const char *why, struct err *err)
{
    struct eval_item *it = &x->item[item];
    if (!(it->error = mem_strdup(why)))
        return ERR(err, NOMEM, "no memory for an error");
    close_item(x, it, EVAL_FAILED);
    return 0;
}

int evaluation_ask_item(struct evaluation *e, struct run *r, int i_task, int64_t item, struct err *err)
{
    struct request *q;
    struct err own = { 0 };
    int n;
    int rc = evaluation_requests(e, i_task, item, &q, &n, &own);
    if (rc == ERR_NOMEM)
        return ERR(err, NOMEM, "%s", own.msg);
    if (rc < 0 || !n)
        rc = fail(&e->task[i_task], item, rc < 0 ? own.msg : "the task asks nothing", err);
    else
        rc = run_add(r, evaluation_tag(i_task, item), q, n, err);
    mem_free(q);
    return rc;
}

int evaluation_ask(struct evaluation *e, struct run *r, struct err *err)
{
    for (int i = 0; i < e->n_task; i++)
        for (int64_t k = 0; k < e->task[i].n; k++)
            if (e->task[i].item[k].state == EVAL_OPEN)
                TRY(evaluation_ask_item(e, r, i, k, err));
    return 0;
}

/* ---- answers ---- */

static int copy_replies(struct eval_item *it, const struct reply *reply, int n, struct err *err)
{
    it->reply = mem_alloc_array((size_t)n, sizeof *it->reply);
    if (!it->reply)
        return ERR(err, NOMEM, "no memory for %d replies", n);
    it->n_reply = n;
    for (int i = 0; i < n; i++) {
        struct reply *y = &it->reply[i];
        *y = reply[i];
        y->text = y->error = NULL, y->token = NULL;      /* tasks ask for no tokens */
        if (reply[i].text && !(y->text = mem_alloc(reply[i].n_text + 1)))
            return ERR(err, NOMEM, "no memory for a text of %zu bytes", reply[i].n_text);
        if (reply[i].text)
            memcpy(y->text, reply[i].text, reply[i].n_text + 1);
        if (reply[i].error && !(y->error = mem_strdup(reply[i].error)))
            return ERR(err, NOMEM, "no memory for an error");
    }
    return 0;
}

static void count(struct eval_counts *c, const struct eval_item *it)
{
    bool cut = false, joined = false, unended = false;
    for (int i = 0; i < it->n_reply; i++) {
        cut = cut || it->reply[i].n_cut, c->n_cut_token += it->reply[i].n_cut;
        joined = joined || it->reply[i].joined, unended = unended || it->reply[i].unended;
    }
    c->n_cut += cut, c->n_joined += joined, c->n_unended += unended;
}

/* A value that is not a number does not count; the item has failed where the task says so, with what counts all the same. */
int evaluation_take(struct evaluation *e, int i_task, int64_t item, const struct reply *reply, int n, struct err *err)
{
    struct eval_task *x = &e->task[i_task];
    struct eval_item *it = &x->item[item];
    struct err own = { 0 };
    if (it->state != EVAL_OPEN)
        return 0;
    TRY(copy_replies(it, reply, n, err));
    for (int i = 0; i < n; i++)
        if (reply[i].error)
            return fail(x, item, reply[i].error, err);
    const int rc = e->predict_only ? 0 : task_score(x->t, item, it->reply, n, x->value + item * x->n_metric, &own);
    if (rc == ERR_NOMEM)
        return ERR(err, NOMEM, "%s", own.msg);
    count(&x->counts, it);
    if (rc < 0)
        return fail(x, item, own.msg, err);
    close_item(x, it, EVAL_SCORED);
    return 0;
}
