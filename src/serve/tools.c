#include "serve/tools.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "serve/constraint.h"
#include "serve/json_out.h"

/* ---- fields ---- */

bool tools_is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '-' || s[i] == '.'))
            return false;
    return n && n <= TOOLS_NAME;
}

static const struct reply_tool *find(const struct tools *t, const char *name)
{
    for (int i = 0; i < t->n_tool; i++)
        if (!strcmp(t->tool[i].name, name))
            return &t->tool[i];
    return NULL;
}

static void read_function(struct tools *t, const json_t *o, int i, struct refusal *e)
{
    struct in f;
    const char *name = NULL;
    size_t n = 0;
    struct reply_tool *tool = &t->tool[t->n_tool];
    in_begin(&f, o, e, "tools[%d].function", i);
    if (!in_str(&f, "name", &name, &n) && !e->status)
        refuse(e, f.path, "%s has no name", f.path);
    in_pass_texts(&f, "description");
    in_object(&f, "parameters", &tool->parameters);
    in_bool(&f, "strict", &tool->strict);
    in_end(&f, NULL);
    if (e->status)
        return;
    snprintf(t->where[t->n_tool], sizeof *t->where, "tools[%d].function.parameters", i);
    if (!tools_is_name(name, n))
        refuse(e, f.path, "%s.name is '%.80s', expected 1 to %d letters, digits, _, - and .", f.path, name, TOOLS_NAME);
    else if (find(t, name))
        refuse(e, f.path, "two tools have the name '%s'", name);
    tool->name = name, tool->where = t->where[t->n_tool];
    t->n_tool++;
}

static void read_tools(struct tools *t, const json_t *list, struct refusal *e)
{
    const size_t n = json_array_size(list);
    if (n > TOOLS_MAX) {
        refuse(e, "tools", "%zu tools, expected at most %d", n, TOOLS_MAX);
        return;
    }
    t->tool = mem_alloc_zero((n + 1) * sizeof *t->tool);
    t->where = mem_alloc_array(n + 1, sizeof *t->where);
    if (!t->tool || !t->where) {
        wish_no_memory(e);
        return;
    }
    for (size_t i = 0; i < n && !e->status; i++) {
        struct in f;
        const json_t *function = NULL;
        in_begin(&f, json_array_get(list, i), e, "tools[%zu]", i);
        if (!in_choice(&f, "type", "function", &(int){ 0 }) && !e->status)
            refuse(e, f.path, "%s has no type", f.path);
        if (!in_object(&f, "function", &function) && !e->status)
            refuse(e, f.path, "%s has no function", f.path);
        in_end(&f, NULL);
        if (!e->status)
            read_function(t, function, (int)i, e);
    }
    t->list = n ? list : NULL;
}

/* {"type": "function", "function": {"name"}}; the name, NULL after an error. */
static const char *named(const json_t *o, const char *path, struct refusal *e)
{
    struct in f, g;
    const json_t *function = NULL;
    const char *name = NULL;
    in_begin(&f, o, e, "%s", path);
    in_choice(&f, "type", "function", &(int){ 0 });
    if (!in_object(&f, "function", &function) && !e->status)
        refuse(e, path, "%s has no function", path);
    in_end(&f, NULL);
    if (e->status)
        return NULL;
    in_begin(&g, function, e, "%s.function", path);
    if (!in_str(&g, "name", &name, NULL) && !e->status)
        refuse(e, g.path, "%s has no name", g.path);
    in_end(&g, NULL);
    return e->status ? NULL : name;
}

/* Only those of the names may be called. */
static void keep(struct tools *t, const char *const *name, size_t n, struct refusal *e)
{
    int kept = 0;
    for (size_t k = 0; k < n; k++)
        if (!find(t, name[k]))
            refuse(e, "tool_choice", "tool_choice names '%.80s', which is not among the tools", name[k]);
    for (int i = 0; i < t->n_tool; i++)
        for (size_t k = 0; k < n; k++)
            if (!strcmp(t->tool[i].name, name[k])) {
                t->tool[kept++] = t->tool[i];
                break;
            }
    t->n_tool = kept;
}

static void read_allowed(struct tools *t, const json_t *o, struct refusal *e)
{
    struct in f;
    const json_t *list = NULL;
    const char *name[TOOLS_MAX];
    size_t n = 0;
    int mode = 0;
    in_begin(&f, o, e, "tool_choice.allowed_tools");
    in_choice(&f, "mode", "auto|required", &mode);
    if (!in_array(&f, "tools", &list) && !e->status)
        refuse(e, f.path, "%s has no tools", f.path);
    in_end(&f, NULL);
    if (json_array_size(list) > TOOLS_MAX)
        refuse(e, f.path, "%s has more than %d tools", f.path, TOOLS_MAX);
    for (; n < json_array_size(list) && !e->status; n++)
        name[n] = named(json_array_get(list, n), "tool_choice.allowed_tools.tools[]", e);
    if (!n)
        refuse(e, f.path, "%s.tools names no tool", f.path);
    if (!e->status)
        keep(t, name, n, e);
    t->must = mode == 1;
}

static void read_choice(struct tools *t, const json_t *v, struct refusal *e)
{
    static const char words[] = "none|auto|required";
    const char *s = in_word(v);
    if (s && !strcmp(s, "none")) {
        t->n_tool = 0, t->list = NULL;
        return;
    }
    if (!t->list && !(s && !strcmp(s, "auto"))) {
        refuse(e, "tool_choice", "tool_choice without tools");
    } else if (s) {
        t->must = !strcmp(s, "required");
        if (!t->must && strcmp(s, "auto"))
            refuse(e, "tool_choice", "tool_choice is '%.60s', expected one of %s or an object", s, words);
    } else if (!json_is_object(v)) {
        refuse(e, "tool_choice", "tool_choice is neither one of %s nor an object", words);
    } else if (json_object_get(v, "allowed_tools")) {
        struct in f;
        const json_t *allowed = NULL;
        in_begin(&f, v, e, "tool_choice");
        in_choice(&f, "type", "allowed_tools", &(int){ 0 });
        if (in_object(&f, "allowed_tools", &allowed))
            read_allowed(t, allowed, e);
        in_end(&f, NULL);
    } else {
        const char *const name = named(v, "tool_choice", e);
        if (name)
            keep(t, &name, 1, e);
        t->must = t->one = true;
    }
}

/* What templates call it: the effort by its word, and thinking off where there is to be none. */
static void read_effort(struct tools *t, struct in *f)
{
    static const char words[] = "none|minimal|low|medium|high|xhigh";
    static const char *const word[] = { "none", "minimal", "low", "medium", "high", "xhigh" };
    const json_t *given = NULL;
    int effort = -1;
    in_object(f, "chat_template_kwargs", &given);
    in_choice(f, "reasoning_effort", words, &effort);
    t->variables = given ? json_copy((json_t *)(uintptr_t)given) : effort >= 0 ? json_object() : NULL;
    bool ok = t->variables || (!given && effort < 0);
    if (effort >= 0 && ok && !json_object_get(given, "reasoning_effort"))
        ok = !json_object_set_new(t->variables, "reasoning_effort", json_string(word[effort]));
    if (effort == 0 && ok && !json_object_get(given, "enable_thinking"))
        ok = !json_object_set_new(t->variables, "enable_thinking", json_false());
    if (!ok)
        wish_no_memory(f->e);
}

void tools_read(struct tools *t, struct in *f)
{
    const json_t *v = NULL;
    bool many = true;
    *t = (struct tools){ 0 };
    if (in_array(f, "tools", &v))
        read_tools(t, v, f->e);
    if (in_any(f, "tool_choice", &v) && !f->e->status)
        read_choice(t, v, f->e);
    in_bool(f, "parallel_tool_calls", &many);
    t->one = t->one || !many;
    read_effort(t, f);
}

void tools_release(struct tools *t)
{
    mem_free(t->tool);
    mem_free(t->where);
    json_decref(t->variables);
    *t = (struct tools){ 0 };
}

void tools_check_calls(const json_t *calls, const char *path, bool objects, struct refusal *e)
{
    for (size_t i = 0; i < json_array_size(calls) && !e->status; i++) {
        struct in f, g;
        const json_t *function = NULL, *v = NULL;
        const char *s = NULL;
        size_t n;
        in_begin(&f, json_array_get(calls, i), e, "%s.tool_calls[%zu]", path, i);
        in_pass_texts(&f, "id");
        in_pass(&f, "index");
        in_choice(&f, "type", "function", &(int){ 0 });
        if (!in_object(&f, "function", &function) && !e->status)
            refuse(e, f.path, "%s has no function", f.path);
        in_end(&f, NULL);
        if (e->status)
            return;
        in_begin(&g, function, e, "%s.function", f.path);
        if (!in_str(&g, "name", &s, NULL) && !e->status)
            refuse(e, g.path, "%s has no name", g.path);
        if (!(objects ? in_object(&g, "arguments", &v) : in_str(&g, "arguments", &s, &n)) && !e->status)
            refuse(e, g.path, "%s has no arguments", g.path);
        if (objects)
            in_pass(&g, "index|description");
        in_end(&g, NULL);
    }
}

/* ---- what the template knows ---- */

void tools_check(const struct tools *t, const struct served_model *s, const struct chat_request *c, struct refusal *e)
{
    const struct chat_wants *w = s->chat ? chat_wants_for(s->chat, c) : NULL;
    const char *effort = json_string_value(json_object_get(t->variables, "reasoning_effort"));
    if (!w || e->status)
        return;
    if (t->n_tool && w->form == CHAT_FORM_OTHER)
        refuse(e, "tools", "the model's chat template writes calls of tools in a form that is not known here");
    if (effort && strcmp(effort, "none") && !chat_knows(s->chat, c, "reasoning_effort") && !chat_knows(s->chat, c, "enable_thinking"))
        refuse(e, "reasoning_effort", "the model's chat template knows neither reasoning_effort nor enable_thinking");
}

/* ---- grammar and form ---- */

static int name_tools(struct buf *b, const struct tools *t, const struct reply_form *form, const struct wish *w, struct err *err)
{
    TRY(buf_printf(b, err, "reply %d %d %s %d %d\n", form->thinking, form->calls, form->arguments, t->must, t->one));
    for (int i = 0; i < t->n_tool; i++) {
        TRY(buf_printf(b, err, "%s %d ", t->tool[i].name, t->tool[i].strict));
        TRY(t->tool[i].parameters ? out_json(b, t->tool[i].parameters, err) : 0);
        TRY(buf_add_char(b, '\n', err));
    }
    return w->schema ? out_json(b, w->schema, err) : 0;
}

static void make_grammar(const struct tools *t, struct wish *w, const struct reply_form *form, struct refusal *e)
{
    const struct reply_wish r = { .form = *form, .tool = t->tool, .n_tool = t->n_tool, .must_call = t->must, .one_call = t->one, .schema = w->schema, .where = w->schema_where };
    struct buf name;
    struct err err;
    buf_init(&name);
    int rc = name_tools(&name, t, form, w, &err);
    if (!rc) {
        wish_name_grammar(w, "reply", name.data, name.len, e);
        rc = e->status ? 0 : reply_grammar(&w->grammar, &r, &err);
    }
    w->answer.grammar = w->grammar;
    const bool of_schema = rc < 0 && w->schema && (!t->n_tool || !strncmp(err.msg, w->schema_where, strlen(w->schema_where)));
    if (rc < 0)
        refuse_as(e, rc == ERR_NOMEM ? 503 : 400, NULL, NULL, of_schema ? w->schema_where : "tools", "%s", err.msg);
    buf_release(&name);
}

void tools_finish(const struct tools *t, struct wish *w, const struct served_model *s, const struct chat_request *c, struct refusal *e)
{
    const struct chat_wants *wants = chat_wants_for(s->chat, c);
    struct reply_form form = { .thinking = w->thinking, .calls = CHAT_FORM_NONE, .arguments = wants->parameters ? "parameters" : "arguments" };
    form.json = t->n_tool && w->schema;
    if (t->n_tool)
        form.calls = wants->form == CHAT_FORM_NONE ? CHAT_FORM_TAGGED : wants->form;
    if (t->n_tool && w->grammar && !w->schema)
        refuse(e, "tools", "tools beside a regex, a choice or a grammar that says what the answer is");
    else if (t->n_tool && w->schema && form.calls == CHAT_FORM_BARE)
        refuse(e, "response_format", "response_format beside tools: this model's calls and JSON cannot be told apart");
    if (e->status)
        return;
    if (t->n_tool || (w->schema && form.thinking != REPLY_NO_THOUGHTS))
        make_grammar(t, w, &form, e);
    w->reads_reply = form.calls != CHAT_FORM_NONE || form.thinking != REPLY_NO_THOUGHTS;
    w->form = form, w->answer.keep_marks = w->reads_reply;
}
