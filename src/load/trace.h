/* trace.h - files of requests that came once: when each came, and its tokens.
 *
 * The first line that is neither blank nor begins with # says how the file is written:
 *
 *   a number       SECONDS,INPUT,OUTPUT in each line, parted by commas, blanks or tabs
 *   a letter       names of columns, parted by commas, in any order and among others
 *   {              an object of JSON in each line, with the same names as keys
 *
 *   when           at, seconds, time, timestamp, arrived_at, arrival_time
 *   of the prompt  input, input_tokens, input_length, prompt_tokens, request_tokens, ContextTokens, num_prefill_tokens
 *   of the answer  output, output_tokens, output_length, completion_tokens, response_tokens, GeneratedTokens, num_decode_tokens
 *
 * whatever their case, blanks and underscores: so Azure's traces of language models, Vidur's, BurstGPT and Mooncake's are read as they are.  A time is seconds, or a
 * date and time of day (when.h); "timestamp" as a number in JSON is milliseconds, as Mooncake has it.  Lines may be in any order.
 * Nothing is passed over: the first line that is no request, or has no tokens, is an error that names it. */
#ifndef LOAD_TRACE_H
#define LOAD_TRACE_H
#include <stddef.h>
#include "base/err.h"

/* at: seconds since the first one. */
struct trace_row { double at; int input, output; };
/* Sorted by time; ERR_FORMAT; free with mem_free. */
int trace_read(const char *path, struct trace_row **out, int *n, struct err *err);
/* Of a text of `len` bytes with a NUL behind it, which is written to; name: for messages. */
int trace_parse(char *text, size_t len, const char *name, struct trace_row **out, int *n, struct err *err);
void trace_sort(struct trace_row *rows, int n);          /* and times from the first one on */

#endif
