#include "eval/results.h"
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

/* ---- scores of all tasks ---- */

int results_init(struct results *r, const struct evaluation *e, const struct task_list *l, const struct score_opts *o, struct err *err)
{
    *r = (struct results){ .e = e, .list = l, .score = mem_alloc_array((size_t)e->n_task, sizeof *r->score) };
    if (!r->score)
        return ERR(err, NOMEM, "no memory for the scores of %d tasks", e->n_task);
    for (int i = 0; i < e->n_task; i++) {
        const struct eval_task *x = &e->task[i];
        r->score[i] = mem_alloc_array((size_t)x->n_metric, sizeof **r->score);
        if (!r->score[i])
            return ERR(err, NOMEM, "no memory for %d scores", x->n_metric);
        for (int m = 0; m < x->n_metric; m++)
            TRY(eval_score(x, m, o, &r->score[i][m], err));
    }
    return 0;
}

void results_release(struct results *r)
{
    for (int i = 0; r->score && i < r->e->n_task; i++)
        mem_free(r->score[i]);
    mem_free(r->score);
    *r = (struct results){ 0 };
}

static const struct eval_score *score_of(const struct results *r, int i_task, const char *metric, const char *filter)
{
    const struct eval_task *x = &r->e->task[i_task];
    for (int m = 0; m < x->n_metric; m++)
        if (!x->metric[m].own && !strcmp(x->metric[m].name, metric) && !strcmp(x->metric[m].filter, filter))
            return &r->score[i_task][m];
    return NULL;
}

int results_group_filters(const struct results *r, const struct task_group *g, int i_metric, const char *out[RESULTS_FILTERS])
{
    const struct task_group_metric *m = &g->metric[i_metric];
    int n = 0;
    for (int i = 0; i < m->n_filter && n < RESULTS_FILTERS; i++)
        out[n++] = m->filter[i];
    for (int i = 0; !m->n_filter && i < g->n_task; i++) {
        const struct eval_task *x = &r->e->task[g->task[i]];
        for (int k = 0; k < x->n_metric && n < RESULTS_FILTERS; k++) {
            int at = 0;
            while (at < n && strcmp(out[at], x->metric[k].filter))
                at++;
            if (at == n && !x->metric[k].own && !strcmp(x->metric[k].name, m->metric))
                out[n++] = x->metric[k].filter;
        }
    }
    return n;
}

bool results_group(const struct results *r, const struct task_group *g, int i_metric, const char *filter, struct group_score *out)
{
    const struct eval_score **of = mem_alloc_array((size_t)g->n_task + 1, sizeof *of);
    int n = 0;
    for (int i = 0; of && i < g->n_task; i++) {
        const struct eval_score *s = score_of(r, g->task[i], g->metric[i_metric].metric, filter);
        if (s && s->n_item)
            of[n++] = s;
    }
    if (n)
        *out = eval_group_score(of, n, g->metric[i_metric].weight_by_size);
    mem_free(of);
    return n > 0;
}

/* ---- pieces of JSON; what could not be made of them is seen at the end ---- */

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_string("N/A"); }
static json_t *text(const char *s) { return s ? json_string(s) : json_null(); }

static void put(json_t *o, const char *key, json_t *v) { (void)json_object_set_new(o, key, v); }

static void put_metric(json_t *o, const char *name, const char *filter, double value, double se)
{
    char key[300];
    snprintf(key, sizeof key, "%s,%s", name, filter);
    put(o, key, tree_number(value));
    snprintf(key, sizeof key, "%s_stderr,%s", name, filter);
    put(o, key, number(se));
}

static json_t *task_result(const struct results *r, int i)
{
    const struct eval_task *x = &r->e->task[i];
    json_t *o = json_object();
    put(o, "name", json_string(task_name(x->t)));
    put(o, "alias", json_string(task_alias(x->t)));
    put(o, "sample_len", json_integer(x->counts.n_scored));
    for (int m = 0; m < x->n_metric && !r->e->predict_only; m++)
        if (!x->metric[m].own)
            put_metric(o, x->metric[m].name, x->metric[m].filter, r->score[i][m].value, r->score[i][m].stderr_items);
    if (r->e->predict_only)
        put(o, "bypass,none", json_integer(999));        /* as there */
    return o;
}

static json_t *group_result(const struct results *r, const struct task_group *g)
{
    json_t *o = json_object();
    put(o, "name", json_string(g->name));
    put(o, "alias", json_string(g->alias ? g->alias : g->name));
    for (int m = 0; m < g->n_metric && !r->e->predict_only; m++) {
        const char *filter[RESULTS_FILTERS];
        const int n = results_group_filters(r, g, m, filter);
        for (int i = 0; i < n; i++) {
            struct group_score s;
            if (results_group(r, g, m, filter[i], &s)) {
                put_metric(o, g->metric[m].metric, filter[i], s.value, s.stderr_items);
                put(o, "sample_len", json_integer(s.n_item));
            }
        }
    }
    return o;
}

/* Groups and tasks that lie right below a group. */
static json_t *children(const struct results *r, int i_group)
{
    const struct task_list *l = r->list;
    const struct task_group *g = &l->group[i_group];
    json_t *a = json_array();
    for (int i = 0; i < l->n_group; i++)
        if (l->group[i].parent == i_group)
            (void)json_array_append_new(a, json_string(l->group[i].name));
    for (int i = 0; i < g->n_task; i++) {
        bool below = false;
        for (int k = 0; k < l->n_group; k++)
            for (int j = 0; l->group[k].parent == i_group && j < l->group[k].n_task; j++)
                below = below || l->group[k].task[j] == g->task[i];
        if (!below)
            (void)json_array_append_new(a, json_string(task_name(r->e->task[g->task[i]].t)));
    }
    return a;
}

static void put_tasks(const struct results *r, json_t *o)
{
    json_t *results = json_object(), *groups = json_object(), *subtasks = json_object(), *configs = json_object(), *versions = json_object(), *shots = json_object(),
           *better = json_object(), *samples = json_object();
    for (int i = 0; i < r->e->n_task; i++) {
        const struct eval_task *x = &r->e->task[i];
        const char *name = task_name(x->t);
        json_t *b = json_object();
        for (int m = 0; m < x->n_metric; m++)
            if (!x->metric[m].own)
                put(b, x->metric[m].name, json_boolean(x->metric[m].higher_is_better));
        put(results, name, task_result(r, i));
        put(configs, name, json_copy((json_t *)(uintptr_t)task_config(x->t)));
        put(versions, name, json_string(task_version(x->t)));
        put(shots, name, json_integer(task_fewshot(x->t)));
        put(better, name, b);
        put(samples, name, json_pack("{s:I, s:I}", "original", (json_int_t)task_n_document(x->t), "effective", (json_int_t)x->counts.n_scored));
    }
    for (int i = 0; i < r->list->n_group; i++) {
        const struct task_group *g = &r->list->group[i];
        put(results, g->name, group_result(r, g));
        if (g->n_metric)
            put(groups, g->name, group_result(r, g));
        put(subtasks, g->name, children(r, i));
        put(versions, g->name, text(g->version));
    }
    put(o, "results", results);
    put(o, "groups", groups);
    if (!json_object_size(groups))
        (void)json_object_del(o, "groups");
    put(o, "group_subtasks", subtasks);
    put(o, "configs", configs);
    put(o, "versions", versions);
    put(o, "n-shot", shots);
    put(o, "higher_is_better", better);
    put(o, "n-samples", samples);
}

/* ---- what there is of our own ---- */

static json_t *own_of_metric(const struct eval_score *s)
{
    json_t *o = json_pack("{s:o, s:s, s:o, s:o, s:s, s:I, s:I}", "value", tree_number(s->value), "aggregation",
                          task_aggregate_word(s->metric->aggregate), "se", tree_number(s->se), "interval",
                          isfinite(s->ci[0]) && isfinite(s->ci[1]) ? json_pack("[f, f]", s->ci[0], s->ci[1]) : json_null(), "interval_by", score_by_word(s->by),
                          "n", (json_int_t)s->n_item, "n_cluster", (json_int_t)s->n_cluster);
    return o;
}

static json_t *own_of_group(const struct results *r, const struct task_group *g)
{
    json_t *o = json_object();
    for (int m = 0; m < g->n_metric && !r->e->predict_only; m++) {
        const char *filter[RESULTS_FILTERS];
        const int n = results_group_filters(r, g, m, filter);
        for (int i = 0; i < n; i++) {
            struct group_score s;
            char key[300];
            snprintf(key, sizeof key, "%s,%s", g->metric[m].metric, filter[i]);
            if (results_group(r, g, m, filter[i], &s))
                put(o, key, json_pack("{s:o, s:o, s:o, s:s, s:I}", "value", tree_number(s.value), "se",
                                      tree_number(s.se), "interval",
                                      isfinite(s.ci[0]) && isfinite(s.ci[1]) ? json_pack("[f, f]", s.ci[0], s.ci[1]) : json_null(), "interval_by", "mover", "n",
                                      (json_int_t)s.n_item));
        }
    }
    return o;
}

static json_t *own_of_task(const struct results *r, int i)
{
    const struct eval_task *x = &r->e->task[i];
    const struct eval_counts *c = &x->counts;
    json_t *metrics = json_object(), *errors = json_array();
    for (int m = 0; m < x->n_metric && !r->e->predict_only; m++) {
        char key[300];
        snprintf(key, sizeof key, "%s,%s", x->metric[m].name, x->metric[m].filter);
        put(metrics, key, own_of_metric(&r->score[i][m]));
    }
    for (int64_t k = 0; k < x->n && json_array_size(errors) < 10; k++)
        if (x->item[k].state == EVAL_FAILED)
            (void)json_array_append_new(errors, json_pack("{s:I, s:s}", "doc_id", (json_int_t)k, "error", x->item[k].error));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o}", "items", (json_int_t)x->n, "scored", (json_int_t)c->n_scored, "failed",
                     (json_int_t)c->n_failed, "not_answered", (json_int_t)c->n_open, "contexts_cut", (json_int_t)c->n_cut, "tokens_cut", (json_int_t)c->n_cut_token,
                     "joined", (json_int_t)c->n_joined, "unended", (json_int_t)c->n_unended, "data", task_data_name(x->t), "data_sha256", task_data_sha256(x->t),
                     "metrics", metrics, "errors", errors);
}

static json_t *conventions(const struct results_info *info)
{
    const struct encoder *c = info->encoder;
    size_t n = 0;
    const char *prefix = c->prefix >= 0 ? tok_bytes(c->tok, c->prefix, &n) : NULL;
    return json_pack("{s:s%, s:i, s:b, s:i, s:s, s:s, s:s}", "prefix", prefix ? prefix : "", prefix ? n : 0, "prefix_id", (int)c->prefix,
                     "tokenizer_begins_texts",
                     info->adds_begin, "max_length", c->max_length, "acc_norm", "characters of the choice", "equal_choices", "the first", "too_long", "cut at the beginning");
}

static json_t *own(const struct results *r, const struct results_info *info)
{
    json_t *tasks = json_object(), *o = json_object();
    for (int i = 0; i < r->e->n_task; i++)
        put(tasks, task_name(r->e->task[i].t), own_of_task(r, i));
    put(o, "build", json_string(info->build));
    if (info->adapter)
        put(o, "adapter", json_string(info->adapter));
    put(o, "complete", json_boolean(!evaluation_open(r->e)));
    put(o, "level", json_real(SCORE_LEVEL));
    put(o, "requests_sha256", text(info->requests_sha256));
    put(o, "conventions", conventions(info));
    if (info->counts)
        put(o, "run", json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "requests", (json_int_t)info->counts->n_request, "tokens_asked",
                                (json_int_t)info->counts->n_asked, "tokens_computed", (json_int_t)info->counts->n_computed, "tokens_generated",
                                (json_int_t)info->counts->n_generated, "steps", (json_int_t)info->counts->n_step, "bytes", (json_int_t)info->counts->bytes, "load_s",
                                info->counts->load_s, "answer_s", info->counts->answer_s));
    put(o, "tasks", tasks);
    json_t *groups = r->list->n_group ? json_object() : NULL;
    for (int i = 0; i < r->list->n_group; i++)
        put(groups, r->list->group[i].name, own_of_group(r, &r->list->group[i]));
    if (groups)
        put(o, "groups", groups);
    return o;
}

/* ---- the model, and how it was run ---- */

static json_t *hash_of(const char *s)
{
    char hex[SHA256_HEX];
    return !s ? json_null() : sha256_of(s, strlen(s), hex, NULL) < 0 ? NULL : json_string(hex);
}

/* As lm-evaluation-harness makes a path of it. */
static json_t *sanitized(const char *model)
{
    struct buf b;
    buf_init(&b);
    int rc = 0;
    for (const char *p = model; *p && !rc; p++) {
        const bool bad = strchr("\"<>:/|\\?*[]", *p);
        if (!bad || p == model || !strchr("\"<>:/|\\?*[]", p[-1]))
            rc = bad ? buf_add_str(&b, "__", NULL) : buf_add_char(&b, *p, NULL);
    }
    json_t *s = rc < 0 ? NULL : json_string(b.data);
    buf_release(&b);
    return s;
}

static json_t *config(const struct results_info *info)
{
    const char *adapter = info->adapter;
    char *args = mem_printf("pretrained=%s%s%s,dtype=%s,max_length=%d", info->model, adapter ? ",peft=" : "", adapter ? adapter : "", info->kept_as, info->max_length);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:i, s:[], s:s, s:n, s:o, s:i, s:o, s:I, s:I, s:I, s:I}", "model", "lathe", "model_args", args,
                     "model_dtype", info->kept_as,
                     "model_revision", "", "model_sha", info->model_sha256, "peft_sha", adapter ? info->adapter_sha256 : NULL, "batch_size", info->batch, "batch_sizes", "device", "cpu", "use_cache", "limit",
                     info->limit ? json_integer(info->limit) : json_null(), "bootstrap_iters", 10000, "gen_kwargs", text(info->gen_kwargs), "random_seed",
                     (json_int_t)info->seed, "numpy_seed", (json_int_t)info->seed, "torch_seed", (json_int_t)info->seed, "fewshot_seed", (json_int_t)info->seed);
    mem_free(args);
    return o;
}

static json_t *named_token(const struct encoder *c, int id)
{
    char number_[16];
    size_t n = 0;
    const char *s = id >= 0 ? tok_bytes(c->tok, id, &n) : NULL;
    snprintf(number_, sizeof number_, "%d", id);
    return s ? json_pack("[s%, s]", s, n, number_) : json_pack("[s, s]", "None", "None");
}

int results_json(const struct results *r, const struct results_info *info, const json_t *task_hashes, json_t **out, struct err *err)
{
    const uint64_t refused = mem_json_refused();
    const struct encoder *c = info->encoder;
    json_t *o = json_object();
    char seconds[40];
    put_tasks(r, o);
    put(o, "config", config(info));
    put(o, "git_hash", json_null());
    put(o, "date", json_real(info->date));
    put(o, "pretty_env_info", json_string(info->build));
    put(o, "transformers_version", json_null());
    put(o, "lm_eval_version", json_null());
    put(o, "upper_git_hash", json_null());
    put(o, "tokenizer_bos_token", named_token(c, tok_bos(c->tok)));
    put(o, "tokenizer_eos_token", named_token(c, tok_eot(c->tok)));
    put(o, "eot_token_id", tok_eot(c->tok) >= 0 ? json_integer(tok_eot(c->tok)) : json_null());
    put(o, "max_length", json_integer(c->max_length));
    put(o, "task_hashes", task_hashes ? json_copy((json_t *)(uintptr_t)task_hashes) : json_object());
    put(o, "model_source", json_string("lathe"));
    put(o, "model_name", json_string(info->model));
    put(o, "model_name_sanitized", sanitized(info->model));
    put(o, "system_instruction", text(info->system));
    put(o, "system_instruction_sha", hash_of(info->system));
    put(o, "fewshot_as_multiturn", json_boolean(info->chat_template && !info->single_turn));
    put(o, "chat_template", text(info->chat_template));
    put(o, "chat_template_sha", hash_of(info->chat_template));
    put(o, "start_time", json_real(info->begin));
    put(o, "end_time", json_real(info->end));
    snprintf(seconds, sizeof seconds, "%.6f", info->end - info->begin);
    put(o, "total_evaluation_time_seconds", json_string(seconds));
    put(o, "lathe", own(r, info));
    *out = o;
    bool all = o && mem_json_refused() == refused;       /* and what was not made of JSON alone */
    static const char *const key[] = { "model_name_sanitized", "system_instruction_sha", "chat_template_sha", "config", "lathe" };
    for (size_t i = 0; i < sizeof key / sizeof *key; i++)
        all = all && json_object_get(o, key[i]);
    if (all)
        return 0;
    json_decref(o);
    *out = NULL;
    return ERR(err, NOMEM, "no memory for the results");
}
