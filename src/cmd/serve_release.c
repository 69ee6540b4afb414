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

struct serve_release {
    struct registry *g;                  /* NULL: it could not be read */
    struct registry_ref ref;
    char server[200];
    double tried;                        /* clock_wall() when it was opened last */
    int64_t seq;                         /* of what was told last; -1: nothing yet */
    int64_t candidate; bool green;       /* 0: none; it is settled when it is ready */
    struct { bool due, ready; double tried; char why[sizeof ((struct err *)0)->msg]; } verdict;      /* of the candidate, still to be written: it is ready, or why it is not */
    struct arms_wanted last;             /* what was told last: files that were found then are not looked at again */
};

bool serve_release_is(const char *text)
{
    struct registry_ref ref;
    struct err none;
    return strchr(text, '@') && !file_exists(text) && registry_ref_parse(&ref, text, &none) == 0;
}

const char *serve_release_name(const struct serve_release *r) { return r->ref.name; }

int serve_release_open(struct serve_release **out, const char *text, const char *server, struct err *err)
{
    struct serve_release *r = *out = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory for a release");
    r->seq = -1;
    snprintf(r->server, sizeof r->server, "%s", server);
    int rc = registry_ref_parse(&r->ref, text, err);
    rc = rc ? rc : cmd_registry_open(&r->g, false, err);
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

static void told(void *ctx, const struct arms_version *v, const char *state, const char *message)
{
    struct serve_release *r = ctx;
    struct err err;
    char line[sizeof err.msg];
    if (r->ref.number)
        return;
    snprintf(line, sizeof line, "%s", message);
    for (char *p = line; *p; p++)
        *p = (unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p;
    if (r->g && registry_server_state(r->g, r->server, r->ref.name, r->ref.alias, v->number, state, line, &err) < 0)
        log_warn("%s@%s: what this server does is not written: %s", r->ref.name, r->ref.alias, err.msg);
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

/* Where its files are; one that cannot be had, or whose signature does not hold, is told, and none. */
static bool find_path(struct serve_release *r, int64_t number, struct arms_version *out)
{
    struct registry_ref ref = r->ref;
    struct registry_version v;
    struct err err;
    char *path = NULL;
    *out = (struct arms_version){ .number = number };
    if (!number)
        return true;
    if (known(r, number)) {
        *out = *known(r, number);
        return true;
    }
    ref.number = number, ref.alias[0] = 0;
    int rc = registry_find(r->g, &ref, &v, &err);
    rc = rc ? rc : registry_path(r->g, &v, &path, &err);
    rc = rc ? rc : cmd_check_signature(path, &err);
    if (!rc && strlen(path) >= sizeof out->path)
        rc = ERR(&err, RANGE, "its path has %zu bytes, expected less than %d", strlen(path), ARMS_PATH);
    if (!rc) {
        memcpy(out->root, v.root, sizeof out->root);
        memcpy(out->path, path, strlen(path) + 1);
    } else {
        log_warn("%s@%lld: %s", r->ref.name, (long long)number, err.msg);
        told(r, out, "failed", err.msg);
        *out = (struct arms_version){ 0 };
    }
    mem_free(path);
    return !rc;
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
    return cmd_registry_open(&r->g, false, err);
}

static int wanted(void *ctx, struct arms_wanted *out, struct err *err)
{
    struct serve_release *r = ctx;
    struct registry_release now;
    if (!r->g)
        TRY(open_again(r, err));
    const int rc = read_release(r, &now, err);
    if (rc < 0) {
        if (rc != ERR_BUSY && rc != ERR_NOTFOUND) {
            registry_close(r->g);
            r->g = NULL;
        }
        return rc;
    }
    if (now.seq == r->seq) {
        if (r->verdict.due && clock_wall() - r->verdict.tried > AGAIN_S)
            settle(r);
        return 0;
    }
    const bool first = r->seq < 0;
    r->seq = now.seq, r->candidate = now.candidate, r->green = now.mode == RELEASE_GREEN, r->verdict.due = false;
    *out = (struct arms_wanted){ .mode = now.mode, .share = now.share, .swap = now.swap, .salt = now.salt, .seq = now.seq };
    if (!find_path(r, now.stable, &out->stable) && first)
        return ERR(err, NOTFOUND, "%s@%lld, which is %s, cannot be had", r->ref.name, (long long)now.stable, r->ref.alias);
    if (!out->stable.number)
        out->stable = r->last.stable;
    find_path(r, now.candidate, &out->candidate);
    find_path(r, now.previous, &out->previous);
    r->last = *out;
    return 1;
}

struct arms_source serve_release_source(struct serve_release *r) { return (struct arms_source){ wanted, told, r }; }
