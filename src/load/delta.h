/* delta.h - what one event of an OpenAI stream says, read in one pass and without making a tree of it, as a client that measures a
 * thousand streams must cost little beside the server. */
#ifndef LOAD_DELTA_H
#define LOAD_DELTA_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct delta {
    bool done;                           /* [DONE] */
    bool said;                           /* some text came: of the answer, its reasoning, or a tool's arguments */
    const char *text; size_t n_text;     /* of the answer: the inside of a JSON string, as it stands in the event; NULL: none */
    bool usage;                          /* the tokens' numbers came */
    long n_prompt, n_kept, n_token;      /* n_kept: of the prompt, from a cache */
    const char *error; size_t n_error;   /* the inside of its message, or the event; NULL: it is none */
};
/* ERR_FORMAT: not an object of JSON, as far as was looked. */
int delta_read(struct delta *out, const char *data, size_t n, struct err *err);
#endif
