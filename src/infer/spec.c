#include "infer/spec.h"
#include <string.h>
#include "base/mem.h"

#define N_GRAM 3
#define N_PLACE 4                /* places in a draft that have a share of their own; the last is of all further ones */
#define LOSS 0.02                /* share of the time that drafts may lose */
#define MEMORY 256.              /* steps that the balance remembers */
#define MARGIN 1.05              /* what a draft must promise: times are measured with noise */
#define PROBE 16                 /* every so often another length is tried */

/* A kind of draft: a lookup by the length of what was alike, or the model. */
enum { KIND_MODEL = 0, N_KIND = N_GRAM + 1 };

struct mean { double value; int n; };        /* of the last few dozen values */

struct draft_model { struct engine *e; int32_t *held; int n_held, n_same; };       /* tokens in its cache; how many are known to be the text's */

struct spec {
    struct engine *e;
    struct draft_model model;
    int lookup, most;
    struct sample_ids ids;
    bool always;
    struct sample_scratch scratch;
    int32_t *text;                           /* [ctx + 1] */
    int n_text, n_cached;                    /* tokens of the text; of these in the cache */
    /* the last step: logits of n_row rows, those from `row` on not used yet; draft[i] is what row i should give */
    const float *logits;                     /* NULL: they are on a device, which draws */
    struct engine_draw draws[SPEC_N_LOGITS]; int n_draws;        /* what it drew, when the step was made */
    int row, n_row, n_draft, kind;
    int32_t draft[SPEC_MAX];
    /* what was measured */
    struct mean step_s[SPEC_N_LOGITS + 1], draft_s;      /* by rows; a token of the draft model */
    struct mean right[N_KIND][N_PLACE];                  /* share of right ones where all before were right */
    double time_s, debt_s;                               /* of the last steps; what drafts took more than their tokens one by one */
    unsigned n_choice;
    struct spec_stats stats;
};

static void mean_add(struct mean *m, double value)
{
    m->n += m->n < 32;
    m->value += (value - m->value) / m->n;
}

/* ---- prompt lookup ---- */

int spec_lookup(const int32_t *text, int n, int most, int32_t *draft)
{
    int best = 0, after = 0;
    for (int i = n - 2; i >= 0 && best < N_GRAM; i--) {
        int alike = 0;
        while (alike < N_GRAM && alike <= i && text[i - alike] == text[n - 1 - alike])
            alike++;
        if (alike > best)
            best = alike, after = i + 1;
    }
    for (int i = 0; best && i < most; i++)
        draft[i] = after + i < n ? text[after + i] : draft[after + i - n];
    return best;
}

/* ---- a draft model ---- */

/* Brings the text into the draft model's cache from where it differs on; the logits after its last token. */
static int model_follow(struct spec *s, const float **logits, struct err *err)
{
    struct draft_model *m = &s->model;
    int at = m->n_same;
    while (at < m->n_held && at < s->n_text - 1 && m->held[at] == s->text[at])
        at++;
    at = at < s->n_text ? at : s->n_text - 1;
    m->n_held = m->n_same = at;
    TRY(engine_feed(m->e, 0, at, s->text + at, s->n_text - at, logits, err));
    memcpy(m->held + at, s->text + at, (size_t)(s->n_text - at) * sizeof *m->held);
    m->n_held = m->n_same = s->n_text;
    return 0;
}

/* Guesses up to `most` tokens, drawn as the model's will be: where both models agree, so do the draws.  Returns their number. */
static int model_draft(struct spec *s, const struct sampling *sampling, int most, struct err *err)
{
    struct draft_model *m = &s->model;
    const float *logits;
    const int ctx = engine_ctx(m->e);
    if (s->n_text > ctx)
        return 0;
    most = most <= ctx - s->n_text ? most : ctx - s->n_text + 1;
    TRY(model_follow(s, &logits, err));
    for (int i = 0; i < most; i++) {
        const int32_t id = sample_token(logits, s->ids, sampling, (uint64_t)m->n_held, s->scratch);
        if (id < 0)
            return i;
        s->draft[i] = id;
        if (i + 1 == most)
            break;
        TRY(engine_feed(m->e, 0, m->n_held, &id, 1, &logits, err));
        m->held[m->n_held++] = id;
    }
    return most;
}

/* ---- how long a draft should be ---- */

/* Steps of a size that was not met yet are thought to take as long as the next smaller ones: so they will be tried.  None is
 * shorter than one of a single token; where it was, another program held that one up. */
static double step_time(const struct spec *s, int n_row)
{
    while (n_row > 1 && !s->step_s[n_row].n)
        n_row--;
    const double one = s->step_s[1].value, t = s->step_s[n_row].value;
    return t > one ? t : one;
}

/* At most twice what was measured: a first try that costs much more than was thought is a short one. */
static int reach(const struct spec *s, int kind, int most)
{
    int k = kind == KIND_MODEL && !s->draft_s.n ? 0 : SPEC_MAX;
    while (k > 0 && !s->step_s[k + 1].n)
        k--;
    return most < 2 * k || most < 1 ? most : k ? 2 * k : 1;
}

/* Tokens in a second with drafts of k tokens of which the first `tokens` - 1 are right. */
static double rate_of(const struct spec *s, int kind, int k, double tokens)
{
    return tokens / (step_time(s, k + 1) + (kind == KIND_MODEL ? k * s->draft_s.value : 0));
}

/* 0 to `most` tokens: the length that gives the most tokens in a second. */
static int choose(struct spec *s, int kind, int most)
{
    const double one = s->step_s[1].value;
    if (s->always || most < 1)
        return most;
    if (s->step_s[1].n < 3 || s->debt_s > LOSS * s->time_s + 2 * one)
        return 0;
    most = reach(s, kind, most);
    if (++s->n_choice % PROBE == 0) {
        const int k = 1 + (int)(s->n_choice / PROBE) % most;
        return rate_of(s, kind, k, k + 1) * one > 1 ? k : 0;         /* not what cannot pay even if all is right */
    }
    int best = 0;
    double rate = MARGIN / one, tokens = 1, all_right = 1;
    for (int k = 1; k <= most; k++) {
        all_right *= s->right[kind][k - 1 < N_PLACE ? k - 1 : N_PLACE - 1].value;
        tokens += all_right;
        if (rate_of(s, kind, k, tokens) > rate)
            best = k, rate = rate_of(s, kind, k, tokens);
    }
    return best;
}

/* Fills s->draft. */
static int make_draft(struct spec *s, const struct sampling *sampling, int most, struct err *err)
{
    const int room = engine_ctx(s->e) - s->n_text;
    int n = 0;
    most = most < s->most ? most : s->most;
    most = most < room ? most : room;
    if (s->lookup) {
        s->kind = spec_lookup(s->text, s->n_text, most < s->lookup ? most : s->lookup, s->draft);
        n = s->kind ? choose(s, s->kind, most < s->lookup ? most : s->lookup) : 0;
    }
    if (!n && s->model.e && (n = choose(s, KIND_MODEL, most)) > 0) {
        const double start = clock_wall();
        s->kind = KIND_MODEL;
        TRY(n = model_draft(s, sampling, n, err));
        const double t = clock_wall() - start;
        s->debt_s += t;
        if (n)
            mean_add(&s->draft_s, t / n);
    }
    return n;
}

/* ---- steps ---- */

/* On the device: of rows row .. row + n - 1 of the last head. */
static int draw_rows(struct spec *s, const struct sampling *sampling, int n, struct err *err)
{
    for (int i = 0; i < n; i++)
        s->draws[i] = (struct engine_draw){ *sampling, (uint64_t)(s->n_text + i), -1 };
    TRY(engine_draw(s->e, 0, n, s->draws, err));
    s->n_draws = n;
    return 0;
}

static bool same_sampling(const struct sampling *a, const struct sampling *b)
{
    return a->temperature == b->temperature && a->top_k == b->top_k && a->top_p == b->top_p && a->min_p == b->min_p && a->seed == b->seed;
}

/* The token of the row: as it was drawn, unless that was with other settings, or before any were known. */
static int token_of(struct spec *s, const struct sampling *sampling, int32_t *id, struct err *err)
{
    if (s->logits) {
        *id = engine_sample(s->e, s->logits + (size_t)s->row * (size_t)engine_config(s->e)->vocab_size, s->ids, sampling, (uint64_t)s->n_text, s->scratch);
        return 0;
    }
    struct engine_draw *d = &s->draws[s->row];
    if (s->row >= s->n_draws || !same_sampling(&d->sampling, sampling)) {
        *d = (struct engine_draw){ *sampling, (uint64_t)s->n_text, -1 };
        TRY(engine_draw(s->e, s->row, 1, d, err));
    }
    *id = d->id;
    return 0;
}

/* Runs the last token of the text, and with it a draft of what comes next. */
static int step(struct spec *s, const struct sampling *sampling, int most, struct err *err)
{
    int32_t ids[SPEC_N_LOGITS], row[SPEC_N_LOGITS];
    int n;
    TRY(n = make_draft(s, sampling, most - 1, err));
    ids[0] = s->text[s->n_text - 1];
    memcpy(ids + 1, s->draft, (size_t)n * sizeof *ids);
    for (int i = 0; i <= n; i++)
        row[i] = i;
    const double start = clock_wall();
    TRY(engine_run(s->e, &(struct engine_part){ 0, s->n_text - 1, n + 1, ids, NULL, 0 }, 1, err));
    TRY(engine_head_rows(s->e, row, n + 1, err));
    s->logits = NULL, s->n_draws = 0;
    TRY(engine_draws(s->e) ? draw_rows(s, sampling, n + 1, err) : engine_logits(s->e, &s->logits, err));
    const double t = clock_wall() - start;
    mean_add(&s->step_s[n + 1], t);
    s->time_s = s->time_s * (1 - 1 / MEMORY) + t;
    s->debt_s = s->debt_s * (1 - 1 / MEMORY) + (n ? t : 0);
    s->row = 0, s->n_row = n + 1, s->n_draft = n, s->n_cached = s->n_text;
    s->stats.n_drafted += n;
    return 0;
}

/* The token of the row is known: is the next row valid? */
static void judge(struct spec *s, int32_t id)
{
    s->debt_s -= s->n_draft ? s->step_s[1].value : 0;
    if (s->row == s->n_draft) {
        s->n_row = 0;
        return;
    }
    const bool right = s->draft[s->row] == id;
    mean_add(&s->right[s->kind][s->row < N_PLACE ? s->row : N_PLACE - 1], right);
    s->stats.n_accepted += right;
    s->row++;
    if (right)
        s->n_cached = s->n_text;
    else
        s->n_row = 0;
}

int spec_next(struct spec *s, const struct sampling *sampling, int most, int32_t *id, struct err *err)
{
    if (spec_full(s))
        return ERR(err, RANGE, "a token after position %d, but there are %d positions", s->n_text - 1, engine_ctx(s->e));
    if (!s->n_row)
        TRY(step(s, sampling, most, err));
    TRY(token_of(s, sampling, id, err));
    if (*id < 0)
        return ERR(err, NUMERIC, "the model gave values that are not numbers at position %d", s->n_text);
    s->text[s->n_text++] = *id;
    judge(s, *id);
    return 0;
}

int spec_begin(struct spec *s, const int32_t *ids, int n)
{
    int at = 0;
    while (at < n - 1 && at < s->n_cached && ids[at] == s->text[at])
        at++;
    s->n_text = s->n_cached = at;
    s->n_row = 0;
    s->model.n_same = s->model.n_same < at ? s->model.n_same : at;
    return at;
}

int spec_feed(struct spec *s, const int32_t *ids, int n, struct err *err)
{
    if (n > engine_ctx(s->e) - s->n_text)
        return ERR(err, RANGE, "%d tokens from position %d on, but there are %d positions", n, s->n_text, engine_ctx(s->e));
    s->n_row = 0;
    s->logits = NULL, s->n_draws = 0;
    TRY(engine_feed(s->e, 0, s->n_text, ids, n, engine_draws(s->e) ? NULL : &s->logits, err));
    memcpy(s->text + s->n_text, ids, (size_t)n * sizeof *ids);
    s->n_text = s->n_cached = s->n_text + n;
    s->row = s->n_draft = 0, s->n_row = 1;
    const float *ignored;
    return s->model.e && s->n_text <= engine_ctx(s->model.e) ? model_follow(s, &ignored, err) : 0;
}

int spec_n_token(const struct spec *s) { return s->n_text; }
bool spec_full(const struct spec *s) { return s->n_text > engine_ctx(s->e); }
struct spec_stats spec_stats(const struct spec *s) { return s->stats; }

/* ---- begin and end ---- */

static int same_vocabulary(const struct engine *e, const struct engine *draft, const char *path, struct err *err)
{
    const struct tok *a = engine_tok(e), *b = engine_tok(draft);
    const int n = a ? tok_vocab_size(a) : engine_config(e)->vocab_size, m = b ? tok_vocab_size(b) : engine_config(draft)->vocab_size;
    if (n != m)
        return ERR(err, FORMAT, "the draft model %s has %d tokens, the model %d; expected the same vocabulary", path, m, n);
    for (int i = 0; a && b && i < n; i++) {
        size_t n_a = 0, n_b = 0;
        const char *text_a = tok_bytes(a, i, &n_a), *text_b = tok_bytes(b, i, &n_b);
        if (!text_a != !text_b || n_a != n_b || (n_a && memcmp(text_a, text_b, n_a)))
            return ERR(err, FORMAT, "token %d of the draft model %s is '%.*s', of the model '%.*s'; expected the same vocabulary", i, path, (int)(n_b < 40 ? n_b : 40),
                       text_b ? text_b : "", (int)(n_a < 40 ? n_a : 40), text_a ? text_a : "");
    }
    return 0;
}

static int open_draft(struct spec *s, const struct spec_opts *o, struct err *err)
{
    struct draft_model *m = &s->model;
    const struct engine_opts d = { .n_slot = 1, .ctx = engine_ctx(s->e), .ctx_clip = true, .step_tokens = engine_step_tokens(s->e), .no_tok = !engine_tok(s->e), .as = o->draft_as };
    TRY(engine_new(&m->e, o->draft, &d, o->pool, err));
    TRY(same_vocabulary(s->e, m->e, o->draft, err));
    m->held = mem_alloc_array((size_t)engine_ctx(m->e), sizeof *m->held);
    return m->held ? 0 : ERR(err, NOMEM, "no memory for a draft of %d positions", engine_ctx(m->e));
}

static int set_up(struct spec *s, const struct spec_opts *o, struct err *err)
{
    const int V = engine_config(o->e)->vocab_size, rows = engine_n_logits(o->e) < engine_step_tokens(o->e) ? engine_n_logits(o->e) : engine_step_tokens(o->e);
    s->e = o->e, s->always = o->always;
    s->ids = sample_ids(engine_tok(o->e), V);
    s->most = rows - 1 < SPEC_MAX ? rows - 1 : SPEC_MAX;
    s->lookup = o->lookup;
    static const double at_first[N_KIND] = { 0.7, 0.2, 0.4, 0.6 };      /* the more was alike, the more often it goes on alike */
    for (int i = 0; i < N_KIND * N_PLACE; i++)
        s->right[i / N_PLACE][i % N_PLACE] = (struct mean){ i % N_PLACE ? 0.7 : at_first[i / N_PLACE], 2 };
    s->text = mem_alloc_array((size_t)engine_ctx(o->e) + 1, sizeof *s->text);
    s->scratch = (struct sample_scratch){ mem_alloc_array((size_t)V, 2 * sizeof *s->scratch.id), mem_alloc_array((size_t)V, sizeof *s->scratch.p) };
    if (!s->text || !s->scratch.id || !s->scratch.p)
        return ERR(err, NOMEM, "no memory for a text of %d tokens of %d", engine_ctx(o->e), V);
    return o->draft ? open_draft(s, o, err) : 0;
}

int spec_new(struct spec **out, const struct spec_opts *o, struct err *err)
{
    struct spec *s = mem_alloc_array(1, sizeof *s);
    *out = NULL;
    if (!s)
        return ERR(err, NOMEM, "no memory for a text");
    const int rc = set_up(s, o, err);
    if (rc < 0)
        spec_free(s);
    else
        *out = s;
    return rc;
}

void spec_free(struct spec *s)
{
    if (!s)
        return;
    engine_free(s->model.e);
    mem_free(s->model.held);
    mem_free(s->text);
    mem_free(s->scratch.id);
    mem_free(s->scratch.p);
    mem_free(s);
}
