/* chat_text.h - the text of a chat: what its messages say, turn by turn, and where each piece of it stands in the record.
 *
 *   {"messages": [{"role": "user", "content": ".."}, ..]}           as OpenAI's API has it: a content is a string or a list of parts
 *   {"conversations": [{"from": "human", "value": ".."}, ..]}       as ShareGPT has it
 * A message says the strings in its members content, value, reasoning_content, thinking, refusal, tool_calls and function_call, at any depth and
 * in order, but those of type, id, image_url and input_audio of a part or call, which nobody reads.  The text is all of these, a blank line
 * between two. */
#ifndef AUDIT_CHAT_TEXT_H
#define AUDIT_CHAT_TEXT_H
#include "audit/json_scan.h"

/* Bytes at .. at + n - 1 of the text are the characters of a string, which stands there in the record, with its quotes. */
struct chat_piece { size_t at, n; struct json_span string; };
struct chat_text { struct chat_piece *piece; size_t n, cap; };      /* starts as { 0 }; mem_free(piece) */

/* list: a value in JSON that was found right.  Sets text and the pieces.  ERR_FORMAT where it is no list of objects. */
int chat_text_of(struct chat_text *c, struct json_span list, struct buf *text, struct err *err);

/* Appends the record with other characters in some of its strings.  changed: 1 and the new characters appended to its empty buffer, or 0
 * where the string stays as it stands; all else does, to the byte. */
typedef int chat_change_fn(void *ctx, const struct chat_piece *p, struct buf *characters, struct err *err);
int chat_text_write(const struct chat_text *c, const char *record, size_t n, chat_change_fn *changed, void *ctx, struct buf *out, struct err *err);

#endif
