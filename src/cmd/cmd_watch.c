/* cmd_watch.c - lathe watch: are these events still like those of the reference? */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "cmd/option_modes.h"
#include "cmd/watch_online.h"
#include "cmd/watch_rows.h"
#include "eval/stream.h"
#include "watch/report.h"

#define REFERENCE_BYTES ((size_t)1 << 30)
#define LAG_MOST 0.15                /* at 0.1 alarms are as rare as stated, at 0.2 they are not (doc/drift.md) */

static const char *reference_path, *current_path, *signals, *out_path, *evidently;
static double alpha = 0.01, run_length;
static int64_t seed, keep, one_of = 1;
static bool every_event, holm, adwin_too;

/* ---- signals ---- */

/* "nll, language:category": each becomes a signal of what the file has. */
static int named_signals(struct reference *r, const struct watch_columns *c, struct err *err)
{
    for (const char *at = signals; *at;) {
        const size_t n = strcspn(at, ",");
        char name[WATCH_NAME + 1], *colon;
        if (n > WATCH_NAME)
            return ERR(err, USAGE, "--signals: found a name of %zu bytes, expected at most %d", n, WATCH_NAME);
        memcpy(name, at + strspn(at, " "), n - strspn(at, " ")), name[n - strspn(at, " ")] = 0;
        at += n + (at[n] == ',');
        int kind = -1, i = 0;
        if ((colon = strrchr(name, ':')) && (kind = word_index(colon + 1, strlen(colon + 1), "number|category|vector")) >= 0)
            *colon = 0;
        if ((i = watch_columns_find(c, name)) < 0)
            return ERR(err, NOTFOUND, "%s: there is no '%s', which --signals names", reference_path, name);
        const char *why = "";
        if (kind < 0 && (kind = watch_columns_kind(c, i, &why)) < 0)
            return ERR(err, USAGE, "--signals: '%s': %s; '%s:number' or '%s:category' takes it all the same", name, why, name, name);
        TRY(reference_signal(r, name, (enum watch_kind)kind, c->column[i].dim, err));
    }
    return 0;
}

/* No column that can be watched may be gone without a word.  now: the columns of the current events. */
static int none_vanished(const struct watch_columns *c, const struct watch_columns *now, struct err *err)
{
    char names[300] = "";
    const char *why;
    int n = 0;
    for (int i = 0; i < c->n; i++)
        if (watch_columns_kind(c, i, &why) >= 0 && watch_columns_find(now, c->column[i].name) < 0) {
            const size_t at = strlen(names);
            snprintf(names + at, sizeof names - at, "%s'%s'", n++ ? ", " : "", c->column[i].name);
        }
    return n ? ERR(err, NOTFOUND, "%.100s lacks %d of the reference's columns, %s; --signals names those to watch", current_path, n, names) : 0;
}

static int all_signals(struct reference *r, const struct watch_columns *c, struct err *err)
{
    for (int i = 0; i < c->n; i++) {
        const char *why;
        const int kind = watch_columns_kind(c, i, &why);
        if (kind < 0)
            log_info("'%s' is not watched: %s", c->column[i].name, why);
        else
            TRY(reference_signal(r, c->column[i].name, (enum watch_kind)kind, c->column[i].dim, err));
    }
    return reference_count(r) ? 0 : ERR(err, FORMAT, "%s: found nothing to watch in %lld rows", reference_path, (long long)c->n_row);
}

/* The stated rates are of events that do not depend on each other. */
static void warn_of_neighbours(const struct reference *r, const struct watch_columns *c)
{
    const char *worst = NULL;
    double most = LAG_MOST;
    int n = 0;
    for (int i = 0; i < reference_count(r); i++) {
        const int k = watch_columns_find(c, reference_name(r, i));
        const double lag = reference_kind(r, i) == WATCH_NUMBER ? watch_columns_lag(&c->column[k]) : 0;
        n += lag > LAG_MOST;
        if (lag > most)
            most = lag, worst = reference_name(r, i);
    }
    if (n)
        log_warn("neighbouring events are alike in %d of %d signals (most in '%s', correlation %.2f), so that false alarms are more frequent than stated; --one-of takes one of many", n,
                 reference_count(r), worst, most);
}

/* ---- rows ---- */

typedef int (*row_fn)(void *ctx, const struct watch_value *value, struct err *err);

/* Calls fn for each row. */
static int each_row(const char *path, const struct reference *r, row_fn fn, void *ctx, struct err *err)
{
    const int n = reference_count(r);
    struct watch_value *value = mem_alloc_array((size_t)n, sizeof *value);
    struct watch_slot *slot = mem_alloc_array((size_t)n, sizeof *slot);
    struct watch_rows rows = { 0 };
    int rc = value && slot ? watch_rows_open(&rows, path, err) : ERR(err, NOMEM, "no memory for %d signals", n);
    rows.one_of = one_of;
    while (!rc && (rc = watch_rows_next(&rows, err)) > 0) {
        rc = 0;
        for (int i = 0; i < n && !rc; i++)
            rc = watch_rows_value(&rows, reference_name(r, i), reference_kind(r, i), reference_dim(r, i), &slot[i], &value[i], err);
        if (!rc)
            rc = fn(ctx, value, err);
    }
    watch_rows_close(&rows);
    for (int i = 0; slot && i < n; i++)
        watch_slot_release(&slot[i]);
    mem_free(value), mem_free(slot);
    return rc;
}

static int to_reference(void *ctx, const struct watch_value *value, struct err *err) { return reference_add(ctx, value, err); }

static int read_reference(struct reference **out, struct err *err)
{
    if (file_name_ends(reference_path, ".json")) {
        json_t *o;
        if (signals)
            return ERR(err, USAGE, "--signals: %s has its signals; expected a file of events", reference_path);
        TRY(tree_load(&o, reference_path, REFERENCE_BYTES, err));
        const int rc = reference_from_json(out, o, reference_path, err);
        json_decref(o);
        return rc;
    }
    struct watch_columns columns, now = { 0 };
    int rc = watch_columns_read(&columns, reference_path, one_of, err);
    if (!rc && current_path && !signals)
        rc = watch_columns_read(&now, current_path, 1, err);
    if (!rc && now.n)
        rc = none_vanished(&columns, &now, err);
    if (!rc)
        rc = reference_new(out, &(struct reference_opts){ .seed = (uint64_t)seed, .keep = (int)keep }, err);
    if (!rc)
        rc = signals ? named_signals(*out, &columns, err) : all_signals(*out, &columns, err);
    if (!rc)
        warn_of_neighbours(*out, &columns);
    watch_columns_release(&columns), watch_columns_release(&now);
    if (!rc)
        rc = each_row(reference_path, *out, to_reference, *out, err);
    if (!rc && reference_close(*out, err) < 0)
        rc = err_context(err, "%s", reference_path);
    return rc;
}

static int write_reference(const struct reference *r, struct err *err)
{
    json_t *o;
    TRY(reference_to_json(&o, r, err));
    char *text = tree_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        return ERR(err, NOMEM, "no memory for the reference's file");
    const int rc = file_write_all(out_path, text, strlen(text), err);
    mem_free(text);
    return rc;
}

/* ---- the current events ---- */

struct one_adwin { struct adwin a; int64_t n, n_change, first; };
struct watching {
    const struct reference *reference;
    struct monitor *monitor;
    struct reference *window;
    struct one_adwin *adwin;             /* of numbers; NULL: none */
};

static int add_adwin(struct watching *w, const struct watch_value *value, struct err *err)
{
    for (int i = 0; i < reference_count(w->reference); i++) {
        bool changed;
        if (reference_kind(w->reference, i) != WATCH_NUMBER || value[i].state != WATCH_GIVEN || !isfinite(value[i].number))
            continue;
        struct one_adwin *x = &w->adwin[i];
        x->n++;
        TRY(adwin_add(&x->a, value[i].number, &changed, err));
        x->n_change += changed;
        if (changed && !x->first)
            x->first = x->n;
    }
    return 0;
}

static int to_both(void *ctx, const struct watch_value *value, struct err *err)
{
    struct watching *w = ctx;
    TRY(reference_add(w->window, value, err));
    if (w->adwin)
        TRY(add_adwin(w, value, err));
    const int rc = w->monitor ? monitor_add(w->monitor, value, err) : 0;
    return rc < 0 ? rc : 0;
}

static int begin(struct watching *w, const struct monitor_opts *mo, struct err *err)
{
    const struct reference *r = w->reference;
    TRY(reference_new(&w->window, &(struct reference_opts){ .seed = (uint64_t)seed + 1, .keep = (int)keep }, err));
    for (int i = 0; i < reference_count(r); i++)
        TRY(reference_signal(w->window, reference_name(r, i), reference_kind(r, i), reference_dim(r, i), err));
    if (every_event)
        TRY(monitor_new(&w->monitor, r, mo, err));
    if (adwin_too) {
        w->adwin = mem_alloc_array((size_t)reference_count(r), sizeof *w->adwin);
        if (!w->adwin)
            return ERR(err, NOMEM, "no memory for %d detectors", reference_count(r));
        for (int i = 0; i < reference_count(r); i++)
            TRY(adwin_init(&w->adwin[i].a, &(struct adwin_opts){ 0 }, err));
    }
    return 0;
}

/* ---- the result ---- */

static void print_effect(enum watch_kind kind, const struct window_signal *w)
{
    const bool any = kind == WATCH_NUMBER ? isfinite(w->delta) : kind == WATCH_CATEGORY ? *w->category : isfinite(w->auc);
    if (kind == WATCH_NUMBER && isfinite(w->shift))
        printf("shift %+.2f sd [%+.2f, %+.2f], ", w->shift, w->shift_low, w->shift_high);
    else if (kind == WATCH_NUMBER && any)
        printf("shift not computable, ");
    if (kind == WATCH_NUMBER && any)
        printf("delta %+.2f [%+.2f, %+.2f]", w->delta, w->delta_low, w->delta_high);
    else if (kind == WATCH_CATEGORY && *w->category)
        printf("tv %.2f, %s %.1f %% -> %.1f %% [%+.1f, %+.1f]", w->tv, w->category, 100 * w->share_reference, 100 * w->share_window, 100 * w->change_low,
               100 * w->change_high);
    else if (kind == WATCH_VECTOR && isfinite(w->auc))
        printf("auc %.2f [%.2f, %.2f]", w->auc, w->auc_low, w->auc_high);
    if (w->missing_window != w->missing_reference)
        printf("%smissing %.1f %% -> %.1f %%", any ? ", " : "", 100 * w->missing_reference, 100 * w->missing_window);
}

static void print_monitored(const struct watching *w)
{
    printf("%-20s %-9s %-7s %10s %10s  %s\n", "signal", "kind", "", "at event", "p", "changed after");
    for (int i = 0; i < reference_count(w->reference); i++) {
        struct monitor_state s;
        monitor_state(w->monitor, i, &s);
        printf("%-20s %-9s %-7s ", reference_name(w->reference, i), watch_kind_name(reference_kind(w->reference, i)), s.alarmed ? "ALARM" : "-");
        s.alarmed ? printf("%10lld ", (long long)s.alarmed_at) : printf("%10s ", "-");
        isfinite(s.p) ? printf("%10.2g", s.p) : printf("%10s", "-");
        if (s.alarmed)
            printf("  %lld (%lld to %lld)", (long long)s.at_alarm.at, (long long)s.at_alarm.low, (long long)s.at_alarm.high);
        printf("\n");
    }
}

static void print_windows(const struct watching *w, const struct window_signal *out)
{
    printf("%-20s %-9s %-7s %10s %10s  %s\n", "signal", "kind", "", "p", "adjusted", "effect, 95 %");
    for (int i = 0; i < reference_count(w->reference); i++) {
        const enum watch_kind kind = reference_kind(w->reference, i);
        printf("%-20s %-9s %-7s ", reference_name(w->reference, i), watch_kind_name(kind), out[i].drift ? "DRIFT" : "-");
        if (out[i].test)
            printf("%10.2g %10.2g  ", out[i].p, out[i].p_adjusted);
        print_effect(kind, &out[i]);
        if (adwin_too) {
            printf("; no stated rate: psi %.3f", out[i].psi);
            if (kind == WATCH_NUMBER)
                printf(", adwin %lld changes", (long long)w->adwin[i].n_change);
        }
        printf("\n");
    }
}

static void print_result(const struct watching *w, const struct drift_found *f)
{
    printf("%lld events against a reference of %lld\n", (long long)reference_events(w->window), (long long)reference_events(w->reference));
    if (w->monitor) {
        printf(run_length > 0 ? "looked at after every event: a false alarm within t events has at most the chance t / %.0f\n"
                              : "looked at after every event: any false alarm, ever, has at most the chance %g\n", run_length > 0 ? run_length : alpha);
        print_monitored(w);
        printf("\nall of them at once, for the effects\n");
    } else {
        printf("looked at once: %s at %g\n", holm ? "any false alarm (Holm)" : "share of false alarms (Benjamini-Hochberg)", alpha);
    }
    print_windows(w, f->window);
}

static int add_adwin_json(json_t *o, const struct watching *w, struct err *err)
{
    json_t *list = json_object_get(o, "signals");
    for (int i = 0; w->adwin && i < reference_count(w->reference); i++)
        if (reference_kind(w->reference, i) == WATCH_NUMBER &&
            json_object_set_new(json_array_get(list, (size_t)i), "adwin", json_pack("{s:I, s:o, s:s}", "changes", (json_int_t)w->adwin[i].n_change, "first",
                                w->adwin[i].first ? json_integer((json_int_t)w->adwin[i].first) : json_null(), "rate", "none stated")))
            return ERR(err, NOMEM, "no memory for the result");
    return 0;
}

static int write_evidently(const struct drift_found *f, struct err *err)
{
    json_t *o;
    TRY(drift_report_evidently(&o, f, err));
    char *text = tree_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    json_decref(o);
    if (!text)
        return ERR(err, NOMEM, "no memory for the report");
    const int rc = file_write_all(evidently, text, strlen(text), err);
    mem_free(text);
    return rc;
}

static int tell(const struct watching *w, const struct drift_found *f, struct err *err)
{
    if (evidently)
        TRY(write_evidently(f, err));
    if (!cmd_json) {
        print_result(w, f);
        return 0;
    }
    json_t *o;
    TRY(drift_report(&o, f, err));
    if (add_adwin_json(o, w, err) < 0) {
        json_decref(o);
        return ERR_NOMEM;
    }
    return cmd_print_json(o, err);
}

static int compare(const struct reference *r, struct err *err)
{
    const struct monitor_opts mo = { .alpha = alpha, .arl = run_length, .seed = (uint64_t)seed };
    struct window_opts wo = { .alpha = alpha, .holm = holm, .seed = (uint64_t)seed };
    struct watching w = { .reference = r };
    struct window_signal *out = mem_alloc_array((size_t)reference_count(r), sizeof *out);
    struct drift_found f = { .reference = r, .monitor_opts = &mo, .window = out, .window_opts = &wo };
    int rc = out ? cmd_pool(&wo.pool, err) : ERR(err, NOMEM, "no memory for %d signals", reference_count(r));
    if (!rc)
        rc = begin(&w, &mo, err);
    if (!rc)
        rc = each_row(current_path, r, to_both, &w, err);
    if (!rc && !reference_events(w.window))
        rc = ERR(err, FORMAT, "%s: found no events", current_path);
    if (!rc)
        rc = window_compare(out, r, w.window, &wo, err);
    f.monitor = w.monitor, f.window_events = rc ? 0 : reference_events(w.window);
    if (!rc)
        rc = tell(&w, &f, err);
    if (!rc && drift_found_any(&f))
        rc = ERR(err, GATE, "the events are not like those of the reference");
    monitor_free(w.monitor), reference_free(w.window), mem_free(w.adwin), mem_free(out);
    return rc;
}

/* ---- which options belong together ---- */

enum { ONCE = 1, EVERY_EVENT = 2, KEEP = 4, NAME = 8, NAME_ONCE = 16, ERASE = 32, FILES = ONCE | EVERY_EVENT | KEEP, NAMES = NAME | NAME_ONCE };
static const char *const mode_word[] = { "files", "files with --every-event", "a reference alone", "NAME", "NAME with --once", "--erase" };
static const struct option_use uses[] = {
    { "current", ONCE | EVERY_EVENT },
    { "reference", FILES | NAMES },
    { "signals", FILES | NAMES },
    { "alpha", ONCE | EVERY_EVENT | NAMES },
    { "every-event", EVERY_EVENT },
    { "run-length", EVERY_EVENT | NAMES },
    { "one-of", FILES },
    { "holm", ONCE },
    { "adwin", ONCE | EVERY_EVENT },
    { "keep", FILES },
    { "out", FILES | NAMES },
    { "evidently", ONCE | EVERY_EVENT },
    { "seed", FILES | NAMES },
    { "events", NAMES | ERASE },
    { "since", NAMES },
    { "until", NAMES },
    { "from", NAMES },
    { "every", NAME },
    { "window", NAME },
    { "rules", NAMES },
    { "once", NAME_ONCE },
    { "erase", ERASE },
    { "registry", NAMES | ERASE },
    { "actor", NAMES },
    { "threads", ONCE | EVERY_EVENT | NAMES },
};

static int check_options(unsigned mode, struct err *err)
{
    TRY(option_modes_check(uses, sizeof uses / sizeof *uses, mode_word, sizeof mode_word / sizeof *mode_word, mode, err));
    if (mode & FILES && (!reference_path || (!current_path && !out_path)))
        return ERR(err, USAGE, "expected --reference FILE, and --current FILE to compare or --out FILE to keep the reference; or the NAME of what servers record");
    if (!(alpha > 0 && alpha < 1))
        return ERR(err, USAGE, "--alpha: found %g, expected a number between 0 and 1", alpha);
    if (run_length != 0 && run_length < 1)
        return ERR(err, USAGE, "--run-length: found %g, expected 1 and more", run_length);
    if (watch_online.reference && (watch_online.since || watch_online.until))
        return ERR(err, USAGE, "--reference and --since or --until: expected one reference");
    return 0;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    struct reference *r = NULL;
    const unsigned mode = watch_online.erase ? ERASE : n_args ? (watch_online.once ? NAME_ONCE : NAME) : every_event ? EVERY_EVENT : current_path || !out_path ? ONCE : KEEP;
    if (n_args)
        watch_online.reference = reference_path;
    if (watch_online.erase && n_args)
        return ERR(err, USAGE, "--erase: found '%s' too; it deletes what was recorded of a user under any name", args[0]);
    TRY(check_options(mode, err));
    if (watch_online.erase)
        return watch_online_erase(err);
    if (n_args) {
        watch_online.signals = signals, watch_online.out = out_path, watch_online.alpha = alpha, watch_online.arl = run_length, watch_online.seed = (uint64_t)seed;
        return watch_online_run(args[0], err);
    }
    int rc = read_reference(&r, err);
    if (!rc && out_path)
        rc = write_reference(r, err);
    if (!rc && current_path)
        rc = compare(r, err);
    reference_free(r);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "reference", &reference_path, "<file>", "of events that were normal: .csv, .tsv, .jsonl, or .json as --out wrote it", 0, 0 },
    { OPT_STR, "current", &current_path, "<file>", "of the events to be watched, in their order: .csv, .tsv or .jsonl", 0, 0 },
    { OPT_STR, "signals", &signals, "<names>",
      "columns to watch, by commas, each with its kind if wanted: nll,language:category; all that can be unless given; NAME: signals, for --since", 0, 0 },
    { OPT_FLOAT, "alpha", &alpha, "<share>", "the chance of a false alarm", 0, 1 },
    { OPT_FLAG, "every-event", &every_event, NULL, "look after every event, and say when the alarm came; else once, at all of them", 0, 0 },
    { OPT_FLOAT, "run-length", &run_length, "<events>", "with --every-event: a false alarm within t events has at most the chance t over this", 0, 1e15 },
    { OPT_INT, "one-of", &one_of, "<int>", "take the first of each so many events, of both files: where neighbours are alike", 1, 1e9 },
    { OPT_FLAG, "holm", &holm, NULL, "looked at once: alpha is the chance of any false alarm, not the share of false ones", 0, 0 },
    { OPT_FLAG, "adwin", &adwin_too, NULL, "tell ADWIN's changes and PSI too, which have no stated rate", 0, 0 },
    { OPT_INT, "keep", &keep, "<int>", "events that a reference keeps of each signal; 0: 2048", 0, 65536 },
    { OPT_STR, "out", &out_path, "<file>", "keep the reference here, as JSON", 0, 0 },
    { OPT_STR, "evidently", &evidently, "<file>", "write the result here too, in the layout of Evidently's reports", 0, 0 },
    { OPT_INT, "seed", &seed, "<int>", "of what is drawn: kept events, ranks of equal values, permutations", 0, 9e18 },
    OPTS_WATCH_ONLINE,
    OPT_REGISTRY, OPT_ACTOR, OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};

const struct command command_watch = {
    "watch", "[NAME]", "are these events still like those of the reference?",
    TEXT(
        "Compares events with a reference, column by column (signals): numbers, categories, and in JSON lines vectors too.  A signal is what the file\n"
        "shows: all numbers are a number, texts that repeat a category, arrays of numbers a vector; what counts up from row to row, or has a text of\n"
        "its own in nearly every row, is left out and named.  Empty fields, NaN and null are missing, which is a value of its own.  A column of the\n"
        "reference that the current events do not have is an error; --signals names those to watch.\n"
        "\n"
        "Looked at once (without --every-event): a test for each signal, adjusted over all of them.  Kolmogorov-Smirnov for numbers, chi-square of\n"
        "both samples' table for categories (by permutation where counts are small), mean discrepancy for vectors.\n"
        "\n"
        "With --every-event: bets on each event's rank among the reference's.  Where nothing has changed, the chance that any signal ever alarms is at\n"
        "most alpha, with a look after every event, for a stream of any length, and with the chance in the reference counted in.  Told are the event of\n"
        "the alarm and when the change came (with the borders that are nearly as likely).\n"
        "\n"
        "All of it takes events to be independent of each other: where neighbours are alike (a warning says so) take one of many by --one-of.\n"
        "\n"
        "Effects: shift of the mean in standard deviations of the reference (wild values held back), Cliff's delta, total variation and the category\n"
        "that changed most, for vectors how well a direction tells both apart; in brackets 95 % intervals.  PSI and ADWIN (--adwin) have no stated rate.\n",
        "\n"
        "lathe watch NAME looks at what servers record of the answers of a model or an alias (lathe serve --record), every 60 seconds, with a look after every\n"
        "answer: lengths, how unlikely prompts and how unsure tokens are, languages, refusals, latencies and more (doc/recording.md).  The reference\n"
        "is a file, the answers between two moments, or what was kept with the version in the registry.  --rules says what is done: alert by webhook or mail, stop the canary,\n"
        "roll back, end.  --erase USER deletes what was recorded of somebody.\n"
        "\n"
        "    lathe watch chat@production --since 2026-11-20 --until 2026-11-27 --rules rules.yaml\n"
        "\n"
        "Exit code 3 when something has changed.  How it works, and how it compares with others: doc/drift.md.\n"),
    opts, run, 0, 1,
};
