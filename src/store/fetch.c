/* fetch.c - a job per request goes round WAITING -> RUNNING -> WAITING (another try) or DONE; curl's multi interface moves all
 * that run, in this thread.  A file's digest is kept over the tries of a run, so that no byte is read twice but those that an
 * earlier run left. */
#include "store/fetch.h"
#include <curl/curl.h>
#include <lathe.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"

#define PAUSE_S 0.25             /* before the second try; doubled for each further one */
#define PAUSE_S_MAX 30.0
#define SERVER_PAUSE_S_MAX 300   /* a Retry-After beyond is given to the user instead */
#define STALL_S 60L              /* seconds without a byte that end a try */
#define FRESH_START ((uint64_t)1 << 20)      /* a try that brought so much does not count as a bad one */

enum state { WAITING, RUNNING, DONE };
struct job {
    struct fetch *f;
    const struct fetch_opts *o;
    enum state state;
    int rc, n_bad;                         /* rc: of the sink, for this try */
    double retry_at;
    uint64_t from;                         /* bytes that were there when this try began */
    bool started;                          /* holds its place among n_job until it is done, also while it waits for a try */
    bool opened, old_bytes;                /* old_bytes: some are from an earlier run, perhaps not those that we think */
    bool begun, restart_next;              /* begun: this try's body has begun */
    bool ranged;                           /* this try's answer says which range it is, and it is the asked one */
    struct file_part part;
    struct sha256 sha256;
    struct sha1 sha1;
    char etag[200], etag_before[200];      /* of this answer, and of the one that the bytes before came from */
    char linked_etag[200];                 /* of the first answer, before redirects: the file's own digest */
    CURL *curl;
    struct curl_slist *headers;
    struct err err;
};

static bool stopped(const struct fetch_opts *o) { return o->stop && *o->stop; }

/* ---- the digest of a file ---- */

static bool by_git(const struct fetch_file *f) { return strlen(f->digest) == SHA1_HEX - 1; }

static void digest_drop(struct job *j)
{
    char hex[SHA256_HEX];
    if (j->sha256.ctx)
        sha256_end(&j->sha256, hex);
    if (j->sha1.ctx)
        sha1_end(&j->sha1, hex);
}

/* Git's name of a file is the SHA-1 of "blob SIZE", a NUL, and the contents. */
static int digest_begin(struct job *j, struct err *err)
{
    char head[40];
    digest_drop(j);
    TRY(sha256_init(&j->sha256, err));
    if (!by_git(j->f->file))
        return 0;
    TRY(sha1_init(&j->sha1, err));
    const int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)j->f->file->size);
    sha1_add(&j->sha1, head, (size_t)n + 1);
    return 0;
}

static void digest_add(struct job *j, const void *p, size_t n)
{
    sha256_add(&j->sha256, p, n);
    if (by_git(j->f->file))
        sha1_add(&j->sha1, p, n);
}

static int restart(struct job *j, struct err *err)
{
    TRY(file_part_restart(&j->part, err));
    j->from = j->f->file->here = 0;
    j->old_bytes = false;
    return digest_begin(j, err);
}

static int digest_old(struct job *j, struct err *err)
{
    struct file_map m;
    TRY(file_map_open(&m, j->f->file->part, err));
    int rc = 0;
    const size_t step = (size_t)16 << 20;
    for (size_t at = 0; !rc && at < m.size; at += step) {
        digest_add(j, m.data + at, m.size - at < step ? m.size - at : step);
        if (stopped(j->o))
            rc = ERR(err, STOPPED, "stopped");
    }
    file_map_close(&m);
    return rc;
}

static int open_part(struct job *j, struct err *err)
{
    struct fetch_file *f = j->f->file;
    if (j->opened)
        return 0;
    TRY(file_part_open(&j->part, f->part, err));
    j->opened = true;
    j->old_bytes = j->part.size > 0;
    if (j->part.size > f->size)
        return restart(j, err);
    f->here = j->part.size;
    TRY(digest_begin(j, err));
    return j->old_bytes ? digest_old(j, err) : 0;
}

static void close_part(struct job *j)
{
    if (j->opened)
        file_part_close(&j->part);
    j->opened = false;
    digest_drop(j);
}

/* All bytes are there.  1: they are wrong, but some were of an earlier run; the file begins again. */
static int finish_file(struct job *j, struct err *err)
{
    struct fetch_file *f = j->f->file;
    char git[SHA1_HEX] = "";
    sha256_end(&j->sha256, f->sha256);
    if (by_git(f))
        sha1_end(&j->sha1, git);
    const char *found = by_git(f) ? git : f->sha256;
    if (!strcmp(found, f->digest)) {
        j->opened = false;
        return file_part_commit(&j->part, f->path, err);
    }
    if (j->old_bytes) {
        TRY(restart(j, err));
        return 1;
    }
    struct err none;
    file_remove_tree(f->part, &none);
    return ERR(err, CORRUPT, "%s: %s of what came is %s, expected %s; it was removed", f->name, by_git(f) ? "git's SHA-1" : "the SHA-256", found, f->digest);
}

/* ---- headers ---- */

void fetch_copy_value(char *out, size_t size, const char *s, size_t n)
{
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    while (n && strchr(" \t", *s))
        s++, n--;
    snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), s);
}

/* W/"x" and "x" are x. */
static void copy_etag(char *out, size_t size, const char *s, size_t n)
{
    fetch_copy_value(out, size, s, n);
    char *from = out + (!strncmp(out, "W/", 2) ? 2 : 0);
    from += *from == '"';
    const size_t len = strcspn(from, "\"");
    memmove(out, from, len);
    out[len] = 0;
}

void fetch_link_next(const char *value, char *out, size_t size)
{
    *out = 0;
    while ((value = strchr(value, '<'))) {
        const char *end = strchr(value, '>');
        if (!end)
            return;
        const size_t n = strcspn(end, "<");
        const char *rel = strstr(end, "rel=\"next\"");
        if (!rel)
            rel = strstr(end, "rel=next");
        if (rel && rel < end + n && (size_t)(end - value - 1) < size) {
            snprintf(out, size, "%.*s", (int)(end - value - 1), value + 1);
            return;
        }
        value = end;
    }
}

/* "bytes 5-9/10": the first of the bytes asked for, of a file of the expected size. */
static bool range_is(const char *value, uint64_t from, uint64_t size)
{
    unsigned long long a, b, all;
    char star;
    if (sscanf(value, "bytes %llu-%llu/%llu", &a, &b, &all) == 3)
        return a == from && all == size;
    return sscanf(value, "bytes %llu-%llu/%c", &a, &b, &star) == 3 && star == '*' && a == from;
}

static size_t on_header(char *line, size_t one, size_t n, void *ctx)
{
    struct job *j = ctx;
    char value[1200];
    (void)one;
    if (n > 5 && !strncasecmp(line, "HTTP/", 5)) {           /* after a redirect: another answer begins */
        *j->etag = *j->f->next = 0;
        j->ranged = false;
        return n;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon)
        return n;
    const size_t key = (size_t)(colon - line), rest = n - key - 1;
#define IS(name) (key == sizeof(name) - 1 && !strncasecmp(line, name, key))
    if (IS("ETag")) {
        copy_etag(j->etag, sizeof j->etag, colon + 1, rest);
    } else if (IS("X-Linked-Etag")) {
        copy_etag(j->linked_etag, sizeof j->linked_etag, colon + 1, rest);
    } else if (IS("X-Error-Code")) {
        fetch_copy_value(j->f->error_code, sizeof j->f->error_code, colon + 1, rest);
        err_tidy(j->f->error_code);
    } else if (IS("X-Error-Message")) {
        fetch_copy_value(j->f->error_message, sizeof j->f->error_message, colon + 1, rest);
        err_tidy(j->f->error_message);
    } else if (IS("Content-Range")) {
        fetch_copy_value(value, sizeof value, colon + 1, rest);
        j->ranged = j->f->file && range_is(value, j->from, j->f->file->size);
    } else if (IS("Link")) {
        fetch_copy_value(value, sizeof value, colon + 1, rest);
        fetch_link_next(value, j->f->next, sizeof j->f->next);
    }
#undef IS
    return n;
}

/* ---- the body ---- */

/* Before the first byte: is it the byte that is wanted? */
static int begin_body(struct job *j, long status)
{
    struct fetch_file *f = j->f->file;
    j->begun = true;
    if (*j->linked_etag && !by_git(f) && strcmp(j->linked_etag, f->digest))
        return ERR(&j->err, CORRUPT, "%s: the hub offers a file with digest %.80s, its list says %s", f->name, j->linked_etag, f->digest);
    if (status == 200 && j->from)                            /* the server does not do ranges */
        TRY(restart(j, &j->err));
    if (status == 206 && !j->ranged)
        return ERR(&j->err, FORMAT, "%s: the server sent another range than the one asked for, from byte %llu on", f->name, (unsigned long long)j->from);
    if (status == 206 && *j->etag && *j->etag_before && strcmp(j->etag, j->etag_before)) {
        j->restart_next = true;                              /* other contents than before: not to be mixed */
        return ERR(&j->err, BUSY, "%s changed on the server", f->name);
    }
    snprintf(j->etag_before, sizeof j->etag_before, "%s", j->etag);
    return 0;
}

static int take(struct job *j, const char *p, size_t n, long status)
{
    struct fetch *f = j->f;
    if (!f->file) {
        if (f->body->len + n > f->body_max)
            return ERR(&j->err, RANGE, "%s: the answer has more than the %zu bytes that are accepted here", f->url, f->body_max);
        return buf_add(f->body, p, n, &j->err);
    }
    if (!j->begun)
        TRY(begin_body(j, status));
    if (j->part.size + n > f->file->size) {
        struct err none;
        file_remove_tree(f->file->part, &none);
        return ERR(&j->err, CORRUPT, "%s: more than the %llu bytes came that the hub's list says; it was removed", f->file->name, (unsigned long long)f->file->size);
    }
    TRY(file_part_add(&j->part, p, n, &j->err));
    digest_add(j, p, n);
    f->file->here = j->part.size;
    f->file->came += n;
    return 0;
}

static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
    struct job *j = ctx;
    long status = 0;
    (void)one;
    curl_easy_getinfo(j->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206)                      /* an error's page */
        return n;
    j->rc = take(j, p, n, status);
    return j->rc < 0 ? 0 : n;
}

/* ---- one try ---- */

static int add_header(struct job *j, const char *name, const char *value, struct err *err)
{
    char *line = mem_printf("%s: %s", name, value);
    struct curl_slist *more = line ? curl_slist_append(j->headers, line) : NULL;
    mem_free(line);
    if (!more)
        return ERR(err, NOMEM, "no memory for a request");
    j->headers = more;
    return 0;
}

/* An Authorization header that is given in this way is dropped by curl when a redirect leads to another host, port or scheme. */
static int set_request(struct job *j, struct err *err)
{
    char value[4200];
    if (j->o->token) {
        snprintf(value, sizeof value, "Bearer %s", j->o->token);
        TRY(add_header(j, "Authorization", value, err));
    } else if (j->o->authorization) {
        TRY(add_header(j, "Authorization", j->o->authorization, err));
    }
    if (j->from) {
        snprintf(value, sizeof value, "bytes=%llu-", (unsigned long long)j->from);
        TRY(add_header(j, "Range", value, err));
    }
    CURL *c = j->curl;
    const char *schemes = !strncasecmp(j->f->url, "https:", 6) ? "https" : "http,https";    /* never back to clear text */
    CURLcode bad = curl_easy_setopt(c, CURLOPT_URL, j->f->url);
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(c, (option), (value))
    SET(CURLOPT_PROTOCOLS_STR, schemes);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, schemes);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, 8L);
    SET(CURLOPT_USERAGENT, "lathe/" LATHE_VERSION);
    SET(CURLOPT_HTTPHEADER, j->headers);
    SET(CURLOPT_CONNECTTIMEOUT, 30L);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, STALL_S);
    SET(CURLOPT_BUFFERSIZE, 256L << 10);
    SET(CURLOPT_PRIVATE, (void *)j);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)j);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)j);
#undef SET
    return bad ? ERR(err, IO, "%s: %s", j->f->url, curl_easy_strerror(bad)) : 0;
}

static void end_try(struct job *j, CURLM *multi)
{
    if (j->curl) {
        curl_multi_remove_handle(multi, j->curl);
        curl_easy_cleanup(j->curl);
    }
    curl_slist_free_all(j->headers);
    j->curl = NULL, j->headers = NULL;
}

static int done(struct job *j)
{
    close_part(j);
    j->state = DONE;
    return 0;
}

static int start(struct job *j, CURLM *multi, struct err *err)
{
    struct fetch *f = j->f;
    if (f->file) {
        TRY(open_part(j, err));
        if (j->restart_next)
            TRY(restart(j, err));
        if (j->part.size == f->file->size && (j->old_bytes || !f->file->size)) {
            const int rc = finish_file(j, err);
            if (rc <= 0)
                return rc ? rc : done(j);
        }
        j->from = j->part.size;
    } else {
        buf_clear(f->body);
    }
    j->rc = 0;
    j->begun = j->restart_next = j->ranged = false;
    *j->etag = *j->linked_etag = *f->next = *f->error_code = *f->error_message = 0;
    f->status = 0;
    if (!(j->curl = curl_easy_init()))
        return ERR(err, NOMEM, "no memory for a request");
    TRY(set_request(j, err));
    if (curl_multi_add_handle(multi, j->curl))
        return ERR(err, NOMEM, "no memory for a request");
    j->state = RUNNING;
    return 0;
}

/* ---- after a try ---- */

static bool may_pass(CURLcode c)
{
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_CONNECT: case CURLE_OPERATION_TIMEDOUT: case CURLE_GOT_NOTHING: case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: case CURLE_PARTIAL_FILE: case CURLE_HTTP2: case CURLE_HTTP2_STREAM: case CURLE_SSL_CONNECT_ERROR:
        return true;
    default:
        return false;
    }
}

static bool status_may_pass(int status) { return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505); }

/* Another try after a pause, or the end of all tries. */
static int again(struct job *j, double pause, const char *what, struct err *err)
{
    const bool progress = j->f->file && j->f->file->here >= j->from + FRESH_START;
    j->n_bad = progress ? 0 : j->n_bad + 1;
    if (j->n_bad >= j->o->n_try)
        return ERR(err, IO, "%s: %s, %d time%s in a row", j->f->file ? j->f->file->name : j->f->url, what, j->n_bad, j->n_bad == 1 ? "" : "s");
    double own = PAUSE_S;
    for (int i = 1; i < j->n_bad && own < PAUSE_S_MAX; i++)
        own *= 2;
    j->retry_at = clock_wall() + (pause > own ? pause : own);
    j->state = WAITING;
    return 0;
}

static int failed_status(struct job *j, curl_off_t pause, struct err *err)
{
    char what[80];
    struct fetch *f = j->f;
    const char *name = f->file ? f->file->name : f->url;
    if (f->status == 416 && j->from) {                       /* there is nothing from there on: what we have is not of this file */
        j->restart_next = true;
        return again(j, 0, "the server has no such range (416)", err);
    }
    if (!status_may_pass(f->status))
        return f->status >= 400 ? ERR(err, NOTFOUND, "%s: HTTP status %d", name, f->status) : ERR(err, FORMAT, "%s: HTTP status %d, expected 200", name, f->status);
    if (pause > SERVER_PAUSE_S_MAX)
        return ERR(err, BUSY, "%s: the server asks to come again in %lld seconds (HTTP status %d)", name, (long long)pause, f->status);
    snprintf(what, sizeof what, "HTTP status %d", f->status);
    return again(j, (double)pause, what, err);
}

static int after_file(struct job *j, struct err *err)
{
    char what[100];
    const struct fetch_file *f = j->f->file;
    if (f->here < f->size) {
        snprintf(what, sizeof what, "the answer ended after %llu of %llu bytes", (unsigned long long)f->here, (unsigned long long)f->size);
        return again(j, 0, what, err);
    }
    const int rc = finish_file(j, err);
    return rc == 1 ? again(j, 0, "what an earlier run left was wrong", err) : rc ? rc : done(j);
}

static int after_try(struct job *j, CURLcode code, CURLM *multi, struct err *err)
{
    long status = 0;
    curl_off_t pause = 0;
    curl_easy_getinfo(j->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(j->curl, CURLINFO_RETRY_AFTER, &pause);
    j->f->status = (int)status;
    end_try(j, multi);
    if (j->rc < 0 && j->restart_next)
        return again(j, 0, j->err.msg, err);
    if (j->rc < 0) {
        if (err)
            *err = j->err;
        return j->rc;
    }
    if (code && may_pass(code))
        return again(j, 0, curl_easy_strerror(code), err);
    if (code)
        return ERR(err, IO, "%s: %s", j->f->file ? j->f->file->name : j->f->url, curl_easy_strerror(code));
    if (status != 200 && !(status == 206 && j->f->file))
        return failed_status(j, pause, err);
    return j->f->file ? after_file(j, err) : done(j);
}

/* ---- all of them ---- */

static int start_some(struct job *job, int n, int *n_busy, CURLM *multi, int *failed, struct err *err)
{
    const double now = clock_wall();
    for (int i = 0; i < n; i++) {
        if (job[i].state != WAITING || job[i].retry_at > now || (!job[i].started && *n_busy >= job->o->n_job))
            continue;
        *failed = i;
        *n_busy += !job[i].started;
        job[i].started = true;
        TRY(start(&job[i], multi, err));
        *n_busy -= job[i].state == DONE;
    }
    return 0;
}

static int end_some(struct job *job, int *n_busy, CURLM *multi, int *failed, struct err *err)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
        char *which = NULL;
        if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &which))
            continue;
        struct job *j = (struct job *)(void *)which;
        *failed = (int)(j - job);
        TRY(after_try(j, m->data.result, multi, err));
        *n_busy -= j->state == DONE;
    }
    return 0;
}

static bool all_done(const struct job *job, int n)
{
    for (int i = 0; i < n; i++)
        if (job[i].state != DONE)
            return false;
    return true;
}

static int run(struct job *job, int n, CURLM *multi, int *failed, struct err *err)
{
    int n_busy = 0, alive;
    double last = 0;
    for (;;) {
        if (stopped(job->o))
            return ERR(err, STOPPED, "stopped");
        TRY(start_some(job, n, &n_busy, multi, failed, err));
        if (curl_multi_perform(multi, &alive))
            return ERR(err, IO, "the network library failed");
        TRY(end_some(job, &n_busy, multi, failed, err));
        if (all_done(job, n))
            return 0;
        if (job->o->progress && clock_wall() - last > 0.2) {
            last = clock_wall();
            job->o->progress(job->o->ctx);
        }
        if (curl_multi_poll(multi, NULL, 0, 100, NULL))      /* ten times a second: is a pause over, was there a signal? */
            return ERR(err, IO, "the network library failed");
    }
}

int fetch_run(struct fetch *list, int n, const struct fetch_opts *o, int *failed, struct err *err)
{
    if (!n)
        return 0;
    struct job *job = mem_alloc_array((size_t)n, sizeof *job);
    CURLM *multi = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_multi_init();
    int which = 0;
    int rc = job && multi ? 0 : ERR(err, NOMEM, "no memory for %d requests", n);
    for (int i = 0; i < n && !rc; i++)
        job[i] = (struct job){ .f = &list[i], .o = o, .part.fd = -1 };
    if (!rc)
        rc = run(job, n, multi, failed ? failed : &which, err);
    for (int i = 0; job && i < n; i++) {
        end_try(&job[i], multi);
        close_part(&job[i]);
    }
    curl_multi_cleanup(multi);
    mem_free(job);
    return rc;
}
