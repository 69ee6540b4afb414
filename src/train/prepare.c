#include "train/prepare.h"
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "data/text.h"
#include "train/base.h"

static int add_texts(struct text_list *l, const json_t *paths, struct err *err)
{
    size_t i;
    json_t *p;
    json_array_foreach(paths, i, p)
        TRY(text_add(l, json_string_value(p), err));
    return 0;
}

/* The tokenizer of the run: read from a path, or made from the training part of the text. */
static int get_tokenizer(struct prepared *p, const struct train_config *c, const struct text_list *text, uint64_t n_bytes, struct err *err)
{
    const bool bpe = !strcmp(c->tokenizer, "bpe"), bytes = !strcmp(c->tokenizer, "bytes");
    if (c->from && bpe) {
        TRY(base_tokenizer(&p->tok, c->from, err));
    } else if (!bpe && !bytes) {
        TRY(tok_load(&p->tok, c->tokenizer, err));
    } else {
        struct tok_text *part = mem_alloc_array((size_t)text->n_doc, sizeof *part);
        if (!part)
            return ERR(err, NOMEM, "no memory for %d texts", text->n_doc);
        uint64_t at = 0;
        int n = 0;
        for (; n < text->n_doc && at < n_bytes; n++) {
            part[n] = (struct tok_text){ text->doc[n].map.data, text->doc[n].n < n_bytes - at ? text->doc[n].n : (size_t)(n_bytes - at) };
            at += part[n].n;
        }
        const double begin = clock_wall();
        const int rc = bytes ? tok_from_bytes(&p->tok, part, n, err) : tok_train_bpe(&p->tok, part, n, (int)c->vocab_size, err);
        mem_free(part);
        TRY(rc);
        if (bpe)
            log_info("tokenizer: %d tokens learned from %.1f MB in %.1f s", tok_vocab_size(p->tok), (double)at / 1e6, clock_wall() - begin);
    }
    return 0;
}

/* The model's vocabulary follows the tokenizer where the settings leave it open. */
static int fit_vocabulary(const struct prepared *p, struct train_config *c, const char *where, struct err *err)
{
    const int n = tok_vocab_size(p->tok);
    if (c->from || c->vocab_given) {
        if (n > c->model.vocab_size)
            return ERR(err, USAGE, "%s: the model's vocab_size is %d, expected at least the tokenizer's %d", where, c->model.vocab_size, n);
        return 0;
    }
    c->model.vocab_size = n;
    if (tok_eot(p->tok) >= 0)
        c->model.eos_id[0] = tok_eot(p->tok), c->model.n_eos = 1;
    return config_validate(&c->model, where, err);
}

/* Of one that cannot be written as tokenizer.json: by what its tokens stand for. */
static int digest_vocabulary(struct prepared *p, struct err *err)
{
    struct sha256 h;
    TRY(sha256_init(&h, err));
    for (int id = 0; id < tok_vocab_size(p->tok); id++) {
        size_t n = 0;
        const char *s = tok_bytes(p->tok, id, &n);
        sha256_add(&h, &n, sizeof n);
        sha256_add(&h, s ? s : "", s ? n : 0);
    }
    sha256_end(&h, p->tok_sha256);
    return 0;
}

/* A run of adapters writes no tokenizer. */
static int digest_tokenizer(struct prepared *p, bool adapters, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = tok_write(p->tok, &b, err);
    if (!rc)
        rc = sha256_of(b.data, b.len, p->tok_sha256, err);
    else if (rc == ERR_UNSUPPORTED && adapters)
        rc = digest_vocabulary(p, err);
    buf_release(&b);
    return rc;
}

static int prepare_shard(const struct prepared *p, struct shard *s, const char *out, const char *name, const struct text_list *text, uint64_t skip, uint64_t n, struct err *err)
{
    char *path = file_join(out, name);
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    int rc = shard_write(path, text, skip, n, p->tok, p->tok_sha256, err);
    if (!rc)
        rc = shard_open(s, path, err);
    mem_free(path);
    return rc;
}

int prepare_data(struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err)
{
    struct text_list train = { 0 }, valid = { 0 };
    char *folder = file_join(out, "data");
    int rc = folder ? file_mkdirs(folder, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_remove_leftovers(folder, err);
    mem_free(folder);
    if (!rc)
        rc = add_texts(&train, c->train_paths, err);
    if (!rc && c->valid_paths)
        rc = add_texts(&valid, c->valid_paths, err);
    uint64_t n = train.n_bytes;
    if (!c->valid_paths)
        n = (uint64_t)((double)train.n_bytes * (1 - c->valid_share));
    while (n < train.n_bytes && n > 0 && train.n_doc) {      /* do not cut a character */
        uint64_t at = 0;
        int d = 0;
        while (at + train.doc[d].n <= n)
            at += train.doc[d++].n;
        if (((unsigned char)train.doc[d].map.data[n - at] & 0xc0) != 0x80)
            break;
        n--;
    }
    if (!rc)
        rc = get_tokenizer(p, c, &train, n, err);
    if (!rc)
        rc = fit_vocabulary(p, c, where, err);
    if (!rc)
        rc = digest_tokenizer(p, c->tune.on, err);
    if (!rc)
        rc = prepare_shard(p, &p->train, out, "data/train.tok", &train, 0, n, err);
    if (!rc && (valid.n_doc || n < train.n_bytes))
        rc = valid.n_doc ? prepare_shard(p, &p->valid, out, "data/valid.tok", &valid, 0, valid.n_bytes, err)
                         : prepare_shard(p, &p->valid, out, "data/valid.tok", &train, n, train.n_bytes - n, err);
    if (!rc)
        log_info("text: %lld tokens (%.2f bytes each) to train on, %lld held out", (long long)p->train.n,
                 (double)p->train.n_text / (double)(p->train.n ? p->train.n : 1), (long long)p->valid.n);
    text_release(&train);
    text_release(&valid);
    return rc;
}

void prepare_release(struct prepared *p)
{
    shard_close(&p->train);
    shard_close(&p->valid);
    tok_free(p->tok);
    *p = (struct prepared){ 0 };
}
