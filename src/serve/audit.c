#include "serve/audit.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

#define RETRY_S 1
#define CHARGE_MAX ((int64_t)1 << 40)        /* tokens of a line that are believed */
#define SAY_S 60                 /* between words about lines that are lost */

struct audit {
    char *path;
    /* of the thread */
    pthread_t thread;
    bool has_thread;
    struct file_log log;
    uint64_t seq;
    char prev[SHA256_HEX];
    struct buf taken; size_t at;         /* lines, parted by newlines, and those that were written */
    struct buf line;
    /* between threads */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct buf waiting;
    uint64_t lost;                       /* since the last line that was written */
    bool failing, reopen, quit;
    double said;
    struct audit_counts counts;
};

/* ---- the file ---- */

static const char begin[] = "{\"seq\":";

/* Before the end of a file is looked at for a torn line: another file's is not to be cut off. */
static int check_begin(const char *path, struct err *err)
{
    struct stat st;
    struct file_map m;
    if (stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size)
        return 0;
    TRY(file_map_open(&m, path, err));
    const size_t n = m.size < sizeof begin - 1 ? m.size : sizeof begin - 1;
    const bool is_log = !memcmp(m.data, begin, n);
    file_map_close(&m);
    return is_log ? 0 : ERR(err, FORMAT, "%s is there and no audit log", path);
}

/* Made for its owner alone.  Two programs would each go on with a chain of their own. */
static int open_log(struct file_log *l, const char *path, struct err *err)
{
    const bool old = file_exists(path);
    TRY(check_begin(path, err));
    TRY(file_log_open(l, path, err));
    if (flock(l->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        file_log_close(l);
        return ERR(err, BUSY, "%s is written by another program: each server needs an audit log of its own", path);
    }
    if (!old && fchmod(l->fd, 0600))
        log_warn("%s: its mode could not be set", path);
    return 0;
}

static int go_on_behind(struct audit *a, const char *line, size_t n, struct err *err)
{
    const size_t k = sizeof begin - 1;
    /* Blanks in front of a number would be read over to behind the line, and of the file. */
    const bool good = n > k && !memcmp(line, begin, k) && line[k] >= '0' && line[k] <= '9';
    a->seq = good ? strtoull(line + k, NULL, 10) : UINT64_MAX;
    if (a->seq >= INT64_MAX)
        return ERR(err, FORMAT, "%s: its last line is none of an audit log", a->path);
    return sha256_of(line, n, a->prev, err);
}

static int find_end(struct audit *a, struct err *err)
{
    struct file_map m;
    memset(a->prev, '0', SHA256_HEX - 1);
    TRY(file_map_open(&m, a->path, err));
    const size_t end = m.size ? m.size - 1 : 0;              /* file_log_open() has left whole lines */
    const char *before = end ? memrchr(m.data, '\n', end) : NULL;
    const size_t from = before ? (size_t)(before - m.data) + 1 : 0;
    const int rc = end ? go_on_behind(a, m.data + from, end - from, err) : 0;
    file_map_close(&m);
    return rc;
}

static int write_line(struct audit *a, const char *members, size_t n, uint64_t lost, struct err *err)
{
    char hash[SHA256_HEX];
    buf_clear(&a->line);
    TRY(buf_printf(&a->line, err, "{\"seq\":%llu,\"prev\":\"%s\",", (unsigned long long)a->seq + 1, a->prev));
    TRY(lost ? buf_printf(&a->line, err, "\"lost\":%llu,", (unsigned long long)lost) : 0);
    TRY(buf_add(&a->line, members, n, err));
    TRY(buf_add_char(&a->line, '}', err));
    TRY(sha256_of(a->line.data, a->line.len, hash, err));
    TRY(file_log_line(&a->log, a->line.data, a->line.len, err));
    memcpy(a->prev, hash, sizeof hash);
    a->seq++;
    return 0;
}

/* ---- the thread ---- */

static bool was_moved(const struct audit *a)
{
    struct stat open, there;
    return fstat(a->log.fd, &open) || stat(a->path, &there) || open.st_dev != there.st_dev || open.st_ino != there.st_ino;
}

static void change_file(struct audit *a)
{
    struct file_log next;
    struct err err;
    if (!was_moved(a))
        return;
    if (open_log(&next, a->path, &err) < 0) {
        log_warn("audit log: %s; it goes on in the old file", err.msg);
        return;
    }
    file_log_close(&a->log);
    a->log = next;
}

static void note_failure(struct audit *a, const struct err *err)
{
    pthread_mutex_lock(&a->lock);
    if (!a->failing)
        log_warn("audit log: %s; it is tried again, lines wait in memory", err->msg);
    a->failing = true;
    pthread_mutex_unlock(&a->lock);
}

static void note_line(struct audit *a, uint64_t lost)
{
    pthread_mutex_lock(&a->lock);
    if (a->failing)
        log_warn("audit log: %s is written again, %llu lines were lost", a->path, (unsigned long long)lost);
    a->failing = false;
    a->lost -= lost, a->counts.n_written++;
    pthread_mutex_unlock(&a->lock);
}

/* false: the file does not take it. */
static bool write_taken(struct audit *a)
{
    struct err err;
    while (a->at < a->taken.len) {
        const char *line = a->taken.data + a->at, *end = memchr(line, '\n', a->taken.len - a->at);
        pthread_mutex_lock(&a->lock);
        const uint64_t lost = a->lost;
        pthread_mutex_unlock(&a->lock);
        if (write_line(a, line, (size_t)(end - line), lost, &err) < 0) {
            note_failure(a, &err);
            return false;
        }
        note_line(a, lost);
        a->at = (size_t)(end - a->taken.data) + 1;
    }
    buf_clear(&a->taken);
    a->at = 0;
    return true;
}

static bool nothing_new(const struct audit *a) { return !a->waiting.len && !a->reopen && !a->quit; }

/* With the lock held.  What was taken before is tried again after a while, or when there is another file. */
static void wait_for_work(struct audit *a, bool again)
{
    const struct timespec until = clock_in(RETRY_S);
    if (again)
        while (!a->reopen && !a->quit && pthread_cond_timedwait(&a->wake, &a->lock, &until) == 0)
            ;
    else
        while (nothing_new(a))
            pthread_cond_wait(&a->wake, &a->lock);
}

static void *write_all(void *ctx)
{
    struct audit *a = ctx;
    for (bool again = false, quit = false; !quit;) {
        pthread_mutex_lock(&a->lock);
        wait_for_work(a, again);
        const bool reopen = a->reopen;
        quit = a->quit, a->reopen = false;
        if (!a->taken.len) {
            const struct buf empty = a->taken;
            a->taken = a->waiting, a->waiting = empty;
        }
        pthread_mutex_unlock(&a->lock);
        if (reopen)
            change_file(a);
        again = !write_taken(a);
        pthread_mutex_lock(&a->lock);
        quit = quit && (again || !a->waiting.len);       /* what waited behind the lines that were taken comes last */
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* ---- any thread ---- */

void audit_add(struct audit *a, const char *members, size_t n)
{
    pthread_mutex_lock(&a->lock);
    const size_t before = a->waiting.len;
    const bool room = before + n < AUDIT_WAIT;
    if (!room || buf_add(&a->waiting, members, n, NULL) < 0 || buf_add_char(&a->waiting, '\n', NULL) < 0) {
        a->waiting.len = before;
        a->lost++, a->counts.n_lost++;
        if (clock_wall() - a->said > SAY_S) {
            a->said = clock_wall();
            log_warn("audit log: %s, a line is lost, %llu so far", room ? "no memory" : "too much waits to be written", (unsigned long long)a->counts.n_lost);
        }
    }
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void audit_reopen(struct audit *a)
{
    pthread_mutex_lock(&a->lock);
    a->reopen = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

bool audit_works(struct audit *a)
{
    pthread_mutex_lock(&a->lock);
    const bool works = !a->failing;
    pthread_mutex_unlock(&a->lock);
    return works;
}

struct audit_counts audit_counts(struct audit *a)
{
    pthread_mutex_lock(&a->lock);
    const struct audit_counts n = a->counts;
    pthread_mutex_unlock(&a->lock);
    return n;
}

/* ---- begin and end ---- */

static int start(struct audit *a, const char *path, struct err *err)
{
    if (!(a->path = mem_strdup(path)))
        return ERR(err, NOMEM, "no memory for the audit log");
    TRY(open_log(&a->log, path, err));
    TRY(find_end(a, err));
    if (pthread_create(&a->thread, NULL, write_all, a))
        return ERR(err, NOMEM, "cannot start a thread for the audit log");
    a->has_thread = true;
    return 0;
}

int audit_open(struct audit **out, const char *path, struct err *err)
{
    *out = NULL;
    struct audit *a = mem_alloc_zero(sizeof *a);
    if (!a)
        return ERR(err, NOMEM, "no memory for the audit log");
    a->log.fd = -1, a->said = -INFINITY;
    buf_init(&a->taken), buf_init(&a->line), buf_init(&a->waiting);
    pthread_mutex_init(&a->lock, NULL);
    clock_cond_init(&a->wake);
    const int rc = start(a, path, err);
    if (rc < 0)
        audit_close(a);
    else
        *out = a;
    return rc;
}

static int count_lines(const struct buf *b, size_t from)
{
    int n = 0;
    for (size_t i = from; i < b->len; i++)
        n += b->data[i] == '\n';
    return n;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    if (a->has_thread) {
        pthread_mutex_lock(&a->lock);
        a->quit = true;
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    const int left = count_lines(&a->taken, a->at) + count_lines(&a->waiting, 0);
    if (left || a->lost)
        log_warn("audit log: %llu lines of %s are lost", (unsigned long long)a->lost + (unsigned long long)left, a->path);
    file_log_close(&a->log);
    buf_release(&a->taken), buf_release(&a->line), buf_release(&a->waiting);
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->lock);
    mem_free(a->path);
    mem_free(a);
}

/* ---- reading ---- */

void audit_time(char out[32], double seconds)
{
    const time_t whole = (time_t)floor(seconds);
    struct tm t = { 0 };
    gmtime_r(&whole, &t);
    const size_t n = strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out + n, 32 - n, ".%03dZ", (int)((seconds - (double)whole) * 1000));
}

/* false: its time is before the day `least`. */
static bool read_line(const char *line, size_t n, const char *least, const char *day, audit_charge each, void *ctx)
{
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const char *time = json_string_value(json_object_get(o, "time")), *key = json_string_value(json_object_get(o, "key"));
    const int64_t requests = json_integer_value(json_object_get(o, "charged_requests")), tokens = json_integer_value(json_object_get(o, "charged_tokens"));
    const bool goes_on = !time || strncmp(time, least, 10) >= 0;
    if (time && !strncmp(time, day, 10) && key && requests >= 0 && requests <= 1 && tokens >= 0 && tokens <= CHARGE_MAX)
        each(ctx, key, requests, tokens);
    json_decref(o);
    return goes_on;
}

int audit_day(const char *path, double now, audit_charge each, void *ctx, struct err *err)
{
    struct file_map m;
    char day[32], least[32];
    audit_time(day, now);
    audit_time(least, now - 86400);              /* a request of yesterday may have ended after one of today */
    TRY(file_map_open(&m, path, err));
    for (size_t end = m.size; end > 1;) {
        const char *line_end = memrchr(m.data, '\n', end - 1);
        const size_t from = line_end ? (size_t)(line_end - m.data) + 1 : 0;
        const size_t n = end - from - (m.data[end - 1] == '\n');
        if (!read_line(m.data + from, n, least, day, each, ctx))
            break;
        end = from;
    }
    file_map_close(&m);
    return 0;
}
