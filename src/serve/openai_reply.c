#include "serve/openai_reply.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "serve/json_out.h"

/* Parts of a choice: probabilities as JSON, the items of a list, or of completions' four lists. */
enum { PROBS, TOKEN_PROBS, TOPS, OFFSETS };

/* ---- probabilities ---- */

static const char *bytes_of(const struct exchange *x, int32_t id, size_t *n)
{
    const char *s = tok_bytes(x->s->answers.tok, id, n);
    if (!s)
        *n = 0;
    return s ? s : "";
}

static int add_bytes(struct buf *b, const char *s, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        TRY(buf_printf(b, err, i ? ",%u" : "%u", (unsigned)(unsigned char)s[i]));
    return 0;
}

/* JSON has no infinity: what cannot be is OpenAI's -9999. */
static int add_logprob(struct buf *b, float p, struct err *err) { return buf_add_number(b, p > -9999 ? (double)p : -9999, err); }

static int add_token_prob(struct buf *b, const struct exchange *x, int32_t id, float logprob, struct err *err)
{
    size_t n;
    const char *s = bytes_of(x, id, &n);
    TRY(buf_add_str(b, "{\"token\":", err));
    TRY(out_string(b, s, n, err));
    TRY(buf_add_str(b, ",\"logprob\":", err));
    TRY(add_logprob(b, logprob, err));
    TRY(buf_add_str(b, ",\"bytes\":[", err));
    TRY(add_bytes(b, s, n, err));
    return buf_add_char(b, ']', err);
}

int openai_add_token(struct choice *c, const struct answer_token *t, struct err *err)
{
    struct buf *b = &c->part[PROBS];
    TRY(b->len ? buf_add_char(b, ',', err) : 0);
    TRY(add_token_prob(b, c->x, t->id, t->logprob, err));
    TRY(buf_add_str(b, ",\"top_logprobs\":[", err));
    for (int i = 0; i < t->n_top; i++) {
        TRY(i ? buf_add_char(b, ',', err) : 0);
        TRY(add_token_prob(b, c->x, t->top[i].id, t->top[i].logprob, err));
        TRY(buf_add_char(b, '}', err));
    }
    return buf_add_str(b, "]}", err);
}

static int completion_token(struct choice *c, const struct answer_token *t, struct err *err)
{
    struct buf *b = &c->part[PROBS], *p = &c->part[TOKEN_PROBS], *top = &c->part[TOPS], *at = &c->part[OFFSETS];
    size_t n;
    if (b->len)
        for (int i = 0; i < 4; i++)
            TRY(buf_add_char(&c->part[i], ',', err));
    const char *s = bytes_of(c->x, t->id, &n);
    TRY(out_string(b, s, n, err));
    TRY(buf_printf(at, err, "%zu", t->at_char));
    if (isnan(t->logprob)) {                     /* the first of a prompt that is told again: nothing comes before it */
        TRY(buf_add_str(p, "null", err));
        return buf_add_str(top, "null", err);
    }
    TRY(add_logprob(p, t->logprob, err));
    TRY(buf_add_char(top, '{', err));
    const size_t first = top->len;
    for (int i = 0; i < t->n_top; i++) {
        const size_t at_key = top->len;
        s = bytes_of(c->x, t->top[i].id, &n);
        TRY(i ? buf_add_char(top, ',', err) : 0);
        TRY(out_string(top, s, n, err));
        TRY(buf_add_char(top, ':', err));
        const size_t key = at_key + (i > 0);
        if (i && memmem(top->data + first, at_key - first, top->data + key, top->len - key)) {      /* parts of characters look alike: the likelier stays */
            top->len = at_key;
            continue;
        }
        TRY(add_logprob(top, t->top[i].logprob, err));
    }
    return buf_add_char(top, '}', err);
}

/* "logprobs": of what was collected, which is forgotten. */
static int add_probs(struct buf *b, struct choice *c, struct err *err)
{
    const struct exchange *x = c->x;
    const struct buf *p = c->part;
    if (x->w.answer.n_logprob < 0 || (x->w.stream && !p[PROBS].len))
        return buf_add_str(b, "\"logprobs\":null", err);
    if (x->w.dialect == &openai_chat_dialect) {
        TRY(buf_printf(b, err, "\"logprobs\":{\"content\":[%s],\"refusal\":null}", p[PROBS].data));
    } else {
        TRY(buf_printf(b, err, "\"logprobs\":{\"tokens\":[%s],\"token_logprobs\":[%s],", p[PROBS].data, p[TOKEN_PROBS].data));
        TRY(buf_printf(b, err, "\"top_logprobs\":[%s],\"text_offset\":[%s]}", p[TOPS].data, p[OFFSETS].data));
    }
    for (int i = 0; i < CHOICE_PARTS; i++)
        buf_clear(&c->part[i]);
    return 0;
}

static const char *finish_reason(const struct choice *c)
{
    return c->why == ANSWER_LENGTH ? "length" : c->reply && reply_n_call(c->reply) ? "tool_calls" : "stop";
}

/* ---- events ---- */

/* head: what every event begins with. */
static int begin(struct exchange *x, const char *prefix, const char *object, struct err *err)
{
    snprintf(x->id, sizeof x->id, "%s-%016llx", prefix, x->number);
    TRY(buf_printf(&x->head, err, "data: {\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", x->id, object, (long long)x->created));
    TRY(out_string(&x->head, x->w.as.name, strlen(x->w.as.name), err));
    return buf_printf(&x->head, err, ",\"system_fingerprint\":\"%s\",", x->w.as.fingerprint);
}

static int chat_begin(struct exchange *x, struct err *err) { return begin(x, "chatcmpl", "chat.completion.chunk", err); }
static int completion_begin(struct exchange *x, struct err *err) { return begin(x, "cmpl", "text_completion", err); }

static int event_head(struct buf *b, const struct choice *c, struct err *err)
{
    TRY(buf_add(b, c->x->head.data, c->x->head.len, err));       /* each token's: no format is read */
    if (c->x->w.usage)
        TRY(buf_add_str(b, "\"usage\":null,", err));
    TRY(buf_add_str(b, "\"choices\":[{\"index\":", err));
    TRY(c->i < 10 ? buf_add_char(b, (char)('0' + c->i), err) : buf_printf(b, err, "%d", c->i));
    return buf_add_char(b, ',', err);
}

static int event_tail(struct buf *b, struct choice *c, bool last, struct err *err)
{
    TRY(add_probs(b, c, err));
    return last ? buf_printf(b, err, ",\"finish_reason\":\"%s\"}]}\n\n", finish_reason(c)) : buf_add_str(b, ",\"finish_reason\":null}]}\n\n", err);
}

static int delta_head(struct buf *b, struct choice *c, struct err *err)
{
    TRY(event_head(b, c, err));
    TRY(buf_add_str(b, c->told ? "\"delta\":{" : "\"delta\":{\"role\":\"assistant\",", err));
    c->told = true;
    return 0;
}

static int delta_tail(struct buf *b, struct choice *c, bool last, struct err *err)
{
    TRY(buf_add_str(b, "},", err));
    return event_tail(b, c, last, err);
}

/* Under the two names that clients look for. */
static int add_thought(struct buf *b, const char *text, size_t n, struct err *err)
{
    TRY(buf_add_str(b, "\"reasoning_content\":", err));
    TRY(out_string(b, text, n, err));
    TRY(buf_add_str(b, ",\"reasoning\":", err));
    return out_string(b, text, n, err);
}

static int chat_thought(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    TRY(delta_head(b, c, err));
    TRY(add_thought(b, text, n, err));
    return delta_tail(b, c, false, err);
}

/* The same whenever it is asked for. */
static int add_call_head(struct buf *b, const struct choice *c, int i, const char *name, struct err *err)
{
    char id[10];
    chat_tool_id(id, c->x->number + (unsigned)c->i, (uint64_t)i);
    return buf_printf(b, err, "\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":\"%s\",\"arguments\":", id, name);
}

static int chat_call(struct buf *b, struct choice *c, int i, const char *name, struct err *err)
{
    const bool first = !c->told;
    TRY(delta_head(b, c, err));
    TRY(buf_printf(b, err, "%s\"tool_calls\":[{\"index\":%d,", first ? "\"content\":null," : "", i));
    TRY(add_call_head(b, c, i, name, err));
    TRY(buf_add_str(b, "\"\"}}]", err));
    return delta_tail(b, c, false, err);
}

static int chat_arguments(struct buf *b, struct choice *c, int i, const char *text, size_t n, struct err *err)
{
    TRY(delta_head(b, c, err));
    TRY(buf_printf(b, err, "\"tool_calls\":[{\"index\":%d,\"function\":{\"arguments\":", i));
    TRY(out_string(b, text, n, err));
    TRY(buf_add_str(b, "}}]", err));
    return delta_tail(b, c, false, err);
}

static int chat_piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    TRY(delta_head(b, c, err));
    TRY(buf_add_str(b, "\"content\":", err));
    TRY(out_string(b, text, n, err));
    return delta_tail(b, c, false, err);
}

static int chat_end(struct buf *b, struct choice *c, struct err *err)
{
    const bool first = !c->told;
    TRY(delta_head(b, c, err));
    TRY(first ? buf_add_str(b, "\"content\":\"\"", err) : 0);
    return delta_tail(b, c, true, err);
}

static int add_text(struct buf *b, const char *text, size_t n, struct err *err)
{
    TRY(buf_add_str(b, "\"text\":", err));
    TRY(out_string(b, text, n, err));
    return buf_add_char(b, ',', err);
}

static int completion_piece(struct buf *b, struct choice *c, const char *text, size_t n, struct err *err)
{
    TRY(event_head(b, c, err));
    TRY(add_text(b, text, n, err));
    return event_tail(b, c, false, err);
}

static int completion_end(struct buf *b, struct choice *c, struct err *err)
{
    TRY(event_head(b, c, err));
    TRY(add_text(b, "", 0, err));
    return event_tail(b, c, true, err);
}

static int add_usage(struct buf *b, const struct exchange *x, struct err *err)
{
    const struct exchange_counts n = exchange_counts(x);
    return buf_printf(b, err, "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":%d},"
                              "\"completion_tokens_details\":{\"reasoning_tokens\":%d}}", n.n_prompt, n.n_token, n.n_prompt + n.n_token, n.n_kept, n.n_thought);
}

static int close_stream(struct buf *b, struct exchange *x, struct err *err)
{
    if (x->w.usage) {
        TRY(buf_printf(b, err, "%s\"choices\":[],", x->head.data));
        TRY(add_usage(b, x, err));
        TRY(buf_add_str(b, "}\n\n", err));
    }
    return buf_add_str(b, "data: [DONE]\n\n", err);
}

static int break_off(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    (void)id;
    TRY(buf_add_str(b, "data: ", err));
    TRY(out_refusal(b, e, err));
    return buf_add_str(b, "\n\n", err);
}

/* ---- whole replies ---- */

/* As a stream tells them: one that was cut, too, as far as it came. */
static int n_call(const struct choice *c) { return c->reply ? reply_n_call(c->reply) + reply_is_cut(c->reply) : 0; }

static int add_calls(struct buf *b, const struct choice *c, struct err *err)
{
    const struct buf *arguments;
    TRY(buf_add_str(b, ",\"tool_calls\":[", err));
    for (int i = 0; i < n_call(c); i++) {
        const char *const name = reply_call(c->reply, i, &arguments);
        TRY(buf_add_str(b, i ? ",{" : "{", err));
        TRY(add_call_head(b, c, i, name, err));
        TRY(out_string(b, arguments->data, arguments->len, err));
        TRY(buf_add_str(b, "}}", err));
    }
    return buf_add_char(b, ']', err);
}

static int chat_text(struct buf *b, const struct choice *c, struct err *err)
{
    const struct buf *const content = c->reply ? reply_content(c->reply) : &c->text, *const thought = c->reply ? reply_thought(c->reply) : NULL;
    const bool calls = n_call(c) > 0;
    TRY(buf_add_str(b, "\"message\":{\"role\":\"assistant\",\"content\":", err));
    TRY(calls && !content->len ? buf_add_str(b, "null", err) : out_string(b, content->data, content->len, err));
    TRY(buf_add_str(b, ",\"refusal\":null", err));
    if (thought && thought->len) {
        TRY(buf_add_char(b, ',', err));
        TRY(add_thought(b, thought->data, thought->len, err));
    }
    TRY(calls ? add_calls(b, c, err) : 0);
    return buf_add_str(b, "},", err);
}

static int completion_text(struct buf *b, const struct choice *c, struct err *err) { return add_text(b, c->text.data, c->text.len, err); }

static int whole(struct buf *b, struct exchange *x, const char *object, int (*text)(struct buf *b, const struct choice *c, struct err *err), struct err *err)
{
    TRY(buf_printf(b, err, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", x->id, object, (long long)x->created));
    TRY(out_string(b, x->w.as.name, strlen(x->w.as.name), err));
    TRY(buf_printf(b, err, ",\"system_fingerprint\":\"%s\",\"choices\":[", x->w.as.fingerprint));
    for (int i = 0; i < x->n; i++) {
        struct choice *c = &x->choice[i];
        TRY(buf_printf(b, err, "%s{\"index\":%d,", i ? "," : "", i));
        TRY(text(b, c, err));
        TRY(add_probs(b, c, err));
        TRY(buf_printf(b, err, ",\"finish_reason\":\"%s\"}", finish_reason(c)));
    }
    TRY(buf_add_str(b, "],", err));
    TRY(add_usage(b, x, err));
    return buf_add_str(b, "}\n", err);
}

static int chat_whole(struct buf *b, struct exchange *x, struct err *err) { return whole(b, x, "chat.completion", chat_text, err); }
static int completion_whole(struct buf *b, struct exchange *x, struct err *err) { return whole(b, x, "text_completion", completion_text, err); }

static int refusal(struct buf *b, const struct refusal *e, const char *id, struct err *err)
{
    (void)id;
    TRY(out_refusal(b, e, err));
    return buf_add_char(b, '\n', err);
}

#define EVENTS "text/event-stream; charset=utf-8"
const struct dialect openai_chat_dialect = { .type_of_stream = EVENTS, .begin = chat_begin, .token = openai_add_token, .piece = chat_piece, .thought = chat_thought, .call = chat_call, .arguments = chat_arguments, .end = chat_end, .close = close_stream,
                                             .break_off = break_off, .whole = chat_whole, .refusal = refusal };
const struct dialect openai_completion_dialect = { .type_of_stream = EVENTS, .begin = completion_begin, .token = completion_token, .piece = completion_piece, .end = completion_end,
                                                   .close = close_stream, .break_off = break_off, .whole = completion_whole, .refusal = refusal };

void openai_refuse(struct http_request *q, const struct refusal *e) { exchange_refuse(q, &openai_chat_dialect, e); }

/* ---- models ---- */

json_t *openai_model(const struct served_model *m, int which)
{
    static const char *const tasks[] = { [SERVED_TEXTS] = "generate", [SERVED_VECTORS] = "embed", [SERVED_CLASSES] = "classify" };
    const struct config *c = served_model_config(m);
    const struct served_as as = served_model_as(m, which);
    const bool images = config_vision(c);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s?, s:I, s:s, s:s, s:s, s:s, s:{s:i, s:i, s:i, s:I}}", "id", as.name, "object", "model", "created", (json_int_t)m->since, "owned_by", "lathe", "root", as.name,
                     "parent", which ? m->name : NULL, "max_model_len", (json_int_t)served_model_ctx(m), "task", tasks[m->kind], "input", images ? "image" : "text", "digest", as.digest,
                     "system_fingerprint", as.fingerprint, "meta", "n_vocab", c->vocab_size, "n_ctx_train", (int)c->ctx, "n_embd", (int)c->d_model, "size",
                     (json_int_t)served_model_weight_bytes(m));
}
