/* constraint.h - what requests say that an answer may be, in whichever words, as the wish's grammar.
 *
 *   response_format     {"type": "text" | "json_object" | "json_schema", "json_schema": {"name", "schema", "strict"}}: OpenAI's
 *   structured_outputs  {"json" | "json_object" | "regex" | "choice" | "grammar"}: vLLM's, one of them
 *   grammar             GBNF: llama.cpp's
 *
 * One of the three at most.  Each is read by the field's name, what cannot be said is refused with the name of what is wrong in it. */
#ifndef SERVE_CONSTRAINT_H
#define SERVE_CONSTRAINT_H
#include "serve/wish.h"

void constraint_read(struct wish *w, struct in *f, bool response_format);
/* JSON that follows the schema; NULL: any object.  The grammar is made later: by tools_finish() together with calls of tools, or by
 * constraint_finish(), which wish_done() calls. */
void constraint_schema(struct wish *w, const json_t *schema, const char *where, struct refusal *e);
void constraint_finish(struct wish *w, struct refusal *e);

#endif
