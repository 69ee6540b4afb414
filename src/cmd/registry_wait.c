#include "cmd/registry_wait.h"
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/pool.h"
#include "base/tree.h"
#include "cmd/cmd.h"

#define EVERY_MS 25

struct waiting {
    struct registry *g;
    struct registry_release *r;
    int64_t number;
    const json_t *before;                /* rows as they were */
    bool settles;                        /* where nobody else does */
    json_t *servers;                     /* what is told in the end */
    int n_open, n_silent;                /* servers that are not done; of those that followed, who has said nothing since */
    const json_t *failed;                /* a row */
};

int registry_wait_begin(struct registry *g, const char *name, const char *alias, json_t **before, struct err *err)
{
    return registry_server_states(g, name, alias, before, err);
}

static bool is_there(const json_t *row)
{
    const char *state = tree_text_at(row, "state");
    return !strcmp(state, "loading") || !strcmp(state, "ready") || !strcmp(state, "serving");
}

static int64_t number_of(const json_t *row) { return json_integer_value(json_object_get(row, "number")); }
static bool is_of(const json_t *row, const char *server) { return !strcmp(tree_text_at(row, "server"), server); }

static const json_t *find(const json_t *rows, const char *server, int64_t number)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
        if (number_of(row) == number && is_of(row, server))
            return row;
    return NULL;
}

/* Something was said since: each telling has a time of its own. */
static bool is_new(const struct waiting *w, const json_t *row)
{
    const json_t *was = find(w->before, tree_text_at(row, "server"), number_of(row));
    return !was || strcmp(tree_text_at(was, "t"), tree_text_at(row, "t"));
}

static bool has_spoken(const struct waiting *w, const json_t *now, const char *server)
{
    size_t i;
    const json_t *row;
    json_array_foreach(now, i, row)
        if (is_of(row, server) && is_new(w, row))
            return true;
    return false;
}

/* The state that is waited for. */
static bool is_done(const struct waiting *w, const char *state)
{
    const struct registry_release *r = w->r;
    const bool answers = r->stable == w->number || release_splits(r->mode);
    return !strcmp(state, "serving") || (!answers && r->mode == RELEASE_SHADOW && !strcmp(state, "ready"));
}

static int note(struct waiting *w, const json_t *row, struct err *err)
{
    const char *server = tree_text_at(row, "server"), *state = tree_text_at(row, "state"), *message = tree_text_at(row, "message");
    size_t i;
    json_t *one = NULL;
    json_array_foreach(w->servers, i, one)
        if (is_of(one, server))
            break;
    if (i == json_array_size(w->servers) && json_array_append_new(w->servers, one = json_pack("{s:s, s:s}", "server", server, "state", "")))
        return ERR(err, NOMEM, "no memory to tell what servers do");
    if (strcmp(tree_text_at(one, "state"), state) || strcmp(tree_text_at(one, "message"), message)) {
        log_info("%s: version %lld is %s%s%s", server, (long long)w->number, state, *message ? ": " : "", message);
        if (json_object_set(one, "state", json_object_get(row, "state")) || json_object_set(one, "message", json_object_get(row, "message")))
            return ERR(err, NOMEM, "no memory to tell what servers do");
    }
    return 0;
}

static bool lives(const json_t *now, const char *server)
{
    size_t i;
    const json_t *row;
    json_array_foreach(now, i, row)
        if (is_of(row, server) && is_there(row))
            return true;
    return false;
}

/* A look at what all say now.  One that closed the version for the change before may say so after this one, and then loads it again. */
static int look(struct waiting *w, const json_t *now, struct err *err)
{
    size_t i;
    const json_t *row;
    w->n_open = w->n_silent = 0, w->failed = NULL;
    json_array_foreach(now, i, row) {
        if (number_of(row) != w->number || !is_new(w, row))
            continue;
        TRY(note(w, row, err));
        const char *state = tree_text_at(row, "state");
        if (!strcmp(state, "failed"))
            w->failed = row;
        else
            w->n_open += strcmp(state, "gone") ? !is_done(w, state) : lives(now, tree_text_at(row, "server"));
    }
    const char *last = "";
    json_array_foreach(w->before, i, row) {                  /* sorted by server */
        const char *server = tree_text_at(row, "server");
        if (!is_there(row) || !strcmp(server, last))
            continue;
        last = server;
        const json_t *of = find(now, server, w->number);
        const bool spoke = has_spoken(w, now, server);
        w->n_silent += !spoke;
        w->n_open += spoke && (!of || !is_new(w, of));        /* it has heard, and says nothing of this version yet */
    }
    return 0;
}

/* They say nothing though they were there: they went without a word. */
static int strike_out(struct waiting *w, const json_t *now, struct err *err)
{
    size_t i;
    const json_t *row;
    json_array_foreach(w->before, i, row) {
        const char *server = tree_text_at(row, "server");
        if (!is_there(row) || has_spoken(w, now, server))
            continue;
        log_warn("%s has said nothing for %.0f s: it is taken to be gone", server, REGISTRY_WAIT_HEARD_S);
        TRY(registry_server_state(w->g, server, w->r->name, w->r->alias, number_of(row), "gone", "it did not answer a change", err));
    }
    return 0;
}

/* Nobody is there to say that a candidate of mode green is ready. */
static int settle(struct waiting *w, struct err *err)
{
    const struct release_move m = { .name = w->r->name, .alias = w->r->alias, .number = w->number, .expect = w->r->seq };
    return registry_settle(w->g, &m, &(struct journal_by){ .actor = "lathe registry", .reason = "no server follows the alias" }, w->r, err);
}

static int refusal(const struct waiting *w, struct err *err)
{
    return ERR(err, UNSUPPORTED, "%s@%lld does not load at %s: %s", w->r->name, (long long)w->number, tree_text_at(w->failed, "server"), tree_text_at(w->failed, "message"));
}

/* 1: it is over. */
static int step(struct waiting *w, double since, struct err *err)
{
    json_t *now;
    const struct registry_release was = *w->r;
    TRY(registry_release_get(w->g, was.name, was.alias, w->r, err));
    TRY(registry_server_states(w->g, was.name, was.alias, &now, err));       /* who takes a candidate away has said why before */
    const bool waits = was.mode == RELEASE_GREEN && was.candidate == w->number;
    const bool settled = waits && w->r->stable == w->number;
    int rc = look(w, now, err);
    const bool heard = clock_wall() - since > REGISTRY_WAIT_HEARD_S;
    if (!rc && w->failed)
        rc = refusal(w, err);
    else if (!rc && waits && !settled && w->r->candidate != w->number)
        rc = ERR(err, BUSY, "version %lld is no candidate of %s@%s any more", (long long)w->number, was.name, was.alias);
    else if (!rc && !settled && w->r->seq != was.seq)
        rc = ERR(err, BUSY, "%s@%s was moved by another meanwhile", was.name, was.alias);
    if (!rc && w->n_silent && heard)
        rc = strike_out(w, now, err);
    if (!rc && !w->n_open && (!w->n_silent || heard))
        rc = settled || !waits ? 1 : json_array_size(w->servers) ? 0 : w->settles && settle(w, err) ? err->code : 1;
    json_decref(now);
    return rc;
}

int registry_wait(struct registry *g, struct registry_release *r, int64_t number, const struct registry_wait *o, json_t **servers, struct err *err)
{
    struct waiting w = { .g = g, .r = r, .number = number, .before = o->before, .settles = o->settles, .servers = *servers = json_array() };
    const double since = clock_wall();
    int rc = w.servers ? 0 : ERR(err, NOMEM, "no memory to tell what servers do");
    while (!rc && !(rc = step(&w, since, err))) {
        if (cmd_stop || clock_wall() - since > o->seconds)
            return ERR(err, BUSY, "after %.0f s %s@%s is not settled yet: servers go on without this command", clock_wall() - since, r->name, r->alias);
        nanosleep(&(struct timespec){ 0, EVERY_MS * 1000000L }, NULL);
    }
    return rc < 0 ? rc : 0;
}
