#include "serve/exchange.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "serve/json_out.h"

struct exchange;
struct choice {
    struct exchange *x;
    int i;
    struct answer *a;
    uint64_t id;                         /* of the batch; 0: not there */
    struct buf text, probs;              /* of the whole answer, where it is not streamed; probs: JSON, items of a list or four lists */
    struct buf lists[3];                 /* completions: token_logprobs, top_logprobs, text_offset */
    int n_token, n_kept;
    bool told;                           /* stream: its first event has gone out */
    const char *finish;
};

struct exchange {
    struct http_request *q;
    struct served_model *s;
    struct wish w;
    char id[40], *head;                  /* head: what every event begins with */
    pthread_mutex_t lock;                /* of pending, of the choices' ids, and of e */
    int n, pending;                      /* texts that have not ended; while they are submitted, one more */
    bool begun;                          /* the stream */
    atomic_bool cancelled, failed;
    struct refusal e;
    time_t created;
    struct buf event;                    /* of the thread of the steps */
    struct choice choice[];
};

void wish_release(struct wish *w)
{
    for (int i = 0; i < w->n_prompt; i++)
        tok_ids_release(&w->prompt[i]);
    mem_free(w->prompt);
    mem_free(w->bias);
    mem_free(w->allowed);
    mem_free(w->stop_token);
    stops_free(w->stops);
    grammar_free(w->grammar);
    json_decref(w->request);
    *w = (struct wish){ 0 };
}

void exchange_refuse(struct http_request *q, const struct refusal *e)
{
    struct buf b;
    buf_init(&b);
    if (e->status == 429)
        http_add_header(q, "Retry-After", "1");
    if (out_refusal(&b, e, NULL) < 0 || buf_add_char(&b, '\n', NULL) < 0)
        b.len = 0;
    http_reply(q, e->status, "application/json", b.data, b.len);
    buf_release(&b);
}

static void exchange_free(struct exchange *x)
{
    for (int i = 0; i < x->n; i++) {
        answer_free(x->choice[i].a);
        buf_release(&x->choice[i].text);
        buf_release(&x->choice[i].probs);
        for (int k = 0; k < 3; k++)
            buf_release(&x->choice[i].lists[k]);
    }
    buf_release(&x->event);
    wish_release(&x->w);
    pthread_mutex_destroy(&x->lock);
    mem_free(x->head);
    mem_free(x);
}

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

static int add_token(struct buf *b, const struct exchange *x, int32_t id, float logprob, struct err *err)
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

static int add_chat_probs(struct buf *b, const struct exchange *x, const struct answer_token *t, struct err *err)
{
    TRY(b->len ? buf_add_char(b, ',', err) : 0);
    TRY(add_token(b, x, t->id, t->logprob, err));
    TRY(buf_add_str(b, ",\"top_logprobs\":[", err));
    for (int i = 0; i < t->n_top; i++) {
        TRY(i ? buf_add_char(b, ',', err) : 0);
        TRY(add_token(b, x, t->top[i].id, t->top[i].logprob, err));
        TRY(buf_add_char(b, '}', err));
    }
    return buf_add_str(b, "]}", err);
}

static int add_text_probs(struct choice *c, const struct answer_token *t, struct err *err)
{
    struct buf *b = &c->probs, *p = &c->lists[0], *top = &c->lists[1], *at = &c->lists[2];
    size_t n;
    if (b->len)
        for (int i = 0; i < 4; i++)
            TRY(buf_add_char(i ? &c->lists[i - 1] : b, ',', err));
    const char *s = bytes_of(c->x, t->id, &n);
    TRY(out_string(b, s, n, err));
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
    TRY(buf_add_char(top, '}', err));
    return buf_printf(at, err, "%zu", t->at);
}

/* "logprobs": of what was collected, which is forgotten. */
static int add_probs(struct buf *b, struct choice *c, struct err *err)
{
    const struct exchange *x = c->x;
    if (x->w.answer.n_logprob < 0 || (x->w.stream && !c->probs.len))
        return buf_add_str(b, "\"logprobs\":null", err);
    if (x->w.chat) {
        TRY(buf_printf(b, err, "\"logprobs\":{\"content\":[%s],\"refusal\":null}", c->probs.data));
    } else {
        TRY(buf_printf(b, err, "\"logprobs\":{\"tokens\":[%s],\"token_logprobs\":[%s],", c->probs.data, c->lists[0].data));
        TRY(buf_printf(b, err, "\"top_logprobs\":[%s],\"text_offset\":[%s]}", c->lists[1].data, c->lists[2].data));
    }
    buf_clear(&c->probs);
    for (int i = 0; i < 3; i++)
        buf_clear(&c->lists[i]);
    return 0;
}

/* ---- events ---- */

static int send_event(struct exchange *x, struct err *err)
{
    TRY(buf_add_str(&x->event, "\n\n", err));
    const int rc = http_stream_add(x->q, x->event.data, x->event.len);
    buf_clear(&x->event);
    return rc;
}

/* text NULL: the last event of the choice. */
static int tell(struct choice *c, const char *text, size_t n, struct err *err)
{
    struct exchange *x = c->x;
    struct buf *b = &x->event;
    buf_clear(b);
    TRY(buf_printf(b, err, "%s%s\"choices\":[{\"index\":%d,", x->head, x->w.usage ? "\"usage\":null," : "", c->i));
    if (x->w.chat) {
        TRY(buf_add_str(b, "\"delta\":{", err));
        if (!c->told)
            TRY(buf_add_str(b, "\"role\":\"assistant\",", err));
        if (text || !c->told) {
            TRY(buf_add_str(b, "\"content\":", err));
            TRY(out_string(b, text ? text : "", n, err));
        }
        TRY(buf_add_str(b, "},", err));
    } else {
        TRY(buf_add_str(b, "\"text\":", err));
        TRY(out_string(b, text ? text : "", n, err));
        TRY(buf_add_char(b, ',', err));
    }
    c->told = true;
    TRY(add_probs(b, c, err));
    TRY(text ? buf_add_str(b, ",\"finish_reason\":null}]}", err) : buf_printf(b, err, ",\"finish_reason\":\"%s\"}]}", c->finish));
    return send_event(x, err);
}

static int add_usage(struct buf *b, const struct exchange *x, struct err *err)
{
    int n_prompt = 0, n_kept = 0, n_token = 0;
    for (int i = 0; i < x->n; i++) {
        n_token += x->choice[i].n_token;
        if (i % x->w.n == 0)
            n_prompt += (int)x->w.prompt[i / x->w.n].n, n_kept += x->choice[i].n_kept;
    }
    return buf_printf(b, err, "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":%d},"
                              "\"completion_tokens_details\":{\"reasoning_tokens\":0}}", n_prompt, n_token, n_prompt + n_token, n_kept);
}

static int end_stream(struct exchange *x, struct err *err)
{
    struct buf *b = &x->event;
    buf_clear(b);
    if (x->failed) {
        TRY(buf_add_str(b, "data: ", err));
        TRY(out_refusal(b, &x->e, err));
        return send_event(x, err);
    }
    if (x->w.usage) {
        TRY(buf_printf(b, err, "%s\"choices\":[],", x->head));
        TRY(add_usage(b, x, err));
        TRY(buf_add_char(b, '}', err));
        TRY(send_event(x, err));
    }
    TRY(buf_add_str(b, "data: [DONE]", err));
    return send_event(x, err);
}

static int whole_reply(struct exchange *x, struct buf *b, struct err *err)
{
    TRY(buf_printf(b, err, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", x->id, x->w.chat ? "chat.completion" : "text_completion", (long long)x->created));
    TRY(out_string(b, x->s->name, strlen(x->s->name), err));
    TRY(buf_printf(b, err, ",\"system_fingerprint\":\"%s\",\"choices\":[", x->s->fingerprint));
    for (int i = 0; i < x->n; i++) {
        struct choice *c = &x->choice[i];
        TRY(buf_printf(b, err, "%s{\"index\":%d,%s", i ? "," : "", i, x->w.chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":"));
        TRY(out_string(b, c->text.data, c->text.len, err));
        TRY(buf_add_str(b, x->w.chat ? ",\"refusal\":null}," : ",", err));
        TRY(add_probs(b, c, err));
        TRY(buf_printf(b, err, ",\"finish_reason\":\"%s\"}", c->finish));
    }
    TRY(buf_add_str(b, "],", err));
    TRY(add_usage(b, x, err));
    return buf_add_str(b, "}\n", err);
}

static void fail(struct exchange *x, int status, const char *why)
{
    pthread_mutex_lock(&x->lock);
    refuse_as(&x->e, status, status < 500 ? "invalid_request_error" : "server_error", NULL, NULL, "%s", why);
    pthread_mutex_unlock(&x->lock);
    atomic_store(&x->failed, true);
}

/* All texts have ended. */
static void finish(struct exchange *x)
{
    if (x->begun) {
        end_stream(x, NULL);             /* what fails for want of memory or a client ends the stream all the same */
        http_stream_end(x->q);
    } else if (x->failed) {
        exchange_refuse(x->q, &x->e);
    } else {
        buf_clear(&x->event);
        if (whole_reply(x, &x->event, NULL) < 0) {
            refuse_as(&x->e, 503, "server_error", NULL, NULL, "no memory for the reply");
            exchange_refuse(x->q, &x->e);
        } else {
            http_reply(x->q, 200, "application/json", x->event.data, x->event.len);
        }
    }
    exchange_free(x);
}

/* ---- what the texts call ---- */

static void cancel_all(struct exchange *x)
{
    atomic_store(&x->cancelled, true);
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->n; i++)
        if (x->choice[i].id)
            batch_cancel(x->s->batch, x->choice[i].id);
    pthread_mutex_unlock(&x->lock);
}

static void gone(void *ctx) { cancel_all(ctx); }

static void piece(void *ctx, const struct answer_piece *p)
{
    struct choice *c = ctx;
    struct exchange *x = c->x;
    int rc = 0;
    for (int i = 0; i < p->n_token && !rc; i++)
        rc = x->w.chat ? add_chat_probs(&c->probs, x, &p->token[i], NULL) : add_text_probs(c, &p->token[i], NULL);
    if (!rc)
        rc = !x->w.stream ? buf_add(&c->text, p->text, p->n, NULL) : p->n || c->probs.len ? tell(c, p->text, p->n, NULL) : 0;
    if (rc >= 0 || atomic_load(&x->cancelled))
        return;
    if (rc != ERR_STOPPED)
        fail(x, 503, "no memory for the answer");
    cancel_all(x);
}

/* One less is under way; the last one replies. */
static void leave(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    const bool last = --x->pending == 0;
    pthread_mutex_unlock(&x->lock);
    if (last)
        finish(x);
}

static void ended(void *ctx, const struct answer_end *e)
{
    struct choice *c = ctx;
    struct exchange *x = c->x;
    c->n_token = e->n_token, c->n_kept = e->n_kept;
    c->finish = e->why == ANSWER_LENGTH ? "length" : "stop";
    if (e->why == ANSWER_FAILED) {           /* the others would be made for nothing; what a grammar makes impossible is the request's fault */
        fail(x, e->err->code == ERR_NOMEM ? 503 : e->err->code == ERR_FORMAT || e->err->code == ERR_RANGE ? 400 : 500, e->err->msg);
        cancel_all(x);
    } else if (e->why == ANSWER_CANCELLED)
        fail(x, 503, "the answer was cancelled");
    else if (x->w.stream)
        tell(c, NULL, 0, NULL);
    leave(x);
}

/* ---- begin ---- */

static int room_of(const struct served_model *s)
{
    const int ctx = engine_ctx(s->engine);
    const int64_t all = (int64_t)engine_n_page(s->engine) * KV_TOKENS;
    return all < ctx ? (int)all : ctx;
}

static void check_length(const struct served_model *s, const struct wish *w, struct refusal *e)
{
    const int room = room_of(s);
    if ((int64_t)w->n_prompt * w->n > s->n_queue)
        refuse(e, "n", "%lld answers are asked for at once, expected at most %d", (long long)w->n_prompt * w->n, s->n_queue);
    for (int i = 0; i < w->n_prompt; i++)
        if (!w->prompt[i].n)
            refuse(e, w->chat ? "messages" : "prompt", "the prompt is empty");
        else if (w->prompt[i].n + (w->answer.most > 0 ? (size_t)w->answer.most : 0) > (size_t)room + 1 || w->prompt[i].n > (size_t)room)
            refuse_as(e, 400, "invalid_request_error", "context_length_exceeded", w->chat ? "messages" : "prompt",
                      "the prompt has %zu tokens and %d are to be made, but there are %d positions", w->prompt[i].n, w->answer.most > 0 ? w->answer.most : 0, room);
}

/* Answers have copied what they need of it. */
static void forget_request(struct wish *w)
{
    mem_free(w->bias);
    mem_free(w->allowed);
    mem_free(w->stop_token);
    json_decref(w->request);
    w->bias = NULL, w->allowed = w->stop_token = NULL, w->request = NULL;
}

static struct exchange *make(struct http_request *q, struct served_model *s, struct wish *w, struct refusal *e)
{
    const int n = w->n_prompt * w->n;
    struct err err;
    struct exchange *x = mem_alloc_zero(sizeof *x + (size_t)n * sizeof *x->choice);
    if (!x) {
        refuse_as(e, 503, "server_error", NULL, NULL, "no memory for the request");
        wish_release(w);
        return NULL;
    }
    static atomic_ullong count;
    *x = (struct exchange){ .q = q, .s = s, .w = *w, .n = n, .pending = n + 1, .created = time(NULL) };
    *w = (struct wish){ 0 };
    pthread_mutex_init(&x->lock, NULL);
    buf_init(&x->event);
    const unsigned long long number = rng_u64((uint64_t)x->created, atomic_fetch_add(&count, 1));
    snprintf(x->id, sizeof x->id, "%s-%016llx", x->w.chat ? "chatcmpl" : "cmpl", number);
    int rc = buf_printf(&x->event, NULL, "data: {\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", x->id, x->w.chat ? "chat.completion.chunk" : "text_completion", (long long)x->created);
    rc = rc ? rc : out_string(&x->event, s->name, strlen(s->name), NULL);
    rc = rc ? rc : buf_printf(&x->event, NULL, ",\"system_fingerprint\":\"%s\",", s->fingerprint);
    x->head = rc ? NULL : mem_strdup(x->event.data);
    if (!x->head)
        refuse_as(e, 503, "server_error", NULL, NULL, "no memory for the request");
    for (int i = 0; i < n; i++) {
        struct choice *c = &x->choice[i];
        c->x = x, c->i = i;
        buf_init(&c->text), buf_init(&c->probs);
        for (int k = 0; k < 3; k++)
            buf_init(&c->lists[k]);
        const struct tok_ids *ids = &x->w.prompt[i / x->w.n];
        struct answer_wish a = x->w.answer;
        a.prompt = ids->id, a.n_prompt = (int)ids->n, a.sampling.seed = x->w.seed + (uint64_t)(i % x->w.n), a.piece = piece, a.end = ended, a.ctx = c;
        const int left = room_of(s) + 1 - (int)ids->n;
        a.most = a.most < 0 ? left : a.most;
        if (!e->status && answer_new(&c->a, &s->answers, &a, &err) < 0)
            refuse_as(e, err.code == ERR_NOMEM ? 503 : 400, err.code == ERR_NOMEM ? "server_error" : "invalid_request_error", NULL, NULL, "%s", err.msg);
    }
    forget_request(&x->w);
    return x;
}

static void refusal_of(struct refusal *e, const struct err *err)
{
    if (err->code == ERR_BUSY)
        refuse_as(e, 429, "rate_limit_error", "queue_full", NULL, "%s", err->msg);
    else if (err->code == ERR_RANGE)
        refuse_as(e, 400, "invalid_request_error", "context_length_exceeded", NULL, "%s", err->msg);
    else
        refuse_as(e, 503, "server_error", NULL, NULL, "%s", err->msg);
}

void exchange_start(struct http_request *q, struct served_model *s, struct wish *w)
{
    struct refusal e = { 0 };
    struct err err;
    check_length(s, w, &e);
    struct exchange *x = e.status ? NULL : make(q, s, w, &e);
    if (e.status) {
        if (x)
            exchange_free(x);
        else
            wish_release(w);
        exchange_refuse(q, &e);
        return;
    }
    http_on_gone(q, gone, x);
    for (int i = 0; i < x->n; i++) {
        const struct text_request r = answer_request(x->choice[i].a);
        pthread_mutex_lock(&x->lock);
        int rc = atomic_load(&x->cancelled) ? ERR(&err, STOPPED, "the request was cancelled") : batch_submit(s->batch, &r, &x->choice[i].id, &err);
        if (rc < 0)
            refusal_of(&x->e, &err), atomic_store(&x->failed, true);
        x->pending -= rc < 0;
        pthread_mutex_unlock(&x->lock);
        if (rc < 0)
            cancel_all(x);
    }
    if (x->w.stream && !atomic_load(&x->failed)) {       /* once it is sure that there will be one */
        http_add_header(q, "Cache-Control", "no-cache");
        http_add_header(q, "X-Accel-Buffering", "no");
        http_stream_begin(q, 200, "text/event-stream; charset=utf-8");
        x->begun = true;
    }
    leave(x);
}
