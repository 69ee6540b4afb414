/* events_read.c - rows of answers become events again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/events.h"
#include "store/events_impl.h"

enum { EXPERTS = 4096, ROWS = 1000 };    /* model/config.h's bound; rows that are read at a time */

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }
static double real_at(struct db_rows *r, int i) { return db_is_null(r, i) ? (double)NAN : db_real(r, i); }
static int64_t int_at(struct db_rows *r, int i) { return db_is_null(r, i) ? -1 : db_int(r, i); }

/* "[1,2.5]": numbers up to most; what is no list of them has none. */
static int sketch_at(struct db_rows *r, int i, float out[EVENT_SKETCH])
{
    const char *p = db_text(r, i);
    int n = 0;
    for (char *end; n < EVENT_SKETCH && (*p == '[' || *p == ','); p = end) {
        out[n] = strtof(p + 1, &end);
        if (end == p + 1)
            break;
        n++;
    }
    return *p == ']' ? n : 0;
}

static int experts_at(struct db_rows *r, int i, int32_t *out)
{
    const char *p = db_text(r, i);
    int n = 0;
    for (char *end; n < EXPERTS && (*p == '[' || *p == ','); p = end) {
        out[n] = (int32_t)strtol(p + 1, &end, 10);
        if (end == p + 1)
            break;
        n++;
    }
    return *p == ']' ? n : 0;
}

/* In the order of READ_COLUMNS. */
static void read_row(struct event *ev, struct db_rows *r, int32_t *experts)
{
    *ev = (struct event){ .choice = (int)db_int(r, 1), .t = db_int(r, 3), .version = db_int(r, 6), .expert = experts };
    copy(ev->id, sizeof ev->id, db_text(r, 0)), copy(ev->request, sizeof ev->request, db_text(r, 2));
    copy(ev->server, sizeof ev->server, db_text(r, 4)), copy(ev->model, sizeof ev->model, db_text(r, 5));
    copy(ev->root, sizeof ev->root, db_text(r, 7)), copy(ev->arm, sizeof ev->arm, db_text(r, 8));
    copy(ev->owner, sizeof ev->owner, db_text(r, 9)), copy(ev->user, sizeof ev->user, db_text(r, 10)), copy(ev->api, sizeof ev->api, db_text(r, 11));
    ev->prompt_tokens = int_at(r, 12), ev->cached_tokens = int_at(r, 13), ev->answer_tokens = int_at(r, 14);
    ev->prompt_nll = real_at(r, 15), ev->prompt_nll_tokens = int_at(r, 16);
    ev->entropy = real_at(r, 17), ev->confidence = real_at(r, 18), ev->logprob = real_at(r, 19);
    ev->n_sketch = sketch_at(r, 20, ev->sketch), ev->n_expert = experts_at(r, 21, experts);
    copy(ev->prompt_language, sizeof ev->prompt_language, db_text(r, 22)), copy(ev->answer_language, sizeof ev->answer_language, db_text(r, 23));
    copy(ev->finish, sizeof ev->finish, db_text(r, 24)), copy(ev->error, sizeof ev->error, db_text(r, 25));
    ev->refused = (int)int_at(r, 26), ev->schema_ok = (int)int_at(r, 27), ev->tool_calls = (int)int_at(r, 28), ev->tool_ok = (int)int_at(r, 29);
    ev->first_s = real_at(r, 30), ev->total_s = real_at(r, 31);
    ev->written = db_int(r, 32);
    ev->experts_effective = real_at(r, 33), ev->score = real_at(r, 34);
    for (int i = 0, most = 0; i < ev->n_expert; i++)
        if (experts[i] > most) {
            most = experts[i];
            snprintf(ev->busiest, sizeof ev->busiest, "%d", i % EXPERTS);
        }
}

/* What is read behind READ_COLUMNS. */
enum more { NO_MORE, MORE_TEXTS, MORE_SAID };

static int each_row(struct db_rows *r, enum more more, events_each each, void *ctx, int64_t *n, struct err *err)
{
    struct event ev;
    int32_t *experts = mem_alloc_array(EXPERTS, sizeof *experts);
    int rc = experts ? 0 : ERR(err, NOMEM, "no memory for a row of events");
    while (!rc && (rc = db_next(r, err)) == 1) {
        read_row(&ev, r, experts);
        ev.said = more == MORE_SAID ? db_int(r, 35) : 0;
        if (more == MORE_TEXTS)
            ev.prompt = db_is_null(r, 35) ? NULL : db_text(r, 35), ev.answer = db_is_null(r, 36) ? NULL : db_text(r, 36);
        ++*n;
        rc = each(ctx, &ev, err);
    }
    mem_free(experts);
    return rc;
}

#define WRITTEN_SQL "answer.written >= $1 AND answer.written < $2"
#define WHERE_SQL "answer.t >= $1 AND answer.t < $2" AND_SQL
#define AND_SQL " AND ($3 = '' OR model = $3) AND ($4 = 0 OR version = $4) AND ($5 = '' OR root = $5) AND ($6 = '' OR arm = $6)"
static const char *or_any(const char *s) { return s ? s : ""; }
#define WHERE_ARGS(w) DB_I((w)->since), DB_I((w)->until ? (w)->until : INT64_MAX), DB_T(or_any((w)->model)), DB_I((w)->version), DB_T(or_any((w)->root)), DB_T(or_any((w)->arm))

#define READ_COLUMNS ANSWER_COLUMNS ", (SELECT score FROM feedback f WHERE f.id = answer.id AND f.choice = answer.choice)"

#define BEHIND_SQL(key) " AND (" key ", id, choice) > (CAST($1 AS BIGINT), $8, $9) ORDER BY " key ", id, choice LIMIT $7"

static const char *query_of(const struct events_where *w)
{
    if (w->by_feedback)
        return "SELECT " READ_COLUMNS ", said FROM answer JOIN (SELECT id AS of_id, choice AS of_choice, written AS said FROM feedback WHERE written >= $1 AND written < $2 AND score IS NOT NULL) s "
               "ON s.of_id = answer.id AND s.of_choice = answer.choice WHERE 1 = 1" AND_SQL BEHIND_SQL("said");
    if (w->by_writing)
        return "SELECT " READ_COLUMNS " FROM answer WHERE " WRITTEN_SQL AND_SQL BEHIND_SQL("written");
    return "SELECT " READ_COLUMNS " FROM answer WHERE " WHERE_SQL BEHIND_SQL("t");
}

/* How far a reading is: where.since is the last row's moment. */
struct reading { struct events_where where; char id[sizeof((struct event *)0)->id]; int64_t choice; events_each each; void *ctx; };

static int read_one(void *ctx, const struct event *ev, struct err *err)
{
    struct reading *g = ctx;
    g->where.since = g->where.by_feedback ? ev->said : g->where.by_writing ? ev->written : ev->t;
    copy(g->id, sizeof g->id, ev->id), g->choice = ev->choice;
    return g->each(g->ctx, ev, err);
}

static int read_some(struct reading *g, struct events *e, int64_t most, int64_t *n, struct err *err)
{
    struct db_rows *r;
    const struct events_where *w = &g->where;
    *n = 0;
    TRY(db_query(&r, events_db(e), query_of(w), DB_ARGS(WHERE_ARGS(w), DB_I(most), DB_T(g->id), DB_I(g->choice)), err));
    const int rc = each_row(r, w->by_feedback ? MORE_SAID : NO_MORE, read_one, g, n, err);
    db_rows_free(r);
    return rc;
}

/* A server's rows lie in memory until the last was seen: so they are asked for some at a time. */
int events_read(struct events *e, const struct events_where *w, events_each each, void *ctx, struct err *err)
{
    struct reading g = { .where = *w, .choice = INT64_MIN, .each = each, .ctx = ctx };
    int64_t left = w->limit && !w->newest ? w->limit : INT64_MAX, n = ROWS;
    if (w->newest)
        TRY(db_query_int(&g.where.since, events_db(e), w->since, "SELECT written FROM answer WHERE " WRITTEN_SQL AND_SQL " ORDER BY written DESC LIMIT 1 OFFSET $7", DB_ARGS(WHERE_ARGS(w), DB_I(w->limit - 1)), err));
    for (int rc; n == ROWS && left; left -= n)
        if ((rc = read_some(&g, e, left < ROWS ? left : ROWS, &n, err)))
            return rc;
    return 0;
}

int events_find(struct events *e, const char *id, events_each each, void *ctx, struct err *err)
{
    struct db_rows *r;
    int64_t n = 0;
    TRY(db_query(&r, events_db(e), "SELECT " READ_COLUMNS ", (SELECT prompt FROM answer_text x WHERE x.id = answer.id AND x.choice = answer.choice AND x.gone > $2), "
                                   "(SELECT answer FROM answer_text x WHERE x.id = answer.id AND x.choice = answer.choice AND x.gone > $2) FROM answer WHERE id = $1 OR request = $1 ORDER BY t, id, choice",
                 DB_ARGS(DB_T(id), DB_I(when_now())), err));
    const int rc = each_row(r, MORE_TEXTS, each, ctx, &n, err);
    db_rows_free(r);
    return rc || n ? rc : ERR(err, NOTFOUND, "%.200s: no answer '%.128s' was recorded", events_name(e), id);
}

int events_scores(struct events *e, const struct events_where *w, struct events_mean *out, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, events_db(e), "SELECT count(score), avg(score) FROM feedback f WHERE EXISTS (SELECT 1 FROM answer WHERE answer.id = f.id AND answer.choice = f.choice AND " WHERE_SQL ")", DB_ARGS(WHERE_ARGS(w)), err));
    const int rc = db_next(r, err);
    *out = rc == 1 ? (struct events_mean){ db_int(r, 0), real_at(r, 1) } : (struct events_mean){ 0, (double)NAN };
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

static json_t *mean_at(struct db_rows *r, int i) { return db_is_null(r, i) ? json_null() : json_real(db_real(r, i)); }

static json_t *summary_row(struct db_rows *r)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "root", db_text(r, 0), "arm", db_text(r, 1), "answers", (json_int_t)db_int(r, 2), "failed", (json_int_t)db_int(r, 3),
                     "prompt_nll", mean_at(r, 4), "entropy", mean_at(r, 5), "first_s", mean_at(r, 6), "total_s", mean_at(r, 7));
}

int events_summary(struct events *e, const struct events_where *w, json_t **out, struct err *err)
{
    struct db_rows *r;
    *out = NULL;
    TRY(db_query(&r, events_db(e), "SELECT root, arm, count(*), CAST(sum(CASE WHEN finish = 'failed' THEN 1 ELSE 0 END) AS BIGINT), sum(prompt_nll * prompt_nll_tokens) / "
                                   "NULLIF(sum(CASE WHEN prompt_nll IS NULL THEN 0 ELSE prompt_nll_tokens END), 0), avg(entropy), avg(first_s), avg(total_s) FROM answer WHERE " WHERE_SQL " GROUP BY root, arm ORDER BY root, arm",
                 DB_ARGS(WHERE_ARGS(w)), err));
    int rc = (*out = json_array()) ? 0 : ERR(err, NOMEM, "no memory for a summary of events");
    while (!rc && (rc = db_next(r, err)) == 1)
        rc = json_array_append_new(*out, summary_row(r)) ? ERR(err, NOMEM, "no memory for a summary of events") : 0;
    db_rows_free(r);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- by time ---- */

#define TRAFFIC_SQL "SELECT root, arm, (t - $1) / CAST($7 AS BIGINT), count(*), CAST(sum(CASE WHEN finish = 'failed' THEN 1 ELSE 0 END) AS BIGINT), CAST(sum(answer_tokens) AS BIGINT), avg(first_s), " \
    "avg(CASE WHEN answer_tokens > 1 AND finish <> 'cancelled' THEN (total_s - first_s) / (answer_tokens - 1) END) FROM answer WHERE " WHERE_SQL " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"

static json_t *point_row(struct db_rows *r)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "at", (json_int_t)db_int(r, 2), "answers", (json_int_t)db_int(r, 3), "failed", (json_int_t)db_int(r, 4), "tokens", (json_int_t)(db_is_null(r, 5) ? 0 : db_int(r, 5)),
                     "first_s", mean_at(r, 6), "token_s", mean_at(r, 7));
}

/* Rows come sorted, so that one of another version or arm begins a new entry. */
static int add_point(json_t *list, struct db_rows *r)
{
    json_t *last = json_array_get(list, json_array_size(list) - 1);
    if (!last || strcmp(tree_text_at(last, "root"), db_text(r, 0)) || strcmp(tree_text_at(last, "arm"), db_text(r, 1))) {
        if (json_array_append_new(list, json_pack("{s:s, s:s, s:[]}", "root", db_text(r, 0), "arm", db_text(r, 1), "points")))
            return -1;
        last = json_array_get(list, json_array_size(list) - 1);
    }
    return json_array_append_new(json_object_get(last, "points"), point_row(r));
}

int events_traffic(struct events *e, const struct events_where *w, int64_t step, json_t **out, struct err *err)
{
    struct db_rows *r;
    *out = NULL;
    TRY(db_query(&r, events_db(e), TRAFFIC_SQL, DB_ARGS(WHERE_ARGS(w), DB_I(step)), err));
    int rc = (*out = json_array()) ? 0 : ERR(err, NOMEM, "no memory for the traffic of versions");
    while (!rc && (rc = db_next(r, err)) == 1)
        rc = add_point(*out, r) ? ERR(err, NOMEM, "no memory for the traffic of versions") : 0;
    db_rows_free(r);
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
