/* Versions of a model side by side: whom requests are answered by while versions come, go, fail and do not fit. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "../served.h"
#include "serve/arms.h"
#include "serve/machine.h"
#include "serve/sticky.h"

static struct err err;
static char dir[] = "/tmp/lathe-arms-XXXXXX", run[300];
static struct served_model_opts model_opts;
static size_t model_bytes;               /* that a version takes */

static void nap(void) { nanosleep(&(struct timespec){ 0, 1000000 }, NULL); }

/* ---- a source ---- */

static struct { pthread_mutex_t lock; struct arms_wanted wanted; bool changed, gone; char told[4000]; } src = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int wanted(void *ctx, struct arms_wanted *out, struct err *e)
{
    (void)ctx;
    pthread_mutex_lock(&src.lock);
    const int rc = src.gone ? ERR(e, IO, "the disk is away") : src.changed;
    if (rc == 1)
        *out = src.wanted;
    src.changed = src.changed && src.gone;
    pthread_mutex_unlock(&src.lock);
    return rc;
}

static void told(void *ctx, const struct arms_version *v, const char *state, const char *message)
{
    (void)ctx;
    pthread_mutex_lock(&src.lock);
    const size_t n = strlen(src.told);
    snprintf(src.told + n, sizeof src.told - n, "%lld %s%s%s\n", (long long)v->number, state, *message ? ": " : "", message);
    pthread_mutex_unlock(&src.lock);
}

static struct arms_version version(int number, const char *path)
{
    struct arms_version v = { .number = number };
    if (number) {
        snprintf(v.root, sizeof v.root, "%064d", number);
        snprintf(v.path, sizeof v.path, "%s", path);
    }
    return v;
}

static void want_at(int stable, int candidate, const char *candidate_path, int previous, enum release_mode mode, int share)
{
    pthread_mutex_lock(&src.lock);
    src.wanted = (struct arms_wanted){ .stable = version(stable, run), .candidate = version(candidate, candidate_path), .previous = version(previous, run), .mode = mode, .share = share, .salt = 7, .seq = src.wanted.seq + 1 };
    src.changed = true, src.told[0] = 0;
    pthread_mutex_unlock(&src.lock);
}
static void want(int stable, int candidate, int previous, enum release_mode mode, int share) { want_at(stable, candidate, run, previous, mode, share); }

static bool was_told(const char *what)
{
    pthread_mutex_lock(&src.lock);
    const bool there = strstr(src.told, what) != NULL;
    pthread_mutex_unlock(&src.lock);
    return there;
}
static void wait_for(const char *what)
{
    while (!was_told(what))
        nap();
}

/* ---- arms ---- */

static struct arms_memory memory;

/* Of signatures, say: it takes its time, and may say no. */
static struct { atomic_bool holds, refuses; atomic_int n; } look;

static int may_load(const char *path, struct err *e)
{
    atomic_fetch_add(&look.n, 1);
    while (atomic_load(&look.holds))
        nap();
    return atomic_load(&look.refuses) ? ERR(e, GATE, "%s is signed by nobody", path) : 0;
}

static struct arms *open_arms(size_t bytes, bool swap)
{
    static struct machine *machine;
    struct arms *a;
    if (!machine)
        assert_int_equal(machine_new(&machine, &err), 0);
    struct served_model_opts o = model_opts;
    o.machine = machine;
    memory.all = bytes, memory.taken = 0;
    want(1, 0, 0, RELEASE_NONE, 0);
    OK(arms_open(&a, &(struct arms_opts){ &o, { wanted, told, NULL, may_load }, &memory, swap }, &err));
    return a;
}

/* The number of the version that a request at this place gets; 0: none. */
static int64_t number_at(struct arms *a, int place)
{
    bool is_candidate;
    double wait;
    struct served_model *m = arms_take(a, place, &is_candidate, &wait);
    if (!m) {
        assert_true(wait >= 1);
        return 0;
    }
    const int64_t n = m->number;
    served_model_drop(m);
    return n;
}

static void wait_until_answered_by(struct arms *a, int64_t number)
{
    while (number_at(a, 0) != number)
        nap();
}

static bool text_says(struct arms *a, const char *what)
{
    json_t *o = arms_json(a);
    char *text = json_dumps(o, JSON_COMPACT);
    const bool there = strstr(text, what) != NULL;
    free(text);
    json_decref(o);
    return there;
}

/* ---- texts ---- */

struct text { atomic_int n_token; atomic_bool hold, over; enum text_end end; };

static bool token(void *ctx, const struct text_token *t)
{
    struct text *x = ctx;
    (void)t;
    atomic_fetch_add(&x->n_token, 1);
    while (atomic_load(&x->hold))
        nap();
    return true;
}

static void done(void *ctx, enum text_end end, int n_kept, const struct err *e)
{
    struct text *x = ctx;
    (void)n_kept, (void)e;
    x->end = end;
    atomic_store(&x->over, true);
}

static void begin(struct served_model *m, struct text *x, int most)
{
    static const int32_t ids[] = { 1, 2, 3 };
    uint64_t id;
    OK(batch_submit(m->batch, &(struct text_request){ .ids = ids, .n = 3, .most = most, .n_logprob = -1, .token = token, .done = done, .ctx = x }, &id, &err));
}

/* ---- tests ---- */

static void requests_go_to_the_new_version_and_texts_end_on_the_old(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    struct text x = { .hold = true };
    bool is_candidate;
    double wait;
    assert_string_equal(arms_name(a), "tiny");
    assert_int_equal(number_at(a, 0), 1);
    struct served_model *m = arms_take(a, 0, &is_candidate, &wait);
    begin(m, &x, 20);
    while (!atomic_load(&x.n_token))
        nap();
    want(2, 0, 0, RELEASE_NONE, 0);          /* the old one is not kept, but for its text */
    atomic_store(&x.hold, false);            /* steps take turns: the new one's first would wait for this one's */
    wait_for("2 serving");
    assert_int_equal(number_at(a, 999), 2);
    assert_false(was_told("1 gone"));
    while (!text_says(a, "\"state\":\"leaving\""))
        nap();
    while (!atomic_load(&x.over))
        nap();
    assert_int_equal(x.end, TEXT_LENGTH);
    assert_int_equal(x.n_token, 20);
    assert_string_equal(m->version, "tiny@1");
    served_model_drop(m);
    wait_for("1 gone");
    assert_true(was_told("2 loading\n") && was_told("2 ready\n2 serving\n"));
    arms_close(a);
}

static void a_share_of_places_gets_the_candidate_and_going_back_loads_nothing(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    uint64_t salt;
    assert_false(arms_splits(a, &salt));
    want(1, 2, 0, RELEASE_CANARY, 100);
    wait_for("2 serving");
    assert_true(arms_splits(a, &salt) && salt == 7);
    for (int place = 0; place < RELEASE_ALL; place++)
        assert_int_equal(number_at(a, place), place < 100 ? 2 : 1);
    want(1, 2, 0, RELEASE_AB, 500);
    while (number_at(a, 499) != 2)
        nap();
    assert_int_equal(number_at(a, 500), 1);
    want(2, 0, 1, RELEASE_NONE, 0);
    while (number_at(a, 999) != 2)
        nap();
    want(1, 0, 0, RELEASE_NONE, 0);
    wait_until_answered_by(a, 1);
    wait_for("2 gone");
    assert_false(was_told("loading"));
    arms_close(a);
}

static void green_and_shadow_get_no_requests(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    uint64_t salt;
    static const enum release_mode modes[] = { RELEASE_GREEN, RELEASE_SHADOW };
    for (int i = 0; i < 2; i++) {
        want(1, 2 + i, 0, modes[i], 999);
        wait_for("ready");
        nap();
        assert_false(arms_splits(a, &salt));
        for (int place = 0; place < 1000; place += 37)
            assert_int_equal(number_at(a, place), 1);
    }
    want(3, 0, 1, RELEASE_NONE, 0);
    wait_until_answered_by(a, 3);
    arms_close(a);
}

static void a_version_that_does_not_load_changes_nothing(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    want_at(1, 2, "/nowhere/at/all", 0, RELEASE_CANARY, 999);
    wait_for("2 failed");
    assert_true(was_told("/nowhere/at/all"));
    assert_true(text_says(a, "\"state\":\"failed\"") && text_says(a, "/nowhere/at/all"));
    assert_int_equal(number_at(a, 0), 1);
    want(1, 2, 0, RELEASE_CANARY, 999);      /* said again, and now it is there */
    wait_for("2 serving");
    assert_int_equal(number_at(a, 0), 2);
    arms_close(a);
}

static void a_version_that_is_looked_at_for_long_holds_nothing_up(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    want(2, 0, 1, RELEASE_NONE, 0);
    wait_until_answered_by(a, 2);
    const int n = atomic_load(&look.n);
    atomic_store(&look.holds, true);
    want(2, 3, 1, RELEASE_CANARY, 500);
    while (atomic_load(&look.n) == n)
        nap();
    want(1, 0, 0, RELEASE_NONE, 0);          /* a rollback meanwhile */
    wait_until_answered_by(a, 1);
    assert_true(atomic_load(&look.holds));
    atomic_store(&look.refuses, true);
    want(1, 3, 0, RELEASE_CANARY, 500);
    atomic_store(&look.holds, false);
    wait_for("3 failed: ");
    assert_true(was_told("is signed by nobody"));
    assert_int_equal(number_at(a, 0), 1);
    atomic_store(&look.refuses, false);
    arms_close(a);
}

static void a_source_that_is_away_leaves_all_as_it_is(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    pthread_mutex_lock(&src.lock);
    src.gone = true;
    pthread_mutex_unlock(&src.lock);
    want(2, 0, 1, RELEASE_NONE, 0);
    while (!text_says(a, "\"reachable\":false"))
        nap();
    assert_int_equal(number_at(a, 0), 1);
    pthread_mutex_lock(&src.lock);
    src.gone = false;
    pthread_mutex_unlock(&src.lock);
    wait_until_answered_by(a, 2);
    assert_true(text_says(a, "\"reachable\":true"));
    arms_close(a);
}

static void what_does_not_fit_is_refused_with_the_sizes(void **state)
{
    (void)state;
    struct arms *a = open_arms(model_bytes * 3 / 2, false);
    want(2, 0, 1, RELEASE_NONE, 0);
    wait_for("2 failed");
    assert_true(was_told("version 1 takes") && was_told("is left"));
    assert_int_equal(number_at(a, 0), 1);
    assert_true(memory.taken == model_bytes);
    arms_close(a);
    assert_true(memory.taken == 0);
}

static void with_swap_the_old_one_goes_first(void **state)
{
    (void)state;
    struct arms *a = open_arms(model_bytes * 3 / 2, true);
    want(2, 0, 1, RELEASE_NONE, 0);
    wait_for("a pause of about");
    wait_for("1 gone");
    wait_until_answered_by(a, 2);
    arms_close(a);
}

static void swap_green(const char *path)
{
    pthread_mutex_lock(&src.lock);
    src.wanted = (struct arms_wanted){ .stable = version(1, run), .candidate = version(2, path), .mode = RELEASE_GREEN, .swap = true, .salt = 7, .seq = src.wanted.seq + 1 };
    src.changed = true, src.told[0] = 0;
    pthread_mutex_unlock(&src.lock);
}

static void a_candidate_with_swap_takes_the_place_before_it_is_stable(void **state)
{
    (void)state;
    struct arms *a = open_arms(model_bytes * 3 / 2, false);
    struct text x = { .hold = true };
    bool is_candidate;
    double wait;
    struct served_model *m = arms_take(a, 0, &is_candidate, &wait);
    begin(m, &x, 20);
    while (!atomic_load(&x.n_token))
        nap();
    swap_green(run);
    wait_for("a pause of about");
    assert_int_equal(number_at(a, 0), 0);
    assert_false(arms_wait(a, 0.01));
    atomic_store(&x.hold, false);
    while (!atomic_load(&x.over))
        nap();
    assert_int_equal(x.end, TEXT_LENGTH);
    assert_int_equal(x.n_token, 20);
    assert_false(was_told("1 gone"));
    served_model_drop(m);
    while (!arms_wait(a, 0.1))
        ;
    assert_int_equal(number_at(a, 0), 2);
    wait_for("2 serving: after a pause of");
    want(2, 0, 1, RELEASE_NONE, 0);          /* it is settled, and there is no room to keep the old one */
    wait_for("1 gone: there is no room");
    assert_int_equal(number_at(a, 0), 2);
    arms_close(a);
}

static void sizes_are_told_with_the_pause_that_a_swap_would_take(void **state)
{
    (void)state;
    struct arms *a = open_arms(model_bytes * 3 / 2, false);
    want(1, 2, 0, RELEASE_GREEN, 0);
    wait_for("2 failed");
    assert_true(was_told("weights") && was_told("keys and values") && was_told("steps") && was_told("for all") && was_told("with --swap it would take the place, after a pause of about"));
    assert_int_equal(number_at(a, 0), 1);
    arms_close(a);
}

/* Its plan is as large, but there is no tokenizer, which only shows when there is room. */
static void after_a_swap_in_vain_the_old_one_comes_back(void **state)
{
    (void)state;
    char bad[400], from[400], to[500];
    struct arms *a = open_arms(model_bytes * 3 / 2, true);
    snprintf(bad, sizeof bad, "%s/bad", dir);
    OK(file_mkdirs(bad, &err));
    for (int i = 0; i < 2; i++) {
        static const char *const names[] = { "config.json", "model.safetensors" };
        snprintf(from, sizeof from, "%s/%s", run, names[i]);
        snprintf(to, sizeof to, "%s/%s", bad, names[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    pthread_mutex_lock(&src.lock);
    src.wanted.stable = version(2, bad);
    src.wanted.seq++, src.changed = true, src.told[0] = 0;
    pthread_mutex_unlock(&src.lock);
    wait_for("2 failed");
    wait_for("1 serving: after a pause of");
    assert_true(was_told("1 gone"));
    assert_int_equal(number_at(a, 0), 1);
    swap_green(bad);                         /* the same as a candidate */
    wait_for("2 failed");
    wait_for("1 serving: after a pause of");
    assert_int_equal(number_at(a, 0), 1);
    arms_close(a);
}

static void what_was_kept_for_going_back_makes_room_for_a_candidate(void **state)
{
    (void)state;
    struct arms *a = open_arms(model_bytes * 5 / 2, false);
    want(2, 0, 1, RELEASE_NONE, 0);
    wait_until_answered_by(a, 2);
    want(2, 3, 1, RELEASE_CANARY, 500);
    wait_for("3 serving");
    assert_true(was_told("1 gone"));
    assert_int_equal(number_at(a, 0), 3);
    assert_int_equal(number_at(a, 999), 2);
    arms_close(a);
}

/* ---- shadows ---- */

static struct { struct served_model *candidate; struct shadow *shadow; double logprob; int change; } sh;

/* The change-th token is said to be another. */
static bool shadow_token(void *ctx, const struct text_token *t)
{
    struct text *x = ctx;
    const int i = atomic_fetch_add(&x->n_token, 1);
    shadow_add(sh.shadow, i == sh.change ? (t->id + 1) % 200 : t->id);
    sh.logprob += (double)t->logprob;
    return true;
}

static void compare(struct arms *a, int change)
{
    static const int32_t ids[] = { 1, 2, 3 };
    struct text x = { 0 };
    uint64_t id;
    struct served_model *m = arms_stable(a);
    sh.shadow = shadow_new(sh.candidate, ids, 3, true), sh.logprob = 0, sh.change = change;
    assert_non_null(sh.shadow);
    OK(batch_submit(m->batch, &(struct text_request){ .ids = ids, .n = 3, .most = 8, .n_logprob = 0, .token = shadow_token, .done = done, .ctx = &x }, &id, &err));
    while (!atomic_load(&x.over))
        nap();
    shadow_end(sh.shadow, sh.logprob);
    while (atomic_load(&sh.candidate->shadow.flight))
        nap();
    served_model_drop(m);
}

static void a_shadow_of_the_same_model_agrees_and_of_another_text_says_where_not(void **state)
{
    (void)state;
    struct arms *a = open_arms(SIZE_MAX, false);
    assert_null(arms_shadow(a));
    want(1, 2, 0, RELEASE_SHADOW, 0);
    while (!(sh.candidate = arms_shadow(a)))
        nap();
    assert_int_equal(number_at(a, 0), 1);
    struct shadow_counts *c = &sh.candidate->shadow;
    compare(a, -1);
    assert_true(c->n_text == 1 && c->n_greedy == 1 && c->n_same == 1 && c->n_until == 8 && c->n_greedy_token == 8 && c->n_token == 8);
    assert_true(c->log_ratio > -1e-4 && c->log_ratio < 1e-4);
    compare(a, 5);
    assert_true(c->n_text == 2 && c->n_same == 1 && c->n_until == 8 + 5 && c->n_greedy_token == 16);
    assert_true(text_says(a, "\"greedy_texts\":2") && text_says(a, "\"same\":0.5"));
    struct shadow *many[SHADOW_MOST];
    for (int i = 0; i < SHADOW_MOST; i++)
        assert_non_null(many[i] = shadow_new(sh.candidate, &(int32_t){ 1 }, 1, false));
    assert_null(shadow_new(sh.candidate, &(int32_t){ 1 }, 1, false));
    assert_true(c->n_passed == 1);
    for (int i = 0; i < SHADOW_MOST; i++)
        shadow_free(many[i]);
    served_model_drop(sh.candidate);
    want(1, 0, 0, RELEASE_NONE, 0);
    wait_for("2 gone");
    arms_close(a);
}

/* ---- many at once ---- */

static struct arms *busy;
static atomic_bool stop;
static atomic_int n_asked;

static void *ask_on(void *ctx)
{
    unsigned place = *(const unsigned *)ctx;
    while (!atomic_load(&stop)) {
        struct text x = { 0 };
        bool is_candidate;
        double wait;
        place = (place * 1103515245 + 12345) % RELEASE_ALL;
        struct served_model *m = arms_take(busy, (int)place, &is_candidate, &wait), *all[ARMS_MAX];
        assert_non_null(m);
        begin(m, &x, 3);
        for (int n = arms_hold(busy, all); n > 0; n--)
            served_model_drop(all[n - 1]);
        while (!atomic_load(&x.over))
            nap();
        assert_int_equal(x.end, TEXT_LENGTH);
        assert_int_equal(x.n_token, 3);
        served_model_drop(m);
        atomic_fetch_add(&n_asked, 1);
    }
    return NULL;
}

static void no_text_is_lost_while_versions_come_and_go(void **state)
{
    (void)state;
    enum { ASKERS = 4, ROUNDS = 5 };
    pthread_t thread[ASKERS];
    static const unsigned first[ASKERS] = { 1, 250, 500, 750 };
    busy = open_arms(SIZE_MAX, false);
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, ask_on, (void *)(uintptr_t)&first[i]), 0);
    for (int i = 0; i < ROUNDS; i++) {
        want(1, 2, 0, RELEASE_CANARY, 100);
        wait_for("2 serving");
        want(2, 0, 1, RELEASE_NONE, 0);
        wait_until_answered_by(busy, 2);
        want(1, 0, 0, RELEASE_NONE, 0);      /* back */
        wait_for("2 gone");
        assert_int_equal(number_at(busy, 0), 1);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(thread[i], NULL);
    assert_true(n_asked > 0);
    arms_close(busy);
}

/* ---- places ---- */

/* By hashlib: int.from_bytes(sha256(salt.to_bytes(8, "big") + kind + b"\0" + sha256(id).digest()).digest()[:8], "big") % 1000 */
static void places_are_those_of_the_formula(void **state)
{
    (void)state;
    assert_int_equal(sticky_place(0, "user", "", 0), 107);
    assert_int_equal(sticky_place(1, "user", "anna", 4), 888);
    assert_int_equal(sticky_place(UINT64_MAX, "user", "anna", 4), 38);
    assert_int_equal(sticky_place(1, "conversation", "anna", 4), 526);
    assert_int_equal(sticky_place(1, "key", "team-a", 6), 261);
}

static int set_up(void **state)
{
    (void)state;
    struct served_model *m;
    if (served_open(&m, dir, &err))
        return -1;
    model_bytes = m->bytes;
    served_model_close(m);
    snprintf(run, sizeof run, "%s/run", dir);
    model_opts = (struct served_model_opts){ .build = "test", .name = "tiny", .n_text = 2, .step_tokens = 64, .n_thread = 1, .n_queue = 16 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_to_the_new_version_and_texts_end_on_the_old),
        cmocka_unit_test(a_share_of_places_gets_the_candidate_and_going_back_loads_nothing),
        cmocka_unit_test(green_and_shadow_get_no_requests),
        cmocka_unit_test(a_version_that_does_not_load_changes_nothing),
        cmocka_unit_test(a_version_that_is_looked_at_for_long_holds_nothing_up),
        cmocka_unit_test(a_source_that_is_away_leaves_all_as_it_is),
        cmocka_unit_test(what_does_not_fit_is_refused_with_the_sizes),
        cmocka_unit_test(with_swap_the_old_one_goes_first),
        cmocka_unit_test(a_candidate_with_swap_takes_the_place_before_it_is_stable), cmocka_unit_test(sizes_are_told_with_the_pause_that_a_swap_would_take),
        cmocka_unit_test(after_a_swap_in_vain_the_old_one_comes_back),
        cmocka_unit_test(what_was_kept_for_going_back_makes_room_for_a_candidate),
        cmocka_unit_test(a_shadow_of_the_same_model_agrees_and_of_another_text_says_where_not),
        cmocka_unit_test(no_text_is_lost_while_versions_come_and_go),
        cmocka_unit_test(places_are_those_of_the_formula),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
