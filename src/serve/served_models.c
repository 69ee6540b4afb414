#include "serve/served_models.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/fit.h"
#include "serve/machine.h"
#include "serve/served_device.h"

/* "A takes 1.2 GB, B takes 300 MB": of those that are open; one that just gives way to its next version is none. */
static void list_sizes(const struct served_models *m, struct buf *b)
{
    char bytes[32];
    for (int i = 0; i < m->n; i++) {
        struct served_model *s = arms_stable(m->name[i]);
        if (!s)
            continue;
        buf_printf(b, NULL, "%s%s takes %s", b->len ? ", " : "", s->name, fmt_bytes(bytes, (double)s->bytes));
        served_model_drop(s);
    }
}

/* What a model that does not fit beside the others should be told with. */
static int tell_sizes(const struct served_models *m, struct err *err)
{
    struct buf b;
    char all[32];
    buf_init(&b);
    list_sizes(m, &b);
    if (b.len)
        err_context(err, "of %s for all models, %s", fmt_bytes(all, (double)m->memory.all), b.data);
    buf_release(&b);
    return err->code;
}

static int open_one(struct served_models *m, const struct arms_opts *o, struct err *err)
{
    struct arms *a;
    const int rc = arms_open(&a, o, err);
    if (rc < 0)
        return rc == ERR_NOMEM ? tell_sizes(m, err) : rc;
    int which;
    const bool twice = served_models_find(m, arms_name(a), &which) != NULL;
    m->name[m->n++] = a;
    return twice ? ERR(err, USAGE, "two models are called '%.200s': give them names, as NAME=PATH", arms_name(a)) : 0;
}

/* One that follows a source leaves as much to the version that comes. */
static size_t share_of(const struct served_models *m, const struct model_place *place, int n)
{
    size_t parts = 0, taken = atomic_load(&m->memory.taken);
    for (int i = m->n; i < n; i++)
        parts += place[i].source.wanted ? 2 : 1;
    return m->memory.all > taken ? (m->memory.all - taken) / parts : 1;
}

/* Models that are still to find room on the device of the next one. */
static int on_device(const struct served_models *m, const struct model_place *place, int n)
{
    int parts = 0;
    for (int i = m->n; place[m->n].device && i < n; i++)
        if (place[i].device && !strcmp(place[i].device, place[m->n].device))
            parts += place[i].source.wanted ? 2 : 1;
    return parts;
}

int served_models_open(struct served_models *m, const struct served_model_opts *o, const struct model_place *place, int n, size_t memory, bool swap, struct err *err)
{
    bool follows = false;
    *m = (struct served_models){ .name = mem_alloc_array((size_t)n, sizeof *m->name) };
    m->memory.all = memory ? memory : o->fit ? fit_budget(mem_available()) : mem_available();
    for (int i = 0; i < n; i++)
        follows = follows || place[i].source.wanted;
    int rc = m->name ? 0 : ERR(err, NOMEM, "no memory for %d models", n);
    if (!rc && (n > 1 || follows))
        rc = machine_new(&m->machine, err);
    for (int i = 0; i < n && !rc; i++) {
        struct served_model_opts own = *o;
        own.path = place[i].path, own.name = place[i].name, own.device = place[i].device, own.n_device = on_device(m, place, n), own.share = share_of(m, place, n), own.machine = m->machine;
        rc = open_one(m, &(struct arms_opts){ &own, place[i].source, &m->memory, swap }, err);
    }
    if (rc)
        served_models_close(m);
    return rc;
}

void served_models_halt(struct served_models *m)
{
    for (int i = 0; i < m->n; i++)
        arms_halt(m->name[i]);
}

void served_models_close(struct served_models *m)
{
    for (int i = 0; i < m->n; i++)
        arms_close(m->name[i]);
    machine_free(m->machine);
    mem_free(m->name);
    *m = (struct served_models){ 0 };
}

struct arms *served_models_find(const struct served_models *m, const char *name, int *which)
{
    for (int i = 0; i < m->n; i++)
        if ((*which = arms_find(m->name[i], name)) >= 0)
            return m->name[i];
    return NULL;
}

static struct arms *find_latest(const struct served_models *m, const char *name, int *which)
{
    for (int i = 0; i < m->n; i++)
        if ((*which = arms_find_latest(m->name[i], name)) >= 0)
            return m->name[i];
    return NULL;
}

static struct arms *none(const struct served_models *m, const char *name, struct refusal *e)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < m->n; i++)
        buf_printf(&b, NULL, "%s'%s'", !i ? "" : i == m->n - 1 ? " and " : ", ", arms_name(m->name[i]));
    if (name)
        refuse_as(e, 404, NULL, "model_not_found", "model", "model '%.100s' is not served here, %s %s", name, b.data, m->n > 1 ? "are" : "is");
    else
        refuse(e, "model", "model is missing: %s are served here", b.data);
    buf_release(&b);
    return NULL;
}

struct arms *served_models_asked(const struct served_models *m, const json_t *request, int *which, struct refusal *e)
{
    const json_t *v = json_object_get(request, "model");
    assert(m->n);
    *which = 0;
    v = json_is_null(v) ? NULL : v;
    v = v ? v : json_object_get(request, "name");
    v = json_is_null(v) ? NULL : v;
    const char *name = in_word(v);           /* readers refuse others */
    if (!name)
        return m->n > 1 && !v ? none(m, NULL, e) : m->name[0];
    struct arms *a = served_models_find(m, name, which);
    a = a ? a : find_latest(m, name, which);
    return a ? a : none(m, name, e);
}

void served_models_hold(const struct served_models *m, bool all, struct served_list *out)
{
    out->n = 0;
    for (int i = 0; i < m->n; i++) {
        struct served_model *s = all ? NULL : arms_stable(m->name[i]);
        if (all)
            out->n += arms_hold(m->name[i], out->model + out->n);
        else if (s)
            out->model[out->n++] = s;
    }
}

void served_list_drop(struct served_list *l)
{
    for (int i = 0; i < l->n; i++)
        served_model_drop(l->model[i]);
    l->n = 0;
}

enum served_state served_models_state(const struct served_models *m)
{
    enum served_state state = SERVED_WELL;
    struct served_list l;
    served_models_hold(m, true, &l);
    for (int i = 0; i < l.n; i++) {
        const struct served_device *d = l.model[i]->device;
        const enum served_state is = !d ? SERVED_WELL : atomic_load(&d->stranded) ? SERVED_STRANDED : atomic_load(&d->moves) ? SERVED_MOVES : SERVED_WELL;
        state = is > state ? is : state;
    }
    served_list_drop(&l);
    return state;
}

struct served_count served_models_count(const struct served_models *m)
{
    struct served_count n = { 0 };
    struct served_list l;
    served_models_hold(m, true, &l);
    for (int i = 0; i < l.n; i++) {
        struct batch_counts c;
        served_model_counts(l.model[i], &c);
        n.n_running += c.n_running, n.n_waiting += c.n_waiting, n.n_step += c.n_step;
        n.n_with_steps += l.model[i]->batch ? c.n_running + c.n_waiting : 0;
    }
    served_list_drop(&l);
    return n;
}
