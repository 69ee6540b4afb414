/* test_rules.c - rules of a watch: what is read, what is refused with its place, when one fires; and answers as signals. */
#include "../test.h"
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/rng.h"
#include "watch/alert.h"
#include "watch/answers.h"
#include "watch/rules.h"

static struct err err;

static int parse(struct rules *out, const char *text, const struct reference *r) { return rules_parse(out, text, strlen(text), true, "rules.yaml", r, &err); }

static struct reference *two_signals(void)
{
    struct reference *r;
    OK(reference_new(&r, &(struct reference_opts){ 0 }, &err));
    OK(reference_signal(r, "nll", WATCH_NUMBER, 0, &err));
    OK(reference_signal(r, "finish", WATCH_CATEGORY, 0, &err));
    for (int i = 0; i < 40; i++)
        OK(reference_add(r, (struct watch_value[]){ WATCH_OF_NUMBER(i), WATCH_OF_TEXT("stop", 4) }, &err));
    OK(reference_close(r, &err));
    return r;
}

static void rules_are_read(void **state)
{
    (void)state;
    struct reference *r = two_signals();
    struct rules rules;
    char what[160];
    OK(parse(&rules, "- {signal: nll, when: alarm, for: 3, do: [alert, rollback], webhook: 'https://x.org/y', mail: a@b.c}\n- {when: effect > 0.5, do: exit}\n", r));
    assert_int_equal(rules.n, 2);
    assert_string_equal(rules.rule[0].signal, "nll");
    assert_true(rules.rule[0].alarm && rules.rule[0].looks == 3 && rules.rule[0].todo == (RULE_ALERT | RULE_ROLLBACK));
    assert_string_equal(rules.rule[0].webhook, "https://x.org/y");
    assert_string_equal(rules.rule[0].mail, "a@b.c");
    assert_true(!*rules.rule[1].signal && !rules.rule[1].alarm && rules.rule[1].effect == 0.5 && rules.rule[1].looks == 1 && rules.rule[1].todo == RULE_EXIT);
    rule_describe(&rules.rule[0], what);
    assert_string_equal(what, "alert, rollback");
    rules_release(&rules);
    reference_free(r);
}

static void what_is_wrong_with_a_rule_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct { const char *text, *told; } bad[] = {
        { "", "expected a list" }, { "a: b", "expected a list" }, { "[]", "expected a list" }, { "- 1", "rule 1: expected a rule" },
        { "- {when: alarm, do: exit}\n- {when: alarm, do: exit, wen: 1}", "rule 2: found 'wen'" },
        { "- {do: exit}", "when" }, { "- {when: always, do: exit}", "found 'always'" }, { "- {when: effect < 1, do: exit}", "expected alarm, worse or effect" }, { "- {when: effect > x, do: exit}", "expected alarm, worse or effect" },
        { "- {when: effect > 1 2, do: exit}", "expected alarm, worse or effect" }, { "- {when: effect > -1, do: exit}", "expected alarm, worse or effect" }, { "- {when: effect > inf, do: exit}", "expected alarm, worse or effect" },
        { "- {when: alarm}", "do: found" }, { "- {when: alarm, do: []}", "empty list" }, { "- {when: alarm, do: reboot}", "found 'reboot'" }, { "- {when: alarm, do: [exit, 1]}", "do: found" },
        { "- {when: alarm, do: exit, for: 0}", "for" }, { "- {when: alarm, do: exit, signal: ppl}", "no signal 'ppl', expected any or one of nll, finish" },
        { "- {when: alarm, do: exit, mail: a@b}", "do: alert" }, { "- {when: alarm, do: alert, webhook: 'file:///etc/passwd'}", "expected http" },
        { "- {when: alarm, do: alert, mail: '-oQ/tmp@x'}", "one address" }, { "- {when: alarm, do: alert, mail: \"a@b\\nBcc: c@d\"}", "one address" }, { "- {when: alarm, do: exit, signal: ''}", "signal" },
        { "- {when: worse, do: exit}", "expected signal: feedback" }, { "- {when: worse, signal: nll, do: exit}", "expected signal: feedback" },
    };
    struct reference *r = two_signals();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rules rules;
        err.msg[0] = 0;
        if (parse(&rules, bad[i].text, r) >= 0 || !strstr(err.msg, bad[i].told))
            fail_msg("'%s': '%s', expected '%s'", bad[i].text, err.msg, bad[i].told);
        assert_true(rules.n == 0 && !rules.rule);
    }
    reference_free(r);
}

static int look_at(struct rules *rules, int from, const struct reference *r, const bool *alarmed, const double *effect, int *signal)
{
    return rules_look(rules, from, r, &(struct rules_seen){ alarmed, effect, false }, signal);
}

static void a_rule_fires_once_after_so_many_looks(void **state)
{
    (void)state;
    struct reference *r = two_signals();
    struct rules rules;
    int signal = -1;
    OK(parse(&rules, "- {signal: nll, when: alarm, for: 2, do: exit}\n- {when: effect > 0.5, do: exit}\n", r));
    const bool calm[] = { false, false }, alarmed[] = { true, false }, other[] = { false, true };
    const double small[] = { 0.5, NAN }, large[] = { NAN, 0.6 };
    assert_int_equal(look_at(&rules, 0, r, calm, small, &signal), -1);
    assert_int_equal(look_at(&rules, 0, r, other, small, &signal), -1);               /* of another signal */
    assert_int_equal(look_at(&rules, 0, r, alarmed, large, &signal), 1);              /* the first has one look, the second fires */
    assert_int_equal(signal, 1);
    assert_int_equal(look_at(&rules, 2, r, alarmed, large, &signal), -1);
    assert_int_equal(look_at(&rules, 0, r, alarmed, large, &signal), 0);
    assert_int_equal(signal, 0);
    assert_int_equal(look_at(&rules, 1, r, alarmed, large, &signal), -1);
    assert_int_equal(look_at(&rules, 0, r, alarmed, large, &signal), -1);             /* once */
    assert_int_equal(look_at(&rules, 0, r, calm, small, &signal), -1);
    assert_int_equal(look_at(&rules, 0, r, alarmed, small, &signal), -1);
    assert_int_equal(look_at(&rules, 0, r, alarmed, small, &signal), 0);
    rules_release(&rules);
    reference_free(r);
}

static void a_candidate_that_is_called_worse_is_a_rule_of_its_own(void **state)
{
    (void)state;
    struct reference *r = two_signals();                         /* which has no feedback */
    struct rules rules;
    int signal = 7;
    const bool alarmed[] = { true, true };
    const double effect[] = { 9, 9 };
    OK(parse(&rules, "- {signal: nll, when: effect > 10, do: exit}\n", r));
    assert_false(rules_compare(&rules));
    rules_release(&rules);
    OK(parse(&rules, "- {signal: feedback, when: worse, do: stop_canary}\n", r));
    assert_true(rules_compare(&rules) && rules.rule[0].worse);
    assert_int_equal(rules_look(&rules, 0, r, &(struct rules_seen){ alarmed, effect, false }, &signal), -1);
    assert_int_equal(rules_look(&rules, 0, r, &(struct rules_seen){ alarmed, effect, true }, &signal), 0);
    assert_int_equal(signal, -1);
    assert_int_equal(rules_look(&rules, 0, r, &(struct rules_seen){ alarmed, effect, true }, &signal), -1);
    rules_release(&rules);
    reference_free(r);
}

/* ---- answers ---- */

static struct event answer(int i)
{
    struct event ev = { .t = 1000 + i, .prompt_tokens = 10 + i % 7, .answer_tokens = 5 + i % 3, .prompt_nll = i % 4 ? 2.0 + i % 5 : (double)NAN, .entropy = 1, .confidence = 0.5, .logprob = -5, .n_sketch = EVENT_SKETCH,
                        .schema_ok = i < 15, .tool_calls = -1, .tool_ok = -1, .first_s = 0.1, .total_s = 1, .score = (double)NAN };
    ev.schema_ok = i < 15 ? 1 : -1;
    snprintf(ev.id, sizeof ev.id, "a%d", i);
    strcpy(ev.model, "m"), strcpy(ev.finish, i % 10 == 9 ? "cancelled" : "stop"), strcpy(ev.prompt_language, "en");
    for (int k = 0; k < EVENT_SKETCH; k++)
        ev.sketch[k] = (float)rng_normal(3, (uint64_t)(i * EVENT_SKETCH + k));
    return ev;
}

static void a_reference_has_the_signals_that_enough_answers_have(void **state)
{
    (void)state;
    struct events *e;
    struct reference *r;
    OK(events_open(&e, test_dir, true, &err));
    assert_int_equal(answers_reference(&r, e, &(struct events_where){ 0 }, NULL, 1, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "found 0 answers"));
    OK(db_begin(events_db(e), &err));
    for (int i = 0; i < 100; i++) {
        const struct event ev = answer(i);
        OK(events_write(e, &ev, 0, &err));
    }
    OK(db_commit(events_db(e), &err));
    for (int i = 0; i < 30; i++) {
        struct event ev = answer(i);
        int64_t n;
        OK(events_feedback(e, &(struct feedback){ .id = ev.id, .choice = -1, .owner = "", .score = i % 3 - 1 }, INT64_MAX, &n, &err));
    }
    OK(answers_reference(&r, e, &(struct events_where){ .model = "m" }, NULL, 1, &err));
    assert_int_equal(reference_events(r), 100);
    assert_true(reference_find(r, ANSWER_FEEDBACK) >= 0);
    assert_true(reference_find(r, "prompt_nll") >= 0 && reference_find(r, "finish") >= 0 && reference_find(r, "sketch") >= 0);
    assert_int_equal(reference_find(r, "schema_ok"), -1);        /* 15 have it */
    assert_int_equal(reference_find(r, "answer_language"), -1);  /* none */
    struct watch_value value[ANSWER_SIGNALS];
    struct event ev = answer(4);                                 /* its prompt was in the cache */
    answer_values_for(value, r, &ev);
    assert_int_equal(value[reference_find(r, "prompt_nll")].state, WATCH_ABSENT);
    assert_true(value[reference_find(r, "prompt_tokens")].number == 14);
    ev.score = -0.5;
    answer_feedback_for(value, r, &ev);                          /* of what is said later: only that */
    for (int i = 0; i < reference_count(r); i++)
        assert_int_equal(value[i].state, i == reference_find(r, ANSWER_FEEDBACK) ? WATCH_GIVEN : WATCH_ABSENT);
    ev = answer(9);                                              /* cancelled: only that */
    answer_values_for(value, r, &ev);
    assert_int_equal(value[reference_find(r, "prompt_tokens")].state, WATCH_ABSENT);
    assert_memory_equal(value[reference_find(r, "finish")].text, "cancelled", 9);
    reference_free(r);
    OK(answers_reference(&r, e, &(struct events_where){ .model = "m" }, "entropy, finish,schema_ok", 1, &err));
    assert_int_equal(reference_count(r), 2);
    assert_true(reference_find(r, "entropy") >= 0 && reference_find(r, "finish") >= 0);
    reference_free(r);
    assert_int_equal(answers_reference(&r, e, &(struct events_where){ .model = "m" }, "entropy,promt_nll", 1, &err), ERR_USAGE);
    assert_string_equal(err.msg, "answers have no signal 'promt_nll'; did you mean 'prompt_nll'?");
    assert_int_equal(answers_reference(&r, e, &(struct events_where){ .model = "m" }, "schema_ok", 1, &err), ERR_RANGE);
    events_close(e);
}

/* ---- alerts ---- */

static void a_mail_goes_through_sendmail(void **state)
{
    (void)state;
    char *path = file_join(test_dir, "sendmail"), *got = file_join(test_dir, "got");
    char script[400];
    snprintf(script, sizeof script, "#!/bin/sh\necho \"$@\" > %s\ncat >> %s\n", got, got);
    OK(file_write_all(path, script, strlen(script), &err));
    assert_int_equal(chmod(path, 0755), 0);
    char *before = mem_strdup(getenv("PATH")), *now = mem_printf("%s:%s", test_dir, before);
    setenv("PATH", now, 1);
    OK(alert_mail("ops@example.org", "it has changed\r\nBcc: x@y", "prompt_nll", &err));
    struct buf b;
    buf_init(&b);
    OK(file_read(got, 10000, &b, &err));
    assert_string_equal(b.data, "-t -oi\nTo: ops@example.org\nSubject: it has changed\nContent-Type: text/plain; charset=utf-8\n\nprompt_nll\n");
    buf_release(&b);
    snprintf(script, sizeof script, "#!/bin/sh\nexit 75\n");
    OK(file_write_all(path, script, strlen(script), &err));
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(alert_mail("ops@example.org", "s", "t", &err), ERR_IO);
    assert_non_null(strstr(err.msg, "75"));
    setenv("PATH", before, 1);
    mem_free(path), mem_free(got), mem_free(before), mem_free(now);
}

static void a_webhook_that_nobody_answers_is_told(void **state)
{
    (void)state;
    json_t *o = json_pack("{s:s}", "signal", "nll");
    assert_int_equal(alert_webhook("http://127.0.0.1:1/hook", o, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "127.0.0.1:1"));
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_read), cmocka_unit_test(what_is_wrong_with_a_rule_is_told_with_its_place), cmocka_unit_test(a_rule_fires_once_after_so_many_looks), cmocka_unit_test(a_candidate_that_is_called_worse_is_a_rule_of_its_own),
        cmocka_unit_test_setup_teardown(a_reference_has_the_signals_that_enough_answers_have, make_dir, remove_dir), cmocka_unit_test_setup_teardown(a_mail_goes_through_sendmail, make_dir, remove_dir),
        cmocka_unit_test(a_webhook_that_nobody_answers_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
