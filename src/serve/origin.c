#include "serve/origin.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Is s, of n bytes, one of a list parted by commas? */
static bool in_list(const char *list, const char *s, size_t n)
{
    while (list && *list) {
        list += strspn(list, ", ");
        const size_t k = strcspn(list, ", ");
        if (k == n && n && !strncasecmp(list, s, n))
            return true;
        list += k;
    }
    return false;
}

/* The name of name[:port], also of [v6]:port, without brackets; 0 bytes: it is none. */
static size_t name_of(const char **s)
{
    const bool v6 = **s == '[';
    const char *from = *s += v6;
    const size_t n = strcspn(from, v6 ? "]" : ":");
    const char *at = from + n;
    if (v6 && *at++ != ']')
        return 0;
    if (*at == ':')
        at += 1 + strspn(at + 1, "0123456789");
    return *at ? 0 : n;
}

static bool is_local_name(const char *s, size_t n)
{
    if ((n == 9 && !strncasecmp(s, "localhost", 9)) || (n > 10 && !strncasecmp(s + n - 10, ".localhost", 10)) || (n == 3 && !memcmp(s, "::1", 3)))
        return true;
    int dots = 0;                            /* 127.x.y.z, as an address and not as a name's beginning */
    for (size_t i = 0; i < n; i++)
        if (s[i] == '.')
            dots++;
        else if (!isdigit((unsigned char)s[i]))
            return false;
    return dots == 3 && !strncmp(s, "127.", 4);
}

bool origin_host_ok(const struct origins *o, const char *host)
{
    const size_t n = name_of(&host);
    return n && (is_local_name(host, n) || in_list(o->hosts, host, n));
}

/* Behind "http://" or "https://"; NULL: it is no origin. */
static const char *host_of(const char *origin)
{
    return !strncasecmp(origin, "http://", 7) ? origin + 7 : !strncasecmp(origin, "https://", 8) ? origin + 8 : NULL;
}

static bool in_cors(const struct origins *o, const char *origin) { return o->cors && (!strcmp(o->cors, "*") || in_list(o->cors, origin, strlen(origin))); }

bool origin_may_ask(const struct origins *o, const char *origin)
{
    const char *host = host_of(origin);
    return in_cors(o, origin) || (host && origin_host_ok(o, host));
}

static bool is_local(const char *address)
{
    struct in_addr a;
    return !strcmp(address, "::1") || (inet_pton(AF_INET, address, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

int origins_open(struct origins *o, const char *address, bool has_key, struct err *err)
{
    o->guarded = !has_key;
    return has_key || is_local(address) ? 0 : ERR(err, USAGE, "on %s others than this machine can ask: give a key (--key, --keys), or 127.0.0.1", address);
}

int origins_check(const struct origins *o, struct err *err)
{
    if (!o->cors)
        return 0;
    if (!strcmp(o->cors, "*"))
        return o->guarded ? ERR(err, USAGE, "--cors '*' without a key would let every page of the world ask: name its origins, or give a key") : 0;
    const char *list = o->cors;
    int n_origin = 0;
    while (*(list += strspn(list, ", "))) {
        char one[300];
        const size_t n = strcspn(list, ", ");
        const char *host;
        snprintf(one, sizeof one, "%.*s", (int)(n < sizeof one ? n : 0), list);
        if (!(host = host_of(one)) || strpbrk(host, "/?#@ ") || !name_of(&host))
            return ERR(err, USAGE, "--cors has '%.*s', expected origins such as https://example.com or http://localhost:3000, parted by commas", (int)(n < 200 ? n : 200), list);
        list += n, n_origin++;
    }
    return n_origin ? 0 : ERR(err, USAGE, "--cors names no origin");
}

void origins_guard(const struct origins *o, const struct http_request *q, struct refusal *e)
{
    const char *host = http_header(q, "Host"), *origin = http_header(q, "Origin");
    if (!o->guarded)
        return;
    if (host && !origin_host_ok(o, host))
        refuse_as(e, 403, NULL, "host_not_allowed", NULL, "asked as '%.100s', which is no name of this machine: without a key only those of --allow-host are answered besides", host);
    else if (origin && !origin_may_ask(o, origin))
        refuse_as(e, 403, NULL, "origin_not_allowed", NULL, "a page of '%.100s' asks: without a key only this machine's and those of --cors may", origin);
}

void origins_tell(const struct origins *o, struct http_request *q)
{
    const char *origin = http_header(q, "Origin");
    if (!o->cors)
        return;
    if (strcmp(o->cors, "*"))
        http_add_header(q, "Vary", "Origin");
    if (!origin || !in_cors(o, origin))
        return;
    http_add_header(q, "Access-Control-Allow-Origin", strcmp(o->cors, "*") ? origin : "*");
    http_add_header(q, "Access-Control-Expose-Headers", "X-Request-Id, traceparent, Retry-After, retry-after-ms, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
                                                        "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens");
}

bool origins_preflight(const struct origins *o, struct http_request *q, const char *method)
{
    const char *origin = http_header(q, "Origin"), *wanted = http_header(q, "Access-Control-Request-Method"), *headers = http_header(q, "Access-Control-Request-Headers");
    if (!origin || !wanted || !in_cors(o, origin) || (strcmp(wanted, method) && !(!strcmp(wanted, "HEAD") && !strcmp(method, "GET"))))
        return false;
    http_add_header(q, "Access-Control-Allow-Methods", wanted);
    if (headers && strlen(headers) < 1000)           /* any: who may ask is told by a key, not by a cookie */
        http_add_header(q, "Access-Control-Allow-Headers", headers);
    http_add_header(q, "Access-Control-Max-Age", "600");
    return true;
}
