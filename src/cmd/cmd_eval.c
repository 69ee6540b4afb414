#include <jansson.h>
#include <lathe.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "cmd/eval_attack.h"
#include "cmd/eval_bias.h"
#include "cmd/eval_due.h"
#include "cmd/eval_checklist.h"
#include "cmd/eval_images.h"
#include "cmd/eval_injections.h"
#include "cmd/eval_logits.h"
#include "cmd/eval_ood.h"
#include "cmd/eval_select.h"
#include "cmd/eval_sweep.h"
#include "cmd/eval_membership.h"
#include "cmd/eval_robust.h"
#include "cmd/eval_table.h"
#include "eval/chat_task.h"
#include "eval/evidence.h"
#include "eval/replies.h"
#include "eval/select.h"
#include "model/adapter.h"

static const char *tasks, *data_dir, *gen_kwargs, *system_instruction, *out_dir, *rope_scaling, *logits, *diagram, *sweep;
static const char *add_bos_token = "auto";
static struct opt_list data_files, include_paths;
static struct eval_select selection = { .prefer = "speed", .margin = 0.01 };
static struct eval_groups groups;
static struct eval_images images = { .eps = 8.0 / 255 };
static struct eval_ood ood;
static struct eval_attack attack = EVAL_ATTACK;
static struct eval_injections injections = EVAL_INJECTIONS;
static struct eval_membership membership;
static struct eval_due due;
static struct eval_checklist suite;
static struct eval_robust perturbing = { .strengths = "1,3,5" };
static int64_t num_fewshot = -1, limit, batch = RUN_BATCH, max_length, seed = TASK_SEED;
static bool apply_chat_template, fewshot_as_multiturn = true, predict_only, log_samples;

/* ---- what is asked ---- */

/* All that a run needs, in the order in which it is opened. */
struct job {
    const char *model;
    struct chat *chat; char *template;
    char model_sha256[SHA256_HEX], adapter_sha256[SHA256_HEX], requests_sha256[SHA256_HEX];
    struct task_file file[OPT_LIST_MAX]; char *named[OPT_LIST_MAX]; int n_file;
    struct task_opts task;
    struct task_list list;
    struct robust robust;                /* of --perturb: its list has the tasks and their variants */
    struct evaluation e;
    struct run *run;
    struct replies replies; bool kept;
    char *replies_dir;                   /* of --due: their own, beside the results of earlier runs */
    double date, begin, shown;
    struct run_counts counts; bool ran;
};

/* TASK=FILE or TASK:SPLIT=FILE. */
static int read_data(struct job *j, struct err *err)
{
    for (int i = 0; i < data_files.n; i++) {
        char *s = j->named[i] = mem_strdup(data_files.item[i]), *path = s ? strchr(s, '=') : NULL;
        if (!s)
            return ERR(err, NOMEM, "no memory for --data");
        j->n_file++;
        if (!path || path == s || !path[1])
            return ERR(err, USAGE, "--data: found '%s', expected TASK=FILE", s);
        *path++ = 0;
        char *split = strchr(s, ':');
        if (split)
            *split++ = 0;
        j->file[i] = (struct task_file){ s, split, path };
    }
    return 0;
}

static int load_chat(struct job *j, struct err *err)
{
    struct chat_files *f;
    if (!apply_chat_template)
        return 0;
    TRY(chat_load(&j->chat, j->model, NULL, err));
    TRY(chat_files_open(&f, j->model, true, err));
    const struct chat_source *s = chat_files_template(f, 0);
    j->template = s ? mem_printf("%.*s", (int)s->n, s->text) : NULL;
    chat_files_close(f);
    return j->template || !s ? 0 : ERR(err, NOMEM, "no memory for a chat template");
}

static int open_tasks(struct job *j, struct err *err)
{
    struct task_opts o = TASK_OPTS;
    TRY(read_data(j, err));
    TRY(load_chat(j, err));
    o.data_dir = data_dir, o.file = j->file, o.n_file = j->n_file, o.task_dir = include_paths.item, o.n_task_dir = include_paths.n;
    o.num_fewshot = (int)num_fewshot, o.limit = limit, o.seed = (uint32_t)seed, o.system = system_instruction, o.single_turn = !fewshot_as_multiturn;
    o.chat = j->chat ? chat_task : NULL, o.chat_user = j->chat;
    j->task = o;
    if (due.on && !tasks)
        return eval_due_open(&j->list, &o, err);
    char *all = mem_strdup(tasks), *save = NULL;
    int rc = all ? 0 : ERR(err, NOMEM, "no memory for --tasks");
    for (char *name = all ? strtok_r(all, ",", &save) : NULL; name && !rc; name = strtok_r(NULL, ",", &save))
        rc = task_list_add(&j->list, name, &o, err);
    mem_free(all);
    for (int i = 0; i < j->list.n_missing && !rc; i++)
        log_warn("%s is left out: %s", j->list.missing[i].name, j->list.missing[i].why.msg);
    if (!rc && !j->list.n_task)
        rc = ERR(err, USAGE, "--tasks names no task; --tasks list shows those that are built in");
    return rc;
}

static enum encode_begin begin_of(void)
{
    static const char *const word[] = {
#define X(name, w) w,
        ENCODE_BEGINS(X)
#undef X
    };
    int i = 0;
    while (strcmp(add_bos_token, word[i]))
        i++;
    return (enum encode_begin)i;
}

static struct run_opts run_opts(const char *model)
{
    return (struct run_opts){ .model = model, .engine = cmd_engine((struct engine_opts){ .rope_scaling = rope_scaling }), .batch = (int)batch,
                              .max_length = (int)max_length, .begin = begin_of(), .seed = (uint64_t)seed };
}

static int open_model(struct job *j, struct err *err)
{
    const struct run_opts o = run_opts(j->model);
    TRY(run_open(&j->run, &o, err));
    if (cmd_adapter)
        TRY(adapter_digest(j->adapter_sha256, cmd_adapter, err));
    return model_digest(j->model, j->model_sha256, err);
}

/* What a folder of replies belongs to. */
static json_t *evaluation_of(const struct job *j)
{
    json_t *names = json_array();
    for (int i = 0; i < j->e.n_task; i++)
        (void)json_array_append_new(names, json_string(task_name(j->e.task[i].t)));
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I}", "tasks", names, "requests", j->requests_sha256, "model", j->model_sha256,
                     "precision", cmd_precision, "kv", cmd_kv, "adapter", j->adapter_sha256, "rope_scaling", rope_scaling ? rope_scaling : "",
                     "add_bos_token", add_bos_token, "max_length", run_encoder(j->run)->max_length, "seed", (json_int_t)seed);
}

static int open_replies(struct job *j, struct err *err)
{
    if (!out_dir)
        return 0;
    json_t *of = evaluation_of(j);
    const int64_t all = evaluation_open(&j->e);
    const char *kept = j->replies_dir ? j->replies_dir : out_dir;
    char *folder = eval_robust_wanted(&perturbing) ? file_join(kept, "robustness") : mem_strdup(kept);
    const int rc = of && folder ? replies_open(&j->replies, folder, of, &j->e, &j->date, err) : ERR(err, NOMEM, "no memory for a folder of replies");
    json_decref(of);
    mem_free(folder);
    TRY(rc);
    j->kept = true;
    if (evaluation_open(&j->e) < all)
        log_info("%s: %lld of %lld items were answered already", out_dir, (long long)(all - evaluation_open(&j->e)), (long long)all);
    return 0;
}

/* ---- asking ---- */

static int answered(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *err)
{
    struct job *j = ctx;
    int task;
    int64_t item;
    evaluation_of_tag(tag, &task, &item);
    if (j->kept)
        TRY(replies_add(&j->replies, task_name(j->e.task[task].t), item, reply, n, err));
    TRY(evaluation_take(&j->e, task, item, reply, n, err));
    return robust_took(&j->robust, &j->e, task, item, err);
}

static bool goes_on(void *ctx, const struct run_progress *p)
{
    struct job *j = ctx;
    char left[32];
    const double now = clock_wall(), taken = now - j->begin;
    if (now - j->shown > 0.5) {
        j->shown = now;
        const double rest = p->n_done > 0 ? taken * (double)(p->n_token - p->n_done) / (double)p->n_done : 0;
        log_progress("%lld of %lld items, %.1f a second, %.0f tokens/s, %s left", (long long)p->n_answered, (long long)p->n_item, (double)p->n_answered / taken,
                     (double)p->n_done / taken, fmt_seconds(left, rest > 0 ? rest : 0));
    }
    return !cmd_stop;
}

static int answer(struct job *j, struct err *err)
{
    struct pool *pool;
    TRY(eval_robust_wanted(&perturbing) ? robust_ask(&j->robust, &j->e, j->run, err) : evaluation_ask(&j->e, j->run, err));
    if (!evaluation_open(&j->e))
        return 0;
    TRY(cmd_pool(&pool, err));
    const struct run_hooks h = { answered, goes_on, j };
    j->begin = j->shown = clock_wall();
    const int rc = run_answer(j->run, &h, pool, err);
    log_progress_end();
    j->counts = run_counts(j->run), j->ran = true;
    return rc;
}

/* ---- telling ---- */

static int sample_line(void *ctx, const char *text, size_t n, struct err *err)
{
    TRY(file_writer_add(ctx, text, n, err));
    return file_writer_add(ctx, "\n", 1, err);
}

static char *file_named(const char *what, const char *task, const char *date, const char *ending)
{
    char *name = mem_printf("%s%s%s_%s.%s", what, task ? "_" : "", task ? task : "", date, ending);
    for (char *p = name; p && *p; p++)
        *p = *p == '/' ? '_' : *p;
    char *path = name ? file_join(out_dir, name) : NULL;
    mem_free(name);
    return path;
}

static int write_samples(struct job *j, const struct results *r, const char *date, json_t *hashes, struct err *err)
{
    for (int i = 0; i < j->e.n_task; i++) {
        struct file_writer w;
        const char *task = task_name(j->e.task[i].t);
        char hex[SHA256_HEX], *path = file_named("samples", task, date, "jsonl");
        int rc = path ? file_writer_open(&w, path, err) : ERR(err, NOMEM, "no memory for the name of a file");
        if (!rc) {
            rc = results_samples(r, &j->e, i, sample_line, &w, hex, err);
            if (!rc)
                rc = file_writer_commit(&w, err);
            file_writer_abort(&w);
        }
        mem_free(path);
        TRY(rc);
        if (json_object_set_new(hashes, task, json_string(hex)))
            return ERR(err, NOMEM, "no memory for a hash");
    }
    return 0;
}

static int write_results(const json_t *o, const char *date, struct err *err)
{
    char *path = file_named("results", NULL, date, "json"), *text = tree_dumps(o, JSON_INDENT(2));
    const int rc = path && text ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for the results");
    if (!rc)
        log_info("results are in %s", path);
    mem_free(path);
    mem_free(text);
    return rc;
}

/* What was found of groups and of bias stands beside what else is lathe's own. */
static int print_json(json_t *o, json_t *by_group, json_t *bias, struct err *err)
{
    json_t *own = json_object_get(o, "lathe");
    if ((by_group && json_object_set(own, "by_group", by_group)) || (bias && json_object_set(own, "bias", bias)))
        return ERR(err, NOMEM, "no memory for what was found");
    return cmd_print_json(json_incref(o), err);
}

static int tell(struct job *j, const struct results *r, struct err *err)
{
    char date[40];
    json_t *o = NULL, *hashes = json_object();
    bool adds;
    TRY(encoder_adds(run_encoder(j->run), &adds, err));
    const struct results_info info = {
        .build = "lathe " LATHE_VERSION, .model = j->model, .model_sha256 = j->model_sha256, .kept_as = cmd_precision, .gen_kwargs = gen_kwargs,
        .system = system_instruction, .chat_template = j->template, .requests_sha256 = out_dir ? j->requests_sha256 : NULL, .limit = limit,
        .batch = (int)batch, .max_length = run_encoder(j->run)->max_length, .seed = (uint32_t)seed, .single_turn = !fewshot_as_multiturn,
        .adds_begin = adds, .encoder = run_encoder(j->run), .date = j->date, .begin = j->begin, .end = clock_wall(),
        .counts = j->ran ? &j->counts : NULL,
    };
    evidence_date(j->date, date);
    int rc = hashes ? 0 : ERR(err, NOMEM, "no memory for the results");
    if (!rc && out_dir && (log_samples || predict_only))
        rc = write_samples(j, r, date, hashes, err);
    if (!rc)
        rc = results_json(r, &info, hashes, &o, err);
    if (!rc && out_dir)
        rc = write_results(o, date, err);
    json_t *by_group = NULL, *bias = NULL;
    const struct eval_bias_of found = { &j->e, j->model, j->model_sha256, out_dir, seed };
    if (!rc && !predict_only)
        rc = eval_bias_find(&found, &groups, &by_group, &bias, err);
    if (!rc && cmd_json)
        rc = print_json(o, by_group, bias, err);
    if (!rc && !cmd_json)
        rc = eval_table(r, &info, err);
    if (!rc && !cmd_json)
        eval_bias_print(by_group, bias);
    json_decref(by_group);
    json_decref(bias);
    json_decref(o);
    json_decref(hashes);
    return rc;
}

static int score_and_tell(struct job *j, struct err *err)
{
    struct results r;
    struct pool *pool;
    TRY(cmd_pool(&pool, err));
    int rc = results_init(&r, &j->e, &j->list, (uint64_t)seed, pool, err);
    if (!rc)
        rc = tell(j, &r, err);
    results_release(&r);
    return rc;
}

/* ---- the command ---- */

static int list_tasks(struct err *err)
{
    struct task_opts o = TASK_OPTS;
    o.task_dir = include_paths.item, o.n_task_dir = include_paths.n;
    return eval_due_tasks(&o, err);
}

/* Replies of tasks that are due go to a folder of their own, named by what is asked: that of earlier runs has others. */
static int name_replies(struct job *j, struct err *err)
{
    char name[32];
    snprintf(name, sizeof name, "due_%.16s", j->requests_sha256);
    j->replies_dir = file_join(out_dir, name);
    TRY(j->replies_dir ? 0 : ERR(err, NOMEM, "no memory for the name of a folder"));
    return file_mkdirs(out_dir, err);
}

static int attack_texts(struct job *j, struct err *err)
{
    const struct run_opts o = run_opts(j->model);
    attack.texts = ood.texts, attack.out_dir = out_dir, attack.system = system_instruction, attack.rope_scaling = rope_scaling, attack.limit = limit, attack.seed = seed;
    if (tasks)
        TRY(open_tasks(j, err));
    else
        TRY(load_chat(j, err));
    return eval_attack(j->model, tasks ? &j->list : NULL, &o, j->chat, &attack, err);
}

static int evaluate(struct job *j, struct err *err)
{
    const bool robust = eval_robust_wanted(&perturbing);
    if (eval_attack_asked(&attack, ood.texts))
        return attack_texts(j, err);
    TRY(open_tasks(j, err));
    TRY(eval_groups_check(&groups, &j->list, err));
    TRY(open_model(j, err));
    if (due.on) {
        TRY(eval_due_pick(&j->list, &due, j->model, j->model_sha256, seed, err));
        if (due.list || !j->list.n_task)
            return 0;
    }
    if (robust)
        TRY(eval_robust_open(&j->robust, &perturbing, &j->list, &j->task, (uint64_t)seed, err));
    TRY(evaluation_init(&j->e, robust ? &j->robust.list : &j->list, err));
    if (gen_kwargs)
        if (eval_generation_read(&j->e.generation, gen_kwargs, err) < 0)
            return err_context(err, "--gen-kwargs");
    j->e.predict_only = predict_only;
    j->begin = clock_wall();
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    j->date = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (out_dir)
        TRY(evaluation_digest(&j->e, j->requests_sha256, err));
    if (due.on)
        TRY(name_replies(j, err));
    TRY(open_replies(j, err));
    struct err stopped = { 0 };
    const int rc = answer(j, &stopped);
    if (rc < 0 && rc != ERR_STOPPED) {
        *err = stopped;
        return rc;
    }
    TRY(robust ? eval_robust_tell(&j->robust, &j->e, j->model, j->model_sha256, out_dir, err) : score_and_tell(j, err));
    if (rc == ERR_STOPPED) {
        *err = stopped;
        return err_context(err, out_dir ? "the scores are of what was answered; the same command goes on" : "the scores are of what was answered");
    }
    if (j->replies_dir) {                /* the results have it all */
        replies_close(&j->replies);
        TRY(file_remove_tree(j->replies_dir, err));
    }
    return 0;
}

static int run_texts(const char *const *args, int n_args, struct err *err)
{
    if (!n_args || tasks || images.path)
        return ERR(err, USAGE, "--texts: found %s, expected a model and no tasks", !n_args ? "no model" : tasks ? "tasks beside it" : "--images beside it");
    if (!ood.others.n)
        return ERR(err, USAGE, "--texts: found no --ood FILE, of texts to be told apart from these");
    cmd_catch_signals();
    ood.limit = limit, ood.seed = seed, ood.max_length = max_length, ood.rope_scaling = rope_scaling, ood.out = out_dir;
    return eval_ood(args[0], &ood, err);
}

/* What does not go with attacks on models of texts. */
static int check_attacks(bool on_texts, struct err *err)
{
    if (!on_texts && attack.targets)
        return ERR(err, USAGE, "--targets: it is of --attack on texts");
    if (!injections.path && (injections.canary || injections.labels))
        return ERR(err, USAGE, "%s: it is of --injections", injections.canary ? "--canary" : "--judge-labels");
    if (on_texts && (ood.others.n || ood.fit || ood.features_out))
        return ERR(err, USAGE, "--attack on texts: found --ood beside it, expected one of them at a time");
    if ((on_texts || injections.path) && (log_samples || predict_only || gen_kwargs))
        return ERR(err, USAGE, "--log-samples, --predict-only and --gen-kwargs are of scores of tasks: found them beside %s",
                   on_texts ? "--attack" : "--injections");
    if (injections.path && (tasks || on_texts || ood.texts || images.path))
        return ERR(err, USAGE, "--injections: found something else to do beside it, expected a model alone");
    return 0;
}

static int run_injections(const char *const *args, int n_args, struct err *err)
{
    if (!n_args)
        return ERR(err, USAGE, "--injections: found no model");
    const struct run_opts o = run_opts(args[0]);
    cmd_catch_signals();
    injections.out_dir = out_dir, injections.system = system_instruction, injections.limit = limit, injections.seed = seed;
    return eval_injections(args[0], &o, &injections, err);
}

static int run_membership(const char *const *args, int n_args, struct err *err)
{
    if (!n_args || tasks)
        return ERR(err, USAGE, "--membership: found %s, expected a model and no tasks", tasks ? "tasks beside it" : "no model");
    if (!membership.others || !membership.members)
        return ERR(err, USAGE, "%s is missing: members are compared with texts that the model has not seen", membership.members ? "--non-members" : "--membership");
    if (log_samples && !out_dir)
        return ERR(err, USAGE, "--log-samples: samples are files, give their folder by --out");
    cmd_catch_signals();
    membership.items = log_samples, membership.limit = limit, membership.seed = seed, membership.out = out_dir;
    const struct run_opts o = run_opts(args[0]);
    return eval_membership(&o, &membership, err);
}

static int run_suite(const char *model, struct err *err)
{
    const struct run_opts o = run_opts(model);
    cmd_catch_signals();
    suite.limit = limit, suite.seed = seed, suite.folder = out_dir;
    return eval_checklist(model, &suite, &o, err);
}

static int run_one(const char *const *args, int n_args, struct err *err)
{
    if (tasks && !strcmp(tasks, "list"))
        return list_tasks(err);
    if (logits && (n_args || tasks))
        return ERR(err, USAGE, "--logits: found a model or tasks beside it, expected the file alone, which has the answers");
    if (diagram && !logits)
        return ERR(err, USAGE, "--diagram: it is of --logits");
    if ((groups.fields || groups.audit) && !tasks)
        return ERR(err, USAGE, "%s: it is of --tasks", groups.fields ? "--groups" : "--audit");
    if (logits)
        return eval_logits(logits, diagram, out_dir, seed, err);
    const bool on_texts = !images.path && eval_attack_asked(&attack, ood.texts);
    images.attacks = attack.attacks;
    if (!images.path && ((images.attacks && !on_texts) || images.corruptions))
        return ERR(err, USAGE, "--corruptions, and --attack with the names of attacks on images, are of --images");
    TRY(check_attacks(on_texts, err));
    if (!images.path && !ood.texts && (ood.others.n || ood.fit || ood.features_out))
        return ERR(err, USAGE, "--ood, --ood-fit and --features-out are of --images or --texts");
    if (ood.texts && !on_texts)
        return run_texts(args, n_args, err);
    if (images.path && (!n_args || tasks))
        return ERR(err, USAGE, "--images: found %s, expected a model and no tasks", tasks ? "tasks beside it" : "no model");
    if (images.path) {
        cmd_catch_signals();
        images.limit = limit, images.seed = seed, images.out = out_dir;
        images.ood = ood.others, images.fit = ood.fit, images.features_out = ood.features_out;
        return eval_images(args[0], &images, err);
    }
    if (injections.path)
        return run_injections(args, n_args, err);
    if (membership.members || membership.others)
        return run_membership(args, n_args, err);
    if (membership.reference.n || membership.lines || membership.show_texts)
        return ERR(err, USAGE, "--reference, --lines and --show-texts are of --membership");
    if ((due.list || due.contamination) && !due.on)
        return ERR(err, USAGE, "--list and --contamination are of --due");
    if (due.on && (!n_args || !out_dir))
        return ERR(err, USAGE, "--due: found no %s, expected a model and --out, the folder of its results", n_args ? "--out" : "model");
    due.out = out_dir;
    if (!suite.path && (suite.labels || suite.prompt))
        return ERR(err, USAGE, "--checklist-labels and --checklist-prompt are of --checklist");
    if (suite.path && (!n_args || tasks))
        return ERR(err, USAGE, "--checklist: found %s, expected a model and no tasks", tasks ? "tasks beside it" : "no model");
    if (suite.path)
        return run_suite(args[0], err);
    if (!n_args || (!tasks && !on_texts && !due.on))
        return ERR(err, USAGE, "%s; --tasks list shows those that are built in", n_args ? "no --tasks" : "no model");
    if ((log_samples || predict_only) && !out_dir)
        return ERR(err, USAGE, "%s: samples are files, give their folder by --out", log_samples ? "--log-samples" : "--predict-only");
    if ((log_samples || predict_only) && eval_robust_wanted(&perturbing))
        return ERR(err, USAGE, "--perturb has no samples, its examples are in what it finds");
    cmd_catch_signals();
    struct job j = { .model = args[0], .replies.log.fd = -1, .replies.lock = -1 };
    const int rc = evaluate(&j, err);
    replies_close(&j.replies);
    evaluation_release(&j.e);
    run_close(j.run);
    eval_robust_close(&j.robust, &perturbing);
    task_list_release(&j.list);
    chat_free(j.chat);
    mem_free(j.template);
    mem_free(j.replies_dir);
    for (int i = 0; i < j.n_file; i++)
        mem_free(j.named[i]);
    return rc;
}

static int run_candidate(const char *model, const char *folder, struct err *err)
{
    out_dir = folder, log_samples = true;
    return run_one(&model, 1, err);
}

static int run_eval(const char *const *args, int n_args, struct err *err)
{
    if (sweep && (n_args || tasks || selection.asked))
        return ERR(err, USAGE, "--sweep: found a model, tasks or --select beside it, expected the file of the search alone");
    if (sweep) {
        cmd_catch_signals();
        return eval_sweep(sweep, out_dir, err);
    }
    if (selection.asked && (attack.attacks || injections.path))
        return ERR(err, USAGE, "--select: it is of scores of tasks, found %s beside it", attack.attacks ? "--attack" : "--injections");
    if (selection.asked)
        return eval_select(args, n_args, &selection, out_dir, run_candidate, err);
    if (n_args > 1)
        return ERR(err, USAGE, "found %d models, expected one; --select is for several", n_args);
    return run_one(args, n_args, err);
}

static const struct opt opts[] = {
    { OPT_STR, "tasks", &tasks, "<names>", "tasks and groups, with commas between them, or the paths of task files; list: show those that there are, with how much room they leave", 0, 0 },
    { OPT_STR, "data-dir", &data_dir, "<folder>", "where the tasks' files with their usual names lie", 0, 0 },
    { OPT_LIST, "data", &data_files, "<task=file>", "documents of a task, TASK:SPLIT=FILE: of one split; may be given several times", 0, 0 },
    { OPT_LIST, "include-path", &include_paths, "<folder>", "of task files, looked at before what is built in; may be given several times", 0, 0 },
    { OPT_INT, "num-fewshot", &num_fewshot, "<int>", "examples in front of each item; -1: as many as the task says", -1, 1000 },
    { OPT_INT, "limit", &limit, "<int>", "items of each task, the first ones; 0: all", 0, 1e15 },
    { OPT_FLAG, "apply-chat-template", &apply_chat_template, NULL, "prompts are messages, by the model's chat template", 0, 0 },
    { OPT_FLAG, "fewshot-as-multiturn", &fewshot_as_multiturn, NULL, "with a chat template: examples are turns of their own", 0, 0 },
    { OPT_STR, "system-instruction", &system_instruction, "<text>", "goes before each prompt, or is the system message", 0, 0 },
    { OPT_STR, "gen-kwargs", &gen_kwargs, "<key=value>",
      "change how texts are made: temperature, top_p, top_k, max_gen_toks, do_sample, with commas between them", 0, 0 },
    { OPT_CHOICE, "add-bos-token", &add_bos_token, "auto|true|false", "what texts begin with: what the tokenizer says, the prefix token, nothing", 0, 0 },
    { OPT_INT, "max-length", &max_length, "<int>", "tokens that the model may look at; 0: as many as it has positions", 0, 1e9 },
    { OPT_INT, "batch", &batch, "<int>", "items at once at most; scores do not depend on it", 1, 4096 },
    { OPT_INT, "seed", &seed, "<int>", "of the examples' draws, of texts that are drawn, and of the bootstrap", 0, 4294967295. },
    { OPT_STR, "out", &out_dir, "<folder>", "replies as they are made, and results_DATE.json at the end; a run that was stopped goes on from there", 0, 0 },
    { OPT_FLAG, "log-samples", &log_samples, NULL, "samples_TASK_DATE.jsonl, too: each item, its prompt, replies and values", 0, 0 },
    { OPT_STR, "perturb", &perturbing.families, "<names>", "put the tasks in other forms too, and say what that changes: all, text, format, or families with commas between them", 0, 0 },
    { OPT_STR, "strengths", &perturbing.strengths, "<numbers>", "of --perturb: which of 1 to 5, a share of 2, 5, 10, 20 and 40 % of the places", 0, 0 },
    { OPT_STR, "paraphrases", &perturbing.paraphrases, "<file.jsonl>", "lines {\"text\", \"paraphrase\"}: the documents' texts said otherwise, alone or with --perturb", 0, 0 },
    { OPT_STR, "checklist", &suite.path, "<file.jsonl>", "instead of tasks: a CheckList suite of behavioural tests, for a classifier of texts or a model that continues them", 0, 0 },
    { OPT_STR, "checklist-labels", &suite.labels, "<names>", "of --checklist: names of classes 0, 1, ..; (NAME): of three, the middle one that is not asked for; usual: negative,neutral,positive", 0, 0 },
    { OPT_STR, "checklist-prompt", &suite.prompt, "<template>", "of --checklist and a model that continues texts: what stands before the class's name, with {{text}}", 0, 0 },
    { OPT_STR, "logits", &logits, "<file.npz>", "instead of a model: how well calibrated the logits or probabilities [n, classes] and labels [n] of that file are", 0, 0 },
    { OPT_STR, "diagram", &diagram, "<file.svg>", "of --logits: the reliability diagram", 0, 0 },
    { OPT_STR, "images", &images.path, "<folder|images,labels>", "of a model with classes: images in a folder for each class, or two idx files; --limit and --seed hold", 0, 0 },
    { OPT_FLAG, "corruptions", &images.corruptions, NULL, "of --images: accuracy under noise, blur, weather and files, 17 kinds in 5 strengths (CIFAR-10-C's)", 0, 0 },
    { OPT_STR, "attack", &attack.attacks, "<names>",
      "of --images: fgsm, pgd, apgd-ce, apgd-t, square, with commas between them; all: AutoAttack's but for FAB.  Of texts: hotflip (--tasks, --texts), gcg (--targets), trigger (--texts)", 0, 0 },
    { OPT_FLOAT, "eps", &images.eps, "<float>", "of --attack on images: how far each number from 0 to 1 may move", 1e-6, 1 },
    { OPT_STR, "texts", &ood.texts, "<file>", "of a language model or a classifier of texts: texts as it should know them, one a line or JSON lines with \"text\", for --ood; with --attack: JSON lines {text, label} or CSV", 0, 0 },
    { OPT_LIST, "ood", &ood.others, "<set>", "of --images or --texts: images of none of the classes, other texts, to be told apart; may be given several times", 0, 0 },
    { OPT_STR, "ood-fit", &ood.fit, "<set>", "with --ood: what Mahalanobis, k-th neighbour and ViM are fitted to, training data or some that was held out; not given: scores of logits alone", 0, 0 },
    { OPT_STR, "features-out", &ood.features_out, "<file.npz>", "logits, features and labels of all these sets", 0, 0 },
    { OPT_STR, "targets", &attack.targets, "<file>", "of --attack gcg: JSON lines {prompt, target}: what is to be answered how", 0, 0 },
    { OPT_INT, "flips", &attack.flips, "<int>", "of hotflip: tokens that are changed at most", 1, 1000 },
    { OPT_INT, "steps", &attack.steps, "<int>", "of gcg and trigger: steps at most", 1, 1000000 },
    { OPT_INT, "suffix", &attack.suffix, "<int>", "of gcg and trigger: tokens that are sought; 0: 20, and 3 of a trigger", 0, 1000 },
    { OPT_STR, "trigger", &attack.trigger, "<text>", "of --attack trigger: this one, in front of texts, is measured and none is sought", 0, 0 },
    { OPT_INT, "candidates", &attack.candidates, "<int>", "of --attack on texts: changes that are asked for in a step", 1, 65536 },
    { OPT_INT, "gradient-top-k", &attack.top_k, "<int>", "of gcg and trigger: tokens of each place that are drawn from, by their gradient", 1, 65536 },
    { OPT_FLOAT, "similarity", &attack.similarity, "<float>", "of hotflip: the least cosine between the model's vectors of a token and what it becomes; 0: any", 0, 1 },
    { OPT_STR, "injections", &injections.path, "<file>", "prompts that try to take the model over, JSON lines or Giskard's CSV: how many succeed (doc/attacks.md)", 0, 0 },
    { OPT_STR, "canary", &injections.canary, "<text>", "of --injections: the secret in --system-instruction; without either both are made", 0, 0 },
    { OPT_INT, "tries", &injections.tries, "<int>", "of --injections: answers to each prompt; more than 1 are drawn at temperature 1", 1, 1000 },
    { OPT_INT, "max-tokens", &injections.max_tokens, "<int>", "of --injections: tokens of an answer at most", 1, 100000 },
    { OPT_STR, "judge-labels", &injections.labels, "<file>", "of --injections: attempts of an earlier run with \"label\": true or false in some: the judge's errors are taken out", 0, 0 },
    { OPT_STR, "membership", &membership.members, "<path>", "texts that the model has learned from, read as lathe data audit reads them: can they be told from --non-members?", 0, 0 },
    { OPT_STR, "non-members", &membership.others, "<path>", "of --membership: texts of the same source that it has not seen", 0, 0 },
    { OPT_LIST, "reference", &membership.reference, "<model>", "of --membership: a model that has seen neither, to be compared with; may be given several times", 0, 0 },
    { OPT_FLAG, "lines", &membership.lines, NULL, "of --membership: each line of a text file is a text, not the file", 0, 0 },
    { OPT_FLAG, "show-texts", &membership.show_texts, NULL, "of --membership: the beginnings of the most exposed texts; without it their places alone", 0, 0 },
    { OPT_FLAG, "due", &due.on, NULL, "the tasks that the model has not been asked as they are now: by the results in --out; of --tasks, or of all that there are", 0, 0 },
    { OPT_FLAG, "list", &due.list, NULL, "of --due: only show them", 0, 0 },
    { OPT_STR, "contamination", &due.contamination, "<folder>", "of --due: an audit whose --against had the tasks' files; what the data hold of each stands beside it", 0, 0 },
    { OPT_STR, "groups", &groups.fields, "<field,..>", "of documents: scores, calibration and differences by their values, the worst group named (doc/bias.md); A+B: both together", 0, 0 },
    { OPT_STR, "audit", &groups.audit, "<folder>", "of --groups: an audit of the training data (lathe data audit --out), whose shares stand beside the groups that it counted", 0, 0 },
    { OPT_FLAG, "predict-only", &predict_only, NULL, "samples without scores", 0, 0 },
    { OPT_FLAG, "select", &selection.asked, NULL, "of several models (below): which to take; --out has what is found of each", 0, 0 },
    { OPT_CHOICE, "prefer", &selection.prefer, "speed|memory|cost|quality", "of --select: what decides among those that are not worse than the best", 0, 0 },
    { OPT_FLOAT, "margin", &selection.margin, "<float>", "of --select: the loss of quality that does not matter", 0, 1 },
    { OPT_FLOAT, "price-per-hour", &selection.price, "<float>", "of --select: what an hour of this machine costs, in any currency", 0, 1e9 },
    { OPT_STR, "sweep", &sweep, "<file>", "instead of a model: search over settings of a recipe of lathe train by successive halving (below)", 0, 0 },
    OPT_ROPE_SCALING(&rope_scaling),
    OPT_PRECISION,
    OPT_KV,
    OPT_ADAPTER,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_eval = {
    "eval", "[MODEL]...", "scores of a model on benchmark tasks, and how sure they are",
    TEXT("Tasks are those of lm-evaluation-harness: its YAML files as they are, or what is built in (doc/tasks.md), over files that you\n"
    "have.  Requests, tokens, log-likelihoods and metrics are made by its rules, and results and samples are written in its layout, so\n"
    "that what reads its files reads these; what it does not have stands under the key \"lathe\".\n"
    "\n"
    "The scores are the same to the bit with any --batch and --threads: what items have in common (the question of several choices,\n"
    "the examples before them) is computed once, and many items share a step of the model.\n"
    "\n",
    "Beside each score stands its standard error, as lm-evaluation-harness has it, and a 95 % interval: Wilson's for a share of\n"
    "items, Student's t for other means and for items in clusters (metadata.cluster of a task), BCa of 10,000 bootstrap draws for\n"
    "what is no mean, and for a group of tasks what follows from the tasks' own (MOVER).  Under the table stands what else a score rests on: items that failed, contexts that were too long and were\n"
    "cut at their beginning, choices that share a token with the end of the question (scored by tokens of their own), answers in\n"
    "which nothing was found, and the conventions: the token before an empty context, what begins a text, the longest text.\n"
    "\n",
    "A request that cannot be answered is that item's error, and is counted.  Ctrl-C ends a run with the scores of what was answered,\n"
    "marked as incomplete, and exit code 4; with --out the same command goes on where it stopped, and refuses a folder of another model,\n"
    "other requests or another way to run them.\n"
    "\n"
    "The tasks bbq and crows_pairs_english also get their bias scores by category.  --groups FIELD gives every task's scores and calibration by\n"
    "the values of a field of its documents: the worst group with intervals that hold for all at once, the gap beside what chance gives, and,\n"
    "with --audit, the groups' shares of the training data (doc/bias.md).\n"
    "\n",
    "--logits takes the answers of any program's classifier instead: ECE in its several forms beside what calibrated models of the same\n"
    "confidences have by chance, Brier, NLL, temperature scaling, conformal sets, selective accuracy (doc/calibration.md).\n"
    "\n",
    "--perturb asks each item also with typing errors, capitals, look-alike letters, missing words and the like in the document's text, and\n"
    "with the prompt in other forms (options in another order or numbered otherwise, other separators, white space, examples in another\n"
    "order).  Of each family and strength: the score, its change by the pair, how much is kept, flips, the divergence of the answers, with\n"
    "intervals; and each item at its worst (doc/robustness.md).\n"
    "\n",
    "--checklist puts a suite of behavioural tests (CheckList's form) to a classifier of texts, or to a model that continues a prompt with the\n"
    "names of the classes: the rate of failures of each test, capability and type (doc/robustness.md).  --limit: the first cases of each test.\n"
    "\n",
    "--images is for classifiers of images: accuracy and all of the above, how much of it corruptions, and attacks within a ball, leave, and\n"
    "how well other images can be told from its own (--ood): by logits, and by features where --ood-fit says what to fit to (doc/ood.md).\n"
    "What happens to an image depends on --seed and its place alone.\n"
    "\n",
    "--texts does the same with texts: by perplexity and the distributions of the next token of a language model, by the logits of a\n"
    "classifier, by their features; and once more for texts of the same lengths.\n"
    "\n"
    "With --out these, and --logits, are kept as KIND_DATE.json in that folder, with a list of figures for reports.\n\n",
    "--membership says whether texts that the model has learned from can be told from others by their likelihoods, beside what tells them\n"
    "apart without any model (doc/privacy.md).\n\n",
    "--due runs what is new for a model: tasks that the results in the folder of --out, of this model by its SHA-256, do not have, or have of\n"
    "another version or of other data, in part or stopped (doc/tasks.md).\n\n",
    "--select puts two or more models to the same tasks: NAME=MODEL@PRECISION+ADAPTERS, of which MODEL alone must be there, or folders that --out\n"
    "left before.  Quality is the mean over tasks of their first metric; its loss against the best is measured item by item (lathe compare),\n"
    "speed and memory by lathe bench in a process of its own.  Of those that are not worse than the best by --margin or more (one-sided, 5 %\n"
    "for all candidates together) the one that --prefer puts first is recommended, in words that say what it rests on; OUT/select.svg shows\n"
    "quality over speed.  What stands in OUT/NAME is not computed again.\n\n",
    "--sweep trains recipes: FILE (YAML or JSON) has recipe: PATH; space: {train.lr: [1e-3, 3e-3], model.num_hidden_layers: {min: 2, max: 6,\n"
    "integer: true}}, lists or ranges (scale: log); draws: how many (all combinations without it); least_steps, most_steps and eta (3): of the\n"
    "settings that had least_steps the best third goes on to three times as many, and so on, each training with a schedule of its own.  The\n"
    "lowest held-out loss wins; OUT/best.json is its recipe.  A search that was stopped goes on with the same command.\n\n",
    "--attack hotflip, gcg and trigger look for changes of tokens along the model's gradient that make it err, and --injections tries prompts\n"
    "that are to take a model over: doc/attacks.md."),
    opts, run_eval, 0, SELECT_CANDIDATES,
};
