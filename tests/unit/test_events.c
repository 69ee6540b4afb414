/* test_events.c - what is recorded of answers, on both databases: rows come back as they went, feedback is its owner's, texts go when their time is over. */
#include "../databases.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "store/events.h"

static struct err err;
#define DAY ((int64_t)86400 * 1000000000)

static struct events *opened(void)
{
    struct events *e = NULL;
    const char *where = database();
    setenv("LATHE_HOME", test_dir, 1);                   /* the key of PostgreSQL's names */
    OK(events_open(&e, where, true, &err));
    return e;
}

static struct event sample(const char *id, int64_t t)
{
    struct event ev = { .t = t, .version = 3, .prompt_tokens = 10, .cached_tokens = 4, .answer_tokens = 5, .prompt_nll = 2.5, .prompt_nll_tokens = 5, .entropy = 1.25, .confidence = 0.5, .logprob = -7,
                        .n_sketch = 3, .sketch = { 1, -2.5f, 0 }, .schema_ok = -1, .tool_calls = -1, .tool_ok = -1, .first_s = 0.25, .total_s = 1 };
    snprintf(ev.id, sizeof ev.id, "%s", id);
    snprintf(ev.request, sizeof ev.request, "r-%s", id);
    strcpy(ev.model, "tiny"), strcpy(ev.root, "abc"), strcpy(ev.arm, "stable"), strcpy(ev.owner, "team"), strcpy(ev.user, "anna"), strcpy(ev.finish, "stop"), strcpy(ev.prompt_language, "en");
    return ev;
}

static void write_one(struct events *e, const struct event *ev, int64_t gone)
{
    OK(db_begin(events_db(e), &err));
    OK(events_write(e, ev, gone, &err));
    OK(db_commit(events_db(e), &err));
}

struct seen { int n; struct event last; char prompt[64], answer[64]; int32_t expert[4]; };

static int see(void *ctx, const struct event *ev, struct err *e)
{
    (void)e;
    struct seen *s = ctx;
    s->n++, s->last = *ev;
    snprintf(s->prompt, sizeof s->prompt, "%s", ev->prompt ? ev->prompt : "-");
    snprintf(s->answer, sizeof s->answer, "%s", ev->answer ? ev->answer : "-");
    for (int i = 0; i < ev->n_expert && i < 4; i++)
        s->expert[i] = ev->expert[i];
    return 0;
}

/* By root and arm; what nobody knows is no part of a mean. */
static void answers_are_summed_up_by_version_and_arm(void **state)
{
    (void)state;
    struct events *e = opened();
    struct event ev = sample("a", 1000);
    json_t *all;
    write_one(e, &ev, 0);
    ev = sample("b", 2000);
    ev.prompt_nll = 4.5, ev.prompt_nll_tokens = 15, ev.total_s = 3, strcpy(ev.finish, "failed");
    write_one(e, &ev, 0);
    ev = sample("c", 3000);
    ev.prompt_nll = (double)NAN, ev.prompt_nll_tokens = 0, strcpy(ev.root, "def");
    write_one(e, &ev, 0);
    OK(events_summary(e, &(struct events_where){ .since = 0 }, &all, &err));
    assert_int_equal(json_array_size(all), 2);
    const json_t *one = json_array_get(all, 0), *two = json_array_get(all, 1);
    assert_true(json_integer_value(json_object_get(one, "answers")) == 2 && json_integer_value(json_object_get(one, "failed")) == 1);
    assert_true(json_real_value(json_object_get(one, "prompt_nll")) == 4 && json_real_value(json_object_get(one, "total_s")) == 2);
    assert_true(json_integer_value(json_object_get(two, "answers")) == 1 && json_is_null(json_object_get(two, "prompt_nll")));
    json_decref(all);
    OK(events_summary(e, &(struct events_where){ .since = 5000 }, &all, &err));
    assert_int_equal(json_array_size(all), 0);
    json_decref(all);
    events_close(e);
}

static void rows_come_back_as_they_went(void **state)
{
    (void)state;
    struct events *e = opened();
    struct event ev = sample("a", 1000);
    const int32_t experts[] = { 3, 0, 4 };
    struct seen s = { 0 };
    ev.expert = experts, ev.n_expert = 3, ev.experts_effective = 1.5, ev.prompt = "say \xff it", ev.answer = "it's";
    write_one(e, &ev, when_now() + DAY);
    write_one(e, &ev, when_now() + DAY);                 /* again: the same */
    ev = sample("b", 2000);
    ev.choice = 1, ev.prompt_nll = (double)NAN, ev.prompt_nll_tokens = 0, ev.n_sketch = 0, *ev.owner = 0, ev.refused = -1, ev.tool_ok = 0;
    write_one(e, &ev, 0);
    OK(events_find(e, "a", see, &s, &err));
    assert_int_equal(s.n, 1);
    assert_string_equal(s.prompt, "say \xef\xbf\xbd it");
    assert_string_equal(s.answer, "it's");
    assert_int_equal(s.last.n_expert, 3);
    assert_memory_equal(s.expert, experts, sizeof experts);
    assert_true(s.last.experts_effective == 1.5);
    assert_string_equal(s.last.busiest, "2");
    assert_int_equal(s.last.t, 1000);
    assert_true(s.last.prompt_nll == 2.5 && s.last.entropy == 1.25 && s.last.logprob == -7 && s.last.n_sketch == 3 && s.last.sketch[1] == -2.5f && s.last.first_s == 0.25);
    assert_string_equal(s.last.prompt_language, "en");
    assert_int_equal(s.last.schema_ok, -1);
    char hash[EVENT_HMAC];
    OK(events_hash(e, "anna", hash, &err));
    assert_string_equal(s.last.user, hash);              /* and no name */
    OK(events_find(e, "r-b", see, &s, &err));
    assert_true(s.n == 2 && isnan(s.last.prompt_nll) && s.last.n_sketch == 0 && s.last.choice == 1 && !*s.last.owner && s.last.refused == -1 && s.last.tool_ok == 0);
    assert_string_equal(s.prompt, "-");
    assert_int_equal(events_find(e, "c", see, &s, &err), ERR_NOTFOUND);
    s.n = 0;
    OK(events_read(e, &(struct events_where){ .since = 1000, .until = 2000 }, see, &s, &err));
    assert_int_equal(s.n, 1);
    OK(events_read(e, &(struct events_where){ .model = "tiny", .version = 3, .arm = "stable", .root = "abc" }, see, &s, &err));
    assert_int_equal(s.n, 3);
    assert_int_equal(s.last.t, 2000);
    OK(events_read(e, &(struct events_where){ .version = 4 }, see, &s, &err));
    assert_int_equal(s.n, 3);
    events_close(e);
}

/* The third of what is read breaks off. */
static int see_two(void *ctx, const struct event *ev, struct err *none)
{
    struct seen *s = ctx;
    (void)none;
    if (s->n == 2)
        return ERR_IO;
    s->n++, s->last = *ev;
    return 0;
}

/* Who remembers when the last row was written, or the last score, goes on behind it. */
static void a_read_that_broke_off_goes_on_where_it_was(void **state)
{
    (void)state;
    struct events *e = opened();
    int64_t n;
    for (int i = 0; i < 5; i++) {
        const char name[] = { (char)('a' + i), 0 };
        struct event ev = sample(name, 1000 - i);
        write_one(e, &ev, 0);
        OK(events_feedback(e, &(struct feedback){ .id = name, .choice = -1, .owner = "team", .score = 0.1 * i }, INT64_MAX, &n, &err));
    }
    for (int said = 0; said < 2; said++) {
        struct seen s = { 0 };
        struct events_where where = { .by_writing = !said, .by_feedback = said };
        assert_int_equal(events_read(e, &where, see_two, &s, &err), ERR_IO);
        assert_true(said ? s.last.said > s.last.written : s.last.said == 0);
        where.since = (said ? s.last.said : s.last.written) + 1;
        OK(events_read(e, &where, see, &s, &err));
        assert_int_equal(s.n, 5);
        assert_string_equal(s.last.id, "e");
    }
    events_close(e);
}

struct many { int n; struct event last; struct events *other; };

/* In order, none twice.  After the first, the last of all goes. */
static int see_next(void *ctx, const struct event *ev, struct err *none)
{
    struct many *m = ctx;
    if (m->n++ && (ev->t < m->last.t || (ev->t == m->last.t && strcmp(ev->id, m->last.id) <= 0)))
        return ERR_CORRUPT;
    m->last = *ev;
    return m->n == 1 && m->other ? db_run(events_db(m->other), "DELETE FROM answer WHERE id = 'r2499'", NULL, 0, NULL, none) : 0;
}

/* Not all at once, which on a server would be all in memory: what went meanwhile does not come. */
static void rows_are_read_some_at_a_time(void **state)
{
    (void)state;
    struct events *e = opened(), *other = opened();
    struct many m = { 0 };
    OK(db_begin(events_db(e), &err));
    for (int i = 0; i < 2500; i++) {
        char id[8];
        snprintf(id, sizeof id, "r%04d", i);
        const struct event ev = sample(id, 1000 + i / 700);           /* moments of many rows */
        OK(events_write(e, &ev, 0, &err));
    }
    OK(db_commit(events_db(e), &err));
    OK(db_run(events_db(e), "UPDATE answer SET written = t", NULL, 0, NULL, &err));
    OK(events_read(e, &(struct events_where){ .since = 1000 }, see_next, &m, &err));
    assert_int_equal(m.n, 2500);
    const struct { struct events_where where; int n; const char *last; } of[] = {
        { { .limit = 1700 }, 1700, "r1699" }, { { .since = 1001, .limit = 1000 }, 1000, "r1699" }, { { .since = 1001, .until = 1003, .by_writing = true }, 1400, "r2099" },
        { { .by_writing = true, .limit = 300, .newest = true }, 400, "r2499" },               /* and all of its moment */
        { { .by_writing = true, .limit = 500, .newest = true }, 1100, "r2499" }, { { .by_writing = true, .limit = 2600, .newest = true, .since = 1002 }, 1100, "r2499" },
        { { .by_writing = true, .limit = 500, .newest = true, .until = 1001 }, 700, "r0699" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        m = (struct many){ 0 };
        OK(events_read(e, &of[i].where, see_next, &m, &err));
        assert_int_equal(m.n, of[i].n);
        assert_string_equal(m.last.id, of[i].last);
    }
    m = (struct many){ .other = other };
    OK(events_read(e, &(struct events_where){ .by_writing = true }, see_next, &m, &err));
    assert_int_equal(m.n, 2499);
    events_close(e), events_close(other);
}

static void feedback_is_its_owners_alone(void **state)
{
    (void)state;
    struct events *e = opened();
    struct event ev = sample("a", 1000), other = sample("b", 1000);
    int64_t n;
    strcpy(other.owner, "rival");
    write_one(e, &ev, 0);
    ev.choice = 1;
    write_one(e, &ev, 0);
    write_one(e, &other, 0);
    struct feedback f = { .id = "a", .choice = -1, .owner = "team", .score = 1, .comment = "good" };
    OK(events_feedback(e, &f, INT64_MAX, &n, &err));
    assert_int_equal(n, 2);
    f.choice = 1, f.score = -0.5, f.id = "r-a";          /* in the place of the other; by the request's id */
    OK(events_feedback(e, &f, INT64_MAX, &n, &err));
    assert_int_equal(n, 1);
    f.id = "b", f.choice = -1;
    assert_int_equal(events_feedback(e, &f, INT64_MAX, &n, &err), ERR_NOTFOUND);
    f.id = "nobody's";
    assert_int_equal(events_feedback(e, &f, INT64_MAX, &n, &err), ERR_NOTFOUND);
    f.id = "a", f.owner = "";
    assert_int_equal(events_feedback(e, &f, INT64_MAX, &n, &err), ERR_NOTFOUND);
    f.owner = "team", f.choice = 0, f.score = (double)NAN, f.label = "meh";
    OK(events_feedback(e, &f, INT64_MAX, &n, &err));
    struct events_mean mean;
    OK(events_scores(e, &(struct events_where){ .model = "tiny" }, &mean, &err));
    assert_true(mean.n == 1 && mean.mean == -0.5);
    struct seen s = { 0 };                               /* as answers with a score, by when that was written */
    OK(events_read(e, &(struct events_where){ .model = "tiny", .by_feedback = true }, see, &s, &err));
    assert_true(s.n == 1 && s.last.choice == 1 && s.last.score == -0.5 && s.last.entropy == 1.25);
    const int64_t after = when_now() + 1;
    f.score = 1, f.label = NULL;
    OK(events_feedback(e, &f, INT64_MAX, &n, &err));
    OK(events_read(e, &(struct events_where){ .since = after, .by_feedback = true }, see, &s, &err));
    assert_true(s.n == 2 && s.last.choice == 0 && s.last.score == 1);
    OK(events_read(e, &(struct events_where){ .model = "none", .by_feedback = true }, see, &s, &err));
    assert_int_equal(s.n, 2);
    OK(events_read(e, &(struct events_where){ .model = "tiny", .by_writing = true }, see, &s, &err));
    assert_true(s.n == 5 && isnan(s.last.score));        /* b's */
    OK(events_scores(e, &(struct events_where){ .model = "none" }, &mean, &err));
    assert_true(mean.n == 0 && isnan(mean.mean));
    events_close(e);
}

/* Is the text anywhere in the folder's files? */
static bool lies_in_files(const char *text)
{
    static const char *const names[] = { "events.db", "events.db-wal", "events.db-shm" };
    bool any = false;
    for (size_t i = 0; i < 3; i++) {
        struct buf b;
        char *path = file_join(test_dir, names[i]);
        buf_init(&b);
        if (file_exists(path)) {
            OK(file_read(path, 1 << 24, &b, &err));
            any = any || memmem(b.data, b.len, text, strlen(text));
        }
        buf_release(&b);
        mem_free(path);
    }
    return any;
}

static void texts_are_gone_when_their_time_is_over(void **state)
{
    (void)state;
    struct events *e = opened();
    struct event ev = sample("a", when_now());
    struct seen s = { 0 };
    int64_t n;
    ev.prompt = "my secret prompt is long enough", ev.answer = "a secret answer";
    write_one(e, &ev, when_now() + DAY);
    OK(events_feedback(e, &(struct feedback){ .id = "a", .choice = -1, .owner = "team", .score = 1, .comment = "a secret comment" }, when_now() + DAY, &n, &err));
    OK(events_expire(e, when_now(), &n, &err));
    assert_int_equal(n, 0);
    if (!on_postgres)
        assert_true(lies_in_files("my secret prompt") && lies_in_files("a secret comment"));
    OK(events_expire(e, when_now() + 2 * DAY, &n, &err));
    assert_int_equal(n, 2);
    OK(events_find(e, "a", see, &s, &err));
    assert_string_equal(s.prompt, "-");                  /* the numbers stay */
    assert_true(s.last.entropy == 1.25);
    if (!on_postgres)
        assert_false(lies_in_files("secret"));
    ev = sample("b", when_now());
    ev.prompt = "too late";
    write_one(e, &ev, when_now() - 1);
    OK(events_find(e, "b", see, &s, &err));
    assert_string_equal(s.prompt, "-");
    events_close(e);
}

/* A clock that jumps ahead takes texts early, and one that is set back keeps them until it has caught up: never is one shown after its moment by the clock that there is. */
static void texts_are_gone_across_restarts_and_jumps_of_the_clock(void **state)
{
    (void)state;
    struct events *e = opened();
    const int64_t now = when_now();
    struct event ev = sample("a", now);
    struct seen s = { 0 };
    ev.prompt = "the secret of a restart", ev.answer = "an answer";
    write_one(e, &ev, now + DAY);
    when_set(now - 10 * DAY);                            /* set back: it stays, over a restart too */
    events_close(e);
    e = opened();
    OK(events_find(e, "a", see, &s, &err));
    assert_string_equal(s.prompt, "the secret of a restart");
    events_close(e);
    when_set(now + 2 * DAY);                             /* ahead: who opens it deletes */
    e = opened();
    OK(events_find(e, "a", see, &s, &err));
    assert_string_equal(s.prompt, "-");
    if (!on_postgres)
        assert_false(lies_in_files("secret of a restart"));
    when_set(now);                                       /* and back again: it is gone for good */
    OK(events_find(e, "a", see, &s, &err));
    assert_string_equal(s.prompt, "-");
    ev = sample("b", now);
    ev.prompt = "another secret";
    write_one(e, &ev, now + DAY);
    when_set(now + DAY);                                 /* its moment, before anybody deletes: not shown */
    OK(events_find(e, "b", see, &s, &err));
    assert_string_equal(s.prompt, "-");
    if (!on_postgres)
        assert_true(lies_in_files("another secret"));
    events_close(e);
    e = opened();
    if (!on_postgres)
        assert_false(lies_in_files("another secret"));
    events_close(e);
    when_set(-1);
}

static void a_user_is_erased_whole(void **state)
{
    (void)state;
    struct events *e = opened();
    struct event a = sample("a", 1), b = sample("b", 2), c = sample("c", 3);
    struct seen s = { 0 };
    int64_t n;
    strcpy(b.user, "bob"), strcpy(c.user, "bob"), strcpy(c.owner, "anna");
    a.prompt = "words of anna's own";
    write_one(e, &a, INT64_MAX), write_one(e, &b, INT64_MAX), write_one(e, &c, INT64_MAX);
    OK(events_feedback(e, &(struct feedback){ .id = "a", .choice = -1, .owner = "team", .score = 1 }, INT64_MAX, &n, &err));
    OK(events_erase(e, "nobody", &n, &err));
    assert_int_equal(n, 0);
    OK(events_erase(e, "anna", &n, &err));               /* as user and as key */
    assert_int_equal(n, 2);
    OK(events_read(e, &(struct events_where){ 0 }, see, &s, &err));
    assert_int_equal(s.n, 1);
    assert_string_equal(s.last.id, "b");
    OK(db_query_int(&n, events_db(e), -1, "SELECT count(*) FROM feedback", NULL, 0, &err));
    assert_int_equal(n, 0);
    if (!on_postgres)
        assert_false(lies_in_files("words of anna"));
    OK(events_erase(e, "bob", &n, &err));
    assert_int_equal(n, 1);
    for (size_t i = 0; i < 3 && on_postgres; i++) {       /* no dead row is left, and so no page */
        static const char *const sizes[] = { "SELECT pg_relation_size('answer')", "SELECT pg_relation_size('answer_text')", "SELECT pg_relation_size('feedback')" };
        OK(db_query_int(&n, events_db(e), -1, sizes[i], NULL, 0, &err));
        assert_int_equal(n, 0);
    }
    events_close(e);
}

static void names_keep_their_key(void **state)
{
    (void)state;
    struct events *e = opened();
    char first[EVENT_HMAC], again[EVENT_HMAC];
    OK(events_hash(e, "anna", first, &err));
    events_close(e);
    e = opened();
    OK(events_hash(e, "anna", again, &err));
    assert_string_equal(first, again);
    events_close(e);
    if (on_postgres)
        return;
    struct stat st;
    char *key = file_join(test_dir, "events.db.key"), *db = file_join(test_dir, "events.db");
    assert_true(!stat(key, &st) && (st.st_mode & 0777) == 0600);
    assert_true(!stat(db, &st) && (st.st_mode & 0777) == 0600);
    assert_true(truncate(key, 5) == 0);
    assert_int_equal(events_open(&e, test_dir, true, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "5 bytes"));
    assert_true(unlink(key) == 0);
    assert_int_equal(events_open(&e, test_dir, false, &err), ERR_NOTFOUND);
    assert_true(unlink(db) == 0);
    assert_int_equal(events_open(&e, test_dir, false, &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "--record"));
    mem_free(key), mem_free(db);
}

static void refusals_are_known_by_how_they_begin(void **state)
{
    (void)state;
    assert_true(events_is_refusal("I'm sorry, but I can't help with that."));
    assert_true(events_is_refusal("I\xe2\x80\x99m sorry, but no."));
    assert_true(events_is_refusal("As an AI language model, I have no opinions."));
    assert_false(events_is_refusal(""));
    assert_false(events_is_refusal("Oslo is the capital of Norway."));
    char late[500];
    memset(late, 'a', sizeof late);
    strcpy(late + 400, "I'm sorry");
    assert_false(events_is_refusal(late));
}

#define EACH(x) cmocka_unit_test_setup_teardown(x, database_make, database_drop)
int main(void)
{
    static const struct CMUnitTest tests[] = {
        EACH(rows_are_read_some_at_a_time), EACH(rows_come_back_as_they_went), EACH(answers_are_summed_up_by_version_and_arm), EACH(feedback_is_its_owners_alone), EACH(texts_are_gone_when_their_time_is_over), EACH(texts_are_gone_across_restarts_and_jumps_of_the_clock), EACH(a_user_is_erased_whole), EACH(names_keep_their_key),
        EACH(rows_come_back_as_they_went), EACH(answers_are_summed_up_by_version_and_arm), EACH(a_read_that_broke_off_goes_on_where_it_was), EACH(texts_are_gone_when_their_time_is_over), EACH(texts_are_gone_across_restarts_and_jumps_of_the_clock), EACH(a_user_is_erased_whole), EACH(names_keep_their_key),
        EACH(refusals_are_known_by_how_they_begin),
    };
    return ON_BOTH_DATABASES(tests);
}
