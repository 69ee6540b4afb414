/* talk.h - a conversation with a model: messages in, an answer out as it is made, and only what is new is computed.
 *
 * The messages are rendered anew for every answer, as the template may change what stands before (it drops earlier thoughts,
 * for example); the cache is kept up to the first token that differs.  A talk uses slot 0 of an engine and its thread. */
#ifndef INFER_TALK_H
#define INFER_TALK_H
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include "infer/ends.h"
#include "infer/engine.h"
#include "infer/spec.h"
#include "model/chat.h"

struct talk {
    struct engine *e;                /* o->e */
    const struct chat *chat;
    json_t *messages;                /* an array; the caller may change it between answers */
    json_t *tools, *variables;       /* NULL: none */
    struct sampling sampling;
    int max_tokens;                  /* of an answer; 0: as many as there is room for */
    const volatile sig_atomic_t *stop;      /* an answer ends when it is not 0; may be NULL */
    /* ---- its own ---- */
    struct spec *spec;               /* the text that the cache holds */
    struct ends ends;
};

/* o: the engine, and drafts if wanted.  folder: the model's, for generation_config.json (eos_token_id); NULL or a file: without. */
int talk_init(struct talk *t, const struct spec_opts *o, const struct chat *chat, const char *folder, struct err *err);
void talk_release(struct talk *t);
int talk_add(struct talk *t, const char *role, const char *text, size_t n, struct err *err);

enum talk_end { TALK_STOP, TALK_LENGTH, TALK_FULL, TALK_STOPPED };      /* the model ended it, max_tokens, no position left, *stop */
const char *talk_end_name(enum talk_end end);                          /* "stop", "length", "context full", "stopped" */
struct talk_answer {
    struct buf text;                 /* without special tokens, thoughts of channels (reply.h) between <think> and </think>; valid UTF-8 but for what a model left incomplete */
    enum talk_end end;
    int n_prompt, n_kept, n_token;   /* tokens of the prompt, of these in the cache already, of the answer */
    double prompt_s, token_s;
};
typedef void talk_emit(void *ctx, const char *text, size_t n);         /* whole characters, as they come */
/* Answers the messages and appends what was said, also when it was stopped, but for an answer that was stopped before a word.
 *  ERR_RANGE with both sizes, and nothing has
 * happened, when the messages need more positions than there are.  a->text is for buf_release, also on error. */
int talk_answer(struct talk *t, talk_emit *emit, void *ctx, struct talk_answer *a, struct err *err);
/* Tokens of the messages as they would be rendered for an answer. */
int talk_count(struct talk *t, int *n, struct err *err);

#endif
