#include "train/token_files.h"
#include <string.h>
#include "base/log.h"
#include "base/mem.h"

/* Those of a list of paths, mapped.  keep: of a shard, NULL where all its sequences stay; n_long: records longer than a window. */
struct token_files { struct shard *shard; struct shard_part *part; uint8_t **keep; int n, cap; int64_t n_long; };

static void release_files(struct token_files *f)
{
    for (int i = 0; i < f->n; i++) {
        shard_close(&f->shard[i]);
        mem_free(f->keep[i]);
    }
    mem_free(f->shard);
    mem_free(f->part);
    mem_free(f->keep);
}

static int room(void **p, int n, size_t size, struct err *err)
{
    void *more = mem_realloc_array(*p, (size_t)n, size);
    *p = more ? more : *p;
    return more ? 0 : ERR(err, NOMEM, "no memory for %d token files", n);
}

static int add_token_file(struct token_files *f, const char *path, struct err *err)
{
    if (f->n == f->cap) {
        const int cap = f->cap ? 2 * f->cap : 16;
        TRY(room((void **)&f->shard, cap, sizeof *f->shard, err));
        TRY(room((void **)&f->part, cap, sizeof *f->part, err));
        TRY(room((void **)&f->keep, cap, sizeof *f->keep, err));
        f->cap = cap;
    }
    TRY(shard_open(&f->shard[f->n], path, err));
    f->keep[f->n++] = NULL;
    return 0;
}

static int add_token_files(struct token_files *f, const char *path, int depth, struct err *err)
{
    char **names;
    int n, rc = 0;
    if (!file_is_dir(path))
        return add_token_file(f, path, err);
    if (depth == 8)
        return ERR(err, RANGE, "%s: folders more than %d deep", path, depth);
    TRY(file_list(path, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        char *below = file_join(path, names[i]);
        rc = below ? add_token_files(f, below, depth + 1, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(below);
    }
    file_list_free(names, n);
    return rc;
}

bool token_files_named(const json_t *paths)
{
    const char *path = json_string_value(json_array_get(paths, 0));
    char **names;
    int n;
    if (!file_is_dir(path))
        return shard_is(path);
    if (file_list(path, &names, &n, NULL))
        return false;
    char *first = n ? file_join(path, names[0]) : NULL;
    const bool has = first && shard_is(first);
    mem_free(first);
    file_list_free(names, n);
    return has;
}

/* Of records those that a window does not hold are left out, or an error. */
static int leave_out_long(struct token_files *f, const struct train_config *c, const char *what, struct err *err)
{
    for (int k = 0; k < f->n; k++) {
        const struct shard *s = &f->shard[k];
        const int per = s->kind == SHARD_PAIRS ? 2 : 1;
        if (s->kind == SHARD_STREAM || s->kind == SHARD_TEXT)
            continue;
        if (!(f->keep[k] = mem_alloc((size_t)s->n_seq + 1)))
            return ERR(err, NOMEM, "no memory for %lld records", (long long)s->n_seq);
        for (int64_t i = 0; i < s->n_seq; i += per) {
            const bool fits = s->start[i + per] - s->start[i] <= (uint64_t)c->ctx + (uint64_t)per;
            memset(f->keep[k] + i, fits, (size_t)per);
            f->n_long += !fits;
        }
    }
    if (f->n_long && strcmp(c->too_long, "skip"))
        return ERR(err, RANGE, "%s: %lld records are longer than a window of %lld tokens; expected a longer train.ctx, or data.too_long: skip (cut needs the texts)", what, (long long)f->n_long, (long long)c->ctx);
    if (f->n_long)
        log_warn("%s: %lld records left out, as they do not fit into a window of %lld tokens (data.too_long: skip)", what, (long long)f->n_long, (long long)c->ctx);
    return 0;
}

/* Ids are looked up in tables of the vocabulary's size. */
static int check_ids(const struct shard *s, int vocab_size, const char *what, struct err *err)
{
    for (int64_t i = 0; i < s->n; i++)
        if ((uint32_t)shard_id(s, i) >= (uint32_t)vocab_size)
            return ERR(err, FORMAT, "%s: token %lld of a token file is %u, expected less than %d", what, (long long)i, (unsigned)shard_id(s, i), vocab_size);
    return 0;
}

static int open_token_files(struct token_files *f, const char *tokenizer, const struct train_config *c, const json_t *paths, const char *what, struct err *err)
{
    size_t i;
    json_t *path;
    json_array_foreach(paths, i, path)
        TRY(add_token_files(f, json_string_value(path), 0, err));
    for (int k = 0; k < f->n; k++) {
        if (f->shard[k].kind == SHARD_TEXT)
            return ERR(err, UNSUPPORTED, "%s: a token file of one text (a run's own), expected those of records or of lathe data build", what);
        if (memcmp(f->shard[k].tokenizer, tokenizer, SHA256_HEX - 1))
            return ERR(err, USAGE, "%s: a token file is of the tokenizer %.12s.., data.tokenizer is %.12s..", what, f->shard[k].tokenizer, tokenizer);
        TRY(check_ids(&f->shard[k], c->model.vocab_size, what, err));
        f->part[k] = (struct shard_part){ &f->shard[k], 0, f->shard[k].n_seq, NULL };
    }
    TRY(leave_out_long(f, c, what, err));
    for (int k = 0; k < f->n; k++)
        f->part[k].keep = f->keep[k];
    return f->n ? 0 : ERR(err, NOTFOUND, "%s: no token files", what);
}

static int put_together(struct shard *s, const char *out, const char *name, const struct token_files *f, struct err *err)
{
    char *path = file_join(out, name);
    int rc = path ? shard_write_parts(path, f->part, f->n, err) : ERR(err, NOMEM, "no memory for a path");
    rc = rc ? rc : shard_open(s, path, err);
    mem_free(path);
    return rc;
}

/* The last share of the sequences of all files is held out: rest has them, and f loses them. */
static void hold_out(struct token_files *f, struct shard_part *rest, double share)
{
    int64_t all = 0, before = 0;
    for (int k = 0; k < f->n; k++)
        all += f->part[k].to;
    const int per = f->shard[0].kind == SHARD_PAIRS ? 2 : 1;      /* pairs stay together */
    const int64_t from = all - (int64_t)((double)(all / per) * share) * per;
    for (int k = 0; k < f->n; k++) {
        const int64_t n = f->part[k].to, cut = from <= before ? 0 : from - before < n ? from - before : n;
        rest[k] = f->part[k];
        rest[k].from = f->part[k].to = cut;
        before += n;
    }
}

static int put_both(struct shard *train, struct shard *valid, const struct train_config *c, const char *tokenizer, const char *out, struct token_files f[2], struct err *err)
{
    TRY(open_token_files(&f[0], tokenizer, c, c->train_paths, "data.train", err));
    struct shard_part *rest = mem_alloc_array((size_t)f[0].n, sizeof *rest);
    int rc = rest ? 0 : ERR(err, NOMEM, "no memory for %d token files", f[0].n);
    if (!rc && c->valid_paths)
        rc = open_token_files(&f[1], tokenizer, c, c->valid_paths, "data.valid", err);
    else if (!rc)
        hold_out(&f[0], rest, c->valid_share);
    rc = rc ? rc : put_together(train, out, "data/train.tok", &f[0], err);
    if (!rc && (c->valid_paths || c->valid_share > 0))
        rc = put_together(valid, out, "data/valid.tok", c->valid_paths ? &f[1] : &(struct token_files){ .part = rest, .n = f[0].n }, err);
    mem_free(rest);
    return rc;
}

int token_files_put(struct shard *train, struct shard *valid, const struct train_config *c, const char tokenizer[SHA256_HEX], const char *out, struct err *err)
{
    struct token_files f[2] = { { .n = 0 }, { .n = 0 } };
    int rc = put_both(train, valid, c, tokenizer, out, f, err);
    release_files(&f[0]);
    release_files(&f[1]);
    TRY(rc);
    if (!train->n_seq || (c->valid_paths && !valid->n_seq))
        return ERR(err, FORMAT, "%s has no record to learn from", train->n_seq ? "data.valid" : "data.train");
    if (c->valid_paths && valid->kind != train->kind)
        return ERR(err, FORMAT, "data.train and data.valid have token files of kinds %d and %d, expected one", (int)train->kind, (int)valid->kind);
    log_info("token files: %lld sequences to train on (%lld tokens, %.1f %% of them learned), %lld held out", (long long)train->n_seq, (long long)train->n, 100 * (double)train->n_learn / (double)train->n,
             (long long)valid->n_seq);
    return 0;
}
