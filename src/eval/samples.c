#include "eval/samples.h"
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"

#define PREFIX "samples_"
#define LINE_MAX_BYTES ((size_t)64 << 20)

/* ---- names of files ---- */

/* "samples_TASK_2026-01-31T10-00-00.000000.jsonl": where the task ends and the date begins; NULL: no such name. */
static const char *date_in(const char *name)
{
    const size_t n = strlen(name);
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) || n < sizeof PREFIX + 6 || strcmp(name + n - 6, ".jsonl"))
        return NULL;
    const char *bar = strrchr(name, '_');
    return bar > name + sizeof PREFIX - 1 && isdigit((unsigned char)bar[1]) && strchr(bar, 'T') && strchr(bar, '-') ? bar : name + n - 6;
}

static char *task_in(const char *path)
{
    const char *name = file_last_part(path), *date = date_in(name);
    const size_t n = strlen(name);
    const bool plain = n > 6 && !strcmp(name + n - 6, ".jsonl");
    return date ? mem_printf("%.*s", (int)(date - name) - (int)sizeof PREFIX + 1, name + sizeof PREFIX - 1) : mem_printf("%.*s", (int)(plain ? n - 6 : n), name);
}

static int has_samples(const char *dir, bool *yes, struct err *err)
{
    char **names;
    int n;
    *yes = false;
    TRY(file_list(dir, &names, &n, err));
    for (int i = 0; i < n; i++)
        *yes |= date_in(names[i]) != NULL;
    file_list_free(names, n);
    return 0;
}

/* One more folder that may be it: *below is taken where it is. */
static int try_folder(const char *path, char **below, char **out, struct err *err)
{
    bool yes = false;
    if (file_is_dir(*below))
        TRY(has_samples(*below, &yes, err));
    if (yes && *out)
        return ERR(err, USAGE, "%s has samples of more than one model, %s and %s; expected the folder of one", path, *out, *below);
    if (yes)
        *out = *below, *below = NULL;
    return 0;
}

/* The folder itself, or the one below it that has samples; *out is mem_alloc'ed, NULL when there is none. */
static int folder_of(const char *path, char **out, struct err *err)
{
    char **names;
    bool yes;
    int n, rc = 0;
    *out = NULL;
    TRY(has_samples(path, &yes, err));
    if (yes)
        return (*out = mem_strdup(path)) ? 0 : ERR(err, NOMEM, "no memory for the name of %s", path);
    TRY(file_list(path, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        char *below = file_join(path, names[i]);
        rc = below ? try_folder(path, &below, out, err) : ERR(err, NOMEM, "no memory for the name of %s/%s", path, names[i]);
        mem_free(below);
    }
    file_list_free(names, n);
    if (rc < 0) {
        mem_free(*out);
        *out = NULL;
    }
    return rc;
}

bool samples_are_at(const char *path)
{
    const size_t n = strlen(path);
    char *folder = NULL;
    if (!file_is_dir(path))
        return file_exists(path) && n > 6 && !strcmp(path + n - 6, ".jsonl");
    const int rc = folder_of(path, &folder, NULL);
    const bool yes = folder != NULL || rc == ERR_USAGE;
    mem_free(folder);
    return yes;
}

/* ---- one line ---- */

/* Ratios of sums, of items that are log-likelihoods with a number of words or bytes. */
static bool is_log_likelihood(const char *metric)
{
    return !strcmp(metric, "perplexity") || !strcmp(metric, "word_perplexity") || !strcmp(metric, "byte_perplexity") || !strcmp(metric, "bits_per_byte");
}

struct line { const char *path; int64_t number; };

static int bad(const struct line *l, struct err *err, const char *what)
{
    return ERR(err, FORMAT, "%s: line %lld: %s", l->path, (long long)l->number, what);
}

/* The beginning of a text, whole characters, one line. */
static char *beginning(const char *s)
{
    const size_t n = strlen(s), k = utf8_begin(s, n, SAMPLE_TEXT);
    char *out = mem_printf("%.*s%s", (int)k, s, k < n ? "..." : "");
    for (char *p = out; p && *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = ' ';
    return out;
}

static const char *longest_text(const json_t *o, const char *best)
{
    const char *key;
    json_t *v;
    size_t i;
    if (json_is_string(o))
        return !best || json_string_length(o) > strlen(best) ? json_string_value(o) : best;
    if (json_is_object(o))
        json_object_foreach((json_t *)o, key, v)
            best = longest_text(v, best);
    else
        json_array_foreach(o, i, v)
            best = longest_text(v, best);
    return best;
}

/* The end of a text, whole characters, one line. */
static char *ending(const char *s)
{
    const size_t n = strlen(s);
    const char *at = n > SAMPLE_TEXT ? s + (n - SAMPLE_TEXT) : s;
    while (at > s && ((unsigned char)*at & 0xc0) == 0x80)
        at++;
    char *end = beginning(at), *out = end && at > s ? mem_printf("...%s", end) : end;
    if (out != end)
        mem_free(end);
    return out;
}

/* What was asked: the end of the prompt, or where lines have none the document's longest text. */
static char *asked(const json_t *line)
{
    const json_t *arguments = json_object_get(line, "arguments"), *first = json_object_get(json_object_get(arguments, "gen_args_0"), "arg_0");
    const char *prompt = json_string_value(first ? first : json_array_get(json_array_get(arguments, 0), 0));
    const char *text = prompt && *prompt ? prompt : longest_text(json_object_get(line, "doc"), NULL);
    return prompt && *prompt ? ending(text) : beginning(text ? text : "");
}

/* A text, or what else is there as JSON. */
static char *shown(const json_t *o)
{
    if (!o || json_is_null(o))
        return mem_strdup("");
    if (json_is_string(o))
        return beginning(json_string_value(o));
    if (json_array_size(o) == 1)
        return shown(json_array_get(o, 0));
    char *text = tree_dumps(o, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)), *out = text ? beginning(text) : NULL;
    mem_free(text);
    return out;
}

static int hash_of(const json_t *line, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(line, key);
    *out = json_is_string(v) ? hash64(json_string_value(v), json_string_length(v), 0) : 0;
    return json_is_string(v);
}

static int hash_document(const json_t *line, uint64_t *out)
{
    if (hash_of(line, "doc_hash", out))
        return 0;
    char *text = tree_dumps(json_object_get(line, "doc"), JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    *out = text ? hash64(text, strlen(text), 0) : 0;
    const bool has = json_object_get(line, "doc") != NULL;
    mem_free(text);
    return text || !has ? 0 : ERR_NOMEM;
}

static int read_value(const json_t *line, const char *metric, const struct line *l, struct sample *s, struct err *err)
{
    const json_t *v = metric ? json_object_get(line, metric) : NULL;
    s->value = NAN, s->weight = 1;
    if (json_is_number(v))
        s->value = json_number_value(v);
    else if (json_is_boolean(v))
        s->value = json_is_true(v);
    else if (metric && is_log_likelihood(metric) && json_array_size(v) == 2 && json_is_number(json_array_get(v, 0)) && json_is_number(json_array_get(v, 1)))
        s->value = json_number_value(json_array_get(v, 0)), s->weight = json_number_value(json_array_get(v, 1));
    else if (v && !json_is_null(v))
        return ERR(err, FORMAT, "%s: line %lld: %s is no number that an item has for itself; --metric names another", l->path, (long long)l->number, metric);
    if (isfinite(s->value) && s->weight > 0 && isfinite(s->weight))
        return 0;
    s->value = NAN, s->weight = 1;
    return 0;
}

static void release_sample(struct sample *s)
{
    mem_free(s->text);
    mem_free(s->target);
    mem_free(s->answer);
}

static int read_sample(const json_t *line, const char *metric, const struct line *l, struct sample *s, struct err *err)
{
    const json_t *id = json_object_get(line, "doc_id"), *answer = json_object_get(line, "filtered_resps"), *cluster = json_object_get(line, "cluster");
    *s = (struct sample){ .cluster = json_is_integer(cluster) ? json_integer_value(cluster) : -1 };
    if (!json_is_integer(id))
        return bad(l, err, "expected a whole number as doc_id");
    s->id = json_integer_value(id);
    TRY(read_value(line, metric, l, s, err));
    hash_of(line, "prompt_hash", &s->prompt);
    if (hash_document(line, &s->doc) < 0)
        return ERR(err, NOMEM, "no memory for %s", l->path);
    s->text = asked(line), s->target = shown(json_object_get(line, "target")), s->answer = shown(answer ? answer : json_object_get(line, "resps"));
    if (s->text && s->target && s->answer)
        return 0;
    release_sample(s);
    return ERR(err, NOMEM, "no memory for the items of %s", l->path);
}

/* ---- sets ---- */

static const char *filter_of(const json_t *line)
{
    const char *filter = json_string_value(json_object_get(line, "filter"));
    return filter ? filter : "none";
}

/* The metric that is asked for, or the first of the line's own list; without a list the first number that is none of what lines have besides. */
static const char *metric_of(const json_t *line, const char *wanted)
{
    static const char *const others[] = { "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash", "cluster" };
    const char *key, *first = json_string_value(json_array_get(json_object_get(line, "metrics"), 0));
    json_t *v;
    if (wanted)
        return json_object_get(line, wanted) ? wanted : NULL;
    if (first)
        return first;
    json_object_foreach((json_t *)line, key, v) {
        bool other = !json_is_number(v) && !json_is_boolean(v);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            other |= !strcmp(key, others[i]);
        if (!other)
            return key;
    }
    return NULL;
}

static struct sample_set *find_set(struct samples *s, int from, const char *filter)
{
    for (int i = from; i < s->n; i++)
        if (!strcmp(s->set[i].filter, filter))
            return &s->set[i];
    return NULL;
}

static int add_set(struct samples *s, const char *path, const char *filter, struct sample_set **out, struct err *err)
{
    struct sample_set *set = mem_realloc_array(s->set, (size_t)s->n + 1, sizeof *set);
    if (!set)
        return ERR(err, NOMEM, "no memory for the items of %s", path);
    s->set = set;
    *out = &set[s->n++];
    **out = (struct sample_set){ .task = task_in(path), .filter = mem_strdup(filter), .path = mem_strdup(path), .higher_is_better = true };
    return (*out)->task && (*out)->filter && (*out)->path ? 0 : ERR(err, NOMEM, "no memory for the items of %s", path);
}

static int add_sample(struct sample_set *set, const struct sample *s, struct err *err)
{
    if (set->n == set->cap) {
        const int64_t cap = set->cap ? 2 * set->cap : 64;
        struct sample *item = mem_realloc_array(set->item, (size_t)cap, sizeof *item);
        if (!item)
            return ERR(err, NOMEM, "no memory for %lld items of %s", (long long)cap, set->path);
        set->item = item, set->cap = cap;
    }
    set->item[set->n++] = *s;
    return 0;
}

/* The set's metric where the line is the first that has one, else another's name, for messages. */
static int take_metric(struct sample_set *set, const json_t *line, const char *wanted, struct err *err)
{
    const char *metric = metric_of(line, wanted), *other = metric ? NULL : metric_of(line, NULL);
    if (!metric && (!other || set->other))
        return 0;
    char **to = metric ? &set->metric : &set->other;
    return (*to = mem_strdup(metric ? metric : other)) ? 0 : ERR(err, NOMEM, "no memory for the items of %s", set->path);
}

static int check_metrics(const struct samples *s, int from, const char *wanted, struct err *err)
{
    for (int i = from; i < s->n; i++)
        if (!s->set[i].metric && wanted)
            return ERR(err, FORMAT, "%s: no item has the metric '%s'; the first that one has is %s", s->set[i].path, wanted, s->set[i].other ? s->set[i].other : "none");
        else if (!s->set[i].metric)
            return ERR(err, FORMAT, "%s: no item has a metric, expected one", s->set[i].path);
    return 0;
}

/* from: the first set of this file. */
static int add_line(struct samples *s, int from, const json_t *line, const char *wanted, const struct line *l, struct err *err)
{
    struct sample sample;
    struct sample_set *set;
    if (!json_is_object(line))
        return bad(l, err, "expected an object");
    if (!(set = find_set(s, from, filter_of(line))))
        TRY(add_set(s, l->path, filter_of(line), &set, err));
    if (!set->metric)
        TRY(take_metric(set, line, wanted, err));
    TRY(read_sample(line, set->metric, l, &sample, err));
    const int rc = add_sample(set, &sample, err);
    if (rc < 0)
        release_sample(&sample);
    return rc;
}

static int by_id(const void *a, const void *b)
{
    const int64_t x = ((const struct sample *)a)->id, y = ((const struct sample *)b)->id;
    return (x > y) - (x < y);
}

static int sort_sets(struct samples *s, int from, struct err *err)
{
    for (int i = from; i < s->n; i++) {
        struct sample_set *set = &s->set[i];
        qsort(set->item, (size_t)set->n, sizeof *set->item, by_id);
        for (int64_t k = 1; k < set->n; k++)
            if (set->item[k].id == set->item[k - 1].id)
                return ERR(err, FORMAT, "%s: item %lld is there twice for filter '%s', expected each once", set->path, (long long)set->item[k].id, set->filter);
    }
    return 0;
}

static int load_lines(struct samples *s, int from, const struct file_map *m, const char *path, const char *metric, struct err *err)
{
    struct line l = { path, 0 };
    const char *at = m->data, *end = m->data + m->size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((stop ? stop : end) - at);
        json_t *o;
        char name[300];
        l.number++;
        snprintf(name, sizeof name, "%.250s: line %lld", path, (long long)l.number);
        if (n > LINE_MAX_BYTES)
            return bad(&l, err, "longer than 64 MB");
        if (n && !(n == 1 && *at == '\r')) {
            TRY(tree_parse_json(&o, at, n, name, err));
            const int rc = add_line(s, from, o, metric, &l, err);
            json_decref(o);
            TRY(rc);
        }
        at = stop ? stop + 1 : end;
    }
    return 0;
}

static int load_file(struct samples *s, const char *path, const char *metric, struct err *err)
{
    struct file_map m;
    const int from = s->n;
    TRY(file_map_open(&m, path, err));
    int rc = load_lines(s, from, &m, path, metric, err);
    file_map_close(&m);
    if (!rc && s->n == from)
        rc = ERR(err, FORMAT, "%s: no items, expected a line for each", path);
    rc = rc ? rc : check_metrics(s, from, metric, err);
    return rc ? rc : sort_sets(s, from, err);
}

/* ---- which way is better ---- */

/* By the results beside the samples; where they do not say: lower is better for what has loss, error, brier or ece in its name. */
static void set_direction(struct samples *s, const json_t *results)
{
    static const char *const low[] = { "loss", "error", "brier", "ece", "nll", "failed" };
    for (int i = 0; i < s->n; i++) {
        struct sample_set *set = &s->set[i];
        const json_t *told = json_object_get(json_object_get(json_object_get(results, "higher_is_better"), set->task), set->metric);
        if (is_log_likelihood(set->metric))
            continue;
        for (size_t k = 0; k < sizeof low / sizeof *low; k++)
            if (strstr(set->metric, low[k]))
                set->higher_is_better = false;
        if (json_is_boolean(told))
            set->higher_is_better = json_is_true(told);
    }
}

static int read_results(struct samples *s, const char *dir, char *const *names, int n, struct err *err)
{
    const char *last = NULL;
    json_t *results = NULL;
    for (int i = 0; i < n; i++)
        if (!strncmp(names[i], "results", 7) && file_name_ends(names[i], ".json"))
            last = names[i];
    if (last) {
        char *path = file_join(dir, last);
        const int rc = path ? tree_load(&results, path, LINE_MAX_BYTES, err) : ERR(err, NOMEM, "no memory for the name of %s", last);
        mem_free(path);
        TRY(rc);
    }
    set_direction(s, results);
    json_decref(results);
    return 0;
}

/* ---- a folder ---- */

static bool is_wanted(const char *tasks, const char *name, const char *date)
{
    const size_t n = (size_t)(date - name) - sizeof PREFIX + 1;
    if (!tasks || !*tasks)
        return true;
    for (const char *at = tasks; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, name + sizeof PREFIX - 1, n) && (at[n] == ',' || !at[n]))
            return true;
    return false;
}

/* Of the files of a task the last by name, whose dates sort. */
static bool is_older(char *const *names, int n, int i)
{
    const char *date = date_in(names[i]), *next = i + 1 < n ? date_in(names[i + 1]) : NULL;
    return next && date - names[i] == next - names[i + 1] && !strncmp(names[i], names[i + 1], (size_t)(date - names[i]));
}

static int load_names(struct samples *s, const char *dir, char *const *names, int n, const char *tasks, const char *metric, struct err *err)
{
    for (int i = 0; i < n; i++) {
        const char *date = date_in(names[i]);
        if (!date || !is_wanted(tasks, names[i], date))
            continue;
        if (is_older(names, n, i)) {
            s->n_older++;
            continue;
        }
        char *path = file_join(dir, names[i]);
        const int rc = path ? load_file(s, path, metric, err) : ERR(err, NOMEM, "no memory for the name of %s", names[i]);
        mem_free(path);
        TRY(rc);
    }
    return s->n ? read_results(s, dir, names, n, err) : ERR(err, NOTFOUND, "%s has no samples of the tasks '%s'", dir, tasks ? tasks : "");
}

static int load_folder(struct samples *s, const char *path, const char *tasks, const char *metric, struct err *err)
{
    char **names, *dir;
    int n;
    TRY(folder_of(path, &dir, err));
    if (!dir)
        return ERR(err, NOTFOUND, "%s has no samples_*.jsonl, in itself or a folder below", path);
    int rc = file_list(dir, &names, &n, err);
    if (!rc) {
        rc = load_names(s, dir, names, n, tasks, metric, err);
        file_list_free(names, n);
    }
    mem_free(dir);
    return rc;
}

int samples_load(struct samples *s, const char *path, const char *tasks, const char *metric, struct err *err)
{
    *s = (struct samples){ 0 };
    int rc = file_is_dir(path) ? load_folder(s, path, tasks, metric, err) : load_file(s, path, metric, err);
    if (!rc && !file_is_dir(path))
        set_direction(s, NULL);
    if (rc < 0)
        samples_release(s);
    return rc;
}

int samples_add(struct samples *s, const char *task, const json_t *line, int64_t cluster, bool higher_is_better, struct err *err)
{
    const struct line l = { task, json_integer_value(json_object_get(line, "doc_id")) };
    int from = s->n;
    while (from > 0 && !strcmp(s->set[from - 1].path, task))
        from--;
    TRY(add_line(s, from, line, NULL, &l, err));
    struct sample_set *set = find_set(s, from, filter_of(line));
    if (!set->metric)
        return bad(&l, err, "no metric, expected one");
    set->item[set->n - 1].cluster = cluster, set->higher_is_better = higher_is_better || is_log_likelihood(set->metric);
    return 0;
}

void samples_sort(struct samples *s)
{
    for (int i = 0; i < s->n; i++)
        if (s->set[i].n)                         /* a set without items has no memory, which qsort must not be given */
            qsort(s->set[i].item, (size_t)s->set[i].n, sizeof *s->set[i].item, by_id);
}

void samples_release(struct samples *s)
{
    for (int i = 0; i < s->n; i++) {
        struct sample_set *set = &s->set[i];
        for (int64_t k = 0; k < set->n; k++)
            release_sample(&set->item[k]);
        mem_free(set->item);
        mem_free(set->task);
        mem_free(set->filter);
        mem_free(set->metric);
        mem_free(set->other);
        mem_free(set->path);
    }
    mem_free(s->set);
    *s = (struct samples){ 0 };
}

/* ---- two of them ---- */

static void unpaired(struct sample_pairs *p, int64_t *count, int64_t id)
{
    (*count)++;
    if (p->n_first < (int)(sizeof p->first / sizeof *p->first))
        p->first[p->n_first++] = id;
}

int samples_pair(struct sample_pairs *p, const struct sample_set *old, const struct sample_set *new, struct err *err)
{
    *p = (struct sample_pairs){ .pair = mem_alloc_array((size_t)(old->n < new->n ? old->n : new->n) + 1, sizeof *p->pair) };
    if (!p->pair)
        return ERR(err, NOMEM, "no memory for the pairs of %lld items", (long long)old->n);
    for (int64_t i = 0, j = 0; i < old->n || j < new->n;) {
        const struct sample *a = i < old->n ? &old->item[i] : NULL, *b = j < new->n ? &new->item[j] : NULL;
        if (!b || (a && a->id < b->id)) {
            unpaired(p, &p->only_old, a->id), i++;
        } else if (!a || b->id < a->id) {
            unpaired(p, &p->only_new, b->id), j++;
        } else if (a->doc != b->doc) {
            unpaired(p, &p->other_doc, a->id), i++, j++;
        } else if (isnan(a->value) || isnan(b->value)) {
            unpaired(p, &p->no_value, a->id), i++, j++;
        } else {
            p->other_prompt += a->prompt && b->prompt && a->prompt != b->prompt;
            p->pair[p->n++] = (struct sample_pair){ i++, j++ };
        }
    }
    return 0;
}

void sample_pairs_release(struct sample_pairs *p)
{
    mem_free(p->pair);
    *p = (struct sample_pairs){ 0 };
}

const struct sample_set *samples_find(const struct samples *s, const struct sample_set *like)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->set[i].task, like->task) && !strcmp(s->set[i].filter, like->filter))
            return &s->set[i];
    return NULL;
}

int samples_measure(struct compare_result *r, const struct sample_set *old, const struct sample_set *new, const struct sample_pairs *p, const struct eprocess *stream,
                    const struct compare_opts *o, struct err *err)
{
    double *v = mem_alloc_array(3 * (size_t)p->n, sizeof *v);
    int64_t *cluster = mem_alloc_array((size_t)p->n, sizeof *cluster);
    for (int64_t i = 0; v && cluster && i < p->n; i++) {
        const struct sample *a = &old->item[p->pair[i].old], *b = &new->item[p->pair[i].new];
        v[i] = a->value, v[p->n + i] = b->value, v[2 * p->n + i] = a->weight, cluster[i] = a->cluster;
    }
    const struct compare_items x = { .old = v, .new = v ? v + p->n : v, .weight = v ? v + 2 * p->n : v, .cluster = cluster, .n = p->n, .higher_is_better = old->higher_is_better,
                                     .stream = stream };
    const int rc = v && cluster ? compare_measure(r, &x, o, err) : ERR(err, NOMEM, "no memory for %lld items", (long long)p->n);
    mem_free(v);
    mem_free(cluster);
    return rc;
}
