#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/results.h"
#include "model/jinja.h"

/* ---- as Python writes values: lm-evaluation-harness makes texts of replies ---- */

static json_t *python_number(double v)
{
    struct buf b;
    buf_init(&b);
    const int rc = buf_add_number(&b, v, NULL);
    json_t *s = rc < 0 ? NULL : json_string(b.data);
    buf_release(&b);
    return s;
}

static json_t *python_bool(bool b) { return json_string(b ? "True" : "False"); }

/* What Python's str() makes of a target: texts, numbers, True and False; of others their JSON. */
static json_t *target_text(const json_t *target)
{
    char n[40];
    if (json_is_string(target))
        return json_copy((json_t *)(uintptr_t)target);
    if (json_is_boolean(target))
        return python_bool(json_is_true(target));
    if (json_is_real(target)) {
        jinja_float(json_real_value(target), n);
        return json_string(n);
    }
    if (json_is_integer(target)) {
        snprintf(n, sizeof n, "%lld", (long long)json_integer_value(target));
        return json_string(n);
    }
    char *s = target ? tree_dumps(target, JSON_ENCODE_ANY) : mem_strdup("None");
    json_t *j = s ? json_string(s) : NULL;
    mem_free(s);
    return j;
}

/* What is NULL makes of the whole NULL. */
static void put(json_t **o, const char *key, json_t *v)
{
    if (!*o || json_object_set_new(*o, key, v)) {
        json_decref(*o ? NULL : v);
        json_decref(*o);
        *o = NULL;
    }
}

static void add(json_t **a, json_t *v)
{
    if (!*a || json_array_append_new(*a, v)) {
        json_decref(*a ? NULL : v);
        json_decref(*a);
        *a = NULL;
    }
}

static json_t *hash(const char *s, size_t n)
{
    char hex[SHA256_HEX];
    return sha256_of(s, n, hex, NULL) < 0 ? NULL : json_string(hex);
}

/* ---- an item ---- */

struct one { const struct eval_item *it; const struct request *q; int n; json_t *sample; };      /* sample: of task_sample */

static json_t *generation(const struct request_generation *g)
{
    json_t *until = json_array();
    for (int i = 0; i < g->n_until; i++)
        add(&until, json_string(g->until[i]));
    return json_pack("{s:o, s:i, s:b, s:f, s:f, s:i}", "until", until, "max_gen_toks", g->max_tokens, "do_sample", g->temperature > 0, "temperature",
                     g->temperature, "top_p",
                     g->top_p > 0 ? g->top_p : 1., "top_k", g->top_k);
}

/* Repeats of a text are one request. */
static int n_argument(const struct one *x) { return x->n && x->q[0].kind == REQUEST_GENERATE ? 1 : x->n; }

static json_t *arguments(const struct one *x)
{
    json_t *o = json_object();
    for (int i = 0; i < n_argument(x); i++) {
        const struct request *q = &x->q[i];
        char key[32];
        json_t *a = json_object();
        snprintf(key, sizeof key, "gen_args_%d", i);
        if (q->kind != REQUEST_ROLLING)
            put(&a, "arg_0", tree_text(q->context, q->n_context));
        if (q->kind == REQUEST_LOGLIKELIHOOD)
            put(&a, "arg_1", tree_text(q->continuation, q->n_continuation));
        if (q->kind == REQUEST_ROLLING)
            put(&a, "arg_0", tree_text(q->continuation, q->n_continuation));
        if (q->kind == REQUEST_GENERATE)
            put(&a, "arg_1", generation(q->generation));
        put(&o, key, a);
    }
    return o;
}

static json_t *reply_text(const struct request *q, const struct reply *y)
{
    if (y->error)
        return json_string("");
    if (q->kind == REQUEST_GENERATE)
        return tree_text(y->text, y->n_text);
    return q->kind == REQUEST_ROLLING ? python_number(y->loglik) : json_pack("[o, o]", python_number(y->loglik), python_bool(y->greedy));
}

static json_t *replies(const struct one *x)
{
    json_t *a = json_array();
    for (int i = 0; i < x->it->n_reply && i < x->n; i++) {
        json_t *r = reply_text(&x->q[i], &x->it->reply[i]);
        json_t *first = i && n_argument(x) < x->n ? json_array_get(a, 0) : NULL;
        if (!first)
            add(&a, json_pack("[o]", r));
        else if (json_array_append_new(first, r))
            add(&a, NULL);
    }
    return a;
}

static json_t *filtered(const struct one *x, const char *filter)
{
    json_t *of = json_object_get(json_object_get(x->sample, "filtered_resps"), filter);
    if (of)
        return json_pack("[O]", of);
    json_t *a = json_array();
    for (int i = 0; i < x->it->n_reply && i < x->n; i++)
        add(&a, reply_text(&x->q[i], &x->it->reply[i]));
    return a;
}

static void put_values(json_t **o, const struct results *r, const struct eval_task *t, int64_t item, const char *filter)
{
    json_t *names = json_array();
    for (int m = 0; m < t->n_metric && !r->e->predict_only; m++) {
        const struct task_metric *k = &t->metric[m];
        const struct task_value v = t->value[item * t->n_metric + m];
        const bool two = k->aggregate == TASK_WEIGHTED_PERPLEXITY || k->aggregate == TASK_BITS_PER_BYTE || k->aggregate == TASK_F1 || k->aggregate == TASK_MCC;
        if (k->own || strcmp(k->filter, filter) || isnan(v.v))
            continue;
        const bool bbq = k->aggregate == TASK_BBQ_AMBIG || k->aggregate == TASK_BBQ_DISAMBIG;      /* [right, biased, not unknown, disambiguated], as there */
        add(&names, json_string(k->name));
        put(o, k->name, bbq ? json_pack("[f, f, f, b]", (double)((int)v.w >> 1), v.v, (double)((int)v.w & 1), k->aggregate == TASK_BBQ_DISAMBIG) : two ? json_pack("[f, f]", v.v, v.w) : json_real(v.v));
    }
    put(o, "metrics", names);
}

static json_t *line_of(const struct results *r, const struct eval_task *t, int64_t item, const struct one *x, const char *filter)
{
    json_t *o = json_object(), *doc = json_object_get(x->sample, "doc"), *target = target_text(json_object_get(x->sample, "target"));
    char *doc_text = tree_dumps(doc, JSON_INDENT(2));
    const char *prompt = x->n ? x->q[0].kind == REQUEST_ROLLING ? x->q[0].continuation : x->q[0].context : "";
    const size_t n_prompt = x->n ? x->q[0].kind == REQUEST_ROLLING ? x->q[0].n_continuation : x->q[0].n_context : 0;
    json_t *target_hash = target ? hash(json_string_value(target), json_string_length(target)) : NULL;
    put(&o, "doc_id", json_integer(item));
    if (task_cluster(t->t, item) >= 0)   /* lathe's own: items of one depend on each other */
        put(&o, "cluster", json_integer(task_cluster(t->t, item)));
    put(&o, "doc", json_incref(doc));
    put(&o, "target", target);
    put(&o, "arguments", arguments(x));
    put(&o, "resps", replies(x));
    put(&o, "filtered_resps", filtered(x, filter));
    put(&o, "filter", json_string(filter));
    put_values(&o, r, t, item, filter);
    put(&o, "doc_hash", doc_text ? hash(doc_text, strlen(doc_text)) : NULL);
    put(&o, "prompt_hash", hash(prompt, n_prompt));
    put(&o, "target_hash", target_hash);
    if (x->it->error)
        put(&o, "error", json_string(x->it->error));
    mem_free(doc_text);
    return o;
}

static int write_line(const json_t *o, struct sha256 *all, int (*line)(void *ctx, const char *text, size_t n, struct err *err), void *ctx, struct err *err)
{
    static const char *const key[] = { "doc_hash", "prompt_hash", "target_hash" };
    char *s = tree_dumps(o, 0);
    int rc = s ? line(ctx, s, strlen(s), err) : ERR(err, NOMEM, "no memory for a sample");
    for (int i = 0; i < 3 && !rc; i++) {
        const json_t *h = json_object_get(o, key[i]);
        sha256_add(all, json_string_value(h), json_string_length(h));
    }
    mem_free(s);
    return rc;
}

static int sample(const struct results *r, struct evaluation *e, int i_task, int64_t item, const char *filter, struct sha256 *all,
                  int (*line)(void *ctx, const char *text, size_t n, struct err *err), void *ctx, struct err *err)
{
    const struct eval_task *t = &e->task[i_task];
    struct one x = { .it = &t->item[item] };
    struct request *q = NULL;
    struct err own = { 0 };
    if (x.it->state == EVAL_OPEN)
        return 0;
    int rc = evaluation_requests(e, i_task, item, &q, &x.n, &own);
    x.q = q;
    if (rc >= 0 && x.it->n_reply)
        rc = task_sample(t->t, item, x.it->reply, x.it->n_reply, &x.sample, &own);
    if (rc == ERR_NOMEM) {
        mem_free(q);
        return ERR(err, NOMEM, "%s", own.msg);
    }
    const uint64_t refused = mem_json_refused();
    if (!x.sample)                       /* of an item that could not be asked, or has no answer */
        x.sample = json_pack("{s:O}", "doc", task_doc(t->t, item));
    json_t *o = line_of(r, t, item, &x, filter);
    rc = o && mem_json_refused() == refused ? write_line(o, all, line, ctx, err) : ERR(err, NOMEM, "no memory for a sample");
    json_decref(o);
    json_decref(x.sample);
    mem_free(q);
    return rc;
}

/* The filters of a task's metrics, each once. */
static int filters_of(const struct eval_task *t, const char *out[RESULTS_FILTERS])
{
    int n = 0;
    for (int m = 0; m < t->n_metric; m++) {
        int k = 0;
        while (k < n && strcmp(out[k], t->metric[m].filter))
            k++;
        if (k == n && n < RESULTS_FILTERS && !t->metric[m].own)
            out[n++] = t->metric[m].filter;
    }
    if (!n)
        out[n++] = "none";
    return n;
}

int results_samples(const struct results *r, struct evaluation *e, int i_task, int (*line)(void *ctx, const char *text, size_t n, struct err *err), void *ctx,
                    char hex[SHA256_HEX], struct err *err)
{
    const char *filter[RESULTS_FILTERS];
    const struct eval_task *t = &e->task[i_task];
    const int n = filters_of(t, filter);
    struct sha256 all;
    int rc = 0;
    TRY(sha256_init(&all, err));
    for (int f = 0; f < n && !rc; f++)
        for (int64_t i = 0; i < t->n && !rc; i++)
            rc = sample(r, e, i_task, i, filter[f], &all, line, ctx, err);
    sha256_end(&all, hex);
    return rc;
}
