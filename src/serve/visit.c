#include "serve/visit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/pool.h"
#include "serve/audit.h"
#include "serve/json_out.h"

#define TEXT_MAX ((size_t)1 << 20)           /* of a line of the log */

double visit_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void begin(struct http_request *q, struct clients *c, const char *secret, const char *scheme, struct refusal *e)
{
    struct visit *v = http_user(q);
    bool expired = false;
    if (clients_open(c))
        return;
    v->client = secret ? clients_find(c, secret, visit_now(), &expired) : NULL;
    if (v->client) {
        client_rights(v->client, &v->rights);
        return;
    }
    http_add_header(q, "WWW-Authenticate", scheme);
    if (expired)
        refuse_as(e, 401, NULL, "expired_api_key", NULL, "the key has expired");
    else
        refuse_as(e, 401, NULL, "invalid_api_key", NULL, "the key is missing or wrong");
}

void visit_begin(struct http_request *q, struct clients *c, struct refusal *e)
{
    const char *h = http_header(q, "Authorization");
    begin(q, c, h && !strncasecmp(h, "Bearer ", 7) ? h + 7 : http_header(q, "x-api-key"), "Bearer", e);
}

void visit_begin_basic(struct http_request *q, struct clients *c, struct refusal *e)
{
    struct buf b;
    const char *h = http_header(q, "Authorization"), *secret = h && !strncasecmp(h, "Bearer ", 7) ? h + 7 : NULL;
    buf_init(&b);
    if (h && !strncasecmp(h, "Basic ", 6) && !base64_read(&b, h + 6, strlen(h + 6), NULL) && strchr(b.data, ':'))
        secret = strchr(b.data, ':') + 1;
    begin(q, c, secret, "Basic realm=\"lathe\"", e);
    buf_release(&b);
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

static void settle(struct http_request *q, int64_t tokens, bool counts)
{
    struct visit *v = http_user(q);
    if (v->client) {
        client_settle(v->client, visit_now(), &v->grant, tokens, counts);
        v->requests = counts ? v->requests : 0, v->tokens += tokens;
    }
    v->grant = (struct quota_grant){ 0 };
}

/* Of a request that is refused nothing is kept, which is what is told then. */
static void take(struct http_request *q, struct quota_ask ask, struct refusal *e)
{
    struct visit *v = http_user(q);
    struct quota_no no;
    const double now = visit_now();
    if (!v->client || e->status)
        return;
    if (client_take(v->client, now, ask, &v->grant, &no)) {
        v->requests += ask.requests;
    } else {
        refuse_for(e, v, &no);
        settle(q, 0, false);
    }
    tell_left(q, v, now);
}

void visit_take_request(struct http_request *q, struct refusal *e) { take(q, (struct quota_ask){ .requests = 1 }, e); }

void visit_take_texts(struct http_request *q, int64_t texts, int64_t prompt_tokens, int64_t answer_tokens, bool unbounded, struct refusal *e)
{
    const struct visit *v = http_user(q);
    const int64_t most = v->rights.tokens_most;
    int64_t tokens = prompt_tokens + (unbounded && answer_tokens > VISIT_TOKENS * texts ? VISIT_TOKENS * texts : answer_tokens);
    if (unbounded && most && tokens > most)
        tokens = most > prompt_tokens ? most : prompt_tokens;
    take(q, (struct quota_ask){ .tokens = tokens, .texts = texts }, e);
}

int visit_texts_at_once(struct http_request *q, int n)
{
    const struct visit *v = http_user(q);
    return v->rights.texts_most && v->rights.texts_most < n ? (int)v->rights.texts_most : n;
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

void visit_look(struct http_request *q, const char *what, struct refusal *e)
{
    const struct visit *v = http_user(q);
    if (v->client && !v->rights.admin && strcmp(v->rights.name, CLIENT_OF_KEY))
        refuse_as(e, 403, NULL, "admin_key_needed", NULL, "%s shown to an admin's key: '%s' has no 'admin: true' in the file of --keys", what, v->rights.name);
}

int visit_tenant(struct http_request *q) { return ((struct visit *)http_user(q))->rights.number; }

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
    if (v->client && strcmp(v->rights.tenant, KEY_SHARED))
        wish_root(root, "tenant", v->rights.tenant, strlen(v->rights.tenant), e);
}

/* ---- the log ---- */

void visit_release(struct visit *v)
{
    if (v->held)
        served_model_drop(v->held);
    if (v->shadow)
        served_model_drop(v->shadow);
    v->held = v->shadow = NULL;
    mem_free(v->asked);
    mem_free(v->request);
    mem_free(v->texts);
    v->asked = v->request = v->texts = NULL;
}

bool visit_keeps_text(struct http_request *q) { return ((struct visit *)http_user(q))->keeps_text; }

/* Text that is too long is not cut: its length is there instead. */
static int add_text(struct buf *b, const char *text, size_t n, struct err *err)
{
    return b->len + n > TEXT_MAX ? buf_printf(b, err, "%zu", n) : out_string(b, text, n, err);
}

/* What there is no memory for is not told. */
static void keep(char **to, struct buf *b, int rc)
{
    char *text = rc ? NULL : mem_strdup(b->data);
    if (text) {
        mem_free(*to);
        *to = text;
    }
    buf_release(b);
}

void visit_note(struct http_request *q, bool with_text)
{
    struct visit *v = http_user(q);
    v->noted = true, v->keeps_text = with_text && (!v->client || v->rights.keep_text);
    v->time = visit_now(), v->begun = clock_wall();
}

void visit_note_request(struct http_request *q, const struct buf *body)
{
    struct visit *v = http_user(q);
    struct buf b;
    if (!v->keeps_text)
        return;
    buf_init(&b);
    const int rc = buf_add_str(&b, ",\"request\":", NULL);
    keep(&v->request, &b, rc ? rc : add_text(&b, body->data, body->len, NULL));
}

static int add_params(struct buf *b, const struct wish *w, struct err *err)
{
    const struct answer_wish *a = &w->answer;
    const struct { const char *name; double v; } numbers[] = {
        { "temperature", a->sampling.temperature }, { "top_p", a->sampling.top_p }, { "min_p", a->sampling.min_p },
        { "presence_penalty", a->presence }, { "frequency_penalty", a->frequency }, { "repetition_penalty", a->repetition },
    };
    TRY(buf_printf(b, err, ",\"seed\":%lld,\"params\":{\"n\":%d,\"best_of\":%d,\"max_tokens\":", (long long)(int64_t)w->seed, w->n, w->n_made ? w->n_made : w->n));
    TRY(a->most < 0 ? buf_add_str(b, "null", err) : buf_printf(b, err, "%d", a->most));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        TRY(buf_printf(b, err, ",\"%s\":", numbers[i].name));
        TRY(buf_add_number(b, numbers[i].v, err));
    }
    TRY(buf_printf(b, err, ",\"top_k\":%d,\"min_tokens\":%d,\"logit_bias\":%d,\"allowed_token_ids\":%d,\"stop_token_ids\":%d", a->sampling.top_k, a->min, a->n_bias, a->n_allowed, a->n_stop_token));
    return buf_printf(b, err, ",\"stop\":%s,\"grammar\":%s,\"ignore_eos\":%s,\"priority\":%d}", w->stops ? "true" : "false", a->grammar ? "true" : "false", a->ignore_end ? "true" : "false", a->priority);
}

void visit_note_model(struct http_request *q, const struct served_as *as) { ((struct visit *)http_user(q))->as = *as; }

void visit_hold(struct http_request *q, struct served_model *s, bool is_candidate)
{
    struct visit *v = http_user(q);
    served_model_hold(s);
    v->held = s;
    if (!s->number)
        return;
    v->arm = is_candidate ? "candidate" : "stable";
    http_add_header(q, "X-Lathe-Version", s->version);
}

void visit_note_wish(struct http_request *q, const struct wish *w)
{
    struct visit *v = http_user(q);
    struct buf b;
    if (!v->noted)
        return;
    buf_init(&b);
    keep(&v->asked, &b, add_params(&b, w, NULL));
}

void visit_note_first(struct http_request *q)
{
    struct visit *v = http_user(q);
    if (v->noted && v->first <= 0)
        v->first = clock_wall();
}

void visit_note_text(struct http_request *q, enum answer_why why, const struct buf *text)
{
    struct visit *v = http_user(q);
    struct buf b;
    v->n_end[why]++;
    if (!text)
        return;
    buf_init(&b);
    int rc = v->texts ? buf_printf(&b, NULL, "%s,", v->texts) : 0;
    keep(&v->texts, &b, rc ? rc : add_text(&b, text->data, text->len, NULL));
}

void visit_note_counts(struct http_request *q, const char *id, int64_t n_prompt, int64_t n_kept, int64_t n_made)
{
    struct visit *v = http_user(q);
    snprintf(v->id, sizeof v->id, "%s", id);
    v->n_prompt = n_prompt, v->n_kept = n_kept, v->n_made = n_made;
}

static int add_string(struct buf *b, const char *name, const char *s, struct err *err)
{
    TRY(buf_printf(b, err, ",\"%s\":", name));
    return s && *s ? out_string(b, s, strlen(s), err) : buf_add_str(b, "null", err);
}

static int add_ends(struct buf *b, const struct visit *v, struct err *err)
{
    static const char *const words[] = { [ANSWER_STOP] = "stop", [ANSWER_LENGTH] = "length", [ANSWER_CANCELLED] = "cancelled", [ANSWER_FAILED] = "failed" };
    bool any = false;
    TRY(buf_add_str(b, ",\"finish\":{", err));
    for (int i = 0; i <= ANSWER_FAILED; i++)
        if (v->n_end[i]) {
            TRY(buf_printf(b, err, "%s\"%s\":%lld", any ? "," : "", words[i], (long long)v->n_end[i]));
            any = true;
        }
    return buf_add_char(b, '}', err);
}

int visit_line(struct buf *b, struct http_request *q, const struct served_model *s, int status, struct err *err)
{
    const struct visit *v = http_user(q);
    const struct served_as as = v->as.name || !s ? v->as : served_model_as(s, 0);
    char time[32];
    audit_time(time, v->time);
    TRY(buf_printf(b, err, "\"time\":\"%s\"", time));
    TRY(add_string(b, "request_id", http_trace(q)->id, err));
    TRY(add_string(b, "trace_id", http_trace(q)->trace, err));
    TRY(add_string(b, "span_id", http_trace(q)->span, err));
    TRY(add_string(b, "parent_span_id", http_trace(q)->parent, err));
    TRY(add_string(b, "id", v->id, err));
    TRY(add_string(b, "key", v->client ? v->rights.name : NULL, err));
    TRY(add_string(b, "from", http_client(q), err));
    TRY(add_string(b, "method", http_method(q), err));
    TRY(add_string(b, "path", http_path(q), err));
    TRY(buf_printf(b, err, ",\"status\":%d", status));
    TRY(add_string(b, "model", as.name, err));
    TRY(add_string(b, "digest", as.digest, err));
    TRY(add_string(b, "system_fingerprint", as.fingerprint, err));
    if (as.version && *as.version) {
        TRY(add_string(b, "version", as.version, err));
        TRY(add_string(b, "version_root", as.version_root, err));
        TRY(add_string(b, "arm", v->arm, err));
    }
    TRY(v->asked ? buf_add_str(b, v->asked, err) : 0);
    TRY(buf_printf(b, err, ",\"prompt_tokens\":%lld,\"cached_tokens\":%lld,\"completion_tokens\":%lld", (long long)v->n_prompt, (long long)v->n_kept, (long long)v->n_made));
    TRY(add_ends(b, v, err));
    TRY(buf_printf(b, err, ",\"charged_requests\":%lld,\"charged_tokens\":%lld", (long long)v->requests, (long long)v->tokens));
    TRY(v->first > 0 ? buf_printf(b, err, ",\"first_s\":%.6f", v->first - v->begun) : buf_add_str(b, ",\"first_s\":null", err));
    TRY(buf_printf(b, err, ",\"all_s\":%.6f", clock_wall() - v->begun));
    TRY(v->request ? buf_add_str(b, v->request, err) : 0);
    return v->texts ? buf_printf(b, err, ",\"texts\":[%s]", v->texts) : 0;
}
