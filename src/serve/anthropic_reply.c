#include "serve/anthropic_reply.h"
#include <stdio.h>
#include <string.h>
#include "base/when.h"
#include "serve/json_out.h"

static const char *type_of(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static int add_error(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    TRY(buf_printf(b, err, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", type_of(e->status)));
    TRY(out_string(b, e->message, strlen(e->message), err));
    TRY(buf_add_str(b, "},\"request_id\":", err));
    TRY(out_string(b, id, strlen(id), err));
    return buf_add_char(b, '}', err);
}

static int refusal(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    TRY(add_error(b, e, id, err));
    return buf_add_char(b, '\n', err);
}

static int break_off(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    TRY(buf_add_str(b, "event: error\ndata: ", err));
    TRY(add_error(b, e, id, err));
    return buf_add_str(b, "\n\n", err);
}

/* ---- a message ---- */

/* Of a prompt, what the cache had is counted apart.  How much that was is known when the text has ended. */
static int add_usage(struct buf *b, const struct exchange *x, struct err *err)
{
    const struct exchange_counts n = exchange_counts(x);
    return buf_printf(b, err, "\"usage\":{\"input_tokens\":%d,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":%d,\"output_tokens\":%d}", n.n_prompt - n.n_kept, n.n_kept, n.n_token);
}

static int add_stop(struct buf *b, const struct choice *c, struct err *err)
{
    const char *const by_itself = c->reply && reply_n_call(c->reply) ? "tool_use" : "end_turn";
    if (c->why != ANSWER_STOP || c->stop_text < 0)
        return buf_printf(b, err, "\"stop_reason\":\"%s\",\"stop_sequence\":null", c->why == ANSWER_LENGTH ? "max_tokens" : by_itself);
    size_t n;
    const char *s = stops_text(c->x->w.stops, c->stop_text, &n);
    TRY(buf_add_str(b, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":", err));
    return out_string(b, s, n, err);
}

static int begin(struct exchange *x, struct err *err)
{
    (void)err;
    snprintf(x->id, sizeof x->id, "msg_%016llx", x->number);
    return 0;
}

static int add_message(struct buf *b, const struct exchange *x, struct err *err)
{
    TRY(buf_printf(b, err, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", x->id));
    return out_string(b, x->w.as.name, strlen(x->w.as.name), err);
}

/* A call without its end: the same whenever it is asked for. */
static int add_call(struct buf *b, const struct choice *c, int i, const char *name, struct err *err)
{
    char id[10];
    chat_tool_id(id, c->x->number, (uint64_t)i);
    return buf_printf(b, err, "{\"type\":\"tool_use\",\"id\":\"toolu_%s\",\"name\":\"%s\",\"input\":", id, name);
}

static int add_block(struct buf *b, const char *before, const struct buf *text, const char *after, struct err *err)
{
    if (!text->len)
        return 0;
    TRY(buf_add_str(b, b->data[b->len - 1] == '[' ? "" : ",", err));
    TRY(buf_add_str(b, before, err));
    TRY(out_string(b, text->data, text->len, err));
    return buf_add_str(b, after, err);
}

/* What there is nothing of has no block. */
static int add_content(struct buf *b, const struct choice *c, struct err *err)
{
    const struct buf *arguments;
    TRY(c->reply ? add_block(b, "{\"type\":\"thinking\",\"thinking\":", reply_thought(c->reply), ",\"signature\":\"\"}", err) : 0);
    TRY(add_block(b, "{\"type\":\"text\",\"text\":", c->reply ? reply_content(c->reply) : &c->text, "}", err));
    for (int i = 0; c->reply && i < reply_n_call(c->reply); i++) {
        const char *const name = reply_call(c->reply, i, &arguments);
        TRY(buf_add_str(b, b->data[b->len - 1] == '[' ? "" : ",", err));
        TRY(add_call(b, c, i, name, err));
        TRY(buf_add(b, arguments->data, arguments->len, err));
        TRY(buf_add_char(b, '}', err));
    }
    return 0;
}

static int whole(struct buf *b, struct exchange *x, struct err *err)
{
    const struct choice *c = &x->choice[0];
    TRY(add_message(b, x, err));
    TRY(buf_add_str(b, ",\"content\":[", err));
    TRY(add_content(b, c, err));
    TRY(buf_add_str(b, "],", err));
    TRY(add_stop(b, c, err));
    TRY(buf_add_char(b, ',', err));
    TRY(add_usage(b, x, err));
    return buf_add_str(b, "}\n", err);
}

/* ---- events ---- */

static int open_stream(struct buf *b, struct exchange *x, struct err *err)
{
    TRY(buf_add_str(b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":", err));
    TRY(add_message(b, x, err));
    TRY(buf_add_str(b, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,", err));
    TRY(add_usage(b, x, err));
    return buf_add_str(b, "}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n", err);
}

/* The choice's own: the block that is open, and which it is. */
enum { KIND, INDEX };
enum { NO_BLOCK, TEXT_BLOCK, THOUGHT_BLOCK, CALL_BLOCK };

static int end_block(struct buf *b, struct choice *c, struct err *err)
{
    if (c->own[KIND] == NO_BLOCK)
        return 0;
    c->own[KIND] = NO_BLOCK;
    return buf_printf(b, err, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":%d}\n\n", c->own[INDEX]++);
}

static int begin_block(struct buf *b, struct choice *c, int kind, struct err *err)
{
    TRY(end_block(b, c, err));
    c->own[KIND] = kind;
    return buf_printf(b, err, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":%d,\"content_block\":", c->own[INDEX]);
}

static int delta(struct buf *b, const struct choice *c, const char *type, const char *field, const char *text, size_t n, struct err *err)
{
    TRY(buf_printf(b, err, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":%d,\"delta\":{\"type\":\"%s\",\"%s\":", c->own[INDEX], type, field));
    TRY(out_string(b, text, n, err));
    return buf_add_str(b, "}}\n\n", err);
}

static int piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    if (n && c->own[KIND] != TEXT_BLOCK) {
        TRY(begin_block(b, c, TEXT_BLOCK, err));
        TRY(buf_add_str(b, "{\"type\":\"text\",\"text\":\"\"}}\n\n", err));
    }
    return n ? delta(b, c, "text_delta", "text", text, n, err) : 0;
}

static int thought(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    if (n && c->own[KIND] != THOUGHT_BLOCK) {
        TRY(begin_block(b, c, THOUGHT_BLOCK, err));
        TRY(buf_add_str(b, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n", err));
    }
    return n ? delta(b, c, "thinking_delta", "thinking", text, n, err) : 0;
}

static int call(struct buf *b, struct choice *c, int i, const char *name, struct err *err)
{
    TRY(begin_block(b, c, CALL_BLOCK, err));
    TRY(add_call(b, c, i, name, err));
    return buf_add_str(b, "{}}}\n\n", err);
}

static int arguments(struct buf *b, struct choice *c, int i, const char *text, size_t n, struct err *err)
{
    (void)i;
    return delta(b, c, "input_json_delta", "partial_json", text, n, err);
}

static int close_stream(struct buf *b, struct exchange *x, struct err *err)
{
    TRY(buf_add_str(b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{", err));
    TRY(add_stop(b, &x->choice[0], err));
    TRY(buf_add_str(b, "},", err));
    TRY(add_usage(b, x, err));
    return buf_add_str(b, "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", err);
}

const struct dialect anthropic_dialect = { .type_of_stream = "text/event-stream; charset=utf-8", .id_header = "request-id", .begin = begin, .open = open_stream, .piece = piece, .thought = thought,
                                           .call = call, .arguments = arguments, .end = end_block,
                                           .close = close_stream, .break_off = break_off, .whole = whole, .refusal = refusal };

json_t *anthropic_model(const struct served_model *s, int which)
{
    const char *name = served_model_as(s, which).name;
    char since[WHEN_TEXT];
    when_seconds(since, (int64_t)s->since);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "type", "model", "lifecycle", "active", "id", name, "display_name", name, "created_at", since, "max_input_tokens", served_model_ctx(s));
}
