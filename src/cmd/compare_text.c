/* compare_text.c - `lathe compare` on texts: divergence of the predictions, where it is largest, and which layers make it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/calib_text.h"
#include "cmd/compare_run.h"
#include "data/text.h"
#include "eval/bisect.h"
#include "eval/diverge.h"
#include "infer/score.h"

#define CTX 512
#define COMPARED 64              /* rows of logits of both models at once */
#define DOCUMENTS 30             /* of so many on they are the clusters */
#define BEFORE 8                 /* tokens that are shown before one */

/* A text, or the documents of a folder one after the other; ids as models read them. */
struct text {
    const char *name;
    struct tok_ids ids;
    size_t *start; int n_doc, n_short;         /* of each document in ids; those with too few tokens */
    int32_t bos;
    struct diverge d;
    struct diverge_summary s;
};

struct models {
    struct engine *old, *new;
    struct logprobs_reader file; bool from_file;
    int ctx; bool half;
    struct pool *pool;
};

static void release_text(struct text *t)
{
    tok_ids_release(&t->ids);
    diverge_release(&t->d);
    mem_free(t->start);
}

/* ---- reading ---- */

/* ERR_RANGE where the tokenizers part, with the place. */
static int check_ids(const struct models *m, const char *bytes, size_t n, const struct text *t, size_t from, struct err *err)
{
    struct tok_ids other = { 0 };
    int rc = tok_encode(engine_tok(m->old), bytes, n, TOK_PLAIN, &other, err);
    for (size_t i = 0; !rc && (i < other.n || from + i < t->ids.n); i++) {
        const int32_t a = i < other.n ? other.id[i] : -1, b = from + i < t->ids.n ? t->ids.id[from + i] : -1;
        if (a != b)
            rc = ERR(err, RANGE, "the tokenizers part at token %zu of %s: id %d by the old model's, %d by the new one's (-1: the end), expected the same", i, t->name, a, b);
    }
    tok_ids_release(&other);
    return rc;
}

static int add_document(struct models *m, struct text *t, const char *bytes, size_t n, struct err *err)
{
    struct score_opts o = { .convention = m->half ? SCORE_LLAMACPP : SCORE_ROLLING };
    struct tok_ids ids = { 0 };
    const size_t from = t->ids.n;
    int rc = score_encode(engine_tok(m->new), bytes, n, &o, &ids, err);
    t->bos = o.add_bos ? o.begin : -1;
    t->start[t->n_doc] = from;
    if (!rc && from + ids.n > t->ids.cap) {
        const size_t cap = 2 * (from + ids.n);
        int32_t *id = mem_realloc_array(t->ids.id, cap, sizeof *id);
        if (id)
            t->ids.id = id, t->ids.cap = cap;
        else
            rc = ERR(err, NOMEM, "no memory for %zu tokens of %s", cap, t->name);
    }
    if (!rc) {
        memcpy(t->ids.id + from, ids.id, ids.n * sizeof *ids.id);
        t->ids.n += ids.n, t->start[++t->n_doc] = t->ids.n;
        rc = check_ids(m, bytes, n, t, from + (m->half && t->bos >= 0), err);
    }
    tok_ids_release(&ids);
    return rc;
}

static int read_text(struct models *m, struct text *t, const char *path, struct err *err)
{
    struct text_list l = { 0 };
    t->name = path ? path : "built-in text";
    int rc = path ? text_add(&l, path, err) : 0;
    const int n = path ? l.n_doc : 1;
    if (!rc && !(t->start = mem_alloc_array((size_t)n + 1, sizeof *t->start)))
        rc = ERR(err, NOMEM, "no memory for %d documents of %s", n, t->name);
    for (int i = 0; i < n && !rc; i++)
        rc = path ? add_document(m, t, l.doc[i].map.data, l.doc[i].n, err) : add_document(m, t, calib_text, sizeof calib_text - 1, err);
    text_release(&l);
    return rc;
}

/* ---- comparing ---- */

static int progress(void *ctx, size_t n_read, size_t n_all)
{
    const struct text *t = ctx;
    log_progress("%s: %zu of %zu tokens", t->name, n_read, n_all);
    return cmd_stop != 0;
}

/* limit: windows of all documents together; 0: all. */
static int diverge_documents(struct models *m, struct text *t, int64_t limit, struct err *err)
{
    struct diverge_opts o = { .ctx = m->ctx, .bos = t->bos, .half = m->half, .pool = m->pool, .progress = progress, .progress_ctx = t };
    const size_t step = (size_t)m->ctx - (!m->half && t->bos >= 0), all = limit ? (size_t)limit : SIZE_MAX / step;
    for (size_t i = 0, done = 0; i < (size_t)t->n_doc && !cmd_stop && done < all; i++) {
        const size_t row = t->d.n, whole = t->start[i + 1] - t->start[i], most = (all - done) * step, n = whole < most ? whole : most;
        if (n < (m->half ? (size_t)m->ctx : 2)) {
            t->n_short++;
            continue;
        }
        done += (n + step - 1) / step;
        o.cluster = t->n_doc >= DOCUMENTS ? (int32_t)i : -1;
        TRY(diverge_models(&t->d, m->old, m->new, t->ids.id + t->start[i], n, &o, err));
        for (size_t k = row; k < t->d.n; k++)
            t->d.row[k].at += t->d.row[k].at < 0 ? 0 : (int64_t)t->start[i];
    }
    return 0;
}

static int diverge_saved(struct models *m, struct text *t, struct err *err)
{
    const struct diverge_opts o = { .bos = t->bos, .cluster = -1, .pool = m->pool, .progress = progress, .progress_ctx = t };
    return diverge_file(&t->d, &m->file, m->new, &o, err);
}

/* Log-likelihoods of the text's tokens as items of a test. */
static int test_text(struct compare_run *c, const struct text *t, struct err *err)
{
    struct compare_result *r;
    size_t n = 0;
    double *v = mem_alloc_array(2 * t->s.n_target, sizeof *v);
    int64_t *cluster = mem_alloc_array(t->s.n_target, sizeof *cluster);
    int rc = v && cluster ? compare_add(c, "nats a token", &r, err, "%s", t->name) : ERR(err, NOMEM, "no memory for %zu tokens", t->s.n_target);
    for (size_t i = 0; !rc && i < t->d.n; i++)
        if (t->d.row[i].id >= 0)
            v[n] = t->d.row[i].logp_old, v[n + t->s.n_target] = t->d.row[i].logp_new, cluster[n++] = t->d.row[i].cluster;
    if (!rc)
        rc = compare_measure(r, &(struct compare_items){ .old = v, .new = v + n, .cluster = cluster, .n = (int64_t)n, .higher_is_better = true }, &c->o, err);
    mem_free(v);
    mem_free(cluster);
    return rc;
}

/* ---- telling ---- */

static json_t *numbers(const char *const *key, const double *v, size_t n)
{
    json_t *o = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(o, key[i], tree_number(v[i]));
    return o;
}

static json_t *spread_json(const struct diverge_spread *s)
{
    static const char *const key[] = { "mean", "se", "median", "p90", "p95", "p99", "p99_9", "max" };
    const double v[] = { s->mean, s->se, s->quantile[0], s->quantile[1], s->quantile[2], s->quantile[3], s->quantile[4], s->max };
    return numbers(key, v, sizeof v / sizeof *v);
}

static json_t *summary_json(const struct models *m, const struct text *t)
{
    static const char *const dp_key[] = { "mean", "se", "rms", "p1", "p5", "p50", "p95", "p99" }, *const ppl_key[] = { "old", "new", "ln_ratio", "se", "se_tokens", "correlation" };
    const struct diverge_summary *s = &t->s;
    const double dp[] = { s->dp, s->dp_se, s->dp_rms, s->dp_quantile[0], s->dp_quantile[1], s->dp_quantile[2], s->dp_quantile[3], s->dp_quantile[4] };
    const double ppl[] = { exp(s->nll_old), exp(s->nll_new), s->log_ratio, s->log_ratio_se, s->log_ratio_se_tokens, s->correlation };
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:i, s:i, s:s, s:i, s:o, s:o, s:f, s:o, s:o, s:o}", "text", t->name, "convention", m->half ? "llamacpp" : "all", "ctx", m->ctx,
                     "n_token", (json_int_t)s->n, "n_target", (json_int_t)s->n_target, "n_document", t->n_doc, "n_short", t->n_short, "clusters",
                     t->n_doc >= DOCUMENTS ? "document" : "window", "n_cluster", s->n_cluster, "kl", spread_json(&s->kl), "kl_back", spread_json(&s->kl_back), "same_top",
                     s->same_top, "same_top_se", tree_number(s->same_top_se), "dp", numbers(dp_key, dp, sizeof dp / sizeof *dp), "perplexity",
                     numbers(ppl_key, ppl, sizeof ppl / sizeof *ppl));
}

static void print_spread(const char *name, const struct diverge_spread *s)
{
    printf("  %-15s mean %.6f +/- %.6f; median %.6f, 90 %% %.6f, 95 %% %.6f, 99 %% %.6f, 99.9 %% %.6f, most %.4f\n", name, s->mean, s->se, s->quantile[0], s->quantile[1],
           s->quantile[2], s->quantile[3], s->quantile[4], s->max);
}

static void print_summary(const struct models *m, const struct text *t)
{
    const struct diverge_summary *s = &t->s;
    printf("%s: %zu predictions in windows of %d tokens (%s); errors over %d %ss\n", t->name, s->n, m->ctx, m->half ? "llamacpp: second halves" : "all", s->n_cluster,
           t->n_doc >= DOCUMENTS ? "document" : "window");
    if (t->n_short)
        printf("  %d of %d documents have too few tokens and are left out\n", t->n_short, t->n_doc);
    print_spread("KL(old || new)", &s->kl);
    print_spread("KL(new || old)", &s->kl_back);
    printf("  same top token  %.3f %% +/- %.3f %%\n", 100 * s->same_top, 100 * s->same_top_se);
    printf("  true token's p  %+.4f %% +/- %.4f %% on average, root mean square %.4f %%; 1 %% %+.3f %%, 5 %% %+.3f %%, median %+.4f %%, 95 %% %+.3f %%, 99 %% %+.3f %%\n", 100 * s->dp,
           100 * s->dp_se, 100 * s->dp_rms, 100 * s->dp_quantile[0], 100 * s->dp_quantile[1], 100 * s->dp_quantile[2], 100 * s->dp_quantile[3], 100 * s->dp_quantile[4]);
    printf("  perplexity      %.5f -> %.5f, ln of their ratio %+.6f +/- %.6f (%.6f as if tokens were independent), correlation %.3f %%\n", exp(s->nll_old), exp(s->nll_new),
           s->log_ratio, s->log_ratio_se, s->log_ratio_se_tokens, 100 * s->correlation);
}

/* ---- the predictions that are furthest apart ---- */

static int add_shown(const struct tok *t, const int32_t *ids, size_t n, struct buf *out, struct err *err)
{
    const size_t from = out->len;
    TRY(tok_decode(t, ids, n, out, err));
    for (size_t i = from; i < out->len; i++)
        if ((unsigned char)out->data[i] < 32)
            out->data[i] = ' ';
    err_tidy(out->data + from);
    out->len = from + strlen(out->data + from);
    return 0;
}

static int decoded(const struct tok *t, int32_t id, struct buf *out, struct err *err)
{
    buf_clear(out);
    return id < 0 ? buf_add_str(out, "-", err) : id < tok_vocab_size(t) ? add_shown(t, &id, 1, out, err) : buf_printf(out, err, "[%d]", id);
}

static size_t document_of(const struct text *t, int64_t at)
{
    int i = 0;
    while (i + 1 < t->n_doc && (int64_t)t->start[i + 1] <= at)
        i++;
    return t->n_doc ? t->start[i] : 0;
}

static int tell_row(const struct models *m, const struct text *t, const struct diverge_row *r, json_t *list, struct err *err)
{
    const struct tok *tok = engine_tok(m->new);
    struct buf b[4];
    int rc = 0;
    for (int i = 0; i < 4; i++)
        buf_init(&b[i]);
    const size_t doc = document_of(t, r->at), end = (size_t)(r->at + 1), from = end > doc + BEFORE ? end - BEFORE : doc;
    if (r->at >= 0)
        rc = add_shown(tok, t->ids.id + from, end - from, &b[0], err);
    rc = rc ? rc : decoded(tok, r->id, &b[1], err);
    rc = rc ? rc : decoded(tok, r->top_old, &b[2], err);
    rc = rc ? rc : decoded(tok, r->top_new, &b[3], err);
    if (!rc)
        rc = json_array_append_new(list, json_pack("{s:I, s:f, s:f, s:s, s:s, s:o, s:o, s:s, s:s}", "token", (json_int_t)r->at, "kl", r->kl, "kl_back", r->kl_back, "before", b[0].data,
                                                   "next", b[1].data, "p_old", tree_number(exp(r->logp_old)), "p_new", tree_number(exp(r->logp_new)), "top_old", b[2].data, "top_new",
                                                   b[3].data)) ? ERR(err, NOMEM, "no memory for the result") : 0;
    if (!rc && !cmd_json)
        printf("    KL %8.4f  ..%s | then '%s' (p %.4f -> %.4f); likeliest '%s' -> '%s'\n", r->kl, b[0].data, b[1].data, exp(r->logp_old), exp(r->logp_new), b[2].data, b[3].data);
    for (int i = 0; i < 4; i++)
        buf_release(&b[i]);
    return rc;
}

static int by_kl(const void *a, const void *b)
{
    const struct diverge_row *x = *(const struct diverge_row *const *)a, *y = *(const struct diverge_row *const *)b;
    return x->kl != y->kl ? (x->kl < y->kl) - (x->kl > y->kl) : (x > y) - (x < y);
}

/* Those with a next token, which can be shown with what came. */
static int tell_worst(struct compare_run *c, const struct models *m, const struct text *t, json_t *into, struct err *err)
{
    size_t n = 0;
    const struct diverge_row **row = mem_alloc_array(t->d.n, sizeof *row);
    json_t *list = json_array();
    int rc = row && list ? 0 : ERR(err, NOMEM, "no memory to sort %zu predictions", t->d.n);
    for (size_t i = 0; !rc && i < t->d.n; i++)
        if (t->d.row[i].id >= 0 && t->d.row[i].kl > 0)
            row[n++] = &t->d.row[i];
    if (!rc)
        qsort(row, n, sizeof *row, by_kl);
    if (!rc && n && c->worst && !cmd_json)
        printf("  furthest apart\n");
    for (size_t i = 0; !rc && i < n && i < (size_t)c->worst; i++)
        rc = tell_row(m, t, row[i], list, err);
    mem_free(row);
    if (rc)
        json_decref(list);
    else
        json_object_set_new(into, "worst", list);
    return rc;
}

static int tell(struct compare_run *c, const struct models *m, const struct text *t, struct err *err)
{
    json_t *o = summary_json(m, t);
    if (!o)
        return ERR(err, NOMEM, "no memory for the result");
    if (!cmd_json)
        print_summary(m, t);
    const int rc = tell_worst(c, m, t, o, err);
    json_array_append_new(c->texts, o);
    return rc;
}

static int one_text(struct compare_run *c, struct models *m, const char *path, struct err *err)
{
    struct text t = { .bos = -1 };
    int rc = read_text(m, &t, path, err);
    if (!rc)
        rc = diverge_documents(m, &t, c->limit, err);
    log_progress_end();
    if (!rc && !t.d.n)
        rc = cmd_stop ? ERR(err, STOPPED, "stopped before a window was read") :
             ERR(err, RANGE, "%s has no document of %d tokens or more", t.name, m->half ? m->ctx : 2);
    if (!rc)
        rc = diverge_summarize(&t.s, &t.d, err);
    if (!rc)
        rc = tell(c, m, &t, err);
    if (!rc && t.s.n_target)
        rc = test_text(c, &t, err);
    release_text(&t);
    return rc;
}

/* ---- which layers make it ---- */

static json_t *part_json(const struct bisect_part *p)
{
    return json_pack("{s:s, s:s, s:f, s:f}", "result", p->name, "weights", p->weights, "error", p->error, "kl", p->kl);
}

static json_t *bisect_json(const struct bisect *b)
{
    json_t *stages = json_array();
    for (int i = 0; i < b->n_stage; i++) {
        const struct bisect_stage *s = &b->stage[i];
        json_t *parts = json_array();
        for (int p = 0; p < s->n_part; p++)
            json_array_append_new(parts, part_json(&s->part[p]));
        json_array_append_new(stages, json_pack("{s:i, s:f, s:f, s:f, s:o}", "layer", s->layer, "drift", s->drift, "error", s->error, "kl", s->kl, "parts", parts));
    }
    return json_pack("{s:i, s:f, s:o, s:o, s:o, s:o}", "n_token", b->n_token, "kl", b->kl, "first_result", *b->first ? json_string(b->first) : json_null(), "first_op",
                     *b->first ? json_string(b->first_op) : json_null(), "first_layer_beyond", b->first_stage < 0 ? json_null() : json_integer(b->stage[b->first_stage].layer), "stages",
                     stages);
}

static void name_stage(const struct bisect *b, int i, char out[24])
{
    if (!i || i + 1 == b->n_stage)
        snprintf(out, 24, "%s", i ? "head" : "embedding");
    else
        snprintf(out, 24, "layer %d", b->stage[i].layer);
}

static void print_bisect(const struct bisect *b)
{
    char name[24];
    printf("layers, on %d tokens: KL %.6f of the whole models\n", b->n_token, b->kl);
    if (!*b->first) {
        printf("  no result differs, in any bit\n");
        return;
    }
    printf("  the first result that differs: %s (%s)\n", b->first, b->first_op);
    printf("  %-12s %12s %12s %12s\n", "", "drift", "error alone", "KL alone");
    for (int i = 0; i < b->n_stage; i++) {
        const struct bisect_stage *s = &b->stage[i];
        name_stage(b, i, name);
        printf("  %-12s %12.6f %12.6f %12.6f%s\n", name, s->drift, s->error, s->kl, i == b->first_stage ? "  <- the first out of line" : "");
        for (int p = 0; p < s->n_part; p++)
            printf("    %-20s %14s %9.6f %12.6f  %s\n", s->part[p].name, "", s->part[p].error, s->part[p].kl, s->part[p].weights);
    }
}

static int bisect_text(struct compare_run *c, struct models *m, const char *path, struct err *err)
{
    struct text t = { .bos = -1 };
    struct bisect b = { 0 };
    int32_t *window = NULL;
    int rc = read_text(m, &t, path, err), n = engine_step_tokens(m->new);
    n = engine_step_tokens(m->old) < n ? engine_step_tokens(m->old) : n;
    n = c->bisect_tokens < n ? (int)c->bisect_tokens : n;
    const int lead = t.bos >= 0 && !m->half;
    n = (int)t.ids.n + lead < n ? (int)t.ids.n + lead : n;
    if (!rc && !(window = mem_alloc_array((size_t)n + 1, sizeof *window)))
        rc = ERR(err, NOMEM, "no memory for %d tokens", n);
    if (!rc) {
        window[0] = t.bos;
        memcpy(window + lead, t.ids.id, (size_t)(n - lead) * sizeof *window);
        rc = bisect_models(&b, m->old, m->new, window, n, (int)c->deep, m->pool, err);
    }
    if (!rc && !cmd_json)
        print_bisect(&b);
    if (!rc && !(c->bisected = bisect_json(&b)))
        rc = ERR(err, NOMEM, "no memory for the result");
    bisect_release(&b);
    mem_free(window);
    release_text(&t);
    return rc;
}

/* ---- all ---- */

static int open_models(struct compare_run *c, struct models *m, struct err *err)
{
    struct engine_opts o = cmd_engine((struct engine_opts){ .n_slot = 1, .ctx = c->ctx ? (int)c->ctx : CTX, .ctx_clip = !c->ctx, .step_tokens = CTX, .n_logits = COMPARED });
    TRY(cmd_pool(&m->pool, err));
    if (m->from_file) {
        TRY(logprobs_open(&m->file, c->old, err));
        if (c->limit && c->limit < m->file.n_window)
            m->file.n_window = (int)c->limit;
        o.ctx = m->ctx = m->file.ctx, o.ctx_clip = false, m->half = true;
        return engine_new(&m->new, c->new, &o, m->pool, err);
    }
    TRY(engine_new(&m->old, c->old, &o, m->pool, err));
    TRY(engine_new(&m->new, c->new, &o, m->pool, err));
    m->ctx = engine_ctx(m->old) < engine_ctx(m->new) ? engine_ctx(m->old) : engine_ctx(m->new);
    m->half = !strcmp(c->convention, "llamacpp");
    return diverge_check_tok(engine_tok(m->old), engine_tok(m->new), err);
}

static int saved_text(struct compare_run *c, struct models *m, struct err *err)
{
    struct score_opts so = { .convention = SCORE_LLAMACPP };
    struct text t = { .name = c->old };
    if (c->bisect || c->text.n)
        return ERR(err, USAGE, "%s is a file of predictions of its own text, expected neither --text nor --bisect", c->old);
    int rc = score_encode(engine_tok(m->new), "", 0, &so, &t.ids, err);
    tok_ids_release(&t.ids);
    t.bos = so.add_bos ? so.begin : -1;
    t.ids = (struct tok_ids){ m->file.ids, (size_t)m->file.ctx * (size_t)m->file.n_window, 0 };
    if (!rc)
        rc = diverge_saved(m, &t, err);
    log_progress_end();
    if (!rc)
        rc = diverge_summarize(&t.s, &t.d, err);
    if (!rc)
        rc = tell(c, m, &t, err);
    if (!rc)
        rc = test_text(c, &t, err);
    diverge_release(&t.d);
    return rc;
}

static int run(struct compare_run *c, struct models *m, struct err *err)
{
    TRY(logprobs_is(c->old, &m->from_file, err));
    TRY(open_models(c, m, err));
    if (m->from_file)
        return saved_text(c, m, err);
    if (!c->text.n)
        TRY(one_text(c, m, NULL, err));
    for (int i = 0; i < c->text.n && !cmd_stop; i++)
        TRY(one_text(c, m, c->text.item[i], err));
    return c->bisect && !cmd_stop ? bisect_text(c, m, c->text.n ? c->text.item[0] : NULL, err) : 0;
}

int compare_texts(struct compare_run *c, struct err *err)
{
    struct models m = { 0 };
    const int rc = run(c, &m, err);
    engine_free(m.old);
    engine_free(m.new);
    logprobs_close(&m.file);
    return rc;
}
