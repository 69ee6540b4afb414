#include "serve/exchange.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "serve/json_out.h"
#include "serve/recording.h"
#include "serve/visit.h"

/* In whole seconds for all, and exactly for those who know that. */
static void tell_retry(struct http_request *q, int64_t ms)
{
    char text[32];
    if (ms < 0) {
        http_add_header(q, "x-should-retry", "false");
        return;
    }
    snprintf(text, sizeof text, "%lld", ms ? (long long)(ms + 999) / 1000 : 1);
    http_add_header(q, "Retry-After", text);
    snprintf(text, sizeof text, "%lld", (long long)ms);
    if (ms)
        http_add_header(q, "retry-after-ms", text);
}

/* The request's name, where the dialect's clients look for it; once for each reply. */
static void name_reply(struct http_request *q, const struct dialect *d)
{
    if (d->id_header)
        http_add_header(q, d->id_header, http_trace(q)->id);
}

static void refuse_named(struct http_request *q, const struct dialect *d, const struct refusal *e)
{
    struct buf b;
    buf_init(&b);
    if (e->status == 429)
        tell_retry(q, e->retry_ms);
    if (d->refusal(&b, e, http_trace(q)->id, NULL) < 0)
        b.len = 0;
    http_reply(q, e->status, "application/json", b.data, b.len);
    buf_release(&b);
}

void exchange_refuse(struct http_request *q, const struct dialect *d, const struct refusal *e)
{
    name_reply(q, d);
    refuse_named(q, d, e);
}

void exchange_reply_json(struct http_request *q, const struct dialect *d, json_t *v)
{
    struct refusal e = { 0 };
    struct buf b;
    buf_init(&b);
    if (v && out_json(&b, v, NULL) == 0 && buf_add_char(&b, '\n', NULL) == 0) {
        http_reply(q, 200, "application/json", b.data, b.len);
    } else {
        wish_no_memory(&e);
        exchange_refuse(q, d, &e);
    }
    buf_release(&b);
    json_decref(v);
}

static void exchange_free(struct exchange *x)
{
    for (int i = 0; i < x->n_all; i++) {
        shadow_free(x->choice[i].shadow);
        answer_free(x->choice[i].a);
        record_free(x->choice[i].record), mem_free(x->choice[i].signals.expert);
        reply_free(x->choice[i].reply);
        buf_release(&x->choice[i].text);
        for (int k = 0; k < CHOICE_PARTS; k++)
            buf_release(&x->choice[i].part[k]);
    }
    buf_release(&x->head);
    buf_release(&x->out);
    wish_release(&x->w);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

static int made_of(const struct wish *w) { return w->n_made ? w->n_made : w->n; }

struct exchange_counts exchange_counts(const struct exchange *x)
{
    struct exchange_counts n = { 0 };
    for (int i = 0; i < x->n_all; i++) {
        n.n_token += x->choice[i].n_token, n.n_thought += x->choice[i].n_thought;
        if (x->choice[i].leads)
            n.n_kept += x->choice[i].n_kept;
    }
    for (int i = 0; i < x->w.n_prompt; i++)
        n.n_prompt += (int)x->w.prompt[i].n;
    return n;
}

/* ---- telling ---- */

static void fail(struct exchange *x, int status, const char *why)
{
    pthread_mutex_lock(&x->lock);
    refuse_as(&x->e, status, NULL, NULL, NULL, "%s", why);
    pthread_mutex_unlock(&x->lock);
    atomic_store(&x->failed, true);
}

/* What goes out next begins here. */
static int open_stream(struct exchange *x)
{
    buf_clear(&x->out);
    if (x->opened)
        return 0;
    x->opened = true;
    return x->w.dialect->open ? x->w.dialect->open(&x->out, x, NULL) : 0;
}

static int send_out(struct exchange *x) { return http_stream_add(x->q, x->out.data, x->out.len); }

static int say_thought(void *ctx, const char *text, size_t n)
{
    struct choice *c = ctx;
    return c->x->w.dialect->thought(&c->x->out, c, text, n, NULL);
}

static int say_content(void *ctx, const char *text, size_t n)
{
    struct choice *c = ctx;
    return c->x->w.dialect->piece(&c->x->out, c, text, n, NULL);
}

static int say_call(void *ctx, int i, const char *name)
{
    struct choice *c = ctx;
    return c->x->w.dialect->call(&c->x->out, c, i, name, NULL);
}

static int say_arguments(void *ctx, int i, const char *text, size_t n)
{
    struct choice *c = ctx;
    return c->x->w.dialect->arguments(&c->x->out, c, i, text, n, NULL);
}

static struct reply_sink sink_of(struct choice *c) { return (struct reply_sink){ c, say_thought, say_content, say_call, say_arguments }; }

/* The text of a reply goes to the parts of it; without a stream they are kept by the reader. */
static int read_reply(struct choice *c, const struct answer_piece *p)
{
    const struct reply_sink sink = sink_of(c);
    const bool thought = reply_is_thinking(c->reply);
    TRY(reply_add(c->reply, p->text, p->n, c->x->w.stream ? &sink : NULL));
    if (thought || reply_is_thinking(c->reply))
        c->n_thought = p->n_made;
    return 0;
}

static int tell_piece(struct choice *c, const struct answer_piece *p)
{
    struct exchange *x = c->x;
    const struct dialect *d = x->w.dialect;
    for (int i = 0; i < p->n_token; i++)
        TRY(d->token(c, &p->token[i], NULL));
    visit_note_first(x->q);
    recording_piece(c, p->text, p->n);
    if (!x->w.stream || visit_keeps_text(x->q))
        TRY(buf_add(&c->text, p->text, p->n, NULL));
    if (!x->w.stream)
        return c->reply ? read_reply(c, p) : 0;
    TRY(open_stream(x));
    TRY(c->reply ? read_reply(c, p) : d->piece(&x->out, c, p->text, p->n, NULL));
    return x->out.len ? send_out(x) : 0;
}

static int tell_end(struct choice *c)
{
    struct exchange *x = c->x;
    TRY(open_stream(x));
    if (c->reply) {
        const struct reply_sink sink = sink_of(c);
        TRY(reply_end(c->reply, &sink));
    }
    TRY(x->w.dialect->end(&x->out, c, NULL));
    return send_out(x);
}

static int tell_close(struct exchange *x)
{
    const struct dialect *d = x->w.dialect;
    TRY(open_stream(x));
    TRY(x->failed ? d->break_off(&x->out, &x->e, http_trace(x->q)->id, NULL) : d->close(&x->out, x, NULL));
    return send_out(x);
}

/* What the client is charged, and what there is to remember: prompts to which a text was begun, and what was made; nothing where it was
 * refused because the batch did not take all of its texts. */
static void settle(struct exchange *x)
{
    const struct exchange_counts n = exchange_counts(x);
    int64_t tokens = n.n_token;
    for (int i = 0, begun = -1; i < x->n_all; i++) {
        const struct choice *c = &x->choice[i];
        const int prompt = i / made_of(&x->w);
        if (!c->id)
            continue;
        if (c->begun && prompt != begun)
            tokens += (int64_t)x->w.prompt[prompt].n, begun = prompt;
        visit_note_text(x->q, c->why, visit_keeps_text(x->q) ? &c->text : NULL);
    }
    visit_note_counts(x->q, x->id, n.n_prompt, n.n_kept, n.n_token);
    visit_settle(x->q, x->refused ? 0 : tokens);
}

static double mean_logprob(const struct choice *c) { return c->n_token ? c->logprob / c->n_token : 0; }

static void swap(struct choice *a, struct choice *b)
{
    const struct choice c = *a;
    *a = *b, *b = c;
}

/* Of the answers to each prompt the n whose tokens are the likeliest on average come first, the best before all; of equal ones the earlier. */
static void choose_best(struct exchange *x)
{
    const int made = made_of(&x->w), n = x->w.n;
    for (int p = 0; p < x->w.n_prompt; p++)
        for (int k = 0; k < n; k++) {
            struct choice *of = x->choice + (ptrdiff_t)p * made, *best = &of[k];
            for (int i = k + 1; i < made; i++)
                if (mean_logprob(&of[i]) > mean_logprob(best) || (mean_logprob(&of[i]) == mean_logprob(best) && of[i].i < best->i))
                    best = &of[i];
            swap(best, &of[k]);
        }
    for (int p = 1; p < x->w.n_prompt; p++)      /* from p * made + k to p * n + k, which lies before it */
        for (int k = 0; k < n; k++)
            swap(&x->choice[p * made + k], &x->choice[p * n + k]);
    for (int i = 0; i < x->n; i++)
        x->choice[i].i = i;
}

/* All texts have ended. */
static void finish(struct exchange *x)
{
    const struct dialect *d = x->w.dialect;
    settle(x);
    if (x->w.n_made && !x->failed)
        choose_best(x);
    recording_end(x);
    if (x->streams) {
        tell_close(x);                       /* what fails for want of memory or a client ends the stream all the same */
        http_stream_end(x->q);
    } else if (x->failed) {
        refuse_named(x->q, d, &x->e);
    } else {
        buf_clear(&x->out);
        if (d->whole(&x->out, x, NULL) < 0) {
            refuse_as(&x->e, 503, NULL, NULL, NULL, "no memory for the reply");
            refuse_named(x->q, d, &x->e);
        } else {
            http_reply(x->q, 200, "application/json", x->out.data, x->out.len);
        }
    }
    exchange_free(x);
}

/* ---- what the texts call ---- */

static void cancel_all(struct exchange *x)
{
    atomic_store(&x->cancelled, true);
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->n_all; i++)
        if (x->choice[i].id)
            batch_cancel(x->s->batch, x->choice[i].id);
    pthread_mutex_unlock(&x->lock);
}

static void gone(void *ctx) { cancel_all(ctx); }

/* What there was no memory to tell fails the request; who has gone is told nothing. */
static void check_told(struct exchange *x, int rc)
{
    if (rc >= 0 || atomic_load(&x->cancelled))
        return;
    if (rc != ERR_STOPPED)
        fail(x, 503, "no memory for the answer");
    cancel_all(x);
}

static void piece(void *ctx, const struct answer_piece *p)
{
    struct choice *c = ctx;
    if (c->first <= 0)
        c->first = clock_wall();
    check_told(c->x, tell_piece(c, p));
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
    c->n_thought = c->reply && reply_is_thinking(c->reply) ? e->n_token : c->n_thought;
    c->n_token = e->n_token, c->begun = e->n_kept >= 0, c->n_kept = c->begun ? e->n_kept : 0, c->why = e->why, c->stop_text = e->stop_text, c->logprob = e->logprob;
    if (c->shadow && (e->why == ANSWER_STOP || e->why == ANSWER_LENGTH)) {
        shadow_end(c->shadow, e->logprob);
        c->shadow = NULL;
    }
    if (e->why == ANSWER_FAILED) {           /* the others would be made for nothing; what a grammar makes impossible is the request's fault */
        fail(x, e->err->code == ERR_NOMEM || e->err->code == ERR_IO ? 503 : e->err->code == ERR_FORMAT || e->err->code == ERR_RANGE ? 400 : 500, e->err->msg);
        cancel_all(x);
    } else if (e->why == ANSWER_CANCELLED)
        fail(x, 503, atomic_load(&x->cancelled) ? WISH_LATE : WISH_ENDS);
    else if (x->w.stream)
        check_told(x, tell_end(c));
    else if (c->reply)
        check_told(x, reply_end(c->reply, NULL));
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
    if ((int64_t)w->n_prompt * made_of(w) > s->n_queue)
        refuse(e, w->n_made ? "best_of" : "n", "%lld answers are asked for at once, expected at most %d", (long long)w->n_prompt * made_of(w), s->n_queue);
    for (int i = 0; i < w->n_prompt; i++)
        if (!w->prompt[i].n)
            refuse(e, w->param, "the prompt is empty");
        else if (w->prompt[i].n + (w->answer.most > 0 ? (size_t)w->answer.most : 0) > (size_t)room + 1 || w->prompt[i].n > (size_t)room)
            refuse_as(e, 400, NULL, "context_length_exceeded", w->param,
                      "the prompt has %zu tokens and %d are to be made, but there are %d positions", w->prompt[i].n, w->answer.most > 0 ? w->answer.most : 0, room);
}

/* What it may come to take of the client's limits. */
static void take_limits(struct http_request *q, const struct served_model *s, const struct wish *w, struct refusal *e)
{
    int64_t prompts = 0, answers = 0;
    for (int i = 0; i < w->n_prompt && !e->status; i++) {
        prompts += (int64_t)w->prompt[i].n;
        answers += (int64_t)made_of(w) * (w->answer.most < 0 ? room_of(s) + 1 - (int64_t)w->prompt[i].n : w->answer.most);
    }
    visit_take_texts(q, (int64_t)w->n_prompt * made_of(w), prompts, answers, w->answer.most < 0, e);
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

static void keep_token(void *ctx, int32_t id) { shadow_add(((struct choice *)ctx)->shadow, id); }

/* Nothing but the model decides its tokens. */
static bool is_plain_greedy(const struct answer_wish *a)
{
    return a->sampling.temperature <= 0 && !a->grammar && !a->n_bias && !a->n_allowed && !a->min && a->presence == 0 && a->frequency == 0 && (a->repetition == 0 || a->repetition == 1);
}

static void make_answer(struct choice *c, struct refusal *e)
{
    const struct exchange *x = c->x;
    const int made = made_of(&x->w);
    const struct tok_ids *ids = &x->w.prompt[c->i / made];
    const int left = room_of(x->s) + 1 - (int)ids->n;
    struct answer_wish a = x->w.answer;
    struct err err;
    a.prompt = ids->id, a.n_prompt = (int)ids->n, a.sampling.seed = x->w.seed + (uint64_t)(c->i % made), a.piece = piece, a.end = ended, a.ctx = c;
    if (x->shadow && !e->status)
        c->shadow = shadow_new(x->shadow, ids->id, (int)ids->n, is_plain_greedy(&a));
    a.most = a.most < 0 ? left : a.most, a.scored = x->w.n_made || c->shadow, a.made = c->shadow ? keep_token : NULL;
    a.signals = c->record ? &c->signals : NULL;
    if (!e->status && answer_new(&c->a, &x->s->answers, &a, &err) < 0)
        refuse_as(e, err.code == ERR_NOMEM ? 503 : 400, NULL, NULL, NULL, "%s", err.msg);
}

static struct exchange *make(struct http_request *q, struct served_model *s, struct wish *w, struct refusal *e)
{
    static atomic_ullong count;
    const int n = w->n_prompt * made_of(w);
    struct exchange *x = mem_alloc_zero(sizeof *x + (size_t)n * sizeof *x->choice);
    if (!x) {
        refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
        return NULL;
    }
    *x = (struct exchange){ .q = q, .s = s, .arm = ((struct visit *)http_user(q))->arm, .shadow = ((struct visit *)http_user(q))->shadow, .w = *w, .n = w->n_prompt * w->n, .n_all = n, .pending = n + 1, .created = time(NULL), .begun = clock_wall() };
    *w = (struct wish){ 0 };
    x->number = rng_u64((uint64_t)x->created, atomic_fetch_add(&count, 1));
    name_reply(q, x->w.dialect);
    pthread_mutex_init(&x->lock, NULL);
    buf_init(&x->head), buf_init(&x->out);
    for (int i = 0; i < n; i++) {
        struct choice *c = &x->choice[i];
        c->x = x, c->i = i, c->stop_text = -1, c->leads = i % made_of(&x->w) == 0;
        buf_init(&c->text);
        for (int k = 0; k < CHOICE_PARTS; k++)
            buf_init(&c->part[k]);
    }
    if (x->w.dialect->begin && x->w.dialect->begin(x, NULL) < 0)
        refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
    for (int i = 0; i < n; i++) {
        if (x->w.reads_reply && reply_new(&x->choice[i].reply, &x->w.form, NULL) < 0)
            refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
        recording_begin(&x->choice[i]);
        make_answer(&x->choice[i], e);
    }
    forget_request(&x->w);
    return x;
}

static void submit(struct choice *c)
{
    struct exchange *x = c->x;
    struct err err;
    const struct text_request r = answer_request(c->a);
    pthread_mutex_lock(&x->lock);
    const bool cancelled = atomic_load(&x->cancelled);
    const int rc = cancelled ? ERR(&err, STOPPED, WISH_LATE) : batch_submit(x->s->batch, &r, &c->id, &err);
    x->refused = x->refused || (rc < 0 && !cancelled);
    if (rc < 0)
        wish_not_taken(&x->e, &err), atomic_store(&x->failed, true);
    x->pending -= rc < 0;
    pthread_mutex_unlock(&x->lock);
    if (rc < 0)
        cancel_all(x);
}

/* With other requests of the same tenant. */
static void share_grammar(struct served_model *s, struct wish *w, struct refusal *e)
{
    struct err err;
    if (!w->grammar || e->status)
        return;
    const int rc = grammars_share(s->grammars, &w->grammar_key, &w->answer.root, &w->grammar, &err);
    if (rc < 0)
        refuse_as(e, rc == ERR_BUSY ? 429 : 503, NULL, rc == ERR_BUSY ? "grammars_full" : NULL, NULL, "%s", err.msg);
    else
        w->grammars = s->grammars, w->answer.grammar = w->grammar;
}

void exchange_start(struct http_request *q, struct served_model *s, struct wish *w)
{
    const struct dialect *d = w->dialect;
    struct refusal e = { 0 };
    check_length(s, w, &e);
    visit_model(q, w->as.name, &e);
    visit_rank(q, w->prioritised, &w->answer.priority, &w->answer.tenant, &e);
    visit_root(q, &w->answer.root, &e);
    take_limits(q, s, w, &e);
    share_grammar(s, w, &e);
    visit_note_model(q, &w->as);
    visit_note_wish(q, w);
    struct exchange *x = e.status ? NULL : make(q, s, w, &e);
    if (e.status) {
        visit_settle(q, 0);
        if (!x)
            name_reply(q, d);
        refuse_named(q, d, &e);
        if (x)
            exchange_free(x);
        else
            wish_release(w);
        return;
    }
    http_on_gone(q, gone, x);
    http_forget_body(q);                     /* prompts are what n_queue and positions allow */
    for (int i = 0; i < x->n_all; i++)
        submit(&x->choice[i]);
    if (x->w.stream && !atomic_load(&x->failed)) {       /* once it is sure that there will be one */
        http_add_header(q, "Cache-Control", "no-cache");
        http_add_header(q, "X-Accel-Buffering", "no");
        http_stream_begin(q, 200, d->type_of_stream);
        x->streams = true;
    }
    leave(x);
}
