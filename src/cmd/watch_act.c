#include "cmd/watch_act.h"
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "store/release.h"
#include "watch/alert.h"

#define WATCH_KIND "watch"               /* of the evidence */

void watch_tell(const struct rule *rule, const struct watch_act *a)
{
    struct err err;
    if (rule->webhook && alert_webhook(rule->webhook, a->seen, &err) < 0)
        log_warn("%s", err.msg);
    if (rule->mail && alert_mail(rule->mail, a->because, a->because, &err) < 0)
        log_warn("%s", err.msg);
}

/* ---- evidence ---- */

static void add_figure(json_t *figures, const json_t *seen, const char *name)
{
    const json_t *v = json_object_get(seen, name);
    if (json_is_number(v))
        json_array_append_new(figures, json_pack("{s:s, s:s, s:f}", "name", name, "of", tree_text_at(seen, "signal"), "value", json_number_value(v)));
}

static char *evidence_text(const struct watch_act *a)
{
    json_t *figures = json_array();
    add_figure(figures, a->seen, "p"), add_figure(figures, a->seen, "effect"), add_figure(figures, a->seen, "answers");
    json_t *o = json_pack("{s:s, s:s, s:o, s:O}", "kind", WATCH_KIND, "because", a->because, "figures", figures, "seen", a->seen);
    char *text = tree_dumps(o, JSON_INDENT(1));
    json_decref(o);
    return text;
}

static int attach(struct registry *g, const struct registry_version *v, const struct watch_act *a, const struct journal_by *by, struct err *err)
{
    char id[BLOB_ID], *text = evidence_text(a);
    int rc = text ? blob_put(registry_folder(g), text, strlen(text), id, err) : ERR(err, NOMEM, "no memory for what was seen");
    json_t *kept = rc ? NULL : json_pack("[{s:s, s:I, s:s, s:s}]", "blob", id, "bytes", (json_int_t)strlen(text), "file", "watch.json", "kind", WATCH_KIND);
    if (!rc)
        rc = kept ? registry_attach(g, v, &(struct registry_addition){ .kept = kept }, by, err) : ERR(err, NOMEM, "no memory for what was seen");
    json_decref(kept);
    mem_free(text);
    return rc;
}

/* ---- moves ---- */

struct moving { const struct watch_act *a; bool back; };

/* How the version that is stable came to be so: by the newest record of the alias that changed it. */
static int is_there_by_rollback(struct registry *g, const struct registry_release *r, bool *out, struct err *err)
{
    enum { RECORDS = 1000 };
    json_t *list;
    const json_t *record;
    size_t i;
    *out = false;
    TRY(registry_history(g, r->name, RECORDS, &list, err));
    json_array_foreach(list, i, record)
        if (!strcmp(tree_text_at(record, "alias"), r->alias) && strcmp(tree_text_at(record, "root"), tree_text_at(record, "prev_root"))) {
            *out = !strcmp(tree_text_at(record, "action"), "rollback");
            break;
        }
    json_decref(list);
    return 0;
}

/* Requests that change for good would otherwise take it back from version to version. */
static int check_not_twice(struct registry *g, const struct registry_release *r, struct err *err)
{
    bool twice;
    TRY(is_there_by_rollback(g, r, &twice, err));
    return twice ? ERR(err, USAGE, "version %lld of %s@%s is there by a rollback; whether to go back further is for people to say (lathe registry rollback)", (long long)r->stable, r->name, r->alias) : 0;
}

/* Nobody has seen anything of versions that came meanwhile. */
static int check_same(const struct registry_release *r, const struct registry_release *seen, struct err *err)
{
    const bool same = !strcmp(r->stable_root, seen->stable_root) && !strcmp(r->candidate_root, seen->candidate_root);
    return same ? 0 : ERR(err, BUSY, "%s@%s was moved by another meanwhile (record %lld of the journal): what was seen is of versions that were there before", r->name, r->alias, (long long)r->seq);
}

/* First the move, which is what is urgent. */
static int move_release(struct registry *g, void *ctx, struct err *err)
{
    const struct moving *m = ctx;
    const struct watch_act *a = m->a;
    struct registry_release before, now;
    struct registry_version v;
    char actor[JOURNAL_TEXT_MAX], of[2 * REGISTRY_NAME];
    if (!*a->name)
        return ERR(err, USAGE, "what is watched is no name of a registry");
    snprintf(actor, sizeof actor, "lathe watch (%.900s)", cmd_registry_by().actor);
    const struct journal_by by = { .actor = actor, .reason = a->because };
    struct release_move move = { .name = a->name, .alias = *a->alias ? a->alias : WATCH_ALIAS };
    TRY(registry_release_get(g, move.name, move.alias, &before, err));
    if (a->release)
        TRY(check_same(&before, a->release, err));
    move.expect = before.seq;
    if (m->back && !before.candidate)
        TRY(check_not_twice(g, &before, err));
    TRY(m->back ? registry_rollback(g, &move, &by, &now, err) : registry_withdraw(g, &move, &by, &now, err));
    snprintf(of, sizeof of, "%s@%lld", a->name, (long long)(before.candidate ? before.candidate : before.stable));
    int rc = registry_find_text(g, of, &v, err);
    rc = rc ? rc : attach(g, &v, a, &by, err);
    if (rc)
        log_warn("%s: what was seen could not be kept as evidence: %s", of, err->msg);
    return 0;
}

/* A canary that was stopped is what a rollback would have stopped. */
bool watch_move(const struct rule *rule, const struct watch_act *a)
{
    struct err err;
    bool any = false;
    for (int back = 0; back < 2 && !any; back++) {
        struct moving m = { a, back };
        if (!(rule->todo & (back ? RULE_ROLLBACK : RULE_STOP_CANARY)))
            continue;
        if (cmd_registry_with(move_release, &m, &err) < 0)
            log_warn("%s: %s", back ? "rollback" : "stop_canary", err.msg);
        else
            any = true;
    }
    return any;
}
