#include "serve/arms_parts.h"
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/fit.h"

/* ---- arms ---- */

bool arms_same(const struct arms_version *a, const struct arms_version *b) { return a->number && a->number == b->number && !strcmp(a->root, b->root); }

struct arm *arms_add(struct arms *a, const struct arms_version *v, struct err *err)
{
    struct arm *r = mem_alloc_zero(sizeof *r);
    if (!r) {
        ERR(err, NOMEM, "no memory for a version of %s", a->name);
        return NULL;
    }
    r->of = a, r->v = *v, r->state = ARM_LOADING;
    pthread_mutex_lock(&a->lock);
    r->next = a->arm, a->arm = r;
    pthread_mutex_unlock(&a->lock);
    return r;
}

void arms_remove(struct arms *a, struct arm *r)
{
    pthread_mutex_lock(&a->lock);
    for (struct arm **at = &a->arm; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    pthread_mutex_unlock(&a->lock);
    served_model_close(r->model);
    atomic_fetch_sub(&a->memory->taken, r->bytes);
    mem_free(r);
}

static bool more_memory(void *ctx, size_t bytes)
{
    struct arms_memory *m = ctx;
    const size_t taken = atomic_fetch_add(&m->taken, bytes);
    if (taken + bytes <= m->all)
        return true;
    atomic_fetch_sub(&m->taken, bytes);
    return false;
}
static void less_memory(void *ctx, size_t bytes) { atomic_fetch_sub(&((struct arms_memory *)ctx)->taken, bytes); }

struct served_model_opts arms_model_opts(const struct arms *a, const struct arms_version *v)
{
    struct served_model_opts o = a->o;
    const size_t taken = atomic_load(&a->memory->taken), left = a->memory->all > taken ? a->memory->all - taken : 1;
    o.name = a->name, o.memory = left;
    if (v->number)
        o.path = v->path, o.number = v->number, o.version_root = v->root, o.may_load = a->source.may_load;
    if (!o.share || o.share > left)
        o.share = left;
    o.more_memory = more_memory, o.less_memory = less_memory, o.ctx_of_memory = a->memory;
    return o;
}

/* ---- begin and end ---- */

static int open_first(struct arms *a, struct err *err)
{
    struct served_model *m;
    const double from = clock_wall();
    if (a->source.wanted)
        TRY(a->source.wanted(a->source.ctx, &a->wanted, err) < 0 ? err->code : 0);
    if (a->source.wanted && !a->wanted.stable.number)
        return ERR(err, NOTFOUND, "%s has no stable version to serve", a->name);
    struct engine_sizes sizes = { 0 };
    struct served_model_opts o = arms_model_opts(a, &a->wanted.stable);
    o.sizes = &sizes;
    TRY(served_model_open(&m, &o, err));
    struct arm *r = arms_add(a, &a->wanted.stable, err);
    if (!r) {
        served_model_close(m);
        return err->code;
    }
    r->model = m, r->bytes = m->bytes, r->sizes = sizes, r->state = ARM_READY;
    atomic_fetch_add(&a->memory->taken, r->bytes);
    a->s_per_byte = (clock_wall() - from) / (double)(m->bytes ? m->bytes : 1);
    a->route.stable = r;
    if (a->source.wanted) {
        a->source.told(a->source.ctx, &r->v, "serving", "");
        r->told = "serving";
    }
    return 0;
}

int arms_open(struct arms **out, const struct arms_opts *o, struct err *err)
{
    struct arms *a = *out = mem_alloc_zero(sizeof *a);
    if (!a)
        return ERR(err, NOMEM, "no memory for a model");
    *a = (struct arms){ .o = *o->model, .source = o->source, .memory = o->memory, .swap = o->swap, .reachable = true };
    pthread_mutex_init(&a->lock, NULL);
    clock_cond_init(&a->chosen);
    int rc = 0;
    if (o->model->name && !(a->name = mem_strdup(o->model->name)))
        rc = ERR(err, NOMEM, "no memory for the name of a model");
    if (!rc && a->source.wanted && o->model->n_adapter)
        rc = ERR(err, USAGE, "--adapter is for a model of a path: %s has versions, and an adapter is for one of them", a->name);
    rc = rc ? rc : open_first(a, err);
    if (!rc && !a->name && !(a->name = mem_strdup(a->route.stable->model->name)))
        rc = ERR(err, NOMEM, "no memory for the name of a model");
    if (!rc && a->source.wanted) {
        a->has_thread = !pthread_create(&a->thread, NULL, arms_follow, a);
        rc = a->has_thread ? 0 : ERR(err, NOMEM, "cannot start a thread that follows %s", a->name);
    }
    if (rc) {
        arms_close(a);
        *out = NULL;
    }
    return rc;
}

void arms_halt(struct arms *a)
{
    atomic_store(&a->quit, true);
    if (a->has_thread)
        pthread_join(a->thread, NULL);
    a->has_thread = false;
    for (struct arm *r = a->arm; r; r = r->next) {
        if (r->told && a->reachable && r->state != ARM_FAILED)
            a->source.told(a->source.ctx, &r->v, "gone", "");
        r->told = NULL;
        if (r->has_hand)                     /* a load cannot be broken off */
            pthread_join(r->hand, NULL);
        if (r->has_hand && r->state == ARM_CLOSING) {
            pthread_mutex_lock(&a->lock);
            r->model = NULL;
            pthread_mutex_unlock(&a->lock);
        }
        r->has_hand = false;
        if (r->model)
            served_model_halt(r->model);
    }
}

void arms_close(struct arms *a)
{
    if (!a)
        return;
    arms_halt(a);
    while (a->arm) {
        if (a->arm->loaded != a->arm->model)
            served_model_close(a->arm->loaded);
        arms_remove(a, a->arm);
    }
    pthread_cond_destroy(&a->chosen);
    pthread_mutex_destroy(&a->lock);
    mem_free(a->name);
    mem_free(a);
}

const char *arms_name(const struct arms *a) { return a->name; }
bool arms_follows(const struct arms *a) { return a->source.wanted != NULL; }

/* One that follows nothing has the same model for good; one that does has no adapters. */
int arms_find(const struct arms *a, const char *name)
{
    if (!a->source.wanted)
        return served_model_find(a->route.stable->model, name);
    return strcmp(name, a->name) ? -1 : 0;
}

int arms_find_latest(const struct arms *a, const char *name)
{
    const size_t n = strlen(a->name);
    if (!a->source.wanted)
        return served_model_find_latest(a->route.stable->model, name);
    return !strncmp(name, a->name, n) && (!name[n] || !strcmp(name + n, ":latest")) ? 0 : -1;
}

/* ---- choice ---- */

static bool splits(const struct arms_route *t) { return t->candidate && t->share > 0 && release_splits(t->mode); }

bool arms_splits(struct arms *a, uint64_t *salt)
{
    pthread_mutex_lock(&a->lock);
    const bool both = splits(&a->route);
    *salt = a->route.salt;
    pthread_mutex_unlock(&a->lock);
    return both;
}

struct served_model *arms_take(struct arms *a, int place, bool *is_candidate, double *wait_s)
{
    pthread_mutex_lock(&a->lock);
    struct arm *r = a->route.stable;
    *is_candidate = splits(&a->route) && place < a->route.share;
    r = *is_candidate ? a->route.candidate : r;
    const double left = a->swap_until > 0 ? a->swap_until - clock_wall() : 0;
    *wait_s = left > 1 ? left : 1;
    if (r)
        served_model_hold(r->model);
    pthread_mutex_unlock(&a->lock);
    return r ? r->model : NULL;
}

bool arms_wait(struct arms *a, double seconds)
{
    const struct timespec until = clock_in(seconds);
    pthread_mutex_lock(&a->lock);
    int rc = 0;
    while (!a->route.stable && !rc)
        rc = pthread_cond_timedwait(&a->chosen, &a->lock, &until);
    const bool can = a->route.stable != NULL;
    pthread_mutex_unlock(&a->lock);
    return can;
}

struct served_model *arms_shadow(struct arms *a)
{
    pthread_mutex_lock(&a->lock);
    struct served_model *m = a->route.shadow ? a->route.shadow->model : NULL;
    if (m)
        served_model_hold(m);
    pthread_mutex_unlock(&a->lock);
    return m;
}

struct served_model *arms_stable(struct arms *a)
{
    pthread_mutex_lock(&a->lock);
    struct served_model *m = a->route.stable ? a->route.stable->model : NULL;
    if (m)
        served_model_hold(m);
    pthread_mutex_unlock(&a->lock);
    return m;
}

static bool can_be_asked(const struct arm *r) { return r->model && r->state != ARM_CLOSING; }

int arms_hold(struct arms *a, struct served_model *out[ARMS_MAX])
{
    int n = 0;
    pthread_mutex_lock(&a->lock);
    if (a->route.stable)
        out[n++] = a->route.stable->model;
    for (const struct arm *r = a->arm; r && n < ARMS_MAX; r = r->next)
        if (can_be_asked(r) && r != a->route.stable)
            out[n++] = r->model;
    for (int i = 0; i < n; i++)
        served_model_hold(out[i]);
    pthread_mutex_unlock(&a->lock);
    return n;
}
