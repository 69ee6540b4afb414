#include "serve/embeddings.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/json_out.h"
#include "serve/openai_reply.h"
#include "serve/visit.h"


struct embedding;
struct lane {                    /* of input i while it is under way, i % n_lane of them */
    struct embedding *x;
    uint64_t id;                 /* of the batch; 0: not there */
    int i;
    bool ready;
    double *sum;
};
struct embedding {
    struct http_request *q;
    struct served_model *s;
    struct embed_wish w;
    int C;
    pthread_mutex_t lock;        /* of next, written, flight, n_begun, refused, e and which input a lane has */
    int next;                    /* the first input that was not submitted */
    int written;                 /* inputs whose vectors are in the reply */
    int flight;                  /* inputs that were submitted and are not done; while the first are, one more */
    int64_t n_begun;             /* tokens of inputs that did not only wait */
    bool refused;                /* the batch did not take all of them */
    atomic_bool cancelled, failed;
    struct refusal e;
    struct buf reply;
    float *vector;               /* [C] */
    double *sum;                 /* [n_lane][C] */
    struct turn turn;
    int n_lane;
    struct lane lane[EMBED_LANES];
};

void embed_wish_release(struct embed_wish *w)
{
    for (int i = 0; i < w->n_input; i++)
        tok_ids_release(&w->input[i]);
    mem_free(w->input);
    *w = (struct embed_wish){ 0 };
}

/* ---- inputs ---- */

static void encode(struct tok_ids *to, const struct served_model *s, const json_t *text, bool add, const char *param, struct refusal *e)
{
    const size_t n = json_string_length(text), most = ((size_t)served_model_ctx(s) + 1) * (s->vocab ? (size_t)vocab_longest(s->vocab) : WISH_TOKEN_BYTES);
    struct err err;
    if (n > most) {              /* it cannot fit, so it is not encoded to find out */
        refuse_as(e, 400, NULL, "context_length_exceeded", param, "a text of %zu bytes, but there are %d positions", n, served_model_ctx(s));
        return;
    }
    const int rc = tok_encode(s->engine ? engine_tok(s->engine) : embedder_tok(s->embedder), json_string_value(text), n, add ? TOK_ADD : TOK_PLAIN, to, &err);
    if (rc == ERR_NOMEM)
        wish_no_memory(e);
    else if (rc < 0)
        refuse(e, param, "%s", err.msg);
}

static void take_ids(struct tok_ids *to, const struct served_model *s, const json_t *ids, const char *param, struct refusal *e)
{
    const size_t n = json_array_size(ids);
    const int V = served_model_config(s)->vocab_size;
    if (!(to->id = mem_alloc_array(n + 1, sizeof *to->id))) {
        wish_no_memory(e);
        return;
    }
    to->cap = n + 1;
    for (; to->n < n; to->n++)
        if (!in_id(json_array_get(ids, to->n), V, &to->id[to->n]))
            refuse(e, param, "%s has a token that is none, expected integers of 0 to %d", param, V - 1);
}

static void check_length(const struct tok_ids *ids, size_t i, const struct served_model *s, const char *param, struct refusal *e)
{
    const int64_t ctx = served_model_ctx(s), all = s->engine ? (int64_t)engine_n_page(s->engine) * KV_TOKENS : ctx, most = all < ctx ? all : ctx;
    if (!ids->n)
        refuse(e, param, "input %zu is empty", i);
    else if (ids->n > (size_t)most)
        refuse_as(e, 400, NULL, "context_length_exceeded", param, "input %zu has %zu tokens, but there are %lld positions", i, ids->n, (long long)most);
}

void embed_read_inputs(struct embed_wish *w, const struct served_model *s, const json_t *input, bool add, struct refusal *e)
{
    const bool list = json_is_array(input) && !in_whole(json_array_get(input, 0), &(int64_t){ 0 });
    const size_t n = list ? json_array_size(input) : 1;
    if (e->status)
        return;
    if (!n || n > EMBED_INPUTS) {
        refuse(e, w->param, "%zu inputs, expected 1 to %d", n, EMBED_INPUTS);
        return;
    }
    if (!(w->input = mem_alloc_array(n, sizeof *w->input))) {
        wish_no_memory(e);
        return;
    }
    w->n_input = (int)n;
    for (size_t i = 0; i < n && !e->status; i++) {
        const json_t *one = list ? json_array_get(input, i) : input;
        if (json_is_string(one))
            encode(&w->input[i], s, one, add, w->param, e);
        else if (json_is_array(one))
            take_ids(&w->input[i], s, one, w->param, e);
        else
            refuse(e, w->param, "%s is neither a text nor the ids of tokens, nor a list of either", w->param);
        if (!e->status)
            check_length(&w->input[i], i, s, w->param, e);
    }
}

void embed_check_size(const struct served_model *s, int64_t n, const char *param, struct refusal *e)
{
    const int C = served_model_config(s)->d_model;
    bool known = !s->dimensions;
    size_t i;
    json_t *v;
    json_array_foreach(s->dimensions, i, v)
        known = known || json_integer_value(v) == n;
    if (n == C)
        return;
    if (n < 1 || n > C)
        refuse(e, param, "%s is %lld, but the model's vectors have %d numbers", param, (long long)n, C);
    else if (!s->matryoshka)
        refuse(e, param, "%s is %lld, but the model's vectors have %d numbers, and it does not say that the first ones do for all (Matryoshka)", param, (long long)n, C);
    else if (!known)
        refuse(e, param, "%s is %lld, which is none of the lengths that the model's matryoshka_dimensions name", param, (long long)n);
}

/* ---- the end ---- */

static void embedding_free(struct embedding *x)
{
    embed_wish_release(&x->w);
    buf_release(&x->reply);
    mem_free(x->vector);
    mem_free(x->sum);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

static void fail(struct embedding *x, int status, const char *message)
{
    pthread_mutex_lock(&x->lock);
    refuse_as(&x->e, status, NULL, NULL, NULL, "%s", message);
    pthread_mutex_unlock(&x->lock);
    atomic_store(&x->failed, true);
}

static int64_t count_tokens(const struct embed_wish *w)
{
    int64_t tokens = 0;
    for (int i = 0; i < w->n_input; i++)
        tokens += (int64_t)w->input[i].n;
    return tokens;
}

/* Nothing of it is under way. */
static void finish(struct embedding *x)
{
    const int64_t n_token = count_tokens(&x->w);
    visit_note_counts(x->q, "", n_token, 0, 0);
    visit_settle(x->q, x->refused ? 0 : x->n_begun);
    if (!x->failed && x->w.words->end(&x->reply, &x->w, x->s, n_token, NULL) < 0)
        fail(x, 503, "no memory for the reply");
    if (x->failed)
        exchange_refuse(x->q, x->w.dialect, &x->e);
    else
        http_reply(x->q, 200, "application/json", x->reply.data, x->reply.len);
    embedding_free(x);
}

static void fail_by(struct embedding *x, const struct err *err) { fail(x, err->code == ERR_NOMEM ? 503 : err->code == ERR_RANGE || err->code == ERR_FORMAT ? 400 : 500, err->msg); }

static void write_vector(struct embedding *x, int i, const double *sum)
{
    struct err err;
    visit_note_first(x->q);
    int rc = embed_end(sum, (int)x->w.input[i].n, x->s->pooling, x->s->normalizes, x->vector, x->w.n_out, &err);
    if (!rc)
        rc = x->w.words->vector(&x->reply, &x->w, i, x->vector, &err);
    if (rc < 0)
        fail_by(x, &err);
}

/* ---- by a batch ---- */

static void cancel_all(struct embedding *x)
{
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->n_lane; i++)
        if (x->lane[i].id)
            batch_cancel(x->s->batch, x->lane[i].id);
    pthread_mutex_unlock(&x->lock);
}

static void gone(void *ctx)
{
    struct embedding *x = ctx;
    atomic_store(&x->cancelled, true);
    if (x->s->batch)
        cancel_all(x);
}

static void hidden(void *ctx, const float *h, int position)
{
    struct lane *l = ctx;
    embed_add(l->sum, h, l->x->C, position, l->x->s->pooling);
}

static void submit_more(struct embedding *x);

/* The next ones, and one less is under way; the last of all replies. */
static void go_on(struct embedding *x)
{
    pthread_mutex_lock(&x->lock);
    submit_more(x);
    const bool last = --x->flight == 0;
    pthread_mutex_unlock(&x->lock);
    if (last)
        finish(x);
}

/* The lane of the input that is to be written next, if that is done. */
static struct lane *next_ready(struct embedding *x)
{
    pthread_mutex_lock(&x->lock);
    struct lane *l = &x->lane[x->written % x->n_lane];
    const bool ready = l->i == x->written && l->ready;
    pthread_mutex_unlock(&x->lock);
    return ready ? l : NULL;
}

static void done(void *ctx, enum text_end end, int n_kept, const struct err *err)
{
    struct lane *l = ctx;
    struct embedding *x = l->x;
    pthread_mutex_lock(&x->lock);
    l->id = 0, l->ready = true;
    x->n_begun += n_kept < 0 ? 0 : (int64_t)x->w.input[l->i].n;
    pthread_mutex_unlock(&x->lock);
    visit_note_text(x->q, end == TEXT_FAILED ? ANSWER_FAILED : end == TEXT_CANCELLED ? ANSWER_CANCELLED : ANSWER_STOP, NULL);
    if (end == TEXT_FAILED || end == TEXT_CANCELLED) {
        fail(x, end == TEXT_CANCELLED || err->code == ERR_NOMEM ? 503 : 500, end == TEXT_CANCELLED ? x->cancelled ? WISH_LATE : WISH_ENDS : err->msg);
        cancel_all(x);
    }
    while ((l = next_ready(x)) != NULL) {
        if (!x->failed)
            write_vector(x, l->i, l->sum);
        pthread_mutex_lock(&x->lock);
        x->written++;
        pthread_mutex_unlock(&x->lock);
    }
    go_on(x);
}

static void refuse_busy(struct embedding *x, const struct err *err)
{
    wish_not_taken(&x->e, err);
    x->refused = true;
    atomic_store(&x->failed, true);
}

static int submit(struct embedding *x, struct err *err)
{
    struct lane *l = &x->lane[x->next % x->n_lane];
    const struct tok_ids *ids = &x->w.input[x->next];
    const bool last_only = x->s->pooling == POOL_LAST;
    const struct text_request r = { .ids = ids->id, .n = (int)ids->n, .n_logprob = -1, .last_hidden = last_only, .priority = x->w.priority, .tenant = x->w.tenant, .adapter = x->w.as.adapter, .place = x->w.as.place, .root = x->w.as.root,
                                    .share = last_only, .hidden = hidden, .done = done, .ctx = l };
    l->i = x->next, l->ready = false;
    memset(l->sum, 0, (size_t)x->C * sizeof *l->sum);
    TRY(batch_submit(x->s->batch, &r, &l->id, err));
    x->next++, x->flight++;
    return 0;
}

/* With the lock held.  Where the queue is full while some are under way, the rest follows as these are done. */
static void submit_more(struct embedding *x)
{
    struct err err;
    while (!x->failed && !x->cancelled && x->next < x->w.n_input && x->next < x->written + x->n_lane) {
        const int rc = submit(x, &err);
        if (rc == ERR_BUSY && x->flight > 1)
            return;
        if (rc < 0)
            refuse_busy(x, &err);
    }
    if (x->cancelled && !x->e.status) {
        refuse_as(&x->e, 503, NULL, NULL, NULL, WISH_LATE);
        atomic_store(&x->failed, true);
    }
}

/* ---- by an encoder ---- */

static bool piece(void *ctx, bool stop)
{
    struct embedding *x = ctx;
    struct err err;
    if (stop || x->cancelled) {
        fail(x, 503, stop ? WISH_ENDS : WISH_LATE);
        visit_note_text(x->q, ANSWER_CANCELLED, NULL);
    } else {
        const struct tok_ids *ids = &x->w.input[x->next];
        x->n_begun += (int64_t)ids->n;
        const int rc = embedder_sum(x->s->embedder, ids->id, (int)ids->n, x->s->pooling, x->sum, &err);
        if (rc < 0)
            fail_by(x, &err);
        else
            write_vector(x, x->next, x->sum);
        visit_note_text(x->q, rc < 0 ? ANSWER_FAILED : ANSWER_STOP, NULL);
        x->next++;
    }
    if (!x->failed && x->next < x->w.n_input)
        return true;
    finish(x);
    return false;
}

/* ---- begin ---- */

static struct embedding *make(struct http_request *q, struct served_model *s, struct embed_wish *w)
{
    struct embedding *x = mem_alloc_zero(sizeof *x);
    if (!x)
        return NULL;
    x->q = q, x->s = s, x->w = *w, x->C = served_model_config(s)->d_model, x->flight = 1;
    *w = (struct embed_wish){ 0 };
    x->n_lane = x->w.n_lane;
    pthread_mutex_init(&x->lock, NULL);
    buf_init(&x->reply);
    x->vector = mem_alloc_array((size_t)x->C, sizeof *x->vector);
    x->sum = mem_alloc_array((size_t)x->n_lane * (size_t)x->C, sizeof *x->sum);
    x->turn = (struct turn){ .piece = piece, .ctx = x, .tenant = visit_tenant(q) };
    x->w.begun = clock_wall();
    for (int i = 0; i < x->n_lane; i++)
        x->lane[i] = (struct lane){ .x = x, .i = -1, .sum = x->sum + (ptrdiff_t)i * x->C };
    if (x->vector && x->sum && x->w.words->begin(&x->reply, &x->w, s, NULL) == 0)
        return x;
    embedding_free(x);
    return NULL;
}

/* What the client may, and what this takes of their limits. */
static void check_client(struct http_request *q, const struct served_model *s, struct embed_wish *w, struct refusal *e)
{
    visit_model(q, w->as.name, e);
    visit_rank(q, w->prioritised, &w->priority, &w->tenant, e);
    visit_root(q, &w->as.root, e);
    if (w->as.name)
        visit_note_model(q, &w->as);
    w->n_lane = !s->batch ? 1 : visit_texts_at_once(q, w->n_input < EMBED_LANES ? w->n_input : EMBED_LANES);
    visit_take_texts(q, w->n_lane, count_tokens(w), 0, false, e);
}

void embed_start(struct http_request *q, struct served_model *s, struct embed_wish *w)
{
    if (!w->as.name)
        w->as = served_model_as(s, 0);
    const struct dialect *dialect = w->dialect;
    struct refusal e = { 0 };
    struct err err;
    check_client(q, s, w, &e);
    struct embedding *x = e.status ? NULL : make(q, s, w);
    if (!x) {
        embed_wish_release(w);
        wish_no_memory(&e);
        visit_settle(q, 0);
        exchange_refuse(q, dialect, &e);
        return;
    }
    http_on_gone(q, gone, x);
    if (s->batch) {
        go_on(x);
    } else if (turns_add(s->turns, &x->turn, &err) < 0) {
        refuse_busy(x, &err);
        finish(x);
    }
}

/* ---- OpenAI's ---- */

int embed_write_floats(struct buf *b, const float *x, int n, struct err *err)
{
    char text[32];
    TRY(buf_reserve(b, (size_t)n * 16, err));
    for (int i = 0; i < n; i++)
        TRY(buf_add(b, text, (size_t)snprintf(text, sizeof text, i ? ",%.9g" : "[%.9g", (double)x[i]), err));
    return buf_add_char(b, ']', err);
}

static int begin(struct buf *b, const struct embed_wish *w, const struct served_model *s, struct err *err)
{
    (void)w, (void)s;
    return buf_add_str(b, "{\"object\":\"list\",\"data\":[", err);
}

static int vector(struct buf *b, const struct embed_wish *w, int i, const float *x, struct err *err)
{
    TRY(buf_printf(b, err, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":", i ? "," : "", i));
    if (w->base64) {
        TRY(buf_add_char(b, '"', err));
        TRY(base64_write(b, x, (size_t)w->n_out * sizeof *x, err));       /* little-endian, as this machine */
        TRY(buf_add_char(b, '"', err));
    } else
        TRY(embed_write_floats(b, x, w->n_out, err));
    return buf_add_char(b, '}', err);
}

static int end(struct buf *b, const struct embed_wish *w, const struct served_model *s, int64_t n_token, struct err *err)
{
    (void)s;
    TRY(buf_add_str(b, "],\"model\":", err));
    TRY(out_string(b, w->as.name, strlen(w->as.name), err));
    return buf_printf(b, err, ",\"system_fingerprint\":\"%s\",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}\n", w->as.fingerprint, (long long)n_token, (long long)n_token);
}

static const struct embed_words openai_words = { begin, vector, end };

static void read_wish(struct embed_wish *w, const json_t *request, const struct served_model *s, struct refusal *e)
{
    struct in f;
    const json_t *input = NULL;
    int64_t n_out = served_model_config(s)->d_model, priority = 0;
    int format = 0;
    bool add = true;
    in_begin(&f, request, e, "%s", "");
    wish_find(&f, s, &w->as);
    wish_salt(&f, &w->as.root);
    if (!in_any(&f, "input", &input))
        refuse(e, "input", "input is missing");
    in_choice(&f, "encoding_format", "float|base64", &format);
    if (in_int(&f, "dimensions", 1, INT32_MAX, &n_out))
        embed_check_size(s, n_out, "dimensions", e);
    in_bool(&f, "add_special_tokens", &add);
    w->prioritised = in_int(&f, "priority", -1000000, 1000000, &priority);
    in_pass_texts(&f, "user|request_id");
    w->param = "input", w->words = &openai_words, w->dialect = &openai_completion_dialect, w->n_out = (int)n_out, w->base64 = format == 1, w->priority = (int)priority;
    in_end(&f, NULL);
    embed_read_inputs(w, s, input, add, e);
}

void openai_embeddings(struct http_request *q, struct served_model *s, json_t *request)
{
    struct refusal e = { 0 };
    struct embed_wish w = { 0 };
    read_wish(&w, request, s, &e);
    json_decref(request);
    if (e.status) {
        embed_wish_release(&w);
        openai_refuse(q, &e);
    } else {
        embed_start(q, s, &w);
    }
}
