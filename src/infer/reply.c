/* reply.c - reads a reply while it comes.
 *
 * What has come and is not told yet is in `held`: a state looks at its beginning, tells what is sure, and leaves what may become
 * something else with the next characters. */
#include "infer/reply.h"
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

#define CALLS_MAX 256
#define NAME_MAX_BYTES 128
#define HEAD_MAX_BYTES 256        /* of a message of a channel */

enum state { START, THOUGHT, BEHIND_THOUGHT, CONTENT_BEGINS, CONTENT, PLAIN, NAME, ARGUMENTS, CALL_END, BEHIND_CALL, CHANNEL_BEGINS, CHANNEL_HEAD, CHANNEL_THOUGHT, CHANNEL_CONTENT };

struct called { char *name; struct buf arguments; bool whole; };
struct reply {
    struct reply_form form;
    enum state state;
    struct buf held, raw;                /* raw: of the call under way, from what announced it */
    bool told;                           /* something of the thoughts, or of the content */
    bool has_thought, has_content;       /* of channels: an earlier message */
    int depth; bool in_string, escaped;  /* of arguments */
    struct called *call; int n_call, cap_call;       /* the last may not be whole */
    struct buf thought, content;         /* where they are kept */
};

int reply_new(struct reply **out, const struct reply_form *f, struct err *err)
{
    struct reply *r = *out = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory for a reply");
    r->form = *f;
    r->state = f->thinking == REPLY_CHANNELS ? CHANNEL_BEGINS : f->thinking == REPLY_THINKS ? THOUGHT : f->thinking == REPLY_MAY_THINK ? START : CONTENT_BEGINS;
    buf_init(&r->held), buf_init(&r->raw), buf_init(&r->thought), buf_init(&r->content);
    return 0;
}

void reply_free(struct reply *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_call; i++) {
        mem_free(r->call[i].name);
        buf_release(&r->call[i].arguments);
    }
    mem_free(r->call);
    buf_release(&r->held), buf_release(&r->raw), buf_release(&r->thought), buf_release(&r->content);
    mem_free(r);
}

/* ---- telling ---- */

static int tell_thought(struct reply *r, size_t n, const struct reply_sink *s)
{
    r->told = r->told || n;
    return !n ? 0 : s ? s->thought(s->ctx, r->held.data, n) : buf_add(&r->thought, r->held.data, n, NULL);
}

static int tell_content(struct reply *r, const char *text, size_t n, const struct reply_sink *s)
{
    return !n ? 0 : s ? s->content(s->ctx, text, n) : buf_add(&r->content, text, n, NULL);
}

static int tell_call(struct reply *r, const char *name, size_t n, const struct reply_sink *s)
{
    if (r->n_call == r->cap_call) {
        const int cap = r->cap_call ? 2 * r->cap_call : 4;
        void *p = mem_realloc_array(r->call, (size_t)cap, sizeof *r->call);
        if (!p)
            return ERR_NOMEM;
        r->call = p, r->cap_call = cap;
    }
    struct called *c = &r->call[r->n_call];
    *c = (struct called){ .name = mem_printf("%.*s", (int)n, name) };
    if (!c->name)
        return ERR_NOMEM;
    buf_init(&c->arguments);
    r->n_call++;
    return s ? s->call(s->ctx, r->n_call - 1, c->name) : 0;
}

static int tell_arguments(struct reply *r, size_t n, const struct reply_sink *s)
{
    return !n ? 0 : s ? s->arguments(s->ctx, r->n_call - 1, r->held.data, n) : buf_add(&r->call[r->n_call - 1].arguments, r->held.data, n, NULL);
}

static void take(struct reply *r, size_t n)
{
    memmove(r->held.data, r->held.data + n, r->held.len - n);
    r->held.len -= n;
    r->held.data[r->held.len] = 0;
}

/* The same of a call, whose text is kept until it is whole. */
static int take_of_call(struct reply *r, size_t n)
{
    TRY(buf_add(&r->raw, r->held.data, n, NULL));
    take(r, n);
    return 0;
}

static bool blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static size_t blanks(const struct reply *r, size_t from)
{
    while (from < r->held.len && blank(r->held.data[from]))
        from++;
    return from;
}

/* 1: the word stands there, 0: it may yet, -1: it does not. */
static int stands(const struct reply *r, size_t at, const char *word)
{
    const size_t n = strlen(word), have = r->held.len - at;
    if (memcmp(r->held.data + at, word, have < n ? have : n))
        return -1;
    return have >= n;
}

/* Bytes in front that cannot belong to the word any more, nor to the blanks before it; found: where it stands. */
static size_t sure(const struct reply *r, const char *word, bool *found)
{
    const char *const at = memmem(r->held.data, r->held.len, word, strlen(word));
    size_t n = r->held.len;
    *found = at != NULL;
    if (at) {
        n = (size_t)(at - r->held.data);
    } else {
        size_t k = strlen(word) - 1;
        for (k = k < n ? k : n; k && memcmp(r->held.data + n - k, word, k); k--)
            ;
        n -= k;
    }
    while (n && blank(r->held.data[n - 1]))
        n--;
    return n;
}

/* ---- states: 1: something has changed, look again; 0: wait for more ---- */

static int start(struct reply *r, bool last)
{
    const size_t at = blanks(r, 0);
    const int is = stands(r, at, "<think>");
    if (!is && !last)
        return 0;
    if (is > 0)
        take(r, at + strlen("<think>"));
    r->state = is > 0 ? THOUGHT : CONTENT_BEGINS;
    return 1;
}

static int thought(struct reply *r, const struct reply_sink *s, bool last)
{
    bool found;
    if (!r->told)
        take(r, blanks(r, 0));
    const size_t n = last && !memmem(r->held.data, r->held.len, "</think>", 8) ? r->held.len : sure(r, "</think>", &found);
    if (n) {
        TRY(tell_thought(r, n, s));
        take(r, n);
    }
    const size_t at = blanks(r, 0);
    if (stands(r, at, "</think>") <= 0)
        return 0;
    take(r, at + strlen("</think>"));
    r->told = false, r->state = BEHIND_THOUGHT;
    return 1;
}

static const char *announces(const struct reply *r) { return r->form.calls == CHAT_FORM_TAGGED ? "<tool_call>" : r->form.calls == CHAT_FORM_LIST || r->form.calls == CHAT_FORM_NAMED ? "[TOOL_CALLS]" : NULL; }

static int content_begins(struct reply *r, bool last)
{
    const char *const word = announces(r);
    const bool bare = r->form.calls == CHAT_FORM_BARE, json = r->form.json && word;
    const int is = bare ? stands(r, 0, "{\"name\"") : json ? stands(r, 0, word) : -1;
    if (!is && !last)
        return 0;
    r->state = bare && is > 0 ? NAME : word && (!json || is > 0) ? CONTENT : PLAIN;
    return 1;
}

static int content(struct reply *r, const struct reply_sink *s, bool last)
{
    const char *const word = announces(r);
    bool found;
    const size_t n = sure(r, word, &found), out = last && !found ? r->held.len : n;
    TRY(tell_content(r, r->held.data, out, s));
    take(r, out);
    if (!found)
        return 0;
    buf_clear(&r->raw);
    TRY(take_of_call(r, blanks(r, 0) + strlen(word)));
    r->state = NAME;
    return 1;
}

/* What has begun as a call is none: it was content, and so is all the rest. */
static int no_call(struct reply *r, const struct reply_sink *s)
{
    TRY(tell_content(r, r->raw.data, r->raw.len, s));
    buf_clear(&r->raw);
    r->state = PLAIN;
    return 1;
}

/* Past blanks and the text; 0: it may yet come; -1: something else stands there. */
static int past(const struct reply *r, size_t *at, const char *text)
{
    *at = blanks(r, *at);
    const int is = stands(r, *at, text);
    if (is > 0)
        *at += strlen(text);
    return is;
}

/* The name up to [ARGS]{. */
static int read_named_head(const struct reply *r, size_t *at, size_t *name, size_t *n)
{
    *name = 0;
    const char *const end = memchr(r->held.data, '[', r->held.len);
    *n = end ? (size_t)(end - r->held.data) : r->held.len;
    if (*n > NAME_MAX_BYTES || (end && !*n))
        return -1;
    const int is = end ? stands(r, *n, "[ARGS]{") : 0;
    *at = *n + strlen("[ARGS]");
    return is;
}

/* {"name": "...", "arguments": up to the value; 1 with where the name is. */
static int read_head(const struct reply *r, size_t *at, size_t *name, size_t *n)
{
    int is;
    *at = 0;
    if (r->form.calls == CHAT_FORM_LIST && memmem(r->raw.data, r->raw.len, "[TOOL_CALLS]", 12) && (is = past(r, at, "[")) <= 0)
        return is;
    if ((is = past(r, at, "{")) <= 0 || (is = past(r, at, "\"name\"")) <= 0 || (is = past(r, at, ":")) <= 0 || (is = past(r, at, "\"")) <= 0)
        return is;
    const char *const close = memchr(r->held.data + *at, '"', r->held.len - *at);
    *name = *at, *n = (close ? (size_t)(close - r->held.data) : r->held.len) - *at;
    if (*n > NAME_MAX_BYTES || memchr(r->held.data + *at, '\\', *n))
        return -1;
    if (!close)
        return 0;
    *at += *n + 1;
    if ((is = past(r, at, ",")) <= 0 || (is = past(r, at, "\"")) <= 0 || (is = stands(r, *at, r->form.arguments)) <= 0)
        return is;
    *at += strlen(r->form.arguments);
    if ((is = past(r, at, "\"")) <= 0 || (is = past(r, at, ":")) <= 0)
        return is;
    *at = blanks(r, *at);
    return stands(r, *at, "{");
}

static int name(struct reply *r, const struct reply_sink *s, bool last)
{
    size_t at, from = 0, n = 0;
    const int is = r->n_call == CALLS_MAX ? -1 : (r->form.calls == CHAT_FORM_NAMED ? read_named_head : read_head)(r, &at, &from, &n);
    if (is < 0 || (!is && last && !announces(r)))
        return no_call(r, s);
    if (!is)                                     /* nothing of one that is cut before its arguments is told */
        return 0;
    TRY(tell_call(r, r->held.data + from, n, s));
    TRY(take_of_call(r, at));
    r->state = ARGUMENTS, r->depth = 0, r->in_string = r->escaped = false;
    return 1;
}

static int arguments(struct reply *r, const struct reply_sink *s)
{
    size_t n = 0;
    bool end = false;
    while (n < r->held.len && !end) {
        const char c = r->held.data[n++];
        if (r->in_string) {
            r->in_string = r->escaped || c != '"';
            r->escaped = !r->escaped && c == '\\';
        } else if (c == '"') {
            r->in_string = true;
        } else if (c == '{' || c == '[') {
            r->depth++;
        } else if (c == '}' || c == ']') {
            end = --r->depth == 0;
        }
    }
    TRY(tell_arguments(r, n, s));
    TRY(take_of_call(r, n));
    r->state = end ? CALL_END : ARGUMENTS;
    return end;
}

static int call_end(struct reply *r, const struct reply_sink *s)
{
    size_t at = 0;
    const int is = r->form.calls == CHAT_FORM_NAMED ? 1 : past(r, &at, "}");
    if (is < 0)
        return no_call(r, s);
    if (!is)
        return 0;
    take(r, at);
    buf_clear(&r->raw);
    r->call[r->n_call - 1].whole = true;
    r->state = BEHIND_CALL;
    return 1;
}

/* The end of one, perhaps the beginning of the next; else content again. */
static int behind_call(struct reply *r, bool last)
{
    const enum chat_form form = r->form.calls;
    size_t at = 0;
    if (form == CHAT_FORM_TAGGED) {
        const int closes = past(r, &at, "</tool_call>"), opens = past(r, &at, "<tool_call>");
        if ((!closes || !opens) && !last)
            return 0;
        if (opens > 0) {
            take(r, at - strlen("<tool_call>"));
            TRY(take_of_call(r, strlen("<tool_call>")));
        } else {
            take(r, closes > 0 ? blanks(r, at) : closes ? 0 : r->held.len);      /* what closes it is cut: nobody's content */
        }
        r->state = opens > 0 ? NAME : CONTENT;
    } else if (form == CHAT_FORM_LIST) {
        const int more = past(r, &at, ",");
        if (!more)
            return 0;
        if (more < 0 && past(r, &at, "]") > 0)
            at = blanks(r, at);
        take(r, at);
        r->state = more > 0 ? NAME : CONTENT;
    } else if (form == CHAT_FORM_NAMED) {
        r->state = CONTENT;
    } else {
        if (blanks(r, 0) == r->held.len && !last)
            return 0;
        take(r, blanks(r, 0));
        r->state = PLAIN;
    }
    return 1;
}

/* ---- channels ---- */

/* A message's head; anything else, also where a message ended, is content. */
static int channel_begins(struct reply *r, bool last)
{
    static const char *const heads[] = { "<|channel|>", "<|start|>", " to=" };
    int is = -1;
    for (size_t i = 0; i < sizeof heads / sizeof *heads && is <= 0; i++) {
        const int it = stands(r, 0, heads[i]);
        is = it > is ? it : is;
    }
    if (!is && !last)
        return 0;
    if (is == 0 && !r->has_thought && !r->has_content)
        is = -1;                                 /* all that there is */
    r->state = is < 0 ? PLAIN : CHANNEL_HEAD;
    return 1;
}

/* [<|start|>assistant][ to=RECIPIENT]<|channel|>NAME[ ...]<|message|>; nothing is told of one that is cut. */
static int channel_head(struct reply *r, const struct reply_sink *s)
{
    static const char message[] = "<|message|>", channel[] = "<|channel|>";
    const char *const end = memmem(r->held.data, r->held.len, message, sizeof message - 1);
    if (!end) {
        r->state = r->held.len > HEAD_MAX_BYTES ? PLAIN : CHANNEL_HEAD;
        return r->state == PLAIN;
    }
    const size_t n = (size_t)(end - r->held.data);
    const char *const name = memmem(r->held.data, n, channel, sizeof channel - 1);
    const bool thinks = name && (size_t)(end - name) >= sizeof channel - 1 + 8 && !memcmp(name + sizeof channel - 1, "analysis", 8);
    bool *const has = thinks ? &r->has_thought : &r->has_content;
    if (*has)
        TRY(thinks ? s ? s->thought(s->ctx, "\n\n", 2) : buf_add(&r->thought, "\n\n", 2, NULL) : tell_content(r, "\n\n", 2, s));
    *has = true;
    take(r, n + sizeof message - 1);
    r->state = thinks ? CHANNEL_THOUGHT : CHANNEL_CONTENT;
    return 1;
}

static int channel_text(struct reply *r, const struct reply_sink *s, bool last)
{
    bool found;
    const size_t n = sure(r, "<|end|>", &found), out = last && !found ? r->held.len : n;
    TRY(r->state == CHANNEL_THOUGHT ? tell_thought(r, out, s) : tell_content(r, r->held.data, out, s));
    take(r, out);
    if (!found)
        return 0;
    take(r, blanks(r, 0) + strlen("<|end|>"));
    r->state = CHANNEL_BEGINS;
    return 1;
}

static int step(struct reply *r, const struct reply_sink *s, bool last)
{
    size_t n;
    switch (r->state) {
    case START: return start(r, last);
    case THOUGHT: return thought(r, s, last);
    case BEHIND_THOUGHT:
        take(r, blanks(r, 0));
        if (!r->held.len)
            return 0;
        r->state = CONTENT_BEGINS;
        return 1;
    case CONTENT_BEGINS: return content_begins(r, last);
    case CONTENT: return content(r, s, last);
    case NAME: return name(r, s, last);
    case ARGUMENTS: return arguments(r, s);
    case CALL_END: return call_end(r, s);
    case BEHIND_CALL: return behind_call(r, last);
    case CHANNEL_BEGINS: return channel_begins(r, last);
    case CHANNEL_HEAD: return channel_head(r, s);
    case CHANNEL_THOUGHT: case CHANNEL_CONTENT: return channel_text(r, s, last);
    default:
        n = r->held.len;
        TRY(tell_content(r, r->held.data, n, s));
        take(r, n);
        return 0;
    }
}

static int steps(struct reply *r, const struct reply_sink *s, bool last)
{
    for (int more = 1; more; )
        TRY(more = step(r, s, last));
    return 0;
}

int reply_add(struct reply *r, const char *text, size_t n, const struct reply_sink *s)
{
    TRY(buf_add(&r->held, text, n, NULL));
    return n ? steps(r, s, false) : 0;
}

/* Of a call that lacks what stands behind its arguments only, all is known. */
int reply_end(struct reply *r, const struct reply_sink *s)
{
    TRY(steps(r, s, true));
    if (r->state == CALL_END)
        r->call[r->n_call - 1].whole = true;
    return 0;
}

bool reply_is_cut(const struct reply *r) { return r->state == ARGUMENTS; }

bool reply_is_thinking(const struct reply *r) { return r->state == THOUGHT || r->state == CHANNEL_THOUGHT; }
int reply_n_call(const struct reply *r) { return r->n_call - (r->n_call && !r->call[r->n_call - 1].whole); }
const struct buf *reply_thought(const struct reply *r) { return &r->thought; }
const struct buf *reply_content(const struct reply *r) { return &r->content; }

const char *reply_call(const struct reply *r, int i, const struct buf **args)
{
    *args = &r->call[i].arguments;
    return r->call[i].name;
}
