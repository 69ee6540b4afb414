#include "cmd/eval_table.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

/* ---- cells ---- */

enum { TASK, VERSION, FILTER, SHOT, METRIC, VALUE, STDERR, INTERVAL, ITEMS, N_COLUMN };
static const char *const head[N_COLUMN] = { "task", "version", "filter", "n-shot", "metric", "value", "stderr", "95 % interval", "n" };
static const bool right[N_COLUMN] = { [SHOT] = true, [VALUE] = true, [ITEMS] = true };
struct row { char cell[N_COLUMN][64]; };
struct table { struct row *row; int n, cap; int width[N_COLUMN]; };

static void set(struct row *r, int column, const char *s) { snprintf(r->cell[column], sizeof r->cell[column], "%s", s); }

static void set_number(struct row *r, int column, double v)
{
    snprintf(r->cell[column], sizeof r->cell[column], fabs(v) < 1000 ? "%.4f" : "%.6g", v);
}

static struct row *add(struct table *t)
{
    if (t->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 32;
        struct row *p = mem_realloc_array(t->row, (size_t)cap, sizeof *p);
        if (!p)
            return NULL;
        t->row = p, t->cap = cap;
    }
    struct row *r = &t->row[t->n++];
    memset(r, 0, sizeof *r);
    return r;
}

static void measure(struct table *t)
{
    for (int c = 0; c < N_COLUMN; c++) {
        t->width[c] = (int)strlen(head[c]);
        for (int i = 0; i < t->n; i++)
            if ((int)strlen(t->row[i].cell[c]) > t->width[c])
                t->width[c] = (int)strlen(t->row[i].cell[c]);
    }
}

static void print_row(const struct table *t, char cell[N_COLUMN][64])
{
    char line[N_COLUMN * 70];
    int n = 0;
    for (int c = 0; c < N_COLUMN; c++)
        n += snprintf(line + n, sizeof line - (size_t)n, right[c] ? "%s%*s" : "%s%-*s", c ? "  " : "", t->width[c], cell[c]);
    while (n && line[n - 1] == ' ')
        n--;
    printf("%.*s\n", n, line);
}

static void print_table(struct table *t)
{
    char names[N_COLUMN][64];
    measure(t);
    for (int c = 0; c < N_COLUMN; c++)
        snprintf(names[c], sizeof names[c], "%s", head[c]);
    print_row(t, names);
    for (int i = 0; i < t->n; i++)
        print_row(t, t->row[i].cell);
}

/* ---- rows ---- */

/* The direction that is better, as lm-evaluation-harness' arrows. */
static void set_metric(struct row *r, const char *name, bool higher)
{
    snprintf(r->cell[METRIC], sizeof r->cell[METRIC], "%.50s %s", name, higher ? "up" : "down");
}

static void set_uncertainty(struct row *r, double se, bool clusters, const double ci[2])
{
    if (isfinite(se))
        snprintf(r->cell[STDERR], sizeof r->cell[STDERR], "%.4f%s", se, clusters ? " c" : "");
    if (isfinite(ci[0]) && isfinite(ci[1]))
        snprintf(r->cell[INTERVAL], sizeof r->cell[INTERVAL], fabs(ci[1]) < 1000 ? "%.4f to %.4f" : "%.6g to %.6g", ci[0], ci[1]);
}

static int add_task(struct table *t, const struct results *r, int i, struct err *err)
{
    const struct eval_task *x = &r->e->task[i];
    for (int m = 0; m < x->n_metric; m++) {
        const struct eval_score *s = &r->score[i][m];
        const bool bbq = s->metric->aggregate == TASK_BBQ_AMBIG || s->metric->aggregate == TASK_BBQ_DISAMBIG;
        struct row *row = bbq && !s->n_item && x->n ? NULL : add(t);       /* a category that there are no files of */
        if (bbq && !s->n_item && x->n)
            continue;
        if (!row)
            return ERR(err, NOMEM, "no memory for a table");
        set(row, TASK, m ? "" : task_alias(x->t));
        set(row, VERSION, m ? "" : task_version(x->t));
        set(row, FILTER, s->metric->filter);
        if (!m)
            snprintf(row->cell[SHOT], sizeof row->cell[SHOT], "%d", task_fewshot(x->t));
        set_metric(row, s->metric->name, s->metric->higher_is_better);
        snprintf(row->cell[ITEMS], sizeof row->cell[ITEMS], "%lld", (long long)s->n_item);
        if (s->n_item)
            set_number(row, VALUE, s->value);
        else
            set(row, VALUE, "none");
        if (s->n_item)
            set_uncertainty(row, s->se, s->n_cluster < s->n_item, s->ci);
    }
    return 0;
}

static int add_group(struct table *t, const struct results *r, const struct task_group *g, struct err *err)
{
    for (int m = 0; m < g->n_metric; m++) {
        const char *filter[RESULTS_FILTERS];
        const int n = results_group_filters(r, g, m, filter);
        for (int i = 0; i < n; i++) {
            struct group_score s;
            struct row *row = results_group(r, g, m, filter[i], &s) ? add(t) : NULL;
            if (!row)
                continue;
            set(row, TASK, g->alias ? g->alias : g->name);
            set(row, VERSION, g->version ? g->version : "");
            set(row, FILTER, filter[i]);
            set(row, METRIC, g->metric[m].metric);
            set_number(row, VALUE, s.value);
            set_uncertainty(row, s.se, s.clusters, s.ci);
            snprintf(row->cell[ITEMS], sizeof row->cell[ITEMS], "%lld", (long long)s.n_item);
        }
    }
    (void)err;
    return 0;
}

/* ---- below it ---- */

static void tell_task(const struct eval_task *x)
{
    const struct eval_counts *c = &x->counts;
    const char *name = task_name(x->t);
    if (c->n_open)
        printf("%s: INCOMPLETE, %lld of %lld items have no answer\n", name, (long long)c->n_open, (long long)x->n);
    for (int64_t i = 0; c->n_failed && i < x->n; i++)
        if (x->item[i].state == EVAL_FAILED) {
            char place[300];
            task_doc_place(x->t, i, place, sizeof place);
            const bool placed = !strncmp(x->item[i].error, place, strlen(place));
            printf("%s: %lld of %lld items failed; the first: %s%s%s\n", name, (long long)c->n_failed, (long long)x->n, placed ? "" : place,
                   placed ? "" : ": ", x->item[i].error);
            break;
        }
    if (c->n_cut)
        printf("%s: %lld contexts were too long, %lld tokens were cut at their beginnings\n", name, (long long)c->n_cut, (long long)c->n_cut_token);
    if (c->n_joined)
        printf("%s: %lld items have a choice that one token joins with its context; it was scored by its own tokens\n", name, (long long)c->n_joined);
    if (c->n_unended)
        printf("%s: %lld answers were cut off at their greatest length\n", name, (long long)c->n_unended);
}

static void tell_conventions(const struct results_info *info)
{
    const struct encoder *e = info->encoder;
    size_t n = 0;
    const char *prefix = e->prefix >= 0 ? tok_bytes(e->tok, e->prefix, &n) : NULL;
    printf("conventions: before an empty context stands %.*s; texts begin with %s; at most %d tokens; acc_norm by characters; of equal choices the first\n",
           prefix ? (int)n : 7, prefix ? prefix : "nothing", info->adds_begin ? "what the tokenizer puts there" : "nothing more", e->max_length);
}

int eval_table(const struct results *r, const struct results_info *info, struct err *err)
{
    struct table t = { 0 };
    int rc = 0;
    bool clusters = false;
    for (int i = 0; i < r->list->n_group && !rc && !r->e->predict_only; i++)
        rc = add_group(&t, r, &r->list->group[i], err);
    for (int i = 0; i < r->e->n_task && !rc && !r->e->predict_only; i++) {
        rc = add_task(&t, r, i, err);
        for (int m = 0; m < r->e->task[i].n_metric; m++)
            clusters = clusters || (r->score[i][m].n_item && r->score[i][m].n_cluster < r->score[i][m].n_item);
    }
    if (!rc && t.n)
        print_table(&t);
    mem_free(t.row);
    TRY(rc);
    if (clusters)
        printf("c: standard errors of clusters\n");
    for (int i = 0; i < r->e->n_task; i++)
        tell_task(&r->e->task[i]);
    tell_conventions(info);
    return 0;
}
