#include "eval/task.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "eval/task_impl.h"

/* ---- opening ---- */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a task"); }

static int load(struct task *t, struct docs *out, const char *split, const struct task_opts *o, struct err *err)
{
    char folder[512] = "";
    const char *slash = t->file ? strrchr(t->file, '/') : NULL;
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - t->file > 500 ? 500 : slash - t->file), t->file);
    const struct data_request q = {
        .task = t->name, .path = t->dataset_path, .name = t->dataset_name, .kwargs = json_object_get(t->yaml.tree, "dataset_kwargs"),
        .folder = t->file ? (slash ? folder : ".") : NULL, .split = split, .main_split = t->split_main, .opts = o,
    };
    TRY(data_load(out, &q, err));
    const int rc = process_docs_run(&t->process, out, err);
    return rc ? err_context(err, "task '%s'", t->name) : 0;
}

/* What examples are drawn from: the split that the task names, its own samples, else training, validation or test documents. */
static int load_shots(struct task *t, const struct task_opts *o, struct err *err)
{
    const char *split = t->split_shot ? t->split_shot : t->samples ? NULL : t->split_train ? t->split_train : t->split_valid ? t->split_valid : t->split_test;
    if (!t->n_shot)
        return 0;
    if (!split) {
        t->shot_list = t->samples;
    } else if (!strcmp(split, t->docs.split)) {
        t->shot_list = t->docs.list;
    } else {
        const int rc = load(t, &t->shots, split, o, err);
        if (rc)
            return err_context(err, "few-shot examples");
        t->shot_list = t->shots.list;
    }
    return 0;
}

int task_open_source(struct task **out, const struct task_source *s, const json_t *overrides, const struct task_opts *o, struct err *err)
{
    struct task *t = mem_alloc_zero(sizeof *t);
    *out = NULL;
    if (!t)
        return no_memory(err);
    int rc = s->path && !(t->file = mem_strdup(s->path)) ? no_memory(err) : 0;
    rc = rc ? rc : task_source_parse(s, &t->yaml, err);
    if (!rc && overrides && json_object_update(t->yaml.tree, (json_t *)(uintptr_t)overrides))
        rc = no_memory(err);
    rc = rc ? rc : task_read(t, o, err);
    rc = rc ? rc : load(t, &t->docs, t->split_main, o, err);
    rc = rc ? rc : load_shots(t, o, err);
    rc = rc ? rc : task_prompts(t, o, err);
    if (rc)
        task_free(t);
    else
        *out = t;
    return rc;
}

int task_open(struct task **out, const char *name, const struct task_opts *o, struct err *err)
{
    struct err own;
    struct task_source s = { 0 };
    json_t *index = NULL;
    err = err ? err : &own;
    *out = NULL;
    int rc = task_index_make(&index, o, err);
    if (!rc && !(rc = task_source_find(&s, name, index, err)))
        rc = ERR(err, NOTFOUND, "there is no task '%s'; those built in are listed by `lathe eval --tasks list`", name);
    rc = rc < 0 ? rc : task_open_source(out, &s, NULL, o, err);
    task_source_release(&s);
    json_decref(index);
    return rc;
}

static void shot_release(struct shot_fields *s)
{
    field_release(&s->text), field_release(&s->target), field_release(&s->choice), field_release(&s->prefix);
}

void task_free(struct task *t)
{
    if (!t)
        return;
    for (int64_t i = 0; t->item && i < t->n_item; i++) {
        mem_free(t->item[i].request);
        mem_free(t->item[i].memory);
        mem_free(t->item[i].why);
        json_decref(t->item[i].choices);
        json_decref(t->item[i].target);
    }
    mem_free(t->item);
    if (t->base) {
        mem_free(t->name);
        mem_free(t);
        return;
    }
    for (int i = 0; i < t->n_metric; i++) {
        mem_free(t->metric[i].name);
        pyres_free(t->metric[i].ignore, t->metric[i].n_ignore);
    }
    mem_free(t->metric);
    mem_free(t->score);
    for (int i = 0; i < t->n_filters; i++)
        filters_release(&t->filters[i]);
    mem_free(t->filters);
    mem_free(t->generation.until);
    field_release(&t->text), field_release(&t->target), field_release(&t->choice), field_release(&t->description), field_release(&t->prefix);
    shot_release(&t->shot);
    process_docs_release(&t->process);
    docs_release(&t->docs);
    docs_release(&t->shots);
    json_decref(t->columns);
    task_yaml_release(&t->yaml);
    mem_free(t->file);
    mem_free(t->name);
    mem_free(t->version);
    mem_free(t);
}

/* ---- asking ---- */

const char *task_name(const struct task *t) { return t->name; }
const char *task_alias(const struct task *t) { return t->alias; }
const char *task_version(const struct task *t) { return t->version; }
int task_fewshot(const struct task *t) { return t->n_shot; }
const json_t *task_config(const struct task *t) { return t->yaml.tree; }
const char *task_data_name(const struct task *t) { return t->docs.file[0]; }
const char *task_data_sha256(const struct task *t) { return t->docs.sha256; }

bool task_data_has(const struct task *t, const char *sha256)
{
    for (int i = 0; i < t->docs.n_file; i++)
        if (!strcmp(t->docs.digest[i], sha256))
            return true;
    return false;
}

int64_t task_n_item(const struct task *t) { return t->n_item; }
int64_t task_n_document(const struct task *t) { return (int64_t)json_array_size(t->docs.list); }
int task_n_choice(const struct task *t, int64_t item) { return t->item[item].n_choice; }
int task_gold(const struct task *t, int64_t item) { return t->item[item].gold; }
int64_t task_cluster(const struct task *t, int64_t item) { return t->item[item].cluster; }
const json_t *task_doc(const struct task *t, int64_t item) { return json_array_get(t->docs.list, (size_t)item); }

const char *task_doc_place(const struct task *t, int64_t item, char *out, size_t n)
{
    docs_place(&t->docs, item, out, n);
    return out;
}

int task_requests(const struct task *t, int64_t item, const struct request **out, struct err *err)
{
    const struct item *it = &t->item[item];
    *out = it->request;
    if (!it->why)
        return it->n_request;
    return err ? (*err = *it->why).code : it->why->code;
}

void task_metrics(const struct task *t, const struct task_metric **out, int *n)
{
    *out = t->score, *n = t->n_score;
}
