/* bits.h - requests drawn at random, each alone and in random company: the same text and the same log-probabilities, to the bit.
 *
 * A request is a function of its number: temperatures of 0 to 1.5, top-k, top-p, min-p, penalties, biases, grammars, stop texts, echo,
 * probabilities, an adapter, a priority, a tenant; prompts share beginnings.  Alone: one text in an engine that keeps nothing.  In
 * company: several at a time, in steps of 7, 64 or 512 tokens, with and without what the cache knows, on 1 and 2 threads, with and
 * without guesses, where few pages put texts aside and evict what was known, beside neighbours that are cancelled half-way.
 *
 * For a test of a small model, and for bench/bits. */
#ifndef TESTS_BITS_H
#define TESTS_BITS_H
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/answer.h"
#include "model/lora.h"
#include "model/safetensors.h"

/* ---- adapters by chance, for any model ---- */

static int bits_write_tensors(struct st_writer *w, const struct weights_list *l, const struct lora_site *site, int n_site, int rank, uint64_t seed, struct err *err)
{
    int i = 0;
    for (int s = 0; s < n_site; s++)
        for (int j = 0; j < site[s].n_part; j++)
            for (int b = 0; b < 2; b++, i++) {
                const int64_t K = l->weight[site[s].weight].shape[1], n = (b ? site[s].part[j].n_row : K) * rank;
                float *x = mem_alloc_array((size_t)n, sizeof *x);
                if (!x)
                    return ERR(err, NOMEM, "no memory for an adapter");
                for (int64_t k = 0; k < n; k++)
                    x[k] = (float)(rng_normal(rng_u64(seed, (uint64_t)i), (uint64_t)k) * (b ? 0.02 : 1 / sqrt((double)K)));
                const int rc = st_writer_add(w, i, x, (size_t)n * sizeof *x, err);
                mem_free(x);
                TRY(rc);
            }
    return 0;
}

static int bits_write_adapter(const char *folder, const struct config *c, int rank, uint64_t seed, struct err *err)
{
    struct weights_list *l;
    struct lora_site *site = NULL;
    struct st_writer *w = NULL;
    int n_site = 0, n = 0;
    char path[1000], text[200];
    const struct lora o = { .rank = rank, .targets = LORA_ALL, .all = true };
    TRY(weights_list_new(&l, c, err));
    int rc = lora_sites(&site, &n_site, l, &o, err);
    struct st_decl *decl = mem_alloc_array((size_t)n_site * 6 + 1, sizeof *decl);
    char (*name)[PART_NAME_MAX + 60] = mem_alloc_array((size_t)n_site * 6 + 1, sizeof *name);
    for (int s = 0; !rc && s < n_site; s++)
        for (int j = 0; j < site[s].n_part; j++)
            for (int b = 0; b < 2; b++, n++) {
                snprintf(name[n], sizeof *name, "base_model.model.%s.lora_%c.weight", site[s].part[j].module, b ? 'B' : 'A');
                decl[n] = (struct st_decl){ name[n], ST_F32, 2, { b ? site[s].part[j].n_row : rank, b ? rank : l->weight[site[s].weight].shape[1] } };
            }
    snprintf(path, sizeof path, "%.900s/adapter_model.safetensors", folder);
    rc = rc ? rc : file_mkdirs(folder, err);
    rc = rc ? rc : st_writer_new(&w, path, decl, n, NULL, 0, err);
    rc = rc ? rc : bits_write_tensors(w, l, site, n_site, rank, seed, err);
    rc = rc ? rc : st_writer_commit(w, err);
    st_writer_free(w);
    snprintf(path, sizeof path, "%.900s/adapter_config.json", folder);
    const int len = snprintf(text, sizeof text, "{\"peft_type\": \"LORA\", \"r\": %d, \"lora_alpha\": %d, \"target_modules\": [\"q_proj\"]}", rank, 2 * rank);
    rc = rc ? rc : file_write_all(path, text, (size_t)len, err);
    mem_free(decl);
    mem_free(name);
    mem_free(site);
    weights_list_free(l);
    return rc;
}

/* ---- a request ---- */

#define BITS_PROMPT 112
#define BITS_MOST 80
#define BITS_TOP 5
#define BITS_GRAMMARS 3
static const char *const bits_grammar[BITS_GRAMMARS] = {
    "root ::= \"[\" [0-9]+ (\", \" [0-9]+)* \"]\"",
    "root ::= \"{\\\"name\\\": \\\"\" [a-zA-Z ]{1,30} \"\\\", \\\"age\\\": \" [1-9] [0-9]? \"}\"",
    "root ::= (\"yes\" | \"no\" | \"perhaps\") [.!?]",
};

/* What all requests of one model have in common. */
struct bits {
    const char *model;
    const char *const *adapter; int n_adapter;       /* folders */
    enum engine_kv kv;
    enum weights_as as;
    uint64_t seed;
    int most;                                        /* tokens, up to BITS_MOST, which every sixth has */
    struct pool *pool[2];                            /* of 1 and 2 threads */
};

struct bits_text {
    int32_t prompt[BITS_PROMPT];
    struct token_bias bias[2];
    struct stops *stops;
    struct answer_wish w;
    struct answer *a;
    uint64_t id;
    bool neighbour, gone;                            /* it is there to be cancelled */
    struct bits_made {
        struct buf text;
        struct { int32_t id; float logprob; struct token_prob top[BITS_TOP]; } token[BITS_PROMPT + BITS_MOST]; int n;
        enum answer_why why; int n_token, stop_text, code, n_end;
    } made;
};

static void bits_piece(void *ctx, const struct answer_piece *p)
{
    struct bits_made *m = &((struct bits_text *)ctx)->made;
    (void)buf_add(&m->text, p->text, p->n, NULL);
    for (int i = 0; i < p->n_token && m->n < BITS_PROMPT + BITS_MOST; i++, m->n++) {
        m->token[m->n].id = p->token[i].id, m->token[m->n].logprob = p->token[i].logprob;
        memcpy(m->token[m->n].top, p->token[i].top, (size_t)p->token[i].n_top * sizeof *p->token[i].top);
    }
}

static void bits_end(void *ctx, const struct answer_end *e)
{
    struct bits_made *m = &((struct bits_text *)ctx)->made;
    m->why = e->why, m->n_token = e->n_token, m->stop_text = e->stop_text, m->code = e->err ? e->err->code : 0, m->n_end++;
}

/* Request number i; grammars: parsed ones. */
static int bits_draw(struct bits_text *t, const struct bits *b, uint64_t i, int V, struct grammar *const *grammars, bool share, struct err *err)
{
    uint64_t n_dice = 0;
    const uint64_t key = rng_u64(b->seed, i);
#define DICE(n) ((int)(rng_u64(key, n_dice++) % (uint64_t)(n)))
    static const double temperature[] = { 0, 0.2, 0.7, 1, 1.5 }, top_p[] = { 1, 1, 0.95, 0.5 }, min_p[] = { 0, 0, 0, 0.1 };
    *t = (struct bits_text){ .neighbour = false };
    buf_init(&t->made.text);
    const int begun = DICE(4), shared = begun * 20 + DICE(3), own = 1 + DICE(24);
    int n = 0;
    for (; n < shared && n < BITS_PROMPT - 1; n++)            /* one of four beginnings, the same for all who have it */
        t->prompt[n] = (int32_t)(rng_u64(b->seed + 1 + (uint64_t)begun, (uint64_t)n) % (uint64_t)V);
    for (int k = 0; k < own && n < BITS_PROMPT; k++, n++)
        t->prompt[n] = (int32_t)(rng_u64(key, (uint64_t)(1000 + k % 7)) % (uint64_t)V);      /* repeats itself: there is something to guess */
    const bool lasts = DICE(6) == 0, may_share = DICE(8) != 0;   /* drawn also where nothing is shared: what is drawn next must not depend on it */
    struct answer_wish *w = &t->w;
    *w = (struct answer_wish){ .prompt = t->prompt, .n_prompt = n, .share = share && may_share, .piece = bits_piece, .end = bits_end, .ctx = t };
    w->most = lasts ? BITS_MOST : 1 + DICE(b->most);
    w->adapter = DICE(b->n_adapter + 1);
    w->n_logprob = DICE(3) ? DICE(BITS_TOP + 1) : -1;
    w->priority = DICE(3);
    w->tenant = DICE(3);
    w->sampling = (struct sampling){ .seed = i };
    w->sampling.temperature = temperature[DICE(5)];
    w->sampling.top_p = top_p[DICE(4)];
    w->sampling.min_p = min_p[DICE(4)];
    w->sampling.top_k = DICE(3) ? 0 : 1 + DICE(40);
    if (!DICE(4))
        w->repetition = 1.2, w->presence = 0.5, w->frequency = 0.3;
    if (!DICE(6)) {
        t->bias[0] = (struct token_bias){ (int32_t)DICE(V), 8 }, t->bias[1] = (struct token_bias){ (int32_t)DICE(V), -100 };
        w->bias = t->bias, w->n_bias = t->bias[0].id != t->bias[1].id ? 2 : 1;
    }
    w->min = DICE(5) ? 0 : DICE(8), w->ignore_end = !DICE(5) || lasts, w->echo = !DICE(8), w->keep_stop = !DICE(2);
    if (!DICE(3) && !lasts)
        w->grammar = grammars[DICE(BITS_GRAMMARS)], w->min = 0, w->ignore_end = false;
    if (!DICE(4) && !lasts) {
        static const struct stop_text stop[] = { { "e", 1 }, { "th", 2 }, { "\n", 1 }, { ". ", 2 } };
        TRY(stops_new(&t->stops, stop, 1 + DICE(4), err));
        w->stops = t->stops;
    }
    w->root.sha256[0] = (unsigned char)w->adapter, w->root.sha256[1] = (unsigned char)w->tenant;
    return 0;
#undef DICE
}

static void bits_release(struct bits_text *t)
{
    answer_free(t->a);
    stops_free(t->stops);
    buf_release(&t->made.text);
}

/* ---- an engine with its batch ---- */

struct bits_place { int step, n_slot, n_page; bool share, two_threads; int lookup; bool limited; };
struct bits_host { struct engine *e; struct batch *b; struct vocab *vocab; struct answer_model m; struct grammar *grammar[BITS_GRAMMARS]; int32_t *end; };

static void bits_close(struct bits_host *h)
{
    batch_free(h->b);
    vocab_free(h->vocab);
    for (int i = 0; i < BITS_GRAMMARS; i++)
        grammar_free(h->grammar[i]);
    engine_free(h->e);
    mem_free(h->end);
}

static int bits_open(struct bits_host *h, const struct bits *b, const struct bits_place *p, struct err *err)
{
    *h = (struct bits_host){ .e = NULL };
    struct pool *pool = b->pool[p->two_threads];
    const struct engine_opts o = { .n_slot = p->n_slot, .n_page = p->n_page, .ctx = 192, .ctx_clip = true, .step_tokens = p->step, .n_logits = 24, .as = b->as, .kv = b->kv, .adapter = b->adapter,
                                   .n_adapter = b->n_adapter };
    TRY(engine_new(&h->e, b->model, &o, pool, err));
    const struct batch_opts bo = { .e = h->e, .pool = pool, .lookup = p->lookup, .always = true, .stretch = p->limited ? 1.5 : -1 };
    TRY(batch_new(&h->b, &bo, err));
    const int V = engine_config(h->e)->vocab_size;
    if (!(h->end = mem_alloc_array((size_t)V, sizeof *h->end)))
        return ERR(err, NOMEM, "no memory for a vocabulary");
    for (int i = 0; i < V && i < tok_vocab_size(engine_tok(h->e)); i++)
        if (tok_is_eog(engine_tok(h->e), i))
            h->end[h->m.n_end++] = i;
    TRY(vocab_new(&h->vocab, engine_tok(h->e), V, h->end, h->m.n_end, NULL, 0, err));
    h->m.tok = engine_tok(h->e), h->m.V = V, h->m.end = h->end, h->m.vocab = h->vocab;
    for (int i = 0; i < BITS_GRAMMARS; i++)
        TRY(grammar_parse(&h->grammar[i], bits_grammar[i], strlen(bits_grammar[i]), err));
    return 0;
}

static int bits_submit(struct bits_host *h, const struct bits *b, struct bits_text *t, uint64_t i, bool share, struct err *err)
{
    TRY(bits_draw(t, b, i, tok_vocab_size(engine_tok(h->e)), h->grammar, share, err));
    TRY(answer_new(&t->a, &h->m, &t->w, err));
    const struct text_request r = answer_request(t->a);
    return batch_submit(h->b, &r, &t->id, err);
}

/* ---- alone and in company ---- */

/* Requests number[0 .. n-1], one after the other. */
static int bits_alone(const struct bits *b, const uint64_t *number, int n, struct bits_text *out, struct err *err)
{
    struct bits_host h;
    int rc = bits_open(&h, b, &(struct bits_place){ .step = 64, .n_slot = 1, .n_page = 4, .two_threads = true }, err);
    for (int i = 0; i < n && !rc; i++) {
        rc = bits_submit(&h, b, &out[i], number[i], false, err);
        while (!rc && batch_step(h.b))
            ;
        answer_free(out[i].a);
        out[i].a = NULL;
    }
    bits_close(&h);
    return rc;
}

/* The same with each other, and with a neighbour beside every fourth; counts: added to. */
static int bits_company(const struct bits *b, const struct bits_place *p, const uint64_t *number, int n, struct bits_text *out, struct batch_counts *counts, struct err *err)
{
    struct bits_host h;
    const int n_near = n / 4;
    struct bits_text *near = mem_alloc_array((size_t)n_near + 1, sizeof *near);
    int rc = near ? bits_open(&h, b, p, err) : ERR(err, NOMEM, "no memory for neighbours"), next = 0, next_near = 0;
    if (!near)
        return rc;
    for (uint64_t step = 0; !rc && (next < n || batch_step(h.b)); step++) {
        const uint64_t dice = rng_u64(b->seed + (uint64_t)p->step, step);
        if (next < n && dice % 4)
            rc = bits_submit(&h, b, &out[next], number[next], p->share, err), next++;
        else if (next < n)
            batch_step(h.b);
        if (!rc && next_near < n_near && next >= 4 * next_near + 2)
            rc = bits_submit(&h, b, &near[next_near], 1000000 + number[4 * next_near], p->share, err), next_near++;
        for (int i = 0; i < next_near; i++)
            if (!near[i].gone && (dice >> 8) % 16 == (uint64_t)(i % 16))
                near[i].gone = true, batch_cancel(h.b, near[i].id);
    }
    if (!rc) {
        struct batch_counts c;
        batch_counts(h.b, &c);
        counts->n_put_aside += c.n_put_aside, counts->n_drafted += c.n_drafted, counts->n_accepted += c.n_accepted, counts->n_step += c.n_step, counts->n_row += c.n_row;
        counts->pages.n_found += c.pages.n_found, counts->pages.n_evicted += c.pages.n_evicted;
    }
    batch_free(h.b);                     /* before the answers that it has */
    h.b = NULL;
    for (int i = 0; i < n_near; i++)
        bits_release(&near[i]);
    mem_free(near);
    for (int i = 0; i < n; i++) {
        answer_free(out[i].a);
        out[i].a = NULL;
    }
    bits_close(&h);
    return rc;
}

/* What differs, or NULL. */
static const char *bits_differ(const struct bits_text *x, const struct bits_text *y)
{
    const struct bits_made *a = &x->made, *b = &y->made;
    if (a->n_end != 1 || b->n_end != 1)
        return "number of ends";
    if (a->why != b->why || a->code != b->code || a->stop_text != b->stop_text)
        return "end";
    if (a->text.len != b->text.len || (a->text.len && memcmp(a->text.data, b->text.data, a->text.len)))
        return "text";
    if (a->n_token != b->n_token || a->n != b->n)
        return "number of tokens";
    for (int i = 0; i < a->n; i++)
        if (a->token[i].id != b->token[i].id || memcmp(&a->token[i].logprob, &b->token[i].logprob, sizeof(float)) ||
            (x->w.n_logprob > 0 && memcmp(a->token[i].top, b->token[i].top, (size_t)x->w.n_logprob * sizeof *a->token[i].top)))
            return "log-probabilities";
    return NULL;
}

/* Company number c of BITS_COMPANIES. */
#define BITS_COMPANIES 24
static struct bits_place bits_place_of(int c)
{
    static const int step[] = { 7, 64, 512 };
    const bool few = c / 3 % 2 ^ c / 6 % 2;
    return (struct bits_place){ .step = step[c % 3], .share = c / 3 % 2, .two_threads = c / 6 % 2, .lookup = c / 12 % 2 ? 6 : 0, .n_slot = 7, .n_page = few ? 4 : 24, .limited = c % 5 == 0 };
}
#endif
