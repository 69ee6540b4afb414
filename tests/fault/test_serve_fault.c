/* test_serve_fault.c - the n-th allocation fails while requests of each API are read and told: it is said to be the server's fault, nothing
 * leaks, and what does not fail is as it was without. */
#include "each_allocation.h"
#include "../served.h"
#include "serve/anthropic.h"
#include "serve/anthropic_reply.h"
#include "serve/ollama.h"
#include "serve/ollama_reply.h"
#include "serve/openai.h"
#include "serve/openai_reply.h"

static struct err err;
static char dir[] = "/tmp/lathe-serve-fault-XXXXXX";
static struct served_model *model;

typedef void reader(struct wish *w, json_t *request, struct served_model *s, struct refusal *e);
static const struct asked { reader *read; const char *request; } asked[] = {
    { openai_chat, "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],\"stop\":[\"a\",\"b\"],\"logit_bias\":{\"5\":1}}" },
    { openai_completion, "{\"model\":\"tiny\",\"prompt\":[\"hello\",[1,2]],\"stop\":\"x\",\"cache_salt\":\"s\",\"allowed_token_ids\":[1,2,3]}" },
    { anthropic_messages, "{\"model\":\"tiny\",\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"S\"}],\"stop_sequences\":[\"x\"],"
                          "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":\"c\"}]}" },
    { ollama_read_chat, "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"options\":{\"stop\":[\"x\"]}}" },
    { anthropic_messages, "{\"model\":\"tiny\",\"max_tokens\":5,\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"}}}}],"
                          "\"tool_choice\":{\"type\":\"any\"},\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"x\":1}}]},"
                          "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"2\"}]}]}" },
    { ollama_read_chat, "{\"model\":\"tiny\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
                        "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{}}}]},{\"role\":\"tool\",\"tool_name\":\"f\",\"content\":\"2\"}]}" },
    { ollama_read_generate, "{\"model\":\"tiny:latest\",\"prompt\":\"hi\",\"system\":\"S\"}" },
};

/* The prompts' ids, one after the other. */
struct ids { const struct asked *of; int32_t id[200]; int n; };

static int read_one(struct ids *ids)
{
    struct refusal e = { 0 };
    struct wish w;
    json_t *request = in_parse(ids->of->request, strlen(ids->of->request), &e);
    ids->n = 0;
    if (request)
        ids->of->read(&w, request, model, &e);
    if (e.status) {
        assert_int_equal(e.status, 503);
        return ERR_NOMEM;
    }
    for (int i = 0; i < w.n_prompt; i++)
        for (size_t k = 0; k < w.prompt[i].n && ids->n < 200; k++)
            ids->id[ids->n++] = w.prompt[i].id[k];
    wish_release(&w);
    return 0;
}

static int read_again(void *ctx)
{
    const struct ids *whole = ctx;
    struct ids ids = { .of = whole->of };
    const int rc = read_one(&ids);
    if (!rc && (ids.n != whole->n || memcmp(ids.id, whole->id, (size_t)ids.n * sizeof *ids.id)))
        fail_msg("another prompt of %s", whole->of->request);
    return rc;
}

static void a_request_is_read_as_it_is_or_refused_for_want_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct ids whole = { .of = &asked[i] };
        assert_int_equal(read_one(&whole), 0);
        assert_true(whole.n > 1);
        assert_true(each_allocation(read_again, &whole, true) > 10);
    }
}

/* ---- what is told ---- */

static const struct dialect *const dialects[] = { &openai_chat_dialect, &openai_completion_dialect, &anthropic_dialect, &ollama_chat_dialect, &ollama_generate_dialect };

static const char said[] = "<think>\nhm\"\n</think>\n\nso<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\":\n1}}\n</tool_call>";

/* A thought and a call. */
static int tell_reply(struct buf *b, struct choice *c)
{
    const struct dialect *d = c->x->w.dialect;
    const struct reply_form form = { .thinking = REPLY_MAY_THINK, .calls = CHAT_FORM_TAGGED, .arguments = "arguments" };
    TRY(reply_new(&c->reply, &form, &err));
    TRY(reply_add(c->reply, said, sizeof said - 1, NULL));
    TRY(reply_end(c->reply, NULL));
    assert_int_equal(reply_n_call(c->reply), 1);
    TRY(d->thought(b, c, "hm\"", 3, &err));
    TRY(d->call(b, c, 0, "f", &err));
    return d->arguments(b, c, 0, "{\"x\":\n1}", 8, &err);
}

/* A stream of two pieces, a thought and a call, and a whole reply, or as far as memory goes. */
static int tell(struct buf *b, struct exchange *x)
{
    const struct dialect *d = x->w.dialect;
    struct choice *c = &x->choice[0];
    const struct token_prob top = { 6, -0.5F };
    const struct answer_token t = { .id = 5, .bytes = "x", .n = 1, .logprob = -1, .top = &top, .n_top = 1 };
    const struct refusal e = { .status = 503, .message = "told \"so\"" };
    TRY(d->begin ? d->begin(x, &err) : 0);
    TRY(d->open ? d->open(b, x, &err) : 0);
    for (int i = 0; i < 2; i++) {
        TRY(d->token ? d->token(c, &t, &err) : 0);
        TRY(d->piece(b, c, "h\xc3\xa9\"", 4, &err));
    }
    TRY(d->call ? tell_reply(b, c) : 0);
    TRY(d->end(b, c, &err));
    TRY(d->close(b, x, &err));
    x->w.stream = false;
    TRY(d->token ? d->token(c, &t, &err) : 0);
    TRY(buf_add_str(&c->text, "text", &err));
    TRY(d->whole(b, x, &err));
    TRY(d->break_off(b, &e, "id", &err));
    return d->refusal(b, &e, "id", &err);
}

static int tell_all(struct buf *b, const struct dialect *d, struct stops *stops)
{
    struct tok_ids prompt = { .id = (int32_t[]){ 1, 2, 3 }, .n = 3 };
    struct exchange *x = calloc(1, sizeof *x + sizeof *x->choice);
    assert_non_null(x);
    *x = (struct exchange){ .s = model, .n = 1, .n_all = 1, .created = 1000000000, .number = 7 };
    x->w = (struct wish){ .dialect = d, .as = served_model_as(model, 0), .n = 1, .prompt = &prompt, .n_prompt = 1, .stream = true, .usage = true, .stops = stops, .answer = { .n_logprob = 1 } };
    struct choice *c = &x->choice[0];
    *c = (struct choice){ .x = x, .why = ANSWER_STOP, .stop_text = 0, .n_token = 2, .n_kept = 1 };
    buf_init(b), buf_init(&x->head), buf_init(&c->text);
    for (int k = 0; k < CHOICE_PARTS; k++)
        buf_init(&c->part[k]);
    const int rc = tell(b, x);
    reply_free(c->reply);
    buf_release(&x->head), buf_release(&c->text);
    for (int k = 0; k < CHOICE_PARTS; k++)
        buf_release(&c->part[k]);
    free(x);
    return rc;
}

/* Durations differ from run to run. */
static size_t without_numbers(char *text, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] < '0' || text[i] > '9')
            text[to++] = text[i];
    return to;
}

struct told { const struct dialect *d; struct stops *stops; struct buf whole; };

static int tell_again(void *ctx)
{
    const struct told *t = ctx;
    struct buf b;
    const int rc = tell_all(&b, t->d, t->stops);
    if (!rc)
        assert_true(without_numbers(b.data, b.len) == t->whole.len && !memcmp(b.data, t->whole.data, t->whole.len));
    buf_release(&b);
    return rc;
}

static void a_reply_is_whole_or_fails_for_want_of_memory(void **state)
{
    (void)state;
    struct stops *stops;
    OK(stops_new(&stops, &(struct stop_text){ "stop\"", 5 }, 1, &err));
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        struct told t = { .d = dialects[i], .stops = stops };
        OK(tell_all(&t.whole, dialects[i], stops));
        t.whole.len = without_numbers(t.whole.data, t.whole.len);
        assert_true(each_allocation(tell_again, &t, true) > 1);
        buf_release(&t.whole);
    }
    stops_free(stops);
}

static int set_up(void **state)
{
    (void)state;
    return served_open(&model, dir, &err);
}

static int tear_down(void **state)
{
    (void)state;
    served_model_close(model);
    return file_remove_tree(dir, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_request_is_read_as_it_is_or_refused_for_want_of_memory), cmocka_unit_test(a_reply_is_whole_or_fails_for_want_of_memory) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
