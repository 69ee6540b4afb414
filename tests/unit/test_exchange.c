/* test_exchange.c - requests of a server from the side of those who answer them: what is read, what is charged, what is told when memory ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "../served.h"
#include "serve/anthropic.h"
#include "serve/ollama.h"
#include "serve/openai.h"
#include "serve/openai_reply.h"
#include "serve/visit.h"

static struct err err;
static char dir[] = "/tmp/lathe-exchange-XXXXXX";
static struct served_model *model;
static struct clients *clients;
static struct http *http;

/* ---- the server's side: completions, told in the words that the path names ---- */

static struct dialect slow, no_end;          /* openai_completion_dialect, but for one function */
static sem_t reached, go_on;
static atomic_int n_released;
static int64_t charged_requests, charged_tokens;         /* of the last request that was released */

static int slow_piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *e)
{
    sem_post(&reached);
    sem_wait(&go_on);
    return openai_completion_dialect.piece(b, c, text, n, e);
}

static int end_without_memory(struct buf *b, struct choice *c, struct err *e)
{
    (void)b, (void)c;
    sem_wait(&go_on);
    return ERR(e, NOMEM, "no memory");
}

static void handle(void *ctx, struct http_request *q)
{
    (void)ctx;
    struct refusal e = { 0 };
    struct wish w;
    if (!strcmp(http_path(q), "/ping")) {
        http_reply(q, 200, NULL, "", 0);
        return;
    }
    visit_begin(q, clients, &e);
    visit_take_request(q, &e);
    json_t *request = in_parse(http_body(q)->data, http_body(q)->len, &e);
    openai_completion(&w, request, model, &e);
    assert_int_equal(e.status, 0);
    w.dialect = !strcmp(http_path(q), "/slow") ? &slow : !strcmp(http_path(q), "/no_end") ? &no_end : w.dialect;
    exchange_start(q, model, &w);
}

static void released(void *ctx, struct http_request *q, int status)
{
    (void)ctx, (void)status;
    struct visit *v = http_user(q);
    if (!v->client)
        return;
    charged_requests = v->requests, charged_tokens = v->tokens;
    visit_release(v);
    atomic_fetch_add(&n_released, 1);
}

/* ---- the client's side ---- */

static void nap(void) { nanosleep(&(struct timespec){ 0, 1000000 }, NULL); }

static int ask(const char *path, const char *json)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof a));
    char *text = mem_printf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer abc\r\nContent-Length: %zu\r\n\r\n%s", path, strlen(json), json);
    assert_non_null(text);
    assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    mem_free(text);
    return fd;
}

/* All that comes until the other side closes; nothing else wakes the thread that writes. */
static void reply_to(int fd, char *out, size_t size)
{
    size_t n = 0;
    for (;;) {
        const ssize_t k = recv(fd, out + n, size - n - 1, MSG_DONTWAIT);
        if (k == 0)
            break;
        assert_true(k > 0 || errno == EAGAIN);
        n += k > 0 ? (size_t)k : 0;
        http_wake(http);
        nap();
    }
    out[n] = 0;
    close(fd);
}

static void wait_for_released(int n)
{
    while (atomic_load(&n_released) < n)
        nap();
}

static void expect_in(const char *reply, const char *what)
{
    if (!strstr(reply, what))
        fail_msg("'%s' is not in: %.600s", what, reply);
}

/* Steps stand still, so that it is sure what the queue takes: of 16 texts of a client half. */
static void a_request_that_the_queue_took_in_part_is_charged_nothing(void **state)
{
    (void)state;
    char reply[1 << 14];
    const int before = atomic_load(&n_released), first = ask("/slow", "{\"model\":\"tiny\",\"prompt\":[1,2,3],\"max_tokens\":3,\"ignore_eos\":true,\"stream\":true}");
    sem_wait(&reached);
    const int second = ask("/", "{\"model\":\"tiny\",\"prompt\":[1,2,3,4],\"max_tokens\":3,\"n\":16}");
    for (struct batch_counts n = { 0 }; !n.n_waiting; batch_counts(model->batch, &n))
        nap();
    reply_to(ask("/ping", ""), reply, sizeof reply);     /* by the same thread, so that the second has been looked at */
    for (int i = 0; i < 10; i++)
        sem_post(&go_on);
    reply_to(second, reply, sizeof reply);
    expect_in(reply, "HTTP/1.1 429");
    expect_in(reply, "queue_full");
    reply_to(first, reply, sizeof reply);
    expect_in(reply, "[DONE]");
    wait_for_released(before + 2);
    const int third = ask("/", "{\"model\":\"tiny\",\"prompt\":[[1,2,3,4],[5]],\"max_tokens\":3,\"n\":2,\"ignore_eos\":true}");
    reply_to(third, reply, sizeof reply);
    expect_in(reply, "HTTP/1.1 200");
    wait_for_released(before + 3);
    assert_int_equal(charged_requests, 1);
    assert_int_equal(charged_tokens, 5 + 4 * 3);
    struct quota_left requests, tokens;
    bool expired;
    client_left(clients_find(clients, "abc", visit_now(), &expired), visit_now(), &requests, &tokens);
    assert_int_equal(requests.limit - requests.left, 3);
    assert_int_equal(tokens.limit - tokens.left, 3 + 3 + 5 + 4 * 3);         /* nothing for the second */
}

static int64_t tokens_used(void)
{
    struct quota_left requests, tokens;
    bool expired;
    client_left(clients_find(clients, "abc", visit_now(), &expired), visit_now(), &requests, &tokens);
    return tokens.limit - tokens.left;
}

/* A step stands still while the second comes, and when it goes on both are to end. */
static void a_text_that_was_never_begun_is_charged_nothing(void **state)
{
    (void)state;
    char reply[1 << 14];
    const int before = atomic_load(&n_released);
    const int64_t used = tokens_used();
    while (!sem_trywait(&reached) || !sem_trywait(&go_on))
        ;
    const int first = ask("/slow", "{\"model\":\"tiny\",\"prompt\":[1,2,3],\"max_tokens\":3,\"ignore_eos\":true,\"stream\":true}");
    sem_wait(&reached);
    const int second = ask("/", "{\"model\":\"tiny\",\"prompt\":[1,2,3,4,5,6,7],\"max_tokens\":3}");
    for (struct batch_counts n = { 0 }; !n.n_waiting; batch_counts(model->batch, &n))
        nap();
    batch_cancel(model->batch, 0);
    for (int i = 0; i < 10; i++)
        sem_post(&go_on);
    reply_to(second, reply, sizeof reply);
    expect_in(reply, "HTTP/1.1 503");
    reply_to(first, reply, sizeof reply);
    wait_for_released(before + 2);
    assert_in_range(tokens_used() - used, 3 + 1, 3 + 3);         /* of the first only */
}

/* It ends when its beginning is there: before, all of it would be refused. */
static void a_stream_whose_end_cannot_be_told_says_so(void **state)
{
    (void)state;
    char reply[1 << 14], first;
    const int before = atomic_load(&n_released);
    while (!sem_trywait(&go_on))
        ;
    const int fd = ask("/no_end", "{\"model\":\"tiny\",\"prompt\":[1,2,3],\"max_tokens\":3,\"ignore_eos\":true,\"stream\":true}");
    while (recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        http_wake(http), nap();
    sem_post(&go_on);
    reply_to(fd, reply, sizeof reply);
    expect_in(reply, "HTTP/1.1 200");
    expect_in(reply, "no memory for the answer");
    wait_for_released(before + 1);
}

/* ---- what is read ---- */

typedef void reader(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);

static json_t *parse(const char *text)
{
    struct refusal e = { 0 };
    json_t *request = in_parse(text, strlen(text), &e);
    assert_non_null(request);
    return request;
}

static void a_system_prompt_is_not_cut_at_a_nul(void **state)
{
    (void)state;
    struct refusal e = { 0 };
    struct wish w;
    struct buf text;
    buf_init(&text);
    ollama_read_generate(&w, parse("{\"model\":\"tiny\",\"prompt\":\"hi\",\"system\":\"one\\u0000two\"}"), model, &e);
    assert_int_equal(e.status, 0);
    OK(tok_decode(engine_tok(model->engine), w.prompt->id, w.prompt->n, &text, &err));
    assert_non_null(memmem(text.data, text.len, "system: one\0two\n", 16));
    buf_release(&text);
    wish_release(&w);
}

/* All thoughts of a turn are told, and a result that is an error is told as one. */
static void the_model_is_told_all_thoughts_and_what_was_an_error(void **state)
{
    (void)state;
    struct refusal e = { 0 };
    struct wish w;
    struct buf text;
    buf_init(&text);
    anthropic_messages(&w, parse("{\"model\":\"tiny\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":["
                                 "{\"type\":\"thinking\",\"thinking\":\"one\"},{\"type\":\"thinking\",\"thinking\":\"two\\u0000\"},{\"type\":\"text\",\"text\":\"so\"}]},"
                                 "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"x\",\"content\":\"no file\",\"is_error\":true},"
                                 "{\"type\":\"tool_result\",\"tool_use_id\":\"y\",\"is_error\":true},{\"type\":\"tool_result\",\"tool_use_id\":\"z\",\"content\":\"2\",\"is_error\":false}]}]}"), model, &e);
    if (e.status)
        fail_msg("%s", e.message);
    OK(tok_decode(engine_tok(model->engine), w.prompt->id, w.prompt->n, &text, &err));
    static const char want[] = "user: a\nassistant: one\ntwo\0so\nuser: <tool_response>\nError: no file\n</tool_response>\n<tool_response>\nError: \n</tool_response>\n<tool_response>\n2\n</tool_response>\nassistant:";
    if (!memmem(text.data, text.len, want, sizeof want - 1))
        fail_msg("%s", text.data);
    buf_release(&text);
    wish_release(&w);
}

static void a_name_with_a_nul_is_refused(void **state)
{
    (void)state;
    static const struct { reader *read; const char *request, *param; } asked[] = {
        { openai_chat, "{\"model\":\"tiny\\u0000x\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "model" },
        { openai_chat, "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                       "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\\u0000\"}}}", "tool_choice.function.name" },
        { openai_completion, "{\"model\":\"tiny\\u0000\",\"prompt\":\"a\"}", "model" },
        { anthropic_messages, "{\"model\":\"tiny\\u0000\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "model" },
        { ollama_read_generate, "{\"model\":\"tiny\\u0000\",\"prompt\":\"a\"}", "model" },
        { openai_chat, "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"auto\\u0000\"}", "tool_choice" },
        { ollama_read_generate, "{\"model\":\"tiny\",\"prompt\":\"a\",\"format\":\"json\\u0000\"}", "format" },
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct refusal e = { 0 };
        struct wish w;
        asked[i].read(&w, parse(asked[i].request), model, &e);
        if (e.status != 400 || strcmp(e.param, asked[i].param))
            fail_msg("request %zu: status %d, %s: %s", i, e.status, e.param, e.message);
    }
}

static int set_up(void **state)
{
    (void)state;
    static const char keys[] = "- name: a\n  sha256: \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n  tokens_per_day: 10000\n  requests_per_day: 50\n";
    slow = no_end = openai_completion_dialect;
    slow.piece = slow_piece, no_end.end = end_without_memory;
    sem_init(&reached, 0, 0), sem_init(&go_on, 0, 0);
    if (served_open(&model, dir, &err) || served_write(dir, "keys.yaml", keys, &err))
        return -1;
    char *path = file_join(dir, "keys.yaml");
    const struct http_opts o = { .address = "127.0.0.1", .n_user = sizeof(struct visit), .body_max = 100000, .n_connection = 10, .handle = handle, .released = released };
    const int rc = chmod(path, 0600) || clients_new(&clients, NULL, path, &err) || http_start(&http, &o, &err);
    mem_free(path);
    return rc;
}

static int tear_down(void **state)
{
    (void)state;
    http_stop(http, 5);
    served_model_close(model);
    clients_free(clients);
    return file_remove_tree(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_the_queue_took_in_part_is_charged_nothing),
        cmocka_unit_test(a_text_that_was_never_begun_is_charged_nothing),
        cmocka_unit_test(a_stream_whose_end_cannot_be_told_says_so),
        cmocka_unit_test(a_system_prompt_is_not_cut_at_a_nul),
        cmocka_unit_test(the_model_is_told_all_thoughts_and_what_was_an_error),
        cmocka_unit_test(a_name_with_a_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
