/* cmd_registry_release.c - lathe registry alias, promote, rollback and policy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd_registry.h"
#include "cmd/registry_loads.h"
#include "cmd/registry_wait.h"
#include "store/gate_policy.h"
#include "store/release.h"

enum { POLICY_MAX = 1 << 20 };

static const char *alias = "production", *override;
#define OPT_ALIAS { OPT_STR, "alias", &alias, "<alias>", "which of its aliases", 0, 0 }
static int64_t wait_s = 600;
#define OPT_WAIT { OPT_INT, "wait", &wait_s, "<seconds>", "for what servers that follow the alias make of it, at most; 0: not at all", 0, 1000000000 }
#define OPT_OVERRIDE { OPT_STR, "override", &override, "<reason>", "why it goes on though the policy says no; kept in the journal", 0, 0 }

/* ---- telling ---- */

static json_t *release_json(const struct registry_release *r)
{
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:s, s:i, s:I, s:s}", "name", r->name, "alias", r->alias, "number", (json_int_t)r->stable, "root",
                          r->stable_root, "mode", release_mode_name(r->mode),
                          "share", r->share, "seq", (json_int_t)r->seq, "t", r->t);
    if (o && r->previous)
        json_object_set_new(o, "previous", json_integer(r->previous));
    if (o && r->candidate)
        json_object_set_new(o, "candidate", json_integer(r->candidate));
    return o;
}

static void print_checks(const json_t *verdict)
{
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(verdict, "checks"), i, c) {
        const json_t *found = json_object_get(c, "found");
        char *text = json_is_null(found) ? NULL : tree_dumps(found, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        printf("%-4s %s: found %s, expected %s", json_is_true(json_object_get(c, "passed")) ? "ok" : "no", tree_text_at(c, "check"), text ? text : "nothing",
               tree_text_at(c, "limit"));
        printf(*tree_text_at(c, "why") ? ", %s" : "%s", tree_text_at(c, "why"));
        printf(*tree_text_at(c, "evidence") ? ", evidence %.64s\n" : "%s\n", tree_text_at(c, "evidence"));
        mem_free(text);
    }
}

static void print_release(const struct registry_release *r)
{
    printf("%s@%s is version %lld", r->name, r->alias, (long long)r->stable);
    if (r->candidate)
        printf(", with version %lld beside it: %s", (long long)r->candidate, release_mode_name(r->mode));
    if (r->share)
        printf(", %g %% of users", 100.0 * r->share / RELEASE_ALL);
    printf(r->previous && !r->candidate ? "; before it %lld\n" : "\n", (long long)r->previous);
}

/* Takes verdict and servers (NULL: none).  rc: of the move. */
static int tell(int rc, const struct registry_release *r, json_t *verdict, json_t *servers, struct err *err)
{
    if (cmd_json && (!rc || rc == ERR_GATE)) {
        json_t *o = rc ? json_object() : release_json(r);
        if (o && verdict)
            json_object_set(o, "gates", verdict);
        if (o && json_array_size(servers))
            json_object_set(o, "servers", servers);
        const int printed = cmd_print_json(o, rc ? NULL : err);
        rc = rc ? rc : printed;
    } else if (!rc || rc == ERR_GATE) {
        print_checks(verdict);
        if (!rc && !json_is_true(json_object_get(verdict, "passed")) && verdict)
            log_warn("the policy said no, and was overridden");
        if (!rc)
            print_release(r);
    }
    json_decref(verdict);
    json_decref(servers);
    return rc;
}

/* What servers were doing before a change, and what comes of it. */
struct follow { json_t *before, *servers; };

static int follow_begin(struct follow *f, struct registry *g, const char *name, struct err *err)
{
    *f = (struct follow){ NULL, NULL };
    return wait_s ? registry_wait_begin(g, name, alias, &f->before, err) : 0;
}

/* rc: of the change.  Takes f->before. */
static int follow_end(struct follow *f, struct registry *g, int rc, struct registry_release *r, int64_t number, bool settles, struct err *err)
{
    if (!rc && wait_s) {
        cmd_catch_signals();
        rc = registry_wait(g, r, number, &(struct registry_wait){ f->before, (double)wait_s, settles }, &f->servers, err);
    }
    json_decref(f->before);
    f->before = NULL;
    return rc;
}

/* NAME@N: a version that is named, not one that an alias gives meanwhile. */
static int read_version(struct registry *g, const char *text, struct registry_version *v, struct err *err)
{
    if (!strchr(text, '@'))
        return ERR(err, USAGE, "found '%.200s', expected NAME@N or NAME@ALIAS", text);
    return registry_find_text(g, text, v, err);
}

/* ---- promote ---- */

static const char *canary, *ab;
static bool shadow, green, swap;

/* 10% or 0.5%, as thousandths. */
static int read_share(const char *name, const char *text, int *out, struct err *err)
{
    char *end;
    const double share = strtod(text, &end);
    *out = strcmp(end, "%") || end == text || !(share > 0 && share < 100) ? 0 : (int)lround(RELEASE_ALL / 100.0 * share);
    return *out >= 1 && *out < RELEASE_ALL ? 0 : ERR(err, USAGE, "--%s: found '%.40s', expected a share of users as 10%%, from 0.1%% to 99.9%%", name, text);
}

static int read_mode(struct release_move *m, struct err *err)
{
    if ((canary != NULL) + (ab != NULL) + shadow + green > 1)
        return ERR(err, USAGE, "expected one of --canary, --ab, --shadow and --green");
    m->mode = canary ? RELEASE_CANARY : ab ? RELEASE_AB : shadow ? RELEASE_SHADOW : green ? RELEASE_GREEN : RELEASE_NONE;
    if (canary)
        return read_share("canary", canary, &m->share, err);
    return ab ? read_share("ab", ab, &m->share, err) : 0;
}

static int promote(struct registry *g, void *ctx, struct err *err)
{
    struct registry_version v;
    struct registry_release r;
    json_t *verdict = NULL;
    struct follow f;
    const struct journal_by by = cmd_registry_by();
    TRY(read_version(g, ctx, &v, err));
    struct release_move m = { .name = v.name, .alias = alias, .number = v.number, .expect = -1, .swap = swap, .override = override };
    TRY(read_mode(&m, err));
    TRY(registry_loads(g, &v, err));
    TRY(registry_move_when_ready(g, &m, NULL, err));
    TRY(follow_begin(&f, g, v.name, err));
    int rc = registry_promote(g, &m, &by, &r, &verdict, err);
    rc = follow_end(&f, g, rc, &r, v.number, !green, err);
    return tell(rc, &r, verdict, f.servers, err);
}

#define PROMOTE_NICE 10         /* what is verified may be gigabytes, and a server that answers may be on this machine */

static int run_promote(const char *const *args, int n_args, struct err *err)
{
    (void)setpriority(PRIO_PROCESS, 0, PROMOTE_NICE);
    (void)n_args;
    return cmd_registry_with(promote, (void *)(uintptr_t)args[0], err);
}

static const struct opt promote_opts[] = {
    OPT_ALIAS,
    { OPT_STR, "canary", &canary, "<share>", "beside the version that is there, for a share of users, as 10%", 0, 0 },
    { OPT_STR, "ab", &ab, "<share>", "the same, as an experiment, as 50%", 0, 0 },
    { OPT_FLAG, "shadow", &shadow, NULL, "beside it, asked too and compared, never shown", 0, 0 },
    { OPT_FLAG, "green", &green, NULL, "beside it, and in its place when a server has it ready", 0, 0 },
    { OPT_FLAG, "swap", &swap, NULL, "where a server has no room for both: end the old one's texts, close it, load this one, while new requests wait", 0, 0 },
    OPT_WAIT, OPT_OVERRIDE, OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_promote = {
    "registry promote", "NAME@N", "move an alias to a version, or put the version beside it",
    TEXT("The alias, production unless --alias says another, is version N from now on.  With --canary, --ab, --shadow or --green it stays where it\n"
    "is, and N becomes its candidate; promoting the candidate without any of them makes it the alias's version.\n\n"
    "A version that would not load is refused: its files must be what their digests say, and a model with its tokenizer.  Where a server\n"
    "follows the alias (lathe serve NAME@ALIAS), the version is loaded beside the one that answers first, and the alias moves when it is ready; one\n"
    "that does not load there leaves the alias where it was.  The command waits for that and says what servers do; --wait 0 does not.  Where\n"
    "both do not fit into memory the server refuses with the sizes, and says how long the pause of --swap would be.\n\n"
    "Where the alias has a policy (lathe registry policy), each of its limits is held against the version's evidence.  One that is not kept, or\n"
    "was not measured, refuses the move with exit code 3 and names the evidence; --override REASON moves all the same, and the reason and\n"
    "the verdict stay in the journal."),
    promote_opts, run_promote, 1, 1,
};

/* ---- rollback ---- */

static int rollback(struct registry *g, void *ctx, struct err *err)
{
    struct registry_release r = { .stable = 0 };
    const struct journal_by by = cmd_registry_by();
    struct follow f;
    const struct release_move m = { .name = ctx, .alias = alias, .expect = -1 };
    TRY(follow_begin(&f, g, ctx, err));
    int rc = registry_rollback(g, &m, &by, &r, err);
    rc = follow_end(&f, g, rc, &r, r.stable, false, err);
    return tell(rc, &r, NULL, f.servers, err);
}

static int run_rollback(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    return cmd_reason && *cmd_reason ? cmd_registry_with(rollback, (void *)(uintptr_t)args[0], err) : ERR(err, USAGE, "a rollback needs --reason");
}

static const struct opt rollback_opts[] = { OPT_ALIAS, OPT_WAIT, OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST };
const struct command command_registry_rollback = {
    "registry rollback", "NAME", "take an alias back to what it was",
    TEXT("Where the alias has a candidate, that goes.  Else the alias becomes the version that it was before, and by the next rollback the one\n"
    "before that.  No gate is asked: what served before may serve again, also by a server that has no room for both and so has to pause (--swap\n"
    "of lathe registry promote).  --reason is needed."),
    rollback_opts, run_rollback, 1, 1,
};

/* ---- alias ---- */

static bool remove_it;
struct naming { const char *version, *alias; };

static int name_it(struct registry *g, void *ctx, struct err *err)
{
    const struct naming *n = ctx;
    struct registry_version v = { .number = 0 };
    struct registry_ref ref;
    struct registry_release r;
    json_t *verdict = NULL;
    const struct journal_by by = cmd_registry_by();
    if (remove_it)
        TRY(registry_ref_parse(&ref, n->version, err));
    else
        TRY(read_version(g, n->version, &v, err));
    const struct release_move m = { .name = remove_it ? ref.name : v.name, .alias = n->alias, .number = v.number, .expect = -1, .override = override };
    const int rc = registry_alias(g, &m, &by, &r, &verdict, err);
    if (!rc && remove_it) {
        json_decref(verdict);
        return cmd_json ? cmd_print_json(json_pack("{s:s, s:s, s:b}", "name", m.name, "alias", m.alias, "removed", 1), err) : 0;
    }
    return tell(rc, &r, verdict, NULL, err);
}

static int run_alias(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    return cmd_registry_with(name_it, &(struct naming){ args[0], args[1] }, err);
}

static const struct opt alias_opts[] = {
    { OPT_FLAG, "remove", &remove_it, NULL, "the alias goes; its history stays", 0, 0 },
    OPT_OVERRIDE, OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_alias = {
    "registry alias", "NAME@N ALIAS", "give a version a name that can move",
    TEXT("ALIAS has letters, digits, '.', '_' and '-', and is no number.  NAME@ALIAS is then this version, wherever a version or a MODEL is asked for.\n"
    "An alias has the history of all that it was, and a policy if it is given one, as production has: see lathe registry promote."),
    alias_opts, run_alias, 2, 2,
};

/* ---- policy ---- */

struct setting { const char *name, *file; };

static int show_policy(struct registry *g, const char *name, struct err *err)
{
    json_t *policy;
    char id[BLOB_ID];
    TRY(registry_policy_get(g, name, alias, &policy, id, err));
    if (!policy)
        return ERR(err, NOTFOUND, "%s@%s has no policy", name, alias);
    return cmd_print_json(policy, err);
}

/* A signer that is a path becomes what the file has: the policy is then whole. */
static int read_signers(json_t *policy, struct err *err)
{
    json_t *list = json_object_get(policy, "signers");
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const char *signer = json_string_value(json_array_get(list, i));
        struct buf text;
        if (!signer || strstr(signer, "-----BEGIN "))
            continue;
        buf_init(&text);
        rc = file_read(signer, POLICY_MAX, &text, err);
        if (!rc && json_array_set_new(list, i, json_stringn(text.data, text.len)))
            rc = ERR(err, FORMAT, "%.300s is no text", signer);
        buf_release(&text);
    }
    return rc;
}

static int load_policy(json_t **policy, const char *path, struct err *err)
{
    TRY(tree_load(policy, path, POLICY_MAX, err));
    int rc = read_signers(*policy, err);
    if (!rc)
        rc = gate_policy_check(*policy, path, err);
    if (rc) {
        json_decref(*policy);
        *policy = NULL;
    }
    return rc;
}

static int set_policy(struct registry *g, void *ctx, struct err *err)
{
    const struct setting *s = ctx;
    const struct journal_by by = cmd_registry_by();
    json_t *policy = NULL;
    if (!s->file && !remove_it)
        return show_policy(g, s->name, err);
    if (s->file)
        TRY(load_policy(&policy, s->file, err));
    const int rc = registry_policy_set(g, s->name, alias, policy, &by, err);
    json_decref(policy);
    return rc;
}

static int run_policy(const char *const *args, int n_args, struct err *err)
{
    if (remove_it && n_args == 2)
        return ERR(err, USAGE, "expected a FILE or --remove");
    return cmd_registry_with(set_policy, &(struct setting){ args[0], n_args == 2 ? args[1] : NULL }, err);
}

static const struct opt policy_opts[] = {
    OPT_ALIAS,
    { OPT_FLAG, "remove", &remove_it, NULL, "no policy from now on", 0, 0 },
    OPT_REASON, OPT_ACTOR, OPT_REGISTRY, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_policy = {
    "registry policy", "NAME [FILE]", "what must be known of a version before an alias may move to it",
    TEXT("FILE, YAML or JSON, is kept in the registry as the policy of an alias; without it the policy that is kept is printed.\n\n"
    "    id: p7\n"
    "    evaluation:                      # figures of evidence: FIGURE or FIGURE/OF; TASK/METRIC of results of tasks\n"
    "      mmlu/acc: {min: 0.70}\n"
    "      injection_success_rate: {max: 0.05}\n"
    "    compare: not worse               # the least verdict of lathe compare OLD THIS --json: better, not worse, underpowered\n"
    "    calibration: {ece: 0.05}         # at most\n"
    "    contamination: 0.01              # at most, of an evaluation set's items; in audits of the version and of all it comes from; data without one fails\n"
    "    pii_per_million: 50              # at most, in those audits\n"
    "    secrets: 0                       # at most, in those audits\n"
    "    licences: [Apache-2.0, MIT]      # the only ones of the version, where its file, card or LICENSE says one, and of the sources in those audits\n"
    "    signature: enforce               # off, warn or enforce: lathe sign's, or another's of OpenSSF Model Signing, by one of\n"
    "    signers: [release.pub]           # public keys, or certificates that the signing one must lead to (PEM)\n\n",
    "A key that is not there asks nothing.  Of several pieces of evidence the newest that has the figure counts; evidence of another model, by its\n"
    "digest, does not, nor does that of an evaluation or a comparison that was stopped before its end, or of one with --limit, which is of the\n"
    "first items alone (results say where a limit cut nothing: those count).  Of what came in one command the newest is that of the latest date in it, without one that of the last name.  What was not\n"
    "measured fails."),
    policy_opts, run_policy, 1, 2,
};
