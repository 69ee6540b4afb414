#include "serve/anthropic.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "serve/anthropic_reply.h"
#include "serve/constraint.h"
#include "serve/tools.h"

#define STOP_SEQUENCES "stop_sequences"

/* ---- messages, in the form that chats have here ---- */

/* What jansson has no memory for is noticed at the end of reading (wish_lost()). */
struct turns { json_t *list; struct refusal *e; };

static json_t *last_turn(const struct turns *t) { return json_array_get(t->list, json_array_size(t->list) - 1); }
static bool is_of(const json_t *turn, const char *role) { return turn && !strcmp(json_string_value(json_object_get(turn, "role")), role); }

static json_t *new_turn(struct turns *t, const char *role)
{
    json_array_append_new(t->list, json_pack("{s:s, s:[]}", "role", role, "content"));
    return last_turn(t);
}

/* The last message if it is of this role, or a new one.  Its content is a list of parts. */
static json_t *turn_of(struct turns *t, const char *role)
{
    json_t *last = last_turn(t);
    return is_of(last, role) ? last : new_turn(t, role);
}

static void add_part(json_t *turn, const json_t *text)
{
    json_array_append_new(json_object_get(turn, "content"), json_pack("{s:s, s:O}", "type", "text", "text", text));
}

/* A field that must be there. */
static const json_t *need(struct in *f, const char *name, json_type type, const char *expected)
{
    const json_t *v = NULL;
    if (in_any(f, name, &v) ? json_typeof(v) != type : true)
        refuse(f->e, f->path, "%s.%s is %s, expected %s", f->path, name, v ? "another thing" : "missing", expected);
    return v;
}

static void read_text(struct turns *t, struct in *f, json_t *turn)
{
    const json_t *text = need(f, "text", JSON_STRING, "a text");
    in_pass(f, "cache_control|citations");
    in_end(f, NULL);
    if (!t->e->status)
        add_part(turn, text);
}

/* Takes the place of a text: two, one behind the other. */
static void join(json_t *o, const char *key, const char *between, const json_t *a, const json_t *b)
{
    json_object_set_new(o, key, json_pack("s%+%+%", json_string_value(a), json_string_length(a), between, strlen(between), json_string_value(b), json_string_length(b)));
}

/* The thoughts of a turn are one text. */
static void read_thought(struct turns *t, struct in *f)
{
    const json_t *text = need(f, "thinking", JSON_STRING, "a text");
    in_pass(f, "signature|cache_control");
    in_end(f, NULL);
    if (t->e->status)
        return;
    json_t *turn = turn_of(t, "assistant"), *before = json_object_get(turn, "reasoning_content");
    if (before)
        join(turn, "reasoning_content", "\n", before, text);
    else
        json_object_set(turn, "reasoning_content", (json_t *)(uintptr_t)text);
}

static void read_call(struct turns *t, struct in *f)
{
    const json_t *id = need(f, "id", JSON_STRING, "a text"), *name = need(f, "name", JSON_STRING, "a text"), *input = need(f, "input", JSON_OBJECT, "an object");
    in_pass(f, "cache_control|caller");
    in_end(f, NULL);
    if (t->e->status)
        return;
    json_t *turn = turn_of(t, "assistant"), *calls = json_object_get(turn, "tool_calls");
    if (!calls) {
        json_object_set_new(turn, "tool_calls", json_array());
        calls = json_object_get(turn, "tool_calls");
    }
    json_array_append_new(calls, json_pack("{s:O, s:s, s:{s:O, s:O}}", "id", id, "type", "function", "function", "name", name, "arguments", input));
}

static void add_content(struct turns *t, const char *role, const json_t *content, const char *path);

/* Templates know no errors of tools: the text says it. */
static void tell_error(json_t *turn)
{
    json_t *word = json_string("Error: "), *first = json_array_get(json_object_get(turn, "content"), 0);
    if (first)
        join(first, "text", "", word, json_object_get(first, "text"));
    else
        add_part(turn, word);
    json_decref(word);
}

/* A message of its own, in the role of tools. */
static void read_result(struct turns *t, struct in *f)
{
    const json_t *id = need(f, "tool_use_id", JSON_STRING, "a text"), *content = NULL;
    bool is_error = false;
    char path[80];
    in_any(f, "content", &content);
    in_bool(f, "is_error", &is_error);
    in_pass(f, "cache_control");
    in_end(f, NULL);
    if (t->e->status)
        return;
    json_t *turn = new_turn(t, "tool");
    json_object_set(turn, "tool_call_id", (json_t *)(uintptr_t)id);
    snprintf(path, sizeof path, "%.70s.content", f->path);
    if (content)
        add_content(t, "tool", content, path);
    if (is_error && !t->e->status)
        tell_error(turn);
}

static void add_block(struct turns *t, const char *role, const json_t *block, const char *path)
{
    static const char *const others[] = { "image", "document", "search_result", "redacted_thinking", "server_tool_use", "web_search_tool_result" };
    const bool user = !strcmp(role, "user"), assistant = !strcmp(role, "assistant");
    struct in f;
    const char *type = json_string_value(json_object_get(block, "type"));
    int kind = 0;
    in_begin(&f, block, t->e, "%s", path);
    for (size_t i = 0; type && i < sizeof others / sizeof *others; i++)
        if (!strcmp(type, others[i]))
            refuse(t->e, path, "%s: blocks of type %s cannot be taken here, only text, tool_use, tool_result and thinking", path, type);
    if (!in_choice(&f, "type", user ? "text|tool_result" : assistant ? "text|tool_use|thinking" : "text", &kind) && !t->e->status)
        refuse(t->e, path, "%s has no type", path);
    if (t->e->status)
        return;
    if (!kind)
        read_text(t, &f, turn_of(t, role));
    else if (user)
        read_result(t, &f);
    else if (kind == 1)
        read_call(t, &f);
    else
        read_thought(t, &f);
}

/* A text, or a list of blocks. */
static void add_content(struct turns *t, const char *role, const json_t *content, const char *path)
{
    char one[120];
    if (json_is_string(content))
        add_part(turn_of(t, role), content);
    else if (!json_is_array(content))
        refuse(t->e, path, "%s is neither a text nor a list of blocks", path);
    else if (!json_array_size(content) && strcmp(role, "tool"))
        refuse(t->e, path, "%s is empty", path);
    for (size_t i = 0; i < json_array_size(content) && !t->e->status; i++) {
        snprintf(one, sizeof one, "%.80s[%zu]", path, i);
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

/* Messages of one text are texts, those of none are "". */
static void flatten(struct turns *t)
{
    for (size_t i = 0; i < json_array_size(t->list); i++) {
        json_t *m = json_array_get(t->list, i), *parts = json_object_get(m, "content");
        if (json_array_size(parts) < 2)
            json_object_set_new(m, "content", json_array_size(parts) ? json_incref(json_object_get(json_array_get(parts, 0), "text")) : json_string(""));
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
}

/* A last turn of the assistant's is taken away: its text, as one; else NULL. */
static json_t *begun_answer(struct turns *t)
{
    struct buf text;
    const json_t *last = last_turn(t), *content = json_object_get(last, "content");
    if (!is_of(last, "assistant"))
        return NULL;
    if (json_object_get(last, "tool_calls") || json_object_get(last, "reasoning_content")) {
        refuse(t->e, "messages", "the last message is of the assistant and has %s, expected text that the answer goes on from", json_object_get(last, "tool_calls") ? "tool_use" : "thinking");
        return NULL;
    }
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
    if (!json_array_size(t->list))
        refuse(t->e, "messages", "messages has the beginning of an answer, and nothing before it that it answers");
    return begun;
}

/* ---- tools and thoughts, as the fields that chats have for them here ---- */

struct extras { json_t *fields; struct refusal *e; };

static void set(struct extras *x, const char *key, json_t *v) { json_object_set_new(x->fields, key, v); }

static void read_tool(struct extras *x, json_t *list, const json_t *tool, size_t i)
{
    struct in f;
    const char *text;
    size_t n;
    bool strict = false;
    in_begin(&f, tool, x->e, "tools[%zu]", i);
    in_choice(&f, "type", "custom", &(int){ 0 });
    const json_t *name = need(&f, "name", JSON_STRING, "a text"), *schema = need(&f, "input_schema", JSON_OBJECT, "an object"), *description = NULL;
    if (in_str(&f, "description", &text, &n))
        description = json_object_get(tool, "description");
    in_bool(&f, "strict", &strict);
    in_pass(&f, "cache_control|eager_input_streaming");
    in_end(&f, NULL);
    if (!x->e->status && !tools_is_name(json_string_value(name), json_string_length(name)))
        refuse(x->e, f.path, "tools[%zu].name is '%.80s', expected 1 to %d letters, digits, _, - and .", i, json_string_value(name), TOOLS_NAME);
    if (!x->e->status)
        json_array_append_new(list, json_pack("{s:s, s:{s:O, s:O*, s:O, s:b}}", "type", "function", "function", "name", name, "description", description, "parameters", schema, "strict", strict));
}

static void read_tools(struct extras *x, struct in *f)
{
    const json_t *v = NULL;
    if (!in_array(f, "tools", &v))
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(v) && !x->e->status; i++)
        read_tool(x, list, json_array_get(v, i), i);
    set(x, "tools", list);
}

static void read_tool_choice(struct extras *x, struct in *f)
{
    struct in g;
    const json_t *v = NULL;
    const char *name = NULL;
    int type = 0;
    bool one = false;
    if (!in_object(f, "tool_choice", &v))
        return;
    in_begin(&g, v, x->e, "tool_choice");
    if (!in_choice(&g, "type", "auto|any|none|tool", &type) && !x->e->status)
        refuse(x->e, g.path, "tool_choice has no type");
    if (!in_str(&g, "name", &name, NULL) && type == 3 && !x->e->status)
        refuse(x->e, g.path, "tool_choice has no name");
    in_bool(&g, "disable_parallel_tool_use", &one);
    in_end(&g, NULL);
    if (x->e->status)
        return;
    set(x, "tool_choice", type == 3 ? json_pack("{s:s, s:{s:s}}", "type", "function", "function", "name", name) : json_string(type == 1 ? "required" : type == 2 ? "none" : "auto"));
    set(x, "parallel_tool_calls", json_boolean(!one));
}

/* How much is thought is up to the model: a budget is what it may aim at. */
static void read_thinking(struct extras *x, struct in *f, bool *wanted)
{
    struct in g;
    const json_t *v = NULL;
    int type = 0;
    int64_t budget;
    if (!in_object(f, "thinking", &v))
        return;
    in_begin(&g, v, x->e, "thinking");
    if (!in_choice(&g, "type", "disabled|enabled|adaptive", &type) && !x->e->status)
        refuse(x->e, g.path, "thinking has no type");
    in_int(&g, "budget_tokens", 1024, INT32_MAX, &budget);
    in_choice(&g, "display", "summarized", &(int){ 0 });
    in_end(&g, NULL);
    *wanted = type > 0;
    set(x, "chat_template_kwargs", json_pack("{s:b}", "enable_thinking", type > 0));
}

/* ---- the request ---- */

static void read_prompt(struct wish *w, struct in *f, const struct served_model *s)
{
    const uint64_t refused = mem_json_refused();
    struct turns t = { .list = json_array(), .e = f->e };
    struct extras x = { .fields = json_object(), .e = f->e };
    struct in g;
    struct tools tools = { 0 };
    bool thinks = false;
    read_tools(&x, f);
    read_tool_choice(&x, f);
    read_thinking(&x, f, &thinks);
    read_turns(f, &t);
    wish_lost(refused, f->e);
    json_t *begun = f->e->status ? NULL : begun_answer(&t);
    if (!f->e->status) {
        in_begin(&g, x.fields, f->e, "%s", "");
        tools_read(&tools, &g);
        for (int i = 0; tools.where && i < TOOLS_MAX && (size_t)i < json_array_size(json_object_get(x.fields, "tools")); i++)
            snprintf(tools.where[i], sizeof *tools.where, "tools[%d].input_schema", i);
    }
    const struct chat_request c = { .messages = t.list, .tools = tools.list, .variables = tools.variables };
    tools_check(&tools, s, &c, f->e);
    if (thinks && s->chat && !chat_wants_for(s->chat, &c)->thinks)
        refuse(f->e, "thinking", "thinking: the model's chat template knows of no thoughts");
    if (!f->e->status)
        wish_chat(w, s, &c, begun, f->e);
    if (!f->e->status)
        tools_finish(&tools, w, s, &c, f->e);
    wish_lost(refused, f->e);
    tools_release(&tools);
    json_decref(begun);
    json_decref(t.list);
    json_decref(x.fields);
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
    wish_model(w, f, s);
    read_output(w, f);
    in_pass(f, "cache_control");
    in_only(f, "context_management", "null");
    read_prompt(w, f, s);
}

void anthropic_messages(struct wish *w, json_t *request, struct served_model *s, struct refusal *e)
{
    struct in f, g;
    struct answer_wish *a = &w->answer;
    const json_t *v = NULL;
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
        in_pass_texts(&g, "user_id");
        in_end(&g, NULL);
    }
    in_choice(&f, "service_tier", "auto|standard_only", &(int){ 0 });
    in_only(&f, "container", "null");
    a->most = (int)most, a->sampling.top_k = (int)k;
    read_shared(w, &f, s);
    wish_done(w, &f);
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
    wish_done(&w, &f);
    if (e.status) {
        exchange_refuse(q, &anthropic_dialect, &e);
        return;
    }
    const int n = snprintf(text, sizeof text, "{\"input_tokens\":%zu}\n", w.prompt[0].n);
    wish_release(&w);
    http_add_header(q, anthropic_dialect.id_header, http_trace(q)->id);
    http_reply(q, 200, "application/json", text, (size_t)n);
}
