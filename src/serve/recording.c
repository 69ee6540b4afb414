#include "serve/recording.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "data/language.h"
#include "serve/sticky.h"
#include "serve/visit.h"

#define LOOK_TOKENS 256                  /* at the end of a prompt, of which nothing else tells a last turn */

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%.*s", (int)size - 1, from ? from : ""); }

/* Without special tokens: what people and models have written, and the template's words between that. */
static void add_text(struct buf *to, const struct served_model *s, const struct tok_ids *ids, size_t last)
{
    struct tok_stream t;
    tok_stream_begin(&t, s->answers.tok, TOK_SKIP_SPECIALS);
    for (size_t i = last < ids->n ? ids->n - last : 0; i < ids->n; i++)
        if (tok_stream_add(&t, ids->id[i], to, NULL) < 0)
            return;
    tok_stream_end(&t, to, NULL);
}

/* A message's content: a text, or parts of which some have one. */
static void add_content(struct buf *to, const json_t *content)
{
    const json_t *part;
    size_t i;
    const size_t n = json_string_length(content);
    if (n)
        buf_add(to, json_string_value(content), n < RECORD_LOOK ? n : RECORD_LOOK, NULL);
    json_array_foreach(content, i, part)
        if (to->len < RECORD_LOOK && json_is_string(json_object_get(part, "text")))
            add_content(to, json_object_get(part, "text"));
}

/* The last that a user says, as every API has it. */
static void add_asked(struct buf *to, const json_t *request)
{
    const json_t *messages = json_object_get(request, "messages");
    for (size_t i = json_array_size(messages); i-- > 0 && !to->len;) {
        const json_t *m = json_array_get(messages, i), *role = json_object_get(m, "role");
        if (json_is_string(role) && !strcmp(json_string_value(role), "user"))
            add_content(to, json_object_get(m, "content"));
    }
}

/* Where there is no memory for it, what experts got is not known. */
static void begin_experts(struct text_signals *s, const struct config *config)
{
    for (int l = 0; l < config->n_layer; l++)
        s->n_route += !config_dense(config, l);
    s->n_expert = config->n_expert;
    s->expert = s->n_route ? mem_alloc_zero((size_t)s->n_route * (size_t)s->n_expert * sizeof *s->expert) : NULL;
}

void recording_begin(struct choice *c)
{
    struct exchange *x = c->x;
    const struct visit *v = http_user(x->q);
    if (!x->s->recorder || !(c->record = record_new()))
        return;
    struct event *ev = &c->record->ev;
    const int made = x->w.n_made ? x->w.n_made : x->w.n;
    ev->t = (int64_t)(visit_now() * 1e9);
    copy(ev->request, sizeof ev->request, http_trace(x->q)->id);
    copy(ev->model, sizeof ev->model, x->w.as.name), copy(ev->arm, sizeof ev->arm, x->arm);
    ev->version = x->s->number;
    copy(ev->root, sizeof ev->root, ev->version ? x->s->version_root : x->w.as.digest);
    copy(ev->owner, sizeof ev->owner, v->client ? v->rights.name : ""), copy(ev->user, sizeof ev->user, json_string_value(request_user(x->w.request)));
    copy(ev->api, sizeof ev->api, http_path(x->q));
    ev->prompt_tokens = (int64_t)x->w.prompt[c->i / made].n;
    c->record->keep = recorder_keeps_texts(x->s->recorder) && (!v->client || v->rights.keep_text);
    const struct tok_ids *ids = &x->w.prompt[c->i / made];
    if (c->record->keep)
        add_text(&c->record->prompt, x->s, ids, SIZE_MAX);
    if (!x->s->device)                       /* which does not say where its rows go */
        begin_experts(&c->signals, engine_config(x->s->engine));
    add_asked(&c->record->asked, x->w.request);
    if (!c->record->asked.len)
        add_text(&c->record->asked, x->s, ids, LOOK_TOKENS);
}

void recording_piece(struct choice *c, const char *text, size_t n)
{
    if (c->record && (c->record->keep || c->record->answer.len < RECORD_LOOK))
        buf_add(&c->record->answer, text, n, NULL);
}

/* The language of a text of a few words is seldom told for sure. */
static void tell_language(char out[8], const struct buf *text)
{
    char room[LANGUAGE_LOOK + LANGUAGE_PAD];
    if (!text->len)
        return;
    const struct language l = language_of(text->data, text->len, room);
    strcpy(out, l.sure ? l.code : "un");
}

void recording_describe(struct record *c)
{
    tell_language(c->ev.prompt_language, &c->asked);
    tell_language(c->ev.answer_language, &c->answer);
}

/* ---- when all have ended ---- */

static const char *finish_of(const struct choice *c)
{
    static const char *const words[] = { [ANSWER_STOP] = "stop", [ANSWER_LENGTH] = "length", [ANSWER_CANCELLED] = "cancelled", [ANSWER_FAILED] = "failed" };
    return c->why == ANSWER_STOP && c->reply && reply_n_call(c->reply) ? "tool_calls" : words[c->why];
}

/* Cut off is what the length ended. */
static void tell_form(struct event *ev, const struct choice *c)
{
    const bool over = c->why == ANSWER_STOP || c->why == ANSWER_LENGTH;
    if (c->x->w.grammar && (over || c->why == ANSWER_FAILED))
        ev->schema_ok = c->why == ANSWER_STOP;
    if (!c->reply || c->x->w.form.calls == CHAT_FORM_NONE || !over)
        return;
    ev->tool_calls = reply_n_call(c->reply);
    if (ev->tool_calls || reply_is_cut(c->reply))
        ev->tool_ok = !reply_is_cut(c->reply);
}

static void tell_signals(struct event *ev, const struct text_signals *s)
{
    ev->prompt_nll_tokens = s->n_prompt;
    if (s->n_prompt)
        ev->prompt_nll = s->prompt_nll / s->n_prompt;
    if (s->n_token)
        ev->entropy = s->entropy / s->n_look, ev->confidence = s->confidence / s->n_look, ev->logprob = s->logprob;
    if (s->has_sketch) {
        static_assert(EVENT_SKETCH == SIGNALS_SKETCH, "one length");
        ev->n_sketch = EVENT_SKETCH;
        memcpy(ev->sketch, s->sketch, sizeof ev->sketch);
    }
}

static void tell_experts(struct event *ev, const struct text_signals *s)
{
    int32_t *pooled = s->expert ? mem_alloc_array((size_t)s->n_expert, sizeof *pooled) : NULL;
    if (!pooled)
        return;
    ev->experts_effective = signals_experts(s, pooled);
    ev->expert = pooled, ev->n_expert = isnan(ev->experts_effective) ? 0 : s->n_expert;
}

static void end_one(struct choice *c, int i, double now)
{
    struct exchange *x = c->x;
    struct event *ev = &c->record->ev;
    if (*x->id)
        copy(ev->id, sizeof ev->id, x->id);
    else
        snprintf(ev->id, sizeof ev->id, "req-%016llx", x->number);
    ev->choice = i;
    ev->cached_tokens = c->n_kept, ev->answer_tokens = c->n_token;
    tell_signals(ev, &c->signals), tell_experts(ev, &c->signals);
    copy(ev->finish, sizeof ev->finish, finish_of(c));
    copy(ev->error, sizeof ev->error, c->why == ANSWER_FAILED ? x->e.message : "");
    tell_form(ev, c);
    if (c->first > 0)
        ev->first_s = c->first - x->begun;
    ev->total_s = now - x->begun;
    recorder_add(x->s->recorder, c->record);
    c->record = NULL;
}

void recording_end(struct exchange *x)
{
    const double now = clock_wall();
    for (int i = 0; i < x->n_all; i++)
        if (x->choice[i].id && x->choice[i].record)
            end_one(&x->choice[i], i, now);
        else if (x->choice[i].id && x->s->recorder)
            recorder_add(x->s->recorder, NULL);
}
