#include "serve/anthropic_reply.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
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
    if (c->why != ANSWER_STOP || c->stop_text < 0)
        return buf_printf(b, err, "\"stop_reason\":\"%s\",\"stop_sequence\":null", c->why == ANSWER_LENGTH ? "max_tokens" : "end_turn");
    size_t n;
    const char *s = stops_text(c->x->w.stops, c->stop_text, &n);
    TRY(buf_add_str(b, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":", err));
    return out_string(b, s, n, err);
}

static int add_message(struct buf *b, const struct exchange *x, struct err *err)
{
    TRY(buf_printf(b, err, "{\"id\":\"msg_%016llx\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", x->number));
    return out_string(b, x->w.as.name, strlen(x->w.as.name), err);
}

/* An answer without a text has no block. */
static int whole(struct buf *b, struct exchange *x, struct err *err)
{
    const struct choice *c = &x->choice[0];
    TRY(add_message(b, x, err));
    TRY(buf_add_str(b, c->text.len ? ",\"content\":[{\"type\":\"text\",\"text\":" : ",\"content\":[", err));
    TRY(c->text.len ? out_string(b, c->text.data, c->text.len, err) : 0);
    TRY(buf_add_str(b, c->text.len ? "}]," : "],", err));
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

static int piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    if (!n)
        return 0;
    if (!c->told)
        TRY(buf_add_str(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n", err));
    c->told = true;
    TRY(buf_add_str(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":", err));
    TRY(out_string(b, text, n, err));
    return buf_add_str(b, "}}\n\n", err);
}

static int end(struct buf *b, struct choice *c, struct err *err)
{
    return c->told ? buf_add_str(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n", err) : 0;
}

static int close_stream(struct buf *b, struct exchange *x, struct err *err)
{
    TRY(buf_add_str(b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{", err));
    TRY(add_stop(b, &x->choice[0], err));
    TRY(buf_add_str(b, "},", err));
    TRY(add_usage(b, x, err));
    return buf_add_str(b, "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", err);
}

const struct dialect anthropic_dialect = { .type_of_stream = "text/event-stream; charset=utf-8", .id_header = "request-id", .open = open_stream, .piece = piece, .end = end,
                                           .close = close_stream, .break_off = break_off, .whole = whole, .refusal = refusal };

json_t *anthropic_model(const struct served_model *s, int which)
{
    const char *name = served_model_as(s, which).name;
    char since[32];
    struct tm t;
    strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s->since, &t));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "type", "model", "lifecycle", "active", "id", name, "display_name", name, "created_at", since, "max_input_tokens", served_model_ctx(s));
}
