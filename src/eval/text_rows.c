/* text_rows.c - a language model reads several texts in a step, as many as fit; a longer one alone, in pieces. */
#include "eval/text_rows.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

const char *text_stat_name(enum text_stat s)
{
    static const char *const name[] = {
#define X(name, word) word,
        TEXT_STATS(X)
#undef X
    };
    return name[s];
}

/* ---- rows ---- */

void text_rows_release(struct text_rows *r)
{
    mem_free(r->item), mem_free(r->n_token), mem_free(r->label), mem_free(r->logit);
    for (int i = 0; i < TEXT_FEATURES; i++)
        mem_free(r->feature[i]);
    for (int i = 0; i < N_TEXT_STAT; i++)
        mem_free(r->stat[i]);
    *r = (struct text_rows){ .n = 0 };
}

static int make(struct text_rows *r, int64_t n, struct err *err)
{
    bool whole = (r->item = mem_alloc_array((size_t)n, sizeof *r->item)) && (r->n_token = mem_alloc_array((size_t)n, sizeof *r->n_token)) &&
                 (r->label = mem_alloc_array((size_t)n, sizeof *r->label));
    for (int i = 0; i < r->n_feature; i++)
        whole = whole && (size_t)r->d <= SIZE_MAX / sizeof(float) && (r->feature[i] = mem_alloc_array((size_t)n, (size_t)r->d * sizeof(float)));
    for (int i = 0; i < N_TEXT_STAT && r->has_stat; i++)
        whole = whole && (r->stat[i] = mem_alloc_array((size_t)n, sizeof *r->stat[i]));
    if (r->K)
        whole = whole && (r->logit = mem_alloc_array((size_t)n, (size_t)r->K * sizeof *r->logit));
    return whole ? 0 : ERR(err, NOMEM, "no memory for what is found of %lld texts", (long long)n);
}

/* A text without a row. */
static int passed_over(struct text_rows *r, int rc, const struct err *own, struct err *err)
{
    if (rc == ERR_NOMEM)
        return *err = *own, rc;
    if (!r->n_failed++)
        r->why = *own;
    return 0;
}

static void begin_row(struct text_rows *r, const struct text_lines *s, int64_t item, int n_token, const struct labels *names)
{
    const char *label = s->item[item].label;
    r->item[r->n] = item, r->n_token[r->n] = n_token;
    r->label[r->n] = label && names ? labels_find(names, label) : -1;
    r->n++;
}

static int told(const struct text_rows_opts *o, int64_t done, int64_t all, struct err *err)
{
    return o->progress && o->progress(o->ctx, "texts", done, all) ? ERR(err, STOPPED, "stopped after %lld of %lld texts", (long long)done, (long long)all) : 0;
}

/* ---- a classifier ---- */

int text_rows_classifier(struct text_rows *out, struct classifier *c, const struct text_lines *s, const struct text_rows_opts *o, struct err *err)
{
    *out = (struct text_rows){ .n_feature = 1, .feature_name = { "" }, .d = classifier_n_feature(c), .K = classifier_config(c)->n_label };
    int rc = make(out, s->n, err);
    for (int64_t i = 0; i < s->n && !rc; i++) {
        size_t n;
        struct err own;
        const char *text = text_lines_get(s, i, &n);
        const int one = classifier_text_logits(c, text, n, out->logit + out->n * out->K, &own);
        if (one) {
            rc = passed_over(out, one, &own, err);
            continue;
        }
        classifier_features(c, 1, out->feature[0] + out->n * out->d);
        begin_row(out, s, i, classifier_n_token(c), o->names);
        rc = told(o, i + 1, s->n, err);
    }
    if (rc)
        text_rows_release(out);
    return rc;
}

/* ---- a language model ---- */

/* A text that is being read: its ids lie at `at`, `done` of them were fed. */
struct reading { int64_t row; size_t at; int n, done, skip; };      /* skip 1: the first id is the prefix, no token of the text */
/* Of a row of logits: what text_stat has, with the sign of text_rows.h. */
struct row_stat { double v[N_TEXT_STAT]; };

struct reader {
    struct engine *e;
    struct text_rows *out;
    const struct text_lines *set;
    const struct text_rows_opts *o;
    int32_t prefix;
    struct tok_ids ids;                                  /* of those that are read in this step */
    struct reading text[TEXT_SLOTS]; int n_text;
    double *sum;                                         /* [TEXT_SLOTS][d]: of the tokens' states */
    struct row_stat stat[TEXT_LOGITS];
    struct { const float *logit; const int32_t *target; int V; } now;
};

static void stats_of(void *ctx, int i, int i_thread)
{
    struct reader *r = ctx;
    const int V = r->now.V;
    const float *z = r->now.logit + (int64_t)i * V;
    float top = z[0];
    double sum = 0, weighted = 0;
    (void)i_thread;
    for (int v = 1; v < V; v++)
        top = fmaxf(top, z[v]);
    for (int v = 0; v < V; v++) {
        const double a = (double)z[v] - (double)top, p = exp(a);
        sum += p, weighted += p * a;
    }
    const double energy = (double)top + log(sum);
    r->stat[i] = (struct row_stat){ { [TEXT_STAT_NLL] = (double)z[r->now.target[i]] - energy, [TEXT_STAT_MSP] = 1 / sum, [TEXT_STAT_ENERGY] = energy,
                                      [TEXT_STAT_ENTROPY] = weighted / sum - log(sum) } };
}

/* Position pos of a text: its state, behind the last norm. */
static void take_state(struct reader *r, int slot, int pos, const float *state)
{
    const struct reading *t = &r->text[slot];
    const int d = r->out->d;
    double *sum = r->sum + (int64_t)slot * d;
    for (int j = 0; j < d && pos >= t->skip; j++)
        sum[j] += (double)state[j];
    if (pos < t->n - 1)
        return;
    for (int j = 0; j < d; j++)
        r->out->feature[0][t->row * d + j] = (float)(sum[j] / (t->n - t->skip));
    memcpy(r->out->feature[1] + t->row * d, state, (size_t)d * sizeof *state);
}

/* The places of up to TEXT_LOGITS rows of the step, and what is wanted of them. */
struct rows { int32_t row[TEXT_LOGITS], target[TEXT_LOGITS]; int slot[TEXT_LOGITS], pos[TEXT_LOGITS], n; };

static int take_rows(struct reader *r, struct rows *rows, struct err *err)
{
    const float *state, *logit;
    if (!rows->n)
        return 0;
    TRY(engine_hidden(r->e, rows->row, rows->n, &state, err));
    for (int i = 0; i < rows->n; i++)
        take_state(r, rows->slot[i], rows->pos[i], state + (int64_t)i * r->out->d);
    int n = 0;
    for (int i = 0; i < rows->n; i++)                    /* those that a token of the text follows */
        if (rows->pos[i] + 1 < r->text[rows->slot[i]].n) {
            rows->row[n] = rows->row[i], rows->slot[n] = rows->slot[i];
            rows->target[n++] = r->ids.id[r->text[rows->slot[i]].at + (size_t)rows->pos[i] + 1];
        }
    rows->n = 0;
    if (!n)
        return 0;
    TRY(engine_head(r->e, rows->row, n, &logit, err));
    r->now.logit = logit, r->now.target = rows->target, r->now.V = engine_config(r->e)->vocab_size;
    pool_for(r->o->pool, n, stats_of, r);
    for (int i = 0; i < n; i++)
        for (int s = 0; s < N_TEXT_STAT; s++)
            r->out->stat[s][r->text[rows->slot[i]].row] += r->stat[i].v[s];
    return 0;
}

/* One step: of each text what is left of it, as far as the step has room. */
static int step(struct reader *r, struct err *err)
{
    struct engine_part part[TEXT_SLOTS];
    struct rows rows = { .n = 0 };
    int n_part = 0, room = engine_step_tokens(r->e);
    for (int i = 0; i < r->n_text && room; i++) {
        const struct reading *t = &r->text[i];
        const int n = t->n - t->done < room ? t->n - t->done : room;
        if (!n)
            continue;
        part[n_part++] = (struct engine_part){ .slot = i, .pos = t->done, .n = n, .ids = r->ids.id + t->at + t->done };
        room -= n;
    }
    TRY(engine_run(r->e, part, n_part, err));
    int32_t row = 0;
    for (int i = 0; i < n_part; i++)
        for (int k = 0; k < part[i].n; k++, row++) {
            rows.row[rows.n] = row, rows.slot[rows.n] = part[i].slot, rows.pos[rows.n++] = part[i].pos + k;
            if (rows.n == TEXT_LOGITS)
                TRY(take_rows(r, &rows, err));
        }
    TRY(take_rows(r, &rows, err));
    for (int i = 0; i < n_part; i++)
        r->text[part[i].slot].done += part[i].n;
    return 0;
}

/* Reads those that are waiting, to their ends. */
static int flush(struct reader *r, struct err *err)
{
    int left = 0;
    memset(r->sum, 0, TEXT_SLOTS * (size_t)r->out->d * sizeof *r->sum);
    for (int i = 0; i < r->n_text; i++)
        left += r->text[i].n;
    for (int done = 0; done < left;) {
        TRY(step(r, err));
        done = 0;
        for (int i = 0; i < r->n_text; i++)
            done += r->text[i].done;
    }
    for (int i = 0; i < r->n_text; i++) {
        const struct reading *t = &r->text[i];
        for (int s = 0; s < N_TEXT_STAT; s++)
            r->out->stat[s][t->row] /= t->n - 1;
    }
    r->n_text = 0, r->ids.n = 0;
    return 0;
}

/* Its ids behind those that are there. */
static int encode(struct reader *r, int64_t item, int *skip, struct err *err)
{
    size_t n;
    const size_t was = r->ids.n;
    const char *text = text_lines_get(r->set, item, &n);
    TRY(engine_encode(r->e, text, n, TOK_ADD, &r->ids, err));
    *skip = 0;
    if (r->prefix >= 0 && r->ids.n > was) {
        if (r->ids.id[was] != r->prefix) {
            TRY(tok_ids_add(&r->ids, 0, err));
            memmove(r->ids.id + was + 1, r->ids.id + was, (r->ids.n - was - 1) * sizeof *r->ids.id);
            r->ids.id[was] = r->prefix;
        }
        *skip = 1;
    }
    const size_t got = r->ids.n - was;
    if (got < 2)
        return ERR(err, RANGE, "text %lld has %zu tokens, of which one needs another before it", (long long)item + 1, got);
    if (got > (size_t)engine_ctx(r->e))
        return ERR(err, RANGE, "text %lld has %zu tokens, expected at most %d", (long long)item + 1, got, engine_ctx(r->e));
    return 0;
}

static int add_text(struct reader *r, int64_t item, struct err *err)
{
    struct err own;
    size_t was = r->ids.n;
    int skip;
    const int rc = encode(r, item, &skip, &own);
    if (rc) {
        r->ids.n = was;
        return passed_over(r->out, rc, &own, err);
    }
    const int n = (int)(r->ids.n - was);
    if (r->n_text == TEXT_SLOTS || (r->n_text && r->ids.n > (size_t)engine_step_tokens(r->e))) {
        TRY(flush(r, err));
        memmove(r->ids.id, r->ids.id + was, (size_t)n * sizeof *r->ids.id);
        r->ids.n = (size_t)n, was = 0;
    }
    r->text[r->n_text++] = (struct reading){ r->out->n, was, n, 0, skip };
    begin_row(r->out, r->set, item, n - 1, r->o->names);
    return 0;
}

static int read_all(struct reader *r, struct err *err)
{
    for (int64_t i = 0; i < r->set->n; i++) {
        TRY(add_text(r, i, err));
        TRY(told(r->o, i, r->set->n, err));
    }
    return r->n_text ? flush(r, err) : 0;
}

int text_rows_model(struct text_rows *out, struct engine *e, int32_t prefix, const struct text_lines *s, const struct text_rows_opts *o, struct err *err)
{
    struct reader r = { .e = e, .out = out, .set = s, .o = o, .prefix = prefix };
    *out = (struct text_rows){ .n_feature = 2, .feature_name = { "mean", "last" }, .d = engine_config(e)->d_model, .has_stat = true };
    int rc = make(out, s->n, err);
    if (!rc && !(r.sum = mem_alloc_array(TEXT_SLOTS * (size_t)out->d, sizeof *r.sum)))
        rc = ERR(err, NOMEM, "no memory for the states of %d texts", TEXT_SLOTS);
    if (!rc)
        rc = read_all(&r, err);
    mem_free(r.sum);
    tok_ids_release(&r.ids);
    if (rc)
        text_rows_release(out);
    return rc;
}
