#include "serve/tokens.h"
#include "base/mem.h"
#include "serve/json_in.h"
#include "serve/json_out.h"
#include "serve/openai_reply.h"
#include "serve/wish.h"

#define TEXT_MAX ((size_t)4 << 20)      /* of a request, and of a reply before it is JSON */

/* Takes b. */
static void reply(struct http_request *q, struct buf *b, const struct refusal *e)
{
    if (e->status)
        openai_refuse(q, e);
    else
        http_reply(q, 200, "application/json", b->data, b->len);
    buf_release(b);
}

static void name_model(struct in *f)
{
    const char *model;
    in_str(f, "model", &model, NULL);            /* which it is was found by it */
}

static int add_ids(struct buf *b, const struct tok_ids *ids, int ctx, struct err *err)
{
    TRY(buf_add_str(b, "{\"tokens\":[", err));
    for (size_t i = 0; i < ids->n; i++)
        TRY(buf_printf(b, err, i ? ",%d" : "%d", ids->id[i]));
    return buf_printf(b, err, "],\"count\":%zu,\"max_model_len\":%d}\n", ids->n, ctx);
}

void tokens_of_text(struct http_request *q, struct served_model *s, json_t *request)
{
    struct refusal e = { 0 };
    struct in f;
    struct tok_ids ids = { 0 };
    struct err err;
    struct buf b;
    const char *text = NULL;
    size_t n = 0;
    bool add = true;
    buf_init(&b);
    in_begin(&f, request, &e, "%s", "");
    name_model(&f);
    if (!in_str(&f, "prompt", &text, &n)) {
        add = false;                             /* llama.cpp's words, and its default */
        if (!in_str(&f, "content", &text, &n))
            refuse(&e, "prompt", "prompt is missing");
    }
    in_bool(&f, "add_special_tokens", &add);
    in_bool(&f, "add_special", &add);
    in_end(&f, NULL);
    if (n > TEXT_MAX)
        refuse_as(&e, 413, NULL, "request_too_large", "prompt", "a text of %zu bytes, expected at most %zu", n, TEXT_MAX);
    if (!e.status && engine_encode(s->engine, text, n, add ? TOK_ADD : TOK_PLAIN, &ids, &err) < 0)
        refuse(&e, "prompt", "%s", err.msg);
    if (!e.status && add_ids(&b, &ids, engine_ctx(s->engine), NULL) < 0)
        wish_no_memory(&e);
    reply(q, &b, &e);
    tok_ids_release(&ids);
    json_decref(request);
}

static void read_ids(int32_t *ids, const json_t *tokens, int V, struct refusal *e)
{
    for (size_t i = 0; i < json_array_size(tokens) && !e->status; i++)
        if (!in_id(json_array_get(tokens, i), V, &ids[i]))
            refuse(e, "tokens", "tokens[%zu] is no token, expected integers of 0 to %d", i, V - 1);
}

/* A token may be a hundred times as long as its number. */
static void check_text(const struct tok *tok, const int32_t *ids, size_t n, struct refusal *e)
{
    size_t all = 0, bytes;
    for (size_t i = 0; i < n; i++)
        all += tok_bytes(tok, ids[i], &bytes) ? bytes : 0;
    if (all > TEXT_MAX)
        refuse_as(e, 413, NULL, "request_too_large", "tokens", "tokens of a text of %zu bytes, expected at most %zu", all, TEXT_MAX);
}

static int add_text(struct buf *b, const struct buf *text, struct err *err)
{
    TRY(buf_add_str(b, "{\"prompt\":", err));
    TRY(out_string(b, text->data, text->len, err));
    TRY(buf_add_str(b, ",\"content\":", err));
    TRY(out_string(b, text->data, text->len, err));
    return buf_add_str(b, "}\n", err);
}

void text_of_tokens(struct http_request *q, struct served_model *s, json_t *request)
{
    struct refusal e = { 0 };
    struct in f;
    struct err err;
    struct buf text, b;
    const json_t *tokens = NULL;
    buf_init(&text), buf_init(&b);
    in_begin(&f, request, &e, "%s", "");
    name_model(&f);
    if (!in_array(&f, "tokens", &tokens))
        refuse(&e, "tokens", "tokens is missing");
    in_end(&f, NULL);
    const size_t n = json_array_size(tokens);
    int32_t *ids = wish_room(n, sizeof *ids, &e);
    if (!e.status)
        read_ids(ids, tokens, s->answers.V, &e);
    if (!e.status)
        check_text(s->answers.tok, ids, n, &e);
    if (!e.status && tok_decode(s->answers.tok, ids, n, &text, &err) < 0)
        refuse(&e, "tokens", "%s", err.msg);
    if (!e.status && add_text(&b, &text, NULL) < 0)
        wish_no_memory(&e);
    mem_free(ids);
    reply(q, &b, &e);
    buf_release(&text);
    json_decref(request);
}
