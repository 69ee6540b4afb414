#include "eval/compare_tasks.h"
#include <math.h>
#include <pthread.h>
#include <string.h>
#include "base/mem.h"

#define AHEAD 64                 /* items that a model may be ahead of the other */

struct player {
    struct game *game;
    int which;
    struct run *run;
    struct pool *pool;
    int64_t n_answered;
    bool done;
    int rc; struct err err;
};
struct game {
    struct compare_tasks *t; const struct compare_tasks_opts *o;
    int64_t **turn;              /* [task][item]; NULL: all items at once */
    pthread_mutex_t lock; pthread_cond_t moved;
    bool stop;
    struct player player[2];
};

/* ---- metrics ---- */

static bool has_items(enum task_aggregate a) { return a != TASK_MEDIAN && a != TASK_F1 && a != TASK_MCC; }

static int find_metric(const struct eval_task *x, const char *name, int *out, struct err *err)
{
    for (int i = 0; i < x->n_metric; i++) {
        const struct task_metric *m = &x->metric[i];
        if (name ? strcmp(name, m->name) != 0 : m->own)
            continue;
        if (!has_items(m->aggregate))
            return ERR(err, UNSUPPORTED, "%s: %s is made of all items together, expected a metric that each has for itself; --metric names one", task_name(x->t), m->name);
        *out = i;
        return 0;
    }
    return ERR(err, NOTFOUND, "%s has no metric '%s'", task_name(x->t), name ? name : "");
}

static const struct task_metric *metric_of(const struct compare_tasks *t, int task) { return &t->e[0].task[task].metric[t->metric[task]]; }

static struct task_value value_of(const struct compare_tasks *t, int which, int task, int64_t item)
{
    const struct eval_task *x = &t->e[which].task[task];
    return x->item[item].state == EVAL_SCORED ? x->value[item * x->n_metric + t->metric[task]] : (struct task_value){ NAN, 1 };
}

/* ---- one of the models ---- */

/* Of an item that was answered, or could not be asked. */
static int take_turn(struct game *g, int which, int task, int64_t item, struct err *err)
{
    const struct task_value v = value_of(g->t, which, task, item);
    const bool better_low = !metric_of(g->t, task)->higher_is_better;
    if (!isnan(v.v) && v.v != 0 && v.v != 1)
        return ERR(err, RANGE, "%s: %s of item %lld is %g, expected 0 or 1 for items one after the other", task_name(g->t->e[0].task[task].t), metric_of(g->t, task)->name,
                   (long long)item, v.v);
    const int8_t right = isnan(v.v) ? 2 : better_low ? v.v == 0 : v.v == 1;
    if (compare_stream_put(&g->t->stream[task], which, g->turn[task][item], right))
        g->stop = g->t->shown = true;
    return 0;
}

static int answered(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *err)
{
    struct player *p = ctx;
    int task;
    int64_t item;
    evaluation_of_tag(tag, &task, &item);
    TRY(evaluation_take(&p->game->t->e[p->which], task, item, reply, n, err));
    pthread_mutex_lock(&p->game->lock);
    p->n_answered++;
    const int rc = p->game->turn ? take_turn(p->game, p->which, task, item, err) : 0;
    pthread_cond_broadcast(&p->game->moved);
    pthread_mutex_unlock(&p->game->lock);
    return rc;
}

/* Waits for the other one, where that is far behind and not at its end. */
static bool goes_on(void *ctx, const struct run_progress *progress)
{
    struct player *p = ctx;
    struct game *g = p->game;
    const struct player *other = &g->player[!p->which];
    pthread_mutex_lock(&g->lock);
    while (g->turn && !g->stop && !other->done && p->n_answered > other->n_answered + AHEAD)
        pthread_cond_wait(&g->moved, &g->lock);
    if (!g->stop && g->o->goes_on && !g->o->goes_on(g->o->ctx, p->which, p->n_answered, progress->n_item)) {
        g->stop = true;
        pthread_cond_broadcast(&g->moved);
    }
    const bool on = !g->stop;
    pthread_mutex_unlock(&g->lock);
    return on;
}

/* The items of a task in the order of their turns.  What cannot be asked is left to evaluation_ask(), and has no value. */
static int ask_in_turn(struct player *p, int task, struct err *err)
{
    struct game *g = p->game;
    struct evaluation *e = &g->t->e[p->which];
    for (int64_t k = 0; k < e->task[task].n; k++) {
        const int64_t item = compare_stream_item(&g->t->stream[task], k);
        struct request *q;
        struct err own = { 0 };
        int n;
        int rc = evaluation_requests(e, task, item, &q, &n, &own);
        if (rc == ERR_NOMEM)
            return ERR(err, NOMEM, "%s", own.msg);
        if (rc < 0 || !n)
            rc = take_turn(g, p->which, task, item, err);
        else
            rc = run_add(p->run, evaluation_tag(task, item), q, n, err);
        mem_free(q);
        TRY(rc);
    }
    return 0;
}

static int open_player(struct player *p, struct err *err)
{
    struct evaluation *e = &p->game->t->e[p->which];
    TRY(run_open(&p->run, &p->game->o->run[p->which], err));
    if (!p->game->turn)
        return evaluation_ask(e, p->run, err);
    for (int i = 0; i < e->n_task; i++)
        TRY(ask_in_turn(p, i, err));
    return 0;
}

static void *play(void *ctx)
{
    struct player *p = ctx;
    const struct run_hooks h = { answered, goes_on, p };
    p->rc = run_answer(p->run, &h, p->pool, &p->err);
    pthread_mutex_lock(&p->game->lock);
    p->done = true;
    p->game->stop = p->game->stop || p->rc < 0;
    pthread_cond_broadcast(&p->game->moved);
    pthread_mutex_unlock(&p->game->lock);
    return NULL;
}

/* ---- both ---- */

static int rc_of(const struct game *g, const struct player *p, struct err *err)
{
    if (!p->rc || (p->rc == ERR_STOPPED && g->t->shown))
        return 0;
    if (err)
        *err = p->err;
    return p->rc;
}

static int one_by_one(struct game *g, struct err *err)
{
    for (int k = 0; k < 2; k++) {
        struct player *p = &g->player[k];
        TRY(pool_new(&p->pool, g->o->n_thread, err));
        TRY(open_player(p, err));
        if (evaluation_open(&g->t->e[k]))
            play(p);
        run_close(p->run);
        p->run = NULL;
        TRY(rc_of(g, p, err));
    }
    return 0;
}

static int both_at_once(struct game *g, struct err *err)
{
    pthread_t thread;
    for (int k = 0; k < 2; k++) {
        TRY(pool_new(&g->player[k].pool, g->o->n_thread > 1 ? (g->o->n_thread + 1 - k) / 2 : 1, err));
        TRY(open_player(&g->player[k], err));
    }
    if (pthread_create(&thread, NULL, play, &g->player[1]))
        return ERR(err, IO, "no thread for the second model");
    play(&g->player[0]);
    pthread_join(thread, NULL);
    for (int k = 0; k < 2; k++)               /* the one that failed, before the one that stopped for it */
        if (g->player[k].rc != ERR_STOPPED)
            TRY(rc_of(g, &g->player[k], err));
    TRY(rc_of(g, &g->player[0], err));
    return rc_of(g, &g->player[1], err);
}

static int set_turns(struct game *g, struct err *err)
{
    struct compare_tasks *t = g->t;
    const int n = t->e[0].n_task;
    t->stream = mem_alloc_array((size_t)n, sizeof *t->stream);
    g->turn = mem_alloc_array((size_t)n, sizeof *g->turn);
    if (!t->stream || !g->turn)
        return ERR(err, NOMEM, "no memory for %d tasks", n);
    for (int i = 0; i < n; i++) {
        const int64_t items = t->e[0].task[i].n;
        t->n_stream = i + 1;
        TRY(compare_stream_init(&t->stream[i], task_name(t->e[0].task[i].t), items, g->o->seed, g->o->alpha, n, err));
        if (!(g->turn[i] = mem_alloc_array((size_t)items + 1, sizeof **g->turn)))
            return ERR(err, NOMEM, "no memory for the order of %lld items", (long long)items);
        for (int64_t k = 0; k < items; k++)
            g->turn[i][compare_stream_item(&t->stream[i], k)] = k;
    }
    return 0;
}

static int play_game(struct game *g, const struct task_list *list, struct err *err)
{
    struct compare_tasks *t = g->t;
    for (int k = 0; k < 2; k++)
        TRY(evaluation_init(&t->e[k], list, err));
    if (!(t->metric = mem_alloc_array((size_t)list->n_task + 1, sizeof *t->metric)))
        return ERR(err, NOMEM, "no memory for %d tasks", list->n_task);
    for (int i = 0; i < list->n_task; i++)
        TRY(find_metric(&t->e[0].task[i], g->o->metric, &t->metric[i], err));
    if (!g->o->sequential)
        return one_by_one(g, err);
    TRY(set_turns(g, err));
    return both_at_once(g, err);
}

int compare_tasks_run(struct compare_tasks *t, const struct task_list *list, const struct compare_tasks_opts *o, struct err *err)
{
    struct game g = { .t = t, .o = o, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };
    *t = (struct compare_tasks){ 0 };
    for (int k = 0; k < 2; k++)
        g.player[k] = (struct player){ .game = &g, .which = k };
    const int rc = play_game(&g, list, err);
    for (int k = 0; k < 2; k++) {
        run_close(g.player[k].run);
        pool_free(g.player[k].pool);
    }
    for (int i = 0; g.turn && i < list->n_task; i++)
        mem_free(g.turn[i]);
    mem_free(g.turn);
    if (rc < 0)
        compare_tasks_release(t);
    return rc;
}

void compare_tasks_release(struct compare_tasks *t)
{
    for (int k = 0; k < 2; k++)
        evaluation_release(&t->e[k]);
    for (int i = 0; i < t->n_stream; i++)
        compare_stream_release(&t->stream[i]);
    mem_free(t->stream);
    mem_free(t->metric);
    *t = (struct compare_tasks){ 0 };
}

/* ---- what was answered, as items of kept evaluations ---- */

/* Had it its turn? */
static bool counts(const struct compare_tasks *t, const bool *had, int64_t item) { return !t->stream || had[item]; }

/* Of continuations their log-likelihoods, as lm-evaluation-harness has them: [[-3.5, false], ..]. */
static json_t *likelihoods(const struct eval_item *it)
{
    json_t *list = json_array();
    for (int i = 0; i < it->n_reply; i++)
        json_array_append_new(list, json_pack("[f, b]", it->reply[i].loglik, it->reply[i].greedy));
    return list;
}

/* What the document and the right answer are, what was asked and what was said. */
static int describe(const struct eval_task *x, int64_t item, const struct task_metric *m, json_t *line, struct err *err)
{
    const struct request *q;
    const struct eval_item *it = &x->item[item];
    TRY(task_requests(x->t, item, &q, err));
    json_t *answer = q->kind == REQUEST_GENERATE ? json_incref(json_object_get(json_object_get(line, "filtered_resps"), m->filter)) : likelihoods(it);
    json_object_set_new(line, "filtered_resps", answer ? answer : json_null());
    json_object_set_new(line, "arguments", json_pack("{s:{s:s%}}", "gen_args_0", "arg_0", q->context ? q->context : "", q->context ? q->n_context : (size_t)0));
    return 0;
}

static int add_item(const struct compare_tasks *t, int which, int task, int64_t item, struct samples *s, struct err *err)
{
    const struct eval_task *x = &t->e[which].task[task];
    const struct task_metric *m = metric_of(t, task);
    const struct task_value v = value_of(t, which, task, item);
    const bool ratio = m->aggregate == TASK_WEIGHTED_PERPLEXITY || m->aggregate == TASK_BITS_PER_BYTE;
    const uint64_t refused = mem_json_refused();
    json_t *line;
    TRY(task_sample(x->t, item, x->item[item].reply, x->item[item].n_reply, &line, err));
    int rc = describe(x, item, m, line, err);
    json_object_set_new(line, "doc_id", json_integer(item));
    json_object_set_new(line, "filter", json_string(m->filter));
    json_object_set_new(line, "metrics", json_pack("[s]", m->name));
    json_object_set_new(line, m->name, ratio ? json_pack("[f, f]", v.v, v.w) : json_real(v.v));
    if (!rc && mem_json_refused() != refused)        /* jansson may go on without a part */
        rc = ERR(err, NOMEM, "no memory for item %lld of %s", (long long)item, task_name(x->t));
    if (!rc)
        rc = samples_add(s, task_name(x->t), line, task_cluster(x->t, item), m->higher_is_better, err);
    json_decref(line);
    return rc;
}

static int add_task(const struct compare_tasks *t, int task, const bool *had, struct samples *old, struct samples *new, struct err *err)
{
    struct samples *const to[] = { old, new };
    for (int64_t item = 0; item < t->e[0].task[task].n; item++)
        for (int k = 0; k < 2; k++)
            if (counts(t, had, item) && !isnan(value_of(t, k, task, item).v))
                TRY(add_item(t, k, task, item, to[k], err));
    return 0;
}

static int add_tasks(const struct compare_tasks *t, struct samples *old, struct samples *new, struct err *err)
{
    for (int i = 0; i < t->e[0].n_task; i++) {
        bool *had = t->stream ? mem_alloc_array((size_t)t->stream[i].n + 1, sizeof *had) : NULL;
        if (t->stream && !had)
            return ERR(err, NOMEM, "no memory for the turns of %lld items", (long long)t->stream[i].n);
        for (int64_t k = 0; t->stream && k < t->stream[i].next; k++)
            had[compare_stream_item(&t->stream[i], k)] = true;
        const int rc = add_task(t, i, had, old, new, err);
        mem_free(had);
        TRY(rc);
    }
    return 0;
}

int compare_tasks_samples(const struct compare_tasks *t, struct samples *old, struct samples *new, struct err *err)
{
    *old = *new = (struct samples){ 0 };
    const int rc = add_tasks(t, old, new, err);
    samples_sort(old);
    samples_sort(new);
    if (rc < 0) {
        samples_release(old);
        samples_release(new);
    }
    return rc;
}
