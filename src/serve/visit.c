#include "serve/visit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double visit_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void visit_begin(struct http_request *q, struct client *c)
{
    struct visit *v = http_user(q);
    v->client = c;
    if (c)
        client_rights(c, &v->rights);
}

/* ---- limits ---- */

/* As OpenAI's are: 120ms, 8.64s, 6m0s, 23h59m59s. */
static void duration(char out[32], double s)
{
    const long long whole = (long long)ceil(s);
    if (s < 1)
        snprintf(out, 32, "%.0fms", ceil(s * 1000));
    else if (s < 60)
        snprintf(out, 32, "%.6gs", ceil(s * 1000) / 1000);
    else if (whole < 3600)
        snprintf(out, 32, "%lldm%llds", whole / 60, whole % 60);
    else
        snprintf(out, 32, "%lldh%lldm%llds", whole / 3600, whole / 60 % 60, whole % 60);
}

static void tell_one(struct http_request *q, const char *what, const struct quota_left *l)
{
    char name[48], value[32];
    if (!l->limit)
        return;
    snprintf(name, sizeof name, "x-ratelimit-limit-%s", what);
    snprintf(value, sizeof value, "%lld", (long long)l->limit);
    http_add_header(q, name, value);
    snprintf(name, sizeof name, "x-ratelimit-remaining-%s", what);
    snprintf(value, sizeof value, "%lld", (long long)l->left);
    http_add_header(q, name, value);
    snprintf(name, sizeof name, "x-ratelimit-reset-%s", what);
    duration(value, l->reset_s);
    http_add_header(q, name, value);
}

static void tell_left(struct http_request *q, const struct visit *v, double now)
{
    struct quota_left requests, tokens;
    client_left(v->client, now, &requests, &tokens);
    tell_one(q, "requests", &requests);
    tell_one(q, "tokens", &tokens);
}

static void refuse_for(struct refusal *e, const struct visit *v, const struct quota_no *no)
{
    static const char *const of[] = { "", "requests a minute", "requests a day", "tokens a minute", "tokens a day", "texts at once" };
    const long long limit = no->limit, asked = no->asked;
    if (no->wait_s < 0)
        refuse_as(e, 429, NULL, "rate_limit_exceeded", NULL, "the request takes %lld of %lld %s that '%s' may ask for: it never can", asked, limit, of[no->which], v->rights.name);
    else if (no->which == QUOTA_TEXTS)
        refuse_as(e, 429, NULL, "rate_limit_exceeded", NULL, "'%s' may ask for %lld texts at once, and has asked for as many: try again when one has ended", v->rights.name, limit);
    else
        refuse_as(e, 429, NULL, "rate_limit_exceeded", NULL, "'%s' may ask for %lld %s: try again in %.3f s", v->rights.name, limit, of[no->which], ceil(no->wait_s * 1000) / 1000);
    e->retry_ms = no->wait_s < 0 ? -1 : (int64_t)ceil(no->wait_s * 1000);
}

static bool take(struct http_request *q, struct quota_ask ask, struct refusal *e)
{
    struct visit *v = http_user(q);
    struct quota_no no;
    const double now = visit_now();
    if (!v->client || e->status)
        return true;
    const bool may = client_take(v->client, now, ask, &v->grant, &no);
    if (!may)
        refuse_for(e, v, &no);
    tell_left(q, v, now);
    return may;
}

static void settle(struct http_request *q, int64_t tokens, bool counts)
{
    struct visit *v = http_user(q);
    if (v->client)
        client_settle(v->client, visit_now(), &v->grant, tokens, counts);
    v->grant = (struct quota_grant){ 0 };
}

void visit_take_request(struct http_request *q, struct refusal *e) { take(q, (struct quota_ask){ .requests = 1 }, e); }

void visit_take_texts(struct http_request *q, int64_t texts, int64_t prompt_tokens, int64_t answer_tokens, bool unbounded, struct refusal *e)
{
    const struct visit *v = http_user(q);
    const int64_t most = v->rights.tokens_most;
    int64_t tokens = prompt_tokens + answer_tokens;
    if (unbounded && most && tokens > most)
        tokens = most > prompt_tokens ? most : prompt_tokens;
    if (!take(q, (struct quota_ask){ .tokens = tokens, .texts = texts }, e))
        settle(q, 0, false);
}

void visit_settle(struct http_request *q, int64_t tokens) { settle(q, tokens, true); }

/* ---- rights ---- */

bool visit_may_use(struct http_request *q, const char *model)
{
    const struct visit *v = http_user(q);
    return !v->client || client_may_use(v->client, model);
}

void visit_model(struct http_request *q, const char *model, struct refusal *e)
{
    const struct visit *v = http_user(q);
    if (!visit_may_use(q, model))
        refuse_as(e, 403, NULL, "model_not_allowed", "model", "'%s' may not ask the model '%s'", v->rights.name, model);
}

void visit_rank(struct http_request *q, bool said, int *priority, int *tenant, struct refusal *e)
{
    const struct visit *v = http_user(q);
    const struct client_rights *r = &v->rights;
    if (said && *priority < r->priority)
        refuse_as(e, 403, NULL, "priority_not_allowed", "priority", "priority is %d, expected %d or more, which is less urgent%s", *priority, r->priority, v->client ? "" : ": keys may have the right to be sooner");
    if (!said)
        *priority = r->priority > 0 ? r->priority : 0;
    *tenant = r->number;
}

/* Not even how long something takes tells of what others have asked. */
void visit_root(struct http_request *q, struct block_key *root, struct refusal *e)
{
    const struct visit *v = http_user(q);
    const size_t n = strlen(v->rights.tenant);
    unsigned char text[SHA256_BYTES + KEY_NAME];
    struct sha256 h;
    char unused[SHA256_HEX];
    if (!v->client || !strcmp(v->rights.tenant, KEY_SHARED))
        return;
    if (sha256_init(&h, NULL) < 0) {
        refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
        return;
    }
    memcpy(text, root->sha256, SHA256_BYTES);
    memcpy(text + SHA256_BYTES, v->rights.tenant, n);
    sha256_next(&h, text, SHA256_BYTES + n, root->sha256);
    sha256_end(&h, unused);
}
