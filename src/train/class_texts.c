#include "train/class_texts.h"
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/labelled.h"

static int read_texts(struct labelled *l, const json_t *paths, const struct train_config *c, struct labels *names, bool fixed, struct err *err)
{
    struct text_list files = { 0 };
    size_t i;
    json_t *p;
    int rc = 0;
    json_array_foreach(paths, i, p)
        rc = rc ? rc : text_add(&files, json_string_value(p), err);
    if (!rc)
        rc = labelled_read(l, &files, c->fields, names, fixed, err);
    text_release(&files);
    return rc;
}

static int tokenizer_of(struct prepared *p, struct train_config *c, const char *where, const struct labelled *l, struct err *err)
{
    if (l->n > INT32_MAX)
        return ERR(err, RANGE, "%lld texts, expected at most %d", (long long)l->n, INT32_MAX);
    struct tok_text *text = mem_alloc_array((size_t)l->n, sizeof *text);
    if (!text)
        return ERR(err, NOMEM, "no memory for %lld texts", (long long)l->n);
    for (int64_t i = 0; i < l->n; i++)
        text[i].data = labelled_text(l, i, &text[i].n);
    const int rc = prepare_tokenizer(p, c, where, text, (int)l->n, err);
    mem_free(text);
    return rc;
}

struct encoder { const struct tok *tok; const struct train_config *c; int ctx; struct tok_ids ids, around; uint8_t *learn; int64_t n_skipped, n_cut, longest; };

/* Cut behind its beginning, but for the last token where the tokenizer ends every text with it. */
static void cut(struct encoder *e)
{
    const int32_t last = e->ids.id[e->ids.n - 1];
    const bool ends = e->around.n > 1 && e->around.id[e->around.n - 1] == last;
    e->ids.n = (size_t)e->ctx;
    if (ends)
        e->ids.id[e->ids.n - 1] = last;
    e->n_cut++;
}

static int add_text(struct encoder *e, struct sequences *q, int32_t *label, const struct labelled *l, int64_t i, struct err *err)
{
    size_t n;
    const char *text = labelled_text(l, i, &n);
    e->ids.n = 0;
    if (tok_encode(e->tok, text, n, TOK_ADD, &e->ids, err) < 0)
        return err_context(err, "text %lld", (long long)i + 1);
    e->longest = (int64_t)e->ids.n > e->longest ? (int64_t)e->ids.n : e->longest;
    if (!e->ids.n)
        return ERR(err, FORMAT, "text %lld has no tokens", (long long)i + 1);
    if (e->ids.n > (size_t)e->ctx && !strcmp(e->c->too_long, "error"))
        return ERR(err, RANGE, "text %lld has %zu tokens, expected at most train.ctx, %d; data.too_long: skip or cut lets it pass", (long long)i + 1, e->ids.n, e->ctx);
    if (e->ids.n > (size_t)e->ctx && !strcmp(e->c->too_long, "skip")) {
        e->n_skipped++;
        return 0;
    }
    if (e->ids.n > (size_t)e->ctx)
        cut(e);
    TRY(sequences_add(q, e->ids.id, e->learn, e->ids.n, err));
    label[q->n] = l->label[i];
    return sequences_end(q, 0, err);
}

static void report(const char *what, const struct encoder *e, int64_t n)
{
    log_info("%s: %lld texts, the longest of %lld tokens", what, (long long)n, (long long)e->longest);
    if (e->n_skipped || e->n_cut)
        log_warn("%s: %lld texts longer than %d tokens were left out, %lld cut (data.too_long)", what, (long long)e->n_skipped, e->ctx, (long long)e->n_cut);
}

static int encode_all(struct encoder *e, struct sequences *q, int32_t **label, const struct labelled *l, struct err *err)
{
    e->learn = mem_alloc_zero((size_t)e->ctx);
    *label = mem_alloc_array((size_t)l->n, sizeof **label);
    int rc = e->learn && *label ? tok_encode(e->tok, "", 0, TOK_ADD, &e->around, err) : ERR(err, NOMEM, "no memory for %lld texts", (long long)l->n);
    for (int64_t i = 0; i < l->n && !rc; i++)
        rc = add_text(e, q, *label, l, i, err);
    if (!rc && !q->n)
        rc = ERR(err, USAGE, "every text is longer than train.ctx, %d tokens", e->ctx);
    return rc;
}

static int write_shard(struct class_texts *t, int set, const struct prepared *p, struct shard *s, const char *out, const char *name, const struct labelled *l, const struct train_config *c, struct err *err)
{
    struct sequences q = { 0 };
    struct encoder e = { .tok = p->tok, .c = c, .ctx = (int)c->ctx };
    char *path = file_join(out, name);
    int rc = path ? encode_all(&e, &q, &t->label[set], l, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = shard_write_sequences(path, &q, 0, q.n, SHARD_STREAM, p->tok, p->tok_sha256, err);
    if (!rc)
        rc = shard_open(s, path, err);
    if (!rc)
        report(name, &e, q.n);
    const int longest = e.longest < e.ctx ? (int)e.longest : e.ctx;
    t->longest = longest > t->longest ? longest : t->longest;
    sequences_release(&q);
    tok_ids_release(&e.ids);
    tok_ids_release(&e.around);
    mem_free(e.learn);
    mem_free(path);
    return rc;
}

static void measure(struct class_texts *t, const struct config *c)
{
    const struct shard *s = t->shard[0];
    double all = 0, keys = 0;
    for (int64_t i = 0; i < s->n_seq; i++) {
        const double n = (double)(s->start[i + 1] - s->start[i]);
        all += n, keys += c->encoder ? n * n : n * (n + 1) / 2;
    }
    t->mean = all / (double)s->n_seq, t->n_key = keys / all;
}

int class_texts_prepare(struct class_texts *t, struct prepared *p, struct train_config *c, const char *where, const char *out, struct labels *names, bool fixed, struct err *err)
{
    struct labelled train = { 0 }, valid = { 0 };
    int rc = read_texts(&train, c->train_paths, c, names, fixed, err);
    if (!rc && c->valid_paths)
        rc = read_texts(&valid, c->valid_paths, c, names, true, err);
    if (!rc)
        rc = tokenizer_of(p, c, where, &train, err);
    if (!rc)
        rc = write_shard(t, 0, p, &p->train, out, "data/train.tok", &train, c, err);
    if (!rc && c->valid_paths)
        rc = write_shard(t, 1, p, &p->valid, out, "data/valid.tok", &valid, c, err);
    labelled_release(&train);
    labelled_release(&valid);
    if (rc)
        return rc;
    t->shard[0] = &p->train, t->shard[1] = c->valid_paths ? &p->valid : NULL;
    measure(t, &c->model);
    c->ctx = t->longest;
    return 0;
}

void class_texts_release(struct class_texts *t)
{
    mem_free(t->label[0]);
    mem_free(t->label[1]);
    *t = (struct class_texts){ .mean = 0 };
}

void class_texts_put(const struct class_texts *t, int set, int64_t i, const struct decoder *d, struct batch *b)
{
    const struct shard *s = t->shard[set];
    int32_t *ids = d->g->tensor[d->ids].data, *pos = d->g->tensor[d->pos].data;
    for (uint64_t k = s->start[i]; k < s->start[i + 1]; k++, b->n++)
        ids[b->n] = shard_id(s, (int64_t)k), pos[b->n] = (int32_t)(k - s->start[i]);
    b->seq_start[++b->n_seq] = b->n;
}
