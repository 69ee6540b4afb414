#include "cmd/watch_online.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "base/when.h"
#include "cmd/cmd_registry.h"
#include "cmd/watch_act.h"
#include "cmd/watch_versus.h"
#include "store/events.h"
#include "store/recorder.h"
#include "watch/answers.h"
#include "watch/rules.h"

#define REFERENCE_BYTES ((size_t)1 << 30)
#define WINDOW_ANSWERS 20000             /* at most, the newest of a window */

struct watch_online watch_online = { .every_s = 60, .window = "1h" };

struct looking {
    const char *arg;
    struct registry_ref ref;             /* of the name that is watched */
    const char *model;                   /* that requests ask for */
    struct events *e; ino_t file;        /* NULL: gone, and not there again yet; file: of SQLite */
    struct reference *r;
    struct monitor *m;
    struct watch_versus versus;
    double alpha;                        /* of the monitor */
    struct watch_value *value;
    struct rules rules;
    int64_t from; double window_s;
    int64_t next, next_said;             /* not read yet from then on: answers, and what was said of them; as far as a read came that broke off */
    int64_t moved;                       /* since when other versions answer, by a rule or by people: effects are of answers since; 0: none did */
    bool follows, knows; struct registry_release seen, went;           /* the release that rules may move, as this look found it, and what it was before */
    struct window_signal *effect_of;
    double *effect; bool *alarmed, *told;
    int64_t n_seen;
    bool any, ends;
};

/* ---- the reference ---- */

static int from_file(struct looking *l, const char *path, struct err *err)
{
    json_t *o;
    TRY(tree_load(&o, path, REFERENCE_BYTES, err));
    const int rc = reference_from_json(&l->r, o, path, err);
    json_decref(o);
    return rc;
}

static int from_registry(struct looking *l, struct err *err)
{
    struct registry *g;
    struct registry_version v;
    struct err why;
    TRY(cmd_registry_open(&g, false, err));
    int rc = registry_find_text(g, l->arg, &v, err);
    if (!rc && (rc = answers_registered(&l->r, g, &v, NULL, &why)))
        rc = rc == ERR_NOTFOUND ? ERR(err, NOTFOUND, "%s: give --reference FILE, or --since and --until", why.msg) : (*err = why, rc);
    registry_close(g);
    return rc;
}

static int take_reference(struct looking *l, struct err *err)
{
    struct events_where where = { .model = l->model };
    if (watch_online.reference)
        return from_file(l, watch_online.reference, err);
    if (!watch_online.since && !watch_online.until)
        return from_registry(l, err);
    if (watch_online.since)
        TRY(when_parse(&where.since, watch_online.since, err));
    if (watch_online.until)
        TRY(when_parse(&where.until, watch_online.until, err));
    if (where.until && where.until <= where.since)
        return ERR(err, USAGE, "--until is not after --since");
    where.until = where.until ? where.until : l->from;
    if (answers_reference(&l->r, l->e, &where, watch_online.signals, watch_online.seed, err) < 0)
        return err_context(err, "%s", l->model);
    l->from = where.until;
    return 0;
}

static int write_reference(const struct looking *l, struct err *err)
{
    json_t *o;
    TRY(reference_to_json(&o, l->r, err));
    char *text = tree_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        return ERR(err, NOMEM, "no memory for the reference's file");
    const int rc = file_write_all(watch_online.out, text, strlen(text), err);
    mem_free(text);
    return rc;
}

/* ---- which versions answer ---- */

static void begin_anew(struct looking *l)
{
    l->moved = when_now();
    monitor_restart(l->m, -1);
    rules_restart(&l->rules);
    watch_versus_stop(&l->versus, l->moved);
}

static bool is_of(const struct registry_release *r, const char *root) { return !strcmp(root, r->stable_root) || !strcmp(root, r->candidate_root); }

static int find_release(struct registry *g, void *ctx, struct err *err)
{
    struct looking *l = ctx;
    return registry_release_get(g, l->ref.name, *l->ref.alias ? l->ref.alias : WATCH_ALIAS, &l->seen, err);
}

/* Where people, or another watch, have moved what rules may move, what was seen is of versions that are not there any more, or not alone. */
static int follow_release(struct looking *l, struct err *err)
{
    const struct registry_release before = l->seen;
    l->seen = (struct registry_release){ .seq = 0 };
    const int rc = cmd_registry_with(find_release, l, err);
    if (rc && rc != ERR_NOTFOUND) {
        l->seen = before;
        return rc == ERR_NOMEM ? rc : ERR_IO;                        /* the next look asks again */
    }
    if (l->knows && (strcmp(before.stable_root, l->seen.stable_root) || strcmp(before.candidate_root, l->seen.candidate_root))) {
        l->went = before;
        begin_anew(l);
    }
    l->knows = true;
    return 0;
}

/* Servers follow a moment later. */
static bool has_gone(const struct looking *l, const struct event *ev) { return l->follows && *ev->root && is_of(&l->went, ev->root) && !is_of(&l->seen, ev->root); }

/* ---- a look ---- */

static int add_answer(void *ctx, const struct event *ev, struct err *err)
{
    struct looking *l = ctx;
    struct event without = *ev;
    without.score = (double)NAN;             /* that is an event of its own */
    l->next = ev->written + 1;
    if (has_gone(l, ev)) {
        l->moved = ev->written >= l->moved ? ev->written + 1 : l->moved;
        return 0;
    }
    answer_values_for(l->value, l->r, &without);
    l->n_seen++;
    const int rc = monitor_add(l->m, l->value, err);
    return rc < 0 ? rc : 0;
}

static int add_feedback(void *ctx, const struct event *ev, struct err *err)
{
    struct looking *l = ctx;
    l->next_said = ev->said + 1;
    if (has_gone(l, ev))
        return 0;
    TRY(watch_versus_add(&l->versus, ev, err));
    answer_feedback_for(l->value, l->r, ev);
    const int rc = reference_find(l->r, ANSWER_FEEDBACK) < 0 ? 0 : monitor_add(l->m, l->value, err);
    return rc < 0 ? rc : 0;
}

/* How far the answers of the last window are from the reference. */
static int take_effects(struct looking *l, int64_t now, struct err *err)
{
    struct reference *window;
    struct window_opts o = { .alpha = 0.05, .seed = watch_online.seed };
    const int64_t begin = watch_online.once ? l->from : now - (int64_t)(l->window_s * 1e9), first = l->moved > l->from ? l->moved : l->from;
    const struct events_where where = { .model = l->model, .since = begin > first ? begin : first, .until = now, .by_writing = true, .limit = WINDOW_ANSWERS, .newest = true };
    TRY(cmd_pool(&o.pool, err));
    TRY(answers_window(&window, l->r, l->e, &where, watch_online.seed + 1, err));
    const int rc = window_compare(l->effect_of, l->r, window, &o, err);
    for (int i = 0; i < reference_count(l->r) && !rc; i++)
        l->effect[i] = l->effect_of[i].test ? rule_effect(reference_kind(l->r, i), &l->effect_of[i]) : (double)NAN;
    reference_free(window);
    return rc;
}

static bool needs_effects(const struct looking *l)
{
    bool any = false;
    for (int i = 0; i < l->rules.n; i++)
        any = any || !l->rules.rule[i].alarm;
    return any;
}

/* Of a signal of the monitor. */
static int add_signal(json_t *o, const struct looking *l, int signal)
{
    struct monitor_state s;
    monitor_state(l->m, signal, &s);
    int rc = json_object_set_new(o, "alarmed", json_boolean(s.alarmed)) | json_object_set_new(o, "alarmed_at", json_integer((json_int_t)s.alarmed_at));
    if (isfinite(s.p))
        rc |= json_object_set_new(o, "p", json_real(s.p));
    if (isfinite(l->effect[signal]))
        rc |= json_object_set_new(o, "effect", json_real(l->effect[signal]));
    return rc;
}

/* signal -1: of both versions' feedback. */
static json_t *describe(const struct looking *l, int signal, const char *what)
{
    char now[WHEN_TEXT];
    when_text(now, when_now());
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "t", now, "name", l->arg, "signal", signal < 0 ? ANSWER_FEEDBACK : reference_name(l->r, signal), "do", what, "answers", (json_int_t)l->n_seen, "events", (json_int_t)monitor_events(l->m));
    json_t *versions = signal < 0 ? watch_versus_json(&l->versus) : NULL;
    const int rc = signal < 0 ? json_object_update(o, versions) : add_signal(o, l, signal);
    json_decref(versions);
    if (!rc)
        return o;
    json_decref(o);
    return NULL;
}

static void print_one(const struct looking *l, json_t *o)
{
    if (cmd_json) {
        char *text = tree_dumps(o, JSON_COMPACT);
        printf("%s\n", text ? text : "{}");
        mem_free(text);
    } else {
        printf("%.19sZ  %s: %s after %lld answers", tree_text_at(o, "t"), l->arg, tree_text_at(o, "signal"), (long long)tree_number_at(o, "answers"));
        printf(json_is_true(json_object_get(o, "alarmed")) ? ", alarm" : json_is_true(json_object_get(o, "worse")) ? ", the candidate is called worse" : "");
        if (json_object_get(o, "effect"))
            printf(", effect %.2f", tree_number_at(o, "effect"));
        printf(*tree_text_at(o, "do") ? ": %s\n" : "%s\n", tree_text_at(o, "do"));
    }
    fflush(stdout);
}

/* What is said of an answer is an event of its own, and counted as one. */
static const char *word_of_events(const struct looking *l) { return monitor_events(l->m) > l->n_seen ? "event" : "answer"; }

/* "prompt_nll has changed: alarm at answer 143 of 1022, p 0.00031 of 0.01, effect 0.71" */
static void tell_why(const struct looking *l, char *out, size_t size, const json_t *o, const struct rule *rule)
{
    const long long n_seen = (long long)tree_number_at(o, "answers");
    int n = 0;
    if (rule->worse) {
        const json_t *stable = json_object_get(o, "stable"), *candidate = json_object_get(o, "candidate");
        snprintf(out, size, "version %lld is called worse than %lld: %.2f in %lld scores against %.2f in %lld, p %.2g of %.2g", (long long)tree_number_at(candidate, "version"),
                 (long long)tree_number_at(stable, "version"), tree_number_at(candidate, "mean"), (long long)tree_number_at(candidate, "n"), tree_number_at(stable, "mean"), (long long)tree_number_at(stable, "n"),
                 tree_number_at(o, "p"), watch_online.alpha - l->alpha);
        return;
    }
    n = snprintf(out, size, "%s has changed: ", tree_text_at(o, "signal"));
    if (rule->alarm)
        n += snprintf(out + n, size - (size_t)n, "alarm at %s %lld of %lld", word_of_events(l), (long long)tree_number_at(o, "alarmed_at"), (long long)tree_number_at(o, "events"));
    else
        n += snprintf(out + n, size - (size_t)n, "effect over %g after %lld answers", rule->effect, n_seen);
    if (rule->alarm && json_object_get(o, "p"))
        n += snprintf(out + n, size - (size_t)n, ", p %.2g of %g", tree_number_at(o, "p"), l->alpha);
    if (json_object_get(o, "effect"))
        snprintf(out + n, size - (size_t)n, ", effect %.2f", tree_number_at(o, "effect"));
}

/* ---- what is done ---- */

/* What cannot be done is said, and the watch goes on.  First the move: who is told may take a while to answer.  What a look saw was of the version that a move of this look has taken
 * away, and moves no more. */
static int act(struct looking *l, const struct rule *rule, int signal, bool *moved)
{
    char because[600], what[160];
    rule_describe(rule, what);
    json_t *o = describe(l, signal, what);
    if (!o)
        return ERR_NOMEM;
    print_one(l, o);
    tell_why(l, because, sizeof because, o, rule);
    const struct watch_act a = { .name = l->ref.name, .alias = l->ref.alias, .seen = o, .because = because, .release = l->follows ? &l->seen : NULL };
    *moved = *moved || watch_move(rule, &a);
    watch_tell(rule, &a);
    l->ends = l->ends || rule->todo & RULE_EXIT;
    json_decref(o);
    return 0;
}

/* Without rules an alarm is told. */
static void tell_alarms(struct looking *l)
{
    for (int i = 0; i < reference_count(l->r); i++)
        if (l->alarmed[i] && !l->told[i]) {
            json_t *o = describe(l, i, "");
            if (o)
                print_one(l, o);
            json_decref(o);
            l->told[i] = true;
        }
}

static int apply_rules(struct looking *l, struct err *err)
{
    struct versus_state s;
    int signal;
    bool moved = false;
    versus_state(l->versus.v, &s);
    const struct rules_seen seen = { l->alarmed, l->effect, s.worse };
    for (int i = 0; (i = rules_look(&l->rules, i, l->r, &seen, &signal)) >= 0; i++) {
        l->any = true;
        if (act(l, &l->rules.rule[i], signal, &moved) < 0)
            return ERR(err, NOMEM, "no memory to tell of a rule");
    }
    if (moved)                                   /* of another version, from here on */
        begin_anew(l);
    return 0;
}

static int look(struct looking *l, struct err *err)
{
    const int64_t now = when_now() - (watch_online.once ? 0 : ANSWERS_SETTLE_NS);
    const struct events_where where = { .model = l->model, .since = l->next, .until = now, .by_writing = true };
    const struct events_where said = { .model = l->model, .since = l->next_said, .until = now, .by_feedback = true };
    if (now <= l->next)
        return 0;
    if (l->follows)
        TRY(follow_release(l, err));
    TRY(events_read(l->e, &where, add_answer, l, err));
    l->next = now;
    TRY(events_read(l->e, &said, add_feedback, l, err));
    l->next_said = now;
    if (needs_effects(l) || watch_online.once)
        TRY(take_effects(l, now, err));
    for (int i = 0; i < reference_count(l->r); i++) {
        struct monitor_state s;
        monitor_state(l->m, i, &s);
        l->alarmed[i] = s.alarmed;
    }
    if (!l->rules.n) {
        tell_alarms(l);
        l->any = l->any || monitor_alarmed(l->m);
    }
    return apply_rules(l, err);
}

static int print_signals(const struct looking *l, struct err *err)
{
    char at[16];
    if (cmd_json) {
        json_t *o = json_pack("{s:s, s:I, s:o}", "name", l->arg, "answers", (json_int_t)l->n_seen, "feedback", watch_versus_json(&l->versus));
        char *text = tree_dumps(o, JSON_COMPACT);
        json_decref(o);
        if (!text)
            return ERR(err, NOMEM, "no memory to tell of signals");
        puts(text);
        mem_free(text);
        return 0;
    }
    printf("%lld answers of %s against a reference of %lld; any false alarm, ever, has at most the chance %g\n", (long long)l->n_seen, l->arg, (long long)reference_events(l->r), watch_online.alpha);
    snprintf(at, sizeof at, "at %s", word_of_events(l));
    printf("%-16s %-9s %-7s %10s %10s  %s\n", "signal", "kind", "", at, "p", "effect");
    for (int i = 0; i < reference_count(l->r); i++) {
        struct monitor_state s;
        monitor_state(l->m, i, &s);
        printf("%-16s %-9s %-7s ", reference_name(l->r, i), watch_kind_name(reference_kind(l->r, i)), s.alarmed ? "ALARM" : "-");
        s.alarmed ? printf("%10lld ", (long long)s.alarmed_at) : printf("%10s ", "-");
        isfinite(s.p) ? printf("%10.2g", s.p) : printf("%10s", "-");
        isfinite(l->effect[i]) ? printf("  %.2f\n", l->effect[i]) : printf("\n");
    }
    watch_versus_print(&l->versus);
    return 0;
}

static int open_events(struct looking *l, struct err *err)
{
    struct stat st;
    TRY(events_open(&l->e, watch_online.events ? watch_online.events : cmd_registry, false, err));
    l->file = stat(events_name(l->e), &st) ? 0 : st.st_ino;
    return 0;
}

/* A file that was removed, which a server makes anew, would be read on, and nothing be new in it. */
static int follow_file(struct looking *l, struct err *err)
{
    struct stat st;
    if (l->e && (db_is_postgres(events_name(l->e)) || (!stat(events_name(l->e), &st) && st.st_ino == l->file)))
        return 0;
    events_close(l->e);
    l->e = NULL;
    const int rc = open_events(l, err);
    return rc == ERR_NOTFOUND ? ERR(err, IO, "what was recorded is gone, and nothing is in its place yet") : rc;
}

/* A database that cannot be read now is asked again at the next look. */
static int look_on(struct looking *l, struct err *err)
{
    bool failing = false;
    l->next = l->next_said = l->from;
    if (watch_online.once)               /* what was answered before this began is written by then */
        nanosleep(&(struct timespec){ 0, (long)(2 * RECORDER_GATHER_S * 1e9) }, NULL);
    while (!cmd_stop && !l->ends) {
        int rc = follow_file(l, err);
        rc = rc ? rc : look(l, err);
        if (rc && (watch_online.once || (rc != ERR_IO && rc != ERR_BUSY)))
            return rc;
        if (rc && !failing)
            log_warn("%s; the next look is in %g s", err->msg, watch_online.every_s);
        failing = rc != 0;
        if (watch_online.once)
            break;
        const double until = clock_wall() + watch_online.every_s;
        while (!cmd_stop && !l->ends && clock_wall() < until)
            nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
    }
    return 0;
}

static int see(void *ctx, const struct event *ev, struct err *err)
{
    (void)ev, (void)err;
    ++*(int *)ctx;
    return 0;
}

/* Requests ask for the name as it is given, or without what is behind "@". */
static int find_name(struct looking *l, struct err *err)
{
    struct err none;
    int n = 0;
    if (registry_ref_parse(&l->ref, l->arg, &none) < 0)
        l->ref = (struct registry_ref){ 0 };             /* a model that is in no registry */
    TRY(events_read(l->e, &(struct events_where){ .model = l->arg, .limit = 1 }, see, &n, err));
    l->model = n || !*l->ref.name ? l->arg : l->ref.name;
    return 0;
}

static int begin(struct looking *l, struct err *err)
{
    if (watch_online.signals && (watch_online.reference || (!watch_online.since && !watch_online.until)))
        return ERR(err, USAGE, "--signals: a reference that is there has its signals; expected --since or --until with it");
    TRY(when_span(&l->window_s, watch_online.window, err));
    TRY(open_events(l, err));
    l->from = when_now();
    TRY(find_name(l, err));
    TRY(take_reference(l, err));
    if (watch_online.from)
        TRY(when_parse(&l->from, watch_online.from, err));
    const size_t n = (size_t)reference_count(l->r);
    l->value = mem_alloc_array(n, sizeof *l->value), l->effect_of = mem_alloc_array(n, sizeof *l->effect_of), l->effect = mem_alloc_array(n, sizeof *l->effect);
    l->alarmed = mem_alloc_zero(n * sizeof *l->alarmed), l->told = mem_alloc_zero(n * sizeof *l->told);
    if (!l->value || !l->effect_of || !l->effect || !l->alarmed || !l->told)
        return ERR(err, NOMEM, "no memory for %zu signals", n);
    for (size_t i = 0; i < n; i++)
        l->effect[i] = (double)NAN;
    if (watch_online.rules)
        TRY(rules_load(&l->rules, watch_online.rules, l->r, err));
    l->follows = *l->ref.name && !l->ref.number && rules_move(&l->rules);
    const double part = rules_compare(&l->rules) ? watch_online.alpha / (double)(n + 1) : 0;     /* both versions' feedback is one signal more */
    l->alpha = watch_online.alpha - part;
    TRY(watch_versus_open(&l->versus, part > 0 ? part : watch_online.alpha, err));
    return monitor_new(&l->m, l->r, &(struct monitor_opts){ .alpha = l->alpha, .arl = watch_online.arl, .seed = watch_online.seed }, err);
}

int watch_online_run(const char *name, struct err *err)
{
    struct looking l = { .arg = name };
    cmd_catch_signals();
    int rc = begin(&l, err);
    if (!rc && watch_online.out)
        rc = write_reference(&l, err);
    if (!rc && (watch_online.once || !watch_online.out))
        rc = look_on(&l, err);
    if (!rc && watch_online.once)
        rc = print_signals(&l, err);
    if (!rc && (l.ends || watch_online.once) && l.any)
        rc = ERR(err, GATE, "the answers of %s are not like those of the reference", name);
    monitor_free(l.m);
    watch_versus_close(&l.versus);
    rules_release(&l.rules);
    reference_free(l.r);
    events_close(l.e);
    mem_free(l.value), mem_free(l.effect_of), mem_free(l.effect), mem_free(l.alarmed), mem_free(l.told);
    return rc;
}

/* Again after a moment: what servers had gathered was on its way. */
int watch_online_erase(struct err *err)
{
    struct events *e;
    int64_t n = 0, more = 0;
    TRY(events_open(&e, watch_online.events ? watch_online.events : cmd_registry, false, err));
    int rc = events_erase(e, watch_online.erase, &n, err);
    if (!rc) {
        nanosleep(&(struct timespec){ 0, (long)(2 * RECORDER_GATHER_S * 1e9) }, NULL);
        rc = events_erase(e, watch_online.erase, &more, err);
        n += more;
    }
    events_close(e);
    if (!rc && cmd_json)
        return cmd_print_json(json_pack("{s:I}", "erased", (json_int_t)n), err);
    if (!rc)
        printf("%lld answers erased\n", (long long)n);
    return rc;
}
