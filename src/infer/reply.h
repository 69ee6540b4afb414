/* reply.h - the reply of a chat model: thoughts, content, calls of tools.  A grammar that it follows, and a reader that tells them apart.
 *
 *   thoughts    <think> ... </think> in front of all else.  The prompt may have opened them.
 *   content     any text
 *   channels    instead of both (gpt-oss): messages, <|channel|>NAME<|message|>TEXT<|end|><|start|>assistant<|channel|>..., of which those of
 *               the channel `analysis` are thoughts and the others content, with an empty line between two of a kind; no calls
 *   calls       behind it, as the model's template writes them (model/chat.h finds that out):
 *     TAGGED    <tool_call>{"name": ..., "arguments": {...}}</tool_call>, one after the other: Hermes, Qwen, and whoever is told so
 *     LIST      [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]: Mistral
 *     NAMED     [TOOL_CALLS]name[ARGS]{...}, one after the other: Ministral, Devstral
 *     BARE      {"name": ..., "parameters": {...}}, instead of content: Llama 3
 *
 * The grammar lets content be whatever it likes up to where a call begins, and a call only be that of a tool, with arguments that follow
 * its schema.  So what the reader has told as a call is one: arguments are JSON, unless the text ends in the middle of them; of one that
 * ends before them nothing is told, where something announces calls. */
#ifndef INFER_REPLY_H
#define INFER_REPLY_H
#include <jansson.h>
#include "base/buf.h"
#include "infer/grammar.h"
#include "model/chat.h"

enum reply_thinking { REPLY_NO_THOUGHTS, REPLY_MAY_THINK, REPLY_THINKS, REPLY_CHANNELS };      /* THINKS: it begins in the middle of them */
/* calls NONE: there are none; arguments: their name.  json: content is JSON and never stands beside calls, so that what announces a call announces none in a text of it. */
struct reply_form { enum reply_thinking thinking; enum chat_form calls; const char *arguments; bool json; };

/* ---- the grammar ---- */

/* parameters: a schema, NULL: there are none; where: what leads to it.  strict: it is followed, or refused; else, where it cannot be
 * followed, arguments are any object. */
struct reply_tool { const char *name; const json_t *parameters; const char *where; bool strict; };
struct reply_wish {
    struct reply_form form;
    const struct reply_tool *tool; int n_tool;
    bool must_call, one_call;
    const json_t *schema; const char *where;     /* what content must follow; beside tools all of it is that or calls (form.json) */
};
int reply_grammar(struct grammar **out, const struct reply_wish *w, struct err *err);

/* ---- the reader ---- */

struct reply;
/* What is told while the text comes.  A call is told with its name, then its arguments in pieces.  A negative result ends it all. */
struct reply_sink {
    void *ctx;
    int (*thought)(void *ctx, const char *text, size_t n);
    int (*content)(void *ctx, const char *text, size_t n);
    int (*call)(void *ctx, int i, const char *name);
    int (*arguments)(void *ctx, int i, const char *text, size_t n);
};
int reply_new(struct reply **out, const struct reply_form *f, struct err *err);
void reply_free(struct reply *r);
/* More of the text; sink NULL: it is kept, for the functions below. */
int reply_add(struct reply *r, const char *text, size_t n, const struct reply_sink *sink);
int reply_end(struct reply *r, const struct reply_sink *sink);
bool reply_is_thinking(const struct reply *r);
int reply_n_call(const struct reply *r);         /* that are whole */
bool reply_is_cut(const struct reply *r);        /* the text has ended in the arguments of one more, which is not content either */
const struct buf *reply_thought(const struct reply *r);
const struct buf *reply_content(const struct reply *r);      /* with what began as a call and is none */
const char *reply_call(const struct reply *r, int i, const struct buf **arguments);      /* its name */

#endif
