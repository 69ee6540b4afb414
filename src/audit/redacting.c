/* redacting.c - the spots of an audit's columns, by record, in memory: those of kept records that are to be replaced. */
#include "audit/redacting.h"
#include <stdlib.h>
#include <string.h>
#include "audit/pii.h"
#include "audit/spot.h"
#include "base/log.h"
#include "base/mem.h"

/* Kinds: those of pii.h, then rules. */
struct placed { int64_t record; struct spot spot; };
struct redacting {
    struct placed *placed; size_t n, cap;
    struct redact_kind *kind; bool *keep; int n_kind, score_min;
    const struct redact_key *key;
    int64_t n_record, n_pii;
    bool of_pii, of_secrets;             /* were they looked for? */
};

static int take_kind(struct redacting *r, int kind, const char *name, enum value_form form, enum policy_action action, struct err *err)
{
    if (action == ACTION_PSEUDONYM && !r->key)
        return ERR(err, USAGE, "the policy gives '%s' pseudonyms: --redact-key is missing", name);
    r->kind[kind] = (struct redact_kind){ name, form, action == ACTION_PSEUDONYM ? REDACT_PSEUDONYM : REDACT_TAG };
    r->keep[kind] = action == ACTION_KEEP;
    return 0;
}

static int take_kinds(struct redacting *r, const json_t *report, const struct policy *p, struct err *err)
{
    static const bool plain[N_PII] = {
#define X(name, plain) plain,
        PII_ENTITIES(X)
#undef X
    };
    const json_t *rules = json_object_get(json_object_get(report, "secrets"), "rules");
    const char *name;
    json_t *v;
    r->n_kind = N_PII;
    json_object_foreach((json_t *)(uintptr_t)rules, name, v) {
        const json_int_t k = N_PII + json_integer_value(json_object_get(v, "kind"));
        if (k < N_PII || k > N_PII + UINT16_MAX)
            return ERR(err, CORRUPT, "the report's rule '%.60s' has no kind: audit the data anew", name);
        r->n_kind = k >= r->n_kind ? (int)k + 1 : r->n_kind;
    }
    r->kind = mem_alloc_array((size_t)r->n_kind, sizeof *r->kind);
    r->keep = mem_alloc_array((size_t)r->n_kind, sizeof *r->keep);
    if (!r->kind || !r->keep)
        return ERR(err, NOMEM, "no memory for %d kinds", r->n_kind);
    for (int i = 0; i < N_PII; i++)
        TRY(take_kind(r, i, pii_name(i), plain[i] ? VALUE_PLAIN : VALUE_LOWER, p ? policy_pii(p, pii_name(i)) : ACTION_REDACT, err));
    json_object_foreach((json_t *)(uintptr_t)rules, name, v)
        TRY(take_kind(r, N_PII + (int)json_integer_value(json_object_get(v, "kind")), name, VALUE_EXACT, p ? policy_secret(p, name) : ACTION_REDACT, err));
    return 0;
}

static int add(struct redacting *r, int64_t record, const struct kept_spot *s, int base, struct err *err)
{
    const int kind = base + s->kind;
    if (kind >= r->n_kind || !r->kind[kind].name)
        return ERR(err, CORRUPT, "record %lld: a kind %d that the report has not: audit the data anew", (long long)record, s->kind);
    if (r->keep[kind])
        return 0;
    if (r->n == r->cap) {
        const size_t cap = r->cap ? 2 * r->cap : 1024;
        struct placed *p = mem_realloc_array(r->placed, cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %zu places to redact", cap);
        r->placed = p;
        r->cap = cap;
    }
    r->n_pii += !base;
    r->placed[r->n++] = (struct placed){ record, { s->at, s->n, (uint16_t)kind, s->score } };
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct spot *x = &((const struct placed *)a)->spot, *y = &((const struct placed *)b)->spot;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : x->n != y->n ? (x->n > y->n ? -1 : 1) : (int)x->kind - y->kind;
}

static int add_record(struct redacting *r, const struct segment *g, int i, struct err *err)
{
    size_t n_pii, n_secret;
    const struct kept_spot *pii = SEGMENT_ROW(g, pii, struct kept_spot, i, &n_pii), *secret = SEGMENT_ROW(g, secret, struct kept_spot, i, &n_secret);
    const size_t first = r->n;
    for (size_t k = 0; k < n_pii; k++)
        if (pii[k].score >= r->score_min)
            TRY(add(r, g->first + i, &pii[k], 0, err));
    for (size_t k = 0; k < n_secret; k++)
        if (secret[k].kind != KEPT_GIVEN_UP)
            TRY(add(r, g->first + i, &secret[k], N_PII, err));
    if (r->n - first > 1)
        qsort(r->placed + first, r->n - first, sizeof *r->placed, by_place);
    r->n_record += r->n > first;
    return 0;
}

/* Does the policy say of one of these that it is not kept? */
static bool wants(const struct policy *p, const char *key)
{
    const json_t *v = p ? json_object_get(p->tree, key) : NULL;
    const char *kind;
    json_t *x;
    bool some = json_is_string(v) && strcmp(json_string_value(v), "keep");
    json_object_foreach((json_t *)(uintptr_t)v, kind, x)
        some = some || !json_is_string(x) || strcmp(json_string_value(x), "keep");
    return some;
}

/* What was not looked for cannot be replaced. */
static int check_looked(bool looked, const struct policy *p, const char *key, const char *what, struct err *err)
{
    if (looked)
        return 0;
    if (wants(p, key))
        return ERR(err, USAGE, "the policy says what becomes of %s, and the audit did not look for them: audit without --skip %s, or with %s: keep here", what, key, key);
    log_warn("the audit did not look for %s: none are redacted", what);
    return 0;
}

static int read_spots(struct redacting *r, const struct audit *a, struct err *err)
{
    for (int i = 0; i < a->store.n_segment; i++) {
        struct segment g;
        int rc = store_segment(&a->store, i, &g, err);
        for (int k = 0; !rc && k < g.n; k++)
            rc = audit_kept(a, g.first + k) ? add_record(r, &g, k, err) : 0;
        segment_release(&g);
        TRY(rc);
    }
    return 0;
}

int redacting_new(struct redacting **out, const struct opened *x, const struct policy *policy, const struct redact_key *key, struct err *err)
{
    struct redacting *r = *out = mem_alloc_zero(sizeof *r);
    if (!r)
        return ERR(err, NOMEM, "no memory to redact");
    r->key = key;
    r->score_min = (int)json_integer_value(json_object_get(json_object_get(x->a.report, "pii"), "score"));
    r->of_pii = json_object_get(x->a.report, "pii"), r->of_secrets = json_object_get(x->a.report, "secrets");
    TRY(check_looked(r->of_pii, policy, "pii", "personal data", err));
    TRY(check_looked(r->of_secrets, policy, "secrets", "secrets", err));
    TRY(take_kinds(r, x->a.report, policy, err));
    return read_spots(r, &x->a, err);
}

void redacting_free(struct redacting *r)
{
    if (!r)
        return;
    mem_free(r->placed);
    mem_free(r->kind);
    mem_free(r->keep);
    mem_free(r);
}

static struct redact_kind kind_of(const void *ctx, int kind) { return ((const struct redacting *)ctx)->kind[kind]; }

int redacting_part(const struct redacting *r, int64_t record, const char *text, size_t n, size_t from, size_t to, struct buf *out, struct err *err)
{
    size_t low = 0, high = r->n;
    while (low < high) {                         /* the first of the record's, if it has any */
        const size_t mid = low + (high - low) / 2;
        *(r->placed[mid].record < record ? &low : &high) = r->placed[mid].record < record ? mid + 1 : mid;
    }
    struct spots spots = { .n = 0 };
    int rc = 0;
    for (size_t i = low; !rc && i < r->n && r->placed[i].record == record; i++) {
        struct spot s = r->placed[i].spot;
        const size_t begin = s.at > from ? s.at : from, end = s.at + s.n < to ? s.at + s.n : to;
        if (s.at + s.n > n)
            rc = ERR(err, CORRUPT, "record %lld is not what it was when it was audited: audit it anew", (long long)record);
        else if (begin < end) {
            s.at = begin - from, s.n = end - begin;
            rc = spots_add(&spots, s, err);
        }
    }
    if (!rc && spots.n)
        rc = redact(text + from, to - from, spots.spot, spots.n, r->key, kind_of, r, out, err);
    rc = rc ? rc : spots.n > 0;
    spots_release(&spots);
    return rc;
}

json_t *redacting_told(const struct redacting *r)
{
    return json_pack("{s:I, s:o, s:o}", "records", (json_int_t)r->n_record, "pii", r->of_pii ? json_integer((json_int_t)r->n_pii) : json_null(), "secrets",
                     r->of_secrets ? json_integer((json_int_t)((int64_t)r->n - r->n_pii)) : json_null());
}
