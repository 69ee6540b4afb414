#include "data/record.h"
#include <string.h>
#include "base/mem.h"
#include "base/opt.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a record"); }

/* ---- members ---- */

static const char *const field_names[N_FIELD] = { "text", "messages", "tools", "prompt", "completion", "chosen", "rejected" };

int record_fields_parse(struct record_fields *f, const char *text, struct err *err) { return fields_parse(f->name, field_names, N_FIELD, text, err); }

unsigned record_members(const struct record_fields *f, const json_t *o)
{
    unsigned has = 0;
    for (int i = 0; i < N_FIELD; i++)
        has |= (unsigned)(json_object_get(o, f->name[i]) != NULL) << i;
    return has | (unsigned)json_is_array(json_object_get(o, RECORD_CONVERSATIONS)) << FIELD_MESSAGES;
}

enum data_form record_form(unsigned has)
{
    static const struct { enum data_form form; unsigned needs; } forms[] = {
        { FORM_CHAT, 1u << FIELD_MESSAGES },
        { FORM_PREFERENCE, 1u << FIELD_CHOSEN | 1u << FIELD_REJECTED },
        { FORM_COMPLETION, 1u << FIELD_PROMPT | 1u << FIELD_COMPLETION },
        { FORM_TEXT, 1u << FIELD_TEXT },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if ((has & forms[i].needs) == forms[i].needs)
            return forms[i].form;
    return FORM_AUTO;
}

void record_init(struct record *r)
{
    *r = (struct record){ 0 };
    for (int i = 0; i < 2; i++) {
        jinja_text_init(&r->side[i].text);
        buf_init(&r->side[i].learn);
    }
}

void record_release(struct record *r)
{
    for (int i = 0; i < 2; i++) {
        jinja_text_release(&r->side[i].text);
        buf_release(&r->side[i].learn);
    }
}

/* ---- from members to text ---- */

struct maker { const json_t *o; const struct record_fields *f; const struct chat *chat; };

static const json_t *member(const struct maker *m, enum record_field i) { return json_object_get(m->o, m->f->name[i]); }

static struct record_side *add_side(struct record *r, bool chat)
{
    struct record_side *s = &r->side[r->n_side++];
    buf_clear(&s->text.text), buf_clear(&s->text.input), buf_clear(&s->learn);
    s->chat = chat;
    return s;
}

/* Text as a user wrote it, learned or not. */
static int add_text(struct record_side *s, const json_t *text, bool learn, struct err *err)
{
    const size_t n = json_string_length(text);
    TRY(buf_add(&s->text.text, json_string_value(text), n, err));
    TRY(buf_reserve(&s->text.input, n, err));
    TRY(buf_reserve(&s->learn, n, err));
    memset(s->text.input.data + s->text.input.len, 1, n);
    memset(s->learn.data + s->learn.len, learn ? CHAT_LEARN : 0, n);
    s->text.input.len += n, s->learn.len += n;
    return 0;
}

static int check_string(const struct maker *m, enum record_field i, bool may_be_empty, struct err *err)
{
    const json_t *v = member(m, i);
    if (!json_is_string(v))
        return ERR(err, FORMAT, "\"%s\" is %s, expected a string", m->f->name[i], v ? "no string" : "missing");
    if (!may_be_empty && !json_string_length(v))
        return ERR(err, FORMAT, "\"%s\" is empty: there is nothing to learn", m->f->name[i]);
    return 0;
}

static int check_messages(const char *name, const json_t *list, struct err *err)
{
    static const char *const roles[] = { "system", "developer", "user", "assistant", "tool", "function" };
    const int n_role = sizeof roles / sizeof *roles;
    if (!json_is_array(list) || !json_array_size(list))
        return ERR(err, FORMAT, "\"%s\" is %s, expected a list of messages", name, !list ? "missing" : json_is_array(list) ? "an empty list" : "no list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *role = json_string_value(json_object_get(json_array_get(list, i), "role"));
        int k = 0;
        while (role && k < n_role && strcmp(role, roles[k]))
            k++;
        const char *near = role && k == n_role ? word_nearest(role, roles, n_role) : NULL;
        if (!role)
            return ERR(err, FORMAT, "%s[%zu].role is missing", name, i);
        if (k == n_role)
            return near ? ERR(err, FORMAT, "%s[%zu].role is '%.40s'; did you mean '%s'?", name, i, role, near)
                        : ERR(err, FORMAT, "%s[%zu].role is '%.40s', expected system, developer, user, assistant, tool or function", name, i, role);
    }
    return 0;
}

/* Whether an assistant says something in messages from .. on. */
static bool has_answer(const json_t *list, size_t from)
{
    for (size_t i = from; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        const char *role = json_string_value(json_object_get(m, "role"));
        if (role && !strcmp(role, "assistant") && (json_string_length(content) || json_array_size(content) || json_array_size(json_object_get(m, "tool_calls"))))
            return true;
    }
    return false;
}

/* A conversation whose last messages, from `from` on, are learned (0: all). */
static int add_chat(struct record *r, const struct maker *m, const json_t *messages, size_t from, struct err *err)
{
    static const struct tm day = { .tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5, .tm_yday = 207 };
    if (!has_answer(messages, from))
        return ERR(err, FORMAT, "no message of an assistant: there is nothing to learn");
    if (!m->chat)
        return ERR(err, USAGE, "messages need a chat template, and the model has none; give one by data.template");
    struct record_side *s = add_side(r, true);
    const struct chat_request q = { .messages = messages, .tools = member(m, FIELD_TOOLS), .now = &day };
    TRY(chat_render_learn(m->chat, &q, from ? json_array_size(messages) - from : 0, &s->text, &s->learn, err));
    if (!memchr(s->learn.data, CHAT_LEARN, s->learn.len))
        return ERR(err, FORMAT, "the chat template writes nothing of what the assistant says");
    return 0;
}

/* Strings are messages of that role. */
static json_t *as_messages(const json_t *v, const char *role)
{
    return json_is_string(v) ? json_pack("[{s:s, s:O}]", "role", role, "content", v) : json_copy((json_t *)(uintptr_t)v);
}

/* prompt (may be NULL), then an answer: each a string or a list of messages. */
static int add_prompt_chat(struct record *r, const struct maker *m, const json_t *prompt, enum record_field answer, size_t from, struct err *err)
{
    json_t *all = prompt ? as_messages(prompt, "user") : json_array(), *more = as_messages(member(m, answer), "assistant");
    int rc = all && more ? 0 : no_memory(err);
    if (!rc && prompt)
        rc = check_messages(m->f->name[FIELD_PROMPT], all, err);
    if (!rc)
        rc = check_messages(m->f->name[answer], more, err);
    if (!rc) {
        from = prompt ? json_array_size(all) : from;
        rc = json_array_extend(all, more) ? no_memory(err) : add_chat(r, m, all, from, err);
    }
    json_decref(all);
    json_decref(more);
    return rc;
}

static int add_prompt_text(struct record *r, const struct maker *m, enum record_field answer, struct err *err)
{
    TRY(check_string(m, FIELD_PROMPT, true, err));
    TRY(check_string(m, answer, false, err));
    struct record_side *s = add_side(r, false);
    TRY(add_text(s, member(m, FIELD_PROMPT), false, err));
    return add_text(s, member(m, answer), true, err);
}

/* How many messages both begin with. */
static size_t common(const json_t *a, const json_t *b)
{
    size_t n = 0;
    while (n < json_array_size(a) && n < json_array_size(b) && json_equal(json_array_get(a, n), json_array_get(b, n)))
        n++;
    return n;
}

static int make_preference(struct record *r, const struct maker *m, struct err *err)
{
    const json_t *prompt = member(m, FIELD_PROMPT), *chosen = member(m, FIELD_CHOSEN), *rejected = member(m, FIELD_REJECTED);
    if (chosen && rejected && json_equal(chosen, rejected))
        return ERR(err, FORMAT, "\"%s\" and \"%s\" are the same", m->f->name[FIELD_CHOSEN], m->f->name[FIELD_REJECTED]);
    const bool chat = json_is_array(prompt) || json_is_array(chosen) || json_is_array(rejected);
    const size_t from = prompt ? 0 : common(chosen, rejected);
    if (chat && !prompt && !from)
        return ERR(err, FORMAT, "\"%s\" is missing, and the two answers do not begin with the same messages", m->f->name[FIELD_PROMPT]);
    static const enum record_field answers[2] = { FIELD_CHOSEN, FIELD_REJECTED };
    for (int i = 0; i < 2; i++)
        TRY(chat ? add_prompt_chat(r, m, prompt, answers[i], from, err) : add_prompt_text(r, m, answers[i], err));
    return 0;
}

/* ShareGPT's message {"from": "human", "value": ..} as {"role": "user", "content": ..}. */
static json_t *as_openai(const json_t *message)
{
    static const char *const roles[][2] = { { "human", "user" }, { "gpt", "assistant" }, { "chatgpt", "assistant" }, { "observation", "tool" } };
    const char *role = json_string_value(json_object_get(message, "from"));
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        role = strcmp(role, roles[i][0]) ? role : roles[i][1];
    return json_pack("{s:s, s:O}", "role", role ? role : "", "content", json_object_get(message, "value"));
}

static int make_chat(struct record *r, const struct maker *m, struct err *err)
{
    const json_t *messages = member(m, FIELD_MESSAGES), *list = messages ? messages : json_object_get(m->o, RECORD_CONVERSATIONS);
    const char *name = messages ? m->f->name[FIELD_MESSAGES] : list ? RECORD_CONVERSATIONS : m->f->name[FIELD_MESSAGES];
    const json_t *first = json_array_get(list, 0);
    if (json_object_get(first, "role") || !json_object_get(first, "from")) {
        TRY(check_messages(name, list, err));
        return add_chat(r, m, list, 0, err);
    }
    json_t *all = json_array();
    int rc = all ? 0 : no_memory(err);
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        if (!json_is_string(json_object_get(json_array_get(list, i), "from")) || !json_is_string(json_object_get(json_array_get(list, i), "value")))
            rc = ERR(err, FORMAT, "%s[%zu] has not the strings from and value", name, i);
        else if (json_array_append_new(all, as_openai(json_array_get(list, i))))
            rc = no_memory(err);
    }
    rc = rc ? rc : check_messages(name, all, err);
    rc = rc ? rc : add_chat(r, m, all, 0, err);
    json_decref(all);
    return rc;
}

int record_make(struct record *r, enum data_form form, const json_t *o, const struct record_fields *f, const struct chat *chat, struct err *err)
{
    const struct maker m = { o, f, chat };
    r->n_side = 0;
    switch (form) {
    case FORM_CHAT:
        return make_chat(r, &m, err);
    case FORM_COMPLETION:
        if (json_is_array(member(&m, FIELD_PROMPT)) || json_is_array(member(&m, FIELD_COMPLETION))) {
            if (!member(&m, FIELD_PROMPT))
                return ERR(err, FORMAT, "\"%s\" is missing", f->name[FIELD_PROMPT]);
            return add_prompt_chat(r, &m, member(&m, FIELD_PROMPT), FIELD_COMPLETION, 0, err);
        }
        return add_prompt_text(r, &m, FIELD_COMPLETION, err);
    case FORM_PREFERENCE:
        return make_preference(r, &m, err);
    default:
        TRY(check_string(&m, FIELD_TEXT, false, err));
        return add_text(add_side(r, false), member(&m, FIELD_TEXT), true, err);
    }
}

/* ---- from text to ids ---- */

static int add_id(struct record_ids *out, int32_t id, bool learn, struct err *err)
{
    if (out->ids.n == out->ids.cap || out->ids.n >= out->cap) {
        const size_t cap = out->ids.n < 64 ? 256 : 2 * out->ids.n;
        int32_t *p = mem_realloc_array(out->ids.id, cap, sizeof *p);
        if (p)
            out->ids.id = p, out->ids.cap = cap;
        uint8_t *l = p ? mem_realloc_array(out->learn, cap, 1) : NULL;
        if (!l)
            return no_memory(err);
        out->learn = l, out->cap = cap;
    }
    out->ids.id[out->ids.n] = id;
    out->learn[out->ids.n++] = learn;
    return 0;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* Bytes of the text at `at` that token id stands for, in *from .. *to.  A tokenizer may put a space in front that is not in the
 * text, and special tokens may swallow white space around them. */
static bool match(const struct tok *tok, int32_t id, const struct buf *text, size_t at, size_t *from, size_t *to)
{
    size_t n;
    const char *s = tok_bytes(tok, id, &n);
    if (!s)
        return false;
    for (*from = at;; ++*from) {
        for (size_t cut = 0; cut <= (n && s[0] == ' '); cut++)
            if (n - cut <= text->len - *from && !memcmp(text->data + *from, s + cut, n - cut)) {
                *to = *from + n - cut;
                return true;
            }
        if (*from == text->len || !is_space(text->data[*from]))
            return false;
    }
}

/* Which of the ids from `first` on are learned: those that a learned byte is of, and behind a turn what the template writes up to
 * the token that ends it. */
static int learn_tokens(struct record_ids *out, size_t first, const struct record_side *s, const struct tok *tok, struct err *err)
{
    const size_t n = s->text.text.len;
    const char *learn = s->learn.data;
    size_t at = 0, tail = SIZE_MAX;
    for (size_t k = first; k < out->ids.n; k++) {
        size_t from, to;
        if (!match(tok, out->ids.id[k], &s->text.text, at, &from, &to))
            return ERR(err, UNSUPPORTED, "the tokenizer changes the text near byte %zu, so what is to be learned cannot be told", at);
        const size_t more = from < n && from == to;          /* a token of no bytes goes with what follows */
        const bool learned = memchr(learn + from, CHAT_LEARN, to - from + more) != NULL;
        out->learn[k] = learned;
        if (memchr(learn + at, CHAT_LEARN_END, to - at))
            tail = learned ? k + 1 : k;
        else if (learned || memchr(s->text.input.data + at, 1, to - at))
            out->n_open += tail != SIZE_MAX, tail = SIZE_MAX;
        if (tail <= k && tok_is_eog(tok, out->ids.id[k])) {
            memset(out->learn + tail, 1, k + 1 - tail);
            tail = SIZE_MAX;
        }
        at = to;
    }
    const bool ends_open = s->chat && n && learn[n - 1] == CHAT_LEARN && !tok_is_eog(tok, out->ids.id[out->ids.n - 1]);
    out->n_open += tail != SIZE_MAX || ends_open;
    while (at < n && is_space(s->text.text.data[at]))
        at++;
    if (at < n)
        return ERR(err, UNSUPPORTED, "the tokenizer leaves out the text from byte %zu on, so what is to be learned cannot be told", at);
    return 0;
}

int record_encode(struct record_ids *out, const struct record_side *s, enum data_form form, const struct tok *tok, struct err *err)
{
    const struct buf *text = &s->text.text;
    const int first = form == FORM_TEXT ? tok_eot(tok) : tok_bos(tok);
    out->ids.n = 0;
    if (!s->chat && first >= 0)
        TRY(add_id(out, first, form == FORM_TEXT, err));
    const size_t before = out->ids.n;
    TRY(s->chat ? chat_encode(tok, &s->text, &out->ids, err) : tok_encode(tok, text->data, text->len, TOK_PLAIN, &out->ids, err));
    if (out->ids.n > out->cap) {
        uint8_t *l = mem_realloc_array(out->learn, out->ids.n, 1);
        if (!l)
            return no_memory(err);
        out->learn = l, out->cap = out->ids.n;
    }
    if (form == FORM_TEXT)
        memset(out->learn + before, 1, out->ids.n - before);
    else
        TRY(learn_tokens(out, before, s, tok, err));
    if (!s->chat && form != FORM_TEXT && tok_eot(tok) >= 0)
        TRY(add_id(out, tok_eot(tok), true, err));
    if (out->ids.n && (form != FORM_TEXT || first < 0))
        out->learn[0] = 0;                           /* nothing comes before it */
    for (size_t i = 0; i < s->learn.len; i++)
        out->n_text += s->learn.data[i] == CHAT_LEARN;
    return 0;
}

void record_ids_release(struct record_ids *ids)
{
    tok_ids_release(&ids->ids);
    mem_free(ids->learn);
    *ids = (struct record_ids){ 0 };
}

/* ---- text as the tokenizer writes it ---- */

static json_t *rewritten(const json_t *v, const struct tok *tok);

static json_t *rewrite_string(const json_t *v, const struct tok *tok)
{
    struct tok_ids ids = { 0 };
    struct buf text;
    struct err ignored;
    buf_init(&text);
    int rc = tok_encode(tok, json_string_value(v), json_string_length(v), TOK_PLAIN, &ids, &ignored);
    if (!rc)
        rc = tok_decode(tok, ids.id, ids.n, &text, &ignored);
    json_t *out = rc ? NULL : json_stringn(text.data, text.len);
    tok_ids_release(&ids);
    buf_release(&text);
    return out;
}

static json_t *rewrite_list(const json_t *v, const struct tok *tok)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < json_array_size(v); i++)
        if (json_array_append_new(out, rewritten(json_array_get(v, i), tok))) {
            json_decref(out);
            return NULL;
        }
    return out;
}

static json_t *rewritten(const json_t *v, const struct tok *tok)
{
    if (json_is_string(v))
        return rewrite_string(v, tok);
    if (json_is_array(v))
        return rewrite_list(v, tok);
    if (!json_is_object(v))
        return json_incref((json_t *)(uintptr_t)v);
    json_t *out = json_object(), *member;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)v, key, member)
        if (out && json_object_set_new(out, key, strcmp(key, "role") && strcmp(key, "from") ? rewritten(member, tok) : json_incref(member))) {
            json_decref(out);
            return NULL;
        }
    return out;
}

int record_rewrite(const json_t *o, const struct tok *tok, json_t **out, struct err *err)
{
    *out = rewritten(o, tok);
    return *out ? 0 : no_memory(err);
}
