#include "serve/ollama_reply.h"
#include <string.h>
#include "base/pool.h"
#include "base/when.h"
#include "serve/json_out.h"
#include "serve/openai_reply.h"

int ollama_head(struct buf *b, const char *model, time_t t, struct err *err)
{
    char time[WHEN_TEXT];
    when_seconds(time, (int64_t)t);
    TRY(buf_add_str(b, "{\"model\":", err));
    TRY(out_string(b, model, strlen(model), err));
    return buf_printf(b, err, ",\"created_at\":\"%s\",", time);
}

static int begin(struct exchange *x, struct err *err) { return ollama_head(&x->head, x->w.as.name, x->created, err); }

static bool is_chat(const struct exchange *x) { return x->w.dialect == &ollama_chat_dialect; }

static int add_field(struct buf *b, const char *name, const char *text, size_t n, struct err *err)
{
    TRY(buf_printf(b, err, "\"%s\":", name));
    return out_string(b, text, n, err);
}

/* Up to where calls of tools may follow. */
static int begin_text(struct buf *b, const struct exchange *x, const char *text, size_t n, const char *thought, size_t n_thought, struct err *err)
{
    TRY(is_chat(x) ? buf_add_str(b, "\"message\":{\"role\":\"assistant\",", err) : 0);
    TRY(add_field(b, is_chat(x) ? "content" : "response", text, n, err));
    TRY(n_thought ? buf_add_char(b, ',', err) : 0);
    return n_thought ? add_field(b, "thinking", thought, n_thought, err) : 0;
}

static int end_text(struct buf *b, const struct exchange *x, struct err *err) { return buf_add_str(b, is_chat(x) ? "}," : ",", err); }

/* Arguments are JSON, of which a line end is between its words only: what is told is a line. */
static int add_call(struct buf *b, int i, const char *name, const struct buf *arguments, struct err *err)
{
    TRY(buf_printf(b, err, "{\"function\":{\"index\":%d,\"name\":\"%s\",\"arguments\":", i, name));
    const size_t from = b->len;
    TRY(buf_add(b, arguments->data, arguments->len, err));
    for (size_t k = from; k < b->len; k++)
        if (b->data[k] == '\n' || b->data[k] == '\r')
            b->data[k] = ' ';
    return buf_add_str(b, "}}", err);
}

/* What was collected, which is forgotten. */
static int add_probs(struct buf *b, struct choice *c, struct err *err)
{
    if (!c->part[0].len)
        return 0;
    TRY(buf_printf(b, err, "\"logprobs\":[%s],", c->part[0].data));
    buf_clear(&c->part[0]);
    return 0;
}

static long long ns(double seconds) { return seconds > 0 ? (long long)(seconds * 1e9) : 0; }

static int add_end(struct buf *b, const struct exchange *x, struct err *err)
{
    const struct choice *c = &x->choice[0];
    const struct exchange_counts n = exchange_counts(x);
    const double now = clock_wall(), first = c->first > 0 ? c->first : now;
    TRY(buf_printf(b, err, "\"done\":true,\"done_reason\":\"%s\",\"total_duration\":%lld,\"load_duration\":0,", c->why == ANSWER_LENGTH ? "length" : "stop", ns(now - x->begun)));
    return buf_printf(b, err, "\"prompt_eval_count\":%d,\"prompt_eval_duration\":%lld,\"eval_count\":%d,\"eval_duration\":%lld}\n", n.n_prompt, ns(first - x->begun), n.n_token, ns(now - first));
}

static int line(struct buf *b, struct choice *c, const char *text, size_t n, const char *thought, size_t n_thought, struct err *err)
{
    TRY(buf_add(b, c->x->head.data, c->x->head.len, err));
    TRY(begin_text(b, c->x, text, n, thought, n_thought, err));
    TRY(end_text(b, c->x, err));
    TRY(add_probs(b, c, err));
    return buf_add_str(b, "\"done\":false}\n", err);
}

static int piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err) { return line(b, c, text, n, "", 0, err); }
static int thought(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err) { return n ? line(b, c, "", 0, text, n, err) : 0; }

/* The choice's own: a call that is collected, as it is told in one line; own[0]: how many were told. */
enum { CALL_NAME = 1, CALL_ARGUMENTS };

static int tell_call(struct buf *b, struct choice *c, struct err *err)
{
    struct buf *name = &c->part[CALL_NAME], *arguments = &c->part[CALL_ARGUMENTS];
    if (!name->len || c->own[0] >= reply_n_call(c->reply))       /* none, or it has no end */
        return 0;
    TRY(buf_add(b, c->x->head.data, c->x->head.len, err));
    TRY(begin_text(b, c->x, "", 0, "", 0, err));
    TRY(buf_add_str(b, ",\"tool_calls\":[", err));
    TRY(add_call(b, c->own[0]++, name->data, arguments, err));
    TRY(buf_add_char(b, ']', err));
    TRY(end_text(b, c->x, err));
    TRY(add_probs(b, c, err));
    return buf_add_str(b, "\"done\":false}\n", err);
}

static int call(struct buf *b, struct choice *c, int i, const char *name, struct err *err)
{
    (void)i;
    TRY(tell_call(b, c, err));
    buf_clear(&c->part[CALL_NAME]), buf_clear(&c->part[CALL_ARGUMENTS]);
    return buf_add_str(&c->part[CALL_NAME], name, err);
}

static int arguments(struct buf *b, struct choice *c, int i, const char *text, size_t n, struct err *err)
{
    (void)b, (void)i;
    return buf_add(&c->part[CALL_ARGUMENTS], text, n, err);
}

static int close_stream(struct buf *b, struct exchange *x, struct err *err)
{
    TRY(buf_add(b, x->head.data, x->head.len, err));
    TRY(begin_text(b, x, "", 0, "", 0, err));
    TRY(end_text(b, x, err));
    TRY(add_probs(b, &x->choice[0], err));
    return add_end(b, x, err);
}

static int add_calls(struct buf *b, const struct choice *c, struct err *err)
{
    const struct buf *arguments;
    TRY(buf_add_str(b, ",\"tool_calls\":[", err));
    for (int i = 0; i < reply_n_call(c->reply); i++) {
        const char *const name = reply_call(c->reply, i, &arguments);
        TRY(i ? buf_add_char(b, ',', err) : 0);
        TRY(add_call(b, i, name, arguments, err));
    }
    return buf_add_char(b, ']', err);
}

static int whole(struct buf *b, struct exchange *x, struct err *err)
{
    struct choice *c = &x->choice[0];
    const struct buf *text = c->reply ? reply_content(c->reply) : &c->text, *thoughts = c->reply ? reply_thought(c->reply) : NULL;
    TRY(buf_add(b, x->head.data, x->head.len, err));
    TRY(begin_text(b, x, text->data, text->len, thoughts ? thoughts->data : "", thoughts ? thoughts->len : 0, err));
    TRY(c->reply && reply_n_call(c->reply) ? add_calls(b, c, err) : 0);
    TRY(end_text(b, x, err));
    TRY(add_probs(b, c, err));
    return add_end(b, x, err);
}

static int refusal(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    (void)id;
    TRY(buf_add_str(b, "{\"error\":", err));
    TRY(out_string(b, e->message, strlen(e->message), err));
    return buf_add_str(b, "}\n", err);
}

#define LINES "application/x-ndjson"
const struct dialect ollama_chat_dialect = { .type_of_stream = LINES, .begin = begin, .token = openai_add_token, .piece = piece, .thought = thought, .call = call, .arguments = arguments, .end = tell_call, .close = close_stream, .break_off = refusal,
                                             .whole = whole, .refusal = refusal };
const struct dialect ollama_generate_dialect = { .type_of_stream = LINES, .begin = begin, .token = openai_add_token, .piece = piece, .thought = thought, .call = call, .arguments = arguments, .end = tell_call, .close = close_stream, .break_off = refusal,
                                                 .whole = whole, .refusal = refusal };
