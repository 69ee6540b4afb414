/* test_planner.c - plans over HTTP: what a request is made into, who may ask, and what is told when the program fails. */
#include "../test.h"
#include "../visited.h"
#include "base/file.h"
#include "base/tree.h"
#include "serve/openai_reply.h"
#include "serve/planner.h"
#include "serve/planner_ask.h"

static struct err err;
static struct planner *planner, *_Atomic other;

/* ---- the server's side ---- */

static void handle(void *ctx, struct http_request *q)
{
    (void)ctx;
    struct refusal e = { 0 };
    visit_begin(q, clients, &e);
    if (e.status)
        exchange_refuse(q, &openai_chat_dialect, &e);
    else
        planner_answer(!strcmp(http_path(q), "/none") ? NULL : !strcmp(http_path(q), "/other") ? atomic_load(&other) : planner, q, &openai_chat_dialect);
}

/* The program: it prints what it was asked, and what lies beside it, or does what `does` says. */
enum { TELLS, WARNS, REFUSES, BREAKS, KILLED, LATE, LOST, WAITS };
static atomic_int does;
static atomic_int n_run;
static char folder[300], warning[5000];

static void put(const struct server_program *p, const char *name, const char *text)
{
    char *path = file_join(p->folder, name);
    OK(file_write_all(path, text, strlen(text), &err));
    mem_free(path);
}

static void tell(const struct server_program *p)
{
    char *config = file_join(p->folder, PLANNER_CONFIG);
    json_t *args = json_array(), *o = json_pack("{s:o, s:b}", "args", args, "config", file_exists(config));
    for (int i = 0; p->argv[i]; i++)
        json_array_append_new(args, json_string(p->argv[i]));
    char *text = json_dumps(o, JSON_COMPACT);
    put(p, p->out, text), put(p, p->log, "");
    free(text), json_decref(o), mem_free(config);
}

static int program(void *ctx, const struct server_program *p, int *code, struct err *e)
{
    (void)ctx;
    snprintf(folder, sizeof folder, "%s", p->folder);
    atomic_fetch_add(&n_run, 1);             /* who has seen it may look at the folder */
    assert_true(p->seconds_most > 0 && p->bytes_most > 0 && !p->actor);
    *code = 0;
    switch (atomic_load(&does)) {
    case TELLS: tell(p); break;
    case WARNS: tell(p), put(p, p->log, warning); break;
    case REFUSES: put(p, p->out, ""), put(p, p->log, "lathe plan: one\nlathe plan: --device: no accelerator 'x' is known\n"), *code = 2; break;
    case BREAKS: put(p, p->out, "{ \"half\": "), put(p, p->log, ""); break;
    case KILLED: put(p, p->out, ""), put(p, p->log, ""), *code = 128 + 9; break;
    case LATE: return ERR(e, STOPPED, "late");
    case LOST: return ERR(e, IO, "cannot run this program again: no more processes");
    case WAITS:
        while (!atomic_load(p->stop))
            usleep(1000);
        *code = 128 + 15;
    }
    return 0;
}

static bool served(void *ctx, const char *name, char *path, size_t n)
{
    (void)ctx;
    snprintf(path, n, "/models/%s", name);
    return !strcmp(name, "tiny");
}

static int begin(void **state)
{
    if (make_dir(state))
        return -1;
    clients_begin("  models: [tiny, gone]\n");
    atomic_store(&does, TELLS), atomic_store(&n_run, 0);
    const struct planner_opts p = { .run = program, .served = served, .recorded = "/places/events.db", .wake = wake };
    OK(planner_open(&planner, &p, &err));
    http_begin(handle);
    return 0;
}

static int end(void **state)
{
    planner_halt(planner);
    http_end();
    planner_close(planner);
    clients_free(clients);
    return remove_dir(state);
}

/* ---- the client's side ---- */

#define GOOD "\"model\": \"Llama-3-8B\", \"devices\": [{\"device\": \"h100\"}]"
static int ask(const char *json) { return send_to("boss", "/lathe/plan", json); }
static void said(const char *words)
{
    if (!strstr(reply, words))
        fail_msg("expected '%s' in %s", words, reply);
}

/* What the program was given, as one line. */
static void check_args(const char *json, const char *expected)
{
    struct planner_ask a;
    struct refusal e = { 0 };
    struct buf b;
    json_t *o = in_parse(json, strlen(json), &e);
    buf_init(&b);
    planner_ask_read(&a, o, &e);
    if (e.status)
        fail_msg("%s: %s", json, e.message);
    for (int i = 0; i < a.n; i++)
        OK(buf_printf(&b, &err, "%s%s", i ? "|" : "", a.argv[i]));
    assert_string_equal(b.data, expected);
    buf_release(&b), planner_ask_release(&a), json_decref(o);
}

/* ---- what a request is made into ---- */

static void test_fields_become_arguments(void **state)
{
    (void)state;
    check_args("{" GOOD "}", "lathe|plan|Llama-3-8B|--device|h100|--quiet|--json");
    check_args("{\"served\": \"tiny\", \"devices\": [{\"device\": \"mi300x:cpx\", \"count\": 8, \"usd_per_hour\": 1.99}, {\"device\": \"agx-orin\", \"count\": 1, \"usd\": 1999}]}",
               "lathe|plan|" PLANNER_CONFIG "|--device|mi300x:cpx:8=1.99/h|--device|agx-orin:1=1999|--quiet|--json");
    check_args("{\"config\": {}, \"devices\": [{\"device\": \"h100\"}], \"workload\": \"rag\", \"prompt\": \"200-400\", \"output\": \"lognormal:100,0.9\", \"users\": 50, \"think\": 2.5, \"ttft\": 0, \"tpot\": 0.05, \"e2e\": 30, \"weights\": \"fp8\", \"kv\": \"int8\"}",
               "lathe|plan|" PLANNER_CONFIG "|--device|h100|--workload|rag|--prompt|200-400|--output|lognormal:100,0.9|--think|2.5|--ttft|0|--tpot|0.05|--e2e|30|--users|50|--weights|fp8|--kv|int8|--quiet|--json");
    check_args("{" GOOD ", \"versus\": true, \"api\": [{\"name\": \"API (mine)\", \"input\": 0, \"output\": 0.6}, {\"input\": 1, \"output\": 2}], \"kwh\": 0.3, \"life\": 3, \"idle\": 0.5, \"rate\": 1e6}",
               "lathe|plan|Llama-3-8B|--device|h100|--rate|1000000|--versus|--api|API (mine)=0:0.6|--api|API=1:2|--kwh|0.3|--life|3|--idle|0.5|--quiet|--json");
}

static void test_what_is_wrong_with_a_request_is_told_and_nothing_is_run(void **state)
{
    (void)state;
    static const struct { const char *json, *why; int status; } bad[] = {
        { "{", "the request:1:", 400 },
        { "[]", "no JSON object", 400 },
        { "{}", "one of model, served and config", 400 },
        { "{\"model\": \"a\", \"served\": \"b\", \"devices\": [{\"device\": \"h100\"}]}", "one of model, served and config", 400 },
        { "{\"model\": \"../etc/passwd\", \"devices\": [{\"device\": \"h100\"}]}", "model is '../etc/passwd', expected a name", 400 },
        { "{\"model\": \"--check\", \"devices\": [{\"device\": \"h100\"}]}", "expected a name", 400 },
        { "{\"model\": \".out\", \"devices\": [{\"device\": \"h100\"}]}", "expected a name", 400 },
        { "{\"model\": \"\", \"devices\": [{\"device\": \"h100\"}]}", "expected a name", 400 },
        { "{\"model\": \"a\\u0000b\", \"devices\": [{\"device\": \"h100\"}]}", "NUL", 400 },
        { "{\"config\": [], \"devices\": [{\"device\": \"h100\"}]}", "config is an array", 400 },
        { "{\"model\": \"a\"}", "devices has 0, expected 1 to 8", 400 },
        { "{\"model\": \"a\", \"devices\": [{}]}", "devices[0].device is missing", 400 },
        { "{\"model\": \"a\", \"devices\": [7]}", "devices[0] is an integer", 400 },
        { "{\"model\": \"a\", \"devices\": [{\"device\": \"h100=1\"}]}", "devices[0].device is 'h100=1'", 400 },
        { "{\"model\": \"a\", \"devices\": [{\"device\": \"h100\", \"count\": 1.5}]}", "devices[0].count", 400 },
        { "{\"model\": \"a\", \"devices\": [{\"device\": \"h100\", \"count\": 0}]}", "expected 1 to 100000", 400 },
        { "{\"model\": \"a\", \"devices\": [{\"device\": \"h100\", \"usd\": 1, \"usd_per_hour\": 1}]}", "one of usd and usd_per_hour", 400 },
        { "{\"model\": \"a\", \"devices\": [{\"device\": \"h100\", \"path\": \"x\"}]}", "path", 400 },
        { "{" GOOD ", \"workload\": \"/etc/passwd\"}", "expected one of chat|code|rag|batch|recorded", 400 },
        { "{" GOOD ", \"prompt\": \"-1\"}", "prompt is '-1'", 400 },
        { "{" GOOD ", \"weights\": \"f64\"}", "expected one of", 400 },
        { "{" GOOD ", \"rate\": -1}", "rate is -1", 400 },
        { "{" GOOD ", \"api\": [{\"input\": 1}]}", "expected input and output", 400 },
        { "{" GOOD ", \"api\": [{\"name\": \"a=b\", \"input\": 1, \"output\": 1}]}", "api[0].name", 400 },
        { "{" GOOD ", \"html\": \"x\"}", "html", 400 },
        { "{" GOOD ", \"kwh\": 0.2}", "of versus", 400 },
        { "{" GOOD ", \"versus\": false, \"api\": [{\"input\": 1, \"output\": 1}]}", "of versus", 400 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(bad[i].json), bad[i].status);
        said(bad[i].why);
    }
    assert_int_equal(n_run, 0);
}

static void test_too_many_devices_and_apis_are_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    OK(buf_add_str(&b, "{\"model\": \"a\", \"devices\": [", &err));
    for (int i = 0; i < PLANNER_DEVICES; i++)
        OK(buf_printf(&b, &err, "%s{\"device\": \"h100\", \"count\": 1, \"usd\": 1}", i ? ", " : ""));
    char *most = mem_printf("%s], \"versus\": true, \"api\": [{\"input\": 1, \"output\": 1}, {\"input\": 1, \"output\": 1}, {\"input\": 1, \"output\": 1}, {\"input\": 1, \"output\": 1}], \"users\": 2, \"think\": 1, \"ttft\": 1, \"tpot\": 1, \"e2e\": 1, "
                            "\"workload\": \"chat\", \"prompt\": \"1\", \"output\": \"1\", \"weights\": \"fp8\", \"kv\": \"fp8\", \"kwh\": 1, \"life\": 1, \"idle\": 1}", b.data);
    assert_int_equal(ask(most), 200);
    mem_free(most);
    OK(buf_add_str(&b, ", {\"device\": \"h100\"}]}", &err));
    assert_int_equal(ask(b.data), 400);
    said("devices has 9, expected 1 to 8");
    buf_release(&b);
    assert_int_equal(ask("{" GOOD ", \"api\": [1, 2, 3, 4, 5]}"), 400);
    said("api has 5, expected at most 4");
}

static void test_a_large_request_is_refused(void **state)
{
    (void)state;
    char *text = mem_alloc(PLANNER_BODY + 2);
    memset(text, ' ', PLANNER_BODY + 1), text[PLANNER_BODY + 1] = 0;
    assert_int_equal(ask(text), 413);
    mem_free(text);
}

/* ---- what is answered ---- */

static void test_a_plan_is_what_the_program_prints(void **state)
{
    (void)state;
    assert_int_equal(ask("{" GOOD "}"), 200);
    said("\"args\":[\"lathe\",\"plan\",\"Llama-3-8B\",\"--device\",\"h100\",\"--quiet\",\"--json\"],\"config\":false");
}

/* Bytes that are no UTF-8, and a character where it is cut. */
static void test_a_plan_has_what_the_program_warned_of(void **state)
{
    (void)state;
    assert_int_equal(ask("{" GOOD "}"), 200);
    assert_null(strstr(reply, "\"said\""));
    does = WARNS;
    snprintf(warning, sizeof warning, "a name \xff\n%*s\xc3\xa9 and more", 4000 - 10, "");
    assert_int_equal(ask("{" GOOD "}"), 200);
    said("\"said\":\"a name \xef\xbf\xbd\\n  ");
    said("   \"}");
}

static void test_a_configuration_lies_there_while_the_program_runs(void **state)
{
    (void)state;
    assert_int_equal(ask("{\"config\": {\"model_type\": \"llama\"}, \"devices\": [{\"device\": \"h100\"}]}"), 200);
    said("\"config\":true");
}

static void test_a_model_that_is_served_is_found_by_its_name_alone(void **state)
{
    (void)state;
    assert_int_equal(ask("{\"served\": \"tiny\", \"devices\": [{\"device\": \"h100\"}]}"), 200);
    said("\"/models/tiny\"");
    assert_int_equal(ask("{\"served\": \"gone\", \"devices\": [{\"device\": \"h100\"}]}"), 404);
    assert_int_equal(ask("{\"served\": \"another\", \"devices\": [{\"device\": \"h100\"}]}"), 403);      /* not this key's */
}

static void test_what_was_recorded_is_found_by_the_server_alone(void **state)
{
    (void)state;
    struct planner *none;
    assert_int_equal(ask("{" GOOD ", \"workload\": \"recorded\"}"), 200);
    said("\"--workload\",\"recorded:/places/events.db\"");
    assert_int_equal(ask("{" GOOD ", \"workload\": \"recorded:/etc/passwd\"}"), 400);
    const struct planner_opts o = { .run = program, .wake = wake };
    OK(planner_open(&none, &o, &err));
    atomic_store(&other, none);
    assert_int_equal(send_to("boss", "/other", "{" GOOD ", \"workload\": \"recorded\"}"), 404);
    said("lathe serve --record");
    planner_close(none);
}

static void test_lists_are_asked_for_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_to("boss", "/lathe/plan", NULL), 200);
        said("{\"devices\":{\"args\":[\"lathe\",\"plan\",\"--devices\",\"--json\"]");
        said("\"models\":{\"args\":[\"lathe\",\"plan\",\"--models\",\"--json\"]");
    }
    assert_int_equal(n_run, 2);
}

static void test_who_may_not_see_releases_gets_no_plans(void **state)
{
    (void)state;
    assert_int_equal(send_to("abc", "/lathe/plan", NULL), 403);
    said("plans are shown to an admin's key: 'other' has no 'admin: true'");
    assert_int_equal(send_to("abc", "/lathe/plan", "{" GOOD "}"), 403);
    assert_int_equal(send_to("wrong", "/lathe/plan", NULL), 401);
    assert_int_equal(n_run, 0);
    assert_int_equal(send_to("one", "/lathe/plan", "{" GOOD "}"), 200);
    assert_int_equal(send_to("boss", "/none", NULL), 404);
}

/* ---- what goes wrong ---- */

static void test_what_the_program_refuses_is_told_in_its_words(void **state)
{
    (void)state;
    does = REFUSES;
    assert_int_equal(ask("{" GOOD "}"), 400);
    said("\"message\":\"--device: no accelerator 'x' is known\"");
    does = TELLS;
    assert_int_equal(ask("{" GOOD "}"), 200);
}

static void test_a_program_that_breaks_is_told(void **state)
{
    (void)state;
    static const struct { int does; const char *why; } ways[] = { { BREAKS, "no plan can be made: " }, { KILLED, "ended by signal 9" }, { LATE, "longer than 60 s" }, { LOST, "no more processes" } };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        does = ways[i].does;
        assert_int_equal(ask("{" GOOD "}"), 503);
        said(ways[i].why);
        assert_int_equal(send_to("boss", "/lathe/plan", NULL), 503);         /* and lists are asked for again */
    }
    does = TELLS;
    assert_int_equal(send_to("boss", "/lathe/plan", NULL), 200);
}

static void test_a_client_that_goes_ends_the_program(void **state)
{
    (void)state;
    does = WAITS;
    const int fd = call();
    ask_on(fd, "boss", "/lathe/plan", "{" GOOD "}");
    while (!atomic_load(&n_run))
        usleep(1000);
    close(fd);
    does = TELLS;
    assert_int_equal(ask("{" GOOD "}"), 200);        /* whose turn comes */
}

static void test_a_server_that_ends_ends_the_program_and_refuses_who_waits(void **state)
{
    (void)state;
    does = WAITS;
    const int one = call(), two = call();
    char text[2][2000] = { "", "" };
    ask_on(one, "boss", "/lathe/plan", "{" GOOD "}");
    while (!atomic_load(&n_run))
        usleep(1000);
    ask_on(two, "boss", "/lathe/plan", "{" GOOD "}");
    usleep(50000);
    planner_halt(planner);
    http_wake(http);
    for (int i = 0; i < 2; i++) {
        size_t n = 0;
        ssize_t k;
        while ((k = recv(i ? two : one, text[i] + n, sizeof text[i] - n - 1, 0)) > 0)
            n += (size_t)k;
        assert_non_null(strstr(text[i], "503"));
    }
    close(one), close(two);
    assert_int_equal(n_run, 1);
    assert_int_equal(ask("{" GOOD "}"), 503);
}

static void test_nothing_is_left_behind(void **state)
{
    (void)state;
    assert_int_equal(ask("{" GOOD "}"), 200);
    assert_true(n_run == 1 && *folder && !file_exists(folder));
    does = REFUSES;
    assert_int_equal(ask("{" GOOD "}"), 400);
    assert_true(n_run == 2 && !file_exists(folder));
    planner_close(NULL), planner_halt(NULL);
}

static void test_without_a_place_for_files_it_is_told(void **state)
{
    (void)state;
    struct planner *p;
    const struct planner_opts o = { .run = program, .wake = wake };
    OK(planner_open(&p, &o, &err));
    atomic_store(&other, p);
    setenv("TMPDIR", "/nowhere/at/all", 1);
    assert_int_equal(send_to("boss", "/other", NULL), 503);
    unsetenv("TMPDIR");
    said("cannot make a folder /nowhere/at/all/");
    planner_close(p);
    assert_int_equal(n_run, 0);
}

/* ---- what a program said last ---- */

static void test_last_words_are_without_the_programs_name(void **state)
{
    (void)state;
    static const struct { const char *log, *said; } all[] = {
        { "lathe: a\nlathe plan: --x: what\n\n", "--x: what" }, { "lathe: it", "it" }, { "lathe", "lathe" }, { "lathe 7: x", "lathe 7: x" }, { "", NULL }, { "\n\n", NULL },
    };
    char said_last[100];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        put_in_dir("log", all[i].log);
        const char *dir = in_dir(".");
        assert_int_equal(server_program_last_words(dir, "log", said_last, sizeof said_last), all[i].said != NULL);
        if (all[i].said)
            assert_string_equal(said_last, all[i].said);
    }
    assert_false(server_program_last_words("/nowhere", "log", said_last, sizeof said_last));
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_become_arguments),
        SERVED(test_what_is_wrong_with_a_request_is_told_and_nothing_is_run),
        SERVED(test_too_many_devices_and_apis_are_refused),
        SERVED(test_a_large_request_is_refused),
        SERVED(test_a_plan_is_what_the_program_prints),
        SERVED(test_a_plan_has_what_the_program_warned_of),
        SERVED(test_a_configuration_lies_there_while_the_program_runs),
        SERVED(test_a_model_that_is_served_is_found_by_its_name_alone),
        SERVED(test_what_was_recorded_is_found_by_the_server_alone),
        SERVED(test_lists_are_asked_for_once),
        SERVED(test_who_may_not_see_releases_gets_no_plans),
        SERVED(test_what_the_program_refuses_is_told_in_its_words),
        SERVED(test_a_program_that_breaks_is_told),
        SERVED(test_a_client_that_goes_ends_the_program),
        SERVED(test_a_server_that_ends_ends_the_program_and_refuses_who_waits),
        SERVED(test_nothing_is_left_behind),
        SERVED(test_without_a_place_for_files_it_is_told),
        cmocka_unit_test_setup_teardown(test_last_words_are_without_the_programs_name, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
