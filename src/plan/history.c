#include "plan/history.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "base/when.h"

#define HISTORY_BYTES ((size_t)256 << 20)

static const char *const words[] = {
#define X(name, word, unit) word,
    PLANNED(X)
#undef X
};
static const char *const units[] = {
#define X(name, word, unit) unit,
    PLANNED(X)
#undef X
};

const char *planned_word(enum planned what) { return words[what]; }
const char *planned_unit(enum planned what) { return units[what]; }

char *plan_history_path(void)
{
    char *dir = file_state_dir(), *path = dir ? file_join(dir, "plans.jsonl") : NULL;
    mem_free(dir);
    return path;
}

static bool is_told(const struct plan_outcome *o) { return o->predicted > 0 && o->actual > 0 && isfinite(o->predicted) && isfinite(o->actual) && isfinite(o->actual / o->predicted); }

static int append(const char *path, const char *line, struct err *err)
{
    struct file_log log;
    TRY(file_log_open(&log, path, err));
    const int rc = file_log_line(&log, line, strlen(line), err);
    file_log_close(&log);
    return rc;
}

static int make_folder_of(const char *path, struct err *err)
{
    char *dir = file_parent(path);
    const int rc = dir ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(dir);
    return rc;
}

int plan_history_add(const char *path, const struct plan_outcome *o, struct err *err)
{
    if (!is_told(o))
        return 0;
    char when[WHEN_TEXT], machine[sizeof o->machine], model[sizeof o->model];
    utf8_fit(machine, sizeof machine, o->machine, strlen(o->machine)), utf8_fit(model, sizeof model, o->model, strlen(o->model));
    when_text(when, when_now());
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:f, s:f}", "time", when, "what", words[o->what], "machine", machine, "model", model, "predicted", o->predicted, "actual", o->actual);
    char *line = row ? tree_dumps(row, JSON_COMPACT) : NULL;
    json_decref(row);
    int rc = line ? make_folder_of(path, err) : ERR(err, NOMEM, "no memory to keep what was predicted");
    if (!rc)
        rc = append(path, line, err);
    mem_free(line);
    return rc;
}

/* ---- reading ---- */

static int read_row(const json_t *row, struct plan_outcome *o, const char *where, struct err *err)
{
    const char *when, *what, *machine, *model;
    int64_t moment;
    TRY(tree_str(row, "time", NULL, &when, where, err));
    TRY(tree_str(row, "what", NULL, &what, where, err));
    TRY(tree_str(row, "machine", NULL, &machine, where, err));
    TRY(tree_str(row, "model", NULL, &model, where, err));
    TRY(tree_num(row, "predicted", NAN, &o->predicted, where, err));
    TRY(tree_num(row, "actual", NAN, &o->actual, where, err));
    if (!when || !what || !machine || !model)
        return ERR(err, FORMAT, "%s: %s is missing", where, !when ? "time" : !what ? "what" : !machine ? "machine" : "model");
    TRY(when_parse(&moment, when, err));
    int i = 0;
    while (i < N_PLANNED && strcmp(words[i], what))
        i++;
    if (i == N_PLANNED)
        return ERR(err, FORMAT, "%s: what: found '%.40s', expected one such as %s", where, what, words[0]);
    if (!is_told(o))
        return ERR(err, FORMAT, "%s: found predicted %g and actual %g, expected numbers above 0 that can be divided", where, o->predicted, o->actual);
    o->what = (enum planned)i;
    snprintf(o->when, sizeof o->when, "%s", when), utf8_fit(o->machine, sizeof o->machine, machine, strlen(machine)), utf8_fit(o->model, sizeof o->model, model, strlen(model));
    return 0;
}

static int read_line(const char *line, size_t n, struct plan_outcome *o, const char *where, struct err *err)
{
    json_t *row;
    TRY(tree_parse_json(&row, line, n, where, err));
    const int rc = read_row(row, o, where, err);
    json_decref(row);
    return rc;
}

int plan_history_parse(struct plan_history *h, const char *text, size_t n, struct err *err)
{
    size_t n_line = 0;
    *h = (struct plan_history){ 0 };
    for (const char *p = text; (p = memchr(p, '\n', n - (size_t)(p - text))); p++)
        n_line++;
    h->outcome = mem_alloc_array(n_line + 1, sizeof *h->outcome);
    if (!h->outcome)
        return ERR(err, NOMEM, "no memory for the %zu lines of what was predicted", n_line);
    int number = 1;
    for (const char *p = text, *end = text + n; p < end; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        char where[64];
        struct err bad;
        snprintf(where, sizeof where, "line %d", number);
        const size_t length = (size_t)((stop ? stop : end) - p);
        const int rc = length ? read_line(p, length, &h->outcome[h->n], where, &bad) : 0;
        if (rc == ERR_NOMEM)
            return plan_history_release(h), ERR(err, NOMEM, "%s", bad.msg);
        if (rc < 0 && !h->n_bad++)
            h->bad = bad;
        h->n += length && !rc;
        p += length + 1;
    }
    return 0;
}

int plan_history_read(struct plan_history *h, const char *path, struct err *err)
{
    *h = (struct plan_history){ 0 };
    if (!file_exists(path))
        return 0;
    struct buf text;
    buf_init(&text);
    int rc = file_read(path, HISTORY_BYTES, &text, err);
    if (!rc)
        rc = plan_history_parse(h, text.data, text.len, err);
    buf_release(&text);
    return rc;
}

void plan_history_release(struct plan_history *h)
{
    mem_free(h->outcome);
    *h = (struct plan_history){ 0 };
}

/* ---- errors ---- */

static bool same_kind(const struct plan_outcome *a, const struct plan_outcome *b) { return a->what == b->what && !strcmp(a->machine, b->machine); }

/* Of the outcomes of one kind from i on; v has room for all. */
static struct plan_error error_of(const struct plan_history *h, int i, double *v)
{
    struct plan_error e = { .what = h->outcome[i].what, .machine = h->outcome[i].machine };
    for (int j = i; j < h->n; j++)
        if (same_kind(&h->outcome[i], &h->outcome[j]))
            v[e.n++] = h->outcome[j].actual / h->outcome[j].predicted - 1, e.last = &h->outcome[j];
    e.bias = stat_median(v, e.n);
    for (int j = 0; j < e.n; j++)
        v[j] = fabs(v[j]), e.worst = fmax(e.worst, v[j]);
    e.median = stat_median(v, e.n), e.p90 = stat_quantile(v, e.n, 0.9);
    return e;
}

int plan_history_errors(const struct plan_history *h, struct plan_error **out, int *n, struct err *err)
{
    *n = 0;
    double *v = mem_alloc_array((size_t)h->n + 1, sizeof *v);
    *out = mem_alloc_array((size_t)h->n + 1, sizeof **out);
    if (!v || !*out) {
        mem_free(v), mem_free(*out), *out = NULL;
        return ERR(err, NOMEM, "no memory for %d outcomes", h->n);
    }
    for (int i = 0; i < h->n; i++) {
        int j = 0;
        while (j < *n && !same_kind((*out)[j].last, &h->outcome[i]))
            j++;
        if (j == *n)
            (*out)[(*n)++] = error_of(h, i, v);
    }
    mem_free(v);
    return 0;
}
