#include "store/events_copy.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/events_impl.h"

enum { VERSION = 1, ROWS = 1000, ID = 64 };      /* ROWS: that are read at a time; ID: bytes of struct event's */

/* What a column holds: text, a whole number, a number; upper case where it must be there.  The first two are the row's key. */
static const struct table { const char *word, *name, *columns, *kinds; } tables[] = {
    { "answer", "answer", ANSWER_COLUMNS, "TITITTITTttTiiirirrrttttTtiiiirrIr" },
    { "feedback", "feedback", "id, choice, t, score, label, comment, gone, written", "TIIrttiI" },
    { "text", "answer_text", "id, choice, gone, prompt, answer", "TIItt" },
};
enum { ANSWER, FEEDBACK, TEXT, COMMENT_COLUMN = 5, FEEDBACK_GONE = 6, TEXT_GONE = 2 };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a copy of what was recorded"); }

/* ---- lines of rows ---- */

struct dump { struct events *e; bool texts; int (*each)(void *ctx, const char *line, size_t n, struct err *err); void *ctx; };

static int tell(const struct dump *d, json_t *o, struct err *err)
{
    char *text = o ? tree_dumps(o, JSON_COMPACT) : NULL;
    const size_t n = text ? strlen(text) : 0;
    if (text)
        text[n] = '\n';                  /* in the place of the NUL */
    const int rc = text ? d->each(d->ctx, text, n + 1, err) : no_memory(err);
    mem_free(text);
    json_decref(o);
    return rc;
}

static json_t *value_at(struct db_rows *r, int i, char kind)
{
    const bool is_real = kind == 'r';
    if (db_is_null(r, i) || (is_real && !isfinite(db_real(r, i))))
        return json_null();
    return is_real ? json_real(db_real(r, i)) : kind == 'i' || kind == 'I' ? json_integer((json_int_t)db_int(r, i)) : json_string(db_text(r, i));
}

static int dump_row(const struct dump *d, const struct table *t, struct db_rows *r, struct err *err)
{
    json_t *row = json_array();
    for (int i = 0; row && t->kinds[i]; i++) {
        const uint64_t refused = mem_json_refused();
        json_t *v = t == &tables[FEEDBACK] && i == COMMENT_COLUMN && !d->texts ? json_null() : value_at(r, i, t->kinds[i]);
        if (!v || json_array_append_new(row, v)) {
            json_decref(row);
            return mem_json_refused() != refused ? no_memory(err) : ERR(err, CORRUPT, "%.200s: column %d of the %s of '%.100s' is no UTF-8", events_name(d->e), i + 1, t->word, db_text(r, 0));
        }
    }
    return row ? tell(d, json_pack("{s:o}", t->word, row), err) : no_memory(err);
}

/* Rows behind (id, choice), which becomes the last one's. */
static int dump_some(const struct dump *d, const struct table *t, char id[ID], int64_t *choice, int64_t *n, struct err *err)
{
    char sql[1200];
    struct db_rows *r;
    int rc;
    snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE (id, choice) > ($1, $2) ORDER BY id, choice LIMIT %d", t->columns, t->name, ROWS);
    *n = 0;
    TRY(db_query(&r, events_db(d->e), sql, DB_ARGS(DB_T(id), DB_I(*choice)), err));
    while ((rc = db_next(r, err)) == 1) {
        rc = strlen(db_text(r, 0)) < ID ? dump_row(d, t, r, err) : ERR(err, CORRUPT, "%.200s: '%.100s' is no answer's id", events_name(d->e), db_text(r, 0));
        if (rc)
            break;
        snprintf(id, ID, "%s", db_text(r, 0)), *choice = db_int(r, 1);
        ++*n;
    }
    db_rows_free(r);
    return rc;
}

static int dump_table(const struct dump *d, const struct table *t, int64_t *count, struct err *err)
{
    char id[ID] = "";
    int64_t choice = INT64_MIN, n = ROWS;
    for (*count = 0; n == ROWS; *count += n)
        TRY(dump_some(d, t, id, &choice, &n, err));
    return 0;
}

int events_dump(struct events *e, bool texts, int (*each)(void *ctx, const char *line, size_t n, struct err *err), void *ctx, struct events_count *n, struct err *err)
{
    const struct dump d = { e, texts, each, ctx };
    char hex[2 * EVENTS_KEY + 1];
    const unsigned char *key = events_key(e);
    for (int i = 0; i < EVENTS_KEY; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    *n = (struct events_count){ 0 };
    TRY(tell(&d, json_pack("{s:i, s:s, s:b}", "events", VERSION, "key", hex, "texts", texts), err));
    TRY(dump_table(&d, &tables[ANSWER], &n->answers, err));
    TRY(dump_table(&d, &tables[FEEDBACK], &n->feedback, err));
    return texts ? dump_table(&d, &tables[TEXT], &n->texts, err) : 0;
}

/* ---- rows of lines ---- */

static int read_key(const json_t *o, unsigned char key[EVENTS_KEY], struct err *err)
{
    const char *hex = tree_text_at(o, "key");
    if (strlen(hex) != 2 * EVENTS_KEY || strspn(hex, "0123456789abcdef") != 2 * EVENTS_KEY)
        return ERR(err, FORMAT, "expected a key of %d hexadecimal digits", 2 * EVENTS_KEY);
    for (int i = 0; i < EVENTS_KEY; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        key[i] = (unsigned char)byte;
    }
    return 0;
}

static int take_first(struct events_load *l, const json_t *o, struct err *err)
{
    unsigned char key[EVENTS_KEY];
    const json_t *version = json_object_get(o, "events");
    if (!json_is_integer(version))
        return ERR(err, FORMAT, "expected {\"events\": %d, ...} first", VERSION);
    if (json_integer_value(version) != VERSION)
        return ERR(err, UNSUPPORTED, "recorded answers of version %lld, this program knows %d", (long long)json_integer_value(version), VERSION);
    TRY(read_key(o, key, err));
    if (!l->where)
        return 0;
    TRY(events_open_keyed(&l->e, l->where, key, err));
    return db_begin(events_db(l->e), err);
}

static int read_value(struct db_arg *a, const json_t *v, char kind)
{
    const bool needed = kind >= 'A' && kind <= 'Z', whole = kind == 'i' || kind == 'I';
    if (json_is_null(v) && !needed)
        return *a = DB_NONE, 0;
    if (kind == 'r' && json_is_number(v))
        return *a = DB_R(json_number_value(v)), 0;
    if (whole && json_is_integer(v))
        return *a = DB_I(json_integer_value(v)), 0;
    if ((kind == 't' || kind == 'T') && json_is_string(v))
        return *a = DB_T(json_string_value(v)), 0;
    return -1;
}

static int insert_row(struct events_load *l, const struct table *t, const struct db_arg *arg, int n, struct err *err)
{
    char sql[1600];
    size_t at = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s (%s) VALUES (", t->name, t->columns);
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(sql + at, sizeof sql - at, "%s$%d", i ? ", " : "", i + 1);
    snprintf(sql + at, sizeof sql - at, ") ON CONFLICT (id, choice) DO NOTHING");
    return db_run(events_db(l->e), sql, arg, n, NULL, err);
}

static int take_row(struct events_load *l, const struct table *t, const json_t *row, struct err *err)
{
    struct db_arg arg[DB_ARGS_MAX];
    const int n = (int)strlen(t->kinds);
    if ((int)json_array_size(row) != n)
        return ERR(err, FORMAT, "expected the %d columns of an %s, found %zu", n, t->word, json_array_size(row));
    for (int i = 0; i < n; i++)
        if (read_value(&arg[i], json_array_get(row, (size_t)i), t->kinds[i]))
            return ERR(err, FORMAT, "column %d of the %s is not what it holds", i + 1, t->word);
    if (strlen(arg[0].s) >= ID)
        return ERR(err, FORMAT, "'%.100s' is no answer's id", arg[0].s);
    if (t == &tables[ANSWER])
        l->n.answers++;
    else if (t == &tables[FEEDBACK])
        l->n.feedback++;
    else
        l->n.texts++;
    if (!l->e || (t == &tables[TEXT] && arg[TEXT_GONE].i <= when_now()))
        return 0;
    if (t == &tables[FEEDBACK] && arg[FEEDBACK_GONE].kind == DB_INT && arg[FEEDBACK_GONE].i <= when_now())
        arg[COMMENT_COLUMN] = DB_NONE;
    return insert_row(l, t, arg, n, err);
}

int events_load_line(struct events_load *l, const char *line, size_t n, struct err *err)
{
    json_t *o = NULL;
    TRY(tree_parse_json(&o, line, n, "it", err));
    int rc = l->line++ ? ERR(err, FORMAT, "expected a row of answers, feedback or texts") : take_first(l, o, err);
    for (size_t i = 0; l->line > 1 && i < sizeof tables / sizeof *tables; i++) {
        const json_t *row = json_object_get(o, tables[i].word);
        if (json_is_array(row))
            rc = take_row(l, &tables[i], row, err);
    }
    json_decref(o);
    return rc;
}

int events_load_end(struct events_load *l, int rc, struct err *err)
{
    if (!rc && !l->line)
        rc = ERR(err, FORMAT, "nothing is in it");
    if (l->e)
        rc = db_end(events_db(l->e), rc, err);
    events_close(l->e);
    l->e = NULL;
    return rc;
}
