/* tools.h - what requests in OpenAI's form say of tools, and of thinking: tools, tool_choice, parallel_tool_calls, reasoning_effort.
 *
 * Tools are given to the model's template, which tells them in the model's own way (model/chat.h).  The answer follows the grammar of a
 * reply (infer/reply.h): whatever it is, until a call begins, and a call only of a tool, with arguments that follow its schema where the
 * tool is strict, a call must be made or the schema can be followed. */
#ifndef SERVE_TOOLS_H
#define SERVE_TOOLS_H
#include "infer/reply.h"
#include "serve/wish.h"

#define TOOLS_MAX 128
#define TOOLS_NAME 64                    /* letters, digits, _, - and . of a name at most */
struct tools {
    const json_t *list;                  /* for the template: all of them, or NULL */
    struct reply_tool *tool; int n_tool; /* those that may be called */
    char (*where)[40];
    bool must, one;
    json_t *variables;                   /* chat_template_kwargs, with what reasoning_effort means; or NULL */
};
/* Reads the fields.  What it owns is released whatever e says. */
void tools_read(struct tools *t, struct in *f);
void tools_release(struct tools *t);
/* The template has to know what was asked for. */
void tools_check(const struct tools *t, const struct served_model *s, const struct chat_request *c, struct refusal *e);
/* When the prompt is made: the wish's grammar and the form of its reply. */
void tools_finish(const struct tools *t, struct wish *w, const struct served_model *s, const struct chat_request *c, struct refusal *e);
bool tools_is_name(const char *s, size_t n);
/* A message's tool_calls; objects: arguments are objects, as in Ollama's API, not texts. */
void tools_check_calls(const json_t *calls, const char *path, bool objects, struct refusal *e);

#endif
