#include "cmd/eval_tasks.h"
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
#include "cmd/eval_table.h"
#include "cmd/model_evidence.h"
#include "cmd/task_files.h"
#include "eval/chat_task.h"
#include "eval/evidence.h"
#include "eval/replies.h"

struct eval_tasks eval_asked = {
    .add_bos_token = "auto", .num_fewshot = -1, .batch = RUN_BATCH, .seed = TASK_SEED, .fewshot_as_multiturn = true, .attack = EVAL_ATTACK,
    .perturbing = { .strengths = "1,3,5" },
};

/* ---- what is asked ---- */

/* All that a run needs, in the order in which it is opened. */
struct job {
    const char *model;
    struct chat *chat; char *template;
    char model_sha256[SHA256_HEX], adapter_sha256[SHA256_HEX], requests_sha256[SHA256_HEX];
    struct task_files data;
    struct task_opts task;
    struct task_list list;
    struct robust robust;                /* of --perturb: its list has the tasks and their variants */
    struct evaluation e;
    struct run *run;
    struct replies replies; bool kept;
    char *replies_dir;                   /* of --due: their own, beside the results of earlier runs */
    double date, begin, shown;
    sig_atomic_t stop_before;            /* cmd_stop as the scoring began */
    struct run_counts counts; bool ran;
};

static int load_chat(struct job *j, struct err *err)
{
    struct chat_files *f;
    if (!eval_asked.apply_chat_template)
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
    TRY(task_files_read(&j->data, &eval_asked.data_files, err));
    TRY(load_chat(j, err));
    o.data_dir = eval_asked.data_dir, o.file = j->data.file, o.n_file = j->data.n, o.task_dir = eval_asked.include_paths.item,
    o.n_task_dir = eval_asked.include_paths.n;
    o.num_fewshot = (int)eval_asked.num_fewshot, o.limit = eval_asked.limit, o.seed = (uint32_t)eval_asked.seed, o.system = eval_asked.system_instruction, o.single_turn = !eval_asked.fewshot_as_multiturn;
    o.chat = j->chat ? chat_task : NULL, o.chat_user = j->chat;
    j->task = o;
    if (eval_asked.due.on && !eval_asked.tasks)
        return eval_due_open(&j->list, &o, err);
    return task_files_list(&j->list, eval_asked.tasks, &o, err);
}

static enum encode_begin begin_of(void)
{
    static const char *const word[] = {
#define X(name, w) w,
        ENCODE_BEGINS(X)
#undef X
    };
    int i = 0;
    while (strcmp(eval_asked.add_bos_token, word[i]))
        i++;
    return (enum encode_begin)i;
}

struct run_opts eval_run_opts(const char *model)
{
    return (struct run_opts){ .model = model, .engine = cmd_engine((struct engine_opts){ .rope_scaling = eval_asked.rope_scaling }), .batch = (int)eval_asked.batch,
                              .max_length = (int)eval_asked.max_length, .begin = begin_of(), .seed = (uint64_t)eval_asked.seed };
}

static int open_model(struct job *j, struct err *err)
{
    const struct run_opts o = eval_run_opts(j->model);
    TRY(run_open(&j->run, &o, err));
    TRY(model_evidence_adapter(j->adapter_sha256, err));
    return model_digest(j->model, j->model_sha256, err);
}

/* What a folder of replies belongs to. */
static json_t *evaluation_of(const struct job *j)
{
    json_t *names = json_array();
    for (int i = 0; i < j->e.n_task; i++)
        (void)json_array_append_new(names, json_string(task_name(j->e.task[i].t)));
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I}", "tasks", names, "requests", j->requests_sha256, "model", j->model_sha256,
                     "precision", cmd_precision, "kv", cmd_kv, "adapter", j->adapter_sha256, "rope_scaling", eval_asked.rope_scaling ? eval_asked.rope_scaling : "",
                     "add_bos_token", eval_asked.add_bos_token, "max_length", run_encoder(j->run)->max_length, "seed", (json_int_t)eval_asked.seed);
}

static int open_replies(struct job *j, struct err *err)
{
    if (!eval_asked.out_dir)
        return 0;
    json_t *of = evaluation_of(j);
    const int64_t all = evaluation_open(&j->e);
    const char *kept = j->replies_dir ? j->replies_dir : eval_asked.out_dir;
    char *folder = eval_robust_wanted(&eval_asked.perturbing) ? file_join(kept, "robustness") : mem_strdup(kept);
    const int rc = of && folder ? replies_open(&j->replies, folder, of, &j->e, &j->date, err) : ERR(err, NOMEM, "no memory for a folder of replies");
    json_decref(of);
    mem_free(folder);
    TRY(rc);
    j->kept = true;
    if (evaluation_open(&j->e) < all)
        log_info("%s: %lld of %lld items were answered already", eval_asked.out_dir, (long long)(all - evaluation_open(&j->e)), (long long)all);
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
    TRY(eval_robust_wanted(&eval_asked.perturbing) ? robust_ask(&j->robust, &j->e, j->run, err) : evaluation_ask(&j->e, j->run, err));
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
    char *path = name ? file_join(eval_asked.out_dir, name) : NULL;
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
        .build = "lathe " LATHE_VERSION, .model = j->model, .model_sha256 = j->model_sha256, .adapter = cmd_adapter, .adapter_sha256 = j->adapter_sha256, .kept_as = cmd_precision, .gen_kwargs = eval_asked.gen_kwargs,
        .system = eval_asked.system_instruction, .chat_template = j->template, .requests_sha256 = eval_asked.out_dir ? j->requests_sha256 : NULL, .limit = eval_asked.limit,
        .batch = (int)eval_asked.batch, .max_length = run_encoder(j->run)->max_length, .seed = (uint32_t)eval_asked.seed, .single_turn = !eval_asked.fewshot_as_multiturn,
        .adds_begin = adds, .encoder = run_encoder(j->run), .date = j->date, .begin = j->begin, .end = clock_wall(),
        .counts = j->ran ? &j->counts : NULL,
    };
    evidence_date(j->date, date);
    int rc = hashes ? 0 : ERR(err, NOMEM, "no memory for the results");
    if (!rc && eval_asked.out_dir && (eval_asked.log_samples || eval_asked.predict_only))
        rc = write_samples(j, r, date, hashes, err);
    if (!rc)
        rc = results_json(r, &info, hashes, &o, err);
    if (!rc && eval_asked.out_dir)
        rc = write_results(o, date, err);
    json_t *by_group = NULL, *bias = NULL;
    const struct eval_bias_of found = { &j->e, j->model, j->model_sha256, eval_asked.out_dir, eval_asked.seed };
    if (!rc && !eval_asked.predict_only)
        rc = eval_bias_find(&found, &eval_asked.groups, &by_group, &bias, err);
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

/* What was answered until it was stopped is scored all the same.  A signal that comes now ends that where the answers are kept; else they would be
 * lost, and a second one ends it. */
static bool scoring_goes_on(void *ctx, double share)
{
    struct job *j = ctx;
    if (clock_wall() - j->shown > 0.5) {
        j->shown = clock_wall();
        log_progress("the interval of a score: %.0f %% of its draws", 100 * share);
    }
    return cmd_stop == j->stop_before || !eval_asked.out_dir;
}

static int score_and_tell(struct job *j, struct err *err)
{
    struct results r;
    struct pool *pool;
    TRY(cmd_pool(&pool, err));
    const struct score_opts o = { .seed = (uint64_t)eval_asked.seed, .pool = pool, .goes_on = scoring_goes_on, .ctx = j };
    j->stop_before = cmd_stop, j->shown = clock_wall();
    int rc = results_init(&r, &j->e, &j->list, &o, err);
    log_progress_end();
    if (rc == ERR_STOPPED)
        err_context(err, "there are no scores yet; the same command goes on");
    if (!rc)
        rc = tell(j, &r, err);
    results_release(&r);
    return rc;
}

/* A run of which nothing came is an error, with the first reason that there is. */
static int check_any(const struct job *j, struct err *err)
{
    const char *why = NULL;
    int64_t n = 0, n_failed = 0;
    bool any = false;
    for (int i = 0; i < j->e.n_task; i++) {
        const struct eval_task *t = &j->e.task[i];
        n += t->n, n_failed += t->counts.n_failed;
        any = any || j->e.predict_only || !t->n_metric;
        for (int64_t k = 0; !any && k < t->n * t->n_metric; k++)
            any = !isnan(t->value[k].v);
        for (int64_t k = 0; k < t->n && !why; k++)
            why = t->item[k].state == EVAL_FAILED ? t->item[k].error : NULL;
    }
    if (why && n_failed == n)
        return ERR(err, FORMAT, "all of %lld items failed; the first: %s", (long long)n, why);
    if (any)
        return 0;
    return ERR(err, FORMAT, "no metric has a value of %lld items%s%s", (long long)n, why ? "; the first that failed: " : "", why ? why : "");
}

/* ---- the whole ---- */

/* Replies of tasks that are due go to a folder of their own, named by what is asked: that of earlier runs has others. */
static int name_replies(struct job *j, struct err *err)
{
    char name[32];
    snprintf(name, sizeof name, "due_%.16s", j->requests_sha256);
    j->replies_dir = file_join(eval_asked.out_dir, name);
    TRY(j->replies_dir ? 0 : ERR(err, NOMEM, "no memory for the name of a folder"));
    return file_mkdirs(eval_asked.out_dir, err);
}

static int attack_texts(struct job *j, struct err *err)
{
    const struct run_opts o = eval_run_opts(j->model);
    eval_asked.attack.out_dir = eval_asked.out_dir, eval_asked.attack.system = eval_asked.system_instruction,
    eval_asked.attack.rope_scaling = eval_asked.rope_scaling, eval_asked.attack.limit = eval_asked.limit, eval_asked.attack.seed = eval_asked.seed;
    if (eval_asked.tasks)
        TRY(open_tasks(j, err));
    else
        TRY(load_chat(j, err));
    return eval_attack(j->model, eval_asked.tasks ? &j->list : NULL, &o, j->chat, &eval_asked.attack, err);
}

static int evaluate(struct job *j, struct err *err)
{
    const bool robust = eval_robust_wanted(&eval_asked.perturbing);
    if (eval_attack_asked(&eval_asked.attack, eval_asked.attack.texts))
        return attack_texts(j, err);
    TRY(open_tasks(j, err));
    TRY(eval_groups_check(&eval_asked.groups, &j->list, err));
    TRY(open_model(j, err));
    if (eval_asked.due.on) {
        TRY(eval_due_pick(&j->list, &eval_asked.due, j->model, j->model_sha256, j->adapter_sha256, eval_asked.seed, err));
        if (eval_asked.due.list || !j->list.n_task)
            return 0;
    }
    if (robust)
        TRY(eval_robust_open(&j->robust, &eval_asked.perturbing, &j->list, &j->task, (uint64_t)eval_asked.seed, err));
    TRY(evaluation_init(&j->e, robust ? &j->robust.list : &j->list, err));
    if (eval_asked.gen_kwargs)
        if (eval_generation_read(&j->e.generation, eval_asked.gen_kwargs, err) < 0)
            return err_context(err, "--gen-kwargs");
    j->e.predict_only = eval_asked.predict_only;
    j->begin = clock_wall();
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    j->date = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (eval_asked.out_dir)
        TRY(evaluation_digest(&j->e, j->requests_sha256, err));
    if (eval_asked.due.on)
        TRY(name_replies(j, err));
    TRY(open_replies(j, err));
    struct err stopped = { 0 };
    const int rc = answer(j, &stopped);
    if (rc < 0 && rc != ERR_STOPPED) {
        *err = stopped;
        return rc;
    }
    TRY(robust ? eval_robust_tell(&j->robust, &j->e, j->model, j->model_sha256, eval_asked.out_dir, err) : score_and_tell(j, err));
    if (rc == ERR_STOPPED) {
        *err = stopped;
        return err_context(err, eval_asked.out_dir ? "the scores are of what was answered; the same command goes on" : "the scores are of what was answered");
    }
    if (j->replies_dir) {                /* the results have it all */
        replies_close(&j->replies);
        TRY(file_remove_tree(j->replies_dir, err));
    }
    return check_any(j, err);
}

int eval_tasks(const char *model, struct err *err)
{
    struct job j = { .model = model, .replies.log.fd = -1, .replies.lock = -1 };
    const int rc = evaluate(&j, err);
    replies_close(&j.replies);
    evaluation_release(&j.e);
    run_close(j.run);
    eval_robust_close(&j.robust, &eval_asked.perturbing);
    task_list_release(&j.list);
    chat_free(j.chat);
    mem_free(j.template);
    mem_free(j.replies_dir);
    task_files_release(&j.data);
    return rc;
}
