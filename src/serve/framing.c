#include "serve/framing.h"
#include <microhttpd.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* libmicrohttpd 0.9.75 takes lines that it should not, and does not tell.  It reads the head in place, though, each line behind the one
 * before, so that where a name stands shows what was between: CR and LF, if all is well.  It is only asked for that in the version in
 * which it was looked up; later ones refuse such lines by themselves. */
#define READS_IN_PLACE 0x00097500

struct head { const char *error, *end; int n_length, n_coding, n_host, n; size_t bytes; bool http_1_0, http_1_1; };      /* end: of the last line so far, without its line end */

static bool is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || strchr("!#$%&'*+-.^_`|~", *s)))
            return false;
    return true;
}

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

/* Blanks alone stand between a name's colon and its value, and a line end alone before the name. */
static bool in_place(const struct head *h, const char *name, const char *value)
{
    const uintptr_t at = (uintptr_t)name, behind = at + strlen(name) + 1, v = (uintptr_t)value;
    if (at - (uintptr_t)h->end != 2 || v < behind || v - behind > 1000)
        return false;
    for (uintptr_t i = behind; i < v; i++)
        if (*(const char *)i != ' ' && *(const char *)i != '\t')
            return false;
    return true;
}

static enum MHD_Result look(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head *h = ctx;
    const char *v = value ? value : "";
    (void)kind;
    if (!is_token(name))
        h->error = "the name of a header is none";
    else if (!is_plain(v))
        h->error = "a header has a control character";
    else if (h->end && !in_place(h, name, v))
        h->error = "a line of the header does not end with CR and LF, or goes on in the next";
    else if (!strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) && (strcasecmp(v, "chunked") || h->http_1_0))
        h->error = "Transfer-Encoding can only be chunked here, from HTTP/1.1 on";
    h->end = h->end ? v + strlen(v) : NULL;
    h->n++, h->bytes += strlen(name) + strlen(v);
    h->n_length += !strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH);
    h->n_coding += !strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    h->n_host += !strcasecmp(name, MHD_HTTP_HEADER_HOST);
    return h->error ? MHD_NO : MHD_YES;
}

static const char *fault_of(const struct head *h)
{
    if (h->error)
        return h->error;
    if (h->end && h->n && (h->end[0] || h->end[1] || h->end[2] || h->end[3]))        /* two line ends */
        return "the end of the header is none";
    if (h->n_length + h->n_coding > 1)
        return h->n_coding && h->n_length ? "the request has both Content-Length and Transfer-Encoding" : "the request has its length twice";
    return h->n_host > 1 ? "the request has two Hosts" : h->http_1_1 && !h->n_host ? "the request has no Host" : NULL;
}

int framing_check(struct MHD_Connection *c, const char *version, const char **why)
{
    const bool asks = MHD_VERSION == READS_IN_PLACE && !strcmp(MHD_get_version(), "0.9.75");
    struct head h = { .end = asks ? version + strlen(version) : NULL, .http_1_0 = !strcmp(version, MHD_HTTP_VERSION_1_0), .http_1_1 = !strcmp(version, MHD_HTTP_VERSION_1_1) };
    MHD_get_connection_values(c, MHD_HEADER_KIND, look, &h);
    if ((*why = fault_of(&h)))
        return MHD_HTTP_BAD_REQUEST;
    *why = "the request has more than 100 headers, or more than 16 KB of them";
    return h.n > FRAMING_HEADERS || h.bytes > FRAMING_BYTES ? MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE : 0;
}

bool framing_absolute(const char *target, size_t *from, size_t *to)
{
    *from = !strncasecmp(target, "http://", 7) ? 7 : !strncasecmp(target, "https://", 8) ? 8 : 0;
    *to = *from + strcspn(target + *from, "/?#");
    return *from;
}

/* An encoded NUL ends the path early for whoever keeps it as C does.  An authority is not decoded by everybody, and names a user to some. */
bool framing_target_ok(const char *target)
{
    size_t from, to;
    if (framing_absolute(target, &from, &to) && (to == from || strcspn(target + from, "%@") < to - from))
        return false;
    for (; *target; target++)
        if ((unsigned char)*target <= 0x20 || *target == 0x7f || (*target == '%' && target[1] == '0' && target[2] == '0'))
            return false;
    return true;
}
