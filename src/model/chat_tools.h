/* chat_tools.h - how templates write calls of tools, and messages for those that know nothing of tools.  Internal to model/. */
#ifndef MODEL_CHAT_TOOLS_H
#define MODEL_CHAT_TOOLS_H
#include "model/chat.h"

/* From what a template has made of a call of `name` with one argument, whose value is `mark`: its form, and whether arguments are
 * called parameters.  opening: what it puts in front of an answer. */
enum chat_form chat_form_of(const char *text, const char *name, const char *mark, const struct buf *opening, bool *parameters);
/* A copy of the messages in which tools, calls and their results are told in words, as Hermes models know them: a system message, text of
 * an assistant, text of a user. */
int chat_tell_tools(const json_t *messages, const json_t *tools, json_t **out, struct err *err);
#endif
