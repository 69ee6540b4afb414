/* trace.h - by which names a request is known elsewhere: X-Request-Id, and W3C's traceparent (www.w3.org/TR/trace-context). */
#ifndef SERVE_TRACE_H
#define SERVE_TRACE_H

#define TRACE_ID_MAX 128
struct trace {
    char id[TRACE_ID_MAX + 1];           /* the client's X-Request-Id, or one of our own */
    char trace[33], span[17], flags[3];  /* hexadecimal: of the whole trace, of this server's part in it */
    char parent[17];                     /* the span that asks; "": none */
};
/* From what the client sent, each may be NULL or nonsense: then new ones are made. */
void trace_begin(struct trace *t, const char *request_id, const char *traceparent);
/* "00-TRACE-SPAN-FLAGS" */
void trace_parent_text(const struct trace *t, char out[56]);

#endif
