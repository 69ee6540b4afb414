/* release.h - which version an alias gives: stable, and perhaps a candidate beside it; moved forward, back, and read by servers.
 *
 *   none      the stable version alone answers
 *   shadow    the candidate is asked too, its answers are compared and never shown
 *   canary    `share` of the users get the candidate
 *   ab        the same, as an experiment: until someone decides
 *   green     the candidate is loaded beside the stable one and takes all at once when it is ready; the server then settles it
 *
 * Who polls registry_release_get() sees a new seq after each change.  Moves are by compare-and-set: expect is the seq that the caller saw, -1
 * any; ERR_BUSY where another was faster. */
#ifndef STORE_RELEASE_H
#define STORE_RELEASE_H
#include "store/registry.h"

enum release_mode { RELEASE_NONE, RELEASE_SHADOW, RELEASE_CANARY, RELEASE_AB, RELEASE_GREEN, N_RELEASE_MODE };
const char *release_mode_name(enum release_mode mode);
bool release_mode_of(enum release_mode *out, const char *name);
/* Canary and ab: a share of the users gets the candidate, so many of RELEASE_ALL (thousandths), neither none nor all. */
#define RELEASE_ALL 1000
bool release_splits(enum release_mode mode);

struct registry_release {
    char name[REGISTRY_NAME], alias[REGISTRY_NAME];
    int64_t stable, previous, candidate;                 /* numbers; previous, candidate: 0 where there is none */
    char stable_root[SHA256_HEX], previous_root[SHA256_HEX], candidate_root[SHA256_HEX];
    enum release_mode mode;
    int share;                                           /* of users for the candidate, in thousandths */
    bool swap;                                           /* the version that comes may take the place of the other where there is no room for both: it was promoted so, or this is a rollback */
    uint64_t salt;                                       /* of whose share a user is in; another for each candidate */
    int64_t seq;                                         /* of the journal's record that made it so */
    char t[WHEN_TEXT];
};
/* The seq alone, for who looks often.  ERR_NOTFOUND, here and below: there is no such alias. */
int registry_release_seq(struct registry *g, const char *name, const char *alias, int64_t *seq, struct err *err);
int registry_release_get(struct registry *g, const char *name, const char *alias, struct registry_release *out, struct err *err);

struct release_move {
    const char *name, *alias;
    int64_t number;                                      /* promote: the version */
    enum release_mode mode;
    int share;                                           /* where the mode splits: 1 to RELEASE_ALL - 1 */
    bool swap;                                           /* none, green: servers without room for both end the old one's texts and close it first */
    int64_t expect;
    const char *pushed;                                  /* alias: the SHA-256 of the manifest that was pushed under it (oci.h), for the record; NULL */
    const char *override;                                /* why it goes on though gates say no; NULL: it does not */
};
/* NONE: number becomes stable (with a candidate beside it ERR_USAGE where it is so already).  Else it becomes the candidate (beside a stable one: ERR_USAGE where the alias has none yet).  The
 * version's files must be there, each with its size: ERR_NOTFOUND, ERR_CORRUPT.  The
 * gates of the alias's policy are asked (gate.h): ERR_GATE, naming each that said no; *verdict (may be NULL) has what all said, the caller's. */
int registry_promote(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, json_t **verdict, struct err *err);
/* The candidate of mode green becomes stable: its server has it ready. */
int registry_settle(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, struct err *err);
/* The candidate goes, whatever its mode: it did not load, or what was watched says no. */
int registry_withdraw(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, struct err *err);
/* With a candidate: it goes.  Else the version that was stable before becomes so again; ERR_NOTFOUND where there was none.  No gate is asked, but
 * its files must be there. */
int registry_rollback(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, struct err *err);
/* Only names: no server needs it.  Gates are asked where the alias has a policy.  number 0 removes it. */
int registry_alias(struct registry *g, const struct release_move *m, const struct journal_by *by, struct registry_release *out, json_t **verdict, struct err *err);

/* ---- what servers do ---- */

/* state: "loading", "ready", "serving", "failed", "gone"; message: why.  Kept as the last that the server said of this version; no record of the
 * journal. */
int registry_server_state(struct registry *g, const char *server, const char *name, const char *alias, int64_t number, const char *state, const char *message, struct err *err);
/* [{ server, number, state, message, t }] of an alias.  t is another after each change of the release that the server has seen. */
int registry_server_states(struct registry *g, const char *name, const char *alias, json_t **out, struct err *err);
/* Where m would move the alias at once though a server follows it that does not have the version ready, it becomes a candidate of mode green:
 * the alias then moves when the version is ready, and stays where it is when it does not load.  server: this one alone counts; NULL: all that
 * said something and not that they are gone. */
int registry_move_when_ready(struct registry *g, struct release_move *m, const char *server, struct err *err);

/* ---- what was served ---- */

/* At a moment (INT64_MAX: as it is now, also where a clock was ahead when that was written): [{ name, alias, number, root, candidate, mode, share, since, seq, actor, reason }], of one name and alias or, NULL, of all. */
int registry_served_at(struct registry *g, int64_t ns, const char *name, const char *alias, json_t **out, struct err *err);
#endif
