/* events.c - tables of answers and feedback: opened, written, erased. */
#include "store/events.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "store/events_impl.h"
#include "store/models.h"
#include "store/registry.h"

struct events {
    struct db *db;
    bool postgres;
    unsigned char key[EVENTS_KEY];
};

static const char *const steps[] = {
    "CREATE TABLE answer (" ANSWER_COLUMNS_SQL ", PRIMARY KEY (id, choice));"
    "CREATE INDEX answer_t ON answer (t);"
    "CREATE INDEX answer_written ON answer (written);"
    "CREATE INDEX answer_request ON answer (request);"
    "CREATE INDEX answer_usr ON answer (usr);"
    "CREATE INDEX answer_owner ON answer (owner);"
    "CREATE TABLE answer_text (id TEXT NOT NULL, choice BIGINT NOT NULL, gone BIGINT NOT NULL, prompt TEXT, answer TEXT, PRIMARY KEY (id, choice));"
    "CREATE INDEX answer_text_gone ON answer_text (gone);"
    "CREATE TABLE feedback (id TEXT NOT NULL, choice BIGINT NOT NULL, t BIGINT NOT NULL, score DOUBLE PRECISION, label TEXT, comment TEXT, gone BIGINT, PRIMARY KEY (id, choice));",
    "ALTER TABLE feedback ADD COLUMN written BIGINT NOT NULL DEFAULT 0;"
    "UPDATE feedback SET written = t;"
    "CREATE INDEX feedback_written ON feedback (written);",
    "ALTER TABLE answer ADD COLUMN experts_effective DOUBLE PRECISION;",
};

/* ---- opened ---- */

/* For its owner alone, and whole or not at all: who finds a part of one would take another key for the same names. */
static int make_key(const char *path, const unsigned char *given, unsigned char key[EVENTS_KEY], struct err *err)
{
    struct file_writer w;
    if (given)
        memcpy(key, given, EVENTS_KEY);
    else if (getrandom(key, EVENTS_KEY, 0) != EVENTS_KEY)
        return ERR(err, IO, "the system gave no random numbers: %s", strerror(errno));
    TRY(file_writer_open(&w, path, err));
    int rc = fchmod(w.fd, 0600) ? ERR(err, IO, "cannot give %s its mode: %s", path, strerror(errno)) : 0;
    rc = rc ? rc : file_writer_add(&w, key, EVENTS_KEY, err);
    if (!rc)
        return file_writer_commit(&w, err);
    file_writer_abort(&w);
    return rc;
}

static int read_key(const char *path, unsigned char key[EVENTS_KEY], struct err *err)
{
    struct file_map m;
    TRY(file_map_open(&m, path, err));
    const int rc = m.size == EVENTS_KEY ? 0 : ERR(err, FORMAT, "%.200s: found %zu bytes, expected a key of %d", path, m.size, EVENTS_KEY);
    if (!rc)
        memcpy(key, m.data, EVENTS_KEY);
    file_map_close(&m);
    return rc;
}

/* given: what it must be, or NULL. */
static int read_own_key(const char *path, const unsigned char *given, unsigned char key[EVENTS_KEY], struct err *err)
{
    TRY(read_key(path, key, err));
    return given && memcmp(given, key, EVENTS_KEY) ? ERR(err, USAGE, "%.200s: names there are under another key", path) : 0;
}

/* Of several that begin at once one makes it: whose turn it is to write. */
static int take_key(struct events *e, const char *path, const unsigned char *given, bool make, struct err *err)
{
    if (file_exists(path))
        return read_own_key(path, given, e->key, err);
    if (!make)
        return ERR(err, NOTFOUND, "%.200s: the key of the names is not there", path);
    TRY(db_begin(e->db, err));
    const int rc = file_exists(path) ? read_own_key(path, given, e->key, err) : make_key(path, given, e->key, err);
    db_rollback(e->db);
    return rc;
}

/* The database and the file of its key; folder: that of both, or of the key alone. */
static int places(char **folder, char **at, char **key, const char *where, struct err *err)
{
    char *home = NULL, *place = NULL;
    TRY(where ? 0 : registry_where(&place, err));
    const char *named = where ? where : place;
    const bool postgres = db_is_postgres(named);
    int rc = postgres ? models_home(&home, err) : 0;
    if (!rc) {
        const bool file = !postgres && !file_is_dir(named) && file_name_ends(named, ".db");
        *folder = postgres ? file_join(home, "registry") : !file ? mem_strdup(named) : file_parent(named);
        *at = postgres || file ? mem_strdup(named) : file_join(named, "events.db");
        *key = !*at || !*folder ? NULL : postgres ? file_join(*folder, "events.key") : mem_printf("%s.key", *at);
        rc = *key ? 0 : ERR(err, NOMEM, "no memory for the place of events");
    }
    mem_free(home);
    mem_free(place);
    return rc;
}

/* A new file of SQLite is for its owner alone, and so are those that SQLite puts beside it. */
static int make_private(const char *at, bool *is_new, struct err *err)
{
    const int fd = db_is_postgres(at) ? -2 : open(at, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd == -1 && errno != EEXIST)
        return ERR(err, IO, "cannot make %.200s: %s", at, strerror(errno));
    *is_new = fd >= 0;
    if (fd >= 0)
        close(fd);
    return 0;
}

static int set_up(struct events *e, const char *at, const char *key, const unsigned char *given, bool make, struct err *err)
{
    int64_t n;
    bool is_new = false;
    TRY(make ? make_private(at, &is_new, err) : 0);
    TRY(db_open(&e->db, at, err));
    if (!e->postgres)
        TRY(db_script(e->db, "PRAGMA secure_delete=ON", err));
    if (!e->postgres && is_new)                          /* the mode is one of the whole file, and takes effect as it is rewritten */
        TRY(db_script(e->db, "PRAGMA auto_vacuum=INCREMENTAL; VACUUM", err));
    TRY(db_upgrade(e->db, "events", steps, sizeof steps / sizeof *steps, err));
    TRY(take_key(e, key, given, make, err));
    return events_expire(e, when_now(), &n, err);
}

static int open_it(struct events **out, const char *where, const unsigned char *given, bool make, struct err *err)
{
    char *folder = NULL, *at = NULL, *key = NULL;
    struct events *e = mem_alloc_zero(sizeof *e);
    *out = NULL;
    int rc = e ? places(&folder, &at, &key, where, err) : ERR(err, NOMEM, "no memory for events");
    if (!rc && make)
        rc = file_mkdirs(folder, err);
    else if (!rc && !db_is_postgres(at) && !file_exists(at))
        rc = ERR(err, NOTFOUND, "%.200s: nothing was recorded there (lathe serve --record)", at);
    if (!rc) {
        e->postgres = db_is_postgres(at);
        rc = set_up(e, at, key, given, make, err);
    }
    mem_free(folder);
    mem_free(at);
    mem_free(key);
    if (rc)
        events_close(e);
    else
        *out = e;
    return rc;
}

int events_open(struct events **out, const char *where, bool make, struct err *err) { return open_it(out, where, NULL, make, err); }
int events_open_keyed(struct events **out, const char *where, const unsigned char key[EVENTS_KEY], struct err *err) { return open_it(out, where, key, true, err); }
const unsigned char *events_key(const struct events *e) { return e->key; }

void events_close(struct events *e)
{
    if (!e)
        return;
    db_close(e->db);
    mem_free(e);
}

struct db *events_db(struct events *e) { return e->db; }
const char *events_name(const struct events *e) { return db_name(e->db); }

/* ---- names and texts as they are written ---- */

int events_hash(const struct events *e, const char *name, char out[EVENT_HMAC], struct err *err)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), e->key, EVENTS_KEY, (const unsigned char *)name, strlen(name), mac, &size) || size != 32)
        return ERR(err, NOMEM, "libcrypto gave no HMAC");
    for (unsigned i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", mac[i]);
    return 0;
}

bool events_is_refusal(const char *text)
{
    static const char *const words[] = {
        "I'm sorry", "I am sorry", "I apologize", "My apologies", "Sorry, I", "I cannot", "I can't", "I can not", "I'm not able to", "I am not able to", "I'm unable to", "I am unable to", "I won't be able to",
        "I will not", "As an AI", "As a language model", "As an assistant", "I'm just an", "I do not feel comfortable", "I'm really sorry", "I must decline", "It is not appropriate", "I'm not comfortable",
    };
    char plain[301];
    size_t n = 0;
    for (const char *p = text; *p && n < sizeof plain - 1; p++)
        if (!strncmp(p, "\xe2\x80\x99", 3))              /* a typographer's apostrophe */
            plain[n++] = '\'', p += 2;
        else
            plain[n++] = *p;
    plain[n] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(plain, words[i]))
            return true;
    return false;
}

/* A model may make any bytes; databases take UTF-8 without NULs. */
static int clean(char **out, const char *text, struct err *err)
{
    struct buf b;
    int rc;
    *out = NULL;
    if (!text)
        return 0;
    buf_init(&b);
    rc = utf8_add(&b, text, strlen(text), err);
    if (!rc && !(*out = mem_strdup(b.data)))
        rc = ERR(err, NOMEM, "no memory for a text");
    buf_release(&b);
    return rc;
}

/* ---- written ---- */

static int write_text(struct events *e, const struct event *ev, int64_t gone, struct err *err)
{
    char *prompt = NULL, *answer = NULL;
    int rc = clean(&prompt, ev->prompt, err);
    rc = rc ? rc : clean(&answer, ev->answer, err);
    if (!rc)
        rc = db_run(e->db, "INSERT INTO answer_text (id, choice, gone, prompt, answer) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id, choice) DO NOTHING",
                    DB_ARGS(DB_T(ev->id), DB_I(ev->choice), DB_I(gone), DB_T(prompt), DB_T(answer)), NULL, err);
    mem_free(prompt);
    mem_free(answer);
    return rc;
}

static struct db_arg real(double v) { return isfinite(v) ? DB_R(v) : DB_NONE; }
static struct db_arg known(int64_t v) { return v >= 0 ? DB_I(v) : DB_NONE; }
static struct db_arg word(const char *s) { return *s ? DB_T(s) : DB_NONE; }

static int add_numbers(struct buf *b, const struct event *ev, struct err *err)
{
    TRY(buf_add_char(b, '[', err));
    for (int i = 0; i < ev->n_sketch; i++)
        TRY(buf_printf(b, err, "%s%.6g", i ? "," : "", isfinite(ev->sketch[i]) ? (double)ev->sketch[i] : 0));
    return buf_add_char(b, ']', err);
}

static int add_experts(struct buf *b, const struct event *ev, struct err *err)
{
    TRY(buf_add_char(b, '[', err));
    for (int i = 0; i < ev->n_expert; i++)
        TRY(buf_printf(b, err, "%s%d", i ? "," : "", ev->expert[i]));
    return buf_add_char(b, ']', err);
}

static int write_row(struct events *e, const struct event *ev, const char *sketch, const char *experts, struct err *err)
{
    char owner[EVENT_HMAC] = "", user[EVENT_HMAC] = "";
    char *error = NULL, *request = NULL;
    TRY(*ev->owner ? events_hash(e, ev->owner, owner, err) : 0);
    TRY(*ev->user ? events_hash(e, ev->user, user, err) : 0);
    int rc = clean(&error, ev->error, err);
    rc = rc ? rc : clean(&request, ev->request, err);
    const struct db_arg arg[] = {
        DB_T(ev->id), DB_I(ev->choice), DB_T(request), DB_I(ev->t), DB_T(ev->server), DB_T(ev->model), DB_I(ev->version), DB_T(ev->root), DB_T(ev->arm), word(owner), word(user), DB_T(ev->api),
        known(ev->prompt_tokens), known(ev->cached_tokens), known(ev->answer_tokens), real(ev->prompt_nll), known(ev->prompt_nll_tokens), real(ev->entropy), real(ev->confidence), real(ev->logprob),
        ev->n_sketch ? DB_T(sketch) : DB_NONE, ev->n_expert ? DB_T(experts) : DB_NONE, word(ev->prompt_language), word(ev->answer_language), DB_T(ev->finish), error && *error ? DB_T(error) : DB_NONE,
        known(ev->refused), known(ev->schema_ok), known(ev->tool_calls), known(ev->tool_ok), real(ev->first_s), real(ev->total_s), DB_I(when_now()), real(ev->n_expert ? ev->experts_effective : (double)NAN),
    };
    if (!rc)
        rc = db_run(e->db, "INSERT INTO answer (" ANSWER_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, "
                           "$30, $31, $32, $33, $34) ON CONFLICT (id, choice) DO NOTHING", arg, sizeof arg / sizeof *arg, NULL, err);
    mem_free(error);
    mem_free(request);
    return rc;
}

int events_write(struct events *e, const struct event *ev, int64_t gone, struct err *err)
{
    struct buf sketch, experts;
    buf_init(&sketch), buf_init(&experts);
    int rc = add_numbers(&sketch, ev, err);
    rc = rc ? rc : add_experts(&experts, ev, err);
    rc = rc ? rc : write_row(e, ev, sketch.data, experts.data, err);
    if (!rc && (ev->prompt || ev->answer) && gone > when_now())
        rc = write_text(e, ev, gone, err);
    buf_release(&sketch), buf_release(&experts);
    return rc;
}

#define OF_ANSWERS " FROM answer WHERE (id = $1 OR request = $1) AND ($2 < 0 OR choice = $2) AND (owner = $3 OR (owner IS NULL AND $3 = ''))"

static int write_feedback(struct events *e, const struct feedback *f, const char *owner, const char *label, const char *comment, int64_t gone, int64_t *n, struct err *err)
{
    return db_run(e->db, "INSERT INTO feedback (id, choice, t, score, label, comment, gone, written) SELECT id, choice, CAST($4 AS BIGINT), CAST($5 AS DOUBLE PRECISION), CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS BIGINT), CAST($9 AS BIGINT)" OF_ANSWERS
                         " ON CONFLICT (id, choice) DO UPDATE SET t = excluded.t, score = excluded.score, label = excluded.label, comment = excluded.comment, gone = excluded.gone, written = excluded.written",
                  DB_ARGS(DB_T(f->id), DB_I(f->choice), DB_T(owner), DB_I(f->t), real(f->score), DB_T(label), DB_T(comment), DB_I(gone), DB_I(when_now())), n, err);
}

int events_feedback(struct events *e, const struct feedback *f, int64_t gone, int64_t *n, struct err *err)
{
    char owner[EVENT_HMAC] = "", *label = NULL, *comment = NULL;
    TRY(*f->owner ? events_hash(e, f->owner, owner, err) : 0);
    int rc = clean(&label, f->label, err);
    rc = rc ? rc : clean(&comment, f->comment, err);
    rc = rc ? rc : db_begin(e->db, err);                 /* another's write is waited for before the moment of this one is taken */
    if (!rc)
        rc = db_end(e->db, write_feedback(e, f, owner, label, comment, gone, n, err), err);
    if (!rc && !*n)
        rc = ERR(err, NOTFOUND, "no answer '%.64s' of yours was recorded", f->id);
    mem_free(label);
    mem_free(comment);
    return rc;
}

/* ---- gone ---- */

/* What was deleted lies in the log of SQLite, too.  PostgreSQL takes one VACUUM at a time: several in one text are a transaction, in which it refuses them. */
static void forget(struct events *e, bool all)
{
    static const char *const lite[] = { "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);", NULL }, *const lite_all[] = { "VACUUM; PRAGMA wal_checkpoint(TRUNCATE);", NULL },
                      *const postgres[] = { "VACUUM answer_text", "VACUUM feedback", NULL }, *const postgres_all[] = { "VACUUM answer_text", "VACUUM feedback", "VACUUM answer", NULL };
    const char *const *sql = e->postgres ? all ? postgres_all : postgres : all ? lite_all : lite;
    struct err err;
    for (; *sql; sql++)
        if (db_script(e->db, *sql, &err) < 0)
            log_warn("%s: what was deleted may lie in the database's files for a while: %s", events_name(e), err.msg);
}

static int delete_over(struct events *e, int64_t now, int64_t *n, struct err *err)
{
    int64_t comments;
    TRY(db_run(e->db, "DELETE FROM answer_text WHERE gone <= $1", DB_ARGS(DB_I(now)), n, err));
    TRY(db_run(e->db, "UPDATE feedback SET comment = NULL WHERE gone <= $1 AND comment IS NOT NULL", DB_ARGS(DB_I(now)), &comments, err));
    *n += comments;
    return 0;
}

int events_expire(struct events *e, int64_t now, int64_t *n, struct err *err)
{
    int64_t any;
    *n = 0;
    TRY(db_query_int(&any, e->db, 0, "SELECT (SELECT count(*) FROM answer_text WHERE gone <= $1) + (SELECT count(*) FROM feedback WHERE gone <= $1 AND comment IS NOT NULL)", DB_ARGS(DB_I(now)), err));
    if (!any)
        return 0;
    TRY(db_begin(e->db, err));
    const int rc = delete_over(e, now, n, err);
    if (rc) {
        db_rollback(e->db);
        return rc;
    }
    TRY(db_commit(e->db, err));
    forget(e, false);
    return 0;
}

static int delete_of(struct events *e, const char *hash, int64_t *n, struct err *err)
{
#define OF_USER "(SELECT a.id FROM answer a WHERE a.usr = $1 OR a.owner = $1)"
    TRY(db_run(e->db, "DELETE FROM answer_text WHERE id IN " OF_USER, DB_ARGS(DB_T(hash)), NULL, err));
    TRY(db_run(e->db, "DELETE FROM feedback WHERE id IN " OF_USER, DB_ARGS(DB_T(hash)), NULL, err));
    return db_run(e->db, "DELETE FROM answer WHERE usr = $1 OR owner = $1", DB_ARGS(DB_T(hash)), n, err);
}

int events_erase(struct events *e, const char *who, int64_t *n, struct err *err)
{
    char hash[EVENT_HMAC];
    TRY(events_hash(e, who, hash, err));
    TRY(db_begin(e->db, err));
    const int rc = delete_of(e, hash, n, err);
    if (rc) {
        db_rollback(e->db);
        return rc;
    }
    TRY(db_commit(e->db, err));
    forget(e, true);
    return 0;
}
