/* test_releases.c - a registry's releases over HTTP: what is shown, what is changed, and who may. */
#include <math.h>
#include "../test.h"
#include "../visited.h"
#include "base/file.h"
#include "base/tree.h"
#include "serve/openai_reply.h"
#include "serve/releases.h"
#include "serve/releases_view.h"
#include "store/events.h"
#include "store/gate_policy.h"
#include "store/release.h"

static struct err err;
static char registry_at[300], events_at[300];
static struct releases *releases;

/* ---- the server's side ---- */

static void handle(void *ctx, struct http_request *q)
{
    (void)ctx;
    struct refusal e = { 0 };
    visit_begin(q, clients, &e);
    if (!strcmp(http_path(q), "/lathe/report"))
        releases_report(releases, q, &openai_chat_dialect);
    else if (e.status)
        exchange_refuse(q, &openai_chat_dialect, &e);
    else
        releases_answer(strstr(http_path(q), "nothing-here") ? NULL : releases, q, &openai_chat_dialect);
}

/* What the server's starter knows: it says what it was asked for. */
static int drift(void *ctx, struct registry *g, struct events *e, const struct registry_version *v, json_t **out, struct err *err_of)
{
    (void)g, (void)err_of;
    *out = json_pack("{s:s, s:I, s:b}", "of", ctx, "version", (json_int_t)v->number, "events", e != NULL);
    return 0;
}

static int report(void *ctx, struct registry *g, const struct registry_version *v, const char *what, struct buf *out, bool *html, struct err *err_of)
{
    (void)g;
    *html = strcmp(what, "training") != 0;
    return buf_printf(out, err_of, "<p>%s %s@%lld %s", (const char *)ctx, v->name, (long long)v->number, what);
}

static const char *no_load;              /* why versions do not load; NULL: they do */
static int loads(void *ctx, struct registry *g, const struct registry_version *v, struct err *err_of)
{
    (void)ctx, (void)g;
    return no_load ? ERR(err_of, CORRUPT, "%s@%lld %s", v->name, (long long)v->number, no_load) : 0;
}

static const struct releases_more more = { drift, report, loads, "seen" };

static void add(struct registry *g, const char *weights, const char *evidence)
{
    struct registry_version v;
    char model[300], facts[300];
    const char *list[] = { facts };
    snprintf(model, sizeof model, "%s", in_dir("weights")), snprintf(facts, sizeof facts, "%s", in_dir("evidence.json"));
    put_in_dir("weights", weights), put_in_dir("evidence.json", evidence);
    OK(registry_add(g, &(struct registry_addition){ .name = "m", .kind = "model", .path = model, .evidence = list, .n_evidence = 1, .parent = &(struct registry_parent){ "corpus", "data" }, .n_parent = 1 },
                    &(struct journal_by){ "<b>ann</b>", "first" }, &v, &err));
}

static void record(struct registry *g, struct events *e, const char *id, int64_t version, double nll, int64_t tokens, double total_s)
{
    struct registry_version v;
    struct event ev = { .t = when_now(), .version = version, .prompt_nll = nll, .prompt_nll_tokens = tokens, .entropy = (double)NAN, .confidence = (double)NAN, .logprob = (double)NAN, .first_s = 0.5, .total_s = total_s };
    char text[8];
    snprintf(text, sizeof text, "m@%lld", (long long)version);
    OK(registry_find_text(g, text, &v, &err));
    snprintf(ev.id, sizeof ev.id, "%s", id), snprintf(ev.model, sizeof ev.model, "m"), snprintf(ev.root, sizeof ev.root, "%s", v.root), snprintf(ev.arm, sizeof ev.arm, "stable");
    snprintf(ev.finish, sizeof ev.finish, "%s", total_s < 2 ? "stop" : "failed");
    OK(events_write(e, &ev, 0, &err));
}

static void fill(void)
{
    struct registry *g;
    struct events *e;
    OK(registry_open(&g, registry_at, true, &err));
    add(g, "one", "{\"kind\": \"quality\", \"figures\": [{\"name\": \"perplexity\", \"of\": null, \"value\": 12.5}]}");
    add(g, "two", "{\"results\": {\"piqa\": {\"acc,none\": 0.75, \"acc_stderr,none\": 0.01}}, \"configs\": {}}");
    OK(events_open(&e, events_at, true, &err));
    OK(db_begin(events_db(e), &err));
    record(g, e, "a", 1, 2, 10, 1), record(g, e, "b", 1, 4, 30, 2), record(g, e, "c", 2, (double)NAN, 0, 1);
    OK(db_commit(events_db(e), &err));
    events_close(e);
    registry_close(g);
}

static int begin(void **state)
{
    if (make_dir(state))
        return -1;
    snprintf(registry_at, sizeof registry_at, "%s", in_dir("registry")), snprintf(events_at, sizeof events_at, "%s", in_dir("events.db"));
    clients_begin("");
    fill();
    OK(releases_open(&releases, registry_at, events_at, "here", &more, wake, NULL, &err));
    http_begin(handle);
    return 0;
}

static int end(void **state)
{
    releases_halt(releases);
    http_end();
    releases_close(releases);
    clients_free(clients);
    return remove_dir(state);
}

/* ---- the client's side ---- */

static int ask(const char *key, const char *path, const char *json)
{
    char whole[400];
    snprintf(whole, sizeof whole, "/lathe/registry%s", path);
    return send_to(key, whole, json);
}

/* Of a reply with 200; the caller's. */
static json_t *asked(const char *key, const char *path, const char *json)
{
    json_t *o;
    assert_int_equal(ask(key, path, json), 200);
    const char *body = strstr(reply, "\r\n\r\n") + 4;
    OK(tree_parse_json(&o, body, strlen(body), "reply", &err));
    return o;
}

static const json_t *item(const json_t *o, const char *key, size_t i) { return json_array_get(json_object_get(o, key), i); }
static int64_t number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

/* ---- what is shown ---- */

static void test_names_are_listed_with_what_the_key_may(void **state)
{
    (void)state;
    json_t *o = asked("boss", "", NULL);
    assert_true(json_is_true(json_object_get(o, "admin")) && json_is_true(json_object_get(o, "records")));
    assert_string_equal(tree_text_at(item(o, "names", 0), "name"), "m");
    json_decref(o);
    o = asked("one", "/", NULL);
    assert_true(json_is_false(json_object_get(o, "admin")));
    json_decref(o);
}

static void test_versions_come_with_the_figures_of_their_evidence(void **state)
{
    (void)state;
    json_t *o = asked("one", "/m", NULL);
    const json_t *two = item(o, "versions", 0), *one = item(o, "versions", 1);
    assert_int_equal(json_array_size(json_object_get(o, "versions")), 2);
    assert_true(number(two, "number") == 2 && number(one, "number") == 1 && !json_object_get(one, "files"));
    assert_int_equal(json_array_size(json_object_get(two, "figures")), 1);
    assert_string_equal(tree_text_at(item(two, "figures", 0), "figure"), "piqa/acc");
    assert_true(tree_number_at(item(two, "figures", 0), "value") == 0.75);
    assert_string_equal(tree_text_at(item(one, "figures", 0), "figure"), "perplexity");
    assert_true(tree_number_at(item(one, "figures", 0), "value") == 12.5);
    assert_string_equal(tree_text_at(one, "actor"), "<b>ann</b>");
    json_decref(o);
}

static void test_lineage_and_history_are_shown(void **state)
{
    (void)state;
    json_t *o = asked("boss", "/m/lineage?version=1", NULL);
    assert_string_equal(tree_text_at(o, "of"), "m@1");
    assert_string_equal(tree_text_at(item(o, "edges", 0), "parent"), "corpus");
    json_decref(o);
    o = asked("boss", "/m/history?n=1", NULL);
    assert_int_equal(json_array_size(json_object_get(o, "records")), 1);
    json_decref(o);
}

static void test_answers_are_summed_up_by_version(void **state)
{
    (void)state;
    json_t *o = asked("boss", "/m/events?window=1h", NULL);
    assert_int_equal(json_array_size(json_object_get(o, "versions")), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = item(o, "versions", i);
        const bool one = number(v, "version") == 1;
        assert_true(number(v, "answers") == (one ? 2 : 1) && number(v, "failed") == (one ? 1 : 0));
        assert_true(one ? tree_number_at(v, "prompt_nll") == 3.5 && tree_number_at(v, "total_s") == 1.5 : json_is_null(json_object_get(v, "prompt_nll")));
        assert_true(json_is_null(json_object_get(v, "entropy")));
    }
    json_decref(o);
}

static void test_answers_are_shown_by_time(void **state)
{
    (void)state;
    json_t *o = asked("boss", "/m/traffic?window=1h", NULL);
    assert_true(number(o, "steps") == RELEASES_STEPS && tree_number_at(o, "step_s") >= 60 && json_array_size(json_object_get(o, "versions")) == 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = item(o, "versions", i);
        int64_t answers = 0;
        for (size_t k = 0; k < json_array_size(json_object_get(v, "points")); k++)
            answers += number(item(v, "points", k), "answers");
        assert_int_equal(answers, number(v, "version") == 1 ? 2 : 1);
    }
    json_decref(o);
    assert_int_equal(ask("boss", "/m/traffic?window=90000d", NULL), 400);
}

static void test_drift_is_told_of_a_version(void **state)
{
    (void)state;
    json_t *o = asked("boss", "/m/drift?version=1", NULL);
    assert_true(number(o, "version") == 1 && json_is_true(json_object_get(o, "events")));
    assert_string_equal(tree_text_at(o, "of"), "seen");
    json_decref(o);
    o = asked("boss", "/m/drift", NULL);
    assert_int_equal(number(o, "version"), 2);
    json_decref(o);
    assert_int_equal(ask("abc", "/m/drift", NULL), 403);
    assert_int_equal(ask("boss", "/m/drift?version=9", NULL), 404);
}

/* The address of a report, as the page gets it. */
static void address_of(const char *what, char out[400])
{
    char path[200];
    snprintf(path, sizeof path, "/m/open?version=1&what=%s", what);
    json_t *o = asked("boss", path, NULL);
    snprintf(out, 400, "/%s", tree_text_at(o, "url"));
    json_decref(o);
}

static void test_a_report_opens_by_its_address_alone(void **state)
{
    (void)state;
    char url[400], blob[100];
    address_of("training", url);
    assert_int_equal(send_to(NULL, url, NULL), 200);
    assert_non_null(strstr(reply, "text/plain"));
    assert_non_null(strstr(reply, "seen m@1 training"));
    assert_non_null(strstr(reply, "Content-Security-Policy: sandbox; default-src 'none'"));
    json_t *o = asked("boss", "/m", NULL);
    snprintf(blob, sizeof blob, "%s", tree_text_at(item(item(o, "versions", 1), "evidence", 0), "blob"));
    json_decref(o);
    address_of(blob, url);
    assert_int_equal(send_to(NULL, url, NULL), 200);
    assert_non_null(strstr(reply, "text/html"));
    assert_non_null(strstr(reply, blob));
    assert_int_equal(ask("boss", "/m/open?version=1&what=0123", NULL), 404);
    assert_int_equal(ask("boss", "/m/open?version=1", NULL), 404);
    assert_int_equal(ask("abc", "/m/open?version=1&what=training", NULL), 403);
}

/* One letter in the place of another. */
static void put_at(char *url, const char *name, char letter) { strstr(url, name)[strlen(name)] = letter; }

static void test_an_address_that_was_changed_opens_nothing(void **state)
{
    (void)state;
    static const struct { const char *name; char letter; } changes[] = { { "version=", '2' }, { "until=", '9' }, { "what=", 'e' }, { "name=", 'n' }, { "ticket=", 'x' } };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char url[400];
        address_of("training", url);
        put_at(url, changes[i].name, changes[i].letter);
        assert_int_equal(send_to(NULL, url, NULL), 403);
        assert_non_null(strstr(reply, "ticket_over"));
    }
    assert_int_equal(send_to("boss", "/lathe/report?name=m&version=1&what=training&until=99999999999&ticket=", NULL), 403);
    assert_int_equal(send_to("boss", "/lathe/report", NULL), 403);
    assert_int_equal(send_to(NULL, "/lathe/report?version=x", NULL), 400);
}

/* ---- what is refused ---- */

static void test_what_is_not_there_is_404_and_what_is_wrong_400(void **state)
{
    (void)state;
    assert_int_equal(ask("boss", "/unknown", NULL), 404);
    assert_int_equal(ask("boss", "/m/nothing", NULL), 404);
    assert_int_equal(ask("boss", "/m/", NULL), 404);
    assert_int_equal(ask("boss", "/m/promote", NULL), 404);
    assert_int_equal(ask("boss", "/..", NULL), 404);
    assert_int_equal(ask("boss", "/m/lineage?version=9", NULL), 404);
    assert_int_equal(ask("boss", "/m/lineage?version=x", NULL), 400);
    assert_int_equal(ask("boss", "/m/history?n=0", NULL), 400);
    assert_int_equal(ask("boss", "/m/events?window=soon", NULL), 400);
    assert_int_equal(ask("boss", "/nothing-here", NULL), 404);
    assert_non_null(strstr(reply, "no_registry"));
    assert_int_equal(ask("boss", "/m", "{}"), 404);
}

static void test_releases_are_changed_with_an_admins_key_alone(void **state)
{
    (void)state;
    static const char promote[] = "{\"version\": 1, \"reason\": \"go\"}";
    assert_int_equal(ask("wrong", "/m", NULL), 401);
    assert_int_equal(ask("abc", "/m", NULL), 403);
    assert_non_null(strstr(reply, "admin_key_needed"));
    assert_int_equal(ask("abc", "/m/promote", promote), 403);
    assert_int_equal(ask("one", "/m/promote", promote), 403);
    assert_int_equal(ask("one", "/m/rollback", "{\"reason\": \"back\"}"), 403);
    json_t *o = asked("boss", "/m", NULL);
    assert_int_equal(json_array_size(json_object_get(o, "releases")), 0);
    json_decref(o);
}

static void test_a_change_that_is_not_whole_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = { "{\"version\": 1}", "{\"version\": 1, \"reason\": \" \\n\"}", "{\"version\": 1, \"reason\": 3}", "{\"version\": 1, \"reason\": \"a\\u0007b\"}", "{\"reason\": \"go\"}", "{\"version\": 0, \"reason\": \"go\"}",
                                       "{\"version\": 1, \"reason\": \"go\", \"mode\": \"canary\"}", "{\"version\": 1, \"reason\": \"go\", \"share\": 0.1}", "{\"version\": 1, \"reason\": \"go\", \"mode\": \"half\"}",
                                       "{\"version\": 1, \"reason\": \"go\", \"override\": \"x\"}", "{\"version\": 1, \"reason\": \"go\", \"alias\": \"a/b\"}", "not json", "" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ask("boss", "/m/promote", bad[i]), 400);
    assert_int_equal(ask("boss", "/m/promote", "{\"version\": 7, \"reason\": \"go\"}"), 404);
    assert_int_equal(ask("boss", "/m/rollback", "{\"reason\": \"back\"}"), 404);
    assert_int_equal(ask("boss", "/m/rollback", "{}"), 400);
}

/* ---- what is changed ---- */

static void test_promoted_split_and_rolled_back_with_who_and_why(void **state)
{
    (void)state;
    json_t *o = asked("boss", "/m/promote", "{\"version\": 1, \"reason\": \"go\"}");
    const int64_t seq = number(o, "seq");
    char text[200];
    assert_int_equal(number(o, "stable"), 1);
    json_decref(o);
    snprintf(text, sizeof text, "{\"version\": 2, \"reason\": \"try\", \"mode\": \"canary\", \"share\": 0.25, \"seq\": %lld}", (long long)seq);
    o = asked("boss", "/m/promote", text);
    assert_true(number(o, "stable") == 1 && number(o, "candidate") == 2 && tree_number_at(o, "share") == 0.25);
    json_decref(o);
    assert_int_equal(ask("boss", "/m/promote", text), 409);
    assert_non_null(strstr(reply, "changed_meanwhile"));
    o = asked("boss", "/m", NULL);
    assert_string_equal(tree_text_at(item(o, "releases", 0), "mode"), "canary");
    json_decref(o);
    o = asked("boss", "/m/rollback", "{\"reason\": \"worse <i>answers</i>\"}");
    assert_true(number(o, "stable") == 1 && number(o, "candidate") == 0);
    json_decref(o);
    o = asked("boss", "/m/history", NULL);
    const json_t *last = item(o, "records", 0);
    assert_string_equal(tree_text_at(last, "action"), "rollback");
    assert_string_equal(tree_text_at(last, "actor"), "chief");
    assert_string_equal(tree_text_at(last, "reason"), "worse <i>answers</i>");
    json_decref(o);
}

/* As the command line does: what this server has not loaded becomes the candidate first; of other servers nothing is known here. */
static void test_a_version_is_loaded_before_the_alias_moves(void **state)
{
    (void)state;
    struct registry *g;
    OK(registry_open(&g, registry_at, false, &err));
    json_decref(asked("boss", "/m/promote", "{\"version\": 1, \"alias\": \"beta\", \"reason\": \"go\"}"));
    OK(registry_server_state(g, "elsewhere", "m", "beta", 1, "serving", "", &err));
    json_t *o = asked("boss", "/m/promote", "{\"version\": 2, \"alias\": \"beta\", \"reason\": \"go\"}");
    assert_true(number(o, "stable") == 2 && number(o, "candidate") == 0);
    json_decref(o);
    OK(registry_server_state(g, "here", "m", "beta", 2, "serving", "", &err));
    o = asked("boss", "/m/promote", "{\"version\": 1, \"alias\": \"beta\", \"reason\": \"back\"}");
    assert_true(number(o, "stable") == 2 && number(o, "candidate") == 1);
    assert_string_equal(tree_text_at(o, "mode"), "green");
    json_decref(o);
    OK(registry_server_state(g, "here", "m", "beta", 1, "ready", "", &err));
    o = asked("boss", "/m/promote", "{\"version\": 1, \"alias\": \"beta\", \"reason\": \"it is ready\"}");
    assert_true(number(o, "stable") == 1 && number(o, "candidate") == 0);
    json_decref(o);
    registry_close(g);
}

static void test_a_policy_that_says_no_is_told(void **state)
{
    (void)state;
    struct registry *g;
    json_t *policy = json_pack("{s:s, s:{s:{s:f}}}", "id", "p", "evaluation", "piqa/acc", "min", 0.9);
    OK(registry_open(&g, registry_at, false, &err));
    OK(registry_policy_set(g, "m", "strict", policy, &(struct journal_by){ "ann", "" }, &err));
    registry_close(g);
    json_decref(policy);
    assert_int_equal(ask("boss", "/m/promote", "{\"version\": 2, \"reason\": \"go\", \"alias\": \"strict\"}"), 409);
    assert_non_null(strstr(reply, "policy_says_no"));
    assert_non_null(strstr(reply, "piqa/acc"));
}

static void test_a_version_that_would_not_load_is_not_promoted(void **state)
{
    (void)state;
    json_t *o = asked("boss", "/m", NULL);
    const size_t n = json_array_size(json_object_get(o, "releases"));
    json_decref(o);
    no_load = "was changed between byte 0 and byte 2";
    assert_int_equal(ask("boss", "/m/promote", "{\"version\": 2, \"reason\": \"go\", \"alias\": \"fresh\"}"), 409);
    assert_non_null(strstr(reply, "does_not_load"));
    assert_non_null(strstr(reply, "m@2 was changed between byte 0 and byte 2"));
    no_load = NULL;
    o = asked("boss", "/m", NULL);
    assert_int_equal(json_array_size(json_object_get(o, "releases")), n);
    json_decref(o);
}

static void test_a_registry_that_is_gone_is_told(void **state)
{
    (void)state;
    char away[400];
    snprintf(away, sizeof away, "%s.away", registry_at);
    assert_int_equal(rename(registry_at, away), 0);
    assert_int_equal(ask("boss", "/m", NULL), 404);
    assert_int_equal(rename(away, registry_at), 0);
    assert_int_equal(ask("boss", "/m", NULL), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_listed_with_what_the_key_may),
        cmocka_unit_test(test_versions_come_with_the_figures_of_their_evidence),
        cmocka_unit_test(test_lineage_and_history_are_shown),
        cmocka_unit_test(test_answers_are_summed_up_by_version),
        cmocka_unit_test(test_answers_are_shown_by_time),
        cmocka_unit_test(test_drift_is_told_of_a_version),
        cmocka_unit_test(test_a_report_opens_by_its_address_alone),
        cmocka_unit_test(test_an_address_that_was_changed_opens_nothing),
        cmocka_unit_test(test_what_is_not_there_is_404_and_what_is_wrong_400),
        cmocka_unit_test(test_releases_are_changed_with_an_admins_key_alone),
        cmocka_unit_test(test_a_change_that_is_not_whole_changes_nothing),
        cmocka_unit_test(test_promoted_split_and_rolled_back_with_who_and_why),
        cmocka_unit_test(test_a_version_is_loaded_before_the_alias_moves),
        cmocka_unit_test(test_a_policy_that_says_no_is_told),
        cmocka_unit_test(test_a_version_that_would_not_load_is_not_promoted),
        cmocka_unit_test(test_a_registry_that_is_gone_is_told),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
