#include "watch/answers.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/opt.h"
#include "base/tree.h"

static struct watch_value number(double v) { return isfinite(v) ? WATCH_OF_NUMBER(v) : WATCH_NONE; }
static struct watch_value count_of(int64_t v) { return v >= 0 ? WATCH_OF_NUMBER((double)v) : WATCH_NONE; }
static struct watch_value word(const char *s) { return *s ? WATCH_OF_TEXT(s, strlen(s)) : WATCH_NONE; }
static struct watch_value flag(int v) { return v < 0 ? WATCH_NONE : WATCH_OF_TEXT(v ? "1" : "0", 1); }
static struct watch_value ratio(double a, double b) { return b > 0 ? number(a / b) : WATCH_NONE; }

static struct watch_value prompt_tokens(const struct event *ev) { return count_of(ev->prompt_tokens); }
static struct watch_value cached_share(const struct event *ev) { return ev->cached_tokens < 0 ? WATCH_NONE : ratio((double)ev->cached_tokens, (double)ev->prompt_tokens); }
static struct watch_value answer_tokens(const struct event *ev) { return count_of(ev->answer_tokens); }
static struct watch_value prompt_nll(const struct event *ev) { return number(ev->prompt_nll); }
static struct watch_value entropy(const struct event *ev) { return number(ev->entropy); }
static struct watch_value confidence(const struct event *ev) { return number(ev->confidence); }
static struct watch_value logprob(const struct event *ev) { return ratio(ev->logprob, (double)ev->answer_tokens); }
static struct watch_value first_s(const struct event *ev) { return number(ev->first_s); }
static struct watch_value token_s(const struct event *ev) { return ev->answer_tokens > 1 ? number((ev->total_s - ev->first_s) / (double)(ev->answer_tokens - 1)) : WATCH_NONE; }
static struct watch_value prompt_language(const struct event *ev) { return word(ev->prompt_language); }
static struct watch_value answer_language(const struct event *ev) { return word(ev->answer_language); }
static struct watch_value finish(const struct event *ev) { return word(ev->finish); }
static struct watch_value refused(const struct event *ev) { return flag(ev->refused); }
static struct watch_value schema_ok(const struct event *ev) { return flag(ev->schema_ok); }
static struct watch_value tool_ok(const struct event *ev) { return flag(ev->tool_ok); }
static struct watch_value experts_effective(const struct event *ev) { return ev->n_expert ? number(ev->experts_effective) : WATCH_NONE; }
static struct watch_value expert(const struct event *ev) { return word(ev->busiest); }
static struct watch_value feedback(const struct event *ev) { return number(ev->score); }
static struct watch_value sketch(const struct event *ev) { return ev->n_sketch == EVENT_SKETCH ? WATCH_OF_VECTOR(ev->sketch) : WATCH_NONE; }

static const struct { const char *name; enum watch_kind kind; struct watch_value (*of)(const struct event *ev); } signals[ANSWER_SIGNALS] = {
    { "prompt_tokens", WATCH_NUMBER, prompt_tokens }, { "cached_share", WATCH_NUMBER, cached_share }, { "answer_tokens", WATCH_NUMBER, answer_tokens },
    { "prompt_nll", WATCH_NUMBER, prompt_nll }, { "entropy", WATCH_NUMBER, entropy }, { "confidence", WATCH_NUMBER, confidence }, { "logprob", WATCH_NUMBER, logprob },
    { "first_s", WATCH_NUMBER, first_s }, { "token_s", WATCH_NUMBER, token_s }, { ANSWER_FEEDBACK, WATCH_NUMBER, feedback },
    { "experts_effective", WATCH_NUMBER, experts_effective }, { "expert", WATCH_CATEGORY, expert },
    { "prompt_language", WATCH_CATEGORY, prompt_language }, { "answer_language", WATCH_CATEGORY, answer_language }, { "finish", WATCH_CATEGORY, finish },
    { "refused", WATCH_CATEGORY, refused }, { "schema_ok", WATCH_CATEGORY, schema_ok }, { "tool_ok", WATCH_CATEGORY, tool_ok },
    { "sketch", WATCH_VECTOR, sketch },
};

const char *answer_signal_name(int i) { return signals[i].name; }
enum watch_kind answer_signal_kind(int i) { return signals[i].kind; }

/* Of what was cancelled, lengths and times say when its client went. */
static struct watch_value value_of(int i, const struct event *ev)
{
    return strcmp(ev->finish, "cancelled") || signals[i].of == finish ? signals[i].of(ev) : WATCH_NONE;
}

void answer_values(struct answer_values *out, const struct event *ev)
{
    for (int i = 0; i < ANSWER_SIGNALS; i++)
        out->of[i] = value_of(i, ev);
}

static int find(const char *name, enum watch_kind kind)
{
    for (int i = 0; i < ANSWER_SIGNALS; i++)
        if (!strcmp(name, signals[i].name) && kind == signals[i].kind)
            return i;
    return -1;
}

void answer_values_for(struct watch_value *out, const struct reference *r, const struct event *ev)
{
    for (int i = 0; i < reference_count(r); i++) {
        const int k = find(reference_name(r, i), reference_kind(r, i));
        const bool fits = k >= 0 && (signals[k].kind != WATCH_VECTOR || reference_dim(r, i) == EVENT_SKETCH);
        out[i] = fits ? value_of(k, ev) : WATCH_NONE;
    }
}

void answer_feedback_for(struct watch_value *out, const struct reference *r, const struct event *ev)
{
    for (int i = 0; i < reference_count(r); i++)
        out[i] = reference_kind(r, i) == WATCH_NUMBER && !strcmp(reference_name(r, i), ANSWER_FEEDBACK) ? feedback(ev) : WATCH_NONE;
}

/* ---- a reference ---- */

struct collected { int64_t n[ANSWER_SIGNALS]; struct reference *r; struct watch_value *value; };

static int count_row(void *ctx, const struct event *ev, struct err *err)
{
    (void)err;
    struct collected *c = ctx;
    struct answer_values v;
    answer_values(&v, ev);
    for (int i = 0; i < ANSWER_SIGNALS; i++)
        c->n[i] += v.of[i].state != WATCH_ABSENT;
    return 0;
}

static int add_row(void *ctx, const struct event *ev, struct err *err)
{
    struct collected *c = ctx;
    answer_values_for(c->value, c->r, ev);
    return reference_add(c->r, c->value, err);
}

/* "prompt_nll, entropy" */
static int choose(bool wanted[ANSWER_SIGNALS], const char *names, struct err *err)
{
    const char *name[ANSWER_SIGNALS];
    for (int i = 0; i < ANSWER_SIGNALS; i++)
        name[i] = signals[i].name, wanted[i] = !names;
    while (names && *names) {
        char one[40] = "";
        const size_t blanks = strspn(names, " "), n = strcspn(names + blanks, ",");
        memcpy(one, names + blanks, n < sizeof one ? n : sizeof one - 1);
        int i = 0;
        while (i < ANSWER_SIGNALS && strcmp(one, name[i]))
            i++;
        if (i == ANSWER_SIGNALS) {
            const char *near = word_nearest(one, name, ANSWER_SIGNALS);
            return ERR(err, USAGE, "answers have no signal '%s'%s%s%s", one, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        wanted[i] = true;
        names += blanks + n;
        names += *names == ',';
    }
    return 0;
}

int answers_reference(struct reference **out, struct events *e, const struct events_where *where, const char *names, uint64_t seed, struct err *err)
{
    bool wanted[ANSWER_SIGNALS];
    struct watch_value value[ANSWER_SIGNALS];
    struct collected c = { .value = value };
    *out = NULL;
    TRY(choose(wanted, names, err));
    TRY(events_read(e, where, count_row, &c, err));
    TRY(reference_new(&c.r, &(struct reference_opts){ .seed = seed }, err));
    int rc = 0;
    for (int i = 0; i < ANSWER_SIGNALS && !rc; i++)
        if (wanted[i] && c.n[i] >= ANSWER_ENOUGH)
            rc = reference_signal(c.r, signals[i].name, signals[i].kind, signals[i].kind == WATCH_VECTOR ? EVENT_SKETCH : 0, err);
    if (!rc && !reference_count(c.r))
        rc = ERR(err, RANGE, "found %lld answers to compare with, expected at least %d", (long long)c.n[find("finish", WATCH_CATEGORY)], ANSWER_ENOUGH);
    rc = rc ? rc : events_read(e, where, add_row, &c, err);
    rc = rc ? rc : reference_close(c.r, err);
    if (rc)
        reference_free(c.r);
    else
        *out = c.r;
    return rc;
}

/* ---- a window ---- */

struct windowed { const struct reference *r; struct reference *window; struct watch_value *value; };

static int add_to_window(void *ctx, const struct event *ev, struct err *err)
{
    struct windowed *c = ctx;
    answer_values_for(c->value, c->r, ev);
    return reference_add(c->window, c->value, err);
}

int answers_window(struct reference **out, const struct reference *r, struct events *e, const struct events_where *where, uint64_t seed, struct err *err)
{
    const int n = reference_count(r);
    struct windowed c = { .r = r, .value = mem_alloc_array((size_t)n, sizeof *c.value) };
    *out = NULL;
    int rc = c.value ? reference_new(&c.window, &(struct reference_opts){ .seed = seed }, err) : ERR(err, NOMEM, "no memory for %d signals", n);
    for (int i = 0; i < n && !rc; i++)
        rc = reference_signal(c.window, reference_name(r, i), reference_kind(r, i), reference_dim(r, i), err);
    rc = rc ? rc : events_read(e, where, add_to_window, &c, err);
    mem_free(c.value);
    if (rc)
        reference_free(c.window);
    else
        *out = c.window;
    return rc;
}

/* ---- what was registered ---- */

#define REFERENCE_BYTES ((size_t)1 << 30)

/* What cannot be read is none; without memory it is not known. */
static int read_reference(struct reference **out, struct registry *g, const char *blob, struct err *err)
{
    struct buf text;
    json_t *o = NULL;
    buf_init(&text);
    int rc = blob_get(registry_folder(g), blob, REFERENCE_BYTES, &text, err);
    rc = rc ? rc : tree_parse_json(&o, text.data, text.len, "evidence", err);
    rc = rc ? rc : reference_from_json(out, o, "evidence", err);
    json_decref(o);
    buf_release(&text);
    if (rc)
        *out = NULL;
    return rc == ERR_NOMEM ? rc : 0;
}

int answers_registered(struct reference **out, struct registry *g, const struct registry_version *v, json_t **which, struct err *err)
{
    json_t *list;
    *out = NULL;
    TRY(registry_evidence(g, v, &list, err));
    int rc = 0;
    for (size_t i = json_array_size(list); i-- > 0 && !*out && !rc;) {
        json_t *one = json_array_get(list, i);
        const char *kind = tree_text_at(one, "kind");
        if (!strcmp(kind, "reference") || !strcmp(kind, "file"))
            rc = read_reference(out, g, tree_text_at(one, "blob"), err);
        if (*out && which)
            *which = json_incref(one);
    }
    json_decref(list);
    return rc || *out ? rc : ERR(err, NOTFOUND, "version %lld of %s was registered without a reference", (long long)v->number, v->name);
}
