#include "infer/answer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

/* A token that was met: how often in the answer, and whether in the prompt. */
struct met { int32_t id; int n; bool prompt; };
struct made { int32_t id; size_t at, at_char, end; float logprob; };

struct answer {
    struct answer_model m;
    struct answer_wish w;
    struct token_bias *bias;
    int32_t *allowed, *stop_token;
    struct follower *follower;
    int n_accepted, n_ruled;                 /* tokens drawn; after how many the grammar was at its end, 0: not yet */
    struct met *met; int32_t *met_place; int n_met, n_place;      /* met_place: a table of places in met, a power of two */
    /* of what was delivered */
    struct tok_stream stream;
    struct buf text;                         /* all of it */
    size_t n_out;                            /* handed out */
    int state;                               /* of stops */
    int n_token, n_echoed;
    double logprob;
    size_t n_counted, n_char;                /* so many characters begin in so many bytes of the text */
    struct made *made; struct token_prob *top; int n_made, cap_made, n_made_out;      /* with probabilities; top: [n_made][n_logprob] */
    struct answer_token *out;
    int stop_text; int32_t stopped_by;
    bool failed; struct err err;
};

/* ---- what was met, for penalties ---- */

static bool has_penalties(const struct answer_wish *w) { return w->presence != 0 || w->frequency != 0 || (w->repetition > 0 && w->repetition != 1); }

static struct met *meet(struct answer *a, int32_t id)
{
    uint32_t h = (uint32_t)id * 2654435761u & (uint32_t)(a->n_place - 1);
    for (; a->met_place[h] >= 0; h = (h + 1) & (uint32_t)(a->n_place - 1))
        if (a->met[a->met_place[h]].id == id)
            return &a->met[a->met_place[h]];
    a->met_place[h] = a->n_met;
    a->met[a->n_met] = (struct met){ .id = id };
    return &a->met[a->n_met++];
}

static int begin_penalties(struct answer *a, struct err *err)
{
    const struct answer_wish *w = &a->w;
    const int64_t all = (int64_t)w->n_prompt + w->most, n = all < a->m.V ? all : a->m.V;      /* different ones at most */
    for (a->n_place = 16; a->n_place < 2 * n; a->n_place *= 2)
        ;
    a->met = mem_alloc_array((size_t)n + 1, sizeof *a->met);
    a->met_place = mem_alloc_array((size_t)a->n_place, sizeof *a->met_place);
    if (!a->met || !a->met_place)
        return ERR(err, NOMEM, "no memory for the penalties of %lld tokens", (long long)n);
    memset(a->met_place, -1, (size_t)a->n_place * sizeof *a->met_place);
    for (int i = 0; w->repetition > 0 && w->repetition != 1 && i < w->n_prompt; i++)
        meet(a, w->prompt[i])->prompt = true;
    return 0;
}

static void penalise(const struct answer *a, float *logits)
{
    const double r = a->w.repetition > 0 ? a->w.repetition : 1;
    for (int i = 0; i < a->n_met; i++) {
        const struct met *m = &a->met[i];
        double l = (double)logits[m->id];
        if (r != 1 && (m->n || m->prompt))
            l = l > 0 ? l / r : l * r;
        if (m->n)
            l -= a->w.presence + m->n * a->w.frequency;
        logits[m->id] = (float)l;
    }
}

/* ---- before and after a token is drawn ---- */

static bool ends_answer(const struct answer *a, int32_t id)
{
    for (int i = 0; i < a->m.n_end; i++)
        if (id == a->m.end[i] && !a->w.ignore_end)
            return true;
    for (int i = 0; i < a->w.n_stop_token; i++)
        if (id == a->stop_token[i])
            return true;
    return false;
}

static void only_allowed(const struct answer *a, float *logits, int V)
{
    int next = 0;
    for (int i = 0; i < V; i++) {
        while (next < a->w.n_allowed && a->allowed[next] < i)
            next++;
        if (next == a->w.n_allowed || a->allowed[next] != i)
            logits[i] = -INFINITY;
    }
}

static int adjust(void *ctx, float *logits, int V, struct err *err)
{
    struct answer *a = ctx;
    for (int i = 0; i < a->w.n_bias; i++)
        logits[a->bias[i].id] += a->bias[i].bias;
    if (a->w.n_allowed)
        only_allowed(a, logits, V);
    penalise(a, logits);
    if (a->follower)
        TRY(follower_forbid(a->follower, logits, V, err));
    for (int i = 0; a->n_accepted < a->w.min && i < a->m.n_end + a->w.n_stop_token; i++)
        logits[i < a->m.n_end ? a->m.end[i] : a->stop_token[i - a->m.n_end]] = -INFINITY;
    for (int i = 0; i < V; i++)
        if (logits[i] != -INFINITY)          /* also where it is no number: that is told when it is drawn */
            return 0;
    return ERR(err, FORMAT, "after %d tokens none may follow, by the grammar and what else was asked for", a->n_accepted);
}

static void accept(void *ctx, int32_t id)
{
    struct answer *a = ctx;
    struct err err;
    a->n_accepted++;
    if (a->met)
        meet(a, id)->n++;
    if (!a->follower || a->failed || a->n_ruled)
        return;
    if (ends_answer(a, id) && follower_may_end(a->follower)) {
        a->n_ruled = a->n_accepted;
    } else if (follower_add_token(a->follower, id, &err) < 0) {
        a->err = err, a->failed = true;
    } else if (follower_must_end(a->follower)) {
        a->n_ruled = a->n_accepted;
    }
}

/* ---- handing out ---- */

/* One that stands for its letters: a grammar reads them so, whether they are shown or not. */
static bool is_mark(const struct answer *a, int32_t id)
{
    for (int i = 0; (a->w.keep_marks || a->follower) && i < a->m.n_mark; i++)
        if (a->m.mark[i] == id)
            return true;
    return false;
}

static void put_out(struct answer *a, size_t end, bool last)
{
    struct answer_piece p = { .text = a->text.data + a->n_out, .n = end - a->n_out, .n_made = a->n_token, .token = a->out };
    while (a->n_made_out + p.n_token < a->n_made) {
        const struct made *m = &a->made[a->n_made_out + p.n_token];
        if (m->end > end && !(last && m->at < end))      /* of a token that a stop text cuts, the probability belongs to what is left */
            break;
        size_t n = 0;
        const bool echoed = a->w.echo && a->n_made_out + p.n_token < a->w.n_prompt;
        const char *bytes = a->w.keep_specials || !tok_is_special(a->m.tok, m->id) || (!echoed && is_mark(a, m->id)) ? tok_bytes(a->m.tok, m->id, &n) : "";
        a->out[p.n_token] = (struct answer_token){ .id = m->id, .bytes = bytes ? bytes : "", .n = n, .at = m->at, .at_char = m->at_char, .logprob = m->logprob, .n_top = isnan(m->logprob) ? 0 : a->w.n_logprob,
                                                   .top = a->top + (ptrdiff_t)(a->n_made_out + p.n_token) * a->w.n_logprob };
        p.n_token++;
    }
    a->n_out = end, a->n_made_out += p.n_token;
    if ((p.n || p.n_token) && a->w.piece)
        a->w.piece(a->w.ctx, &p);
}

/* Looks for stop texts in what is new; where the text ends if there is one, else SIZE_MAX. */
static size_t find_stop(struct answer *a, size_t from)
{
    for (size_t i = from; a->w.stops && i < a->text.len; i++) {
        a->state = stops_next(a->w.stops, a->state, (unsigned char)a->text.data[i]);
        if (stops_found(a->w.stops, a->state) < 0 || a->n_token < a->w.min)
            continue;
        a->stop_text = stops_found(a->w.stops, a->state);
        size_t n;
        stops_text(a->w.stops, a->stop_text, &n);
        return i + 1 - (a->w.keep_stop ? 0 : n);
    }
    return SIZE_MAX;
}

/* Room for one more. */
static bool grow(struct answer *a)
{
    if (a->n_made < a->cap_made)
        return true;
    const size_t cap = a->cap_made ? 2 * (size_t)a->cap_made : 32;
    void *made = mem_realloc_array(a->made, cap, sizeof *a->made);
    a->made = made ? made : a->made;
    void *out = mem_realloc_array(a->out, cap, sizeof *a->out);
    a->out = out ? out : a->out;
    void *top = mem_realloc_array(a->top, cap * (size_t)(a->w.n_logprob + 1), sizeof *a->top);
    a->top = top ? top : a->top;
    if (!made || !out || !top)
        return false;
    a->cap_made = (int)cap;
    return true;
}

/* Characters that begin before a place of the text, or before one in the bytes that are held back of a character. */
static size_t chars_before(struct answer *a, size_t at)
{
    for (; a->n_counted < at && a->n_counted < a->text.len; a->n_counted++)
        a->n_char += (a->text.data[a->n_counted] & 0xc0) != 0x80;
    return a->n_char + (at > a->text.len);
}

static void note(struct answer *a, const struct text_token *t, size_t at)
{
    if (a->w.n_logprob < 0)
        return;
    if (!grow(a)) {
        (void)ERR(&a->err, NOMEM, "no memory for the probabilities of %d tokens", a->n_made);
        a->failed = true;
        return;
    }
    a->made[a->n_made] = (struct made){ t->id, at, chars_before(a, at), a->text.len + a->stream.n_held, t->logprob };
    if (t->n_top)
        memcpy(a->top + (ptrdiff_t)a->n_made * a->w.n_logprob, t->top, (size_t)t->n_top * sizeof *t->top);
    a->n_made++;
}

/* The next of the prompt; after the last they go out together. */
static void echo(struct answer *a, const struct text_token *t)
{
    const size_t at = a->text.len + a->stream.n_held;
    if (a->failed)
        return;
    a->failed = tok_stream_add(&a->stream, t->id, &a->text, &a->err) < 0;
    if (!a->failed)
        note(a, t, at);
    if (++a->n_echoed == a->w.n_prompt && !a->failed)
        put_out(a, a->text.len, false);
}

/* Those that no probability came for: the first, or all. */
static void echo_silently(struct answer *a, int n)
{
    while (a->n_echoed < n && !a->failed)
        echo(a, &(struct text_token){ .id = a->w.prompt[a->n_echoed], .logprob = NAN });
}

static void prompt_token(void *ctx, const struct text_token *t)
{
    echo_silently(ctx, 1);
    echo(ctx, t);
}

static bool token(void *ctx, const struct text_token *t)
{
    struct answer *a = ctx;
    echo_silently(a, a->w.echo ? a->w.n_prompt : 0);
    const size_t from = a->text.len, held_before = a->stream.n_held;
    a->n_token++, a->logprob += (double)t->logprob;
    if (a->w.made)
        a->w.made(a->w.ctx, t->id);
    if (a->failed)
        return false;
    if (ends_answer(a, t->id) && a->n_token > a->w.min) {
        a->stopped_by = t->id;
        if (a->w.show_end)
            note(a, t, from + held_before);
        return false;
    }
    const unsigned flags = a->stream.flags;
    a->stream.flags = is_mark(a, t->id) ? 0 : flags;
    if (tok_stream_add(&a->stream, t->id, &a->text, &a->err) < 0) {
        a->failed = true;
        return false;
    }
    a->stream.flags = flags;
    note(a, t, from + held_before);
    if (a->failed)
        return false;
    const size_t stop = find_stop(a, from);
    if (stop != SIZE_MAX) {
        a->text.len = stop;
        return false;
    }
    const size_t held = a->w.stops ? stops_depth(a->w.stops, a->state) : 0;
    put_out(a, a->text.len - held, false);
    return !a->n_ruled || a->n_token < a->n_ruled;
}

static void done(void *ctx, enum text_end end, int n_kept, const struct err *err)
{
    struct answer *a = ctx;
    echo_silently(a, a->w.echo && end != TEXT_FAILED && end != TEXT_CANCELLED ? a->w.n_prompt : 0);
    struct answer_end e = { .stop_text = a->stop_text, .stop_token = a->stopped_by, .n_prompt = a->w.n_prompt, .n_kept = n_kept, .n_token = a->n_token, .logprob = a->logprob, .err = a->failed ? &a->err : err };
    e.why = a->failed || end == TEXT_FAILED ? ANSWER_FAILED : end == TEXT_STOP ? ANSWER_STOP : end == TEXT_CANCELLED ? ANSWER_CANCELLED : ANSWER_LENGTH;
    if (e.why != ANSWER_FAILED && a->stop_text < 0) {
        const size_t from = a->text.len;
        if (tok_stream_end(&a->stream, &a->text, &a->err) < 0)
            e.why = ANSWER_FAILED, e.err = &a->err;
        const size_t stop = find_stop(a, from);
        if (stop != SIZE_MAX)
            a->text.len = stop, e.why = ANSWER_STOP, e.stop_text = a->stop_text;
    }
    if (e.why != ANSWER_FAILED)
        put_out(a, a->text.len, true);
    if (a->w.end)
        a->w.end(a->w.ctx, &e);
}

struct text_request answer_request(struct answer *a)
{
    const struct answer_wish *w = &a->w;
    const bool changes = w->n_bias || w->n_allowed || a->met || a->follower || w->min;
    return (struct text_request){ .ids = w->prompt, .n = w->n_prompt, .most = w->most, .sampling = w->sampling, .n_logprob = w->scored && w->n_logprob < 0 ? 0 : w->n_logprob, .prompt_probs = w->echo && w->n_logprob >= 0,
                                  .priority = w->priority, .tenant = w->tenant, .adapter = w->adapter, .place = w->place, .root = w->root, .share = w->share, .signals = w->signals, .adjust = changes ? adjust : NULL, .accept = changes ? accept : NULL,
                                  .prompt = prompt_token, .token = token, .done = done, .ctx = a };
}

/* ---- begin and end ---- */

static int by_id(const void *x, const void *y)
{
    const int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    return a < b ? -1 : a > b;
}

static void *copy_of(const void *p, int n, size_t size)
{
    void *c = mem_alloc_array((size_t)n + 1, size);
    if (c && n)
        memcpy(c, p, (size_t)n * size);
    return c;
}

static int check(const struct answer_model *m, const struct answer_wish *w, struct err *err)
{
    for (int i = 0; i < w->n_bias; i++)
        if (w->bias[i].id < 0 || w->bias[i].id >= m->V || w->bias[i].bias != w->bias[i].bias)
            return ERR(err, RANGE, "a bias of %g for token %d, expected a number, and a token of 0 to %d", (double)w->bias[i].bias, w->bias[i].id, m->V - 1);
    for (int i = 0; i < w->n_allowed; i++)
        if (w->allowed[i] < 0 || w->allowed[i] >= m->V)
            return ERR(err, RANGE, "allowed token %d, expected 0 to %d", w->allowed[i], m->V - 1);
    for (int i = 0; i < w->n_stop_token; i++)
        if (w->stop_token[i] < 0 || w->stop_token[i] >= m->V)
            return ERR(err, RANGE, "stop token %d, expected 0 to %d", w->stop_token[i], m->V - 1);
    return 0;
}

static int set_up(struct answer *a, struct err *err)
{
    struct answer_wish *w = &a->w;
    TRY(check(&a->m, w, err));
    a->bias = copy_of(w->bias, w->n_bias, sizeof *w->bias);
    a->allowed = copy_of(w->allowed, w->n_allowed, sizeof *w->allowed);
    a->stop_token = copy_of(w->stop_token, w->n_stop_token, sizeof *w->stop_token);
    if (!a->bias || !a->allowed || !a->stop_token)
        return ERR(err, NOMEM, "no memory for an answer");
    qsort(a->allowed, (size_t)w->n_allowed, sizeof *a->allowed, by_id);
    if (has_penalties(w))
        TRY(begin_penalties(a, err));
    if (w->grammar)
        TRY(follower_new(&a->follower, w->grammar, a->m.vocab, err));
    return 0;
}

int answer_new(struct answer **out, const struct answer_model *m, const struct answer_wish *w, struct err *err)
{
    *out = NULL;
    struct answer *a = mem_alloc_zero(sizeof *a);
    if (!a)
        return ERR(err, NOMEM, "no memory for an answer");
    a->m = *m, a->w = *w, a->stop_text = -1, a->stopped_by = -1;
    buf_init(&a->text);
    tok_stream_begin(&a->stream, m->tok, w->keep_specials ? 0 : TOK_SKIP_SPECIALS);
    a->stream.begun = w->goes_on && !w->echo;
    const int rc = set_up(a, err);
    if (rc < 0)
        answer_free(a);
    else
        *out = a;
    return rc;
}

void answer_free(struct answer *a)
{
    if (!a)
        return;
    follower_free(a->follower);
    buf_release(&a->text);
    mem_free(a->bias);
    mem_free(a->allowed);
    mem_free(a->stop_token);
    mem_free(a->met);
    mem_free(a->met_place);
    mem_free(a->made);
    mem_free(a->top);
    mem_free(a->out);
    mem_free(a);
}
