#include "model/chat.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "model/chat_tools.h"
#include "model/gguf.h"

#define CONFIG_MAX ((size_t)64 << 20)

struct chat_template { char *name; struct jinja *jinja; struct chat_wants wants; struct buf opening; };      /* opening: the prompt for an answer */
struct chat {
    struct chat_template t[CHAT_TEMPLATES_MAX];
    int n;
    json_t *tokens;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for the messages"); }

/* ---- normalising ---- */

static bool is_role(const json_t *m, const char *role)
{
    const char *s = json_string_value(json_object_get(m, "role"));
    return s && !strcmp(s, role);
}

static bool has_calls(const json_t *m) { return json_array_size(json_object_get(m, "tool_calls")) > 0; }

/* Sets a new value, taken also on error. */
static int set_new(json_t *o, const char *key, json_t *value, struct err *err) { return json_object_set_new(o, key, value) ? no_memory(err) : 0; }

static bool is_text_part(const json_t *part)
{
    static const char *const types[] = { "text", "input_text", "output_text" };
    const char *type = json_string_value(json_object_get(part, "type"));
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (!strcmp(type, types[i]))
            return json_is_string(json_object_get(part, "text"));
    return false;
}

/* The text of the parts of messages[i], joined by newlines. */
static int join_parts(const json_t *parts, size_t i, json_t **out, struct err *err)
{
    struct buf text;
    size_t k;
    json_t *part;
    int rc = 0;
    buf_init(&text);
    json_array_foreach((json_t *)(uintptr_t)parts, k, part) {
        if (!is_text_part(part)) {
            const char *type = json_string_value(json_object_get(part, "type"));
            rc = ERR(err, UNSUPPORTED, "messages[%zu].content[%zu]: a part of type '%s', and this model's template takes text only", i, k, type ? type : "?");
            break;
        }
        const json_t *s = json_object_get(part, "text");
        if ((k && (rc = buf_add_char(&text, '\n', err)) < 0) || (rc = buf_add(&text, json_string_value(s), json_string_length(s), err)) < 0)
            break;
    }
    if (!rc && !(*out = json_stringn(text.data, text.len)))
        rc = no_memory(err);
    buf_release(&text);
    return rc;
}

static int normalise_content(json_t *m, size_t i, const struct chat_wants *w, struct err *err)
{
    const json_t *content = json_object_get(m, "content");
    json_t *text = NULL;
    if (content && !json_is_string(content) && !json_is_array(content) && !json_is_null(content))
        return ERR(err, FORMAT, "messages[%zu].content is neither a string, a list of parts nor null", i);
    if (has_calls(m) && (!json_string_length(content) && !json_array_size(content))) {
        if (w->call == CHAT_CALL_ABSENT)
            return json_object_del(m, "content"), 0;
        return set_new(m, "content", w->call == CHAT_CALL_NULL ? json_null() : json_string(""), err);
    }
    if (!content || json_is_null(content)) {
        if (!is_role(m, "assistant"))
            return ERR(err, FORMAT, "messages[%zu].content is %s, expected a string", i, content ? "null" : "missing");
        return set_new(m, "content", json_string(""), err);
    }
    if (json_is_array(content) && !w->parts) {
        if (w->takes_parts && !is_role(m, "system")) {       /* images and the like: the template knows what to do */
            size_t k;
            json_t *part;
            json_array_foreach((json_t *)(uintptr_t)content, k, part)
                if (!is_text_part(part))
                    return 0;
        }
        TRY(join_parts(content, i, &text, err));
        return set_new(m, "content", text, err);
    }
    if (json_is_string(content) && w->parts)
        return set_new(m, "content", json_pack("[{s:s, s:O}]", "type", "text", "text", content), err);
    return 0;
}

/* The object that the text is, or NULL if it is none (or, as the caller notices, there is no memory). */
static json_t *parse_object(const json_t *text)
{
    json_t *o;
    struct err ignored;
    if (tree_parse_json(&o, json_string_value(text), json_string_length(text), "arguments", &ignored) < 0)
        return NULL;
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

static int set_id(json_t *o, const char *key, struct err *err)
{
    const char *id = json_string_value(json_object_get(o, key));
    size_t n = 0;
    char out[10];
    if (!id)
        return 0;
    while (id[n] && ((id[n] >= '0' && id[n] <= '9') || (id[n] >= 'a' && id[n] <= 'z') || (id[n] >= 'A' && id[n] <= 'Z')))
        n++;
    if (n == 9 && !id[n])
        return 0;
    chat_tool_id(out, hash64(id, strlen(id), 0), 0);
    return set_new(o, key, json_string(out), err);
}

static int normalise_call(json_t *call, const struct chat_wants *w, struct err *err)
{
    json_t *f = json_object_get(call, "function"), *arguments = json_object_get(f, "arguments");
    if (w->short_ids)
        TRY(set_id(call, "id", err));
    if (!json_object_get(call, "type"))
        TRY(set_new(call, "type", json_string("function"), err));
    if (json_is_string(arguments) && !w->arguments_text) {
        json_t *o = parse_object(arguments);
        return o ? set_new(f, "arguments", o, err) : 0;
    }
    if (json_is_object(arguments) && w->arguments_text) {
        char *text = json_dumps(arguments, 0);
        json_t *s = text ? json_string(text) : NULL;
        mem_free(text);
        return set_new(f, "arguments", s, err);
    }
    return 0;
}

/* m is a copy down to the functions of its calls. */
static int normalise_message(json_t *m, size_t i, const struct chat_wants *w, struct err *err)
{
    size_t k;
    json_t *call;
    json_t *calls = json_object_get(m, "tool_calls");
    if (calls && json_is_null(calls))
        json_object_del(m, "tool_calls");
    else if (calls && !json_is_array(calls))
        return ERR(err, FORMAT, "messages[%zu].tool_calls is no list", i);
    if (is_role(m, "developer") && !w->developer)
        TRY(set_new(m, "role", json_string("system"), err));
    TRY(normalise_content(m, i, w, err));
    json_array_foreach(json_object_get(m, "tool_calls"), k, call) {
        if (!json_is_string(json_object_get(json_object_get(call, "function"), "name")))
            return ERR(err, FORMAT, "messages[%zu].tool_calls[%zu].function.name is missing", i, k);
        TRY(normalise_call(call, w, err));
    }
    return w->short_ids ? set_id(m, "tool_call_id", err) : 0;
}

/* A copy of a message whose own members, calls and functions may be changed. */
static json_t *copy_message(const json_t *m)
{
    json_t *out = json_copy((json_t *)(uintptr_t)m), *calls = json_object_get(m, "tool_calls");
    if (out && json_array_size(calls)) {
        json_t *copy = json_deep_copy(calls);
        if (!copy || json_object_set_new(out, "tool_calls", copy)) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static int append_text(struct buf *to, const json_t *m, struct err *err)
{
    const json_t *content = json_object_get(m, "content"), *text = json_is_string(content) ? content : json_object_get(json_array_get(content, 0), "text");
    if (to->len)
        TRY(buf_add_str(to, "\n\n", err));
    return buf_add(to, json_string_value(text), json_string_length(text), err);
}

/* Puts the system messages at the front in front of the text of the first user message. */
static int fold_system(json_t *list, const struct chat_wants *w, struct err *err)
{
    struct buf text;
    int rc = 0;
    buf_init(&text);
    while (!rc && is_role(json_array_get(list, 0), "system")) {
        rc = append_text(&text, json_array_get(list, 0), err);
        json_array_remove(list, 0);
    }
    if (!rc && text.len) {
        json_t *first = json_array_get(list, 0);
        const bool user = is_role(first, "user");
        if (user)
            rc = append_text(&text, first, err);
        json_t *s = rc ? NULL : json_stringn(text.data, text.len);
        json_t *content = s && w->parts ? json_pack("[{s:s, s:o}]", "type", "text", "text", s) : s;
        if (!rc && user)
            rc = set_new(first, "content", content, err);
        else if (!rc)
            rc = !content || json_array_insert_new(list, 0, json_pack("{s:s, s:o}", "role", "user", "content", content)) ? no_memory(err) : 0;
    }
    buf_release(&text);
    return rc;
}

static int normalise_all(const json_t *messages, const struct chat_wants *w, json_t *list, struct err *err)
{
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        if (!json_is_object(m))
            return ERR(err, FORMAT, "messages[%zu] is no object", i);
        if (!json_string_length(json_object_get(m, "role")))
            return ERR(err, FORMAT, "messages[%zu].role is missing", i);
        json_t *copy = copy_message(m);
        if (!copy || json_array_append_new(list, copy))
            return no_memory(err);
        TRY(normalise_message(copy, i, w, err));
    }
    return w->system ? 0 : fold_system(list, w, err);
}

int chat_normalise(const json_t *messages, const struct chat_wants *w, json_t **out, struct err *err)
{
    *out = NULL;
    if (!json_is_array(messages) || !json_array_size(messages))
        return ERR(err, FORMAT, "messages is %s, expected a list of at least one", json_is_array(messages) ? "empty" : "no list");
    const uint64_t refused = mem_json_refused();      /* jansson's copies lose what they have no memory for */
    json_t *list = json_array();
    int rc = list ? normalise_all(messages, w, list, err) : no_memory(err);
    if (mem_json_refused() != refused)
        rc = no_memory(err);
    if (rc < 0) {
        json_decref(list);
        return rc;
    }
    *out = list;
    return 0;
}

void chat_tool_id(char out[10], uint64_t seed, uint64_t n)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    uint64_t v = rng_u64(seed, n);
    for (int i = 0; i < 9; i++, v /= 62)
        out[i] = digits[v % 62];
    out[9] = 0;
}

/* ---- rendering ---- */

#define VARS_MAX 128

static int add_variables(const json_t *o, bool input, struct jinja_var *v, int *n, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)o, key, value) {
        int i = 0;
        while (i < *n && strcmp(v[i].name, key))
            i++;
        if (i < *n && input)
            return ERR(err, USAGE, "the variable '%s' of the template is given already, expected others", key);
        if (*n == VARS_MAX)
            return ERR(err, RANGE, "more than %d variables for the template", VARS_MAX);
        if (i == *n)
            v[(*n)++] = (struct jinja_var){ key, value, input ? JINJA_INPUT : JINJA_OWN, 0 };
    }
    return 0;
}

/* messages as they are to be seen by the template; which of their bytes, and of what else it is given, are marked. */
static int render_marked(const struct chat *c, const struct chat_template *t, const struct chat_request *q, const json_t *messages, enum jinja_input mark, size_t n_last,
                         struct jinja_text *out, struct err *err)
{
    const enum jinja_input other = mark == JINJA_INPUT ? JINJA_INPUT : JINJA_OWN;
    const json_t *none = json_null();
    struct jinja_var v[VARS_MAX] = {
        { "messages", messages, mark, n_last },
        { "tools", json_array_size(q->tools) ? q->tools : none, other, 0 },
        { "documents", json_array_size(q->documents) ? q->documents : none, other, 0 },
        { "add_generation_prompt", json_boolean(!q->no_generation_prompt), JINJA_OWN, 0 },
    };
    int n = 4;
    TRY(add_variables(c->tokens, false, v, &n, err));
    TRY(add_variables(q->variables, true, v, &n, err));
    for (int i = 4; i < n; i++)
        v[i].input = v[i].input == JINJA_INPUT ? other : v[i].input;
    return jinja_render(t->jinja, v, n, NULL, q->now, out, err);
}

static int render(const struct chat *c, const struct chat_template *t, const struct chat_request *q, const json_t *messages, struct jinja_text *out, struct err *err)
{
    return render_marked(c, t, q, messages, JINJA_INPUT, 0, out, err);
}

static const struct chat_template *find(const struct chat *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->t[i].name, name))
            return &c->t[i];
    return NULL;
}

static const struct chat_template *choose(const struct chat *c, const struct chat_request *q)
{
    const struct chat_template *t = NULL;
    if (q->name)
        return find(c, q->name);
    if (json_array_size(q->tools))
        t = find(c, "tool_use");
    if (!t)
        t = find(c, "default");
    return t ? t : c->n == 1 ? &c->t[0] : NULL;
}

static bool speaks_of_tools(const json_t *messages)
{
    size_t i;
    json_t *m;
    json_array_foreach((json_t *)(uintptr_t)messages, i, m)
        if (is_role(m, "tool") || has_calls(m))
            return true;
    return false;
}

int chat_render(const struct chat *c, const struct chat_request *q, struct jinja_text *out, struct err *err)
{
    const struct chat_template *t = choose(c, q);
    json_t *messages;
    if (!t)
        return ERR(err, NOTFOUND, "the model has no chat template '%s'", q->name ? q->name : "default");
    if (q->variables && !json_is_object(q->variables))
        return ERR(err, USAGE, "the template's variables are no object");
    json_t *told = NULL;
    if (t->wants.form == CHAT_FORM_NONE && (json_array_size(q->tools) || speaks_of_tools(q->messages)))
        TRY(chat_tell_tools(q->messages, q->tools, &told, err));
    int rc = chat_normalise(told ? told : q->messages, &t->wants, &messages, err);
    json_decref(told);
    TRY(rc);
    rc = render(c, t, q, messages, out, err);
    json_decref(messages);
    return rc;
}

#define NO_TURN SIZE_MAX
/* Where the opening of a turn, the template's to the byte, ends last within from .. to with nothing of a user's behind it. */
static size_t turn_begin(const struct buf *opening, const struct jinja_text *text, size_t from, size_t to)
{
    const size_t n = opening->len;
    for (size_t end = to; n && end >= from + n; end--) {
        if (!memcmp(text->text.data + end - n, opening->data, n) && !memchr(text->input.data + end - n, 1, n))
            return end;
        if (text->input.data[end - 1])
            break;
    }
    return NO_TURN;
}

/* marks: 1 where a byte is an assistant's. */
static void mark_turns(const struct buf *opening, const struct jinja_text *text, const char *marks, char *learn)
{
    const size_t n = text->text.len;
    size_t done = 0;
    for (const char *p; done < n && (p = memchr(marks + done, 1, n - done));) {
        const size_t first = (size_t)(p - marks), opened = turn_begin(opening, text, done, first);
        const size_t begin = opened == NO_TURN ? first : opened;
        size_t end = first + 1;
        for (const char *more; (more = memchr(marks + end, 1, n - end)); end = (size_t)(more - marks) + 1) {
            const size_t next = (size_t)(more - marks);
            bool glue = turn_begin(opening, text, end, next) == NO_TURN;
            for (size_t i = end; glue && i < next; i++)
                glue = !text->input.data[i];
            if (!glue)
                break;
        }
        memset(learn + begin, CHAT_LEARN, end - begin);
        if (end < n && !marks[end])
            learn[end] = CHAT_LEARN_END;
        done = end;
    }
}

int chat_render_learn(const struct chat *c, const struct chat_request *q, size_t n_last, struct jinja_text *out, struct buf *learn, struct err *err)
{
    const struct chat_template *t = choose(c, q);
    json_t *messages;
    if (!t)
        return ERR(err, NOTFOUND, "the model has no chat template '%s'", q->name ? q->name : "default");
    TRY(chat_normalise(q->messages, &t->wants, &messages, err));
    struct chat_request whole = *q;
    struct jinja_text all, marked;
    const bool generates = jinja_generates(t->jinja) && !n_last;
    whole.no_generation_prompt = true;
    jinja_text_init(&all), jinja_text_init(&marked);
    int rc = render(c, t, &whole, messages, &all, err);
    if (!rc)
        rc = render_marked(c, t, &whole, messages, generates ? JINJA_GENERATED : JINJA_ASSISTANT, n_last, &marked, err);
    const size_t n = all.text.len, before = out->text.len, before_learn = learn->len;
    if (!rc && (n != marked.text.len || memcmp(all.text.data, marked.text.data, n)))
        rc = ERR(err, FORMAT, "the chat template does not write the same text twice");
    if (!rc && (rc = buf_add(learn, marked.input.data, n, err)) == 0 && !generates) {
        memset(learn->data + before_learn, 0, n);
        mark_turns(&t->opening, &all, marked.input.data, learn->data + before_learn);
    }
    if (!rc && !(rc = buf_add(&out->text, all.text.data, n, err)) && (rc = buf_add(&out->input, all.input.data, n, err)))
        out->text.data[out->text.len = before] = 0;
    if (rc && learn->len > before_learn)
        learn->data[learn->len = before_learn] = 0;
    jinja_text_release(&all), jinja_text_release(&marked);
    json_decref(messages);
    return rc;
}

const struct chat_wants *chat_wants(const struct chat *c, const char *name)
{
    const struct chat_request q = { .name = name };
    const struct chat_template *t = choose(c, &q);
    return t ? &t->wants : NULL;
}

const struct chat_wants *chat_wants_for(const struct chat *c, const struct chat_request *q)
{
    const struct chat_template *t = choose(c, q);
    return t ? &t->wants : NULL;
}

bool chat_knows(const struct chat *c, const struct chat_request *q, const char *variable)
{
    const struct chat_template *t = choose(c, q);
    return t && jinja_mentions(t->jinja, variable);
}

const char *chat_name(const struct chat *c, int i) { return i >= 0 && i < c->n ? c->t[i].name : NULL; }

int chat_encode(const struct tok *t, const struct jinja_text *prompt, struct tok_ids *out, struct err *err)
{
    return tok_encode_marked(t, prompt->text.data, prompt->input.data, prompt->text.len, TOK_SPECIALS, out, err);
}

/* ---- trying a template ---- */

#define MARK "qzprobeqz"

static int count(const char *s, const char *word)
{
    int n = 0;
    for (; (s = strstr(s, word)); s += strlen(word))
        n++;
    return n;
}

/* What the template makes of the messages, which are taken: 1 and the text, 0 when it refuses, a code without memory. */
static int try(const struct chat *c, const struct chat_template *t, json_t *messages, json_t *tools, struct jinja_text *out, struct err *err)
{
    struct err refused;
    const struct chat_request q = { .tools = tools };
    buf_clear(&out->text);
    buf_clear(&out->input);
    const int rc = messages ? render(c, t, &q, messages, out, &refused) : ERR_NOMEM;
    json_decref(messages);
    json_decref(tools);
    return rc == ERR_NOMEM ? no_memory(err) : rc == 0;
}

static json_t *message(const char *role, const char *content) { return json_pack("{s:s, s:s}", "role", role, "content", content); }

static json_t *probe_tools(void)
{
    return json_pack("[{s:s, s:{s:s, s:s, s:{s:s, s:{s:{s:s, s:s}}, s:[s]}}}]", "type", "function", "function", "name", "lookup", "description", "Looks up.", "parameters",
                     "type", "object", "properties", "key", "type", "string", "description", "Key.", "required", "key");
}

/* user, assistant with a call, result; content and arguments in one of their forms. */
static json_t *probe_calls(enum chat_call content, bool text, const char *id, const char *user)
{
    json_t *arguments = text ? json_string("{\"key\": \"" MARK "\"}") : json_pack("{s:s}", "key", MARK);
    json_t *call = json_pack("{s:s, s:s, s:[{s:s, s:s, s:{s:s, s:o}}]}", "role", "assistant", "content", "", "tool_calls", "id", id, "type", "function", "function",
                             "name", "lookup", "arguments", arguments);
    if (content == CHAT_CALL_NULL)
        json_object_set_new(call, "content", json_null());
    if (content == CHAT_CALL_ABSENT)
        json_object_del(call, "content");
    return json_pack("[o, o, {s:s, s:s, s:s, s:s}]", message("user", user), call, "role", "tool", "name", "lookup", "tool_call_id", id, "content", "found");
}

/* The argument stands there once, neither escaped twice nor as Python writes it, and no None in place of the content. */
static bool call_survived(const char *text)
{
    return count(text, MARK) == 1 && !strstr(text, "\\\"" MARK) && !strstr(text, "'" MARK "'") && !strstr(text, "None");
}

static int try_calls(const struct chat *c, struct chat_template *t, struct jinja_text *out, struct err *err)
{
    static const struct { enum chat_call content; bool text; } ways[] = {
        { CHAT_CALL_EMPTY, false }, { CHAT_CALL_NULL, false }, { CHAT_CALL_ABSENT, false },
        { CHAT_CALL_EMPTY, true }, { CHAT_CALL_NULL, true }, { CHAT_CALL_ABSENT, true },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int rc = try(c, t, probe_calls(ways[i].content, ways[i].text, "abcDEF123", "hello"), probe_tools(), out, err);
        TRY(rc);
        if (!rc || !call_survived(out->text.data))
            continue;
        t->wants.call = ways[i].content, t->wants.arguments_text = ways[i].text;
        t->wants.form = chat_form_of(out->text.data, "lookup", MARK, &t->opening, &t->wants.parameters);
        TRY(rc = try(c, t, probe_calls(ways[i].content, ways[i].text, "call_0123456789", "hello"), probe_tools(), out, err));
        t->wants.short_ids = !rc;
        return 0;
    }
    static const char *const known[] = { "tools", "functions", "tool_calls" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (jinja_mentions(t->jinja, known[i]))
            t->wants.form = CHAT_FORM_OTHER;     /* but not as the API has them */
    return 0;
}

/* Without tools or, where the template refuses that, with them: whether MARK stands there once. */
static int try_mark(const struct chat *c, const struct chat_template *t, json_t *messages, struct jinja_text *out, struct err *err)
{
    int rc = try(c, t, json_incref(messages), NULL, out, err);
    if (!rc)
        rc = try(c, t, messages, probe_tools(), out, err);
    else
        json_decref(messages);
    TRY(rc);
    return rc && count(out->text.data, MARK) == 1;
}

static json_t *one_message(const struct chat_template *t)
{
    return t->wants.parts ? json_pack("[{s:s, s:[{s:s, s:s}]}]", "role", "user", "content", "type", "text", "text", MARK) : json_pack("[o]", message("user", MARK));
}

/* What a template puts behind the messages to ask for an answer; where that is nothing, all that it puts behind a user's words
 * ("[/INST]"). */
static int find_opening(const struct chat *c, struct chat_template *t, struct jinja_text *out, struct err *err)
{
    struct err refused;
    const struct chat_request q = { .no_generation_prompt = true };
    struct jinja_text without;
    int rc = try(c, t, one_message(t), NULL, out, err);
    if (rc <= 0)
        return rc;
    json_t *messages = one_message(t);
    jinja_text_init(&without);
    rc = messages ? render(c, t, &q, messages, &without, &refused) : ERR_NOMEM;
    const char *said = strstr(out->text.data, MARK);
    size_t n = without.text.len;
    if (out->text.len <= n || memcmp(out->text.data, without.text.data, n))
        n = said ? (size_t)(said - out->text.data) + strlen(MARK) : out->text.len;
    if (!rc)
        rc = buf_add(&t->opening, out->text.data + n, out->text.len - n, &refused);
    jinja_text_release(&without);
    json_decref(messages);
    return rc == ERR_NOMEM ? no_memory(err) : 0;
}

static int probe_all(const struct chat *c, struct chat_template *t, struct jinja_text *out, struct err *err)
{
    struct chat_wants *w = &t->wants;
    int text, parts, system;
    TRY(text = try_mark(c, t, json_pack("[o]", message("user", MARK)), out, err));
    TRY(parts = try_mark(c, t, json_pack("[{s:s, s:[{s:s, s:s}]}]", "role", "user", "content", "type", "text", "text", MARK), out, err));
    parts = parts && !strstr(out->text.data, "'text'") && !strstr(out->text.data, "\"text\"");
    w->parts = parts && !text, w->takes_parts = parts;
    TRY(system = try_mark(c, t, json_pack("[o, o]", message("system", MARK), message("user", "hello")), out, err));
    w->system = system || w->parts;
    w->developer = jinja_mentions(t->jinja, "developer");
    TRY(find_opening(c, t, out, err));
    return try_calls(c, t, out, err);
}

static int probe(const struct chat *c, struct chat_template *t, struct err *err)
{
    struct jinja_text out;
    jinja_text_init(&out);
    const int rc = probe_all(c, t, &out, err);
    jinja_text_release(&out);
    return rc;
}

/* ---- loading ---- */

static int add_template(struct chat *c, const struct chat_source *s, struct err *err)
{
    if (c->n == CHAT_TEMPLATES_MAX)
        return ERR(err, RANGE, "more than %d chat templates", CHAT_TEMPLATES_MAX);
    if (find(c, s->name))
        return ERR(err, FORMAT, "two chat templates have the name '%s'", s->name);
    struct chat_template *t = &c->t[c->n];
    char name[100];
    snprintf(name, sizeof name, "chat template%s%.60s", strcmp(s->name, "default") ? " " : "", strcmp(s->name, "default") ? s->name : "");
    TRY(jinja_parse(&t->jinja, s->text, s->n, name, err));
    buf_init(&t->opening);
    t->wants.channels = memmem(s->text, s->n, "<|channel|>", 11) && memmem(s->text, s->n, "<|message|>", 11);
    t->wants.thinks = t->wants.channels || (memmem(s->text, s->n, "<think>", 7) && memmem(s->text, s->n, "</think>", 8));
    c->n++;
    if (!(t->name = mem_strdup(s->name)))
        return ERR(err, NOMEM, "no memory for a chat template");
    const int rc = probe(c, t, err);
    if (t->wants.channels && t->wants.form == CHAT_FORM_NONE)
        t->wants.form = CHAT_FORM_OTHER;         /* it cannot be told of calls in words: there is no room for them beside channels */
    return rc;
}

int chat_new(struct chat **out, const struct chat_source *src, int n, const json_t *tokens, struct err *err)
{
    struct chat *c = mem_alloc_zero(sizeof *c);
    *out = NULL;
    if (!c)
        return ERR(err, NOMEM, "no memory for the chat templates");
    const uint64_t refused = mem_json_refused();
    c->tokens = json_incref((json_t *)(uintptr_t)tokens);
    int rc = n > 0 ? 0 : ERR(err, NOTFOUND, "the model has no chat template");
    for (int i = 0; i < n && !rc; i++)
        rc = add_template(c, &src[i], err);
    if (mem_json_refused() != refused)
        rc = ERR(err, NOMEM, "no memory to try the chat templates");
    if (rc < 0) {
        chat_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void chat_free(struct chat *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++) {
        jinja_free(c->t[i].jinja);
        mem_free(c->t[i].name);
        buf_release(&c->t[i].opening);
    }
    json_decref(c->tokens);
    mem_free(c);
}

/* Sets tokens[key] for each *_token of the object: a string, or an object with the string as content. */
static int take_tokens(const json_t *config, json_t *tokens, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, key, value) {
        const size_t n = strlen(key);
        json_t *s = json_is_object(value) ? json_object_get(value, "content") : value;
        if (n > 6 && !strcmp(key + n - 6, "_token") && json_is_string(s) && !json_object_get(tokens, key) && json_object_set(tokens, key, s))
            return ERR(err, NOMEM, "no memory for the special tokens");
    }
    return 0;
}

struct chat_files {
    const char *path;
    bool templates;
    struct gguf *g;                /* NULL: a folder */
    json_t *config, *map, *tokens;
    struct buf file[CHAT_TEMPLATES_MAX];
    struct chat_source src[CHAT_TEMPLATES_MAX];
    char *name[CHAT_TEMPLATES_MAX];
    int n;
};

static int read_json(struct chat_files *l, const char *name, json_t **out, struct err *err)
{
    char *path = file_join(l->path, name);
    if (!path)
        return ERR(err, NOMEM, "%s: no memory to read it", name);
    const int rc = file_exists(path) ? tree_load(out, path, CONFIG_MAX, err) : 0;
    mem_free(path);
    return rc;
}

/* A template file; name is taken. */
static int read_template(struct chat_files *l, const char *folder, const char *file, char *name, struct err *err)
{
    char *path = file_join(folder, file);
    if (!path || !name || l->n == CHAT_TEMPLATES_MAX) {
        mem_free(path);
        mem_free(name);
        return l->n == CHAT_TEMPLATES_MAX ? ERR(err, RANGE, "%s: more than %d chat templates", folder, CHAT_TEMPLATES_MAX) : ERR(err, NOMEM, "%s: no memory to read it", file);
    }
    l->name[l->n] = name;
    struct buf *b = &l->file[l->n++];
    const int rc = file_read(path, JINJA_TEXT_MAX, b, err);
    l->src[l->n - 1] = (struct chat_source){ name, b->data, b->len };
    mem_free(path);
    return rc;
}

static int read_more_templates(struct chat_files *l, struct err *err)
{
    char *dir = file_join(l->path, "additional_chat_templates"), **names;
    int n, rc = 0;
    if (!dir)
        return ERR(err, NOMEM, "no memory for the chat templates");
    if (file_is_dir(dir) && !(rc = file_list(dir, &names, &n, err))) {
        for (int i = 0; i < n && !rc; i++) {
            const size_t len = strlen(names[i]);
            if (len <= 6 || strcmp(names[i] + len - 6, ".jinja"))
                continue;
            char *name = mem_strdup(names[i]);
            if (name)
                name[len - 6] = 0;
            rc = read_template(l, dir, names[i], name, err);
        }
        file_list_free(names, n);
    }
    mem_free(dir);
    return rc;
}

static int templates_of_config(struct chat_files *l, struct err *err)
{
    const json_t *t = json_object_get(l->config, "chat_template");
    size_t i;
    json_t *item;
    if (json_is_string(t))
        l->src[l->n++] = (struct chat_source){ "default", json_string_value(t), json_string_length(t) };
    else if (t && !json_is_array(t) && !json_is_null(t))
        return ERR(err, FORMAT, "tokenizer_config.json: chat_template is neither a string nor a list of {name, template}");
    json_array_foreach((json_t *)(uintptr_t)t, i, item) {
        const json_t *name = json_object_get(item, "name"), *text = json_object_get(item, "template");
        if (!json_is_string(name) || !json_is_string(text))
            return ERR(err, FORMAT, "tokenizer_config.json: chat_template[%zu] is no {name, template}", i);
        if (l->n == CHAT_TEMPLATES_MAX)
            return ERR(err, RANGE, "tokenizer_config.json: more than %d chat templates", CHAT_TEMPLATES_MAX);
        l->src[l->n++] = (struct chat_source){ json_string_value(name), json_string_value(text), json_string_length(text) };
    }
    return 0;
}

static int read_folder(struct chat_files *l, struct err *err)
{
    TRY(read_json(l, "tokenizer_config.json", &l->config, err));
    TRY(read_json(l, "special_tokens_map.json", &l->map, err));
    TRY(take_tokens(l->config, l->tokens, err));
    TRY(take_tokens(l->map, l->tokens, err));
    if (!l->templates)
        return 0;
    char *path = file_join(l->path, "chat_template.jinja");
    if (!path)
        return ERR(err, NOMEM, "no memory for the chat templates");
    const bool own = file_exists(path);
    mem_free(path);
    if (own)
        TRY(read_template(l, l->path, "chat_template.jinja", mem_strdup("default"), err));
    TRY(read_more_templates(l, err));
    return l->n ? 0 : templates_of_config(l, err);
}

static int gguf_token(const struct gguf *g, const char *key, const char *name, json_t *tokens, struct err *err)
{
    const struct gguf_pair *words;
    int64_t id = -1;
    TRY(gguf_get_int(g, key, -1, INT32_MAX, &id, err));
    TRY(gguf_get_strs(g, "tokenizer.ggml.tokens", &words, err));
    if (id < 0 || !gguf_find(g, "tokenizer.ggml.tokens") || id >= words->n)
        return 0;
    const struct gguf_str s = gguf_str_at(words, id);
    return json_object_set_new(tokens, name, json_stringn(s.p, s.n)) ? ERR(err, FORMAT, "%s: token %lld is not UTF-8", key, (long long)id) : 0;
}

/* tokenizer.chat_template, and those of other names behind a dot. */
static int gguf_templates(const struct gguf *g, struct chat_files *l, struct err *err)
{
    static const char prefix[] = "tokenizer.chat_template";
    for (int i = 0; i < gguf_n_pair(g); i++) {
        const struct gguf_pair *p = gguf_pair(g, i);
        const char *name = p->key + sizeof prefix - 1;
        if (strncmp(p->key, prefix, sizeof prefix - 1) || (*name && *name != '.') || p->is_array || p->kind != GGUF_STR)
            continue;
        if (l->n == CHAT_TEMPLATES_MAX)
            return ERR(err, RANGE, "more than %d chat templates", CHAT_TEMPLATES_MAX);
        l->src[l->n++] = (struct chat_source){ *name ? name + 1 : "default", p->data, p->n_byte };
    }
    return 0;
}

static int read_gguf(struct chat_files *l, struct err *err)
{
    static const struct { const char *key, *name; } tokens[] = {
        { "tokenizer.ggml.bos_token_id", "bos_token" }, { "tokenizer.ggml.eos_token_id", "eos_token" }, { "tokenizer.ggml.unknown_token_id", "unk_token" },
        { "tokenizer.ggml.padding_token_id", "pad_token" }, { "tokenizer.ggml.seperator_token_id", "sep_token" },
    };
    TRY(gguf_open(&l->g, l->path, err));
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        TRY(gguf_token(l->g, tokens[i].key, tokens[i].name, l->tokens, err));
    return l->templates ? gguf_templates(l->g, l, err) : 0;
}

int chat_files_open(struct chat_files **out, const char *path, bool templates, struct err *err)
{
    struct chat_files *l = mem_alloc_zero(sizeof *l);
    *out = NULL;
    if (!l)
        return ERR(err, NOMEM, "no memory for the chat templates");
    l->path = path, l->templates = templates;
    for (int i = 0; i < CHAT_TEMPLATES_MAX; i++)
        buf_init(&l->file[i]);
    int rc = (l->tokens = json_object()) ? 0 : ERR(err, NOMEM, "no memory for the special tokens");
    if (!rc)
        rc = (file_exists(path) && !file_is_dir(path) ? read_gguf : read_folder)(l, err);
    if (rc < 0) {
        err_context(err, "%s", path);
        chat_files_close(l);
        return rc;
    }
    *out = l;
    return 0;
}

void chat_files_close(struct chat_files *l)
{
    if (!l)
        return;
    for (int i = 0; i < CHAT_TEMPLATES_MAX; i++) {
        buf_release(&l->file[i]);
        mem_free(l->name[i]);
    }
    json_decref(l->config);
    json_decref(l->map);
    json_decref(l->tokens);
    gguf_free(l->g);
    mem_free(l);
}

const struct chat_source *chat_files_template(const struct chat_files *l, int i) { return i < l->n ? &l->src[i] : NULL; }
const json_t *chat_files_tokens(const struct chat_files *l) { return l->tokens; }

int chat_load(struct chat **out, const char *path, const struct chat_source *instead, struct err *err)
{
    struct chat_files *l;
    *out = NULL;
    TRY(chat_files_open(&l, path, !instead, err));
    int rc = instead || l->n ? 0 : ERR(err, NOTFOUND, l->g ? "no chat template (tokenizer.chat_template)" : "no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)");
    if (!rc)
        rc = instead ? chat_new(out, instead, 1, l->tokens, err) : chat_new(out, l->src, l->n, l->tokens, err);
    if (rc < 0)
        err_context(err, "%s", path);
    chat_files_close(l);
    return rc;
}
