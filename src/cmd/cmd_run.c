#include <inttypes.h>
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "base/when.h"
#include "cmd/child.h"
#include "cmd/cmd.h"
#include "flow/record.h"

static bool dry_run, stop;
static const char *until = "", *from = "";

/* One run over the stages. */
struct running {
    struct flow f;
    struct digests d;
    bool again[FLOW_STAGES_MAX];             /* asked for by --from, or after one that will run */
    int last, n_ran;                         /* last: the place of --until */
    bool beside;                             /* another run is at it: this one only looks */
    json_t *told;                            /* of the stages, for --json */
};

/* Others begin anew: they refuse a folder that is there, or would leave parts in it of what they were writing. */
static bool goes_on_from_its_folder(const struct command *c) { return c == &command_train || c == &command_data_audit || c == &command_eval; }

/* Where no --out says otherwise. */
static bool writes_into_its_argument(const struct command *c) { return c == &command_report || c == &command_data_gate || c == &command_sign; }

static bool find_command(struct flow_command *out, const char *const *word, int n)
{
    int n_word;
    const struct command *c = command_find(word, n, &n_word);
    if (c)
        *out = (struct flow_command){ .name = c->name, .n_word = n_word, .opts = c->opts, .goes_on = goes_on_from_its_folder(c), .into_argument = writes_into_its_argument(c) };
    return c != NULL;
}

/* ---- telling ---- */

static int tell(struct running *r, const struct flow_stage *s, const char *state, const char *why, const json_t *record, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "stage", s->name, "command", s->command.name, "state", state, "why", why);
    if (o && record)
        json_object_update_missing(o, (json_t *)(uintptr_t)record);
    return o && !json_array_append_new(r->told, o) ? 0 : ERR(err, NOMEM, "no memory to tell of stage '%s'", s->name);
}

static int nobody(void *ctx, const struct child_id *id, struct err *err) { return (void)ctx, (void)id, (void)err, 0; }

/* "took 12 s" of an earlier run, "expected 2 min" by the command's own plan, or nothing. */
static double seconds_planned(const struct flow *f, const struct flow_stage *s)
{
    struct words w;
    struct err none = { 0 };
    double seconds = -1;
    int code = 0;
    json_t *plan = NULL;
    if (!opt_find(s->command.opts, "dry-run") || flow_argv(&w, f, s, &none) < 0)
        return -1;
    const int me = (int)getpid();
    char *folder = mem_printf("%s/.plan-%d", f->out, me), *result = mem_printf("%s/.plan-%d/%s.json", f->out, me, s->name), *log = mem_printf("%s/.plan-%d/%s.log", f->out, me, s->name);
    bool made = folder && result && log && !words_add(&w, "--dry-run", 9, &none) && !file_mkdirs(folder, &none);
    for (int i = 0; made && i + 1 < w.n; i++)            /* what it writes goes beside the real thing */
        if (!strcmp(w.at[i], "--out")) {
            mem_free(w.at[i + 1]);
            made = (w.at[i + 1] = mem_printf("%s/%s", folder, s->name)) != NULL;
        }
    if (made && !child_run(&(struct child_wish){ .argv = w.at, .log = log, .known = nobody }, result, &code, &none) && !code && !tree_load(&plan, result, 64 << 20, &none)) {
        const double expected = tree_number_at(plan, "expected_seconds");
        seconds = expected >= 0 ? expected : -1;
    }
    json_decref(plan);
    (void)file_remove_tree(folder, &none);
    mem_free(folder), mem_free(result), mem_free(log);
    words_release(&w);
    return seconds;
}

static int tell_plan(struct running *r, const struct flow_stage *s, const char *state, const char *why, const json_t *before, bool plan, struct err *err)
{
    char text[32];
    const bool runs = strcmp(state, "same") != 0;
    const double took = before ? tree_number_at(before, "seconds") : -1, planned = runs && plan && !s->stays ? seconds_planned(&r->f, s) : -1;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "stage", s->name, "command", s->command.name, "state", state, "why", why);
    int rc = o && !json_array_append(r->told, o) ? 0 : ERR(err, NOMEM, "no memory to tell of stage '%s'", s->name);
    if (!rc && planned >= 0)
        json_object_set_new(o, "expected_seconds", json_real(planned));
    if (!rc && took >= 0)
        json_object_set_new(o, "seconds_before", json_real(took));
    json_decref(o);
    if (!rc && !cmd_json) {
        printf("%-14s %-10s %s", s->name, !runs ? "is done" : !strcmp(state, "may_run") ? "may run" : "would run", why);
        if (runs && planned >= 0)
            printf("; expected %s", fmt_seconds(text, planned));
        else if (runs && took >= 0)
            printf("; took %s before", fmt_seconds(text, took));
        putchar('\n');
    }
    return rc;
}

/* ---- one stage ---- */

static const char *state_of_code(int code) { return code == 0 ? "done" : code == 3 ? "refused" : code == 4 ? "stopped" : "failed"; }

static int set(json_t *o, const char *key, json_t *v, struct err *err) { return json_object_set_new(o, key, v) ? ERR(err, NOMEM, "no memory for the record of a stage") : 0; }

static int set_now(json_t *o, const char *key, struct err *err)
{
    char now[WHEN_TEXT];
    when_text(now, when_now());
    return set(o, key, json_string(now), err);
}

static struct child_id id_of(const json_t *record)
{
    return (struct child_id){ .pid = (pid_t)json_integer_value(json_object_get(record, "pid")), .born = json_integer_value(json_object_get(record, "born")) };
}

static char *file_of(const struct flow_stage *s, const char *name) { return file_join(s->folder, name); }

/* The record before it runs; what is not gone on with is taken away first. */
static int begin(struct running *r, const struct flow_stage *s, json_t *record, const json_t *before, bool goes_on, struct err *err)
{
    char *result = file_of(s, "result.json");
    int rc = result ? file_mkdirs(s->folder, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc && !before && file_exists(s->out))
        rc = ERR(err, USAGE, "%s is there, and no record of a run beside it: it is not removed", s->out);
    if (!rc && !goes_on)
        rc = file_remove_tree(s->out, err);
    if (!rc && flow_names_itself(s))
        rc = file_mkdirs(s->out, err);
    if (!rc)
        rc = file_remove_tree(result, err);
    mem_free(result);
    TRY(rc);
    TRY(set(record, "state", json_string("running"), err));
    TRY(set_now(record, "began", err));
    TRY(set(record, "program", json_string(LATHE_VERSION), err));
    TRY(record_save(record, s, err));
    return digests_save(&r->d, err);
}

/* Where this machine reaches it: an address that stands for all of them is its own. */
static int url_of(const struct flow_stage *s, int port, char *out, size_t n)
{
    const char *host = tree_text_at(s->options, "host"), *scheme = *tree_text_at(s->options, "tls-cert") ? "https" : "http";
    if (!*host || !strcmp(host, "0.0.0.0"))
        host = "127.0.0.1";
    if (!strcmp(host, "::"))
        host = "::1";
    return snprintf(out, n, strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", scheme, host, port);
}

/* The port that a server wrote, and from it where it answers. */
static int served_at(const struct flow_stage *s, const char *port_path, const struct child_id *id, struct err *err)
{
    struct buf b;
    buf_init(&b);
    char *path = file_of(s, "result.json");
    int rc = path ? file_read(port_path, 100, &b, err) : ERR(err, NOMEM, "no memory for a path");
    char url[300], text[400];
    const int port = atoi(b.data);
    if (!rc && url_of(s, port, url, sizeof url) >= (int)sizeof url)
        rc = ERR(err, RANGE, "stage '%s': host: expected an address of at most 255 bytes", s->name);
    if (!rc)
        rc = file_write_all(path, text, (size_t)snprintf(text, sizeof text, "{\"pid\": %d, \"port\": %d, \"url\": \"%s\"}\n", (int)id->pid, port, url), err);
    mem_free(path);
    buf_release(&b);
    return rc;
}

/* Who runs it, known before it begins: whoever comes after a kill waits for it, or ends it. */
struct beginning { const struct flow_stage *s; json_t *record; };

static int know(void *ctx, const struct child_id *id, struct err *err)
{
    const struct beginning *b = ctx;
    TRY(set(b->record, "pid", json_integer(id->pid), err));
    TRY(set(b->record, "born", json_integer(id->born), err));
    return record_save(b->record, b->s, err);
}

/* Where it writes its port: as its options say, or in the stage's folder. */
static int port_of(struct buf *out, const struct flow *f, const struct flow_stage *s, struct err *err)
{
    const char *own = tree_text_at(s->options, "port-file");
    return *own ? flow_expand(out, f, s, own, err) : buf_printf(out, err, "%s/port", s->folder);
}

static int start_staying(const struct flow *f, const struct flow_stage *s, const struct child_wish *w, struct err *err)
{
    struct child_id id = { 0 };
    struct buf port;
    buf_init(&port);
    int rc = port_of(&port, f, s, err);
    rc = rc ? rc : child_start(w, port.data, &id, err);
    if (!rc && (rc = served_at(s, port.data, &id, err)) < 0)
        (void)child_end(&id, true, NULL);
    buf_release(&port);
    return rc;
}

static int run_words(struct running *r, const struct flow_stage *s, json_t *record, bool goes_on, int *code, struct err *err)
{
    struct words w;
    TRY(flow_argv(&w, &r->f, s, err));
    char *result = file_of(s, "result.json"), *log = file_of(s, "log"), threads[24];
    int rc = result && log ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (!rc && cmd_threads && opt_find(s->command.opts, "threads") && !json_object_get(s->options, "threads")) {
        rc = words_add(&w, "--threads", 9, err);
        if (!rc)
            rc = words_add(&w, threads, (size_t)snprintf(threads, sizeof threads, "%" PRId64, cmd_threads), err);
    }
    struct beginning b = { .s = s, .record = record };
    const struct child_wish wish = { .argv = w.at, .log = log, .on = goes_on, .show = !cmd_quiet, .known = know, .ctx = &b };
    *code = 0;
    if (!rc)
        rc = s->stays ? start_staying(&r->f, s, &wish, err) : child_run(&wish, result, code, err);
    mem_free(result), mem_free(log);
    words_release(&w);
    return rc;
}

/* A stage that heard the signal may have ended well with a part of its result; what stays does not hear it. */
static bool was_stopped(const struct flow_stage *s, int code) { return code == 4 || (cmd_stop && (code || !s->stays)); }

static int end(struct running *r, const struct flow_stage *s, json_t *record, int code, double seconds, struct err *err)
{
    char hex[SHA256_HEX] = "";
    const char *state = was_stopped(s, code) ? "stopped" : state_of_code(code);
    json_t *made;
    if (code == 0 || code == 3) {
        TRY(record_output(s, &r->d, hex, err));
        TRY(record_made(&made, &r->f, s, err));
        TRY(set(record, "made", made, err));
    }
    if (!s->stays)
        json_object_del(record, "pid"), json_object_del(record, "born");
    TRY(set(record, "state", json_string(state), err));
    TRY(set(record, "exit", json_integer(code), err));
    TRY(set_now(record, "ended", err));
    TRY(set(record, "seconds", json_real(seconds), err));
    TRY(set(record, "output", json_string(hex), err));
    TRY(record_save(record, s, err));
    return digests_save(&r->d, err);
}

/* What ended a stage, for the person and as an exit code. */
static int judge(const struct running *r, const struct flow_stage *s, int code, struct err *err)
{
    if (code == 3 && s->gate_warns) {
        log_warn("stage '%s': its gate said no, and the run goes on (gate: warn)", s->name);
        return 0;
    }
    if (was_stopped(s, code))
        return ERR(err, STOPPED, "stage '%s' was stopped; the same command goes on from there", s->name);
    if (!code)
        return 0;
    if (code == 3)
        return ERR(err, GATE, "stage '%s': its gate said no; %s/log has its words", s->name, s->folder);
    return ERR(err, IO, "%s: stage '%s' (lathe %s) %s %d; %s/log has its words", r->f.path, s->name, s->command.name, code > 128 ? "was ended by signal" : "ended with exit code",
               code > 128 ? code - 128 : code, s->folder);
}

static int run_one(struct running *r, int i, json_t *record, const json_t *before, enum record_why why, const char *reason, struct err *err)
{
    const struct flow_stage *s = &r->f.stage[i];
    const struct child_id earlier = id_of(before);
    const double t0 = clock_wall();
    char text[32];
    int code = 0;
    log_info("run: stage %d of %d: %s (%s)", i + 1, r->last + 1, s->name, reason);
    TRY(child_end(&earlier, s->stays, err));        /* of a run that was killed: it is saving */
    const bool goes_on = why == RECORD_UNFINISHED && s->command.goes_on;
    TRY(begin(r, s, record, before, goes_on, err));
    const int rc = run_words(r, s, record, goes_on, &code, err);
    if (rc < 0) {
        (void)end(r, s, record, 1, clock_wall() - t0, NULL);
        return err_context(err, "stage '%s'", s->name);
    }
    TRY(end(r, s, record, code, clock_wall() - t0, err));
    TRY(tell(r, s, tree_text_at(record, "state"), reason, record, err));
    r->n_ran++;
    TRY(judge(r, s, code, err));
    log_info("run: %s: done in %s", s->name, fmt_seconds(text, clock_wall() - t0));
    return 0;
}

/* ---- all of them ---- */

/* Whether what stays is there. */
static bool is_there(const struct flow_stage *s, const json_t *before)
{
    const struct child_id id = id_of(before);
    return !s->stays || child_lives(&id);
}

static bool after_one_that_runs(const struct running *r, int i)
{
    for (int j = 0; j < i; j++)
        if (r->f.stage[i].need[j] && r->again[j])
            return true;
    return false;
}

static int look(struct running *r, int i, const json_t *before, const json_t *wanted, enum record_why *why, struct buf *reason, struct err *err)
{
    const struct flow_stage *s = &r->f.stage[i];
    TRY(record_compare(why, reason, before, wanted, s, &r->d, err));
    if (*why == RECORD_SAME && !is_there(s, before)) {
        *why = RECORD_NEW;
        buf_clear(reason);
        return buf_add_str(reason, "it does not run any more", err);
    }
    if (*why == RECORD_SAME && *from && !strcmp(from, s->name)) {
        *why = RECORD_NEW;
        return buf_add_str(reason, "--from", err);
    }
    return 0;
}

static int plan_stage(struct running *r, int i, struct err *err)
{
    const struct flow_stage *s = &r->f.stage[i];
    json_t *before = NULL, *wanted = NULL;
    enum record_why why = RECORD_SAME;
    struct buf reason;
    buf_init(&reason);
    int rc = record_load(&before, s, err);
    const bool after = after_one_that_runs(r, i);
    if (!rc)
        rc = record_wanted(&wanted, &r->f, s, &r->d, err);
    if (rc == ERR_NOTFOUND && after)                     /* by what an earlier one has yet to print or write */
        rc = 0;
    if (!rc && wanted)
        rc = look(r, i, before, wanted, &why, &reason, err);
    const struct child_id id = id_of(before);
    if (!rc && why == RECORD_UNFINISHED && child_lives(&id)) {
        buf_clear(&reason);
        rc = buf_add_str(&reason, "it runs now", err);
    }
    r->again[i] = after || why != RECORD_SAME || !wanted;
    if (!rc)
        rc = why != RECORD_SAME || !after ? tell_plan(r, s, why == RECORD_SAME ? "same" : "would_run", why == RECORD_SAME ? "nothing changed" : reason.data, before, wanted != NULL, err)
                                          : tell_plan(r, s, "may_run", "after those before it", before, wanted != NULL, err);
    json_decref(before), json_decref(wanted);
    buf_release(&reason);
    return rc;
}

static int run_stage(struct running *r, int i, struct err *err)
{
    const struct flow_stage *s = &r->f.stage[i];
    json_t *before = NULL, *wanted = NULL;
    enum record_why why;
    struct buf reason;
    buf_init(&reason);
    int rc = record_load(&before, s, err);
    if (!rc)
        rc = record_wanted(&wanted, &r->f, s, &r->d, err);
    if (!rc)
        rc = look(r, i, before, wanted, &why, &reason, err);
    if (!rc)
        rc = why == RECORD_SAME ? tell(r, s, "same", "nothing changed", before, err) : run_one(r, i, wanted, before, why, reason.data, err);
    json_decref(before), json_decref(wanted);
    buf_release(&reason);
    return rc;
}

static int stop_all(const struct running *r, struct err *err)
{
    for (int i = r->f.n - 1; i >= 0; i--) {
        json_t *record;
        TRY(record_load(&record, &r->f.stage[i], err));
        const struct child_id id = id_of(record);
        const bool lives = r->f.stage[i].stays && child_lives(&id);
        json_decref(record);
        if (!lives)
            continue;
        TRY(child_end(&id, true, err));
        log_info("run: %s: ended", r->f.stage[i].name);
    }
    return 0;
}

static int place_of(const struct running *r, const char *option, const char *name, int fallback, int *out, struct err *err)
{
    *out = *name ? flow_index(&r->f, name, strlen(name)) : fallback;
    return *out < 0 && *name ? ERR(err, USAGE, "--%s: %s has no stage '%s'", option, r->f.path, name) : 0;
}

static int print(const struct running *r, double t0, struct err *err)
{
    char text[32];
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s, s:b, s:f, s:i, s:O}", "name", r->f.name, "out", r->f.out, "dry_run", dry_run, "seconds", clock_wall() - t0, "ran", r->n_ran, "stages", r->told), err);
    if (!dry_run)
        printf("%s: %d of %d stages ran, in %s; results: %s\n", r->f.name, r->n_ran, r->last + 1, fmt_seconds_fine(text, clock_wall() - t0), r->f.out);
    return 0;
}

static int run_all(struct running *r, struct err *err)
{
    const double t0 = clock_wall();
    int first, rc = 0;
    TRY(place_of(r, "until", until, r->f.n - 1, &r->last, err));
    TRY(place_of(r, "from", from, -1, &first, err));
    if (first > r->last)
        return ERR(err, USAGE, "--from %s comes after --until %s", from, until);
    for (int i = 0; i <= r->last && !rc; i++)
        rc = cmd_stop ? ERR(err, STOPPED, "stopped before stage '%s'", r->f.stage[i].name) : dry_run ? plan_stage(r, i, err) : run_stage(r, i, err);
    const int saved = r->beside ? 0 : digests_save(&r->d, rc ? NULL : err);
    const int printed = rc && !cmd_json ? 0 : print(r, t0, rc ? NULL : err);
    return rc ? rc : saved ? saved : printed;
}

/* Who is at it, OUT/run.json: for --stop. */
static int say_who(const char *path, struct err *err)
{
    const struct child_id me = child_self();
    char text[80];
    return file_write_all(path, text, (size_t)snprintf(text, sizeof text, "{\"pid\": %d, \"born\": %lld}\n", (int)me.pid, me.born), err);
}

#define ENDING_S 2              /* a stage that a run was about to begin when it ended has its files until it is another program, or gone */

/* The one that is at it saves what it has, and ends. */
static int end_other(const char *path, const char *folder, int *lock, struct err *err)
{
    json_t *who = NULL;
    TRY(tree_load(&who, path, 4096, err));
    const struct child_id id = id_of(who);
    json_decref(who);
    TRY(child_end(&id, true, err));
    log_info("run: process %d was ended", (int)id.pid);
    return file_lock_wait(folder, ENDING_S, lock, err);
}

/* One run at a time; a look (--dry-run) needs no place, and --stop makes room. */
static int take_place(struct running *r, int *lock, struct err *err)
{
    char *path = file_join(r->f.out, "run.json");
    int rc = path ? file_lock_wait(r->f.out, dry_run || stop ? 0 : ENDING_S, lock, err) : ERR(err, NOMEM, "no memory for a path");
    if (rc == ERR_BUSY && dry_run && !stop)
        rc = 0, r->beside = true;
    else if (rc == ERR_BUSY && stop)
        rc = end_other(path, r->f.out, lock, err);
    else if (!rc && !dry_run)
        rc = say_who(path, err);
    mem_free(path);
    return rc == ERR_BUSY ? err_context(err, "%s: another lathe run is at it", r->f.path) : rc;
}

static int run_run(const char *const *args, int n_args, struct err *err)
{
    struct running r = { .told = json_array() };
    int lock = -1;
    cmd_catch_signals();
    int rc = r.told ? flow_read(&r.f, n_args ? args[0] : "lathe.yaml", find_command, err) : ERR(err, NOMEM, "no memory for the stages");
    if (!rc)
        rc = file_mkdirs(r.f.out, err);
    if (!rc)
        rc = take_place(&r, &lock, err);
    if (!rc)
        rc = digests_open(&r.d, r.f.out, err);
    if (!rc)
        rc = stop ? stop_all(&r, err) : run_all(&r, err);
    digests_close(&r.d);
    file_unlock(&lock);
    flow_release(&r.f);
    json_decref(r.told);
    return rc;
}

static const struct opt opts[] = {
    { OPT_FLAG, "dry-run", &dry_run, NULL, "say what would run, why, and how long it would take; nothing is run but plans", 0, 0 },
    { OPT_STR, "until", &until, "<stage>", "the last stage to run", 0, 0 },
    { OPT_STR, "from", &from, "<stage>", "run this stage though nothing changed; those after it run where what it makes changes", 0, 0 },
    { OPT_FLAG, "stop", &stop, NULL, "end the stages that stay (servers), and the run that is at work, which saves what it has", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_run = {
    "run", "[FILE]", "the whole life of a model from one file: stages that run when what they read has changed",
    TEXT("FILE (lathe.yaml when it is not given) names stages; each is a command of lathe with its options:\n\n"
    "    name: bible\n"
    "    stages:\n"
    "      audit:    {run: data audit texts, options: {policy: default}, gate: warn}\n"
    "      train:    {run: train config.yaml, needs: [audit]}\n"
    "      eval:     {run: eval $(train), options: {tasks: tasks.yaml}}\n"
    "      register: {run: registry add bible $(train)}\n"
    "      serve:    {run: serve $(train), stays: true}\n\n",
    "In arguments, options and inputs $(STAGE) is the folder that a stage writes, NAME.run/STAGE/out, $(this) its own, and $(STAGE.KEY) a value of the JSON\n"
    "that it printed, KEY.KEY one within another; $(STAGE.began) and $(STAGE.ended) are when it ran.  A command with --out for a folder gets that one, and --json, unless options say otherwise.\n\n"
    "A stage comes after those that it names with $(), whose folders it or a YAML or JSON file that it names mentions, and those of `needs`.  It runs when it never\n"
    "did, was cut off, or failed; when its command line changed; when a file or folder that its arguments, options or `inputs` name, or a YAML or JSON file\n"
    "named there names in turn, has other contents (SHA-256); when what a stage before it made is other than it was; and when what it made itself was\n"
    "changed, or a file or folder elsewhere that its options have it write is gone.  A training, an audit or an evaluation that was cut off with the same inputs goes on from what is there, others begin anew.  Digests are kept while a file's size and times are the same, so that a run in which\n"
    "nothing changed costs a look at each file.\n\n",
    "Paths are relative to where the program is started, and NAME.run is beside FILE.  What options such as --out, --registry and --record name is written, and counts as no input.  No stage writes into\n"
    "the folder of another: `report`, `data gate` and `sign` of what a stage made, which would, are refused, or told another place by `out`.\n"
    "NAME.run/STAGE has out/, result.json (what it printed), log (what it said) and stage.json: command line, digests of all inputs, of what came of it, state, times and the program's\n"
    "version, which together say where each result comes from.  `stays: true` is for servers: the stage is done when it can be asked, goes on by itself, and\n"
    "$(STAGE.url) is where; a later run leaves it alone, or replaces it where its inputs changed, and --stop ends it.  Exit code 3 of a stage, a gate that said no,\n"
    "ends the run with 3, unless the stage has `gate: warn`.  Two runs of one file at once are refused; --dry-run looks beside one, and --stop ends it.\n"),
    opts, run_run, 0, 1,
};
