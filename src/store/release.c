#include "store/release.h"
#include <assert.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/gate.h"
#include "store/registry_apply.h"

static const char *const modes[] = { "none", "shadow", "canary", "ab", "green" };
static_assert(sizeof modes / sizeof *modes == N_RELEASE_MODE, "a word for each mode");

const char *release_mode_name(enum release_mode mode) { return modes[mode]; }

bool release_splits(enum release_mode mode) { return mode == RELEASE_CANARY || mode == RELEASE_AB; }

bool release_mode_of(enum release_mode *out, const char *name)
{
    for (int i = 0; i < N_RELEASE_MODE; i++)
        if (!strcmp(name, modes[i])) {
            *out = (enum release_mode)i;
            return true;
        }
    return false;
}

/* ---- the state of an alias ---- */

/* What the tables say, with the versions that were stable before, the last one last: "1,2". */
struct state { struct registry_release r; char past[400]; };

static int64_t last_of(const char *past)
{
    const char *comma = strrchr(past, ',');
    return strtoll(comma ? comma + 1 : past, NULL, 10);
}

static int root_of(struct registry *g, const char *name, int64_t number, char root[SHA256_HEX], struct err *err)
{
    struct registry_version v;
    struct registry_ref ref = { .number = number };
    root[0] = 0;
    if (!number)
        return 0;
    snprintf(ref.name, sizeof ref.name, "%s", name);
    TRY(registry_find(g, &ref, &v, err));
    strcpy(root, v.root);
    return 0;
}

static int read_row(struct state *s, struct db_rows *r, struct err *err)
{
    s->r.stable = db_int(r, 0);
    snprintf(s->past, sizeof s->past, "%s", db_text(r, 1));
    s->r.candidate = db_int(r, 2);
    s->r.share = (int)db_int(r, 4);
    s->r.salt = strtoull(db_text(r, 5), NULL, 16);
    snprintf(s->r.t, sizeof s->r.t, "%s", db_text(r, 6));
    s->r.seq = db_int(r, 7);
    s->r.previous = last_of(s->past);
    return release_mode_of(&s->r.mode, db_text(r, 3)) ? 0 : ERR(err, CORRUPT, "%s@%s has the mode '%.40s'", s->r.name, s->r.alias, db_text(r, 3));
}

static int get(struct registry *g, const char *name, const char *alias, struct state *s, struct err *err)
{
    struct db_rows *r;
    *s = (struct state){ .past = "" };
    snprintf(s->r.name, sizeof s->r.name, "%s", name);
    snprintf(s->r.alias, sizeof s->r.alias, "%s", alias);
    TRY(db_query(&r, registry_db(g), "SELECT number, past, candidate, mode, share, salt, t, seq FROM alias WHERE name = $1 AND alias = $2",
                 DB_ARGS(DB_T(name), DB_T(alias)), err));
    int rc = db_next(r, err);
    if (rc == 1)
        rc = read_row(s, r, err);
    else if (!rc)
        rc = ERR(err, NOTFOUND, "'%.96s' has no alias '%.96s'", name, alias);
    db_rows_free(r);
    return rc;
}

static int add_roots(struct registry *g, struct registry_release *r, struct err *err)
{
    TRY(root_of(g, r->name, r->stable, r->stable_root, err));
    TRY(root_of(g, r->name, r->previous, r->previous_root, err));
    return root_of(g, r->name, r->candidate, r->candidate_root, err);
}

int registry_release_seq(struct registry *g, const char *name, const char *alias, int64_t *seq, struct err *err)
{
    TRY(db_query_int(seq, registry_db(g), 0, "SELECT seq FROM alias WHERE name = $1 AND alias = $2", DB_ARGS(DB_T(name), DB_T(alias)), err));
    return *seq ? 0 : ERR(err, NOTFOUND, "'%.96s' has no alias '%.96s'", name, alias);
}

/* By the record that made the release what it is. */
static int read_swap(struct registry *g, struct registry_release *r, struct err *err)
{
    json_t *record;
    const int rc = journal_get(&record, registry_db(g), r->seq, err);
    if (rc)
        return rc == ERR_NOTFOUND ? 0 : rc;
    r->swap = json_is_true(json_object_get(record, "swap")) || !strcmp(tree_text_at(record, "action"), "rollback");
    json_decref(record);
    return 0;
}

int registry_release_get(struct registry *g, const char *name, const char *alias, struct registry_release *out, struct err *err)
{
    struct state s;
    TRY(db_begin_read(registry_db(g), err));
    int rc = get(g, name, alias, &s, err);
    if (!rc)
        rc = add_roots(g, &s.r, err);
    if (!rc)
        rc = read_swap(g, &s.r, err);
    db_rollback(registry_db(g));
    if (!rc)
        *out = s.r;
    return rc;
}

/* ---- a move ---- */

struct move {
    struct registry *g;
    const struct release_move *m;
    const char *action;
    struct state now;                    /* stable 0: the alias is new */
    json_t *verdict;                     /* of gates; NULL: none was asked */
    bool overridden, remove;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to move an alias"); }

static int begin(struct move *v, struct err *err)
{
    const struct release_move *m = v->m;
    if (!registry_name_ok(m->name) || !registry_alias_ok(m->alias))
        return ERR(err, USAGE, "found '%.96s@%.96s', expected a name and an alias: letters, digits, '.', '_' and '-', an alias not digits alone", m->name,
                   m->alias);
    TRY(db_begin(registry_db(v->g), err));
    struct err none;
    int rc = get(v->g, m->name, m->alias, &v->now, &none);
    if (rc == ERR_NOTFOUND)
        rc = 0;
    else if (rc)
        *err = none;
    if (!rc && m->expect >= 0 && m->expect != v->now.r.seq)
        rc = ERR(err, BUSY, "%s@%s was moved by another meanwhile (record %lld of the journal, expected %lld)", m->name, m->alias, (long long)v->now.r.seq,
                 (long long)m->expect);
    return rc;
}

static int gates(struct move *v, const struct registry_version *version, struct err *err)
{
    TRY(gate_judge(v->g, version, v->m->alias, &v->verdict, err));
    if (!v->verdict || json_is_true(json_object_get(v->verdict, "passed")))
        return 0;
    v->overridden = v->m->override && *v->m->override;
    return v->overridden ? 0 : gate_refusal(v->verdict, err);
}

static int find_version(struct move *v, int64_t number, struct registry_version *out, struct err *err)
{
    struct registry_ref ref = { .number = number };
    snprintf(ref.name, sizeof ref.name, "%s", v->m->name);
    if (number < 1)
        return ERR(err, USAGE, "found version %lld, expected one from 1 on", (long long)number);
    return registry_find(v->g, &ref, out, err);
}

/* Its files must be there to be loaded: of each blob that it is there, with its size. */
static int files_are_there(struct registry *g, const struct registry_version *v, struct err *err)
{
    struct manifest m;
    TRY(registry_has_bytes(g, v, err));
    int rc = blob_stat(registry_folder(g), v->facts, BLOB_ANY_LENGTH, err);
    if (!rc)
        rc = registry_manifest(g, v, &m, err);
    if (rc)
        return err_context(err, "%s@%lld is not whole", v->name, (long long)v->number);
    for (int i = 0; i < m.n && !rc; i++)
        if ((rc = blob_stat(registry_folder(g), m.file[i].sha256, m.file[i].bytes, err)))
            rc = err_context(err, "%s@%lld is not whole: %.300s", v->name, (long long)v->number, m.file[i].name);
    manifest_release(&m);
    return rc;
}

/* number becomes stable, what was so is what a rollback goes to. */
static void make_stable(struct state *s, int64_t number)
{
    if (s->r.stable && s->r.stable != number) {
        char past[sizeof s->past + 24];
        snprintf(past, sizeof past, "%s%s%lld", s->past, *s->past ? "," : "", (long long)s->r.stable);
        const char *from = past;                      /* the oldest are forgotten */
        while (strlen(from) >= sizeof s->past)
            from = strchr(from, ',') + 1;
        strcpy(s->past, from);
    }
    s->r.stable = number, s->r.candidate = 0, s->r.mode = RELEASE_NONE, s->r.share = 0, s->r.salt = 0;
}

static int make_candidate(struct state *s, const struct release_move *m, struct err *err)
{
    if (!s->r.stable)
        return ERR(err, USAGE, "%s@%s has no version yet that a candidate could stand beside: promote one without a mode first", m->name, m->alias);
    if (s->r.stable == m->number)
        return ERR(err, USAGE, "%s@%s is version %lld already", m->name, m->alias, (long long)m->number);
    const bool shares = release_splits(m->mode);
    if (shares && (m->share < 1 || m->share >= RELEASE_ALL))
        return ERR(err, USAGE, "found a share of %d in 1,000, expected 1 to %d", m->share, RELEASE_ALL - 1);
    /* The same candidate keeps its salt, so that a larger share keeps those who are in it. */
    if (s->r.candidate != m->number || !s->r.salt)
        if (RAND_bytes((unsigned char *)&s->r.salt, sizeof s->r.salt) != 1)
            return ERR(err, IO, "the system gives no random numbers");
    s->r.candidate = m->number, s->r.mode = m->mode, s->r.share = shares ? m->share : 0;
    return 0;
}

/* The record of a move, with all of the state that it leads to. */
static json_t *record_of(const struct move *v, const struct registry_release *before)
{
    const struct registry_release *r = &v->now.r;
    char salt[20];
    snprintf(salt, sizeof salt, "%016llx", (unsigned long long)r->salt);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "action", v->remove ? "unalias" : v->action, "name", r->name, "alias", r->alias, "number",
                          (json_int_t)r->stable, "root", r->stable_root,
                          "prev_root", before->stable_root);
    int rc = o ? 0 : -1;
    if (!rc && !v->remove)
        rc = json_object_set_new(o, "release", json_pack("{s:I, s:s, s:I, s:s, s:s, s:i}", "candidate", (json_int_t)r->candidate, "mode",
                                                         release_mode_name(r->mode), "number", (json_int_t)r->stable,
                                                         "past", v->now.past, "salt", r->salt ? salt : "", "share", r->share));
    if (!rc && r->candidate)
        rc = json_object_set_new(o, "candidate_root", json_string(r->candidate_root));
    if (!rc && v->m->pushed)
        rc = json_object_set_new(o, "pushed", json_string(v->m->pushed));
    if (!rc && v->verdict)
        rc = json_object_set(o, "gates", v->verdict);
    if (!rc && v->m->swap)
        rc = json_object_set_new(o, "swap", json_true());
    if (!rc && v->overridden)
        rc = json_object_set_new(o, "override", json_string(v->m->override));
    if (!rc)
        return o;
    json_decref(o);
    return NULL;
}

static int write_move(struct move *v, const struct registry_release *before, const struct journal_by *by, struct err *err)
{
    struct journal_head head;
    v->now.r.previous = last_of(v->now.past);
    TRY(add_roots(v->g, &v->now.r, err));
    json_t *record = record_of(v, before);
    const int rc = record ? registry_write(registry_db(v->g), record, by, &head, err) : no_memory(err);
    json_decref(record);
    if (rc)
        return rc;
    v->now.r.seq = head.seq;
    strcpy(v->now.r.t, head.t);
    v->now.r.swap = v->m->swap;
    return 0;
}

/* change: what becomes of v->now, within the transaction. */
static int move(struct move *v, int (*change)(struct move *v, struct err *err), const struct journal_by *by, struct registry_release *out, json_t **verdict,
                struct err *err)
{
    if (verdict)
        *verdict = NULL;
    TRY(journal_by_check(by, err));
    TRY(journal_by_check(&(struct journal_by){ .reason = v->m->override }, err));
    if (v->m->override && !*v->m->override)
        return ERR(err, USAGE, "an override needs a reason");
    int rc = begin(v, err);
    struct registry_release before = v->now.r;
    if (!rc)
        rc = root_of(v->g, before.name, before.stable, before.stable_root, err);
    if (!rc)
        rc = change(v, err);
    if (!rc)
        rc = write_move(v, &before, by, err);
    if (!rc)
        rc = db_commit(registry_db(v->g), err);
    db_rollback(registry_db(v->g));
    if (!rc && out)
        *out = v->now.r;
    if (verdict)
        *verdict = v->verdict;
    else
        json_decref(v->verdict);
    return rc;
}

/* It would change nothing but take the candidate away, which nobody asked for. */
static int refuse_same(const struct move *v, struct err *err)
{
    const struct registry_release *r = &v->now.r;
    return r->stable != v->m->number || !r->candidate ? 0 : ERR(err, USAGE, "%s@%s is version %lld already, with version %lld beside it, which a rollback takes away", r->name,
                                                                  r->alias, (long long)r->stable, (long long)r->candidate);
}

static int change_promote(struct move *v, struct err *err)
{
    struct registry_version version;
    TRY(find_version(v, v->m->number, &version, err));
    TRY(files_are_there(v->g, &version, err));
    if (v->m->swap && v->m->mode != RELEASE_NONE && v->m->mode != RELEASE_GREEN)
        return ERR(err, USAGE, "a candidate of mode %s stands beside the version that is there, and does not take its place (swap)", release_mode_name(v->m->mode));
    if (v->m->mode == RELEASE_NONE) {
        TRY(refuse_same(v, err));
        make_stable(&v->now, v->m->number);
    } else
        TRY(make_candidate(&v->now, v->m, err));
    return gates(v, &version, err);
}

int registry_promote(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, json_t **verdict,
                     struct err *err)
{
    return move(&(struct move){ .g = g, .m = m, .action = "promote" }, change_promote, by, out, verdict, err);
}

static int change_alias(struct move *v, struct err *err)
{
    struct registry_version version;
    v->remove = !v->m->number;
    if (v->remove)
        return v->now.r.stable ? 0 : ERR(err, NOTFOUND, "'%s' has no alias '%s'", v->m->name, v->m->alias);
    TRY(find_version(v, v->m->number, &version, err));
    TRY(files_are_there(v->g, &version, err));
    TRY(refuse_same(v, err));
    make_stable(&v->now, v->m->number);
    return gates(v, &version, err);
}

int registry_alias(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, json_t **verdict,
                   struct err *err)
{
    return move(&(struct move){ .g = g, .m = m, .action = "alias" }, change_alias, by, out, verdict, err);
}

static int needs_candidate(const struct move *v, struct err *err)
{
    return v->now.r.candidate ? 0 : ERR(err, NOTFOUND, "%s@%s has no candidate", v->m->name, v->m->alias);
}

static int change_settle(struct move *v, struct err *err)
{
    TRY(needs_candidate(v, err));
    if (v->now.r.mode != RELEASE_GREEN)
        return ERR(err, USAGE, "the candidate of %s@%s is of mode %s: only one of mode green is settled", v->m->name, v->m->alias,
                   release_mode_name(v->now.r.mode));
    make_stable(&v->now, v->now.r.candidate);
    return 0;
}

int registry_settle(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, struct err *err)
{
    return move(&(struct move){ .g = g, .m = m, .action = "settle" }, change_settle, by, out, NULL, err);
}

static int change_withdraw(struct move *v, struct err *err)
{
    TRY(needs_candidate(v, err));
    make_stable(&v->now, v->now.r.stable);
    return 0;
}

int registry_withdraw(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, struct err *err)
{
    return move(&(struct move){ .g = g, .m = m, .action = "withdraw" }, change_withdraw, by, out, NULL, err);
}

static int change_rollback(struct move *v, struct err *err)
{
    struct state *s = &v->now;
    if (s->r.candidate) {
        make_stable(s, s->r.stable);
        return 0;
    }
    if (!s->r.stable)
        return ERR(err, NOTFOUND, "'%s' has no alias '%s'", v->m->name, v->m->alias);
    const int64_t back = last_of(s->past);
    if (!back)
        return ERR(err, NOTFOUND, "%s@%s is version %lld, and none was before it", v->m->name, v->m->alias, (long long)s->r.stable);
    struct registry_version version;
    TRY(find_version(v, back, &version, err));
    TRY(files_are_there(v->g, &version, err));
    char *comma = strrchr(s->past, ',');
    *(comma ? comma : s->past) = 0;
    s->r.stable = back;
    return 0;
}

int registry_rollback(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, struct err *err)
{
    return move(&(struct move){ .g = g, .m = m, .action = "rollback" }, change_rollback, by, out, NULL, err);
}
