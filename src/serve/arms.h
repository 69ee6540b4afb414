/* arms.h - a name that requests ask for, and the versions of its model that stand behind it, side by side.
 *
 * A name of a path has one arm for as long as the server runs.  A name that follows a source, such as an alias of a registry, has up to
 * three: the stable version, a candidate, and the one that was stable before, kept so that going back takes no loading.  A thread of its own asks
 * the source, many times a second, which versions are wanted; one that is not there is loaded by a thread of low priority, warmed by a few
 * steps, and then gets new requests from one moment to the next.  A request, and all its texts, ends on the version that it began with:
 * it holds its model (served_model_hold), and an arm that is wanted no more is closed when nobody holds it.
 *
 *   loading -> warming -> ready -> leaving (nobody new) -> closed       a load that fails: failed, until the source says something new
 *
 * Nothing but the choice of an arm takes a lock, once for each request; steps take none.  What a source cannot be asked for stays as it
 * was, and so does what answers when a version fails to load.  Versions that do not fit into memory together: the one that was kept for
 * going back goes first; then the new one is refused, with the sizes, or, with `swap`, the old one's texts end, it is closed, and the new one
 * is loaded, while requests wait (arms_wait).  One that then does not load gives way to the one before. */
#ifndef SERVE_ARMS_H
#define SERVE_ARMS_H
#include <jansson.h>
#include "base/buf.h"
#include "serve/served_model.h"
#include "store/release.h"

#define ARMS_MAX 8                       /* of a name that can be asked at once, those included that are leaving */
#define ARMS_PATH 4096

struct arms_version { int64_t number; char root[SHA256_HEX], path[ARMS_PATH]; };     /* number 0: there is none */
struct arms_wanted {
    struct arms_version stable, candidate, previous;
    enum release_mode mode;              /* none and green: the candidate is ready, and gets nothing */
    int share;                           /* of those who ask, of RELEASE_ALL, for the candidate of canary and ab */
    bool swap;                           /* as arms_opts has it, for this change */
    uint64_t salt;
    int64_t seq;                         /* another with each change */
};
struct arms_source {
    /* 1: written to out; 0: as it was; < 0: it cannot be asked.  Called by one thread at a time. */
    int (*wanted)(void *ctx, struct arms_wanted *out, struct err *err);
    /* state: loading, ready, serving, failed, gone.  By the same thread. */
    void (*told)(void *ctx, const struct arms_version *v, const char *state, const char *message);
    void *ctx;
    int (*may_load)(const char *path, struct err *err);      /* of versions, as served_model_opts has it: it may take its time, in several threads at once; or NULL */
};
/* Of all names of a server: what their models may take, and what those that are open take, as planned. */
struct arms_memory { size_t all; atomic_size_t taken; };

struct arms_opts {
    const struct served_model_opts *model;       /* copied; its strings are kept.  name: what requests ask for; path: unless there is a source */
    struct arms_source source;           /* wanted NULL: the path's, for good */
    struct arms_memory *memory;
    bool swap;
};
struct arms;
/* With the stable version loaded.  ERR_NOMEM tells what it takes. */
int arms_open(struct arms **out, const struct arms_opts *o, struct err *err);
void arms_halt(struct arms *a);          /* nothing is followed any more; texts under way are cancelled */
void arms_close(struct arms *a);
const char *arms_name(const struct arms *a);
/* What requests that name `name` are answered by: served_model_find(), _find_latest(). */
int arms_find(const struct arms *a, const char *name);
int arms_find_latest(const struct arms *a, const char *name);

/* ---- any thread ---- */

/* Do some get another version than others?  Then by what their place (sticky.h) is found. */
bool arms_splits(struct arms *a, uint64_t *salt);
/* The one that a request with this place is answered by, held; *is_candidate: it is not the stable one.  NULL: they are being swapped, which is
 * expected to take *wait_s. */
struct served_model *arms_take(struct arms *a, int place, bool *is_candidate, double *wait_s);
/* Until one can be taken, for so long at most; can it? */
bool arms_wait(struct arms *a, double seconds);
/* The candidate that texts of the stable one are compared with (shadow.h), held, or NULL. */
struct served_model *arms_shadow(struct arms *a);
/* The stable one, held, or NULL. */
struct served_model *arms_stable(struct arms *a);
/* All that can be asked, held, the stable one first; how many. */
int arms_hold(struct arms *a, struct served_model *out[ARMS_MAX]);
/* { name, following, reachable, mode, share, versions: [{ version, root, state, role, share, running, waiting, bytes, message, shadow }] }; NULL: it
 * follows nothing, or there is no memory. */
json_t *arms_json(struct arms *a);
bool arms_follows(const struct arms *a);
/* lathe:release_... of Prometheus' text form; heads once for all names. */
void arms_metrics(struct buf *b, struct arms *const *arms, int n);
#endif
