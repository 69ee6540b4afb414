#include "cmd/eval_select.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/diagram.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/model_evidence.h"
#include "cmd/self.h"
#include "eval/evidence.h"
#include "eval/interval.h"
#include "eval/samples.h"
#include "eval/select.h"
#include "model/model.h"

/* What is measured of all, in this order; a criterion that is not known of each candidate does not count. */
enum criterion { QUALITY, DECODE, PROMPT, MEMORY, COST, N_CRITERION };
static const struct { const char *name, *what; bool higher; } criterion[N_CRITERION] = {
    [QUALITY] = { "quality", "mean over the tasks of their first metric", true },
    [DECODE] = { "decode_tokens_per_s", "tokens a second that one sequence is written with", true },
    [PROMPT] = { "prefill_tokens_per_s", "tokens a second that a prompt of 512 (or half of the positions) is read with", true },
    [MEMORY] = { "peak_resident_bytes", "largest memory of a process that wrote 64 tokens, mapped weights among it", false },
    [COST] = { "cost_per_million_tokens", "of a million tokens written one sequence at a time, by --price-per-hour", false },
};

struct entry {
    char *name, *path, *folder, *adapter;
    const char *precision;
    bool kept;                           /* an evaluation that was there already */
    struct samples samples;
    double ci[2];                        /* of quality: by the tasks' own standard errors */
    int64_t n_item;
};
struct selection {
    const struct eval_select *o;
    struct entry e[SELECT_CANDIDATES];
    struct select_candidate c[SELECT_CANDIDATES];
    double value[SELECT_CANDIDATES][N_CRITERION];
    bool used[N_CRITERION];
    int n, n_task, best, taken;
};

/* ---- the candidates ---- */

/* The piece behind the last `mark`, cut off: what it is good for, `fits` says. */
static char *piece(char *s, char mark, bool (*fits)(const char *s))
{
    char *at = strrchr(s, mark);
    if (!at || !fits(at + 1))
        return NULL;
    *at = 0;
    return at + 1;
}

static const char *precision_of(const char *s)
{
    static const char *const all[] = { "file", "fp32", "bf16", "f16" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(s, all[i]))
            return all[i];
    return NULL;
}
static bool is_precision(const char *s) { return precision_of(s); }
static bool is_folder(const char *s) { return file_is_dir(s); }

static char *name_of(const char *spec, const char **rest)
{
    const size_t n = strspn(spec, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (n && spec[n] == '=') {
        *rest = spec + n + 1;
        return mem_printf("%.*s", (int)n, spec);
    }
    *rest = spec;
    size_t length;
    const char *name = file_last_name(spec, &length);
    return mem_printf("%.*s", (int)length, name);
}

/* That there is a model, before any of them is asked: its header is read. */
static int check_model(const struct entry *e, const char *spec, struct err *err)
{
    struct model m;
    if (!file_exists(e->path))
        return ERR(err, NOTFOUND, "%s: there is no %s, expected [NAME=]MODEL[@file|fp32|bf16|f16][+FOLDER of adapters], or a folder of lathe eval --out with --log-samples", spec, e->path);
    TRY(model_open(&m, e->path, NULL, err));
    model_release(&m);
    return 0;
}

static int read_entry(struct entry *e, const char *spec, const char *out_dir, struct err *err)
{
    const char *rest;
    e->name = name_of(spec, &rest);
    char *s = mem_strdup(rest);
    int rc = e->name && s ? 0 : ERR(err, NOMEM, "no memory for the candidates");
    e->kept = !rc && samples_are_at(s);
    if (!rc && e->kept) {
        e->folder = s;
        return 0;
    }
    if (!rc) {
        const char *adapter = piece(s, '+', is_folder), *precision = piece(s, '@', is_precision);
        e->precision = precision ? precision_of(precision) : "file";
        e->adapter = adapter ? mem_strdup(adapter) : NULL;
        if (adapter && !e->adapter)
            rc = ERR(err, NOMEM, "no memory for the candidates");
    }
    if (!rc && !out_dir)
        rc = ERR(err, USAGE, "--select: what is found of each candidate goes to a folder, give it by --out");
    if (!rc)
        rc = cmd_model_path(&e->path, s, err);
    if (!rc)
        rc = check_model(e, spec, err);
    if (!rc && !(e->folder = file_join(out_dir, e->name)))
        rc = ERR(err, NOMEM, "no memory for the candidates");
    mem_free(s);
    return rc;
}

static int read_entries(struct selection *s, const char *const *spec, int n, const char *out_dir, struct err *err)
{
    if (n < 2 || n > SELECT_CANDIDATES)
        return ERR(err, USAGE, "--select: found %d model%s, expected 2 to %d", n, n == 1 ? "" : "s", SELECT_CANDIDATES);
    for (s->n = 0; s->n < n; s->n++) {
        struct entry *e = &s->e[s->n];
        const int rc = read_entry(e, spec[s->n], out_dir, err);
        if (rc) {
            s->n++;                      /* its parts are released with the rest */
            return rc;
        }
        for (int i = 0; i < s->n; i++)
            if (!strcmp(s->e[i].name, e->name)) {
                s->n++;
                return ERR(err, USAGE, "--select: found two candidates called %s; name them: NAME=MODEL", e->name);
            }
    }
    return 0;
}

static void release(struct selection *s)
{
    for (int i = 0; i < s->n; i++) {
        mem_free(s->e[i].name);
        mem_free(s->e[i].path);
        mem_free(s->e[i].folder);
        mem_free(s->e[i].adapter);
        samples_release(&s->e[i].samples);
    }
}

/* ---- speed and memory, in a process of its own ---- */

/* The tokens a second of the test with these tokens, in the output of lathe bench --json; sd: over its repetitions. */
static double tokens_per_s(const json_t *tests, const char *key, double *sd)
{
    size_t i;
    json_t *t;
    json_array_foreach((json_t *)tests, i, t)
        if (json_integer_value(json_object_get(t, key)) > 0) {
            *sd = json_number_value(json_object_get(t, "stddev_ts"));
            return json_number_value(json_object_get(t, "avg_ts"));
        }
    *sd = NAN;
    return NAN;
}

enum { REPEAT = 3 };

/* `lathe COMMAND MODEL ...` of this candidate. */
static int run_command(const struct entry *e, const char *const *words, struct buf *out, double *bytes, struct err *err)
{
    char threads[16];
    const char *argv[32] = { "lathe" };
    int n = 1;
    while (*words)
        argv[n++] = *words++;
    snprintf(threads, sizeof threads, "%lld", (long long)cmd_threads);
    argv[n++] = "--precision", argv[n++] = e->precision, argv[n++] = "--threads", argv[n++] = threads, argv[n++] = "--quiet";
    if (e->adapter)
        argv[n++] = "--adapter", argv[n++] = e->adapter;
    return self_run(argv, out, bytes, err);
}

/* How many tokens are read and written to measure: 512 and 64, or what the model's positions allow. */
static int lengths(const char *path, int *n_prompt, int *n_write, struct err *err)
{
    struct model m;
    TRY(model_open(&m, path, NULL, err));
    const int64_t most = m.config.ctx;
    *n_prompt = most >= 1024 ? 512 : most >= 4 ? (int)(most / 2) : 1;
    *n_write = *n_prompt >= 128 ? 64 : (*n_prompt + 1) / 2;
    model_release(&m);
    return 0;
}

static int measured_speed(const struct entry *e, json_t **tests, double *bytes, struct err *err)
{
    int n_prompt, n_write;
    char prompt[16], write[16];
    TRY(lengths(e->path, &n_prompt, &n_write, err));
    snprintf(prompt, sizeof prompt, "%d", n_prompt), snprintf(write, sizeof write, "%d", n_write);
    const char *const bench[] = { "bench", e->path, "-p", prompt, "-n", write, "-r", "3", "--json", NULL };
    const char *const generate[] = { "generate", e->path, "-p", "a", "-n", write, "--temp", "0", NULL };
    struct buf out;
    buf_init(&out);
    int rc = run_command(e, bench, &out, bytes, err);
    if (!rc)
        rc = tree_parse_json(tests, out.data, out.len, "lathe bench", err);
    if (!rc)
        rc = run_command(e, generate, &out, bytes, err);
    buf_release(&out);
    return rc;
}

static int put_speed(json_t *evidence, int which, double value, double half, struct err *err)
{
    const struct evidence_figure f = { criterion[which].name, NULL, value, value - half, value + half, which == MEMORY ? 1 : REPEAT, criterion[which].higher ? EVIDENCE_HIGHER : EVIDENCE_LOWER, criterion[which].what };
    return evidence_figure(evidence, &f, err);
}

/* An interval by Student's t of three repetitions: 4.303 s / sqrt(3). */
static double half_width(double sd) { return 4.302652729911275 * sd / sqrt((double)REPEAT); }

static int measure_speed(const struct entry *e, struct err *err)
{
    char sha[SHA256_HEX];
    json_t *tests = NULL, *evidence = NULL;
    double bytes, sd_decode, sd_prompt;
    log_info("%s: speed and memory", e->name);
    TRY(measured_speed(e, &tests, &bytes, err));
    const double decode = tokens_per_s(tests, "n_gen", &sd_decode), prompt = tokens_per_s(tests, "n_prompt", &sd_prompt);
    int rc = model_digest(e->path, sha, err);
    if (!rc)
        rc = model_evidence(&evidence, "speed", e->path, sha, 0, 0, err);
    if (!rc)
        rc = put_speed(evidence, DECODE, decode, half_width(sd_decode), err);
    if (!rc)
        rc = put_speed(evidence, PROMPT, prompt, half_width(sd_prompt), err);
    if (!rc)
        rc = put_speed(evidence, MEMORY, bytes, NAN, err);
    if (!rc)
        rc = evidence_put(evidence, "tests", json_incref(tests), err);
    if (!rc)
        rc = evidence_write(evidence, e->folder, NULL, err);
    json_decref(evidence);
    json_decref(tests);
    return rc;
}

/* ---- what a folder has ---- */

/* All of it, or what lathe bench calls a prompt, or one sequence. */
static bool of_one(const json_t *of)
{
    const char *s = json_string_value(of);
    return !s || !strncmp(s, "prompt ", 7) || !strncmp(s, "decode 1 x ", 11);
}

/* The newest figure of that name over all. */
static double figure_of(const json_t *all, const char *name)
{
    double v = NAN;
    size_t i, k;
    json_t *e, *f;
    json_array_foreach((json_t *)all, i, e)
        json_array_foreach(json_object_get(e, "figures"), k, f) {
            const char *is = json_string_value(json_object_get(f, "name"));
            const json_t *value = json_object_get(f, "value");
            if (is && !strcmp(is, name) && of_one(json_object_get(f, "of")) && json_is_number(value))
                v = json_number_value(value);
        }
    return v;
}

/* The newest results of tasks are of all items. */
static int check_complete(const json_t *all, const char *folder, struct err *err)
{
    bool stopped = false;
    size_t i;
    json_t *e;
    json_array_foreach((json_t *)all, i, e)
        if (json_object_get(e, "results"))
            stopped = json_is_false(json_object_get(json_object_get(json_object_get(e, "results"), "lathe"), "complete"));
    return stopped ? ERR(err, USAGE, "%s: its evaluation was stopped before the end, expected one of all items; the command that made it goes on", folder) : 0;
}

static int read_figures(struct selection *s, int i, struct err *err)
{
    json_t *all = NULL;
    struct entry *e = &s->e[i];
    TRY(evidence_read(&all, e->folder, err));
    if (isnan(figure_of(all, criterion[DECODE].name)) && !e->kept) {
        json_decref(all);
        TRY(measure_speed(e, err));
        TRY(evidence_read(&all, e->folder, err));
    }
    for (int c = DECODE; c < COST; c++)
        s->value[i][c] = figure_of(all, criterion[c].name);
    const int rc = check_complete(all, e->folder, err);
    s->value[i][COST] = s->o->price > 0 ? s->o->price * 1e6 / (3600 * s->value[i][DECODE]) : (double)NAN;
    json_decref(all);
    return rc;
}

static bool first_of_task(const struct samples *s, int i) { return !i || strcmp(s->set[i - 1].task, s->set[i].task); }

/* Right and wrong, or any share of it. */
static int check_values(const struct sample_set *x, struct err *err)
{
    for (int64_t i = 0; i < x->n; i++)
        if (!isnan(x->item[i].value) && (!(x->item[i].value >= 0 && x->item[i].value <= 1) || x->item[i].weight != 1))
            return ERR(err, UNSUPPORTED, "--select: %s of %s has the value %g, expected a metric whose values are shares from 0 to 1", x->metric, x->task, x->item[i].value);
    return 0;
}

static int read_quality(struct selection *s, int i, struct err *err)
{
    struct entry *e = &s->e[i];
    TRY(samples_load(&e->samples, e->folder, NULL, NULL, err));
    double sum = 0, var = 0;
    int n_task = 0;
    for (int k = 0; k < e->samples.n; k++) {
        const struct sample_set *x = &e->samples.set[k];
        struct interval_mean m;
        int64_t n = 0;
        if (!first_of_task(&e->samples, k))
            continue;
        TRY(check_values(x, err));
        double *v = mem_alloc_array((size_t)x->n + 1, sizeof *v);
        if (!v)
            return ERR(err, NOMEM, "no memory for the items of %s", x->task);
        for (int64_t at = 0; at < x->n; at++)
            if (!isnan(x->item[at].value))
                v[n++] = x->higher_is_better ? x->item[at].value : 1 - x->item[at].value;
        const int rc = n ? interval_mean(v, NULL, NULL, n, 0.95, &m, err) : ERR(err, RANGE, "%s: no item of %s has a value", e->folder, x->task);
        mem_free(v);
        TRY(rc);
        sum += m.mean, var += m.se * m.se, n_task++, e->n_item += n;
    }
    if (!n_task)
        return ERR(err, NOTFOUND, "%s has no items of tasks (samples_TASK_DATE.jsonl)", e->folder);
    const double half = 1.959963984540054 * sqrt(var) / n_task;
    s->value[i][QUALITY] = s->c[i].quality = sum / n_task;
    e->ci[0] = s->c[i].quality - half, e->ci[1] = s->c[i].quality + half;
    s->c[i].name = e->name;
    return 0;
}

/* ---- the comparison ---- */

static int compare_one(struct selection *s, int i, struct err *err)
{
    const struct samples *old = &s->e[s->best].samples, *new = &s->e[i].samples;
    const struct compare_opts o = { .alpha = 0.05 / (s->n - 1), .power = 0.8, .margin = s->o->margin, .seed = 1 };
    struct compare_result *r = mem_alloc_array((size_t)old->n + 1, sizeof *r);
    int n = 0, rc = r ? 0 : ERR(err, NOMEM, "no memory to compare %d tasks", old->n);
    for (int k = 0; k < old->n && !rc; k++) {
        struct sample_pairs p;
        const struct sample_set *x = &old->set[k], *y = samples_find(new, x);
        if (!first_of_task(old, k))
            continue;
        if (!y) {
            rc = ERR(err, NOTFOUND, "%s has no items of %s, which %s has", s->e[i].folder, x->task, s->e[s->best].folder);
            break;
        }
        rc = samples_pair(&p, x, y, err);
        if (!rc && !p.n)
            rc = ERR(err, RANGE, "%s: %s and %s have no item in common", x->task, s->e[s->best].name, s->e[i].name);
        if (!rc && (p.only_old || p.only_new || p.other_doc || p.no_value))
            log_warn("%s of %s: %lld items are not paired", x->task, s->e[i].name, (long long)(p.only_old + p.only_new + p.other_doc + p.no_value));
        if (!rc)
            rc = samples_measure(&r[n++], x, y, &p, NULL, &o, err);
        sample_pairs_release(&p);
    }
    if (!rc)
        rc = select_loss(r, n, s->o->margin, &s->c[i].against_best, err);
    s->n_task = n;
    mem_free(r);
    return rc;
}

static int decide(struct selection *s, struct err *err)
{
    bool higher[N_CRITERION], front[SELECT_CANDIDATES];
    s->best = select_best(s->c, s->n);
    s->c[s->best].against_best.verdict = COMPARE_NOT_WORSE;
    for (int i = 0; i < s->n; i++)
        if (i != s->best)
            TRY(compare_one(s, i, err));
    for (int c = 0; c < N_CRITERION; c++)
        higher[c] = criterion[c].higher;
    select_front(&s->value[0][0], s->n, N_CRITERION, higher, s->used, front);
    for (int i = 0; i < s->n; i++)
        s->c[i].front = front[i];
    const char *prefer = s->o->prefer;
    const int by = !strcmp(prefer, "memory") ? MEMORY : !strcmp(prefer, "cost") ? COST : !strcmp(prefer, "speed") ? DECODE : QUALITY;
    double order[SELECT_CANDIDATES];
    for (int i = 0; i < s->n; i++)
        order[i] = s->value[i][by];
    s->taken = select_take(s->c, s->n, by == QUALITY ? NULL : order, higher[by]);
    return 0;
}

/* ---- telling ---- */

static int factor(struct buf *b, const struct selection *s, enum criterion c, const char *more, struct err *err)
{
    const double x = s->value[s->taken][c], y = s->value[s->best][c];
    return isnan(x) || isnan(y) || !(y > 0) ? 0 : buf_printf(b, err, "  It %s %.2f times as much as %s (%.4g, %.4g).", more, x / y, s->c[s->best].name, x, y);
}

/* What is recommended, and what it rests on, in sentences. */
static int recommend(const struct selection *s, struct buf *b, struct err *err)
{
    const struct select_candidate *t = &s->c[s->taken], *best = &s->c[s->best];
    TRY(buf_printf(b, err, "Take %s.", t->name));
    bool as_good = false;
    for (int i = 0; i < s->n; i++)
        as_good = as_good || (i != s->best && s->c[i].against_best.verdict >= COMPARE_NOT_WORSE);
    if (s->taken == s->best)
        TRY(buf_printf(b, err, "  Its quality, %.4f over %d task%s, is the best, and %s.", best->quality, s->n_task, s->n_task == 1 ? "" : "s",
                       as_good ? "of those that are as good none is before it by what is preferred" : "of no other is it shown that it is as good"));
    else {
        TRY(buf_printf(b, err, "  It is not worse than %s, the best (%.4f), by %.3g or more: %.4f, a loss of at most %.4f over %d task%s (one-sided, 95 %% for all candidates together).",
                       best->name, best->quality, s->o->margin, t->quality, t->against_best.upper, s->n_task, s->n_task == 1 ? "" : "s"));
        TRY(factor(b, s, DECODE, "writes", err));
        TRY(factor(b, s, MEMORY, "takes", err));
        TRY(factor(b, s, COST, "costs", err));
    }
    for (int i = 0; i < s->n; i++)
        if (i != s->best && s->c[i].against_best.verdict == COMPARE_UNDERPOWERED)
            TRY(buf_printf(b, err, "  Of %s it is not known: its loss lies between %.4f and %.4f; more items would tell.", s->c[i].name, s->c[i].against_best.low, s->c[i].against_best.high));
        else if (i != s->best && s->c[i].against_best.verdict == COMPARE_WORSE)
            TRY(buf_printf(b, err, "  %s is worse by %.4f (%.4f to %.4f).", s->c[i].name, s->c[i].against_best.loss, s->c[i].against_best.low, s->c[i].against_best.high));
    for (int c = 0; c < N_CRITERION; c++)
        if (!s->used[c] && (c != COST || s->o->price > 0))
            TRY(buf_printf(b, err, "  Not weighed, since it is not known of each: %s.", criterion[c].name));
    return 0;
}

static int figures(const struct selection *s, json_t *evidence, struct err *err)
{
    for (int i = 0; i < s->n; i++)
        for (int c = 0; c < N_CRITERION; c++) {
            const struct evidence_figure f = { criterion[c].name, s->c[i].name, s->value[i][c], c == QUALITY ? s->e[i].ci[0] : (double)NAN, c == QUALITY ? s->e[i].ci[1] : (double)NAN,
                                               c == QUALITY ? s->e[i].n_item : REPEAT, criterion[c].higher ? EVIDENCE_HIGHER : EVIDENCE_LOWER, criterion[c].what };
            if (!isnan(f.value))
                TRY(evidence_figure(evidence, &f, err));
        }
    return 0;
}

static int evidence_of(const struct selection *s, const char *says, json_t **out, struct err *err)
{
    TRY(evidence_new(out, "select", NULL, NULL, 0, err));
    TRY(figures(s, *out, err));
    json_t *all = json_array();
    for (int i = 0; all && i < s->n; i++) {
        const struct select_loss *l = &s->c[i].against_best;
        json_t *one = json_pack("{s:s, s:s?, s:s?, s:s?, s:s, s:b, s:f, s:o, s:o, s:o, s:s}", "name", s->c[i].name, "model", s->e[i].path, "precision", s->e[i].precision,
                                                   "adapter", s->e[i].adapter, "folder", s->e[i].folder, "front", s->c[i].front, "loss", l->loss, "low", tree_number(l->low), "high",
                                                   tree_number(l->high), "upper", tree_number(l->upper), "verdict", i == s->best ? "best" : compare_word(l->verdict));
        if (!one || json_array_append_new(all, one)) {
            json_decref(all);
            return ERR(err, NOMEM, "no memory for what was found");
        }
    }
    TRY(evidence_put(*out, "candidates", all, err));
    TRY(evidence_put(*out, "prefer", json_string(s->o->prefer), err));
    TRY(evidence_put(*out, "margin", json_real(s->o->margin), err));
    TRY(evidence_put(*out, "taken", json_string(s->c[s->taken].name), err));
    return evidence_put(*out, "verdict", json_string(says), err);
}

static int picture(const struct selection *s, const char *out_dir, struct err *err)
{
    struct diagram_choice c[SELECT_CANDIDATES];
    struct buf b;
    if (!out_dir || !s->used[DECODE])
        return 0;
    for (int i = 0; i < s->n; i++)
        c[i] = (struct diagram_choice){ s->c[i].name, s->value[i][DECODE], s->c[i].quality, s->e[i].ci[0], s->e[i].ci[1], s->c[i].front, i == s->taken };
    buf_init(&b);
    int rc = diagram_choices(&b, "What each gives", "tokens a second, one sequence", "quality", c, s->n, err);
    char *path = rc ? NULL : file_join(out_dir, "select.svg");
    if (!rc)
        rc = path ? file_write_all(path, b.data, b.len, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    buf_release(&b);
    return rc;
}

static void print_number(double v, const char *form)
{
    if (isnan(v))
        printf("%12s", "-");
    else
        printf(form, v);
}

static void print_table(const struct selection *s)
{
    int width = 9;
    for (int i = 0; i < s->n; i++)
        width = (int)strlen(s->c[i].name) > width ? (int)strlen(s->c[i].name) : width;
    printf("%-*s  quality  95 %% interval       loss  at most  %-13s %12s %12s %12s%s\n", width, "candidate", "", "decode t/s", "prompt t/s", "memory MB", s->o->price > 0 ? "   cost of 1M" : "");
    for (int i = 0; i < s->n; i++) {
        const struct select_loss *l = &s->c[i].against_best;
        printf("%-*s  %7.4f  %.4f to %.4f  %7.4f  %7.4f  %-13s", width, s->c[i].name, s->c[i].quality, s->e[i].ci[0], s->e[i].ci[1], l->loss, l->upper, i == s->best ? "best" : compare_word(l->verdict));
        print_number(s->value[i][DECODE], " %12.1f");
        print_number(s->value[i][PROMPT], " %12.1f");
        print_number(s->value[i][MEMORY] / 1e6, " %12.1f");
        if (s->o->price > 0)
            print_number(s->value[i][COST], " %12.4f");
        printf("%s\n", s->c[i].front ? "  *" : "");
    }
    printf("*: no other is as good in all of these and better in one\n");
}

static int tell(const struct selection *s, const char *out_dir, struct err *err)
{
    struct buf says;
    json_t *evidence = NULL;
    buf_init(&says);
    int rc = recommend(s, &says, err);
    if (!rc)
        rc = buf_add(&says, "", 1, err);
    if (!rc)
        rc = evidence_of(s, says.data, &evidence, err);
    if (!rc && out_dir)
        rc = evidence_write(evidence, out_dir, NULL, err);
    if (!rc)
        rc = picture(s, out_dir, err);
    if (!rc && cmd_json)
        rc = cmd_print_json(json_incref(evidence), err);
    if (!rc && !cmd_json) {
        print_table(s);
        printf("\n%s\n", says.data);
    }
    json_decref(evidence);
    buf_release(&says);
    return rc;
}

/* ---- the whole ---- */

/* What an evaluation of one candidate prints is not the answer to this command; its files have it. */
static int evaluate_silently(struct entry *e, int (*evaluate)(const char *model, const char *folder, struct err *err), struct err *err)
{
    fflush(stdout);
    const int kept = dup(STDOUT_FILENO), none = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept < 0 || none < 0 || dup2(none, STDOUT_FILENO) < 0) {
        const int e_ = errno;
        close(kept), close(none);
        return ERR(err, IO, "cannot turn the output aside: %s", strerror(e_));
    }
    cmd_precision = e->precision, cmd_adapter = e->adapter;
    log_info("%s: %s", e->name, e->path);
    const int rc = evaluate(e->path, e->folder, err);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept), close(none);
    return rc ? err_context(err, "%s", e->name) : 0;
}

static int run(struct selection *s, const char *out_dir, int (*evaluate)(const char *model, const char *folder, struct err *err), struct err *err)
{
    for (int i = 0; i < s->n; i++)
        if (!s->e[i].kept)
            TRY(evaluate_silently(&s->e[i], evaluate, err));
    for (int i = 0; i < s->n; i++) {
        TRY(read_quality(s, i, err));
        TRY(read_figures(s, i, err));
    }
    TRY(decide(s, err));
    return tell(s, out_dir, err);
}

int eval_select(const char *const *spec, int n, const struct eval_select *o, const char *out_dir, int (*evaluate)(const char *model, const char *folder, struct err *err),
                struct err *err)
{
    struct selection *s = mem_alloc_zero(sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory for a selection");
    s->o = o;
    if (!strcmp(o->prefer, "cost") && !(o->price > 0)) {
        mem_free(s);
        return ERR(err, USAGE, "--prefer cost: what an hour costs is not known, give it by --price-per-hour");
    }
    int rc = read_entries(s, spec, n, out_dir, err);
    if (!rc)
        rc = run(s, out_dir, evaluate, err);
    release(s);
    mem_free(s);
    return rc;
}
