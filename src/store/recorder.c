#include "store/recorder.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "store/registry.h"

#define RETRY_S 1.
#define EXPIRE_S 30.
#define NS 1e9

/* Feedback that waits. */
struct said {
    struct said *next;
    struct feedback f;
    char *id, *owner, *label, *comment;
    recorder_done done; void *ctx;
};

struct recorder {
    char *where; bool texts; double retain_s;
    char server[EVENT_NAME];
    void (*describe)(struct record *c);
    /* the thread's own */
    struct events *e;                    /* NULL: could not be opened */
    ino_t file;                          /* of SQLite */
    struct record *taken;                /* that the database has not taken yet */
    bool failing;
    uint64_t lost_told;
    double expired;                      /* clock_wall() of the last look */
    pthread_t thread;
    bool has_thread;
    /* shared */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct record *first, **last;
    struct said *said, **said_last;
    int n_waiting; size_t n_bytes;       /* of first and taken */
    int n_said;
    bool quit;
    struct recorder_counts counts;
};

/* ---- records ---- */

struct record *record_new(void)
{
    struct record *c = mem_alloc_zero(sizeof *c);
    if (!c)
        return NULL;
    struct event *ev = &c->ev;
    ev->prompt_tokens = ev->cached_tokens = ev->answer_tokens = -1;
    ev->prompt_nll = ev->entropy = ev->confidence = ev->logprob = ev->first_s = ev->total_s = ev->experts_effective = ev->score = (double)NAN;
    ev->refused = ev->schema_ok = ev->tool_calls = ev->tool_ok = -1;
    buf_init(&c->asked), buf_init(&c->prompt), buf_init(&c->answer);
    return c;
}

void record_free(struct record *c)
{
    if (!c)
        return;
    buf_release(&c->asked), buf_release(&c->prompt), buf_release(&c->answer);
    mem_free((void *)(uintptr_t)c->ev.expert);
    mem_free(c);
}

static size_t bytes_of(const struct record *c) { return sizeof *c + (size_t)c->ev.n_expert * sizeof *c->ev.expert + c->asked.cap + c->prompt.cap + c->answer.cap; }

void recorder_add(struct recorder *r, struct record *c)
{
    pthread_mutex_lock(&r->lock);
    if (c && !r->quit && r->n_waiting < RECORDER_WAIT && r->n_bytes + bytes_of(c) <= RECORDER_BYTES) {
        *r->last = c, r->last = &c->next;
        r->n_bytes += bytes_of(c);
        if (r->n_waiting++ == 0)
            pthread_cond_signal(&r->wake);
        c = NULL;
    } else {
        r->counts.n_lost++;
    }
    pthread_mutex_unlock(&r->lock);
    record_free(c);
}

/* ---- feedback ---- */

static void said_free(struct said *s)
{
    if (!s)
        return;
    mem_free(s->id);
    mem_free(s->owner);
    mem_free(s->label);
    mem_free(s->comment);
    mem_free(s);
}

static struct said *said_new(const struct feedback *f, recorder_done done, void *ctx)
{
    struct said *s = mem_alloc_zero(sizeof *s);
    if (!s)
        return NULL;
    *s = (struct said){ .f = *f, .id = mem_strdup(f->id), .owner = mem_strdup(f->owner), .label = f->label ? mem_strdup(f->label) : NULL, .comment = f->comment ? mem_strdup(f->comment) : NULL, .done = done, .ctx = ctx };
    if (!s->id || !s->owner || (f->label && !s->label) || (f->comment && !s->comment)) {
        said_free(s);
        return NULL;
    }
    s->f.id = s->id, s->f.owner = s->owner, s->f.label = s->label, s->f.comment = s->comment;
    return s;
}

int recorder_feedback(struct recorder *r, const struct feedback *f, recorder_done done, void *ctx, struct err *err)
{
    struct said *s = said_new(f, done, ctx);
    if (!s)
        return ERR(err, NOMEM, "no memory for feedback");
    pthread_mutex_lock(&r->lock);
    const int rc = r->quit ? ERR(err, STOPPED, "nothing more is recorded") : r->n_said >= RECORDER_WAIT ? ERR(err, BUSY, "%d texts of feedback are waiting already", r->n_said) : 0;
    if (!rc) {
        *r->said_last = s, r->said_last = &s->next;
        r->n_said++;
        pthread_cond_signal(&r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    if (rc)
        said_free(s);
    return rc;
}

/* ---- the thread: the database ---- */

static int64_t gone_at(const struct recorder *r, int64_t t) { return r->retain_s * NS < (double)(INT64_MAX - t) ? t + (int64_t)(r->retain_s * NS) : INT64_MAX; }

/* Whether the file is still the one that was opened: what is written to a removed one is lost without an error. */
static bool is_there(const struct recorder *r)
{
    struct stat st;
    return db_is_postgres(events_name(r->e)) || (!stat(events_name(r->e), &st) && st.st_ino == r->file);
}

static int open_database(struct recorder *r, struct err *err)
{
    struct stat st;
    if (r->e && is_there(r))
        return 0;
    if (r->e)
        log_warn("%s, where answers are recorded, was removed: it is made anew", events_name(r->e));
    events_close(r->e);
    r->e = NULL;
    TRY(events_open(&r->e, r->where, true, err));
    r->file = !stat(events_name(r->e), &st) ? st.st_ino : 0;
    return 0;
}

/* Once, however often it is tried to be written. */
static void describe(const struct recorder *r, struct record *c)
{
    if (c->described)
        return;
    c->described = true;
    memcpy(c->ev.server, r->server, sizeof c->ev.server);
    if (r->describe)
        r->describe(c);
    c->ev.refused = c->answer.len ? events_is_refusal(c->answer.data) : c->ev.refused;
    c->ev.prompt = c->keep ? c->prompt.data : NULL, c->ev.answer = c->keep ? c->answer.data : NULL;
}

static void release_taken(struct recorder *r, struct record *to)
{
    int n = 0;
    size_t bytes = 0;
    while (r->taken != to) {
        struct record *c = r->taken;
        r->taken = c->next;
        n++, bytes += bytes_of(c);
        record_free(c);
    }
    pthread_mutex_lock(&r->lock);
    r->n_waiting -= n, r->n_bytes -= bytes;
    pthread_mutex_unlock(&r->lock);
}

static void count(struct recorder *r, uint64_t written, uint64_t lost, uint64_t feedback)
{
    pthread_mutex_lock(&r->lock);
    r->counts.n_written += written, r->counts.n_lost += lost, r->counts.n_feedback += feedback;
    pthread_mutex_unlock(&r->lock);
}

/* Up to *rest, as far as it gets before it is time to commit.  A row that the tables do not take is lost, the others are not. */
static int write_rows(struct recorder *r, struct record **rest, uint64_t *written, uint64_t *lost, struct err *err)
{
    struct record **at = &r->taken;
    const double until = clock_wall() + RECORDER_COMMIT_S;
    for (*rest = NULL; *at;) {
        if (*written && clock_wall() > until) {
            *rest = *at;
            return 0;
        }
        struct record *c = *at;
        describe(r, c);
        const int rc = events_write(r->e, &c->ev, gone_at(r, c->ev.t), err);
        if (rc == ERR_RANGE) {
            *at = c->next, c->next = NULL;
            ++*lost;
            pthread_mutex_lock(&r->lock);
            r->n_waiting--, r->n_bytes -= bytes_of(c);
            pthread_mutex_unlock(&r->lock);
            record_free(c);
            return rc;
        }
        if (rc)
            return rc;
        at = &c->next;
        ++*written;
    }
    return 0;
}

static int write_taken(struct recorder *r, struct err *err)
{
    TRY(open_database(r, err));
    while (r->taken) {
        uint64_t written = 0, lost = 0;
        struct record *rest;
        TRY(db_begin(events_db(r->e), err));
        int rc = write_rows(r, &rest, &written, &lost, err);
        if (rc)
            db_rollback(events_db(r->e));
        else
            rc = db_commit(events_db(r->e), err);
        count(r, rc ? 0 : written, lost, 0);
        if (rc && rc != ERR_RANGE)
            return rc;
        if (!rc)
            release_taken(r, rest);
    }
    return 0;
}

static void tell_state(struct recorder *r, int rc, const struct err *err)
{
    pthread_mutex_lock(&r->lock);
    const uint64_t lost = r->counts.n_lost;
    r->counts.works = !rc;
    pthread_mutex_unlock(&r->lock);
    if (rc && !r->failing) {
        log_warn("answers are not recorded: %s; they are given all the same, and what is lost is counted", err->msg);
        r->lost_told = lost;
    } else if (!rc && r->failing) {
        log_info("answers are recorded again, %llu were lost", (unsigned long long)(lost - r->lost_told));
    }
    r->failing = rc != 0;
}

/* `rc`: how writing what came before went. */
static void answer_said(struct recorder *r, struct said *s, int rc, struct err *err)
{
    while (s) {
        struct said *next = s->next;
        struct err why = *err;
        int64_t n = 0;
        const int got = rc ? rc : events_feedback(r->e, &s->f, s->comment ? gone_at(r, s->f.t) : INT64_MAX, &n, &why);
        count(r, 0, 0, !got);
        s->done(s->ctx, got, n, &why);
        said_free(s);
        s = next;
    }
}

/* ---- the thread: when ---- */

static void wait_until(struct recorder *r, double until)
{
    const struct timespec t = { (time_t)until, (long)((until - floor(until)) * NS) };
    pthread_cond_timedwait(&r->wake, &r->lock, &t);
}

/* With the lock held: until there is something to do, and some more of it. */
static void wait_for_work(struct recorder *r)
{
    const double now = clock_wall(), look = r->expired + EXPIRE_S;
    for (double until = now + RETRY_S; r->taken && !r->quit && !r->said && clock_wall() < until;)
        wait_until(r, until);
    while (!r->taken && !r->first && !r->said && !r->quit && clock_wall() < look)
        wait_until(r, look);
    for (double until = clock_wall() + RECORDER_GATHER_S; r->first && !r->said && !r->quit && clock_wall() < until;)
        wait_until(r, until);
}

static void take(struct recorder *r)
{
    struct record **end = &r->taken;
    while (*end)
        end = &(*end)->next;
    *end = r->first;
    r->first = NULL, r->last = &r->first;
}

static void expire(struct recorder *r)
{
    struct err err;
    int64_t n;
    if (clock_wall() - r->expired < EXPIRE_S || !r->e)
        return;
    r->expired = clock_wall();
    if (events_expire(r->e, when_now(), &n, &err) < 0)
        log_warn("texts whose time is over could not be deleted: %s", err.msg);
}

static void *record_all(void *ctx)
{
    struct recorder *r = ctx;
    struct err err = { 0 };
    for (bool quit = false; !quit;) {
        pthread_mutex_lock(&r->lock);
        wait_for_work(r);
        take(r);
        struct said *said = r->said;
        r->said = NULL, r->said_last = &r->said, r->n_said = 0;
        quit = r->quit;
        pthread_mutex_unlock(&r->lock);
        const bool work = r->taken || said || r->failing;
        const int rc = work ? write_taken(r, &err) : 0;
        if (work)
            tell_state(r, rc, &err);
        answer_said(r, said, rc, &err);
        expire(r);
    }
    return NULL;
}

/* ---- begin and end ---- */

static int start(struct recorder *r, const struct recorder_opts *o, struct err *err)
{
    TRY(o->where ? 0 : registry_where(&r->where, err));
    if (o->where && !(r->where = mem_strdup(o->where)))
        return ERR(err, NOMEM, "no memory to record answers");
    const bool waits = db_is_postgres(r->where);
    const int rc = open_database(r, err);
    if (rc && !(waits && rc == ERR_IO))
        return rc;
    if (rc)
        tell_state(r, rc, err);
    r->counts.works = !rc;
    if (pthread_create(&r->thread, NULL, record_all, r))
        return ERR(err, NOMEM, "cannot start a thread that records answers");
    r->has_thread = true;
    return 0;
}

int recorder_open(struct recorder **out, const struct recorder_opts *o, struct err *err)
{
    *out = NULL;
    struct recorder *r = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to record answers");
    snprintf(r->server, sizeof r->server, "%s", o->server ? o->server : "");
    r->describe = o->describe, r->texts = o->texts, r->retain_s = o->retain_s, r->last = &r->first, r->said_last = &r->said, r->expired = clock_wall();
    pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->wake);
    const int rc = start(r, o, err);
    if (rc < 0)
        recorder_free(r);
    else
        *out = r;
    return rc;
}

bool recorder_keeps_texts(const struct recorder *r) { return r->texts; }

void recorder_stop(struct recorder *r)
{
    if (!r || !r->has_thread)
        return;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->has_thread = false;
    const int left = r->n_waiting;
    release_taken(r, NULL);
    r->counts.n_lost += (uint64_t)left;
    if (r->counts.n_lost)
        log_warn("%llu answers were not recorded", (unsigned long long)r->counts.n_lost);
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    recorder_stop(r);
    events_close(r->e);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    mem_free(r->where);
    mem_free(r);
}

struct recorder_counts recorder_counts(struct recorder *r)
{
    pthread_mutex_lock(&r->lock);
    struct recorder_counts c = r->counts;
    c.n_waiting = r->n_waiting;
    pthread_mutex_unlock(&r->lock);
    return c;
}
