/* test_recorder.c - answers on their way into the database: all of them, from many threads, whatever the database does, and after a kill. */
#include "../test.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "store/recorder.h"

static struct err err;

static void nap(void) { nanosleep(&(struct timespec){ 0, 2000000 }, NULL); }

static char *place(void) { return file_join(test_dir, "events.db"); }

static struct recorder *opened(bool texts)
{
    struct recorder *r;
    OK(recorder_open(&r, &(struct recorder_opts){ .where = test_dir, .server = "here:1", .texts = texts, .retain_s = 3600 }, &err));
    return r;
}

static void add(struct recorder *r, const char *prefix, int i)
{
    struct record *c = record_new();
    assert_non_null(c);
    snprintf(c->ev.id, sizeof c->ev.id, "%s-%d", prefix, i);
    c->ev.t = when_now(), c->keep = recorder_keeps_texts(r);
    strcpy(c->ev.finish, "stop");
    OK(buf_add_str(&c->prompt, "a prompt", NULL));
    OK(buf_add_str(&c->answer, "I'm sorry, no", NULL));
    recorder_add(r, c);
}

static int64_t rows(const char *sql)
{
    struct db *db;
    int64_t n = -1;
    char *at = place();
    OK(db_open(&db, at, &err));
    OK(db_query_int(&n, db, -1, sql, NULL, 0, &err));
    db_close(db);
    mem_free(at);
    return n;
}

static void wait_for(struct recorder *r, uint64_t n)
{
    while (recorder_counts(r).n_written < n)
        nap();
}

/* ---- threads ---- */

static void *add_many(void *ctx)
{
    static atomic_int number;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "t%d", atomic_fetch_add(&number, 1));
    for (int i = 0; i < 500; i++)
        add(ctx, prefix, i);
    return NULL;
}

static void all_of_many_threads_are_written(void **state)
{
    (void)state;
    struct recorder *r = opened(true);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, add_many, r), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    recorder_stop(r);                                    /* what waits is written first */
    const struct recorder_counts n = recorder_counts(r);
    assert_int_equal(n.n_written, 2000);
    assert_int_equal(n.n_lost, 0);
    assert_int_equal(n.n_waiting, 0);
    recorder_add(r, record_new());                       /* too late */
    assert_int_equal(recorder_counts(r).n_lost, 1);
    recorder_free(r);
    assert_int_equal(rows("SELECT count(*) FROM answer WHERE refused = 1 AND server = 'here:1'"), 2000);
    assert_int_equal(rows("SELECT count(*) FROM answer_text"), 2000);
}

static void texts_are_kept_only_where_that_is_asked_for(void **state)
{
    (void)state;
    struct recorder *r = opened(false);
    add(r, "a", 1);
    wait_for(r, 1);
    recorder_free(r);
    assert_int_equal(rows("SELECT count(*) FROM answer"), 1);
    assert_int_equal(rows("SELECT count(*) FROM answer_text"), 0);
}

/* Each row takes its time, as on a server that is far away. */
static atomic_int n_described;
static struct recorder *slow;
static uint64_t written_meanwhile;

static void describe_slowly(struct record *c)
{
    (void)c;
    nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    if (++n_described == 60)
        written_meanwhile = recorder_counts(slow).n_written;
}

/* So that none is seen long after its moment of writing. */
static void rows_that_take_long_are_committed_in_parts(void **state)
{
    (void)state;
    OK(recorder_open(&slow, &(struct recorder_opts){ .where = test_dir, .server = "here:1", .retain_s = 3600, .describe = describe_slowly }, &err));
    for (int i = 0; i < 60; i++)
        add(slow, "a", i);
    recorder_stop(slow);
    assert_true(written_meanwhile > 0 && written_meanwhile < 60);
    assert_int_equal(recorder_counts(slow).n_written, 60);
    recorder_free(slow);
    assert_int_equal(rows("SELECT count(*) FROM answer"), 60);
}

static void *hold_the_writers_place(void *ctx)
{
    struct db *db = ctx;
    struct err none;
    nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
    if (db_run(db, "INSERT INTO answer_text (id, choice, gone) VALUES ('z', 0, $1)", DB_ARGS(DB_I(when_now())), NULL, &none))
        return NULL;
    return db_commit(db, &none) ? NULL : db;
}

/* Its moment is not the one before it waited for another's write. */
static void feedback_is_of_the_moment_when_it_is_written(void **state)
{
    (void)state;
    struct recorder *r = opened(false);
    struct events *e;
    struct db *db;
    pthread_t t;
    void *held;
    int64_t n;
    char *at = place();
    add(r, "a", 1);
    wait_for(r, 1);
    recorder_free(r);
    OK(events_open(&e, test_dir, false, &err));
    OK(db_open(&db, at, &err));
    OK(db_begin(db, &err));
    assert_int_equal(pthread_create(&t, NULL, hold_the_writers_place, db), 0);
    OK(events_feedback(e, &(struct feedback){ .id = "a-1", .choice = -1, .owner = "", .score = 1 }, INT64_MAX, &n, &err));
    assert_int_equal(pthread_join(t, &held), 0);
    assert_non_null(held);
    assert_int_equal(rows("SELECT count(*) FROM feedback f, answer_text t WHERE t.id = 'z' AND f.written > t.gone"), 1);
    events_close(e);
    db_close(db);
    mem_free(at);
}

/* ---- feedback ---- */

struct told { atomic_int n; int rc; int64_t answers; };

static void told(void *ctx, int rc, int64_t n, const struct err *e)
{
    (void)e;
    struct told *t = ctx;
    t->rc = rc, t->answers = n;
    atomic_fetch_add(&t->n, 1);
}

static void feedback_finds_the_answer_that_came_just_before(void **state)
{
    (void)state;
    struct recorder *r = opened(false);
    struct told t = { 0 };
    add(r, "a", 1);
    OK(recorder_feedback(r, &(struct feedback){ .id = "a-1", .choice = -1, .owner = "", .score = 1 }, told, &t, &err));
    while (atomic_load(&t.n) < 1)
        nap();
    assert_true(t.rc == 0 && t.answers == 1);
    OK(recorder_feedback(r, &(struct feedback){ .id = "a-1", .choice = -1, .owner = "team", .score = 1 }, told, &t, &err));
    while (atomic_load(&t.n) < 2)
        nap();
    assert_int_equal(t.rc, ERR_NOTFOUND);
    OK(recorder_feedback(r, &(struct feedback){ .id = "a-1", .choice = -1, .owner = "", .score = 0.5, .comment = "hm" }, told, &t, &err));
    recorder_stop(r);                                    /* is told before it ends */
    assert_int_equal(atomic_load(&t.n), 3);
    assert_int_equal(recorder_feedback(r, &(struct feedback){ .id = "a", .owner = "" }, told, &t, &err), ERR_STOPPED);
    recorder_free(r);
    assert_int_equal(rows("SELECT count(*) FROM feedback WHERE score = 0.5 AND comment = 'hm'"), 1);
}

/* ---- a database that fails ---- */

static void a_removed_database_is_made_anew(void **state)
{
    (void)state;
    struct recorder *r = opened(false);
    char *at = place();
    add(r, "a", 1);
    wait_for(r, 1);
    assert_int_equal(unlink(at), 0);
    add(r, "b", 1);
    wait_for(r, 2);
    recorder_free(r);
    assert_int_equal(rows("SELECT count(*) FROM answer WHERE id = 'b-1'"), 1);
    mem_free(at);
}

/* The folder is moved away and comes back: what waits is written then. */
static void what_waits_while_the_database_is_gone_is_written_when_it_is_back(void **state)
{
    (void)state;
    struct recorder *r = opened(false);
    struct told t = { 0 };
    char away[200];
    snprintf(away, sizeof away, "%s.away", test_dir);
    add(r, "a", 1);
    wait_for(r, 1);
    assert_int_equal(rename(test_dir, away), 0);
    const int fd = open(test_dir, O_CREAT | O_WRONLY, 0600);             /* no folder can be made there */
    assert_true(fd >= 0);
    close(fd);
    add(r, "b", 1);
    OK(recorder_feedback(r, &(struct feedback){ .id = "a-1", .choice = -1, .owner = "", .score = 1 }, told, &t, &err));
    while (atomic_load(&t.n) < 1)
        nap();
    assert_true(t.rc < 0);
    assert_false(recorder_counts(r).works);
    assert_int_equal(recorder_counts(r).n_waiting, 1);
    unlink(test_dir);
    assert_int_equal(rename(away, test_dir), 0);
    wait_for(r, 2);
    assert_true(recorder_counts(r).works);
    assert_int_equal(recorder_counts(r).n_lost, 0);
    recorder_free(r);
    assert_int_equal(rows("SELECT count(*) FROM answer"), 2);
}

static void beyond_what_may_wait_answers_are_lost_and_counted(void **state)
{
    (void)state;
    struct recorder *r = opened(false);
    char *at = place();
    struct db *db;
    OK(db_open(&db, at, &err));
    OK(db_begin(db, &err));                              /* nobody else may write */
    for (int i = 0; i < RECORDER_WAIT + 10; i++)
        add(r, "a", i);
    assert_int_equal(recorder_counts(r).n_lost, 10);
    db_rollback(db);
    db_close(db);
    recorder_free(r);
    assert_int_equal(rows("SELECT count(*) FROM answer"), RECORDER_WAIT);
    mem_free(at);
}

static void a_file_that_is_no_database_is_told(void **state)
{
    (void)state;
    struct recorder *r;
    char *at = place();
    OK(file_write_all(at, "this is no database, however long it is", 39, &err));
    assert_int_equal(recorder_open(&r, &(struct recorder_opts){ .where = test_dir }, &err), ERR_CORRUPT);
    assert_null(r);
    mem_free(at);
}

/* ---- kill -9 ---- */

struct progress {
    int n;                               /* handed over */
    uint64_t n_written;                  /* of them, as the recorder counts */
};

/* What was counted as written is there, in whole rows. (How long a record waits is RECORDER_GATHER_S and what the disk takes: no test's business on a busy machine.) */
static void a_killed_process_keeps_what_was_counted_as_written(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        int ends[2];
        char prefix[16];
        snprintf(prefix, sizeof prefix, "r%d", round);
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        if (!child) {
            close(ends[0]);
            struct recorder *r = opened(true);
            for (struct progress t = { 0 };;) {
                add(r, prefix, t.n++);
                t.n_written = recorder_counts(r).n_written;
                if (write(ends[1], &t, sizeof t) != sizeof t)
                    _exit(1);
                nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
            }
        }
        close(ends[1]);
        struct progress t = { 0 }, next;
        int commits = 0;
        for (int more = 13 * round; commits <= round % 3 || more-- > 0; t = next) {              /* in one transaction's time and the next's, early and late in it */
            assert_int_equal(read(ends[0], &next, sizeof next), sizeof next);
            commits += next.n_written > t.n_written;
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(ends[0], &next, sizeof next) == sizeof next)
            t = next;
        close(ends[0]);
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM answer WHERE id LIKE '%s-%%'", prefix);
        assert_in_range(rows(sql), t.n_written, t.n + 1);
        assert_true(t.n_written > 0);
        assert_int_equal(rows("SELECT (SELECT count(*) FROM answer) - (SELECT count(*) FROM answer_text)"), 0);       /* both or none */
    }
}

#define EACH(x) cmocka_unit_test_setup_teardown(x, make_dir, remove_dir)
int main(void)
{
    log_level_set(LOG_QUIET);
    const struct CMUnitTest tests[] = {
        EACH(rows_that_take_long_are_committed_in_parts), EACH(feedback_is_of_the_moment_when_it_is_written), EACH(all_of_many_threads_are_written), EACH(texts_are_kept_only_where_that_is_asked_for), EACH(feedback_finds_the_answer_that_came_just_before), EACH(a_removed_database_is_made_anew),
        EACH(what_waits_while_the_database_is_gone_is_written_when_it_is_back), EACH(beyond_what_may_wait_answers_are_lost_and_counted), EACH(a_file_that_is_no_database_is_told),
        EACH(a_killed_process_keeps_what_was_counted_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
