#include "serve/ollama_reply.h"
#include <string.h>
#include "base/pool.h"
#include "serve/json_out.h"
#include "serve/openai_reply.h"

void ollama_time(char out[OLLAMA_TIME], time_t t)
{
    struct tm tm;
    strftime(out, OLLAMA_TIME, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

int ollama_head(struct buf *b, const char *model, time_t t, struct err *err)
{
    char time[OLLAMA_TIME];
    ollama_time(time, t);
    TRY(buf_add_str(b, "{\"model\":", err));
    TRY(out_string(b, model, strlen(model), err));
    return buf_printf(b, err, ",\"created_at\":\"%s\",", time);
}

static int begin(struct exchange *x, struct err *err) { return ollama_head(&x->head, x->w.as.name, x->created, err); }

static int add_text(struct buf *b, const struct exchange *x, const char *text, size_t n, struct err *err)
{
    const bool chat = x->w.dialect == &ollama_chat_dialect;
    TRY(buf_add_str(b, chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"response\":", err));
    TRY(out_string(b, text, n, err));
    return buf_add_str(b, chat ? "}," : ",", err);
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

static int piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    TRY(buf_add(b, c->x->head.data, c->x->head.len, err));
    TRY(add_text(b, c->x, text, n, err));
    TRY(add_probs(b, c, err));
    return buf_add_str(b, "\"done\":false}\n", err);
}

static int end(struct buf *b, struct choice *c, struct err *err)
{
    (void)b, (void)c, (void)err;             /* told by the last line */
    return 0;
}

static int last_line(struct buf *b, struct exchange *x, const struct buf *text, struct err *err)
{
    TRY(buf_add(b, x->head.data, x->head.len, err));
    TRY(add_text(b, x, text ? text->data : "", text ? text->len : 0, err));
    TRY(add_probs(b, &x->choice[0], err));
    return add_end(b, x, err);
}

static int close_stream(struct buf *b, struct exchange *x, struct err *err) { return last_line(b, x, NULL, err); }
static int whole(struct buf *b, struct exchange *x, struct err *err) { return last_line(b, x, &x->choice[0].text, err); }

static int refusal(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    (void)id;
    TRY(buf_add_str(b, "{\"error\":", err));
    TRY(out_string(b, e->message, strlen(e->message), err));
    return buf_add_str(b, "}\n", err);
}

#define LINES "application/x-ndjson"
const struct dialect ollama_chat_dialect = { .type_of_stream = LINES, .begin = begin, .token = openai_add_token, .piece = piece, .end = end, .close = close_stream, .break_off = refusal,
                                             .whole = whole, .refusal = refusal };
const struct dialect ollama_generate_dialect = { .type_of_stream = LINES, .begin = begin, .token = openai_add_token, .piece = piece, .end = end, .close = close_stream, .break_off = refusal,
                                                 .whole = whole, .refusal = refusal };
