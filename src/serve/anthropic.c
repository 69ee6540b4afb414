#include "serve/anthropic.h"
#include <stdio.h>
#include <string.h>
#include "serve/anthropic_reply.h"
#include "serve/constraint.h"

#define STOP_SEQUENCES "stop_sequences"

/* ---- messages, in the form that chats have here ---- */

/* What jansson has no memory for is noticed at the end of reading. */
struct turns { json_t *list; bool lost; struct refusal *e; };

/* The last message if it is of this role, or a new one.  Its content is a list of parts. */
static json_t *turn_of(struct turns *t, const char *role)
{
    json_t *last = json_array_get(t->list, json_array_size(t->list) - 1);
    if (last && !strcmp(json_string_value(json_object_get(last, "role")), role))
        return last;
    t->lost |= json_array_append_new(t->list, json_pack("{s:s, s:[]}", "role", role, "content")) != 0;
    return json_array_get(t->list, json_array_size(t->list) - 1);
}

static void add_part(struct turns *t, const char *role, const json_t *text)
{
    json_t *parts = json_object_get(turn_of(t, role), "content");
    t->lost |= json_array_append_new(parts, json_pack("{s:s, s:O}", "type", "text", "text", text)) != 0;
}

static void add_block(struct turns *t, const char *role, const json_t *block, const char *path)
{
    static const char *const others[] = { "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result", "server_tool_use", "web_search_tool_result" };
    struct in f;
    const char *type = json_string_value(json_object_get(block, "type"));
    const json_t *text = NULL;
    in_begin(&f, block, t->e, "%s", path);
    for (size_t i = 0; type && i < sizeof others / sizeof *others; i++)
        if (!strcmp(type, others[i]))
            refuse(t->e, path, "%s: blocks of type %s cannot be taken here, only text", path, type);
    if (!in_choice(&f, "type", "text", &(int){ 0 }) && !t->e->status)
        refuse(t->e, path, "%s has no type", path);
    if (in_any(&f, "text", &text) && !json_is_string(text))
        refuse(t->e, path, "%s.text is no text", path);
    else if (!text && !t->e->status)
        refuse(t->e, path, "%s has no text", path);
    in_pass(&f, "cache_control|citations");
    in_end(&f, NULL);
    if (!t->e->status)
        add_part(t, role, text);
}

/* A text, or a list of blocks. */
static void add_content(struct turns *t, const char *role, const json_t *content, const char *path)
{
    char one[80];
    if (json_is_string(content))
        add_part(t, role, content);
    else if (!json_is_array(content))
        refuse(t->e, path, "%s is neither a text nor a list of blocks", path);
    else if (!json_array_size(content))
        refuse(t->e, path, "%s is empty", path);
    for (size_t i = 0; i < json_array_size(content) && !t->e->status; i++) {
        snprintf(one, sizeof one, "%s[%zu]", path, i);
        add_block(t, role, json_array_get(content, i), one);
    }
}

static void add_message(struct turns *t, const json_t *message, size_t i)
{
    static const char *const roles[] = { "user", "assistant", "system" };
    char path[40];
    struct in f;
    const json_t *content = NULL;
    int role = 0;
    in_begin(&f, message, t->e, "messages[%zu]", i);
    if (!in_choice(&f, "role", "user|assistant|system", &role) && !t->e->status)
        refuse(t->e, f.path, "messages[%zu] has no role", i);
    if (!in_any(&f, "content", &content) && !t->e->status)
        refuse(t->e, f.path, "messages[%zu] has no content", i);
    in_end(&f, NULL);
    snprintf(path, sizeof path, "messages[%zu].content", i);
    if (!t->e->status)
        add_content(t, roles[role], content, path);
}

/* Messages of one text are texts. */
static void flatten(struct turns *t)
{
    for (size_t i = 0; i < json_array_size(t->list); i++) {
        json_t *m = json_array_get(t->list, i), *parts = json_object_get(m, "content");
        if (json_array_size(parts) == 1)
            t->lost |= json_object_set(m, "content", json_object_get(json_array_get(parts, 0), "text")) != 0;
    }
}

static void read_turns(struct in *f, struct turns *t)
{
    const json_t *system = NULL, *messages = NULL;
    if (in_any(f, "system", &system))
        add_content(t, "system", system, "system");
    if (!in_array(f, "messages", &messages))
        refuse(t->e, "messages", "messages is missing");
    else if (!json_array_size(messages))
        refuse(t->e, "messages", "messages is empty");
    for (size_t i = 0; i < json_array_size(messages) && !t->e->status; i++)
        add_message(t, json_array_get(messages, i), i);
    if (!t->e->status)
        flatten(t);
    if (t->lost)
        wish_no_memory(t->e);
}

/* A last turn of the assistant's is taken away: its text, as one; else NULL. */
static json_t *begun_answer(struct turns *t)
{
    struct buf text;
    const json_t *last = json_array_get(t->list, json_array_size(t->list) - 1), *content = json_object_get(last, "content");
    if (!last || strcmp(json_string_value(json_object_get(last, "role")), "assistant"))
        return NULL;
    buf_init(&text);
    int rc = json_is_string(content) ? buf_add(&text, json_string_value(content), json_string_length(content), NULL) : 0;
    for (size_t i = 0; i < json_array_size(content) && !rc; i++) {
        const json_t *s = json_object_get(json_array_get(content, i), "text");
        rc = buf_add(&text, json_string_value(s), json_string_length(s), NULL);
    }
    json_t *begun = rc ? NULL : json_stringn(text.data, text.len);
    buf_release(&text);
    json_array_remove(t->list, json_array_size(t->list) - 1);
    if (!begun)
        wish_no_memory(t->e);
    return begun;
}

/* ---- the request ---- */

static void read_prompt(struct wish *w, struct in *f, const struct served_model *s)
{
    struct turns t = { .list = json_array(), .e = f->e };
    t.lost = !t.list;
    read_turns(f, &t);
    json_t *begun = f->e->status ? NULL : begun_answer(&t);
    const struct chat_request c = { .messages = t.list };
    if (!f->e->status)
        wish_chat(w, s, &c, begun, f->e);
    json_decref(begun);
    json_decref(t.list);
}

/* JSON by a schema. */
static void read_output(struct wish *w, struct in *f)
{
    struct in g, h;
    const json_t *v = NULL, *format = NULL, *schema = NULL;
    if (!in_object(f, "output_config", &v))
        return;
    in_begin(&g, v, f->e, "output_config");
    in_only(&g, "effort", "\"high\"");
    if (in_object(&g, "format", &format)) {
        in_begin(&h, format, f->e, "output_config.format");
        in_only(&h, "type", "\"json_schema\"");
        if (!in_object(&h, "schema", &schema))
            refuse(f->e, "output_config.format.schema", "output_config.format.schema is missing");
        in_end(&h, NULL);
        if (!f->e->status)
            constraint_schema(w, schema, "output_config.format.schema", f->e);
    }
    in_end(&g, NULL);
}

/* What a request to count has, too. */
static void read_shared(struct wish *w, struct in *f, const struct served_model *s)
{
    struct in g;
    const json_t *v = NULL;
    wish_model(w, f, s);
    if (in_object(f, "thinking", &v)) {
        in_begin(&g, v, f->e, "thinking");
        in_only(&g, "type", "\"disabled\"");
        in_end(&g, NULL);
    }
    in_only(f, "tools", "[]");
    if (in_object(f, "tool_choice", &v)) {
        in_begin(&g, v, f->e, "tool_choice");
        in_choice(&g, "type", "auto|none", &(int){ 0 });
        in_pass(&g, "disable_parallel_tool_use");
        in_end(&g, NULL);
    }
    read_output(w, f);
    in_pass(f, "cache_control");
    read_prompt(w, f, s);
}

static void done_reading(struct wish *w, struct in *f)
{
    in_end(f, NULL);
    if (f->e->status)
        wish_release(w);
}

void anthropic_messages(struct wish *w, json_t *request, struct served_model *s, struct refusal *e)
{
    struct in f, g;
    struct answer_wish *a = &w->answer;
    const json_t *v = NULL;
    const char *user;
    int64_t most = 0, k = 0;
    wish_begin(w, &anthropic_dialect, "messages", request, s);
    in_begin(&f, request, e, "%s", "");
    if (!in_int(&f, "max_tokens", 0, INT32_MAX, &most))
        refuse(e, "max_tokens", "max_tokens is missing");
    in_num(&f, "temperature", 0, 1, &a->sampling.temperature);
    in_num(&f, "top_p", 0, 1, &a->sampling.top_p);
    in_int(&f, "top_k", 0, INT32_MAX, &k);
    in_bool(&f, "stream", &w->stream);
    if (in_array(&f, STOP_SEQUENCES, &v))
        wish_stops(w, &f, STOP_SEQUENCES);
    if (in_object(&f, "metadata", &v)) {
        in_begin(&g, v, e, "metadata");
        in_str(&g, "user_id", &user, NULL);
        in_end(&g, NULL);
    }
    in_choice(&f, "service_tier", "auto|standard_only", &(int){ 0 });
    a->most = (int)most, a->sampling.top_k = (int)k;
    read_shared(w, &f, s);
    done_reading(w, &f);
}

void anthropic_count(struct http_request *q, struct served_model *s, json_t *request)
{
    struct refusal e = { 0 };
    struct in f;
    struct wish w;
    char text[40];
    wish_begin(&w, &anthropic_dialect, "messages", request, s);
    in_begin(&f, request, &e, "%s", "");
    read_shared(&w, &f, s);
    done_reading(&w, &f);
    if (e.status) {
        exchange_refuse(q, &anthropic_dialect, &e);
        return;
    }
    const int n = snprintf(text, sizeof text, "{\"input_tokens\":%zu}\n", w.prompt[0].n);
    wish_release(&w);
    http_add_header(q, anthropic_dialect.id_header, http_trace(q)->id);
    http_reply(q, 200, "application/json", text, (size_t)n);
}
