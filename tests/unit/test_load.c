/* test_load.c - the load generator: schedules, quantiles, growth, parsers of torn bytes, bodies, and the client against a server that
 * behaves as it is told. */
#include <arpa/inet.h>
#include <jansson.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "load/delta.h"
#include "load/response.h"
#include "load/schedule.h"
#include "load/sse.h"
#include "load/summary.h"
#include "load/trace.h"
#include "load/users.h"

static struct err err;

/* ---- schedules ---- */

static void schedules_have_their_rate_and_shape(void **state)
{
    enum { N = 20000 };
    static double at[N], gap[N];
    (void)state;
    schedule_make(at, 10, ARRIVAL_CONSTANT, 4, 0, 1);
    for (int i = 0; i < 10; i++)
        assert_float_equal(at[i], i / 4., 1e-12);
    schedule_make(at, 10, ARRIVAL_BURST, 2, 4, 1);
    const double burst[10] = { 0, 0, 0, 0, 2, 2, 2, 2, 4, 4 };
    for (int i = 0; i < 10; i++)
        assert_float_equal(at[i], burst[i], 1e-12);
    schedule_make(at, N, ARRIVAL_POISSON, 50, 0, 7);
    double mean = 0, var = 0, above = 0;
    for (int i = 0; i < N; i++) {
        gap[i] = at[i] - (i ? at[i - 1] : 0);
        assert_true(gap[i] >= 0);
        mean += gap[i] / N, above += gap[i] > 0.02;
    }
    for (int i = 0; i < N; i++)
        var += (gap[i] - mean) * (gap[i] - mean) / N;
    assert_float_equal(mean, 0.02, 5 * 0.02 / sqrt(N));
    assert_float_equal(sqrt(var), 0.02, 0.001);
    assert_float_equal(above / N, exp(-1), 5 * sqrt(0.25 / N));
    static double again[N];
    schedule_make(again, N, ARRIVAL_POISSON, 50, 0, 7);
    assert_memory_equal(at, again, sizeof at);
    schedule_make(again, N, ARRIVAL_POISSON, 50, 0, 8);
    assert_memory_not_equal(at, again, sizeof at);
}

static void write_file(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static void a_trace_is_read_sorted_and_what_is_wrong_is_named(void **state)
{
    struct trace_row *row;
    int n;
    (void)state;
    write_file("trace", "# s,in,out\n12.5,100,20\r\n\n10 7\t3\n11,8,4");
    OK(trace_read(in_dir("trace"), &row, &n, &err));
    assert_int_equal(n, 3);
    assert_true(row[0].at < 1e-9 && row[0].input == 7 && row[0].output == 3 && fabs(row[1].at - 1) < 1e-9 && fabs(row[2].at - 2.5) < 1e-9 && row[2].input == 100);
    mem_free(row);
    static const char *const bad[] = { "", "# none\n", "1,2\n", "1,2,3,4\n", "-1,2,3\n", "nan,2,3\n", "1,0,3\n", "1,2,x\n", "1,2,1e99\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file("trace", bad[i]);
        assert_int_equal(trace_read(in_dir("trace"), &row, &n, &err), ERR_FORMAT);
        assert_null(row);
        assert_non_null(strstr(err.msg, "SECONDS,INPUT,OUTPUT"));
    }
}

static void expect_trace(const char *text, const struct trace_row *want, int n_want)
{
    struct trace_row *row;
    int n;
    write_file("trace", text);
    OK(trace_read(in_dir("trace"), &row, &n, &err));
    assert_int_equal(n, n_want);
    for (int i = 0; i < n; i++)
        if (fabs(row[i].at - want[i].at) > 1e-6 || row[i].input != want[i].input || row[i].output != want[i].output)
            fail_msg("row %d: %.9g, %d, %d", i, row[i].at, row[i].input, row[i].output);
    mem_free(row);
}

static void public_traces_are_read_by_their_names(void **state)
{
    (void)state;
    expect_trace("TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,10\r\n2023-11-16 18:17:04.0319600,3180,8\r\n", (struct trace_row[]){ { 0, 4808, 10 }, { 0.052, 3180, 8 } }, 2);
    expect_trace("{\"timestamp\": 3000, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, 1]}\n{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n",
                 (struct trace_row[]){ { 0, 5, 1 }, { 3, 6758, 500 } }, 2);
    expect_trace("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,\"Conversation log\"\n", (struct trace_row[]){ { 0, 472, 18 }, { 40, 1087, 230 } }, 2);
    expect_trace("arrived_at,num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n0.0,374,44,418,8.5\n4.314,396,109,505,3.6\n", (struct trace_row[]){ { 0, 374, 44 }, { 4.314, 396, 109 } }, 2);
    expect_trace("\xef\xbb\xbf# none\n{\"at\": \"2026-11-27T01:00:00Z\", \"prompt_tokens\": 1, \"completion_tokens\": 10000000}", (struct trace_row[]){ { 0, 1, 10000000 } }, 1);
}

/* What is wrong, and where it is. */
static void a_bad_row_of_a_public_trace_is_named(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } bad[] = {
        { "TIMESTAMP,ContextTokens\n1,2\n", "no column with the tokens of an answer" },
        { "at,input,prompt_tokens,output\n1,2,3,4\n", "two columns with the tokens of a prompt, 'input' and 'prompt_tokens'" },
        { "at,input,output\n", "no requests" },
        { "at,input,output\n1,2,3\n\n1,2\n", "line 4: 2 fields" },
        { "at,input,output\n1,2,3\n1,0,3\n", "line 3: '0', expected the tokens of a prompt, 1 to" },
        { "at,input,output\n1,2,3\n1,2,3.5\n", "line 3: '3.5', expected the tokens of an answer" },
        { "{\"at\": 1, \"input\": 1.5, \"output\": 3}\n", "line 1: \"input\", expected the tokens of a prompt" },
        { "at,input,output\n1,2,3\n1,2,\n", "line 3: '', expected the tokens of an answer" },
        { "at,input,output\n2023-02-30 10:00:00,2,3\n", "line 2: '2023-02-30 10:00:00', expected a time" },
        { "at,input,output\n-1,2,3\n", "line 2: '-1', expected a time" },
        { "at,input,output\n1,10000001,3\n", "line 2: '10000001'" },
        { "{\"at\": 1, \"input\": 2, \"output\": 3}\n[1]\n", "line 2: no object" },
        { "{\"at\": 1, \"input\": 2}\n", "line 1 has no key with the tokens of an answer, such as output_length" },
        { "{\"at\": 1, \"input\": true, \"output\": 3}\n", "line 1: \"input\", expected the tokens of a prompt" },
        { "{\"at\": 1, \"time\": 2, \"input\": 2, \"output\": 3}\n", "line 1: \"time\", expected a time once" },
        { "{\"at\": 1, \"input\": 2, \"output\": 3\n", "line 1" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trace_row *row;
        int n;
        write_file("trace", bad[i].text);
        assert_int_equal(trace_read(in_dir("trace"), &row, &n, &err), ERR_FORMAT);
        assert_null(row);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("'%s' says '%s', expected '%s'", bad[i].text, err.msg, bad[i].says);
    }
}

/* Gaps of mean 1 / rate and coefficient of variation cv; by (seed, i). */
static void gamma_gaps_have_their_mean_and_variation(void **state)
{
    enum { N = 200000 };
    (void)state;
    static const double cv[] = { 0, 0.3, 1, 2.5 };
    for (int k = 0; k < 4; k++) {
        struct arrivals a, b;
        arrivals_init(&a, ARRIVAL_GAMMA, 20, 0, cv[k], 3), arrivals_init(&b, ARRIVAL_GAMMA, 20, 0, cv[k], 3);
        double sum = 0, sum2 = 0;
        for (int i = 0; i < N; i++) {
            const double from = a.t, gap = arrivals_next(&a) - from;
            assert_true(gap >= 0 && arrivals_next(&b) >= 0 && memcmp(&a.t, &b.t, sizeof a.t) == 0);
            sum += gap, sum2 += gap * gap;
        }
        const double mean = sum / N, got = sqrt(fmax(sum2 / N - mean * mean, 0)) / mean;
        assert_float_equal(mean * 20, 1, 5 * cv[k] / sqrt(N) + 1e-9);
        assert_float_equal(got, cv[k], 0.02 * cv[k] + 1e-4);
    }
}

/* ---- torn bytes ---- */

struct log { struct buf text; struct sse sse; };

static int log_event(void *ctx, const char *data, size_t n, struct err *e)
{
    struct log *l = ctx;
    return buf_printf(&l->text, e, "[%.*s]", (int)n, data);
}

static int log_body(void *ctx, const char *p, size_t n, struct err *e) { return sse_feed(&((struct log *)ctx)->sse, p, n, log_event, ctx, e); }

static const char events[] = "\xef\xbb\xbf" ": comment\n\ndata: one\n\nevent: x\ndata:two\ndata:  three\r\n\r\ndata\n\nid: 5\rdata: \xc3\xa4 four\r\rdatum: no\n\ndata: [DONE]\n\ndata: cut";
static const char events_seen[] = "[one][two\n three][][\xc3\xa4 four][[DONE]]";

static void events_are_the_same_torn_at_any_byte(void **state)
{
    (void)state;
    const size_t n = sizeof events - 1;
    for (size_t a = 0; a <= n; a++)
        for (size_t b = a; b <= n; b += 1 + (b - a) / 3) {
            struct log l;
            buf_init(&l.text);
            sse_init(&l.sse);
            OK(sse_feed(&l.sse, events, a, log_event, &l, &err));
            OK(sse_feed(&l.sse, events + a, b - a, log_event, &l, &err));
            OK(sse_feed(&l.sse, events + b, n - b, log_event, &l, &err));
            assert_string_equal(l.text.data, events_seen);
            buf_release(&l.text);
            sse_release(&l.sse);
        }
}

static void an_event_without_end_is_refused_before_it_fills_memory(void **state)
{
    struct log l;
    char much[4096];
    int rc = 0;
    size_t fed = 0;
    (void)state;
    memset(much, 'x', sizeof much);
    buf_init(&l.text);
    sse_init(&l.sse);
    for (; !rc && fed < 4 * SSE_MAX; fed += sizeof much)
        rc = sse_feed(&l.sse, much, sizeof much, log_event, &l, &err);
    assert_int_equal(rc, ERR_FORMAT);
    assert_true(fed <= SSE_MAX + 2 * sizeof much);
    sse_clear(&l.sse);
    for (rc = 0, fed = 0; !rc && fed < 4 * SSE_MAX; fed += 32)
        rc = sse_feed(&l.sse, "data: xxxxxxxxxxxxxxxxxxxxxxxxx\n", 32, log_event, &l, &err);
    assert_int_equal(rc, ERR_FORMAT);
    buf_release(&l.text);
    sse_release(&l.sse);
}

static int feed_torn(struct response *r, struct log *l, const char *p, size_t n, size_t cut)
{
    TRY(response_feed(r, p, cut, log_body, l, &err));
    TRY(response_feed(r, p + cut, n - cut, log_body, l, &err));
    return r->done ? 0 : response_eof(r, &err);
}

/* What was logged, in static memory; rc: < 0 where it was refused. */
static const char *respond(const char *text, size_t cut, struct response *r, int *rc)
{
    static char seen[400];
    struct log l;
    buf_init(&l.text);
    sse_init(&l.sse);
    response_init(r);
    *rc = feed_torn(r, &l, text, strlen(text), cut);
    snprintf(seen, sizeof seen, "%s", l.text.data);
    response_release(r);
    sse_release(&l.sse);
    buf_release(&l.text);
    return seen;
}

static void responses_are_the_same_torn_at_any_byte(void **state)
{
    static const struct { const char *text, *seen; int status; bool keeps; } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0A;x=y\r\ndata: bc\n\n\r\n0\r\nX: y\r\n\r\n", "[a][bc]", 200, true },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\ndata: a\n\n", "[a]", 404, true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ndata: a\n\n", "[a]", 200, false },
        { "HTTP/1.0 200 OK\n\ndata: a\n\ndata: b\n\n", "[a][b]", 200, false },
        { "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) {
            struct response r;
            int rc;
            assert_string_equal(respond(cases[i].text, cut, &r, &rc), cases[i].seen);
            OK(rc);
            assert_int_equal(r.status, cases[i].status);
            assert_int_equal(r.keeps, cases[i].keeps);
        }
}

static void what_is_no_response_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "HTTP/2 200 OK\r\n\r\n", "hello\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcdefg", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "HTTP/1.1 200 OK\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct response r;
        int rc;
        respond(bad[i], strlen(bad[i]) / 2, &r, &rc);
        if (rc >= 0)
            fail_msg("taken: %s", bad[i]);
        assert_true(*err.msg);
    }
}

static void an_events_text_usage_and_error_are_found(void **state)
{
    struct delta d;
    (void)state;
#define READ_EVENT(text) OK(delta_read(&d, text, strlen(text), &err))
    READ_EVENT("{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\": \"a\\\"content\\\":\\\\\"},\"logprobs\":{\"content\":[{\"token\":\"b\"}]}}],\"usage\":null}");
    assert_true(d.said && !d.usage && !d.done && !d.error);
    assert_int_equal(d.n_text, 15);
    assert_memory_equal(d.text, "a\\\"content\\\":\\\\", 15);
    READ_EVENT("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}");
    assert_true(!d.said && !d.text);
    READ_EVENT("{\"choices\":[{\"delta\":{\"reasoning_content\":\"x\",\"content\":null}}]}");
    assert_true(d.said && !d.text);
    READ_EVENT("{\"choices\":[{\"text\":\"x\",\"finish_reason\":null}]}");
    assert_true(d.said && d.n_text == 1);
    READ_EVENT(" {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\" : 34,\"prompt_tokens_details\":{\"cached_tokens\":5}}}");
    assert_true(!d.said && d.usage && d.n_prompt == 12 && d.n_token == 34 && d.n_kept == 5);
    READ_EVENT("{\"choices\":[],\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":999999999999}}");
    assert_true(!d.usage && !d.n_prompt && !d.n_token);
    READ_EVENT("{\"error\":{\"type\":\"t\",\"message\":\"it broke\"}}");
    assert_memory_equal(d.error, "it broke", d.n_error);
    READ_EVENT("{\"error\":\"flat\"}");
    assert_memory_equal(d.error, "flat", d.n_error);
    READ_EVENT("{\"error\":null,\"content\":\"x\"}");
    assert_true(!d.error && d.said);
    READ_EVENT("[DONE]");
    assert_true(d.done);
#undef READ_EVENT
    static const char *const bad[] = { "", "   ", "[]", "hello", "{\"a", "{\"a\\", "{\"text\":\"x\\\"}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(delta_read(&d, bad[i], strlen(bad[i]), &err), ERR_FORMAT);
}

/* ---- bodies ---- */

static json_t *body_of(const struct work *w, int i, int turn, struct buf *said)
{
    struct buf b;
    buf_init(&b);
    OK(work_body(w, i, turn, said, &b, &err));
    json_t *v = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    if (!v)
        fail_msg("no JSON: %s", b.data);
    buf_release(&b);
    return v;
}

static bool same_ids(json_t *a, json_t *b, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (json_integer_value(json_array_get(a, i)) != json_integer_value(json_array_get(b, i)))
            return false;
    return true;
}

static void prompts_of_a_group_share_their_beginning_and_no_more(void **state)
{
    const struct work_opts o = { .model = "m\"x", .vocab = 1000, .input = 20, .output = 9, .shared = 30, .n_group = 2, .turns = 1, .seed = 5, .ignore_eos = true, .fields = "{\"temperature\": 0.5, \"top_p\": 0.9}" };
    struct work *w;
    (void)state;
    OK(work_new(&w, &o, &err));
    json_t *body[3], *ids[3];
    for (int i = 0; i < 3; i++) {
        body[i] = body_of(w, i, 0, NULL), ids[i] = json_object_get(body[i], "prompt");
        assert_int_equal(json_array_size(ids[i]), 50);
        for (size_t k = 0; k < 50; k++)
            assert_in_range(json_integer_value(json_array_get(ids[i], k)), 0, 999);
    }
    assert_true(same_ids(ids[0], ids[2], 0, 30) && !same_ids(ids[0], ids[2], 30, 50) && !same_ids(ids[0], ids[1], 0, 30));
    assert_string_equal(json_string_value(json_object_get(body[0], "model")), "m\"x");
    assert_true(json_is_true(json_object_get(body[0], "stream")) && json_is_true(json_object_get(body[0], "ignore_eos")) && json_integer_value(json_object_get(body[0], "max_tokens")) == 9);
    assert_float_equal(json_real_value(json_object_get(body[0], "temperature")), 0.5, 0);
    for (int i = 0; i < 3; i++)
        json_decref(body[i]);
    work_free(w);
}

static void lengths_spread_around_what_was_asked(void **state)
{
    const struct work_opts o = { .model = "m", .vocab = 10, .input = 100, .output = 10, .spread = 0.5, .turns = 1, .n_group = 1, .seed = 5 };
    struct work *w;
    (void)state;
    OK(work_new(&w, &o, &err));
    double in = 0;
    int least = 1000, most = 0;
    for (int i = 0; i < 2000; i++) {
        const int n = work_input(w, i);
        in += n, least = n < least ? n : least, most = n > most ? n : most;
        assert_in_range(work_output(w, i), 5, 15);
    }
    assert_true(least >= 50 && least < 53 && most <= 150 && most > 147);
    assert_float_equal(in / 2000, 100, 4);
    work_free(w);
}

static void a_conversation_repeats_what_was_said(void **state)
{
    const struct work_opts o = { .model = "m", .chat = true, .input = 3, .output = 4, .shared = 5, .n_group = 1, .turns = 2, .seed = 1 };
    struct work *w;
    struct buf said;
    (void)state;
    buf_init(&said);
    OK(work_new(&w, &o, &err));
    json_t *first = body_of(w, 0, 0, &said);
    OK(work_answer(&said, "I \\\"am\\\" \\u00e4", 15, &err));
    json_t *second = body_of(w, 0, 1, &said), *m = json_object_get(second, "messages");
    assert_int_equal(json_array_size(json_object_get(first, "messages")), 2);
    assert_int_equal(json_array_size(m), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(m, 0), "role")), "system");
    assert_string_equal(json_string_value(json_object_get(json_array_get(m, 2), "content")), "I \"am\" \xc3\xa4");
    assert_true(json_equal(json_array_get(m, 1), json_array_get(json_object_get(first, "messages"), 1)));
    assert_false(json_equal(json_object_get(json_array_get(m, 1), "content"), json_object_get(json_array_get(m, 3), "content")));
    json_decref(first);
    json_decref(second);
    buf_release(&said);
    work_free(w);
}

static void files_of_prompts_are_read_and_what_is_wrong_is_named(void **state)
{
    struct work *w;
    struct work_opts o = { .model = "m", .input = 3, .output = 4, .n_group = 1, .turns = 1, .prompts = in_dir("prompts") };
    (void)state;
    write_file("prompts", "{\"prompt\": \"a\\nb\", \"max_tokens\": 7}\n\n{\"prompt\": \"c\"}\n");
    OK(work_new(&w, &o, &err));
    assert_int_equal(work_n_prompt(w), 2);
    json_t *b = body_of(w, 2, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(b, "prompt")), "a\nb");
    assert_int_equal(json_integer_value(json_object_get(b, "max_tokens")), 7);
    assert_int_equal(work_output(w, 1), 4);
    json_decref(b);
    work_free(w);
    o.chat = true;
    write_file("prompts", "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"u\"}]}");
    OK(work_new(&w, &o, &err));
    b = body_of(w, 0, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(b, "messages")), 2);
    json_decref(b);
    work_free(w);
    o.chat = false;
    static const char *const bad[] = { "", "{\"prompt\": 1}", "{\"prompt\": \"x\", \"messages\": [1]}", "{\"messages\": []}", "{\"prompt\": \"x\"", "{\"prompt\": \"x\", \"max_tokens\": 0}", "{\"messages\": [1]}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file("prompts", bad[i]);
        assert_true(work_new(&w, &o, &err) < 0);
        assert_null(w);
        assert_non_null(strstr(err.msg, "prompts"));
    }
    o.prompts = NULL;
    static const char *const fields[] = { "{", "[]", "{\"stream\": false}", "{\"a\":1,\"a\":2}" };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        o.fields = fields[i];
        assert_int_equal(work_new(&w, &o, &err), ERR_USAGE);
    }
}

static void urls_and_limits_are_read(void **state)
{
    static const struct { const char *text, *host, *port, *path; } good[] = {
        { "http://localhost", "localhost", "80", "" }, { "http://10.0.0.1:8080/", "10.0.0.1", "8080", "" }, { "http://[::1]:90/v1", "::1", "90", "" }, { "http://h:1/a/v1/", "h", "1", "/a" },
    };
    static const char *const bad[] = { "https://x", "x:80", "http://", "http://h:0", "http://h:99999", "http://h:8x", "http://[::1", "http://[::1]x" };
    struct load_url u;
    struct load_limits l;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(load_url_parse(&u, good[i].text, &err));
        assert_string_equal(u.host, good[i].host);
        assert_string_equal(u.port, good[i].port);
        assert_string_equal(u.path, good[i].path);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(load_url_parse(&u, bad[i], &err), ERR_USAGE);
    OK(load_limits_parse(&l, "tpot:50,ttft:200", &err));
    assert_float_equal(l.ttft, 0.2, 1e-12);
    assert_float_equal(l.tpot, 0.05, 1e-12);
    assert_float_equal(l.e2el, 0, 0);
    static const char *const no[] = { "", "ttft", "ttft:", "ttft:-1", "ttft:1,", "ttft:1,ttft:2", "tbt:5", "ttft:1;tpot:2", "ttft:nan" };
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_int_equal(load_limits_parse(&l, no[i], &err), ERR_USAGE);
}

/* ---- sums ---- */

static void quantiles_are_exact_and_goodput_counts_all_limits(void **state)
{
    enum { N = 101 };
    struct load_reply reply[N + 3] = { 0 };
    struct load_run run = { reply, N + 3, 10, 0.5, 0 };
    struct load_summary s;
    static float gaps[2] = { 0.1f, 0.3f };
    (void)state;
    for (int i = 0; i < N; i++)              /* ttft 0 .. 1 s, two more texts after it; tpot 0.2 */
        reply[i] = (struct load_reply){ .end = LOAD_OK, .from = 1, .sent = 1.01, .first = 1 + (N - 1 - i) / 100., .last = 1.4 + (N - 1 - i) / 100., .over = 1.5 + (N - 1 - i) / 100., .n_prompt = 10, .n_kept = 5, .n_token = 3, .n_event = 3, .gap = gaps };
    reply[N] = (struct load_reply){ .end = LOAD_STATUS, .status = 429, .from = 1, .sent = 1, .over = 2, .why = (char *)(uintptr_t)"busy" };
    reply[N + 1] = (struct load_reply){ .end = LOAD_STATUS, .status = 500, .from = 1, .sent = 1, .over = 2 };
    OK(load_summarise(&run, &(struct load_limits){ .ttft = 0.5, .e2el = 0.9 }, false, &s, &err));
    assert_true(s.n_ok == N && s.n_failed == 2 && s.n_unsent == 1 && s.n_kind == 2 && s.kind[0].n == 1 && s.kind[0].status == 429 && s.told_usage);
    assert_string_equal(s.kind[0].why, "busy");
    assert_float_equal(s.ttft.p50, 0.5, 1e-9);
    assert_float_equal(s.ttft.p99, 0.99, 1e-9);
    assert_float_equal(s.ttft.p95, 0.95, 1e-9);
    assert_float_equal(s.ttft.max, 1, 1e-9);
    assert_float_equal(s.ttft.stddev, sqrt((101. * 101 - 1) / 12) / 100, 1e-9);
    assert_float_equal(s.e2el.mean, 1, 1e-9);
    assert_float_equal(s.tpot.mean, 0.2, 1e-9);
    assert_int_equal(s.itl.n, 2 * N);
    assert_float_equal(s.itl.mean, 0.2, 1e-6);
    assert_int_equal(s.n_good, 41);          /* ttft + 0.5 <= 0.9 */
    assert_int_equal(s.open_max, N + 2);
    assert_float_equal(s.n_token, 3 * N, 0);
    assert_float_equal(s.late_max, 0.01, 1e-9);
    assert_float_equal(s.cpu_per_event, 0.5 / (3 * N), 1e-9);
    json_t *o = load_json(&s, &run, true, true);
    static const char *const keys[] = { "duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput", "request_goodput", "output_throughput", "total_token_throughput",
        "max_output_tokens_per_s", "max_concurrent_requests", "mean_ttft_ms", "median_ttft_ms", "std_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "median_tpot_ms", "p99_tpot_ms", "mean_itl_ms", "p99_itl_ms",
        "mean_e2el_ms", "p99_e2el_ms", "input_lens", "output_lens", "ttfts", "itls", "errors" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_object_get(o, keys[i]))
            fail_msg("no %s", keys[i]);
    assert_float_equal(json_real_value(json_object_get(o, "request_goodput")), 4.1, 1e-9);
    json_decref(o);
}

/* A queue before n_server servers, that each need `service` seconds on average, exponentially distributed. */
static struct load_growth simulate(int n, int n_server, double load, uint64_t seed)
{
    static double from[2000], over[2000];
    double free_at[32] = { 0 };
    schedule_make(from, n, ARRIVAL_POISSON, load * n_server, 0, seed);
    for (int i = 0; i < n; i++) {
        int first = 0;
        for (int k = 1; k < n_server; k++)
            first = free_at[k] < free_at[first] ? k : first;
        const double start = free_at[first] > from[i] ? free_at[first] : from[i];
        over[i] = free_at[first] = start - log1p(-rng_uniform(rng_key(seed, "service"), (uint64_t)i));
    }
    return load_growth_of(from, over, n);
}

static void a_queue_that_grows_is_told_from_one_that_does_not(void **state)
{
    (void)state;
    int wrong = 0, missed = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        wrong += simulate(400, 16, 0.7, seed).too_much;
        missed += !simulate(400, 16, 1.5, seed).too_much;
    }
    assert_in_range(wrong, 0, 3);
    assert_in_range(missed, 0, 2);
    const struct load_growth g = simulate(2000, 8, 2, 3);
    assert_true(g.too_much && g.n_over < g.n_came && g.open_after > g.open_before + 500);
    assert_false(simulate(10, 1, 5, 1).too_much);        /* too few to say */
    assert_false(load_growth_of(NULL, NULL, 0).too_much);
}

/* ---- the client ---- */

/* Answers each request of a connection by what its body asks for in "max_tokens". */
struct server { int fd, port; pthread_t thread; atomic_int n_request, n_connection, n_open, n_open_max; atomic_bool ends; };

/* Who has heard enough is gone already; what was heard is looked at on the other side. */
static void say(int fd, const char *text) { (void)!send(fd, text, strlen(text), MSG_NOSIGNAL); }

static void chunk(int fd, const char *data)
{
    char text[300];
    snprintf(text, sizeof text, "%zx\r\n%s\r\n", strlen(data), data);
    say(fd, text);
}

static void nap_ms(long ms) { nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL); }

enum { GOOD = 3, SLOW, REFUSED, CUT, NO_DONE, BROKEN, ERRS, SILENT, HANGS, NO_EVENTS, CLOSES, NO_USAGE, HALF_A_SECOND };

/* A clock that only a server moves: what it says took half a second. */
static atomic_int clock_ms;
static double clock_of_server(void *ctx)
{
    (void)ctx;
    return atomic_load(&clock_ms) / 1000.;
}

/* true: the connection goes on. */
static bool answer(int fd, int how)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char token[] = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    if (how == REFUSED) {
        say(fd, "HTTP/1.1 429 Too Many\r\nContent-Length: 33\r\n\r\n{\"error\":{\"message\":\"too much\"}}\n");
        return true;
    }
    if (how == NO_EVENTS || how == HANGS) {
        say(fd, how == HANGS ? "" : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        return true;
    }
    if (how == CLOSES)                       /* the last bytes and the end come as one */
        setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){ 1 }, sizeof(int));
    if (how == HALF_A_SECOND)
        atomic_fetch_add(&clock_ms, 500);
    say(fd, head);
    for (int i = 0; i < 3 && how != SILENT; i++) {
        if (how == SLOW)
            nap_ms(20);
        chunk(fd, token);
    }
    if (how == CUT)
        return false;
    if (how == BROKEN)
        chunk(fd, "data: nonsense\n\n");
    if (how == ERRS)
        chunk(fd, "data: {\"error\":{\"message\":\"it broke\"}}\n\n");
    if (how != NO_USAGE)
        chunk(fd, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4}}\n\n");
    if (how != NO_DONE)
        chunk(fd, "data: [DONE]\n\n");
    say(fd, "0\r\n\r\n");
    if (how == CLOSES) {                     /* and then it only waits for the client to close, too */
        char rest[4096];
        shutdown(fd, SHUT_WR);
        while (recv(fd, rest, sizeof rest, 0) > 0)
            ;
    }
    return how != CLOSES;
}

static void *serve_one(void *ctx)
{
    struct { struct server *s; int fd; } c;
    memcpy(&c, ctx, sizeof c);
    mem_free(ctx);
    char got[65536];
    size_t n = 0;
    const int open = atomic_fetch_add(&c.s->n_open, 1) + 1;
    if (open > atomic_load(&c.s->n_open_max))
        atomic_store(&c.s->n_open_max, open);
    for (bool on = true; on;) {
        const ssize_t more = recv(c.fd, got + n, sizeof got - 1 - n, 0);
        if (more <= 0)
            break;
        got[n += (size_t)more] = 0;
        const char *body = strstr(got, "\r\n\r\n"), *length = strcasestr(got, "content-length:"), *how = strstr(got, "\"max_tokens\":");
        if (!body || !length || strlen(body + 4) < strtoul(length + 15, NULL, 10))
            continue;
        atomic_fetch_add(&c.s->n_request, 1);
        n = 0;
        on = answer(c.fd, (int)strtol(how + 13, NULL, 10));
    }
    close(c.fd);
    atomic_fetch_sub(&c.s->n_open, 1);
    return NULL;
}

static void *accept_all(void *ctx)
{
    struct server *s = ctx;
    for (;;) {
        const int fd = accept(s->fd, NULL, NULL);
        if (fd < 0 || atomic_load(&s->ends)) {
            close(fd);
            return NULL;
        }
        struct { struct server *s; int fd; } *c = mem_alloc(sizeof *c);
        c->s = s, c->fd = fd;
        atomic_fetch_add(&s->n_connection, 1);
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, serve_one, c), 0);
        pthread_detach(t);
    }
}

static void server_start(struct server *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    memset(s, 0, sizeof *s);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (void *)&a, sizeof a) | listen(s->fd, 100) | getsockname(s->fd, (void *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, accept_all, s), 0);
}

static void server_stop(struct server *s)
{
    atomic_store(&s->ends, true);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    while (atomic_load(&s->n_open))
        nap_ms(1);
}

/* Requests whose "max_tokens" are in how[]. */
static void run_against(struct server *s, const int *how, int n, struct load_opts o, struct load_run *run)
{
    static char port[8];
    struct trace_row row[64];
    struct work *w;
    assert_true(n <= 64);
    for (int i = 0; i < n; i++)
        row[i] = (struct trace_row){ 0, 5, how[i] };
    const struct work_opts wo = { .model = "m", .vocab = 100, .turns = o.turns, .chat = o.turns > 1, .n_group = 1, .trace = row, .n_trace = n, .seed = 1 };
    snprintf(port, sizeof port, "%d", s->port);
    OK(work_new(&w, &wo, &err));
    o.host = "127.0.0.1", o.port = port, o.path = "/v1/completions", o.work = w, o.n = n, o.timeout_s = o.timeout_s > 0 ? o.timeout_s : 60;
    OK(load_run(&o, run, &err));
    work_free(w);
}

static void every_outcome_has_its_kind(void **state)
{
    const int how[] = { GOOD, REFUSED, CUT, NO_DONE, BROKEN, ERRS, SILENT, NO_EVENTS, CLOSES, NO_USAGE, HANGS, GOOD };
    const enum load_end want[] = { LOAD_OK, LOAD_STATUS, LOAD_CLOSED, LOAD_CLOSED, LOAD_FORMAT, LOAD_ERROR, LOAD_EMPTY, LOAD_FORMAT, LOAD_OK, LOAD_OK, LOAD_TIMEOUT, LOAD_OK };
    enum { N = sizeof how / sizeof *how };
    struct server s;
    struct load_run run;
    (void)state;
    server_start(&s);
    run_against(&s, how, N, (struct load_opts){ .turns = 1, .n_user = 1, .timeout_s = 1 }, &run);
    for (int i = 0; i < N; i++) {
        if (run.reply[i].end != want[i])
            fail_msg("request %d: %s (%s), expected %s", i, load_end_name(run.reply[i].end), run.reply[i].why ? run.reply[i].why : "-", load_end_name(want[i]));
        assert_true((run.reply[i].why == NULL) == (want[i] == LOAD_OK));
    }
    assert_string_equal(run.reply[1].why, "too much");
    assert_int_equal(run.reply[1].status, 429);
    assert_string_equal(run.reply[5].why, "it broke");
    assert_true(run.reply[0].n_token == 4 && run.reply[0].n_event == 3 && run.reply[0].n_prompt == 10);
    assert_true(run.reply[9].n_token == 3 && run.reply[9].n_prompt == -1);
    load_run_release(&run);
    server_stop(&s);
}

static void connections_are_used_again_and_users_are_as_many_as_said(void **state)
{
    int how[40];
    struct server s;
    struct load_run run;
    (void)state;
    for (int i = 0; i < 40; i++)
        how[i] = SLOW;
    server_start(&s);
    run_against(&s, how, 40, (struct load_opts){ .turns = 1, .n_user = 8 }, &run);
    for (int i = 0; i < 40; i++)
        assert_int_equal(run.reply[i].end, LOAD_OK);
    assert_int_equal(atomic_load(&s.n_request), 40);
    assert_int_equal(atomic_load(&s.n_connection), 8);
    assert_int_equal(atomic_load(&s.n_open_max), 8);
    load_run_release(&run);
    server_stop(&s);
}

/* A server that needs 60 ms for each, one after the other, hides nothing from requests that came every 10 ms. */
static void latencies_count_from_when_a_request_was_due(void **state)
{
    const int how[] = { SLOW, SLOW, SLOW, SLOW };
    const double at[] = { 0, 0.03, 0.05, 0.2 };
    struct server s;
    struct load_run run;
    (void)state;
    server_start(&s);
    run_against(&s, how, 4, (struct load_opts){ .turns = 1, .at = at }, &run);
    for (int i = 0; i < 4; i++) {
        const struct load_reply *r = &run.reply[i];
        assert_int_equal(r->end, LOAD_OK);
        assert_float_equal(r->from, at[i], 0);
        assert_true(r->sent >= r->from && r->first - r->sent >= 0.02 && r->last >= r->first && r->over >= r->last && r->over - r->sent >= 0.06);
        assert_float_equal((double)r->gap[0] + (double)r->gap[1], r->last - r->first, 1e-4);
    }
    load_run_release(&run);
    server_stop(&s);
}

/* The case of vLLM's issue 54101: 8 requests at 10 a second, one at a time, half a second each.  From when they were sent all take 0.5 s. */
static void a_server_that_cannot_keep_up_shows_in_latencies(void **state)
{
    enum { N = 8 };
    int how[N];
    double at[N], mean = 0;
    struct server s;
    struct load_run run;
    struct load_summary sum;
    (void)state;
    for (int i = 0; i < N; i++)
        how[i] = HALF_A_SECOND;
    schedule_make(at, N, ARRIVAL_CONSTANT, 10, 0, 1);
    server_start(&s);
    run_against(&s, how, N, (struct load_opts){ .turns = 1, .at = at, .n_user = 1, .clock = clock_of_server }, &run);
    for (int i = 0; i < N; i++) {
        assert_int_equal(run.reply[i].end, LOAD_OK);
        assert_float_equal(run.reply[i].over - run.reply[i].from, 0.5 + 0.4 * i, 1e-9);
        assert_float_equal(run.reply[i].over - run.reply[i].sent, 0.5, 1e-9);
        mean += (run.reply[i].over - run.reply[i].from) / N;
    }
    assert_float_equal(mean, 1.9, 1e-9);
    OK(load_summarise(&run, &(struct load_limits){ 0 }, true, &sum, &err));
    assert_float_equal(sum.e2el.max, 3.3, 1e-9);
    assert_float_equal(sum.e2el_sent.max, 0.5, 1e-9);
    assert_float_equal(sum.ttft_sent.mean, 0.5, 1e-9);
    assert_int_equal(atomic_load(&s.n_open_max), 1);
    load_run_release(&run);
    server_stop(&s);
}

static void requests_that_belong_together_begin_together(void **state)
{
    int how[12];
    struct server s;
    struct load_run run;
    (void)state;
    for (int i = 0; i < 12; i++)
        how[i] = i % 4 ? GOOD : SLOW;
    server_start(&s);
    run_against(&s, how, 12, (struct load_opts){ .turns = 1, .n_user = 1, .n_together = 4 }, &run);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(run.reply[i].end, LOAD_OK);
        assert_float_equal(run.reply[i].from, run.reply[i / 4 * 4].from, 0);
        if (i >= 4)
            assert_true(run.reply[i].from >= run.reply[i / 4 * 4 - 4].over);
    }
    load_run_release(&run);
    server_stop(&s);
}

/* A thousand within 10 s, evenly; each waits when it has asked, and thinks 3 s on average. */
static void users_begin_and_think_by_the_seed(void **state)
{
    struct users u, same, other;
    double last = 0, sum = 0, thought = 0;
    (void)state;
    OK(users_init(&u, &(struct users_opts){ 1000, 10, 3, 0, 5 }, &err));
    OK(users_init(&same, &(struct users_opts){ 1000, 10, 3, 0, 5 }, &err));
    OK(users_init(&other, &(struct users_opts){ 1000, 10, 3, 0, 6 }, &err));
    users_ask(&u), users_ask(&same), users_ask(&other);
    assert_true(users_next(&u) < users_next(&other) || users_next(&u) > users_next(&other));
    users_release(&u), users_release(&same);
    OK(users_init(&u, &(struct users_opts){ 1000, 10, 3, 0, 5 }, &err));
    OK(users_init(&same, &(struct users_opts){ 1000, 10, 3, 0, 5 }, &err));
    assert_float_equal(users_next(&u), 0, 0);                /* the first one at once */
    for (int i = 0; i < 1000; i++) {
        const double at = users_next(&u);
        assert_true(at >= last && at < 10);
        assert_float_equal(at, users_next(&same), 0);
        last = at, sum += at;
        users_ask(&u), users_ask(&same);
    }
    assert_float_equal(sum / 1000, 5, 0.3);
    assert_true(isinf(users_next(&u)));
    for (int i = 0; i < 1000; i++) {
        users_answered(&u, i, 20);
        assert_true(users_next(&u) >= 20);
        thought += users_next(&u) - 20;
        users_ask(&u);
    }
    assert_float_equal(thought / 1000, 3, 0.3);
    users_release(&u), users_release(&same), users_release(&other);
    OK(users_init(&u, &(struct users_opts){ 2, 0, 0, 0, 5 }, &err));
    assert_float_equal(users_next(&u), 0, 0);                /* without a ramp all at once, and again when they have the answer */
    assert_true(users_ask(&u) == 0 && users_ask(&u) == 1);
    users_answered(&u, 1, 7);
    assert_float_equal(users_next(&u), 7, 0);
    users_release(&u);
}

static void requests_come_when_their_users_ask(void **state)
{
    int how[8];
    struct server s;
    struct load_run run;
    struct users u;
    (void)state;
    for (int i = 0; i < 8; i++)
        how[i] = GOOD;
    server_start(&s);
    run_against(&s, how, 3, (struct load_opts){ .turns = 1, .n_user = 3, .ramp = 0.3, .seed = 2 }, &run);
    OK(users_init(&u, &(struct users_opts){ 3, 0.3, 0, 0, 2 }, &err));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run.reply[i].end, LOAD_OK);
        assert_true(run.reply[i].from >= users_next(&u));
        users_answered(&u, users_ask(&u), run.reply[i].over);
    }
    users_release(&u);
    load_run_release(&run);
    run_against(&s, how, 8, (struct load_opts){ .turns = 1, .n_user = 1, .think = 0.02, .seed = 2 }, &run);
    OK(users_init(&u, &(struct users_opts){ 1, 0, 0.02, 0, 2 }, &err));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(run.reply[i].end, LOAD_OK);
        assert_true(run.reply[i].from >= users_next(&u));
        users_answered(&u, users_ask(&u), run.reply[i].over);
    }
    users_release(&u);
    load_run_release(&run);
    server_stop(&s);
}

static void a_closed_loop_ends_when_it_has_lasted_long_enough(void **state)
{
    int how[40];
    struct server s;
    struct load_run run;
    (void)state;
    for (int i = 0; i < 40; i++)
        how[i] = HALF_A_SECOND;
    server_start(&s);
    run_against(&s, how, 40, (struct load_opts){ .turns = 1, .n_user = 1, .enough_s = 2.1, .n_least = 3, .clock = clock_of_server }, &run);
    assert_int_equal(run.n, 6);                          /* begun at 0, .5, .. 2.5: the last one at 2.1 or later, as LoadGen's */
    load_run_release(&run);
    run_against(&s, how, 40, (struct load_opts){ .turns = 1, .n_user = 1, .enough_s = 0.1, .n_least = 7, .clock = clock_of_server }, &run);
    assert_int_equal(run.n, 7);
    load_run_release(&run);
    server_stop(&s);
}

static void a_server_that_is_gone_ends_a_closed_loop(void **state)
{
    enum { N = 5000 };
    struct server s;
    struct load_run run;
    struct work *w;
    struct load_summary sum;
    char port[8];
    (void)state;
    server_start(&s);
    server_stop(&s);
    const struct work_opts wo = { .model = "m", .vocab = 100, .input = 1, .output = 1, .turns = 1, .n_group = 1 };
    OK(work_new(&w, &wo, &err));
    snprintf(port, sizeof port, "%d", s.port);
    OK(load_run(&(struct load_opts){ .host = "127.0.0.1", .port = port, .path = "/", .work = w, .n = N, .turns = 1, .n_user = 4, .timeout_s = 9 }, &run, &err));
    OK(load_summarise(&run, &(struct load_limits){ 0 }, false, &sum, &err));
    assert_in_range(sum.n_failed, 100, 104);
    assert_int_equal(sum.n_failed + sum.n_unsent, N);
    load_run_release(&run);
    work_free(w);
}

static void a_conversation_goes_on_turn_by_turn_and_ends_where_one_fails(void **state)
{
    const int how[] = { GOOD, REFUSED };
    struct server s;
    struct load_run run;
    (void)state;
    server_start(&s);
    run_against(&s, how, 2, (struct load_opts){ .turns = 3, .n_user = 2 }, &run);
    assert_int_equal(run.n, 6);
    for (int t = 0; t < 3; t++)
        assert_int_equal(run.reply[t].end, LOAD_OK);
    assert_true(run.reply[3].end == LOAD_STATUS && run.reply[4].end == LOAD_NONE && run.reply[5].end == LOAD_NONE);
    assert_int_equal(atomic_load(&s.n_request), 4);
    load_run_release(&run);
    server_stop(&s);
}

static void nobody_there_and_a_stop_are_told(void **state)
{
    const int how[] = { GOOD, HANGS, HANGS };
    volatile sig_atomic_t stop = 1;
    struct server s;
    struct load_run run;
    (void)state;
    server_start(&s);
    run_against(&s, how, 3, (struct load_opts){ .turns = 1, .n_user = 1, .stop = &stop }, &run);
    assert_int_equal(run.reply[0].end, LOAD_NONE);
    load_run_release(&run);
    server_stop(&s);
    run_against(&s, how, 3, (struct load_opts){ .turns = 1, .n_user = 1 }, &run);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run.reply[i].end, LOAD_CONNECT);
    assert_non_null(strstr(run.reply[0].why, "refused"));
    load_run_release(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_have_their_rate_and_shape),
        cmocka_unit_test(a_trace_is_read_sorted_and_what_is_wrong_is_named), cmocka_unit_test(public_traces_are_read_by_their_names), cmocka_unit_test(a_bad_row_of_a_public_trace_is_named), cmocka_unit_test(gamma_gaps_have_their_mean_and_variation),
        cmocka_unit_test(events_are_the_same_torn_at_any_byte),
        cmocka_unit_test(an_event_without_end_is_refused_before_it_fills_memory),
        cmocka_unit_test(responses_are_the_same_torn_at_any_byte),
        cmocka_unit_test(what_is_no_response_is_refused),
        cmocka_unit_test(an_events_text_usage_and_error_are_found),
        cmocka_unit_test(prompts_of_a_group_share_their_beginning_and_no_more),
        cmocka_unit_test(lengths_spread_around_what_was_asked),
        cmocka_unit_test(a_conversation_repeats_what_was_said),
        cmocka_unit_test(files_of_prompts_are_read_and_what_is_wrong_is_named),
        cmocka_unit_test(urls_and_limits_are_read),
        cmocka_unit_test(quantiles_are_exact_and_goodput_counts_all_limits),
        cmocka_unit_test(a_queue_that_grows_is_told_from_one_that_does_not),
        cmocka_unit_test(every_outcome_has_its_kind),
        cmocka_unit_test(connections_are_used_again_and_users_are_as_many_as_said),
        cmocka_unit_test(users_begin_and_think_by_the_seed),
        cmocka_unit_test(requests_come_when_their_users_ask),
        cmocka_unit_test(latencies_count_from_when_a_request_was_due),
        cmocka_unit_test(a_server_that_cannot_keep_up_shows_in_latencies),
        cmocka_unit_test(requests_that_belong_together_begin_together),
        cmocka_unit_test(a_closed_loop_ends_when_it_has_lasted_long_enough),
        cmocka_unit_test(a_server_that_is_gone_ends_a_closed_loop),
        cmocka_unit_test(a_conversation_goes_on_turn_by_turn_and_ends_where_one_fails),
        cmocka_unit_test(nobody_there_and_a_stop_are_told),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
