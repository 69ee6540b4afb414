/* task_read.c - the keys of a task, made ready; what is not known is an error with its place. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "eval/task_impl.h"

#define REPEATS_MAX 1024
#define SHOTS_MAX 1000
#define TOKENS_MAX 1000000

struct reading { struct task *t; struct err *err; };

static const char *at(const struct reading *r, const char *path) { return task_yaml_at(&r->t->yaml, path); }
static json_t *get(const struct reading *r, const char *key) { return json_object_get(r->t->yaml.tree, key); }
static const char *function_of(const json_t *v) { return json_string_value(json_object_get(v, TASK_FUNCTION)); }
static int no_memory(const struct reading *r) { return ERR(r->err, NOMEM, "no memory to read a task"); }

/* Keys of an object at `path` ("" for the task's own) that are not among `known` (words with | between). */
static int check_keys(const struct reading *r, const json_t *o, const char *path, const char *known)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        char where[300];
        snprintf(where, sizeof where, "%.150s%s%.140s", path, *path ? "/" : "", key);
        if (!words_have(known, key))
            return ERR(r->err, USAGE, "%s: unknown key '%s'%s%s", at(r, where), key, *path ? " of " : "", path);
    }
    return 0;
}

static int refuse_function(const struct reading *r, const char *path, const char *name)
{
    return ERR(r->err, UNSUPPORTED, "%s: %s is the Python function %s, which is not among those that are known here for dataset_path '%s' (doc/tasks.md)", at(r, path), path, name,
               r->t->dataset_path ? r->t->dataset_path : "");
}

/* A string without a NUL; *out stays as it is where there is none. */
static int read_string(const struct reading *r, const json_t *o, const char *key, const char *path, const char **out)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (function_of(v))
        return refuse_function(r, path, function_of(v));
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return ERR(r->err, FORMAT, "%s: %s is no string", at(r, path), path);
    *out = json_string_value(v);
    return 0;
}

static int top_string(const struct reading *r, const char *key, const char **out) { return read_string(r, r->t->yaml.tree, key, key, out); }

static int read_int(const struct reading *r, const json_t *o, const char *key, const char *path, int64_t min, int64_t max, int *out)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    const double x = json_is_real(v) ? json_real_value(v) : (double)json_integer_value(v);
    if (!json_is_number(v) || x < (double)min || x > (double)max || x != (double)(int64_t)x)
        return ERR(r->err, RANGE, "%s: %s is not a whole number from %lld to %lld", at(r, path), path, (long long)min, (long long)max);
    *out = (int)x;
    return 0;
}

static int read_bool(const struct reading *r, const json_t *o, const char *key, const char *path, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return ERR(r->err, FORMAT, "%s: %s is neither true nor false", at(r, path), path);
    *out = json_is_true(v);
    return 0;
}

/* ---- fields ---- */

static int read_field(const struct reading *r, const json_t *v, const char *path, struct field *f)
{
    const char *name = function_of(v);
    bool raw;
    if (!name)
        return field_read(f, v, at(r, path), r->err);
    const char *text = function_field(name, r->t->dataset_path, &raw);
    return text ? field_template(f, text, raw, name, r->err) : refuse_function(r, path, name);
}

static int read_fields(const struct reading *r)
{
    struct task *t = r->t;
    const struct { const char *key; struct field *f; } fields[] = {
        { "doc_to_text", &t->text }, { "doc_to_target", &t->target }, { "doc_to_choice", &t->choice }, { "description", &t->description }, { "gen_prefix", &t->prefix },
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        TRY(read_field(r, get(r, fields[i].key), fields[i].key, fields[i].f));
    if (t->text.kind == FIELD_NONE && t->output != OUT_ROLLING)
        return ERR(r->err, USAGE, "%s: the task has no doc_to_text", t->name);
    if (t->target.kind == FIELD_NONE)
        return ERR(r->err, USAGE, "%s: the task has no doc_to_target", t->name);
    if (t->choice.kind == FIELD_NONE && t->output == OUT_CHOICE)
        return ERR(r->err, USAGE, "%s: output_type multiple_choice needs doc_to_choice", t->name);
    if (t->text.kind == FIELD_LIST)
        return ERR(r->err, FORMAT, "%s: doc_to_text is a list, expected a column, a template or a number", at(r, "doc_to_text"));
    return 0;
}

/* Few-shot examples have the task's own fields where fewshot_config says nothing. */
static int read_shots(const struct reading *r)
{
    static const char known[] = "sampler|split|process_docs|samples|doc_to_text|doc_to_choice|doc_to_target|gen_prefix|fewshot_delimiter|target_delimiter";
    struct task *t = r->t;
    const json_t *c = get(r, "fewshot_config");
    const char *sampler = "default";
    if (c && !json_is_null(c) && !json_is_object(c))
        return ERR(r->err, FORMAT, "%s: fewshot_config takes keys with values", at(r, "fewshot_config"));
    TRY(c ? check_keys(r, c, "fewshot_config", known) : 0);
    const struct { const char *key; struct field *f; } fields[] = {
        { "doc_to_text", &t->shot.text }, { "doc_to_target", &t->shot.target }, { "doc_to_choice", &t->shot.choice }, { "gen_prefix", &t->shot.prefix },
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char path[64];
        const json_t *own = json_object_get(c, fields[i].key);
        snprintf(path, sizeof path, "%s%s", own ? "fewshot_config/" : "", fields[i].key);
        TRY(read_field(r, own ? own : get(r, fields[i].key), path, fields[i].f));
    }
    t->shot.delimiter = t->delimiter, t->shot.target_delimiter = t->target_delimiter;
    TRY(top_string(r, "fewshot_split", &t->split_shot));
    TRY(read_string(r, c, "split", "fewshot_config/split", &t->split_shot));
    TRY(read_string(r, c, "fewshot_delimiter", "fewshot_config/fewshot_delimiter", &t->shot.delimiter));
    TRY(read_string(r, c, "target_delimiter", "fewshot_config/target_delimiter", &t->shot.target_delimiter));
    TRY(read_string(r, c, "sampler", "fewshot_config/sampler", &sampler));
    if (strcmp(sampler, "default") && strcmp(sampler, "first_n"))
        return ERR(r->err, UNSUPPORTED, "%s: the sampler '%s' is not supported, expected default or first_n", at(r, "fewshot_config/sampler"), sampler);
    t->first_n = !strcmp(sampler, "first_n");
    t->samples = json_object_get(c, "samples");
    if (function_of(t->samples))
        return refuse_function(r, "fewshot_config/samples", function_of(t->samples));
    if (t->samples && !json_is_array(t->samples))
        return ERR(r->err, FORMAT, "%s: samples takes a list of documents", at(r, "fewshot_config/samples"));
    if (json_object_get(c, "process_docs"))
        return ERR(r->err, UNSUPPORTED, "%s: process_docs of few-shot examples alone is not supported", at(r, "fewshot_config/process_docs"));
    return 0;
}

/* ---- data ---- */

static int read_data(const struct reading *r)
{
    static const char known[] = "data_files|column_names|header|trust_remote_code|revision|streaming|verification_mode";
    struct task *t = r->t;
    TRY(top_string(r, "dataset_path", &t->dataset_path));
    TRY(top_string(r, "dataset_name", &t->dataset_name));
    TRY(top_string(r, "training_split", &t->split_train));
    TRY(top_string(r, "validation_split", &t->split_valid));
    TRY(top_string(r, "test_split", &t->split_test));
    if (get(r, "custom_dataset") && !json_is_null(get(r, "custom_dataset")))
        return ERR(r->err, UNSUPPORTED, "%s: custom_dataset is Python code, which is not run here", at(r, "custom_dataset"));
    const json_t *kwargs = get(r, "dataset_kwargs");
    if (kwargs && !json_is_null(kwargs) && !json_is_object(kwargs))
        return ERR(r->err, FORMAT, "%s: dataset_kwargs takes keys with values", at(r, "dataset_kwargs"));
    TRY(kwargs ? check_keys(r, kwargs, "dataset_kwargs", known) : 0);
    t->split_main = t->split_test ? t->split_test : t->split_valid;
    if (!t->split_main)
        return ERR(r->err, USAGE, "%s: the task has neither test_split nor validation_split", t->name);
    const char *name = function_of(get(r, "process_docs"));
    if (name) {
        const int n = process_docs_find(&t->process, name, t->dataset_path, r->err);
        TRY(n);
        return n ? 0 : refuse_function(r, "process_docs", name);
    }
    return get(r, "process_docs") && !json_is_null(get(r, "process_docs")) ? ERR(r->err, FORMAT, "%s: process_docs takes a function", at(r, "process_docs")) : 0;
}

/* ---- generation ---- */

static int read_until(const struct reading *r, const json_t *v)
{
    struct request_generation *g = &r->t->generation;
    const char *delimiter = r->t->delimiter;
    const size_t n = json_is_array(v) ? json_array_size(v) : v && !json_is_null(v) ? 1 : 0;
    if (!(g->until = mem_alloc_array(n + 1, sizeof *g->until)))
        return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(s) || !json_string_length(s) || strlen(json_string_value(s)) != json_string_length(s))
            return ERR(r->err, FORMAT, "%s: until takes texts", at(r, "generation_kwargs/until"));
        g->until[g->n_until++] = json_string_value(s);
    }
    if (!v && *delimiter)
        g->until[g->n_until++] = delimiter;
    return 0;
}

static int read_real(const struct reading *r, const json_t *o, const char *key, double *out)
{
    char path[80];
    const json_t *v = json_object_get(o, key);
    snprintf(path, sizeof path, "generation_kwargs/%s", key);
    if (v && !json_is_number(v))
        return ERR(r->err, FORMAT, "%s: %s is no number", at(r, path), key);
    *out = v ? json_number_value(v) : *out;
    return 0;
}

static int read_generation(const struct reading *r)
{
    static const char known[] = "until|do_sample|temperature|top_p|top_k|max_gen_toks|max_new_tokens|max_tokens|num_beams";
    struct task *t = r->t;
    const json_t *g = get(r, "generation_kwargs");
    int beams = 1;
    t->generation = (struct request_generation){ .max_tokens = 256, .top_p = 1 };
    if (g && !json_is_null(g) && !json_is_object(g))
        return ERR(r->err, FORMAT, "%s: generation_kwargs takes keys with values", at(r, "generation_kwargs"));
    TRY(g ? check_keys(r, g, "generation_kwargs", known) : 0);
    TRY(read_until(r, json_object_get(g, "until")));
    TRY(read_real(r, g, "temperature", &t->generation.temperature));
    TRY(read_real(r, g, "top_p", &t->generation.top_p));
    TRY(read_int(r, g, "top_k", "generation_kwargs/top_k", 0, TOKENS_MAX, &t->generation.top_k));
    TRY(read_int(r, g, "max_new_tokens", "generation_kwargs/max_new_tokens", 1, TOKENS_MAX, &t->generation.max_tokens));
    TRY(read_int(r, g, "max_tokens", "generation_kwargs/max_tokens", 1, TOKENS_MAX, &t->generation.max_tokens));
    TRY(read_int(r, g, "max_gen_toks", "generation_kwargs/max_gen_toks", 1, TOKENS_MAX, &t->generation.max_tokens));
    TRY(read_int(r, g, "num_beams", "generation_kwargs/num_beams", 1, TOKENS_MAX, &beams));
    if (beams != 1)
        return ERR(r->err, UNSUPPORTED, "%s: num_beams is %d; beam search is not supported", at(r, "generation_kwargs/num_beams"), beams);
    bool sample = t->generation.temperature > 0;
    TRY(read_bool(r, g, "do_sample", "generation_kwargs/do_sample", &sample));
    if (sample && t->generation.temperature == 0)
        t->generation.temperature = 1;
    if (!sample)
        t->generation.temperature = 0;
    return 0;
}

/* ---- metrics ---- */

/* name, kind, output types as letters, aggregation, higher is better */
static const struct known_metric { const char *name; enum metric_kind kind; const char *of; enum task_aggregate aggregate; bool higher; } known_metrics[] = {
    { "acc", METRIC_ACC, "LC", TASK_MEAN, true }, { "acc_norm", METRIC_ACC_NORM, "C", TASK_MEAN, true }, { "acc_bytes", METRIC_ACC_BYTES, "C", TASK_MEAN, true },
    { "acc_token", METRIC_ACC_TOKEN, "C", TASK_MEAN, true }, { "acc_mutual_info", METRIC_ACC_MUTUAL_INFO, "C", TASK_MEAN, true },
    { "exact_match", METRIC_EXACT_MATCH, "CG", TASK_MEAN, true }, { "brier_score", METRIC_BRIER, "C", TASK_BRIER, false },
    { "likelihood", METRIC_LIKELIHOOD, "C", TASK_MEAN, true }, { "f1", METRIC_F1, "C", TASK_F1, true }, { "mcc", METRIC_MCC, "C", TASK_MCC, true },
    { "perplexity", METRIC_PERPLEXITY, "L", TASK_PERPLEXITY, false }, { "word_perplexity", METRIC_WORD_PERPLEXITY, "R", TASK_WEIGHTED_PERPLEXITY, false },
    { "byte_perplexity", METRIC_BYTE_PERPLEXITY, "R", TASK_WEIGHTED_PERPLEXITY, false }, { "bits_per_byte", METRIC_BITS_PER_BYTE, "R", TASK_BITS_PER_BYTE, false },
    { "likelihood_diff", METRIC_LIKELIHOOD_DIFF, "", TASK_MEAN, false }, { "pct_stereotype", METRIC_PCT_STEREOTYPE, "", TASK_MEAN, false },
}, bbq_metrics[] = {
    { "acc", METRIC_ACC, "C", TASK_MEAN, true }, { "accuracy_amb", METRIC_BBQ_ACC_AMBIG, "C", TASK_NANMEAN, true }, { "accuracy_disamb", METRIC_BBQ_ACC_DISAMBIG, "C", TASK_NANMEAN, true },
    { "amb_bias_score", METRIC_BBQ_AMBIG, "C", TASK_BBQ_AMBIG, false }, { "disamb_bias_score", METRIC_BBQ_DISAMBIG, "C", TASK_BBQ_DISAMBIG, false },
    { "unknown_amb", METRIC_BBQ_UNKNOWN_AMBIG, "C", TASK_NANMEAN, true }, { "unknown_disamb", METRIC_BBQ_UNKNOWN_DISAMBIG, "C", TASK_NANMEAN, false },
};
static const char letter_of_output[] = { [OUT_LOGLIKELIHOOD] = 'L', [OUT_ROLLING] = 'R', [OUT_CHOICE] = 'C', [OUT_GENERATE] = 'G' };

/* The bias scores also with a category behind them: disamb_bias_score_Age. */
static const struct known_metric *bbq_metric(const char *name)
{
    for (size_t i = 0; i < sizeof bbq_metrics / sizeof *bbq_metrics; i++) {
        const struct known_metric *k = &bbq_metrics[i];
        const size_t n = strlen(k->name);
        const bool bias = k->kind == METRIC_BBQ_AMBIG || k->kind == METRIC_BBQ_DISAMBIG;
        if (!strncmp(name, k->name, n) && (!name[n] || (bias && name[n] == '_' && name[n + 1])))
            return k;
    }
    return NULL;
}

static const struct known_metric *known_metric(const struct task *t, const char *name)
{
    if (t->results == RESULTS_BBQ)
        return bbq_metric(name);
    for (size_t i = 0; i < sizeof known_metrics / sizeof *known_metrics; i++) {
        const struct known_metric *k = &known_metrics[i];
        const bool crows = k->kind == METRIC_LIKELIHOOD_DIFF || k->kind == METRIC_PCT_STEREOTYPE;
        if (!strcmp(k->name, name) && (strchr(k->of, letter_of_output[t->output]) ? *k->of != 0 : false))
            return t->results == RESULTS_CROWS_PAIRS ? NULL : k;
        if (!strcmp(k->name, name) && crows && t->results == RESULTS_CROWS_PAIRS)
            return k;
    }
    return NULL;
}

const char *task_aggregate_word(enum task_aggregate a)
{
    static const char *const words[] = {
#define X(name, word) word,
        TASK_AGGREGATES(X)
#undef X
    };
    return words[a];
}

static int read_aggregation(const struct reading *r, const json_t *c, const char *path, struct metric *m)
{
    char where[120];
    const char *word = NULL;
    snprintf(where, sizeof where, "%.80s/aggregation", path);
    const char *function = function_of(json_object_get(c, "aggregation"));
    if (function) {
        enum task_aggregate a;
        if (!function_aggregate(function, r->t->dataset_path, &a))
            return refuse_function(r, where, function);
        return a == m->aggregate ? 0 : ERR(r->err, UNSUPPORTED, "%s: the aggregation %s does not fit the metric '%s'", at(r, where), function, m->name);
    }
    TRY(read_string(r, c, "aggregation", where, &word));
    if (!word)
        return 0;
    for (int a = 0; a < N_TASK_AGGREGATE; a++)
        if (!strcmp(word, task_aggregate_word((enum task_aggregate)a))) {
            const bool mean_like = a == TASK_MEAN || a == TASK_NANMEAN || a == TASK_MEDIAN, own = (int)m->aggregate == a;
            if (!own && !(mean_like && (m->aggregate == TASK_MEAN || m->aggregate == TASK_BRIER)) && !(a == TASK_PERPLEXITY && m->kind == METRIC_PERPLEXITY))
                return ERR(r->err, UNSUPPORTED, "%s: the aggregation '%s' does not fit the metric '%s'", at(r, where), word, m->name);
            m->aggregate = (enum task_aggregate)a;
            return 0;
        }
    return ERR(r->err, UNSUPPORTED, "%s: the aggregation '%s' is not supported", at(r, where), word);
}

static int read_metric_options(const struct reading *r, const json_t *c, const char *path, struct metric *m)
{
    char where[120];
    const struct { const char *key; bool *to; } flags[] = {
        { "higher_is_better", &m->higher_is_better }, { "ignore_case", &m->ignore_case }, { "ignore_punctuation", &m->ignore_punctuation }, { "ignore_numbers", &m->ignore_numbers },
    };
    for (int i = 0; i < 4; i++) {
        snprintf(where, sizeof where, "%.80s/%s", path, flags[i].key);
        TRY(read_bool(r, c, flags[i].key, where, flags[i].to));
    }
    snprintf(where, sizeof where, "%.80s/regexes_to_ignore", path);
    TRY(pyres_read(&m->ignore, &m->n_ignore, json_object_get(c, "regexes_to_ignore"), at(r, where), r->err));
    return read_aggregation(r, c, path, m);
}

static int add_metric(const struct reading *r, const char *name, const struct known_metric *k, struct metric **out)
{
    struct task *t = r->t;
    struct metric *m = mem_realloc_array(t->metric, (size_t)t->n_metric + 1, sizeof *m);
    if (!m)
        return no_memory(r);
    t->metric = m, *out = m += t->n_metric;
    *m = (struct metric){ .kind = k ? k->kind : METRIC_UNSCORED, .aggregate = k ? k->aggregate : TASK_NANMEAN, .higher_is_better = k ? k->higher : true, .name = mem_strdup(name) };
    t->n_metric++;
    return m->name ? 0 : no_memory(r);
}

/* HumanEval's pass@k is known by name; the answers must be run for it. */
static int read_pass_at(const struct reading *r, const json_t *c)
{
    const json_t *ks = json_object_get(c, "k");
    for (size_t i = 0; i < (json_is_array(ks) ? json_array_size(ks) : 1); i++) {
        char name[40];
        struct metric *m;
        const json_t *k = json_is_array(ks) ? json_array_get(ks, i) : ks;
        snprintf(name, sizeof name, "pass@%lld", json_is_integer(k) ? (long long)json_integer_value(k) : 1);
        TRY(add_metric(r, name, NULL, &m));
    }
    return 0;
}

static int read_metric(const struct reading *r, const json_t *c, const char *path)
{
    static const char known[] = "metric|aggregation|higher_is_better|high_is_better|hf_evaluate|ignore_case|ignore_punctuation|ignore_numbers|regexes_to_ignore|k|average|weight_by_size";
    struct task *t = r->t;
    struct metric *m;
    char where[120];
    const json_t *v = json_object_get(c, "metric");
    snprintf(where, sizeof where, "%.80s/metric", path);
    if (!json_is_object(c))
        return ERR(r->err, FORMAT, "%s: an entry of metric_list has no metric", at(r, path));
    TRY(check_keys(r, c, path, known));
    if (function_of(v) && !strcmp(function_of(v), "utils.pass_at_k") && t->dataset_path && words_have("openai/openai_humaneval|openai_humaneval", t->dataset_path))
        return read_pass_at(r, c);
    if (function_of(v))
        return refuse_function(r, where, function_of(v));
    if (!json_is_string(v))
        return ERR(r->err, FORMAT, "%s: an entry of metric_list has no metric", at(r, path));
    const struct known_metric *k = known_metric(t, json_string_value(v));
    if (!k)
        return ERR(r->err, UNSUPPORTED, "%s: the metric '%s' is not supported for this task's output_type", at(r, where), json_string_value(v));
    TRY(add_metric(r, json_string_value(v), k, &m));
    return read_metric_options(r, c, path, m);
}

static int read_metrics(const struct reading *r)
{
    static const char *const defaults[][3] = {
        [OUT_LOGLIKELIHOOD] = { "perplexity", "acc" }, [OUT_ROLLING] = { "word_perplexity", "byte_perplexity", "bits_per_byte" }, [OUT_CHOICE] = { "acc", "acc_norm" },
        [OUT_GENERATE] = { "exact_match" },
    };
    struct metric *m;
    struct task *t = r->t;
    const json_t *list = get(r, "metric_list");
    if (list && !json_is_null(list) && !json_is_array(list))
        return ERR(r->err, FORMAT, "%s: metric_list takes a list", at(r, "metric_list"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char path[60];
        snprintf(path, sizeof path, "metric_list/%zu", i);
        TRY(read_metric(r, json_array_get(list, i), path));
    }
    for (int i = 0; !list && i < 3 && defaults[t->output][i]; i++)
        TRY(add_metric(r, defaults[t->output][i], known_metric(t, defaults[t->output][i]), &m));
    return t->n_metric ? 0 : ERR(r->err, USAGE, "%s: the task has no metric", t->name);
}

/* ---- filters ---- */

static int read_filters(const struct reading *r)
{
    struct task *t = r->t;
    const json_t *list = get(r, "filter_list");
    const size_t n = json_array_size(list);
    if (list && !json_is_null(list) && !json_is_array(list))
        return ERR(r->err, FORMAT, "%s: filter_list takes a list", at(r, "filter_list"));
    if (!(t->filters = mem_alloc_array(n ? n : 1, sizeof *t->filters)))
        return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        char path[60];
        snprintf(path, sizeof path, "filter_list/%zu", i);
        TRY(filters_read(&t->filters[t->n_filters++], json_array_get(list, i), &t->yaml, path, t->dataset_path, r->err));
    }
    if (!n) {
        t->n_filters = 1;
        if (!(t->filters->name = mem_strdup("none")))
            return no_memory(r);
    }
    return 0;
}

static bool is_own(enum metric_kind k) { return k == METRIC_ACC_TOKEN || k == METRIC_BBQ_UNKNOWN_AMBIG || k == METRIC_BBQ_UNKNOWN_DISAMBIG; }

/* The list of scores: all metrics of one pipeline of filters, then the next. */
static int list_scores(const struct reading *r)
{
    struct task *t = r->t;
    if (!(t->score = mem_alloc_array((size_t)t->n_filters * ((size_t)t->n_metric + 1), sizeof *t->score)))
        return no_memory(r);
    for (int f = 0; f < t->n_filters; f++) {
        for (int m = 0; m < t->n_metric; m++)
            t->score[t->n_score++] = (struct task_metric){ t->metric[m].name, t->filters[f].name, t->metric[m].aggregate, t->metric[m].higher_is_better, is_own(t->metric[m].kind) };
        if (t->filters[f].extracts && t->output == OUT_GENERATE)
            t->score[t->n_score++] = (struct task_metric){ "extraction_failed", t->filters[f].name, TASK_MEAN, false, true };
    }
    return 0;
}

/* ---- the task ---- */

static int read_version(const struct reading *r)
{
    struct task *t = r->t;
    const json_t *meta = get(r, "metadata"), *v = json_object_get(meta, "version"), *cluster = json_object_get(meta, "cluster");
    struct buf b;
    int rc = 0;
    buf_init(&b);
    if (json_is_real(v))
        rc = buf_add_number(&b, json_real_value(v), r->err);
    else if (json_is_integer(v))
        rc = buf_printf(&b, r->err, "%lld", (long long)json_integer_value(v));
    else
        rc = buf_add_str(&b, json_is_string(v) ? json_string_value(v) : "Yaml", r->err);
    if (!rc && !(t->version = mem_strdup(b.data)))
        rc = no_memory(r);
    buf_release(&b);
    t->cluster_field = json_is_string(cluster) || json_is_array(cluster) ? cluster : NULL;
    return rc;
}

static int read_output(const struct reading *r)
{
    static const char *const words[] = { [OUT_LOGLIKELIHOOD] = "loglikelihood", [OUT_ROLLING] = "loglikelihood_rolling", [OUT_CHOICE] = "multiple_choice", [OUT_GENERATE] = "generate_until" };
    const char *word = "generate_until";
    TRY(top_string(r, "output_type", &word));
    for (int i = 0; i < 4; i++)
        if (!strcmp(words[i], word)) {
            r->t->output = (enum output_type)i;
            return 0;
        }
    return ERR(r->err, USAGE, "%s: output_type is '%s', expected loglikelihood, loglikelihood_rolling, multiple_choice or generate_until", at(r, "output_type"), word);
}

static int read_results(const struct reading *r)
{
    const json_t *v = get(r, "process_results");
    if (!v || json_is_null(v))
        return 0;
    if (!function_of(v))
        return ERR(r->err, FORMAT, "%s: process_results takes a function", at(r, "process_results"));
    return function_results(function_of(v), r->t->dataset_path, &r->t->results) ? 0 : refuse_function(r, "process_results", function_of(v));
}

static int refuse_modalities(const struct reading *r)
{
    static const char *const keys[] = { "doc_to_image", "doc_to_audio", "use_prompt" };
    for (int i = 0; i < 3; i++)
        if (get(r, keys[i]) && !json_is_null(get(r, keys[i])))
            return ERR(r->err, UNSUPPORTED, "%s: %s is not supported", at(r, keys[i]), keys[i]);
    return 0;
}

/* wanted: by the caller; < 0: as the task says.  A task that says 0 means it. */
static int read_n_shot(const struct reading *r, int wanted)
{
    int own = -1;
    TRY(read_int(r, r->t->yaml.tree, "num_fewshot", "num_fewshot", 0, SHOTS_MAX, &own));
    if (wanted > SHOTS_MAX)
        return ERR(r->err, RANGE, "%d few-shot examples, expected at most %d", wanted, SHOTS_MAX);
    r->t->n_shot = own && wanted >= 0 ? wanted : own > 0 ? own : 0;
    return 0;
}

int task_read(struct task *t, const struct task_opts *o, struct err *err)
{
    static const char known[] =
        "task|task_alias|tag|dataset_path|dataset_name|dataset_kwargs|training_split|validation_split|test_split|fewshot_split|process_docs|doc_to_text|doc_to_target|doc_to_choice|"
        "process_results|description|target_delimiter|fewshot_delimiter|fewshot_config|num_fewshot|metric_list|output_type|generation_kwargs|repeats|filter_list|should_decontaminate|"
        "doc_to_decontamination_query|gen_prefix|metadata|unsafe_code|custom_dataset|use_prompt|doc_to_image|doc_to_audio";
    struct reading r = { t, err };
    const char *name = "";
    TRY(top_string(&r, "task", &name));
    if (!*name)
        return ERR(err, USAGE, "%s: found no task, expected the task's name", t->file ? t->file : "a task");
    if (!(t->name = mem_strdup(name)))
        return no_memory(&r);
    t->alias = t->name, t->delimiter = "\n\n", t->target_delimiter = " ", t->repeats = 1;
    TRY(check_keys(&r, t->yaml.tree, "", known));
    TRY(refuse_modalities(&r));
    TRY(top_string(&r, "task_alias", &t->alias));
    TRY(top_string(&r, "fewshot_delimiter", &t->delimiter));
    TRY(top_string(&r, "target_delimiter", &t->target_delimiter));
    TRY(read_output(&r));
    TRY(read_data(&r));
    TRY(read_results(&r));
    TRY(read_fields(&r));
    TRY(read_shots(&r));
    TRY(read_n_shot(&r, o->num_fewshot));
    TRY(read_int(&r, t->yaml.tree, "repeats", "repeats", 1, REPEATS_MAX, &t->repeats));
    TRY(t->output == OUT_GENERATE ? read_generation(&r) : 0);
    TRY(read_metrics(&r));
    TRY(read_filters(&r));
    TRY(list_scores(&r));
    return read_version(&r);
}
