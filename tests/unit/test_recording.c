/* test_recording.c - what a served model records of its answers, and what is said of them afterwards, from the side of HTTP. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "../served.h"
#include "serve/feedback.h"
#include "serve/openai.h"
#include "serve/openai_reply.h"
#include "serve/recording.h"
#include "serve/visit.h"

static struct err err;
static char dir[] = "/tmp/lathe-recording-XXXXXX", events_dir[] = "/tmp/lathe-recorded-XXXXXX";
static struct served_model *model;
static struct clients *clients;
static struct recorder *recorder;
static struct http *http;

static void wake(void *ctx) { http_wake(*(struct http **)ctx); }

static void handle(void *ctx, struct http_request *q)
{
    (void)ctx;
    struct refusal e = { 0 };
    struct wish w;
    visit_begin(q, clients, &e);
    assert_int_equal(e.status, 0);
    if (!strcmp(http_path(q), "/v1/feedback")) {
        feedback_take(q, recorder, &openai_chat_dialect, wake, &http);
        return;
    }
    json_t *request = in_parse(http_body(q)->data, http_body(q)->len, &e);
    (strstr(http_path(q), "chat") ? openai_chat : openai_completion)(&w, request, model, &e);
    assert_int_equal(e.status, 0);
    exchange_start(q, model, &w);
}

static void released(void *ctx, struct http_request *q, int status)
{
    (void)ctx, (void)status;
    visit_release(http_user(q));
}

/* The reply, and the id in it; nothing else wakes the thread that writes. */
static const char *ask(const char *key, const char *path, const char *json)
{
    static char reply[1 << 15];
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof a));
    char *text = mem_printf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: mine\r\nAuthorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s", path, key, strlen(json), json);
    assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    mem_free(text);
    size_t n = 0;
    for (ssize_t k; (k = recv(fd, reply + n, sizeof reply - n - 1, MSG_DONTWAIT)) != 0; n += k > 0 ? (size_t)k : 0) {
        assert_true(k > 0 || errno == EAGAIN);
        http_wake(http);
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    }
    reply[n] = 0;
    close(fd);
    return reply;
}

static const char *id_in(const char *reply, char id[64])
{
    const char *p = strstr(reply, "\"id\":\"");
    assert_non_null(p);
    snprintf(id, 64, "%.*s", (int)strcspn(p + 6, "\""), p + 6);
    return id;
}

struct seen { int n; struct event ev[8]; char prompt[100], answer[400]; };

static int see(void *ctx, const struct event *ev, struct err *e)
{
    (void)e;
    struct seen *s = ctx;
    s->ev[s->n++ % 8] = *ev;
    snprintf(s->prompt, sizeof s->prompt, "%s", ev->prompt ? ev->prompt : "");
    snprintf(s->answer, sizeof s->answer, "%s", ev->answer ? ev->answer : "");
    return 0;
}

/* What was recorded of an answer, once it is there. */
static struct seen recorded(const char *id)
{
    struct events *e;
    struct seen s = { 0 };
    OK(events_open(&e, events_dir, false, &err));
    while (events_find(e, id, see, &s, &err) == ERR_NOTFOUND)
        nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
    events_close(e);
    return s;
}

static void a_row_tells_what_the_model_knows(void **state)
{
    (void)state;
    char id[64];
    id_in(ask("abc", "/v1/chat/completions", "{\"model\":\"tiny\",\"user\":\"anna\",\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}],\"max_tokens\":7,\"ignore_eos\":true,\"seed\":1}"), id);
    const struct seen s = recorded(id);
    const struct event *ev = &s.ev[0];
    assert_int_equal(s.n, 1);
    assert_string_equal(ev->request, "mine");
    assert_string_equal(ev->model, "tiny");
    assert_string_equal(ev->api, "/v1/chat/completions");
    assert_string_equal(ev->root, model->digest);
    assert_string_equal(ev->finish, "length");
    assert_true(ev->answer_tokens == 7 && ev->prompt_tokens > 5 && ev->cached_tokens == 0);
    assert_true(ev->prompt_nll > 0 && ev->prompt_nll_tokens == signals_prompt_rows((int)ev->prompt_tokens, 0));
    assert_true(ev->entropy > 0 && ev->entropy < log(280) && ev->confidence > 1. / 280 && ev->confidence < 1 && ev->logprob < 0);
    assert_int_equal(ev->n_sketch, EVENT_SKETCH);
    assert_true(ev->first_s >= 0 && ev->total_s >= ev->first_s);
    assert_true(ev->schema_ok == -1 && ev->tool_calls == -1 && *ev->user && *ev->owner && strcmp(ev->user, ev->owner));
    assert_string_equal(s.prompt, "user: hello there\nassistant:");
    assert_true(*s.answer);
}

static void a_stream_and_several_answers_have_a_row_each(void **state)
{
    (void)state;
    char id[64];
    id_in(ask("abc", "/v1/completions", "{\"model\":\"tiny\",\"prompt\":[[1,2,3,4],[5,6]],\"n\":2,\"max_tokens\":3,\"ignore_eos\":true,\"stream\":true}"), id);
    const struct seen s = recorded(id);
    assert_int_equal(s.n, 4);
    for (int i = 0; i < 4; i++)
        assert_true(s.ev[i].choice == i && s.ev[i].answer_tokens == 3 && s.ev[i].prompt_tokens == (i < 2 ? 4 : 2));
}

static void a_schema_that_is_cut_off_is_not_followed(void **state)
{
    (void)state;
    char id[64];
    id_in(ask("abc", "/v1/chat/completions", "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":2,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":"
                     "{\"type\":\"object\",\"properties\":{\"a_long_name\":{\"type\":\"integer\"}},\"required\":[\"a_long_name\"],\"additionalProperties\":false}}}}"), id);
    const struct seen s = recorded(id);
    assert_int_equal(s.ev[0].schema_ok, 0);
}

static void expect(const char *reply, const char *what)
{
    if (!strstr(reply, what))
        fail_msg("'%s' is not in: %.500s", what, reply);
}

static void feedback_is_taken_of_ones_own_answers(void **state)
{
    (void)state;
    char id[64], text[300];
    id_in(ask("abc", "/v1/completions", "{\"model\":\"tiny\",\"prompt\":\"a\",\"max_tokens\":2}"), id);
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"score\":-1,\"label\":\"wrong\",\"comment\":\"no\"}", id);
    expect(ask("abc", "/v1/feedback", text), "\"answers\":1");
    static const struct { const char *json, *told; } bad[] = {
        { "{\"id\":\"none\",\"score\":1}", "answer_not_found" }, { "{\"score\":1}", "id is missing" }, { "{\"id\":\"a\"}", "score, label and comment are missing" }, { "{\"id\":\"a\",\"score\":1.5}", "score is 1.5" },
        { "{\"id\":\"a\",\"stars\":5,\"score\":1}", "stars" }, { "{\"id\":\"a\",\"label\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}", "70 bytes" }, { "[1]", "error" }, { "{", "error" },
        { "{\"id\":7,\"score\":1}", "id" }, { "{\"id\":\"a\",\"score\":1,\"choice\":-1}", "choice" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect(ask("abc", "/v1/feedback", bad[i].json), bad[i].told);
    struct recorder *const mine = recorder;
    recorder = NULL;
    expect(ask("abc", "/v1/feedback", text), "--record");
    recorder = mine;
}

static int open_all(void **state)
{
    (void)state;
    if (served_open(&model, dir, &err) < 0 || clients_new(&clients, "abc", NULL, &err) < 0 || !mkdtemp(events_dir))
        return -1;
    if (recorder_open(&recorder, &(struct recorder_opts){ .where = events_dir, .texts = true, .retain_s = 3600, .describe = recording_describe }, &err) < 0)
        return -1;
    model->recorder = recorder;
    const struct http_opts h = { .address = "127.0.0.1", .body_max = 1 << 20, .bodies_max = 1 << 22, .n_connection = 10, .n_user = sizeof(struct visit), .handle = handle, .released = released };
    return http_start(&http, &h, &err);
}

static int close_all(void **state)
{
    (void)state;
    served_model_halt(model);
    recorder_stop(recorder);
    http_stop(http, 5);
    served_model_close(model);
    recorder_free(recorder);
    clients_free(clients);
    file_remove_tree(events_dir, NULL);
    return file_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_tells_what_the_model_knows), cmocka_unit_test(a_stream_and_several_answers_have_a_row_each), cmocka_unit_test(a_schema_that_is_cut_off_is_not_followed),
        cmocka_unit_test(feedback_is_taken_of_ones_own_answers),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
