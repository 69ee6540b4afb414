#include "watch/follow.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "watch/answers.h"
#include "watch/picture.h"
#include "watch/report.h"
#include "watch/rules.h"

struct follow {
    struct registry_version v;
    struct reference *r;
    struct monitor_opts o;
    struct monitor *m;
    json_t *which;                       /* the reference's entry among the evidence */
    int64_t of;                          /* the version that it is of */
    int64_t seq;                         /* of the journal's last record when it was looked for */
    struct watch_value *value;           /* [signals] */
    int64_t since, next, next_said;      /* written from then on; not read yet from then on: answers, and what was said of them */
    int64_t last, read;                  /* moment of the last answer; of this reading so many */
    int64_t n_answer;
    bool behind;
    int64_t recent[FOLLOW_WINDOW];       /* when the last ones were written, a ring by n_answer */
    int n_point; int64_t stride;
    struct { int64_t n, t; } at[FOLLOW_POINTS];
    double *path;                        /* [FOLLOW_POINTS][signals] */
    json_t *told; int64_t told_at;       /* what was said after so many events */
};

/* ---- the reference ---- */

static int last_seq(struct registry *g, const char *name, int64_t *seq, struct err *err)
{
    json_t *records;
    TRY(registry_history(g, name, 1, &records, err));
    const double last = json_array_size(records) ? tree_number_at(json_array_get(records, 0), "seq") : 0;
    json_decref(records);
    if (!isfinite(last))
        return ERR(err, NOMEM, "no memory for the history of %s", name);
    *seq = (int64_t)last;
    return 0;
}

/* Of the newest version up to v that has one. */
static int find_reference(struct reference **out, json_t **which, int64_t *of, struct registry *g, const struct registry_version *v, struct err *err)
{
    json_t *numbers, *n;
    size_t i;
    int rc = ERR_NOTFOUND;
    TRY(registry_numbers(g, v->name, &numbers, err));
    json_array_foreach(numbers, i, n) {
        struct registry_ref ref = { .number = json_integer_value(n) };
        struct registry_version one;
        if (ref.number > v->number)
            continue;
        memcpy(ref.name, v->name, sizeof ref.name);
        if ((rc = registry_find(g, &ref, &one, err)) || (rc = answers_registered(out, g, &one, which, err)) != ERR_NOTFOUND) {
            *of = ref.number;
            break;
        }
    }
    json_decref(numbers);
    return rc == ERR_NOTFOUND ? ERR(err, NOTFOUND, "no version of %s up to %lld was registered with a reference of how answers were", v->name, (long long)v->number) : rc;
}

int follow_is_current(bool *is, struct follow *f, struct registry *g, struct err *err)
{
    struct reference *r;
    json_t *which;
    int64_t seq, of;
    TRY(last_seq(g, f->v.name, &seq, err));
    *is = seq == f->seq;
    if (*is)
        return 0;
    TRY(find_reference(&r, &which, &of, g, &f->v, err));
    *is = of == f->of && !strcmp(tree_text_at(which, "blob"), tree_text_at(f->which, "blob"));
    f->seq = seq;
    reference_free(r);
    json_decref(which);
    return 0;
}

/* ---- begin and end ---- */

static int begin(struct follow *f, struct registry *g, struct err *err)
{
    TRY(last_seq(g, f->v.name, &f->seq, err));
    TRY(find_reference(&f->r, &f->which, &f->of, g, &f->v, err));
    if (f->of == f->v.number)
        TRY(when_parse(&f->since, tree_text_at(f->which, "t"), err));
    f->next = f->next_said = f->since;
    const size_t n = (size_t)reference_count(f->r);
    f->value = mem_alloc_array(n, sizeof *f->value), f->path = mem_alloc_array(FOLLOW_POINTS * n, sizeof *f->path);
    if (!f->value || !f->path)
        return ERR(err, NOMEM, "no memory to follow %zu signals", n);
    return monitor_new(&f->m, f->r, &f->o, err);
}

int follow_new(struct follow **out, struct registry *g, const struct registry_version *v, double alpha, uint64_t seed, struct err *err)
{
    struct follow *f = *out = mem_alloc_zero(sizeof *f);
    if (!f)
        return ERR(err, NOMEM, "no memory to follow the answers of a version");
    f->v = *v, f->o = (struct monitor_opts){ .alpha = alpha, .seed = seed }, f->stride = 1, f->told_at = -1;
    const int rc = begin(f, g, err);
    if (rc) {
        follow_free(f);
        *out = NULL;
    }
    return rc;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    monitor_free(f->m);
    reference_free(f->r);
    json_decref(f->which), json_decref(f->told);
    mem_free(f->value), mem_free(f->path), mem_free(f);
}

/* ---- answers ---- */

static double evidence(const struct follow *f, int i)
{
    struct monitor_state s;
    monitor_state(f->m, i, &s);
    return s.e;
}

/* Every second point goes where there is no room; points are then twice as far apart. */
static void add_point(struct follow *f)
{
    const int n = reference_count(f->r);
    if (f->n_point == FOLLOW_POINTS - 1) {           /* the last place is what is now */
        f->n_point = 0;
        for (int i = 1; i < FOLLOW_POINTS - 1; i += 2, f->n_point++) {
            f->at[f->n_point] = f->at[i];
            memcpy(f->path + (size_t)f->n_point * (size_t)n, f->path + (size_t)i * (size_t)n, (size_t)n * sizeof *f->path);
        }
        f->stride *= 2;
        if (monitor_events(f->m) % f->stride)
            return;
    }
    f->at[f->n_point].n = monitor_events(f->m), f->at[f->n_point].t = f->last;
    for (int i = 0; i < n; i++)
        f->path[(size_t)f->n_point * (size_t)n + (size_t)i] = evidence(f, i);
    f->n_point++;
}

static int watch(struct follow *f, struct err *err)
{
    const int rc = monitor_add(f->m, f->value, err);
    return rc < 0 ? rc : 0;
}

static int add_answer(void *ctx, const struct event *ev, struct err *err)
{
    struct follow *f = ctx;
    if (f->read >= FOLLOW_MOST && ev->written != f->next - 1) {
        f->behind = true;
        return ERR_STOPPED;
    }
    struct event unsaid = *ev;
    unsaid.score = (double)NAN;          /* that is an event of its own */
    answer_values_for(f->value, f->r, &unsaid);
    TRY(watch(f, err));
    f->recent[f->n_answer++ % FOLLOW_WINDOW] = ev->written;
    f->last = ev->t, f->next = ev->written + 1, f->read++;
    if (monitor_events(f->m) % f->stride == 0)
        add_point(f);
    return 0;
}

static int add_feedback(void *ctx, const struct event *ev, struct err *err)
{
    struct follow *f = ctx;
    f->next_said = ev->said + 1;
    answer_feedback_for(f->value, f->r, ev);
    TRY(watch(f, err));
    if (monitor_events(f->m) % f->stride == 0)
        add_point(f);
    return 0;
}

/* What is said of an answer comes later, and is read as far as answers were. */
static int read_feedback(struct follow *f, struct events *e, int64_t until, struct err *err)
{
    const struct events_where said = { .root = f->v.root, .since = f->next_said, .until = until, .by_feedback = true };
    if (reference_find(f->r, ANSWER_FEEDBACK) < 0 || until <= f->next_said)
        return 0;
    TRY(events_read(e, &said, add_feedback, f, err));
    f->next_said = until;
    return 0;
}

int follow_read(struct follow *f, struct events *e, int64_t now, struct err *err)
{
    const struct events_where where = { .root = f->v.root, .since = f->next, .until = now - ANSWERS_SETTLE_NS, .by_writing = true };
    f->read = 0, f->behind = false;
    if (where.until <= where.since)
        return 0;
    const int rc = events_read(e, &where, add_answer, f, err);
    if (rc && !(rc == ERR_STOPPED && f->behind))
        return rc;
    return read_feedback(f, e, f->behind ? f->next : where.until, err);
}

/* ---- what is told ---- */

static json_t *path_json(const struct follow *f, int i)
{
    const int n = reference_count(f->r);
    json_t *a = json_array();
    int rc = a ? 0 : -1;
    for (int k = 0; k < f->n_point && !rc; k++)
        rc = json_array_append_new(a, json_real(f->path[(size_t)k * (size_t)n + (size_t)i]));
    if (rc || json_array_append_new(a, json_real(evidence(f, i)))) {
        json_decref(a);
        return NULL;
    }
    return a;
}

static json_t *at_json(const struct follow *f)
{
    json_t *a = json_array();
    int rc = a ? 0 : -1;
    for (int k = 0; k <= f->n_point && !rc; k++)
        rc = json_array_append_new(a, json_pack("[I, f]", (json_int_t)(k < f->n_point ? f->at[k].n : monitor_events(f->m)), (double)(k < f->n_point ? f->at[k].t : f->last) / 1e9));
    if (rc) {
        json_decref(a);
        return NULL;
    }
    return a;
}

static int add_signals(const struct follow *f, json_t *report, const struct reference *window, const struct window_signal *effects, struct err *err)
{
    json_t *signals = json_object_get(report, "signals"), *picture;
    for (int i = 0; i < reference_count(f->r); i++) {
        json_t *o = json_array_get(signals, (size_t)i);
        const double effect = effects[i].test ? rule_effect(reference_kind(f->r, i), &effects[i]) : (double)NAN;
        TRY(picture_make(&picture, f->r, window, i, err));
        int rc = json_object_set_new(o, "picture", picture);
        rc = json_object_set_new(o, "path", path_json(f, i)) || rc;
        if (rc || json_object_set_new(o, "effect", tree_number(effect)))
            return ERR(err, NOMEM, "no memory to tell of a signal");
    }
    return 0;
}

static int make_report(const struct follow *f, const struct reference *window, struct pool *pool, json_t **out, struct err *err)
{
    const struct window_opts wo = { .alpha = f->o.alpha, .seed = f->o.seed, .pool = pool };
    struct window_signal *effects = mem_alloc_array((size_t)reference_count(f->r), sizeof *effects);
    const struct drift_found found = { .reference = f->r, .monitor = f->m, .monitor_opts = &f->o, .window = effects, .window_opts = &wo, .window_events = reference_events(window) };
    int rc = effects ? window_compare(effects, f->r, window, &wo, err) : ERR(err, NOMEM, "no memory for %d signals", reference_count(f->r));
    rc = rc ? rc : drift_report(out, &found, err);
    if (!rc && (rc = add_signals(f, *out, window, effects, err)))
        json_decref(*out);
    mem_free(effects);
    return rc;
}

static int tell(struct follow *f, struct events *e, struct pool *pool, struct err *err)
{
    const int64_t n = f->n_answer;
    const struct events_where where = { .root = f->v.root, .since = n >= FOLLOW_WINDOW ? f->recent[n % FOLLOW_WINDOW] : f->since, .until = f->next, .by_writing = true };
    struct reference *window;
    char since[WHEN_TEXT];
    json_t *report;
    TRY(answers_window(&window, f->r, e, &where, f->o.seed + 1, err));
    const int64_t n_window = reference_events(window);
    const int rc = make_report(f, window, pool, &report, err);
    reference_free(window);
    TRY(rc);
    when_text(since, f->since);
    json_decref(f->told);
    f->told = json_pack("{s:s, s:I, s:f, s:I, s:b, s:o, s:{s:I, s:O, s:O, s:O, s:I}, s:I, s:o, s:o}", "name", f->v.name, "version", (json_int_t)f->v.number, "alpha", f->o.alpha, "answers", (json_int_t)n,
                        "behind", f->behind, "since", f->since ? json_string(since) : json_null(), "reference", "version", (json_int_t)f->of, "file", json_object_get(f->which, "file"), "blob",
                        json_object_get(f->which, "blob"), "t", json_object_get(f->which, "t"), "events", (json_int_t)reference_events(f->r), "effect_of", (json_int_t)n_window, "report", report, "at", at_json(f));
    f->told_at = monitor_events(f->m);
    return f->told ? 0 : ERR(err, NOMEM, "no memory to tell of a version's answers");
}

int follow_json(json_t **out, struct follow *f, struct events *e, struct pool *pool, struct err *err)
{
    *out = NULL;
    if (!f->told || f->told_at != monitor_events(f->m) || f->behind != json_is_true(json_object_get(f->told, "behind")))
        TRY(tell(f, e, pool, err));
    *out = json_incref(f->told);
    return 0;
}
