/* arms_tell.c - what there is to say of arms: for /health and lists, and for Prometheus. */
#include "serve/arms_parts.h"
#include "serve/json_out.h"

static const char *const states[] = { [ARM_LOADING] = "loading", [ARM_WARMING] = "warming", [ARM_READY] = "ready", [ARM_LEAVING] = "leaving", [ARM_CLOSING] = "leaving", [ARM_FAILED] = "failed" };

/* With the lock held, here and below. */
static int share_of(const struct arms *a, const struct arm *r)
{
    const struct arms_route *t = &a->route;
    const int other = t->candidate && release_splits(t->mode) ? t->share : 0;
    return r == t->stable ? RELEASE_ALL - other : r == t->candidate ? other : 0;
}

static const char *state_of(const struct arms *a, const struct arm *r) { return r->state == ARM_READY && share_of(a, r) ? "serving" : states[r->state]; }

const char *arms_role(const struct arms *a, const struct arm *r)
{
    const struct arms_wanted *w = &a->wanted;
    return r == a->route.stable ? "stable" : arms_same(&r->v, &w->candidate) ? "candidate" : arms_same(&r->v, &w->stable) ? "next" : arms_same(&r->v, &w->previous) ? "previous" : "";
}

static double ratio(uint64_t n, uint64_t of) { return of ? (double)n / (double)of : 0; }
static bool has_shadow(const struct arm *r) { return atomic_load(&r->model->shadow.n_text) || atomic_load(&r->model->shadow.n_passed); }

/* Texts compared and passed over; of greedy ones the share that is the same, and the tokens before they differ; nats for each token. */
static json_t *shadow_json(struct shadow_counts *c)
{
    const uint64_t n_greedy = atomic_load(&c->n_greedy), n_token = atomic_load(&c->n_token);
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "texts", (json_int_t)atomic_load(&c->n_text), "passed_over", (json_int_t)atomic_load(&c->n_passed), "tokens", (json_int_t)n_token, "greedy_texts", (json_int_t)n_greedy,
                     "same", ratio(atomic_load(&c->n_same), n_greedy), "tokens_before_they_differ", ratio(atomic_load(&c->n_until), n_greedy), "agreement", ratio(atomic_load(&c->n_until), atomic_load(&c->n_greedy_token)),
                     "log_ratio", n_token ? atomic_load(&c->log_ratio) / (double)n_token : 0);
}

static json_t *arm_json(const struct arms *a, const struct arm *r)
{
    struct batch_counts n = { 0 };
    if (r->model && r->state != ARM_CLOSING)
        served_model_counts(r->model, &n);
    json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:f, s:i, s:i, s:I}", "version", (json_int_t)r->v.number, "root", r->v.root, "state", state_of(a, r), "role", arms_role(a, r),
                          "share", share_of(a, r) / (double)RELEASE_ALL, "running", n.n_running, "waiting", n.n_waiting, "bytes", (json_int_t)r->bytes);
    if (o && r->model && r->state != ARM_CLOSING && has_shadow(r))
        json_object_set_new(o, "shadow", shadow_json(&r->model->shadow));
    if (o && r->state == ARM_FAILED)
        json_object_set_new(o, "message", json_string(r->message));
    return o;
}

json_t *arms_json(struct arms *a)
{
    json_t *versions = a->source.wanted ? json_array() : NULL;
    if (!versions)
        return NULL;
    pthread_mutex_lock(&a->lock);
    for (const struct arm *r = a->arm; r; r = r->next)
        json_array_append_new(versions, arm_json(a, r));
    json_t *o = json_pack("{s:s, s:b, s:b, s:s, s:o}", "name", a->name, "reachable", a->reachable, "swapping", a->swap_until > 0, "mode", release_mode_name(a->wanted.mode), "versions", versions);
    pthread_mutex_unlock(&a->lock);
    return o;
}

static void sample(struct buf *b, const char *name, const struct arms *a, const struct arm *r)
{
    buf_printf(b, NULL, "%s{", name);
    metrics_label(b, "model_name", a->name);
    buf_printf(b, NULL, ",version=\"%lld\"", (long long)r->v.number);
}

static void write_arms(struct buf *b, struct arms *const *arms, int n, bool shares)
{
    const char *name = shares ? "lathe:release_share" : "lathe:release_state";
    for (int i = 0; i < n; i++) {
        struct arms *a = arms[i];
        pthread_mutex_lock(&a->lock);
        for (const struct arm *r = a->source.wanted ? a->arm : NULL; r; r = r->next) {
            sample(b, name, a, r);
            if (shares)
                buf_printf(b, NULL, "} %g\n", share_of(a, r) / (double)RELEASE_ALL);
            else
                buf_printf(b, NULL, ",state=\"%s\",role=\"%s\",root=\"%s\"} 1\n", state_of(a, r), arms_role(a, r), r->v.root);
        }
        pthread_mutex_unlock(&a->lock);
    }
}

static double of_texts(struct shadow_counts *c) { return (double)atomic_load(&c->n_text); }
static double of_passed(struct shadow_counts *c) { return (double)atomic_load(&c->n_passed); }
static double of_tokens(struct shadow_counts *c) { return (double)atomic_load(&c->n_token); }
static double of_greedy(struct shadow_counts *c) { return (double)atomic_load(&c->n_greedy); }
static double of_same(struct shadow_counts *c) { return (double)atomic_load(&c->n_same); }
static double of_until(struct shadow_counts *c) { return (double)atomic_load(&c->n_until); }
static double of_ratio(struct shadow_counts *c) { return atomic_load(&c->log_ratio); }

static void write_shadows(struct buf *b, struct arms *const *arms, int n)
{
    static const struct { const char *kind, *name, *help; double (*of)(struct shadow_counts *c); } rows[] = {
        { "counter", "lathe:shadow_texts_total", "Texts of the stable version that the candidate was compared with.", of_texts },
        { "counter", "lathe:shadow_passed_over_total", "Texts that it was not, for want of time or room.", of_passed },
        { "counter", "lathe:shadow_tokens_total", "Tokens of those compared.", of_tokens },
        { "counter", "lathe:shadow_greedy_texts_total", "Those of them that were made greedily.", of_greedy },
        { "counter", "lathe:shadow_greedy_same_total", "That the candidate would have made, too.", of_same },
        { "counter", "lathe:shadow_greedy_tokens_same_total", "Tokens of greedy texts before they differ.", of_until },
        { "gauge", "lathe:shadow_log_ratio_sum", "Sum over tokens compared of log p(stable) - log p(candidate).", of_ratio },
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        metrics_head(b, rows[k].kind, rows[k].name, rows[k].help);
        for (int i = 0; i < n; i++) {
            struct arms *a = arms[i];
            pthread_mutex_lock(&a->lock);
            for (const struct arm *r = a->source.wanted ? a->arm : NULL; r; r = r->next)
                if (r->model && r->state != ARM_CLOSING && has_shadow(r)) {
                    sample(b, rows[k].name, a, r);
                    buf_printf(b, NULL, "} %.17g\n", rows[k].of(&r->model->shadow));
                }
            pthread_mutex_unlock(&a->lock);
        }
    }
}

void arms_metrics(struct buf *b, struct arms *const *arms, int n)
{
    int n_follow = 0;
    for (int i = 0; i < n; i++)
        n_follow += arms_follows(arms[i]);
    if (!n_follow)
        return;
    metrics_head(b, "gauge", "lathe:release_state", "Versions that are here, and what each is for.");
    write_arms(b, arms, n, false);
    metrics_head(b, "gauge", "lathe:release_share", "Of new requests, by version.");
    write_arms(b, arms, n, true);
    write_shadows(b, arms, n);
    metrics_head(b, "gauge", "lathe:release_source_up", "Whether the registry could be read when it was last asked.");
    for (int i = 0; i < n; i++)
        if (arms_follows(arms[i])) {
            pthread_mutex_lock(&arms[i]->lock);
            const bool up = arms[i]->reachable;
            pthread_mutex_unlock(&arms[i]->lock);
            buf_add_str(b, "lathe:release_source_up{", NULL);
            metrics_label(b, "model_name", arms[i]->name);
            buf_printf(b, NULL, "} %d\n", up);
        }
}
