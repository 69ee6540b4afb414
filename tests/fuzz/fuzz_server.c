/* fuzz_server.c - any bytes as a request to a whole server, with keys, an audit log, and models of texts, of vectors and of classes: the reply is
 * whole, no fault of the server's, and JSON, lines of JSON or events of it.
 *
 * The first byte says which path, the second (enum how) in what way; the rest is the body or, RAW, all that comes behind the request line. */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include "../served.h"
#include "base/hash.h"
#include "load/response.h"
#include "load/sse.h"
#include "serve/server.h"

#define SIZE_MAX_OF_INPUT 16384
#define AUDIT_INPUTS 2000        /* after so many inputs the log is another, and keys are read again */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum how { RAW = 1, ANTHROPIC = 2, CHUNKED = 4, NO_KEY = 8, OTHER_KEY = 16, OTHER_METHOD = 32, FROM_A_PAGE = 64, TRACED = 128 };

static const struct { const char *method, *path; } asked[] = {
    { "POST", "/v1/chat/completions" }, { "POST", "/v1/completions" }, { "POST", "/v1/embeddings" }, { "POST", "/v1/messages" }, { "POST", "/v1/messages/count_tokens" },
    { "POST", "/classify" }, { "POST", "/api/chat" }, { "POST", "/api/generate" }, { "POST", "/api/embed" }, { "POST", "/api/embeddings" }, { "POST", "/api/show" },
    { "POST", "/api/pull" }, { "POST", "/tokenize" }, { "POST", "/detokenize" }, { "GET", "/" }, { "GET", "/v1/models" }, { "GET", "/v1/models/tiny" }, { "GET", "/metrics" },
    { "GET", "/lathe/stats" }, { "GET", "/api/tags" }, { "GET", "/api/ps" }, { "GET", "/ready" }, { "GET", "/nothing" }, { "GET", "/health" }, { "GET", "/api/version" }, { "GET", "/v1/models/no%20such" },
};

static char dir[] = "/tmp/lathe-fuzz-server-XXXXXX";
static char path_audit[100], path_port[100], path_keys[100], path_run[100], path_classes[100], path_encoder[100];
static volatile sig_atomic_t stop, reload;
static pthread_t thread;
static int port;

static void need(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the server ---- */

static void make_classes(void)
{
    char config[600], data[100], path[100];
    static volatile sig_atomic_t never;
    struct train_result r;
    struct buf texts;
    struct err err;
    buf_init(&texts);
    for (int i = 0; i < 40; i++)
        buf_printf(&texts, NULL, "{\"text\": \"a %s %d\", \"label\": \"%s\"}\n", i % 2 ? "good day" : "bad night", i, i % 2 ? "glad" : "sad");
    snprintf(data, sizeof data, "%s/texts.jsonl", dir), snprintf(path, sizeof path, "%s/classes.yaml", dir);
    snprintf(config, sizeof config, "model: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24, max_position_embeddings: 48, hidden_act: gelu}\n"
                                    "data: {train: %s, form: label, valid_share: 0.2, vocab_size: 270}\ntrain: {steps: 1, batch: 4, ctx: 32, lr: 5e-3, warmup: 1, eval_every: 0, save_every: 0, precision: fp32}\n", data);
    need(file_write_all(data, texts.data, texts.len, &err) == 0 && file_write_all(path, config, strlen(config), &err) == 0);
    const struct train_opts t = { .config = path, .out = path_classes, .n_thread = 1, .stop = &never, .fail_step = -1 };
    need(train_run(&t, &r, &err) == 0);
    buf_release(&texts);
}

/* More positions than it was trained with. */
static void lengthen(void)
{
    char path[200];
    snprintf(path, sizeof path, "%s/config.json", path_run);
    json_t *c = json_load_file(path, 0, NULL);
    need(c && !json_object_set_new(c, "max_position_embeddings", json_integer(512)) && !json_dump_file(c, path, 0));
    json_decref(c);
}

/* The same without its head: its files, but for what its configuration says. */
static void make_encoder(void)
{
    static const char *const of_classes[] = { "id2label", "label2id", "num_labels", "problem_type" };
    char from[200], to[200], **names;
    int n = 0;
    struct err err;
    need(file_mkdirs(path_encoder, &err) == 0 && file_list(path_classes, &names, &n, &err) == 0);
    for (int i = 0; i < n; i++) {
        snprintf(from, sizeof from, "%s/%s", path_classes, names[i]), snprintf(to, sizeof to, "%s/%s", path_encoder, names[i]);
        need(!strcmp(names[i], "config.json") || symlink(from, to) == 0);
    }
    file_list_free(names, n);
    snprintf(from, sizeof from, "%s/config.json", path_classes), snprintf(to, sizeof to, "%s/config.json", path_encoder);
    json_t *c = json_load_file(from, 0, NULL);
    for (size_t i = 0; i < sizeof of_classes / sizeof *of_classes; i++)
        json_object_del(c, of_classes[i]);
    need(!json_object_set_new(c, "architectures", json_pack("[s]", "BertModel")) && !json_object_set_new(c, "matryoshka_dimensions", json_pack("[i, i]", 4, 8)) && !json_dump_file(c, to, 0));
    json_decref(c);
}

static void add_key(struct buf *b, const char *secret, const char *more)
{
    char hash[SHA256_HEX];
    struct err err;
    need(sha256_of(secret, strlen(secret), hash, &err) == 0 && buf_printf(b, &err, "- name: %s\n  sha256: \"%s\"\n%s", secret, hash, more) == 0);
}

static void write_keys(void)
{
    struct buf b;
    struct err err;
    buf_init(&b);
    add_key(&b, "one", "  keep_texts: true\n  priority: 2\n");
    add_key(&b, "other", "  parallel: 2\n  tokens_per_day: 1000000000\n  models: [tiny]\n  tenant: others\n  priority: -3\n");
    need(file_write_all(path_keys, b.data, b.len, &err) == 0 && chmod(path_keys, 0600) == 0);
    buf_release(&b);
}

static void *serve(void *ctx)
{
    const struct model_place place[] = { { .name = "tiny", .path = path_run }, { .name = "classes", .path = path_classes }, { .name = "encoder", .path = path_encoder } };
    const struct server_opts o = {
        .address = "127.0.0.1", .keys = path_keys, .audit = path_audit, .audit_text = true, .reload = &reload, .port_file = path_port, .origins = { .cors = "https://a.example" },
        .body_max = 2 * SIZE_MAX_OF_INPUT, .n_connection = 100, .head_s = 2, .request_s = 2, .idle_s = 2, .drain_s = 2, .stop = &stop, .place = place, .n_model = 3, .memory = (size_t)1 << 30,
        .model = { .build = "lathe test", .n_text = 4, .cache_bytes = 100000, .step_tokens = 64, .n_thread = 1, .n_queue = 64 },
    };
    struct err err;
    (void)ctx;
    if (server_run(&o, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return NULL;
}

static void end_server(void)
{
    struct err err;
    stop = 1;
    pthread_join(thread, NULL);
    file_remove_tree(dir, &err);
}

static void begin_server(void)
{
    static const char chat[] = "{% if tools %}{% for t in tools %}{{ t.function.name + ' ' }}{% endfor %}{% endif %}{% for m in messages %}{{ m.role + ': ' + m.content }}{% for c in m.tool_calls %}"
                               "{{ '<tool_call>{\"name\": \"' + c.function.name + '\", \"arguments\": ' + c.function.arguments | tojson + '}</tool_call>' }}{% endfor %}{{ '\\n' }}{% endfor %}"
                               "{{ 'assistant:' + ('<think>' if enable_thinking else '<think></think>') }}";
    struct served_model *m;
    struct err err;
    need(served_open(&m, dir, &err) == 0);
    served_model_close(m);
    snprintf(path_run, sizeof path_run, "%s/run", dir), snprintf(path_classes, sizeof path_classes, "%s/classes", dir), snprintf(path_encoder, sizeof path_encoder, "%s/encoder", dir);
    snprintf(path_audit, sizeof path_audit, "%s/audit", dir), snprintf(path_port, sizeof path_port, "%s/port", dir), snprintf(path_keys, sizeof path_keys, "%s/keys.yaml", dir);
    need(served_write(path_run, "chat_template.jinja", chat, &err) == 0);
    lengthen();
    make_classes();
    make_encoder();
    write_keys();
    need(pthread_create(&thread, NULL, serve, NULL) == 0);
    atexit(end_server);
    while (!port) {
        FILE *f = fopen(path_port, "r");
        if (f && fscanf(f, "%d", &port) != 1)
            port = 0;
        if (f)
            fclose(f);
        usleep(10000);
    }
}

/* ---- a request ---- */

static int connect_to_server(bool raw)
{
    const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct linger at_once = { 1, 0 };      /* or ports would run out */
    const struct timeval patience = raw ? (struct timeval){ .tv_usec = 10000 } : (struct timeval){ .tv_sec = 60 };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    need(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) < 0) {        /* interrupted by the fuzzer's clock */
        close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void write_request(struct buf *b, size_t which, unsigned how, const uint8_t *data, size_t n)
{
    const char *method = asked[which].method;
    if (how & OTHER_METHOD)
        method = how & FROM_A_PAGE ? "OPTIONS" : strcmp(method, "GET") ? "GET" : "POST";
    buf_printf(b, NULL, "%s %s HTTP/1.1\r\n", method, asked[which].path);
    if (!(how & RAW)) {
        buf_printf(b, NULL, "Host: 127.0.0.1\r\nConnection: close\r\n%s%s%s", how & ANTHROPIC ? "anthropic-version: 2023-06-01\r\n" : "", how & NO_KEY ? "" : how & OTHER_KEY ? "x-api-key: other\r\n" : "Authorization: Bearer one\r\n",
                   how & FROM_A_PAGE ? "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n" : "");
        if (how & TRACED)
            buf_printf(b, NULL, "X-Request-Id: a\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n");
        buf_printf(b, NULL, how & CHUNKED ? "Transfer-Encoding: chunked\r\n\r\n%zx\r\n" : "Content-Length: %zu\r\n\r\n", n);
    }
    if (n || (how & RAW) || !(how & CHUNKED))
        buf_add(b, data, n, NULL);
    if ((how & (RAW | CHUNKED)) == CHUNKED)
        buf_add_str(b, n ? "\r\n0\r\n\r\n" : "\r\n", NULL);
}

static void send_all(int fd, const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        const ssize_t sent = send(fd, b->data + at, b->len - at, MSG_NOSIGNAL);
        if (sent <= 0 && errno != EINTR)
            return;
        at += sent > 0 ? (size_t)sent : 0;
    }
}

/* ---- its reply ---- */

static int keep(void *ctx, const char *p, size_t n, struct err *err) { return buf_add(ctx, p, n, err); }

/* A model may call a tool with a number that is too large for jansson. */
static void check_json(const char *p, size_t n)
{
    json_error_t e;
    json_t *v = json_loadb(p, n, JSON_ALLOW_NUL, &e);
    if (!v && json_error_code(&e) != json_error_numeric_overflow)
        fprintf(stderr, "no JSON: %s in %.*s\n", e.text, (int)n, p), abort();
    json_decref(v);
}

static int on_event(void *ctx, const char *data, size_t n, struct err *err)
{
    bool *done = ctx;
    (void)err;
    need(!*done);
    *done = n == 6 && !memcmp(data, "[DONE]", 6);
    if (!*done)
        check_json(data, n);
    return 0;
}

/* lines: each is JSON of its own. */
static void check_body(const struct response *r, const struct buf *body, bool lines)
{
    struct err err;
    bool done = false;
    if (r->events) {
        struct sse s;
        sse_init(&s);
        need(sse_feed(&s, body->data, body->len, on_event, &done, &err) == 0 && body->len > 2 && !memcmp(body->data + body->len - 2, "\n\n", 2));
        sse_release(&s);
    } else if (body->len && *body->data == '{') {
        for (size_t at = 0, k; at < body->len; at += k) {
            const char *end = lines ? memchr(body->data + at, '\n', body->len - at) : NULL;
            k = end ? (size_t)(end - body->data) + 1 - at : body->len - at;
            check_json(body->data + at, k);
        }
    }
}

static void check_reply(int fd, size_t which, bool raw)
{
    struct response r;
    struct buf body;
    struct err err;
    char piece[16384];
    ssize_t n;
    int rc = 0;
    response_init(&r), buf_init(&body);
    while (!rc && ((n = recv(fd, piece, sizeof piece, 0)) > 0 || (n < 0 && errno == EINTR)))       /* by the fuzzer's clock */
        rc = n > 0 ? response_feed(&r, piece, (size_t)n, keep, &body, &err) : 0;
    if (!raw && (rc || !r.done || (r.status >= 500 && r.status != 501) || (r.status < 400 && strcmp(asked[which].method, "GET") && !body.len && r.status != 204)))
        fprintf(stderr, "%s: status %d, %s, %.*s\n", asked[which].path, r.status, rc ? err.msg : r.done ? "whole" : "not whole", (int)body.len, body.data), abort();
    need(r.status < 500 || r.status == 501 || r.status == 503 || r.status == 505);
    if (!raw)
        check_body(&r, &body, !strncmp(asked[which].path, "/api/", 5));
    buf_release(&body);
    response_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static unsigned count;
    struct buf b;
    if (!port)
        begin_server();
    if (n < 2 || n > SIZE_MAX_OF_INPUT)
        return 0;
    const size_t which = data[0] % (sizeof asked / sizeof *asked);
    const bool raw = data[1] & RAW;
    const int fd = connect_to_server(raw);
    if (fd < 0)
        return 0;
    buf_init(&b);
    write_request(&b, which, data[1], data + 2, n - 2);
    send_all(fd, &b);
    if (raw)
        shutdown(fd, SHUT_WR);
    check_reply(fd, which, raw);
    close(fd);
    buf_release(&b);
    if (++count % AUDIT_INPUTS == 0) {
        unlink(path_audit);
        reload = 1;
    }
    return 0;
}
