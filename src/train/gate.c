#include "train/gate.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

#define BUILD_MAX ((size_t)1 << 30)

/* DIR/SPLIT, DIR/tokens/SPLIT, or a file in it. */
int train_build_of(const char *path, json_t **build, struct err *err)
{
    char *folder = realpath(path, NULL);
    int rc = folder || errno != ENOMEM ? 0 : ERR(err, NOMEM, "no memory for a path");      /* one that is not there is told by who reads it */
    *build = NULL;
    for (int up = 0; folder && up < 3 && !*build && !rc; up++) {
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder)
            break;
        *slash = 0;
        char *file = file_join(folder, "build.json");
        rc = !file ? ERR(err, NOMEM, "no memory for a path") : file_exists(file) ? tree_load(build, file, BUILD_MAX, err) : 0;
        mem_free(file);
    }
    free(folder);
    return rc;
}

/* ---- verdicts ---- */

static const char *reason_of(const json_t *gate) { return json_string_value(json_object_get(json_object_get(gate, "override"), "reason")); }

static json_t *failed_of(const json_t *gate)
{
    json_t *list = json_array(), *check;
    size_t i;
    json_array_foreach(json_object_get(gate, "checks"), i, check)
        if (!json_is_true(json_object_get(check, "passed")))
            json_array_append(list, json_object_get(check, "check"));
    return list;
}

struct gates { const struct train_config *c; int (*verdict)(void *ctx, const char *path, const json_t *gate, struct err *err); void *ctx; };

static int of_build(const struct gates *g, const char *path, struct err *err)
{
    json_t *build;
    TRY(train_build_of(path, &build, err));
    const json_t *gate = json_object_get(build, "gate");
    const int rc = gate ? g->verdict(g->ctx, path, gate, err) : 0;
    json_decref(build);
    return rc;
}

static int of_audit(const struct gates *g, struct err *err)
{
    const char *dir = g->c->audit;
    json_t *report = NULL;
    char *file = dir ? file_join(dir, "report.json") : NULL;
    if (!dir)
        return 0;
    int rc = !file ? ERR(err, NOMEM, "no memory for a path") : tree_load(&report, file, BUILD_MAX, err);
    if (!rc && !json_object_get(report, "gate"))
        rc = ERR(err, USAGE, "data.audit: '%s' says nothing of a gate: lathe data gate %s --policy FILE makes one", file, dir);
    rc = rc ? rc : g->verdict(g->ctx, dir, json_object_get(report, "gate"), err);
    json_decref(report);
    mem_free(file);
    return rc;
}

static int each_verdict(const struct gates *g, struct err *err)
{
    const json_t *const lists[] = { g->c->train_paths, g->c->valid_paths };
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < json_array_size(lists[k]); i++)
            TRY(of_build(g, json_string_value(json_array_get(lists[k], i)), err));
    return of_audit(g, err);
}

/* ---- may it be? ---- */

struct check { const struct train_config *c; const char *where; bool tell; };

static void list_failed(const json_t *gate, char text[200])
{
    json_t *list = failed_of(gate), *word;
    size_t i, n = 0;
    text[0] = 0;
    json_array_foreach(list, i, word)
        if (json_is_string(word) && n < 120)
            n += (size_t)snprintf(text + n, 200 - n, "%s%.60s", n ? ", " : "", json_string_value(word));
    json_decref(list);
}

static int check_verdict(void *ctx, const char *path, const json_t *gate, struct err *err)
{
    const struct check *k = ctx;
    char failed[200];
    if (json_is_true(json_object_get(gate, "passed")))
        return 0;
    list_failed(gate, failed);
    const char *reason = k->c->override ? k->c->override : reason_of(gate);
    if (!reason)
        return ERR(err, GATE, "%s: the gate of the data in '%.150s' said no (%s); mend them, or say in data.override why they are used all the same", k->where, path, failed);
    if (k->tell)
        log_warn("the gate of the data in '%s' said no (%s); they are used because: %s", path, failed, reason);
    return 0;
}

int train_check_gates(const struct train_config *c, const char *where, bool tell, struct err *err)
{
    struct check k = { c, where, tell };
    const char *s = c->override;
    while (s && isspace((unsigned char)*s))
        s++;
    if (s && !*s)
        return ERR(err, USAGE, "%s: data.override needs a reason, which is kept in run.json", where);
    return each_verdict(&(struct gates){ c, check_verdict, &k }, err);
}

/* ---- what is kept ---- */

struct telling { const struct train_config *c; json_t *list; };

static int tell_verdict(void *ctx, const char *path, const json_t *gate, struct err *err)
{
    const struct telling *t = ctx;
    const bool passed = json_is_true(json_object_get(gate, "passed"));
    const char *reason = passed ? NULL : t->c->override ? t->c->override : reason_of(gate);
    json_t *o = json_pack("{s:s, s:O*, s:b, s:o, s:s*}", "path", path, "policy", json_object_get(gate, "policy"), "passed", passed, "failed", failed_of(gate), "override", reason);
    return json_array_append_new(t->list, o) ? ERR(err, NOMEM, "no memory to describe the run") : 0;
}

int train_gates_told(const struct train_config *c, json_t **out, struct err *err)
{
    const uint64_t refused = mem_json_refused();
    struct telling t = { c, json_array() };
    int rc = t.list ? each_verdict(&(struct gates){ c, tell_verdict, &t }, err) : ERR(err, NOMEM, "no memory to describe the run");
    if (!rc && refused != mem_json_refused())
        rc = ERR(err, NOMEM, "no memory to describe the run");
    *out = rc ? NULL : t.list;
    if (rc)
        json_decref(t.list);
    return rc;
}
