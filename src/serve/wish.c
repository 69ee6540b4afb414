#include "serve/wish.h"
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "serve/constraint.h"

void wish_begin(struct wish *w, const struct dialect *d, const char *param, json_t *request, const struct served_model *s)
{
    *w = (struct wish){ .dialect = d, .as = served_model_as(s, 0), .param = param, .n = 1, .request = request, .seed = (uint64_t)(clock_wall() * 1e9) };
    w->answer = (struct answer_wish){ .most = -1, .n_logprob = -1, .sampling = { .temperature = 1, .top_p = 1 }, .root = s->root, .share = true };
}

static void drop_grammar(struct wish *w)
{
    if (w->grammars)
        grammars_drop(w->grammars, w->grammar);
    else
        grammar_free(w->grammar);
    w->grammar = NULL, w->grammars = NULL, w->answer.grammar = NULL;
}

void wish_release(struct wish *w)
{
    for (int i = 0; i < w->n_prompt; i++)
        tok_ids_release(&w->prompt[i]);
    mem_free(w->prompt);
    mem_free(w->bias);
    mem_free(w->allowed);
    mem_free(w->stop_token);
    stops_free(w->stops);
    drop_grammar(w);
    json_decref(w->schema);
    json_decref(w->request);
    *w = (struct wish){ 0 };
}

void wish_name_grammar(struct wish *w, const char *kind, const char *text, size_t n, struct refusal *e)
{
    struct buf b;
    if (n > GRAMMAR_TEXT_MAX) {
        refuse(e, NULL, "%s: what says what the answer may be has %zu bytes, expected at most %zu", kind, n, GRAMMAR_TEXT_MAX);
        return;
    }
    buf_init(&b);
    if (buf_add(&b, kind, strlen(kind) + 1, NULL) < 0 || buf_add(&b, text, n, NULL) < 0)
        wish_no_memory(e);
    else
        sha256_bytes(b.data, b.len, w->grammar_key.sha256);
    buf_release(&b);
}

void wish_done(struct wish *w, struct in *f)
{
    in_end(f, NULL);
    constraint_finish(w, f->e);
    if (f->e->status)
        wish_release(w);
}

void wish_not_taken(struct refusal *e, const struct err *err)
{
    if (err->code == ERR_BUSY)
        refuse_as(e, 429, NULL, "queue_full", NULL, "%s", err->msg);
    else if (err->code == ERR_RANGE)
        refuse_as(e, 400, NULL, "context_length_exceeded", NULL, "%s", err->msg);
    else
        refuse_as(e, 503, NULL, NULL, NULL, "%s", err->msg);
}

void wish_no_memory(struct refusal *e) { refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request"); }

void wish_lost(uint64_t before, struct refusal *e)
{
    if (mem_json_refused() == before)
        return;
    *e = (struct refusal){ 0 };
    wish_no_memory(e);
}

void *wish_room(size_t n, size_t size, struct refusal *e)
{
    void *p = mem_alloc_array(n + 1, size);
    if (!p)
        wish_no_memory(e);
    return p;
}

void wish_find(struct in *f, const struct served_model *s, struct served_as *as)
{
    const char *model = NULL;
    *as = served_model_as(s, 0);
    if (!in_str(f, "model", &model, NULL))
        refuse(f->e, "model", "model is missing");
    else if (served_model_find(s, model) < 0)
        refuse_as(f->e, 404, NULL, "model_not_found", "model", "model '%.100s' is not served here, '%s' is", model, s->name);
    else
        *as = served_model_as(s, served_model_find(s, model));
}

void wish_model(struct wish *w, struct in *f, const struct served_model *s)
{
    wish_find(f, s, &w->as);
    w->answer.adapter = w->as.adapter, w->answer.place = w->as.place, w->answer.root = w->as.root;
}

void wish_root(struct block_key *root, const char *kind, const char *text, size_t n, struct refusal *e)
{
    struct buf b;
    buf_init(&b);
    if (buf_add(&b, (const char *)root->sha256, SHA256_BYTES, NULL) < 0 || buf_add(&b, kind, strlen(kind) + 1, NULL) < 0 || buf_add(&b, text, n, NULL) < 0)
        wish_no_memory(e);
    else
        sha256_bytes(b.data, b.len, root->sha256);
    buf_release(&b);
}

void wish_salt(struct in *f, struct block_key *root)
{
    const char *salt = NULL;
    size_t n = 0;
    if (in_str(f, "cache_salt", &salt, &n))
        wish_root(root, "salt", salt, n, f->e);
}

void wish_stops(struct wish *w, struct in *f, const char *name)
{
    const json_t *v = NULL;
    if (!in_any(f, name, &v))
        return;
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > STOPS_MAX) {
        refuse(f->e, name, "%zu stop texts, expected at most %d", n, STOPS_MAX);
        return;
    }
    struct stop_text stop[STOPS_MAX];
    struct err err;
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(s) || !json_string_length(s))
            refuse(f->e, name, "%s is neither a text nor a list of texts that are not empty", name);
        else
            stop[i] = (struct stop_text){ json_string_value(s), json_string_length(s) };
    }
    if (n && !f->e->status && stops_new(&w->stops, stop, (int)n, &err) < 0)
        refuse_as(f->e, err.code == ERR_NOMEM ? 503 : 400, NULL, NULL, name, "%s", err.msg);
    w->answer.stops = w->stops;
}

bool wish_prompts(struct wish *w, size_t n, struct refusal *e)
{
    w->prompt = wish_room(n, sizeof *w->prompt, e);
    w->n_prompt = w->prompt ? (int)n : 0;
    return w->prompt != NULL;
}

/* A text that cannot fit, however long its tokens are, is not encoded to find out. */
static bool fits(const struct served_model *s, size_t n, const char *param, struct refusal *e)
{
    const size_t most = ((size_t)engine_ctx(s->engine) + 1) * (size_t)vocab_longest(s->vocab);
    if (n > most)
        refuse_as(e, 400, NULL, "context_length_exceeded", param, "a text of %zu bytes, but there are %d positions", n, engine_ctx(s->engine));
    return n <= most;
}

static void told(const struct wish *w, int rc, const struct err *err, struct refusal *e)
{
    if (rc == ERR_NOMEM)
        wish_no_memory(e);
    else if (rc < 0)
        refuse(e, w->param, "%s", err->msg);
}

void wish_text(struct wish *w, const struct served_model *s, const char *text, size_t n, size_t i, struct refusal *e)
{
    struct err err;
    if (fits(s, n, w->param, e))
        told(w, engine_encode(s->engine, text, n, TOK_ADD, &w->prompt[i], &err), &err, e);
}

/* As a user wrote it. */
static int add_input(struct jinja_text *t, const json_t *text, struct err *err)
{
    const size_t n = json_string_length(text), before = t->input.len;
    TRY(buf_add(&t->text, json_string_value(text), n, err));
    TRY(buf_add(&t->input, json_string_value(text), n, err));
    memset(t->input.data + before, 1, n);
    return 0;
}

/* Whether the prompt ends inside thoughts, or behind them; else, where the template knows of any, the answer may begin with some. */
static enum reply_thinking thinking_after(const struct served_model *s, const struct chat_request *c, const struct buf *text)
{
    size_t n = text->len;
    if (!chat_wants_for(s->chat, c)->thinks || c->no_generation_prompt)
        return REPLY_NO_THOUGHTS;
    while (n && (text->data[n - 1] == '\n' || text->data[n - 1] == ' '))
        n--;
    if (chat_wants_for(s->chat, c)->channels)
        return n >= 18 && !memcmp(text->data + n - 18, "<|start|>assistant", 18) ? REPLY_CHANNELS : REPLY_NO_THOUGHTS;
    if (n >= 7 && !memcmp(text->data + n - 7, "<think>", 7))
        return REPLY_THINKS;
    return n >= 8 && !memcmp(text->data + n - 8, "</think>", 8) ? REPLY_NO_THOUGHTS : REPLY_MAY_THINK;
}

void wish_chat(struct wish *w, const struct served_model *s, const struct chat_request *c, const json_t *begun, struct refusal *e)
{
    struct jinja_text text;
    struct err err;
    if (!s->chat) {
        refuse(e, w->param, "the model has no chat template");
        return;
    }
    if (!wish_prompts(w, 1, e))
        return;
    jinja_text_init(&text);
    int rc = chat_render(s->chat, c, &text, &err);
    if (!rc && begun)
        rc = add_input(&text, begun, &err);
    if (!rc && fits(s, text.text.len, w->param, e))
        rc = chat_encode(s->answers.tok, &text, &w->prompt[0], &err);
    w->answer.goes_on = begun != NULL;
    w->thinking = rc || begun ? REPLY_NO_THOUGHTS : thinking_after(s, c, &text.text);
    jinja_text_release(&text);
    told(w, rc, &err, e);
}
