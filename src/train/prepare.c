#include "train/prepare.h"
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "data/records.h"
#include "data/text.h"
#include "train/base.h"
#include "train/token_files.h"

static int add_texts(struct text_list *l, const json_t *paths, struct err *err)
{
    size_t i;
    json_t *p;
    json_array_foreach(paths, i, p)
        TRY(text_add(l, json_string_value(p), err));
    return 0;
}

static bool makes_tokenizer(const struct train_config *c) { return (!strcmp(c->tokenizer, "bpe") && !c->from) || !strcmp(c->tokenizer, "bytes"); }

/* The tokenizer of the run, read from a path. */
static int read_tokenizer(struct prepared *p, const struct train_config *c, struct err *err)
{
    return c->from && !strcmp(c->tokenizer, "bpe") ? base_tokenizer(&p->tok, c->from, err) : tok_load(&p->tok, c->tokenizer, err);
}

/* Or made from the texts that are trained on. */
static int make_tokenizer(struct prepared *p, const struct train_config *c, const struct tok_text *part, int n, struct err *err)
{
    const bool bytes = !strcmp(c->tokenizer, "bytes");
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += part[i].n;
    const double begin = clock_wall();
    TRY(bytes ? tok_from_bytes(&p->tok, part, n, err) : tok_train_bpe(&p->tok, part, n, (int)c->vocab_size, err));
    if (!bytes)
        log_info("tokenizer: %d tokens learned from %.1f MB in %.1f s", tok_vocab_size(p->tok), (double)size / 1e6, clock_wall() - begin);
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

/* What is done once the tokenizer is there. */
static int fit_tokenizer(struct prepared *p, struct train_config *c, const char *where, struct err *err)
{
    TRY(fit_vocabulary(p, c, where, err));
    return tok_digest(p->tok, c->tune.on, p->tok_sha256, err);      /* a run of adapters writes no tokenizer */
}

int prepare_tokenizer(struct prepared *p, struct train_config *c, const char *where, const struct tok_text *text, int n, struct err *err)
{
    TRY(makes_tokenizer(c) ? make_tokenizer(p, c, text, n, err) : read_tokenizer(p, c, err));
    return fit_tokenizer(p, c, where, err);
}

/* ---- plain text ---- */

static int text_shard(const struct prepared *p, struct shard *s, const char *out, const char *name, const struct text_list *text, uint64_t skip, uint64_t n, struct err *err)
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

/* Bytes of the text that are trained on; no character is cut. */
static uint64_t training_bytes(const struct train_config *c, const struct text_list *train)
{
    uint64_t n = train->n_bytes;
    if (!c->valid_paths)
        n = (uint64_t)((double)train->n_bytes * (1 - c->valid_share));
    while (n < train->n_bytes && n > 0 && train->n_doc) {
        uint64_t at = 0;
        int d = 0;
        while (at + train->doc[d].n <= n)
            at += train->doc[d++].n;
        if (((unsigned char)train->doc[d].map.data[n - at] & 0xc0) != 0x80)
            break;
        n--;
    }
    return n;
}

static int tokenizer_of_text(struct prepared *p, const struct train_config *c, const struct text_list *text, uint64_t n_bytes, struct err *err)
{
    struct tok_text *part = mem_alloc_array((size_t)text->n_doc, sizeof *part);
    if (!part)
        return ERR(err, NOMEM, "no memory for %d texts", text->n_doc);
    uint64_t at = 0;
    int n = 0;
    for (; n < text->n_doc && at < n_bytes; n++) {
        part[n] = (struct tok_text){ text->doc[n].map.data, text->doc[n].n < n_bytes - at ? text->doc[n].n : (size_t)(n_bytes - at) };
        at += part[n].n;
    }
    const int rc = make_tokenizer(p, c, part, n, err);
    mem_free(part);
    return rc;
}

static int prepare_text(struct prepared *p, struct train_config *c, const char *where, const char *out, const struct text_list *train, const struct text_list *valid, struct err *err)
{
    const uint64_t n = training_bytes(c, train);
    TRY(makes_tokenizer(c) ? tokenizer_of_text(p, c, train, n, err) : read_tokenizer(p, c, err));
    TRY(fit_tokenizer(p, c, where, err));
    TRY(text_shard(p, &p->train, out, "data/train.tok", train, 0, n, err));
    if (valid->n_doc)
        TRY(text_shard(p, &p->valid, out, "data/valid.tok", valid, 0, valid->n_bytes, err));
    else if (n < train->n_bytes)
        TRY(text_shard(p, &p->valid, out, "data/valid.tok", train, n, train->n_bytes - n, err));
    log_info("text: %lld tokens (%.2f bytes each) to train on, %lld held out", (long long)p->train.n,
             (double)p->train.n_text / (double)(p->train.n ? p->train.n : 1), (long long)p->valid.n);
    return 0;
}

/* ---- records ---- */

/* The chat template of data.template, of the model that is continued, or of the tokenizer's folder; none where there is none. */
static int load_chat(struct chat **chat, const struct train_config *c, struct err *err)
{
    const char *path = c->from ? c->from : c->tokenizer;
    struct buf text;
    *chat = NULL;
    if (!c->template && (!file_exists(path) || (!c->from && !file_is_dir(path))))
        return 0;
    if (!c->template) {
        const int rc = chat_load(chat, path, NULL, err);
        return rc == ERR_NOTFOUND ? 0 : rc;
    }
    buf_init(&text);
    int rc = file_read(c->template, JINJA_TEXT_MAX, &text, err);
    const struct chat_source own = { "default", text.data, text.len };
    if (!rc)
        rc = c->from ? chat_load(chat, path, &own, err) : chat_new(chat, &own, 1, NULL, err);
    buf_release(&text);
    return rc;
}

static int tokenizer_of_records(struct prepared *p, const struct train_config *c, const struct records_opts *o, const struct text_list *train, struct err *err)
{
    struct record_texts t = { 0 };
    struct tok_text *part = NULL;
    int rc = records_texts(&t, train, o, err);
    const int64_t n = c->valid_paths ? t.n : t.n - (int64_t)((double)t.n * c->valid_share);
    if (!rc && n < 1)
        rc = ERR(err, FORMAT, "data.train: no record is left to learn a tokenizer from: %lld are right, and data.valid_share of them are held out", (long long)t.n);
    if (!rc && n > INT32_MAX)
        rc = ERR(err, RANGE, "%lld records, expected at most %d to learn a tokenizer from", (long long)n, INT32_MAX);
    if (!rc && !(part = mem_alloc_array((size_t)n, sizeof *part)))
        rc = ERR(err, NOMEM, "no memory for %lld texts", (long long)n);
    for (int64_t i = 0; i < n && !rc; i++)
        part[i] = (struct tok_text){ t.text.data + (i ? t.end[i - 1] : 0), t.end[i] - (i ? t.end[i - 1] : 0) };
    if (!rc)
        rc = make_tokenizer(p, c, part, (int)n, err);
    mem_free(part);
    record_texts_release(&t);
    return rc;
}

static int record_shard(const struct prepared *p, struct shard *s, const char *out, const char *name, const struct records *r, int64_t from, int64_t to, enum shard_kind kind,
                        struct err *err)
{
    char *path = file_join(out, name);
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    int rc = shard_write_sequences(path, &r->q, from, to, kind, p->tok, p->tok_sha256, err);
    if (!rc)
        rc = shard_open(s, path, err);
    mem_free(path);
    return rc;
}

/* What was read, and what became of it: nothing is left out without a word. */
static void report_records(const char *what, const struct records *r, const struct records_opts *o)
{
    if (r->n_bad)
        log_warn("%s: %lld records left out, as they were wrong (data.bad_records: skip)", what, (long long)r->n_bad);
    if (r->n_long)
        log_warn("%s: %lld records left out, as nothing of them to learn fits into a window of %d tokens; the longest takes %d (data.too_long: %s)", what, (long long)r->n_long,
                 o->ctx, r->longest, o->too_long == TOO_LONG_CUT ? "cut" : "skip");
    if (r->n_cut)
        log_warn("%s: %lld records cut to a window of %d tokens; the longest takes %d (data.too_long: cut)", what, (long long)r->n_cut, o->ctx, r->longest);
    if (r->n_open)
        log_warn("%s: %lld turns of assistants end with no token that ends a turn, so the model will not learn to stop there", what, (long long)r->n_open);
    if (r->n_rewritten)
        log_info("%s: in %lld records the tokenizer changes characters (its normal form)", what, (long long)r->n_rewritten);
}

static int shards_of_records(struct prepared *p, const struct train_config *c, const char *out, struct records_opts *o, const struct text_list *train, const struct text_list *valid,
                             struct records r[2], struct err *err)
{
    const enum shard_kind kind = data_form_kind(o->form);
    const int per = kind == SHARD_PAIRS ? 2 : 1;
    TRY(records_encode(&r[0], train, o, err));
    report_records("data.train", &r[0], o);
    if (!r[0].n_record)
        return ERR(err, FORMAT, "data.train has no record to learn from");
    const int64_t n = r[0].n_record - (c->valid_paths ? 0 : (int64_t)((double)r[0].n_record * c->valid_share));
    TRY(record_shard(p, &p->train, out, "data/train.tok", &r[0], 0, n * per, kind, err));
    if (valid->n_doc) {
        TRY(records_encode(&r[1], valid, o, err));
        report_records("data.valid", &r[1], o);
        if (!r[1].n_record)
            return ERR(err, FORMAT, "data.valid has no record");
        TRY(record_shard(p, &p->valid, out, "data/valid.tok", &r[1], 0, r[1].n_record * per, kind, err));
    } else if (n < r[0].n_record) {
        TRY(record_shard(p, &p->valid, out, "data/valid.tok", &r[0], n * per, r[0].n_record * per, kind, err));
    }
    log_info("records: %lld of the form %s to train on (%lld tokens, %.1f %% of them learned), %lld held out", (long long)n, data_form_name(o->form), (long long)p->train.n,
             100 * (double)p->train.n_learn / (double)p->train.n, (long long)(p->valid.n_seq / per));
    return 0;
}

static int prepare_records(struct prepared *p, struct train_config *c, const char *where, const char *out, enum data_form form, const struct text_list *train,
                           const struct text_list *valid, struct err *err)
{
    struct chat *chat;
    struct records r[2] = { { .n_record = 0 }, { .n_record = 0 } };
    TRY(load_chat(&chat, c, err));
    struct records_opts o = { .form = form, .fields = c->fields, .chat = chat, .ctx = (int)c->ctx, .skip_bad = !strcmp(c->bad_records, "skip"),
                              .too_long = !strcmp(c->too_long, "cut") ? TOO_LONG_CUT : !strcmp(c->too_long, "skip") ? TOO_LONG_SKIP : TOO_LONG_ERROR };
    int rc = makes_tokenizer(c) ? tokenizer_of_records(p, c, &o, train, err) : read_tokenizer(p, c, err);
    if (!rc)
        rc = fit_tokenizer(p, c, where, err);
    o.tok = p->tok;
    if (!rc)
        rc = shards_of_records(p, c, out, &o, train, valid, r, err);
    records_release(&r[0]);
    records_release(&r[1]);
    chat_free(chat);
    return rc;
}

/* A setting that says nothing about data of this form is an error. */
static int check_form(const struct train_config *c, enum data_form form, const char *where, struct err *err)
{
    static const struct { const char *key; unsigned forms; } keys[] = {
        { "fields", 1u << FORM_TEXT | 1u << FORM_CHAT | 1u << FORM_COMPLETION | 1u << FORM_PREFERENCE },
        { "bad_records", 1u << FORM_TEXT | 1u << FORM_CHAT | 1u << FORM_COMPLETION | 1u << FORM_PREFERENCE },
        { "template", 1u << FORM_CHAT | 1u << FORM_COMPLETION | 1u << FORM_PREFERENCE },
        { "too_long", 1u << FORM_CHAT | 1u << FORM_COMPLETION | 1u << FORM_PREFERENCE },
        { "pack", 1u << FORM_CHAT | 1u << FORM_COMPLETION | 1u << FORM_PREFERENCE },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(json_object_get(c->root, "data"), keys[i].key) && !(keys[i].forms >> form & 1))
            return ERR(err, USAGE, "%s: data.%s says nothing about data of the form %s", where, keys[i].key, data_form_name(form));
    if (form == FORM_PREFERENCE && !strcmp(c->too_long, "cut"))
        return ERR(err, USAGE, "%s: data.too_long: cut does not go with the form preference: both answers must be whole; expected error or skip", where);
    return 0;
}

static int prepare_lists(struct prepared *p, struct train_config *c, const char *where, const char *out, struct text_list *train, struct text_list *valid, struct err *err)
{
    const struct records_opts asked = { .form = data_form_find(c->form), .fields = c->fields };
    enum data_form form, of_valid;
    TRY(add_texts(train, c->train_paths, err));
    if (c->valid_paths)
        TRY(add_texts(valid, c->valid_paths, err));
    TRY(records_form(train, &asked, &form, err));
    of_valid = form;
    if (valid->n_doc)
        TRY(records_form(valid, &asked, &of_valid, err));
    if (of_valid != form)
        return ERR(err, FORMAT, "data.train is of the form %s and data.valid of the form %s, expected one form", data_form_name(form), data_form_name(of_valid));
    TRY(check_form(c, form, where, err));
    return form == FORM_PLAIN ? prepare_text(p, c, where, out, train, valid, err) : prepare_records(p, c, where, out, form, train, valid, err);
}

/* ---- token files ---- */

static int prepare_tokens(struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err)
{
    static const char *const idle[] = { "fields", "bad_records", "template", "vocab_size" };
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (json_object_get(json_object_get(c->root, "data"), idle[i]))
            return ERR(err, USAGE, "%s: data.%s says nothing about token files", where, idle[i]);
    if (strcmp(c->form, "auto"))
        return ERR(err, USAGE, "%s: data.form is %s, and data.train has token files, which have one", where, c->form);
    if (makes_tokenizer(c))
        return ERR(err, USAGE, "%s: data.train has token files: data.tokenizer must name their tokenizer", where);
    TRY(read_tokenizer(p, c, err));
    TRY(fit_tokenizer(p, c, where, err));
    return token_files_put(&p->train, &p->valid, c, p->tok_sha256, out, err);
}

int prepare_data(struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err)
{
    struct text_list train = { 0 }, valid = { 0 };
    char *folder = file_join(out, "data");
    int rc = folder ? file_mkdirs(folder, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = c->second ? 0 : file_remove_leftovers(folder, err);
    mem_free(folder);
    if (!rc && token_files_named(c->train_paths))
        return prepare_tokens(p, c, where, out, err);
    if (!rc)
        rc = prepare_lists(p, c, where, out, &train, &valid, err);
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
