#include "data/shard.h"
#include <string.h>
#include "base/mem.h"

#define HEADER 128
static const char magic[8] = { 'L', 'A', 'T', 'H', 'E', 'T', 'O', 'K' };

struct header { char magic[8]; uint32_t version, id_bytes; uint64_t n, n_text; uint32_t eot, kind; uint64_t n_seq; uint32_t zero[4]; char tokenizer[64]; };
_Static_assert(sizeof(struct header) == HEADER, "the header's size on disk");

static int write_ids(struct file_writer *w, const int32_t *id, size_t n_id, int id_bytes, struct err *err)
{
    if (id_bytes == 4)
        return file_writer_add(w, id, n_id * 4, err);
    uint16_t block[4096];
    for (size_t i = 0; i < n_id;) {
        size_t n = 0;
        for (; n < sizeof block / sizeof *block && i < n_id; n++, i++)
            block[n] = (uint16_t)id[i];
        TRY(file_writer_add(w, block, n * sizeof *block, err));
    }
    return 0;
}

static int encode(const struct text_list *text, uint64_t skip, uint64_t n_bytes, const struct tok *tok, struct tok_ids *ids, struct err *err)
{
    uint64_t at = 0;
    const int eot = tok_eot(tok);
    for (int i = 0; i <= text->n_doc; i++) {
        const bool end = i == text->n_doc;
        const struct text_doc *d = end ? NULL : &text->doc[i];
        const uint64_t from = end ? 0 : skip > at ? skip - at : 0, to = end ? 0 : skip + n_bytes - at < d->n ? skip + n_bytes - at : d->n;
        if (!end && (at >= skip + n_bytes || from >= d->n)) {
            at += d->n;
            continue;
        }
        if (eot >= 0 && (!end || ids->n)) {
            size_t len;
            const char *bytes = tok_bytes(tok, eot, &len);
            TRY(tok_encode(tok, bytes, len, TOK_SPECIALS, ids, err));
        }
        if (end)
            break;
        if (tok_encode(tok, d->map.data + from, (size_t)(to - from), TOK_PLAIN, ids, err) < 0)
            return err_context(err, "%s", d->path);
        at += d->n;
    }
    return 0;
}

static struct header header(const struct tok *tok, const char tokenizer[SHA256_HEX], uint32_t version, uint64_t n, uint64_t n_text)
{
    struct header h = { .version = version, .id_bytes = tok_vocab_size(tok) <= 65536 ? 2 : 4, .n = n, .n_text = n_text, .eot = (uint32_t)tok_eot(tok) };
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.tokenizer, tokenizer, sizeof h.tokenizer);
    return h;
}

int shard_write(const char *path, const struct text_list *text, uint64_t skip, uint64_t n_bytes, const struct tok *tok,
                const char tokenizer[SHA256_HEX], struct err *err)
{
    struct tok_ids ids = { 0 };
    struct file_writer w;
    int rc = encode(text, skip, n_bytes, tok, &ids, err);
    if (!rc && !(rc = file_writer_open(&w, path, err))) {
        const struct header h = header(tok, tokenizer, 1, ids.n, n_bytes);
        rc = file_writer_add(&w, &h, sizeof h, err);
        if (!rc)
            rc = write_ids(&w, ids.id, ids.n, (int)h.id_bytes, err);
        if (rc)
            file_writer_abort(&w);
        else
            rc = file_writer_commit(&w, err);
    }
    tok_ids_release(&ids);
    return rc;
}

/* ---- sequences ---- */

int sequences_add(struct sequences *q, const int32_t *id, const uint8_t *learn, size_t n, struct err *err)
{
    if (n > (size_t)INT64_MAX / 16 - q->ids.n)
        return ERR(err, RANGE, "more than 2^59 ids");
    const size_t want = q->ids.n + n;
    if (want > q->ids.cap || want > q->cap_learn) {
        const size_t cap = want < 4096 ? 4096 : want + want / 2;
        int32_t *p = mem_realloc_array(q->ids.id, cap, sizeof *p);
        if (p)
            q->ids.id = p, q->ids.cap = cap;
        uint8_t *l = p ? mem_realloc_array(q->learn, cap, 1) : NULL;
        if (!l)
            return ERR(err, NOMEM, "no memory for %zu ids", cap);
        q->learn = l, q->cap_learn = cap;
    }
    if (n) {
        memcpy(q->ids.id + q->ids.n, id, n * sizeof *id);
        memcpy(q->learn + q->ids.n, learn, n);
    }
    q->ids.n = want;
    return 0;
}

int sequences_end(struct sequences *q, uint64_t n_text, struct err *err)
{
    if (q->n + 1 >= q->cap) {
        const int64_t cap = q->cap ? 2 * q->cap : 256;
        uint64_t *p = mem_realloc_array(q->start, (size_t)cap, sizeof *p);
        if (p)
            q->start = p;
        uint64_t *t = p ? mem_realloc_array(q->n_text, (size_t)cap, sizeof *t) : NULL;
        if (!t)
            return ERR(err, NOMEM, "no memory for %lld records", (long long)cap);
        q->n_text = t, q->cap = cap;
    }
    if (!q->n)
        q->start[0] = 0;
    q->n_text[q->n] = n_text;
    q->start[++q->n] = q->ids.n;
    return 0;
}

void sequences_release(struct sequences *q)
{
    tok_ids_release(&q->ids);
    mem_free(q->learn);
    mem_free(q->start);
    mem_free(q->n_text);
    *q = (struct sequences){ 0 };
}

static int fill_up(struct file_writer *w, uint64_t size, struct err *err)
{
    static const char zeros[8];
    return size % 8 ? file_writer_add(w, zeros, 8 - size % 8, err) : 0;
}

static int write_sequences(struct file_writer *w, const struct header *h, const struct sequences *q, int64_t from, struct err *err)
{
    const uint64_t first = h->n_seq ? q->start[from] : 0;
    TRY(file_writer_add(w, h, sizeof *h, err));
    TRY(write_ids(w, h->n ? q->ids.id + first : NULL, h->n, (int)h->id_bytes, err));
    TRY(fill_up(w, h->n * h->id_bytes, err));
    for (uint64_t i = 0; i <= h->n_seq; i++) {
        const uint64_t start = h->n_seq ? q->start[from + (int64_t)i] - first : 0;
        TRY(file_writer_add(w, &start, sizeof start, err));
    }
    for (uint64_t i = 0; i < h->n; i += 64) {
        uint64_t bits = 0;
        for (uint64_t k = i; k < i + 64 && k < h->n; k++)
            bits |= (uint64_t)q->learn[first + k] << (k - i);
        TRY(file_writer_add(w, &bits, sizeof bits, err));
    }
    return 0;
}

int shard_write_sequences(const char *path, const struct sequences *q, int64_t from, int64_t to, enum shard_kind kind, const struct tok *tok,
                          const char tokenizer[SHA256_HEX], struct err *err)
{
    struct file_writer w;
    uint64_t n_text = 0;
    for (int64_t i = from; i < to; i++)
        n_text += q->n_text[i];
    struct header h = header(tok, tokenizer, 2, to > from ? q->start[to] - q->start[from] : 0, n_text);
    h.kind = (uint32_t)kind, h.n_seq = (uint64_t)(to - from);
    TRY(file_writer_open(&w, path, err));
    const int rc = write_sequences(&w, &h, q, from, err);
    if (rc) {
        file_writer_abort(&w);
        return rc;
    }
    return file_writer_commit(&w, err);
}

/* ---- parts of others ---- */

static bool taken(const struct shard_part *p, int64_t i) { return !p->keep || p->keep[i]; }

/* Ids, sequences and bytes of text of all parts. */
static int add_up(struct header *h, const struct shard_part *part, int n, struct err *err)
{
    for (int k = 0; k < n; k++) {
        const struct shard *s = part[k].s, *first = part[0].s;
        int64_t learned = 0;
        if (s->kind == SHARD_TEXT || s->kind != first->kind)
            return ERR(err, USAGE, "token files of kinds %d and %d, expected one kind, of sequences", (int)first->kind, (int)s->kind);
        if (s->id_bytes != first->id_bytes || s->eot != first->eot || strcmp(s->tokenizer, first->tokenizer))
            return ERR(err, USAGE, "token files of two tokenizers, %.12s.. and %.12s..", first->tokenizer, s->tokenizer);
        for (int64_t i = part[k].from; i < part[k].to; i++)
            if (taken(&part[k], i)) {
                h->n += s->start[i + 1] - s->start[i], h->n_seq++;
                for (uint64_t at = s->start[i]; at < s->start[i + 1]; at++)
                    learned += shard_learns(s, (int64_t)at);
            }
        h->n_text += learned == s->n_learn ? (uint64_t)s->n_text : (uint64_t)((double)s->n_text * (double)learned / (double)s->n_learn);
    }
    return 0;
}

/* fn of each sequence that is taken. */
static int each_sequence(const struct shard_part *part, int n, int (*fn)(void *ctx, const struct shard *s, uint64_t from, uint64_t to, struct err *err), void *ctx, struct err *err)
{
    for (int k = 0; k < n; k++)
        for (int64_t i = part[k].from; i < part[k].to; i++)
            if (taken(&part[k], i))
                TRY(fn(ctx, part[k].s, part[k].s->start[i], part[k].s->start[i + 1], err));
    return 0;
}

struct part_writer { struct file_writer w; uint64_t at, bits; };      /* at: start of the sequence, or bits that were put */

static int put_ids(void *ctx, const struct shard *s, uint64_t from, uint64_t to, struct err *err)
{
    struct part_writer *x = ctx;
    return file_writer_add(&x->w, (const char *)s->ids + from * (uint64_t)s->id_bytes, (to - from) * (uint64_t)s->id_bytes, err);
}

static int put_start(void *ctx, const struct shard *s, uint64_t from, uint64_t to, struct err *err)
{
    struct part_writer *x = ctx;
    (void)s;
    TRY(file_writer_add(&x->w, &x->at, sizeof x->at, err));
    x->at += to - from;
    return 0;
}

static int put_bits(void *ctx, const struct shard *s, uint64_t from, uint64_t to, struct err *err)
{
    struct part_writer *x = ctx;
    for (; from < to; from++) {
        x->bits |= (uint64_t)shard_learns(s, (int64_t)from) << x->at++ % 64;
        if (x->at % 64)
            continue;
        TRY(file_writer_add(&x->w, &x->bits, sizeof x->bits, err));
        x->bits = 0;
    }
    return 0;
}

static int write_parts(struct part_writer *x, const struct header *h, const struct shard_part *part, int n, struct err *err)
{
    TRY(file_writer_add(&x->w, h, sizeof *h, err));
    TRY(each_sequence(part, n, put_ids, x, err));
    TRY(fill_up(&x->w, h->n * h->id_bytes, err));
    TRY(each_sequence(part, n, put_start, x, err));
    TRY(file_writer_add(&x->w, &x->at, sizeof x->at, err));
    x->at = 0;
    TRY(each_sequence(part, n, put_bits, x, err));
    return x->at % 64 ? file_writer_add(&x->w, &x->bits, sizeof x->bits, err) : 0;
}

int shard_write_parts(const char *path, const struct shard_part *part, int n, struct err *err)
{
    struct part_writer x = { .at = 0 };
    struct header h = { .version = 2, .id_bytes = (uint32_t)part[0].s->id_bytes, .eot = (uint32_t)part[0].s->eot, .kind = (uint32_t)part[0].s->kind };
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.tokenizer, part[0].s->tokenizer, sizeof h.tokenizer);
    TRY(add_up(&h, part, n, err));
    TRY(file_writer_open(&x.w, path, err));
    const int rc = write_parts(&x, &h, part, n, err);
    if (!rc)
        return file_writer_commit(&x.w, err);
    file_writer_abort(&x.w);
    return rc;
}

/* ---- reading ---- */

bool shard_is(const char *path)
{
    char head[sizeof magic];
    FILE *f = file_is_dir(path) ? NULL : fopen(path, "rb");
    const bool is = f && fread(head, 1, sizeof head, f) == sizeof head && !memcmp(head, magic, sizeof head);
    if (f)
        fclose(f);
    return is;
}

static uint64_t round_8(uint64_t n) { return (n + 7) / 8 * 8; }

/* What the header promises, against the file's size; every product is of checked factors. */
static int check_size(const struct header *h, size_t size, const char *path, struct err *err)
{
    const uint64_t rest = size - HEADER;
    if (h->version > 2 || !h->version || (h->id_bytes != 2 && h->id_bytes != 4))
        return ERR(err, UNSUPPORTED, "%s: version %u with %u-byte ids, expected version 1 or 2 with 2 or 4", path, h->version, h->id_bytes);
    if (h->version == 2 && (h->kind == SHARD_TEXT || h->kind >= N_SHARD_KIND))
        return ERR(err, UNSUPPORTED, "%s: kind %u, expected 1 to %d", path, h->kind, N_SHARD_KIND - 1);
    if (h->n > rest / h->id_bytes || (h->version == 2 && h->n_seq > rest / 8))
        return ERR(err, CORRUPT, "%s: %zu bytes, expected %u + %llu ids of %u bytes", path, size, HEADER, (unsigned long long)h->n, h->id_bytes);
    const uint64_t ids = h->n * h->id_bytes;
    if (h->version == 1 ? ids != rest : round_8(ids) + (h->n_seq + 1) * 8 + (h->n + 63) / 64 * 8 != rest)
        return ERR(err, CORRUPT, "%s: %zu bytes, expected %u + %llu ids of %u bytes%s", path, size, HEADER, (unsigned long long)h->n, h->id_bytes,
                   h->version == 2 ? " and what follows them" : "");
    return 0;
}

static int open_sequences(struct shard *s, const struct header *h, const char *path, struct err *err)
{
    const char *at = s->map.data + HEADER + round_8(h->n * h->id_bytes);
    s->kind = (enum shard_kind)h->kind, s->n_seq = (int64_t)h->n_seq;
    s->start = (const void *)at, s->learn = (const void *)(at + (h->n_seq + 1) * 8);
    const uint64_t shortest = s->kind == SHARD_STREAM ? 1 : 2;
    bool good = s->start[0] == 0 && s->start[s->n_seq] == h->n && (s->kind != SHARD_PAIRS || s->n_seq % 2 == 0);
    for (int64_t i = 0; i < s->n_seq && good; i++)
        good = s->start[i] + shortest <= s->start[i + 1] && s->start[i + 1] <= h->n;
    if (!good)
        return ERR(err, CORRUPT, "%s: its %lld sequences are not the parts of %lld ids", path, (long long)s->n_seq, (long long)h->n);
    for (int64_t i = 0; i < s->n / 8; i++)
        s->n_learn += __builtin_popcount(s->learn[i]);
    for (int64_t i = s->n / 8 * 8; i < s->n; i++)
        s->n_learn += shard_learns(s, i);
    return 0;
}

int shard_open(struct shard *s, const char *path, struct err *err)
{
    *s = (struct shard){ 0 };
    TRY(file_map_open(&s->map, path, err));
    struct header h = { 0 };
    int rc = 0;
    if (s->map.size < HEADER || memcmp(s->map.data, magic, sizeof magic))
        rc = ERR(err, FORMAT, "%s is not a token file", path);
    if (!rc) {
        memcpy(&h, s->map.data, sizeof h);
        rc = check_size(&h, s->map.size, path, err);
    }
    if (!rc) {
        s->ids = s->map.data + HEADER;
        s->id_bytes = (int)h.id_bytes, s->n = (int64_t)h.n, s->n_text = (int64_t)h.n_text, s->eot = (int32_t)h.eot;
        s->n_learn = s->n > 0 ? s->n - 1 : 0;
        memcpy(s->tokenizer, h.tokenizer, sizeof h.tokenizer);
        if (h.version == 2) {
            s->n_learn = 0;
            rc = open_sequences(s, &h, path, err);
        }
    }
    if (rc)
        shard_close(s);
    return rc;
}

void shard_close(struct shard *s)
{
    file_map_close(&s->map);
    *s = (struct shard){ 0 };
}
