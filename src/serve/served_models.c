#include "serve/served_models.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/fit.h"
#include "serve/machine.h"

/* "A takes 1.2 GB, B 300 MB": of those that are open. */
static void list_sizes(const struct served_models *m, struct buf *b)
{
    char bytes[32];
    for (int i = 0; i < m->n; i++)
        buf_printf(b, NULL, "%s%s takes %s", i ? ", " : "", m->model[i]->name, fmt_bytes(bytes, (double)m->model[i]->bytes));
}

/* What a model that does not fit beside the others should be told with. */
static int tell_sizes(const struct served_models *m, size_t memory, struct err *err)
{
    struct buf b;
    char all[32];
    buf_init(&b);
    list_sizes(m, &b);
    if (m->n)
        err_context(err, "of %s for all models, %s", fmt_bytes(all, (double)memory), b.data);
    buf_release(&b);
    return err->code;
}

static int open_one(struct served_models *m, const struct served_model_opts *o, size_t memory, size_t *left, struct err *err)
{
    struct served_model *s;
    struct served_model_opts own = *o;
    own.memory = *left, own.machine = m->machine;
    const int rc = served_model_open(&s, &own, err);
    if (rc < 0)
        return rc == ERR_NOMEM ? tell_sizes(m, memory, err) : rc;
    int which;
    const bool twice = served_models_find(m, s->name, &which) != NULL;
    m->model[m->n++] = s;
    *left -= s->bytes < *left ? s->bytes : *left;
    return twice ? ERR(err, USAGE, "two models are called '%.200s': give them names, as NAME=PATH", s->name) : 0;
}

int served_models_open(struct served_models *m, const struct served_model_opts *o, const struct model_place *place, int n, size_t memory, struct err *err)
{
    size_t left = memory ? memory : o->fit ? fit_budget(mem_available()) : mem_available();
    const size_t all = left;
    *m = (struct served_models){ .model = mem_alloc_array((size_t)n, sizeof *m->model) };
    int rc = m->model ? 0 : ERR(err, NOMEM, "no memory for %d models", n);
    if (!rc && n > 1)
        rc = machine_new(&m->machine, err);
    for (int i = 0; i < n && !rc; i++) {
        struct served_model_opts own = *o;
        own.path = place[i].path, own.name = place[i].name, own.share = left / (size_t)(n - i);
        rc = open_one(m, &own, all, &left, err);
    }
    if (rc)
        served_models_close(m);
    return rc;
}

void served_models_halt(struct served_models *m)
{
    for (int i = 0; i < m->n; i++)
        served_model_halt(m->model[i]);
}

void served_models_close(struct served_models *m)
{
    for (int i = 0; i < m->n; i++)
        served_model_close(m->model[i]);
    machine_free(m->machine);
    mem_free(m->model);
    *m = (struct served_models){ 0 };
}

struct served_model *served_models_find(const struct served_models *m, const char *name, int *which)
{
    for (int i = 0; i < m->n; i++)
        if ((*which = served_model_find(m->model[i], name)) >= 0)
            return m->model[i];
    return NULL;
}

static struct served_model *find_latest(const struct served_models *m, const char *name, int *which)
{
    for (int i = 0; i < m->n; i++)
        if ((*which = served_model_find_latest(m->model[i], name)) >= 0)
            return m->model[i];
    return NULL;
}

static struct served_model *none(const struct served_models *m, const char *name, struct refusal *e)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < m->n; i++)
        buf_printf(&b, NULL, "%s'%s'", !i ? "" : i == m->n - 1 ? " and " : ", ", m->model[i]->name);
    if (name)
        refuse_as(e, 404, NULL, "model_not_found", "model", "model '%.100s' is not served here, %s %s", name, b.data, m->n > 1 ? "are" : "is");
    else
        refuse(e, "model", "model is missing: %s are served here", b.data);
    buf_release(&b);
    return NULL;
}

struct served_model *served_models_asked(const struct served_models *m, const json_t *request, int *which, struct refusal *e)
{
    const json_t *v = json_object_get(request, "model");
    assert(m->n);
    *which = 0;
    v = json_is_null(v) ? NULL : v;
    v = v ? v : json_object_get(request, "name");
    v = json_is_null(v) ? NULL : v;
    const char *name = in_word(v);           /* readers refuse others */
    if (!name)
        return m->n > 1 && !v ? none(m, NULL, e) : m->model[0];
    struct served_model *s = served_models_find(m, name, which);
    s = s ? s : find_latest(m, name, which);
    return s ? s : none(m, name, e);
}

struct served_count served_models_count(const struct served_models *m)
{
    struct served_count n = { 0 };
    for (int i = 0; i < m->n; i++) {
        struct batch_counts c;
        served_model_counts(m->model[i], &c);
        n.n_running += c.n_running, n.n_waiting += c.n_waiting, n.n_step += c.n_step;
        n.n_with_steps += m->model[i]->batch ? c.n_running + c.n_waiting : 0;
    }
    return n;
}
