/* arms_follow.c - the thread that brings the arms of a name to what its source wants, a step at a time and never waiting. */
#include "serve/arms_parts.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

#define EVERY_MS 25
#define WARM_PROMPT 16           /* tokens */
#define WARM_MOST 4

/* ---- telling ---- */

static void tell(struct arms *a, struct arm *r, const char *state, const char *message)
{
    const bool same = r->told && !strcmp(r->told, state);
    if (same && !r->again)
        return;
    r->told = state, r->again = false;
    if (!same)
        log_info("%s@%lld: %s%s%s", a->name, (long long)r->v.number, state, *message ? ": " : "", message);
    a->source.told(a->source.ctx, &r->v, state, message);
}

/* The source wants something else: whoever waits for that sees that it was heard. */
static void tell_again(struct arms *a)
{
    for (struct arm *r = a->arm; r; r = r->next) {
        r->again = r->told != NULL;
        if (r->state == ARM_LOADING || r->state == ARM_WARMING)
            tell(a, r, "loading", "");
    }
}

static void set_state(struct arms *a, struct arm *r, enum arm_state state)
{
    pthread_mutex_lock(&a->lock);
    r->state = state;
    pthread_mutex_unlock(&a->lock);
}

/* ---- loading ---- */

static void *load(void *ctx)
{
    struct arm *r = ctx;
    const double from = clock_wall();
    served_model_load(&r->loaded, &r->o, &r->err);       /* NULL where it failed */
    r->seconds = clock_wall() - from;
    atomic_store(&r->hand_done, true);
    return NULL;
}

static void *unload(void *ctx)
{
    struct arm *r = ctx;
    served_model_close(r->model);
    atomic_store(&r->hand_done, true);
    return NULL;
}

static bool start_hand(struct arm *r, void *(*work)(void *))
{
    atomic_store(&r->hand_done, false);
    return r->has_hand = !pthread_create(&r->hand, NULL, work, r);
}

static void fail(struct arms *a, struct arm *r, const struct err *err)
{
    pthread_mutex_lock(&a->lock);
    r->state = ARM_FAILED, r->seq = a->wanted.seq;
    snprintf(r->message, sizeof r->message, "%s", err->msg);
    pthread_mutex_unlock(&a->lock);
    tell(a, r, "failed", r->message);
}

/* Beside another version on its device: whole, or not at all, as then that one may go. */
static void be_whole_beside_another(const struct arms *a, struct served_model_opts *o)
{
    bool beside = false;
    for (const struct arm *q = a->arm; q; q = q->next)
        beside |= q->model != NULL;
    if (!beside || !o->device)
        return;
    o->n_device = 1;
    if (o->device_layers == ENGINE_LAYERS_FIT)
        o->device_layers = 0;
}

static void begin_load(struct arms *a, const struct arms_version *v)
{
    struct err err;
    struct arm *r = arms_add(a, v, &err);
    if (!r) {
        log_warn("%s", err.msg);
        return;
    }
    tell(a, r, "loading", "");
    r->o = arms_model_opts(a, &r->v);
    be_whole_beside_another(a, &r->o);
    r->o.quiet = a->route.stable != NULL, r->o.sizes = &r->sizes;
    if (!start_hand(r, load)) {
        ERR(&err, NOMEM, "cannot start a thread to load it");
        fail(a, r, &err);
    }
}

/* ---- the first steps ---- */

static void warmed(void *ctx, enum text_end end, int n_kept, const struct err *err)
{
    (void)end, (void)n_kept, (void)err;
    atomic_store(&((struct arm *)ctx)->warm, true);
}

static bool go_on(void *ctx, const struct text_token *t)
{
    (void)ctx, (void)t;
    return true;
}

/* A prompt and a few tokens, so that what is touched for the first time is touched by nobody's request. */
static void begin_warming(struct arms *a, struct arm *r)
{
    struct served_model *s = r->model;
    int32_t ids[WARM_PROMPT];
    struct err err;
    uint64_t id;
    set_state(a, r, ARM_WARMING);
    if (!s->batch) {
        atomic_store(&r->warm, true);
        return;
    }
    const int room = served_model_ctx(s) - WARM_MOST, n = room < 1 ? 1 : room < WARM_PROMPT ? room : WARM_PROMPT;
    for (int i = 0; i < n; i++)
        ids[i] = i % served_model_config(s)->vocab_size;
    const struct text_request q = { .ids = ids, .n = n, .most = WARM_MOST, .n_logprob = -1, .place = served_model_as(s, 0).place, .token = go_on, .done = warmed, .ctx = r };
    if (batch_submit(s->batch, &q, &id, &err) < 0)
        atomic_store(&r->warm, true);
}

/* ---- where there is no room ---- */

static bool is_routed(const struct arms *a, const struct arm *r) { return r == a->route.stable || r == a->route.candidate; }

static bool holds_models_back(const struct arms *a)
{
    for (const struct arm *r = a->arm; r; r = r->next)
        if (r->model && !is_routed(a, r))
            return true;
    return false;
}

/* Until the texts under way have ended, their model is closed, and the other is loaded as fast as the last one was. */
static double expected_pause(const struct arms *a, const struct arm *r)
{
    struct live now;
    struct batch_counts n;
    const struct arm *old = a->route.stable;
    metrics_live(old->model->metrics, clock_wall(), 0, &now);
    served_model_counts(old->model, &n);
    return (n.n_running + n.n_waiting ? now.e2e.p95 : 0) + a->s_per_byte * (double)(r->sizes.total ? r->sizes.total : old->bytes);
}

static void begin_swap(struct arms *a, struct arm *r)
{
    struct arm *old = a->route.stable;
    const double s = expected_pause(a, r);
    char text[160];
    snprintf(text, sizeof text, "it does not fit beside version %lld, which ends its texts and goes first: a pause of about %.1f s", (long long)old->v.number, s);
    log_warn("%s@%lld: %s", a->name, (long long)r->v.number, text);
    a->source.told(a->source.ctx, &r->v, "loading", text);
    a->swap_for = r->v, a->last = old->v, a->lean = true;
    a->swap_from = clock_wall(), a->swap_s = s;
    pthread_mutex_lock(&a->lock);
    a->route = (struct arms_route){ 0 };
    a->swap_until = a->swap_from + s;
    pthread_mutex_unlock(&a->lock);
}

/* Is it to have the place of the one that answers, sooner or later? */
static bool takes_over(const struct arms *a, const struct arm *r)
{
    const struct arms_wanted *w = &a->wanted;
    return arms_same(&r->v, &w->stable) || (w->mode == RELEASE_GREEN && arms_same(&r->v, &w->candidate));
}

static bool only_kept(const struct arms *a, const struct arm *r)
{
    const struct arms_wanted *w = &a->wanted;
    return a->route.stable && arms_same(&r->v, &w->previous) && !arms_same(&r->v, &w->stable) && !arms_same(&r->v, &w->candidate);
}

/* A load failed for want of memory.  Is it to be tried again, when there is more? */
static bool make_room(struct arms *a, struct arm *r)
{
    if (only_kept(a, r)) {
        tell(a, r, "gone", "there is no room to keep it for going back");
        a->lean = true;
        return true;
    }
    if (holds_models_back(a)) {
        a->lean = true;
        return true;
    }
    if (takes_over(a, r) && (a->swap || a->wanted.swap) && a->route.stable && !a->swap_for.number) {
        begin_swap(a, r);
        return true;
    }
    return false;
}

static size_t put_sizes(char *at, size_t n, const char *what, const struct arm *r)
{
    char all[32], weights[32], cache[32], steps[32], device[32];
    const struct engine_sizes *s = &r->sizes;
    const int used = s->device ? snprintf(at, n, "%s %s here and %s of its device's memory", what, fmt_bytes(all, (double)s->total), fmt_bytes(device, (double)s->device)) : s->total ? snprintf(at, n, "%s %s (weights %s, keys and values %s, steps %s)", what, fmt_bytes(all, (double)s->total), fmt_bytes(weights, (double)s->weights),
                                         fmt_bytes(cache, (double)s->cache), fmt_bytes(steps, (double)(s->total - s->weights - s->cache)))
                              : snprintf(at, n, "%s %s", what, fmt_bytes(all, (double)r->bytes));
    return used < 0 ? 0 : (size_t)used < n ? (size_t)used : n - 1;
}

/* What it takes, what the others do, how much there is for all, and whether there is another way. */
static void tell_sizes(const struct arms *a, const struct arm *new, struct err *err)
{
    char text[sizeof err->msg], what[64], all[32];
    const size_t most = sizeof text;
    if (!new->sizes.total || new->sizes.total <= new->o.memory)        /* not the plan, but an allocation failed */
        return;
    size_t n = put_sizes(text, most, "it does not fit: it takes", new);
    n += (size_t)snprintf(text + n, most - n, ", and %s is left", fmt_bytes(all, (double)new->o.memory));
    for (const struct arm *r = a->arm; r; r = r->next)
        if (r->model && n < most) {
            snprintf(what, sizeof what, ": version %lld takes", (long long)r->v.number);
            n += put_sizes(text + n, most - n, what, r);
        }
    if (n < most)
        n += (size_t)snprintf(text + n, most - n, ", of %s for all", fmt_bytes(all, (double)a->memory->all));
    if (takes_over(a, new) && a->route.stable && n < most)
        snprintf(text + n, most - n, "; with --swap it would take the place, after a pause of about %.1f s", expected_pause(a, new));
    ERR(err, NOMEM, "%s", text);
}

static void loaded(struct arms *a, struct arm *r)
{
    struct err err = r->err;
    struct served_model *m = r->loaded;
    r->loaded = NULL;
    if (m && served_model_start(m, &err) < 0) {
        served_model_close(m);
        m = NULL;
    }
    if (m) {
        if (!r->o.quiet)
            a->s_per_byte = r->seconds / (double)(m->bytes ? m->bytes : 1);
        atomic_fetch_add(&a->memory->taken, m->bytes);
        pthread_mutex_lock(&a->lock);
        r->model = m, r->bytes = m->bytes;
        pthread_mutex_unlock(&a->lock);
        begin_warming(a, r);
    } else if (err.code == ERR_NOMEM && make_room(a, r)) {
        arms_remove(a, r);
    } else {
        if (err.code == ERR_NOMEM)
            tell_sizes(a, r, &err);
        fail(a, r, &err);
    }
}

/* ---- a step ---- */

static void ask(struct arms *a)
{
    struct arms_wanted w;
    struct err err;
    const int rc = a->source.wanted(a->source.ctx, &w, &err);
    const bool was = a->reachable;
    pthread_mutex_lock(&a->lock);
    a->reachable = rc >= 0;
    pthread_mutex_unlock(&a->lock);
    if (rc < 0 && was)
        log_warn("%s: its releases cannot be read (%s); what is served stays as it is", a->name, err.msg);
    if (rc >= 0 && !was)
        log_info("%s: its releases can be read again", a->name);
    if (rc == 1 && w.stable.number) {
        pthread_mutex_lock(&a->lock);
        a->wanted = w;
        pthread_mutex_unlock(&a->lock);
        a->lean = false;
        tell_again(a);
        if (a->swap_for.number && !arms_same(&a->swap_for, &w.stable) && !arms_same(&a->swap_for, &w.candidate))
            a->swap_for.number = 0;              /* nobody wants it any more: back to what was there */
    }
}

/* Threads that are done, and first steps that are over. */
static void look(struct arms *a)
{
    for (struct arm *r = a->arm, *next; r; r = next) {
        next = r->next;
        if (r->has_hand && atomic_load(&r->hand_done)) {
            pthread_join(r->hand, NULL);
            r->has_hand = false;
            if (r->state == ARM_LOADING) {
                loaded(a, r);
            } else {
                pthread_mutex_lock(&a->lock);
                r->model = NULL;
                pthread_mutex_unlock(&a->lock);
                tell(a, r, "gone", "");
                arms_remove(a, r);
            }
        } else if (r->state == ARM_WARMING && atomic_load(&r->warm)) {
            set_state(a, r, ARM_READY);
            tell(a, r, "ready", "");
        }
    }
}

static struct arm *arm_of(const struct arms *a, const struct arms_version *v)
{
    for (struct arm *r = a->arm; r; r = r->next)
        if (arms_same(&r->v, v) && r->state != ARM_CLOSING)
            return r;
    return NULL;
}

static bool is_loading(const struct arms *a)
{
    for (const struct arm *r = a->arm; r; r = r->next)
        if (r->state == ARM_LOADING)
            return true;
    return false;
}

/* The version is to be there; it is loaded now if nothing else is. */
static void want(struct arms *a, const struct arms_version *v)
{
    struct arm *r = v->number ? arm_of(a, v) : NULL;
    if (!v->number)
        return;
    if (r && r->state == ARM_LEAVING)
        set_state(a, r, ARM_READY);
    if (r && r->state == ARM_FAILED && r->seq != a->wanted.seq) {
        arms_remove(a, r);
        r = NULL;
    }
    if (!r && !is_loading(a) && !(a->lean && holds_models_back(a)))
        begin_load(a, v);
}

static bool failed(const struct arms *a, const struct arms_version *v)
{
    const struct arm *r = arm_of(a, v);
    return r && r->state == ARM_FAILED;
}

/* What was swapped in is not the alias's version yet; who follows says that it is ready, and then it is. */
static bool was_swapped_in(const struct arms *a) { return a->route.stable && a->wanted.mode == RELEASE_GREEN && arms_same(&a->route.stable->v, &a->wanted.candidate); }

static void want_all(struct arms *a)
{
    if (a->swap_for.number && !failed(a, &a->swap_for)) {
        want(a, &a->swap_for);
        return;
    }
    a->swap_for.number = 0;
    if (!was_swapped_in(a))
        want(a, &a->wanted.stable);
    if (!a->route.stable && failed(a, &a->wanted.stable))        /* after a swap: back to what was there */
        want(a, &a->last);
    if (!a->route.stable)
        return;
    want(a, &a->wanted.candidate);
    if (!a->lean)
        want(a, &a->wanted.previous);
}

static struct arm *ready(const struct arms *a, const struct arms_version *v)
{
    struct arm *r = v->number ? arm_of(a, v) : NULL;
    return r && r->state == ARM_READY ? r : NULL;
}

static bool comparable(const struct arms *a, const struct arm *stable, struct arm *candidate)
{
    const bool same = stable && candidate && *stable->model->tok_digest && !strcmp(stable->model->tok_digest, candidate->model->tok_digest);
    if (!same && stable && candidate && !candidate->other_tokens) {
        log_warn("%s: versions %lld and %lld have other tokens: nothing is compared", a->name, (long long)stable->v.number, (long long)candidate->v.number);
        candidate->other_tokens = true;
    }
    return same;
}

/* The one moment at which new requests go elsewhere. */
static void choose(struct arms *a)
{
    const struct arms_wanted *w = &a->wanted;
    struct arm *stable = ready(a, &w->stable);
    stable = stable ? stable : a->route.stable ? a->route.stable : failed(a, &w->stable) ? ready(a, &a->last) : NULL;
    if (a->swap_for.number) {
        if (!(stable = ready(a, &a->swap_for)))
            return;
        a->swap_for.number = 0;
    }
    struct arm *candidate = ready(a, &w->candidate);
    candidate = candidate == stable ? NULL : candidate;
    const struct arms_route to = { stable, candidate, w->mode == RELEASE_SHADOW && comparable(a, stable, candidate) ? candidate : NULL, w->mode, candidate ? w->share : 0, w->salt };
    if (candidate)
        atomic_store(&candidate->model->spare, w->mode == RELEASE_SHADOW);
    if (stable)
        atomic_store(&stable->model->spare, false);
    pthread_mutex_lock(&a->lock);
    a->route = to;
    a->swap_until = stable ? 0 : a->swap_until;
    if (stable)
        pthread_cond_broadcast(&a->chosen);
    pthread_mutex_unlock(&a->lock);
    if (!stable)
        return;
    char pause[80] = "";
    if (a->swap_from > 0)
        snprintf(pause, sizeof pause, "after a pause of %.1f s, where %.1f s was expected", clock_wall() - a->swap_from, a->swap_s);
    a->swap_from = 0;
    for (struct arm *r = a->arm; r; r = r->next)
        if (r->state == ARM_READY)
            tell(a, r, r == stable || (r == candidate && to.share) ? "serving" : "ready", r == stable ? pause : "");
}

static bool is_wanted(const struct arms *a, const struct arm *r)
{
    const struct arms_wanted *w = &a->wanted;
    return is_routed(a, r) || arms_same(&r->v, &w->stable) || arms_same(&r->v, &w->candidate) || (!a->lean && arms_same(&r->v, &w->previous));
}

/* One that nobody wants is asked nothing new, and closed when nobody holds it. */
static void retire(struct arms *a)
{
    for (struct arm *r = a->arm, *next; r; r = next) {
        next = r->next;
        if (r->state == ARM_FAILED && !is_wanted(a, r) && !r->has_hand) {
            arms_remove(a, r);
            continue;
        }
        const bool kept = a->swap_for.number ? arms_same(&r->v, &a->swap_for) : is_wanted(a, r);
        if (r->state == ARM_READY && !kept)
            set_state(a, r, ARM_LEAVING);
        if (r->state != ARM_LEAVING)
            continue;
        pthread_mutex_lock(&a->lock);
        const bool free_now = atomic_load(&r->model->n_user) == 0;
        r->state = free_now ? ARM_CLOSING : r->state;
        pthread_mutex_unlock(&a->lock);
        if (free_now && !start_hand(r, unload))
            set_state(a, r, ARM_LEAVING);        /* tried again */
    }
}

void arms_tick(struct arms *a)
{
    ask(a);
    look(a);
    want_all(a);
    choose(a);
    retire(a);
}

void *arms_follow(void *ctx)
{
    struct arms *a = ctx;
    while (!atomic_load(&a->quit)) {
        arms_tick(a);
        nanosleep(&(struct timespec){ 0, EVERY_MS * 1000000L }, NULL);
    }
    return NULL;
}
