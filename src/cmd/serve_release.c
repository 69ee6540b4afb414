#include "cmd/serve_release.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cmd/cmd_registry.h"
#include "cmd/signature.h"

#define AGAIN_S 1.0
#define PATIENCE_S 15.0          /* with a database that says nothing; longer than a writer waits for others */
enum { UNTOLD = 3 * ARMS_MAX };

/* What was said of a version, and could not be written yet. */
struct untold { int64_t number; char state[16], message[sizeof ((struct err *)0)->msg]; };

struct serve_release {
    struct registry *g;                  /* NULL: it could not be read */
    struct registry_ref ref;
    char server[200];
    double tried;                        /* clock_wall() when it was opened last */
    int64_t seq;                         /* of what was told last; -1: nothing yet */
    int64_t candidate; bool green;       /* 0: none; it is settled when it is ready */
    struct { bool due, ready; double tried; char why[sizeof ((struct err *)0)->msg]; } verdict;      /* of the candidate, still to be written: it is ready, or why it is not */
    struct untold untold[UNTOLD]; int n_untold; double told;      /* the oldest first; clock_wall() when writing was tried last */
    struct arms_wanted last;             /* what was told last: files that were found then are not looked at again */
};

bool serve_release_is(const char *text)
{
    struct registry_ref ref;
    struct err none;
    return strchr(text, '@') && !file_exists(text) && registry_ref_parse(&ref, text, &none) == 0;
}

const char *serve_release_name(const struct serve_release *r) { return r->ref.name; }

static int open_registry(struct serve_release *r, struct err *err)
{
    TRY(cmd_registry_open(&r->g, false, err));
    db_patience(registry_db(r->g), PATIENCE_S);
    return 0;
}

int serve_release_open(struct serve_release **out, const char *text, const char *server, struct err *err)
{
    struct serve_release *r = *out = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory for a release");
    r->seq = -1;
    snprintf(r->server, sizeof r->server, "%s", server);
    int rc = registry_ref_parse(&r->ref, text, err);
    rc = rc ? rc : open_registry(r, err);
    if (rc) {
        serve_release_close(r);
        *out = NULL;
    }
    return rc;
}

void serve_release_close(struct serve_release *r)
{
    if (!r)
        return;
    registry_close(r->g);
    mem_free(r);
}

/* ---- what the server does ---- */

/* The candidate is ready, and becomes stable; or it did not load, and goes. */
static void settle(struct serve_release *r)
{
    struct registry_release now;
    struct err err;
    char why[80 + sizeof r->verdict.why];
    const struct release_move m = { .name = r->ref.name, .alias = r->ref.alias, .number = r->candidate, .expect = r->seq };
    snprintf(why, sizeof why, r->verdict.ready ? "it is ready" : "version %lld does not load: %s", (long long)r->candidate, r->verdict.why);
    const struct journal_by by = { .actor = r->server, .reason = why };
    const int rc = r->verdict.ready ? registry_settle(r->g, &m, &by, &now, &err) : registry_withdraw(r->g, &m, &by, &now, &err);
    r->verdict.due = rc == ERR_BUSY || rc == ERR_IO || rc == ERR_NOMEM;
    r->verdict.tried = clock_wall();
    if (!rc)
        r->candidate = 0;
    if (rc)
        log_warn("%s@%s: %s", r->ref.name, r->ref.alias, err.msg);
}

/* The last word of each version, for when it can be written. */
static void keep_untold(struct serve_release *r, int64_t number, const char *state, const char *message)
{
    int i = 0;
    while (i < r->n_untold && r->untold[i].number != number)
        i++;
    if (i == r->n_untold && i == UNTOLD)
        i = 0;
    if (i < r->n_untold)
        memmove(r->untold + i, r->untold + i + 1, (size_t)(--r->n_untold - i) * sizeof *r->untold);
    struct untold *u = &r->untold[r->n_untold++];
    u->number = number;
    snprintf(u->state, sizeof u->state, "%s", state);
    snprintf(u->message, sizeof u->message, "%s", message);
}

static void write_untold(struct serve_release *r)
{
    struct err err;
    int n = 0, rc = 0;
    r->told = clock_wall();
    while (r->g && n < r->n_untold && !rc) {
        const struct untold *u = &r->untold[n];
        rc = registry_server_state(r->g, r->server, r->ref.name, r->ref.alias, u->number, u->state, u->message, &err);
        n += !rc;
    }
    if (rc)
        log_warn("%s@%s: what this server does is not written yet: %s", r->ref.name, r->ref.alias, err.msg);
    r->n_untold -= n;
    memmove(r->untold, r->untold + n, (size_t)r->n_untold * sizeof *r->untold);
}

static void told(void *ctx, const struct arms_version *v, const char *state, const char *message)
{
    struct serve_release *r = ctx;
    char line[sizeof ((struct err *)0)->msg];
    if (r->ref.number)
        return;
    snprintf(line, sizeof line, "%s", message);
    for (char *p = line; *p; p++)
        *p = (unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p;
    keep_untold(r, v->number, state, line);
    write_untold(r);
    const bool failed = !strcmp(state, "failed");
    if (v->number != r->candidate || (!failed && !(r->green && (!strcmp(state, "ready") || !strcmp(state, "serving")))))
        return;
    r->verdict.due = true, r->verdict.ready = !failed;
    memcpy(r->verdict.why, line, sizeof line);
    if (r->g)
        settle(r);
}

/* ---- what is wanted ---- */

static const struct arms_version *known(const struct serve_release *r, int64_t number)
{
    const struct arms_version *last[] = { &r->last.stable, &r->last.candidate, &r->last.previous };
    for (int i = 0; i < 3; i++)
        if (last[i]->number == number)
            return last[i];
    return NULL;
}

static int look_up(struct serve_release *r, int64_t number, struct arms_version *out, struct err *err)
{
    struct registry_ref ref = r->ref;
    struct registry_version v;
    char *path = NULL;
    ref.number = number, ref.alias[0] = 0;
    TRY(registry_find(r->g, &ref, &v, err));
    TRY(registry_path(r->g, &v, &path, err));
    int rc = 0;
    if (strlen(path) >= sizeof out->path)
        rc = ERR(err, RANGE, "its path has %zu bytes, expected less than %d", strlen(path), ARMS_PATH);
    if (!rc) {
        memcpy(out->root, v.root, sizeof out->root);
        memcpy(out->path, path, strlen(path) + 1);
        out->number = number;
    }
    mem_free(path);
    return rc;
}

static bool may_pass(int rc) { return rc == ERR_IO || rc == ERR_BUSY || rc == ERR_NOMEM; }

/* Where its files are; one that cannot be had is told, and none (out->number 0).  < 0: the registry cannot be asked now, of
 * which the version is not guilty: whether it can is seen by asking for what could be read before. */
static int find_path(struct serve_release *r, int64_t number, struct arms_version *out, struct err *err)
{
    int64_t seq;
    *out = (struct arms_version){ .number = 0 };
    if (!number)
        return 0;
    if (known(r, number)) {
        *out = *known(r, number);
        return 0;
    }
    int rc = look_up(r, number, out, err);
    if (may_pass(rc) && !r->ref.number) {
        if (rc != ERR_IO)
            return rc;
        TRY(registry_release_seq(r->g, r->ref.name, r->ref.alias, &seq, err));
        rc = look_up(r, number, out, err);           /* the connection may have been made again */
    }
    if (rc) {
        *out = (struct arms_version){ .number = number };
        log_warn("%s@%lld: %s", r->ref.name, (long long)number, err->msg);
        told(r, out, "failed", err->msg);
        *out = (struct arms_version){ .number = 0 };
    }
    return 0;
}

/* Where it is another than was told last; else its seq alone. */
static int read_release(struct serve_release *r, struct registry_release *now, struct err *err)
{
    *now = (struct registry_release){ .stable = r->ref.number };
    if (r->ref.number)
        return 0;
    TRY(registry_release_seq(r->g, r->ref.name, r->ref.alias, &now->seq, err));
    return now->seq == r->seq ? 0 : registry_release_get(r->g, r->ref.name, r->ref.alias, now, err);
}

static int open_again(struct serve_release *r, struct err *err)
{
    if (clock_wall() - r->tried < AGAIN_S)
        return ERR(err, IO, "it could not be opened");
    r->tried = clock_wall();
    return open_registry(r, err);
}

/* What a release wants, as arms take it. */
static int tell_release(struct serve_release *r, const struct registry_release *now, struct arms_wanted *out, struct err *err)
{
    const bool first = r->seq < 0;
    r->seq = now->seq, r->candidate = now->candidate, r->green = now->mode == RELEASE_GREEN, r->verdict.due = false;
    *out = (struct arms_wanted){ .mode = now->mode, .share = now->share, .swap = now->swap, .salt = now->salt, .seq = now->seq };
    TRY(find_path(r, now->stable, &out->stable, err));
    if (!out->stable.number && first)
        return ERR(err, NOTFOUND, "%s@%lld, which is %s, cannot be had", r->ref.name, (long long)now->stable, r->ref.alias);
    if (!out->stable.number)
        out->stable = r->last.stable;
    TRY(find_path(r, now->candidate, &out->candidate, err));
    TRY(find_path(r, now->previous, &out->previous, err));
    r->last = *out;
    return 1;
}

static int ask(struct serve_release *r, struct arms_wanted *out, struct err *err)
{
    struct registry_release now;
    const int64_t before = r->seq;
    TRY(read_release(r, &now, err));
    if (r->n_untold && clock_wall() - r->told > AGAIN_S)
        write_untold(r);
    if (now.seq == r->seq) {
        if (r->verdict.due && clock_wall() - r->verdict.tried > AGAIN_S)
            settle(r);
        return 0;
    }
    const int rc = tell_release(r, &now, out, err);
    if (rc < 0)
        r->seq = before;                             /* all of it again */
    return rc;
}

static int wanted(void *ctx, struct arms_wanted *out, struct err *err)
{
    struct serve_release *r = ctx;
    if (!r->g)
        TRY(open_again(r, err));
    const int rc = ask(r, out, err);
    if (rc < 0 && rc != ERR_BUSY && rc != ERR_NOTFOUND) {
        registry_close(r->g);
        r->g = NULL;
    }
    return rc;
}

struct arms_source serve_release_source(struct serve_release *r) { return (struct arms_source){ wanted, told, r, cmd_check_signature }; }
