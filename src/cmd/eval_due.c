#include "cmd/eval_due.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_tasks.h"
#include "cmd/model_evidence.h"
#include "eval/due.h"
#include "eval/evidence.h"
#include "store/evidence_kind.h"

static int add_missing(struct task_list *l, const char *name, const struct err *why, struct err *err)
{
    struct task_missing *m = mem_realloc_array(l->missing, (size_t)l->n_missing + 1, sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory for a list of tasks");
    l->missing = m;
    m[l->n_missing].name = mem_strdup(name), m[l->n_missing].why = *why;
    return m[l->n_missing].name ? l->n_missing++, 0 : ERR(err, NOMEM, "no memory for a list of tasks");
}

int eval_due_open(struct task_list *l, const struct task_opts *o, struct err *err)
{
    json_t *names;
    size_t i;
    json_t *v;
    TRY(task_names(&names, l, o, err));
    int rc = 0;
    json_array_foreach(names, i, v) {
        struct err why = { 0 };
        const int before = l->n_missing;
        const int got = rc ? 0 : task_list_add(l, json_string_value(v), o, &why);
        if (got == ERR_NOTFOUND ? l->n_missing == before : got == ERR_UNSUPPORTED || got == ERR_USAGE || got == ERR_FORMAT)
            rc = add_missing(l, json_string_value(v), &why, err);        /* nobody has named it: it is counted */
        else if (got < 0 && got != ERR_NOTFOUND)
            *err = why, rc = got;
    }
    json_decref(names);
    return rc;
}

/* ---- what is known ---- */

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "-";
}

static void print_about(const json_t *a)
{
    static const char *const share[] = { "chance", "human", "best" };
    printf(" %-10s", text(a, "added"));
    for (size_t i = 0; i < sizeof share / sizeof *share; i++)
        if (isnan(tree_number_at(a, share[i])))
            printf(" %6s", "-");
        else
            printf(" %6.3f", tree_number_at(a, share[i]));
    printf(" %-10s %-9s", text(a, "best_date"), text(a, "state"));
}

#define ABOUT_HEAD " added      chance  human   best of         state    "

static json_t *described(const char *name, const char *description, struct task_list *l, const struct task_opts *o, struct err *err)
{
    json_t *meta = NULL, *about = NULL;
    if (strchr(name, '*'))               /* a family: its groups have what is known */
        return due_about(&about, name, NULL, err) ? NULL : about;
    int rc = task_metadata(&meta, l, name, o, err);
    rc = rc ? rc : due_about(&about, name, meta, err);
    json_decref(meta);
    if (!rc && description)
        rc = evidence_put(about, "description", json_string(description), err);
    if (rc)
        json_decref(about), about = NULL;
    return about;
}

static int list_one(json_t *all, const char *name, const char *description, struct task_list *l, const struct task_opts *o, struct err *err)
{
    json_t *a = described(name, description, l, o, err);
    if (!a)
        return err->code;
    if (!cmd_json) {
        printf("%-32s", name);
        print_about(a);
        printf("  %s\n", description ? description : "");
    }
    return evidence_put(all, name, a, err);
}

int eval_due_tasks(const struct task_opts *o, struct err *err)
{
    struct task_list l = { 0 };
    json_t *all = json_object(), *names = NULL, *v;
    size_t i;
    int rc = all ? task_names(&names, &l, o, err) : ERR(err, NOMEM, "no memory for a list of tasks");
    if (!rc && !cmd_json)
        printf("%-32s%s\n", "task", ABOUT_HEAD);
    for (const struct task_builtin *t = task_builtins(); t->name && !rc; t++)
        rc = list_one(all, t->name, t->description, &l, o, err);
    json_array_foreach(names, i, v)
        if (!rc && !json_object_get(all, json_string_value(v)))
            rc = list_one(all, json_string_value(v), NULL, &l, o, err);
    task_list_release(&l);
    json_decref(names);
    if (!rc && cmd_json)
        return cmd_print_json(all, err);
    json_decref(all);
    return rc;
}

/* ---- what is due ---- */

struct picking { json_t *ran, *report, *evidence, *tasks; bool *keep; int n_due; };

static int pick_one(struct picking *p, const struct task_list *l, int i, struct err *err)
{
    const struct task *t = l->task[i];
    char why[DUE_WHY];
    json_t *about, *leaks;
    p->keep[i] = due_is(p->ran, t, why);
    p->n_due += p->keep[i];
    TRY(due_about(&about, task_name(t), json_object_get(task_config(t), "metadata"), err));
    TRY(evidence_put(p->tasks, task_name(t), about, err));
    TRY(evidence_put(about, "due", json_boolean(p->keep[i]), err));
    TRY(evidence_put(about, "why", json_string(why), err));
    TRY(evidence_put(about, "version", json_string(task_version(t)), err));
    TRY(evidence_put(about, "items", json_integer(task_n_item(t)), err));
    if (!p->report)
        return 0;
    TRY(due_leaks(&leaks, p->report, t, err));
    return evidence_put(about, "leaked", leaks ? leaks : json_null(), err);
}

static void print_due(const struct picking *p, const struct task_list *l)
{
    const char *name;
    json_t *t;
    printf("%-32s%s%s  why\n", "task", ABOUT_HEAD, p->report ? " in the data" : "");
    json_object_foreach(p->tasks, name, t) {
        const json_t *leaked = json_object_get(t, "leaked");
        char share[40] = "not looked";
        if (json_is_object(leaked))
            snprintf(share, sizeof share, "%.1f %%", 100 * tree_number_at(leaked, "share"));
        printf("%-32s", name);
        print_about(t);
        if (p->report)
            printf(" %11s", share);
        printf("  %s%s\n", json_is_true(json_object_get(t, "due")) ? "due: " : "", text(t, "why"));
    }
    if (l->n_missing)
        printf("%d more tasks have no data here or cannot be asked; of the first, %s: %s\n", l->n_missing, l->missing[0].name, l->missing[0].why.msg);
}

static int read_report(struct picking *p, const char *folder, struct err *err)
{
    if (!folder)
        return 0;
    char *path = file_join(folder, "report.json");
    const int rc = path ? tree_load(&p->report, path, EVIDENCE_BYTES_MAX, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    TRY(rc);
    return json_is_array(json_object_get(p->report, "contamination"))
               ? 0 : ERR(err, USAGE, "--contamination: '%s' looked for no evaluation sets: lathe data audit --against does", folder);
}

static int missing_part(json_t *evidence, const struct task_list *l, struct err *err)
{
    json_t *list[2] = { json_array(), json_array() };
    const int rc = evidence_put(evidence, "without_data", list[0], err);
    TRY(evidence_put(evidence, "cannot_be_asked", list[1], rc ? NULL : err));
    TRY(rc);
    for (int i = 0; i < l->n_missing; i++)
        if (json_array_append_new(list[l->missing[i].why.code != ERR_NOTFOUND], json_string(l->missing[i].name)))
            return ERR(err, NOMEM, "no memory for a list of tasks");
    return 0;
}

static int pick(struct picking *p, struct task_list *l, const struct eval_due *o, const char *model_sha256, const char *adapter_sha256, struct err *err)
{
    json_t *earlier = NULL;
    TRY(read_report(p, o->contamination, err));
    if (file_is_dir(o->out))
        TRY(evidence_read(&earlier, o->out, err));
    const int rc = due_ran(&p->ran, earlier, model_sha256, adapter_sha256, err);
    json_decref(earlier);
    TRY(rc);
    TRY(evidence_put(p->evidence, "tasks", json_object(), err));
    p->tasks = json_object_get(p->evidence, "tasks");
    if (!(p->keep = mem_alloc_array((size_t)l->n_task + 1, sizeof *p->keep)))
        return ERR(err, NOMEM, "no memory for a list of tasks");
    for (int i = 0; i < l->n_task; i++)
        TRY(pick_one(p, l, i, err));
    TRY(evidence_figure(p->evidence, &(struct evidence_figure){ "tasks_due", NULL, p->n_due, NAN, NAN, l->n_task, EVIDENCE_NEITHER, "tasks that the model has not been asked as they are now" }, err));
    return missing_part(p->evidence, l, err);
}

int eval_due_pick(struct task_list *l, const struct eval_due *o, const char *model, const char *model_sha256, const char *adapter_sha256, int64_t seed, struct err *err)
{
    struct picking p = { .n_due = 0 };
    TRY(model_evidence(&p.evidence, "due", model, model_sha256, seed, eval_asked.limit, err));
    int rc = pick(&p, l, o, model_sha256, adapter_sha256, err);
    if (!rc && !o->list)
        rc = evidence_write(p.evidence, o->out, NULL, err);
    if (!rc && !cmd_json) {
        print_due(&p, l);
        printf("%d of %d tasks are due\n", p.n_due, l->n_task);
    }
    if (!rc && cmd_json && o->list)
        rc = cmd_print_json(json_incref(p.evidence), err);
    if (!rc)
        task_list_keep(l, p.keep);
    json_decref(p.ran);
    json_decref(p.report);
    json_decref(p.evidence);
    mem_free(p.keep);
    return rc;
}
