/* test_follow.c - a version's answers against its reference, as somebody asks again and again. */
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "watch/answers.h"
#include "watch/follow.h"

#define SECOND INT64_C(1000000000)

static struct err err;
static struct registry *g;
static struct events *e;
static int n_written;

/* Half of what is said of the reference's answers is good. */
static char *reference_text(void)
{
    struct reference *r;
    json_t *o;
    OK(reference_new(&r, &(struct reference_opts){ 0 }, &err));
    OK(reference_signal(r, "prompt_tokens", WATCH_NUMBER, 0, &err));
    OK(reference_signal(r, ANSWER_FEEDBACK, WATCH_NUMBER, 0, &err));
    for (uint64_t i = 0; i < 200; i++)
        OK(reference_add(r, (struct watch_value[]){ WATCH_OF_NUMBER(100 * rng_uniform(1, i)), WATCH_OF_NUMBER(i % 2 ? 1 : -1) }, &err));
    OK(reference_close(r, &err));
    OK(reference_to_json(&o, r, &err));
    char *text = tree_dumps(o, JSON_COMPACT);
    reference_free(r);
    json_decref(o);
    return text;
}

static struct registry_version add(const char *weights, bool with_reference)
{
    struct registry_version v;
    const char *list[] = { in_dir("reference.json") };
    char model[300];
    put_in_dir("weights", weights);
    snprintf(model, sizeof model, "%s", in_dir("weights"));
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = model, .evidence = list, .n_evidence = with_reference }, &(struct journal_by){ "ann", "why" }, &v, &err));
    return v;
}

static int begin(void **state)
{
    if (make_dir(state))
        return -1;
    char *text = reference_text();
    put_in_dir("reference.json", text);
    mem_free(text);
    OK(registry_open(&g, in_dir("registry"), true, &err));
    OK(events_open(&e, in_dir("events.db"), true, &err));
    return 0;
}

static int end(void **state)
{
    events_close(e);
    registry_close(g);
    return remove_dir(state);
}

/* n answers of a version, to prompts of about `longer` tokens more than those of the reference; score: what is said of each, NAN: nothing. */
static void answer(const struct registry_version *v, int n, double longer, double score)
{
    OK(db_begin(events_db(e), &err));
    for (int i = 0; i < n; i++) {
        struct event ev = { .t = when_now(), .version = v->number, .prompt_tokens = (int64_t)(longer + 100 * rng_uniform(2, (uint64_t)n_written)), .cached_tokens = -1, .answer_tokens = 5, .prompt_nll = (double)NAN,
                            .entropy = (double)NAN, .confidence = (double)NAN, .logprob = (double)NAN, .experts_effective = (double)NAN, .refused = -1, .schema_ok = -1, .tool_calls = -1, .tool_ok = -1, .first_s = 0.5, .total_s = 1 };
        snprintf(ev.id, sizeof ev.id, "a%d", n_written++), snprintf(ev.model, sizeof ev.model, "m"), snprintf(ev.root, sizeof ev.root, "%s", v->root), snprintf(ev.finish, sizeof ev.finish, "stop");
        OK(events_write(e, &ev, 0, &err));
    }
    OK(db_commit(events_db(e), &err));
    for (int i = 0; i < n && !isnan(score); i++) {
        char id[16];
        int64_t said;
        snprintf(id, sizeof id, "a%d", n_written - n + i);
        OK(events_feedback(e, &(struct feedback){ .id = id, .choice = -1, .owner = "", .score = score }, 0, &said, &err));
    }
}

/* As it is told when all that was written has settled; the caller's. */
static json_t *told(struct follow *f)
{
    json_t *o;
    OK(follow_read(f, e, when_now() + ANSWERS_SETTLE_NS + 1, &err));
    OK(follow_json(&o, f, e, NULL, &err));
    return o;
}

static int64_t number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }
static const json_t *signal_of(const json_t *o, size_t i) { return json_array_get(json_object_get(json_object_get(o, "report"), "signals"), i); }
static const json_t *monitored(const json_t *o, size_t i) { return json_object_get(signal_of(o, i), "every_event"); }
static bool alarmed(const json_t *o, size_t i) { return json_is_true(json_object_get(monitored(o, i), "alarmed")); }

static void answers_are_read_once_and_a_change_is_told(void **state)
{
    (void)state;
    const struct registry_version v = add("one", true);
    struct follow *f;
    OK(follow_new(&f, g, &v, 0.01, 0, &err));
    answer(&v, 50, 0, (double)NAN);
    OK(follow_read(f, e, when_now() - 10 * SECOND, &err));           /* not settled yet */
    json_t *o = told(f);
    assert_true(number(o, "answers") == 50 && number(o, "effect_of") == 50 && !alarmed(o, 0));
    assert_int_equal(number(json_object_get(o, "reference"), "events"), 200);
    json_decref(o);
    o = told(f);
    assert_int_equal(number(o, "answers"), 50);
    json_decref(o);
    answer(&v, 500, 80, (double)NAN);
    o = told(f);
    assert_true(number(o, "answers") == 550 && number(o, "effect_of") == FOLLOW_WINDOW && alarmed(o, 0) && number(monitored(o, 0), "alarmed_at") > 50);
    assert_true(json_number_value(json_object_get(signal_of(o, 0), "effect")) > 1);
    const json_t *at = json_object_get(o, "at"), *path = json_object_get(signal_of(o, 0), "path");
    const size_t n = json_array_size(at);
    assert_true(n <= FOLLOW_POINTS && n > FOLLOW_POINTS / 3 && json_array_size(path) == n);
    for (size_t i = 1; i < n; i++)
        assert_true(json_integer_value(json_array_get(json_array_get(at, i - 1), 0)) <= json_integer_value(json_array_get(json_array_get(at, i), 0)));
    assert_int_equal(json_integer_value(json_array_get(json_array_get(at, n - 1), 0)), 550);
    json_decref(o);
    follow_free(f);
}

/* It comes later than the answer, which was read before. */
static void what_is_said_of_answers_is_watched_when_it_comes(void **state)
{
    (void)state;
    const struct registry_version v = add("two", true);
    struct follow *f;
    OK(follow_new(&f, g, &v, 0.01, 0, &err));
    answer(&v, 60, 0, (double)NAN);
    json_t *o = told(f);
    assert_true(number(monitored(o, 0), "events") == 60 && number(monitored(o, 1), "events") == 0);
    json_decref(o);
    answer(&v, 60, 0, -1);
    o = told(f);
    assert_true(number(o, "answers") == 120 && number(monitored(o, 0), "events") == 120 && number(monitored(o, 1), "events") == 60);
    assert_true(alarmed(o, 1) && !alarmed(o, 0) && json_number_value(json_object_get(signal_of(o, 1), "effect")) > 0.5);
    json_decref(o);
    follow_free(f);
    OK(follow_new(&f, g, &v, 0.01, 0, &err));                        /* who begins later sees the same of each */
    o = told(f);
    assert_true(number(o, "answers") == 120 && number(monitored(o, 0), "events") == 120 && number(monitored(o, 1), "events") == 60 && alarmed(o, 1));
    json_decref(o);
    follow_free(f);
}

static void a_version_without_a_reference_has_that_of_the_one_before(void **state)
{
    (void)state;
    const struct registry_version before = add("three", true), v = add("four", false);
    struct follow *f;
    bool current;
    OK(follow_new(&f, g, &v, 0.01, 0, &err));
    answer(&v, 30, 0, (double)NAN), answer(&before, 30, 0, (double)NAN);
    json_t *o = told(f);
    assert_true(number(o, "version") == v.number && number(o, "answers") == 30 && number(json_object_get(o, "reference"), "version") == before.number);
    json_decref(o);
    OK(follow_is_current(&current, f, g, &err));
    assert_true(current);
    const char *list[] = { in_dir("reference.json") };
    OK(registry_attach(g, &v, &(struct registry_addition){ .evidence = list, .n_evidence = 1 }, &(struct journal_by){ "ann", "its own" }, &err));
    OK(follow_is_current(&current, f, g, &err));
    assert_false(current);
    follow_free(f);
}

static void without_any_reference_nothing_can_be_told(void **state)
{
    (void)state;
    struct registry_version v;
    struct follow *f;
    put_in_dir("weights", "other");
    OK(registry_add(g, &(struct registry_addition){ .name = "other", .kind = "model", .path = in_dir("weights") }, &(struct journal_by){ "ann", "why" }, &v, &err));
    assert_int_equal(follow_new(&f, g, &v, 0.01, 0, &err), ERR_NOTFOUND);
    assert_null(f);
    assert_non_null(strstr(err.msg, "no version of other up to 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_once_and_a_change_is_told),
        cmocka_unit_test(what_is_said_of_answers_is_watched_when_it_comes),
        cmocka_unit_test(a_version_without_a_reference_has_that_of_the_one_before),
        cmocka_unit_test(without_any_reference_nothing_can_be_told),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
