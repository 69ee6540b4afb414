/* test_batch.c - texts in company: the same tokens and probabilities as alone, whatever the steps, pages, guesses and threads. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/batch.h"
#include "infer/pace.h"
#include "infer/spec.h"

static struct err err;
static struct pool *pools[2];      /* 1, 2 threads */

#define N_TEXT 40
#define CTX 256
#define MOST 150
#define TOP 3

/* A wish, and what came of it. */
struct made {
    struct text_request r;
    int32_t prompt[CTX];
    uint64_t rule;                                   /* of what was accepted: adjust() forbids by it */
    int32_t id[MOST]; float logprob[MOST]; struct token_prob top[MOST][TOP]; int n;
    float prompt_logprob[CTX]; int n_prompt;
    double hidden[CTX]; int n_hidden;                /* sums that tell one state from another */
    enum text_end end;
    int n_accepted, n_done, n_kept;
    struct text_signals signals;
};

static int adjust(void *ctx, float *logits, int V, struct err *e)
{
    const struct made *m = ctx;
    for (int i = 0; i < V; i++)
        if ((rng_u64(m->rule, (uint64_t)i) & 3) == 0)
            logits[i] = -INFINITY;
    return m->n_accepted == 20 && m->r.sampling.seed % 7 == 3 ? ERR(e, FORMAT, "no token is allowed") : V;      /* some cannot go on */
}

static void accept(void *ctx, int32_t id)
{
    struct made *m = ctx;
    m->rule = rng_u64(m->rule, (uint64_t)id), m->n_accepted++;
}

static void prompt_token(void *ctx, const struct text_token *t)
{
    struct made *m = ctx;
    assert_int_equal(t->position, ++m->n_prompt);
    assert_int_equal(t->id, m->prompt[t->position]);
    m->prompt_logprob[t->position] = t->logprob;
}

static void hidden_state(void *ctx, const float *x, int position)
{
    struct made *m = ctx;
    assert_int_equal(position, m->r.last_hidden ? m->r.n - 1 : m->n_hidden);
    m->n_hidden++;
    for (int i = 0; i < 24; i++)                     /* d_model is 24 or more */
        m->hidden[position] += (double)x[i] * (i + 1);
}

static bool token(void *ctx, const struct text_token *t)
{
    struct made *m = ctx;
    assert_true(m->n < MOST && t->position == m->r.n + m->n);
    m->id[m->n] = t->id, m->logprob[m->n] = t->logprob;
    memcpy(m->top[m->n], t->top, (size_t)t->n_top * sizeof *t->top);
    m->n++;
    return t->id != 30;                         /* some end by themselves */
}

static void done(void *ctx, enum text_end end, int n_kept, const struct err *e)
{
    struct made *m = ctx;
    (void)e;
    assert_true(n_kept < m->r.n);
    m->end = end, m->n_done++, m->n_kept = n_kept;
}

static void wish(struct made *m, uint64_t i, int V, int n_adapter)
{
    const uint64_t dice = rng_u64(17, i);
    const int n = 1 + (int)(dice % 100), alike = (int)(dice >> 8 & 3) * 45;
    for (int k = 0; k < n; k++)
        m->prompt[k] = (int32_t)((k < alike ? rng_u64(5, (uint64_t)(k % 9)) : rng_u64(i + 100, (uint64_t)(k % 6))) % (uint64_t)V);
    static const double temperatures[] = { 0, 0.3, 1, 1.5 };
    m->r = (struct text_request){ .ids = m->prompt, .n = n, .most = (int)(dice >> 16 & 255) % (MOST + 1), .n_logprob = (int)(dice >> 24 & 3) % (TOP + 1) - 1, .prompt_probs = (dice >> 32 & 7) == 0,
                                  .sampling = { .temperature = temperatures[dice >> 40 & 3], .top_p = dice >> 42 & 1 ? 1 : 0.8, .top_k = dice >> 43 & 1 ? 0 : 20, .seed = i },
                                  .priority = (int)(dice >> 48 & 1), .share = (dice >> 52 & 7) != 0, .root = { { (unsigned char)(dice >> 56 & 1) } },
                                  .adapter = (int)(rng_u64(18, i) % (uint64_t)n_adapter), .adjust = dice >> 60 & 1 ? adjust : NULL, .accept = accept, .prompt = prompt_token, .hidden = dice >> 34 & 1 ? hidden_state : NULL, .last_hidden = dice >> 35 & 1, .token = token, .done = done, .ctx = m };
    m->r.root.sha256[1] = (unsigned char)m->r.adapter;
    m->r.signals = &m->signals;
    m->rule = 1;
}

static void again(struct made *m)
{
    m->n = m->n_prompt = m->n_done = m->n_accepted = m->n_hidden = 0, m->rule = 1;
    memset(m->hidden, 0, sizeof m->hidden);
    m->signals = (struct text_signals){ 0 };
}

static void open_batch_kv(struct batch **b, struct engine **e, const char *path, enum engine_kv kv, int n_slot, int n_page, int step, struct pool *pool, int lookup)
{
    static const char *const adapters[] = { "tests/golden/lora", "tests/golden/peft" };
    const struct engine_opts o = { .adapter = adapters, .n_adapter = strcmp(path, "tests/golden/llama") ? 0 : 2, .kv = kv, .n_slot = n_slot, .n_page = n_page, .ctx = CTX, .step_tokens = step, .n_logits = 20, .no_tok = true, .rope_scaling = "linear:4" };
    OK(engine_new(e, path, &o, pool, &err));
    const struct batch_opts p = { .e = *e, .pool = pool, .lookup = lookup, .always = true, .stretch = -1 };
    OK(batch_new(b, &p, &err));
}

static void open_batch(struct batch **b, struct engine **e, const char *path, int n_slot, int n_page, int step, struct pool *pool, int lookup)
{
    open_batch_kv(b, e, path, ENGINE_KV_AUTO, n_slot, n_page, step, pool, lookup);
}

static void compare(const struct made *a, const struct made *b, const char *what, int i)
{
    if (b->n_done != 1 || a->end != b->end || a->n != b->n || a->n_prompt != b->n_prompt || a->n_hidden != b->n_hidden)
        fail_msg("%s, text %d: %d tokens of %d prompt tokens, end %d, done %d times; alone %d, %d, %d", what, i, b->n, b->n_prompt, (int)b->end, b->n_done, a->n, a->n_prompt, (int)a->end);
    if (memcmp(a->id, b->id, (size_t)a->n * sizeof *a->id))
        fail_msg("%s, text %d: other tokens than alone", what, i);
    if (memcmp(a->prompt_logprob, b->prompt_logprob, (size_t)(a->n_prompt + 1) * sizeof *a->prompt_logprob))
        fail_msg("%s, text %d: other probabilities of the prompt than alone", what, i);
    if (memcmp(a->hidden, b->hidden, sizeof a->hidden))
        fail_msg("%s, text %d: other hidden states than alone", what, i);
    const struct text_signals *x = &a->signals, *y = &b->signals;
    if (x->n_token != y->n_token || x->n_look != y->n_look || x->entropy != y->entropy || x->confidence != y->confidence || x->logprob != y->logprob || memcmp(x->sketch, y->sketch, sizeof x->sketch))
        fail_msg("%s, text %d: other signals than alone", what, i);
    if (a->end != TEXT_FAILED && x->n_token != a->n)
        fail_msg("%s, text %d: signals of %d tokens, expected %d", what, i, x->n_token, a->n);
    if (y->n_prompt > signals_prompt_rows(b->r.n, b->n_kept) || (b->n_kept == a->n_kept && y->n_prompt == x->n_prompt && y->prompt_nll != x->prompt_nll))
        fail_msg("%s, text %d: %d rows of the prompt, %d kept, %.9g; alone %d, %.9g", what, i, y->n_prompt, b->n_kept, y->prompt_nll, x->n_prompt, x->prompt_nll);
    double sum = 0;
    for (int k = 0; a->r.n_logprob >= 0 && k < a->n; k++)
        sum += (double)a->logprob[k];
    if (a->r.n_logprob >= 0 && a->end != TEXT_FAILED && fabs(sum - x->logprob) > 1e-5 * fabs(sum) + 1e-5)         /* the kernel's own bound */
        fail_msg("%s, text %d: log-probabilities sum to %.9g, signals say %.9g", what, i, sum, x->logprob);
    for (int k = 0; a->r.n_logprob >= 0 && k < a->n; k++)
        if (a->logprob[k] != b->logprob[k] || memcmp(a->top[k], b->top[k], (size_t)a->r.n_logprob * sizeof *a->top[k]))
            fail_msg("%s, text %d: other probabilities than alone at token %d", what, i, k);
}

static void texts_in_company_are_as_alone(void **state)
{
    (void)state;
    static const char *const models[] = { "tests/golden/llama", "tests/golden/families/olmoe", "tests/golden/families/mistral_window" };
    static const enum engine_kv kv[] = { ENGINE_KV_AUTO, ENGINE_KV_BF16, ENGINE_KV_INT8 };
    static const struct { const char *name; int n_slot, n_page, step, thread, lookup; } company[] = {
        { "steps of 7", 6, 40, 7, 0, 0 }, { "steps of 64, guesses", 6, 40, 64, 1, 8 }, { "steps of 512", 12, 80, 512, 1, 0 }, { "few pages, guesses", 8, 6, 64, 0, 5 }, { "few pages", 5, 5, 30, 1, 0 },
    };
    struct made *alone = calloc(N_TEXT, sizeof *alone), *m = calloc(N_TEXT, sizeof *m);
    struct batch_counts sum = { 0 };
    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        struct engine *e;
        struct batch *b;
        uint64_t id;
        open_batch_kv(&b, &e, models[k], kv[k], 1, 4, 64, pools[0], 0);
        for (int i = 0; i < N_TEXT; i++) {
            wish(&alone[i], (uint64_t)i, engine_config(e)->vocab_size, engine_n_adapter(e) + 1);
            again(&alone[i]);
            struct text_request r = alone[i].r;
            r.share = false;
            OK(batch_submit(b, &r, &id, &err));
            while (batch_step(b))
                ;
        }
        batch_free(b);
        engine_free(e);
        for (size_t c = 0; c < sizeof company / sizeof *company; c++) {
            open_batch_kv(&b, &e, models[k], kv[k], company[c].n_slot, company[c].n_page, company[c].step, pools[company[c].thread], company[c].lookup);
            int next = 0;
            for (uint64_t step = 0; next < N_TEXT || batch_step(b); step++) {
                if (next < N_TEXT && rng_u64(3 + c, step) % 3 != 0) {
                    wish(&m[next], (uint64_t)next, engine_config(e)->vocab_size, engine_n_adapter(e) + 1);
                    again(&m[next]);
                    OK(batch_submit(b, &m[next].r, &id, &err));
                    next++;
                } else if (next < N_TEXT) {
                    batch_step(b);
                }
            }
            for (int i = 0; i < N_TEXT; i++)
                compare(&alone[i], &m[i], company[c].name, i);
            struct batch_counts n;
            batch_counts(b, &n);
            assert_int_equal(n.pages.n_held, 0);
            sum.n_put_aside += n.n_put_aside, sum.n_accepted += n.n_accepted, sum.pages.n_found += n.pages.n_found, sum.pages.n_evicted += n.pages.n_evicted;
            batch_free(b);
            engine_free(e);
        }
    }
    if (sum.n_put_aside < 5 || !sum.n_accepted || !sum.pages.n_found || !sum.pages.n_evicted)
        fail_msg("%d put aside, %d guesses right, %d tokens found, %d pages evicted: the test has not seen it all", (int)sum.n_put_aside, (int)sum.n_accepted, (int)sum.pages.n_found, (int)sum.pages.n_evicted);
    free(alone);
    free(m);
}

struct seen_routes { int n; int64_t rows; };
static void count_routed(void *ctx, int n_expert, const int32_t *start)
{
    struct seen_routes *r = ctx;
    r->n++, r->rows += start[n_expert];
}
static void not_watched(void *ctx, int n_row, double now) { (void)ctx, (void)n_row, (void)now; }
static void no_token(void *ctx, const struct text_times *t, double now) { (void)ctx, (void)t, (void)now; }
static void no_end(void *ctx, const struct text_times *t) { (void)ctx, (void)t; }
static bool more(void *ctx, const struct text_token *t) { return !ctx && t->id >= 0; }

/* Each layer sends each row of each text to top_k experts; a text that is not looked at is counted for all, but not for another. */
static void rows_of_experts_are_counted_by_text(void **state)
{
    (void)state;
    enum { N = 3 };
    static const int32_t ids[40] = { 1, 5, 9, 3, 7, 2, 8, 4 };
    struct seen_routes all = { 0 };
    const struct batch_watch watch = { not_watched, no_token, no_end, count_routed, &all };
    struct engine *e;
    struct batch *b;
    uint64_t id;
    OK(engine_new(&e, "tests/golden/families/olmoe", &(struct engine_opts){ .n_slot = 4, .n_page = 20, .step_tokens = 16, .n_logits = 16, .no_tok = true }, pools[0], &err));
    OK(batch_new(&b, &(struct batch_opts){ .e = e, .pool = pools[0], .watch = &watch }, &err));
    const struct config *c = engine_config(e);
    struct text_signals s[N] = { { 0 } };
    for (int i = 0; i < N; i++) {
        s[i].n_route = c->n_layer, s[i].n_expert = c->n_expert;
        s[i].expert = i == 1 ? NULL : calloc((size_t)(c->n_layer * c->n_expert), sizeof(int32_t));
        OK(batch_submit(b, &(struct text_request){ .ids = ids, .n = 10 + 12 * i, .most = 4, .sampling = { .temperature = 0 }, .n_logprob = -1, .signals = &s[i], .token = more }, &id, &err));
    }
    while (batch_step(b))
        ;
    for (int i = 0; i < N; i += 2) {
        const int rows = 10 + 12 * i + 3;                            /* the last token is not fed */
        int32_t *pooled = calloc((size_t)c->n_expert, sizeof *pooled);
        int64_t sum = 0;
        for (int l = 0; l < c->n_layer; l++) {
            int64_t layer = 0;
            for (int k = 0; k < c->n_expert; k++)
                layer += s[i].expert[l * c->n_expert + k];
            assert_int_equal(layer, rows * c->top_k);
        }
        const double used = signals_experts(&s[i], pooled);
        for (int k = 0; k < c->n_expert; k++)
            sum += pooled[k];
        assert_int_equal(sum, rows * c->top_k * c->n_layer);
        assert_true(used >= c->top_k - 1e-9 && used <= c->n_expert + 1e-9);
        memset(s[i].expert, 0, (size_t)c->n_expert * sizeof(int32_t));   /* a router that has collapsed, in one layer of several */
        s[i].expert[1] = rows;
        assert_true(fabs(signals_experts(&s[i], pooled) - 1) < 1e-9);
        free(pooled);
    }
    assert_int_equal(all.rows, (10 + 22 + 34 + 9) * c->top_k * c->n_layer);
    memset(s[0].expert, 0, (size_t)(c->n_layer * c->n_expert) * sizeof(int32_t));
    int32_t none[64];
    assert_true(c->n_expert <= 64 && isnan(signals_experts(&s[0], none)) && none[0] == 0);
    for (int i = 0; i < N; i++)
        free(s[i].expert);
    batch_free(b);
    engine_free(e);
}

static bool go_on(void *ctx, const struct text_token *t) { return ctx && t->id >= 0; }

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct engine *e;
    struct batch *b;
    uint64_t id;
    struct made *m = calloc(1, sizeof *m);
    open_batch(&b, &e, "tests/golden/llama", 2, 3, 64, pools[0], 0);
    wish(m, 1, engine_config(e)->vocab_size, engine_n_adapter(e) + 1);
    struct text_request r = m->r;
    r.n = 0;
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_RANGE);
    r.n = CTX + 1;
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_RANGE);
    r.n = 100, r.most = 110;                         /* 210 positions, but 3 pages */
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_RANGE);
    assert_non_null(strstr(err.msg, "192"));
    r.most = 94;                                     /* the last of them needs no position, but there is one too many */
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_RANGE);
    r.most = 93;
    r.token = go_on, r.adjust = NULL, r.share = true, r.prompt_probs = false, r.hidden = NULL;
    memset(m->prompt, 0, sizeof m->prompt);
    OK(batch_submit(b, &r, &id, &err));
    while (batch_step(b))
        ;
    assert_int_equal(m->end, TEXT_LENGTH);
    again(m);
    r.n = 190, r.most = 1;                           /* takes all pages, and there is none for a copy of the one whose beginning it shares */
    m->prompt[100] = 1, m->r.n = r.n;
    OK(batch_submit(b, &r, &id, &err));
    for (int i = 0; i < 100 && !m->n_done; i++)
        batch_step(b);
    assert_int_equal(m->n_done, 1);
    assert_int_equal(m->n_kept, 64);
    again(m);
    r.n = 2, r.most = 2, m->prompt[1] = engine_config(e)->vocab_size;
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_RANGE);
    batch_free(b);
    const struct batch_opts p = { .e = e, .pool = pools[0], .n_queue = 2 };
    OK(batch_new(&b, &p, &err));
    r = m->r;
    r.n = 1, r.most = 1, r.prompt_probs = false, r.token = go_on;
    OK(batch_submit(b, &r, &id, &err));
    OK(batch_submit(b, &r, &id, &err));
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_BUSY);
    batch_cancel(b, id);
    batch_cancel(b, 4711);
    while (batch_step(b))
        ;
    assert_int_equal(m->n_done, 2);
    OK(batch_submit(b, &r, &id, &err));
    batch_close(b);
    assert_int_equal(batch_submit(b, &r, &id, &err), ERR_STOPPED);
    batch_free(b);                                   /* with a text that is not done */
    assert_int_equal(m->n_done, 3);
    assert_int_equal(m->end, TEXT_CANCELLED);
    assert_int_equal(m->n_kept, -1);
    engine_free(e);
    free(m);
}

/* ---- turns ---- */

static int ended_of[64], n_ended;

static void note_end(void *ctx, enum text_end end, int n_kept, const struct err *e)
{
    (void)n_kept, (void)e;
    assert_int_equal(end, TEXT_LENGTH);
    ended_of[n_ended++] = *(int *)ctx;
}

static int who[] = { 0, 1, 2, 3 };

static void submit_for(struct batch *b, int tenant, int n, int priority)
{
    static const int32_t ids[] = { 1, 2, 3 };
    for (int i = 0; i < n; i++) {
        uint64_t id;
        OK(batch_submit(b, &(struct text_request){ .ids = ids, .n = 3, .most = 1, .n_logprob = -1, .tenant = tenant, .priority = priority, .done = note_end, .ctx = &who[tenant] }, &id, &err));
    }
}

/* One text at a time, so that the order of the ends is that of the beginnings. */
static void tenants_that_wait_take_turns(void **state)
{
    (void)state;
    struct engine *e;
    struct batch *b;
    open_batch(&b, &e, "tests/golden/llama", 1, 4, 64, pools[0], 0);
    submit_for(b, 1, 20, 0);
    for (int i = 0; i < 5; i++)
        batch_step(b);
    assert_int_equal(n_ended, 5);
    submit_for(b, 2, 4, 0);
    submit_for(b, 3, 1, 5);                          /* a later priority waits for all of an earlier one */
    submit_for(b, 0, 2, -1);
    batch_step(b), batch_step(b), batch_step(b);
    submit_for(b, 3, 2, 0);                          /* whoever comes now is in the turn that it is, behind those who are there */
    while (batch_step(b))
        ;
    static const int expected[] = { 1, 1, 1, 1, 1, 0, 0, 1, 2, 3, 1, 2, 3, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3 };
    assert_int_equal(n_ended, (int)(sizeof expected / sizeof *expected));
    for (int i = 0; i < n_ended; i++)
        if (ended_of[i] != expected[i])
            fail_msg("text %d is of tenant %d, expected %d", i, ended_of[i], expected[i]);
    batch_free(b);
    engine_free(e);
}

static int fill_for(struct batch *b, int tenant)
{
    static const int32_t ids[] = { 1, 2, 3 };
    const struct text_request r = { .ids = ids, .n = 3, .most = 1, .n_logprob = -1, .tenant = tenant };
    uint64_t id;
    int n = 0;
    while (batch_submit(b, &r, &id, &err) == 0)
        n++;
    assert_int_equal(err.code, ERR_BUSY);
    return n;
}

static void a_crowd_leaves_places_in_the_queue(void **state)
{
    (void)state;
    struct engine *e;
    struct batch *b;
    open_batch(&b, &e, "tests/golden/llama", 1, 4, 64, pools[0], 0);
    batch_free(b);
    const struct batch_opts o = { .e = e, .pool = pools[0], .n_queue = 8 };
    OK(batch_new(&b, &o, &err));
    assert_int_equal(fill_for(b, 1), 4);
    assert_int_equal(fill_for(b, 2), 2);
    assert_int_equal(fill_for(b, 3), 1);
    assert_int_equal(fill_for(b, 1), 0);
    batch_step(b);                                   /* the first one of 1 is done, all others are in the line */
    assert_int_equal(fill_for(b, 2), 0);
    assert_int_equal(fill_for(b, 4), 1);
    while (batch_step(b))
        ;
    assert_int_equal(fill_for(b, 0), 8);             /* where nobody is known all places are there for all */
    batch_free(b);
    engine_free(e);
}

/* ---- the cache ---- */

static int kept[3], n_kept_of;

static void note_kept(void *ctx, enum text_end end, int n_kept, const struct err *e)
{
    (void)ctx, (void)e;
    assert_int_equal(end, TEXT_LENGTH);
    kept[n_kept_of++] = n_kept;
}

/* All of its prompt and its only token are made in one step. */
static void a_text_of_one_token_leaves_its_prompt_to_others(void **state)
{
    (void)state;
    struct engine *e;
    struct batch *b;
    uint64_t id;
    int32_t ids[70];
    open_batch(&b, &e, "tests/golden/llama", 2, 8, 128, pools[0], 0);
    for (int i = 0; i < 70; i++)
        ids[i] = (int32_t)(rng_u64(3, (uint64_t)i) % (uint64_t)engine_config(e)->vocab_size);
    for (int i = 0; i < 3; i++) {
        const struct text_request r = { .ids = ids, .n = 70, .most = 1, .n_logprob = -1, .share = true, .root = { { (unsigned char)(i / 2) } }, .done = note_kept };
        OK(batch_submit(b, &r, &id, &err));
        while (batch_step(b))
            ;
    }
    assert_true(n_kept_of == 3 && kept[0] == 0 && kept[1] == 64 && kept[2] == 0);      /* the third is another tenant's */
    batch_free(b);
    engine_free(e);
}

/* ---- several threads ---- */

struct client { struct batch *b; struct made made[6]; atomic_int n_done; int i; pthread_t thread; };

static void done_there(void *ctx, enum text_end end, int n_kept, const struct err *e)
{
    (void)e, (void)n_kept, (void)end;
    atomic_fetch_add(&((struct client *)ctx)->n_done, 1);
}

static void *ask(void *ctx)
{
    struct client *c = ctx;
    struct err e;
    for (int i = 0; i < 6; i++) {
        uint64_t id;
        struct text_request r = c->made[i].r;
        r.adjust = NULL, r.accept = NULL, r.prompt = NULL, r.hidden = NULL, r.token = go_on, r.done = done_there, r.ctx = c;
        if (batch_submit(c->b, &r, &id, &e))
            atomic_fetch_add(&c->n_done, 100);
        if (i % 3 == 1)
            batch_cancel(c->b, id);
        struct batch_counts n;
        batch_counts(c->b, &n);
    }
    return NULL;
}

static void threads_submit_and_cancel_while_steps_run(void **state)
{
    (void)state;
    struct engine *e;
    struct batch *b;
    enum { N = 4 };
    struct client *c = calloc(N, sizeof *c);
    open_batch(&b, &e, "tests/golden/llama", 6, 24, 64, pools[1], 4);
    for (int i = 0; i < N; i++) {
        c[i].b = b, c[i].i = i;
        for (int k = 0; k < 6; k++)
            wish(&c[i].made[k], (uint64_t)(6 * i + k), engine_config(e)->vocab_size, engine_n_adapter(e) + 1);
        assert_int_equal(pthread_create(&c[i].thread, NULL, ask, &c[i]), 0);
    }
    for (int n = 0; n < 6 * N;) {
        if (batch_wait(b, 0.01))
            batch_step(b);
        n = 0;
        for (int i = 0; i < N; i++)
            n += atomic_load(&c[i].n_done);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(atomic_load(&c[i].n_done), 6);
    }
    assert_false(batch_wait(b, 0));
    batch_free(b);
    engine_free(e);
    free(c);
}

static int set_up(void **state)
{
    (void)state;
    return pool_new(&pools[0], 1, &err) || pool_new(&pools[1], 2, &err);
}

static int tear_down(void **state)
{
    (void)state;
    pool_free(pools[0]);
    pool_free(pools[1]);
    return 0;
}

/* A machine on which a step takes 4 ms and 1 a row being continued, rows of prompts 0.1 to 0.5 each and 1 to 5 for their keys and values, by
 * the depth; and each 20th step three times that, by chance. */
static double step_time(int n, int n_prompt, double depth, uint64_t i)
{
    const double t = 4 + n + (n_prompt ? 1 + 4 * depth + n_prompt * (0.1 + 0.4 * depth) : 0);
    return t * (0.9 + 0.2 * rng_uniform(5, i)) * (rng_u64(6, i) % 20 ? 1 : 3);
}

static void prompts_slow_the_others_by_what_is_allowed(void **state)
{
    (void)state;
    static const struct pace_limit limits[] = { { 1.6, 0 }, { 2.5, 0 }, { 1.6, 25e-3 } };
    for (int k = 0; k < 3; k++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct pace p = { 0 };
            const int n = 1 + (int)seed % 8;
            double alone = 0, with = 0;
            uint64_t i = seed * 100000;
            for (int step = 0; step < 500; step++) {
                assert_true(pace_rows(&p, &limits[k], n, 0, 512) >= n);
                const double t = 1e-3 * step_time(n, 0, 0, i++);
                pace_add(&p, n, 0, t);
                alone += t / 500;
            }
            int steps = 0, most = 0;
            for (int done = 0; done < 4000; steps++) {
                const int rows = pace_rows(&p, &limits[k], n, 0, 512) - n;
                assert_true(rows == 0 || (rows >= 16 && rows <= 512));
                const double t = 1e-3 * step_time(n, rows, done / 4000., i++);
                pace_add(&p, n, rows, t);
                with += t, done += rows, most = rows > most ? rows : most;
                assert_true(steps < 4000);
            }
            const double allowed = limits[k].step_s > 0 ? limits[k].step_s : limits[k].stretch * alone;
            if (with / steps > 1.12 * allowed || with / steps < 0.8 * allowed)
                fail_msg("seed %d, limit %d: %.2f ms a step in the mean, %.2f without prompts, %.2f are allowed (%d steps, %d rows at most)", (int)seed, k, 1e3 * with / steps, 1e3 * alone,
                         1e3 * allowed, steps, most);
        }
    struct pace none = { 0 };
    assert_int_equal(pace_rows(&none, &(struct pace_limit){ -1, 0 }, 3, 0, 512), 512);   /* no limit */
    assert_int_equal(pace_rows(&none, &limits[0], 0, 0, 512), 512);                      /* nobody waits */
}

/* A row of a prompt takes a twentieth of a step without, so that a chunk is more than one step may add and less than two: nothing of it is lost. */
static void what_two_steps_save_up_for_a_chunk_is_spent(void **state)
{
    (void)state;
    const struct pace_limit limit = { PACE_STRETCH, 0 };
    struct pace p = { 0 };
    double sum = 0;
    for (int step = -100; step < 1000; step++) {
        const int rows = step < 0 ? 0 : pace_rows(&p, &limit, 8, 0, 512) - 8;
        const double t = 10e-3 + 0.5e-3 * rows;
        pace_add(&p, 8, rows, t);
        sum += step < 0 ? 0 : t / 1000;
    }
    assert_float_equal(sum, PACE_STRETCH * 10e-3, 0.2e-3);
}

/* By 2.7 times what the limit says for each that waits to one, up to 8 times. */
static void prompts_get_more_the_more_wait_for_each_that_is_continued(void **state)
{
    (void)state;
    const struct pace_limit limit = { PACE_STRETCH, 0 };
    static const struct { int n_wait; double times; } rows[] = { { 0, 1 }, { 1, 1.3375 }, { 4, 2.35 }, { 8, 3.7 }, { 16, 6.4 }, { 32, 8 }, { 1000, 8 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pace p = { 0 };
        double sum = 0;
        for (int step = -100; step < 1000; step++) {
            const int n = step < 0 ? 0 : pace_rows(&p, &limit, 8, rows[i].n_wait, 512) - 8;
            const double t = 10e-3 + 0.1e-3 * n;
            pace_add(&p, 8, n, t);
            sum += step < 0 ? 0 : t / 1000;
        }
        assert_float_equal(sum / 10e-3 - 1, (PACE_STRETCH - 1) * rows[i].times, 0.05 * rows[i].times);
        p.loading = true, sum = 0;
        for (int step = 0; step < 1000; step++) {
            const int n = pace_rows(&p, &limit, 8, rows[i].n_wait, 512) - 8;
            const double t = 10e-3 + 0.1e-3 * n;
            pace_add(&p, 8, n, t);
            sum += t / 1000;
        }
        assert_float_equal(sum / 10e-3 - 1, PACE_STRETCH - 1, 0.05);
    }
}

/* Two engines by turns, n texts each, beside one with all of them. */
static void two_engines_keep_the_interval_of_one_or_leave_prompts_their_least(void **state)
{
    (void)state;
    const struct pace_limit limit = { PACE_STRETCH, 0 };
    for (int n = 1; n <= 64; n *= 4) {
        struct pace p[2] = { 0 };
        double alone[2] = { 0 }, with = 0, one = 0, both = 0, rows_of[2] = { 0 };
        uint64_t i = (uint64_t)n * 1000000;
        for (int step = 0; step < 500; step++) {
            one += 1e-3 * step_time(2 * n, 0, 0, i++) / 500;
            for (int k = 0; k < 2; k++) {
                const double t = 1e-3 * step_time(n, 0, 0, i++);
                pace_add(&p[k], n, 0, t), both += t / 500, alone[k] = t;
            }
        }
        enum { STEPS = 4000 };
        for (int step = 0; step < STEPS; step++)
            for (int k = 0; k < 2; k++) {
                p[k].others = alone[!k];
                const int rows = pace_rows(&p[k], &limit, n, 0, 512) - n;
                const double t = 1e-3 * step_time(n, rows, 0.5, i++);
                alone[k] = pace_alone(&p[k], n, rows, t);
                pace_add(&p[k], n, rows, t);
                with += t / STEPS, rows_of[k] += rows;
            }
        const double allowed = fmax(PACE_STRETCH * one, (1 + PACE_LEAST) * both);
        if (with > 1.12 * allowed || with < 0.85 * both)
            fail_msg("%d texts each: %.2f ms a turn of both, %.2f without prompts, one engine %.2f, %.2f are allowed", n, 1e3 * with, 1e3 * both, 1e3 * one, 1e3 * allowed);
        assert_true(rows_of[0] > 0.7 * rows_of[1] && rows_of[1] > 0.7 * rows_of[0] && rows_of[0] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_in_company_are_as_alone), cmocka_unit_test(rows_of_experts_are_counted_by_text),
        cmocka_unit_test(what_two_steps_save_up_for_a_chunk_is_spent), cmocka_unit_test(prompts_get_more_the_more_wait_for_each_that_is_continued),
        cmocka_unit_test(two_engines_keep_the_interval_of_one_or_leave_prompts_their_least),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(tenants_that_wait_take_turns),
        cmocka_unit_test(a_crowd_leaves_places_in_the_queue),
        cmocka_unit_test(a_text_of_one_token_leaves_its_prompt_to_others),
        cmocka_unit_test(prompts_slow_the_others_by_what_is_allowed),
        cmocka_unit_test(threads_submit_and_cancel_while_steps_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
