/* chat.h - from messages to a prompt: a model's chat templates, and what each of them wants of messages.
 *
 * Messages are those of the OpenAI API, an array of objects {role, content, ...}.  Templates differ in what they take, so a
 * template is tried when it is loaded (chat_wants), and messages are brought into its form before it is rendered:
 *
 *   content is a list of parts    the text parts, joined by newlines, for a template that takes strings; a part that is no
 *                                 text is then an error.  A string becomes one text part where only lists are taken.
 *   content is null or missing    "" in general; beside tool calls what the template works with: "", null or nothing
 *   arguments of a tool call      the JSON text that the API delivers becomes an object, or an object its text; text that is
 *                                 no object stays as it is
 *   a system message              where the template refuses or loses it: put in front of the first user message, with an
 *                                 empty line between; a user message of its own where there is none
 *   role developer                system, unless the template knows it
 *   ids of tool calls             only where the template insists on 9 letters and digits: made so, the same id for the same
 *
 *   tools                         are the template's to tell; where it knows nothing of them, they are told in a system message, and calls
 *                                 and results in messages of an assistant and a user
 *
 * Nothing else is changed, and what a template refuses after that stays refused (ERR_REFUSED, ERR_FORMAT).  The values of
 * messages, tools and documents are input, see jinja.h.  A loaded chat never changes: any number of threads may use it. */
#ifndef MODEL_CHAT_H
#define MODEL_CHAT_H
#include <jansson.h>
#include <stdbool.h>
#include <time.h>
#include "base/err.h"
#include "model/jinja.h"
#include "model/tok.h"

struct chat;
struct chat_source { const char *name, *text; size_t n; };      /* "default", "tool_use", ... and the template */

/* What a model's files say.  In a folder: chat_template.jinja and additional_chat_templates/NAME.jinja, or else `chat_template` of
 * tokenizer_config.json, a string or a list of {name, template}; bos_token and the like come from tokenizer_config.json and
 * special_tokens_map.json.  In a GGUF file: tokenizer.chat_template and tokenizer.chat_template.NAME, and ids of tokens. */
#define CHAT_TEMPLATES_MAX 32
struct chat_files;
int chat_files_open(struct chat_files **out, const char *path, bool templates, struct err *err);      /* templates: these too, not only the tokens */
void chat_files_close(struct chat_files *f);
const struct chat_source *chat_files_template(const struct chat_files *f, int i);      /* as written; NULL beyond the last */
const json_t *chat_files_tokens(const struct chat_files *f);                           /* as for chat_new */

/* The templates of a model.  ERR_NOTFOUND when there is none.  instead: a template in place of the model's, with the model's
 * tokens; may be NULL. */
int chat_load(struct chat **out, const char *path, const struct chat_source *instead, struct err *err);
/* tokens: an object of bos_token, eos_token, ... as strings, or NULL. */
int chat_new(struct chat **out, const struct chat_source *src, int n, const json_t *tokens, struct err *err);
void chat_free(struct chat *c);
const char *chat_name(const struct chat *c, int i);             /* of the i-th template; NULL beyond the last */

/* How a template writes calls of tools, and so how the model does: each {"name": ..., "arguments": {...}} between <tool_call> and
 * </tool_call>, a list of them behind [TOOL_CALLS], or one alone in place of content; or [TOOL_CALLS]name[ARGS]{...}.  NONE: it knows
 * nothing of tools; OTHER: in some other way. */
enum chat_form { CHAT_FORM_NONE, CHAT_FORM_TAGGED, CHAT_FORM_LIST, CHAT_FORM_BARE, CHAT_FORM_NAMED, CHAT_FORM_OTHER };
/* What trying a template showed. */
enum chat_call { CHAT_CALL_NONE, CHAT_CALL_EMPTY, CHAT_CALL_NULL, CHAT_CALL_ABSENT };
struct chat_wants {
    bool parts;               /* content as a list of parts, not as a string */
    bool takes_parts;         /* such a list is taken too */
    bool system, developer;   /* messages of these roles are taken */
    enum chat_call call;      /* content beside tool calls; NONE: no way to pass them worked */
    bool arguments_text;      /* arguments of a call as JSON text, not as an object */
    bool short_ids;           /* ids of calls are 9 letters and digits */
    enum chat_form form;
    bool parameters;          /* arguments are called so in a call */
    bool thinks;              /* answers may have <think>...</think> in front, or */
    bool channels;            /* are messages of several channels (gpt-oss): <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>... */
};
/* By the name of a template (NULL: what chat_render chooses without tools); NULL when there is none. */
const struct chat_wants *chat_wants(const struct chat *c, const char *name);

struct chat_request {
    const json_t *messages, *tools, *documents;      /* tools and documents may be NULL */
    const json_t *variables;                         /* more of the template's: enable_thinking, ...; may be NULL */
    const char *name;                                /* of the template; NULL: tool_use where there are tools and it is there, else default */
    bool no_generation_prompt;                       /* the last message is not to be answered */
    const struct tm *now;                            /* NULL: the time of the call */
};
/* Of the template that the request would be rendered by; NULL when there is none. */
const struct chat_wants *chat_wants_for(const struct chat *c, const struct chat_request *q);
bool chat_knows(const struct chat *c, const struct chat_request *q, const char *variable);
/* Appends the prompt; on error out is as it was.  Messages are normalised first. */
int chat_render(const struct chat *c, const struct chat_request *q, struct jinja_text *out, struct err *err);
/* The same of a whole conversation, for training, whatever no_generation_prompt says: to out and, in learn, a byte for each of the
 * text: CHAT_LEARN where an assistant's turn of the last n_last messages (0: of all) is written.  Where the template says so itself
 * ({% generation %}) and n_last is 0, it is that.  Else a turn is what the template makes of an assistant's message and all in
 * between, from where the prompt for an answer ends; CHAT_LEARN_END is on the byte behind it: what ends the turn, a token that
 * only a tokenizer knows, belongs to it too. */
enum { CHAT_LEARN = 1, CHAT_LEARN_END = 2 };
int chat_render_learn(const struct chat *c, const struct chat_request *q, size_t n_last, struct jinja_text *out, struct buf *learn, struct err *err);
/* The messages in the form that is wanted, as a new array: the table above. */
int chat_normalise(const json_t *messages, const struct chat_wants *w, json_t **out, struct err *err);

/* Appends the ids of a rendered prompt.  A special token is recognised only where all of its bytes are the template's: what
 * a user typed stays text.  The text between special tokens is encoded as one, whoever wrote it, so ordinary messages have
 * exactly the ids that the maker's tokenizer gives the whole prompt; merges across a user's first and last byte are made.
 * Nothing is put around: a template writes its own bos_token. */
int chat_encode(const struct tok *t, const struct jinja_text *prompt, struct tok_ids *out, struct err *err);

/* The n-th id for a tool call of an answer: 9 letters and digits, which every template accepts. */
void chat_tool_id(char out[10], uint64_t seed, uint64_t n);

#endif
