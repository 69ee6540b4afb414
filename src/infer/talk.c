#include "infer/talk.h"
#include <limits.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "infer/reply.h"

int talk_init(struct talk *t, const struct spec_opts *o, const struct chat *chat, const char *folder, struct err *err)
{
    *t = (struct talk){ .e = o->e, .chat = chat, .messages = json_array(), .sampling = { .temperature = 0.8, .top_p = 1, .seed = 1 } };
    int rc = t->messages ? spec_new(&t->spec, o, err) : ERR(err, NOMEM, "no memory for a conversation");
    if (!rc)
        rc = ends_load(&t->ends, folder, err);
    if (rc < 0)
        talk_release(t);
    return rc;
}

void talk_release(struct talk *t)
{
    json_decref(t->messages);
    json_decref(t->tools);
    json_decref(t->variables);
    spec_free(t->spec);
    *t = (struct talk){ 0 };
}

int talk_add(struct talk *t, const char *role, const char *text, size_t n, struct err *err)
{
    json_t *content = json_stringn(text, n);
    if (!content)
        return ERR(err, FORMAT, "a message that is not UTF-8 (or there is no memory for it)");
    return json_array_append_new(t->messages, json_pack("{s:s, s:o}", "role", role, "content", content)) ? ERR(err, NOMEM, "no memory for a message") : 0;
}

const char *talk_end_name(enum talk_end end)
{
    static const char *const names[] = { "stop", "length", "context full", "stopped" };
    return names[end];
}

static int encode(struct talk *t, struct tok_ids *ids, struct err *err)
{
    struct jinja_text text;
    jinja_text_init(&text);
    int rc = chat_render(t->chat, &(struct chat_request){ .messages = t->messages, .tools = t->tools, .variables = t->variables }, &text, err);
    if (!rc)
        rc = chat_encode(engine_tok(t->e), &text, ids, err);
    jinja_text_release(&text);
    return rc;
}

int talk_count(struct talk *t, int *n, struct err *err)
{
    struct tok_ids ids = { 0 };
    *n = 0;
    if (!json_array_size(t->messages))
        return 0;
    const int rc = encode(t, &ids, err);
    *n = (int)ids.n;
    tok_ids_release(&ids);
    return rc;
}

static bool stopped(const struct talk *t) { return t->stop && *t->stop; }

/* Feeds the prompt from the first token on that the cache does not hold, step by step so that it can be stopped. */
static int feed_prompt(struct talk *t, const struct tok_ids *ids, struct talk_answer *a, struct err *err)
{
    size_t at = (size_t)spec_begin(t->spec, ids->id, (int)ids->n);
    a->n_kept = (int)at;
    while (at < ids->n && !stopped(t)) {
        const int step = engine_step_tokens(t->e), n = ids->n - at < (size_t)step ? (int)(ids->n - at) : step;
        TRY(spec_feed(t->spec, ids->id + at, n, err));
        at += (size_t)n;
    }
    return 0;
}

/* all: what is shown.  With channels (reply.h) that is the thoughts, between <think> and </think> as other models write them, and what is said. */
struct output { struct buf *all; size_t shown; talk_emit *emit; void *ctx; struct reply *reply; struct buf piece, said; bool thinks; };

static void show(struct output *o)
{
    if (o->all->len > o->shown)
        o->emit(o->ctx, o->all->data + o->shown, o->all->len - o->shown);
    o->shown = o->all->len;
}

static int on_thought(void *ctx, const char *text, size_t n)
{
    struct output *o = ctx;
    if (!o->thinks)
        TRY(buf_add_str(o->all, o->all->len ? "\n\n<think>\n" : "<think>\n", NULL));
    o->thinks = true;
    return buf_add(o->all, text, n, NULL);
}

static int on_said(void *ctx, const char *text, size_t n)
{
    struct output *o = ctx;
    if (o->thinks)
        TRY(buf_add_str(o->all, "\n</think>\n\n", NULL));
    o->thinks = false;
    TRY(buf_add(&o->said, text, n, NULL));
    return buf_add(o->all, text, n, NULL);
}

/* What the piece is of an answer in channels; NULL: it has ended. */
static int read_channels(struct output *o, const struct buf *piece, struct err *err)
{
    const struct reply_sink sink = { .ctx = o, .thought = on_thought, .content = on_said };
    const int rc = piece ? reply_add(o->reply, piece->data, piece->len, &sink) : reply_end(o->reply, &sink);
    return rc < 0 ? ERR(err, NOMEM, "no memory for an answer") : 0;
}

static int put(struct output *o, struct tok_stream *s, const int32_t *id, struct err *err)
{
    struct buf *to = o->reply ? &o->piece : o->all;
    buf_clear(&o->piece);
    TRY(id ? tok_stream_add(s, *id, to, err) : tok_stream_end(s, to, err));
    if (o->reply) {
        TRY(read_channels(o, &o->piece, err));
        TRY(id ? 0 : read_channels(o, NULL, err));
    }
    show(o);
    return 0;
}

static int generate(struct talk *t, struct output *o, struct talk_answer *a, struct err *err)
{
    struct tok_stream stream;
    tok_stream_begin(&stream, engine_tok(t->e), o->reply ? 0 : TOK_SKIP_SPECIALS);
    for (;;) {
        int32_t id;
        if (stopped(t)) {
            a->end = TALK_STOPPED;
            break;
        }
        TRY(spec_next(t->spec, &t->sampling, t->max_tokens ? t->max_tokens - a->n_token : INT_MAX, &id, err));
        a->n_token++;
        if (ends_at(&t->ends, t->e, id)) {
            a->end = TALK_STOP;
            break;
        }
        TRY(put(o, &stream, &id, err));
        if (t->max_tokens && a->n_token >= t->max_tokens) {
            a->end = TALK_LENGTH;
            break;
        }
        if (spec_full(t->spec)) {
            a->end = TALK_FULL;
            break;
        }
    }
    return put(o, &stream, NULL, err);
}

/* What the model left incomplete is no UTF-8 and cannot be a message. */
static int add_answer(struct talk *t, const struct output *o, const struct talk_answer *a, struct err *err)
{
    const struct buf *text = o->reply ? &o->said : &a->text;
    const size_t n = text->len - tok_utf8_tail(text->data, text->len);
    if (!n && a->end == TALK_STOPPED)
        return 0;
    if (talk_add(t, "assistant", text->data, n, err) == 0)
        return 0;
    return ERR(err, FORMAT, "the answer is not UTF-8 and cannot be kept in the conversation");
}

static int answer(struct talk *t, const struct tok_ids *ids, struct output *o, struct talk_answer *a, struct err *err)
{
    double start = clock_wall();
    a->n_prompt = (int)ids->n;
    TRY(feed_prompt(t, ids, a, err));
    a->prompt_s = clock_wall() - start, start = clock_wall();
    if (stopped(t)) {
        a->end = TALK_STOPPED;
    } else {
        TRY(generate(t, o, a, err));
        a->token_s = clock_wall() - start;
    }
    return add_answer(t, o, a, err);
}

int talk_answer(struct talk *t, talk_emit *emit, void *ctx, struct talk_answer *a, struct err *err)
{
    struct tok_ids ids = { 0 };
    *a = (struct talk_answer){ .end = TALK_STOP };
    buf_init(&a->text);
    struct output o = { .all = &a->text, .emit = emit, .ctx = ctx };
    buf_init(&o.piece), buf_init(&o.said);
    int rc = encode(t, &ids, err);
    const struct chat_wants *wants = chat_wants_for(t->chat, &(struct chat_request){ .tools = t->tools });
    if (!rc && wants && wants->channels)
        rc = reply_new(&o.reply, &(struct reply_form){ .thinking = REPLY_CHANNELS }, err);
    if (!rc && !ids.n)
        rc = ERR(err, FORMAT, "the chat template makes nothing of the messages");
    if (!rc && ids.n > (size_t)engine_ctx(t->e))
        rc = ERR(err, RANGE, "the conversation has %zu tokens, and there is room for %d", ids.n, engine_ctx(t->e));
    if (!rc)
        rc = answer(t, &ids, &o, a, err);
    reply_free(o.reply);
    buf_release(&o.piece), buf_release(&o.said);
    tok_ids_release(&ids);
    return rc;
}
